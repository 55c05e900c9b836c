/*
 * mysql_preflight.c
 *		May a table be followed by its server's binary log, and how?
 *
 * Everything that would lose changes in silence is an error before the first
 * one is read: a log that is off or has statements, images of rows without all
 * columns, a table without key or transactions.
 */
#include "postgres.h"

#include "mb/pg_wchar.h"
#include "utils/builtins.h"

#include "connectors/mysql/mysql_cdc.h"
#include "connectors/mysql/mysql_deparse.h"

/* The first version of MySQL whose log is asked about by its new name. */
#define BINARY_LOG_STATUS_VERSION 80200

static void read_variables(FeathubStream *stream, MysqlConnection *conn, MysqlCdcTable *table);
static void check_variable(FeathubStream *stream, const char *name, const char *value,
						   MysqlCdcTable *table, bool mariadb);
static void read_table(FeathubStream *stream, MysqlConnection *conn, MysqlCdcTable *table);
static void check_columns(FeathubStream *stream, const MysqlCdcTable *table);
static void read_members(MysqlCdcColumn *column, const char *type);
static void read_key(FeathubStream *stream, MysqlConnection *conn, MysqlCdcTable *table);
static void find_key_kind(FeathubStream *stream, MysqlCdcTable *table, int key,
						  const MysqlCdcColumn *column, char **values);

static char *
to_utf8(const char *text)
{
	return pg_server_to_any(text, strlen(text), PG_UTF8);
}

MysqlCdcTable *
FeathubMysqlPreflightPrepare(FeathubStream *stream)
{
	FeathubRelation *rel = stream->rel;
	MysqlOptions *options = rel->options;
	MysqlCdcTable *table = palloc0(sizeof(MysqlCdcTable));
	List	   *keys = FeathubMysqlKeyColumns(rel);
	StringInfoData sql;
	StringInfoData mark;
	ListCell   *lc;

	if (keys == NIL)
		FeathubMysqlNotFollowable(stream, "It has no key.",
								  "Set option key 'true' on the columns of its primary key.");
	if (list_length(keys) > MYSQL_POSITION_VALUES)
		FeathubMysqlNotFollowable(stream, "It has too many key columns.", NULL);
	for (int attnum = 1; attnum <= rel->tupdesc->natts; attnum++)
		if (!TupleDescAttr(rel->tupdesc, attnum - 1)->attisdropped &&
			FeathubMysqlColumnFlag(rel, attnum, "wkt"))
			FeathubMysqlNotFollowable(stream, psprintf("Its column \"%s\" has option wkt, and the log has geometries as they are stored.",
													   NameStr(TupleDescAttr(rel->tupdesc, attnum - 1)->attname)),
									  "Declare the column as bytea, without option wkt.");
	table->key_attnums = palloc(sizeof(AttrNumber) * list_length(keys));
	table->key_names = palloc(sizeof(char *) * list_length(keys));
	table->key_quoted = palloc(sizeof(char *) * list_length(keys));
	table->key_kinds = palloc0(sizeof(MysqlOrderKind) * list_length(keys));
	table->key_as_number = palloc0(sizeof(bool) * list_length(keys));
	initStringInfo(&mark);
	foreach(lc, keys)
	{
		const char *name = FeathubMysqlColumnName(rel, lfirst_int(lc));

		initStringInfo(&sql);
		FeathubMysqlQuoteName(&sql, name);
		table->key_attnums[table->nkeys] = lfirst_int(lc);
		table->key_names[table->nkeys] = to_utf8(name);
		table->key_quoted[table->nkeys++] = sql.data;
		appendStringInfo(&mark, "%s%s", mark.len > 0 ? "," : "", name);
	}
	table->mark = mark.data;

	table->database = to_utf8(options->database);
	table->name = to_utf8(options->table_name);
	initStringInfo(&sql);
	FeathubMysqlDeparseTable(&sql, rel);
	table->quoted = sql.data;
	initStringInfo(&sql);
	appendStringInfoString(&sql, " WHERE table_schema = ");
	FeathubMysqlQuoteString(&sql, table->database, strlen(table->database));
	appendStringInfoString(&sql, " AND table_name = ");
	FeathubMysqlQuoteString(&sql, table->name, strlen(table->name));
	table->where = sql.data;
	return table;
}

