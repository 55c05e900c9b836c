/*
 * mysql_cdc_xa.c
 *		XA transactions in a server's binary log.
 *
 *		XA PREPARE: rows ... (other transactions) ... XA COMMIT or XA ROLLBACK: a name
 *
 * The log has the rows where they were prepared, and they are to be applied where
 * they are committed, which may be much later.  A job's position has the
 * transactions that are prepared there, with their places in the log.  Rows are
 * kept in memory where that is possible (mysql_cdc_queue.c); here they are read
 * once more, by a connection of its own, while the log itself waits.
 *
 * One that was prepared before the job began is not known.  When it is committed,
 * its place is looked for in the log, from the file at hand backwards:
 *
 *		(not known) -> searching, file by file -> (place known) -> reading -> done
 *
 * The same is done on another server, whose places are others.
 */
#include "postgres.h"

#include <ctype.h>

#include "utils/memutils.h"

#include "connectors/mysql/mysql_binlog_client.h"
#include "connectors/mysql/mysql_cdc.h"

/* Where a file of a log begins. */
#define FILE_BEGIN 4

struct MysqlCdcAgain
{
	MemoryContext context;		/* all of it */
	MemoryContext reading;		/* connection and decoder */
	MysqlConnection *conn;		/* NULL: not opened yet */
	MysqlBinlogReader *binlog;
	bool		in_event;		/* the event is not used up */
	bool		searching;		/* for the place */
	char	   *xid;			/* "": committed in one phase */
	char	   *file;			/* what is read */
	uint64		position;		/* where it begins */
	uint64		found;			/* in file; 0: not there */
	uint64		begun;			/* where the transaction that is read begins */
	char	   *until_file;		/* the search ends here */
	uint64		until;
};

static void search(MysqlCdcReader *reader, MysqlBinlogItemType type, const MysqlBinlogItem *item);
static void end_file(MysqlCdcReader *reader);
static void replay(MysqlCdcReader *reader, MysqlBinlogItemType type, const MysqlBinlogItem *item);
static bool begin_reading(MysqlCdcReader *reader);

/* Names */

char *
FeathubMysqlCdcXid(MysqlBinlogString text)
{
	const char *p = text.data;
	const char *end = text.data + text.len;
	StringInfoData xid;
	int			parts = 0;

	initStringInfo(&xid);
	while (parts < 2 && end - p >= 3 && (*p == 'X' || *p == 'x') && p[1] == '\'')
	{
		for (p += 2; p < end && isxdigit((unsigned char) *p); p++)
			appendStringInfoChar(&xid, pg_tolower((unsigned char) *p));
		if (p == end || *p != '\'')
			return NULL;
		appendStringInfoChar(&xid, '.');
		parts++;
		p++;
		if (p < end && *p == ',')
			p++;
	}
	if (parts == 0)
		return NULL;
	if (parts == 1)
		appendStringInfoChar(&xid, '.');
	if (p == end)
		appendStringInfoChar(&xid, '1');
	for (; p < end; p++)
	{
		if (!isdigit((unsigned char) *p))
			return NULL;
		appendStringInfoChar(&xid, *p);
	}
	return xid.data;
}

char *
FeathubMysqlCdcXidText(const char *xid)
{
	int			global = strcspn(xid, ".");
	int			branch;

	if (xid[global] == '\0')
		return pstrdup("of one phase");
	branch = strcspn(xid + global + 1, ".");
	return psprintf("X'%.*s',X'%.*s',%s", global, xid, branch, xid + global + 1,
					xid + global + branch + 2);
}

/* Lists */

MysqlCdcXa *
FeathubMysqlCdcXaMake(const char *xid, const char *file, uint64 position)
{
	MysqlCdcXa *xa = palloc0(sizeof(MysqlCdcXa));

	xa->xid = pstrdup(xid);
	xa->file = file ? pstrdup(file) : NULL;
	xa->position = position;
	return xa;
}

void
FeathubMysqlCdcXaFree(MysqlCdcXa *xa)
{
	pfree(xa->xid);
	if (xa->file)
		pfree(xa->file);
	pfree(xa);
}

MysqlCdcXa *
FeathubMysqlCdcXaFind(const List *list, const char *xid)
{
	ListCell   *lc;

	foreach(lc, list)
	{
		MysqlCdcXa *xa = lfirst(lc);

		if (strcmp(xa->xid, xid) == 0)
			return xa;
	}
	return NULL;
}

