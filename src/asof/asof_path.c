/*
 * asof_path.c
 *		Offer the point-in-time join to the planner.
 *
 * The twin of the lateral subquery is planned as a subquery of its own, at most
 * once for each order it may be wanted in, and only if the paths known so far
 * are not cheap already.  Its place in the plan is a scan of the subquery's own
 * range table entry, which therefore stays, with its permissions.
 *
 * All strategies return the rows in the order of the outer side.
 */
#include "postgres.h"

#include <math.h>

#include "access/nbtree.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/clauses.h"
#include "optimizer/cost.h"
#include "optimizer/optimizer.h"
#include "optimizer/pathnode.h"
#include "optimizer/paths.h"
#include "optimizer/planner.h"
#include "optimizer/restrictinfo.h"
#include "optimizer/tlist.h"
#include "utils/lsyscache.h"
#include "utils/selfuncs.h"

#include "asof/asof_private.h"
#include "core/compat.h"
#include "core/guc.h"

/* What the server's paths may cost without ours being looked for. */
#define CHEAP_ENOUGH 200.0

/* The order in which a twin gives its rows. */
typedef enum TwinOrder
{
	TWIN_UNORDERED,
	TWIN_BY_TIME,
	TWIN_BY_KEY,				/* and time */
	TWIN_ORDERS
} TwinOrder;

typedef struct Twin
{
	bool		planned;
	PlannerInfo *subroot;
	RelOptInfo *rel;			/* stands for the subquery's in the plan */
	Path	   *path;			/* NULL if there is none */
	Path	   *parallel_path;	/* that a worker can run as a whole */
} Twin;

/* What is known of a subquery, kept in its RelOptInfo's fdw_private. */
typedef struct AsofInfo
{
	const void *magic;			/* &asof_magic: it is ours */
	FeathubAsofPattern *pattern;	/* NULL: not of our kind */
	bool		hashable;
	bool		mergeable;
	List	   *families;		/* btree operator family of each key, to merge */
	Twin		twins[TWIN_ORDERS];
	double		distinct;		/* keys of the twin */
	bool		parallel_safe;	/* the expressions of ours */
} AsofInfo;

/* One call of the hook. */
typedef struct JoinContext
{
	PlannerInfo *root;
	RelOptInfo *joinrel;
	RelOptInfo *outerrel;
	RelOptInfo *innerrel;
	JoinType	jointype;
	AsofInfo   *info;
	List	   *join_quals;
	List	   *other_quals;
} JoinContext;

static const char asof_magic = 0;
static set_join_pathlist_hook_type previous_hook = NULL;

static void join_pathlist_hook(PlannerInfo *root, RelOptInfo *joinrel, RelOptInfo *outerrel,
							   RelOptInfo *innerrel, JoinType jointype, JoinPathExtraData *extra);
static bool is_candidate(PlannerInfo *root, RelOptInfo *joinrel, RelOptInfo *outerrel,
						 RelOptInfo *innerrel, JoinType jointype);
static AsofInfo *get_info(PlannerInfo *root, RelOptInfo *innerrel);
static bool keys_hashable(FeathubAsofPattern *pattern);
static bool keys_mergeable(FeathubAsofPattern *pattern, List **families);
static bool time_comparable(FeathubAsofPattern *pattern);
static bool outer_gives(JoinContext *join);
static bool split_quals(JoinContext *join, List *restrictlist);
static List *in_security_order(List *rinfos);
static Twin *get_twin(JoinContext *join, TwinOrder order);
static void add_order(Query *query, AttrNumber column, Oid family, Oid type);
static void plan_twin(JoinContext *join, Twin *twin, TwinOrder order);
static void offer(JoinContext *join, FeathubAsofStrategy strategy, Path *outer, bool partial);
static Path *sorted_outer(JoinContext *join, FeathubAsofStrategy strategy, Path *outer);
static bool estimate(JoinContext *join, FeathubAsofPath *path, Path *outer, Path *inner);

