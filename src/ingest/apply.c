/*
 * apply.c
 *		Apply a batch of records in one transaction.
 *
 * The usual way has no subtransaction: advance the positions, decode all
 * records, run the query, write the rows, commit.  When the server raises an
 * error that is a record's fault (a type's input function, a constraint, the
 * query), the whole transaction is rolled back and the batch is applied once
 * more with care: a subtransaction around what may fail, and a batch that fails
 * is halved until the bad record stands alone and becomes a dead letter.
 * Records that a decoder refuses by itself cost no error and need no second
 * try.
 *
 * Order is kept: halves are applied one after the other.
 */
#include "postgres.h"

#include "access/xact.h"
#include "commands/trigger.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
#include "utils/typcache.h"

#include "core/position.h"
#include "ingest/apply.h"
#include "ingest/foreign_sink.h"

/* Why a record was not applied. */
typedef enum RecordFate
{
	RECORD_GOOD,
	RECORD_BAD,					/* a dead letter, or counted as skipped */
	RECORD_SKIPPED				/* a tombstone where there are no deletes */
} RecordFate;

typedef struct RecordState
{
	RecordFate	fate;
	bool		left_out;		/* good, but the query gave no row for it */
	int			sqlerrcode;
	char	   *message;
	const char *sink;			/* that refused it, or NULL */
} RecordState;

/* The rows of a range that go to one sink. */
typedef struct SinkRows
{
	FeathubWriterRow *rows;
	int			n;
} SinkRows;

/* A batch while it is applied. */
typedef struct Batch
{
	FeathubPipeline *pipeline;
	FeathubRecord *records;
	int			n;
	bool		careful;		/* second try: subtransactions */
	bool		begun;			/* an error may be a record's fault */
	bool		stored;			/* dead letters, not a stream's records */
	const char **partitions;	/* of stored records */
	Datum	   *headers;
	bool	   *headers_isnull;

	RecordState *states;		/* one per record */
	char	   *decoded;		/* each record's values and isnull, side by side */
	Size		decoded_size;	/* of one record's */

	/* Rows of the records that are being applied, for the sinks to pick from */
	int			for_sink;		/* the one that they are made for, or -1: all */
	MemoryContext range_context;	/* for what they need no longer than that */
	FeathubWriterRow *rows;
	int			nrows;
	int			maxrows;
	TimestampTz now;
	TimestampTz *watermarks;	/* per partition */
	FeathubPositionAdvance *advances;	/* of the partitions with news */
	int			nadvances;
	int		   *advance_of;		/* per partition; -1: no news */
	FeathubWriterCounts counts;
} Batch;

bool		FeathubApplyDeadLetters = false;
bool		FeathubApplyFailed = false;

static void apply_once(Batch *batch);
static void decode_records(Batch *batch);
static void apply_range(Batch *batch, int from, int to);
static void apply_with_care(Batch *batch, int from, int to);
static void make_rows(Batch *batch, int from, int to);
static void run_query(Batch *batch, int from, int to);
static void receive_row(void *arg, int64 arrival, Datum *values, bool *isnull);
static void pick_rows(Batch *batch, int s, SinkRows *part);
static void check_rows(Batch *batch, SinkRows *parts);
static void keep_bad_records(Batch *batch);
static void save_in_sink(Batch *batch, FeathubPipelineSink *sink);
static void stop_at_batch(Batch *batch, const ErrorData *edata);
static void describe_batch(void *arg);

bool
FeathubApplyIsDataError(int sqlerrcode)
{
	char		first;

	switch (ERRCODE_TO_CATEGORY(sqlerrcode))
	{
		case MAKE_SQLSTATE('0', '9', '0', '0', '0'):	/* triggered action */
		case MAKE_SQLSTATE('2', '1', '0', '0', '0'):	/* cardinality */
		case MAKE_SQLSTATE('2', '2', '0', '0', '0'):	/* data exception */
		case MAKE_SQLSTATE('2', '3', '0', '0', '0'):	/* constraints */
		case MAKE_SQLSTATE('2', '7', '0', '0', '0'):	/* triggered data change */
		case MAKE_SQLSTATE('3', '8', '0', '0', '0'):	/* PL/Python, PL/Perl */
		case MAKE_SQLSTATE('4', '4', '0', '0', '0'):	/* WITH CHECK OPTION */
		case MAKE_SQLSTATE('5', '4', '0', '0', '0'):	/* program limits */
		case MAKE_SQLSTATE('P', '0', '0', '0', '0'):	/* RAISE in PL/pgSQL */
			return true;
		case MAKE_SQLSTATE('5', '3', '0', '0', '0'):
		case MAKE_SQLSTATE('5', '5', '0', '0', '0'):
		case MAKE_SQLSTATE('5', '7', '0', '0', '0'):
		case MAKE_SQLSTATE('5', '8', '0', '0', '0'):
		case MAKE_SQLSTATE('7', '2', '0', '0', '0'):
		case MAKE_SQLSTATE('X', 'X', '0', '0', '0'):
			return false;
		default:
			/* the classes that the standard leaves to users: RAISE again */
			first = (char) PGUNSIXBIT(sqlerrcode);
			return (first >= '5' && first <= '9') || (first >= 'I' && first <= 'Z');
	}
}

