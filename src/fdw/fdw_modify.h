/*
 * fdw_modify.h
 *		INSERT and COPY into foreign tables, UPDATE and DELETE by key, TRUNCATE.
 */
#ifndef FEATHUB_FDW_FDW_MODIFY_H
#define FEATHUB_FDW_FDW_MODIFY_H

#include "foreign/fdwapi.h"

#include "connectors/connector.h"

/* Items of the private list of PlanForeignModify. */
enum FeathubFdwModifyPrivate
{
	FEATHUB_FDW_MODIFY_CONNECTOR,	/* String: the connector's name */
	FEATHUB_FDW_MODIFY_TARGET_ATTRS,	/* List of int: attnums sent */
	FEATHUB_FDW_MODIFY_KEY_ATTRS	/* List of int: attnums that name a row */
};

/* ResultRelInfo.ri_FdwState */
typedef struct FeathubFdwModifyState
{
	FeathubModify modify;
	bool		begun;			/* begin_modify was called: not just EXPLAIN */

	/* UPDATE and DELETE: where the plan's rows have what names the old row */
	AttrNumber *key_attnos;		/* in the order of modify.key_attrs */
	Datum	   *key;
	bool	   *key_isnull;
	AttrNumber	old_row_attno;	/* DELETE whose rows somebody looks at, or 0 */

	/* COPY: rows that wait for others, NULL if they do not wait */
	TupleTableSlot **kept;
	int			nkept;
	Size		kept_bytes;
} FeathubFdwModifyState;

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

/* fdw_update.c */
extern void FeathubFdwAddForeignUpdateTargets(PlannerInfo *root, Index rtindex,
											  RangeTblEntry *target_rte,
											  Relation target_relation);
extern TupleTableSlot *FeathubFdwExecForeignUpdate(EState *estate, ResultRelInfo *rinfo,
												   TupleTableSlot *slot,
												   TupleTableSlot *planSlot);
extern TupleTableSlot *FeathubFdwExecForeignDelete(EState *estate, ResultRelInfo *rinfo,
												   TupleTableSlot *slot,
												   TupleTableSlot *planSlot);
extern void FeathubFdwExecForeignTruncate(List *rels, DropBehavior behavior,
										  bool restart_seqs);

/* The columns that an UPDATE of this relation sends (list of int). */
extern List *FeathubFdwUpdatedAttrs(PlannerInfo *root, Index rtindex,
									Relation relation, List *all_attrs);

/* Find in the plan's rows what AddForeignUpdateTargets added to them. */
extern void FeathubFdwFindUpdateTargets(FeathubFdwModifyState *state, Plan *subplan,
										List *key_attrs);

/* The modification of a result relation, or NULL; state NULL: it does not run. */
extern FeathubModify *FeathubFdwModifyOf(ResultRelInfo *rinfo);

#endif							/* FEATHUB_FDW_FDW_MODIFY_H */
