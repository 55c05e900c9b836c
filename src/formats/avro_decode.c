/*
 * avro_decode.c
 *		Avro's binary values to Datums.
 *
 * Every read is checked against the end of the data; damage is reported by
 * value, as are values that do not fit their column.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "common/int.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/uuid.h"

#include "formats/avro.h"
#include "formats/format_private.h"

/* Values inside each other; schemas may be recursive. */
#define MAX_DEPTH 200

/*
 * Values without any bytes that one record may have: nulls, records of them,
 * items of arrays.  Few bytes could stand for any number of them else.
 */
#define MAX_EMPTY_VALUES 100000

static bool
damage(FeathubAvroCursor *cursor, FeathubDecodeError *error, const char *message)
{
	cursor->damaged = true;
	return FeathubDecodeFail(error, ERRCODE_DATA_CORRUPTED, "%s", message);
}

bool
FeathubAvroReadLong(FeathubAvroCursor *cursor, int64 *value, FeathubDecodeError *error)
{
	uint64		bits = 0;

	for (int shift = 0; shift < 64; shift += 7)
	{
		unsigned char b;

		if (cursor->p >= cursor->end)
			return damage(cursor, error, "Avro data ends unexpectedly");
		b = *cursor->p++;
		/* the tenth byte has one bit */
		if (shift == 63 && b > 1)
			break;
		bits |= (uint64) (b & 0x7f) << shift;
		if ((b & 0x80) == 0)
		{
			*value = (int64) (bits >> 1) ^ -(int64) (bits & 1);
			return true;
		}
	}
	return damage(cursor, error, "Avro number is too long");
}

static bool
read_int(FeathubAvroCursor *cursor, int64 *value, FeathubDecodeError *error)
{
	if (!FeathubAvroReadLong(cursor, value, error))
		return false;
	if (*value < PG_INT32_MIN || *value > PG_INT32_MAX)
		return damage(cursor, error, "Avro int has more than 32 bits");
	return true;
}

static bool
read_bytes(FeathubAvroCursor *cursor, int64 len, const char **data, FeathubDecodeError *error)
{
	if (len < 0 || len > cursor->end - cursor->p)
		return damage(cursor, error, "Avro data ends unexpectedly");
	*data = (const char *) cursor->p;
	cursor->p += len;
	return true;
}

/* Branch of a union; the node becomes the branch's. */
static bool
read_branch(FeathubAvroCursor *cursor, const FeathubAvroNode **node, FeathubDecodeError *error)
{
	int64		branch;

	if (!FeathubAvroReadLong(cursor, &branch, error))
		return false;
	if (branch < 0 || branch >= (*node)->nchildren)
		return damage(cursor, error, "Avro union has no such branch");
	*node = (*node)->children[branch];
	return true;
}

/* A value has been passed, from start on; may there be so many? */
static bool
count_value(FeathubAvroCursor *cursor, const unsigned char *start, FeathubDecodeError *error)
{
	return likely(cursor->p != start) || ++cursor->empty <= MAX_EMPTY_VALUES ||
		damage(cursor, error, "Avro record has too many values without bytes");
}

/*
 * Items of the next part of an array or map, 0 at its end.  bytes: how long it
 * is, if it says so, or -1.
 */
static bool
read_count(FeathubAvroCursor *cursor, int64 *count, int64 *bytes, FeathubDecodeError *error)
{
	*bytes = -1;
	if (!FeathubAvroReadLong(cursor, count, error))
		return false;
	if (*count < 0)
	{
		if (*count == PG_INT64_MIN)
			return damage(cursor, error, "Avro array has an invalid number of items");
		*count = -*count;
		if (!FeathubAvroReadLong(cursor, bytes, error))
			return false;
		if (*bytes < 0 || *bytes > cursor->end - cursor->p)
			return damage(cursor, error, "Avro data ends unexpectedly");
	}
	/* items have a byte at least, but for those of few types */
	if (*count > cursor->end - cursor->p && *count > MAX_EMPTY_VALUES)
		return damage(cursor, error, "Avro array has more items than bytes");
	return true;
}

