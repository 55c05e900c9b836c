/*
 * view_online.c
 *		The online form of a feature view.
 *
 * It must stay a query that the planner can inline and pull up: the spine is a
 * subquery without FROM, the groups are plain tables.  A group without online
 * table is its offline table, read as in training; an external one its
 * relation, of which the latest row is looked up.
 */
#include "postgres.h"

#include "access/table.h"
#include "catalog/pg_type.h"
#include "mb/pg_wchar.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "parser/parse_coerce.h"
#include "parser/parse_node.h"
#include "parser/parsetree.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "core/compat.h"
#include "features/view_online.h"
#include "features/view_rewrite.h"

static void remove_labels(Query *query, const FeathubViewQuery *view);
static void add_event_times(Query *query, const FeathubViewQuery *view);
static void add_column(Query *query, Node *value, const char *alias, const char *suffix);
static void use_online_table(Query *query, const FeathubViewQuery *view,
							 const FeathubViewGroup *source, FeathubColumnMaps maps);
static void check_online_column(const FeathubViewGroup *source, AttrNumber attnum,
								AttrNumber online);
static void add_ttl(Query *query, const FeathubViewQuery *view, const FeathubViewGroup *source);
static List *replace_spine(Query *query, const FeathubViewQuery *view, FeathubColumnMaps maps);
static Expr *make_argument(const Var *column, int number, bool is_event_time);
static bool name_walker(Node *node, void *arg);

Query *
FeathubViewOnline(const FeathubViewQuery *view, const char *function, List **arguments)
{
	Query	   *query = (Query *) copyObject(view->query);
	FeathubColumnMaps maps = FeathubViewMakeMaps(query);

	remove_labels(query, view);
	if (view->event_times)
		add_event_times(query, view);
	for (int i = list_length(view->groups) - 1; i >= 0; i--)
	{
		FeathubViewGroup *source = (FeathubViewGroup *) list_nth(view->groups, i);
		FeathubGroup *group = source->group;
		JoinExpr   *join = FeathubViewJoin(query, source->rtindex);

		if (OidIsValid(group->online))
			use_online_table(query, view, source, maps);
		else if (group->event_time != NULL)
			FeathubViewJoinLatest(query, source, view->event_time, !group->external, maps);
		else if (group->deletes)
			join->quals = make_and_qual(join->quals,
										FeathubViewNotDeleted(query, source->rtindex, group));
	}
	*arguments = replace_spine(query, view, maps);
	FeathubViewFinish(query, maps);

	/* the deparser writes arguments as function.argument */
	(void) query_tree_walker(query, name_walker, unconstify(char *, function),
							 QTW_EXAMINE_RTES_BEFORE | QTW_IGNORE_JOINALIASES);
	return query;
}

/*
 * Labels are not known yet when serving, so neither is a condition on what
 * only labels are made of: it filters the training form alone.
 */
static void
remove_labels(Query *query, const FeathubViewQuery *view)
{
	List	   *features = NIL;
	List	   *terms = NIL;
	Bitmapset  *label_columns = NULL;
	Bitmapset  *feature_columns = NULL;
	ListCell   *lc;
	ListCell   *lc2;

	foreach(lc, query->targetList)
	{
		TargetEntry *tle = lfirst_node(TargetEntry, lc);
		Bitmapset  *columns = FeathubViewColumnsIn((Node *) tle->expr, view->spine);
		bool		is_label = tle->resjunk;	/* of a label's window */

		foreach(lc2, view->training_only)
			if (!is_label && strcmp((const char *) lfirst(lc2), tle->resname) == 0)
				is_label = true;
		if (is_label)
			label_columns = bms_add_members(label_columns, columns);
		else
		{
			feature_columns = bms_add_members(feature_columns, columns);
			features = lappend(features, tle);
			tle->resno = list_length(features);
		}
	}
	query->targetList = features;
	query->windowClause = NIL;
	query->hasWindowFuncs = false;
	foreach(lc, features)
		lfirst_node(TargetEntry, lc)->ressortgroupref = 0;
	if (view->event_time != NULL)
		feature_columns = bms_add_member(feature_columns, view->event_time->varattno);
	label_columns = bms_del_members(label_columns, feature_columns);

	foreach(lc, FeathubViewTerms(query->jointree->quals))
		if (!bms_overlap(FeathubViewColumnsIn((Node *) lfirst(lc), view->spine), label_columns))
			terms = lappend(terms, lfirst(lc));
	query->jointree->quals = terms == NIL ? NULL : (Node *) make_ands_explicit(terms);
}

/*
 * For each group with event time, columns <alias>_event_time and <alias>_age:
 * when its row was true, and how long before the serving time.
 */
