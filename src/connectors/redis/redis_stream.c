/*
 * redis_stream.c
 *		Following streams: the streaming callbacks.
 *
 * A partition is a stream and named by its key.  Its position is the id from
 * which to read on: the one that follows the last entry handed out.  It is ours
 * alone: consumer groups are not used.
 *
 * The mark is the number of entries that had been added to the stream before the
 * position.  Entries that are gone leave no trace but the stream's count of
 * entries ever added (Redis 7 and later): if nothing in front of the position is
 * left and fewer entries are there than were added since, the others were trimmed
 * or deleted before they were applied.  A count that is lower than the mark, or a
 * last id before the position, means that the stream was made again.
 *
 * XINFO and XRANGE go out together for some partitions at a time.  What XINFO
 * tells is older than what XRANGE reads: an entry up to its last id that XRANGE
 * does not return is not there.
 */
#include "postgres.h"

#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "storage/latch.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"

#include "connectors/redis/redis_node.h"
#include "connectors/redis/redis_stream.h"
#include "core/clock.h"
#include "core/compat.h"

/* Entries of a stream that are asked for at once, and streams. */
#define FETCH_ENTRIES	1000
#define FETCH_STREAMS	16

/* Between looks at streams that have nothing new, in ms: growing. */
#define FIRST_WAIT		5
#define LAST_WAIT		200

#define ID_LEN			48

/* What XINFO says of a stream. */
typedef struct StreamInfo
{
	bool		exists;
	int64		length;
	int64		added;			/* entries ever added, or -1: not told */
	RedisId		last;			/* of the last entry ever added */
	RedisId		first;			/* if length > 0 */
} StreamInfo;

typedef struct StreamPartition
{
	const char *key;
	Size		key_len;
	RedisId		next;			/* to be read from */
	int64		seen;			/* entries added before it, or -1: not known */
	bool		dirty;			/* next_position must be written */
	bool		looked;			/* info is there */
	StreamInfo	info;
	double		entry_size;		/* bytes, by experience */
	int			asked;			/* entries, in this round */

	/* Texts that the caller's struct points to */
	char		next_position[ID_LEN];
	char		next_mark[MAXINT8LEN + 1];
	char		end_position[ID_LEN];
} StreamPartition;

typedef struct StreamState
{
	RedisTable *table;
	RedisClient *client;
	RedisRequest *request;
	MemoryContext records;		/* what records point to */
	MemoryContext scratch;		/* of one call */
	bool		started;
	int			npartitions;
	StreamPartition *partitions;	/* as stream->partitions */
	int			first;			/* where the next round begins */
	bool		moved;			/* a position or mark changed without a record */
} StreamState;

/* Records that a poll fills. */
typedef struct Filling
{
	FeathubRecord *records;
	int			n;
	int			max;
	Size		bytes;
	Size		max_bytes;
	bool		full;
} Filling;

static bool add_name(StreamState *state, const char *key, Size len, List **names);
static void list_node(StreamState *state, RedisNode *node, List **names);
static void ask_info(StreamState *state, const char *key, Size len);
static void read_info(StreamState *state, int command, StreamInfo *info);
static void start_partition(FeathubStream *stream, int i);
static RedisId id_of_target(const StreamInfo *info, const char *target);
static void poll_some(FeathubStream *stream, int first, int n, Filling *filling);
static void check_stream(FeathubStream *stream, int i);
static void take_entries(FeathubStream *stream, int i, RedisReply *reply, Filling *filling);
static void skip_gap(FeathubStream *stream, int i, int64 missing);
pg_noreturn static void made_again(FeathubStream *stream, int i, const char *detail);
static void publish_positions(FeathubStream *stream);

bool
FeathubRedisFollows(FeathubRelation *rel)
{
	return ((RedisOptions *) rel->options)->kind == REDIS_KIND_STREAM;
}

