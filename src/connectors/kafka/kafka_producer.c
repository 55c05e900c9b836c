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
 * ended, and ROLLBACK does not take it back.
 *
 * With it, the first write in a SQL transaction begins a Kafka transaction.
 * Every statement still waits for its delivery reports.  The Kafka transaction
 * is committed when the SQL transaction is about to commit (PRE_COMMIT), so
 * that a failure there rolls back the SQL transaction, and aborted when the SQL
 * transaction aborts.  The limits:
 * - After PRE_COMMIT the SQL transaction may still fail: another PRE_COMMIT
 *	 callback, deferred serialization failures, a crash before the commit record
 *	 is flushed.  Then Kafka has committed what PostgreSQL has not.  There is no
 *	 second phase in Kafka's protocol that would close this gap.
 * - A commit whose answer is lost is an error although Kafka may have committed.
 * - A rolled back subtransaction cannot be taken back alone: if it wrote, the
 *	 SQL transaction cannot commit any more.
 * - PREPARE TRANSACTION is refused.
 * - Two tables have two Kafka transactions, committed one after the other.
 * - Kafka answers a commit before its markers are in the partitions: readers
 *	 see the messages a moment after COMMIT.
 * - A SQL transaction longer than transaction.timeout.ms fails at its end.
 * The transactional id names the backend's slot, not its process: a new session
 * in the slot of one that died fences off what that one left open.
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

#include "connectors/kafka/kafka_producer.h"
#include "core/compat.h"

/* Producers that a session keeps; each has some threads. */
#define MAX_PRODUCERS		8

/* ms of a call into the library that may have to be repeated. */
#define TRANSACTION_SLICE	400

/* ms for aborting a transaction when the SQL transaction has failed. */
#define ABORT_TIMEOUT		800

struct KafkaProducer
{
	Oid			relid;
	Oid			userid;
	FeathubRelation *rel;		/* its own copy: the client points into it */
	KafkaClient *client;
	MemoryContext context;		/* all of the above */
	char	   *address;		/* the embedded broker's, or NULL */
	KafkaDelivery *deliveries;	/* statements that run */
	bool		invalid;		/* options have changed */
	bool		broken;			/* holds messages of a failed statement */

	/* Transactions */
	bool		transactional;
	bool		begun;			/* in this SQL transaction */
	bool		doomed;			/* it cannot commit any more */
	int			write_level;	/* deepest subtransaction that wrote; 0: none */

	KafkaProducer *next;
};

static KafkaProducer *producers = NULL; /* most recently used first */
static bool callbacks_registered = false;
static bool exit_registered = false;
static uintptr_t last_delivery = 0;

static KafkaProducer *find_producer(FeathubRelation *rel);
static KafkaProducer *make_producer(FeathubRelation *rel);
static void set_default(KafkaProducer *producer, const char *name, const char *value);
static void set_transactional(KafkaProducer *producer);
static void init_transactions(KafkaProducer *producer);
static void begin_transaction(KafkaProducer *producer);
static void drop_unusable(void);
static void drop_producer(KafkaProducer *producer);
static void release_delivery(void *arg);
static void note_report(rd_kafka_t *rk, const rd_kafka_message_t *message, void *opaque);
static void raise_failure(KafkaDelivery *delivery) pg_attribute_noreturn();
static void raise_library_error(KafkaProducer *producer, rd_kafka_error_t *error,
								const char *action) pg_attribute_noreturn();
static void commit_transaction(KafkaProducer *producer);
static void abort_transaction(KafkaProducer *producer);
static void register_callbacks(void);
static void invalidate_producers(Datum arg, int cacheid, uint32 hashvalue);
static void at_xact_event(XactEvent event, void *arg);
static void at_subxact_event(SubXactEvent event, SubTransactionId subid,
							 SubTransactionId parent, void *arg);
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
		producer = make_producer(rel);
	if (producer->transactional)
		begin_transaction(producer);

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
FeathubKafkaDeliverySend(KafkaDelivery *delivery, const char *topic, int32 partition,
						 const char *key, Size key_len,
						 const char *value, Size value_len,
						 int64 timestamp, rd_kafka_headers_t *headers)
{
	KafkaProducer *producer = delivery->producer;
	rd_kafka_resp_err_t err;

	if (producer->transactional)
		producer->write_level = Max(producer->write_level,
									GetCurrentTransactionNestLevel());
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

	if (err == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("message of %zu bytes is too large for topic \"%s\"",
						key_len + value_len, topic),
				 errhint("Raise \"message.max.bytes\" of the foreign server or table, and of the topic.")));
	FeathubKafkaError(producer->client, err, NULL, "write to", topic, partition);
}

