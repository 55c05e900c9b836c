/*
 * mysql_query.c
 *		Statements on a connection, and the rows that they return.
 *
 * Every call of the library that may have to wait is made by its non-blocking
 * form, which returns what it waits for; we wait for that and for our latch.  A
 * query that is cancelled leaves the call unfinished: MysqlConnection.pending
 * says which, so that FeathubMysqlRecover can finish it, with the server told to
 * stop, or the connection is closed.  Whatever such a call still reads (the
 * statement's text) therefore belongs to the connection.
 *
 * Rows are streamed: MysqlConnection.res is the one result on its way, reader
 * who reads it.  If another statement is to be run first, the rest of the rows
 * is put aside in the reader's tuplestore.
 */
#include "postgres.h"

#include "connectors/mysql/mysql_library.h"

#include "access/xact.h"
#include "executor/tuptable.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "storage/latch.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"

#include "connectors/mysql/mysql_connector.h"
#include "core/clock.h"

/* A result that is not wanted any more is read to its end for so long. */
#define DISCARD_MS	20

/* Two, three or many collations that do not go together. */
#define ER_CANT_AGGREGATE_2COLLATIONS 1267
#define ER_CANT_AGGREGATE_3COLLATIONS 1270
#define ER_CANT_AGGREGATE_NCOLLATIONS 1271

/* Bytes of a statement that an error's context shows. */
#define CONTEXT_BYTES 1000

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

static void start_statement(MysqlConnection *conn, const char *sql, Size len);
static void check_statement(MysqlConnection *conn, const char *sql, Size len);
static void begin_statement(MysqlConnection *conn, const char *sql, Size len);
static void start_written(MysqlConnection *conn, StringInfo sql,
						  void (*write) (StringInfo sql, void *arg), void *arg);
static uint64 finish_execute(MysqlConnection *conn, const char *sql);
static MysqlResult *begin_result(MysqlConnection *conn, const char *sql);
static bool send_statement(MysqlConnection *conn, const char *sql, Size len,
						   TimestampTz deadline, bool quiet);
static bool finish_call(MysqlConnection *conn, TimestampTz deadline, bool quiet);
static int	wait_for(MysqlConnection *conn, TimestampTz deadline, bool quiet);
static bool fetch_live(MysqlConnection *conn, char ***row, TimestampTz deadline, bool quiet);
static void release_rows(MysqlConnection *conn);
static void put_aside(MysqlConnection *conn);
static void discard_rows(MysqlConnection *conn);
static void store_row(MysqlResult *result, char **row, unsigned long *lengths);
static bool fetch_stored(MysqlResult *result);
static void result_released(void *arg);
static void make_options(MYSQL *mysql, MysqlOptions *options);

uint64
FeathubMysqlExecute(MysqlConnection *conn, const char *sql, Size len)
{
	start_statement(conn, sql, len);
	return finish_execute(conn, sql);
}

void
FeathubMysqlSend(MysqlConnection *conn, const char *sql, Size len)
{
	check_statement(conn, sql, len);
	begin_statement(conn, sql, len);
	conn->sent = true;
	conn->sent_level = GetCurrentTransactionNestLevel();
}

void
FeathubMysqlFinish(MysqlConnection *conn)
{
	char	   *sql;

	if (!conn->sent)
		return;
	sql = conn->query ? pnstrdup(conn->query, CONTEXT_BYTES) : pstrdup("");
	(void) finish_call(conn, 0, false);
	conn->sent = false;

	/*
	 * Code that the statement itself runs, a function in its rows, may use the
	 * connection in a subtransaction, which may catch this error: the statement
	 * must not go on without the rows that were refused.
	 */
	if (mysql_errno(conn->mysql) != 0 && GetCurrentTransactionNestLevel() > conn->sent_level)
		conn->xact_lost = true;
	(void) finish_execute(conn, sql);
	pfree(sql);
}

/* Rows matched by the statement that was answered; rows it returns are not read. */
static uint64
finish_execute(MysqlConnection *conn, const char *sql)
{
	char	  **row;

	if (mysql_errno(conn->mysql) != 0)
		FeathubMysqlReportError(conn, sql);
	if (mysql_field_count(conn->mysql) > 0)
	{
		conn->res = mysql_use_result(conn->mysql);
		conn->reader = NULL;
		while (fetch_live(conn, &row, 0, false))
			;
		release_rows(conn);
		return 0;
	}
	return mysql_affected_rows(conn->mysql);
}

