/*
 * avro_record.c
 *		Rows and records of a schema: columns matched with fields by name.
 */
#include "postgres.h"

#include "mb/pg_wchar.h"
#include "utils/builtins.h"

#include "formats/avro_record.h"
#include "formats/format_private.h"

FeathubAvroOptions *
FeathubAvroColumnOptions(const FeathubFormat *format, const void *options,
						 const FeathubColumn *column)
{
	FeathubAvroOptions *own = FeathubFormatColumnOptions(format, options, column);

	if (own->column_name == NULL)
		own->column_name = pstrdup(column->name);
	return own;
}

const char *
FeathubAvroSchemaOption(const FeathubAvroOptions *options, char **schema)
{
	bool		is_key = options->carrier && options->carrier->is_key;

	*schema = is_key ? options->key_schema : options->schema;
	if (*schema)
		*schema = pg_server_to_any(*schema, (int) strlen(*schema), PG_UTF8);
	return is_key ? "avro_key_schema" : "avro_schema";
}

/* Are fields of that type written as bytes by Hopsworks' clients? */
static bool
is_complex(const FeathubAvroNode *node)
{
	const FeathubAvroNode *inner = FeathubAvroValueNode(node);

	return inner->type == AVRO_ARRAY || inner->type == AVRO_MAP || inner->type == AVRO_RECORD ||
		inner->type == AVRO_UNION;
}

/* The error as a false, or raised. */
static bool
refuse(FeathubDecodeError *error, const FeathubDecodeError *problem)
{
	if (error == NULL)
		ereport(ERROR,
				(errcode(problem->sqlerrcode),
				 errmsg_internal("%s", problem->message)));
	*error = *problem;
	return false;
}

/* The default that the options' own schema has for a field; NULL if it has none. */
static bool
find_default(const FeathubAvroOptions *options, const FeathubAvroNode *root,
			 const FeathubAvroOptions *column, const char *name, FeathubConverter *type,
			 Datum *value, bool *isnull, FeathubDecodeError *error)
{
	char	   *schema;
	const char *option = FeathubAvroSchemaOption(options, &schema);
	const FeathubAvroNode *own;
	FeathubAvroCursor cursor = {0};
	StringInfoData bytes;
	int			field;

	*isnull = true;
	*value = (Datum) 0;
	if (schema == NULL)
		return true;
	own = FeathubAvroParseSchema(schema, strlen(schema), ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE,
								 psprintf("option \"%s\"", option));
	if (own->type != AVRO_RECORD ||
		(field = FeathubAvroFindField(own, column->column_name)) < 0 ||
		own->defaults[field] == NULL)
		return true;
	if (!FeathubShapeFits(own->children[field]->shape, type))
		return FeathubDecodeFail(error, ERRCODE_FDW_INVALID_DATA_TYPE,
								 "the default in option \"%s\" does not fit column \"%s\"",
								 option, name);
	initStringInfo(&bytes);
	FeathubAvroWriteJson(own->children[field], own->defaults[field], true, name, &bytes);
	cursor.p = (unsigned char *) bytes.data;
	cursor.end = cursor.p + bytes.len;
	return FeathubAvroReadValue(&cursor, FeathubAvroReaderMake(own->children[field], type), value,
								isnull, error);
}

/* A column that the schema has no field for. */
static bool
add_missing(FeathubAvroRecordReader *records, const FeathubAvroNode *root,
			const FeathubColumn *column, const FeathubAvroOptions *options,
			const FeathubAvroOptions *own, FeathubConverter *type, const char *where,
			FeathubDecodeError *error)
{
	FeathubDecodeError problem;
	int			n = records->nmissing;

	if (!find_default(options, root, own, column->name, type, &records->defaults[n],
					  &records->default_isnull[n], &problem))
		return refuse(error, &problem);
	if (records->default_isnull[n] && own->missing_columns == FEATHUB_AVRO_MISSING_ERROR)
	{
		(void) FeathubDecodeFail(&problem, ERRCODE_FDW_COLUMN_NAME_NOT_FOUND,
								 "%s has no field for column \"%s\"", where, column->name);
		return refuse(error, &problem);
	}
	if (records->default_isnull[n] && !FeathubConvertNull(type, &problem))
	{
		char	   *reason = problem.message;

		(void) FeathubDecodeFail(&problem, problem.sqlerrcode,
								 "%s has no field for column \"%s\": %s", where, column->name,
								 reason);
		return refuse(error, &problem);
	}
	records->missing[records->nmissing++] = column->attnum;
	return true;
}

