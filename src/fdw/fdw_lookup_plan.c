/*
 * fdw_lookup_plan.c
 *		Planning of batched look-ups.
 *
 * PostgreSQL asks a foreign-data wrapper for a join only if both sides are its
 * own, and its nested loops ask for one outer row at a time.  So the join of any
 * relation with a foreign table by equality on look-up columns gets one more
 * path here: a custom scan that collects outer rows, asks for all their keys in
 * one request and joins what is found (fdw_lookup.c).
 *
 * The foreign table keeps its range table entry: the server checks rights on
 * it, takes locks and invalidates plans by it as for any other.  There is no
 * such path in statements that lock rows or may look at a row again
 * (EvalPlanQual), since the node cannot be asked about a single row.
 */
#include "postgres.h"

#include <math.h>

#include "access/htup_details.h"
#include "access/sysattr.h"
#include "access/table.h"
#include "catalog/pg_am.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/clauses.h"
#include "optimizer/cost.h"
#include "optimizer/optimizer.h"
#include "optimizer/pathnode.h"
#include "optimizer/paths.h"
#include "optimizer/placeholder.h"
#include "optimizer/restrictinfo.h"
#include "parser/parsetree.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/selfuncs.h"
#include "utils/typcache.h"

#include "connectors/connector.h"
#include "core/compat.h"
#include "core/guc.h"
#include "fdw/fdw_lookup.h"
#include "fdw/fdw_plan.h"

/* Keys asked for at a time unless the connector says another. */
#define DEFAULT_MAX_KEYS 1000

/* A join that a look-up may answer. */
typedef struct LookupJoin
{
	PlannerInfo *root;
	RelOptInfo *joinrel;
	RelOptInfo *outer;
	RelOptInfo *inner;			/* the foreign table */
	JoinType	jointype;
	SpecialJoinInfo *sjinfo;
	List	   *restrictlist;	/* RestrictInfos of the join */
	FeathubRelation *rel;
	const FeathubEstimate *estimate;	/* of a scan of it */

	/* The key, a list each */
	List	   *key_attrs;		/* attnums */
	List	   *key_exprs;		/* outer expressions */
	List	   *key_types;		/* their types */
	List	   *key_collations; /* of the operators */
	List	   *key_clauses;	/* RestrictInfos */

	FeathubScanPlan plan;
	int			max_keys;
} LookupJoin;

/* Items of the CustomPath's custom_private. */
enum
{
	PATH_INNER,					/* Integer: the foreign table's range table index */
	PATH_JOIN_TYPE,				/* Integer */
	PATH_RESTRICTLIST,			/* List of RestrictInfo */
	PATH_KEY_ATTRS,
	PATH_KEY_EXPRS,
	PATH_KEY_TYPES,
	PATH_KEY_COLLATIONS,
	PATH_PLAN,					/* List: FeathubScanPlan.private */
	PATH_PARAMS,				/* List: FeathubScanPlan.params */
	PATH_LOCAL_CLAUSES,			/* List: FeathubScanPlan.local_clauses */
	PATH_MAX_KEYS				/* Integer */
};

static void add_lookup_paths(PlannerInfo *root, RelOptInfo *joinrel,
							 RelOptInfo *outerrel, RelOptInfo *innerrel,
							 JoinType jointype, JoinPathExtraData *extra);
static bool is_lookup_table(PlannerInfo *root, RelOptInfo *rel);
static bool find_key(LookupJoin *join);
static bool match_key(LookupJoin *join, RestrictInfo *rinfo, Bitmapset *columns);
static bool is_equality(Oid opno, Oid type);
static void add_path_over(LookupJoin *join, Path *outer_path);
static void cost_lookup(LookupJoin *join, CustomPath *path, Path *outer_path);
static bool names_one_row(LookupJoin *join);
static bool is_partition(PlannerInfo *root, Relids relids);
static Plan *plan_lookup_path(PlannerInfo *root, RelOptInfo *rel, CustomPath *path,
							  List *tlist, List *clauses, List *custom_plans);
static void list_quals(RelOptInfo *joinrel, RelOptInfo *inner, JoinType jointype,
					   List *restrictlist, List *local_clauses,
					   List **join_quals, List **other_quals);
