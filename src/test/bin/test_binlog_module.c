/*
 * test_binlog_module.c
 *		SQL functions that read a binary log's file with the decoder of jobs.
 *
 * test.sh links it with the decoder's sources, which is all they need.
 *
 * read_binlog(file text, mariadb bool, names text)
 *		returns a line for each item, as bytea.  Values are written as mysql -B
 *		does.
 *		names has what the log may lack, "table.2=a,b;...": members of an
 *		ENUM or SET in column 2, or "unsigned", "collation N", "uuid", "inet6", "inet4",
 *		"unwanted", "identity" (then images before are lean); "table=skip" is not
 *		followed.
 * read_binlog_speed(file text, mariadb bool, loops int) returns rows per second.
 * gtid_set(mariadb bool, operation text, a text, b text): see below.
 * compare_positions(a text, b text) orders two positions of a job, as the extension does.
 */
#include "postgres.h"

#include <sys/resource.h>

#include "fmgr.h"
#include "miscadmin.h"
#include "storage/fd.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "connectors/mysql/mysql_binlog.h"

PG_MODULE_MAGIC;

PG_FUNCTION_INFO_V1(read_binlog);
PG_FUNCTION_INFO_V1(read_binlog_speed);
PG_FUNCTION_INFO_V1(gtid_set);
PG_FUNCTION_INFO_V1(compare_positions);

static char *
read_file(const char *name, Size *len)
{
	FILE	   *file = AllocateFile(name, "rb");
	char	   *data;

	if (file == NULL)
		elog(ERROR, "could not open \"%s\"", name);
	fseek(file, 0, SEEK_END);
	*len = ftell(file);
	rewind(file);
	data = palloc_extended(*len + 1, MCXT_ALLOC_HUGE);
	if (fread(data, 1, *len, file) != *len)
		elog(ERROR, "could not read \"%s\"", name);
	FreeFile(file);
	return data;
}

/* As mysql -B writes them; what an image lacks is "-". */
static void
append_image(StringInfo out, const MysqlBinlogImage *image)
{
	for (int i = 0; i < image->ncolumns; i++)
	{
		if (i > 0)
			appendStringInfoChar(out, '\t');
		if (!image->present[i])
			appendStringInfoChar(out, '-');
		else if (image->values[i] == NULL)
			appendStringInfoString(out, "NULL");
		else
		{
			for (Size j = 0; j < image->lengths[i]; j++)
			{
				char		c = image->values[i][j];

				if (c == '\0')
					appendStringInfoString(out, "\\0");
				else if (c == '\t')
					appendStringInfoString(out, "\\t");
				else if (c == '\n')
					appendStringInfoString(out, "\\n");
				else if (c == '\\')
					appendStringInfoString(out, "\\\\");
				else
					appendStringInfoChar(out, c);
			}
		}
	}
}

/* What is to be done with a column, or a table: "words" is from names. */
static void
apply_word(MysqlBinlogTable *table, int column, char *words)
{
	MysqlBinlogColumn *c = column < 0 ? NULL : &table->columns[column];

	if (c == NULL)
		table->followed = strcmp(words, "skip") != 0;
	else if (strcmp(words, "unsigned") == 0)
		c->is_unsigned = true;
	else if (strncmp(words, "collation ", 10) == 0)
		c->collation = atoi(words + 10);
	else if (strcmp(words, "uuid") == 0)
		c->plugin = MYSQL_BINLOG_PLUGIN_UUID;
	else if (strcmp(words, "inet4") == 0)
		c->plugin = MYSQL_BINLOG_PLUGIN_INET4;
	else if (strcmp(words, "inet6") == 0)
		c->plugin = MYSQL_BINLOG_PLUGIN_INET6;
	else if (strcmp(words, "unwanted") == 0)
		c->wanted = false;
	else if (strcmp(words, "identity") == 0)
		c->identity = table->lean_before = true;
	else
	{
		MysqlBinlogString members[64];
		int			n = 0;

		for (char *p = strtok(words, ","); p; p = strtok(NULL, ","))
		{
			members[n].data = p;
			members[n++].len = strlen(p);
		}
		FeathubMysqlBinlogSetMembers(table, column, n, members);
	}
}

/* Columns are named by their number from 1. */
static void
apply_names(MysqlBinlogTable *table, const char *names)
{
	char	   *copy = pstrdup(names);
	char	   *next;

	for (char *p = copy; p && *p; p = next)
	{
		char	   *equals;
		char	   *point;

		next = strchr(p, ';');
		if (next)
			*next++ = '\0';
		equals = strchr(p, '=');
		*equals++ = '\0';
		point = strchr(p, '.');
		if (point)
			*point++ = '\0';
		if (strlen(p) == table->name.len && memcmp(p, table->name.data, table->name.len) == 0)
			apply_word(table, point ? atoi(point) - 1 : -1, equals);
	}
	pfree(copy);
}

