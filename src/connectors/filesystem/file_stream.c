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

#include "access/htup_details.h"
#include "access/xact.h"
#include "common/hashfn.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "storage/latch.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/json.h"
#include "utils/jsonb.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"

#include "connectors/filesystem/file_row.h"
#include "core/clock.h"
#include "core/compat.h"

/* The partition that stands for the folder. */
#define FOLDER_PARTITION	"files"

/* Bytes of a file are in the lower bits of a position, its life above. */
#define LIFE_BITS		44
#define OFFSET_MASK		((INT64CONST(1) << LIFE_BITS) - 1)
/* The position of a compressed file that has been read. */
#define OFFSET_DONE		OFFSET_MASK

#define CHUNK_SIZE		(256 * 1024)

/* Bytes of a file's begin that the mark knows. */
#define MARK_BYTES		256

/* Files kept open, and how often they are looked at, in ms. */
#define MAX_OPEN		16
#define LOOK_INTERVAL	100

/* What news of folders are about, and how long they are gathered, in ms. */
#define FOLDER_EVENTS	(IN_CREATE | IN_MOVED_TO | IN_MODIFY | IN_CLOSE_WRITE | IN_ONLYDIR)
#define GATHER_INTERVAL	5

/*
 * Folders are not looked through again within so many ms, nor before so many
 * times as long has passed as it took.
 */
#define LIST_INTERVAL	50
#define LIST_PAUSE		10

typedef struct FileIdentity
{
	uint64		inode;
	int64		born;			/* in ns; 0: the file system does not say */
} FileIdentity;

typedef struct StreamFile
{
	FileIdentity identity;		/* key */
	char	   *path;			/* relative to the place's base */
	bool		here;			/* the last list had it */
	bool		packed;			/* compressed, or a whole file */
	int64		size;			/* when it was last looked at */
	struct timespec modified;
	int			index;			/* of the partition, -1: none */

	/* How far it has been handed out */
	int64		life;
	int64		next;
	int64		line;			/* of the record there, 0: unknown; of a packed
								 * file that has been read, its size then */
	int64		unit;			/* of a whole file: that next is in, */
	int64		unit_rows;		/* and rows before it */
	int64		waiting;		/* up to this size there is no whole line behind
								 * next; -1: not known */
	int			hash_len;
	uint64		hash;			/* of its first hash_len bytes */
	bool		dirty;

	/* While it is open */
	MemoryContext open_context;
	FileHandle *open;
	uint64		used;

	/* Texts that the caller's struct points to */
	char		next_position[24];
	char		next_mark[160];
	char		end_position[24];
} StreamFile;

/* Of each record: FeathubRecord.raw. */
typedef struct RecordInfo
{
	StreamFile *file;
	int64		line;
	HeapTuple	tuple;			/* of a whole file's row, or NULL: it is bad */
	FeathubDecodeError error;	/* why */
} RecordInfo;

typedef struct StreamState
{
	FeathubStream *stream;
	FilePlace  *place;
	FileReader *reader;			/* for its decoder and columns */
	FileFraming framing;
	HTAB	   *files;			/* StreamFile by identity */
	StreamFile **parts;			/* by partition; NULL: the folder */
	int			nparts;
	int			current;		/* the partition to read from next */
	StreamFile *open[MAX_OPEN];
	uint64		clock;
	MemoryContext record_context;	/* of records handed out */

	/* News of folders */
	FileHandle *news;			/* of inotify; NULL: there is none */
	bool		has_news;		/* since the folders were looked through */
	TimestampTz list_begin;		/* of the last time, until it is over */
	TimestampTz next_list;		/* not before */

	/* The compressed file that is being read */
	StreamFile *packed;
	MemoryContext packed_context;
	FileLines	packed_lines;

	/* The whole file that "reader" is in */
	const FeathubContainer *container;	/* NULL: files have lines */
	StreamFile *whole;
	int			units;
	int64		unit;
	int64		unit_rows;		/* before the unit */
	int64		row;			/* the next one of the file */
	Datum	   *values;
	bool	   *isnull;
} StreamState;