List *
FeathubMysqlCdcXaRemove(List *list, const char *xid)
{
	MysqlCdcXa *xa = FeathubMysqlCdcXaFind(list, xid);

	if (xa == NULL)
		return list;
	list = list_delete_ptr(list, xa);
	FeathubMysqlCdcXaFree(xa);
	return list;
}

List *
FeathubMysqlCdcXaCopy(const List *list)
{
	List	   *copy = NIL;
	ListCell   *lc;

	foreach(lc, list)
	{
		MysqlCdcXa *xa = lfirst(lc);

		copy = lappend(copy, FeathubMysqlCdcXaMake(xa->xid, xa->file, xa->position));
	}
	return copy;
}

/* Is it hexadecimal.hexadecimal.number? */
static bool
is_xid(const char *text)
{
	static const char *const digits[] = {"0123456789abcdef", "0123456789abcdef", "0123456789"};

	for (int i = 0; i < lengthof(digits); i++)
	{
		Size		len = strspn(text, digits[i]);

		if (text[len] != (i < 2 ? '.' : '\0') || (i == 2 && len == 0))
			return false;
		text += len + 1;
	}
	return true;
}

/* xid@file:position or xid, with commas in between */
bool
FeathubMysqlCdcXaParse(const char *text, List **list)
{
	*list = NIL;
	while (*text)
	{
		Size		len = strcspn(text, ",");
		char	   *xid = pnstrdup(text, len);
		char	   *at = strchr(xid, '@');
		char	   *file = NULL;
		uint64		position = 0;

		if (at)
		{
			*at = '\0';
			if (!FeathubMysqlCdcPlaceParse(at + 1, &file, &position))
				return false;
		}
		if (!is_xid(xid))
			return false;
		*list = lappend(*list, FeathubMysqlCdcXaMake(xid, file, position));
		text += len;
		if (*text == ',')
			text++;
	}
	return *list != NIL;
}

void
FeathubMysqlCdcXaAppend(StringInfo out, const List *list)
{
	ListCell   *lc;

	foreach(lc, list)
	{
		MysqlCdcXa *xa = lfirst(lc);

		if (foreach_current_index(lc) > 0)
			appendStringInfoChar(out, ',');
		appendStringInfoString(out, xa->xid);
		if (xa->file)
			appendStringInfo(out, "@%s:" UINT64_FORMAT, xa->file, xa->position);
	}
}

/*
 * MariaDB logs XA COMMIT before its storage engine knows of it, so a copy of the
 * table that begins behind it may not see it yet.  Until it does, the server has
 * the transaction among those that are prepared.
 */
bool
FeathubMysqlCdcXaVisible(MysqlCdcReader *reader, MysqlConnection *conn)
{
	const char *sql = "XA RECOVER FORMAT = 'SQL'";
	MysqlResult *result;
	char	  **values;
	unsigned long *lengths;
	bool		visible = true;

	if (reader->xa_invisible == NIL)
		return true;
	result = FeathubMysqlQuery(conn, sql, strlen(sql));
	while (FeathubMysqlFetch(result, &values, &lengths))
	{
		MysqlBinlogString text = {values[3], lengths[3]};
		char	   *xid = values[3] ? FeathubMysqlCdcXid(text) : NULL;
		ListCell   *lc;

		foreach(lc, reader->xa_invisible)
			if (xid && strcmp(lfirst(lc), xid) == 0)
				visible = false;
	}
	FeathubMysqlCloseResult(result);
	if (visible)
	{
		list_free_deep(reader->xa_invisible);
		reader->xa_invisible = NIL;
	}
	return visible;
}

/* Reading rows once more */

