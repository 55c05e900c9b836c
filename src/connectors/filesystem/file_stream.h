/*
 * file_stream.h
 *		Following files: what the parts of it share.
 *
 * file_stream.c has the callbacks, file_follow.c reads files, file_stream_row.c
 * makes rows of what was read.
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

/* What a path or an open file (fd, or -1) is; st may be NULL. */
extern void FeathubFileFollowStat(FileStream *state, const char *path, int fd, FileIdentity *identity, struct stat *st);
/* Look at one path: false if there is no such file. */
extern bool FeathubFileFollowFind(FileStream *state, const char *path);
/* The file of a partition's name, or NULL. */
extern StreamFile *FeathubFileFollowByName(FileStream *state, const char *name);

/* file_follow.c */

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
