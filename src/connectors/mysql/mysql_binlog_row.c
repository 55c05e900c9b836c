/*
 * mysql_binlog_row.c
 *		WRITE, UPDATE and DELETE events of binary logs: rows.
 *
 * An event has rows of one table: bitmaps of the columns that its images have,
 * then for each image a bitmap of nulls and the values.  Rows of tables that
 * nobody follows are passed over with their event.
 */
#include "postgres.h"

#include "port/pg_bitutils.h"
#include "utils/memutils.h"

#include "connectors/mysql/mysql_binlog_reader.h"

#define FLAG_STATEMENT_END	1
#define NO_TABLE			UINT64CONST(0xffffffffffff)

/* PARTIAL_UPDATE_ROWS: JSON may come as changes. */
#define OPTION_PARTIAL_JSON	1

static bool read_image(MysqlBinlogReader *reader, int which, bool lean);
static bool same_identity(const BinlogTable *table);
static bool read_changed_json(MysqlBinlogReader *reader, int column);

/* What a type of event has. */
static bool
sort_out_type(int type, MysqlBinlogOperation *operation, bool *has_extra, bool *compressed)
{
	*has_extra = *compressed = false;
	switch (type)
	{
		case BINLOG_WRITE_ROWS_COMPRESSED:
		case BINLOG_UPDATE_ROWS_COMPRESSED:
		case BINLOG_DELETE_ROWS_COMPRESSED:
			*compressed = true;
			/* FALLTHROUGH */
		case BINLOG_WRITE_ROWS:
		case BINLOG_UPDATE_ROWS:
		case BINLOG_DELETE_ROWS:
		case BINLOG_PARTIAL_UPDATE_ROWS:
			*has_extra = true;
			break;
		case BINLOG_WRITE_ROWS_COMPRESSED_V1:
		case BINLOG_UPDATE_ROWS_COMPRESSED_V1:
		case BINLOG_DELETE_ROWS_COMPRESSED_V1:
			*compressed = true;
			break;
		default:
			break;
	}
	switch (type)
	{
		case BINLOG_WRITE_ROWS:
		case BINLOG_WRITE_ROWS_V1:
		case BINLOG_WRITE_ROWS_COMPRESSED:
		case BINLOG_WRITE_ROWS_COMPRESSED_V1:
			*operation = MYSQL_BINLOG_INSERT;
			return true;
		case BINLOG_DELETE_ROWS:
		case BINLOG_DELETE_ROWS_V1:
		case BINLOG_DELETE_ROWS_COMPRESSED:
		case BINLOG_DELETE_ROWS_COMPRESSED_V1:
			*operation = MYSQL_BINLOG_DELETE;
			return true;
		default:
			*operation = MYSQL_BINLOG_UPDATE;
			return true;
	}
}

/* The columns that an image has; how many. */
static int
set_present(MysqlBinlogImage *image, const uint8 *columns)
{
	int			n = 0;

	for (int i = 0; i < image->ncolumns; i++)
	{
		image->present[i] = (columns[i / 8] >> (i % 8)) & 1;
		n += image->present[i];
	}
	image->complete = n == image->ncolumns;
	return n;
}

