/*
 * file_stream.h
 *		Following files: what the parts of it share.
 *
 * file_stream.c has the callbacks, file_watch.c knows which files there are,
 * file_follow.c reads them, file_stream_row.c makes rows of what was read.
 */
#ifndef FEATHUB_CONNECTORS_FILESYSTEM_FILE_STREAM_H
#define FEATHUB_CONNECTORS_FILESYSTEM_FILE_STREAM_H

#include <sys/stat.h>

#include "access/htup.h"
#include "utils/hsearch.h"

#include "connectors/filesystem/file_row.h"

/* Bytes of a file are in the lower bits of a position, its life above. */
#define LIFE_BITS		44
#define OFFSET_MASK		((INT64CONST(1) << LIFE_BITS) - 1)
/* The position of a compressed file that has been read. */
#define OFFSET_DONE		OFFSET_MASK

/* Bytes of a file's begin that the mark knows. */
#define MARK_BYTES		256

/* Bytes read at a time. */
#define CHUNK_SIZE		(256 * 1024)

/* Files kept open. */
#define MAX_OPEN		16

/* The partition that stands for the folder. */
#define FILE_FOLDER_PARTITION	"files"

typedef struct FileIdentity
{
	uint64		inode;
	int64		born;			/* in ns; 0: the file system does not say */
} FileIdentity;

/* A file that is known, and not being read. */
typedef struct KnownFile
{
	FileIdentity identity;		/* key */
	int64		size;			/* with which there is nothing to read; -1: with any */
	int64		modified;		/* in ns, or 0: not known */
	uint32		seen;			/* number of the last list that had it */
	uint8		flags;
} KnownFile;

#define KNOWN_NEW		0x01	/* it has no position yet */
#define KNOWN_LOOSE		0x02	/* its position is not put away */
#define KNOWN_DONE		0x04	/* packed, and read as a whole */
#define KNOWN_QUEUED	0x08
#define KNOWN_MISSING	0x10	/* the catalog says so */

/* A file that waits for its turn. */
typedef struct QueuedFile
{
	FileIdentity identity;
	char	   *path;
	int64		size;
	struct timespec modified;
} QueuedFile;

/* A folder whose changes are told. */
typedef struct WatchedFolder
{
	int			watch;			/* key */
	int			part;			/* of the pattern that names there must match */
	char	   *path;
	uint32		seen;			/* number of the last list that had it */
} WatchedFolder;

/* Texts that a partition points to. */
typedef struct FileTexts
{
	char		next_position[24];
	char		next_mark[160];
	char		end_position[24];
} FileTexts;

/* A file that is a partition. */
typedef struct StreamFile
{
	FileIdentity identity;		/* key */
	char	   *path;			/* relative to the place's base */
	bool		here;			/* the last list had it */
	bool		lost;			/* its path has led elsewhere since */
	bool		begun;			/* how far it has been read is known */
	bool		failed;			/* it cannot be read now */
	bool		doubtful;		/* written, and no longer than before */
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

	FileTexts  *texts;			/* as long as it is a partition */
} StreamFile;

/* Of each record: FeathubRecord.raw. */
typedef struct RecordInfo
{
	StreamFile *file;
	int64		line;
	HeapTuple	tuple;			/* of a whole file's row, or NULL: it is bad */
	FeathubDecodeError error;	/* why */
} RecordInfo;

typedef struct FileStream
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

	MemoryContext files_context;	/* of files, their paths */
	MemoryContext parts_context;	/* of parts, their texts */
	bool		listed_all;		/* files are all that there are */
	ErrorData  *failure;		/* of the first file or name that failed, or NULL */
	TimestampTz failed_at;
	bool		outstanding;	/* records or positions have been handed out */

	/* Files that are not partitions, and when folders are looked through */
	HTAB	   *known;			/* KnownFile by identity */
	QueuedFile *queue;			/* NULL: empty */
	int			nqueued;
	int			next_queued;
	int			queue_room;
	bool		queue_sorted;
	int64		queued_bytes;
	MemoryContext queue_context;
	FileHandle *news;			/* of inotify; NULL: there is none */
	HTAB	   *folders;		/* WatchedFolder by watch */
	bool		watched;		/* all folders are */
	bool		told_unwatched;
	FileList   *list;			/* the last one, or NULL */
	MemoryContext list_context;
	uint32		list_number;
	bool		list_due;		/* by the news */
	TimestampTz next_list;		/* not before */
	TimestampTz next_full;		/* without news */
	bool		partial;		/* the last list left out what cannot be read */
	bool		present;		/* files that were read before are there */
	bool		more_missing;	/* than were handed out */

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
} FileStream;

