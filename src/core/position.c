/*
 * position.c
 *		Positions, counters and dead letters of jobs.
 *
 * A row of feathub.job_position carries the job's epoch, so that one UPDATE
 * with "position = expected AND epoch = mine" is the whole fence: whoever
 * rewinds, restarts, pauses or drops a job changes these rows, and of two
 * transactions that meet at one of them the second finds no row.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/errcodes.h"
#include "utils/jsonb.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "core/catalog.h"
#include "core/position.h"

/* Prepare a statement once per process. */
static SPIPlanPtr
keep_plan(SPIPlanPtr *plan, const char *sql, int nargs, Oid *types)
{
	if (*plan == NULL)
	{
		SPIPlanPtr	made = SPI_prepare(sql, nargs, types);

		if (made == NULL)
			elog(ERROR, "SPI_prepare failed: %s", SPI_result_code_string(SPI_result));
		SPI_keepplan(made);
		*plan = made;
	}
	return *plan;
}

/* Run a kept plan; raises an error unless it gives the expected result. */
static void
execute_plan(SPIPlanPtr plan, Datum *values, const char *nulls, int expected)
{
	int			rc = SPI_execute_plan(plan, values, nulls, false, 0);

	if (rc != expected)
		elog(ERROR, "SPI_execute_plan failed: %s", SPI_result_code_string(rc));
}

/* A text[] of n strings, NULL for NULL pointers; field is an offset. */
static Datum
text_array(const void *structs, size_t size, size_t field, int n)
{
	Datum	   *values = palloc(sizeof(Datum) * n);
	bool	   *isnull = palloc(sizeof(bool) * n);
	int			lower = 1;

	for (int i = 0; i < n; i++)
	{
		const char *string = *(const char *const *) ((const char *) structs + size * i + field);

		isnull[i] = string == NULL;
		values[i] = string ? CStringGetTextDatum(string) : (Datum) 0;
	}
	return PointerGetDatum(construct_md_array(values, isnull, 1, &n, &lower, TEXTOID,
											  -1, false, TYPALIGN_INT));
}

