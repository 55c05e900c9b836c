/*
 * kafka_options.c
 *		Options of Kafka servers, user mappings and tables, and the librdkafka
 *		properties that may be given by their own names.
 *
 * A property passes only if it is in FeathubKafkaProperties, with the places where
 * it may stand.  Those that would run code, read files unseen or break what
 * feathub promises are in denied_properties, with the reason that the user is
 * told; all others are unknown.  What decides whom a connection trusts and how
 * it authenticates is the server owner's choice; secrets belong to user
 * mappings; tuning may stand at a table.
 */
#include "postgres.h"

#include "catalog/pg_collation.h"
#include "catalog/pg_type.h"
#include "commands/defrem.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"

#include "connectors/kafka/kafka.h"

/* A topic's name: Kafka's own rule. */
#define TOPIC_NAME_MAX 249

static void check_topic(const char *name, const char *value);
static void check_one_topic(const char *name, const char *value);
static void check_format(const char *name, const char *value);
static void check_bootstrap_servers(const char *name, const char *value);
static void check_property(const char *name, const char *value);
static void check_url_property(const char *name, const char *value);

static const FeathubOptionValue isolation_values[] = {
	{"read_committed", KAFKA_READ_COMMITTED},
	{"read_uncommitted", KAFKA_READ_UNCOMMITTED},
	{NULL}
};

static const FeathubOptionValue write_mode_values[] = {
	{"insert", KAFKA_WRITE_INSERT},
	{"upsert", KAFKA_WRITE_UPSERT},
	{NULL, 0}
};

static const FeathubOptionValue value_fields_values[] = {
	{"all", KAFKA_VALUE_ALL},
	{"except_key", KAFKA_VALUE_EXCEPT_KEY},
	{NULL}
};

static const FeathubOptionValue metadata_values[] = {
	{"topic", KAFKA_META_TOPIC},
	{"partition", KAFKA_META_PARTITION},
	{"offset", KAFKA_META_OFFSET},
	{"timestamp", KAFKA_META_TIMESTAMP},
	{"timestamp_type", KAFKA_META_TIMESTAMP_TYPE},
	{"key", KAFKA_META_KEY},
	{"headers", KAFKA_META_HEADERS},
	{NULL}
};