static List *order_by_security(List *rinfos);
static List *list_inner_attrs(RelOptInfo *inner, List *local_clauses);
static int	rank_of(Relids relids, int member);

static set_join_pathlist_hook_type previous_hook = NULL;

static const CustomPathMethods path_methods = {
	.CustomName = "FeathubLookup",
	.PlanCustomPath = plan_lookup_path,
};

const CustomScanMethods FeathubFdwLookupMethods = {
	.CustomName = "FeathubLookup",
	.CreateCustomScanState = FeathubFdwLookupCreateState,
};

void
FeathubFdwLookupInit(void)
{
	RegisterCustomScanMethods(&FeathubFdwLookupMethods);
	previous_hook = set_join_pathlist_hook;
	set_join_pathlist_hook = add_lookup_paths;
}

static void
add_lookup_paths(PlannerInfo *root, RelOptInfo *joinrel, RelOptInfo *outerrel,
				 RelOptInfo *innerrel, JoinType jointype, JoinPathExtraData *extra)
{
	LookupJoin	join = {0};
	Path	   *outer_path = outerrel->cheapest_total_path;

	if (previous_hook)
		previous_hook(root, joinrel, outerrel, innerrel, jointype, extra);
	if (!feathub_enable_batched_lookup)
		return;
	if (jointype != JOIN_INNER && jointype != JOIN_LEFT && jointype != JOIN_SEMI &&
		jointype != JOIN_ANTI && jointype != JOIN_UNIQUE_OUTER)
		return;
	if ((root->parse->commandType != CMD_SELECT && root->parse->commandType != CMD_INSERT) ||
		root->rowMarks != NIL)
		return;
	if (!is_lookup_table(root, innerrel) ||
		bms_overlap(PATH_REQ_OUTER(outer_path), innerrel->relids))
		return;

	join.root = root;
	join.joinrel = joinrel;
	join.outer = outerrel;
	join.inner = innerrel;
	join.jointype = jointype;
	join.sjinfo = extra->sjinfo;
	join.restrictlist = extra->restrictlist;
	join.rel = FeathubFdwPlannedRelation(innerrel, &join.estimate);
	if (!find_key(&join))
		return;

	/* a semijoin the other way round: outer rows without duplicates */
	if (jointype == JOIN_UNIQUE_OUTER)
	{
		outer_path = (Path *) create_unique_path(root, outerrel, outer_path, extra->sjinfo);
		if (outer_path == NULL)
			return;
		join.jointype = JOIN_INNER;
	}
	add_path_over(&join, outer_path);
}

/* Is it a foreign table of ours that rows can be looked up in? */
static bool
is_lookup_table(PlannerInfo *root, RelOptInfo *rel)
{
	FeathubRelation *relation;
	const FeathubEstimate *estimate;
	ListCell   *lc;

	if (!IS_SIMPLE_REL(rel) || rel->rtekind != RTE_RELATION ||
		rel->fdwroutine == NULL ||
		rel->fdwroutine->GetForeignPaths != FeathubFdwGetForeignPaths ||
		rel->lateral_relids != NULL || IS_DUMMY_REL(rel))
		return false;
	relation = FeathubFdwPlannedRelation(rel, &estimate);
	if (relation->connector->plan_lookup == NULL)
		return false;

	/* of system columns a found row has tableoid only */
	foreach(lc, rel->reltarget->exprs)
	{
		Node	   *expr = lfirst(lc);

		if (IsA(expr, Var))
		{
			if (((Var *) expr)->varattno < 0 &&
				((Var *) expr)->varattno != TableOidAttributeNumber)
				return false;
		}
		else if (IsA(expr, PlaceHolderVar))
		{
			Node	   *phexpr = (Node *) ((PlaceHolderVar *) expr)->phexpr;
			List	   *inside = pull_var_clause(phexpr, PVC_RECURSE_AGGREGATES |
												 PVC_RECURSE_WINDOWFUNCS |
												 PVC_INCLUDE_PLACEHOLDERS);
			ListCell   *lc2;

			if (contain_volatile_functions(phexpr))
				return false;
			foreach(lc2, inside)
			{
				Var		   *var = lfirst(lc2);

				if (!IsA(var, Var) || var->varattno < 0 || var->varno != rel->relid)
					return false;
			}
		}
		else
			return false;
	}
	return true;
}

