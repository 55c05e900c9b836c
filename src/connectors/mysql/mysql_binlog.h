/*
 * mysql_binlog.h
 *		Reading of binary logs of MySQL and MariaDB: bytes to changes of rows.
 *
 * Pure decoding: no network, no client library, no catalog, no transaction of
 * ours.  Whoever has the bytes feeds one event at a time and takes the items
 * that it holds:
 *
 *	reader = FeathubMysqlBinlogMake(&options);
 *	for each packet of the server (the OK byte taken off):
 *		FeathubMysqlBinlogFeed(reader, data, len);
 *		while ((type = FeathubMysqlBinlogNext(reader, &item)) != MYSQL_BINLOG_END)
 *			...
 *
 * What the items promise:
 *
 * - Whatever the server commits together is BEGIN, then items, then one of
 *	 COMMIT, ROLLBACK, PREPARE.  This holds for DDL too (BEGIN, QUERY, COMMIT), and
 *	 for the second half of an XA transaction (BEGIN, QUERY, COMMIT).  The
 *	 transaction's GTID belongs into the executed set at its end.  A restart must
 *	 begin before a BEGIN: rows that come without one are an ERROR.
 * - Nothing is skipped in silence.  An event that is unknown, damaged, or that
 *	 cannot be read is an ERROR, unless the server marked it as ignorable.  After an
 *	 ERROR the reader gives nothing else until FeathubMysqlBinlogReset.
 * - Values are the text that the server would send for SELECT in the text
 *	 protocol, in UTF-8, in a session with time zone UTC; see MysqlBinlogImage.
 *
 * What no log has: rows that a foreign key's CASCADE or SET NULL changes inside
 * the storage engine, and virtual columns that are not stored.
 *
 * Lengths that the bytes claim are never trusted, nor is memory allocated by
 * them before they are checked.  No function here calls ereport for bad bytes;
 * out of memory is one, as everywhere.
 */
#ifndef FEATHUB_CONNECTORS_MYSQL_MYSQL_BINLOG_H
#define FEATHUB_CONNECTORS_MYSQL_MYSQL_BINLOG_H

#include "lib/stringinfo.h"

#include "connectors/mysql/mysql_connector.h"
#include "connectors/mysql/mysql_gtid.h"

/* A string of the event or of a table; not always ended by a NUL. */
typedef struct MysqlBinlogString
{
	const char *data;
	Size		len;
} MysqlBinlogString;

typedef struct MysqlBinlogOptions
{
	bool		mariadb;		/* what the server is: some events differ */

	/*
	 * Does each event end with a checksum until a FORMAT_DESCRIPTION event says
	 * so?  That is what was asked for by @source_binlog_checksum.
	 */
	bool		checksum;
	bool		verify;			/* compare checksums; costs 1 ns a byte */

	/* Longest event, compressed or not; 0: 1 GB, which no server exceeds. */
	Size		max_event;
} MysqlBinlogOptions;

typedef struct MysqlBinlogReader MysqlBinlogReader;

/*
 * Types of columns, as events have them.  The numbers are the protocol's, so
 * they are those of the client library too (MYSQL_TYPE_...).
 */