void
FeathubAsofPathInit(void)
{
	previous_hook = set_join_pathlist_hook;
	set_join_pathlist_hook = join_pathlist_hook;
}

static void
join_pathlist_hook(PlannerInfo *root, RelOptInfo *joinrel, RelOptInfo *outerrel,
				   RelOptInfo *innerrel, JoinType jointype, JoinPathExtraData *extra)
{
	JoinContext join = {
		.root = root, .joinrel = joinrel, .outerrel = outerrel,
		.innerrel = innerrel, .jointype = jointype
	};
	List	   *outers;
	ListCell   *lc;
	Cost		cheapest = -1;

	if (previous_hook)
		previous_hook(root, joinrel, outerrel, innerrel, jointype, extra);

	if (!feathub_enable_asof_join || !is_candidate(root, joinrel, outerrel, innerrel, jointype))
		return;
	foreach(lc, joinrel->pathlist)
	{
		Path	   *path = (Path *) lfirst(lc);

		if (path->param_info == NULL && feathub_disabled_nodes(path) == 0 &&
			(cheapest < 0 || path->total_cost < cheapest))
			cheapest = path->total_cost;
	}
	if (cheapest >= 0 && cheapest < CHEAP_ENOUGH)
		return;
	join.info = get_info(root, innerrel);
	if (join.info->pattern == NULL || !outer_gives(&join) || !split_quals(&join, extra->restrictlist))
		return;

	/* the cheapest, and those whose order may be of use above */
	outers = list_make1(outerrel->cheapest_total_path);
	foreach(lc, outerrel->pathlist)
	{
		Path	   *path = (Path *) lfirst(lc);

		if (path->param_info == NULL && path->pathkeys != NIL)
			outers = list_append_unique_ptr(outers, path);
	}
	foreach(lc, outers)
		for (int strategy = FEATHUB_ASOF_FEATURE_HASH; strategy <= FEATHUB_ASOF_MERGE; strategy++)
			offer(&join, (FeathubAsofStrategy) strategy, (Path *) lfirst(lc), false);

	/*
	 * The server thinks a LIMIT in a worker unsafe, since workers may get
	 * different rows; but each outer row is in one worker only.
	 */
	if (outerrel->consider_parallel && outerrel->partial_pathlist != NIL && join.info->parallel_safe &&
		is_parallel_safe(root, (Node *) join.join_quals) &&
		is_parallel_safe(root, (Node *) join.other_quals) &&
		is_parallel_safe(root, (Node *) joinrel->reltarget->exprs))
	{
		joinrel->consider_parallel = true;
		for (int strategy = FEATHUB_ASOF_FEATURE_HASH; strategy <= FEATHUB_ASOF_MERGE; strategy++)
			offer(&join, (FeathubAsofStrategy) strategy, (Path *) linitial(outerrel->partial_pathlist), true);
	}
}

static bool
is_candidate(PlannerInfo *root, RelOptInfo *joinrel, RelOptInfo *outerrel,
			 RelOptInfo *innerrel, JoinType jointype)
{
	if (jointype != JOIN_INNER && jointype != JOIN_LEFT)
		return false;
	if (innerrel->reloptkind != RELOPT_BASEREL || innerrel->rtekind != RTE_SUBQUERY)
		return false;
	/* lateral, and this join gives all that it refers to */
	if (bms_is_empty(innerrel->lateral_relids) ||
		!bms_is_subset(innerrel->lateral_relids, outerrel->relids) ||
		!bms_is_empty(joinrel->lateral_relids))
		return false;
	if (outerrel->cheapest_total_path == NULL || outerrel->cheapest_total_path->param_info != NULL)
		return false;
	/* rows that are locked or changed may be looked at again, one by one */
	return root->rowMarks == NIL &&
		(root->parse->commandType == CMD_SELECT || root->parse->commandType == CMD_INSERT);
}