void
FeathubMysqlPreflight(FeathubStream *stream, MysqlConnection *conn, MysqlCdcTable *table)
{
	read_variables(stream, conn, table);
	if (stream->read_metadata_only)
		return;
	read_table(stream, conn, table);
	FeathubMysqlReadColumns(stream, conn, table);
	check_columns(stream, table);
	read_key(stream, conn, table);
}

/* The server's settings. */
static void
read_variables(FeathubStream *stream, MysqlConnection *conn, MysqlCdcTable *table)
{
	const char *sql = "SHOW GLOBAL VARIABLES WHERE Variable_name IN"
		" ('log_bin', 'binlog_format', 'binlog_row_image', 'binlog_row_value_options',"
		" 'gtid_mode', 'server_uuid', 'server_id', 'lower_case_table_names',"
		" 'mysql56_temporal_format')";
	MysqlResult *result = FeathubMysqlQuery(conn, sql, strlen(sql));
	char	  **values;
	unsigned long *lengths;

	table->gtid = conn->mariadb;
	while (FeathubMysqlFetch(result, &values, &lengths))
		check_variable(stream, values[0], values[1] ? values[1] : "", table, conn->mariadb);
	FeathubMysqlCloseResult(result);
}

static void
check_variable(FeathubStream *stream, const char *name, const char *value,
			   MysqlCdcTable *table, bool mariadb)
{
	bool		strict = !stream->read_metadata_only;

	if (pg_strcasecmp(name, "log_bin") == 0 && pg_strcasecmp(value, "ON") != 0)
		FeathubMysqlNotFollowable(stream, "The server has no binary log: log_bin is OFF.",
								  "Start the server with log_bin.");
	else if (strict && pg_strcasecmp(name, "binlog_format") == 0 &&
			 pg_strcasecmp(value, "ROW") != 0)
		FeathubMysqlNotFollowable(stream, psprintf("The server's binlog_format is %s, not ROW.", value),
								  "On the server: SET GLOBAL binlog_format = 'ROW', and in its configuration; sessions that are open keep theirs.");
	else if (strict && pg_strcasecmp(name, "binlog_row_image") == 0 &&
			 pg_strcasecmp(value, "FULL") != 0)
		FeathubMysqlNotFollowable(stream, psprintf("The server's binlog_row_image is %s, not FULL.", value),
								  "On the server: SET GLOBAL binlog_row_image = 'FULL', and in its configuration; sessions that are open keep theirs.");
	else if (strict && pg_strcasecmp(name, "binlog_row_value_options") == 0 && value[0] != '\0')
		FeathubMysqlNotFollowable(stream, psprintf("The server's binlog_row_value_options is %s: it logs parts of JSON values.", value),
								  "On the server: SET GLOBAL binlog_row_value_options = '', and in its configuration; sessions that are open keep theirs.");
	else if (pg_strcasecmp(name, "gtid_mode") == 0 && !mariadb)
		table->gtid = pg_strcasecmp(value, "ON") == 0;
	else if (pg_strcasecmp(name, "lower_case_table_names") == 0)
		table->ignore_case = strcmp(value, "0") != 0;
	else if (pg_strcasecmp(name, "mysql56_temporal_format") == 0)
		table->old_times = pg_strcasecmp(value, "ON") != 0;
	else if (pg_strcasecmp(name, mariadb ? "server_id" : "server_uuid") == 0)
		table->source = MemoryContextStrdup(stream->context, value);
}

