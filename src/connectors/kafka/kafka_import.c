/*
 * kafka_import.c
 *		IMPORT FOREIGN SCHEMA and ANALYZE.
 *
 * Kafka has no schemas: the name of the remote schema is not looked at.  Every
 * topic becomes a table of its name, with the raw value and all metadata
 * columns; with option infer 'true', a topic whose last records are all JSON
 * objects becomes a table with their members as columns, and with option
 * registry 'true' one that has a schema in the server's schema registry a table
 * with its fields.  Topics whose names
 * begin with "__" are the broker's own: they are imported if they are named in
 * LIMIT TO or with option internal_topics.
 */
#include "postgres.h"

#include <math.h>

#include "access/htup_details.h"
#include "commands/defrem.h"
#include "parser/parse_type.h"
#include "catalog/heap.h"
#include "common/pg_prng.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "parser/scansup.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "connectors/kafka/kafka_reader.h"
#include "formats/infer.h"
#include "formats/schema_registry.h"

/* ANALYZE reads so many runs of records at most, and so short ones at least. */
#define SAMPLE_RUNS			32
#define SAMPLE_RUN_MIN		100

typedef struct KafkaImport
{
	bool		infer;
	int			sample_size;
	bool		internal_topics;
	bool		registry;
} KafkaImport;

/* A column of the table that a topic becomes. */
typedef struct ImportColumn
{
	char	   *field;			/* its name in the message */
	const char *type;
	const char *option;			/* says the field, if the column's name is not it */
	bool		is_key;
} ImportColumn;

/* What is in a topic's messages. */
typedef struct ImportTopic
{
	const char *format;
	const char *key_format;		/* or NULL */
	bool		except_key;		/* no column of the key is in the value */
	List	   *columns;		/* ImportColumn * */
} ImportTopic;

const FeathubOption FeathubKafkaImportOptions[] = {
	{
		"infer", FEATHUB_ON_IMPORT, FEATHUB_OPTION_BOOL,
		.offset = offsetof(KafkaImport, infer),
		.default_value = "false",
		.description = "Whether columns are inferred from JSON objects in the topics."
	},
	{
		"sample_size", FEATHUB_ON_IMPORT, FEATHUB_OPTION_INT,
		.offset = offsetof(KafkaImport, sample_size),
		.min = 1, .max = 1000000, .default_value = "100",
		.description = "Records at the end of each partition that columns are inferred from."
	},
	{
		"internal_topics", FEATHUB_ON_IMPORT, FEATHUB_OPTION_BOOL,
		.offset = offsetof(KafkaImport, internal_topics),
		.default_value = "false",
		.description = "Whether topics whose names begin with \"__\" are imported too."
	},
	{
		"registry", FEATHUB_ON_IMPORT, FEATHUB_OPTION_BOOL,
		.offset = offsetof(KafkaImport, registry),
		.default_value = "false",
		.description = "Whether columns are those of the latest schemas in the server's schema registry, where a topic has one."
	},
	{.name = NULL}
};

/* Columns for metadata, in every imported table. */
static const struct
{
	const char *name;
	const char *type;
}			metadata_columns[] =
{
	{"topic", "pg_catalog.text"},
	{"partition", "pg_catalog.int4"},
	{"offset", "pg_catalog.int8"},
	{"timestamp", "pg_catalog.timestamptz"},
	{"timestamp_type", "pg_catalog.text"},
	{"key", "pg_catalog.bytea"},
	{"headers", "pg_catalog.jsonb"},
	{NULL}
};

static List *topics_to_import(KafkaClient *client, ImportForeignSchemaStmt *stmt,
							  const KafkaImport *import);
static bool look_up_schemas(FeathubSchemaRegistry *registry, const char *topic,
							ImportTopic *result);
static bool infer_fields(KafkaClient *client, KafkaReader *reader, const char *topic,
						 int sample_size, ImportTopic *result);
static char *make_statement(ForeignServer *server, const char *topic, const ImportTopic *import);
static KafkaReaderPart *choose_sample(KafkaPartition *partitions, int npartitions,
									  double total, int targrows);

