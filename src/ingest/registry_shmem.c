/*
 * registry_shmem.c
 *		Who runs what: launcher, schedulers and workers in shared memory.
 */
#include "postgres.h"

#include <signal.h>

#include "funcapi.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/shmem.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/timestamp.h"

#include "core/clock.h"
#include "core/guc.h"
#include "ingest/registry_shmem.h"

#define PARTITIONS_PER_WORKER 64

FeathubRegistry *FeathubTheRegistry = NULL;
static HTAB *partitions = NULL; /* set by startup_shmem */
static shmem_request_hook_type prev_shmem_request_hook = NULL;
static shmem_startup_hook_type prev_shmem_startup_hook = NULL;

PG_FUNCTION_INFO_V1(feathub_worker_activity);
PG_FUNCTION_INFO_V1(feathub_partition_activity);

/* As many slots again for workers that wait, so that the view can say why. */
static int
count_slots(void)
{
	return feathub_max_workers * 2;
}

static Size
registry_size(void)
{
	return add_size(offsetof(FeathubRegistry, workers),
					mul_size(count_slots(), sizeof(FeathubWorkerSlot)));
}

static void
request_shmem(void)
{
	if (prev_shmem_request_hook)
		prev_shmem_request_hook();
	RequestAddinShmemSpace(registry_size());
	RequestAddinShmemSpace(hash_estimate_size(feathub_max_workers * PARTITIONS_PER_WORKER,
											  sizeof(FeathubPartitionSlot)));
	RequestNamedLWLockTranche("feathub", 1);
}

static void
startup_shmem(void)
{
	HASHCTL		info = {0};
	bool		found;

	if (prev_shmem_startup_hook)
		prev_shmem_startup_hook();
	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	FeathubTheRegistry = ShmemInitStruct("feathub registry", registry_size(), &found);
	if (!found)
	{
		memset(FeathubTheRegistry, 0, registry_size());
		FeathubTheRegistry->lock = &(GetNamedLWLockTranche("feathub"))->lock;
		FeathubTheRegistry->nworkers = count_slots();
	}
	info.keysize = sizeof(FeathubPartitionKey);
	info.entrysize = sizeof(FeathubPartitionSlot);
	partitions = ShmemInitHash("feathub partitions", feathub_max_workers,
							   feathub_max_workers * PARTITIONS_PER_WORKER, &info,
							   HASH_ELEM | HASH_BLOBS);
	LWLockRelease(AddinShmemInitLock);
}

void
FeathubRegistryInit(void)
{
	prev_shmem_request_hook = shmem_request_hook;
	shmem_request_hook = request_shmem;
	prev_shmem_startup_hook = shmem_startup_hook;
	shmem_startup_hook = startup_shmem;
}

void
FeathubRegistryRequire(void)
{
	if (FeathubTheRegistry == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("feathub must be loaded via \"shared_preload_libraries\""),
				 errhint("Add feathub to shared_preload_libraries in postgresql.conf and restart the server.")));
}

void
FeathubRegistryWake(Oid database)
{
	FeathubRegistry *registry = FeathubTheRegistry;
	int			free = -1;
	bool		found = false;

	if (registry == NULL)
		return;
	LWLockAcquire(registry->lock, LW_EXCLUSIVE);
	for (int i = 0; i < FEATHUB_MAX_DATABASES && !found; i++)
	{
		FeathubDatabaseSlot *slot = &registry->databases[i];

		if (slot->database == database)
		{
			found = true;
			slot->wake = true;
			if (slot->latch)
				SetLatch(slot->latch);
		}
		else if (!OidIsValid(slot->database) && free < 0)
			free = i;
	}
	if (!found && free >= 0)
	{
		registry->databases[free].database = database;
		registry->databases[free].wake = true;
	}
	if (registry->launcher_latch)
		SetLatch(registry->launcher_latch);
	LWLockRelease(registry->lock);
}

bool
FeathubRegistryIsBlocked(Oid database)
{
	for (int i = 0; i < FEATHUB_MAX_BLOCKED; i++)
	{
		/* a backend that was killed takes nothing back: its word is void */
		if (FeathubTheRegistry->blocked[i].database == database &&
			kill(FeathubTheRegistry->blocked[i].pid, 0) == 0)
			return true;
	}
	return false;
}

FeathubWorkerSlot *
FeathubRegistryFind(Oid database, int64 job_id, int worker)
{
	for (int i = 0; i < FeathubTheRegistry->nworkers; i++)
	{
		FeathubWorkerSlot *slot = &FeathubTheRegistry->workers[i];

		if (slot->state != FEATHUB_SLOT_FREE && slot->database == database &&
			slot->job_id == job_id && slot->worker == worker)
			return slot;
	}
	return NULL;
}

static void
make_partition_key(FeathubPartitionKey *key, Oid database, int64 job_id, const char *partition)
{
	memset(key, 0, sizeof(FeathubPartitionKey));
	key->database = database;
	key->job_id = job_id;
	strlcpy(key->partition, partition, sizeof(key->partition));
}

void
FeathubRegistryNotePartition(const FeathubWorkerSlot *worker, const char *partition,
							 const char *end_position, int64 lag, TimestampTz last_record_at)
{
	FeathubPartitionKey key;
	FeathubPartitionSlot *slot;
	bool		found;

	make_partition_key(&key, worker->database, worker->job_id, partition);
	LWLockAcquire(FeathubTheRegistry->lock, LW_EXCLUSIVE);
	/* a full table costs a line in a view, nothing else */
	slot = hash_search(partitions, &key, HASH_ENTER_NULL, &found);
	if (slot)
	{
		if (!found)
			slot->last_record_at = 0;
		slot->worker = worker->worker;
		slot->epoch = worker->epoch;
		slot->lag = lag;
		strlcpy(slot->end_position, end_position ? end_position : "", sizeof(slot->end_position));
		if (last_record_at != DT_NOBEGIN)
			slot->last_record_at = last_record_at;
		slot->seen_at = GetCurrentTimestamp();
	}
	LWLockRelease(FeathubTheRegistry->lock);
}

