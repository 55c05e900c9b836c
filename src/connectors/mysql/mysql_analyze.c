/*
 * mysql_analyze.c
 *		ANALYZE.
 *
 * A table that is large is sampled by the server, by chance row by row; the
 * sample kept here is a reservoir of what comes.
 */
#include "postgres.h"

#include <math.h>

#include "access/htup_details.h"
#include "common/pg_prng.h"
#include "utils/memutils.h"

#include "connectors/mysql/mysql_scan.h"

/* A table is sampled there if it has so many times the rows wanted. */
#define SAMPLE_FACTOR 4

static double count_rows(MysqlConnection *conn, FeathubRelation *rel);

int
FeathubMysqlSampleRows(FeathubRelation *rel, HeapTuple *rows, int targrows,
					   double *totalrows, double *totaldeadrows)
{
	MysqlOptions *options = rel->options;
	MemoryContext context = CurrentMemoryContext;
	MemoryContext row_context;
	MysqlConnection *conn = FeathubMysqlConnect(rel->server, rel->user, options);
	double		total = count_rows(conn, rel);
	List	   *columns = NIL;
	StringInfoData sql;
	MysqlDecoder *decoder;
	MysqlResult *result;
	Datum	   *values = palloc0(sizeof(Datum) * Max(rel->tupdesc->natts, 1));
	bool	   *isnull = palloc0(sizeof(bool) * Max(rel->tupdesc->natts, 1));
	char	  **v;
	unsigned long *lengths;
	double		seen = 0;
	int			nrows = 0;

	initStringInfo(&sql);
	appendStringInfoString(&sql, "SELECT ");
	for (int attnum = 1; attnum <= rel->tupdesc->natts; attnum++)
	{
		Form_pg_attribute att = TupleDescAttr(rel->tupdesc, attnum - 1);

		if (att->attisdropped || att->attgenerated)
			continue;
		if (columns != NIL)
			appendStringInfoString(&sql, ", ");
		columns = lappend_int(columns, attnum);
		FeathubMysqlOutputColumn(&sql, rel, attnum);
	}
	appendStringInfoString(&sql, columns == NIL ? "NULL FROM " : " FROM ");
	FeathubMysqlDeparseTable(&sql, rel);
	if (total > (double) targrows * SAMPLE_FACTOR)
		appendStringInfo(&sql, " WHERE RAND() < %.17g", targrows * 1.5 / total);

	decoder = FeathubMysqlDecoderMake(rel->tupdesc, columns, rel->relname, options->zero_dates);
	row_context = AllocSetContextCreate(context, "feathub mysql sample row",
										ALLOCSET_DEFAULT_SIZES);
	result = FeathubMysqlQuery(conn, sql.data, sql.len);
	while (FeathubMysqlFetch(result, &v, &lengths))
	{
		int			place = nrows;

		seen++;
		if (nrows == targrows)
		{
			place = (int) (pg_prng_double(&pg_global_prng_state) * seen);
			if (place >= targrows)
				continue;
		}
		MemoryContextReset(row_context);
		MemoryContextSwitchTo(row_context);
		memset(isnull, true, sizeof(bool) * rel->tupdesc->natts);
		FeathubMysqlDecode(decoder, result, v, lengths, values, isnull);
		MemoryContextSwitchTo(context);
		if (place == nrows)
			nrows++;
		else
			heap_freetuple(rows[place]);
		rows[place] = heap_form_tuple(rel->tupdesc, values, isnull);
	}
	FeathubMysqlCloseResult(result);
	MemoryContextDelete(row_context);
	*totalrows = total;
	*totaldeadrows = 0;
	return nrows;
}

static double
count_rows(MysqlConnection *conn, FeathubRelation *rel)
{
	StringInfoData sql;
	MysqlResult *result;
	char	  **values;
	unsigned long *lengths;
	double		total = 0;

	initStringInfo(&sql);
	appendStringInfoString(&sql, "SELECT COUNT(*) FROM ");
	FeathubMysqlDeparseTable(&sql, rel);
	result = FeathubMysqlQuery(conn, sql.data, sql.len);
	if (FeathubMysqlFetch(result, &values, &lengths) && values[0])
		total = atof(values[0]);
	FeathubMysqlCloseResult(result);
	return total;
}
