/*
 * file_parallel.c
 *		SELECT on files by several processes; file_scan.h says how they share
 *		the work.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/memutils.h"

#include "connectors/filesystem/file_scan.h"
#include "core/compat.h"

static int	tranche_id = 0;

static void agree_on_size(FileReader *reader, FileShared *shared, int64 file);
static void ensure_list(FileScanState *state);
static bool next_name(FileScanState *state, FileShared *shared);
static bool start_range(FileScanState *state, int64 range, int64 ticket, int64 file);
static void pass_ticket(FileScanState *state, int64 ticket, int64 file, bool is_first,
						const FileFrameCount *count, bool ends_line, bool *in_quotes,
						bool *at_start, int64 *lines);
static void list_name(uint32 generation, char *name);

Size
FeathubFileParallelSize(FeathubScan *scan, ParallelContext *pcxt)
{
	return sizeof(FileShared);
}

void
FeathubFileBeginParallel(FeathubScan *scan, ParallelContext *pcxt, void *area)
{
	FileScanState *state = scan->state;
	FileShared *shared = area;

	memset(shared, 0, sizeof(FileShared));
	SharedFileSetInit(&shared->fileset, pcxt->seg);
	if (tranche_id == 0)
		tranche_id = LWLockNewTrancheId();
	LWLockRegisterTranche(tranche_id, "feathub_files");
	LWLockInitialize(&shared->lock, tranche_id);
	ConditionVariableInit(&shared->changed);
	pg_atomic_init_u64(&shared->rejected, 0);
	for (int i = 0; i < lengthof(shared->counts); i++)
		pg_atomic_init_u64(&shared->counts[i], 0);
	state->shared = shared;
	state->is_leader = true;
	state->reader->all_rejected = &shared->rejected;
}

void
FeathubFileRescanParallel(FeathubScan *scan, void *area)
{
	FileScanState *state = scan->state;
	FileShared *shared = area;

	if (state->names)
		BufFileClose(state->names);
	state->names = NULL;
	state->shared = shared;
	state->reader->all_rejected = &shared->rejected;
	shared->list_state = FILE_LIST_NONE;
	shared->generation++;
	shared->file = 0;
	shared->has_file = false;
	shared->next = 0;
	shared->tickets = shared->passed = shared->passed_file = 0;
	pg_atomic_write_u64(&shared->rejected, 0);
}

void
FeathubFileJoinParallel(FeathubScan *scan, void *area)
{
	FileScanState *state = scan->state;
	FileShared *shared = area;

	LWLockRegisterTranche(shared->lock.tranche, "feathub_files");
	state->shared = shared;
	state->reader->all_rejected = &shared->rejected;
}

/* FeathubConnector.shutdown_scan: keep the sums before the memory goes. */
void
FeathubFileShutdownScan(FeathubScan *scan)
{
	FileScanState *state = scan->state;
	FileShared *shared = state->shared;
	int64	   *total = (int64 *) &state->total;

	if (shared == NULL)
		return;
	FeathubFileRowsClose(state->reader);
	FeathubFileParallelCount(state);
	if (state->is_leader)
	{
		for (int i = 0; i < lengthof(shared->counts); i++)
			total[i] = pg_atomic_read_u64(&shared->counts[i]);
		state->skipped = shared->skipped;
		state->has_total = true;
	}
	if (state->names)
		BufFileClose(state->names);
	state->names = NULL;
	state->shared = NULL;
	state->reader->all_rejected = NULL;
	state->done = true;
}

/* Add what the reader has counted since the last time. */
void
FeathubFileParallelCount(FileScanState *state)
{
	const int64 *counts = (const int64 *) &state->reader->counts;
	int64	   *added = (int64 *) &state->added;

	for (int i = 0; i < lengthof(state->shared->counts); i++)
	{
		pg_atomic_fetch_add_u64(&state->shared->counts[i], counts[i] - added[i]);
		added[i] = counts[i];
	}
}

