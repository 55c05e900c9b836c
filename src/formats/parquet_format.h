/*
 * parquet_format.h
 *		What reading and writing parquet share.
 */
#ifndef FEATHUB_FORMATS_PARQUET_FORMAT_H
#define FEATHUB_FORMATS_PARQUET_FORMAT_H

#include "core/compat.h"
#include "formats/container.h"
#include "formats/convert.h"
#include "formats/parquet_arrow.h"

typedef struct FeathubParquetOptions
{
	char	   *column_name;	/* of a column */
	char	   *timezone;
	int			missing_columns;
	int			codec;			/* FeathubParquetCodec */
	int			level;
	int64		row_group_rows;
	int64		row_group_bytes;
	bool		dictionary;
} FeathubParquetOptions;

/* Load the library at first use; an error if this build has none. */
extern const FeathubParquetApi *FeathubParquetLoad(void);

/* Run a call into the library, with all signals blocked while it lasts. */
#define FEATHUB_PARQUET_CALL(call) \
	do { \
		sigset_t	save_; \
		sigprocmask(SIG_BLOCK, &BlockSig, &save_); \
		call; \
		sigprocmask(SIG_SETMASK, &save_, NULL); \
	} while (0)

/*
 * Raise what a call that failed has to say.  pending is the error that a
 * callback caught, or NULL; writing says which verb to use.
 */
pg_noreturn extern void FeathubParquetRaise(const FeathubParquetStatus *status, ErrorData *pending,
								const char *file, bool writing);

/* The name that a column has in the file: UTF-8, palloc'd. */
extern const char *FeathubParquetFieldName(const void *options, const FeathubColumn *column);

/* parquet_write.c */
extern FeathubFileWriter *FeathubParquetOpenWriter(FeathubOutput *output, TupleDesc tupdesc,
												   int ncolumns, FeathubColumn *columns,
												   void *options);
extern void FeathubParquetWriteRow(FeathubFileWriter *writer, Datum *values, bool *isnull);
extern void FeathubParquetFinishWriter(FeathubFileWriter *writer);

#endif							/* FEATHUB_FORMATS_PARQUET_FORMAT_H */
