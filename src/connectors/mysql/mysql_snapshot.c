/*
 * mysql_snapshot.c
 *		The first copy of a table, in chunks by its key, while its log is read.
 *
 * No lock is taken for longer than a statement, and the copy can stop and go on
 * behind any row.  A chunk is read as of a place in the log, "high"; its rows
 * are handed out when the log was read up to there, and what the log has behind
 * that place is newer.
 *
 * MariaDB tells the place that belongs to a transaction's snapshot, so a chunk
 * is exact.  MySQL does not; there, the transactions that a chunk's query may or
 * may not have seen are a window: those not in gtid_executed before the query,
 * up to the end of the log after it.  A row that one of them changed is dropped
 * from the chunk, as the log has it.  (The watermarks of DBLog, without writing
 * to the source.)  A transaction is sent to replicas before others see it, so
 * the window must not begin before all that was read of the log is visible.
 * Without GTIDs, the query waits for the locks of such transactions.
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "miscadmin.h"
#include "utils/memutils.h"

#include "connectors/mysql/mysql_cdc.h"
#include "connectors/mysql/mysql_deparse.h"

/* Bytes after which a chunk ends early. */
#define CHUNK_BYTES (16 * 1024 * 1024)

struct MysqlSnapshot
{
	FeathubStream *stream;
	MysqlCdcTable *table;
	MysqlRecords *records;
	char	   *select;			/* SELECT ... FROM ... */
	int		   *key_columns;	/* which of the records' columns are the key's */
	MemoryContext spent;		/* of chunks whose rows are still in use */
	MemoryContext context;		/* of the chunk: all below */

	bool		pending;
	char	   *file;			/* high */
	uint64		position;
	MysqlGtidSet *low;			/* MySQL: visible to the query; NULL: unknown */
	bool		window;			/* rows may have to be dropped */
	bool		last;
	MysqlFields *fields;
	int			nrows;
	int			next;
	MysqlSnapshotRow *rows;
	MysqlPosition end;			/* the last row's key */

	/* rows by key: chains in buckets */
	uint32		mask;
	int		   *buckets;		/* -1: empty */
	int		   *chain;
};

static bool read_exact(MysqlSnapshot *snapshot, MysqlConnection *conn,
					   const MysqlPosition *cursor, const char *at_file, uint64 at_position);
static bool read_window(MysqlSnapshot *snapshot, MysqlConnection *conn,
						const MysqlPosition *cursor, const MysqlGtidSet *executed);
static void read_rows(MysqlSnapshot *snapshot, MysqlConnection *conn,
					  const MysqlPosition *cursor, const char *suffix);
static void append_where(MysqlSnapshot *snapshot, StringInfo sql, const MysqlPosition *cursor);
static void index_rows(MysqlSnapshot *snapshot);

static void
append_key(StringInfo sql, const MysqlCdcTable *table, int i)
{
	appendStringInfo(sql, "%s%s", table->key_quoted[i], table->key_as_number[i] ? " + 0" : "");
}

MysqlSnapshot *
FeathubMysqlSnapshotMake(FeathubStream *stream, MysqlCdcTable *table, MysqlRecords *records)
{
	MysqlSnapshot *snapshot = palloc0(sizeof(MysqlSnapshot));
	StringInfoData sql;

	snapshot->stream = stream;
	snapshot->table = table;
	snapshot->records = records;
	snapshot->spent = AllocSetContextCreate(CurrentMemoryContext, "feathub mysql snapshot",
											ALLOCSET_SMALL_SIZES);
	snapshot->key_columns = palloc(sizeof(int) * table->nkeys);
	initStringInfo(&sql);
	appendStringInfoString(&sql, "SELECT ");
	for (int i = 0; i < records->ncolumns; i++)
	{
		FeathubMysqlOutputColumn(&sql, stream->rel, records->attnums[i]);
		appendStringInfoString(&sql, ", ");
	}
	for (int i = 0; i < table->nkeys; i++)
	{
		appendStringInfoString(&sql, i ? ", " : "");
		append_key(&sql, table, i);
		for (int j = 0; j < records->ncolumns; j++)
			if (records->attnums[j] == table->key_attnums[i])
				snapshot->key_columns[i] = j;
	}
	appendStringInfo(&sql, " FROM %s", table->quoted);
	snapshot->select = sql.data;
	return snapshot;
}

void
FeathubMysqlSnapshotReset(MysqlSnapshot *snapshot)
{
	snapshot->context = NULL;
	snapshot->pending = false;
	snapshot->file = NULL;
	snapshot->low = NULL;
	snapshot->window = false;
	snapshot->fields = NULL;
	snapshot->rows = NULL;
	snapshot->buckets = NULL;
	snapshot->nrows = snapshot->next = 0;
}

