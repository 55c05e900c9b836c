/*
 * protobuf_format.c
 *		Format protobuf: options, where schemas come from, and messages that a
 *		schema registry's id begins.
 *
 * A schema comes from an option, from a file of compiled descriptors, or from
 * the registry; then each message names it, and the message type in it by its
 * place.  A decoder keeps a reader for each of these that it has met.
 */
#include "postgres.h"

#include "common/base64.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "storage/fd.h"
#include "utils/memutils.h"

#include "formats/format_private.h"
#include "formats/json_path.h"
#include "formats/protobuf.h"
#include "formats/schema_registry.h"

/* The largest file of descriptors. */
#define MAX_FILE_BYTES (64 * 1024 * 1024)

/* Readers that a decoder keeps. */
#define MAX_READERS 200

/* Inputs of one schema: all that it refers to. */
#define MAX_INPUTS 1000

typedef struct ProtobufOptions
{
	const FeathubCarrier *carrier;
	char	   *descriptor_file;
	char	   *schema;
	char	   *key_schema;
	char	   *message;
	char	   *key_message;
	int			encoding;
	int			missing_columns;
	int			subject_strategy;	/* FeathubSubjectStrategy */
	bool		auto_register;
	int			timestamp_format;
	char	   *timezone;
	char	   *path;			/* of a column */
} ProtobufOptions;

enum
{
	MISSING_NULL,
	MISSING_ERROR
};

enum
{
	ENCODING_AUTO,				/* no option */
	ENCODING_PLAIN,
	ENCODING_CONFLUENT
};

static void check_schema(const char *option, const char *value);
static void check_file(const char *option, const char *value);

static const FeathubOptionValue missing_values[] = {
	{"null", MISSING_NULL},
	{"error", MISSING_ERROR},
	{NULL, 0}
};

static const FeathubOptionValue encodings[] = {
	{"plain", ENCODING_PLAIN},
	{"confluent", ENCODING_CONFLUENT},
	{NULL, 0}
};

static const FeathubOption protobuf_options[] = {
	{
		"auto_register", FEATHUB_ON_TABLE, FEATHUB_OPTION_BOOL,
		.offset = offsetof(ProtobufOptions, auto_register), .default_value = "true",
		.description = "Whether the schema of option protobuf_schema is registered when messages are written; else it must be in the registry."
	},
	{
		"missing_columns", FEATHUB_ON_TABLE, FEATHUB_OPTION_ENUM,
		.offset = offsetof(ProtobufOptions, missing_columns), .values = missing_values,
		.default_value = "null",
		.description = "What a column is that a schema does not have: null in every row, or an error."
	},
	{
		"path", FEATHUB_ON_COLUMN, FEATHUB_OPTION_STRING,
		.offset = offsetof(ProtobufOptions, path), .check = FeathubJsonPathCheck,
		.description = "Where the value is, such as a.b; by default the field with the column's name."
	},
	{
		"protobuf_descriptor_file", FEATHUB_ON_TABLE, FEATHUB_OPTION_STRING,
		.offset = offsetof(ProtobufOptions, descriptor_file), .check = check_file,
		.flags = FEATHUB_OPTION_READS_FILE,
		.description = "File of compiled descriptors with the schema, as protoc --descriptor_set_out --include_imports writes it."
	},
	{
		"protobuf_encoding", FEATHUB_ON_TABLE, FEATHUB_OPTION_ENUM,
		.offset = offsetof(ProtobufOptions, encoding), .values = encodings,
		.description = "How a message tells its schema: not at all (plain), or by its id in the registry and the place of the message type in it (confluent). By default confluent if the server has a registry, else plain."
	},
	{
		"protobuf_key_message", FEATHUB_ON_TABLE, FEATHUB_OPTION_STRING,
		.offset = offsetof(ProtobufOptions, key_message),
		.description = "The same as protobuf_message for the keys of messages."
	},
	{
		"protobuf_key_schema", FEATHUB_ON_TABLE, FEATHUB_OPTION_STRING,
		.offset = offsetof(ProtobufOptions, key_schema), .check = check_schema,
		.description = "The same as protobuf_schema for the keys of messages."
	},
	{
		"protobuf_message", FEATHUB_ON_TABLE, FEATHUB_OPTION_STRING,
		.offset = offsetof(ProtobufOptions, message),
		.description = "Full name of the message type; not needed if the schema has one only, or if messages tell it."
	},
	{
		"protobuf_schema", FEATHUB_ON_TABLE, FEATHUB_OPTION_STRING,
		.offset = offsetof(ProtobufOptions, schema), .check = check_schema,
		.description = "The schema, as the text of a .proto file."
	},
	{
		"protobuf_subject", FEATHUB_ON_TABLE, FEATHUB_OPTION_ENUM,
		.offset = offsetof(ProtobufOptions, subject_strategy), .values = FeathubSubjectStrategies,
		.default_value = "topic",
		.description = "The subject that written messages' schemas belong to: topic-value or topic-key, the message type's full name, or topic-name."
	},
	{
		"timestamp_format", FEATHUB_ON_TABLE | FEATHUB_ON_COLUMN, FEATHUB_OPTION_ENUM,
		.offset = offsetof(ProtobufOptions, timestamp_format), .values = FeathubTimestampFormats,
		.default_value = "iso8601",
		.description = "What dates and timestamps are in fields of integers: numbers since 1970-01-01 00:00:00 UTC of that unit."
	},
	{
		"timezone", FEATHUB_ON_TABLE | FEATHUB_ON_COLUMN, FEATHUB_OPTION_STRING,
		.offset = offsetof(ProtobufOptions, timezone), .check = FeathubTimezoneCheck,
		.default_value = "UTC",
		.description = "The zone in which columns without time zone have timestamps, and of text without an offset."
	},
	{.name = NULL}
};

