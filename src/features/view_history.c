/*
 * view_history.c
 *		Point-in-time joins with groups that cannot be looked up row by row.
 *
 *	FROM spine AS s LEFT JOIN foreign_table AS f USING (key)
 *
 * becomes, for the training form,
 *
 *	FROM spine AS s
 *	LEFT JOIN (SELECT key, array_agg(time ORDER BY time) AS times,
 *					  array_agg(ROW(a, b) ORDER BY time) AS versions
 *				 FROM foreign_table GROUP BY key) AS f_history ON f_history.key = s.key
 *	LEFT JOIN LATERAL feathub.version_at(times, versions, s.time) AS f (a ..., b ...) ON true
 *
 * so that the foreign table is read once, whatever the number of spine rows,
 * and a version costs a binary search.  Conditions on the key (WHERE s.key = 1)
 * still reach the remote side, through the grouping.
 */
#include "postgres.h"

#include "catalog/pg_aggregate.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parse_func.h"
#include "parser/parse_oper.h"
#include "parser/parsetree.h"
#include "utils/array.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"

#include "core/catalog.h"
#include "core/compat.h"
#include "features/view_history.h"

/* Columns of the subquery behind those of the key. */
#define TIMES_NAME "times"
#define VERSIONS_NAME "versions"

/* Moving conditions on the key to the histories. */
typedef struct KeyContext
{
	Index		from;			/* the group */
	Index		to;				/* its histories */
	List	   *keys;			/* attnums of the group, in the order of the histories */
	RangeTblEntry *history;
} KeyContext;

static Query *make_history_query(RangeTblEntry *rte, const FeathubGroup *group,
								 List *keys, List *attnums, Oid time_type);
static Aggref *make_array_agg(Expr *value, Oid type, Expr *order, SortGroupClause *sort);
static Node *move_keys(Node *node, void *arg);
static RangeTblEntry *make_version_rte(RangeTblEntry *rte, Query *query, Index rtindex,
									   const List *attnums, List *arguments);
static Index append_relation(Query *query, RangeTblEntry *rte);

PG_FUNCTION_INFO_V1(feathub_version_at);

bool
FeathubViewReadsHistory(const FeathubGroup *group)
{
	char		relkind = get_rel_relkind(group->relid);

	return group->external && group->event_time != NULL &&
		(relkind == RELKIND_FOREIGN_TABLE || relkind == RELKIND_VIEW);
}

void
FeathubViewJoinHistory(Query *query, const FeathubViewGroup *source,
					   const Var *event_time, FeathubColumnMaps maps)
{
	const FeathubGroup *group = source->group;
	RangeTblEntry *rte = rt_fetch(source->rtindex, query->rtable);
	JoinExpr   *join = FeathubViewJoin(query, source->rtindex);
	JoinExpr   *history_join = makeNode(JoinExpr);
	RangeTblEntry *history = makeNode(RangeTblEntry);
	RangeTblEntry *joined = makeNode(RangeTblEntry);
	RangeTblRef *ref = makeNode(RangeTblRef);
	AttrNumber	time_attnum = get_attnum(group->relid, group->event_time);
	Oid			time_type = FeathubViewComparisonType(get_atttype(group->relid, time_attnum), event_time->vartype);
	KeyContext	context = {.from = source->rtindex};
	AttrNumber *map = (AttrNumber *) palloc0(sizeof(AttrNumber) * (list_length(rte->eref->colnames) + 1));
	List	   *key_quals;
	List	   *other_quals;
	List	   *attnums;
	List	   *arguments;
	List	   *names = NIL;
	ListCell   *lc;

	(void) FeathubViewSplitQuals(join->quals, source->rtindex, group, &key_quals, &other_quals);
	join->quals = other_quals == NIL ? NULL : (Node *) make_ands_explicit(other_quals);
	attnums = FeathubViewUsedColumns(query, source->rtindex);
	if (attnums == NIL)			/* a row has at least one column */
		attnums = list_make1_int(time_attnum);
	foreach(lc, attnums)
		map[lfirst_int(lc)] = foreach_current_index(lc) + 1;
	maps[source->rtindex] = map;

	/* the histories */
	foreach(lc, group->primary_key)
	{
		context.keys = lappend_int(context.keys, get_attnum(group->relid, (const char *) lfirst(lc)));
		names = lappend(names, list_nth(rte->eref->colnames, llast_int(context.keys) - 1));
	}
	names = lappend(names, makeString(TIMES_NAME));
	names = lappend(names, makeString(VERSIONS_NAME));
	history->rtekind = RTE_SUBQUERY;
	history->subquery = make_history_query(rte, group, context.keys, attnums, time_type);
	history->inFromCl = true;
	history->alias = makeAlias(psprintf("%s_history", rte->eref->aliasname), NIL);
	history->eref = makeAlias(history->alias->aliasname, names);
	context.to = append_relation(query, history);
	context.history = history;

	/* joined by key ahead of what was the group's own join */
	joined->rtekind = RTE_JOIN;
	joined->jointype = join->jointype;
	joined->inFromCl = true;
	joined->eref = makeAlias("unnamed_join", NIL);
	ref->rtindex = context.to;
	history_join->jointype = join->jointype;
	history_join->larg = join->larg;
	history_join->rarg = (Node *) ref;
	history_join->quals = move_keys((Node *) make_ands_explicit(key_quals), &context);
	history_join->rtindex = append_relation(query, joined);
	join->larg = (Node *) history_join;

	arguments = list_make3(FeathubViewColumn(query, context.to, list_length(context.keys) + 1),
						   FeathubViewColumn(query, context.to, list_length(context.keys) + 2),
						   FeathubViewAsType((Node *) copyObject(event_time), time_type));
	if (source->ttl != NULL)
		arguments = lappend(arguments, FeathubViewAsType(FeathubViewOldest(source, event_time), time_type));
	list_nth_cell(query->rtable, source->rtindex - 1)->ptr_value =
		make_version_rte(rte, query, source->rtindex, attnums, arguments);
}

