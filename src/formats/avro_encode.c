/*
 * avro_encode.c
 *		Datums to Avro's binary values.
 *
 * The schema may be one made from the columns or one that the user gave; what
 * cannot be written as it says is refused when the writer is made.
 */
#include "postgres.h"

#include <math.h>

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "common/int.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/float.h"
#include "utils/fmgrprotos.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"
#include "utils/uuid.h"

#include "core/compat.h"
#include "formats/avro.h"
#include "formats/json_value.h"

void
FeathubAvroWriteLong(int64 value, StringInfo out)
{
	uint64		bits = ((uint64) value << 1) ^ (uint64) (value >> 63);

	while (bits >= 0x80)
	{
		appendStringInfoCharMacro(out, (char) (bits | 0x80));
		bits >>= 7;
	}
	appendStringInfoCharMacro(out, (char) bits);
}

/* Is it a document, and the node a type that documents are written as? */
static bool
writes_json(const FeathubAvroNode *node, const FeathubConverter *type)
{
	const FeathubAvroNode *inner = FeathubAvroValueNode(node);

	return FeathubKindIsJson(type->kind) &&
		(inner->type == AVRO_ARRAY || inner->type == AVRO_MAP || inner->type == AVRO_RECORD ||
		 inner->shape->kind == FEATHUB_SHAPE_UNION);
}

/* Can values of the type be written as that node, which is no union? */
static bool
can_write(const FeathubAvroNode *node, const FeathubConverter *type)
{
	FeathubConvertKind kind = type->kind;

	if (writes_json(node, type))
		return true;
	switch (node->shape->kind)
	{
		case FEATHUB_SHAPE_BOOL:
			return kind == FEATHUB_CONVERT_BOOL;
		case FEATHUB_SHAPE_INT:
			return FeathubKindIsInteger(kind);
		case FEATHUB_SHAPE_FLOAT:
		case FEATHUB_SHAPE_DECIMAL:
			return FeathubKindIsNumber(kind);
		case FEATHUB_SHAPE_DATE:
			return kind == FEATHUB_CONVERT_DATE;
		case FEATHUB_SHAPE_TIME:
			return type->base == TIMEOID;
		case FEATHUB_SHAPE_TIMESTAMP:
			return kind == FEATHUB_CONVERT_TIMESTAMP;
		case FEATHUB_SHAPE_INSTANT:
			return kind == FEATHUB_CONVERT_TIMESTAMPTZ;
		case FEATHUB_SHAPE_UUID:
			return kind == FEATHUB_CONVERT_UUID ||
				(node->type == AVRO_STRING && FeathubKindIsText(kind));
		case FEATHUB_SHAPE_BYTES:
			return kind == FEATHUB_CONVERT_BYTEA ||
				(node->type == AVRO_BYTES && FeathubKindIsText(kind)) ||
				(node->type == AVRO_FIXED && node->size == UUID_LEN && kind == FEATHUB_CONVERT_UUID);
		case FEATHUB_SHAPE_INTERVAL:
			return type->base == INTERVALOID;
		case FEATHUB_SHAPE_TEXT:
		case FEATHUB_SHAPE_JSON:
			return kind != FEATHUB_CONVERT_ARRAY && kind != FEATHUB_CONVERT_COMPOSITE &&
				kind != FEATHUB_CONVERT_BYTEA;
		case FEATHUB_SHAPE_ENUM:
			return kind == FEATHUB_CONVERT_ENUM || FeathubKindIsText(kind);
		case FEATHUB_SHAPE_LIST:
			return kind == FEATHUB_CONVERT_ARRAY;
		case FEATHUB_SHAPE_STRUCT:
			return kind == FEATHUB_CONVERT_COMPOSITE;
		default:
			return false;
	}
}

