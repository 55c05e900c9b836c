/*
 * dead_letter.c
 *		Dead letters that are tried again.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/timestamp.h"

#include "core/catalog.h"
#include "core/dead_letter.h"

/* A varlena column of an SPI row as bytes in the current context, or NULL. */
static const char *
column_bytes(HeapTuple tuple, int column, Size *len)
{
	bool		isnull;
	Datum		value = SPI_getbinval(tuple, SPI_tuptable->tupdesc, column, &isnull);
	bytea	   *bytes;

	*len = 0;
	if (isnull)
		return NULL;
	bytes = (bytea *) PG_DETOAST_DATUM_COPY(value);
	*len = VARSIZE_ANY_EXHDR(bytes);
	return VARDATA_ANY(bytes);
}

List *
FeathubDeadLettersLoad(int64 job_id, int64 after, int max)
{
	static FeathubStatement statement = {
		.sql = "SELECT dead_letter_id, partition, sequence, key, value, headers, \"timestamp\""
		" FROM feathub.dead_letter_record WHERE job_id = $1 AND dead_letter_id > $2"
		" ORDER BY dead_letter_id LIMIT $3",
		.nargs = 3,.argtypes = {INT8OID, INT8OID, INT8OID}
	};
	Datum		values[] = {Int64GetDatum(job_id), Int64GetDatum(after), Int64GetDatum(max)};
	MemoryContext context = CurrentMemoryContext;
	MemoryContext old;
	FeathubRoleScope scope;
	List	   *result = NIL;
	int			n;

	FeathubCatalogEnter(&scope);
	n = FeathubCatalogExecute(&statement, values, NULL);
	old = MemoryContextSwitchTo(context);
	for (int i = 0; i < n; i++)
	{
		FeathubStoredLetter *stored = palloc0(sizeof(FeathubStoredLetter));
		FeathubDeadLetter *letter = &stored->letter;
		HeapTuple	tuple = SPI_tuptable->vals[i];
		TupleDesc	desc = SPI_tuptable->tupdesc;
		Datum		value;
		bool		isnull;

		stored->dead_letter_id = DatumGetInt64(SPI_getbinval(tuple, desc, 1, &isnull));
		letter->partition = TextDatumGetCString(SPI_getbinval(tuple, desc, 2, &isnull));
		letter->sequence = DatumGetInt64(SPI_getbinval(tuple, desc, 3, &isnull));
		letter->key = column_bytes(tuple, 4, &letter->key_len);
		letter->value = column_bytes(tuple, 5, &letter->value_len);
		value = SPI_getbinval(tuple, desc, 6, &letter->headers_isnull);
		if (!letter->headers_isnull)
			letter->headers = datumCopy(value, false, -1);
		value = SPI_getbinval(tuple, desc, 7, &isnull);
		letter->timestamp = isnull ? DT_NOBEGIN : DatumGetTimestampTz(value);
		result = lappend(result, stored);
	}
	MemoryContextSwitchTo(old);
	FeathubCatalogLeave(&scope);
	return result;
}

void
FeathubDeadLetterDone(int64 dead_letter_id, bool applied, int sqlerrcode, const char *message,
					  const char *sink)
{
	static FeathubStatement remove = {
		.sql = "DELETE FROM feathub.dead_letter_record WHERE dead_letter_id = $1",
		.nargs = 1,.argtypes = {INT8OID}
	};
	static FeathubStatement keep = {
		.sql = "UPDATE feathub.dead_letter_record SET retries = retries + 1,"
		" sqlstate = $2, message = $3, sink = $4 WHERE dead_letter_id = $1",
		.nargs = 4,.argtypes = {INT8OID, TEXTOID, TEXTOID, TEXTOID}
	};
	FeathubRoleScope scope;
	Datum		values[4] = {Int64GetDatum(dead_letter_id)};

	FeathubCatalogEnter(&scope);
	if (applied)
		FeathubCatalogExecute(&remove, values, NULL);
	else
	{
		values[1] = CStringGetTextDatum(unpack_sql_state(sqlerrcode));
		values[2] = CStringGetTextDatum(message);
		values[3] = sink ? CStringGetTextDatum(sink) : (Datum) 0;
		FeathubCatalogExecute(&keep, values, sink ? NULL : "   n");
	}
	FeathubCatalogLeave(&scope);
}
