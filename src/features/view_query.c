/*
 * view_query.c
 *		Analysis of the query of a feature view.
 *
 * The server's own parser does the work, as the current user.  What is left is
 * to find the spine, the feature groups and their joins, and to refuse what
 * would not mean the same in training and in serving.
 */
#include "postgres.h"

#include "access/attnum.h"
#include "access/sysattr.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/analyze.h"
#include "parser/parse_relation.h"
#include "parser/parsetree.h"
#include "rewrite/rewriteManip.h"
#include "tcop/tcopprot.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "core/compat.h"
#include "core/describe.h"
#include "features/feature_group.h"
#include "features/training_transform.h"
#include "features/view_query.h"
#include "features/view_rewrite.h"
#include "features/view_window.h"

/* Looking for groups where they cannot be, and for columns that they lack. */
typedef struct CheckContext
{
	FeathubViewQuery *view;
	List	   *groups;			/* all of the database */
	int			sublevels_up;
} CheckContext;

static void query_error_context(void *arg);
static Query *analyze_query(const char *text);
static void refuse_clauses(const Query *query);
static void flatten_joins(Query *query);
static void flatten_join_quals(Query *query, Node *node);
static void find_relations(FeathubViewQuery *view, List *groups);
static void check_joins(Query *query, Node *node);
static void add_group(FeathubViewQuery *view, FeathubGroup *group, Index rtindex);
static void find_event_time(FeathubViewQuery *view, const char *name);
static void name_columns(Query *query, List *names);
static bool is_label(const FeathubView *definition, const TargetEntry *tle);
static void check_columns(Query *query, const FeathubView *definition);
static void check_names(Query *query, List *wanted, const char *what);
static void check_features(FeathubViewQuery *view, const FeathubView *definition);
static void set_max_age(FeathubViewQuery *view, const char *max_age);
static bool set_age(FeathubViewQuery *view, const char *name, Interval *age);
static bool check_walker(Node *node, void *arg);
static void check_var(CheckContext *context, Var *var);
static FeathubGroup *group_of(List *groups, Oid relid);
static const char *node_name(Query *query, Node *node);
static bool is_key_qual(Node *qual, Index rtindex, const FeathubGroup *group, const char **column);

FeathubViewQuery *
FeathubViewAnalyze(const FeathubView *definition)
{
	FeathubViewQuery *view = (FeathubViewQuery *) palloc0(sizeof(FeathubViewQuery));
	ErrorContextCallback context = {.callback = query_error_context, .arg = definition->query};
	CheckContext check = {.view = view};

	context.previous = error_context_stack;
	error_context_stack = &context;
	PushActiveSnapshot(GetTransactionSnapshot());
	view->query = analyze_query(definition->query);
	PopActiveSnapshot();
	error_context_stack = context.previous;

	refuse_clauses(view->query);
	flatten_joins(view->query);
	if (definition->columns != NIL)
		name_columns(view->query, definition->columns);
	check.groups = FeathubGroupsAll();
	FeathubViewExpandFunctions(view->query, check.groups);
	FeathubViewApplyStatistics(view->query);
	find_relations(view, check.groups);
	(void) query_tree_walker(view->query, check_walker, &check, QTW_IGNORE_JOINALIASES);
	find_event_time(view, definition->event_time);
	FeathubViewCheckWindows(view, check.groups);
	check_columns(view->query, definition);
	check_names(view->query, definition->labels, "label");
	check_names(view->query, definition->training_helpers, "training helper");
	check_names(view->query, definition->inference_helpers, "inference helper");
	view->training_only = list_concat_copy(definition->labels, definition->training_helpers);
	check_features(view, definition);
	FeathubViewCheckHidden(view, check.groups);
	if (definition->max_age != NULL)
		set_max_age(view, definition->max_age);
	view->event_times = definition->event_times;
	return view;
}

