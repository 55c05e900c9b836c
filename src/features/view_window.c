/*
 * view_window.c
 *		Windows over the history of feature groups, in subqueries of a feature view.
 *
 * A subquery may read a group's offline table if it cannot see what was not
 * known yet at the event time of the spine's row (promise 6).  A conjunct of
 * its WHERE, or of a join's ON that filters the group, must say so in a form
 * that is known to mean it:
 *
 *		group.event_time <= T, or <, where T is
 *			the spine's event time,
 *			the event time of a group that the view joins, or of one in the same
 *			or an outer subquery that is bounded itself,
 *			such a T cast to another type of date or time, or less an interval
 *			(but no timestamptz cast to timestamp and compared with timestamptz)
 *
 * Both forms have the same subquery: in the online form the spine's event time
 * is the function's argument or now().
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/relation.h"
#include "access/transam.h"
#include "catalog/partition.h"
#include "catalog/pg_class.h"
#include "catalog/pg_language.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parse_relation.h"
#include "parser/parsetree.h"
#include "rewrite/rewriteHandler.h"
#include "rewrite/rewriteManip.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/regproc.h"
#include "utils/rel.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

#include "core/compat.h"
#include "core/describe.h"
#include "features/view_rewrite.h"
#include "features/view_window.h"

/* A query and those around it. */
typedef struct WindowLevel
{
	struct WindowLevel *outer;
	Query	   *query;
	AttrNumber *bounded;		/* by range table index: the column that is bounded, or 0 */
} WindowLevel;

typedef struct WindowContext
{
	FeathubViewQuery *view;
	List	   *groups;			/* all of the database */
	WindowLevel *level;			/* the innermost; NULL in the view's own query */
} WindowContext;

/* Looking for a group below a view. */
typedef struct HiddenContext
{
	Oid			view;			/* has itself in its range table */
	List	   *groups;			/* all of the database */
	FeathubGroup *found;
} HiddenContext;

/* Putting a call's arguments into a function's body. */
typedef struct ArgumentContext
{
	List	   *args;
	int			sublevels_up;
} ArgumentContext;

static bool expand_walker(Node *node, void *arg);
static void expand_function(RangeTblEntry *rte, List *groups);
static Query *get_body(HeapTuple proc);
static bool reads_group_walker(Node *node, void *arg);
static Node *argument_mutator(Node *node, void *arg);
static bool window_walker(Node *node, void *arg);
static void check_function(WindowContext *context, FuncExpr *call);
static void check_level(WindowContext *context, WindowLevel *level);
static bool bound_group(WindowLevel *level, Node *node, Index rtindex, const FeathubGroup *group);
static bool has_relation(Node *node, Index rtindex);
static bool is_bound(WindowLevel *level, Node *qual, Index rtindex, AttrNumber attnum);
static bool wall_clock_walker(Node *node, void *arg);
static bool is_bounded_time(WindowLevel *level, Node *node);
static bool leads_back(const Const *constant);
pg_noreturn static void report_unbounded(WindowContext *context, const RangeTblEntry *rte, const FeathubGroup *group);
pg_noreturn static void report_hidden(const RangeTblEntry *rte, const FeathubGroup *group);
static FeathubGroup *find_group(List *groups, Oid relid);
static FeathubGroup *hidden_group(Oid relid, List *groups);
static bool hidden_walker(Node *node, void *arg);

/*
 * Functions
 */

void
FeathubViewExpandFunctions(Query *query, List *groups)
{
	(void) expand_walker((Node *) query, groups);
}

static bool
expand_walker(Node *node, void *arg)
{
	if (node == NULL)
		return false;
	if (IsA(node, Query))
	{
		ListCell   *lc;

		foreach(lc, ((Query *) node)->rtable)
			if (lfirst_node(RangeTblEntry, lc)->rtekind == RTE_FUNCTION)
				expand_function(lfirst_node(RangeTblEntry, lc), (List *) arg);
		return query_tree_walker((Query *) node, expand_walker, arg, QTW_IGNORE_JOINALIASES);
	}
	return expression_tree_walker(node, expand_walker, arg);
}

