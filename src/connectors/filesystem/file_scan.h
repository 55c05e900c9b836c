/*
 * file_scan.h
 *		A scan of files that runs: what file_scan.c, file_parallel.c and
 *		file_explain.c share.
 */
#ifndef FEATHUB_CONNECTORS_FILESYSTEM_FILE_SCAN_H
#define FEATHUB_CONNECTORS_FILESYSTEM_FILE_SCAN_H

#include "storage/buffile.h"
#include "storage/condition_variable.h"
#include "storage/lwlock.h"
#include "storage/sharedfileset.h"

#include "connectors/filesystem/file_restrict.h"
#include "connectors/filesystem/file_row.h"

/* Bytes of a plain file that one process takes at a time. */
#define FILE_RANGE_SIZE		(1024 * 1024)

/*
 * What the processes of a parallel scan share.  The first one that needs a file
 * lists them all into a temporary file, in which the others read on; under the
 * lock a process takes the next range or unit of the current file, or the next
 * file.
 *
 * A range of a text file needs to know whether it begins within quotes, and in
 * which line.  Ranges are numbered in the order in which they were taken; each
 * process counts quotes and lines of its range and passes the sums on, waiting
 * for the range before: all that it waits for is another's counting.
 */
typedef struct FileShared
{
	SharedFileSet fileset;
	LWLock		lock;
	ConditionVariable changed;
	int			list_state;		/* FILE_LIST_... */
	uint32		generation;		/* of the list, one for each rescan */
	int			list_file;		/* where in the list the next name is */
	off_t		list_offset;
	int64		file;			/* number of the current file, 0: none yet */
	bool		has_file;
	char		name[MAXPGPATH];	/* of the current file */
	int64		size;			/* its size for all, or -1: not opened yet */
	int64		next;			/* range or unit of it */
	int64		tickets;		/* ranges taken */

	/* Of the range with number "passed" and all before it; under the lock */
	int64		passed;
	int64		passed_file;
	bool		in_quotes;
	bool		at_start;		/* the next range begins with a record */
	int64		lines;

	pg_atomic_uint64 rejected;
	pg_atomic_uint64 counts[6];	/* FileCounts of those that have ended */
	int64		skipped;		/* files and folders left out */
} FileShared;

enum
{
	FILE_LIST_NONE,
	FILE_LIST_RUNNING,
	FILE_LIST_DONE
};

typedef struct FileScanState
{
	FeathubScan *scan;
	FilePlace  *place;
	FileRestrict *restriction;
	FileReader *reader;
	FileList   *list;			/* not in a parallel scan */
	MemoryContext list_context; /* of one rescan */
	bool		in_file;		/* the reader has rows, perhaps */
	int			unit;			/* of a container: the next one */
	bool		done;
	bool		never_rescanned;
	int64		skipped;

	/* Parallel */
	FileShared *shared;
	bool		is_leader;
	BufFile    *names;
	int64		file;			/* the reader's, as FileShared.file */
	FileCounts	added;			/* what of the reader's counts is in the shared ones */
	FileCounts	total;			/* of all processes, at the end */
	bool		has_total;
} FileScanState;

/* Items of FeathubScanPlan.private. */
enum
{
	FILE_SCAN_RESTRICT,			/* List: of FeathubFileRestrictPlan */
	FILE_SCAN_DESCRIPTION		/* String: clauses that choose files, or "" */
};

/* file_parallel.c: go to the next range, unit or file; false: there is none. */
extern bool FeathubFileParallelNext(FileScanState *state);
extern void FeathubFileParallelCount(FileScanState *state);

#endif							/* FEATHUB_CONNECTORS_FILESYSTEM_FILE_SCAN_H */
