/*
 * feature_group.c
 *		SQL functions on feature groups: create, alter, drop.
 *
 * Lock order: extension, job rows, tables.  All DDL runs as the current user;
 * only the metadata rows are written as the extension's owner, by core/.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"
#include "utils/varlena.h"

#include "connectors/connector.h"
#include "core/catalog.h"
#include "core/compat.h"
#include "core/describe.h"
#include "core/job_definition.h"
#include "core/view_catalog.h"
#include "features/feature_group.h"
#include "features/online_store.h"
#include "features/partition.h"

/* Arguments of create_feature_group, in order. */
enum
{
	ARG_FEATURE_GROUP,
	ARG_SOURCE,
	ARG_PRIMARY_KEY,
	ARG_EVENT_TIME,
	ARG_TTL,
	ARG_RETENTION,
	ARG_PARTITION_INTERVAL,
	ARG_DELETES,
	ARG_ONLINE,
	ARG_QUERY,
	ARG_JOB_FIRST,
	ARG_JOB_NAME = ARG_JOB_FIRST + FEATHUB_JOB_ARGUMENTS,
	ARG_ONLINE_STORE
};

/* Of a retention, in years. */
#define LONGEST_AGE 1000

static RangeVar *read_group_name(text *name);
static void place_group(FeathubGroupRequest *request, text *name);
static void read_intervals(FunctionCallInfo fcinfo, FeathubGroup *group);
static bool source_has_deletions(FunctionCallInfo fcinfo);
static void read_source(FunctionCallInfo fcinfo, FeathubGroupRequest *request);
static void create_group_job(FunctionCallInfo fcinfo, FeathubGroupRequest *request);
static void tell_views(Oid relid);
static void reset_settings(ArrayType *names, FeathubGroup *group, int *workers);

PG_FUNCTION_INFO_V1(feathub_create_feature_group);
PG_FUNCTION_INFO_V1(feathub_alter_feature_group);
PG_FUNCTION_INFO_V1(feathub_drop_feature_group);

Datum
feathub_create_feature_group(PG_FUNCTION_ARGS)
{
	FeathubGroupRequest request = {0};
	FeathubGroup *group = (FeathubGroup *) palloc0(sizeof(FeathubGroup));

	request.group = group;
	if (PG_ARGISNULL(ARG_FEATURE_GROUP))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("argument \"%s\" must not be null", "feature_group")));
	FeathubExtensionRequire();
	FeathubGroupReadKey(fcinfo, ARG_PRIMARY_KEY, ARG_EVENT_TIME, group);
	group->deletes = PG_ARGISNULL(ARG_DELETES) ? source_has_deletions(fcinfo) :
		PG_GETARG_BOOL(ARG_DELETES);
	request.online = FeathubGroupReadBool(fcinfo, ARG_ONLINE, "online");
	read_intervals(fcinfo, group);
	place_group(&request, PG_GETARG_TEXT_PP(ARG_FEATURE_GROUP));
	read_source(fcinfo, &request);

	FeathubGroupMakeTables(&request);
	if (!PG_ARGISNULL(ARG_ONLINE_STORE))
	{
		group->store = PG_GETARG_OID(ARG_ONLINE_STORE);
		FeathubOnlineStoreCheck(group);
	}
	FeathubGroupInsert(group);
	CommandCounterIncrement();
	if (OidIsValid(group->store))
		(void) FeathubOnlineStoreFill(group, false);
	if (group->partition_interval != NULL)
		FeathubPartitionsMaintain(group->relid);
	create_group_job(fcinfo, &request);
	PG_RETURN_OID(group->relid);
}

/* Parse "weather" or "schema.weather" as regclass does. */
static RangeVar *
read_group_name(text *name)
{
	return makeRangeVarFromNameList(textToQualifiedNameList(name));
}