const FeathubOption FeathubKafkaOptions[] = {
	{
		"bootstrap_servers", FEATHUB_ON_SERVER, FEATHUB_OPTION_STRING,
		.flags = FEATHUB_OPTION_REQUIRED,
		.offset = offsetof(KafkaOptions, bootstrap_servers),
		.check = check_bootstrap_servers,
		.description = "Brokers to begin with: host:port, a comma-separated list of them, or \"embedded\"."
	},
	{
		"connect_timeout", FEATHUB_ON_SERVER, FEATHUB_OPTION_INT,
		.offset = offsetof(KafkaOptions, connect_timeout),
		.min = 1, .max = 3600, .default_value = "10",
		.description = "Seconds until a broker that does not answer is an error."
	},
	{
		"topic", FEATHUB_ON_TABLE, FEATHUB_OPTION_STRING,
		.flags = FEATHUB_OPTION_REQUIRED,
		.offset = offsetof(KafkaOptions, topic),
		.check = check_topic,
		.description = "A topic, a comma-separated list of topics, or a regular expression that begins with ^."
	},
	{
		"isolation_level", FEATHUB_ON_SERVER | FEATHUB_ON_TABLE, FEATHUB_OPTION_ENUM,
		.offset = offsetof(KafkaOptions, isolation_level),
		.values = isolation_values, .default_value = "read_committed",
		.description = "Whether messages of open and aborted transactions are read."
	},
	{
		"key_format", FEATHUB_ON_TABLE, FEATHUB_OPTION_STRING,
		.offset = offsetof(KafkaOptions, key_format),
		.check = check_format,
		.description = "Format of the message key, which holds the columns with option key."
	},
	{
		"value_fields", FEATHUB_ON_TABLE, FEATHUB_OPTION_ENUM,
		.offset = offsetof(KafkaOptions, value_fields),
		.values = value_fields_values, .default_value = "all",
		.description = "Whether the message value holds the key's columns too."
	},
	{
		"fetch_memory", FEATHUB_ON_SERVER | FEATHUB_ON_TABLE, FEATHUB_OPTION_INT,
		.offset = offsetof(KafkaOptions, fetch_memory),
		.min = 1024, .max = 2000000, .default_value = "16384",
		.description = "Kilobytes of messages that are fetched ahead."
	},
	{
		"row_estimate", FEATHUB_ON_TABLE, FEATHUB_OPTION_FLOAT,
		.offset = offsetof(KafkaOptions, row_estimate),
		.min = 1, .max = INT64CONST(1000000000000), .default_value = "100000",
		.description = "Rows that the planner expects before the table has been analyzed."
	},
	{
		"batch_size", FEATHUB_ON_SERVER | FEATHUB_ON_TABLE, FEATHUB_OPTION_INT,
		.offset = offsetof(KafkaOptions, batch_size),
		.min = 1, .max = 100000, .default_value = "1000",
		.description = "Rows handed to the producer at once."
	},
	{
		"transactional", FEATHUB_ON_SERVER | FEATHUB_ON_TABLE, FEATHUB_OPTION_BOOL,
		.offset = offsetof(KafkaOptions, transactional),
		.default_value = "false",
		.description = "Whether COMMIT and ROLLBACK of the SQL transaction decide over the messages, and jobs write exactly once."
	},
	{
		"transactional_id", FEATHUB_ON_SERVER | FEATHUB_ON_TABLE, FEATHUB_OPTION_STRING,
		.offset = offsetof(KafkaOptions, transactional_id),
		.description = "What transactional ids begin with."
	},
	{
		"positions_topic", FEATHUB_ON_SERVER | FEATHUB_ON_TABLE, FEATHUB_OPTION_STRING,
		.offset = offsetof(KafkaOptions, positions_topic),
		.check = check_one_topic, .default_value = "__feathub_position",
		.description = "Compacted topic in which jobs keep what they have written, if the table is transactional."
	},
	{
		"produce_timeout", FEATHUB_ON_SERVER | FEATHUB_ON_TABLE, FEATHUB_OPTION_INT,
		.offset = offsetof(KafkaOptions, produce_timeout),
		.min = 1, .max = 3600, .default_value = "30",
		.description = "Seconds until a message that is not delivered is an error."
	},
	{
		"write_mode", FEATHUB_ON_TABLE, FEATHUB_OPTION_ENUM,
		.offset = offsetof(KafkaOptions, write_mode),
		.values = write_mode_values, .default_value = "insert",
		.description = "Whether messages are events, or the latest row of their key, which a tombstone deletes."
	},
	{
		"metadata", FEATHUB_ON_COLUMN, FEATHUB_OPTION_ENUM,
		.values = metadata_values,
		.description = "What of the message the column shows, instead of a field of its value."
	},
	{
		"key", FEATHUB_ON_COLUMN, FEATHUB_OPTION_BOOL,
		.description = "Whether the column is part of the key."
	},
	{.name = NULL}
};

#define PROPERTY(name_, where_, flags_) \
	{.name = (name_), .where = (where_), .type = FEATHUB_OPTION_STRING, \
	 .flags = (flags_), .check = check_property, \
	 .description = "Property of librdkafka."}

#define ON_S	FEATHUB_ON_SERVER
#define ON_U	FEATHUB_ON_USER_MAPPING
#define ON_SU	(FEATHUB_ON_SERVER | FEATHUB_ON_USER_MAPPING)
#define ON_ST	(FEATHUB_ON_SERVER | FEATHUB_ON_TABLE)
#define SECRET	FEATHUB_OPTION_SECRET
#define FILE_	FEATHUB_OPTION_READS_FILE