/* Make a subquery of a call, if what it reads is ours to look at. */
static void
expand_function(RangeTblEntry *rte, List *groups)
{
	FuncExpr   *call = (FuncExpr *) ((RangeTblFunction *) linitial(rte->functions))->funcexpr;
	ArgumentContext context = {0};
	HeapTuple	tuple;
	Form_pg_proc proc;
	Query	   *body;
	List	   *names;
	List	   *vars;
	ListCell   *lc;
	ListCell   *lc2;
	ListCell   *lc3;

	if (!IsA(call, FuncExpr) || call->funcid < FirstNormalObjectId)
		return;
	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(call->funcid));
	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for function %u", call->funcid);
	proc = (Form_pg_proc) GETSTRUCT(tuple);
	body = get_body(tuple);

	/* what stays a call is looked at later, and may be an error then */
	if (body == NULL || !reads_group_walker((Node *) body, groups) ||
		list_length(rte->functions) != 1 || rte->funcordinality ||
		!proc->proretset || proc->prosecdef || proc->proisstrict ||
		proc->provolatile == PROVOLATILE_VOLATILE ||
		!heap_attisnull(tuple, Anum_pg_proc_proconfig, NULL) ||
		contain_volatile_functions((Node *) call->args))
	{
		ReleaseSysCache(tuple);
		return;
	}
	context.args = expand_function_arguments(call->args, false, call->funcresulttype, tuple);
	ReleaseSysCache(tuple);

	/* columns are to be of the types, and to have the names, that the query knows */
	feathub_expand_rte(rte, 1, &names, &vars);
	if (list_length(vars) != list_length(body->targetList))
		return;
	forthree(lc, body->targetList, lc2, vars, lc3, names)
	{
		TargetEntry *tle = lfirst_node(TargetEntry, lc);

		if (tle->resjunk || exprType((Node *) tle->expr) != exprType((Node *) lfirst(lc2)))
			return;
		tle->resname = pstrdup(strVal(lfirst(lc3)));
	}

	rte->rtekind = RTE_SUBQUERY;
	rte->subquery = query_tree_mutator(body, argument_mutator, &context, 0);
	rte->functions = NIL;
	rte->lateral = true;
	rte->alias = makeAlias(rte->eref->aliasname, NIL);
}

/* The SELECT that a function written as BEGIN ATOMIC or RETURN is, or NULL. */
static Query *
get_body(HeapTuple proc)
{
	bool		isnull;
	Datum		value = SysCacheGetAttr(PROCOID, proc, Anum_pg_proc_prosqlbody, &isnull);
	Node	   *node;

	if (isnull || ((Form_pg_proc) GETSTRUCT(proc))->prolang != SQLlanguageId)
		return NULL;
	node = stringToNode(TextDatumGetCString(value));
	if (IsA(node, List))
	{
		node = (Node *) linitial((List *) node);
		if (!IsA(node, List) || list_length((List *) node) != 1)
			return NULL;
		node = (Node *) linitial((List *) node);
	}
	if (!IsA(node, Query) || ((Query *) node)->commandType != CMD_SELECT)
		return NULL;
	return (Query *) node;
}

/* Is there a table of a group, offline, online or of tombstones? */
static bool
reads_group_walker(Node *node, void *arg)
{
	if (node == NULL)
		return false;
	if (IsA(node, RangeTblEntry))
	{
		ListCell   *lc;
		Oid			relid = ((RangeTblEntry *) node)->relid;

		foreach(lc, (List *) arg)
		{
			FeathubGroup *group = (FeathubGroup *) lfirst(lc);

			if (OidIsValid(relid) && ((RangeTblEntry *) node)->rtekind == RTE_RELATION &&
				(relid == group->relid || relid == group->online || relid == group->tombstone))
				return true;
		}
		return false;
	}
	if (IsA(node, Query))
		return query_tree_walker((Query *) node, reads_group_walker, arg,
								 QTW_EXAMINE_RTES_BEFORE | QTW_IGNORE_JOINALIASES);
	return expression_tree_walker(node, reads_group_walker, arg);
}