/* Find the clauses that make a key, and ask the connector what it thinks of it. */
static bool
find_key(LookupJoin *join)
{
	const FeathubConnector *connector = join->rel->connector;
	Bitmapset  *columns = connector->lookup_columns(join->rel);
	List	   *restrictions = NIL;
	ListCell   *lc;

	foreach(lc, join->restrictlist)
	{
		RestrictInfo *rinfo = lfirst_node(RestrictInfo, lc);

		/* above an outer join it is too late to be asked for */
		if (IS_OUTER_JOIN(join->jointype) &&
			RINFO_IS_PUSHED_DOWN(rinfo, join->joinrel->relids))
			continue;
		if (match_key(join, rinfo, columns))
			join->key_clauses = lappend(join->key_clauses, rinfo);
	}
	if (join->key_attrs == NIL)
		return false;

	foreach(lc, join->inner->baserestrictinfo)
	{
		RestrictInfo *rinfo = lfirst_node(RestrictInfo, lc);

		if (!rinfo->pseudoconstant)
			restrictions = lappend(restrictions, rinfo->clause);
	}
	join->plan.local_clauses = restrictions;
	join->max_keys = DEFAULT_MAX_KEYS;
	return connector->plan_lookup(join->rel, join->root, join->inner, join->key_attrs,
								  list_copy(restrictions), &join->plan, &join->max_keys) &&
		join->max_keys > 0;
}

/* Is it "look-up column = something of the outer rows"?  Adds it to the key. */
static bool
match_key(LookupJoin *join, RestrictInfo *rinfo, Bitmapset *columns)
{
	OpExpr	   *op = (OpExpr *) rinfo->clause;
	Expr	   *inner_expr;
	Expr	   *outer_expr;
	Var		   *var;
	Oid			type;
	TypeCacheEntry *entry;
	Form_pg_attribute att;

	if (rinfo->pseudoconstant || !is_opclause(op) || list_length(op->args) != 2 ||
		!rinfo->can_join)
		return false;
	if (bms_is_subset(rinfo->left_relids, join->outer->relids) &&
		bms_equal(rinfo->right_relids, join->inner->relids))
	{
		outer_expr = linitial(op->args);
		inner_expr = lsecond(op->args);
	}
	else if (bms_is_subset(rinfo->right_relids, join->outer->relids) &&
			 bms_equal(rinfo->left_relids, join->inner->relids))
	{
		inner_expr = linitial(op->args);
		outer_expr = lsecond(op->args);
	}
	else
		return false;

	while (IsA(inner_expr, RelabelType))
		inner_expr = ((RelabelType *) inner_expr)->arg;
	var = (Var *) inner_expr;
	if (!IsA(var, Var) || var->varattno <= 0 || !bms_is_member(var->varattno, columns) ||
		list_member_int(join->key_attrs, var->varattno))
		return false;
	att = TupleDescAttr(join->rel->tupdesc, var->varattno - 1);
	if (att->attgenerated)
		return false;

	type = getBaseType(var->vartype);
	entry = lookup_type_cache(type, TYPECACHE_EQ_OPR | TYPECACHE_HASH_PROC);
	if (!OidIsValid(entry->eq_opr) || !OidIsValid(entry->hash_proc) ||
		!is_equality(op->opno, type) ||
		!FeathubFdwLookupConvertible(getBaseType(exprType((Node *) outer_expr)), type))
		return false;

	/* other systems compare bytes */
	if (OidIsValid(op->inputcollid) && !get_collation_isdeterministic(op->inputcollid))
		return false;
	if (contain_volatile_functions((Node *) outer_expr) ||
		contain_subplans((Node *) outer_expr))
		return false;

	join->key_attrs = lappend_int(join->key_attrs, var->varattno);
	join->key_exprs = lappend(join->key_exprs, outer_expr);
	join->key_types = lappend_oid(join->key_types,
								  getBaseType(exprType((Node *) outer_expr)));
	join->key_collations = lappend_oid(join->key_collations, op->inputcollid);
	return true;
}

/* Does the operator mean what the type itself calls equal? */
static bool
is_equality(Oid opno, Oid type)
{
	TypeCacheEntry *entry = lookup_type_cache(type, TYPECACHE_BTREE_OPFAMILY);

	return OidIsValid(entry->btree_opf) && op_strict(opno) &&
		get_op_opfamily_strategy(opno, entry->btree_opf) == BTEqualStrategyNumber;
}

