/*
 * mysql_binlog_table.c
 *		TABLE_MAP events of binary logs: what the columns of a table are.
 *
 * The server describes a table before each statement that changes it, most
 * often with the same bytes.  Tables are kept by their number, and what was said
 * of them is only read again when it differs.  Rows need a table that was
 * described in their own statement.
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "connectors/mysql/mysql_binlog_reader.h"
#include "connectors/mysql/mysql_library.h"

/* More tables, or more memory for them, and those not in use are forgotten. */
#define MAX_TABLES			4000
#define MAX_TABLE_MEMORY	((Size) 64 * 1024 * 1024)
#define MAX_ACTIVE_MEMORY	((Size) 512 * 1024 * 1024)

/* The number of events without rows. */
#define NO_TABLE			UINT64CONST(0xffffffffffff)

/* What is told of columns, by number. */
enum
{
	META_SIGNEDNESS = 1,
	META_DEFAULT_CHARSET,
	META_COLUMN_CHARSET,
	META_COLUMN_NAME,
	META_SET_MEMBERS,
	META_ENUM_MEMBERS,
	META_GEOMETRY_TYPE,
	META_SIMPLE_KEY,
	META_KEY_WITH_PREFIX,
	META_ENUM_SET_DEFAULT_CHARSET,
	META_ENUM_SET_COLUMN_CHARSET,
	META_VISIBILITY
};

typedef struct TableEntry
{
	uint64		id;				/* the hash key */
	BinlogTable *table;
} TableEntry;

static BinlogTable *parse_table(MysqlBinlogReader *reader, uint64 id, BinlogCursor body);
static bool parse_types(MysqlBinlogReader *reader, BinlogTable *table, BinlogCursor *body);
static bool parse_metadata(MysqlBinlogReader *reader, BinlogTable *table, BinlogCursor *body);
static void free_table(MysqlBinlogReader *reader, BinlogTable *table);
static void make_room(MysqlBinlogReader *reader);

/* The cache */