/* What a poll has handed out. */
typedef struct Poll
{
	FeathubRecord *records;
	int			n;
	int			max;
	Size		bytes;
	Size		max_bytes;
} Poll;

static void update_files(FeathubStream *stream);
static void watch_folder(void *arg, int fd);
static bool take_news(StreamState *state, int events);
static bool look_at(StreamState *state, const char *path);
static StreamFile *file_of_name(StreamState *state, const char *name);
static char *name_of_file(const StreamFile *file);
static void set_position(StreamFile *file, const char *position, const char *mark);
static int64 whole_lines_end(StreamState *state, StreamFile *file);
static bool has_more(const StreamFile *file);
static bool open_file(StreamState *state, StreamFile *file);
static void close_file(StreamState *state, StreamFile *file);
static bool look_at_open(StreamState *state);
static bool read_plain(FeathubStream *stream, StreamFile *file, Poll *poll);
static bool read_packed(FeathubStream *stream, StreamFile *file, Poll *poll);
static bool read_whole(FeathubStream *stream, StreamFile *file, Poll *poll);
static void check_file(FeathubStream *stream, StreamFile *file);
static void publish_positions(FeathubStream *stream);

void
FeathubFileOpenStream(FeathubStream *stream)
{
	MemoryContext old = MemoryContextSwitchTo(stream->context);
	FeathubRelation *rel = stream->rel;
	StreamState *state = palloc0(sizeof(StreamState));
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
	StreamState *state = stream->state;
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
	StreamState *state = stream->state;
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
		(void) look_at(state, name);
	}
	FeathubFileListEnd(list);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
}

