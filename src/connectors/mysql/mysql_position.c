/*
 * mysql_position.c
 *		Positions of jobs in the database that they write to.
 *
 * Table feathub_position, in the database of the job's sink, has a row for each
 * partition: the last batch, from where to where, and which of its records
 * were not written.  It is written in the transaction of the batch's rows, so
 * it says what this database has, whether or not the job's own commit came
 * through.
 */
#include "postgres.h"

#include "lib/stringinfo.h"

#include "connectors/mysql/mysql_connector.h"

#define POSITION_TABLE "feathub_position"

/* `database`.`feathub_position` */
static void
append_table(StringInfo sql, FeathubRelation *rel)
{
	FeathubMysqlQuoteName(sql, ((MysqlOptions *) rel->options)->database);
	appendStringInfoString(sql, "." POSITION_TABLE);
}

static void
append_string(StringInfo sql, const char *value)
{
	if (value)
		FeathubMysqlQuoteString(sql, value, strlen(value));
	else
		appendStringInfoString(sql, "NULL");
}

static bool
table_exists(FeathubRelation *rel, MysqlConnection *conn)
{
	StringInfoData sql;
	MysqlResult *result;
	char	  **values;
	unsigned long *lengths;
	bool		found;

	initStringInfo(&sql);
	appendStringInfoString(&sql, "SELECT 1 FROM information_schema.tables WHERE table_name = '" POSITION_TABLE "' AND table_schema = ");
	append_string(&sql, ((MysqlOptions *) rel->options)->database);
	result = FeathubMysqlQuery(conn, sql.data, sql.len);
	found = FeathubMysqlFetch(result, &values, &lengths);
	FeathubMysqlCloseResult(result);
	return found;
}

/* Ends the remote transaction, in which nothing has been written yet. */
static void
create_table(FeathubRelation *rel, MysqlConnection *conn)
{
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfoString(&sql, "CREATE TABLE IF NOT EXISTS ");
	append_table(&sql, rel);
	appendStringInfoString(&sql,
						   " (job varchar(100) NOT NULL, part varchar(300) NOT NULL, epoch bigint NOT NULL,"
						   " from_position text NOT NULL, next_position text NOT NULL, refused longtext,"
						   " PRIMARY KEY (job, part))"
						   " ENGINE=InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"
						   " COMMENT='how far jobs of feathub have written'");
	FeathubMysqlExecute(conn, sql.data, sql.len);
}

void
FeathubMysqlLoadPositions(FeathubRelation *rel, const char *job, int worker,
						  FeathubSinkPosition *positions, int n)
{
	MysqlConnection *conn = FeathubMysqlConnect(rel->server, rel->user, rel->options);
	StringInfoData sql;
	MysqlResult *result;
	char	  **values;
	unsigned long *lengths;

	if (!table_exists(rel, conn))
	{
		create_table(rel, conn);
		return;
	}
	initStringInfo(&sql);
	appendStringInfoString(&sql, "SELECT part, epoch, from_position, next_position, refused FROM ");
	append_table(&sql, rel);
	appendStringInfoString(&sql, " WHERE job = ");
	append_string(&sql, job);
	result = FeathubMysqlQuery(conn, sql.data, sql.len);
	while (FeathubMysqlFetch(result, &values, &lengths))
	{
		for (int i = 0; i < n; i++)
		{
			FeathubSinkPosition *position = &positions[i];

			if (strlen(position->partition) != lengths[0] ||
				memcmp(position->partition, values[0], lengths[0]) != 0)
				continue;
			position->epoch = strtoll(values[1], NULL, 10);
			position->from = pnstrdup(values[2], lengths[2]);
			position->next = pnstrdup(values[3], lengths[3]);
			position->refused = values[4] ? pnstrdup(values[4], lengths[4]) : NULL;
		}
	}
	FeathubMysqlCloseResult(result);
}

void
FeathubMysqlSavePositions(FeathubRelation *rel, const char *job,
						  const FeathubSinkPosition *positions, int n)
{
	MysqlConnection *conn = FeathubMysqlConnect(rel->server, rel->user, rel->options);
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfoString(&sql, "INSERT INTO ");
	append_table(&sql, rel);
	appendStringInfoString(&sql, " (job, part, epoch, from_position, next_position, refused) VALUES ");
	for (int i = 0; i < n; i++)
	{
		appendStringInfoString(&sql, i ? ", (" : "(");
		append_string(&sql, job);
		appendStringInfoString(&sql, ", ");
		append_string(&sql, positions[i].partition);
		appendStringInfo(&sql, ", " INT64_FORMAT ", ", positions[i].epoch);
		append_string(&sql, positions[i].from);
		appendStringInfoString(&sql, ", ");
		append_string(&sql, positions[i].next);
		appendStringInfoString(&sql, ", ");
		append_string(&sql, positions[i].refused);
		appendStringInfoChar(&sql, ')');
	}
	appendStringInfoString(&sql, " ON DUPLICATE KEY UPDATE epoch = VALUES(epoch),"
						   " from_position = VALUES(from_position),"
						   " next_position = VALUES(next_position), refused = VALUES(refused)");
	FeathubMysqlExecute(conn, sql.data, sql.len);
}
