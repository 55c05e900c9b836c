/*
 * mysql_cdc.h
 *		Following a table by the server's binary log.
 */
#ifndef FEATHUB_CONNECTORS_MYSQL_MYSQL_CDC_H
#define FEATHUB_CONNECTORS_MYSQL_MYSQL_CDC_H

#include "connectors/mysql/mysql_binlog.h"
#include "connectors/mysql/mysql_record.h"
#include "connectors/mysql/mysql_stream.h"

/*
 * mysql_cdc_position.c: where a job is.
 *
 *		1234 mariadb-bin.000003:5678+20@0-1-58 0-1-57 xa:61.62.1@mariadb-bin.000002:34 snapshot 900:42
 *
 * is the number of records up to here, the place in the log where a transaction
 * begins, how many records of which transaction are applied, what was executed
 * before it ("-": not known), if there are any the XA transactions that are
 * prepared, with the places of those that changed the table, and, while the
 * table's first copy is made, how many of its rows were taken and the key of the
 * last one.
 */
typedef struct MysqlCdcPosition
{
	int64		number;
	char	   *file;			/* NULL: nowhere yet */
	uint64		position;
	int64		rows;
	char	   *transaction;	/* whose they are, or NULL */
	char	   *gtids;			/* NULL: not known; "": none */
	List	   *xa;				/* of MysqlCdcXa */
	bool		snapshot;		/* the first copy is not finished */
	MysqlPosition cursor;		/* of it: values of the key's columns */
} MysqlCdcPosition;

/* Is it such a position, and no other?  Everything is palloc'd. */
extern bool FeathubMysqlCdcPositionParse(const char *text, MysqlCdcPosition *position);
extern void FeathubMysqlCdcPositionAppend(StringInfo out, const MysqlCdcPosition *position);
/* A place in the log, "file:position". */
extern bool FeathubMysqlCdcPlaceParse(const char *text, char **file, uint64 *position);
/* Orders two places by the number of the file and the position in it. */
extern int	FeathubMysqlCdcComparePlaces(const char *file_a, uint64 position_a,
										 const char *file_b, uint64 position_b);
/* Copy the values of a cursor into one that is kept; its own are freed. */
extern void FeathubMysqlCdcCopyCursor(MysqlPosition *to, const MysqlPosition *from);
extern int	FeathubMysqlCdcCompare(const MysqlCdcPosition *a, const MysqlCdcPosition *b);

/* A column of the table as the server's catalog has it. */
typedef struct MysqlCdcColumn
{
	char	   *name;			/* in UTF-8 */
	char	   *type;			/* int, varchar */
	int			collation;		/* any of its character set; 63: bytes; 0: none */
	bool		is_unsigned;
	bool		old_time;		/* fractions of seconds as MariaDB 5.3 stored them */
	int			nmembers;		/* of ENUM and SET */
	MysqlBinlogString *members;
} MysqlCdcColumn;

/* What was found out about the table and its server. */
typedef struct MysqlCdcTable
{
	bool		gtid;			/* the server's transactions have GTIDs */
	bool		ignore_case;	/* of names of tables */
	bool		old_times;		/* columns have the format of MariaDB 5.3 unless they say so */
	char	   *source;			/* by which the server is known again */
	char	   *quoted;			/* database.table */
	char	   *where;			/* for information_schema */
	char	   *database;		/* in UTF-8 */
	char	   *name;
	int			ncolumns;
	MysqlCdcColumn *columns;

	/* The key: columns with option key. */
	int			nkeys;
	AttrNumber *key_attnums;
	char	  **key_names;		/* in UTF-8 */
	char	  **key_quoted;
	MysqlOrderKind *key_kinds;
	bool	   *key_as_number;	/* ordered by column + 0: ENUM, SET, BIT */
	char	   *mark;			/* their names */
} MysqlCdcTable;

/*
 * mysql_preflight.c: errors, with what to do, for a server or a table that cannot
 * be followed.  Prepare looks at options alone, in a transaction.
 */
extern MysqlCdcTable *FeathubMysqlPreflightPrepare(FeathubStream *stream);
extern void FeathubMysqlPreflight(FeathubStream *stream, MysqlConnection *conn,
								  MysqlCdcTable *table);