void
FeathubRedisOpenStream(FeathubStream *stream)
{
	MemoryContext old = MemoryContextSwitchTo(stream->context);
	StreamState *state = palloc0(sizeof(StreamState));

	if (!FeathubRedisFollows(stream->rel))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("foreign table \"%s\" cannot be followed by a job", stream->rel->relname),
				 errdetail("Of Redis a job follows tables of kind \"stream\".")));
	state->table = FeathubRedisTableMake(stream->rel);
	FeathubRedisTableCodecs(state->table);
	state->client = FeathubRedisClientGet(stream->rel->server, stream->rel->user,
										  state->table->options, stream->context);
	state->request = FeathubRedisRequestMake(state->client);
	state->records = AllocSetContextCreate(stream->context, "feathub redis records",
										   ALLOCSET_DEFAULT_SIZES);
	state->scratch = AllocSetContextCreate(stream->context, "feathub redis stream",
										   ALLOCSET_DEFAULT_SIZES);
	stream->state = state;
	MemoryContextSwitchTo(old);
}

/* Partitions */

static int
compare_names(const ListCell *a, const ListCell *b)
{
	return strcmp(lfirst(a), lfirst(b));
}

List *
FeathubRedisListPartitions(FeathubStream *stream)
{
	StreamState *state = stream->state;
	const RedisOptions *options = state->table->options;
	List	   *found = NIL;
	List	   *names = NIL;
	ListCell   *lc;

	/* one that has no entry yet is there all the same */
	if (options->singleton_key)
		return list_make1(pstrdup(options->singleton_key));
	if (options->key_set)
	{
		RedisReply *reply;

		FeathubRedisRequestReset(state->request);
		FeathubRedisCommand(state->request, NULL, "SMEMBERS", options->key_set,
							strlen(options->key_set), 0, NULL);
		reply = FeathubRedisCall(state->request, 0);
		for (int i = 0; i < reply->n; i++)
			add_name(state, reply->elements[i].str, reply->elements[i].len, &found);
	}
	else
	{
		int			nnodes;
		RedisNode **nodes = FeathubRedisNodes(state->client, &nnodes);

		for (int i = 0; i < nnodes; i++)
			list_node(state, nodes[i], &found);
	}
	/* SCAN may repeat keys */
	list_sort(found, compare_names);
	foreach(lc, found)
		if (names == NIL || strcmp(llast(names), lfirst(lc)) != 0)
			names = lappend(names, lfirst(lc));
	return names;
}

/* The streams of one node. */
static void
list_node(StreamState *state, RedisNode *node, List **names)
{
	StringInfoData match;
	char	   *cursor = "0";

	initStringInfo(&match);
	FeathubRedisKeyGlob(&state->table->template, NULL, &match);
	do
	{
		RedisReply *reply;
		const char *args[] = {cursor, "MATCH", match.data, "COUNT", "1000", "TYPE", "stream"};

		CHECK_FOR_INTERRUPTS();
		FeathubRedisRequestReset(state->request);
		FeathubRedisCommand(state->request, node, "SCAN", NULL, 0, lengthof(args), args);
		reply = FeathubRedisCall(state->request, 0);
		if (reply->type != REDIS_ARRAY || reply->n != 2 ||
			reply->elements[1].type != REDIS_ARRAY)
			FeathubRedisBadReply(state->client, "SCAN");
		for (int i = 0; i < reply->elements[1].n; i++)
			add_name(state, reply->elements[1].elements[i].str,
					 reply->elements[1].elements[i].len, names);
		cursor = pstrdup(reply->elements[0].str);
	} while (strcmp(cursor, "0") != 0);
	pfree(match.data);
}

/* Add a key that is the table's; its name is text in our catalog. */
static bool
add_name(StreamState *state, const char *key, Size len, List **names)
{
	RedisBytes *parts = palloc(sizeof(RedisBytes) * Max(state->table->nkeys, 1));
	bool		text = pg_verifymbstr(key, len, true);

	if (!FeathubRedisKeyMatch(&state->table->template, key, len, parts))
		return false;
	for (Size i = 0; i < len && GetDatabaseEncoding() != PG_UTF8; i++)
		text &= !IS_HIGHBIT_SET(key[i]);
	if (!text && state->table->options->invalid_keys == REDIS_INVALID_SKIP)
		return false;
	if (!text)
		ereport(ERROR,
				(errcode(ERRCODE_CHARACTER_NOT_IN_REPERTOIRE),
				 errmsg("key \"%s\" on foreign server \"%s\" cannot name a partition",
						FeathubRedisShowKey(key, len), FeathubRedisServerName(state->client)),
				 errhint("With table option invalid_keys 'skip' such streams are left out.")));
	*names = lappend(*names, pnstrdup(key, len));
	return true;
}

