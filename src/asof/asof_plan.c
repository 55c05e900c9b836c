/*
 * asof_plan.c
 *		From the path to the plan.
 *
 * custom_scan_tlist has the outer plan's columns, then the twin's.  The scan of
 * the twin stands in the plan for the scan of the subquery, so what the server
 * asks of the subquery's RelOptInfo when it finishes the plan, its subroot, is
 * now the twin's: thus the tables' range table entries, and with them checks of
 * permissions and invalidation, get into the plan as ever.
 */
#include "postgres.h"

#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "optimizer/pathnode.h"
#include "parser/parsetree.h"

#include "asof/asof_private.h"
#include "core/compat.h"

static Plan *plan_custom_path(PlannerInfo *root, RelOptInfo *rel, CustomPath *best_path,
							  List *tlist, List *clauses, List *custom_plans);
static void name_columns(PlannerInfo *root, FeathubAsofPattern *pattern);
static List *make_private(FeathubAsofPath *path, Plan *outer);

const CustomPathMethods FeathubAsofPathMethods = {
	.CustomName = "FeathubAsofJoin",
	.PlanCustomPath = plan_custom_path
};

const CustomScanMethods FeathubAsofScanMethods = {
	.CustomName = "FeathubAsofJoin",
	.CreateCustomScanState = FeathubAsofCreateState
};

static Plan *
plan_custom_path(PlannerInfo *root, RelOptInfo *rel, CustomPath *best_path,
				 List *tlist, List *clauses, List *custom_plans)
{
	FeathubAsofPath *path = (FeathubAsofPath *) best_path;
	FeathubAsofPattern *pattern = path->pattern;
	CustomScan *scan = makeNode(CustomScan);
	Plan	   *outer = (Plan *) linitial(custom_plans);
	Plan	   *inner = (Plan *) lsecond(custom_plans);
	List	   *columns = NIL;
	List	   *exprs;
	ListCell   *lc;

	find_base_rel(root, pattern->relid)->subroot = path->subroot;
	name_columns(root, pattern);

	foreach(lc, outer->targetlist)
		columns = lappend(columns, makeTargetEntry((Expr *) copyObject(lfirst_node(TargetEntry, lc)->expr),
												   list_length(columns) + 1, NULL, false));
	foreach(lc, inner->targetlist)
		columns = lappend(columns, makeTargetEntry((Expr *) copyObject(lfirst_node(TargetEntry, lc)->expr),
												   list_length(columns) + 1, NULL, false));
	exprs = list_copy(pattern->keys);
	exprs = lappend(exprs, pattern->upper);
	exprs = list_concat(exprs, pattern->lowers);
	exprs = list_concat(exprs, path->join_quals);
	exprs = list_concat(exprs, pattern->expressions);

	/* what outer joins may make NULL is named as it is above this join */
	columns = (List *) feathub_adopt_nullingrels((Node *) columns, list_make2(rel->reltarget->exprs,
																			  path->other_quals));

	scan->scan.plan.targetlist = (List *) feathub_adopt_nullingrels((Node *) tlist, columns);
	scan->scan.plan.qual = (List *) feathub_adopt_nullingrels((Node *) path->other_quals, columns);
	scan->flags = best_path->flags;
	scan->custom_plans = custom_plans;
	scan->custom_scan_tlist = columns;
	scan->custom_exprs = (List *) feathub_adopt_nullingrels((Node *) copyObject(exprs), columns);
	scan->custom_private = make_private(path, outer);
	scan->methods = &FeathubAsofScanMethods;
	return &scan->scan.plan;
}

/* The twin has more columns than the subquery; EXPLAIN wants names for them. */
static void
name_columns(PlannerInfo *root, FeathubAsofPattern *pattern)
{
	RangeTblEntry *rte = planner_rt_fetch(pattern->relid, root);
	int			have = list_length(pattern->twin->targetList) - list_length(pattern->names);

	rte->eref = (Alias *) copyObject(rte->eref);
	while (list_length(rte->eref->colnames) < have)
		rte->eref->colnames = lappend(rte->eref->colnames, makeString(pstrdup("")));
	if (list_length(rte->eref->colnames) == have)
		rte->eref->colnames = list_concat(rte->eref->colnames, (List *) copyObject(pattern->names));
}

/* See FeathubAsofPrivate. */
static List *
make_private(FeathubAsofPath *path, Plan *outer)
{
	FeathubAsofPattern *pattern = path->pattern;
	List	   *numbers = NIL;
	List	   *key_columns = NIL;
	List	   *result;
	ListCell   *lc;

	/* in the order of FeathubAsofNumber */
	numbers = lappend_int(numbers, path->strategy);
	numbers = lappend_int(numbers, path->left);
	numbers = lappend_int(numbers, list_length(outer->targetlist));
	numbers = lappend_int(numbers, pattern->time);
	numbers = lappend_int(numbers, list_length(pattern->keys));
	numbers = lappend_int(numbers, list_length(pattern->lowers));
	numbers = lappend_int(numbers, list_length(path->join_quals));
	numbers = lappend_int(numbers, list_length(pattern->expressions));
	numbers = lappend_int(numbers, path->strategy == FEATHUB_ASOF_SPINE_HASH && path->cpath.path.pathkeys == NIL);

	foreach(lc, pattern->keys)
	{
		Node	   *key = (Node *) linitial(lfirst_node(OpExpr, lc)->args);

		key_columns = lappend_int(key_columns, ((Var *) FeathubAsofStripRelabel(key))->varattno);
	}
	/* in the order of FeathubAsofPrivate */
	result = list_make4(numbers, key_columns, pattern->tie_columns, pattern->tie_operators);
	result = lappend(result, pattern->tie_collations);
	result = lappend(result, pattern->tie_nulls_first);
	result = lappend(result, pattern->expression_columns);
	return lappend(result, list_make1_oid(pattern->time_family));
}

Node *
FeathubAsofStripRelabel(Node *node)
{
	while (node != NULL && IsA(node, RelabelType))
		node = (Node *) ((RelabelType *) node)->arg;
	return node;
}
