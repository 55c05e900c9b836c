/*
 * asof_prepare.c
 *		What the plan says, made ready to run.
 *
 * The server has replaced Vars in our expressions by references to the columns
 * of custom_scan_tlist (INDEX_VAR).  Those of the outer side are its first
 * ones, under the numbers they have in the outer plan.
 */
#include "postgres.h"

#include "access/nbtree.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#include "asof/asof_private.h"
#include "core/compat.h"

/* Columns of an outer row that a compact spine hash keeps even if that means batches. */
#define COMPACT_COLUMNS 8

static void prepare_outer(FeathubAsofState *state, FeathubAsofOuter *outer, Node *expr);
static Node *outer_mutator(Node *node, void *arg);
static void prepare_key(FeathubAsofState *state, FeathubAsofKey *key, OpExpr *clause, AttrNumber column);
static void prepare_key_hash(FeathubAsofKey *key, Oid opno);
static void prepare_key_merge(FeathubAsofKey *key, Oid opno);
static void prepare_time(FeathubAsofState *state, OpExpr *clause, AttrNumber column, Oid family);
static bool of_integers(Oid left, Oid right);
static void prepare_output(FeathubAsofState *state, List *join_quals, List *expressions, List *expression_columns);
static bool index_walker(Node *node, void *arg);
static int	payload_value(FeathubAsofState *state, AttrNumber column);
static void prepare_payload(FeathubAsofState *state, List *private);
static void prepare_stage(FeathubAsofState *state);
static void prepare_compact(FeathubAsofState *state, EState *estate, List *lowers);

void
FeathubAsofPrepare(FeathubAsofState *state, EState *estate)
{
	CustomScan *scan = (CustomScan *) state->css.ss.ps.plan;
	List	   *private = scan->custom_private;
	List	   *numbers = (List *) list_nth(private, ASOF_PRIVATE_NUMBERS);
	List	   *key_columns = (List *) list_nth(private, ASOF_PRIVATE_KEY_COLUMNS);
	int			nquals = list_nth_int(numbers, ASOF_NUMBER_JOIN_QUALS);
	int			at = 0;

	state->strategy = (FeathubAsofStrategy) list_nth_int(numbers, ASOF_NUMBER_STRATEGY);
	state->left = list_nth_int(numbers, ASOF_NUMBER_LEFT);
	state->nouter = list_nth_int(numbers, ASOF_NUMBER_OUTER_COLUMNS);
	state->nkeys = list_nth_int(numbers, ASOF_NUMBER_KEYS);
	state->nlowers = list_nth_int(numbers, ASOF_NUMBER_LOWERS);
	state->limit = get_hash_memory_limit();

	state->keys = (FeathubAsofKey *) palloc0(sizeof(FeathubAsofKey) * state->nkeys);
	state->values = (Datum *) palloc0(sizeof(Datum) * state->nkeys);
	for (int i = 0; i < state->nkeys; i++)
		prepare_key(state, &state->keys[i], list_nth_node(OpExpr, scan->custom_exprs, at++),
					list_nth_int(key_columns, i));
	prepare_time(state, list_nth_node(OpExpr, scan->custom_exprs, at++),
				 list_nth_int(numbers, ASOF_NUMBER_TIME_COLUMN),
				 linitial_oid((List *) list_nth(private, ASOF_PRIVATE_OIDS)));
	state->lowers = (FeathubAsofLower *) palloc0(sizeof(FeathubAsofLower) * state->nlowers);
	for (int i = 0; i < state->nlowers; i++)
	{
		OpExpr	   *clause = list_nth_node(OpExpr, scan->custom_exprs, at++);

		fmgr_info(clause->opfuncid, &state->lowers[i].function);
		state->lowers[i].collation = clause->inputcollid;
		prepare_outer(state, &state->lowers[i].outer, (Node *) lsecond(clause->args));
	}
	state->last_key = Max(state->last_key, state->time.column);
	state->last_inner = state->last_key;

	state->best_keys = (Datum *) palloc0(sizeof(Datum) * state->nkeys);
	state->inner_context = AllocSetContextCreate(CurrentMemoryContext, "feathub point-in-time join row",
												 ALLOCSET_SMALL_SIZES);
	state->compare_context = AllocSetContextCreate(CurrentMemoryContext, "feathub point-in-time join comparison",
												   ALLOCSET_SMALL_SIZES);
	state->best_context = AllocSetContextCreate(CurrentMemoryContext, "feathub point-in-time join key",
												ALLOCSET_SMALL_SIZES);
	state->payload_columns = (AttrNumber *) palloc0(sizeof(AttrNumber) * list_length(scan->custom_scan_tlist));
	prepare_output(state, list_copy_head(list_copy_tail(scan->custom_exprs, at), nquals),
				   list_copy_tail(scan->custom_exprs, at + nquals),
				   (List *) list_nth(private, ASOF_PRIVATE_EXPRESSION_COLUMNS));
	prepare_payload(state, private);
	prepare_stage(state);
	if (list_nth_int(numbers, ASOF_NUMBER_ANY_ORDER))
		prepare_compact(state, estate, list_copy_head(list_copy_tail(scan->custom_exprs, at - state->nlowers), state->nlowers));
	state->pending = ExecInitExtraTupleSlot(estate, ExecGetResultType(state->outer), &TTSOpsMinimalTuple);
	state->row_slot = ExecInitExtraTupleSlot(estate, ExecGetResultType(state->outer), &TTSOpsMinimalTuple);
	state->carried_slot = ExecInitExtraTupleSlot(estate, ExecGetResultType(state->outer), &TTSOpsMinimalTuple);
}