MysqlResult *
FeathubMysqlQueryBy(MysqlConnection *conn, StringInfo sql,
					void (*write) (StringInfo sql, void *arg), void *arg)
{
	start_written(conn, sql, write, arg);
	return begin_result(conn, sql->data);
}

uint64
FeathubMysqlExecuteBy(MysqlConnection *conn, StringInfo sql,
					  void (*write) (StringInfo sql, void *arg), void *arg)
{
	start_written(conn, sql, write, arg);
	return finish_execute(conn, sql->data);
}

/* Run a statement, written once more if its literals need a collation. */
static void
start_written(MysqlConnection *conn, StringInfo sql,
			  void (*write) (StringInfo sql, void *arg), void *arg)
{
	resetStringInfo(sql);
	write(sql, arg);
	start_statement(conn, sql->data, sql->len);
	if (mysql_errno(conn->mysql) != ER_CANT_AGGREGATE_2COLLATIONS &&
		mysql_errno(conn->mysql) != ER_CANT_AGGREGATE_3COLLATIONS &&
		mysql_errno(conn->mysql) != ER_CANT_AGGREGATE_NCOLLATIONS)
		return;

	resetStringInfo(sql);
	FeathubMysqlCollateLiterals(true);
	PG_TRY();
	{
		write(sql, arg);
	}
	PG_FINALLY();
	{
		FeathubMysqlCollateLiterals(false);
	}
	PG_END_TRY();
	start_statement(conn, sql->data, sql->len);
}

MysqlResult *
FeathubMysqlQuery(MysqlConnection *conn, const char *sql, Size len)
{
	start_statement(conn, sql, len);
	return begin_result(conn, sql);
}

/* Take the result of the statement that was answered. */
static MysqlResult *
begin_result(MysqlConnection *conn, const char *sql)
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
	if (fetch_live(conn, values, 0, false))
	{
		*lengths = mysql_fetch_lengths(conn->res);
		return true;
	}
	result->done = true;
	release_rows(conn);
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

/* Run a statement; the caller looks at the library's error. */
static void
start_statement(MysqlConnection *conn, const char *sql, Size len)
{
	check_statement(conn, sql, len);
	(void) send_statement(conn, sql, len, 0, false);
}

/* Can it be sent?  What was sent before is answered then. */
static void
check_statement(MysqlConnection *conn, const char *sql, Size len)
{
	FeathubMysqlFinish(conn);
	if (conn->xact_lost)
		ereport(ERROR,
				(errcode(ERRCODE_CONNECTION_FAILURE),
				 errmsg("the transaction on foreign server \"%s\" was lost", conn->server_name),
				 errhint("Roll the transaction back and try again.")));
	if (conn->res)
		put_aside(conn);
	if (conn->max_packet > 0 && len >= conn->max_packet)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("statement of %zu bytes is too large for foreign server \"%s\"",
						len, conn->server_name),
				 errdetail("The server's max_allowed_packet is %llu.",
						   (unsigned long long) conn->max_packet)));
	elog(DEBUG3, "feathub_mysql: %.*s", (int) Min(len, CONTEXT_BYTES), sql);
}

static bool
send_statement(MysqlConnection *conn, const char *sql, Size len,
			   TimestampTz deadline, bool quiet)
{
	begin_statement(conn, sql, len);
	return finish_call(conn, deadline, quiet);
}

static void
begin_statement(MysqlConnection *conn, const char *sql, Size len)
{
	int			ret;

	Assert(conn->pending == MYSQL_PENDING_NONE);
	if (conn->query)
		pfree(conn->query);
	conn->query = NULL;
	conn->query = MemoryContextAllocHuge(conn->context, len + 1);
	memcpy(conn->query, sql, len);
	conn->query[len] = '\0';

	conn->pending = MYSQL_PENDING_QUERY;
	conn->wait_events = mysql_real_query_start(&ret, conn->mysql, conn->query, len);
}

