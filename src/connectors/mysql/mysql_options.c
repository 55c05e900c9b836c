/*
 * mysql_options.c
 *		Options of MySQL servers, user mappings, tables and columns.
 */
#include "postgres.h"

#include "commands/defrem.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#include "connectors/mysql/mysql_connector.h"

static const FeathubOptionValue ssl_mode_values[] = {
	{"disabled", MYSQL_SSL_DISABLED},
	{"preferred", MYSQL_SSL_PREFERRED},
	{"required", MYSQL_SSL_REQUIRED},
	{"verify_identity", MYSQL_SSL_VERIFY_IDENTITY},
	{NULL}
};

static const FeathubOptionValue zero_dates_values[] = {
	{"error", MYSQL_ZERO_DATES_ERROR},
	{"null", MYSQL_ZERO_DATES_NULL},
	{NULL}
};

static const FeathubOptionValue write_mode_values[] = {
	{"insert", MYSQL_WRITE_INSERT},
	{"upsert", MYSQL_WRITE_UPSERT},
	{"ignore", MYSQL_WRITE_IGNORE},
	{NULL}
};

static const FeathubOptionValue stream_mode_values[] = {
	{"column", MYSQL_STREAM_COLUMN},
	{"binlog", MYSQL_STREAM_BINLOG},
	{NULL}
};

static const FeathubOptionValue snapshot_mode_values[] = {
	{"initial", MYSQL_SNAPSHOT_INITIAL},
	{"never", MYSQL_SNAPSHOT_NEVER},
	{NULL}
};

#define ON_BOTH (FEATHUB_ON_SERVER | FEATHUB_ON_TABLE)

