/*
 * kafka_metadata.c
 *		Topics, partitions, watermarks and offsets by time, asked of the brokers.
 *
 * The library's calls block, so they are made with short time-outs and again:
 * first KAFKA_SLICE_MIN ms, then longer, because a slow broker's answer to a
 * call that has given up is lost.  Interrupts are checked in between.
 */
#include "postgres.h"

#include "catalog/pg_collation.h"
#include "common/int.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "connectors/kafka/kafka.h"
#include "core/clock.h"

/* One wait for an answer. */
typedef struct Patience
{
	KafkaClient *client;
	const char *action;
	TimestampTz since;
	int			slice;			/* ms of the next call */
} Patience;

static void
begin_patience(Patience *patience, KafkaClient *client, const char *action)
{
	patience->client = client;
	patience->action = action;
	patience->since = FeathubClock();
	patience->slice = KAFKA_SLICE_MIN;
}

/*
 * A call has timed out or met passing trouble: errors are raised if it is time
 * to give up, else the next call may take longer.  A call that came back at
 * once is not repeated at once.
 */
static void
lose_patience(Patience *patience, rd_kafka_resp_err_t err)
{
	KafkaClient *client = patience->client;

	FeathubKafkaServe(client);
	CHECK_FOR_INTERRUPTS();
	if (err != RD_KAFKA_RESP_ERR__TIMED_OUT && client->last_reason[0] == '\0')
		strlcpy(client->last_reason, rd_kafka_err2str(err), sizeof(client->last_reason));
	FeathubKafkaCheckTimeout(client, patience->since, patience->action);
	if (err != RD_KAFKA_RESP_ERR__TIMED_OUT)
	{
		if (FeathubKafkaWait(client, 50) & WL_LATCH_SET)
		{
			ResetLatch(MyLatch);
			CHECK_FOR_INTERRUPTS();
		}
	}
	else
		patience->slice = Min(patience->slice * 2, KAFKA_SLICE_MAX);
}

/*
 * The metadata of one topic, or of all if it is NULL.  The caller destroys it;
 * nothing in between may raise an error.
 */
static const rd_kafka_metadata_t *
fetch_metadata(KafkaClient *client, const char *topic)
{
	const rd_kafka_metadata_t *metadata = NULL;
	Patience	patience;

	begin_patience(&patience, client, "read metadata of");
	for (;;)
	{
		rd_kafka_topic_t *handle = NULL;
		rd_kafka_resp_err_t err;

		if (topic)
		{
			handle = rd_kafka_topic_new(client->rk, topic, NULL);
			if (handle == NULL)
				FeathubKafkaError(client, rd_kafka_last_error(), NULL, "use", topic, -1);
		}
		err = rd_kafka_metadata(client->rk, topic == NULL, handle, &metadata, patience.slice);
		if (handle)
			rd_kafka_topic_destroy(handle);
		if (err == RD_KAFKA_RESP_ERR_NO_ERROR)
		{
			client->connected = true;
			return metadata;
		}
		if (!FeathubKafkaIsTransient(err))
			FeathubKafkaError(client, err, NULL, "read metadata of", topic, -1);
		lose_patience(&patience, err);
	}
}

/* What is kept of a topic's metadata, once the library's memory is free. */
typedef struct TopicPartitions
{
	char	   *topic;
	rd_kafka_resp_err_t err;
	int			npartitions;
	int32	   *partitions;		/* sorted */
} TopicPartitions;

static int
compare_int32(const void *a, const void *b)
{
	int32		x = *(const int32 *) a;
	int32		y = *(const int32 *) b;

	return (x > y) - (x < y);
}

static int
compare_topics(const ListCell *a, const ListCell *b)
{
	return strcmp(((TopicPartitions *) lfirst(a))->topic,
				  ((TopicPartitions *) lfirst(b))->topic);
}

