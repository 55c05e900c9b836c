/*
 * wait.c
 *		feathub.wait_for_job: until all that the source holds now is applied.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "storage/latch.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "connectors/connector.h"
#include "core/catalog.h"
#include "core/clock.h"
#include "core/compat.h"
#include "core/finished_position.h"
#include "core/schedule.h"
#include "ingest/registry_shmem.h"

/* One look at the positions every so many milliseconds. */
#define WAIT_INTERVAL 5

/* More partitions than that are not looked up one by one. */
#define FEW_TARGETS 1000

/* Where a partition has to come. */
typedef struct WaitTarget
{
	char	   *partition;
	char	   *position;
	bool		reached;
} WaitTarget;

static List *find_ends(FeathubJob *job, const FeathubConnector **connector);
static void note_position(void *arg, const FeathubPosition *position, bool finished, bool missing);
static List *remove_reached(FeathubJob *job, const FeathubConnector *connector, List *targets);
static FeathubJob *load_fresh(int64 job_id, const char *name);

PG_FUNCTION_INFO_V1(feathub_wait_for_job);

/*
 * feathub.wait_for_job(name text, timeout interval)
 *		Returns when the job has applied all that its source holds now.
 *
 * Errors: QUERY_CANCELED after the timeout, OBJECT_NOT_IN_PREREQUISITE_STATE
 * for a job that does not run or was made in this transaction.
 */
Datum
feathub_wait_for_job(PG_FUNCTION_ARGS)
{
	char	   *name;
	TimestampTz deadline = DT_NOEND;
	const FeathubConnector *connector;
	MemoryContext context;
	MemoryContext old;
	FeathubJob *job;
	List	   *targets;

	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("argument \"%s\" must not be null", "name")));
	name = text_to_cstring(PG_GETARG_TEXT_PP(0));
	FeathubRegistryRequire();
	if (!PG_ARGISNULL(1))
	{
		TimestampTz now = GetCurrentTimestamp();
		TimestampTz then = DatumGetTimestampTz(DirectFunctionCall2(timestamptz_pl_interval,
																   TimestampTzGetDatum(now),
																   PG_GETARG_DATUM(1)));

		if (!TIMESTAMP_NOT_FINITE(then))
			deadline = FeathubClock() + (then - now);
	}
	job = FeathubJobByName(name, false);
	FeathubJobCheckOwner(job);
	job = load_fresh(job->job_id, name);
	targets = find_ends(job, &connector);

	context = AllocSetContextCreate(CurrentMemoryContext, "feathub wait", ALLOCSET_DEFAULT_SIZES);
	old = MemoryContextSwitchTo(context);
	while ((targets = remove_reached(job, connector, targets)) != NIL)
	{
		int			behind = list_length(targets);

		if (FeathubClock() >= deadline)
			ereport(ERROR,
					(errcode(ERRCODE_QUERY_CANCELED),
					 errmsg("job \"%s\" did not catch up in time", name),
					 errdetail_plural("%d partition is behind.", "%d partitions are behind.",
									  behind, behind),
					 errhint("See feathub.job_status and feathub.job_partition.")));
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 Max(WAIT_INTERVAL, behind / FEW_TARGETS * WAIT_INTERVAL),
						 FEATHUB_WAIT_EVENT("FeathubWaitForJob"));
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
		MemoryContextReset(context);
		job = load_fresh(job->job_id, name);
	}
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
	PG_RETURN_VOID();
}

/*
 * The job as a new snapshot shows it.  What only this transaction sees, no
 * worker can run.
 */
static FeathubJob *
load_fresh(int64 job_id, const char *name)
{
	FeathubJob *job;

	PushActiveSnapshot(GetLatestSnapshot());
	job = FeathubJobLoad(job_id);
	PopActiveSnapshot();
	if (job == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("job \"%s\" has been dropped", name)));
	if (FeathubJobIsUncommitted(job_id))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("cannot wait for job \"%s\", which this transaction has made or changed", name),
				 errhint("Commit first: workers see committed jobs only.")));
	if (strcmp(job->state, "running") != 0 || !job->is_local)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("job \"%s\" is not running: %s", name,
						!job->is_local ? "paused: restored" : job->state),
				 job->reason ? errdetail("%s", job->reason) : 0,
				 errhint("Call feathub.resume_job.")));
	return job;
}

