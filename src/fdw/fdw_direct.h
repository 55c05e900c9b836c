/*
 * fdw_direct.h
 *		UPDATE and DELETE that the remote side carries out whole.
 */
#ifndef FEATHUB_FDW_FDW_DIRECT_H
#define FEATHUB_FDW_FDW_DIRECT_H

#include "foreign/fdwapi.h"

#include "connectors/connector.h"

extern bool FeathubFdwPlanDirectModify(PlannerInfo *root, ModifyTable *plan,
									   Index resultRelation, int subplan_index);
extern void FeathubFdwBeginDirectModify(ForeignScanState *node, int eflags);
extern TupleTableSlot *FeathubFdwIterateDirectModify(ForeignScanState *node);
extern void FeathubFdwEndDirectModify(ForeignScanState *node);
extern void FeathubFdwExplainDirectModify(ForeignScanState *node, ExplainState *es);

#endif							/* FEATHUB_FDW_FDW_DIRECT_H */
