/*
 * mysql_binlog.c
 *		Reading of binary logs: the reader, one event at a time.
 *
 * Feed notes where the event is, Next looks at it: mysql_binlog_event.c and its
 * sisters make items of it, which wait to be taken, or leave rows or the events
 * of a compressed transaction that are then read one by one.
 *
 * A transaction goes IDLE -> (a GTID) ANNOUNCED -> (BEGIN, or at once in MariaDB)
 * OPEN -> (XID, COMMIT, ROLLBACK, XA PREPARE) IDLE.  A statement of DDL is one
 * without BEGIN and end.
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "connectors/mysql/mysql_binlog_reader.h"

static bool look_at_event(MysqlBinlogReader *reader);
static bool check_sum(MysqlBinlogReader *reader, const uint8 *data, Size len);
static void advance_position(MysqlBinlogReader *reader, uint32 size, uint32 log_pos);

MysqlBinlogReader *
FeathubMysqlBinlogMake(const MysqlBinlogOptions *options)
{
	MysqlBinlogReader *reader = palloc0(sizeof(MysqlBinlogReader));

	reader->options = *options;
	if (reader->options.max_event == 0 || reader->options.max_event > BINLOG_MAX_EVENT)
		reader->options.max_event = BINLOG_MAX_EVENT;
	reader->context = CurrentMemoryContext;
	reader->event_context = AllocSetContextCreate(reader->context, "feathub mysql binlog event",
												  ALLOCSET_SMALL_SIZES);
	reader->row_context = AllocSetContextCreate(reader->context, "feathub mysql binlog row",
												ALLOCSET_DEFAULT_SIZES);
	FeathubMysqlBinlogReset(reader);
	return reader;
}

void
FeathubMysqlBinlogReset(MysqlBinlogReader *reader)
{
	if (reader->error)
		pfree(reader->error);
	reader->error = NULL;
	reader->hint = NULL;
	reader->unsupported = false;
	memset(&reader->position, 0, sizeof(reader->position));
	reader->checksum = reader->options.checksum;
	memset(reader->post_header, 0, sizeof(reader->post_header));
	reader->state = BINLOG_IDLE;
	memset(&reader->transaction, 0, sizeof(reader->transaction));
	reader->fresh = false;
	reader->npending = reader->next_pending = 0;
	reader->rows.active = false;
	reader->in_payload = false;
	FeathubMysqlBinlogForgetTables(reader);
	FeathubMysqlBinlogEndPayload(reader);
	MemoryContextReset(reader->event_context);
	MemoryContextReset(reader->row_context);
}

void
FeathubMysqlBinlogOnForget(MysqlBinlogReader *reader,
						   void (*forget) (MysqlBinlogTable *table, void *arg), void *arg)
{
	reader->forget = forget;
	reader->forget_arg = arg;
}

const char *
FeathubMysqlBinlogError(const MysqlBinlogReader *reader, const char **hint)
{
	if (hint)
		*hint = reader->hint;
	return reader->error;
}

bool
FeathubMysqlBinlogUnsupported(const MysqlBinlogReader *reader)
{
	return reader->unsupported;
}

const MysqlBinlogPosition *
FeathubMysqlBinlogAt(const MysqlBinlogReader *reader)
{
	return &reader->position;
}

/* Errors */

static void pg_attribute_printf(2, 0)
set_error(MysqlBinlogReader *reader, const char *fmt, va_list args)
{
	MemoryContext old;
	char		text[1024];

	if (reader->error)
		return;
	vsnprintf(text, sizeof(text), fmt, args);
	old = MemoryContextSwitchTo(reader->context);
	reader->error = psprintf("%s (event of type %d at position " UINT64_FORMAT " of file \"%s\")",
							 text, reader->event.type, reader->position.event_position,
							 reader->position.file);
	MemoryContextSwitchTo(old);
}

bool
FeathubMysqlBinlogFail(MysqlBinlogReader *reader, const char *fmt,...)
{
	va_list		args;

	va_start(args, fmt);
	set_error(reader, fmt, args);
	va_end(args);
	return false;
}

bool
FeathubMysqlBinlogRefuse(MysqlBinlogReader *reader, const char *hint, const char *fmt,...)
{
	va_list		args;

	if (reader->error)
		return false;
	reader->unsupported = true;
	reader->hint = hint;
	va_start(args, fmt);
	set_error(reader, fmt, args);
	va_end(args);
	return false;
}

/* Events */

