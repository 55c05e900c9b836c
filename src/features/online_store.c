/*
 * online_store.c
 *		A further online store of a feature group: a foreign table, in Redis for
 *		instance, that gets what its online table gets.
 *
 * The group writer (ingest/group_writer.c) brings it every row that it has
 * changed in the online table, in the same transaction; here the store is
 * checked, and filled where that was not enough: for a group that has rows
 * already, and after the store was lost.
 */
#include "postgres.h"

#include "access/relation.h"
#include "access/xact.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/timestamp.h"

#include "connectors/connector.h"
#include "core/compat.h"
#include "core/describe.h"
#include "features/feature_group.h"
#include "features/online_store.h"

static void check_table(const FeathubGroup *group);
static void check_key(const FeathubGroup *group);
static void check_event_time(const FeathubGroup *group);
static void check_columns(const FeathubGroup *group);
static char *store_columns(const FeathubGroup *group, const char *prefix);
static char *valid_rows(const FeathubGroup *group);
static char *delete_statement(const FeathubGroup *group);

PG_FUNCTION_INFO_V1(feathub_refresh_online_store);

void
FeathubOnlineStoreCheck(const FeathubGroup *group)
{
	check_table(group);
	if (!OidIsValid(group->online) || group->external)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s needs a feature group with an online table of its own", "online_store")));
	check_key(group);
	check_event_time(group);
	check_columns(group);
}

/* It is the user's, ours, can be written, and free. */
static void
check_table(const FeathubGroup *group)
{
	char	   *name = get_rel_name(group->store);
	List	   *jobs;
	ListCell   *lc;

	if (name == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("relation with OID %u does not exist", group->store)));
	if (!object_ownercheck(RelationRelationId, group->store, GetUserId()))
		aclcheck_error(ACLCHECK_NOT_OWNER, get_relkind_objtype(get_rel_relkind(group->store)), name);
	LockRelationOid(group->store, AccessShareLock);
	if (FeathubConnectorOfTable(group->store) == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" cannot be an online store", name),
				 errdetail("That is a foreign table of feathub's.")));
	/* what is wrong with its options is better known now than by the worker */
	if (!FeathubRelationOpen(group->store, GetUserId())->common.updatable)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("foreign table \"%s\" does not allow inserts", name)));
	foreach(lc, FeathubGroupsAll())
	{
		FeathubGroup *other = (FeathubGroup *) lfirst(lc);

		if (other->relid != group->relid && other->store == group->store)
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_IN_USE),
					 errmsg("\"%s\" is the online store of feature group %s already", name,
							FeathubQualifiedName(other->relid))));
	}
	jobs = FeathubJobsOfSink(group->store, false);
	if (jobs != NIL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_IN_USE),
				 errmsg("\"%s\" is a sink of job \"%s\" already", name,
						((FeathubJob *) linitial(jobs))->name)));
}

/* Rows replace each other, and go, by the group's primary key. */
static void
check_key(const FeathubGroup *group)
{
	bool		deletes;
	List	   *key = FeathubConnectorUpsertKey(group->store, &deletes);
	bool		same = list_length(key) == list_length(group->primary_key);
	ListCell   *lc;

	foreach(lc, key)
		same &= FeathubHasName(group->primary_key, lfirst(lc));
	if (!same)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("foreign table \"%s\" cannot be an online store of \"%s\"",
						get_rel_name(group->store), get_rel_name(group->relid)),
				 errdetail("Rows written to it must replace those of the same primary key."),
				 errhint("Give the columns of the primary key, and no others, option key 'true', and where the connector has option write_mode, the table write_mode 'upsert'.")));
	if (group->deletes && !deletes)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("foreign table \"%s\" cannot be an online store of \"%s\"",
						get_rel_name(group->store), get_rel_name(group->relid)),
				 errdetail("The feature group has deletes, and no rows can be deleted there.")));
}

/* By another time than the group's, the store would keep rows that the online table replaces. */
static void
check_event_time(const FeathubGroup *group)
{
	const FeathubConnector *connector = FeathubConnectorOfTable(group->store);
	FeathubRelation *rel;
	AttrNumber	attnum;
	char	   *name;

	if (connector->event_time == NULL)
		return;
	rel = FeathubRelationDescribe(group->store);
	attnum = connector->event_time(rel);
	if (attnum == 0)
		return;
	name = NameStr(TupleDescAttr(rel->tupdesc, attnum - 1)->attname);
	if (group->event_time == NULL || strcmp(name, group->event_time) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("foreign table \"%s\" cannot be an online store of \"%s\"",
						get_rel_name(group->store), get_rel_name(group->relid)),
				 group->event_time == NULL ?
				 errdetail("Its rows are guarded by event time column \"%s\", and the feature group has no event time.", name) :
				 errdetail("Its rows are guarded by event time column \"%s\", and the feature group's event time is \"%s\".",
						   name, group->event_time)));
}

