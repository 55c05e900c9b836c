/*
 * view_lineage.c
 *		Where the columns of a feature view come from.
 *
 * Read from the view's own rule, so that renames and a view made anew are seen.
 */
#include "postgres.h"

#include "access/relation.h"
#include "catalog/pg_class.h"
#include "fmgr.h"
#include "funcapi.h"
#include "nodes/nodeFuncs.h"
#include "parser/parsetree.h"
#include "rewrite/rewriteHandler.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/tuplestore.h"

#include "core/compat.h"

/* The relations that an expression reads. */
typedef struct LineageContext
{
	List	   *queries;		/* innermost first, for Vars of outer levels */
	List	   *relids;			/* without duplicates */
} LineageContext;

static Datum oid_array(List *oids);
static Node *version_column(List **queries, Query *query, RangeTblEntry *rte, AttrNumber attnum);
static bool resolve_column(List *queries, Var *var, Oid *relid, AttrNumber *attnum, List **inner);
static bool lineage_walker(Node *node, void *arg);

PG_FUNCTION_INFO_V1(feathub_view_columns);

/* feathub.view_columns(view): number, name, type, source, source_column, sources */
Datum
feathub_view_columns(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	Relation	rel;
	Query	   *query;
	ListCell   *lc;

	InitMaterializedSRF(fcinfo, 0);
	rel = try_relation_open(PG_GETARG_OID(0), AccessShareLock);
	if (rel == NULL)
		return (Datum) 0;		/* dropped while we read */
	if (rel->rd_rel->relkind != RELKIND_VIEW)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" is not a view", RelationGetRelationName(rel))));
	query = get_view_query(rel);

	foreach(lc, query->targetList)
	{
		TargetEntry *tle = lfirst_node(TargetEntry, lc);
		LineageContext context = {.queries = list_make1(query)};
		Datum		values[6];
		bool		nulls[6] = {false, false, false, true, true, false};
		Oid			relid = InvalidOid;
		AttrNumber	attnum = InvalidAttrNumber;

		if (tle->resjunk)
			continue;
		if (!IsA(tle->expr, Var) ||
			!resolve_column(context.queries, (Var *) tle->expr, &relid, &attnum, NULL))
		{
			(void) lineage_walker((Node *) tle->expr, &context);
			if (list_length(context.relids) == 1)
				relid = linitial_oid(context.relids);
		}
		else
			context.relids = list_make1_oid(relid);
		values[0] = Int32GetDatum(tle->resno);
		values[1] = DirectFunctionCall1(namein, CStringGetDatum(get_attname(RelationGetRelid(rel),
																			tle->resno, false)));
		values[2] = CStringGetTextDatum(format_type_with_typemod(exprType((Node *) tle->expr),
																 exprTypmod((Node *) tle->expr)));
		if (OidIsValid(relid))
		{
			values[3] = ObjectIdGetDatum(relid);
			nulls[3] = false;
		}
		if (attnum > 0)
		{
			values[4] = DirectFunctionCall1(namein, CStringGetDatum(get_attname(relid, attnum, false)));
			nulls[4] = false;
		}
		values[5] = oid_array(context.relids);
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
	relation_close(rel, AccessShareLock);
	return (Datum) 0;
}

static Datum
oid_array(List *oids)
{
	Datum	   *values = (Datum *) palloc(sizeof(Datum) * (list_length(oids) + 1));
	ListCell   *lc;

	foreach(lc, oids)
		values[foreach_current_index(lc)] = ObjectIdGetDatum(lfirst_oid(lc));
	return PointerGetDatum(construct_array(values, list_length(oids), REGCLASSOID, sizeof(Oid),
										   true, TYPALIGN_INT));
}

/*
 * What a column of version_at's result is made of: an element of the row that
 * the histories are made of (view_history.c), and the queries around that.
 */
static Node *
version_column(List **queries, Query *query, RangeTblEntry *rte, AttrNumber attnum)
{
	RangeTblFunction *function = linitial_node(RangeTblFunction, rte->functions);
	FuncExpr   *call = (FuncExpr *) function->funcexpr;
	Var		   *versions;
	RangeTblEntry *history;
	Aggref	   *agg;
	Node	   *row;

	if (!IsA(call, FuncExpr) || list_length(call->args) < 3 || !IsA(lsecond(call->args), Var) ||
		strcmp(get_func_name(call->funcid), "version_at") != 0)
		return NULL;
	versions = lsecond_node(Var, call->args);
	if (versions->varlevelsup != 0)
		return NULL;
	history = rt_fetch(versions->varno, query->rtable);
	if (history->rtekind != RTE_SUBQUERY)
		return NULL;
	agg = (Aggref *) list_nth_node(TargetEntry, history->subquery->targetList, versions->varattno - 1)->expr;
	if (!IsA(agg, Aggref))
		return NULL;
	row = (Node *) linitial_node(TargetEntry, agg->args)->expr;
	if (!IsA(row, RowExpr) || attnum > list_length(((RowExpr *) row)->args))
		return NULL;
	*queries = lcons(history->subquery, *queries);
	return (Node *) list_nth(((RowExpr *) row)->args, attnum - 1);
}

/*
 * The table column that a Var stands for, through subqueries that pass it on
 * as it is.  Returns false, and in inner what else the Var stands for, if it
 * is computed.
 */
static bool
resolve_column(List *queries, Var *var, Oid *relid, AttrNumber *attnum, List **inner)
{
	for (;;)
	{
		Query	   *query = (Query *) list_nth(queries, var->varlevelsup);
		RangeTblEntry *rte = rt_fetch(var->varno, query->rtable);
		TargetEntry *tle;

		if (rte->rtekind == RTE_RELATION)
		{
			*relid = rte->relid;
			*attnum = var->varattno;
			return true;
		}
		if (var->varattno <= 0)
			return false;
		if (rte->rtekind == RTE_FUNCTION)
		{
			Node	   *column;

			queries = list_copy_tail(queries, var->varlevelsup);
			column = version_column(&queries, query, rte, var->varattno);
			if (column == NULL || !IsA(column, Var))
				return false;
			var = (Var *) column;
			continue;
		}
		if (rte->rtekind != RTE_SUBQUERY)
			return false;
		queries = lcons(rte->subquery, list_copy_tail(queries, var->varlevelsup));
		tle = (TargetEntry *) list_nth(rte->subquery->targetList, var->varattno - 1);
		if (!IsA(tle->expr, Var))
		{
			if (inner)
				*inner = list_make2(tle->expr, queries);
			return false;
		}
		var = (Var *) tle->expr;
	}
}

static bool
lineage_walker(Node *node, void *arg)
{
	LineageContext *context = (LineageContext *) arg;

	if (node == NULL)
		return false;
	if (IsA(node, Var))
	{
		List	   *inner = NIL;
		Oid			relid;
		AttrNumber	attnum;

		if (resolve_column(context->queries, (Var *) node, &relid, &attnum, &inner))
			context->relids = list_append_unique_oid(context->relids, relid);
		else if (inner != NIL)
		{
			List	   *queries = context->queries;

			context->queries = (List *) lsecond(inner);
			(void) lineage_walker((Node *) linitial(inner), arg);
			context->queries = queries;
		}
		return false;
	}
	if (IsA(node, Query))
	{
		List	   *queries = context->queries;
		bool		result;

		context->queries = lcons(node, list_copy(queries));
		result = query_tree_walker((Query *) node, lineage_walker, arg, QTW_IGNORE_JOINALIASES);
		context->queries = queries;
		return result;
	}
	return expression_tree_walker(node, lineage_walker, arg);
}
