/*
 * changelog_json.c
 *		Formats debezium-json and maxwell-json: changes of a database's rows as
 *		JSON messages.
 *
 * A message is an envelope (which operation, when) around images of the row;
 * the columns are read from the image after the change, of a deletion from the
 * last one before it.  Debezium's messages may have their schema around them:
 * {"schema": ..., "payload": envelope}.
 *
 * The messages are described in Debezium's manual, "Data change events" of each
 * connector, and in Maxwell's, "Data Format".
 */
#include "postgres.h"

#include "common/int.h"
#include "nodes/makefuncs.h"
#include "utils/timestamp.h"

#include "formats/format_private.h"
#include "formats/json_path.h"
#include "formats/json_value.h"

/* The fields of an envelope that tell what happened, of all dialects. */
enum
{
	FIELD_PAYLOAD,
	FIELD_OPERATION,
	FIELD_NEW,
	FIELD_OLD,
	FIELD_SOURCE,
	FIELD_TIME,
	FIELD_COUNT
};

typedef struct Operation
{
	const char *name;
	FeathubChange change;
} Operation;

typedef struct Dialect
{
	const char *name;			/* for messages */
	const char *fields[FIELD_COUNT];	/* NULL: the dialect has none */
	const Operation *operations;
	const char *refused;		/* an operation that is an error, or NULL */
	int			time_digits;	/* the time's unit is 10^-n seconds */
} Dialect;

static const Operation debezium_operations[] = {
	{"c", FEATHUB_CHANGE_UPSERT},
	{"u", FEATHUB_CHANGE_UPSERT},
	{"r", FEATHUB_CHANGE_UPSERT},
	{"d", FEATHUB_CHANGE_DELETE},
	{"m", FEATHUB_CHANGE_NONE},
	{NULL, FEATHUB_CHANGE_NONE}
};

static const Operation maxwell_operations[] = {
	{"insert", FEATHUB_CHANGE_UPSERT},
	{"update", FEATHUB_CHANGE_UPSERT},
	{"bootstrap-insert", FEATHUB_CHANGE_UPSERT},
	{"delete", FEATHUB_CHANGE_DELETE},
	{"bootstrap-start", FEATHUB_CHANGE_NONE},
	{"bootstrap-complete", FEATHUB_CHANGE_NONE},
	{"database-create", FEATHUB_CHANGE_NONE},
	{"database-alter", FEATHUB_CHANGE_NONE},
	{"table-create", FEATHUB_CHANGE_NONE},
	{"table-alter", FEATHUB_CHANGE_NONE},
	{NULL, FEATHUB_CHANGE_NONE}
};

/* before and after; source.ts_ms is when the source's transaction committed */
static const Dialect debezium = {
	.name = "Debezium",
	.fields = {"payload", "op", "after", "before", "source", "ts_ms"},
	.operations = debezium_operations,
	.refused = "t",
	.time_digits = 3
};

/* data is the row after the change, of a deletion before it */
static const Dialect maxwell = {
	.name = "Maxwell",
	.fields = {NULL, "type", "data", "data", NULL, "ts"},
	.operations = maxwell_operations,
	.time_digits = 0
};

typedef struct ChangelogDecoder
{
	FeathubDecoder base;
	const Dialect *dialect;
	FeathubJsonParser *parser;
	FeathubJsonFields outer;	/* of the message */
	FeathubJsonFields inner;	/* of its payload, if it has one */
	FeathubJsonFields source;	/* of the envelope's source: the time alone */
	int			field_of[FIELD_COUNT];	/* index in outer and inner, or -1 */
	FeathubDecoder *image;		/* columns of the row */
	FeathubDecoder *envelope;	/* columns of the envelope; NULL: there are none */
} ChangelogDecoder;

static void
prepare_fields(FeathubJsonFields *fields, const char *const *names, int n)
{
	fields->fields = palloc0(sizeof(FeathubJsonField) * Max(n, 1));
	fields->nfields = n;
	for (int i = 0; i < n; i++)
		fields->fields[i] = (FeathubJsonField)
	{
		.key = names[i], .key_len = strlen(names[i]), .plain = true
	};
	FeathubJsonFieldsPrepare(fields);
}

