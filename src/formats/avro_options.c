/*
 * avro_options.c
 *		The options of the formats on avro.
 */
#include "postgres.h"

#include "mb/pg_wchar.h"
#include "utils/memutils.h"

#include "formats/avro_record.h"
#include "formats/json_path.h"

static void check_schema(const char *option, const char *value);

static const FeathubOptionValue avro_missing_values[] = {
	{"null", FEATHUB_AVRO_MISSING_NULL},
	{"error", FEATHUB_AVRO_MISSING_ERROR},
	{NULL, 0}
};

static const FeathubOptionValue avro_codec_values[] = {
	{"null", FEATHUB_AVRO_NULL},
	{"deflate", FEATHUB_AVRO_DEFLATE},
	{"snappy", FEATHUB_AVRO_SNAPPY},
	{"zstandard", FEATHUB_AVRO_ZSTANDARD},
	{"xz", FEATHUB_AVRO_XZ},
	{NULL, 0}
};

static const FeathubOptionValue avro_encoding_values[] = {
	{"plain", FEATHUB_AVRO_PLAIN},
	{"confluent", FEATHUB_AVRO_CONFLUENT},
	{"single_object", FEATHUB_AVRO_SINGLE_OBJECT},
	{NULL, 0}
};

static const FeathubOptionValue hopsworks_storage_values[] = {
	{"any", FEATHUB_HOPSWORKS_ANY},
	{"online", FEATHUB_HOPSWORKS_ONLINE},
	{"offline", FEATHUB_HOPSWORKS_OFFLINE},
	{NULL, 0}
};

/* What all of them have. */
#define AVRO_OPTIONS \
	{ \
		"avro_schema", FEATHUB_ON_TABLE, FEATHUB_OPTION_STRING, \
		.offset = offsetof(FeathubAvroOptions, schema), .check = check_schema, \
		.description = "The schema as JSON. Written is what it says, else one made from the columns; messages without a registry need it to be read; with one, it has the defaults of fields that a message lacks." \
	}, \
	{ \
		"column_name", FEATHUB_ON_COLUMN, FEATHUB_OPTION_STRING, \
		.offset = offsetof(FeathubAvroOptions, column_name), \
		.description = "The column's name in the schema, if it is not the same." \
	}, \
	{ \
		"missing_columns", FEATHUB_ON_TABLE, FEATHUB_OPTION_ENUM, \
		.offset = offsetof(FeathubAvroOptions, missing_columns), .values = avro_missing_values, \
		.default_value = "null", \
		.description = "What a column is that a schema does not have: null in every row, or an error." \
	}, \
	{ \
		"timezone", FEATHUB_ON_TABLE | FEATHUB_ON_COLUMN, FEATHUB_OPTION_STRING, \
		.offset = offsetof(FeathubAvroOptions, timezone), .check = FeathubTimezoneCheck, \
		.default_value = "UTC", \
		.description = "The zone in which times without zone are read by columns with one, and the other way round." \
	}

const FeathubOption FeathubAvroFileOptions[] = {
	AVRO_OPTIONS,
	{
		"auto_register", FEATHUB_ON_TABLE, FEATHUB_OPTION_BOOL,
		.offset = offsetof(FeathubAvroOptions, auto_register), .default_value = "true",
		.description = "Whether schemas of messages that are written are registered; else they must be in the registry, or the subject's latest one is used."
	},
	{
		"avro_encoding", FEATHUB_ON_TABLE, FEATHUB_OPTION_ENUM,
		.offset = offsetof(FeathubAvroOptions, encoding), .values = avro_encoding_values,
		.description = "How a message tells its schema: not at all, by its id in the registry, by its fingerprint. By default confluent if the server has a registry, else plain."
	},
	{
		"avro_key_schema", FEATHUB_ON_TABLE, FEATHUB_OPTION_STRING,
		.offset = offsetof(FeathubAvroOptions, key_schema), .check = check_schema,
		.description = "The same as avro_schema for the keys of messages."
	},
	{
		"avro_subject", FEATHUB_ON_TABLE, FEATHUB_OPTION_ENUM,
		.offset = offsetof(FeathubAvroOptions, subject_strategy), .values = FeathubSubjectStrategies,
		.default_value = "topic",
		.description = "The subject that written messages' schemas belong to: topic-value or topic-key, the record's full name, or topic-name."
	},
	{
		"block_bytes", FEATHUB_ON_TABLE, FEATHUB_OPTION_INT64,
		.offset = offsetof(FeathubAvroOptions, block_bytes), .min = 1024, .max = 268435456,
		.default_value = "65536",
		.description = "Bytes of records, before compression, after which a block of a file ends."
	},
	{
		"codec", FEATHUB_ON_TABLE, FEATHUB_OPTION_ENUM,
		.offset = offsetof(FeathubAvroOptions, codec), .values = avro_codec_values,
		.default_value = "deflate",
		.description = "Compression of the blocks of files that are written."
	},
	{.name = NULL}
};

const FeathubOption FeathubDebeziumAvroOptions[] = {
	AVRO_OPTIONS,
	{
		"avro_encoding", FEATHUB_ON_TABLE, FEATHUB_OPTION_ENUM,
		.offset = offsetof(FeathubAvroOptions, encoding), .values = avro_encoding_values,
		.description = "How a message tells its schema: not at all, by its id in the registry, by its fingerprint. By default confluent if the server has a registry, else plain."
	},
	{
		"envelope", FEATHUB_ON_COLUMN, FEATHUB_OPTION_STRING,
		.offset = offsetof(FeathubAvroOptions, envelope), .check = FeathubJsonPathCheck,
		.description = "Where the value is in the message around the row's image, such as op or source.ts_ms."
	},
	{.name = NULL}
};

const FeathubOption FeathubHopsworksAvroOptions[] = {
	AVRO_OPTIONS,
	{
		"hopsworks_feature_group_id", FEATHUB_ON_TABLE, FEATHUB_OPTION_STRING,
		.offset = offsetof(FeathubAvroOptions, feature_group_id),
		.description = "The header featureGroupId of messages that are written; of a topic that groups share, the others' messages are passed over."
	},
	{
		"hopsworks_project_id", FEATHUB_ON_TABLE, FEATHUB_OPTION_STRING,
		.offset = offsetof(FeathubAvroOptions, project_id),
		.description = "The same for the header projectId."
	},
	{
		"hopsworks_storage", FEATHUB_ON_TABLE, FEATHUB_OPTION_ENUM,
		.offset = offsetof(FeathubAvroOptions, storage), .values = hopsworks_storage_values,
		.default_value = "any",
		.description = "Which messages are read, if they are meant for one store only; written, the header storage says it."
	},
	{
		"hopsworks_subject_id", FEATHUB_ON_TABLE, FEATHUB_OPTION_STRING,
		.offset = offsetof(FeathubAvroOptions, subject_id),
		.description = "The header subjectId of messages that are written, the schema's id in the registry."
	},
	{.name = NULL}
};

static void
check_schema(const char *option, const char *value)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "feathub avro schema",
												  ALLOCSET_SMALL_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);

	value = pg_server_to_any(value, (int) strlen(value), PG_UTF8);
	(void) FeathubAvroParseSchema(value, strlen(value), ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE,
								  psprintf("option \"%s\"", option));
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
}