static int
compare_targets(const ListCell *a, const ListCell *b)
{
	return strcmp(((WaitTarget *) lfirst(a))->partition, ((WaitTarget *) lfirst(b))->partition);
}

static int
compare_positions(const ListCell *a, const ListCell *b)
{
	return strcmp(((FeathubPosition *) lfirst(a))->partition,
				  ((FeathubPosition *) lfirst(b))->partition);
}

/* The ends of all partitions of the job's source, in the order of their names. */
static List *
find_ends(FeathubJob *job, const FeathubConnector **connector)
{
	FeathubStream stream = {0};
	List	   *targets = NIL;
	ListCell   *lc;

	LockRelationOid(job->source, AccessShareLock);
	stream.rel = FeathubRelationOpen(job->source, job->owner);
	stream.job_name = job->name;
	stream.start = job->start;
	stream.read_metadata_only = true;
	stream.context = CurrentMemoryContext;
	*connector = stream.rel->connector;
	(*connector)->open_stream(&stream);
	/* what has been read need not be looked through for its end */
	if ((*connector)->know_position != NULL)
		FeathubPositionsEach(job->job_id, note_position, &stream);
	foreach(lc, (*connector)->list_partitions(&stream))
	{
		WaitTarget *target = palloc(sizeof(WaitTarget));

		target->partition = lfirst(lc);
		target->position = (*connector)->seek_position(&stream, target->partition, "latest");
		targets = lappend(targets, target);
	}
	(*connector)->close_stream(&stream);
	list_sort(targets, compare_targets);
	return targets;
}

/* A FeathubPositionCallback. */
static void
note_position(void *arg, const FeathubPosition *position, bool finished, bool missing)
{
	FeathubStream *stream = arg;

	CHECK_FOR_INTERRUPTS();
	stream->rel->connector->know_position(stream, position->partition, position->position,
										  position->mark, finished, missing);
}

/* Positions of the targets' partitions, in the order of their names. */
static List *
load_positions(FeathubJob *job, List *targets)
{
	List	   *positions;
	List	   *names = NIL;
	ListCell   *lc;

	PushActiveSnapshot(GetLatestSnapshot());
	if (list_length(targets) > FEW_TARGETS)
		positions = FeathubPositionsLoad(job->job_id);
	else
	{
		foreach(lc, targets)
			names = lappend(names, ((WaitTarget *) lfirst(lc))->partition);
		positions = FeathubPositionsLoadSome(job->job_id, names, true);
	}
	PopActiveSnapshot();
	list_sort(positions, compare_positions);
	return positions;
}

/* Take out the partitions that have come there. */
static List *
remove_reached(FeathubJob *job, const FeathubConnector *connector, List *targets)
{
	List	   *positions = load_positions(job, targets);
	ListCell   *lc;
	ListCell   *next = list_head(positions);
	int			n = 0;

	/* both in the order of names: there may be very many */
	foreach(lc, targets)
	{
		WaitTarget *target = lfirst(lc);
		FeathubPosition *position = NULL;

		while (next != NULL)
		{
			FeathubPosition *candidate = lfirst(next);
			int			c = strcmp(candidate->partition, target->partition);

			if (c == 0)
				position = candidate;
			if (c >= 0)
				break;
			next = lnext(positions, next);
		}
		target->reached = position != NULL && position->position != NULL &&
			connector->compare_positions(position->position, target->position) >= 0;
	}
	foreach(lc, targets)
		if (!((WaitTarget *) lfirst(lc))->reached)
			lfirst(list_nth_cell(targets, n++)) = lfirst(lc);
	return list_truncate(targets, n);
}