/* Look at a subquery once. */
static AsofInfo *
get_info(PlannerInfo *root, RelOptInfo *innerrel)
{
	AsofInfo   *info = (AsofInfo *) innerrel->fdw_private;
	FeathubAsofPattern *pattern;
	MemoryContext old;

	if (info != NULL && info->magic == &asof_magic)
		return info;
	/* GEQO's own memory does not live long enough */
	old = MemoryContextSwitchTo(root->planner_cxt);
	info = (AsofInfo *) palloc0(sizeof(AsofInfo));
	info->magic = &asof_magic;
	pattern = FeathubAsofRecognize(root, innerrel);
	if (pattern != NULL && time_comparable(pattern))
	{
		info->hashable = keys_hashable(pattern);
		info->mergeable = keys_mergeable(pattern, &info->families);
		info->parallel_safe = is_parallel_safe(root, (Node *) pattern->keys) &&
			is_parallel_safe(root, (Node *) pattern->upper) &&
			is_parallel_safe(root, (Node *) pattern->lowers) &&
			is_parallel_safe(root, (Node *) pattern->expressions);
		if (info->hashable || info->mergeable)
			info->pattern = pattern;
	}
	innerrel->fdw_private = info;
	MemoryContextSwitchTo(old);
	return info;
}

static bool
keys_hashable(FeathubAsofPattern *pattern)
{
	ListCell   *lc;

	foreach(lc, pattern->keys)
	{
		OpExpr	   *clause = lfirst_node(OpExpr, lc);
		Oid			left;
		Oid			right;

		if (!op_hashjoinable(clause->opno, exprType((Node *) linitial(clause->args))) ||
			!get_op_hash_functions(clause->opno, &left, &right) ||
			!get_compatible_hash_operators(clause->opno, &left, NULL) ||
			!get_compatible_hash_operators(clause->opno, NULL, &right))
			return false;
	}
	return true;
}

/* Can both sides be sorted by the keys, in one order? */
static bool
keys_mergeable(FeathubAsofPattern *pattern, List **families)
{
	ListCell   *lc;

	foreach(lc, pattern->keys)
	{
		OpExpr	   *clause = lfirst_node(OpExpr, lc);
		List	   *candidates;
		ListCell   *f;
		bool		found = false;

		if (!op_mergejoinable(clause->opno, exprType((Node *) linitial(clause->args))) ||
			exprCollation((Node *) linitial(clause->args)) != clause->inputcollid ||
			exprCollation((Node *) lsecond(clause->args)) != clause->inputcollid)
			return false;
		candidates = get_mergejoin_opfamilies(clause->opno);
		foreach(f, candidates)
		{
			if (FeathubAsofMergeFamily(clause->opno, lfirst_oid(f)))
			{
				*families = lappend_oid(*families, lfirst_oid(f));
				found = true;
				break;
			}
		}
		if (!found)
			return false;
	}
	return exprCollation((Node *) lsecond(pattern->upper->args)) == pattern->upper->inputcollid;
}

/* Does a btree operator family have all that a merge by the operator needs? */
bool
FeathubAsofMergeFamily(Oid opno, Oid family)
{
	Oid			left;
	Oid			right;

	op_input_types(opno, &left, &right);
	return OidIsValid(get_opfamily_member(family, left, left, BTLessStrategyNumber)) &&
		OidIsValid(get_opfamily_member(family, left, left, BTEqualStrategyNumber)) &&
		OidIsValid(get_opfamily_member(family, right, right, BTLessStrategyNumber)) &&
		OidIsValid(get_opfamily_member(family, right, right, BTEqualStrategyNumber)) &&
		OidIsValid(get_opfamily_proc(family, left, right, BTORDER_PROC)) &&
		OidIsValid(get_opfamily_proc(family, right, right, BTORDER_PROC));
}