static void
query_error_context(void *arg)
{
	FeathubQueryErrorPosition(arg);
	errcontext("query of a feature view");
}

static Query *
analyze_query(const char *text)
{
	List	   *statements = pg_parse_query(text);
	RawStmt    *raw;
	Query	   *query;

	if (list_length(statements) != 1)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("the query of a feature view must be one statement")));
	raw = linitial_node(RawStmt, statements);
	if (!IsA(raw->stmt, SelectStmt))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("the query of a feature view must be a SELECT")));
	query = parse_analyze_fixedparams(raw, text, NULL, 0, NULL);
	if (query->commandType != CMD_SELECT || query->utilityStmt != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("the query of a feature view cannot be SELECT INTO")));
	return query;
}

/* Refuse what has no meaning for the one row that serving asks for. */
static void
refuse_clauses(const Query *query)
{
	const struct
	{
		bool		used;
		const char *what;
		const char *hint;
	}			clauses[] = {
		{query->setOperations != NULL, "UNION, INTERSECT or EXCEPT",
		"Make a view of it, and join that."},
		{query->rowMarks != NIL, "FOR UPDATE or FOR SHARE",
		"Leave it out: a feature view is only read."},
		{query->hasModifyingCTE, "INSERT, UPDATE or DELETE",
		"Leave it out: a feature view is only read."},
		{query->hasAggs || query->groupClause != NIL || query->groupingSets != NIL ||
			query->havingQual != NULL, "aggregates or GROUP BY",
		"Aggregate in a LATERAL subquery or a view over a table, and join that."},
		{query->distinctClause != NIL, "DISTINCT",
		"Each row of the first relation in FROM is a row of the view."},
		{query->hasTargetSRFs, "set-returning functions in the select list",
		"Move them into FROM."},
		{query->limitCount != NULL || query->limitOffset != NULL, "LIMIT or OFFSET",
		"Use it in the queries that read the view."},
		{query->sortClause != NIL, "ORDER BY",
		"Use it in the queries that read the view."},
	};

	for (int i = 0; i < lengthof(clauses); i++)
		if (clauses[i].used)
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("the query of a feature view cannot have %s", clauses[i].what),
					 errhint("%s", clauses[i].hint)));
	if (query->jointree->fromlist == NIL)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("the query of a feature view must have a FROM clause"),
				 errhint("Its first relation has a row for each entity and event time.")));
}

/*
 * Replace references to the columns of joins by the columns they stand for, so
 * that joins can be changed.
 */
static void
flatten_joins(Query *query)
{
	ListCell   *lc;

	query->targetList = (List *)
		feathub_flatten_join_alias_vars(query, (Node *) query->targetList);
	foreach(lc, query->rtable)
	{
		RangeTblEntry *rte = lfirst_node(RangeTblEntry, lc);

		if (rte->rtekind == RTE_SUBQUERY)
			rte->subquery = (Query *)
				feathub_flatten_join_alias_vars(query, (Node *) rte->subquery);
		else if (rte->rtekind == RTE_FUNCTION)
			rte->functions = (List *)
				feathub_flatten_join_alias_vars(query, (Node *) rte->functions);
		else if (rte->rtekind == RTE_TABLEFUNC)
			rte->tablefunc = (TableFunc *)
				feathub_flatten_join_alias_vars(query, (Node *) rte->tablefunc);
		else if (rte->rtekind == RTE_VALUES)
			rte->values_lists = (List *)
				feathub_flatten_join_alias_vars(query, (Node *) rte->values_lists);
		if (rte->tablesample)
			rte->tablesample = (TableSampleClause *)
				feathub_flatten_join_alias_vars(query, (Node *) rte->tablesample);
	}
	flatten_join_quals(query, (Node *) query->jointree);
}