/* Add the partitions that have something new to advances. */
static int
collect_advances(FeathubPipeline *pipeline, FeathubPositionAdvance *advances, int *advance_of)
{
	FeathubStream *stream = &pipeline->stream;
	int			n = 0;

	for (int i = 0; i < stream->npartitions; i++)
	{
		FeathubStreamPartition *partition = &stream->partitions[i];

		advance_of[i] = -1;
		if (partition->next_position == NULL)
			continue;
		advance_of[i] = n;
		advances[n].partition = partition->name;
		advances[n].expected = partition->position;
		advances[n].next = partition->next_position;
		advances[n].mark = partition->next_mark;
		advances[n].skipped = partition->gap;
		advances[n].watermark = DT_NOBEGIN;
		n++;
	}
	return n;
}

/* Set up a try of the batch; what an earlier one left has been reset. */
static void
begin_try(Batch *batch)
{
	int			n = batch->pipeline->stream.npartitions;

	batch->advances = palloc0(sizeof(FeathubPositionAdvance) * (n + 1));
	batch->advance_of = palloc0(sizeof(int) * (n + 1));
	batch->nadvances = collect_advances(batch->pipeline, batch->advances, batch->advance_of);
	batch->states = palloc0(sizeof(RecordState) * (batch->n + 1));
	batch->watermarks = palloc(sizeof(TimestampTz) * (n + 1));
	for (int i = 0; i < n; i++)
		batch->watermarks[i] = DT_NOBEGIN;
	batch->range_context = batch->pipeline->batch_context;
	batch->pipeline->current = -1;
	batch->begun = false;
	batch->rows = NULL;
	batch->maxrows = 0;
	memset(&batch->counts, 0, sizeof(batch->counts));
}

/*
 * Have deferred constraints and triggers fire at the end of each statement,
 * where a failure can be pinned on a record.
 */
static void
defer_nothing(void)
{
	AfterTriggerSetState(makeNode(ConstraintsSetStmt));
}

/* The transaction of a batch.  False, with nothing done, if the source changed. */
static bool
run_transaction(Batch *batch)
{
	FeathubPipeline *pipeline = batch->pipeline;

	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
	MemoryContextSwitchTo(pipeline->batch_context);
	batch->now = GetCurrentTransactionStartTimestamp();
	if (!FeathubExtensionLock())
		ereport(ERROR,
				(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
				 errmsg("extension feathub has been dropped")));
	/* the records must be decoded by the columns that the source has now */
	if (FeathubPipelineIsStale(pipeline))
	{
		PopActiveSnapshot();
		CommitTransactionCommand();
		return false;
	}
	if (batch->nadvances > 0)
		FeathubPositionsAdvance(pipeline->job->job_id, pipeline->job->epoch,
								batch->advances, batch->nadvances);
	FeathubPipelineRefresh(pipeline);
	if (batch->careful)
		defer_nothing();
	batch->begun = true;
	apply_once(batch);
	for (int i = 0; i < pipeline->nsinks; i++)
		if (pipeline->sinks[i].state && batch->nadvances > 0)
			save_in_sink(batch, &pipeline->sinks[i]);
	keep_bad_records(batch);
	if (batch->nadvances > 0)
		FeathubPositionsCount(pipeline->job->job_id, batch->advances, batch->nadvances);
	PopActiveSnapshot();
	CommitTransactionCommand();
	return true;
}

typedef enum TryResult
{
	BATCH_APPLIED,
	BATCH_WITH_CARE,			/* it must be tried once more, with care */
	BATCH_SOURCE_CHANGED
} TryResult;