void
FeathubKafkaDeliveryCheck(KafkaDelivery *delivery)
{
	FeathubKafkaServe(delivery->producer->client);
	if (delivery->err != RD_KAFKA_RESP_ERR_NO_ERROR)
		raise_failure(delivery);
}

void
FeathubKafkaDeliveryFinish(KafkaDelivery *delivery)
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
		drop_producer(producer);
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
		if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR && delivery->err == 0)
		{
			delivery->err = message->err;
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
	for (KafkaProducer **link = &producers; *link != NULL; link = &(*link)->next)
	{
		KafkaProducer *producer = *link;

		if (producer->relid != rel->relid || producer->userid != rel->userid)
			continue;
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
		producer->next = producers;
		producers = producer;
		return producer;
	}
	return NULL;
}

static KafkaProducer *
make_producer(FeathubRelation *rel)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "feathub kafka producer",
												  ALLOCSET_SMALL_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	KafkaProducer *producer = palloc0(sizeof(KafkaProducer));
	KafkaOptions *options;
	int			npartitions;

	producer->relid = rel->relid;
	producer->userid = rel->userid;
	producer->context = context;
	producer->rel = FeathubRelationOpen(rel->relid, rel->userid);
	options = producer->rel->options;
	producer->transactional = options->transactional;
	if (strcmp(options->bootstrap_servers, "embedded") == 0)
		producer->address = FeathubKafkaEmbeddedAddress();

	producer->client = FeathubKafkaClientForRelation(producer->rel, RD_KAFKA_PRODUCER,
													 context);
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
		init_transactions(producer);

	/* from here on it outlives the statement */
	MemoryContextSetParent(context, TopMemoryContext);
	producer->next = producers;
	producers = producer;
	return producer;
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

	for (KafkaProducer *producer = producers; producer != NULL; producer = next)
	{
		next = producer->next;
		if (producer->deliveries == NULL && !producer->begun &&
			(producer->invalid || producer->broken || ++kept >= MAX_PRODUCERS))
			drop_producer(producer);
	}
}

static void
drop_producer(KafkaProducer *producer)
{
	for (KafkaProducer **link = &producers; *link != NULL; link = &(*link)->next)
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

/* Transactions */

/* Wait until the transaction coordinator knows us. */
static void
init_transactions(KafkaProducer *producer)
{
	TimestampTz since = GetCurrentTimestamp();
	KafkaOptions *options = producer->rel->options;

	for (;;)
	{
		rd_kafka_error_t *error;

		CHECK_FOR_INTERRUPTS();
		FeathubKafkaServe(producer->client);
		error = rd_kafka_init_transactions(producer->client->rk, TRANSACTION_SLICE);
		if (error == NULL)
			return;
		if (!rd_kafka_error_is_retriable(error) ||
			TimestampDifferenceExceeds(since, GetCurrentTimestamp(),
									   options->produce_timeout * 1000))
			raise_library_error(producer, error, "begin a transaction on");
		rd_kafka_error_destroy(error);
		FeathubKafkaCheckTimeout(producer->client, since, "begin a transaction on");
	}
}

/* Begin a transaction unless this SQL transaction has one. */
static void
begin_transaction(KafkaProducer *producer)
{
	rd_kafka_error_t *error;

	if (producer->begun)
	{
		if (producer->doomed)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_TRANSACTION_STATE),
					 errmsg("cannot write to transactional foreign table \"%s\" any more in this transaction",
							producer->rel->relname),
					 errdetail("A statement or subtransaction that wrote to it has failed or was rolled back."),
					 errhint("Roll back the transaction.")));
		return;
	}
	error = rd_kafka_begin_transaction(producer->client->rk);
	if (error != NULL)
	{
		producer->broken = true;
		raise_library_error(producer, error, "begin a transaction on");
	}
	producer->begun = true;
	producer->doomed = false;
	producer->write_level = 0;
}

