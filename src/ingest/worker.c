/*
 * worker.c
 *		A worker: runs its share of a job's partitions.
 *
 *	 attach -> open pipeline -> positions -> [ poll -> apply -> report ]* -> end
 *
 * It is connected as the job's owner.  No transaction is open while it waits
 * for records.  It ends when its job is dropped, paused or given a new epoch:
 * the scheduler terminates it, and if it meets the change first, its positions
 * no longer match.  An error ends it too; what it said goes into its slot, and
 * the scheduler starts another after a pause.  An error that a new try cannot
 * mend (on_error 'stop', a spent budget, a topic made again) sets the job to
 * 'failed'.
 *
 * Batches: a worker that is behind fills its batch up to feathub.batch_rows; one
 * that has caught up commits what came within feathub.batch_interval.
 */
#include "postgres.h"

#include "access/xact.h"
#include "common/pg_prng.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "tcop/tcopprot.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "core/catalog.h"
#include "core/clock.h"
#include "core/compat.h"
#include "core/guc.h"
#include "core/position.h"
#include "core/role.h"
#include "ingest/apply.h"
#include "ingest/assignment.h"
#include "ingest/launcher.h"
#include "ingest/maintenance.h"
#include "ingest/registry_shmem.h"

/* A worker that is behind waits this long at most to fill its batch. */
#define CATCH_UP_INTERVAL 250	/* ms */
/* A job is behind if this part of a full batch waits in its source. */
#define CATCH_UP_PART 10

static FeathubWorkerSlot *my_slot = NULL;	/* set by attach */
static bool connected = false;	/* as the owner */
static bool job_changed = false;	/* the epoch is no longer ours: no failure */

static void attach(int index, uint32 generation);
static void detach(int code, Datum arg);
static void override_settings(void);
static FeathubJob *load_job(MemoryContext context, bool check);
static void run_job(FeathubJob *job);
static void follow(FeathubPipeline *pipeline);
static void release_records(FeathubPipeline *pipeline);
static void stop_if_asked(FeathubJob *job);
static int	collect_batch(FeathubPipeline *pipeline, FeathubRecord *records, int max);
static void report_batch(FeathubPipeline *pipeline, FeathubRecord *records, int n);
static void report_partitions(FeathubPipeline *pipeline);
static void check_budget(FeathubPipeline *pipeline);
static void note_error(ErrorData *edata);
static void fail_job(FeathubJob *job, const char *reason);

void
FeathubWorkerMain(Datum arg)
{
	uint32		generation;
	Oid			database;
	Oid			owner;
	MemoryContext context;
	FeathubJob *volatile job = NULL;	/* set below PG_TRY, read in PG_CATCH */

	memcpy(&generation, MyBgworkerEntry->bgw_extra, sizeof(generation));
	FeathubProcessSetup();
	before_shmem_exit(detach, 0);
	attach(DatumGetInt32(arg), generation);
	database = my_slot->database;
	owner = my_slot->owner;

	BackgroundWorkerInitializeConnectionByOid(database, owner, FEATHUB_WORKER_CONNECT_FLAGS);
	connected = true;
	override_settings();
	pgstat_report_appname("feathub worker");
	context = AllocSetContextCreate(TopMemoryContext, "feathub worker", ALLOCSET_DEFAULT_SIZES);

	PG_TRY();
	{
		MemoryContextSwitchTo(context);
		if (my_slot->job_id < 0)
		{
			/* no job at all: an external group is due (core/schedule.h) */
			FeathubMaintenanceRefresh((Oid) -my_slot->job_id);
			proc_exit(0);
		}
		job = load_job(context, true);
		if (job == NULL)
			proc_exit(0);
		ereport(LOG, (errmsg("feathub worker %d of job \"%s\" started",
							 my_slot->worker, job->name)));
		run_job(job);
	}
	PG_CATCH();
	{
		ErrorData  *edata;
		bool		moved;

		HOLD_INTERRUPTS();
		MemoryContextSwitchTo(TopMemoryContext);
		edata = CopyErrorData();
		moved = edata->sqlerrcode == ERRCODE_T_R_SERIALIZATION_FAILURE;
		if (edata->sqlerrcode == ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE)
			FeathubApplyFailed = true;
		if (!moved)
			EmitErrorReport();
		FlushErrorState();
		AbortOutOfAnyTransaction();
		/* our positions were moved by another?  That is no failure */
		job_changed = moved && load_job(TopMemoryContext, false) == NULL;
		if (moved)
			ereport(LOG, (errmsg("feathub worker %d stopped: %s",
								 my_slot->worker, edata->message)));
		if (!job_changed)
			note_error(edata);
		if (FeathubApplyFailed && job)
			fail_job(job, edata->message);
		RESUME_INTERRUPTS();
		proc_exit(1);
	}
	PG_END_TRY();
	proc_exit(0);
}