static void
ask_info(StreamState *state, const char *key, Size len)
{
	FeathubRedisBegin(state->request, NULL, 3, "XINFO");
	FeathubRedisAddString(state->request, "STREAM");
	FeathubRedisAddKey(state->request, key, len);
}

static RedisId
read_id(StreamState *state, const RedisReply *reply)
{
	RedisId		id;

	if (reply->type != REDIS_STRING || !FeathubRedisIdParse(reply->str, &id))
		FeathubRedisBadReply(state->client, "XINFO");
	return id;
}

static void
read_info(StreamState *state, int command, StreamInfo *info)
{
	RedisReply *reply = FeathubRedisGetAny(state->request, command);

	memset(info, 0, sizeof(StreamInfo));
	info->added = -1;
	if (reply->type == REDIS_ERROR && strstr(reply->str, "no such key") != NULL)
		return;
	reply = FeathubRedisGet(state->request, command);
	info->exists = true;
	for (int i = 0; i + 1 < reply->n; i += 2)
	{
		const char *name = reply->elements[i].str;
		RedisReply *value = &reply->elements[i + 1];

		if (reply->elements[i].type != REDIS_STRING)
			FeathubRedisBadReply(state->client, "XINFO");
		if (strcmp(name, "length") == 0)
			info->length = value->integer;
		else if (strcmp(name, "entries-added") == 0)
			info->added = value->integer;
		else if (strcmp(name, "last-generated-id") == 0)
			info->last = read_id(state, value);
		else if (strcmp(name, "first-entry") == 0 && value->type == REDIS_ARRAY && value->n > 0)
			info->first = read_id(state, &value->elements[0]);
	}
}

/* The position behind all that there is. */
static RedisId
end_of(const StreamInfo *info)
{
	RedisId		none = {0, 0};

	return info->last.ms == 0 && info->last.seq == 0 ? none : FeathubRedisIdNext(info->last);
}

static void
write_id(RedisId id, char *out)
{
	snprintf(out, ID_LEN, UINT64_FORMAT "-" UINT64_FORMAT, id.ms, id.seq);
}

/* Starting */

void
FeathubRedisStartStream(FeathubStream *stream)
{
	StreamState *state = stream->state;
	MemoryContext old = MemoryContextSwitchTo(stream->context);

	/* what was fetched before comes again, from the positions */
	FeathubRedisReleaseRecords(stream);
	if (state->partitions)
		pfree(state->partitions);
	state->npartitions = stream->npartitions;
	state->partitions = palloc0(sizeof(StreamPartition) * Max(stream->npartitions, 1));
	state->first = 0;
	state->moved = false;
	for (int i = 0; i < stream->npartitions; i++)
		start_partition(stream, i);
	state->started = true;
	MemoryContextSwitchTo(old);
}

/* Where a partition goes on; the first poll tells whether it still can. */
static void
start_partition(FeathubStream *stream, int i)
{
	StreamState *state = stream->state;
	StreamPartition *part = &state->partitions[i];
	FeathubStreamPartition *ours = &stream->partitions[i];

	part->key = ours->name;
	part->key_len = strlen(ours->name);
	part->seen = -1;
	ours->state = part;
	if (ours->position == NULL)
		ours->position = FeathubRedisSeekPosition(stream, ours->name,
												  stream->start ? stream->start : "earliest");
	if (!FeathubRedisIdParse(ours->position, &part->next))
		elog(ERROR, "invalid position \"%s\" of partition \"%s\"", ours->position, ours->name);
	if (ours->mark)
		part->seen = strtoll(ours->mark, NULL, 10);
}

/* The id meant by 'earliest', 'latest', an id or a time. */
static RedisId
id_of_target(const StreamInfo *info, const char *target)
{
	RedisId		id = {0, 0};
	RedisId		end = end_of(info);
	TimestampTz time;

	if (pg_strcasecmp(target, "earliest") == 0)
		return id;
	if (pg_strcasecmp(target, "latest") == 0)
		return end;
	if (FeathubRedisIdParse(target, &id))
	{
		if (FeathubRedisIdCompare(id, end) > 0)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("the stream has no id \"%s\" yet", target),
					 errdetail("Its last is " UINT64_FORMAT "-" UINT64_FORMAT ".",
							   info->last.ms, info->last.seq)));
		return id;
	}
	if (!isdigit((unsigned char) target[0]))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid position: \"%s\"", target),
				 errhint("Valid positions are \"earliest\", \"latest\", an id like \"1526919030474-0\", and a time like \"2013-06-01 12:00:00+00\".")));
	time = DatumGetTimestampTz(DirectFunctionCall3(timestamptz_in, CStringGetDatum(target),
												   ObjectIdGetDatum(InvalidOid),
												   Int32GetDatum(-1)));
	if (!FeathubRedisIdOfTime(time, &id) || FeathubRedisIdCompare(id, end) > 0)
		return end;
	return id;
}

