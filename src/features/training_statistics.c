/*
 * training_statistics.c
 *		Statistics and hash of training data.
 *
 * A feature at a time, so that sorts of one column are all the memory that is
 * needed, and of all splits at once by grouping sets.
 */
#include "postgres.h"

#include "access/table.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "parser/parse_func.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/typcache.h"

#include "core/catalog.h"
#include "core/compat.h"
#include "core/describe.h"
#include "core/training_catalog.h"
#include "features/parse_fragment.h"
#include "features/training_progress.h"
#include "features/training_query.h"
#include "features/training_statistics.h"

#define TOP_VALUES "10"
#define MAX_CATEGORIES "1000"

static Datum get_one(const char *sql, Oid type);
static int	begin_settings(void);
static void make_statistics(Oid relid, const char *name, Oid type);
static char *statistics_query(Oid relid, const char *name, Oid type);
static void append_values(StringInfo sql, const char *table, const char *column, bool sortable);
static bool has_aggregate(const char *name, Oid type);

char *
FeathubTrainingHash(Oid relid)
{
	int			nestlevel = begin_settings();
	Datum		hash = get_one(psprintf("SELECT feathub.content_hash(t.*) FROM %s AS t",
										FeathubQualifiedName(relid)), TEXTOID);

	AtEOXact_GUC(false, nestlevel);
	return TextDatumGetCString(hash);
}

Datum
FeathubTrainingCounts(Oid relid)
{
	return get_one(psprintf("SELECT coalesce(pg_catalog.jsonb_object_agg(s.split, s.n), '{}') FROM "
							"(SELECT t.split, pg_catalog.count(*) AS n FROM %s AS t GROUP BY t.split) AS s",
							FeathubQualifiedName(relid)), JSONBOID);
}

/* The one value of a query, in the current context. */
static Datum
get_one(const char *sql, Oid type)
{
	MemoryContext caller = CurrentMemoryContext;
	Datum		value;
	bool		isnull;

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	if (SPI_execute(sql, false, 0) != SPI_OK_SELECT || SPI_processed != 1 ||
		SPI_gettypeid(SPI_tuptable->tupdesc, 1) != type)
		elog(ERROR, "could not read training data");
	value = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull);
	if (isnull)
		elog(ERROR, "could not read training data");
	MemoryContextSwitchTo(caller);
	value = PointerGetDatum(PG_DETOAST_DATUM_COPY(value));
	SPI_finish();
	return value;
}

/* Text forms of values must not depend on the session. */
static int
begin_settings(void)
{
	int			nestlevel = FeathubDeparseBegin();

	(void) set_config_option("TimeZone", "UTC", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	return nestlevel;
}

void
FeathubTrainingStatistics(Oid relid)
{
	Relation	rel = table_open(relid, AccessShareLock);
	TupleDesc	desc = RelationGetDescr(rel);
	int			nestlevel = begin_settings();
	int			done = 0;

	FeathubTrainingProgressPhase(FEATHUB_TRAINING_STATISTICS);
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute attr = TupleDescAttr(desc, i);

		FeathubTrainingProgressFeatures(done++, desc->natts - 1);
		if (!attr->attisdropped && strcmp(NameStr(attr->attname), FEATHUB_SPLIT_COLUMN) != 0)
			make_statistics(relid, NameStr(attr->attname), attr->atttypid);
	}
	FeathubTrainingProgressFeatures(desc->natts - 1, desc->natts - 1);
	AtEOXact_GUC(false, nestlevel);
	table_close(rel, NoLock);
}

static void
make_statistics(Oid relid, const char *name, Oid type)
{
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	if (SPI_execute(statistics_query(relid, name, getBaseType(type)), false, 0) != SPI_OK_SELECT ||
		SPI_tuptable->tupdesc->natts != FEATHUB_STATISTIC_VALUES)
		elog(ERROR, "could not make statistics of training data");
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		Datum		values[FEATHUB_STATISTIC_VALUES];
		char		nulls[FEATHUB_STATISTIC_VALUES];

		for (int j = 0; j < FEATHUB_STATISTIC_VALUES; j++)
		{
			bool		isnull;

			values[j] = SPI_getbinval(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, j + 1, &isnull);
			nulls[j] = isnull ? 'n' : ' ';
		}
		FeathubTrainingStatisticInsert(relid, name, values, nulls);
	}
	SPI_finish();
}

/*
 * split, rows, nulls, distinct, min, max, mean, stddev, quantiles, top_values,
 * categories; a row for each split and one for all, whose split is null
 */
