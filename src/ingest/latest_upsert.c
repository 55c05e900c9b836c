/*
 * latest_upsert.c
 *		Upsert a batch's latest rows into an online table without a statement.
 *
 * INSERT ... ON CONFLICT DO UPDATE looks for each row twice, locks it, which is
 * logged, and only then finds whether it is to be replaced.  Here the row is
 * found by one walk through the index, and updated at once if it is older;
 * measured, half the time.  Its semantics are the statement's:
 *
 * 1. Rows are locked in the order of their keys, those updated and those
 *    inserted alike, so two writers do not wait for each other.
 * 2. A row that another transaction has changed since the look is looked for
 *    anew, by a new snapshot, after that transaction has ended: an update waits
 *    for it in the table, an insert in the index.
 * 3. New keys are inserted speculatively, as the statement does.
 * 4. Constraints see the row as it would be inserted and as it is written.
 *
 * Columns that the batch lacks, and the key, stay as they are.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/heapam.h"
#include "access/relation.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/datum.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/rls.h"
#include "utils/snapmgr.h"

#include "core/compat.h"
#include "core/describe.h"
#include "ingest/bulk_insert.h"
#include "ingest/key_lookup.h"
#include "ingest/latest_upsert.h"

/* What is known as long as the tables stay as they are. */
struct FeathubLatestUpsert
{
	Oid			index;			/* of the online table */
	Oid			tombstone_index;	/* or InvalidOid: nothing is ever deleted */
	int		   *columns;		/* by the input's: attnum - 1 in the table */
	int		   *kept;			/* columns of the table that an update keeps */
	int			nkept;
	bool		check_again;	/* an updated row is not just the inserted one */
};

/* A batch being written. */
typedef struct Upsert
{
	FeathubWriter *writer;
	FeathubLatestUpsert *plan;
	Relation	rel;
	Relation	index;
	Relation	tombstone;		/* NULL: nothing is ever deleted */
	Relation	tombstone_index;
	EState	   *estate;
	ResultRelInfo *result;
	List	   *arbiters;
	CommandId	cid;
	Snapshot	snapshot;
	FeathubKeyLookup *rows;
	FeathubKeyLookup *tombstones;	/* NULL: there were none when we began */
	TupleTableSlot *slot;		/* the row to be written */
} Upsert;

/* What became of a row. */
typedef enum Outcome
{
	ROW_WRITTEN,
	ROW_STAYS,
	ROW_CHANGED					/* by another transaction: look again */
} Outcome;

/* The tombstones' index, if they can be looked up as the statement does. */
static bool
prepare_tombstones(FeathubWriter *writer, FeathubLatestUpsert *plan)
{
	Relation	rel = table_open(writer->group->tombstone, AccessShareLock);
	Form_pg_attribute at = FeathubDescribeColumn(RelationGetDescr(rel), "deleted_at");

	if (at && at->atttypid == TupleDescAttr(writer->input, writer->event_time)->atttypid &&
		rel->rd_rel->relkind == RELKIND_RELATION &&
		check_enable_rls(RelationGetRelid(rel), InvalidOid, true) == RLS_NONE &&
		pg_class_aclcheck(RelationGetRelid(rel), GetUserId(), ACL_SELECT) == ACLCHECK_OK)
		plan->tombstone_index = FeathubKeyLookupIndex(writer, rel);
	table_close(rel, AccessShareLock);
	return OidIsValid(plan->tombstone_index);
}

/* Find each column's place, and which ones an update keeps. */
static void
match_columns(FeathubWriter *writer, FeathubLatestUpsert *plan, TupleDesc table)
{
	plan->columns = palloc(sizeof(int) * writer->input->natts);
	plan->kept = palloc(sizeof(int) * table->natts);
	for (int i = 0; i < writer->input->natts; i++)
	{
		Form_pg_attribute given = TupleDescAttr(writer->input, i);

		plan->columns[i] = FeathubDescribeColumn(table, NameStr(given->attname))->attnum - 1;
	}
	for (int i = 0; i < table->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(table, i);
		bool		written = false;

		for (int j = 0; j < writer->input->natts; j++)
			written |= plan->columns[j] == i && !writer->is_key[j];
		if (!written && !att->attisdropped)
			plan->kept[plan->nkept++] = i;
	}
	plan->check_again = plan->nkept > writer->nkeys ||
		(table->constr && table->constr->num_check > 0);
}