static bool
skip_items(FeathubAvroCursor *cursor, const FeathubAvroNode *node, FeathubDecodeError *error)
{
	for (;;)
	{
		int64		count;
		int64		bytes;
		const char *ignored;

		if (!read_count(cursor, &count, &bytes, error))
			return false;
		if (count == 0)
			return true;
		CHECK_FOR_INTERRUPTS();
		if (bytes >= 0)
		{
			if (!read_bytes(cursor, bytes, &ignored, error))
				return false;
			continue;
		}
		for (int64 i = 0; i < count; i++)
		{
			if (node->type == AVRO_MAP &&
				(!FeathubAvroReadLong(cursor, &bytes, error) ||
				 !read_bytes(cursor, bytes, &ignored, error)))
				return false;
			if (!FeathubAvroSkipValue(cursor, node->children[0], error))
				return false;
		}
	}
}

bool
FeathubAvroSkipValue(FeathubAvroCursor *cursor, const FeathubAvroNode *node,
					 FeathubDecodeError *error)
{
	const unsigned char *start = cursor->p;
	const char *ignored;
	int64		value;
	bool		ok = true;

	if (node->type == AVRO_UNION && !read_branch(cursor, &node, error))
		return false;
	if (++cursor->depth > MAX_DEPTH)
		return damage(cursor, error, "Avro data is nested too deeply");
	switch (node->type)
	{
		case AVRO_NULL:
			break;
		case AVRO_BOOLEAN:
			ok = read_bytes(cursor, 1, &ignored, error);
			break;
		case AVRO_INT:
		case AVRO_LONG:
		case AVRO_ENUM:
			ok = FeathubAvroReadLong(cursor, &value, error);
			break;
		case AVRO_FLOAT:
			ok = read_bytes(cursor, 4, &ignored, error);
			break;
		case AVRO_DOUBLE:
			ok = read_bytes(cursor, 8, &ignored, error);
			break;
		case AVRO_BYTES:
		case AVRO_STRING:
			ok = FeathubAvroReadLong(cursor, &value, error) &&
				read_bytes(cursor, value, &ignored, error);
			break;
		case AVRO_FIXED:
			ok = read_bytes(cursor, node->size, &ignored, error);
			break;
		case AVRO_ARRAY:
		case AVRO_MAP:
			ok = skip_items(cursor, node, error);
			break;
		case AVRO_RECORD:
			for (int i = 0; ok && i < node->nchildren; i++)
				ok = FeathubAvroSkipValue(cursor, node->children[i], error);
			break;
		default:
			ok = damage(cursor, error, "Avro union inside a union");
			break;
	}
	cursor->depth--;
	return ok && count_value(cursor, start, error);
}

/* Text of a uuid to its bytes. */
static bool
uuid_bytes(FeathubScalar *scalar, FeathubDecodeError *error)
{
	FeathubConvertSettings settings = {0};
	FeathubConverter type = {
		.kind = FEATHUB_CONVERT_UUID, .typid = UUIDOID, .base = UUIDOID, .typmod = -1,
		.settings = &settings
	};
	Datum		value;

	if (!FeathubConvertText(&type, scalar->u.bytes.data, scalar->u.bytes.len, &value, error))
		return false;
	scalar->u.bytes.data = (const char *) DatumGetUUIDP(value)->data;
	scalar->u.bytes.len = UUID_LEN;
	return true;
}

/* Months, days and milliseconds, unsigned. */
static bool
duration_interval(const char *data, Interval *interval, FeathubDecodeError *error)
{
	uint32		parts[3];

	for (int i = 0; i < 3; i++)
	{
		const unsigned char *p = (const unsigned char *) data + 4 * i;

		parts[i] = p[0] | p[1] << 8 | p[2] << 16 | (uint32) p[3] << 24;
	}
	if (parts[0] > PG_INT32_MAX || parts[1] > PG_INT32_MAX)
		return FeathubDecodeFail(error, ERRCODE_INTERVAL_FIELD_OVERFLOW, "interval out of range");
	memset(interval, 0, sizeof(Interval));
	interval->month = parts[0];
	interval->day = parts[1];
	interval->time = parts[2] * INT64CONST(1000);
	return true;
}