static TryResult
try_batch(Batch *batch)
{
	FeathubPipeline *pipeline = batch->pipeline;
	volatile TryResult result = BATCH_APPLIED;

	MemoryContextSwitchTo(pipeline->batch_context);
	begin_try(batch);
	PG_TRY();
	{
		if (!run_transaction(batch))
			result = BATCH_SOURCE_CHANGED;
	}
	PG_CATCH();
	{
		ErrorData  *edata;

		MemoryContextSwitchTo(pipeline->batch_context);
		edata = CopyErrorData();
		/* a record's fault, and not looked into yet? */
		if (batch->careful || !batch->begun || FeathubApplyFailed || batch->n == 0 ||
			!FeathubApplyIsDataError(edata->sqlerrcode))
			PG_RE_THROW();
		FlushErrorState();
		/* which record's, nobody can tell */
		if (pipeline->transform && !FeathubTransformIsRowWise(pipeline->transform))
			stop_at_batch(batch, edata);
		AbortCurrentTransaction();
		MemoryContextReset(pipeline->batch_context);
		batch->careful = true;
		result = BATCH_WITH_CARE;
	}
	PG_END_TRY();
	return result;
}

int64
FeathubApplyBatch(FeathubPipeline *pipeline, FeathubRecord *records, int n)
{
	FeathubStream *stream = &pipeline->stream;
	MemoryContext old = CurrentMemoryContext;
	ErrorContextCallback callback;
	Batch		batch = {.pipeline = pipeline,.records = records,.n = n};
	TryResult	result;

	callback.callback = describe_batch;
	callback.arg = pipeline;
	callback.previous = error_context_stack;
	error_context_stack = &callback;
	result = try_batch(&batch);
	if (result == BATCH_WITH_CARE)
		result = try_batch(&batch);
	error_context_stack = callback.previous;
	if (result == BATCH_SOURCE_CHANGED)
	{
		MemoryContextSwitchTo(old);
		return -1;
	}

	/* committed: this is where we stand now, as long as the share is the same */
	MemoryContextSwitchTo(pipeline->share_context ? pipeline->share_context : pipeline->context);
	for (int i = 0; i < pipeline->nsinks; i++)
		if (pipeline->sinks[i].state)
			FeathubForeignSinkCommitted(pipeline->sinks[i].state, pipeline->rel->connector, stream);
	for (int i = 0; i < stream->npartitions; i++)
	{
		FeathubStreamPartition *partition = &stream->partitions[i];

		if (partition->next_position == NULL)
			continue;
		if (pipeline->replay_until[i] &&
			pipeline->rel->connector->compare_positions(partition->next_position,
														pipeline->replay_until[i]) >= 0)
			pipeline->replay_until[i] = NULL;
		pfree(partition->position);
		partition->position = pstrdup(partition->next_position);
		if (partition->next_mark)
		{
			if (partition->mark)
				pfree(partition->mark);
			partition->mark = pstrdup(partition->next_mark);
		}
		partition->gap = 0;
	}
	MemoryContextSwitchTo(old);
	return batch.counts.applied;
}

static void
apply_once(Batch *batch)
{
	if (batch->n > 0)
	{
		decode_records(batch);
		if (batch->careful)
			apply_with_care(batch, 0, batch->n);
		else
			apply_range(batch, 0, batch->n);
	}
	if (batch->nadvances > 0)
	{
		/* what the statements tell is of the whole batch, not of a partition */
		batch->advances[0].applied = batch->counts.applied;
		batch->advances[0].duplicates = batch->counts.duplicates;
		batch->advances[0].expired = batch->counts.expired;
	}
}

/*
 * Note that a record is bad, and the sink that refused it; the message is kept
 * in the batch's context.
 */
static void
refuse_record(Batch *batch, int i, int sqlerrcode, const char *message)
{
	FeathubPipeline *pipeline = batch->pipeline;
	RecordState *state = &batch->states[i];

	if (state->fate != RECORD_GOOD)
		return;					/* the first reason stands */
	state->fate = RECORD_BAD;
	state->sqlerrcode = sqlerrcode;
	state->message = MemoryContextStrdup(pipeline->batch_context, message);
	state->sink = pipeline->current >= 0 ? pipeline->sinks[pipeline->current].name : NULL;
}

/*
 * Does the sink leave the record out?  A group without deletes passes over
 * deletions; what a plain table gets of one is its key.
 */
