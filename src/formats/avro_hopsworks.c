/*
 * avro_hopsworks.c
 *		Format hopsworks-avro: messages as the clients of Hopsworks' Stream API
 *		write them to a feature group's topic.
 *
 * The body is a record without header.  Features of complex types (arrays,
 * maps, records) are bytes in it, which hold the value in avro once more: the
 * schema that the registry has tells their real types.  Headers tell which
 * feature group a message is of (several may share a topic), the schema's id
 * (subjectId), whether the row is deleted (operation), and whether it is meant
 * for one store only (storage).  The key is the text of the primary key's
 * values, in the order of their names, with nothing between: it is written, but
 * cannot be read.
 */
#include "postgres.h"

#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "mb/pg_wchar.h"

#include "formats/avro_message.h"
#include "formats/format_private.h"

typedef struct HopsworksDecoder
{
	FeathubDecoder base;
	FeathubAvroSchemas *schemas;	/* NULL: of keys */
	bool		by_header;		/* the schema is the one that a header names */
	MemoryContext scratch;
} HopsworksDecoder;

/* A column of the key. */
typedef struct KeyColumn
{
	const char *name;
	int			at;				/* attnum - 1 */
	FmgrInfo	output;
} KeyColumn;

typedef struct HopsworksEncoder
{
	FeathubEncoder base;
	FeathubAvroRecordWriter records;
	KeyColumn  *key;			/* of keys: by name; else NULL */
	MemoryContext scratch;
} HopsworksEncoder;

static void *
make_reader(FeathubDecoder *base, const FeathubAvroNode *root, const char *where,
			FeathubDecodeError *error)
{
	HopsworksDecoder *decoder = (HopsworksDecoder *) base;
	FeathubAvroRecordReader *records = palloc0(sizeof(FeathubAvroRecordReader));

	records->nested = true;
	return FeathubAvroMatchRecords(records, base->format, root, base->ncolumns, base->columns,
								   base->options, "avro_schema", where, decoder->scratch, error) ?
		records : NULL;
}

static FeathubDecoder *
hopsworks_begin_decode(TupleDesc tupdesc, int ncolumns, FeathubColumn *columns, void *options)
{
	HopsworksDecoder *decoder = palloc0(sizeof(HopsworksDecoder));
	const FeathubAvroOptions *own = options;

	FeathubAvroDecoderInit(&decoder->base, &FeathubHopsworksAvroFormat, tupdesc, ncolumns, columns,
						   options);
	decoder->scratch = AllocSetContextCreate(CurrentMemoryContext, "feathub avro record",
											 ALLOCSET_SMALL_SIZES);
	if (own->carrier && own->carrier->is_key)
		return &decoder->base;
	decoder->by_header = own->schema == NULL && own->carrier && own->carrier->registry;
	decoder->schemas = FeathubAvroSchemasBegin(&decoder->base,
											   decoder->by_header ? FEATHUB_AVRO_CONFLUENT :
											   FEATHUB_AVRO_PLAIN, make_reader);
	return &decoder->base;
}

/* A header's text; NULL if there is none. */
static const char *
header_of(FeathubDecoder *decoder, const char *name, Size *len)
{
	const char *data = NULL;

	*len = 0;
	if (decoder->message == NULL ||
		!decoder->message->get_header(decoder->message, name, &data, len))
		return NULL;
	return data;
}

static bool
is_text(const char *data, Size len, const char *text)
{
	return data && len == strlen(text) && memcmp(data, text, len) == 0;
}

/* Is the message one of our feature group's, for us? */
static bool
is_ours(FeathubDecoder *decoder)
{
	const FeathubAvroOptions *options = decoder->options;
	const char *data;
	Size		len;

	data = header_of(decoder, "featureGroupId", &len);
	if (options->feature_group_id && !is_text(data, len, options->feature_group_id))
		return false;
	data = header_of(decoder, "projectId", &len);
	if (options->project_id && !is_text(data, len, options->project_id))
		return false;

	/* older clients: 0 is offline, 1 both */
	data = header_of(decoder, "storage", &len);
	if (options->storage == FEATHUB_HOPSWORKS_ONLINE)
		return !is_text(data, len, "offline") && !is_text(data, len, "0");
	if (options->storage == FEATHUB_HOPSWORKS_OFFLINE)
		return !is_text(data, len, "online");
	return true;
}

/* What the message does to its row. */
static bool
find_change(FeathubDecoder *decoder, FeathubDecodeError *error)
{
	static const char *const upserts[] = {"insert", "upsert", "update"};
	Size		len;
	const char *data = header_of(decoder, "operation", &len);

	decoder->change = FEATHUB_CHANGE_UPSERT;
	if (data == NULL)
		return true;
	for (int i = 0; i < lengthof(upserts); i++)
	{
		if (is_text(data, len, upserts[i]))
			return true;
	}
	if (!is_text(data, len, "delete"))
		return FeathubDecodeFail(error, ERRCODE_INVALID_PARAMETER_VALUE,
								 "unknown operation in header \"operation\"");
	decoder->change = FEATHUB_CHANGE_DELETE;
	return true;
}

/* What reads the message, by the id in its header. */
static FeathubAvroRecordReader *
reader_by_header(HopsworksDecoder *decoder, FeathubDecodeError *error)
{
	Size		len;
	const char *data = header_of(&decoder->base, "subjectId", &len);
	int64		id = 0;

	if (data == NULL || len == 0 || len > 10)
		id = -1;
	for (Size i = 0; i < len && id >= 0; i++)
		id = data[i] >= '0' && data[i] <= '9' ? id * 10 + (data[i] - '0') : -1;
	if (id < 0 || id > PG_INT32_MAX)
	{
		(void) FeathubDecodeFail(error, ERRCODE_INVALID_PARAMETER_VALUE,
								 "header \"subjectId\" is missing or no number");
		return NULL;
	}
	return FeathubAvroSchemasById(decoder->schemas, (int32) id, error);
}