typedef enum MysqlBinlogType
{
	MYSQL_BINLOG_DECIMAL_OLD = 0,
	MYSQL_BINLOG_TINY = 1,
	MYSQL_BINLOG_SHORT = 2,
	MYSQL_BINLOG_LONG = 3,
	MYSQL_BINLOG_FLOAT = 4,
	MYSQL_BINLOG_DOUBLE = 5,
	MYSQL_BINLOG_NULL = 6,
	MYSQL_BINLOG_TIMESTAMP = 7,
	MYSQL_BINLOG_LONGLONG = 8,
	MYSQL_BINLOG_INT24 = 9,
	MYSQL_BINLOG_DATE = 10,
	MYSQL_BINLOG_TIME = 11,
	MYSQL_BINLOG_DATETIME = 12,
	MYSQL_BINLOG_YEAR = 13,
	MYSQL_BINLOG_NEWDATE = 14,
	MYSQL_BINLOG_VARCHAR = 15,
	MYSQL_BINLOG_BIT = 16,
	MYSQL_BINLOG_TIMESTAMP2 = 17,
	MYSQL_BINLOG_DATETIME2 = 18,
	MYSQL_BINLOG_TIME2 = 19,
	MYSQL_BINLOG_BLOB_COMPRESSED = 140, /* MariaDB's COMPRESSED columns */
	MYSQL_BINLOG_VARCHAR_COMPRESSED = 141,
	MYSQL_BINLOG_VECTOR = 242,
	MYSQL_BINLOG_JSON = 245,
	MYSQL_BINLOG_DECIMAL = 246,
	MYSQL_BINLOG_ENUM = 247,
	MYSQL_BINLOG_SET = 248,
	MYSQL_BINLOG_TINY_BLOB = 249,
	MYSQL_BINLOG_MEDIUM_BLOB = 250,
	MYSQL_BINLOG_LONG_BLOB = 251,
	MYSQL_BINLOG_BLOB = 252,
	MYSQL_BINLOG_VAR_STRING = 253,
	MYSQL_BINLOG_STRING = 254,
	MYSQL_BINLOG_GEOMETRY = 255
} MysqlBinlogType;

/* MariaDB's types that events show as BINARY(n): only the server's schema tells. */
typedef enum MysqlBinlogPlugin
{
	MYSQL_BINLOG_PLUGIN_NONE,
	MYSQL_BINLOG_PLUGIN_UUID,
	MYSQL_BINLOG_PLUGIN_INET4,
	MYSQL_BINLOG_PLUGIN_INET6
} MysqlBinlogPlugin;

#define MYSQL_COLLATION_BINARY	63

/*
 * A column of a table as the event describes it.  What is marked "caller" may
 * be set when the item MYSQL_BINLOG_TABLE comes, and no later, from
 * information_schema, where the server's binlog_row_metadata does not tell it.
 * Without a sign numbers are read as signed; without a collation text that is
 * not ASCII is an ERROR.
 */
typedef struct MysqlBinlogColumn
{
	MysqlBinlogType type;		/* ENUM and SET are told from STRING */
	uint16		metadata;		/* by type: length, precision, digits */
	bool		nullable;
	bool		visible;
	int			key;			/* place in the primary key from 1, or 0 */
	int			key_prefix;		/* characters that are in the key; 0: all */
	MysqlBinlogString name;		/* in UTF-8; data is NULL if not told */
	int			geometry;		/* kind of geometry, -1 if not told */

	/* caller, if not known: */
	bool		sign_known;		/* is_unsigned is told by the event */
	bool		is_unsigned;
	int			collation;		/* of text; 63: bytes; 0: not known */
	int			nmembers;		/* of ENUM and SET, in UTF-8; see */
	MysqlBinlogString *members; /* FeathubMysqlBinlogSetMembers; -1: not known */
	MysqlBinlogPlugin plugin;

	/* caller: true at first.  Values of other columns are not made. */
	bool		wanted;
	/* caller: false at first.  The column is one of those that identify rows. */
	bool		identity;
} MysqlBinlogColumn;

/*
 * A table, as TABLE_MAP describes it.  It is the same struct as long as the
 * description's bytes are the same; a changed one is a new struct, so that
 * pointers compare.  All live until FeathubMysqlBinlogReset, or until they have
 * not been used for long (then forget is called).
 */
typedef struct MysqlBinlogTable
{
	uint64		id;				/* the server's number */
	MysqlBinlogString database;
	MysqlBinlogString name;
	int			ncolumns;
	MysqlBinlogColumn *columns;
	bool		has_names;		/* binlog_row_metadata=FULL */
	bool		has_signs;		/* signedness is told, with MINIMAL or FULL */
	bool		has_key;		/* a primary key is told */

	/* caller: false at first.  Rows of other tables are passed over cheaply. */
	bool		followed;
	/* caller: false at first.  The image before an UPDATE has only values of
	 * columns that identify rows, unless one of these has changed. */
	bool		lean_before;
	void	   *user;			/* caller's own */
} MysqlBinlogTable;

