/*
 * group_writer.h
 *		Write batches of rows to a feature group's tables, or to a plain or
 *		foreign table.
 *
 * Used by workers (Stream API) and backfill (Batch API): the one place that
 * knows how a batch becomes history and latest rows.
 *
 * 1. History holds one row per (primary key, event time): of several, the one
 *    with the greatest arrival wins (promise 3).
 * 2. The online table holds for each key the row with the greatest event time,
 *    among equals the one that arrived last; a row never replaces a newer one,
 *    and none returns that is not newer than its key's deletion (promise 2).
 * 3. All is plain set-based SQL that runs as the current user, in the current
 *    transaction.
 */
#ifndef FEATHUB_INGEST_GROUP_WRITER_H
#define FEATHUB_INGEST_GROUP_WRITER_H

#include "access/tupdesc.h"
#include "datatype/timestamp.h"
#include "utils/palloc.h"

#include "core/catalog.h"

/* One row of a batch. */
typedef struct FeathubWriterRow
{
	int64		arrival;		/* order of arrival; equal only for rows of one
								 * record */
	bool		deleted;		/* a deletion: only the key columns count */
	bool		replayed;		/* its record had been applied before a rewind */
	TimestampTz deleted_at;		/* the deletion's time in its source */
	Datum	   *values;			/* one per column of the writer's input */
	bool	   *isnull;
} FeathubWriterRow;

/* What became of a batch's rows; they add up to the rows given. */
typedef struct FeathubWriterCounts
{
	int64		applied;		/* new or changed history rows */
	int64		duplicates;		/* rows that changed nothing */
	int64		expired;		/* older than the group's retention */
} FeathubWriterCounts;

typedef struct FeathubWriter FeathubWriter;

#define FEATHUB_WRITE_OFFLINE	0x01
#define FEATHUB_WRITE_ONLINE	0x02	/* if the group has an online table */

/*
 * FeathubWriterBegin
 *		Prepare to write rows of the given shape to a table.
 *
 * relid is a group's offline table, a plain table or a foreign table; input describes the rows.
 * Columns are matched by name; columns that input lacks become NULL (or the
 * table's default when history is inserted).  Errors: UNDEFINED_COLUMN for an
 * input column that the table has not (with the closest name) or a key that
 * input lacks; DATATYPE_MISMATCH for a key of another type.  The writer lives
 * in the current memory context, outlives transactions, and notices changes of
 * the tables (FeathubWriterIsStale).
 */
extern FeathubWriter *FeathubWriterBegin(Oid relid, TupleDesc input, uint32 flags);

/* The rows' columns: input's, in its order. */
extern TupleDesc FeathubWriterInput(FeathubWriter *writer);

/* Can rows be deleted from what it writes to? */
extern bool FeathubWriterDeletes(FeathubWriter *writer);

/* True if the group or one of its tables has been altered since Begin. */
extern bool FeathubWriterIsStale(FeathubWriter *writer);

/*
 * FeathubWriterRefuses
 *		Why a row cannot be written, or NULL: a key or the event time is NULL.
 *
 * Returns a palloc'd message; *sqlerrcode is set.  Call it before Apply.
 */
extern char *FeathubWriterRefuses(FeathubWriter *writer, const FeathubWriterRow *row,
								  int *sqlerrcode);

/* The row's event time, or DT_NOBEGIN if the group has none. */
extern TimestampTz FeathubWriterEventTime(FeathubWriter *writer,
										  const FeathubWriterRow *row);

/*
 * FeathubWriterApply
 *		Write a batch in the current transaction.
 *
 * now is the batch's one time, for the retention and ttl cutoffs.  Adds to
 * *counts.  A row that a constraint refuses raises the server's own error.
 * Memory it needs is that of the current context, which the caller resets.
 */
extern void FeathubWriterApply(FeathubWriter *writer, FeathubWriterRow *rows, int nrows,
							   TimestampTz now, FeathubWriterCounts *counts);

extern void FeathubWriterEnd(FeathubWriter *writer);

#endif							/* FEATHUB_INGEST_GROUP_WRITER_H */
