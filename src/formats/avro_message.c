/*
 * avro_message.c
 *		Messages in avro: which schema one has, and what reads it.
 *
 * A decoder keeps what it has made for each schema that it met.  A schema that
 * does not go with the columns is kept too, as the reason why its messages are
 * bad: there may be many of them.
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "formats/avro_message.h"
#include "formats/format_private.h"

/* Schemas that one decoder keeps. */
#define MAX_SCHEMAS 200

/* Two bytes and the fingerprint, least significant byte first. */
#define SINGLE_OBJECT_LEN 10

typedef struct KnownSchema
{
	int32		id;
	void	   *reader;			/* NULL: it does not go with the columns */
	FeathubDecodeError problem; /* then: why */
} KnownSchema;

struct FeathubAvroSchemas
{
	FeathubDecoder *decoder;
	const FeathubAvroOptions *options;
	FeathubAvroEncoding encoding;
	FeathubAvroMakeReader make;
	MemoryContext context;		/* lives as long as the decoder */

	/* The options' schema */
	void	   *given;			/* its reader, or NULL */
	uint64		fingerprint;

	/* The registry's */
	FeathubSchemaRegistry *registry;
	MemoryContext known_context;	/* of the following */
	KnownSchema *known;
	int			nknown;
	int			last;			/* found last */
};

typedef struct AvroDecoder
{
	FeathubDecoder base;
	FeathubAvroSchemas *schemas;
	MemoryContext scratch;
} AvroDecoder;

/* What is written to one topic. */
typedef struct TopicWriter
{
	char	   *topic;			/* NULL: to whatever there is */
	int32		id;				/* of the schema in the registry */
	FeathubAvroRecordWriter records;
} TopicWriter;

typedef struct AvroEncoder
{
	FeathubEncoder base;
	FeathubAvroEncoding encoding;
	char		header[SINGLE_OBJECT_LEN];	/* of SINGLE_OBJECT */
	List	   *topics;			/* TopicWriter * */
	TopicWriter *topic;			/* the last one */
	MemoryContext context;
	MemoryContext scratch;
} AvroEncoder;

FeathubAvroEncoding
FeathubAvroEncodingOf(const FeathubAvroOptions *options)
{
	if (options->encoding != FEATHUB_AVRO_AUTO)
		return options->encoding;
	return options->carrier && options->carrier->registry ? FEATHUB_AVRO_CONFLUENT :
		FEATHUB_AVRO_PLAIN;
}

static void
need_registry(const FeathubAvroOptions *options)
{
	if (options->carrier == NULL || options->carrier->registry == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_OPTION_NAME_NOT_FOUND),
				 errmsg("option \"%s\" is required for messages that tell their schema by an id",
						"schema_registry_url"),
				 errhint("It belongs to the foreign server.")));
}

/* The header of single objects with that fingerprint. */
static void
put_fingerprint(char *header, uint64 fingerprint)
{
	header[0] = (char) 0xc3;
	header[1] = 1;
	for (int i = 0; i < 8; i++)
		header[2 + i] = (char) (fingerprint >> (8 * i));
}

FeathubAvroSchemas *
FeathubAvroSchemasBegin(FeathubDecoder *decoder, FeathubAvroEncoding encoding,
						FeathubAvroMakeReader make)
{
	FeathubAvroSchemas *schemas = palloc0(sizeof(FeathubAvroSchemas));
	const FeathubAvroOptions *options = decoder->options;
	char	   *schema;
	const char *option = FeathubAvroSchemaOption(options, &schema);
	FeathubAvroNode *root;

	schemas->decoder = decoder;
	schemas->options = options;
	schemas->encoding = encoding;
	schemas->make = make;
	schemas->context = CurrentMemoryContext;
	if (encoding == FEATHUB_AVRO_CONFLUENT)
	{
		need_registry(options);
		schemas->registry = options->carrier->registry;
		return schemas;
	}
	if (schema == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_OPTION_NAME_NOT_FOUND),
				 errmsg("option \"%s\" is required to read messages of format \"%s\"", option,
						decoder->format->name)));
	option = psprintf("option \"%s\"", option);
	root = FeathubAvroParseSchema(schema, strlen(schema), ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE,
								  option);
	schemas->fingerprint = FeathubAvroFingerprint(root);
	schemas->given = make(decoder, root, option, NULL);
	return schemas;
}