/* How to get the value of an expression over the outer side. */
static void
prepare_outer(FeathubAsofState *state, FeathubAsofOuter *outer, Node *expr)
{
	Node	   *bare = FeathubAsofStripRelabel(expr);

	get_typlenbyval(exprType(expr), &outer->len, &outer->byval);
	if (IsA(bare, Var) && ((Var *) bare)->varno == INDEX_VAR)
	{
		outer->column = ((Var *) bare)->varattno;
		state->last_outer = Max(state->last_outer, outer->column);
		return;
	}
	outer->expr = ExecInitExpr((Expr *) outer_mutator(expr, state), &state->css.ss.ps);
}

/* Columns of custom_scan_tlist become columns of the outer row. */
static Node *
outer_mutator(Node *node, void *arg)
{
	FeathubAsofState *state = (FeathubAsofState *) arg;

	if (node == NULL)
		return NULL;
	if (IsA(node, Var) && ((Var *) node)->varno == INDEX_VAR)
	{
		Var		   *var = (Var *) copyObject(node);

		if (var->varattno > state->nouter)
			elog(ERROR, "column %d of a point-in-time join's outer side not found", var->varattno);
		var->varno = OUTER_VAR;
		state->last_outer = Max(state->last_outer, var->varattno);
		return (Node *) var;
	}
	return expression_tree_mutator(node, outer_mutator, arg);
}

static void
prepare_key(FeathubAsofState *state, FeathubAsofKey *key, OpExpr *clause, AttrNumber column)
{
	Oid			left;
	Oid			right;
	Oid			type = exprType((Node *) linitial(clause->args));

	key->column = column;
	key->collation = clause->inputcollid;
	get_typlenbyval(type, &key->len, &key->byval);
	prepare_outer(state, &key->outer, (Node *) lsecond(clause->args));
	state->last_key = Max(state->last_key, column);

	op_input_types(clause->opno, &left, &right);
	if (of_integers(left, right) && op_mergejoinable(clause->opno, type))
		key->kind = ASOF_KIND_INT;
	else if (clause->opfuncid == F_TEXTEQ && feathub_collation_is_deterministic(key->collation) &&
			 state->strategy != FEATHUB_ASOF_MERGE)
		key->kind = ASOF_KIND_TEXT;
	else
		key->kind = ASOF_KIND_GENERIC;

	if (key->kind != ASOF_KIND_GENERIC)
		return;
	if (state->strategy == FEATHUB_ASOF_MERGE)
		prepare_key_merge(key, clause->opno);
	else
		prepare_key_hash(key, clause->opno);
}

