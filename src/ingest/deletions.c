/*
 * deletions.c
 *		Deletions (tombstones, CDC deletes) in a feature group's batches.
 *
 * A deletion becomes a history row: the key, feathub_deleted, features NULL,
 * and an event time, so that training sees the features end where serving saw
 * them end.  The event time is the deletion's time in its source (commit time
 * or message timestamp), moved behind the latest row that arrived before it.
 *
 * A replay after a rewind must not move a deletion behind rows that came after
 * it.  So a record that had been applied before (row->replayed) finds its
 * former history row instead: the first deletion of its key at or after its
 * time in the source.  Several may find the same one; as all of them are there
 * already, that changes nothing (promise 3).  Where a later row of the same
 * time has replaced that history row, the key's last deletion stands in: the
 * row that replaced it arrives again too.
 *
 * <group>_tombstone keeps the last deletion of each key, so that a row that is
 * not newer does not return to the online table (promise 2).
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"
#include "utils/typcache.h"

#include "connectors/connector.h"
#include "core/describe.h"
#include "ingest/deletions.h"
#include "ingest/foreign_sink.h"
#include "ingest/writer_internal.h"

/* The schema of an operator. */
static Oid
operator_namespace(Oid oper)
{
	HeapTuple	tuple = SearchSysCache1(OPEROID, ObjectIdGetDatum(oper));
	Oid			result;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for operator %u", oper);
	result = ((Form_pg_operator) GETSTRUCT(tuple))->oprnamespace;
	ReleaseSysCache(tuple);
	return result;
}

/* a.col OPERATOR(schema.=) b.col, for every key column, joined by AND. */
static void
append_key_equality(StringInfo out, FeathubWriter *writer, const char *a, const char *b)
{
	for (int i = 0; i < writer->nkeys; i++)
	{
		Form_pg_attribute att = TupleDescAttr(writer->input, writer->sort_cols[i]);
		TypeCacheEntry *type = lookup_type_cache(att->atttypid, TYPECACHE_EQ_OPR);
		const char *name = quote_identifier(NameStr(att->attname));
		char	   *oper = get_opname(type->eq_opr);

		/* spelled out with its schema: search_path is empty in a worker */
		appendStringInfo(out, "%s%s.%s OPERATOR(%s.%s) %s.%s", i ? " AND " : "",
						 a, name,
						 quote_identifier(get_namespace_name(operator_namespace(type->eq_opr))),
						 oper, b, name);
	}
}

/* The key columns with a prefix. */
static void
append_keys(StringInfo out, FeathubWriter *writer, const char *prefix)
{
	for (int i = 0; i < writer->nkeys; i++)
		appendStringInfo(out, "%s%s%s", i ? ", " : "", prefix,
						 quote_identifier(NameStr(TupleDescAttr(writer->input,
																writer->sort_cols[i])->attname)));
}

/* SPI result of DELETION_LATEST and DELETION_REPLAYED: (number, event time). */
static void
read_instants(FeathubWriter *writer, void *arg)
{
	TimestampTz *into = arg;

	for (uint64 i = 0; i < SPI_processed; i++)
	{
		HeapTuple	tuple = SPI_tuptable->vals[i];
		TupleDesc	desc = SPI_tuptable->tupdesc;
		bool		isnull;
		int32		number = DatumGetInt32(SPI_getbinval(tuple, desc, 1, &isnull));
		Datum		value = SPI_getbinval(tuple, desc, 2, &isnull);

		if (!isnull)
			into[number] = FeathubWriterInstant(writer->event_time_type, value);
	}
}

/*
 * SPI result of DELETION_ONLINE: the keys that are gone, in the store's order,
 * and the deletions' times.
 */
