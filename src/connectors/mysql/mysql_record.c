/*
 * mysql_record.c
 *		Rows of a table that a job follows, as records.
 */
#include "postgres.h"

#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/json.h"
#include "utils/jsonb.h"

#include "connectors/mysql/mysql_record.h"

MysqlRecords *
FeathubMysqlRecordsMake(FeathubRelation *rel)
{
	MysqlRecords *records = palloc0(sizeof(MysqlRecords));
	List	   *attrs = NIL;

	records->tupdesc = rel->tupdesc;
	records->attnums = palloc(sizeof(AttrNumber) * (rel->tupdesc->natts + 1));
	records->json_names = palloc(sizeof(char *) * (rel->tupdesc->natts + 1));
	for (int attnum = 1; attnum <= rel->tupdesc->natts; attnum++)
	{
		Form_pg_attribute att = TupleDescAttr(rel->tupdesc, attnum - 1);
		StringInfoData name;

		if (att->attisdropped || att->attgenerated)
			continue;
		attrs = lappend_int(attrs, attnum);
		initStringInfo(&name);
		escape_json(&name, NameStr(att->attname));
		records->json_names[records->ncolumns] = pg_server_to_any(name.data, name.len, PG_UTF8);
		records->attnums[records->ncolumns++] = attnum;
	}
	records->decoder = FeathubMysqlDecoderMake(rel->tupdesc, attrs, rel->relname,
											   ((MysqlOptions *) rel->options)->zero_dates);
	return records;
}

MysqlFields *
FeathubMysqlFieldsMake(int n)
{
	MysqlFields *fields = palloc0(offsetof(MysqlFields, fields) + sizeof(MysqlField) * n);

	fields->nfields = n;
	return fields;
}

void
FeathubMysqlRecordsJson(MysqlRecords *records, StringInfo out, char *const *values,
						const unsigned long *lengths)
{
	appendStringInfoChar(out, '{');
	for (int i = 0; i < records->ncolumns; i++)
	{
		const char *data = values[i];
		int			len = lengths[i];

		if (i > 0)
			appendBinaryStringInfo(out, ", ", 2);
		appendStringInfoString(out, records->json_names[i]);
		appendBinaryStringInfo(out, ": ", 2);
		if (data == NULL)
			appendBinaryStringInfo(out, "null", 4);
		else if (memchr(data, '\0', len) == NULL &&
				 pg_encoding_verifymbstr(PG_UTF8, data, len) == len)
			escape_json(out, data);
		else
		{
			appendStringInfoString(out, "{\"hex\": \"");
			enlargeStringInfo(out, len * 2);
			out->len += hex_encode(data, len, out->data + out->len);
			out->data[out->len] = '\0';
			appendStringInfoString(out, "\"}");
		}
	}
	appendStringInfoChar(out, '}');
}

void
FeathubMysqlRecordsHeader(MysqlRecords *records, StringInfo out, const MysqlFields *fields)
{
	appendStringInfoString(out, "\"mysql\": {");
	for (int i = 0; i < records->ncolumns; i++)
	{
		const MysqlField *field = &fields->fields[i];

		if (i > 0)
			appendStringInfoString(out, ", ");
		escape_json(out, NameStr(TupleDescAttr(records->tupdesc, records->attnums[i] - 1)->attname));
		appendStringInfo(out, ": \"%d %u %lu %d\"", field->type, field->flags, field->length,
						 field->binary);
	}
	appendStringInfoChar(out, '}');
}

void
FeathubMysqlRecordsDecode(MysqlRecords *records, const MysqlFields *fields, char **values,
						  unsigned long *lengths, Datum *out, bool *isnull)
{
	if (records->bound != fields)
	{
		FeathubMysqlDecoderBind(records->decoder, fields->fields, fields->nfields);
		records->bound = fields;
	}
	FeathubMysqlDecodeBound(records->decoder, values, lengths, out, isnull);
}

/* The member of an object, or NULL if it has none. */
static JsonbValue *
json_member(JsonbContainer *container, const char *name)
{
	JsonbValue	key;

	key.type = jbvString;
	key.val.string.val = unconstify(char *, name);
	key.val.string.len = strlen(name);
	return findJsonbValueFromContainer(container, JB_FOBJECT, &key);
}

char *
FeathubMysqlHeaderString(Datum headers, bool headers_isnull, const char *name)
{
	Jsonb	   *object;
	JsonbValue *value;

	if (headers_isnull)
		return NULL;
	object = DatumGetJsonbP(headers);
	if (!JB_ROOT_IS_OBJECT(object))
		return NULL;
	value = json_member(&object->root, name);
	return value && value->type == jbvString ?
		pnstrdup(value->val.string.val, value->val.string.len) : NULL;
}

void
FeathubMysqlRecordsDecodeStored(MysqlRecords *records, const FeathubRecord *record,
								Datum headers, bool headers_isnull, Datum *values, bool *isnull)
{
	char	   *text = pnstrdup(record->value, record->value_len);
	Jsonb	   *row;
	JsonbValue *kinds = headers_isnull ? NULL :
		json_member(&DatumGetJsonbP(headers)->root, "mysql");
	MysqlFields *fields = FeathubMysqlFieldsMake(records->ncolumns);
	char	  **texts = palloc0(sizeof(char *) * (records->ncolumns + 1));
	unsigned long *lengths = palloc0(sizeof(unsigned long) * (records->ncolumns + 1));

	text = pg_any_to_server(text, strlen(text), PG_UTF8);
	row = DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(text)));
	for (int i = 0; i < records->ncolumns; i++)
	{
		MysqlField *field = &fields->fields[i];
		const char *name = NameStr(TupleDescAttr(records->tupdesc,
												 records->attnums[i] - 1)->attname);
		JsonbValue *value = JB_ROOT_IS_OBJECT(row) ? json_member(&row->root, name) : NULL;
		JsonbValue *kind = kinds && kinds->type == jbvBinary ?
			json_member(kinds->val.binary.data, name) : NULL;
		int			binary = 0;

		field->type = 253;		/* MYSQL_TYPE_VAR_STRING, of a column that came later */
		if (kind && kind->type == jbvString)
			(void) sscanf(pnstrdup(kind->val.string.val, kind->val.string.len), "%d %u %lu %d",
						  &field->type, &field->flags, &field->length, &binary);
		field->binary = binary != 0;
		if (value && value->type == jbvString)
		{
			char	   *data = pnstrdup(value->val.string.val, value->val.string.len);

			texts[i] = pg_server_to_any(data, strlen(data), PG_UTF8);
			lengths[i] = strlen(texts[i]);
		}
		else if (value && value->type == jbvBinary &&
				 (value = json_member(value->val.binary.data, "hex")) != NULL &&
				 value->type == jbvString)
		{
			texts[i] = palloc(value->val.string.len / 2 + 1);
			lengths[i] = hex_decode(value->val.string.val, value->val.string.len, texts[i]);
			texts[i][lengths[i]] = '\0';
		}
	}
	FeathubMysqlRecordsDecode(records, fields, texts, lengths, values, isnull);
	records->bound = NULL;
}