static void
flatten_join_quals(Query *query, Node *node)
{
	ListCell   *lc;

	if (IsA(node, FromExpr))
	{
		FromExpr   *from = (FromExpr *) node;

		foreach(lc, from->fromlist)
			flatten_join_quals(query, (Node *) lfirst(lc));
		from->quals = feathub_flatten_join_alias_vars(query, from->quals);
	}
	else if (IsA(node, JoinExpr))
	{
		JoinExpr   *join = (JoinExpr *) node;

		flatten_join_quals(query, join->larg);
		flatten_join_quals(query, join->rarg);
		join->quals = feathub_flatten_join_alias_vars(query, join->quals);
	}
}

/*
 * The spine is the leftmost relation.  A group may be joined wherever the
 * whole of its left side, and so the spine, is in sight.
 */
static void
find_relations(FeathubViewQuery *view, List *groups)
{
	Query	   *query = view->query;
	Node	   *node = (Node *) linitial(query->jointree->fromlist);
	RangeTblEntry *rte;
	ListCell   *lc;

	foreach(lc, query->jointree->fromlist)
		check_joins(query, (Node *) lfirst(lc));

	while (IsA(node, JoinExpr))
	{
		JoinExpr   *join = (JoinExpr *) node;

		if (IsA(join->rarg, RangeTblRef))
		{
			Index		rtindex = ((RangeTblRef *) join->rarg)->rtindex;
			FeathubGroup *group;

			rte = rt_fetch(rtindex, query->rtable);
			group = rte->rtekind == RTE_RELATION ? group_of(groups, rte->relid) : NULL;
			if (group != NULL)
				add_group(view, group, rtindex);
		}
		node = join->larg;
	}
	view->spine = castNode(RangeTblRef, node)->rtindex;
	rte = rt_fetch(view->spine, query->rtable);
	if (rte->rtekind != RTE_RELATION && rte->rtekind != RTE_SUBQUERY)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("the first relation of a feature view, \"%s\", must be a table or view",
						rte->eref->aliasname),
				 errhint("Put the relation first that has a row for each entity and event time.")));
	if (rte->rtekind == RTE_RELATION)
		view->spine_group = group_of(groups, rte->relid);
}

/* Outer joins that make rows of their own would make rows without a spine. */
static void
check_joins(Query *query, Node *node)
{
	JoinExpr   *join = (JoinExpr *) node;

	if (!IsA(node, JoinExpr))
		return;
	if (join->jointype != JOIN_INNER && join->jointype != JOIN_LEFT)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("relation \"%s\" of a feature view cannot be joined by a %s JOIN",
						node_name(query, join->rarg),
						join->jointype == JOIN_RIGHT ? "RIGHT" : "FULL"),
				 errhint("Put the relation first whose rows are to be kept, and use LEFT JOIN.")));
	check_joins(query, join->larg);
	check_joins(query, join->rarg);
}

/* Note a group; its join must cover its primary key. */
static void
add_group(FeathubViewQuery *view, FeathubGroup *group, Index rtindex)
{
	FeathubViewGroup *source = (FeathubViewGroup *) palloc0(sizeof(FeathubViewGroup));
	RangeTblEntry *rte = rt_fetch(rtindex, view->query->rtable);
	List	   *key_quals;
	List	   *other_quals;
	List	   *missing;

	source->rtindex = rtindex;
	source->group = group;
	source->ttl = group->ttl;
	if (rte->tablesample)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("feature group \"%s\" cannot be joined with TABLESAMPLE",
						get_rel_name(group->relid))));
	missing = FeathubViewSplitQuals(FeathubViewJoin(view->query, rtindex)->quals, rtindex,
									group, &key_quals, &other_quals);
	if (missing != NIL)
	{
		StringInfoData names;
		ListCell   *lc;

		initStringInfo(&names);
		foreach(lc, missing)
			appendStringInfo(&names, "%s%s", names.len ? ", " : "",
							 quote_identifier((const char *) lfirst(lc)));
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_TABLE_DEFINITION),
				 errmsg("feature group \"%s\" is not joined on its whole primary key",
						get_rel_name(group->relid)),
				 errdetail("No condition of its join sets %s of \"%s\" equal to something else.",
						   names.data, rte->eref->aliasname),
				 errhint("Name all columns of the key in USING, or in ON as equalities.")));
	}
	view->groups = lcons(source, view->groups);
}