static void
delete_in_store(FeathubWriter *writer, void *arg)
{
	int			n = (int) SPI_processed;
	int			nkeys = n > 0 ? SPI_tuptable->tupdesc->natts - 1 : 0;
	FeathubWriterRow **rows = palloc(sizeof(FeathubWriterRow *) * (n + 1));
	int		   *cols = palloc(sizeof(int) * (nkeys + 1));

	if (n == 0)
		return;
	for (int i = 0; i < nkeys; i++)
		cols[i] = i;
	for (int i = 0; i < n; i++)
	{
		rows[i] = palloc0(sizeof(FeathubWriterRow));
		rows[i]->values = palloc(sizeof(Datum) * (nkeys + 1));
		rows[i]->isnull = palloc(sizeof(bool) * (nkeys + 1));
		heap_deform_tuple(SPI_tuptable->vals[i], SPI_tuptable->tupdesc,
						  rows[i]->values, rows[i]->isnull);
		/* without an event time the order of arrival is all that counts */
		rows[i]->deleted_at = rows[i]->isnull[nkeys] ? GetCurrentTransactionStartTimestamp() :
			DatumGetTimestampTz(rows[i]->values[nkeys]);
	}
	FeathubForeignSinkDelete(writer->group->store, rows, n, cols);
}

/* Have DELETION_ONLINE return the keys that it deletes, for the group's store. */
static void
return_store_keys(StringInfo sql, FeathubWriter *writer)
{
	bool		deletes;
	ListCell   *lc;

	appendStringInfoString(sql, " RETURNING ");
	foreach(lc, FeathubConnectorUpsertKey(writer->group->store, &deletes))
		appendStringInfo(sql, "t.%s, ", quote_identifier(lfirst(lc)));
	appendStringInfoString(sql, "s.feathub_at");
	writer->deletion_stmts[DELETION_ONLINE].result = delete_in_store;
}

void
FeathubDeletionsPrepare(FeathubWriter *writer)
{
	FeathubGroup *group = writer->group;
	const char *offline = FeathubQualifiedName(writer->relid);
	const char *online = FeathubQualifiedName(group->online);
	TupleDesc	desc = CreateTemplateTupleDesc(writer->nkeys + 2);
	StringInfoData sql;

	for (int i = 0; i < writer->nkeys; i++)
		TupleDescCopyEntry(desc, i + 1, writer->input, writer->sort_cols[i] + 1);
	TupleDescInitEntry(desc, writer->nkeys + 1, "feathub_at",
					   writer->event_time >= 0 ? writer->event_time_type : TIMESTAMPTZOID, -1, 0);
	TupleDescInitEntry(desc, writer->nkeys + 2, "feathub_number", INT4OID, -1, 0);
	writer->deletion_desc = desc;

	initStringInfo(&sql);
	appendStringInfo(&sql, "DELETE FROM %s AS t USING feathub_deletions s WHERE ", online);
	append_key_equality(&sql, writer, "t", "s");
	if (writer->event_time >= 0)
		appendStringInfo(&sql, " AND t.%s OPERATOR(pg_catalog.<=) s.feathub_at",
						 quote_identifier(group->event_time));
	if (OidIsValid(group->store))
		return_store_keys(&sql, writer);
	writer->deletion_stmts[DELETION_ONLINE].sql = sql.data;
	if (writer->event_time < 0)
		return;					/* arrival alone decides: nothing to compare */

	initStringInfo(&sql);
	appendStringInfo(&sql, "SELECT s.feathub_number, (SELECT pg_catalog.max(h.%s) FROM %s h WHERE ",
					 quote_identifier(group->event_time), offline);
	append_key_equality(&sql, writer, "h", "s");
	appendStringInfoString(&sql, ") FROM feathub_deletions s");
	writer->deletion_stmts[DELETION_LATEST].sql = sql.data;
	writer->deletion_stmts[DELETION_LATEST].result = read_instants;

	initStringInfo(&sql);
	appendStringInfo(&sql, "SELECT s.feathub_number, COALESCE((SELECT pg_catalog.min(h.%s) FROM %s h WHERE ",
					 quote_identifier(group->event_time), offline);
	append_key_equality(&sql, writer, "h", "s");
	appendStringInfo(&sql, " AND h.feathub_deleted AND h.%s OPERATOR(pg_catalog.>=) s.feathub_at),"
					 " (SELECT d.deleted_at FROM %s d WHERE ",
					 quote_identifier(group->event_time),
					 FeathubQualifiedName(group->tombstone));
	append_key_equality(&sql, writer, "d", "s");
	appendStringInfoString(&sql, " AND d.deleted_at OPERATOR(pg_catalog.>=) s.feathub_at))"
						   " FROM feathub_deletions s");
	writer->deletion_stmts[DELETION_REPLAYED].sql = sql.data;
	writer->deletion_stmts[DELETION_REPLAYED].result = read_instants;

	initStringInfo(&sql);
	appendStringInfo(&sql, "INSERT INTO %s AS t (", FeathubQualifiedName(group->tombstone));
	append_keys(&sql, writer, "");
	appendStringInfoString(&sql, ", deleted_at) SELECT ");
	append_keys(&sql, writer, "s.");
	appendStringInfoString(&sql, ", s.feathub_at FROM feathub_deletions s ON CONFLICT (");
	append_keys(&sql, writer, "");
	appendStringInfoString(&sql, ") DO UPDATE SET deleted_at = EXCLUDED.deleted_at"
						   " WHERE EXCLUDED.deleted_at OPERATOR(pg_catalog.>) t.deleted_at");
	writer->deletion_stmts[DELETION_TOMBSTONE].sql = sql.data;
}

