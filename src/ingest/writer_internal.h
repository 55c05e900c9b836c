/*
 * writer_internal.h
 *		The group writer's own struct, shared by group_writer.c and deletions.c.
 */
#ifndef FEATHUB_INGEST_WRITER_INTERNAL_H
#define FEATHUB_INGEST_WRITER_INTERNAL_H

#include "executor/spi.h"
#include "lib/ilist.h"
#include "utils/sortsupport.h"
#include "utils/tuplestore.h"

#include "ingest/group_writer.h"

/* A statement over a tuplestore, with its kept plan. */
typedef struct FeathubWriterStatement
{
	char	   *sql;
	SPIPlanPtr	plan;			/* NULL: not prepared yet */
	void		(*result) (FeathubWriter *writer, void *arg);	/* reads
																 * SPI_tuptable */
	void	   *result_arg;
} FeathubWriterStatement;

enum
{
	DELETION_LATEST,			/* what is known of the deleted keys */
	DELETION_REPLAYED,			/* deletions applied before a rewind */
	DELETION_TOMBSTONE,			/* remember the last deletion of each key */
	DELETION_ONLINE,			/* take the keys from the online table */
	DELETION_STATEMENTS
};

/* What latest_upsert.c knows of the online table. */
typedef struct FeathubLatestUpsert FeathubLatestUpsert;

struct FeathubWriter
{
	dlist_node	node;			/* in the process's list */
	MemoryContext context;
	MemoryContextCallback reset;
	bool		stale;			/* set by the relcache callback */

	/* What is written where */
	Oid			relid;
	uint32		flags;
	FeathubGroup *group;		/* NULL: a plain or foreign table */
	List	   *sink_key;		/* of a foreign table: names of the columns by
								 * which rows replace others, or NIL */
	bool		sink_deletes;	/* and can be deleted */
	char	   *sink_time;		/* the column whose time guards them, or NULL */
	bool		bulk;			/* history, or a foreign table's rows, can be
								 * inserted without a statement */
	FeathubLatestUpsert *upsert;	/* of the online table, or NULL: the statement
									 * does it */
	TupleDesc	input;
	TupleDesc	history_desc;	/* input, and feathub_deleted if the group has
								 * deletes */

	/* Columns of input, counted from 0 */
	int			nkeys;
	int			nsort;			/* nkeys, and one more with an event time */
	int		   *sort_cols;
	bool	   *is_key;
	int		   *by_reference;	/* columns whose values are pointers */
	int			nby_reference;
	int			event_time;		/* or -1 */
	Oid			event_time_type;
	SortSupport sort;			/* nsort entries */
	bool		numbers;		/* the sort columns are one or two numbers */
	FeathubWriterRow *sort_rows;	/* of the sort that runs */

	/* Statements */
	FeathubWriterStatement history_stmt;
	FeathubWriterStatement latest_stmt;
	TupleDesc	deletion_desc;	/* key columns, at, number */
	FeathubWriterStatement deletion_stmts[DELETION_STATEMENTS];

	/* A row being built */
	Datum	   *values;
	bool	   *isnull;
};

/*
 * Sorted rows lie all over memory: fetch what comes soon while others are
 * written.  Measured: a fifth of a worker's time.  First the values; nearer,
 * what they point to.
 */
#if defined(__GNUC__) || defined(__clang__)
static inline void
FeathubWriterPrefetchValues(const FeathubWriterRow *row)
{
	__builtin_prefetch(row->values);
	__builtin_prefetch(row->isnull);	/* behind them, maybe in another line */
}

static inline void
FeathubWriterPrefetchData(const FeathubWriter *writer, const FeathubWriterRow *row)
{
	for (int i = 0; i < writer->nby_reference; i++)
		if (!row->isnull[writer->by_reference[i]])
			__builtin_prefetch(DatumGetPointer(row->values[writer->by_reference[i]]));
}
#else
#define FeathubWriterPrefetchValues(row) ((void) 0)
#define FeathubWriterPrefetchData(writer, row) ((void) 0)
#endif

extern int64 FeathubWriterExecute(FeathubWriter *writer, FeathubWriterStatement *stmt,
								  const char *name, TupleDesc desc, Tuplestorestate *store);
extern int	FeathubWriterCompareKeys(FeathubWriter *writer, const FeathubWriterRow *a,
									 const FeathubWriterRow *b);
extern TimestampTz FeathubWriterInstant(Oid type, Datum value);

#endif							/* FEATHUB_INGEST_WRITER_INTERNAL_H */
