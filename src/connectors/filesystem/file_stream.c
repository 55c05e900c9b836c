/*
 * file_stream.c
 *		Following files: the streaming callbacks.
 *
 * Each file is a partition.  Its name is the file's identity, the time it was
 * made and its inode, so that a file that is renamed goes on where it stood.
 * Partition "files" stands for the folder: it never moves, and being there says
 * that files that turn up now are new.
 *
 * A position is the byte behind the last line that was taken.  Lines are taken
 * when they are whole: the last one waits for its line feed.  Compressed files
 * are read once, to their end, so they have to be complete when they get their
 * names; their positions count uncompressed bytes.  Files of formats that are
 * whole files (parquet, avro) are read in the same way, row by row: their positions
 * count rows.
 *
 * A file that became shorter than its position, or begins with other bytes than
 * it did, was written anew: an error, or with skip_gaps it is read again from
 * its begin, as the next "life" of the file, whose number is in the upper bits
 * of its positions, so that they grow.
 *
 * The mark is "position:line:length:hash": the line of the position, and the
 * hash of the first bytes, by which a file written anew is recognised.  Behind
 * it, of a whole file, ":unit:rows" say where its units have been left.  The line
 * of a file that has been read as a whole is its size then.
 *
 * Folders are looked through when the worker asks for the partitions; files that
 * have been read from a moment ago are looked at in between, and kept open, so
 * that what is written until a file is removed or leaves the folder is read.
 * Where the operating system tells of changes in folders (inotify; not of those
 * that other machines make) it all happens at once.
 */
#include "postgres.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "access/xact.h"
#include "miscadmin.h"
#include "storage/latch.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"

#include "connectors/filesystem/file_stream.h"
#include "core/clock.h"
#include "core/compat.h"

/* How long news of folders are gathered, in ms. */
#define GATHER_INTERVAL	5

/* ms in which other files are read when one cannot be. */
#define FAILURE_DELAY	10000

/* ms between two looks at open files. */
#define LOOK_INTERVAL	100

static int64 whole_lines_end(FileStream *state, StreamFile *file);
static void look_at_open(FileStream *state);
static void make_files(FileStream *state);
static void publish_positions(FeathubStream *stream);

void
FeathubFileOpenStream(FeathubStream *stream)
{
	MemoryContext old = MemoryContextSwitchTo(stream->context);
	FeathubRelation *rel = stream->rel;
	FileStream *state = palloc0(sizeof(FileStream));

	state->stream = stream;
	state->place = FeathubFilePlaceOf(rel, false);
	state->reader = FeathubFileRowsBegin(rel, state->place, NULL);
	state->container = rel->format->container;
	if (state->container == NULL)
	{
		FeathubFileRowsPrepareHeader(state->reader);
		FeathubFileFramingOf(rel, &state->framing);
	}
	state->values = palloc0(sizeof(Datum) * Max(rel->tupdesc->natts, 1));
	state->isnull = palloc(Max(rel->tupdesc->natts, 1));
	state->files_context = AllocSetContextCreate(stream->context, "feathub followed files",
												 ALLOCSET_DEFAULT_SIZES);
	state->parts_context = AllocSetContextCreate(stream->context, "feathub file partitions",
												 ALLOCSET_DEFAULT_SIZES);
	make_files(state);
	state->record_context = AllocSetContextCreate(stream->context, "feathub file records",
												  ALLOCSET_DEFAULT_SIZES);
	state->packed_context = AllocSetContextCreate(stream->context, "feathub compressed file",
												  ALLOCSET_DEFAULT_SIZES);
	FeathubFileWatchBegin(state);
	stream->state = state;
	MemoryContextSwitchTo(old);
}

