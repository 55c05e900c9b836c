/*
 * mysql_connector.h
 *		What the files of the MySQL connector share: options, connections,
 *		results, types.
 *
 * All statements but one are texts with literals, and all answers come in the
 * text protocol: measured, it is no slower than the binary one, and it is exact
 * for every type but FLOAT, which mysql_deparse.c asks for as DOUBLE.  The one is
 * the INSERT of many rows, which MariaDB takes in a protocol for that
 * (mysql_bulk.c): measured, a third less work for the server.
 */
#ifndef FEATHUB_CONNECTORS_MYSQL_MYSQL_CONNECTOR_H
#define FEATHUB_CONNECTORS_MYSQL_MYSQL_CONNECTOR_H

#include "lib/stringinfo.h"

#include "connectors/connector.h"
#include "core/compat.h"

struct st_mysql;
struct st_mysql_bind;
struct st_mysql_res;
struct st_mysql_stmt;

/* Errors of the server that are told apart. */
#define MYSQL_ERR_ACCESS_DENIED_DB	1044
#define MYSQL_ERR_ACCESS_DENIED		1045

typedef enum MysqlSslMode
{
	MYSQL_SSL_DISABLED,
	MYSQL_SSL_PREFERRED,
	MYSQL_SSL_REQUIRED,
	MYSQL_SSL_VERIFY_IDENTITY
} MysqlSslMode;

typedef enum MysqlZeroDates
{
	MYSQL_ZERO_DATES_ERROR,
	MYSQL_ZERO_DATES_NULL
} MysqlZeroDates;

typedef enum MysqlWriteMode
{
	MYSQL_WRITE_INSERT,
	MYSQL_WRITE_UPSERT,
	MYSQL_WRITE_IGNORE
} MysqlWriteMode;

typedef enum MysqlStreamMode
{
	MYSQL_STREAM_COLUMN,
	MYSQL_STREAM_BINLOG
} MysqlStreamMode;

typedef enum MysqlSnapshotMode
{
	MYSQL_SNAPSHOT_INITIAL,
	MYSQL_SNAPSHOT_NEVER
} MysqlSnapshotMode;

typedef struct MysqlOptions
{
	/* server */
	char	   *host;
	int			port;
	char	   *socket;
	int			connect_timeout;
	int			network_timeout;
	int			query_timeout;
	int			ssl_mode;		/* MysqlSslMode */
	char	   *ssl_ca;
	char	   *ssl_capath;
	char	   *ssl_cipher;
	char	   *ssl_crl;
	char	   *tls_version;
	bool		compression;
	bool		keep_connections;
	double		fdw_startup_cost;
	double		fdw_tuple_cost;

	/* user mapping */
	char	   *user;
	char	   *password;
	bool		password_required;
	char	   *ssl_cert;
	char	   *ssl_key;

	/* table, and its server for most of them */
	char	   *database;
	char	   *table_name;
	int			zero_dates;		/* MysqlZeroDates */
	int			write_mode;		/* MysqlWriteMode */
	int			batch_size;
	int			lookup_size;
	bool		pushdown;
	bool		use_remote_estimate;
	int			stream_mode;	/* MysqlStreamMode */
	char	   *stream_column;
	int			stream_lag;
	char	   *stream_time_zone;
	int			snapshot_mode;	/* MysqlSnapshotMode */
	int			snapshot_chunk_rows;
	int			server_id;
	int			heartbeat_interval;
} MysqlOptions;

/* mysql_options.c */
extern const FeathubOption FeathubMysqlOptions[];
extern void FeathubMysqlCheckRelation(FeathubRelation *rel);
extern MysqlOptions *FeathubMysqlServerOptions(ForeignServer *server, UserMapping *user);
extern bool FeathubMysqlColumnFlag(FeathubRelation *rel, AttrNumber attnum, const char *name);
extern const char *FeathubMysqlColumnName(FeathubRelation *rel, AttrNumber attnum);
/* The attnums of the columns with option key, in order. */
extern List *FeathubMysqlKeyColumns(FeathubRelation *rel);
extern Bitmapset *FeathubMysqlLookupColumns(FeathubRelation *rel);

/*
 * A connection of the cache, used by one role on one server.  It is in a
 * transaction of its own whenever xact_depth > 0.
 */