/* Finish the pending call; false if the deadline passed, only if quiet. */
static bool
finish_call(MysqlConnection *conn, TimestampTz deadline, bool quiet)
{
	int			ret;
	MYSQL	   *mysql;

	while (conn->wait_events != 0)
	{
		int			ready = wait_for(conn, deadline, quiet);

		if (ready == 0)
			return false;
		switch (conn->pending)
		{
			case MYSQL_PENDING_CONNECT:
				conn->wait_events = mysql_real_connect_cont(&mysql, conn->mysql, ready);
				break;
			case MYSQL_PENDING_QUERY:
				conn->wait_events = mysql_real_query_cont(&ret, conn->mysql, ready);
				break;
			case MYSQL_PENDING_FETCH:
				conn->wait_events = mysql_fetch_row_cont(&conn->row, conn->res, ready);
				break;
			default:
				elog(ERROR, "unexpected pending call: %d", (int) conn->pending);
		}
	}
	if (conn->pending == MYSQL_PENDING_QUERY && conn->query)
	{
		pfree(conn->query);
		conn->query = NULL;
	}
	conn->pending = MYSQL_PENDING_NONE;
	return true;
}

/*
 * Wait for what the pending call waits for; returns it, or 0 when the deadline
 * (0: none) passes and the caller is quiet.
 */
static int
wait_for(MysqlConnection *conn, TimestampTz deadline, bool quiet)
{
	int			events = WL_LATCH_SET | WL_EXIT_ON_PM_DEATH;
	TimestampTz limit = 0;
	bool		ours = true;	/* the limit, not the library's */

	if (conn->wait_events & MYSQL_WAIT_READ)
		events |= WL_SOCKET_READABLE;
	if (conn->wait_events & MYSQL_WAIT_WRITE)
		events |= WL_SOCKET_WRITEABLE;
	if (deadline != 0)
		limit = deadline;
	else if (conn->network_timeout > 0)
		limit = TimestampTzPlusMilliseconds(FeathubClock(),
											conn->network_timeout * INT64CONST(1000));
	if (conn->wait_events & MYSQL_WAIT_TIMEOUT)
	{
		TimestampTz theirs;

		theirs = TimestampTzPlusMilliseconds(FeathubClock(),
											 mysql_get_timeout_value_ms(conn->mysql));
		if (limit == 0 || theirs < limit)
		{
			limit = theirs;
			ours = false;
		}
	}

	for (;;)
	{
		long		timeout = -1;
		int			rc;
		int			ready = 0;

		if (limit != 0)
		{
			timeout = TimestampDifferenceMilliseconds(FeathubClock(), limit);
			if (timeout <= 0)
			{
				if (!ours)
					return MYSQL_WAIT_TIMEOUT;
				if (quiet)
					return 0;
				FeathubMysqlDisconnect(conn);
				ereport(ERROR,
						(errcode(ERRCODE_CONNECTION_FAILURE),
						 errmsg("foreign server \"%s\" did not answer within %d seconds",
								conn->server_name, conn->network_timeout)));
			}
		}
		rc = WaitLatchOrSocket(MyLatch, events | (timeout >= 0 ? WL_TIMEOUT : 0),
							   mysql_get_socket(conn->mysql), timeout,
							   FEATHUB_WAIT_EVENT("FeathubMysql"));
		if (rc & WL_LATCH_SET)
		{
			ResetLatch(MyLatch);
			if (!quiet)
				CHECK_FOR_INTERRUPTS();
		}
		if (rc & WL_SOCKET_READABLE)
			ready |= MYSQL_WAIT_READ;
		if (rc & WL_SOCKET_WRITEABLE)
			ready |= MYSQL_WAIT_WRITE;
		if (ready)
			return ready;
	}
}

/*
 * The next row of the result on its way, or false at the end.  An error ends in
 * ereport, if quiet in false with the library's error set; the deadline's
 * passing in false with the call still pending.
 */
static bool
fetch_live(MysqlConnection *conn, char ***row, TimestampTz deadline, bool quiet)
{
	conn->wait_events = mysql_fetch_row_start(row, conn->res);
	if (conn->wait_events != 0)
	{
		conn->pending = MYSQL_PENDING_FETCH;
		if (!finish_call(conn, deadline, quiet))
			return false;
		*row = conn->row;
	}
	if (*row)
		return true;
	if (!quiet && mysql_errno(conn->mysql) != 0)
	{
		/* the server ended the result with the error */
		release_rows(conn);
		FeathubMysqlReportError(conn, NULL);
	}
	return false;
}

