/*
 * file_watch.c
 *		Which of the files that a job follows there is something to do for.
 *
 * There may be a million of them.  Those that are read, or have been of late,
 * are partitions: a StreamFile each.  Of all others a worker keeps a KnownFile
 * for its share, without a name: up to which size it has been read.  A file that
 * is new or has another size is queued, and becomes a partition when those before
 * it have been read, in the order of their times.
 *
 *	 new -> queued -> StreamFile -> put away (KnownFile) -> missing -> forgotten
 *			   ^---- it has grown ----------'
 *
 * Folders are looked through whole when a worker starts and every now and then,
 * the more rarely the longer it takes.  In between the operating system tells
 * which names to look at (inotify), unless there is no watch to be had.
 *
 * A file that the folder has no longer is noted as missing, and forgotten when
 * it has been so for long; not while none of the files that were read is there,
 * which is what a folder looks like that is not mounted.
 */
#include "postgres.h"

#include <fcntl.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "connectors/filesystem/file_stream.h"
#include "core/clock.h"
#include "core/guc.h"

/* What news of folders are about. */
#define FOLDER_EVENTS	(IN_CREATE | IN_MOVED_TO | IN_MODIFY | IN_CLOSE_WRITE | IN_ONLYDIR)

/*
 * Folders are not looked through again within so many ms, nor before so many
 * times as long has passed as it took: when news ask for it, without news, and
 * where all news are told.
 */
#define LIST_INTERVAL	50
#define LIST_PAUSE		10
#define LIST_PAUSE_WATCHED	50

/* Files to be read that are partitions, and files that have been read. */
#define WINDOW_FILES	1000
#define IDLE_FILES		64

/* Names handed out by one call. */
#define MAX_NAMES		5000

static void list_folders(FileStream *state);
static void watch_folder(void *arg, int fd, const char *name, int part);
static void note_left_out(void *arg, const char *name, const char *what);
static void drop_watches(FileStream *state);
static void look_at_name(FileStream *state, WatchedFolder *folder, const char *name);
static void note_file(FileStream *state, const char *path, const FileIdentity *identity,
					  int64 size, struct timespec modified);
static void enqueue(FileStream *state, KnownFile *known, const char *path, int64 size,
					struct timespec modified);
static void finish_files(FeathubStream *stream);
static void find_missing(FeathubStream *stream);