typedef struct MysqlConnection MysqlConnection;
typedef struct MysqlResult MysqlResult;

/* What a call of the library that has not returned yet is. */
typedef enum MysqlPending
{
	MYSQL_PENDING_NONE,
	MYSQL_PENDING_CONNECT,
	MYSQL_PENDING_QUERY,
	MYSQL_PENDING_PREPARE,
	MYSQL_PENDING_EXECUTE,
	MYSQL_PENDING_STORE,
	MYSQL_PENDING_FETCH
} MysqlPending;

/* Does the server take many rows by one execution of a statement? */
typedef enum MysqlBulkState
{
	MYSQL_BULK_UNKNOWN,			/* it says so, but has not yet */
	MYSQL_BULK_WORKS,
	MYSQL_BULK_REFUSED
} MysqlBulkState;

struct MysqlConnection
{
	Oid			umid;			/* the hash key */
	struct st_mysql *mysql;		/* NULL: not connected */
	char	   *server_name;	/* for messages */
	Oid			serverid;
	bool		mariadb;
	int			version;		/* 101119, 90704 */
	unsigned long thread_id;
	uint64		max_packet;		/* max_allowed_packet of the server */
	int			connect_timeout;	/* seconds */
	int			network_timeout;	/* seconds, 0: none */
	bool		keep;			/* after the transaction */
	MysqlOptions *options;		/* as connected, for KILL QUERY; own context */
	MemoryContext context;

	/* Transaction (mysql_transaction.c). */
	int			xact_depth;		/* 0: none, 1: BEGIN, 2 and more: savepoints */
	bool		xact_lost;		/* the remote transaction is gone: errors only */
	bool		invalidated;	/* options changed: close at the end */
	uint32		server_hash;
	uint32		mapping_hash;

	/* The statement that runs. */
	MysqlPending pending;
	int			wait_events;	/* MYSQL_WAIT_* of the pending call */
	bool		sent;			/* by FeathubMysqlSend, and not answered yet */
	int			sent_level;		/* in which (sub)transaction */
	char	   *query;			/* kept until the call has returned */
	struct st_mysql_stmt *stmt; /* the one prepared statement, or NULL */
	char	   *stmt_sql;		/* its text; NULL: there is none, or it is no good */
	bool		call_failed;	/* what a call on it returned */
	MysqlBulkState bulk;
	struct st_mysql_res *res;	/* rows come by it; NULL: none */
	char	  **row;			/* of the last fetch that had to wait */
	MysqlResult *reader;		/* who reads res; NULL: nobody any more */

	/* Of a connection that the binary log comes by (mysql_binlog_client.c). */
	bool		dumping;
	TimestampTz idle_since;		/* the last byte */
	int64		idle_limit;		/* ms */
};

/* What is known of a column of a result. */
typedef struct MysqlField
{
	int			type;			/* enum_field_types */
	unsigned int flags;
	unsigned long length;
	bool		binary;			/* character set binary: bytes, not text */
} MysqlField;

/*
 * mysql_connection.c: the cache.
 *
 * FeathubMysqlConnect returns the connection of a user mapping, in a transaction
 * and at the current savepoint if "transaction".
 */
extern MysqlConnection *FeathubMysqlConnect(ForeignServer *server, UserMapping *user,
											MysqlOptions *options);
/*
 * A connection that is not in the cache and in no transaction of ours: each
 * statement is one of its own (READ COMMITTED).  Made in a transaction, in the
 * current memory context, whose end closes it; opened at any time, once.
 */
extern MysqlConnection *FeathubMysqlPrivateMake(ForeignServer *server, UserMapping *user,
												MysqlOptions *options);
extern void FeathubMysqlPrivateOpen(MysqlConnection *conn);
extern void FeathubMysqlDisconnect(MysqlConnection *conn);
/* Ask the server, by another connection, to stop what conn runs.  Never fails. */
extern bool FeathubMysqlKill(MysqlConnection *conn, TimestampTz deadline);
/* Calls the function for each connection of the cache. */
extern void FeathubMysqlForEach(void (*function) (MysqlConnection *conn, void *arg), void *arg);

/* mysql_transaction.c */
extern void FeathubMysqlTransactionInit(void);
extern void FeathubMysqlBegin(MysqlConnection *conn);
extern void FeathubMysqlXactUsed(void);

