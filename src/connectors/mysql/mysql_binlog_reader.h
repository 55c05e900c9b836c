/*
 * mysql_binlog_reader.h
 *		What the files of the binlog decoder share.
 *
 * Functions that read bytes return false after a call of FeathubMysqlBinlogFail,
 * or leave it to their caller by a cursor that has gone bad.
 */
#ifndef FEATHUB_CONNECTORS_MYSQL_MYSQL_BINLOG_READER_H
#define FEATHUB_CONNECTORS_MYSQL_MYSQL_BINLOG_READER_H

#include "utils/hsearch.h"

#include "connectors/mysql/mysql_binlog.h"
#include "connectors/mysql/mysql_charset.h"

/* Events, by the protocol's numbers. */
typedef enum BinlogEventType
{
	BINLOG_QUERY = 2,
	BINLOG_STOP = 3,
	BINLOG_ROTATE = 4,
	BINLOG_INTVAR = 5,
	BINLOG_APPEND_BLOCK = 9,
	BINLOG_DELETE_FILE = 11,
	BINLOG_RAND = 13,
	BINLOG_USER_VAR = 14,
	BINLOG_FORMAT_DESCRIPTION = 15,
	BINLOG_XID = 16,
	BINLOG_BEGIN_LOAD_QUERY = 17,
	BINLOG_EXECUTE_LOAD_QUERY = 18,
	BINLOG_TABLE_MAP = 19,
	BINLOG_WRITE_ROWS_V1 = 23,
	BINLOG_UPDATE_ROWS_V1 = 24,
	BINLOG_DELETE_ROWS_V1 = 25,
	BINLOG_INCIDENT = 26,
	BINLOG_HEARTBEAT = 27,
	BINLOG_IGNORABLE = 28,
	BINLOG_ROWS_QUERY = 29,
	BINLOG_WRITE_ROWS = 30,
	BINLOG_UPDATE_ROWS = 31,
	BINLOG_DELETE_ROWS = 32,
	BINLOG_GTID = 33,
	BINLOG_ANONYMOUS_GTID = 34,
	BINLOG_PREVIOUS_GTIDS = 35,
	BINLOG_TRANSACTION_CONTEXT = 36,
	BINLOG_VIEW_CHANGE = 37,
	BINLOG_XA_PREPARE = 38,
	BINLOG_PARTIAL_UPDATE_ROWS = 39,
	BINLOG_TRANSACTION_PAYLOAD = 40,
	BINLOG_HEARTBEAT_V2 = 41,
	BINLOG_GTID_TAGGED = 42,

	/* MariaDB */
	BINLOG_ANNOTATE_ROWS = 160,
	BINLOG_CHECKPOINT = 161,
	BINLOG_MARIADB_GTID = 162,
	BINLOG_GTID_LIST = 163,
	BINLOG_START_ENCRYPTION = 164,
	BINLOG_QUERY_COMPRESSED = 165,
	BINLOG_WRITE_ROWS_COMPRESSED_V1 = 166,
	BINLOG_UPDATE_ROWS_COMPRESSED_V1 = 167,
	BINLOG_DELETE_ROWS_COMPRESSED_V1 = 168,
	BINLOG_WRITE_ROWS_COMPRESSED = 169,
	BINLOG_UPDATE_ROWS_COMPRESSED = 170,
	BINLOG_DELETE_ROWS_COMPRESSED = 171,
	BINLOG_PARTIAL_ROW_DATA = 172
} BinlogEventType;

#define BINLOG_HEADER_LEN		19
#define BINLOG_CHECKSUM_LEN		4
#define BINLOG_FLAG_IN_USE		0x01
#define BINLOG_FLAG_ARTIFICIAL	0x20
#define BINLOG_FLAG_IGNORABLE	0x80

#define BINLOG_MAX_COLUMNS		4096
#define BINLOG_MAX_EVENT		((Size) 1024 * 1024 * 1024)

/* A place in bytes; past the end it goes bad, and gives zeros. */
typedef struct BinlogCursor
{
	const uint8 *p;
	const uint8 *end;
	bool		bad;
} BinlogCursor;

static inline Size
cursor_left(const BinlogCursor *cursor)
{
	return cursor->end - cursor->p;
}

/* The next bytes; NULL if there are not as many. */
static inline const uint8 *
cursor_bytes(BinlogCursor *cursor, uint64 len)
{
	const uint8 *p = cursor->p;

	if (unlikely(len > cursor_left(cursor)))
	{
		cursor->bad = true;
		cursor->p = cursor->end;
		return NULL;
	}
	cursor->p += len;
	return p;
}

static inline uint64
get_little_endian(const uint8 *p, int len)
{
	uint64		value = 0;

	for (int i = len - 1; i >= 0; i--)
		value = value << 8 | p[i];
	return value;
}

static inline uint64
get_big_endian(const uint8 *p, int len)
{
	uint64		value = 0;

	for (int i = 0; i < len; i++)
		value = value << 8 | p[i];
	return value;
}