/* Find the schema that the group's tables go to; check the names. */
static void
place_group(FeathubGroupRequest *request, text *name)
{
	RangeVar   *range = read_group_name(name);
	Oid			namespace = RangeVarGetCreationNamespace(range);
	const char *longest = request->group->deletes ? "_tombstone" : request->online ? "_online" : "";
	Oid			relid;

	if (isTempOrTempToastNamespace(namespace))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_SCHEMA_NAME),
				 errmsg("a feature group cannot be temporary")));
	request->nspname = get_namespace_name(namespace);
	request->relname = range->relname;
	if (strlen(range->relname) + strlen(longest) >= NAMEDATALEN)
		ereport(ERROR,
				(errcode(ERRCODE_NAME_TOO_LONG),
				 errmsg("name of feature group \"%s\" is too long", range->relname),
				 errdetail("With \"%s\" it must be less than %d bytes.", longest, NAMEDATALEN)));

	relid = get_relname_relid(range->relname, namespace);
	if (OidIsValid(relid) && FeathubGroupLoad(relid) != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("feature group \"%s\" already exists", range->relname)));
}

void
FeathubGroupReadKey(FunctionCallInfo fcinfo, int key, int event_time, FeathubGroup *group)
{
	Datum	   *names;
	bool	   *nulls;
	int			nnames;

	if (PG_ARGISNULL(key))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("a feature group needs a primary key"),
				 errhint("Name the columns that identify its entity, for instance primary_key => '{origin}'.")));
	deconstruct_array(PG_GETARG_ARRAYTYPE_P(key), TEXTOID, -1, false,
					  TYPALIGN_INT, &names, &nulls, &nnames);
	if (nnames == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a feature group needs a primary key"),
				 errhint("Name the columns that identify its entity, for instance primary_key => '{origin}'.")));
	if (nnames >= INDEX_MAX_KEYS)
		ereport(ERROR,
				(errcode(ERRCODE_TOO_MANY_COLUMNS),
				 errmsg("cannot have more than %d columns in a primary key", INDEX_MAX_KEYS - 1)));

	if (!PG_ARGISNULL(event_time))
		group->event_time = text_to_cstring(PG_GETARG_TEXT_PP(event_time));

	for (int i = 0; i < nnames; i++)
	{
		char	   *name;
		ListCell   *lc;

		if (nulls[i])
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("a column name in primary_key must not be null")));
		name = TextDatumGetCString(names[i]);
		if (group->event_time && strcmp(group->event_time, name) == 0)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("event time column \"%s\" cannot be part of the primary key", name),
					 errdetail("The primary key names the entity; the event time tells its versions apart.")));
		foreach(lc, group->primary_key)
			if (strcmp((const char *) lfirst(lc), name) == 0)
				ereport(ERROR,
						(errcode(ERRCODE_DUPLICATE_COLUMN),
						 errmsg("column \"%s\" appears twice in primary_key", name)));
		group->primary_key = lappend(group->primary_key, name);
	}
}

static void
read_intervals(FunctionCallInfo fcinfo, FeathubGroup *group)
{
	group->ttl = FeathubGroupReadInterval(fcinfo, ARG_TTL, "ttl", group);
	group->retention = FeathubGroupReadInterval(fcinfo, ARG_RETENTION, "retention", group);
	group->partition_interval = FeathubGroupReadInterval(fcinfo, ARG_PARTITION_INTERVAL, "partition_interval", group);
}

Interval *
FeathubGroupReadInterval(FunctionCallInfo fcinfo, int arg, const char *name,
						 const FeathubGroup *group)
{
	Interval   *value;

	if (PG_ARGISNULL(arg))
		return NULL;
	value = PG_GETARG_INTERVAL_P(arg);
	FeathubGroupCheckInterval(value, name);
	if (group->event_time == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s needs a feature group with an event time", name)));
	return value;
}

void
FeathubGroupCheckInterval(Interval *value, const char *name)
{
	Interval	zero = {0};

	if (!DatumGetBool(DirectFunctionCall2(interval_gt, IntervalPGetDatum(value),
										  IntervalPGetDatum(&zero))))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s must be greater than zero", name)));
	/* else there would be no instant that long before now */
	if (Max(value->month, -(int64) value->month) > LONGEST_AGE * MONTHS_PER_YEAR ||
		Max(value->day, -(int64) value->day) > LONGEST_AGE * 366 ||
		value->time / USECS_PER_DAY > LONGEST_AGE * 366 ||
		value->time / USECS_PER_DAY < -LONGEST_AGE * 366)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s must not be longer than %d years", name, LONGEST_AGE)));
}

bool
FeathubGroupReadBool(FunctionCallInfo fcinfo, int arg, const char *name)
{
	if (PG_ARGISNULL(arg))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("argument \"%s\" must not be null", name)));
	return PG_GETARG_BOOL(arg);
}

