/*
 * mysql_binlog_payload.c
 *		Compressed parts of binary logs: MySQL's transactions (zstd), MariaDB's
 *		events and columns (zlib).
 *
 * What is said of lengths only bounds what is done: memory grows with the bytes
 * that come out, and stops at max_event.
 */
#include "postgres.h"

#ifdef FEATHUB_WITH_ZLIB
#include <zlib.h>
#endif
#ifdef FEATHUB_WITH_ZSTD
#include <zstd.h>
#endif

#include "utils/memutils.h"

#include "connectors/mysql/mysql_binlog_reader.h"

/* Fields before a compressed transaction. */
enum
{
	PAYLOAD_END,
	PAYLOAD_SIZE,
	PAYLOAD_COMPRESSION,
	PAYLOAD_UNCOMPRESSED_SIZE
};

#define COMPRESSION_ZSTD	0
#define COMPRESSION_NONE	255

#define FIRST_BUFFER		65536
#define MAX_KEPT_BUFFER		((Size) 8 * 1024 * 1024)

typedef struct BinlogPayload
{
	BinlogCursor input;			/* what is still compressed */
	bool		plain;			/* it is not compressed at all */
	char	   *buffer;			/* the event that is being read */
	Size		size;
#ifdef FEATHUB_WITH_ZSTD
	ZSTD_DCtx  *zstd;
	bool		frame_done;
	MemoryContextCallback callback;
#endif
} BinlogPayload;

#ifdef FEATHUB_WITH_ZSTD
static void
free_zstd(void *arg)
{
	BinlogPayload *payload = arg;

	ZSTD_freeDCtx(payload->zstd);
	payload->zstd = NULL;
}
#endif

static BinlogPayload *
get_payload(MysqlBinlogReader *reader)
{
	BinlogPayload *payload = reader->payload;

	if (payload)
		return payload;
	payload = MemoryContextAllocZero(reader->context, sizeof(BinlogPayload));
#ifdef FEATHUB_WITH_ZSTD
	payload->callback.func = free_zstd;
	payload->callback.arg = payload;
	MemoryContextRegisterResetCallback(reader->context, &payload->callback);
#endif
	reader->payload = payload;
	return payload;
}

/* Make an array at least so large; what it holds stays. */
static void
grow(MysqlBinlogReader *reader, char **buffer, Size *size, Size wanted)
{
	Size		larger = Max(*size, FIRST_BUFFER);

	if (wanted <= *size)
		return;
	while (larger < wanted)
		larger *= 2;
	if (*buffer)
		*buffer = repalloc_huge(*buffer, larger);
	else
		*buffer = MemoryContextAllocHuge(reader->context, larger);
	*size = larger;
}

/* Give back what one large event has taken, unless it is needed again. */
static void
shrink(char **buffer, Size *size, Size wanted)
{
	if (*size <= MAX_KEPT_BUFFER || wanted > *size / 4)
		return;
	pfree(*buffer);
	*buffer = NULL;
	*size = 0;
}

/* Transactions */

bool
FeathubMysqlBinlogReadPayload(MysqlBinlogReader *reader)
{
	BinlogCursor *body = &reader->event.body;
	BinlogPayload *payload = get_payload(reader);
	uint64		size = PG_UINT64_MAX;
	uint64		compression = PG_UINT64_MAX;

	if (reader->event.nested)
		return FeathubMysqlBinlogFail(reader, "a compressed transaction is in another one");
	for (;;)
	{
		uint64		field = cursor_packed(body);
		uint64		len;
		const uint8 *p;
		BinlogCursor value;

		if (field == PAYLOAD_END && !body->bad)
			break;
		len = cursor_packed(body);
		p = cursor_bytes(body, len);
		if (body->bad)
			return FeathubMysqlBinlogFail(reader, "compressed transaction is malformed");
		value.p = p;
		value.end = p + len;
		value.bad = false;
		if (field == PAYLOAD_SIZE)
			size = cursor_packed(&value);
		else if (field == PAYLOAD_COMPRESSION)
			compression = cursor_packed(&value);
	}
	if (size > cursor_left(body))
		return FeathubMysqlBinlogFail(reader, "compressed transaction is malformed");
	if (compression != COMPRESSION_ZSTD && compression != COMPRESSION_NONE)
		return FeathubMysqlBinlogRefuse(reader, "Set binlog_transaction_compression to OFF, and begin anew behind this transaction.",
										"compression of kind " UINT64_FORMAT " is not supported", compression);
	payload->input.p = body->p;
	payload->input.end = body->p + size;
	payload->input.bad = false;
	payload->plain = compression == COMPRESSION_NONE;
#ifdef FEATHUB_WITH_ZSTD
	if (payload->zstd == NULL)
		payload->zstd = ZSTD_createDCtx();
	if (payload->zstd == NULL)
		return FeathubMysqlBinlogFail(reader, "out of memory");
	ZSTD_DCtx_reset(payload->zstd, ZSTD_reset_session_only);
	payload->frame_done = false;
#else
	if (!payload->plain)
		return FeathubMysqlBinlogRefuse(reader, "Build feathub with libzstd.",
										"compressed transactions are not supported by this build");
#endif
	reader->in_payload = true;
	return true;
}

