/*
 * scheduler.c
 *		One per database: starts and ends the workers of its jobs.
 *
 * The scheduler reads the catalog and makes shared memory agree with it: a
 * running job has its number of workers, each started under the job's present
 * epoch; all others end.  A worker that fails waits in its slot for retry_at,
 * with what it said; the pause doubles with each failure, with jitter.
 *
 * Refreshing an external feature group is a job with a negative id, whose worker
 * ends when it has done so.
 *
 * It ends by itself where there is no extension, no job, nothing to be refreshed
 * and no worker.  The
 * launcher starts another when a commit changes jobs.
 */
#include "postgres.h"

#include "access/xact.h"
#include "common/pg_prng.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "tcop/tcopprot.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "core/catalog.h"
#include "core/clock.h"
#include "core/compat.h"
#include "core/dependency.h"
#include "core/guc.h"
#include "core/schedule.h"
#include "ingest/launcher.h"
#include "ingest/registry_shmem.h"

static FeathubDatabaseSlot *my_slot = NULL; /* set by FeathubSchedulerMain */
static BackgroundWorkerHandle **handles;	/* of the workers, by slot */
static bool first_look = true;

static void leave_registry(int code, Datum arg);
static List *read_jobs(MemoryContext context, bool *installed, TimestampTz *next_refresh);
static void forget_partitions(List *jobs);
static long reconcile(List *jobs, TimestampTz next_refresh, int *nslots);
static void start_worker(FeathubScheduledJob *job, int number);
static FeathubWorkerSlot *claim_slot(FeathubScheduledJob *job, int number, int *index);
static void wait_for_room(FeathubWorkerSlot *slot, const char *message, const char *setting);

void
FeathubSchedulerMain(Datum arg)
{
	Oid			database;
	MemoryContext context;

	memcpy(&database, MyBgworkerEntry->bgw_extra, sizeof(Oid));
	my_slot = &FeathubTheRegistry->databases[DatumGetInt32(arg)];
	before_shmem_exit(leave_registry, 0);
	FeathubProcessSetup();

	LWLockAcquire(FeathubTheRegistry->lock, LW_EXCLUSIVE);
	if (my_slot->database != database || my_slot->pid != 0 ||
		FeathubRegistryIsBlocked(database))
	{
		my_slot = NULL;
		LWLockRelease(FeathubTheRegistry->lock);
		proc_exit(0);
	}
	my_slot->pid = MyProcPid;
	my_slot->latch = MyLatch;
	my_slot->starting = false;
	LWLockRelease(FeathubTheRegistry->lock);

	BackgroundWorkerInitializeConnectionByOid(database, InvalidOid, 0);
	pgstat_report_appname("feathub scheduler");
	context = AllocSetContextCreate(TopMemoryContext, "feathub scheduler",
									ALLOCSET_DEFAULT_SIZES);
	handles = MemoryContextAllocZero(TopMemoryContext, sizeof(BackgroundWorkerHandle *) *
									 FeathubTheRegistry->nworkers);

	for (;;)
	{
		List	   *jobs;
		bool		installed;
		TimestampTz next_refresh;
		long		wait;
		int			nslots;

		LWLockAcquire(FeathubTheRegistry->lock, LW_EXCLUSIVE);
		my_slot->wake = false;
		LWLockRelease(FeathubTheRegistry->lock);

		MemoryContextReset(context);
		jobs = read_jobs(context, &installed, &next_refresh);
		forget_partitions(jobs);
		wait = reconcile(jobs, next_refresh, &nslots);
		if (jobs == NIL && nslots == 0 && next_refresh == DT_NOEND)
		{
			bool		wake;

			/* a commit since we looked must not be lost */
			LWLockAcquire(FeathubTheRegistry->lock, LW_EXCLUSIVE);
			wake = my_slot->wake;
			LWLockRelease(FeathubTheRegistry->lock);
			if (!wake)
				proc_exit(0);
			continue;
		}
		pgstat_report_activity(STATE_IDLE, NULL);
		FeathubProcessWait(wait, FEATHUB_WAIT_EVENT("FeathubSchedulerMain"));
	}
}

static void
leave_registry(int code, Datum arg)
{
	if (my_slot == NULL)
		return;
	LWLockAcquire(FeathubTheRegistry->lock, LW_EXCLUSIVE);
	if (my_slot->pid == MyProcPid)
	{
		my_slot->pid = 0;
		my_slot->latch = NULL;
		if (code != 0)
			my_slot->wake = true;	/* the launcher starts another */
	}
	my_slot->starting = false;
	if (FeathubTheRegistry->launcher_latch)
		SetLatch(FeathubTheRegistry->launcher_latch);
	LWLockRelease(FeathubTheRegistry->lock);
}