char *
FeathubGroupReadText(FunctionCallInfo fcinfo, int arg, const char *name)
{
	if (PG_ARGISNULL(arg))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("argument \"%s\" must not be null", name)));
	return text_to_cstring(PG_GETARG_TEXT_PP(arg));
}

/* Do the source's records say which rows are gone? */
static bool
source_has_deletions(FunctionCallInfo fcinfo)
{
	const FeathubConnector *connector;
	List	   *formats;

	if (PG_ARGISNULL(ARG_SOURCE) || get_rel_name(PG_GETARG_OID(ARG_SOURCE)) == NULL)
		return false;
	connector = FeathubConnectorOfTable(PG_GETARG_OID(ARG_SOURCE));
	if (connector == NULL)
		return false;
	if (connector->streams_deletions &&
		connector->streams_deletions(FeathubRelationDescribe(PG_GETARG_OID(ARG_SOURCE))))
		return true;
	formats = FeathubConnectorFormats(connector,
									  GetForeignTable(PG_GETARG_OID(ARG_SOURCE))->options);
	return formats != NIL && ((const FeathubFormat *) linitial(formats))->changelog;
}

/* Lock the source, check the right to read it, and take its columns. */
static void
read_source(FunctionCallInfo fcinfo, FeathubGroupRequest *request)
{
	Oid			source;

	if (PG_ARGISNULL(ARG_SOURCE))
	{
		if (!PG_ARGISNULL(ARG_QUERY))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("a query needs a source"),
					 errdetail("It reads the source's records from the relation \"%s\".",
							   FEATHUB_BATCH_NAME)));
		return;
	}

	source = PG_GETARG_OID(ARG_SOURCE);
	FeathubSourceLock(source);
	switch (get_rel_relkind(source))
	{
		case RELKIND_RELATION:
		case RELKIND_PARTITIONED_TABLE:
		case RELKIND_FOREIGN_TABLE:
		case RELKIND_VIEW:
		case RELKIND_MATVIEW:
			break;
		default:
			ereport(ERROR,
					(errcode(ERRCODE_WRONG_OBJECT_TYPE),
					 errmsg("\"%s\" cannot be the source of a feature group", get_rel_name(source)),
					 errdetail("A source is a table, view or foreign table.")));
	}
	if (get_rel_persistence(source) == RELPERSISTENCE_TEMP)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("temporary table \"%s\" cannot be the source of a feature group",
						get_rel_name(source))));
	if (source == get_relname_relid(request->relname, get_namespace_oid(request->nspname, false)))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("feature group \"%s\" cannot be its own source", request->relname)));

	request->group->source = source;
	request->columns = FeathubSourceDescribe(source);
	if (!PG_ARGISNULL(ARG_QUERY))
		request->columns = FeathubQueryDescribe(text_to_cstring(PG_GETARG_TEXT_PP(ARG_QUERY)),
												request->columns, GetUserId());
}

