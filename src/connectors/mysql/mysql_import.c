/*
 * mysql_import.c
 *		IMPORT FOREIGN SCHEMA.
 *
 * A database of the server is a schema; its tables and views become foreign
 * tables.  Each column's type is the narrowest here that holds all its values:
 * unsigned integers the next wider one, SET text[], TIME interval.
 */
#include "postgres.h"

#include "mb/pg_wchar.h"
#include "parser/scansup.h"
#include "utils/builtins.h"

#include "connectors/mysql/mysql_connector.h"

typedef enum ImportEnum
{
	IMPORT_ENUM_TEXT,
	IMPORT_ENUM_CHECK
} ImportEnum;

typedef enum ImportGeometry
{
	IMPORT_GEOMETRY_BYTEA,
	IMPORT_GEOMETRY_TEXT
} ImportGeometry;

typedef enum ImportTinyint
{
	IMPORT_TINYINT_BOOL,
	IMPORT_TINYINT_INT
} ImportTinyint;

typedef struct MysqlImport
{
	bool		import_default;
	bool		import_not_null;
	bool		import_views;
	int			import_enum;
	int			import_geometry;
	int			import_tinyint1;
} MysqlImport;

static const FeathubOptionValue enum_values[] = {
	{"text", IMPORT_ENUM_TEXT},
	{"check", IMPORT_ENUM_CHECK},
	{NULL}
};
static const FeathubOptionValue geometry_values[] = {
	{"bytea", IMPORT_GEOMETRY_BYTEA},
	{"text", IMPORT_GEOMETRY_TEXT},
	{NULL}
};
static const FeathubOptionValue tinyint_values[] = {
	{"bool", IMPORT_TINYINT_BOOL},
	{"int", IMPORT_TINYINT_INT},
	{NULL}
};

const FeathubOption FeathubMysqlImportOptions[] = {
	{
		"import_default", FEATHUB_ON_IMPORT, FEATHUB_OPTION_BOOL,
		.offset = offsetof(MysqlImport, import_default), .default_value = "false",
		.description = "Whether constant defaults and CURRENT_TIMESTAMP are taken over."
	},
	{
		"import_not_null", FEATHUB_ON_IMPORT, FEATHUB_OPTION_BOOL,
		.offset = offsetof(MysqlImport, import_not_null), .default_value = "true",
		.description = "Whether NOT NULL is taken over (not of AUTO_INCREMENT columns)."
	},
	{
		"import_views", FEATHUB_ON_IMPORT, FEATHUB_OPTION_BOOL,
		.offset = offsetof(MysqlImport, import_views), .default_value = "true",
		.description = "Whether views are imported too."
	},
	{
		"import_enum", FEATHUB_ON_IMPORT, FEATHUB_OPTION_ENUM,
		.offset = offsetof(MysqlImport, import_enum),
		.values = enum_values, .default_value = "text",
		.description = "What ENUM becomes: text, or text with a CHECK of its labels."
	},
	{
		"import_geometry", FEATHUB_ON_IMPORT, FEATHUB_OPTION_ENUM,
		.offset = offsetof(MysqlImport, import_geometry),
		.values = geometry_values, .default_value = "bytea",
		.description = "What geometry becomes: bytea (the server's own form) or well-known text."
	},
	{
		"import_tinyint1", FEATHUB_ON_IMPORT, FEATHUB_OPTION_ENUM,
		.offset = offsetof(MysqlImport, import_tinyint1),
		.values = tinyint_values, .default_value = "bool",
		.description = "What TINYINT(1) becomes."
	},
	{.name = NULL}
};

/* Columns of the query on information_schema. */
enum
{
	COL_TABLE, COL_TABLE_TYPE, COL_NAME, COL_DATA_TYPE, COL_COLUMN_TYPE, COL_NULLABLE,
	COL_DEFAULT, COL_EXTRA, COL_KEY, COL_LENGTH, COL_PRECISION, COL_SCALE, COL_DATETIME
};

static void check_schema(MysqlConnection *conn, const char *schema);
static void append_names(StringInfo sql, ImportForeignSchemaStmt *stmt);
static void append_text(StringInfo sql, const char *text);
static bool append_column(StringInfo sql, char **v, const MysqlImport *import, MysqlConnection *conn,
						  bool first, StringInfo checks);
static char *column_type(char **v, const MysqlImport *import);
static void append_default(StringInfo sql, const char *type, char **v, MysqlConnection *conn);
static char *server_text(const char *text);
static bool starts_with(const char *text, const char *prefix);