static bool
sink_skips(const FeathubPipelineSink *sink, const FeathubRecord *record)
{
	if (sink->deletes)
		return false;
	return record->change == FEATHUB_CHANGE_DELETE || (record->value == NULL && sink->is_group);
}

static bool
all_skip(FeathubPipeline *pipeline, const FeathubRecord *record)
{
	for (int i = 0; i < pipeline->nsinks; i++)
		if (!sink_skips(&pipeline->sinks[i], record))
			return false;
	return true;
}

/* Where a record's columns are. */
static Datum *
decoded_values(Batch *batch, int i)
{
	return (Datum *) (batch->decoded + batch->decoded_size * i);
}

static bool *
decoded_isnull(Batch *batch, int i)
{
	return (bool *) (decoded_values(batch, i) + batch->pipeline->rel->tupdesc->natts);
}

/* Decode one record into its place. */
static void
decode_record(Batch *batch, int i)
{
	FeathubPipeline *pipeline = batch->pipeline;
	const FeathubConnector *connector = pipeline->rel->connector;
	FeathubRecord *record = &batch->records[i];
	Datum	   *values = decoded_values(batch, i);
	bool	   *isnull = decoded_isnull(batch, i);
	FeathubDecodeError error = {0};
	bool		good;

	memset(isnull, true, sizeof(bool) * pipeline->rel->tupdesc->natts);
	record->change = FEATHUB_CHANGE_UPSERT;
	record->change_time = DT_NOBEGIN;
	if (record->value == NULL && all_skip(pipeline, record))
	{
		batch->states[i].fate = RECORD_SKIPPED;
		return;
	}
	if (batch->stored)
		good = connector->decode_stored(&pipeline->stream, batch->partitions[i],
										&batch->records[i], batch->headers[i],
										batch->headers_isnull[i], values, isnull, &error);
	else
		good = connector->decode_record(&pipeline->stream, &batch->records[i],
										values, isnull, &error);
	if (!good)
		refuse_record(batch, i, error.sqlerrcode, error.message);
	else if (record->change == FEATHUB_CHANGE_NONE ||
			 (record->change == FEATHUB_CHANGE_DELETE && all_skip(pipeline, record)))
		batch->states[i].fate = RECORD_SKIPPED;
}

static void
decode_records(Batch *batch)
{
	int			natts = batch->pipeline->rel->tupdesc->natts;

	/* side by side: rows are read in the order of their keys, all over memory */
	batch->decoded_size = MAXALIGN((sizeof(Datum) + sizeof(bool)) * natts);
	batch->decoded = MemoryContextAllocHuge(CurrentMemoryContext,
											batch->decoded_size * batch->n + 1);
	for (int i = 0; i < batch->n; i++)
	{
		MemoryContext context = CurrentMemoryContext;
		ResourceOwner owner = CurrentResourceOwner;

		if ((i & 255) == 0)
			CHECK_FOR_INTERRUPTS();
		if (!batch->careful)
		{
			decode_record(batch, i);
			continue;
		}
		BeginInternalSubTransaction(NULL);
		MemoryContextSwitchTo(context);
		PG_TRY();
		{
			decode_record(batch, i);
			ReleaseCurrentSubTransaction();
		}
		PG_CATCH();
		{
			ErrorData  *edata;

			MemoryContextSwitchTo(context);
			edata = CopyErrorData();
			FlushErrorState();
			/* first of all: a session would be left in it */
			RollbackAndReleaseCurrentSubTransaction();
			if (!FeathubApplyIsDataError(edata->sqlerrcode))
				ReThrowError(edata);
			refuse_record(batch, i, edata->sqlerrcode, edata->message);
			FreeErrorData(edata);
		}
		PG_END_TRY();
		MemoryContextSwitchTo(context);
		CurrentResourceOwner = owner;
	}
}

/*
 * Must rows be made for each sink by itself?  After a lost batch one may have
 * records that another has not; and rows that belong to no record cannot be
 * picked from afterwards.
 */
static bool
made_apart(Batch *batch)
{
	FeathubPipeline *pipeline = batch->pipeline;

	for (int i = 0; i < pipeline->nsinks; i++)
	{
		FeathubPipelineSink *sink = &pipeline->sinks[i];

		if (sink->state && !batch->stored && FeathubForeignSinkIsAhead(sink->state))
			return true;
		if (pipeline->transform && !FeathubTransformIsRowWise(pipeline->transform) &&
			(sink->deletes != pipeline->sinks[0].deletes || sink->is_group != pipeline->sinks[0].is_group))
			return true;
	}
	return false;
}

