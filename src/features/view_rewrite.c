/*
 * view_rewrite.c
 *		What both forms of a feature view do to its query tree.
 *
 * A relation is replaced within the range table, under its name, so that the
 * join tree and the Vars stay; only the numbers of its columns change.
 */
#include "postgres.h"

#include "access/sysattr.h"
#include "access/table.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parse_coerce.h"
#include "parser/parse_node.h"
#include "parser/parse_oper.h"
#include "parser/parse_relation.h"
#include "parser/parsetree.h"
#include "rewrite/rewriteManip.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"

#include "core/compat.h"
#include "core/describe.h"
#include "features/view_rewrite.h"

typedef struct UsedContext
{
	Index		rtindex;
	int			sublevels_up;
	Bitmapset  *attnums;
} UsedContext;

/* Moving conditions of a join into the subquery of its right side. */
typedef struct LowerContext
{
	Index		rtindex;		/* of the subquery, one level up */
	int			sublevels_up;
} LowerContext;

typedef struct RenumberContext
{
	FeathubColumnMaps maps;
	int			nmaps;
	int			sublevels_up;
} RenumberContext;

static bool used_walker(Node *node, void *arg);
static JoinExpr *find_join(Node *node, Index rtindex);
static Query *make_latest_query(RangeTblEntry *rte, const FeathubViewGroup *source,
								List *attnums, List *quals, Var *event_time, bool as_of);
static void add_order(Query *query, Var *event_time);
static void forget_spelling(Var *var);
static Node *lower_quals(Node *node, void *arg);
static Node *renumber_mutator(Node *node, void *arg);
static void rebuild_joins(Query *query, Node *node, List **names, List **vars, List **attnums);
static void rebuild_join(Query *query, JoinExpr *join, List **names, List **vars);

FeathubColumnMaps
FeathubViewMakeMaps(const Query *query)
{
	/* a join may become two, and bring a relation of its own */
	return (FeathubColumnMaps) palloc0(sizeof(AttrNumber *) * (3 * list_length(query->rtable) + 1));
}

List *
FeathubViewUsedColumns(Query *query, Index rtindex)
{
	UsedContext context = {.rtindex = rtindex};
	List	   *result = NIL;
	int			member = -1;

	(void) query_tree_walker(query, used_walker, &context, QTW_IGNORE_JOINALIASES);
	while ((member = bms_next_member(context.attnums, member)) >= 0)
		result = lappend_int(result, member);
	return result;
}

Bitmapset *
FeathubViewColumnsIn(Node *node, Index rtindex)
{
	UsedContext context = {.rtindex = rtindex};

	(void) used_walker(node, &context);
	return context.attnums;
}

static bool
used_walker(Node *node, void *arg)
{
	UsedContext *context = (UsedContext *) arg;

	if (node == NULL)
		return false;
	if (IsA(node, Var))
	{
		Var		   *var = (Var *) node;

		if (var->varno == context->rtindex && var->varlevelsup == context->sublevels_up)
			/* the whole row is 0; system columns are no better */
			context->attnums = bms_add_member(context->attnums, Max(var->varattno, 0));
		return false;
	}
	if (IsA(node, Query))
	{
		bool		result;

		context->sublevels_up++;
		result = query_tree_walker((Query *) node, used_walker, arg, QTW_IGNORE_JOINALIASES);
		context->sublevels_up--;
		return result;
	}
	return expression_tree_walker(node, used_walker, arg);
}

Var *
FeathubViewColumn(Query *query, Index rtindex, AttrNumber attnum)
{
	List	   *names;
	List	   *vars;
	ListCell   *lc;

	feathub_expand_rte(rt_fetch(rtindex, query->rtable), rtindex, &names, &vars);
	foreach(lc, vars)
		if (lfirst_node(Var, lc)->varattno == attnum)
			return lfirst_node(Var, lc);
	elog(ERROR, "column %d of relation %u of a feature view not found", attnum, rtindex);
	return NULL;
}

JoinExpr *
FeathubViewJoin(Query *query, Index rtindex)
{
	JoinExpr   *join = find_join((Node *) linitial(query->jointree->fromlist), rtindex);

	if (join == NULL)
		elog(ERROR, "join of relation %u of a feature view not found", rtindex);
	return join;
}

