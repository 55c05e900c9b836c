/*
 * assignment.c
 *		Which partitions of its job's source a worker follows, and from where.
 *
 * Most sources have some partitions, which are all followed.  Those with a
 * summary_partition (connector.h) may have a million files: the connector is
 * told once what is known of them, and then lists those that there is something
 * to do for.  What has been read to its end is put away (core/finished_position.h),
 * and forgotten when it has been missing for long.
 */
#include "postgres.h"

#include "access/xact.h"
#include "common/hashfn.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "core/catalog.h"
#include "core/clock.h"
#include "core/finished_position.h"
#include "core/guc.h"
#include "ingest/assignment.h"
#include "ingest/foreign_sink.h"

/* Positions written or forgotten by one statement. */
#define CHUNK_POSITIONS 1000

/* ms between two looks for what has been missing for long. */
#define FORGET_INTERVAL 60000

/* Whose share it is about. */
static const FeathubWorkerSlot *my_slot = NULL;

static void know_positions(FeathubPipeline *pipeline);
static void begin_source(FeathubPipeline *pipeline);
static void note_position(void *arg, const FeathubPosition *position, bool finished, bool missing);
static List *follow_all(FeathubPipeline *pipeline, List *names);
static List *follow_some(FeathubPipeline *pipeline, List *names);
static void fill_stream(FeathubPipeline *pipeline, List *mine, HTAB *by_name);
static void ask_sinks(FeathubPipeline *pipeline);
static bool partition_is_mine(const char *name);

static void
begin_transaction(void)
{
	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
	if (!FeathubExtensionLock())
		proc_exit(0);
}

static void
end_transaction(void)
{
	PopActiveSnapshot();
	CommitTransactionCommand();
}

/* There may be very many partitions: they are looked up by their names. */
typedef struct NamedPosition
{
	const char *name;			/* key */
	FeathubPosition *position;
} NamedPosition;

static uint32
hash_name(const void *key, Size size)
{
	const char *name = *(const char *const *) key;

	return hash_bytes((const unsigned char *) name, strlen(name));
}

static int
match_names(const void *a, const void *b, Size size)
{
	return strcmp(*(const char *const *) a, *(const char *const *) b);
}

/* An empty table of NamedPosition, in the current context. */
static HTAB *
make_names(void)
{
	HASHCTL		control = {0};

	control.keysize = sizeof(char *);
	control.entrysize = sizeof(NamedPosition);
	control.hash = hash_name;
	control.match = match_names;
	control.hcxt = CurrentMemoryContext;
	return hash_create("feathub partition names", 64, &control,
					   HASH_ELEM | HASH_FUNCTION | HASH_COMPARE | HASH_CONTEXT);
}

/* The positions that are set, by name. */
static HTAB *
index_positions(List *positions)
{
	HTAB	   *names = make_names();
	ListCell   *lc;

	foreach(lc, positions)
	{
		FeathubPosition *position = lfirst(lc);
		NamedPosition *entry;

		if (position->position == NULL)
			continue;
		entry = hash_search(names, &position->partition, HASH_ENTER, NULL);
		entry->position = position;
	}
	return names;
}

/* Are these the partitions that are followed already? */
static bool
are_followed(const FeathubStream *stream, List *names)
{
	HTAB	   *followed;
	ListCell   *lc;

	if (stream->npartitions != list_length(names) || names == NIL)
		return false;
	followed = make_names();
	for (int i = 0; i < stream->npartitions; i++)
		(void) hash_search(followed, &stream->partitions[i].name, HASH_ENTER, NULL);
	foreach(lc, names)
		if (hash_search(followed, &lfirst(lc), HASH_FIND, NULL) == NULL)
			return false;
	return true;
}

bool
FeathubAssignPartitions(FeathubPipeline *pipeline, const FeathubWorkerSlot *slot)
{
	FeathubStream *stream = &pipeline->stream;
	const FeathubConnector *connector = pipeline->rel->connector;
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "feathub partitions",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	List	   *names;
	List	   *mine = NIL;
	List	   *positions;
	ListCell   *lc;

	my_slot = slot;
	stream->is_mine = partition_is_mine;
	if (connector->summary_partition != NULL && !pipeline->knows_positions)
		know_positions(pipeline);
	MemoryContextSwitchTo(context);
	stream->finished = stream->missing = stream->found = NIL;
	names = connector->list_partitions(stream);
	foreach(lc, names)
		if (partition_is_mine(lfirst(lc)))
			mine = lappend(mine, lfirst(lc));
	if (stream->finished == NIL && stream->missing == NIL && stream->found == NIL &&
		(mine == NIL || are_followed(stream, mine)))
	{
		MemoryContextSwitchTo(old);
		MemoryContextDelete(context);
		return mine != NIL;
	}

	begin_transaction();
	MemoryContextSwitchTo(context);
	if (connector->summary_partition != NULL)
		positions = follow_some(pipeline, mine);
	else
		positions = follow_all(pipeline, names);
	end_transaction();
	MemoryContextSwitchTo(context);
	fill_stream(pipeline, mine, index_positions(positions));
	connector->start_stream(stream);
	ask_sinks(pipeline);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
	return mine != NIL;
}

