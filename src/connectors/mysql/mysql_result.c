/*
 * mysql_result.c
 *		The rows that statements return.
 *
 * Rows are streamed: MysqlConnection.res is the one result on its way, reader
 * who reads it.  If another statement is to be run first, the rest of the rows
 * is put aside in the reader's tuplestore.
 */
#include "postgres.h"

#include "connectors/mysql/mysql_library.h"

#include "catalog/pg_type.h"
#include "executor/tuptable.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"

#include "connectors/mysql/mysql_query.h"
#include "core/clock.h"

/* A result that is not wanted any more is read to its end for so long. */
#define DISCARD_MS	20

struct MysqlResult
{
	MysqlConnection *conn;
	MemoryContext context;		/* of everything here */
	ResourceOwner owner;		/* of the temporary file */
	int			nfields;
	MysqlField *fields;
	bool		done;			/* no row is left */

	/* rows put aside */
	Tuplestorestate *store;		/* NULL: they still come by the connection */
	TupleDesc	store_desc;
	TupleTableSlot *store_slot;
	char	  **values;
	unsigned long *lengths;
};

static void discard_rows(MysqlConnection *conn);
static void store_row(MysqlResult *result, char **row, unsigned long *lengths);
static bool fetch_stored(MysqlResult *result);
static void result_released(void *arg);

MysqlResult *
FeathubMysqlQuery(MysqlConnection *conn, const char *sql, Size len)
{
	FeathubMysqlStartStatement(conn, sql, len);
	return FeathubMysqlBeginResult(conn, sql);
}

/* Take the result of the statement that was answered. */
MysqlResult *
FeathubMysqlBeginResult(MysqlConnection *conn, const char *sql)
{
	MemoryContext context;
	MemoryContext oldcontext;
	MemoryContextCallback *callback;
	MysqlResult *result;
	MYSQL_FIELD *fields;

	if (mysql_errno(conn->mysql) != 0)
		FeathubMysqlReportError(conn, sql);

	conn->reader = NULL;
	conn->res = mysql_use_result(conn->mysql);
	if (conn->res == NULL)
	{
		if (mysql_errno(conn->mysql) != 0)
			FeathubMysqlReportError(conn, sql);
		ereport(ERROR,
				(errcode(ERRCODE_FDW_ERROR),
				 errmsg("statement on foreign server \"%s\" returned no rows where some were expected",
						conn->server_name)));
	}

	context = AllocSetContextCreate(CurrentMemoryContext, "feathub mysql result",
									ALLOCSET_SMALL_SIZES);
	oldcontext = MemoryContextSwitchTo(context);
	result = palloc0(sizeof(MysqlResult));
	result->conn = conn;
	result->context = context;
	result->owner = CurrentResourceOwner;
	result->nfields = mysql_num_fields(conn->res);
	result->fields = palloc(sizeof(MysqlField) * Max(result->nfields, 1));
	fields = mysql_fetch_fields(conn->res);
	for (int i = 0; i < result->nfields; i++)
	{
		result->fields[i].type = fields[i].type;
		result->fields[i].flags = fields[i].flags;
		result->fields[i].length = fields[i].length;
		result->fields[i].binary = fields[i].charsetnr == 63;
	}
	callback = palloc(sizeof(MemoryContextCallback));
	callback->func = result_released;
	callback->arg = result;
	MemoryContextRegisterResetCallback(context, callback);
	conn->reader = result;
	MemoryContextSwitchTo(oldcontext);
	return result;
}

int
FeathubMysqlFieldCount(MysqlResult *result)
{
	return result->nfields;
}

const MysqlField *
FeathubMysqlFields(MysqlResult *result)
{
	return result->fields;
}

bool
FeathubMysqlFetch(MysqlResult *result, char ***values, unsigned long **lengths)
{
	MysqlConnection *conn = result->conn;

	if (result->done)
		return false;
	if (result->store)
	{
		if (!fetch_stored(result))
		{
			result->done = true;
			return false;
		}
		*values = result->values;
		*lengths = result->lengths;
		return true;
	}
	if (conn->reader != result)
		ereport(ERROR,
				(errcode(ERRCODE_CONNECTION_FAILURE),
				 errmsg("connection to foreign server \"%s\" was lost while rows were read",
						conn->server_name)));
	if (FeathubMysqlFetchLive(conn, values, 0, false))
	{
		*lengths = mysql_fetch_lengths(conn->res);
		return true;
	}
	result->done = true;
	FeathubMysqlReleaseRows(conn);
	return false;
}

void
FeathubMysqlCloseResult(MysqlResult *result)
{
	MysqlConnection *conn = result->conn;

	if (conn->reader == result)
	{
		conn->reader = NULL;
		discard_rows(conn);
	}
	if (result->store)
		tuplestore_end(result->store);
	MemoryContextDelete(result->context);
}

/* The memory of a result goes, perhaps because of an error: nobody reads it. */
static void
result_released(void *arg)
{
	MysqlResult *result = arg;

	if (result->conn->reader == result)
		result->conn->reader = NULL;
}

/*
 * The next row of the result on its way, or false at the end.  An error ends in
 * ereport, if quiet in false with the library's error set; the deadline's
 * passing in false with the call still pending.
 */
