/*
 * finished_position.c
 *		Positions that are put away: of partitions that have an end.
 *
 * Each function locks the job's row against a change of its epoch, before it
 * touches a position: whoever changes the job takes the locks in the same order
 * (core/catalog.c), and waits for us or we for it.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/errcodes.h"

#include "core/catalog.h"
#include "core/finished_position.h"

/* Rows read at a time. */
#define FETCH_ROWS 5000

/* A text[] of FeathubPosition's fields; NULL for NULL pointers. */
static Datum
position_texts(FeathubPosition *positions, int n, size_t field)
{
	Datum	   *values = palloc(sizeof(Datum) * Max(n, 1));
	bool	   *isnull = palloc(sizeof(bool) * Max(n, 1));
	int			lower = 1;

	for (int i = 0; i < n; i++)
	{
		const char *string = *(char **) ((char *) &positions[i] + field);

		isnull[i] = string == NULL;
		values[i] = string ? CStringGetTextDatum(string) : (Datum) 0;
	}
	return PointerGetDatum(construct_md_array(values, isnull, 1, &n, &lower, TEXTOID,
											  -1, false, TYPALIGN_INT));
}

#define POSITION_TEXTS(field) position_texts(positions, n, offsetof(FeathubPosition, field))

static Datum
list_texts(List *strings)
{
	Datum	   *values = palloc(sizeof(Datum) * Max(list_length(strings), 1));
	int			n = 0;
	ListCell   *lc;

	foreach(lc, strings)
		values[n++] = CStringGetTextDatum((char *) lfirst(lc));
	return PointerGetDatum(construct_array(values, n, TEXTOID, -1, false, TYPALIGN_INT));
}

static void
report_changed(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
			 errmsg("positions of the job have been changed by another session")));
}

/* Between Enter and Leave: nobody raises the epoch before our transaction ends. */
static void
hold_epoch(int64 job_id, int64 epoch)
{
	static FeathubStatement statement = {
		.sql = "SELECT FROM feathub.job WHERE job_id = $1 AND epoch = $2 AND state = 'running' "
		"FOR SHARE",
		.nargs = 2, .argtypes = {INT8OID, INT8OID}
	};
	Datum		values[2] = {Int64GetDatum(job_id), Int64GetDatum(epoch)};

	if (FeathubCatalogExecute(&statement, values, NULL) != 1)
		report_changed();
}

int
FeathubPositionsBegin(int64 job_id, int64 epoch, FeathubPosition *positions, int n)
{
	static FeathubStatement statement = {
		.sql = "WITH back AS (DELETE FROM feathub.job_finished_partition "
		"WHERE job_id = $1 AND partition IN (SELECT unnest($3)) RETURNING partition, position, mark, replay_until) "
		"INSERT INTO feathub.job_position (job_id, epoch, partition, position, mark, replay_until) "
		"SELECT $1, $2, u.partition, coalesce(b.position, u.position), "
		"CASE WHEN b.partition IS NULL THEN u.mark ELSE b.mark END, b.replay_until "
		"FROM unnest($3, $4, $5) AS u (partition, position, mark) LEFT JOIN back AS b USING (partition) "
		"ON CONFLICT (job_id, partition) DO UPDATE "
		"SET position = EXCLUDED.position, mark = EXCLUDED.mark "
		"WHERE job_position.position IS NULL",
		.nargs = 5, .argtypes = {INT8OID, INT8OID, TEXTARRAYOID, TEXTARRAYOID, TEXTARRAYOID}
	};
	FeathubRoleScope scope;
	Datum		values[5] = {Int64GetDatum(job_id), Int64GetDatum(epoch), POSITION_TEXTS(partition),
	POSITION_TEXTS(position), POSITION_TEXTS(mark)};
	int			made;

	FeathubCatalogEnter(&scope);
	hold_epoch(job_id, epoch);
	made = FeathubCatalogExecute(&statement, values, NULL);
	FeathubCatalogLeave(&scope);
	return made;
}

void
FeathubPositionsFinish(int64 job_id, int64 epoch, FeathubPosition *positions, int n)
{
	static FeathubStatement statement = {
		.sql = "INSERT INTO feathub.job_finished_partition (job_id, partition, position, mark) "
		"SELECT $1, u.* FROM unnest($2, $3, $4) AS u (partition, position, mark) "
		"WHERE NOT EXISTS (SELECT FROM feathub.job_position AS p "
		"WHERE p.job_id = $1 AND p.partition = u.partition) "
		"ON CONFLICT (job_id, partition) DO NOTHING",
		.nargs = 4, .argtypes = {INT8OID, TEXTARRAYOID, TEXTARRAYOID, TEXTARRAYOID}
	};
	FeathubRoleScope scope;
	Datum		values[4] = {Int64GetDatum(job_id), POSITION_TEXTS(partition),
	POSITION_TEXTS(position), POSITION_TEXTS(mark)};

	FeathubCatalogEnter(&scope);
	hold_epoch(job_id, epoch);
	(void) FeathubCatalogExecute(&statement, values, NULL);
	FeathubCatalogLeave(&scope);
}

