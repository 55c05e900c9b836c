/*
 * kafka_position.c
 *		Positions of jobs in the cluster that they write to: exactly once.
 *
 * Topic __feathub_position has a record for each job, sink and partition of the
 * source: the last batch, from where to where, and which of its records were not
 * written.  It is written in the Kafka transaction of the batch's messages, so it
 * says what the cluster has, whether or not the job's own commit came through.
 * The topic is compacted: of each key the last record stays.  (The offsets of a
 * consumer group would travel in transactions too, but they expire after a
 * week, hold 4 kB, and name partitions of the same cluster only.)
 *
 * Before its first batch a worker
 *	1. initialises its producer, whose transactional id is the same whenever this
 *	   share of the job runs: an older producer is fenced, a transaction that it
 *	   left is aborted, or committed if it was being committed;
 *	2. writes a record, the barrier, and waits until readers get past it: then all
 *	   transactions before it have ended, also those of workers that had another
 *	   share of the job;
 *	3. reads the positions up to there, from the end backwards.
 */
#include "postgres.h"

#include "access/xact.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "storage/latch.h"
#include "utils/builtins.h"
#include "utils/json.h"
#include "utils/jsonb.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "connectors/kafka/kafka_reader.h"
#include "connectors/kafka/kafka_transaction.h"
#include "core/clock.h"
#include "core/compat.h"

/* Records of the topic that are read first; then eight times as many, and so on. */
#define FIRST_WINDOW		4000

/* ms between two looks whether open transactions have ended. */
#define LOOK_INTERVAL		10

/* Configuration of a topic that we make. */
static const char *const topic_config[][2] = {
	{"cleanup.policy", "compact"},
	/* little is read at a worker's start: the cleaner leaves the last segment */
	{"segment.bytes", "1048576"},
	{"min.cleanable.dirty.ratio", "0.1"},
	/* of transaction markers */
	{"delete.retention.ms", "3600000"}
};

static KafkaClient *make_consumer(FeathubRelation *rel);
static void check_topic(KafkaClient *client, const char *topic);
static KafkaProducer *make_producer(FeathubRelation *rel, const char *job, int worker);
static KafkaProducer *find_producer(FeathubRelation *rel);
static int64 write_barrier(KafkaProducer *producer, const char *key);
static void wait_for_barrier(KafkaClient *client, KafkaPartition *partition, int64 barrier);
static void read_positions(KafkaClient *client, KafkaPartition *partition, int64 end,
						   const char *prefix, FeathubSinkPosition *positions, int n);
static char *key_prefix(const char *job);
static void send_record(KafkaProducer *producer, const char *key, const char *value);

bool
FeathubKafkaKeepsPositions(FeathubRelation *rel)
{
	KafkaOptions *options = rel->options;

	/* the embedded broker shows what was aborted, and forgets the rest */
	return options->transactional && strcmp(options->bootstrap_servers, "embedded") != 0;
}

void
FeathubKafkaLoadPositions(FeathubRelation *rel, const char *job, int worker,
						  FeathubSinkPosition *positions, int n)
{
	const char *topic = ((KafkaOptions *) rel->options)->positions_topic;
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "feathub kafka positions",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext result = MemoryContextSwitchTo(context);
	char	   *prefix = key_prefix(job);
	KafkaClient *client = make_consumer(rel);
	KafkaPartition *partitions;
	KafkaProducer *producer;
	int64		barrier;
	int			npartitions;

	check_topic(client, topic);
	partitions = FeathubKafkaPartitions(client, topic, &npartitions);
	producer = make_producer(rel, job, worker);
	barrier = write_barrier(producer, psprintf("%s#%d", job, worker));
	wait_for_barrier(client, &partitions[0], barrier);
	read_positions(client, &partitions[0], barrier, prefix, positions, n);

	/* what was found outlives this */
	MemoryContextSwitchTo(result);
	for (int i = 0; i < n; i++)
	{
		FeathubSinkPosition *position = &positions[i];

		if (position->from == NULL)
			continue;
		position->from = pstrdup(position->from);
		position->next = pstrdup(position->next);
		position->refused = position->refused ? pstrdup(position->refused) : NULL;
	}
	MemoryContextDelete(context);
}

static void
append_json(StringInfo out, const char *name, const char *value)
{
	appendStringInfo(out, ",\"%s\":", name);
	escape_json(out, value);
}