static Index
append_relation(Query *query, RangeTblEntry *rte)
{
	query->rtable = lappend(query->rtable, rte);
	return list_length(query->rtable);
}

/* SELECT keys, array_agg(time ORDER BY time), array_agg(ROW(...) ORDER BY time) GROUP BY keys */
static Query *
make_history_query(RangeTblEntry *rte, const FeathubGroup *group, List *keys, List *attnums,
				   Oid time_type)
{
	Query	   *query = FeathubViewReadGroup(rte, group);
	Var		   *time = FeathubViewColumn(query, 1, get_attnum(group->relid, group->event_time));
	RowExpr    *row = makeNode(RowExpr);
	SortGroupClause sort = {.type = T_SortGroupClause, .tleSortGroupRef = 1};
	NullTest   *test = makeNode(NullTest);
	ListCell   *lc;

	test->arg = (Expr *) time;
	test->nulltesttype = IS_NOT_NULL;
	test->location = -1;
	query->jointree->quals = (Node *) test;

	foreach(lc, keys)
	{
		int			number = foreach_current_index(lc) + 1;
		TargetEntry *tle = FeathubViewTarget(query, rte, lfirst_int(lc), number);
		SortGroupClause *group_by = makeNode(SortGroupClause);

		tle->ressortgroupref = number;
		group_by->tleSortGroupRef = number;
		get_sort_group_operators(exprType((Node *) tle->expr), false, true, false,
								 &group_by->sortop, &group_by->eqop, NULL, &group_by->hashable);
		query->groupClause = lappend(query->groupClause, group_by);
		query->targetList = lappend(query->targetList, tle);
	}

	row->row_typeid = RECORDOID;
	row->row_format = COERCE_EXPLICIT_CALL;
	row->location = -1;
	foreach(lc, attnums)
	{
		row->args = lappend(row->args, FeathubViewColumn(query, 1, lfirst_int(lc)));
		row->colnames = lappend(row->colnames, list_nth(rte->eref->colnames, lfirst_int(lc) - 1));
	}
	get_sort_group_operators(time->vartype, true, true, false,
							 &sort.sortop, &sort.eqop, NULL, &sort.hashable);
	query->targetList = lappend(query->targetList,
								makeTargetEntry((Expr *) make_array_agg((Expr *) FeathubViewAsType((Node *) copyObject(time), time_type),
																		time_type, (Expr *) time, &sort),
												list_length(keys) + 1, TIMES_NAME, false));
	query->targetList = lappend(query->targetList,
								makeTargetEntry((Expr *) make_array_agg((Expr *) row, RECORDOID,
																		(Expr *) time, &sort),
												list_length(keys) + 2, VERSIONS_NAME, false));
	query->hasAggs = true;
	return query;
}

/* array_agg(value ORDER BY order), as the parser makes it */
static Aggref *
make_array_agg(Expr *value, Oid type, Expr *order, SortGroupClause *sort)
{
	Aggref	   *agg = makeNode(Aggref);
	TargetEntry *argument = makeTargetEntry(value, 1, NULL, false);

	agg->aggfnoid = F_ARRAY_AGG_ANYNONARRAY;
	agg->aggtype = type == RECORDOID ? RECORDARRAYOID : get_array_type(type);
	agg->aggargtypes = list_make1_oid(type);
	agg->args = list_make1(argument);
	if (equal(value, order))
		argument->ressortgroupref = 1;
	else
	{
		TargetEntry *by = makeTargetEntry((Expr *) copyObject(order), 2, NULL, true);

		by->ressortgroupref = 1;
		agg->args = lappend(agg->args, by);
	}
	agg->aggorder = list_make1(copyObject(sort));
	agg->aggkind = AGGKIND_NORMAL;
	agg->aggsplit = AGGSPLIT_SIMPLE;
	agg->location = -1;
	return agg;
}

