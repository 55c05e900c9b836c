/*
 * mysql_stream_table.c
 *		The table that a job follows by an increasing column: the columns that
 *		order its rows, and whether they do.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "mb/pg_wchar.h"

#include "connectors/mysql/mysql_deparse.h"
#include "connectors/mysql/mysql_record.h"
#include "connectors/mysql/mysql_stream.h"

static void find_order(FeathubStream *stream, const MysqlRecords *records, MysqlStreamTable *table);
static void write_select(FeathubStream *stream, const MysqlRecords *records, MysqlStreamTable *table);
static void look_at_columns(FeathubStream *stream, MysqlConnection *conn, MysqlStreamTable *table);
static void look_at_indexes(FeathubStream *stream, MysqlConnection *conn, MysqlStreamTable *table);
static void look_at_time_zone(FeathubStream *stream, MysqlConnection *conn, MysqlStreamTable *table);

void
FeathubMysqlStreamDescribe(FeathubStream *stream, const MysqlRecords *records, MysqlStreamTable *table)
{
	find_order(stream, records, table);
	write_select(stream, records, table);
}

/* The columns of the order, by their names here. */
static void
find_order(FeathubStream *stream, const MysqlRecords *records, MysqlStreamTable *table)
{
	FeathubRelation *rel = stream->rel;
	MysqlOptions *options = rel->options;
	List	   *attnums = NIL;
	StringInfoData mark;
	ListCell   *lc;

	if (options->stream_column == NULL)
		FeathubMysqlNotFollowable(stream, "Option stream_column is not set.",
					   "Set it to an indexed column that increases, like a time of the last change.");
	for (int i = 0; i < records->ncolumns; i++)
		if (strcmp(NameStr(TupleDescAttr(rel->tupdesc, records->attnums[i] - 1)->attname),
				   options->stream_column) == 0)
			attnums = list_make1_int(records->attnums[i]);
	if (attnums == NIL)
		FeathubMysqlNotFollowable(stream, psprintf("It has no column \"%s\", which option stream_column names.",
										options->stream_column), NULL);
	foreach(lc, FeathubMysqlKeyColumns(rel))
		attnums = list_append_unique_int(attnums, lfirst_int(lc));
	if (list_length(attnums) > MYSQL_POSITION_VALUES)
		FeathubMysqlNotFollowable(stream, "It has too many key columns.", NULL);

	table->order_names = palloc(sizeof(char *) * list_length(attnums));
	table->quoted = palloc(sizeof(char *) * list_length(attnums));
	table->kinds = palloc0(sizeof(MysqlOrderKind) * list_length(attnums));
	initStringInfo(&mark);
	foreach(lc, attnums)
	{
		const char *name = FeathubMysqlColumnName(rel, lfirst_int(lc));
		StringInfoData quoted;

		initStringInfo(&quoted);
		FeathubMysqlQuoteName(&quoted, name);
		table->quoted[table->norder] = quoted.data;
		table->order_names[table->norder++] = pg_server_to_any(name, strlen(name), PG_UTF8);
		appendStringInfo(&mark, "%s%s", mark.len > 0 ? "," : "", name);
	}
	table->mark = mark.data;
}

/* The parts of statements that stay the same. */
static void
write_select(FeathubStream *stream, const MysqlRecords *records, MysqlStreamTable *table)
{
	FeathubRelation *rel = stream->rel;
	MysqlOptions *options = rel->options;
	StringInfoData sql;
	char	   *utf8;

	initStringInfo(&sql);
	FeathubMysqlDeparseTable(&sql, rel);
	table->quoted_name = sql.data;
	initStringInfo(&sql);
	appendStringInfoString(&sql, "SELECT ");
	for (int i = 0; i < records->ncolumns; i++)
	{
		FeathubMysqlOutputColumn(&sql, rel, records->attnums[i]);
		appendStringInfoString(&sql, ", ");
	}
	for (int i = 0; i < table->norder; i++)
		appendStringInfo(&sql, "%s%s", i ? ", " : "", table->quoted[i]);
	appendStringInfo(&sql, " FROM %s", table->quoted_name);
	table->select = sql.data;

	initStringInfo(&sql);
	appendStringInfoString(&sql, " WHERE table_schema = ");
	utf8 = pg_server_to_any(options->database, strlen(options->database), PG_UTF8);
	FeathubMysqlQuoteString(&sql, utf8, strlen(utf8));
	appendStringInfoString(&sql, " AND table_name = ");
	utf8 = pg_server_to_any(options->table_name, strlen(options->table_name), PG_UTF8);
	FeathubMysqlQuoteString(&sql, utf8, strlen(utf8));
	table->schema_where = sql.data;
	table->partition = psprintf("%s-0", options->table_name);
}

