/*
 * mysql_binlog_client.c
 *		Asking a server for its binary log, and reading the packets that it sends.
 *
 * The client library's own functions for this parse the events, wrongly for
 * MySQL's, and wait as long as they like.  So the command is sent as it stands
 * in the protocol, and packets are read as rows of a result are: by
 * mysql_fetch_row in its non-blocking form, which can wait for our latch and
 * deals with TLS and compression.  While it runs, the connection's method that
 * would take a packet apart is replaced by one that does not.
 *
 * Servers send a heartbeat when there is nothing to send, so a connection that
 * is silent for longer is dead.
 */
#include "postgres.h"

#include "connectors/mysql/mysql_library.h"

#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "storage/latch.h"
#include "utils/timestamp.h"

#include "connectors/mysql/mysql_binlog_client.h"
#include "core/clock.h"

/* Not in every version's enum. */
#define DUMP_COMMAND		18	/* COM_BINLOG_DUMP */
#define DUMP_GTID_COMMAND	30	/* COM_BINLOG_DUMP_GTID */

/* Errors of the server. */
#define ER_MASTER_FATAL_ERROR_READING_BINLOG 1236
#define ER_SPECIFIC_ACCESS_DENIED 1227
#define ER_MASTER_HAS_PURGED_REQUIRED_GTIDS 1789

/* Seconds for which the server waits until we take what it sends. */
#define WRITE_TIMEOUT 3600

/* Heartbeats that may be missing. */
#define HEARTBEATS_MISSED 10

static void prepare_session(MysqlConnection *conn, const MysqlDumpRequest *request);
static bool log_has_checksums(MysqlConnection *conn);
static void make_result(MysqlConnection *conn);
static int	read_packet(MYSQL *mysql, unsigned int fields, MYSQL_ROW row, unsigned long *lengths);
static void start_fetch(MysqlConnection *conn);
static void continue_fetch(MysqlConnection *conn, int ready);
pg_noreturn static void report_end(MysqlConnection *conn);

static void
append_uint32(StringInfo out, uint32 value)
{
	for (int i = 0; i < 4; i++)
		appendStringInfoChar(out, (char) (value >> (8 * i)));
}

bool
FeathubMysqlDumpStart(MysqlConnection *conn, const MysqlDumpRequest *request)
{
	StringInfoData data;
	bool		checksums = log_has_checksums(conn);
	int			command = DUMP_COMMAND;

	prepare_session(conn, request);
	make_result(conn);
	initStringInfo(&data);
	if (!conn->mariadb && request->gtids)
	{
		StringInfoData set;

		command = DUMP_GTID_COMMAND;
		initStringInfo(&set);
		FeathubMysqlGtidSetEncode(&set, request->gtids);
		appendBinaryStringInfo(&data, "\0\0", 2);	/* flags */
		append_uint32(&data, request->server_id);
		append_uint32(&data, 0);	/* length of a file's name */
		append_uint32(&data, 4);	/* position in it: eight bytes */
		append_uint32(&data, 0);
		append_uint32(&data, set.len);
		appendBinaryStringInfo(&data, set.data, set.len);
	}
	else
	{
		if (request->position > PG_UINT32_MAX)
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("position " UINT64_FORMAT " in binary log \"%s\" of foreign server \"%s\" cannot be asked for",
							request->position, request->file, conn->server_name),
					 errdetail("The protocol knows positions of 4 GB at most, but for servers with gtid_mode ON.")));
		append_uint32(&data, request->gtids ? 4 : (uint32) request->position);
		appendBinaryStringInfo(&data, "\0\0", 2);
		append_uint32(&data, request->server_id);
		if (request->gtids == NULL)
			appendStringInfoString(&data, request->file);
	}
	/* a command of a few bytes: what the socket has room for */
	if (conn->mysql->methods->db_command(conn->mysql, command, data.data, data.len, 1, NULL) != 0)
		FeathubMysqlReportError(conn, NULL);
	FeathubMysqlDontBlock(conn);
	pfree(data.data);
	conn->idle_since = FeathubClock();
	conn->idle_limit = (int64) request->heartbeat * HEARTBEATS_MISSED * 1000;
	return checksums;
}

/* Does the server write checksums now? */
static bool
log_has_checksums(MysqlConnection *conn)
{
	const char *sql = "SELECT @@global.binlog_checksum";
	MysqlResult *result = FeathubMysqlQuery(conn, sql, strlen(sql));
	char	  **values;
	unsigned long *lengths;
	bool		checksums;

	checksums = FeathubMysqlFetch(result, &values, &lengths) && values[0] &&
		pg_strcasecmp(values[0], "NONE") != 0;
	FeathubMysqlCloseResult(result);
	return checksums;
}