static Node *
move_keys(Node *node, void *arg)
{
	KeyContext *context = (KeyContext *) arg;

	if (node == NULL)
		return NULL;
	if (IsA(node, Var) && ((Var *) node)->varno == context->from)
	{
		ListCell   *lc;

		foreach(lc, context->keys)
			if (lfirst_int(lc) == ((Var *) node)->varattno)
			{
				Var		   *var = (Var *) copyObject(node);

				var->varno = context->to;
				var->varattno = foreach_current_index(lc) + 1;
				return (Node *) var;
			}
		elog(ERROR, "column %d is not of the key", ((Var *) node)->varattno);
	}
	return expression_tree_mutator(node, move_keys, arg);
}

/* LATERAL feathub.version_at(arguments) AS alias (columns and types) */
static RangeTblEntry *
make_version_rte(RangeTblEntry *rte, Query *query, Index rtindex, const List *attnums,
				 List *arguments)
{
	RangeTblEntry *new = makeNode(RangeTblEntry);
	RangeTblFunction *function = makeNode(RangeTblFunction);
	Oid			types[4];
	List	   *names = NIL;
	Oid			funcid;
	ListCell   *lc;

	foreach(lc, arguments)
		types[foreach_current_index(lc)] = exprType((Node *) lfirst(lc));
	funcid = LookupFuncName(list_make2(makeString("feathub"), makeString("version_at")),
							list_length(arguments), types, false);
	function->funcexpr = (Node *) makeFuncExpr(funcid, RECORDOID, arguments, InvalidOid, InvalidOid,
											   COERCE_EXPLICIT_CALL);
	((FuncExpr *) function->funcexpr)->funcretset = true;
	function->funccolcount = list_length(attnums);
	foreach(lc, attnums)
	{
		Var		   *var = FeathubViewColumn(query, rtindex, lfirst_int(lc));
		Node	   *name = (Node *) list_nth(rte->eref->colnames, lfirst_int(lc) - 1);

		names = lappend(names, name);
		function->funccolnames = lappend(function->funccolnames, copyObject(name));
		function->funccoltypes = lappend_oid(function->funccoltypes, var->vartype);
		function->funccoltypmods = lappend_int(function->funccoltypmods, var->vartypmod);
		function->funccolcollations = lappend_oid(function->funccolcollations, var->varcollid);
	}
	new->rtekind = RTE_FUNCTION;
	new->functions = list_make1(function);
	new->lateral = true;
	new->inFromCl = true;
	new->alias = makeAlias(rte->eref->aliasname, NIL);
	new->eref = makeAlias(rte->eref->aliasname, names);
	return new;
}

/*
 * feathub.version_at(times, versions, at [, since])
 *
 * The last version whose time is at most "at", if that is not before since: a
 * set of one row or none.  times is sorted, and of 8 bytes each (timestamp with
 * or without time zone).
 */
Datum
feathub_version_at(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	FuncCallContext *call;
	ArrayType  *times;
	const int64 *values;
	int64		at;
	int			low = 0;
	int			high;
	Datum		version;
	bool		isnull;

	/* of a second call, for the end of the set */
	if (!SRF_IS_FIRSTCALL())
	{
		call = SRF_PERCALL_SETUP();
		SRF_RETURN_DONE(call);
	}
	if (result == NULL || !IsA(result, ReturnSetInfo))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("set-valued function called in context that cannot accept a set")));
	call = SRF_FIRSTCALL_INIT();
	times = PG_GETARG_ARRAYTYPE_P(0);
	if (ARR_NDIM(times) > 1 || array_contains_nulls(times))
		ereport(ERROR,
				(errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR),
				 errmsg("times must be an array of one dimension without nulls")));
	values = (const int64 *) ARR_DATA_PTR(times);
	at = PG_GETARG_INT64(2);
	high = ARR_NDIM(times) == 0 ? 0 : ARR_DIMS(times)[0];
	while (low < high)
	{
		int			middle = low + (high - low) / 2;

		if (values[middle] <= at)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == 0 || (PG_NARGS() > 3 && values[low - 1] < PG_GETARG_INT64(3)))
		SRF_RETURN_DONE(call);
	version = array_get_element(PG_GETARG_DATUM(1), 1, &low, -1, -1, false, TYPALIGN_DOUBLE, &isnull);
	if (isnull)
		SRF_RETURN_DONE(call);
	SRF_RETURN_NEXT(call, version);
}