/* The jobs that should run, in the given context. */
static List *
read_jobs(MemoryContext context, bool *installed, TimestampTz *next_refresh)
{
	MemoryContext old;
	List	   *jobs = NIL;

	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
	pgstat_report_activity(STATE_RUNNING, "feathub scheduler: reading jobs");
	*next_refresh = DT_NOEND;
	*installed = FeathubExtensionLock();
	if (*installed)
	{
		if (first_look)
		{
			FeathubDependenciesCheck();
			first_look = false;
		}
		old = MemoryContextSwitchTo(context);
		jobs = FeathubScheduledJobs(next_refresh);
		MemoryContextSwitchTo(old);
	}
	PopActiveSnapshot();
	CommitTransactionCommand();
	pgstat_report_stat(true);
	return jobs;
}

/* What is known of partitions of jobs that run no more is of no use. */
static void
forget_partitions(List *jobs)
{
	int64	   *job_ids = palloc(sizeof(int64) * (list_length(jobs) + 1));
	ListCell   *lc;
	int			n = 0;

	foreach(lc, jobs)
		job_ids[n++] = ((FeathubScheduledJob *) lfirst(lc))->job_id;
	FeathubRegistryForgetPartitions(MyDatabaseId, job_ids, n);
	pfree(job_ids);
}

/* Forget workers that could not be forked or were lost without a word. */
static void
reap_handles(void)
{
	for (int i = 0; i < FeathubTheRegistry->nworkers; i++)
	{
		pid_t		pid;

		if (handles[i] == NULL || GetBackgroundWorkerPid(handles[i], &pid) != BGWH_STOPPED)
			continue;
		pfree(handles[i]);
		handles[i] = NULL;
		LWLockAcquire(FeathubTheRegistry->lock, LW_EXCLUSIVE);
		if (FeathubTheRegistry->workers[i].state == FEATHUB_SLOT_STARTING)
		{
			FeathubTheRegistry->workers[i].state = FEATHUB_SLOT_BACKOFF;
			FeathubTheRegistry->workers[i].retry_at =
				TimestampTzPlusMilliseconds(FeathubClock(), feathub_retry_delay);
		}
		LWLockRelease(FeathubTheRegistry->lock);
	}
}

/* Ask a worker to end; one that does not listen is terminated. */
static void
stop_worker(FeathubWorkerSlot *slot, TimestampTz now)
{
	if (!slot->stop)
	{
		slot->stop = true;
		slot->stop_at = now;
		if (slot->latch)
			SetLatch(slot->latch);
	}
	else if (TimestampDifferenceExceeds(slot->stop_at, now, FEATHUB_STOP_PATIENCE))
		kill(slot->pid, SIGTERM);
}

/*
 * Make the workers of this database agree with its jobs.  Returns how long to
 * wait for the next look, and the number of slots still in use.
 */
static long
reconcile(List *jobs, TimestampTz next_refresh, int *nslots)
{
	TimestampTz now;
	TimestampTz next = TimestampTzPlusMilliseconds(FeathubClock(),
												   feathub_scheduler_interval);
	ListCell   *lc;

	if (next_refresh != DT_NOEND)
		next = Min(next, FeathubClock() + (next_refresh - GetCurrentTimestamp()));
	reap_handles();
	*nslots = 0;
	now = FeathubClock();
	LWLockAcquire(FeathubTheRegistry->lock, LW_EXCLUSIVE);
	for (int i = 0; i < FeathubTheRegistry->nworkers; i++)
	{
		FeathubWorkerSlot *slot = &FeathubTheRegistry->workers[i];
		bool		wanted = false;

		if (slot->state == FEATHUB_SLOT_FREE || slot->database != MyDatabaseId)
			continue;
		foreach(lc, jobs)
		{
			FeathubScheduledJob *job = lfirst(lc);

			wanted |= job->job_id == slot->job_id && job->epoch == slot->epoch &&
				job->owner == slot->owner && slot->worker < job->workers;
		}
		if (!wanted)
		{
			if (slot->pid != 0)
				stop_worker(slot, now);
			else if (slot->state == FEATHUB_SLOT_BACKOFF)
				slot->state = FEATHUB_SLOT_FREE;
		}
		if (slot->state == FEATHUB_SLOT_FREE)
			continue;
		(*nslots)++;
		/* one on its way out, or one to be started again: look soon */
		if (!wanted)
			next = Min(next, TimestampTzPlusMilliseconds(now, 100));
		else if (slot->state == FEATHUB_SLOT_BACKOFF)
			next = Min(next, slot->retry_at);
	}
	LWLockRelease(FeathubTheRegistry->lock);

	foreach(lc, jobs)
	{
		FeathubScheduledJob *job = lfirst(lc);

		for (int number = 0; number < job->workers; number++)
			start_worker(job, number);
	}
	return Max(1, TimestampDifferenceMilliseconds(FeathubClock(), next));
}

