/*
 * fdw_remote.c
 *		Joins, aggregates, orders and limits that the remote side evaluates.
 *
 * What can be left to it, the connector knows; here is what holds for all: no
 * row may have to be looked at again (EvalPlanQual), so statements that lock
 * rows or write are left alone, and nothing is checked here afterwards.
 */
#include "postgres.h"

#include "nodes/makefuncs.h"
#include "optimizer/planmain.h"

#include "connectors/connector.h"
#include "fdw/fdw_plan.h"
#include "fdw/fdw_remote.h"

static const FeathubConnector *connector_of(PlannerInfo *root, RelOptInfo *rel);

void
FeathubFdwGetForeignJoinPaths(PlannerInfo *root, RelOptInfo *joinrel, RelOptInfo *outerrel,
							  RelOptInfo *innerrel, JoinType jointype,
							  JoinPathExtraData *extra)
{
	const FeathubConnector *connector = connector_of(root, outerrel);

	/* once is enough, whatever the order of the tables */
	if (joinrel->fdw_private || connector == NULL || connector->get_join_paths == NULL ||
		innerrel->fdw_private == NULL || !bms_is_empty(joinrel->lateral_relids))
		return;
	connector->get_join_paths(root, joinrel, outerrel, innerrel, jointype, extra);
}

void
FeathubFdwGetForeignUpperPaths(PlannerInfo *root, UpperRelationKind stage,
							   RelOptInfo *input_rel, RelOptInfo *output_rel, void *extra)
{
	const FeathubConnector *connector = connector_of(root, input_rel);

	if (output_rel->fdw_private || connector == NULL || connector->get_upper_paths == NULL)
		return;
	connector->get_upper_paths(root, stage, input_rel, output_rel, extra);
}

ForeignScan *
FeathubFdwPlanRemote(PlannerInfo *root, RelOptInfo *rel, ForeignPath *best_path,
					 List *tlist, Plan *outer_plan)
{
	const FeathubConnector *connector = ((FeathubPlanRel *) rel->fdw_private)->rel->connector;
	FeathubScanPlan plan = {0};

	connector->plan_remote(root, rel, best_path, &plan);
	return make_foreignscan(tlist, NIL, 0, plan.params,
							list_make4(makeString(pstrdup(connector->name)), plan.private,
									   NIL, makeInteger(-1)),
							plan.scan_tlist, NIL, outer_plan);
}

/* The connector that reads the relation, if it is ours and only read. */
static const FeathubConnector *
connector_of(PlannerInfo *root, RelOptInfo *rel)
{
	if (rel->fdw_private == NULL || root->parse->commandType != CMD_SELECT ||
		root->parse->rowMarks != NIL || root->rowMarks != NIL)
		return NULL;
	return ((FeathubPlanRel *) rel->fdw_private)->rel->connector;
}