/*
 * A row before or after a change.  A value is the text, in UTF-8, or the bytes
 * of columns whose collation is 63 (BINARY, BLOB, BIT, GEOMETRY, VECTOR), that
 * the server would send; what differs:
 *
 * - FLOAT is written with all digits that a DOUBLE of it has, as mysql_deparse.c
 *	 asks for it;
 * - ZEROFILL is not seen; FLOAT(m,d) and DOUBLE(m,d) are not rounded;
 * - ENUM and SET are numbers if their members are not known.
 *
 * What a minimal image lacks is, in an UPDATE, as it was before, and in an
 * INSERT the column's default, not null.
 *
 * Memory: until the next call of Next.  Values are not ended by a NUL.
 */
typedef struct MysqlBinlogImage
{
	int			ncolumns;
	char	  **values;			/* NULL: null, absent, or not wanted */
	unsigned long *lengths;
	bool	   *present;		/* false: the image does not have the column */
	bool		complete;		/* all columns are present */
} MysqlBinlogImage;

typedef enum MysqlBinlogOperation
{
	MYSQL_BINLOG_INSERT,		/* after */
	MYSQL_BINLOG_UPDATE,		/* before and after */
	MYSQL_BINLOG_DELETE			/* before */
} MysqlBinlogOperation;

typedef enum MysqlBinlogItemType
{
	MYSQL_BINLOG_END,			/* nothing left: feed the next event */
	MYSQL_BINLOG_ERROR,			/* FeathubMysqlBinlogError tells why */
	MYSQL_BINLOG_BEGIN,			/* transaction; xid: it ends with PREPARE, or with
								 * COMMIT in one phase */
	MYSQL_BINLOG_TABLE,			/* table: new or changed; decide on followed */
	MYSQL_BINLOG_ROW,			/* table, operation, before, after, row_number */
	MYSQL_BINLOG_COMMIT,		/* transaction */
	MYSQL_BINLOG_ROLLBACK,		/* transaction: its rows never were */
	MYSQL_BINLOG_PREPARE,		/* transaction, xid: rows wait for XA COMMIT */
	MYSQL_BINLOG_SAVEPOINT,		/* name, row_number: the next row's */
	MYSQL_BINLOG_ROLLBACK_TO,	/* name: rows since the savepoint never were, but
								 * for those of tables without transactions */
	MYSQL_BINLOG_QUERY,			/* query, database, query_type */
	MYSQL_BINLOG_ROTATE,		/* file, file_position: the next event's */
	MYSQL_BINLOG_FORMAT,		/* server_version: a log file begins */
	MYSQL_BINLOG_GTIDS,			/* gtids: what was executed before the file */
	MYSQL_BINLOG_HEARTBEAT,		/* file, file_position if the server tells */
	MYSQL_BINLOG_STATEMENT,		/* query: the statement whose rows come next */
	MYSQL_BINLOG_STOP			/* the server was stopped */
} MysqlBinlogItemType;

/* What the text of a QUERY item does. */
typedef enum MysqlBinlogQueryType
{
	MYSQL_BINLOG_QUERY_DDL,		/* CREATE, ALTER, DROP, RENAME, TRUNCATE TABLE
								 * and the like */
	MYSQL_BINLOG_QUERY_DML,		/* INSERT etc. logged as a statement: its rows
								 * do not come.  Not to be passed over */
	MYSQL_BINLOG_QUERY_XA_COMMIT,	/* xid: the rows that PREPARE announced */
	MYSQL_BINLOG_QUERY_XA_ROLLBACK, /* xid */
	MYSQL_BINLOG_QUERY_OTHER	/* GRANT, SET, FLUSH, ANALYZE...: no rows */
} MysqlBinlogQueryType;