/* A value of a node without children.  A false without damage: cursor has moved. */
static bool
read_scalar(FeathubAvroCursor *cursor, const FeathubAvroNode *node, FeathubScalar *scalar,
			FeathubDecodeError *error)
{
	const char *data = NULL;
	int64		value;
	union
	{
		uint32		i4;
		uint64		i8;
		float		f4;
		double		f8;
	}			bits = {0};

	switch (node->type)
	{
		case AVRO_BOOLEAN:
			if (!read_bytes(cursor, 1, &data, error))
				return false;
			scalar->u.boolean = *data != 0;
			return true;
		case AVRO_INT:
		case AVRO_LONG:
			if (node->type == AVRO_INT ? !read_int(cursor, &value, error) :
				!FeathubAvroReadLong(cursor, &value, error))
				return false;
			if (pg_mul_s64_overflow(value, node->multiply, &scalar->u.integer))
				return FeathubDecodeFail(error, ERRCODE_DATETIME_VALUE_OUT_OF_RANGE,
										 "date or time out of range");
			if (node->divide > 1)
			{
				scalar->u.integer = value / node->divide;
				scalar->u.integer -= value < 0 && value % node->divide != 0;
			}
			return true;
		case AVRO_FLOAT:
		case AVRO_DOUBLE:
			{
				int			len = node->type == AVRO_FLOAT ? 4 : 8;

				if (!read_bytes(cursor, len, &data, error))
					return false;
				for (int i = len - 1; i >= 0; i--)
					bits.i8 = bits.i8 << 8 | (unsigned char) data[i];
				if (node->type == AVRO_FLOAT)
				{
					bits.i4 = (uint32) bits.i8;
					scalar->u.real = bits.f4;
				}
				else
					scalar->u.real = bits.f8;
				return true;
			}
		case AVRO_ENUM:
			if (!read_int(cursor, &value, error))
				return false;
			if (value < 0 || value >= node->nsymbols)
				return damage(cursor, error, "Avro enum has no such symbol");
			scalar->u.bytes.data = node->symbols[value];
			scalar->u.bytes.len = strlen(node->symbols[value]);
			return true;
		default:
			value = node->size;
			if ((node->type != AVRO_FIXED && !FeathubAvroReadLong(cursor, &value, error)) ||
				!read_bytes(cursor, value, &data, error))
				return false;
			if (node->shape->kind == FEATHUB_SHAPE_DECIMAL)
			{
				/* as many bytes as no decimal needs */
				if (value > 8192)
					return FeathubDecodeFail(error, ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE,
											 "decimal of " INT64_FORMAT " bytes is out of range",
											 value);
				scalar->u.numeric = FeathubDecimalToNumeric((const unsigned char *) data,
															(int) value, node->shape->scale);
				return true;
			}
			if (node->shape->kind == FEATHUB_SHAPE_INTERVAL)
				return duration_interval(data, &scalar->u.interval, error);
			scalar->u.bytes.data = data;
			scalar->u.bytes.len = value;
			return node->shape->kind != FEATHUB_SHAPE_UUID || node->type == AVRO_FIXED ||
				uuid_bytes(scalar, error);
	}
}

static bool push_value(FeathubAvroCursor *cursor, const FeathubAvroNode *node,
					   FeathubConverter *type, JsonbParseState **state,
					   JsonbIteratorToken token, JsonbValue **result,
					   FeathubDecodeError *error);

static void
set_key(JsonbValue *key, const char *utf8, Size len)
{
	char	   *name = pnstrdup(utf8, len);

	key->type = jbvString;
	key->val.string.val = pg_any_to_server(name, (int) len, PG_UTF8);
	key->val.string.len = strlen(key->val.string.val);
}