static bool
time_comparable(FeathubAsofPattern *pattern)
{
	Oid			left;
	Oid			right;

	op_input_types(pattern->upper->opno, &left, &right);
	return FeathubAsofMergeFamily(pattern->upper->opno, pattern->time_family) &&
		OidIsValid(get_opfamily_proc(pattern->time_family, left, left, BTORDER_PROC));
}

/* Does the outer side give all that our expressions take from it? */
static bool
outer_gives(JoinContext *join)
{
	FeathubAsofPattern *pattern = join->info->pattern;
	List	   *needed;
	ListCell   *lc;

	needed = pull_var_clause((Node *) list_make4(pattern->keys, pattern->upper, pattern->lowers,
												 pattern->expressions),
							 PVC_INCLUDE_PLACEHOLDERS);
	foreach(lc, needed)
	{
		Node	   *node = (Node *) lfirst(lc);

		if (IsA(node, Var) && ((Var *) node)->varno == pattern->relid)
			continue;
		if (!list_member(join->outerrel->reltarget->exprs, node))
			return false;
	}
	return true;
}

/*
 * Clauses on the subquery's columns decide whether its row is a match; those
 * that an outer join has above it filter what it gives.
 */
static bool
split_quals(JoinContext *join, List *restrictlist)
{
	List	   *inner = join->innerrel->baserestrictinfo;
	List	   *of_join = list_copy(inner);
	List	   *above = NIL;
	ListCell   *lc;

	foreach(lc, list_concat_copy(inner, restrictlist))
		if (lfirst_node(RestrictInfo, lc)->pseudoconstant)
			return false;
	foreach(lc, restrictlist)
	{
		RestrictInfo *rinfo = lfirst_node(RestrictInfo, lc);

		if (join->jointype == JOIN_LEFT && RINFO_IS_PUSHED_DOWN(rinfo, join->joinrel->relids))
			above = lappend(above, rinfo);
		else
			of_join = lappend(of_join, rinfo);
	}
	if (join->jointype == JOIN_INNER)
	{
		above = of_join;
		of_join = NIL;
	}
	join->join_quals = extract_actual_clauses(in_security_order(of_join), false);
	join->other_quals = extract_actual_clauses(in_security_order(above), false);
	return true;
}

/* Clauses of a security barrier come before what might leak. */
static List *
in_security_order(List *rinfos)
{
	List	   *result = NIL;
	Index		level = 0;

	while (list_length(result) < list_length(rinfos))
	{
		ListCell   *lc;
		Index		next = PG_UINT32_MAX;

		foreach(lc, rinfos)
		{
			RestrictInfo *rinfo = lfirst_node(RestrictInfo, lc);

			if (rinfo->security_level == level)
				result = lappend(result, rinfo);
			else if (rinfo->security_level > level && rinfo->security_level < next)
				next = rinfo->security_level;
		}
		level = next;
	}
	return result;
}

/* The twin in an order; path is NULL if there is none. */
static Twin *
get_twin(JoinContext *join, TwinOrder order)
{
	Twin	   *twin = &join->info->twins[order];

	if (!twin->planned)
	{
		MemoryContext old = MemoryContextSwitchTo(join->root->planner_cxt);

		twin->planned = true;
		plan_twin(join, twin, order);
		MemoryContextSwitchTo(old);
	}
	return twin;
}

