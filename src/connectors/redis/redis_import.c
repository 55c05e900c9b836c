/*
 * redis_import.c
 *		IMPORT FOREIGN SCHEMA: tables guessed from a sample of keys.
 *
 * A key's prefix is what stands before its last colon, and the colon.  The keys
 * of one prefix and type make a table; a hash's columns are the fields that the
 * sample has, with types that take all values seen.  Redis has no schemas: the
 * name of the remote schema is a number of a database, or "keys" for that of the
 * server.
 */
#include "postgres.h"

#include <ctype.h>

#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "connectors/redis/redis.h"
#include "connectors/redis/redis_node.h"

/* Columns of a table; fields beyond are left out. */
#define MAX_COLUMNS		1000

typedef struct RedisImportOptions
{
	int			sample_size;	/* keys looked at */
} RedisImportOptions;

/* What text can be, from narrow to wide. */
typedef enum ImportType
{
	IMPORT_BIGINT,
	IMPORT_DOUBLE,
	IMPORT_TEXT,
	IMPORT_BYTEA
} ImportType;

typedef struct ImportColumn
{
	char	   *name;
	ImportType	type;
} ImportColumn;

typedef struct ImportTable
{
	char	   *prefix;
	RedisKind	kind;
	List	   *columns;		/* of ImportColumn *, of a hash or stream */
	ImportType	key;
	ImportType	value;
} ImportTable;

const FeathubOption FeathubRedisImportOptions[] = {
	{
		"sample_size", FEATHUB_ON_IMPORT, FEATHUB_OPTION_INT,
		.offset = offsetof(RedisImportOptions, sample_size),
		.min = 1, .max = 1000000, .default_value = "10000",
		.description = "Keys that are looked at."
	},
	{.name = NULL}
};

static int	schema_database(const char *schema);
static List *sample_keys(RedisClient *client, RedisRequest *request, int wanted);
static List *look_at(RedisClient *client, List *keys);
static ImportTable *table_for(List **tables, const char *key, Size len, RedisKind kind);
static void look_at_fields(ImportTable *table, const RedisReply *fields);
static void widen(ImportType *type, const char *data, Size len);
static char *table_name(List *tables, ImportTable *table);
static char *make_statement(ImportTable *table, const char *name, const char *server,
							int database);

List *
FeathubRedisImportSchema(ForeignServer *server, UserMapping *user, ImportForeignSchemaStmt *stmt)
{
	RedisOptions *options = FeathubRedisServerOptions(server, user);
	RedisImportOptions import = {0};
	int			database = schema_database(stmt->remote_schema);
	List	   *statements = NIL;
	List	   *tables;
	RedisClient *client;
	RedisRequest *request;
	ListCell   *lc;

	FeathubOptionsDefaults(FeathubRedisImportOptions, FEATHUB_ON_IMPORT, &import);
	FeathubOptionsParse(FeathubRedisImportOptions, FEATHUB_ON_IMPORT, stmt->options, &import);
	if (database >= 0)
		options->database = database;
	FeathubRedisCheckServer(options, server->servername);
	client = FeathubRedisClientGet(server, user, options, CurrentMemoryContext);
	request = FeathubRedisRequestMake(client);
	tables = look_at(client, sample_keys(client, request, import.sample_size));
	foreach(lc, tables)
	{
		ImportTable *table = lfirst(lc);

		statements = lappend(statements,
							 make_statement(table, table_name(tables, table),
											server->servername, database));
	}
	return statements;
}

/* The database that a remote schema means; -1: the server's. */
static int
schema_database(const char *schema)
{
	char	   *end;
	long		database;

	if (strcmp(schema, "keys") == 0)
		return -1;
	database = strtol(schema, &end, 10);
	if (schema[0] == '\0' || *end != '\0' || database < 0 || database > 1000000)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_SCHEMA_NOT_FOUND),
				 errmsg("schema \"%s\" does not exist on a Redis server", schema),
				 errhint("Use the number of a database, or keys for that of the server's options.")));
	return (int) database;
}

/* Some keys (RedisBytes *) of each node. */
static List *
sample_keys(RedisClient *client, RedisRequest *request, int wanted)
{
	int			nnodes;
	RedisNode **nodes = FeathubRedisNodes(client, &nnodes);
	RedisSeen  *seen = FeathubRedisSeenMake(true);
	List	   *keys = NIL;

	for (int i = 0; i < nnodes; i++)
	{
		char		cursor[32] = "0";
		int			share = wanted / nnodes + 1;

		do
		{
			RedisReply *reply;

			CHECK_FOR_INTERRUPTS();
			FeathubRedisRequestReset(request);
			FeathubRedisBegin(request, nodes[i], 4, "SCAN");
			FeathubRedisAddString(request, cursor);
			FeathubRedisAddString(request, "COUNT");
			FeathubRedisAddInt(request, 1000);
			reply = FeathubRedisCall(request, 0);
			if (reply->type != REDIS_ARRAY || reply->n != 2 ||
				reply->elements[0].len >= sizeof(cursor))
				FeathubRedisBadReply(client, "SCAN");
			strcpy(cursor, reply->elements[0].str);
			for (int k = 0; k < reply->elements[1].n && share > 0; k++)
			{
				RedisReply *key = &reply->elements[1].elements[k];
				RedisBytes *copy;

				if (!FeathubRedisSeenAdd(seen, key->str, key->len))
					continue;
				copy = palloc(sizeof(RedisBytes));
				copy->data = memcpy(palloc(key->len + 1), key->str, key->len + 1);
				copy->len = key->len;
				keys = lappend(keys, copy);
				share--;
			}
		} while (share > 0 && strcmp(cursor, "0") != 0);
	}
	return keys;
}