void
FeathubMysqlStreamCheck(FeathubStream *stream, MysqlConnection *conn, MysqlStreamTable *table)
{
	look_at_columns(stream, conn, table);
	look_at_indexes(stream, conn, table);
	look_at_time_zone(stream, conn, table);
}

void
FeathubMysqlNotFollowable(FeathubStream *stream, const char *detail, const char *hint)
{
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("foreign table \"%s\" cannot be followed by a job: %s",
					stream->rel->relname, detail),
			 hint ? errhint("%s", hint) : 0));
}

/* Which of the order's columns has that name there?  -1: none. */
static int
order_index(const MysqlStreamTable *table, const char *name)
{
	for (int i = 0; name && i < table->norder; i++)
		if (pg_strcasecmp(table->order_names[i], name) == 0)
			return i;
	return -1;
}

static void
look_at_columns(FeathubStream *stream, MysqlConnection *conn, MysqlStreamTable *table)
{
	MysqlOptions *options = stream->rel->options;
	char	   *sql;
	MysqlResult *result;
	char	  **values;
	unsigned long *lengths;

	sql = psprintf("SELECT column_name, data_type, is_nullable, datetime_precision, collation_name, extra"
				   " FROM information_schema.columns%s", table->schema_where);
	result = FeathubMysqlQuery(conn, sql, strlen(sql));
	while (FeathubMysqlFetch(result, &values, &lengths))
	{
		int			i = order_index(table, values[0]);

		if (i < 0)
			continue;
		table->kinds[i] = FeathubMysqlOrderKind(values[1], values[4]);
		if (table->kinds[i] == MYSQL_ORDER_NONE)
			FeathubMysqlNotFollowable(stream, psprintf("Its column %s has a type whose order is of no use: %s.",
											table->quoted[i], values[1]), NULL);
		if (i > 0 && strcmp(values[2], "NO") != 0)
			FeathubMysqlNotFollowable(stream, psprintf("Its key column %s may be null.", table->quoted[i]), NULL);
		if (i == 0)
		{
			table->precision = values[3] ? atoi(values[3]) : 0;
			table->auto_increment = values[5] && strstr(values[5], "auto_increment") != NULL;
		}
	}
	FeathubMysqlCloseResult(result);
	for (int i = 0; i < table->norder; i++)
		if (table->kinds[i] == MYSQL_ORDER_NONE)
			FeathubMysqlNotFollowable(stream, psprintf("There is no column %s in table %s, or it may not be read.",
											table->quoted[i], table->quoted_name), NULL);
	if (table->kinds[0] != MYSQL_ORDER_INTEGER && table->kinds[0] != MYSQL_ORDER_DATETIME &&
		table->kinds[0] != MYSQL_ORDER_TIMESTAMP)
		FeathubMysqlNotFollowable(stream, psprintf("Column %s, which option stream_column names, is no integer, DATETIME or TIMESTAMP.",
										table->quoted[0]), NULL);
	if (table->kinds[0] == MYSQL_ORDER_INTEGER &&
		FeathubOptionsGet(stream->rel->table->options, "stream_lag") == NULL)
		FeathubMysqlNotFollowable(stream, psprintf("Option stream_lag is not set, and column %s, which option stream_column names, is an integer.",
										table->quoted[0]),
					   "Transactions may commit in another order than their numbers: set stream_lag to how many numbers may be outstanding, or to 0 if there is one writer at a time.");
	if (table->kinds[0] == MYSQL_ORDER_INTEGER && options->stream_time_zone)
		FeathubMysqlNotFollowable(stream, "Option stream_time_zone is set, and the column is an integer.", NULL);
}

