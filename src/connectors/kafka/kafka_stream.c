/*
 * kafka_stream.c
 *		Following topics: the streaming callbacks.
 *
 * A partition is named "topic-N" and its position is the offset of the next
 * record, in decimal.  Partitions are assigned by the caller, with offsets
 * from our own tables; the consumer group exists for the display of lags only.
 *
 * The mark is "offset@timestamp" of the last record that was handed out.  When
 * a stream starts again, it fetches from that record on: if there is one at
 * that offset with another timestamp, the topic was deleted and made again.
 * No record there (it was compacted away) says nothing.
 *
 * Messages that the caller holds or has not taken yet are in one array:
 *
 *		0 ... nheld		handed out, until release_records
 *		nheld ... nfetched	fetched, not yet handed out
 */
#include "postgres.h"

#include "access/xact.h"
#include "commands/dbcommands.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "connectors/kafka/kafka.h"
#include "core/clock.h"

/* How many messages are taken from the library at once. */
#define FETCH_BATCH 1024

/* Group offsets are committed at most this often, in ms. */
#define COMMIT_INTERVAL 1000

/* How long the last commit may hold up closing, in ms. */
#define COMMIT_WAIT 300

typedef struct StreamPartition
{
	char	   *topic;
	int32		partition;
	int64		next;			/* offset that is handed out next */
	int64		eof;			/* offset of the last end that was seen, or -1 */
	bool		dirty;			/* next_position must be written */

	/* The last record handed out, or the mark of the start */
	int64		mark_offset;	/* -1: none */
	int64		mark_time;
	bool		mark_pending;	/* not yet compared with the topic's record */

	int64		committed;		/* group offset that was sent, or -1 */
	int64		to_commit;		/* group offset to be sent, or -1 */

	/* Texts that the caller's struct points to */
	char		next_position[24];
	char		next_mark[48];
	char		end_position[24];
} StreamPartition;

typedef struct StreamState
{
	KafkaClient *client;
	KafkaRowDecoder *decoder;
	bool		started;		/* partitions are assigned */
	int			npartitions;
	StreamPartition *partitions;	/* as stream->partitions */
	int		   *sorted;			/* their indexes by topic and number */

	/* The partition of the last message */
	const rd_kafka_topic_t *last_topic;
	int32		last_number;
	int			last_index;

	rd_kafka_message_t **messages;
	int			nheld;
	int			nfetched;
	int			allocated;
	bool		moved;			/* a position moved without a record */

	bool		commit_due;
	TimestampTz last_commit;
} StreamState;

static void free_messages(void *arg);
static void parse_name(const char *name, char **topic, int32 *partition);
static bool parse_offset(const char *text, int64 *offset);
static void assign(FeathubStream *stream);
static int	compare_sorted(const void *a, const void *b, void *arg);
static int	find_partition(StreamState *state, const rd_kafka_message_t *message);
static void start_partition(FeathubStream *stream, int i, const KafkaPartition *found);
static int64 offset_of_target(FeathubStream *stream, KafkaPartition *found, const char *target);
static void skip_gap(FeathubStream *stream, int i, int64 low);
pg_noreturn static void made_again(FeathubStream *stream, int i, const char *detail);
static bool take_message(FeathubStream *stream, rd_kafka_message_t *message, int index,
						 FeathubRecord *record);
static void handle_range_error(FeathubStream *stream, int i);
static void publish_positions(FeathubStream *stream);
static void send_commit(FeathubStream *stream, bool closing);

