/*
 * pipeline.c
 *		Open what a job needs: source, query, sinks.
 */
#include "postgres.h"

#include "access/table.h"
#include "catalog/pg_class.h"
#include "lib/ilist.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "core/describe.h"
#include "ingest/apply.h"

/* The source of this process's pipeline and whether it was altered. */
static Oid	watched_source = InvalidOid;
static bool source_changed = false;
static bool callbacks_registered = false;

static void note_relcache_change(Datum arg, Oid relid);
static void note_server_change(Datum arg, int cacheid, uint32 hashvalue);
static void list_sinks(FeathubPipeline *pipeline);
static void open_sinks(FeathubPipeline *pipeline);
static TupleDesc open_query(FeathubPipeline *pipeline);
static void match_sink(FeathubPipelineSink *sink, TupleDesc rows, bool leave_out, bool *taken);

FeathubPipeline *
FeathubPipelineOpen(FeathubJob *job)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "feathub pipeline",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	FeathubPipeline *pipeline = palloc0(sizeof(FeathubPipeline));

	LockRelationOid(job->source, AccessShareLock);
	pipeline->context = context;
	pipeline->batch_context = AllocSetContextCreate(context, "feathub batch",
													ALLOCSET_DEFAULT_SIZES);
	pipeline->job = job;
	pipeline->rel = FeathubRelationOpen(job->source, GetUserId());
	if (pipeline->rel->connector->open_stream == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("foreign table \"%s\" cannot be followed by a job",
						pipeline->rel->relname)));
	pipeline->stream.rel = pipeline->rel;
	pipeline->stream.job_name = job->name;
	pipeline->stream.start = job->start;
	pipeline->stream.skip_gaps = strcmp(job->on_gap, "skip") == 0;
	pipeline->stream.context = context;
	list_sinks(pipeline);
	open_sinks(pipeline);

	watched_source = job->source;
	source_changed = false;
	if (!callbacks_registered)
	{
		CacheRegisterRelcacheCallback(note_relcache_change, (Datum) 0);
		CacheRegisterSyscacheCallback(FOREIGNSERVEROID, note_server_change, (Datum) 0);
		CacheRegisterSyscacheCallback(USERMAPPINGOID, note_server_change, (Datum) 0);
		callbacks_registered = true;
	}
	MemoryContextSwitchTo(old);
	return pipeline;
}

/*
 * How well what is written to a foreign table can be taken back: with a
 * subtransaction, with our transaction, or not at all.
 */
typedef enum TakenBack
{
	BY_PARTS,
	AS_A_WHOLE,
	NEVER
} TakenBack;

static TakenBack
taken_back(Oid relid)
{
	const FeathubConnector *connector = FeathubConnectorOfTable(relid);

	if (connector == NULL || connector->save_positions == NULL ||
		(connector->keeps_positions != NULL &&
		 !connector->keeps_positions(FeathubRelationDescribe(relid))))
		return NEVER;
	return connector->no_savepoints ? AS_A_WHOLE : BY_PARTS;
}

/*
 * How late a sink is written: what cannot be taken back last, and before each
 * kind the groups that have their online store there, which may refuse rows.
 */
static int
sink_rank(Oid relid)
{
	FeathubGroup *group;

	if (get_rel_relkind(relid) == RELKIND_FOREIGN_TABLE)
		return 2 + 2 * taken_back(relid);
	group = FeathubGroupLoadWritable(relid);
	if (group == NULL || !OidIsValid(group->store))
		return 0;
	return 1 + 2 * taken_back(group->store);
}

