/*
 * launcher.c
 *		The static launcher: sees to it that databases have a scheduler.
 *
 * It is connected to no database and reads pg_database only.  At its start it
 * starts one short probe per connectable database that is no template: a
 * scheduler that ends at once where there is nothing to do.  Later a commit
 * that changes jobs names its database in shared memory and wakes the launcher;
 * a slow look at all databases catches what no callback sees (COMMIT PREPARED).
 *
 * A scheduler that ends with an error is started again after a pause.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_database.h"
#include "libpq/pqsignal.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/proc.h"
#include "storage/procarray.h"
#include "storage/procsignal.h"
#include "tcop/tcopprot.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "core/clock.h"
#include "core/compat.h"
#include "core/guc.h"
#include "ingest/ingest.h"
#include "ingest/launcher.h"
#include "ingest/registry_shmem.h"

/* A look at all databases comes every so many scheduler intervals. */
#define PROBE_EVERY 6
/* A scheduler is not started more often than this, in milliseconds. */
#define SCHEDULER_RESTART 200

/* When each database's scheduler was last started.  Parallel to databases[]. */
static TimestampTz started_at[FEATHUB_MAX_DATABASES];
static BackgroundWorkerHandle *handles[FEATHUB_MAX_DATABASES];

static int	connectable_databases(Oid *databases);
static void probe_all_databases(void);
static bool start_schedulers(void);
static bool start_scheduler(int index, Oid database);
static void leave_registry(int code, Datum arg);

void
FeathubIngestInit(void)
{
	if (!process_shared_preload_libraries_in_progress)
		return;
	FeathubRegistryInit();
	FeathubLauncherInit();
	FeathubUtilityHookInit();
}

void
FeathubLauncherInit(void)
{
	BackgroundWorker worker = {0};

	if (IsBinaryUpgrade)
		return;
	worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
	worker.bgw_restart_time = 5;
	snprintf(worker.bgw_library_name, BGW_MAXLEN, "feathub");
	snprintf(worker.bgw_function_name, BGW_MAXLEN, "FeathubLauncherMain");
	snprintf(worker.bgw_name, BGW_MAXLEN, "feathub launcher");
	snprintf(worker.bgw_type, BGW_MAXLEN, "feathub launcher");
	RegisterBackgroundWorker(&worker);
}

void
FeathubProcessSetup(void)
{
	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, die);
	BackgroundWorkerUnblockSignals();
}

void
FeathubProcessWait(long ms, uint32 wait_event)
{
	WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, ms, wait_event);
	ResetLatch(MyLatch);
	CHECK_FOR_INTERRUPTS();
	if (ConfigReloadPending)
	{
		ConfigReloadPending = false;
		ProcessConfigFile(PGC_SIGHUP);
	}
}

void
FeathubLauncherMain(Datum arg)
{
	TimestampTz next_probe = 0;

	FeathubProcessSetup();
	before_shmem_exit(leave_registry, 0);
	BackgroundWorkerInitializeConnection(NULL, NULL, 0);
	pgstat_report_appname("feathub launcher");

	LWLockAcquire(FeathubTheRegistry->lock, LW_EXCLUSIVE);
	FeathubTheRegistry->launcher_pid = MyProcPid;
	FeathubTheRegistry->launcher_latch = MyLatch;
	LWLockRelease(FeathubTheRegistry->lock);
	elog(DEBUG1, "feathub launcher started");

	for (;;)
	{
		TimestampTz now = FeathubClock();

		if (now >= next_probe)
		{
			probe_all_databases();
			next_probe = TimestampTzPlusMilliseconds(now,
													 (int64) feathub_scheduler_interval * PROBE_EVERY);
		}
		FeathubProcessWait(start_schedulers() ? feathub_scheduler_interval : SCHEDULER_RESTART,
						   FEATHUB_WAIT_EVENT("FeathubLauncherMain"));
	}
}

/* The launcher's word in the registry goes with it. */
static void
leave_registry(int code, Datum arg)
{
	LWLockAcquire(FeathubTheRegistry->lock, LW_EXCLUSIVE);
	if (FeathubTheRegistry->launcher_pid == MyProcPid)
	{
		FeathubTheRegistry->launcher_pid = 0;
		FeathubTheRegistry->launcher_latch = NULL;
	}
	LWLockRelease(FeathubTheRegistry->lock);
}