List *
FeathubKafkaImportSchema(ForeignServer *server, UserMapping *user,
						 ImportForeignSchemaStmt *stmt)
{
	KafkaImport import = {0};
	KafkaOptions *options = FeathubKafkaServerOptions(server, user);
	KafkaClient *client;
	KafkaReader *reader;
	FeathubSchemaRegistry *registry = NULL;
	List	   *result = NIL;
	ListCell   *lc;

	FeathubOptionsDefaults(FeathubKafkaImportOptions, FEATHUB_ON_IMPORT, &import);
	FeathubOptionsParse(FeathubKafkaImportOptions, FEATHUB_ON_IMPORT, stmt->options, &import);

	if (import.registry)
		registry = FeathubSchemaRegistryOpen(server->options, user ? user->options : NIL);
	if (import.registry && registry == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_OPTION_NAME_NOT_FOUND),
				 errmsg("option \"%s\" is required for foreign server \"%s\"",
						"schema_registry_url", server->servername)));

	client = FeathubKafkaClientPrepare(server, user, NIL, options, RD_KAFKA_CONSUMER,
									   CurrentMemoryContext);
	FeathubKafkaClientStart(client);
	reader = FeathubKafkaReaderBegin(client);
	foreach(lc, topics_to_import(client, stmt, &import))
	{
		char	   *topic = lfirst(lc);
		ImportTopic found = {.format = "raw"};

		CHECK_FOR_INTERRUPTS();
		if ((registry == NULL || !look_up_schemas(registry, topic, &found)) && import.infer)
			(void) infer_fields(client, reader, topic, import.sample_size, &found);
		result = lappend(result, make_statement(server, topic, &found));
	}
	FeathubKafkaReaderStop(reader);
	FeathubKafkaClientClose(client);
	return result;
}

/* Names (char *) of the topics that the statement wants. */
static List *
topics_to_import(KafkaClient *client, ImportForeignSchemaStmt *stmt,
				 const KafkaImport *import)
{
	List	   *names = FeathubKafkaTopics(client);
	List	   *result = NIL;
	KafkaPartition *partitions;
	int			n;
	ListCell   *lc;

	if (import->internal_topics || stmt->list_type == FDW_IMPORT_SCHEMA_LIMIT_TO)
	{
		partitions = FeathubKafkaPartitions(client, "^__", &n);
		for (int i = 0; i < n; i++)
		{
			if (i == 0 || strcmp(partitions[i].topic, partitions[i - 1].topic) != 0)
				names = lappend(names, partitions[i].topic);
		}
	}
	foreach(lc, names)
	{
		char	   *table = pstrdup(lfirst(lc));

		/* as the parser does to names in LIMIT TO */
		truncate_identifier(table, strlen(table), false);
		if (IsImportableForeignTable(table, stmt))
			result = lappend(result, lfirst(lc));
	}
	return result;
}

/*
 * The columns of a subject's latest schema, and the format that reads it; NIL
 * if there is none.  value: what a column is called that is all of the value.
 */
static List *
columns_of_subject(FeathubSchemaRegistry *registry, const char *subject, const char *value,
				   const char **format)
{
	FeathubRegistrySchema *schema = FeathubSchemaBySubject(registry, subject, 0);
	List	   *defs = NIL;
	List	   *result = NIL;
	bool		is_record = true;
	ListCell   *lc;

	for (int i = 0; schema && FeathubFormats[i] && defs == NIL; i++)
	{
		if (FeathubFormats[i]->describe_schema == NULL)
			continue;
		defs = FeathubFormats[i]->describe_schema(schema, &is_record);
		*format = FeathubFormats[i]->name;
	}
	foreach(lc, defs)
	{
		ColumnDef  *def = lfirst_node(ColumnDef, lc);
		ImportColumn *column = palloc0(sizeof(ImportColumn));
		Oid			type;
		int32		typmod;

		typenameTypeIdAndMod(NULL, def->typeName, &type, &typmod);
		column->field = is_record ? def->colname : pstrdup(value);
		if (is_record && def->fdwoptions != NIL)
			column->field = defGetString(linitial_node(DefElem, def->fdwoptions));
		column->type = format_type_extended(type, typmod,
											FORMAT_TYPE_TYPEMOD_GIVEN | FORMAT_TYPE_FORCE_QUALIFY);
		column->option = "column_name";
		result = lappend(result, column);
	}
	return result;
}

/* The columns of a topic whose value has a schema in the registry. */
static bool
look_up_schemas(FeathubSchemaRegistry *registry, const char *topic, ImportTopic *result)
{
	List	   *key;
	ListCell   *lc;

	result->columns = columns_of_subject(registry,
										 FeathubSchemaSubjectName(FEATHUB_SUBJECT_TOPIC, topic,
																  false, NULL),
										 "value", &result->format);
	if (result->columns == NIL)
	{
		result->format = "raw";
		return false;
	}
	key = columns_of_subject(registry, FeathubSchemaSubjectName(FEATHUB_SUBJECT_TOPIC, topic,
																true, NULL),
							 "key", &result->key_format);
	result->except_key = key != NIL;
	foreach(lc, key)
	{
		ImportColumn *column = lfirst(lc);
		ImportColumn *same = NULL;
		ListCell   *cell;

		foreach(cell, result->columns)
		{
			if (strcmp(((ImportColumn *) lfirst(cell))->field, column->field) == 0)
				same = lfirst(cell);
		}
		if (same)
		{
			same->is_key = true;
			result->except_key = false;
			continue;
		}
		column->is_key = true;
		result->columns = lappend(result->columns, column);
	}
	return true;
}