void
FeathubMysqlBinlogEndPayload(MysqlBinlogReader *reader)
{
	BinlogPayload *payload = reader->payload;

	if (payload == NULL)
		return;
	if (payload->buffer)
		pfree(payload->buffer);
	payload->buffer = NULL;
	payload->size = 0;
}

/*
 * Fill the buffer from "have" up to "wanted" bytes.  Returns how many it has
 * then: fewer at the end.  -1: error.
 */
static ssize_t
fill(MysqlBinlogReader *reader, Size have, Size wanted)
{
	BinlogPayload *payload = reader->payload;

	if (payload->plain)
	{
		Size		n = Min(wanted - have, cursor_left(&payload->input));

		grow(reader, &payload->buffer, &payload->size, have + n);
		memcpy(payload->buffer + have, payload->input.p, n);
		payload->input.p += n;
		return have + n;
	}
#ifdef FEATHUB_WITH_ZSTD
	while (have < wanted)
	{
		ZSTD_inBuffer in = {payload->input.p, cursor_left(&payload->input), 0};
		ZSTD_outBuffer out;
		Size		result;

		if (in.size == 0 && payload->frame_done)
			break;
		grow(reader, &payload->buffer, &payload->size, Min(wanted, have + FIRST_BUFFER));
		out.dst = payload->buffer;
		out.size = Min(wanted, payload->size);
		out.pos = have;
		result = ZSTD_decompressStream(payload->zstd, &out, &in);
		if (ZSTD_isError(result))
		{
			FeathubMysqlBinlogFail(reader, "compressed transaction is damaged: %s",
								   ZSTD_getErrorName(result));
			return -1;
		}
		payload->frame_done = result == 0;
		/* no input left, and nothing came of it */
		if (in.pos == 0 && out.pos == have && in.size == 0)
		{
			FeathubMysqlBinlogFail(reader, "compressed transaction is cut off");
			return -1;
		}
		payload->input.p += in.pos;
		have = out.pos;
	}
#endif
	return have;
}

int
FeathubMysqlBinlogNextNested(MysqlBinlogReader *reader)
{
	BinlogPayload *payload = reader->payload;
	BinlogEvent *event = &reader->event;
	ssize_t		have;
	uint32		size;
	uint32		log_pos;

	shrink(&payload->buffer, &payload->size, cursor_left(&payload->input));
	have = fill(reader, 0, BINLOG_HEADER_LEN);
	if (have < 0)
		return -1;
	if (have == 0)
		return 0;
	MemoryContextReset(reader->event_context);
	event->nested = true;
	if (!FeathubMysqlBinlogHeader(event, payload->buffer, have, &size, &log_pos) ||
		size > reader->options.max_event)
	{
		FeathubMysqlBinlogFail(reader, "event in a compressed transaction is malformed");
		return -1;
	}
	have = fill(reader, have, size);
	if (have < 0)
		return -1;
	if (have < size)
	{
		FeathubMysqlBinlogFail(reader, "compressed transaction is cut off");
		return -1;
	}
	/* the buffer may have moved */
	FeathubMysqlBinlogHeader(event, payload->buffer, have, &size, &log_pos);
	switch (event->type)
	{
		case BINLOG_FORMAT_DESCRIPTION:
		case BINLOG_ROTATE:
		case BINLOG_STOP:
		case BINLOG_HEARTBEAT:
		case BINLOG_HEARTBEAT_V2:
		case BINLOG_GTID:
		case BINLOG_GTID_TAGGED:
		case BINLOG_ANONYMOUS_GTID:
		case BINLOG_PREVIOUS_GTIDS:
			FeathubMysqlBinlogFail(reader, "event in a compressed transaction does not belong there");
			return -1;
		default:
			break;
	}
	reader->position.event_type = event->type;
	return 1;
}

