/*
 * job_sinks.c
 *		What the definition of a job must be like: source, query and sinks.
 */
#include "postgres.h"

#include "access/relation.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "connectors/connector.h"
#include "core/compat.h"
#include "core/describe.h"
#include "core/job_definition.h"
#include "ingest/foreign_sink.h"
#include "ingest/job_sinks.h"

static void check_source(Oid source, Oid owner);
static void check_sink(Oid sink, Oid owner);
static void check_not_of_group(Oid sink);
static List *sink_key(Oid sink);
static TupleDesc columns_of_sink(TupleDesc rows, Oid sink, bool *taken);

void
FeathubJobCheckDefinition(const FeathubJob *job)
{
	TupleDesc	rows;
	bool	   *taken;
	ListCell   *lc;

	check_source(job->source, job->owner);
	foreach(lc, job->sinks)
	{
		check_sink(lfirst_oid(lc), job->owner);
		if (job->source == lfirst_oid(lc))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("a job cannot write to its own source \"%s\"", get_rel_name(job->source)),
					 errdetail("It would follow what it writes and never end.")));
	}

	rows = FeathubSourceDescribe(job->source);
	if (job->query)
		rows = FeathubQueryDescribe(job->query, rows, job->owner);
	taken = palloc0(sizeof(bool) * (rows->natts + 1));
	foreach(lc, job->sinks)
	{
		FeathubGroup *group = FeathubGroupLoadWritable(lfirst_oid(lc));
		TupleDesc	input = rows;

		if (list_length(job->sinks) > 1)
			input = columns_of_sink(rows, lfirst_oid(lc), taken);
		FeathubCheckColumnsFit(input, lfirst_oid(lc), group ? FeathubGroupHistoryKey(group) :
							   sink_key(lfirst_oid(lc)));
	}
	for (int i = 0; list_length(job->sinks) > 1 && i < rows->natts; i++)
		if (!taken[i])
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_COLUMN),
					 errmsg("column \"%s\" of the source is in none of the sinks of job \"%s\"",
							NameStr(TupleDescAttr(rows, i)->attname), job->name),
					 errhint("Add the column to one of them, or choose columns with a query.")));
}

/* The columns of a foreign sink that are compared before they are written. */
static List *
sink_key(Oid sink)
{
	bool		deletes;
	List	   *names = FeathubConnectorUpsertKey(sink, &deletes);
	char	   *event_time = names ? FeathubForeignSinkEventTime(sink) : NULL;

	return event_time ? lappend(names, event_time) : names;
}

/* Those of the columns that the sink has too. */
static TupleDesc
columns_of_sink(TupleDesc rows, Oid sink, bool *taken)
{
	Relation	rel = relation_open(sink, AccessShareLock);
	TupleDesc	input;
	int		   *columns = palloc(sizeof(int) * (rows->natts + 1));
	int			n = 0;

	for (int i = 0; i < rows->natts; i++)
	{
		Form_pg_attribute att = FeathubDescribeColumn(RelationGetDescr(rel),
													  NameStr(TupleDescAttr(rows, i)->attname));

		if (att == NULL || FeathubColumnIsGenerated(att))
			continue;
		taken[i] = true;
		columns[n++] = i;
	}
	relation_close(rel, NoLock);
	input = CreateTemplateTupleDesc(n);
	for (int i = 0; i < n; i++)
		TupleDescCopyEntry(input, i + 1, rows, columns[i] + 1);
	return input;
}

const char *
FeathubJobSinkName(Oid sink)
{
	const char *name = get_rel_name(sink);

	return name ? name : psprintf("%u", sink);
}

List *
FeathubJobAddSinks(List *sinks, ArrayType *array, const char *argument)
{
	Datum	   *values;
	bool	   *nulls;
	int			n;

	deconstruct_array(array, REGCLASSOID, sizeof(Oid), true, TYPALIGN_INT, &values, &nulls, &n);
	for (int i = 0; i < n; i++)
	{
		if (nulls[i])
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("a relation in %s must not be null", argument)));
		if (list_member_oid(sinks, DatumGetObjectId(values[i])))
			ereport(ERROR,
					(errcode(ERRCODE_DUPLICATE_OBJECT),
					 errmsg("relation \"%s\" would be a sink of the job twice",
							FeathubJobSinkName(DatumGetObjectId(values[i])))));
		sinks = lappend_oid(sinks, DatumGetObjectId(values[i]));
	}
	return sinks;
}

/* A source is what the user may read and a job can follow, as its owner. */
static void
check_source(Oid source, Oid owner)
{
	FeathubSourceLock(source);
	if (FeathubConnectorOfSource(source) == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("a job cannot follow \"%s\"", get_rel_name(source)),
				 errdetail("The source of a job is a foreign table of feathub's whose system has a stream, and whose options say what to follow.")));

	/* what is wrong with its options is better known now than by the worker */
	(void) FeathubRelationOpen(source, owner);
}

/* What a group keeps as its online table is, or has beside it, is the group's alone. */
static void
check_not_of_group(Oid sink)
{
	ListCell   *lc;

	foreach(lc, FeathubGroupsAll())
	{
		FeathubGroup *group = (FeathubGroup *) lfirst(lc);

		if (sink == group->online || sink == group->tombstone || sink == group->store)
			ereport(ERROR,
					(errcode(ERRCODE_WRONG_OBJECT_TYPE),
					 errmsg("a job cannot write to \"%s\"", FeathubJobSinkName(sink)),
					 errdetail("It belongs to feature group %s.", FeathubQualifiedName(group->relid)),
					 errhint("Use the feature group as the sink.")));
	}
}

/* A sink is a table of the user's own. */
static void
check_sink(Oid sink, Oid owner)
{
	char	   *name = get_rel_name(sink);
	char		relkind = get_rel_relkind(sink);

	if (name == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("relation with OID %u does not exist", sink)));
	if (!object_ownercheck(RelationRelationId, sink, GetUserId()))
		aclcheck_error(ACLCHECK_NOT_OWNER, get_relkind_objtype(relkind), name);
	LockRelationOid(sink, AccessShareLock);
	check_not_of_group(sink);
	if (relkind == RELKIND_FOREIGN_TABLE)
	{
		FeathubForeignSinkCheck(sink, owner);
		return;
	}
	if (relkind != RELKIND_RELATION && relkind != RELKIND_PARTITIONED_TABLE)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("a job cannot write to \"%s\"", name),
				 errdetail("The sink of a job is a feature group, a table or a foreign table.")));
	if (get_rel_persistence(sink) == RELPERSISTENCE_TEMP)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("a job cannot write to temporary table \"%s\"", name)));
	if (get_rel_persistence(sink) == RELPERSISTENCE_UNLOGGED)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("a job cannot write to unlogged table \"%s\"", name),
				 errdetail("It is emptied by a crash, while the job's positions remain.")));
}
