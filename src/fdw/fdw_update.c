/*
 * fdw_update.c
 *		UPDATE and DELETE of foreign tables by key, and TRUNCATE.
 *
 * A row is named by the values that its key columns had when it was read: they
 * travel from the scan to the modification as junk columns of the plan's rows.
 * The key columns are the connector's affair, or those with option key 'true'.
 *
 * An UPDATE sends the columns that it sets, all of them if a trigger may have
 * changed others.  It never moves a row out of a partition that is a foreign
 * table, as the server does not: where core would leave a row behind that its
 * partition's bounds exclude, it is an error here.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/sysattr.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "optimizer/appendinfo.h"
#include "optimizer/inherit.h"
#include "optimizer/pathnode.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "core/compat.h"
#include "fdw/fdw_modify.h"

/* The server's own name for the old row, which row triggers get. */
#define OLD_ROW_NAME "wholerow"

static char *key_name(Form_pg_attribute att);
pg_noreturn static void reject_command(Relation relation, const FeathubConnector *connector,
						   CmdType command);
static void fetch_key(FeathubFdwModifyState *state, TupleTableSlot *plan_slot);
static void check_partition(EState *estate, ResultRelInfo *rinfo, TupleTableSlot *slot);
static void store_old_row(FeathubFdwModifyState *state, TupleTableSlot *slot,
						  TupleTableSlot *plan_slot);

void
FeathubFdwAddForeignUpdateTargets(PlannerInfo *root, Index rtindex,
								  RangeTblEntry *target_rte, Relation target_relation)
{
	const CmdType command = root->parse->commandType;
	const FeathubConnector *connector = FeathubConnectorOfTable(target_rte->relid);
	TriggerDesc *triggers = target_relation->trigdesc;
	List	   *key = NIL;
	ListCell   *lc;

	if (connector &&
		(command == CMD_UPDATE ? connector->update_row != NULL : connector->delete_row != NULL))
		key = FeathubRelationKeyColumns(FeathubRelationDescribe(target_rte->relid));
	if (key == NIL)
		reject_command(target_relation, connector, command);

	foreach(lc, key)
	{
		Form_pg_attribute att = TupleDescAttr(RelationGetDescr(target_relation),
											  lfirst_int(lc) - 1);
		Var		   *var = makeVar(rtindex, att->attnum, att->atttypid,
								  att->atttypmod, att->attcollation, 0);

		add_row_identity_var(root, var, rtindex, key_name(att));
	}

	/* what RETURNING shows of a row that is gone; for triggers core adds it */
	if (command == CMD_DELETE && root->parse->returningList != NIL &&
		!(triggers &&
		  (triggers->trig_delete_before_row || triggers->trig_delete_after_row)))
		add_row_identity_var(root,
							 makeVar(rtindex, InvalidAttrNumber, RECORDOID, -1, InvalidOid, 0),
							 rtindex, OLD_ROW_NAME);
}

List *
FeathubFdwUpdatedAttrs(PlannerInfo *root, Index rtindex, Relation relation,
					   List *all_attrs)
{
	Bitmapset  *updated;
	List	   *attrs = NIL;
	ListCell   *lc;

	/* what a trigger changes nobody knows before */
	if (relation->trigdesc && relation->trigdesc->trig_update_before_row)
		return all_attrs;
	updated = get_rel_all_updated_cols(root, find_base_rel(root, rtindex));
	foreach(lc, all_attrs)
	{
		if (bms_is_member(lfirst_int(lc) - FirstLowInvalidHeapAttributeNumber, updated))
			attrs = lappend_int(attrs, lfirst_int(lc));
	}
	return attrs;
}

void
FeathubFdwFindUpdateTargets(FeathubFdwModifyState *state, Plan *subplan, List *key_attrs)
{
	FeathubModify *modify = &state->modify;
	MemoryContext oldcontext = MemoryContextSwitchTo(modify->context);
	int			nkeys = list_length(key_attrs);
	ListCell   *lc;

	modify->key_attrs = list_copy(key_attrs);
	state->key_attnos = palloc(sizeof(AttrNumber) * nkeys);
	state->key = palloc(sizeof(Datum) * nkeys);
	state->key_isnull = palloc(sizeof(bool) * nkeys);
	foreach(lc, key_attrs)
	{
		Form_pg_attribute att = TupleDescAttr(modify->rel->tupdesc, lfirst_int(lc) - 1);
		AttrNumber	attno = ExecFindJunkAttributeInTlist(subplan->targetlist, key_name(att));

		if (!AttributeNumberIsValid(attno))
			elog(ERROR, "could not find key column \"%s\" of foreign table \"%s\" in the plan",
				 NameStr(att->attname), modify->rel->relname);
		state->key_attnos[foreach_current_index(lc)] = attno;
	}
	if (modify->operation == CMD_DELETE)
		state->old_row_attno = ExecFindJunkAttributeInTlist(subplan->targetlist, OLD_ROW_NAME);
	MemoryContextSwitchTo(oldcontext);
}