static void
append_table(StringInfo out, const MysqlBinlogTable *table)
{
	appendStringInfo(out, "TABLE %.*s.%.*s", (int) table->database.len, table->database.data,
					 (int) table->name.len, table->name.data);
	for (int i = 0; i < table->ncolumns; i++)
	{
		const MysqlBinlogColumn *c = &table->columns[i];

		appendStringInfo(out, " %.*s/%d", c->name.data ? (int) c->name.len : 1,
						 c->name.data ? c->name.data : "?", c->type);
		if (c->is_unsigned)
			appendStringInfoString(out, " unsigned");
		if (c->collation)
			appendStringInfo(out, " collation=%d", c->collation);
		if (!c->nullable)
			appendStringInfoString(out, " not null");
		if (c->key)
			appendStringInfo(out, " key=%d/%d", c->key, c->key_prefix);
		if (!c->visible)
			appendStringInfoString(out, " invisible");
		if (c->nmembers >= 0)
			appendStringInfo(out, " members=%d", c->nmembers);
		if (c->geometry >= 0)
			appendStringInfo(out, " geometry=%d", c->geometry);
	}
}

static void
append_string(StringInfo out, const char *name, MysqlBinlogString string)
{
	appendStringInfo(out, " %s=%.*s", name, (int) string.len, string.data ? string.data : "");
}

static void
append_transaction(StringInfo out, const char *what, const MysqlBinlogTransaction *transaction)
{
	appendStringInfo(out, "%s ", what);
	FeathubMysqlGtidAppend(out, &transaction->gtid);
	appendStringInfo(out, " time=" INT64_FORMAT "%s", transaction->commit_time,
					 transaction->exact_time ? "" : " (seconds)");
}

static void
append_item(StringInfo out, MysqlBinlogItemType type, const MysqlBinlogItem *item)
{
	static const char *const query_types[] = {"DDL", "DML", "XA COMMIT", "XA ROLLBACK", "OTHER"};
	static const char *const operations[] = {"INSERT", "UPDATE", "DELETE"};

	switch (type)
	{
		case MYSQL_BINLOG_BEGIN:
			append_transaction(out, "BEGIN", item->transaction);
			break;
		case MYSQL_BINLOG_COMMIT:
			append_transaction(out, "COMMIT", item->transaction);
			break;
		case MYSQL_BINLOG_ROLLBACK:
			append_transaction(out, "ROLLBACK", item->transaction);
			break;
		case MYSQL_BINLOG_PREPARE:
			append_transaction(out, "PREPARE", item->transaction);
			append_string(out, "xid", item->xid);
			break;
		case MYSQL_BINLOG_TABLE:
			append_table(out, item->table);
			break;
		case MYSQL_BINLOG_ROW:
			appendStringInfo(out, "%s %.*s " INT64_FORMAT "\t", operations[item->operation],
							 (int) item->table->name.len, item->table->name.data, item->row_number);
			if (item->before)
				append_image(out, item->before);
			if (item->before && item->after)
				appendStringInfoString(out, "\t=>\t");
			if (item->after)
				append_image(out, item->after);
			break;
		case MYSQL_BINLOG_SAVEPOINT:
			appendStringInfo(out, "SAVEPOINT %.*s row=" INT64_FORMAT, (int) item->name.len,
							 item->name.data, item->row_number);
			break;
		case MYSQL_BINLOG_ROLLBACK_TO:
			appendStringInfo(out, "ROLLBACK TO %.*s", (int) item->name.len, item->name.data);
			break;
		case MYSQL_BINLOG_QUERY:
			appendStringInfo(out, "QUERY %s", query_types[item->query_type]);
			append_string(out, "database", item->database);
			if (item->xid.len)
				append_string(out, "xid", item->xid);
			append_string(out, "query", item->query);
			break;
		case MYSQL_BINLOG_STATEMENT:
			append_string(out, "STATEMENT", item->query);
			break;
		case MYSQL_BINLOG_ROTATE:
			append_string(out, "ROTATE", item->file);
			appendStringInfo(out, " " UINT64_FORMAT, item->file_position);
			break;
		case MYSQL_BINLOG_HEARTBEAT:
			append_string(out, "HEARTBEAT", item->file);
			appendStringInfo(out, " " UINT64_FORMAT, item->file_position);
			break;
		case MYSQL_BINLOG_FORMAT:
			append_string(out, "FORMAT", item->server_version);
			break;
		case MYSQL_BINLOG_GTIDS:
			appendStringInfo(out, "GTIDS %s", item->gtids);
			break;
		case MYSQL_BINLOG_STOP:
			appendStringInfoString(out, "STOP");
			break;
		default:
			elog(ERROR, "unexpected item %d", type);
	}
	appendStringInfoChar(out, '\n');
}