bool
FeathubFileParallelNext(FileScanState *state)
{
	FileShared *shared = state->shared;
	FileReader *reader = state->reader;

	FeathubFileParallelCount(state);
	ensure_list(state);
	for (;;)
	{
		char		name[MAXPGPATH];
		int64		file;
		int64		next;
		int64		ticket;
		bool		over;

		CHECK_FOR_INTERRUPTS();
		LWLockAcquire(&shared->lock, LW_EXCLUSIVE);
		if (!shared->has_file && !next_name(state, shared))
		{
			LWLockRelease(&shared->lock);
			FeathubFileRowsClose(reader);
			return false;
		}
		file = shared->file;
		next = shared->next++;
		ticket = shared->tickets++;
		strlcpy(name, shared->name, sizeof(name));
		LWLockRelease(&shared->lock);

		if (state->file != file || reader->full_name == NULL)
		{
			FeathubFileRowsOpen(reader, name);
			state->file = file;
			agree_on_size(reader, shared, file);
		}
		if (next == 0)
			reader->counts.files++;
		if (FeathubFileRowsIsSplittable(reader))
		{
			over = next * FILE_RANGE_SIZE >= reader->source->stat.st_size;
			if (start_range(state, next, ticket, file))
				return true;
		}
		else
		{
			/* others wait for the numbers, not for this file */
			FileFrameCount none = {0};
			bool		ignored;
			int64		lines;

			pass_ticket(state, ticket, file, true, &none, true, &ignored, &ignored, &lines);
			if (reader->container == NULL)
			{
				over = next > 0;
				if (!over)
				{
					/* the file is one process's: let the others go on */
					LWLockAcquire(&shared->lock, LW_EXCLUSIVE);
					if (shared->file == file)
						shared->has_file = false;
					LWLockRelease(&shared->lock);
					FeathubFileRowsStart(reader);
					return true;
				}
			}
			else
			{
				over = next >= FeathubFileRowsUnits(reader);
				if (!over && FeathubFileRowsStartUnit(reader, (int) next))
					return true;
			}
		}
		if (over)
		{
			LWLockAcquire(&shared->lock, LW_EXCLUSIVE);
			if (shared->file == file)
				shared->has_file = false;
			LWLockRelease(&shared->lock);
		}
	}
}

/*
 * A file that grows meanwhile ends for all where it did for who opened it
 * first: ranges must meet.
 */
static void
agree_on_size(FileReader *reader, FileShared *shared, int64 file)
{
	LWLockAcquire(&shared->lock, LW_EXCLUSIVE);
	if (shared->file == file)
	{
		if (shared->size < 0)
			shared->size = reader->source->stat.st_size;
		else if (reader->source->stat.st_size > shared->size)
			reader->source->stat.st_size = shared->size;
	}
	LWLockRelease(&shared->lock);
}

/* The list is made once, by whoever comes first. */
static void
ensure_list(FileScanState *state)
{
	FileShared *shared = state->shared;
	bool		mine = false;
	char		name[MAXPGPATH];
	MemoryContext old;

	if (state->names != NULL)
		return;
	old = MemoryContextSwitchTo(state->scan->context);
	list_name(shared->generation, name);

	ConditionVariablePrepareToSleep(&shared->changed);
	for (;;)
	{
		int			list_state;

		LWLockAcquire(&shared->lock, LW_EXCLUSIVE);
		list_state = shared->list_state;
		if (list_state == FILE_LIST_NONE)
		{
			shared->list_state = FILE_LIST_RUNNING;
			mine = true;
		}
		LWLockRelease(&shared->lock);
		if (mine || list_state == FILE_LIST_DONE)
			break;
		ConditionVariableSleep(&shared->changed, FEATHUB_WAIT_EVENT("FeathubFileList"));
	}
	ConditionVariableCancelSleep();

	if (mine)
	{
		BufFile    *names = BufFileCreateFileSet(&shared->fileset.fs, name);
		FileList   *list;
		const char *file;

		MemoryContextSwitchTo(state->list_context);
		list = FeathubFileListBegin(state->place, &state->restriction->hooks);
		while ((file = FeathubFileListNext(list)) != NULL)
		{
			uint32		len = strlen(file);

			if (len >= MAXPGPATH)
				ereport(ERROR,
						(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
						 errmsg("name of file \"%s\" is too long", file)));
			BufFileWrite(names, &len, sizeof(len));
			BufFileWrite(names, (void *) file, len);
		}
		shared->skipped += FeathubFileListSkipped(list);
		FeathubFileListEnd(list);
		MemoryContextSwitchTo(state->scan->context);
		BufFileExportFileSet(names);
		BufFileClose(names);
		shared->list_file = 0;
		shared->list_offset = 0;
		LWLockAcquire(&shared->lock, LW_EXCLUSIVE);
		shared->list_state = FILE_LIST_DONE;
		LWLockRelease(&shared->lock);
		ConditionVariableBroadcast(&shared->changed);
	}
	state->names = BufFileOpenFileSet(&shared->fileset.fs, name, O_RDONLY, false);
	MemoryContextSwitchTo(old);
}

