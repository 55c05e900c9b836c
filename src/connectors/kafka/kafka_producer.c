/*
 * kafka_producer.c
 *		Producers, kept from statement to statement, and their transactions.
 *
 * A producer belongs to a table and a user and lives until an option of the
 * server, the mapping or a table changes, until it fails, or until the session
 * ends.  It is idempotent: the library's own retries neither repeat nor reorder
 * messages.
 *
 * Without option "transactional" a message is there once its statement has
 * ended, and ROLLBACK does not take it back.  With it, see kafka_transaction.c.
 * The producer of a job that writes exactly once has ways of its own:
 * kafka_job.c.
 */
#include "postgres.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/proc.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

#include "connectors/kafka/kafka_transaction.h"
#include "core/compat.h"

/* Producers that a session keeps; each has some threads. */
#define MAX_PRODUCERS		8

KafkaProducer *FeathubKafkaProducers = NULL;

static bool callbacks_registered = false;
static bool exit_registered = false;
static uintptr_t last_delivery = 0;

static KafkaProducer *find_producer(FeathubRelation *rel);
static void start_client(KafkaProducer *producer);
static void check_unchanged(KafkaProducer *producer, FeathubRelation *rel);
static void set_default(KafkaProducer *producer, const char *name, const char *value);
static void set_transactional(KafkaProducer *producer);
static void drop_unusable(void);
static bool is_purged(rd_kafka_resp_err_t err);
static void release_delivery(void *arg);
static void note_report(rd_kafka_t *rk, const rd_kafka_message_t *message, void *opaque);
pg_noreturn static void raise_failure(KafkaDelivery *delivery);
static void register_callbacks(void);
static void invalidate_producers(Datum arg, int cacheid, uint32 hashvalue);
static void at_exit(int code, Datum arg);

/* Statements */

KafkaDelivery *
FeathubKafkaDeliveryBegin(FeathubRelation *rel)
{
	KafkaDelivery *delivery = palloc0(sizeof(KafkaDelivery));
	KafkaProducer *producer;

	register_callbacks();
	drop_unusable();
	producer = find_producer(rel);
	if (producer == NULL)
		producer = FeathubKafkaProducerMake(rel, NULL);
	if (producer->job_id != NULL)
	{
		check_unchanged(producer, rel);
		if (producer->broken)
			ereport(ERROR,
					(errcode(ERRCODE_CONNECTION_FAILURE),
					 errmsg("the producer of a job that writes to foreign table \"%s\" cannot be used any more",
							producer->rel->relname)));
		return producer->job_delivery;
	}
	if (producer->transactional)
		FeathubKafkaTransactionBegin(producer);

	delivery->producer = producer;
	delivery->id = ++last_delivery;
	delivery->next = producer->deliveries;
	producer->deliveries = delivery;
	delivery->callback.func = release_delivery;
	delivery->callback.arg = delivery;
	MemoryContextRegisterResetCallback(CurrentMemoryContext, &delivery->callback);
	return delivery;
}

void
FeathubKafkaDeliveryReset(KafkaDelivery *delivery)
{
	delivery->id = ++last_delivery;
	delivery->sent = delivery->reported = 0;
	delivery->err = RD_KAFKA_RESP_ERR_NO_ERROR;
	delivery->last_offset = -1;
}

void
FeathubKafkaDeliverySend(KafkaDelivery *delivery, const char *topic, int32 partition,
						 const char *key, Size key_len,
						 const char *value, Size value_len,
						 int64 timestamp, rd_kafka_headers_t *headers)
{
	KafkaProducer *producer = delivery->producer;

	if (producer->job_id != NULL)
	{
		if (FeathubKafkaJobHold(producer, topic, partition, key, key_len, value, value_len,
								timestamp, headers))
			return;
		FeathubKafkaTransactionBegin(producer);
	}
	FeathubKafkaProduce(delivery, topic, partition, key, key_len, value, value_len,
						timestamp, headers);
}

