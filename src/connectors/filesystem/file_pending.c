/*
 * file_pending.c
 *		New files until their transaction commits.
 *
 * While it is written, a file's name is
 *		.feathub-<system identifier>-<transaction id>-<final name>
 * which no scan looks at.  Just before the commit it gets its final name as a
 * second one (link(2), which never replaces a file) and the folder is synced;
 * after the commit the first name goes.  An abort removes both.  A crash leaves
 * the first name: whoever comes by and knows that its transaction is over
 * removes it, and if it did not commit the final name too, provided that both
 * are the same file.  So there is no moment at which a crash makes rows of an
 * aborted transaction stay, or loses those of a committed one.
 *
 * The files of a job's batch are named with its positions: see file_position.c.
 *
 * A transaction that is prepared would outlive this memory: it is refused.
 */
#include "postgres.h"

#include <fcntl.h>
#include <unistd.h>

#include "access/transam.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "miscadmin.h"
#include "replication/message.h"
#include "storage/lwlock.h"
#include "storage/procarray.h"
#include "utils/memutils.h"

#include "connectors/filesystem/file_position.h"
#include "core/compat.h"

#define PENDING_PREFIX	".feathub-"

/* File systems without second names know this at least. */
#ifndef RENAME_NOREPLACE
#define RENAME_NOREPLACE 1
#endif

/* Of this transaction, last one first; in pending_context. */
static PendingFile *pending = NULL;
static MemoryContext pending_context = NULL;

/* What a job notes with them, in TopTransactionContext. */
static FilePositions *positions = NULL;
static bool callbacks_registered = false;

/* The transaction's id is in the write-ahead log, so a crash does not reuse it. */
static bool id_logged = false;

static bool is_over(TransactionId xid, uint64 age, bool *committed);
static PendingFile *add_pending(const FilePlace *place, const char *folder, const char *name);
static void commit_files(void);
static void finish_files(void);
static void abort_files(int level);
static void remove_file(PendingFile *file);
static void sync_folder(const FilePlace *place, const char *folder);
static void register_callbacks(void);
static void at_xact_event(XactEvent event, void *arg);
static void at_subxact_event(SubXactEvent event, SubTransactionId subid,
							 SubTransactionId parent, void *arg);

int
FeathubFilePendingOpen(const FilePlace *place, const char *folder, const char *name)
{
	PendingFile *file;
	int			dir;
	int			fd;
	int			save_errno;

	register_callbacks();
	if (!id_logged)
	{
		/*
		 * An id that no record of the log has is given to another transaction
		 * after a crash; what that does must not decide on our files.
		 */
		feathub_log_message("feathub files", "", 0);
		id_logged = true;
	}
	dir = FeathubFileMakeFolders(place, folder);
	file = add_pending(place, folder, name);
	file->temporary = MemoryContextStrdup(pending_context,
										  psprintf(PENDING_PREFIX UINT64_FORMAT "-" UINT64_FORMAT "-%s",
												   GetSystemIdentifier(),
												   U64FromFullTransactionId(GetTopFullTransactionId()),
												   name));
	fd = openat(dir, file->temporary, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0640);
	save_errno = errno;
	close(dir);
	if (fd < 0)
	{
		errno = save_errno;
		FeathubFileError(place, psprintf("%s%s%s", folder, folder[0] ? "/" : "", name),
						 "create file");
	}
	file->has_temporary = true;

	/* as COPY's files: whoever reaches the folder can read them */
	(void) fchmod(fd, 0644);
	return fd;
}

void
FeathubFilePendingPositions(FilePositions *batch)
{
	register_callbacks();
	positions = batch;
}

static void
register_callbacks(void)
{
	if (callbacks_registered)
		return;
	RegisterXactCallback(at_xact_event, NULL);
	RegisterSubXactCallback(at_subxact_event, NULL);
	callbacks_registered = true;
}

bool
FeathubFileIsPendingName(const char *name)
{
	return strncmp(name, PENDING_PREFIX, strlen(PENDING_PREFIX)) == 0;
}

