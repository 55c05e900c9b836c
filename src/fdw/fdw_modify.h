/*
 * fdw_modify.h
 *		INSERT and COPY into foreign tables.
 */
#ifndef FEATHUB_FDW_FDW_MODIFY_H
#define FEATHUB_FDW_FDW_MODIFY_H

#include "foreign/fdwapi.h"

#include "connectors/connector.h"

extern int	FeathubFdwIsForeignRelUpdatable(Relation relation);
extern List *FeathubFdwPlanForeignModify(PlannerInfo *root, ModifyTable *plan,
										 Index resultRelation, int subplan_index);
extern void FeathubFdwBeginForeignModify(ModifyTableState *mtstate,
										 ResultRelInfo *rinfo, List *fdw_private,
										 int subplan_index, int eflags);
extern void FeathubFdwBeginForeignInsert(ModifyTableState *mtstate,
										 ResultRelInfo *rinfo);
extern TupleTableSlot *FeathubFdwExecForeignInsert(EState *estate, ResultRelInfo *rinfo,
												   TupleTableSlot *slot,
												   TupleTableSlot *planSlot);
extern TupleTableSlot **FeathubFdwExecForeignBatchInsert(EState *estate,
														 ResultRelInfo *rinfo,
														 TupleTableSlot **slots,
														 TupleTableSlot **planSlots,
														 int *numSlots);
extern int	FeathubFdwGetForeignModifyBatchSize(ResultRelInfo *rinfo);
extern void FeathubFdwEndForeignModify(EState *estate, ResultRelInfo *rinfo);

/* The modification of a result relation, or NULL; state NULL: it does not run. */
extern FeathubModify *FeathubFdwModifyOf(ResultRelInfo *rinfo);

#endif							/* FEATHUB_FDW_FDW_MODIFY_H */