void
FeathubKafkaProduce(KafkaDelivery *delivery, const char *topic, int32 partition,
					const char *key, Size key_len,
					const char *value, Size value_len,
					int64 timestamp, rd_kafka_headers_t *headers)
{
	KafkaProducer *producer = delivery->producer;
	rd_kafka_resp_err_t err;

	/* of a job's message that could not be queued */
	if (delivery->headers != NULL)
		rd_kafka_headers_destroy(delivery->headers);
	delivery->headers = headers;
	for (;;)
	{
		err = rd_kafka_producev(producer->client->rk,
								RD_KAFKA_V_TOPIC(topic),
								RD_KAFKA_V_PARTITION(partition),
								RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
								RD_KAFKA_V_KEY((void *) key, key_len),
								RD_KAFKA_V_VALUE((void *) value, value_len),
								RD_KAFKA_V_TIMESTAMP(timestamp),
								RD_KAFKA_V_HEADERS(headers),
								RD_KAFKA_V_OPAQUE((void *) delivery->id),
								RD_KAFKA_V_END);
		if (err == RD_KAFKA_RESP_ERR_NO_ERROR)
		{
			/* the headers are the library's now */
			delivery->headers = NULL;
			delivery->sent++;
			if (producer->transactional)
				producer->write_level = Max(producer->write_level,
											GetCurrentTransactionNestLevel());
			return;
		}
		if (err != RD_KAFKA_RESP_ERR__QUEUE_FULL)
			break;
		if (rd_kafka_outq_len(producer->client->rk) == 0)
			ereport(ERROR,
					(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
					 errmsg("message of %zu bytes is too large for the producer's queue",
							key_len + value_len),
					 errhint("Raise \"queue.buffering.max.kbytes\" of the foreign server or table.")));

		CHECK_FOR_INTERRUPTS();
		FeathubKafkaDeliveryCheck(delivery);
		if (FeathubKafkaWait(producer->client, 100) & WL_LATCH_SET)
			ResetLatch(MyLatch);
	}

	/* the transaction has failed already: say why */
	if (err == RD_KAFKA_RESP_ERR__STATE && producer->transactional)
		FeathubKafkaDeliveryWait(delivery);
	if (err == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("message of %zu bytes is too large for topic \"%s\"",
						key_len + value_len, topic),
				 errhint("Raise \"message.max.bytes\" of the foreign server or table, and of the topic.")));
	FeathubKafkaError(producer->client, err, NULL, "write to", topic, partition);
}

/* Was the message thrown away because another one failed? */
static bool
is_purged(rd_kafka_resp_err_t err)
{
	return err == RD_KAFKA_RESP_ERR__PURGE_QUEUE || err == RD_KAFKA_RESP_ERR__PURGE_INFLIGHT;
}

void
FeathubKafkaDeliveryCheck(KafkaDelivery *delivery)
{
	FeathubKafkaServe(delivery->producer->client);
	if (delivery->err == RD_KAFKA_RESP_ERR_NO_ERROR)
		return;
	/* the others of its transaction go with a message that failed: wait for that */
	if (!is_purged(delivery->err) || delivery->reported == delivery->sent)
		raise_failure(delivery);
}

void
FeathubKafkaDeliveryFinish(KafkaDelivery *delivery)
{
	/* a job waits once for all of a batch, before it commits */
	if (delivery->producer->job_id != NULL)
		FeathubKafkaJobProbe(delivery->producer);
	else
		FeathubKafkaDeliveryWait(delivery);
}

void
FeathubKafkaDeliveryWait(KafkaDelivery *delivery)
{
	KafkaClient *client = delivery->producer->client;

	for (;;)
	{
		CHECK_FOR_INTERRUPTS();
		FeathubKafkaDeliveryCheck(delivery);
		if (delivery->reported == delivery->sent)
			return;

		/* sends at once what linger.ms would hold back, and serves reports */
		pgstat_report_wait_start(FEATHUB_WAIT_EVENT("FeathubKafkaDelivery"));
		rd_kafka_flush(client->rk, KAFKA_SLICE_MIN);
		pgstat_report_wait_end();
	}
}

