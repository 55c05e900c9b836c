/*
 * job_explain.c
 *		feathub.explain_job: the plan of a job's query.
 */
#include "postgres.h"

#include "commands/explain.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/guc.h"

#include "core/catalog.h"
#include "core/compat.h"
#include "ingest/apply.h"

static void return_lines(FunctionCallInfo fcinfo, char *text);

PG_FUNCTION_INFO_V1(feathub_explain_job);

/*
 * feathub.explain_job(name, rows, verbose)
 *
 * Planned as by a worker: as the job's owner, whose rights the caller must
 * have, with an empty search_path.
 */
Datum
feathub_explain_job(PG_FUNCTION_ARGS)
{
	FeathubJob *job;
	FeathubPipeline *pipeline;
	ExplainState *es;
	FeathubRoleScope scope;

	FeathubExtensionRequire();
	job = FeathubJobByName(text_to_cstring(PG_GETARG_TEXT_PP(0)), false);
	if (!has_privs_of_role(GetUserId(), job->owner))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("must be owner of job \"%s\"", job->name)));
	if (job->query == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("job \"%s\" has no query", job->name)));

	FeathubRoleEnterJob(&scope, job->owner);
	pipeline = FeathubPipelineOpen(job);
	es = NewExplainState();
	es->verbose = PG_GETARG_BOOL(2);
	ExplainBeginOutput(es);
	FeathubTransformExplain(pipeline->transform, PG_GETARG_INT32(1), es);
	ExplainEndOutput(es);
	FeathubPipelineClose(pipeline);
	FeathubRoleLeave(&scope);

	return_lines(fcinfo, es->str->data);
	return (Datum) 0;
}

static void
return_lines(FunctionCallInfo fcinfo, char *text)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;

	InitMaterializedSRF(fcinfo, MAT_SRF_USE_EXPECTED_DESC);
	while (*text)
	{
		size_t		len = strcspn(text, "\n");
		Datum		line = PointerGetDatum(cstring_to_text_with_len(text, len));
		bool		isnull = false;

		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, &line, &isnull);
		text += len + (text[len] != '\0');
	}
}