/* A list of TopicPartitions. */
static pg_noinline List *
copy_metadata(const rd_kafka_metadata_t *metadata)
{
	List	   *topics = NIL;

	for (int i = 0; i < metadata->topic_cnt; i++)
	{
		const rd_kafka_metadata_topic_t *from = &metadata->topics[i];
		TopicPartitions *to;

		/* no broker has such a topic, but what answers may be something else */
		if (!FeathubKafkaIsTopicName(from->topic))
			continue;
		to = palloc0(sizeof(TopicPartitions));
		to->topic = pstrdup(from->topic);
		to->err = from->err;
		to->npartitions = from->partition_cnt;
		to->partitions = palloc(sizeof(int32) * Max(from->partition_cnt, 1));
		for (int j = 0; j < from->partition_cnt; j++)
			to->partitions[j] = from->partitions[j].id;
		qsort(to->partitions, to->npartitions, sizeof(int32), compare_int32);
		topics = lappend(topics, to);
	}
	list_sort(topics, compare_topics);
	return topics;
}

/* Copy metadata, sorted by name, and destroy it. */
static pg_noinline List *
keep_metadata(const rd_kafka_metadata_t *metadata)
{
	List	   *volatile topics = NIL;

	PG_TRY();
	{
		topics = copy_metadata(metadata);
	}
	PG_CATCH();
	{
		rd_kafka_metadata_destroy(metadata);
		PG_RE_THROW();
	}
	PG_END_TRY();
	rd_kafka_metadata_destroy(metadata);
	return topics;
}

/* One topic; waits while it is being created. */
static TopicPartitions *
fetch_topic(KafkaClient *client, const char *topic)
{
	Patience	patience;

	begin_patience(&patience, client, "read metadata of");
	for (;;)
	{
		List	   *topics = keep_metadata(fetch_metadata(client, topic));
		TopicPartitions *found;

		if (topics == NIL)
			FeathubKafkaError(client, RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART, NULL,
							  "read metadata of", topic, -1);
		found = linitial(topics);
		if (found->err == RD_KAFKA_RESP_ERR_NO_ERROR && found->npartitions > 0)
			return found;
		if (found->err != RD_KAFKA_RESP_ERR_NO_ERROR &&
			!FeathubKafkaIsTransient(found->err))
			FeathubKafkaError(client, found->err, NULL, "read metadata of", topic, -1);
		lose_patience(&patience, found->err ? found->err : RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE);
	}
}

bool
FeathubKafkaTopicExists(KafkaClient *client, const char *topic)
{
	List	   *topics = keep_metadata(fetch_metadata(client, topic));
	rd_kafka_resp_err_t err = RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;

	if (topics != NIL)
		err = ((TopicPartitions *) linitial(topics))->err;
	if (err == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART || err == RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC)
		return false;
	if (err != RD_KAFKA_RESP_ERR_NO_ERROR && !FeathubKafkaIsTransient(err))
		FeathubKafkaError(client, err, NULL, "read metadata of", topic, -1);
	return true;
}

/*
 * The topics that match a pattern.  Internal ones only if the pattern names
 * their underscores.
 */
static List *
fetch_matching(KafkaClient *client, const char *pattern)
{
	List	   *all = keep_metadata(fetch_metadata(client, NULL));
	List	   *result = NIL;
	Datum		regex = CStringGetTextDatum(pattern);
	bool		internal = strncmp(pattern, "^__", 3) == 0;
	ListCell   *lc;

	foreach(lc, all)
	{
		TopicPartitions *topic = lfirst(lc);

		if (strncmp(topic->topic, "__", 2) == 0 && !internal)
			continue;
		if (!DatumGetBool(DirectFunctionCall2Coll(textregexeq, C_COLLATION_OID,
												  CStringGetTextDatum(topic->topic),
												  regex)))
			continue;
		/* its partitions may not be known in this moment: ask for it alone */
		if (topic->err != RD_KAFKA_RESP_ERR_NO_ERROR || topic->npartitions == 0)
			topic = fetch_topic(client, topic->topic);
		result = lappend(result, topic);
	}
	return result;
}

