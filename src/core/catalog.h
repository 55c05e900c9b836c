/*
 * catalog.h
 *		The metadata tables of schema feathub: the only code that touches them.
 *
 * Ordinary roles have no right to write there.  The functions below run fixed
 * statements as the extension's owner, after the caller's rights on the objects
 * concerned have been checked here; user SQL never runs in that state.
 *
 * Lock order: extension, job row, tables.
 */
#ifndef FEATHUB_CORE_CATALOG_H
#define FEATHUB_CORE_CATALOG_H

#include "datatype/timestamp.h"
#include "executor/spi.h"
#include "nodes/pg_list.h"

#include "core/role.h"

/* A row of feathub.feature_group, palloc'd. */
typedef struct FeathubGroup
{
	Oid			relid;			/* the offline table, or what an external group reads */
	Oid			online;			/* InvalidOid: none */
	Oid			tombstone;		/* InvalidOid: no deletes */
	Oid			source;			/* InvalidOid: none */
	Oid			store;			/* foreign table that copies online; InvalidOid: none */
	List	   *primary_key;	/* of char *: column names */
	char	   *event_time;		/* column name or NULL */
	Interval   *ttl;			/* or NULL */
	Interval   *retention;		/* or NULL */
	Interval   *partition_interval; /* or NULL: not partitioned by us */
	bool		deletes;
	bool		external;		/* its relation is read in place, never written */
	Interval   *refresh_interval;	/* of an external group's online table, or NULL */
} FeathubGroup;

typedef enum FeathubOnError
{
	FEATHUB_ON_ERROR_DEAD_LETTER,
	FEATHUB_ON_ERROR_STOP,
	FEATHUB_ON_ERROR_SKIP
} FeathubOnError;

/* A row of feathub.job, palloc'd. */
typedef struct FeathubJob
{
	int64		job_id;
	char	   *name;
	Oid			owner;
	Oid			source;			/* the foreign table it follows */
	Oid			sink;			/* a group's offline, a plain or a foreign table */
	List	   *sinks;			/* Oids of all that it writes to, sink first */
	char	   *query;			/* or NULL */
	int			workers;
	FeathubOnError on_error;
	int			max_dead_letters;	/* budget since the last resume; -1: none */
	int64		dead_letters;	/* used up of it */
	char	   *start;			/* 'earliest', 'latest' or a time */
	char	   *on_gap;			/* 'stop' or 'skip': retention overtook us */
	bool		synchronous_commit;
	char	   *state;			/* 'running', 'paused' or 'failed' */
	char	   *reason;			/* of paused and failed, or NULL */
	int64		epoch;			/* raised by rewind, restart, pause, resume */
	bool		is_local;		/* started in this very database */
} FeathubJob;

/* Extension */

/* OID of the extension, or InvalidOid if it is not in this database. */
extern Oid	FeathubExtensionOid(void);

/*
 * Lock the extension against DROP for this transaction; false if it is gone.
 * First in the lock order, before any of its tables is opened.
 */
extern bool FeathubExtensionLock(void);

/* The same, for SQL functions: OBJECT_NOT_IN_PREREQUISITE_STATE if it is gone. */
extern void FeathubExtensionRequire(void);

/*
 * FeathubCatalogEnter, FeathubCatalogLeave
 *		Bracket fixed statements that run as the extension's owner: a role's
 *		scope (role.h) in which SPI is connected and search_path is pg_catalog,
 *		pg_temp.
 */
extern void FeathubCatalogEnter(FeathubRoleScope *scope);
extern void FeathubCatalogLeave(FeathubRoleScope *scope);

/*
 * A constant statement whose plan is kept for the session once it has run; a
 * static variable of the function that runs it.
 */
typedef struct FeathubStatement
{
	const char *sql;
	int			nargs;
	Oid			argtypes[16];
	bool		fresh;			/* reads what is committed now, in any isolation level */
	SPIPlanPtr	plan;			/* NULL until the first run */
} FeathubStatement;

/*
 * Run it between Enter and Leave; returns the number of rows (SPI_processed).
 * nulls as in SPI, NULL if no value is.
 */
extern int	FeathubCatalogExecute(FeathubStatement *statement, Datum *values,
								  const char *nulls);

/* Set parameter i of a statement, from 0, in values[] and nulls[] of the caller. */
#define FEATHUB_PARAMETER(i, missing, datum) \
	do { if (missing) { nulls[i] = 'n'; values[i] = (Datum) 0; } else values[i] = (datum); } while (0)

/* Columns of what a statement returned; NULL is InvalidOid or NULL, the rest palloc'd. */
extern Oid	FeathubTupleOid(HeapTuple tuple, TupleDesc desc, int column);
extern char *FeathubTupleString(HeapTuple tuple, TupleDesc desc, int column);
extern Interval *FeathubTupleInterval(HeapTuple tuple, TupleDesc desc, int column);

/* Groups (group_catalog.c) */

/* The group of that relation, or NULL. */
extern FeathubGroup *FeathubGroupLoad(Oid relid);

