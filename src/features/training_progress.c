/*
 * training_progress.c
 *		What create_training_data is doing in all sessions, for a view.
 */
#include "postgres.h"

#include "fmgr.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "core/progress.h"
#include "features/training_progress.h"

static FeathubProgress trainings = {"feathub training data"};

/* What our place shows, set by the functions below. */
static FeathubTrainingPhase phase;
static int64 counters[3];		/* rows written, features done, features */

PG_FUNCTION_INFO_V1(feathub_training_progress);

void
FeathubTrainingProgressBegin(Oid relid, double rows_estimated)
{
	phase = FEATHUB_TRAINING_WRITING;
	memset(counters, 0, sizeof(counters));
	FeathubProgressBegin(&trainings, relid, rows_estimated);
}

void
FeathubTrainingProgressEnd(void)
{
	FeathubProgressEnd(&trainings);
}

void
FeathubTrainingProgressPhase(FeathubTrainingPhase new_phase)
{
	phase = new_phase;
	FeathubProgressUpdate(&trainings, phase, counters, lengthof(counters));
}

void
FeathubTrainingProgressRows(int64 rows)
{
	counters[0] = rows;
	FeathubProgressUpdate(&trainings, phase, counters, lengthof(counters));
}

void
FeathubTrainingProgressFeatures(int done, int all)
{
	counters[1] = done;
	counters[2] = all;
	FeathubProgressUpdate(&trainings, phase, counters, lengthof(counters));
}

/* feathub.trainings(): those of this database that the current user may see */
Datum
feathub_training_progress(PG_FUNCTION_ARGS)
{
	static const char *const phases[] = {
		[FEATHUB_TRAINING_WRITING] = "writing",
		[FEATHUB_TRAINING_HASHING] = "hashing",
		[FEATHUB_TRAINING_STATISTICS] = "making statistics",
		[FEATHUB_TRAINING_EXPORTING] = "exporting",
	};
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	FeathubProgressSlot *slots = palloc(sizeof(FeathubProgressSlot) * FEATHUB_PROGRESS_SLOTS);
	int			count;

	InitMaterializedSRF(fcinfo, 0);
	count = FeathubProgressRead(&trainings, slots);
	for (int i = 0; i < count; i++)
	{
		FeathubProgressSlot *slot = &slots[i];
		Datum		values[9];
		bool		nulls[9] = {false};

		values[0] = Int32GetDatum(slot->pid);
		values[1] = ObjectIdGetDatum(slot->relid);
		values[2] = ObjectIdGetDatum(slot->role);
		values[3] = CStringGetTextDatum(phases[slot->phase]);
		values[4] = Int64GetDatum((int64) slot->rows_estimated);
		for (int j = 0; j < lengthof(counters); j++)
			values[5 + j] = Int64GetDatum(slot->counters[j]);
		values[8] = TimestampTzGetDatum(slot->started_at);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	return (Datum) 0;
}
