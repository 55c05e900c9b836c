/*
 * training_query.c
 *		The query whose rows become training data.
 *
 * Without a spine of its own it reads the view.  With one, the view's query
 * tree is taken from its rule and its spine, the first relation in FROM, is
 * replaced by the one given; the result is read as the current user, because
 * it may show what the view does not.
 */
#include "postgres.h"

#include "access/relation.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parsetree.h"
#include "rewrite/rewriteHandler.h"
#include "rewrite/rewriteManip.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/ruleutils.h"
#include "utils/timestamp.h"

#include "core/compat.h"
#include "core/describe.h"
#include "features/parse_fragment.h"
#include "features/training_query.h"
#include "features/view_query.h"
#include "features/view_rewrite.h"

/* Columns of the spine that are compared with those of other relations. */
typedef struct KeyContext
{
	Index		spine;
	int			sublevels_up;
	Bitmapset  *attnums;
} KeyContext;

static Query *load_view(const FeathubView *view, Index *spine);
static void describe_view(FeathubTrainingSource *source, Query *query, Index spine,
						  const FeathubView *view);
static bool key_walker(Node *node, void *arg);
static Var *spine_column(Node *node, const KeyContext *context);
static bool spine_walker(Node *node, void *arg);
static void replace_spine(Query *query, Index spine, const FeathubTrainingRequest *request);
static void forget_missing(Query *query, Index spine, Bitmapset *missing, const FeathubTrainingRequest *request);
static void forget_windows(Query *query);
static Query *make_spine(const FeathubTrainingRequest *request, RangeTblEntry *rte, Index spine,
						 Query *query, List *columns, List **names);
static List *spine_names(const char *spine);
static Node *compare_time(const FeathubTrainingSource *source, const char *operator, TimestampTz time,
						  const char *argument);

char *
FeathubTrainingQuery(const FeathubTrainingRequest *request)
{
	FeathubTrainingSource source = {.alias = get_rel_name(request->view->relid)};
	SelectStmt *select = makeNode(SelectStmt);
	Index		spine;
	Query	   *query = load_view(request->view, &spine);
	ResTarget  *target;
	List	   *quals = NIL;
	Node	   *condition;
	Node	   *split;
	ListCell   *lc;
	char	   *sql;
	int			nestlevel;

	if (request->spine != NULL)
		replace_spine(query, spine, request);
	describe_view(&source, query, spine, request->view);

	if (request->spine == NULL)
		select->fromClause = list_make1(FeathubMakeRangeVar(request->view->relid, source.alias));
	else
	{
		RangeSubselect *subselect = makeNode(RangeSubselect);

		nestlevel = FeathubDeparseBegin();
		sql = pg_get_querydef(query, false);
		AtEOXact_GUC(false, nestlevel);
		subselect->subquery = (Node *) FeathubParseSelect(sql, "spine");
		subselect->alias = makeAlias(source.alias, NIL);
		select->fromClause = list_make1(subselect);
	}

	if (request->filter != NULL)
		quals = lappend(quals, FeathubParseExpression(request->filter, "filter"));
	if (request->has_start)
		quals = lappend(quals, compare_time(&source, ">=", request->start_time, "start_time"));
	if (request->has_end)
		quals = lappend(quals, compare_time(&source, "<", request->end_time, "end_time"));
	if (request->has_as_of)
		quals = lappend(quals, compare_time(&source, "<=", request->as_of, "as_of"));

	split = FeathubTrainingSplit(request, &source, &condition);
	if (condition != NULL)
		quals = lappend(quals, condition);
	foreach(lc, source.columns)
	{
		target = makeNode(ResTarget);
		target->val = FeathubMakeColumnRef(source.alias, (const char *) lfirst(lc));
		target->location = -1;
		select->targetList = lappend(select->targetList, target);
	}
	target = makeNode(ResTarget);
	target->name = pstrdup(FEATHUB_SPLIT_COLUMN);
	target->val = split;
	target->location = -1;
	select->targetList = lappend(select->targetList, target);
	if (quals != NIL)
		select->whereClause = (Node *) makeBoolExpr(AND_EXPR, quals, -1);

	query = FeathubAnalyzeFragments(select, NULL, 0);
	nestlevel = FeathubDeparseBegin();
	sql = pg_get_querydef(query, false);
	AtEOXact_GUC(false, nestlevel);
	return sql;
}

