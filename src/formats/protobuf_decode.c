/*
 * protobuf_decode.c
 *		Protocol Buffers' messages to Datums.
 *
 * A reader knows which fields of a message type are wanted.  The bytes are gone
 * through once, and what is wanted converted afterwards: a field may come
 * several times, and the last one, or all of them together, count.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#include "formats/format_private.h"
#include "formats/protobuf.h"

/* A field and the Datum that it becomes. */
typedef struct ProtoTarget
{
	int			field;			/* in the message */
	int			slot;
	FeathubConverter *type;
	FeathubConverter *single;	/* type of one value: an array's element */
	FeathubProtoReader *composite;	/* of a message that becomes a composite value */
	const FeathubColumn *column;	/* or NULL: an attribute */
} ProtoTarget;

/* A field that is a message, of which some fields are wanted. */
typedef struct ProtoInside
{
	int			field;
	FeathubProtoReader *reader;
} ProtoInside;

struct FeathubProtoReader
{
	const FeathubProtoMessage *message;
	MemoryContext scratch;
	bool	   *wanted;			/* by field */
	int			ntargets;
	ProtoTarget *targets;
	int			ninside;
	ProtoInside *inside;
};

static bool read_message(const FeathubProtoReader *reader, const FeathubProtoRaw *raw,
						 Datum *values, bool *isnull, int depth, FeathubDecodeError *error);

FeathubProtoReader *
FeathubProtobufReaderMake(const FeathubProtoMessage *message, MemoryContext scratch)
{
	FeathubProtoReader *reader = palloc0(sizeof(FeathubProtoReader));

	reader->message = message;
	reader->scratch = scratch;
	reader->wanted = palloc0(Max(message->nfields, 1));
	reader->targets = palloc(sizeof(ProtoTarget));
	reader->inside = palloc(sizeof(ProtoInside));
	return reader;
}

static void
cannot_take(const FeathubProtoField *field, const FeathubConverter *type,
			const FeathubProtoMessage *message, const FeathubColumn *column)
{
	ereport(ERROR,
			(errcode(ERRCODE_FDW_INVALID_DATA_TYPE),
			 column ?
			 errmsg("column \"%s\" of type %s cannot take field \"%s\" of message \"%s\"",
					column->name, format_type_be(type->typid), field->name,
					message->def->full_name) :
			 errmsg("attribute of type %s cannot take field \"%s\" of message \"%s\"",
					format_type_be(type->typid), field->name, message->def->full_name),
			 errdetail("The field is of type %s.", FeathubShapeText(field->whole)),
			 FeathubProtobufIsInteger(field->def->type) &&
			 (type->kind == FEATHUB_CONVERT_DATE || type->kind == FEATHUB_CONVERT_TIMESTAMP ||
			  type->kind == FEATHUB_CONVERT_TIMESTAMPTZ) ?
			 errhint("Option \"timestamp_format\" says which unit a number of time has.") : 0));
}

/* Make a target's way to one value of its field. */
static void
bind_target(FeathubProtoReader *reader, ProtoTarget *target, const FeathubProtoField *field)
{
	FeathubConverter *single = target->type;
	bool		fits;

	if (field->def->is_repeated && !field->def->is_map && single->kind == FEATHUB_CONVERT_ARRAY)
		single = single->element;
	else if (field->def->is_repeated)
		single = NULL;
	target->single = single;
	if (single == NULL)
		fits = FeathubShapeFits(field->whole, target->type);
	else if (field->shape->kind == FEATHUB_SHAPE_STRUCT &&
			 single->kind == FEATHUB_CONVERT_COMPOSITE)
	{
		target->composite = FeathubProtobufReaderMake(field->message, reader->scratch);
		for (int i = 0; i < single->tupdesc->natts; i++)
		{
			char	   *name = NameStr(TupleDescAttr(single->tupdesc, i)->attname);

			if (single->attributes[i] != NULL)
				(void) FeathubProtobufReaderAdd(target->composite, 1, &name, i,
												single->attributes[i], NULL);
		}
		fits = true;
	}
	else
		fits = FeathubShapeFits(field->shape, single) ||
			(field->def->type == FEATHUB_PROTOBUF_ENUM && FeathubKindIsInteger(single->kind)) ||
			FeathubProtobufIsTimeColumn(field, single);
	if (!fits)
		cannot_take(field, target->type, reader->message, target->column);
}

