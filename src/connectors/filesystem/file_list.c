/*
 * file_list.c
 *		Finding the files of a path: a file, a pattern, a folder with all that
 *		is below it.
 *
 * A stack of open folders is walked depth first.  Of each folder a batch of
 * names is kept and sorted; a folder with more names than a batch takes is
 * listed in several sorted runs, so that memory does not grow with it.
 *
 * Names that begin with "." are never files of a table, nor are those with "_"
 * (marks and work folders of other systems) unless the pattern names them or
 * they are partition folders (_day=1).  New files of transactions that have not
 * committed begin with "." too; those that a crash left are removed on the way
 * (file_pending.c).
 */
#include "postgres.h"

#include <fcntl.h>
#include <fnmatch.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/memutils.h"

#include "connectors/filesystem/file_pending.h"
#include "connectors/filesystem/filesystem.h"
#include "core/hex.h"
#include "formats/convert.h"

/* Names kept of one folder. */
#define BATCH_NAMES		4096

/* Deeper trees are taken for a loop of symbolic links. */
#define MAX_DEPTH		64

typedef enum EntryKind
{
	ENTRY_FILE,
	ENTRY_FOLDER
} EntryKind;

typedef struct Entry
{
	char	   *name;
	EntryKind	kind;
} Entry;

typedef struct Level
{
	FileHandle *handle;
	int			part;			/* of the pattern that names here must match;
								 * nparts: any */
	Size		name_len;		/* of the list's name up to this folder */
	MemoryContext context;		/* of the names */
	Entry	   *entries;
	int			nentries;
	int			next;
	bool		complete;		/* the folder has no more names */
	MemoryContext level_context;	/* of the handle */
} Level;

struct FileList
{
	const FilePlace *place;
	const FileListHooks *hooks;
	MemoryContext context;
	int			nparts;
	char	  **parts;			/* of the pattern */
	Level		levels[MAX_DEPTH];
	int			nlevels;
	StringInfoData name;		/* of the current file */
	char	   *single;			/* the path is a file: its name, or NULL */
	bool		done;
	int64		skipped;
};

struct FilePartitions
{
	const FileColumns *columns;
	FeathubConverter **converters;
	FeathubConvertSettings settings;
};

static void append_name(StringInfo path, const char *name);
static void leave_out(FileList *list, const char *what);
static void start(FileList *list);
static void push(FileList *list, int fd, int part);
static void pop(FileList *list);
static void fill(FileList *list, Level *level);
static bool wanted_name(FileList *list, int part, const char *name);
static bool wanted_file(FileList *list, int part, const char *name);
static bool enter(FileList *list, Level *level, Entry *entry);
static int	compare_entries(const void *a, const void *b);
static bool is_hidden(const char *name);

bool
FeathubFileIsPattern(const char *pattern)
{
	return strpbrk(pattern, "*?[\\") != NULL;
}

FileList *
FeathubFileListBegin(const FilePlace *place, const FileListHooks *hooks)
{
	FileList   *list = palloc0(sizeof(FileList));
	char	   *rest = pstrdup(place->pattern);
	char	   *part;

	list->place = place;
	list->hooks = hooks;
	list->context = CurrentMemoryContext;
	list->parts = palloc(sizeof(char *) * (strlen(rest) + 1));
	while ((part = strsep(&rest, "/")) != NULL)
	{
		if (part[0] != '\0')
			list->parts[list->nparts++] = part;
	}
	for (int i = 0; i < list->nparts - 2; i++)
	{
		if (strcmp(list->parts[i], "**") == 0)
			ereport(ERROR,
					(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
					 errmsg("invalid path: \"%s\"", FeathubFileFullName(place, place->pattern)),
					 errdetail("Behind \"**\" there may be one pattern of file names only.")));
	}
	initStringInfo(&list->name);
	start(list);
	return list;
}

