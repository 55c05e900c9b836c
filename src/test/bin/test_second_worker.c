/*
 * test_second_worker.c
 *		Start a second process of a job's worker, with the same share of the
 *		partitions and the same epoch: what must never happen by itself.
 *
 *	CREATE FUNCTION second_worker(job_id bigint, worker int, registry_size bigint)
 *	RETURNS bool LANGUAGE c STRICT AS '...';
 *
 * registry_size is pg_shmem_allocations' size of "feathub registry".  Returns
 * false if the worker does not run or there is no room.
 */
#include "postgres.h"

#include "fmgr.h"
#include "miscadmin.h"
#include "postmaster/bgworker.h"
#include "storage/shmem.h"

#include "ingest/registry_shmem.h"

PG_MODULE_MAGIC;
PG_FUNCTION_INFO_V1(second_worker);

/* A copy of the worker's slot in a free one; its index or -1. */
static int
copy_slot(FeathubRegistry *registry, int64 job_id, int worker, uint32 *generation)
{
	FeathubWorkerSlot *original = NULL;
	int			index = -1;

	LWLockAcquire(registry->lock, LW_EXCLUSIVE);
	for (int i = 0; i < registry->nworkers; i++)
	{
		FeathubWorkerSlot *slot = &registry->workers[i];

		if (slot->state == FEATHUB_SLOT_FREE && index < 0)
			index = i;
		if (slot->state == FEATHUB_SLOT_RUNNING && slot->database == MyDatabaseId &&
			slot->job_id == job_id && slot->worker == worker)
			original = slot;
	}
	if (original && index >= 0)
	{
		FeathubWorkerSlot *slot = &registry->workers[index];

		*generation = slot->generation + 1;
		*slot = *original;
		slot->generation = *generation;
		slot->state = FEATHUB_SLOT_STARTING;
		slot->pid = 0;
		slot->latch = NULL;
	}
	LWLockRelease(registry->lock);
	return original ? index : -1;
}

Datum
second_worker(PG_FUNCTION_ARGS)
{
	FeathubRegistry *registry;
	BackgroundWorker worker = {0};
	BackgroundWorkerHandle *handle;
	uint32		generation = 0;
	bool		found;
	int			index;

	registry = ShmemInitStruct("feathub registry", PG_GETARG_INT64(2), &found);
	if (!found)
		elog(ERROR, "feathub is not preloaded");
	index = copy_slot(registry, PG_GETARG_INT64(0), PG_GETARG_INT32(1), &generation);
	if (index < 0)
		PG_RETURN_BOOL(false);

	worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
	worker.bgw_restart_time = BGW_NEVER_RESTART;
	worker.bgw_main_arg = Int32GetDatum(index);
	memcpy(worker.bgw_extra, &generation, sizeof(generation));
	snprintf(worker.bgw_library_name, BGW_MAXLEN, "feathub");
	snprintf(worker.bgw_function_name, BGW_MAXLEN, "FeathubWorkerMain");
	snprintf(worker.bgw_name, BGW_MAXLEN, "feathub second worker");
	snprintf(worker.bgw_type, BGW_MAXLEN, "feathub second worker");
	PG_RETURN_BOOL(RegisterDynamicBackgroundWorker(&worker, &handle));
}