bool
FeathubProtobufReaderAdd(FeathubProtoReader *reader, int npath, char **path, int slot,
						 FeathubConverter *type, const FeathubColumn *column)
{
	const FeathubProtoField *field = FeathubProtobufFieldByName(reader->message, path[0]);
	int			at;

	check_stack_depth();
	if (field == NULL)
		return false;
	at = field - reader->message->fields;
	if (npath == 1)
	{
		ProtoTarget target = {.field = at, .slot = slot, .type = type, .column = column};

		bind_target(reader, &target, field);
		reader->targets = repalloc(reader->targets,
								   sizeof(ProtoTarget) * (reader->ntargets + 1));
		reader->targets[reader->ntargets++] = target;
		reader->wanted[at] = true;
		return true;
	}

	if (field->message == NULL)
		return false;
	if (field->def->is_repeated)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_DATA_TYPE),
				 errmsg("path of column \"%s\" leads through field \"%s\" of message \"%s\", which is repeated",
						column ? column->name : "", field->name, reader->message->def->full_name)));
	reader->wanted[at] = true;
	for (int i = 0; i < reader->ninside; i++)
	{
		if (reader->inside[i].field == at)
			return FeathubProtobufReaderAdd(reader->inside[i].reader, npath - 1, path + 1, slot,
											type, column);
	}
	reader->inside = repalloc(reader->inside, sizeof(ProtoInside) * (reader->ninside + 1));
	reader->inside[reader->ninside].field = at;
	reader->inside[reader->ninside].reader = FeathubProtobufReaderMake(field->message,
																	   reader->scratch);
	return FeathubProtobufReaderAdd(reader->inside[reader->ninside++].reader, npath - 1, path + 1,
									slot, type, column);
}

/* A number or text as a date or timestamp. */
static bool
convert_time(const FeathubProtoField *field, const FeathubScalar *scalar, FeathubConverter *type,
			 Datum *value, FeathubDecodeError *error)
{
	const char *data = scalar->u.bytes.data;
	Size		len = scalar->u.bytes.len;
	char		text[32];

	if (field->def->type == FEATHUB_PROTOBUF_STRING)
		return FeathubServerText(PG_UTF8, type->settings->scratch, &data, &len, error) &&
			FeathubConvertText(type, data, len, value, error);
	if (field->shape->is_unsigned)
		len = snprintf(text, sizeof(text), UINT64_FORMAT, scalar->u.natural);
	else
		len = snprintf(text, sizeof(text), INT64_FORMAT, scalar->u.integer);
	return FeathubConvertEpoch(type, text, len, false, value, error) &&
		(!type->is_domain || FeathubConvertDomain(type, *value, false, error));
}

static bool
convert_composite(const ProtoTarget *target, const FeathubProtoRaw *raw, Datum *value, int depth,
				  FeathubDecodeError *error)
{
	FeathubConverter *type = target->single;
	int			natts = type->tupdesc->natts;
	Datum	   *values = palloc0(sizeof(Datum) * Max(natts, 1));
	bool	   *nulls = palloc(Max(natts, 1));

	memset(nulls, true, natts);
	if (!read_message(target->composite, raw, values, nulls, depth + 1, error))
		return false;
	for (int i = 0; i < natts; i++)
	{
		if (type->attributes[i] != NULL && nulls[i] &&
			!FeathubConvertNull(type->attributes[i], error))
			return false;
	}
	*value = heap_copy_tuple_as_datum(heap_form_tuple(type->tupdesc, values, nulls),
									  type->tupdesc);
	return FeathubConvertDomain(type, *value, false, error);
}

/* One value. */
static bool
convert_single(const FeathubProtoField *field, const ProtoTarget *target,
			   const FeathubProtoRaw *raw, Datum *value, int depth, FeathubDecodeError *error)
{
	FeathubConverter *type = target->single;
	FeathubScalar scalar;
	char		text[32];

	if (target->composite)
		return convert_composite(target, raw, value, depth, error);
	if (field->shape->kind == FEATHUB_SHAPE_STRUCT || field->shape->kind == FEATHUB_SHAPE_JSON)
	{
		JsonbParseState *state = NULL;
		JsonbValue *result = NULL;

		return FeathubProtobufPush(field, raw, type, &state, WJB_ELEM, &result, depth, error) &&
			FeathubJsonbConvert(result, type, value, error);
	}
	if (field->def->type == FEATHUB_PROTOBUF_ENUM && FeathubKindIsInteger(type->kind))
	{
		FeathubShape shape = {.kind = FEATHUB_SHAPE_INT, .bits = 32};

		scalar.u.integer = FeathubProtobufInteger(field->def->type, raw->bits);
		return FeathubScalarConvert(&shape, &scalar, type, value, error);
	}
	if (!FeathubProtobufScalar(field, raw, &scalar, text, error))
		return false;
	if (FeathubProtobufIsTimeColumn(field, type))
		return convert_time(field, &scalar, type, value, error);
	return FeathubScalarConvert(field->shape, &scalar, type, value, error);
}

