/*
 * group_writer.c
 *		Write batches of rows to a feature group's tables.
 *
 * A batch arrives as an array of rows in order of arrival.  It is sorted once
 * by (primary key, event time, arrival); one pass over the sorted rows fills
 * two lists: the history rows, one per (key, event time), and the latest row of
 * each key.  Each list is then the source of one set-based statement, in which
 * it is known as an ephemeral named relation; on ordinary tables bulk_insert.c
 * and latest_upsert.c do without, and leave to the statement what they cannot
 * do.  Sorted input also keeps the B-tree insertions of a batch next to each
 * other.
 *
 * Deletions (groups with "deletes") become history rows too: deletions.c gives
 * them their event time before the sort.
 *
 * Invariants:
 * 1. A statement meets each key once, so ON CONFLICT never hits a row twice.
 * 2. Nothing here depends on batch borders: the same rows in other batches
 *    leave the same tables.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/relation.h"
#include "access/table.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "lib/ilist.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/sortsupport.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"
#include "utils/typcache.h"

#include "core/describe.h"
#include "ingest/bulk_insert.h"
#include "ingest/deletions.h"
#include "ingest/foreign_sink.h"
#include "ingest/group_writer.h"
#include "ingest/latest_upsert.h"
#include "ingest/writer_internal.h"

/* From this many rows on, a batch is inserted in bulk. */
#define BULK_ROWS 1000

/* A row while a batch is sorted. */
typedef struct SortItem
{
	int64		key[2];			/* if all sort columns are numbers */
	int			row;			/* index in the batch */
} SortItem;

/* All writers of this process, for the relcache callback. */
static dlist_head writers = DLIST_STATIC_INIT(writers);
static bool callback_registered = false;

static void match_columns(FeathubWriter *writer);
static void check_key_type(FeathubWriter *writer, TupleDesc table, const char *name, int col);
static void prepare_sort(FeathubWriter *writer);
static void build_statements(FeathubWriter *writer);
static void note_relcache_change(Datum arg, Oid relid);
static void forget_writer(void *arg);
static void sort_rows(FeathubWriter *writer, FeathubWriterRow *rows, SortItem *items, int n);
static bool same_key(FeathubWriter *writer, const FeathubWriterRow *rows,
					 const SortItem *a, const SortItem *b, int n);
static void apply_plain(FeathubWriter *writer, FeathubWriterRow *rows, int nrows,
						FeathubWriterCounts *counts);
static void apply_by_key(FeathubWriter *writer, FeathubWriterRow *rows, int nrows,
						 FeathubWriterCounts *counts);

static inline int
compare_items(const SortItem *a, const SortItem *b)
{
	if (a->key[0] != b->key[0])
		return a->key[0] < b->key[0] ? -1 : 1;
	if (a->key[1] != b->key[1])
		return a->key[1] < b->key[1] ? -1 : 1;
	return a->row < b->row ? -1 : 1;
}

/* Compare two rows by the first n sort columns. */
static int
compare_columns(FeathubWriter *writer, const FeathubWriterRow *a, const FeathubWriterRow *b, int n)
{
	for (int i = 0; i < n; i++)
	{
		int			col = writer->sort_cols[i];
		int			cmp = ApplySortComparator(a->values[col], a->isnull[col],
											  b->values[col], b->isnull[col],
											  &writer->sort[i]);

		if (cmp != 0)
			return cmp;
	}
	return 0;
}

FeathubWriter *
FeathubWriterBegin(Oid relid, TupleDesc input, uint32 flags)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext,
												  "feathub writer",
												  ALLOCSET_SMALL_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	FeathubWriter *writer = palloc0(sizeof(FeathubWriter));

	writer->context = context;
	writer->relid = relid;
	writer->flags = flags;
	writer->input = CreateTupleDescCopy(input);
	writer->event_time = -1;
	writer->group = FeathubGroupLoadWritable(relid);
	if (writer->group == NULL || !OidIsValid(writer->group->online))
		writer->flags &= ~FEATHUB_WRITE_ONLINE;
	if (get_rel_relkind(relid) == RELKIND_FOREIGN_TABLE)
	{
		writer->sink_key = FeathubConnectorUpsertKey(relid, &writer->sink_deletes);
		writer->sink_time = writer->sink_key ? FeathubForeignSinkEventTime(relid) : NULL;
	}
	match_columns(writer);
	if (writer->nsort > 0)
		prepare_sort(writer);
	build_statements(writer);
	if (get_rel_relkind(relid) == RELKIND_FOREIGN_TABLE)
		writer->bulk = FeathubForeignSinkInsertable(relid, writer->input);
	else
		writer->bulk = writer->group != NULL &&
			FeathubBulkInsertPossible(relid, writer->history_desc);
	if (writer->flags & FEATHUB_WRITE_ONLINE)
		writer->upsert = FeathubLatestUpsertPrepare(writer);

	if (!callback_registered)
	{
		CacheRegisterRelcacheCallback(note_relcache_change, (Datum) 0);
		callback_registered = true;
	}
	dlist_push_tail(&writers, &writer->node);
	writer->reset.func = forget_writer;
	writer->reset.arg = writer;
	MemoryContextRegisterResetCallback(context, &writer->reset);
	MemoryContextSwitchTo(old);
	return writer;
}

