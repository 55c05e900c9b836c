/*
 * mysql_join.c
 *		Joins of tables of one server, and the plans of all statements that are
 *		more than one table's scan.
 *
 * INNER, LEFT and RIGHT joins all clauses of which can be left to the server.
 * Joins on text stay here: such a comparison can use no index there.
 */
#include "postgres.h"

#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/cost.h"
#include "optimizer/optimizer.h"
#include "optimizer/pathnode.h"
#include "optimizer/restrictinfo.h"
#include "optimizer/tlist.h"

#include "connectors/mysql/mysql_remote.h"
#include "connectors/mysql/mysql_scan.h"
#include "core/compat.h"

static bool has_pseudoconstant(List *rinfos);
static void from_clause(MysqlDeparse *context, MysqlRemote *remote);
static void conditions(MysqlDeparse *context, List *clauses, const char *first);
static void target_list(MysqlDeparse *context, MysqlRemote *remote, List *tlist);
static void limit(MysqlDeparse *context, const char *word, Node *node, MysqlHoleKind kind);

MysqlRemote *
FeathubMysqlRemoteOf(PlannerInfo *root, RelOptInfo *rel)
{
	FeathubPlanRel *planned = rel->fdw_private;
	MysqlRemote *remote;
	MysqlDeparse context;

	if (planned == NULL)
		return NULL;
	remote = planned->state;
	if (remote == NULL)
	{
		if (!IS_SIMPLE_REL(rel))
			return NULL;
		remote = palloc0(sizeof(MysqlRemote));
		planned->state = remote;
		remote->table = rel;
		remote->conditions = extract_actual_clauses(rel->baserestrictinfo, false);
		FeathubMysqlRemoteContext(&context, root, rel->relids);
		remote->possible = ((MysqlOptions *) planned->rel->options)->pushdown &&
			!has_pseudoconstant(rel->baserestrictinfo) &&
			FeathubMysqlAllShippable(&context, remote->conditions);
	}
	return remote->possible ? remote : NULL;
}

/* Note that a relation can be asked for, and what that costs. */
const FeathubEstimate *
FeathubMysqlSetRemote(RelOptInfo *rel, RelOptInfo *input, MysqlRemote *remote, double rows,
					  Cost startup_cost)
{
	FeathubPlanRel *planned = palloc0(sizeof(FeathubPlanRel));
	MysqlOptions *options;

	remote->possible = true;
	planned->rel = ((FeathubPlanRel *) input->fdw_private)->rel;
	planned->state = remote;
	options = planned->rel->options;
	planned->estimate.rows = rows;
	planned->estimate.startup_cost = options->fdw_startup_cost + startup_cost;
	planned->estimate.total_cost = planned->estimate.startup_cost +
		rows * (options->fdw_tuple_cost + cpu_tuple_cost);
	rel->fdw_private = planned;
	return &planned->estimate;
}

void
FeathubMysqlRemoteContext(MysqlDeparse *context, PlannerInfo *root, Relids relids)
{
	FeathubMysqlDeparseInit(context, root, relids);
	context->qualify = true;
	context->strict = 1;
}

bool
FeathubMysqlAllShippable(MysqlDeparse *context, List *clauses)
{
	ListCell   *lc;

	foreach(lc, clauses)
	{
		if (!FeathubMysqlDeparseCondition(context, lfirst(lc)))
			return false;
	}
	return true;
}

bool
FeathubMysqlOutputPossible(MysqlDeparse *context, List *exprs)
{
	List	   *vars = pull_var_clause((Node *) exprs, PVC_RECURSE_AGGREGATES |
									   PVC_RECURSE_WINDOWFUNCS | PVC_INCLUDE_PLACEHOLDERS);
	ListCell   *lc;

	foreach(lc, vars)
	{
		Var		   *var = lfirst(lc);
		FeathubRelation *rel;

		if (!IsA(var, Var) || var->varlevelsup != 0 || var->varattno <= 0 ||
			!bms_is_member(var->varno, context->relids))
			return false;
		rel = FeathubMysqlPlannedRelation(context, var->varno);
		if (TupleDescAttr(rel->tupdesc, var->varattno - 1)->attgenerated)
			return false;
	}
	return true;
}