void
FeathubRegistryForgetPartition(const FeathubWorkerSlot *worker, const char *partition)
{
	FeathubPartitionKey key;

	make_partition_key(&key, worker->database, worker->job_id, partition);
	LWLockAcquire(FeathubTheRegistry->lock, LW_EXCLUSIVE);
	(void) hash_search(partitions, &key, HASH_REMOVE, NULL);
	LWLockRelease(FeathubTheRegistry->lock);
}

void
FeathubRegistryForgetPartitions(Oid database, const int64 *job_ids, int n)
{
	HASH_SEQ_STATUS status;
	FeathubPartitionSlot *slot;

	LWLockAcquire(FeathubTheRegistry->lock, LW_EXCLUSIVE);
	hash_seq_init(&status, partitions);
	while ((slot = hash_seq_search(&status)) != NULL)
	{
		bool		wanted = slot->key.database != database;

		for (int i = 0; i < n && !wanted; i++)
			wanted = slot->key.job_id == job_ids[i];
		if (!wanted)
			hash_search(partitions, &slot->key, HASH_REMOVE, NULL);
	}
	LWLockRelease(FeathubTheRegistry->lock);
}

/* A time for a view: NULL where there is none. */
static void
put_time(Datum *value, bool *isnull, TimestampTz time)
{
	*value = TimestampTzGetDatum(time);
	*isnull = time == 0;
}

/*
 * feathub.worker_activity()
 *		The workers of this database: running, starting and backing off.
 */
Datum
feathub_worker_activity(PG_FUNCTION_ARGS)
{
	static const char *const states[] = {"free", "starting", "running", "backoff"};
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	FeathubWorkerSlot *copy;
	int			n;

	InitMaterializedSRF(fcinfo, 0);
	if (FeathubTheRegistry == NULL)
		return (Datum) 0;
	n = FeathubTheRegistry->nworkers;
	copy = palloc(sizeof(FeathubWorkerSlot) * n);
	LWLockAcquire(FeathubTheRegistry->lock, LW_SHARED);
	memcpy(copy, FeathubTheRegistry->workers, sizeof(FeathubWorkerSlot) * n);
	LWLockRelease(FeathubTheRegistry->lock);
	for (int i = 0; i < n; i++)
	{
		FeathubWorkerSlot *slot = &copy[i];
		Datum		values[10];
		bool		isnull[10] = {0};

		if (slot->state == FEATHUB_SLOT_FREE || slot->database != MyDatabaseId)
			continue;
		values[0] = Int64GetDatum(slot->job_id);
		values[1] = Int32GetDatum(slot->worker);
		values[2] = Int32GetDatum(slot->pid);
		isnull[2] = slot->pid == 0;
		values[3] = CStringGetTextDatum(slot->waiting ? "waiting" : states[slot->state]);
		put_time(&values[4], &isnull[4], slot->started_at);
		put_time(&values[5], &isnull[5], slot->last_commit_at);
		values[6] = CStringGetTextDatum(slot->last_error);
		isnull[6] = slot->last_error[0] == '\0';
		put_time(&values[7], &isnull[7], slot->last_error_at);
		put_time(&values[8], &isnull[8],
				 slot->state == FEATHUB_SLOT_BACKOFF ?
				 GetCurrentTimestamp() + (slot->retry_at - FeathubClock()) : 0);
		values[9] = Int64GetDatum(slot->restarts);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, isnull);
	}
	return (Datum) 0;
}

/*
 * feathub.partition_activity()
 *		The partitions of this database's jobs as their workers last saw them.
 */
Datum
feathub_partition_activity(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	FeathubPartitionSlot *copy;
	FeathubPartitionSlot *slot;
	HASH_SEQ_STATUS status;
	long		room;
	int			n = 0;

	InitMaterializedSRF(fcinfo, 0);
	if (FeathubTheRegistry == NULL)
		return (Datum) 0;
	/* allocated before the lock is taken, so with room for newcomers */
	room = hash_get_num_entries(partitions) + PARTITIONS_PER_WORKER;
	copy = palloc(sizeof(FeathubPartitionSlot) * room);
	LWLockAcquire(FeathubTheRegistry->lock, LW_SHARED);
	hash_seq_init(&status, partitions);
	while ((slot = hash_seq_search(&status)) != NULL)
		if (slot->key.database == MyDatabaseId && n < room)
			copy[n++] = *slot;
	LWLockRelease(FeathubTheRegistry->lock);
	for (int i = 0; i < n; i++)
	{
		Datum		values[8];
		bool		isnull[8] = {0};

		slot = &copy[i];
		values[0] = Int64GetDatum(slot->key.job_id);
		values[1] = CStringGetTextDatum(slot->key.partition);
		values[2] = CStringGetTextDatum(slot->end_position);
		isnull[2] = slot->end_position[0] == '\0';
		values[3] = Int64GetDatum(slot->lag);
		isnull[3] = slot->lag < 0;
		put_time(&values[4], &isnull[4], slot->last_record_at);
		values[5] = Int32GetDatum(slot->worker);
		put_time(&values[6], &isnull[6], slot->seen_at);
		values[7] = Int64GetDatum(slot->epoch);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, isnull);
	}
	return (Datum) 0;
}
