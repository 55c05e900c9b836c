/*
 * fdw_plan.h
 *		Planning of foreign scans: FdwRoutine's callbacks and what they hand
 *		to the executor.
 */
#ifndef FEATHUB_FDW_FDW_PLAN_H
#define FEATHUB_FDW_FDW_PLAN_H

#include "foreign/fdwapi.h"

#include "connectors/connector.h"

/* Items of a ForeignScan's fdw_private. */
enum FeathubFdwScanPrivate
{
	FEATHUB_FDW_SCAN_CONNECTOR, /* String: the connector's name */
	FEATHUB_FDW_SCAN_PLAN,		/* List: FeathubScanPlan.private */
	FEATHUB_FDW_SCAN_NEEDED,	/* List of int: attnums of the columns needed */
	FEATHUB_FDW_SCAN_LIMIT,		/* Integer: rows wanted at most, or -1 */
	FEATHUB_FDW_SCAN_SET_TAG	/* Integer, of UPDATE and DELETE: count the rows */
};

extern void FeathubFdwGetForeignRelSize(PlannerInfo *root, RelOptInfo *baserel,
										Oid foreigntableid);
extern void FeathubFdwGetForeignPaths(PlannerInfo *root, RelOptInfo *baserel,
									  Oid foreigntableid);
extern ForeignScan *FeathubFdwGetForeignPlan(PlannerInfo *root, RelOptInfo *baserel,
											 Oid foreigntableid,
											 ForeignPath *best_path, List *tlist,
											 List *scan_clauses, Plan *outer_plan);
extern bool FeathubFdwIsForeignScanParallelSafe(PlannerInfo *root, RelOptInfo *rel,
												RangeTblEntry *rte);

/* What GetForeignRelSize found out about one of our tables; estimate may be NULL. */
extern FeathubRelation *FeathubFdwPlannedRelation(RelOptInfo *baserel,
												  const FeathubEstimate **estimate);

#endif							/* FEATHUB_FDW_FDW_PLAN_H */