static void
cannot_write(const char *column, const FeathubAvroNode *node, const FeathubConverter *type)
{
	ereport(ERROR,
			(errcode(ERRCODE_FDW_INVALID_DATA_TYPE),
			 errmsg("cannot write column \"%s\" as its Avro schema says", column),
			 errdetail("The schema has %s, which cannot take type %s.",
					   FeathubShapeText(node->shape), format_type_be(type->typid))));
}

static void
bind_union(FeathubAvroWriter *writer, const char *column)
{
	const FeathubAvroNode *node = writer->node;

	writer->branch = -1;
	writer->nchildren = 1;
	writer->children = palloc0(sizeof(FeathubAvroWriter *));
	if (writer->type == NULL)
		return;
	/* text goes anywhere: another branch is better */
	for (int pass = 0; pass < 2 && writer->branch < 0; pass++)
	{
		for (int i = 0; i < node->nchildren && writer->branch < 0; i++)
		{
			bool		as_text = node->children[i]->shape->kind == FEATHUB_SHAPE_TEXT &&
				!FeathubKindIsText(writer->type->kind);

			if (as_text == (pass == 1) && can_write(node->children[i], writer->type))
				writer->branch = i;
		}
	}
	if (writer->branch < 0)
		cannot_write(column, node, writer->type);
	writer->children[0] = FeathubAvroWriterMake(node->children[writer->branch], writer->type,
												column);
}

static void
bind_record(FeathubAvroWriter *writer, const char *column)
{
	const FeathubAvroNode *node = writer->node;
	TupleDesc	tupdesc = writer->type->tupdesc;

	writer->nchildren = node->nchildren;
	writer->children = palloc0(sizeof(FeathubAvroWriter *) * Max(node->nchildren, 1));
	for (int i = 0; i < node->nchildren; i++)
	{
		int			found = -1;

		for (int j = 0; j < tupdesc->natts; j++)
		{
			if (writer->type->attributes[j] != NULL &&
				strcmp(NameStr(TupleDescAttr(tupdesc, j)->attname),
					   node->shape->children[i]->name) == 0)
				found = j;
		}
		writer->children[i] =
			FeathubAvroWriterMake(node->children[i],
								  found < 0 ? NULL : writer->type->attributes[found], column);
		writer->children[i]->column = found;
	}
}

/* The array inside of a node of an array, or NULL. */
static const FeathubAvroNode *
inner_array(const FeathubAvroNode *node)
{
	const FeathubAvroNode *inner = node->children[0];

	if (inner->type == AVRO_UNION && inner->value_branch >= 0)
		inner = inner->children[inner->value_branch];
	return inner->type == AVRO_ARRAY ? inner : NULL;
}

FeathubAvroWriter *
FeathubAvroWriterMake(const FeathubAvroNode *node, FeathubConverter *type, const char *column)
{
	FeathubAvroWriter *writer = palloc0(sizeof(FeathubAvroWriter));
	Oid			output;
	bool		varlena;

	check_stack_depth();
	writer->node = node;
	writer->type = type;
	writer->column = -1;
	writer->as_json = type != NULL && writes_json(node, type);
	if (writer->as_json)
		return writer;
	if (node->type == AVRO_UNION)
	{
		bind_union(writer, column);
		return writer;
	}
	if (type == NULL)
	{
		if (node->type != AVRO_NULL)
			ereport(ERROR,
					(errcode(ERRCODE_FDW_COLUMN_NAME_NOT_FOUND),
					 errmsg("there is no value for a field of the Avro schema"),
					 errdetail("Field \"%s\" has no column and cannot be null.", column)));
		return writer;
	}
	if (!can_write(node, type))
		cannot_write(column, node, type);
	getTypeOutputInfo(type->base, &output, &varlena);
	fmgr_info(output, &writer->output);
	if (node->type == AVRO_ARRAY)
	{
		writer->levels = 1;
		writer->nchildren = 1;
		writer->children = palloc0(sizeof(FeathubAvroWriter *));
		if (inner_array(node) != NULL)
		{
			/* a further dimension of the same array */
			writer->children[0] = FeathubAvroWriterMake(node->children[0], type, column);
			writer->levels += node->children[0]->type == AVRO_UNION ?
				writer->children[0]->children[0]->levels : writer->children[0]->levels;
		}
		else
			writer->children[0] = FeathubAvroWriterMake(node->children[0], type->element, column);
	}
	else if (node->type == AVRO_RECORD)
		bind_record(writer, column);
	return writer;
}

