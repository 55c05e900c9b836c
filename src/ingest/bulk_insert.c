/*
 * bulk_insert.c
 *		Insert many rows into a plain table, setting aside those that conflict.
 *
 * INSERT ... ON CONFLICT looks into the index before each row, takes a
 * speculative lock and logs each row by itself.  Most rows of a stream are new,
 * so this does what COPY does: whole pages of rows at a time, then their index
 * entries.  A unique index is asked as for a deferrable constraint
 * (UNIQUE_CHECK_PARTIAL): it enters the row and tells whether its key may be
 * there already.  Of two transactions that enter the same key at the same time
 * at least the later one is told, since both hold the leaf page while they
 * look.  Rows so told of are deleted again and handed back; the statement with
 * ON CONFLICT that then takes them waits for the other transaction where it
 * has to.
 *
 * Everything else is the server's own: constraints, WAL, statistics.
 */
#include "postgres.h"

#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_am.h"
#include "catalog/pg_class.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/rls.h"
#include "utils/snapmgr.h"

#include "core/compat.h"
#include "core/describe.h"
#include "ingest/bulk_insert.h"

/* Rows handed to the table at a time, as COPY does. */
#define BUFFERED_ROWS 1000
/* From this many rows on, a ring of buffers spares the server's cache. */
#define RING_ROWS 10000

/* A table being filled. */
struct FeathubBulkInsert
{
	Relation	rel;
	EState	   *estate;
	ResultRelInfo *result;
	TupleDesc	desc;			/* of the rows */
	int		   *columns;		/* by desc's column: attnum - 1 in the table */
	TupleTableSlot *slots[BUFFERED_ROWS];
	int			nslots;
	BulkInsertState bistate;
	CommandId	cid;
	ItemPointerData *doomed;	/* rows told of */
	int64		ndoomed;
	int64		maxdoomed;
	int64		nrows;			/* given so far */
	Tuplestorestate *conflicts;
	MemoryContext context;
};

static void flush_rows(FeathubBulkInsert *bulk);
static void set_aside(FeathubBulkInsert *bulk, TupleTableSlot *slot);

bool
FeathubBulkColumnsFit(TupleDesc table, TupleDesc desc)
{
	int			matched = 0;

	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute given = TupleDescAttr(desc, i);
		Form_pg_attribute att = FeathubDescribeColumn(table, NameStr(given->attname));

		if (att == NULL || att->attgenerated || att->atttypid != given->atttypid ||
			(att->atttypmod >= 0 && att->atttypmod != given->atttypmod))
			return false;
		/* a domain's constraints are checked by the cast that INSERT makes */
		if (get_typtype(att->atttypid) == TYPTYPE_DOMAIN)
			return false;
		matched++;
	}
	for (int i = 0; i < table->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(table, i);

		if (att->attgenerated)
			return false;
		if (att->attisdropped || FeathubDescribeColumn(desc, NameStr(att->attname)))
			continue;
		if (att->atthasdef || att->attidentity || get_typtype(att->atttypid) == TYPTYPE_DOMAIN)
			return false;
	}
	return matched > 0;
}

bool
FeathubBulkInsertPossible(Oid relid, TupleDesc desc)
{
	Relation	rel = table_open(relid, AccessShareLock);
	bool		possible;

	possible = rel->rd_rel->relkind == RELKIND_RELATION &&
		rel->rd_rel->relam == HEAP_TABLE_AM_OID &&
		!rel->rd_rel->relispartition &&
		rel->rd_rel->relpersistence == RELPERSISTENCE_PERMANENT &&
		rel->trigdesc == NULL && rel->rd_rules == NULL &&
		check_enable_rls(relid, InvalidOid, true) == RLS_NONE &&
		pg_class_aclcheck(relid, GetUserId(), ACL_INSERT) == ACLCHECK_OK &&
		FeathubBulkColumnsFit(RelationGetDescr(rel), desc);
	table_close(rel, AccessShareLock);
	return possible;
}

FeathubBulkInsert *
FeathubBulkInsertBegin(Oid relid, TupleDesc desc, int64 nrows, Tuplestorestate *conflicts)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "feathub bulk insert",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	FeathubBulkInsert *bulk = palloc0(sizeof(FeathubBulkInsert));

	bulk->rel = table_open(relid, RowExclusiveLock);
	bulk->desc = desc;
	bulk->context = context;
	bulk->conflicts = conflicts;
	bulk->cid = GetCurrentCommandId(true);
	bulk->estate = CreateExecutorState();
	bulk->result = makeNode(ResultRelInfo);
	InitResultRelInfo(bulk->result, bulk->rel, 0, NULL, 0);
	ExecOpenIndices(bulk->result, false);
	bulk->columns = palloc(sizeof(int) * desc->natts);
	for (int i = 0; i < desc->natts; i++)
		bulk->columns[i] = FeathubDescribeColumn(RelationGetDescr(bulk->rel),
									   NameStr(TupleDescAttr(desc, i)->attname))->attnum - 1;
	if (nrows >= RING_ROWS)
		bulk->bistate = GetBulkInsertState();
	MemoryContextSwitchTo(old);
	return bulk;
}

