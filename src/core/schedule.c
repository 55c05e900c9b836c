/*
 * schedule.c
 *		What a scheduler reads of the jobs of its database.
 */
#include "postgres.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"

#include "utils/timestamp.h"

#include "core/catalog.h"
#include "core/schedule.h"

static List *due_refreshes(MemoryContext context, Datum *values, TimestampTz *next_refresh);

List *
FeathubScheduledJobs(TimestampTz *next_refresh)
{
	MemoryContext context = CurrentMemoryContext;
	MemoryContext old;
	FeathubRoleScope scope;
	List	   *result = NIL;
	Oid			types[] = {INT8OID, OIDOID};
	Datum		values[] = {
		Int64GetDatum((int64) GetSystemIdentifier()), ObjectIdGetDatum(MyDatabaseId)
	};
	int			rc;

	FeathubCatalogEnter(&scope);
	rc = SPI_execute_with_args("SELECT job_id, name, owner::pg_catalog.oid, workers, epoch"
							   " FROM feathub.job WHERE state = 'running'"
							   " AND system_identifier = $1 AND database_oid = $2"
							   " ORDER BY job_id", 2, types, values, NULL, true, 0);
	if (rc != SPI_OK_SELECT)
		elog(ERROR, "SPI_execute failed: %s", SPI_result_code_string(rc));
	old = MemoryContextSwitchTo(context);
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		FeathubScheduledJob *job = palloc(sizeof(FeathubScheduledJob));
		HeapTuple	tuple = SPI_tuptable->vals[i];
		TupleDesc	desc = SPI_tuptable->tupdesc;
		bool		isnull;

		job->job_id = DatumGetInt64(SPI_getbinval(tuple, desc, 1, &isnull));
		job->name = MemoryContextStrdup(context, SPI_getvalue(tuple, desc, 2));
		job->owner = DatumGetObjectId(SPI_getbinval(tuple, desc, 3, &isnull));
		job->workers = DatumGetInt32(SPI_getbinval(tuple, desc, 4, &isnull));
		job->epoch = DatumGetInt64(SPI_getbinval(tuple, desc, 5, &isnull));
		result = lappend(result, job);
	}
	MemoryContextSwitchTo(old);
	result = list_concat(result, due_refreshes(context, values, next_refresh));
	FeathubCatalogLeave(&scope);
	return result;
}

/* The external groups that are due, of the server and database in values. */
static List *
due_refreshes(MemoryContext context, Datum *values, TimestampTz *next_refresh)
{
	Oid			types[] = {INT8OID, OIDOID};
	List	   *result = NIL;
	MemoryContext old;

	*next_refresh = DT_NOEND;
	if (SPI_execute_with_args("SELECT c.oid, c.relname, c.relowner,"
							  /* at once if the clock was set back since */
							  " CASE WHEN g.refreshed_at <= pg_catalog.clock_timestamp() THEN g.refreshed_at + g.refresh_interval ELSE '-infinity' END"
							  " FROM feathub.feature_group AS g JOIN pg_class AS c ON c.oid = g.feature_group"
							  " WHERE g.online IS NOT NULL AND g.refresh_interval IS NOT NULL"
							  " AND g.refreshed_at IS NOT NULL"
							  " AND g.system_identifier = $1 AND g.database_oid = $2 ORDER BY c.oid",
							  2, types, values, NULL, true, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not read feathub.feature_group");
	old = MemoryContextSwitchTo(context);
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		HeapTuple	tuple = SPI_tuptable->vals[i];
		TupleDesc	desc = SPI_tuptable->tupdesc;
		bool		isnull;
		TimestampTz due = DatumGetTimestampTz(SPI_getbinval(tuple, desc, 4, &isnull));
		FeathubScheduledJob *job;

		if (due > GetCurrentTimestamp())
		{
			*next_refresh = Min(*next_refresh, due);
			continue;
		}
		job = (FeathubScheduledJob *) palloc(sizeof(FeathubScheduledJob));
		job->job_id = -(int64) DatumGetObjectId(SPI_getbinval(tuple, desc, 1, &isnull));
		job->name = psprintf("refresh of %s", SPI_getvalue(tuple, desc, 2));
		job->owner = DatumGetObjectId(SPI_getbinval(tuple, desc, 3, &isnull));
		job->workers = 1;
		job->epoch = 0;
		result = lappend(result, job);
	}
	MemoryContextSwitchTo(old);
	return result;
}

bool
FeathubJobIsUncommitted(int64 job_id)
{
	FeathubRoleScope scope;
	Oid			types[] = {INT8OID};
	Datum		values[] = {Int64GetDatum(job_id)};
	bool		result = false;
	bool		isnull;

	FeathubCatalogEnter(&scope);
	if (SPI_execute_with_args("SELECT xmin FROM feathub.job WHERE job_id = $1",
							  1, types, values, NULL, false, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not read feathub.job");
	if (SPI_processed > 0)
		result = TransactionIdIsCurrentTransactionId(DatumGetTransactionId(SPI_getbinval(SPI_tuptable->vals[0],
																						  SPI_tuptable->tupdesc,
																						  1, &isnull)));
	FeathubCatalogLeave(&scope);
	return result;
}
