/*
 * status.c
 *		What workers do now, for the monitoring views.
 *
 * A view's functions run with the rights of whoever reads it, so the functions
 * over shared memory, which show every job, cannot stand in a view that anyone
 * may read.  The ones here can: they return the rows of jobs whose owner's
 * rights the user has, and all rows to members of pg_monitor.
 */
#include "postgres.h"

#include "access/xlog.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/tuplestore.h"

#include "core/catalog.h"

#define OF_VISIBLE_JOBS \
	"JOIN feathub.job AS j ON j.job_id = a.job_id WHERE pg_has_role($1, j.owner::oid, 'USAGE') " \
	"OR pg_has_role($1, 'pg_monitor', 'USAGE')"

PG_FUNCTION_INFO_V1(feathub_visible_worker_activity);
PG_FUNCTION_INFO_V1(feathub_visible_partition_activity);
PG_FUNCTION_INFO_V1(feathub_job_is_local);

/* Return the rows of a statement whose parameter is the current user. */
static Datum
return_visible(FunctionCallInfo fcinfo, FeathubStatement *statement)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	FeathubRoleScope scope;
	Datum		values[1] = {ObjectIdGetDatum(GetUserId())};

	InitMaterializedSRF(fcinfo, 0);
	FeathubCatalogEnter(&scope);
	(void) FeathubCatalogExecute(statement, values, NULL);
	for (uint64 i = 0; i < SPI_processed; i++)
		tuplestore_puttuple(result->setResult, SPI_tuptable->vals[i]);
	FeathubCatalogLeave(&scope);
	return (Datum) 0;
}

Datum
feathub_visible_worker_activity(PG_FUNCTION_ARGS)
{
	static FeathubStatement statement = {
		/* minus the OID of a relation: an external group that is refreshed */
		.sql = "SELECT a.* FROM feathub.worker_activity() AS a " OF_VISIBLE_JOBS
		" UNION ALL SELECT a.* FROM feathub.worker_activity() AS a "
		"JOIN pg_class AS c ON c.oid = CASE WHEN a.job_id < 0 THEN (- a.job_id)::oid END "
		"WHERE pg_has_role($1, c.relowner, 'USAGE') OR pg_has_role($1, 'pg_monitor', 'USAGE')",
		.nargs = 1, .argtypes = {OIDOID}
	};

	return return_visible(fcinfo, &statement);
}

Datum
feathub_visible_partition_activity(PG_FUNCTION_ARGS)
{
	static FeathubStatement statement = {
		/* what a worker saw before a rewind says nothing any more */
		.sql = "SELECT a.job_id, a.partition, a.end_position, a.lag, a.last_record_at, a.worker, a.seen_at "
		"FROM (feathub.partition_activity() AS a JOIN feathub.job AS e ON e.job_id = a.job_id AND e.epoch = a.epoch) "
		OF_VISIBLE_JOBS,
		.nargs = 1, .argtypes = {OIDOID}
	};

	return return_visible(fcinfo, &statement);
}

/* Was a job with this stamp started in this very database? */
Datum
feathub_job_is_local(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(PG_GETARG_INT64(0) == (int64) GetSystemIdentifier() &&
				   PG_GETARG_OID(1) == MyDatabaseId);
}