bool
FeathubMysqlBinlogReadRows(MysqlBinlogReader *reader)
{
	BinlogCursor *body = &reader->event.body;
	BinlogRows *rows = &reader->rows;
	uint64		id = cursor_number(body, 6);
	int			flags = cursor_number(body, 2);
	bool		has_extra;
	bool		compressed;
	uint64		ncolumns;
	BinlogTable *table;
	Size		bitmap;

	sort_out_type(reader->event.type, &rows->operation, &has_extra, &compressed);
	rows->statement_end = (flags & FLAG_STATEMENT_END) != 0;
	rows->partial = reader->event.type == BINLOG_PARTIAL_UPDATE_ROWS;
	if (has_extra)
	{
		/* partitions, and what NDB adds; the length counts itself */
		int			extra = cursor_number(body, 2);

		if (extra < 2)
			body->bad = true;
		else
			cursor_bytes(body, extra - 2);
	}
	ncolumns = cursor_packed(body);
	if (body->bad)
		return FeathubMysqlBinlogFail(reader, "event of rows is malformed");
	if (reader->state != BINLOG_OPEN)
		return FeathubMysqlBinlogFail(reader, "rows come outside of a transaction");
	if (id == NO_TABLE)
	{
		if (rows->statement_end)
			FeathubMysqlBinlogEndStatement(reader);
		return true;
	}
	table = FeathubMysqlBinlogFindTable(reader, id);
	if (table == NULL)
		return false;
	if (!table->pub.followed)
	{
		if (rows->statement_end)
			FeathubMysqlBinlogEndStatement(reader);
		return true;
	}
	if (ncolumns != table->pub.ncolumns)
		return FeathubMysqlBinlogFail(reader, "rows have " UINT64_FORMAT " columns, but table \"%.*s\" was described with %d",
									  ncolumns, (int) Min(table->pub.name.len, 200),
									  table->pub.name.data, table->pub.ncolumns);
	bitmap = (ncolumns + 7) / 8;
	rows->table = table;
	rows->columns[0] = cursor_bytes(body, bitmap);
	rows->columns[1] = rows->operation == MYSQL_BINLOG_UPDATE ? cursor_bytes(body, bitmap) :
		rows->columns[0];
	if (body->bad)
		return FeathubMysqlBinlogFail(reader, "event of rows is malformed");
	if (compressed && !FeathubMysqlBinlogInflateEvent(reader, body))
		return false;
	for (int i = 0; i < 2; i++)
		rows->npresent[i] = set_present(&table->images[i], rows->columns[i]);
	if (!table->codecs_ready)
		FeathubMysqlBinlogMakeCodecs(table);
	if (rows->partial && table->json_data == NULL)
	{
		table->json_data = MemoryContextAllocZero(table->context, sizeof(uint8 *) * ncolumns);
		table->json_len = MemoryContextAllocZero(table->context, sizeof(uint32) * ncolumns);
	}
	rows->cursor = *body;
	rows->active = true;
	return true;
}

int
FeathubMysqlBinlogNextRow(MysqlBinlogReader *reader, MysqlBinlogItem *item)
{
	BinlogRows *rows = &reader->rows;
	BinlogTable *table = rows->table;
	BinlogCursor begin = rows->cursor;
	bool		lean = table->pub.lean_before && rows->operation == MYSQL_BINLOG_UPDATE;

	if (begin.p == begin.end)
		return 0;
	if (reader->row_context_used)
	{
		MemoryContextReset(reader->row_context);
		reader->row_context_used = false;
	}
	memset(item, 0, sizeof(MysqlBinlogItem));
	if (rows->operation != MYSQL_BINLOG_INSERT)
	{
		if (!read_image(reader, 0, lean))
			return -1;
		item->before = &table->images[0];
	}
	if (rows->operation != MYSQL_BINLOG_DELETE)
	{
		if (!read_image(reader, 1, false))
			return -1;
		item->after = &table->images[1];
	}
	if (lean && unlikely(!same_identity(table)))
	{
		BinlogCursor end = rows->cursor;

		rows->cursor = begin;
		if (!read_image(reader, 0, false))
			return -1;
		rows->cursor = end;
	}
	/* rows without columns and bytes would never end */
	if (rows->cursor.p == begin.p)
	{
		FeathubMysqlBinlogFail(reader, "event of rows is malformed");
		return -1;
	}
	item->transaction = &reader->transaction;
	item->table = &table->pub;
	item->operation = rows->operation;
	item->row_number = reader->row_number++;
	return 1;
}

/* Of an image after: which columns of JSON come as changes; false: none do. */
static bool
read_partial_bits(MysqlBinlogReader *reader, const uint8 **bits)
{
	BinlogCursor *cursor = &reader->rows.cursor;
	uint64		options = cursor_packed(cursor);

	*bits = NULL;
	if (options & ~(uint64) OPTION_PARTIAL_JSON)
		cursor->bad = true;
	else if (options & OPTION_PARTIAL_JSON)
		*bits = cursor_bytes(cursor, (reader->rows.table->njson + 7) / 8);
	return !cursor->bad;
}

/* Does a row have the same values before and after in columns that identify it? */
static bool
same_identity(const BinlogTable *table)
{
	const MysqlBinlogImage *before = &table->images[0];
	const MysqlBinlogImage *after = &table->images[1];

	for (int i = 0; i < table->pub.ncolumns; i++)
	{
		if (!table->pub.columns[i].identity)
			continue;
		if (before->lengths[i] != after->lengths[i] ||
			(before->values[i] == NULL) != (after->values[i] == NULL) ||
			(before->values[i] && memcmp(before->values[i], after->values[i],
										 after->lengths[i]) != 0))
			return false;
	}
	return true;
}