/* The table's columns as they are now. */
extern void FeathubMysqlReadColumns(FeathubStream *stream, MysqlConnection *conn,
									MysqlCdcTable *table);
/* MariaDB: what was executed before a place in the log, or NULL; it reads the file. */
extern char *FeathubMysqlGtidsAt(MysqlConnection *conn, const char *file, uint64 position);
/* MariaDB: what was executed up to now, or NULL. */
extern char *FeathubMysqlGtidsNow(MysqlConnection *conn);
/* The end of the log now, of MySQL with what was executed; palloc'd. */
extern void FeathubMysqlLogEnd(FeathubStream *stream, MysqlConnection *conn,
							   const MysqlCdcTable *table, MysqlCdcPosition *end);

/* mysql_ddl.c: does a statement end, empty or replace the table?  What, or NULL. */
extern const char *FeathubMysqlDdlEnds(const char *query, Size len, const char *default_database,
									   const char *database, const char *table, bool ignore_case);
/* Does it change or drop columns of the table? (Those that are added change their number.) */
extern bool FeathubMysqlDdlMovesColumns(const char *query, Size len, const char *default_database,
										const char *database, const char *table,
										bool ignore_case);
/* Is it the server's own DELETE of a table that lost its rows, not ours? */
extern bool FeathubMysqlDdlIsForeignDelete(const char *query, Size len,
										   const char *default_database, const char *database,
										   const char *table, bool ignore_case);

/*
 * mysql_snapshot.c: the first copy, chunk by chunk.
 */
typedef struct MysqlSnapshotRow
{
	char	  **values;			/* the records' columns, then the key's; NULL: the
								 * row was changed meanwhile */
	unsigned long *lengths;
} MysqlSnapshotRow;

typedef struct MysqlSnapshot MysqlSnapshot;

extern MysqlSnapshot *FeathubMysqlSnapshotMake(FeathubStream *stream, MysqlCdcTable *table,
											   MysqlRecords *records);
/*
 * Read the rows behind the cursor.  False, with nothing read, if the server has
 * not come as far as the log was read ("at", "executed"): try again.
 */
extern bool FeathubMysqlSnapshotRead(MysqlSnapshot *snapshot, MysqlConnection *conn,
									 const MysqlPosition *cursor, const char *at_file,
									 uint64 at_position, const MysqlGtidSet *executed);
/* Rows are on hand, to be emitted when the log was read up to there. */
extern bool FeathubMysqlSnapshotPending(const MysqlSnapshot *snapshot, const char **file,
										uint64 *position);
/* Was the transaction perhaps not visible to the chunk's query? */
extern bool FeathubMysqlSnapshotInWindow(const MysqlSnapshot *snapshot, const MysqlGtid *gtid);
/* A row was changed: what the chunk has of its key is out of date. */
extern void FeathubMysqlSnapshotDrop(MysqlSnapshot *snapshot, char *const *key,
									 const unsigned long *lengths);
/* The next row, in order, or NULL: the chunk is used up. */
extern const MysqlSnapshotRow *FeathubMysqlSnapshotNext(MysqlSnapshot *snapshot);
extern const MysqlFields *FeathubMysqlSnapshotFields(const MysqlSnapshot *snapshot);
/* The key of a row, or of the chunk's last one (NULL). */
extern void FeathubMysqlSnapshotKey(MysqlSnapshot *snapshot, const MysqlSnapshotRow *row,
									MysqlPosition *cursor);
/* No row is behind the chunk. */
extern bool FeathubMysqlSnapshotIsLast(const MysqlSnapshot *snapshot);
/* Forget the chunk; its rows stay until Release. */
extern void FeathubMysqlSnapshotReset(MysqlSnapshot *snapshot);
extern void FeathubMysqlSnapshotRelease(MysqlSnapshot *snapshot);

/*
 * mysql_cdc_layout.c: how a row in the log becomes a row of the foreign table.
 * Layouts are kept as long as the stream.
 */
typedef struct MysqlCdcLayout
{
	MysqlFields *fields;		/* by the records' columns */
	int		   *columns;		/* of the records' columns, or -1: NULL */
	int		   *keys;			/* of the key's columns */
	int			ncolumns;		/* of the table */
	uint8	   *classes;		/* of types, by the records' columns */
} MysqlCdcLayout;