char *
FeathubRedisSeekPosition(FeathubStream *stream, const char *name, const char *target)
{
	StreamState *state = stream->state;
	char	   *position = palloc(ID_LEN);
	StreamInfo	info;

	FeathubRedisRequestReset(state->request);
	ask_info(state, name, strlen(name));
	FeathubRedisWait(state->request);
	read_info(state, 0, &info);
	write_id(id_of_target(&info, target), position);
	return position;
}

static void
made_again(FeathubStream *stream, int i, const char *detail)
{
	StreamState *state = stream->state;

	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("stream \"%s\" of foreign server \"%s\" is not the one that the job has followed",
					stream->partitions[i].name, FeathubRedisServerName(state->client)),
			 errdetail_internal("%s", detail),
			 errhint("It may have been deleted and made again. To follow the new one, call feathub.rewind_job and feathub.resume_job.")));
}

/* Entries are gone that were not applied: stop, or count them. */
static void
skip_gap(FeathubStream *stream, int i, int64 missing)
{
	StreamState *state = stream->state;
	StreamPartition *part = &state->partitions[i];

	if (!stream->skip_gaps)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("stream \"%s\" of foreign server \"%s\" no longer has all entries from id " UINT64_FORMAT "-" UINT64_FORMAT " on",
						stream->partitions[i].name, FeathubRedisServerName(state->client),
						part->next.ms, part->next.seq),
				 errdetail(INT64_FORMAT " entries were trimmed or deleted before they were applied.",
						   missing),
				 errhint("To go on behind the gap, call feathub.rewind_job and feathub.resume_job, or make the job with on_gap 'skip'.")));
	ereport(WARNING,
			(errmsg("stream \"%s\" of foreign server \"%s\": skipping " INT64_FORMAT " entries that were trimmed or deleted before they were applied",
					stream->partitions[i].name, FeathubRedisServerName(state->client), missing)));
	stream->partitions[i].gap += missing;
	part->seen += missing;
	part->dirty = true;
	state->moved = true;
}

/* Polling */

/* Is this the stream that we know, and is all there that we have not read? */
static void
check_stream(FeathubStream *stream, int i)
{
	StreamState *state = stream->state;
	StreamPartition *part = &state->partitions[i];
	StreamInfo *info = &part->info;
	bool		at_start = info->length == 0 ||
		FeathubRedisIdCompare(info->first, part->next) >= 0;

	if (!info->exists)
	{
		const RedisOptions *options = state->table->options;

		/* of a prefix, the next look at the keys will not find it */
		if ((part->next.ms > 0 || part->next.seq > 0) &&
			(options->singleton_key || options->key_set))
			made_again(stream, i, "It does not exist any more.");
		return;
	}
	if (FeathubRedisIdCompare(end_of(info), part->next) < 0)
		made_again(stream, i,
				   psprintf("Its last id is " UINT64_FORMAT "-" UINT64_FORMAT ", before the job's position.",
							info->last.ms, info->last.seq));
	if (info->added < 0)
		return;
	if (part->seen > info->added)
		made_again(stream, i,
				   psprintf("It has had " INT64_FORMAT " entries, and the job " INT64_FORMAT ".",
							info->added, part->seen));
	if (!at_start)
		return;
	if (part->seen < 0)
	{
		/* what was gone before the job began is no gap */
		part->seen = info->added - info->length;
		part->dirty = true;
		state->moved = true;
	}
	else if (info->added - part->seen > info->length)
		skip_gap(stream, i, info->added - part->seen - info->length);
}

