/*
 * foreign_sink.c
 *		Sinks outside of this database: what the writer asks of a foreign table.
 *
 * Rows are inserted as into any table: its own write_mode decides whether they are
 * added or replace those of their key.  Most often that needs no statement, which
 * would copy them twice and, worse, all before the first is sent: here the other
 * system works on rows while we write down the next.  Deletions need none either:
 * it would have to find the rows first.  They go to the connector by key.
 *
 * The other system is written, and its transaction ended, before this database
 * commits the positions.  After a crash between the two the batch comes again.
 * Where rows replace others by key that leaves the same; a sink that keeps
 * positions in the transaction of the rows tells then how far the lost batch
 * went, and its records are not written twice.  The borders of batches may
 * differ, but a lost one began where we still stand, or before: until we have
 * caught up with it, the sink goes on to say how far it is.
 */
#include "postgres.h"

#include "access/table.h"
#include "access/xlog.h"
#include "catalog/pg_class.h"
#include "common/hashfn.h"
#include "executor/tuptable.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "connectors/connector.h"
#include "ingest/bulk_insert.h"
#include "ingest/foreign_sink.h"

/* What a lost batch has written of a partition. */
typedef struct Written
{
	char	   *until;			/* position behind it; NULL: nothing */
	int			nrefused;
	int64	   *refused;		/* numbers of records not written, ascending */
} Written;

struct FeathubSinkState
{
	Oid			relid;
	char	   *job;			/* names the job in the sink */
	int			n;				/* partitions */
	Written    *written;
};

void
FeathubForeignSinkCheck(Oid relid, Oid userid)
{
	const FeathubConnector *connector = FeathubConnectorOfTable(relid);
	FeathubRelation *rel;

	if (connector == NULL || connector->insert_rows == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("a job cannot write to foreign table \"%s\"", get_rel_name(relid)),
				 errdetail("The sink of a job is a feature group, a table, or a foreign table of feathub's that can be written.")));

	/* what is wrong with its options is better known now than by the worker */
	rel = FeathubRelationOpen(relid, userid);
	if (!rel->common.updatable)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("foreign table \"%s\" does not allow inserts", rel->relname)));
	if (rel->format && rel->format->begin_encode == NULL && rel->format->container == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("a job cannot write to foreign table \"%s\", because format \"%s\" cannot be written",
						rel->relname, rel->format->name)));
}

char *
FeathubForeignSinkEventTime(Oid relid)
{
	const FeathubConnector *connector = FeathubConnectorOfTable(relid);
	FeathubRelation *rel;
	AttrNumber	attnum;

	if (connector == NULL || connector->event_time == NULL)
		return NULL;
	rel = FeathubRelationDescribe(relid);
	attnum = connector->event_time(rel);
	return attnum == 0 ? NULL : pstrdup(NameStr(TupleDescAttr(rel->tupdesc, attnum - 1)->attname));
}

bool
FeathubForeignSinkInsertable(Oid relid, TupleDesc input)
{
	const FeathubConnector *connector = FeathubConnectorOfTable(relid);
	Relation	rel = table_open(relid, AccessShareLock);
	bool		possible;

	possible = connector != NULL && connector->insert_rows != NULL &&
		rel->trigdesc == NULL && rel->rd_rules == NULL &&
		pg_class_aclcheck(relid, GetUserId(), ACL_INSERT) == ACLCHECK_OK &&
		FeathubBulkColumnsFit(RelationGetDescr(rel), input) &&
		FeathubRelationDescribe(relid)->common.updatable;
	table_close(rel, AccessShareLock);
	return possible;
}

/* All columns of the table, with their places in "input" (-1: it has none such). */
static int *
insert_columns(FeathubModify *modify, TupleDesc input)
{
	TupleDesc	tupdesc = modify->rel->tupdesc;
	int		   *columns = palloc(sizeof(int) * Max(tupdesc->natts, 1));

	for (int i = 0; i < tupdesc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(tupdesc, i);

		columns[i] = -1;
		if (att->attisdropped)
			continue;
		modify->target_attrs = lappend_int(modify->target_attrs, i + 1);
		for (int col = 0; col < input->natts; col++)
			if (strcmp(NameStr(TupleDescAttr(input, col)->attname), NameStr(att->attname)) == 0)
				columns[i] = col;
	}
	return columns;
}