/* Variables of the session by which a server knows what its replica can do. */
static void
prepare_session(MysqlConnection *conn, const MysqlDumpRequest *request)
{
	StringInfoData sql;
	int64		nanoseconds = (int64) request->heartbeat * 1000000000;

	initStringInfo(&sql);
	appendStringInfo(&sql, "SET @master_heartbeat_period = " INT64_FORMAT
					 ", @source_heartbeat_period = " INT64_FORMAT
					 ", @master_binlog_checksum = @@global.binlog_checksum"
					 ", @source_binlog_checksum = @@global.binlog_checksum"
					 ", @@session.net_write_timeout = %d",
					 nanoseconds, nanoseconds, WRITE_TIMEOUT);
	if (conn->mariadb)
	{
		appendStringInfoString(&sql, ", @mariadb_slave_capability = 4");
		if (request->gtids)
		{
			StringInfoData set;

			initStringInfo(&set);
			FeathubMysqlGtidSetAppend(&set, request->gtids);
			appendStringInfo(&sql, ", @slave_connect_state = '%s', @slave_gtid_strict_mode = 1"
							 ", @slave_gtid_ignore_duplicates = 0", set.data);
		}
	}
	else
		appendStringInfo(&sql, ", @slave_uuid = '%s', @replica_uuid = '%s'",
						 request->uuid, request->uuid);
	FeathubMysqlExecute(conn, sql.data, sql.len);
	pfree(sql.data);
}

/* A result whose rows have all been read, to read packets by. */
static void
make_result(MysqlConnection *conn)
{
	const char *sql = "SELECT 1";
	MysqlResult *result = FeathubMysqlQuery(conn, sql, strlen(sql));
	MYSQL_RES  *res = conn->res;
	char	  **row;

	/* it was answered with the statement: this does not wait */
	do
	{
		start_fetch(conn);
		while (conn->wait_events != 0)
		{
			CHECK_FOR_INTERRUPTS();
			(void) WaitLatchOrSocket(MyLatch, WL_SOCKET_READABLE | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
									 mysql_get_socket(conn->mysql), 100,
									 FEATHUB_WAIT_EVENT("FeathubMysql"));
			continue_fetch(conn, MYSQL_WAIT_READ);
		}
		row = conn->row;
	} while (row != NULL);
	if (mysql_errno(conn->mysql) != 0)
		FeathubMysqlReportError(conn, sql);
	conn->res = NULL;
	conn->reader = NULL;
	FeathubMysqlCloseResult(result);
	conn->res = res;
	conn->dumping = true;
}

/*
 * In place of the library's method that reads a row: the packet as it is.  It
 * runs on a stack of the library's, so nothing of ours may be called.
 */
static int
read_packet(MYSQL *mysql, unsigned int fields, MYSQL_ROW row, unsigned long *lengths)
{
	unsigned long len = mysql_net_read_packet(mysql);

	if (len >= PG_UINT32_MAX || len == 0)	/* packet_error has 32 bits */
		return -1;
	if (mysql->net.read_pos[0] == 254 && len <= 8)
		return 1;				/* the end */
	row[0] = (char *) mysql->net.read_pos;
	lengths[0] = len;
	return 0;
}

/* Begin to fetch; conn->row is set if wait_events is 0 then. */
static void
start_fetch(MysqlConnection *conn)
{
	const struct st_mariadb_methods *methods = conn->mysql->methods;
	struct st_mariadb_methods ours = *methods;

	conn->row = NULL;
	if (conn->dumping)
	{
		ours.db_read_one_row = read_packet;
		conn->res->eof = 0;
		conn->res->handle = conn->mysql;
		conn->mysql->status = MYSQL_STATUS_USE_RESULT;
		conn->mysql->methods = &ours;
	}
	conn->wait_events = mysql_fetch_row_start(&conn->row, conn->res);
	conn->mysql->methods = methods;
	conn->pending = conn->wait_events != 0 ? MYSQL_PENDING_FETCH : MYSQL_PENDING_NONE;
}

/* Our method is on the library's stack by now, so the table is of no interest. */
static void
continue_fetch(MysqlConnection *conn, int ready)
{
	conn->wait_events = mysql_fetch_row_cont(&conn->row, conn->res, ready);
	if (conn->wait_events == 0)
		conn->pending = MYSQL_PENDING_NONE;
}