/* The columns of a topic of JSON objects; false if it is none. */
static bool
infer_fields(KafkaClient *client, KafkaReader *reader, const char *topic, int sample_size,
			 ImportTopic *result)
{
	FeathubInference *inference = FeathubInferBegin();
	KafkaPartition *partitions;
	KafkaReaderPart *parts;
	rd_kafka_message_t *message;
	ListCell   *lc;
	int			n;

	partitions = FeathubKafkaPartitions(client, topic, &n);
	if (n == 0)
		return false;
	FeathubKafkaWatermarks(client, partitions, n);
	parts = palloc0(sizeof(KafkaReaderPart) * n);
	for (int i = 0; i < n; i++)
	{
		parts[i].partition = &partitions[i];
		parts[i].nranges = 1;
		parts[i].ranges = palloc(sizeof(KafkaRange));
		parts[i].ranges->start = Max(partitions[i].low, partitions[i].high - sample_size);
		parts[i].ranges->end = partitions[i].high;
	}
	FeathubKafkaReaderStart(reader, parts, n);
	while ((message = FeathubKafkaReaderNext(reader)) != NULL)
	{
		if (message->payload != NULL)
			FeathubInferRecord(inference, message->payload, message->len);
	}
	foreach(lc, FeathubInferFields(inference))
	{
		FeathubInferred *field = lfirst(lc);
		ImportColumn *column = palloc0(sizeof(ImportColumn));

		column->field = field->name;
		column->type = field->type;
		column->option = "path";
		result->columns = lappend(result->columns, column);
		result->format = "json";
	}
	return result->columns != NIL;
}

/* Append the options of a column that is called name. */
static void
put_column_options(StringInfo sql, const ImportColumn *column, const char *name)
{
	bool		renamed = strcmp(name, column->field) != 0;

	if (!renamed && !column->is_key)
		return;
	appendStringInfoString(sql, " OPTIONS (");
	if (column->is_key)
		appendStringInfoString(sql, "key 'true'");
	if (renamed)
		appendStringInfo(sql, "%s%s %s", column->is_key ? ", " : "", column->option,
						 quote_literal_cstr(strcmp(column->option, "path") == 0 ?
											FeathubInferJsonPath(column->field) :
											column->field));
	appendStringInfoChar(sql, ')');
}

static char *
make_statement(ForeignServer *server, const char *topic, const ImportTopic *import)
{
	StringInfoData sql;
	List	   *used = NIL;
	char	   *table = pstrdup(topic);
	ListCell   *lc;

	truncate_identifier(table, strlen(table), false);
	initStringInfo(&sql);
	appendStringInfo(&sql, "CREATE FOREIGN TABLE %s (", quote_identifier(table));
	if (import->columns == NIL)
	{
		appendStringInfoString(&sql, "\n  value pg_catalog.bytea");
		used = lappend(used, "value");
	}
	foreach(lc, import->columns)
	{
		ImportColumn *column = lfirst(lc);
		char	   *name = FeathubInferColumnName(column->field, used);

		appendStringInfo(&sql, "%s\n  %s %s", used == NIL ? "" : ",",
						 quote_identifier(name), column->type);
		put_column_options(&sql, column, name);
		used = lappend(used, name);
	}
	for (int i = 0; metadata_columns[i].name != NULL; i++)
	{
		const char *kind = metadata_columns[i].name;
		char	   *name = pstrdup(kind);

		while (FeathubInferIsUsed(name, used))
			name = psprintf("kafka_%s", name);
		appendStringInfo(&sql, ",\n  %s %s OPTIONS (metadata '%s')",
						 quote_identifier(name), metadata_columns[i].type, kind);
		used = lappend(used, name);
	}
	appendStringInfo(&sql, "\n) SERVER %s OPTIONS (topic %s, format '%s'",
					 quote_identifier(server->servername), quote_literal_cstr(topic),
					 import->format);
	if (import->key_format)
		appendStringInfo(&sql, ", key_format '%s'", import->key_format);
	if (import->except_key)
		appendStringInfoString(&sql, ", value_fields 'except_key'");
	appendStringInfoChar(&sql, ')');
	return sql.data;
}

/*
 * FeathubConnector.sample_rows
 *		A sample of all partitions, for ANALYZE.
 *
 * A topic that is small enough is read whole; of a larger one, runs of records
 * at random places.  A record that does not decode is left out.  The total is
 * that of the offsets, scaled by how many of them held records.
 */
