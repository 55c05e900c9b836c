/*
 * mysql_connection.c
 *		The cache of connections: one for each user mapping that is in use.
 *
 * An entry of the cache is never removed, so pointers to it stay valid; what it
 * points to comes and goes with the connection.
 */
#include "postgres.h"

#include "connectors/mysql/mysql_library.h"

#include <sys/socket.h>

#include "access/xact.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

#include "connectors/mysql/mysql_connector.h"

/*
 * Settings of a session that feathub relies on, whatever the server's own are.
 * No backslash of ours is to be literal, no division or date to be lenient, no
 * unsigned difference to be an error; a client that pauses (a cursor) must not
 * lose its connection.  MariaDB since 11.6.2 would refuse to lock a row that
 * changed since the snapshot, where we want its newest version as ever.
 */
#define SESSION_SETTINGS \
	"SET SESSION character_set_client = utf8mb4, character_set_results = utf8mb4," \
	" character_set_connection = utf8mb4, collation_connection = utf8mb4_bin," \
	" sql_mode = 'STRICT_ALL_TABLES,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION," \
	"NO_UNSIGNED_SUBTRACTION,NO_ZERO_DATE,NO_ZERO_IN_DATE,NO_AUTO_VALUE_ON_ZERO'," \
	" time_zone = '+00:00', sql_auto_is_null = 0, sql_safe_updates = 0," \
	" sql_select_limit = DEFAULT, autocommit = 1," \
	" wait_timeout = 2147483, net_write_timeout = 86400, net_read_timeout = 86400" \
	"/*M!110602 , innodb_snapshot_isolation = 0 */"

static HTAB *connections = NULL;	/* of MysqlConnection, by user mapping */

static void init_cache(void);
static void check_password(UserMapping *user, ForeignServer *server, MysqlOptions *options);
static void prepare_connection(MysqlConnection *conn, ForeignServer *server,
							   UserMapping *user, MysqlOptions *options);
static void open_connection(MysqlConnection *conn);
static void private_released(void *arg);
static void configure_session(MysqlConnection *conn);
static MysqlOptions *copy_options(const MysqlOptions *options);
static void options_changed(Datum arg, int cacheid, uint32 hashvalue);

MysqlConnection *
FeathubMysqlConnect(ForeignServer *server, UserMapping *user, MysqlOptions *options)
{
	MysqlConnection *conn;
	bool		found;

	if (connections == NULL)
		init_cache();
	check_password(user, server, options);

	conn = hash_search(connections, &user->umid, HASH_ENTER, &found);
	if (!found)
	{
		memset(conn, 0, sizeof(MysqlConnection));
		conn->umid = user->umid;
	}

	/* before anything can fail: the transaction's end looks at all entries */
	FeathubMysqlXactUsed();
	if (conn->xact_depth == 0 && conn->mysql &&
		(conn->invalidated || conn->pending != MYSQL_PENDING_NONE))
		FeathubMysqlDisconnect(conn);
	if (conn->xact_depth > 0)
	{
		if (conn->mysql == NULL || conn->xact_lost)
			ereport(ERROR,
					(errcode(ERRCODE_CONNECTION_FAILURE),
					 errmsg("the transaction on foreign server \"%s\" was lost", conn->server_name),
					 errhint("Roll the transaction back and try again.")));
		FeathubMysqlBegin(conn);
		return conn;
	}

	if (conn->mysql)
	{
		/* it may have died while nobody used it */
		if (FeathubMysqlTry(conn, "START TRANSACTION WITH CONSISTENT SNAPSHOT"))
			conn->xact_depth = 1;
		else
			FeathubMysqlDisconnect(conn);
	}
	if (conn->mysql == NULL)
	{
		prepare_connection(conn, server, user, options);
		open_connection(conn);
	}
	FeathubMysqlBegin(conn);
	return conn;
}

MysqlConnection *
FeathubMysqlPrivateMake(ForeignServer *server, UserMapping *user, MysqlOptions *options)
{
	MysqlConnection *conn = palloc0(sizeof(MysqlConnection));
	MemoryContextCallback *callback = palloc(sizeof(MemoryContextCallback));

	if (connections == NULL)
		init_cache();
	check_password(user, server, options);
	conn->umid = user->umid;
	callback->func = private_released;
	callback->arg = conn;
	MemoryContextRegisterResetCallback(CurrentMemoryContext, callback);
	prepare_connection(conn, server, user, options);
	return conn;
}

void
FeathubMysqlPrivateOpen(MysqlConnection *conn)
{
	static const char *const isolation =
		"SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED";

	Assert(conn->mysql == NULL && conn->options != NULL);
	open_connection(conn);
	FeathubMysqlExecute(conn, isolation, strlen(isolation));
}

/* The memory of a connection that is not in the cache goes. */
static void
private_released(void *arg)
{
	MysqlConnection *conn = arg;

	FeathubMysqlDisconnect(conn);
	if (conn->context)
		MemoryContextDelete(conn->context);
	if (conn->server_name)
		pfree(conn->server_name);
	conn->context = NULL;
	conn->server_name = NULL;
}