/* A column and where its value is. */
typedef struct ProtobufColumn
{
	const FeathubColumn *column;
	FeathubConverter *type;
	int			npath;
	char	  **path;
} ProtobufColumn;

/* How messages of one type are read. */
typedef struct SchemaReader
{
	int32		id;				/* in the registry */
	int			npath;			/* place of the message type */
	int			path[FEATHUB_PROTOBUF_MAX_PATH];
	FeathubProtoReader *reader; /* NULL: messages that cannot be read */
	char	   *problem;		/* why */
	int			nmissing;
	AttrNumber *missing;		/* columns that are always null */
	struct SchemaReader *next;
} SchemaReader;

typedef struct ProtobufDecoder
{
	FeathubDecoder base;
	ProtobufOptions *options;
	bool		framed;
	int			ncolumns;
	ProtobufColumn *columns;
	SchemaReader *fixed;		/* of the schema that options give, or NULL */
	SchemaReader *readers;		/* of the registry's, last met first */
	int			nreaders;
	MemoryContext context;		/* of readers */
	MemoryContext scratch;
} ProtobufDecoder;

/* How messages to one topic are written. */
typedef struct SchemaWriter
{
	char	   *topic;			/* NULL: without the registry */
	int32		id;
	int			npath;
	const int  *path;
	FeathubProtoWriter *writer;
	struct SchemaWriter *next;
} SchemaWriter;

typedef struct ProtobufEncoder
{
	FeathubEncoder base;
	ProtobufOptions *options;
	bool		framed;
	int			ncolumns;
	ProtobufColumn *columns;
	FeathubProtoMessage *message;	/* of the schema that options give, or NULL */
	SchemaWriter *writers;
	MemoryContext context;
	MemoryContext scratch;
} ProtobufEncoder;

static bool
is_key(const ProtobufOptions *options)
{
	return options->carrier != NULL && options->carrier->is_key;
}

/* What of the options is for the bytes in hand: values, or keys. */
static const char *
schema_text(const ProtobufOptions *options)
{
	return is_key(options) ? options->key_schema : options->schema;
}

static const char *
schema_option(const ProtobufOptions *options)
{
	return is_key(options) ? "protobuf_key_schema" : "protobuf_schema";
}

static const char *
message_name(const ProtobufOptions *options)
{
	return is_key(options) ? options->key_message : options->message;
}

static const char *
message_option(const ProtobufOptions *options)
{
	return is_key(options) ? "protobuf_key_message" : "protobuf_message";
}