void
FeathubKafkaSavePositions(FeathubRelation *rel, const char *job,
						  const FeathubSinkPosition *positions, int n)
{
	KafkaProducer *producer = find_producer(rel);
	char	   *prefix = key_prefix(job);
	StringInfoData value;

	if (producer == NULL)
		elog(ERROR, "no producer for the positions of job %s", job);
	/* no messages: if the batch comes again, then with none */
	if (!producer->begun && producer->nheld == 0)
		return;
	FeathubKafkaJobRelease(producer);
	initStringInfo(&value);
	for (int i = 0; i < n; i++)
	{
		resetStringInfo(&value);
		appendStringInfo(&value, "{\"epoch\":" INT64_FORMAT, positions[i].epoch);
		append_json(&value, "from", positions[i].from);
		append_json(&value, "next", positions[i].next);
		if (positions[i].refused)
			append_json(&value, "refused", positions[i].refused);
		appendStringInfoChar(&value, '}');
		send_record(producer, psprintf("%s%s", prefix, positions[i].partition), value.data);
	}
	/* of the batch's rows too: what is refused must be known before the commit */
	FeathubKafkaDeliveryWait(producer->job_delivery);
}

/* The topic */

/* Reads committed records only, whatever the table is set to. */
static KafkaClient *
make_consumer(FeathubRelation *rel)
{
	KafkaOptions *options = palloc(sizeof(KafkaOptions));
	KafkaClient *client;

	memcpy(options, rel->options, sizeof(KafkaOptions));
	options->isolation_level = KAFKA_READ_COMMITTED;
	client = FeathubKafkaClientPrepare(rel->server, rel->user, rel->table->options, options,
									   RD_KAFKA_CONSUMER, CurrentMemoryContext);
	FeathubKafkaClientStart(client);
	return client;
}

/* Make the topic, unless it is there; one that loses records is an error. */
static void
check_topic(KafkaClient *client, const char *topic)
{
	const char *policy;

	if (!FeathubKafkaTopicExists(client, topic))
		FeathubKafkaCreateTopic(client, topic, topic_config, lengthof(topic_config));
	policy = FeathubKafkaTopicConfig(client, topic, "cleanup.policy");
	if (policy != NULL && strcmp(policy, "compact") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("topic \"%s\" of foreign server \"%s\" cannot hold positions of jobs",
						topic, client->server),
				 errdetail("Its \"cleanup.policy\" is \"%s\": positions would be deleted in time.", policy),
				 errhint("Set it to \"compact\".")));
}

/* The producer */

/*
 * A new one, since that fences older ones.  Of a job's several sinks each has
 * its own.
 */
static KafkaProducer *
make_producer(FeathubRelation *rel, const char *job, int worker)
{
	KafkaOptions *options = rel->options;
	KafkaProducer *producer = find_producer(rel);
	char	   *name = pstrdup(job);

	if (producer != NULL)
		FeathubKafkaProducerDrop(producer);
	for (char *p = name; *p; p++)
	{
		if (*p == '/')
			*p = '-';
	}
	return FeathubKafkaProducerMake(rel, psprintf("%s-job-%s-%d",
												  options->transactional_id ?
												  options->transactional_id : "feathub",
												  name, worker));
}

static KafkaProducer *
find_producer(FeathubRelation *rel)
{
	for (KafkaProducer *producer = FeathubKafkaProducers; producer != NULL;
		 producer = producer->next)
	{
		if (producer->job_id != NULL && producer->relid == rel->relid &&
			producer->userid == rel->userid)
			return producer;
	}
	return NULL;
}

/* Writes a record without value, and returns its offset. */
static int64
write_barrier(KafkaProducer *producer, const char *key)
{
	KafkaDelivery *delivery = producer->job_delivery;

	FeathubKafkaTransactionBegin(producer);
	send_record(producer, key, NULL);
	FeathubKafkaDeliveryWait(delivery);
	FeathubKafkaTransactionCommit(producer);
	return delivery->last_offset;
}

/* All of them in one partition: so one barrier is enough. */
static void
send_record(KafkaProducer *producer, const char *key, const char *value)
{
	char	   *key_bytes = pg_server_to_any(key, strlen(key), PG_UTF8);
	char	   *value_bytes = value ? pg_server_to_any(value, strlen(value), PG_UTF8) : NULL;

	FeathubKafkaProduce(producer->job_delivery,
						((KafkaOptions *) producer->rel->options)->positions_topic, 0,
						key_bytes, strlen(key_bytes),
						value_bytes, value_bytes ? strlen(value_bytes) : 0, 0, NULL);
}

/* Reading */