void
FeathubMysqlCdcAgainStart(MysqlCdcReader *reader, const char *xid, const char *file,
						  uint64 position)
{
	MemoryContext context = AllocSetContextCreate(reader->stream->context,
												  "feathub mysql XA transaction",
												  ALLOCSET_SMALL_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	MysqlCdcAgain *again = palloc0(sizeof(MysqlCdcAgain));

	again->context = context;
	again->xid = pstrdup(xid);
	again->searching = file == NULL;
	again->file = pstrdup(file ? file : reader->transaction->file);
	again->position = file ? position : FILE_BEGIN;
	again->until_file = pstrdup(reader->transaction->file);
	again->until = reader->transaction->start;
	reader->again = again;
	MemoryContextSwitchTo(old);
	if (again->searching)
		ereport(LOG,
				(errmsg("looking for XA transaction %s, which was prepared before the job began, in the binary log of foreign server \"%s\"",
						FeathubMysqlCdcXidText(xid), reader->stream->rel->server->servername)));
}

/* Nothing is read any more. */
static void
end_reading(MysqlCdcAgain *again)
{
	if (again->reading)
		MemoryContextDelete(again->reading);
	again->reading = NULL;
	again->conn = NULL;
	again->binlog = NULL;
	again->in_event = false;
}

bool
FeathubMysqlCdcAgainRead(MysqlCdcReader *reader, long timeout)
{
	MysqlCdcAgain *again = reader->again;
	const char *data;
	Size		len;

	if (again->conn == NULL && !begin_reading(reader))
		return true;
	if (!FeathubMysqlDumpRead(again->conn, timeout, &data, &len))
		return false;
	FeathubMysqlBinlogFeed(again->binlog, data, len);
	again->in_event = true;
	(void) FeathubMysqlCdcAgainContinue(reader);
	return true;
}

bool
FeathubMysqlCdcAgainContinue(MysqlCdcReader *reader)
{
	MysqlCdcAgain *again = reader->again;
	MysqlBinlogItem item;
	MysqlBinlogItemType type;

	if (!again->in_event)
		return false;
	reader->full = false;
	while ((type = FeathubMysqlBinlogNext(again->binlog, &item)) != MYSQL_BINLOG_END)
	{
		if (type == MYSQL_BINLOG_ERROR)
			FeathubMysqlCdcReaderStopDamaged(reader, again->binlog);
		else if (again->searching)
			search(reader, type, &item);
		else
			replay(reader, type, &item);
		if (reader->again == NULL || reader->full)
			return true;
		if (reader->stop.message)
			break;
	}
	again->in_event = false;
	if (again->searching && reader->stop.message == NULL)
	{
		const MysqlBinlogPosition *at = FeathubMysqlBinlogAt(again->binlog);

		if (strcmp(at->file, again->file) != 0 ||
			(strcmp(at->file, again->until_file) == 0 && at->event_position >= again->until))
			end_file(reader);
	}
	return true;
}

/* Is the place at hand that of the transaction's last XA PREPARE? */
static void
search(MysqlCdcReader *reader, MysqlBinlogItemType type, const MysqlBinlogItem *item)
{
	MysqlCdcAgain *again = reader->again;
	bool		prepared = type == MYSQL_BINLOG_PREPARE;
	char	   *xid;

	if (type == MYSQL_BINLOG_BEGIN)
		again->begun = item->transaction->start_position;
	if (!prepared && (type != MYSQL_BINLOG_QUERY || item->xid.len == 0))
		return;
	xid = FeathubMysqlCdcXid(item->xid);
	/* one of the same name may have ended before */
	if (xid && strcmp(xid, again->xid) == 0 &&
		(strcmp(again->file, again->until_file) != 0 || again->begun < again->until))
		again->found = prepared ? again->begun : 0;
}

/*
 * The file of the log before this one, palloc'd, or NULL: there is none.  "known"
 * is set if the server has this one.
 */
static char *
file_before(MysqlConnection *conn, const char *file, bool *known)
{
	const char *sql = "SHOW BINARY LOGS";
	MysqlResult *result = FeathubMysqlQuery(conn, sql, strlen(sql));
	char	   *before = NULL;
	char	  **values;
	unsigned long *lengths;

	*known = false;
	while (FeathubMysqlFetch(result, &values, &lengths))
	{
		if (strcmp(values[0], file) == 0)
			*known = true;
		else if (!*known)
			before = pstrdup(values[0]);
	}
	FeathubMysqlCloseResult(result);
	return *known ? before : NULL;
}

/* A file was searched: read from the place that was found, or go on before it. */
static void
end_file(MysqlCdcReader *reader)
{
	MysqlCdcAgain *again = reader->again;
	MemoryContext old;
	char	   *before;
	bool		known;

	end_reading(again);
	if (again->found > 0)
	{
		again->searching = false;
		again->position = again->found;
		return;
	}
	before = file_before(reader->layouts->conn, again->file, &known);
	if (before == NULL)
	{
		const MysqlBinlogPosition *at = FeathubMysqlBinlogAt(reader->binlog);

		FeathubMysqlCdcReaderStop(reader, psprintf("XA transaction %s, which is committed here, was prepared before the job began, and the server no longer has the log of that time",
												   FeathubMysqlCdcXidText(again->xid)),
								  psprintf("To read the table anew, call feathub.rewind_job with 'earliest' and feathub.resume_job; to go on without what it may have changed, rewind to '%s:" UINT64_FORMAT "'.",
										   at->file, at->next_position));
		return;
	}
	old = MemoryContextSwitchTo(again->context);
	pfree(again->file);
	again->file = pstrdup(before);
	MemoryContextSwitchTo(old);
	pfree(before);
}

/* Items of the transaction, as if they came now; reader->again is NULL at its end. */
static void
replay(MysqlCdcReader *reader, MysqlBinlogItemType type, const MysqlBinlogItem *item)
{
	MysqlCdcAgain *again = reader->again;
	char	   *xid = "";

	switch (type)
	{
		case MYSQL_BINLOG_BEGIN:
			again->begun = item->transaction->start_position;
			break;
		case MYSQL_BINLOG_TABLE:
		case MYSQL_BINLOG_ROW:
		case MYSQL_BINLOG_SAVEPOINT:
		case MYSQL_BINLOG_ROLLBACK_TO:
			if (again->begun == again->position)
				FeathubMysqlCdcReaderChange(reader, type, item);
			break;
		case MYSQL_BINLOG_PREPARE:
			xid = FeathubMysqlCdcXid(item->xid);
			/* FALLTHROUGH */
		case MYSQL_BINLOG_COMMIT:
		case MYSQL_BINLOG_ROLLBACK:
			if (again->begun == again->position && xid && strcmp(xid, again->xid) == 0)
			{
				reader->again = NULL;
				end_reading(again);
				MemoryContextDelete(again->context);
			}
			else
				FeathubMysqlCdcReaderStop(reader, psprintf("XA transaction %s, which is committed here, is not at position " UINT64_FORMAT " of binary log \"%s\", where it was prepared",
														   FeathubMysqlCdcXidText(again->xid), again->position, again->file),
										  "The log is another one. To read the table anew, call feathub.rewind_job with 'earliest' and feathub.resume_job.");
			break;
		default:
			break;
	}
}

/* Ask for the log from a place on; false if the job has to stop. */
static bool
begin_reading(MysqlCdcReader *reader)
{
	MysqlCdcAgain *again = reader->again;
	FeathubRelation *rel = reader->stream->rel;
	MysqlOptions *options = rel->options;
	MysqlDumpRequest request = {0};
	MysqlBinlogOptions binlog = {.verify = true};
	MemoryContext old;
	bool		known;
	char	   *before = file_before(reader->layouts->conn, again->file, &known);

	if (before)
		pfree(before);
	if (!known)
	{
		FeathubMysqlCdcReaderStop(reader, psprintf("XA transaction %s, which is committed here, was prepared in binary log \"%s\", which the server no longer has",
												   FeathubMysqlCdcXidText(again->xid), again->file),
								  "To read the table anew, call feathub.rewind_job with 'earliest' and feathub.resume_job. Let the server keep its log longer (binlog_expire_logs_seconds, expire_logs_days).");
		return false;
	}
	again->reading = AllocSetContextCreate(again->context, "feathub mysql XA log",
										   ALLOCSET_DEFAULT_SIZES);
	old = MemoryContextSwitchTo(again->reading);
	again->conn = FeathubMysqlPrivateMake(rel->server, rel->user, options);
	FeathubMysqlPrivateOpen(again->conn);
	request.server_id = reader->again_id;
	request.uuid = reader->again_uuid;
	request.heartbeat = options->heartbeat_interval;
	request.file = again->file;
	request.position = again->position;
	binlog.checksum = FeathubMysqlDumpStart(again->conn, &request);
	binlog.mariadb = again->conn->mariadb;
	again->binlog = FeathubMysqlBinlogMake(&binlog);
	MemoryContextSwitchTo(old);
	return true;
}