static JoinExpr *
find_join(Node *node, Index rtindex)
{
	while (IsA(node, JoinExpr))
	{
		JoinExpr   *join = (JoinExpr *) node;

		if (IsA(join->rarg, RangeTblRef) && ((RangeTblRef *) join->rarg)->rtindex == rtindex)
			return join;
		node = join->larg;
	}
	return NULL;
}

Node *
FeathubViewOperator(const char *name, Node *left, Node *right)
{
	return (Node *) make_op(make_parsestate(NULL),
							list_make2(makeString("pg_catalog"), makeString(pstrdup(name))),
							left, right, NULL, -1);
}

Oid
FeathubViewComparisonType(Oid left, Oid right)
{
	return getBaseType(left) == TIMESTAMPTZOID || getBaseType(right) == TIMESTAMPTZOID ?
		TIMESTAMPTZOID : TIMESTAMPOID;
}

Node *
FeathubViewAsType(Node *node, Oid type)
{
	return coerce_to_target_type(make_parsestate(NULL), node, exprType(node), type, -1,
								 COERCION_EXPLICIT, COERCE_EXPLICIT_CAST, -1);
}

Node *
FeathubViewNotDeleted(Query *query, Index rtindex, const FeathubGroup *group)
{
	BooleanTest *test = makeNode(BooleanTest);

	test->arg = (Expr *) FeathubViewColumn(query, rtindex,
										   get_attnum(group->relid, FEATHUB_DELETED_COLUMN));
	test->booltesttype = IS_NOT_TRUE;
	test->location = -1;
	return (Node *) test;
}

void
FeathubViewJoinLatest(Query *query, const FeathubViewGroup *source,
					  const Var *event_time, bool as_of, FeathubColumnMaps maps)
{
	const FeathubGroup *group = source->group;
	RangeTblEntry *rte = rt_fetch(source->rtindex, query->rtable);
	RangeTblEntry *new = makeNode(RangeTblEntry);
	JoinExpr   *join = FeathubViewJoin(query, source->rtindex);
	LowerContext context = {.rtindex = source->rtindex};
	AttrNumber *map = (AttrNumber *) palloc0(sizeof(AttrNumber) * (list_length(rte->eref->colnames) + 1));
	List	   *key_quals;
	List	   *other_quals;
	List	   *attnums;
	List	   *names = NIL;
	Var		   *outer_time = (Var *) copyObject(event_time);
	ListCell   *lc;

	(void) FeathubViewSplitQuals(join->quals, source->rtindex, group, &key_quals, &other_quals);
	if (group->deletes)
		other_quals = lappend(other_quals, FeathubViewNotDeleted(query, source->rtindex, group));
	join->quals = other_quals == NIL ? NULL : (Node *) make_ands_explicit(other_quals);

	/* what the rest of the query wants of it */
	attnums = FeathubViewUsedColumns(query, source->rtindex);
	foreach(lc, attnums)
	{
		map[lfirst_int(lc)] = foreach_current_index(lc) + 1;
		names = lappend(names, list_nth(rte->eref->colnames, lfirst_int(lc) - 1));
	}

	key_quals = copyObject(key_quals);
	IncrementVarSublevelsUp((Node *) key_quals, 1, 0);
	key_quals = (List *) lower_quals((Node *) key_quals, &context);
	outer_time->varlevelsup = 1;

	new->rtekind = RTE_SUBQUERY;
	new->subquery = make_latest_query(rte, source, attnums, key_quals, outer_time, as_of);
	new->lateral = true;
	new->inFromCl = true;
	new->alias = makeAlias(rte->eref->aliasname, NIL);
	new->eref = makeAlias(rte->eref->aliasname, names);
	list_nth_cell(query->rtable, source->rtindex - 1)->ptr_value = new;
	maps[source->rtindex] = map;
}

Node *
FeathubViewOldest(const FeathubViewGroup *source, const Var *event_time)
{
	Const	   *ttl = makeConst(INTERVALOID, -1, InvalidOid, sizeof(Interval),
								IntervalPGetDatum(source->ttl), false, false);

	return FeathubViewOperator("-", (Node *) copyObject(event_time), (Node *) ttl);
}