const FeathubOption FeathubKafkaProperties[] = {
	/* the connection */
	PROPERTY("broker.address.family", ON_S, 0),
	PROPERTY("broker.address.ttl", ON_S, 0),
	PROPERTY("api.version.request", ON_S, 0),
	PROPERTY("api.version.request.timeout.ms", ON_S, 0),
	PROPERTY("broker.version.fallback", ON_S, 0),
	PROPERTY("client.id", ON_SU, 0),
	PROPERTY("client.rack", ON_S, 0),
	PROPERTY("connections.max.idle.ms", ON_S, 0),
	PROPERTY("debug", ON_S, 0),
	PROPERTY("max.in.flight.requests.per.connection", ON_S, 0),
	PROPERTY("message.max.bytes", ON_ST, 0),
	PROPERTY("metadata.max.age.ms", ON_S, 0),
	PROPERTY("receive.message.max.bytes", ON_ST, 0),
	PROPERTY("reconnect.backoff.max.ms", ON_S, 0),
	PROPERTY("reconnect.backoff.ms", ON_S, 0),
	PROPERTY("socket.connection.setup.timeout.ms", ON_S, 0),
	PROPERTY("socket.keepalive.enable", ON_S, 0),
	PROPERTY("socket.max.fails", ON_S, 0),
	PROPERTY("socket.nagle.disable", ON_S, 0),
	PROPERTY("socket.receive.buffer.bytes", ON_S, 0),
	PROPERTY("socket.send.buffer.bytes", ON_S, 0),
	PROPERTY("socket.timeout.ms", ON_S, 0),
	PROPERTY("topic.metadata.refresh.interval.ms", ON_S, 0),

	/* TLS */
	PROPERTY("security.protocol", ON_S, 0),
	PROPERTY("enable.ssl.certificate.verification", ON_S, 0),
	PROPERTY("ssl.ca.location", ON_S, FILE_),
	PROPERTY("ssl.ca.pem", ON_S, 0),
	PROPERTY("ssl.certificate.location", ON_SU, FILE_),
	PROPERTY("ssl.certificate.pem", ON_SU, 0),
	PROPERTY("ssl.cipher.suites", ON_S, 0),
	PROPERTY("ssl.crl.location", ON_S, FILE_),
	PROPERTY("ssl.curves.list", ON_S, 0),
	PROPERTY("ssl.endpoint.identification.algorithm", ON_S, 0),
	PROPERTY("ssl.key.location", ON_U, FILE_),
	PROPERTY("ssl.key.password", ON_U, SECRET),
	PROPERTY("ssl.key.pem", ON_U, SECRET),
	PROPERTY("ssl.keystore.location", ON_U, FILE_),
	PROPERTY("ssl.keystore.password", ON_U, SECRET),
	PROPERTY("ssl.sigalgs.list", ON_S, 0),

	/* SASL */
	PROPERTY("sasl.mechanism", ON_S, 0),
	PROPERTY("sasl.mechanisms", ON_S, 0),
	PROPERTY("sasl.username", ON_U, 0),
	PROPERTY("sasl.password", ON_U, SECRET),
	PROPERTY("sasl.kerberos.service.name", ON_S, 0),
	PROPERTY("sasl.oauthbearer.method", ON_S, 0),
	PROPERTY("sasl.oauthbearer.client.id", ON_U, 0),
	PROPERTY("sasl.oauthbearer.client.secret", ON_U, SECRET),
	PROPERTY("sasl.oauthbearer.extensions", ON_SU, 0),
	PROPERTY("sasl.oauthbearer.scope", ON_SU, 0),
	{
		.name = "sasl.oauthbearer.token.endpoint.url", .where = ON_S,
		.type = FEATHUB_OPTION_STRING, .check = check_url_property,
		.description = "Property of librdkafka."
	},

	/* reading */
	PROPERTY("check.crcs", ON_ST, 0),
	PROPERTY("fetch.error.backoff.ms", ON_ST, 0),
	PROPERTY("fetch.max.bytes", ON_ST, 0),
	PROPERTY("fetch.message.max.bytes", ON_ST, 0),
	PROPERTY("fetch.min.bytes", ON_ST, 0),
	PROPERTY("fetch.wait.max.ms", ON_ST, 0),
	PROPERTY("max.partition.fetch.bytes", ON_ST, 0),
	PROPERTY("queued.max.messages.kbytes", ON_ST, 0),
	PROPERTY("queued.min.messages", ON_ST, 0),

	/* writing */
	PROPERTY("acks", ON_ST, 0),
	PROPERTY("batch.num.messages", ON_ST, 0),
	PROPERTY("batch.size", ON_ST, 0),
	PROPERTY("compression.codec", ON_ST, 0),
	PROPERTY("compression.level", ON_ST, 0),
	PROPERTY("compression.type", ON_ST, 0),
	PROPERTY("enable.idempotence", ON_ST, 0),
	PROPERTY("linger.ms", ON_ST, 0),
	PROPERTY("message.send.max.retries", ON_ST, 0),
	PROPERTY("partitioner", ON_ST, 0),
	PROPERTY("queue.buffering.max.kbytes", ON_ST, 0),
	PROPERTY("queue.buffering.max.messages", ON_ST, 0),
	PROPERTY("queue.buffering.max.ms", ON_ST, 0),
	PROPERTY("request.required.acks", ON_ST, 0),
	PROPERTY("request.timeout.ms", ON_ST, 0),
	PROPERTY("retries", ON_ST, 0),
	PROPERTY("retry.backoff.ms", ON_ST, 0),
	PROPERTY("sticky.partitioning.linger.ms", ON_ST, 0),
	PROPERTY("transaction.timeout.ms", ON_ST, 0),
	{.name = NULL}
};

