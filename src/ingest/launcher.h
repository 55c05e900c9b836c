/*
 * launcher.h
 *		The static launcher, and what starts and stops background workers.
 */
#ifndef FEATHUB_INGEST_LAUNCHER_H
#define FEATHUB_INGEST_LAUNCHER_H

/* Register the launcher.  From FeathubIngestInit, while preloading. */
extern void FeathubLauncherInit(void);

/*
 * FeathubDatabaseBlock, FeathubDatabaseUnblock
 *		Keep schedulers and workers out of a database.
 *
 * Block ends those that are there and waits until they are gone; it can be
 * cancelled.  Unblock lets them start again.  For DROP DATABASE and its like.
 */
extern void FeathubDatabaseBlock(Oid database);
extern void FeathubDatabaseUnblock(Oid database);

/* Install the utility hook that does so.  From FeathubIngestInit. */
extern void FeathubUtilityHookInit(void);

/*
 * FeathubProcessSetup
 *		What every process of ours does first: signals, hooks on exit.
 */
extern void FeathubProcessSetup(void);

/*
 * FeathubProcessWait
 *		Sleep until the latch is set or ms have passed; handle interrupts and
 *		reload the configuration if asked.  Runs in: launcher, scheduler, worker.
 */
extern void FeathubProcessWait(long ms, uint32 wait_event);

/* Entry points of the processes, by name. */
extern PGDLLEXPORT void FeathubLauncherMain(Datum arg);
extern PGDLLEXPORT void FeathubSchedulerMain(Datum arg);
extern PGDLLEXPORT void FeathubWorkerMain(Datum arg);

/*
 * FeathubJobInterrupt
 *		Have the workers of a job of this database end: FeathubJobInterruptHook.
 *
 * Those that wait for a lock, and those that take too long, give up their
 * batch.  The scheduler starts others if the job still wants them.
 */
extern void FeathubJobInterrupt(int64 job_id);

#endif							/* FEATHUB_INGEST_LAUNCHER_H */
