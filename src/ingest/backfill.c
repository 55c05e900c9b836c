/*
 * backfill.c
 *		The Batch API: write the rows of a query to a feature group.
 *
 * The query runs as the caller, through a cursor; its rows go to the group
 * writer in batches of feathub.batch_rows, so that memory is bounded and each
 * batch is one set-based statement.  All is one transaction of the caller's: a
 * failed or cancelled backfill leaves nothing, and repeating one changes
 * nothing (promise 3).  It is a user's statement, so a row that cannot be
 * written is an error, not a dead letter.
 *
 * With online => true the rows are kept in a tuplestore and written to the
 * online table when all history is: the rows of the online table, which a
 * job's workers want too, are locked for a short time only, and arrive in the
 * query's order (promise 2).
 *
 * Rows for which there is no partition go to the default partition, and are
 * moved at the end if the caller owns the group.  To make the partitions first,
 * as a long load deserves, is up to the user (maintain_feature_group, "since"):
 * made here they would stay locked until the load has ended.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "parser/parse_coerce.h"
#include "storage/ipc.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/plancache.h"
#include "utils/portal.h"
#include "utils/rel.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"
#include "utils/varlena.h"

#include "core/catalog.h"
#include "core/describe.h"
#include "core/guc.h"
#include "ingest/backfill_progress.h"
#include "ingest/group_writer.h"

#define FETCH_ROWS 200			/* from the cursor at once */

typedef struct Backfill
{
	FeathubGroup *group;
	const char *name;			/* of the group, for messages */
	bool		online;
	TimestampTz now;			/* the load's one time, for the cutoffs */
	FeathubWriter *history;
	FeathubWriter *latest;		/* if online */
	Tuplestorestate *spool;		/* if online: all rows, in the writers' shape */

	/* The query */
	SPIPlanPtr	plan;
	Portal		portal;
	TupleDesc	result;			/* what it gives */
	TupleDesc	input;			/* what the writers take: keys cast */
	ExprState **casts;			/* of a key of another type, else NULL */
	ExprContext *econtext;
	TupleTableSlot *slot;

	/* The batch being filled */
	MemoryContext batch;
	FeathubWriterRow *rows;
	int			nrows;
	Size		bytes;
	List	   *tuptables;		/* SPITupleTable *, which the rows point into */

	int64		rows_read;
	FeathubWriterCounts counts;
} Backfill;

static Oid	find_group(Backfill *b, const char *name);
static void check_rights(Oid relid);
static void prepare_query(Backfill *b, const char *query);
static void match_columns(Backfill *b);
static void load_history(Backfill *b);
static void write_online(Backfill *b);
static void make_partitions(Backfill *b);
static void end_progress(int code, Datum arg);
static void backfill_error_context(void *arg);

PG_FUNCTION_INFO_V1(feathub_backfill);

/*
 * feathub.backfill(feature_group text, query text, online boolean) returns the
 * number of history rows that are new or changed.
 */
Datum
feathub_backfill(PG_FUNCTION_ARGS)
{
	Backfill	b = {0};
	char	   *query = text_to_cstring(PG_GETARG_TEXT_PP(1));
	ErrorContextCallback context = {.callback = backfill_error_context, .arg = &b};
	Oid			relid;

	if (!FeathubExtensionLock())
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("extension \"feathub\" does not exist")));
	SPI_connect();
	relid = find_group(&b, text_to_cstring(PG_GETARG_TEXT_PP(0)));
	b.online = PG_GETARG_BOOL(2);
	b.now = GetCurrentStatementStartTimestamp();
	check_rights(relid);
	if (b.online)
	{
		if (!OidIsValid(b.group->online))
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("feature group \"%s\" has no online table", b.name),
					 errhint("Leave out online => true.")));
		check_rights(b.group->online);
		if (OidIsValid(b.group->store) &&
			pg_class_aclcheck(b.group->store, GetUserId(), ACL_INSERT) != ACLCHECK_OK)
			aclcheck_error(ACLCHECK_NO_PRIV, OBJECT_FOREIGN_TABLE, get_rel_name(b.group->store));
	}

	prepare_query(&b, query);
	match_columns(&b);
	b.history = FeathubWriterBegin(relid, b.input, FEATHUB_WRITE_OFFLINE);
	if (b.online)
	{
		b.latest = FeathubWriterBegin(relid, b.input, FEATHUB_WRITE_ONLINE);
		b.spool = tuplestore_begin_heap(false, false, work_mem);
	}
	b.batch = AllocSetContextCreate(CurrentMemoryContext, "feathub backfill batch",
									ALLOCSET_DEFAULT_SIZES);
	b.rows = palloc_extended(sizeof(FeathubWriterRow) * feathub_batch_rows, MCXT_ALLOC_HUGE);
	b.portal = SPI_cursor_open(NULL, b.plan, NULL, NULL, false);
	if (b.portal == NULL)
		elog(ERROR, "SPI_cursor_open failed: %s", SPI_result_code_string(SPI_result));

	PG_ENSURE_ERROR_CLEANUP(end_progress, (Datum) 0);
	{
		FeathubBackfillProgressBegin(relid, b.portal->queryDesc == NULL ? 0 :
									 b.portal->queryDesc->plannedstmt->planTree->plan_rows);
		context.previous = error_context_stack;
		error_context_stack = &context;
		load_history(&b);
		SPI_cursor_close(b.portal);
		if (b.online)
			write_online(&b);
		error_context_stack = context.previous;
		if (b.group->partition_interval && b.counts.applied > 0)
			make_partitions(&b);
	}
	PG_END_ENSURE_ERROR_CLEANUP(end_progress, (Datum) 0);
	FeathubBackfillProgressEnd();

	if (b.counts.expired > 0)
		ereport(NOTICE,
				(errmsg_plural("%lld row is older than the retention of feature group \"%s\" and was not written",
							   "%lld rows are older than the retention of feature group \"%s\" and were not written",
							   b.counts.expired, (long long) b.counts.expired, b.name)));
	FeathubWriterEnd(b.history);
	if (b.online)
	{
		FeathubWriterEnd(b.latest);
		tuplestore_end(b.spool);
	}
	SPI_finish();
	PG_RETURN_INT64(b.counts.applied);
}