static char *
statistics_query(Oid relid, const char *name, Oid type)
{
	TypeCacheEntry *entry = lookup_type_cache(type, TYPECACHE_EQ_OPR | TYPECACHE_LT_OPR);
	const char *table = FeathubQualifiedName(relid);
	char	   *column = psprintf("t.%s", quote_identifier(name));
	bool		sortable = OidIsValid(entry->lt_opr) && OidIsValid(entry->eq_opr);
	bool		number;
	char		category;
	bool		preferred;
	StringInfoData sql;
	const char *value = column;

	get_type_category_preferred(type, &category, &preferred);
	number = (category == TYPCATEGORY_NUMERIC && has_aggregate("avg", type)) || type == BOOLOID;
	if (type == BOOLOID)
		value = psprintf("%s::pg_catalog.int4", column);

	initStringInfo(&sql);
	appendStringInfo(&sql,
					 "WITH s AS MATERIALIZED (SELECT grouping(t.split) AS is_all, t.split, pg_catalog.count(*) AS n, "
					 "pg_catalog.count(%s) AS filled, ", column);
	if (sortable)
		appendStringInfo(&sql, "pg_catalog.count(DISTINCT %s) AS different, ", column);
	else
		appendStringInfoString(&sql, "NULL::pg_catalog.int8 AS different, ");
	if (type == BOOLOID || (has_aggregate("min", type) && has_aggregate("max", type)))
		appendStringInfo(&sql, "pg_catalog.min(%s)::pg_catalog.text AS least, pg_catalog.max(%s)::pg_catalog.text AS greatest, ",
						 value, value);
	else if (sortable && OidIsValid(get_array_type(type)))
		appendStringInfo(&sql,
						 "(pg_catalog.percentile_disc(0) WITHIN GROUP (ORDER BY %s))::pg_catalog.text AS least, "
						 "(pg_catalog.percentile_disc(1) WITHIN GROUP (ORDER BY %s))::pg_catalog.text AS greatest, ",
						 column, column);
	else
		appendStringInfoString(&sql, "NULL::pg_catalog.text AS least, NULL::pg_catalog.text AS greatest, ");
	if (number)
		appendStringInfo(&sql,
						 "pg_catalog.avg(%s::pg_catalog.float8) AS mean, pg_catalog.stddev_pop(%s::pg_catalog.float8) AS stddev, "
						 "pg_catalog.percentile_cont('%s'::pg_catalog.float8[]) WITHIN GROUP (ORDER BY %s::pg_catalog.float8) AS quantiles ",
						 value, value, FEATHUB_QUANTILES, value);
	else
		appendStringInfoString(&sql, "NULL::pg_catalog.float8 AS mean, NULL::pg_catalog.float8 AS stddev, NULL::pg_catalog.float8[] AS quantiles ");
	appendStringInfo(&sql, "FROM %s AS t GROUP BY GROUPING SETS ((t.split), ()))", table);
	append_values(&sql, table, column, sortable);
	return sql.data;
}

/*
 * The second part: frequent values and categories.  Where most rows have a
 * value of their own, neither is worth a pass.
 */
static void
append_values(StringInfo sql, const char *table, const char *column, bool sortable)
{
	static const char *const sources[] = {
		"(SELECT g.value, g.n FROM g WHERE g.split IS NOT DISTINCT FROM s.split)", "a"
	};

	if (sortable)
		appendStringInfo(sql,
						 ", g AS MATERIALIZED (SELECT t.split, %s AS value, pg_catalog.count(*) AS n FROM %s AS t "
						 "WHERE %s IS NOT NULL AND (SELECT s.different OPERATOR(pg_catalog.<=) " MAX_CATEGORIES
						 " OR s.different OPERATOR(pg_catalog.*) 2 OPERATOR(pg_catalog.<=) s.filled FROM s "
						 "WHERE s.is_all OPERATOR(pg_catalog.=) 1) GROUP BY t.split, %s), "
						 "a AS MATERIALIZED (SELECT g.value, pg_catalog.sum(g.n)::pg_catalog.int8 AS n FROM g GROUP BY g.value)",
						 column, table, column, column);
	appendStringInfoString(sql,
						   " SELECT s.split, s.n, s.n OPERATOR(pg_catalog.-) s.filled, s.different, s.least, s.greatest, "
						   "s.mean, s.stddev, s.quantiles");
	if (!sortable)
	{
		appendStringInfoString(sql, ", NULL::pg_catalog.jsonb, NULL::pg_catalog.text[] FROM s");
		return;
	}
	/* format() gives what the type's output function does, as encoding expects */
	appendStringInfoString(sql, ", CASE s.is_all");
	for (int i = 0; i < lengthof(sources); i++)
		appendStringInfo(sql,
						 " WHEN %d THEN (SELECT pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object("
						 "'value', pg_catalog.format('%%s', x.value), 'count', x.n) ORDER BY x.n DESC, x.value) "
						 "FROM (SELECT y.value, y.n FROM %s AS y ORDER BY y.n DESC, y.value LIMIT " TOP_VALUES ") AS x)",
						 i, sources[i]);
	appendStringInfoString(sql,
						   " END, CASE WHEN s.different OPERATOR(pg_catalog.<=) " MAX_CATEGORIES " THEN CASE s.is_all");
	for (int i = 0; i < lengthof(sources); i++)
		appendStringInfo(sql,
						 " WHEN %d THEN (SELECT pg_catalog.array_agg(x.text ORDER BY x.text COLLATE pg_catalog.\"C\") "
						 "FROM (SELECT pg_catalog.format('%%s', y.value) AS text FROM %s AS y) AS x)",
						 i, sources[i]);
	appendStringInfoString(sql, " END END FROM s");
}

/* Is there an aggregate of the server's for exactly that type? */
static bool
has_aggregate(const char *name, Oid type)
{
	return OidIsValid(LookupFuncName(list_make2(makeString("pg_catalog"), makeString(pstrdup(name))),
									 1, &type, true));
}