void
FeathubFileWatchBegin(FileStream *state)
{
	MemoryContext context = state->stream->context;
	HASHCTL		control = {0};

	control.keysize = sizeof(FileIdentity);
	control.entrysize = sizeof(KnownFile);
	control.hcxt = context;
	state->known = hash_create("feathub known files", 256, &control,
							   HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	control.keysize = sizeof(int);
	control.entrysize = sizeof(WatchedFolder);
	state->folders = hash_create("feathub watched folders", 16, &control,
								 HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	state->queue_context = AllocSetContextCreate(context, "feathub queued files",
												 ALLOCSET_DEFAULT_SIZES);
	state->list_context = AllocSetContextCreate(context, "feathub file list",
												ALLOCSET_DEFAULT_SIZES);
	if (!state->stream->read_metadata_only)
	{
		int			fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);

		/* too many have one: folders are looked through every now and then */
		if (fd >= 0)
			state->news = FeathubFileHandle(fd);
		else
			elog(LOG, "could not be told of changes in folders: %m");
	}
}

static void
identity_of(const struct statx *st, FileIdentity *identity)
{
	memset(identity, 0, sizeof(FileIdentity));
	identity->inode = st->stx_ino;
	if (st->stx_mask & STATX_BTIME)
		identity->born = (int64) st->stx_btime.tv_sec * INT64CONST(1000000000) +
			st->stx_btime.tv_nsec;
}

static struct timespec
modified_of(const struct statx *st)
{
	struct timespec time = {.tv_sec = st->stx_mtime.tv_sec,.tv_nsec = st->stx_mtime.tv_nsec};

	return time;
}

static int64
nanoseconds(struct timespec time)
{
	return (int64) time.tv_sec * INT64CONST(1000000000) + time.tv_nsec;
}

static bool
is_packed(FileStream *state, const char *path)
{
	FileOptions *options = state->stream->rel->options;
	FileCompression compression = options->compression;

	if (compression == FILE_COMPRESSION_AUTO)
		compression = FeathubFileCompressionOf(path);
	return compression != FILE_COMPRESSION_NONE || state->container != NULL;
}

/* Begin to list the place's files; NULL if it is one that is not there. */
static FileList *
begin_list(FileStream *state, const FileListHooks *hooks)
{
	/* a log that is being rotated is not there for a moment */
	if (!FeathubFileIsPattern(state->place->pattern))
	{
		int			fd = FeathubFileOpen(state->place, state->place->pattern, O_PATH, 0);

		if (fd >= 0)
			close(fd);
		else if (errno == ENOENT)
			return NULL;
	}
	return FeathubFileListBegin(state->place, hooks);
}

/* All files */

StreamFile *
FeathubFileFollowEnter(FileStream *state, const char *path, const FileIdentity *identity, int64 size,
					   struct timespec modified)
{
	bool		found;
	StreamFile *file = hash_search(state->files, identity, HASH_ENTER, &found);

	if (!found)
	{
		memset((char *) file + sizeof(FileIdentity), 0, sizeof(StreamFile) - sizeof(FileIdentity));
		file->index = -1;
		file->waiting = -1;
		/* one that is renamed stays what it was */
		file->packed = is_packed(state, path);
	}
	/* of several names of one file the first one counts */
	if (!file->here && (file->path == NULL || strcmp(file->path, path) != 0))
	{
		if (file->path)
			pfree(file->path);
		file->path = MemoryContextStrdup(state->files_context, path);
	}
	file->here = true;
	file->lost = false;
	FeathubFileFollowResize(file, size, modified);
	return file;
}

void
FeathubFileWatchListAll(FileStream *state)
{
	FileList   *list;
	const char *path;

	MemoryContextReset(state->list_context);
	MemoryContextSwitchTo(state->list_context);
	list = begin_list(state, NULL);
	while (list != NULL && (path = FeathubFileListNext(list)) != NULL)
	{
		FileIdentity identity;
		struct statx st;

		CHECK_FOR_INTERRUPTS();
		if (!FeathubFileListStat(list, &st) || !S_ISREG(st.stx_mode))
			continue;
		identity_of(&st, &identity);
		(void) FeathubFileFollowEnter(state, path, &identity, st.stx_size, modified_of(&st));
	}
	if (list != NULL)
		FeathubFileListEnd(list);
	state->list = NULL;
	MemoryContextSwitchTo(state->stream->context);
}

/* What there is something to do for */

void
FeathubFileWatchUpdate(FileStream *state)
{
	FeathubStream *stream = state->stream;
	bool		listed = false;
	TimestampTz now = FeathubClock();

	if (now >= state->next_list && (state->list_due || now >= state->next_full))
	{
		list_folders(state);
		listed = true;
	}
	finish_files(stream);
	if (listed || state->more_missing)
		find_missing(stream);
	FeathubFileWatchFill(state);
	stream->partitions_changed = state->more_missing;
}

/* Look through all folders. */
static void
list_folders(FileStream *state)
{
	TimestampTz begin = FeathubClock();
	MemoryContext caller = CurrentMemoryContext;
	FileListHooks *hooks;
	HASH_SEQ_STATUS status;
	StreamFile *file;
	const char *path;
	int64		took;

	state->list_due = false;
	state->watched = state->news != NULL;
	state->partial = false;
	state->list_number++;
	hash_seq_init(&status, state->files);
	while ((file = hash_seq_search(&status)) != NULL)
		file->here = false;

	MemoryContextReset(state->list_context);
	MemoryContextSwitchTo(state->list_context);
	hooks = palloc0(sizeof(FileListHooks));
	hooks->opened = watch_folder;
	hooks->failed = note_left_out;
	hooks->arg = state;
	state->list = begin_list(state, hooks);
	while (state->list != NULL && (path = FeathubFileListNext(state->list)) != NULL)
	{
		FileIdentity identity;
		struct statx st;

		CHECK_FOR_INTERRUPTS();
		if (!FeathubFileListStat(state->list, &st) || !S_ISREG(st.stx_mode))
			continue;
		identity_of(&st, &identity);
		note_file(state, path, &identity, st.stx_size, modified_of(&st));
	}
	if (state->list != NULL)
		FeathubFileListEnd(state->list);
	MemoryContextSwitchTo(caller);
	drop_watches(state);

	took = FeathubClock() - begin;
	state->next_list = FeathubClock() + Max(LIST_INTERVAL * INT64CONST(1000), took * LIST_PAUSE);
	/* the worker asks every source_interval: not a moment too early */
	state->next_full = FeathubClock() +
		Max(feathub_source_interval * INT64CONST(1000) / 2,
			took * (state->watched ? LIST_PAUSE_WATCHED : LIST_PAUSE));
}

/*
 * A folder or a symbolic link that cannot be followed: an error, as of a query, but
 * one that is told when the others have been read.
 */
static void
note_left_out(void *arg, const char *name, const char *what)
{
	FileStream *state = arg;
	MemoryContext caller = CurrentMemoryContext;
	volatile int save_errno = errno;

	state->partial = true;
	PG_TRY();
	{
		errno = save_errno;
		FeathubFileError(state->place, name, what);
	}
	PG_CATCH();
	{
		FeathubFileFollowNoteFailure(state);
	}
	PG_END_TRY();
	MemoryContextSwitchTo(caller);
}

/* Be told of what changes in a folder that is being listed. */
static void
watch_folder(void *arg, int fd, const char *name, int part)
{
	FileStream *state = arg;
	WatchedFolder *folder;
	char		path[64];
	bool		found;
	int			watch;

	if (state->news == NULL)
		return;
	/* by its descriptor: what the name leads to may be another folder by now */
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	watch = inotify_add_watch(state->news->fd, path, FOLDER_EVENTS);
	if (watch < 0)
	{
		bool		full = errno == ENOSPC;

		state->watched = false;
		if (!state->told_unwatched)
			ereport(LOG,
					(errmsg("could not be told of changes in folder \"%s\": %m",
							FeathubFileFullName(state->place, name)),
					 errdetail("It is looked through every now and then."),
					 full ? errhint("You may need to increase the kernel's fs.inotify.max_user_watches.") : 0));
		state->told_unwatched = true;
		return;
	}
	folder = hash_search(state->folders, &watch, HASH_ENTER, &found);
	if (found && strcmp(folder->path, name) != 0)
	{
		pfree(folder->path);
		found = false;
	}
	if (!found)
		folder->path = MemoryContextStrdup(state->stream->context, name);
	folder->part = part;
	folder->seen = state->list_number;
}

/* Folders that have moved elsewhere are none of ours. */
static void
drop_watches(FileStream *state)
{
	HASH_SEQ_STATUS status;
	WatchedFolder *folder;

	hash_seq_init(&status, state->folders);
	while ((folder = hash_seq_search(&status)) != NULL)
	{
		if (folder->seen == state->list_number)
			continue;
		(void) inotify_rm_watch(state->news->fd, folder->watch);
		pfree(folder->path);
		hash_search(state->folders, &folder->watch, HASH_REMOVE, NULL);
	}
}

void
FeathubFileWatchNews(FileStream *state)
{
	char		buffer[8192] __attribute__((aligned(__alignof__(struct inotify_event))));
	ssize_t		len;

	if (state->list_context == NULL)
		return;
	while ((len = read(state->news->fd, buffer, sizeof(buffer))) > 0)
	{
		CHECK_FOR_INTERRUPTS();
		for (char *p = buffer; p < buffer + len;)
		{
			struct inotify_event *event = (struct inotify_event *) p;
			WatchedFolder *folder = hash_search(state->folders, &event->wd, HASH_FIND, NULL);

			p += sizeof(struct inotify_event) + event->len;
			if (event->mask & IN_Q_OVERFLOW)
				state->list_due = true;
			else if (folder == NULL)
				continue;
			else if (event->mask & (IN_IGNORED | IN_UNMOUNT))
			{
				/* the folder is gone, perhaps to be made again */
				pfree(folder->path);
				hash_search(state->folders, &event->wd, HASH_REMOVE, NULL);
				state->list_due = true;
			}
			else if (event->mask & IN_ISDIR)
				state->list_due = true;
			else if (event->len > 0 && state->list != NULL &&
					 FeathubFileListTakes(state->list, folder->part, event->name))
				look_at_name(state, folder, event->name);
		}
	}
}

/* Partitions that have not been read to their end. */
static int
count_behind(FileStream *state)
{
	HASH_SEQ_STATUS status;
	StreamFile *file;
	int			behind = 0;

	hash_seq_init(&status, state->files);
	while ((file = hash_seq_search(&status)) != NULL)
		if (file->index < 0 || FeathubFileFollowHasMore(file))
			behind++;
	return behind;
}

bool
FeathubFileWatchAsksForList(FileStream *state)
{
	return (state->next_queued < state->nqueued && count_behind(state) < WINDOW_FILES) ||
		(state->list_due && FeathubClock() >= state->next_list);
}

static void
look_at_name(FileStream *state, WatchedFolder *folder, const char *name)
{
	char	   *path = folder->path[0] == '\0' ? pstrdup(name) :
		psprintf("%s/%s", folder->path, name);
	int			fd = FeathubFileOpen(state->place, path, O_PATH, 0);
	FileIdentity identity;
	struct statx st;

	if (fd < 0)
		/* a list says what is wrong, if it still is */
		state->list_due |= errno != ENOENT;
	else
	{
		if (statx(fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS | STATX_BTIME, &st) == 0 &&
			S_ISREG(st.stx_mode))
		{
			StreamFile *file;

			identity_of(&st, &identity);
			file = hash_search(state->files, &identity, HASH_FIND, NULL);
			/* a file that is renamed is no longer where it was */
			if (file != NULL && strcmp(file->path, path) != 0 &&
				!FeathubFileFollowIsAt(state, file))
				file->here = false;
			note_file(state, path, &identity, st.stx_size, modified_of(&st));
		}
		close(fd);
	}
	pfree(path);
}

/* There is such a file: is there something to do for it? */
static void
note_file(FileStream *state, const char *path, const FileIdentity *identity, int64 size,
		  struct timespec modified)
{
	KnownFile  *known;
	bool		found;

	if (hash_search(state->files, identity, HASH_FIND, NULL) != NULL)
	{
		(void) FeathubFileFollowEnter(state, path, identity, size, modified);
		return;
	}
	known = hash_search(state->known, identity, HASH_FIND, NULL);
	if (known == NULL)
	{
		char	   *name = FeathubFileFollowName(identity);
		bool		mine = state->stream->is_mine == NULL || state->stream->is_mine(name);

		pfree(name);
		if (!mine)
			return;
		known = hash_search(state->known, identity, HASH_ENTER, &found);
		known->size = known->modified = 0;
		known->flags = KNOWN_NEW;
	}
	known->seen = state->list_number;
	if (known->flags & KNOWN_QUEUED)
		return;
	/* the same size, and another time: it may have been written anew */
	if (known->modified == 0)
		known->modified = nanoseconds(modified);
	if (!(known->flags & (KNOWN_NEW | KNOWN_LOOSE)) && known->modified == nanoseconds(modified))
	{
		if (known->flags & KNOWN_DONE)
		{
			if (known->size < 0 || known->size == size)
				return;
		}
		else if (known->size == size && (size == 0 || !is_packed(state, path)))
			return;
	}
	enqueue(state, known, path, size, modified);
}

/* The queue */

static void
enqueue(FileStream *state, KnownFile *known, const char *path, int64 size,
		struct timespec modified)
{
	QueuedFile *queued;

	if (state->nqueued >= state->queue_room)
	{
		state->queue_room = Max(state->queue_room * 2, 1024);
		if (state->queue == NULL)
			state->queue = MemoryContextAllocHuge(state->queue_context,
												  sizeof(QueuedFile) * state->queue_room);
		else
			state->queue = repalloc_huge(state->queue, sizeof(QueuedFile) * state->queue_room);
	}
	queued = &state->queue[state->nqueued++];
	queued->identity = known->identity;
	queued->path = MemoryContextStrdup(state->queue_context, path);
	queued->size = size;
	queued->modified = modified;
	state->queued_bytes += size;
	state->queue_sorted = false;
	known->flags |= KNOWN_QUEUED;
}

static int
compare_queued(const void *a, const void *b)
{
	const QueuedFile *x = a;
	const QueuedFile *y = b;

	if (x->modified.tv_sec != y->modified.tv_sec)
		return x->modified.tv_sec < y->modified.tv_sec ? -1 : 1;
	if (x->modified.tv_nsec != y->modified.tv_nsec)
		return x->modified.tv_nsec < y->modified.tv_nsec ? -1 : 1;
	return strcmp(x->path, y->path);
}

/* Make partitions of the files that are first in the queue. */
void
FeathubFileWatchFill(FileStream *state)
{
	StreamFile *file;
	int			behind = count_behind(state);

	if (!state->queue_sorted && state->next_queued < state->nqueued)
		qsort(state->queue + state->next_queued, state->nqueued - state->next_queued,
			  sizeof(QueuedFile), compare_queued);
	state->queue_sorted = true;
	for (; behind < WINDOW_FILES && state->next_queued < state->nqueued; state->next_queued++)
	{
		QueuedFile *queued = &state->queue[state->next_queued];
		KnownFile  *known = hash_search(state->known, &queued->identity, HASH_FIND, NULL);

		if (known != NULL && (known->flags & KNOWN_QUEUED))
		{
			file = FeathubFileFollowEnter(state, queued->path, &queued->identity, queued->size,
										  queued->modified);
			file->packed |= (known->flags & KNOWN_DONE) != 0;
			file->doubtful = !(known->flags & KNOWN_NEW) && known->modified != 0 &&
				known->modified != nanoseconds(queued->modified);
			hash_search(state->known, &queued->identity, HASH_REMOVE, NULL);
			behind++;
		}
		state->queued_bytes -= queued->size;
		pfree(queued->path);
	}
	if (state->next_queued == state->nqueued && state->queue != NULL)
	{
		MemoryContextReset(state->queue_context);
		state->queue = NULL;
		state->queue_room = state->nqueued = state->next_queued = 0;
		state->queued_bytes = 0;
	}
}

/* What has been read */

/* Newest first. */
static int
compare_modified(const ListCell *a, const ListCell *b)
{
	const StreamFile *x = lfirst(a);
	const StreamFile *y = lfirst(b);

	if (x->modified.tv_sec != y->modified.tv_sec)
		return x->modified.tv_sec > y->modified.tv_sec ? -1 : 1;
	if (x->modified.tv_nsec != y->modified.tv_nsec)
		return x->modified.tv_nsec > y->modified.tv_nsec ? -1 : 1;
	return strcmp(y->path, x->path);
}

/* A file is a partition no longer. */
static void
put_away(FeathubStream *stream, StreamFile *file)
{
	FileStream *state = stream->state;
	KnownFile  *known;
	bool		found;

	stream->finished = lappend(stream->finished, FeathubFileFollowName(&file->identity));
	known = hash_search(state->known, &file->identity, HASH_ENTER, &found);
	known->flags = 0;
	known->modified = nanoseconds(file->modified);
	known->seen = file->here ? state->list_number : state->list_number - 1;
	if (file->packed && file->next == OFFSET_DONE)
	{
		known->flags = KNOWN_DONE;
		known->size = file->line > 0 ? file->line : -1;
	}
	else
		known->size = file->waiting == file->size && !file->lost ? file->size : file->next;
	FeathubFileFollowClose(state, file);
	if (state->packed == file)
		state->packed = NULL;
	if (state->whole == file)
		state->whole = NULL;
	pfree(file->path);
	hash_search(state->files, &file->identity, HASH_REMOVE, NULL);
}

/* Put away the files that are gone, and those that were read longest ago. */
static void
finish_files(FeathubStream *stream)
{
	FileStream *state = stream->state;
	HASH_SEQ_STATUS status;
	StreamFile *file;
	List	   *idle = NIL;
	List	   *gone = NIL;
	ListCell   *lc;

	hash_seq_init(&status, state->files);
	while ((file = hash_seq_search(&status)) != NULL)
	{
		/* one that has left the folder is read to its end, as long as it is open */
		if (file->index < 0 || (file->failed && file->here) || (FeathubFileFollowHasMore(file) && (file->here || file->open)))
			continue;
		if (!file->here)
			gone = lappend(gone, file);
		else if (!file->lost)
			idle = lappend(idle, file);
	}
	foreach(lc, gone)
		put_away(stream, lfirst(lc));
	if (list_length(idle) > IDLE_FILES)
	{
		list_sort(idle, compare_modified);
		for_each_from(lc, idle, IDLE_FILES)
			put_away(stream, lfirst(lc));
	}
}

/* Is any of the files there that have been read before? */
static bool
some_are_here(FileStream *state)
{
	HASH_SEQ_STATUS status;
	StreamFile *file;
	KnownFile  *known;

	hash_seq_init(&status, state->files);
	while ((file = hash_seq_search(&status)) != NULL)
	{
		if (file->index < 0 || !file->here)
			continue;
		hash_seq_term(&status);
		return true;
	}
	hash_seq_init(&status, state->known);
	while ((known = hash_seq_search(&status)) != NULL)
	{
		if (known->seen != state->list_number || (known->flags & KNOWN_NEW))
			continue;
		hash_seq_term(&status);
		return true;
	}
	return false;
}

/* Compare what is known with what the last list had. */
static void
find_missing(FeathubStream *stream)
{
	FileStream *state = stream->state;
	bool		present = some_are_here(state);
	HASH_SEQ_STATUS status;
	KnownFile  *known;
	int			room = MAX_NAMES;

	if (state->present && !present && hash_get_num_entries(state->known) > 0)
		ereport(LOG,
				(errmsg("folder \"%s\" of foreign table \"%s\" has none of the files that were there before",
						FeathubFileFullName(state->place, ""), stream->rel->relname),
				 errdetail("They are not taken for missing until one of them is there.")));
	state->present = present;
	state->more_missing = false;
	hash_seq_init(&status, state->known);
	while ((known = hash_seq_search(&status)) != NULL)
	{
		bool		here = known->seen == state->list_number;

		if (here && !(known->flags & KNOWN_MISSING))
			continue;
		if (known->flags & KNOWN_NEW)
		{
			hash_search(state->known, &known->identity, HASH_REMOVE, NULL);
			continue;
		}
		/* it may be where we cannot look */
		if (!here && (!present || state->partial || (known->flags & KNOWN_MISSING)))
			continue;
		if (room-- == 0)
		{
			state->more_missing = true;
			hash_seq_term(&status);
			break;
		}
		known->flags ^= KNOWN_MISSING;
		if (here)
			stream->found = lappend(stream->found, FeathubFileFollowName(&known->identity));
		else
		{
			stream->missing = lappend(stream->missing, FeathubFileFollowName(&known->identity));
			if (known->flags & KNOWN_LOOSE)
				stream->finished = lappend(stream->finished,
										   FeathubFileFollowName(&known->identity));
			known->flags &= ~(KNOWN_LOOSE | KNOWN_QUEUED);
		}
	}
}

/* What the catalog knows */

void
FeathubFileKnowPosition(FeathubStream *stream, const char *name, const char *position,
						const char *mark, bool finished, bool missing)
{
	FileStream *state = stream->state;
	FileIdentity identity;
	KnownFile  *known;
	StreamFile	file = {0};
	bool		found;

	if (!FeathubFileFollowParseName(name, &identity))
		return;
	FeathubFileFollowSetPosition(&file, position, mark);
	known = hash_search(state->known, &identity, HASH_ENTER, &found);
	known->seen = state->list_number;
	known->modified = 0;
	known->flags = (finished ? 0 : KNOWN_LOOSE) | (missing ? KNOWN_MISSING : 0);
	known->size = file.next;
	if (file.next == OFFSET_DONE)
	{
		known->flags |= KNOWN_DONE;
		known->size = file.line > 0 ? file.line : -1;
	}
}

bool
FeathubFileForgetPartition(FeathubStream *stream, const char *name)
{
	FileStream *state = stream->state;
	FileIdentity identity;
	KnownFile  *known;

	if (!state->present || state->partial || !FeathubFileFollowParseName(name, &identity))
		return false;
	known = hash_search(state->known, &identity, HASH_FIND, NULL);
	if (known == NULL || !(known->flags & KNOWN_MISSING) || known->seen == state->list_number)
		return false;
	hash_search(state->known, &identity, HASH_REMOVE, NULL);
	return true;
}
