/*
 * deletions.h
 *		Deletions (tombstones, CDC deletes) in a feature group's batches.
 */
#ifndef FEATHUB_INGEST_DELETIONS_H
#define FEATHUB_INGEST_DELETIONS_H

#include "ingest/group_writer.h"

/* Build the statements; once per writer of a group with deletes. */
extern void FeathubDeletionsPrepare(FeathubWriter *writer);

/*
 * The condition, with a leading " WHERE", under which a latest row (alias s)
 * may enter the online table: it is newer than its key's deletion.
 */
extern char *FeathubDeletionsFilter(FeathubWriter *writer);

/*
 * FeathubDeletionsResolve
 *		Give each deletion of the batch its event time.
 *
 * That is its time in the source, and at least a microsecond after the latest
 * row of its key that arrived before it, so that the history ends there.
 */
extern void FeathubDeletionsResolve(FeathubWriter *writer, FeathubWriterRow *rows, int nrows);

/*
 * FeathubDeletionsApply
 *		Remember each key's last deletion and take the key from the online table.
 *
 * order lists the rows sorted by key and event time.  Call it before the
 * batch's latest rows are written.
 */
extern void FeathubDeletionsApply(FeathubWriter *writer, FeathubWriterRow *rows,
								  const int *order, int nrows);

#endif							/* FEATHUB_INGEST_DELETIONS_H */