static void
prepare_key_hash(FeathubAsofKey *key, Oid opno)
{
	Oid			left;
	Oid			right;

	if (!get_op_hash_functions(opno, &left, &right))
		elog(ERROR, "could not find hash functions for operator %u", opno);
	fmgr_info(left, &key->hash_inner);
	fmgr_info(right, &key->hash_outer);
	if (!get_compatible_hash_operators(opno, &left, NULL) ||
		!get_compatible_hash_operators(opno, NULL, &right))
		elog(ERROR, "could not find compatible hash operators for operator %u", opno);
	fmgr_info(get_opcode(left), &key->equal_inner);
	fmgr_info(get_opcode(right), &key->equal_outer);
	fmgr_info(get_opcode(opno), &key->equal);
}

/* By the operator family that the planner sorted by: the first with all that is needed. */
static void
prepare_key_merge(FeathubAsofKey *key, Oid opno)
{
	Oid			left;
	Oid			right;
	ListCell   *lc;

	op_input_types(opno, &left, &right);
	foreach(lc, get_mergejoin_opfamilies(opno))
	{
		Oid			cross = get_opfamily_proc(lfirst_oid(lc), left, right, BTORDER_PROC);
		Oid			same = get_opfamily_proc(lfirst_oid(lc), right, right, BTORDER_PROC);

		if (FeathubAsofMergeFamily(opno, lfirst_oid(lc)))
		{
			fmgr_info(cross, &key->compare);
			fmgr_info(same, &key->compare_outer);
			return;
		}
	}
	elog(ERROR, "could not find order for operator %u", opno);
}

static void
prepare_time(FeathubAsofState *state, OpExpr *clause, AttrNumber column, Oid family)
{
	FeathubAsofTime *time = &state->time;
	Oid			left;
	Oid			right;

	time->column = column;
	time->collation = clause->inputcollid;
	time->strict = get_op_opfamily_strategy(clause->opno, family) == BTLessStrategyNumber;
	get_typlenbyval(exprType((Node *) linitial(clause->args)), &time->len, &time->byval);
	prepare_outer(state, &time->outer, (Node *) lsecond(clause->args));

	op_input_types(clause->opno, &left, &right);
	time->kind = of_integers(left, right) ? ASOF_KIND_INT : ASOF_KIND_GENERIC;
	fmgr_info(get_opfamily_proc(family, left, right, BTORDER_PROC), &time->compare);
	fmgr_info(get_opfamily_proc(family, left, left, BTORDER_PROC), &time->compare_inner);
	fmgr_info(get_opfamily_proc(family, right, right, BTORDER_PROC), &time->compare_outer);
}

/* Can values of these types be compared as integers? */
static bool
of_integers(Oid left, Oid right)
{
	bool		left_int = left == INT2OID || left == INT4OID || left == INT8OID;
	bool		right_int = right == INT2OID || right == INT4OID || right == INT8OID;

	if (left_int || right_int)
		return left_int && right_int;
	return left == right && (left == TIMESTAMPTZOID || left == TIMESTAMPOID || left == DATEOID);
}

/*
 * Where the columns come from that the target list, the clauses and the
 * expressions of the subquery refer to.
 */