static void
write_bytes(const char *data, Size len, StringInfo out)
{
	FeathubAvroWriteLong((int64) len, out);
	appendBinaryStringInfo(out, data, (int) len);
}

static void
write_integer(const FeathubAvroWriter *writer, int64 value, const char *column, StringInfo out)
{
	const FeathubAvroNode *node = writer->node;

	if (node->multiply > 1)
	{
		int64		whole = value / node->multiply;

		if (value < 0 && whole * node->multiply != value)
			whole--;
		value = whole;
	}
	else if (pg_mul_s64_overflow(value, node->divide, &value))
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("timestamp of column \"%s\" is out of range for nanoseconds", column)));
	if (node->type == AVRO_INT && (value < PG_INT32_MIN || value > PG_INT32_MAX))
		ereport(ERROR,
				(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				 errmsg("value " INT64_FORMAT " of column \"%s\" is out of range for Avro's int",
						value, column)));
	FeathubAvroWriteLong(value, out);
}

static void
write_real(const FeathubAvroWriter *writer, Datum value, const char *column, StringInfo out)
{
	union
	{
		uint64		i8;
		uint32		i4;
		float		f4;
		double		f8;
	}			bits = {0};
	int			len = writer->node->type == AVRO_FLOAT ? 4 : 8;
	double		real = FeathubNumberToReal(writer->type, value);

	if (len == 4)
	{
		bits.f4 = (float) real;
		if (isinf(bits.f4) && !isinf(real))
			ereport(ERROR,
					(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
					 errmsg("value %s of column \"%s\" is out of range for an Avro float",
							float8out_internal(real), column)));
		bits.i8 = bits.i4;
	}
	else
		bits.f8 = real;
	for (int i = 0; i < len; i++)
		appendStringInfoCharMacro(out, (char) (bits.i8 >> (8 * i)));
}

static void
write_decimal(const FeathubAvroWriter *writer, Datum value, const char *column, StringInfo out)
{
	const FeathubAvroNode *node = writer->node;
	int			len = node->type == AVRO_FIXED ? node->size :
		FeathubDecimalBytes(node->shape->precision);
	unsigned char *bytes = palloc(Max(len, 1));
	const unsigned char *p = bytes;

	FeathubNumericToDecimal(FeathubNumberToNumeric(writer->type, value), node->shape->precision,
							node->shape->scale, bytes, len, column);
	if (node->type != AVRO_FIXED)
	{
		/* bytes that say no more than the sign */
		while (len > 1 && ((p[0] == 0 && p[1] < 0x80) || (p[0] == 0xff && p[1] >= 0x80)))
			p++, len--;
		FeathubAvroWriteLong(len, out);
	}
	appendBinaryStringInfo(out, (const char *) p, len);
	pfree(bytes);
}

static void
write_fixed(const FeathubAvroWriter *writer, const char *data, Size len, const char *column,
			StringInfo out)
{
	if (len != writer->node->size)
		ereport(ERROR,
				(errcode(ERRCODE_STRING_DATA_LENGTH_MISMATCH),
				 errmsg("value of column \"%s\" has %zu bytes, not the %d of its Avro type",
						column, len, writer->node->size)));
	appendBinaryStringInfo(out, data, (int) len);
}

