/*
 * protobuf_value.c
 *		What a message has of its fields, and single values of them.
 */
#include "postgres.h"

#include "common/int.h"
#include "miscadmin.h"
#include "utils/datetime.h"

#include "formats/format_private.h"
#include "formats/protobuf.h"

#define NANOS_PER_SEC 1000000000

/* Bytes and digits behind the point that a decimal may have. */
#define MAX_DECIMAL_BYTES 8192
#define MAX_DECIMAL_SCALE 16383

static bool
fail(FeathubDecodeError *error, int code, const char *message)
{
	return FeathubDecodeFail(error, code, "%s", message);
}

int64
FeathubProtobufInteger(FeathubProtobufType type, uint64 bits)
{
	switch (type)
	{
		case FEATHUB_PROTOBUF_SINT32:
			return (int32) ((uint32) bits >> 1) ^ -(int32) (bits & 1);
		case FEATHUB_PROTOBUF_SINT64:
			return (int64) (bits >> 1) ^ -(int64) (bits & 1);
		case FEATHUB_PROTOBUF_INT32:
		case FEATHUB_PROTOBUF_SFIXED32:
		case FEATHUB_PROTOBUF_ENUM:
			return (int32) (uint32) bits;
		case FEATHUB_PROTOBUF_UINT32:
		case FEATHUB_PROTOBUF_FIXED32:
			return (uint32) bits;
		case FEATHUB_PROTOBUF_BOOL:
			return bits != 0;
		default:
			return (int64) bits;
	}
}

/* Values that are not packed have that wire type. */
static bool
matches(const FeathubProtoField *field, const FeathubProtoRaw *raw)
{
	return raw->wire == FeathubProtobufWireType(field->def->type);
}

/* A number that a closed enum lacks is an unknown field. */
static bool
is_unknown_number(const FeathubProtoField *field, uint64 bits)
{
	return field->def->type == FEATHUB_PROTOBUF_ENUM && field->enumeration->is_closed &&
		FeathubProtobufEnumName(field->enumeration, (int32) (uint32) bits) == NULL;
}

static void
add_chunk(FeathubProtoState *state, const FeathubProtoRaw *raw, MemoryContext context)
{
	if (state->nchunks == state->allocated)
	{
		state->allocated = state->allocated == 0 ? 8 : state->allocated * 2;
		state->chunks = state->chunks == NULL ?
			MemoryContextAlloc(context, sizeof(FeathubProtoRaw) * state->allocated) :
			repalloc_huge(state->chunks, sizeof(FeathubProtoRaw) * state->allocated);
	}
	state->chunks[state->nchunks++] = *raw;
}

/* A message that comes in parts: as if they were one behind the other. */
static void
merge_message(FeathubProtoState *state, const FeathubProtoRaw *raw, MemoryContext context)
{
	MemoryContext old = MemoryContextSwitchTo(context);

	if (state->merged == NULL)
	{
		state->merged = makeStringInfo();
		appendBinaryStringInfo(state->merged, (const char *) state->raw.p, (int) state->raw.len);
	}
	appendBinaryStringInfo(state->merged, (const char *) raw->p, (int) raw->len);
	state->raw.p = (const unsigned char *) state->merged->data;
	state->raw.len = state->merged->len;
	MemoryContextSwitchTo(old);
}

/* Another member of the oneof has come. */
static void
clear_oneof(const FeathubProtoMessage *message, FeathubProtoState *states, int keep)
{
	int			oneof = message->fields[keep].def->oneof;

	for (int i = 0; i < message->nfields; i++)
	{
		if (i != keep && message->fields[i].def->oneof == oneof)
			states[i].present = false;
	}
}

static bool
check_required(const FeathubProtoMessage *message, const FeathubProtoState *states,
			   FeathubDecodeError *error)
{
	for (int i = 0; i < message->nfields; i++)
	{
		if (message->fields[i].def->is_required && !states[i].present)
			return FeathubDecodeFail(error, ERRCODE_DATA_CORRUPTED,
									 "protobuf message \"%s\" lacks its required field \"%s\"",
									 message->def->full_name, message->fields[i].name);
	}
	return true;
}

