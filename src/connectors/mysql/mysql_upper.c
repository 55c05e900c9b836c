/*
 * mysql_upper.c
 *		Aggregates, ORDER BY and LIMIT that the server evaluates.
 *
 * Not left to it: averages and sums of other scales or precisions than ours,
 * aggregates and orders of text (collations), groups of long text (which the
 * server tells apart by their first bytes only).
 */
#include "postgres.h"

#include "access/transam.h"
#include "catalog/pg_aggregate.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/clauses.h"
#include "optimizer/cost.h"
#include "optimizer/optimizer.h"
#include "optimizer/pathnode.h"
#include "optimizer/paths.h"
#include "optimizer/tlist.h"
#include "utils/lsyscache.h"
#include "utils/selfuncs.h"

#include "connectors/mysql/mysql_remote.h"
#include "core/compat.h"

/* The longest text by which rows are grouped: bytes of a sort key there. */
#define GROUP_TEXT_MAX 255

static void group_paths(PlannerInfo *root, RelOptInfo *input_rel, RelOptInfo *grouped_rel,
						GroupPathExtraData *extra);
static bool check_target(MysqlDeparse *context, PlannerInfo *root, PathTarget *target,
						 MysqlRemote *remote);
static void order_paths(PlannerInfo *root, RelOptInfo *input_rel, RelOptInfo *ordered_rel);
static void final_paths(PlannerInfo *root, RelOptInfo *input_rel, RelOptInfo *final_rel,
						FinalPathExtraData *extra);
static bool is_sortable(MysqlClass class);
static bool output_possible(PlannerInfo *root, MysqlRemote *remote, PathTarget *target);
static bool limit_possible(Node *node);

void
FeathubMysqlGetUpperPaths(PlannerInfo *root, UpperRelationKind stage, RelOptInfo *input_rel,
						  RelOptInfo *output_rel, void *extra)
{
	if (root->parse->hasTargetSRFs)
		return;
	switch (stage)
	{
		case UPPERREL_GROUP_AGG:
			group_paths(root, input_rel, output_rel, extra);
			break;
		case UPPERREL_ORDERED:
			order_paths(root, input_rel, output_rel);
			break;
		case UPPERREL_FINAL:
			final_paths(root, input_rel, output_rel, extra);
			break;
		default:
			break;
	}
}

/*
 * FeathubMysqlAggregate
 *		An aggregate, in FeathubMysqlDeparseValue.
 */
bool
FeathubMysqlAggregate(MysqlDeparse *context, Aggref *agg)
{
	char	   *name;
	Expr	   *arg = NULL;
	MysqlClass	class = MYSQL_CLASS_NONE;
	Oid			type = InvalidOid;
	StringInfo	sql = &context->sql;

	if (agg->aggfnoid >= FirstGenbkiObjectId || agg->aggsplit != AGGSPLIT_SIMPLE ||
		agg->aggkind != AGGKIND_NORMAL || agg->aggorder != NIL || agg->aggvariadic ||
		agg->agglevelsup != 0 || list_length(agg->args) > 1)
		return false;
	name = get_func_name(agg->aggfnoid);
	if (agg->args != NIL)
	{
		arg = linitial_node(TargetEntry, agg->args)->expr;
		type = exprType((Node *) arg);
		class = FeathubMysqlTypeClass(type);
	}

	if (strcmp(name, "count") == 0)
	{
		/* equal texts are another matter there */
		if (agg->aggdistinct && !is_sortable(class))
			return false;
	}
	else if (strcmp(name, "sum") == 0)
	{
		if (type != INT2OID && type != INT4OID && type != INT8OID && type != NUMERICOID &&
			type != FLOAT8OID)
			return false;
	}
	else if (strcmp(name, "avg") == 0)
	{
		if (type != FLOAT8OID)
			return false;
	}
	else if ((strcmp(name, "min") != 0 && strcmp(name, "max") != 0) || !is_sortable(class))
		return false;

	appendStringInfo(sql, "%s(%s", name, agg->aggdistinct ? "DISTINCT " : "");
	if (agg->aggfilter)
	{
		appendStringInfoString(sql, "CASE WHEN ");
		if (!FeathubMysqlDeparseCondition(context, agg->aggfilter))
			return false;
		appendStringInfoString(sql, " THEN ");
	}
	if (agg->aggstar)
		appendStringInfoString(sql, agg->aggfilter ? "1" : "*");
	else if (!FeathubMysqlDeparseValue(context, arg))
		return false;
	appendStringInfoString(sql, agg->aggfilter ? " END)" : ")");
	return true;
}

