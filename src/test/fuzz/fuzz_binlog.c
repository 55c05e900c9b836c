/*
 * fuzz_binlog.c
 *		What is fuzzed of the MySQL connector: binary logs, their JSON, GTIDs.
 *
 * A log's first byte says how it is read: 1 MariaDB, 2 without the columns that
 * have even numbers, 4 with members and types that a caller may add, 8 with lean
 * images before.  Then come events as in a file, without the magic number.
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "connectors/mysql/mysql_binlog_reader.h"
#include "fuzz.h"

#define MAX_ITEMS 10000

/* Look at every byte, so that the sanitizer does. */
static void
touch(const void *data, Size len)
{
	static volatile unsigned char sink pg_attribute_unused();

	for (Size i = 0; i < len; i++)
		sink ^= ((const unsigned char *) data)[i];
}

static void
touch_image(const MysqlBinlogImage *image)
{
	MysqlBinlogImage *copy;
	Size		bytes;

	for (int i = 0; i < image->ncolumns; i++)
	{
		if (image->values[i])
			touch(image->values[i], image->lengths[i]);
		else if (image->lengths[i] != 0)
			fuzz_fail("a null has a length");
		if (image->values[i] && !image->present[i])
			fuzz_fail("a column that is absent has a value");
	}
	copy = FeathubMysqlBinlogCopyImage(image, CurrentMemoryContext, &bytes);
	for (int i = 0; i < copy->ncolumns; i++)
	{
		if (copy->values[i] && copy->values[i][copy->lengths[i]] != '\0')
			fuzz_fail("a copied value does not end");
	}
	pfree(copy);
}

static void
touch_table(MysqlBinlogTable *table, int how)
{
	static const MysqlBinlogString members[] = {{"a", 1}, {"bc", 2}};

	touch(table->database.data, table->database.len);
	touch(table->name.data, table->name.len);
	table->followed = true;
	table->lean_before = (how & 8) != 0;
	for (int i = 0; i < table->ncolumns; i++)
	{
		MysqlBinlogColumn *column = &table->columns[i];
		MysqlField	field;

		touch(column->name.data, column->name.len);
		for (int j = 0; j < column->nmembers; j++)
			touch(column->members[j].data, column->members[j].len);
		FeathubMysqlBinlogField(column, &field);
		column->wanted = (how & 2) == 0 || i % 2 == 0;
		column->identity = i % 3 == 0;
		if ((how & 4) == 0)
			continue;
		if (column->nmembers < 0)
			FeathubMysqlBinlogSetMembers(table, i, lengthof(members), members);
		if (column->collation == 0)
			column->collation = i * 7 % 320;
		if (column->type == MYSQL_BINLOG_STRING)
			column->plugin = (MysqlBinlogPlugin) (i % 4);
	}
}

static void
touch_item(MysqlBinlogItemType type, MysqlBinlogItem *item, int how)
{
	StringInfoData text;

	initStringInfo(&text);
	if (item->transaction)
		FeathubMysqlGtidAppend(&text, &item->transaction->gtid);
	else if (type == MYSQL_BINLOG_ROW || type == MYSQL_BINLOG_COMMIT || type == MYSQL_BINLOG_BEGIN)
		fuzz_fail("item %d is in no transaction", type);
	if (type == MYSQL_BINLOG_TABLE)
		touch_table(item->table, how);
	if (item->before)
		touch_image(item->before);
	if (item->after)
		touch_image(item->after);
	touch(item->query.data, item->query.len);
	touch(item->database.data, item->database.len);
	touch(item->name.data, item->name.len);
	touch(item->xid.data, item->xid.len);
	touch(item->file.data, item->file.len);
	touch(item->server_version.data, item->server_version.len);
	if (item->gtids)
		touch(item->gtids, strlen(item->gtids));
	pfree(text.data);
}