/* Fills the partition's first offset and its end as readers see it. */
static void
wait_for_barrier(KafkaClient *client, KafkaPartition *partition, int64 barrier)
{
	TimestampTz since = FeathubClock();

	for (;;)
	{
		FeathubKafkaWatermarks(client, partition, 1);
		if (partition->high > barrier)
			return;
		if (TimestampDifferenceExceeds(since, FeathubClock(),
									   client->options->produce_timeout * 1000))
			ereport(ERROR,
					(errcode(ERRCODE_CONNECTION_FAILURE),
					 errmsg("could not read topic \"%s\" of foreign server \"%s\": a transaction there has not ended",
							partition->topic, client->server),
					 errdetail("A producer that wrote to it has gone without ending its transaction; the broker aborts it after \"transaction.timeout.ms\".")));
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 LOOK_INTERVAL, FEATHUB_WAIT_EVENT("FeathubKafkaPositions"));
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
	}
}

/* A field of a record, or NULL. */
static char *
get_field(Jsonb *jsonb, const char *name)
{
	JsonbValue	space;
	JsonbValue *value = getKeyJsonValueFromContainer(&jsonb->root, name, strlen(name), &space);

	if (value == NULL)
		return NULL;
	if (value->type == jbvString)
		return pnstrdup(value->val.string.val, value->val.string.len);
	if (value->type == jbvNumeric)
		return DatumGetCString(DirectFunctionCall1(numeric_out,
												   NumericGetDatum(value->val.numeric)));
	return NULL;
}

/* A record is read; false if it is none of ours. */
static bool
read_record(const rd_kafka_message_t *message, FeathubSinkPosition *position)
{
	char	   *text = pg_any_to_server(pnstrdup(message->payload, message->len),
										message->len, PG_UTF8);
	Jsonb	   *jsonb = DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(text)));
	char	   *epoch;

	if (!JB_ROOT_IS_OBJECT(jsonb))
		return false;
	epoch = get_field(jsonb, "epoch");
	position->from = get_field(jsonb, "from");
	position->next = get_field(jsonb, "next");
	position->refused = get_field(jsonb, "refused");
	position->epoch = epoch ? strtoll(epoch, NULL, 10) : 0;
	if (position->from == NULL || position->next == NULL)
		position->from = position->next = NULL;
	return position->from != NULL;
}

/* One window: of each partition not found yet the last record in it. */
static int
read_window(KafkaReader *reader, KafkaReaderPart *part, const char *prefix,
			FeathubSinkPosition *positions, bool *found, int n)
{
	size_t		prefix_len = strlen(prefix);
	rd_kafka_message_t *message;
	int			nfound = 0;
	int			last = 0;

	FeathubKafkaReaderStart(reader, part, 1);
	while ((message = FeathubKafkaReaderNext(reader)) != NULL)
	{
		char	   *name;

		CHECK_FOR_INTERRUPTS();
		if (message->key_len <= prefix_len || message->payload == NULL ||
			memcmp(message->key, prefix, prefix_len) != 0)
			continue;
		name = pnstrdup((char *) message->key + prefix_len, message->key_len - prefix_len);
		name = pg_any_to_server(name, strlen(name), PG_UTF8);
		/* both are mostly in the same order */
		for (int tries = 0; tries < n; tries++)
		{
			FeathubSinkPosition *position = &positions[(last + tries) % n];

			if (strcmp(position->partition, name) != 0)
				continue;
			last = (last + tries) % n;
			if (!found[last])
				(void) read_record(message, position);
			break;
		}
	}
	for (int i = 0; i < n; i++)
	{
		found[i] |= positions[i].from != NULL;
		nfound += found[i];
	}
	return nfound;
}

static void
read_positions(KafkaClient *client, KafkaPartition *partition, int64 end,
			   const char *prefix, FeathubSinkPosition *positions, int n)
{
	KafkaReader *reader = FeathubKafkaReaderBegin(client);
	bool	   *found = palloc0(sizeof(bool) * (n + 1));
	int64		window = FIRST_WINDOW;

	while (end > partition->low)
	{
		KafkaRange	range = {.start = Max(partition->low, end - window),.end = end};
		KafkaReaderPart part = {.partition = partition,.ranges = &range,.nranges = 1};
		int			nfound = read_window(reader, &part, prefix, positions, found, n);

		FeathubKafkaReaderStop(reader);
		if (nfound == n)
			break;
		end = range.start;
		window *= 8;
	}
}

/* What keys begin with: the job and its sink. */
static char *
key_prefix(const char *job)
{
	return psprintf("%s/", job);
}
