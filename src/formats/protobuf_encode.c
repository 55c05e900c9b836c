/*
 * protobuf_encode.c
 *		Datums to Protocol Buffers' messages.
 *
 * Fields are written by ascending number, as other writers do.  A null leaves
 * its field out, and so does a zero in a field that cannot tell one from
 * nothing.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "formats/json_value.h"
#include "formats/protobuf.h"

/* A field and where its value is. */
typedef struct ProtoPart
{
	const FeathubProtoField *field;
	int			slot;			/* -1: what is inside has slots */
	FeathubConverter *type;
	FeathubConverter *single;	/* type of one value; NULL: a document has all */
	FmgrInfo	output;			/* of single */
	FeathubProtoWriter *inside; /* of a composite value, or of paths */
	const char *column;
} ProtoPart;

struct FeathubProtoWriter
{
	const FeathubProtoMessage *message;
	int			nparts;
	ProtoPart  *parts;			/* by number */
};

static void write_message(const FeathubProtoWriter *writer, const Datum *values,
						  const bool *isnull, int depth, StringInfo out);

FeathubProtoWriter *
FeathubProtobufWriterMake(const FeathubProtoMessage *message)
{
	FeathubProtoWriter *writer = palloc0(sizeof(FeathubProtoWriter));

	writer->message = message;
	writer->parts = palloc(sizeof(ProtoPart));
	return writer;
}

/* Can a value of the type be one of the field's values? */
static bool
can_write(const FeathubProtoField *field, const FeathubConverter *type)
{
	FeathubConvertKind kind = type->kind;

	if (FeathubProtobufIsTimeColumn(field, type))
		return true;
	if (field->message != NULL && FeathubKindIsJson(kind))
		return true;
	if (field->message != NULL)
	{
		switch (field->message->known)
		{
			case PROTO_PLAIN:
				return kind == FEATHUB_CONVERT_COMPOSITE;
			case PROTO_TIMESTAMP:
				return kind == FEATHUB_CONVERT_TIMESTAMPTZ || kind == FEATHUB_CONVERT_TIMESTAMP;
			case PROTO_DURATION:
				return type->base == INTERVALOID;
			case PROTO_WRAPPER:
				return can_write(&field->message->fields[0], type);
			case PROTO_DATE:
				return kind == FEATHUB_CONVERT_DATE;
			case PROTO_TIME_OF_DAY:
				return type->base == TIMEOID;
			case PROTO_DECIMAL:
				return FeathubKindIsNumber(kind);
			default:
				return false;
		}
	}
	switch (field->def->type)
	{
		case FEATHUB_PROTOBUF_BOOL:
			return kind == FEATHUB_CONVERT_BOOL;
		case FEATHUB_PROTOBUF_DOUBLE:
		case FEATHUB_PROTOBUF_FLOAT:
			return FeathubKindIsNumber(kind);
		case FEATHUB_PROTOBUF_STRING:
			return kind != FEATHUB_CONVERT_ARRAY && kind != FEATHUB_CONVERT_COMPOSITE &&
				kind != FEATHUB_CONVERT_BYTEA;
		case FEATHUB_PROTOBUF_BYTES:
			return kind == FEATHUB_CONVERT_BYTEA || kind == FEATHUB_CONVERT_UUID || FeathubKindIsText(kind);
		case FEATHUB_PROTOBUF_ENUM:
			return kind == FEATHUB_CONVERT_ENUM || FeathubKindIsText(kind) || FeathubKindIsInteger(kind);
		default:
			return FeathubKindIsInteger(kind) || kind == FEATHUB_CONVERT_NUMERIC || type->base == OIDOID;
	}
}