const FeathubOption FeathubMysqlOptions[] = {
	{
		"host", FEATHUB_ON_SERVER, FEATHUB_OPTION_STRING,
		.offset = offsetof(MysqlOptions, host), .default_value = "127.0.0.1",
		.description = "Name or address of the server; TCP is used for \"localhost\" too."
	},
	{
		"port", FEATHUB_ON_SERVER, FEATHUB_OPTION_INT,
		.offset = offsetof(MysqlOptions, port),
		.min = 1, .max = 65535, .default_value = "3306",
		.description = "Port of the server."
	},
	{
		"socket", FEATHUB_ON_SERVER, FEATHUB_OPTION_STRING,
		.offset = offsetof(MysqlOptions, socket),
		.description = "Path of a Unix socket, instead of host and port; needs password_required 'false'."
	},
	{
		"connect_timeout", FEATHUB_ON_SERVER, FEATHUB_OPTION_INT,
		.offset = offsetof(MysqlOptions, connect_timeout),
		.min = 1, .max = 3600, .default_value = "10",
		.description = "Seconds until a server that does not answer a connection is an error."
	},
	{
		"network_timeout", FEATHUB_ON_SERVER, FEATHUB_OPTION_INT,
		.offset = offsetof(MysqlOptions, network_timeout),
		.min = 0, .max = 86400, .default_value = "0",
		.description = "Seconds without a byte from the server until a statement is an error; 0: none."
	},
	{
		"query_timeout", FEATHUB_ON_SERVER, FEATHUB_OPTION_INT,
		.offset = offsetof(MysqlOptions, query_timeout),
		.min = 0, .max = 86400, .default_value = "0",
		.description = "Seconds after which the server stops a statement (MySQL: SELECT only); 0: none."
	},
	{
		"ssl_mode", FEATHUB_ON_SERVER, FEATHUB_OPTION_ENUM,
		.offset = offsetof(MysqlOptions, ssl_mode),
		.values = ssl_mode_values, .default_value = "preferred",
		.description = "Whether TLS is used, and whether the server's certificate and name are verified."
	},
	{
		"ssl_ca", FEATHUB_ON_SERVER, FEATHUB_OPTION_STRING,
		.flags = FEATHUB_OPTION_READS_FILE,
		.offset = offsetof(MysqlOptions, ssl_ca),
		.description = "File with certificates of authorities, in PEM format."
	},
	{
		"ssl_capath", FEATHUB_ON_SERVER, FEATHUB_OPTION_STRING,
		.flags = FEATHUB_OPTION_READS_FILE,
		.offset = offsetof(MysqlOptions, ssl_capath),
		.description = "Folder with certificates of authorities, named by hash."
	},
	{
		"ssl_crl", FEATHUB_ON_SERVER, FEATHUB_OPTION_STRING,
		.flags = FEATHUB_OPTION_READS_FILE,
		.offset = offsetof(MysqlOptions, ssl_crl),
		.description = "File with revoked certificates."
	},
	{
		"ssl_cipher", FEATHUB_ON_SERVER, FEATHUB_OPTION_STRING,
		.offset = offsetof(MysqlOptions, ssl_cipher),
		.description = "Ciphers allowed, in OpenSSL's notation."
	},
	{
		"tls_version", FEATHUB_ON_SERVER, FEATHUB_OPTION_STRING,
		.offset = offsetof(MysqlOptions, tls_version),
		.description = "Versions of TLS allowed, for instance TLSv1.2,TLSv1.3."
	},
	{
		"ssl_cert", FEATHUB_ON_USER_MAPPING, FEATHUB_OPTION_STRING,
		.flags = FEATHUB_OPTION_READS_FILE,
		.offset = offsetof(MysqlOptions, ssl_cert),
		.description = "File with the client's certificate."
	},
	{
		"ssl_key", FEATHUB_ON_USER_MAPPING, FEATHUB_OPTION_STRING,
		.flags = FEATHUB_OPTION_READS_FILE,
		.offset = offsetof(MysqlOptions, ssl_key),
		.description = "File with the client's private key."
	},
	{
		"compression", FEATHUB_ON_SERVER, FEATHUB_OPTION_BOOL,
		.offset = offsetof(MysqlOptions, compression), .default_value = "false",
		.description = "Whether the connection is compressed."
	},
	{
		"keep_connections", FEATHUB_ON_SERVER, FEATHUB_OPTION_BOOL,
		.offset = offsetof(MysqlOptions, keep_connections), .default_value = "true",
		.description = "Whether connections are kept for later transactions of the session."
	},
	{
		"fdw_startup_cost", FEATHUB_ON_SERVER, FEATHUB_OPTION_FLOAT,
		.offset = offsetof(MysqlOptions, fdw_startup_cost),
		.min = 0, .max = 1000000000, .default_value = "100",
		.description = "Planner's cost of asking the server once."
	},
	{
		"fdw_tuple_cost", FEATHUB_ON_SERVER, FEATHUB_OPTION_FLOAT,
		.offset = offsetof(MysqlOptions, fdw_tuple_cost),
		.min = 0, .max = 1000000000, .default_value = "0.02",
		.description = "Planner's cost of fetching a row."
	},
	{
		"user", FEATHUB_ON_USER_MAPPING, FEATHUB_OPTION_STRING,
		.flags = FEATHUB_OPTION_REQUIRED,
		.offset = offsetof(MysqlOptions, user),
		.description = "User name on the server."
	},
	{
		"password", FEATHUB_ON_USER_MAPPING, FEATHUB_OPTION_STRING,
		.flags = FEATHUB_OPTION_SECRET,
		.offset = offsetof(MysqlOptions, password),
		.description = "Password on the server."
	},
	{
		"password_required", FEATHUB_ON_USER_MAPPING, FEATHUB_OPTION_BOOL,
		.flags = FEATHUB_OPTION_SUPERUSER,
		.offset = offsetof(MysqlOptions, password_required), .default_value = "true",
		.description = "Whether roles that are not superusers must log in by password; only a superuser may set it."
	},
	{
		"database", ON_BOTH, FEATHUB_OPTION_STRING,
		.offset = offsetof(MysqlOptions, database),
		.description = "Database (schema) of the table on the server."
	},
	{
		"table_name", FEATHUB_ON_TABLE, FEATHUB_OPTION_STRING,
		.offset = offsetof(MysqlOptions, table_name),
		.description = "Name of the table on the server, if it is not the foreign table's."
	},
	{
		"zero_dates", ON_BOTH, FEATHUB_OPTION_ENUM,
		.offset = offsetof(MysqlOptions, zero_dates),
		.values = zero_dates_values, .default_value = "error",
		.description = "What a date with year, month or day zero is."
	},
	{
		"write_mode", FEATHUB_ON_TABLE, FEATHUB_OPTION_ENUM,
		.offset = offsetof(MysqlOptions, write_mode),
		.values = write_mode_values, .default_value = "insert",
		.description = "What INSERT and COPY do with a row whose key is there: an error, an update of the other columns, or nothing."
	},
	{
		"batch_size", ON_BOTH, FEATHUB_OPTION_INT,
		.offset = offsetof(MysqlOptions, batch_size),
		.min = 1, .max = 100000, .default_value = "1000",
		.description = "Rows inserted by one statement."
	},
	{
		"lookup_size", ON_BOTH, FEATHUB_OPTION_INT,
		.offset = offsetof(MysqlOptions, lookup_size),
		.min = 1, .max = 100000, .default_value = "1000",
		.description = "Keys that a batched look-up asks for at a time."
	},
	{
		"pushdown", ON_BOTH, FEATHUB_OPTION_BOOL,
		.offset = offsetof(MysqlOptions, pushdown), .default_value = "true",
		.description = "Whether the server evaluates restrictions, joins, aggregates and orders."
	},
	{
		"use_remote_estimate", ON_BOTH, FEATHUB_OPTION_BOOL,
		.offset = offsetof(MysqlOptions, use_remote_estimate), .default_value = "false",
		.description = "Whether planning asks the server how many rows it expects."
	},
	{
		"stream_mode", FEATHUB_ON_TABLE, FEATHUB_OPTION_ENUM,
		.offset = offsetof(MysqlOptions, stream_mode),
		.values = stream_mode_values, .default_value = "column",
		.description = "How a job follows the table: by stream_column, or by the server's binary log, which has every insert, update and delete."
	},
	{
		"stream_column", FEATHUB_ON_TABLE, FEATHUB_OPTION_STRING,
		.offset = offsetof(MysqlOptions, stream_column),
		.description = "Column that a job follows: indexed and increasing, an integer, TIMESTAMP or DATETIME; ties are ordered by the columns with option key."
	},
	{
		"stream_lag", FEATHUB_ON_TABLE, FEATHUB_OPTION_INT,
		.offset = offsetof(MysqlOptions, stream_lag),
		.min = 0, .max = 2147483647, .default_value = "10",
		.description = "How long a job leaves the latest rows alone, whose transactions may commit late: seconds by the server's clock; of an integer, which must be given, how far below the greatest value."
	},
	{
		"stream_time_zone", FEATHUB_ON_TABLE, FEATHUB_OPTION_STRING,
		.offset = offsetof(MysqlOptions, stream_time_zone),
		.description = "Time zone, as the server calls it, of a DATETIME in stream_column, if not the server's own."
	},
	{
		"snapshot_mode", FEATHUB_ON_TABLE, FEATHUB_OPTION_ENUM,
		.offset = offsetof(MysqlOptions, snapshot_mode),
		.values = snapshot_mode_values, .default_value = "initial",
		.description = "With stream_mode 'binlog', what a job that starts at 'earliest' reads first: the table's rows, or only the changes that the server still has."
	},
	{
		"snapshot_chunk_rows", FEATHUB_ON_TABLE, FEATHUB_OPTION_INT,
		.offset = offsetof(MysqlOptions, snapshot_chunk_rows),
		.min = 1, .max = 1000000, .default_value = "10000",
		.description = "Rows that the snapshot reads at a time."
	},
	{
		"server_id", FEATHUB_ON_TABLE, FEATHUB_OPTION_INT,
		.offset = offsetof(MysqlOptions, server_id),
		.min = 0, .max = 2147483647, .default_value = "0",
		.description = "Number by which the server knows the job, unlike that of any other replica; 0: made of the job's name and this cluster's identifier."
	},
	{
		"heartbeat_interval", FEATHUB_ON_TABLE, FEATHUB_OPTION_INT,
		.offset = offsetof(MysqlOptions, heartbeat_interval),
		.min = 1, .max = 3600, .default_value = "1",
		.description = "Seconds after which a server without changes sends a sign of life; ten times that without one is an error."
	},
	{
		"column_name", FEATHUB_ON_COLUMN, FEATHUB_OPTION_STRING,
		.description = "Name of the column on the server, if it is not the foreign table's."
	},
	{
		"key", FEATHUB_ON_COLUMN, FEATHUB_OPTION_BOOL,
		.description = "Whether the column is part of the key."
	},
	{
		"wkt", FEATHUB_ON_COLUMN, FEATHUB_OPTION_BOOL,
		.description = "Whether a geometry is read and written as well-known text."
	},
	{.name = NULL}
};