Query *
FeathubViewReadGroup(const RangeTblEntry *rte, const FeathubGroup *group)
{
	Query	   *query = makeNode(Query);
	ParseState *pstate = make_parsestate(NULL);
	Relation	rel = table_open(group->relid, AccessShareLock);
	RangeTblRef *ref = makeNode(RangeTblRef);

	(void) addRangeTableEntryForRelation(pstate, rel, AccessShareLock, NULL, rte->inh, true);
	table_close(rel, NoLock);
	query->commandType = CMD_SELECT;
	query->canSetTag = true;
	query->rtable = pstate->p_rtable;
	feathub_set_rteperminfos(query, pstate);
	ref->rtindex = 1;
	query->jointree = makeFromExpr(list_make1(ref), NULL);
	return query;
}

TargetEntry *
FeathubViewTarget(Query *query, const RangeTblEntry *rte, AttrNumber attnum, int resno)
{
	return makeTargetEntry((Expr *) FeathubViewColumn(query, 1, attnum), resno,
						   pstrdup(strVal(list_nth(rte->eref->colnames, attnum - 1))), false);
}

/* SELECT attnums FROM group WHERE quals AND event times fit ORDER BY event time DESC LIMIT 1 */
static Query *
make_latest_query(RangeTblEntry *rte, const FeathubViewGroup *source, List *attnums,
				  List *quals, Var *event_time, bool as_of)
{
	const FeathubGroup *group = source->group;
	Query	   *query = FeathubViewReadGroup(rte, group);
	Var		   *time = FeathubViewColumn(query, 1, get_attnum(group->relid, group->event_time));
	ListCell   *lc;

	if (as_of)
		quals = lappend(quals, FeathubViewOperator("<=", copyObject((Node *) time),
												   copyObject((Node *) event_time)));
	if (source->ttl != NULL)
		quals = lappend(quals, FeathubViewOperator(">=", copyObject((Node *) time),
												   FeathubViewOldest(source, event_time)));
	query->jointree->quals = (Node *) make_ands_explicit(quals);
	query->hasSubLinks = checkExprHasSubLink((Node *) quals);

	foreach(lc, attnums)
		query->targetList = lappend(query->targetList,
									FeathubViewTarget(query, rte, lfirst_int(lc),
													  foreach_current_index(lc) + 1));
	add_order(query, time);
	/* what the parser makes of LIMIT 1 */
	query->limitCount = (Node *) makeFuncExpr(F_INT8_INT4, INT8OID,
											  list_make1(makeConst(INT4OID, -1, InvalidOid, sizeof(int32),
																   Int32GetDatum(1), false, true)),
											  InvalidOid, InvalidOid, COERCE_IMPLICIT_CAST);
	query->limitOption = LIMIT_OPTION_COUNT;
	return query;
}

/* ORDER BY event_time DESC */
static void
add_order(Query *query, Var *event_time)
{
	SortGroupClause *sort = makeNode(SortGroupClause);
	TargetEntry *tle = NULL;
	ListCell   *lc;

	foreach(lc, query->targetList)
		if (equal(lfirst_node(TargetEntry, lc)->expr, event_time))
			tle = lfirst_node(TargetEntry, lc);
	if (tle == NULL)
	{
		tle = makeTargetEntry((Expr *) copyObject(event_time),
							  list_length(query->targetList) + 1, NULL, true);
		query->targetList = lappend(query->targetList, tle);
	}
	tle->ressortgroupref = 1;
	sort->tleSortGroupRef = 1;
	get_sort_group_operators(event_time->vartype, false, true, true, NULL,
							 &sort->eqop, &sort->sortop, &sort->hashable);
	sort->nulls_first = true;
	query->sortClause = list_make1(sort);
}

/* Deparse what the Var refers to, not how the user wrote it: that join is gone. */
static void
forget_spelling(Var *var)
{
	var->varnosyn = 0;
	var->varattnosyn = 0;
}

/* References to the subquery itself, one level up by now, mean its table. */
static Node *
lower_quals(Node *node, void *arg)
{
	LowerContext *context = (LowerContext *) arg;

	if (node == NULL)
		return NULL;
	if (IsA(node, Var))
	{
		Var		   *var = (Var *) copyObject(node);

		if (var->varno == context->rtindex && var->varlevelsup == context->sublevels_up + 1)
		{
			var->varno = 1;
			var->varlevelsup = context->sublevels_up;
			forget_spelling(var);
		}
		return (Node *) var;
	}
	if (IsA(node, Query))
	{
		Node	   *result;

		context->sublevels_up++;
		result = (Node *) query_tree_mutator((Query *) node, lower_quals, arg, 0);
		context->sublevels_up--;
		return result;
	}
	return expression_tree_mutator(node, lower_quals, arg);
}

