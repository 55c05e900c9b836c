/*
 * filesystem.h
 *		What the files of the filesystem connector share.
 *
 * From below: file_access.c opens files and folders as a table's owner may,
 * file_source.c gives their uncompressed bytes, file_lines.c cuts these into
 * records, file_row.c makes rows of them or of a container's units; file_list.c
 * finds the files, file_restrict.c leaves out those that cannot matter.
 */
#ifndef FEATHUB_CONNECTORS_FILESYSTEM_FILESYSTEM_H
#define FEATHUB_CONNECTORS_FILESYSTEM_FILESYSTEM_H

#include <dirent.h>
#include <sys/stat.h>

#include "connectors/connector.h"
#include "core/compat.h"
#include "formats/container.h"

/* Options */

typedef enum FileHeader
{
	FILE_HEADER_NONE,
	FILE_HEADER_SKIP,
	FILE_HEADER_MATCH
} FileHeader;

typedef enum FileCompression
{
	FILE_COMPRESSION_AUTO,		/* by the name's ending */
	FILE_COMPRESSION_NONE,
	FILE_COMPRESSION_GZIP,
	FILE_COMPRESSION_ZSTD,
	FILE_COMPRESSION_LZ4
} FileCompression;

typedef enum FileOnError
{
	FILE_ON_ERROR_STOP,
	FILE_ON_ERROR_SKIP,
	FILE_ON_ERROR_REJECT		/* a row with the bad record */
} FileOnError;

typedef struct FileOptions
{
	char	   *folder;			/* server: where relative paths begin, or NULL */
	char	   *path;
	int			header;			/* FileHeader */
	int			compression;	/* FileCompression */
	int			compression_level;	/* -1: the library's default */
	int			on_error;		/* FileOnError */
	int64		reject_limit;	/* bad records a scan bears; -1: any number */
	char	   *max_file_size;	/* as the user wrote it */
	int64		max_file_rows;	/* 0: no limit */
	char	   *file_prefix;	/* of names of new files */
} FileOptions;

/* A column's option metadata: what it shows instead of a field. */
typedef enum FileMetadata
{
	FILE_META_PATH,
	FILE_META_LINE,
	FILE_META_MODIFIED,
	FILE_META_SIZE,
	FILE_META_RECORD,			/* the bad record, with on_error 'reject' */
	FILE_META_REASON,			/* what is wrong with it */
	FILE_META_COUNT
} FileMetadata;

/* Where the columns of a table come from. */
typedef struct FileColumns
{
	int			nfields;		/* columns that are in the files */
	FeathubColumn *fields;
	int			npartitions;	/* columns with option partition */
	FeathubColumn *partitions;
	AttrNumber	metadata[FILE_META_COUNT];	/* 0: no column */
} FileColumns;

extern const FeathubOption FeathubFileOptions[];
extern void FeathubFileCheckRelation(FeathubRelation *rel);

/*
 * FeathubFileColumnsOf
 *		Sort the columns of a table.
 *
 * needed is as FeathubScan.needed; NULL: all.  Fields that are not needed are
 * marked as ignored where their place counts, else left out.
 */
extern void FeathubFileColumnsOf(FeathubRelation *rel, Bitmapset *needed,
								 FileColumns *columns);

/* Bytes of a value such as 100MB, or an error. */
extern int64 FeathubFileParseSize(const char *option, const char *value);

/* The compression of a file's name. */
extern FileCompression FeathubFileCompressionOf(const char *name);
/* What the names of files of a compression end with: ".gz" or "". */
extern const char *FeathubFileCompressionSuffix(FileCompression compression);

/* Access: file_access.c */

/*
 * Where a table's files are, as somebody may reach them.  Names are relative to
 * base.  If confined, no symbolic link below base is followed.
 */
typedef struct FilePlace
{
	char	   *base;			/* absolute; "/" for those who may see all */
	char	   *pattern;		/* of the table, relative to base; "" is base */
	bool		confined;
} FilePlace;

/*
 * FeathubFilePlace
 *		The place of a path for a role, or INSUFFICIENT_PRIVILEGE.
 *
 * folder is the server's option, for a relative path.  write asks for
 * pg_write_server_files in place of pg_read_server_files.
 */
extern FilePlace *FeathubFilePlace(const char *folder, const char *path, Oid roleid,
								   bool write);
extern FilePlace *FeathubFilePlaceOf(FeathubRelation *rel, bool write);

/* The full name of a file, for messages and column path. */
extern char *FeathubFileFullName(const FilePlace *place, const char *name);

