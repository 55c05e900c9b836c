/*
 * mysql_cdc_layout.c
 *		How a row in the binary log becomes a row of the foreign table.
 *
 * Columns are found by their names, which the log has with
 * binlog_row_metadata=FULL.  Without, they are taken to be those of the server's
 * catalog now, as long as their number and types agree.  The catalog is read
 * again after a statement that changes columns; what was logged before one that
 * the catalog had already cannot be told apart, and stops the job.
 */
#include "postgres.h"

#include "mb/pg_wchar.h"
#include "utils/memutils.h"

#include "connectors/mysql/mysql_cdc.h"

/* Kinds of types between which values keep their meaning. */
typedef enum TypeClass
{
	CLASS_NONE,
	CLASS_INTEGER,
	CLASS_DECIMAL,
	CLASS_FLOAT,
	CLASS_BIT,
	CLASS_YEAR,
	CLASS_DATE,
	CLASS_DATETIME,
	CLASS_TIMESTAMP,
	CLASS_TIME,
	CLASS_TEXT,					/* and bytes, ENUM */
	CLASS_SET,
	CLASS_JSON,
	CLASS_GEOMETRY,
	CLASS_VECTOR
} TypeClass;

static const char *const class_names[] = {
	"none", "integer", "decimal", "floating point", "bit", "year", "date", "datetime",
	"timestamp", "time", "text or bytes", "set", "json", "geometry", "vector"
};

static bool is_followed(const MysqlCdcTable *ours, const MysqlBinlogTable *table);
static char *match_columns(MysqlCdcLayouts *layouts, MysqlBinlogTable *table,
						   MysqlCdcLayout *layout);
static int	find_column(const MysqlCdcTable *ours, const MysqlBinlogTable *table,
						const char *name);
static const MysqlCdcColumn *find_catalog_column(const MysqlCdcTable *ours, const char *name);
static char *check_positions(MysqlCdcLayouts *layouts, MysqlBinlogTable *table);
static void complete_column(MysqlBinlogTable *table, int index, const MysqlCdcColumn *known);
static char *compare_layouts(MysqlCdcLayouts *layouts, const MysqlCdcLayout *layout);

MysqlCdcLayouts *
FeathubMysqlCdcLayoutsMake(FeathubStream *stream, MysqlCdcTable *table, MysqlRecords *records,
						   MysqlConnection *conn)
{
	MysqlCdcLayouts *layouts = palloc0(sizeof(MysqlCdcLayouts));

	layouts->stream = stream;
	layouts->table = table;
	layouts->records = records;
	layouts->conn = conn;
	layouts->names = palloc(sizeof(char *) * (records->ncolumns + 1));
	for (int i = 0; i < records->ncolumns; i++)
	{
		const char *name = FeathubMysqlColumnName(stream->rel, records->attnums[i]);

		layouts->names[i] = pg_server_to_any(name, strlen(name), PG_UTF8);
	}
	return layouts;
}

static TypeClass
class_of(MysqlBinlogType type)
{
	switch (type)
	{
		case MYSQL_BINLOG_TINY:
		case MYSQL_BINLOG_SHORT:
		case MYSQL_BINLOG_LONG:
		case MYSQL_BINLOG_INT24:
		case MYSQL_BINLOG_LONGLONG:
			return CLASS_INTEGER;
		case MYSQL_BINLOG_DECIMAL:
		case MYSQL_BINLOG_DECIMAL_OLD:
			return CLASS_DECIMAL;
		case MYSQL_BINLOG_FLOAT:
		case MYSQL_BINLOG_DOUBLE:
			return CLASS_FLOAT;
		case MYSQL_BINLOG_BIT:
			return CLASS_BIT;
		case MYSQL_BINLOG_YEAR:
			return CLASS_YEAR;
		case MYSQL_BINLOG_DATE:
		case MYSQL_BINLOG_NEWDATE:
			return CLASS_DATE;
		case MYSQL_BINLOG_DATETIME:
		case MYSQL_BINLOG_DATETIME2:
			return CLASS_DATETIME;
		case MYSQL_BINLOG_TIMESTAMP:
		case MYSQL_BINLOG_TIMESTAMP2:
			return CLASS_TIMESTAMP;
		case MYSQL_BINLOG_TIME:
		case MYSQL_BINLOG_TIME2:
			return CLASS_TIME;
		case MYSQL_BINLOG_SET:
			return CLASS_SET;
		case MYSQL_BINLOG_JSON:
			return CLASS_JSON;
		case MYSQL_BINLOG_GEOMETRY:
			return CLASS_GEOMETRY;
		case MYSQL_BINLOG_VECTOR:
			return CLASS_VECTOR;
		default:
			return CLASS_TEXT;
	}
}

