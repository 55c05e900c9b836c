/*
 * protobuf_write_jsonb.c
 *		Documents to Protocol Buffers' messages.
 *
 * The notation is that in which documents are read (protobuf_jsonb.c); numbers
 * may also be strings, as JSON's users write those of 64 bits.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "common/base64.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/float.h"
#include "utils/fmgrprotos.h"

#include "formats/protobuf.h"

static void to_raw(const FeathubProtoField *field, const JsonbValue *value, const char *column,
				   int depth, FeathubProtoRaw *raw);
static void put_any(const JsonbValue *value, const char *column, int depth, StringInfo out);

static void
mismatch(const FeathubProtoField *field, const char *column)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_JSON_TEXT),
			 errmsg("JSON in column \"%s\" does not fit field \"%s\" of type %s", column,
					field->name, FeathubShapeText(field->whole))));
}

static void
check_depth(const char *column, int depth)
{
	check_stack_depth();
	CHECK_FOR_INTERRUPTS();
	if (depth > FEATHUB_PROTO_MAX_DEPTH)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("JSON in column \"%s\" is nested too deeply for a message", column)));
}

static bool
is_object(const JsonbValue *value)
{
	return value->type == jbvBinary && JsonContainerIsObject(value->val.binary.data);
}

static bool
is_array(const JsonbValue *value)
{
	return value->type == jbvBinary && JsonContainerIsArray(value->val.binary.data) &&
		!JsonContainerIsScalar(value->val.binary.data);
}

/* Is null a value like any other? */
static bool
takes_null(const FeathubProtoField *field)
{
	return field->message != NULL && field->message->known == PROTO_VALUE;
}

/* A string in UTF-8. */
static void
set_text(const JsonbValue *value, FeathubProtoRaw *raw)
{
	char	   *text = pnstrdup(value->val.string.val, value->val.string.len);

	text = pg_server_to_any(text, value->val.string.len, PG_UTF8);
	raw->p = (const unsigned char *) text;
	raw->len = strlen(text);
}

static void
put_bytes(int number, const StringInfo content, StringInfo out)
{
	FeathubProtobufPutTag(number, PROTO_WIRE_BYTES, out);
	FeathubProtobufPutVarint(content->len, out);
	appendBinaryStringInfo(out, content->data, content->len);
}

/* google.protobuf.Struct */
static void
put_struct(const JsonbValue *value, const char *column, int depth, StringInfo out)
{
	JsonbIterator *it = JsonbIteratorInit(value->val.binary.data);
	JsonbIteratorToken token;
	JsonbValue	part;
	StringInfoData entry = {0};

	check_depth(column, depth);
	while ((token = JsonbIteratorNext(&it, &part, true)) != WJB_DONE)
	{
		if (token == WJB_KEY)
		{
			FeathubProtoRaw raw = {0};

			initStringInfo(&entry);
			set_text(&part, &raw);
			FeathubProtobufPutTag(1, PROTO_WIRE_BYTES, &entry);
			FeathubProtobufPutVarint(raw.len, &entry);
			appendBinaryStringInfo(&entry, (const char *) raw.p, (int) raw.len);
		}
		else if (token == WJB_VALUE)
		{
			StringInfoData any;

			initStringInfo(&any);
			put_any(&part, column, depth + 1, &any);
			put_bytes(2, &any, &entry);
			put_bytes(1, &entry, out);
		}
	}
}

/* google.protobuf.ListValue */
static void
put_list(const JsonbValue *value, const char *column, int depth, StringInfo out)
{
	JsonbIterator *it = JsonbIteratorInit(value->val.binary.data);
	JsonbIteratorToken token;
	JsonbValue	part;

	check_depth(column, depth);
	while ((token = JsonbIteratorNext(&it, &part, true)) != WJB_DONE)
	{
		StringInfoData any;

		if (token != WJB_ELEM)
			continue;
		initStringInfo(&any);
		put_any(&part, column, depth + 1, &any);
		put_bytes(1, &any, out);
	}
}