FeathubLatestUpsert *
FeathubLatestUpsertPrepare(FeathubWriter *writer)
{
	FeathubGroup *group = writer->group;
	FeathubLatestUpsert *plan;
	Relation	rel;

	if (OidIsValid(group->store) || !FeathubBulkInsertPossible(group->online, writer->input) ||
		pg_class_aclmask(group->online, GetUserId(), ACL_SELECT | ACL_UPDATE, ACLMASK_ALL) !=
		(ACL_SELECT | ACL_UPDATE))
		return NULL;
	plan = palloc0(sizeof(FeathubLatestUpsert));
	rel = table_open(group->online, AccessShareLock);
	plan->index = FeathubKeyLookupIndex(writer, rel);
	if (OidIsValid(plan->index))
		match_columns(writer, plan, RelationGetDescr(rel));
	table_close(rel, AccessShareLock);
	if (!OidIsValid(plan->index) ||
		(group->deletes && writer->event_time >= 0 && !prepare_tombstones(writer, plan)))
		return NULL;
	return plan;
}

/* The online table's index, among those that were opened with it. */
static Relation
opened_index(Upsert *upsert)
{
	for (int i = 0; i < upsert->result->ri_NumIndices; i++)
		if (RelationGetRelid(upsert->result->ri_IndexRelationDescs[i]) == upsert->plan->index)
			return upsert->result->ri_IndexRelationDescs[i];
	return NULL;
}

/* Which of the index's columns is that of the table?  -1: none. */
static int
index_column(Relation index, AttrNumber attnum)
{
	for (int i = 0; i < IndexRelationGetNumberOfKeyAttributes(index); i++)
		if (index->rd_index->indkey.values[i] == attnum)
			return i;
	return -1;
}

/* Has an index the same columns as the one that is looked into? */
static bool
has_key(Upsert *upsert, Relation index, bool *same_order)
{
	int			nkeys = IndexRelationGetNumberOfKeyAttributes(index);

	*same_order = true;
	if (!index->rd_index->indisunique || !index->rd_index->indimmediate ||
		!index->rd_index->indisvalid || RelationGetIndexPredicate(index) != NIL ||
		nkeys != upsert->writer->nkeys)
		return false;
	for (int i = 0; i < nkeys; i++)
	{
		int			col = index_column(upsert->index, index->rd_index->indkey.values[i]);

		if (col < 0)
			return false;
		*same_order &= index->rd_opfamily[i] == upsert->index->rd_opfamily[col] &&
			index->rd_indcollation[i] == upsert->index->rd_indcollation[col];
	}
	return true;
}

/*
 * All indexes in which a new row may meet another of its key, as ON CONFLICT
 * infers them.  False if one takes other keys to be equal than the writer does.
 */
static bool
find_arbiters(Upsert *upsert)
{
	for (int i = 0; i < upsert->result->ri_NumIndices; i++)
	{
		Relation	index = upsert->result->ri_IndexRelationDescs[i];
		bool		same_order;

		if (!has_key(upsert, index, &same_order))
			continue;
		if (!same_order)
			return false;
		upsert->arbiters = lappend_oid(upsert->arbiters, RelationGetRelid(index));
	}
	return true;
}

/* Open what the snapshot is needed for. */
static void
begin_lookups(Upsert *upsert)
{
	FeathubLatestUpsert *plan = upsert->plan;

	CommandCounterIncrement();
	PushActiveSnapshot(GetTransactionSnapshot());
	upsert->snapshot = GetActiveSnapshot();
	upsert->cid = GetCurrentCommandId(true);
	upsert->rows = FeathubKeyLookupBegin(upsert->writer, upsert->rel, upsert->index,
										 upsert->snapshot, true);
	if (!OidIsValid(plan->tombstone_index))
		return;
	upsert->tombstone = table_open(upsert->writer->group->tombstone, AccessShareLock);
	upsert->tombstone_index = index_open(plan->tombstone_index, AccessShareLock);
	if (RelationGetNumberOfBlocks(upsert->tombstone) > 0)
		upsert->tombstones = FeathubKeyLookupBegin(upsert->writer, upsert->tombstone,
												   upsert->tombstone_index, upsert->snapshot, true);
}

static void
end_lookups(Upsert *upsert)
{
	FeathubKeyLookupEnd(upsert->rows);
	if (upsert->tombstones)
		FeathubKeyLookupEnd(upsert->tombstones);
	if (upsert->tombstone)
	{
		index_close(upsert->tombstone_index, NoLock);
		table_close(upsert->tombstone, NoLock);
	}
	PopActiveSnapshot();
}

