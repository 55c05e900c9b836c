/*
 * external_group.c
 *		SQL functions on external feature groups: create, refresh, drop.
 *
 * An external group is a relation, most often a foreign table, with a row in
 * feathub.feature_group.  Nothing is copied; with an online table, that is
 * made again to hold the latest row of each key whenever it is refreshed.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/relation.h"
#include "catalog/pg_class.h"
#include "catalog/pg_operator.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"
#include "utils/typcache.h"

#include "core/catalog.h"
#include "core/compat.h"
#include "core/describe.h"
#include "features/feature_group.h"

/* Arguments of create_external_feature_group, in order. */
enum
{
	ARG_FOREIGN_TABLE,
	ARG_PRIMARY_KEY,
	ARG_EVENT_TIME,
	ARG_TTL,
	ARG_ONLINE,
	ARG_REFRESH_INTERVAL
};

static void check_relation(Oid relid);
static void check_owner(Oid relid);
static int64 refresh(const FeathubGroup *group);
static char *make_refresh(const FeathubGroup *group);
static List *common_columns(const FeathubGroup *group);

PG_FUNCTION_INFO_V1(feathub_create_external_feature_group);
PG_FUNCTION_INFO_V1(feathub_refresh_external_feature_group);
PG_FUNCTION_INFO_V1(feathub_drop_external_feature_group);

/*
 * feathub.create_external_feature_group(foreign_table, primary_key, event_time,
 *		ttl, online, refresh_interval)
 */
Datum
feathub_create_external_feature_group(PG_FUNCTION_ARGS)
{
	FeathubGroup *group = (FeathubGroup *) palloc0(sizeof(FeathubGroup));
	FeathubGroupRequest request = {.group = group};

	if (PG_ARGISNULL(ARG_FOREIGN_TABLE))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("argument \"%s\" must not be null", "foreign_table")));
	FeathubExtensionRequire();
	group->external = true;
	group->relid = PG_GETARG_OID(ARG_FOREIGN_TABLE);
	FeathubGroupReadKey(fcinfo, ARG_PRIMARY_KEY, ARG_EVENT_TIME, group);
	group->ttl = FeathubGroupReadInterval(fcinfo, ARG_TTL, "ttl", group);
	request.online = FeathubGroupReadBool(fcinfo, ARG_ONLINE, "online");
	if (!PG_ARGISNULL(ARG_REFRESH_INTERVAL))
	{
		if (!request.online)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("%s needs an external feature group with an online table", "refresh_interval"),
					 errhint("Set online => true.")));
		group->refresh_interval = PG_GETARG_INTERVAL_P(ARG_REFRESH_INTERVAL);
		FeathubGroupCheckInterval(group->refresh_interval, "refresh_interval");
	}

	check_owner(group->relid);
	LockRelationOid(group->relid, ShareUpdateExclusiveLock);
	check_relation(group->relid);
	FeathubGroupCheckFree(group->relid);
	request.nspname = get_namespace_name(get_rel_namespace(group->relid));
	request.relname = get_rel_name(group->relid);
	if (request.online && strlen(request.relname) + strlen("_online") >= NAMEDATALEN)
		ereport(ERROR,
				(errcode(ERRCODE_NAME_TOO_LONG),
				 errmsg("name of feature group \"%s\" is too long", request.relname),
				 errdetail("With \"%s\" it must be less than %d bytes.", "_online", NAMEDATALEN)));
	request.columns = FeathubSourceDescribe(group->relid);
	FeathubGroupCheckColumns(&request);
	if (request.online)
		FeathubGroupMakeOnline(&request);
	FeathubGroupInsert(group);
	CommandCounterIncrement();
	if (request.online)
		(void) refresh(group);
	PG_RETURN_OID(group->relid);
}

/* feathub.refresh_external_feature_group(foreign_table): how many rows changed */
Datum
feathub_refresh_external_feature_group(PG_FUNCTION_ARGS)
{
	Oid			relid = PG_GETARG_OID(0);
	FeathubGroup *group;

	FeathubExtensionRequire();
	check_owner(relid);
	LockRelationOid(relid, AccessShareLock);
	group = FeathubGroupLoad(relid);
	if (group == NULL || !group->external)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" is not an external feature group", get_rel_name(relid))));
	if (!OidIsValid(group->online))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("external feature group \"%s\" has no online table", get_rel_name(relid)),
				 errdetail("It is served from its relation, so there is nothing to refresh.")));
	PG_RETURN_INT64(refresh(group));
}