/* Error and exit callback. */
static void
end_progress(int code, Datum arg)
{
	FeathubBackfillProgressEnd();
}

static void
backfill_error_context(void *arg)
{
	Backfill   *b = arg;

	if (b->nrows > 0)
		errcontext("backfilling feature group \"%s\", rows %lld to %lld of its query",
				   b->name, (long long) (b->rows_read - b->nrows + 1),
				   (long long) b->rows_read);
	else
		errcontext("backfilling feature group \"%s\"", b->name);
}

/* The group's offline table; fills in group and name. */
static Oid
find_group(Backfill *b, const char *name)
{
	RangeVar   *rv = makeRangeVarFromNameList(textToQualifiedNameList(cstring_to_text(name)));
	Oid			relid = RangeVarGetRelid(rv, NoLock, false);

	b->name = get_rel_name(relid);
	b->group = FeathubGroupLoad(relid);
	if (b->group == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("relation \"%s\" is not a feature group", b->name),
				 errhint("Make it one with feathub.create_feature_group.")));
	if (b->group->external)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("feature group \"%s\" is external and has no history to write", b->name),
				 errhint("Write to the system or the tables that it reads.")));
	return relid;
}

/*
 * The caller's own rights decide; asked before his query runs for an hour.
 */
static void
check_rights(Oid relid)
{
	if (pg_class_aclcheck(relid, GetUserId(), ACL_SELECT) == ACLCHECK_OK &&
		pg_class_aclcheck(relid, GetUserId(), ACL_INSERT) == ACLCHECK_OK &&
		pg_class_aclcheck(relid, GetUserId(), ACL_UPDATE) == ACLCHECK_OK)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg("permission denied for table %s", get_rel_name(relid)),
			 errdetail("A backfill needs SELECT, INSERT and UPDATE on it.")));
}

/* Prepare the query; fills in plan and result. */
static void
prepare_query(Backfill *b, const char *query)
{
	List	   *sources;

	b->plan = SPI_prepare_cursor(query, 0, NULL, CURSOR_OPT_NO_SCROLL);
	if (b->plan == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_SYNTAX_ERROR),
				 errmsg("invalid query for a backfill: %s", SPI_result_code_string(SPI_result))));
	sources = SPI_plan_get_plan_sources(b->plan);
	if (list_length(sources) != 1 || !SPI_is_cursor_plan(b->plan))
		ereport(ERROR,
				(errcode(ERRCODE_SYNTAX_ERROR),
				 errmsg("query of a backfill must be one statement that returns rows")));
	b->result = CreateTupleDescCopy(((CachedPlanSource *) linitial(sources))->resultDesc);
}

/* Raise an error for a column that the table has not. */
static void
refuse_column(Backfill *b, TupleDesc table, const char *name)
{
	const char *closest = NULL;
	int			best = 1 + (int) strlen(name) / 2;	/* half of it must be right */

	for (int i = 0; i < table->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(table, i);
		int			distance;

		if (att->attisdropped)
			continue;
		distance = varstr_levenshtein_less_equal(name, strlen(name), NameStr(att->attname),
												 strlen(NameStr(att->attname)),
												 1, 1, 1, best, true);
		if (distance < best)
		{
			best = distance;
			closest = NameStr(att->attname);
		}
	}
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_COLUMN),
			 errmsg("column \"%s\" of the query does not exist in feature group \"%s\"",
					name, b->name),
			 closest ? errhint("Perhaps you meant the column \"%s\".", closest) :
			 errhint("Columns are matched by name: rename it with AS, or leave it out.")));
}