FeathubProtoState *
FeathubProtobufCollect(const FeathubProtoMessage *message, const bool *wanted,
					   const FeathubProtoRaw *whole, MemoryContext context,
					   FeathubDecodeError *error)
{
	FeathubProtoState *states;
	FeathubProtoWire wire = {.p = whole->p, .end = whole->p + whole->len};
	FeathubProtoRaw raw = {0};
	uint32		count = 0;

	states = MemoryContextAllocZero(context,
									sizeof(FeathubProtoState) * Max(message->nfields, 1));
	while (FeathubProtobufNext(&wire, &raw, error))
	{
		const FeathubProtoField *field = FeathubProtobufFieldByNumber(message, raw.number);
		FeathubProtoState *state;
		int			at;

		if ((++count & 0xfff) == 0)
			CHECK_FOR_INTERRUPTS();
		if (field == NULL)
			continue;
		at = field - message->fields;
		state = &states[at];
		if (field->def->is_repeated)
		{
			/* packed or not is the writer's choice */
			if ((wanted == NULL || wanted[at]) &&
				(matches(field, &raw) ? !is_unknown_number(field, raw.bits) :
				 raw.wire == PROTO_WIRE_BYTES && field->def->type != FEATHUB_PROTOBUF_GROUP))
				add_chunk(state, &raw, context);
			continue;
		}
		if (!matches(field, &raw) || is_unknown_number(field, raw.bits))
			continue;
		if (field->def->oneof >= 0)
			clear_oneof(message, states, at);
		if (state->present && field->message != NULL)
		{
			if (wanted == NULL || wanted[at])
				merge_message(state, &raw, context);
			continue;
		}
		state->present = true;
		state->merged = NULL;
		state->raw = raw;
	}
	if (error->message != NULL)
		return NULL;
	if (message->has_required && !check_required(message, states, error))
		return NULL;
	return states;
}

/* One message may have very many inside. */
void
FeathubProtobufForget(const FeathubProtoMessage *message, FeathubProtoState *states)
{
	for (int i = 0; i < message->nfields; i++)
	{
		if (states[i].chunks != NULL)
			pfree(states[i].chunks);
	}
	pfree(states);
}

bool
FeathubProtobufNextElement(FeathubProtoElements *elements, FeathubProtoRaw *raw,
						   FeathubDecodeError *error)
{
	const FeathubProtoField *field = elements->field;
	FeathubProtobufType type = field->def->type;

	error->message = NULL;
	for (;;)
	{
		if (elements->packed.p < elements->packed.end)
		{
			FeathubProtoWireType wire = FeathubProtobufWireType(type);
			int			len = wire == PROTO_WIRE_64 ? 8 : 4;

			raw->wire = wire;
			if (wire == PROTO_WIRE_VARINT)
			{
				if (!FeathubProtobufReadVarint(&elements->packed, &raw->bits))
					return fail(error, ERRCODE_DATA_CORRUPTED,
								"packed field of a protobuf message ends unexpectedly");
				if (is_unknown_number(field, raw->bits))
					continue;
				return true;
			}
			if (elements->packed.end - elements->packed.p < len)
				return fail(error, ERRCODE_DATA_CORRUPTED,
							"packed field of a protobuf message ends unexpectedly");
			raw->bits = 0;
			for (int i = len - 1; i >= 0; i--)
				raw->bits = raw->bits << 8 | elements->packed.p[i];
			elements->packed.p += len;
			return true;
		}
		if (elements->next >= elements->state->nchunks)
			return false;
		*raw = elements->state->chunks[elements->next++];
		if (matches(field, raw))
			return true;
		elements->packed.p = raw->p;
		elements->packed.end = raw->p + raw->len;
	}
}

bool
FeathubProtobufValueOf(const FeathubProtoField *field, const FeathubProtoState *state,
					   FeathubProtoRaw *raw)
{
	const FeathubProtobufField *def = field->def;

	if (state->present)
	{
		*raw = state->raw;
		return true;
	}
	if (field->message != NULL || (def->has_presence && !def->has_default))
		return false;
	memset(raw, 0, sizeof(*raw));
	raw->number = def->number;
	raw->wire = FeathubProtobufWireType(def->type);
	raw->bits = def->default_bits;
	/* as it would be on the wire */
	if (def->type == FEATHUB_PROTOBUF_SINT32 || def->type == FEATHUB_PROTOBUF_SINT64)
		raw->bits = (def->default_bits << 1) ^ (uint64) -(int64) (def->default_bits >> 63);
	raw->p = (const unsigned char *) def->default_bytes;
	raw->len = def->default_len;
	return true;
}

