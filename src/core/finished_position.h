/*
 * finished_position.h
 *		Positions that are put away: of partitions that have an end, such as
 *		files.
 *
 * A source with a folder of files has many partitions that have been read and
 * will hardly be read again.  Their rows leave feathub.job_position, which
 * every batch writes, for feathub.job_finished_partition: small, not updated,
 * without counters (those are added to the partition that stands for the whole
 * source).  A partition has a row in one of the two.
 *
 * What follows runs in a worker, in a transaction, under the job's epoch: unless
 * the job is running under it, T_R_SERIALIZATION_FAILURE is raised (promise 1).
 * Strings in lists are char *.
 */
#ifndef FEATHUB_CORE_FINISHED_POSITION_H
#define FEATHUB_CORE_FINISHED_POSITION_H

#include "nodes/pg_list.h"

#include "core/position.h"

/*
 * FeathubPositionsBegin
 *		Insert the rows of partitions that have none, and take back those that
 *		have been put away: these keep what they had.  NULL marks are none.
 *
 * Returns how many rows were made.
 */
extern int	FeathubPositionsBegin(int64 job_id, int64 epoch, FeathubPosition *positions, int n);

/* Put positions away as finished which have no row at all. */
extern void FeathubPositionsFinish(int64 job_id, int64 epoch, FeathubPosition *positions, int n);

/* Put away partitions; their counters go to the row of partition "summary". */
extern void FeathubPositionsPutAway(int64 job_id, int64 epoch, const char *summary,
									List *partitions);

/* Note that partitions put away are missing in the source, or there again. */
extern void FeathubPositionsNoteMissing(int64 job_id, int64 epoch, List *partitions,
										bool missing);

/* Up to "limit" partitions that have been missing for so many seconds. */
extern List *FeathubPositionsLongMissing(int64 job_id, int seconds, int limit);

/* Forget partitions that are missing. */
extern void FeathubPositionsForget(int64 job_id, int64 epoch, List *partitions);

/* Calls back with each position of a job; the strings are gone behind the call. */
typedef void (*FeathubPositionCallback) (void *arg, const FeathubPosition *position,
										 bool finished, bool missing);
extern void FeathubPositionsEach(int64 job_id, FeathubPositionCallback callback, void *arg);

/* Positions of these partitions (FeathubPosition *); with finished, those put away too. */
extern List *FeathubPositionsLoadSome(int64 job_id, List *partitions, bool finished);

/*
 * FeathubPositionsMove
 *		Set positions and forget their marks, once the job's epoch is raised.
 *
 * For whoever holds the job's row.  replay_until: up to where records have been
 * applied before, or NULL.
 */
extern void FeathubPositionsMove(int64 job_id, FeathubPosition *positions, int n);

#endif							/* FEATHUB_CORE_FINISHED_POSITION_H */