/* An empty table of files. */
static void
make_files(FileStream *state)
{
	HASHCTL		control = {0};

	for (int i = 0; i < MAX_OPEN; i++)
		if (state->open[i])
			FeathubFileFollowClose(state, state->open[i]);
	MemoryContextReset(state->files_context);
	control.keysize = sizeof(FileIdentity);
	control.entrysize = sizeof(StreamFile);
	control.hcxt = state->files_context;
	state->files = hash_create("feathub files", 256, &control,
							   HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}

/* Partitions */

static int
compare_files(const ListCell *a, const ListCell *b)
{
	const StreamFile *x = lfirst(a);
	const StreamFile *y = lfirst(b);

	if (x->modified.tv_sec != y->modified.tv_sec)
		return x->modified.tv_sec < y->modified.tv_sec ? -1 : 1;
	if (x->modified.tv_nsec != y->modified.tv_nsec)
		return x->modified.tv_nsec < y->modified.tv_nsec ? -1 : 1;
	return strcmp(x->path, y->path);
}

List *
FeathubFileListPartitions(FeathubStream *stream)
{
	FileStream *state = stream->state;
	MemoryContext caller = CurrentMemoryContext;
	List	   *files = NIL;
	List	   *names = list_make1(pstrdup(FILE_FOLDER_PARTITION));
	bool		all = stream->read_metadata_only || stream->list_all;
	HASH_SEQ_STATUS status;
	StreamFile *file;
	ListCell   *lc;

	if (all != state->listed_all)
		make_files(state);
	state->listed_all = all;
	if (all)
	{
		hash_seq_init(&status, state->files);
		while ((file = hash_seq_search(&status)) != NULL)
			file->here = false;
		FeathubFileWatchListAll(state);
	}
	else
	{
		look_at_open(state);
		FeathubFileWatchUpdate(state);
	}
	MemoryContextSwitchTo(caller);
	hash_seq_init(&status, state->files);
	while ((file = hash_seq_search(&status)) != NULL)
		if (file->here || !all)
			files = lappend(files, file);
	list_sort(files, compare_files);
	foreach(lc, files)
		names = lappend(names, FeathubFileFollowName(&((StreamFile *) lfirst(lc))->identity));
	list_free(files);
	return names;
}

bool
FeathubFileFollowFind(FileStream *state, const char *path)
{
	FileIdentity identity;
	struct stat st;
	int			fd = FeathubFileOpen(state->place, path, O_RDONLY | O_NONBLOCK, 0);

	if (fd < 0)
	{
		if (errno == ENOENT)
			return false;
		FeathubFileError(state->place, path, "open file");
	}
	FeathubFileFollowStat(state, path, fd, &identity, &st);
	close(fd);
	if (!S_ISREG(st.st_mode))
		return false;
	(void) FeathubFileFollowEnter(state, path, &identity, st.st_size, st.st_mtim);
	return true;
}

bool
FeathubFileFollowIsAt(FileStream *state, const StreamFile *file)
{
	FileIdentity identity;
	struct stat st;
	int			fd = FeathubFileOpen(state->place, file->path, O_PATH, 0);

	if (fd < 0)
		return false;
	FeathubFileFollowStat(state, file->path, fd, &identity, &st);
	close(fd);
	return memcmp(&identity, &file->identity, sizeof(identity)) == 0;
}

void
FeathubFileFollowResize(StreamFile *file, int64 size, struct timespec modified)
{
	if (file->begun && size == file->size &&
		(modified.tv_sec != file->modified.tv_sec || modified.tv_nsec != file->modified.tv_nsec))
		file->doubtful = true;
	file->size = size;
	file->modified = modified;
}

/* "<born>-<inode>" */
char *
FeathubFileFollowName(const FileIdentity *identity)
{
	return psprintf("%llx-" UINT64_FORMAT, (unsigned long long) identity->born,
					identity->inode);
}

bool
FeathubFileFollowParseName(const char *name, FileIdentity *identity)
{
	unsigned long long born;

	memset(identity, 0, sizeof(FileIdentity));
	if (sscanf(name, "%llx-" UINT64_FORMAT, &born, &identity->inode) != 2)
		return false;
	identity->born = (int64) born;
	return true;
}

StreamFile *
FeathubFileFollowByName(FileStream *state, const char *name)
{
	FileIdentity identity;

	if (!FeathubFileFollowParseName(name, &identity))
		return NULL;
	return hash_search(state->files, &identity, HASH_FIND, NULL);
}

void
FeathubFileStartStream(FeathubStream *stream)
{
	FileStream *state = stream->state;
	HASH_SEQ_STATUS status;
	StreamFile *file;

	state->outstanding = false;
	MemoryContextReset(state->record_context);
	hash_seq_init(&status, state->files);
	while ((file = hash_seq_search(&status)) != NULL)
		file->index = -1;
	MemoryContextReset(state->parts_context);
	state->parts = MemoryContextAllocZero(state->parts_context,
										  sizeof(StreamFile *) * Max(stream->npartitions, 1));
	state->nparts = stream->npartitions;
	state->current = 0;
	for (int i = 0; i < stream->npartitions; i++)
	{
		FeathubStreamPartition *ours = &stream->partitions[i];

		if (strcmp(ours->name, FILE_FOLDER_PARTITION) != 0)
			file = FeathubFileFollowByName(state, ours->name);
		else
			file = NULL;
		state->parts[i] = file;
		if (ours->position == NULL)
			ours->position = FeathubFileSeekPosition(stream, ours->name,
													 stream->start ? stream->start : "earliest");
		if (file == NULL)
			continue;
		file->index = i;
		file->texts = MemoryContextAlloc(state->parts_context, sizeof(FileTexts));
		/* what has been read since is as far as the catalog is */
		if (!file->begun)
			FeathubFileFollowSetPosition(file, ours->position, ours->mark);
	}
}

void
FeathubFileFollowSetPosition(StreamFile *file, const char *position, const char *mark)
{
	int64		number = strtoll(position, NULL, 10);
	long long	at;
	long long	line;
	long long	unit;
	long long	unit_rows;
	int			len;
	int			n;
	unsigned long long hash;

	file->life = number >> LIFE_BITS;
	file->next = number & OFFSET_MASK;
	file->begun = true;
	/* it was, whatever its name is now */
	file->packed |= file->next == OFFSET_DONE;
	file->line = file->next == 0 && !file->packed ? 1 : 0;
	file->unit = file->unit_rows = 0;
	file->waiting = -1;
	file->hash_len = 0;
	file->dirty = false;
	/* the mark of another position is from before a rewind */
	if (mark == NULL ||
		(n = sscanf(mark, "%lld:%lld:%d:%llx:%lld:%lld", &at, &line, &len, &hash, &unit,
					&unit_rows)) < 4 || at != number)
		return;
	if (n == 6 && unit >= 0 && unit_rows >= 0 && unit_rows <= file->next)
	{
		file->unit = unit;
		file->unit_rows = unit_rows;
	}
	file->line = line;
	file->hash_len = Min(len, MARK_BYTES);
	file->hash = hash;
}

/* Positions */

char *
FeathubFileSeekPosition(FeathubStream *stream, const char *name, const char *target)
{
	FileStream *state = stream->state;
	StreamFile *file;
	TimestampTz time;
	int64		offset;

	if (strcmp(name, FILE_FOLDER_PARTITION) == 0)
		return pstrdup("0");
	file = FeathubFileFollowByName(state, name);
	if (file == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_FILE),
				 errmsg("foreign table \"%s\" has no file that is partition \"%s\"",
						stream->rel->relname, name)));
	if (pg_strcasecmp(target, "earliest") == 0)
		return pstrdup("0");
	if (pg_strcasecmp(target, "latest") == 0)
		return psprintf(INT64_FORMAT, whole_lines_end(state, file));
	if (target[0] != '\0' && strlen(target) <= 18 && target[strspn(target, "0123456789")] == '\0')
	{
		offset = strtoll(target, NULL, 10);
		if (offset > file->size && !file->packed)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("file \"%s\" has no byte " INT64_FORMAT,
							FeathubFileFullName(state->place, file->path), offset),
					 errdetail("It has " INT64_FORMAT " bytes.", file->size)));
		return psprintf(INT64_FORMAT, offset);
	}
	if (!isdigit((unsigned char) target[0]))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid position: \"%s\"", target),
				 errhint("Valid positions are \"earliest\", \"latest\", a byte at which a line begins, and a time like \"2013-06-01 12:00:00+00\".")));
	time = DatumGetTimestampTz(DirectFunctionCall3(timestamptz_in, CStringGetDatum(target),
												   ObjectIdGetDatum(InvalidOid),
												   Int32GetDatum(-1)));
	/* files that have been written since, each as a whole */
	if (time_t_to_timestamptz(file->modified.tv_sec) + file->modified.tv_nsec / 1000 >= time)
		return pstrdup("0");
	return psprintf(INT64_FORMAT, whole_lines_end(state, file));
}