bool
FeathubMysqlBinlogHeader(BinlogEvent *event, const char *data, Size len,
						 uint32 *size, uint32 *log_pos)
{
	const uint8 *p = (const uint8 *) data;

	if (len < BINLOG_HEADER_LEN)
		return false;
	event->timestamp = get_little_endian(p, 4);
	event->type = p[4];
	event->server_id = get_little_endian(p + 5, 4);
	*size = get_little_endian(p + 9, 4);
	*log_pos = get_little_endian(p + 13, 4);
	event->flags = get_little_endian(p + 17, 2);
	event->body.p = p + BINLOG_HEADER_LEN;
	event->body.end = p + len;
	event->body.bad = false;
	return *size >= BINLOG_HEADER_LEN;
}

void
FeathubMysqlBinlogFeed(MysqlBinlogReader *reader, const char *data, Size len)
{
	BinlogEvent *event = &reader->event;
	uint32		size;
	uint32		log_pos;

	if (reader->error)
		return;
	if (reader->fresh || reader->rows.active || reader->in_payload ||
		reader->next_pending < reader->npending)
	{
		FeathubMysqlBinlogFail(reader, "an event was given before the last one was used up");
		return;
	}
	MemoryContextReset(reader->event_context);
	reader->npending = reader->next_pending = 0;
	event->nested = false;
	event->type = 0;
	if (!FeathubMysqlBinlogHeader(event, data, len, &size, &log_pos) || size != len)
	{
		reader->position.event_position = 0;
		FeathubMysqlBinlogFail(reader, "event has %zu bytes, which do not fit its header", len);
		return;
	}
	advance_position(reader, size, log_pos);
	if (len > reader->options.max_event)
	{
		FeathubMysqlBinlogRefuse(reader, NULL, "event has %zu bytes, more than %zu", len,
								 reader->options.max_event);
		return;
	}
	if (event->type == BINLOG_FORMAT_DESCRIPTION && !FeathubMysqlBinlogReadFormat(reader))
		return;
	if (reader->checksum)
	{
		if (cursor_left(&event->body) < BINLOG_CHECKSUM_LEN)
		{
			FeathubMysqlBinlogFail(reader, "event is too short for a checksum");
			return;
		}
		if (reader->options.verify && !check_sum(reader, (const uint8 *) data, len))
		{
			FeathubMysqlBinlogFail(reader, "event's checksum does not match");
			return;
		}
		if (event->type != BINLOG_FORMAT_DESCRIPTION)
			event->body.end -= BINLOG_CHECKSUM_LEN;
	}
	reader->fresh = true;
}

static void
advance_position(MysqlBinlogReader *reader, uint32 size, uint32 log_pos)
{
	MysqlBinlogPosition *position = &reader->position;
	const BinlogEvent *event = &reader->event;

	position->event_type = event->type;
	position->timestamp = event->timestamp;
	position->server_id = event->server_id;
	position->event_position = 0;
	/* a heartbeat tells where the log ends, and is itself not in it */
	if (log_pos == 0 || (event->flags & BINLOG_FLAG_ARTIFICIAL) ||
		event->type == BINLOG_HEARTBEAT || event->type == BINLOG_HEARTBEAT_V2)
		return;
	{
		uint64		next = (position->next_position & ~(uint64) PG_UINT32_MAX) | log_pos;

		/* the header has 32 bits, a file with a long transaction may be longer */
		if (next + PG_INT32_MAX < position->next_position)
			next += (uint64) 1 << 32;
		position->next_position = next;
		position->event_position = next >= size ? next - size : 0;
	}
}

/* CRC-32 over all but itself; a file's flag "in use" counts as not set. */
static bool
check_sum(MysqlBinlogReader *reader, const uint8 *data, Size len)
{
	Size		checked = len - BINLOG_CHECKSUM_LEN;
	uint32		crc;

	if (reader->event.type == BINLOG_FORMAT_DESCRIPTION)
	{
		uint8		header[BINLOG_HEADER_LEN];

		memcpy(header, data, BINLOG_HEADER_LEN);
		header[17] &= ~BINLOG_FLAG_IN_USE;
		crc = FeathubMysqlBinlogChecksum(FeathubMysqlBinlogChecksum(0, header, BINLOG_HEADER_LEN),
										 data + BINLOG_HEADER_LEN, checked - BINLOG_HEADER_LEN);
	}
	else
		crc = FeathubMysqlBinlogChecksum(0, data, checked);
	return crc == get_little_endian(data + len - BINLOG_CHECKSUM_LEN, BINLOG_CHECKSUM_LEN);
}

/* Items */