/* Take the slot that the scheduler made for this process. */
static void
attach(int index, uint32 generation)
{
	FeathubWorkerSlot *slot = &FeathubTheRegistry->workers[index];
	bool		mine;

	LWLockAcquire(FeathubTheRegistry->lock, LW_EXCLUSIVE);
	mine = slot->state == FEATHUB_SLOT_STARTING && slot->generation == generation &&
		!FeathubRegistryIsBlocked(slot->database);
	if (mine)
	{
		slot->pid = MyProcPid;
		slot->latch = MyLatch;
		slot->state = FEATHUB_SLOT_RUNNING;
		slot->waiting = false;
		my_slot = slot;
	}
	else if (slot->state == FEATHUB_SLOT_STARTING && slot->generation == generation)
		slot->state = FEATHUB_SLOT_FREE;
	LWLockRelease(FeathubTheRegistry->lock);
	if (!mine)
		proc_exit(0);			/* the scheduler has changed its mind */
}

/* Leave the slot: free after a good end, else waiting for the next try. */
static void
detach(int code, Datum arg)
{
	TimestampTz now = FeathubClock();

	if (my_slot == NULL)
		return;
	LWLockAcquire(FeathubTheRegistry->lock, LW_EXCLUSIVE);
	my_slot->pid = 0;
	my_slot->latch = NULL;
	if (code != 0 && !connected)
	{
		my_slot->failures++;
		my_slot->last_error_at = now;
		strlcpy(my_slot->last_error,
				"could not connect as the owner of the job: it needs LOGIN and CONNECT; see the server log",
				FEATHUB_ERROR_SIZE);
	}
	if (code == 0 && !my_slot->stop)
		my_slot->state = FEATHUB_SLOT_FREE;
	else
	{
		/*
		 * A signal or a changed epoch is no failure, but must not spin either,
		 * and who asked us to stop may not have committed yet.
		 */
		int64		delay = my_slot->stop ? feathub_retry_delay : feathub_retry_delay / 10;

		if (my_slot->failures > 0 && !job_changed)
		{
			delay = (int64) feathub_retry_delay << Min(my_slot->failures - 1, 16);
			delay = Min(delay, feathub_retry_delay_max);
			delay = delay / 2 + pg_prng_uint64_range(&pg_global_prng_state, 0, delay / 2 + 1);
		}
		my_slot->state = FEATHUB_SLOT_BACKOFF;
		my_slot->retry_at = TimestampTzPlusMilliseconds(now, delay);
	}
	LWLockRelease(FeathubTheRegistry->lock);
	FeathubRegistryWake(my_slot->database);
	my_slot = NULL;
}

/* Keep an error for job_status. */
static void
note_error(ErrorData *edata)
{
	int			len;

	if (my_slot == NULL)
		return;
	LWLockAcquire(FeathubTheRegistry->lock, LW_EXCLUSIVE);
	my_slot->failures++;
	my_slot->last_error_at = GetCurrentTimestamp();
	len = pg_mbcliplen(edata->message, strlen(edata->message), FEATHUB_ERROR_SIZE - 1);
	memcpy(my_slot->last_error, edata->message, len);
	my_slot->last_error[len] = '\0';
	LWLockRelease(FeathubTheRegistry->lock);
}

/*
 * What the owner's or the database's settings may bring must not change what a
 * job does or break it.
 */
static void
override_settings(void)
{
	static const char *const settings[][2] = {
		{"search_path", ""},
		{"statement_timeout", "0"},
		{"lock_timeout", "0"},
		{"idle_in_transaction_session_timeout", "0"},
		{"idle_session_timeout", "0"},
		{"default_transaction_isolation", "read committed"},
		{"default_transaction_read_only", "off"},
		{"default_transaction_deferrable", "off"},
		{"session_replication_role", "origin"},
		{"role", "none"},
		{"transaction_timeout", "0"}	/* since 17 */
	};

	for (int i = 0; i < lengthof(settings); i++)
		if (GetConfigOption(settings[i][0], true, false) != NULL)
			SetConfigOption(settings[i][0], settings[i][1], PGC_SUSET, PGC_S_OVERRIDE);
	for (int i = 0; FeathubJobSettings[i][0]; i++)
		SetConfigOption(FeathubJobSettings[i][0], FeathubJobSettings[i][1], PGC_SUSET,
						PGC_S_OVERRIDE);
}