KafkaPartition *
FeathubKafkaPartitions(KafkaClient *client, const char *topic, int *npartitions)
{
	List	   *topics = NIL;
	KafkaPartition *result;
	int			n = 0;
	ListCell   *lc;

	if (FeathubKafkaIsPattern(topic))
		topics = fetch_matching(client, topic);
	else
	{
		foreach(lc, FeathubKafkaTopicList(topic))
			topics = lappend(topics, fetch_topic(client, lfirst(lc)));
	}
	foreach(lc, topics)
		n += ((TopicPartitions *) lfirst(lc))->npartitions;

	result = palloc0(sizeof(KafkaPartition) * Max(n, 1));
	*npartitions = n;
	n = 0;
	foreach(lc, topics)
	{
		TopicPartitions *found = lfirst(lc);

		for (int i = 0; i < found->npartitions; i++)
		{
			result[n].topic = found->topic;
			result[n].partition = found->partitions[i];
			result[n].low = result[n].high = -1;
			n++;
		}
	}
	return result;
}

List *
FeathubKafkaTopics(KafkaClient *client)
{
	List	   *names = NIL;
	ListCell   *lc;

	foreach(lc, keep_metadata(fetch_metadata(client, NULL)))
	{
		TopicPartitions *topic = lfirst(lc);

		if (strncmp(topic->topic, "__", 2) != 0)
			names = lappend(names, topic->topic);
	}
	return names;
}

/*
 * Ask the leaders for offsets.  wanted[] has times in ms, or the library's
 * logical offsets (the protocol knows both in the same field); results come
 * back in offsets[].
 */
static void
list_offsets(KafkaClient *client, KafkaPartition *partitions, int npartitions,
			 const int64 *wanted, int64 *offsets)
{
	Patience	patience;

	if (npartitions == 0)
		return;
	begin_patience(&patience, client, "read offsets of");
	for (;;)
	{
		rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(npartitions);
		rd_kafka_resp_err_t err;
		int			failed = 0;

		for (int i = 0; i < npartitions; i++)
			rd_kafka_topic_partition_list_add(list, partitions[i].topic,
											  partitions[i].partition)->offset = wanted[i];
		err = rd_kafka_offsets_for_times(client->rk, list, patience.slice);
		for (int i = 0; err == RD_KAFKA_RESP_ERR_NO_ERROR && i < npartitions; i++)
		{
			rd_kafka_topic_partition_t *elem =
				rd_kafka_topic_partition_list_find(list, partitions[i].topic,
												   partitions[i].partition);

			err = elem ? elem->err : RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION;
			failed = i;
			offsets[i] = elem ? elem->offset : -1;
		}
		rd_kafka_topic_partition_list_destroy(list);
		if (err == RD_KAFKA_RESP_ERR_NO_ERROR)
		{
			client->connected = true;
			return;
		}
		if (!FeathubKafkaIsTransient(err))
			FeathubKafkaError(client, err, NULL, "read offsets of",
							  partitions[failed].topic, partitions[failed].partition);
		lose_patience(&patience, err);
	}
}

void
FeathubKafkaWatermarks(KafkaClient *client, KafkaPartition *partitions, int npartitions)
{
	int64	   *wanted = palloc(sizeof(int64) * Max(npartitions, 1));
	int64	   *offsets = palloc(sizeof(int64) * Max(npartitions, 1));

	for (int i = 0; i < npartitions; i++)
		wanted[i] = RD_KAFKA_OFFSET_BEGINNING;
	list_offsets(client, partitions, npartitions, wanted, offsets);
	for (int i = 0; i < npartitions; i++)
	{
		partitions[i].low = offsets[i];
		wanted[i] = RD_KAFKA_OFFSET_END;
	}
	/* the end last: what is deleted in between makes low too small, not high */
	list_offsets(client, partitions, npartitions, wanted, offsets);
	for (int i = 0; i < npartitions; i++)
		partitions[i].high = offsets[i];
	pfree(wanted);
	pfree(offsets);
}

/*
 * The embedded broker does not know offsets by time, and holds little: read
 * it through with a consumer of our own.
 */