static void
add_path_over(LookupJoin *join, Path *outer_path)
{
	RelOptInfo *joinrel = join->joinrel;
	Relids		required = bms_copy(PATH_REQ_OUTER(outer_path));
	CustomPath *path = makeNode(CustomPath);
	List	   *restrictlist = join->restrictlist;
	List	   *private;

	required = bms_add_members(required, joinrel->lateral_relids);
	if (bms_overlap(required, joinrel->relids) || is_partition(join->root, required))
		return;
	if (!bms_is_empty(required))
		path->path.param_info = get_joinrel_parampathinfo(join->root, joinrel, outer_path,
														  join->inner->cheapest_total_path,
														  join->sjinfo, required,
														  &restrictlist);
	path->path.pathtype = T_CustomScan;
	path->path.parent = joinrel;
	path->path.pathtarget = joinrel->reltarget;
	path->path.rows = path->path.param_info ? path->path.param_info->ppi_rows : joinrel->rows;
	path->flags = CUSTOMPATH_SUPPORT_PROJECTION;
	path->custom_paths = list_make1(outer_path);
	path->methods = &path_methods;

	private = list_make5(makeInteger(join->inner->relid),
						 makeInteger(join->jointype),
						 restrictlist,
						 join->key_attrs,
						 join->key_exprs);
	private = lappend(private, join->key_types);
	private = lappend(private, join->key_collations);
	private = lappend(private, join->plan.private);
	private = lappend(private, join->plan.params);
	private = lappend(private, join->plan.local_clauses);
	private = lappend(private, makeInteger(join->max_keys));
	path->custom_private = private;

	cost_lookup(join, path, outer_path);
	add_path(joinrel, (Path *) path);
}

/*
 * The cost: that of the outer rows, a round trip for each batch, and the rows
 * that are found, each of which costs what it costs in a scan.
 */
static void
cost_lookup(LookupJoin *join, CustomPath *path, Path *outer_path)
{
	PlannerInfo *root = join->root;
	const FeathubEstimate *estimate = join->estimate;
	double		outer_rows = clamp_row_est(outer_path->rows);
	double		outer_bytes = outer_rows * (MAXALIGN(outer_path->pathtarget->width) +
											MAXALIGN(SizeofMinimalTupleHeader) + 64);
	double		tuples = Max(Max(join->inner->tuples, estimate->rows), 1);
	double		distinct;
	double		batches;
	double		keys;
	double		found;
	Cost		per_found;
	QualCost	quals;
	Cost		run;
	SpecialJoinInfo inner_join = *join->sjinfo;

	/* how many rows a key finds, whatever the join then makes of them */
	inner_join.jointype = JOIN_INNER;
	distinct = estimate_num_groups(root, join->key_exprs, outer_rows, NULL, NULL);
	batches = Max(ceil(distinct / join->max_keys), ceil(outer_bytes / (work_mem * 1024.0)));
	batches = Max(batches, 1);
	keys = Min(outer_rows, distinct * batches);
	found = keys * join->inner->rows *
		clauselist_selectivity(root, join->key_clauses, 0, JOIN_INNER, &inner_join);
	if (names_one_row(join))
		found = Min(found, keys);

	per_found = Max((estimate->total_cost - estimate->startup_cost) / tuples, cpu_tuple_cost);
	cost_qual_eval(&quals, join->restrictlist, root);

	run = batches * estimate->startup_cost;
	run += outer_rows * (cpu_tuple_cost + cpu_operator_cost * list_length(join->key_attrs));
	run += found * (per_found + quals.per_tuple +
					cpu_operator_cost * list_length(join->key_attrs));
	run += path->path.rows * (cpu_tuple_cost + path->path.pathtarget->cost.per_tuple);

	/* nothing comes out before the first batch is asked for */
	path->path.startup_cost = outer_path->startup_cost + quals.startup +
		path->path.pathtarget->cost.startup +
		(outer_path->total_cost - outer_path->startup_cost) / batches +
		estimate->startup_cost;
	path->path.total_cost = outer_path->total_cost + quals.startup +
		path->path.pathtarget->cost.startup + run;
	path->path.total_cost = Max(path->path.total_cost, path->path.startup_cost);
	feathub_set_disabled_nodes(&path->path, feathub_disabled_nodes(outer_path));
}