/* Behind the last record of an open csv file, which may have line feeds in quotes. */
static int64
whole_records_end(FileStream *state, StreamFile *file, int fd)
{
	KnownFile  *known = hash_search(state->known, &file->identity, HASH_FIND, NULL);
	/* the job has come to the begin of a record: what is before it is no news */
	int64		end = known && known->size <= file->size ? Max(known->size, 0) : 0;
	int64		offset = end;
	char	   *buffer = palloc(CHUNK_SIZE);
	FileFrame	frame = {0};

	while (offset < file->size)
	{
		ssize_t		n = pread(fd, buffer, Min(file->size - offset, CHUNK_SIZE), offset);
		const char *p = buffer;
		const char *next;

		CHECK_FOR_INTERRUPTS();
		if (n < 0)
			FeathubFileError(state->place, file->path, "read file");
		if (n == 0)
			break;
		if (offset == 0 && n >= 3 && memcmp(p, "\xef\xbb\xbf", 3) == 0)
			p += 3;
		while (p < buffer + n &&
			   (next = FeathubFrameEnd(&state->framing, &frame, p, buffer + n)) != NULL)
		{
			memset(&frame, 0, sizeof(frame));
			p = next;
			end = offset + (p - buffer);
		}
		offset += n;
	}
	pfree(buffer);
	return end;
}