/* Reset callback of the statement's context. */
static void
release_delivery(void *arg)
{
	KafkaDelivery *delivery = arg;
	KafkaProducer *producer = delivery->producer;
	KafkaDelivery **link;
	bool		unfinished;

	if (producer == NULL)
		return;					/* the process exits */
	link = &producer->deliveries;
	if (delivery->headers != NULL)
		rd_kafka_headers_destroy(delivery->headers);
	while (*link != delivery)
		link = &(*link)->next;
	*link = delivery->next;

	/*
	 * The statement failed.  Messages that are still queued would go out later,
	 * with the next statement's: drop them with the producer.
	 */
	unfinished = delivery->reported != delivery->sent;
	if (producer->transactional && !producer->begun)
		unfinished = false;		/* aborting the transaction has purged it all */
	if (unfinished || producer->client->fatal != RD_KAFKA_RESP_ERR_NO_ERROR)
		producer->broken = true;
	if (unfinished || delivery->err != RD_KAFKA_RESP_ERR_NO_ERROR)
		producer->doomed = true;
	if (producer->deliveries == NULL && !producer->begun &&
		(producer->broken || producer->invalid))
		FeathubKafkaProducerDrop(producer);
}

/*
 * Delivery report callback.  Runs in our thread, in a call into the library:
 * it must not raise errors.
 */
static void
note_report(rd_kafka_t *rk, const rd_kafka_message_t *message, void *opaque)
{
	KafkaClient *client = opaque;
	KafkaProducer *producer = client->opaque;

	for (KafkaDelivery *delivery = producer->deliveries; delivery != NULL;
		 delivery = delivery->next)
	{
		if (delivery->id != (uintptr_t) message->_private)
			continue;
		delivery->reported++;
		delivery->last_offset = message->offset;
		if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR &&
			(delivery->err == RD_KAFKA_RESP_ERR_NO_ERROR || is_purged(delivery->err)))
		{
			delivery->err = message->err;
			producer->restart |= !is_purged(message->err);
			strlcpy(delivery->topic, rd_kafka_topic_name(message->rkt),
					sizeof(delivery->topic));
			delivery->partition = message->partition;
		}
		return;
	}
}

static void
raise_failure(KafkaDelivery *delivery)
{
	KafkaProducer *producer = delivery->producer;
	rd_kafka_resp_err_t err = delivery->err;
	const char *reason = NULL;

	if (err == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("could not write to topic \"%s\" partition %d of foreign server \"%s\": %s",
						delivery->topic, delivery->partition, producer->client->server,
						rd_kafka_err2str(err)),
				 errhint("The topic's \"max.message.bytes\" limits batches of messages; see properties \"batch.size\" and \"message.max.bytes\".")));

	/* "timed out" alone says little: tell what the connection last said */
	if (err == RD_KAFKA_RESP_ERR__MSG_TIMED_OUT && producer->client->last_reason[0] != '\0')
		reason = psprintf("%s (%s)", rd_kafka_err2str(err), producer->client->last_reason);
	FeathubKafkaError(producer->client, err, reason, "write to", delivery->topic,
					  delivery->partition);
}

/* Producers */

/* The table's and user's producer, if it can be used. */
static KafkaProducer *
find_producer(FeathubRelation *rel)
{
	for (KafkaProducer **link = &FeathubKafkaProducers; *link != NULL; link = &(*link)->next)
	{
		KafkaProducer *producer = *link;

		if (producer->relid != rel->relid || producer->userid != rel->userid)
			continue;
		/* a job's is for as long as its worker follows what it follows now */
		if (producer->job_id != NULL)
			return producer;
		if (producer->broken && producer->begun)
			return producer;	/* its transaction is doomed: says so */
		if (producer->broken || (producer->invalid && !producer->begun))
			continue;

		/* the embedded broker may have started again, elsewhere */
		if (producer->address != NULL && !producer->begun &&
			strcmp(producer->address, FeathubKafkaEmbeddedAddress()) != 0)
		{
			producer->invalid = true;
			continue;
		}
		*link = producer->next;
		producer->next = FeathubKafkaProducers;
		FeathubKafkaProducers = producer;
		return producer;
	}
	return NULL;
}