/* What a poll has handed out. */
typedef struct Poll
{
	FeathubRecord *records;
	int			n;
	int			max;
	Size		bytes;
	Size		max_bytes;
} FilePoll;

/* file_stream.c */

/* Look at one path: false if there is no such file. */
extern bool FeathubFileFollowFind(FileStream *state, const char *path);
/* Does the path of a file still lead to it? */
extern bool FeathubFileFollowIsAt(FileStream *state, const StreamFile *file);
/* A file's partition, of a partition's name the file, or NULL, and its identity. */
extern char *FeathubFileFollowName(const FileIdentity *identity);
extern StreamFile *FeathubFileFollowByName(FileStream *state, const char *name);
extern bool FeathubFileFollowParseName(const char *name, FileIdentity *identity);
/* Take over a position of the catalog; mark may be NULL. */
extern void FeathubFileFollowSetPosition(StreamFile *file, const char *position, const char *mark);
/* Note size and time of a file. */
extern void FeathubFileFollowResize(StreamFile *file, int64 size, struct timespec modified);
/*
 * Keep the error that is being handled, in PG_CATCH, to be raised when all others
 * have been read; raises those again that are no file's.
 */
extern void FeathubFileFollowNoteFailure(FileStream *state);
/* May there be lines that have not been handed out? */
extern bool FeathubFileFollowHasMore(const StreamFile *file);

/* file_watch.c */

extern void FeathubFileWatchBegin(FileStream *state);
/* Make a StreamFile of a file, or note what has changed of it. */
extern StreamFile *FeathubFileFollowEnter(FileStream *state, const char *path,
										  const FileIdentity *identity, int64 size,
										  struct timespec modified);
/* Make a StreamFile of each file that there is. */
extern void FeathubFileWatchListAll(FileStream *state);
/*
 * Make StreamFiles of those that there is something to do for, up to a number,
 * and fill the lists of the stream; looks through the folders if it is time.
 */
extern void FeathubFileWatchUpdate(FileStream *state);
extern void FeathubFileWatchFill(FileStream *state);
/* Take the news of folders; should Update be called for them? */
extern void FeathubFileWatchNews(FileStream *state);
extern bool FeathubFileWatchAsksForList(FileStream *state);

/* file_follow.c */

/* Identity, size and time of an open file. */
extern void FeathubFileFollowStat(FileStream *state, const char *path, int fd,
								  FileIdentity *identity, struct stat *st);
/* Have the file open; false if it is no longer where it was. */
extern bool FeathubFileFollowOpen(FileStream *state, StreamFile *file);
extern void FeathubFileFollowClose(FileStream *state, StreamFile *file);
/* Read from an open file; less than len at its end only. */
extern Size FeathubFileFollowRead(FileStream *state, StreamFile *file, int64 offset,
								  char *buffer, Size len);
/* Of an open file's first len bytes. */
extern uint64 FeathubFileFollowHash(FileStream *state, StreamFile *file, int len);

/*
 * Hand out records of a plain file, of a compressed one, or rows of a whole file;
 * false if there were none.  Errors: OBJECT_NOT_IN_PREREQUISITE_STATE if the file
 * was written anew.
 */
extern bool FeathubFileFollowLines(FeathubStream *stream, StreamFile *file, FilePoll *poll);
extern bool FeathubFileFollowPacked(FeathubStream *stream, StreamFile *file, FilePoll *poll);
extern bool FeathubFileFollowWhole(FeathubStream *stream, StreamFile *file, FilePoll *poll);
/* The next row of the whole file that is open, into values; false at its end. */
extern bool FeathubFileFollowNextRow(FileStream *state, FeathubDecodeError *error);

#endif							/* FEATHUB_CONNECTORS_FILESYSTEM_FILE_STREAM_H */