static Node *
argument_mutator(Node *node, void *arg)
{
	ArgumentContext *context = (ArgumentContext *) arg;

	if (node == NULL)
		return NULL;
	if (IsA(node, Param) && ((Param *) node)->paramkind == PARAM_EXTERN)
	{
		Node	   *value = (Node *) copyObject(list_nth(context->args, ((Param *) node)->paramid - 1));

		IncrementVarSublevelsUp(value, context->sublevels_up + 1, 0);
		return value;
	}
	if (IsA(node, Query))
	{
		Node	   *result;

		context->sublevels_up++;
		result = (Node *) query_tree_mutator((Query *) node, argument_mutator, arg, 0);
		context->sublevels_up--;
		return result;
	}
	return expression_tree_mutator(node, argument_mutator, arg);
}

/*
 * Subqueries
 */

void
FeathubViewCheckWindows(FeathubViewQuery *view, List *groups)
{
	WindowContext context = {.view = view, .groups = groups};
	WindowLevel top = {.query = view->query};
	ListCell   *lc;

	top.bounded = (AttrNumber *) palloc0(sizeof(AttrNumber) * (list_length(view->query->rtable) + 1));
	if (view->event_time != NULL)
		top.bounded[view->spine] = view->event_time->varattno;
	foreach(lc, view->groups)
	{
		FeathubViewGroup *source = (FeathubViewGroup *) lfirst(lc);

		if (source->group->event_time != NULL)
			top.bounded[source->rtindex] = get_attnum(source->group->relid, source->group->event_time);
	}
	context.level = &top;
	(void) query_tree_walker(view->query, window_walker, &context, QTW_IGNORE_JOINALIASES);
}

static bool
window_walker(Node *node, void *arg)
{
	WindowContext *context = (WindowContext *) arg;

	if (node == NULL)
		return false;
	if (IsA(node, Query))
	{
		WindowLevel level = {.outer = context->level, .query = (Query *) node};
		bool		result;

		level.bounded = (AttrNumber *) palloc0(sizeof(AttrNumber) *
											   (list_length(level.query->rtable) + 1));
		check_level(context, &level);
		context->level = &level;
		result = query_tree_walker((Query *) node, window_walker, arg, QTW_IGNORE_JOINALIASES);
		context->level = level.outer;
		return result;
	}
	if (IsA(node, FuncExpr))
		check_function(context, (FuncExpr *) node);
	return expression_tree_walker(node, window_walker, arg);
}

/* A call that could not be replaced must read no group. */
static void
check_function(WindowContext *context, FuncExpr *call)
{
	HeapTuple	tuple;
	Query	   *body;

	if (call->funcid < FirstNormalObjectId)
		return;
	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(call->funcid));
	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for function %u", call->funcid);
	body = get_body(tuple);
	ReleaseSysCache(tuple);
	if (body != NULL && reads_group_walker((Node *) body, context->groups))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("function %s reads a feature group and cannot be used here",
						format_procedure(call->funcid)),
				 errdetail("What it reads must be seen, so that it cannot look into the future."),
				 errhint("Use a set-returning SQL function that is STABLE, in FROM, with arguments that are not volatile.")));
}