/* All positions of the job, once each of these partitions has one. */
static List *
follow_all(FeathubPipeline *pipeline, List *names)
{
	const FeathubConnector *connector = pipeline->rel->connector;
	FeathubJob *job = pipeline->job;
	List	   *known = FeathubPositionsLoad(job->job_id);
	HTAB	   *by_name = index_positions(known);
	ListCell   *lc;

	foreach(lc, names)
	{
		/* a partition that came later was empty when the job began */
		if (hash_search(by_name, &lfirst(lc), HASH_FIND, NULL) == NULL)
			FeathubPositionInsert(job->job_id, job->epoch, lfirst(lc),
								  connector->seek_position(&pipeline->stream, lfirst(lc),
														   known == NIL ? job->start : "earliest"),
								  NULL);
	}
	return FeathubPositionsLoad(job->job_id);
}

/*
 * The positions of these partitions, which may have been put away; those that
 * are new begin at their begin.  What is finished is put away, what is missing
 * noted.
 */
static List *
follow_some(FeathubPipeline *pipeline, List *names)
{
	FeathubStream *stream = &pipeline->stream;
	const FeathubConnector *connector = pipeline->rel->connector;
	FeathubJob *job = pipeline->job;
	FeathubPosition *made = palloc(sizeof(FeathubPosition) * (list_length(names) + 1));
	HTAB	   *by_name;
	ListCell   *lc;
	int			n = 0;

	if (stream->finished != NIL)
		FeathubPositionsPutAway(job->job_id, job->epoch, connector->summary_partition,
								stream->finished);
	if (stream->missing != NIL)
		FeathubPositionsNoteMissing(job->job_id, job->epoch, stream->missing, true);
	if (stream->found != NIL)
		FeathubPositionsNoteMissing(job->job_id, job->epoch, stream->found, false);
	foreach(lc, stream->finished)
		FeathubRegistryForgetPartition(my_slot, lfirst(lc));

	by_name = index_positions(FeathubPositionsLoadSome(job->job_id, names, false));
	foreach(lc, names)
	{
		if (hash_search(by_name, &lfirst(lc), HASH_FIND, NULL) != NULL)
			continue;
		made[n].partition = lfirst(lc);
		made[n].position = connector->seek_position(stream, lfirst(lc), "earliest");
		made[n].mark = made[n].replay_until = NULL;
		n++;
	}
	if (n > 0)
		(void) FeathubPositionsBegin(job->job_id, job->epoch, made, n);
	return FeathubPositionsLoadSome(job->job_id, names, false);
}

/* Let the stream be about the worker's partitions. */
static void
fill_stream(FeathubPipeline *pipeline, List *mine, HTAB *by_name)
{
	FeathubStream *stream = &pipeline->stream;
	ListCell   *lc;
	int			n = 0;

	if (pipeline->share_context)
		MemoryContextReset(pipeline->share_context);
	else
		pipeline->share_context = AllocSetContextCreate(pipeline->context, "feathub share",
														ALLOCSET_DEFAULT_SIZES);
	MemoryContextSwitchTo(pipeline->share_context);
	stream->partitions = palloc0(sizeof(FeathubStreamPartition) * (list_length(mine) + 1));
	pipeline->replay_until = palloc0(sizeof(char *) * (list_length(mine) + 1));
	pipeline->last_record_at = palloc(sizeof(TimestampTz) * (list_length(mine) + 1));
	foreach(lc, mine)
	{
		NamedPosition *entry = hash_search(by_name, &lfirst(lc), HASH_FIND, NULL);
		FeathubPosition *position = entry ? entry->position : NULL;

		if (position == NULL)
			ereport(ERROR,
					(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
					 errmsg("job \"%s\" has been changed by another session",
							pipeline->job->name)));
		stream->partitions[n].name = pstrdup(position->partition);
		stream->partitions[n].position = pstrdup(position->position);
		stream->partitions[n].mark = position->mark ? pstrdup(position->mark) : NULL;
		stream->partitions[n].lag = -1;
		pipeline->replay_until[n] = position->replay_until ?
			pstrdup(position->replay_until) : NULL;
		pipeline->last_record_at[n] = DT_NOBEGIN;
		n++;
	}
	stream->npartitions = n;
}

/* Tell the connector what is known of the worker's share. */
static void
know_positions(FeathubPipeline *pipeline)
{
	begin_source(pipeline);
	/* another worker may have begun: what it did is seen now */
	begin_transaction();
	FeathubPositionsEach(pipeline->job->job_id, note_position, pipeline);
	end_transaction();
	pipeline->knows_positions = true;
}

