/*
 * changelog_avro.c
 *		Format debezium-avro: changes of a database's rows as messages in avro.
 *
 * The schema of a message tells whether it is an envelope around images of the
 * row or flat.  Fields are found in one pass over the message; what tells what
 * happened is read first, then the image that goes with it.
 */
#include "postgres.h"

#include "common/int.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "formats/avro_message.h"
#include "formats/changelog.h"
#include "formats/format_private.h"
#include "formats/json_path.h"

/* Steps from a message to a field in it. */
#define MAX_STEPS 8

typedef struct FieldPath
{
	int			nsteps;			/* 0: there is no such field */
	int			steps[MAX_STEPS];
	const FeathubAvroNode *node;	/* of the field */
} FieldPath;

/* A column that shows a field of the envelope. */
typedef struct EnvelopeColumn
{
	const FeathubColumn *column;
	FieldPath	path;
	FeathubAvroReader *reader;
	FeathubConverter *type;
} EnvelopeColumn;

/* What reads messages of one schema. */
typedef struct ChangelogReader
{
	const FeathubAvroNode *root;
	bool		flat;
	FieldPath	fields[FEATHUB_CHANGELOG_FIELDS];
	FieldPath	source_time;
	FeathubAvroRecordReader images[2];	/* of NEW (and flat ones) and OLD */
	int			ncolumns;
	EnvelopeColumn *columns;
} ChangelogReader;

typedef struct ChangelogDecoder
{
	FeathubDecoder base;
	FeathubAvroSchemas *schemas;
	int			nimage;
	FeathubColumn *image;		/* columns of the row */
	int			nenvelope;
	FeathubColumn *envelope;	/* columns of the envelope */
	MemoryContext scratch;
} ChangelogDecoder;

/* A text in a message. */
typedef struct Text
{
	const char *data;
	Size		len;
} Text;

/* Where a field of that name is, in a record that the path leads to. */
static bool
add_step(FieldPath *path, const FeathubAvroNode *record, const char *name)
{
	const FeathubAvroNode *inner = FeathubAvroValueNode(record);
	int			field;

	if (inner->type != AVRO_RECORD || path->nsteps >= MAX_STEPS ||
		(field = FeathubAvroFindField(inner, name)) < 0)
	{
		path->nsteps = 0;
		return false;
	}
	path->steps[path->nsteps++] = field;
	path->node = inner->children[field];
	return true;
}

/* A path as in option "envelope"; subscripts are for JSON. */
static void
find_path(FieldPath *path, const FeathubAvroNode *root, const char *text)
{
	const char *problem = NULL;
	List	   *steps = FeathubJsonPathParse(text, &problem);
	ListCell   *lc;

	path->nsteps = 0;
	foreach(lc, steps)
	{
		FeathubJsonStep *step = lfirst(lc);

		if (step->key == NULL ||
			!add_step(path, foreach_current_index(lc) == 0 ? root : path->node,
					  pnstrdup(step->key, step->key_len)))
		{
			path->nsteps = 0;
			return;
		}
	}
}

/* The image's reader; a schema may lack one of them. */
static bool
match_image(ChangelogDecoder *decoder, ChangelogReader *reader, int which,
			const FeathubAvroNode *node, const char *where, FeathubDecodeError *error)
{
	return FeathubAvroMatchRecords(&reader->images[which], decoder->base.format,
								   FeathubAvroValueNode(node), decoder->nimage, decoder->image,
								   decoder->base.options, "avro_schema", where, decoder->scratch,
								   error);
}

static bool
match_envelope(ChangelogDecoder *decoder, ChangelogReader *reader, const char *where,
			   FeathubDecodeError *error)
{
	reader->ncolumns = decoder->nenvelope;
	reader->columns = palloc0(sizeof(EnvelopeColumn) * Max(reader->ncolumns, 1));
	for (int i = 0; i < reader->ncolumns; i++)
	{
		EnvelopeColumn *column = &reader->columns[i];
		FeathubAvroOptions *own = FeathubAvroColumnOptions(decoder->base.format,
														   decoder->base.options,
														   &decoder->envelope[i]);
		FeathubConvertSettings *settings = palloc0(sizeof(FeathubConvertSettings));

		column->column = &decoder->envelope[i];
		settings->zone = FeathubTimezone(own->timezone);
		settings->scratch = decoder->scratch;
		column->type = FeathubConverterMake(column->column->typid, column->column->typmod,
											settings);
		find_path(&column->path, reader->root, own->envelope);
		if (column->path.nsteps == 0)
			continue;
		if (!FeathubShapeFits(column->path.node->shape, column->type))
		{
			FeathubDecodeError problem;

			(void) FeathubDecodeFail(&problem, ERRCODE_FDW_INVALID_DATA_TYPE,
									 "column \"%s\" cannot take what is at \"%s\" of %s",
									 column->column->name, own->envelope, where);
			if (error == NULL)
				ereport(ERROR,
						(errcode(problem.sqlerrcode),
						 errmsg_internal("%s", problem.message)));
			*error = problem;
			return false;
		}
		column->reader = FeathubAvroReaderMake(column->path.node, column->type);
	}
	return true;
}