static int
compare_tables(const ListCell *a, const ListCell *b)
{
	const ImportTable *x = lfirst(a);
	const ImportTable *y = lfirst(b);
	int			result = strcmp(x->prefix, y->prefix);

	return result != 0 ? result : (int) x->kind - (int) y->kind;
}

/* The tables that the keys make up, sorted by prefix. */
static List *
look_at(RedisClient *client, List *keys)
{
	RedisRequest *types = FeathubRedisRequestMake(client);
	RedisRequest *values = FeathubRedisRequestMake(client);
	List	   *tables = NIL;
	List	   *of_keys = NIL;
	ListCell   *lc;
	int			n = 0;

	foreach(lc, keys)
	{
		RedisBytes *key = lfirst(lc);

		FeathubRedisCommand(types, NULL, "TYPE", key->data, key->len, 0, NULL);
	}
	FeathubRedisWait(types);
	foreach(lc, keys)
	{
		static const char *const one[] = {"-", "+", "COUNT", "1"};
		RedisBytes *key = lfirst(lc);
		RedisReply *reply = FeathubRedisGet(types, foreach_current_index(lc));
		int			kind = FeathubRedisKindOfType(reply->str);
		ImportTable *table;

		/* gone, of a module's type, or no name for options */
		if (kind < 0 || !pg_verify_mbstr(PG_UTF8, key->data, key->len, true) ||
			memchr(key->data, '\0', key->len) != NULL)
			continue;
		table = table_for(&tables, key->data, key->len, kind);
		widen(&table->key, key->data + strlen(table->prefix), key->len - strlen(table->prefix));
		if (kind == REDIS_KIND_HASH)
			FeathubRedisCommand(values, NULL, "HGETALL", key->data, key->len, 0, NULL);
		else if (kind == REDIS_KIND_STREAM)
			FeathubRedisCommand(values, NULL, "XRANGE", key->data, key->len, 4, one);
		else if (kind == REDIS_KIND_STRING)
			FeathubRedisCommand(values, NULL, "GET", key->data, key->len, 0, NULL);
		else
			continue;
		of_keys = lappend(of_keys, table);
	}
	FeathubRedisWait(values);
	foreach(lc, of_keys)
	{
		ImportTable *table = lfirst(lc);
		RedisReply *reply = FeathubRedisGetAny(values, n++);

		if (reply->type == REDIS_STRING)
			widen(&table->value, reply->str, reply->len);
		else if (reply->type == REDIS_ARRAY && table->kind == REDIS_KIND_HASH)
			look_at_fields(table, reply);
		else if (reply->type == REDIS_ARRAY && reply->n == 1 && reply->elements[0].n == 2)
			look_at_fields(table, &reply->elements[0].elements[1]);
	}
	list_sort(tables, compare_tables);
	return tables;
}

/* The table of a key, new if need be. */
static ImportTable *
table_for(List **tables, const char *key, Size len, RedisKind kind)
{
	ImportTable *table;
	Size		prefix = len;
	ListCell   *lc;

	while (prefix > 0 && key[prefix - 1] != ':')
		prefix--;
	foreach(lc, *tables)
	{
		table = lfirst(lc);
		if (table->kind == kind && strlen(table->prefix) == prefix &&
			memcmp(table->prefix, key, prefix) == 0)
			return table;
	}
	table = palloc0(sizeof(ImportTable));
	table->prefix = pnstrdup(key, prefix);
	table->kind = kind;
	*tables = lappend(*tables, table);
	return table;
}

/* Fields and values of a hash or entry. */
static void
look_at_fields(ImportTable *table, const RedisReply *fields)
{
	for (int i = 0; i + 1 < fields->n; i += 2)
	{
		const RedisReply *field = &fields->elements[i];
		ImportColumn *column = NULL;
		ListCell   *lc;

		if (!pg_verify_mbstr(PG_UTF8, field->str, field->len, true) || field->len == 0 ||
			memchr(field->str, '\0', field->len) != NULL)
			continue;
		foreach(lc, table->columns)
		{
			if (strcmp(((ImportColumn *) lfirst(lc))->name, field->str) == 0)
				column = lfirst(lc);
		}
		if (column == NULL)
		{
			if (list_length(table->columns) >= MAX_COLUMNS)
				continue;
			column = palloc0(sizeof(ImportColumn));
			column->name = pstrdup(field->str);
			table->columns = lappend(table->columns, column);
		}
		widen(&column->type, fields->elements[i + 1].str, fields->elements[i + 1].len);
	}
}