static void
bind_part(FeathubProtoWriter *writer, ProtoPart *part)
{
	const FeathubProtoField *field = part->field;
	FeathubConverter *single = part->type;
	Oid			output;
	bool		varlena;
	bool		fits;

	if (field->def->is_repeated)
	{
		single = single->kind == FEATHUB_CONVERT_ARRAY && !field->def->is_map ? single->element :
			NULL;
		fits = single ? can_write(field, single) : FeathubKindIsJson(part->type->kind);
	}
	else
	{
		fits = can_write(field, single);
		/* documents have no one value that is converted */
		if (field->message != NULL && FeathubKindIsJson(single->kind))
			single = NULL;
	}
	if (!fits)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_DATA_TYPE),
				 errmsg("cannot write column \"%s\" to field \"%s\" of message \"%s\"",
						part->column, field->name, writer->message->def->full_name),
				 errdetail("The field is of type %s, which cannot take type %s.",
						   FeathubShapeText(field->whole), format_type_be(part->type->typid))));
	part->single = single;
	if (single == NULL)
		return;
	getTypeOutputInfo(single->base, &output, &varlena);
	fmgr_info(output, &part->output);
	if (single->kind != FEATHUB_CONVERT_COMPOSITE || field->message == NULL)
		return;
	part->inside = FeathubProtobufWriterMake(field->message);
	for (int i = 0; i < single->tupdesc->natts; i++)
	{
		char	   *name = NameStr(TupleDescAttr(single->tupdesc, i)->attname);

		if (single->attributes[i] != NULL &&
			!FeathubProtobufWriterAdd(part->inside, 1, &name, i, single->attributes[i],
									  part->column))
			ereport(ERROR,
					(errcode(ERRCODE_FDW_COLUMN_NAME_NOT_FOUND),
					 errmsg("message \"%s\" has no field for attribute \"%s\" of column \"%s\"",
							field->message->def->full_name, name, part->column)));
	}
	FeathubProtobufWriterCheck(part->inside);
}

/* Where the part of a field is, or would be. */
static int
find_part(const FeathubProtoWriter *writer, const FeathubProtoField *field)
{
	int			i = 0;

	while (i < writer->nparts && writer->parts[i].field->def->number < field->def->number)
		i++;
	return i;
}

bool
FeathubProtobufWriterAdd(FeathubProtoWriter *writer, int npath, char **path, int slot,
						 FeathubConverter *type, const char *column)
{
	const FeathubProtoField *field = FeathubProtobufFieldByName(writer->message, path[0]);
	ProtoPart	part = {.field = field, .slot = slot, .type = type, .column = column};
	int			at;

	check_stack_depth();
	if (field == NULL || (npath > 1 && field->message == NULL))
		return false;
	if (npath > 1 && field->def->is_repeated)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_DATA_TYPE),
				 errmsg("path of column \"%s\" leads through field \"%s\" of message \"%s\", which is repeated",
						column, field->name, writer->message->def->full_name)));
	at = find_part(writer, field);
	if (at < writer->nparts && writer->parts[at].field == field)
	{
		if (npath > 1 && writer->parts[at].slot < 0)
			return FeathubProtobufWriterAdd(writer->parts[at].inside, npath - 1, path + 1, slot,
											type, column);
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_COLUMN_NAME),
				 errmsg("columns \"%s\" and \"%s\" are the same field \"%s\" of message \"%s\"",
						writer->parts[at].column, column, field->name,
						writer->message->def->full_name)));
	}
	if (npath > 1)
	{
		part.slot = -1;
		part.inside = FeathubProtobufWriterMake(field->message);
		if (!FeathubProtobufWriterAdd(part.inside, npath - 1, path + 1, slot, type, column))
			return false;
	}
	else
		bind_part(writer, &part);
	writer->parts = repalloc(writer->parts, sizeof(ProtoPart) * (writer->nparts + 1));
	memmove(&writer->parts[at + 1], &writer->parts[at],
			sizeof(ProtoPart) * (writer->nparts - at));
	writer->parts[at] = part;
	writer->nparts++;
	return true;
}

void
FeathubProtobufWriterCheck(const FeathubProtoWriter *writer)
{
	const FeathubProtoMessage *message = writer->message;

	for (int i = 0; i < message->nfields; i++)
	{
		int			at = find_part(writer, &message->fields[i]);

		if (message->fields[i].def->is_required &&
			(at == writer->nparts || writer->parts[at].field != &message->fields[i]))
			ereport(ERROR,
					(errcode(ERRCODE_FDW_COLUMN_NAME_NOT_FOUND),
					 errmsg("there is no column for required field \"%s\" of message \"%s\"",
							message->fields[i].name, message->def->full_name)));
	}
	for (int i = 0; i < writer->nparts; i++)
	{
		if (writer->parts[i].slot < 0)
			FeathubProtobufWriterCheck(writer->parts[i].inside);
	}
}

