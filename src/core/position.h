/*
 * position.h
 *		Positions, counters and dead letters of jobs: what a worker writes in
 *		the transaction of each batch.
 */
#ifndef FEATHUB_CORE_POSITION_H
#define FEATHUB_CORE_POSITION_H

#include "datatype/timestamp.h"
#include "nodes/pg_list.h"

/* A row of feathub.job_position. */
typedef struct FeathubPosition
{
	char	   *partition;
	char	   *position;		/* NULL: not begun */
	char	   *mark;			/* or NULL */
	char	   *replay_until;	/* position before a rewind, or NULL */
} FeathubPosition;

/* What one batch adds to a partition's row. */
typedef struct FeathubPositionAdvance
{
	const char *partition;
	const char *expected;		/* the position the batch started from */
	const char *next;			/* up to which it goes */
	const char *mark;			/* or NULL: keep */
	int64		records;		/* read */
	int64		applied;		/* rows written */
	int64		duplicates;		/* rows that changed nothing */
	int64		dead_letters;
	int64		skipped;
	int64		expired;
	TimestampTz watermark;		/* greatest event time, or DT_NOBEGIN */
} FeathubPositionAdvance;

typedef struct FeathubDeadLetter
{
	const char *partition;
	int64		sequence;
	const char *key;			/* or NULL */
	Size		key_len;
	const char *value;			/* or NULL */
	Size		value_len;
	Datum		headers;		/* jsonb */
	bool		headers_isnull;
	TimestampTz timestamp;		/* DT_NOBEGIN: none */
	const char *sink;			/* that refused it, or NULL */
	int			sqlerrcode;
	const char *message;
} FeathubDeadLetter;

/* The job's positions (FeathubPosition *), palloc'd; those put away too. */
extern List *FeathubPositionsLoad(int64 job_id);

/* Insert a new partition's row under an epoch; nothing if it is there already. */
extern void FeathubPositionInsert(int64 job_id, int64 epoch, const char *partition,
								  const char *position, const char *mark);

/*
 * FeathubPositionsAdvance
 *		Record that a batch has been applied (promise 1).
 *
 * The first statement of the batch's transaction.  Raises
 * T_R_SERIALIZATION_FAILURE if any row has not the expected position and epoch:
 * another worker has been there, or the job was rewound, restarted, paused or
 * dropped, each of which raises the epoch of all its rows.
 */
extern void FeathubPositionsAdvance(int64 job_id, int64 epoch,
									FeathubPositionAdvance *advances, int n);

/*
 * FeathubPositionsCount
 *		Add a batch's counters and watermarks, known only once it is written.
 */
extern void FeathubPositionsCount(int64 job_id, FeathubPositionAdvance *advances, int n);

/* Store dead letters. */
extern void FeathubDeadLettersInsert(int64 job_id, FeathubDeadLetter *letters, int n);

/* Dead letters of the job since it was last resumed: what its budget is for. */
extern int64 FeathubDeadLettersUsed(int64 job_id);

#endif							/* FEATHUB_CORE_POSITION_H */