void
FeathubMysqlGetJoinPaths(PlannerInfo *root, RelOptInfo *joinrel, RelOptInfo *outerrel,
						 RelOptInfo *innerrel, JoinType jointype, JoinPathExtraData *extra)
{
	MysqlRemote *outer;
	MysqlRemote *inner;
	MysqlRemote *remote;
	MysqlDeparse context;
	const FeathubEstimate *estimate;
	List	   *join_clauses = NIL;
	List	   *other_clauses = NIL;
	ListCell   *lc;

	if (jointype == JOIN_RIGHT)
	{
		RelOptInfo *swap = outerrel;

		outerrel = innerrel;
		innerrel = swap;
		jointype = JOIN_LEFT;
	}
	if (jointype != JOIN_INNER && jointype != JOIN_LEFT)
		return;
	outer = FeathubMysqlRemoteOf(root, outerrel);
	inner = FeathubMysqlRemoteOf(root, innerrel);
	if (outer == NULL || inner == NULL || has_pseudoconstant(extra->restrictlist))
		return;

	foreach(lc, extra->restrictlist)
	{
		RestrictInfo *rinfo = lfirst_node(RestrictInfo, lc);

		if (jointype == JOIN_LEFT && !RINFO_IS_PUSHED_DOWN(rinfo, joinrel->relids))
			join_clauses = lappend(join_clauses, rinfo->clause);
		else
			other_clauses = lappend(other_clauses, rinfo->clause);
	}

	/* without a condition it is for us to multiply */
	if (join_clauses == NIL && other_clauses == NIL)
		return;
	FeathubMysqlRemoteContext(&context, root, joinrel->relids);
	if (!FeathubMysqlAllShippable(&context, join_clauses) ||
		!FeathubMysqlAllShippable(&context, other_clauses) ||
		!FeathubMysqlOutputPossible(&context, joinrel->reltarget->exprs))
		return;

	remote = palloc0(sizeof(MysqlRemote));
	remote->outer = outer;
	remote->inner = inner;
	remote->left = jointype == JOIN_LEFT;
	remote->conditions = list_concat_copy(outer->conditions, other_clauses);
	if (remote->left)
		remote->on = list_concat_copy(join_clauses, inner->conditions);
	else
		remote->conditions = list_concat(remote->conditions, inner->conditions);
	estimate = FeathubMysqlSetRemote(joinrel, outerrel, remote, joinrel->rows,
									 (outerrel->rows + innerrel->rows) * cpu_operator_cost);
	add_path(joinrel, (Path *)
			 feathub_create_foreign_join_path(root, joinrel, estimate->rows,
											  estimate->startup_cost, estimate->total_cost));
}