void
FeathubProtobufEmit(const FeathubProtoField *field, const FeathubProtoRaw *raw, bool tagged,
					StringInfo out)
{
	FeathubProtoWireType wire = FeathubProtobufWireType(field->def->type);

	if (tagged)
		FeathubProtobufPutTag(field->def->number, wire, out);
	switch (wire)
	{
		case PROTO_WIRE_VARINT:
			FeathubProtobufPutVarint(raw->bits, out);
			break;
		case PROTO_WIRE_64:
		case PROTO_WIRE_32:
			for (int i = 0; i < (wire == PROTO_WIRE_64 ? 8 : 4); i++)
				appendStringInfoCharMacro(out, (char) (raw->bits >> (8 * i)));
			break;
		case PROTO_WIRE_GROUP:
			appendBinaryStringInfo(out, (const char *) raw->p, (int) raw->len);
			FeathubProtobufPutTag(field->def->number, PROTO_WIRE_END_GROUP, out);
			break;
		default:
			FeathubProtobufPutVarint(raw->len, out);
			if (raw->len > 0)
				appendBinaryStringInfo(out, (const char *) raw->p, (int) raw->len);
			break;
	}
}

/* A composite value's message. */
static void
write_composite(const ProtoPart *part, Datum value, int depth, StringInfo out)
{
	HeapTupleHeader header = DatumGetHeapTupleHeader(value);
	HeapTupleData tuple;
	TupleDesc	tupdesc = part->single->tupdesc;
	Datum	   *values = palloc(sizeof(Datum) * Max(tupdesc->natts, 1));
	bool	   *nulls = palloc(Max(tupdesc->natts, 1));

	tuple.t_len = HeapTupleHeaderGetDatumLength(header);
	ItemPointerSetInvalid(&tuple.t_self);
	tuple.t_tableOid = InvalidOid;
	tuple.t_data = header;
	heap_deform_tuple(&tuple, tupdesc, values, nulls);
	write_message(part->inside, values, nulls, depth + 1, out);
}

static void
make_raw(const ProtoPart *part, Datum value, int depth, FeathubProtoRaw *raw)
{
	StringInfoData content;

	if (part->inside == NULL)
	{
		FeathubProtobufFromDatum(part->field, part->single,
								 unconstify(FmgrInfo *, &part->output), value, part->column, raw);
		return;
	}
	initStringInfo(&content);
	write_composite(part, value, depth, &content);
	raw->p = (const unsigned char *) content.data;
	raw->len = content.len;
}

static void
write_array(const ProtoPart *part, Datum value, int depth, StringInfo out)
{
	FeathubConverter *type = part->type;
	ArrayType  *array = DatumGetArrayTypeP(value);
	StringInfoData packed;
	Datum	   *values;
	bool	   *nulls;
	int			n;

	if (ARR_NDIM(array) > 1)
		ereport(ERROR,
				(errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR),
				 errmsg("array of column \"%s\" has %d dimensions, which a repeated field cannot have",
						part->column, ARR_NDIM(array))));
	deconstruct_array(array, type->element->typid, type->elmlen, type->elmbyval, type->elmalign,
					  &values, &nulls, &n);
	initStringInfo(&packed);
	for (int i = 0; i < n; i++)
	{
		FeathubProtoRaw raw = {0};

		if ((i & 0xfff) == 0)
			CHECK_FOR_INTERRUPTS();
		if (nulls[i])
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("null element of column \"%s\" cannot be written to a repeated field",
							part->column)));
		make_raw(part, values[i], depth, &raw);
		FeathubProtobufEmit(part->field, &raw, !part->field->def->is_packed,
							part->field->def->is_packed ? &packed : out);
	}
	if (packed.len > 0)
	{
		FeathubProtobufPutTag(part->field->def->number, PROTO_WIRE_BYTES, out);
		FeathubProtobufPutVarint(packed.len, out);
		appendBinaryStringInfo(out, packed.data, packed.len);
	}
}

