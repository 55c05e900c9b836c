/*
 * asof_pattern.c
 *		Recognise lateral subqueries that take the latest row.
 *
 *		SELECT ... FROM t
 *		 WHERE t.key = outer.key AND t.time <= outer.time [AND t.time >= ...]
 *		 ORDER BY t.time DESC [, ...] LIMIT 1
 *
 * What is not understood completely is left to the server: a clause that
 * refers to the outer side in another way, sub-selects, volatile functions,
 * aggregates.  Clauses of t alone stay in the twin.
 */
#include "postgres.h"

#include "access/nbtree.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/clauses.h"
#include "optimizer/optimizer.h"
#include "optimizer/pathnode.h"
#include "parser/parse_relation.h"
#include "parser/parsetree.h"
#include "utils/lsyscache.h"

#include "asof/asof_private.h"
#include "core/compat.h"

/* What levels an expression of the subquery refers to. */
typedef struct LevelsContext
{
	int			depth;
	bool		own;			/* the subquery's tables */
	bool		outer;			/* the query around it */
	bool		other;			/* what is beyond, or odd */
} LevelsContext;

static void flatten_ands(Node *node, List **clauses);
static LevelsContext levels_of(Node *node);
static bool levels_walker(Node *node, void *arg);
static bool has_shape(Query *query);
static bool limit_is_one(PlannerInfo *root, Query *query);
static bool take_clauses(PlannerInfo *root, FeathubAsofPattern *pattern, Query *query, TargetEntry *time);
static bool take_clause(PlannerInfo *root, FeathubAsofPattern *pattern, OpExpr *clause, Var *time);
static bool compares_alike(Oid opno);
static bool take_order(FeathubAsofPattern *pattern, Query *query);
static bool take_columns(PlannerInfo *root, FeathubAsofPattern *pattern, RelOptInfo *rel, Query *query);
static AttrNumber twin_column(FeathubAsofPattern *pattern, Var *var);
static Node *lift_mutator(Node *node, void *arg);

FeathubAsofPattern *
FeathubAsofRecognize(PlannerInfo *root, RelOptInfo *rel)
{
	RangeTblEntry *rte = planner_rt_fetch(rel->relid, root);
	Query	   *query = rte->subquery;
	FeathubAsofPattern *pattern;
	SortGroupClause *sort;
	TargetEntry *time;
	Oid			type;
	feathub_sort_strategy strategy;

	if (!has_shape(query) || !limit_is_one(root, query) ||
		contain_volatile_functions((Node *) query))
		return NULL;

	pattern = (FeathubAsofPattern *) palloc0(sizeof(FeathubAsofPattern));
	pattern->relid = rel->relid;

	/* the latest first */
	sort = linitial_node(SortGroupClause, query->sortClause);
	time = get_sortgroupclause_tle(sort, query->targetList);
	if (!IsA(FeathubAsofStripRelabel((Node *) time->expr), Var) ||
		!get_ordering_op_properties(sort->sortop, &pattern->time_family, &type, &strategy) ||
		strategy != FEATHUB_SORT_DESCENDING)
		return NULL;

	pattern->twin = (Query *) copyObject(query);
	pattern->twin->targetList = NIL;
	pattern->twin->sortClause = NIL;
	pattern->twin->limitCount = NULL;
	if (!take_columns(root, pattern, rel, query) ||
		!take_clauses(root, pattern, query, time) ||
		!take_order(pattern, query))
		return NULL;

	/* nothing else may refer to the outer side */
	if (levels_of((Node *) pattern->twin).outer || levels_of((Node *) pattern->twin).other)
		return NULL;
	return pattern;
}