int
FeathubKafkaSampleRows(FeathubRelation *rel, HeapTuple *rows, int targrows,
					   double *totalrows, double *totaldeadrows)
{
	KafkaOptions *options = rel->options;
	MemoryContext row_context;
	MemoryContext context = CurrentMemoryContext;
	KafkaClient *client;
	KafkaReader *reader;
	KafkaRowDecoder *decoder;
	KafkaPartition *partitions;
	KafkaReaderPart *parts;
	rd_kafka_message_t *message;
	Datum	   *values = palloc(sizeof(Datum) * Max(rel->tupdesc->natts, 1));
	bool	   *isnull = palloc(sizeof(bool) * Max(rel->tupdesc->natts, 1));
	double		total = 0;
	double		asked = 0;
	double		seen = 0;
	double		decoded = 0;
	int			nrows = 0;
	int			n;

	*totalrows = *totaldeadrows = 0;
	client = FeathubKafkaClientForRelation(rel, RD_KAFKA_CONSUMER, context);
	FeathubKafkaClientStart(client);
	reader = FeathubKafkaReaderBegin(client);
	decoder = FeathubKafkaRowBegin(rel, NULL);
	partitions = FeathubKafkaPartitions(client, options->topic, &n);
	if (n > 0)
		FeathubKafkaWatermarks(client, partitions, n);
	for (int i = 0; i < n; i++)
		total += partitions[i].high - partitions[i].low;
	parts = choose_sample(partitions, n, total, targrows);
	for (int i = 0; i < n; i++)
	{
		for (int j = 0; j < parts[i].nranges; j++)
			asked += parts[i].ranges[j].end - parts[i].ranges[j].start;
	}

	row_context = AllocSetContextCreate(context, "feathub kafka sample row",
										ALLOCSET_DEFAULT_SIZES);
	FeathubKafkaReaderStart(reader, parts, n);
	while ((message = FeathubKafkaReaderNext(reader)) != NULL)
	{
		FeathubDecodeError error = {0};
		HeapTuple	tuple;
		int			place;

		seen++;
		MemoryContextReset(row_context);
		MemoryContextSwitchTo(row_context);
		memset(isnull, true, sizeof(bool) * rel->tupdesc->natts);
		if (!FeathubKafkaRowDecode(decoder, message, values, isnull, &error))
		{
			ereport(DEBUG1,
					(errmsg_internal("topic \"%s\" partition %d offset %lld: %s",
									 rd_kafka_topic_name(message->rkt), message->partition,
									 (long long) message->offset,
									 error.message ? error.message : "record does not decode")));
			continue;
		}
		decoded++;
		place = nrows;
		if (nrows == targrows)
		{
			/* reservoir: replace one with the probability targrows / decoded */
			place = (int) (pg_prng_double(&pg_global_prng_state) * decoded);
			if (place >= targrows)
				continue;
		}
		MemoryContextSwitchTo(context);
		tuple = heap_form_tuple(rel->tupdesc, values, isnull);
		if (place == nrows)
			nrows++;
		else
			heap_freetuple(rows[place]);
		rows[place] = tuple;
	}
	MemoryContextSwitchTo(context);
	MemoryContextDelete(row_context);
	FeathubKafkaClientClose(client);

	*totalrows = asked > 0 ? rint(total * seen / asked) : 0;
	return nrows;
}

/* The ranges to read for a sample of targrows records. */
static KafkaReaderPart *
choose_sample(KafkaPartition *partitions, int npartitions, double total, int targrows)
{
	KafkaReaderPart *parts = palloc0(sizeof(KafkaReaderPart) * Max(npartitions, 1));
	int64		run = Max(targrows / SAMPLE_RUNS, SAMPLE_RUN_MIN);

	for (int i = 0; i < npartitions; i++)
	{
		KafkaPartition *partition = &partitions[i];
		int64		size = partition->high - partition->low;
		int64		wanted;
		int64		slots;
		int			chosen = 0;

		parts[i].partition = partition;
		if (size <= 0)
			continue;
		wanted = (int64) ceil(targrows * (size / total) / run);
		slots = size / run;

		/* whole, if most of it would be read anyway */
		if (total <= targrows * 2.0 || wanted * 2 >= slots)
		{
			parts[i].ranges = palloc(sizeof(KafkaRange));
			parts[i].ranges->start = partition->low;
			parts[i].ranges->end = partition->high;
			parts[i].nranges = 1;
			continue;
		}

		/* runs at different places of a grid, in order (Knuth's algorithm S) */
		parts[i].ranges = palloc(sizeof(KafkaRange) * wanted);
		for (int64 slot = 0; slot < slots && chosen < wanted; slot++)
		{
			if (pg_prng_double(&pg_global_prng_state) * (slots - slot) >= wanted - chosen)
				continue;
			parts[i].ranges[chosen].start = partition->low + slot * run;
			parts[i].ranges[chosen].end = parts[i].ranges[chosen].start + run;
			chosen++;
		}
		parts[i].nranges = chosen;
	}
	return parts;
}