void
FeathubMysqlSnapshotRelease(MysqlSnapshot *snapshot)
{
	MemoryContext child = snapshot->spent->firstchild;

	while (child != NULL)
	{
		MemoryContext next = child->nextchild;

		if (child != snapshot->context)
			MemoryContextDelete(child);
		child = next;
	}
}

bool
FeathubMysqlSnapshotRead(MysqlSnapshot *snapshot, MysqlConnection *conn,
						 const MysqlPosition *cursor, const char *at_file,
						 uint64 at_position, const MysqlGtidSet *executed)
{
	MemoryContext old;
	bool		done;

	FeathubMysqlSnapshotReset(snapshot);
	snapshot->context = AllocSetContextCreate(snapshot->spent, "feathub mysql chunk",
											  ALLOCSET_DEFAULT_SIZES);
	old = MemoryContextSwitchTo(snapshot->context);
	if (conn->mariadb)
		done = read_exact(snapshot, conn, cursor, at_file, at_position);
	else
		done = read_window(snapshot, conn, cursor, executed);
	MemoryContextSwitchTo(old);
	snapshot->pending = done;
	return done;
}

static void
execute(MysqlConnection *conn, const char *sql)
{
	FeathubMysqlExecute(conn, sql, strlen(sql));
}

/* MariaDB: a transaction whose snapshot has a place in the log. */
static bool
read_exact(MysqlSnapshot *snapshot, MysqlConnection *conn, const MysqlPosition *cursor,
		   const char *at_file, uint64 at_position)
{
	const char *status = "SHOW STATUS LIKE 'binlog\\_snapshot\\_%'";
	MysqlResult *result;
	char	  **values;
	unsigned long *lengths;

	execute(conn, "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ");
	execute(conn, "START TRANSACTION WITH CONSISTENT SNAPSHOT");
	result = FeathubMysqlQuery(conn, status, strlen(status));
	while (FeathubMysqlFetch(result, &values, &lengths))
	{
		if (pg_strcasecmp(values[0], "binlog_snapshot_file") == 0)
			snapshot->file = pstrdup(values[1]);
		else if (pg_strcasecmp(values[0], "binlog_snapshot_position") == 0)
			snapshot->position = strtou64(values[1], NULL, 10);
	}
	FeathubMysqlCloseResult(result);
	if (snapshot->file == NULL || snapshot->file[0] == '\0')
		FeathubMysqlNotFollowable(snapshot->stream,
								  "The server does not tell the place in its log that belongs to a snapshot (Binlog_snapshot_file).",
								  "Set snapshot_mode to 'never', and load the table by other means.");
	if (FeathubMysqlCdcComparePlaces(snapshot->file, snapshot->position, at_file, at_position) < 0)
	{
		execute(conn, "COMMIT");
		return false;
	}
	read_rows(snapshot, conn, cursor, "");
	execute(conn, "COMMIT");
	return true;
}

/* MySQL: a window between what was visible before and what was logged after. */
static bool
read_window(MysqlSnapshot *snapshot, MysqlConnection *conn, const MysqlPosition *cursor,
			const MysqlGtidSet *executed)
{
	bool		gtid = snapshot->table->gtid;
	MysqlCdcPosition end;

	snapshot->window = true;
	if (gtid)
	{
		const char *sql = "SELECT @@global.gtid_executed";
		MysqlResult *result = FeathubMysqlQuery(conn, sql, strlen(sql));
		char	  **values;
		unsigned long *lengths;
		char	   *error = NULL;

		snapshot->low = FeathubMysqlGtidSetMake(false);
		if (!FeathubMysqlFetch(result, &values, &lengths) ||
			!FeathubMysqlGtidSetParse(snapshot->low, values[0] ? values[0] : "", &error))
			ereport(ERROR,
					(errcode(ERRCODE_FDW_ERROR),
					 errmsg("foreign server \"%s\" has no valid gtid_executed: %s",
							conn->server_name, error ? error : "none")));
		FeathubMysqlCloseResult(result);
		if (executed && !FeathubMysqlGtidSetIncludes(snapshot->low, executed))
			return false;
	}
	read_rows(snapshot, conn, cursor, gtid ? "" : " LOCK IN SHARE MODE");
	FeathubMysqlLogEnd(snapshot->stream, conn, snapshot->table, &end);
	snapshot->file = end.file;
	snapshot->position = end.position;
	return true;
}