static bool
convert_array(const FeathubProtoField *field, const FeathubProtoState *state,
			  const ProtoTarget *target, Datum *value, int depth, FeathubDecodeError *error)
{
	FeathubProtoElements elements = {.field = field, .state = state};
	FeathubConverter *type = target->type;
	FeathubProtoRaw raw = {0};
	Size		n = 0;
	Size		allocated = 16;
	Datum	   *values = palloc(sizeof(Datum) * allocated);

	while (FeathubProtobufNextElement(&elements, &raw, error))
	{
		if ((n & 0xfff) == 0)
			CHECK_FOR_INTERRUPTS();
		if (n == allocated)
		{
			if (allocated >= MaxAllocSize / sizeof(Datum) / 2)
				return FeathubDecodeFail(error, ERRCODE_PROGRAM_LIMIT_EXCEEDED,
										 "list has too many elements");
			allocated *= 2;
			values = repalloc_huge(values, sizeof(Datum) * allocated);
		}
		if (!convert_single(field, target, &raw, &values[n], depth, error))
			return false;
		n++;
	}
	if (error->message != NULL)
		return false;
	*value = PointerGetDatum(n == 0 ? construct_empty_array(type->element->typid) :
							 construct_array(values, (int) n, type->element->typid, type->elmlen,
											 type->elmbyval, type->elmalign));
	return !type->is_domain || FeathubConvertDomain(type, *value, false, error);
}

static bool
convert_target(const FeathubProtoReader *reader, const ProtoTarget *target,
			   const FeathubProtoState *state, Datum *value, bool *isnull, int depth,
			   FeathubDecodeError *error)
{
	const FeathubProtoField *field = &reader->message->fields[target->field];
	FeathubProtoRaw raw;

	*isnull = false;
	if (field->def->is_repeated && target->single != NULL)
		return convert_array(field, state, target, value, depth, error);
	if (field->def->is_repeated)
	{
		FeathubProtoElements elements = {.field = field, .state = state};
		JsonbParseState *push = NULL;
		JsonbValue *result = NULL;

		return FeathubProtobufPushRepeated(&elements, target->type, &push, &result, depth, error) &&
			FeathubJsonbConvert(result, target->type, value, error);
	}
	if (FeathubProtobufValueOf(field, state, &raw))
		return convert_single(field, target, &raw, value, depth, error);
	*isnull = true;
	*value = (Datum) 0;
	return FeathubConvertNull(target->type, error);
}

/* Say which column or attribute the error is of. */
static bool
fail_target(const FeathubProtoReader *reader, const ProtoTarget *target,
			FeathubDecodeError *error)
{
	if (target->column)
		return FeathubDecodeFailColumn(error, target->column);
	error->message = psprintf("attribute \"%s\": %s",
							  reader->message->fields[target->field].name, error->message);
	return false;
}

/* What is inside of a message that is not there is null. */
static bool
set_nulls(const FeathubProtoReader *reader, Datum *values, bool *isnull,
		  FeathubDecodeError *error)
{
	for (int i = 0; i < reader->ntargets; i++)
	{
		const ProtoTarget *target = &reader->targets[i];

		values[target->slot] = (Datum) 0;
		isnull[target->slot] = true;
		if (!FeathubConvertNull(target->type, error))
			return fail_target(reader, target, error);
	}
	for (int i = 0; i < reader->ninside; i++)
	{
		if (!set_nulls(reader->inside[i].reader, values, isnull, error))
			return false;
	}
	return true;
}

static bool
read_message(const FeathubProtoReader *reader, const FeathubProtoRaw *raw, Datum *values,
			 bool *isnull, int depth, FeathubDecodeError *error)
{
	FeathubProtoState *states;

	check_stack_depth();
	if (depth > FEATHUB_PROTO_MAX_DEPTH)
		return FeathubDecodeFail(error, ERRCODE_DATA_CORRUPTED,
								 "protobuf message is nested too deeply");
	states = FeathubProtobufCollect(reader->message, reader->wanted, raw, reader->scratch, error);
	if (states == NULL)
		return false;
	for (int i = 0; i < reader->ntargets; i++)
	{
		const ProtoTarget *target = &reader->targets[i];

		if (!convert_target(reader, target, &states[target->field], &values[target->slot],
							&isnull[target->slot], depth, error))
			return fail_target(reader, target, error);
	}
	for (int i = 0; i < reader->ninside; i++)
	{
		const FeathubProtoState *state = &states[reader->inside[i].field];
		const FeathubProtoReader *inside = reader->inside[i].reader;

		if (state->present ? !read_message(inside, &state->raw, values, isnull, depth + 1, error) :
			!set_nulls(inside, values, isnull, error))
			return false;
	}
	FeathubProtobufForget(reader->message, states);
	return true;
}

bool
FeathubProtobufRead(const FeathubProtoReader *reader, const char *data, Size len, Datum *values,
					bool *isnull, FeathubDecodeError *error)
{
	FeathubProtoRaw raw = {
		.wire = PROTO_WIRE_BYTES, .p = (const unsigned char *) data, .len = len
	};

	return read_message(reader, &raw, values, isnull, 0, error);
}
