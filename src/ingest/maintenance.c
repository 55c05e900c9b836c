/*
 * maintenance.c
 *		The upkeep of a group's tables that its job's first worker does.
 *
 * The work itself belongs to features/ and is called as the SQL function that
 * anybody can call by hand.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "core/clock.h"
#include "ingest/maintenance.h"

/* Between two runs, in milliseconds. */
#define MAINTENANCE_INTERVAL 60000

static TimestampTz last_run = 0;

static void
run_maintenance(Oid sink)
{
	Oid			types[] = {REGCLASSOID};
	Datum		values[] = {ObjectIdGetDatum(sink)};

	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
	pgstat_report_activity(STATE_RUNNING, "feathub: maintaining partitions");
	if (FeathubExtensionLock())
	{
		SPI_connect();
		if (SPI_execute_with_args("SELECT feathub.maintain_feature_group($1)",
								  1, types, values, NULL, false, 0) != SPI_OK_SELECT)
			elog(ERROR, "could not run feathub.maintain_feature_group");
		SPI_finish();
	}
	PopActiveSnapshot();
	CommitTransactionCommand();
}

/* The same; a failure is a warning. */
static void
maintain_sink(FeathubPipelineSink *sink)
{
	MemoryContext context = CurrentMemoryContext;

	PG_TRY();
	{
		run_maintenance(sink->relid);
	}
	PG_CATCH();
	{
		ErrorData  *edata;

		MemoryContextSwitchTo(context);
		edata = CopyErrorData();
		FlushErrorState();
		AbortCurrentTransaction();
		MemoryContextSwitchTo(context);
		ereport(WARNING,
				(errcode(edata->sqlerrcode),
				 errmsg("could not maintain feature group %s: %s", sink->name, edata->message)));
		FreeErrorData(edata);
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
}

void
FeathubMaintenanceRun(FeathubPipeline *pipeline)
{
	if (!TimestampDifferenceExceeds(last_run, FeathubClock(), MAINTENANCE_INTERVAL))
		return;
	last_run = FeathubClock();
	for (int i = 0; i < pipeline->nsinks; i++)
		if (pipeline->sinks[i].maintained)
			maintain_sink(&pipeline->sinks[i]);
}

void
FeathubMaintenanceRefresh(Oid group)
{
	Oid			types[] = {REGCLASSOID};
	Datum		values[] = {ObjectIdGetDatum(group)};

	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
	pgstat_report_activity(STATE_RUNNING, "feathub: refreshing an external feature group");
	if (FeathubExtensionLock())
	{
		SPI_connect();
		if (SPI_execute_with_args("SELECT feathub.refresh_external_feature_group($1)",
								  1, types, values, NULL, false, 0) != SPI_OK_SELECT)
			elog(ERROR, "could not run feathub.refresh_external_feature_group");
		SPI_finish();
	}
	PopActiveSnapshot();
	CommitTransactionCommand();
}
