/*
 * kafka_transaction.c
 *		Transactions of producers: tied to those of the database.
 *
 * The first write in a SQL transaction begins a Kafka transaction.  Every
 * statement still waits for its delivery reports.  The Kafka transaction is
 * committed when the SQL transaction is about to commit (PRE_COMMIT), so that a
 * failure there rolls back the SQL transaction, and aborted when the SQL
 * transaction aborts.  The limits:
 * - After PRE_COMMIT the SQL transaction may still fail: another PRE_COMMIT
 *	 callback, deferred serialization failures, a crash before the commit record
 *	 is flushed.  Then Kafka has committed what PostgreSQL has not.  There is no
 *	 second phase in Kafka's protocol that would close this gap; a job closes it
 *	 by its positions (kafka_position.c).
 * - A commit whose answer is lost is an error although Kafka may have committed.
 * - A rolled back subtransaction cannot be taken back alone: if it wrote, the
 *	 SQL transaction cannot commit any more; for jobs see kafka_job.c.
 * - PREPARE TRANSACTION is refused.
 * - Two tables have two Kafka transactions, committed one after the other.
 * - Kafka answers a commit before its markers are in the partitions: readers
 *	 see the messages a moment after COMMIT.
 * - A SQL transaction longer than transaction.timeout.ms fails at its end.
 * The transactional id of a session names the backend's slot, not its process: a
 * new session in the slot of one that died fences off what that one left open.
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "storage/latch.h"
#include "utils/timestamp.h"

#include "connectors/kafka/kafka_transaction.h"
#include "core/clock.h"
#include "core/compat.h"

/* ms of a call into the library that may have to be repeated. */
#define TRANSACTION_SLICE	400

/* ms for aborting a transaction when the SQL transaction has failed. */
#define ABORT_TIMEOUT		800

typedef rd_kafka_error_t *(*LibraryCall) (rd_kafka_t *rk, int timeout);

pg_noreturn static void raise_library_error(KafkaProducer *producer, rd_kafka_error_t *error,
								const char *action);
static void until_done(KafkaProducer *producer, LibraryCall call, const char *action);
static void at_xact_event(XactEvent event, void *arg);
static void at_subxact_event(SubXactEvent event, SubTransactionId subid,
							 SubTransactionId parent, void *arg);

void
FeathubKafkaTransactionRegister(void)
{
	RegisterXactCallback(at_xact_event, NULL);
	RegisterSubXactCallback(at_subxact_event, NULL);
}

/* Wait until the transaction coordinator knows us. */
void
FeathubKafkaTransactionInit(KafkaProducer *producer)
{
	until_done(producer, rd_kafka_init_transactions, "begin a transaction on");
}

/* Begin a transaction unless this SQL transaction has one. */
void
FeathubKafkaTransactionBegin(KafkaProducer *producer)
{
	rd_kafka_error_t *error;

	if (producer->restart && producer->job_id != NULL && !producer->begun)
		FeathubKafkaProducerRestart(producer);
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
	if (producer->job_id != NULL)
		FeathubKafkaDeliveryReset(producer->job_delivery);
}

/*
 * Is the failure to abort mended by a producer that begins anew?  A broker that
 * has not heard of the transaction yet, or no more, says that it cannot end it.
 */
static bool
restart_helps(const rd_kafka_error_t *error)
{
	return rd_kafka_error_is_retriable(error) ||
		rd_kafka_error_code(error) == RD_KAFKA_RESP_ERR_INVALID_TXN_STATE;
}

/* At PRE_COMMIT: raises an error, and so aborts, if Kafka does not commit. */
void
FeathubKafkaTransactionCommit(KafkaProducer *producer)
{
	if (producer->doomed)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_TRANSACTION_STATE),
				 errmsg("cannot commit: messages to foreign table \"%s\" cannot be taken back in part",
						producer->rel->relname),
				 errdetail("A statement or subtransaction that wrote to it has failed or was rolled back.")));
	until_done(producer, rd_kafka_commit_transaction, "commit a transaction on");
	producer->begun = false;
}

/*
 * At abort: no errors from here.  A producer whose transaction does not abort
 * soon is dropped; the broker aborts it when the transactional id is used
 * again, or in time.  A job's is started again when it is needed.
 */
