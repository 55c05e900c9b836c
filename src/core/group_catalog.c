/*
 * group_catalog.c
 *		The metadata of feature groups.
 */
#include "postgres.h"

#include "access/xlog.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "core/catalog.h"

#define GROUP_COLUMNS \
	"SELECT feature_group::oid, online::oid, tombstone::oid, source::oid, primary_key, " \
	"event_time::text, ttl, retention, partition_interval, deletes, external, refresh_interval, " \
	"online_store::oid " \
	"FROM feathub.feature_group "

static FeathubGroup *group_from_tuple(HeapTuple tuple, TupleDesc desc);

FeathubGroup *
FeathubGroupLoad(Oid relid)
{
	static FeathubStatement statement = {
		.sql = GROUP_COLUMNS "WHERE feature_group = $1",
		.nargs = 1, .argtypes = {REGCLASSOID}
	};
	MemoryContext caller = CurrentMemoryContext;
	FeathubRoleScope scope;
	FeathubGroup *group = NULL;
	Datum		values[1] = {ObjectIdGetDatum(relid)};

	FeathubCatalogEnter(&scope);
	if (FeathubCatalogExecute(&statement, values, NULL) > 0)
	{
		MemoryContext old = MemoryContextSwitchTo(caller);

		group = group_from_tuple(SPI_tuptable->vals[0], SPI_tuptable->tupdesc);
		MemoryContextSwitchTo(old);
	}
	FeathubCatalogLeave(&scope);
	return group;
}

FeathubGroup *
FeathubGroupLoadWritable(Oid relid)
{
	FeathubGroup *group = FeathubGroupLoad(relid);

	return group != NULL && group->external ? NULL : group;
}

List *
FeathubGroupsAll(void)
{
	static FeathubStatement statement = {.sql = GROUP_COLUMNS "ORDER BY feature_group"};
	MemoryContext caller = CurrentMemoryContext;
	FeathubRoleScope scope;
	List	   *groups = NIL;
	MemoryContext old;

	FeathubCatalogEnter(&scope);
	(void) FeathubCatalogExecute(&statement, NULL, NULL);
	old = MemoryContextSwitchTo(caller);
	for (uint64 i = 0; i < SPI_processed; i++)
		groups = lappend(groups, group_from_tuple(SPI_tuptable->vals[i],
												  SPI_tuptable->tupdesc));
	MemoryContextSwitchTo(old);
	FeathubCatalogLeave(&scope);
	return groups;
}

static FeathubGroup *
group_from_tuple(HeapTuple tuple, TupleDesc desc)
{
	FeathubGroup *group = (FeathubGroup *) palloc0(sizeof(FeathubGroup));
	bool		isnull;
	Datum	   *names;
	int			nnames;

	group->relid = FeathubTupleOid(tuple, desc, 1);
	group->online = FeathubTupleOid(tuple, desc, 2);
	group->tombstone = FeathubTupleOid(tuple, desc, 3);
	group->source = FeathubTupleOid(tuple, desc, 4);
	deconstruct_array(DatumGetArrayTypeP(SPI_getbinval(tuple, desc, 5, &isnull)),
					  NAMEOID, NAMEDATALEN, false, TYPALIGN_CHAR,
					  &names, NULL, &nnames);
	for (int i = 0; i < nnames; i++)
		group->primary_key = lappend(group->primary_key,
									 pstrdup(NameStr(*DatumGetName(names[i]))));
	group->event_time = FeathubTupleString(tuple, desc, 6);
	group->ttl = FeathubTupleInterval(tuple, desc, 7);
	group->retention = FeathubTupleInterval(tuple, desc, 8);
	group->partition_interval = FeathubTupleInterval(tuple, desc, 9);
	group->deletes = DatumGetBool(SPI_getbinval(tuple, desc, 10, &isnull));
	group->external = DatumGetBool(SPI_getbinval(tuple, desc, 11, &isnull));
	group->refresh_interval = FeathubTupleInterval(tuple, desc, 12);
	group->store = FeathubTupleOid(tuple, desc, 13);
	return group;
}