List *
FeathubMysqlImportSchema(ForeignServer *server, UserMapping *user, ImportForeignSchemaStmt *stmt)
{
	MysqlImport import = {0};
	MysqlOptions *options = FeathubMysqlServerOptions(server, user);
	MysqlConnection *conn;
	MysqlResult *result;
	StringInfoData sql;
	StringInfoData table;
	StringInfoData checks;
	char	   *name = NULL;
	List	   *statements = NIL;
	char	  **v;
	unsigned long *lengths;
	bool		more;
	bool		first = true;

	FeathubOptionsDefaults(FeathubMysqlImportOptions, FEATHUB_ON_IMPORT, &import);
	FeathubOptionsParse(FeathubMysqlImportOptions, FEATHUB_ON_IMPORT, stmt->options, &import);
	conn = FeathubMysqlConnect(server, user, options);
	check_schema(conn, stmt->remote_schema);

	initStringInfo(&sql);
	appendStringInfoString(&sql,
						   "SELECT t.TABLE_NAME, t.TABLE_TYPE, c.COLUMN_NAME, ");
	/* MariaDB's JSON is text with a constraint of the column's name */
	appendStringInfoString(&sql, !conn->mariadb ? "LOWER(c.DATA_TYPE)" :
						   "IF(EXISTS (SELECT 1 FROM information_schema.CHECK_CONSTRAINTS k"
						   " WHERE k.CONSTRAINT_SCHEMA = c.TABLE_SCHEMA AND k.TABLE_NAME = c.TABLE_NAME"
						   " AND k.CONSTRAINT_NAME = c.COLUMN_NAME AND k.CHECK_CLAUSE LIKE 'json_valid(%'),"
						   " 'json', LOWER(c.DATA_TYPE))");
	appendStringInfoString(&sql, ", LOWER(c.COLUMN_TYPE),"
						   " c.IS_NULLABLE, c.COLUMN_DEFAULT, LOWER(c.EXTRA), c.COLUMN_KEY, c.CHARACTER_MAXIMUM_LENGTH,"
						   " c.NUMERIC_PRECISION, c.NUMERIC_SCALE, c.DATETIME_PRECISION, c.COLUMN_TYPE"
						   " FROM information_schema.TABLES t JOIN information_schema.COLUMNS c"
						   " ON c.TABLE_SCHEMA = t.TABLE_SCHEMA AND c.TABLE_NAME = t.TABLE_NAME"
						   " WHERE t.TABLE_SCHEMA = ");
	append_text(&sql, stmt->remote_schema);
	if (!import.import_views)
		appendStringInfoString(&sql, " AND t.TABLE_TYPE = 'BASE TABLE'");
	append_names(&sql, stmt);
	appendStringInfoString(&sql, " ORDER BY t.TABLE_NAME, c.ORDINAL_POSITION");

	initStringInfo(&table);
	initStringInfo(&checks);
	result = FeathubMysqlQuery(conn, sql.data, sql.len);
	do
	{
		char	   *this_name = NULL;

		more = FeathubMysqlFetch(result, &v, &lengths);
		if (more)
			this_name = server_text(v[COL_TABLE]);
		if (name && (!more || strcmp(name, this_name) != 0))
		{
			appendStringInfo(&table, "%s\n) SERVER %s OPTIONS (database %s, table_name %s)",
							 checks.data, quote_identifier(server->servername),
							 quote_literal_cstr(stmt->remote_schema), quote_literal_cstr(name));
			if (!first)
				statements = lappend(statements, pstrdup(table.data));
			name = NULL;
		}
		if (more && name == NULL)
		{
			char	   *local = pstrdup(this_name);

			/* as the parser does to names in LIMIT TO */
			truncate_identifier(local, strlen(local), false);
			name = this_name;
			resetStringInfo(&table);
			resetStringInfo(&checks);
			first = true;
			appendStringInfo(&table, "CREATE FOREIGN TABLE %s (", quote_identifier(local));
		}
		if (more && append_column(&table, v, &import, conn, first, &checks))
			first = false;
	} while (more);
	FeathubMysqlCloseResult(result);
	return statements;
}

/* The server answers nothing for a database that is not there; we complain. */
static void
check_schema(MysqlConnection *conn, const char *schema)
{
	StringInfoData sql;
	MysqlResult *result;
	char	  **values;
	unsigned long *lengths;
	bool		found;

	initStringInfo(&sql);
	appendStringInfoString(&sql, "SELECT 1 FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = ");
	append_text(&sql, schema);
	result = FeathubMysqlQuery(conn, sql.data, sql.len);
	found = FeathubMysqlFetch(result, &values, &lengths);
	FeathubMysqlCloseResult(result);
	if (!found)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_SCHEMA_NOT_FOUND),
				 errmsg("schema \"%s\" is not present on foreign server \"%s\"",
						schema, conn->server_name)));
}