static void
read_rows(MysqlSnapshot *snapshot, MysqlConnection *conn, const MysqlPosition *cursor,
		  const char *suffix)
{
	MysqlOptions *options = snapshot->stream->rel->options;
	int			max = options->snapshot_chunk_rows;
	int			room = Min(max, 1024);
	StringInfoData sql;
	MysqlResult *result;
	char	  **values;
	unsigned long *lengths;
	Size		bytes = 0;

	initStringInfo(&sql);
	appendStringInfoString(&sql, snapshot->select);
	append_where(snapshot, &sql, cursor);
	appendStringInfoString(&sql, " ORDER BY ");
	for (int i = 0; i < snapshot->table->nkeys; i++)
	{
		appendStringInfoString(&sql, i ? ", " : "");
		append_key(&sql, snapshot->table, i);
	}
	appendStringInfo(&sql, " LIMIT %d%s", max, suffix);
	result = FeathubMysqlQuery(conn, sql.data, sql.len);
	snapshot->fields = FeathubMysqlFieldsMake(FeathubMysqlFieldCount(result));
	memcpy(snapshot->fields->fields, FeathubMysqlFields(result),
		   sizeof(MysqlField) * snapshot->fields->nfields);
	snapshot->rows = palloc(sizeof(MysqlSnapshotRow) * room);
	while (bytes < CHUNK_BYTES && FeathubMysqlFetch(result, &values, &lengths))
	{
		int			n = snapshot->fields->nfields;
		Size		size = 0;
		MysqlSnapshotRow *row;
		char	   *p;

		if (snapshot->nrows == room)
		{
			room *= 2;
			snapshot->rows = repalloc_huge(snapshot->rows, sizeof(MysqlSnapshotRow) * room);
		}
		row = &snapshot->rows[snapshot->nrows++];
		for (int i = 0; i < n; i++)
			size += lengths[i] + 1;
		row->values = MemoryContextAllocHuge(snapshot->context,
											 (sizeof(char *) + sizeof(unsigned long)) * n + size);
		row->lengths = (unsigned long *) (row->values + n);
		p = (char *) (row->lengths + n);
		for (int i = 0; i < n; i++)
		{
			row->lengths[i] = lengths[i];
			row->values[i] = values[i] ? p : NULL;
			if (values[i] == NULL)
				continue;
			memcpy(p, values[i], lengths[i]);
			p[lengths[i]] = '\0';
			p += lengths[i] + 1;
		}
		bytes += size + sizeof(MysqlSnapshotRow);
	}
	snapshot->last = snapshot->nrows < max && bytes < CHUNK_BYTES;
	FeathubMysqlCloseResult(result);
	if (snapshot->nrows > 0)
		FeathubMysqlSnapshotKey(snapshot, &snapshot->rows[snapshot->nrows - 1], &snapshot->end);
}

/* WHERE the key is behind the cursor's. */
static void
append_where(MysqlSnapshot *snapshot, StringInfo sql, const MysqlPosition *cursor)
{
	MysqlCdcTable *table = snapshot->table;
	int			n = cursor->nvalues;

	if (n == 0)
		return;
	if (n != table->nkeys)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the first copy of table %s cannot go on: its key was another one",
						table->quoted),
				 errhint("To begin anew, call feathub.rewind_job with 'earliest' and feathub.resume_job.")));
	/* a bound that any optimizer understands, then the rest */
	appendStringInfoString(sql, " WHERE ");
	append_key(sql, table, 0);
	appendStringInfoString(sql, n > 1 ? " >= " : " > ");
	FeathubMysqlPositionLiteral(sql, &cursor->values[0], table->key_kinds[0]);
	if (n == 1)
		return;
	appendStringInfoString(sql, " AND ");
	for (int i = 0; i < n; i++)
	{
		bool		last = i == n - 1;

		appendStringInfoString(sql, last ? "" : "(");
		append_key(sql, table, i);
		appendStringInfoString(sql, " > ");
		FeathubMysqlPositionLiteral(sql, &cursor->values[i], table->key_kinds[i]);
		if (last)
			break;
		appendStringInfoString(sql, " OR (");
		append_key(sql, table, i);
		appendStringInfoString(sql, " = ");
		FeathubMysqlPositionLiteral(sql, &cursor->values[i], table->key_kinds[i]);
		appendStringInfoString(sql, " AND ");
	}
	for (int i = 0; i < n - 1; i++)
		appendStringInfoString(sql, "))");
}

/* A key's value as it is compared: ZEROFILL is known to SELECT only. */
static const char *
comparable(const MysqlCdcTable *table, int i, const char *value, unsigned long *len)
{
	if (table->key_kinds[i] == MYSQL_ORDER_INTEGER && !table->key_as_number[i])
	{
		while (*len > 1 && *value == '0')
		{
			value++;
			(*len)--;
		}
	}
	return value;
}