/* Has the row's key been deleted at the row's time or later? */
static bool
is_deleted(Upsert *upsert, FeathubKeyLookup *tombstones, const FeathubWriterRow *row)
{
	FeathubWriter *writer = upsert->writer;
	TupleTableSlot *slot = FeathubKeyLookupFind(tombstones, row);
	Datum		at;
	bool		isnull;

	if (slot == NULL)
		return false;
	at = slot_getattr(slot, FeathubDescribeColumn(RelationGetDescr(upsert->tombstone), "deleted_at")->attnum, &isnull);
	return !isnull && ApplySortComparator(at, false, row->values[writer->event_time], false,
										  &writer->sort[writer->nkeys]) >= 0;
}

/* The row as it would be inserted. */
static void
fill_slot(Upsert *upsert, const FeathubWriterRow *row)
{
	TupleTableSlot *slot = upsert->slot;

	ExecClearTuple(slot);
	memset(slot->tts_isnull, true, sizeof(bool) * slot->tts_tupleDescriptor->natts);
	for (int i = 0; i < upsert->writer->input->natts; i++)
	{
		slot->tts_values[upsert->plan->columns[i]] = row->values[i];
		slot->tts_isnull[upsert->plan->columns[i]] = row->isnull[i];
	}
	ExecStoreVirtualTuple(slot);
	slot->tts_tableOid = RelationGetRelid(upsert->rel);
}

static void
check_constraints(Upsert *upsert)
{
	if (RelationGetDescr(upsert->rel)->constr)
		ExecConstraints(upsert->result, upsert->slot, upsert->estate);
}

/*
 * Does the row replace the old one?  It must be newer, or of the same time and
 * not the same in all columns, bit by bit.
 */
static bool
replaces(Upsert *upsert, const FeathubWriterRow *row, TupleTableSlot *old)
{
	FeathubWriter *writer = upsert->writer;

	if (writer->event_time >= 0)
	{
		bool		isnull;
		Datum		at = slot_getattr(old, upsert->plan->columns[writer->event_time] + 1, &isnull);
		int			cmp;

		if (isnull)
			return false;		/* as the operators of the statement have it */
		cmp = ApplySortComparator(row->values[writer->event_time], false, at, false,
								  &writer->sort[writer->nkeys]);
		if (cmp != 0)
			return cmp > 0;
	}
	for (int i = 0; i < writer->input->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(writer->input, i);
		bool		isnull;
		Datum		value;

		if (writer->is_key[i])
			continue;
		value = slot_getattr(old, upsert->plan->columns[i] + 1, &isnull);
		if (isnull != row->isnull[i] ||
			(!isnull && !datum_image_eq(value, row->values[i], att->attbyval, att->attlen)))
			return true;
	}
	return false;
}

/* Enter the row into the indexes. */
static bool
insert_index_entries(Upsert *upsert, bool update, FeathubUpdateIndexes which, List *arbiters)
{
	bool		conflict = false;

	list_free(feathub_insert_index_tuples(upsert->result, upsert->slot, upsert->estate, update,
										  which, arbiters, update ? NULL : &conflict));
	return !conflict;
}

static Outcome
update_row(Upsert *upsert, const FeathubWriterRow *row, TupleTableSlot *old)
{
	TupleTableSlot *slot = upsert->slot;
	FeathubUpdateIndexes indexes;
	TM_FailureData failure;
	LockTupleMode lockmode;

	if (!replaces(upsert, row, old))
		return ROW_STAYS;
	for (int i = 0; i < upsert->plan->nkept; i++)
	{
		int			col = upsert->plan->kept[i];

		slot->tts_values[col] = slot_getattr(old, col + 1, &slot->tts_isnull[col]);
	}
	if (upsert->plan->check_again)
		check_constraints(upsert);
	switch (table_tuple_update(upsert->rel, &old->tts_tid, slot, upsert->cid, upsert->snapshot,
							   InvalidSnapshot, true, &failure, &lockmode, &indexes))
	{
		case TM_Ok:
			break;
		case TM_Updated:
		case TM_Deleted:
			return ROW_CHANGED;
		default:
			elog(ERROR, "unexpected result of an update of table \"%s\"",
				 RelationGetRelationName(upsert->rel));
	}
	if (indexes)
		(void) insert_index_entries(upsert, true, indexes, NIL);
	return ROW_WRITTEN;
}

static Outcome
insert_row(Upsert *upsert)
{
	TransactionId xid = GetCurrentTransactionId();
	ItemPointerData none;
	ItemPointerData conflict;
	uint32		token;
	bool		unique;

	ItemPointerSetInvalid(&none);
	if (!feathub_check_index_constraints(upsert->result, upsert->slot, upsert->estate, &conflict,
										 &none, upsert->arbiters))
		return ROW_CHANGED;
	token = SpeculativeInsertionLockAcquire(xid);
	table_tuple_insert_speculative(upsert->rel, upsert->slot, upsert->cid, 0, NULL, token);
	unique = insert_index_entries(upsert, false, FEATHUB_ALL_INDEXES, upsert->arbiters);
	table_tuple_complete_speculative(upsert->rel, upsert->slot, token, unique);
	SpeculativeInsertionLockRelease(xid);
	return unique ? ROW_WRITTEN : ROW_CHANGED;
}