/* It is a table, with transactions. */
static void
read_table(FeathubStream *stream, MysqlConnection *conn, MysqlCdcTable *table)
{
	char	   *sql = psprintf("SELECT t.table_type, t.engine, e.transactions FROM"
							   " (SELECT table_type, engine FROM information_schema.tables%s) t"
							   " LEFT JOIN information_schema.engines e ON e.engine = t.engine",
							   table->where);
	MysqlResult *result = FeathubMysqlQuery(conn, sql, strlen(sql));
	char	  **values;
	unsigned long *lengths;

	if (!FeathubMysqlFetch(result, &values, &lengths))
		FeathubMysqlNotFollowable(stream, psprintf("There is no table %s, or it may not be read.", table->quoted),
								  "On the server: GRANT SELECT on the table to the user.");
	if (strcmp(values[0], "BASE TABLE") != 0)
		FeathubMysqlNotFollowable(stream, psprintf("%s is no table, but: %s.", table->quoted, values[0]), NULL);
	if (values[2] == NULL || strcmp(values[2], "YES") != 0)
		FeathubMysqlNotFollowable(stream, psprintf("Engine %s of table %s has no transactions.",
												   values[1] ? values[1] : "(none)", table->quoted),
								  psprintf("On the server: ALTER TABLE %s ENGINE = InnoDB.", table->quoted));
	FeathubMysqlCloseResult(result);
}

void
FeathubMysqlReadColumns(FeathubStream *stream, MysqlConnection *conn, MysqlCdcTable *table)
{
	char	   *sql = psprintf("SELECT c.column_name, c.data_type, c.column_type, x.id FROM"
							   " (SELECT column_name, data_type, column_type, character_set_name, ordinal_position"
							   "    FROM information_schema.columns%s) c"
							   " LEFT JOIN (SELECT character_set_name, MIN(id) AS id FROM information_schema.collations"
							   "              WHERE id IS NOT NULL GROUP BY character_set_name) x"
							   " ON x.character_set_name = c.character_set_name ORDER BY c.ordinal_position",
							   table->where);
	MysqlResult *result = FeathubMysqlQuery(conn, sql, strlen(sql));
	MemoryContext old = MemoryContextSwitchTo(stream->context);
	int			max = 0;
	char	  **values;
	unsigned long *lengths;

	table->ncolumns = 0;
	table->columns = NULL;
	while (FeathubMysqlFetch(result, &values, &lengths))
	{
		MysqlCdcColumn *column;

		if (table->ncolumns == max)
		{
			max = Max(max * 2, 32);
			table->columns = table->columns ?
				repalloc(table->columns, sizeof(MysqlCdcColumn) * max) :
				palloc(sizeof(MysqlCdcColumn) * max);
		}
		column = &table->columns[table->ncolumns++];
		memset(column, 0, sizeof(MysqlCdcColumn));
		column->name = pstrdup(values[0]);
		column->type = pstrdup(values[1]);
		column->is_unsigned = strstr(values[2], "unsigned") != NULL;
		/* the server tells the format of those that are not of the usual one */
		column->old_time = (pg_strncasecmp(values[2], "time(", 5) == 0 ||
							pg_strncasecmp(values[2], "datetime(", 9) == 0 ||
							pg_strncasecmp(values[2], "timestamp(", 10) == 0) &&
			(strstr(values[2], "mariadb-5.3") != NULL ||
			 (table->old_times && strstr(values[2], "mysql-5.6") == NULL));
		column->collation = values[3] ? atoi(values[3]) : MYSQL_COLLATION_BINARY;
		if (pg_strcasecmp(values[1], "enum") == 0 || pg_strcasecmp(values[1], "set") == 0)
			read_members(column, values[2]);
	}
	MemoryContextSwitchTo(old);
	FeathubMysqlCloseResult(result);
}