typedef struct MysqlCdcLayouts
{
	FeathubStream *stream;
	MysqlCdcTable *table;
	MysqlRecords *records;
	MysqlConnection *conn;		/* to look at the table as it is now */
	char	  **names;			/* of the records' columns there, in UTF-8 */
	List	   *layouts;
	MysqlCdcLayout *current;	/* of the last table seen */

	/* The end of the log before the catalog was read for tables without names. */
	char		catalog_file[512];	/* "": it has to be read */
	uint64		catalog_position;
} MysqlCdcLayouts;

extern MysqlCdcLayouts *FeathubMysqlCdcLayoutsMake(FeathubStream *stream, MysqlCdcTable *table,
												   MysqlRecords *records, MysqlConnection *conn);
/*
 * Decide on a table that the log describes: sets followed, what is wanted and
 * user (its layout).  Returns why the job cannot go on with it, or NULL.
 */
extern char *FeathubMysqlCdcLook(MysqlCdcLayouts *layouts, MysqlBinlogTable *table);

/*
 * A statement that ends at a place in the log has changed columns.  False if rows
 * before it were taken for those of the catalog, which had the change already.
 */
extern bool FeathubMysqlCdcColumnsMoved(MysqlCdcLayouts *layouts, const char *file,
										uint64 position);

/*
 * mysql_cdc_queue.c: changes on their way from the log to records.
 */
typedef struct MysqlCdcItem MysqlCdcItem;
typedef struct MysqlCdcAgain MysqlCdcAgain;

/* An XA transaction that was prepared, and neither committed nor rolled back. */
typedef struct MysqlCdcXa
{
	char	   *xid;			/* global part, branch, format: 6131.62.1 */
	char	   *file;			/* where it begins, or NULL: it has no rows of the table */
	uint64		position;
	MysqlCdcItem *rows;			/* if they are kept */
	int64		nrows;
	Size		bytes;
} MysqlCdcXa;

typedef struct MysqlCdcTransaction
{
	int			refs;			/* of rows, and of the reader */
	char		file[512];
	uint64		start;
	MysqlGtid	gtid;
	TimestampTz time;
} MysqlCdcTransaction;

struct MysqlCdcItem
{
	struct MysqlCdcItem *next;
	/* a row */
	MysqlCdcTransaction *transaction;	/* NULL: a place, or a row of the copy */
	const MysqlFields *fields;
	FeathubChange change;
	int64		index;			/* of its transaction's records */
	char	  **values;			/* by the records' columns */
	unsigned long *lengths;
	const MysqlSnapshotRow *copied; /* of the first copy */
	/* a place: all before it is applied */
	bool		is_place;
	bool		has_gtid;
	MysqlGtid	gtid;			/* of the transaction that ends here */
	char	   *file;
	uint64		position;
	char	   *gtids;			/* executed, if this is what the log tells */
	struct MysqlCdcXa *xa;		/* an XA transaction, prepared or ended here */
	bool		xa_ends;
	Size		bytes;
};

/* Why reading has stopped; raised once all before it is applied. */
typedef struct MysqlCdcStop
{
	char	   *message;		/* NULL: it has not */
	char	   *hint;
	bool		damaged;		/* try again */
} MysqlCdcStop;