static void
find_event_time(FeathubViewQuery *view, const char *name)
{
	RangeTblEntry *rte = rt_fetch(view->spine, view->query->rtable);
	bool		given = name != NULL;
	List	   *names;
	List	   *vars;
	ListCell   *lc;
	ListCell   *lcvar;

	if (!given && view->spine_group != NULL && view->spine_group->event_time != NULL)
		name = strVal(list_nth(rte->eref->colnames,
							   get_attnum(rte->relid, view->spine_group->event_time) - 1));
	if (name == NULL)
	{
		foreach(lc, view->groups)
		{
			FeathubGroup *group = ((FeathubViewGroup *) lfirst(lc))->group;

			if (group->event_time != NULL)
				ereport(ERROR,
						(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						 errmsg("relation \"%s\" has no event time", rte->eref->aliasname),
						 errdetail("Feature group \"%s\" has one, and its row is chosen by it.",
								   get_rel_name(group->relid)),
						 errhint("Set event_time to the column of \"%s\" that tells when features are to be known.",
								 rte->eref->aliasname)));
		}
		return;
	}

	feathub_expand_rte(rte, view->spine, &names, &vars);
	forboth(lc, names, lcvar, vars)
		if (strcmp(strVal(lfirst(lc)), name) == 0)
			view->event_time = lfirst_node(Var, lcvar);
	if (view->event_time == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_COLUMN),
				 errmsg("event time column \"%s\" of relation \"%s\" does not exist",
						name, rte->eref->aliasname),
				 errhint("The event time is a column of the first relation in FROM.")));
	switch (getBaseType(view->event_time->vartype))
	{
		case TIMESTAMPTZOID:
		case TIMESTAMPOID:
		case DATEOID:
			break;
		default:
			ereport(ERROR,
					(errcode(ERRCODE_DATATYPE_MISMATCH),
					 errmsg("event time column \"%s\" is of type %s", name,
							format_type_be(view->event_time->vartype)),
					 errhint("Use a column of type timestamp with time zone, timestamp or date.")));
	}
	view->event_time_name = pstrdup(name);
}

/* Name the query's columns as the view's, which may have been renamed. */
static void
name_columns(Query *query, List *names)
{
	ListCell   *lc;

	foreach(lc, query->targetList)
	{
		TargetEntry *tle = lfirst_node(TargetEntry, lc);

		if (!tle->resjunk && tle->resno <= list_length(names))
			tle->resname = (char *) list_nth(names, tle->resno - 1);
	}
}

static bool
is_label(const FeathubView *definition, const TargetEntry *tle)
{
	ListCell   *lc;

	foreach(lc, definition->labels)
		if (strcmp((const char *) lfirst(lc), tle->resname) == 0)
			return true;
	return false;
}

/*
 * Columns have names of their own.  What is made of several rows of the view
 * can only be a label: which of the next flights is late, say.
 */
static void
check_columns(Query *query, const FeathubView *definition)
{
	ListCell   *lc;
	ListCell   *lc2;

	foreach(lc, query->targetList)
	{
		TargetEntry *tle = lfirst_node(TargetEntry, lc);

		if (tle->resjunk)
			continue;
		if (!is_label(definition, tle) && contain_windowfuncs((Node *) tle->expr))
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("column \"%s\" of a feature view cannot have a window function unless it is a label",
							tle->resname),
					 errdetail("When serving there is one row."),
					 errhint("Use feathub.create_window_function for windows over the history of a group, or a LATERAL subquery over a table.")));
		foreach(lc2, query->targetList)
			if (lfirst(lc2) != tle && !lfirst_node(TargetEntry, lc2)->resjunk &&
				strcmp(lfirst_node(TargetEntry, lc2)->resname, tle->resname) == 0)
				ereport(ERROR,
						(errcode(ERRCODE_DUPLICATE_COLUMN),
						 errmsg("the query has two columns \"%s\"", tle->resname),
						 errhint("Give one of them another name with AS; instead of *, name the columns.")));
	}
}