/* Free the result, all rows of which were read. */
static void
release_rows(MysqlConnection *conn)
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
static void
put_aside(MysqlConnection *conn)
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
		while (fetch_live(conn, &row, 0, false))
			store_row(result, row, mysql_fetch_lengths(conn->res));
	}
	PG_FINALLY();
	{
		CurrentResourceOwner = oldowner;
	}
	PG_END_TRY();
	MemoryContextSwitchTo(oldcontext);
	release_rows(conn);
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
		if (!fetch_live(conn, &row, 0, true) && conn->pending == MYSQL_PENDING_NONE)
			break;
		CHECK_FOR_INTERRUPTS();
		if (!killed && (++n & 63) == 0 && FeathubClock() >= limit)
		{
			killed = true;
			(void) FeathubMysqlKill(conn, TimestampTzPlusMilliseconds(FeathubClock(), 1000));
		}
	}
	release_rows(conn);

	/* the order may have come when there was nothing to stop any more */
	if (killed)
		(void) send_statement(conn, "DO 0", 4, 0, false);
}

bool
FeathubMysqlRecover(MysqlConnection *conn, TimestampTz deadline)
{
	char	  **row;

	if (conn->mysql == NULL || conn->pending == MYSQL_PENDING_CONNECT)
		return false;
	if (conn->pending == MYSQL_PENDING_NONE && conn->res == NULL)
		return true;

	conn->sent = false;
	if (!FeathubMysqlKill(conn, deadline))
		return false;
	if (conn->pending != MYSQL_PENDING_NONE && !finish_call(conn, deadline, true))
		return false;
	if (conn->res == NULL && mysql_errno(conn->mysql) == 0 &&
		mysql_field_count(conn->mysql) > 0)
		conn->res = mysql_use_result(conn->mysql);
	conn->reader = NULL;
	if (conn->res)
	{
		while (fetch_live(conn, &row, deadline, true))
			;
		if (conn->pending != MYSQL_PENDING_NONE)
			return false;
		release_rows(conn);
	}
	/* takes the order to stop if nothing else did */
	return send_statement(conn, "DO 0", 4, deadline, true);
}

bool
FeathubMysqlExecuteQuiet(MysqlConnection *conn, const char *sql, TimestampTz deadline)
{
	if (conn->mysql == NULL || conn->pending != MYSQL_PENDING_NONE || conn->res)
		return false;
	return send_statement(conn, sql, strlen(sql), deadline, true) &&
		mysql_errno(conn->mysql) == 0;
}

uint64
FeathubMysqlInsertId(MysqlConnection *conn)
{
	return mysql_insert_id(conn->mysql);
}

MysqlResult *
FeathubMysqlAsk(MysqlConnection *conn, const char *sql)
{
	return begin_result(conn, sql);
}

/* Run a statement on an idle connection; false if it fails. */
bool
FeathubMysqlTry(MysqlConnection *conn, const char *sql)
{
	return send_statement(conn, sql, strlen(sql), 0, false) &&
		mysql_errno(conn->mysql) == 0;
}

/*
 * FeathubMysqlOpen
 *		Make the connection itself.  Returns false if it fails, with the
 *		library's error set; conn->mysql is there in any case.
 */
bool
FeathubMysqlOpen(MysqlConnection *conn, MysqlOptions *options, TimestampTz deadline, bool quiet)
{
	MYSQL	   *mysql;

	Assert(conn->mysql == NULL);
	mysql = mysql_init(NULL);
	if (mysql == NULL)
	{
		if (quiet)
			return false;
		ereport(ERROR,
				(errcode(ERRCODE_OUT_OF_MEMORY),
				 errmsg("out of memory")));
	}
	conn->mysql = mysql;
	make_options(mysql, options);
	conn->pending = MYSQL_PENDING_CONNECT;

	/* FOUND_ROWS: UPDATE counts the rows it finds, changed or not */
	conn->wait_events = mysql_real_connect_start(&mysql, conn->mysql,
												 options->socket ? NULL : options->host,
												 options->user, options->password,
												 NULL, options->port, options->socket,
												 CLIENT_FOUND_ROWS);
	if (!finish_call(conn, deadline, quiet))
		return false;
	return mysql_errno(conn->mysql) == 0;
}

