/*
 * fdw_capability.c
 *		What each connector can do, as its table of callbacks says it.
 */
#include "postgres.h"

#include "fmgr.h"
#include "funcapi.h"
#include "utils/builtins.h"

#include "connectors/connector.h"

PG_FUNCTION_INFO_V1(feathub_connectors);

/* A callback, the place of which in the table is known. */
#define CALLBACK(member) offsetof(FeathubConnector, member)

/* The capabilities that one callback each stands for, in the order of columns. */
static const size_t capabilities[] = {
	CALLBACK(next_row),
	CALLBACK(plan_scan),
	CALLBACK(parallel_size),
	CALLBACK(lookup_columns),
	CALLBACK(send_keys),
	CALLBACK(insert_rows),
	CALLBACK(update_row),
	CALLBACK(delete_row),
	CALLBACK(upserts),
	CALLBACK(truncate),
	CALLBACK(import_schema),
	CALLBACK(sample_rows),
	CALLBACK(poll)
};

/* Name and wrapper come before the capabilities. */
#define NAMES 2
#define NCOLUMNS (NAMES + lengthof(capabilities))

/* Is there a callback at that place of the connector's table? */
static bool
has_callback(const FeathubConnector *connector, size_t offset)
{
	void	   *callback;

	memcpy(&callback, (const char *) connector + offset, sizeof(callback));
	return callback != NULL;
}

/*
 * feathub.connectors()
 *		The connectors of this build, one row each, with what they can do.
 */
Datum
feathub_connectors(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;

	InitMaterializedSRF(fcinfo, 0);
	for (int i = 0; FeathubConnectors[i]; i++)
	{
		const FeathubConnector *connector = FeathubConnectors[i];
		Datum		values[NCOLUMNS];
		bool		isnull[NCOLUMNS] = {0};

		values[0] = CStringGetTextDatum(connector->name);
		values[1] = CStringGetTextDatum(psprintf("feathub_%s", connector->name));
		for (int c = 0; c < lengthof(capabilities); c++)
			values[NAMES + c] = BoolGetDatum(has_callback(connector, capabilities[c]));
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, isnull);
	}
	return (Datum) 0;
}