const char *
FeathubFileListNext(FileList *list)
{
	if (list->single != NULL)
	{
		char	   *name = list->single;

		list->single = NULL;
		list->done = true;
		if (list->hooks && list->hooks->want && !list->hooks->want(list->hooks->arg, name, false))
		{
			list->skipped++;
			return NULL;
		}
		return name;
	}
	while (list->nlevels > 0)
	{
		Level	   *level = &list->levels[list->nlevels - 1];
		Entry	   *entry;

		CHECK_FOR_INTERRUPTS();
		if (level->next >= level->nentries)
		{
			if (level->complete)
			{
				pop(list);
				continue;
			}
			fill(list, level);
			continue;
		}
		entry = &level->entries[level->next++];
		list->name.len = level->name_len;
		list->name.data[list->name.len] = '\0';
		append_name(&list->name, entry->name);
		if (list->hooks && list->hooks->want &&
			!list->hooks->want(list->hooks->arg, list->name.data, entry->kind == ENTRY_FOLDER))
		{
			list->skipped++;
			continue;
		}
		if (entry->kind == ENTRY_FILE)
			return list->name.data;
		(void) enter(list, level, entry);
	}
	list->done = true;
	return NULL;
}

void
FeathubFileListEnd(FileList *list)
{
	while (list->nlevels > 0)
		pop(list);
	list->single = NULL;
}

int64
FeathubFileListSkipped(FileList *list)
{
	return list->skipped;
}

static void
append_name(StringInfo path, const char *name)
{
	if (path->len > 0)
		appendStringInfoChar(path, '/');
	appendStringInfoString(path, name);
}

/* What list->name is cannot be looked at; errno says why. */
static void
leave_out(FileList *list, const char *what)
{
	if (list->hooks == NULL || list->hooks->failed == NULL)
		FeathubFileError(list->place, list->name.data, what);
	list->hooks->failed(list->hooks->arg, list->name.data, what);
}

/* Open what the pattern names before its first part with wild cards. */
static void
start(FileList *list)
{
	const FilePlace *place = list->place;
	int			part = 0;
	int			fd;
	struct stat st;

	while (part < list->nparts && !FeathubFileIsPattern(list->parts[part]))
	{
		append_name(&list->name, list->parts[part++]);
	}
	fd = FeathubFileOpen(place, list->name.data, O_RDONLY | O_NONBLOCK, 0);
	if (fd < 0)
		FeathubFileError(place, list->name.data, "open");
	if (fstat(fd, &st) < 0)
	{
		int			save_errno = errno;

		close(fd);
		errno = save_errno;
		FeathubFileError(place, list->name.data, "stat");
	}
	if (S_ISDIR(st.st_mode))
	{
		push(list, fd, part);
		return;
	}
	close(fd);
	if (part < list->nparts)
	{
		errno = ENOTDIR;
		FeathubFileError(place, list->name.data, "open folder");
	}
	if (!S_ISREG(st.st_mode))
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" is neither a regular file nor a folder",
						FeathubFileFullName(place, list->name.data))));
	list->single = list->name.data;
}

/* Take over an open folder; list->name is its own. */
static void
push(FileList *list, int fd, int part)
{
	MemoryContext old = MemoryContextSwitchTo(list->context);
	Level	   *level = &list->levels[list->nlevels];
	DIR		   *dir;

	if (list->nlevels >= MAX_DEPTH)
	{
		close(fd);
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("folders below \"%s\" are nested more than %d deep",
						FeathubFileFullName(list->place, list->name.data), MAX_DEPTH)));
	}
	if (list->hooks && list->hooks->opened)
		list->hooks->opened(list->hooks->arg, fd, list->name.data, part);
	dir = fdopendir(fd);
	if (dir == NULL)
	{
		int			save_errno = errno;

		close(fd);
		errno = save_errno;
		FeathubFileError(list->place, list->name.data, "open folder");
	}
	memset(level, 0, sizeof(Level));
	level->level_context = AllocSetContextCreate(list->context, "feathub file list",
												 ALLOCSET_SMALL_SIZES);
	MemoryContextSwitchTo(level->level_context);
	level->handle = FeathubFileHandle(fd);
	level->handle->dir = dir;
	level->context = AllocSetContextCreate(level->level_context, "feathub file names",
										   ALLOCSET_SMALL_SIZES);
	level->part = part;
	level->name_len = list->name.len;
	list->nlevels++;
	MemoryContextSwitchTo(old);
}

static void
pop(FileList *list)
{
	Level	   *level = &list->levels[--list->nlevels];

	FeathubFileHandleClose(level->handle);
	MemoryContextDelete(level->level_context);
}