/* Text that options have, for the library. */
static void
add_text(FeathubProtobufInput *input, const char *name, const char *text)
{
	input->kind = FEATHUB_PROTOBUF_SOURCE;
	input->name = name;
	input->data = pg_server_to_any(text, strlen(text), PG_UTF8);
	input->len = strlen(input->data);
}

static void
check_schema(const char *option, const char *value)
{
	MemoryContext context;
	MemoryContext old;
	FeathubProtobufInput input;

	/* a dump must be restored by builds that cannot read it, too */
	if (!FeathubProtobufAvailable())
		return;
	context = AllocSetContextCreate(CurrentMemoryContext, "feathub protobuf schema",
									ALLOCSET_SMALL_SIZES);
	old = MemoryContextSwitchTo(context);
	add_text(&input, option, value);
	(void) FeathubProtobufCompile(1, &input, NULL, 0, NULL, true, "protobuf_message",
								  psprintf("option \"%s\"", option));
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
}

static void
check_file(const char *option, const char *value)
{
	if (!is_absolute_path(value))
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
				 errmsg("value for option \"%s\" must be an absolute path", option)));
}

/* The rights of whoever gave the option have been checked (connectors/relation.c). */
static void
read_descriptor_file(const char *path, FeathubProtobufInput *input)
{
	FILE	   *file = AllocateFile(path, PG_BINARY_R);
	StringInfoData content;

	if (file == NULL)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not open descriptor file \"%s\": %m", path)));
	initStringInfo(&content);
	for (;;)
	{
		Size		n;

		CHECK_FOR_INTERRUPTS();
		enlargeStringInfo(&content, 64 * 1024);
		n = fread(content.data + content.len, 1, 64 * 1024, file);
		if (ferror(file))
			ereport(ERROR,
					(errcode_for_file_access(),
					 errmsg("could not read descriptor file \"%s\": %m", path)));
		if (n == 0)
			break;
		content.len += (int) n;
		if (content.len > MAX_FILE_BYTES)
			ereport(ERROR,
					(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
					 errmsg("descriptor file \"%s\" has more than %d bytes", path,
							MAX_FILE_BYTES)));
	}
	FreeFile(file);
	input->kind = FEATHUB_PROTOBUF_SET;
	input->name = path;
	input->data = content.data;
	input->len = content.len;
}

/* The message type of the schema that options give; NULL: the registry has it. */
static FeathubProtoMessage *
schema_of_options(const ProtobufOptions *options)
{
	const char *text = schema_text(options);
	FeathubProtobufInput input;
	const char *where;

	if (text != NULL)
	{
		add_text(&input, schema_option(options), text);
		where = psprintf("option \"%s\"", schema_option(options));
	}
	else if (options->descriptor_file != NULL)
	{
		read_descriptor_file(options->descriptor_file, &input);
		where = psprintf("file \"%s\"", options->descriptor_file);
	}
	else
		return NULL;
	return FeathubProtobufCompile(1, &input, message_name(options), 0, NULL, false,
								  message_option(options), where);
}

static FeathubSchemaRegistry *
registry_of(const ProtobufOptions *options)
{
	return options->carrier ? options->carrier->registry : NULL;
}

static bool
is_framed(const ProtobufOptions *options)
{
	return options->encoding == ENCODING_CONFLUENT ||
		(options->encoding == ENCODING_AUTO && registry_of(options) != NULL);
}

static void
protobuf_check(void *arg, int ncolumns, FeathubColumn *columns)
{
	ProtobufOptions *options = arg;

	if (schema_text(options) != NULL && options->descriptor_file != NULL && !is_key(options))
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
				 errmsg("options \"%s\" and \"%s\" exclude each other", schema_option(options),
						"protobuf_descriptor_file")));
	if (schema_text(options) != NULL || options->descriptor_file != NULL)
		return;
	if (registry_of(options) == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_OPTION_NAME_NOT_FOUND),
				 errmsg("option \"%s\" or \"%s\" is required for format \"%s\"",
						schema_option(options), "protobuf_descriptor_file", "protobuf"),
				 errhint("Or name a schema registry by option \"schema_registry_url\" of the foreign server.")));
	if (!is_framed(options))
		ereport(ERROR,
				(errcode(ERRCODE_FDW_OPTION_NAME_NOT_FOUND),
				 errmsg("option \"%s\" or \"%s\" is required for option \"%s\" of value \"%s\"",
						schema_option(options), "protobuf_descriptor_file", "protobuf_encoding",
						"plain")));
}