/*
 * Make rows of the good records from .. to - 1 and write them to all sinks: one
 * run of the query, and a record that a sink refuses is taken from the others.
 */
static void
apply_range(Batch *batch, int from, int to)
{
	FeathubPipeline *pipeline = batch->pipeline;
	SinkRows   *parts = palloc0(sizeof(SinkRows) * pipeline->nsinks);
	bool		apart = made_apart(batch);

	pipeline->current = -1;
	for (int s = 0; s < pipeline->nsinks; s++)
	{
		if (s == 0 || apart)
		{
			batch->for_sink = apart ? s : -1;
			batch->nrows = 0;
			if (pipeline->transform)
				run_query(batch, from, to);
			else
				make_rows(batch, from, to);
		}
		pick_rows(batch, s, &parts[s]);
	}
	check_rows(batch, parts);
	for (int s = 0; s < pipeline->nsinks; s++)
	{
		FeathubWriterCounts counts = {0};

		pipeline->current = s;
		FeathubWriterApply(pipeline->sinks[s].writer, parts[s].rows, parts[s].n, batch->now, &counts);
		batch->counts.applied += counts.applied;
		batch->counts.duplicates += counts.duplicates;
		batch->counts.expired += counts.expired;
	}
	pipeline->current = -1;
}

/*
 * The same in a subtransaction; what fails is halved until the bad record
 * stands alone.  What a try allocates goes with it: of a batch without a good
 * record there are twice as many tries as records.
 */
static void
apply_with_care(Batch *batch, int from, int to)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	FeathubWriterCounts counts = batch->counts;
	volatile bool failed = false;

	if (from >= to)
		return;
	CHECK_FOR_INTERRUPTS();
	batch->range_context = AllocSetContextCreate(context, "feathub range", ALLOCSET_DEFAULT_SIZES);
	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(batch->range_context);
	PG_TRY();
	{
		apply_range(batch, from, to);
		ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		ErrorData  *edata;

		MemoryContextSwitchTo(context);
		edata = CopyErrorData();
		FlushErrorState();
		/* first of all: a session would be left in it */
		RollbackAndReleaseCurrentSubTransaction();
		if (FeathubApplyFailed || !FeathubApplyIsDataError(edata->sqlerrcode))
			ReThrowError(edata);
		batch->counts = counts;
		failed = true;
		if (to - from == 1)
			refuse_record(batch, from, edata->sqlerrcode, edata->message);
		FreeErrorData(edata);
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;
	MemoryContextDelete(batch->range_context);
	if (failed && to - from > 1)
	{
		int			middle = from + (to - from) / 2;

		apply_with_care(batch, from, middle);
		apply_with_care(batch, middle, to);
	}
}

/* A new row of the batch for record i. */
static FeathubWriterRow *
add_row(Batch *batch, int i)
{
	FeathubPipeline *pipeline = batch->pipeline;
	FeathubRecord *record = &batch->records[i];
	FeathubWriterRow *row;

	if (batch->nrows == batch->maxrows)
	{
		batch->maxrows = Max(batch->maxrows * 2, Max(batch->n, 64));
		if (batch->rows == NULL)
			batch->rows = MemoryContextAllocHuge(pipeline->batch_context,
												 sizeof(FeathubWriterRow) * (Size) batch->maxrows);
		else
			batch->rows = repalloc_huge(batch->rows,
										sizeof(FeathubWriterRow) * (Size) batch->maxrows);
	}
	row = &batch->rows[batch->nrows++];
	row->arrival = i;
	row->deleted = record->value == NULL || record->change == FEATHUB_CHANGE_DELETE;
	if (record->change_time != DT_NOBEGIN)
		row->deleted_at = record->change_time;
	else if (record->timestamp != DT_NOBEGIN)
		row->deleted_at = record->timestamp;
	else
		row->deleted_at = batch->now;
	row->replayed = false;
	if (row->deleted && !batch->stored && pipeline->replay_until[record->partition])
	{
		const FeathubConnector *connector = pipeline->rel->connector;
		char	   *position = FeathubRecordPosition(&pipeline->stream, record);

		row->replayed = connector->compare_positions(position,
													 pipeline->replay_until[record->partition]) < 0;
		pfree(position);
	}
	return row;
}