static const struct
{
	const char *name;
	const char *reason;			/* completes: property "x" is not allowed: */
}			denied_properties[] =
{
	{"allow.auto.create.topics", "reading does not create topics"},
	{"auto.commit.enable", "positions are kept in this database"},
	{"auto.commit.interval.ms", "positions are kept in this database"},
	{"auto.offset.reset", "a position that is lost is an error, not a place to start from"},
	{"bootstrap.servers", "use option \"bootstrap_servers\""},
	{"delivery.report.only.error", "every delivery report is checked"},
	{"delivery.timeout.ms", "use option \"produce_timeout\""},
	{"enable.auto.commit", "positions are kept in this database"},
	{"enable.auto.offset.store", "positions are kept in this database"},
	{"enable.gapless.guarantee", "it makes a lost message end the producer"},
	{"enable.partition.eof", "the end of a partition must be seen"},
	{"enable.sasl.oauthbearer.unsecure.jwt", "it is a test facility without security"},
	{"enabled_events", "it changes how the library reports"},
	{"group.id", "partitions are assigned by this database, not by a group"},
	{"group.instance.id", "partitions are assigned by this database, not by a group"},
	{"internal.termination.signal", "signals belong to the server"},
	{"isolation.level", "use option \"isolation_level\""},
	{"log.queue", "it changes how the library reports"},
	{"log_level", "use the server's log_min_messages"},
	{"max.poll.interval.ms", "partitions are assigned by this database, not by a group"},
	{"message.timeout.ms", "use option \"produce_timeout\""},
	{"metadata.broker.list", "use option \"bootstrap_servers\""},
	{"offset.store.path", "positions are kept in this database"},
	{"partition.assignment.strategy", "partitions are assigned by this database, not by a group"},
	{"plugin.library.paths", "it loads code into the server"},
	{"sasl.kerberos.keytab", "it is used in a shell command"},
	{"sasl.kerberos.kinit.cmd", "it runs a shell command"},
	{"sasl.kerberos.min.time.before.relogin", "it runs a shell command"},
	{"sasl.kerberos.principal", "it is used in a shell command"},
	{"sasl.oauthbearer.config", "it belongs to an unsecured test facility"},
	{"session.timeout.ms", "partitions are assigned by this database, not by a group"},
	{"ssl.ca.certificate.stores", "it exists on Windows only"},
	{"ssl.engine.id", "it loads code into the server"},
	{"ssl.engine.location", "it loads code into the server"},
	{"ssl.providers", "it loads code into the server"},
	{"statistics.interval.ms", "nothing reads the statistics"},
	{"test.mock.num.brokers", "use bootstrap_servers \"embedded\""},
	{"topic.blacklist", "use option \"topic\""},
	{"transactional.id", "use options \"transactional\" and \"transactional_id\""},
	{NULL}
};

/*
 * FeathubKafkaFindProperty
 *		The entry of a librdkafka property; see FeathubConnector.find_property.
 */
const FeathubOption *
FeathubKafkaFindProperty(const char *name, uint32 where)
{
	for (int i = 0; denied_properties[i].name; i++)
	{
		if (strcmp(denied_properties[i].name, name) == 0)
			ereport(ERROR,
					(errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
					 errmsg("property \"%s\" is not allowed: %s",
							name, denied_properties[i].reason)));
	}
	for (const FeathubOption *property = FeathubKafkaProperties; property->name; property++)
	{
		if (strcmp(property->name, name) != 0)
			continue;
		if (where == 0 || (property->where & where) != 0)
			return property;
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
				 errmsg("property \"%s\" is not allowed here", name),
				 errhint("It belongs to %s.",
						 (property->where & ON_ST) == ON_ST ? "the foreign server or the foreign table" :
						 (property->where & ON_SU) == ON_SU ? "the foreign server or the user mapping" :
						 (property->where & ON_U) ? "the user mapping" : "the foreign server")));
	}
	return NULL;
}