static void
fill_slot(TupleTableSlot *slot, const FeathubWriterRow *row, const int *columns)
{
	ExecClearTuple(slot);
	for (int i = 0; i < slot->tts_tupleDescriptor->natts; i++)
	{
		int			col = columns[i];

		slot->tts_isnull[i] = col < 0 || row->isnull[col];
		slot->tts_values[i] = slot->tts_isnull[i] ? (Datum) 0 : row->values[col];
	}
	ExecStoreVirtualTuple(slot);
}

void
FeathubForeignSinkInsert(Oid relid, TupleDesc input, FeathubWriterRow **rows, int n)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "feathub sink insertions",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	FeathubModify modify = {.operation = CMD_INSERT,.batch_size = FEATHUB_MODIFY_BATCH_SIZE};
	const FeathubConnector *connector;
	TupleTableSlot **slots;
	int		   *columns;
	int			nslots;

	modify.rel = FeathubRelationOpen(relid, GetUserId());
	modify.context = context;
	modify.row_context = AllocSetContextCreate(context, "feathub sink row", ALLOCSET_DEFAULT_SIZES);
	connector = modify.rel->connector;
	columns = insert_columns(&modify, input);
	connector->begin_modify(&modify);
	nslots = Min(Max(modify.batch_size, 1), n);
	slots = palloc(sizeof(TupleTableSlot *) * nslots);
	for (int i = 0; i < nslots; i++)
		slots[i] = MakeTupleTableSlot(modify.rel->tupdesc, &TTSOpsVirtual);
	for (int i = 0; i < n; i += nslots)
	{
		int			count = Min(nslots, n - i);

		CHECK_FOR_INTERRUPTS();
		for (int j = 0; j < count; j++)
			fill_slot(slots[j], rows[i + j], columns);
		MemoryContextSwitchTo(modify.row_context);
		connector->insert_rows(&modify, slots, count);
		MemoryContextSwitchTo(context);
		MemoryContextReset(modify.row_context);
	}
	connector->end_modify(&modify);
	MemoryContextSwitchTo(old);
	/* with it go the handles that reset callbacks free */
	MemoryContextDelete(context);
}

void
FeathubForeignSinkDelete(Oid relid, FeathubWriterRow **rows, int n, const int *cols)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "feathub sink deletions",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	FeathubModify modify = {.operation = CMD_DELETE,.batch_size = 1,.unasked = true};
	const FeathubConnector *connector;
	int			nkeys;
	Datum	   *key;
	bool	   *isnull;

	modify.rel = FeathubRelationOpen(relid, GetUserId());
	modify.key_attrs = FeathubRelationKeyColumns(modify.rel);
	modify.context = context;
	modify.row_context = AllocSetContextCreate(context, "feathub sink row", ALLOCSET_DEFAULT_SIZES);
	connector = modify.rel->connector;
	nkeys = list_length(modify.key_attrs);
	key = palloc(sizeof(Datum) * nkeys);
	isnull = palloc0(sizeof(bool) * nkeys);

	modify.timed = connector->event_time && connector->event_time(modify.rel) != 0;
	connector->begin_modify(&modify);
	for (int i = 0; i < n; i++)
	{
		CHECK_FOR_INTERRUPTS();
		for (int j = 0; j < nkeys; j++)
			key[j] = rows[i]->values[cols[j]];
		modify.deleted_at = rows[i]->deleted_at;
		MemoryContextSwitchTo(modify.row_context);
		(void) connector->delete_row(&modify, key, isnull);
		MemoryContextSwitchTo(context);
		MemoryContextReset(modify.row_context);
	}
	connector->end_modify(&modify);
	MemoryContextSwitchTo(old);
	/* with it go the handles that reset callbacks free */
	MemoryContextDelete(context);
}

static int
compare_numbers(const void *a, const void *b)
{
	int64		x = *(const int64 *) a;
	int64		y = *(const int64 *) b;

	return (x > y) - (x < y);
}

/*
 * Numbers of records as the steps from one to the next, the first from -1, with how
 * often each comes if more than once: "+8+1x3+5" is 7, 8, 9, 10, 15.  Most records
 * of a batch may be bad, and systems limit how much a sink can note.
 */