/* Behind the last whole record of a file. */
static int64
whole_lines_end(FileStream *state, StreamFile *file)
{
	int64		end = file->size;
	char	   *buffer;
	int			fd;

	if (file->packed)
		return OFFSET_DONE;
	fd = FeathubFileOpen(state->place, file->path, O_RDONLY | O_NONBLOCK, 0);
	if (fd < 0)
	{
		if (errno == ENOENT)
			return end;
		FeathubFileError(state->place, file->path, "open file");
	}
	if (state->framing.quoted)
	{
		end = whole_records_end(state, file, fd);
		close(fd);
		return end;
	}
	buffer = palloc(CHUNK_SIZE);
	while (end > 0)
	{
		int			len = Min(end, CHUNK_SIZE);
		ssize_t		n = pread(fd, buffer, len, end - len);

		if (n < len)
			break;
		while (len > 0 && buffer[len - 1] != '\n')
			len--;
		end -= n - len;
		if (len > 0)
			break;
	}
	pfree(buffer);
	close(fd);
	return end;
}

void
FeathubFilePartitionStatus(FeathubStream *stream)
{
	FileStream *state = stream->state;

	for (int i = 0; i < state->nparts; i++)
	{
		FeathubStreamPartition *ours = &stream->partitions[i];
		StreamFile *file = state->parts[i];
		int64		end;

		ours->end_position = NULL;
		ours->lag = -1;
		if (file == NULL)
		{
			/* what waits for its turn */
			ours->lag = state->queued_bytes;
			continue;
		}
		if (file->packed)
			end = OFFSET_DONE;
		else
			end = file->waiting == file->size ? file->next : Max(file->size, file->next);
		snprintf(file->texts->end_position, sizeof(file->texts->end_position), INT64_FORMAT,
				 (file->life << LIFE_BITS) + end);
		ours->end_position = file->texts->end_position;
		if (file->packed && file->next != OFFSET_DONE)
			continue;
		ours->lag = Max(end - (ours->position ? strtoll(ours->position, NULL, 10) & OFFSET_MASK : 0), 0);
	}
}