/* The field for a column: -1 if there is none, -2 if there are several. */
static int
find_field(const FeathubAvroNode *root, const FeathubAvroOptions *own, int ncolumns)
{
	if (root->type == AVRO_RECORD)
		return FeathubAvroFindField(root, own->column_name);
	/* a key that is one value is that of the one column */
	if (ncolumns == 1 && own->carrier && own->carrier->is_key)
		return 0;
	return strcmp(own->column_name, "value") == 0 ? 0 : -1;
}

static bool
check_fits(const FeathubAvroNode *node, const char *field, const FeathubConverter *type,
		   const char *file, const char *where, const FeathubColumn *column,
		   FeathubDecodeError *error)
{
	FeathubShape shape = *node->shape;

	shape.name = field;
	if (error == NULL)
		FeathubShapeCheckFits(&shape, type, file, column);
	else if (!FeathubShapeFits(&shape, type))
		return FeathubDecodeFail(error, ERRCODE_FDW_INVALID_DATA_TYPE,
								 "column \"%s\" of type %s cannot take field \"%s\" of type %s of %s",
								 column->name,
								 format_type_with_typemod(column->typid, column->typmod),
								 field, FeathubShapeText(&shape), where);
	return true;
}

bool
FeathubAvroMatchRecords(FeathubAvroRecordReader *records, const FeathubFormat *format,
						const FeathubAvroNode *root, int ncolumns, FeathubColumn *columns,
						const void *options, const char *file, const char *where,
						MemoryContext scratch, FeathubDecodeError *error)
{
	FeathubDecodeError problem;
	int			most = Max(ncolumns, 1);

	records->root = root;
	records->is_record = root->type == AVRO_RECORD;
	records->nfields = records->is_record ? root->nchildren : 1;
	records->readers = palloc0(sizeof(FeathubAvroReader *) * Max(records->nfields, 1));
	records->columns = palloc0(sizeof(FeathubColumn *) * Max(records->nfields, 1));
	records->missing = palloc0(sizeof(AttrNumber) * most);
	records->defaults = palloc0(sizeof(Datum) * most);
	records->default_isnull = palloc0(sizeof(bool) * most);
	records->settings = palloc0(sizeof(FeathubConvertSettings) * most);
	for (int i = 0; i < ncolumns; i++)
	{
		FeathubAvroOptions *own = FeathubAvroColumnOptions(format, options, &columns[i]);
		FeathubConvertSettings *settings = &records->settings[i];
		const FeathubAvroNode *node;
		FeathubConverter *type;
		int			field = find_field(root, own, ncolumns);

		settings->zone = FeathubTimezone(own->timezone);
		settings->scratch = scratch;
		type = FeathubConverterMake(columns[i].typid, columns[i].typmod, settings);
		if (field == -1)
		{
			if (!add_missing(records, root, &columns[i], options, own, type, where, error))
				return false;
			continue;
		}
		if (field < 0)
		{
			(void) FeathubDecodeFail(&problem, ERRCODE_FDW_INVALID_COLUMN_NAME,
									 "field \"%s\" is ambiguous in %s", own->column_name, where);
			return refuse(error, &problem);
		}
		if (records->readers[field] != NULL)
		{
			(void) FeathubDecodeFail(&problem, ERRCODE_FDW_INVALID_COLUMN_NAME,
									 "columns \"%s\" and \"%s\" are the same field of %s",
									 records->columns[field]->name, columns[i].name, where);
			return refuse(error, &problem);
		}
		node = records->is_record ? root->children[field] : root;
		if (!check_fits(node, own->column_name, type, file, where, &columns[i], error))
			return false;
		records->readers[field] = FeathubAvroReaderMake(node, type);
		records->columns[field] = &columns[i];
	}
	return true;
}

