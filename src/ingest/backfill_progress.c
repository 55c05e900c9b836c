/*
 * backfill_progress.c
 *		What the backfills of all sessions are doing, for a view.
 *
 * A small array in shared memory, made by the first backfill: it fits in the
 * reserve that the server keeps, so it works without shared_preload_libraries.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_authid.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "storage/lwlock.h"
#include "storage/procarray.h"
#include "storage/shmem.h"
#include "storage/spin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "ingest/backfill_progress.h"

#define MAX_BACKFILLS	64

typedef struct BackfillSlot
{
	int			pid;			/* 0: free */
	Oid			database;
	Oid			role;
	Oid			feature_group;
	FeathubBackfillPhase phase;
	double		rows_estimated;
	int64		rows_read;
	int64		rows_written;
	int64		duplicates;
	int64		expired;
	TimestampTz started_at;
} BackfillSlot;

typedef struct BackfillArray
{
	slock_t		mutex;			/* of all slots: held for a copy only */
	BackfillSlot slots[MAX_BACKFILLS];
} BackfillArray;

/* Set by attach. */
static BackfillArray *backfills = NULL;

/* Our place, set by Begin, or NULL. */
static BackfillSlot *my_slot = NULL;

PG_FUNCTION_INFO_V1(feathub_backfill_progress);

static void
attach(void)
{
	bool		found;

	if (backfills)
		return;
	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	backfills = ShmemInitStruct("feathub backfills", sizeof(BackfillArray), &found);
	if (!found)
	{
		memset(backfills, 0, sizeof(BackfillArray));
		SpinLockInit(&backfills->mutex);
	}
	LWLockRelease(AddinShmemInitLock);
}

void
FeathubBackfillProgressBegin(Oid feature_group, double rows_estimated)
{
	BackfillSlot slot = {0};

	attach();
	slot.pid = MyProcPid;
	slot.database = MyDatabaseId;
	slot.role = GetUserId();
	slot.feature_group = feature_group;
	slot.rows_estimated = rows_estimated;
	slot.started_at = GetCurrentStatementStartTimestamp();

	my_slot = NULL;				/* of a backfill whose query runs this one */
	SpinLockAcquire(&backfills->mutex);
	for (int i = 0; i < MAX_BACKFILLS && my_slot == NULL; i++)
		if (backfills->slots[i].pid == 0 || backfills->slots[i].pid == MyProcPid)
		{
			my_slot = &backfills->slots[i];
			*my_slot = slot;
		}
	SpinLockRelease(&backfills->mutex);
}

void
FeathubBackfillProgressEnd(void)
{
	if (my_slot == NULL)
		return;
	SpinLockAcquire(&backfills->mutex);
	my_slot->pid = 0;
	SpinLockRelease(&backfills->mutex);
	my_slot = NULL;
}

void
FeathubBackfillProgressUpdate(FeathubBackfillPhase phase, int64 rows_read,
							  int64 rows_written, int64 duplicates, int64 expired)
{
	if (my_slot == NULL)
		return;
	SpinLockAcquire(&backfills->mutex);
	my_slot->phase = phase;
	my_slot->rows_read = rows_read;
	my_slot->rows_written = rows_written;
	my_slot->duplicates = duplicates;
	my_slot->expired = expired;
	SpinLockRelease(&backfills->mutex);
}

/*
 * feathub.backfills(): the backfills of this database that the current user
 * may see, those of roles whose rights he has, or all for pg_read_all_stats.
 */
Datum
feathub_backfill_progress(PG_FUNCTION_ARGS)
{
	static const char *const phases[] = {
		[FEATHUB_BACKFILL_LOADING] = "loading",
		[FEATHUB_BACKFILL_ONLINE] = "writing online",
		[FEATHUB_BACKFILL_PARTITIONS] = "making partitions",
	};
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	BackfillSlot *slots = palloc(sizeof(BackfillSlot) * MAX_BACKFILLS);

	InitMaterializedSRF(fcinfo, 0);
	attach();
	SpinLockAcquire(&backfills->mutex);
	memcpy(slots, backfills->slots, sizeof(BackfillSlot) * MAX_BACKFILLS);
	SpinLockRelease(&backfills->mutex);

	for (int i = 0; i < MAX_BACKFILLS; i++)
	{
		BackfillSlot *slot = &slots[i];
		Datum		values[10];
		bool		nulls[10] = {false};

		if (slot->pid == 0 || slot->database != MyDatabaseId ||
			BackendPidGetProc(slot->pid) == NULL ||
			!(has_privs_of_role(GetUserId(), slot->role) ||
			  has_privs_of_role(GetUserId(), ROLE_PG_READ_ALL_STATS)))
			continue;
		values[0] = Int32GetDatum(slot->pid);
		values[1] = ObjectIdGetDatum(slot->feature_group);
		values[2] = ObjectIdGetDatum(slot->role);
		values[3] = CStringGetTextDatum(phases[slot->phase]);
		values[4] = Int64GetDatum((int64) slot->rows_estimated);
		values[5] = Int64GetDatum(slot->rows_read);
		values[6] = Int64GetDatum(slot->rows_written);
		values[7] = Int64GetDatum(slot->duplicates);
		values[8] = Int64GetDatum(slot->expired);
		values[9] = TimestampTzGetDatum(slot->started_at);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	return (Datum) 0;
}