static void
plan_twin(JoinContext *join, Twin *twin, TwinOrder order)
{
	FeathubAsofPattern *pattern = join->info->pattern;
	Query	   *query = (Query *) copyObject(pattern->twin);
	RelOptInfo *final;
	SubqueryScanPath *scan;
	PathTarget *target = create_empty_pathtarget();
	ListCell   *lc;
	ListCell   *f;

	if (order == TWIN_BY_KEY)
		forboth(lc, pattern->keys, f, join->info->families)
		{
			OpExpr	   *clause = lfirst_node(OpExpr, lc);
			Var		   *var = (Var *) FeathubAsofStripRelabel((Node *) linitial(clause->args));
			Oid			left;
			Oid			right;

			op_input_types(clause->opno, &left, &right);
			add_order(query, var->varattno, lfirst_oid(f), left);
		}
	if (order != TWIN_UNORDERED)
	{
		Oid			left;
		Oid			right;

		op_input_types(pattern->upper->opno, &left, &right);
		add_order(query, pattern->time, pattern->time_family, left);
	}

	twin->subroot = feathub_subquery_planner(join->root->glob, query, join->root);
	final = fetch_upper_rel(twin->subroot, UPPERREL_FINAL, NULL);
	if (IS_DUMMY_REL(final))
		return;

	twin->rel = makeNode(RelOptInfo);
	memcpy(twin->rel, join->innerrel, sizeof(RelOptInfo));
	twin->rel->subroot = twin->subroot;
	twin->rel->baserestrictinfo = NIL;
	twin->rel->joininfo = NIL;
	twin->rel->lateral_relids = NULL;
	twin->rel->direct_lateral_relids = NULL;
	twin->rel->lateral_vars = NIL;
	twin->rel->pathlist = NIL;
	twin->rel->ppilist = NIL;
	twin->rel->partial_pathlist = NIL;
	twin->rel->rows = final->cheapest_total_path->rows;
	foreach(lc, query->targetList)
	{
		TargetEntry *tle = lfirst_node(TargetEntry, lc);

		if (tle->resjunk)
			continue;
		add_column_to_pathtarget(target,
								 (Expr *) makeVarFromTargetEntry(pattern->relid, tle), 0);
	}
	target->width = final->cheapest_total_path->pathtarget->width;
	twin->rel->reltarget = target;

	foreach(lc, final->pathlist)
	{
		Path	   *path = (Path *) lfirst(lc);
		bool		best = path == final->cheapest_total_path;
		bool		safe = path->parallel_safe &&
			(twin->parallel_path == NULL || path->total_cost < twin->parallel_path->total_cost);

		if (!best && !safe)
			continue;
		scan = makeNode(SubqueryScanPath);
		scan->path = *path;
		scan->path.type = T_SubqueryScanPath;
		scan->path.pathtype = T_SubqueryScan;
		scan->path.parent = twin->rel;
		scan->path.pathtarget = target;
		scan->path.param_info = NULL;
		scan->path.parallel_aware = false;
		scan->path.pathkeys = NIL;
		scan->subpath = path;
		if (best)
			twin->path = (Path *) scan;
		if (safe)
			twin->parallel_path = (Path *) scan;
	}

	if (order == TWIN_UNORDERED)
	{
		List	   *exprs = NIL;

		foreach(lc, pattern->keys)
		{
			Var		   *var = (Var *) FeathubAsofStripRelabel((Node *) linitial(lfirst_node(OpExpr, lc)->args));

			/* the twin's own, as its planner left it */
			exprs = lappend(exprs, list_nth_node(TargetEntry, twin->subroot->processed_tlist,
												 var->varattno - 1)->expr);
		}
		join->info->distinct = estimate_num_groups(twin->subroot, exprs, twin->path->rows, NULL, NULL);
	}
}

/* ORDER BY column, ascending */
static void
add_order(Query *query, AttrNumber column, Oid family, Oid type)
{
	TargetEntry *tle = list_nth_node(TargetEntry, query->targetList, column - 1);
	SortGroupClause *sort = makeNode(SortGroupClause);
	ListCell   *lc;

	if (tle->ressortgroupref != 0)
		return;
	foreach(lc, query->targetList)
		tle->ressortgroupref = Max(tle->ressortgroupref, lfirst_node(TargetEntry, lc)->ressortgroupref);
	tle->ressortgroupref++;
	sort->tleSortGroupRef = tle->ressortgroupref;
	sort->sortop = get_opfamily_member(family, type, type, BTLessStrategyNumber);
	sort->eqop = get_opfamily_member(family, type, type, BTEqualStrategyNumber);
	query->sortClause = lappend(query->sortClause, sort);
}