/* Bound every group of a subquery, or refuse it. */
static void
check_level(WindowContext *context, WindowLevel *level)
{
	List	   *rtindexes = NIL;
	ListCell   *lc;
	bool		progress = true;

	foreach(lc, level->query->rtable)
	{
		RangeTblEntry *rte = lfirst_node(RangeTblEntry, lc);
		FeathubGroup *group;

		if (rte->rtekind != RTE_RELATION)
			continue;
		group = find_group(context->groups, rte->relid);
		if (group == NULL)
		{
			group = hidden_group(rte->relid, context->groups);
			if (group != NULL && context->view->event_time != NULL)
				report_hidden(rte, group);
			continue;
		}
		if (rte->relid != group->relid)
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("table \"%s\" belongs to feature group \"%s\"",
							get_rel_name(rte->relid), get_rel_name(group->relid)),
					 errhint("Read \"%s\", which has what was known at any time.",
							 get_rel_name(group->relid))));
		if (group->event_time == NULL || context->view->event_time == NULL)
			report_unbounded(context, rte, group);
		rtindexes = lappend_int(rtindexes, foreach_current_index(lc) + 1);
	}

	/* one may be bounded by another */
	while (progress)
	{
		progress = false;
		foreach(lc, rtindexes)
		{
			Index		rtindex = lfirst_int(lc);
			FeathubGroup *group = find_group(context->groups, rt_fetch(rtindex, level->query->rtable)->relid);

			if (bound_group(level, (Node *) level->query->jointree, rtindex, group))
			{
				level->bounded[rtindex] = get_attnum(group->relid, group->event_time);
				rtindexes = foreach_delete_current(rtindexes, lc);
				progress = true;
			}
		}
	}
	if (rtindexes != NIL)
	{
		RangeTblEntry *rte = rt_fetch(linitial_int(rtindexes), level->query->rtable);

		report_unbounded(context, rte, find_group(context->groups, rte->relid));
	}
}

/*
 * Find a condition that filters the relation and bounds its event time, and
 * put the one on deleted rows beside it.
 */
static bool
bound_group(WindowLevel *level, Node *node, Index rtindex, const FeathubGroup *group)
{
	AttrNumber	attnum = get_attnum(group->relid, group->event_time);
	Node	  **quals;
	ListCell   *lc;
	bool		filters;

	if (IsA(node, RangeTblRef) || !has_relation(node, rtindex))
		return false;
	if (IsA(node, FromExpr))
	{
		foreach(lc, ((FromExpr *) node)->fromlist)
			if (bound_group(level, (Node *) lfirst(lc), rtindex, group))
				return true;
		quals = &((FromExpr *) node)->quals;
		filters = true;
	}
	else
	{
		JoinExpr   *join = castNode(JoinExpr, node);

		if (bound_group(level, join->larg, rtindex, group) ||
			bound_group(level, join->rarg, rtindex, group))
			return true;
		quals = &join->quals;
		/* an outer join keeps the rows of one side whatever its condition says */
		filters = join->jointype == JOIN_INNER ||
			(join->jointype == JOIN_LEFT &&
			 has_relation(join->rarg, rtindex)) ||
			(join->jointype == JOIN_RIGHT &&
			 has_relation(join->larg, rtindex));
	}
	if (!filters)
		return false;
	foreach(lc, FeathubViewTerms(*quals))
		if (is_bound(level, (Node *) lfirst(lc), rtindex, attnum))
		{
			if (group->deletes)
				*quals = make_and_qual(*quals, FeathubViewNotDeleted(level->query, rtindex, group));
			return true;
		}
	return false;
}

/* Is the relation below that node of a join tree? */
static bool
has_relation(Node *node, Index rtindex)
{
	ListCell   *lc;

	if (IsA(node, RangeTblRef))
		return ((RangeTblRef *) node)->rtindex == rtindex;
	if (IsA(node, JoinExpr))
		return has_relation(((JoinExpr *) node)->larg, rtindex) ||
			has_relation(((JoinExpr *) node)->rarg, rtindex);
	foreach(lc, castNode(FromExpr, node)->fromlist)
		if (has_relation((Node *) lfirst(lc), rtindex))
			return true;
	return false;
}