static void
check_bootstrap_servers(const char *name, const char *value)
{
	if (value[strspn(value, " ,")] == '\0')
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
				 errmsg("value for option \"%s\" must not be empty", name)));
}

static void
check_topic(const char *name, const char *value)
{
	if (FeathubKafkaIsPattern(value))
	{
		/* raises INVALID_REGULAR_EXPRESSION */
		(void) DirectFunctionCall2Coll(textregexeq, C_COLLATION_OID,
									   CStringGetTextDatum(""),
									   CStringGetTextDatum(value));
		return;
	}
	if (FeathubKafkaTopicList(value) == NIL)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
				 errmsg("value for option \"%s\" must not be empty", name)));
}

static void
check_one_topic(const char *name, const char *value)
{
	if (!FeathubKafkaIsTopicName(value))
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
				 errmsg("invalid value for option \"%s\": \"%s\"", name, value),
				 errhint("It must be the name of a topic.")));
}

static void
check_format(const char *name, const char *value)
{
	(void) FeathubFormatByName(value);
}

/* Ask the library itself; it needs no handle for that. */
static void
check_property(const char *name, const char *value)
{
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	char		reason[512];
	rd_kafka_conf_res_t result;
	const FeathubOption *property = FeathubKafkaFindProperty(name, 0);
	bool		secret = property && (property->flags & FEATHUB_OPTION_SECRET) != 0;

	result = rd_kafka_conf_set(conf, name, value, reason, sizeof(reason));
	rd_kafka_conf_destroy(conf);
	reason[strcspn(reason, "\n")] = '\0';
	if (result == RD_KAFKA_CONF_UNKNOWN)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
				 errmsg("property \"%s\" is unknown to librdkafka %s",
						name, rd_kafka_version_str())));
	if (result != RD_KAFKA_CONF_OK)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
				 secret ? errmsg("invalid value for property \"%s\"", name) :
				 errmsg("invalid value for property \"%s\": \"%s\"", name, value),
				 secret ? 0 : errdetail_internal("%s", reason)));
}

/* Only what goes over the network: no file: and the like. */
static void
check_url_property(const char *name, const char *value)
{
	if (pg_strncasecmp(value, "https://", 8) != 0 &&
		pg_strncasecmp(value, "http://", 7) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
				 errmsg("invalid value for property \"%s\": \"%s\"", name, value),
				 errhint("It must begin with https:// or http://.")));
	check_property(name, value);
}

bool
FeathubKafkaIsPattern(const char *topic)
{
	return topic[0] == '^';
}