/* True if a column is of the primary key or the event time. */
static bool
is_key_column(FeathubGroup *group, const char *name)
{
	ListCell   *lc;

	foreach(lc, group->primary_key)
		if (strcmp(lfirst(lc), name) == 0)
			return true;
	return group->event_time && strcmp(group->event_time, name) == 0;
}

/*
 * Check the query's columns, and find what the writers get: they compare keys
 * before they write them, so these are cast here as an assignment would.
 */
static void
match_columns(Backfill *b)
{
	/* the lock that writing takes: a weaker one first could deadlock */
	Relation	rel = table_open(b->group->relid, RowExclusiveLock);
	TupleDesc	table = RelationGetDescr(rel);
	int			natts = b->result->natts;
	EState	   *estate = CreateExecutorState();

	b->econtext = CreateExprContext(estate);
	b->slot = MakeSingleTupleTableSlot(b->result, &TTSOpsHeapTuple);
	b->input = CreateTupleDescCopy(b->result);
	b->casts = palloc0(sizeof(ExprState *) * natts);
	for (int i = 0; i < natts; i++)
	{
		Form_pg_attribute given = TupleDescAttr(b->result, i);
		const char *name = NameStr(given->attname);
		Form_pg_attribute att = FeathubDescribeColumn(table, name);
		Node	   *cast;

		if (att == NULL)
			refuse_column(b, table, name);
		for (int j = 0; j < i; j++)
			if (namestrcmp(&TupleDescAttr(b->result, j)->attname, name) == 0)
				ereport(ERROR,
						(errcode(ERRCODE_DUPLICATE_COLUMN),
						 errmsg("column \"%s\" appears twice in the query of the backfill", name)));
		if (b->group->deletes && strcmp(name, "feathub_deleted") == 0)
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("column \"%s\" cannot be backfilled", name),
					 errhint("Leave it out; deletions come with the source of the feature group.")));
		if (!can_coerce_type(1, &given->atttypid, &att->atttypid, COERCION_ASSIGNMENT))
			ereport(ERROR,
					(errcode(ERRCODE_DATATYPE_MISMATCH),
					 errmsg("column \"%s\" of feature group \"%s\" is of type %s but the query gives %s",
							name, b->name, format_type_be(att->atttypid),
							format_type_be(given->atttypid)),
					 errhint("Add a cast to the query.")));
		if (!is_key_column(b->group, name))
			continue;			/* cast when it is written */

		if (given->atttypid != att->atttypid ||
			(att->atttypmod >= 0 && given->atttypmod != att->atttypmod))
		{
			cast = coerce_to_target_type(NULL,
										 (Node *) makeVar(1, i + 1, given->atttypid, given->atttypmod,
														  given->attcollation, 0),
										 given->atttypid, att->atttypid, att->atttypmod,
										 COERCION_ASSIGNMENT, COERCE_IMPLICIT_CAST, -1);
			if (cast == NULL)
				elog(ERROR, "could not cast column \"%s\"", name);
			b->casts[i] = ExecPrepareExpr((Expr *) cast, estate);
		}
		TupleDescInitEntry(b->input, i + 1, name, att->atttypid, att->atttypmod, 0);
		TupleDescInitEntryCollation(b->input, i + 1, att->attcollation);
	}
	table_close(rel, NoLock);
}

static void
report_progress(Backfill *b, FeathubBackfillPhase phase)
{
	FeathubBackfillProgressUpdate(phase, b->rows_read, b->counts.applied,
								  b->counts.duplicates, b->counts.expired);
}

/* The next row of the batch, with room for its values. */
static FeathubWriterRow *
next_row(Backfill *b, int64 arrival)
{
	FeathubWriterRow *row = &b->rows[b->nrows++];
	MemoryContext old = MemoryContextSwitchTo(b->batch);

	memset(row, 0, sizeof(FeathubWriterRow));
	row->arrival = arrival;
	row->values = palloc(sizeof(Datum) * b->input->natts);
	row->isnull = palloc(sizeof(bool) * b->input->natts);
	MemoryContextSwitchTo(old);
	return row;
}

