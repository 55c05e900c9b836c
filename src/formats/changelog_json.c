/*
 * changelog_json.c
 *		Formats debezium-json and maxwell-json: changes of a database's rows as
 *		JSON messages.
 *
 * A message is an envelope (which operation, when) around images of the row;
 * the columns are read from the image after the change, of a deletion from the
 * last one before it.  Debezium's messages may have their schema around them:
 * {"schema": ..., "payload": envelope}; or they may be flat.
 */
#include "postgres.h"

#include "nodes/makefuncs.h"
#include "utils/timestamp.h"

#include "formats/changelog.h"
#include "formats/format_private.h"
#include "formats/json_path.h"
#include "formats/json_value.h"
#include "formats/schema_registry.h"

typedef struct ChangelogDecoder
{
	FeathubDecoder base;
	const FeathubChangelogDialect *dialect;
	FeathubJsonParser *parser;
	FeathubJsonFields outer;	/* of the message */
	FeathubJsonFields inner;	/* of its payload, if it has one */
	FeathubJsonFields source;	/* of the envelope's source: the time alone */
	int			field_of[FEATHUB_CHANGELOG_FIELDS];	/* index in outer and inner, or -1 */
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
begin_decode(const FeathubFormat *format, const FeathubChangelogDialect *dialect, TupleDesc tupdesc,
			 int ncolumns, FeathubColumn *columns, void *options)
{
	ChangelogDecoder *decoder = palloc0(sizeof(ChangelogDecoder));
	FeathubColumn *image = palloc(sizeof(FeathubColumn) * Max(ncolumns, 1));
	FeathubColumn *envelope = palloc(sizeof(FeathubColumn) * Max(ncolumns, 1));
	const char *names[FEATHUB_CHANGELOG_FIELDS];
	int			nimage = 0;
	int			nenvelope = 0;
	int			n = 0;

	decoder->dialect = dialect;
	for (int i = 0; i < FEATHUB_CHANGELOG_FIELDS; i++)
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
	prepare_fields(&decoder->source, &dialect->fields[FEATHUB_CHANGELOG_TIME], 1);
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

	if (token->kind != FEATHUB_JSON_NUMBER ||
		FeathubNumberToInt64(token->start, token->len, 6 - decoder->dialect->time_digits,
							 true, &micros) != FEATHUB_NUMBER_OK)
		return DT_NOBEGIN;
	return FeathubChangelogTime(micros);
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
	const FeathubJsonToken *source = envelope_field(decoder, fields, FEATHUB_CHANGELOG_SOURCE);

	decoder->base.change_time = DT_NOBEGIN;
	if (source->kind == FEATHUB_JSON_OBJECT)
	{
		if (!FeathubJsonCheck(FeathubJsonTokenFields(source, &decoder->source), error))
			return false;
		decoder->base.change_time = read_time(decoder, &decoder->source.fields[0].token);
	}
	if (decoder->base.change_time == DT_NOBEGIN)
		decoder->base.change_time = read_time(decoder,
											  envelope_field(decoder, fields, FEATHUB_CHANGELOG_TIME));
	return true;
}

/* A token as the dialects' functions want it. */
static bool
equals(const void *token, const char *s, Size len)
{
	return FeathubJsonEquals(token, s, len);
}

/* What the message does to a row. */
static bool
find_change(ChangelogDecoder *decoder, const FeathubJsonFields *fields, FeathubDecodeError *error)
{
	const FeathubJsonToken *token = envelope_field(decoder, fields, FEATHUB_CHANGELOG_OPERATION);

	if (token->kind != FEATHUB_JSON_STRING)
		return FeathubChangelogNoOperation(decoder->dialect, error);
	return FeathubChangelogFindOperation(decoder->dialect, FEATHUB_CHANGELOG_OPERATION, equals,
										 token, &decoder->base.change, error);
}

/* Is the message the row itself, without an envelope? */
static bool
is_flat(ChangelogDecoder *decoder, const FeathubJsonFields *fields)
{
	return envelope_field(decoder, fields, FEATHUB_CHANGELOG_OPERATION)->kind == FEATHUB_JSON_MISSING &&
		(envelope_field(decoder, fields, FEATHUB_CHANGELOG_FLAT_DELETED)->kind != FEATHUB_JSON_MISSING ||
		 envelope_field(decoder, fields, FEATHUB_CHANGELOG_FLAT_OPERATION)->kind != FEATHUB_JSON_MISSING);
}

/* The same of a flat message, with its time. */
static bool
find_flat_change(ChangelogDecoder *decoder, const FeathubJsonFields *fields,
				 FeathubDecodeError *error)
{
	const FeathubJsonToken *deleted = envelope_field(decoder, fields,
													 FEATHUB_CHANGELOG_FLAT_DELETED);
	const FeathubJsonToken *operation = envelope_field(decoder, fields,
													   FEATHUB_CHANGELOG_FLAT_OPERATION);

	decoder->base.change_time = read_time(decoder, envelope_field(decoder, fields,
																  FEATHUB_CHANGELOG_FLAT_TIME));
	decoder->base.change = FEATHUB_CHANGE_UPSERT;
	if (deleted->kind == FEATHUB_JSON_TRUE ||
		(deleted->kind == FEATHUB_JSON_STRING && FeathubJsonEquals(deleted, "true", 4)))
		decoder->base.change = FEATHUB_CHANGE_DELETE;
	else if (operation->kind == FEATHUB_JSON_STRING)
		return FeathubChangelogFindOperation(decoder->dialect, FEATHUB_CHANGELOG_FLAT_OPERATION,
											 equals, operation, &decoder->base.change, error);
	return true;
}

static bool
decode(FeathubDecoder *base, const char *data, Size len, Datum *values, bool *isnull,
	   FeathubDecodeError *error)
{
	ChangelogDecoder *decoder = (ChangelogDecoder *) base;
	const FeathubJsonFields *fields = &decoder->outer;
	const FeathubJsonToken *payload;
	const FeathubJsonToken *image;
	FeathubJsonToken envelope = {.kind = FEATHUB_JSON_OBJECT};
	int			which;

	FeathubSchemaSkipHeader(&data, &len);
	envelope.start = data;
	envelope.len = len;
	base->change = FEATHUB_CHANGE_NONE;
	base->change_time = DT_NOBEGIN;
	if (!FeathubJsonFindFields(decoder->parser, data, len, &decoder->outer, error))
		return false;
	payload = envelope_field(decoder, fields, FEATHUB_CHANGELOG_PAYLOAD);
	if (payload->kind == FEATHUB_JSON_NULL)
		return true;			/* a tombstone with its schema */
	if (payload->kind == FEATHUB_JSON_OBJECT)
	{
		envelope = *payload;
		if (!FeathubJsonCheck(FeathubJsonTokenFields(payload, &decoder->inner), error))
			return false;
		fields = &decoder->inner;
	}
	if (is_flat(decoder, fields))
	{
		if (!find_flat_change(decoder, fields, error))
			return false;
		return base->change == FEATHUB_CHANGE_NONE ||
			(FeathubJsonDecodeObject(decoder->image, &envelope, values, isnull, error) &&
			 (decoder->envelope == NULL ||
			  FeathubJsonDecodeObject(decoder->envelope, &envelope, values, isnull, error)));
	}
	if (!find_change(decoder, fields, error) || !find_time(decoder, fields, error))
		return false;
	if (base->change == FEATHUB_CHANGE_NONE)
		return true;
	which = base->change == FEATHUB_CHANGE_DELETE ? FEATHUB_CHANGELOG_OLD : FEATHUB_CHANGELOG_NEW;
	image = envelope_field(decoder, fields, which);
	if (image->kind != FEATHUB_JSON_OBJECT)
		return FeathubChangelogNoImage(decoder->dialect, which, error);
	if (!FeathubJsonDecodeObject(decoder->image, image, values, isnull, error))
		return false;
	return decoder->envelope == NULL ||
		FeathubJsonDecodeObject(decoder->envelope, &envelope, values, isnull, error);
}

static FeathubDecoder *
begin_debezium(TupleDesc tupdesc, int ncolumns, FeathubColumn *columns, void *options)
{
	return begin_decode(&FeathubDebeziumJsonFormat, &FeathubChangelogDebezium, tupdesc, ncolumns, columns, options);
}

static FeathubDecoder *
begin_maxwell(TupleDesc tupdesc, int ncolumns, FeathubColumn *columns, void *options)
{
	return begin_decode(&FeathubMaxwellJsonFormat, &FeathubChangelogMaxwell, tupdesc, ncolumns, columns, options);
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