static uint32
hash_key(const MysqlCdcTable *table, char *const *key, const unsigned long *lengths,
		 const int *columns)
{
	uint32		hash = 0;

	for (int i = 0; i < table->nkeys; i++)
	{
		int			column = columns ? columns[i] : i;
		unsigned long len = lengths[column];
		const char *value = key[column] ? comparable(table, i, key[column], &len) : "";

		hash = hash_combine(hash, hash_bytes((const unsigned char *) value, len));
	}
	return hash;
}

static void
index_rows(MysqlSnapshot *snapshot)
{
	uint32		size = 1024;

	while (size < (uint32) snapshot->nrows)
		size *= 2;
	snapshot->mask = size - 1;
	snapshot->buckets = palloc(sizeof(int) * size);
	memset(snapshot->buckets, -1, sizeof(int) * size);
	snapshot->chain = palloc(sizeof(int) * Max(snapshot->nrows, 1));
	for (int i = 0; i < snapshot->nrows; i++)
	{
		MysqlSnapshotRow *row = &snapshot->rows[i];
		uint32		bucket = hash_key(snapshot->table, row->values, row->lengths,
									  snapshot->key_columns) & snapshot->mask;

		snapshot->chain[i] = snapshot->buckets[bucket];
		snapshot->buckets[bucket] = i;
	}
}

bool
FeathubMysqlSnapshotPending(const MysqlSnapshot *snapshot, const char **file, uint64 *position)
{
	*file = snapshot->file;
	*position = snapshot->position;
	return snapshot->pending;
}

bool
FeathubMysqlSnapshotInWindow(const MysqlSnapshot *snapshot, const MysqlGtid *gtid)
{
	if (!snapshot->pending || !snapshot->window)
		return false;
	return snapshot->low == NULL || gtid->kind == MYSQL_GTID_NONE ||
		!FeathubMysqlGtidSetContains(snapshot->low, gtid);
}

void
FeathubMysqlSnapshotDrop(MysqlSnapshot *snapshot, char *const *key, const unsigned long *lengths)
{
	MysqlCdcTable *table = snapshot->table;
	uint32		bucket;

	if (snapshot->buckets == NULL)
	{
		MemoryContext old = MemoryContextSwitchTo(snapshot->context);

		index_rows(snapshot);
		MemoryContextSwitchTo(old);
	}
	bucket = hash_key(table, key, lengths, NULL) & snapshot->mask;
	for (int i = snapshot->buckets[bucket]; i >= 0; i = snapshot->chain[i])
	{
		MysqlSnapshotRow *row = &snapshot->rows[i];
		bool		same = row->values != NULL;

		for (int k = 0; same && k < table->nkeys; k++)
		{
			int			column = snapshot->key_columns[k];
			unsigned long a_len = lengths[k];
			unsigned long b_len = row->lengths[column];
			const char *a = key[k] ? comparable(table, k, key[k], &a_len) : "";
			const char *b = row->values[column] ?
				comparable(table, k, row->values[column], &b_len) : "";

			same = a_len == b_len && memcmp(a, b, a_len) == 0;
		}
		if (same)
			row->values = NULL;
	}
}

const MysqlSnapshotRow *
FeathubMysqlSnapshotNext(MysqlSnapshot *snapshot)
{
	while (snapshot->next < snapshot->nrows)
	{
		MysqlSnapshotRow *row = &snapshot->rows[snapshot->next++];

		if (row->values != NULL)
			return row;
	}
	return NULL;
}

const MysqlFields *
FeathubMysqlSnapshotFields(const MysqlSnapshot *snapshot)
{
	return snapshot->fields;
}

void
FeathubMysqlSnapshotKey(MysqlSnapshot *snapshot, const MysqlSnapshotRow *row,
						MysqlPosition *cursor)
{
	MysqlCdcTable *table = snapshot->table;
	int			first = snapshot->records->ncolumns;

	if (row == NULL)
	{
		*cursor = snapshot->end;
		return;
	}
	memset(cursor, 0, sizeof(MysqlPosition));
	cursor->nvalues = table->nkeys;
	for (int i = 0; i < table->nkeys; i++)
		FeathubMysqlPositionValue(&cursor->values[i], table->key_kinds[i],
								  row->values[first + i], row->lengths[first + i]);
}

bool
FeathubMysqlSnapshotIsLast(const MysqlSnapshot *snapshot)
{
	return snapshot->last;
}
