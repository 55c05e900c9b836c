/*
 * asof_exec.c
 *		The node: its callbacks, its output, EXPLAIN.
 *
 * A strategy gives outer rows one by one, in their order, each with the payload
 * of the latest inner row that it may see.  What is left is the same for all of
 * them: the lower bounds, the join's other clauses, the output.
 */
#include "postgres.h"

#include "executor/executor.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "utils/ruleutils.h"

#include "asof/asof.h"
#include "asof/asof_private.h"
#include "core/compat.h"

static void begin_asof(CustomScanState *node, EState *estate, int eflags);
static TupleTableSlot *exec_asof(CustomScanState *node);
static void end_asof(CustomScanState *node);
static void rescan_asof(CustomScanState *node);
static void explain_asof(CustomScanState *node, List *ancestors, ExplainState *es);
static bool next_row(FeathubAsofState *state, TupleTableSlot **outer, FeathubAsofPayload **found);
static bool lower_bounds_hold(FeathubAsofState *state, TupleTableSlot *outer, FeathubAsofPayload *found);
static void fill(FeathubAsofState *state, TupleTableSlot *slot, TupleTableSlot *outer, FeathubAsofPayload *found);
static void explain_exprs(const char *label, List *exprs, CustomScanState *node, List *ancestors, ExplainState *es);
static void release(FeathubAsofState *state);

static const CustomExecMethods exec_methods = {
	.CustomName = "FeathubAsofJoin",
	.BeginCustomScan = begin_asof,
	.ExecCustomScan = exec_asof,
	.EndCustomScan = end_asof,
	.ReScanCustomScan = rescan_asof,
	.ExplainCustomScan = explain_asof
};

/* As EXPLAIN names them. */
static const char *const strategy_names[] = {
	[FEATHUB_ASOF_AUTO] = "Auto",
	[FEATHUB_ASOF_FEATURE_HASH] = "Feature Hash",
	[FEATHUB_ASOF_SPINE_HASH] = "Spine Hash",
	[FEATHUB_ASOF_TIME_ORDERED] = "Time-Ordered Hash",
	[FEATHUB_ASOF_MERGE] = "Merge"
};

void
FeathubAsofInit(void)
{
	RegisterCustomScanMethods(&FeathubAsofScanMethods);
	FeathubAsofPathInit();
}

Node *
FeathubAsofCreateState(CustomScan *scan)
{
	FeathubAsofState *state = (FeathubAsofState *) newNode(sizeof(FeathubAsofState), T_CustomScanState);

	state->css.methods = &exec_methods;
	return (Node *) state;
}

static void
begin_asof(CustomScanState *node, EState *estate, int eflags)
{
	FeathubAsofState *state = (FeathubAsofState *) node;
	CustomScan *scan = (CustomScan *) node->ss.ps.plan;

	eflags &= ~(EXEC_FLAG_BACKWARD | EXEC_FLAG_MARK);
	state->outer = ExecInitNode((Plan *) linitial(scan->custom_plans), estate, eflags);
	state->inner = ExecInitNode((Plan *) lsecond(scan->custom_plans), estate, eflags);
	node->custom_ps = list_make2(state->outer, state->inner);
	FeathubAsofPrepare(state, estate);
	state->current = state->strategy;
}