/* The online table gives every column of the store, the key with its very type. */
static void
check_columns(const FeathubGroup *group)
{
	TupleDesc	store = FeathubSourceDescribe(group->store);
	TupleDesc	online = FeathubSourceDescribe(group->online);
	TupleDesc	given = CreateTemplateTupleDesc(store->natts);

	for (int i = 0; i < store->natts; i++)
	{
		const char *name = NameStr(TupleDescAttr(store, i)->attname);
		Form_pg_attribute att = FeathubDescribeColumn(online, name);

		if (att == NULL)
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_COLUMN),
					 errmsg("column \"%s\" of online store \"%s\" is not in online table \"%s\"",
							name, get_rel_name(group->store), get_rel_name(group->online))));
		for (int j = 0; j < online->natts; j++)
			if (TupleDescAttr(online, j) == att)
				TupleDescCopyEntry(given, i + 1, online, j + 1);
	}
	FeathubCheckColumnsFit(given, group->store, group->primary_key);
}

/* feathub.refresh_online_store(feature_group): the rows brought */
Datum
feathub_refresh_online_store(PG_FUNCTION_ARGS)
{
	FeathubGroup *group;

	FeathubExtensionRequire();
	group = FeathubGroupFind(PG_GETARG_TEXT_PP(0), false);
	if (!OidIsValid(group->store))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("feature group \"%s\" has no online store", get_rel_name(group->relid)),
				 errhint("Give it one with feathub.alter_feature_group(..., online_store => ...).")));
	PG_RETURN_INT64(FeathubOnlineStoreFill(group, true));
}

int64
FeathubOnlineStoreFill(const FeathubGroup *group, bool exactly)
{
	Relation	rel;
	Oid			owner;
	FeathubRoleScope scope;
	int64		result;

	/* an older snapshot would miss what was written before we had the lock */
	if (IsolationUsesXactSnapshot())
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("an online store can only be filled in isolation level READ COMMITTED")));

	/* batches hold RowExclusiveLock on the group from their begin to their commit */
	LockRelationOid(group->relid, ShareRowExclusiveLock);
	rel = relation_open(group->online, ShareRowExclusiveLock);
	owner = rel->rd_rel->relowner;
	relation_close(rel, NoLock);

	FeathubRoleEnter(&scope, owner, SECURITY_RESTRICTED_OPERATION, FEATHUB_SAFE_SEARCH_PATH);
	SPI_connect();
	if (exactly && SPI_execute(delete_statement(group), false, 0) != SPI_OK_DELETE)
		elog(ERROR, "could not remove rows of online store \"%s\"", get_rel_name(group->store));
	if (SPI_execute(psprintf("INSERT INTO %s (%s) SELECT %s FROM %s AS o",
							 FeathubQualifiedName(group->store), store_columns(group, ""),
							 store_columns(group, "o."), valid_rows(group)),
					false, 0) != SPI_OK_INSERT)
		elog(ERROR, "could not fill online store \"%s\"", get_rel_name(group->store));
	result = (int64) SPI_processed;
	SPI_finish();
	FeathubRoleLeave(&scope);
	return result;
}

static char *
store_columns(const FeathubGroup *group, const char *prefix)
{
	TupleDesc	desc = FeathubSourceDescribe(group->store);
	StringInfoData names;

	initStringInfo(&names);
	for (int i = 0; i < desc->natts; i++)
		appendStringInfo(&names, "%s%s%s", i ? ", " : "", prefix,
						 quote_identifier(NameStr(TupleDescAttr(desc, i)->attname)));
	return names.data;
}

/* The online table's rows that still count, as a FROM item. */
static char *
valid_rows(const FeathubGroup *group)
{
	const char *online = FeathubQualifiedName(group->online);
	const char *at;
	Oid			type;

	if (group->ttl == NULL)
		return pstrdup(online);
	at = quote_identifier(group->event_time);
	type = getBaseType(get_atttype(group->online, get_attnum(group->online, group->event_time)));
	/* naive times are UTC, a date begins at midnight */
	return psprintf("(SELECT * FROM %s WHERE %s%s >= now() - interval %s)", online, at,
					type == TIMESTAMPTZOID ? "" : "::timestamp AT TIME ZONE 'UTC'",
					quote_literal_cstr(DatumGetCString(DirectFunctionCall1(interval_out,
																		   IntervalPGetDatum(group->ttl)))));
}

static char *
delete_statement(const FeathubGroup *group)
{
	StringInfoData same;
	ListCell   *lc;

	initStringInfo(&same);
	foreach(lc, group->primary_key)
	{
		const char *name = quote_identifier((const char *) lfirst(lc));
		Oid			type = get_atttype(group->online, get_attnum(group->online, (const char *) lfirst(lc)));

		appendStringInfo(&same, "%so.%s %s s.%s", same.len ? " AND " : "", name,
						 FeathubGroupEqualityOperator(type), name);
	}
	return psprintf("DELETE FROM %s AS s WHERE NOT EXISTS (SELECT FROM %s AS o WHERE %s)",
					FeathubQualifiedName(group->store), valid_rows(group), same.data);
}