/* A source that can stream is followed by a job. */
static void
create_group_job(FunctionCallInfo fcinfo, FeathubGroupRequest *request)
{
	FeathubJob	job = {0};
	const FeathubConnector *connector = NULL;

	FeathubJobReadArguments(fcinfo, ARG_JOB_FIRST, &job);
	if (OidIsValid(request->group->source))
		connector = FeathubConnectorOfSource(request->group->source);
	if (connector == NULL)
	{
		if (!PG_ARGISNULL(ARG_JOB_NAME))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("feature group \"%s\" has no source that a job could follow",
							request->relname)));
		return;
	}

	/* what is wrong with its options is better known now than by the worker */
	(void) FeathubRelationOpen(request->group->source, GetUserId());

	job.name = PG_ARGISNULL(ARG_JOB_NAME) ? request->relname :
		text_to_cstring(PG_GETARG_TEXT_PP(ARG_JOB_NAME));
	job.owner = GetUserId();
	job.source = request->group->source;
	job.sink = request->group->relid;
	job.sinks = list_make1_oid(job.sink);
	if (!PG_ARGISNULL(ARG_QUERY))
		job.query = text_to_cstring(PG_GETARG_TEXT_PP(ARG_QUERY));
	FeathubJobCreate(&job);
}

/*
 * feathub.alter_feature_group(feature_group, ttl, retention, workers, reset,
 * refresh_interval, online_store)
 *
 * NULL keeps a setting; reset names those that go back to their defaults.
 */
Datum
feathub_alter_feature_group(PG_FUNCTION_ARGS)
{
	FeathubGroup *group;
	Interval   *value;
	List	   *jobs;
	int			workers = 0;
	bool		ttl_given;
	ListCell   *lc;

	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("argument \"%s\" must not be null", "feature_group")));
	FeathubExtensionRequire();
	group = FeathubGroupFind(PG_GETARG_TEXT_PP(0), false);
	jobs = FeathubJobsOfSink(group->relid, true);
	/* so that no batch begins without a new store and ends after it was filled */
	LockRelationOid(group->relid, PG_ARGISNULL(6) ? ShareUpdateExclusiveLock : ShareRowExclusiveLock);
	/* somebody else may have altered it while we waited: what we do not change stays */
	group = FeathubGroupFind(PG_GETARG_TEXT_PP(0), false);

	value = group->ttl;
	if (!PG_ARGISNULL(4))
		reset_settings(PG_GETARG_ARRAYTYPE_P(4), group, &workers);
	ttl_given = value != group->ttl || !PG_ARGISNULL(1);
	if ((value = FeathubGroupReadInterval(fcinfo, 1, "ttl", group)) != NULL)
		group->ttl = value;
	if ((value = FeathubGroupReadInterval(fcinfo, 2, "retention", group)) != NULL)
		group->retention = value;
	if (!PG_ARGISNULL(3))
	{
		workers = PG_GETARG_INT32(3);
		FeathubJobCheckWorkers(workers);
	}
	if (!PG_ARGISNULL(5))
	{
		if (!group->external || !OidIsValid(group->online))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("%s needs an external feature group with an online table", "refresh_interval")));
		group->refresh_interval = PG_GETARG_INTERVAL_P(5);
		FeathubGroupCheckInterval(group->refresh_interval, "refresh_interval");
		FeathubJobsChanged();
	}
	if (group->external && group->retention != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("external feature group \"%s\" cannot have a retention", get_rel_name(group->relid))));

	if (!PG_ARGISNULL(6))
	{
		group->store = PG_GETARG_OID(6);
		FeathubOnlineStoreCheck(group);
	}

	FeathubGroupUpdate(group);
	if (!PG_ARGISNULL(6))
		(void) FeathubOnlineStoreFill(group, false);
	if (ttl_given)
		tell_views(group->relid);
	/* plans and workers that know the group look again */
	CacheInvalidateRelcacheByRelid(group->relid);
	if (workers > 0 && jobs == NIL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("feature group \"%s\" has no job", get_rel_name(group->relid))));
	foreach(lc, jobs)
	{
		FeathubJob *job = (FeathubJob *) lfirst(lc);

		if (workers > 0 && workers != job->workers)
		{
			job->workers = workers;
			FeathubJobUpdate(job);
		}
	}
	PG_RETURN_VOID();
}