bool
FeathubFilePendingCleanUp(int folder, const char *name)
{
	const char *p = name + strlen(PENDING_PREFIX);
	char	   *end;
	uint64		system;
	uint64		number;
	FullTransactionId next = ReadNextFullTransactionId();
	TransactionId xid;
	struct stat temporary;
	struct stat final;
	bool		committed;

	system = strtoull(p, &end, 10);
	if (end == p || *end != '-' || system != GetSystemIdentifier())
		return false;
	p = end + 1;
	number = strtoull(p, &end, 10);
	if (end == p || *end != '-' || end[1] == '\0' || strchr(end + 1, '/') != NULL)
		return false;

	/* a standby does not know enough, and changes nothing */
	if (RecoveryInProgress() || number >= U64FromFullTransactionId(next))
		return false;
	xid = XidFromFullTransactionId(FullTransactionIdFromU64(number));
	if (!TransactionIdIsNormal(xid) || TransactionIdIsCurrentTransactionId(xid))
		return false;

	if (!is_over(xid, U64FromFullTransactionId(next) - number, &committed))
		return false;

	if (!committed &&
		fstatat(folder, name, &temporary, AT_SYMLINK_NOFOLLOW) == 0 &&
		fstatat(folder, end + 1, &final, AT_SYMLINK_NOFOLLOW) == 0 &&
		temporary.st_dev == final.st_dev && temporary.st_ino == final.st_ino)
		(void) unlinkat(folder, end + 1, 0);
	if (unlinkat(folder, name, 0) != 0)
		return false;
	ereport(DEBUG1,
			(errmsg_internal("removed file \"%s\" of a transaction that is over", name)));
	return !committed;
}

/*
 * Is a transaction over, and did it commit?  False also if it is so old that
 * the server no longer knows (as txid_status has it).
 */
static bool
is_over(TransactionId xid, uint64 age, bool *committed)
{
	bool		over = false;

	if (age > PG_INT32_MAX)
		return false;
	LWLockAcquire(XactTruncationLock, LW_SHARED);
	if (!TransactionIdPrecedes(xid, feathub_oldest_clog_xid()) &&
		!TransactionIdIsInProgress(xid))
	{
		*committed = TransactionIdDidCommit(xid);
		over = true;
	}
	LWLockRelease(XactTruncationLock);
	return over;
}

int
FeathubFileMakeFolders(const FilePlace *place, const char *folder)
{
	int			fd = FeathubFileOpen(place, folder, O_RDONLY | O_DIRECTORY, 0);
	const char *last;
	int			parent;

	if (fd >= 0)
		return fd;
	if (errno != ENOENT || folder[0] == '\0')
		FeathubFileError(place, folder, "open folder");

	last = strrchr(folder, '/');
	if (last != NULL)
	{
		char	   *above = pnstrdup(folder, last - folder);

		close(FeathubFileMakeFolders(place, above));
		pfree(above);
	}
	parent = FeathubFileOpenParent(place, folder, &last);
	if (parent < 0)
		FeathubFileError(place, folder, "create folder");
	if (mkdirat(parent, last, 0750) == 0)
	{
		PendingFile *file;

		if (fchmodat(parent, last, 0755, 0) != 0)
			ereport(DEBUG1,
					(errcode_for_file_access(),
					 errmsg_internal("could not set permissions of folder \"%s\": %m", folder)));
		close(parent);
		file = add_pending(place, folder, "");
		file->is_folder = true;
	}
	else
	{
		int			save_errno = errno;

		close(parent);
		errno = save_errno;
		/* another transaction may have been faster */
		if (errno != EEXIST)
			FeathubFileError(place, folder, "create folder");
	}
	fd = FeathubFileOpen(place, folder, O_RDONLY | O_DIRECTORY, 0);
	if (fd < 0)
		FeathubFileError(place, folder, "open folder");
	return fd;
}

static PendingFile *
add_pending(const FilePlace *place, const char *folder, const char *name)
{
	PendingFile *file;
	MemoryContext old;

	if (pending_context == NULL)
		pending_context = AllocSetContextCreate(TopMemoryContext, "feathub pending files",
												ALLOCSET_DEFAULT_SIZES);
	old = MemoryContextSwitchTo(pending_context);
	file = palloc0(sizeof(PendingFile));
	file->place.base = pstrdup(place->base);
	file->place.confined = place->confined;
	file->folder = pstrdup(folder);
	file->name = pstrdup(name);
	file->level = GetCurrentTransactionNestLevel();
	file->next = pending;
	pending = file;
	MemoryContextSwitchTo(old);
	return file;
}