/* Are all columns of the table's own key among those of the join's? */
static bool
names_one_row(LookupJoin *join)
{
	List	   *key = NIL;

	if (join->rel->connector->update_row || join->rel->connector->delete_row)
		key = FeathubRelationKeyColumns(join->rel);
	return key != NIL && list_difference_int(key, join->key_attrs) == NIL;
}

/*
 * May such a path be translated for a partition of one of these later?  Ours
 * cannot be.
 */
static bool
is_partition(PlannerInfo *root, Relids relids)
{
	int			i = -1;

	while ((i = bms_next_member(relids, i)) >= 0)
	{
		RelOptInfo *rel = i < root->simple_rel_array_size ? root->simple_rel_array[i] : NULL;

		if (rel && (IS_OTHER_REL(rel) || rel->consider_partitionwise_join))
			return true;
	}
	return false;
}

/* Make the plan: lay out the scan tuple and write the expressions for it. */
static Plan *
plan_lookup_path(PlannerInfo *root, RelOptInfo *rel, CustomPath *path, List *tlist,
				 List *clauses, List *custom_plans)
{
	List	   *private = path->custom_private;
	Plan	   *outer_plan = linitial(custom_plans);
	RelOptInfo *inner = find_base_rel(root, intVal(list_nth(private, PATH_INNER)));
	JoinType	jointype = intVal(list_nth(private, PATH_JOIN_TYPE));
	List	   *local_clauses = list_nth(private, PATH_LOCAL_CLAUSES);
	CustomScan *scan = makeNode(CustomScan);
	FeathubRelation *relation = FeathubFdwPlannedRelation(inner, NULL);
	List	   *inner_attrs;
	List	   *placeholders = NIL;
	List	   *exprs = NIL;
	List	   *join_quals;
	List	   *other_quals;
	ListCell   *lc;

	list_quals(rel, inner, jointype, list_nth(private, PATH_RESTRICTLIST), local_clauses,
			   &join_quals, &other_quals);

	/* the scan tuple: outer columns, the foreign table's, placeholders over them */
	foreach(lc, outer_plan->targetlist)
		exprs = lappend(exprs, copyObject(lfirst_node(TargetEntry, lc)->expr));
	inner_attrs = list_inner_attrs(inner, local_clauses);
	foreach(lc, inner_attrs)
	{
		AttrNumber	attnum = lfirst_int(lc);
		Var		   *var;

		if (attnum == InvalidAttrNumber)
			var = makeWholeRowVar(planner_rt_fetch(inner->relid, root), inner->relid, 0, false);
		else if (attnum == TableOidAttributeNumber)
			var = makeVar(inner->relid, attnum, OIDOID, -1, InvalidOid, 0);
		else
		{
			Form_pg_attribute att = TupleDescAttr(relation->tupdesc, attnum - 1);

			var = makeVar(inner->relid, attnum, att->atttypid, att->atttypmod,
						  att->attcollation, 0);
		}
		exprs = lappend(exprs, var);
	}
	foreach(lc, inner->reltarget->exprs)
	{
		if (!IsA(lfirst(lc), PlaceHolderVar))
			continue;
		placeholders = lappend(placeholders, ((PlaceHolderVar *) lfirst(lc))->phexpr);
		exprs = lappend(exprs, copyObject(lfirst(lc)));
	}

	/* what outer joins may make NULL is named as it is above this join */
	exprs = (List *) feathub_adopt_nullingrels((Node *) exprs, list_make2(rel->reltarget->exprs, other_quals));

	foreach(lc, exprs)
		scan->custom_scan_tlist =
			lappend(scan->custom_scan_tlist,
					makeTargetEntry(lfirst(lc), list_length(scan->custom_scan_tlist) + 1,
									NULL, false));

	scan->scan.plan.targetlist = (List *) feathub_adopt_nullingrels((Node *) tlist, exprs);
	scan->scan.plan.qual = (List *) feathub_adopt_nullingrels((Node *) other_quals, exprs);
	scan->scan.scanrelid = 0;
	scan->flags = path->flags;
	scan->custom_plans = custom_plans;
	scan->methods = &FeathubFdwLookupMethods;
	scan->custom_exprs = list_make4(list_nth(private, PATH_KEY_EXPRS),
									join_quals, placeholders,
									list_nth(private, PATH_PARAMS));
	scan->custom_exprs = (List *) feathub_adopt_nullingrels((Node *) scan->custom_exprs, exprs);

	scan->custom_private = list_make5(list_make2_oid(relation->relid, inner->userid),
									  makeInteger(rank_of(rel->relids, inner->relid)),
									  makeInteger(jointype),
									  list_nth(private, PATH_MAX_KEYS),
									  list_nth(private, PATH_PLAN));
	scan->custom_private = lappend(scan->custom_private, list_nth(private, PATH_KEY_ATTRS));
	scan->custom_private = lappend(scan->custom_private, list_nth(private, PATH_KEY_TYPES));
	scan->custom_private = lappend(scan->custom_private, list_nth(private, PATH_KEY_COLLATIONS));
	scan->custom_private = lappend(scan->custom_private,
								   makeInteger(list_length(outer_plan->targetlist)));
	scan->custom_private = lappend(scan->custom_private, inner_attrs);
	return (Plan *) scan;
}