void
FeathubKafkaOpenStream(FeathubStream *stream)
{
	MemoryContext old = MemoryContextSwitchTo(stream->context);
	FeathubRelation *rel = stream->rel;
	StreamState *state = palloc0(sizeof(StreamState));
	char	   *database = IsTransactionState() ? get_database_name(MyDatabaseId) : NULL;

	stream->state = state;
	state->decoder = FeathubKafkaRowBegin(rel, NULL);
	state->client = FeathubKafkaClientForRelation(rel, RD_KAFKA_CONSUMER, stream->context);
	state->client->keep_range_errors = true;
	FeathubKafkaClientSet(state->client, "group.id",
						  database ? psprintf("feathub_%s_%s", database, stream->job_name) :
						  psprintf("feathub_%u_%s", MyDatabaseId, stream->job_name));
	if (FeathubOptionsGet(rel->server->options, "client.id") == NULL &&
		(rel->user == NULL || FeathubOptionsGet(rel->user->options, "client.id") == NULL))
		FeathubKafkaClientSet(state->client, "client.id",
							  psprintf("feathub_%s", stream->job_name));

	state->client->release = free_messages;
	state->client->release_arg = state;

	FeathubKafkaClientStart(state->client);
	MemoryContextSwitchTo(old);
}

static void
free_messages(void *arg)
{
	StreamState *state = arg;

	for (int i = 0; i < state->nfetched; i++)
	{
		if (state->messages[i])
			rd_kafka_message_destroy(state->messages[i]);
	}
	state->nheld = state->nfetched = 0;
}

List *
FeathubKafkaListPartitions(FeathubStream *stream)
{
	StreamState *state = stream->state;
	KafkaOptions *options = stream->rel->options;
	KafkaPartition *partitions;
	int			n;
	List	   *names = NIL;

	partitions = FeathubKafkaPartitions(state->client, options->topic, &n);
	for (int i = 0; i < n; i++)
		names = lappend(names, psprintf("%s-%d", partitions[i].topic, partitions[i].partition));
	return names;
}

/* Starting */

void
FeathubKafkaStartStream(FeathubStream *stream)
{
	StreamState *state = stream->state;
	MemoryContext old = MemoryContextSwitchTo(stream->context);
	KafkaPartition *found;

	/* what was fetched before comes again, from the positions */
	free_messages(state);
	if (state->partitions)
	{
		pfree(state->partitions);
		pfree(state->sorted);
	}
	state->last_topic = NULL;
	state->npartitions = stream->npartitions;
	state->partitions = palloc0(sizeof(StreamPartition) * Max(stream->npartitions, 1));
	state->sorted = palloc0(sizeof(int) * Max(stream->npartitions, 1));
	found = palloc0(sizeof(KafkaPartition) * Max(stream->npartitions, 1));
	for (int i = 0; i < stream->npartitions; i++)
	{
		StreamPartition *part = &state->partitions[i];

		part->mark_offset = part->eof = part->committed = part->to_commit = -1;
		parse_name(stream->partitions[i].name, &part->topic, &part->partition);
		found[i].topic = part->topic;
		found[i].partition = part->partition;
		state->sorted[i] = i;
		stream->partitions[i].state = part;
	}
	qsort_arg(state->sorted, state->npartitions, sizeof(int), compare_sorted, state);

	FeathubKafkaWatermarks(state->client, found, stream->npartitions);
	for (int i = 0; i < stream->npartitions; i++)
		start_partition(stream, i, &found[i]);
	pfree(found);
	if (!stream->read_metadata_only)
		assign(stream);
	state->started = true;
	MemoryContextSwitchTo(old);
}

/* Find out where a partition goes on, and whether it still can. */
static void
start_partition(FeathubStream *stream, int i, const KafkaPartition *found)
{
	StreamState *state = stream->state;
	StreamPartition *part = &state->partitions[i];
	FeathubStreamPartition *ours = &stream->partitions[i];
	KafkaPartition copy = *found;

	if (ours->position == NULL)
	{
		part->next = offset_of_target(stream, &copy, stream->start ? stream->start : "earliest");
		ours->position = psprintf(INT64_FORMAT, part->next);
		return;
	}
	if (!parse_offset(ours->position, &part->next))
		elog(ERROR, "invalid position \"%s\" of partition \"%s\"", ours->position, ours->name);
	if (ours->mark &&
		sscanf(ours->mark, INT64_FORMAT "@" INT64_FORMAT, &part->mark_offset, &part->mark_time) != 2)
		part->mark_offset = -1;
	if (stream->read_metadata_only)
		return;
	if (part->next > found->high)
		made_again(stream, i,
				   psprintf("It ends at offset " INT64_FORMAT ", before the job's position " INT64_FORMAT ".",
							found->high, part->next));
	if (part->next < found->low)
		skip_gap(stream, i, found->low);
	part->mark_pending = part->mark_offset >= found->low && part->mark_offset < part->next;
}

