/*
 * key_lookup.h
 *		Find the rows of many keys in a table, in the keys' order.
 */
#ifndef FEATHUB_INGEST_KEY_LOOKUP_H
#define FEATHUB_INGEST_KEY_LOOKUP_H

#include "ingest/writer_internal.h"

typedef struct FeathubKeyLookup FeathubKeyLookup;

/*
 * FeathubKeyLookupIndex
 *		The unique B-tree of a table by which a writer's keys can be looked up.
 *
 * It has the primary key's columns in their order, with the order that the
 * writer sorts by, and no predicate; it is valid and immediate.  InvalidOid if
 * there is none.
 */
extern Oid	FeathubKeyLookupIndex(FeathubWriter *writer, Relation rel);

/*
 * FeathubKeyLookupBegin, FeathubKeyLookupFind, FeathubKeyLookupEnd
 *		Look up keys; Find returns the row that the snapshot sees, or NULL.
 *
 * With ascending, the keys must come in the writer's order, each once: entries
 * next to each other are then walked instead of looked up from the root.
 * The slot is valid until the next Find.  The snapshot is an MVCC one that is
 * registered or active until End; the caller holds the tables.
 */
extern FeathubKeyLookup *FeathubKeyLookupBegin(FeathubWriter *writer, Relation rel,
											   Relation index, Snapshot snapshot,
											   bool ascending);
extern TupleTableSlot *FeathubKeyLookupFind(FeathubKeyLookup *lookup,
											const FeathubWriterRow *row);
extern void FeathubKeyLookupEnd(FeathubKeyLookup *lookup);

#endif							/* FEATHUB_INGEST_KEY_LOOKUP_H */