static TupleTableSlot *
exec_asof(CustomScanState *node)
{
	FeathubAsofState *state = (FeathubAsofState *) node;
	ExprContext *econtext = node->ss.ps.ps_ExprContext;
	TupleTableSlot *outer;
	FeathubAsofPayload *found;

	for (;;)
	{
		CHECK_FOR_INTERRUPTS();
		ResetExprContext(econtext);
		if (!next_row(state, &outer, &found))
			return NULL;
		if (found != NULL && state->nlowers > 0 && !lower_bounds_hold(state, outer, found))
			found = NULL;
		if (state->simple)
		{
			if (found == NULL && !state->left)
				continue;
			fill(state, node->ss.ps.ps_ResultTupleSlot, outer, found);
			return node->ss.ps.ps_ResultTupleSlot;
		}

		fill(state, node->ss.ss_ScanTupleSlot, outer, found);
		econtext->ecxt_scantuple = node->ss.ss_ScanTupleSlot;
		if (found != NULL && state->join_qual != NULL && !ExecQual(state->join_qual, econtext))
		{
			found = NULL;
			fill(state, node->ss.ss_ScanTupleSlot, outer, NULL);
		}
		if (found == NULL && !state->left)
			continue;
		if (node->ss.ps.qual != NULL && !ExecQual(node->ss.ps.qual, econtext))
		{
			InstrCountFiltered1(node, 1);
			continue;
		}
		if (node->ss.ps.ps_ProjInfo != NULL)
			return ExecProject(node->ss.ps.ps_ProjInfo);
		return node->ss.ss_ScanTupleSlot;
	}
}

static bool
next_row(FeathubAsofState *state, TupleTableSlot **outer, FeathubAsofPayload **found)
{
	switch (state->current)
	{
		case FEATHUB_ASOF_FEATURE_HASH:
			return FeathubAsofNextFeatureHash(state, outer, found);
		case FEATHUB_ASOF_TIME_ORDERED:
			return FeathubAsofNextTimeOrdered(state, outer, found);
		case FEATHUB_ASOF_MERGE:
			return FeathubAsofNextMerge(state, outer, found);
		default:
			if (state->is_compact)
				return FeathubAsofNextCompact(state, outer, found);
			return FeathubAsofNextSpineHash(state, outer, found);
	}
}

/* If the latest row is too old, so are all others. */
static bool
lower_bounds_hold(FeathubAsofState *state, TupleTableSlot *outer, FeathubAsofPayload *found)
{
	ExprContext *econtext = state->css.ss.ps.ps_ExprContext;
	MemoryContext old = MemoryContextSwitchTo(econtext->ecxt_per_tuple_memory);
	bool		result = true;

	for (int i = 0; i < state->nlowers && result; i++)
	{
		FeathubAsofLower *lower = &state->lowers[i];
		Datum		time = found->time;
		bool		isnull;
		Datum		bound = feathub_asof_outer_value(state, &lower->outer, outer, &isnull);

		if (state->time.kind == ASOF_KIND_INT && state->time.len == 2)
			time = Int16GetDatum((int16) DatumGetInt64(time));
		else if (state->time.kind == ASOF_KIND_INT && state->time.len == 4)
			time = Int32GetDatum((int32) DatumGetInt64(time));
		result = !isnull && DatumGetBool(FunctionCall2Coll(&lower->function, lower->collation, time, bound));
	}
	MemoryContextSwitchTo(old);
	return result;
}

/* Make a row of the join in slot. */
static void
fill(FeathubAsofState *state, TupleTableSlot *slot, TupleTableSlot *outer, FeathubAsofPayload *found)
{
	Datum	   *values = slot->tts_values;
	bool	   *isnull = slot->tts_isnull;
	bool	   *nulls = found == NULL ? NULL : feathub_asof_nulls(state, found);

	ExecClearTuple(slot);
	for (int i = 0; i < state->ncolumns; i++)
	{
		const FeathubAsofColumn *column = &state->columns[i];

		switch (column->source)
		{
			case ASOF_SOURCE_OUTER:
				values[column->to] = outer->tts_values[column->from];
				isnull[column->to] = outer->tts_isnull[column->from];
				break;
			case ASOF_SOURCE_PAYLOAD:
				values[column->to] = found == NULL ? (Datum) 0 : found->values[column->from];
				isnull[column->to] = found == NULL || nulls[column->from];
				break;
		}
	}
	ExecStoreVirtualTuple(slot);

	if (state->nexpressions > 0)
	{
		ExprContext *econtext = state->css.ss.ps.ps_ExprContext;

		econtext->ecxt_scantuple = slot;
		for (int i = 0; i < state->nexpressions; i++)
		{
			int			to = state->expression_columns[i];

			if (found == NULL)
				isnull[to] = true;
			else
				values[to] = ExecEvalExprSwitchContext(state->expressions[i], econtext, &isnull[to]);
		}
	}
}