typedef struct MysqlBinlogTransaction
{
	MysqlGtid	gtid;			/* kind MYSQL_GTID_NONE: anonymous */
	/* microseconds since 1970 where the event has them, else whole seconds */
	int64		commit_time;
	int64		original_commit_time;	/* on the server where it was made */
	bool		exact_time;		/* commit_time has microseconds */
	uint64		start_position; /* of its first event in the file */
} MysqlBinlogTransaction;

typedef struct MysqlBinlogItem
{
	const MysqlBinlogTransaction *transaction;	/* NULL outside of one */
	MysqlBinlogTable *table;
	MysqlBinlogOperation operation;
	const MysqlBinlogImage *before;
	const MysqlBinlogImage *after;
	int64		row_number;		/* in the transaction, from 0, followed tables only */
	MysqlBinlogString query;
	MysqlBinlogQueryType query_type;
	MysqlBinlogString database;	/* the query's default */
	MysqlBinlogString name;		/* of a savepoint */
	MysqlBinlogString xid;		/* as SQL writes it: X'..',X'..',1 */
	MysqlBinlogString file;
	uint64		file_position;
	MysqlBinlogString server_version;
	const char *gtids;			/* as text: a set, or a list of MariaDB */
} MysqlBinlogItem;

/* Where the reader is: valid after each Feed. */
typedef struct MysqlBinlogPosition
{
	char		file[512];		/* "" until the first ROTATE */
	uint64		event_position; /* where the event begins, 0 if made up */
	uint64		next_position;	/* behind the last event that is in the file */
	uint32		timestamp;		/* of the event, seconds */
	uint32		server_id;		/* where it was made */
	uint8		event_type;
	bool		in_transaction; /* a restart must not begin here */
} MysqlBinlogPosition;

/*
 * mysql_binlog.c: events.
 *
 * A reader lives in the current memory context, with children of its own, and
 * goes with it (zlib's and zstd's memory by a reset callback).
 */
extern MysqlBinlogReader *FeathubMysqlBinlogMake(const MysqlBinlogOptions *options);

/* Forget tables and the transaction: before the server sends from another place. */
extern void FeathubMysqlBinlogReset(MysqlBinlogReader *reader);

/*
 * Give one event, from its header on.  The bytes must stay until Next has
 * returned END; all items of the last one must have been taken.
 */
extern void FeathubMysqlBinlogFeed(MysqlBinlogReader *reader, const char *data, Size len);

/* The next item; what it points to stays until the next call. */
extern MysqlBinlogItemType FeathubMysqlBinlogNext(MysqlBinlogReader *reader, MysqlBinlogItem *item);

/* What was wrong, with the place in the log, and advice or NULL. */
extern const char *FeathubMysqlBinlogError(const MysqlBinlogReader *reader, const char **hint);
/* Was it the bytes (false), or something that is not supported (true)? */
extern bool FeathubMysqlBinlogUnsupported(const MysqlBinlogReader *reader);

extern const MysqlBinlogPosition *FeathubMysqlBinlogAt(const MysqlBinlogReader *reader);

/* Called with a table that is about to be freed, to free what user has. */
extern void FeathubMysqlBinlogOnForget(MysqlBinlogReader *reader,
									   void (*forget) (MysqlBinlogTable *table, void *arg), void *arg);

/*
 * A copy of an image in one piece of memory of the context, each value ended by
 * a NUL: to be freed by one pfree.  "bytes", if not NULL, is set to its size.
 */
extern MysqlBinlogImage *FeathubMysqlBinlogCopyImage(const MysqlBinlogImage *image,
													 MemoryContext context, Size *bytes);

/*
 * mysql_binlog_table.c: tables.
 */

/* Members of an ENUM or SET, in UTF-8, for columns that have none; copied. */
extern void FeathubMysqlBinlogSetMembers(MysqlBinlogTable *table, int column, int nmembers,
										 const MysqlBinlogString *members);

/* What FeathubMysqlDecoderBind wants to know of a column. */
extern void FeathubMysqlBinlogField(const MysqlBinlogColumn *column, MysqlField *field);

#endif							/* FEATHUB_CONNECTORS_MYSQL_MYSQL_BINLOG_H */
