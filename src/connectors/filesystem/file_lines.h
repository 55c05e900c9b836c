/*
 * file_lines.h
 *		Framing: where a record of a text file begins and ends.
 */
#ifndef FEATHUB_CONNECTORS_FILESYSTEM_FILE_LINES_H
#define FEATHUB_CONNECTORS_FILESYSTEM_FILE_LINES_H

#include "connectors/filesystem/filesystem.h"

/* How records are told apart. */
typedef struct FileFraming
{
	bool		quoted;			/* line feeds may stand within quotes */
	char		quote;
	char		escape;
	bool		carriage;		/* records end with carriage returns alone */
} FileFraming;

/* The state within a record between two looks at its bytes. */
typedef struct FileFrame
{
	bool		in_quotes;
	bool		escaped;		/* the last byte was an escape within quotes */
	int64		lines;			/* line feeds seen within the record */
} FileFrame;

/*
 * FeathubFrameEnd
 *		The end of the record that the data continues: behind its line feed, or
 *		NULL if it goes on behind the data.
 *
 * *frame says where in the record the data begins, and is left as it is at the
 * end of the data; a new record begins with all zeros.
 */
extern const char *FeathubFrameEnd(const FileFraming *framing, FileFrame *frame,
								   const char *data, const char *end);

/* What of a piece of a file those need who read the next one. */
typedef struct FileFrameCount
{
	bool		quotes_odd;		/* number of quotes */
	int64		lines;			/* line feeds */
} FileFrameCount;

/*
 * Does the first record of a csv file end with a carriage return alone?  As
 * COPY, all records end as the first does.  data is how the file begins,
 * complete if it is all of it.
 */
extern bool FeathubFrameIsCarriage(const FileFraming *framing, const char *data, Size len,
								   bool complete);

/* How much of a file's beginning that looks at, at most. */
#define FILE_FRAME_SAMPLE	((Size) 16 * 1024)

/* Count in data.  Only for framing whose escape is the quote, or none. */
extern void FeathubFrameCount(const FileFraming *framing, const char *data, Size len,
							  FileFrameCount *count);

/* The framing of a table's files. */
extern void FeathubFileFramingOf(FeathubRelation *rel, FileFraming *framing);

/* A file's records, one after the other. */
typedef struct FileLines
{
	FileFraming framing;
	FileSource *source;
	MemoryContext context;		/* of the buffer */
	char	   *buffer;
	Size		allocated;
	Size		begin;			/* of what has not been handed out */
	Size		end;
	Size		scanned;		/* up to where the record has no end */
	FileFrame	frame;			/* there */
	bool		eof;
	int64		offset;			/* in the file's bytes, of buffer[0] */
	int64		stop;			/* records that begin here or behind are not
								 * wanted */
	int64		line;			/* of the record that begins at "begin" */
} FileLines;

/* Bytes of a record at most. */
#define FILE_RECORD_MAX		((Size) 1024 * 1024 * 1024 - 64)

/* Begin with a file, from its start; a byte order mark is passed over. */
extern void FeathubFileLinesStart(FileLines *lines, FileSource *source);

/*
 * Begin with a range of a plain file that has been read into the buffer, with
 * FeathubFileLinesLoad.  in_quotes says how the range begins, at_start whether
 * a record begins with it, line which line it begins in.
 */
extern void FeathubFileLinesLoad(FileLines *lines, FileSource *source, int64 offset, Size len);
extern void FeathubFileLinesRange(FileLines *lines, bool in_quotes, bool at_start,
								  int64 line);

/*
 * The next record, without its line end, valid until the next call; *line is
 * that of its first byte.  False at the end.
 */
extern bool FeathubFileLinesNext(FileLines *lines, const char **record, Size *len,
								 int64 *line);

#endif							/* FEATHUB_CONNECTORS_FILESYSTEM_FILE_LINES_H */
