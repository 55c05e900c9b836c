/*
 * kafka_scan.c
 *		SELECT on topics: a bounded scan of all their partitions.
 *
 * The end of each partition is fixed when the first row is wanted: its high
 * watermark, or with read_committed its last stable offset.  Ends stay the same
 * for the rest of the statement, rescans included, so that a nested loop sees
 * the same records for every outer row.  A record that retention removes before
 * it is read is an error (auto.offset.reset=error).
 *
 * Restrictions on topic, partition, offset and timestamp become ranges of
 * offsets at every rescan (kafka_restrict.c), which kafka_reader.c reads.
 *
 * A record that does not decode stops the scan with an error that says where it
 * is.  A record without value (tombstone) is a row whose columns from the value
 * are NULL.
 *
 * Parallel scans: the leader fixes the ends and puts them into shared memory;
 * every process then takes one partition after the other, with a client of its
 * own.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "optimizer/optimizer.h"
#include "storage/shmem.h"
#include "utils/memutils.h"

#include "connectors/kafka/kafka_scan.h"

/* A client, its connections and the first answer, in units of cost. */
#define KAFKA_STARTUP_COST	500.0

static const KafkaPlace place_of_metadata[KAFKA_META_COUNT] = {
	[KAFKA_META_TOPIC] = KAFKA_PLACE_TOPIC,
	[KAFKA_META_PARTITION] = KAFKA_PLACE_PARTITION,
	[KAFKA_META_OFFSET] = KAFKA_PLACE_OFFSET,
	[KAFKA_META_TIMESTAMP] = KAFKA_PLACE_TIMESTAMP,
};

static KafkaPlace *places_of(FeathubRelation *rel);
static void connect_client(KafkaScanState *state);
static void disconnect(KafkaScanState *state);
static void fix_ends(KafkaScanState *state);
static bool next_parts(KafkaScanState *state);
static void set_part(KafkaScanState *state, KafkaPartition *partition);
static void find_ranges(KafkaScanState *state);
static int64 first_offset_at(void *arg, int64 time);
static void decode_error_context(void *arg);
pg_noreturn static void raise_decode_error(KafkaScanState *state, FeathubDecodeError *error);

/* What first_offset_at needs beside the time. */
typedef struct TimeQuestion
{
	KafkaScanState *state;
	int			part;
} TimeQuestion;

/* Planning */

/*
 * FeathubConnector.estimate: what ANALYZE found, or option row_estimate.
 *
 * Only the clauses about places save fetching; the others are a filter here.
 */
void
FeathubKafkaEstimate(FeathubRelation *rel, PlannerInfo *root, RelOptInfo *baserel,
					 FeathubEstimate *estimate)
{
	KafkaOptions *options = rel->options;
	KafkaPlace *places = places_of(rel);
	List	   *place_clauses = NIL;
	double		fetched;
	ListCell   *lc;

	if (baserel->tuples < 0)
		baserel->tuples = options->row_estimate;

	foreach(lc, baserel->baserestrictinfo)
	{
		List	   *params = NIL;

		if (FeathubKafkaRestrictPlan(root, baserel, places, rel->tupdesc->natts,
									 list_make1(lfirst(lc)), &params) != NIL)
			place_clauses = lappend(place_clauses, lfirst(lc));
	}
	fetched = baserel->tuples *
		clauselist_selectivity(root, place_clauses, 0, JOIN_INNER, NULL);

	estimate->rows = clamp_row_est(baserel->tuples *
								   clauselist_selectivity(root, baserel->baserestrictinfo,
														  0, JOIN_INNER, NULL));
	estimate->width = baserel->reltarget->width;
	estimate->startup_cost = KAFKA_STARTUP_COST + baserel->baserestrictcost.startup;
	/* fetching and decoding a record costs some ten operators */
	estimate->total_cost = estimate->startup_cost +
		fetched * (cpu_tuple_cost + 10 * cpu_operator_cost +
				   baserel->baserestrictcost.per_tuple);
}

/* FeathubConnector.plan_scan: all clauses stay to be checked again. */
void
FeathubKafkaPlanScan(FeathubRelation *rel, PlannerInfo *root, RelOptInfo *baserel,
					 List *clauses, FeathubScanPlan *plan)
{
	List	   *params = NIL;
	List	   *tree;
	char	   *description = "";
	ListCell   *lc;

	tree = FeathubKafkaRestrictPlan(root, baserel, places_of(rel), rel->tupdesc->natts,
									clauses, &params);
	if (tree != NIL)
		description = FeathubKafkaRestrictDescribe(tree, params);

	plan->private = list_make2(tree, makeString(description));
	plan->params = params;
	plan->local_clauses = NIL;
	foreach(lc, clauses)
	{
		Node	   *clause = lfirst(lc);

		if (IsA(clause, RestrictInfo))
			clause = (Node *) ((RestrictInfo *) clause)->clause;
		plan->local_clauses = lappend(plan->local_clauses, clause);
	}
}

