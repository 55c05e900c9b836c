/*
 * job.c
 *		SQL functions on jobs: create, pause, resume, restart, rewind, drop, and
 *		delete their dead letters.
 *
 * Each checks rights, locks (extension, job row, tables) and changes rows of
 * feathub.job; schedulers see the change once it has committed.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_class.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "connectors/connector.h"
#include "core/catalog.h"
#include "core/compat.h"
#include "core/job_definition.h"
#include "core/finished_position.h"
#include "ingest/job_sinks.h"

/* Arguments of create_job, in order. */
enum
{
	ARG_NAME,
	ARG_SOURCE,
	ARG_SINK,
	ARG_QUERY,
	ARG_JOB_FIRST,
	ARG_SINKS = ARG_JOB_FIRST + FEATHUB_JOB_ARGUMENTS
};

/* A partition that a rewind moves. */
typedef struct RewindTarget
{
	char	   *partition;
	char	   *position;
} RewindTarget;

static List *find_targets(const FeathubJob *job, const FeathubConnector *connector,
						  const char *target, const char *partition);
static void move_partitions(const FeathubJob *job, const FeathubConnector *connector, List *targets);

PG_FUNCTION_INFO_V1(feathub_create_job);
PG_FUNCTION_INFO_V1(feathub_drop_job);
PG_FUNCTION_INFO_V1(feathub_pause_job);
PG_FUNCTION_INFO_V1(feathub_resume_job);
PG_FUNCTION_INFO_V1(feathub_resume_all_jobs);
PG_FUNCTION_INFO_V1(feathub_restart_job);
PG_FUNCTION_INFO_V1(feathub_rewind_job);
PG_FUNCTION_INFO_V1(feathub_delete_dead_letters);

Datum
feathub_create_job(PG_FUNCTION_ARGS)
{
	FeathubJob	job = {0};

	for (int i = ARG_NAME; i <= ARG_SOURCE; i++)
		if (PG_ARGISNULL(i))
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("argument \"%s\" must not be null", i == ARG_NAME ? "name" : "source")));
	if (PG_ARGISNULL(ARG_SINK) && PG_ARGISNULL(ARG_SINKS))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("argument \"%s\" must not be null", "sink"),
				 errhint("Give one in sink, or several in sinks.")));
	FeathubExtensionRequire();
	job.name = text_to_cstring(PG_GETARG_TEXT_PP(ARG_NAME));
	if (job.name[0] == '\0' || strlen(job.name) >= NAMEDATALEN)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_NAME),
				 errmsg("invalid job name: \"%s\"", job.name),
				 errdetail("A name has between 1 and %d bytes.", NAMEDATALEN - 1)));
	job.owner = GetUserId();
	job.source = PG_GETARG_OID(ARG_SOURCE);
	if (!PG_ARGISNULL(ARG_SINK))
		job.sinks = list_make1_oid(PG_GETARG_OID(ARG_SINK));
	if (!PG_ARGISNULL(ARG_SINKS))
		job.sinks = FeathubJobAddSinks(job.sinks, PG_GETARG_ARRAYTYPE_P(ARG_SINKS), "sinks");
	if (job.sinks == NIL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a job needs a sink")));
	job.sink = linitial_oid(job.sinks);
	FeathubJobReadArguments(fcinfo, ARG_JOB_FIRST, &job);
	if (!PG_ARGISNULL(ARG_QUERY))
		job.query = text_to_cstring(PG_GETARG_TEXT_PP(ARG_QUERY));
	FeathubJobCheckDefinition(&job);
	FeathubJobCreate(&job);
	PG_RETURN_VOID();
}

