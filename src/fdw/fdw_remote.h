/*
 * fdw_remote.h
 *		Joins, aggregates, orders and limits that the remote side evaluates.
 */
#ifndef FEATHUB_FDW_FDW_REMOTE_H
#define FEATHUB_FDW_FDW_REMOTE_H

#include "foreign/fdwapi.h"

extern void FeathubFdwGetForeignJoinPaths(PlannerInfo *root, RelOptInfo *joinrel,
										  RelOptInfo *outerrel, RelOptInfo *innerrel,
										  JoinType jointype, JoinPathExtraData *extra);
extern void FeathubFdwGetForeignUpperPaths(PlannerInfo *root, UpperRelationKind stage,
										   RelOptInfo *input_rel, RelOptInfo *output_rel,
										   void *extra);
extern ForeignScan *FeathubFdwPlanRemote(PlannerInfo *root, RelOptInfo *rel,
										 ForeignPath *best_path, List *tlist,
										 Plan *outer_plan);

#endif							/* FEATHUB_FDW_FDW_REMOTE_H */