/* Be told of what changes in a folder that is being listed. */
static void
watch_folder(void *arg, int fd)
{
	StreamState *state = arg;
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
take_news(StreamState *state, int events)
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
static void
stat_file(StreamState *state, const char *path, int fd, FileIdentity *identity, struct stat *st)
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
static bool
look_at(StreamState *state, const char *path)
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
	stat_file(state, path, fd, &identity, &st);
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
static StreamFile *
file_of_name(StreamState *state, const char *name)
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
	StreamState *state = stream->state;
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

		ours->next_position = ours->next_mark = NULL;
		if (strcmp(ours->name, FOLDER_PARTITION) != 0)
			file = file_of_name(state, ours->name);
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
		close_file(state, file);
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
	StreamState *state = stream->state;
	StreamFile *file;
	TimestampTz time;
	int64		offset;

	if (strcmp(name, FOLDER_PARTITION) == 0)
		return pstrdup("0");
	file = file_of_name(state, name);
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

int
FeathubFileComparePositions(const char *a, const char *b)
{
	int64		x = strtoll(a, NULL, 10);
	int64		y = strtoll(b, NULL, 10);

	return (x > y) - (x < y);
}

/* Behind the last line feed of a file. */
static int64
whole_lines_end(StreamState *state, StreamFile *file)
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
	StreamState *state = stream->state;

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
	StreamState *state = stream->state;
	Poll		poll = {.records = records,.max = max,.max_bytes = max_bytes};
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
				if (!(state->container ? read_whole(stream, file, &poll) :
					  file->packed ? read_packed(stream, file, &poll) :
					  read_plain(stream, file, &poll)))
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
look_at_open(StreamState *state)
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

/* Have the file open; false if it is no longer where it was. */
static bool
open_file(StreamState *state, StreamFile *file)
{
	FileIdentity identity;
	MemoryContext old;
	struct stat st;
	int			slot = 0;
	int			fd;

	file->used = ++state->clock;
	if (file->open)
		return true;
	fd = FeathubFileOpen(state->place, file->path, O_RDONLY | O_NONBLOCK, 0);
	if (fd < 0)
	{
		if (errno != ENOENT)
			FeathubFileError(state->place, file->path, "open file");
		/* the next list will tell */
		file->waiting = file->size;
		return false;
	}
	stat_file(state, file->path, fd, &identity, &st);
	if (memcmp(&identity, &file->identity, sizeof(identity)) != 0)
	{
		close(fd);
		file->waiting = file->size;
		return false;
	}
	for (int i = 0; i < MAX_OPEN; i++)
	{
		if (state->open[i] == NULL)
		{
			slot = i;
			break;
		}
		if (state->open[i]->used < state->open[slot]->used)
			slot = i;
	}
	if (state->open[slot])
		close_file(state, state->open[slot]);
	file->open_context = AllocSetContextCreate(state->stream->context, "feathub open file",
											   ALLOCSET_SMALL_SIZES);
	old = MemoryContextSwitchTo(file->open_context);
	file->open = FeathubFileHandle(fd);
	MemoryContextSwitchTo(old);
	state->open[slot] = file;
	return true;
}

static void
close_file(StreamState *state, StreamFile *file)
{
	if (file->open == NULL)
		return;
	for (int i = 0; i < MAX_OPEN; i++)
		if (state->open[i] == file)
			state->open[i] = NULL;
	FeathubFileHandleClose(file->open);
	MemoryContextDelete(file->open_context);
	file->open = NULL;
}

/* Read from an open file; less than len at its end only. */
static Size
read_at(StreamState *state, StreamFile *file, int64 offset, char *buffer, Size len)
{
	Size		done = 0;

	while (done < len)
	{
		ssize_t		n = pread(file->open->fd, buffer + done, len - done, offset + done);

		CHECK_FOR_INTERRUPTS();
		if (n == 0)
			break;
		if (n > 0)
			done += n;
		else if (errno != EINTR && errno != EAGAIN)
			FeathubFileError(state->place, file->path, "read file");
	}
	return done;
}

static uint64
hash_of_begin(StreamState *state, StreamFile *file, int len)
{
	char		buffer[MARK_BYTES];

	len = (int) read_at(state, file, 0, buffer, len);
	return hash_bytes_extended((unsigned char *) buffer, len, 0);
}

/* The file is not the one that was read: stop, or begin again with it. */
static void
written_anew(FeathubStream *stream, StreamFile *file, const char *detail)
{
	StreamState *state = stream->state;
	char	   *name = FeathubFileFullName(state->place, file->path);
	bool		done = file->packed && file->next == OFFSET_DONE;

	if (!stream->skip_gaps)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 done ? errmsg("file \"%s\" was changed after it had been read as a whole", name) :
				 errmsg("file \"%s\" was truncated or written anew after it had been read up to byte " INT64_FORMAT,
						name, file->next),
				 errdetail_internal("%s", detail),
				 done ? errhint("Only plain files of lines may grow: write others under another name, and rename them when they are complete. To read what is there now, call feathub.rewind_job and feathub.resume_job, or make the job with on_gap 'skip'.") :
				 errhint("To read what is there now, call feathub.rewind_job and feathub.resume_job, or make the job with on_gap 'skip'.")));
	ereport(WARNING,
			(done ? errmsg("file \"%s\" was changed after it had been read as a whole: reading it again",
						   name) :
			 errmsg("file \"%s\" was truncated or written anew after it had been read up to byte " INT64_FORMAT ": reading it from its begin",
					name, file->next),
			 errdetail_internal("%s", detail)));
	pfree(name);
	stream->partitions[file->index].gap++;
	file->life++;
	file->next = 0;
	file->line = file->packed ? 0 : 1;
	file->unit = file->unit_rows = 0;
	file->waiting = -1;
	file->hash_len = 0;
	file->dirty = true;
	if (state->whole == file)
		state->whole = NULL;
	if (state->packed == file)
		state->packed = NULL;
}

