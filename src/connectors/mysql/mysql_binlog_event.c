/*
 * mysql_binlog_event.c
 *		Events of binary logs that hold neither rows nor statements: formats,
 *		files, GTIDs, ends of transactions.
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "connectors/mysql/mysql_binlog_reader.h"

#define SERVER_VERSION_LEN	50

/* Flags of MariaDB's GTID event. */
#define GTID_STANDALONE		1
#define GTID_GROUP_COMMIT	2
#define GTID_PREPARED_XA	64
#define GTID_COMPLETED_XA	128

/* How MySQL's GTID event marks logical times; that there are two commit times. */
#define LOGICAL_TIMES		2
#define HAS_ORIGINAL_TIME	(UINT64CONST(1) << 55)

static bool read_rotate(MysqlBinlogReader *reader);
static bool read_gtid(MysqlBinlogReader *reader);
static bool read_tagged_gtid(MysqlBinlogReader *reader);
static bool read_mariadb_gtid(MysqlBinlogReader *reader);
static bool read_previous_gtids(MysqlBinlogReader *reader);
static bool read_gtid_list(MysqlBinlogReader *reader);
static bool read_heartbeat(MysqlBinlogReader *reader);
static bool read_xa_prepare(MysqlBinlogReader *reader);
static bool read_incident(MysqlBinlogReader *reader);

static bool
malformed(MysqlBinlogReader *reader)
{
	return FeathubMysqlBinlogFail(reader, "event is malformed");
}

bool
FeathubMysqlBinlogReadEvent(MysqlBinlogReader *reader)
{
	BinlogEvent *event = &reader->event;

	switch (event->type)
	{
		case BINLOG_FORMAT_DESCRIPTION:
			return true;		/* read when it was fed */
		case BINLOG_ROTATE:
			return read_rotate(reader);
		case BINLOG_GTID:
		case BINLOG_ANONYMOUS_GTID:
			return read_gtid(reader);
		case BINLOG_GTID_TAGGED:
			return read_tagged_gtid(reader);
		case BINLOG_MARIADB_GTID:
			return read_mariadb_gtid(reader);
		case BINLOG_PREVIOUS_GTIDS:
			return read_previous_gtids(reader);
		case BINLOG_GTID_LIST:
			return read_gtid_list(reader);
		case BINLOG_HEARTBEAT:
		case BINLOG_HEARTBEAT_V2:
			return read_heartbeat(reader);
		case BINLOG_XID:
			if (cursor_left(&event->body) < 8)
				return malformed(reader);
			return FeathubMysqlBinlogFinish(reader, MYSQL_BINLOG_COMMIT);
		case BINLOG_XA_PREPARE:
			return read_xa_prepare(reader);
		case BINLOG_STOP:
			FeathubMysqlBinlogAddItem(reader, MYSQL_BINLOG_STOP);
			return true;
		case BINLOG_INCIDENT:
			return read_incident(reader);

		case BINLOG_ROWS_QUERY:
			/* a length of one byte is too short for most, so nobody looks at it */
			if (cursor_bytes(&event->body, 1) == NULL)
				return malformed(reader);
			/* FALLTHROUGH */
		case BINLOG_ANNOTATE_ROWS:
			FeathubMysqlBinlogAddItem(reader, MYSQL_BINLOG_STATEMENT)->query =
				cursor_string(&event->body, cursor_left(&event->body));
			return true;

			/* they prepare for a statement, which is told when it comes */
		case BINLOG_INTVAR:
		case BINLOG_RAND:
		case BINLOG_USER_VAR:
		case BINLOG_BEGIN_LOAD_QUERY:
		case BINLOG_APPEND_BLOCK:
		case BINLOG_DELETE_FILE:
			/* of group replication: members, and what it certified */
		case BINLOG_TRANSACTION_CONTEXT:
		case BINLOG_VIEW_CHANGE:
			/* for recovery; and the server sends what it has decrypted */
		case BINLOG_CHECKPOINT:
		case BINLOG_START_ENCRYPTION:
		case BINLOG_IGNORABLE:
			return true;

		case BINLOG_PARTIAL_ROW_DATA:
			return FeathubMysqlBinlogRefuse(reader,
											"Raise the size from which the server splits events of rows, and begin anew behind this transaction.",
											"rows are split into several events, which is not supported");
		default:
			if (event->flags & BINLOG_FLAG_IGNORABLE)
				return true;
			return FeathubMysqlBinlogRefuse(reader, "It may come from a server that is newer than this version of feathub.",
											"event of an unknown type");
	}
}