/* FeathubConnector.lookup_columns: those that become ranges. */
Bitmapset *
FeathubKafkaLookupColumns(FeathubRelation *rel)
{
	KafkaPlace *places = places_of(rel);
	Bitmapset  *columns = NULL;

	for (int i = 0; i < rel->tupdesc->natts; i++)
	{
		if (places[i] != KAFKA_PLACE_NONE)
			columns = bms_add_member(columns, i + 1);
	}
	return columns;
}

/* Scanning */

void
FeathubKafkaBeginScan(FeathubScan *scan)
{
	KafkaScanState *state = palloc0(sizeof(KafkaScanState));

	state->scan = scan;
	state->tree = list_nth(scan->private, KAFKA_SCAN_TREE);
	state->never_rescanned = true;
	state->done = true;
	scan->state = state;
}

void
FeathubKafkaRescan(FeathubScan *scan)
{
	KafkaScanState *state = scan->state;
	MemoryContext old;

	if (state->reader != NULL)
		FeathubKafkaReaderStop(state->reader);
	if (state->rescan_context == NULL)
		state->rescan_context = AllocSetContextCreate(scan->context, "feathub kafka rescan",
													  ALLOCSET_DEFAULT_SIZES);
	MemoryContextReset(state->rescan_context);
	state->never_rescanned = false;
	state->parts = NULL;
	state->nparts = 0;
	state->answers = NIL;
	state->reading = false;

	old = MemoryContextSwitchTo(state->rescan_context);
	state->boxes = FeathubKafkaRestrictEvaluate(state->tree, scan->param_values,
												scan->param_isnull);
	MemoryContextSwitchTo(old);

	/* nothing can match: no reason to talk to anybody */
	state->done = state->boxes->n == 0;
}

/* The next message, decoded. */
static bool
next_message(KafkaScanState *state, TupleTableSlot *slot)
{
	FeathubDecodeError error = {0};
	ErrorContextCallback callback;

	if (state->done)
		return false;

	state->message = NULL;
	while (!state->reading || (state->message = FeathubKafkaReaderNext(state->reader)) == NULL)
	{
		if (!next_parts(state))
		{
			state->done = true;
			if (FeathubKafkaManyClients())
				disconnect(state);
			return false;
		}
	}

	callback.callback = decode_error_context;
	callback.arg = state;
	callback.previous = error_context_stack;
	error_context_stack = &callback;

	if (!FeathubKafkaRowDecode(state->decoder, state->message, slot->tts_values,
							   slot->tts_isnull, &error))
		raise_decode_error(state, &error);

	error_context_stack = callback.previous;
	return true;
}

bool
FeathubKafkaNextRow(FeathubScan *scan, TupleTableSlot *slot)
{
	KafkaScanState *state = scan->state;
	TimestampTz change_time;

	/* a heartbeat or the like of a changelog is no row */
	do
	{
		if (!next_message(state, slot))
			return false;
	} while (FeathubKafkaRowChange(state->decoder, &change_time) == FEATHUB_CHANGE_NONE);
	return true;
}

/* Also before the end was reached: what the library holds is dropped. */
void
FeathubKafkaEndScan(FeathubScan *scan)
{
	KafkaScanState *state = scan->state;

	if (state == NULL)
		return;
	disconnect(state);
	state->done = true;
}

/* Parallel scan */

/* FeathubConnector.parallel_size: the leader connects, to count partitions. */
Size
FeathubKafkaParallelSize(FeathubScan *scan, ParallelContext *pcxt)
{
	KafkaScanState *state = scan->state;
	Size		size;

	fix_ends(state);
	if (FeathubKafkaManyClients())
		disconnect(state);
	size = add_size(offsetof(KafkaShared, partitions),
					mul_size(state->npartitions, sizeof(KafkaSharedPartition)));
	for (int i = 0; i < state->npartitions; i++)
		size = add_size(size, strlen(state->partitions[i].topic) + 1);
	return size;
}

