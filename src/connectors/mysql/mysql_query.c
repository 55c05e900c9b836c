/*
 * mysql_query.c
 *		Statements on a connection.
 *
 * Every call of the library that may have to wait is made by its non-blocking
 * form, which returns what it waits for; we wait for that and for our latch.  A
 * query that is cancelled leaves the call unfinished: MysqlConnection.pending
 * says which, so that FeathubMysqlRecover can finish it, with the server told to
 * stop, or the connection is closed.  Whatever such a call still reads (the
 * statement's text) therefore belongs to the connection.
 *
 * The rows that statements return are in mysql_result.c.
 */
#include "postgres.h"

#include <sys/socket.h>
#include <sys/time.h>

#include "connectors/mysql/mysql_library.h"

#include "access/xact.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "storage/latch.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "connectors/mysql/mysql_query.h"
#include "core/clock.h"

/* Two, three or many collations that do not go together. */
#define ER_CANT_AGGREGATE_2COLLATIONS 1267
#define ER_CANT_AGGREGATE_3COLLATIONS 1270
#define ER_CANT_AGGREGATE_NCOLLATIONS 1271

/* Bytes of a statement that an error's context shows. */
#define CONTEXT_BYTES 1000

static void check_statement(MysqlConnection *conn, const char *sql, Size len);
static void begin_statement(MysqlConnection *conn, const char *sql, Size len);
static void start_written(MysqlConnection *conn, StringInfo sql,
						  void (*write) (StringInfo sql, void *arg), void *arg);
static uint64 finish_execute(MysqlConnection *conn, const char *sql);
static void forget_prepared(MysqlConnection *conn);
pg_noreturn static void report_client_error(MysqlConnection *conn);
static int	wait_for(MysqlConnection *conn, TimestampTz deadline, bool quiet);
static void make_options(MYSQL *mysql, MysqlOptions *options);

uint64
FeathubMysqlExecute(MysqlConnection *conn, const char *sql, Size len)
{
	FeathubMysqlStartStatement(conn, sql, len);
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
	if (conn->pending == MYSQL_PENDING_EXECUTE || conn->query == NULL)
		sql = pstrdup(conn->stmt_sql ? conn->stmt_sql : "");
	else
		sql = pnstrdup(conn->query, CONTEXT_BYTES);
	(void) FeathubMysqlFinishCall(conn, 0, false);
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

bool
FeathubMysqlPrepare(MysqlConnection *conn, const char *sql)
{
	int			ret = 0;

	if (conn->stmt_sql && strcmp(conn->stmt_sql, sql) == 0)
		return true;
	check_statement(conn, sql, strlen(sql));
	forget_prepared(conn);
	if (conn->stmt)
	{
		/* a message of a few bytes that nobody answers */
		mysql_stmt_close(conn->stmt);
		FeathubMysqlDontBlock(conn);
	}
	conn->stmt = mysql_stmt_init(conn->mysql);
	if (conn->stmt == NULL)
		ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory")));
	conn->query = MemoryContextStrdup(conn->context, sql);
	conn->pending = MYSQL_PENDING_PREPARE;
	conn->wait_events = mysql_stmt_prepare_start(&ret, conn->stmt, conn->query,
												 strlen(conn->query));
	conn->call_failed = ret != 0;
	(void) FeathubMysqlFinishCall(conn, 0, false);
	if (conn->call_failed)
		return false;
	conn->stmt_sql = MemoryContextStrdup(conn->context, sql);
	return true;
}

void
FeathubMysqlSendRows(MysqlConnection *conn, MYSQL_BIND *params, unsigned int n, Size bytes)
{
	int			ret = 0;

	Assert(conn->stmt_sql != NULL);
	check_statement(conn, conn->stmt_sql, bytes);
	if (mysql_stmt_attr_set(conn->stmt, STMT_ATTR_ARRAY_SIZE, &n) ||
		mysql_stmt_bind_param(conn->stmt, params))
		report_client_error(conn);
	conn->pending = MYSQL_PENDING_EXECUTE;
	/* makes the packet before it waits for anything */
	conn->wait_events = mysql_stmt_execute_start(&ret, conn->stmt);
	conn->call_failed = ret != 0;
	conn->sent = true;
	conn->sent_level = GetCurrentTransactionNestLevel();
}

unsigned int
FeathubMysqlAnswer(MysqlConnection *conn)
{
	(void) FeathubMysqlFinishCall(conn, 0, false);
	return mysql_errno(conn->mysql);
}

void
FeathubMysqlForget(MysqlConnection *conn)
{
	Assert(conn->pending == MYSQL_PENDING_NONE);
	conn->sent = false;
}

/* The next one is to be prepared, whatever it is. */
static void
forget_prepared(MysqlConnection *conn)
{
	if (conn->stmt_sql)
		pfree(conn->stmt_sql);
	conn->stmt_sql = NULL;
}

/* Raise what the library itself found wrong with the prepared statement. */
static void
report_client_error(MysqlConnection *conn)
{
	ereport(ERROR,
			(errcode(ERRCODE_FDW_ERROR),
			 errmsg("could not send rows to foreign server \"%s\": %s",
					conn->server_name, mysql_stmt_error(conn->stmt))));
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
		while (FeathubMysqlFetchLive(conn, &row, 0, false))
			;
		FeathubMysqlReleaseRows(conn);
		return 0;
	}
	return mysql_affected_rows(conn->mysql);
}