/*
 * Give the source its row.  Whoever makes it says where the partitions that
 * there are begin; those that come later are new.
 */
static void
begin_source(FeathubPipeline *pipeline)
{
	FeathubStream *stream = &pipeline->stream;
	const FeathubConnector *connector = pipeline->rel->connector;
	FeathubJob *job = pipeline->job;
	MemoryContext context = CurrentMemoryContext;
	FeathubPosition summary = {.partition = unconstify(char *, connector->summary_partition)};
	FeathubPosition chunk[CHUNK_POSITIONS];
	ListCell   *lc;
	int			n = 0;

	begin_transaction();
	MemoryContextSwitchTo(context);
	summary.position = connector->seek_position(stream, summary.partition, "earliest");
	if (FeathubPositionsBegin(job->job_id, job->epoch, &summary, 1) > 0 &&
		pg_strcasecmp(job->start, "earliest") != 0)
	{
		stream->list_all = true;
		foreach(lc, connector->list_partitions(stream))
		{
			CHECK_FOR_INTERRUPTS();
			if (strcmp(lfirst(lc), summary.partition) == 0)
				continue;
			chunk[n].partition = lfirst(lc);
			chunk[n].position = connector->seek_position(stream, lfirst(lc), job->start);
			chunk[n].mark = NULL;
			if (++n < CHUNK_POSITIONS)
				continue;
			FeathubPositionsFinish(job->job_id, job->epoch, chunk, n);
			n = 0;
		}
		FeathubPositionsFinish(job->job_id, job->epoch, chunk, n);
		stream->list_all = false;
	}
	end_transaction();
	MemoryContextSwitchTo(context);
}

/* A FeathubPositionCallback. */
static void
note_position(void *arg, const FeathubPosition *position, bool finished, bool missing)
{
	FeathubPipeline *pipeline = arg;
	const FeathubConnector *connector = pipeline->rel->connector;

	CHECK_FOR_INTERRUPTS();
	if (strcmp(position->partition, connector->summary_partition) != 0 &&
		partition_is_mine(position->partition))
		connector->know_position(&pipeline->stream, position->partition, position->position,
								 position->mark, finished, missing);
}

void
FeathubAssignForget(FeathubPipeline *pipeline, const FeathubWorkerSlot *slot)
{
	FeathubStream *stream = &pipeline->stream;
	const FeathubConnector *connector = pipeline->rel->connector;
	FeathubJob *job = pipeline->job;
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "feathub forget",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	TimestampTz now = FeathubClock();
	bool		more = connector->summary_partition != NULL && feathub_missing_file_retention >= 0;
	long		interval = Min(FORGET_INTERVAL, feathub_missing_file_retention * INT64CONST(1000));

	my_slot = slot;
	if (pipeline->forgot_at != 0 &&
		!TimestampDifferenceExceeds(pipeline->forgot_at, now, interval))
		more = false;
	else
		pipeline->forgot_at = now;
	while (more)
	{
		List	   *names = NIL;
		List	   *due;
		ListCell   *lc;

		begin_transaction();
		MemoryContextSwitchTo(context);
		due = FeathubPositionsLongMissing(job->job_id, feathub_missing_file_retention,
										  CHUNK_POSITIONS);
		foreach(lc, due)
			if (partition_is_mine(lfirst(lc)) && connector->forget_partition(stream, lfirst(lc)))
				names = lappend(names, lfirst(lc));
		if (names != NIL)
			FeathubPositionsForget(job->job_id, job->epoch, names);
		end_transaction();
		if (names != NIL)
			ereport(LOG,
					(errmsg("job \"%s\" has forgotten %d partitions that have been missing for long",
							job->name, list_length(names))));
		more = names != NIL && list_length(due) == CHUNK_POSITIONS;
		MemoryContextReset(context);
	}
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
}

/* What the sinks know of our partitions, those that keep positions. */
static void
ask_sinks(FeathubPipeline *pipeline)
{
	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
	MemoryContextSwitchTo(pipeline->share_context);
	for (int i = 0; i < pipeline->nsinks; i++)
		pipeline->sinks[i].state = FeathubForeignSinkOpen(pipeline->job, pipeline->sinks[i].relid,
														  my_slot->worker, &pipeline->stream,
														  pipeline->replay_until);
	PopActiveSnapshot();
	CommitTransactionCommand();
}

/*
 * Partitions are dealt out by the number at the end of their name, so that a
 * new one changes nobody else's share.
 */
static bool
partition_is_mine(const char *name)
{
	size_t		len = strlen(name);
	size_t		digits = strspn(strrchr(name, '-') ? strrchr(name, '-') + 1 : "", "0123456789");
	uint32		number = hash_bytes((const unsigned char *) name, len - digits);

	if (digits > 0)
		number += (uint32) strtoul(name + len - digits, NULL, 10);
	return number % my_slot->workers == my_slot->worker;
}