/*
 * FeathubFileOpen
 *		Open a file or folder (name relative to base) with open(2)'s flags.
 *
 * Returns -1 with errno set; ELOOP says that a symbolic link was in the way.
 * FeathubFileOpenParent opens the folder that holds it and points *last to the
 * last part of its name.
 */
extern int	FeathubFileOpen(const FilePlace *place, const char *name, int flags, mode_t mode);
extern int	FeathubFileOpenParent(const FilePlace *place, const char *name, const char **last);

/* Raise errno as an error: could not ACTION "full name". */
pg_noreturn extern void FeathubFileError(const FilePlace *place, const char *name,
							 const char *action);

/* A file descriptor that its memory context closes. */
typedef struct FileHandle
{
	int			fd;				/* -1: closed */
	DIR		   *dir;			/* of a folder; owns fd */
	MemoryContextCallback callback;
} FileHandle;

extern FileHandle *FeathubFileHandle(int fd);	/* in the current context */
extern void FeathubFileHandleClose(FileHandle *handle);

/* What Hive and Spark write in place of NULL in the names of folders. */
#define FILE_HIVE_NULL		"__HIVE_DEFAULT_PARTITION__"

/* Lists: file_list.c */

typedef struct FileList FileList;

typedef struct FileListHooks
{
	/* May anything below a folder matter, by the parts of its name?  NULL: it may. */
	bool		(*want) (void *arg, const char *name, bool is_folder);
	/* A folder is listed, whose names have to match that part of the pattern; or NULL. */
	void		(*opened) (void *arg, int fd, const char *name, int part);
	/*
	 * One name cannot be looked at: errno says why, "what" was to be done with it
	 * (for FeathubFileError).  It is left out then; NULL: that is an error.
	 */
	void		(*failed) (void *arg, const char *name, const char *what);
	void	   *arg;
} FileListHooks;

/*
 * FeathubFileListBegin
 *		List a place's files, in the order of their names.
 *
 * Memory is bounded: of a folder with very many files, runs of some thousand
 * names are ordered each for itself.  FeathubFileListNext returns names relative
 * to the place's base, valid until the next call, or NULL at the end; errors
 * name the file.  Everything is freed with the current context.
 */
extern FileList *FeathubFileListBegin(const FilePlace *place, const FileListHooks *hooks);
extern const char *FeathubFileListNext(FileList *list);
extern void FeathubFileListEnd(FileList *list);
extern int64 FeathubFileListSkipped(FileList *list);	/* by "want" */

struct statx;
/* What the file that Next returned last is; false if it is gone. */
extern bool FeathubFileListStat(FileList *list, struct statx *st);
/* Would a file of that name be listed, in a folder that "opened" has told of? */
extern bool FeathubFileListTakes(FileList *list, int part, const char *name);

/* Has the pattern characters that match several names? */
extern bool FeathubFileIsPattern(const char *pattern);

/*
 * Values of partition columns from the parts of a path (name=value), into
 * values and isnull by attnum - 1.  Returns how many were found; those not
 * found are left alone.  A value that does not fit its column is an error.
 */
typedef struct FilePartitions FilePartitions;
extern FilePartitions *FeathubFilePartitions(const FileColumns *columns);
extern int	FeathubFilePartitionValues(FilePartitions *partitions, const char *path,
									   Datum *values, bool *isnull, bool *found);

/* Bytes: file_source.c */

typedef struct FileSource FileSource;
struct FileSource
{
	char	   *name;			/* the full one */
	FileHandle *handle;
	struct stat stat;
	FileCompression compression;
	int64		read;			/* bytes read of the file itself */
	int64		position;		/* of the next read, plain files */
	bool		eof;
	void	   *decoder;		/* the library's */
	char	   *input;			/* compressed bytes */
	Size		input_begin;
	Size		input_end;
	bool		frame_open;		/* within a gzip member or a frame */
	MemoryContextCallback callback;
};

/* compression: the option's value.  In the current context. */
extern FileSource *FeathubFileSourceOpen(const FilePlace *place, const char *name,
										 FileCompression compression);
/* Up to len uncompressed bytes; 0: the end.  A damaged file is an error. */
extern Size FeathubFileSourceRead(FileSource *source, char *buffer, Size len);
/* Plain files only. */
extern Size FeathubFileSourceReadAt(FileSource *source, int64 offset, char *buffer, Size len);
extern void FeathubFileSourceClose(FileSource *source);

/* Compressing: file_compress.c */