/*
 * mysql_query.c: statements.
 *
 * One result at a time can be on its way on a connection.  Whoever needs the
 * connection while another's rows are still to come has them put aside first
 * (in memory up to work_mem, then in a temporary file).
 */

/* After a call of the library that may have waited by itself. */
extern void FeathubMysqlDontBlock(MysqlConnection *conn);

/* Run a statement without rows; returns the number of rows matched. */
extern uint64 FeathubMysqlExecute(MysqlConnection *conn, const char *sql, Size len);

/*
 * Send a statement without rows, and wait for its answer later: FeathubMysqlFinish
 * raises its error.  So does whatever is sent next, before it is.
 */
extern void FeathubMysqlSend(MysqlConnection *conn, const char *sql, Size len);
extern void FeathubMysqlFinish(MysqlConnection *conn);

/*
 * Prepare a statement, unless that is the one that the connection has.  False if
 * the server refuses, with the library's error set.
 */
extern bool FeathubMysqlPrepare(MysqlConnection *conn, const char *sql);
/*
 * Send the prepared statement with its parameters for n rows, column by column,
 * which make a packet of at most "bytes"; else as FeathubMysqlSend.  The
 * parameters are needed no longer than the call takes.
 */
extern void FeathubMysqlSendRows(MysqlConnection *conn, struct st_mysql_bind *params,
								 unsigned int n, Size bytes);
/*
 * Wait for the answer to what was sent, and return the server's error instead of
 * raising it, or 0.  FeathubMysqlForget: it is never to be raised.
 */
extern unsigned int FeathubMysqlAnswer(MysqlConnection *conn);
extern void FeathubMysqlForget(MysqlConnection *conn);

/* Begin a statement with rows, in the current memory context. */
extern MysqlResult *FeathubMysqlQuery(MysqlConnection *conn, const char *sql, Size len);
/*
 * The same for a statement made by "write", which is called again with literals
 * that have a collation if the server cannot compare them without.
 */
extern MysqlResult *FeathubMysqlQueryBy(MysqlConnection *conn, StringInfo sql,
										void (*write) (StringInfo sql, void *arg), void *arg);
extern uint64 FeathubMysqlExecuteBy(MysqlConnection *conn, StringInfo sql,
									void (*write) (StringInfo sql, void *arg), void *arg);
extern int	FeathubMysqlFieldCount(MysqlResult *result);
extern const MysqlField *FeathubMysqlFields(MysqlResult *result);

/*
 * The next row, or false at the end.  Values (NULL for null) and lengths stay
 * until the next call.
 */
extern bool FeathubMysqlFetch(MysqlResult *result, char ***values, unsigned long **lengths);
extern void FeathubMysqlCloseResult(MysqlResult *result);

/* The number that the last INSERT was given, or 0. */
extern uint64 FeathubMysqlInsertId(MysqlConnection *conn);
/* On an idle connection: false if the statement fails.  Ask returns its rows. */
extern bool FeathubMysqlTry(MysqlConnection *conn, const char *sql);
extern MysqlResult *FeathubMysqlAsk(MysqlConnection *conn, const char *sql);

/* For callers that may not fail: abort and clean-up.  False: close it. */
extern bool FeathubMysqlExecuteQuiet(MysqlConnection *conn, const char *sql,
									 TimestampTz deadline);
extern bool FeathubMysqlRecover(MysqlConnection *conn, TimestampTz deadline);

/* Connect within the options' time-out; interruptible unless quiet. */
extern bool FeathubMysqlOpen(MysqlConnection *conn, MysqlOptions *options,
							 TimestampTz deadline, bool quiet);

/* Raise the connection's last error; sql is for the context, or NULL. */
pg_noreturn extern void FeathubMysqlReportError(MysqlConnection *conn, const char *sql);

/*
 * mysql_row.c: values from rows.
 */
typedef struct MysqlDecoder MysqlDecoder;

/*
 * A decoder for a result's columns.  attrs are the columns' places in the slot
 * (attnums, or 0 for columns that are not shown).
 */
extern MysqlDecoder *FeathubMysqlDecoderMake(TupleDesc tupdesc, List *attrs,
											 const char *relname, int zero_dates);