/* An ordinary SELECT with ORDER BY and LIMIT, and nothing more. */
static bool
has_shape(Query *query)
{
	ListCell   *lc;

	foreach(lc, query->rtable)
	{
		RangeTblEntry *rte = lfirst_node(RangeTblEntry, lc);

		/* what differs from one scan to the next */
		if (rte->tablesample != NULL || (rte->rtekind == RTE_CTE && rte->self_reference))
			return false;
	}
	return query->commandType == CMD_SELECT &&
		query->jointree != NULL && query->jointree->fromlist != NIL && query->jointree->quals != NULL &&
		query->sortClause != NIL && query->limitCount != NULL && query->limitOffset == NULL &&
		query->limitOption == LIMIT_OPTION_COUNT &&
		!query->hasAggs && !query->hasWindowFuncs && !query->hasTargetSRFs && !query->hasSubLinks &&
		!query->hasModifyingCTE && !query->hasForUpdate &&
		query->cteList == NIL && query->groupClause == NIL && query->groupingSets == NIL &&
		query->havingQual == NULL && query->distinctClause == NIL && query->setOperations == NULL &&
		query->rowMarks == NIL;
}

static bool
limit_is_one(PlannerInfo *root, Query *query)
{
	Node	   *limit = eval_const_expressions(root, copyObject(query->limitCount));

	return IsA(limit, Const) && !((Const *) limit)->constisnull &&
		((Const *) limit)->consttype == INT8OID && DatumGetInt64(((Const *) limit)->constvalue) == 1;
}

/*
 * Columns of the subquery keep their numbers.  Those that are not plain columns
 * of its tables are computed above the join, for rows that match: the server
 * would not compute them for others either, and one that fails must not.
 */
static bool
take_columns(PlannerInfo *root, FeathubAsofPattern *pattern, RelOptInfo *rel, Query *query)
{
	Bitmapset  *used = NULL;
	List	   *later = NIL;
	ListCell   *lc;

	foreach(lc, rel->reltarget->exprs)
	{
		/* a PlaceHolderVar to be computed here, for instance */
		if (!IsA(lfirst(lc), Var) || lfirst_node(Var, lc)->varattno <= 0)
			return false;
		used = bms_add_member(used, lfirst_node(Var, lc)->varattno);
	}
	foreach(lc, rel->baserestrictinfo)
	{
		List	   *vars = pull_var_clause((Node *) lfirst_node(RestrictInfo, lc)->clause, PVC_RECURSE_PLACEHOLDERS);
		ListCell   *v;

		foreach(v, vars)
		{
			if (lfirst_node(Var, v)->varattno <= 0)
				return false;
			used = bms_add_member(used, lfirst_node(Var, v)->varattno);
		}
	}

	foreach(lc, query->targetList)
	{
		TargetEntry *tle = lfirst_node(TargetEntry, lc);
		TargetEntry *new;
		Expr	   *expr = (Expr *) copyObject(tle->expr);

		if (tle->resjunk)
			continue;
		if (tle->resno != list_length(pattern->twin->targetList) + 1)
			return false;
		if (!bms_is_member(tle->resno, used) ||
			!IsA(expr, Var) || ((Var *) expr)->varlevelsup != 0)
		{
			if (bms_is_member(tle->resno, used))
				later = lappend(later, tle);
			expr = (Expr *) makeNullConst(exprType((Node *) expr), exprTypmod((Node *) expr),
										  exprCollation((Node *) expr));
		}
		new = makeTargetEntry(expr, tle->resno, tle->resname, false);
		pattern->twin->targetList = lappend(pattern->twin->targetList, new);
	}
	foreach(lc, later)
	{
		TargetEntry *tle = lfirst_node(TargetEntry, lc);
		Node	   *expr = eval_const_expressions(root, lift_mutator((Node *) tle->expr, pattern));

		if (levels_of((Node *) tle->expr).other)
			return false;
		pattern->expression_columns = lappend_int(pattern->expression_columns, tle->resno);
		pattern->expressions = lappend(pattern->expressions, expr);
	}
	return true;
}

/* Part the clauses: those with the outer side are the join's. */
static bool
take_clauses(PlannerInfo *root, FeathubAsofPattern *pattern, Query *query, TargetEntry *time)
{
	Var		   *time_var = (Var *) FeathubAsofStripRelabel((Node *) time->expr);
	List	   *clauses = NIL;
	List	   *below = NIL;
	ListCell   *lc;

	if (time_var->varlevelsup != 0)
		return false;
	flatten_ands(query->jointree->quals, &clauses);
	foreach(lc, clauses)
	{
		Node	   *clause = (Node *) lfirst(lc);
		LevelsContext levels = levels_of(clause);

		if (levels.other)
			return false;
		if (!levels.outer)
			below = lappend(below, copyObject(clause));
		else if (!IsA(clause, OpExpr) ||
				 !take_clause(root, pattern, (OpExpr *) copyObject(clause), time_var))
			return false;
	}
	pattern->twin->jointree->quals = below == NIL ? NULL : (Node *) make_ands_explicit(below);
	pattern->time = twin_column(pattern, time_var);
	return pattern->keys != NIL && pattern->upper != NULL &&
		exprCollation((Node *) time->expr) == pattern->upper->inputcollid;
}