/* Numbers of a message of a known type, by the number of their field. */
static bool
read_parts(const FeathubProtoRaw *whole, int nparts, uint64 *parts, FeathubProtoRaw *bytes,
		   FeathubDecodeError *error)
{
	FeathubProtoWire wire = {.p = whole->p, .end = whole->p + whole->len};
	FeathubProtoRaw raw = {0};

	while (FeathubProtobufNext(&wire, &raw, error))
	{
		if (raw.wire == PROTO_WIRE_VARINT && raw.number <= nparts)
			parts[raw.number - 1] = raw.bits;
		else if (raw.wire == PROTO_WIRE_BYTES && raw.number == 1 && bytes != NULL)
			*bytes = raw;
	}
	return error->message == NULL;
}

/* Seconds and nanoseconds, to microseconds since 1970. */
static bool
read_timestamp(const FeathubProtoRaw *raw, int64 *micros, FeathubDecodeError *error)
{
	uint64		parts[2] = {0};
	int32		nanos;

	if (!read_parts(raw, 2, parts, NULL, error))
		return false;
	nanos = (int32) parts[1];
	if (nanos < 0 || nanos >= NANOS_PER_SEC ||
		pg_mul_s64_overflow((int64) parts[0], USECS_PER_SEC, micros) ||
		pg_add_s64_overflow(*micros, nanos / 1000, micros))
		return fail(error, ERRCODE_DATETIME_VALUE_OUT_OF_RANGE, "timestamp out of range");
	return true;
}

static bool
read_duration(const FeathubProtoRaw *raw, Interval *interval, FeathubDecodeError *error)
{
	uint64		parts[2] = {0};
	int64		micros;
	int32		nanos;

	if (!read_parts(raw, 2, parts, NULL, error))
		return false;
	nanos = (int32) parts[1];
	if (nanos <= -NANOS_PER_SEC || nanos >= NANOS_PER_SEC ||
		pg_mul_s64_overflow((int64) parts[0], USECS_PER_SEC, &micros) ||
		pg_add_s64_overflow(micros, nanos / 1000, &micros))
		return fail(error, ERRCODE_INTERVAL_FIELD_OVERFLOW, "interval out of range");
	memset(interval, 0, sizeof(Interval));
	interval->time = micros;
	return true;
}

/* Days since 1970. */
static bool
read_date(const FeathubProtoRaw *raw, int64 *days, FeathubDecodeError *error)
{
	uint64		parts[3] = {0};
	int32		year;
	int32		month;
	int32		day;

	if (!read_parts(raw, 3, parts, NULL, error))
		return false;
	year = (int32) parts[0];
	month = (int32) parts[1];
	day = (int32) parts[2];
	if (year < 1 || year > 9999 || month < 1 || month > MONTHS_PER_YEAR || day < 1 ||
		day > day_tab[isleap(year)][month - 1])
		return FeathubDecodeFail(error, ERRCODE_DATETIME_FIELD_OVERFLOW,
								 "date %d-%d-%d is no day", year, month, day);
	*days = date2j(year, month, day) - UNIX_EPOCH_JDATE;
	return true;
}

/* Microseconds since midnight. */
static bool
read_time(const FeathubProtoRaw *raw, int64 *micros, FeathubDecodeError *error)
{
	static const int64 limits[] = {24, 59, 60, NANOS_PER_SEC - 1};
	uint64		parts[4] = {0};

	if (!read_parts(raw, 4, parts, NULL, error))
		return false;
	for (int i = 0; i < 4; i++)
	{
		if ((int32) parts[i] < 0 || (int32) parts[i] > limits[i])
			return fail(error, ERRCODE_DATETIME_FIELD_OVERFLOW, "time out of range");
	}
	*micros = (((int64) parts[0] * 60 + (int64) parts[1]) * 60 + (int64) parts[2]) *
		USECS_PER_SEC + (int64) parts[3] / 1000;
	return true;
}

/* A two's complement number, and digits behind the point. */
static bool
read_decimal(const FeathubProtoRaw *raw, Numeric *numeric, FeathubDecodeError *error)
{
	uint64		parts[3] = {0};
	FeathubProtoRaw bytes = {0};
	int32		scale;

	if (!read_parts(raw, 3, parts, &bytes, error))
		return false;
	scale = (int32) parts[2];
	if (bytes.len > MAX_DECIMAL_BYTES || scale < -MAX_DECIMAL_SCALE || scale > MAX_DECIMAL_SCALE)
		return fail(error, ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE, "decimal out of range");
	*numeric = bytes.len == 0 ? int64_to_numeric(0) :
		FeathubDecimalToNumeric(bytes.p, (int) bytes.len, scale);
	return true;
}

