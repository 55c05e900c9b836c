/*
 * redis_options.c
 *		Options of Redis servers, user mappings, tables and columns.
 *
 * What decides whom a connection trusts is the server owner's choice, secrets
 * belong to user mappings, what a table's keys look like is the table's.
 */
#include "postgres.h"

#include "connectors/connector.h"
#include "connectors/redis/redis_options.h"
#include "connectors/redis/redis_key.h"
#include "connectors/redis/redis_value.h"

#define DEFAULT_PORT	6379

static void check_nodes(const char *name, const char *value);
static void check_port_host(const char *name, const char *value);
static void check_pattern(const char *name, const char *value);
static void check_type(const char *name, const char *value);
static void check_guard_prefix(const char *name, const char *value);
static List *parse_nodes(const char *option, const char *value);

static const FeathubOptionValue mode_values[] = {
	{"standalone", REDIS_STANDALONE},
	{"cluster", REDIS_CLUSTER},
	{"sentinel", REDIS_SENTINEL},
	{NULL}
};

static const FeathubOptionValue verify_values[] = {
	{"full", REDIS_VERIFY_FULL},
	{"ca", REDIS_VERIFY_CA},
	{"none", REDIS_VERIFY_NONE},
	{NULL}
};

static const FeathubOptionValue kind_values[] = {
	{"string", REDIS_KIND_STRING},
	{"value", REDIS_KIND_VALUE},
	{"hash", REDIS_KIND_HASH},
	{"list", REDIS_KIND_LIST},
	{"set", REDIS_KIND_SET},
	{"zset", REDIS_KIND_ZSET},
	{"stream", REDIS_KIND_STREAM},
	{"features", REDIS_KIND_FEATURES},
	{NULL}
};

static const FeathubOptionValue write_values[] = {
	{"insert", REDIS_WRITE_INSERT},
	{"upsert", REDIS_WRITE_UPSERT},
	{NULL}
};

static const FeathubOptionValue ttl_from_values[] = {
	{"write", REDIS_TTL_WRITE},
	{"event_time", REDIS_TTL_EVENT_TIME},
	{NULL}
};

static const FeathubOptionValue old_id_values[] = {
	{"error", REDIS_OLD_ID_ERROR},
	{"skip", REDIS_OLD_ID_SKIP},
	{NULL}
};

static const FeathubOptionValue invalid_values[] = {
	{"error", REDIS_INVALID_ERROR},
	{"skip", REDIS_INVALID_SKIP},
	{NULL}
};

static const FeathubOptionValue metadata_values[] = {
	{"ttl", REDIS_META_TTL},
	{"score", REDIS_META_SCORE},
	{"index", REDIS_META_INDEX},
	{"field", REDIS_META_FIELD},
	{"id", REDIS_META_ID},
	{"time", REDIS_META_TIME},
	{"event_time", REDIS_META_EVENT_TIME},
	{NULL}
};

#define FIELD(name) .offset = offsetof(RedisOptions, name)