/* Reading */

bool
FeathubFileFollowHasMore(const StreamFile *file)
{
	if (file->lost || file->failed)
		return false;
	if (file->doubtful)
		return true;
	if (file->packed)
		return file->next == OFFSET_DONE ? file->line > 0 && file->size != file->line : file->size > 0;
	return file->size != file->next && file->size != file->waiting;
}

void
FeathubFileFollowNoteFailure(FileStream *state)
{
	ErrorData  *edata;

	MemoryContextSwitchTo(state->stream->context);
	edata = CopyErrorData();
	if (ERRCODE_TO_CATEGORY(edata->sqlerrcode) == ERRCODE_OPERATOR_INTERVENTION ||
		ERRCODE_TO_CATEGORY(edata->sqlerrcode) == ERRCODE_INSUFFICIENT_RESOURCES)
		PG_RE_THROW();
	FlushErrorState();
	if (state->failure == NULL)
	{
		state->failure = edata;
		state->failed_at = FeathubClock();
	}
	else
		FreeErrorData(edata);
}

/*
 * Hand out records of a file; false if there are none.  A file that cannot be
 * read does not keep the others from being read: what it has to say is said
 * when they have been.
 */
static bool
read_file(FeathubStream *stream, StreamFile *file, FilePoll *poll)
{
	FileStream *state = stream->state;
	MemoryContext caller = CurrentMemoryContext;
	volatile bool moved = false;

	PG_TRY();
	{
		moved = state->container ? FeathubFileFollowWhole(stream, file, poll) :
			file->packed ? FeathubFileFollowPacked(stream, file, poll) :
			FeathubFileFollowLines(stream, file, poll);
	}
	PG_CATCH();
	{
		FeathubFileFollowNoteFailure(state);
		/* rows of whole files are read in a transaction */
		AbortOutOfAnyTransaction();
		FeathubFileFollowClose(state, file);
		if (state->packed == file)
			state->packed = NULL;
		if (state->container != NULL)
			FeathubFileRowsClose(state->reader);
		state->whole = NULL;
		file->failed = true;
		moved = false;
	}
	PG_END_TRY();
	MemoryContextSwitchTo(caller);
	return moved;
}

