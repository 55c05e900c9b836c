/*
 * file_position.c
 *		Positions of jobs in the folder that they write to: exactly once.
 *
 * A file .feathub-job-<job> in the folder of the sink (no scan looks at it)
 * says how far the job has written each partition of its source, and names the
 * files of the last batch.  Replacing it is the batch's commit here, whatever
 * becomes of the transaction in the database:
 *
 *	1. the new one is written beside it as .feathub-job-<job>.next, and synced;
 *	2. the batch's files get names that only this file knows;
 *	3. .next takes the place of the old one: from here on the batch is done;
 *	4. the files get their final names.
 *
 * Whoever comes next takes the lock and clears up: a .next that is left undoes
 * steps 1 and 2, the files that the positions name go through step 4 again.
 * Several workers of a job share the file; the lock is held from 1 to 4.
 */
#include "postgres.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include "access/xact.h"
#include "access/xlog.h"
#include "miscadmin.h"
#include "storage/latch.h"
#include "utils/memutils.h"
#include "utils/wait_event.h"

#include "connectors/filesystem/file_position.h"
#include "core/compat.h"

#define POSITION_PREFIX		".feathub-job-"
#define FIRST_LINE			"feathub positions 1"
#define LAST_LINE			"end"

/* How often a lock that another worker holds is asked for, in ms. */
#define LOCK_INTERVAL		10

/* A file of a batch. */
typedef struct BatchFile
{
	const char *folder;			/* relative to the sink's, "" is that */
	char	   *temporary;
	char	   *name;
} BatchFile;

typedef struct Manifest
{
	List	   *positions;		/* FeathubSinkPosition * */
	List	   *files;			/* BatchFile * */
} Manifest;

/* The open folder, and the lock while the handle is open. */
typedef struct Locked
{
	const FilePlace *place;
	const char *folder;
	const char *name;
	char	   *next_name;
	FileHandle *dir;
	FileHandle *lock;
} Locked;

static bool lock_positions(Locked *locked, const FilePlace *place, const char *folder,
						   const char *name);
static void unlock_positions(Locked *locked);
static Manifest *recover(Locked *locked);
static bool read_manifest(Locked *locked, const char *name, Manifest *manifest);
static void write_manifest(Locked *locked, const Manifest *manifest);
static void finish_files(Locked *locked, const Manifest *manifest);
static void sync_folder(Locked *locked, const char *folder);
static char *place_folder(const FilePlace *place);
static char *file_name(const char *job);

void
FeathubFileLoadPositions(FeathubRelation *rel, const char *job, int worker,
						 FeathubSinkPosition *positions, int n)
{
	FilePlace  *place = FeathubFilePlaceOf(rel, true);
	Locked		locked;
	Manifest   *manifest;
	ListCell   *lc;
	int			i = 0;

	if (!lock_positions(&locked, place, place_folder(place), file_name(job)))
		return;
	manifest = recover(&locked);
	unlock_positions(&locked);
	foreach(lc, manifest->positions)
	{
		FeathubSinkPosition *known = lfirst(lc);

		/* both are mostly in the same order */
		for (int tries = 0; tries < n; tries++, i++)
		{
			FeathubSinkPosition *position = &positions[i % n];

			if (strcmp(position->partition, known->partition) != 0)
				continue;
			position->from = known->from;
			position->next = known->next;
			position->epoch = known->epoch;
			position->refused = known->refused;
			break;
		}
	}
}

static char *
copy_string(const char *string)
{
	return string ? pstrdup(string) : NULL;
}

void
FeathubFileSavePositions(FeathubRelation *rel, const char *job,
						 const FeathubSinkPosition *positions, int n)
{
	FilePlace  *place = FeathubFilePlaceOf(rel, true);
	MemoryContext old = MemoryContextSwitchTo(TopTransactionContext);
	FilePositions *batch = palloc0(sizeof(FilePositions));

	batch->place.base = pstrdup(place->base);
	batch->place.confined = place->confined;
	batch->folder = pstrdup(place_folder(place));
	batch->name = file_name(job);
	for (int i = 0; i < n; i++)
	{
		FeathubSinkPosition *copy = palloc0(sizeof(FeathubSinkPosition));

		copy->partition = pstrdup(positions[i].partition);
		copy->from = copy_string(positions[i].from);
		copy->next = copy_string(positions[i].next);
		copy->epoch = positions[i].epoch;
		copy->refused = copy_string(positions[i].refused);
		batch->positions = lappend(batch->positions, copy);
	}
	MemoryContextSwitchTo(old);
	FeathubFilePendingPositions(batch);
}