/* The class of a column by the name of its type; MariaDB's JSON is LONGTEXT. */
static TypeClass
class_of_name(const char *type)
{
	static const struct
	{
		const char *name;
		TypeClass class;
	}			classes[] = {
		{"tinyint", CLASS_INTEGER}, {"smallint", CLASS_INTEGER}, {"mediumint", CLASS_INTEGER},
		{"int", CLASS_INTEGER}, {"bigint", CLASS_INTEGER}, {"decimal", CLASS_DECIMAL},
		{"float", CLASS_FLOAT}, {"double", CLASS_FLOAT}, {"bit", CLASS_BIT},
		{"year", CLASS_YEAR}, {"date", CLASS_DATE}, {"datetime", CLASS_DATETIME},
		{"timestamp", CLASS_TIMESTAMP}, {"time", CLASS_TIME}, {"set", CLASS_SET},
		{"json", CLASS_JSON}, {"vector", CLASS_VECTOR}, {"geometry", CLASS_GEOMETRY},
		{"point", CLASS_GEOMETRY}, {"linestring", CLASS_GEOMETRY}, {"polygon", CLASS_GEOMETRY},
		{"multipoint", CLASS_GEOMETRY}, {"multilinestring", CLASS_GEOMETRY},
		{"multipolygon", CLASS_GEOMETRY}, {"geomcollection", CLASS_GEOMETRY},
		{"geometrycollection", CLASS_GEOMETRY}
	};

	for (int i = 0; i < lengthof(classes); i++)
		if (pg_strcasecmp(classes[i].name, type) == 0)
			return classes[i].class;
	return CLASS_TEXT;
}

char *
FeathubMysqlCdcLook(MysqlCdcLayouts *layouts, MysqlBinlogTable *table)
{
	MemoryContext old;
	MysqlCdcLayout *layout;
	char	   *problem;
	ListCell   *lc;

	table->followed = is_followed(layouts->table, table);
	if (!table->followed)
		return NULL;
	old = MemoryContextSwitchTo(layouts->stream->context);
	layout = palloc0(sizeof(MysqlCdcLayout));
	layout->ncolumns = table->ncolumns;
	layout->fields = FeathubMysqlFieldsMake(layouts->records->ncolumns);
	layout->columns = palloc0(sizeof(int) * (layouts->records->ncolumns + 1));
	layout->classes = palloc0(layouts->records->ncolumns + 1);
	layout->keys = palloc0(sizeof(int) * layouts->table->nkeys);
	problem = match_columns(layouts, table, layout);
	if (problem == NULL)
		problem = compare_layouts(layouts, layout);
	MemoryContextSwitchTo(old);
	if (problem)
		return problem;

	/* tables are described anew each time they are opened: often as before */
	foreach(lc, layouts->layouts)
	{
		MysqlCdcLayout *known = lfirst(lc);

		if (known->ncolumns == layout->ncolumns &&
			memcmp(known->columns, layout->columns,
				   sizeof(int) * layouts->records->ncolumns) == 0 &&
			memcmp(known->fields->fields, layout->fields->fields,
				   sizeof(MysqlField) * layouts->records->ncolumns) == 0)
		{
			pfree(layout->fields);
			pfree(layout->columns);
			pfree(layout->classes);
			pfree(layout->keys);
			pfree(layout);
			layout = known;
			break;
		}
	}
	if (lc == NULL)
	{
		old = MemoryContextSwitchTo(layouts->stream->context);
		layouts->layouts = lappend(layouts->layouts, layout);
		MemoryContextSwitchTo(old);
	}
	layouts->current = layout;
	table->user = layout;
	return NULL;
}

static bool
same_text(MysqlBinlogString a, const char *b, bool ignore_case)
{
	if (a.data == NULL || a.len != strlen(b))
		return false;
	return (ignore_case ? pg_strncasecmp(a.data, b, a.len) : memcmp(a.data, b, a.len)) == 0;
}

static bool
is_followed(const MysqlCdcTable *ours, const MysqlBinlogTable *table)
{
	return same_text(table->name, ours->name, ours->ignore_case) &&
		same_text(table->database, ours->database, ours->ignore_case);
}

/* Find the columns that are read; what is wrong, or NULL. */
static char *
match_columns(MysqlCdcLayouts *layouts, MysqlBinlogTable *table, MysqlCdcLayout *layout)
{
	MysqlCdcTable *ours = layouts->table;
	MysqlRecords *records = layouts->records;
	char	   *problem;

	if (!table->has_names && (problem = check_positions(layouts, table)) != NULL)
		return problem;
	for (int i = 0; i < table->ncolumns; i++)
		table->columns[i].wanted = table->columns[i].identity = false;
	for (int i = 0; i < records->ncolumns; i++)
	{
		int			index = find_column(ours, table, layouts->names[i]);
		MysqlBinlogColumn *column;

		layout->columns[i] = index;
		if (index < 0)
		{
			/* perhaps it came later: then these rows have none */
			if (layouts->current == NULL || layouts->current->columns[i] >= 0)
				FeathubMysqlReadColumns(layouts->stream, layouts->conn, ours);
			if (find_catalog_column(ours, layouts->names[i]) == NULL)
				return psprintf("column \"%s\" is gone",
								FeathubMysqlColumnName(layouts->stream->rel, records->attnums[i]));
			layout->fields->fields[i].type = 253;	/* MYSQL_TYPE_VAR_STRING */
			continue;
		}
		column = &table->columns[index];
		complete_column(table, index, find_catalog_column(ours, layouts->names[i]));
		column->wanted = true;
		layout->classes[i] = class_of(column->type);
		FeathubMysqlBinlogField(column, &layout->fields->fields[i]);
	}
	for (int k = 0; k < ours->nkeys; k++)
	{
		layout->keys[k] = find_column(ours, table, ours->key_names[k]);
		if (layout->keys[k] < 0)
			return psprintf("key column %s is gone", ours->key_quoted[k]);
		table->columns[layout->keys[k]].identity = true;
	}
	table->lean_before = true;
	return NULL;
}

