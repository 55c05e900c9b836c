/*
 * container.h
 *		Formats of whole files: how rows are read out of a file and written into
 *		one.
 *
 * The format knows nothing of where the bytes lie: it reads through a
 * FeathubInput and writes through a FeathubOutput, which the connector makes.
 * A file is cut into units (row groups of parquet, blocks of avro) which can be
 * read one without the other, in any order and by several processes.
 */
#ifndef FEATHUB_FORMATS_CONTAINER_H
#define FEATHUB_FORMATS_CONTAINER_H

#include "access/stratnum.h"

#include "formats/format.h"

/* Bytes to read, uncompressed.  read_at raises errors; it is called in one thread. */
typedef struct FeathubInput
{
	const char *name;			/* of the file, for messages */
	int64		size;			/* bytes */
	Size		(*read_at) (struct FeathubInput *input, int64 offset, void *buffer, Size len);
	void	   *state;			/* the connector's own */
} FeathubInput;

/* Bytes to write, in order. */
typedef struct FeathubOutput
{
	const char *name;
	int64		written;		/* bytes so far, kept by write */
	void		(*write) (struct FeathubOutput *output, const void *data, Size len);
	void	   *state;
} FeathubOutput;

/*
 * What is known of the rows that are wanted: column "strategy" value, all of
 * them.  value has the column's own type, collation is the operator's.
 */
typedef struct FeathubBound
{
	AttrNumber	attnum;
	StrategyNumber strategy;	/* BTLessStrategyNumber to BTGreater...; equality
								 * may have several values */
	int			nvalues;
	Datum	   *values;
	Oid			collation;
	bool		is_null_test;	/* IS NULL instead; no values */
	bool		not_null_test;	/* IS NOT NULL instead */
} FeathubBound;

/* A format's own structs begin with these. */
typedef struct FeathubFileReader
{
	const FeathubFormat *format;
	FeathubInput *input;
	TupleDesc	tupdesc;
	int			ncolumns;
	FeathubColumn *columns;		/* those wanted */
	void	   *options;
	MemoryContext context;		/* lives as long as the reader; what is not
								 * palloc'd is freed by its reset callback */
} FeathubFileReader;

typedef struct FeathubFileWriter
{
	const FeathubFormat *format;
	FeathubOutput *output;
	TupleDesc	tupdesc;
	int			ncolumns;
	FeathubColumn *columns;
	void	   *options;
	MemoryContext context;
} FeathubFileWriter;

typedef struct FeathubContainer
{
	/*
	 * Open a file in the current memory context: reads its header or footer,
	 * matches columns by name, and raises an error that names the file if it is
	 * damaged (FDW_ERROR / DATA_CORRUPTED) or a column's type does not fit
	 * (FDW_INVALID_DATA_TYPE).  A column that the file lacks is NULL in every
	 * row unless the format's options say otherwise.
	 */
	FeathubFileReader *(*open_reader) (FeathubInput *input, TupleDesc tupdesc, int ncolumns,
									   FeathubColumn *columns, void *options);

	/* Units there are; rows in all of them, or -1 if only reading tells. */
	int			(*count_units) (FeathubFileReader *reader);
	int64		(*count_rows) (FeathubFileReader *reader);

	/*
	 * May a unit have a row within all bounds?  By statistics that can be
	 * trusted; true if in doubt.  NULL: always.
	 */
	bool		(*unit_may_match) (FeathubFileReader *reader, int unit, int nbounds,
								   const FeathubBound *bounds);

	/* Go to the beginning of a unit. */
	void		(*start_unit) (FeathubFileReader *reader, int unit);

	/*
	 * The next row of the unit, into values[] and isnull[] by attnum - 1, of
	 * the reader's columns only.  By-reference values stay valid until the next
	 * call.  Returns false at the end of the unit.  A value that does not fit
	 * its column fills *error (its message is NULL otherwise): the row is bad,
	 * the next can be read.  A damaged file is an ERROR.
	 */
	bool		(*read_row) (FeathubFileReader *reader, Datum *values, bool *isnull,
							 FeathubDecodeError *error);
	void		(*close_reader) (FeathubFileReader *reader);

	/* The columns of a file, as a list of ColumnDef: for IMPORT FOREIGN SCHEMA. */
	List	   *(*describe) (FeathubInput *input, void *options);

	/* Writing; NULL if the format is read-only.  finish_writer writes what is left. */
	FeathubFileWriter *(*open_writer) (FeathubOutput *output, TupleDesc tupdesc, int ncolumns,
									   FeathubColumn *columns, void *options);
	void		(*write_row) (FeathubFileWriter *writer, Datum *values, bool *isnull);
	void		(*finish_writer) (FeathubFileWriter *writer);
} FeathubContainer;

extern FeathubFileReader *FeathubFileReaderOpen(const FeathubFormat *format, FeathubInput *input,
												TupleDesc tupdesc, int ncolumns,
												FeathubColumn *columns, void *options);
extern FeathubFileWriter *FeathubFileWriterOpen(const FeathubFormat *format, FeathubOutput *output,
												TupleDesc tupdesc, int ncolumns,
												FeathubColumn *columns, void *options);

#endif							/* FEATHUB_FORMATS_CONTAINER_H */