TupleDesc
FeathubWriterInput(FeathubWriter *writer)
{
	return writer->input;
}

bool
FeathubWriterDeletes(FeathubWriter *writer)
{
	return writer->group ? writer->group->deletes : writer->sink_deletes;
}

bool
FeathubWriterIsStale(FeathubWriter *writer)
{
	return writer->stale;
}

void
FeathubWriterEnd(FeathubWriter *writer)
{
	MemoryContextDelete(writer->context);
}

char *
FeathubWriterRefuses(FeathubWriter *writer, const FeathubWriterRow *row, int *sqlerrcode)
{
	for (int i = 0; i < writer->nsort; i++)
	{
		int			col = writer->sort_cols[i];

		if (!row->isnull[col] || (row->deleted && col == writer->event_time))
			continue;
		*sqlerrcode = ERRCODE_NOT_NULL_VIOLATION;
		return psprintf(writer->group == NULL ?
						col == writer->event_time ?
						"null value in event time column \"%s\" of foreign table \"%s\"" :
						"null value in key column \"%s\" of foreign table \"%s\"" :
						col == writer->event_time ?
						"null value in event time column \"%s\" of feature group \"%s\"" :
						"null value in primary key column \"%s\" of feature group \"%s\"",
						NameStr(TupleDescAttr(writer->input, col)->attname),
						get_rel_name(writer->relid));
	}
	return NULL;
}

/* A value of an event time type as an instant; naive times are UTC. */
TimestampTz
FeathubWriterInstant(Oid type, Datum value)
{
	if (type == DATEOID)
	{
		DateADT		date = DatumGetDateADT(value);

		if (DATE_IS_NOBEGIN(date))
			return DT_NOBEGIN;
		if (DATE_IS_NOEND(date))
			return DT_NOEND;
		return (TimestampTz) date * USECS_PER_DAY;
	}
	return DatumGetTimestampTz(value);	/* timestamp has the same form */
}

TimestampTz
FeathubWriterEventTime(FeathubWriter *writer, const FeathubWriterRow *row)
{
	if (writer->event_time < 0 || row->isnull[writer->event_time])
		return DT_NOBEGIN;
	return FeathubWriterInstant(writer->event_time_type, row->values[writer->event_time]);
}

/*
 * The instant before which rows are too old, or DT_NOBEGIN.
 */
static TimestampTz
cutoff(const Interval *age, TimestampTz now)
{
	if (age == NULL)
		return DT_NOBEGIN;
	return DatumGetTimestampTz(DirectFunctionCall2(timestamptz_mi_interval,
												   TimestampTzGetDatum(now),
												   IntervalPGetDatum(age)));
}

/* A row's columns as they are written; history rows carry the deletion mark. */
static void
finish_row(FeathubWriter *writer, const FeathubWriterRow *row, Datum **values, bool **isnull)
{
	int			ninput = writer->input->natts;

	*values = row->values;
	*isnull = row->isnull;
	if (writer->history_desc->natts == ninput)
		return;
	memcpy(writer->values, row->values, sizeof(Datum) * ninput);
	memcpy(writer->isnull, row->isnull, sizeof(bool) * ninput);
	for (int col = 0; row->deleted && col < ninput; col++)
		if (!writer->is_key[col] && col != writer->event_time)
			writer->isnull[col] = true;
	writer->values[ninput] = BoolGetDatum(row->deleted);
	writer->isnull[ninput] = false;
	*values = writer->values;
	*isnull = writer->isnull;
}