/* Bytes that hold a value, or null. */
static bool
read_nested(FeathubAvroCursor *cursor, const FeathubAvroReader *reader, Datum *value,
			bool *isnull, FeathubDecodeError *error)
{
	FeathubAvroCursor inner = {0};
	int64		branch;
	int64		len;

	*isnull = true;
	if (!FeathubAvroReadLong(cursor, &branch, error))
		return false;
	if (branch == 0)
		return reader == NULL || FeathubConvertNull(reader->type, error);
	if (branch != 1)
	{
		cursor->damaged = true;
		return FeathubDecodeFail(error, ERRCODE_DATA_CORRUPTED, "Avro union has no such branch");
	}
	if (!FeathubAvroReadLong(cursor, &len, error))
		return false;
	if (len < 0 || len > cursor->end - cursor->p)
	{
		cursor->damaged = true;
		return FeathubDecodeFail(error, ERRCODE_DATA_CORRUPTED, "Avro data ends unexpectedly");
	}
	inner.p = cursor->p;
	inner.end = cursor->p += len;
	if (reader == NULL)
		return true;
	if (!FeathubAvroReadValue(&inner, reader, value, isnull, error))
		return false;
	if (inner.p != inner.end)
		return FeathubDecodeFail(error, ERRCODE_DATA_CORRUPTED,
								 "there are %zu bytes behind the value",
								 (Size) (inner.end - inner.p));
	return true;
}

bool
FeathubAvroReadRecord(FeathubAvroRecordReader *records, FeathubAvroCursor *cursor,
					  Datum *values, bool *isnull, FeathubDecodeError *error)
{
	bool		ok = true;

	cursor->empty = 0;
	for (int i = 0; i < records->nmissing; i++)
	{
		values[records->missing[i] - 1] = records->defaults[i];
		isnull[records->missing[i] - 1] = records->default_isnull[i];
	}
	for (int i = 0; i < records->nfields; i++)
	{
		const FeathubAvroNode *node = records->is_record ? records->root->children[i] :
			records->root;
		const FeathubAvroReader *reader = records->readers[i];
		bool		nested = records->nested && is_complex(node);
		FeathubDecodeError problem;
		Datum		ignored;
		bool		ignored_isnull;
		int			at;

		if (reader == NULL)
		{
			if (nested ? !read_nested(cursor, NULL, &ignored, &ignored_isnull, error) :
				!FeathubAvroSkipValue(cursor, node, error))
				return false;
			continue;
		}
		at = records->columns[i]->attnum - 1;
		if (nested ? read_nested(cursor, reader, &values[at], &isnull[at], &problem) :
			FeathubAvroReadValue(cursor, reader, &values[at], &isnull[at], &problem))
			continue;
		if (ok || cursor->damaged)
		{
			*error = problem;
			(void) FeathubDecodeFailColumn(error, records->columns[i]);
		}
		ok = false;
		if (cursor->damaged)
			return false;
	}
	return ok;
}

/* The schema to write: its nodes, and what it is called in messages. */
static const FeathubAvroNode *
schema_to_write(FeathubAvroRecordWriter *records, const FeathubAvroOptions *options,
				const FeathubRegistrySchema *registered, TupleDesc tupdesc, int ncolumns,
				FeathubColumn *columns, char **names, const char **where)
{
	const char *relname = options->carrier ? options->carrier->relname : NULL;
	char	   *schema;
	const char *option = FeathubAvroSchemaOption(options, &schema);

	if (registered)
	{
		*where = psprintf("the schema with id %d", registered->id);
		records->schema = registered->text;
		return FeathubAvroParseRegistered(registered, ERRCODE_FDW_ERROR, *where);
	}
	*where = psprintf("option \"%s\"", option);
	records->schema = schema ? schema :
		FeathubAvroMakeSchema(tupdesc, ncolumns, columns, names,
							  relname && FeathubAvroValidName(relname) ? relname : "row");
	return FeathubAvroParseSchema(records->schema, strlen(records->schema),
								  ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE, *where);
}