/* A number of 1 to 8 bytes, the least significant first. */
static inline uint64
cursor_number(BinlogCursor *cursor, int len)
{
	const uint8 *p = cursor_bytes(cursor, len);

	return p ? get_little_endian(p, len) : 0;
}

/* A number as the protocol packs it: 1, 3, 4 or 9 bytes. */
static inline uint64
cursor_packed(BinlogCursor *cursor)
{
	uint8		first = cursor_number(cursor, 1);

	if (first < 251)
		return first;
	if (first >= 252 && first <= 254)
		return cursor_number(cursor, first == 252 ? 2 : first == 253 ? 3 : 8);
	cursor->bad = true;
	return 0;
}

static inline MysqlBinlogString
cursor_string(BinlogCursor *cursor, uint64 len)
{
	MysqlBinlogString string = {(const char *) cursor_bytes(cursor, len), 0};

	if (string.data)
		string.len = len;
	return string;
}

/* An event's header and body. */
typedef struct BinlogEvent
{
	uint8		type;
	uint16		flags;
	uint32		timestamp;
	uint32		server_id;
	bool		nested;			/* it came in a TRANSACTION_PAYLOAD */
	BinlogCursor body;			/* without header and checksum */
} BinlogEvent;

/* Where the values of an image go. */
typedef struct BinlogPlace
{
	MysqlBinlogReader *reader;
	struct BinlogTable *table;
	MysqlBinlogImage *image;
	char	   *text;			/* room for numbers and times */
} BinlogPlace;

/* Sets a column's value in the image; false: it is malformed, or an error is set. */
typedef bool (*BinlogReadFunction) (BinlogPlace *place, int column, const uint8 *data, Size len);

/* How a value of a column is read: what must not be found out for each row. */
typedef struct BinlogCodec
{
	BinlogReadFunction read;
	int			prefix;			/* bytes of the length before a value, or 0 */
	Size		size;			/* without such a length */
	const MysqlCharset *charset;	/* of text */
} BinlogCodec;

typedef struct BinlogTable
{
	MysqlBinlogTable pub;
	MemoryContext context;		/* it and all it has */
	char	   *body;			/* the event that described it */
	Size		body_len;
	Size		memory;			/* what it was counted with */
	bool		active;			/* described in the current statement */
	BinlogCodec *codecs;
	bool		codecs_ready;	/* made when rows come: the caller may change columns */
	int			njson;			/* columns of JSON */

	/* Images of the row at work: 0 before, 1 after. */
	MysqlBinlogImage images[2];
	char	   *text[2];		/* what numbers and times are written to */
	const uint8 **json_data;	/* binary JSON of the image before, by column */
	uint32	   *json_len;
} BinlogTable;

/* Rows of an event that are still to come. */
typedef struct BinlogRows
{
	bool		active;
	bool		partial;		/* PARTIAL_UPDATE_ROWS */
	bool		statement_end;
	BinlogTable *table;
	MysqlBinlogOperation operation;
	const uint8 *columns[2];	/* bitmaps of columns that images have */
	int			npresent[2];
	BinlogCursor cursor;
} BinlogRows;

typedef enum BinlogState
{
	BINLOG_IDLE,				/* between transactions */
	BINLOG_ANNOUNCED,			/* a GTID came; BEGIN or a single query comes next */
	BINLOG_OPEN					/* BEGIN was given */
} BinlogState;

#define BINLOG_MAX_PENDING 3

struct MysqlBinlogReader
{
	MysqlBinlogOptions options;
	MemoryContext context;
	MemoryContext event_context;	/* until the next event */
	MemoryContext row_context;	/* until the next row */
	bool		row_context_used;

	/* The error, once there is one. */
	char	   *error;
	const char *hint;
	bool		unsupported;

	/* The log. */
	MysqlBinlogPosition position;
	bool		checksum;		/* of events, but for FORMAT_DESCRIPTION's own */
	uint8		post_header[256];	/* lengths by type; 0 if not told */

	/* The transaction. */
	BinlogState state;
	MysqlBinlogTransaction transaction;
	int64		row_number;
	MysqlBinlogString xid;		/* of XA START; in xid_text */
	char		xid_text[400];

	/* The event. */
	BinlogEvent event;
	bool		fresh;			/* not looked at yet */
	int			npending;
	int			next_pending;
	MysqlBinlogItemType pending_types[BINLOG_MAX_PENDING];
	MysqlBinlogItem pending[BINLOG_MAX_PENDING];
	BinlogRows	rows;
	struct BinlogPayload *payload;	/* mysql_binlog_payload.c's, NULL: none was met */
	bool		in_payload;

	/* Tables, by number. */
	HTAB	   *tables;
	BinlogTable *last_table;	/* found by the last search */
	Size		table_memory;
	int			nactive;
	void		(*forget) (MysqlBinlogTable *table, void *arg);
	void	   *forget_arg;

	/* What compressed parts of an event are put into. */
	char	   *inflated;
	Size		inflated_size;
};

/* mysql_binlog.c */