/* Make records of a reply of XRANGE, as far as there is room. */
static void
take_entries(FeathubStream *stream, int i, RedisReply *reply, Filling *filling)
{
	StreamState *state = stream->state;
	StreamPartition *part = &state->partitions[i];
	int64		newer = 0;
	bool		at_end;
	RedisId		end = end_of(&part->info);
	int			taken;

	if (reply->type != REDIS_ARRAY)
		FeathubRedisBadReply(state->client, "XRANGE");
	for (taken = 0; taken < reply->n && !filling->full; taken++)
	{
		RedisReply *entry = &reply->elements[taken];
		FeathubRecord *record = &filling->records[filling->n];
		RedisId		id;
		Size		size;
		char	   *value;

		if (entry->type != REDIS_ARRAY || entry->n != 2 ||
			entry->elements[0].type != REDIS_STRING ||
			!FeathubRedisIdParse(entry->elements[0].str, &id))
			FeathubRedisBadReply(state->client, "XRANGE");
		size = FeathubRedisEntrySize(&entry->elements[1]);
		if (filling->n >= filling->max ||
			(filling->n > 0 && filling->bytes + size + part->key_len > filling->max_bytes))
		{
			filling->full = true;
			break;
		}
		if (!FeathubRedisIdPack(id, &record->sequence))
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("id %s in stream \"%s\" of foreign server \"%s\" is too large for a job",
							entry->elements[0].str, part->key,
							FeathubRedisServerName(state->client)),
					 errdetail("Its first number must be less than 2^%d, the second less than 2^%d.",
							   63 - REDIS_SEQ_BITS, REDIS_SEQ_BITS)));
		value = MemoryContextAllocHuge(state->records, size + 1);
		record->partition = i;
		record->key = part->key;
		record->key_len = part->key_len;
		record->value = value;
		record->value_len = FeathubRedisEntryWrite(&entry->elements[1], value);
		record->timestamp = FeathubRedisIdTime(id);
		record->raw = NULL;
		filling->n++;
		filling->bytes += size + part->key_len;
		part->entry_size = Max(part->entry_size * 0.99, size + part->key_len);
		part->next = FeathubRedisIdNext(id);
		part->dirty = true;
		if (part->seen >= 0)
			part->seen++;
		newer += FeathubRedisIdCompare(id, part->info.last) > 0;
	}

	/* nothing is left of what XINFO knew: whatever was deleted, the count is its */
	at_end = taken == reply->n && reply->n < part->asked;
	if (!at_end || !part->info.exists)
		return;
	if (FeathubRedisIdCompare(end, part->next) > 0 ||
		(part->info.added >= 0 && part->seen != part->info.added + newer))
	{
		if (FeathubRedisIdCompare(end, part->next) > 0)
			part->next = end;
		if (part->info.added >= 0)
			part->seen = part->info.added + newer;
		part->dirty = true;
		state->moved = true;
	}
}

/* Ask some partitions for what is new. */
static void
poll_some(FeathubStream *stream, int first, int n, Filling *filling)
{
	StreamState *state = stream->state;

	FeathubRedisRequestReset(state->request);
	for (int i = first; i < first + n; i++)
	{
		StreamPartition *part = &state->partitions[i];
		char		from[ID_LEN];
		char		count[MAXINT8LEN + 1];
		const char *args[] = {from, "+", "COUNT", count};
		double		fit = (double) filling->max_bytes / n / Max(part->entry_size, 100);

		part->asked = (int) Max(Min(Min(FETCH_ENTRIES, fit), filling->max - filling->n), 1);
		write_id(part->next, from);
		pg_ltoa(part->asked, count);
		ask_info(state, part->key, part->key_len);
		FeathubRedisCommand(state->request, NULL, "XRANGE", part->key, part->key_len,
							lengthof(args), args);
	}
	FeathubRedisWait(state->request);
	for (int i = 0; i < n && !filling->full; i++)
	{
		StreamPartition *part = &state->partitions[first + i];

		read_info(state, 2 * i, &part->info);
		part->looked = true;
		check_stream(stream, first + i);
		take_entries(stream, first + i, FeathubRedisGet(state->request, 2 * i + 1), filling);
	}
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
		write_id(part->next, part->next_position);
		stream->partitions[i].next_position = part->next_position;
		if (part->seen >= 0)
		{
			pg_lltoa(part->seen, part->next_mark);
			stream->partitions[i].next_mark = part->next_mark;
		}
	}
}

