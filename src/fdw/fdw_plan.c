/*
 * fdw_plan.c
 *		Planning of foreign scans.  No network call is made here: what a remote
 *		side holds is known from ANALYZE, options and guesses.
 */
#include "postgres.h"

#include <math.h>

#include "access/sysattr.h"
#include "access/table.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "optimizer/cost.h"
#include "optimizer/optimizer.h"
#include "optimizer/paths.h"
#include "optimizer/planmain.h"
#include "optimizer/restrictinfo.h"
#include "utils/rel.h"

#include "connectors/connector.h"
#include "core/compat.h"
#include "fdw/fdw_plan.h"
#include "fdw/fdw_remote.h"

/* Rows of a table that nobody knows anything about. */
#define DEFAULT_ROWS 1000

/* What GetForeignRelSize leaves in RelOptInfo.fdw_private. */
typedef FeathubPlanRel FdwPlanState;

static void note_unique_key(RelOptInfo *baserel, FeathubRelation *rel);
static void estimate_default(RelOptInfo *baserel, FeathubEstimate *estimate);
static void add_parallel_path(PlannerInfo *root, RelOptInfo *baserel,
							  const FeathubEstimate *estimate);
static void add_lookup_paths(PlannerInfo *root, RelOptInfo *baserel, FdwPlanState *state);
static bool is_lookup_member(PlannerInfo *root, RelOptInfo *rel, EquivalenceClass *ec,
							 EquivalenceMember *em, void *arg);
static List *list_needed(PlannerInfo *root, RelOptInfo *baserel, Oid relid,
						 List *local_clauses);
static int	safe_limit(PlannerInfo *root, RelOptInfo *baserel, List *local_clauses);

void
FeathubFdwGetForeignRelSize(PlannerInfo *root, RelOptInfo *baserel, Oid foreigntableid)
{
	FdwPlanState *state = palloc0(sizeof(FdwPlanState));
	Oid			userid = OidIsValid(baserel->userid) ? baserel->userid : GetUserId();
	const FeathubConnector *connector;

	state->rel = FeathubRelationOpen(foreigntableid, userid);
	connector = state->rel->connector;
	baserel->fdw_private = state;

	note_unique_key(baserel, state->rel);

	/* width, cost of the restrictions, and rows if the table was analyzed */
	set_baserel_size_estimates(root, baserel);
	estimate_default(baserel, &state->estimate);
	if (connector->estimate)
		connector->estimate(state->rel, root, baserel, &state->estimate);

	baserel->rows = clamp_row_est(state->estimate.rows);
	if (state->estimate.width > 0)
		baserel->reltarget->width = state->estimate.width;
}

void
FeathubFdwGetForeignPaths(PlannerInfo *root, RelOptInfo *baserel, Oid foreigntableid)
{
	FdwPlanState *state = baserel->fdw_private;

	/* columns of other relations may be needed to compute the output */
	add_path(baserel, (Path *)
			 feathub_create_foreignscan_path(root, baserel, NULL,
											 baserel->rows,
											 state->estimate.startup_cost,
											 state->estimate.total_cost,
											 NIL, baserel->lateral_relids,
											 NULL, NIL));

	if (state->rel->connector->parallel_size && baserel->consider_parallel &&
		baserel->lateral_relids == NULL)
		add_parallel_path(root, baserel, &state->estimate);

	if (state->rel->connector->lookup_columns)
		add_lookup_paths(root, baserel, state);
}

ForeignScan *
FeathubFdwGetForeignPlan(PlannerInfo *root, RelOptInfo *baserel, Oid foreigntableid,
						 ForeignPath *best_path, List *tlist, List *scan_clauses,
						 Plan *outer_plan)
{
	FdwPlanState *state = baserel->fdw_private;
	const FeathubConnector *connector = state->rel->connector;
	FeathubScanPlan plan = {0};
	List	   *clauses = extract_actual_clauses(scan_clauses, false);
	List	   *private;

	if (!IS_SIMPLE_REL(baserel))
		return FeathubFdwPlanRemote(root, baserel, best_path, tlist, outer_plan);
	if (connector->plan_scan)
		connector->plan_scan(state->rel, root, baserel, clauses, &plan);
	else
		plan.local_clauses = clauses;

	private = list_make4(makeString(pstrdup(connector->name)),
						 plan.private,
						 list_needed(root, baserel, foreigntableid, plan.local_clauses),
						 makeInteger(safe_limit(root, baserel, plan.local_clauses)));

	return make_foreignscan(tlist,
							plan.local_clauses,
							baserel->relid,
							plan.params,
							private,
							NIL,
							list_difference(clauses, plan.local_clauses),
							outer_plan);
}

