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

/* Of a type that cannot be sorted: how many rows there are. */
static char *
count_query(const char *table, const char *column)
{
	return psprintf("SELECT t.split, pg_catalog.count(*), pg_catalog.count(*) OPERATOR(pg_catalog.-) pg_catalog.count(%s), "
					"NULL::pg_catalog.int8, NULL::pg_catalog.text, NULL::pg_catalog.text, "
					"NULL::pg_catalog.float8, NULL::pg_catalog.float8, NULL::pg_catalog.float8[], "
					"NULL::pg_catalog.jsonb, NULL::pg_catalog.text[] "
					"FROM %s AS t GROUP BY GROUPING SETS ((t.split), ())", column, table);
}

/* Least and greatest value, as text. */
static void
append_extremes(StringInfo sql, Oid type)
{
	const char *value = type == BOOLOID ? "c.value::pg_catalog.int4" : "c.value";

	if (type == BOOLOID || (has_aggregate("min", type) && has_aggregate("max", type)))
		appendStringInfo(sql, "pg_catalog.min(%s)::pg_catalog.text AS least, pg_catalog.max(%s)::pg_catalog.text AS greatest",
						 value, value);
	else if (OidIsValid(get_array_type(type)))
		appendStringInfoString(sql,
							   "(pg_catalog.percentile_disc(0) WITHIN GROUP (ORDER BY c.value))::pg_catalog.text AS least, "
							   "(pg_catalog.percentile_disc(1) WITHIN GROUP (ORDER BY c.value))::pg_catalog.text AS greatest");
	else
		appendStringInfoString(sql, "NULL::pg_catalog.text AS least, NULL::pg_catalog.text AS greatest");
}

/*
 * What percentile_cont gives, of values and how often they are there: c.upto
 * are the rows up to and with a value.
 */
static void
append_quantiles(StringInfo sql, const char *number)
{
	static const char *const quantiles[] = {FEATHUB_QUANTILES};

	appendStringInfoString(sql, "ARRAY[");
	for (int i = 0; i < lengthof(quantiles); i++)
	{
		char	   *place = psprintf("(%s::pg_catalog.float8 OPERATOR(pg_catalog.*) (m.filled OPERATOR(pg_catalog.-) 1))",
									 quantiles[i]);
		char	   *low = psprintf("pg_catalog.min(%s) FILTER (WHERE c.upto::pg_catalog.float8 OPERATOR(pg_catalog.>) pg_catalog.floor(%s))",
								   number, place);
		char	   *high = psprintf("pg_catalog.min(%s) FILTER (WHERE c.upto::pg_catalog.float8 OPERATOR(pg_catalog.>) pg_catalog.ceil(%s))",
									number, place);

		/* two infinities have no difference */
		appendStringInfo(sql, "%sCASE WHEN %s OPERATOR(pg_catalog.=) %s THEN %s ELSE "
						 "%s OPERATOR(pg_catalog.+) ((%s OPERATOR(pg_catalog.-) %s) OPERATOR(pg_catalog.*) "
						 "(%s OPERATOR(pg_catalog.-) pg_catalog.floor(%s))) END",
						 i ? ", " : "", low, high, low, low, high, low, place, place);
	}
	appendStringInfoString(sql, "]");
}

/*
 * q: what needs the mean and the number of rows; no rows for what is all NULL
 * or no number.
 */
static void
append_spread(StringInfo sql, const char *number)
{
	appendStringInfoString(sql, "q AS MATERIALIZED (SELECT m.is_all, m.split, ");
	if (number)
	{
		appendStringInfo(sql, "pg_catalog.sqrt(pg_catalog.sum(c.n OPERATOR(pg_catalog.*) "
						 "((%s OPERATOR(pg_catalog.-) m.mean) OPERATOR(pg_catalog.^) 2)) OPERATOR(pg_catalog./) m.filled) AS stddev, ",
						 number);
		append_quantiles(sql, number);
	}
	else
		appendStringInfoString(sql, "NULL::pg_catalog.float8 AS stddev, NULL::pg_catalog.float8[]");
	appendStringInfo(sql,
					 " AS quantiles FROM m JOIN c ON c.is_all OPERATOR(pg_catalog.=) m.is_all AND c.split IS NOT DISTINCT FROM m.split "
					 "WHERE %s GROUP BY m.is_all, m.split, m.mean, m.filled)", number ? "c.value IS NOT NULL" : "false");
}

/*
 * split, rows, nulls, distinct, min, max, mean, stddev, quantiles, top_values,
 * categories; a row for each split and one for all, whose split is null.
 *
 * The rows are read once, to count how often each value is there (c); all else
 * comes from that, which mostly is small.  Where most rows have a value of
 * their own, none is frequent.
 */