static void
add_event_times(Query *query, const FeathubViewQuery *view)
{
	ListCell   *lc;

	foreach(lc, view->groups)
	{
		FeathubViewGroup *source = (FeathubViewGroup *) lfirst(lc);
		const char *alias = rt_fetch(source->rtindex, query->rtable)->eref->aliasname;
		Node	   *time;
		Node	   *now = (Node *) copyObject(view->event_time);
		Oid			type;

		if (source->group->event_time == NULL)
			continue;
		time = (Node *) FeathubViewColumn(query, source->rtindex,
										  get_attnum(source->group->relid, source->group->event_time));
		add_column(query, time, alias, "event_time");
		/* the difference of dates would be a number */
		type = FeathubViewComparisonType(exprType(time), exprType(now));
		add_column(query, FeathubViewOperator("-", FeathubViewAsType(now, type),
											  FeathubViewAsType((Node *) copyObject(time), type)),
				   alias, "age");
	}
}

static void
add_column(Query *query, Node *value, const char *alias, const char *suffix)
{
	char	   *name = psprintf("%s_%s", alias, suffix);
	ListCell   *lc;

	name[pg_mbcliplen(name, strlen(name), NAMEDATALEN - 1)] = '\0';
	foreach(lc, query->targetList)
		if (strcmp(lfirst_node(TargetEntry, lc)->resname, name) == 0)
			ereport(ERROR,
					(errcode(ERRCODE_DUPLICATE_COLUMN),
					 errmsg("column \"%s\" is in the query already", name),
					 errdetail("with_event_times adds a column of that name to the online form."),
					 errhint("Give the column of the query, or the relation, another alias.")));
	query->targetList = lappend(query->targetList,
								makeTargetEntry((Expr *) value, list_length(query->targetList) + 1,
												name, false));
}

/* Put the online table in the place of the offline one. */
static void
use_online_table(Query *query, const FeathubViewQuery *view,
				 const FeathubViewGroup *source, FeathubColumnMaps maps)
{
	const FeathubGroup *group = source->group;
	RangeTblEntry *rte = rt_fetch(source->rtindex, query->rtable);
	int			natts = list_length(rte->eref->colnames);
	AttrNumber *map = (AttrNumber *) palloc0(sizeof(AttrNumber) * (natts + 1));
	List	   *names = NIL;
	Relation	rel;
	ListCell   *lc;

	if (source->ttl != NULL)
		add_ttl(query, view, source);
	rel = table_open(group->online, AccessShareLock);
	foreach(lc, FeathubViewUsedColumns(query, source->rtindex))
	{
		AttrNumber	attnum = lfirst_int(lc);

		map[attnum] = get_attnum(group->online, get_attname(group->relid, attnum, false));
		check_online_column(source, attnum, map[attnum]);
	}
	for (int i = 0; i < RelationGetDescr(rel)->natts; i++)
		names = lappend(names, makeString(pstrdup(NameStr(TupleDescAttr(RelationGetDescr(rel), i)->attname))));

	rte->relid = group->online;
	rte->relkind = rel->rd_rel->relkind;
	rte->inh = true;
	rte->alias = makeAlias(rte->eref->aliasname, NIL);
	rte->eref = makeAlias(rte->eref->aliasname, names);
	maps[source->rtindex] = map;
	table_close(rel, NoLock);
}

static void
check_online_column(const FeathubViewGroup *source, AttrNumber attnum, AttrNumber online)
{
	const FeathubGroup *group = source->group;
	const char *name = get_attname(group->relid, attnum, false);

	if (online == InvalidAttrNumber)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_COLUMN),
				 errmsg("column \"%s\" of feature group \"%s\" is not in its online table",
						name, get_rel_name(group->relid)),
				 errhint("Add it to table \"%s\" too.", get_rel_name(group->online))));
	if (get_atttype(group->relid, attnum) != get_atttype(group->online, online))
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("column \"%s\" of feature group \"%s\" is of type %s in its online table, but %s in its offline table",
						name, get_rel_name(group->relid),
						format_type_be(get_atttype(group->online, online)),
						format_type_be(get_atttype(group->relid, attnum)))));
}

/* A row older than its time to live is as good as none. */
static void
add_ttl(Query *query, const FeathubViewQuery *view, const FeathubViewGroup *source)
{
	const FeathubGroup *group = source->group;
	JoinExpr   *join = FeathubViewJoin(query, source->rtindex);
	Var		   *time = FeathubViewColumn(query, source->rtindex,
										 get_attnum(group->relid, group->event_time));

	join->quals = make_and_qual(join->quals,
								FeathubViewOperator(">=", (Node *) time,
													FeathubViewOldest(source, view->event_time)));
}

/*
 * Make the spine a row of arguments: those of its columns that the query still
 * uses, and its event time.
 */