/* Labels and helpers are columns of the result. */
static void
check_names(Query *query, List *wanted, const char *what)
{
	StringInfoData names;
	ListCell   *lc;
	ListCell   *lc2;

	initStringInfo(&names);
	foreach(lc, query->targetList)
	{
		TargetEntry *tle = lfirst_node(TargetEntry, lc);

		if (!tle->resjunk)
			appendStringInfo(&names, "%s%s", names.len ? ", " : "", quote_identifier(tle->resname));
	}
	foreach(lc, wanted)
	{
		bool		found = false;

		foreach(lc2, query->targetList)
			if (!lfirst_node(TargetEntry, lc2)->resjunk &&
				strcmp(lfirst_node(TargetEntry, lc2)->resname, (const char *) lfirst(lc)) == 0)
				found = true;
		if (!found)
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_COLUMN),
					 errmsg("%s \"%s\" is not a column of the query", what, (const char *) lfirst(lc)),
					 errhint("Its columns are: %s.", names.data)));
	}
}

/* Each column is at most one of label and helpers, and some are features. */
static void
check_features(FeathubViewQuery *view, const FeathubView *definition)
{
	List	   *special = list_concat_copy(view->training_only, definition->inference_helpers);
	int			nfeatures = -list_length(special);
	ListCell   *lc;
	ListCell   *lc2;

	foreach(lc, special)
		for_each_cell(lc2, special, lnext(special, lc))
			if (strcmp((const char *) lfirst(lc), (const char *) lfirst(lc2)) == 0)
				ereport(ERROR,
						(errcode(ERRCODE_DUPLICATE_COLUMN),
						 errmsg("column \"%s\" can only be one of label, training helper and inference helper",
								(const char *) lfirst(lc))));
	foreach(lc, view->query->targetList)
		if (!lfirst_node(TargetEntry, lc)->resjunk)
			nfeatures++;
	if (nfeatures <= 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the query has no columns besides its labels%s",
						list_length(special) > list_length(definition->labels) ? " and helpers" : "")));
}

/* max_age: a JSON object of intervals, or nulls, by alias or name of a group. */
static void
set_max_age(FeathubViewQuery *view, const char *max_age)
{
	Jsonb	   *jsonb = DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(max_age)));
	JsonbIterator *it = JsonbIteratorInit(&jsonb->root);
	JsonbIteratorToken token;
	JsonbValue	value;
	char	   *name = NULL;

	if (!JB_ROOT_IS_OBJECT(jsonb))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("max_age must be a JSON object of intervals"),
				 errhint("For instance: {\"weather\": \"2 hours\"}.")));
	while ((token = JsonbIteratorNext(&it, &value, true)) != WJB_DONE)
	{
		Interval   *age = NULL;

		if (token == WJB_KEY)
			name = pnstrdup(value.val.string.val, value.val.string.len);
		if (token != WJB_VALUE)
			continue;
		if (value.type == jbvString)
		{
			age = DatumGetIntervalP(DirectFunctionCall3(interval_in,
														CStringGetDatum(pnstrdup(value.val.string.val,
																				 value.val.string.len)),
														ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1)));
			FeathubGroupCheckInterval(age, "max_age");
		}
		else if (value.type != jbvNull)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("max_age of \"%s\" must be a JSON string or null", name),
					 errhint("A string is an interval; null takes rows of any age.")));
		if (!set_age(view, name, age))
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_OBJECT),
					 errmsg("max_age names \"%s\", which is no feature group that the query joins", name),
					 errhint("Name an alias of the query, or a feature group.")));
	}
}