void
FeathubGroupInsert(const FeathubGroup *group)
{
	static FeathubStatement statement = {
		.sql = "INSERT INTO feathub.feature_group (feature_group, online, tombstone, source, "
		"primary_key, event_time, ttl, retention, partition_interval, deletes, external, refresh_interval, "
		"online_store) "
		"VALUES ($1, $2, $3, $4, $5, $6::name, $7, $8, $9, $10, $11, $12, $13)",
		.nargs = 13,
		.argtypes = {REGCLASSOID, REGCLASSOID, REGCLASSOID, REGCLASSOID, NAMEARRAYOID,
		TEXTOID, INTERVALOID, INTERVALOID, INTERVALOID, BOOLOID, BOOLOID, INTERVALOID, REGCLASSOID}
	};
	FeathubRoleScope scope;
	Datum		values[13];
	char		nulls[14] = "             ";
	Datum	   *names = (Datum *) palloc(sizeof(Datum) * list_length(group->primary_key));
	int			nnames = 0;
	ListCell   *lc;

	foreach(lc, group->primary_key)
		names[nnames++] = DirectFunctionCall1(namein, CStringGetDatum(lfirst(lc)));

	FEATHUB_PARAMETER(0, false, ObjectIdGetDatum(group->relid));
	FEATHUB_PARAMETER(1, !OidIsValid(group->online), ObjectIdGetDatum(group->online));
	FEATHUB_PARAMETER(2, !OidIsValid(group->tombstone), ObjectIdGetDatum(group->tombstone));
	FEATHUB_PARAMETER(3, !OidIsValid(group->source), ObjectIdGetDatum(group->source));
	FEATHUB_PARAMETER(4, false, PointerGetDatum(construct_array(names, nnames, NAMEOID, NAMEDATALEN,
												  false, TYPALIGN_CHAR)));
	FEATHUB_PARAMETER(5, group->event_time == NULL, CStringGetTextDatum(group->event_time));
	FEATHUB_PARAMETER(6, group->ttl == NULL, IntervalPGetDatum(group->ttl));
	FEATHUB_PARAMETER(7, group->retention == NULL, IntervalPGetDatum(group->retention));
	FEATHUB_PARAMETER(8, group->partition_interval == NULL, IntervalPGetDatum(group->partition_interval));
	FEATHUB_PARAMETER(9, false, BoolGetDatum(group->deletes));
	FEATHUB_PARAMETER(10, false, BoolGetDatum(group->external));
	FEATHUB_PARAMETER(11, group->refresh_interval == NULL, IntervalPGetDatum(group->refresh_interval));
	FEATHUB_PARAMETER(12, !OidIsValid(group->store), ObjectIdGetDatum(group->store));

	FeathubCatalogEnter(&scope);
	(void) FeathubCatalogExecute(&statement, values, nulls);
	FeathubCatalogLeave(&scope);
}

void
FeathubGroupUpdate(const FeathubGroup *group)
{
	static FeathubStatement statement = {
		.sql = "UPDATE feathub.feature_group SET ttl = $2, retention = $3, refresh_interval = $4, "
		"online_store = $5 WHERE feature_group = $1",
		.nargs = 5, .argtypes = {REGCLASSOID, INTERVALOID, INTERVALOID, INTERVALOID, REGCLASSOID}
	};
	FeathubRoleScope scope;
	Datum		values[5];
	char		nulls[6] = "     ";

	FEATHUB_PARAMETER(0, false, ObjectIdGetDatum(group->relid));
	FEATHUB_PARAMETER(1, group->ttl == NULL, IntervalPGetDatum(group->ttl));
	FEATHUB_PARAMETER(2, group->retention == NULL, IntervalPGetDatum(group->retention));
	FEATHUB_PARAMETER(3, group->refresh_interval == NULL, IntervalPGetDatum(group->refresh_interval));
	FEATHUB_PARAMETER(4, !OidIsValid(group->store), ObjectIdGetDatum(group->store));
	FeathubCatalogEnter(&scope);
	(void) FeathubCatalogExecute(&statement, values, nulls);
	FeathubCatalogLeave(&scope);
}

void
FeathubGroupDelete(Oid relid)
{
	static FeathubStatement statement = {
		.sql = "DELETE FROM feathub.feature_group WHERE feature_group = $1",
		.nargs = 1, .argtypes = {REGCLASSOID}
	};
	FeathubRoleScope scope;
	Datum		values[1] = {ObjectIdGetDatum(relid)};

	FeathubCatalogEnter(&scope);
	(void) FeathubCatalogExecute(&statement, values, NULL);
	FeathubCatalogLeave(&scope);
}

void
FeathubGroupSetRefreshed(Oid relid)
{
	static FeathubStatement statement = {
		.sql = "UPDATE feathub.feature_group SET refreshed_at = now(), system_identifier = $2, "
		"database_oid = $3 WHERE feature_group = $1",
		.nargs = 3, .argtypes = {REGCLASSOID, INT8OID, OIDOID}
	};
	FeathubRoleScope scope;
	Datum		values[3] = {ObjectIdGetDatum(relid), Int64GetDatum((int64) GetSystemIdentifier()),
	ObjectIdGetDatum(MyDatabaseId)};

	FeathubCatalogEnter(&scope);
	(void) FeathubCatalogExecute(&statement, values, NULL);
	FeathubCatalogLeave(&scope);
	FeathubJobsChanged();
}
