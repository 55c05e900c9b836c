/*
 * protobuf_jsonb.c
 *		Protocol Buffers' messages as documents.
 *
 * Names are those of the schema.  A field that is not there and has no default
 * is left out; lists and maps are always there.
 */
#include "postgres.h"

#include "mb/pg_wchar.h"
#include "miscadmin.h"

#include "formats/format_private.h"
#include "formats/protobuf.h"

static bool push_any(const FeathubProtoRaw *whole, FeathubConverter *type,
					 JsonbParseState **state, JsonbIteratorToken token, JsonbValue **result,
					 int depth, FeathubDecodeError *error);

static bool
enter(int depth, FeathubDecodeError *error)
{
	check_stack_depth();
	CHECK_FOR_INTERRUPTS();
	return depth <= FEATHUB_PROTO_MAX_DEPTH ||
		FeathubDecodeFail(error, ERRCODE_DATA_CORRUPTED,
						  "protobuf message is nested too deeply");
}

/* Text of a message as a string or key. */
static bool
set_string(JsonbValue *value, const char *data, Size len, FeathubDecodeError *error)
{
	FeathubShape shape = {.kind = FEATHUB_SHAPE_TEXT};
	FeathubScalar scalar;

	scalar.u.bytes.data = len == 0 ? "" : data;
	scalar.u.bytes.len = len;
	return FeathubScalarJsonb(&shape, &scalar, NULL, value, error);
}

static void
push_key(JsonbParseState **state, const char *name)
{
	JsonbValue	key;

	key.type = jbvString;
	key.val.string.val = pstrdup(name);
	key.val.string.len = strlen(name);
	pushJsonbValue(state, WJB_KEY, &key);
}

static bool
push_message(const FeathubProtoMessage *message, const FeathubProtoRaw *raw,
			 FeathubConverter *type, JsonbParseState **state, JsonbValue **result, int depth,
			 FeathubDecodeError *error)
{
	FeathubProtoState *states = FeathubProtobufCollect(message, NULL, raw,
													   type->settings->scratch, error);

	if (states == NULL)
		return false;
	pushJsonbValue(state, WJB_BEGIN_OBJECT, NULL);
	for (int i = 0; i < message->nfields; i++)
	{
		const FeathubProtoField *field = &message->fields[i];
		FeathubProtoRaw value;

		if (field->def->is_repeated)
		{
			FeathubProtoElements elements = {.field = field, .state = &states[i]};

			push_key(state, field->name);
			if (!FeathubProtobufPushRepeated(&elements, type, state, result, depth, error))
				return false;
		}
		else if (FeathubProtobufValueOf(field, &states[i], &value))
		{
			push_key(state, field->name);
			if (!FeathubProtobufPush(field, &value, type, state, WJB_VALUE, result, depth, error))
				return false;
		}
	}
	FeathubProtobufForget(message, states);
	*result = pushJsonbValue(state, WJB_END_OBJECT, NULL);
	return true;
}

/* google.protobuf.Struct: a map from names to Values. */
static bool
push_struct(const FeathubProtoRaw *whole, FeathubConverter *type, JsonbParseState **state,
			JsonbValue **result, int depth, FeathubDecodeError *error)
{
	FeathubProtoWire wire = {.p = whole->p, .end = whole->p + whole->len};
	FeathubProtoRaw entry = {0};

	if (!enter(depth, error))
		return false;
	pushJsonbValue(state, WJB_BEGIN_OBJECT, NULL);
	while (FeathubProtobufNext(&wire, &entry, error))
	{
		FeathubProtoWire inner = {.p = entry.p};
		FeathubProtoRaw part = {0};
		FeathubProtoRaw value = {0};
		JsonbValue	key;
		const char *name = "";
		Size		len = 0;

		if (entry.number != 1 || entry.wire != PROTO_WIRE_BYTES)
			continue;
		inner.end = entry.p + entry.len;
		while (FeathubProtobufNext(&inner, &part, error))
		{
			if (part.wire == PROTO_WIRE_BYTES && part.number == 1)
			{
				name = (const char *) part.p;
				len = part.len;
			}
			else if (part.wire == PROTO_WIRE_BYTES && part.number == 2)
				value = part;
		}
		if (error->message != NULL || !set_string(&key, name, len, error))
			return false;
		pushJsonbValue(state, WJB_KEY, &key);
		if (!push_any(&value, type, state, WJB_VALUE, result, depth + 1, error))
			return false;
	}
	if (error->message != NULL)
		return false;
	*result = pushJsonbValue(state, WJB_END_OBJECT, NULL);
	return true;
}

