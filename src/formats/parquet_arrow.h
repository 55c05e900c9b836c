/*
 * parquet_arrow.h
 *		The edge between feathub and Apache Arrow C++'s parquet library.
 *
 * Plain C on both sides: the C++ behind it (parquet_arrow.cpp) is a library of
 * its own, loaded at first use, that knows nothing of PostgreSQL, and nothing
 * here knows C++.  Data crosses as the Arrow C data interface has it.  No
 * exception leaves a function below, and no callback may leave by longjmp.
 */
#ifndef FEATHUB_FORMATS_PARQUET_ARROW_H
#define FEATHUB_FORMATS_PARQUET_ARROW_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C"
{
#endif

/* The Arrow C data interface, word for word; Arrow's header has the same guard. */
#ifndef ARROW_C_DATA_INTERFACE
#define ARROW_C_DATA_INTERFACE

#define ARROW_FLAG_DICTIONARY_ORDERED 1
#define ARROW_FLAG_NULLABLE 2
#define ARROW_FLAG_MAP_KEYS_SORTED 4

struct ArrowSchema
{
	const char *format;
	const char *name;
	const char *metadata;
	int64_t		flags;
	int64_t		n_children;
	struct ArrowSchema **children;
	struct ArrowSchema *dictionary;
	void		(*release) (struct ArrowSchema *);
	void	   *private_data;
};

struct ArrowArray
{
	int64_t		length;
	int64_t		null_count;
	int64_t		offset;
	int64_t		n_buffers;
	int64_t		n_children;
	const void **buffers;
	struct ArrowArray **children;
	struct ArrowArray *dictionary;
	void		(*release) (struct ArrowArray *);
	void	   *private_data;
};

#endif							/* ARROW_C_DATA_INTERFACE */

/* Changes whenever something below does: both sides must agree. */
#define FEATHUB_PARQUET_VERSION 1

typedef enum FeathubParquetCode
{
	FEATHUB_PARQUET_OK,
	FEATHUB_PARQUET_CALLBACK,	/* a callback said no: it knows why */
	FEATHUB_PARQUET_DAMAGED,	/* the file is not what it should be */
	FEATHUB_PARQUET_MEMORY,		/* the limit is reached, or malloc failed */
	FEATHUB_PARQUET_UNSUPPORTED,
	FEATHUB_PARQUET_FAILED		/* anything else */
} FeathubParquetCode;

typedef struct FeathubParquetStatus
{
	FeathubParquetCode code;
	char		message[512];
} FeathubParquetStatus;

typedef struct FeathubParquetSource
{
	void	   *state;
	int64_t		size;
	/* Bytes read, fewer at the end only; -1: stop, FEATHUB_PARQUET_CALLBACK. */
	int64_t		(*read_at) (void *state, int64_t offset, void *buffer, int64_t len);
} FeathubParquetSource;

typedef struct FeathubParquetSink
{
	void	   *state;
	/* false: stop, FEATHUB_PARQUET_CALLBACK */
	bool		(*write) (void *state, const void *data, int64_t len);
} FeathubParquetSink;

/* What one column chunk's statistics say.  Arrays of two: least, greatest. */
typedef struct FeathubParquetStatistics
{
	bool		has_bounds;
	struct ArrowSchema schema;	/* of bounds; the caller releases both */
	struct ArrowArray bounds;
	int64_t		null_count;		/* -1: unknown */
	int64_t		num_values;		/* nulls included */
} FeathubParquetStatistics;

typedef enum FeathubParquetCodec
{
	FEATHUB_PARQUET_UNCOMPRESSED,
	FEATHUB_PARQUET_SNAPPY,
	FEATHUB_PARQUET_GZIP,
	FEATHUB_PARQUET_ZSTD,
	FEATHUB_PARQUET_LZ4,
	FEATHUB_PARQUET_BROTLI
} FeathubParquetCodec;

typedef struct FeathubParquetWriteOptions
{
	FeathubParquetCodec codec;
	int			level;			/* 0: the codec's own */
	bool		dictionary;
	int64_t		row_group_rows;
	int64_t		page_bytes;
} FeathubParquetWriteOptions;

typedef struct FeathubParquetReader FeathubParquetReader;
typedef struct FeathubParquetWriter FeathubParquetWriter;

/* Functions return NULL or false after filling *status. */
typedef struct FeathubParquetApi
{
	int			version;		/* FEATHUB_PARQUET_VERSION */
	const char *library;		/* name and version, for people */

	/* source stays the caller's and must live as long; limit in bytes */
	FeathubParquetReader *(*open) (const FeathubParquetSource *source, int64_t memory_limit,
								   FeathubParquetStatus *status);
	void		(*close) (FeathubParquetReader *reader);
	int64_t		(*count_rows) (FeathubParquetReader *reader);
	int			(*count_row_groups) (FeathubParquetReader *reader);
	int64_t		(*row_group_rows) (FeathubParquetReader *reader, int row_group);

	/* The file's columns, as the children of a struct; the caller releases it. */
	bool		(*schema) (FeathubParquetReader *reader, struct ArrowSchema *schema,
						   FeathubParquetStatus *status);

	/* Is that child of the schema a parquet INTERVAL, of 12 bytes? */
	bool		(*is_interval) (FeathubParquetReader *reader, int child);

	/* Read these children of the schema, in this order of theirs (ascending). */
	bool		(*select) (FeathubParquetReader *reader, int n, const int *children,
						   FeathubParquetStatus *status);

	/* Uncompressed bytes of the selected columns in a row group. */
	int64_t		(*selected_bytes) (FeathubParquetReader *reader, int row_group);

	/*
	 * Begin a row group; *schema describes the batches (dictionaries may
	 * replace strings).  The caller releases it.
	 */
	bool		(*start) (FeathubParquetReader *reader, int row_group, int64_t batch_rows,
						  struct ArrowSchema *schema, FeathubParquetStatus *status);

	/* The next batch, which the caller releases; array->release NULL: no more. */
	bool		(*next) (FeathubParquetReader *reader, struct ArrowArray *array,
						 FeathubParquetStatus *status);

	/* Statistics of a child without children of its own. */
	bool		(*statistics) (FeathubParquetReader *reader, int row_group, int child,
							   FeathubParquetStatistics *statistics,
							   FeathubParquetStatus *status);

	/* schema is the caller's, and released */
	FeathubParquetWriter *(*create) (const FeathubParquetSink *sink, struct ArrowSchema *schema,
									 const FeathubParquetWriteOptions *options,
									 int64_t memory_limit, FeathubParquetStatus *status);
	/* Encode a batch; array's memory is not used afterwards. */
	bool		(*write) (FeathubParquetWriter *writer, struct ArrowArray *array,
						  FeathubParquetStatus *status);
	/* Close the row group, if it has rows. */
	bool		(*new_row_group) (FeathubParquetWriter *writer, FeathubParquetStatus *status);
	/* Write what is left, and the footer. */
	bool		(*finish) (FeathubParquetWriter *writer, FeathubParquetStatus *status);
	/* Free everything; without finish the file is left as it is. */
	void		(*discard) (FeathubParquetWriter *writer);
} FeathubParquetApi;

/* The only symbol of the library: the table, as a pointer to void. */
extern const FeathubParquetApi *feathub_parquet_api(void);

#ifdef __cplusplus
}
#endif

#endif							/* FEATHUB_FORMATS_PARQUET_ARROW_H */