/*
 * The group that jobs write to as a group.  NULL for others, and for external
 * ones: their relation is a plain table to whoever may write it.
 */
extern FeathubGroup *FeathubGroupLoadWritable(Oid relid);

/* All groups (FeathubGroup *). */
extern List *FeathubGroupsAll(void);

/*
 * FeathubGroupInsert, FeathubGroupUpdate, FeathubGroupDelete
 *		Write a group's row; the caller has checked the rights.
 *
 * Dependencies of its tables follow by a trigger.  Update writes what can be
 * altered: ttl, retention, refresh_interval and store.
 */
extern void FeathubGroupInsert(const FeathubGroup *group);
extern void FeathubGroupUpdate(const FeathubGroup *group);
extern void FeathubGroupDelete(Oid relid);

/*
 * Note that an external group's online table has been refreshed, here and now:
 * from then on this very database does so by its refresh_interval.
 */
extern void FeathubGroupSetRefreshed(Oid relid);

/* Jobs (job_catalog.c) */

/*
 * FeathubJobLoad, FeathubJobByName
 *		The job, or NULL.  ByName with missing_ok false raises UNDEFINED_OBJECT
 *		with the closest name as a hint.
 */
extern FeathubJob *FeathubJobLoad(int64 job_id);
extern FeathubJob *FeathubJobByName(const char *name, bool missing_ok);

/*
 * FeathubJobLock
 *		The job of that name, its row locked for update.
 *
 * Raises UNDEFINED_OBJECT, or INSUFFICIENT_PRIVILEGE unless the current user
 * has its owner's rights.  The caller holds the extension's lock.
 */
extern FeathubJob *FeathubJobLock(const char *name);

/* All jobs (FeathubJob *) by id; those that write to a table, locked if asked. */
extern List *FeathubJobsAll(void);
extern List *FeathubJobsOfSink(Oid sink, bool lock);

/* Raise INSUFFICIENT_PRIVILEGE unless the current user has the owner's rights. */
extern void FeathubJobCheckOwner(const FeathubJob *job);

/*
 * FeathubJobCheckRunnable
 *		Raise an error, with a hint, if the job could not run as it stands.
 *
 * Its owner must exist, may log in (before PostgreSQL 17) and connect, owns
 * the sink (and the group's tables), and has the rights on the source.  Runs
 * in: backend (create, resume), worker (each start).
 */
extern void FeathubJobCheckRunnable(const FeathubJob *job);

/*
 * FeathubJobInsert
 *		Store a new job of this very database, running; returns its id.
 *
 * DUPLICATE_OBJECT if there is one of that name.  job_id, epoch, state and
 * is_local of *job are not read.
 */
extern int64 FeathubJobInsert(const FeathubJob *job);

/*
 * FeathubJobAdopt
 *		Make the job its sink's owner's, if that has changed and is the user's.
 *
 * Changes *job only; Resume writes it.  The query then runs with the new
 * owner's rights, which is why that one must ask for it.
 */
extern void FeathubJobAdopt(FeathubJob *job);

/*
 * What the SQL functions on jobs do, once rights are checked and the row is
 * locked.  All but Delete raise the epoch, so that running workers stop.
 * Resume makes this database the job's own, and with keep_state no more than
 * that.  Update writes what can be altered: sinks, query, workers, on_error,
 * max_dead_letters, on_gap and synchronous_commit.
 */
extern void FeathubJobRestart(int64 job_id);
extern void FeathubJobPause(int64 job_id, const char *reason);
extern void FeathubJobResume(const FeathubJob *job, bool keep_state);
extern void FeathubJobUpdate(const FeathubJob *job);
extern void FeathubJobDelete(int64 job_id);

/*
 * FeathubJobForgetSink
 *		Take a sink out of a job, which goes on with the others.
 *
 * False, with nothing done, if it has no other.  The job is locked.
 */
extern bool FeathubJobForgetSink(FeathubJob *job, Oid sink);

/* Delete a job's dead letters made before a time; returns how many there were. */
extern int64 FeathubDeadLettersDelete(int64 job_id, TimestampTz before);

/* Write state and reason; 'failed' from a worker only while epoch is its own. */
extern bool FeathubJobSetState(int64 job_id, int64 epoch, const char *state,
							   const char *reason);

/* The jobs (FeathubJob *) with that source or one of these sinks, locked. */
extern List *FeathubJobsOfRelations(Datum relations);

/*
 * Ask that schedulers of this database look at the jobs once this transaction
 * has committed.  ingest/ sets the hook; without preloading it is NULL.
 */
extern void FeathubJobsChanged(void);
extern void (*FeathubJobsChangedHook) (void);

/*
 * Called before a job is changed or deleted, in a transaction that will do so:
 * its workers end.  Else a worker that waits for a table would hold up whoever
 * changes the job, for ever if that is who holds the table's lock.  Set by
 * ingest/, or NULL.
 */
extern void (*FeathubJobInterruptHook) (int64 job_id);

#endif							/* FEATHUB_CORE_CATALOG_H */
