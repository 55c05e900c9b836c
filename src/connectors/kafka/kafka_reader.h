/*
 * kafka_reader.h
 *		Reads given ranges of offsets of given partitions, and then ends.
 *
 * Batch scans, ANALYZE and IMPORT FOREIGN SCHEMA read through it.
 */
#ifndef FEATHUB_CONNECTORS_KAFKA_KAFKA_READER_H
#define FEATHUB_CONNECTORS_KAFKA_KAFKA_READER_H

#include "connectors/kafka/kafka.h"
#include "connectors/kafka/kafka_restrict.h"

/* What is to be read of one partition. */
typedef struct KafkaReaderPart
{
	KafkaPartition *partition;
	KafkaRange *ranges;			/* sorted and disjoint */
	int			nranges;

	/* the reader's own */
	int			current;		/* range that is read */
	bool		active;			/* it is not at its end yet */
	bool		paused;
	int64		start;			/* of the current range */
	int64		end;
	rd_kafka_topic_t *rkt;		/* topic of its messages, once seen */
} KafkaReaderPart;

typedef struct KafkaReader KafkaReader;

/*
 * FeathubKafkaReaderBegin
 *		A reader over a started consumer.
 *
 * Made in the current context, which must not outlive the client's; messages
 * are freed with it, so that an error leaks nothing.
 */
extern KafkaReader *FeathubKafkaReaderBegin(KafkaClient *client);

/*
 * FeathubKafkaReaderStart
 *		Read these parts, from the beginning; forgets what was read before.
 *
 * The array and what it points to stay the caller's and must live until the
 * next start.  Parts without a range are skipped.
 */
extern void FeathubKafkaReaderStart(KafkaReader *reader, KafkaReaderPart *parts,
									int nparts);

/*
 * FeathubKafkaReaderNext
 *		The next message, valid until the next call, or NULL at the end.
 *
 * A range is at its end when a record at or behind its last offset has been
 * seen, or the library reports the partition's end there (the last offsets
 * may hold no record: transaction markers, compaction).  Time does not end it:
 * what cannot be read is an error.
 */
extern rd_kafka_message_t *FeathubKafkaReaderNext(KafkaReader *reader);

/* Give up what is not read; the client stops fetching. */
extern void FeathubKafkaReaderStop(KafkaReader *reader);

/* Messages handed out since the reader was made. */
extern int64 FeathubKafkaReaderCount(KafkaReader *reader);

#endif							/* FEATHUB_CONNECTORS_KAFKA_KAFKA_READER_H */