/* Put the sinks in the order in which they are written. */
static void
order_sinks(FeathubPipeline *pipeline)
{
	for (int i = 0; i < pipeline->nsinks; i++)
	{
		pipeline->sinks[i].rank = sink_rank(pipeline->sinks[i].relid);
		pipeline->sinks[i].as_a_whole = (pipeline->sinks[i].rank - 1) / 2 == AS_A_WHOLE;
	}
	/* those of one rank as the user gave them */
	for (int i = 1; i < pipeline->nsinks; i++)
		for (int j = i; j > 0 && pipeline->sinks[j - 1].rank > pipeline->sinks[j].rank; j--)
		{
			FeathubPipelineSink sink = pipeline->sinks[j];

			pipeline->sinks[j] = pipeline->sinks[j - 1];
			pipeline->sinks[j - 1] = sink;
		}
}

/* The job's sinks. */
static void
list_sinks(FeathubPipeline *pipeline)
{
	FeathubJob *job = pipeline->job;
	ListCell   *lc;

	pipeline->sinks = palloc0(sizeof(FeathubPipelineSink) * list_length(job->sinks));
	pipeline->current = -1;
	foreach(lc, job->sinks)
	{
		LockRelationOid(lfirst_oid(lc), AccessShareLock);
		if (get_rel_name(lfirst_oid(lc)) == NULL)
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_TABLE),
					 errmsg("the sink of job \"%s\" does not exist", job->name)));
		pipeline->sinks[pipeline->nsinks++].relid = lfirst_oid(lc);
	}
}

/* Open the query and the sinks, in a context of their own. */
static void
open_sinks(FeathubPipeline *pipeline)
{
	FeathubJob *job = pipeline->job;
	MemoryContext context = AllocSetContextCreate(pipeline->context, "feathub sink",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	TupleDesc	rows;
	bool	   *taken;

	pipeline->sink_context = context;
	/* a table may have another owner now, whose triggers would run as ours */
	FeathubJobCheckRunnable(job);
	order_sinks(pipeline);
	rows = open_query(pipeline);
	taken = palloc0(sizeof(bool) * (rows->natts + 1));
	for (int i = 0; i < pipeline->nsinks; i++)
	{
		FeathubPipelineSink *sink = &pipeline->sinks[i];
		FeathubGroup *group = FeathubGroupLoadWritable(sink->relid);

		sink->name = FeathubQualifiedName(sink->relid);
		sink->is_group = group != NULL;
		sink->maintained = group != NULL && (group->partition_interval || group->retention);
		sink->foreign = get_rel_relkind(sink->relid) == RELKIND_FOREIGN_TABLE;
		sink->outside = sink->foreign || (group != NULL && OidIsValid(group->store));
		match_sink(sink, rows, job->query == NULL || pipeline->nsinks > 1, taken);
		sink->deletes = FeathubWriterDeletes(sink->writer);
	}
	for (int i = 0; job->query && i < rows->natts; i++)
		if (!taken[i])
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_COLUMN),
					 errmsg("column \"%s\" of the query of job \"%s\" is in none of its sinks",
							NameStr(TupleDescAttr(rows, i)->attname), job->name)));
	MemoryContextSwitchTo(old);
}

bool
FeathubPipelineIsStale(FeathubPipeline *pipeline)
{
	/* an altered foreign table may keep its positions elsewhere, or none at all */
	for (int i = 0; i < pipeline->nsinks; i++)
		if (pipeline->sinks[i].foreign && pipeline->sinks[i].writer &&
			FeathubWriterIsStale(pipeline->sinks[i].writer))
			return true;
	return source_changed;
}