TupleTableSlot *
FeathubFdwExecForeignUpdate(EState *estate, ResultRelInfo *rinfo,
							TupleTableSlot *slot, TupleTableSlot *planSlot)
{
	FeathubFdwModifyState *state = rinfo->ri_FdwState;
	FeathubModify *modify = &state->modify;
	MemoryContext oldcontext;
	bool		found;

	check_partition(estate, rinfo, slot);
	fetch_key(state, planSlot);
	slot_getallattrs(slot);
	oldcontext = MemoryContextSwitchTo(modify->row_context);
	found = modify->rel->connector->update_row(modify, slot, state->key, state->key_isnull);
	MemoryContextSwitchTo(oldcontext);
	MemoryContextReset(modify->row_context);
	return found ? slot : NULL;
}

TupleTableSlot *
FeathubFdwExecForeignDelete(EState *estate, ResultRelInfo *rinfo,
							TupleTableSlot *slot, TupleTableSlot *planSlot)
{
	FeathubFdwModifyState *state = rinfo->ri_FdwState;
	FeathubModify *modify = &state->modify;
	MemoryContext oldcontext;
	bool		found;

	fetch_key(state, planSlot);
	oldcontext = MemoryContextSwitchTo(modify->row_context);
	found = modify->rel->connector->delete_row(modify, state->key, state->key_isnull);
	MemoryContextSwitchTo(oldcontext);
	MemoryContextReset(modify->row_context);
	if (!found)
		return NULL;
	if (AttributeNumberIsValid(state->old_row_attno))
		store_old_row(state, slot, planSlot);
	return slot;
}

void
FeathubFdwExecForeignTruncate(List *rels, DropBehavior behavior, bool restart_seqs)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "feathub truncate",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext oldcontext = MemoryContextSwitchTo(context);
	const FeathubConnector *connector = NULL;
	List	   *relations = NIL;
	ListCell   *lc;

	/* refuse all before one of them is gone */
	foreach(lc, rels)
	{
		Relation	relation = lfirst(lc);
		FeathubRelation *rel;

		connector = FeathubConnectorOfTable(RelationGetRelid(relation));
		if (connector == NULL || connector->truncate == NULL)
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("cannot truncate foreign table \"%s\"",
							RelationGetRelationName(relation))));
		rel = FeathubRelationOpen(RelationGetRelid(relation), GetUserId());
		if (!rel->common.truncatable)
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("foreign table \"%s\" does not allow truncates", rel->relname)));
		relations = lappend(relations, rel);
	}
	if (connector)
		connector->truncate(relations, behavior, restart_seqs);
	MemoryContextSwitchTo(oldcontext);
	MemoryContextDelete(context);
}

/*
 * The junk column with a key column's old value.  Partitions share junk columns
 * of a name and must then agree in all of this.
 */
static char *
key_name(Form_pg_attribute att)
{
	return psprintf("feathub_key_%d_%u_%d_%u", att->attnum, att->atttypid,
					att->atttypmod, att->attcollation);
}

/* UPDATE or DELETE is not for this table: say whose fault it is. */
static void
reject_command(Relation relation, const FeathubConnector *connector, CmdType command)
{
	const char *verb = command == CMD_UPDATE ? "update" : "delete from";
	bool		able = connector &&
		(command == CMD_UPDATE ? connector->update_row != NULL : connector->delete_row != NULL);

	if (!able)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot %s foreign table \"%s\"", verb,
						RelationGetRelationName(relation))));
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("cannot %s foreign table \"%s\", which has no key", verb,
					RelationGetRelationName(relation)),
			 errdetail("Nothing names a row of it."),
			 errhint("Set option \"key\" to \"true\" for the columns that together are unique.")));
}

/* The old key of the row that the plan brings. */
static void
fetch_key(FeathubFdwModifyState *state, TupleTableSlot *plan_slot)
{
	for (int i = 0; i < list_length(state->modify.key_attrs); i++)
		state->key[i] = ExecGetJunkAttribute(plan_slot, state->key_attnos[i],
											 &state->key_isnull[i]);
}

/* Core checks the bounds of partitions for its own tables only. */
static void
check_partition(EState *estate, ResultRelInfo *rinfo, TupleTableSlot *slot)
{
	Relation	relation = rinfo->ri_RelationDesc;

	if (!relation->rd_rel->relispartition ||
		ExecPartitionCheck(rinfo, slot, estate, false))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_CHECK_VIOLATION),
			 errmsg("cannot move a row out of foreign table \"%s\"",
					RelationGetRelationName(relation)),
			 errdetail("The updated row violates the bounds of the partition, and rows cannot be moved from foreign tables to other partitions."),
			 errhint("Delete the row and insert it again.")));
}

/* Fill the slot with the row as it was before it was deleted. */
static void
store_old_row(FeathubFdwModifyState *state, TupleTableSlot *slot,
			  TupleTableSlot *plan_slot)
{
	HeapTupleData tuple;
	HeapTupleHeader header;
	Datum		datum;
	bool		isnull;

	datum = ExecGetJunkAttribute(plan_slot, state->old_row_attno, &isnull);
	if (isnull)
		elog(ERROR, "the old row of foreign table \"%s\" is missing",
			 state->modify.rel->relname);
	header = DatumGetHeapTupleHeader(datum);
	tuple.t_len = HeapTupleHeaderGetDatumLength(header);
	ItemPointerSetInvalid(&tuple.t_self);
	tuple.t_tableOid = state->modify.rel->relid;
	tuple.t_data = header;
	ExecForceStoreHeapTuple(&tuple, slot, false);

	/* the slot must not point to what is on the stack here */
	ExecMaterializeSlot(slot);
}