/* What of columns does not depend on a schema. */
static ProtobufColumn *
make_columns(int ncolumns, FeathubColumn *columns, const void *options, MemoryContext scratch)
{
	ProtobufColumn *result = palloc0(sizeof(ProtobufColumn) * Max(ncolumns, 1));

	for (int i = 0; i < ncolumns; i++)
	{
		ProtobufOptions *own = FeathubFormatColumnOptions(&FeathubProtobufFormat, options,
														  &columns[i]);
		FeathubConvertSettings *settings = palloc0(sizeof(FeathubConvertSettings));
		const char *problem;
		List	   *steps;
		ListCell   *lc;

		settings->zone = FeathubTimezone(own->timezone);
		settings->timestamp_format = own->timestamp_format;
		settings->scratch = scratch;
		result[i].column = &columns[i];
		result[i].type = FeathubConverterMake(columns[i].typid, columns[i].typmod, settings);
		if (own->path == NULL)
		{
			result[i].npath = 1;
			result[i].path = palloc(sizeof(char *));
			result[i].path[0] = pstrdup(columns[i].name);
			continue;
		}
		steps = FeathubJsonPathParse(own->path, &problem);
		result[i].path = palloc(sizeof(char *) * list_length(steps));
		foreach(lc, steps)
		{
			FeathubJsonStep *step = lfirst(lc);

			if (step->key == NULL)
				ereport(ERROR,
						(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
						 errmsg("path of column \"%s\" has a subscript, which format \"%s\" does not know",
								columns[i].name, "protobuf"),
						 errhint("Make the column an array, or of type jsonb.")));
			/* a name that is none of ASCII is no field's */
			result[i].path[result[i].npath++] = step->key;
		}
	}
	return result;
}

static SchemaReader *
make_reader(ProtobufDecoder *decoder, const FeathubProtoMessage *message)
{
	SchemaReader *reader = palloc0(sizeof(SchemaReader));

	reader->missing = palloc0(sizeof(AttrNumber) * Max(decoder->ncolumns, 1));
	reader->reader = FeathubProtobufReaderMake(message, decoder->scratch);
	for (int i = 0; i < decoder->ncolumns; i++)
	{
		ProtobufColumn *column = &decoder->columns[i];
		FeathubDecodeError error;

		if (FeathubProtobufReaderAdd(reader->reader, column->npath, column->path,
									 column->column->attnum - 1, column->type, column->column))
			continue;
		if (decoder->options->missing_columns == MISSING_ERROR)
			ereport(ERROR,
					(errcode(ERRCODE_FDW_COLUMN_NAME_NOT_FOUND),
					 errmsg("message \"%s\" has no field for column \"%s\"",
							message->def->full_name, column->column->name)));
		if (!FeathubConvertNull(column->type, &error))
			ereport(ERROR,
					(errcode(error.sqlerrcode),
					 errmsg("message \"%s\" has no field for column \"%s\": %s",
							message->def->full_name, column->column->name, error.message)));
		reader->missing[reader->nmissing++] = column->column->attnum;
	}
	return reader;
}

/* Clients register compiled schemas as base64, too. */
static bool
is_base64(const FeathubRegistrySchema *schema)
{
	for (Size i = 0; i < schema->len; i++)
	{
		char		c = schema->text[i];

		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
			  c == '+' || c == '/' || c == '=' || c == '\n' || c == '\r'))
			return false;
	}
	return schema->len > 0;
}