/* Hand the partitions to the library, each from where it goes on. */
static void
assign(FeathubStream *stream)
{
	StreamState *state = stream->state;
	rd_kafka_topic_partition_list_t *list;
	rd_kafka_resp_err_t err;

	list = rd_kafka_topic_partition_list_new(Max(state->npartitions, 1));
	for (int i = 0; i < state->npartitions; i++)
	{
		StreamPartition *part = &state->partitions[i];

		rd_kafka_topic_partition_list_add(list, part->topic, part->partition)->offset =
			part->mark_pending ? part->mark_offset : part->next;
	}
	err = rd_kafka_assign(state->client->rk, list);
	rd_kafka_topic_partition_list_destroy(list);
	if (err != RD_KAFKA_RESP_ERR_NO_ERROR)
		FeathubKafkaError(state->client, err, NULL, "fetch from", NULL, -1);
}

/* "weather-0" to its parts; the name is one that list_partitions gave. */
static void
parse_name(const char *name, char **topic, int32 *partition)
{
	const char *dash = strrchr(name, '-');

	if (dash == NULL || dash == name || dash[1] == '\0' ||
		dash[1 + strspn(dash + 1, "0123456789")] != '\0')
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid partition name: \"%s\"", name),
				 errhint("A partition of a topic is named like \"clicks-3\".")));
	*topic = pnstrdup(name, dash - name);
	*partition = pg_strtoint32(dash + 1);
}

/* A decimal number and nothing else? */
static bool
parse_offset(const char *text, int64 *offset)
{
	Size		len = strspn(text, "0123456789");

	if (len == 0 || len > 18 || text[len] != '\0')
		return false;
	*offset = strtoll(text, NULL, 10);
	return true;
}

/*
 * The offset meant by 'earliest', 'latest' or a time, from 0 to the end.
 * found has the watermarks.
 */
static int64
offset_of_target(FeathubStream *stream, KafkaPartition *found, const char *target)
{
	StreamState *state = stream->state;
	TimestampTz time;
	int64		ms;
	int64		offset;

	if (pg_strcasecmp(target, "earliest") == 0)
		return found->low;
	if (pg_strcasecmp(target, "latest") == 0)
		return found->high;
	if (!isdigit((unsigned char) target[0]))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid position: \"%s\"", target),
				 errhint("Valid positions are \"earliest\", \"latest\", an offset, and a time like \"2013-06-01 12:00:00+00\".")));
	time = DatumGetTimestampTz(DirectFunctionCall3(timestamptz_in, CStringGetDatum(target),
												   ObjectIdGetDatum(InvalidOid),
												   Int32GetDatum(-1)));
	ms = FeathubKafkaMilliseconds(time);
	FeathubKafkaOffsetsForTimes(state->client, found, 1, &ms, &offset);
	return offset >= 0 ? offset : found->high;
}

char *
FeathubKafkaSeekPosition(FeathubStream *stream, const char *name, const char *target)
{
	StreamState *state = stream->state;
	KafkaPartition found = {0};
	int64		offset;

	parse_name(name, &found.topic, &found.partition);
	FeathubKafkaWatermarks(state->client, &found, 1);
	if (!parse_offset(target, &offset))
		offset = offset_of_target(stream, &found, target);
	if (offset < found.low || offset > found.high)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("topic \"%s\" partition %d has no offset " INT64_FORMAT,
						found.topic, found.partition, offset),
				 errdetail("It goes from " INT64_FORMAT " to " INT64_FORMAT ".",
						   found.low, found.high)));
	return psprintf(INT64_FORMAT, offset);
}