void
FeathubMysqlCheckRelation(FeathubRelation *rel)
{
	MysqlOptions *options = rel->options;

	if (options->database == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_OPTION_NAME_NOT_FOUND),
				 errmsg("option \"%s\" is required for foreign table \"%s\"",
						"database", rel->relname),
				 errhint("Set it on the foreign table or on server \"%s\".",
						 rel->server->servername)));
	if (options->table_name == NULL)
		options->table_name = rel->relname;
	if (options->stream_mode == MYSQL_STREAM_BINLOG &&
		(options->stream_column || options->stream_time_zone))
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
				 errmsg("option \"%s\" of foreign table \"%s\" does not fit stream_mode 'binlog'",
						options->stream_column ? "stream_column" : "stream_time_zone",
						rel->relname)));
}

/* The options of a server and a user mapping, without those of a table. */
MysqlOptions *
FeathubMysqlServerOptions(ForeignServer *server, UserMapping *user)
{
	MysqlOptions *options = palloc0(sizeof(MysqlOptions));

	FeathubOptionsDefaults(FeathubMysqlOptions,
						   FEATHUB_ON_SERVER | FEATHUB_ON_USER_MAPPING, options);
	FeathubOptionsParse(FeathubMysqlOptions, FEATHUB_ON_SERVER, server->options, options);
	FeathubOptionsParse(FeathubMysqlOptions, FEATHUB_ON_USER_MAPPING, user->options, options);
	return options;
}

