/*
 * foreign_sink.h
 *		Sinks outside of this database: what the writer asks of a foreign table.
 */
#ifndef FEATHUB_INGEST_FOREIGN_SINK_H
#define FEATHUB_INGEST_FOREIGN_SINK_H

#include "ingest/group_writer.h"

/*
 * FeathubForeignSinkCheck
 *		Raise an error unless a job of the current user may write to the foreign
 *		table: WRONG_OBJECT_TYPE if it is none of ours or takes no rows, and
 *		whatever is wrong with its options.
 */
extern void FeathubForeignSinkCheck(Oid relid);

/*
 * FeathubForeignSinkKey
 *		The names (char *) of the columns by which rows written to the table
 *		replace others; NIL if they are added, or if it is no foreign table of
 *		ours.  *deletes says whether rows can
 *		be deleted by them.
 */
extern List *FeathubForeignSinkKey(Oid relid, bool *deletes);

/*
 * FeathubForeignSinkDelete
 *		Delete rows by key, in the current transaction.
 *
 * rows has n deletions of different keys; cols are the places of the key
 * columns in a row, in the order of FeathubForeignSinkKey.  A row that is not
 * there is no error.
 */
extern void FeathubForeignSinkDelete(Oid relid, FeathubWriterRow **rows, int n,
									 const int *cols);

#endif							/* FEATHUB_INGEST_FOREIGN_SINK_H */