/* A batch on its way into the statements. */
typedef struct Collapse
{
	FeathubBulkInsert *bulk;	/* takes the history rows, or NULL */
	Tuplestorestate *history;	/* takes them, or those that bulk sets aside */
	FeathubWriterRow **latest;	/* by key */
	int			nlatest;
	int64		expired;
} Collapse;

/* See FeathubWriterPrefetchValues. */
static inline void
prefetch_row(const FeathubWriter *writer, const FeathubWriterRow *rows, const SortItem *items,
			 int i, int n)
{
#if defined(__GNUC__) || defined(__clang__)
	if (i + 24 < n)
		__builtin_prefetch(&rows[items[i + 24].row]);
	if (i + 16 < n)
		FeathubWriterPrefetchValues(&rows[items[i + 16].row]);
	if (i + 8 < n)
		FeathubWriterPrefetchData(writer, &rows[items[i + 8].row]);
#endif
}

/* Pick the history rows and the latest rows out of the sorted batch. */
static void
collapse_rows(FeathubWriter *writer, FeathubWriterRow *rows, const SortItem *items, int n,
			  TimestampTz now, Collapse *out)
{
	TimestampTz oldest = cutoff(writer->group->retention, now);
	TimestampTz oldest_online = Max(oldest, cutoff(writer->group->ttl, now));

	for (int i = 0; i < n; i++)
	{
		FeathubWriterRow *row = &rows[items[i].row];
		const SortItem *next = i + 1 < n ? &items[i + 1] : NULL;
		Datum	   *values;
		bool	   *isnull;
		TimestampTz at = FeathubWriterEventTime(writer, row);

		if ((i & 1023) == 0)
			CHECK_FOR_INTERRUPTS();
		prefetch_row(writer, rows, items, i, n);
		if (writer->event_time >= 0 && at < oldest)
		{
			out->expired++;
			continue;
		}
		/* the sort puts the winner of each group of equals last */
		if (next && same_key(writer, rows, &items[i], next, writer->nsort))
			continue;
		if (writer->flags & FEATHUB_WRITE_OFFLINE)
		{
			finish_row(writer, row, &values, &isnull);
			if (out->bulk)
				FeathubBulkInsertRow(out->bulk, values, isnull);
			else
				tuplestore_putvalues(out->history, writer->history_desc, values, isnull);
		}
		if (!(writer->flags & FEATHUB_WRITE_ONLINE) || row->deleted ||
			(next && same_key(writer, rows, &items[i], next, writer->nkeys)) ||
			(writer->event_time >= 0 && at < oldest_online))
			continue;
		out->latest[out->nlatest++] = row;
	}
}

/* Bring the latest rows to the online table; returns how many it took. */
static int64
write_latest(FeathubWriter *writer, FeathubWriterRow **rows, int n)
{
	Tuplestorestate *store;
	int64		written = -1;

	if (writer->upsert)
		written = FeathubLatestUpsertRows(writer, rows, n);
	if (written >= 0)
		return written;
	store = tuplestore_begin_heap(false, false, work_mem);
	for (int i = 0; i < n; i++)
		tuplestore_putvalues(store, writer->input, rows[i]->values, rows[i]->isnull);
	written = FeathubWriterExecute(writer, &writer->latest_stmt, "feathub_latest", writer->input,
								   store);
	tuplestore_end(store);
	return written;
}