bool
FeathubKafkaIsTopicName(const char *name)
{
	Size		len = strlen(name);

	return len > 0 && len <= TOPIC_NAME_MAX &&
		strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") == len &&
		strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

/* Order two topic names by their bytes, as the server's sort of partitions. */
static int
compare_names(const ListCell *a, const ListCell *b)
{
	return strcmp(lfirst(a), lfirst(b));
}

/*
 * FeathubKafkaTopicList
 *		The names of a comma-separated list, sorted, each once; palloc'd.
 */
List *
FeathubKafkaTopicList(const char *topic)
{
	List	   *names = NIL;
	List	   *result = NIL;
	const char *p = topic;

	while (*p)
	{
		Size		len = strcspn(p, ",");
		const char *begin = p;
		const char *end = p + len;
		char	   *name;

		p = *end ? end + 1 : end;
		while (begin < end && isspace((unsigned char) *begin))
			begin++;
		while (end > begin && isspace((unsigned char) end[-1]))
			end--;
		if (begin == end)
			continue;
		name = pnstrdup(begin, end - begin);
		if (!FeathubKafkaIsTopicName(name))
			ereport(ERROR,
					(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
					 errmsg("invalid topic name: \"%s\"", name),
					 errhint("A name has letters, digits, \".\", \"_\" and \"-\"; a pattern begins with \"^\".")));
		names = lappend(names, name);
	}
	list_sort(names, compare_names);
	for (int i = 0; i < list_length(names); i++)
	{
		if (result == NIL || strcmp(llast(result), list_nth(names, i)) != 0)
			result = lappend(result, list_nth(names, i));
	}
	return result;
}

KafkaOptions *
FeathubKafkaServerOptions(ForeignServer *server, UserMapping *user)
{
	KafkaOptions *options = palloc0(sizeof(KafkaOptions));

	FeathubOptionsDefaults(FeathubKafkaOptions,
						   FEATHUB_ON_SERVER | FEATHUB_ON_USER_MAPPING | FEATHUB_ON_TABLE,
						   options);
	FeathubOptionsParse(FeathubKafkaOptions, FEATHUB_ON_SERVER, server->options, options);
	if (user)
		FeathubOptionsParse(FeathubKafkaOptions, FEATHUB_ON_USER_MAPPING, user->options, options);
	return options;
}

/* The column's metadata option, or -1. */
static int
column_metadata(FeathubRelation *rel, AttrNumber attnum)
{
	const char *value = FeathubRelationColumnOption(rel, attnum, "metadata");

	for (int i = 0; value && metadata_values[i].name; i++)
	{
		if (pg_strcasecmp(metadata_values[i].name, value) == 0)
			return metadata_values[i].value;
	}
	return -1;
}

static bool
column_is_key(FeathubRelation *rel, AttrNumber attnum)
{
	const char *value = FeathubRelationColumnOption(rel, attnum, "key");
	bool		result = false;

	return value && parse_bool(value, &result) && result;
}

/* Is a column of that type able to show that kind of metadata? */
static void
check_metadata_type(FeathubRelation *rel, Form_pg_attribute att, KafkaMetadata kind)
{
	Oid			type = getBaseType(att->atttypid);
	bool		ok = false;
	const char *wanted = NULL;

	switch (kind)
	{
		case KAFKA_META_TOPIC:
		case KAFKA_META_TIMESTAMP_TYPE:
			ok = (type == TEXTOID || type == VARCHAROID);
			wanted = "text";
			break;
		case KAFKA_META_PARTITION:
			ok = (type == INT4OID || type == INT8OID);
			wanted = "integer";
			break;
		case KAFKA_META_OFFSET:
			ok = (type == INT8OID);
			wanted = "bigint";
			break;
		case KAFKA_META_TIMESTAMP:
			ok = (type == TIMESTAMPTZOID);
			wanted = "timestamp with time zone";
			break;
		case KAFKA_META_KEY:
			ok = (type == BYTEAOID || type == TEXTOID || type == VARCHAROID);
			wanted = "bytea or text";
			break;
		case KAFKA_META_HEADERS:
			ok = (type == JSONBOID);
			wanted = "jsonb";
			break;
		case KAFKA_META_COUNT:
			break;
	}
	/* domains and varchar(n) have rules of their own that nobody would check */
	if (ok && type == att->atttypid && att->atttypmod < 0)
		return;
	if (ok && kind == KAFKA_META_TIMESTAMP && type == att->atttypid)
		return;					/* kept to the millisecond by Kafka anyway */
	ereport(ERROR,
			(errcode(ERRCODE_FDW_INVALID_DATA_TYPE),
			 errmsg("column \"%s\" of foreign table \"%s\" has the wrong type for metadata \"%s\"",
					NameStr(att->attname), rel->relname, metadata_values[kind].name),
			 errdetail("It is of type %s.",
					   format_type_with_typemod(att->atttypid, att->atttypmod)),
			 errhint("Make it %s.", wanted)));
}

/*
 * FeathubKafkaCheckRelation
 *		Refuse options that do not fit together or to the columns.
 */
void
FeathubKafkaCheckRelation(FeathubRelation *rel)
{
	KafkaOptions *options = rel->options;
	AttrNumber	seen[KAFKA_META_COUNT] = {0};
	int			nkeys = 0;

	for (int i = 0; i < rel->tupdesc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(rel->tupdesc, i);
		int			kind;

		if (att->attisdropped)
			continue;
		kind = column_metadata(rel, i + 1);
		if (column_is_key(rel, i + 1))
		{
			nkeys++;
			if (kind >= 0)
				ereport(ERROR,
						(errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
						 errmsg("column \"%s\" of foreign table \"%s\" cannot have both options \"key\" and \"metadata\"",
								NameStr(att->attname), rel->relname)));
		}
		if (kind < 0)
			continue;
		if (seen[kind] != 0)
			ereport(ERROR,
					(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
					 errmsg("columns \"%s\" and \"%s\" of foreign table \"%s\" have the same metadata \"%s\"",
							NameStr(TupleDescAttr(rel->tupdesc, seen[kind] - 1)->attname),
							NameStr(att->attname), rel->relname,
							metadata_values[kind].name)));
		seen[kind] = i + 1;
		check_metadata_type(rel, att, kind);
	}
	if (options->key_format && nkeys == 0)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_OPTION_NAME_NOT_FOUND),
				 errmsg("foreign table \"%s\" has option \"key_format\" but no column with option \"key\"",
						rel->relname)));
	if (!options->key_format && options->value_fields == KAFKA_VALUE_EXCEPT_KEY)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_OPTION_NAME_NOT_FOUND),
				 errmsg("foreign table \"%s\" has value_fields \"except_key\" but no option \"key_format\"",
						rel->relname)));
	if (!options->key_format && options->write_mode == KAFKA_WRITE_UPSERT)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_OPTION_NAME_NOT_FOUND),
				 errmsg("foreign table \"%s\" has write_mode \"upsert\" but no option \"key_format\"",
						rel->relname),
				 errhint("The message's key holds the columns with option \"key\".")));
	if (options->transactional_id && !options->transactional)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_OPTION_NAME_NOT_FOUND),
				 errmsg("foreign table \"%s\" has option \"transactional_id\" but is not transactional",
						rel->relname)));
	if (options->key_format)
		(void) FeathubFormatByName(options->key_format);
}