/* column <= T or column < T, or the other way round */
static bool
is_bound(WindowLevel *level, Node *qual, Index rtindex, AttrNumber attnum)
{
	OpExpr	   *op = (OpExpr *) qual;
	const char *name;
	bool		less;
	Node	   *column;
	Node	   *time;

	if (!IsA(qual, OpExpr) || list_length(op->args) != 2 || op->opno >= FirstNormalObjectId)
		return false;
	/* all operators of the server with these names compare */
	name = get_opname(op->opno);
	less = strcmp(name, "<") == 0 || strcmp(name, "<=") == 0;
	if (!less && strcmp(name, ">") != 0 && strcmp(name, ">=") != 0)
		return false;
	column = (Node *) (less ? linitial(op->args) : lsecond(op->args));
	time = (Node *) (less ? lsecond(op->args) : linitial(op->args));
	while (IsA(column, RelabelType))
		column = (Node *) ((RelabelType *) column)->arg;
	return IsA(column, Var) && ((Var *) column)->varlevelsup == 0 &&
		((Var *) column)->varno == rtindex && ((Var *) column)->varattno == attnum &&
		!(((Var *) column)->vartype == TIMESTAMPTZOID && wall_clock_walker(time, NULL)) &&
		is_bounded_time(level, time);
}

/*
 * Is a time with time zone read off a clock?  The hour before it is set back
 * would be taken for the hour after, when it becomes one again.
 */
static bool
wall_clock_walker(Node *node, void *arg)
{
	if (node == NULL)
		return false;
	return (IsA(node, FuncExpr) && ((FuncExpr *) node)->funcid == F_TIMESTAMP_TIMESTAMPTZ) ||
		expression_tree_walker(node, wall_clock_walker, arg);
}

/* Is it never later than the spine's event time? */
static bool
is_bounded_time(WindowLevel *level, Node *node)
{
	if (IsA(node, RelabelType))
		return is_bounded_time(level, (Node *) ((RelabelType *) node)->arg);
	if (IsA(node, CoerceToDomain))
		return is_bounded_time(level, (Node *) ((CoerceToDomain *) node)->arg);
	if (IsA(node, Var))
	{
		Var		   *var = (Var *) node;

		for (int i = 0; i < var->varlevelsup && level != NULL; i++)
			level = level->outer;
		return level != NULL && var->varattno > 0 && level->bounded[var->varno] == var->varattno;
	}
	if (IsA(node, FuncExpr))
	{
		switch (((FuncExpr *) node)->funcid)
		{
			case F_TIMESTAMPTZ_TIMESTAMP:
			case F_TIMESTAMPTZ_DATE:
			case F_TIMESTAMP_TIMESTAMPTZ:
			case F_TIMESTAMP_DATE:
			case F_DATE_TIMESTAMPTZ:
			case F_DATE_TIMESTAMP:
				return is_bounded_time(level, (Node *) linitial(((FuncExpr *) node)->args));
			default:
				return false;
		}
	}
	if (IsA(node, OpExpr))
	{
		OpExpr	   *op = (OpExpr *) node;
		Oid			function = get_opcode(op->opno);

		return (function == F_TIMESTAMPTZ_MI_INTERVAL || function == F_TIMESTAMP_MI_INTERVAL ||
				function == F_DATE_MI_INTERVAL) &&
			IsA(lsecond(op->args), Const) && leads_back((Const *) lsecond(op->args)) &&
			is_bounded_time(level, (Node *) linitial(op->args));
	}
	return false;
}

/* Is it an interval that leads to the past, whatever it is taken from? */
static bool
leads_back(const Const *constant)
{
	Interval   *interval;

	if (constant->constisnull)
		return true;			/* no row fits */
	interval = DatumGetIntervalP(constant->constvalue);
	return interval->month >= 0 && interval->day >= 0 && interval->time >= 0;
}

static void
report_unbounded(WindowContext *context, const RangeTblEntry *rte, const FeathubGroup *group)
{
	RangeTblEntry *spine = rt_fetch(context->view->spine, context->view->query->rtable);

	if (group->event_time != NULL && context->view->event_time == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("relation \"%s\" has no event time", spine->eref->aliasname),
				 errdetail("Feature group \"%s\" has one, and its rows are chosen by it.",
						   get_rel_name(group->relid)),
				 errhint("Set event_time to the column of \"%s\" that tells when features are to be known.",
						 spine->eref->aliasname)));
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("feature group \"%s\" is below a subquery or CTE", get_rel_name(group->relid)),
			 group->event_time == NULL ? 0 :
			 errdetail("No condition of the subquery bounds its event time by that of \"%s\".",
					   spine->eref->aliasname),
			 group->event_time == NULL ?
			 errhint("Join it in the FROM clause of the feature view itself.") :
			 errhint("Join it in the FROM clause of the feature view itself, or use a LATERAL subquery with WHERE %s.%s <= %s.%s.",
					 quote_identifier(rte->eref->aliasname), quote_identifier(group->event_time),
					 quote_identifier(spine->eref->aliasname),
					 quote_identifier(context->view->event_time_name))));
}