/* Is the open file what has been read so far? */
static void
check_file(FeathubStream *stream, StreamFile *file)
{
	StreamState *state = stream->state;
	struct stat st;

	if (fstat(file->open->fd, &st) != 0)
		FeathubFileError(state->place, file->path, "stat file");
	file->size = st.st_size;
	if (file->packed && file->next == OFFSET_DONE)
	{
		if (file->line > 0 && file->size != file->line)
			written_anew(stream, file,
						 psprintf("It had " INT64_FORMAT " bytes, and has " INT64_FORMAT " now.",
								  file->line, file->size));
		return;
	}
	if (!file->packed && file->size < file->next)
		written_anew(stream, file,
					 psprintf("It has " INT64_FORMAT " bytes now.", file->size));
	else if (file->hash_len > 0 &&
			 hash_of_begin(state, file, file->hash_len) != file->hash)
		written_anew(stream, file, "It begins with other bytes than before.");
}

static void
add_record(FeathubStream *stream, StreamFile *file, Poll *poll, char *data, Size len, int64 lines)
{
	FeathubRecord *record = &poll->records[poll->n++];
	RecordInfo *info = MemoryContextAllocZero(((StreamState *) stream->state)->record_context,
											  sizeof(RecordInfo));

	info->file = file;
	info->line = file->line;
	memset(record, 0, sizeof(FeathubRecord));
	record->partition = file->index;
	record->sequence = (file->life << LIFE_BITS) + file->next;
	record->value = data;
	record->value_len = len;
	record->timestamp = time_t_to_timestamptz(file->modified.tv_sec) +
		file->modified.tv_nsec / 1000;
	record->raw = info;
	poll->bytes += len;
}

/* A line without its end. */
static Size
line_length(const char *begin, const char *end)
{
	Size		len = end - begin;

	if (len > 0 && begin[len - 1] == '\n')
		len--;
	if (len > 0 && begin[len - 1] == '\r')
		len--;
	return len;
}

/* Is the record at hand the header?  It is checked then. */
static bool
take_header(FeathubStream *stream, StreamFile *file, const char *data, Size len)
{
	StreamState *state = stream->state;
	FileOptions *options = stream->rel->options;

	if (options->header == FILE_HEADER_NONE)
		return false;
	if (options->header == FILE_HEADER_MATCH)
	{
		char	   *name = FeathubFileFullName(state->place, file->path);

		FeathubFileRowsCheckHeader(state->reader, name, data, len);
		pfree(name);
	}
	return true;
}

/* Take lines of a plain file; false if there is no whole one. */
static bool
read_plain(FeathubStream *stream, StreamFile *file, Poll *poll)
{
	StreamState *state = stream->state;
	bool		skip_empty = !stream->rel->format->positional;
	Size		chunk = CHUNK_SIZE;

	if (!open_file(state, file))
		return false;
	check_file(stream, file);
	for (;;)
	{
		Size		want = Min(chunk, (Size) (file->size - file->next));
		char	   *buffer = MemoryContextAllocHuge(state->record_context, want + 1);
		Size		got = read_at(state, file, file->next, buffer, want);
		char	   *p = buffer;
		char	   *limit = buffer + got;
		int64		begin = file->next;
		bool		first = begin == 0;

		if (first && got >= 3 && memcmp(p, "\xef\xbb\xbf", 3) == 0)
		{
			p += 3;
			file->next += 3;
		}
		while (p < limit && poll->n < poll->max &&
			   (poll->n == 0 || poll->bytes < poll->max_bytes))
		{
			FileFrame	frame = {0};
			char	   *end = unconstify(char *, FeathubFrameEnd(&state->framing, &frame, p, limit));
			Size		len;

			if (end == NULL)
				break;
			len = line_length(p, end);
			if (!(first && take_header(stream, file, p, len)) && !(len == 0 && skip_empty))
				add_record(stream, file, poll, p, len, frame.lines);
			first = false;
			file->next += end - p;
			if (file->line > 0)
				file->line += frame.lines + 1;
			p = end;
		}
		if (p > buffer && !first)
		{
			file->dirty = true;
			return true;
		}
		file->next = begin;
		pfree(buffer);
		if (poll->n >= poll->max || (poll->n > 0 && poll->bytes >= poll->max_bytes))
			return false;
		if (got < want || want == (Size) (file->size - file->next))
		{
			/* the last line goes on */
			file->waiting = file->size;
			return file->dirty;
		}
		if (chunk >= FILE_RECORD_MAX / 2)
			ereport(ERROR,
					(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
					 errmsg("record at byte " INT64_FORMAT " of file \"%s\" is too long",
							file->next, FeathubFileFullName(state->place, file->path)),
					 state->framing.quoted ?
					 errhint("Look for a quote that is not closed.") : 0));
		chunk *= 4;
	}
}