bool
FeathubKafkaUpserts(FeathubRelation *rel)
{
	return ((KafkaOptions *) rel->options)->write_mode == KAFKA_WRITE_UPSERT;
}

/* Messages can be replaced only where each is the row of its key. */
List *
FeathubKafkaKeyColumns(FeathubRelation *rel)
{
	List	   *attnums = NIL;

	for (int attnum = 1; attnum <= rel->tupdesc->natts && FeathubKafkaUpserts(rel); attnum++)
	{
		if (column_is_key(rel, attnum))
			attnums = lappend_int(attnums, attnum);
	}
	return attnums;
}

void
FeathubKafkaColumnsOf(FeathubRelation *rel, Bitmapset *needed, KafkaColumns *columns)
{
	KafkaOptions *options = rel->options;
	TupleDesc	tupdesc = rel->tupdesc;
	bool		whole = needed == NULL ||
		bms_is_member(0 - FirstLowInvalidHeapAttributeNumber, needed);
	bool		key_wanted = false;
	bool		value_wanted = false;

	memset(columns, 0, sizeof(KafkaColumns));
	columns->value = palloc0(sizeof(FeathubColumn) * Max(tupdesc->natts, 1));
	columns->key = palloc0(sizeof(FeathubColumn) * Max(tupdesc->natts, 1));
	if (options->key_format)
	{
		columns->key_format = FeathubFormatByName(options->key_format);
		columns->key_options =
			FeathubFormatParseOptions(columns->key_format, rel->table->options,
									  FeathubRelationCarrier(rel, true));
	}
	for (int i = 0; i < tupdesc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(tupdesc, i);
		AttrNumber	attnum = i + 1;
		FeathubColumn column;
		int			kind;
		bool		in_key;
		bool		wanted = whole ||
			bms_is_member(attnum - FirstLowInvalidHeapAttributeNumber, needed);

		if (att->attisdropped || att->attgenerated)
			continue;
		kind = column_metadata(rel, attnum);
		if (kind >= 0)
		{
			if (wanted)
				columns->metadata[kind] = attnum;
			continue;
		}
		memset(&column, 0, sizeof(column));
		column.attnum = attnum;
		column.name = pstrdup(NameStr(att->attname));
		column.typid = att->atttypid;
		column.typmod = att->atttypmod;
		column.options = rel->column_options ? rel->column_options[i] : NIL;
		in_key = columns->key_format != NULL && column_is_key(rel, attnum);
		/* fields that are known by their place all count */
		if (in_key && (wanted || columns->key_format->positional))
		{
			columns->key[columns->nkey++] = column;
			key_wanted |= wanted;
		}
		if ((!in_key || options->value_fields == KAFKA_VALUE_ALL) &&
			(wanted || rel->format->positional))
		{
			columns->value[columns->nvalue++] = column;
			value_wanted |= wanted;
		}
	}
	if (!key_wanted)
		columns->nkey = 0;
	if (!value_wanted)
		columns->nvalue = 0;
}