/* An int8[] or timestamptz[]; DT_NOBEGIN in the latter is NULL. */
static Datum
int64_array(const void *structs, size_t size, size_t field, int n, Oid type)
{
	Datum	   *values = palloc(sizeof(Datum) * n);
	bool	   *isnull = palloc(sizeof(bool) * n);
	int			lower = 1;

	for (int i = 0; i < n; i++)
	{
		int64		value = *(const int64 *) ((const char *) structs + size * i + field);

		isnull[i] = type == TIMESTAMPTZOID && value == DT_NOBEGIN;
		values[i] = Int64GetDatum(value);
	}
	return PointerGetDatum(construct_md_array(values, isnull, 1, &n, &lower, type,
											  8, FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
}

#define ADVANCE_TEXT(field) \
	text_array(advances, sizeof(FeathubPositionAdvance), offsetof(FeathubPositionAdvance, field), n)
#define ADVANCE_INT(field, type) \
	int64_array(advances, sizeof(FeathubPositionAdvance), offsetof(FeathubPositionAdvance, field), n, type)

/* A column of an SPI row as a string in the given context, or NULL. */
static char *
column_string(MemoryContext context, uint64 row, int column)
{
	char	   *value = SPI_getvalue(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, column);

	return value ? MemoryContextStrdup(context, value) : NULL;
}

List *
FeathubPositionsLoad(int64 job_id)
{
	static SPIPlanPtr plan = NULL;
	MemoryContext context = CurrentMemoryContext;
	MemoryContext old;
	FeathubRoleScope scope;
	List	   *result = NIL;
	Oid			types[] = {INT8OID};
	Datum		values[] = {Int64GetDatum(job_id)};

	FeathubCatalogEnter(&scope);
	keep_plan(&plan,
			  "SELECT partition, position, mark, replay_until"
			  " FROM feathub.job_position WHERE job_id = $1"
			  " UNION ALL SELECT partition, position, mark, replay_until"
			  " FROM feathub.job_finished_partition WHERE job_id = $1", 1, types);
	/* as they are now, whatever the isolation level: wait_for_job looks again and again */
	if (SPI_execute_snapshot(plan, values, NULL, GetLatestSnapshot(), InvalidSnapshot,
							 false, true, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not read feathub.job_position");
	old = MemoryContextSwitchTo(context);
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		FeathubPosition *position = palloc(sizeof(FeathubPosition));

		position->partition = column_string(context, i, 1);
		position->position = column_string(context, i, 2);
		position->mark = column_string(context, i, 3);
		position->replay_until = column_string(context, i, 4);
		result = lappend(result, position);
	}
	MemoryContextSwitchTo(old);
	FeathubCatalogLeave(&scope);
	return result;
}

void
FeathubPositionInsert(int64 job_id, int64 epoch, const char *partition,
					  const char *position, const char *mark)
{
	static SPIPlanPtr plan = NULL;
	FeathubRoleScope scope;
	Oid			types[] = {INT8OID, INT8OID, TEXTOID, TEXTOID, TEXTOID};
	char		nulls[] = {' ', ' ', ' ', position ? ' ' : 'n', mark ? ' ' : 'n', '\0'};
	Datum		values[] = {
		Int64GetDatum(job_id), Int64GetDatum(epoch), CStringGetTextDatum(partition),
		position ? CStringGetTextDatum(position) : (Datum) 0,
		mark ? CStringGetTextDatum(mark) : (Datum) 0
	};

	FeathubCatalogEnter(&scope);
	execute_plan(keep_plan(&plan,
						   "INSERT INTO feathub.job_position (job_id, epoch, partition, position, mark)"
						   " SELECT j.job_id, $2, $3, $4, $5 FROM feathub.job j"
						   " WHERE j.job_id = $1 AND j.epoch = $2 AND j.state = 'running' FOR SHARE OF j"
						   " ON CONFLICT (job_id, partition) DO UPDATE"
						   " SET position = EXCLUDED.position, mark = EXCLUDED.mark"
						   " WHERE job_position.position IS NULL",
						   5, types), values, nulls, SPI_OK_INSERT);
	FeathubCatalogLeave(&scope);
}

void
FeathubPositionsAdvance(int64 job_id, int64 epoch, FeathubPositionAdvance *advances, int n)
{
	static SPIPlanPtr plan = NULL;
	FeathubRoleScope scope;
	uint64		moved;
	Oid			types[] = {INT8OID, INT8OID, TEXTARRAYOID, TEXTARRAYOID, TEXTARRAYOID, TEXTARRAYOID};
	Datum		values[] = {
		Int64GetDatum(job_id), Int64GetDatum(epoch), ADVANCE_TEXT(partition),
		ADVANCE_TEXT(expected), ADVANCE_TEXT(next), ADVANCE_TEXT(mark)
	};

	FeathubCatalogEnter(&scope);
	execute_plan(keep_plan(&plan,
						   "UPDATE feathub.job_position p"
						   " SET position = u.next, mark = COALESCE(u.mark, p.mark),"
						   " changed_at = pg_catalog.clock_timestamp()"
						   " FROM unnest($3, $4, $5, $6) u (partition, expected, next, mark)"
						   " WHERE p.job_id = $1 AND p.epoch = $2"
						   " AND p.partition = u.partition AND p.position = u.expected",
						   6, types), values, NULL, SPI_OK_UPDATE);
	moved = SPI_processed;
	FeathubCatalogLeave(&scope);
	if (moved != n)
		ereport(ERROR,
				(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
				 errmsg("positions of the job have been changed by another session"),
				 errdetail("%d partitions were to be advanced, %d of them stood as expected.",
						   n, (int) moved)));
}

void
FeathubPositionsCount(int64 job_id, FeathubPositionAdvance *advances, int n)
{
	static SPIPlanPtr plan = NULL;
	FeathubRoleScope scope;
	Oid			types[] = {
		INT8OID, TEXTARRAYOID, INT8ARRAYOID, INT8ARRAYOID, INT8ARRAYOID,
		INT8ARRAYOID, INT8ARRAYOID, INT8ARRAYOID, TIMESTAMPTZARRAYOID
	};
	Datum		values[] = {
		Int64GetDatum(job_id), ADVANCE_TEXT(partition), ADVANCE_INT(records, INT8OID),
		ADVANCE_INT(applied, INT8OID), ADVANCE_INT(duplicates, INT8OID),
		ADVANCE_INT(dead_letters, INT8OID), ADVANCE_INT(skipped, INT8OID),
		ADVANCE_INT(expired, INT8OID), ADVANCE_INT(watermark, TIMESTAMPTZOID)
	};

	FeathubCatalogEnter(&scope);
	execute_plan(keep_plan(&plan,
						   "UPDATE feathub.job_position p"
						   " SET records = p.records + u.records, applied = p.applied + u.applied,"
						   " duplicates = p.duplicates + u.duplicates,"
						   " dead_letters = p.dead_letters + u.dead_letters,"
						   " skipped = p.skipped + u.skipped, expired = p.expired + u.expired,"
						   " watermark = GREATEST(p.watermark, u.watermark)"
						   " FROM unnest($2, $3, $4, $5, $6, $7, $8, $9)"
						   " u (partition, records, applied, duplicates, dead_letters, skipped, expired, watermark)"
						   " WHERE p.job_id = $1 AND p.partition = u.partition",
						   9, types), values, NULL, SPI_OK_UPDATE);
	FeathubCatalogLeave(&scope);
}

void
FeathubDeadLettersInsert(int64 job_id, FeathubDeadLetter *letters, int n)
{
	static SPIPlanPtr plan = NULL;
	FeathubRoleScope scope;
	Oid			types[] = {
		INT8OID, TEXTOID, INT8OID, BYTEAOID, BYTEAOID, JSONBOID, TIMESTAMPTZOID, TEXTOID, TEXTOID,
		TEXTOID
	};

	FeathubCatalogEnter(&scope);
	keep_plan(&plan,
			  "INSERT INTO feathub.dead_letter_record"
			  " (job_id, partition, sequence, key, value, headers, \"timestamp\", sqlstate, message, sink)"
			  " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)", 10, types);
	for (int i = 0; i < n; i++)
	{
		FeathubDeadLetter *letter = &letters[i];
		char		nulls[11] = "          ";
		Datum		values[10];

		values[0] = Int64GetDatum(job_id);
		values[1] = CStringGetTextDatum(letter->partition);
		values[2] = Int64GetDatum(letter->sequence);
		values[3] = letter->key ?
			PointerGetDatum(cstring_to_text_with_len(letter->key, letter->key_len)) : (Datum) 0;
		values[4] = letter->value ?
			PointerGetDatum(cstring_to_text_with_len(letter->value, letter->value_len)) : (Datum) 0;
		values[5] = letter->headers;
		values[6] = TimestampTzGetDatum(letter->timestamp);
		values[7] = CStringGetTextDatum(unpack_sql_state(letter->sqlerrcode));
		values[8] = CStringGetTextDatum(letter->message);
		values[9] = letter->sink ? CStringGetTextDatum(letter->sink) : (Datum) 0;
		nulls[3] = letter->key ? ' ' : 'n';
		nulls[4] = letter->value ? ' ' : 'n';
		nulls[5] = letter->headers_isnull ? 'n' : ' ';
		nulls[6] = letter->timestamp == DT_NOBEGIN ? 'n' : ' ';
		nulls[9] = letter->sink ? ' ' : 'n';
		execute_plan(plan, values, nulls, SPI_OK_INSERT);
	}
	FeathubCatalogLeave(&scope);
}

int64
FeathubDeadLettersUsed(int64 job_id)
{
	static SPIPlanPtr plan = NULL;
	FeathubRoleScope scope;
	Oid			types[] = {INT8OID};
	Datum		values[] = {Int64GetDatum(job_id)};
	int64		used = 0;
	bool		isnull;

	FeathubCatalogEnter(&scope);
	execute_plan(keep_plan(&plan,
						   "SELECT COALESCE(pg_catalog.sum(p.dead_letters), 0)::pg_catalog.int8 - j.dead_letters_before"
						   " FROM feathub.job j LEFT JOIN feathub.job_position p USING (job_id)"
						   " WHERE j.job_id = $1 GROUP BY j.job_id", 1, types),
				 values, NULL, SPI_OK_SELECT);
	if (SPI_processed > 0)
		used = DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull));
	FeathubCatalogLeave(&scope);
	return used;
}