/* Add a path of a strategy, if it applies. */
static void
offer(JoinContext *join, FeathubAsofStrategy strategy, Path *outer, bool partial)
{
	static const TwinOrder orders[] = {
		[FEATHUB_ASOF_FEATURE_HASH] = TWIN_UNORDERED,
		[FEATHUB_ASOF_SPINE_HASH] = TWIN_UNORDERED,
		[FEATHUB_ASOF_TIME_ORDERED] = TWIN_BY_TIME,
		[FEATHUB_ASOF_MERGE] = TWIN_BY_KEY
	};
	FeathubAsofPath *path;
	Path	   *inner;
	Twin	   *twin;

	if (feathub_asof_join_strategy != FEATHUB_ASOF_AUTO && feathub_asof_join_strategy != strategy)
		return;
	if (strategy == FEATHUB_ASOF_MERGE ? !join->info->mergeable : !join->info->hashable)
		return;
	if (get_twin(join, TWIN_UNORDERED)->path == NULL)
		return;
	twin = get_twin(join, orders[strategy]);
	inner = partial ? twin->parallel_path : twin->path;
	if (inner == NULL)
		return;
	outer = sorted_outer(join, strategy, outer);
	if (outer == NULL)
		return;

	path = (FeathubAsofPath *) palloc0(sizeof(FeathubAsofPath));
	path->strategy = strategy;
	path->pattern = join->info->pattern;
	path->subroot = twin->subroot;
	path->left = join->jointype == JOIN_LEFT;
	path->join_quals = join->join_quals;
	path->other_quals = join->other_quals;
	path->cpath.path.type = T_CustomPath;
	path->cpath.path.pathtype = T_CustomScan;
	path->cpath.path.parent = join->joinrel;
	path->cpath.path.pathtarget = join->joinrel->reltarget;
	path->cpath.path.parallel_safe = join->joinrel->consider_parallel && join->info->parallel_safe &&
		outer->parallel_safe && inner->parallel_safe;
	path->cpath.path.parallel_workers = outer->parallel_workers;
	path->cpath.path.rows = join->joinrel->rows;
	if (partial)
		path->cpath.path.rows = clamp_row_est(join->joinrel->rows * outer->rows / Max(join->outerrel->rows, 1));
	path->cpath.path.pathkeys = build_join_pathkeys(join->root, join->joinrel, join->jointype, outer->pathkeys);
	path->cpath.flags = CUSTOMPATH_SUPPORT_PROJECTION;
	path->cpath.custom_paths = list_make2(outer, inner);
	path->cpath.methods = &FeathubAsofPathMethods;
	feathub_set_disabled_nodes(&path->cpath.path,
							   feathub_disabled_nodes(outer) + feathub_disabled_nodes(inner));
	if (!estimate(join, path, outer, inner))
		return;
	if (!partial)
		add_path(join->joinrel, &path->cpath.path);
	else if (path->cpath.path.parallel_safe)
		add_partial_path(join->joinrel, &path->cpath.path);
}