void
FeathubBulkInsertRow(FeathubBulkInsert *bulk, Datum *values, bool *isnull)
{
	MemoryContext old = MemoryContextSwitchTo(bulk->context);
	TupleTableSlot *slot = bulk->slots[bulk->nslots];

	if (slot == NULL)
		slot = bulk->slots[bulk->nslots] = table_slot_create(bulk->rel, NULL);
	ExecClearTuple(slot);
	memset(slot->tts_isnull, true, sizeof(bool) * slot->tts_tupleDescriptor->natts);
	for (int i = 0; i < bulk->desc->natts; i++)
	{
		slot->tts_values[bulk->columns[i]] = values[i];
		slot->tts_isnull[bulk->columns[i]] = isnull[i];
	}
	ExecStoreVirtualTuple(slot);
	slot->tts_tableOid = RelationGetRelid(bulk->rel);
	if (RelationGetDescr(bulk->rel)->constr)
		ExecConstraints(bulk->result, slot, bulk->estate);
	ExecMaterializeSlot(slot);	/* the row is the caller's, and may change */
	bulk->nrows++;
	if (++bulk->nslots == BUFFERED_ROWS)
	{
		flush_rows(bulk);
		CHECK_FOR_INTERRUPTS();
	}
	MemoryContextSwitchTo(old);
}

int64
FeathubBulkInsertEnd(FeathubBulkInsert *bulk)
{
	int64		inserted;

	flush_rows(bulk);
	/* take out those told of; the next command sees our own rows */
	CommandCounterIncrement();
	for (int64 i = 0; i < bulk->ndoomed; i++)
		simple_table_tuple_delete(bulk->rel, &bulk->doomed[i], GetActiveSnapshot());
	if (bulk->ndoomed > 0)
		CommandCounterIncrement();
	inserted = bulk->nrows - bulk->ndoomed;

	if (bulk->bistate)
		FreeBulkInsertState(bulk->bistate);
	for (int i = 0; i < BUFFERED_ROWS && bulk->slots[i]; i++)
		ExecDropSingleTupleTableSlot(bulk->slots[i]);
	ExecCloseIndices(bulk->result);
	FreeExecutorState(bulk->estate);
	table_close(bulk->rel, NoLock);
	MemoryContextDelete(bulk->context);
	return inserted;
}

/* Write the buffered rows, then their index entries. */
static void
flush_rows(FeathubBulkInsert *bulk)
{
	if (bulk->nslots == 0)
		return;
	table_multi_insert(bulk->rel, bulk->slots, bulk->nslots, bulk->cid, 0, bulk->bistate);
	for (int i = 0; i < bulk->nslots; i++)
	{
		bool		conflict = false;

		if (bulk->result->ri_NumIndices == 0)
			break;
		list_free(feathub_insert_index_tuples(bulk->result, bulk->slots[i], bulk->estate,
											  false, FEATHUB_ALL_INDEXES, NIL, &conflict));
		ResetPerTupleExprContext(bulk->estate);
		if (conflict)
			set_aside(bulk, bulk->slots[i]);
	}
	bulk->nslots = 0;
}

/* Hand a row back, and remember to delete it. */
static void
set_aside(FeathubBulkInsert *bulk, TupleTableSlot *slot)
{
	MemoryContext old = MemoryContextSwitchTo(bulk->context);
	Datum	   *values = palloc(sizeof(Datum) * bulk->desc->natts);
	bool	   *isnull = palloc(sizeof(bool) * bulk->desc->natts);

	slot_getallattrs(slot);
	for (int i = 0; i < bulk->desc->natts; i++)
	{
		values[i] = slot->tts_values[bulk->columns[i]];
		isnull[i] = slot->tts_isnull[bulk->columns[i]];
	}
	tuplestore_putvalues(bulk->conflicts, bulk->desc, values, isnull);
	pfree(values);
	pfree(isnull);
	if (bulk->ndoomed == bulk->maxdoomed)
	{
		bulk->maxdoomed = Max(bulk->maxdoomed * 2, 64);
		bulk->doomed = bulk->doomed ?
			repalloc(bulk->doomed, sizeof(ItemPointerData) * bulk->maxdoomed) :
			palloc(sizeof(ItemPointerData) * bulk->maxdoomed);
	}
	bulk->doomed[bulk->ndoomed++] = slot->tts_tid;
	MemoryContextSwitchTo(old);
}
