/*
 * backfill_progress.c
 *		What the backfills of all sessions are doing, for a view.
 */
#include "postgres.h"

#include "fmgr.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "core/progress.h"
#include "ingest/backfill_progress.h"

static FeathubProgress backfills = {"feathub backfills"};

PG_FUNCTION_INFO_V1(feathub_backfill_progress);

void
FeathubBackfillProgressBegin(Oid feature_group, double rows_estimated)
{
	FeathubProgressBegin(&backfills, feature_group, rows_estimated);
}

void
FeathubBackfillProgressEnd(void)
{
	FeathubProgressEnd(&backfills);
}

void
FeathubBackfillProgressUpdate(FeathubBackfillPhase phase, int64 rows_read,
							  int64 rows_written, int64 duplicates, int64 expired)
{
	int64		counters[] = {rows_read, rows_written, duplicates, expired};

	FeathubProgressUpdate(&backfills, phase, counters, lengthof(counters));
}

/* feathub.backfills(): those of this database that the current user may see */
Datum
feathub_backfill_progress(PG_FUNCTION_ARGS)
{
	static const char *const phases[] = {
		[FEATHUB_BACKFILL_LOADING] = "loading",
		[FEATHUB_BACKFILL_ONLINE] = "writing online",
		[FEATHUB_BACKFILL_PARTITIONS] = "making partitions",
	};
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	FeathubProgressSlot *slots = palloc(sizeof(FeathubProgressSlot) * FEATHUB_PROGRESS_SLOTS);
	int			count;

	InitMaterializedSRF(fcinfo, 0);
	count = FeathubProgressRead(&backfills, slots);
	for (int i = 0; i < count; i++)
	{
		FeathubProgressSlot *slot = &slots[i];
		Datum		values[10];
		bool		nulls[10] = {false};

		values[0] = Int32GetDatum(slot->pid);
		values[1] = ObjectIdGetDatum(slot->relid);
		values[2] = ObjectIdGetDatum(slot->role);
		values[3] = CStringGetTextDatum(phases[slot->phase]);
		values[4] = Int64GetDatum((int64) slot->rows_estimated);
		for (int j = 0; j < FEATHUB_PROGRESS_COUNTERS; j++)
			values[5 + j] = Int64GetDatum(slot->counters[j]);
		values[9] = TimestampTzGetDatum(slot->started_at);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	return (Datum) 0;
}