/* An expression as GROUP BY and the select list have it. */
bool
FeathubMysqlGroupValue(MysqlDeparse *context, Expr *expr)
{
	MysqlClass	class = FeathubMysqlTypeClass(exprType((Node *) expr));

	switch (class)
	{
		case MYSQL_CLASS_TEXT:
		case MYSQL_CLASS_BPCHAR:
			{
				int32		typmod = exprTypmod((Node *) expr);

				if (typmod < (int32) VARHDRSZ || typmod - VARHDRSZ > GROUP_TEXT_MAX ||
					!FeathubMysqlSameText(exprCollation((Node *) expr)))
					return false;
				return FeathubMysqlDeparseBytes(context, expr);
			}
		case MYSQL_CLASS_ENUM:
			return FeathubMysqlDeparseBytes(context, expr);
		case MYSQL_CLASS_BOOL:
			return FeathubMysqlDeparseCondition(context, expr);
		default:
			return is_sortable(class) && FeathubMysqlDeparseValue(context, expr);
	}
}

/* Null is less than everything there, and greater than everything here. */
void
FeathubMysqlOrderBy(MysqlDeparse *context, List *order_by)
{
	ListCell   *lc;

	foreach(lc, order_by)
	{
		MysqlOrder *order = lfirst(lc);

		appendStringInfoString(&context->sql, foreach_current_index(lc) > 0 ? ", " : " ORDER BY ");
		if (order->nulls_first == order->descending)
		{
			if (!FeathubMysqlDeparseValue(context, order->expr))
				elog(ERROR, "could not deparse an order");
			appendStringInfoString(&context->sql, order->descending ? " IS NULL DESC, " : " IS NULL, ");
		}
		if (!FeathubMysqlDeparseValue(context, order->expr))
			elog(ERROR, "could not deparse an order");
		if (order->descending)
			appendStringInfoString(&context->sql, " DESC");
	}
}

static bool
is_sortable(MysqlClass class)
{
	switch (class)
	{
		case MYSQL_CLASS_INTEGER:
		case MYSQL_CLASS_NUMERIC:
		case MYSQL_CLASS_FLOAT:
		case MYSQL_CLASS_DATE:
		case MYSQL_CLASS_TIMESTAMP:
		case MYSQL_CLASS_TIMESTAMPTZ:
		case MYSQL_CLASS_TIME:
			return true;
		default:
			return false;
	}
}

static void
group_paths(PlannerInfo *root, RelOptInfo *input_rel, RelOptInfo *grouped_rel,
			GroupPathExtraData *extra)
{
	Query	   *parse = root->parse;
	MysqlRemote *input = FeathubMysqlRemoteOf(root, input_rel);
	MysqlRemote *remote;
	MysqlDeparse context;
	const FeathubEstimate *estimate;
	double		input_rows;
	double		rows;

	if (input == NULL || input->grouped || parse->groupingSets ||
		(!parse->groupClause && !parse->hasAggs) ||
		(extra->patype != PARTITIONWISE_AGGREGATE_NONE &&
		 extra->patype != PARTITIONWISE_AGGREGATE_FULL))
		return;
	FeathubMysqlRemoteContext(&context, root, root->all_baserels);
	remote = palloc(sizeof(MysqlRemote));
	memcpy(remote, input, sizeof(MysqlRemote));
	remote->grouped = true;
	remote->having = (List *) extra->havingQual;
	if (!check_target(&context, root, grouped_rel->reltarget, remote))
		return;

	input_rows = ((FeathubPlanRel *) input_rel->fdw_private)->estimate.rows;
	rows = 1;
	if (remote->group_by)
		rows = estimate_num_groups(root, remote->group_by, Max(input_rows, 1), NULL, NULL);
	estimate = FeathubMysqlSetRemote(grouped_rel, input_rel, remote, rows,
									 input_rows * cpu_operator_cost);
	add_path(grouped_rel, (Path *)
			 feathub_create_foreign_upper_path(root, grouped_rel, grouped_rel->reltarget,
											   estimate->rows, estimate->startup_cost,
											   estimate->total_cost, NIL));
}

/* Every output is a group or made of aggregates; fills tlist and group_by. */
static bool
check_target(MysqlDeparse *context, PlannerInfo *root, PathTarget *target, MysqlRemote *remote)
{
	List	   *tlist = NIL;
	List	   *aggregates = NIL;
	ListCell   *lc;
	int			i = 0;

	foreach(lc, target->exprs)
	{
		Expr	   *expr = lfirst(lc);
		Index		ref = get_pathtarget_sortgroupref(target, i++);

		if (ref && get_sortgroupref_clause_noerr(ref, root->parse->groupClause))
		{
			TargetEntry *entry;

			/* a constant would be the number of a column */
			if (IsA(expr, Const) || !FeathubMysqlGroupValue(context, expr))
				return false;
			entry = makeTargetEntry(expr, list_length(tlist) + 1, NULL, false);
			entry->ressortgroupref = ref;
			tlist = lappend(tlist, entry);
			remote->group_by = lappend(remote->group_by, expr);
		}
		else
			aggregates = list_concat(aggregates,
									 pull_var_clause((Node *) expr, PVC_INCLUDE_AGGREGATES |
													 PVC_INCLUDE_PLACEHOLDERS));
	}
	/* every group must be there: one that nobody looks at still divides */
	if (list_length(remote->group_by) != list_length(root->parse->groupClause))
		return false;

	foreach(lc, remote->having)
	{
		if (!FeathubMysqlDeparseCondition(context, lfirst(lc)))
			return false;
	}
	foreach(lc, aggregates)
	{
		Expr	   *expr = lfirst(lc);

		if (list_member(remote->group_by, expr))
			continue;
		if (!IsA(expr, Aggref) || !FeathubMysqlDeparseValue(context, expr))
			return false;
		tlist = add_to_flat_tlist(tlist, list_make1(expr));
	}
	remote->tlist = tlist;
	return true;
}