const FeathubOption FeathubRedisOptions[] = {
	/* where the server is */
	{
		"host", FEATHUB_ON_SERVER, FEATHUB_OPTION_STRING, FIELD(host),
		.check = check_port_host, .default_value = "127.0.0.1",
		.description = "Host name or address."
	},
	{
		"port", FEATHUB_ON_SERVER, FEATHUB_OPTION_INT, FIELD(port),
		.min = 1, .max = 65535, .default_value = "6379",
		.description = "Port."
	},
	{
		"unix_socket", FEATHUB_ON_SERVER, FEATHUB_OPTION_STRING, FIELD(unix_socket),
		.flags = FEATHUB_OPTION_READS_FILE,
		.description = "Path of a unix socket, instead of host and port."
	},
	{
		"mode", FEATHUB_ON_SERVER, FEATHUB_OPTION_ENUM, FIELD(mode),
		.values = mode_values, .default_value = "standalone",
		.description = "Whether it is one server, a cluster, or a master that sentinels know."
	},
	{
		"nodes", FEATHUB_ON_SERVER, FEATHUB_OPTION_STRING, FIELD(nodes), .check = check_nodes,
		.description = "Some nodes of the cluster, or the sentinels: host:port, comma-separated."
	},
	{
		"master_name", FEATHUB_ON_SERVER, FEATHUB_OPTION_STRING, FIELD(master_name),
		.description = "The master's name among the sentinels."
	},
	{
		"database", FEATHUB_ON_SERVER | FEATHUB_ON_TABLE, FEATHUB_OPTION_INT, FIELD(database),
		.min = 0, .max = 1000000, .default_value = "0",
		.description = "Number of the database."
	},
	{
		"connect_timeout", FEATHUB_ON_SERVER, FEATHUB_OPTION_INT, FIELD(connect_timeout),
		.min = 1, .max = 3600, .default_value = "10",
		.description = "Seconds until a connection that is not made is an error."
	},
	{
		"command_timeout", FEATHUB_ON_SERVER, FEATHUB_OPTION_INT, FIELD(command_timeout),
		.min = 1, .max = 86400, .default_value = "60",
		.description = "Seconds without any byte of an answer until that is an error."
	},
	{
		"keep_connections", FEATHUB_ON_SERVER, FEATHUB_OPTION_BOOL, FIELD(keep_connections),
		.default_value = "true",
		.description = "Whether connections stay open after the transaction, for later ones of the session."
	},
	/* TLS */
	{
		"tls", FEATHUB_ON_SERVER, FEATHUB_OPTION_BOOL, FIELD(tls), .default_value = "false",
		.description = "Whether connections use TLS."
	},
	{
		"tls_verify", FEATHUB_ON_SERVER, FEATHUB_OPTION_ENUM, FIELD(tls_verify),
		.values = verify_values, .default_value = "full",
		.description = "What of the server's certificate is checked: chain and name, the chain (ca), or nothing."
	},
	{
		"tls_ca_file", FEATHUB_ON_SERVER, FEATHUB_OPTION_STRING, FIELD(tls_ca_file),
		.flags = FEATHUB_OPTION_READS_FILE,
		.description = "File of the certificates to trust; without it those of the system."
	},
	{
		"tls_server_name", FEATHUB_ON_SERVER, FEATHUB_OPTION_STRING, FIELD(tls_server_name),
		.description = "Name that the server's certificate must have, if it is not the host's."
	},
	{
		"tls_cert_file", FEATHUB_ON_SERVER | FEATHUB_ON_USER_MAPPING, FEATHUB_OPTION_STRING, FIELD(tls_cert_file),
		.flags = FEATHUB_OPTION_READS_FILE,
		.description = "File of the certificate to show to the server."
	},
	{
		"tls_key_file", FEATHUB_ON_SERVER | FEATHUB_ON_USER_MAPPING, FEATHUB_OPTION_STRING, FIELD(tls_key_file),
		.flags = FEATHUB_OPTION_READS_FILE,
		.description = "File of the key of that certificate, without passphrase."
	},
	/* who */
	{
		"username", FEATHUB_ON_USER_MAPPING, FEATHUB_OPTION_STRING, FIELD(username),
		.description = "User of Redis's access control lists; without it \"default\"."
	},
	{
		"password", FEATHUB_ON_USER_MAPPING, FEATHUB_OPTION_STRING, FIELD(password),
		.flags = FEATHUB_OPTION_SECRET,
		.description = "The user's password."
	},
	{
		"sentinel_username", FEATHUB_ON_USER_MAPPING, FEATHUB_OPTION_STRING, FIELD(sentinel_username),
		.description = "User for the sentinels."
	},
	{
		"sentinel_password", FEATHUB_ON_USER_MAPPING, FEATHUB_OPTION_STRING, FIELD(sentinel_password),
		.flags = FEATHUB_OPTION_SECRET,
		.description = "Password for the sentinels."
	},
	/* what is in the table */
	{
		"kind", FEATHUB_ON_TABLE, FEATHUB_OPTION_ENUM, FIELD(kind),
		.values = kind_values, .default_value = "hash",
		.description = "What the keys hold."
	},
	{
		"prefix", FEATHUB_ON_TABLE, FEATHUB_OPTION_STRING, FIELD(prefix),
		.description = "What the keys begin with; the column with option key is the rest."
	},
	{
		"key_pattern", FEATHUB_ON_TABLE, FEATHUB_OPTION_STRING, FIELD(key_pattern),
		.check = check_pattern,
		.description = "How a key is made of columns, for instance user:{user_id}:{day}; {{ and }} are braces."
	},
	{
		"key_set", FEATHUB_ON_TABLE, FEATHUB_OPTION_STRING, FIELD(key_set),
		.description = "Name of a Redis set whose members are the table's keys."
	},
	{
		"singleton_key", FEATHUB_ON_TABLE, FEATHUB_OPTION_STRING, FIELD(singleton_key),
		.description = "The one key of the table, whose name is in no column."
	},
	{
		"namespace", FEATHUB_ON_TABLE, FEATHUB_OPTION_STRING, FIELD(name_space),
		.default_value = "default",
		.description = "FeatHub's __NAMESPACE__, of kind features."
	},
	{
		"invalid_keys", FEATHUB_ON_TABLE, FEATHUB_OPTION_ENUM, FIELD(invalid_keys),
		.values = invalid_values, .default_value = "error",
		.description = "What is done about keys that the types of the key columns cannot take."
	},
	{
		"fetch_size", FEATHUB_ON_SERVER | FEATHUB_ON_TABLE, FEATHUB_OPTION_INT, FIELD(fetch_size),
		.min = 1, .max = 100000, .default_value = "1000",
		.description = "Keys asked for at a time."
	},
	{
		"fetch_memory", FEATHUB_ON_SERVER | FEATHUB_ON_TABLE, FEATHUB_OPTION_INT, FIELD(fetch_memory),
		.min = 64, .max = 1048576, .default_value = "16384",
		.description = "Kilobytes of answers asked for at a time, as far as the size of earlier ones tells."
	},
	{
		"row_estimate", FEATHUB_ON_TABLE, FEATHUB_OPTION_FLOAT, FIELD(row_estimate),
		.min = 1, .max = INT64CONST(1000000000000), .default_value = "100000",
		.description = "Rows that the planner expects before the table has been analyzed."
	},
	/* writing */
	{
		"write_mode", FEATHUB_ON_TABLE, FEATHUB_OPTION_ENUM, FIELD(write_mode),
		.values = write_values, .default_value = "insert",
		.description = "Whether INSERT and COPY fail for a row that exists, or write over it (upsert)."
	},
	{
		"ttl", FEATHUB_ON_TABLE, FEATHUB_OPTION_FLOAT, FIELD(ttl),
		.min = 0, .max = INT64CONST(1000000000), .default_value = "0",
		.description = "Seconds that a key lives after it was written; 0: it stays."
	},
	{
		"ttl_from", FEATHUB_ON_TABLE, FEATHUB_OPTION_ENUM, FIELD(ttl_from),
		.values = ttl_from_values, .default_value = "write",
		.description = "Whether the time to live counts from the write or from the row's event time."
	},
	{
		"guard_prefix", FEATHUB_ON_TABLE, FEATHUB_OPTION_STRING, FIELD(guard_prefix),
		.check = check_guard_prefix, .default_value = "feathub:time:",
		.description = "What the keys begin with in which event times are kept, where the rows themselves have no place for them."
	},
	{
		"tombstone_ttl", FEATHUB_ON_TABLE, FEATHUB_OPTION_FLOAT, FIELD(tombstone_ttl),
		.min = 0, .max = INT64CONST(1000000000), .default_value = "0",
		.description = "Seconds for which the time of a deletion is kept, so that older rows do not come back; 0: forever."
	},
	{
		"on_old_id", FEATHUB_ON_TABLE, FEATHUB_OPTION_ENUM, FIELD(on_old_id),
		.values = old_id_values, .default_value = "error",
		.description = "Whether an entry of a stream fails whose id is given and not greater than the last one's, or is left out as written before (skip)."
	},
	{
		"min_replicas", FEATHUB_ON_SERVER | FEATHUB_ON_TABLE, FEATHUB_OPTION_INT, FIELD(min_replicas),
		.min = 0, .max = 100, .default_value = "0",
		.description = "Replicas of each master that must have confirmed what a statement wrote, else it is an error (WAIT)."
	},
	{
		"batch_size", FEATHUB_ON_SERVER | FEATHUB_ON_TABLE, FEATHUB_OPTION_INT, FIELD(batch_size),
		.min = 1, .max = 100000, .default_value = "1000",
		.description = "Rows sent at a time by INSERT and COPY."
	},
	{
		"hash_partial_update", FEATHUB_ON_TABLE, FEATHUB_OPTION_BOOL, FIELD(hash_partial_update),
		.default_value = "false",
		.description = "Whether writing a map of kind features keeps the entries that the new map has not."
	},
	/* columns */
	{
		"key", FEATHUB_ON_COLUMN, FEATHUB_OPTION_BOOL,
		.description = "Whether the column is part of the key."
	},
	{
		"metadata", FEATHUB_ON_COLUMN, FEATHUB_OPTION_ENUM, .values = metadata_values,
		.description = "What the column shows instead of a value."
	},
	{
		"event_time", FEATHUB_ON_COLUMN, FEATHUB_OPTION_BOOL,
		.description = "Whether the column's time guards its row: an older row never replaces a newer one. Needs write_mode upsert."
	},
	{
		"field", FEATHUB_ON_COLUMN, FEATHUB_OPTION_STRING,
		.description = "Name of the hash's or stream entry's field, or of the feature, if it is not the column's."
	},
	{
		"type", FEATHUB_ON_COLUMN, FEATHUB_OPTION_STRING, .check = check_type,
		.description = "FeatHub's type of a feature in a jsonb column, for instance map<string,boolean>."
	},
	{.name = NULL}
};

