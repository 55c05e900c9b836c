/*
 * fdw_modify.c
 *		INSERT and COPY into foreign tables, and rows routed to partitions that
 *		are foreign tables.
 *
 * All columns but dropped and generated ones are sent; defaults are evaluated
 * here, and what RETURNING shows is the row as it was sent.
 */
#include "postgres.h"

#include "access/table.h"
#include "executor/executor.h"
#include "nodes/makefuncs.h"
#include "parser/parsetree.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "core/compat.h"
#include "fdw/fdw_modify.h"

/* Rows that one call of insert_rows brings, unless the connector says another. */
#define DEFAULT_BATCH_SIZE 100

/* Items of the private list of PlanForeignModify. */
enum
{
	MODIFY_CONNECTOR,			/* String: the connector's name */
	MODIFY_TARGET_ATTRS			/* List of int: attnums sent */
};

/* ResultRelInfo.ri_FdwState */
typedef struct FdwModifyState
{
	FeathubModify modify;
	bool		begun;			/* begin_modify was called: not just EXPLAIN */
} FdwModifyState;

static List *list_target_attrs(Relation relation);
static void reject_on_conflict(OnConflictAction action, const char *relname);
static void begin(ResultRelInfo *rinfo, EState *estate, List *target_attrs, bool run);
static void insert(ResultRelInfo *rinfo, TupleTableSlot **slots, int nslots);

int
FeathubFdwIsForeignRelUpdatable(Relation relation)
{
	const FeathubConnector *connector = FeathubConnectorOfTable(RelationGetRelid(relation));

	return connector && connector->insert_rows ? (1 << CMD_INSERT) : 0;
}

List *
FeathubFdwPlanForeignModify(PlannerInfo *root, ModifyTable *plan,
							Index resultRelation, int subplan_index)
{
	RangeTblEntry *rte = planner_rt_fetch(resultRelation, root);
	const FeathubConnector *connector = FeathubConnectorOfTable(rte->relid);
	Relation	relation;
	List	   *target_attrs;

	reject_on_conflict(plan->onConflictAction, get_rel_name(rte->relid));

	/* the caller holds a lock already */
	relation = table_open(rte->relid, NoLock);
	target_attrs = list_target_attrs(relation);
	table_close(relation, NoLock);
	return list_make2(makeString(pstrdup(connector ? connector->name : "")), target_attrs);
}

void
FeathubFdwBeginForeignModify(ModifyTableState *mtstate, ResultRelInfo *rinfo,
							 List *fdw_private, int subplan_index, int eflags)
{
	/* UPDATE and DELETE were refused by CheckValidResultRel */
	if (mtstate->operation != CMD_INSERT)
		elog(ERROR, "unexpected operation: %d", (int) mtstate->operation);
	begin(rinfo, mtstate->ps.state,
		  list_nth(fdw_private, MODIFY_TARGET_ATTRS),
		  (eflags & EXEC_FLAG_EXPLAIN_ONLY) == 0);
}

/* COPY, and the first row routed to a partition */
void
FeathubFdwBeginForeignInsert(ModifyTableState *mtstate, ResultRelInfo *rinfo)
{
	ModifyTable *plan = castNode(ModifyTable, mtstate->ps.plan);
	Relation	relation = rinfo->ri_RelationDesc;

	if (plan)
		reject_on_conflict(plan->onConflictAction, RelationGetRelationName(relation));
	begin(rinfo, mtstate->ps.state, list_target_attrs(relation), true);
}

TupleTableSlot *
FeathubFdwExecForeignInsert(EState *estate, ResultRelInfo *rinfo,
							TupleTableSlot *slot, TupleTableSlot *planSlot)
{
	insert(rinfo, &slot, 1);
	return slot;
}

TupleTableSlot **
FeathubFdwExecForeignBatchInsert(EState *estate, ResultRelInfo *rinfo,
								 TupleTableSlot **slots, TupleTableSlot **planSlots,
								 int *numSlots)
{
	insert(rinfo, slots, *numSlots);
	return slots;
}

