/*
 * fdw_scan.c
 *		Execution of foreign scans.
 *
 * A rescan is only noted when it is asked for and done with the next row that is
 * wanted, since parameters have no values before that and the first scan is no
 * different from later ones.
 *
 * Stored generated columns are computed here: other systems know the columns
 * that they are made of, not the columns themselves.
 *
 * Where a scan may find what its own statement has written, a statement that
 * inserts reads all rows before it gets the first: INSERT ... SELECT from the
 * same table would not end else.
 */
#include "postgres.h"

#include "access/sysattr.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "rewrite/rewriteHandler.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/tuplestore.h"

#include "core/compat.h"
#include "fdw/fdw_plan.h"
#include "fdw/fdw_scan.h"

/* ForeignScanState.fdw_state */
typedef struct FdwScanState
{
	FeathubScan scan;
	bool		begun;			/* begin_scan was called: not just EXPLAIN */
	bool		need_rescan;	/* before the next row */
	bool		done;			/* next_row has returned false */

	/* Parameters */
	List	   *param_exprs;	/* of ExprState */
	int16	   *param_typlen;
	bool	   *param_typbyval;
	MemoryContext param_context;	/* reset at each rescan */

	FeathubFdwGenerated generated;

	/* If all rows are read before the first is given */
	TupleTableSlot *kept_slot;	/* or NULL */
	Tuplestorestate *kept;
} FdwScanState;

static bool next_row(FdwScanState *state, ForeignScanState *node);
static bool inserts_elsewhere(EState *estate);
static void keep_rows(FdwScanState *state, ForeignScanState *node);
static bool next_kept(FdwScanState *state, ForeignScanState *node);
static void forget_kept(FdwScanState *state);
static void init_params(FdwScanState *state, ForeignScanState *node);
static void start_again(FdwScanState *state, ForeignScanState *node);

void
FeathubFdwBeginForeignScan(ForeignScanState *node, int eflags)
{
	ForeignScan *plan = (ForeignScan *) node->ss.ps.plan;
	EState	   *estate = node->ss.ps.state;
	FdwScanState *state = palloc0(sizeof(FdwScanState));
	FeathubScan *scan = &state->scan;
	MemoryContext oldcontext;

	scan->context = AllocSetContextCreate(estate->es_query_cxt, "feathub scan",
										  ALLOCSET_DEFAULT_SIZES);
	scan->row_context = AllocSetContextCreate(scan->context, "feathub scan row",
											  ALLOCSET_DEFAULT_SIZES);
	oldcontext = MemoryContextSwitchTo(scan->context);

	scan->rel = FeathubRelationOpen(feathub_scan_table(node)->relid,
									feathub_scan_userid(node));
	scan->tupdesc = node->ss.ss_ScanTupleSlot->tts_tupleDescriptor;
	scan->remote = plan->scan.scanrelid == 0 || plan->operation != CMD_SELECT;
	scan->private = list_nth(plan->fdw_private, FEATHUB_FDW_SCAN_PLAN);
	scan->limit = intVal(list_nth(plan->fdw_private, FEATHUB_FDW_SCAN_LIMIT));
	init_params(state, node);
	if (!scan->remote)
		scan->needed = FeathubFdwGeneratedInit(&state->generated, node->ss.ss_currentRelation,
										   list_nth(plan->fdw_private, FEATHUB_FDW_SCAN_NEEDED),
										   estate);
	if (scan->rel->connector->sees_own_writes && inserts_elsewhere(estate))
		state->kept_slot = ExecInitExtraTupleSlot(estate, scan->tupdesc, &TTSOpsMinimalTuple);
	state->need_rescan = true;
	node->fdw_state = state;

	if ((eflags & EXEC_FLAG_EXPLAIN_ONLY) == 0 && plan->operation == CMD_SELECT)
	{
		state->begun = true;
		scan->rel->connector->begin_scan(scan);
	}
	MemoryContextSwitchTo(oldcontext);
}

TupleTableSlot *
FeathubFdwIterateForeignScan(ForeignScanState *node)
{
	FdwScanState *state = node->fdw_state;
	TupleTableSlot *slot = node->ss.ss_ScanTupleSlot;

	ExecClearTuple(slot);
	if (state->need_rescan)
	{
		start_again(state, node);
		if (state->kept_slot)
			keep_rows(state, node);
	}
	if (!state->done)
		state->done = state->kept ? !next_kept(state, node) : !next_row(state, node);
	return slot;
}

/* Fill the scan's slot; false if there are no more rows. */
static bool
next_row(FdwScanState *state, ForeignScanState *node)
{
	FeathubScan *scan = &state->scan;
	TupleTableSlot *slot = node->ss.ss_ScanTupleSlot;
	MemoryContext oldcontext;
	bool		found;

	ExecClearTuple(slot);
	MemoryContextReset(scan->row_context);
	memset(slot->tts_isnull, true, sizeof(bool) * slot->tts_tupleDescriptor->natts);
	oldcontext = MemoryContextSwitchTo(scan->row_context);
	found = scan->rel->connector->next_row(scan, slot);
	if (found)
	{
		ExecStoreVirtualTuple(slot);
		FeathubFdwGeneratedCompute(&state->generated, node->ss.ps.ps_ExprContext, slot);
	}
	MemoryContextSwitchTo(oldcontext);
	return found;
}