int
FeathubRedisPoll(FeathubStream *stream, FeathubRecord *records, int max,
				 Size max_bytes, long timeout)
{
	StreamState *state = stream->state;
	MemoryContext old;
	Filling		filling = {.records = records,.max = max,.max_bytes = max_bytes};
	TimestampTz deadline = TimestampTzPlusMilliseconds(FeathubClock(), timeout);
	long		wait = FIRST_WAIT;

	MemoryContextReset(state->scratch);
	old = MemoryContextSwitchTo(state->scratch);
	for (;;)
	{
		long		left;

		/* each partition once, another first each time */
		for (int done = 0; done < state->npartitions && !filling.full;)
		{
			int			n = Min(FETCH_STREAMS, state->npartitions - state->first);

			n = Min(n, state->npartitions - done);
			CHECK_FOR_INTERRUPTS();
			poll_some(stream, state->first, n, &filling);
			state->first = (state->first + n) % state->npartitions;
			done += n;
			filling.full |= filling.n >= filling.max;
		}
		if (filling.n > 0 || state->moved)
			break;
		left = TimestampDifferenceMilliseconds(FeathubClock(), deadline);
		if (left <= 0)
			break;
		/* the caller resets the latch */
		if (WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
					  Min(left, wait), FEATHUB_WAIT_EVENT("FeathubRedisStream")) & WL_LATCH_SET)
			break;
		wait = Min(wait * 2, LAST_WAIT);
		MemoryContextReset(state->scratch);
	}
	state->moved = false;
	/* replies may be large, and records have copies */
	FeathubRedisRequestReset(state->request);
	publish_positions(stream);
	MemoryContextSwitchTo(old);
	return filling.n;
}

void
FeathubRedisReleaseRecords(FeathubStream *stream)
{
	StreamState *state = stream->state;

	MemoryContextReset(state->records);
}

/* Records */

bool
FeathubRedisDecodeRecord(FeathubStream *stream, FeathubRecord *record,
						 Datum *values, bool *isnull, FeathubDecodeError *error)
{
	StreamState *state = stream->state;

	return FeathubRedisEntryDecode(state->table, record->key, record->key_len, record,
								   values, isnull, error);
}

bool
FeathubRedisDecodeStored(FeathubStream *stream, const char *partition,
						 FeathubRecord *record, Datum headers, bool headers_isnull,
						 Datum *values, bool *isnull, FeathubDecodeError *error)
{
	StreamState *state = stream->state;

	return FeathubRedisEntryDecode(state->table, partition, strlen(partition), record,
								   values, isnull, error);
}

void
FeathubRedisDescribeRecord(FeathubStream *stream, const FeathubRecord *record, StringInfo out)
{
	RedisId		id = FeathubRedisIdUnpack(record->sequence);

	appendStringInfo(out, "stream \"%s\" id " UINT64_FORMAT "-" UINT64_FORMAT,
					 stream->partitions[record->partition].name, id.ms, id.seq);
}

Datum
FeathubRedisRecordHeaders(FeathubStream *stream, const FeathubRecord *record, bool *isnull)
{
	*isnull = true;
	return (Datum) 0;
}

/* Positions */

/* Without consumer groups there is nobody to tell. */
void
FeathubRedisCommitPositions(FeathubStream *stream)
{
}

void
FeathubRedisPartitionStatus(FeathubStream *stream)
{
	StreamState *state = stream->state;

	for (int i = 0; i < state->npartitions; i++)
	{
		StreamPartition *part = &state->partitions[i];
		FeathubStreamPartition *ours = &stream->partitions[i];

		if (stream->read_metadata_only)
		{
			FeathubRedisRequestReset(state->request);
			ask_info(state, part->key, part->key_len);
			FeathubRedisWait(state->request);
			read_info(state, 0, &part->info);
			part->looked = true;
		}
		ours->end_position = NULL;
		ours->lag = -1;
		if (!part->looked)
			continue;
		write_id(end_of(&part->info), part->end_position);
		ours->end_position = part->end_position;
		if (FeathubRedisComparePositions(ours->position, part->end_position) >= 0)
			ours->lag = 0;
		else if (ours->mark && part->info.added >= 0)
			ours->lag = Max(part->info.added - strtoll(ours->mark, NULL, 10), 0);
	}
}

void
FeathubRedisCloseStream(FeathubStream *stream)
{
	/* the client goes with the stream's context */
	stream->state = NULL;
}