/* Go to the position in a compressed file. */
static void
start_packed(FeathubStream *stream, StreamFile *file)
{
	StreamState *state = stream->state;
	FileOptions *options = stream->rel->options;
	MemoryContext old;
	const char *data;
	Size		len;
	int64		line;

	state->packed = NULL;
	MemoryContextReset(state->packed_context);
	memset(&state->packed_lines, 0, sizeof(FileLines));
	old = MemoryContextSwitchTo(state->packed_context);
	state->packed_lines.context = state->packed_context;
	state->packed_lines.framing = state->framing;
	FeathubFileLinesStart(&state->packed_lines,
						  FeathubFileSourceOpen(state->place, file->path, options->compression));
	while (state->packed_lines.offset + (int64) state->packed_lines.begin < file->next)
	{
		CHECK_FOR_INTERRUPTS();
		if (!FeathubFileLinesNext(&state->packed_lines, &data, &len, &line))
			break;
	}
	MemoryContextSwitchTo(old);
	state->packed = file;
}

/* The same of a compressed file, which is complete. */
static bool
read_packed(FeathubStream *stream, StreamFile *file, Poll *poll)
{
	StreamState *state = stream->state;
	FileLines  *lines = &state->packed_lines;
	bool		skip_empty = !stream->rel->format->positional;
	bool		first = file->next == 0;
	const char *data;
	Size		len;
	int64		line;

	if (!open_file(state, file))
		return false;
	check_file(stream, file);
	if (file->size == 0)
	{
		/* not even the begin of a compressed file */
		file->waiting = 0;
		return false;
	}
	if (state->packed != file || first)
		start_packed(stream, file);
	while (poll->n < poll->max && (poll->n == 0 || poll->bytes < poll->max_bytes))
	{
		if (!FeathubFileLinesNext(lines, &data, &len, &line))
		{
			file->next = OFFSET_DONE;
			file->line = file->size;
			file->dirty = true;
			state->packed = NULL;
			MemoryContextReset(state->packed_context);
			break;
		}
		file->line = line;
		if (!(first && take_header(stream, file, data, len)) && !(len == 0 && skip_empty))
		{
			char	   *copy = MemoryContextAllocHuge(state->record_context, len + 1);

			memcpy(copy, data, len);
			add_record(stream, file, poll, copy, len, 0);
		}
		first = false;
		file->next = lines->offset + lines->begin;
		file->line = lines->line;
		file->dirty = true;
	}
	return file->dirty;
}

/* Open a whole file where it has been left; false if it is no longer there. */
static bool
start_whole(StreamState *state, StreamFile *file)
{
	FileReader *reader = state->reader;

	state->whole = NULL;
	FeathubFileRowsOpen(reader, file->path);
	if (reader->source->stat.st_ino != file->identity.inode)
	{
		FeathubFileRowsClose(reader);
		return false;
	}
	state->units = FeathubFileRowsUnits(reader);
	state->unit = file->unit;
	state->row = state->unit_rows = file->unit_rows;
	if (state->unit < state->units)
		state->container->start_unit(reader->container, (int) state->unit);
	state->whole = file;
	return true;
}