typedef struct MysqlCdcReader
{
	FeathubStream *stream;
	MysqlCdcTable *table;
	MysqlRecords *records;
	MysqlCdcLayouts *layouts;
	MysqlSnapshot *snapshot;
	MysqlBinlogReader *binlog;
	MemoryContext context;		/* of items */
	MysqlCdcStop stop;

	/* Ready to be handed out, and those of the transaction that is read. */
	MysqlCdcItem *ready;
	MysqlCdcItem *ready_tail;
	MysqlCdcItem *open;
	MysqlCdcItem *open_tail;
	Size		open_bytes;
	bool		early;			/* rows of it were made ready before its end */
	bool		in_event;		/* the event is not used up */
	bool		full;			/* as many rows are ready as should be */
	MysqlCdcTransaction *transaction;	/* the one that is read */
	int64		nrows;			/* its records so far */
	int64		skip;			/* of them are applied */
	bool		in_window;		/* the snapshot's chunk may not have seen it */
	List	   *savepoints;

	/* XA transactions: those prepared; what is open may become one. */
	List	   *xa;				/* of MysqlCdcXa */
	Size		xa_bytes;		/* of their rows that are kept */
	bool		in_xa;
	bool		not_kept;		/* it has more rows than are kept */
	MysqlCdcXa *xa_prepared;	/* by the transaction that is read, */
	MysqlCdcXa *xa_ended;		/* or ended */
	bool		copying;		/* the first copy is not finished */
	List	   *xa_invisible;	/* committed, but perhaps not for all to see yet */
	MysqlCdcAgain *again;		/* rows are read from where they were prepared */
	bool		end_due;		/* the transaction ends behind them */
	uint32		again_id;		/* as whom the server knows this reading */
	char		again_uuid[37];

	/* A restart in a transaction: whose first records are applied. */
	int64		restart_rows;
	char	   *restart_transaction;
	uint64		restart_position;
	char		restart_file[512];

	/* Up to where the log was read: begin of a transaction, or its end. */
	char		file[512];
	uint64		position;
	int64		bytes_read;
} MysqlCdcReader;

extern MysqlCdcReader *FeathubMysqlCdcReaderMake(FeathubStream *stream, MysqlCdcTable *table,
												 MysqlRecords *records, MysqlConnection *conn,
												 MysqlSnapshot *snapshot);
/* Begin to read at a position. */
extern void FeathubMysqlCdcReaderStart(MysqlCdcReader *reader, const MysqlCdcPosition *position,
									   bool mariadb, bool checksums);
/*
 * Take in an event; while in_event is set after it, there is more of it, for
 * Continue to take once what is ready has been handed out.
 */
extern void FeathubMysqlCdcReaderFeed(MysqlCdcReader *reader, const char *data, Size len);
extern void FeathubMysqlCdcReaderContinue(MysqlCdcReader *reader);
/* The next item that is ready, or NULL; the caller frees it. */
extern MysqlCdcItem *FeathubMysqlCdcReaderTake(MysqlCdcReader *reader);
extern void FeathubMysqlCdcItemFree(MysqlCdcItem *item);
/* Take in what changes the open transaction: TABLE, ROW, SAVEPOINT, ROLLBACK_TO. */
extern void FeathubMysqlCdcReaderChange(MysqlCdcReader *reader, MysqlBinlogItemType type,
										const MysqlBinlogItem *item);
/* Read no further, and say why; the hint may be NULL. */
extern void FeathubMysqlCdcReaderStop(MysqlCdcReader *reader, const char *message,
									  const char *hint);
extern void FeathubMysqlCdcReaderStopDamaged(MysqlCdcReader *reader,
											 const MysqlBinlogReader *binlog);

/*
 * mysql_cdc_xa.c: XA transactions.  Lists are of MysqlCdcXa, in the current context.
 */

/* The name of X'6131',X'62',1 as positions have it, palloc'd, or NULL; and back. */
extern char *FeathubMysqlCdcXid(MysqlBinlogString text);
extern char *FeathubMysqlCdcXidText(const char *xid);
extern MysqlCdcXa *FeathubMysqlCdcXaMake(const char *xid, const char *file, uint64 position);
extern void FeathubMysqlCdcXaFree(MysqlCdcXa *xa);
extern MysqlCdcXa *FeathubMysqlCdcXaFind(const List *list, const char *xid);
extern List *FeathubMysqlCdcXaRemove(List *list, const char *xid);
extern List *FeathubMysqlCdcXaCopy(const List *list);
extern bool FeathubMysqlCdcXaParse(const char *text, List **list);
extern void FeathubMysqlCdcXaAppend(StringInfo out, const List *list);

/*
 * Read the rows of the transaction that begins at a place once more, as if the
 * log had them here; file NULL: look for its XA PREPARE first.  It is "again" of
 * the reader until they have been read; what stops it stops the reader.
 */
extern void FeathubMysqlCdcAgainStart(MysqlCdcReader *reader, const char *xid,
									  const char *file, uint64 position);