static List *
replace_spine(Query *query, const FeathubViewQuery *view, FeathubColumnMaps maps)
{
	RangeTblEntry *rte = rt_fetch(view->spine, query->rtable);
	RangeTblEntry *new = makeNode(RangeTblEntry);
	Query	   *row = makeNode(Query);
	AttrNumber *map = (AttrNumber *) palloc0(sizeof(AttrNumber) * (list_length(rte->eref->colnames) + 1));
	List	   *columns = FeathubViewUsedColumns(query, view->spine);
	List	   *arguments = NIL;
	List	   *names = NIL;
	ListCell   *lc;

	if (view->event_time != NULL)
		columns = list_append_unique_int(columns, view->event_time->varattno);
	foreach(lc, columns)
	{
		AttrNumber	attnum = lfirst_int(lc);
		int			number = foreach_current_index(lc) + 1;
		char	   *name = strVal(list_nth(rte->eref->colnames, attnum - 1));
		Var		   *column = FeathubViewColumn(query, view->spine, attnum);
		bool		is_event_time = view->event_time != NULL && view->event_time->varattno == attnum;
		FeathubViewArgument *argument = (FeathubViewArgument *) palloc(sizeof(FeathubViewArgument));

		argument->name = name;
		argument->type = column->vartype;
		arguments = lappend(arguments, argument);
		names = lappend(names, makeString(name));
		map[attnum] = number;
		row->targetList = lappend(row->targetList,
								  makeTargetEntry(make_argument(column, number, is_event_time),
												  number, name, false));
	}
	row->commandType = CMD_SELECT;
	row->canSetTag = true;
	row->jointree = makeFromExpr(NIL, NULL);

	new->rtekind = RTE_SUBQUERY;
	new->subquery = row;
	new->inFromCl = true;
	new->alias = makeAlias(rte->eref->aliasname, NIL);
	new->eref = makeAlias(rte->eref->aliasname, names);
	list_nth_cell(query->rtable, view->spine - 1)->ptr_value = new;
	maps[view->spine] = map;
	return arguments;
}

/* An argument as the column that it stands for; the event time is now() if not given. */
static Expr *
make_argument(const Var *column, int number, bool is_event_time)
{
	ParseState *pstate = make_parsestate(NULL);
	Param	   *param = makeNode(Param);
	Node	   *result = (Node *) param;

	param->paramkind = PARAM_EXTERN;
	param->paramid = number;
	param->paramtype = column->vartype;
	param->paramtypmod = -1;
	param->paramcollid = get_typcollation(column->vartype);
	param->location = -1;

	if (is_event_time)
	{
		Oid			type = getBaseType(column->vartype);
		CoalesceExpr *coalesce = makeNode(CoalesceExpr);
		Node	   *now = (Node *) makeFuncExpr(F_NOW, TIMESTAMPTZOID, NIL, InvalidOid, InvalidOid,
												COERCE_EXPLICIT_CALL);

		coalesce->coalescetype = type;
		coalesce->args = list_make2(coerce_to_target_type(pstate, result, column->vartype, type, -1,
														  COERCION_EXPLICIT, COERCE_EXPLICIT_CAST, -1),
									coerce_to_target_type(pstate, now, TIMESTAMPTZOID, type, -1,
														  COERCION_EXPLICIT, COERCE_EXPLICIT_CAST, -1));
		coalesce->location = -1;
		result = coerce_to_target_type(pstate, (Node *) coalesce, type, column->vartype, -1,
									   COERCION_EXPLICIT, COERCE_EXPLICIT_CAST, -1);
	}
	if (OidIsValid(column->varcollid) && column->varcollid != param->paramcollid)
	{
		CollateExpr *collate = makeNode(CollateExpr);

		collate->arg = (Expr *) result;
		collate->collOid = column->varcollid;
		collate->location = -1;
		result = (Node *) collate;
	}
	return (Expr *) result;
}

/* Refuse relations of the function's own name: its arguments are written with it. */
static bool
name_walker(Node *node, void *arg)
{
	const char *function = (const char *) arg;

	if (node == NULL)
		return false;
	if (IsA(node, RangeTblEntry))
	{
		RangeTblEntry *rte = (RangeTblEntry *) node;

		if (strcmp(rte->eref->aliasname, function) == 0)
			ereport(ERROR,
					(errcode(ERRCODE_DUPLICATE_ALIAS),
					 errmsg("relation \"%s\" has the name of the view's online function", function),
					 errhint("Give it another alias in the query.")));
		return false;
	}
	if (IsA(node, Query))
		return query_tree_walker((Query *) node, name_walker, arg,
								 QTW_EXAMINE_RTES_BEFORE | QTW_IGNORE_JOINALIASES);
	return expression_tree_walker(node, name_walker, arg);
}