/* The next row of the whole file that is open; false at its end. */
static bool
next_whole_row(StreamState *state, FeathubDecodeError *error)
{
	FileReader *reader = state->reader;
	int			natts = state->stream->rel->tupdesc->natts;

	while (state->unit < state->units)
	{
		CHECK_FOR_INTERRUPTS();
		memset(state->isnull, true, natts);
		if (state->container->read_row(reader->container, state->values, state->isnull, error))
		{
			state->row++;
			return true;
		}
		state->unit_rows = state->row;
		if (++state->unit < state->units)
			state->container->start_unit(reader->container, (int) state->unit);
	}
	return false;
}

/* Hand out the row that has just been read. */
static void
add_row(FeathubStream *stream, StreamFile *file, Poll *poll, const FeathubDecodeError *error)
{
	StreamState *state = stream->state;
	MemoryContext old = MemoryContextSwitchTo(state->record_context);
	FeathubRecord *record = &poll->records[poll->n];
	RecordInfo *info;

	/* there are no bytes that are the record: what is kept is where it is */
	add_record(stream, file, poll, "", 0, 0);
	info = record->raw;
	info->line = 0;
	if (error->message != NULL)
	{
		info->error = *error;
		info->error.message = pstrdup(error->message);
	}
	else
	{
		info->tuple = heap_form_tuple(stream->rel->tupdesc, state->values, state->isnull);
		poll->bytes += info->tuple->t_len;
	}
	MemoryContextSwitchTo(old);
}

/* Take rows of a file that is read as a whole. */
static bool
read_whole(FeathubStream *stream, StreamFile *file, Poll *poll)
{
	StreamState *state = stream->state;
	FeathubDecodeError error = {0};
	bool		moved = false;

	if (!open_file(state, file))
		return false;
	check_file(stream, file);
	if (file->size == 0)
		return false;			/* not even the begin of one */

	/* types and their constraints are looked up in the catalog */
	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
	MemoryContextSwitchTo(state->record_context);
	if ((state->whole == file && state->row == file->next) || start_whole(state, file))
	{
		while (state->row < file->next && next_whole_row(state, &error))
			;
		while (poll->n < poll->max && (poll->n == 0 || poll->bytes < poll->max_bytes))
		{
			if (!next_whole_row(state, &error))
			{
				file->next = OFFSET_DONE;
				file->line = file->size;
				state->whole = NULL;
				FeathubFileRowsClose(state->reader);
				moved = true;
				break;
			}
			add_row(stream, file, poll, &error);
			file->next = state->row;
			file->unit = state->unit;
			file->unit_rows = state->unit_rows;
			moved = true;
		}
	}
	PopActiveSnapshot();
	CommitTransactionCommand();
	MemoryContextSwitchTo(stream->context);
	file->dirty |= moved;
	return moved;
}

/* Write the texts of positions that have moved. */
static void
publish_positions(FeathubStream *stream)
{
	StreamState *state = stream->state;

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
			file->hash = hash_of_begin(state, file, file->hash_len);
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
	StreamState *state = stream->state;

	for (int i = 0; i < state->nparts; i++)
	{
		stream->partitions[i].next_position = NULL;
		stream->partitions[i].next_mark = NULL;
	}
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
	StreamState *state = stream->state;

	if (state == NULL)
		return;
	for (int i = 0; i < MAX_OPEN; i++)
		if (state->open[i])
			close_file(state, state->open[i]);
	if (state->news)
		FeathubFileHandleClose(state->news);
	MemoryContextReset(state->packed_context);
	if (state->container != NULL)
		FeathubFileRowsClose(state->reader);
	stream->state = NULL;
}

/* Records */