static bool
push_items(FeathubAvroCursor *cursor, const FeathubAvroNode *node, FeathubConverter *type,
		   JsonbParseState **state, FeathubDecodeError *error)
{
	for (;;)
	{
		int64		count;
		int64		bytes;

		if (!read_count(cursor, &count, &bytes, error))
			return false;
		if (count == 0)
			return true;
		CHECK_FOR_INTERRUPTS();
		for (int64 i = 0; i < count; i++)
		{
			JsonbIteratorToken token = WJB_ELEM;
			JsonbValue *ignored;

			if (node->type == AVRO_MAP)
			{
				JsonbValue	key;
				const char *data = NULL;

				if (!FeathubAvroReadLong(cursor, &bytes, error) ||
					!read_bytes(cursor, bytes, &data, error))
					return false;
				if (pg_encoding_verifymbstr(PG_UTF8, data, (int) bytes) != bytes)
					return FeathubDecodeFail(error, ERRCODE_CHARACTER_NOT_IN_REPERTOIRE,
											 "invalid byte sequence for encoding \"UTF8\"");
				set_key(&key, data, bytes);
				pushJsonbValue(state, WJB_KEY, &key);
				token = WJB_VALUE;
			}
			if (!push_value(cursor, node->children[0], type, state, token, &ignored, error))
				return false;
		}
	}
}

/* A value as a part of a jsonb.  If it fails, the cursor is somewhere inside. */
static bool
push_value(FeathubAvroCursor *cursor, const FeathubAvroNode *node, FeathubConverter *type,
		   JsonbParseState **state, JsonbIteratorToken token, JsonbValue **result,
		   FeathubDecodeError *error)
{
	const unsigned char *start = cursor->p;
	JsonbValue	value;
	FeathubScalar scalar;

	check_stack_depth();
	if (node->type == AVRO_UNION && !read_branch(cursor, &node, error))
		return false;
	if (++cursor->depth > MAX_DEPTH)
		return damage(cursor, error, "Avro data is nested too deeply");
	switch (node->type)
	{
		case AVRO_NULL:
			value.type = jbvNull;
			*result = pushJsonbValue(state, token, &value);
			break;
		case AVRO_ARRAY:
			pushJsonbValue(state, WJB_BEGIN_ARRAY, NULL);
			if (!push_items(cursor, node, type, state, error))
				return false;
			*result = pushJsonbValue(state, WJB_END_ARRAY, NULL);
			break;
		case AVRO_MAP:
			pushJsonbValue(state, WJB_BEGIN_OBJECT, NULL);
			if (!push_items(cursor, node, type, state, error))
				return false;
			*result = pushJsonbValue(state, WJB_END_OBJECT, NULL);
			break;
		case AVRO_RECORD:
			pushJsonbValue(state, WJB_BEGIN_OBJECT, NULL);
			for (int i = 0; i < node->nchildren; i++)
			{
				JsonbValue	key;

				set_key(&key, node->fields[i], strlen(node->fields[i]));
				pushJsonbValue(state, WJB_KEY, &key);
				if (!push_value(cursor, node->children[i], type, state, WJB_VALUE, result, error))
					return false;
			}
			*result = pushJsonbValue(state, WJB_END_OBJECT, NULL);
			break;
		default:
			if (!read_scalar(cursor, node, &scalar, error) ||
				!FeathubScalarJsonb(node->shape, &scalar, type, &value, error))
				return false;
			*result = pushJsonbValue(state, token, &value);
			break;
	}
	cursor->depth--;
	return count_value(cursor, start, error);
}

FeathubAvroReader *
FeathubAvroReaderMake(const FeathubAvroNode *node, FeathubConverter *type)
{
	FeathubAvroReader *reader = palloc0(sizeof(FeathubAvroReader));
	const FeathubAvroNode *inner = FeathubAvroValueNode(node);

	check_stack_depth();
	reader->node = node;
	reader->type = type;
	if (inner->type == AVRO_ARRAY && type->kind == FEATHUB_CONVERT_ARRAY)
	{
		while (FeathubAvroValueNode(inner)->type == AVRO_ARRAY)
		{
			reader->ndims++;
			inner = FeathubAvroValueNode(inner)->children[0];
		}
		reader->element = FeathubAvroReaderMake(inner, type->element);
	}
	else if (inner->type == AVRO_RECORD && type->kind == FEATHUB_CONVERT_COMPOSITE)
	{
		reader->attributes = palloc0(sizeof(FeathubAvroReader *) * Max(inner->nchildren, 1));
		reader->positions = palloc0(sizeof(int) * Max(inner->nchildren, 1));
		for (int i = 0; i < inner->nchildren; i++)
		{
			for (int j = 0; j < type->tupdesc->natts; j++)
			{
				if (type->attributes[j] == NULL ||
					strcmp(NameStr(TupleDescAttr(type->tupdesc, j)->attname),
						   inner->shape->children[i]->name) != 0)
					continue;
				reader->positions[i] = j;
				reader->attributes[i] = FeathubAvroReaderMake(inner->children[i],
															  type->attributes[j]);
			}
		}
	}
	return reader;
}

