/*
 * protobuf_wire.c
 *		Protocol Buffers' wire format: fields out of bytes, and bytes of fields.
 *
 * Every read is checked against the end of the data.
 */
#include "postgres.h"

#include "formats/format_private.h"
#include "formats/protobuf.h"

/* The greatest number that a field may have. */
#define MAX_FIELD_NUMBER ((1 << 29) - 1)

static bool
damaged(FeathubDecodeError *error, const char *message)
{
	return FeathubDecodeFail(error, ERRCODE_DATA_CORRUPTED, "%s", message);
}

bool
FeathubProtobufReadVarint(FeathubProtoWire *wire, uint64 *value)
{
	uint64		bits = 0;

	for (int shift = 0; shift < 70; shift += 7)
	{
		unsigned char b;

		if (wire->p >= wire->end)
			return false;
		b = *wire->p++;
		if (shift < 64)
			bits |= (uint64) (b & 0x7f) << shift;
		if ((b & 0x80) == 0)
		{
			*value = bits;
			return true;
		}
	}
	return false;
}

static bool
read_fixed(FeathubProtoWire *wire, int len, uint64 *value)
{
	if (wire->end - wire->p < len)
		return false;
	*value = 0;
	for (int i = len - 1; i >= 0; i--)
		*value = *value << 8 | wire->p[i];
	wire->p += len;
	return true;
}

static bool
read_tag(FeathubProtoWire *wire, FeathubProtoRaw *raw, FeathubDecodeError *error)
{
	uint64		tag;

	if (!FeathubProtobufReadVarint(wire, &tag))
		return damaged(error, "protobuf message ends unexpectedly");
	raw->wire = tag & 7;
	if ((tag >> 3) == 0 || (tag >> 3) > MAX_FIELD_NUMBER)
		return damaged(error, "protobuf message has an invalid field number");
	raw->number = (uint32) (tag >> 3);
	return true;
}

/* What is behind the tag, but for groups. */
static bool
read_value(FeathubProtoWire *wire, FeathubProtoRaw *raw, FeathubDecodeError *error)
{
	uint64		len;
	bool		ok = true;

	switch ((int) raw->wire)
	{
		case PROTO_WIRE_VARINT:
			ok = FeathubProtobufReadVarint(wire, &raw->bits);
			break;
		case PROTO_WIRE_64:
			ok = read_fixed(wire, 8, &raw->bits);
			break;
		case PROTO_WIRE_32:
			ok = read_fixed(wire, 4, &raw->bits);
			break;
		case PROTO_WIRE_BYTES:
			ok = FeathubProtobufReadVarint(wire, &len) && len <= (uint64) (wire->end - wire->p);
			if (ok)
			{
				raw->p = wire->p;
				raw->len = len;
				wire->p += len;
			}
			break;
		default:
			return damaged(error, "protobuf message has an invalid wire type");
	}
	return ok || damaged(error, "protobuf message ends unexpectedly");
}

/* What a group has, up to its end, which is passed. */
static bool
read_group(FeathubProtoWire *wire, FeathubProtoRaw *raw, FeathubDecodeError *error)
{
	uint32		open[FEATHUB_PROTO_MAX_DEPTH];
	int			depth = 0;

	open[depth++] = raw->number;
	raw->p = wire->p;
	while (depth > 0)
	{
		FeathubProtoRaw inner = {0};
		const unsigned char *before = wire->p;

		if (!read_tag(wire, &inner, error))
			return false;
		if (inner.wire == PROTO_WIRE_END_GROUP)
		{
			if (open[--depth] != inner.number)
				return damaged(error, "protobuf group ends with another number");
			raw->len = before - raw->p;
		}
		else if (inner.wire == PROTO_WIRE_GROUP)
		{
			if (depth >= FEATHUB_PROTO_MAX_DEPTH)
				return damaged(error, "protobuf message is nested too deeply");
			open[depth++] = inner.number;
		}
		else if (!read_value(wire, &inner, error))
			return false;
	}
	return true;
}

bool
FeathubProtobufNext(FeathubProtoWire *wire, FeathubProtoRaw *raw, FeathubDecodeError *error)
{
	error->message = NULL;
	if (wire->p >= wire->end)
		return false;
	if (!read_tag(wire, raw, error))
		return false;
	if (raw->wire == PROTO_WIRE_GROUP)
		return read_group(wire, raw, error);
	if (raw->wire == PROTO_WIRE_END_GROUP)
		return damaged(error, "protobuf group ends that has not begun");
	return read_value(wire, raw, error);
}

FeathubProtoWireType
FeathubProtobufWireType(FeathubProtobufType type)
{
	switch (type)
	{
		case FEATHUB_PROTOBUF_DOUBLE:
		case FEATHUB_PROTOBUF_FIXED64:
		case FEATHUB_PROTOBUF_SFIXED64:
			return PROTO_WIRE_64;
		case FEATHUB_PROTOBUF_FLOAT:
		case FEATHUB_PROTOBUF_FIXED32:
		case FEATHUB_PROTOBUF_SFIXED32:
			return PROTO_WIRE_32;
		case FEATHUB_PROTOBUF_STRING:
		case FEATHUB_PROTOBUF_BYTES:
		case FEATHUB_PROTOBUF_MESSAGE:
			return PROTO_WIRE_BYTES;
		case FEATHUB_PROTOBUF_GROUP:
			return PROTO_WIRE_GROUP;
		default:
			return PROTO_WIRE_VARINT;
	}
}

void
FeathubProtobufPutVarint(uint64 value, StringInfo out)
{
	while (value >= 0x80)
	{
		appendStringInfoCharMacro(out, (char) (value | 0x80));
		value >>= 7;
	}
	appendStringInfoCharMacro(out, (char) value);
}

void
FeathubProtobufPutTag(int number, FeathubProtoWireType wire, StringInfo out)
{
	FeathubProtobufPutVarint((uint64) number << 3 | wire, out);
}