/* Retention has deleted records that were not applied: stop, or count them. */
static void
skip_gap(FeathubStream *stream, int i, int64 low)
{
	StreamState *state = stream->state;
	StreamPartition *part = &state->partitions[i];

	if (!stream->skip_gaps)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("topic \"%s\" partition %d of foreign server \"%s\" no longer has offset " INT64_FORMAT ", its first is " INT64_FORMAT,
						part->topic, part->partition, state->client->server, part->next, low),
				 errdetail(INT64_FORMAT " offsets were deleted before they were applied.",
						   low - part->next),
				 errhint("To go on behind the gap, call feathub.rewind_job and feathub.resume_job, or make the job with on_gap 'skip'.")));
	ereport(WARNING,
			(errmsg("topic \"%s\" partition %d of foreign server \"%s\": skipping " INT64_FORMAT " offsets that were deleted before they were applied",
					part->topic, part->partition, state->client->server, low - part->next)));
	stream->partitions[i].gap += low - part->next;
	part->next = low;
	part->dirty = true;
	part->mark_pending = false;
	state->moved = true;
}

static void
made_again(FeathubStream *stream, int i, const char *detail)
{
	StreamState *state = stream->state;
	StreamPartition *part = &state->partitions[i];

	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("topic \"%s\" partition %d of foreign server \"%s\" is not the one that the job has followed",
					part->topic, part->partition, state->client->server),
			 errdetail_internal("%s", detail),
			 errhint("It may have been deleted and made again. To follow the new one, call feathub.rewind_job and feathub.resume_job.")));
}

/* Polling */

static int
compare_sorted(const void *a, const void *b, void *arg)
{
	StreamState *state = arg;
	StreamPartition *x = &state->partitions[*(const int *) a];
	StreamPartition *y = &state->partitions[*(const int *) b];
	int			c = strcmp(x->topic, y->topic);

	return c ? c : (x->partition > y->partition) - (x->partition < y->partition);
}

/* The index of a message's partition, or -1. */
static int
find_partition(StreamState *state, const rd_kafka_message_t *message)
{
	int			low = 0;
	int			high = state->npartitions - 1;
	const char *topic;

	if (message->rkt == NULL)
		return -1;
	/* messages come in runs */
	if (message->rkt == state->last_topic && message->partition == state->last_number)
		return state->last_index;
	topic = rd_kafka_topic_name(message->rkt);
	while (low <= high)
	{
		int			middle = (low + high) / 2;
		StreamPartition *part = &state->partitions[state->sorted[middle]];
		int			c = strcmp(topic, part->topic);

		if (c == 0)
			c = (message->partition > part->partition) - (message->partition < part->partition);
		if (c == 0)
		{
			state->last_topic = message->rkt;
			state->last_number = message->partition;
			state->last_index = state->sorted[middle];
			return state->last_index;
		}
		if (c < 0)
			high = middle - 1;
		else
			low = middle + 1;
	}
	return -1;
}

/* Room for FETCH_BATCH more messages. */
static void
enlarge_messages(FeathubStream *stream)
{
	StreamState *state = stream->state;
	int			wanted = state->nfetched + FETCH_BATCH;

	if (wanted <= state->allocated)
		return;
	wanted = Max(wanted, state->allocated * 2);
	if (state->messages == NULL)
		state->messages = MemoryContextAllocHuge(stream->context, wanted * sizeof(rd_kafka_message_t *));
	else
		state->messages = repalloc_huge(state->messages, wanted * sizeof(rd_kafka_message_t *));
	state->allocated = wanted;
}

/*
 * Hand out fetched messages until max or max_bytes are reached.  Returns how
 * many records there are now; *full says that a limit stopped it.
 */