/* Close a connection, whatever it is doing.  Never fails, never waits. */
void
FeathubMysqlDisconnect(MysqlConnection *conn)
{
	MYSQL	   *mysql = conn->mysql;

	if (conn->xact_depth > 0)
		conn->xact_lost = true;
	conn->reader = NULL;
	conn->query = NULL;
	conn->mysql = NULL;
	if (mysql)
	{
		/* the library would read the rest of the rows, and write a farewell */
		if (conn->pending != MYSQL_PENDING_NONE || conn->res)
			(void) shutdown(mysql_get_socket(mysql), SHUT_RDWR);
		mysql->status = MYSQL_STATUS_READY;
		if (conn->res)
			mysql_free_result(conn->res);
		mysql_close(mysql);
	}
	/* what is left of it is memory only */
	if (conn->stmt)
		mysql_stmt_close(conn->stmt);
	conn->stmt = NULL;
	conn->stmt_sql = NULL;
	conn->res = NULL;
	conn->dumping = false;
	conn->pending = MYSQL_PENDING_NONE;
	conn->wait_events = 0;
	conn->sent = false;
	conn->invalidated = false;
	if (conn->context)
		MemoryContextReset(conn->context);
	conn->options = NULL;
}

bool
FeathubMysqlKill(MysqlConnection *conn, TimestampTz deadline)
{
	MysqlConnection killer = {0};
	char		sql[64];
	bool		ok;

	if (conn->mysql == NULL || conn->options == NULL)
		return false;
	killer.server_name = conn->server_name;
	killer.context = AllocSetContextCreate(TopMemoryContext, "feathub mysql kill",
										   ALLOCSET_SMALL_SIZES);
	ok = FeathubMysqlOpen(&killer, conn->options, deadline, true);
	if (ok)
	{
		snprintf(sql, sizeof(sql), "KILL QUERY %lu", conn->thread_id);
		ok = FeathubMysqlExecuteQuiet(&killer, sql, deadline);
	}
	FeathubMysqlDisconnect(&killer);
	MemoryContextDelete(killer.context);
	return ok;
}

void
FeathubMysqlForEach(void (*function) (MysqlConnection *conn, void *arg), void *arg)
{
	HASH_SEQ_STATUS status;
	MysqlConnection *conn;

	if (connections == NULL)
		return;
	hash_seq_init(&status, connections);
	PG_TRY();
	{
		while ((conn = hash_seq_search(&status)) != NULL)
			function(conn, arg);
	}
	PG_CATCH();
	{
		hash_seq_term(&status);
		PG_RE_THROW();
	}
	PG_END_TRY();
}

static void
init_cache(void)
{
	HASHCTL		ctl = {.keysize = sizeof(Oid), .entrysize = sizeof(MysqlConnection)};

	if (mysql_library_init(0, NULL, NULL) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_ERROR),
				 errmsg("could not initialize the MySQL client library")));
	CacheRegisterSyscacheCallback(FOREIGNSERVEROID, options_changed, (Datum) 0);
	CacheRegisterSyscacheCallback(USERMAPPINGOID, options_changed, (Datum) 0);
	FeathubMysqlTransactionInit();
	connections = hash_create("feathub mysql connections", 8, &ctl, HASH_ELEM | HASH_BLOBS);
}

/*
 * As postgres_fdw: who is not a superuser logs in by a password of his own, not
 * by what the server's operating system user may do.  A socket tells the remote
 * side that very user, so it does not count, whatever the password.
 */
static void
check_password(UserMapping *user, ForeignServer *server, MysqlOptions *options)
{
	if (superuser_arg(user->userid) || !options->password_required)
		return;
	if (options->socket)
		ereport(ERROR,
				(errcode(ERRCODE_S_R_E_PROHIBITED_SQL_STATEMENT_ATTEMPTED),
				 errmsg("a Unix socket is not allowed for role \"%s\" on foreign server \"%s\"",
						GetUserNameFromId(user->userid, false), server->servername),
				 errhint("A superuser must set option password_required 'false' in the user mapping.")));
	if (options->password == NULL || options->password[0] == '\0')
		ereport(ERROR,
				(errcode(ERRCODE_S_R_E_PROHIBITED_SQL_STATEMENT_ATTEMPTED),
				 errmsg("password is required for role \"%s\" on foreign server \"%s\"",
						GetUserNameFromId(user->userid, false), server->servername),
				 errdetail("Non-superusers must provide a password in the user mapping.")));
}