/* t.key = outer.key, t.time <= outer.time or t.time >= outer.time - '1 day' */
static bool
take_clause(PlannerInfo *root, FeathubAsofPattern *pattern, OpExpr *clause, Var *time)
{
	Node	   *inner;
	OpExpr	   *lifted;
	Oid			opno;
	int			strategy = 0;

	if (list_length(clause->args) != 2)
		return false;
	if (levels_of((Node *) linitial(clause->args)).outer)
	{
		if (!OidIsValid(get_commutator(clause->opno)))
			return false;
		CommuteOpExpr(clause);
	}
	inner = FeathubAsofStripRelabel((Node *) linitial(clause->args));
	opno = clause->opno;
	if (!IsA(inner, Var) || ((Var *) inner)->varlevelsup != 0 ||
		levels_of((Node *) lsecond(clause->args)).own || !op_strict(opno) ||
		op_volatile(opno) == PROVOLATILE_VOLATILE || !compares_alike(opno))
		return false;

	lifted = (OpExpr *) lift_mutator((Node *) clause, pattern);
	lsecond(lifted->args) = eval_const_expressions(root, (Node *) lsecond(lifted->args));
	set_opfuncid(lifted);

	if (equal(inner, time))
		strategy = get_op_opfamily_strategy(opno, pattern->time_family);
	switch (strategy)
	{
		case BTLessStrategyNumber:
		case BTLessEqualStrategyNumber:
			if (pattern->upper != NULL)
				return false;
			pattern->upper = lifted;
			return true;
		case BTGreaterStrategyNumber:
		case BTGreaterEqualStrategyNumber:
			pattern->lowers = lappend(pattern->lowers, lifted);
			return true;
		default:
			if (!op_mergejoinable(opno, exprType((Node *) linitial(clause->args))) &&
				!op_hashjoinable(opno, exprType((Node *) linitial(clause->args))))
				return false;
			pattern->keys = lappend(pattern->keys, lifted);
			return true;
	}
}

/*
 * Does the operator compare as the orders of both its types do?  Where clocks
 * are set, a later timestamp may be an earlier timestamp with time zone.
 */
static bool
compares_alike(Oid opno)
{
	Oid			left;
	Oid			right;

	op_input_types(opno, &left, &right);
	return !(left == TIMESTAMPOID && right == TIMESTAMPTZOID) &&
		!(left == TIMESTAMPTZOID && right == TIMESTAMPOID);
}

/* What decides among rows of one time. */
static bool
take_order(FeathubAsofPattern *pattern, Query *query)
{
	ListCell   *lc;

	for_each_from(lc, query->sortClause, 1)
	{
		SortGroupClause *sort = lfirst_node(SortGroupClause, lc);
		TargetEntry *tle = get_sortgroupclause_tle(sort, query->targetList);
		Node	   *expr = FeathubAsofStripRelabel((Node *) tle->expr);

		if (!IsA(expr, Var) || ((Var *) expr)->varlevelsup != 0)
			return false;
		pattern->tie_columns = lappend_int(pattern->tie_columns, twin_column(pattern, (Var *) expr));
		pattern->tie_operators = lappend_oid(pattern->tie_operators, sort->sortop);
		pattern->tie_collations = lappend_oid(pattern->tie_collations, exprCollation((Node *) tle->expr));
		pattern->tie_nulls_first = lappend_int(pattern->tie_nulls_first, sort->nulls_first);
	}
	return true;
}

