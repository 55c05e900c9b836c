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
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

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

/* The partition that stands for the folder. */
#define FOLDER_PARTITION	"files"

/* What news of folders are about, and how long they are gathered, in ms. */
#define FOLDER_EVENTS	(IN_CREATE | IN_MOVED_TO | IN_MODIFY | IN_CLOSE_WRITE | IN_ONLYDIR)
#define GATHER_INTERVAL	5

/*
 * Folders are not looked through again within so many ms, nor before so many
 * times as long has passed as it took.
 */
#define LIST_INTERVAL	50
#define LIST_PAUSE		10

/* ms between two looks at open files. */
#define LOOK_INTERVAL	100

static void update_files(FeathubStream *stream);
static void watch_folder(void *arg, int fd);
static bool take_news(FileStream *state, int events);
static char *name_of_file(const StreamFile *file);
static void set_position(StreamFile *file, const char *position, const char *mark);
static int64 whole_lines_end(FileStream *state, StreamFile *file);
static bool has_more(const StreamFile *file);
static bool look_at_open(FileStream *state);
static void publish_positions(FeathubStream *stream);

void
FeathubFileOpenStream(FeathubStream *stream)
{
	MemoryContext old = MemoryContextSwitchTo(stream->context);
	FeathubRelation *rel = stream->rel;
	FileStream *state = palloc0(sizeof(FileStream));
	HASHCTL		control = {0};

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
	control.keysize = sizeof(FileIdentity);
	control.entrysize = sizeof(StreamFile);
	control.hcxt = stream->context;
	state->files = hash_create("feathub files", 256, &control,
							   HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	state->record_context = AllocSetContextCreate(stream->context, "feathub file records",
												  ALLOCSET_DEFAULT_SIZES);
	state->packed_context = AllocSetContextCreate(stream->context, "feathub compressed file",
												  ALLOCSET_DEFAULT_SIZES);
	if (!stream->read_metadata_only)
	{
		int			fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);

		/* too many have one: folders are looked through every now and then */
		if (fd >= 0)
			state->news = FeathubFileHandle(fd);
	}
	stream->state = state;
	MemoryContextSwitchTo(old);
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
	List	   *files = NIL;
	List	   *names = list_make1(pstrdup(FOLDER_PARTITION));
	HASH_SEQ_STATUS status;
	StreamFile *file;
	ListCell   *lc;

	update_files(stream);
	hash_seq_init(&status, state->files);
	while ((file = hash_seq_search(&status)) != NULL)
	{
		/* one that has left the folder is read to its end */
		if (file->here || (file->open && file->index >= 0 && has_more(file)))
			files = lappend(files, file);
	}
	list_sort(files, compare_files);
	foreach(lc, files)
		names = lappend(names, name_of_file(lfirst(lc)));
	list_free(files);
	return names;
}

/* List the files that there are now. */
static void
update_files(FeathubStream *stream)
{
	FileStream *state = stream->state;
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "feathub file list",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	HASH_SEQ_STATUS status;
	StreamFile *file;
	FileListHooks hooks = {.opened = watch_folder, .arg = state};
	FileList   *list;
	const char *name;

	state->list_begin = FeathubClock();
	state->has_news = false;
	stream->partitions_changed = false;
	(void) look_at_open(state);
	hash_seq_init(&status, state->files);
	while ((file = hash_seq_search(&status)) != NULL)
		file->here = false;

	/* a log that is being rotated is not there for a moment */
	if (!FeathubFileIsPattern(state->place->pattern))
	{
		int			fd = FeathubFileOpen(state->place, state->place->pattern,
										 O_RDONLY | O_NONBLOCK, 0);
		int			save_errno = errno;

		if (fd >= 0)
			close(fd);
		else if (save_errno == ENOENT)
		{
			MemoryContextSwitchTo(old);
			MemoryContextDelete(context);
			return;
		}
	}
	list = FeathubFileListBegin(state->place, &hooks);
	while ((name = FeathubFileListNext(list)) != NULL)
	{
		CHECK_FOR_INTERRUPTS();
		(void) FeathubFileFollowFind(state, name);
	}
	FeathubFileListEnd(list);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
}

/* Be told of what changes in a folder that is being listed. */
static void
watch_folder(void *arg, int fd)
{
	FileStream *state = arg;
	char		path[64];

	if (state->news == NULL)
		return;
	/* by its descriptor: what the name leads to may be another folder by now */
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (inotify_add_watch(state->news->fd, path, FOLDER_EVENTS) < 0)
		elog(DEBUG1, "could not watch a folder: %m");
}