static int
hand_out(FeathubStream *stream, FeathubRecord *records, int n, int max,
		 Size *bytes, Size max_bytes, bool *full)
{
	StreamState *state = stream->state;
	int			read = state->nheld;

	*full = n >= max;
	while (read < state->nfetched && !*full)
	{
		rd_kafka_message_t *message = state->messages[read];
		Size		size = message->len + message->key_len;
		int			index;

		if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR && n > 0 && *bytes + size > max_bytes)
		{
			*full = true;
			break;
		}
		index = find_partition(state, message);
		state->messages[read++] = NULL;
		if (index < 0)
		{
			rd_kafka_message_destroy(message);
			continue;
		}
		/* kept in the array first, so that an error frees it */
		state->messages[state->nheld] = message;
		if (take_message(stream, message, index, &records[n]))
		{
			state->nheld++;
			*bytes += size;
			*full = ++n >= max;
		}
		else
		{
			state->messages[state->nheld] = NULL;
			rd_kafka_message_destroy(message);
		}
	}
	/* close up */
	if (read > state->nheld)
	{
		memmove(&state->messages[state->nheld], &state->messages[read],
				(state->nfetched - read) * sizeof(rd_kafka_message_t *));
		state->nfetched -= read - state->nheld;
	}
	return n;
}

/*
 * Fill a record from a message, or return false if it is none that the caller
 * wants: the end of a partition, or one before our position.
 */
static bool
take_message(FeathubStream *stream, rd_kafka_message_t *message, int index,
			 FeathubRecord *record)
{
	StreamState *state = stream->state;
	StreamPartition *part = &state->partitions[index];
	int64		ms;

	if (unlikely(message->err != RD_KAFKA_RESP_ERR_NO_ERROR))
	{
		if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF)
		{
			part->eof = Max(part->eof, message->offset);
			if (message->offset > part->next)
			{
				/* transaction markers or compacted records at the end */
				part->next = message->offset;
				part->dirty = true;
				state->moved = true;
			}
		}
		else
			handle_range_error(stream, index);
		return false;
	}

	ms = rd_kafka_message_timestamp(message, NULL);
	if (unlikely(message->offset < part->next))
	{
		if (part->mark_pending && message->offset == part->mark_offset)
		{
			part->mark_pending = false;
			if (ms != part->mark_time)
				made_again(stream, index,
						   psprintf("The record at offset " INT64_FORMAT " is not the one that was applied.",
									message->offset));
		}
		return false;
	}

	record->partition = index;
	record->sequence = message->offset;
	record->key = message->key;
	record->key_len = message->key_len;
	record->value = message->payload;
	record->value_len = message->len;
	record->timestamp = ms >= 0 ? FeathubKafkaTimestamp(ms) : DT_NOBEGIN;
	record->raw = message;

	part->next = message->offset + 1;
	part->mark_offset = message->offset;
	part->mark_time = ms;
	part->mark_pending = false;
	part->dirty = true;
	return true;
}

/* The broker does not have the offset that we want to fetch. */
static void
handle_range_error(FeathubStream *stream, int i)
{
	StreamState *state = stream->state;
	StreamPartition *part = &state->partitions[i];
	KafkaPartition found = {0};

	found.topic = part->topic;
	found.partition = part->partition;
	FeathubKafkaWatermarks(state->client, &found, 1);
	if (part->next > found.high)
		made_again(stream, i,
				   psprintf("It ends at offset " INT64_FORMAT ", before the job's position " INT64_FORMAT ".",
							found.high, part->next));
	if (part->next < found.low)
		skip_gap(stream, i, found.low);
	/* the mark's record is gone, or a new leader was behind for a moment */
	part->mark_pending = false;
	assign(stream);
}

/* Write the texts of positions that have moved. */
static void
publish_positions(FeathubStream *stream)
{
	StreamState *state = stream->state;

	for (int i = 0; i < state->npartitions; i++)
	{
		StreamPartition *part = &state->partitions[i];

		if (!part->dirty)
			continue;
		part->dirty = false;
		snprintf(part->next_position, sizeof(part->next_position), INT64_FORMAT, part->next);
		stream->partitions[i].next_position = part->next_position;
		if (part->mark_offset >= 0)
		{
			snprintf(part->next_mark, sizeof(part->next_mark), INT64_FORMAT "@" INT64_FORMAT,
					 part->mark_offset, part->mark_time);
			stream->partitions[i].next_mark = part->next_mark;
		}
	}
}

