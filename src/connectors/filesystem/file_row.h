/*
 * file_row.h
 *		Rows of one file after the other.
 */
#ifndef FEATHUB_CONNECTORS_FILESYSTEM_FILE_ROW_H
#define FEATHUB_CONNECTORS_FILESYSTEM_FILE_ROW_H

#include "port/atomics.h"

#include "connectors/filesystem/file_lines.h"

/* What was read, for EXPLAIN. */
typedef struct FileCounts
{
	int64		files;
	int64		bytes;
	int64		units;			/* of containers */
	int64		units_skipped;
	int64		records;		/* of text files */
	int64		rejected;
} FileCounts;

typedef struct FileReader
{
	FeathubRelation *rel;
	const FilePlace *place;
	FileColumns columns;		/* those needed */
	FilePartitions *partitions;
	bool	   *found;
	FeathubDecoder *decoder;	/* of formats of records */
	FeathubDecoder *header_decoder;
	bool		quiet;			/* pass over bad records, whatever on_error says */
	bool		may_raise;		/* the decoder may raise errors of records */
	MemoryContext context;		/* as long as the reader */

	/* The current file */
	MemoryContext file_context;
	char	   *full_name;		/* NULL: there is none */
	FileSource *source;
	FileLines	lines;
	FeathubInput input;
	FeathubFileReader *container;
	int			unit;			/* being read, -1: none */
	bool		ending_known;	/* of the file: the next is set */
	bool		carriage;		/* records end with carriage returns alone */
	Datum	   *values;			/* of the columns that are the file's, by attnum */
	bool	   *isnull;

	/* Bounds for containers, of the caller */
	int			nbounds;
	const FeathubBound *bounds;

	int64		rejected;		/* since the last rescan */
	pg_atomic_uint64 *all_rejected; /* of all processes, or NULL */
	FileCounts	counts;
} FileReader;

/* Made in the current context.  needed as in FeathubScan; NULL: all. */
extern FileReader *FeathubFileRowsBegin(FeathubRelation *rel, const FilePlace *place,
										  Bitmapset *needed);

/* Open a file; name is relative to the place's base.  Closes the last one. */
extern void FeathubFileRowsOpen(FileReader *reader, const char *name);
extern void FeathubFileRowsClose(FileReader *reader);

/* Can ranges of the open file be read each for itself? */
extern bool FeathubFileRowsIsSplittable(FileReader *reader);

/* Text files: begin with the first record; passes over the header. */
extern void FeathubFileRowsStart(FileReader *reader);
/* In a range loaded into reader->lines: pass over the header if it is the first. */
extern void FeathubFileRowsSkipHeader(FileReader *reader);

/* Containers: units there are, and begin with one; false if no row can match. */
extern int	FeathubFileRowsUnits(FileReader *reader);
extern bool FeathubFileRowsStartUnit(FileReader *reader, int unit);

/*
 * The next row of the file, range or unit, into values and isnull by attnum - 1
 * of all columns.  False at its end.  Bad records are treated as option
 * on_error says.
 */
extern bool FeathubFileRowsNext(FileReader *reader, Datum *values, bool *isnull);

/* Compare a file's first record with the columns' names (header 'match').  After
 * Prepare, no look at the catalog is needed. */
extern void FeathubFileRowsPrepareHeader(FileReader *reader);
extern void FeathubFileRowsCheckHeader(FileReader *reader, const char *full_name,
									   const char *record, Size len);

/* At the end of a scan: say how many records were skipped. */
extern void FeathubFileRowsReport(FileReader *reader);

#endif							/* FEATHUB_CONNECTORS_FILESYSTEM_FILE_ROW_H */