/* The numbers of a version "8.0.36-log" as 80036. */
static int
version_number(const char *version)
{
	int			numbers[3] = {0, 0, 0};

	sscanf(version, "%3d.%3d.%3d", &numbers[0], &numbers[1], &numbers[2]);
	return numbers[0] * 10000 + numbers[1] * 100 + numbers[2];
}

/*
 * It begins each file and says how the other events are to be read.  Called
 * when it is fed, since its own checksum depends on it.
 */
bool
FeathubMysqlBinlogReadFormat(MysqlBinlogReader *reader)
{
	BinlogCursor *body = &reader->event.body;
	int			binlog_version = cursor_number(body, 2);
	MysqlBinlogString version = cursor_string(body, SERVER_VERSION_LEN);
	uint32		created = cursor_number(body, 4);
	int			header_len = cursor_number(body, 1);
	MysqlBinlogItem *item;
	char		text[SERVER_VERSION_LEN + 1];
	int			algorithm = 0;
	Size		ntypes;

	if (body->bad)
		return malformed(reader);
	memcpy(text, version.data, SERVER_VERSION_LEN);
	text[SERVER_VERSION_LEN] = '\0';
	version.len = strlen(text);
	if (binlog_version != 4)
		return FeathubMysqlBinlogRefuse(reader, NULL, "binary log of version %d is not supported",
										binlog_version);
	if (header_len != BINLOG_HEADER_LEN)
		return FeathubMysqlBinlogRefuse(reader, NULL,
										"event headers of %d bytes are not supported", header_len);

	/* the checksum's kind and room for it, since MySQL 5.6.1 and MariaDB 5.3 */
	ntypes = cursor_left(body);
	if (version_number(text) >= (strstr(text, "MariaDB") ? 50300 : 50601))
	{
		if (ntypes < 1 + BINLOG_CHECKSUM_LEN)
			return malformed(reader);
		ntypes -= 1 + BINLOG_CHECKSUM_LEN;
		algorithm = body->p[ntypes];
	}
	if (algorithm > 1)
		return FeathubMysqlBinlogRefuse(reader, NULL, "checksums of kind %d are not supported",
										algorithm);
	memset(reader->post_header, 0, sizeof(reader->post_header));
	/* the array begins with type 1 */
	memcpy(reader->post_header + 1, body->p, Min(ntypes, sizeof(reader->post_header) - 1));
	if (reader->post_header[BINLOG_TABLE_MAP] == 6)
		return FeathubMysqlBinlogRefuse(reader, NULL, "binary log of server version %s is not supported", text);
	reader->checksum = algorithm == 1;

	/* the server was started: what it was doing before was rolled back */
	if (created != 0 && reader->state != BINLOG_IDLE)
	{
		FeathubMysqlBinlogEndStatement(reader);
		if (reader->state == BINLOG_OPEN)
			FeathubMysqlBinlogFinish(reader, MYSQL_BINLOG_ROLLBACK);
		reader->state = BINLOG_IDLE;
	}
	item = FeathubMysqlBinlogAddItem(reader, MYSQL_BINLOG_FORMAT);
	item->server_version = version;
	return true;
}

static bool
set_file(MysqlBinlogReader *reader, MysqlBinlogString file)
{
	if (file.len == 0 || file.len >= sizeof(reader->position.file))
		return malformed(reader);
	memcpy(reader->position.file, file.data, file.len);
	reader->position.file[file.len] = '\0';
	return true;
}