/* Fetch a schema and make its reader; false if there is no such schema. */
static bool
meet_schema(FeathubAvroSchemas *schemas, int32 id, KnownSchema *known, FeathubDecodeError *error)
{
	FeathubRegistrySchema *schema = FeathubSchemaById(schemas->registry, id, error);
	char	   *where = psprintf("the schema with id %d", id);
	FeathubAvroNode *root;

	if (schema == NULL)
		return false;
	known->id = id;
	if (schema->type != FEATHUB_SCHEMA_AVRO)
	{
		(void) FeathubDecodeFail(&known->problem, ERRCODE_INVALID_PARAMETER_VALUE,
								 "the schema with id %d is not one of avro", id);
		return true;
	}
	/* data exceptions: no other record than those of this schema is concerned */
	root = FeathubAvroParseRegistered(schema, ERRCODE_INVALID_PARAMETER_VALUE, where);
	known->reader = schemas->make(schemas->decoder, root, where, &known->problem);
	return true;
}

void *
FeathubAvroSchemasById(FeathubAvroSchemas *schemas, int32 id, FeathubDecodeError *error)
{
	MemoryContext old = CurrentMemoryContext;
	MemoryContext context;
	KnownSchema known = {0};
	bool		found = false;
	int			i = schemas->last;

	if (i >= schemas->nknown || schemas->known[i].id != id)
	{
		for (i = 0; i < schemas->nknown && schemas->known[i].id != id; i++)
			 /* empty */ ;
	}
	if (i == schemas->nknown)
	{
		if (schemas->known_context == NULL || schemas->nknown >= MAX_SCHEMAS)
		{
			/* rows of the caller's batch may still have defaults of these schemas */
			if (schemas->known_context)
				MemoryContextSetParent(schemas->known_context, old);
			schemas->known_context = NULL;
			schemas->nknown = 0;
			schemas->known_context = AllocSetContextCreate(schemas->context,
														   "feathub avro schemas",
														   ALLOCSET_SMALL_SIZES);
			schemas->known = MemoryContextAllocZero(schemas->known_context,
													sizeof(KnownSchema) * MAX_SCHEMAS);
		}
		/* not yet the decoder's: an error while asking must leave nothing */
		context = AllocSetContextCreate(old, "feathub avro schema", ALLOCSET_SMALL_SIZES);
		MemoryContextSwitchTo(context);
		found = meet_schema(schemas, id, &known, error);
		MemoryContextSwitchTo(old);
		if (!found)
		{
			if (error->message)
				error->message = pstrdup(error->message);
			MemoryContextDelete(context);
			return NULL;
		}
		MemoryContextSetParent(context, schemas->known_context);
		i = schemas->nknown++;
		schemas->known[i] = known;
	}
	schemas->last = i;
	if (schemas->known[i].reader == NULL)
	{
		*error = schemas->known[i].problem;
		error->message = pstrdup(error->message);
	}
	return schemas->known[i].reader;
}

void *
FeathubAvroSchemasGiven(FeathubAvroSchemas *schemas)
{
	return schemas->given;
}

void *
FeathubAvroSchemasOpen(FeathubAvroSchemas *schemas, FeathubAvroCursor *cursor,
					   FeathubDecodeError *error)
{
	const char *data = (const char *) cursor->p;
	Size		len = cursor->end - cursor->p;
	char		header[SINGLE_OBJECT_LEN];
	int32		id;

	switch (schemas->encoding)
	{
		case FEATHUB_AVRO_CONFLUENT:
			if (!FeathubSchemaReadHeader(&data, &len, &id, error))
				return NULL;
			cursor->p = (const unsigned char *) data;
			return FeathubAvroSchemasById(schemas, id, error);
		case FEATHUB_AVRO_SINGLE_OBJECT:
			put_fingerprint(header, schemas->fingerprint);
			if (len < SINGLE_OBJECT_LEN || memcmp(data, header, 2) != 0)
				(void) FeathubDecodeFail(error, ERRCODE_DATA_CORRUPTED,
										 "message does not begin with the marker and the fingerprint of its schema");
			else if (memcmp(data, header, SINGLE_OBJECT_LEN) != 0)
				(void) FeathubDecodeFail(error, ERRCODE_DATA_CORRUPTED,
										 "message has another schema than option \"avro_schema\"");
			else
			{
				cursor->p += SINGLE_OBJECT_LEN;
				return schemas->given;
			}
			return NULL;
		default:
			return schemas->given;
	}
}

/* Format avro */

