/*
 * job_alter.c
 *		feathub.alter_job: change a job that goes on from its positions.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"

#include "core/catalog.h"
#include "core/compat.h"
#include "core/job_definition.h"
#include "ingest/job_sinks.h"

/* Arguments, in order. */
enum
{
	ARG_NAME,
	ARG_QUERY,
	ARG_WORKERS,
	ARG_ON_ERROR,
	ARG_MAX_DEAD_LETTERS,
	ARG_ON_GAP,
	ARG_SYNCHRONOUS_COMMIT,
	ARG_ADD_SINKS,
	ARG_DROP_SINKS,
	ARG_RESET
};

static FeathubJob *lock_job(const char *name);
static void reset_settings(ArrayType *names, FeathubJob *job);
static void drop_sinks(ArrayType *sinks, FeathubJob *job);

PG_FUNCTION_INFO_V1(feathub_alter_job);

/*
 * feathub.alter_job(name, query, workers, on_error, max_dead_letters, on_gap,
 * synchronous_commit, add_sinks, drop_sinks, reset)
 *
 * NULL keeps a setting; reset names those that go back to their defaults.  Its
 * workers stop before their next commit, and others go on.
 */
Datum
feathub_alter_job(PG_FUNCTION_ARGS)
{
	FeathubJob *job;

	if (PG_ARGISNULL(ARG_NAME))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("argument \"%s\" must not be null", "name")));
	FeathubExtensionRequire();
	job = lock_job(text_to_cstring(PG_GETARG_TEXT_PP(ARG_NAME)));

	if (!PG_ARGISNULL(ARG_RESET))
		reset_settings(PG_GETARG_ARRAYTYPE_P(ARG_RESET), job);
	if (!PG_ARGISNULL(ARG_QUERY))
		job->query = text_to_cstring(PG_GETARG_TEXT_PP(ARG_QUERY));
	if (!PG_ARGISNULL(ARG_WORKERS))
		job->workers = PG_GETARG_INT32(ARG_WORKERS);
	FeathubJobCheckWorkers(job->workers);
	if (!PG_ARGISNULL(ARG_ON_ERROR))
		job->on_error = FeathubJobReadOnError(text_to_cstring(PG_GETARG_TEXT_PP(ARG_ON_ERROR)));
	if (!PG_ARGISNULL(ARG_MAX_DEAD_LETTERS))
		job->max_dead_letters = PG_GETARG_INT32(ARG_MAX_DEAD_LETTERS);
	FeathubJobCheckMaxDeadLetters(job->max_dead_letters);
	if (!PG_ARGISNULL(ARG_ON_GAP))
		job->on_gap = text_to_cstring(PG_GETARG_TEXT_PP(ARG_ON_GAP));
	FeathubJobCheckOnGap(job->on_gap);
	if (!PG_ARGISNULL(ARG_SYNCHRONOUS_COMMIT))
		job->synchronous_commit = PG_GETARG_BOOL(ARG_SYNCHRONOUS_COMMIT);
	if (!PG_ARGISNULL(ARG_DROP_SINKS))
		drop_sinks(PG_GETARG_ARRAYTYPE_P(ARG_DROP_SINKS), job);
	if (!PG_ARGISNULL(ARG_ADD_SINKS))
		job->sinks = FeathubJobAddSinks(job->sinks, PG_GETARG_ARRAYTYPE_P(ARG_ADD_SINKS), "add_sinks");
	if (job->sinks == NIL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("job \"%s\" would have no sink", job->name),
				 errhint("To end it, use feathub.drop_job.")));
	job->sink = linitial_oid(job->sinks);

	if (!PG_ARGISNULL(ARG_QUERY) || !PG_ARGISNULL(ARG_RESET) ||
		!PG_ARGISNULL(ARG_ADD_SINKS) || !PG_ARGISNULL(ARG_DROP_SINKS))
	{
		FeathubJobCheckDefinition(job);
		FeathubJobCheckRunnable(job);
	}
	FeathubJobUpdate(job);
	PG_RETURN_VOID();
}

/*
 * The job, locked.  Whoever owns no more than its sink may not alter it: its
 * query runs with its owner's rights.
 */
static FeathubJob *
lock_job(const char *name)
{
	FeathubJob *job = FeathubJobLock(name);

	if (!has_privs_of_role(GetUserId(), job->owner))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("must be owner of job \"%s\"", job->name)));
	return job;
}

static void
reset_settings(ArrayType *names, FeathubJob *job)
{
	Datum	   *values;
	bool	   *nulls;
	int			n;

	deconstruct_array(names, TEXTOID, -1, false, TYPALIGN_INT, &values, &nulls, &n);
	for (int i = 0; i < n; i++)
	{
		const char *name = nulls[i] ? "null" : TextDatumGetCString(values[i]);

		if (strcmp(name, "query") == 0)
			job->query = NULL;
		else if (strcmp(name, "workers") == 0)
			job->workers = 1;
		else if (strcmp(name, "on_error") == 0)
			job->on_error = FEATHUB_ON_ERROR_DEAD_LETTER;
		else if (strcmp(name, "max_dead_letters") == 0)
			job->max_dead_letters = 10000;
		else if (strcmp(name, "on_gap") == 0)
			job->on_gap = pstrdup("stop");
		else if (strcmp(name, "synchronous_commit") == 0)
			job->synchronous_commit = true;
		else
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("unrecognized setting of a job: \"%s\"", name),
					 errhint("Settings that can be reset are: max_dead_letters, on_error, on_gap, query, synchronous_commit, workers.")));
	}
}

static void
drop_sinks(ArrayType *sinks, FeathubJob *job)
{
	ListCell   *lc;

	foreach(lc, FeathubJobAddSinks(NIL, sinks, "drop_sinks"))
	{
		if (!list_member_oid(job->sinks, lfirst_oid(lc)))
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_OBJECT),
					 errmsg("job \"%s\" does not write to \"%s\"", job->name,
							FeathubJobSinkName(lfirst_oid(lc)))));
		job->sinks = list_delete_oid(job->sinks, lfirst_oid(lc));
	}
}