int
FeathubKafkaPoll(FeathubStream *stream, FeathubRecord *records, int max,
				 Size max_bytes, long timeout)
{
	StreamState *state = stream->state;
	TimestampTz deadline = 0;
	Size		bytes = 0;
	int			n = 0;
	bool		full = false;

	if (state->commit_due)
		send_commit(stream, false);
	for (;;)
	{
		int			fetched;
		long		wait;

		CHECK_FOR_INTERRUPTS();
		n = hand_out(stream, records, n, max, &bytes, max_bytes, &full);
		if (full)
			break;
		enlarge_messages(stream);
		fetched = FeathubKafkaConsume(state->client, &state->messages[state->nfetched],
									  FETCH_BATCH);
		state->nfetched += fetched;
		if (fetched > 0)
			continue;
		if (n > 0 || state->moved || timeout <= 0)
			break;
		if (deadline == 0)
		{
			deadline = TimestampTzPlusMilliseconds(FeathubClock(), timeout);
			wait = timeout;
		}
		else
			wait = TimestampDifferenceMilliseconds(FeathubClock(), deadline);
		if (wait <= 0 || (FeathubKafkaWait(state->client, wait) & WL_LATCH_SET))
			break;
	}
	state->moved = false;
	publish_positions(stream);
	/* errors and log lines also come while there is plenty to read */
	FeathubKafkaServe(state->client);
	return n;
}

void
FeathubKafkaReleaseRecords(FeathubStream *stream)
{
	StreamState *state = stream->state;

	for (int i = 0; i < state->nheld; i++)
	{
		rd_kafka_message_destroy(state->messages[i]);
		state->messages[i] = NULL;
	}
	if (state->nheld > 0)
		memmove(state->messages, &state->messages[state->nheld],
				(state->nfetched - state->nheld) * sizeof(rd_kafka_message_t *));
	state->nfetched -= state->nheld;
	state->nheld = 0;
}

/* Records */

bool
FeathubKafkaDecodeRecord(FeathubStream *stream, FeathubRecord *record,
						 Datum *values, bool *isnull, FeathubDecodeError *error)
{
	StreamState *state = stream->state;

	if (!FeathubKafkaRowDecode(state->decoder, record->raw, values, isnull, error))
		return false;
	record->change = FeathubKafkaRowChange(state->decoder, &record->change_time);
	return true;
}

bool
FeathubKafkaDecodeStored(FeathubStream *stream, const char *partition,
						 FeathubRecord *record, Datum headers,
						 bool headers_isnull, Datum *values, bool *isnull,
						 FeathubDecodeError *error)
{
	StreamState *state = stream->state;
	char	   *topic;
	int32		number;
	bool		result;

	parse_name(partition, &topic, &number);
	result = FeathubKafkaRowDecodeStored(state->decoder, topic, number, record, headers,
										 headers_isnull, values, isnull, error);
	pfree(topic);
	record->change = FeathubKafkaRowChange(state->decoder, &record->change_time);
	return result;
}

void
FeathubKafkaDescribeRecord(FeathubStream *stream, const FeathubRecord *record, StringInfo out)
{
	StreamState *state = stream->state;
	StreamPartition *part = &state->partitions[record->partition];

	appendStringInfo(out, "topic \"%s\" partition %d offset " INT64_FORMAT,
					 part->topic, part->partition, record->sequence);
}

Datum
FeathubKafkaRecordHeaders(FeathubStream *stream, const FeathubRecord *record, bool *isnull)
{
	Jsonb	   *headers = FeathubKafkaHeadersToJsonb(record->raw);

	*isnull = headers == NULL;
	return headers ? JsonbPGetDatum(headers) : (Datum) 0;
}

/* Positions */

/*
 * A running stream knows the ends from the broker's answers to its fetches;
 * where it stands at the end that it may read (an open transaction may lie
 * behind), that is the end.
 */