void
FeathubPositionsPutAway(int64 job_id, int64 epoch, const char *summary, List *partitions)
{
	static FeathubStatement statement = {
		.sql = "WITH gone AS (DELETE FROM feathub.job_position "
		"WHERE job_id = $1 AND epoch = $2 AND partition IN (SELECT unnest($4)) AND position IS NOT NULL RETURNING *), "
		"kept AS (INSERT INTO feathub.job_finished_partition (job_id, partition, position, mark, replay_until) "
		"SELECT job_id, partition, position, mark, nullif(replay_until, position) FROM gone "
		"ON CONFLICT (job_id, partition) DO UPDATE SET position = EXCLUDED.position, "
		"mark = EXCLUDED.mark, replay_until = EXCLUDED.replay_until, missing_since = NULL), "
		"summed AS (UPDATE feathub.job_position AS p SET records = p.records + g.records, "
		"applied = p.applied + g.applied, duplicates = p.duplicates + g.duplicates, "
		"dead_letters = p.dead_letters + g.dead_letters, skipped = p.skipped + g.skipped, "
		"expired = p.expired + g.expired, watermark = greatest(p.watermark, g.watermark), "
		"changed_at = clock_timestamp() "
		"FROM (SELECT sum(records)::int8 AS records, sum(applied)::int8 AS applied, "
		"sum(duplicates)::int8 AS duplicates, sum(dead_letters)::int8 AS dead_letters, "
		"sum(skipped)::int8 AS skipped, sum(expired)::int8 AS expired, "
		"max(watermark) AS watermark FROM gone) AS g "
		"WHERE p.job_id = $1 AND p.partition = $3 AND p.epoch = $2 RETURNING 1) "
		"SELECT FROM gone, summed",
		.nargs = 4, .argtypes = {INT8OID, INT8OID, TEXTOID, TEXTARRAYOID}
	};
	FeathubRoleScope scope;
	Datum		values[4] = {Int64GetDatum(job_id), Int64GetDatum(epoch),
	CStringGetTextDatum(summary), list_texts(partitions)};

	FeathubCatalogEnter(&scope);
	hold_epoch(job_id, epoch);
	if (FeathubCatalogExecute(&statement, values, NULL) != list_length(partitions))
		report_changed();
	FeathubCatalogLeave(&scope);
}

void
FeathubPositionsNoteMissing(int64 job_id, int64 epoch, List *partitions, bool missing)
{
	static FeathubStatement statement = {
		.sql = "UPDATE feathub.job_finished_partition "
		"SET missing_since = CASE WHEN $3 THEN coalesce(missing_since, clock_timestamp()) END "
		"WHERE job_id = $1 AND partition IN (SELECT unnest($2))",
		.nargs = 3, .argtypes = {INT8OID, TEXTARRAYOID, BOOLOID}
	};
	FeathubRoleScope scope;
	Datum		values[3] = {Int64GetDatum(job_id), list_texts(partitions), BoolGetDatum(missing)};

	FeathubCatalogEnter(&scope);
	hold_epoch(job_id, epoch);
	(void) FeathubCatalogExecute(&statement, values, NULL);
	FeathubCatalogLeave(&scope);
}

List *
FeathubPositionsLongMissing(int64 job_id, int seconds, int limit)
{
	static FeathubStatement statement = {
		.sql = "SELECT partition FROM feathub.job_finished_partition "
		"WHERE job_id = $1 AND missing_since <= clock_timestamp() - make_interval(secs => $2) "
		"ORDER BY missing_since LIMIT $3",
		.nargs = 3, .argtypes = {INT8OID, INT4OID, INT4OID}
	};
	MemoryContext caller = CurrentMemoryContext;
	FeathubRoleScope scope;
	Datum		values[3] = {Int64GetDatum(job_id), Int32GetDatum(seconds), Int32GetDatum(limit)};
	List	   *result = NIL;
	int			n;

	FeathubCatalogEnter(&scope);
	n = FeathubCatalogExecute(&statement, values, NULL);
	for (int i = 0; i < n; i++)
	{
		char	   *name = SPI_getvalue(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 1);
		MemoryContext old = MemoryContextSwitchTo(caller);

		result = lappend(result, pstrdup(name));
		MemoryContextSwitchTo(old);
	}
	FeathubCatalogLeave(&scope);
	return result;
}

void
FeathubPositionsForget(int64 job_id, int64 epoch, List *partitions)
{
	static FeathubStatement statement = {
		.sql = "DELETE FROM feathub.job_finished_partition "
		"WHERE job_id = $1 AND partition IN (SELECT unnest($2)) AND missing_since IS NOT NULL",
		.nargs = 2, .argtypes = {INT8OID, TEXTARRAYOID}
	};
	FeathubRoleScope scope;
	Datum		values[2] = {Int64GetDatum(job_id), list_texts(partitions)};

	FeathubCatalogEnter(&scope);
	hold_epoch(job_id, epoch);
	(void) FeathubCatalogExecute(&statement, values, NULL);
	FeathubCatalogLeave(&scope);
}