typedef struct FileSink FileSink;
struct FileSink
{
	char	   *name;			/* for messages */
	FileHandle *handle;
	FileCompression compression;
	int64		written;		/* bytes in the file */
	char	   *buffer;			/* not yet compressed or written */
	Size		buffer_len;
	void	   *encoder;		/* the library's */
	void	   *preferences;
	char	   *output;			/* compressed */
	Size		output_size;
	MemoryContextCallback callback;
};

extern FileSink *FeathubFileSinkBegin(int fd, const char *name, FileCompression compression,
									  int level);
extern void FeathubFileSinkWrite(FileSink *sink, const char *data, Size len);
/* Write what is left, sync and close. */
extern void FeathubFileSinkFinish(FileSink *sink);

/* Callbacks of FeathubConnector, by file */

extern void FeathubFileEstimate(FeathubRelation *rel, PlannerInfo *root,
								RelOptInfo *baserel, FeathubEstimate *estimate);
extern int	FeathubFileSampleRows(FeathubRelation *rel, HeapTuple *rows, int targrows,
								  double *totalrows, double *totaldeadrows);

extern void FeathubFilePlanScan(FeathubRelation *rel, PlannerInfo *root, RelOptInfo *baserel,
								List *clauses, FeathubScanPlan *plan);
extern Bitmapset *FeathubFileLookupColumns(FeathubRelation *rel);
extern void FeathubFileBeginScan(FeathubScan *scan);
extern void FeathubFileRescan(FeathubScan *scan);
extern bool FeathubFileNextRow(FeathubScan *scan, TupleTableSlot *slot);
extern void FeathubFileEndScan(FeathubScan *scan);
extern void FeathubFileExplainScan(FeathubScan *scan, ExplainState *es);
extern Size FeathubFileParallelSize(FeathubScan *scan, ParallelContext *pcxt);
extern void FeathubFileBeginParallel(FeathubScan *scan, ParallelContext *pcxt, void *area);
extern void FeathubFileRescanParallel(FeathubScan *scan, void *area);
extern void FeathubFileJoinParallel(FeathubScan *scan, void *area);
extern void FeathubFileShutdownScan(FeathubScan *scan);

extern void FeathubFileBeginModify(FeathubModify *modify);
extern void FeathubFileInsertRows(FeathubModify *modify, TupleTableSlot **slots, int nslots);
extern void FeathubFileEndModify(FeathubModify *modify);
extern void FeathubFileExplainModify(FeathubModify *modify, ExplainState *es);

extern void FeathubFileLoadPositions(FeathubRelation *rel, const char *job, int worker,
									 FeathubSinkPosition *positions, int n);
extern void FeathubFileSavePositions(FeathubRelation *rel, const char *job,
									 const FeathubSinkPosition *positions, int n);

extern void FeathubFileOpenStream(FeathubStream *stream);
extern List *FeathubFileListPartitions(FeathubStream *stream);
extern void FeathubFileStartStream(FeathubStream *stream);
extern int	FeathubFilePoll(FeathubStream *stream, FeathubRecord *records, int max,
							Size max_bytes, long timeout);
extern void FeathubFileKnowPosition(FeathubStream *stream, const char *name, const char *position,
									const char *mark, bool finished, bool missing);
extern bool FeathubFileForgetPartition(FeathubStream *stream, const char *name);
extern bool FeathubFileDecodeRecord(FeathubStream *stream, FeathubRecord *record,
									Datum *values, bool *isnull, FeathubDecodeError *error);
extern void FeathubFileReleaseRecords(FeathubStream *stream);
extern void FeathubFileCommitPositions(FeathubStream *stream);
extern void FeathubFilePartitionStatus(FeathubStream *stream);
extern void FeathubFileCloseStream(FeathubStream *stream);
extern char *FeathubFileSeekPosition(FeathubStream *stream, const char *name,
									 const char *target);
extern void FeathubFileDescribeRecord(FeathubStream *stream, const FeathubRecord *record,
									  StringInfo out);
extern Datum FeathubFileRecordHeaders(FeathubStream *stream, const FeathubRecord *record,
									  bool *isnull);
extern bool FeathubFileDecodeStored(FeathubStream *stream, const char *partition,
									FeathubRecord *record, Datum headers,
									bool headers_isnull, Datum *values,
									bool *isnull, FeathubDecodeError *error);

extern const FeathubOption FeathubFileImportOptions[];
extern List *FeathubFileImportSchema(ForeignServer *server, UserMapping *user,
									 ImportForeignSchemaStmt *stmt);

#endif							/* FEATHUB_CONNECTORS_FILESYSTEM_FILESYSTEM_H */