/* LIMIT TO and EXCEPT, unless a name may have been cut by our parser. */
static void
append_names(StringInfo sql, ImportForeignSchemaStmt *stmt)
{
	ListCell   *lc;

	if (stmt->list_type == FDW_IMPORT_SCHEMA_ALL)
		return;
	foreach(lc, stmt->table_list)
	{
		if (strlen(((RangeVar *) lfirst(lc))->relname) >= NAMEDATALEN - 4)
			return;
	}
	appendStringInfoString(sql, stmt->list_type == FDW_IMPORT_SCHEMA_LIMIT_TO ?
						   " AND BINARY t.TABLE_NAME IN (" : " AND BINARY t.TABLE_NAME NOT IN (");
	foreach(lc, stmt->table_list)
	{
		if (foreach_current_index(lc) > 0)
			appendStringInfoString(sql, ", ");
		append_text(sql, ((RangeVar *) lfirst(lc))->relname);
	}
	appendStringInfoChar(sql, ')');
}

static void
append_text(StringInfo sql, const char *text)
{
	char	   *utf8 = pg_server_to_any(text, strlen(text), PG_UTF8);

	FeathubMysqlQuoteString(sql, utf8, strlen(utf8));
}

static char *
server_text(const char *text)
{
	char	   *result = pg_any_to_server(text, strlen(text), PG_UTF8);

	return result == text ? pstrdup(text) : result;
}

/* One column; false if it is left out (invisible to SELECT *). */
static bool
append_column(StringInfo sql, char **v, const MysqlImport *import, MysqlConnection *conn,
			  bool first, StringInfo checks)
{
	char	   *name = server_text(v[COL_NAME]);
	char	   *local = pstrdup(name);
	char	   *type = column_type(v, import);
	bool		automatic = strstr(v[COL_EXTRA], "auto_increment") != NULL;
	bool		generated = strstr(v[COL_EXTRA], "generated") != NULL &&
		strstr(v[COL_EXTRA], "default_generated") == NULL;
	const char *comma = " OPTIONS (";

	truncate_identifier(local, strlen(local), false);
	appendStringInfo(sql, "%s\n  %s %s", first ? "" : ",", quote_identifier(local), type);
	if (strcmp(local, name) != 0)
	{
		appendStringInfo(sql, "%scolumn_name %s", comma, quote_literal_cstr(name));
		comma = ", ";
	}
	if (strcmp(v[COL_KEY], "PRI") == 0)
	{
		appendStringInfo(sql, "%skey 'true'", comma);
		comma = ", ";
	}
	if (import->import_geometry == IMPORT_GEOMETRY_TEXT && v[COL_LENGTH] == NULL &&
		strcmp(type, "pg_catalog.text") == 0)
	{
		appendStringInfo(sql, "%swkt 'true'", comma);
		comma = ", ";
	}
	if (comma[0] == ',')
		appendStringInfoChar(sql, ')');
	if (import->import_default && v[COL_DEFAULT] && !automatic && !generated)
		append_default(sql, type, v, conn);
	if (import->import_not_null && strcmp(v[COL_NULLABLE], "NO") == 0 && !automatic && !generated)
		appendStringInfoString(sql, " NOT NULL");
	if (import->import_enum == IMPORT_ENUM_CHECK && strcmp(v[COL_DATA_TYPE], "enum") == 0)
	{
		/* the labels as the server quotes them, but for backslashes that are ours */
		char	   *labels = server_text(v[COL_DATETIME + 1] + strlen("enum("));

		appendStringInfo(checks, ",\n  CHECK (%s IN (%s)", quote_identifier(local), labels);
	}
	return true;
}

static bool
starts_with(const char *text, const char *prefix)
{
	return strncmp(text, prefix, strlen(prefix)) == 0;
}