extern void FeathubMysqlDecode(MysqlDecoder *decoder, MysqlResult *result, char **values,
							   unsigned long *lengths, Datum *out, bool *isnull);
/* The same for rows that were kept, of columns with these fields. */
extern void FeathubMysqlDecoderBind(MysqlDecoder *decoder, const MysqlField *fields, int nfields);
extern void FeathubMysqlDecodeBound(MysqlDecoder *decoder, char **values,
									unsigned long *lengths, Datum *out, bool *isnull);

/*
 * mysql_literal.c: values into statements.
 */
typedef struct MysqlWriter MysqlWriter;

/* What the server is told that a value is. */
typedef enum MysqlValueKind
{
	MYSQL_VALUE_INTEGER,
	MYSQL_VALUE_DOUBLE,
	MYSQL_VALUE_DECIMAL,		/* its digits are in data */
	MYSQL_VALUE_BITS,			/* so are these: zeros and ones */
	MYSQL_VALUE_BYTES,
	MYSQL_VALUE_TEXT,			/* in UTF-8 */
	MYSQL_VALUE_DATE,
	MYSQL_VALUE_DATETIME,		/* in UTC */
	MYSQL_VALUE_TIME
} MysqlValueKind;

typedef struct MysqlTime
{
	bool		negative;		/* TIME only, as hours above 23 */
	int			year;
	int			month;
	int			day;
	int			hour;
	int			minute;
	int			second;
	int			micros;
} MysqlTime;

/* A value taken apart. */
typedef struct MysqlValue
{
	int64		integer;
	double		number;
	const char *data;			/* may belong to the value */
	Size		len;
	MysqlTime	time;
	void	   *allocated;		/* to be freed after use, or NULL */
} MysqlValue;

extern MysqlWriter *FeathubMysqlWriterMake(Oid type);
extern MysqlValueKind FeathubMysqlWriterKind(const MysqlWriter *writer);
/* Fills what belongs to the writer's kind; an error if the server has no such value. */
extern void FeathubMysqlReadValue(MysqlWriter *writer, Datum value, MysqlValue *out);
extern void FeathubMysqlWriteLiteral(MysqlWriter *writer, StringInfo out, Datum value);
/*
 * A literal with characters that a column's character set lacks (latin1) cannot
 * be compared with it, unless it has a collation, which rules out an index.
 * While on, literals have it.
 */
extern void FeathubMysqlCollateLiterals(bool collate);
extern void FeathubMysqlQuoteString(StringInfo out, const char *data, Size len);
extern void FeathubMysqlQuoteName(StringInfo out, const char *name);
/* Can this very value?  Then a clause may hold it as a constant. */
extern bool FeathubMysqlConstWritable(Const *value);
extern bool FeathubMysqlValueWritable(Oid type, Datum value);

/* mysql_connector.c's members, by file */
extern void FeathubMysqlEstimate(FeathubRelation *rel, PlannerInfo *root,
								 RelOptInfo *baserel, FeathubEstimate *estimate);
extern void FeathubMysqlPlanScan(FeathubRelation *rel, PlannerInfo *root,
								 RelOptInfo *baserel, List *clauses,
								 FeathubScanPlan *plan);
extern void FeathubMysqlBeginScan(FeathubScan *scan);
extern void FeathubMysqlRescan(FeathubScan *scan);
extern bool FeathubMysqlNextRow(FeathubScan *scan, TupleTableSlot *slot);
extern void FeathubMysqlEndScan(FeathubScan *scan);
extern void FeathubMysqlExplainScan(FeathubScan *scan, ExplainState *es);

extern bool FeathubMysqlPlanLookup(FeathubRelation *rel, PlannerInfo *root,
								   RelOptInfo *baserel, List *attnums, List *clauses,
								   FeathubScanPlan *plan, int *max_keys);
extern void FeathubMysqlBeginLookup(FeathubLookup *lookup);
extern void FeathubMysqlSendKeys(FeathubLookup *lookup, int nrows, Datum *values);
extern bool FeathubMysqlNextFound(FeathubLookup *lookup, TupleTableSlot *slot);
extern void FeathubMysqlEndLookup(FeathubLookup *lookup);
extern void FeathubMysqlExplainLookup(FeathubLookup *lookup, ExplainState *es);