/*
 * feathub.drop_external_feature_group(foreign_table, if_exists)
 *
 * The relation stays, and so do views that read it; its online table goes, with
 * the checks of DROP TABLE ... RESTRICT.
 */
Datum
feathub_drop_external_feature_group(PG_FUNCTION_ARGS)
{
	text	   *name = PG_GETARG_TEXT_PP(0);
	FeathubGroup *group;

	FeathubExtensionRequire();
	group = FeathubGroupFind(name, PG_GETARG_BOOL(1));
	if (group != NULL)
	{
		LockRelationOid(group->relid, ShareUpdateExclusiveLock);
		/* somebody else may have dropped it while we waited */
		group = FeathubGroupFind(name, PG_GETARG_BOOL(1));
	}
	if (group == NULL)
	{
		ereport(NOTICE,
				(errmsg("feature group \"%s\" does not exist, skipping", text_to_cstring(name))));
		PG_RETURN_BOOL(false);
	}
	if (!group->external)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("feature group \"%s\" is not external", get_rel_name(group->relid)),
				 errhint("Use feathub.drop_feature_group.")));
	FeathubGroupDelete(group->relid);
	if (OidIsValid(group->online))
		FeathubGroupRunCommand(psprintf("DROP TABLE %s", FeathubQualifiedName(group->online)));
	PG_RETURN_BOOL(true);
}

static void
check_owner(Oid relid)
{
	if (get_rel_name(relid) == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("relation with OID %u does not exist", relid)));
	if (!object_ownercheck(RelationRelationId, relid, GetUserId()))
		aclcheck_error(ACLCHECK_NOT_OWNER, get_relkind_objtype(get_rel_relkind(relid)),
					   get_rel_name(relid));
}

static void
check_relation(Oid relid)
{
	/* it may have been dropped while we waited */
	check_owner(relid);
	switch (get_rel_relkind(relid))
	{
		case RELKIND_FOREIGN_TABLE:
		case RELKIND_RELATION:
		case RELKIND_PARTITIONED_TABLE:
		case RELKIND_VIEW:
		case RELKIND_MATVIEW:
			break;
		default:
			ereport(ERROR,
					(errcode(ERRCODE_WRONG_OBJECT_TYPE),
					 errmsg("\"%s\" cannot be an external feature group", get_rel_name(relid)),
					 errdetail("That is a foreign table, table or view.")));
	}
	if (get_rel_persistence(relid) == RELPERSISTENCE_TEMP)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("temporary table \"%s\" cannot be an external feature group",
						get_rel_name(relid))));
}

/*
 * Make the online table hold the latest row of each key, as the relation's
 * owner: what the relation and the table's constraints call must gain no rights
 * of whoever refreshes.
 */
static int64
refresh(const FeathubGroup *group)
{
	Relation	rel;
	Oid			owner;
	FeathubRoleScope scope;
	bool		isnull;
	int64		result;

	/* two at a time would undo each other's work; readers go on */
	rel = relation_open(group->online, ShareRowExclusiveLock);
	relation_close(rel, NoLock);
	rel = relation_open(group->relid, NoLock);
	owner = rel->rd_rel->relowner;
	relation_close(rel, NoLock);

	FeathubRoleEnter(&scope, owner, SECURITY_RESTRICTED_OPERATION, FEATHUB_SAFE_SEARCH_PATH);
	SPI_connect();
	if (SPI_execute(make_refresh(group), false, 0) != SPI_OK_SELECT || SPI_processed != 1)
		elog(ERROR, "could not refresh external feature group \"%s\"", get_rel_name(group->relid));
	result = DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull));
	SPI_finish();
	FeathubRoleLeave(&scope);

	FeathubGroupSetRefreshed(group->relid);
	return result;
}

/*
 * One statement, so that it reads the relation once: rows that are gone there
 * go, others are written if anything of them differs.
 */