/* Is the record one that rows are to be made of? */
static bool
takes_part(Batch *batch, int i)
{
	FeathubPipeline *pipeline = batch->pipeline;
	FeathubRecord *record = &batch->records[i];
	FeathubPipelineSink *sink;

	if (batch->states[i].fate != RECORD_GOOD)
		return false;
	if (batch->for_sink < 0)
		return true;
	sink = &pipeline->sinks[batch->for_sink];
	if (sink_skips(sink, record))
		return false;
	if (sink->state == NULL || batch->stored ||
		!FeathubForeignSinkHas(sink->state, &pipeline->stream, record))
		return true;
	batch->counts.duplicates++;	/* it is in the sink already */
	return false;
}

/* Without a query: the source's columns are the rows. */
static void
make_rows(Batch *batch, int from, int to)
{
	for (int i = from; i < to; i++)
	{
		FeathubWriterRow *row;

		if (!takes_part(batch, i))
			continue;
		row = add_row(batch, i);
		row->values = decoded_values(batch, i);
		row->isnull = decoded_isnull(batch, i);
	}
}

/* With a query: batch is the records, its result the rows. */
static void
run_query(Batch *batch, int from, int to)
{
	FeathubPipeline *pipeline = batch->pipeline;
	TupleDesc	desc = FeathubTransformInput(pipeline->transform);
	Datum	   *values = palloc(sizeof(Datum) * (pipeline->ncolumns + 1));
	bool	   *isnull = palloc(sizeof(bool) * (pipeline->ncolumns + 1));
	Tuplestorestate *store = tuplestore_begin_heap(false, false, work_mem);
	int			n = 0;

	for (int i = from; i < to; i++)
	{
		if (!takes_part(batch, i))
			continue;
		for (int j = 0; j < pipeline->ncolumns; j++)
		{
			values[j] = decoded_values(batch, i)[pipeline->columns[j]];
			isnull[j] = decoded_isnull(batch, i)[pipeline->columns[j]];
		}
		values[pipeline->ncolumns] = Int64GetDatum(i);
		isnull[pipeline->ncolumns] = false;
		batch->states[i].left_out = FeathubTransformIsRowWise(pipeline->transform);
		tuplestore_putvalues(store, desc, values, isnull);
		n++;
	}
	FeathubTransformRun(pipeline->transform, store, n, receive_row, batch);
	tuplestore_end(store);
}

static void
receive_row(void *arg, int64 arrival, Datum *values, bool *isnull)
{
	Batch	   *batch = arg;
	TupleDesc	desc = FeathubTransformOutput(batch->pipeline->transform);
	MemoryContext old = MemoryContextSwitchTo(batch->range_context);
	FeathubWriterRow *row;

	/* of the whole batch, as of aggregates, or of no record, as of outer joins */
	row = add_row(batch, arrival >= 0 ? (int) arrival : batch->n - 1);
	if (arrival >= 0)
		batch->states[arrival].left_out = false;
	else
	{
		row->arrival = -1;
		row->deleted = false;
	}
	row->values = palloc(sizeof(Datum) * desc->natts);
	row->isnull = palloc(sizeof(bool) * desc->natts);
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);

		row->isnull[i] = isnull[i];
		row->values[i] = isnull[i] ? (Datum) 0 :
			datumCopy(values[i], att->attbyval, att->attlen);
	}
	MemoryContextSwitchTo(old);
}

/*
 * The rows that go to a sink, with its columns.  Rows of several sinks may
 * share values, but not those of deletions, into which a writer puts a time.
 */
static void
pick_rows(Batch *batch, int s, SinkRows *part)
{
	FeathubPipeline *pipeline = batch->pipeline;
	FeathubPipelineSink *sink = &pipeline->sinks[s];

	part->rows = pipeline->nsinks == 1 ? batch->rows :
		MemoryContextAllocHuge(CurrentMemoryContext,
							   sizeof(FeathubWriterRow) * (Size) (batch->nrows + 1));
	for (int i = 0; i < batch->nrows; i++)
	{
		FeathubWriterRow row = batch->rows[i];	/* which may be what is picked */
		FeathubWriterRow *picked;

		if (row.arrival >= 0 && sink_skips(sink, &batch->records[row.arrival]))
			continue;
		picked = &part->rows[part->n++];
		*picked = row;
		picked->deleted = row.deleted && sink->deletes;
		if (sink->identity && (pipeline->nsinks == 1 || !picked->deleted))
			continue;
		picked->values = palloc(sizeof(Datum) * (sink->ncolumns + 1));
		picked->isnull = palloc(sizeof(bool) * (sink->ncolumns + 1));
		for (int j = 0; j < sink->ncolumns; j++)
		{
			picked->values[j] = row.values[sink->columns[j]];
			picked->isnull[j] = row.isnull[sink->columns[j]];
		}
	}
}

