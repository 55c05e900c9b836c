/*
 * kafka_producer.h
 *		Producers, kept from statement to statement, and their transactions.
 */
#ifndef FEATHUB_CONNECTORS_KAFKA_KAFKA_PRODUCER_H
#define FEATHUB_CONNECTORS_KAFKA_KAFKA_PRODUCER_H

#include "connectors/kafka/kafka.h"

typedef struct KafkaProducer KafkaProducer;

/* The messages of one statement: how many there were, and what became of them. */
typedef struct KafkaDelivery
{
	KafkaProducer *producer;
	uintptr_t	id;				/* opaque of its messages */
	int64		sent;
	int64		reported;
	int64		last_offset;	/* of the message reported last */
	/* the first failure */
	rd_kafka_resp_err_t err;
	char		topic[256];
	int32		partition;
	rd_kafka_headers_t *headers;	/* of the message being sent */
	MemoryContextCallback callback;
	struct KafkaDelivery *next;
} KafkaDelivery;

/*
 * FeathubKafkaDeliveryBegin
 *		Begin to write to a table, with a cached or a new producer.
 *
 * Made in the current memory context.  When that goes before all messages have
 * been reported (the statement failed), the producer and what it still holds
 * are dropped.  Of a transactional table, begins the Kafka transaction if it is
 * the first write of the SQL transaction.  In the worker of a job that writes
 * there exactly once it is the delivery of the batch.
 */
extern KafkaDelivery *FeathubKafkaDeliveryBegin(FeathubRelation *rel);

/*
 * FeathubKafkaDeliverySend
 *		Queue one message; waits, interruptibly, while the queue is full.
 *
 * partition may be RD_KAFKA_PARTITION_UA, key and value NULL, timestamp 0 (now).
 * Takes headers, also when it raises an error.  Key and value are copied.
 */
extern void FeathubKafkaDeliverySend(KafkaDelivery *delivery, const char *topic,
									 int32 partition, const char *key, Size key_len,
									 const char *value, Size value_len,
									 int64 timestamp, rd_kafka_headers_t *headers);

/* Begin to count anew: reports of what was sent before are no longer wanted. */
extern void FeathubKafkaDeliveryReset(KafkaDelivery *delivery);

/* Serve delivery reports; raises an error if one is a failure. */
extern void FeathubKafkaDeliveryCheck(KafkaDelivery *delivery);

/*
 * A statement has ended: wait until all messages have been confirmed, or raise an
 * error.  A job's messages are waited for when its positions are saved.
 */
extern void FeathubKafkaDeliveryFinish(KafkaDelivery *delivery);

#endif							/* FEATHUB_CONNECTORS_KAFKA_KAFKA_PRODUCER_H */