/* Decode a line and fill the columns that come from elsewhere.  path may be NULL. */
static bool
decode_line(StreamState *state, FeathubRecord *record, HeapTuple tuple, const char *path,
			int64 line, const StreamFile *file, Datum *values, bool *isnull,
			FeathubDecodeError *error)
{
	FileReader *reader = state->reader;
	const FileColumns *columns = &reader->columns;
	const AttrNumber *metadata = columns->metadata;

	memset(isnull, true, sizeof(bool) * state->stream->rel->tupdesc->natts);
	if (tuple != NULL)
		heap_deform_tuple(tuple, state->stream->rel->tupdesc, values, isnull);
	else if (!FeathubDecode(reader->decoder, record->value, record->value_len, values, isnull,
							error))
		return false;
	if (tuple == NULL && reader->decoder->format->changelog)
	{
		record->change = reader->decoder->change;
		record->change_time = reader->decoder->change_time;
	}
	if (columns->npartitions > 0 && path != NULL)
	{
		memset(reader->found, 0, sizeof(bool) * columns->npartitions);
		(void) FeathubFilePartitionValues(reader->partitions, path, values, isnull, reader->found);
		for (int i = 0; i < columns->npartitions; i++)
		{
			if (reader->found[i])
				continue;
			error->sqlerrcode = ERRCODE_FDW_ERROR;
			error->message = psprintf("path \"%s\" has no value for partition column \"%s\"",
									  path, columns->partitions[i].name);
			return false;
		}
	}
	if (metadata[FILE_META_PATH] > 0 && path != NULL && pg_verifymbstr(path, strlen(path), true))
	{
		values[metadata[FILE_META_PATH] - 1] = CStringGetTextDatum(path);
		isnull[metadata[FILE_META_PATH] - 1] = false;
	}
	if (metadata[FILE_META_LINE] > 0 && line > 0)
	{
		values[metadata[FILE_META_LINE] - 1] = Int64GetDatum(line);
		isnull[metadata[FILE_META_LINE] - 1] = false;
	}
	if (metadata[FILE_META_MODIFIED] > 0 && record->timestamp != DT_NOBEGIN)
	{
		values[metadata[FILE_META_MODIFIED] - 1] = TimestampTzGetDatum(record->timestamp);
		isnull[metadata[FILE_META_MODIFIED] - 1] = false;
	}
	if (metadata[FILE_META_SIZE] > 0 && file != NULL)
	{
		values[metadata[FILE_META_SIZE] - 1] = Int64GetDatum(file->size);
		isnull[metadata[FILE_META_SIZE] - 1] = false;
	}
	return true;
}

bool
FeathubFileDecodeRecord(FeathubStream *stream, FeathubRecord *record,
						Datum *values, bool *isnull, FeathubDecodeError *error)
{
	StreamState *state = stream->state;
	RecordInfo *info = record->raw;
	const FileColumns *columns = &state->reader->columns;
	char	   *path = NULL;

	if (info->error.message != NULL)
	{
		*error = info->error;
		error->message = pstrdup(info->error.message);
		return false;
	}
	if (columns->npartitions > 0 || columns->metadata[FILE_META_PATH] > 0)
		path = FeathubFileFullName(state->place, info->file->path);
	return decode_line(state, record, info->tuple, path, info->line, info->file, values, isnull,
					   error);
}

static bool
no_such_row(FeathubDecodeError *error, char *message)
{
	error->sqlerrcode = ERRCODE_UNDEFINED_FILE;
	error->message = message;
	error->attnum = 0;
	return false;
}