/*
 * The job as it stands; NULL if it is not ours to run any more.  With check, an
 * error if it cannot run.
 */
static FeathubJob *
load_job(MemoryContext context, bool check)
{
	FeathubJob *job = NULL;
	MemoryContext old;

	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
	if (FeathubExtensionLock())
	{
		old = MemoryContextSwitchTo(context);
		job = FeathubJobLoad(my_slot->job_id);
		MemoryContextSwitchTo(old);
		if (job && (job->epoch != my_slot->epoch || !job->is_local ||
					strcmp(job->state, "running") != 0))
			job = NULL;
		if (job && check)
			FeathubJobCheckRunnable(job);
	}
	PopActiveSnapshot();
	CommitTransactionCommand();
	return job;
}

/* Open the pipeline, follow the source, and again when something is altered. */
static void
run_job(FeathubJob *job)
{
	MemoryContext context = CurrentMemoryContext;

	for (;;)
	{
		FeathubPipeline *pipeline;

		SetCurrentStatementStartTimestamp();
		StartTransactionCommand();
		PushActiveSnapshot(GetTransactionSnapshot());
		if (!FeathubExtensionLock())
			proc_exit(0);
		MemoryContextSwitchTo(context);
		pipeline = FeathubPipelineOpen(job);
		MemoryContextSwitchTo(pipeline->context);
		pipeline->rel->connector->open_stream(&pipeline->stream);
		PopActiveSnapshot();
		CommitTransactionCommand();
		MemoryContextSwitchTo(pipeline->context);
		follow(pipeline);
		MemoryContextSwitchTo(context);
		FeathubPipelineClose(pipeline);
	}
}

/* Run until the pipeline has to be opened again. */
static void
follow(FeathubPipeline *pipeline)
{
	FeathubStream *stream = &pipeline->stream;
	const FeathubConnector *connector = pipeline->rel->connector;
	TimestampTz next_look = 0;
	FeathubRecord *records = NULL;
	int			max = 0;

	while (!FeathubPipelineIsStale(pipeline))
	{
		TimestampTz now = FeathubClock();
		bool		following;
		int			n;

		stop_if_asked(pipeline->job);
		if (now >= next_look || stream->partitions_changed)
		{
			/* a transaction's start takes in what others have altered */
			StartTransactionCommand();
			CommitTransactionCommand();
			if (FeathubPipelineIsStale(pipeline))
				break;
			following = FeathubAssignPartitions(pipeline, my_slot);
			FeathubAssignForget(pipeline, my_slot);
			if (!following)
			{
				/* nothing is ours: another worker has it all, or none is there */
				pgstat_report_activity(STATE_IDLE, NULL);
				FeathubProcessWait(feathub_source_interval,
								   FEATHUB_WAIT_EVENT("FeathubWorkerIdle"));
				continue;
			}
			report_partitions(pipeline);
			next_look = TimestampTzPlusMilliseconds(now, feathub_source_interval);
			if (my_slot->worker == 0)
				FeathubMaintenanceRun(pipeline);
		}
		if (max != feathub_batch_rows)
		{
			if (records)
				pfree(records);
			max = feathub_batch_rows;
			records = MemoryContextAllocHuge(pipeline->context,
											 sizeof(FeathubRecord) * (Size) max);
		}
		n = collect_batch(pipeline, records, max);
		for (int i = 0; n == 0 && i < stream->npartitions; i++)
			if (stream->partitions[i].next_position)
				n = -1;			/* no records, but a gap to step over */
		if (n != 0)
		{
			report_batch(pipeline, records, Max(n, 0));
			if (FeathubApplyBatch(pipeline, records, Max(n, 0)) < 0)
			{
				release_records(pipeline);
				break;
			}
			check_budget(pipeline);
			report_partitions(pipeline);
			release_records(pipeline);
			connector->commit_positions(stream);
			MemoryContextReset(pipeline->batch_context);
			LWLockAcquire(FeathubTheRegistry->lock, LW_EXCLUSIVE);
			my_slot->last_commit_at = GetCurrentTimestamp();
			my_slot->failures = 0;
			LWLockRelease(FeathubTheRegistry->lock);
			pgstat_report_stat(false);
			pgstat_report_activity(STATE_IDLE, NULL);
		}
	}
}

/* The records handed out are done with, and so are the positions behind them. */
static void
release_records(FeathubPipeline *pipeline)
{
	FeathubStream *stream = &pipeline->stream;

	pipeline->rel->connector->release_records(stream);
	for (int i = 0; i < stream->npartitions; i++)
		stream->partitions[i].next_position = stream->partitions[i].next_mark = NULL;
}