/* Sets the error, once; always returns false. */
extern bool FeathubMysqlBinlogFail(MysqlBinlogReader *reader, const char *fmt,...) pg_attribute_printf(2, 3);
/* The same for what is no damage but not supported; hint may be NULL. */
extern bool FeathubMysqlBinlogRefuse(MysqlBinlogReader *reader, const char *hint, const char *fmt,...) pg_attribute_printf(3, 4);
/* An item that Next is to give; the caller fills it. */
extern MysqlBinlogItem *FeathubMysqlBinlogAddItem(MysqlBinlogReader *reader, MysqlBinlogItemType type);
/* The header; false if the bytes have none. */
extern bool FeathubMysqlBinlogHeader(BinlogEvent *event, const char *data, Size len,
									 uint32 *size, uint32 *log_pos);

/* mysql_binlog_checksum.c: CRC-32, to go on with from crc (at first 0). */
extern uint32 FeathubMysqlBinlogChecksum(uint32 crc, const uint8 *data, Size len);

/* mysql_binlog_event.c: all events but tables and rows. */
extern bool FeathubMysqlBinlogReadEvent(MysqlBinlogReader *reader);
extern bool FeathubMysqlBinlogReadFormat(MysqlBinlogReader *reader);

/* mysql_binlog_query.c */
extern bool FeathubMysqlBinlogReadQuery(MysqlBinlogReader *reader);
extern bool FeathubMysqlBinlogBegin(MysqlBinlogReader *reader);
extern bool FeathubMysqlBinlogFinish(MysqlBinlogReader *reader, MysqlBinlogItemType type);
extern void FeathubMysqlBinlogSetXid(MysqlBinlogReader *reader, const char *text, Size len);
extern MysqlBinlogString FeathubMysqlBinlogXid(MysqlBinlogReader *reader, uint32 format,
											   const uint8 *data, int gtrid_len, int bqual_len);

/* mysql_binlog_table.c */
extern bool FeathubMysqlBinlogReadTable(MysqlBinlogReader *reader);
extern BinlogTable *FeathubMysqlBinlogFindTable(MysqlBinlogReader *reader, uint64 id);
extern void FeathubMysqlBinlogEndStatement(MysqlBinlogReader *reader);
extern void FeathubMysqlBinlogForgetTables(MysqlBinlogReader *reader);

/* mysql_binlog_row.c */
extern bool FeathubMysqlBinlogReadRows(MysqlBinlogReader *reader);
/* The next row: 1, none left: 0, error: -1. */
extern int	FeathubMysqlBinlogNextRow(MysqlBinlogReader *reader, MysqlBinlogItem *item);

/* mysql_binlog_value.c */
/* Choose how columns are read, by what is known of them now. */
extern void FeathubMysqlBinlogMakeCodecs(BinlogTable *table);
/* Bytes of BinlogPlace.text that a row of a table may need. */
extern Size FeathubMysqlBinlogTextSize(const MysqlBinlogTable *table);

/* mysql_binlog_number.c: numbers and times as the server writes them; the length. */
extern int	FeathubMysqlBinlogWriteDouble(char *out, double value);
extern int	FeathubMysqlBinlogWriteDecimal(char *out, const uint8 *data, int precision, int scale);
extern int	FeathubMysqlBinlogDecimalSize(int precision, int scale);
extern int	FeathubMysqlBinlogWriteDate(char *out, int year, int month, int day);
extern int	FeathubMysqlBinlogWriteTime(char *out, bool negative, unsigned hour, unsigned minute,
										unsigned second, unsigned micros, int digits);
extern int	FeathubMysqlBinlogWriteDatetime(char *out, int year, int month, int day, int hour,
											int minute, int second, int micros, int digits);
/* Seconds since 1970, in UTC. */
extern int	FeathubMysqlBinlogWriteTimestamp(char *out, uint64 seconds, int micros, int digits);

/* mysql_binlog_json.c: binary JSON to text, appended; false if it is malformed. */
extern bool FeathubMysqlJsonToText(StringInfo out, const uint8 *data, Size len);
/*
 * The text of a document after changes of it (PARTIAL_UPDATE_ROWS).  Memory is
 * the current context's.  False if they are malformed or do not fit.
 */
extern bool FeathubMysqlJsonApply(StringInfo out, const uint8 *data, Size len,
								  const uint8 *diffs, Size diffs_len);

/* mysql_binlog_payload.c */
extern bool FeathubMysqlBinlogReadPayload(MysqlBinlogReader *reader);
/* The next event of it is made the reader's: 1, none left: 0, error: -1. */
extern int	FeathubMysqlBinlogNextNested(MysqlBinlogReader *reader);
extern void FeathubMysqlBinlogEndPayload(MysqlBinlogReader *reader);
/* MariaDB's compressed parts of events: replace the rest of the cursor. */
extern bool FeathubMysqlBinlogInflateEvent(MysqlBinlogReader *reader, BinlogCursor *cursor);
/* A value of a COMPRESSED column, palloc'd. */
extern bool FeathubMysqlBinlogInflateValue(MysqlBinlogReader *reader, const uint8 *data, Size len,
										   const char **out, Size *out_len);

#endif							/* FEATHUB_CONNECTORS_MYSQL_MYSQL_BINLOG_READER_H */
