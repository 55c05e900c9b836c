/*
 * job_definition.c
 *		Making a job: what create_feature_group and create_job share.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/json.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"

#include "core/catalog.h"
#include "core/compat.h"
#include "core/job_definition.h"

static char *read_text(FunctionCallInfo fcinfo, int arg, const char *name);
static char *read_start(const char *value);

void
FeathubSourceLock(Oid source)
{
	AclResult	acl;

	if (get_rel_name(source) == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("relation with OID %u does not exist", source)));
	acl = pg_class_aclcheck(source, GetUserId(), ACL_SELECT);
	if (acl != ACLCHECK_OK)
		aclcheck_error(acl, get_relkind_objtype(get_rel_relkind(source)), get_rel_name(source));
	LockRelationOid(source, AccessShareLock);
}

void
FeathubJobReadArguments(FunctionCallInfo fcinfo, int first, FeathubJob *job)
{
	static const struct
	{
		int			offset;
		const char *name;
	}			plain[] = {
		{0, "workers"},
		{3, "max_dead_letters"},
		{5, "synchronous_commit"}
	};

	for (int i = 0; i < lengthof(plain); i++)
		if (PG_ARGISNULL(first + plain[i].offset))
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("argument \"%s\" must not be null", plain[i].name)));

	job->workers = PG_GETARG_INT32(first);
	FeathubJobCheckWorkers(job->workers);
	job->start = read_start(read_text(fcinfo, first + 1, "start"));
	job->on_error = FeathubJobReadOnError(read_text(fcinfo, first + 2, "on_error"));
	job->max_dead_letters = PG_GETARG_INT32(first + 3);
	FeathubJobCheckMaxDeadLetters(job->max_dead_letters);
	job->on_gap = read_text(fcinfo, first + 4, "on_gap");
	FeathubJobCheckOnGap(job->on_gap);
	job->synchronous_commit = PG_GETARG_BOOL(first + 5);
}

void
FeathubJobCheckWorkers(int workers)
{
	if (workers < 1 || workers > FEATHUB_MAX_JOB_WORKERS)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("workers must be between %d and %d", 1, FEATHUB_MAX_JOB_WORKERS)));
}

static char *
read_text(FunctionCallInfo fcinfo, int arg, const char *name)
{
	if (PG_ARGISNULL(arg))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("argument \"%s\" must not be null", name)));
	return text_to_cstring(PG_GETARG_TEXT_PP(arg));
}

/* 'earliest', 'latest', or a time made independent of the session's zone. */
static char *
read_start(const char *value)
{
	char	   *result;
	int			utc = 0;
	TimestampTz time;

	if (strcmp(value, "earliest") == 0 || strcmp(value, "latest") == 0)
		return pstrdup(value);

	time = DatumGetTimestampTz(DirectFunctionCall3(timestamptz_in, CStringGetDatum(value),
												   ObjectIdGetDatum(InvalidOid),
												   Int32GetDatum(-1)));
	if (TIMESTAMP_NOT_FINITE(time))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid value for start: \"%s\"", value),
				 errhint("Valid values are: earliest, latest, or a time.")));
	result = (char *) palloc(MAXDATELEN + 1);
	return JsonEncodeDateTime(result, TimestampTzGetDatum(time), TIMESTAMPTZOID, &utc);
}

void
FeathubJobCheckMaxDeadLetters(int max_dead_letters)
{
	if (max_dead_letters < -1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("max_dead_letters must be greater than or equal to %d", -1),
				 errdetail("%d stands for no limit.", -1)));
}

void
FeathubJobCheckOnGap(const char *value)
{
	if (strcmp(value, "stop") != 0 && strcmp(value, "skip") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid value for on_gap: \"%s\"", value),
				 errhint("Valid values are: skip, stop.")));
}

FeathubOnError
FeathubJobReadOnError(const char *value)
{
	if (strcmp(value, "dead_letter") == 0)
		return FEATHUB_ON_ERROR_DEAD_LETTER;
	if (strcmp(value, "stop") == 0)
		return FEATHUB_ON_ERROR_STOP;
	if (strcmp(value, "skip") == 0)
		return FEATHUB_ON_ERROR_SKIP;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("invalid value for on_error: \"%s\"", value),
			 errhint("Valid values are: dead_letter, skip, stop.")));
	return FEATHUB_ON_ERROR_STOP;	/* keep compiler quiet */
}

int64
FeathubJobCreate(const FeathubJob *job)
{
	int64		job_id;

	FeathubJobCheckRunnable(job);
	job_id = FeathubJobInsert(job);
	if (FeathubJobsChangedHook == NULL)
		ereport(WARNING,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("job \"%s\" does not run yet", job->name),
				 errdetail("feathub is not loaded by the server."),
				 errhint("Add feathub to shared_preload_libraries and restart the server.")));
	return job_id;
}