void
FeathubWriterApply(FeathubWriter *writer, FeathubWriterRow *rows, int nrows,
				   TimestampTz now, FeathubWriterCounts *counts)
{
	Collapse	collapse = {0};
	SortItem   *items;
	int			ndeletions = 0;
	int64		written = 0;

	if (nrows == 0)
		return;
	if (writer->group == NULL)
	{
		if (writer->sink_key)
			apply_by_key(writer, rows, nrows, counts);
		else
			apply_plain(writer, rows, nrows, counts);
		return;
	}

	for (int i = 0; i < nrows; i++)
		if (rows[i].deleted)
			ndeletions++;
	if (ndeletions > 0)
		FeathubDeletionsResolve(writer, rows, nrows);

	items = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(SortItem) * (Size) nrows);
	sort_rows(writer, rows, items, nrows);
	collapse.history = tuplestore_begin_heap(false, false, work_mem);
	collapse.latest = MemoryContextAllocHuge(CurrentMemoryContext,
											 sizeof(FeathubWriterRow *) * (Size) nrows);
	/* small batches are not worth it; and never past a trigger made just now */
	LockRelationOid(writer->relid, RowExclusiveLock);
	if (writer->bulk && !writer->stale && nrows >= BULK_ROWS &&
		(writer->flags & FEATHUB_WRITE_OFFLINE))
		collapse.bulk = FeathubBulkInsertBegin(writer->relid, writer->history_desc, nrows,
											   collapse.history);
	collapse_rows(writer, rows, items, nrows, now, &collapse);
	if (collapse.bulk)
		written = FeathubBulkInsertEnd(collapse.bulk);
	if (tuplestore_tuple_count(collapse.history) > 0)
		written += FeathubWriterExecute(writer, &writer->history_stmt, "feathub_history",
										writer->history_desc, collapse.history);
	if ((writer->flags & FEATHUB_WRITE_ONLINE) && ndeletions > 0)
	{
		int		   *order = palloc(sizeof(int) * nrows);

		for (int i = 0; i < nrows; i++)
			order[i] = items[i].row;
		FeathubDeletionsApply(writer, rows, order, nrows);
		pfree(order);
	}
	if ((writer->flags & FEATHUB_WRITE_ONLINE) && collapse.nlatest > 0)
	{
		int64		latest_written = write_latest(writer, collapse.latest, collapse.nlatest);

		if (!(writer->flags & FEATHUB_WRITE_OFFLINE))
			written = latest_written;
	}
	tuplestore_end(collapse.history);
	pfree(collapse.latest);
	pfree(items);

	counts->applied += written;
	counts->expired += collapse.expired;
	counts->duplicates += nrows - collapse.expired - written;
}

/*
 * Insert rows into a plain or foreign table, in this order; returns how many a
 * statement says were, the others a rule or trigger dropped.
 */
static int64
insert_rows(FeathubWriter *writer, FeathubWriterRow **rows, int n)
{
	Tuplestorestate *store;
	int64		written;

	if (n == 0)
		return 0;
	LockRelationOid(writer->relid, RowExclusiveLock);
	if (writer->bulk && !writer->stale)
	{
		FeathubForeignSinkInsert(writer->relid, writer->input, rows, n);
		return n;
	}
	store = tuplestore_begin_heap(false, false, work_mem);
	for (int i = 0; i < n; i++)
		tuplestore_putvalues(store, writer->input, rows[i]->values, rows[i]->isnull);
	written = FeathubWriterExecute(writer, &writer->history_stmt, "feathub_history",
								   writer->history_desc, store);
	tuplestore_end(store);
	return written;
}

/* A plain table takes every row as it comes. */
static void
apply_plain(FeathubWriter *writer, FeathubWriterRow *rows, int nrows,
			FeathubWriterCounts *counts)
{
	FeathubWriterRow **all = MemoryContextAllocHuge(CurrentMemoryContext,
													sizeof(FeathubWriterRow *) * (Size) nrows);
	int64		written;

	for (int i = 0; i < nrows; i++)
		all[i] = &rows[i];
	written = insert_rows(writer, all, nrows);
	pfree(all);
	counts->applied += written;
	counts->duplicates += nrows - written;	/* a rule or trigger dropped them */
}

/*
 * A foreign table in which rows have keys gets what arrived last of each, or
 * with an event time the latest, a deletion before a row of its time.
 */
static void
apply_by_key(FeathubWriter *writer, FeathubWriterRow *rows, int nrows,
			 FeathubWriterCounts *counts)
{
	SortItem   *items = MemoryContextAllocHuge(CurrentMemoryContext,
											   sizeof(SortItem) * (Size) nrows);
	FeathubWriterRow **latest = MemoryContextAllocHuge(CurrentMemoryContext,
													   sizeof(FeathubWriterRow *) * (Size) nrows);
	FeathubWriterRow **deleted = MemoryContextAllocHuge(CurrentMemoryContext,
														sizeof(FeathubWriterRow *) * (Size) nrows);
	FeathubWriterRow *deletion = NULL;
	int			ndeleted = 0;
	int			nlatest = 0;

	for (int i = 0; i < nrows && writer->event_time >= 0; i++)
	{
		if (!rows[i].deleted)
			continue;
		rows[i].values[writer->event_time] = TimestampTzGetDatum(rows[i].deleted_at);
		rows[i].isnull[writer->event_time] = false;
	}
	sort_rows(writer, rows, items, nrows);
	for (int i = 0; i < nrows; i++)
	{
		FeathubWriterRow *row = &rows[items[i].row];
		const SortItem *next = i + 1 < nrows ? &items[i + 1] : NULL;

		prefetch_row(writer, rows, items, i, nrows);
		if (row->deleted)
			deletion = row;
		if (next && same_key(writer, rows, &items[i], next, writer->nkeys))
		{
			if (writer->event_time < 0 || !same_key(writer, rows, &items[i], next, writer->nsort))
				deletion = NULL;
			continue;
		}
		if (writer->event_time >= 0 && deletion)
			row = deletion;
		deletion = NULL;
		if (row->deleted)
			deleted[ndeleted++] = row;
		else
			latest[nlatest++] = row;
	}
	if (ndeleted > 0)
		FeathubForeignSinkDelete(writer->relid, deleted, ndeleted, writer->sort_cols);
	(void) insert_rows(writer, latest, nlatest);
	pfree(latest);
	pfree(deleted);
	pfree(items);
	counts->applied += ndeleted + nlatest;
	counts->duplicates += nrows - ndeleted - nlatest;
}