bool
FeathubAvroIsChangelog(const FeathubAvroNode *root, const FeathubAvroNode **row)
{
	const FeathubChangelogDialect *dialect = &FeathubChangelogDebezium;
	int			image;

	if (root->type != AVRO_RECORD)
		return false;
	*row = root;
	if (FeathubAvroFindField(root, dialect->fields[FEATHUB_CHANGELOG_OPERATION]) < 0)
		return FeathubAvroFindField(root, dialect->fields[FEATHUB_CHANGELOG_FLAT_DELETED]) >= 0 ||
			FeathubAvroFindField(root, dialect->fields[FEATHUB_CHANGELOG_FLAT_OPERATION]) >= 0;
	image = FeathubAvroFindField(root, dialect->fields[FEATHUB_CHANGELOG_NEW]);
	if (image < 0 || FeathubAvroFindField(root, dialect->fields[FEATHUB_CHANGELOG_OLD]) < 0)
		return false;
	*row = FeathubAvroValueNode(root->children[image]);
	return (*row)->type == AVRO_RECORD;
}

static List *
debezium_describe(const FeathubRegistrySchema *schema, bool *is_record)
{
	const FeathubAvroNode *root;
	const FeathubAvroNode *row;

	if (schema->type != FEATHUB_SCHEMA_AVRO)
		return NIL;
	root = FeathubAvroParseRegistered(schema, ERRCODE_FDW_ERROR,
									  psprintf("subject \"%s\"", schema->subject));
	*is_record = true;
	return FeathubAvroIsChangelog(root, &row) ? FeathubAvroColumnDefs(row) : NIL;
}

static void *
make_reader(FeathubDecoder *base, const FeathubAvroNode *root, const char *where,
			FeathubDecodeError *error)
{
	ChangelogDecoder *decoder = (ChangelogDecoder *) base;
	const FeathubChangelogDialect *dialect = &FeathubChangelogDebezium;
	ChangelogReader *reader = palloc0(sizeof(ChangelogReader));
	FieldPath  *fields = reader->fields;

	reader->root = root;
	for (int i = 0; i < FEATHUB_CHANGELOG_FIELDS; i++)
		(void) add_step(&fields[i], root, dialect->fields[i]);
	reader->flat = fields[FEATHUB_CHANGELOG_OPERATION].nsteps == 0 &&
		(fields[FEATHUB_CHANGELOG_FLAT_DELETED].nsteps > 0 ||
		 fields[FEATHUB_CHANGELOG_FLAT_OPERATION].nsteps > 0);
	if (fields[FEATHUB_CHANGELOG_SOURCE].nsteps > 0)
	{
		reader->source_time = fields[FEATHUB_CHANGELOG_SOURCE];
		(void) add_step(&reader->source_time, reader->source_time.node,
						dialect->fields[FEATHUB_CHANGELOG_TIME]);
	}
	if (reader->flat ? !match_image(decoder, reader, 0, root, where, error) :
		((fields[FEATHUB_CHANGELOG_NEW].nsteps > 0 &&
		  !match_image(decoder, reader, 0, fields[FEATHUB_CHANGELOG_NEW].node, where, error)) ||
		 (fields[FEATHUB_CHANGELOG_OLD].nsteps > 0 &&
		  !match_image(decoder, reader, 1, fields[FEATHUB_CHANGELOG_OLD].node, where, error))))
		return NULL;
	return match_envelope(decoder, reader, where, error) ? reader : NULL;
}