/* A folder's name relative to the batch's, or NULL if it is not below it. */
static const char *
relative_folder(const FilePositions *batch, const char *folder)
{
	size_t		len = strlen(batch->folder);

	if (len == 0)
		return folder;
	if (strncmp(folder, batch->folder, len) != 0 || (folder[len] != '\0' && folder[len] != '/'))
		return NULL;
	return folder[len] == '/' ? folder + len + 1 : folder + len;
}

/* The same back. */
static char *
whole_folder(const Locked *locked, const char *folder)
{
	return psprintf("%s%s%s", locked->folder,
					locked->folder[0] && folder[0] ? "/" : "", folder);
}

/* The files of the batch that are below its place and still to be named. */
static bool
is_of_batch(const FilePositions *batch, const PendingFile *file)
{
	return !file->is_folder && relative_folder(batch, file->folder) != NULL && file->has_temporary && !file->linked &&
		strcmp(file->place.base, batch->place.base) == 0 &&
		file->place.confined == batch->place.confined;
}

/* Step 2: from now on a crash leaves them to the positions. */
static void
rename_files(Locked *locked, FilePositions *batch, PendingFile *files, List *renamed)
{
	ListCell   *lc = list_head(renamed);
	const char *synced = NULL;

	for (PendingFile *file = files; file != NULL; file = file->next)
	{
		BatchFile  *entry;
		int			dir;
		int			status;
		int			save_errno;

		if (!is_of_batch(batch, file))
			continue;
		entry = lfirst(lc);
		lc = lnext(renamed, lc);
		dir = FeathubFileOpen(&file->place, file->folder, O_RDONLY | O_DIRECTORY, 0);
		if (dir < 0)
			FeathubFileError(&file->place, file->folder, "open folder");
		status = renameat(dir, file->temporary, dir, entry->temporary);
		save_errno = errno;
		close(dir);
		errno = save_errno;
		if (status != 0)
			FeathubFileError(&file->place, file->temporary, "rename file");
		strcpy(file->temporary, entry->temporary);	/* shorter: see below */
	}
	foreach(lc, renamed)
	{
		BatchFile  *entry = lfirst(lc);

		if (synced == NULL || strcmp(synced, entry->folder) != 0)
			sync_folder(locked, whole_folder(locked, entry->folder));
		synced = entry->folder;
	}
}