/* google.protobuf.ListValue: repeated Values. */
static bool
push_list(const FeathubProtoRaw *whole, FeathubConverter *type, JsonbParseState **state,
		  JsonbValue **result, int depth, FeathubDecodeError *error)
{
	FeathubProtoWire wire = {.p = whole->p, .end = whole->p + whole->len};
	FeathubProtoRaw value = {0};

	if (!enter(depth, error))
		return false;
	pushJsonbValue(state, WJB_BEGIN_ARRAY, NULL);
	while (FeathubProtobufNext(&wire, &value, error))
	{
		if (value.number == 1 && value.wire == PROTO_WIRE_BYTES &&
			!push_any(&value, type, state, WJB_ELEM, result, depth + 1, error))
			return false;
	}
	if (error->message != NULL)
		return false;
	*result = pushJsonbValue(state, WJB_END_ARRAY, NULL);
	return true;
}

/* google.protobuf.Value: one of null, a number, a string, a bool, Struct, ListValue. */
static bool
push_any(const FeathubProtoRaw *whole, FeathubConverter *type, JsonbParseState **state,
		 JsonbIteratorToken token, JsonbValue **result, int depth, FeathubDecodeError *error)
{
	FeathubProtoWire wire = {.p = whole->p, .end = whole->p + whole->len};
	FeathubProtoRaw raw = {0};
	FeathubProtoRaw last = {0};
	FeathubShape number = {.kind = FEATHUB_SHAPE_FLOAT, .bits = 64};
	FeathubScalar scalar;
	JsonbValue	value;
	union
	{
		uint64		i8;
		double		f8;
	}			bits;

	if (!enter(depth, error))
		return false;
	while (FeathubProtobufNext(&wire, &raw, error))
	{
		if (raw.wire == (raw.number == 1 || raw.number == 4 ? PROTO_WIRE_VARINT :
						 raw.number == 2 ? PROTO_WIRE_64 : PROTO_WIRE_BYTES))
			last = raw;
	}
	if (error->message != NULL)
		return false;
	switch (last.number)
	{
		case 2:
			bits.i8 = last.bits;
			scalar.u.real = bits.f8;
			if (!FeathubScalarJsonb(&number, &scalar, type, &value, error))
				return false;
			break;
		case 3:
			if (!set_string(&value, (const char *) last.p, last.len, error))
				return false;
			break;
		case 4:
			value.type = jbvBool;
			value.val.boolean = last.bits != 0;
			break;
		case 5:
			return push_struct(&last, type, state, result, depth + 1, error);
		case 6:
			return push_list(&last, type, state, result, depth + 1, error);
		default:
			value.type = jbvNull;
			break;
	}
	if (*state == NULL)
	{
		/* a document of its own */
		*result = palloc(sizeof(JsonbValue));
		**result = value;
	}
	else
		*result = pushJsonbValue(state, token, &value);
	return true;
}