/* Those that the foreign table reads are there. */
static void
check_columns(FeathubStream *stream, const MysqlCdcTable *table)
{
	FeathubRelation *rel = stream->rel;

	/* of any column: what is behind it in a row could not be found */
	for (int i = 0; i < table->ncolumns; i++)
		if (table->columns[i].old_time)
			FeathubMysqlNotFollowable(stream, psprintf("Column %s of table %s has fractions of seconds as MariaDB 5.3 stored them, whose length the log does not tell.",
													   pg_any_to_server(table->columns[i].name,
																		strlen(table->columns[i].name), PG_UTF8),
													   table->quoted),
									  psprintf("On the server: SET GLOBAL mysql56_temporal_format = ON, and in its configuration, then ALTER TABLE %s FORCE.",
											   table->quoted));
	for (int attnum = 1; attnum <= rel->tupdesc->natts; attnum++)
	{
		Form_pg_attribute att = TupleDescAttr(rel->tupdesc, attnum - 1);
		char	   *name;
		bool		found = false;

		if (att->attisdropped || att->attgenerated)
			continue;
		name = to_utf8(FeathubMysqlColumnName(rel, attnum));
		for (int i = 0; i < table->ncolumns; i++)
			found |= pg_strcasecmp(table->columns[i].name, name) == 0;
		if (!found)
			FeathubMysqlNotFollowable(stream, psprintf("There is no column \"%s\" in table %s, or it may not be read.",
													   FeathubMysqlColumnName(rel, attnum), table->quoted),
									  NULL);
	}
}

/* enum('a','b''c') */
static void
read_members(MysqlCdcColumn *column, const char *type)
{
	const char *p = strchr(type, '(');
	int			max = 8;

	column->members = palloc(sizeof(MysqlBinlogString) * max);
	while (p && (*p == '(' || *p == ',') && p[1] == '\'')
	{
		StringInfoData member;

		initStringInfo(&member);
		for (p += 2; *p && (*p != '\'' || p[1] == '\''); p++)
		{
			appendStringInfoChar(&member, *p);
			p += *p == '\'';
		}
		if (*p == '\0')
			break;
		p++;
		if (column->nmembers == max)
		{
			max *= 2;
			column->members = repalloc(column->members, sizeof(MysqlBinlogString) * max);
		}
		column->members[column->nmembers].data = member.data;
		column->members[column->nmembers++].len = member.len;
	}
}

/* Which of the key's columns has that name there?  -1: none. */
static int
key_index(const MysqlCdcTable *table, const char *name)
{
	for (int i = 0; name && i < table->nkeys; i++)
		if (pg_strcasecmp(table->key_names[i], name) == 0)
			return i;
	return -1;
}

/* The key must know any two rows apart, and never be null. */
static void
read_key(FeathubStream *stream, MysqlConnection *conn, MysqlCdcTable *table)
{
	char	   *sql;
	MysqlResult *result;
	char	  **values;
	unsigned long *lengths;
	bool		unique = false;
	bool		covered = false;	/* the index at hand is unique and within the key */

	sql = psprintf("SELECT column_name, data_type, is_nullable, collation_name"
				   " FROM information_schema.columns%s", table->where);
	result = FeathubMysqlQuery(conn, sql, strlen(sql));
	while (FeathubMysqlFetch(result, &values, &lengths))
	{
		int			key = key_index(table, values[0]);

		if (key < 0)
			continue;
		if (strcmp(values[2], "NO") != 0)
			FeathubMysqlNotFollowable(stream, psprintf("Its key column %s may be null.",
													   table->key_quoted[key]), NULL);
		for (int i = 0; i < table->ncolumns; i++)
			if (strcmp(table->columns[i].name, values[0]) == 0)
				find_key_kind(stream, table, key, &table->columns[i], values);
	}
	FeathubMysqlCloseResult(result);

	sql = psprintf("SELECT index_name, seq_in_index, non_unique, column_name, sub_part"
				   " FROM information_schema.statistics%s ORDER BY index_name, seq_in_index",
				   table->where);
	result = FeathubMysqlQuery(conn, sql, strlen(sql));
	while (FeathubMysqlFetch(result, &values, &lengths))
	{
		if (strcmp(values[1], "1") == 0)
		{
			unique |= covered;
			covered = strcmp(values[2], "0") == 0;
		}
		covered &= key_index(table, values[3]) >= 0 && values[4] == NULL;
	}
	unique |= covered;
	FeathubMysqlCloseResult(result);
	if (!unique)
		FeathubMysqlNotFollowable(stream, psprintf("Several rows of table %s may have the same key.",
												   table->quoted),
								  "Set option key 'true' on all columns of its primary key.");
}

