/*
 * kafka_transaction.h
 *		Transactions of producers, and the producers of jobs: shared by
 *		kafka_producer.c, kafka_transaction.c and kafka_job.c only.
 */
#ifndef FEATHUB_CONNECTORS_KAFKA_KAFKA_TRANSACTION_H
#define FEATHUB_CONNECTORS_KAFKA_KAFKA_TRANSACTION_H

#include "connectors/kafka/kafka_producer.h"

typedef struct KafkaHeldMessage KafkaHeldMessage;

struct KafkaProducer
{
	Oid			relid;
	Oid			userid;
	FeathubRelation *rel;		/* its own copy: the client points into it */
	KafkaClient *client;
	MemoryContext client_context;	/* the client */
	MemoryContext context;		/* all of the above */
	char	   *address;		/* the embedded broker's, or NULL */
	KafkaDelivery *deliveries;	/* statements that run */
	bool		invalid;		/* options have changed */
	bool		broken;			/* holds messages of a failed statement */

	/* Transactions */
	bool		transactional;
	bool		begun;			/* in this SQL transaction */
	bool		doomed;			/* it cannot commit any more */
	bool		restart;		/* a message was refused: the library does not
								 * count on from there as the broker does */
	int			write_level;	/* deepest subtransaction that wrote; 0: none */

	/* Of a job that writes exactly once: kafka_job.c */
	char	   *job_id;			/* its transactional id, or NULL */
	KafkaDelivery *job_delivery;	/* of all statements of a transaction */
	bool		probing;		/* a transaction that is to be aborted is open */
	KafkaHeldMessage *held;		/* messages of subtransactions */
	int			nheld;
	int			maxheld;
	int			nprobed;		/* of them, that the broker has taken once */

	KafkaProducer *next;
};

/* kafka_producer.c: all of this session, most recently used first. */
extern KafkaProducer *FeathubKafkaProducers;

/* Make a producer; job_id is the transactional id of a job's, or NULL. */
extern KafkaProducer *FeathubKafkaProducerMake(FeathubRelation *rel, const char *job_id);

/* A job's: a new client in place of the old one, with the same transactional id. */
extern void FeathubKafkaProducerRestart(KafkaProducer *producer);

/* Forget it with all that it still holds. */
extern void FeathubKafkaProducerDrop(KafkaProducer *producer);

/* Queue one message of a delivery: FeathubKafkaDeliverySend without a job's ways. */
extern void FeathubKafkaProduce(KafkaDelivery *delivery, const char *topic,
								int32 partition, const char *key, Size key_len,
								const char *value, Size value_len,
								int64 timestamp, rd_kafka_headers_t *headers);

/* Wait until all messages of a delivery are confirmed, or raise an error. */
extern void FeathubKafkaDeliveryWait(KafkaDelivery *delivery);

/* Call back when SQL transactions and subtransactions end. */
extern void FeathubKafkaTransactionRegister(void);

/* Wait until the coordinator knows us: all older producers of the id are fenced. */
extern void FeathubKafkaTransactionInit(KafkaProducer *producer);

/* Begin one unless this SQL transaction has one. */
extern void FeathubKafkaTransactionBegin(KafkaProducer *producer);

/* Commit it: raises an error if Kafka does not; the outcome may be unknown then. */
extern void FeathubKafkaTransactionCommit(KafkaProducer *producer);

/*
 * Abort it.  No errors from here.  If that takes too long, the producer is
 * broken, or has to be started again if it is a job's.
 */
extern void FeathubKafkaTransactionAbort(KafkaProducer *producer);

/* A transaction that is taken back on purpose; waits, or raises an error. */
extern void FeathubKafkaTransactionTakeBack(KafkaProducer *producer);

/*
 * kafka_job.c.  Hold a message back if it is a subtransaction's that may still be
 * rolled back, and return true; it takes the headers then.  All copied.
 */
extern bool FeathubKafkaJobHold(KafkaProducer *producer, const char *topic,
								int32 partition, const char *key, Size key_len,
								const char *value, Size value_len,
								int64 timestamp, rd_kafka_headers_t *headers);

/* A statement has ended: find out whether the broker takes what is held back. */
extern void FeathubKafkaJobProbe(KafkaProducer *producer);

/* Send what is held back, in the transaction. */
extern void FeathubKafkaJobRelease(KafkaProducer *producer);

/* A subtransaction of that level is over, or all is (level 1). */
extern void FeathubKafkaJobSubEnd(KafkaProducer *producer, int level, bool commit);

#endif							/* FEATHUB_CONNECTORS_KAFKA_KAFKA_TRANSACTION_H */