static void
write_duration(const Interval *interval, const char *column, StringInfo out)
{
	int64		parts[3];

	parts[0] = interval->month;
	parts[1] = interval->day;
	parts[2] = interval->time / 1000;
	for (int i = 0; i < 3; i++)
	{
		if (parts[i] < 0 || parts[i] > PG_UINT32_MAX)
			ereport(ERROR,
					(errcode(ERRCODE_INTERVAL_FIELD_OVERFLOW),
					 errmsg("interval of column \"%s\" cannot be written as an Avro duration",
							column)));
		for (int k = 0; k < 4; k++)
			appendStringInfoCharMacro(out, (char) (parts[i] >> (8 * k)));
	}
}

/* Text, a symbol, bytes. */
static void
write_string(const FeathubAvroWriter *writer, Datum value, const char *column, StringInfo out)
{
	const FeathubAvroNode *node = writer->node;
	const char *data;
	Size		len;

	if (writer->type->kind == FEATHUB_CONVERT_UUID && node->type == AVRO_FIXED)
	{
		write_fixed(writer, (const char *) DatumGetUUIDP(value)->data, UUID_LEN, column, out);
		return;
	}
	if (writer->type->kind == FEATHUB_CONVERT_BYTEA)
	{
		bytea	   *bytes = DatumGetByteaPP(value);

		data = VARDATA_ANY(bytes);
		len = VARSIZE_ANY_EXHDR(bytes);
	}
	else
		FeathubValueText(writer->type, unconstify(FmgrInfo *, &writer->output), value, &data, &len);
	if (node->type == AVRO_FIXED)
		write_fixed(writer, data, len, column, out);
	else if (node->type == AVRO_ENUM)
	{
		for (int i = 0; i < node->nsymbols; i++)
		{
			if (strlen(node->symbols[i]) == len && memcmp(node->symbols[i], data, len) == 0)
			{
				FeathubAvroWriteLong(i, out);
				return;
			}
		}
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_TEXT_REPRESENTATION),
				 errmsg("value \"%s\" of column \"%s\" is no symbol of its Avro enum",
						FeathubConvertShow(data, len), column)));
	}
	else
		write_bytes(data, len, out);
}

static void
write_dimension(const FeathubAvroWriter *writer, ArrayType *array, int dimension,
				const Datum *values, const bool *nulls, int *next, const char *column,
				StringInfo out)
{
	const FeathubAvroWriter *child = writer->children[0];
	int			n = ARR_NDIM(array) == 0 ? 0 : ARR_DIMS(array)[dimension];

	if (n > 0)
		FeathubAvroWriteLong(n, out);
	for (int i = 0; i < n; i++)
	{
		if (writer->levels > 1)
		{
			const FeathubAvroWriter *inner = child;

			if (child->node->type == AVRO_UNION)
			{
				FeathubAvroWriteLong(child->branch, out);
				inner = child->children[0];
			}
			write_dimension(inner, array, dimension + 1, values, nulls, next, column, out);
		}
		else
		{
			FeathubAvroWriteValue(child, values[*next], nulls[*next], column, out);
			(*next)++;
		}
	}
	FeathubAvroWriteLong(0, out);
}

static void
write_array(const FeathubAvroWriter *writer, Datum value, const char *column, StringInfo out)
{
	FeathubConverter *type = writer->type;
	ArrayType  *array = DatumGetArrayTypeP(value);
	Datum	   *values;
	bool	   *nulls;
	int			n;
	int			next = 0;

	if (ARR_NDIM(array) != 0 && ARR_NDIM(array) != writer->levels)
		ereport(ERROR,
				(errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR),
				 errmsg("array of column \"%s\" has %d dimensions, not %d", column,
						ARR_NDIM(array), writer->levels),
				 errhint("Dimensions of arrays are those of the column's declaration.")));
	deconstruct_array(array, type->element->typid, type->elmlen, type->elmbyval, type->elmalign,
					  &values, &nulls, &n);
	write_dimension(writer, array, 0, values, nulls, &next, column, out);
}

