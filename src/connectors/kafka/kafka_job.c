/*
 * kafka_job.c
 *		What is particular to the producers of jobs that write exactly once.
 *
 * A batch is one Kafka transaction.  Its messages go out while it is applied and
 * are waited for once, when the positions are sent behind them; PRE_COMMIT ends
 * the transaction (kafka_transaction.c).
 *
 * A batch with a bad record is applied a second time, in subtransactions that
 * are rolled back and halved until the record stands alone.  Kafka can take back
 * nothing but a whole transaction, so what a subtransaction writes is held here:
 * dropped if it is rolled back, sent with the batch if all went well.  Since a
 * broker too may refuse a record (too large for the topic, say), each statement's
 * messages are tried before, in a transaction that is then aborted.
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "utils/memutils.h"

#include "connectors/kafka/kafka_transaction.h"

struct KafkaHeldMessage
{
	int			level;			/* of the subtransaction that wrote it */
	char	   *topic;
	int32		partition;
	char	   *key;			/* or NULL */
	Size		key_len;
	char	   *value;			/* or NULL */
	Size		value_len;
	int64		timestamp;
	rd_kafka_headers_t *headers;	/* or NULL */
};

static char *copy_bytes(const char *bytes, Size len);
static void produce_held(KafkaProducer *producer, KafkaHeldMessage *message);

bool
FeathubKafkaJobHold(KafkaProducer *producer, const char *topic, int32 partition,
					const char *key, Size key_len, const char *value, Size value_len,
					int64 timestamp, rd_kafka_headers_t *headers)
{
	int			level = GetCurrentTransactionNestLevel();
	MemoryContext old;
	KafkaHeldMessage *message;

	if (level <= 1 || producer->begun)
		return false;
	old = MemoryContextSwitchTo(TopTransactionContext);
	if (producer->nheld == producer->maxheld)
	{
		int			max = Max(producer->maxheld * 2, 256);

		if (producer->held == NULL)
			producer->held = MemoryContextAllocHuge(TopTransactionContext,
													sizeof(KafkaHeldMessage) * (Size) max);
		else
			producer->held = repalloc_huge(producer->held,
										   sizeof(KafkaHeldMessage) * (Size) max);
		producer->maxheld = max;
	}
	message = &producer->held[producer->nheld];
	memset(message, 0, sizeof(KafkaHeldMessage));
	message->level = level;
	message->topic = pstrdup(topic);
	message->partition = partition;
	message->key = copy_bytes(key, key_len);
	message->key_len = key_len;
	message->value = copy_bytes(value, value_len);
	message->value_len = value_len;
	message->timestamp = timestamp;
	message->headers = headers;
	producer->nheld++;
	MemoryContextSwitchTo(old);
	return true;
}

void
FeathubKafkaJobProbe(KafkaProducer *producer)
{
	if (producer->nprobed >= producer->nheld)
		return;
	FeathubKafkaTransactionBegin(producer);
	/* from here on an error aborts it, when the subtransaction ends */
	producer->begun = false;
	producer->probing = true;
	for (int i = producer->nprobed; i < producer->nheld; i++)
	{
		CHECK_FOR_INTERRUPTS();
		produce_held(producer, &producer->held[i]);
	}
	FeathubKafkaDeliveryWait(producer->job_delivery);
	FeathubKafkaTransactionTakeBack(producer);
	producer->nprobed = producer->nheld;
}

void
FeathubKafkaJobRelease(KafkaProducer *producer)
{
	if (producer->nheld == 0)
		return;
	FeathubKafkaTransactionBegin(producer);
	for (int i = 0; i < producer->nheld; i++)
	{
		CHECK_FOR_INTERRUPTS();
		produce_held(producer, &producer->held[i]);
	}
	FeathubKafkaJobSubEnd(producer, 1, false);
}

void
FeathubKafkaJobSubEnd(KafkaProducer *producer, int level, bool commit)
{
	while (producer->nheld > 0)
	{
		KafkaHeldMessage *message = &producer->held[producer->nheld - 1];

		/* those of the innermost subtransaction are the last */
		if (message->level < level && level > 1)
			break;
		if (commit)
		{
			for (int i = producer->nheld - 1; i >= 0 && producer->held[i].level >= level; i--)
				producer->held[i].level = level - 1;
			break;
		}
		if (message->headers)
			rd_kafka_headers_destroy(message->headers);
		pfree(message->topic);
		if (message->key)
			pfree(message->key);
		if (message->value)
			pfree(message->value);
		producer->nheld--;
	}
	producer->nprobed = Min(producer->nprobed, producer->nheld);
	/* the array goes with the transaction */
	if (level <= 1)
	{
		producer->held = NULL;
		producer->maxheld = 0;
	}
}

static char *
copy_bytes(const char *bytes, Size len)
{
	char	   *copy;

	if (bytes == NULL)
		return NULL;
	copy = MemoryContextAllocHuge(CurrentMemoryContext, Max(len, 1));
	memcpy(copy, bytes, len);
	return copy;
}

static void
produce_held(KafkaProducer *producer, KafkaHeldMessage *message)
{
	FeathubKafkaProduce(producer->job_delivery, message->topic, message->partition,
						message->key, message->key_len, message->value, message->value_len,
						message->timestamp,
						message->headers ? rd_kafka_headers_copy(message->headers) : NULL);
}
