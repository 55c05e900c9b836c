/*
 * kafka_reader.c
 *		Reads given ranges of offsets of given partitions, and then ends.
 *
 * Ranges are read in rounds: a round assigns to the consumer the current range
 * of every part that has one left, and is over when all of them are at their
 * end.  Most scans have one range for each partition, thus one round.
 *
 * The end of a partition was fixed before.  It can only be missed if the
 * broker lost records afterwards (an unclean election): then the library
 * reports an end before ours.  Since a follower may merely lag, the leader is
 * asked before that is called an error.
 */
#include "postgres.h"

#include "lib/ilist.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "connectors/kafka/kafka_reader.h"
#include "core/clock.h"
#include "core/compat.h"

/* Messages taken from the library at a time. */
#define READER_BATCH	1024

/* ms of a sleep while nothing comes. */
#define READER_WAIT		500

struct KafkaReader
{
	KafkaClient *client;
	KafkaReaderPart *parts;
	int			nparts;
	int			nactive;		/* parts not at the end of their range */
	int			last;			/* part of the last message */
	bool		assigned;		/* the consumer fetches */
	int64		count;

	rd_kafka_message_t *held;	/* handed out */
	int			next;			/* messages[next .. nmessages) are waiting */
	int			nmessages;
	rd_kafka_message_t *messages[READER_BATCH];

	MemoryContextCallback callback;
	dlist_node	node;			/* in live_readers */
};

/*
 * All readers of this process: at its end their messages are freed before the
 * clients that they came from.
 */
static dlist_head live_readers = DLIST_STATIC_INIT(live_readers);
static bool exit_registered = false;

static void forget_reader(void *arg);
static void release_at_exit(int code, Datum arg);
static void release_messages(KafkaReader *reader);
static bool start_round(KafkaReader *reader);
static bool take_message(KafkaReader *reader, rd_kafka_message_t *message);
static KafkaReaderPart *part_of(KafkaReader *reader, rd_kafka_message_t *message);
static void finish_part(KafkaReader *reader, KafkaReaderPart *part);
static void pause_part(KafkaReader *reader, KafkaReaderPart *part, bool pause);
static void check_truncated(KafkaReader *reader, KafkaReaderPart *part);
static void fetch_messages(KafkaReader *reader);
static void probe_leader(KafkaReader *reader);

KafkaReader *
FeathubKafkaReaderBegin(KafkaClient *client)
{
	KafkaReader *reader = palloc0(sizeof(KafkaReader));

	/* after the client's, thus called before it */
	if (!exit_registered)
	{
		before_shmem_exit(release_at_exit, (Datum) 0);
		exit_registered = true;
	}
	reader->client = client;
	dlist_push_tail(&live_readers, &reader->node);
	reader->callback.func = forget_reader;
	reader->callback.arg = reader;
	MemoryContextRegisterResetCallback(CurrentMemoryContext, &reader->callback);
	return reader;
}

void
FeathubKafkaReaderStart(KafkaReader *reader, KafkaReaderPart *parts, int nparts)
{
	/* while the old parts are still known */
	FeathubKafkaReaderStop(reader);

	reader->parts = parts;
	reader->nparts = nparts;
	reader->last = 0;
	for (int i = 0; i < nparts; i++)
	{
		parts[i].current = -1;
		parts[i].active = false;
		parts[i].paused = false;
		parts[i].rkt = NULL;
	}
}

rd_kafka_message_t *
FeathubKafkaReaderNext(KafkaReader *reader)
{
	if (reader->held != NULL)
	{
		rd_kafka_message_destroy(reader->held);
		reader->held = NULL;
	}

	for (;;)
	{
		while (reader->next < reader->nmessages)
		{
			rd_kafka_message_t *message = reader->messages[reader->next++];

			reader->held = message;
			if (take_message(reader, message))
			{
				reader->count++;
				return message;
			}
			reader->held = NULL;
			rd_kafka_message_destroy(message);
		}

		if (reader->nactive == 0 && !start_round(reader))
		{
			FeathubKafkaReaderStop(reader);
			return NULL;
		}
		fetch_messages(reader);
	}
}

void
FeathubKafkaReaderStop(KafkaReader *reader)
{
	release_messages(reader);
	if (reader->assigned)
	{
		for (int i = 0; i < reader->nparts; i++)
			pause_part(reader, &reader->parts[i], false);
		rd_kafka_assign(reader->client->rk, NULL);
		reader->assigned = false;
	}
	reader->nactive = 0;
	reader->parts = NULL;
	reader->nparts = 0;
}

int64
FeathubKafkaReaderCount(KafkaReader *reader)
{
	return reader->count;
}

/* Reset callback */
static void
forget_reader(void *arg)
{
	KafkaReader *reader = arg;

	release_messages(reader);
	dlist_delete(&reader->node);
}

static void
release_at_exit(int code, Datum arg)
{
	dlist_iter	iter;

	dlist_foreach(iter, &live_readers)
		release_messages(dlist_container(KafkaReader, node, iter.cur));
}

/* Give all messages back to the library. */
static void
release_messages(KafkaReader *reader)
{
	if (reader->held != NULL)
		rd_kafka_message_destroy(reader->held);
	reader->held = NULL;
	while (reader->next < reader->nmessages)
		rd_kafka_message_destroy(reader->messages[reader->next++]);
	reader->next = reader->nmessages = 0;
}