KafkaProducer *
FeathubKafkaProducerMake(FeathubRelation *rel, const char *job_id)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "feathub kafka producer",
												  ALLOCSET_SMALL_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	KafkaProducer *producer = palloc0(sizeof(KafkaProducer));
	KafkaOptions *options;

	register_callbacks();
	producer->relid = rel->relid;
	producer->userid = rel->userid;
	producer->context = context;
	producer->rel = FeathubRelationOpen(rel->relid, rel->userid);
	options = producer->rel->options;
	producer->transactional = options->transactional;
	if (job_id != NULL)
	{
		producer->job_id = pstrdup(job_id);
		producer->job_delivery = palloc0(sizeof(KafkaDelivery));
		producer->job_delivery->producer = producer;
		producer->deliveries = producer->job_delivery;
	}
	if (strcmp(options->bootstrap_servers, "embedded") == 0)
		producer->address = FeathubKafkaEmbeddedAddress();
	MemoryContextSwitchTo(old);
	start_client(producer);

	/* from here on it outlives the statement */
	MemoryContextSetParent(context, TopMemoryContext);
	producer->next = FeathubKafkaProducers;
	FeathubKafkaProducers = producer;
	return producer;
}

void
FeathubKafkaProducerRestart(KafkaProducer *producer)
{
	/* until it is there */
	producer->broken = true;
	producer->client = NULL;
	MemoryContextDelete(producer->client_context);
	producer->client_context = NULL;
	start_client(producer);
	producer->broken = producer->restart = false;
}

static void
start_client(KafkaProducer *producer)
{
	KafkaOptions *options = producer->rel->options;
	MemoryContext old;
	int			npartitions;

	producer->client_context = AllocSetContextCreate(producer->context, "feathub kafka client",
													 ALLOCSET_SMALL_SIZES);
	old = MemoryContextSwitchTo(producer->client_context);
	producer->client = FeathubKafkaClientForRelation(producer->rel, RD_KAFKA_PRODUCER,
													 producer->client_context);
	producer->client->opaque = producer;
	if (!exit_registered)
	{
		/* after the clients' own callback, thus called before it */
		before_shmem_exit(at_exit, (Datum) 0);
		exit_registered = true;
	}
	rd_kafka_conf_set_dr_msg_cb(producer->client->conf, note_report);
	/* where Java's clients send a key, too */
	set_default(producer, "partitioner", "murmur2_random");
	if (producer->transactional)
		set_transactional(producer);
	FeathubKafkaClientStart(producer->client);
	MemoryContextSwitchTo(old);

	/*
	 * Look for the topics first: the library would hold messages back for a
	 * while before it says that one does not exist.
	 */
	(void) FeathubKafkaPartitions(producer->client, options->topic, &npartitions);
	if (producer->transactional)
		FeathubKafkaTransactionInit(producer);
	if (producer->job_id != NULL)
		(void) FeathubKafkaPartitions(producer->client, options->positions_topic, &npartitions);
}

/* A job's producer stays as it was made: raise an error if the options are others. */
static void
check_unchanged(KafkaProducer *producer, FeathubRelation *rel)
{
	FeathubRelation *old = producer->rel;

	if (!producer->invalid)
		return;
	if (!equal(old->table->options, rel->table->options) ||
		!equal(old->server->options, rel->server->options) ||
		!equal(old->user ? old->user->options : NIL, rel->user ? rel->user->options : NIL))
		ereport(ERROR,
				(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
				 errmsg("options of foreign table \"%s\" have been changed", rel->relname)));
	producer->invalid = false;
}