/* Start a worker of a job unless it is there or has to wait. */
static void
start_worker(FeathubScheduledJob *job, int number)
{
	BackgroundWorker worker = {0};
	FeathubWorkerSlot *slot;
	uint32		generation;
	int			index;

	slot = claim_slot(job, number, &index);
	if (slot == NULL)
		return;
	generation = slot->generation;

	worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
	worker.bgw_restart_time = BGW_NEVER_RESTART;
	worker.bgw_notify_pid = MyProcPid;
	worker.bgw_main_arg = Int32GetDatum(index);
	memcpy(worker.bgw_extra, &generation, sizeof(generation));
	snprintf(worker.bgw_library_name, BGW_MAXLEN, "feathub");
	snprintf(worker.bgw_function_name, BGW_MAXLEN, "FeathubWorkerMain");
	snprintf(worker.bgw_name, BGW_MAXLEN, "feathub worker %d of job %.60s", number, job->name);
	snprintf(worker.bgw_type, BGW_MAXLEN, "feathub worker");
	MemoryContextSwitchTo(TopMemoryContext);
	if (RegisterDynamicBackgroundWorker(&worker, &handles[index]))
		return;

	handles[index] = NULL;
	wait_for_room(slot,
				  psprintf("job \"%s\" waits for a background worker slot", job->name),
				  "max_worker_processes");
}

/* Workers of all databases, those that wait for room left out.  Lock held. */
static int
count_workers(void)
{
	int			n = 0;

	for (int i = 0; i < FeathubTheRegistry->nworkers; i++)
		if (FeathubTheRegistry->workers[i].state != FEATHUB_SLOT_FREE &&
			!FeathubTheRegistry->workers[i].waiting)
			n++;
	return n;
}

/* Take a slot for a worker to be started now, or NULL. */
static FeathubWorkerSlot *
claim_slot(FeathubScheduledJob *job, int number, int *index)
{
	TimestampTz now = FeathubClock();
	FeathubWorkerSlot *slot;
	bool		room;
	bool		waited;

	LWLockAcquire(FeathubTheRegistry->lock, LW_EXCLUSIVE);
	if (FeathubRegistryIsBlocked(MyDatabaseId))
	{
		LWLockRelease(FeathubTheRegistry->lock);
		return NULL;
	}
	slot = FeathubRegistryFind(MyDatabaseId, job->job_id, number);
	waited = slot && slot->waiting;
	room = count_workers() < feathub_max_workers;
	if (slot == NULL)
	{
		for (int i = 0; i < FeathubTheRegistry->nworkers && slot == NULL; i++)
			if (FeathubTheRegistry->workers[i].state == FEATHUB_SLOT_FREE)
				slot = &FeathubTheRegistry->workers[i];
		if (slot)
		{
			uint32		generation = slot->generation;

			memset(slot, 0, sizeof(*slot));
			slot->generation = generation;
		}
	}
	else if (slot->state != FEATHUB_SLOT_BACKOFF || (slot->retry_at > now && !waited))
		slot = NULL;
	else if (!waited)
	{
		slot->restarts++;
		room = true;			/* it has been counted */
	}
	if (slot)
	{
		*index = slot - FeathubTheRegistry->workers;
		slot->state = FEATHUB_SLOT_STARTING;
		slot->generation++;
		slot->database = MyDatabaseId;
		slot->owner = job->owner;
		slot->job_id = job->job_id;
		slot->epoch = job->epoch;
		slot->worker = number;
		slot->workers = job->workers;
		slot->pid = 0;
		slot->latch = NULL;
		slot->stop = false;
		slot->began = now;
		slot->started_at = GetCurrentTimestamp();
	}
	LWLockRelease(FeathubTheRegistry->lock);
	if (slot && !room)
	{
		wait_for_room(slot,
					  psprintf("job \"%s\" cannot start: all %d workers of feathub are taken",
							   job->name, feathub_max_workers),
					  "feathub.max_workers");
		return NULL;
	}
	return slot;
}

/* Let a slot wait; said in the view, and in the log once. */
static void
wait_for_room(FeathubWorkerSlot *slot, const char *message, const char *setting)
{
	if (!slot->waiting)
		ereport(WARNING,
				(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
				 errmsg("%s", message),
				 errhint("You may need to increase %s.", setting)));
	LWLockAcquire(FeathubTheRegistry->lock, LW_EXCLUSIVE);
	slot->state = FEATHUB_SLOT_BACKOFF;
	slot->waiting = true;
	slot->retry_at = TimestampTzPlusMilliseconds(FeathubClock(), feathub_scheduler_interval);
	slot->last_error_at = GetCurrentTimestamp();
	snprintf(slot->last_error, FEATHUB_ERROR_SIZE, "%s: you may need to increase %s",
			 message, setting);
	LWLockRelease(FeathubTheRegistry->lock);
}
