/*
 * foreign_sink.h
 *		Sinks outside of this database: what the writer asks of a foreign table.
 */
#ifndef FEATHUB_INGEST_FOREIGN_SINK_H
#define FEATHUB_INGEST_FOREIGN_SINK_H

#include "connectors/connector.h"
#include "ingest/group_writer.h"

/*
 * What a worker knows of the positions that a sink keeps, in the order of the
 * stream's partitions.  Each sink of a job has its own: after a failure one may
 * have a batch that another has not.
 */
typedef struct FeathubSinkState FeathubSinkState;

/* Records of a partition that were not written. */
typedef struct FeathubRefused
{
	int			n;
	int			max;
	int64	   *numbers;
} FeathubRefused;

/*
 * FeathubForeignSinkCheck
 *		Raise an error unless a job of that user may write to the foreign table:
 *		WRONG_OBJECT_TYPE if it is none of ours or takes no rows, and whatever is
 *		wrong with its options.
 */
extern void FeathubForeignSinkCheck(Oid relid, Oid userid);

/*
 * FeathubForeignSinkEventTime
 *		The name of the column whose time guards the table's rows, palloc'd, or
 *		NULL: see FeathubConnector.event_time.
 */
extern char *FeathubForeignSinkEventTime(Oid relid);

/*
 * FeathubForeignSinkDelete
 *		Delete rows by key, in the current transaction.
 *
 * rows has n deletions of different keys; cols are the places of the key
 * columns in a row, in the order of FeathubConnectorUpsertKey.  A row that is not
 * there is no error.
 */
extern void FeathubForeignSinkDelete(Oid relid, FeathubWriterRow **rows, int n,
									 const int *cols);

/*
 * FeathubForeignSinkInsertable
 *		Can rows of shape "input" be given to the table's connector as they are?
 *
 * Its columns must be of the rows' types and the others have no default, nothing
 * else may want to see the rows (triggers, rules), and the current user needs the
 * right to INSERT.  Ask again when the table was altered.
 */
extern bool FeathubForeignSinkInsertable(Oid relid, TupleDesc input);

/*
 * FeathubForeignSinkInsert
 *		Insert rows into such a table, in the current transaction.
 *
 * As INSERT does, without a statement; the caller holds a lock on the table.
 */
extern void FeathubForeignSinkInsert(Oid relid, TupleDesc input, FeathubWriterRow **rows, int n);

/*
 * FeathubForeignSinkOpen
 *		Ask the sink how far it was written, or NULL if it keeps no positions.
 *
 * In a transaction; the stream's partitions have their positions.
 * worker is this worker's number among those of the job.
 * replay_until[i] is not NULL where a rewind is being replayed: what the sink
 * noted before it does not count.  The result is palloc'd.
 */
extern FeathubSinkState *FeathubForeignSinkOpen(const FeathubJob *job, Oid sink,
												int worker,
												const FeathubStream *stream,
												char *const *replay_until);

/* Has the sink got records that are still to come here? */
extern bool FeathubForeignSinkIsAhead(const FeathubSinkState *state);

/* The position just before a record, palloc'd. */
extern char *FeathubRecordPosition(FeathubStream *stream, const FeathubRecord *record);

/* Has the sink got this record already, written by a batch that we lost? */
extern bool FeathubForeignSinkHas(const FeathubSinkState *state,
								  FeathubStream *stream,
								  const FeathubRecord *record);

/* Add a record to those that were not written, in the current memory context. */
extern void FeathubForeignSinkRefuse(FeathubRefused *refused, FeathubStream *stream,
									 const FeathubRecord *record);

/*
 * FeathubForeignSinkSave
 *		Have the sink note a batch, in the transaction of its rows.
 *
 * refused[i] are partition i's records that were not written; they are sorted
 * here.  Where a lost batch went farther, that stays noted.
 */
extern void FeathubForeignSinkSave(FeathubSinkState *state, const FeathubJob *job,
								   const FeathubStream *stream, FeathubRefused *refused);

/* The batch has committed here too: what the sink was ahead of is behind us. */
extern void FeathubForeignSinkCommitted(FeathubSinkState *state,
										const FeathubConnector *source,
										const FeathubStream *stream);

#endif							/* FEATHUB_INGEST_FOREIGN_SINK_H */