/* Assign the next range of every part; false if there is none left. */
static bool
start_round(KafkaReader *reader)
{
	rd_kafka_topic_partition_list_t *list;
	rd_kafka_resp_err_t err;

	list = rd_kafka_topic_partition_list_new(reader->nparts);
	for (int i = 0; i < reader->nparts; i++)
	{
		KafkaReaderPart *part = &reader->parts[i];

		pause_part(reader, part, false);
		if (part->current >= part->nranges - 1)
		{
			part->current = part->nranges;
			continue;
		}
		part->current++;
		part->start = part->ranges[part->current].start;
		part->end = part->ranges[part->current].end;
		if (part->start >= part->end)
			continue;
		part->active = true;
		reader->nactive++;
		rd_kafka_topic_partition_list_add(list, part->partition->topic,
										  part->partition->partition)->offset = part->start;
	}
	if (reader->nactive == 0)
	{
		rd_kafka_topic_partition_list_destroy(list);
		return false;
	}

	err = rd_kafka_assign(reader->client->rk, list);
	rd_kafka_topic_partition_list_destroy(list);
	reader->assigned = true;
	if (err != RD_KAFKA_RESP_ERR_NO_ERROR)
		FeathubKafkaError(reader->client, err, NULL, "fetch from", NULL, -1);
	return true;
}

/* Is the message one to hand out?  Notes the ends of ranges. */
static bool
take_message(KafkaReader *reader, rd_kafka_message_t *message)
{
	KafkaReaderPart *part = part_of(reader, message);

	if (part == NULL || !part->active)
		return false;
	if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF)
	{
		if (message->offset >= part->end)
			finish_part(reader, part);
		else
			check_truncated(reader, part);
		return false;
	}
	if (message->offset >= part->end)
	{
		finish_part(reader, part);
		return false;
	}
	if (message->offset < part->start)
		return false;
	if (message->offset == part->end - 1)
		finish_part(reader, part);
	return true;
}

/* The part that a message belongs to, or NULL. */
static KafkaReaderPart *
part_of(KafkaReader *reader, rd_kafka_message_t *message)
{
	int			i = reader->last;

	/* messages of a partition come in groups */
	for (int n = 0; n < reader->nparts; n++)
	{
		KafkaReaderPart *part = &reader->parts[i];

		if (part->partition->partition == message->partition)
		{
			if (part->rkt == NULL &&
				strcmp(part->partition->topic, rd_kafka_topic_name(message->rkt)) == 0)
				part->rkt = message->rkt;
			if (part->rkt == message->rkt)
			{
				reader->last = i;
				return part;
			}
		}
		if (++i == reader->nparts)
			i = 0;
	}
	return NULL;
}

static void
finish_part(KafkaReader *reader, KafkaReaderPart *part)
{
	part->active = false;
	/* what comes behind the end is of no use and takes room in the queue */
	if (--reader->nactive > 0)
		pause_part(reader, part, true);
}

static void
pause_part(KafkaReader *reader, KafkaReaderPart *part, bool pause)
{
	rd_kafka_topic_partition_list_t *list;

	if (part->paused == pause)
		return;
	list = rd_kafka_topic_partition_list_new(1);
	rd_kafka_topic_partition_list_add(list, part->partition->topic,
									  part->partition->partition);
	if (pause)
		rd_kafka_pause_partitions(reader->client->rk, list);
	else
		rd_kafka_resume_partitions(reader->client->rk, list);
	rd_kafka_topic_partition_list_destroy(list);
	part->paused = pause;
}

/* Raise an error if the partition's end is now before ours. */
static void
check_truncated(KafkaReader *reader, KafkaReaderPart *part)
{
	KafkaPartition now = *part->partition;

	FeathubKafkaWatermarks(reader->client, &now, 1);
	if (now.high < part->end)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_ERROR),
				 errmsg("topic \"%s\" partition %d ends at offset %lld, but ended at %lld when the scan began",
						now.topic, now.partition, (long long) now.high,
						(long long) part->partition->high),
				 errdetail("The records up to the former end were lost or the topic was made again.")));
}

/* Wait until there are messages. */
static void
fetch_messages(KafkaReader *reader)
{
	TimestampTz since = FeathubClock();
	int			timeout = reader->client->options->connect_timeout * 1000;

	for (;;)
	{
		CHECK_FOR_INTERRUPTS();
		reader->next = 0;
		reader->nmessages = 0;
		reader->nmessages = FeathubKafkaConsume(reader->client, reader->messages,
												READER_BATCH);
		if (reader->nmessages > 0)
			return;
		if (FeathubKafkaWait(reader->client, READER_WAIT) & WL_LATCH_SET)
			ResetLatch(MyLatch);

		/*
		 * Nothing for long: either nobody is there, which this question turns
		 * into an error, or the library passes over many records that it does
		 * not hand out, of aborted transactions for instance.
		 */
		if (TimestampDifferenceExceeds(since, FeathubClock(), timeout))
		{
			probe_leader(reader);
			since = FeathubClock();
		}
	}
}

/* Ask the leader of a partition that is still read for its end. */
static void
probe_leader(KafkaReader *reader)
{
	for (int i = 0; i < reader->nparts; i++)
	{
		if (reader->parts[i].active)
		{
			check_truncated(reader, &reader->parts[i]);
			return;
		}
	}
}