/*
 * FeathubWriterExecute
 *		Run one of the writer's statements over a tuplestore known by name.
 *
 * Returns the rows processed.  The plan is kept; the server makes it anew when
 * a table changes.
 */
int64
FeathubWriterExecute(FeathubWriter *writer, FeathubWriterStatement *stmt,
					 const char *name, TupleDesc desc, Tuplestorestate *store)
{
	EphemeralNamedRelation enr = palloc0(sizeof(EphemeralNamedRelationData));
	int64		processed;
	int			rc;

	enr->md.name = pstrdup(name);
	enr->md.reliddesc = InvalidOid;
	enr->md.tupdesc = desc;
	enr->md.enrtype = ENR_NAMED_TUPLESTORE;
	enr->md.enrtuples = 10000;	/* the plan is kept: what a full batch is like */
	enr->reldata = store;

	SPI_connect();
	if ((rc = SPI_register_relation(enr)) != SPI_OK_REL_REGISTER)
		elog(ERROR, "SPI_register_relation failed: %s", SPI_result_code_string(rc));
	if (stmt->plan == NULL)
	{
		SPIPlanPtr	plan = SPI_prepare(stmt->sql, 0, NULL);

		if (plan == NULL)
			elog(ERROR, "SPI_prepare failed: %s", SPI_result_code_string(SPI_result));
		SPI_keepplan(plan);
		stmt->plan = plan;
	}
	rc = SPI_execute_plan(stmt->plan, NULL, NULL, false, 0);
	if (rc < 0)
		elog(ERROR, "SPI_execute_plan failed: %s", SPI_result_code_string(rc));
	processed = SPI_processed;
	if (stmt->result)
		stmt->result(writer, stmt->result_arg);
	SPI_finish();
	return processed;
}

/*
 * Sorting.  Where all sort columns are integers or times, as keys mostly are,
 * each row becomes an item of two words, compared without a call; else the
 * types' own comparators are called.
 */
#define ST_SORT sort_items
#define ST_ELEMENT_TYPE SortItem
#define ST_COMPARE(a, b) compare_items(a, b)
#define ST_SCOPE static
#define ST_DEFINE
#include "lib/sort_template.h"

/* The comparator of a column's type works on the datum as a signed number. */
static bool
is_number(const SortSupportData *key)
{
	return key->comparator == ssup_datum_signed_cmp ||
		key->comparator == ssup_datum_int32_cmp;
}

/* Order by the sort columns, then arrival, then as the query gave them. */
static int
compare_rows(const void *a, const void *b, void *arg)
{
	FeathubWriter *writer = arg;
	const FeathubWriterRow *ra = &writer->sort_rows[((const SortItem *) a)->row];
	const FeathubWriterRow *rb = &writer->sort_rows[((const SortItem *) b)->row];
	int			cmp = compare_columns(writer, ra, rb, writer->nsort);

	if (cmp != 0)
		return cmp;
	if (ra->arrival != rb->arrival)
		return ra->arrival < rb->arrival ? -1 : 1;
	return ra < rb ? -1 : (ra > rb ? 1 : 0);
}

/* Fill the items and sort them. */
static void
sort_rows(FeathubWriter *writer, FeathubWriterRow *rows, SortItem *items, int n)
{
	for (int i = 0; i < n; i++)
		items[i].row = i;
	if (!writer->numbers)
	{
		writer->sort_rows = rows;
		qsort_arg(items, n, sizeof(SortItem), compare_rows, writer);
		return;
	}
	for (int i = 0; i < n; i++)
		for (int j = 0; j < writer->nsort; j++)
		{
			Datum		value = rows[i].values[writer->sort_cols[j]];

			items[i].key[j] = writer->sort[j].comparator == ssup_datum_int32_cmp ?
				DatumGetInt32(value) : DatumGetInt64(value);
		}
	if (writer->nsort == 1)
		for (int i = 0; i < n; i++)
			items[i].key[1] = 0;
	sort_items(items, n);		/* rows come in order of arrival */
}