/* Read the next batch of names of a folder. */
static void
fill(FileList *list, Level *level)
{
	MemoryContext old;
	int			fd = level->handle->fd;
	bool		leftovers = false;

	MemoryContextReset(level->context);
	old = MemoryContextSwitchTo(level->context);
	level->entries = palloc(sizeof(Entry) * BATCH_NAMES);
	level->nentries = level->next = 0;
	while (level->nentries < BATCH_NAMES)
	{
		struct dirent *de;
		struct stat st;
		unsigned char type;

		CHECK_FOR_INTERRUPTS();
		/* of the name before, if that was left out */
		list->name.len = level->name_len;
		list->name.data[list->name.len] = '\0';
		errno = 0;
		de = readdir(level->handle->dir);
		if (de == NULL)
		{
			if (errno != 0)
				leave_out(list, "read folder");
			level->complete = true;
			break;
		}
		if (FeathubFileIsPendingName(de->d_name))
		{
			leftovers |= FeathubFilePendingCleanUp(fd, de->d_name);
			continue;
		}
		if (!wanted_name(list, level->part, de->d_name))
			continue;
		type = de->d_type;
		if (type == DT_UNKNOWN || type == DT_LNK)
		{
			if (fstatat(fd, de->d_name, &st,
						list->place->confined ? AT_SYMLINK_NOFOLLOW : 0) < 0)
			{
				/* removed in between; a link to nowhere is an error below */
				if (errno == ENOENT && type != DT_LNK)
					continue;
				append_name(&list->name, de->d_name);
				leave_out(list, "stat");
				continue;
			}
			type = S_ISDIR(st.st_mode) ? DT_DIR : S_ISREG(st.st_mode) ? DT_REG :
				S_ISLNK(st.st_mode) ? DT_LNK : DT_UNKNOWN;
		}
		if (type == DT_LNK)
		{
			/* not left out in silence */
			append_name(&list->name, de->d_name);
			errno = ELOOP;
			leave_out(list, "open");
			continue;
		}
		if (type != DT_DIR && type != DT_REG)
			continue;
		if (type == DT_REG && !wanted_file(list, level->part, de->d_name))
			continue;
		level->entries[level->nentries].name = pstrdup(de->d_name);
		level->entries[level->nentries++].kind = type == DT_DIR ? ENTRY_FOLDER : ENTRY_FILE;
	}
	if (leftovers)
	{
		/* what was removed may be among the names */
		int			n = 0;

		for (int i = 0; i < level->nentries; i++)
		{
			if (faccessat(fd, level->entries[i].name, F_OK, AT_SYMLINK_NOFOLLOW) == 0 ||
				errno != ENOENT)
				level->entries[n++] = level->entries[i];
		}
		level->nentries = n;
	}
	qsort(level->entries, level->nentries, sizeof(Entry), compare_entries);
	MemoryContextSwitchTo(old);
}

/* Does a name match its part of the pattern, or any way there is? */
static bool
wanted_name(FileList *list, int part, const char *name)
{
	const char *pattern;

	if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return false;
	if (part >= list->nparts)
		return !is_hidden(name);
	pattern = list->parts[part];
	if (strcmp(pattern, "**") == 0)
		return !is_hidden(name);
	if (is_hidden(name) && pattern[0] != '_' && pattern[0] != '.')
		return false;
	if (!FeathubFileIsPattern(pattern))
		return strcmp(pattern, name) == 0;
	return fnmatch(pattern, name, FNM_PERIOD) == 0;
}

/* Such a name: may it be a file's? */
static bool
wanted_file(FileList *list, int part, const char *name)
{
	if (part >= list->nparts - 1)
		return true;
	if (strcmp(list->parts[part], "**") != 0)
		return false;
	return part != list->nparts - 2 ||
		fnmatch(list->parts[part + 1], name, FNM_PERIOD) == 0;
}

bool
FeathubFileListTakes(FileList *list, int part, const char *name)
{
	return !FeathubFileIsPendingName(name) && wanted_name(list, part, name) &&
		wanted_file(list, part, name);
}

bool
FeathubFileListStat(FileList *list, struct statx *st)
{
	const unsigned int mask = STATX_BASIC_STATS | STATX_BTIME;
	Level	   *level;
	int			fd;

	if (list->nlevels > 0)
	{
		/* by its folder: the fewest steps, and the folder that was listed */
		level = &list->levels[list->nlevels - 1];
		if (statx(level->handle->fd, level->entries[level->next - 1].name,
				  list->place->confined ? AT_SYMLINK_NOFOLLOW : 0, mask, st) == 0)
			return true;
		if (errno != ENOENT)
			leave_out(list, "stat file");
		return false;
	}
	fd = FeathubFileOpen(list->place, list->name.data, O_PATH, 0);
	if (fd < 0)
	{
		if (errno == ENOENT)
			return false;
		FeathubFileError(list->place, list->name.data, "stat file");
	}
	if (statx(fd, "", AT_EMPTY_PATH, mask, st) != 0)
	{
		int			save_errno = errno;

		close(fd);
		errno = save_errno;
		FeathubFileError(list->place, list->name.data, "stat file");
	}
	close(fd);
	return true;
}