/* Refuse the records of rows that a sink cannot take. */
static void
refuse_rows(Batch *batch, int s, SinkRows *part)
{
	FeathubPipeline *pipeline = batch->pipeline;

	pipeline->current = s;
	for (int i = 0; i < part->n; i++)
	{
		FeathubWriterRow *row = &part->rows[i];
		int			sqlerrcode;
		char	   *reason = FeathubWriterRefuses(pipeline->sinks[s].writer, row, &sqlerrcode);

		if (reason == NULL)
			continue;
		if (row->arrival < 0)
			ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
							errmsg("the query of job \"%s\" gave a row that cannot be written: %s",
								   pipeline->job->name, reason)));
		refuse_record(batch, (int) row->arrival, sqlerrcode, reason);
	}
	pipeline->current = -1;
}

/*
 * Take out the rows that cannot be written, with all other rows of their
 * record, for whatever sink; note watermarks.
 */
static void
check_rows(Batch *batch, SinkRows *parts)
{
	FeathubPipeline *pipeline = batch->pipeline;

	for (int s = 0; s < pipeline->nsinks; s++)
		refuse_rows(batch, s, &parts[s]);
	for (int s = 0; s < pipeline->nsinks; s++)
	{
		SinkRows   *part = &parts[s];
		int			kept = 0;

		for (int i = 0; i < part->n; i++)
		{
			FeathubWriterRow *row = &part->rows[i];

			if (row->arrival >= 0 && batch->states[row->arrival].fate != RECORD_GOOD)
				continue;
			if (!row->deleted && row->arrival >= 0 && !batch->stored)
			{
				int			partition = batch->records[row->arrival].partition;
				TimestampTz at = FeathubWriterEventTime(pipeline->sinks[s].writer, row);

				if (!TIMESTAMP_NOT_FINITE(at))
					batch->watermarks[partition] = Max(batch->watermarks[partition], at);
			}
			if (kept < i)
				part->rows[kept] = *row;
			kept++;
		}
		part->n = kept;
	}
}

/* Raise what was wrong with a batch whose query is not row-wise, as the job's end. */
static void
stop_at_batch(Batch *batch, const ErrorData *edata)
{
	FeathubPipeline *pipeline = batch->pipeline;
	const FeathubConnector *connector = pipeline->rel->connector;
	StringInfoData from;
	StringInfoData to;

	initStringInfo(&from);
	initStringInfo(&to);
	connector->describe_record(&pipeline->stream, &batch->records[0], &from);
	connector->describe_record(&pipeline->stream, &batch->records[batch->n - 1], &to);
	FeathubApplyFailed = true;
	ereport(ERROR,
			(errcode(edata->sqlerrcode),
			 errmsg("batch from %s to %s could not be applied: %s", from.data, to.data,
					edata->message),
			 errdetail("The job's query is not row-wise, so the failure cannot be pinned on a record.")));
}

/* Raise what was wrong with a record, as the job's end. */
static void
stop_at_record(Batch *batch, int i)
{
	FeathubPipeline *pipeline = batch->pipeline;
	StringInfoData where;

	initStringInfo(&where);
	pipeline->rel->connector->describe_record(&pipeline->stream, &batch->records[i], &where);
	FeathubApplyFailed = true;
	ereport(ERROR,
			(errcode(batch->states[i].sqlerrcode),
			 errmsg("record at %s could not be applied: %s", where.data, batch->states[i].message),
			 errhint("Mend the cause and call feathub.resume_job, or create the job with on_error 'dead_letter' or 'skip'.")));
}