/* True if two items agree in the first n sort columns. */
static bool
same_key(FeathubWriter *writer, const FeathubWriterRow *rows, const SortItem *a,
		 const SortItem *b, int n)
{
	if (writer->numbers)
		return a->key[0] == b->key[0] && (n == 1 || a->key[1] == b->key[1]);
	return compare_columns(writer, &rows[a->row], &rows[b->row], n) == 0;
}

int
FeathubWriterCompareKeys(FeathubWriter *writer, const FeathubWriterRow *a,
						 const FeathubWriterRow *b)
{
	return compare_columns(writer, a, b, writer->nkeys);
}

/* The input column of that name, or -1. */
static int
input_column(FeathubWriter *writer, const char *name)
{
	for (int i = 0; i < writer->input->natts; i++)
		if (namestrcmp(&TupleDescAttr(writer->input, i)->attname, name) == 0)
			return i;
	return -1;
}

/* Check input's columns against the table's, and find key and event time. */
static void
match_columns(FeathubWriter *writer)
{
	Relation	rel = relation_open(writer->relid, AccessShareLock);
	TupleDesc	table = RelationGetDescr(rel);
	int			natts = writer->input->natts;
	char	   *event_time;
	List	   *key;
	ListCell   *lc;

	for (int i = 0; i < natts; i++)
	{
		const char *name = NameStr(TupleDescAttr(writer->input, i)->attname);
		Form_pg_attribute att = FeathubDescribeColumn(table, name);

		if (att == NULL)
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_COLUMN),
					 errmsg("column \"%s\" does not exist in table \"%s\"",
							name, RelationGetRelationName(rel)),
					 errhint("Add the column to the table, or leave it out of the source or query.")));
		if (FeathubColumnIsGenerated(att))
			ereport(ERROR,
					(errcode(ERRCODE_GENERATED_ALWAYS),
					 errmsg("column \"%s\" of table \"%s\" is generated and cannot be written",
							name, RelationGetRelationName(rel))));
	}

	writer->is_key = palloc0(sizeof(bool) * natts);
	writer->by_reference = palloc(sizeof(int) * (natts + 1));
	for (int i = 0; i < natts; i++)
		if (!TupleDescAttr(writer->input, i)->attbyval)
			writer->by_reference[writer->nby_reference++] = i;
	writer->values = palloc0(sizeof(Datum) * (natts + 1));
	writer->isnull = palloc0(sizeof(bool) * (natts + 1));
	key = writer->group ? writer->group->primary_key : writer->sink_key;
	writer->nkeys = list_length(key);
	writer->sort_cols = palloc(sizeof(int) * (writer->nkeys + 1));
	foreach(lc, key)
	{
		int			col = input_column(writer, lfirst(lc));

		check_key_type(writer, table, lfirst(lc), col);
		writer->is_key[col] = true;
		writer->sort_cols[writer->nsort++] = col;
	}
	event_time = writer->group ? writer->group->event_time : writer->sink_time;
	if (event_time)
	{
		int			col = input_column(writer, event_time);

		check_key_type(writer, table, event_time, col);
		writer->event_time = col;
		writer->event_time_type = getBaseType(TupleDescAttr(writer->input, col)->atttypid);
		writer->sort_cols[writer->nsort++] = col;
	}
	if (writer->group)
	{
		if (writer->group->deletes && writer->event_time_type == DATEOID)
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("feature group \"%s\" cannot have deletes with an event time of type date",
							RelationGetRelationName(rel)),
					 errhint("Use a column of type timestamp with time zone.")));
	}
	relation_close(rel, NoLock);
}

/*
 * Keys and event time are compared before they are written, so they must have
 * the column's own type: an assignment cast could make two keys one.
 */