/*
 * What decides on a match, and what is looked at above an outer join.  Of the
 * table's own restrictions those that the remote side does not answer are part
 * of the former; pseudoconstant ones are too, since nothing gates the node.
 */
static void
list_quals(RelOptInfo *joinrel, RelOptInfo *inner, JoinType jointype, List *restrictlist,
		   List *local_clauses, List **join_quals, List **other_quals)
{
	List	   *matching = NIL;
	List	   *above = NIL;
	List	   *known = NIL;
	ListCell   *lc;

	foreach(lc, inner->baserestrictinfo)
	{
		RestrictInfo *rinfo = lfirst_node(RestrictInfo, lc);

		known = lappend(known, rinfo->clause);
		if (rinfo->pseudoconstant || list_member(local_clauses, rinfo->clause))
			matching = lappend(matching, rinfo);
	}
	foreach(lc, restrictlist)
	{
		RestrictInfo *rinfo = lfirst_node(RestrictInfo, lc);

		if (IS_OUTER_JOIN(jointype) && RINFO_IS_PUSHED_DOWN(rinfo, joinrel->relids))
			above = lappend(above, rinfo);
		else
			matching = lappend(matching, rinfo);
	}
	*join_quals = order_by_security(matching);
	*other_quals = order_by_security(above);

	/* a connector may have made clauses of its own */
	*join_quals = list_concat(*join_quals, list_difference(local_clauses, known));
}

/* The bare clauses, those that may see a row first in front. */
static List *
order_by_security(List *rinfos)
{
	List	   *clauses = NIL;
	Index		level = 0;
	bool		more = true;

	while (more)
	{
		Index		next = 0;
		ListCell   *lc;

		more = false;
		foreach(lc, rinfos)
		{
			RestrictInfo *rinfo = lfirst_node(RestrictInfo, lc);
			Index		of_this = rinfo->leakproof ? 0 : rinfo->security_level;

			if (of_this == level)
				clauses = lappend(clauses, rinfo->clause);
			else if (of_this > level && (!more || of_this < next))
			{
				next = of_this;
				more = true;
			}
		}
		level = next;
	}
	return clauses;
}

/* The attnums of the foreign table that the join or what is above it looks at. */
static List *
list_inner_attrs(RelOptInfo *inner, List *local_clauses)
{
	List	   *vars;
	List	   *attrs = NIL;
	ListCell   *lc;

	vars = pull_var_clause((Node *) list_make2(inner->reltarget->exprs, local_clauses),
						   PVC_RECURSE_AGGREGATES | PVC_RECURSE_WINDOWFUNCS |
						   PVC_RECURSE_PLACEHOLDERS);
	foreach(lc, vars)
	{
		Var		   *var = lfirst(lc);

		if (IsA(var, Var) && var->varno == inner->relid)
			attrs = list_append_unique_int(attrs, var->varattno);
	}
	return attrs;
}

/* How many members of the set are smaller. */
static int
rank_of(Relids relids, int member)
{
	int			rank = 0;
	int			i = -1;

	while ((i = bms_next_member(relids, i)) >= 0 && i != member)
		rank++;
	return rank;
}