void
FeathubAvroDecoderInit(FeathubDecoder *decoder, const FeathubFormat *format, TupleDesc tupdesc,
					   int ncolumns, FeathubColumn *columns, void *options)
{
	decoder->format = format;
	decoder->tupdesc = tupdesc;
	decoder->ncolumns = ncolumns;
	decoder->columns = columns;
	decoder->options = options;
}

static void *
make_reader(FeathubDecoder *base, const FeathubAvroNode *root, const char *where,
			FeathubDecodeError *error)
{
	AvroDecoder *decoder = (AvroDecoder *) base;
	FeathubAvroRecordReader *records = palloc0(sizeof(FeathubAvroRecordReader));

	return FeathubAvroMatchRecords(records, base->format, root, base->ncolumns, base->columns,
								   base->options, "avro_schema", where, decoder->scratch, error) ?
		records : NULL;
}

FeathubDecoder *
FeathubAvroBeginDecode(TupleDesc tupdesc, int ncolumns, FeathubColumn *columns, void *options)
{
	AvroDecoder *decoder = palloc0(sizeof(AvroDecoder));

	FeathubAvroDecoderInit(&decoder->base, &FeathubAvroFormat, tupdesc, ncolumns, columns, options);
	decoder->scratch = AllocSetContextCreate(CurrentMemoryContext, "feathub avro record",
											 ALLOCSET_SMALL_SIZES);
	decoder->schemas = FeathubAvroSchemasBegin(&decoder->base, FeathubAvroEncodingOf(options),
											   make_reader);
	return &decoder->base;
}

bool
FeathubAvroDecode(FeathubDecoder *base, const char *data, Size len, Datum *values, bool *isnull,
				  FeathubDecodeError *error)
{
	AvroDecoder *decoder = (AvroDecoder *) base;
	FeathubAvroRecordReader *records;
	FeathubAvroCursor cursor = {
		.p = (const unsigned char *) data, .end = (const unsigned char *) data + len
	};

	MemoryContextReset(decoder->scratch);
	records = FeathubAvroSchemasOpen(decoder->schemas, &cursor, error);
	if (records == NULL || !FeathubAvroReadRecord(records, &cursor, values, isnull, error))
		return false;
	if (cursor.p != cursor.end)
		return FeathubDecodeFail(error, ERRCODE_DATA_CORRUPTED,
								 "there are %zu bytes behind the Avro record",
								 (Size) (cursor.end - cursor.p));
	return true;
}

List *
FeathubAvroDescribe(const FeathubRegistrySchema *schema, bool *is_record)
{
	const FeathubAvroNode *root;
	const FeathubAvroNode *row;

	if (schema->type != FEATHUB_SCHEMA_AVRO)
		return NIL;
	root = FeathubAvroParseRegistered(schema, ERRCODE_FDW_ERROR,
									  psprintf("subject \"%s\"", schema->subject));
	if (FeathubAvroIsChangelog(root, &row))
		return NIL;
	*is_record = root->type == AVRO_RECORD;
	return FeathubAvroColumnDefs(root);
}

/* The subject of what is written to a topic. */
static char *
subject_of(AvroEncoder *encoder, const TopicWriter *writer)
{
	const FeathubAvroOptions *options = encoder->base.options;
	const char *record = writer->records.root->name;

	if (options->subject_strategy != FEATHUB_SUBJECT_RECORD && writer->topic == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("messages of a registry's schemas can be written to topics only")));
	if (options->subject_strategy != FEATHUB_SUBJECT_TOPIC && record == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
				 errmsg("the schema to write is no record, whose name the subject could have"),
				 errhint("Set option \"%s\" to \"%s\".", "avro_subject", "topic")));
	return FeathubSchemaSubjectName(options->subject_strategy, writer->topic,
									options->carrier->is_key, record);
}