/* Set the age of the group with that alias, else of all joins of that group. */
static bool
set_age(FeathubViewQuery *view, const char *name, Interval *age)
{
	bool		found = false;

	for (int by_alias = 1; by_alias >= 0 && !found; by_alias--)
	{
		ListCell   *lc;

		foreach(lc, view->groups)
		{
			FeathubViewGroup *source = (FeathubViewGroup *) lfirst(lc);
			const char *has = by_alias ?
				rt_fetch(source->rtindex, view->query->rtable)->eref->aliasname :
				get_rel_name(source->group->relid);

			if (strcmp(has, name) != 0)
				continue;
			if (source->group->event_time == NULL)
				ereport(ERROR,
						(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						 errmsg("max_age of \"%s\": feature group \"%s\" has no event time",
								name, get_rel_name(source->group->relid))));
			source->ttl = age;
			found = true;
		}
	}
	return found;
}

/*
 * Groups are what the query joins at its top; columns of theirs are those that
 * both tables have.
 */
static bool
check_walker(Node *node, void *arg)
{
	CheckContext *context = (CheckContext *) arg;

	if (node == NULL)
		return false;
	if (IsA(node, Var))
	{
		check_var(context, (Var *) node);
		return false;
	}
	if (IsA(node, Query))
	{
		bool		result;

		context->sublevels_up++;
		result = query_tree_walker((Query *) node, check_walker, arg, QTW_IGNORE_JOINALIASES);
		context->sublevels_up--;
		return result;
	}
	if (IsA(node, RangeTblRef) && context->sublevels_up == 0)
	{
		Index		rtindex = ((RangeTblRef *) node)->rtindex;
		RangeTblEntry *rte = rt_fetch(rtindex, context->view->query->rtable);
		bool		found = rtindex == context->view->spine;
		ListCell   *lc;

		foreach(lc, context->view->groups)
			if (((FeathubViewGroup *) lfirst(lc))->rtindex == rtindex)
				found = true;
		if (rte->rtekind != RTE_RELATION || found)
			return false;
		if (group_of(context->groups, rte->relid) != NULL)
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("feature group \"%s\" is not the right side of a join of its own",
							get_rel_name(rte->relid)),
					 errhint("Write FROM %s LEFT JOIN %s ON ..., without a comma or parentheses.",
							 node_name(context->view->query, NULL), quote_identifier(rte->eref->aliasname))));
		foreach(lc, context->groups)
		{
			FeathubGroup *group = (FeathubGroup *) lfirst(lc);

			if (rte->relid == group->online || rte->relid == group->tombstone)
				ereport(ERROR,
						(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						 errmsg("table \"%s\" belongs to feature group \"%s\"",
								get_rel_name(rte->relid), get_rel_name(group->relid)),
						 errhint("Join \"%s\"; the view takes the table that each form needs.",
								 get_rel_name(group->relid))));
		}
		return false;
	}
	return expression_tree_walker(node, check_walker, arg);
}

/* Refuse references that have no counterpart in the online form. */
static void
check_var(CheckContext *context, Var *var)
{
	FeathubViewQuery *view = context->view;
	const FeathubGroup *group = NULL;
	RangeTblEntry *rte;
	ListCell   *lc;

	if (var->varlevelsup != context->sublevels_up)
		return;
	if (var->varno == view->spine)
		group = view->spine_group;
	else
	{
		foreach(lc, view->groups)
			if (((FeathubViewGroup *) lfirst(lc))->rtindex == var->varno)
				group = ((FeathubViewGroup *) lfirst(lc))->group;
		if (group == NULL)
			return;
	}

	rte = rt_fetch(var->varno, view->query->rtable);
	if (var->varattno == InvalidAttrNumber)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("the whole row of \"%s\" cannot be used in a feature view",
						rte->eref->aliasname),
				 errhint("Name its columns.")));
	if (var->varattno < 0)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("system columns of \"%s\" cannot be used in a feature view",
						rte->eref->aliasname)));
	if (group != NULL && group->deletes &&
		var->varattno == get_attnum(group->relid, FEATHUB_DELETED_COLUMN))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("column \"%s\" of \"%s\" cannot be used in a feature view",
						FEATHUB_DELETED_COLUMN, rte->eref->aliasname),
				 errdetail("Deleted rows are left out already."),
				 errhint("Name the columns that you want instead of using *.")));
}