/* A value that is not null; passed over only, if it is not wanted. */
static inline bool
read_value(BinlogPlace *place, int i, BinlogCursor *cursor, bool wanted)
{
	const BinlogCodec *codec = &place->table->codecs[i];
	uint64		size = codec->prefix > 0 ? cursor_number(cursor, codec->prefix) : codec->size;
	const uint8 *data = cursor_bytes(cursor, size);

	return likely(data != NULL) && (!wanted || codec->read(place, i, data, size));
}

/* Lean: only values of columns that identify rows. */
static bool
read_image(MysqlBinlogReader *reader, int which, bool lean)
{
	BinlogRows *rows = &reader->rows;
	BinlogTable *table = rows->table;
	MysqlBinlogImage *image = &table->images[which];
	BinlogCursor *cursor = &rows->cursor;
	BinlogPlace place = {reader, table, image, table->text[which]};
	const uint8 *partial = NULL;
	const uint8 *nulls;
	int			json = 0;
	int			bit = 0;

	if (rows->partial && which == 1 && !read_partial_bits(reader, &partial))
		goto malformed;
	nulls = cursor_bytes(cursor, (rows->npresent[which] + 7) / 8);
	if (nulls == NULL)
		goto malformed;
	for (int i = 0; i < image->ncolumns; i++)
	{
		const MysqlBinlogColumn *column = &table->pub.columns[i];
		bool		is_json = column->type == MYSQL_BINLOG_JSON;
		bool		changes = false;

		/* bits are for all columns of JSON, present or not */
		if (partial && is_json)
		{
			changes = (partial[json / 8] >> (json % 8)) & 1;
			json++;
		}
		if (rows->partial && which == 0)
			table->json_data[i] = NULL;
		image->values[i] = NULL;
		image->lengths[i] = 0;
		if (!image->present[i])
			continue;
		if ((nulls[bit / 8] >> (bit % 8)) & 1)
		{
			bit++;
			continue;
		}
		bit++;
		if (unlikely(changes))
		{
			if (!read_changed_json(reader, i))
				return false;
		}
		else
		{
			const uint8 *begin = cursor->p;

			if (unlikely(!read_value(&place, i, cursor,
									 column->wanted && (!lean || column->identity))))
			{
				if (reader->error)
					return false;
				goto malformed;
			}
			if (rows->partial && which == 0 && is_json)
			{
				table->json_data[i] = begin + table->codecs[i].prefix;
				table->json_len[i] = cursor->p - table->json_data[i];
			}
		}
	}
	return true;

malformed:
	return FeathubMysqlBinlogFail(reader, "row of table \"%.*s\" is malformed",
								  (int) Min(table->pub.name.len, 200), table->pub.name.data);
}

/* A document as changes of the one in the image before. */
static bool
read_changed_json(MysqlBinlogReader *reader, int i)
{
	BinlogTable *table = reader->rows.table;
	BinlogCursor *cursor = &reader->rows.cursor;
	uint64		len = cursor_number(cursor, 4);
	const uint8 *diffs = cursor_bytes(cursor, len);
	MysqlBinlogImage *image = &table->images[1];
	MemoryContext old;
	StringInfoData text;
	bool		good;

	if (diffs == NULL)
		return FeathubMysqlBinlogFail(reader, "row of table \"%.*s\" is malformed",
									  (int) Min(table->pub.name.len, 200), table->pub.name.data);
	if (table->json_data[i] == NULL)
		return FeathubMysqlBinlogRefuse(reader, "Set binlog_row_image to FULL, or binlog_row_value_options to '', and begin anew.",
										"column %d of table \"%.*s\" comes as changes of a document that the log does not have",
										i + 1, (int) Min(table->pub.name.len, 200),
										table->pub.name.data);
	if (!table->pub.columns[i].wanted)
		return true;
	old = MemoryContextSwitchTo(reader->row_context);
	reader->row_context_used = true;
	initStringInfo(&text);
	good = FeathubMysqlJsonApply(&text, table->json_data[i], table->json_len[i], diffs, len);
	MemoryContextSwitchTo(old);
	if (!good)
		return FeathubMysqlBinlogFail(reader, "changes of a document in column %d of table \"%.*s\" do not fit it",
									  i + 1, (int) Min(table->pub.name.len, 200),
									  table->pub.name.data);
	image->values[i] = text.data;
	image->lengths[i] = text.len;
	return true;
}