/*
 * Take the news of folders that there are; events is what the wait returned.
 * Returns true if the folders should be looked through now.
 */
static bool
take_news(FileStream *state, int events)
{
	char		buffer[8192] __attribute__((aligned(__alignof__(struct inotify_event))));

	if (events & WL_SOCKET_READABLE)
	{
		/* what it is about does not matter: who writes one file writes more */
		while (read(state->news->fd, buffer, sizeof(buffer)) > 0)
			state->has_news = true;
	}
	return state->has_news && FeathubClock() >= state->next_list;
}

/* Identity, size and time of an open file. */
void
FeathubFileFollowStat(FileStream *state, const char *path, int fd, FileIdentity *identity, struct stat *st)
{
	struct statx more;

	if (fstat(fd, st) != 0)
	{
		int			save_errno = errno;

		close(fd);
		errno = save_errno;
		FeathubFileError(state->place, path, "stat file");
	}
	memset(identity, 0, sizeof(FileIdentity));
	identity->inode = st->st_ino;
	if (statx(fd, "", AT_EMPTY_PATH, STATX_BTIME, &more) == 0 && (more.stx_mask & STATX_BTIME))
		identity->born = (int64) more.stx_btime.tv_sec * INT64CONST(1000000000) +
			more.stx_btime.tv_nsec;
}

/* Note what a path names now; false if it is gone. */
bool
FeathubFileFollowFind(FileStream *state, const char *path)
{
	FileOptions *options = state->stream->rel->options;
	FileCompression compression = options->compression;
	FileIdentity identity;
	StreamFile *file;
	struct stat st;
	bool		found;
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
	file = hash_search(state->files, &identity, HASH_ENTER, &found);
	if (!found)
	{
		memset((char *) file + sizeof(FileIdentity), 0, sizeof(StreamFile) - sizeof(FileIdentity));
		file->index = -1;
		file->waiting = -1;
	}
	/* of several names of one file the first one counts */
	if (!file->here && (file->path == NULL || strcmp(file->path, path) != 0))
	{
		if (file->path)
			pfree(file->path);
		file->path = MemoryContextStrdup(state->stream->context, path);
		/* one that is renamed stays what it was */
		if (!found)
		{
			if (compression == FILE_COMPRESSION_AUTO)
				compression = FeathubFileCompressionOf(path);
			file->packed = compression != FILE_COMPRESSION_NONE || state->container != NULL;
		}
	}
	file->here = true;
	file->size = st.st_size;
	file->modified = st.st_mtim;
	return true;
}

/* "<born>-<inode>" */
static char *
name_of_file(const StreamFile *file)
{
	return psprintf("%llx-" UINT64_FORMAT, (unsigned long long) file->identity.born,
					file->identity.inode);
}

/* The file of a partition, or NULL. */
StreamFile *
FeathubFileFollowByName(FileStream *state, const char *name)
{
	FileIdentity identity;
	unsigned long long born;

	memset(&identity, 0, sizeof(identity));
	if (sscanf(name, "%llx-" UINT64_FORMAT, &born, &identity.inode) != 2)
		return NULL;
	identity.born = (int64) born;
	return hash_search(state->files, &identity, HASH_FIND, NULL);
}

void
FeathubFileStartStream(FeathubStream *stream)
{
	FileStream *state = stream->state;
	HASH_SEQ_STATUS status;
	StreamFile *file;

	MemoryContextReset(state->record_context);
	hash_seq_init(&status, state->files);
	while ((file = hash_seq_search(&status)) != NULL)
		file->index = -1;
	if (state->parts)
		pfree(state->parts);
	state->parts = MemoryContextAllocZero(stream->context,
										  sizeof(StreamFile *) * Max(stream->npartitions, 1));
	state->nparts = stream->npartitions;
	state->current = 0;
	for (int i = 0; i < stream->npartitions; i++)
	{
		FeathubStreamPartition *ours = &stream->partitions[i];

		if (strcmp(ours->name, FOLDER_PARTITION) != 0)
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
		set_position(file, ours->position, ours->mark);
	}

	/* forget those that are gone */
	hash_seq_init(&status, state->files);
	while ((file = hash_seq_search(&status)) != NULL)
	{
		if (file->index >= 0 || file->here)
			continue;
		FeathubFileFollowClose(state, file);
		if (state->packed == file)
			state->packed = NULL;
		pfree(file->path);
		hash_search(state->files, &file->identity, HASH_REMOVE, NULL);
	}
}

static void
set_position(StreamFile *file, const char *position, const char *mark)
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

	if (strcmp(name, FOLDER_PARTITION) == 0)
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