/* Make the type one that takes this value too, and writes it the same. */
static void
widen(ImportType *type, const char *data, Size len)
{
	char	   *end;

	if (*type == IMPORT_BIGINT)
	{
		char		again[MAXINT8LEN + 1];

		errno = 0;
		if (len > 0 && len < MAXINT8LEN &&
			(Size) pg_lltoa(strtoll(data, &end, 10), again) == len && errno == 0 &&
			memcmp(again, data, len) == 0)
			return;
		*type = IMPORT_DOUBLE;
	}
	if (*type == IMPORT_DOUBLE)
	{
		(void) strtod(data, &end);
		if (len > 0 && end == data + len && strspn(data, "-+.0123456789eE") >= len &&
			len <= 17)
			return;
		*type = IMPORT_TEXT;
	}
	if (*type == IMPORT_TEXT &&
		(!pg_verify_mbstr(PG_UTF8, data, len, true) || memchr(data, '\0', len) != NULL))
		*type = IMPORT_BYTEA;
}

/* A name that no other table of the import has. */
static char *
table_name(List *tables, ImportTable *table)
{
	char	   *name = pstrdup(table->prefix);
	Size		len = strlen(name);
	ListCell   *lc;

	while (len > 0 && name[len - 1] == ':')
		name[--len] = '\0';
	for (char *p = name; *p; p++)
	{
		if (*p == ':' || isspace((unsigned char) *p))
			*p = '_';
	}
	if (len == 0)
		name = pstrdup("keys");
	name[pg_mbcliplen(name, strlen(name), NAMEDATALEN - 12)] = '\0';
	foreach(lc, tables)
	{
		ImportTable *other = lfirst(lc);

		/* one prefix with several types */
		if (other != table && strcmp(other->prefix, table->prefix) == 0)
			return psprintf("%s_%s", name, FeathubRedisKindName(table->kind));
	}
	return name;
}

static const char *
type_name(ImportType type)
{
	static const char *const names[] = {
		[IMPORT_BIGINT] = "bigint",
		[IMPORT_DOUBLE] = "double precision",
		[IMPORT_TEXT] = "text",
		[IMPORT_BYTEA] = "bytea",
	};

	return names[type];
}

static char *
make_statement(ImportTable *table, const char *name, const char *server, int database)
{
	StringInfoData out;
	ListCell   *lc;
	const char *key = "key";
	ImportType	key_type = table->key == IMPORT_DOUBLE ? IMPORT_TEXT : table->key;

	/* a field may have the name that the key would get */
	foreach(lc, table->columns)
	{
		if (strcmp(((ImportColumn *) lfirst(lc))->name, "key") == 0)
			key = "redis_key";
	}
	initStringInfo(&out);
	appendStringInfo(&out, "CREATE FOREIGN TABLE %s (\n  %s %s OPTIONS (key 'true')",
					 quote_identifier(name), key, type_name(key_type));
	switch (table->kind)
	{
		case REDIS_KIND_STRING:
			appendStringInfo(&out, ",\n  value %s", type_name(table->value));
			break;
		case REDIS_KIND_LIST:
			appendStringInfoString(&out, ",\n  index bigint OPTIONS (metadata 'index'),\n  value text");
			break;
		case REDIS_KIND_SET:
			appendStringInfoString(&out, ",\n  member text");
			break;
		case REDIS_KIND_ZSET:
			appendStringInfoString(&out, ",\n  member text,\n  score double precision OPTIONS (metadata 'score')");
			break;
		case REDIS_KIND_STREAM:
			appendStringInfoString(&out, ",\n  redis_id text OPTIONS (metadata 'id'),\n  redis_time timestamptz OPTIONS (metadata 'time')");
			break;
		default:
			break;
	}
	foreach(lc, table->columns)
	{
		ImportColumn *column = lfirst(lc);
		char	   *clipped = pstrdup(column->name);

		clipped[pg_mbcliplen(clipped, strlen(clipped), NAMEDATALEN - 1)] = '\0';
		appendStringInfo(&out, ",\n  %s %s", quote_identifier(clipped), type_name(column->type));
		if (strcmp(clipped, column->name) != 0)
			appendStringInfo(&out, " OPTIONS (field %s)", quote_literal_cstr(column->name));
	}
	appendStringInfo(&out, ")\n  SERVER %s OPTIONS (kind %s, prefix %s",
					 quote_identifier(server),
					 quote_literal_cstr(FeathubRedisKindName(table->kind)),
					 quote_literal_cstr(table->prefix));
	if (database >= 0)
		appendStringInfo(&out, ", database '%d'", database);
	/* other keys may begin the same and go on another way */
	if (key_type == IMPORT_BIGINT)
		appendStringInfoString(&out, ", invalid_keys 'skip'");
	appendStringInfoChar(&out, ')');
	return out.data;
}