const char *
FeathubRedisKindName(RedisKind kind)
{
	return kind_values[kind].name;
}

int
FeathubRedisKindOfType(const char *type)
{
	for (int i = 0; kind_values[i].name; i++)
	{
		if (i != REDIS_KIND_VALUE && i != REDIS_KIND_FEATURES &&
			strcmp(kind_values[i].name, type) == 0)
			return i;
	}
	return -1;
}

const char *
FeathubRedisTypeOfKind(RedisKind kind)
{
	return kind == REDIS_KIND_VALUE ? "string" : kind_values[kind].name;
}

int
FeathubRedisMetadataByName(const char *name)
{
	for (int i = 0; name && metadata_values[i].name; i++)
	{
		if (pg_strcasecmp(metadata_values[i].name, name) == 0)
			return metadata_values[i].value;
	}
	return -1;
}

const char *
FeathubRedisMetadataName(RedisMetadata kind)
{
	return metadata_values[kind].name;
}

RedisOptions *
FeathubRedisServerOptions(ForeignServer *server, UserMapping *user)
{
	RedisOptions *options = palloc0(sizeof(RedisOptions));

	FeathubOptionsDefaults(FeathubRedisOptions, FEATHUB_ON_SERVER | FEATHUB_ON_USER_MAPPING | FEATHUB_ON_TABLE, options);
	FeathubOptionsParse(FeathubRedisOptions, FEATHUB_ON_SERVER, server->options, options);
	if (user)
		FeathubOptionsParse(FeathubRedisOptions, FEATHUB_ON_USER_MAPPING, user->options, options);
	FeathubRedisCheckServer(options, server->servername);
	return options;
}

