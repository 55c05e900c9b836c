/*
 * backfill_progress.h
 *		What the backfills of all sessions are doing, for a view.
 */
#ifndef FEATHUB_INGEST_BACKFILL_PROGRESS_H
#define FEATHUB_INGEST_BACKFILL_PROGRESS_H

#include "postgres_ext.h"

typedef enum FeathubBackfillPhase
{
	FEATHUB_BACKFILL_LOADING,
	FEATHUB_BACKFILL_ONLINE,	/* writing the online table */
	FEATHUB_BACKFILL_PARTITIONS /* making partitions */
} FeathubBackfillPhase;

/*
 * FeathubBackfillProgressBegin, FeathubBackfillProgressEnd
 *		Have a place in the view; when all are taken the view does without us.
 *
 * End is to be called on error and exit, too; it may be called twice.
 */
extern void FeathubBackfillProgressBegin(Oid feature_group, double rows_estimated);
extern void FeathubBackfillProgressEnd(void);

extern void FeathubBackfillProgressUpdate(FeathubBackfillPhase phase, int64 rows_read,
										  int64 rows_written, int64 duplicates,
										  int64 expired);

#endif							/* FEATHUB_INGEST_BACKFILL_PROGRESS_H */