/* feathub.drop_job(name, if_exists): false if there was none. */
Datum
feathub_drop_job(PG_FUNCTION_ARGS)
{
	char	   *name = text_to_cstring(PG_GETARG_TEXT_PP(0));

	FeathubExtensionRequire();
	if (PG_GETARG_BOOL(1) && FeathubJobByName(name, true) == NULL)
	{
		ereport(NOTICE, (errmsg("job \"%s\" does not exist, skipping", name)));
		PG_RETURN_BOOL(false);
	}
	FeathubJobDelete(FeathubJobLock(name)->job_id);
	PG_RETURN_BOOL(true);
}

/* Its workers stop before their next commit. */
Datum
feathub_pause_job(PG_FUNCTION_ARGS)
{
	FeathubJob *job;

	FeathubExtensionRequire();
	job = FeathubJobLock(text_to_cstring(PG_GETARG_TEXT_PP(0)));
	FeathubJobPause(job->job_id,
					psprintf("paused by %s", GetUserNameFromId(GetUserId(), false)));
	PG_RETURN_VOID();
}

/*
 * Let a job run in this database, whether it was paused, has failed or was
 * restored here.  Its budget of dead letters begins anew.
 */
Datum
feathub_resume_job(PG_FUNCTION_ARGS)
{
	FeathubJob *job;

	FeathubExtensionRequire();
	job = FeathubJobLock(text_to_cstring(PG_GETARG_TEXT_PP(0)));
	FeathubJobAdopt(job);
	FeathubJobCheckRunnable(job);
	FeathubJobResume(job, false);
	PG_RETURN_VOID();
}

/*
 * Resume all jobs of the user's that were restored or copied into this
 * database.  One that had been paused or had failed before stays so.
 */
Datum
feathub_resume_all_jobs(PG_FUNCTION_ARGS)
{
	ListCell   *lc;
	int			count = 0;

	FeathubExtensionRequire();
	foreach(lc, FeathubJobsAll())
	{
		FeathubJob *job = (FeathubJob *) lfirst(lc);
		bool		running = strcmp(job->state, "running") == 0;

		if (job->is_local || !has_privs_of_role(GetUserId(), job->owner))
			continue;
		job = FeathubJobLock(job->name);
		if (running)
			FeathubJobCheckRunnable(job);
		FeathubJobResume(job, !running);
		count++;
	}
	PG_RETURN_INT32(count);
}

/* Stop the workers; the scheduler starts others. */
Datum
feathub_restart_job(PG_FUNCTION_ARGS)
{
	FeathubJob *job;

	FeathubExtensionRequire();
	job = FeathubJobLock(text_to_cstring(PG_GETARG_TEXT_PP(0)));
	if (!job->is_local || strcmp(job->state, "running") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("job \"%s\" is not running", job->name),
				 errhint("Use feathub.resume_job().")));
	FeathubJobRestart(job->job_id);
	PG_RETURN_VOID();
}

/* feathub.delete_dead_letters(job, before): all of them without a time. */
Datum
feathub_delete_dead_letters(PG_FUNCTION_ARGS)
{
	FeathubJob *job;

	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("argument \"%s\" must not be null", "job")));
	FeathubExtensionRequire();
	job = FeathubJobLock(text_to_cstring(PG_GETARG_TEXT_PP(0)));
	PG_RETURN_INT64(FeathubDeadLettersDelete(job->job_id,
											 PG_ARGISNULL(1) ? DT_NOEND : PG_GETARG_TIMESTAMPTZ(1)));
}

/*
 * feathub.rewind_job(name, target, partition)
 *
 * Set the position of one or all partitions, forward too.  Positions up to
 * the former one are remembered as a replay.  The system is asked before the
 * job's row is locked, so that workers do not wait for it.
 */