void
FuzzBinlogRun(const char *data, Size len)
{
	int			how = len > 0 ? data[0] : 0;
	MysqlBinlogOptions options = {.mariadb = how & 1,.max_event = 16 * 1024 * 1024};
	MysqlBinlogReader *reader = FeathubMysqlBinlogMake(&options);
	bool		open = false;
	int			items = 0;
	Size		place = 1;

	while (place < len)
	{
		Size		size = len - place;
		char	   *exact;
		MysqlBinlogItemType type;
		MysqlBinlogItem item;

		if (size >= 13)
			size = Min(size, Max(get_little_endian((const uint8 *) data + place + 9, 4), 1));
		/* malloc: the sanitizer sees what is read behind it */
		exact = malloc(size);
		memcpy(exact, data + place, size);
		place += size;
		FeathubMysqlBinlogFeed(reader, exact, size);
		while ((type = FeathubMysqlBinlogNext(reader, &item)) != MYSQL_BINLOG_END &&
			   type != MYSQL_BINLOG_ERROR)
		{
			if (type == MYSQL_BINLOG_BEGIN)
			{
				if (open)
					fuzz_fail("a transaction begins in another");
				open = true;
			}
			if (type == MYSQL_BINLOG_COMMIT || type == MYSQL_BINLOG_ROLLBACK || type == MYSQL_BINLOG_PREPARE)
			{
				if (!open)
					fuzz_fail("a transaction ends that has not begun");
				open = false;
			}
			if (type == MYSQL_BINLOG_ROW && !open)
				fuzz_fail("a row is in no transaction");
			touch_item(type, &item, how);
			if (++items > MAX_ITEMS)
				break;
		}
		if (type == MYSQL_BINLOG_ERROR)
		{
			const char *hint;

			if (FeathubMysqlBinlogError(reader, &hint) == NULL)
				fuzz_fail("an error has no message");
			FeathubMysqlBinlogReset(reader);
			open = false;
		}
		else if (type != MYSQL_BINLOG_END)
		{
			free(exact);
			break;
		}
		free(exact);
	}
	/* and again, as after a lost connection */
	FeathubMysqlBinlogReset(reader);
}

/* A document, a byte 0xff, changes. */
void
FuzzBinlogJsonRun(const char *data, Size len)
{
	const char *border = len ? memchr(data, 0xff, len) : NULL;
	Size		first = border ? border - data : len;
	StringInfoData text;

	initStringInfo(&text);
	(void) FeathubMysqlJsonToText(&text, (const uint8 *) data, first);
	if (border)
	{
		resetStringInfo(&text);
		(void) FeathubMysqlJsonApply(&text, (const uint8 *) data, first,
									 (const uint8 *) border + 1, len - first - 1);
	}
}

/* Text or bytes of a set: what is read is written and read again. */
void
FuzzBinlogGtidRun(const char *data, Size len)
{
	bool		mariadb = len > 0 && data[0] == 'm';
	bool		binary = len > 0 && data[0] == 'b';
	MysqlGtidSet *set = FeathubMysqlGtidSetMake(mariadb);
	MysqlGtidSet *again = FeathubMysqlGtidSetMake(mariadb);
	MysqlGtidSet *decoded = FeathubMysqlGtidSetMake(false);
	StringInfoData text;
	StringInfoData second;
	char	   *error = NULL;

	if (len == 0)
		return;
	if (binary ? !FeathubMysqlGtidSetDecode(set, data + 1, len - 1, &error) :
		!FeathubMysqlGtidSetParse(set, pnstrdup(data + 1, len - 1), &error))
	{
		if (error == NULL)
			fuzz_fail("an error has no message");
		return;
	}
	initStringInfo(&text);
	initStringInfo(&second);
	FeathubMysqlGtidSetAppend(&text, set);
	if (!FeathubMysqlGtidSetParse(again, text.data, &error))
		fuzz_fail("what was written does not read: \"%s\": %s", text.data, error);
	FeathubMysqlGtidSetAppend(&second, again);
	if (strcmp(text.data, second.data) != 0)
		fuzz_fail("another set was read than written: \"%s\", \"%s\"", text.data, second.data);
	if (!FeathubMysqlGtidSetIncludes(set, again) || !FeathubMysqlGtidSetIncludes(again, set))
		fuzz_fail("equal sets differ: \"%s\"", text.data);
	if (mariadb)
		return;
	resetStringInfo(&second);
	FeathubMysqlGtidSetEncode(&second, set);
	if (!FeathubMysqlGtidSetDecode(decoded, second.data, second.len, &error))
		fuzz_fail("what was encoded does not decode: \"%s\"", text.data);
	resetStringInfo(&second);
	FeathubMysqlGtidSetAppend(&second, decoded);
	if (strcmp(text.data, second.data) != 0)
		fuzz_fail("another set was decoded than encoded: \"%s\", \"%s\"", text.data, second.data);
}
