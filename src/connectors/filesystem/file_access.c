/*
 * file_access.c
 *		Opening files and folders with the rights of a table's owner.
 *
 * An owner with the privileges of pg_read_server_files (pg_write_server_files
 * to write) reaches what the server's operating system user can.  Others reach
 * the folders of setting feathub.allowed_folders: every step below such a
 * folder is an openat of its own that follows no symbolic link, so that nobody
 * who can write there leads the server elsewhere, whatever they rename while
 * it looks.
 */
#include "postgres.h"

#include <fcntl.h>
#include <unistd.h>

#include "catalog/pg_authid.h"
#include "catalog/pg_class.h"
#include "miscadmin.h"
#include "storage/fd.h"
#include "utils/acl.h"
#include "utils/memutils.h"
#include "utils/syscache.h"

#include "connectors/filesystem/filesystem.h"
#include "core/compat.h"
#include "core/folders.h"

static int	open_step(int folder, const char *name, int flags, mode_t mode);
static void close_handle(void *arg);
static Oid	owner_of(Oid relid);

FilePlace *
FeathubFilePlace(const char *folder, const char *path, Oid roleid, bool write)
{
	FilePlace  *place = palloc0(sizeof(FilePlace));
	Oid			needed = write ? ROLE_PG_WRITE_SERVER_FILES : ROLE_PG_READ_SERVER_FILES;
	char	   *full;
	const char *allowed;
	Size		len;

	if (!is_absolute_path(path))
	{
		if (folder == NULL)
			ereport(ERROR,
					(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
					 errmsg("path \"%s\" is not absolute", path),
					 errhint("Set option \"folder\" of the foreign server, where relative paths begin.")));
		full = psprintf("%s/%s", folder, path);
	}
	else
		full = pstrdup(path);
	FeathubFoldersCheckPath(full);
	canonicalize_path(full);

	if (has_privs_of_role(roleid, needed))
	{
		place->base = pstrdup("/");
		place->pattern = pstrdup(full + 1);
		return place;
	}

	allowed = FeathubFoldersFind(FeathubFoldersOf(roleid), full);
	if (allowed == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied for path \"%s\"", full),
				 errdetail("Role \"%s\" has neither the privileges of role \"%s\" nor a folder in setting \"%s\" that holds the path.",
						   GetUserNameFromId(roleid, false),
						   write ? "pg_write_server_files" : "pg_read_server_files",
						   "feathub.allowed_folders")));
	len = strcmp(allowed, "/") == 0 ? 0 : strlen(allowed);
	place->base = pstrdup(allowed);
	place->pattern = pstrdup(full[len] == '/' ? full + len + 1 : full + len);
	place->confined = true;
	return place;
}

FilePlace *
FeathubFilePlaceOf(FeathubRelation *rel, bool write)
{
	FileOptions *options = rel->options;

	return FeathubFilePlace(options->folder, options->path, owner_of(rel->relid), write);
}

char *
FeathubFileFullName(const FilePlace *place, const char *name)
{
	if (name[0] == '\0')
		return pstrdup(place->base);
	return psprintf("%s/%s", strcmp(place->base, "/") == 0 ? "" : place->base, name);
}

int
FeathubFileOpen(const FilePlace *place, const char *name, int flags, mode_t mode)
{
	const char *last;
	int			folder;
	int			fd;
	int			save_errno;

	flags |= O_CLOEXEC;
	if (!place->confined || name[0] == '\0')
	{
		char	   *full = FeathubFileFullName(place, name);

		fd = open(full, flags, mode);
		pfree(full);
		return fd;
	}
	folder = FeathubFileOpenParent(place, name, &last);
	if (folder < 0)
		return -1;
	fd = open_step(folder, last, flags, mode);
	save_errno = errno;
	close(folder);
	errno = save_errno;
	return fd;
}

int
FeathubFileOpenParent(const FilePlace *place, const char *name, const char **last)
{
	int			folder;
	const char *p = name;

	*last = strrchr(name, '/');
	*last = *last ? *last + 1 : name;
	if (!place->confined)
	{
		char	   *full = FeathubFileFullName(place, name);
		char	   *slash = strrchr(full, '/');

		slash[slash == full ? 1 : 0] = '\0';
		folder = open(full, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		pfree(full);
		return folder;
	}

	/* base itself is the superuser's word */
	folder = open(place->base, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	while (folder >= 0 && p < *last)
	{
		Size		len = strcspn(p, "/");
		char	   *step = pnstrdup(p, len);
		int			next = open_step(folder, step, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
		int			save_errno = errno;

		close(folder);
		pfree(step);
		errno = save_errno;
		folder = next;
		p += len;
		while (*p == '/')
			p++;
	}
	return folder;
}

void
FeathubFileError(const FilePlace *place, const char *name, const char *action)
{
	int			save_errno = errno;
	char	   *full = FeathubFileFullName(place, name);

	errno = save_errno;
	if (place->confined && (errno == ELOOP || errno == ENOTDIR))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("could not %s \"%s\": %m", action, full),
				 errdetail("Symbolic links are not followed below the folders of setting \"%s\".",
						   "feathub.allowed_folders")));
	ereport(ERROR,
			(errcode_for_file_access(),
			 errmsg("could not %s \"%s\": %m", action, full)));
}

FileHandle *
FeathubFileHandle(int fd)
{
	FileHandle *handle = palloc0(sizeof(FileHandle));

	ReserveExternalFD();
	handle->fd = fd;
	handle->callback.func = close_handle;
	handle->callback.arg = handle;
	MemoryContextRegisterResetCallback(CurrentMemoryContext, &handle->callback);
	return handle;
}

void
FeathubFileHandleClose(FileHandle *handle)
{
	close_handle(handle);
}

/* One step that follows no link, and nothing that is not a file or folder. */
static int
open_step(int folder, const char *name, int flags, mode_t mode)
{
	if (strcmp(name, "..") == 0)
	{
		errno = ELOOP;
		return -1;
	}
	return openat(folder, name, flags | O_NOFOLLOW | O_CLOEXEC, mode);
}

static void
close_handle(void *arg)
{
	FileHandle *handle = arg;

	if (handle->fd < 0)
		return;
	if (handle->dir)
		closedir(handle->dir);
	else
		close(handle->fd);
	handle->fd = -1;
	handle->dir = NULL;
	ReleaseExternalFD();
}

static Oid
owner_of(Oid relid)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
	Oid			owner;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for relation %u", relid);
	owner = ((Form_pg_class) GETSTRUCT(tuple))->relowner;
	ReleaseSysCache(tuple);
	return owner;
}