int
FeathubFdwGetForeignModifyBatchSize(ResultRelInfo *rinfo)
{
	FeathubModify *modify = FeathubFdwModifyOf(rinfo);

	/*
	 * As postgres_fdw: rows go one by one if something looks at each of them
	 * after it was inserted, or before the next is.
	 */
	if (modify == NULL ||
		rinfo->ri_projectReturning != NULL ||
		rinfo->ri_WithCheckOptions != NIL ||
		(rinfo->ri_TrigDesc &&
		 (rinfo->ri_TrigDesc->trig_insert_before_row ||
		  rinfo->ri_TrigDesc->trig_insert_after_row)))
		return 1;
	return Max(modify->batch_size, 1);
}

void
FeathubFdwEndForeignModify(EState *estate, ResultRelInfo *rinfo)
{
	FdwModifyState *state = rinfo->ri_FdwState;
	MemoryContext oldcontext;

	if (state == NULL)
		return;
	if (state->begun)
	{
		oldcontext = MemoryContextSwitchTo(state->modify.context);
		state->modify.rel->connector->end_modify(&state->modify);
		MemoryContextSwitchTo(oldcontext);
	}

	/* with it go the handles that reset callbacks free */
	MemoryContextDelete(state->modify.context);
	rinfo->ri_FdwState = NULL;
}

FeathubModify *
FeathubFdwModifyOf(ResultRelInfo *rinfo)
{
	FdwModifyState *state = rinfo->ri_FdwState;

	return state ? &state->modify : NULL;
}

/* All columns that another system can be told about. */
static List *
list_target_attrs(Relation relation)
{
	TupleDesc	tupdesc = RelationGetDescr(relation);
	List	   *attrs = NIL;

	for (int attnum = 1; attnum <= tupdesc->natts; attnum++)
	{
		Form_pg_attribute att = TupleDescAttr(tupdesc, attnum - 1);

		if (!att->attisdropped && !att->attgenerated)
			attrs = lappend_int(attrs, attnum);
	}
	return attrs;
}

static void
reject_on_conflict(OnConflictAction action, const char *relname)
{
	if (action == ONCONFLICT_NONE)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("ON CONFLICT %s is not supported for foreign table \"%s\"",
					action == ONCONFLICT_NOTHING ? "DO NOTHING" : "DO UPDATE",
					relname)));
}

/* Make the state; unless it is for EXPLAIN alone, begin. */
static void
begin(ResultRelInfo *rinfo, EState *estate, List *target_attrs, bool run)
{
	FdwModifyState *state;
	FeathubModify *modify;
	MemoryContext context;
	MemoryContext oldcontext;

	context = AllocSetContextCreate(estate->es_query_cxt, "feathub modify",
									ALLOCSET_DEFAULT_SIZES);
	oldcontext = MemoryContextSwitchTo(context);
	state = palloc0(sizeof(FdwModifyState));
	modify = &state->modify;
	modify->context = context;
	modify->row_context = AllocSetContextCreate(context, "feathub modify row",
												ALLOCSET_DEFAULT_SIZES);
	modify->operation = CMD_INSERT;
	modify->target_attrs = list_copy(target_attrs);
	modify->batch_size = DEFAULT_BATCH_SIZE;
	modify->rel = FeathubRelationOpen(RelationGetRelid(rinfo->ri_RelationDesc),
									  ExecGetResultRelCheckAsUser(rinfo, estate));
	rinfo->ri_FdwState = state;
	if (run)
	{
		state->begun = true;
		modify->rel->connector->begin_modify(modify);
	}
	MemoryContextSwitchTo(oldcontext);
}

static void
insert(ResultRelInfo *rinfo, TupleTableSlot **slots, int nslots)
{
	FeathubModify *modify = FeathubFdwModifyOf(rinfo);
	MemoryContext oldcontext = MemoryContextSwitchTo(modify->row_context);

	for (int i = 0; i < nslots; i++)
		slot_getallattrs(slots[i]);
	modify->rel->connector->insert_rows(modify, slots, nslots);
	MemoryContextSwitchTo(oldcontext);
	MemoryContextReset(modify->row_context);
}