void
FeathubViewFinish(Query *query, FeathubColumnMaps maps)
{
	RenumberContext context = {.maps = maps, .nmaps = list_length(query->rtable)};
	ListCell   *lc;
	List	   *names;
	List	   *vars;
	List	   *attnums;

	(void) query_tree_mutator(query, renumber_mutator, &context,
							  QTW_IGNORE_JOINALIASES | QTW_DONT_COPY_QUERY);
	foreach(lc, query->jointree->fromlist)
		rebuild_joins(query, (Node *) lfirst(lc), &names, &vars, &attnums);
}

static Node *
renumber_mutator(Node *node, void *arg)
{
	RenumberContext *context = (RenumberContext *) arg;

	if (node == NULL)
		return NULL;
	if (IsA(node, Var))
	{
		Var		   *var = (Var *) copyObject(node);

		if (var->varlevelsup != context->sublevels_up)
			return (Node *) var;
		forget_spelling(var);
		if (var->varno <= context->nmaps && var->varattno > 0 && context->maps[var->varno] != NULL)
		{
			var->varattno = context->maps[var->varno][var->varattno];
			if (var->varattno == 0)
				elog(ERROR, "column of relation %d of a feature view not found", var->varno);
		}
		return (Node *) var;
	}
	if (IsA(node, Query))
	{
		Node	   *result;

		context->sublevels_up++;
		result = (Node *) query_tree_mutator((Query *) node, renumber_mutator, arg,
											 QTW_IGNORE_JOINALIASES);
		context->sublevels_up--;
		return result;
	}
	return expression_tree_mutator(node, renumber_mutator, arg);
}

/*
 * Nothing refers to a join's own columns any more, but the deparser counts
 * them.  Returns the columns of the node: names, Vars, and their numbers in it.
 */
static void
rebuild_joins(Query *query, Node *node, List **names, List **vars, List **attnums)
{
	ListCell   *lc;

	if (IsA(node, RangeTblRef))
	{
		Index		rtindex = ((RangeTblRef *) node)->rtindex;

		feathub_expand_rte(rt_fetch(rtindex, query->rtable), rtindex, names, vars);
		*attnums = NIL;
		foreach(lc, *vars)
			*attnums = lappend_int(*attnums, lfirst_node(Var, lc)->varattno);
		return;
	}
	rebuild_join(query, castNode(JoinExpr, node), names, vars);
	*attnums = NIL;
	foreach(lc, *vars)
		*attnums = lappend_int(*attnums, foreach_current_index(lc) + 1);
}

/* The server expects a join behind its inputs in the range table. */
static void
keep_order(Query *query, JoinExpr *join, List *vars)
{
	RangeTblEntry *empty;
	ListCell   *lc;

	foreach(lc, vars)
		if (lfirst_node(Var, lc)->varno > join->rtindex)
			break;
	if (lc == NULL)
		return;
	empty = makeNode(RangeTblEntry);
	empty->rtekind = RTE_RESULT;
	empty->eref = makeAlias("*RESULT*", NIL);
	query->rtable = lappend(query->rtable, rt_fetch(join->rtindex, query->rtable));
	list_nth_cell(query->rtable, join->rtindex - 1)->ptr_value = empty;
	join->rtindex = list_length(query->rtable);
}

static void
rebuild_join(Query *query, JoinExpr *join, List **names, List **vars)
{
	RangeTblEntry *rte = rt_fetch(join->rtindex, query->rtable);
	List	   *right_names;
	List	   *right_vars;

	/* a join of joins may move, the entry stays the same */
	rebuild_joins(query, join->larg, names, vars, &rte->joinleftcols);
	rebuild_joins(query, join->rarg, &right_names, &right_vars, &rte->joinrightcols);
	*names = list_concat_copy(*names, right_names);
	*vars = list_concat_copy(*vars, right_vars);
	keep_order(query, join, *vars);

	join->usingClause = NIL;
	join->join_using_alias = NULL;
	join->alias = NULL;
	join->isNatural = false;
	rte->joinmergedcols = 0;
	rte->joinaliasvars = (List *) copyObject(*vars);
	rte->join_using_alias = NULL;
	rte->alias = NULL;
	rte->eref = makeAlias("unnamed_join", (List *) copyObject(*names));
}