static void
make_options(MYSQL *mysql, MysqlOptions *options)
{
	unsigned int protocol = options->socket ? MYSQL_PROTOCOL_SOCKET : MYSQL_PROTOCOL_TCP;
	unsigned int timeout = options->connect_timeout;
	unsigned int off = 0;
	unsigned long packet = 0x40000000;
	my_bool		yes = 1;
	my_bool		no = 0;

	mysql_options(mysql, MYSQL_OPT_NONBLOCK, NULL);
	mysql_options(mysql, MYSQL_OPT_PROTOCOL, &protocol);
	mysql_options(mysql, MYSQL_OPT_CONNECT_TIMEOUT, &timeout);
	mysql_options(mysql, MYSQL_SET_CHARSET_NAME, "utf8mb4");
	mysql_options(mysql, MYSQL_OPT_MAX_ALLOWED_PACKET, &packet);
	mysql_options(mysql, MYSQL_OPT_RECONNECT, &no);
	/* a server must not be able to read our files */
	mysql_options(mysql, MYSQL_OPT_LOCAL_INFILE, &off);
	/* nor to ask for the password itself, but through verified TLS */
	if (options->ssl_mode != MYSQL_SSL_VERIFY_IDENTITY)
		mysql_options(mysql, MARIADB_OPT_RESTRICTED_AUTH,
					  "mysql_native_password,caching_sha2_password,sha256_password,client_ed25519");
	if (options->compression)
		mysql_options(mysql, MYSQL_OPT_COMPRESS, NULL);
	mysql_options(mysql, MYSQL_OPT_CONNECT_ATTR_RESET, 0);
	mysql_options4(mysql, MYSQL_OPT_CONNECT_ATTR_ADD, "program_name", "feathub");

	if (options->ssl_mode == MYSQL_SSL_DISABLED)
	{
		mysql_options(mysql, MYSQL_OPT_SSL_ENFORCE, &no);
		mysql_options(mysql, MYSQL_OPT_SSL_VERIFY_SERVER_CERT, &no);
		return;
	}
	mysql_ssl_set(mysql, options->ssl_key, options->ssl_cert, options->ssl_ca,
				  options->ssl_capath, options->ssl_cipher);
	if (options->ssl_crl)
		mysql_options(mysql, MYSQL_OPT_SSL_CRL, options->ssl_crl);
	if (options->tls_version)
		mysql_options(mysql, MARIADB_OPT_TLS_VERSION, options->tls_version);
	mysql_options(mysql, MYSQL_OPT_SSL_ENFORCE,
				  options->ssl_mode == MYSQL_SSL_PREFERRED ? &no : &yes);
	mysql_options(mysql, MYSQL_OPT_SSL_VERIFY_SERVER_CERT,
				  options->ssl_mode == MYSQL_SSL_VERIFY_IDENTITY ? &yes : &no);
}

/*
 * The SQLSTATE for an error of the server or the library.  It tells a job
 * whether a row is at fault, so what we do not know by its number goes by the
 * class that the server gives.
 */