/* The elements of an array on their way. */
typedef struct ArrayBuild
{
	const FeathubAvroReader *reader;
	Datum	   *values;
	bool	   *nulls;
	int			n;
	int			allocated;
	int			dims[MAXDIM];	/* -1: not known yet */
} ArrayBuild;

static bool
read_dimension(FeathubAvroCursor *cursor, const FeathubAvroNode *node, int level,
			   ArrayBuild *build, FeathubDecodeError *error)
{
	int64		total = 0;

	if (node->type == AVRO_UNION && !read_branch(cursor, &node, error))
		return false;
	if (node->type != AVRO_ARRAY)
		return FeathubDecodeFail(error, ERRCODE_NULL_VALUE_NOT_ALLOWED,
								 "null in place of a list inside a list");
	for (;;)
	{
		int64		count;
		int64		bytes;

		if (!read_count(cursor, &count, &bytes, error))
			return false;
		if (count == 0)
			break;
		CHECK_FOR_INTERRUPTS();
		total += count;
		for (int64 i = 0; i < count; i++)
		{
			if (level + 1 < build->reader->ndims)
			{
				if (!read_dimension(cursor, node->children[0], level + 1, build, error))
					return false;
				continue;
			}
			if (build->n >= build->allocated)
			{
				if (build->allocated >= MaxArraySize / 2)
					return FeathubDecodeFail(error, ERRCODE_PROGRAM_LIMIT_EXCEEDED,
											 "list has too many elements");
				build->allocated *= 2;
				build->values = repalloc_huge(build->values, sizeof(Datum) * build->allocated);
				build->nulls = repalloc_huge(build->nulls, build->allocated);
			}
			if (!FeathubAvroReadValue(cursor, build->reader->element, &build->values[build->n],
									  &build->nulls[build->n], error))
				return false;
			build->n++;
		}
	}
	if (build->dims[level] < 0)
		build->dims[level] = (int) total;
	else if (build->dims[level] != total)
		return FeathubDecodeFail(error, ERRCODE_ARRAY_SUBSCRIPT_ERROR,
								 "lists inside a list differ in length");
	return true;
}

static bool
read_array(FeathubAvroCursor *cursor, const FeathubAvroReader *reader,
		   const FeathubAvroNode *node, Datum *value, FeathubDecodeError *error)
{
	FeathubConverter *element = reader->type->element;
	ArrayBuild	build = {.reader = reader, .allocated = 16};
	int			lower[MAXDIM];

	if (reader->ndims > MAXDIM)
		return FeathubDecodeFail(error, ERRCODE_PROGRAM_LIMIT_EXCEEDED,
								 "number of array dimensions exceeds the maximum allowed (%d)",
								 MAXDIM);
	build.values = palloc(sizeof(Datum) * build.allocated);
	build.nulls = palloc(build.allocated);
	for (int i = 0; i < MAXDIM; i++)
	{
		build.dims[i] = -1;
		lower[i] = 1;
	}
	if (!read_dimension(cursor, node, 0, &build, error))
		return false;
	*value = build.n == 0 ? PointerGetDatum(construct_empty_array(element->typid)) :
		PointerGetDatum(construct_md_array(build.values, build.nulls, reader->ndims, build.dims,
										   lower, element->typid, reader->type->elmlen,
										   reader->type->elmbyval, reader->type->elmalign));
	return true;
}