static bool
read_rotate(MysqlBinlogReader *reader)
{
	BinlogCursor *body = &reader->event.body;
	uint64		next = cursor_number(body, 8);
	MysqlBinlogString file = cursor_string(body, cursor_left(body));
	MysqlBinlogItem *item;

	if (body->bad || !set_file(reader, file))
		return malformed(reader);
	reader->position.next_position = next;
	item = FeathubMysqlBinlogAddItem(reader, MYSQL_BINLOG_ROTATE);
	item->file = file;
	item->file_position = next;
	return true;
}

/* GTIDs */

/* A transaction is announced: note what is known of it so far. */
static bool
announce(MysqlBinlogReader *reader, const MysqlGtid *gtid)
{
	MysqlBinlogTransaction *transaction = &reader->transaction;

	if (reader->state != BINLOG_IDLE)
		return FeathubMysqlBinlogFail(reader, "a transaction begins before the last one has ended");
	memset(transaction, 0, sizeof(MysqlBinlogTransaction));
	transaction->gtid = *gtid;
	transaction->commit_time = (int64) reader->event.timestamp * USECS_PER_SEC;
	transaction->original_commit_time = transaction->commit_time;
	transaction->start_position = reader->position.event_position;
	reader->state = BINLOG_ANNOUNCED;
	reader->xid.len = 0;
	return true;
}

static void
set_times(MysqlBinlogReader *reader, uint64 immediate, uint64 original)
{
	MysqlBinlogTransaction *transaction = &reader->transaction;

	if (immediate == 0 || immediate >= HAS_ORIGINAL_TIME || original >= HAS_ORIGINAL_TIME)
		return;
	transaction->commit_time = immediate;
	transaction->original_commit_time = original ? original : immediate;
	transaction->exact_time = true;
}

static bool
read_gtid(MysqlBinlogReader *reader)
{
	BinlogCursor *body = &reader->event.body;
	MysqlGtid	gtid = {.kind = MYSQL_GTID_MYSQL};
	const uint8 *uuid;
	uint64		immediate;
	uint64		original = 0;

	cursor_number(body, 1);		/* flags */
	uuid = cursor_bytes(body, MYSQL_GTID_UUID_LEN);
	gtid.number = cursor_number(body, 8);
	if (body->bad)
		return malformed(reader);
	memcpy(gtid.uuid, uuid, MYSQL_GTID_UUID_LEN);
	if (reader->event.type == BINLOG_ANONYMOUS_GTID)
		memset(&gtid, 0, sizeof(gtid));
	else if (gtid.number == 0 || gtid.number > PG_INT64_MAX)
		return malformed(reader);
	if (!announce(reader, &gtid))
		return false;

	/* MySQL 8 has times behind the logical ones */
	if (cursor_left(body) >= 17 + 7 && cursor_number(body, 1) == LOGICAL_TIMES)
	{
		cursor_bytes(body, 16);
		immediate = cursor_number(body, 7);
		if (immediate & HAS_ORIGINAL_TIME)
			original = cursor_number(body, 7);
		if (body->bad)
			return malformed(reader);
		set_times(reader, immediate & ~HAS_ORIGINAL_TIME, original);
	}
	return true;
}

/*
 * A number as MySQL's serialization library packs it: as many ones at the low
 * end of the first byte as bytes follow.
 */
static uint64
cursor_varlen(BinlogCursor *cursor)
{
	uint8		first = cursor_number(cursor, 1);
	int			more = 0;
	uint64		value;

	while (more < 8 && (first & (1 << more)))
		more++;
	value = more < 7 ? first >> (more + 1) : 0;
	if (more > 0)
		value |= cursor_number(cursor, more) << (more < 8 ? 7 - more : 0);
	return value;
}

static uint64
cursor_varlen_signed(BinlogCursor *cursor)
{
	uint64		value = cursor_varlen(cursor);

	return (value >> 1) ^ -(value & 1);
}