void
FeathubFilePositionsCommit(FilePositions *batch, PendingFile *files)
{
	MemoryContext context = AllocSetContextCreate(TopTransactionContext, "feathub positions",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	Locked		locked;
	Manifest   *manifest;
	List	   *kept = NIL;
	List	   *names = NIL;
	ListCell   *lc;
	ListCell   *lc2;

	close(FeathubFileMakeFolders(&batch->place, batch->folder));
	if (!lock_positions(&locked, &batch->place, batch->folder, batch->name))
		FeathubFileError(&batch->place, batch->folder, "open folder");
	manifest = recover(&locked);

	/* what the batch tells, and of other partitions what was told before */
	foreach(lc, manifest->positions)
	{
		FeathubSinkPosition *known = lfirst(lc);
		bool		replaced = false;

		foreach(lc2, batch->positions)
			replaced |= strcmp(((FeathubSinkPosition *) lfirst(lc2))->partition,
							   known->partition) == 0;
		if (!replaced)
			kept = lappend(kept, known);
	}
	manifest->positions = list_concat(kept, batch->positions);
	manifest->files = NIL;
	for (PendingFile *file = files; file != NULL; file = file->next)
	{
		BatchFile  *entry;

		if (!is_of_batch(batch, file))
			continue;
		entry = palloc(sizeof(BatchFile));
		entry->folder = relative_folder(batch, file->folder);
		entry->name = file->name;
		/* in place of .feathub-<system>-<transaction>-, which others clean up */
		entry->temporary = psprintf(".feathub-j-%s", file->name);
		names = lappend(names, entry);
	}
	manifest->files = names;

	write_manifest(&locked, manifest);
	rename_files(&locked, batch, files, names);
	if (renameat(locked.dir->fd, locked.next_name, locked.dir->fd, batch->name) != 0)
		FeathubFileError(&batch->place, batch->name, "create file");
	for (PendingFile *file = files; file != NULL; file = file->next)
	{
		if (is_of_batch(batch, file))
			file->has_temporary = false;
	}
	sync_folder(&locked, batch->folder);
	finish_files(&locked, manifest);
	unlock_positions(&locked);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
}

/* The lock */

/* False if there is no such folder. */
static bool
lock_positions(Locked *locked, const FilePlace *place, const char *folder, const char *name)
{
	int			fd = FeathubFileOpen(place, folder, O_RDONLY | O_DIRECTORY, 0);

	memset(locked, 0, sizeof(Locked));
	locked->place = place;
	locked->folder = folder;
	locked->name = name;
	locked->next_name = psprintf("%s.next", name);
	if (fd < 0)
	{
		if (errno == ENOENT)
			return false;
		FeathubFileError(place, folder, "open folder");
	}
	locked->dir = FeathubFileHandle(fd);
	fd = openat(locked->dir->fd, psprintf("%s.lock", name),
				O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		FeathubFileError(place, psprintf("%s/%s.lock", folder, name), "create file");
	locked->lock = FeathubFileHandle(fd);
	while (flock(fd, LOCK_EX | LOCK_NB) != 0)
	{
		if (errno != EWOULDBLOCK && errno != EINTR)
			FeathubFileError(place, psprintf("%s/%s.lock", folder, name), "lock file");
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 LOCK_INTERVAL, FEATHUB_WAIT_EVENT("FeathubFilePositions"));
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
	}
	return true;
}

static void
unlock_positions(Locked *locked)
{
	FeathubFileHandleClose(locked->lock);
	FeathubFileHandleClose(locked->dir);
}

/* Clear up after a batch that was interrupted, and read the positions. */
static Manifest *
recover(Locked *locked)
{
	Manifest   *manifest = palloc0(sizeof(Manifest));
	Manifest	next = {0};
	ListCell   *lc;

	if (faccessat(locked->dir->fd, locked->next_name, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
	{
		/* if it is not whole, no file has been renamed */
		if (read_manifest(locked, locked->next_name, &next))
		{
			foreach(lc, next.files)
			{
				BatchFile  *file = lfirst(lc);
				int			dir = FeathubFileOpen(locked->place,
												  whole_folder(locked, file->folder),
												  O_RDONLY | O_DIRECTORY, 0);

				if (dir < 0)
					continue;
				(void) unlinkat(dir, file->temporary, 0);
				close(dir);
			}
		}
		if (unlinkat(locked->dir->fd, locked->next_name, 0) != 0)
			FeathubFileError(locked->place, locked->next_name, "remove file");
	}
	if (faccessat(locked->dir->fd, locked->name, F_OK, AT_SYMLINK_NOFOLLOW) != 0)
	{
		if (errno != ENOENT)
			FeathubFileError(locked->place, locked->name, "open file");
		return manifest;
	}
	if (!read_manifest(locked, locked->name, manifest))
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("file \"%s/%s\" is damaged",
						FeathubFileFullName(locked->place, locked->folder), locked->name),
				 errdetail("It holds the positions up to which a job has written.")));
	finish_files(locked, manifest);
	return manifest;
}

/* Step 4.  What has been done is passed over. */
static void
finish_files(Locked *locked, const Manifest *manifest)
{
	ListCell   *lc;
	const char *synced = NULL;

	foreach(lc, manifest->files)
	{
		BatchFile  *file = lfirst(lc);
		struct stat temporary;
		struct stat final;
		char	   *folder = whole_folder(locked, file->folder);
		int			dir = FeathubFileOpen(locked->place, folder, O_RDONLY | O_DIRECTORY, 0);
		bool		done = true;

		if (dir < 0)
		{
			/* somebody has removed it with all that was in it */
			if (errno == ENOENT)
				continue;
			FeathubFileError(locked->place, folder, "open folder");
		}
		if (fstatat(dir, file->temporary, &temporary, AT_SYMLINK_NOFOLLOW) == 0)
		{
			if (linkat(dir, file->temporary, dir, file->name, 0) == 0 ||
				(errno == EEXIST &&
				 fstatat(dir, file->name, &final, AT_SYMLINK_NOFOLLOW) == 0 &&
				 temporary.st_dev == final.st_dev && temporary.st_ino == final.st_ino))
				done = unlinkat(dir, file->temporary, 0) == 0;
			else
				done = errno != EEXIST &&
					renameat2(dir, file->temporary, dir, file->name, 1 /* RENAME_NOREPLACE */ ) == 0;
		}
		if (!done)
		{
			int			save_errno = errno;

			close(dir);
			errno = save_errno;
			FeathubFileError(locked->place,
							 psprintf("%s%s%s", folder, folder[0] ? "/" : "", file->name),
							 "create file");
		}
		close(dir);
	}
	foreach(lc, manifest->files)
	{
		BatchFile  *file = lfirst(lc);

		if (synced == NULL || strcmp(synced, file->folder) != 0)
			sync_folder(locked, whole_folder(locked, file->folder));
		synced = file->folder;
	}
}

static void
sync_folder(Locked *locked, const char *folder)
{
	int			dir = FeathubFileOpen(locked->place, folder, O_RDONLY | O_DIRECTORY, 0);

	if (dir < 0 && errno == ENOENT)
		return;
	/* some file systems cannot, and say so by EINVAL */
	if (dir < 0 || (enableFsync && fsync(dir) != 0 && errno != EINVAL && errno != EBADF))
	{
		int			save_errno = errno;

		if (dir >= 0)
			close(dir);
		errno = save_errno;
		FeathubFileError(locked->place, folder, "fsync folder");
	}
	close(dir);
}

/* The file: lines of fields, in which bytes that are no letters are encoded */

static void
append_field(StringInfo out, const char *value)
{
	appendStringInfoChar(out, ' ');
	if (value == NULL)
	{
		appendStringInfoChar(out, '-');
		return;
	}
	appendStringInfoChar(out, '=');
	for (const char *p = value; *p; p++)
	{
		if ((unsigned char) *p <= ' ' || *p == '%' || *p == 0x7f)
			appendStringInfo(out, "%%%02x", (unsigned char) *p);
		else
			appendStringInfoChar(out, *p);
	}
}

/* The next field of a line, decoded in place; NULL if it is none. */
static char *
next_field(char **line)
{
	char	   *field = strsep(line, " ");
	char	   *to;

	if (field == NULL || *field != '=')
		return NULL;
	field++;
	to = field;
	for (char *p = field; *p; p++)
	{
		unsigned int byte;

		if (*p == '%' && sscanf(p + 1, "%2x", &byte) == 1 && p[1] && p[2])
		{
			*to++ = (char) byte;
			p += 2;
		}
		else
			*to++ = *p;
	}
	*to = '\0';
	return field;
}

/* False if the file is not whole. */
static bool
read_manifest(Locked *locked, const char *name, Manifest *manifest)
{
	FileHandle *handle;
	struct stat st;
	char	   *text;
	char	   *line;
	Size		len = 0;
	bool		ended = false;
	int			fd = openat(locked->dir->fd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0)
		FeathubFileError(locked->place, name, "open file");
	handle = FeathubFileHandle(fd);
	if (fstat(fd, &st) != 0)
		FeathubFileError(locked->place, name, "stat file");
	text = MemoryContextAllocHuge(CurrentMemoryContext, st.st_size + 1);
	while (len < (Size) st.st_size)
	{
		ssize_t		n = read(fd, text + len, st.st_size - len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			FeathubFileError(locked->place, name, "read file");
		if (n == 0)
			break;
		len += n;
	}
	text[len] = '\0';
	FeathubFileHandleClose(handle);

	line = strsep(&text, "\n");
	if (strcmp(line, FIRST_LINE) != 0)
		return false;
	while (!ended && (line = strsep(&text, "\n")) != NULL)
	{
		char	   *kind = strsep(&line, " ");

		if (strcmp(kind, "p") == 0)
		{
			FeathubSinkPosition *position = palloc0(sizeof(FeathubSinkPosition));
			char	   *epoch;

			position->partition = next_field(&line);
			epoch = next_field(&line);
			position->from = next_field(&line);
			position->next = next_field(&line);
			position->refused = next_field(&line);
			if (position->partition == NULL || epoch == NULL)
				return false;
			position->epoch = strtoll(epoch, NULL, 10);
			manifest->positions = lappend(manifest->positions, position);
		}
		else if (strcmp(kind, "f") == 0)
		{
			BatchFile  *file = palloc(sizeof(BatchFile));

			file->folder = next_field(&line);
			file->temporary = next_field(&line);
			file->name = next_field(&line);
			if (file->folder == NULL || file->temporary == NULL || file->name == NULL)
				return false;
			manifest->files = lappend(manifest->files, file);
		}
		else
			ended = strcmp(kind, LAST_LINE) == 0 && text != NULL;
	}
	return ended;
}

/* Step 1. */
static void
write_manifest(Locked *locked, const Manifest *manifest)
{
	StringInfoData text;
	FileHandle *handle;
	ListCell   *lc;
	int			fd;
	int			written = 0;

	initStringInfo(&text);
	appendStringInfoString(&text, FIRST_LINE "\n");
	foreach(lc, manifest->positions)
	{
		FeathubSinkPosition *position = lfirst(lc);

		appendStringInfoChar(&text, 'p');
		append_field(&text, position->partition);
		append_field(&text, psprintf(INT64_FORMAT, position->epoch));
		append_field(&text, position->from);
		append_field(&text, position->next);
		append_field(&text, position->refused);
		appendStringInfoChar(&text, '\n');
	}
	foreach(lc, manifest->files)
	{
		BatchFile  *file = lfirst(lc);

		appendStringInfoChar(&text, 'f');
		append_field(&text, file->folder);
		append_field(&text, file->temporary);
		append_field(&text, file->name);
		appendStringInfoChar(&text, '\n');
	}
	appendStringInfoString(&text, LAST_LINE "\n");

	fd = openat(locked->dir->fd, locked->next_name,
				O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		FeathubFileError(locked->place, locked->next_name, "create file");
	handle = FeathubFileHandle(fd);
	while (written < text.len)
	{
		ssize_t		n;

		errno = 0;
		n = write(fd, text.data + written, text.len - written);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
		{
			if (errno == 0)
				errno = ENOSPC;
			FeathubFileError(locked->place, locked->next_name, "write file");
		}
		written += n;
	}
	if (enableFsync && fsync(fd) != 0)
		FeathubFileError(locked->place, locked->next_name, "fsync file");
	FeathubFileHandleClose(handle);
	sync_folder(locked, locked->folder);
}

/* The folder of the sink: where the path is one file, the one that holds it. */
static char *
place_folder(const FilePlace *place)
{
	const char *slash = strrchr(place->pattern, '/');
	const char *name = slash ? slash + 1 : place->pattern;
	struct stat st;
	int			fd = FeathubFileOpen(place, place->pattern, O_RDONLY | O_NONBLOCK, 0);
	bool		is_folder = place->pattern[0] == '\0' || strchr(name, '.') == NULL;

	if (fd >= 0)
	{
		is_folder = fstat(fd, &st) == 0 && S_ISDIR(st.st_mode);
		close(fd);
	}
	if (is_folder)
		return pstrdup(place->pattern);
	return slash ? pnstrdup(place->pattern, slash - place->pattern) : pstrdup("");
}

/* "<system>/<database>/<job>" as a part of a name. */
static char *
file_name(const char *job)
{
	char	   *name = psprintf(POSITION_PREFIX "%s", job);

	for (char *p = name; *p; p++)
		if (*p == '/')
			*p = '-';
	return name;
}