void
FeathubPipelineRefresh(FeathubPipeline *pipeline)
{
	bool		stale = false;
	bool		outside = false;

	/* with their locks, nobody can give a sink away or put a trigger on it */
	for (int i = 0; i < pipeline->nsinks; i++)
	{
		LockRelationOid(pipeline->sinks[i].relid, RowExclusiveLock);
		stale |= pipeline->sinks[i].writer == NULL ||
			FeathubWriterIsStale(pipeline->sinks[i].writer);
	}
	if (stale)
	{
		FeathubJobCheckRunnable(pipeline->job);
		/* should opening fail, nothing is left to point to */
		for (int i = 0; i < pipeline->nsinks; i++)
		{
			pipeline->sinks[i].name = NULL;
			pipeline->sinks[i].writer = NULL;
		}
		pipeline->transform = NULL;
		MemoryContextDelete(pipeline->sink_context);
		open_sinks(pipeline);
	}

	/* what is outside cannot be taken back if our commit is lost */
	for (int i = 0; i < pipeline->nsinks; i++)
		outside |= pipeline->sinks[i].outside;
	SetConfigOption("synchronous_commit",
					pipeline->job->synchronous_commit || outside ? "on" : "off",
					PGC_SUSET, PGC_S_OVERRIDE);
}

void
FeathubPipelineClose(FeathubPipeline *pipeline)
{
	if (pipeline->stream.state)
		pipeline->rel->connector->close_stream(&pipeline->stream);
	MemoryContextDelete(pipeline->context);
}

/* The sink has a column of that name that can be written. */
static bool
sink_takes(TupleDesc sink, const char *name)
{
	Form_pg_attribute att = FeathubDescribeColumn(sink, name);

	return att != NULL && !FeathubColumnIsGenerated(att);
}

/*
 * Open the query, if there is one.  Returns the columns of the rows that go to
 * the sinks: its own, or the source's, dropped ones too.
 */
static TupleDesc
open_query(FeathubPipeline *pipeline)
{
	TupleDesc	source = pipeline->rel->tupdesc;
	TupleDesc	batch;
	int			n = 0;

	if (pipeline->job->query == NULL)
		return source;
	pipeline->columns = palloc(sizeof(int) * (source->natts + 1));
	for (int i = 0; i < source->natts; i++)
		if (!TupleDescAttr(source, i)->attisdropped && !TupleDescAttr(source, i)->attgenerated)
			pipeline->columns[n++] = i;
	pipeline->ncolumns = n;
	batch = CreateTemplateTupleDesc(n);
	for (int i = 0; i < n; i++)
		TupleDescCopyEntry(batch, i + 1, source, pipeline->columns[i] + 1);
	pipeline->transform = FeathubTransformBegin(pipeline->job->query, batch);
	return FeathubTransformOutput(pipeline->transform);
}

/*
 * Find which columns of the rows go into a sink, by name, and open its writer.
 * With leave_out, one that the sink has not is left out: without a query, so
 * that either side may get a new column first; with several sinks, so that each
 * gets its own.  taken notes the columns that go somewhere.
 */
static void
match_sink(FeathubPipelineSink *sink, TupleDesc rows, bool leave_out, bool *taken)
{
	Relation	rel = table_open(sink->relid, AccessShareLock);
	TupleDesc	input;
	int			n = 0;

	sink->columns = palloc(sizeof(int) * (rows->natts + 1));
	for (int i = 0; i < rows->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(rows, i);

		if (att->attisdropped || att->attgenerated)
			continue;
		if (leave_out && !sink_takes(RelationGetDescr(rel), NameStr(att->attname)))
			continue;
		taken[i] = true;
		sink->columns[n++] = i;
	}
	sink->ncolumns = n;
	sink->identity = n == rows->natts;
	input = CreateTemplateTupleDesc(n);
	for (int i = 0; i < n; i++)
		TupleDescCopyEntry(input, i + 1, rows, sink->columns[i] + 1);
	sink->writer = FeathubWriterBegin(sink->relid, input,
									  FEATHUB_WRITE_OFFLINE | FEATHUB_WRITE_ONLINE);
	table_close(rel, NoLock);
}

static void
note_relcache_change(Datum arg, Oid relid)
{
	if (!OidIsValid(relid) || relid == watched_source)
		source_changed = true;
}

static void
note_server_change(Datum arg, int cacheid, uint32 hashvalue)
{
	source_changed = true;		/* rare; the worker opens it all again */
}