/* The row of an SPI result, as strings of the current context. */
static void
fill_position(FeathubPosition *position, uint64 row)
{
	char	  **fields[] = {&position->partition, &position->position, &position->mark,
	&position->replay_until};

	for (int i = 0; i < lengthof(fields); i++)
		*fields[i] = SPI_getvalue(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, i + 1);
}

void
FeathubPositionsEach(int64 job_id, FeathubPositionCallback callback, void *arg)
{
	static SPIPlanPtr plan = NULL;
	FeathubRoleScope scope;
	Oid			types[1] = {INT8OID};
	Datum		values[1] = {Int64GetDatum(job_id)};
	Portal		portal;

	FeathubCatalogEnter(&scope);
	if (plan == NULL)
	{
		plan = SPI_prepare("SELECT partition, position, mark, NULL::text, false, false "
						   "FROM feathub.job_position WHERE job_id = $1 AND position IS NOT NULL "
						   "UNION ALL SELECT partition, position, mark, NULL, true, missing_since IS NOT NULL "
						   "FROM feathub.job_finished_partition WHERE job_id = $1", 1, types);
		if (plan == NULL || SPI_keepplan(plan) != 0)
			elog(ERROR, "could not prepare a statement of feathub: %s",
				 SPI_result_code_string(SPI_result));
	}
	portal = SPI_cursor_open(NULL, plan, values, NULL, true);
	for (;;)
	{
		SPI_cursor_fetch(portal, true, FETCH_ROWS);
		if (SPI_processed == 0)
			break;
		for (uint64 i = 0; i < SPI_processed; i++)
		{
			FeathubPosition position;
			bool		isnull;
			bool		finished;
			bool		missing;

			finished = DatumGetBool(SPI_getbinval(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 5,
												  &isnull));
			missing = DatumGetBool(SPI_getbinval(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 6,
												 &isnull));
			fill_position(&position, i);
			callback(arg, &position, finished, missing);
			pfree(position.partition);
			pfree(position.position);
			if (position.mark)
				pfree(position.mark);
		}
		SPI_freetuptable(SPI_tuptable);
	}
	SPI_cursor_close(portal);
	FeathubCatalogLeave(&scope);
}

List *
FeathubPositionsLoadSome(int64 job_id, List *partitions, bool finished)
{
	static FeathubStatement followed = {
		.sql = "SELECT partition, position, mark, replay_until FROM feathub.job_position "
		"WHERE job_id = $1 AND partition IN (SELECT unnest($2))",
		.nargs = 2, .argtypes = {INT8OID, TEXTARRAYOID}, .fresh = true
	};
	static FeathubStatement all = {
		.sql = "SELECT partition, position, mark, replay_until FROM feathub.job_position "
		"WHERE job_id = $1 AND partition IN (SELECT unnest($2)) UNION ALL "
		"SELECT partition, position, mark, replay_until FROM feathub.job_finished_partition "
		"WHERE job_id = $1 AND partition IN (SELECT unnest($2))",
		.nargs = 2, .argtypes = {INT8OID, TEXTARRAYOID}, .fresh = true
	};
	MemoryContext caller = CurrentMemoryContext;
	FeathubRoleScope scope;
	Datum		values[2] = {Int64GetDatum(job_id), list_texts(partitions)};
	List	   *result = NIL;
	int			n;

	FeathubCatalogEnter(&scope);
	n = FeathubCatalogExecute(finished ? &all : &followed, values, NULL);
	MemoryContextSwitchTo(caller);
	for (int i = 0; i < n; i++)
	{
		FeathubPosition *position = palloc(sizeof(FeathubPosition));

		fill_position(position, i);
		result = lappend(result, position);
	}
	FeathubCatalogLeave(&scope);
	return result;
}

void
FeathubPositionsMove(int64 job_id, FeathubPosition *positions, int n)
{
	static FeathubStatement statement = {
		.sql = "WITH gone AS (DELETE FROM feathub.job_finished_partition "
		"WHERE job_id = $1 AND partition IN (SELECT unnest($2))) "
		"INSERT INTO feathub.job_position (job_id, epoch, partition, position, replay_until) "
		"SELECT j.job_id, j.epoch, u.* FROM feathub.job AS j, unnest($2, $3, $4) AS u WHERE j.job_id = $1 "
		"ON CONFLICT (job_id, partition) DO UPDATE SET position = EXCLUDED.position, mark = NULL, "
		"replay_until = EXCLUDED.replay_until, changed_at = pg_catalog.now()",
		.nargs = 4, .argtypes = {INT8OID, TEXTARRAYOID, TEXTARRAYOID, TEXTARRAYOID}, .fresh = true
	};
	FeathubRoleScope scope;
	Datum		values[4] = {Int64GetDatum(job_id), POSITION_TEXTS(partition),
	POSITION_TEXTS(position), POSITION_TEXTS(replay_until)};

	FeathubCatalogEnter(&scope);
	(void) FeathubCatalogExecute(&statement, values, NULL);
	FeathubCatalogLeave(&scope);
}