/* A schema of the registry behind those that it refers to, each once. */
static void
add_schema(const FeathubRegistrySchema *schema, const char *name, FeathubProtobufInput *inputs,
		   int *ninputs)
{
	FeathubProtobufInput *input;

	for (int i = 0; i < *ninputs; i++)
	{
		if (strcmp(inputs[i].name, name) == 0)
			return;
	}
	for (int i = 0; i < schema->nreferences; i++)
		add_schema(schema->references[i].schema, schema->references[i].name, inputs, ninputs);
	if (*ninputs >= MAX_INPUTS)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("schema %d of the registry refers to too many others", schema->id)));
	input = &inputs[(*ninputs)++];
	input->name = name;
	input->kind = FEATHUB_PROTOBUF_SOURCE;
	input->data = schema->text;
	input->len = schema->len;
	if (is_base64(schema))
	{
		int			size = pg_b64_dec_len((int) schema->len);
		void	   *bytes = palloc(Max(size, 1));
		int			len = pg_b64_decode(schema->text, (int) schema->len, bytes, size);

		if (len >= 0)
		{
			input->kind = FEATHUB_PROTOBUF_FILE;
			input->data = bytes;
			input->len = len;
		}
	}
}

/* A message type of a schema of the registry; NULL: none at path. */
static FeathubProtoMessage *
compile_schema(const ProtobufOptions *options, const FeathubRegistrySchema *schema,
			   const char *name, int npath, const int *path)
{
	FeathubProtobufInput *inputs = palloc(sizeof(FeathubProtobufInput) * MAX_INPUTS);
	FeathubProtoMessage *result;
	int			ninputs = 0;

	add_schema(schema, psprintf("schema %d", schema->id), inputs, &ninputs);
	result = FeathubProtobufCompile(ninputs, inputs, name, npath, path, true,
									message_option(options),
									psprintf("schema %d of the registry", schema->id));
	pfree(inputs);
	return result;
}

/* The place of the message type; an empty one means the first. */
static bool
read_place(const char **data, Size *len, int *npath, int *path, FeathubDecodeError *error)
{
	FeathubProtoWire wire = {
		.p = (const unsigned char *) *data, .end = (const unsigned char *) *data + *len
	};
	uint64		value;
	int64		n;

	if (!FeathubProtobufReadVarint(&wire, &value))
		return FeathubDecodeFail(error, ERRCODE_DATA_CORRUPTED,
								 "message has no place of its type behind the schema's id");
	n = FeathubProtobufInteger(FEATHUB_PROTOBUF_SINT64, value);
	if (n < 0 || n > FEATHUB_PROTOBUF_MAX_PATH)
		return FeathubDecodeFail(error, ERRCODE_DATA_CORRUPTED,
								 "message has an invalid place of its type");
	for (int i = 0; i < n; i++)
	{
		int64		index;

		if (!FeathubProtobufReadVarint(&wire, &value))
			return FeathubDecodeFail(error, ERRCODE_DATA_CORRUPTED,
									 "message has no place of its type behind the schema's id");
		index = FeathubProtobufInteger(FEATHUB_PROTOBUF_SINT64, value);
		if (index < 0 || index > PG_INT32_MAX)
			return FeathubDecodeFail(error, ERRCODE_DATA_CORRUPTED,
									 "message has an invalid place of its type");
		path[i] = (int) index;
	}
	*npath = (int) n;
	if (n == 0)
	{
		*npath = 1;
		path[0] = 0;
	}
	*len -= (const char *) wire.p - *data;
	*data = (const char *) wire.p;
	return true;
}

/* The reader of a registry's schema, or why it has none. */
static SchemaReader *
try_registered(ProtobufDecoder *decoder, const FeathubRegistrySchema *schema, int npath,
			   const int *path)
{
	const char *wanted = message_name(decoder->options);
	FeathubProtoMessage *message = NULL;
	SchemaReader *reader;
	char	   *problem = NULL;

	if (schema->type != FEATHUB_SCHEMA_PROTOBUF)
		problem = psprintf("schema %d of the registry is not of type PROTOBUF", schema->id);
	else if ((message = compile_schema(decoder->options, schema, NULL, npath, path)) == NULL)
		problem = psprintf("schema %d of the registry has no message type at the place that the message says",
						   schema->id);
	else if (wanted != NULL && strcmp(wanted, message->def->full_name) != 0)
		problem = psprintf("message is of type \"%s\", not \"%s\"", message->def->full_name,
						   wanted);
	reader = problem == NULL ? make_reader(decoder, message) : palloc0(sizeof(SchemaReader));
	reader->problem = problem;
	reader->id = schema->id;
	reader->npath = npath;
	memcpy(reader->path, path, sizeof(int) * npath);
	return reader;
}