static char *
make_refresh(const FeathubGroup *group)
{
	List	   *columns = common_columns(group);
	const char *online = FeathubQualifiedName(group->online);
	StringInfoData names;		/* all columns */
	StringInfoData key;
	StringInfoData given;		/* key and event time are known */
	StringInfoData same;		/* l and o are of one key */
	StringInfoData set;
	StringInfoData old;
	StringInfoData new;
	ListCell   *lc;

	initStringInfo(&names);
	initStringInfo(&key);
	initStringInfo(&given);
	initStringInfo(&same);
	initStringInfo(&set);
	initStringInfo(&old);
	initStringInfo(&new);
	foreach(lc, group->primary_key)
	{
		const char *name = quote_identifier((const char *) lfirst(lc));
		Oid			type = get_atttype(group->online, get_attnum(group->online, (const char *) lfirst(lc)));

		appendStringInfo(&key, "%s%s", key.len ? ", " : "", name);
		appendStringInfo(&given, "%s%s IS NOT NULL", given.len ? " AND " : "", name);
		appendStringInfo(&same, "%sl.%s %s o.%s", same.len ? " AND " : "",
						 name, FeathubGroupEqualityOperator(type), name);
	}
	if (group->event_time)
		appendStringInfo(&given, " AND %s IS NOT NULL", quote_identifier(group->event_time));
	foreach(lc, columns)
	{
		const char *name = quote_identifier((const char *) lfirst(lc));

		appendStringInfo(&names, "%s%s", names.len ? ", " : "", name);
		appendStringInfo(&set, "%s%s = excluded.%s", set.len ? ", " : "", name, name);
		appendStringInfo(&old, "%so.%s", old.len ? ", " : "", name);
		appendStringInfo(&new, "%sexcluded.%s", new.len ? ", " : "", name);
	}
	return psprintf("WITH latest AS MATERIALIZED (SELECT DISTINCT ON (%s) %s FROM %s WHERE %s ORDER BY %s%s%s), "
					"gone AS (DELETE FROM %s AS o WHERE NOT EXISTS (SELECT FROM latest AS l WHERE %s) RETURNING 1), "
					"put AS (INSERT INTO %s AS o (%s) SELECT %s FROM latest ON CONFLICT (%s) DO UPDATE SET %s "
	/* by their images: not every type has an equality, and not every equality sees all */
					"WHERE ROW(%s)::record OPERATOR(pg_catalog.*<>) ROW(%s)::record RETURNING 1) "
					"SELECT (SELECT count(*) FROM gone) + (SELECT count(*) FROM put)",
					key.data, names.data, FeathubQualifiedName(group->relid), given.data, key.data,
					group->event_time ? ", " : "",
					group->event_time ? psprintf("%s DESC", quote_identifier(group->event_time)) : "",
					online, same.data,
					online, names.data, names.data, key.data, set.data, old.data, new.data);
}

/* The columns that the online table takes from the relation (char *). */
static List *
common_columns(const FeathubGroup *group)
{
	TupleDesc	desc = FeathubSourceDescribe(group->online);
	List	   *columns = NIL;

	for (int i = 0; i < desc->natts; i++)
	{
		char	   *name = NameStr(TupleDescAttr(desc, i)->attname);

		if (get_attnum(group->relid, name) != InvalidAttrNumber &&
			!get_attgenerated(group->online, get_attnum(group->online, name)))
			columns = lappend(columns, name);
	}
	return columns;
}

/* The equality that the table's key uses: citext has one of its own. */
char *
FeathubGroupEqualityOperator(Oid type)
{
	TypeCacheEntry *entry = lookup_type_cache(type, TYPECACHE_EQ_OPR);
	HeapTuple	tuple = SearchSysCache1(OPEROID, ObjectIdGetDatum(entry->eq_opr));
	Form_pg_operator op;
	char	   *result;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "no equality operator for type %s", format_type_be(type));
	op = (Form_pg_operator) GETSTRUCT(tuple);
	result = psprintf("OPERATOR(%s.%s)", quote_identifier(get_namespace_name(op->oprnamespace)),
					  NameStr(op->oprname));
	ReleaseSysCache(tuple);
	return result;
}