Datum
feathub_rewind_job(PG_FUNCTION_ARGS)
{
	FeathubJob *job;
	const FeathubConnector *connector;
	char	   *name;
	Oid			source;
	List	   *targets;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("argument \"%s\" must not be null", PG_ARGISNULL(0) ? "name" : "target")));
	FeathubExtensionRequire();
	name = text_to_cstring(PG_GETARG_TEXT_PP(0));
	job = FeathubJobByName(name, false);
	FeathubJobCheckOwner(job);
	source = job->source;
	LockRelationOid(source, AccessShareLock);
	connector = FeathubConnectorOfTable(source);
	if (connector == NULL || connector->seek_position == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("job \"%s\" cannot be rewound", name),
				 errdetail("Its source has no positions to go back to.")));
	targets = find_targets(job, connector, text_to_cstring(PG_GETARG_TEXT_PP(1)),
						   PG_ARGISNULL(2) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(2)));

	job = FeathubJobLock(name);
	if (job->source != source)
		ereport(ERROR,
				(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
				 errmsg("job \"%s\" was made again meanwhile", name)));
	FeathubJobRestart(job->job_id);
	CommandCounterIncrement();
	move_partitions(job, connector, targets);
	PG_RETURN_INT32(list_length(targets));
}

/* Ask the source for the positions; a list of RewindTarget. */
static List *
find_targets(const FeathubJob *job, const FeathubConnector *connector,
			 const char *target, const char *partition)
{
	FeathubStream stream = {0};
	List	   *targets = NIL;
	ListCell   *lc;

	stream.context = AllocSetContextCreate(CurrentMemoryContext, "feathub rewind",
										   ALLOCSET_DEFAULT_SIZES);
	stream.rel = FeathubRelationOpen(job->source, job->owner);
	stream.job_name = job->name;
	stream.start = job->start;
	stream.read_metadata_only = true;
	connector->open_stream(&stream);
	foreach(lc, connector->list_partitions(&stream))
	{
		const char *name = (const char *) lfirst(lc);
		RewindTarget *item;

		if (partition != NULL && strcmp(name, partition) != 0)
			continue;
		item = (RewindTarget *) palloc(sizeof(RewindTarget));
		item->partition = pstrdup(name);
		item->position = pstrdup(connector->seek_position(&stream, name, target));
		targets = lappend(targets, item);
	}
	connector->close_stream(&stream);
	MemoryContextDelete(stream.context);

	if (targets == NIL && partition != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("source of job \"%s\" has no partition \"%s\"", job->name, partition)));
	return targets;
}

/* FeathubPosition and RewindTarget, both with the partition first. */
static int
compare_partitions(const ListCell *a, const ListCell *b)
{
	return strcmp(*(char **) lfirst(a), *(char **) lfirst(b));
}

/*
 * Store partitions' new positions.  What lies between one and the greatest
 * position ever reached there is a replay.
 */
static void
move_partitions(const FeathubJob *job, const FeathubConnector *connector, List *targets)
{
	List	   *positions = FeathubPositionsLoad(job->job_id);
	FeathubPosition *moves = palloc(sizeof(FeathubPosition) * Max(list_length(targets), 1));
	ListCell   *old;
	ListCell   *lc;
	int			n = 0;

	/* both in the order of names: there may be very many */
	list_sort(positions, compare_partitions);
	list_sort(targets, compare_partitions);
	old = list_head(positions);
	foreach(lc, targets)
	{
		RewindTarget *target = (RewindTarget *) lfirst(lc);
		FeathubPosition *move = &moves[n++];
		char	   *reached = NULL;

		while (old != NULL && compare_partitions(old, lc) < 0)
			old = lnext(positions, old);
		if (old != NULL && compare_partitions(old, lc) == 0)
		{
			FeathubPosition *former = (FeathubPosition *) lfirst(old);

			reached = former->position;
			if (former->replay_until != NULL &&
				(reached == NULL ||
				 connector->compare_positions(former->replay_until, reached) > 0))
				reached = former->replay_until;
		}
		if (reached != NULL && connector->compare_positions(reached, target->position) <= 0)
			reached = NULL;
		move->partition = target->partition;
		move->position = target->position;
		move->mark = NULL;
		move->replay_until = reached;
	}
	FeathubPositionsMove(job->job_id, moves, n);
}