/*
 * Relations that hide a group
 */

void
FeathubViewCheckHidden(FeathubViewQuery *view, List *groups)
{
	ListCell   *lc;

	if (view->event_time == NULL)
		return;
	foreach(lc, view->query->rtable)
	{
		RangeTblEntry *rte = lfirst_node(RangeTblEntry, lc);
		Index		rtindex = foreach_current_index(lc) + 1;
		FeathubGroup *group;
		ListCell   *lc2;

		if (rte->rtekind != RTE_RELATION || rtindex == view->spine || find_group(groups, rte->relid) != NULL)
			continue;
		group = hidden_group(rte->relid, groups);
		if (group == NULL)
			continue;
		/* labels are of the future, as a rule */
		foreach(lc2, view->query->targetList)
		{
			TargetEntry *tle = lfirst_node(TargetEntry, lc2);

			if (!tle->resjunk && !FeathubHasName(view->training_only, tle->resname) &&
				!bms_is_empty(FeathubViewColumnsIn((Node *) tle->expr, rtindex)))
				report_hidden(rte, group);
		}
	}
}

/* The group with event time that a view reads, or that a partition is of; or NULL. */
static FeathubGroup *
hidden_group(Oid relid, List *groups)
{
	HiddenContext context = {.view = relid, .groups = groups};
	Relation	rel;

	if (get_rel_relispartition(relid))
	{
		FeathubGroup *group = find_group(groups, llast_oid(get_partition_ancestors(relid)));

		return group != NULL && group->event_time != NULL ? group : NULL;
	}
	if (get_rel_relkind(relid) != RELKIND_VIEW)
		return NULL;
	check_stack_depth();
	rel = relation_open(relid, AccessShareLock);
	(void) hidden_walker((Node *) get_view_query(rel), &context);
	relation_close(rel, NoLock);
	return context.found;
}

static bool
hidden_walker(Node *node, void *arg)
{
	HiddenContext *context = (HiddenContext *) arg;

	if (node == NULL)
		return false;
	if (IsA(node, RangeTblEntry))
	{
		RangeTblEntry *rte = (RangeTblEntry *) node;
		FeathubGroup *group;

		if (rte->rtekind != RTE_RELATION || rte->relid == context->view)
			return false;
		group = find_group(context->groups, rte->relid);
		if (group == NULL)
			group = hidden_group(rte->relid, context->groups);
		if (group != NULL && group->event_time != NULL)
			context->found = group;
		return context->found != NULL;
	}
	if (IsA(node, Query))
		return query_tree_walker((Query *) node, hidden_walker, arg,
								 QTW_EXAMINE_RTES_BEFORE | QTW_IGNORE_JOINALIASES);
	return expression_tree_walker(node, hidden_walker, arg);
}

static void
report_hidden(const RangeTblEntry *rte, const FeathubGroup *group)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("relation \"%s\" reads feature group \"%s\"",
					rte->eref->aliasname, get_rel_name(group->relid)),
			 errdetail("Nothing bounds what it reads by the event time of the feature view, so it would show the future."),
			 errhint("Join the feature group itself, or make \"%s\" an external feature group with an event time; labels may use it as it is.",
					 get_rel_name(rte->relid))));
}

/* The group that a table belongs to. */
static FeathubGroup *
find_group(List *groups, Oid relid)
{
	ListCell   *lc;

	foreach(lc, groups)
	{
		FeathubGroup *group = (FeathubGroup *) lfirst(lc);

		if (relid == group->relid || relid == group->online || relid == group->tombstone)
			return group;
	}
	return NULL;
}