/*
 * The same.  A schema that cannot be read or does not go with the columns is a
 * matter of the messages that have it: an error of the data, so that a job goes
 * on with the others.  The same of options' schemas stops all.
 */
static SchemaReader *
make_registered(ProtobufDecoder *decoder, const FeathubRegistrySchema *schema, int npath,
				const int *path)
{
	MemoryContext context = CurrentMemoryContext;
	SchemaReader *volatile reader = NULL;

	PG_TRY();
	{
		reader = try_registered(decoder, schema, npath, path);
	}
	PG_CATCH();
	{
		ErrorData  *edata;

		MemoryContextSwitchTo(MemoryContextGetParent(context));
		if (ERRCODE_TO_CATEGORY(geterrcode()) != ERRCODE_FDW_ERROR)
			PG_RE_THROW();
		edata = CopyErrorData();
		FlushErrorState();
		edata->sqlerrcode = ERRCODE_INVALID_PARAMETER_VALUE;
		ReThrowError(edata);
	}
	PG_END_TRY();
	return reader;
}

/* A reader for a schema and message type not met before. */
static SchemaReader *
new_reader(ProtobufDecoder *decoder, int32 id, int npath, const int *path,
		   FeathubDecodeError *error)
{
	MemoryContext old = CurrentMemoryContext;
	MemoryContext fetched;
	MemoryContext context;
	FeathubRegistrySchema *schema;
	SchemaReader *reader;

	if (decoder->nreaders >= MAX_READERS)
	{
		MemoryContextReset(decoder->context);
		decoder->readers = NULL;
		decoder->nreaders = 0;
	}
	/* not yet the decoder's: what fails must leave nothing */
	fetched = AllocSetContextCreate(old, "feathub protobuf schema text", ALLOCSET_SMALL_SIZES);
	context = AllocSetContextCreate(old, "feathub protobuf schema", ALLOCSET_SMALL_SIZES);
	MemoryContextSwitchTo(fetched);
	schema = FeathubSchemaById(registry_of(decoder->options), id, error);
	MemoryContextSwitchTo(schema ? context : old);
	if (schema == NULL)
	{
		error->message = pstrdup(error->message);
		MemoryContextDelete(fetched);
		MemoryContextDelete(context);
		return NULL;
	}
	reader = make_registered(decoder, schema, npath, path);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(fetched);
	MemoryContextSetParent(context, decoder->context);
	reader->next = decoder->readers;
	decoder->readers = reader;
	decoder->nreaders++;
	return reader;
}

/* The reader for a message that has a header, which is taken off. */
static SchemaReader *
find_reader(ProtobufDecoder *decoder, const char **data, Size *len, FeathubDecodeError *error)
{
	int			path[FEATHUB_PROTOBUF_MAX_PATH];
	int			npath = 0;
	int32		id;
	SchemaReader *reader;

	if (!FeathubSchemaReadHeader(data, len, &id, error) ||
		!read_place(data, len, &npath, path, error))
		return NULL;
	if (decoder->fixed != NULL)
		return decoder->fixed;
	for (SchemaReader **link = &decoder->readers; *link != NULL; link = &(*link)->next)
	{
		reader = *link;
		if (reader->id != id || reader->npath != npath ||
			memcmp(reader->path, path, sizeof(int) * npath) != 0)
			continue;
		*link = reader->next;
		reader->next = decoder->readers;
		decoder->readers = reader;
		return reader;
	}
	return new_reader(decoder, id, npath, path, error);
}

