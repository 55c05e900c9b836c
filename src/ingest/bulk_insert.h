/*
 * bulk_insert.h
 *		Insert many rows into a plain table, setting aside those that conflict.
 */
#ifndef FEATHUB_INGEST_BULK_INSERT_H
#define FEATHUB_INGEST_BULK_INSERT_H

#include "access/tupdesc.h"
#include "utils/tuplestore.h"

/*
 * FeathubBulkInsertPossible
 *		Can rows of this shape be inserted into the table in this way?
 *
 * It must be an ordinary heap table without triggers, rules, row security and
 * generated columns, each column of desc must be of the table's own type, and
 * the table's other columns must have no default.  The current user needs the
 * right to INSERT.  The caller holds a lock on the table; ask again when it
 * was altered.
 */
extern bool FeathubBulkInsertPossible(Oid relid, TupleDesc desc);

/* Do rows of shape desc fit the table's columns without cast, default or expression? */
extern bool FeathubBulkColumnsFit(TupleDesc table, TupleDesc desc);

typedef struct FeathubBulkInsert FeathubBulkInsert;

/*
 * FeathubBulkInsertBegin, FeathubBulkInsertRow, FeathubBulkInsertEnd
 *		Insert rows one after the other; End returns how many went in.
 *
 * nrows is about how many will come.  Constraints are checked as an INSERT
 * does, with its errors.  A row whose key is there already, or is being
 * inserted by another transaction, is appended to conflicts instead, in desc's
 * form, for a statement with ON CONFLICT.
 */
extern FeathubBulkInsert *FeathubBulkInsertBegin(Oid relid, TupleDesc desc, int64 nrows,
												 Tuplestorestate *conflicts);
extern void FeathubBulkInsertRow(FeathubBulkInsert *bulk, Datum *values, bool *isnull);
extern int64 FeathubBulkInsertEnd(FeathubBulkInsert *bulk);

#endif							/* FEATHUB_INGEST_BULK_INSERT_H */