/* MariaDB */

#ifdef FEATHUB_WITH_ZLIB
/* Could so few bytes make so many?  Deflated, one makes 1032 at most. */
static bool
can_be(Size compressed, uint64 size)
{
	return size <= (uint64) compressed * 1032 + 64;
}

/* All of a stream, which must make exactly "size" bytes. */
static bool
inflate_all(const uint8 *data, Size len, char *out, Size size, int window)
{
	z_stream	stream = {0};
	int			result;

	if (inflateInit2(&stream, window) != Z_OK)
		return false;
	stream.next_in = (Bytef *) unconstify(uint8 *, data);
	stream.avail_in = len;
	stream.next_out = (Bytef *) out;
	stream.avail_out = size;
	result = inflate(&stream, Z_FINISH);
	inflateEnd(&stream);
	return result == Z_STREAM_END && stream.avail_out == 0;
}
#endif

/*
 * A byte that says 0x80 and the number of bytes of the length, the length with
 * the most significant byte first, then zlib's stream.
 */
bool
FeathubMysqlBinlogInflateEvent(MysqlBinlogReader *reader, BinlogCursor *cursor)
{
#ifdef FEATHUB_WITH_ZLIB
	int			header = cursor_number(cursor, 1);
	int			len_bytes = header & 0x07;
	const uint8 *p = cursor_bytes(cursor, len_bytes);
	uint64		len;

	if (cursor->bad || (header & 0x80) == 0 || len_bytes > 4)
		return FeathubMysqlBinlogFail(reader, "compressed event is malformed");
	if ((header & 0x70) != 0)
		return FeathubMysqlBinlogRefuse(reader, NULL, "compression of kind %d is not supported",
										(header & 0x70) >> 4);
	len = get_big_endian(p, len_bytes);
	if (len > reader->options.max_event || !can_be(cursor_left(cursor), len))
		return FeathubMysqlBinlogFail(reader, "compressed event is damaged");
	shrink(&reader->inflated, &reader->inflated_size, len);
	grow(reader, &reader->inflated, &reader->inflated_size, Max(len, 1));
	if (!inflate_all(cursor->p, cursor_left(cursor), reader->inflated, len, MAX_WBITS))
		return FeathubMysqlBinlogFail(reader, "compressed event is damaged");
	cursor->p = (const uint8 *) reader->inflated;
	cursor->end = cursor->p + len;
	return true;
#else
	return FeathubMysqlBinlogRefuse(reader, "Build feathub with zlib.",
									"compressed events are not supported by this build");
#endif
}

/*
 * A byte: the method in its upper half (0: none, 8: zlib), 8 for a stream
 * without header, the number of bytes of the length; then the length and the
 * stream.
 */
bool
FeathubMysqlBinlogInflateValue(MysqlBinlogReader *reader, const uint8 *data, Size len,
							   const char **out, Size *out_len)
{
	int			method;
	int			len_bytes;

	*out = (const char *) data;
	*out_len = 0;
	if (len == 0)
		return true;
	method = data[0] >> 4;
	len_bytes = data[0] & 0x07;
	if (method == 0)
	{
		*out = (const char *) data + 1;
		*out_len = len - 1;
		return true;
	}
	if (method != 8 || len_bytes > 4 || len - 1 < len_bytes)
		return false;
#ifdef FEATHUB_WITH_ZLIB
	{
		uint64		size = get_big_endian(data + 1, len_bytes);
		Size		begin = 1 + len_bytes;
		char	   *result;

		if (size > reader->options.max_event || !can_be(len - begin, size))
			return false;
		result = palloc_extended(Max(size, 1), MCXT_ALLOC_HUGE);
		if (!inflate_all(data + begin, len - begin, result, size,
						 data[0] & 8 ? -MAX_WBITS : MAX_WBITS))
			return false;
		*out = result;
		*out_len = size;
		return true;
	}
#else
	return FeathubMysqlBinlogRefuse(reader, "Build feathub with zlib.",
									"compressed columns are not supported by this build");
#endif
}