MysqlResult *
FeathubMysqlQueryBy(MysqlConnection *conn, StringInfo sql,
					void (*write) (StringInfo sql, void *arg), void *arg)
{
	start_written(conn, sql, write, arg);
	return FeathubMysqlBeginResult(conn, sql->data);
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
	FeathubMysqlStartStatement(conn, sql->data, sql->len);
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
	FeathubMysqlStartStatement(conn, sql->data, sql->len);
}

/* Run a statement; the caller looks at the library's error. */
void
FeathubMysqlStartStatement(MysqlConnection *conn, const char *sql, Size len)
{
	check_statement(conn, sql, len);
	(void) FeathubMysqlSendStatement(conn, sql, len, 0, false);
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
		FeathubMysqlPutAside(conn);
	if (conn->max_packet > 0 && len >= conn->max_packet)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("statement of %zu bytes is too large for foreign server \"%s\"",
						len, conn->server_name),
				 errdetail("The server's max_allowed_packet is %llu.",
						   (unsigned long long) conn->max_packet)));
	elog(DEBUG3, "feathub_mysql: %.*s", (int) Min(len, CONTEXT_BYTES), sql);
}

bool
FeathubMysqlSendStatement(MysqlConnection *conn, const char *sql, Size len,
			   TimestampTz deadline, bool quiet)
{
	begin_statement(conn, sql, len);
	return FeathubMysqlFinishCall(conn, deadline, quiet);
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

/*
 * For a handshake of TLS the library makes the socket blocking, which it stays
 * (also after a call that is not of the non-blocking form): it would then wait in
 * read() as long as the server is silent, be it cancelled or not.
 */
void
FeathubMysqlDontBlock(MysqlConnection *conn)
{
	(void) pg_set_noblock(mysql_get_socket(conn->mysql));
}

/*
 * Until then a handshake waits in read(), where nothing reaches us: for the time
 * that connecting may take, and no longer.
 */
static void
limit_blocking(MysqlConnection *conn, TimestampTz deadline)
{
	long		ms = deadline != 0 ? TimestampDifferenceMilliseconds(FeathubClock(), deadline) :
		conn->connect_timeout * 1000L;
	struct timeval limit = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000 + 1};
	pgsocket	sock = mysql_get_socket(conn->mysql);

	(void) setsockopt(sock, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	(void) setsockopt(sock, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
}

/* Finish the pending call; false if the deadline passed, only if quiet. */
bool
FeathubMysqlFinishCall(MysqlConnection *conn, TimestampTz deadline, bool quiet)
{
	int			ret = 0;
	MYSQL	   *mysql;
	bool		executed;

	while (conn->wait_events != 0)
	{
		int			ready = wait_for(conn, deadline, quiet);

		if (ready == 0)
			return false;
		switch (conn->pending)
		{
			case MYSQL_PENDING_CONNECT:
				limit_blocking(conn, deadline);
				conn->wait_events = mysql_real_connect_cont(&mysql, conn->mysql, ready);
				break;
			case MYSQL_PENDING_QUERY:
				conn->wait_events = mysql_real_query_cont(&ret, conn->mysql, ready);
				break;
			case MYSQL_PENDING_PREPARE:
				conn->wait_events = mysql_stmt_prepare_cont(&ret, conn->stmt, ready);
				conn->call_failed = ret != 0;
				break;
			case MYSQL_PENDING_EXECUTE:
				conn->wait_events = mysql_stmt_execute_cont(&ret, conn->stmt, ready);
				conn->call_failed = ret != 0;
				break;
			case MYSQL_PENDING_FETCH:
				conn->wait_events = mysql_fetch_row_cont(&conn->row, conn->res, ready);
				break;
			default:
				elog(ERROR, "unexpected pending call: %d", (int) conn->pending);
		}
	}
	if (conn->query && (conn->pending == MYSQL_PENDING_QUERY ||
						conn->pending == MYSQL_PENDING_PREPARE))
	{
		pfree(conn->query);
		conn->query = NULL;
	}
	executed = conn->pending == MYSQL_PENDING_EXECUTE;
	conn->pending = MYSQL_PENDING_NONE;
	if (executed && conn->call_failed)
	{
		forget_prepared(conn);
		if (mysql_errno(conn->mysql) == 0 && !quiet)
		{
			conn->sent = false;
			report_client_error(conn);
		}
	}
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
	if (conn->pending != MYSQL_PENDING_NONE && !FeathubMysqlFinishCall(conn, deadline, true))
		return false;
	if (conn->res == NULL && mysql_errno(conn->mysql) == 0 &&
		mysql_field_count(conn->mysql) > 0)
		conn->res = mysql_use_result(conn->mysql);
	conn->reader = NULL;
	if (conn->res)
	{
		while (FeathubMysqlFetchLive(conn, &row, deadline, true))
			;
		if (conn->pending != MYSQL_PENDING_NONE)
			return false;
		FeathubMysqlReleaseRows(conn);
	}
	/* takes the order to stop if nothing else did */
	return FeathubMysqlSendStatement(conn, "DO 0", 4, deadline, true);
}

bool
FeathubMysqlExecuteQuiet(MysqlConnection *conn, const char *sql, TimestampTz deadline)
{
	if (conn->mysql == NULL || conn->pending != MYSQL_PENDING_NONE || conn->res)
		return false;
	return FeathubMysqlSendStatement(conn, sql, strlen(sql), deadline, true) &&
		mysql_errno(conn->mysql) == 0;
}

uint64
FeathubMysqlInsertId(MysqlConnection *conn)
{
	return mysql_insert_id(conn->mysql);
}

/* Run a statement on an idle connection; false if it fails. */
bool
FeathubMysqlTry(MysqlConnection *conn, const char *sql)
{
	return FeathubMysqlSendStatement(conn, sql, strlen(sql), 0, false) &&
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
	conn->connect_timeout = options->connect_timeout;
	make_options(mysql, options);
	conn->pending = MYSQL_PENDING_CONNECT;

	/* FOUND_ROWS: UPDATE counts the rows it finds, changed or not */
	conn->wait_events = mysql_real_connect_start(&mysql, conn->mysql,
												 options->socket ? NULL : options->host,
												 options->user, options->password,
												 NULL, options->port, options->socket,
												 CLIENT_FOUND_ROWS);
	if (!FeathubMysqlFinishCall(conn, deadline, quiet))
		return false;
	if (mysql_errno(conn->mysql) != 0)
		return false;
	FeathubMysqlDontBlock(conn);
	return true;
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