static void
order_paths(PlannerInfo *root, RelOptInfo *input_rel, RelOptInfo *ordered_rel)
{
	MysqlRemote *input = FeathubMysqlRemoteOf(root, input_rel);
	PathTarget *target = root->upper_targets[UPPERREL_ORDERED];
	MysqlRemote *remote;
	MysqlDeparse context;
	const FeathubEstimate *estimate = &((FeathubPlanRel *) input_rel->fdw_private)->estimate;
	ListCell   *lc;

	if (input == NULL || !output_possible(root, input, target))
		return;
	FeathubMysqlRemoteContext(&context, root, root->all_baserels);
	remote = palloc(sizeof(MysqlRemote));
	memcpy(remote, input, sizeof(MysqlRemote));
	foreach(lc, root->sort_pathkeys)
	{
		PathKey    *pathkey = lfirst_node(PathKey, lc);
		EquivalenceClass *ec = pathkey->pk_eclass;
		MysqlOrder *order = palloc0(sizeof(MysqlOrder));
		ListCell   *lc2;

		if (ec->ec_has_volatile)
			return;
		foreach(lc2, ec->ec_members)
		{
			EquivalenceMember *em = lfirst_node(EquivalenceMember, lc2);

			/* one that is in the output, and that is sorted there as here */
			if (em->em_is_child || em->em_is_const || !list_member(target->exprs, em->em_expr) ||
				!is_sortable(FeathubMysqlTypeClass(exprType((Node *) em->em_expr))) ||
				!FeathubMysqlDeparseValue(&context, em->em_expr))
				continue;
			order->expr = em->em_expr;
			break;
		}
		if (order->expr == NULL)
			return;
		order->descending = feathub_pathkey_descending(pathkey);
		order->nulls_first = pathkey->pk_nulls_first;
		remote->order_by = lappend(remote->order_by, order);
	}

	/* a little dearer than without, and much less so than a sort here */
	estimate = FeathubMysqlSetRemote(ordered_rel, input_rel, remote, estimate->rows,
									 estimate->total_cost * 0.02);
	add_path(ordered_rel, (Path *)
			 feathub_create_foreign_upper_path(root, ordered_rel, target, estimate->rows,
											   estimate->startup_cost, estimate->total_cost,
											   root->sort_pathkeys));
}

static void
final_paths(PlannerInfo *root, RelOptInfo *input_rel, RelOptInfo *final_rel,
			FinalPathExtraData *extra)
{
	Query	   *parse = root->parse;
	MysqlRemote *input = FeathubMysqlRemoteOf(root, input_rel);
	PathTarget *target = root->upper_targets[UPPERREL_FINAL];
	MysqlRemote *remote;
	const FeathubEstimate *estimate;
	double		rows;

	if (input == NULL || !extra->limit_needed || parse->limitOption != LIMIT_OPTION_COUNT ||
		(parse->sortClause && input->order_by == NIL && root->sort_pathkeys != NIL) ||
		!limit_possible(parse->limitCount) || !limit_possible(parse->limitOffset) ||
		!output_possible(root, input, target))
		return;
	remote = palloc(sizeof(MysqlRemote));
	memcpy(remote, input, sizeof(MysqlRemote));
	remote->limit_count = parse->limitCount;
	remote->limit_offset = parse->limitOffset;

	rows = ((FeathubPlanRel *) input_rel->fdw_private)->estimate.rows;
	if (extra->limit_tuples > 0 && extra->limit_tuples < rows)
		rows = extra->limit_tuples;
	estimate = FeathubMysqlSetRemote(final_rel, input_rel, remote, rows, 0);
	add_path(final_rel, (Path *)
			 feathub_create_foreign_upper_path(root, final_rel, target, estimate->rows,
											   estimate->startup_cost, estimate->total_cost,
											   root->sort_pathkeys));
}

/* Of a grouped query everything is there; else columns are asked for. */
static bool
output_possible(PlannerInfo *root, MysqlRemote *remote, PathTarget *target)
{
	MysqlDeparse context;

	if (remote->grouped)
		return true;
	FeathubMysqlRemoteContext(&context, root, root->all_baserels);
	return FeathubMysqlOutputPossible(&context, target->exprs);
}

/* A number that is known before the statement runs. */
static bool
limit_possible(Node *node)
{
	return node == NULL || IsA(node, Const) || IsA(node, Param);
}