/* Count the records of each partition; keep or report the bad ones. */
static void
keep_bad_records(Batch *batch)
{
	FeathubPipeline *pipeline = batch->pipeline;
	FeathubStream *stream = &pipeline->stream;
	FeathubDeadLetter *letters = NULL;
	int			nletters = 0;

	for (int i = 0; i < batch->n; i++)
	{
		FeathubRecord *record = &batch->records[i];
		FeathubPositionAdvance *advance = &batch->advances[batch->advance_of[record->partition]];
		RecordState *state = &batch->states[i];
		FeathubDeadLetter *letter;

		advance->records++;
		if (state->fate == RECORD_GOOD)
		{
			advance->skipped += state->left_out;
			continue;
		}
		if (state->fate == RECORD_BAD && pipeline->job->on_error == FEATHUB_ON_ERROR_STOP)
			stop_at_record(batch, i);
		if (state->fate == RECORD_SKIPPED || pipeline->job->on_error == FEATHUB_ON_ERROR_SKIP)
		{
			advance->skipped++;
			continue;
		}
		advance->dead_letters++;
		if (letters == NULL)
			letters = MemoryContextAllocHuge(CurrentMemoryContext,
											 sizeof(FeathubDeadLetter) * (Size) batch->n);
		letter = &letters[nletters++];
		letter->partition = stream->partitions[record->partition].name;
		letter->sequence = record->sequence;
		letter->key = record->key;
		letter->key_len = record->key_len;
		if (pipeline->rel->connector->record_value)
			pipeline->rel->connector->record_value(stream, record);
		letter->value = record->value;
		letter->value_len = record->value_len;
		letter->headers = pipeline->rel->connector->record_headers(stream, record,
																   &letter->headers_isnull);
		letter->timestamp = record->timestamp;
		letter->sink = state->sink;
		letter->sqlerrcode = state->sqlerrcode;
		letter->message = state->message;
	}
	for (int i = 0; i < stream->npartitions; i++)
		if (batch->advance_of[i] >= 0)
			batch->advances[batch->advance_of[i]].watermark = batch->watermarks[i];
	FeathubApplyDeadLetters |= nletters > 0;
	if (nletters > 0)
		FeathubDeadLettersInsert(pipeline->job->job_id, letters, nletters);
}

/* Tell a sink that keeps positions of this batch, and what it did not get. */
static void
save_in_sink(Batch *batch, FeathubPipelineSink *sink)
{
	FeathubPipeline *pipeline = batch->pipeline;
	FeathubRefused *refused = palloc0(sizeof(FeathubRefused) * (pipeline->stream.npartitions + 1));

	for (int i = 0; i < batch->n; i++)
	{
		FeathubRecord *record = &batch->records[i];

		if (batch->states[i].fate == RECORD_BAD &&
			!FeathubForeignSinkHas(sink->state, &pipeline->stream, record))
			FeathubForeignSinkRefuse(&refused[record->partition], &pipeline->stream, record);
	}
	FeathubForeignSinkSave(sink->state, pipeline->job, &pipeline->stream, refused);
}

void
FeathubApplyStored(FeathubPipeline *pipeline, FeathubRecord *records,
				   const char **partitions, Datum *headers, bool *headers_isnull,
				   int n, char **fates, int *codes, const char **sinks)
{
	Batch		batch = {
		.pipeline = pipeline,.records = records,.n = n,.careful = true,
		.stored = true,.partitions = partitions,.headers = headers,
		.headers_isnull = headers_isnull
	};
	MemoryContext old = MemoryContextSwitchTo(pipeline->batch_context);
	int			step = Max(n, 1);

	batch.states = palloc0(sizeof(RecordState) * (n + 1));
	pipeline->current = -1;
	batch.now = GetCurrentTransactionStartTimestamp();
	defer_nothing();
	decode_records(&batch);
	for (int s = 0; s < pipeline->nsinks; s++)
		if (pipeline->sinks[s].as_a_whole)
			step = 1;			/* a refused record must not take others along */
	for (int from = 0; from < n; from += step)
		apply_with_care(&batch, from, from + step);
	MemoryContextSwitchTo(old);
	for (int i = 0; i < n; i++)
	{
		fates[i] = batch.states[i].fate == RECORD_BAD ? pstrdup(batch.states[i].message) : NULL;
		codes[i] = batch.states[i].sqlerrcode;
		sinks[i] = batch.states[i].sink;
	}
	MemoryContextReset(pipeline->batch_context);
}

/* Error context: what was being done. */
static void
describe_batch(void *arg)
{
	FeathubPipeline *pipeline = arg;

	int			s = pipeline->nsinks == 1 ? 0 : pipeline->current;

	if (s < 0)
		errcontext("applying a batch of job \"%s\"", pipeline->job->name);
	else if (pipeline->sinks[s].name)
		errcontext("applying a batch of job \"%s\" to table %s",
				   pipeline->job->name, pipeline->sinks[s].name);
}