/* The scheduler wants this worker to end: the job has been changed. */
static void
stop_if_asked(FeathubJob *job)
{
	if (!my_slot->stop)
		return;
	ereport(LOG,
			(errmsg("feathub worker %d of job \"%s\" stopped", my_slot->worker, job->name)));
	proc_exit(0);
}

/* Records behind the positions, as far as the client knows. */
static int64
total_lag(FeathubPipeline *pipeline)
{
	FeathubStream *stream = &pipeline->stream;
	int64		lag = 0;

	pipeline->rel->connector->partition_status(stream);
	for (int i = 0; i < stream->npartitions; i++)
		lag += Max(stream->partitions[i].lag, 0);
	return lag;
}

/* Poll until the batch is full or has waited long enough. */
static int
collect_batch(FeathubPipeline *pipeline, FeathubRecord *records, int max)
{
	FeathubStream *stream = &pipeline->stream;
	const FeathubConnector *connector = pipeline->rel->connector;
	Size		room = (Size) feathub_batch_memory * 1024;
	TimestampTz first = 0;
	int			n = 0;
	int			counted = 0;

	while (n < max && room > 0)
	{
		long		wait = 1000;
		int			got;

		if (n > 0)
		{
			long		passed = TimestampDifferenceMilliseconds(first, FeathubClock());
			bool		behind = total_lag(pipeline) - n > feathub_batch_rows / CATCH_UP_PART;

			wait = (behind ? CATCH_UP_INTERVAL : feathub_batch_interval) - passed;
			if (wait <= 0)
				break;
		}
		got = connector->poll(stream, records + n, max - n, room, wait);
		if (got > 0 && n == 0)
			first = FeathubClock();
		n += got;
		for (; counted < n; counted++)
		{
			Size		size = records[counted].key_len + records[counted].value_len + 100;

			room = room > size ? room - size : 0;
		}
		if (got == 0)
		{
			ResetLatch(MyLatch);
			CHECK_FOR_INTERRUPTS();
			if (ConfigReloadPending)
			{
				ConfigReloadPending = false;
				ProcessConfigFile(PGC_SIGHUP);
			}
			/* the next partitions may have more */
			if (n == 0 || stream->partitions_changed)
				break;
		}
		CHECK_FOR_INTERRUPTS();
	}
	return n;
}

/* pg_stat_activity: what is being applied. */
static void
report_batch(FeathubPipeline *pipeline, FeathubRecord *records, int n)
{
	char		activity[256];

	snprintf(activity, sizeof(activity), "feathub job %s: %d records", pipeline->job->name, n);
	if (n > 0)
	{
		size_t		len = strlen(activity);

		snprintf(activity + len, sizeof(activity) - len, ", %s up to " INT64_FORMAT,
				 pipeline->stream.partitions[records[n - 1].partition].name,
				 records[n - 1].sequence);
	}
	pgstat_report_activity(STATE_RUNNING, activity);
	for (int i = 0; i < n; i++)
		pipeline->last_record_at[records[i].partition] = records[i].timestamp;
}

/* Tell the views what the client knows of the partitions. */
static void
report_partitions(FeathubPipeline *pipeline)
{
	FeathubStream *stream = &pipeline->stream;

	pipeline->rel->connector->partition_status(stream);
	for (int i = 0; i < stream->npartitions; i++)
		FeathubRegistryNotePartition(my_slot, stream->partitions[i].name,
									 stream->partitions[i].end_position,
									 stream->partitions[i].lag, pipeline->last_record_at[i]);
}

/* A job whose dead letters have used up its budget stops. */
static void
check_budget(FeathubPipeline *pipeline)
{
	FeathubJob *job = pipeline->job;

	if (job->max_dead_letters < 0 || !FeathubApplyDeadLetters)
		return;
	FeathubApplyDeadLetters = false;
	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
	if (FeathubExtensionLock() &&
		FeathubDeadLettersUsed(job->job_id) > job->max_dead_letters)
	{
		FeathubApplyFailed = true;
		ereport(ERROR,
				(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
				 errmsg("job \"%s\" has more than %d dead letters", job->name,
						job->max_dead_letters),
				 errhint("Look at feathub.dead_letter, mend the cause and call feathub.resume_job.")));
	}
	PopActiveSnapshot();
	CommitTransactionCommand();
}

/* Mark the job as failed, unless somebody has changed it meanwhile. */
static void
fail_job(FeathubJob *job, const char *reason)
{
	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
	if (FeathubExtensionLock())
		FeathubJobSetState(job->job_id, job->epoch, "failed", reason);
	PopActiveSnapshot();
	CommitTransactionCommand();
}
