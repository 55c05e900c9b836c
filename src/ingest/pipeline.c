/*
 * pipeline.c
 *		Open what a job needs: source, query, sink.
 */
#include "postgres.h"

#include "access/table.h"
#include "catalog/pg_class.h"
#include "lib/ilist.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
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
static void open_sink(FeathubPipeline *pipeline);
static void match_source(FeathubPipeline *pipeline);

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
	open_sink(pipeline);

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

/* Open the query and the sink, in a context of their own. */
static void
open_sink(FeathubPipeline *pipeline)
{
	FeathubJob *job = pipeline->job;
	MemoryContext context = AllocSetContextCreate(pipeline->context, "feathub sink",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	FeathubGroup *group;

	LockRelationOid(job->sink, AccessShareLock);
	pipeline->sink_name = get_rel_name(job->sink);
	if (pipeline->sink_name == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("the sink of job \"%s\" does not exist", job->name)));
	/* the table may have another owner now, whose triggers would run as ours */
	FeathubJobCheckRunnable(job);
	group = FeathubGroupLoadWritable(job->sink);
	pipeline->is_group = group != NULL;
	pipeline->is_outside = get_rel_relkind(job->sink) == RELKIND_FOREIGN_TABLE;
	pipeline->maintained = group != NULL && (group->partition_interval || group->retention);
	match_source(pipeline);
	pipeline->deletes = FeathubWriterDeletes(pipeline->writer);
	pipeline->sink_context = context;
	MemoryContextSwitchTo(old);
}

bool
FeathubPipelineIsStale(FeathubPipeline *pipeline)
{
	/* an altered foreign table may keep its positions elsewhere, or none at all */
	return source_changed ||
		(pipeline->is_outside && pipeline->writer && FeathubWriterIsStale(pipeline->writer));
}

void
FeathubPipelineRefresh(FeathubPipeline *pipeline)
{
	/* with its lock, nobody can give the sink away or put a trigger on it */
	LockRelationOid(pipeline->job->sink, RowExclusiveLock);
	if (!FeathubWriterIsStale(pipeline->writer))
		return;
	FeathubJobCheckRunnable(pipeline->job);
	/* should opening fail, nothing is left to point to */
	pipeline->sink_name = NULL;
	pipeline->transform = NULL;
	pipeline->writer = NULL;
	MemoryContextDelete(pipeline->sink_context);
	open_sink(pipeline);
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

	return att != NULL && !att->attgenerated;
}

/*
 * Find which of the source's columns go into "batch" or, without a query, into
 * the sink: there, one that the sink has not is left out, so that either side
 * may get a new column first.
 */
static void
match_source(FeathubPipeline *pipeline)
{
	FeathubJob *job = pipeline->job;
	TupleDesc	source = pipeline->rel->tupdesc;
	Relation	sink = table_open(job->sink, AccessShareLock);
	TupleDesc	input;
	int			n = 0;

	pipeline->columns = palloc(sizeof(int) * (source->natts + 1));
	for (int i = 0; i < source->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(source, i);

		if (att->attisdropped || att->attgenerated)
			continue;
		if (job->query == NULL && !sink_takes(RelationGetDescr(sink), NameStr(att->attname)))
			continue;
		pipeline->columns[n++] = i;
	}
	pipeline->ncolumns = n;
	pipeline->identity = n == source->natts;
	input = CreateTemplateTupleDesc(n);
	for (int i = 0; i < n; i++)
		TupleDescCopyEntry(input, i + 1, source, pipeline->columns[i] + 1);
	if (job->query)
	{
		pipeline->transform = FeathubTransformBegin(job->query, input);
		input = FeathubTransformOutput(pipeline->transform);
	}
	pipeline->writer = FeathubWriterBegin(job->sink, input,
										  FEATHUB_WRITE_OFFLINE | FEATHUB_WRITE_ONLINE);
	table_close(sink, NoLock);
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