static FeathubDecoder *
begin_decode(const FeathubFormat *format, const Dialect *dialect, TupleDesc tupdesc,
			 int ncolumns, FeathubColumn *columns, void *options)
{
	ChangelogDecoder *decoder = palloc0(sizeof(ChangelogDecoder));
	FeathubColumn *image = palloc(sizeof(FeathubColumn) * Max(ncolumns, 1));
	FeathubColumn *envelope = palloc(sizeof(FeathubColumn) * Max(ncolumns, 1));
	const char *names[FIELD_COUNT];
	int			nimage = 0;
	int			nenvelope = 0;
	int			n = 0;

	decoder->dialect = dialect;
	for (int i = 0; i < FIELD_COUNT; i++)
	{
		decoder->field_of[i] = -1;
		for (int j = 0; j < n && dialect->fields[i]; j++)
		{
			if (strcmp(names[j], dialect->fields[i]) == 0)
				decoder->field_of[i] = j;
		}
		if (dialect->fields[i] && decoder->field_of[i] < 0)
		{
			decoder->field_of[i] = n;
			names[n++] = dialect->fields[i];
		}
	}
	prepare_fields(&decoder->outer, names, n);
	prepare_fields(&decoder->inner, names, n);
	prepare_fields(&decoder->source, &dialect->fields[FIELD_TIME], 1);
	decoder->parser = FeathubJsonParserMake();

	for (int i = 0; i < ncolumns; i++)
	{
		FeathubChangelogJsonOptions *column = FeathubFormatColumnOptions(format, options,
																		 &columns[i]);

		if (column->envelope == NULL)
		{
			image[nimage++] = columns[i];
			continue;
		}
		envelope[nenvelope] = columns[i];
		envelope[nenvelope].options =
			lcons(makeDefElem("path", (Node *) makeString(column->envelope), -1),
				  list_copy(columns[i].options));
		nenvelope++;
	}
	decoder->image = FeathubJsonBeginDecode(tupdesc, nimage, image, options);
	if (nenvelope > 0)
		decoder->envelope = FeathubJsonBeginDecode(tupdesc, nenvelope, envelope, options);
	return &decoder->base;
}

