/*
 * kafka_scan.h
 *		A batch scan's state and plan: shared by kafka_scan.c and kafka_explain.c.
 */
#ifndef FEATHUB_CONNECTORS_KAFKA_KAFKA_SCAN_H
#define FEATHUB_CONNECTORS_KAFKA_KAFKA_SCAN_H

#include "port/atomics.h"

#include "connectors/kafka/kafka_reader.h"

/* Members of FeathubScanPlan.private. */
enum KafkaScanPrivate
{
	/* tree of kafka_restrict.c, NIL: no restriction */
	KAFKA_SCAN_TREE,
	/* the tree as text (String) */
	KAFKA_SCAN_DESCRIPTION
};

/*
 * What the processes of a parallel scan share: the ends, fixed once by the
 * leader, and which partition is next.  Topic names follow the partitions.
 */
typedef struct KafkaSharedPartition
{
	Size		topic;			/* the name's distance from the struct's start */
	int32		partition;
	int64		low;
	int64		high;
} KafkaSharedPartition;

typedef struct KafkaShared
{
	pg_atomic_uint32 next;		/* partition that nobody has taken yet */
	int			npartitions;
	KafkaSharedPartition partitions[FLEXIBLE_ARRAY_MEMBER];
} KafkaShared;

/* The first offsets at or after a time, of the parts being read. */
typedef struct KafkaTimeAnswer
{
	int64		time;
	int64	   *offsets;		/* by part */
} KafkaTimeAnswer;

typedef struct KafkaScanState
{
	FeathubScan *scan;
	List	   *tree;
	bool		never_rescanned;	/* the first row was never asked for */
	int64		messages_read;	/* by readers that are gone */

	/* from the first rescan on; client and reader: see disconnect */
	KafkaClient *client;		/* NULL: not connected */
	KafkaReader *reader;
	KafkaRowDecoder *decoder;
	KafkaPartition *partitions; /* NULL: ends are not fixed yet */
	int			npartitions;
	KafkaShared *shared;		/* NULL: not parallel */

	/* of this rescan */
	MemoryContext rescan_context;
	KafkaBoxes *boxes;
	KafkaReaderPart *parts;
	int			nparts;
	List	   *answers;		/* of KafkaTimeAnswer */
	bool		reading;		/* the reader has been started */
	bool		done;

	/* where the record is that is being decoded, for error messages */
	rd_kafka_message_t *message;
} KafkaScanState;

#endif							/* FEATHUB_CONNECTORS_KAFKA_KAFKA_SCAN_H */