/* Before the commit: give all files their names.  May fail. */
static void
commit_files(void)
{
	const char *synced = NULL;

	if (positions != NULL)
		FeathubFilePositionsCommit(positions, pending);
	for (PendingFile *file = pending; file != NULL; file = file->next)
	{
		int			dir;

		CHECK_FOR_INTERRUPTS();
		if (file->is_folder || !file->has_temporary)
			continue;
		dir = FeathubFileOpen(&file->place, file->folder, O_RDONLY | O_DIRECTORY, 0);
		if (dir < 0)
			FeathubFileError(&file->place, file->folder, "open folder");
		if (linkat(dir, file->temporary, dir, file->name, 0) == 0)
			file->linked = true;
		else if ((errno == EPERM || errno == EOPNOTSUPP || errno == ENOSYS || errno == EMLINK) &&
				 renameat2(dir, file->temporary, dir, file->name, RENAME_NOREPLACE) == 0)
		{
			file->linked = true;
			file->has_temporary = false;
		}
		else
		{
			int			save_errno = errno;

			close(dir);
			errno = save_errno;
			FeathubFileError(&file->place,
							 psprintf("%s%s%s", file->folder, file->folder[0] ? "/" : "",
									  file->name), "create file");
		}
		close(dir);
	}

	/* files of one folder mostly follow each other */
	for (PendingFile *file = pending; file != NULL; file = file->next)
	{
		char	   *slash;

		CHECK_FOR_INTERRUPTS();
		if (file->is_folder)
		{
			char	   *above = pstrdup(file->folder);

			slash = strrchr(above, '/');
			above[slash ? slash - above : 0] = '\0';
			sync_folder(&file->place, above);
			pfree(above);
		}
		else if (file->linked && (synced == NULL || strcmp(synced, file->folder) != 0))
		{
			sync_folder(&file->place, file->folder);
			synced = file->folder;
		}
	}
}

/* After the commit: the first names go.  Must not fail. */
static void
finish_files(void)
{
	for (PendingFile *file = pending; file != NULL; file = file->next)
	{
		int			dir;

		if (file->is_folder || !file->has_temporary || !file->linked)
			continue;
		dir = FeathubFileOpen(&file->place, file->folder, O_RDONLY | O_DIRECTORY, 0);
		if (dir < 0 || unlinkat(dir, file->temporary, 0) != 0)
			ereport(WARNING,
					(errcode_for_file_access(),
					 errmsg("could not remove file \"%s\": %m", file->temporary)));
		if (dir >= 0)
			close(dir);
	}
}

/* Remove all files made at a level of subtransaction or deeper. */
static void
abort_files(int level)
{
	while (pending != NULL && pending->level >= level)
	{
		remove_file(pending);
		pending = pending->next;
	}
}

/* Must not fail: it runs in an abort. */
static void
remove_file(PendingFile *file)
{
	const char *last;
	int			dir;

	if (file->is_folder)
	{
		/* others may have put files into it */
		dir = FeathubFileOpenParent(&file->place, file->folder, &last);
		if (dir >= 0)
		{
			(void) unlinkat(dir, last, AT_REMOVEDIR);
			close(dir);
		}
		return;
	}
	if (!file->has_temporary && !file->linked)
		return;
	dir = FeathubFileOpen(&file->place, file->folder, O_RDONLY | O_DIRECTORY, 0);
	if (dir < 0 ||
		(file->linked && unlinkat(dir, file->name, 0) != 0) ||
		(file->has_temporary && unlinkat(dir, file->temporary, 0) != 0))
		ereport(WARNING,
				(errcode_for_file_access(),
				 errmsg("could not remove file \"%s\": %m", file->temporary)));
	if (dir >= 0)
		close(dir);
	file->linked = file->has_temporary = false;
}

static void
sync_folder(const FilePlace *place, const char *folder)
{
	int			dir = FeathubFileOpen(place, folder, O_RDONLY | O_DIRECTORY, 0);

	/* some file systems cannot, and say so by EINVAL */
	if (dir < 0 || (enableFsync && fsync(dir) != 0 && errno != EINVAL && errno != EBADF))
	{
		int			save_errno = errno;

		if (dir >= 0)
			close(dir);
		errno = save_errno;
		FeathubFileError(place, folder, "fsync folder");
	}
	close(dir);
}

static void
forget_all(void)
{
	id_logged = false;
	positions = NULL;
	pending = NULL;
	if (pending_context)
		MemoryContextReset(pending_context);
}

static void
at_xact_event(XactEvent event, void *arg)
{
	if (pending == NULL && positions == NULL)
	{
		if (event == XACT_EVENT_COMMIT || event == XACT_EVENT_ABORT)
			id_logged = false;
		return;
	}
	switch (event)
	{
		case XACT_EVENT_PRE_COMMIT:
			commit_files();
			break;
		case XACT_EVENT_COMMIT:
			finish_files();
			forget_all();
			break;
		case XACT_EVENT_ABORT:
			abort_files(0);
			forget_all();
			break;
		case XACT_EVENT_PRE_PREPARE:
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("cannot PREPARE a transaction that has written files through feathub_filesystem")));
			break;
		default:
			break;
	}
}

static void
at_subxact_event(SubXactEvent event, SubTransactionId subid,
				 SubTransactionId parent, void *arg)
{
	int			level = GetCurrentTransactionNestLevel();

	if (pending == NULL)
		return;
	if (event == SUBXACT_EVENT_ABORT_SUB)
		abort_files(level);
	else if (event == SUBXACT_EVENT_COMMIT_SUB)
	{
		for (PendingFile *file = pending; file != NULL && file->level >= level; file = file->next)
			file->level = level - 1;
	}
}