/* A column of the event by its name; -1: it has none such. */
static int
find_column(const MysqlCdcTable *ours, const MysqlBinlogTable *table, const char *name)
{
	for (int i = 0; i < table->ncolumns; i++)
	{
		if (table->has_names ? same_text(table->columns[i].name, name, true) :
			pg_strcasecmp(ours->columns[i].name, name) == 0)
			return i;
	}
	return -1;
}

static const MysqlCdcColumn *
find_catalog_column(const MysqlCdcTable *ours, const char *name)
{
	for (int i = 0; i < ours->ncolumns; i++)
		if (pg_strcasecmp(ours->columns[i].name, name) == 0)
			return &ours->columns[i];
	return NULL;
}

/* Without names in the log: are the event's columns those of the catalog? */
static bool
positions_agree(const MysqlCdcTable *ours, const MysqlBinlogTable *table)
{
	bool		agree = ours->ncolumns == table->ncolumns;

	for (int i = 0; agree && i < table->ncolumns; i++)
		agree = class_of(table->columns[i].type) == class_of_name(ours->columns[i].type);
	return agree;
}

/* As of a place in the log that is not behind what is read. */
static void
read_catalog(MysqlCdcLayouts *layouts)
{
	MysqlCdcPosition end;

	FeathubMysqlLogEnd(layouts->stream, layouts->conn, layouts->table, &end);
	strlcpy(layouts->catalog_file, end.file, sizeof(layouts->catalog_file));
	layouts->catalog_position = end.position;
	FeathubMysqlReadColumns(layouts->stream, layouts->conn, layouts->table);
}

bool
FeathubMysqlCdcColumnsMoved(MysqlCdcLayouts *layouts, const char *file, uint64 position)
{
	if (layouts->catalog_file[0] == '\0')
		return true;
	if (FeathubMysqlCdcComparePlaces(file, position, layouts->catalog_file,
									 layouts->catalog_position) <= 0)
		return false;
	layouts->catalog_file[0] = '\0';
	return true;
}

static char *
check_positions(MysqlCdcLayouts *layouts, MysqlBinlogTable *table)
{
	if (layouts->catalog_file[0] == '\0')
		read_catalog(layouts);
	if (positions_agree(layouts->table, table))
		return NULL;
	/* the catalog was read a while ago */
	read_catalog(layouts);
	if (positions_agree(layouts->table, table))
		return NULL;
	return psprintf("its columns are not those that it has now, and the log does not name them (binlog_row_metadata is not FULL)");
}

/* What the log does not tell of a column, from the catalog. */
static void
complete_column(MysqlBinlogTable *table, int index, const MysqlCdcColumn *known)
{
	MysqlBinlogColumn *column = &table->columns[index];

	if (known == NULL)
		return;
	if (!column->sign_known)
		column->is_unsigned = known->is_unsigned;
	if (column->collation == 0)
		column->collation = known->collation;
	if ((column->type == MYSQL_BINLOG_ENUM || column->type == MYSQL_BINLOG_SET) &&
		column->nmembers < 0 && known->nmembers > 0)
		FeathubMysqlBinlogSetMembers(table, index, known->nmembers, known->members);
	if (pg_strcasecmp(known->type, "uuid") == 0)
		column->plugin = MYSQL_BINLOG_PLUGIN_UUID;
	else if (pg_strcasecmp(known->type, "inet4") == 0)
		column->plugin = MYSQL_BINLOG_PLUGIN_INET4;
	else if (pg_strcasecmp(known->type, "inet6") == 0)
		column->plugin = MYSQL_BINLOG_PLUGIN_INET6;
}

/* Does a value still mean the same? */
static char *
compare_layouts(MysqlCdcLayouts *layouts, const MysqlCdcLayout *layout)
{
	const MysqlCdcLayout *former = layouts->current;

	for (int i = 0; former && i < layouts->records->ncolumns; i++)
	{
		TypeClass	before = former->classes[i];
		TypeClass	now = layout->classes[i];

		if (before != CLASS_NONE && now != CLASS_NONE && before != now)
			return psprintf("the type of column \"%s\" has changed from %s to %s",
							FeathubMysqlColumnName(layouts->stream->rel,
												   layouts->records->attnums[i]),
							class_names[before], class_names[now]);
	}
	return NULL;
}