static void
write_record(const FeathubAvroWriter *writer, Datum value, const char *column, StringInfo out)
{
	HeapTupleHeader header = DatumGetHeapTupleHeader(value);
	HeapTupleData tuple;
	int			natts = writer->type->tupdesc->natts;
	Datum	   *values = palloc(sizeof(Datum) * Max(natts, 1));
	bool	   *nulls = palloc(Max(natts, 1));

	tuple.t_len = HeapTupleHeaderGetDatumLength(header);
	ItemPointerSetInvalid(&tuple.t_self);
	tuple.t_tableOid = InvalidOid;
	tuple.t_data = header;
	heap_deform_tuple(&tuple, writer->type->tupdesc, values, nulls);
	for (int i = 0; i < writer->nchildren; i++)
	{
		const FeathubAvroWriter *child = writer->children[i];

		FeathubAvroWriteValue(child, child->column < 0 ? (Datum) 0 : values[child->column],
							  child->column < 0 || nulls[child->column], column, out);
	}
}

static void
write_document(const FeathubAvroWriter *writer, Datum value, const char *column, StringInfo out)
{
	JsonbValue	root;

	/* a json's text is any that jsonb takes */
	if (writer->type->kind == FEATHUB_CONVERT_JSON)
		value = DirectFunctionCall1(jsonb_in, CStringGetDatum(TextDatumGetCString(value)));
	FeathubJsonbRoot(DatumGetJsonbP(value), &root);
	FeathubAvroWriteJson(writer->node, &root, false, column, out);
}

void
FeathubAvroWriteValue(const FeathubAvroWriter *writer, Datum value, bool isnull,
					  const char *column, StringInfo out)
{
	const FeathubAvroNode *node = writer->node;

	if (isnull)
	{
		if (node->type == AVRO_UNION && node->null_branch >= 0)
			FeathubAvroWriteLong(node->null_branch, out);
		else if (node->type != AVRO_NULL)
			ereport(ERROR,
					(errcode(ERRCODE_NOT_NULL_VIOLATION),
					 errmsg("null value of column \"%s\" cannot be written", column),
					 errdetail("The Avro schema does not allow null there.")));
		return;
	}
	if (writer->as_json)
	{
		write_document(writer, value, column, out);
		return;
	}
	if (node->type == AVRO_UNION)
	{
		FeathubAvroWriteLong(writer->branch, out);
		FeathubAvroWriteValue(writer->children[0], value, false, column, out);
		return;
	}
	switch (node->shape->kind)
	{
		case FEATHUB_SHAPE_BOOL:
			appendStringInfoCharMacro(out, DatumGetBool(value) ? 1 : 0);
			break;
		case FEATHUB_SHAPE_INT:
			write_integer(writer, FeathubNumberToInteger(writer->type, value), column, out);
			break;
		case FEATHUB_SHAPE_DATE:
			write_integer(writer, FeathubDateToUnix(value, column), column, out);
			break;
		case FEATHUB_SHAPE_TIME:
			write_integer(writer, DatumGetTimeADT(value), column, out);
			break;
		case FEATHUB_SHAPE_TIMESTAMP:
		case FEATHUB_SHAPE_INSTANT:
			write_integer(writer, FeathubTimestampToUnix(value, column), column, out);
			break;
		case FEATHUB_SHAPE_FLOAT:
			write_real(writer, value, column, out);
			break;
		case FEATHUB_SHAPE_DECIMAL:
			write_decimal(writer, value, column, out);
			break;
		case FEATHUB_SHAPE_INTERVAL:
			write_duration(DatumGetIntervalP(value), column, out);
			break;
		case FEATHUB_SHAPE_LIST:
			write_array(writer, value, column, out);
			break;
		case FEATHUB_SHAPE_STRUCT:
			write_record(writer, value, column, out);
			break;
		default:
			write_string(writer, value, column, out);
			break;
	}
}