/* A document in place of a message or of all values of a repeated field. */
static void
write_document(const ProtoPart *part, Datum value, int depth, StringInfo out)
{
	JsonbValue	root;

	if (part->type->kind == FEATHUB_CONVERT_JSON)
	{
		text	   *t = DatumGetTextPP(value);
		FeathubConverter type = *part->type;
		FeathubDecodeError error;

		type.kind = FEATHUB_CONVERT_JSONB;
		type.is_domain = false;
		if (!FeathubJsonbFromText(&type, VARDATA_ANY(t), VARSIZE_ANY_EXHDR(t), &value, &error))
			ereport(ERROR,
					(errcode(error.sqlerrcode),
					 errmsg("column \"%s\": %s", part->column, error.message)));
	}
	FeathubJsonbRoot(DatumGetJsonbP(value), &root);
	FeathubProtobufWriteJsonb(part->field, &root, part->column, depth, out);
}

/* Is any column at a path in there not null? */
static bool
has_value(const FeathubProtoWriter *writer, const bool *isnull)
{
	for (int i = 0; i < writer->nparts; i++)
	{
		const ProtoPart *part = &writer->parts[i];

		if (part->slot < 0 ? has_value(part->inside, isnull) : !isnull[part->slot])
			return true;
	}
	return false;
}

static void
refuse_null(const FeathubProtoWriter *writer, const ProtoPart *part)
{
	ereport(ERROR,
			(errcode(ERRCODE_NOT_NULL_VIOLATION),
			 errmsg("null value of column \"%s\" cannot be written", part->column),
			 errdetail("Field \"%s\" of message \"%s\" is required.", part->field->name,
					   writer->message->def->full_name)));
}

static void
write_part(const FeathubProtoWriter *writer, const ProtoPart *part, const Datum *values,
		   const bool *isnull, int depth, StringInfo out)
{
	const FeathubProtobufField *def = part->field->def;
	FeathubProtoRaw raw = {0};

	if (part->slot < 0)
	{
		StringInfoData content;

		initStringInfo(&content);
		write_message(part->inside, values, isnull, depth + 1, &content);
		raw.p = (const unsigned char *) content.data;
		raw.len = content.len;
	}
	else if (part->single == NULL)
	{
		write_document(part, values[part->slot], depth, out);
		return;
	}
	else if (def->is_repeated)
	{
		write_array(part, values[part->slot], depth, out);
		return;
	}
	else
		make_raw(part, values[part->slot], depth, &raw);
	if (!def->has_presence && !def->is_required && raw.bits == 0 && raw.len == 0)
		return;
	FeathubProtobufEmit(part->field, &raw, true, out);
}

static void
write_message(const FeathubProtoWriter *writer, const Datum *values, const bool *isnull,
			  int depth, StringInfo out)
{
	const ProtoPart **chosen = NULL;

	check_stack_depth();
	if (writer->message->def->noneofs > 0)
		chosen = palloc0(sizeof(ProtoPart *) * writer->message->def->noneofs);
	for (int i = 0; i < writer->nparts; i++)
	{
		const ProtoPart *part = &writer->parts[i];
		int			oneof = part->field->def->oneof;

		if (part->slot < 0 ? !has_value(part->inside, isnull) : isnull[part->slot])
		{
			if (part->field->def->is_required)
				refuse_null(writer, part);
			continue;
		}
		if (oneof >= 0 && chosen[oneof] != NULL)
			ereport(ERROR,
					(errcode(ERRCODE_CARDINALITY_VIOLATION),
					 errmsg("fields \"%s\" and \"%s\" of message \"%s\" cannot both have a value",
							chosen[oneof]->field->name, part->field->name,
							writer->message->def->full_name),
					 errdetail("They are members of the same oneof.")));
		if (oneof >= 0)
			chosen[oneof] = part;
		write_part(writer, part, values, isnull, depth, out);
	}
}

void
FeathubProtobufWrite(const FeathubProtoWriter *writer, const Datum *values, const bool *isnull,
					 StringInfo out)
{
	write_message(writer, values, isnull, 0, out);
}