void
FeathubKafkaBeginParallel(FeathubScan *scan, ParallelContext *pcxt, void *area)
{
	KafkaScanState *state = scan->state;
	KafkaShared *shared = area;
	Size		used = offsetof(KafkaShared, partitions) +
		sizeof(KafkaSharedPartition) * state->npartitions;

	pg_atomic_init_u32(&shared->next, 0);
	shared->npartitions = state->npartitions;
	for (int i = 0; i < state->npartitions; i++)
	{
		KafkaPartition *from = &state->partitions[i];
		KafkaSharedPartition *to = &shared->partitions[i];

		to->topic = used;
		to->partition = from->partition;
		to->low = from->low;
		to->high = from->high;
		strcpy((char *) shared + used, from->topic);
		used += strlen(from->topic) + 1;
	}
	state->shared = shared;
}

void
FeathubKafkaRescanParallel(FeathubScan *scan, void *area)
{
	pg_atomic_write_u32(&((KafkaShared *) area)->next, 0);
}

/* FeathubConnector.join_parallel: a worker takes the leader's ends. */
void
FeathubKafkaJoinParallel(FeathubScan *scan, void *area)
{
	KafkaScanState *state = scan->state;
	KafkaShared *shared = area;

	state->shared = shared;
	state->npartitions = shared->npartitions;
	state->partitions = MemoryContextAlloc(scan->context,
										   sizeof(KafkaPartition) * Max(shared->npartitions, 1));
	for (int i = 0; i < shared->npartitions; i++)
	{
		KafkaSharedPartition *from = &shared->partitions[i];
		KafkaPartition *to = &state->partitions[i];

		to->topic = (char *) shared + from->topic;
		to->partition = from->partition;
		to->low = from->low;
		to->high = from->high;
	}
}

/* Statics */

/* What each column says about where a record is. */
static KafkaPlace *
places_of(FeathubRelation *rel)
{
	KafkaPlace *places = palloc0(sizeof(KafkaPlace) * Max(rel->tupdesc->natts, 1));
	KafkaColumns columns;

	FeathubKafkaColumnsOf(rel, NULL, &columns);
	for (int i = 0; i < KAFKA_META_COUNT; i++)
	{
		if (columns.metadata[i] > 0)
			places[columns.metadata[i] - 1] = place_of_metadata[i];
	}
	return places;
}

static void
connect_client(KafkaScanState *state)
{
	FeathubScan *scan = state->scan;
	MemoryContext old;

	if (state->client != NULL)
		return;
	old = MemoryContextSwitchTo(scan->context);
	state->client = FeathubKafkaClientForRelation(scan->rel, RD_KAFKA_CONSUMER,
												  scan->context);
	FeathubKafkaClientStart(state->client);
	state->reader = FeathubKafkaReaderBegin(state->client);
	if (state->decoder == NULL)
		state->decoder = FeathubKafkaRowBegin(scan->rel, scan->needed);
	MemoryContextSwitchTo(old);
}

/*
 * Drop the client.  Where there are many, a scan that does not need it now does
 * so before the end of the query, because one of a table with hundreds of
 * partitions ends all of its scans together, and each client has some ten files
 * open.  If the scan goes on or is done again after all, it connects again.
 */
static void
disconnect(KafkaScanState *state)
{
	if (state->client == NULL)
		return;
	if (state->reader != NULL)
	{
		state->messages_read += FeathubKafkaReaderCount(state->reader);
		FeathubKafkaReaderStop(state->reader);
	}
	FeathubKafkaClientClose(state->client);
	state->client = NULL;
	state->reader = NULL;
}

/* Find the partitions and fix where each of them ends, once. */
static void
fix_ends(KafkaScanState *state)
{
	KafkaOptions *options = state->scan->rel->options;
	MemoryContext old;
	KafkaPartition *partitions;
	int			n;

	if (state->partitions != NULL)
		return;
	connect_client(state);
	old = MemoryContextSwitchTo(state->scan->context);
	partitions = FeathubKafkaPartitions(state->client, options->topic, &n);
	if (partitions == NULL)
		partitions = palloc0(sizeof(KafkaPartition));
	if (n > 0)
		FeathubKafkaWatermarks(state->client, partitions, n);
	state->partitions = partitions;
	state->npartitions = n;
	MemoryContextSwitchTo(old);
}

/*
 * Start the reader on the next partitions: on all of them at first, in a
 * parallel scan on one that no other process has taken.  False at the end.
 */