static void
prepare_output(FeathubAsofState *state, List *join_quals, List *expressions, List *expression_columns)
{
	PlanState  *ps = &state->css.ss.ps;
	Bitmapset  *used = NULL;
	ListCell   *lc;
	int			member = -1;
	int			at = 0;

	state->simple = join_quals == NIL && expressions == NIL && ps->plan->qual == NIL;
	foreach(lc, ps->plan->targetlist)
	{
		TargetEntry *tle = lfirst_node(TargetEntry, lc);

		if (!IsA(tle->expr, Var) || ((Var *) tle->expr)->varno != INDEX_VAR)
			state->simple = false;
	}
	(void) index_walker((Node *) ps->plan->targetlist, &used);
	(void) index_walker((Node *) ps->plan->qual, &used);
	(void) index_walker((Node *) join_quals, &used);
	(void) index_walker((Node *) expressions, &used);

	state->nexpressions = list_length(expressions);
	state->expression_columns = (int *) palloc(sizeof(int) * state->nexpressions);
	state->expressions = (ExprState **) palloc(sizeof(ExprState *) * state->nexpressions);
	foreach(lc, expressions)
	{
		int			i = foreach_current_index(lc);
		int			column = state->nouter + list_nth_int(expression_columns, i);

		used = bms_del_member(used, column);
		state->expression_columns[i] = column - 1;
		state->expressions[i] = ExecInitExpr((Expr *) lfirst(lc), ps);
	}
	state->join_qual = ExecInitQual(join_quals, ps);

	state->columns = (FeathubAsofColumn *) palloc0(sizeof(FeathubAsofColumn) *
												   (bms_num_members(used) + list_length(ps->plan->targetlist)));
	if (state->simple)
	{
		foreach(lc, ps->plan->targetlist)
			state->columns[at++].to = ((Var *) lfirst_node(TargetEntry, lc)->expr)->varattno;
	}
	else
	{
		/* columns that nobody refers to are NULL */
		TupleTableSlot *slot = state->css.ss.ss_ScanTupleSlot;

		memset(slot->tts_isnull, true, slot->tts_tupleDescriptor->natts);
		while ((member = bms_next_member(used, member)) >= 0)
			state->columns[at++].to = member;
	}
	state->ncolumns = at;
	for (int i = 0; i < at; i++)
	{
		FeathubAsofColumn *column = &state->columns[i];
		int			attno = column->to;

		column->to = state->simple ? i : attno - 1;
		if (attno <= state->nouter)
		{
			column->source = ASOF_SOURCE_OUTER;
			column->from = attno - 1;
			state->last_outer = Max(state->last_outer, attno);
		}
		else
		{
			column->source = ASOF_SOURCE_PAYLOAD;
			column->from = payload_value(state, attno - state->nouter);
		}
	}
}

static bool
index_walker(Node *node, void *arg)
{
	Bitmapset **used = (Bitmapset **) arg;

	if (node == NULL)
		return false;
	if (IsA(node, Var) && ((Var *) node)->varno == INDEX_VAR)
		*used = bms_add_member(*used, ((Var *) node)->varattno);
	return expression_tree_walker(node, index_walker, arg);
}

/* The payload's value for a column of the inner side. */
static int
payload_value(FeathubAsofState *state, AttrNumber column)
{
	for (int i = 0; i < state->npayload; i++)
		if (state->payload_columns[i] == column)
			return i;
	state->payload_columns[state->npayload++] = column;
	state->last_inner = Max(state->last_inner, column);
	return state->npayload - 1;
}