bool
FeathubMysqlFetchLive(MysqlConnection *conn, char ***row, TimestampTz deadline, bool quiet)
{
	conn->wait_events = mysql_fetch_row_start(row, conn->res);
	if (conn->wait_events != 0)
	{
		conn->pending = MYSQL_PENDING_FETCH;
		if (!FeathubMysqlFinishCall(conn, deadline, quiet))
			return false;
		*row = conn->row;
	}
	if (*row)
		return true;
	if (!quiet && mysql_errno(conn->mysql) != 0)
	{
		/* the server ended the result with the error */
		FeathubMysqlReleaseRows(conn);
		FeathubMysqlReportError(conn, NULL);
	}
	return false;
}

/* Free the result, all rows of which were read. */
void
FeathubMysqlReleaseRows(MysqlConnection *conn)
{
	MYSQL_RES  *res = conn->res;

	conn->res = NULL;
	conn->reader = NULL;

	/* nothing is left to read, even after an error */
	if (conn->mysql)
		conn->mysql->status = MYSQL_STATUS_READY;
	mysql_free_result(res);
}

/* Read the rest of the rows into the memory of who wants them. */
void
FeathubMysqlPutAside(MysqlConnection *conn)
{
	MysqlResult *result = conn->reader;
	ResourceOwner oldowner = CurrentResourceOwner;
	MemoryContext oldcontext;
	char	  **row;

	if (result == NULL)
	{
		discard_rows(conn);
		return;
	}
	oldcontext = MemoryContextSwitchTo(result->context);
	PG_TRY();
	{
		CurrentResourceOwner = result->owner;
		result->store_desc = CreateTemplateTupleDesc(1);
		TupleDescInitEntry(result->store_desc, 1, "row", BYTEAOID, -1, 0);
		result->store_slot = MakeSingleTupleTableSlot(result->store_desc, &TTSOpsMinimalTuple);
		result->values = palloc(sizeof(char *) * Max(result->nfields, 1));
		result->lengths = palloc(sizeof(unsigned long) * Max(result->nfields, 1));
		result->store = tuplestore_begin_heap(false, false, work_mem);
		while (FeathubMysqlFetchLive(conn, &row, 0, false))
			store_row(result, row, mysql_fetch_lengths(conn->res));
	}
	PG_FINALLY();
	{
		CurrentResourceOwner = oldowner;
	}
	PG_END_TRY();
	MemoryContextSwitchTo(oldcontext);
	FeathubMysqlReleaseRows(conn);
}

/* Pack a row: for each field its length, -1 for null, and its bytes. */
static void
store_row(MysqlResult *result, char **row, unsigned long *lengths)
{
	Size		size = VARHDRSZ;
	bytea	   *packed;
	char	   *p;
	Datum		datum;
	bool		isnull = false;

	for (int i = 0; i < result->nfields; i++)
		size += sizeof(int32) + (row[i] ? lengths[i] + 1 : 0);
	if (!AllocSizeIsValid(size))
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("row of %zu bytes from foreign server \"%s\" is too large",
						size, result->conn->server_name)));
	packed = palloc(size);
	SET_VARSIZE(packed, size);
	p = VARDATA(packed);
	for (int i = 0; i < result->nfields; i++)
	{
		int32		len = row[i] ? (int32) lengths[i] : -1;

		memcpy(p, &len, sizeof(int32));
		p += sizeof(int32);
		if (len >= 0)
		{
			memcpy(p, row[i], len);
			p[len] = '\0';
			p += len + 1;
		}
	}
	datum = PointerGetDatum(packed);
	tuplestore_putvalues(result->store, result->store_desc, &datum, &isnull);
	pfree(packed);
}

static bool
fetch_stored(MysqlResult *result)
{
	MemoryContext oldcontext = MemoryContextSwitchTo(result->context);
	ResourceOwner oldowner = CurrentResourceOwner;
	bool		found;
	bool		isnull;
	char	   *p;

	CurrentResourceOwner = result->owner;
	found = tuplestore_gettupleslot(result->store, true, false, result->store_slot);
	CurrentResourceOwner = oldowner;
	MemoryContextSwitchTo(oldcontext);
	if (!found)
		return false;
	p = VARDATA_ANY(DatumGetPointer(slot_getattr(result->store_slot, 1, &isnull)));
	for (int i = 0; i < result->nfields; i++)
	{
		int32		len;

		memcpy(&len, p, sizeof(int32));
		p += sizeof(int32);
		result->values[i] = len >= 0 ? p : NULL;
		result->lengths[i] = Max(len, 0);
		if (len >= 0)
			p += len + 1;
	}
	return true;
}

/*
 * Read rows that nobody wants: to the end if that is near, else the server is
 * told to stop.
 */
static void
discard_rows(MysqlConnection *conn)
{
	TimestampTz limit = TimestampTzPlusMilliseconds(FeathubClock(), DISCARD_MS);
	bool		killed = false;
	char	  **row;
	int			n = 0;

	if (conn->res == NULL)
		return;
	for (;;)
	{
		if (!FeathubMysqlFetchLive(conn, &row, 0, true) && conn->pending == MYSQL_PENDING_NONE)
			break;
		CHECK_FOR_INTERRUPTS();
		if (!killed && (++n & 63) == 0 && FeathubClock() >= limit)
		{
			killed = true;
			(void) FeathubMysqlKill(conn, TimestampTzPlusMilliseconds(FeathubClock(), 1000));
		}
	}
	FeathubMysqlReleaseRows(conn);

	/* the order may have come when there was nothing to stop any more */
	if (killed)
		(void) FeathubMysqlSendStatement(conn, "DO 0", 4, 0, false);
}

MysqlResult *
FeathubMysqlAsk(MysqlConnection *conn, const char *sql)
{
	return FeathubMysqlBeginResult(conn, sql);
}
