/*
 * dependency.c
 *		pg_depend entries of groups' tables.
 *
 * They are made by a trigger on feathub.feature_group, so that they also come
 * back when a dump is restored.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/dependency.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/rel.h"

#include "core/catalog.h"
#include "core/dependency.h"
#include "core/training_catalog.h"
#include "core/view_catalog.h"

static Oid	get_trigger_oid_column(TriggerData *trigger, HeapTuple tuple, const char *name);

void
FeathubDependenciesMake(Oid relid)
{
	static FeathubStatement statement = {
		.sql = "SELECT t.relid::oid, g.feature_group::oid FROM feathub.feature_group AS g "
		"CROSS JOIN LATERAL (VALUES (g.online), (g.tombstone)) AS t (relid) "
		"WHERE ($1 = 0 OR g.feature_group = $1) "
		"AND EXISTS (SELECT FROM pg_class AS c WHERE c.oid = t.relid) "
		"AND EXISTS (SELECT FROM pg_class AS c WHERE c.oid = g.feature_group) "
		"AND NOT EXISTS (SELECT FROM pg_depend AS d WHERE d.classid = 'pg_class'::regclass "
		"AND d.objid = t.relid AND d.objsubid = 0 AND d.refclassid = 'pg_class'::regclass "
		"AND d.refobjid = g.feature_group AND d.refobjsubid = 0 AND d.deptype = 'i')",
		.nargs = 1, .argtypes = {OIDOID}
	};
	FeathubDependenciesRecord(&statement, relid, RelationRelationId, DEPENDENCY_INTERNAL);
}

void
FeathubDependenciesRecord(FeathubStatement *statement, Oid relid, Oid classid, char type)
{
	FeathubRoleScope scope;
	Datum		values[1] = {ObjectIdGetDatum(relid)};
	bool		isnull;

	FeathubCatalogEnter(&scope);
	(void) FeathubCatalogExecute(statement, values, NULL);
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		ObjectAddress part;
		ObjectAddress whole;

		ObjectAddressSet(part, classid,
						 DatumGetObjectId(SPI_getbinval(SPI_tuptable->vals[i],
														SPI_tuptable->tupdesc, 1, &isnull)));
		ObjectAddressSet(whole, RelationRelationId,
						 DatumGetObjectId(SPI_getbinval(SPI_tuptable->vals[i],
														SPI_tuptable->tupdesc, 2, &isnull)));
		recordDependencyOn(&part, &whole, type);
	}
	FeathubCatalogLeave(&scope);
	CommandCounterIncrement();
}

void
FeathubDependenciesRemove(Oid relid, Oid online, Oid tombstone)
{
	Oid			parts[] = {online, tombstone};

	for (int i = 0; i < lengthof(parts); i++)
		if (OidIsValid(parts[i]))
			(void) deleteDependencyRecordsForSpecific(RelationRelationId, parts[i],
													  DEPENDENCY_INTERNAL,
													  RelationRelationId, relid);
	CommandCounterIncrement();
}

/* Log each name in the first column of the last statement's result. */
static void
log_removed(const char *kind)
{
	for (uint64 i = 0; i < SPI_processed; i++)
		ereport(LOG,
				(errmsg("removed %s \"%s\" whose table does not exist any more", kind,
						SPI_getvalue(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 1))));
}