/* What a connection needs to know of its server; in a transaction. */
static void
prepare_connection(MysqlConnection *conn, ForeignServer *server, UserMapping *user,
				   MysqlOptions *options)
{
	MemoryContext oldcontext;

	if (conn->context == NULL)
		conn->context = AllocSetContextCreate(TopMemoryContext, "feathub mysql connection",
											  ALLOCSET_SMALL_SIZES);
	if (conn->server_name)
		pfree(conn->server_name);
	conn->server_name = NULL;
	conn->server_name = MemoryContextStrdup(TopMemoryContext, server->servername);
	conn->serverid = server->serverid;
	conn->xact_lost = false;
	conn->invalidated = false;
	conn->keep = options->keep_connections;
	conn->network_timeout = 0;
	conn->max_packet = 0;
	conn->server_hash = GetSysCacheHashValue1(FOREIGNSERVEROID,
											  ObjectIdGetDatum(server->serverid));
	conn->mapping_hash = GetSysCacheHashValue1(USERMAPPINGOID, ObjectIdGetDatum(user->umid));
	oldcontext = MemoryContextSwitchTo(conn->context);
	conn->options = copy_options(options);
	MemoryContextSwitchTo(oldcontext);
}

static void
open_connection(MysqlConnection *conn)
{
	if (!FeathubMysqlOpen(conn, conn->options, 0, false))
	{
		char	   *message = pstrdup(mysql_error(conn->mysql));

		message = pg_any_to_server(message, strlen(message), PG_UTF8);
		FeathubMysqlDisconnect(conn);
		ereport(ERROR,
				(errcode(ERRCODE_FDW_UNABLE_TO_ESTABLISH_CONNECTION),
				 errmsg("could not connect to foreign server \"%s\": %s",
						conn->server_name, message)));
	}
	configure_session(conn);
}

/* Make the session what feathub relies on, and learn what the server is. */
static void
configure_session(MysqlConnection *conn)
{
	static const char *const isolation =
		"SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ";
	const char *version = mysql_get_server_info(conn->mysql);
	char	   *sql;
	MysqlResult *result;
	char	  **values;
	unsigned long *lengths;
	unsigned long extensions = 0;

	conn->thread_id = mysql_thread_id(conn->mysql);
	conn->version = mysql_get_server_version(conn->mysql);
	conn->mariadb = strstr(version, "MariaDB") != NULL;
	conn->network_timeout = conn->options->network_timeout;
	if (!conn->mariadb && conn->version < 80000)
	{
		char	   *copy = pstrdup(version);

		FeathubMysqlDisconnect(conn);
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("foreign server \"%s\" runs MySQL %s, which is not supported",
						conn->server_name, copy),
				 errdetail("MySQL 8.0 or MariaDB 10.6 is needed at least.")));
	}

	/* these are numbered from the 33rd on */
	(void) mariadb_get_infov(conn->mysql, MARIADB_CONNECTION_EXTENDED_SERVER_CAPABILITIES,
							 &extensions);
	conn->bulk = conn->mariadb && (extensions & (MARIADB_CLIENT_STMT_BULK_OPERATIONS >> 32)) ?
		MYSQL_BULK_UNKNOWN : MYSQL_BULK_REFUSED;

	/* MariaDB would make a join of a long IN list, and read the whole table for it */
	sql = psprintf("%s, %s = %d%s", SESSION_SETTINGS,
				   conn->mariadb ? "max_statement_time" : "max_execution_time",
				   conn->options->query_timeout * (conn->mariadb ? 1 : 1000),
				   conn->mariadb ? ", in_predicate_conversion_threshold = 0" : "");
	FeathubMysqlExecute(conn, sql, strlen(sql));
	FeathubMysqlExecute(conn, isolation, strlen(isolation));

	sql = "SELECT @@max_allowed_packet";
	result = FeathubMysqlQuery(conn, sql, strlen(sql));
	if (FeathubMysqlFetch(result, &values, &lengths) && values[0])
		conn->max_packet = strtou64(values[0], NULL, 10);
	while (FeathubMysqlFetch(result, &values, &lengths))
		;
	FeathubMysqlCloseResult(result);
}

/* Options with strings of their own, in the current context. */
static MysqlOptions *
copy_options(const MysqlOptions *options)
{
	MysqlOptions *copy = palloc(sizeof(MysqlOptions));

	memcpy(copy, options, sizeof(MysqlOptions));
	for (const FeathubOption *option = FeathubMysqlOptions; option->name; option++)
	{
		char	  **field = (char **) ((char *) copy + option->offset);

		if (option->type == FEATHUB_OPTION_STRING &&
			(option->where & (FEATHUB_ON_SERVER | FEATHUB_ON_USER_MAPPING)) && *field)
			*field = pstrdup(*field);
	}
	return copy;
}

/* A server or user mapping was altered or dropped: connections by it are stale. */
static void
options_changed(Datum arg, int cacheid, uint32 hashvalue)
{
	HASH_SEQ_STATUS status;
	MysqlConnection *conn;

	hash_seq_init(&status, connections);
	while ((conn = hash_seq_search(&status)) != NULL)
	{
		if (conn->mysql == NULL)
			continue;
		if (hashvalue == 0 ||
			(cacheid == FOREIGNSERVEROID && conn->server_hash == hashvalue) ||
			(cacheid == USERMAPPINGOID && conn->mapping_hash == hashvalue))
			conn->invalidated = true;
	}
}