FeathubRelation *
FeathubFdwPlannedRelation(RelOptInfo *baserel, const FeathubEstimate **estimate)
{
	FdwPlanState *state = baserel->fdw_private;

	if (estimate)
		*estimate = &state->estimate;
	return state->rel;
}

bool
FeathubFdwIsForeignScanParallelSafe(PlannerInfo *root, RelOptInfo *rel,
									RangeTblEntry *rte)
{
	const FeathubConnector *connector = FeathubConnectorOfTable(rte->relid);

	ListCell   *lc;

	if (connector == NULL || connector->parallel_size == NULL)
		return false;
	if (connector->has_formats)
	{
		List	   *options = GetForeignTable(rte->relid)->options;

		foreach(lc, FeathubConnectorFormats(connector, options))
		{
			const FeathubFormat *format = lfirst(lc);

			if (format->parallel_safe && !format->parallel_safe(options, rte->relid))
				return false;
		}
	}
	return true;
}

/*
 * Let estimates know that a key of one column is unique, with statistics or
 * without: they look for a unique index.  It is not "immediate", so that no plan
 * relies on it; remote systems may let in what they like.
 */
static void
note_unique_key(RelOptInfo *baserel, FeathubRelation *rel)
{
	List	   *key = NIL;
	IndexOptInfo *index;

	if (rel->connector->update_row || rel->connector->delete_row)
		key = FeathubRelationKeyColumns(rel);
	if (list_length(key) != 1)
		return;
	index = makeNode(IndexOptInfo);
	index->rel = baserel;
	index->ncolumns = 1;
	index->nkeycolumns = 1;
	index->indexkeys = palloc(sizeof(int));
	index->indexkeys[0] = linitial_int(key);
	index->unique = true;
	index->immediate = false;
	baserel->indexlist = lappend(baserel->indexlist, index);
}

/* What is said of a table if the connector says nothing. */
static void
estimate_default(RelOptInfo *baserel, FeathubEstimate *estimate)
{
	double		tuples = baserel->tuples;

	estimate->rows = baserel->rows;
	if (tuples < 0)
	{
		tuples = DEFAULT_ROWS;
		estimate->rows = DEFAULT_ROWS;
	}
	estimate->width = baserel->reltarget->width;
	estimate->startup_cost = 100 + baserel->baserestrictcost.startup;
	estimate->total_cost = estimate->startup_cost +
		(cpu_tuple_cost + baserel->baserestrictcost.per_tuple) * tuples;
}

/* A scan that workers share, as many as a table of that size would get. */
static void
add_parallel_path(PlannerInfo *root, RelOptInfo *baserel,
				  const FeathubEstimate *estimate)
{
	double		tuples = Max(baserel->tuples, estimate->rows);
	double		pages = ceil(tuples * Max(baserel->reltarget->width, 32) / BLCKSZ);
	int			workers = compute_parallel_worker(baserel, pages, -1,
												  max_parallel_workers_per_gather);
	double		divisor = workers;
	ForeignPath *path;

	if (workers <= 0)
		return;

	/* as get_parallel_divisor, which is not exported */
	if (parallel_leader_participation)
		divisor += Max(1.0 - 0.3 * workers, 0);

	path = feathub_create_foreignscan_path(root, baserel, NULL,
										   clamp_row_est(baserel->rows / divisor),
										   estimate->startup_cost,
										   estimate->startup_cost +
										   (estimate->total_cost - estimate->startup_cost) / divisor,
										   NIL, NULL, NULL, NIL);
	path->path.parallel_aware = true;
	path->path.parallel_workers = workers;
	add_partial_path(baserel, (Path *) path);
}

/*
 * Scans for the inner side of nested loops: one for each set of other relations
 * that join clauses on lookup columns refer to.
 */