/* All events of a file; out may be NULL.  Returns the number of rows. */
static int64
read_events(const char *data, Size len, bool mariadb, const char *names, StringInfo out)
{
	MysqlBinlogOptions options = {.mariadb = mariadb,.verify = out != NULL};
	MysqlBinlogReader *reader = FeathubMysqlBinlogMake(&options);
	MysqlBinlogItemType type;
	MysqlBinlogItem item;
	int64		rows = 0;
	Size		place = 4;		/* behind the magic number */

	while (place < len)
	{
		uint32		size = 0;

		CHECK_FOR_INTERRUPTS();
		if (len - place >= 13)
			memcpy(&size, data + place + 9, 4); /* little-endian machines will do */
		if (size < 19 || size > len - place)
			size = len - place;
		FeathubMysqlBinlogFeed(reader, data + place, size);
		place += size;
		while ((type = FeathubMysqlBinlogNext(reader, &item)) != MYSQL_BINLOG_END)
		{
			if (type == MYSQL_BINLOG_ERROR)
			{
				const char *hint;
				const char *error = FeathubMysqlBinlogError(reader, &hint);

				if (out == NULL)
					elog(ERROR, "%s", error);
				appendStringInfo(out, "ERROR%s %s%s%s\n",
								 FeathubMysqlBinlogUnsupported(reader) ? " (unsupported)" : "",
								 error, hint ? " HINT " : "", hint ? hint : "");
				return rows;
			}
			if (type == MYSQL_BINLOG_TABLE)
			{
				item.table->followed = true;
				apply_names(item.table, names);
			}
			rows += type == MYSQL_BINLOG_ROW;
			if (out)
				append_item(out, type, &item);
		}
	}
	return rows;
}

Datum
read_binlog(PG_FUNCTION_ARGS)
{
	Size		len;
	char	   *data = read_file(text_to_cstring(PG_GETARG_TEXT_PP(0)), &len);
	StringInfoData out;

	initStringInfo(&out);
	read_events(data, len, PG_GETARG_BOOL(1), text_to_cstring(PG_GETARG_TEXT_PP(2)), &out);
	PG_RETURN_TEXT_P(cstring_to_text_with_len(out.data, out.len));
}

Datum
read_binlog_speed(PG_FUNCTION_ARGS)
{
	Size		len;
	char	   *data = read_file(text_to_cstring(PG_GETARG_TEXT_PP(0)), &len);
	int			loops = PG_GETARG_INT32(2);
	struct rusage begin;
	struct rusage end;
	int64		rows = 0;

	getrusage(RUSAGE_SELF, &begin);
	for (int i = 0; i < loops; i++)
		rows += read_events(data, len, PG_GETARG_BOOL(1), "", NULL);
	getrusage(RUSAGE_SELF, &end);
	PG_RETURN_FLOAT8(rows / ((end.ru_utime.tv_sec - begin.ru_utime.tv_sec) +
							 (end.ru_stime.tv_sec - begin.ru_stime.tv_sec) +
							 ((end.ru_utime.tv_usec - begin.ru_utime.tv_usec) +
							  (end.ru_stime.tv_usec - begin.ru_stime.tv_usec)) / 1e6));
}

/*
 * gtid_set(mariadb bool, operation text, a text, b text): "parse" a, "union",
 * "includes", "encode" (hex, and what it is when read again).
 */
Datum
gtid_set(PG_FUNCTION_ARGS)
{
	bool		mariadb = PG_GETARG_BOOL(0);
	char	   *operation = text_to_cstring(PG_GETARG_TEXT_PP(1));
	MysqlGtidSet *a = FeathubMysqlGtidSetMake(mariadb);
	MysqlGtidSet *b = FeathubMysqlGtidSetMake(mariadb);
	char	   *error;
	StringInfoData out;

	initStringInfo(&out);
	if (!FeathubMysqlGtidSetParse(a, text_to_cstring(PG_GETARG_TEXT_PP(2)), &error) ||
		!FeathubMysqlGtidSetParse(b, text_to_cstring(PG_GETARG_TEXT_PP(3)), &error))
		PG_RETURN_TEXT_P(cstring_to_text(psprintf("ERROR %s", error)));
	if (strcmp(operation, "includes") == 0)
		appendStringInfoString(&out, FeathubMysqlGtidSetIncludes(a, b) ? "yes" : "no");
	else
	{
		if (strcmp(operation, "union") == 0)
			FeathubMysqlGtidSetUnion(a, b);
		if (strcmp(operation, "encode") == 0)
		{
			StringInfoData bytes;
			MysqlGtidSet *again = FeathubMysqlGtidSetMake(false);

			initStringInfo(&bytes);
			FeathubMysqlGtidSetEncode(&bytes, a);
			for (int i = 0; i < bytes.len; i++)
				appendStringInfo(&out, "%02x", (uint8) bytes.data[i]);
			appendStringInfoChar(&out, ' ');
			if (!FeathubMysqlGtidSetDecode(again, bytes.data, bytes.len, &error))
				elog(ERROR, "%s", error);
			a = again;
		}
		FeathubMysqlGtidSetAppend(&out, a);
	}
	PG_RETURN_TEXT_P(cstring_to_text_with_len(out.data, out.len));
}

Datum
compare_positions(PG_FUNCTION_ARGS)
{
	/* not linked with it: it needs the client library */
	int			(*compare) (const char *a, const char *b) = (int (*) (const char *, const char *))
		load_external_function("$libdir/feathub", "FeathubMysqlComparePositions", true, NULL);

	PG_RETURN_INT32(compare(text_to_cstring(PG_GETARG_TEXT_PP(0)),
							text_to_cstring(PG_GETARG_TEXT_PP(1))));
}