void
FeathubAvroMakeRecordWriter(FeathubAvroRecordWriter *records, const FeathubFormat *format,
							const FeathubRegistrySchema *registered, TupleDesc tupdesc,
							int ncolumns, FeathubColumn *columns, const void *options)
{
	FeathubConvertSettings *settings = palloc0(sizeof(FeathubConvertSettings));
	char	  **names = palloc(sizeof(char *) * Max(ncolumns, 1));
	bool	   *used = palloc0(Max(ncolumns, 1));
	const FeathubAvroNode *root;
	const char *where;
	bool		is_record;

	for (int i = 0; i < ncolumns; i++)
		names[i] = FeathubAvroColumnOptions(format, options, &columns[i])->column_name;
	root = schema_to_write(records, options, registered, tupdesc, ncolumns, columns, names, &where);
	is_record = root->type == AVRO_RECORD;
	if (!is_record && ncolumns != 1)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
				 errmsg("%s must be a record", registered ? where :
						psprintf("the schema of %s", where))));
	records->root = root;
	records->nfields = is_record ? root->nchildren : 1;
	records->writers = palloc0(sizeof(FeathubAvroWriter *) * Max(records->nfields, 1));
	records->names = palloc0(sizeof(char *) * Max(records->nfields, 1));
	records->columns = palloc0(sizeof(int) * Max(records->nfields, 1));
	records->defaults = palloc0(sizeof(StringInfoData) * Max(records->nfields, 1));
	for (int i = 0; i < records->nfields; i++)
	{
		const FeathubAvroNode *node = is_record ? root->children[i] : root;
		int			found = -1;

		for (int k = 0; k < ncolumns; k++)
		{
			int			field = is_record ? FeathubAvroFindField(root, names[k]) : 0;

			if (field == -2)
				ereport(ERROR,
						(errcode(ERRCODE_FDW_INVALID_COLUMN_NAME),
						 errmsg("field \"%s\" is ambiguous in %s", names[k], where)));
			if (field == i)
				found = k;
		}
		records->names[i] = found < 0 ? root->fields[i] : columns[found].name;
		records->columns[i] = found < 0 ? -1 : columns[found].attnum - 1;
		if (found < 0 && root->defaults[i] != NULL && (!records->nested || !is_complex(node)))
		{
			initStringInfo(&records->defaults[i]);
			FeathubAvroWriteJson(node, root->defaults[i], true, records->names[i],
								 &records->defaults[i]);
			continue;
		}
		records->writers[i] =
			FeathubAvroWriterMake(node, found < 0 ? NULL :
								  FeathubConverterMake(columns[found].typid,
													   columns[found].typmod, settings),
								  records->names[i]);
		if (found >= 0)
			used[found] = true;
	}
	for (int i = 0; i < ncolumns; i++)
	{
		if (!used[i])
			ereport(ERROR,
					(errcode(ERRCODE_FDW_COLUMN_NAME_NOT_FOUND),
					 errmsg("%s has no field for column \"%s\"", where, columns[i].name)));
	}
}

void
FeathubAvroWriteRecord(const FeathubAvroRecordWriter *records, Datum *values, bool *isnull,
					   StringInfo out)
{
	for (int i = 0; i < records->nfields; i++)
	{
		const FeathubAvroWriter *writer = records->writers[i];
		int			at = records->columns[i];
		Datum		value = at < 0 ? (Datum) 0 : values[at];
		bool		is_null = at < 0 || isnull[at];
		StringInfoData inner;

		if (records->defaults[i].data)
		{
			appendBinaryStringInfo(out, records->defaults[i].data, records->defaults[i].len);
			continue;
		}
		if (!records->nested || !is_complex(writer->node))
		{
			FeathubAvroWriteValue(writer, value, is_null, records->names[i], out);
			continue;
		}
		FeathubAvroWriteLong(is_null ? 0 : 1, out);
		if (is_null)
			continue;
		initStringInfo(&inner);
		FeathubAvroWriteValue(writer, value, false, records->names[i], &inner);
		FeathubAvroWriteLong(inner.len, out);
		appendBinaryStringInfo(out, inner.data, inner.len);
		pfree(inner.data);
	}
}

List *
FeathubAvroColumnDefs(const FeathubAvroNode *root)
{
	List	   *result = NIL;

	if (root->type != AVRO_RECORD)
	{
		FeathubShape shape = *root->shape;

		shape.name = "value";
		return list_make1(FeathubShapeColumnDef(&shape));
	}
	for (int i = 0; i < root->nchildren; i++)
		result = lappend(result, FeathubShapeColumnDef(root->shape->children[i]));
	return result;
}