static void
check_key_type(FeathubWriter *writer, TupleDesc table, const char *name, int col)
{
	Form_pg_attribute given;
	Form_pg_attribute att = FeathubDescribeColumn(table, name);

	if (col < 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_COLUMN),
				 writer->group ?
				 errmsg("column \"%s\" of feature group \"%s\" is missing in its input",
						name, get_rel_name(writer->relid)) :
				 errmsg("key column \"%s\" of foreign table \"%s\" is missing in its input",
						name, get_rel_name(writer->relid)),
				 errhint("The source or query must give every primary key column and the event time.")));
	given = TupleDescAttr(writer->input, col);
	if (given->atttypid != att->atttypid ||
		(att->atttypmod >= 0 && given->atttypmod != att->atttypmod))
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("column \"%s\" of \"%s\" is of type %s but its input is of type %s",
						name, get_rel_name(writer->relid),
						format_type_with_typemod(att->atttypid, att->atttypmod),
						format_type_with_typemod(given->atttypid, given->atttypmod)),
				 errhint("Give the column the same type, or add a cast to the query.")));
}

static void
prepare_sort(FeathubWriter *writer)
{
	writer->sort = palloc0(sizeof(SortSupportData) * writer->nsort);
	for (int i = 0; i < writer->nsort; i++)
	{
		Form_pg_attribute att = TupleDescAttr(writer->input, writer->sort_cols[i]);
		TypeCacheEntry *type = lookup_type_cache(att->atttypid, TYPECACHE_LT_OPR);
		SortSupport key = &writer->sort[i];

		key->ssup_cxt = writer->context;
		key->ssup_collation = att->attcollation;
		key->ssup_nulls_first = false;
		key->ssup_attno = writer->sort_cols[i] + 1;
		PrepareSortSupportFromOrderingOp(type->lt_opr, key);
	}
	writer->numbers = writer->nsort <= 2;
	for (int i = 0; i < writer->nsort; i++)
		writer->numbers &= is_number(&writer->sort[i]);
}

/* Append a comma-separated list of quoted names, each with a prefix. */
static void
append_names(StringInfo out, const char *prefix, TupleDesc desc, const bool *leave_out)
{
	bool		first = true;

	for (int i = 0; i < desc->natts; i++)
	{
		if (leave_out && leave_out[i])
			continue;
		appendStringInfo(out, "%s%s%s", first ? "" : ", ", prefix,
						 quote_identifier(NameStr(TupleDescAttr(desc, i)->attname)));
		first = false;
	}
}

/*
 * INSERT INTO table AS t (...) SELECT ... FROM source [filter] ON CONFLICT (key)
 * DO UPDATE SET all other columns WHERE guard and the row is really another one.
 */
static char *
upsert_statement(FeathubWriter *writer, Oid table, TupleDesc desc, const char *source,
				 const char *filter, int nkeys, const char *guard)
{
	StringInfoData sql;
	bool	   *in_key = palloc0(sizeof(bool) * desc->natts);
	int			nset = 0;

	for (int i = 0; i < nkeys; i++)
		in_key[writer->sort_cols[i]] = true;
	initStringInfo(&sql);
	appendStringInfo(&sql, "INSERT INTO %s AS t (", FeathubQualifiedName(table));
	append_names(&sql, "", desc, NULL);
	appendStringInfoString(&sql, ") SELECT ");
	append_names(&sql, "s.", desc, NULL);
	appendStringInfo(&sql, " FROM %s s%s ON CONFLICT (", source, filter);
	for (int i = 0; i < nkeys; i++)
		appendStringInfo(&sql, "%s%s", i ? ", " : "",
						 quote_identifier(NameStr(TupleDescAttr(desc, writer->sort_cols[i])->attname)));
	appendStringInfoString(&sql, ") DO ");
	for (int i = 0; i < desc->natts; i++)
	{
		const char *name = quote_identifier(NameStr(TupleDescAttr(desc, i)->attname));

		if (in_key[i])
			continue;
		appendStringInfo(&sql, "%s%s = EXCLUDED.%s", nset++ ? ", " : "UPDATE SET ", name, name);
	}
	if (nset == 0)
		appendStringInfoString(&sql, "NOTHING");
	else
	{
		/*
		 * *<> compares images: it works for every type and asks no opclass.
		 * Without the casts it would be taken column by column.
		 */
		appendStringInfo(&sql, " WHERE %s(ROW(", guard);
		append_names(&sql, "t.", desc, in_key);
		appendStringInfoString(&sql, ")::pg_catalog.record OPERATOR(pg_catalog.*<>) ROW(");
		append_names(&sql, "EXCLUDED.", desc, in_key);
		appendStringInfoString(&sql, ")::pg_catalog.record)");
	}
	return sql.data;
}

/*
 * The same upsert, and what it changed goes to the group's store: late rows do
 * not, and of two workers the one that comes later in the online table, whose
 * row stays locked until the commit, comes later there too.
 */