/* Fields with numbers in increasing order; those we need are the first ones. */
static bool
read_tagged_gtid(MysqlBinlogReader *reader)
{
	enum
	{
		FLAGS, UUID, NUMBER, TAG, LAST_COMMITTED, SEQUENCE, IMMEDIATE_TIME, ORIGINAL_TIME, BEHIND
	};
	BinlogCursor *body = &reader->event.body;
	MysqlGtid	gtid = {.kind = MYSQL_GTID_MYSQL};
	uint64		immediate = 0;
	uint64		original = 0;
	uint64		version = cursor_varlen(body);
	uint64		needed;

	if (version != 1)
		return FeathubMysqlBinlogRefuse(reader, NULL, "tagged GTID of version " UINT64_FORMAT " is not supported", version);
	cursor_varlen(body);		/* size */
	needed = cursor_varlen(body);
	if (needed >= BEHIND + 4)
		return FeathubMysqlBinlogRefuse(reader, NULL, "tagged GTID has a field that is not known");
	while (cursor_left(body) > 0)
	{
		uint64		field = cursor_varlen(body);
		MysqlBinlogString tag;

		if (field >= BEHIND || body->bad)
			break;
		switch (field)
		{
			case UUID:
				for (int i = 0; i < MYSQL_GTID_UUID_LEN; i++)
					gtid.uuid[i] = cursor_varlen(body);
				break;
			case NUMBER:
				gtid.number = cursor_varlen_signed(body);
				break;
			case TAG:
				tag = cursor_string(body, cursor_varlen(body));
				if (body->bad || !FeathubMysqlGtidValidTag(tag.data, tag.len))
					return malformed(reader);
				memcpy(gtid.tag, tag.data, tag.len);
				break;
			case IMMEDIATE_TIME:
				immediate = cursor_varlen(body);
				break;
			case ORIGINAL_TIME:
				original = cursor_varlen(body);
				break;
			default:
				cursor_varlen(body);
				break;
		}
	}
	if (body->bad || gtid.number == 0 || gtid.number > PG_INT64_MAX)
		return malformed(reader);
	if (!announce(reader, &gtid))
		return false;
	set_times(reader, immediate, original);
	return true;
}

static bool
read_mariadb_gtid(MysqlBinlogReader *reader)
{
	BinlogCursor *body = &reader->event.body;
	MysqlGtid	gtid = {.kind = MYSQL_GTID_MARIADB,.server = reader->event.server_id};
	int			flags;

	gtid.number = cursor_number(body, 8);
	gtid.domain = cursor_number(body, 4);
	flags = cursor_number(body, 1);
	if (body->bad)
		return malformed(reader);
	if (!announce(reader, &gtid))
		return false;
	if (flags & GTID_GROUP_COMMIT)
		cursor_number(body, 8);
	if (flags & (GTID_PREPARED_XA | GTID_COMPLETED_XA))
	{
		uint32		format = cursor_number(body, 4);
		int			gtrid_len = cursor_number(body, 1);
		int			bqual_len = cursor_number(body, 1);
		const uint8 *data = cursor_bytes(body, gtrid_len + bqual_len);
		MysqlBinlogString xid;

		if (body->bad || gtrid_len > 64 || bqual_len > 64)
			return malformed(reader);
		xid = FeathubMysqlBinlogXid(reader, format, data, gtrid_len, bqual_len);
		FeathubMysqlBinlogSetXid(reader, xid.data, xid.len);
	}
	if (body->bad)
		return malformed(reader);

	/* BEGIN is not logged; what ends an XA transaction, or stands alone, has none */
	if ((flags & (GTID_STANDALONE | GTID_COMPLETED_XA)) != 0)
		return true;
	if (!FeathubMysqlBinlogBegin(reader))
		return false;
	reader->pending[reader->npending - 1].xid = reader->xid;
	return true;
}

static bool
read_previous_gtids(MysqlBinlogReader *reader)
{
	BinlogCursor *body = &reader->event.body;
	MemoryContext old = MemoryContextSwitchTo(reader->event_context);
	MysqlGtidSet *set = FeathubMysqlGtidSetMake(false);
	StringInfoData text;
	char	   *error;

	initStringInfo(&text);
	if (FeathubMysqlGtidSetDecode(set, (const char *) body->p, cursor_left(body), &error))
	{
		FeathubMysqlGtidSetAppend(&text, set);
		FeathubMysqlBinlogAddItem(reader, MYSQL_BINLOG_GTIDS)->gtids = text.data;
	}
	else
		FeathubMysqlBinlogFail(reader, "%s", error);
	MemoryContextSwitchTo(old);
	return reader->error == NULL;
}