static FeathubDecoder *
protobuf_begin_decode(TupleDesc tupdesc, int ncolumns, FeathubColumn *columns, void *options)
{
	ProtobufDecoder *decoder = palloc0(sizeof(ProtobufDecoder));
	FeathubProtoMessage *message;

	decoder->options = options;
	decoder->framed = is_framed(options);
	decoder->ncolumns = ncolumns;
	decoder->scratch = AllocSetContextCreate(CurrentMemoryContext, "feathub protobuf record",
											 ALLOCSET_SMALL_SIZES);
	decoder->context = AllocSetContextCreate(CurrentMemoryContext, "feathub protobuf schemas",
											 ALLOCSET_SMALL_SIZES);
	decoder->columns = make_columns(ncolumns, columns, options, decoder->scratch);
	message = schema_of_options(options);
	if (message != NULL)
		decoder->fixed = make_reader(decoder, message);
	return &decoder->base;
}

static bool
protobuf_decode(FeathubDecoder *base, const char *data, Size len, Datum *values, bool *isnull,
				FeathubDecodeError *error)
{
	ProtobufDecoder *decoder = (ProtobufDecoder *) base;
	SchemaReader *reader = decoder->fixed;

	MemoryContextReset(decoder->scratch);
	if (decoder->framed)
	{
		reader = find_reader(decoder, &data, &len, error);
		if (reader == NULL)
			return false;
		if (reader->problem != NULL)
			return FeathubDecodeFail(error, ERRCODE_DATA_CORRUPTED, "%s", reader->problem);
	}
	for (int i = 0; i < reader->nmissing; i++)
	{
		values[reader->missing[i] - 1] = (Datum) 0;
		isnull[reader->missing[i] - 1] = true;
	}
	return FeathubProtobufRead(reader->reader, data, len, values, isnull, error);
}

static FeathubProtoWriter *
make_writer(ProtobufEncoder *encoder, const FeathubProtoMessage *message)
{
	FeathubProtoWriter *writer = FeathubProtobufWriterMake(message);

	for (int i = 0; i < encoder->ncolumns; i++)
	{
		ProtobufColumn *column = &encoder->columns[i];

		if (!FeathubProtobufWriterAdd(writer, column->npath, column->path,
									  column->column->attnum - 1, column->type,
									  column->column->name))
			ereport(ERROR,
					(errcode(ERRCODE_FDW_COLUMN_NAME_NOT_FOUND),
					 errmsg("message \"%s\" has no field for column \"%s\"",
							message->def->full_name, column->column->name)));
	}
	FeathubProtobufWriterCheck(writer);
	return writer;
}

/* The subject of what is written to a topic. */
static char *
subject_of(const ProtobufEncoder *encoder, const char *topic)
{
	const ProtobufOptions *options = encoder->options;
	const char *record = encoder->message ? encoder->message->def->full_name :
		message_name(options);

	if (record == NULL && options->subject_strategy != FEATHUB_SUBJECT_TOPIC)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_OPTION_NAME_NOT_FOUND),
				 errmsg("option \"%s\" is required to find the subject of messages",
						message_option(options))));
	return FeathubSchemaSubjectName(options->subject_strategy, topic, is_key(options), record);
}

/* Find or register the schema of messages to a topic. */
static void
find_schema(ProtobufEncoder *encoder, SchemaWriter *writer)
{
	ProtobufOptions *options = encoder->options;
	FeathubSchemaRegistry *registry = registry_of(options);
	FeathubProtoMessage *message = encoder->message;
	const char *given = schema_text(options);
	char	   *subject = subject_of(encoder, writer->topic);

	if (given != NULL)
	{
		char	   *text = pg_server_to_any(given, strlen(given), PG_UTF8);

		writer->id = options->auto_register ?
			FeathubSchemaRegister(registry, subject, FEATHUB_SCHEMA_PROTOBUF, text, NULL, 0) :
			FeathubSchemaLookup(registry, subject, FEATHUB_SCHEMA_PROTOBUF, text, NULL, 0);
	}
	else
	{
		FeathubRegistrySchema *schema = FeathubSchemaBySubject(registry, subject, 0);

		writer->id = schema == NULL ? -1 : schema->id;
		if (schema != NULL && schema->type != FEATHUB_SCHEMA_PROTOBUF)
			ereport(ERROR,
					(errcode(ERRCODE_FDW_INVALID_DATA_TYPE),
					 errmsg("the latest schema of subject \"%s\" is not one of protobuf",
							subject)));
		/* a file may say which type, but the id stands for the registry's */
		if (schema != NULL)
			message = compile_schema(options, schema, message ? message->def->full_name :
									 message_name(options), 0, NULL);
	}
	if (writer->id < 0)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_SCHEMA_NOT_FOUND),
				 given != NULL ?
				 errmsg("the schema is not registered under subject \"%s\" of schema registry \"%s\"",
						subject, FeathubSchemaRegistryUrl(registry)) :
				 errmsg("schema registry \"%s\" has no subject \"%s\"",
						FeathubSchemaRegistryUrl(registry), subject),
				 given != NULL ? errhint("Register it, or set option \"%s\".", "auto_register") :
				 errhint("Register a schema, or set option \"%s\".", schema_option(options))));
	writer->writer = make_writer(encoder, message);
	writer->npath = message->schema->npath;
	writer->path = message->schema->path;
}