/* The databases that take connections and are no templates. */
static int
connectable_databases(Oid *databases)
{
	Relation	rel;
	TableScanDesc scan;
	HeapTuple	tuple;
	int			n = 0;

	StartTransactionCommand();
	(void) GetTransactionSnapshot();
	rel = table_open(DatabaseRelationId, AccessShareLock);
	scan = table_beginscan_catalog(rel, 0, NULL);
	while ((tuple = heap_getnext(scan, ForwardScanDirection)) != NULL)
	{
		Form_pg_database form = (Form_pg_database) GETSTRUCT(tuple);

		if (!form->datallowconn || form->datistemplate || form->datconnlimit == -2)
			continue;
		if (n < FEATHUB_MAX_DATABASES)
			databases[n++] = form->oid;
		else
		{
			ereport(WARNING,
					(errmsg("feathub cannot look after more than %d databases",
							FEATHUB_MAX_DATABASES)));
			break;
		}
	}
	table_endscan(scan);
	table_close(rel, AccessShareLock);
	CommitTransactionCommand();
	return n;
}

static bool
is_member(Oid database, const Oid *databases, int n)
{
	for (int i = 0; i < n; i++)
		if (databases[i] == database)
			return true;
	return false;
}

/* Ask for a look at each database. */
static void
probe_all_databases(void)
{
	Oid			databases[FEATHUB_MAX_DATABASES];
	int			n = connectable_databases(databases);

	for (int i = 0; i < n; i++)
		FeathubRegistryWake(databases[i]);
	ResetLatch(MyLatch);		/* that was us */
}

/* A scheduler that could not be forked leaves its slot "starting". */
static void
reap_handle(int index)
{
	pid_t		pid;

	if (handles[index] == NULL ||
		GetBackgroundWorkerPid(handles[index], &pid) != BGWH_STOPPED)
		return;
	pfree(handles[index]);
	handles[index] = NULL;
	LWLockAcquire(FeathubTheRegistry->lock, LW_EXCLUSIVE);
	if (FeathubTheRegistry->databases[index].pid == 0)
		FeathubTheRegistry->databases[index].starting = false;
	LWLockRelease(FeathubTheRegistry->lock);
}

/*
 * Start a scheduler where one is wanted and none is there; forget databases
 * that are gone or take no connections.  False if one has to wait for its turn.
 */
static bool
start_schedulers(void)
{
	TimestampTz now = FeathubClock();
	Oid			connectable[FEATHUB_MAX_DATABASES];
	int			nconnectable = -1;	/* not looked up */
	bool		done = true;

	for (int i = 0; i < FEATHUB_MAX_DATABASES; i++)
	{
		FeathubDatabaseSlot *slot = &FeathubTheRegistry->databases[i];
		Oid			database = InvalidOid;

		reap_handle(i);
		LWLockAcquire(FeathubTheRegistry->lock, LW_EXCLUSIVE);
		if (OidIsValid(slot->database) && slot->wake && slot->pid == 0 && !slot->starting &&
			!FeathubRegistryIsBlocked(slot->database))
		{
			if (TimestampDifferenceExceeds(started_at[i], now, SCHEDULER_RESTART))
			{
				database = slot->database;
				slot->starting = true;
			}
			else
				done = false;
		}
		LWLockRelease(FeathubTheRegistry->lock);
		if (!OidIsValid(database))
			continue;
		if (nconnectable < 0)
			nconnectable = connectable_databases(connectable);
		if (!is_member(database, connectable, nconnectable))
		{
			LWLockAcquire(FeathubTheRegistry->lock, LW_EXCLUSIVE);
			memset(slot, 0, sizeof(*slot));
			LWLockRelease(FeathubTheRegistry->lock);
			continue;
		}
		started_at[i] = now;
		if (!start_scheduler(i, database))
			break;
	}
	return done;
}

/* False if there is no room for another background worker. */
static bool
start_scheduler(int index, Oid database)
{
	BackgroundWorker worker = {0};

	worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
	worker.bgw_restart_time = BGW_NEVER_RESTART;
	worker.bgw_notify_pid = MyProcPid;
	worker.bgw_main_arg = Int32GetDatum(index);
	memcpy(worker.bgw_extra, &database, sizeof(Oid));
	snprintf(worker.bgw_library_name, BGW_MAXLEN, "feathub");
	snprintf(worker.bgw_function_name, BGW_MAXLEN, "FeathubSchedulerMain");
	snprintf(worker.bgw_name, BGW_MAXLEN, "feathub scheduler for database %u", database);
	snprintf(worker.bgw_type, BGW_MAXLEN, "feathub scheduler");
	MemoryContextSwitchTo(TopMemoryContext);
	if (RegisterDynamicBackgroundWorker(&worker, &handles[index]))
		return true;

	handles[index] = NULL;
	LWLockAcquire(FeathubTheRegistry->lock, LW_EXCLUSIVE);
	FeathubTheRegistry->databases[index].starting = false;
	LWLockRelease(FeathubTheRegistry->lock);
	ereport(WARNING,
			(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
			 errmsg("could not start the feathub scheduler for database %u", database),
			 errhint("You may need to increase max_worker_processes.")));
	return false;
}