MysqlOrderKind
FeathubMysqlOrderKind(const char *type, const char *collation)
{
	static const struct
	{
		const char *name;
		MysqlOrderKind kind;
	}			kinds[] = {
		{"tinyint", MYSQL_ORDER_INTEGER}, {"smallint", MYSQL_ORDER_INTEGER},
		{"mediumint", MYSQL_ORDER_INTEGER}, {"int", MYSQL_ORDER_INTEGER},
		{"bigint", MYSQL_ORDER_INTEGER}, {"year", MYSQL_ORDER_INTEGER},
		{"decimal", MYSQL_ORDER_DECIMAL}, {"date", MYSQL_ORDER_DATE},
		{"datetime", MYSQL_ORDER_DATETIME}, {"timestamp", MYSQL_ORDER_TIMESTAMP},
		{"char", MYSQL_ORDER_TEXT}, {"varchar", MYSQL_ORDER_TEXT}, {"uuid", MYSQL_ORDER_TEXT},
		{"binary", MYSQL_ORDER_BINARY}, {"varbinary", MYSQL_ORDER_BINARY}
	};

	for (int i = 0; i < lengthof(kinds); i++)
	{
		if (pg_strcasecmp(kinds[i].name, type) != 0)
			continue;
		if (kinds[i].kind == MYSQL_ORDER_TEXT && collation && strstr(collation, "_ci") != NULL)
			return MYSQL_ORDER_TEXT_CI;
		return kinds[i].kind;
	}
	return MYSQL_ORDER_NONE;
}

/*
 * The stream column must be the first of an index, or each page would read the
 * whole table; and the order must know any two rows apart.
 */
static void
look_at_indexes(FeathubStream *stream, MysqlConnection *conn, MysqlStreamTable *table)
{
	char	   *sql;
	MysqlResult *result;
	char	  **values;
	unsigned long *lengths;
	bool		indexed = false;
	bool		unique = false;
	bool		covered = false;	/* the index at hand is unique and within the order */

	sql = psprintf("SELECT index_name, seq_in_index, non_unique, column_name"
				   " FROM information_schema.statistics%s ORDER BY index_name, seq_in_index",
				   table->schema_where);
	result = FeathubMysqlQuery(conn, sql, strlen(sql));
	while (FeathubMysqlFetch(result, &values, &lengths))
	{
		int			i = order_index(table, values[3]);

		if (strcmp(values[1], "1") == 0)
		{
			unique |= covered;
			covered = strcmp(values[2], "0") == 0;
			indexed |= i == 0;
		}
		covered &= i >= 0;
	}
	unique |= covered;
	FeathubMysqlCloseResult(result);
	if (!indexed)
		FeathubMysqlNotFollowable(stream, psprintf("No index of table %s begins with column %s.",
										table->quoted_name, table->quoted[0]),
					   psprintf("On the server: CREATE INDEX feathub_stream ON %s (%s).",
								table->quoted_name, table->quoted[0]));
	if (!unique)
		FeathubMysqlNotFollowable(stream, psprintf("Several rows of table %s may have the same values in the stream column and the key.",
										table->quoted_name),
					   "Set option key 'true' on the columns of its primary key.");
}

/* A DATETIME says nothing of its zone, so "now" must be told in it. */
static void
look_at_time_zone(FeathubStream *stream, MysqlConnection *conn, MysqlStreamTable *table)
{
	MysqlOptions *options = stream->rel->options;
	StringInfoData sql;
	MysqlResult *result;
	char	  **values;
	unsigned long *lengths;
	bool		known;

	if (table->kinds[0] != MYSQL_ORDER_DATETIME)
		return;
	initStringInfo(&sql);
	appendStringInfoString(&sql, "SELECT CONVERT_TZ(UTC_TIMESTAMP(), '+00:00', ");
	if (options->stream_time_zone)
		FeathubMysqlQuoteString(&sql, options->stream_time_zone, strlen(options->stream_time_zone));
	else
		appendStringInfoString(&sql, "@@GLOBAL.time_zone");
	appendStringInfoChar(&sql, ')');
	result = FeathubMysqlQuery(conn, sql.data, sql.len);
	known = FeathubMysqlFetch(result, &values, &lengths) && values[0] != NULL;
	FeathubMysqlCloseResult(result);
	if (!known)
		FeathubMysqlNotFollowable(stream, psprintf("The server does not know time zone \"%s\".",
										options->stream_time_zone ? options->stream_time_zone :
										"@@GLOBAL.time_zone"),
					   "Set stream_time_zone to an offset like \"+00:00\", or load the server's time zones.");
}