/* A copy of the view's query, and where its spine is. */
static Query *
load_view(const FeathubView *view, Index *spine)
{
	Relation	rel = relation_open(view->relid, AccessShareLock);
	Query	   *query;
	Node	   *node;

	if (rel->rd_rel->relkind != RELKIND_VIEW)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" is not a view", RelationGetRelationName(rel))));
	query = (Query *) copyObject(get_view_query(rel));
	relation_close(rel, NoLock);

	/* somebody may have replaced it */
	if (query->jointree->fromlist == NIL)
		elog(ERROR, "feature view \"%s\" has no FROM clause", get_rel_name(view->relid));
	node = (Node *) linitial(query->jointree->fromlist);
	while (IsA(node, JoinExpr))
		node = ((JoinExpr *) node)->larg;
	*spine = castNode(RangeTblRef, node)->rtindex;
	return query;
}

/* The columns of the view's query, and which of them are event time and keys. */
static void
describe_view(FeathubTrainingSource *source, Query *query, Index spine, const FeathubView *view)
{
	RangeTblEntry *rte = rt_fetch(spine, query->rtable);
	FeathubGroup *group = rte->rtekind == RTE_RELATION ? FeathubGroupLoad(rte->relid) : NULL;
	KeyContext	context = {.spine = spine};
	ListCell   *lc;

	if (group != NULL)
	{
		foreach(lc, group->primary_key)
			context.attnums = bms_add_member(context.attnums,
											 get_attnum(group->relid, (const char *) lfirst(lc)));
	}
	else
		(void) query_tree_walker(query, key_walker, &context, QTW_IGNORE_JOINALIASES);

	foreach(lc, query->targetList)
	{
		TargetEntry *tle = lfirst_node(TargetEntry, lc);
		Var		   *var = spine_column((Node *) tle->expr, &context);
		char	   *column;

		if (tle->resjunk)
			continue;
		if (strcmp(tle->resname, FEATHUB_SPLIT_COLUMN) == 0)
			ereport(ERROR,
					(errcode(ERRCODE_DUPLICATE_COLUMN),
					 errmsg("feature view \"%s\" has a column \"%s\"", source->alias, FEATHUB_SPLIT_COLUMN),
					 errdetail("Training data has a column of that name for the splits.")));
		if (FeathubHasName(view->inference_helpers, tle->resname))
			continue;
		source->columns = lappend(source->columns, tle->resname);
		source->types = lappend_oid(source->types, exprType((Node *) tle->expr));
		if (var == NULL || var->varattno <= 0)
			continue;
		column = strVal(list_nth(rte->eref->colnames, var->varattno - 1));
		if (view->event_time != NULL && strcmp(column, view->event_time) == 0)
		{
			if (source->event_time == NULL)
				source->event_time = tle->resname;
		}
		else if (bms_is_member(var->varattno, context.attnums))
			source->keys = lappend(source->keys, tle->resname);
	}
}

static bool
key_walker(Node *node, void *arg)
{
	KeyContext *context = (KeyContext *) arg;

	if (node == NULL)
		return false;
	if (IsA(node, OpExpr) && list_length(((OpExpr *) node)->args) == 2 &&
		get_mergejoin_opfamilies(((OpExpr *) node)->opno) != NIL)
	{
		Node	   *left = (Node *) linitial(((OpExpr *) node)->args);
		Node	   *right = (Node *) lsecond(((OpExpr *) node)->args);
		Var		   *var = spine_column(left, context);
		Node	   *other = right;

		if (var == NULL)
		{
			var = spine_column(right, context);
			other = left;
		}
		/* with a column of something else */
		if (var != NULL && var->varattno > 0 && !spine_walker(other, context) &&
			contain_var_clause(other))
			context->attnums = bms_add_member(context->attnums, var->varattno);
	}
	if (IsA(node, Query))
	{
		bool		result;

		context->sublevels_up++;
		result = query_tree_walker((Query *) node, key_walker, arg, QTW_IGNORE_JOINALIASES);
		context->sublevels_up--;
		return result;
	}
	return expression_tree_walker(node, key_walker, arg);
}

/* The spine's column that the expression is, but for a cast, or NULL. */
static Var *
spine_column(Node *node, const KeyContext *context)
{
	Var		   *var;

	while (node != NULL && (IsA(node, RelabelType) || (IsA(node, FuncExpr) &&
													   ((FuncExpr *) node)->funcformat == COERCE_IMPLICIT_CAST)))
		node = IsA(node, RelabelType) ? (Node *) ((RelabelType *) node)->arg :
			(Node *) linitial(((FuncExpr *) node)->args);
	var = (Var *) node;
	if (node != NULL && IsA(node, Var) && var->varno == context->spine &&
		var->varlevelsup == context->sublevels_up)
		return var;
	return NULL;
}