/* Under the lock: make the next file of the list the current one. */
static bool
next_name(FileScanState *state, FileShared *shared)
{
	uint32		len;
	size_t		n;

	if (BufFileSeek(state->names, shared->list_file, shared->list_offset, SEEK_SET) != 0)
		elog(ERROR, "could not seek in the list of files");
	n = feathub_buffile_read_maybe_eof(state->names, &len, sizeof(len));
	if (n == 0)
		return false;
	if (n != sizeof(len) || len >= MAXPGPATH ||
		feathub_buffile_read_maybe_eof(state->names, shared->name, len) != len)
		elog(ERROR, "could not read the list of files");
	shared->name[len] = '\0';
	BufFileTell(state->names, &shared->list_file, &shared->list_offset);
	shared->file++;
	shared->size = -1;
	shared->next = 0;
	shared->has_file = true;
	return true;
}

/*
 * Read a range, count in it, and find its first record.  False if there is
 * none; the number is passed on in any case.
 */
static bool
start_range(FileScanState *state, int64 range, int64 ticket, int64 file)
{
	FileReader *reader = state->reader;
	FileLines  *lines = &reader->lines;
	int64		offset = range * FILE_RANGE_SIZE;
	int64		size = reader->source->stat.st_size;
	Size		len = offset >= size ? 0 : Min(FILE_RANGE_SIZE, size - offset);
	FileFrameCount count = {0};
	bool		ends_line = false;
	bool		in_quotes;
	bool		at_start;
	int64		line;

	/* the file ends where it did when it was opened */
	FeathubFileLinesLoad(lines, reader->source, offset, len);
	FeathubFrameCount(&lines->framing, lines->buffer, lines->end, &count);
	if (lines->end > 0)
		ends_line = lines->buffer[lines->end - 1] == '\n';
	pass_ticket(state, ticket, file, range == 0, &count, ends_line,
				&in_quotes, &at_start, &line);
	if (lines->end == 0)
		return false;
	FeathubFileLinesRange(lines, in_quotes, at_start, line + 1);
	if (range == 0)
		FeathubFileRowsSkipHeader(reader);
	return true;
}

/* Wait for the range before, take its sums and add our own. */
static void
pass_ticket(FileScanState *state, int64 ticket, int64 file, bool is_first,
			const FileFrameCount *count, bool ends_line, bool *in_quotes,
			bool *at_start, int64 *lines)
{
	FileShared *shared = state->shared;
	bool		mine = false;

	ConditionVariablePrepareToSleep(&shared->changed);
	for (;;)
	{
		LWLockAcquire(&shared->lock, LW_EXCLUSIVE);
		mine = shared->passed == ticket;
		if (mine)
		{
			if (is_first || shared->passed_file != file)
			{
				shared->in_quotes = false;
				shared->at_start = true;
				shared->lines = 0;
			}
			*in_quotes = shared->in_quotes;
			*at_start = shared->at_start && !shared->in_quotes;
			*lines = shared->lines;
			shared->in_quotes ^= count->quotes_odd;
			shared->at_start = ends_line && !shared->in_quotes;
			shared->lines += count->lines;
			shared->passed_file = file;
			shared->passed = ticket + 1;
		}
		LWLockRelease(&shared->lock);
		if (mine)
			break;
		ConditionVariableSleep(&shared->changed, FEATHUB_WAIT_EVENT("FeathubFileRange"));
	}
	ConditionVariableCancelSleep();
	ConditionVariableBroadcast(&shared->changed);
}

static void
list_name(uint32 generation, char *name)
{
	snprintf(name, MAXPGPATH, "feathub.%u", generation);
}