static bool
read_record(FeathubAvroCursor *cursor, const FeathubAvroReader *reader,
			const FeathubAvroNode *node, Datum *value, FeathubDecodeError *error)
{
	TupleDesc	tupdesc = reader->type->tupdesc;
	int			natts = tupdesc->natts;
	Datum	   *values = palloc0(sizeof(Datum) * Max(natts, 1));
	bool	   *nulls = palloc(Max(natts, 1));
	bool	   *given = palloc0(Max(natts, 1));

	memset(nulls, true, natts);
	for (int i = 0; i < node->nchildren; i++)
	{
		int			at = reader->positions[i];

		if (reader->attributes[i] == NULL)
		{
			if (!FeathubAvroSkipValue(cursor, node->children[i], error))
				return false;
			continue;
		}
		given[at] = true;
		if (!FeathubAvroReadValue(cursor, reader->attributes[i], &values[at], &nulls[at], error))
		{
			error->message = psprintf("attribute \"%s\": %s",
									  NameStr(TupleDescAttr(tupdesc, at)->attname),
									  error->message);
			return false;
		}
	}
	for (int i = 0; i < natts; i++)
	{
		if (reader->type->attributes[i] != NULL && !given[i] &&
			!FeathubConvertNull(reader->type->attributes[i], error))
			return false;
	}
	*value = heap_copy_tuple_as_datum(heap_form_tuple(tupdesc, values, nulls), tupdesc);
	return true;
}

/* If it fails, the cursor may be anywhere. */
static bool
read_value(FeathubAvroCursor *cursor, const FeathubAvroReader *reader, Datum *value,
		   bool *isnull, FeathubDecodeError *error)
{
	const FeathubAvroNode *node = reader->node;
	FeathubConverter *type = reader->type;
	FeathubScalar scalar;

	check_stack_depth();
	*isnull = false;
	if (node->type == AVRO_UNION && !read_branch(cursor, &node, error))
		return false;
	if (node->type == AVRO_NULL)
	{
		*isnull = true;
		*value = (Datum) 0;
		return FeathubConvertNull(type, error);
	}
	if (reader->element)
		return read_array(cursor, reader, node, value, error) &&
			FeathubConvertDomain(type, *value, false, error);
	if (reader->attributes)
		return read_record(cursor, reader, node, value, error) &&
			FeathubConvertDomain(type, *value, false, error);
	if (node->type == AVRO_ARRAY || node->type == AVRO_MAP || node->type == AVRO_RECORD ||
		reader->node->shape->kind == FEATHUB_SHAPE_UNION)
	{
		JsonbParseState *state = NULL;
		JsonbValue *result = NULL;
		JsonbValue	single;

		if (node->type != AVRO_ARRAY && node->type != AVRO_MAP && node->type != AVRO_RECORD)
		{
			/* a union of plain values: text as text, the others as documents */
			if (!read_scalar(cursor, node, &scalar, error))
				return false;
			if (type->kind != FEATHUB_CONVERT_JSON && type->kind != FEATHUB_CONVERT_JSONB)
				return FeathubScalarConvert(node->shape, &scalar, type, value, error);
			return FeathubScalarJsonb(node->shape, &scalar, type, &single, error) &&
				FeathubJsonbConvert(&single, type, value, error);
		}
		return push_value(cursor, node, type, &state, WJB_ELEM, &result, error) &&
			FeathubJsonbConvert(result, type, value, error);
	}
	return read_scalar(cursor, node, &scalar, error) &&
		FeathubScalarConvert(node->shape, &scalar, type, value, error);
}

bool
FeathubAvroReadValue(FeathubAvroCursor *cursor, const FeathubAvroReader *reader, Datum *value,
					 bool *isnull, FeathubDecodeError *error)
{
	const unsigned char *start = cursor->p;
	int			depth = cursor->depth;
	int			empty = cursor->empty;
	FeathubDecodeError ignored;

	if (++cursor->depth > MAX_DEPTH)
		return damage(cursor, error, "Avro data is nested too deeply");
	if (read_value(cursor, reader, value, isnull, error) && count_value(cursor, start, error))
	{
		cursor->depth = depth;
		return true;
	}
	cursor->depth = depth;
	*isnull = true;
	if (cursor->damaged)
		return false;
	cursor->p = start;
	cursor->empty = empty;
	if (!FeathubAvroSkipValue(cursor, reader->node, &ignored))
		*error = ignored;
	cursor->depth = depth;
	return false;
}