char *
FeathubDeletionsFilter(FeathubWriter *writer)
{
	StringInfoData sql;

	initStringInfo(&sql);
	if (writer->event_time < 0)
		return sql.data;
	appendStringInfo(&sql, " WHERE NOT EXISTS (SELECT FROM %s d WHERE ",
					 FeathubQualifiedName(writer->group->tombstone));
	append_key_equality(&sql, writer, "d", "s");
	appendStringInfo(&sql, " AND d.deleted_at OPERATOR(pg_catalog.>=) s.%s)",
					 quote_identifier(writer->group->event_time));
	return sql.data;
}

/* Append a row's key with a time and a number. */
static void
put_deletion(FeathubWriter *writer, Tuplestorestate *store, const FeathubWriterRow *row,
			 TimestampTz at, int number)
{
	Datum		rowvalues[INDEX_MAX_KEYS + 2];
	bool		rowisnull[INDEX_MAX_KEYS + 2];

	Assert(writer->nkeys <= INDEX_MAX_KEYS);
	for (int i = 0; i < writer->nkeys; i++)
	{
		rowvalues[i] = row->values[writer->sort_cols[i]];
		rowisnull[i] = false;
	}
	rowvalues[writer->nkeys] = TimestampTzGetDatum(at);
	rowisnull[writer->nkeys] = at == DT_NOBEGIN;
	rowvalues[writer->nkeys + 1] = Int32GetDatum(number);
	rowisnull[writer->nkeys + 1] = false;
	tuplestore_putvalues(store, writer->deletion_desc, rowvalues, rowisnull);
}

/* Sort by key, then arrival; event times of deletions are not known yet. */
static int
compare_arrivals(const void *a, const void *b, void *arg)
{
	FeathubWriter *writer = arg;
	const FeathubWriterRow *ra = &writer->sort_rows[*(const int *) a];
	const FeathubWriterRow *rb = &writer->sort_rows[*(const int *) b];
	int			cmp = FeathubWriterCompareKeys(writer, ra, rb);

	if (cmp != 0)
		return cmp;
	if (ra->arrival != rb->arrival)
		return ra->arrival < rb->arrival ? -1 : 1;
	return ra < rb ? -1 : (ra > rb ? 1 : 0);
}

/* Run a lookup over the deletions in store into an array of n instants. */
static TimestampTz *
look_up(FeathubWriter *writer, int which, Tuplestorestate *store, int n)
{
	TimestampTz *found = palloc(sizeof(TimestampTz) * n);

	for (int i = 0; i < n; i++)
		found[i] = DT_NOBEGIN;
	writer->deletion_stmts[which].result_arg = found;
	FeathubWriterExecute(writer, &writer->deletion_stmts[which], "feathub_deletions",
						 writer->deletion_desc, store);
	return found;
}