/* The outer side in the order that the strategy wants. */
static Path *
sorted_outer(JoinContext *join, FeathubAsofStrategy strategy, Path *outer)
{
	FeathubAsofPattern *pattern = join->info->pattern;
	List	   *clauses = NIL;
	List	   *families = NIL;
	List	   *tlist = NIL;
	List	   *sorts = NIL;
	List	   *pathkeys;
	ListCell   *lc;
	ListCell   *f;

	if (strategy == FEATHUB_ASOF_MERGE)
	{
		clauses = list_copy(pattern->keys);
		families = list_copy(join->info->families);
	}
	else if (strategy != FEATHUB_ASOF_TIME_ORDERED)
		return outer;
	else if (exprCollation((Node *) lsecond(pattern->upper->args)) != pattern->upper->inputcollid)
		return NULL;
	clauses = lappend(clauses, pattern->upper);
	families = lappend_oid(families, pattern->time_family);

	forboth(lc, clauses, f, families)
	{
		OpExpr	   *clause = lfirst_node(OpExpr, lc);
		SortGroupClause *sort = makeNode(SortGroupClause);
		TargetEntry *tle;
		Oid			left;
		Oid			right;

		op_input_types(clause->opno, &left, &right);
		tle = makeTargetEntry((Expr *) copyObject(lsecond(clause->args)), list_length(tlist) + 1, NULL, false);
		tle->ressortgroupref = tle->resno;
		sort->tleSortGroupRef = tle->resno;
		sort->sortop = get_opfamily_member(lfirst_oid(f), right, right, BTLessStrategyNumber);
		sort->eqop = get_opfamily_member(lfirst_oid(f), right, right, BTEqualStrategyNumber);
		tlist = lappend(tlist, tle);
		sorts = lappend(sorts, sort);
	}
	pathkeys = make_pathkeys_for_sortclauses(join->root, sorts, tlist);
	if (pathkeys_contained_in(pathkeys, outer->pathkeys))
		return outer;
	return (Path *) create_sort_path(join->root, join->outerrel, outer, pathkeys, -1.0);
}

/*
 * Costs, by what was measured in terms of the cost of reading a tuple.  False
 * if the memory would not do.
 */
static bool
estimate(JoinContext *join, FeathubAsofPath *path, Path *outer, Path *inner)
{
	Path	   *result = &path->cpath.path;
	double		memory = (double) get_hash_memory_limit();
	double		rows = Max(outer->rows, 1);
	double		features = Max(inner->rows, 1);
	double		distinct = Max(join->info->distinct, 1);
	double		width = inner->pathtarget->width + 40;
	double		batches = 1;
	Cost		key = cpu_operator_cost * list_length(path->pattern->keys);
	Cost		out = rows * cpu_tuple_cost;
	bool		forced = feathub_asof_join_strategy != FEATHUB_ASOF_AUTO;

	switch (path->strategy)
	{
		case FEATHUB_ASOF_FEATURE_HASH:
			if (features * (40 + width) > memory && !forced)
				return false;
			result->startup_cost = outer->startup_cost + inner->total_cost +
				features * (key + 6 * cpu_operator_cost);
			result->total_cost = result->startup_cost + outer->total_cost - outer->startup_cost +
				rows * (key + cpu_operator_cost * (1 + log2(features / distinct + 2) / 4)) + out;
			break;
		case FEATHUB_ASOF_SPINE_HASH:
			batches = ceil(rows * (48 + width) / (memory * 3 / 4));
			result->total_cost = outer->total_cost + rows * (key + 8 * cpu_operator_cost) +
				batches * (inner->total_cost + features * (key + 3 * cpu_operator_cost)) + out;
			result->startup_cost = outer->startup_cost + (result->total_cost - outer->startup_cost - out) / batches;
			break;
		case FEATHUB_ASOF_TIME_ORDERED:
			if (distinct * (48 + width) > memory && !forced)
				return false;
			result->startup_cost = outer->startup_cost + inner->startup_cost;
			result->total_cost = outer->total_cost + inner->total_cost +
				features * (key + 2 * cpu_operator_cost) + rows * key + out;
			break;
		default:
			result->startup_cost = outer->startup_cost + inner->startup_cost;
			result->total_cost = outer->total_cost + inner->total_cost +
				features * (key + cpu_operator_cost) + rows * key + out;
			break;
	}
	result->total_cost += rows * cpu_operator_cost * (list_length(path->join_quals) + list_length(path->other_quals));
	return true;
}