/*
 * Go down into a folder; list->name is its own.  "**" stands for folders of
 * any depth.
 */
static bool
enter(FileList *list, Level *level, Entry *entry)
{
	int			part = level->part < list->nparts ? level->part + 1 : level->part;
	int			flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC;
	int			fd;

	if (level->part < list->nparts && strcmp(list->parts[level->part], "**") == 0)
		part = level->part;
	fd = openat(level->handle->fd, entry->name,
				flags | (list->place->confined ? O_NOFOLLOW : 0));
	if (fd < 0)
	{
		if (errno != ENOENT)
			leave_out(list, "open folder");
		return false;
	}
	push(list, fd, part);
	return true;
}

static int
compare_entries(const void *a, const void *b)
{
	return strcmp(((const Entry *) a)->name, ((const Entry *) b)->name);
}

static bool
is_hidden(const char *name)
{
	return name[0] == '.' || (name[0] == '_' && strchr(name, '=') == NULL);
}

/* Partition columns */

FilePartitions *
FeathubFilePartitions(const FileColumns *columns)
{
	FilePartitions *partitions = palloc0(sizeof(FilePartitions));

	partitions->columns = columns;
	partitions->settings.scratch = AllocSetContextCreate(CurrentMemoryContext,
														 "feathub file partitions",
														 ALLOCSET_SMALL_SIZES);
	partitions->converters = palloc0(sizeof(FeathubConverter *) * Max(columns->npartitions, 1));
	for (int i = 0; i < columns->npartitions; i++)
		partitions->converters[i] = FeathubConverterMake(columns->partitions[i].typid,
														 columns->partitions[i].typmod,
														 &partitions->settings);
	return partitions;
}

int
FeathubFilePartitionValues(FilePartitions *partitions, const char *path,
						   Datum *values, bool *isnull, bool *found)
{
	const FileColumns *columns = partitions->columns;
	int			nfound = 0;

	for (int i = 0; i < columns->npartitions; i++)
		found[i] = false;
	for (const char *p = path; *p != '\0';)
	{
		Size		len = strcspn(p, "/");
		const char *equals = memchr(p, '=', len);
		const char *part = p;

		p += len;
		while (*p == '/')
			p++;
		if (equals == NULL)
			continue;
		for (int i = 0; i < columns->npartitions; i++)
		{
			const FeathubColumn *column = &columns->partitions[i];
			FeathubDecodeError error = {0};
			StringInfoData value;
			bool		ok;

			if (strlen(column->name) != equals - part ||
				memcmp(column->name, part, equals - part) != 0)
				continue;
			initStringInfo(&value);
			for (const char *s = equals + 1; s < part + len; s++)
			{
				if (*s == '%' && s + 2 < part + len &&
					FeathubHexDigit(s[1]) >= 0 && FeathubHexDigit(s[2]) >= 0)
				{
					appendStringInfoChar(&value, (char) (FeathubHexDigit(s[1]) << 4 | FeathubHexDigit(s[2])));
					s += 2;
				}
				else
					appendStringInfoChar(&value, *s);
			}
			isnull[column->attnum - 1] = strcmp(value.data, FILE_HIVE_NULL) == 0;
			if (isnull[column->attnum - 1])
				ok = FeathubConvertNull(partitions->converters[i], &error);
			else
				ok = strlen(value.data) == value.len &&
					pg_verifymbstr(value.data, value.len, true) &&
					FeathubConvertText(partitions->converters[i], value.data, value.len,
									   &values[column->attnum - 1], &error);
			if (!ok)
				ereport(ERROR,
						(errcode(error.sqlerrcode ? error.sqlerrcode : ERRCODE_CHARACTER_NOT_IN_REPERTOIRE),
						 errmsg("invalid value for partition column \"%s\" in path \"%s\"",
								column->name, path),
						 error.message ? errdetail_internal("%s", error.message) : 0));
			if (!found[i])
				nfound++;
			found[i] = true;
		}
	}
	return nfound;
}