/* Once more, with the row as others have left it. */
static Outcome
look_again(Upsert *upsert, const FeathubWriterRow *row)
{
	Snapshot	snapshot = RegisterSnapshot(GetLatestSnapshot());
	FeathubKeyLookup *lookup;
	TupleTableSlot *old;
	Outcome		outcome = ROW_STAYS;
	bool		deleted = false;

	if (upsert->tombstone)
	{
		lookup = FeathubKeyLookupBegin(upsert->writer, upsert->tombstone, upsert->tombstone_index,
									   snapshot, false);
		deleted = is_deleted(upsert, lookup, row);
		FeathubKeyLookupEnd(lookup);
	}
	if (!deleted)
	{
		lookup = FeathubKeyLookupBegin(upsert->writer, upsert->rel, upsert->index, snapshot, false);
		old = FeathubKeyLookupFind(lookup, row);
		fill_slot(upsert, row);
		outcome = old ? update_row(upsert, row, old) : insert_row(upsert);
		FeathubKeyLookupEnd(lookup);
	}
	UnregisterSnapshot(snapshot);
	return outcome;
}

/* True if the row was written. */
static bool
upsert_row(Upsert *upsert, const FeathubWriterRow *row)
{
	TupleTableSlot *old;
	Outcome		outcome;

	if (upsert->tombstones && is_deleted(upsert, upsert->tombstones, row))
		return false;
	fill_slot(upsert, row);
	check_constraints(upsert);
	old = FeathubKeyLookupFind(upsert->rows, row);
	outcome = old ? update_row(upsert, row, old) : insert_row(upsert);
	while (outcome == ROW_CHANGED)
	{
		CHECK_FOR_INTERRUPTS();
		outcome = look_again(upsert, row);
	}
	return outcome == ROW_WRITTEN;
}

/* See FeathubWriterPrefetchValues. */
static inline void
prefetch_row(const FeathubWriter *writer, FeathubWriterRow *const *rows, int i, int n)
{
#if defined(__GNUC__) || defined(__clang__)
	if (i + 24 < n)
		__builtin_prefetch(rows[i + 24]);
	if (i + 16 < n)
		FeathubWriterPrefetchValues(rows[i + 16]);
	if (i + 8 < n)
		FeathubWriterPrefetchData(writer, rows[i + 8]);
#endif
}

static void
end_upsert(Upsert *upsert)
{
	ExecDropSingleTupleTableSlot(upsert->slot);
	ExecCloseIndices(upsert->result);
	FreeExecutorState(upsert->estate);
	table_close(upsert->rel, NoLock);
}

int64
FeathubLatestUpsertRows(FeathubWriter *writer, FeathubWriterRow **rows, int n)
{
	Upsert		upsert = {.writer = writer,.plan = writer->upsert};
	int64		written = 0;
	MemoryContext old;

	upsert.rel = table_open(writer->group->online, RowExclusiveLock);
	/* never past a trigger made just now, nor where every row needs one snapshot */
	if (writer->stale || XactReadOnly || IsolationUsesXactSnapshot())
	{
		table_close(upsert.rel, NoLock);
		return -1;
	}
	CheckCmdReplicaIdentity(upsert.rel, CMD_UPDATE);
	upsert.estate = CreateExecutorState();
	upsert.result = makeNode(ResultRelInfo);
	InitResultRelInfo(upsert.result, upsert.rel, 0, NULL, 0);
	ExecOpenIndices(upsert.result, true);
	upsert.slot = table_slot_create(upsert.rel, NULL);
	upsert.index = opened_index(&upsert);
	if (upsert.index == NULL || !find_arbiters(&upsert))
	{
		end_upsert(&upsert);
		return -1;
	}
	begin_lookups(&upsert);
	old = MemoryContextSwitchTo(GetPerTupleMemoryContext(upsert.estate));
	for (int i = 0; i < n; i++)
	{
		if ((i & 255) == 0)
			CHECK_FOR_INTERRUPTS();
		prefetch_row(writer, rows, i, n);
		written += upsert_row(&upsert, rows[i]);
		ResetPerTupleExprContext(upsert.estate);
	}
	MemoryContextSwitchTo(old);
	end_lookups(&upsert);
	end_upsert(&upsert);
	CommandCounterIncrement();
	return written;
}