static char *
statistics_query(Oid relid, const char *name, Oid type)
{
	TypeCacheEntry *entry = lookup_type_cache(type, TYPECACHE_EQ_OPR | TYPECACHE_LT_OPR);
	const char *table = FeathubQualifiedName(relid);
	char	   *column = psprintf("t.%s", quote_identifier(name));
	const char *number = NULL;
	char		category;
	bool		preferred;
	StringInfoData sql;

	if (!OidIsValid(entry->lt_opr) || !OidIsValid(entry->eq_opr))
		return count_query(table, column);
	get_type_category_preferred(type, &category, &preferred);
	if (type == BOOLOID)
		number = "c.value::pg_catalog.int4::pg_catalog.float8";
	else if (category == TYPCATEGORY_NUMERIC && has_aggregate("avg", type))
		number = "c.value::pg_catalog.float8";

	initStringInfo(&sql);
	appendStringInfo(&sql,
					 "WITH g AS MATERIALIZED (SELECT t.split, %s AS value, pg_catalog.count(*) AS n FROM %s AS t GROUP BY t.split, %s), "
					 "c AS MATERIALIZED (SELECT u.*, pg_catalog.sum(u.n) OVER (PARTITION BY u.is_all, u.split ORDER BY u.value) AS upto "
					 "FROM (SELECT false AS is_all, g.split, g.value, g.n FROM g "
					 "UNION ALL SELECT true, NULL, g.value, pg_catalog.sum(g.n)::pg_catalog.int8 FROM g GROUP BY g.value) AS u), "
					 "m AS MATERIALIZED (SELECT c.is_all, c.split, pg_catalog.sum(c.n)::pg_catalog.int8 AS n, "
					 "coalesce(pg_catalog.sum(c.n) FILTER (WHERE c.value IS NOT NULL), 0)::pg_catalog.int8 AS filled, "
					 "pg_catalog.count(c.value) AS different, ", column, table, column);
	append_extremes(&sql, type);
	if (number)
		appendStringInfo(&sql, ", pg_catalog.sum(%s OPERATOR(pg_catalog.*) c.n) OPERATOR(pg_catalog./) "
						 "(pg_catalog.sum(c.n) FILTER (WHERE c.value IS NOT NULL))::pg_catalog.float8 AS mean", number);
	else
		appendStringInfoString(&sql, ", NULL::pg_catalog.float8 AS mean");
	appendStringInfoString(&sql, " FROM c GROUP BY c.is_all, c.split "
						   "UNION ALL SELECT true, NULL, 0, 0, 0, NULL, NULL, NULL WHERE NOT EXISTS (SELECT FROM g)), ");
	append_spread(&sql, number);
	/* format() gives what the type's output function does, as encoding expects */
	appendStringInfoString(&sql,
						   ", v AS MATERIALIZED (SELECT c.is_all, c.split, c.value, c.n FROM c WHERE c.value IS NOT NULL AND "
						   "(SELECT m.different OPERATOR(pg_catalog.<=) " MAX_CATEGORIES
						   " OR (m.different OPERATOR(pg_catalog.*) 2) OPERATOR(pg_catalog.<=) m.filled FROM m WHERE m.is_all)) "
						   "SELECT m.split, m.n, m.n OPERATOR(pg_catalog.-) m.filled, m.different, m.least, m.greatest, "
						   "m.mean, q.stddev, q.quantiles, "
						   "(SELECT pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object("
						   "'value', pg_catalog.format('%s', x.value), 'count', x.n) ORDER BY x.n DESC, x.value) "
						   "FROM (SELECT v.value, v.n FROM v WHERE v.is_all OPERATOR(pg_catalog.=) m.is_all AND v.split IS NOT DISTINCT FROM m.split "
						   "ORDER BY v.n DESC, v.value LIMIT " TOP_VALUES ") AS x), "
						   "CASE WHEN m.different OPERATOR(pg_catalog.<=) " MAX_CATEGORIES " THEN "
						   "(SELECT pg_catalog.array_agg(x.text ORDER BY x.text COLLATE pg_catalog.\"C\") "
						   "FROM (SELECT pg_catalog.format('%s', v.value) AS text FROM v WHERE v.is_all OPERATOR(pg_catalog.=) m.is_all "
						   "AND v.split IS NOT DISTINCT FROM m.split) AS x) END "
						   "FROM m LEFT JOIN q ON q.is_all OPERATOR(pg_catalog.=) m.is_all AND q.split IS NOT DISTINCT FROM m.split");
	return sql.data;
}

/* Is there an aggregate of the server's for exactly that type? */
static bool
has_aggregate(const char *name, Oid type)
{
	return OidIsValid(LookupFuncName(list_make2(makeString("pg_catalog"), makeString(pstrdup(name))),
									 1, &type, true));
}