static SchemaWriter *
find_writer(ProtobufEncoder *encoder)
{
	const char *topic = encoder->base.message ? encoder->base.message->topic : NULL;
	SchemaWriter *writer;
	MemoryContext old;

	if (!encoder->framed)
		return encoder->writers;
	if (registry_of(encoder->options) == NULL || topic == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot write option \"%s\" of value \"%s\" without a schema registry",
						"protobuf_encoding", "confluent")));
	for (writer = encoder->writers; writer != NULL; writer = writer->next)
	{
		if (strcmp(writer->topic, topic) == 0)
			return writer;
	}
	old = MemoryContextSwitchTo(encoder->context);
	writer = palloc0(sizeof(SchemaWriter));
	writer->topic = pstrdup(topic);
	find_schema(encoder, writer);
	writer->next = encoder->writers;
	encoder->writers = writer;
	MemoryContextSwitchTo(old);
	return writer;
}

static FeathubEncoder *
protobuf_begin_encode(TupleDesc tupdesc, int ncolumns, FeathubColumn *columns, void *options)
{
	ProtobufEncoder *encoder = palloc0(sizeof(ProtobufEncoder));

	encoder->options = options;
	encoder->framed = is_framed(options);
	encoder->ncolumns = ncolumns;
	encoder->context = CurrentMemoryContext;
	encoder->scratch = AllocSetContextCreate(CurrentMemoryContext, "feathub protobuf record",
											 ALLOCSET_SMALL_SIZES);
	encoder->columns = make_columns(ncolumns, columns, options, encoder->scratch);
	encoder->message = schema_of_options(options);
	if (!encoder->framed)
	{
		encoder->writers = palloc0(sizeof(SchemaWriter));
		encoder->writers->writer = make_writer(encoder, encoder->message);
	}
	return &encoder->base;
}

static void
write_place(const SchemaWriter *writer, StringInfo out)
{
	/* the first one is written as an empty place */
	if (writer->npath == 1 && writer->path[0] == 0)
	{
		appendStringInfoCharMacro(out, 0);
		return;
	}
	FeathubProtobufPutVarint((uint64) writer->npath << 1, out);
	for (int i = 0; i < writer->npath; i++)
		FeathubProtobufPutVarint((uint64) writer->path[i] << 1, out);
}

static bool
protobuf_encode(FeathubEncoder *base, Datum *values, bool *isnull, StringInfo out)
{
	ProtobufEncoder *encoder = (ProtobufEncoder *) base;
	SchemaWriter *writer = find_writer(encoder);
	MemoryContext old = MemoryContextSwitchTo(encoder->scratch);

	if (encoder->framed)
	{
		FeathubSchemaWriteHeader(writer->id, out);
		write_place(writer, out);
	}
	FeathubProtobufWrite(writer->writer, values, isnull, out);
	MemoryContextSwitchTo(old);
	MemoryContextReset(encoder->scratch);
	return true;
}

const FeathubFormat FeathubProtobufFormat = {
	.name = "protobuf",
	.options = protobuf_options,
	.options_size = sizeof(ProtobufOptions),
	.uses_carrier = true,
	.binary = true,
	.check = protobuf_check,
	.begin_decode = protobuf_begin_decode,
	.decode = protobuf_decode,
	.begin_encode = protobuf_begin_encode,
	.encode = protobuf_encode,
};