/* What a wrapper is around: the last one that it has, or the default. */
static bool
read_wrapper(const FeathubProtoMessage *message, const FeathubProtoRaw *whole,
			 FeathubScalar *scalar, char *text, FeathubDecodeError *error)
{
	const FeathubProtoField *field = &message->fields[0];
	FeathubProtoWire wire = {.p = whole->p, .end = whole->p + whole->len};
	FeathubProtoState state = {0};
	FeathubProtoRaw raw = {0};

	while (FeathubProtobufNext(&wire, &raw, error))
	{
		if (raw.number == 1 && matches(field, &raw))
		{
			state.present = true;
			state.raw = raw;
		}
	}
	if (error->message != NULL)
		return false;
	if (!FeathubProtobufValueOf(field, &state, &raw))
	{
		/* in a schema of its own, with presence: the type's zero all the same */
		memset(&raw, 0, sizeof(raw));
		raw.wire = FeathubProtobufWireType(field->def->type);
	}
	return FeathubProtobufScalar(field, &raw, scalar, text, error);
}

static bool
read_known(const FeathubProtoMessage *message, const FeathubProtoRaw *raw,
		   FeathubScalar *scalar, char *text, FeathubDecodeError *error)
{
	switch (message->known)
	{
		case PROTO_TIMESTAMP:
			return read_timestamp(raw, &scalar->u.integer, error);
		case PROTO_DURATION:
			return read_duration(raw, &scalar->u.interval, error);
		case PROTO_DATE:
			return read_date(raw, &scalar->u.integer, error);
		case PROTO_TIME_OF_DAY:
			return read_time(raw, &scalar->u.integer, error);
		case PROTO_DECIMAL:
			return read_decimal(raw, &scalar->u.numeric, error);
		case PROTO_WRAPPER:
			return read_wrapper(message, raw, scalar, text, error);
		default:
			return fail(error, ERRCODE_DATA_CORRUPTED, "protobuf message is no single value");
	}
}

bool
FeathubProtobufScalar(const FeathubProtoField *field, const FeathubProtoRaw *raw,
					  FeathubScalar *scalar, char *text, FeathubDecodeError *error)
{
	FeathubProtobufType type = field->def->type;
	union
	{
		uint32		i4;
		uint64		i8;
		float		f4;
		double		f8;
	}			bits;
	const char *name;

	switch (type)
	{
		case FEATHUB_PROTOBUF_DOUBLE:
			bits.i8 = raw->bits;
			scalar->u.real = bits.f8;
			return true;
		case FEATHUB_PROTOBUF_FLOAT:
			bits.i4 = (uint32) raw->bits;
			scalar->u.real = bits.f4;
			return true;
		case FEATHUB_PROTOBUF_BOOL:
			scalar->u.boolean = raw->bits != 0;
			return true;
		case FEATHUB_PROTOBUF_STRING:
		case FEATHUB_PROTOBUF_BYTES:
			scalar->u.bytes.data = raw->len == 0 ? "" : (const char *) raw->p;
			scalar->u.bytes.len = raw->len;
			return true;
		case FEATHUB_PROTOBUF_ENUM:
			name = FeathubProtobufEnumName(field->enumeration, (int32) (uint32) raw->bits);
			if (name == NULL)
			{
				/* a later version's */
				snprintf(text, 32, "%d", (int32) (uint32) raw->bits);
				name = text;
			}
			scalar->u.bytes.data = name;
			scalar->u.bytes.len = strlen(name);
			return true;
		case FEATHUB_PROTOBUF_MESSAGE:
		case FEATHUB_PROTOBUF_GROUP:
			return read_known(field->message, raw, scalar, text, error);
		case FEATHUB_PROTOBUF_UINT64:
		case FEATHUB_PROTOBUF_FIXED64:
			scalar->u.natural = raw->bits;
			return true;
		default:
			/* unsigned ones of 32 bits are the same as naturals */
			scalar->u.integer = FeathubProtobufInteger(type, raw->bits);
			return true;
	}
}