static HTAB *
get_tables(MysqlBinlogReader *reader)
{
	if (reader->tables == NULL)
	{
		HASHCTL		ctl = {.keysize = sizeof(uint64),.entrysize = sizeof(TableEntry),
		.hcxt = reader->context};

		reader->tables = hash_create("feathub mysql binlog tables", 64, &ctl,
									 HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	}
	return reader->tables;
}

bool
FeathubMysqlBinlogReadTable(MysqlBinlogReader *reader)
{
	BinlogCursor body = reader->event.body;
	uint64		id = cursor_number(&body, 6);
	BinlogTable *table;
	TableEntry *entry;
	bool		found;

	cursor_number(&body, 2);	/* flags */
	if (body.bad)
		return FeathubMysqlBinlogFail(reader, "description of a table is malformed");
	if (reader->state != BINLOG_OPEN)
		return FeathubMysqlBinlogFail(reader, "rows come outside of a transaction");
	if (id == NO_TABLE)
		return true;
	table = reader->last_table;
	if (table == NULL || table->pub.id != id)
	{
		entry = hash_search(get_tables(reader), &id, HASH_FIND, NULL);
		table = entry ? entry->table : NULL;
	}
	if (table && table->body_len == cursor_left(&body) &&
		memcmp(table->body, body.p, table->body_len) == 0)
	{
		reader->nactive += !table->active;
		table->active = true;
		reader->last_table = table;
		return true;
	}

	if (table)
		free_table(reader, table);
	make_room(reader);
	if (reader->error)
		return false;
	table = parse_table(reader, id, body);
	if (table == NULL)
		return false;
	entry = hash_search(get_tables(reader), &id, HASH_ENTER, &found);
	entry->table = table;
	table->active = true;
	reader->nactive++;
	reader->last_table = table;
	FeathubMysqlBinlogAddItem(reader, MYSQL_BINLOG_TABLE)->table = &table->pub;
	return true;
}

BinlogTable *
FeathubMysqlBinlogFindTable(MysqlBinlogReader *reader, uint64 id)
{
	BinlogTable *table = reader->last_table;

	if (table == NULL || table->pub.id != id)
	{
		TableEntry *entry = hash_search(get_tables(reader), &id, HASH_FIND, NULL);

		table = entry ? entry->table : NULL;
	}
	if (table == NULL || !table->active)
	{
		FeathubMysqlBinlogFail(reader, "rows of table number " UINT64_FORMAT ", which was not described", id);
		return NULL;
	}
	reader->last_table = table;
	return table;
}

void
FeathubMysqlBinlogEndStatement(MysqlBinlogReader *reader)
{
	HASH_SEQ_STATUS status;
	TableEntry *entry;

	if (reader->nactive == 0)
		return;
	if (reader->nactive == 1 && reader->last_table && reader->last_table->active)
		reader->last_table->active = false;
	else
	{
		hash_seq_init(&status, reader->tables);
		while ((entry = hash_seq_search(&status)) != NULL)
			entry->table->active = false;
	}
	reader->nactive = 0;
}

static void
free_table(MysqlBinlogReader *reader, BinlogTable *table)
{
	if (reader->forget)
		reader->forget(&table->pub, reader->forget_arg);
	hash_search(reader->tables, &table->pub.id, HASH_REMOVE, NULL);
	reader->table_memory -= table->memory;
	reader->nactive -= table->active;
	if (reader->last_table == table)
		reader->last_table = NULL;
	MemoryContextDelete(table->context);
}

void
FeathubMysqlBinlogForgetTables(MysqlBinlogReader *reader)
{
	HASH_SEQ_STATUS status;
	TableEntry *entry;

	if (reader->tables == NULL)
		return;
	hash_seq_init(&status, reader->tables);
	while ((entry = hash_seq_search(&status)) != NULL)
		free_table(reader, entry->table);
}

/* Forget what the current statement does not need, if there is too much. */
static void
make_room(MysqlBinlogReader *reader)
{
	HASH_SEQ_STATUS status;
	TableEntry *entry;

	if (hash_get_num_entries(get_tables(reader)) < MAX_TABLES &&
		reader->table_memory < MAX_TABLE_MEMORY)
		return;
	hash_seq_init(&status, reader->tables);
	while ((entry = hash_seq_search(&status)) != NULL)
	{
		if (!entry->table->active)
			free_table(reader, entry->table);
	}
	if (reader->table_memory > MAX_ACTIVE_MEMORY)
		FeathubMysqlBinlogFail(reader, "a statement changes too many tables");
}

/* Reading */

static BinlogTable *
parse_table(MysqlBinlogReader *reader, uint64 id, BinlogCursor body)
{
	MemoryContext context;
	MemoryContext old;
	BinlogTable *table;
	const char *whole = (const char *) body.p;
	Size		whole_len = cursor_left(&body);
	bool		good;

	context = AllocSetContextCreate(reader->context, "feathub mysql binlog table",
									ALLOCSET_SMALL_SIZES);
	old = MemoryContextSwitchTo(context);
	table = palloc0(sizeof(BinlogTable));
	table->context = context;
	table->pub.id = id;

	/* names and strings stay in the copy */
	table->body = palloc_extended(Max(whole_len, 1), MCXT_ALLOC_HUGE);
	memcpy(table->body, whole, whole_len);
	table->body_len = whole_len;
	body.p = (uint8 *) table->body;
	body.end = body.p + whole_len;

	table->pub.database = cursor_string(&body, cursor_packed(&body));
	cursor_bytes(&body, 1);
	table->pub.name = cursor_string(&body, cursor_packed(&body));
	cursor_bytes(&body, 1);
	good = parse_types(reader, table, &body) && parse_metadata(reader, table, &body);
	if (good)
	{
		for (int i = 0; i < 2; i++)
		{
			MysqlBinlogImage *image = &table->images[i];

			image->ncolumns = table->pub.ncolumns;
			image->values = palloc0(sizeof(char *) * image->ncolumns);
			image->lengths = palloc0(sizeof(unsigned long) * image->ncolumns);
			image->present = palloc0(sizeof(bool) * image->ncolumns);
			table->text[i] = palloc(FeathubMysqlBinlogTextSize(&table->pub));
		}
	}
	MemoryContextSwitchTo(old);
	if (!good)
	{
		FeathubMysqlBinlogFail(reader, "description of a table is malformed");
		MemoryContextDelete(context);
		return NULL;
	}
	table->memory = MemoryContextMemAllocated(context, false);
	reader->table_memory += table->memory;
	return table;
}

/* Bytes of metadata that a column of the type has; -1: no such type. */
static int
metadata_size(int type)
{
	switch (type)
	{
		case MYSQL_BINLOG_FLOAT:
		case MYSQL_BINLOG_DOUBLE:
		case MYSQL_BINLOG_TINY_BLOB:
		case MYSQL_BINLOG_MEDIUM_BLOB:
		case MYSQL_BINLOG_LONG_BLOB:
		case MYSQL_BINLOG_BLOB:
		case MYSQL_BINLOG_BLOB_COMPRESSED:
		case MYSQL_BINLOG_JSON:
		case MYSQL_BINLOG_GEOMETRY:
		case MYSQL_BINLOG_VECTOR:
		case MYSQL_BINLOG_TIMESTAMP2:
		case MYSQL_BINLOG_DATETIME2:
		case MYSQL_BINLOG_TIME2:
			return 1;
		case MYSQL_BINLOG_VARCHAR:
		case MYSQL_BINLOG_VARCHAR_COMPRESSED:
		case MYSQL_BINLOG_VAR_STRING:
		case MYSQL_BINLOG_STRING:
		case MYSQL_BINLOG_ENUM:
		case MYSQL_BINLOG_SET:
		case MYSQL_BINLOG_BIT:
		case MYSQL_BINLOG_DECIMAL:
			return 2;
		case MYSQL_BINLOG_TINY:
		case MYSQL_BINLOG_SHORT:
		case MYSQL_BINLOG_INT24:
		case MYSQL_BINLOG_LONG:
		case MYSQL_BINLOG_LONGLONG:
		case MYSQL_BINLOG_NULL:
		case MYSQL_BINLOG_TIMESTAMP:
		case MYSQL_BINLOG_DATE:
		case MYSQL_BINLOG_NEWDATE:
		case MYSQL_BINLOG_TIME:
		case MYSQL_BINLOG_DATETIME:
		case MYSQL_BINLOG_YEAR:
			return 0;
		default:
			return -1;
	}
}

/* CHAR, BINARY, ENUM and SET share a type; long CHARs hide bits of their length in it. */
static bool
parse_string_type(MysqlBinlogColumn *column, const uint8 *meta)
{
	int			type = meta[0];
	int			len = meta[1];

	if ((type & 0x30) != 0x30)
	{
		len |= ((type & 0x30) ^ 0x30) << 4;
		type |= 0x30;
	}
	column->type = type;
	column->metadata = len;
	if (type == MYSQL_BINLOG_ENUM)
		return len == 1 || len == 2;
	if (type == MYSQL_BINLOG_SET)
		return len >= 1 && len <= 8;
	column->type = MYSQL_BINLOG_STRING;
	return type == MYSQL_BINLOG_STRING || type == MYSQL_BINLOG_VAR_STRING;
}

static bool
parse_column_type(MysqlBinlogColumn *column, int type, const uint8 *meta)
{
	column->type = type;
	switch (type)
	{
		case MYSQL_BINLOG_STRING:
		case MYSQL_BINLOG_ENUM:
		case MYSQL_BINLOG_SET:
			return parse_string_type(column, meta);
		case MYSQL_BINLOG_DECIMAL:
			column->metadata = meta[0] << 8 | meta[1];
			return meta[0] >= 1 && meta[0] <= 65 && meta[1] <= 38 && meta[1] <= meta[0];
		case MYSQL_BINLOG_BIT:
			column->metadata = meta[1] * 8 + meta[0];
			return meta[0] < 8 && column->metadata >= 1 && column->metadata <= 64;
		case MYSQL_BINLOG_TIMESTAMP2:
		case MYSQL_BINLOG_DATETIME2:
		case MYSQL_BINLOG_TIME2:
			column->metadata = meta[0];
			return meta[0] <= 6;
		case MYSQL_BINLOG_TINY_BLOB:
		case MYSQL_BINLOG_MEDIUM_BLOB:
		case MYSQL_BINLOG_LONG_BLOB:
		case MYSQL_BINLOG_BLOB:
		case MYSQL_BINLOG_BLOB_COMPRESSED:
		case MYSQL_BINLOG_JSON:
		case MYSQL_BINLOG_GEOMETRY:
		case MYSQL_BINLOG_VECTOR:
			column->metadata = meta[0];
			return meta[0] >= 1 && meta[0] <= 4;
		case MYSQL_BINLOG_VARCHAR:
		case MYSQL_BINLOG_VARCHAR_COMPRESSED:
		case MYSQL_BINLOG_VAR_STRING:
			column->metadata = meta[0] | meta[1] << 8;
			return true;
		default:
			return true;
	}
}

static bool
parse_types(MysqlBinlogReader *reader, BinlogTable *table, BinlogCursor *body)
{
	uint64		ncolumns = cursor_packed(body);
	const uint8 *types = cursor_bytes(body, ncolumns);
	BinlogCursor meta = {NULL, NULL, false};
	const uint8 *nullable;
	uint64		meta_len;

	if (body->bad || ncolumns < 1 || ncolumns > BINLOG_MAX_COLUMNS)
		return false;
	meta_len = cursor_packed(body);
	meta.p = cursor_bytes(body, meta_len);
	nullable = cursor_bytes(body, (ncolumns + 7) / 8);
	if (body->bad)
		return false;
	meta.end = meta.p + meta_len;
	table->pub.ncolumns = ncolumns;
	table->pub.columns = palloc0(sizeof(MysqlBinlogColumn) * ncolumns);
	for (int i = 0; i < ncolumns; i++)
	{
		MysqlBinlogColumn *column = &table->pub.columns[i];
		int			size = metadata_size(types[i]);
		const uint8 *p;

		if (size < 0)
			return FeathubMysqlBinlogRefuse(reader, NULL, "column %d of table \"%.*s\" has type %d, which is not supported",
											i + 1, (int) Min(table->pub.name.len, 200),
											table->pub.name.data, types[i]);
		p = cursor_bytes(&meta, size);
		if (p == NULL || !parse_column_type(column, types[i], p))
			return false;
		column->nullable = (nullable[i / 8] >> (i % 8)) & 1;
		column->visible = true;
		column->wanted = true;
		column->nmembers = -1;
		column->geometry = -1;
		table->njson += column->type == MYSQL_BINLOG_JSON;
	}
	return cursor_left(&meta) == 0;
}

static bool
is_number(const MysqlBinlogColumn *column)
{
	switch (column->type)
	{
		case MYSQL_BINLOG_TINY:
		case MYSQL_BINLOG_SHORT:
		case MYSQL_BINLOG_INT24:
		case MYSQL_BINLOG_LONG:
		case MYSQL_BINLOG_LONGLONG:
		case MYSQL_BINLOG_FLOAT:
		case MYSQL_BINLOG_DOUBLE:
		case MYSQL_BINLOG_DECIMAL:
		case MYSQL_BINLOG_YEAR:
			return true;
		default:
			return false;
	}
}

static bool
is_text(const MysqlBinlogColumn *column)
{
	switch (column->type)
	{
		case MYSQL_BINLOG_STRING:
		case MYSQL_BINLOG_VAR_STRING:
		case MYSQL_BINLOG_VARCHAR:
		case MYSQL_BINLOG_VARCHAR_COMPRESSED:
		case MYSQL_BINLOG_TINY_BLOB:
		case MYSQL_BINLOG_MEDIUM_BLOB:
		case MYSQL_BINLOG_LONG_BLOB:
		case MYSQL_BINLOG_BLOB:
		case MYSQL_BINLOG_BLOB_COMPRESSED:
			return true;
		default:
			return false;
	}
}

/* What has a collation in the log: each server adds a type that is no text. */
static bool
has_collation_in_mariadb(const MysqlBinlogColumn *column)
{
	return is_text(column) || column->type == MYSQL_BINLOG_GEOMETRY;
}

static bool
has_collation_in_mysql(const MysqlBinlogColumn *column)
{
	return is_text(column) || column->type == MYSQL_BINLOG_VECTOR;
}

static bool
is_list(const MysqlBinlogColumn *column)
{
	return column->type == MYSQL_BINLOG_ENUM || column->type == MYSQL_BINLOG_SET;
}

static bool
is_enum(const MysqlBinlogColumn *column)
{
	return column->type == MYSQL_BINLOG_ENUM;
}

static bool
is_set(const MysqlBinlogColumn *column)
{
	return column->type == MYSQL_BINLOG_SET;
}

static bool
is_geometry(const MysqlBinlogColumn *column)
{
	return column->type == MYSQL_BINLOG_GEOMETRY;
}

static bool
is_any(const MysqlBinlogColumn *column)
{
	return true;
}

/*
 * The next column of a kind from *place on, or NULL: what is told of columns is
 * told of those of a kind, in order.
 */
static MysqlBinlogColumn *
next_column(BinlogTable *table, bool (*kind) (const MysqlBinlogColumn *), int *place)
{
	while (*place < table->pub.ncolumns)
	{
		MysqlBinlogColumn *column = &table->pub.columns[(*place)++];

		if (kind(column))
			return column;
	}
	return NULL;
}

static bool
parse_bits(BinlogTable *table, BinlogCursor *field, bool signedness)
{
	MysqlBinlogColumn *column;
	int			place = 0;
	int			bit = 0;

	while ((column = next_column(table, signedness ? is_number : is_any, &place)) != NULL)
	{
		bool		set;

		if (bit / 8 >= cursor_left(field))
			return false;
		set = (field->p[bit / 8] >> (7 - bit % 8)) & 1;
		bit++;
		if (signedness)
		{
			column->is_unsigned = set;
			column->sign_known = true;
		}
		else
			column->visible = set;
	}
	return true;
}

/* A collation for all columns of a kind, and exceptions by their number. */
static bool
parse_default_charset(BinlogTable *table, BinlogCursor *field,
					  bool (*kind) (const MysqlBinlogColumn *))
{
	uint64		collation = cursor_packed(field);
	MysqlBinlogColumn *column;
	int			place = 0;
	int			number = 0;
	uint64		exception = PG_UINT64_MAX;
	bool		more = cursor_left(field) > 0;

	if (collation > PG_UINT16_MAX)
		return false;
	if (more)
		exception = cursor_packed(field);
	while ((column = next_column(table, kind, &place)) != NULL)
	{
		column->collation = collation;
		if (number++ == exception)
		{
			uint64		own = cursor_packed(field);

			if (own > PG_UINT16_MAX)
				return false;
			column->collation = own;
			exception = cursor_left(field) > 0 ? cursor_packed(field) : PG_UINT64_MAX;
		}
	}
	return cursor_left(field) == 0 && exception == PG_UINT64_MAX;
}

static bool
parse_charsets(BinlogTable *table, BinlogCursor *field, bool (*kind) (const MysqlBinlogColumn *))
{
	MysqlBinlogColumn *column;
	int			place = 0;

	while ((column = next_column(table, kind, &place)) != NULL)
	{
		uint64		collation = cursor_packed(field);

		if (collation > PG_UINT16_MAX)
			return false;
		column->collation = collation;
	}
	return cursor_left(field) == 0;
}

static bool
parse_names(BinlogTable *table, BinlogCursor *field)
{
	for (int i = 0; i < table->pub.ncolumns && !field->bad; i++)
		table->pub.columns[i].name = cursor_string(field, cursor_packed(field));
	table->pub.has_names = true;
	return cursor_left(field) == 0;
}

static bool
parse_members(BinlogTable *table, BinlogCursor *field, bool (*kind) (const MysqlBinlogColumn *))
{
	MysqlBinlogColumn *column;
	int			place = 0;

	while ((column = next_column(table, kind, &place)) != NULL)
	{
		uint64		n = cursor_packed(field);

		/* each takes a byte at least */
		if (field->bad || n > cursor_left(field) || n > PG_UINT16_MAX)
			return false;
		column->members = palloc(sizeof(MysqlBinlogString) * Max(n, 1));
		column->nmembers = n;
		for (int i = 0; i < n; i++)
			column->members[i] = cursor_string(field, cursor_packed(field));
		if (field->bad)
			return false;
	}
	return cursor_left(field) == 0;
}

static bool
parse_key(BinlogTable *table, BinlogCursor *field, bool prefixes)
{
	int			place = 0;

	while (cursor_left(field) > 0)
	{
		uint64		column = cursor_packed(field);
		uint64		prefix = prefixes ? cursor_packed(field) : 0;

		if (field->bad || column >= table->pub.ncolumns || prefix > PG_INT32_MAX)
			return false;
		table->pub.columns[column].key = ++place;
		table->pub.columns[column].key_prefix = prefix;
	}
	table->pub.has_key = place > 0;
	return true;
}

static bool
parse_geometry(BinlogTable *table, BinlogCursor *field)
{
	MysqlBinlogColumn *column;
	int			place = 0;

	while ((column = next_column(table, is_geometry, &place)) != NULL)
		column->geometry = cursor_packed(field) & 0xff;
	return cursor_left(field) == 0;
}

static bool
parse_field(BinlogTable *table, bool mariadb, int type, BinlogCursor *field)
{
	bool		(*has_collation) (const MysqlBinlogColumn *) =
		mariadb ? has_collation_in_mariadb : has_collation_in_mysql;

	switch (type)
	{
		case META_SIGNEDNESS:
			table->pub.has_signs = true;
			return parse_bits(table, field, true);
		case META_DEFAULT_CHARSET:
			return parse_default_charset(table, field, has_collation);
		case META_COLUMN_CHARSET:
			return parse_charsets(table, field, has_collation);
		case META_COLUMN_NAME:
			return parse_names(table, field);
		case META_SET_MEMBERS:
			return parse_members(table, field, is_set);
		case META_ENUM_MEMBERS:
			return parse_members(table, field, is_enum);
		case META_GEOMETRY_TYPE:
			return parse_geometry(table, field);
		case META_SIMPLE_KEY:
			return parse_key(table, field, false);
		case META_KEY_WITH_PREFIX:
			return parse_key(table, field, true);
		case META_ENUM_SET_DEFAULT_CHARSET:
			return parse_default_charset(table, field, is_list);
		case META_ENUM_SET_COLUMN_CHARSET:
			return parse_charsets(table, field, is_list);
		case META_VISIBILITY:
			return parse_bits(table, field, false);
		default:
			/* it tells more of columns, but does not change how rows are read */
			return true;
	}
}

/* Members are told in the column's character set. */
static bool
convert_members(MysqlBinlogReader *reader, MysqlBinlogColumn *column)
{
	const MysqlCharset *charset = FeathubMysqlCharset(column->collation);

	if (charset->kind == MYSQL_CHARSET_UNKNOWN)
		return true;
	for (int i = 0; i < column->nmembers; i++)
	{
		MysqlBinlogString *member = &column->members[i];
		char	   *error;

		if (!FeathubMysqlCharsetToUtf8(charset, member->data, member->len,
									   &member->data, &member->len, &error))
			return FeathubMysqlBinlogRefuse(reader, NULL, "%s", error);
	}
	return true;
}

static bool
parse_metadata(MysqlBinlogReader *reader, BinlogTable *table, BinlogCursor *body)
{
	while (cursor_left(body) > 0)
	{
		int			type = cursor_number(body, 1);
		uint64		len = cursor_packed(body);
		BinlogCursor field = {cursor_bytes(body, len), NULL, false};

		if (body->bad)
			return false;
		field.end = field.p + len;
		if (!parse_field(table, reader->options.mariadb, type, &field) || field.bad)
			return false;
	}
	for (int i = 0; i < table->pub.ncolumns; i++)
	{
		if (table->pub.columns[i].nmembers > 0 &&
			!convert_members(reader, &table->pub.columns[i]))
			return false;
	}
	return true;
}

/* What callers add */

void
FeathubMysqlBinlogSetMembers(MysqlBinlogTable *table, int column, int nmembers,
							 const MysqlBinlogString *members)
{
	MemoryContext old = MemoryContextSwitchTo(((BinlogTable *) table)->context);
	MysqlBinlogString *copy = palloc(sizeof(MysqlBinlogString) * Max(nmembers, 1));

	for (int i = 0; i < nmembers; i++)
	{
		copy[i].data = pnstrdup(members[i].data, members[i].len);
		copy[i].len = members[i].len;
	}
	table->columns[column].members = copy;
	table->columns[column].nmembers = nmembers;
	MemoryContextSwitchTo(old);
}

void
FeathubMysqlBinlogField(const MysqlBinlogColumn *column, MysqlField *field)
{
	memset(field, 0, sizeof(MysqlField));
	field->type = column->type;
	field->length = column->metadata;
	switch (column->type)
	{
		case MYSQL_BINLOG_TIMESTAMP2:
			field->type = MYSQL_TYPE_TIMESTAMP;
			break;
		case MYSQL_BINLOG_DATETIME2:
			field->type = MYSQL_TYPE_DATETIME;
			break;
		case MYSQL_BINLOG_TIME2:
			field->type = MYSQL_TYPE_TIME;
			break;
		case MYSQL_BINLOG_VARCHAR:
		case MYSQL_BINLOG_VARCHAR_COMPRESSED:
			field->type = MYSQL_TYPE_VAR_STRING;
			break;
		case MYSQL_BINLOG_BLOB_COMPRESSED:
		case MYSQL_BINLOG_VECTOR:
			field->type = MYSQL_TYPE_BLOB;
			break;
		case MYSQL_BINLOG_ENUM:
			field->type = MYSQL_TYPE_STRING;
			field->flags |= ENUM_FLAG;
			break;
		case MYSQL_BINLOG_SET:
			field->type = MYSQL_TYPE_STRING;
			field->flags |= SET_FLAG;
			break;
		default:
			break;
	}
	field->binary = is_text(column) ? column->collation == MYSQL_COLLATION_BINARY :
		!is_list(column) && column->type != MYSQL_BINLOG_JSON;
	if (column->plugin != MYSQL_BINLOG_PLUGIN_NONE)
		field->binary = false;
	if (column->is_unsigned)
		field->flags |= UNSIGNED_FLAG;
	if (field->binary)
		field->flags |= BINARY_FLAG;
}