/* Set a property that neither the table nor the server gives. */
static void
set_default(KafkaProducer *producer, const char *name, const char *value)
{
	if (FeathubOptionsGet(producer->rel->table->options, name) == NULL &&
		FeathubOptionsGet(producer->rel->server->options, name) == NULL)
		FeathubKafkaClientSet(producer->client, name, value);
}

static void
set_transactional(KafkaProducer *producer)
{
	KafkaOptions *options = producer->rel->options;
	char	   *id;

	if (producer->job_id != NULL)
	{
		FeathubKafkaClientSet(producer->client, "transactional.id", producer->job_id);
		/* longer than a batch takes to be sent and committed */
		set_default(producer, "transaction.timeout.ms",
					psprintf("%d", Max(60, 2 * options->produce_timeout) * 1000));
		return;
	}
	if (options->transactional_id != NULL)
		id = pstrdup(options->transactional_id);
	else
		id = psprintf("feathub-" UINT64_FORMAT, GetSystemIdentifier());
	FeathubKafkaClientSet(producer->client, "transactional.id",
						  psprintf("%s-%u-%u-%u-%d", id, MyDatabaseId, producer->relid,
								   producer->userid,
								   (int) (MyProc - ProcGlobal->allProcs)));
	/*
	 * Longer than the library's minute, for the sake of long statements; but
	 * until then a dead session's transaction holds up readers of the topic.
	 */
	set_default(producer, "transaction.timeout.ms",
				psprintf("%d", Max(300, options->produce_timeout) * 1000));
}

/* Forget producers that cannot be used any more, and the oldest of too many. */
static void
drop_unusable(void)
{
	KafkaProducer *next;
	int			kept = 0;

	for (KafkaProducer *producer = FeathubKafkaProducers; producer != NULL; producer = next)
	{
		next = producer->next;
		if (producer->deliveries == NULL && !producer->begun &&
			(producer->invalid || producer->broken || ++kept >= MAX_PRODUCERS))
			FeathubKafkaProducerDrop(producer);
	}
}

void
FeathubKafkaProducerDrop(KafkaProducer *producer)
{
	for (KafkaProducer **link = &FeathubKafkaProducers; *link != NULL; link = &(*link)->next)
	{
		if (*link == producer)
		{
			*link = producer->next;
			break;
		}
	}
	/* what is still queued is not wanted */
	MemoryContextDelete(producer->context);
}

/* Callbacks of the server */

static void
register_callbacks(void)
{
	if (callbacks_registered)
		return;
	CacheRegisterSyscacheCallback(FOREIGNSERVEROID, invalidate_producers, (Datum) 0);
	CacheRegisterSyscacheCallback(USERMAPPINGOID, invalidate_producers, (Datum) 0);
	CacheRegisterSyscacheCallback(FOREIGNTABLEREL, invalidate_producers, (Datum) 0);
	FeathubKafkaTransactionRegister();
	callbacks_registered = true;
}

/* Cheap and rare: any change of options invalidates all of them. */
static void
invalidate_producers(Datum arg, int cacheid, uint32 hashvalue)
{
	for (KafkaProducer *producer = FeathubKafkaProducers; producer != NULL; producer = producer->next)
		producer->invalid = true;
}

/* The clients are about to go: leave nothing that would touch them later. */
static void
at_exit(int code, Datum arg)
{
	for (KafkaProducer *producer = FeathubKafkaProducers; producer != NULL; producer = producer->next)
	{
		/* or readers of the topic would wait until it times out */
		if (producer->begun || producer->probing)
			FeathubKafkaTransactionAbort(producer);
		for (KafkaDelivery *delivery = producer->deliveries; delivery != NULL;
			 delivery = delivery->next)
			delivery->producer = NULL;
	}
	FeathubKafkaProducers = NULL;
}