static char *
write_refused(int64 *numbers, int n)
{
	StringInfoData text;
	int64		last = -1;

	if (n == 0)
		return NULL;
	initStringInfo(&text);
	qsort(numbers, n, sizeof(int64), compare_numbers);
	for (int i = 0; i < n;)
	{
		int64		step = (int64) ((uint64) numbers[i] - (uint64) last);
		int			times = 0;

		do
		{
			last = numbers[i++];
			times++;
		} while (i < n && (int64) ((uint64) numbers[i] - (uint64) last) == step);
		if (step == 0)
			continue;			/* noted twice */
		appendStringInfo(&text, "%s" INT64_FORMAT, step > 0 ? "+" : "", step);
		if (times > 1)
			appendStringInfo(&text, "x%d", times);
	}
	return text.data;
}

/* Parse them. */
static void
read_refused(Written *written, const char *text)
{
	int			max = 64;
	int64		last = -1;

	written->refused = palloc(sizeof(int64) * max);
	while (*text)
	{
		char	   *end;
		int64		step = strtoll(text, &end, 10);
		int64		times = 1;

		if (end != text && *end == 'x')
			times = strtoll(end + 1, &end, 10);
		if (end == text || times < 1 || times > INT_MAX / 4 - written->nrefused)
			ereport(ERROR,
					(errcode(ERRCODE_DATA_CORRUPTED),
					 errmsg("the sink's note of refused records cannot be read: \"%.100s\"", text)));
		text = end;
		while (written->nrefused + times > max)
		{
			max *= 2;
			written->refused = repalloc_huge(written->refused, sizeof(int64) * (Size) max);
		}
		while (times-- > 0)
		{
			last = (int64) ((uint64) last + (uint64) step);
			written->refused[written->nrefused++] = last;
		}
	}
}

/* The number by which a record is noted: its sequence, if that stays the same. */
static int64
record_number(FeathubStream *stream, const FeathubRecord *record)
{
	const FeathubConnector *source = stream->rel->connector;
	char	   *identity;
	int64		number;

	if (source->record_identity == NULL)
		return record->sequence;
	identity = source->record_identity(stream, record);
	number = (int64) hash_bytes_extended((unsigned char *) identity, strlen(identity), 0);
	pfree(identity);
	return number;
}

void
FeathubForeignSinkRefuse(FeathubRefused *refused, FeathubStream *stream,
						 const FeathubRecord *record)
{
	if (refused->n == refused->max)
	{
		refused->max = Max(refused->max * 2, 64);
		refused->numbers = refused->numbers ?
			repalloc_huge(refused->numbers, sizeof(int64) * (Size) refused->max) :
			palloc(sizeof(int64) * refused->max);
	}
	refused->numbers[refused->n++] = record_number(stream, record);
}

static bool
was_refused(const Written *written, FeathubStream *stream, const FeathubRecord *record)
{
	int64		number;

	if (written->nrefused == 0)
		return false;
	number = record_number(stream, record);
	return bsearch(&number, written->refused, written->nrefused, sizeof(int64),
				   compare_numbers) != NULL;
}

FeathubSinkState *
FeathubForeignSinkOpen(const FeathubJob *job, Oid sink, int worker, const FeathubStream *stream,
					   char *const *replay_until)
{
	const FeathubConnector *connector = FeathubConnectorOfTable(sink);
	const FeathubConnector *source = stream->rel->connector;
	FeathubRelation *rel;
	FeathubSinkState *state;
	FeathubSinkPosition *positions;

	if (connector == NULL || connector->save_positions == NULL)
		return NULL;
	rel = FeathubRelationOpen(sink, GetUserId());
	if (connector->keeps_positions != NULL && !connector->keeps_positions(rel))
		return NULL;
	state = palloc0(sizeof(FeathubSinkState));
	state->relid = sink;
	/* a restored copy of the job is another one, and so is another sink of it */
	state->job = psprintf(UINT64_FORMAT "/%u/%u/" INT64_FORMAT, GetSystemIdentifier(),
						  MyDatabaseId, sink, job->job_id);
	state->n = stream->npartitions;
	state->written = palloc0(sizeof(Written) * (state->n + 1));
	positions = palloc0(sizeof(FeathubSinkPosition) * (state->n + 1));
	for (int i = 0; i < state->n; i++)
		positions[i].partition = stream->partitions[i].name;
	connector->load_positions(rel, state->job, worker, positions, state->n);
	for (int i = 0; i < state->n; i++)
	{
		const char *position = stream->partitions[i].position;

		/* we stand in the last batch there: its commit was lost here */
		if (positions[i].from == NULL || position == NULL ||
			source->compare_positions(positions[i].from, position) > 0 ||
			source->compare_positions(position, positions[i].next) >= 0 ||
			(replay_until[i] != NULL && positions[i].epoch != job->epoch))
			continue;
		state->written[i].until = positions[i].next;
		if (positions[i].refused)
			read_refused(&state->written[i], positions[i].refused);
	}
	pfree(positions);
	return state;
}