/* google.protobuf.Value */
static void
put_any(const JsonbValue *value, const char *column, int depth, StringInfo out)
{
	StringInfoData content;
	FeathubProtoRaw raw = {0};
	union
	{
		uint64		i8;
		double		f8;
	}			bits;

	check_depth(column, depth);
	initStringInfo(&content);
	switch (value->type)
	{
		case jbvNull:
			FeathubProtobufPutTag(1, PROTO_WIRE_VARINT, out);
			FeathubProtobufPutVarint(0, out);
			break;
		case jbvNumeric:
			bits.f8 = DatumGetFloat8(DirectFunctionCall1(numeric_float8,
														 NumericGetDatum(value->val.numeric)));
			FeathubProtobufPutTag(2, PROTO_WIRE_64, out);
			for (int i = 0; i < 8; i++)
				appendStringInfoCharMacro(out, (char) (bits.i8 >> (8 * i)));
			break;
		case jbvString:
			set_text(value, &raw);
			FeathubProtobufPutTag(3, PROTO_WIRE_BYTES, out);
			FeathubProtobufPutVarint(raw.len, out);
			appendBinaryStringInfo(out, (const char *) raw.p, (int) raw.len);
			break;
		case jbvBool:
			FeathubProtobufPutTag(4, PROTO_WIRE_VARINT, out);
			FeathubProtobufPutVarint(value->val.boolean, out);
			break;
		default:
			if (is_object(value))
			{
				put_struct(value, column, depth + 1, &content);
				put_bytes(5, &content, out);
			}
			else
			{
				put_list(value, column, depth + 1, &content);
				put_bytes(6, &content, out);
			}
			break;
	}
}

/* A plain message: every member is a field. */
static void
put_message(const FeathubProtoMessage *message, const JsonbValue *value, const char *column,
			int depth, StringInfo out)
{
	JsonbContainer *container = value->val.binary.data;
	const FeathubProtoField **chosen = palloc0(sizeof(void *) * Max(message->def->noneofs, 1));
	int			found = 0;

	check_depth(column, depth);
	for (int i = 0; i < message->nfields; i++)
	{
		const FeathubProtoField *field = &message->fields[i];
		int			oneof = field->def->oneof;
		JsonbValue	key;
		JsonbValue *member;

		key.type = jbvString;
		key.val.string.val = unconstify(char *, field->name);
		key.val.string.len = strlen(field->name);
		member = findJsonbValueFromContainer(container, JB_FOBJECT, &key);
		if (member != NULL)
			found++;
		if (member == NULL || (member->type == jbvNull && !takes_null(field)))
		{
			if (field->def->is_required)
				ereport(ERROR,
						(errcode(ERRCODE_NOT_NULL_VIOLATION),
						 errmsg("JSON in column \"%s\" lacks member \"%s\"", column, field->name),
						 errdetail("Field \"%s\" of message \"%s\" is required.", field->name,
								   message->def->full_name)));
			continue;
		}
		if (oneof >= 0 && chosen[oneof] != NULL)
			ereport(ERROR,
					(errcode(ERRCODE_CARDINALITY_VIOLATION),
					 errmsg("fields \"%s\" and \"%s\" of message \"%s\" cannot both have a value",
							chosen[oneof]->name, field->name, message->def->full_name),
					 errdetail("They are members of the same oneof.")));
		if (oneof >= 0)
			chosen[oneof] = field;
		FeathubProtobufWriteJsonb(field, member, column, depth, out);
	}
	if (found != JsonContainerSize(container))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_JSON_TEXT),
				 errmsg("JSON in column \"%s\" has a member that message \"%s\" lacks", column,
						message->def->full_name)));
}

/* A string as a value of a field of another type than string and bytes. */
static void
from_string(const FeathubProtoField *field, const JsonbValue *value, const char *column,
			FeathubProtoRaw *raw)
{
	char	   *text = pnstrdup(value->val.string.val, value->val.string.len);

	if (field->def->type == FEATHUB_PROTOBUF_ENUM)
		FeathubProtobufFromName(field, text, strlen(text), column, raw);
	else if (FeathubProtobufIsInteger(field->def->type))
		FeathubProtobufFromNumeric(field,
								   DatumGetNumeric(DirectFunctionCall3(numeric_in,
																	   CStringGetDatum(text),
																	   ObjectIdGetDatum(InvalidOid),
																	   Int32GetDatum(-1))),
								   column, raw);
	else if (field->def->type == FEATHUB_PROTOBUF_DOUBLE ||
			 field->def->type == FEATHUB_PROTOBUF_FLOAT)
		FeathubProtobufFromReal(field,
								DatumGetFloat8(DirectFunctionCall1(float8in,
																   CStringGetDatum(text))),
								column, raw);
	else if (field->def->type == FEATHUB_PROTOBUF_BOOL &&
			 (strcmp(text, "true") == 0 || strcmp(text, "false") == 0))
		raw->bits = *text == 't';
	else
		mismatch(field, column);
}