void
FeathubRedisCheckServer(const RedisOptions *options, const char *server)
{
	const char *problem = NULL;

	if (options->mode == REDIS_SENTINEL && options->master_name == NULL)
		problem = "mode \"sentinel\" needs option \"master_name\"";
	else if (options->mode == REDIS_SENTINEL && options->nodes == NULL)
		problem = "mode \"sentinel\" needs option \"nodes\", the sentinels";
	else if (options->mode != REDIS_SENTINEL && options->master_name != NULL)
		problem = "option \"master_name\" is for mode \"sentinel\"";
	else if (options->mode == REDIS_STANDALONE && options->nodes != NULL)
		problem = "option \"nodes\" is for modes \"cluster\" and \"sentinel\"";
	else if (options->mode != REDIS_STANDALONE && options->unix_socket != NULL)
		problem = "option \"unix_socket\" is for mode \"standalone\"";
	else if (options->mode == REDIS_CLUSTER && options->database != 0)
		problem = "a cluster has no database but 0";
	else if (options->username != NULL && options->password == NULL)
		problem = "option \"username\" needs option \"password\"";
	else if (options->tls_key_file != NULL && options->tls_cert_file == NULL)
		problem = "option \"tls_key_file\" needs option \"tls_cert_file\"";
	else if (!options->tls && (options->tls_ca_file || options->tls_cert_file ||
							   options->tls_server_name))
		problem = "options of TLS need option \"tls\"";
	if (problem)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
				 errmsg("options of server \"%s\" do not go together: %s", server, problem)));
}

