/*
 * fdw_modify.c
 *		What modifications of foreign tables begin and end with; INSERT and
 *		COPY, and rows routed to partitions that are foreign tables.
 *
 * All columns but dropped and generated ones are inserted; defaults are
 * evaluated here, and what RETURNING shows is the row as it was sent, unless
 * the connector put another into the slot.  UPDATE and DELETE are in
 * fdw_update.c.
 */
#include "postgres.h"

#include "access/table.h"
#include "executor/executor.h"
#include "nodes/makefuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parsetree.h"
#include "rewrite/rewriteHandler.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "core/compat.h"
#include "fdw/fdw_modify.h"

/* Memory for rows of a COPY that wait for others, roughly. */
#define MAX_KEPT_BYTES (4 * 1024 * 1024)

static List *list_target_attrs(Relation relation);
static void reject_on_conflict(OnConflictAction action, Oid relid);
static FeathubFdwModifyState *make_state(ModifyTableState *mtstate, ResultRelInfo *rinfo,
										 CmdType operation, List *target_attrs);
static void begin(FeathubFdwModifyState *state);
static void insert(ResultRelInfo *rinfo, TupleTableSlot **slots, int nslots);
static bool may_wait(ModifyTableState *mtstate, ResultRelInfo *rinfo);
static void keep_row(ResultRelInfo *rinfo, TupleTableSlot *slot);
static void send_kept(ResultRelInfo *rinfo);

/* The commands that this very table takes: it has a key, its options allow it. */
int
FeathubFdwIsForeignRelUpdatable(Relation relation)
{
	const FeathubConnector *connector = FeathubConnectorOfTable(RelationGetRelid(relation));
	FeathubRelation *rel;
	int			commands = 0;

	/* the views of information_schema ask too: nothing here may fail */
	if (connector == NULL || connector->insert_rows == NULL)
		return 0;
	rel = FeathubRelationDescribe(RelationGetRelid(relation));
	if (!rel->common.updatable)
		return 0;
	commands |= 1 << CMD_INSERT;
	if ((connector->update_row || connector->delete_row) &&
		FeathubRelationKeyColumns(rel) != NIL)
	{
		if (connector->update_row)
			commands |= 1 << CMD_UPDATE;
		if (connector->delete_row)
			commands |= 1 << CMD_DELETE;
	}
	return commands;
}

List *
FeathubFdwPlanForeignModify(PlannerInfo *root, ModifyTable *plan,
							Index resultRelation, int subplan_index)
{
	RangeTblEntry *rte = planner_rt_fetch(resultRelation, root);
	const FeathubConnector *connector = FeathubConnectorOfTable(rte->relid);
	Relation	relation;
	List	   *target_attrs = NIL;
	List	   *key_attrs = NIL;

	reject_on_conflict(plan->onConflictAction, rte->relid);

	/* the caller holds a lock already */
	relation = table_open(rte->relid, NoLock);
	if (plan->operation != CMD_DELETE)
		target_attrs = list_target_attrs(relation);
	if (plan->operation == CMD_UPDATE)
		target_attrs = FeathubFdwUpdatedAttrs(root, resultRelation, relation, target_attrs);
	if (plan->operation != CMD_INSERT)
		key_attrs = FeathubRelationKeyColumns(FeathubRelationDescribe(rte->relid));
	table_close(relation, NoLock);
	return list_make3(makeString(pstrdup(connector ? connector->name : "")),
					  target_attrs, key_attrs);
}

void
FeathubFdwBeginForeignModify(ModifyTableState *mtstate, ResultRelInfo *rinfo,
							 List *fdw_private, int subplan_index, int eflags)
{
	FeathubFdwModifyState *state;

	state = make_state(mtstate, rinfo, mtstate->operation,
					   list_nth(fdw_private, FEATHUB_FDW_MODIFY_TARGET_ATTRS));
	if (mtstate->operation != CMD_INSERT)
		FeathubFdwFindUpdateTargets(state, outerPlanState(mtstate)->plan,
									list_nth(fdw_private, FEATHUB_FDW_MODIFY_KEY_ATTRS));
	if ((eflags & EXEC_FLAG_EXPLAIN_ONLY) == 0)
		begin(state);
}

/* COPY, and the first row routed to a partition */
void
FeathubFdwBeginForeignInsert(ModifyTableState *mtstate, ResultRelInfo *rinfo)
{
	ModifyTable *plan = castNode(ModifyTable, mtstate->ps.plan);
	Relation	relation = rinfo->ri_RelationDesc;
	FeathubFdwModifyState *state;

	if (plan)
		reject_on_conflict(plan->onConflictAction, RelationGetRelid(relation));

	/* as postgres_fdw: its scan might meet the rows that were moved there */
	if (plan && plan->operation == CMD_UPDATE &&
		(rinfo->ri_usesFdwDirectModify || rinfo->ri_FdwState))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot route rows into foreign table \"%s\", which the same statement updates",
						RelationGetRelationName(relation))));
	state = make_state(mtstate, rinfo, CMD_INSERT, list_target_attrs(relation));
	begin(state);
	if (may_wait(mtstate, rinfo))
		state->kept = MemoryContextAllocZero(state->modify.context,
											 sizeof(TupleTableSlot *) * state->modify.batch_size);
}

