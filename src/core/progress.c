/*
 * progress.c
 *		What long commands of all sessions are doing, for views.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_authid.h"
#include "miscadmin.h"
#include "storage/lwlock.h"
#include "storage/procarray.h"
#include "storage/shmem.h"
#include "storage/spin.h"
#include "utils/acl.h"

#include "core/progress.h"

typedef struct FeathubProgressArray
{
	slock_t		mutex;			/* of all slots: held for a copy only */
	FeathubProgressSlot slots[FEATHUB_PROGRESS_SLOTS];
} FeathubProgressArray;

static void
attach(FeathubProgress *progress)
{
	bool		found;

	if (progress->array)
		return;
	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	progress->array = ShmemInitStruct(progress->name, sizeof(FeathubProgressArray), &found);
	if (!found)
	{
		memset(progress->array, 0, sizeof(FeathubProgressArray));
		SpinLockInit(&progress->array->mutex);
	}
	LWLockRelease(AddinShmemInitLock);
}

void
FeathubProgressBegin(FeathubProgress *progress, Oid relid, double rows_estimated)
{
	FeathubProgressSlot slot = {0};

	attach(progress);
	slot.pid = MyProcPid;
	slot.database = MyDatabaseId;
	slot.role = GetUserId();
	slot.relid = relid;
	slot.rows_estimated = rows_estimated;
	slot.started_at = GetCurrentStatementStartTimestamp();

	progress->mine = NULL;		/* of a command whose query runs this one */
	SpinLockAcquire(&progress->array->mutex);
	for (int i = 0; i < FEATHUB_PROGRESS_SLOTS && progress->mine == NULL; i++)
		if (progress->array->slots[i].pid == 0 || progress->array->slots[i].pid == MyProcPid)
		{
			progress->mine = &progress->array->slots[i];
			*progress->mine = slot;
		}
	SpinLockRelease(&progress->array->mutex);
}

void
FeathubProgressEnd(FeathubProgress *progress)
{
	if (progress->mine == NULL)
		return;
	SpinLockAcquire(&progress->array->mutex);
	progress->mine->pid = 0;
	SpinLockRelease(&progress->array->mutex);
	progress->mine = NULL;
}

void
FeathubProgressUpdate(FeathubProgress *progress, int phase, const int64 *counters, int ncounters)
{
	if (progress->mine == NULL)
		return;
	SpinLockAcquire(&progress->array->mutex);
	progress->mine->phase = phase;
	memcpy(progress->mine->counters, counters, sizeof(int64) * ncounters);
	SpinLockRelease(&progress->array->mutex);
}

int
FeathubProgressRead(FeathubProgress *progress, FeathubProgressSlot *slots)
{
	int			count = 0;

	attach(progress);
	SpinLockAcquire(&progress->array->mutex);
	memcpy(slots, progress->array->slots, sizeof(FeathubProgressSlot) * FEATHUB_PROGRESS_SLOTS);
	SpinLockRelease(&progress->array->mutex);

	for (int i = 0; i < FEATHUB_PROGRESS_SLOTS; i++)
		if (slots[i].pid != 0 && slots[i].database == MyDatabaseId &&
			BackendPidGetProc(slots[i].pid) != NULL &&
			(has_privs_of_role(GetUserId(), slots[i].role) ||
			 has_privs_of_role(GetUserId(), ROLE_PG_READ_ALL_STATS)))
			slots[count++] = slots[i];
	return count;
}