/* The type here. */
static char *
column_type(char **v, const MysqlImport *import)
{
	const char *type = v[COL_DATA_TYPE];
	const char *full = v[COL_COLUMN_TYPE];
	bool		is_unsigned = strstr(full, "unsigned") != NULL;

	if (strcmp(type, "tinyint") == 0)
		return import->import_tinyint1 == IMPORT_TINYINT_BOOL && starts_with(full, "tinyint(1)") ?
			"pg_catalog.bool" : "pg_catalog.int2";
	if (strcmp(type, "smallint") == 0)
		return is_unsigned ? "pg_catalog.int4" : "pg_catalog.int2";
	if (strcmp(type, "mediumint") == 0)
		return "pg_catalog.int4";
	if (strcmp(type, "int") == 0)
		return is_unsigned ? "pg_catalog.int8" : "pg_catalog.int4";
	if (strcmp(type, "bigint") == 0)
		return is_unsigned ? "pg_catalog.numeric(20,0)" : "pg_catalog.int8";
	if (strcmp(type, "decimal") == 0)
		return psprintf("pg_catalog.numeric(%s,%s)", v[COL_PRECISION], v[COL_SCALE]);
	if (strcmp(type, "float") == 0)
		return "pg_catalog.float4";
	if (strcmp(type, "double") == 0)
		return "pg_catalog.float8";
	if (strcmp(type, "bit") == 0)
		return strcmp(v[COL_PRECISION], "1") == 0 ? "pg_catalog.bool" :
			psprintf("pg_catalog.bit(%s)", v[COL_PRECISION]);
	if (strcmp(type, "date") == 0)
		return "pg_catalog.date";
	if (strcmp(type, "time") == 0)
		return "pg_catalog.interval";
	if (strcmp(type, "datetime") == 0)
		return psprintf("pg_catalog.timestamp(%s)", v[COL_DATETIME] ? v[COL_DATETIME] : "6");
	if (strcmp(type, "timestamp") == 0)
		return psprintf("pg_catalog.timestamptz(%s)", v[COL_DATETIME] ? v[COL_DATETIME] : "6");
	if (strcmp(type, "year") == 0)
		return "pg_catalog.int2";
	if (strcmp(type, "char") == 0 || strcmp(type, "varchar") == 0)
	{
		/* what is longer than our limit is text */
		if (v[COL_LENGTH] == NULL || strcmp(v[COL_LENGTH], "0") == 0)
			return "pg_catalog.text";
		return psprintf("pg_catalog.%s(%s)", type[0] == 'c' ? "bpchar" : "varchar", v[COL_LENGTH]);
	}
	if (strcmp(type, "json") == 0)
		return "pg_catalog.jsonb";
	if (strcmp(type, "set") == 0)
		return "pg_catalog.text[]";
	if (strcmp(type, "uuid") == 0)
		return "pg_catalog.uuid";
	if (strcmp(type, "inet4") == 0 || strcmp(type, "inet6") == 0)
		return "pg_catalog.inet";
	if (strcmp(type, "binary") == 0 || strcmp(type, "varbinary") == 0 || strstr(type, "blob") ||
		strcmp(type, "vector") == 0)
		return "pg_catalog.bytea";
	if (strcmp(type, "geometry") == 0 || strstr(type, "point") || strstr(type, "linestring") ||
		strstr(type, "polygon") || strstr(type, "geom"))
		return import->import_geometry == IMPORT_GEOMETRY_TEXT ? "pg_catalog.text" :
			"pg_catalog.bytea";
	return "pg_catalog.text";
}

/* A default that means the same here: a number, a string, the current time. */
static void
append_default(StringInfo sql, const char *type, char **v, MysqlConnection *conn)
{
	char	   *text = server_text(v[COL_DEFAULT]);
	int			len = strlen(text);
	bool		quoted;

	if (strcmp(text, "NULL") == 0 && conn->mariadb)
		return;
	if (starts_with(text, "CURRENT_TIMESTAMP") || starts_with(text, "current_timestamp") ||
		starts_with(text, "now("))
	{
		appendStringInfo(sql, starts_with(type, "pg_catalog.timestamp(") ?
						 " DEFAULT (pg_catalog.now() AT TIME ZONE 'UTC')" :
						 " DEFAULT pg_catalog.now()");
		return;
	}

	/* MySQL shows a string bare and says so of expressions, MariaDB shows SQL */
	quoted = conn->mariadb && len >= 2 && text[0] == '\'' && text[len - 1] == '\'';
	if (quoted)
	{
		StringInfoData plain;

		initStringInfo(&plain);
		for (char *p = text + 1; p < text + len - 1; p++)
		{
			if ((*p == '\'' || *p == '\\') && p + 1 < text + len - 1)
				p++;
			appendStringInfoChar(&plain, *p);
		}
		text = plain.data;
	}
	else if (conn->mariadb ? strspn(text, "0123456789.-+eE") != len :
			 strstr(v[COL_EXTRA], "default_generated") != NULL)
		return;					/* an expression */
	if (strncmp(text, "b'", 2) == 0 || starts_with(text, "0000-00-00"))
		return;
	if (strcmp(type, "pg_catalog.bytea") == 0 || strcmp(type, "pg_catalog.text[]") == 0)
		return;
	if (strcmp(type, "pg_catalog.bool") == 0)
	{
		appendStringInfoString(sql, strcmp(text, "0") == 0 ? " DEFAULT false" : " DEFAULT true");
		return;
	}
	appendStringInfo(sql, " DEFAULT %s", quote_literal_cstr(text));
}