static FeathubDecoder *
debezium_begin_decode(TupleDesc tupdesc, int ncolumns, FeathubColumn *columns, void *options)
{
	ChangelogDecoder *decoder = palloc0(sizeof(ChangelogDecoder));

	FeathubAvroDecoderInit(&decoder->base, &FeathubDebeziumAvroFormat, tupdesc, ncolumns, columns,
						   options);
	decoder->scratch = AllocSetContextCreate(CurrentMemoryContext, "feathub avro record",
											 ALLOCSET_SMALL_SIZES);
	decoder->image = palloc(sizeof(FeathubColumn) * Max(ncolumns, 1));
	decoder->envelope = palloc(sizeof(FeathubColumn) * Max(ncolumns, 1));
	for (int i = 0; i < ncolumns; i++)
	{
		if (FeathubAvroColumnOptions(decoder->base.format, options, &columns[i])->envelope)
			decoder->envelope[decoder->nenvelope++] = columns[i];
		else
			decoder->image[decoder->nimage++] = columns[i];
	}
	decoder->schemas = FeathubAvroSchemasBegin(&decoder->base, FeathubAvroEncodingOf(options),
											   make_reader);
	return &decoder->base;
}

/*
 * Move a cursor from the message's beginning to a field; the field's node is in
 * *node, not a union any more.  False, without error, if there is none or it
 * is null.
 */
static bool
go_to(const ChangelogReader *reader, const FieldPath *path, const FeathubAvroCursor *message,
	  FeathubAvroCursor *cursor, const FeathubAvroNode **node, FeathubDecodeError *error)
{
	*cursor = *message;
	*node = reader->root;
	if (path->nsteps == 0)
		return false;
	for (int i = 0; i <= path->nsteps; i++)
	{
		if ((*node)->type == AVRO_UNION)
		{
			int64		branch;

			if (!FeathubAvroReadLong(cursor, &branch, error) || branch < 0 ||
				branch >= (*node)->nchildren)
				return false;
			*node = (*node)->children[branch];
		}
		if (i == path->nsteps)
			return (*node)->type != AVRO_NULL;
		if ((*node)->type != AVRO_RECORD)
			return false;
		for (int j = 0; j < path->steps[i]; j++)
		{
			if (!FeathubAvroSkipValue(cursor, (*node)->children[j], error))
				return false;
		}
		*node = (*node)->children[path->steps[i]];
	}
	return false;
}

/* A field's text; false if it is none. */
static bool
read_text(const ChangelogReader *reader, FeathubChangelogField field,
		  const FeathubAvroCursor *message, Text *text)
{
	FeathubAvroCursor cursor;
	const FeathubAvroNode *node;
	FeathubDecodeError ignored;
	int64		value;

	if (!go_to(reader, &reader->fields[field], message, &cursor, &node, &ignored) ||
		(node->type != AVRO_STRING && node->type != AVRO_ENUM) ||
		!FeathubAvroReadLong(&cursor, &value, &ignored) || value < 0)
		return false;
	if (node->type == AVRO_ENUM)
	{
		if (value >= node->nsymbols)
			return false;
		text->data = node->symbols[value];
		text->len = strlen(text->data);
		return true;
	}
	text->data = (const char *) cursor.p;
	text->len = (Size) value;
	return value <= cursor.end - cursor.p;
}

static bool
equals(const void *text, const char *s, Size len)
{
	const Text *own = text;

	return own->len == len && memcmp(own->data, s, len) == 0;
}

/* A time in milliseconds; DT_NOBEGIN if it is none. */
static TimestampTz
read_time(const ChangelogReader *reader, const FieldPath *path, const FeathubAvroCursor *message)
{
	FeathubAvroCursor cursor;
	const FeathubAvroNode *node;
	FeathubDecodeError ignored;
	int64		value;

	if (!go_to(reader, path, message, &cursor, &node, &ignored) ||
		(node->type != AVRO_LONG && node->type != AVRO_INT) ||
		!FeathubAvroReadLong(&cursor, &value, &ignored) ||
		pg_mul_s64_overflow(value, 1000, &value))
		return DT_NOBEGIN;
	return FeathubChangelogTime(value);
}