/* Does the expression use the spine? */
static bool
spine_walker(Node *node, void *arg)
{
	if (node == NULL)
		return false;
	if (IsA(node, Var))
		return spine_column(node, (const KeyContext *) arg) != NULL;
	return expression_tree_walker(node, spine_walker, arg);
}

/*
 * Another spine
 */

static void
replace_spine(Query *query, Index spine, const FeathubTrainingRequest *request)
{
	RangeTblEntry *rte = rt_fetch(spine, query->rtable);
	RangeTblEntry *new = makeNode(RangeTblEntry);
	AttrNumber **maps = (AttrNumber **) palloc0(sizeof(AttrNumber *) * (list_length(query->rtable) + 1));
	int			natts = list_length(rte->eref->colnames);
	List	   *given = spine_names(request->spine);
	Bitmapset  *missing = NULL;
	List	   *columns;
	List	   *names;
	List	   *extra = NIL;
	ListCell   *lc;

	foreach(lc, FeathubViewUsedColumns(query, spine))
		if (lfirst_int(lc) > 0 &&
			!FeathubHasName(given, strVal(list_nth(rte->eref->colnames, lfirst_int(lc) - 1))))
			missing = bms_add_member(missing, lfirst_int(lc));
	if (request->view->event_time != NULL && !FeathubHasName(given, request->view->event_time))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_COLUMN),
				 errmsg("argument \"%s\" lacks column \"%s\"", "spine", request->view->event_time),
				 errdetail("It is the event time of feature view \"%s\".", get_rel_name(request->view->relid))));
	if (missing != NULL)
		forget_missing(query, spine, missing, request);

	/* what the view uses, then what it does not know */
	columns = FeathubViewUsedColumns(query, spine);
	maps[spine] = (AttrNumber *) palloc0(sizeof(AttrNumber) * (natts + 1));
	names = NIL;
	foreach(lc, columns)
	{
		maps[spine][lfirst_int(lc)] = foreach_current_index(lc) + 1;
		names = lappend(names, list_nth(rte->eref->colnames, lfirst_int(lc) - 1));
	}
	foreach(lc, given)
	{
		char	   *name = (char *) lfirst(lc);
		ListCell   *lc2;
		bool		known = false;

		foreach(lc2, names)
			if (strcmp(strVal(lfirst(lc2)), name) == 0)
				known = true;
		foreach(lc2, query->targetList)
			if (!lfirst_node(TargetEntry, lc2)->resjunk &&
				strcmp(lfirst_node(TargetEntry, lc2)->resname, name) == 0)
				known = true;
		if (!known)
			extra = lappend(extra, makeString(name));
	}
	names = list_concat(names, extra);

	new->rtekind = RTE_SUBQUERY;
	new->subquery = make_spine(request, rte, spine, query, columns, &names);
	new->inFromCl = true;
	new->alias = makeAlias(rte->eref->aliasname, NIL);
	new->eref = makeAlias(rte->eref->aliasname, names);
	list_nth_cell(query->rtable, spine - 1)->ptr_value = new;
	FeathubViewFinish(query, maps);

	foreach(lc, extra)
	{
		AttrNumber	attnum = list_length(columns) + foreach_current_index(lc) + 1;

		query->targetList = lappend(query->targetList,
									makeTargetEntry((Expr *) FeathubViewColumn(query, spine, attnum),
													list_length(query->targetList) + 1,
													pstrdup(strVal(lfirst(lc))), false));
	}
}

/*
 * Leave out labels and training helpers made of columns that the spine lacks, and conditions on
 * these; a feature made of them is an error.
 */