/* How a key column is ordered and compared in statements. */
static void
find_key_kind(FeathubStream *stream, MysqlCdcTable *table, int key,
			  const MysqlCdcColumn *column, char **values)
{
	static const char *const numbers[] = {"enum", "set", "bit"};

	table->key_kinds[key] = FeathubMysqlOrderKind(values[1], values[3]);
	for (int i = 0; i < lengthof(numbers); i++)
	{
		if (pg_strcasecmp(values[1], numbers[i]) == 0)
		{
			table->key_kinds[key] = MYSQL_ORDER_INTEGER;
			table->key_as_number[key] = true;
		}
	}
	if (pg_strcasecmp(values[1], "time") == 0 || pg_strcasecmp(values[1], "inet4") == 0 ||
		pg_strcasecmp(values[1], "inet6") == 0)
		table->key_kinds[key] = MYSQL_ORDER_TEXT;
	if (table->key_kinds[key] == MYSQL_ORDER_NONE)
		FeathubMysqlNotFollowable(stream, psprintf("Its key column %s has a type whose order is of no use: %s.",
												   table->key_quoted[key], column->type), NULL);
}

void
FeathubMysqlLogEnd(FeathubStream *stream, MysqlConnection *conn, const MysqlCdcTable *table,
				   MysqlCdcPosition *end)
{
	const char *sql = !conn->mariadb && conn->version >= BINARY_LOG_STATUS_VERSION ?
		"SHOW BINARY LOG STATUS" : "SHOW MASTER STATUS";
	MysqlResult *result;
	char	  **values;
	unsigned long *lengths;

	if (!FeathubMysqlTry(conn, sql))
	{
		FeathubMysqlExecute(conn, "DO 0", 4);	/* an error if the connection is lost */
		FeathubMysqlNotFollowable(stream, "The server does not tell the place in its binary log.",
								  conn->mariadb ? "On the server: GRANT BINLOG MONITOR, REPLICATION SLAVE ON *.* to the user (before MariaDB 10.5: REPLICATION CLIENT)." :
								  "On the server: GRANT REPLICATION CLIENT, REPLICATION SLAVE ON *.* to the user.");
	}
	result = FeathubMysqlAsk(conn, sql);
	memset(end, 0, sizeof(MysqlCdcPosition));
	if (!FeathubMysqlFetch(result, &values, &lengths))
		FeathubMysqlNotFollowable(stream, "The server has no binary log: log_bin is OFF.",
								  "Start the server with log_bin.");
	end->file = pstrdup(values[0]);
	end->position = strtou64(values[1], NULL, 10);
	if (table->gtid && !conn->mariadb)
	{
		char	   *to;

		end->gtids = pstrdup(values[4] ? values[4] : "");
		/* a set is written with a line for each server */
		to = end->gtids;
		for (char *from = end->gtids; *from; from++)
			if (*from != '\n' && *from != ' ')
				*to++ = *from;
		*to = '\0';
	}
	FeathubMysqlCloseResult(result);
}

/* The text that a statement returns, or NULL. */
static char *
read_gtids(MysqlConnection *conn, const char *sql)
{
	MysqlResult *result = FeathubMysqlQuery(conn, sql, strlen(sql));
	char	  **values;
	unsigned long *lengths;
	char	   *gtids = NULL;

	/* without a transaction in the log, there is nothing to start behind */
	if (FeathubMysqlFetch(result, &values, &lengths) && values[0] && values[0][0] != '\0')
		gtids = pstrdup(values[0]);
	FeathubMysqlCloseResult(result);
	return gtids;
}

char *
FeathubMysqlGtidsNow(MysqlConnection *conn)
{
	return read_gtids(conn, "SELECT @@global.gtid_binlog_pos");
}

char *
FeathubMysqlGtidsAt(MysqlConnection *conn, const char *file, uint64 position)
{
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfoString(&sql, "SELECT BINLOG_GTID_POS(");
	FeathubMysqlQuoteString(&sql, file, strlen(file));
	appendStringInfo(&sql, ", " UINT64_FORMAT ")", position);
	return read_gtids(conn, sql.data);
}