void
FeathubDependenciesCheck(void)
{
	static FeathubStatement jobs = {
		.sql = "SELECT j.name, j.job_id FROM feathub.job AS j "
		"WHERE NOT EXISTS (SELECT FROM pg_class AS c WHERE c.oid = j.source) "
		"OR NOT EXISTS (SELECT FROM pg_class AS c WHERE c.oid = j.sink) FOR UPDATE"
	};
	static FeathubStatement sinks = {
		.sql = "UPDATE feathub.job AS j SET sink = s.sinks[1], further_sinks = s.sinks[2:] "
		"FROM (SELECT k.job_id, array_agg(u.sink ORDER BY u.number) AS sinks FROM feathub.job AS k "
		"CROSS JOIN LATERAL unnest(array_prepend(k.sink, k.further_sinks)) WITH ORDINALITY AS u (sink, number) "
		"WHERE EXISTS (SELECT FROM pg_class AS c WHERE c.oid = u.sink) GROUP BY k.job_id) AS s "
		"WHERE s.job_id = j.job_id AND cardinality(s.sinks) <= cardinality(j.further_sinks)"
	};
	static FeathubStatement groups = {
		.sql = "DELETE FROM feathub.feature_group AS g "
		"WHERE NOT EXISTS (SELECT FROM pg_class AS c WHERE c.oid = g.feature_group) "
		"RETURNING g.feature_group::oid::text"
	};
	static FeathubStatement sources = {
		.sql = "UPDATE feathub.feature_group AS g SET source = NULL "
		"WHERE g.source IS NOT NULL AND NOT EXISTS (SELECT FROM pg_class AS c WHERE c.oid = g.source)"
	};
	static FeathubStatement stores = {
		.sql = "UPDATE feathub.feature_group AS g SET online_store = NULL "
		"WHERE g.online_store IS NOT NULL AND NOT EXISTS (SELECT FROM pg_class AS c WHERE c.oid = g.online_store)"
	};
	FeathubRoleScope scope;
	int			njobs;

	FeathubCatalogEnter(&scope);
	(void) FeathubCatalogExecute(&sinks, NULL, NULL);
	njobs = FeathubCatalogExecute(&jobs, NULL, NULL);
	log_removed("job");
	for (int i = 0; i < njobs; i++)
	{
		SPITupleTable *table = SPI_tuptable;
		bool		isnull;

		/* has an SPI level of its own, so SPI_tuptable stays ours */
		FeathubJobDelete(DatumGetInt64(SPI_getbinval(table->vals[i], table->tupdesc, 2, &isnull)));
	}
	(void) FeathubCatalogExecute(&groups, NULL, NULL);
	log_removed("feature group");
	(void) FeathubCatalogExecute(&sources, NULL, NULL);
	(void) FeathubCatalogExecute(&stores, NULL, NULL);
	FeathubCatalogLeave(&scope);

	FeathubDependenciesMake(InvalidOid);
	FeathubViewsCheck();
	FeathubTrainingDataCheck();
}

PG_FUNCTION_INFO_V1(feathub_group_changed);

/* Trigger on feathub.feature_group: keep pg_depend in step. */
Datum
feathub_group_changed(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;

	if (!CALLED_AS_TRIGGER(fcinfo) || !TRIGGER_FIRED_AFTER(trigger->tg_event) ||
		!TRIGGER_FIRED_FOR_ROW(trigger->tg_event))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"%s\" was not called by its trigger", "group_changed")));

	/* tg_trigtuple is the old row of an UPDATE, the row of the others */
	if (!TRIGGER_FIRED_BY_INSERT(trigger->tg_event))
		FeathubDependenciesRemove(get_trigger_oid_column(trigger, trigger->tg_trigtuple, "feature_group"),
								  get_trigger_oid_column(trigger, trigger->tg_trigtuple, "online"),
								  get_trigger_oid_column(trigger, trigger->tg_trigtuple, "tombstone"));
	if (!TRIGGER_FIRED_BY_DELETE(trigger->tg_event))
		FeathubDependenciesMake(get_trigger_oid_column(trigger, trigger->tg_trigtuple, "feature_group"));
	return PointerGetDatum(NULL);
}

static Oid
get_trigger_oid_column(TriggerData *trigger, HeapTuple tuple, const char *name)
{
	TupleDesc	desc = RelationGetDescr(trigger->tg_relation);
	bool		isnull;
	Datum		value = SPI_getbinval(tuple, desc, SPI_fnumber(desc, name), &isnull);

	return isnull ? InvalidOid : DatumGetObjectId(value);
}