/* MariaDB: the last number of each domain and server that came before the file. */
static bool
read_gtid_list(MysqlBinlogReader *reader)
{
	BinlogCursor *body = &reader->event.body;
	MemoryContext old = MemoryContextSwitchTo(reader->event_context);
	uint32		n = cursor_number(body, 4) & 0x0fffffff;
	StringInfoData text;

	initStringInfo(&text);
	for (uint32 i = 0; i < n && !body->bad; i++)
	{
		MysqlGtid	gtid = {.kind = MYSQL_GTID_MARIADB};

		gtid.domain = cursor_number(body, 4);
		gtid.server = cursor_number(body, 4);
		gtid.number = cursor_number(body, 8);
		if (i > 0)
			appendStringInfoChar(&text, ',');
		FeathubMysqlGtidAppend(&text, &gtid);
	}
	MemoryContextSwitchTo(old);
	if (body->bad)
		return malformed(reader);
	FeathubMysqlBinlogAddItem(reader, MYSQL_BINLOG_GTIDS)->gtids = text.data;
	return true;
}

static bool
read_heartbeat(MysqlBinlogReader *reader)
{
	BinlogCursor *body = &reader->event.body;
	MysqlBinlogString file = {NULL, 0};
	uint64		place = 0;
	MysqlBinlogItem *item;

	if (reader->event.type == BINLOG_HEARTBEAT)
	{
		/* the header's position is where the log ends */
		place = get_little_endian(body->p - BINLOG_HEADER_LEN + 13, 4);
		file = cursor_string(body, cursor_left(body));
	}
	else
	{
		for (;;)
		{
			uint64		field = cursor_packed(body);
			uint64		len;

			if (field == 0)
				break;
			len = cursor_packed(body);
			if (field == 1)
				file = cursor_string(body, len);
			else if (field == 2)
				place = cursor_packed(body);
			else
				cursor_bytes(body, len);
			if (body->bad)
				return malformed(reader);
		}
	}
	if (body->bad)
		return malformed(reader);
	item = FeathubMysqlBinlogAddItem(reader, MYSQL_BINLOG_HEARTBEAT);
	item->file = file;
	item->file_position = place;
	return true;
}

static bool
read_xa_prepare(MysqlBinlogReader *reader)
{
	BinlogCursor *body = &reader->event.body;
	bool		one_phase = cursor_number(body, 1) != 0;
	uint32		format = cursor_number(body, 4);
	uint64		gtrid_len = cursor_number(body, 4);
	uint64		bqual_len = cursor_number(body, 4);
	const uint8 *data = cursor_bytes(body, gtrid_len + bqual_len);
	MysqlBinlogString xid;

	if (body->bad || gtrid_len > 64 || bqual_len > 64)
		return malformed(reader);
	if (one_phase)
		return FeathubMysqlBinlogFinish(reader, MYSQL_BINLOG_COMMIT);
	xid = FeathubMysqlBinlogXid(reader, format, data, gtrid_len, bqual_len);
	if (!FeathubMysqlBinlogFinish(reader, MYSQL_BINLOG_PREPARE))
		return false;
	reader->pending[reader->npending - 1].xid = xid;
	return true;
}

static bool
read_incident(MysqlBinlogReader *reader)
{
	BinlogCursor *body = &reader->event.body;
	int			number = cursor_number(body, 2);
	MysqlBinlogString text = cursor_string(body, cursor_number(body, 1));

	return FeathubMysqlBinlogRefuse(reader, "The log lacks changes from here on: begin anew with a new snapshot.",
									"the server reports incident %d: %.*s", number,
									(int) text.len, text.data ? text.data : "");
}