/* May the statement insert into a foreign table, or into a partition that is one? */
static bool
inserts_elsewhere(EState *estate)
{
	PlannedStmt *plan = estate->es_plannedstmt;
	ListCell   *lc;

	if (plan->commandType != CMD_INSERT && !plan->hasModifyingCTE)
		return false;
	foreach(lc, plan->resultRelations)
	{
		char		relkind = exec_rt_fetch(lfirst_int(lc), estate)->relkind;

		if (relkind == RELKIND_FOREIGN_TABLE || relkind == RELKIND_PARTITIONED_TABLE)
			return true;
	}
	return false;
}

/* Read all rows; what work_mem does not hold goes to a file. */
static void
keep_rows(FdwScanState *state, ForeignScanState *node)
{
	MemoryContext oldcontext;

	forget_kept(state);
	oldcontext = MemoryContextSwitchTo(state->scan.context);
	state->kept = tuplestore_begin_heap(false, false, work_mem);
	MemoryContextSwitchTo(oldcontext);
	while (next_row(state, node))
		tuplestore_puttupleslot(state->kept, node->ss.ss_ScanTupleSlot);
	ExecClearTuple(node->ss.ss_ScanTupleSlot);
}

/* As next_row, of the rows that were kept. */
static bool
next_kept(FdwScanState *state, ForeignScanState *node)
{
	TupleTableSlot *slot = node->ss.ss_ScanTupleSlot;
	TupleTableSlot *kept = state->kept_slot;
	int			natts = slot->tts_tupleDescriptor->natts;

	if (!tuplestore_gettupleslot(state->kept, true, false, kept))
		return false;
	slot_getallattrs(kept);
	memcpy(slot->tts_values, kept->tts_values, sizeof(Datum) * natts);
	memcpy(slot->tts_isnull, kept->tts_isnull, sizeof(bool) * natts);
	ExecStoreVirtualTuple(slot);
	return true;
}

static void
forget_kept(FdwScanState *state)
{
	if (state->kept_slot)
		ExecClearTuple(state->kept_slot);
	if (state->kept)
		tuplestore_end(state->kept);
	state->kept = NULL;
}

void
FeathubFdwReScanForeignScan(ForeignScanState *node)
{
	FdwScanState *state = node->fdw_state;

	state->need_rescan = true;
	state->done = false;
}

void
FeathubFdwEndForeignScan(ForeignScanState *node)
{
	FdwScanState *state = node->fdw_state;

	if (state == NULL)
		return;
	if (state->begun)
		state->scan.rel->connector->end_scan(&state->scan);
	forget_kept(state);

	/* with it go the handles that reset callbacks free */
	MemoryContextDelete(state->scan.context);
	node->fdw_state = NULL;
}

Size
FeathubFdwEstimateDSMForeignScan(ForeignScanState *node, ParallelContext *pcxt)
{
	FeathubScan *scan = FeathubFdwScanOf(node);

	return scan->rel->connector->parallel_size(scan, pcxt);
}

void
FeathubFdwInitializeDSMForeignScan(ForeignScanState *node, ParallelContext *pcxt,
								   void *coordinate)
{
	FeathubScan *scan = FeathubFdwScanOf(node);
	MemoryContext oldcontext = MemoryContextSwitchTo(scan->context);

	scan->rel->connector->begin_parallel(scan, pcxt, coordinate);
	MemoryContextSwitchTo(oldcontext);
}

void
FeathubFdwReInitializeDSMForeignScan(ForeignScanState *node, ParallelContext *pcxt,
									 void *coordinate)
{
	FeathubScan *scan = FeathubFdwScanOf(node);
	MemoryContext oldcontext = MemoryContextSwitchTo(scan->context);

	scan->rel->connector->rescan_parallel(scan, coordinate);
	MemoryContextSwitchTo(oldcontext);
}

void
FeathubFdwInitializeWorkerForeignScan(ForeignScanState *node, shm_toc *toc,
									  void *coordinate)
{
	FeathubScan *scan = FeathubFdwScanOf(node);
	MemoryContext oldcontext = MemoryContextSwitchTo(scan->context);

	scan->rel->connector->join_parallel(scan, coordinate);
	MemoryContextSwitchTo(oldcontext);
}

void
FeathubFdwShutdownForeignScan(ForeignScanState *node)
{
	FdwScanState *state = node->fdw_state;

	if (state && state->begun && state->scan.rel->connector->shutdown_scan)
		state->scan.rel->connector->shutdown_scan(&state->scan);
}