void
FeathubDeletionsResolve(FeathubWriter *writer, FeathubWriterRow *rows, int nrows)
{
	Tuplestorestate *keys;
	Tuplestorestate *replayed;
	TimestampTz *latest;
	TimestampTz *former;
	int		   *order;
	int			nkeys = 0;
	int			nreplayed = 0;

	if (writer->event_time < 0)
		return;
	order = palloc(sizeof(int) * nrows);
	for (int i = 0; i < nrows; i++)
		order[i] = i;
	writer->sort_rows = rows;
	qsort_arg(order, nrows, sizeof(int), compare_arrivals, writer);

	/* First pass: the keys with deletions, numbered in this order. */
	keys = tuplestore_begin_heap(false, false, work_mem);
	replayed = tuplestore_begin_heap(false, false, work_mem);
	for (int i = 0; i < nrows; i++)
	{
		FeathubWriterRow *row = &rows[order[i]];

		if (!row->deleted)
			continue;
		if (row->replayed)
		{
			put_deletion(writer, replayed, row, row->deleted_at, order[i]);
			nreplayed++;
		}
		/* the first deletion of its key? */
		for (int j = i - 1;; j--)
		{
			if (j < 0 || FeathubWriterCompareKeys(writer, row, &rows[order[j]]) != 0)
			{
				put_deletion(writer, keys, row, row->deleted_at, nkeys++);
				break;
			}
			if (rows[order[j]].deleted)
				break;
		}
	}
	latest = look_up(writer, DELETION_LATEST, keys, Max(nkeys, 1));
	former = nreplayed > 0 ? look_up(writer, DELETION_REPLAYED, replayed, nrows) : NULL;
	tuplestore_end(keys);
	tuplestore_end(replayed);

	/* Second pass: walk each such key in order of arrival. */
	for (int i = 0, number = 0; i < nrows;)
	{
		int			end = i + 1;
		bool		any = rows[order[i]].deleted;
		TimestampTz last;

		while (end < nrows &&
			   FeathubWriterCompareKeys(writer, &rows[order[i]], &rows[order[end]]) == 0)
			any |= rows[order[end++]].deleted;
		last = any ? latest[number++] : DT_NOBEGIN;
		for (; any && i < end; i++)
		{
			FeathubWriterRow *row = &rows[order[i]];
			TimestampTz at;

			if (!row->deleted)
			{
				last = Max(last, FeathubWriterEventTime(writer, row));
				continue;
			}
			if (row->replayed && former[order[i]] != DT_NOBEGIN)
				at = former[order[i]];
			else
			{
				at = row->deleted_at;
				if (last != DT_NOBEGIN && at <= last)
					at = last == DT_NOEND ? last : last + 1;
				last = at;
			}
			row->values[writer->event_time] = TimestampTzGetDatum(at);
			row->isnull[writer->event_time] = false;
		}
		i = end;
	}
	pfree(order);
}

void
FeathubDeletionsApply(FeathubWriter *writer, FeathubWriterRow *rows, const int *order, int nrows)
{
	Tuplestorestate *store = tuplestore_begin_heap(false, false, work_mem);
	FeathubWriterRow *last = NULL;

	for (int i = 0; i < nrows; i++)
	{
		FeathubWriterRow *row = &rows[order[i]];

		if (row->deleted)
			last = row;
		if (last && (i + 1 == nrows ||
					 FeathubWriterCompareKeys(writer, row, &rows[order[i + 1]]) != 0))
		{
			put_deletion(writer, store, last, FeathubWriterEventTime(writer, last), 0);
			last = NULL;
		}
	}
	if (writer->event_time >= 0)
		FeathubWriterExecute(writer, &writer->deletion_stmts[DELETION_TOMBSTONE],
							 "feathub_deletions", writer->deletion_desc, store);
	FeathubWriterExecute(writer, &writer->deletion_stmts[DELETION_ONLINE],
						 "feathub_deletions", writer->deletion_desc, store);
	tuplestore_end(store);
}