/* The twin's column with a Var of the subquery's tables; made if need be. */
static AttrNumber
twin_column(FeathubAsofPattern *pattern, Var *var)
{
	Query	   *twin = pattern->twin;
	TargetEntry *tle;
	char	   *name;
	ListCell   *lc;

	foreach(lc, twin->targetList)
	{
		tle = lfirst_node(TargetEntry, lc);
		if (IsA(tle->expr, Var) && ((Var *) tle->expr)->varno == var->varno &&
			((Var *) tle->expr)->varattno == var->varattno &&
			((Var *) tle->expr)->varlevelsup == 0)
			return tle->resno;
	}
	name = pstrdup(get_rte_attribute_name(rt_fetch(var->varno, twin->rtable), var->varattno));
	tle = makeTargetEntry((Expr *) copyObject(var), list_length(twin->targetList) + 1, name, false);
	twin->targetList = lappend(twin->targetList, tle);
	pattern->names = lappend(pattern->names, makeString(name));
	return tle->resno;
}

/*
 * An expression of the subquery as one of the query around it, over the twin's
 * columns.  There are no sub-selects in it.
 */
static Node *
lift_mutator(Node *node, void *arg)
{
	FeathubAsofPattern *pattern = (FeathubAsofPattern *) arg;

	if (node == NULL)
		return NULL;
	if (IsA(node, Var))
	{
		Var		   *var = (Var *) copyObject(node);

		if (var->varlevelsup == 0)
			return (Node *) makeVar(pattern->relid, twin_column(pattern, var),
									var->vartype, var->vartypmod, var->varcollid, 0);
		var->varlevelsup--;
		return (Node *) var;
	}
	if (IsA(node, PlaceHolderVar) && ((PlaceHolderVar *) node)->phlevelsup > 0)
	{
		PlaceHolderVar *phv = (PlaceHolderVar *) expression_tree_mutator(node, lift_mutator, arg);

		phv->phlevelsup--;
		return (Node *) phv;
	}
	return expression_tree_mutator(node, lift_mutator, arg);
}

static void
flatten_ands(Node *node, List **clauses)
{
	ListCell   *lc;

	if (IsA(node, List))
		foreach(lc, (List *) node)
			flatten_ands((Node *) lfirst(lc), clauses);
	else if (is_andclause(node))
		foreach(lc, ((BoolExpr *) node)->args)
			flatten_ands((Node *) lfirst(lc), clauses);
	else
		*clauses = lappend(*clauses, node);
}

static LevelsContext
levels_of(Node *node)
{
	LevelsContext context = {0};

	if (node != NULL && IsA(node, Query))
		(void) query_tree_walker((Query *) node, levels_walker, &context, 0);
	else
		(void) levels_walker(node, &context);
	return context;
}

static bool
levels_walker(Node *node, void *arg)
{
	LevelsContext *context = (LevelsContext *) arg;
	int			level = 0;

	if (node == NULL)
		return false;
	switch (nodeTag(node))
	{
		case T_Query:
			context->depth++;
			(void) query_tree_walker((Query *) node, levels_walker, arg, 0);
			context->depth--;
			return false;
		case T_Var:
			level = ((Var *) node)->varlevelsup - context->depth;
			break;
		case T_PlaceHolderVar:
			level = ((PlaceHolderVar *) node)->phlevelsup - context->depth;
			break;
		case T_Aggref:
			if ((int) ((Aggref *) node)->agglevelsup > context->depth)
				context->other = true;
			return expression_tree_walker(node, levels_walker, arg);
		case T_GroupingFunc:
			if ((int) ((GroupingFunc *) node)->agglevelsup > context->depth)
				context->other = true;
			return expression_tree_walker(node, levels_walker, arg);
		case T_SubLink:
		case T_SubPlan:
		case T_AlternativeSubPlan:
		case T_CurrentOfExpr:
			if (context->depth == 0)
				context->other = true;
			return expression_tree_walker(node, levels_walker, arg);
		default:
			return expression_tree_walker(node, levels_walker, arg);
	}
	if (level == 0)
		context->own = true;
	else if (level == 1)
		context->outer = true;
	else if (level > 1)
		context->other = true;
	if (IsA(node, PlaceHolderVar))
		return expression_tree_walker(node, levels_walker, arg);
	return false;
}