static void
add_lookup_paths(PlannerInfo *root, RelOptInfo *baserel, FdwPlanState *state)
{
	const FeathubEstimate *estimate = &state->estimate;
	const FeathubConnector *connector = state->rel->connector;
	Bitmapset  *columns = connector->lookup_columns(state->rel);
	List	   *clauses = list_copy(baserel->joininfo);
	List	   *infos = NIL;
	ListCell   *lc;

	if (bms_is_empty(columns))
		return;
	if (baserel->has_eclass_joins)
		clauses = list_concat(clauses,
							  generate_implied_equalities_for_column(root, baserel,
																	 is_lookup_member,
																	 columns,
																	 baserel->lateral_referencers));
	foreach(lc, clauses)
	{
		RestrictInfo *rinfo = lfirst(lc);
		Bitmapset  *attrs = NULL;
		Bitmapset  *used = NULL;
		Relids		outer;
		int			i = -1;

		if (!join_clause_is_movable_to(rinfo, baserel))
			continue;
		pull_varattnos((Node *) rinfo->clause, baserel->relid, &attrs);
		while ((i = bms_next_member(attrs, i)) >= 0)
		{
			if (i + FirstLowInvalidHeapAttributeNumber > 0)
				used = bms_add_member(used, i + FirstLowInvalidHeapAttributeNumber);
		}
		if (!bms_overlap(used, columns))
			continue;
		outer = bms_union(rinfo->clause_relids, baserel->lateral_relids);
		outer = bms_del_member(outer, baserel->relid);
		if (!bms_is_empty(outer))
			infos = list_append_unique_ptr(infos,
										   get_baserel_parampathinfo(root, baserel, outer));
	}

	foreach(lc, infos)
	{
		ParamPathInfo *info = lfirst(lc);
		double		share = info->ppi_rows / Max(baserel->rows, 1);
		Cost		run = (estimate->total_cost - estimate->startup_cost) * Min(share, 1);

		if (connector->lookup_saves &&
			!connector->lookup_saves(state->rel, root, baserel,
									 list_concat_copy(info->ppi_clauses,
													  baserel->baserestrictinfo)))
			continue;
		add_path(baserel, (Path *)
				 feathub_create_foreignscan_path(root, baserel, NULL,
												 info->ppi_rows,
												 estimate->startup_cost,
												 estimate->startup_cost + run,
												 NIL, info->ppi_req_outer, NULL, NIL));
	}
}

/* Is this member of an equivalence class one of the columns? */
static bool
is_lookup_member(PlannerInfo *root, RelOptInfo *rel, EquivalenceClass *ec,
				 EquivalenceMember *em, void *arg)
{
	Expr	   *expr = em->em_expr;

	while (IsA(expr, RelabelType))
		expr = ((RelabelType *) expr)->arg;
	return IsA(expr, Var) && ((Var *) expr)->varno == rel->relid &&
		((Var *) expr)->varattno > 0 &&
		bms_is_member(((Var *) expr)->varattno, (Bitmapset *) arg);
}

/*
 * The columns that a scan must fill: those of the output and of the clauses
 * checked here.  A whole-row reference is written out.
 */
static List *
list_needed(PlannerInfo *root, RelOptInfo *baserel, Oid relid, List *local_clauses)
{
	Relation	relation = table_open(relid, NoLock);
	TupleDesc	tupdesc = RelationGetDescr(relation);
	Bitmapset  *attrs = NULL;
	List	   *needed = NIL;
	bool		whole_row;

	pull_varattnos((Node *) baserel->reltarget->exprs, baserel->relid, &attrs);
	pull_varattnos((Node *) local_clauses, baserel->relid, &attrs);
	whole_row = bms_is_member(InvalidAttrNumber - FirstLowInvalidHeapAttributeNumber, attrs);
	for (int attnum = 1; attnum <= tupdesc->natts; attnum++)
	{
		if (TupleDescAttr(tupdesc, attnum - 1)->attisdropped)
			continue;
		if (whole_row ||
			bms_is_member(attnum - FirstLowInvalidHeapAttributeNumber, attrs))
			needed = lappend_int(needed, attnum);
	}
	table_close(relation, NoLock);
	return needed;
}

/*
 * The number of rows after which nobody will ask for more, or -1.
 *
 * The executor tells a scan nothing of a LIMIT above it.  Here it counts only
 * if it is a constant and every row of the scan goes to it unchanged: a query of
 * one table, whose restrictions the remote side answers, without anything that
 * sorts, groups or expands rows.
 */
static int
safe_limit(PlannerInfo *root, RelOptInfo *baserel, List *local_clauses)
{
	Query	   *parse = root->parse;
	int64		limit;

	if (local_clauses != NIL ||
		parse->commandType != CMD_SELECT ||
		parse->limitOption != LIMIT_OPTION_COUNT ||
		parse->limitCount == NULL || !IsA(parse->limitCount, Const) ||
		((Const *) parse->limitCount)->constisnull ||
		(parse->limitOffset && !IsA(parse->limitOffset, Const)) ||
		parse->sortClause || parse->groupClause || parse->groupingSets ||
		parse->distinctClause || parse->hasAggs || parse->hasWindowFuncs ||
		parse->hasTargetSRFs || parse->havingQual || parse->setOperations ||
		parse->rowMarks ||
		bms_membership(root->all_baserels) != BMS_SINGLETON)
		return -1;

	limit = DatumGetInt64(((Const *) parse->limitCount)->constvalue);
	if (parse->limitOffset && !((Const *) parse->limitOffset)->constisnull)
	{
		int64		offset = DatumGetInt64(((Const *) parse->limitOffset)->constvalue);

		if (offset > PG_INT32_MAX)
			return -1;
		limit += Max(offset, 0);
	}
	if (limit < 0 || limit > PG_INT32_MAX)
		return -1;
	return (int) limit;
}