static void
forget_missing(Query *query, Index spine, Bitmapset *missing, const FeathubTrainingRequest *request)
{
	RangeTblEntry *rte = rt_fetch(spine, query->rtable);
	List	   *targets = NIL;
	List	   *terms = NIL;
	ListCell   *lc;

	foreach(lc, query->targetList)
	{
		TargetEntry *tle = lfirst_node(TargetEntry, lc);

		if (!tle->resjunk &&
			bms_overlap(FeathubViewColumnsIn((Node *) tle->expr, spine), missing) &&
			(FeathubHasName(request->view->labels, tle->resname) ||
			 FeathubHasName(request->view->training_helpers, tle->resname)))
		{
			ereport(NOTICE,
					(errmsg("column \"%s\" is left out because the spine lacks what it is made of", tle->resname)));
			continue;
		}
		targets = lappend(targets, tle);
		tle->resno = list_length(targets);
	}
	query->targetList = targets;
	if (query->hasWindowFuncs && !contain_windowfuncs((Node *) targets))
		forget_windows(query);
	foreach(lc, FeathubViewTerms(query->jointree->quals))
		if (!bms_overlap(FeathubViewColumnsIn((Node *) lfirst(lc), spine), missing))
			terms = lappend(terms, lfirst(lc));
	query->jointree->quals = terms == NIL ? NULL : (Node *) make_ands_explicit(terms);

	foreach(lc, FeathubViewUsedColumns(query, spine))
		if (bms_is_member(lfirst_int(lc), missing))
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_COLUMN),
					 errmsg("argument \"%s\" lacks column \"%s\"", "spine",
							strVal(list_nth(rte->eref->colnames, lfirst_int(lc) - 1))),
					 errdetail("Feature view \"%s\" uses it.", get_rel_name(request->view->relid))));
}

/* No label is left that needs windows: neither are they, nor what they sort by. */
static void
forget_windows(Query *query)
{
	List	   *targets = NIL;
	ListCell   *lc;

	foreach(lc, query->targetList)
	{
		TargetEntry *tle = lfirst_node(TargetEntry, lc);

		tle->ressortgroupref = 0;
		if (tle->resjunk)
			continue;
		targets = lappend(targets, tle);
		tle->resno = list_length(targets);
	}
	query->targetList = targets;
	query->windowClause = NIL;
	query->hasWindowFuncs = false;
}

/* SELECT s.column::type, ..., s.extra FROM (spine) AS s */
static Query *
make_spine(const FeathubTrainingRequest *request, RangeTblEntry *rte, Index spine,
		   Query *query, List *columns, List **names)
{
	SelectStmt *select = makeNode(SelectStmt);
	RangeSubselect *subselect = makeNode(RangeSubselect);
	ListCell   *lc;

	subselect->subquery = (Node *) FeathubParseSelect(request->spine, "spine");
	subselect->alias = makeAlias("s", NIL);
	select->fromClause = list_make1(subselect);
	foreach(lc, *names)
	{
		ResTarget  *target = makeNode(ResTarget);
		int			i = foreach_current_index(lc);

		target->name = pstrdup(strVal(lfirst(lc)));
		target->val = FeathubMakeColumnRef("s", strVal(lfirst(lc)));
		target->location = -1;
		if (i < list_length(columns))
		{
			Var		   *column = FeathubViewColumn(query, spine, list_nth_int(columns, i));
			TypeCast   *cast = makeNode(TypeCast);

			cast->arg = target->val;
			cast->typeName = makeTypeNameFromOid(column->vartype, column->vartypmod);
			cast->location = -1;
			target->val = (Node *) cast;
		}
		select->targetList = lappend(select->targetList, target);
	}
	return FeathubAnalyzeFragments(select, NULL, 0);
}

/* The columns of a spine (char *). */
static List *
spine_names(const char *spine)
{
	Query	   *query = FeathubAnalyzeFragments(FeathubParseSelect(spine, "spine"), NULL, 0);
	List	   *names = NIL;
	ListCell   *lc;

	if (query->hasModifyingCTE)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("argument \"%s\" cannot have INSERT, UPDATE or DELETE", "spine")));
	foreach(lc, query->targetList)
	{
		TargetEntry *tle = lfirst_node(TargetEntry, lc);

		if (tle->resjunk)
			continue;
		if (FeathubHasName(names, tle->resname))
			ereport(ERROR,
					(errcode(ERRCODE_DUPLICATE_COLUMN),
					 errmsg("argument \"%s\" has column \"%s\" twice", "spine", tle->resname)));
		names = lappend(names, pstrdup(tle->resname));
	}
	return names;
}

/* event_time operator time */
static Node *
compare_time(const FeathubTrainingSource *source, const char *operator, TimestampTz time,
			 const char *argument)
{
	TypeCast   *cast = makeNode(TypeCast);

	if (source->event_time == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the event time of feature view \"%s\" is not among its columns", source->alias),
				 errhint("Argument \"%s\" needs it: add it to the view's select list.", argument)));
	cast->arg = FeathubMakeLiteral(pstrdup(timestamptz_to_str(time)));
	cast->typeName = makeTypeNameFromOid(TIMESTAMPTZOID, -1);
	cast->location = -1;
	return FeathubMakeServerOperator(operator, FeathubMakeColumnRef(source->alias, source->event_time),
									 (Node *) cast);
}