/*
 * mysql_bulk.c: an INSERT of many rows in MariaDB's protocol for that.
 *
 * FeathubMysqlBulkMake returns NULL if the columns' values cannot be sent so.  sql
 * has a parameter for each of the columns; max_rows are sent at once, as many of
 * them as max_bytes have room for.
 */
typedef struct MysqlBulk MysqlBulk;

extern MysqlBulk *FeathubMysqlBulkMake(FeathubRelation *rel, List *attrs, const char *sql,
									   int max_rows, Size max_bytes);
/*
 * Insert rows; the last answer is still to come (FeathubMysqlFinish).  Returns how
 * many of them it sent: none, if this server does not take rows so.
 */
extern int	FeathubMysqlBulkInsert(MysqlBulk *bulk, MysqlConnection *conn,
								   TupleTableSlot **slots, int nslots);

extern void FeathubMysqlBeginModify(FeathubModify *modify);
extern void FeathubMysqlInsertRows(FeathubModify *modify, TupleTableSlot **slots, int nslots);
extern void FeathubMysqlEndModify(FeathubModify *modify);
extern bool FeathubMysqlUpdateRow(FeathubModify *modify, TupleTableSlot *slot,
								  Datum *key, bool *key_isnull);
extern bool FeathubMysqlDeleteRow(FeathubModify *modify, Datum *key, bool *key_isnull);
extern void FeathubMysqlTruncate(List *rels, DropBehavior behavior, bool restart_seqs);
extern bool FeathubMysqlUpserts(FeathubRelation *rel);
extern void FeathubMysqlLoadPositions(FeathubRelation *rel, const char *job, int worker,
									  FeathubSinkPosition *positions, int n);
extern void FeathubMysqlSavePositions(FeathubRelation *rel, const char *job,
									  const FeathubSinkPosition *positions, int n);
extern void FeathubMysqlExplainModify(FeathubModify *modify, ExplainState *es);

extern bool FeathubMysqlFollows(FeathubRelation *rel);
extern bool FeathubMysqlStreamsDeletions(FeathubRelation *rel);
extern void FeathubMysqlOpenStream(FeathubStream *stream);
extern List *FeathubMysqlListPartitions(FeathubStream *stream);
extern void FeathubMysqlStartStream(FeathubStream *stream);
extern int	FeathubMysqlPoll(FeathubStream *stream, FeathubRecord *records, int max,
							 Size max_bytes, long timeout);
extern bool FeathubMysqlDecodeRecord(FeathubStream *stream, FeathubRecord *record,
									 Datum *values, bool *isnull, FeathubDecodeError *error);
extern void FeathubMysqlReleaseRecords(FeathubStream *stream);
extern void FeathubMysqlCommitPositions(FeathubStream *stream);
extern void FeathubMysqlPartitionStatus(FeathubStream *stream);
extern void FeathubMysqlCloseStream(FeathubStream *stream);
extern char *FeathubMysqlSeekPosition(FeathubStream *stream, const char *name, const char *target);
extern int	FeathubMysqlComparePositions(const char *a, const char *b);
extern char *FeathubMysqlRecordPosition(FeathubStream *stream, const FeathubRecord *record);
extern char *FeathubMysqlRecordIdentity(FeathubStream *stream, const FeathubRecord *record);
extern void FeathubMysqlDescribeRecord(FeathubStream *stream, const FeathubRecord *record,
									   StringInfo out);
extern void FeathubMysqlRecordValue(FeathubStream *stream, FeathubRecord *record);
extern Datum FeathubMysqlRecordHeaders(FeathubStream *stream, const FeathubRecord *record,
									   bool *isnull);
extern bool FeathubMysqlDecodeStored(FeathubStream *stream, const char *partition,
									 FeathubRecord *record, Datum headers, bool headers_isnull,
									 Datum *values, bool *isnull, FeathubDecodeError *error);

extern const FeathubOption FeathubMysqlImportOptions[];
extern List *FeathubMysqlImportSchema(ForeignServer *server, UserMapping *user,
									  ImportForeignSchemaStmt *stmt);
extern int	FeathubMysqlSampleRows(FeathubRelation *rel, HeapTuple *rows, int targrows,
								   double *totalrows, double *totaldeadrows);

#endif							/* FEATHUB_CONNECTORS_MYSQL_MYSQL_CONNECTOR_H */