static bool
hopsworks_decode(FeathubDecoder *base, const char *data, Size len, Datum *values, bool *isnull,
				 FeathubDecodeError *error)
{
	HopsworksDecoder *decoder = (HopsworksDecoder *) base;
	FeathubAvroRecordReader *records;
	FeathubAvroCursor cursor = {
		.p = (const unsigned char *) data, .end = (const unsigned char *) data + len
	};

	base->change = FEATHUB_CHANGE_NONE;
	base->change_time = DT_NOBEGIN;
	if (decoder->schemas == NULL || !is_ours(base))
		return true;
	if (!find_change(base, error))
		return false;
	MemoryContextReset(decoder->scratch);
	records = decoder->by_header ? reader_by_header(decoder, error) :
		FeathubAvroSchemasGiven(decoder->schemas);
	if (records == NULL || !FeathubAvroReadRecord(records, &cursor, values, isnull, error))
		return false;
	if (cursor.p != cursor.end)
		return FeathubDecodeFail(error, ERRCODE_DATA_CORRUPTED,
								 "there are %zu bytes behind the Avro record",
								 (Size) (cursor.end - cursor.p));
	return true;
}

static int
compare_columns(const void *a, const void *b)
{
	return strcmp(((const KeyColumn *) a)->name, ((const KeyColumn *) b)->name);
}

static KeyColumn *
make_key(TupleDesc tupdesc, int ncolumns, FeathubColumn *columns, void *options)
{
	KeyColumn  *key = palloc0(sizeof(KeyColumn) * Max(ncolumns, 1));

	for (int i = 0; i < ncolumns; i++)
	{
		Oid			output;
		bool		varlena;

		key[i].name = FeathubAvroColumnOptions(&FeathubHopsworksAvroFormat, options,
											   &columns[i])->column_name;
		key[i].at = columns[i].attnum - 1;
		getTypeOutputInfo(columns[i].typid, &output, &varlena);
		fmgr_info(output, &key[i].output);
	}
	qsort(key, ncolumns, sizeof(KeyColumn), compare_columns);
	return key;
}

static FeathubEncoder *
hopsworks_begin_encode(TupleDesc tupdesc, int ncolumns, FeathubColumn *columns, void *options)
{
	HopsworksEncoder *encoder = palloc0(sizeof(HopsworksEncoder));
	const FeathubAvroOptions *own = options;

	encoder->scratch = AllocSetContextCreate(CurrentMemoryContext, "feathub avro record",
											 ALLOCSET_SMALL_SIZES);
	if (own->carrier && own->carrier->is_key)
	{
		encoder->key = make_key(tupdesc, ncolumns, columns, options);
		return &encoder->base;
	}
	encoder->records.nested = true;
	FeathubAvroMakeRecordWriter(&encoder->records, &FeathubHopsworksAvroFormat, NULL, tupdesc,
								ncolumns, columns, options);
	return &encoder->base;
}

static void
put_header(FeathubEncoder *encoder, const char *name, const char *value)
{
	if (value && encoder->message)
		encoder->message->put_header(encoder->message, name, value, strlen(value));
}

static void
write_key(HopsworksEncoder *encoder, Datum *values, bool *isnull, StringInfo out)
{
	for (int i = 0; i < encoder->base.ncolumns; i++)
	{
		KeyColumn  *column = &encoder->key[i];
		char	   *text;

		if (isnull[column->at])
			continue;
		text = OutputFunctionCall(&column->output, values[column->at]);
		appendStringInfoString(out, pg_server_to_any(text, (int) strlen(text), PG_UTF8));
	}
}

static bool
hopsworks_encode(FeathubEncoder *base, Datum *values, bool *isnull, StringInfo out)
{
	HopsworksEncoder *encoder = (HopsworksEncoder *) base;
	const FeathubAvroOptions *options = base->options;
	MemoryContext old = MemoryContextSwitchTo(encoder->scratch);

	if (encoder->key)
		write_key(encoder, values, isnull, out);
	else
	{
		FeathubAvroWriteRecord(&encoder->records, values, isnull, out);
		put_header(base, "projectId", options->project_id);
		put_header(base, "featureGroupId", options->feature_group_id);
		put_header(base, "subjectId", options->subject_id);
		if (base->change == FEATHUB_CHANGE_DELETE)
			put_header(base, "operation", "delete");
		if (options->storage != FEATHUB_HOPSWORKS_ANY)
			put_header(base, "storage", options->storage == FEATHUB_HOPSWORKS_ONLINE ?
					   "online" : "offline");
	}
	MemoryContextSwitchTo(old);
	MemoryContextReset(encoder->scratch);
	return true;
}

const FeathubFormat FeathubHopsworksAvroFormat = {
	.name = "hopsworks-avro",
	.options = FeathubHopsworksAvroOptions,
	.options_size = sizeof(FeathubAvroOptions),
	.uses_carrier = true,
	.changelog = true,
	.encodes_deletes = true,
	.begin_decode = hopsworks_begin_decode,
	.decode = hopsworks_decode,
	.begin_encode = hopsworks_begin_encode,
	.encode = hopsworks_encode,
};