static int
error_code(unsigned int code, const char *state)
{
	switch (code)
	{
		case 1062:				/* ER_DUP_ENTRY */
		case 1586:				/* ER_DUP_ENTRY_WITH_KEY_NAME */
			return ERRCODE_UNIQUE_VIOLATION;
		case 1048:				/* ER_BAD_NULL_ERROR */
		case 1364:				/* ER_NO_DEFAULT_FOR_FIELD */
			return ERRCODE_NOT_NULL_VIOLATION;
		case 1216:
		case 1217:
		case 1451:
		case 1452:				/* rows referenced, rows missing */
			return ERRCODE_FOREIGN_KEY_VIOLATION;
		case 3819:				/* ER_CHECK_CONSTRAINT_VIOLATED */
		case 4025:				/* the same, of MariaDB */
		case 1526:				/* ER_NO_PARTITION_FOR_GIVEN_VALUE */
			return ERRCODE_CHECK_VIOLATION;
		case 1205:				/* ER_LOCK_WAIT_TIMEOUT */
			return ERRCODE_LOCK_NOT_AVAILABLE;
		case 1213:				/* ER_LOCK_DEADLOCK */
			return ERRCODE_T_R_DEADLOCK_DETECTED;
		case 1020:				/* ER_CHECKREAD: innodb_snapshot_isolation */
			return ERRCODE_T_R_SERIALIZATION_FAILURE;
		case 1406:				/* ER_DATA_TOO_LONG */
			return ERRCODE_STRING_DATA_RIGHT_TRUNCATION;
		case 1264:				/* ER_WARN_DATA_OUT_OF_RANGE */
		case 1690:				/* ER_DATA_OUT_OF_RANGE */
			return ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE;
		case 1265:				/* WARN_DATA_TRUNCATED: an error of strict mode */
		case 1292:				/* ER_TRUNCATED_WRONG_VALUE */
		case 1366:				/* ER_TRUNCATED_WRONG_VALUE_FOR_FIELD */
			return ERRCODE_INVALID_TEXT_REPRESENTATION;
		case 1365:				/* ER_DIVISION_BY_ZERO */
			return ERRCODE_DIVISION_BY_ZERO;
		case 1118:				/* ER_TOO_BIG_ROWSIZE */
			return ERRCODE_PROGRAM_LIMIT_EXCEEDED;
		case 1146:				/* ER_NO_SUCH_TABLE */
		case 1049:				/* ER_BAD_DB_ERROR */
			return ERRCODE_FDW_TABLE_NOT_FOUND;
		case 1054:				/* ER_BAD_FIELD_ERROR */
			return ERRCODE_FDW_COLUMN_NAME_NOT_FOUND;
		case MYSQL_ERR_ACCESS_DENIED_DB:
		case 1142:				/* ER_TABLEACCESS_DENIED_ERROR */
		case 1143:				/* ER_COLUMNACCESS_DENIED_ERROR */
		case 1227:				/* ER_SPECIFIC_ACCESS_DENIED_ERROR */
			return ERRCODE_INSUFFICIENT_PRIVILEGE;
		case 1317:				/* ER_QUERY_INTERRUPTED */
		case 1969:				/* ER_STATEMENT_TIMEOUT */
		case 3024:				/* ER_QUERY_TIMEOUT */
			return ERRCODE_QUERY_CANCELED;
		case 1290:				/* ER_OPTION_PREVENTS_STATEMENT */
		case 1792:				/* ER_CANT_EXECUTE_IN_READ_ONLY_TRANSACTION */
			return ERRCODE_READ_ONLY_SQL_TRANSACTION;
		case CR_SERVER_GONE_ERROR:
		case CR_SERVER_LOST:
		case 1927:				/* ER_CONNECTION_KILLED */
		case 1053:				/* ER_SERVER_SHUTDOWN */
		case 4031:				/* ER_CLIENT_INTERACTION_TIMEOUT */
			return ERRCODE_CONNECTION_FAILURE;
		default:
			if (code >= CR_MIN_ERROR && code <= CR_MAX_ERROR)
				return ERRCODE_CONNECTION_FAILURE;
			if (strncmp(state, "22", 2) == 0)
				return ERRCODE_DATA_EXCEPTION;
			if (strncmp(state, "23", 2) == 0)
				return ERRCODE_INTEGRITY_CONSTRAINT_VIOLATION;
			if (strncmp(state, "45", 2) == 0)	/* a trigger's SIGNAL */
				return ERRCODE_RAISE_EXCEPTION;
			return ERRCODE_FDW_ERROR;
	}
}

void
FeathubMysqlReportError(MysqlConnection *conn, const char *sql)
{
	unsigned int code = mysql_errno(conn->mysql);
	char	   *message = pstrdup(mysql_error(conn->mysql));
	int			sqlstate = error_code(code, mysql_sqlstate(conn->mysql));

	message = pg_any_to_server(message, strlen(message), PG_UTF8);

	/* the server has rolled the transaction back, or it is gone with the connection */
	if (conn->xact_depth > 0 && (code == 1213 || sqlstate == ERRCODE_CONNECTION_FAILURE))
		conn->xact_lost = true;
	if (sqlstate == ERRCODE_CONNECTION_FAILURE)
		FeathubMysqlDisconnect(conn);

	ereport(ERROR,
			(errcode(sqlstate),
			 sqlstate == ERRCODE_CONNECTION_FAILURE ?
			 errmsg("connection to foreign server \"%s\" was lost: %s",
					conn->server_name, message) :
			 errmsg("foreign server \"%s\": %s", conn->server_name, message),
			 sql ? errcontext("remote SQL command: %s%s",
							  pnstrdup(sql, pg_mbcliplen(sql, strlen(sql), CONTEXT_BYTES)),
							  strlen(sql) > CONTEXT_BYTES ? "..." : "") : 0));
}