/* Find or register the schema of a topic. */
static void
find_schema(AvroEncoder *encoder, TopicWriter *writer)
{
	const FeathubAvroOptions *options = encoder->base.options;
	FeathubSchemaRegistry *registry = options->carrier->registry;
	FeathubRegistrySchema *latest = NULL;
	char	   *subject = subject_of(encoder, writer);
	char	   *given;

	(void) FeathubAvroSchemaOption(options, &given);
	if (options->auto_register)
		writer->id = FeathubSchemaRegister(registry, subject, FEATHUB_SCHEMA_AVRO,
										   writer->records.schema, NULL, 0);
	else if (given)
		writer->id = FeathubSchemaLookup(registry, subject, FEATHUB_SCHEMA_AVRO, given, NULL, 0);
	else
	{
		latest = FeathubSchemaBySubject(registry, subject, 0);
		writer->id = latest ? latest->id : -1;
	}
	if (writer->id < 0)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_SCHEMA_NOT_FOUND),
				 given ?
				 errmsg("the schema is not registered under subject \"%s\" of schema registry \"%s\"",
						subject, FeathubSchemaRegistryUrl(registry)) :
				 errmsg("schema registry \"%s\" has no subject \"%s\"",
						FeathubSchemaRegistryUrl(registry), subject),
				 errhint("Register it, or set option \"%s\".", "auto_register")));
	if (latest == NULL)
		return;
	if (latest->type != FEATHUB_SCHEMA_AVRO)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_DATA_TYPE),
				 errmsg("the latest schema of subject \"%s\" is not one of avro", subject)));
	memset(&writer->records, 0, sizeof(writer->records));
	FeathubAvroMakeRecordWriter(&writer->records, &FeathubAvroFormat, latest,
								encoder->base.tupdesc, encoder->base.ncolumns,
								encoder->base.columns, encoder->base.options);
}

static TopicWriter *
make_topic_writer(AvroEncoder *encoder, const char *topic)
{
	MemoryContext old = MemoryContextSwitchTo(encoder->context);
	TopicWriter *writer = palloc0(sizeof(TopicWriter));

	writer->topic = topic ? pstrdup(topic) : NULL;
	FeathubAvroMakeRecordWriter(&writer->records, &FeathubAvroFormat, NULL, encoder->base.tupdesc,
								encoder->base.ncolumns, encoder->base.columns,
								encoder->base.options);
	if (encoder->encoding == FEATHUB_AVRO_CONFLUENT)
		find_schema(encoder, writer);
	encoder->topics = lappend(encoder->topics, writer);
	MemoryContextSwitchTo(old);
	return writer;
}

FeathubEncoder *
FeathubAvroBeginEncode(TupleDesc tupdesc, int ncolumns, FeathubColumn *columns, void *options)
{
	AvroEncoder *encoder = palloc0(sizeof(AvroEncoder));

	encoder->base.tupdesc = tupdesc;
	encoder->base.ncolumns = ncolumns;
	encoder->base.columns = columns;
	encoder->base.options = options;
	encoder->context = CurrentMemoryContext;
	encoder->encoding = FeathubAvroEncodingOf(options);
	encoder->scratch = AllocSetContextCreate(CurrentMemoryContext, "feathub avro record",
											 ALLOCSET_SMALL_SIZES);
	/* the registry is asked when there is something to write */
	if (encoder->encoding == FEATHUB_AVRO_CONFLUENT)
		need_registry(options);
	else
		encoder->topic = make_topic_writer(encoder, NULL);
	if (encoder->encoding == FEATHUB_AVRO_SINGLE_OBJECT)
		put_fingerprint(encoder->header, FeathubAvroFingerprint(encoder->topic->records.root));
	return &encoder->base;
}

static TopicWriter *
find_topic_writer(AvroEncoder *encoder)
{
	const char *topic = encoder->base.message ? encoder->base.message->topic : NULL;
	ListCell   *lc;

	foreach(lc, encoder->topics)
	{
		TopicWriter *writer = lfirst(lc);

		if (topic == writer->topic ||
			(topic && writer->topic && strcmp(topic, writer->topic) == 0))
			return writer;
	}
	return make_topic_writer(encoder, topic);
}

bool
FeathubAvroEncode(FeathubEncoder *base, Datum *values, bool *isnull, StringInfo out)
{
	AvroEncoder *encoder = (AvroEncoder *) base;
	MemoryContext old = MemoryContextSwitchTo(encoder->scratch);

	if (encoder->encoding == FEATHUB_AVRO_CONFLUENT)
	{
		encoder->topic = find_topic_writer(encoder);
		FeathubSchemaWriteHeader(encoder->topic->id, out);
	}
	else if (encoder->encoding == FEATHUB_AVRO_SINGLE_OBJECT)
		appendBinaryStringInfo(out, encoder->header, SINGLE_OBJECT_LEN);
	FeathubAvroWriteRecord(&encoder->topic->records, values, isnull, out);
	MemoryContextSwitchTo(old);
	MemoryContextReset(encoder->scratch);
	return true;
}