static void
from_base64(const FeathubProtoField *field, const JsonbValue *value, const char *column,
			FeathubProtoRaw *raw)
{
	int			size = pg_b64_dec_len(value->val.string.len);
	void	   *bytes = palloc(Max(size, 1));
	int			len = pg_b64_decode(value->val.string.val, value->val.string.len, bytes, size);

	if (len < 0)
		mismatch(field, column);
	raw->p = bytes;
	raw->len = len;
}

/* A known message type that is one value, from its text or number. */
static void
from_known(const FeathubProtoField *field, const JsonbValue *value, const char *column, int depth,
		   FeathubProtoRaw *raw)
{
	static const struct
	{
		FeathubProtoKnown known;
		Oid			type;
	}			types[] =
	{
		{PROTO_TIMESTAMP, TIMESTAMPTZOID},
		{PROTO_DURATION, INTERVALOID},
		{PROTO_DATE, DATEOID},
		{PROTO_TIME_OF_DAY, TIMEOID},
		{PROTO_DECIMAL, NUMERICOID},
	};
	FeathubConvertSettings settings = {.scratch = CurrentMemoryContext};
	FeathubConverter *type;
	FeathubDecodeError error;
	char	   *text;
	Datum		datum;

	if (value->type == jbvString)
		text = pnstrdup(value->val.string.val, value->val.string.len);
	else if (value->type == jbvNumeric && field->message->known == PROTO_DECIMAL)
		text = DatumGetCString(DirectFunctionCall1(numeric_out,
												   NumericGetDatum(value->val.numeric)));
	else
		mismatch(field, column);
	for (int i = 0; i < lengthof(types); i++)
	{
		if (types[i].known != field->message->known)
			continue;
		type = FeathubConverterMake(types[i].type, -1, &settings);
		if (!FeathubConvertText(type, text, strlen(text), &datum, &error))
			ereport(ERROR,
					(errcode(error.sqlerrcode),
					 errmsg("column \"%s\": %s", column, error.message)));
		FeathubProtobufFromDatum(field, type, NULL, datum, column, raw);
		return;
	}
	mismatch(field, column);
}

/* A message's bytes. */
static void
to_message(const FeathubProtoField *field, const JsonbValue *value, const char *column, int depth,
		   FeathubProtoRaw *raw)
{
	const FeathubProtoMessage *message = field->message;
	StringInfoData out;

	initStringInfo(&out);
	switch (message->known)
	{
		case PROTO_PLAIN:
			if (!is_object(value))
				mismatch(field, column);
			put_message(message, value, column, depth + 1, &out);
			break;
		case PROTO_STRUCT:
			if (!is_object(value))
				mismatch(field, column);
			put_struct(value, column, depth + 1, &out);
			break;
		case PROTO_LIST_VALUE:
			if (!is_array(value))
				mismatch(field, column);
			put_list(value, column, depth + 1, &out);
			break;
		case PROTO_VALUE:
			put_any(value, column, depth + 1, &out);
			break;
		case PROTO_WRAPPER:
			{
				FeathubProtoRaw part = {0};

				to_raw(&message->fields[0], value, column, depth + 1, &part);
				if (part.bits != 0 || part.len != 0)
					FeathubProtobufEmit(&message->fields[0], &part, true, &out);
				break;
			}
		default:
			from_known(field, value, column, depth, raw);
			return;
	}
	raw->p = (const unsigned char *) out.data;
	raw->len = out.len;
}