TupleTableSlot *
FeathubFdwExecForeignInsert(EState *estate, ResultRelInfo *rinfo,
							TupleTableSlot *slot, TupleTableSlot *planSlot)
{
	FeathubFdwModifyState *state = rinfo->ri_FdwState;

	if (state->kept)
		keep_row(rinfo, slot);
	else
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
	FeathubFdwModifyState *state = rinfo->ri_FdwState;
	MemoryContext oldcontext;

	if (state == NULL)
		return;
	if (state->begun)
	{
		send_kept(rinfo);
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
	FeathubFdwModifyState *state = rinfo->ri_FdwState;

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
reject_on_conflict(OnConflictAction action, Oid relid)
{
	const FeathubConnector *connector;

	if (action == ONCONFLICT_NONE)
		return;
	connector = FeathubConnectorOfTable(relid);
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("ON CONFLICT %s is not supported for foreign table \"%s\"",
					action == ONCONFLICT_NOTHING ? "DO NOTHING" : "DO UPDATE",
					get_rel_name(relid)),
			 connector &&
			 FeathubOptionsFind(connector->options, FEATHUB_ON_TABLE, "write_mode") ?
			 errhint("Set the foreign table's option \"write_mode\" to \"upsert\".") : 0));
}

static FeathubFdwModifyState *
make_state(ModifyTableState *mtstate, ResultRelInfo *rinfo, CmdType operation,
		   List *target_attrs)
{
	EState	   *estate = mtstate->ps.state;
	ModifyTable *plan = castNode(ModifyTable, mtstate->ps.plan);
	TriggerDesc *triggers = rinfo->ri_TrigDesc;
	FeathubFdwModifyState *state;
	FeathubModify *modify;
	MemoryContext context;
	MemoryContext oldcontext;

	context = AllocSetContextCreate(estate->es_query_cxt, "feathub modify",
									ALLOCSET_DEFAULT_SIZES);
	oldcontext = MemoryContextSwitchTo(context);
	state = palloc0(sizeof(FeathubFdwModifyState));
	modify = &state->modify;
	modify->context = context;
	modify->row_context = AllocSetContextCreate(context, "feathub modify row",
												ALLOCSET_DEFAULT_SIZES);
	modify->operation = operation;
	modify->target_attrs = list_copy(target_attrs);
	modify->batch_size = FEATHUB_MODIFY_BATCH_SIZE;
	modify->returning = (plan && plan->returningLists != NIL) ||
		rinfo->ri_projectReturning != NULL ||
		rinfo->ri_WithCheckOptions != NIL ||
		(plan && plan->withCheckOptionLists != NIL) ||
		(triggers && (triggers->trig_insert_after_row || triggers->trig_update_after_row));
	modify->rel = FeathubRelationOpen(RelationGetRelid(rinfo->ri_RelationDesc),
									  ExecGetResultRelCheckAsUser(rinfo, estate));
	rinfo->ri_FdwState = state;
	MemoryContextSwitchTo(oldcontext);
	return state;
}

static void
begin(FeathubFdwModifyState *state)
{
	MemoryContext oldcontext = MemoryContextSwitchTo(state->modify.context);

	state->begun = true;
	state->modify.rel->connector->begin_modify(&state->modify);
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

/*
 * May rows of this COPY wait until there are enough of them?  Before 16 the
 * server hands them over one by one, whatever the batch size; later it asks for
 * batches itself, and then no single row comes here.  As there, nothing that
 * runs in between may look at the table.
 */
static bool
may_wait(ModifyTableState *mtstate, ResultRelInfo *rinfo)
{
	Relation	relation = rinfo->ri_RelationDesc;
	TupleDesc	tupdesc = RelationGetDescr(relation);

	if (mtstate->ps.plan != NULL || FeathubFdwGetForeignModifyBatchSize(rinfo) <= 1)
		return false;
	for (int attnum = 1; attnum <= tupdesc->natts; attnum++)
	{
		Node	   *expr;

		if (!TupleDescAttr(tupdesc, attnum - 1)->atthasdef)
			continue;
		expr = build_column_default(relation, attnum);
		if (expr && contain_volatile_functions_not_nextval((Node *) expression_planner((Expr *) expr)))
			return false;
	}
	return true;
}

/* Keep a copy of a row, and send all that are kept once they are enough. */
static void
keep_row(ResultRelInfo *rinfo, TupleTableSlot *slot)
{
	FeathubFdwModifyState *state = rinfo->ri_FdwState;
	MemoryContext oldcontext = MemoryContextSwitchTo(state->modify.context);
	TupleTableSlot **kept = &state->kept[state->nkept];

	if (*kept == NULL)
		*kept = MakeTupleTableSlot(state->modify.rel->tupdesc, &TTSOpsHeapTuple);
	ExecCopySlot(*kept, slot);
	state->nkept++;
	state->kept_bytes += ((HeapTupleTableSlot *) *kept)->tuple->t_len;
	MemoryContextSwitchTo(oldcontext);
	if (state->nkept >= state->modify.batch_size || state->kept_bytes >= MAX_KEPT_BYTES)
		send_kept(rinfo);
}

static void
send_kept(ResultRelInfo *rinfo)
{
	FeathubFdwModifyState *state = rinfo->ri_FdwState;
	int			n = state->nkept;

	if (n == 0)
		return;
	state->nkept = 0;
	state->kept_bytes = 0;
	insert(rinfo, state->kept, n);
	for (int i = 0; i < n; i++)
		ExecClearTuple(state->kept[i]);
}