/* End the processes of ours in a database; returns how many are there still. */
static int
terminate_processes(Oid database)
{
	int			n = 0;
	pid_t		pids[FEATHUB_MAX_DATABASES];

	LWLockAcquire(FeathubTheRegistry->lock, LW_SHARED);
	for (int i = 0; i < FEATHUB_MAX_DATABASES; i++)
	{
		FeathubDatabaseSlot *slot = &FeathubTheRegistry->databases[i];

		if (slot->database == database && slot->pid != 0)
			pids[n++] = slot->pid;
	}
	for (int i = 0; i < FeathubTheRegistry->nworkers && n < FEATHUB_MAX_DATABASES; i++)
	{
		FeathubWorkerSlot *slot = &FeathubTheRegistry->workers[i];

		if (slot->state != FEATHUB_SLOT_FREE && slot->database == database && slot->pid != 0)
			pids[n++] = slot->pid;
	}
	LWLockRelease(FeathubTheRegistry->lock);
	for (int i = 0; i < n; i++)
		kill(pids[i], SIGTERM);
	return n;
}

/* True if a process waits for a lock, perhaps one of ours. */
static bool
waits_for_lock(pid_t pid)
{
	PGPROC	   *proc = BackendPidGetProc(pid);

	return proc && (((volatile PGPROC *) proc)->wait_event_info & 0xFF000000) == PG_WAIT_LOCK;
}

/*
 * Ask the workers of a job that were started before a time to end; terminate
 * those that wait for a lock, or all.  Returns how many are there.
 */
static int
stop_workers(int64 job_id, TimestampTz before, bool terminate)
{
	int			n = 0;

	LWLockAcquire(FeathubTheRegistry->lock, LW_EXCLUSIVE);
	for (int i = 0; i < FeathubTheRegistry->nworkers; i++)
	{
		FeathubWorkerSlot *slot = &FeathubTheRegistry->workers[i];

		if (slot->state == FEATHUB_SLOT_FREE || slot->database != MyDatabaseId ||
			slot->job_id != job_id || slot->pid == 0 || slot->pid == MyProcPid ||
			slot->began > before)
			continue;
		n++;
		if (!slot->stop)
		{
			slot->stop = true;
			slot->stop_at = FeathubClock();
			if (slot->latch)
				SetLatch(slot->latch);
		}
		if (terminate || waits_for_lock(slot->pid))
			kill(slot->pid, SIGTERM);
	}
	LWLockRelease(FeathubTheRegistry->lock);
	return n;
}

void
FeathubJobInterrupt(int64 job_id)
{
	TimestampTz start = FeathubClock();
	bool		patient = true;

	while (stop_workers(job_id, start, !patient) > 0 && patient)
	{
		CHECK_FOR_INTERRUPTS();
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, 5,
						 FEATHUB_WAIT_EVENT("FeathubJobInterrupt"));
		ResetLatch(MyLatch);
		patient = !TimestampDifferenceExceeds(start, FeathubClock(),
											  FEATHUB_STOP_PATIENCE);
	}
}

void
FeathubDatabaseBlock(Oid database)
{
	bool		blocked = false;

	LWLockAcquire(FeathubTheRegistry->lock, LW_EXCLUSIVE);
	for (int i = 0; i < FEATHUB_MAX_BLOCKED && !blocked; i++)
		if (!OidIsValid(FeathubTheRegistry->blocked[i].database) ||
			kill(FeathubTheRegistry->blocked[i].pid, 0) != 0)
		{
			FeathubTheRegistry->blocked[i].database = database;
			FeathubTheRegistry->blocked[i].pid = MyProcPid;
			blocked = true;
		}
	LWLockRelease(FeathubTheRegistry->lock);

	while (terminate_processes(database) > 0)
	{
		CHECK_FOR_INTERRUPTS();
		WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, 50,
				  FEATHUB_WAIT_EVENT("FeathubDatabaseBlock"));
		ResetLatch(MyLatch);
	}
}

void
FeathubDatabaseUnblock(Oid database)
{
	LWLockAcquire(FeathubTheRegistry->lock, LW_EXCLUSIVE);
	for (int i = 0; i < FEATHUB_MAX_BLOCKED; i++)
		if (FeathubTheRegistry->blocked[i].database == database &&
			FeathubTheRegistry->blocked[i].pid == MyProcPid)
			memset(&FeathubTheRegistry->blocked[i], 0, sizeof(FeathubTheRegistry->blocked[i]));
	LWLockRelease(FeathubTheRegistry->lock);
	FeathubRegistryWake(database);
}