void
FeathubKafkaTransactionAbort(KafkaProducer *producer)
{
	rd_kafka_error_t *error;

	producer->begun = false;
	producer->probing = false;
	producer->broken = true;
	if (producer->client->fatal == RD_KAFKA_RESP_ERR_NO_ERROR)
	{
		error = rd_kafka_abort_transaction(producer->client->rk, ABORT_TIMEOUT);
		if (error == NULL)
			producer->broken = producer->restart && producer->job_id == NULL;
		else
		{
			if (producer->job_id != NULL && restart_helps(error))
			{
				producer->restart = true;
				producer->broken = false;
			}
			rd_kafka_error_destroy(error);
		}
	}
	producer->doomed = false;
	/* nobody asks any more what became of the messages */
	if (producer->job_id != NULL)
		FeathubKafkaDeliveryReset(producer->job_delivery);
}

void
FeathubKafkaTransactionTakeBack(KafkaProducer *producer)
{
	until_done(producer, rd_kafka_abort_transaction, "abort a transaction on");
	producer->begun = producer->probing = producer->doomed = false;
	FeathubKafkaDeliveryReset(producer->job_delivery);
}

/*
 * Calls that wait for the transaction coordinator, in slices that a cancel can
 * end; repeated as long as the library says that it may help, up to option
 * "produce_timeout".  The producer of a transaction that cannot be aborted is of
 * no more use.
 */
static void
until_done(KafkaProducer *producer, LibraryCall call, const char *action)
{
	KafkaOptions *options = producer->rel->options;
	TimestampTz since = FeathubClock();
	rd_kafka_error_t *error;

	for (;;)
	{
		CHECK_FOR_INTERRUPTS();
		FeathubKafkaServe(producer->client);
		error = call(producer->client->rk, TRANSACTION_SLICE);
		if (error == NULL)
			return;
		if (!rd_kafka_error_is_retriable(error) ||
			TimestampDifferenceExceeds(since, FeathubClock(), options->produce_timeout * 1000))
			break;
		rd_kafka_error_destroy(error);
		if (call == rd_kafka_init_transactions)
			FeathubKafkaCheckTimeout(producer->client, since, action);
	}
	if (call == rd_kafka_abort_transaction)
		producer->broken = true;
	raise_library_error(producer, error, action);
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
	if (err == RD_KAFKA_RESP_ERR__UNSUPPORTED_FEATURE ||
		err == RD_KAFKA_RESP_ERR_UNSUPPORTED_VERSION)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("foreign server \"%s\" has no transactions: %s",
						producer->client->server, reason),
				 errhint("Set option \"transactional\" of foreign table \"%s\" to \"false\".",
						 producer->rel->relname)));
	if (err == RD_KAFKA_RESP_ERR_INVALID_TRANSACTION_TIMEOUT)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
				 errmsg("could not %s foreign server \"%s\": %s", action,
						producer->client->server, reason),
				 errhint("Lower \"transaction.timeout.ms\" of foreign table \"%s\", or raise the broker's \"transaction.max.timeout.ms\".",
						 producer->rel->relname)));
	FeathubKafkaError(producer->client, err, reason, action, options->topic, -1);
}

/* Callbacks of the server */

static void
at_xact_event(XactEvent event, void *arg)
{
	KafkaProducer *next;

	for (KafkaProducer *producer = FeathubKafkaProducers; producer != NULL; producer = next)
	{
		next = producer->next;
		if (event == XACT_EVENT_COMMIT || event == XACT_EVENT_ABORT)
			FeathubKafkaJobSubEnd(producer, 1, false);
		if (event == XACT_EVENT_PRE_COMMIT && producer->nheld > 0)
			FeathubKafkaJobRelease(producer);
		if (!producer->begun && !producer->probing)
			continue;
		switch (event)
		{
			case XACT_EVENT_PRE_COMMIT:
				FeathubKafkaTransactionCommit(producer);
				break;
			case XACT_EVENT_PRE_PREPARE:
				ereport(ERROR,
						(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						 errmsg("cannot PREPARE a transaction that has written to transactional foreign table \"%s\"",
								producer->rel->relname)));
				break;
			case XACT_EVENT_ABORT:
				FeathubKafkaTransactionAbort(producer);
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
	for (KafkaProducer *producer = FeathubKafkaProducers; producer != NULL; producer = producer->next)
	{
		if (event == SUBXACT_EVENT_ABORT_SUB && producer->probing)
			FeathubKafkaTransactionAbort(producer);
		FeathubKafkaJobSubEnd(producer, level, event == SUBXACT_EVENT_COMMIT_SUB);
		if (!producer->begun || producer->write_level < level)
			continue;
		if (event == SUBXACT_EVENT_ABORT_SUB)
			producer->doomed = true;
		producer->write_level = level - 1;
	}
}