/* One value. */
static void
to_raw(const FeathubProtoField *field, const JsonbValue *value, const char *column, int depth,
	   FeathubProtoRaw *raw)
{
	FeathubProtobufType type = field->def->type;

	check_depth(column, depth);
	if (field->message != NULL)
		to_message(field, value, column, depth, raw);
	else if (value->type == jbvString && type == FEATHUB_PROTOBUF_STRING)
		set_text(value, raw);
	else if (value->type == jbvString && type == FEATHUB_PROTOBUF_BYTES)
		from_base64(field, value, column, raw);
	else if (value->type == jbvString)
		from_string(field, value, column, raw);
	else if (value->type == jbvBool && type == FEATHUB_PROTOBUF_BOOL)
		raw->bits = value->val.boolean;
	else if (value->type == jbvNumeric && type == FEATHUB_PROTOBUF_ENUM)
	{
		char	   *text = DatumGetCString(DirectFunctionCall1(numeric_out,
															   NumericGetDatum(value->val.numeric)));

		FeathubProtobufFromName(field, text, strlen(text), column, raw);
	}
	else if (value->type == jbvNumeric && type != FEATHUB_PROTOBUF_STRING &&
			 type != FEATHUB_PROTOBUF_BYTES && type != FEATHUB_PROTOBUF_BOOL)
		FeathubProtobufFromNumeric(field, value->val.numeric, column, raw);
	else
		mismatch(field, column);
}

/* A map's entries, from an object's members. */
static void
write_map(const FeathubProtoField *field, const JsonbValue *value, const char *column, int depth,
		  StringInfo out)
{
	const FeathubProtoField *parts = field->message->fields;
	JsonbIterator *it = JsonbIteratorInit(value->val.binary.data);
	JsonbIteratorToken token;
	JsonbValue	part;
	StringInfoData entry = {0};

	while ((token = JsonbIteratorNext(&it, &part, true)) != WJB_DONE)
	{
		FeathubProtoRaw raw = {0};

		if (token != WJB_KEY && token != WJB_VALUE)
			continue;
		if (token == WJB_KEY)
			initStringInfo(&entry);
		if (token == WJB_VALUE && part.type == jbvNull && !takes_null(&parts[1]))
			mismatch(field, column);
		to_raw(&parts[token == WJB_KEY ? 0 : 1], &part, column, depth + 1, &raw);
		FeathubProtobufEmit(&parts[token == WJB_KEY ? 0 : 1], &raw, true, &entry);
		if (token == WJB_VALUE)
			put_bytes(field->def->number, &entry, out);
	}
}

/* The values of a repeated field, from an array's elements. */
static void
write_list(const FeathubProtoField *field, const JsonbValue *value, const char *column, int depth,
		   StringInfo out)
{
	JsonbIterator *it = JsonbIteratorInit(value->val.binary.data);
	JsonbIteratorToken token;
	JsonbValue	part;
	StringInfoData packed;

	initStringInfo(&packed);
	while ((token = JsonbIteratorNext(&it, &part, true)) != WJB_DONE)
	{
		FeathubProtoRaw raw = {0};

		if (token != WJB_ELEM)
			continue;
		if (part.type == jbvNull && !takes_null(field))
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("null element of column \"%s\" cannot be written to a repeated field",
							column)));
		to_raw(field, &part, column, depth + 1, &raw);
		FeathubProtobufEmit(field, &raw, !field->def->is_packed,
							field->def->is_packed ? &packed : out);
	}
	if (packed.len > 0)
		put_bytes(field->def->number, &packed, out);
}

void
FeathubProtobufWriteJsonb(const FeathubProtoField *field, const JsonbValue *value,
						  const char *column, int depth, StringInfo out)
{
	FeathubProtoRaw raw = {0};

	check_depth(column, depth);
	if (field->def->is_map)
	{
		if (!is_object(value))
			mismatch(field, column);
		write_map(field, value, column, depth, out);
	}
	else if (field->def->is_repeated)
	{
		if (!is_array(value))
			mismatch(field, column);
		write_list(field, value, column, depth, out);
	}
	else
	{
		to_raw(field, value, column, depth, &raw);
		if (field->def->has_presence || field->def->is_required || raw.bits != 0 || raw.len != 0)
			FeathubProtobufEmit(field, &raw, true, out);
	}
}