/* Read on; false if nothing came within the time (in ms) or the latch is set. */
extern bool FeathubMysqlCdcAgainRead(MysqlCdcReader *reader, long timeout);
/* There is more in what was read; false if not. */
extern bool FeathubMysqlCdcAgainContinue(MysqlCdcReader *reader);
/* Can all see the changes of the XA transactions that were committed? */
extern bool FeathubMysqlCdcXaVisible(MysqlCdcReader *reader, MysqlConnection *conn);

/* Of a stream: what mysql_cdc.c and mysql_cdc_start.c share. */
typedef struct MysqlCdcState
{
	MysqlConnection *query;		/* statements */
	MysqlConnection *dump;		/* the log */
	bool		ready;			/* connected, and the table was looked at */
	MysqlCdcTable *table;
	MysqlRecords *records;
	MysqlSnapshot *snapshot;
	MysqlCdcReader *reader;
	char	   *partition;		/* its name */
	uint32		server_id;
	char		uuid[37];

	/* Where we are: behind what was handed out. */
	MysqlCdcPosition at;		/* but for gtids, transaction */
	char		file[512];		/* at.file */
	MysqlGtidSet *executed;		/* NULL: not known */
	MysqlGtid	transaction;	/* of at.rows */
	int64		copied;			/* rows of the first copy */
	const MysqlSnapshotRow *last_copied;	/* of the chunk at hand */
	TimestampTz next_chunk;		/* not before */

	MysqlCdcItem *handed;		/* out, until release */
	int			nhanded;
	MemoryContext handed_context;	/* of records */
	MemoryContext poll_context; /* of a poll */

	bool		moved;			/* next_position is due */
	TimestampTz note_at;		/* when a place without records is */
	int			note_interval;
	TimestampTz last_note;

	/* The end of the log, as it was last seen. */
	TimestampTz end_seen;
	MysqlCdcPosition end;
	char		end_file[512];
	char	   *end_text;
	int64		records_read;
} MysqlCdcState;

/*
 * mysql_cdc_start.c: where to begin.
 */

/* Connect, and see whether the table can be followed; once. */
extern void FeathubMysqlCdcMakeReady(FeathubStream *stream);
/* The server's name and the key, which the position depends on; palloc'd. */
extern char *FeathubMysqlCdcMark(const MysqlCdcState *state);

/* mysql_cdc.c, mysql_cdc_start.c: the streaming callbacks, dispatched to by mysql_stream.c. */
extern void FeathubMysqlCdcOpenStream(FeathubStream *stream);
extern List *FeathubMysqlCdcListPartitions(FeathubStream *stream);
extern void FeathubMysqlCdcStartStream(FeathubStream *stream);
extern int	FeathubMysqlCdcPoll(FeathubStream *stream, FeathubRecord *records, int max,
								Size max_bytes, long timeout);
extern bool FeathubMysqlCdcDecodeRecord(FeathubStream *stream, FeathubRecord *record,
										Datum *values, bool *isnull, FeathubDecodeError *error);
extern void FeathubMysqlCdcReleaseRecords(FeathubStream *stream);
extern void FeathubMysqlCdcPartitionStatus(FeathubStream *stream);
extern void FeathubMysqlCdcCloseStream(FeathubStream *stream);
extern char *FeathubMysqlCdcSeekPosition(FeathubStream *stream, const char *name,
										 const char *target);
extern char *FeathubMysqlCdcRecordPosition(FeathubStream *stream, const FeathubRecord *record);
extern char *FeathubMysqlCdcRecordIdentity(FeathubStream *stream, const FeathubRecord *record);
extern void FeathubMysqlCdcDescribeRecord(FeathubStream *stream, const FeathubRecord *record,
										  StringInfo out);
extern void FeathubMysqlCdcRecordValue(FeathubStream *stream, FeathubRecord *record);
extern Datum FeathubMysqlCdcRecordHeaders(FeathubStream *stream, const FeathubRecord *record,
										  bool *isnull);
extern bool FeathubMysqlCdcDecodeStored(FeathubStream *stream, FeathubRecord *record,
										Datum headers, bool headers_isnull,
										Datum *values, bool *isnull);

#endif							/* FEATHUB_CONNECTORS_MYSQL_MYSQL_CDC_H */