static void
prepare_payload(FeathubAsofState *state, List *private)
{
	List	   *ties = (List *) list_nth(private, ASOF_PRIVATE_TIES);
	List	   *operators = (List *) list_nth(private, ASOF_PRIVATE_TIE_OPERATORS);
	List	   *collations = (List *) list_nth(private, ASOF_PRIVATE_TIE_COLLATIONS);
	List	   *nulls_first = (List *) list_nth(private, ASOF_PRIVATE_TIE_NULLS);
	TupleDesc	desc = ExecGetResultType(state->inner);

	state->nties = list_length(ties);
	state->tie_values = (int *) palloc(sizeof(int) * state->nties);
	state->ties = (SortSupport) palloc0(sizeof(SortSupportData) * state->nties);
	for (int i = 0; i < state->nties; i++)
	{
		SortSupport ssup = &state->ties[i];

		state->tie_values[i] = payload_value(state, list_nth_int(ties, i));
		ssup->ssup_cxt = CurrentMemoryContext;
		ssup->ssup_collation = list_nth_oid(collations, i);
		ssup->ssup_nulls_first = list_nth_int(nulls_first, i);
		PrepareSortSupportFromOrderingOp(list_nth_oid(operators, i), ssup);
	}

	state->payload_flat = state->time.byval;
	state->payload_len = (int16 *) palloc(sizeof(int16) * state->npayload);
	state->payload_byval = (bool *) palloc(sizeof(bool) * state->npayload);
	for (int i = 0; i < state->npayload; i++)
	{
		Form_pg_attribute attr = TupleDescAttr(desc, state->payload_columns[i] - 1);

		state->payload_len[i] = attr->attlen;
		state->payload_byval[i] = attr->attbyval;
		if (!attr->attbyval)
			state->payload_flat = false;
	}
	state->payload_size = MAXALIGN(offsetof(FeathubAsofPayload, values) +
								   (sizeof(Datum) + sizeof(bool)) * state->npayload);
	state->payload_estimate = state->payload_size;
	if (state->payload_flat)
	{
		/* in one line of the processor's cache, if it fits */
		state->place_size = state->payload_size + sizeof(Datum);
		if (state->place_size > 32 && state->place_size <= 64)
			state->place_size = 64;
		state->payload_estimate = state->place_size;
	}
	else
		state->payload_estimate += Max(state->inner->plan->plan_width, 16);
}

/* Room for inner rows on their way; more than one only if they need not be copied. */
static void
prepare_stage(FeathubAsofState *state)
{
	bool		flat = state->payload_flat && state->strategy != FEATHUB_ASOF_MERGE;

	for (int i = 0; i < state->nkeys; i++)
		if (state->keys[i].kind != ASOF_KIND_INT)
			flat = false;
	state->max_staged = flat ? FEATHUB_ASOF_STAGED_ROWS : 1;
	state->staged = (FeathubAsofStaged *) palloc0(sizeof(FeathubAsofStaged) * state->max_staged);
	for (int i = 0; i < state->max_staged; i++)
	{
		state->staged[i].keys = (Datum *) palloc(sizeof(Datum) * state->nkeys);
		state->staged[i].values = (Datum *) palloc(sizeof(Datum) * state->npayload);
		state->staged[i].nulls = (bool *) palloc(sizeof(bool) * state->npayload);
	}
}

/*
 * Can it be the compact spine hash?  Outer columns that are wanted must be by
 * value; many of them are better in a file than in more batches.
 */
static void
prepare_compact(FeathubAsofState *state, EState *estate, List *lowers)
{
	TupleDesc	desc = ExecGetResultType(state->outer);
	Bitmapset  *used = NULL;
	int			member = 0;
	Size		size;

	if (state->max_staged == 1 || state->nkeys != 1 || state->time.kind != ASOF_KIND_INT)
		return;
	(void) index_walker((Node *) lowers, &used);
	for (int i = 0; i < state->ncolumns; i++)
		if (state->columns[i].source == ASOF_SOURCE_OUTER)
			used = bms_add_member(used, state->columns[i].from + 1);
	state->wanted = (int *) palloc(sizeof(int) * Max(state->nouter, 1));
	while ((member = bms_next_member(used, member)) > 0 && member <= state->nouter)
	{
		if (!TupleDescAttr(desc, member - 1)->attbyval)
			return;
		state->wanted[state->nwanted++] = member - 1;
	}
	size = state->place_size + sizeof(Datum) * (6 + state->nwanted);
	if (state->nwanted > 64 ||
		(state->nwanted > COMPACT_COLUMNS && state->outer->plan->plan_rows * size > state->limit))
		return;
	state->is_compact = true;
	state->compact_slot = ExecInitExtraTupleSlot(estate, desc, &TTSOpsVirtual);
	memset(state->compact_slot->tts_isnull, true, desc->natts);
	ExecStoreVirtualTuple(state->compact_slot);
}
