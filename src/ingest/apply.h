/*
 * apply.h
 *		Apply a batch of records in one transaction.
 */
#ifndef FEATHUB_INGEST_APPLY_H
#define FEATHUB_INGEST_APPLY_H

#include "connectors/connector.h"
#include "core/catalog.h"
#include "ingest/group_writer.h"
#include "ingest/transform.h"

/* What a job writes to. */
typedef struct FeathubPipelineSink
{
	Oid			relid;
	int			rank;			/* those of a lower one are written first */
	bool		as_a_whole;		/* what a subtransaction writes there cannot be taken back alone */
	char	   *name;			/* with its schema, for messages */
	FeathubWriter *writer;		/* NULL while it is opened again */
	struct FeathubSinkState *state; /* NULL: it keeps no positions */
	bool		foreign;		/* a foreign table */
	bool		outside;		/* of this database, if only a group's store */
	bool		deletes;		/* records without value delete */
	bool		is_group;
	bool		maintained;		/* it has partitions or a retention */

	/* From the columns of a record or of the query to the writer's input */
	int			ncolumns;
	int		   *columns;
	bool		identity;		/* the arrays can be handed on */
} FeathubPipelineSink;

/* A job as a worker runs it: its source, its query, its sinks. */
typedef struct FeathubPipeline
{
	FeathubJob *job;
	FeathubRelation *rel;		/* the source */
	FeathubStream stream;
	FeathubTransform *transform;	/* NULL: the columns go as they come */

	/*
	 * In the order in which they are written: what is rolled back with us
	 * first, so that a record that it refuses is not in the others.
	 */
	FeathubPipelineSink *sinks;
	int			nsinks;
	int			current;		/* which one is being written, or -1 */

	/* What "batch" is made of, with a query */
	int			ncolumns;
	int		   *columns;		/* attnum - 1 in the source */

	/* Per partition, parallel to stream.partitions */
	char	  **replay_until;	/* position before a rewind, or NULL */
	TimestampTz *last_record_at;	/* of the last record, for job_partition */
	MemoryContext share_context;	/* of these, until the share changes; or NULL */

	/* assignment.c */
	bool		knows_positions;	/* the connector has been told of them */
	TimestampTz forgot_at;		/* the last look for what is missing, or 0 */

	MemoryContext context;		/* lives as long as the pipeline */
	MemoryContext sink_context; /* of transform, writers and their columns */
	MemoryContext batch_context;	/* reset after each batch */
} FeathubPipeline;

/*
 * FeathubPipelineOpen
 *		Open source, query and sinks of a job as the current user.
 *
 * In a transaction; the result lives in the current memory context.
 */
extern FeathubPipeline *FeathubPipelineOpen(FeathubJob *job);

/* True if the source has been altered: the pipeline must be opened again. */
extern bool FeathubPipelineIsStale(FeathubPipeline *pipeline);

/*
 * FeathubPipelineRefresh
 *		Open query and sinks again if one of the sinks has been altered.
 *
 * Raises an error if a sink is no longer the job's owner's: code that its
 * new owner attaches must not run as the former one (promise 7).
 * At the start of a batch's transaction.  The stream goes on undisturbed: a
 * vacuum of the sink is such a change too.
 */
extern void FeathubPipelineRefresh(FeathubPipeline *pipeline);

extern void FeathubPipelineClose(FeathubPipeline *pipeline);

/*
 * FeathubApplyBatch
 *		Apply records in one transaction with the positions behind them.
 *
 * Starts and commits the transaction itself, and again in smaller parts where
 * a record is refused.  Each record is applied, kept as a dead letter or
 * counted; a failure that is no record's fault is raised, with nothing done
 * (promises 1, 4 and 5).  A record that one sink refuses goes to none.  With on_error 'stop' a bad record is raised too, and
 * FeathubApplyFailed is then true.  Returns the rows written, or -1 with
 * nothing done if the source has been altered: open the pipeline again.
 */
extern int64 FeathubApplyBatch(FeathubPipeline *pipeline, FeathubRecord *records, int n);

/* True if an error of this class is the fault of the record. */
extern bool FeathubApplyIsDataError(int sqlerrcode);

/* Set when a batch has left dead letters; the worker then looks at the budget. */
extern bool FeathubApplyDeadLetters;

/* Set when an error raised means that the job must not be tried again. */
extern bool FeathubApplyFailed;

/*
 * FeathubApplyStored
 *		Try records once more that were kept as dead letters.
 *
 * In the caller's transaction.  fates[i] is NULL if the record was applied,
 * else a palloc'd message, with its code in codes[i] and in sinks[i] the name
 * of the sink that refused it, or NULL.
 */
extern void FeathubApplyStored(FeathubPipeline *pipeline, FeathubRecord *records,
							   const char **partitions, Datum *headers, bool *headers_isnull,
							   int n, char **fates, int *codes, const char **sinks);

#endif							/* FEATHUB_INGEST_APPLY_H */