/* A view's forms are as they were made, with the ttl of that time. */
static void
tell_views(Oid relid)
{
	ListCell   *lc;

	foreach(lc, FeathubViewsOfRelation(relid))
	{
		char	   *view = FeathubQualifiedName(lfirst_oid(lc));

		ereport(NOTICE,
				(errmsg("feature view %s keeps the former ttl of \"%s\"", view, get_rel_name(relid)),
				 errhint("To take over the new one: SELECT feathub.alter_feature_view(%s).",
						 quote_literal_cstr(view))));
	}
}

static void
reset_settings(ArrayType *names, FeathubGroup *group, int *workers)
{
	Datum	   *values;
	bool	   *nulls;
	int			nvalues;

	deconstruct_array(names, TEXTOID, -1, false, TYPALIGN_INT, &values, &nulls, &nvalues);
	for (int i = 0; i < nvalues; i++)
	{
		const char *name = nulls[i] ? "null" : TextDatumGetCString(values[i]);

		if (strcmp(name, "ttl") == 0)
			group->ttl = NULL;
		else if (strcmp(name, "retention") == 0)
			group->retention = NULL;
		else if (strcmp(name, "refresh_interval") == 0)
			group->refresh_interval = NULL;
		else if (strcmp(name, "online_store") == 0)
			group->store = InvalidOid;
		else if (strcmp(name, "workers") == 0)
			*workers = 1;
		else
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("unrecognized setting of a feature group: \"%s\"", name),
					 errhint("Settings that can be reset are: online_store, refresh_interval, retention, ttl, workers.")));
	}
}

/*
 * feathub.drop_feature_group(feature_group, keep_tables, if_exists)
 *
 * Drops the group, the jobs that write to it and, unless told otherwise, its
 * tables, with the checks of DROP TABLE ... RESTRICT.  Returns false if there
 * was none.
 */
Datum
feathub_drop_feature_group(PG_FUNCTION_ARGS)
{
	bool		keep_tables = PG_GETARG_BOOL(1);
	FeathubGroup *group;
	ListCell   *lc;

	FeathubExtensionRequire();
	group = FeathubGroupFind(PG_GETARG_TEXT_PP(0), PG_GETARG_BOOL(2));
	if (group != NULL && group->external)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("feature group \"%s\" is external", get_rel_name(group->relid)),
				 errhint("Use feathub.drop_external_feature_group, which leaves the relation that it reads.")));
	if (group != NULL)
	{
		foreach(lc, FeathubJobsOfSink(group->relid, true))
			if (!FeathubJobForgetSink((FeathubJob *) lfirst(lc), group->relid))
				FeathubJobDelete(((FeathubJob *) lfirst(lc))->job_id);
		LockRelationOid(group->relid, keep_tables ? ShareUpdateExclusiveLock : AccessExclusiveLock);
		/* somebody else may have dropped it while we waited */
		group = FeathubGroupFind(PG_GETARG_TEXT_PP(0), PG_GETARG_BOOL(2));
	}
	if (group == NULL)
	{
		ereport(NOTICE,
				(errmsg("feature group \"%s\" does not exist, skipping",
						text_to_cstring(PG_GETARG_TEXT_PP(0)))));
		PG_RETURN_BOOL(false);
	}

	if (keep_tables)
		FeathubGroupDelete(group->relid);
	else
		FeathubGroupRunCommand(psprintf("DROP TABLE %s", FeathubQualifiedName(group->relid)));
	PG_RETURN_BOOL(true);
}

FeathubGroup *
FeathubGroupFind(text *name, bool missing_ok)
{
	RangeVar   *range = read_group_name(name);
	Oid			relid = RangeVarGetRelid(range, NoLock, true);
	FeathubGroup *group = OidIsValid(relid) ? FeathubGroupLoad(relid) : NULL;

	if (group == NULL)
	{
		if (missing_ok)
			return NULL;
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("feature group \"%s\" does not exist", text_to_cstring(name)),
				 OidIsValid(relid) ? errdetail("There is a relation of that name, but it is no feature group.") : 0));
	}
	if (!object_ownercheck(RelationRelationId, relid, GetUserId()))
		aclcheck_error(ACLCHECK_NOT_OWNER, OBJECT_TABLE, get_rel_name(relid));
	return group;
}