bool
FeathubProtobufPush(const FeathubProtoField *field, const FeathubProtoRaw *raw,
					FeathubConverter *type, JsonbParseState **state, JsonbIteratorToken token,
					JsonbValue **result, int depth, FeathubDecodeError *error)
{
	const FeathubProtoMessage *message = field->message;
	FeathubScalar scalar;
	JsonbValue	value;
	char		text[32];

	if (!enter(depth, error))
		return false;
	if (message != NULL && message->known == PROTO_PLAIN)
		return push_message(message, raw, type, state, result, depth + 1, error);
	if (message != NULL && message->known == PROTO_STRUCT)
		return push_struct(raw, type, state, result, depth + 1, error);
	if (message != NULL && message->known == PROTO_LIST_VALUE)
		return push_list(raw, type, state, result, depth + 1, error);
	if (message != NULL && message->known == PROTO_VALUE)
		return push_any(raw, type, state, token, result, depth + 1, error);
	if (!FeathubProtobufScalar(field, raw, &scalar, text, error) ||
		!FeathubScalarJsonb(field->shape, &scalar, type, &value, error))
		return false;
	*result = pushJsonbValue(state, token, &value);
	return true;
}

/* An entry of a map: a message of key and value. */
static bool
push_entry(const FeathubProtoMessage *entry, const FeathubProtoRaw *raw, FeathubConverter *type,
		   JsonbParseState **state, JsonbValue **result, int depth, FeathubDecodeError *error)
{
	FeathubConvertSettings settings = *type->settings;
	FeathubConverter text_type = {
		.kind = FEATHUB_CONVERT_TEXT, .typmod = -1, .settings = &settings
	};
	FeathubProtoState *states = FeathubProtobufCollect(entry, NULL, raw,
													   type->settings->scratch, error);
	const FeathubProtoField *value_field = &entry->fields[1];
	FeathubProtoRaw part = {0};
	FeathubScalar scalar;
	JsonbValue	key;
	char		buffer[32];
	Datum		text;

	if (states == NULL)
		return false;
	if (!FeathubProtobufValueOf(&entry->fields[0], &states[0], &part))
		part.wire = FeathubProtobufWireType(entry->fields[0].def->type);
	if (!FeathubProtobufScalar(&entry->fields[0], &part, &scalar, buffer, error) ||
		!FeathubScalarConvert(entry->fields[0].shape, &scalar, &text_type, &text, error))
		return false;
	key.type = jbvString;
	key.val.string.val = VARDATA_ANY(DatumGetPointer(text));
	key.val.string.len = VARSIZE_ANY_EXHDR(DatumGetPointer(text));
	if (key.val.string.len > JENTRY_OFFLENMASK)
		return FeathubDecodeFail(error, ERRCODE_PROGRAM_LIMIT_EXCEEDED,
								 "key of %d bytes is too long for type jsonb",
								 key.val.string.len);
	pushJsonbValue(state, WJB_KEY, &key);

	/* an entry without value has the type's zero */
	memset(&part, 0, sizeof(part));
	if (!FeathubProtobufValueOf(value_field, &states[1], &part))
	{
		part.wire = FeathubProtobufWireType(value_field->def->type);
		part.p = (const unsigned char *) "";
	}
	FeathubProtobufForget(entry, states);
	return FeathubProtobufPush(value_field, &part, type, state, WJB_VALUE, result, depth, error);
}

bool
FeathubProtobufPushRepeated(FeathubProtoElements *elements, FeathubConverter *type,
							JsonbParseState **state, JsonbValue **result, int depth,
							FeathubDecodeError *error)
{
	const FeathubProtoField *field = elements->field;
	bool		is_map = field->def->is_map;
	FeathubProtoRaw raw = {0};

	pushJsonbValue(state, is_map ? WJB_BEGIN_OBJECT : WJB_BEGIN_ARRAY, NULL);
	while (FeathubProtobufNextElement(elements, &raw, error))
	{
		if (is_map ? !push_entry(field->message, &raw, type, state, result, depth + 1, error) :
			!FeathubProtobufPush(field, &raw, type, state, WJB_ELEM, result, depth + 1, error))
			return false;
	}
	if (error->message != NULL)
		return false;
	*result = pushJsonbValue(state, is_map ? WJB_END_OBJECT : WJB_END_ARRAY, NULL);
	return true;
}