static FeathubGroup *
group_of(List *groups, Oid relid)
{
	ListCell   *lc;

	foreach(lc, groups)
		if (((FeathubGroup *) lfirst(lc))->relid == relid)
			return (FeathubGroup *) lfirst(lc);
	return NULL;
}

/* What the query calls the leftmost relation of a join, or with NULL the spine. */
static const char *
node_name(Query *query, Node *node)
{
	if (node == NULL)
		node = (Node *) linitial(query->jointree->fromlist);
	while (IsA(node, JoinExpr))
		node = ((JoinExpr *) node)->larg;
	return rt_fetch(castNode(RangeTblRef, node)->rtindex, query->rtable)->eref->aliasname;
}

/*
 * Conditions of joins
 */

List *
FeathubViewSplitQuals(Node *quals, Index rtindex, const FeathubGroup *group,
					  List **key_quals, List **other_quals)
{
	List	   *missing = list_copy(group->primary_key);
	ListCell   *lc;

	*key_quals = NIL;
	*other_quals = NIL;
	foreach(lc, FeathubViewTerms(quals))
	{
		Node	   *qual = (Node *) lfirst(lc);
		const char *column;
		ListCell   *lc2;

		if (!is_key_qual(qual, rtindex, group, &column))
		{
			*other_quals = lappend(*other_quals, qual);
			continue;
		}
		*key_quals = lappend(*key_quals, qual);
		foreach(lc2, missing)
			if (strcmp((const char *) lfirst(lc2), column) == 0)
				missing = foreach_delete_current(missing, lc2);
	}
	return missing;
}

List *
FeathubViewTerms(Node *quals)
{
	List	   *result = NIL;
	ListCell   *lc;

	if (quals == NULL)
		return NIL;
	if (!is_andclause(quals))
		return list_make1(quals);
	foreach(lc, ((BoolExpr *) quals)->args)
		result = list_concat(result, FeathubViewTerms((Node *) lfirst(lc)));
	return result;
}

/* Does the condition say that a key column equals something of other relations? */
static bool
is_key_qual(Node *qual, Index rtindex, const FeathubGroup *group, const char **column)
{
	OpExpr	   *op = (OpExpr *) qual;
	ListCell   *lc;

	if (!IsA(qual, OpExpr) || list_length(op->args) != 2 || contain_volatile_functions(qual))
		return false;
	/* an equality of some btree operator family */
	if (get_mergejoin_opfamilies(op->opno) == NIL)
		return false;

	for (int i = 0; i < 2; i++)
	{
		Node	   *side = (Node *) list_nth(op->args, i);
		Node	   *other = (Node *) list_nth(op->args, 1 - i);
		Var		   *var;

		while (side != NULL && IsA(side, RelabelType))
			side = (Node *) ((RelabelType *) side)->arg;
		var = (Var *) side;
		if (!IsA(side, Var) || var->varno != rtindex || var->varlevelsup != 0 || var->varattno <= 0 ||
			bms_is_member(rtindex, pull_varnos(NULL, other)))
			continue;
		foreach(lc, group->primary_key)
			if (get_attnum(group->relid, (const char *) lfirst(lc)) == var->varattno)
			{
				*column = (const char *) lfirst(lc);
				return true;
			}
	}
	return false;
}