void
FeathubMysqlPlanRemote(PlannerInfo *root, RelOptInfo *rel, ForeignPath *path,
					   FeathubScanPlan *plan)
{
	MysqlRemote *remote = ((FeathubPlanRel *) rel->fdw_private)->state;
	MysqlDeparse context;
	List	   *tlist = remote->tlist;

	FeathubMysqlRemoteContext(&context, root, IS_JOIN_REL(rel) ? rel->relids : root->all_baserels);
	if (!remote->grouped)
	{
		/* what is computed of the columns is computed here */
		List	   *exprs = IS_JOIN_REL(rel) ? rel->reltarget->exprs : path->path.pathtarget->exprs;

		tlist = add_to_flat_tlist(NIL, pull_var_clause((Node *) exprs, PVC_RECURSE_PLACEHOLDERS));
	}
	appendStringInfoString(&context.sql, "SELECT ");
	target_list(&context, remote, tlist);
	appendStringInfoString(&context.sql, " FROM ");
	from_clause(&context, remote);
	conditions(&context, remote->conditions, " WHERE ");
	if (remote->group_by)
	{
		ListCell   *lc;

		foreach(lc, remote->group_by)
		{
			appendStringInfoString(&context.sql,
								   foreach_current_index(lc) > 0 ? ", " : " GROUP BY ");
			if (!FeathubMysqlGroupValue(&context, lfirst(lc)))
				elog(ERROR, "could not deparse a grouping expression");
		}
	}
	conditions(&context, remote->having, " HAVING ");
	FeathubMysqlOrderBy(&context, remote->order_by);
	if (remote->limit_count || remote->limit_offset)
	{
		/* there is no OFFSET alone */
		if (remote->limit_count)
			limit(&context, " LIMIT ", remote->limit_count, MYSQL_HOLE_LIMIT);
		else
			appendStringInfoString(&context.sql, " LIMIT 18446744073709551615");
		if (remote->limit_offset)
			limit(&context, " OFFSET ", remote->limit_offset, MYSQL_HOLE_OFFSET);
	}
	plan->params = context.params;
	plan->scan_tlist = tlist;
	plan->private = list_make2(FeathubMysqlTemplateMake(&context), makeString(pstrdup("")));
}

/* A clause that decides once for the whole join would get lost. */
static bool
has_pseudoconstant(List *rinfos)
{
	ListCell   *lc;

	foreach(lc, rinfos)
	{
		if (lfirst_node(RestrictInfo, lc)->pseudoconstant)
			return true;
	}
	return false;
}

static void
from_clause(MysqlDeparse *context, MysqlRemote *remote)
{
	if (remote->table)
	{
		FeathubMysqlDeparseTable(&context->sql, FeathubMysqlPlannedRelation(context, remote->table->relid));
		appendStringInfo(&context->sql, " r%u", remote->table->relid);
		return;
	}
	appendStringInfoChar(&context->sql, '(');
	from_clause(context, remote->outer);
	appendStringInfoString(&context->sql, remote->left ? " LEFT JOIN " : " INNER JOIN ");
	from_clause(context, remote->inner);
	if (remote->on)
		conditions(context, remote->on, " ON ");
	else
		appendStringInfoString(&context->sql, " ON TRUE");
	appendStringInfoChar(&context->sql, ')');
}

static void
conditions(MysqlDeparse *context, List *clauses, const char *first)
{
	ListCell   *lc;

	foreach(lc, clauses)
	{
		appendStringInfoString(&context->sql, foreach_current_index(lc) > 0 ? " AND " : first);
		if (!FeathubMysqlDeparseCondition(context, lfirst(lc)))
			elog(ERROR, "could not deparse a condition");
	}
}

static void
target_list(MysqlDeparse *context, MysqlRemote *remote, List *tlist)
{
	ListCell   *lc;

	foreach(lc, tlist)
	{
		TargetEntry *entry = lfirst_node(TargetEntry, lc);

		if (foreach_current_index(lc) > 0)
			appendStringInfoString(&context->sql, ", ");
		if (!remote->grouped)
		{
			Var		   *var = castNode(Var, entry->expr);

			FeathubMysqlDeparseColumn(context, FeathubMysqlPlannedRelation(context, var->varno),
									  var->varno, var->varattno, true);
			continue;
		}
		if (entry->ressortgroupref ? !FeathubMysqlGroupValue(context, entry->expr) :
			!FeathubMysqlDeparseValue(context, entry->expr))
			elog(ERROR, "could not deparse an output column");
		if (FeathubMysqlTypeClass(exprType((Node *) entry->expr)) == MYSQL_CLASS_FLOAT)
			appendStringInfoString(&context->sql, " + 0e0");
	}
	if (tlist == NIL)
		appendStringInfoString(&context->sql, "NULL");
}

static void
limit(MysqlDeparse *context, const char *word, Node *node, MysqlHoleKind kind)
{
	appendStringInfoString(&context->sql, word);
	FeathubMysqlHole(context, node, kind);
}