static bool
next_parts(KafkaScanState *state)
{
	MemoryContext old;

	if (state->shared == NULL && state->reading)
		return false;

	fix_ends(state);
	connect_client(state);
	old = MemoryContextSwitchTo(state->rescan_context);
	state->nparts = 0;
	state->answers = NIL;
	if (state->shared == NULL)
	{
		state->parts = palloc0(sizeof(KafkaReaderPart) * Max(state->npartitions, 1));
		for (int i = 0; i < state->npartitions; i++)
			set_part(state, &state->partitions[i]);
	}
	else
	{
		if (state->parts == NULL)
			state->parts = palloc0(sizeof(KafkaReaderPart));
		while (state->nparts == 0)
		{
			uint32		next = pg_atomic_fetch_add_u32(&state->shared->next, 1);

			if (next >= (uint32) state->npartitions)
			{
				MemoryContextSwitchTo(old);
				return false;
			}
			set_part(state, &state->partitions[next]);
		}
	}
	find_ranges(state);
	MemoryContextSwitchTo(old);

	FeathubKafkaReaderStart(state->reader, state->parts, state->nparts);
	state->reading = true;
	return true;
}

/* Add a partition to the parts, if a box may have records of it. */
static void
set_part(KafkaScanState *state, KafkaPartition *partition)
{
	if (FeathubKafkaRestrictPartition(state->boxes, partition->topic,
									  partition->partition))
		state->parts[state->nparts++].partition = partition;
}

/* The ranges of all parts. */
static void
find_ranges(KafkaScanState *state)
{
	KafkaOptions *options = state->scan->rel->options;
	TimeQuestion question = {state, 0};
	bool		ask = strcmp(options->bootstrap_servers, "embedded") != 0;

	for (int i = 0; i < state->nparts; i++)
	{
		KafkaReaderPart *part = &state->parts[i];
		KafkaPartition *partition = part->partition;

		question.part = i;
		part->nranges = FeathubKafkaRestrictRanges(state->boxes, partition->topic,
												   partition->partition,
												   partition->low, partition->high,
												   ask ? first_offset_at : NULL,
												   &question, &part->ranges);
	}
}

/*
 * The first offset of a part with a record at or after a time.
 *
 * The broker's answer is the earliest such offset, so nothing before it can
 * match.  One question asks for all parts: a scan has few different times.
 */
static int64
first_offset_at(void *arg, int64 time)
{
	TimeQuestion *question = arg;
	KafkaScanState *state = question->state;
	KafkaTimeAnswer *answer = NULL;
	KafkaPartition *partitions;
	int64	   *times;
	ListCell   *lc;

	/* before 1970 there is nothing, and the protocol's negative times are names */
	if (time <= 0)
		return state->parts[question->part].partition->low;
	if (time == PG_INT64_MAX)
		return state->parts[question->part].partition->high;

	foreach(lc, state->answers)
	{
		answer = lfirst(lc);
		if (answer->time == time)
			return answer->offsets[question->part];
	}

	partitions = palloc(sizeof(KafkaPartition) * state->nparts);
	times = palloc(sizeof(int64) * state->nparts);
	answer = palloc(sizeof(KafkaTimeAnswer));
	answer->time = time;
	answer->offsets = palloc(sizeof(int64) * state->nparts);
	for (int i = 0; i < state->nparts; i++)
	{
		partitions[i] = *state->parts[i].partition;
		times[i] = time;
	}
	FeathubKafkaOffsetsForTimes(state->client, partitions, state->nparts, times,
								answer->offsets);
	for (int i = 0; i < state->nparts; i++)
	{
		/* all records are older */
		if (answer->offsets[i] < 0)
			answer->offsets[i] = partitions[i].high;
	}
	state->answers = lappend(state->answers, answer);
	return answer->offsets[question->part];
}

/* Where the record is whose decoding fails. */
static void
decode_error_context(void *arg)
{
	KafkaScanState *state = arg;

	errcontext("reading topic \"%s\" partition %d offset %lld of foreign table \"%s\"",
			   rd_kafka_topic_name(state->message->rkt), state->message->partition,
			   (long long) state->message->offset, state->scan->rel->relname);
}

static void
raise_decode_error(KafkaScanState *state, FeathubDecodeError *error)
{
	const char *message = error->message != NULL ? error->message : "record does not decode";
	TupleDesc	tupdesc = state->scan->rel->tupdesc;

	ereport(ERROR,
			(errcode(error->sqlerrcode != 0 ? error->sqlerrcode : ERRCODE_BAD_COPY_FILE_FORMAT),
			 errmsg_internal("%s", message),
	/* formats begin with the column's name */
			 error->attnum > 0 && strncmp(message, "column ", 7) != 0 ?
			 errdetail("Column \"%s\".",
					   NameStr(TupleDescAttr(tupdesc, error->attnum - 1)->attname)) : 0));
}