static char *
copy_to_store(FeathubWriter *writer, const char *upsert)
{
	Relation	rel = relation_open(writer->group->store, AccessShareLock);
	Relation	online = relation_open(writer->group->online, AccessShareLock);
	TupleDesc	desc = RelationGetDescr(rel);
	StringInfoData names;

	initStringInfo(&names);
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);

		if (att->attisdropped || att->attgenerated)
			continue;
		if (FeathubDescribeColumn(RelationGetDescr(online), NameStr(att->attname)) == NULL)
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_COLUMN),
					 errmsg("column \"%s\" of online store \"%s\" is not in online table \"%s\"",
							NameStr(att->attname), RelationGetRelationName(rel),
							RelationGetRelationName(online))));
		appendStringInfo(&names, "%s%s", names.len ? ", " : "",
						 quote_identifier(NameStr(att->attname)));
	}
	relation_close(online, NoLock);
	relation_close(rel, NoLock);
	return psprintf("WITH changed AS (%s RETURNING %s) INSERT INTO %s (%s) SELECT %s FROM changed",
					upsert, names.data, FeathubQualifiedName(writer->group->store),
					names.data, names.data);
}

static void
build_statements(FeathubWriter *writer)
{
	FeathubGroup *group = writer->group;
	StringInfoData sql;

	writer->history_desc = writer->input;
	if (group == NULL)
	{
		initStringInfo(&sql);
		appendStringInfo(&sql, "INSERT INTO %s (", FeathubQualifiedName(writer->relid));
		append_names(&sql, "", writer->input, NULL);
		appendStringInfoString(&sql, ") SELECT ");
		append_names(&sql, "", writer->input, NULL);
		appendStringInfoString(&sql, " FROM feathub_history");
		writer->history_stmt.sql = sql.data;
		return;
	}

	if (group->deletes)
	{
		TupleDesc	desc = CreateTemplateTupleDesc(writer->input->natts + 1);

		for (int i = 1; i <= writer->input->natts; i++)
			TupleDescCopyEntry(desc, i, writer->input, i);
		TupleDescInitEntry(desc, writer->input->natts + 1, "feathub_deleted", BOOLOID, -1, 0);
		writer->history_desc = desc;
	}
	writer->history_stmt.sql = upsert_statement(writer, writer->relid, writer->history_desc,
												"feathub_history", "", writer->nsort, "");
	if (writer->flags & FEATHUB_WRITE_ONLINE)
	{
		const char *filter = group->deletes ? FeathubDeletionsFilter(writer) : "";
		const char *guard = "";

		if (writer->event_time >= 0)
		{
			const char *name = quote_identifier(group->event_time);

			/* a newer row is another row: nothing to compare */
			guard = psprintf("EXCLUDED.%s OPERATOR(pg_catalog.>) t.%s OR "
							 "EXCLUDED.%s OPERATOR(pg_catalog.=) t.%s AND ",
							 name, name, name, name);
		}
		writer->latest_stmt.sql = upsert_statement(writer, group->online, writer->input,
												   "feathub_latest", filter, writer->nkeys, guard);
		if (OidIsValid(group->store))
			writer->latest_stmt.sql = copy_to_store(writer, writer->latest_stmt.sql);
		if (group->deletes)
			FeathubDeletionsPrepare(writer);
	}
}

/* Relcache callback: a table was altered.  Must not touch the catalog. */
static void
note_relcache_change(Datum arg, Oid relid)
{
	dlist_iter	iter;

	dlist_foreach(iter, &writers)
	{
		FeathubWriter *writer = dlist_container(FeathubWriter, node, iter.cur);

		if (!OidIsValid(relid) || relid == writer->relid ||
			(writer->group && (relid == writer->group->online ||
							   relid == writer->group->tombstone ||
							   relid == writer->group->store)))
			writer->stale = true;
	}
}

/* Reset callback: the writer's memory goes away. */
static void
forget_writer(void *arg)
{
	FeathubWriter *writer = arg;

	dlist_delete(&writer->node);
	if (writer->history_stmt.plan)
		SPI_freeplan(writer->history_stmt.plan);
	if (writer->latest_stmt.plan)
		SPI_freeplan(writer->latest_stmt.plan);
	for (int i = 0; i < lengthof(writer->deletion_stmts); i++)
		if (writer->deletion_stmts[i].plan)
			SPI_freeplan(writer->deletion_stmts[i].plan);
}
