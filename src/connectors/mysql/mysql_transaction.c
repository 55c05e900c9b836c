/*
 * mysql_transaction.c
 *		Transactions on the server, tied to ours.
 *
 * The first use of a connection in a transaction begins one there, with a
 * snapshot of its own (REPEATABLE READ); each subtransaction that uses it makes
 * a savepoint.  The remote COMMIT is sent just before ours: if it fails, ours
 * is rolled back.  If our commit fails after that, or the server goes down
 * between two remote commits, the sides differ: there is no two-phase commit.
 *
 * A remote transaction that is gone (connection lost, deadlock, savepoint not
 * there) is remembered in xact_lost until ours ends: every further statement,
 * and the commit, is an error.
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "utils/timestamp.h"

#include "connectors/mysql/mysql_connector.h"
#include "core/clock.h"

/* The time that cleaning up after an error may take. */
#define CLEANUP_MS 800

static bool xact_used = false;	/* a connection was used in this transaction */

static void xact_callback(XactEvent event, void *arg);
static void subxact_callback(SubXactEvent event, SubTransactionId mySubid,
							 SubTransactionId parentSubid, void *arg);
static void commit(MysqlConnection *conn, void *arg);
static void refuse_prepare(MysqlConnection *conn, void *arg);
static void roll_back(MysqlConnection *conn, void *arg);
static void finish(MysqlConnection *conn, void *arg);
static void release_savepoint(MysqlConnection *conn, void *arg);
static void roll_back_to_savepoint(MysqlConnection *conn, void *arg);
static void report_lost(MysqlConnection *conn);

void
FeathubMysqlTransactionInit(void)
{
	RegisterXactCallback(xact_callback, NULL);
	RegisterSubXactCallback(subxact_callback, NULL);
}

void
FeathubMysqlXactUsed(void)
{
	xact_used = true;
}

/* Be in a transaction, at the savepoint of the current subtransaction. */
void
FeathubMysqlBegin(MysqlConnection *conn)
{
	static const char *const begin = "START TRANSACTION WITH CONSISTENT SNAPSHOT";
	int			level = GetCurrentTransactionNestLevel();

	if (conn->xact_depth == 0)
	{
		FeathubMysqlExecute(conn, begin, strlen(begin));
		conn->xact_depth = 1;
	}
	while (conn->xact_depth < level)
	{
		char		sql[64];

		snprintf(sql, sizeof(sql), "SAVEPOINT s%d", conn->xact_depth + 1);
		FeathubMysqlExecute(conn, sql, strlen(sql));
		conn->xact_depth++;
	}
}

static void
xact_callback(XactEvent event, void *arg)
{
	TimestampTz deadline;

	if (!xact_used)
		return;
	switch (event)
	{
		case XACT_EVENT_PRE_COMMIT:
		case XACT_EVENT_PARALLEL_PRE_COMMIT:
			FeathubMysqlForEach(commit, NULL);
			break;
		case XACT_EVENT_PRE_PREPARE:
			FeathubMysqlForEach(refuse_prepare, NULL);
			break;
		case XACT_EVENT_ABORT:
		case XACT_EVENT_PARALLEL_ABORT:
			deadline = TimestampTzPlusMilliseconds(FeathubClock(), CLEANUP_MS);
			FeathubMysqlForEach(roll_back, &deadline);
			FeathubMysqlForEach(finish, NULL);
			xact_used = false;
			break;
		case XACT_EVENT_COMMIT:
		case XACT_EVENT_PARALLEL_COMMIT:
		case XACT_EVENT_PREPARE:
			FeathubMysqlForEach(finish, NULL);
			xact_used = false;
			break;
	}
}

static void
subxact_callback(SubXactEvent event, SubTransactionId mySubid,
				 SubTransactionId parentSubid, void *arg)
{
	TimestampTz deadline;

	if (!xact_used)
		return;
	if (event == SUBXACT_EVENT_PRE_COMMIT_SUB)
		FeathubMysqlForEach(release_savepoint, NULL);
	else if (event == SUBXACT_EVENT_ABORT_SUB)
	{
		deadline = TimestampTzPlusMilliseconds(FeathubClock(), CLEANUP_MS);
		FeathubMysqlForEach(roll_back_to_savepoint, &deadline);
	}
}

static void
commit(MysqlConnection *conn, void *arg)
{
	if (conn->xact_depth == 0)
		return;
	report_lost(conn);
	FeathubMysqlExecute(conn, "COMMIT", strlen("COMMIT"));
	conn->xact_depth = 0;
}

static void
refuse_prepare(MysqlConnection *conn, void *arg)
{
	if (conn->xact_depth > 0)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot PREPARE a transaction that has operated on foreign server \"%s\"",
						conn->server_name)));
}

static void
roll_back(MysqlConnection *conn, void *arg)
{
	TimestampTz deadline = *(TimestampTz *) arg;

	if (conn->mysql == NULL)
		return;
	if (!FeathubMysqlRecover(conn, deadline) ||
		(conn->xact_depth > 0 && !FeathubMysqlExecuteQuiet(conn, "ROLLBACK", deadline)))
		FeathubMysqlDisconnect(conn);
}

/* The transaction is over. */
static void
finish(MysqlConnection *conn, void *arg)
{
	conn->xact_depth = 0;
	conn->xact_lost = false;
	if (conn->mysql && (conn->invalidated || !conn->keep))
		FeathubMysqlDisconnect(conn);
}

static void
release_savepoint(MysqlConnection *conn, void *arg)
{
	int			level = GetCurrentTransactionNestLevel();
	char		sql[64];

	if (conn->xact_depth < level)
		return;
	report_lost(conn);
	snprintf(sql, sizeof(sql), "RELEASE SAVEPOINT s%d", level);
	FeathubMysqlExecute(conn, sql, strlen(sql));
	conn->xact_depth--;
}

static void
roll_back_to_savepoint(MysqlConnection *conn, void *arg)
{
	TimestampTz deadline = *(TimestampTz *) arg;
	int			level = GetCurrentTransactionNestLevel();
	char		sql[64];

	/* a connection that was not made, or a transaction that did not begin */
	if (conn->xact_depth < level)
	{
		/* what was sent before it began is still to be answered */
		if (conn->mysql && conn->pending != MYSQL_PENDING_NONE && !conn->sent &&
			!FeathubMysqlRecover(conn, deadline))
			FeathubMysqlDisconnect(conn);
		return;
	}
	snprintf(sql, sizeof(sql), "ROLLBACK TO SAVEPOINT s%d", level);
	if (conn->mysql && !conn->xact_lost)
	{
		if (!FeathubMysqlRecover(conn, deadline))
			FeathubMysqlDisconnect(conn);
		else if (!FeathubMysqlExecuteQuiet(conn, sql, deadline))
			conn->xact_lost = true;
	}
	conn->xact_depth--;
}

static void
report_lost(MysqlConnection *conn)
{
	if (conn->xact_lost || conn->mysql == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_CONNECTION_FAILURE),
				 errmsg("the transaction on foreign server \"%s\" was lost", conn->server_name)));
}