static void
scan_for_times(KafkaClient *asker, KafkaPartition *partitions, int npartitions,
			   const int64 *times, int64 *offsets)
{
	ForeignServer server = {.servername = unconstify(char *, asker->server)};
	KafkaClient *client;
	KafkaPartition *ends;
	int			open = 0;
	rd_kafka_topic_partition_list_t *list;
	Patience	patience;

	ends = palloc(sizeof(KafkaPartition) * npartitions);
	memcpy(ends, partitions, sizeof(KafkaPartition) * npartitions);
	client = FeathubKafkaClientPrepare(&server, NULL, NIL, asker->options,
									   RD_KAFKA_CONSUMER, CurrentMemoryContext);
	FeathubKafkaClientStart(client);
	FeathubKafkaWatermarks(client, ends, npartitions);

	list = rd_kafka_topic_partition_list_new(npartitions);
	for (int i = 0; i < npartitions; i++)
	{
		offsets[i] = -1;
		if (ends[i].low >= ends[i].high)
			continue;
		offsets[i] = -2;		/* still looking */
		open++;
		rd_kafka_topic_partition_list_add(list, ends[i].topic,
										  ends[i].partition)->offset = ends[i].low;
	}
	(void) rd_kafka_assign(client->rk, list);
	rd_kafka_topic_partition_list_destroy(list);

	begin_patience(&patience, client, "read");
	while (open > 0)
	{
		rd_kafka_message_t *messages[256];
		int			n = FeathubKafkaConsume(client, messages, lengthof(messages));

		for (int i = 0; i < n; i++)
		{
			rd_kafka_message_t *message = messages[i];
			const char *topic = rd_kafka_topic_name(message->rkt);
			int64		time = message->err ? -1 : rd_kafka_message_timestamp(message, NULL);

			for (int p = 0; p < npartitions; p++)
			{
				if (offsets[p] != -2 || ends[p].partition != message->partition ||
					strcmp(ends[p].topic, topic) != 0)
					continue;
				if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR && time >= times[p])
					offsets[p] = message->offset;
				else if (message->err || message->offset + 1 >= ends[p].high)
					offsets[p] = -1;
				open -= offsets[p] != -2;
			}
			rd_kafka_message_destroy(message);
		}
		if (n > 0)
		{
			patience.since = FeathubClock();
			CHECK_FOR_INTERRUPTS();
		}
		else
			lose_patience(&patience, RD_KAFKA_RESP_ERR__WAIT_CACHE);
	}
	FeathubKafkaClientClose(client);
	pfree(ends);
}

void
FeathubKafkaOffsetsForTimes(KafkaClient *client, KafkaPartition *partitions,
							int npartitions, const int64 *times, int64 *offsets)
{
	int64	   *wanted;

	if (npartitions == 0)
		return;
	if (strcmp(client->options->bootstrap_servers, "embedded") == 0)
	{
		scan_for_times(client, partitions, npartitions, times, offsets);
		return;
	}
	/* negative ones would be logical offsets */
	wanted = palloc(sizeof(int64) * npartitions);
	for (int i = 0; i < npartitions; i++)
		wanted[i] = Max(times[i], 0);
	list_offsets(client, partitions, npartitions, wanted, offsets);
	for (int i = 0; i < npartitions; i++)
	{
		if (offsets[i] < 0)
			offsets[i] = -1;
	}
	pfree(wanted);
}

/* Times */

#define EPOCH_DAYS ((int64) (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE))
#define EPOCH_USECS (EPOCH_DAYS * USECS_PER_DAY)

/* Out of range becomes infinite: a producer may write any number. */
TimestampTz
FeathubKafkaTimestamp(int64 ms)
{
	if (ms < MIN_TIMESTAMP / 1000)
		return DT_NOBEGIN;
	ms -= EPOCH_USECS / 1000;
	if (ms < MIN_TIMESTAMP / 1000)
		return DT_NOBEGIN;
	if (ms > END_TIMESTAMP / 1000 - 1)
		return DT_NOEND;
	return ms * 1000;
}

int64
FeathubKafkaMilliseconds(TimestampTz t)
{
	int64		usecs;

	if (TIMESTAMP_IS_NOBEGIN(t))
		return PG_INT64_MIN;
	if (TIMESTAMP_IS_NOEND(t))
		return PG_INT64_MAX;
	if (pg_add_s64_overflow(t, EPOCH_USECS, &usecs))
		return PG_INT64_MAX;
	return usecs / 1000 + (usecs % 1000 > 0 ? 1 : 0);
}