/* Forget all that was read. */
static void
release(FeathubAsofState *state)
{
	ListCell   *lc;

	if (state->rows != NULL)
		tuplestore_end(state->rows);
	foreach(lc, state->carried)
		tuplestore_end((Tuplestorestate *) lfirst(lc));
	state->rows = NULL;
	list_free(state->carried);
	state->carried = NIL;
	if (state->table.context != NULL)
		MemoryContextDelete(state->table.context);
	memset(&state->table, 0, sizeof(state->table));
	if (state->pending != NULL)
		ExecClearTuple(state->pending);
	state->nstaged = state->next_staged = 0;
	state->positions = NULL;
	state->places = NULL;
	state->compact = NULL;
	state->best = NULL;
	state->has_best = state->has_best_keys = false;
	state->started = state->outer_done = state->inner_done = state->loaded = false;
	state->stored_rows = state->nrows = state->next_row = 0;
	state->current = state->strategy;
}

static void
end_asof(CustomScanState *node)
{
	FeathubAsofState *state = (FeathubAsofState *) node;

	release(state);
	ExecEndNode(state->outer);
	ExecEndNode(state->inner);
}

static void
rescan_asof(CustomScanState *node)
{
	FeathubAsofState *state = (FeathubAsofState *) node;

	if (node->ss.ps.chgParam != NULL)
	{
		UpdateChangedParamSet(state->outer, node->ss.ps.chgParam);
		UpdateChangedParamSet(state->inner, node->ss.ps.chgParam);
	}
	if (state->outer->chgParam == NULL)
		ExecReScan(state->outer);

	/* features in memory stay there */
	if (state->current == FEATHUB_ASOF_FEATURE_HASH && state->started && state->inner->chgParam == NULL)
	{
		state->outer_done = false;
		return;
	}
	if (state->inner->chgParam == NULL)
		ExecReScan(state->inner);
	release(state);
}

static void
explain_asof(CustomScanState *node, List *ancestors, ExplainState *es)
{
	FeathubAsofState *state = (FeathubAsofState *) node;
	List	   *exprs = ((CustomScan *) node->ss.ps.plan)->custom_exprs;
	List	   *numbers = (List *) linitial(((CustomScan *) node->ss.ps.plan)->custom_private);
	int			quals = list_nth_int(numbers, ASOF_NUMBER_JOIN_QUALS);
	int			at = state->nkeys;

	ExplainPropertyText("Join Type", state->left ? "Left" : "Inner", es);
	ExplainPropertyText("Strategy", strategy_names[state->strategy], es);
	explain_exprs("Keys", list_copy_head(exprs, at), node, ancestors, es);
	explain_exprs("Event Time", list_copy_head(list_copy_tail(exprs, at), 1 + state->nlowers), node, ancestors, es);
	at += 1 + state->nlowers;
	explain_exprs("Join Filter", list_copy_head(list_copy_tail(exprs, at), quals), node, ancestors, es);
	if (es->analyze && state->batches > 0)
	{
		if (state->current != state->strategy)
			ExplainPropertyText("Changed To", strategy_names[state->current], es);
		ExplainPropertyInteger("Feature Rows", NULL, (int64) state->inner_rows, es);
		ExplainPropertyInteger("Batches", NULL, (int64) state->batches, es);
		ExplainPropertyInteger("Memory Usage", "kB", (int64) ((state->peak + 1023) / 1024), es);
	}
}

static void
explain_exprs(const char *label, List *exprs, CustomScanState *node, List *ancestors, ExplainState *es)
{
	List	   *context;

	if (exprs == NIL)
		return;
	context = set_deparse_context_plan(es->deparse_cxt, node->ss.ps.plan, ancestors);
	ExplainPropertyText(label, deparse_expression((Node *) make_ands_explicit(exprs), context,
												  list_length(es->rtable) > 1 || es->verbose, false), es);
}