/* What the message does to a row, and when it happened in the source. */
static bool
find_change(FeathubDecoder *decoder, const ChangelogReader *reader,
			const FeathubAvroCursor *message, FeathubDecodeError *error)
{
	const FeathubChangelogDialect *dialect = &FeathubChangelogDebezium;
	FeathubChangelogField field = reader->flat ? FEATHUB_CHANGELOG_FLAT_OPERATION :
		FEATHUB_CHANGELOG_OPERATION;
	Text		text;

	decoder->change_time = read_time(reader, reader->flat ?
									 &reader->fields[FEATHUB_CHANGELOG_FLAT_TIME] :
									 &reader->source_time, message);
	if (decoder->change_time == DT_NOBEGIN && !reader->flat)
		decoder->change_time = read_time(reader, &reader->fields[FEATHUB_CHANGELOG_TIME], message);
	decoder->change = FEATHUB_CHANGE_UPSERT;
	if (reader->flat)
	{
		FeathubAvroCursor cursor;
		const FeathubAvroNode *node;
		bool		deleted = read_text(reader, FEATHUB_CHANGELOG_FLAT_DELETED, message, &text) &&
			equals(&text, "true", 4);

		if (!deleted && go_to(reader, &reader->fields[FEATHUB_CHANGELOG_FLAT_DELETED], message,
							  &cursor, &node, error))
			deleted = node->type == AVRO_BOOLEAN && cursor.p < cursor.end && *cursor.p != 0;
		if (deleted)
		{
			decoder->change = FEATHUB_CHANGE_DELETE;
			return true;
		}
	}
	if (read_text(reader, field, message, &text))
		return FeathubChangelogFindOperation(dialect, field, equals, &text, &decoder->change,
											 error);
	return reader->flat || FeathubChangelogNoOperation(dialect, error);
}

static bool
read_envelope(const ChangelogReader *reader, const FeathubAvroCursor *message, Datum *values,
			  bool *isnull, FeathubDecodeError *error)
{
	for (int i = 0; i < reader->ncolumns; i++)
	{
		const EnvelopeColumn *column = &reader->columns[i];
		int			at = column->column->attnum - 1;
		FeathubAvroCursor cursor = *message;
		const FeathubAvroNode *node = reader->root;
		FieldPath	parent = column->path;
		bool		found = column->path.nsteps > 0;

		/* to the field, but not into its union: that is the reader's */
		parent.nsteps--;
		if (parent.nsteps > 0)
			found = go_to(reader, &parent, message, &cursor, &node, error) &&
				node->type == AVRO_RECORD;
		for (int j = 0; found && j < column->path.steps[parent.nsteps]; j++)
			found = FeathubAvroSkipValue(&cursor, node->children[j], error);
		isnull[at] = true;
		if (found ? !FeathubAvroReadValue(&cursor, column->reader, &values[at], &isnull[at], error) :
			!FeathubConvertNull(column->type, error))
			return FeathubDecodeFailColumn(error, column->column);
	}
	return true;
}

static bool
debezium_decode(FeathubDecoder *base, const char *data, Size len, Datum *values, bool *isnull,
				FeathubDecodeError *error)
{
	ChangelogDecoder *decoder = (ChangelogDecoder *) base;
	ChangelogReader *reader;
	FeathubChangelogField which;
	FeathubAvroCursor message = {
		.p = (const unsigned char *) data, .end = (const unsigned char *) data + len
	};
	FeathubAvroCursor cursor;
	const FeathubAvroNode *node;
	bool		deleted;

	base->change = FEATHUB_CHANGE_NONE;
	base->change_time = DT_NOBEGIN;
	MemoryContextReset(decoder->scratch);
	reader = FeathubAvroSchemasOpen(decoder->schemas, &message, error);
	if (reader == NULL)
		return false;

	/* all of it, so that nothing below meets the end of the data */
	cursor = message;
	if (!FeathubAvroSkipValue(&cursor, reader->root, error))
		return false;
	if (cursor.p != cursor.end)
		return FeathubDecodeFail(error, ERRCODE_DATA_CORRUPTED,
								 "there are %zu bytes behind the Avro record",
								 (Size) (cursor.end - cursor.p));
	if (!find_change(base, reader, &message, error))
		return false;
	if (base->change == FEATHUB_CHANGE_NONE)
		return true;
	deleted = base->change == FEATHUB_CHANGE_DELETE;
	which = deleted ? FEATHUB_CHANGELOG_OLD : FEATHUB_CHANGELOG_NEW;
	cursor = message;
	if (!reader->flat && (!go_to(reader, &reader->fields[which], &message, &cursor, &node, error) ||
						  node->type != AVRO_RECORD))
		return FeathubChangelogNoImage(&FeathubChangelogDebezium, which, error);
	if (!FeathubAvroReadRecord(&reader->images[!reader->flat && deleted], &cursor, values, isnull,
							   error))
		return false;
	return read_envelope(reader, &message, values, isnull, error);
}

const FeathubFormat FeathubDebeziumAvroFormat = {
	.name = "debezium-avro",
	.options = FeathubDebeziumAvroOptions,
	.options_size = sizeof(FeathubAvroOptions),
	.uses_carrier = true,
	.changelog = true,
	.begin_decode = debezium_begin_decode,
	.decode = debezium_decode,
	.describe_schema = debezium_describe,
};