int
FeathubFilePoll(FeathubStream *stream, FeathubRecord *records, int max,
				Size max_bytes, long timeout)
{
	FileStream *state = stream->state;
	FilePoll	poll = {.records = records,.max = max,.max_bytes = max_bytes};
	TimestampTz deadline = TimestampTzPlusMilliseconds(FeathubClock(), timeout);
	bool		moved = false;

	/* what was read of the others is applied first */
	if (state->failure != NULL && !state->outstanding &&
		TimestampDifferenceExceeds(state->failed_at, FeathubClock(), FAILURE_DELAY))
		ReThrowError(state->failure);
	for (;;)
	{
		long		wait;
		int			events;

		for (int tries = 0; tries < state->nparts; tries++)
		{
			StreamFile *file = state->parts[state->current];

			while (file != NULL && FeathubFileFollowHasMore(file) && poll.n < max &&
				   (poll.n == 0 || poll.bytes < max_bytes))
			{
				CHECK_FOR_INTERRUPTS();
				if (!read_file(stream, file, &poll))
					break;
				moved = true;
			}
			if (poll.n >= max || (poll.n > 0 && poll.bytes >= max_bytes))
				break;
			state->current = (state->current + 1) % state->nparts;
		}
		if (poll.n > 0 || moved || timeout <= 0)
			break;
		/* all that were to be read have been: the next ones */
		if (FeathubFileWatchAsksForList(state))
		{
			stream->partitions_changed = true;
			break;
		}
		if (state->failure != NULL && !state->outstanding)
			ReThrowError(state->failure);
		wait = Min(TimestampDifferenceMilliseconds(FeathubClock(), deadline), LOOK_INTERVAL);
		if (wait <= 0)
			break;
		events = WaitLatchOrSocket(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH |
								   (state->news ? WL_SOCKET_READABLE : 0),
								   state->news ? state->news->fd : PGINVALID_SOCKET, wait,
								   FEATHUB_WAIT_EVENT("FeathubFileStream"));
		/* whoever writes one line writes more */
		if (events & WL_SOCKET_READABLE)
		{
			events |= WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
								GATHER_INTERVAL, FEATHUB_WAIT_EVENT("FeathubFileStream"));
			FeathubFileWatchNews(state);
		}
		if (events & WL_LATCH_SET)
			break;
		look_at_open(state);
	}
	publish_positions(stream);
	state->outstanding |= poll.n > 0 || moved;
	return poll.n;
}

/* Look whether files that are open have grown. */
static void
look_at_open(FileStream *state)
{
	for (int i = 0; i < MAX_OPEN; i++)
	{
		StreamFile *file = state->open[i];
		struct stat st;

		if (file == NULL || fstat(file->open->fd, &st) != 0)
			continue;
		FeathubFileFollowResize(file, st.st_size, st.st_mtim);
		/* removed: its room is wanted */
		if (st.st_nlink == 0)
			file->here = false;
	}
}

/* Write the texts of positions that have moved. */
static void
publish_positions(FeathubStream *stream)
{
	FileStream *state = stream->state;

	for (int i = 0; i < state->nparts; i++)
	{
		StreamFile *file = state->parts[i];
		int64		position;
		int64		known;

		if (file == NULL || !file->dirty)
			continue;
		file->dirty = false;
		known = Min(file->packed ? file->size : file->next, MARK_BYTES);
		if (file->open && file->hash_len < known)
		{
			file->hash_len = (int) known;
			file->hash = FeathubFileFollowHash(state, file, file->hash_len);
		}
		position = (file->life << LIFE_BITS) + file->next;
		snprintf(file->texts->next_position, sizeof(file->texts->next_position), INT64_FORMAT, position);
		snprintf(file->texts->next_mark, sizeof(file->texts->next_mark), "%lld:%lld:%d:%llx",
				 (long long) position, (long long) file->line, file->hash_len,
				 (unsigned long long) file->hash);
		if (state->container != NULL)
		{
			int			len = strlen(file->texts->next_mark);

			snprintf(file->texts->next_mark + len, sizeof(file->texts->next_mark) - len, ":%lld:%lld",
					 (long long) file->unit, (long long) file->unit_rows);
		}
		stream->partitions[i].next_position = file->texts->next_position;
		stream->partitions[i].next_mark = file->texts->next_mark;
	}
}

void
FeathubFileReleaseRecords(FeathubStream *stream)
{
	FileStream *state = stream->state;

	state->outstanding = false;
	MemoryContextReset(state->record_context);
}

void
FeathubFileCommitPositions(FeathubStream *stream)
{
	/* files need not know who reads them */
}

void
FeathubFileCloseStream(FeathubStream *stream)
{
	FileStream *state = stream->state;

	if (state == NULL)
		return;
	for (int i = 0; i < MAX_OPEN; i++)
		if (state->open[i])
			FeathubFileFollowClose(state, state->open[i]);
	if (state->news)
		FeathubFileHandleClose(state->news);
	MemoryContextReset(state->packed_context);
	if (state->container != NULL)
		FeathubFileRowsClose(state->reader);
	stream->state = NULL;
}