/* The number in a time's token as a timestamp; DT_NOBEGIN if it is none. */
static TimestampTz
read_time(const ChangelogDecoder *decoder, const FeathubJsonToken *token)
{
	int64		micros;
	TimestampTz result;

	if (token->kind != FEATHUB_JSON_NUMBER ||
		FeathubNumberToInt64(token->start, token->len, 6 - decoder->dialect->time_digits,
							 true, &micros) != FEATHUB_NUMBER_OK ||
		pg_sub_s64_overflow(micros, (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * USECS_PER_DAY,
							&result) ||
		!IS_VALID_TIMESTAMP(result))
		return DT_NOBEGIN;
	return result;
}

/* A field of the envelope; a MISSING token if the dialect has none such. */
static const FeathubJsonToken *
envelope_field(const ChangelogDecoder *decoder, const FeathubJsonFields *fields, int which)
{
	static const FeathubJsonToken missing = {.kind = FEATHUB_JSON_MISSING};

	return decoder->field_of[which] < 0 ? &missing :
		&fields->fields[decoder->field_of[which]].token;
}

/* When it happened in the source: as the source says, else as the message does. */
static bool
find_time(ChangelogDecoder *decoder, const FeathubJsonFields *fields, FeathubDecodeError *error)
{
	const FeathubJsonToken *source = envelope_field(decoder, fields, FIELD_SOURCE);

	decoder->base.change_time = DT_NOBEGIN;
	if (source->kind == FEATHUB_JSON_OBJECT)
	{
		if (!FeathubJsonCheck(FeathubJsonTokenFields(source, &decoder->source), error))
			return false;
		decoder->base.change_time = read_time(decoder, &decoder->source.fields[0].token);
	}
	if (decoder->base.change_time == DT_NOBEGIN)
		decoder->base.change_time = read_time(decoder,
											  envelope_field(decoder, fields, FIELD_TIME));
	return true;
}

/* What the message does to a row. */
static bool
find_change(ChangelogDecoder *decoder, const FeathubJsonFields *fields, FeathubDecodeError *error)
{
	const Dialect *dialect = decoder->dialect;
	const FeathubJsonToken *token = envelope_field(decoder, fields, FIELD_OPERATION);

	if (token->kind != FEATHUB_JSON_STRING)
		return FeathubDecodeFail(error, ERRCODE_INVALID_TEXT_REPRESENTATION,
								 "field \"%s\" of a %s message is missing or no string",
								 dialect->fields[FIELD_OPERATION], dialect->name);
	for (const Operation *operation = dialect->operations; operation->name; operation++)
	{
		if (FeathubJsonEquals(token, operation->name, strlen(operation->name)))
		{
			decoder->base.change = operation->change;
			return true;
		}
	}
	if (dialect->refused && FeathubJsonEquals(token, dialect->refused, strlen(dialect->refused)))
		return FeathubDecodeFail(error, ERRCODE_FEATURE_NOT_SUPPORTED,
								 "truncation of a table in the source cannot be applied");
	return FeathubDecodeFail(error, ERRCODE_INVALID_TEXT_REPRESENTATION,
							 "unknown operation in field \"%s\" of a %s message",
							 dialect->fields[FIELD_OPERATION], dialect->name);
}

static bool
decode(FeathubDecoder *base, const char *data, Size len, Datum *values, bool *isnull,
	   FeathubDecodeError *error)
{
	ChangelogDecoder *decoder = (ChangelogDecoder *) base;
	const FeathubJsonFields *fields = &decoder->outer;
	const FeathubJsonToken *payload;
	const FeathubJsonToken *image;
	FeathubJsonToken envelope = {.start = data,.len = len,.kind = FEATHUB_JSON_OBJECT};
	int			which;

	base->change = FEATHUB_CHANGE_NONE;
	base->change_time = DT_NOBEGIN;
	if (!FeathubJsonFindFields(decoder->parser, data, len, &decoder->outer, error))
		return false;
	payload = envelope_field(decoder, fields, FIELD_PAYLOAD);
	if (payload->kind == FEATHUB_JSON_NULL)
		return true;			/* a tombstone with its schema */
	if (payload->kind == FEATHUB_JSON_OBJECT)
	{
		envelope = *payload;
		if (!FeathubJsonCheck(FeathubJsonTokenFields(payload, &decoder->inner), error))
			return false;
		fields = &decoder->inner;
	}
	if (!find_change(decoder, fields, error) || !find_time(decoder, fields, error))
		return false;
	if (base->change == FEATHUB_CHANGE_NONE)
		return true;
	which = base->change == FEATHUB_CHANGE_DELETE ? FIELD_OLD : FIELD_NEW;
	image = envelope_field(decoder, fields, which);
	if (image->kind != FEATHUB_JSON_OBJECT)
		return FeathubDecodeFail(error, ERRCODE_NULL_VALUE_NOT_ALLOWED,
								 "field \"%s\" of a %s message is missing or no object",
								 decoder->dialect->fields[which], decoder->dialect->name);
	if (!FeathubJsonDecodeObject(decoder->image, image, values, isnull, error))
		return false;
	return decoder->envelope == NULL ||
		FeathubJsonDecodeObject(decoder->envelope, &envelope, values, isnull, error);
}

static FeathubDecoder *
begin_debezium(TupleDesc tupdesc, int ncolumns, FeathubColumn *columns, void *options)
{
	return begin_decode(&FeathubDebeziumJsonFormat, &debezium, tupdesc, ncolumns, columns, options);
}

static FeathubDecoder *
begin_maxwell(TupleDesc tupdesc, int ncolumns, FeathubColumn *columns, void *options)
{
	return begin_decode(&FeathubMaxwellJsonFormat, &maxwell, tupdesc, ncolumns, columns, options);
}

const FeathubFormat FeathubDebeziumJsonFormat = {
	.name = "debezium-json",
	.options = FeathubChangelogOptions,
	.options_size = sizeof(FeathubChangelogJsonOptions),
	.changelog = true,
	.begin_decode = begin_debezium,
	.decode = decode,
};

const FeathubFormat FeathubMaxwellJsonFormat = {
	.name = "maxwell-json",
	.options = FeathubChangelogOptions,
	.options_size = sizeof(FeathubChangelogJsonOptions),
	.changelog = true,
	.begin_decode = begin_maxwell,
	.decode = decode,
};
