/*
 * registry_shmem.h
 *		Who runs what: launcher, schedulers and workers in shared memory.
 *
 * Nothing here must survive a crash: the catalog says what should run, this
 * says what does.  One LWLock guards all of it; it is held for a few
 * instructions only, never over a wait or an ereport.
 *
 * A worker slot goes  FREE -> STARTING (scheduler) -> RUNNING (worker)
 *						-> FREE		  (worker ends well)
 *						-> BACKOFF	  (worker ends with an error)
 * and from BACKOFF to STARTING (scheduler, at retry_at) or FREE (scheduler, the
 * job is gone).
 */
#ifndef FEATHUB_INGEST_REGISTRY_SHMEM_H
#define FEATHUB_INGEST_REGISTRY_SHMEM_H

#include "datatype/timestamp.h"
#include "storage/latch.h"
#include "storage/lwlock.h"

#define FEATHUB_ERROR_SIZE 512
#define FEATHUB_MAX_DATABASES 128
#define FEATHUB_MAX_BLOCKED 8
#define FEATHUB_STOP_PATIENCE 1000	/* ms in which a worker ends by itself */
#define FEATHUB_PARTITION_SIZE 264	/* a topic's name and a number */

typedef enum FeathubSlotState
{
	FEATHUB_SLOT_FREE,
	FEATHUB_SLOT_STARTING,
	FEATHUB_SLOT_RUNNING,
	FEATHUB_SLOT_BACKOFF
} FeathubSlotState;

/* One worker of a job. */
typedef struct FeathubWorkerSlot
{
	FeathubSlotState state;
	uint32		generation;		/* raised at each start */
	Oid			database;
	Oid			owner;
	int64		job_id;
	int64		epoch;			/* of the job when it was started */
	int			worker;			/* 0 .. workers - 1 */
	int			workers;
	pid_t		pid;			/* 0: not there */
	Latch	   *latch;			/* of that process */
	bool		stop;			/* the scheduler asks it to end */
	TimestampTz stop_at;		/* when it was asked */
	bool		waiting;		/* no room for it: a setting is too low */
	TimestampTz started_at;
	TimestampTz began;			/* the same by FeathubClock, as retry_at */
	TimestampTz last_commit_at; /* 0: none yet */
	TimestampTz last_error_at;	/* 0: none */
	TimestampTz retry_at;		/* in BACKOFF */
	int			failures;		/* since the last commit */
	int64		restarts;
	char		last_error[FEATHUB_ERROR_SIZE];
} FeathubWorkerSlot;

/* A database with a scheduler, or one that should be looked at. */
typedef struct FeathubDatabaseSlot
{
	Oid			database;		/* InvalidOid: free */
	pid_t		pid;			/* of its scheduler; 0: none */
	Latch	   *latch;			/* of its scheduler */
	bool		starting;
	bool		wake;			/* jobs have changed */
} FeathubDatabaseSlot;

/* A partition as its worker last saw it. */
typedef struct FeathubPartitionKey
{
	Oid			database;
	uint32		padding;		/* 0: the key is hashed as bytes */
	int64		job_id;
	char		partition[FEATHUB_PARTITION_SIZE];
} FeathubPartitionKey;

typedef struct FeathubPartitionSlot
{
	FeathubPartitionKey key;
	int			worker;
	int64		epoch;			/* under which that was */
	int64		lag;			/* -1: unknown */
	char		end_position[64];
	TimestampTz last_record_at; /* timestamp of the last record applied */
	TimestampTz seen_at;
} FeathubPartitionSlot;

typedef struct FeathubRegistry
{
	LWLock	   *lock;
	pid_t		launcher_pid;
	Latch	   *launcher_latch;
	FeathubDatabaseSlot databases[FEATHUB_MAX_DATABASES];
	struct
	{
		Oid			database;	/* nothing may start there */
		pid_t		pid;		/* of the backend that says so */
	}			blocked[FEATHUB_MAX_BLOCKED];
	int			nworkers;		/* slots; not all of them may run */
	FeathubWorkerSlot workers[FLEXIBLE_ARRAY_MEMBER];
} FeathubRegistry;

/* NULL if the extension was not preloaded. */
extern FeathubRegistry *FeathubTheRegistry;

/* Chain the shared memory hooks.  From FeathubIngestInit, while preloading. */
extern void FeathubRegistryInit(void);

/* Raise OBJECT_NOT_IN_PREREQUISITE_STATE unless the extension was preloaded. */
extern void FeathubRegistryRequire(void);

/*
 * Wake the scheduler of a database, or have the launcher start one.  Callable
 * at transaction end: raises no error.
 */
extern void FeathubRegistryWake(Oid database);

/* True if nothing may be started in the database.  Lock held by the caller. */
extern bool FeathubRegistryIsBlocked(Oid database);

/* The slot of a worker of a job, or NULL.  Lock held by the caller. */
extern FeathubWorkerSlot *FeathubRegistryFind(Oid database, int64 job_id, int worker);

/*
 * Note what the worker of a slot knows of a partition, or drop it; drop what is
 * known of jobs of a database that are not among the given ones.
 */
extern void FeathubRegistryNotePartition(const FeathubWorkerSlot *slot, const char *partition,
										 const char *end_position, int64 lag,
										 TimestampTz last_record_at);
extern void FeathubRegistryForgetPartition(const FeathubWorkerSlot *slot, const char *partition);
extern void FeathubRegistryForgetPartitions(Oid database, const int64 *job_ids, int n);

#endif							/* FEATHUB_INGEST_REGISTRY_SHMEM_H */
