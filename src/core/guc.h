/*
 * guc.h
 *		The extension's settings, feathub.*; guc.c has the list.
 */
#ifndef FEATHUB_CORE_GUC_H
#define FEATHUB_CORE_GUC_H

/* How the point-in-time join may be run. */
typedef enum FeathubAsofStrategy
{
	FEATHUB_ASOF_AUTO,			/* in settings only: chosen by cost */
	FEATHUB_ASOF_FEATURE_HASH,	/* all features in memory */
	FEATHUB_ASOF_SPINE_HASH,	/* the spine in memory, batch by batch */
	FEATHUB_ASOF_TIME_ORDERED,	/* both in order of time, the latest of each key in memory */
	FEATHUB_ASOF_MERGE			/* both in order of key and time */
} FeathubAsofStrategy;

extern int	feathub_asof_join_strategy; /* FeathubAsofStrategy, for tests */
extern int	feathub_batch_interval; /* ms a worker waits to fill a batch */
extern int	feathub_batch_memory;	/* kB of raw records in one batch */
extern int	feathub_batch_rows; /* records in one batch at most */
extern bool feathub_embedded_broker;	/* run the embedded broker */
extern char *feathub_embedded_broker_topics;	/* "weather:1, clicks:6" */
extern bool feathub_enable_asof_join;	/* plan point-in-time joins */
extern bool feathub_enable_batched_lookup;	/* the planner may use look-ups */
extern int	feathub_file_memory; /* kB that one file of avro or parquet may need */
extern int	feathub_max_workers;	/* slots in shared memory, all databases */
extern int	feathub_missing_file_retention; /* s that positions of vanished files stay; -1: for ever */
extern int	feathub_retry_delay;	/* ms of the first backoff */
extern int	feathub_retry_delay_max;	/* ms of the longest backoff */
extern int	feathub_scheduler_interval; /* ms between looks at the catalog */
extern int	feathub_source_interval;	/* ms between looks for new partitions, lags */

/* Define them all.  From _PG_init. */
extern void FeathubGucInit(void);

#endif							/* FEATHUB_CORE_GUC_H */