MysqlBinlogItem *
FeathubMysqlBinlogAddItem(MysqlBinlogReader *reader, MysqlBinlogItemType type)
{
	MysqlBinlogItem *item = &reader->pending[reader->npending];

	Assert(reader->npending < BINLOG_MAX_PENDING);
	memset(item, 0, sizeof(MysqlBinlogItem));
	reader->pending_types[reader->npending++] = type;
	if (reader->state == BINLOG_OPEN)
		item->transaction = &reader->transaction;
	return item;
}

MysqlBinlogItemType
FeathubMysqlBinlogNext(MysqlBinlogReader *reader, MysqlBinlogItem *item)
{
	for (;;)
	{
		if (unlikely(reader->error != NULL))
			return MYSQL_BINLOG_ERROR;
		if (reader->rows.active && reader->next_pending == reader->npending)
		{
			int			found = FeathubMysqlBinlogNextRow(reader, item);

			if (likely(found > 0))
				return MYSQL_BINLOG_ROW;
			if (found < 0)
				continue;
			reader->rows.active = false;
			if (reader->rows.statement_end)
				FeathubMysqlBinlogEndStatement(reader);
		}
		else if (reader->next_pending < reader->npending)
		{
			*item = reader->pending[reader->next_pending];
			return reader->pending_types[reader->next_pending++];
		}
		else if (reader->fresh)
		{
			reader->fresh = false;
			reader->npending = reader->next_pending = 0;
			(void) look_at_event(reader);
			reader->position.in_transaction = reader->state != BINLOG_IDLE;
		}
		else if (reader->in_payload)
		{
			int			found = FeathubMysqlBinlogNextNested(reader);

			if (found > 0)
				reader->fresh = true;
			else if (found == 0)
				reader->in_payload = false;
		}
		else
			return MYSQL_BINLOG_END;
	}
}

static bool
look_at_event(MysqlBinlogReader *reader)
{
	BinlogEvent *event = &reader->event;

	switch (event->type)
	{
		case BINLOG_TABLE_MAP:
			return FeathubMysqlBinlogReadTable(reader);
		case BINLOG_WRITE_ROWS_V1:
		case BINLOG_UPDATE_ROWS_V1:
		case BINLOG_DELETE_ROWS_V1:
		case BINLOG_WRITE_ROWS:
		case BINLOG_UPDATE_ROWS:
		case BINLOG_DELETE_ROWS:
		case BINLOG_PARTIAL_UPDATE_ROWS:
		case BINLOG_WRITE_ROWS_COMPRESSED_V1:
		case BINLOG_UPDATE_ROWS_COMPRESSED_V1:
		case BINLOG_DELETE_ROWS_COMPRESSED_V1:
		case BINLOG_WRITE_ROWS_COMPRESSED:
		case BINLOG_UPDATE_ROWS_COMPRESSED:
		case BINLOG_DELETE_ROWS_COMPRESSED:
			return FeathubMysqlBinlogReadRows(reader);
		case BINLOG_QUERY:
		case BINLOG_QUERY_COMPRESSED:
		case BINLOG_EXECUTE_LOAD_QUERY:
			return FeathubMysqlBinlogReadQuery(reader);
		case BINLOG_TRANSACTION_PAYLOAD:
			return FeathubMysqlBinlogReadPayload(reader);
		default:
			return FeathubMysqlBinlogReadEvent(reader);
	}
}

/* Images */

MysqlBinlogImage *
FeathubMysqlBinlogCopyImage(const MysqlBinlogImage *image, MemoryContext context, Size *bytes)
{
	int			n = image->ncolumns;
	Size		arrays = MAXALIGN(sizeof(MysqlBinlogImage)) +
		n * (sizeof(char *) + sizeof(unsigned long) + sizeof(bool));
	Size		size = arrays;
	MysqlBinlogImage *copy;
	char	   *p;

	for (int i = 0; i < n; i++)
		size += image->values[i] ? image->lengths[i] + 1 : 0;
	copy = MemoryContextAllocHuge(context, size);
	copy->ncolumns = n;
	copy->complete = image->complete;
	copy->values = (char **) ((char *) copy + MAXALIGN(sizeof(MysqlBinlogImage)));
	copy->lengths = (unsigned long *) (copy->values + n);
	copy->present = (bool *) (copy->lengths + n);
	p = (char *) copy + arrays;
	memcpy(copy->lengths, image->lengths, n * sizeof(unsigned long));
	memcpy(copy->present, image->present, n * sizeof(bool));
	for (int i = 0; i < n; i++)
	{
		copy->values[i] = NULL;
		if (image->values[i] == NULL)
			continue;
		copy->values[i] = p;
		memcpy(p, image->values[i], image->lengths[i]);
		p += image->lengths[i];
		*p++ = '\0';
	}
	if (bytes)
		*bytes = size;
	return copy;
}