FeathubScan *
FeathubFdwScanOf(ForeignScanState *node)
{
	return &((FdwScanState *) node->fdw_state)->scan;
}

Bitmapset *
FeathubFdwGeneratedInit(FeathubFdwGenerated *generated, Relation relation,
						List *attnums, EState *estate)
{
	Bitmapset  *needed;
	ListCell   *lc;

	generated->relid = RelationGetRelid(relation);

	/* an empty set is a null pointer, so let one that nobody asks for be in it */
	needed = bms_make_singleton(TableOidAttributeNumber - FirstLowInvalidHeapAttributeNumber);
	foreach(lc, attnums)
	{
		AttrNumber	attnum = lfirst_int(lc);
		Form_pg_attribute att = TupleDescAttr(RelationGetDescr(relation), attnum - 1);
		Expr	   *expr;

		if (att->attgenerated != ATTRIBUTE_GENERATED_STORED)
		{
			needed = bms_add_member(needed, attnum - FirstLowInvalidHeapAttributeNumber);
			continue;
		}
		if (generated->attnums == NULL)
		{
			generated->attnums = palloc(sizeof(AttrNumber) * list_length(attnums));
			generated->exprs = palloc(sizeof(ExprState *) * list_length(attnums));
		}
		expr = (Expr *) build_column_default(relation, attnum);
		if (expr == NULL)
			elog(ERROR, "no generation expression found for column number %d of table \"%s\"",
				 attnum, RelationGetRelationName(relation));
		pull_varattnos((Node *) expr, 1, &needed);
		generated->attnums[generated->n] = attnum;
		generated->exprs[generated->n] = ExecPrepareExpr(expr, estate);
		generated->n++;
	}
	return needed;
}

void
FeathubFdwGeneratedCompute(FeathubFdwGenerated *generated, ExprContext *econtext,
						   TupleTableSlot *slot)
{
	if (generated->n == 0)
		return;

	/* an expression may have the one system column that there is */
	slot->tts_tableOid = generated->relid;
	econtext->ecxt_scantuple = slot;
	for (int i = 0; i < generated->n; i++)
	{
		int			attno = generated->attnums[i] - 1;

		slot->tts_values[attno] = ExecEvalExpr(generated->exprs[i], econtext,
											   &slot->tts_isnull[attno]);
	}
}

/* Prepare the plan's parameters for evaluation. */
static void
init_params(FdwScanState *state, ForeignScanState *node)
{
	ForeignScan *plan = (ForeignScan *) node->ss.ps.plan;
	FeathubScan *scan = &state->scan;
	ListCell   *lc;

	scan->params = plan->fdw_exprs;
	scan->nparams = list_length(plan->fdw_exprs);
	if (scan->nparams == 0)
		return;
	scan->param_values = palloc0(sizeof(Datum) * scan->nparams);
	scan->param_isnull = palloc0(sizeof(bool) * scan->nparams);
	state->param_typlen = palloc(sizeof(int16) * scan->nparams);
	state->param_typbyval = palloc(sizeof(bool) * scan->nparams);
	foreach(lc, plan->fdw_exprs)
	{
		int			i = foreach_current_index(lc);

		get_typlenbyval(exprType(lfirst(lc)),
						&state->param_typlen[i], &state->param_typbyval[i]);
	}
	state->param_exprs = ExecInitExprList(plan->fdw_exprs, (PlanState *) node);
	state->param_context = AllocSetContextCreate(scan->context, "feathub scan parameters",
												 ALLOCSET_SMALL_SIZES);
}

/* Evaluate the parameters and let the connector begin from nothing. */
static void
start_again(FdwScanState *state, ForeignScanState *node)
{
	FeathubScan *scan = &state->scan;
	MemoryContext oldcontext;

	FeathubFdwEvaluateParams(node);
	oldcontext = MemoryContextSwitchTo(scan->context);
	if (scan->rel->connector->rescan)
		scan->rel->connector->rescan(scan);
	MemoryContextSwitchTo(oldcontext);
	state->need_rescan = false;
	state->done = false;
}

void
FeathubFdwEvaluateParams(ForeignScanState *node)
{
	FdwScanState *state = node->fdw_state;
	FeathubScan *scan = &state->scan;
	ExprContext *econtext = node->ss.ps.ps_ExprContext;
	ListCell   *lc;

	if (scan->nparams == 0)
		return;
	MemoryContextReset(state->param_context);
	foreach(lc, state->param_exprs)
	{
		int			i = foreach_current_index(lc);
		MemoryContext oldcontext;
		bool		isnull;
		Datum		value;

		value = ExecEvalExprSwitchContext(lfirst(lc), econtext, &isnull);
		oldcontext = MemoryContextSwitchTo(state->param_context);
		scan->param_isnull[i] = isnull;
		scan->param_values[i] = isnull ? (Datum) 0 :
			datumCopy(value, state->param_typbyval[i], state->param_typlen[i]);
		MemoryContextSwitchTo(oldcontext);
	}
}
