/*
 * key_lookup.c
 *		Find the rows of many keys in a table, in the keys' order.
 *
 * A batch comes sorted by key, and a busy group's batch has a good part of all
 * keys.  So where keys are one column, a scan goes from each to the next: it
 * compares the index's own copies of keys with the one sought, fetches a row
 * only where they are equal, and descends from the root again only when too
 * many lie between.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/nbtree.h"
#include "access/relscan.h"
#include "access/table.h"
#include "access/tableam.h"
#include "catalog/pg_am.h"
#include "catalog/pg_index.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/typcache.h"

#include "core/compat.h"
#include "core/describe.h"
#include "ingest/key_lookup.h"

/* Entries passed over before the next key is sought from the root. */
#define WALK_ENTRIES 32

struct FeathubKeyLookup
{
	FeathubWriter *writer;
	MemoryContext context;		/* for what the scan keeps */
	IndexScanDesc scan;
	TupleTableSlot *slot;
	bool		walk;			/* from key to key */
	bool		started;
	bool		ended;			/* no entry is left */
	bool		at_entry;		/* the scan stands on one that was not used */
	ScanKeyData keys[INDEX_MAX_KEYS];
};

/* Has the index these columns in this order, sorted as the writer sorts? */
static bool
index_fits(FeathubWriter *writer, Relation rel, Relation index)
{
	Form_pg_index form = index->rd_index;

	if (!form->indisunique || !form->indisvalid || !form->indimmediate || !form->indisready ||
		index->rd_rel->relam != BTREE_AM_OID ||
		IndexRelationGetNumberOfKeyAttributes(index) != writer->nkeys ||
		!heap_attisnull(index->rd_indextuple, Anum_pg_index_indpred, NULL))
		return false;
	for (int i = 0; i < writer->nkeys; i++)
	{
		Form_pg_attribute given = TupleDescAttr(writer->input, writer->sort_cols[i]);
		Form_pg_attribute att = FeathubDescribeColumn(RelationGetDescr(rel), NameStr(given->attname));
		TypeCacheEntry *type = lookup_type_cache(given->atttypid, TYPECACHE_LT_OPR);

		if (att == NULL || form->indkey.values[i] != att->attnum ||
			att->atttypid != given->atttypid ||
			TupleDescAttr(RelationGetDescr(index), i)->atttypid != att->atttypid ||
			index->rd_indoption[i] != 0 || index->rd_indcollation[i] != given->attcollation ||
			type->lt_opr != get_opfamily_member(index->rd_opfamily[i], index->rd_opcintype[i],
												index->rd_opcintype[i], BTLessStrategyNumber))
			return false;
	}
	return true;
}

Oid
FeathubKeyLookupIndex(FeathubWriter *writer, Relation rel)
{
	List	   *indexes = RelationGetIndexList(rel);
	Oid			found = InvalidOid;
	ListCell   *lc;

	foreach(lc, indexes)
	{
		Relation	index = index_open(lfirst_oid(lc), AccessShareLock);

		if (!OidIsValid(found) && index_fits(writer, rel, index))
			found = lfirst_oid(lc);
		index_close(index, AccessShareLock);
	}
	list_free(indexes);
	return found;
}

FeathubKeyLookup *
FeathubKeyLookupBegin(FeathubWriter *writer, Relation rel, Relation index, Snapshot snapshot,
					  bool ascending)
{
	FeathubKeyLookup *lookup = palloc0(sizeof(FeathubKeyLookup));

	lookup->writer = writer;
	lookup->context = CurrentMemoryContext;
	lookup->walk = ascending && writer->nkeys == 1;
	for (int i = 0; i < writer->nkeys; i++)
	{
		StrategyNumber strategy = lookup->walk ? BTGreaterEqualStrategyNumber : BTEqualStrategyNumber;
		Oid			oper = get_opfamily_member(index->rd_opfamily[i], index->rd_opcintype[i],
											   index->rd_opcintype[i], strategy);

		ScanKeyEntryInitialize(&lookup->keys[i], 0, i + 1, strategy, InvalidOid,
							   index->rd_indcollation[i], get_opcode(oper), (Datum) 0);
	}
	lookup->slot = table_slot_create(rel, NULL);
	lookup->scan = feathub_index_beginscan(rel, index, snapshot, writer->nkeys);
	lookup->scan->xs_want_itup = lookup->walk;
	return lookup;
}

void
FeathubKeyLookupEnd(FeathubKeyLookup *lookup)
{
	ExecDropSingleTupleTableSlot(lookup->slot);
	index_endscan(lookup->scan);
	pfree(lookup);
}

static void
seek_key(FeathubKeyLookup *lookup, const FeathubWriterRow *row)
{
	int			nkeys = lookup->writer->nkeys;

	for (int i = 0; i < nkeys; i++)
		lookup->keys[i].sk_argument = row->values[lookup->writer->sort_cols[i]];
	index_rescan(lookup->scan, lookup->keys, nkeys, NULL, 0);
	lookup->started = true;
	lookup->at_entry = false;
}

/* Compare the entry on which the scan stands with the key sought. */
static int
compare_entry(FeathubKeyLookup *lookup, const FeathubWriterRow *row)
{
	FeathubWriter *writer = lookup->writer;
	bool		isnull;
	Datum		value = index_getattr(lookup->scan->xs_itup, 1, lookup->scan->xs_itupdesc, &isnull);

	return ApplySortComparator(value, isnull, row->values[writer->sort_cols[0]], false,
							   &writer->sort[0]);
}

static TupleTableSlot *
walk_to_key(FeathubKeyLookup *lookup, const FeathubWriterRow *row)
{
	int			passed = 0;		/* since the last descent */

	while (!lookup->ended)
	{
		int			cmp;

		if (!lookup->started || passed > WALK_ENTRIES)
		{
			seek_key(lookup, row);
			passed = 0;
		}
		if (!lookup->at_entry)
		{
			lookup->at_entry = index_getnext_tid(lookup->scan, ForwardScanDirection) != NULL;
			lookup->ended = !lookup->at_entry;
			continue;
		}
		cmp = compare_entry(lookup, row);
		if (cmp > 0)
			break;				/* it may be the next key's */
		lookup->at_entry = false;
		if (cmp < 0)
			passed++;
		else if (index_fetch_heap(lookup->scan, lookup->slot))
			return lookup->slot;
	}
	return NULL;
}

TupleTableSlot *
FeathubKeyLookupFind(FeathubKeyLookup *lookup, const FeathubWriterRow *row)
{
	MemoryContext old = MemoryContextSwitchTo(lookup->context);
	TupleTableSlot *found = NULL;

	if (lookup->walk)
		found = walk_to_key(lookup, row);
	else
	{
		seek_key(lookup, row);
		if (index_getnext_slot(lookup->scan, ForwardScanDirection, lookup->slot))
			found = lookup->slot;
	}
	MemoryContextSwitchTo(old);
	return found;
}