/* Behind the last line feed of a file. */
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
			ours->lag = 0;
			continue;
		}
		if (file->packed)
			end = OFFSET_DONE;
		else
			end = file->waiting == file->size ? file->next : Max(file->size, file->next);
		snprintf(file->end_position, sizeof(file->end_position), INT64_FORMAT,
				 (file->life << LIFE_BITS) + end);
		ours->end_position = file->end_position;
		if (file->packed && file->next != OFFSET_DONE)
			continue;
		ours->lag = Max(end - (ours->position ? strtoll(ours->position, NULL, 10) & OFFSET_MASK : 0), 0);
	}
}

/* Reading */

/* May there be lines that have not been handed out? */
static bool
has_more(const StreamFile *file)
{
	if (file->packed)
		return file->next != OFFSET_DONE || (file->line > 0 && file->size != file->line);
	return file->size != file->next && file->size != file->waiting;
}

int
FeathubFilePoll(FeathubStream *stream, FeathubRecord *records, int max,
				Size max_bytes, long timeout)
{
	FileStream *state = stream->state;
	FilePoll	poll = {.records = records,.max = max,.max_bytes = max_bytes};
	TimestampTz deadline = TimestampTzPlusMilliseconds(FeathubClock(), timeout);
	bool		moved = false;

	if (state->list_begin != 0)
	{
		TimestampTz now = FeathubClock();
		long		took = TimestampDifferenceMilliseconds(state->list_begin, now);

		state->next_list = TimestampTzPlusMilliseconds(now, Max(LIST_INTERVAL, took * LIST_PAUSE));
		state->list_begin = 0;
	}
	for (;;)
	{
		long		wait;
		int			events;

		for (int tries = 0; tries < state->nparts; tries++)
		{
			StreamFile *file = state->parts[state->current];

			while (file != NULL && has_more(file) && poll.n < max &&
				   (poll.n == 0 || poll.bytes < max_bytes))
			{
				CHECK_FOR_INTERRUPTS();
				if (!(state->container ? FeathubFileFollowWhole(stream, file, &poll) :
					  file->packed ? FeathubFileFollowPacked(stream, file, &poll) :
					  FeathubFileFollowLines(stream, file, &poll)))
					break;
				moved = true;
			}
			if (poll.n >= max || (poll.n > 0 && poll.bytes >= max_bytes))
				break;
			state->current = (state->current + 1) % state->nparts;
		}
		if (poll.n > 0 || moved || timeout <= 0)
			break;
		wait = Min(TimestampDifferenceMilliseconds(FeathubClock(), deadline), LOOK_INTERVAL);
		if (wait <= 0)
			break;
		events = WaitLatchOrSocket(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH |
								   (state->news ? WL_SOCKET_READABLE : 0),
								   state->news ? state->news->fd : PGINVALID_SOCKET, wait,
								   FEATHUB_WAIT_EVENT("FeathubFileStream"));
		/* whoever writes one line writes more */
		if (events & WL_SOCKET_READABLE)
			events |= WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
								GATHER_INTERVAL, FEATHUB_WAIT_EVENT("FeathubFileStream"));
		if (events & WL_LATCH_SET)
			break;
		if (take_news(state, events))
		{
			stream->partitions_changed = true;
			break;
		}
		(void) look_at_open(state);
	}
	publish_positions(stream);
	return poll.n;
}

/* Look whether files that are open have grown. */
static bool
look_at_open(FileStream *state)
{
	bool		grown = false;

	for (int i = 0; i < MAX_OPEN; i++)
	{
		StreamFile *file = state->open[i];
		struct stat st;

		if (file == NULL || fstat(file->open->fd, &st) != 0)
			continue;
		grown |= st.st_size != file->size;
		file->size = st.st_size;
		file->modified = st.st_mtim;
	}
	return grown;
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
		snprintf(file->next_position, sizeof(file->next_position), INT64_FORMAT, position);
		snprintf(file->next_mark, sizeof(file->next_mark), "%lld:%lld:%d:%llx",
				 (long long) position, (long long) file->line, file->hash_len,
				 (unsigned long long) file->hash);
		if (state->container != NULL)
		{
			int			len = strlen(file->next_mark);

			snprintf(file->next_mark + len, sizeof(file->next_mark) - len, ":%lld:%lld",
					 (long long) file->unit, (long long) file->unit_rows);
		}
		stream->partitions[i].next_position = file->next_position;
		stream->partitions[i].next_mark = file->next_mark;
	}
}

void
FeathubFileReleaseRecords(FeathubStream *stream)
{
	FileStream *state = stream->state;

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