/* At PRE_COMMIT: raises an error, and so aborts, if Kafka does not commit. */
static void
commit_transaction(KafkaProducer *producer)
{
	KafkaOptions *options = producer->rel->options;
	TimestampTz since = GetCurrentTimestamp();

	if (producer->doomed)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_TRANSACTION_STATE),
				 errmsg("cannot commit: messages to foreign table \"%s\" cannot be taken back in part",
						producer->rel->relname),
				 errdetail("A statement or subtransaction that wrote to it has failed or was rolled back.")));
	for (;;)
	{
		rd_kafka_error_t *error;

		CHECK_FOR_INTERRUPTS();
		FeathubKafkaServe(producer->client);
		error = rd_kafka_commit_transaction(producer->client->rk, TRANSACTION_SLICE);
		if (error == NULL)
			break;
		if (!rd_kafka_error_is_retriable(error) ||
			TimestampDifferenceExceeds(since, GetCurrentTimestamp(),
									   options->produce_timeout * 1000))
			raise_library_error(producer, error, "commit a transaction on");
		rd_kafka_error_destroy(error);
	}
	producer->begun = false;
}

/*
 * At abort: no errors from here.  A producer whose transaction does not abort
 * soon is dropped; the broker aborts it when the transactional id is used
 * again, or in time.
 */
static void
abort_transaction(KafkaProducer *producer)
{
	rd_kafka_error_t *error;

	producer->begun = false;
	producer->broken = true;
	if (producer->client->fatal == RD_KAFKA_RESP_ERR_NO_ERROR)
	{
		error = rd_kafka_abort_transaction(producer->client->rk, ABORT_TIMEOUT);
		if (error == NULL)
			producer->broken = false;
		else
			rd_kafka_error_destroy(error);
	}
	producer->doomed = false;
}

static void
raise_library_error(KafkaProducer *producer, rd_kafka_error_t *error, const char *action)
{
	rd_kafka_resp_err_t err = rd_kafka_error_code(error);
	char	   *reason = pstrdup(rd_kafka_error_string(error));
	KafkaOptions *options = producer->rel->options;

	if (rd_kafka_error_is_fatal(error))
		producer->broken = true;
	rd_kafka_error_destroy(error);
	FeathubKafkaError(producer->client, err, reason, action, options->topic, -1);
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
	RegisterXactCallback(at_xact_event, NULL);
	RegisterSubXactCallback(at_subxact_event, NULL);
	callbacks_registered = true;
}

/* Cheap and rare: any change of options invalidates all of them. */
static void
invalidate_producers(Datum arg, int cacheid, uint32 hashvalue)
{
	for (KafkaProducer *producer = producers; producer != NULL; producer = producer->next)
		producer->invalid = true;
}

static void
at_xact_event(XactEvent event, void *arg)
{
	KafkaProducer *next;

	for (KafkaProducer *producer = producers; producer != NULL; producer = next)
	{
		next = producer->next;
		if (!producer->begun)
			continue;
		switch (event)
		{
			case XACT_EVENT_PRE_COMMIT:
				commit_transaction(producer);
				break;
			case XACT_EVENT_PRE_PREPARE:
				ereport(ERROR,
						(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						 errmsg("cannot PREPARE a transaction that has written to transactional foreign table \"%s\"",
								producer->rel->relname)));
				break;
			case XACT_EVENT_ABORT:
				abort_transaction(producer);
				break;
			default:
				break;
		}
	}
}

static void
at_subxact_event(SubXactEvent event, SubTransactionId subid,
				 SubTransactionId parent, void *arg)
{
	int			level = GetCurrentTransactionNestLevel();

	if (event != SUBXACT_EVENT_COMMIT_SUB && event != SUBXACT_EVENT_ABORT_SUB)
		return;
	for (KafkaProducer *producer = producers; producer != NULL; producer = producer->next)
	{
		if (!producer->begun || producer->write_level < level)
			continue;
		if (event == SUBXACT_EVENT_ABORT_SUB)
			producer->doomed = true;
		producer->write_level = level - 1;
	}
}

/* The clients are about to go: leave nothing that would touch them later. */
static void
at_exit(int code, Datum arg)
{
	for (KafkaProducer *producer = producers; producer != NULL; producer = producer->next)
	{
		/* or readers of the topic would wait until it times out */
		if (producer->begun)
			abort_transaction(producer);
		for (KafkaDelivery *delivery = producer->deliveries; delivery != NULL;
			 delivery = delivery->next)
			delivery->producer = NULL;
	}
	producers = NULL;
}
