/*
 * latest_upsert.h
 *		Upsert a batch's latest rows into an online table without a statement.
 */
#ifndef FEATHUB_INGEST_LATEST_UPSERT_H
#define FEATHUB_INGEST_LATEST_UPSERT_H

#include "ingest/writer_internal.h"

/*
 * FeathubLatestUpsertPrepare
 *		See whether the writer's online table can be written directly.
 *
 * NULL if it must be the statement's work: it must be an ordinary heap table
 * without triggers, rules, row security, defaults and generated columns, all
 * columns of the table's own type, with a B-tree of the primary key, and the
 * group must have no online store.  The current user needs the statement's
 * rights.  The result goes with the writer, which is opened again when one of
 * its tables is altered.
 */
extern FeathubLatestUpsert *FeathubLatestUpsertPrepare(FeathubWriter *writer);

/*
 * FeathubLatestUpsertRows
 *		Do what the writer's statement does with rows sorted by key, one each.
 *
 * Returns how many were written, or -1 with nothing done if it must be the
 * statement after all.  Errors are the statement's.
 */
extern int64 FeathubLatestUpsertRows(FeathubWriter *writer, FeathubWriterRow **rows, int n);

#endif							/* FEATHUB_INGEST_LATEST_UPSERT_H */