bool
FeathubMysqlDumpRead(MysqlConnection *conn, long timeout, const char **data, Size *len)
{
	TimestampTz deadline = 0;

	if (conn->pending == MYSQL_PENDING_NONE)
		start_fetch(conn);
	while (conn->wait_events != 0)
	{
		TimestampTz now = FeathubClock();
		long		wait;
		int			events;

		if (deadline == 0)
			deadline = TimestampTzPlusMilliseconds(now, Max(timeout, 0));
		wait = TimestampDifferenceMilliseconds(now, deadline);
		events = WaitLatchOrSocket(MyLatch, WL_LATCH_SET | WL_SOCKET_READABLE | WL_TIMEOUT |
								   WL_EXIT_ON_PM_DEATH |
								   (conn->wait_events & MYSQL_WAIT_WRITE ? WL_SOCKET_WRITEABLE : 0),
								   mysql_get_socket(conn->mysql), wait,
								   FEATHUB_WAIT_EVENT("FeathubMysqlBinlog"));
		if (events & (WL_SOCKET_READABLE | WL_SOCKET_WRITEABLE))
		{
			conn->idle_since = FeathubClock();
			continue_fetch(conn, (events & WL_SOCKET_READABLE ? MYSQL_WAIT_READ : 0) |
						   (events & WL_SOCKET_WRITEABLE ? MYSQL_WAIT_WRITE : 0));
			continue;
		}
		if (FeathubClock() >=
			TimestampTzPlusMilliseconds(conn->idle_since, conn->idle_limit))
		{
			FeathubMysqlDisconnect(conn);
			ereport(ERROR,
					(errcode(ERRCODE_CONNECTION_FAILURE),
					 errmsg("foreign server \"%s\" sent no sign of life within %d seconds",
							conn->server_name, (int) (conn->idle_limit / 1000))));
		}
		return false;
	}
	if (conn->row == NULL)
		report_end(conn);
	/* also of what came while the caller was busy */
	conn->idle_since = FeathubClock();
	*data = conn->row[0];
	*len = conn->res->lengths[0];

	/* the OK byte that each event has before it */
	if (**data != 0)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_ERROR),
				 errmsg("foreign server \"%s\" sent a packet that is no event of its binary log",
						conn->server_name)));
	(*data)++;
	(*len)--;
	return true;
}

void
FeathubMysqlLacksExecuted(const char *server_name, const char *what)
{
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("foreign server \"%s\" lacks transactions that the job has applied: %s",
					server_name, what),
			 errdetail("It took over before it had them, or lost them in a crash."),
			 errhint("Let the server get them, then call feathub.resume_job. To read the table anew without them, call feathub.rewind_job with 'earliest' and feathub.resume_job.")));
}

/* Why the server sends no more. */
static void
report_end(MysqlConnection *conn)
{
	unsigned int code = mysql_errno(conn->mysql);
	char	   *message = pstrdup(mysql_error(conn->mysql));
	char	   *server_name = conn->server_name;

	message = pg_any_to_server(message, strlen(message), PG_UTF8);
	if (code == 0)
	{
		FeathubMysqlDisconnect(conn);
		ereport(ERROR,
				(errcode(ERRCODE_CONNECTION_FAILURE),
				 errmsg("connection to foreign server \"%s\" was lost: the server ended its binary log",
						server_name)));
	}
	if (code == ER_SPECIFIC_ACCESS_DENIED)
	{
		FeathubMysqlDisconnect(conn);
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("foreign server \"%s\" does not send its binary log: %s", server_name, message),
				 errhint("On the server: GRANT REPLICATION SLAVE ON *.* to the user.")));
	}
	if (code == ER_MASTER_FATAL_ERROR_READING_BINLOG && strstr(message, "same server_") != NULL)
	{
		/* of another replica, or of our own worker before: try again */
		FeathubMysqlDisconnect(conn);
		ereport(ERROR,
				(errcode(ERRCODE_CONNECTION_FAILURE),
				 errmsg("foreign server \"%s\" sends its binary log to another replica of the same number: %s",
						server_name, message),
				 errhint("Give the foreign table a server_id of its own.")));
	}
	if (code == ER_MASTER_FATAL_ERROR_READING_BINLOG && strstr(message, "AUTO_POSITION") != NULL)
	{
		/* the next try goes by file and position */
		FeathubMysqlDisconnect(conn);
		ereport(ERROR,
				(errcode(ERRCODE_CONNECTION_FAILURE),
				 errmsg("gtid_mode of foreign server \"%s\" was changed: %s", server_name, message)));
	}
	if (code == ER_MASTER_FATAL_ERROR_READING_BINLOG &&
		strstr(message, "requested to start from GTID") != NULL)
	{
		/* MariaDB: it never had it, or another in its place */
		FeathubMysqlDisconnect(conn);
		FeathubMysqlLacksExecuted(server_name, message);
	}
	if (code == ER_MASTER_FATAL_ERROR_READING_BINLOG ||
		code == ER_MASTER_HAS_PURGED_REQUIRED_GTIDS)
	{
		FeathubMysqlDisconnect(conn);
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("foreign server \"%s\" no longer has its binary log from the job's position on: %s",
						server_name, message),
				 errdetail("Changes between that position and the oldest log may be lost."),
				 errhint("To read the table anew, call feathub.rewind_job with 'earliest' and feathub.resume_job. Let the server keep its log longer (binlog_expire_logs_seconds, expire_logs_days).")));
	}
	FeathubMysqlReportError(conn, NULL);
}