bool
FeathubForeignSinkIsAhead(const FeathubSinkState *state)
{
	for (int i = 0; i < state->n; i++)
		if (state->written[i].until != NULL)
			return true;
	return false;
}

char *
FeathubRecordPosition(FeathubStream *stream, const FeathubRecord *record)
{
	const FeathubConnector *source = stream->rel->connector;

	return source->record_position ? source->record_position(stream, record) :
		psprintf(INT64_FORMAT, record->sequence);
}

bool
FeathubForeignSinkHas(const FeathubSinkState *state, FeathubStream *stream,
					  const FeathubRecord *record)
{
	const Written *written = &state->written[record->partition];
	const FeathubConnector *source = stream->rel->connector;
	char	   *position;

	if (written->until == NULL)
		return false;
	position = FeathubRecordPosition(stream, record);
	if (source->compare_positions(position, written->until) >= 0)
		return false;
	return !was_refused(written, stream, record);
}

/*
 * The records that the sink has not got of a batch that ends where it has been
 * before: those refused now, and of those refused then the ones that are still to
 * come.
 */
static char *
still_refused(const Written *written, const FeathubConnector *source, const char *next,
			  const FeathubRefused *refused)
{
	int64	   *numbers = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(int64) *
												   ((Size) refused->n + written->nrefused + 1));
	int			n = refused->n;

	if (n > 0)
		memcpy(numbers, refused->numbers, sizeof(int64) * n);
	for (int i = 0; i < written->nrefused; i++)
	{
		char		position[32];

		/* where numbers are no positions, too many do no harm but to be tried */
		snprintf(position, sizeof(position), INT64_FORMAT, written->refused[i]);
		if (source->record_position != NULL || source->compare_positions(position, next) >= 0)
			numbers[n++] = written->refused[i];
	}
	return write_refused(numbers, n);
}

void
FeathubForeignSinkSave(FeathubSinkState *state, const FeathubJob *job,
					   const FeathubStream *stream, FeathubRefused *refused)
{
	FeathubSinkPosition *positions = palloc0(sizeof(FeathubSinkPosition) * (state->n + 1));
	FeathubRelation *rel = FeathubRelationOpen(state->relid, GetUserId());
	const FeathubConnector *source = stream->rel->connector;
	int			n = 0;

	for (int i = 0; i < stream->npartitions; i++)
	{
		const FeathubStreamPartition *partition = &stream->partitions[i];
		const Written *written = &state->written[i];

		if (partition->next_position == NULL)
			continue;
		positions[n].partition = partition->name;
		positions[n].from = partition->position;
		positions[n].next = partition->next_position;
		positions[n].epoch = job->epoch;
		if (written->until != NULL &&
			source->compare_positions(partition->next_position, written->until) < 0)
		{
			positions[n].next = written->until;
			positions[n].refused = still_refused(written, source, partition->next_position,
												 &refused[i]);
		}
		else
			positions[n].refused = write_refused(refused[i].numbers, refused[i].n);
		n++;
	}
	if (n > 0)
		rel->connector->save_positions(rel, state->job, positions, n);
	pfree(positions);
}

void
FeathubForeignSinkCommitted(FeathubSinkState *state, const FeathubConnector *source,
							const FeathubStream *stream)
{
	for (int i = 0; i < stream->npartitions; i++)
	{
		const char *next = stream->partitions[i].next_position;
		Written    *written = &state->written[i];

		if (next && written->until && source->compare_positions(next, written->until) >= 0)
			written->until = NULL;
	}
}