/* Add a row that the query gave to the batch. */
static void
add_row(Backfill *b, HeapTuple tuple)
{
	int			natts = b->input->natts;
	FeathubWriterRow *row;
	char	   *refusal;
	int			sqlerrcode;

	row = next_row(b, ++b->rows_read);
	ExecStoreHeapTuple(tuple, b->slot, false);
	slot_getallattrs(b->slot);
	memcpy(row->values, b->slot->tts_values, sizeof(Datum) * natts);
	memcpy(row->isnull, b->slot->tts_isnull, sizeof(bool) * natts);
	for (int i = 0; i < natts; i++)
		if (b->casts[i])
		{
			MemoryContext old = MemoryContextSwitchTo(b->batch);

			b->econtext->ecxt_scantuple = b->slot;
			row->values[i] = ExecEvalExpr(b->casts[i], b->econtext, &row->isnull[i]);
			MemoryContextSwitchTo(old);
		}
	b->bytes += tuple->t_len;

	refusal = FeathubWriterRefuses(b->history, row, &sqlerrcode);
	if (refusal)
		ereport(ERROR,
				(errcode(sqlerrcode),
				 errmsg_internal("%s", refusal),
				 errdetail("It is row %lld of the query.", (long long) b->rows_read)));
	if (b->spool)
		tuplestore_putvalues(b->spool, b->input, row->values, row->isnull);
}

/* Write the batch with one of the writers, and begin another. */
static void
write_batch(Backfill *b, FeathubWriter *writer, FeathubWriterCounts *counts)
{
	MemoryContext old = MemoryContextSwitchTo(b->batch);
	ListCell   *lc;

	FeathubWriterApply(writer, b->rows, b->nrows, b->now, counts);
	MemoryContextSwitchTo(old);
	foreach(lc, b->tuptables)
		SPI_freetuptable(lfirst(lc));
	list_free(b->tuptables);
	b->tuptables = NIL;
	b->nrows = 0;
	b->bytes = 0;
	MemoryContextReset(b->batch);
}

static bool
batch_is_full(Backfill *b)
{
	return b->nrows >= feathub_batch_rows || b->bytes >= (Size) feathub_batch_memory * 1024;
}

/* Run the query and write the offline table. */
static void
load_history(Backfill *b)
{
	for (;;)
	{
		SPITupleTable *tuptable;
		uint64		fetched;

		SPI_cursor_fetch(b->portal, true, Min(FETCH_ROWS, feathub_batch_rows - b->nrows));
		tuptable = SPI_tuptable;
		fetched = SPI_processed;
		b->tuptables = lappend(b->tuptables, tuptable);
		for (uint64 i = 0; i < fetched; i++)
			add_row(b, tuptable->vals[i]);
		if (fetched == 0 || batch_is_full(b))
		{
			write_batch(b, b->history, &b->counts);
			report_progress(b, FEATHUB_BACKFILL_LOADING);
		}
		if (fetched == 0)
			break;
		CHECK_FOR_INTERRUPTS();
	}
}

/* Write the latest of the kept rows to the online table. */
static void
write_online(Backfill *b)
{
	TupleTableSlot *slot = MakeSingleTupleTableSlot(b->input, &TTSOpsMinimalTuple);
	FeathubWriterCounts counts = {0};
	int64		arrival = 0;

	report_progress(b, FEATHUB_BACKFILL_ONLINE);
	while (tuplestore_gettupleslot(b->spool, true, false, slot))
	{
		FeathubWriterRow *row = next_row(b, ++arrival);
		MemoryContext old = MemoryContextSwitchTo(b->batch);
		HeapTuple	tuple = ExecCopySlotHeapTuple(slot);

		heap_deform_tuple(tuple, b->input, row->values, row->isnull);
		MemoryContextSwitchTo(old);
		b->bytes += tuple->t_len;
		if (batch_is_full(b))
			write_batch(b, b->latest, &counts);
		CHECK_FOR_INTERRUPTS();
	}
	write_batch(b, b->latest, &counts);
	ExecDropSingleTupleTableSlot(slot);
}

/*
 * Move rows from the default partition to partitions of their own.  Only the
 * owner can: for others, the next maintenance of the group does it.
 */
static void
make_partitions(Backfill *b)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(b->group->relid));
	Oid			types[1] = {REGCLASSOID};
	Datum		values[1] = {ObjectIdGetDatum(b->group->relid)};
	bool		may;
	bool		isnull;
	int64		moved;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for relation %u", b->group->relid);
	may = has_privs_of_role(GetUserId(), ((Form_pg_class) GETSTRUCT(tuple))->relowner);
	ReleaseSysCache(tuple);
	if (!may)
		return;

	report_progress(b, FEATHUB_BACKFILL_PARTITIONS);
	if (SPI_execute_with_args("SELECT rows_moved FROM feathub.maintain_feature_group($1)",
							  1, types, values, NULL, false, 0) != SPI_OK_SELECT ||
		SPI_processed != 1)
		elog(ERROR, "could not maintain feature group \"%s\"", b->name);
	moved = DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull));
	if (moved > 0)
		ereport(NOTICE,
				(errmsg_plural("%lld row was moved from the default partition to new partitions",
							   "%lld rows were moved from the default partition to new partitions",
							   moved, (long long) moved),
				 errhint("Before a long backfill, make the partitions with feathub.maintain_feature_group and its argument since.")));
}