bool
FeathubMysqlColumnFlag(FeathubRelation *rel, AttrNumber attnum, const char *name)
{
	const char *value = FeathubRelationColumnOption(rel, attnum, name);
	bool		flag = false;

	return value && parse_bool(value, &flag) && flag;
}

const char *
FeathubMysqlColumnName(FeathubRelation *rel, AttrNumber attnum)
{
	const char *name = FeathubRelationColumnOption(rel, attnum, "column_name");

	return name ? name : NameStr(TupleDescAttr(rel->tupdesc, attnum - 1)->attname);
}

List *
FeathubMysqlKeyColumns(FeathubRelation *rel)
{
	List	   *result = NIL;

	for (int attnum = 1; attnum <= rel->tupdesc->natts; attnum++)
	{
		if (!TupleDescAttr(rel->tupdesc, attnum - 1)->attisdropped &&
			FeathubMysqlColumnFlag(rel, attnum, "key"))
			result = lappend_int(result, attnum);
	}
	return result;
}

/* Any column may have an index there; without one the server scans, not we. */
Bitmapset *
FeathubMysqlLookupColumns(FeathubRelation *rel)
{
	MysqlOptions *options = rel->options;
	Bitmapset  *columns = NULL;

	if (!options->pushdown)
		return NULL;
	for (int attnum = 1; attnum <= rel->tupdesc->natts; attnum++)
	{
		Form_pg_attribute att = TupleDescAttr(rel->tupdesc, attnum - 1);

		if (!att->attisdropped && !att->attgenerated)
			columns = bms_add_member(columns, attnum);
	}
	return columns;
}