static int64
known_end(StreamState *state, StreamPartition *part)
{
	int64		low;
	int64		high;

	if (part->eof >= 0 && part->eof == part->next)
		return part->eof;
	if (rd_kafka_get_watermark_offsets(state->client->rk, part->topic, part->partition,
									   &low, &high) != RD_KAFKA_RESP_ERR_NO_ERROR ||
		high < 0)
		return -1;
	return Max(high, part->next);
}

void
FeathubKafkaPartitionStatus(FeathubStream *stream)
{
	StreamState *state = stream->state;
	KafkaPartition *found = NULL;

	if (stream->read_metadata_only && state->started)
	{
		found = palloc0(sizeof(KafkaPartition) * Max(state->npartitions, 1));
		for (int i = 0; i < state->npartitions; i++)
		{
			found[i].topic = state->partitions[i].topic;
			found[i].partition = state->partitions[i].partition;
		}
		FeathubKafkaWatermarks(state->client, found, state->npartitions);
	}
	for (int i = 0; i < state->npartitions; i++)
	{
		StreamPartition *part = &state->partitions[i];
		FeathubStreamPartition *ours = &stream->partitions[i];
		int64		end = found ? found[i].high : known_end(state, part);
		int64		position;

		ours->end_position = NULL;
		ours->lag = -1;
		if (end < 0)
			continue;
		snprintf(part->end_position, sizeof(part->end_position), INT64_FORMAT, end);
		ours->end_position = part->end_position;
		if (ours->position && parse_offset(ours->position, &position))
			ours->lag = Max(end - (found ? Max(position, found[i].low) : position), 0);
	}
	if (found)
		pfree(found);
}

void
FeathubKafkaCommitPositions(FeathubStream *stream)
{
	StreamState *state = stream->state;

	for (int i = 0; i < state->npartitions; i++)
	{
		StreamPartition *part = &state->partitions[i];
		int64		offset;

		if (stream->partitions[i].position &&
			parse_offset(stream->partitions[i].position, &offset) &&
			offset != part->committed)
		{
			part->to_commit = offset;
			state->commit_due = true;
		}
	}
	if (state->commit_due)
		send_commit(stream, false);
}

/*
 * Send group offsets that have changed, unless that was done a moment ago.
 * Nothing depends on the result.  The library keeps one commit for a
 * coordinator that does not answer, and times it out.
 */
static void
send_commit(FeathubStream *stream, bool closing)
{
	StreamState *state = stream->state;
	TimestampTz now = FeathubClock();
	rd_kafka_topic_partition_list_t *list;

	if (!closing && !TimestampDifferenceExceeds(state->last_commit, now, COMMIT_INTERVAL))
		return;
	state->last_commit = now;
	state->commit_due = false;
	list = rd_kafka_topic_partition_list_new(Max(state->npartitions, 1));
	for (int i = 0; i < state->npartitions; i++)
	{
		StreamPartition *part = &state->partitions[i];

		if (part->to_commit < 0 || part->to_commit == part->committed)
			continue;
		rd_kafka_topic_partition_list_add(list, part->topic, part->partition)->offset =
			part->to_commit;
		part->committed = part->to_commit;
	}
	if (list->cnt > 0 && !closing)
		(void) rd_kafka_commit(state->client->rk, list, 1);
	else if (list->cnt > 0)
	{
		rd_kafka_queue_t *queue = rd_kafka_queue_new(state->client->rk);

		if (rd_kafka_commit_queue(state->client->rk, list, queue, NULL, NULL) ==
			RD_KAFKA_RESP_ERR_NO_ERROR)
		{
			rd_kafka_event_t *event = rd_kafka_queue_poll(queue, COMMIT_WAIT);

			if (event)
				rd_kafka_event_destroy(event);
		}
		rd_kafka_queue_destroy(queue);
	}
	rd_kafka_topic_partition_list_destroy(list);
}

void
FeathubKafkaCloseStream(FeathubStream *stream)
{
	StreamState *state = stream->state;

	if (state == NULL)
		return;
	if (state->commit_due)
		send_commit(stream, true);
	FeathubKafkaClientClose(state->client);
	state->client = NULL;
	stream->state = NULL;
}