/* A row of a whole file once more, by where it is; not of another file there. */
static bool
read_stored_row(StreamState *state, const char *partition, const char *path, int64 row,
				HeapTuple *tuple, FeathubDecodeError *error)
{
	const char *base = strcmp(state->place->base, "/") == 0 ? "" : state->place->base;
	Size		len = strlen(base);
	StreamFile *file;

	if (path == NULL || strncmp(path, base, len) != 0 || path[len] != '/')
		return no_such_row(error, pstrdup("the file of the row is not known any more"));
	if (!look_at(state, path + len + 1) || (file = file_of_name(state, partition)) == NULL ||
		strcmp(file->path, path + len + 1) != 0)
		return no_such_row(error, psprintf("file \"%s\", which had the row, is gone", path));
	state->whole = NULL;
	FeathubFileRowsOpen(state->reader, path + len + 1);
	state->units = FeathubFileRowsUnits(state->reader);
	state->unit = state->row = state->unit_rows = 0;
	if (state->units > 0)
		state->container->start_unit(state->reader->container, 0);
	while (state->row <= row)
	{
		if (!next_whole_row(state, error))
			return no_such_row(error, psprintf("file \"%s\" has no row " INT64_FORMAT, path, row + 1));
	}
	if (error->message != NULL)
		return false;
	*tuple = heap_form_tuple(state->stream->rel->tupdesc, state->values, state->isnull);
	return true;
}

/* A text of a dead letter's headers, or NULL. */
static char *
header_text(Jsonb *headers, const char *name)
{
	JsonbValue *value = getKeyJsonValueFromContainer(&headers->root, name, strlen(name), NULL);

	if (value == NULL || value->type != jbvString)
		return NULL;
	return pnstrdup(value->val.string.val, value->val.string.len);
}

bool
FeathubFileDecodeStored(FeathubStream *stream, const char *partition,
						FeathubRecord *record, Datum headers,
						bool headers_isnull, Datum *values, bool *isnull,
						FeathubDecodeError *error)
{
	Jsonb	   *object = headers_isnull ? NULL : DatumGetJsonbP(headers);
	char	   *path = object && JB_ROOT_IS_OBJECT(object) ? header_text(object, "path") : NULL;
	char	   *line = object && JB_ROOT_IS_OBJECT(object) ? header_text(object, "line") : NULL;
	StreamState *state = stream->state;
	HeapTuple	tuple = NULL;
	bool		ok = true;

	if (state->container != NULL)
		ok = read_stored_row(state, partition, path, record->sequence & OFFSET_MASK, &tuple,
							 error);
	ok = ok && decode_line(state, record, tuple, path, line ? strtoll(line, NULL, 10) : 0, NULL,
						   values, isnull, error);
	if (state->container != NULL)
		FeathubFileRowsClose(state->reader);
	return ok;
}

void
FeathubFileDescribeRecord(FeathubStream *stream, const FeathubRecord *record, StringInfo out)
{
	StreamState *state = stream->state;
	RecordInfo *info = record->raw;

	if (state->container != NULL)
		appendStringInfo(out, "row " INT64_FORMAT, (record->sequence & OFFSET_MASK) + 1);
	else
		appendStringInfo(out, "byte " INT64_FORMAT, record->sequence & OFFSET_MASK);
	if (info->line > 0)
		appendStringInfo(out, " (line " INT64_FORMAT ")", info->line);
	appendStringInfo(out, " of file \"%s\"", FeathubFileFullName(state->place, info->file->path));
}

/* Where the record is: dead letters are decoded again with it. */
Datum
FeathubFileRecordHeaders(FeathubStream *stream, const FeathubRecord *record, bool *isnull)
{
	StreamState *state = stream->state;
	RecordInfo *info = record->raw;
	char	   *path = FeathubFileFullName(state->place, info->file->path);
	StringInfoData text;

	*isnull = !pg_verifymbstr(path, strlen(path), true);
	if (*isnull)
		return (Datum) 0;
	initStringInfo(&text);
	appendStringInfoString(&text, "{\"path\": ");
	escape_json(&text, path);
	if (info->line > 0)
		appendStringInfo(&text, ", \"line\": \"" INT64_FORMAT "\"", info->line);
	appendStringInfoChar(&text, '}');
	return DirectFunctionCall1(jsonb_in, CStringGetDatum(text.data));
}