List *
FeathubRedisAddresses(const RedisOptions *options)
{
	RedisAddress *address;

	if (options->nodes)
		return parse_nodes("nodes", options->nodes);
	address = palloc(sizeof(RedisAddress));
	address->host = options->unix_socket ? NULL : options->host;
	address->port = options->port;
	return list_make1(address);
}

/* host:port, [address]:port, host; comma-separated */
static List *
parse_nodes(const char *option, const char *value)
{
	List	   *result = NIL;
	const char *p = value;

	while (*p)
	{
		Size		len = strcspn(p, ",");
		char	   *item = pnstrdup(p, len);
		RedisAddress *address = palloc0(sizeof(RedisAddress));
		char	   *colon;
		char	   *end;

		p += len;
		if (*p)
			p++;
		while (*item == ' ')
			item++;
		len = strlen(item);
		while (len > 0 && item[len - 1] == ' ')
			item[--len] = '\0';
		address->port = DEFAULT_PORT;
		colon = item[0] == '[' ? strstr(item, "]:") : strrchr(item, ':');
		if (item[0] == '[')
		{
			char	   *bracket = strchr(item, ']');

			if (colon)
				colon++;
			if (bracket)
				*bracket = '\0';
			address->host = bracket ? item + 1 : item;
			if (!bracket || (!colon && bracket[1] != '\0'))
				address->host = "";
		}
		else
			address->host = item;
		if (colon)
		{
			long		port = strtol(colon + 1, &end, 10);

			*colon = '\0';
			address->port = *end == '\0' && end > colon + 1 && port > 0 && port < 65536 ?
				(int) port : 0;
		}
		if (address->host[0] == '\0' || address->port == 0)
			ereport(ERROR,
					(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
					 errmsg("invalid value for option \"%s\": \"%s\"", option, value),
					 errhint("It is a comma-separated list of host:port.")));
		result = lappend(result, address);
	}
	return result;
}

/* Option check: a list of host:port that is not empty. */
static void
check_nodes(const char *name, const char *value)
{
	if (parse_nodes(name, value) == NIL)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
				 errmsg("invalid value for option \"%s\": \"%s\"", name, value)));
}

/* Option check: not empty, no path, no list. */
static void
check_port_host(const char *name, const char *value)
{
	if (value[0] == '\0' || strpbrk(value, "/, ") != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
				 errmsg("invalid value for option \"%s\": \"%s\"", name, value),
				 errhint("A unix socket is option \"unix_socket\", several hosts are option \"nodes\".")));
}

/* Option check: braces match. */
static void
check_pattern(const char *name, const char *value)
{
	FeathubRedisPatternCheck(value);
}

/* Option check: not empty, and no braces, which decide about slots of clusters. */
static void
check_guard_prefix(const char *name, const char *value)
{
	if (value[0] == '\0' || strpbrk(value, "{}") != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
				 errmsg("invalid value for option \"%s\": \"%s\"", name, value),
				 errhint("It is some text without braces.")));
}

/* Option check: a type of FeatHub's. */
static void
check_type(const char *name, const char *value)
{
	(void) FeathubRedisTypeParse(value);
}
