/*
 * parquet_fast.c
 *		Loops over whole columns of the Arrow C data interface, for the pairs of
 *		types that files usually have.
 *
 * A loop returns false if some value needs the general way: it is out of range
 * or not valid.  What lies under nulls is arbitrary, but can be read.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/memutils.h"

#include "core/compat.h"
#include "formats/parquet_fast.h"

#define LOOP_ARGS \
	const FeathubArrowNode *node, const struct ArrowArray *array, int64 from, int64 n, \
	Datum *values, const bool *nulls

/* Values of one C type to Datums, each of them possible. */
#define SIMPLE_LOOP(name, ctype, make) \
static bool \
name(LOOP_ARGS) \
{ \
	const ctype *p = (const ctype *) array->buffers[1] + array->offset + from; \
\
	for (int64 i = 0; i < n; i++) \
		values[i] = make(p[i]); \
	return true; \
}

/* The same where some are out of range. */
#define CHECKED_LOOP(name, ctype, test, make) \
static bool \
name(LOOP_ARGS) \
{ \
	const ctype *p = (const ctype *) array->buffers[1] + array->offset + from; \
	bool		ok = true; \
\
	for (int64 i = 0; i < n; i++) \
	{ \
		ok &= (test(p[i])) | nulls[i]; \
		values[i] = make(p[i]); \
	} \
	return ok; \
}

#define AS_INT2(v) Int16GetDatum((int16) (v))
#define AS_INT4(v) Int32GetDatum((int32) (v))
#define AS_INT8(v) Int64GetDatum((int64) (v))
#define AS_FLOAT8(v) Float8GetDatum((float8) (v))
#define FITS_INT2(v) ((v) >= PG_INT16_MIN && (v) <= PG_INT16_MAX)
#define FITS_INT4(v) ((v) >= PG_INT32_MIN && (v) <= PG_INT32_MAX)

SIMPLE_LOOP(int8_to_int2, int8, AS_INT2)
SIMPLE_LOOP(uint8_to_int2, uint8, AS_INT2)
SIMPLE_LOOP(int16_to_int2, int16, AS_INT2)
CHECKED_LOOP(int32_to_int2, int32, FITS_INT2, AS_INT2)
CHECKED_LOOP(int64_to_int2, int64, FITS_INT2, AS_INT2)
SIMPLE_LOOP(int8_to_int4, int8, AS_INT4)
SIMPLE_LOOP(uint8_to_int4, uint8, AS_INT4)
SIMPLE_LOOP(int16_to_int4, int16, AS_INT4)
SIMPLE_LOOP(uint16_to_int4, uint16, AS_INT4)
SIMPLE_LOOP(int32_to_int4, int32, AS_INT4)
CHECKED_LOOP(int64_to_int4, int64, FITS_INT4, AS_INT4)
SIMPLE_LOOP(int8_to_int8, int8, AS_INT8)
SIMPLE_LOOP(uint8_to_int8, uint8, AS_INT8)
SIMPLE_LOOP(int16_to_int8, int16, AS_INT8)
SIMPLE_LOOP(uint16_to_int8, uint16, AS_INT8)
SIMPLE_LOOP(int32_to_int8, int32, AS_INT8)
SIMPLE_LOOP(uint32_to_int8, uint32, AS_INT8)
SIMPLE_LOOP(int64_to_int8, int64, AS_INT8)
SIMPLE_LOOP(int32_to_float8, int32, AS_FLOAT8)
SIMPLE_LOOP(int64_to_float8, int64, AS_FLOAT8)
SIMPLE_LOOP(float_to_float4, float, Float4GetDatum)
SIMPLE_LOOP(float_to_float8, float, AS_FLOAT8)
SIMPLE_LOOP(double_to_float8, double, AS_FLOAT8)

static bool
bool_to_bool(LOOP_ARGS)
{
	const uint8 *bits = array->buffers[1];

	for (int64 i = 0; i < n; i++)
	{
		int64		at = array->offset + from + i;

		values[i] = BoolGetDatum((bits[at / 8] >> (at % 8)) & 1);
	}
	return true;
}

#define EPOCH_DAYS (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE)
/* far inside of what the type takes; the rest goes the general way */
#define FITS_DATE(v) ((v) >= -700000 && (v) <= 700000 * 3)
#define AS_DATE(v) DateADTGetDatum((DateADT) ((uint32) (v) - EPOCH_DAYS))

CHECKED_LOOP(days_to_date, int32, FITS_DATE, AS_DATE)

/* Times in microseconds, milliseconds and nanoseconds, without time zones. */
static bool
time_to_timestamp(LOOP_ARGS)
{
	const int64 *p = (const int64 *) array->buffers[1] + array->offset + from;
	const int64 epoch = EPOCH_DAYS * USECS_PER_DAY;
	const int64 limit = INT64CONST(250000) * 365 * USECS_PER_DAY / node->multiply;
	const int64 multiply = node->multiply;
	bool		ok = true;

	if (node->divide > 1)
	{
		for (int64 i = 0; i < n; i++)
		{
			int64		micros = p[i] / 1000;

			micros -= p[i] < micros * 1000;
			ok &= (micros > MIN_TIMESTAMP + epoch) | nulls[i];
			values[i] = TimestampGetDatum(micros - epoch);
		}
		return ok;
	}
	for (int64 i = 0; i < n; i++)
	{
		/* all before 4713 BC the general way */
		ok &= (p[i] < limit && p[i] > -limit / 40) | nulls[i];
		values[i] = TimestampGetDatum((int64) ((uint64) p[i] * multiply - epoch));
	}
	return ok;
}

static bool
time_to_time(LOOP_ARGS)
{
	const int64 *p = (const int64 *) array->buffers[1] + array->offset + from;
	bool		ok = true;

	for (int64 i = 0; i < n; i++)
	{
		ok &= (p[i] >= 0 && p[i] <= USECS_PER_DAY) | nulls[i];
		values[i] = TimeADTGetDatum(p[i]);
	}
	return ok;
}

/* 16 bytes are a uuid where they lie. */
static bool
fixed_to_uuid(LOOP_ARGS)
{
	const char *p = (const char *) array->buffers[1] + (array->offset + from) * 16;

	for (int64 i = 0; i < n; i++)
		values[i] = PointerGetDatum(p + i * 16);
	return true;
}

/* Decimals of up to 18 digits, whose upper half says no more than the sign. */
static bool
decimal_to_numeric(LOOP_ARGS)
{
	const int64 *p = (const int64 *) array->buffers[1] + (array->offset + from) * 2;
	int			scale = node->shape->scale;

	for (int64 i = 0; i < n; i++)
	{
		int64		value = p[2 * i];

		if (nulls[i])
			continue;
		if (p[2 * i + 1] != (value < 0 ? -1 : 0))
			return false;
		values[i] = NumericGetDatum(scale == 0 ? int64_to_numeric(value) :
									int64_div_fast_to_numeric(value, scale));
	}
	return true;
}

/*
 * Strings and bytes, offsets of 32 bits: one allocation for all of them, with
 * the short headers that tuples on disk have.
 */
static bool
copy_strings(const struct ArrowArray *array, int64 from, int64 n, Datum *values,
			 const bool *nulls)
{
	const int32 *offsets = (const int32 *) array->buffers[1] + array->offset + from;
	const char *data = array->buffers[2];
	Size		size = 0;
	char	   *p;

	for (int64 i = 0; i < n; i++)
	{
		Size		len = offsets[i + 1] - offsets[i];

		/* worst case: padding before a long header, or a short one */
		size += len <= VARATT_SHORT_MAX - VARHDRSZ_SHORT ? len + VARHDRSZ_SHORT :
			len + VARHDRSZ + 3;
	}
	if (size == 0)
		return true;
	p = MemoryContextAllocHuge(CurrentMemoryContext, size);
	for (int64 i = 0; i < n; i++)
	{
		Size		len = offsets[i + 1] - offsets[i];

		if (nulls[i])
			continue;
		if (len <= VARATT_SHORT_MAX - VARHDRSZ_SHORT)
		{
			SET_VARSIZE_SHORT(p, len + VARHDRSZ_SHORT);
			values[i] = PointerGetDatum(p);
			p += VARHDRSZ_SHORT;
		}
		else
		{
			if (len > MaxAllocSize - VARHDRSZ)
				return false;
			p = (char *) INTALIGN(p);
			SET_VARSIZE(p, len + VARHDRSZ);
			values[i] = PointerGetDatum(p);
			p += VARHDRSZ;
		}
		memcpy(p, data + offsets[i], len);
		p += len;
	}
	return true;
}

static bool
binary_to_bytea(LOOP_ARGS)
{
	return copy_strings(array, from, n, values, nulls);
}

/*
 * If all of the data is valid UTF-8, then so is each value, provided that it
 * does not begin inside of a character.
 */
static bool
string_to_text(LOOP_ARGS)
{
	const int32 *offsets = (const int32 *) array->buffers[1] + array->offset + from;
	const char *data = array->buffers[2];
	int			len = offsets[n] - offsets[0];
	bool		ok = true;

	if (len > 0)
	{
		if (pg_encoding_verifymbstr(PG_UTF8, data + offsets[0], len) != len)
			return false;
		for (int64 i = 0; i < n; i++)
		{
			if (offsets[i] < offsets[n])
				ok &= ((unsigned char) data[offsets[i]] & 0xc0) != 0x80;
		}
	}
	return ok && copy_strings(array, from, n, values, nulls);
}

static FeathubArrowFast
fast_int(const FeathubArrowNode *node, const FeathubConverter *type)
{
	switch (type->kind)
	{
		case FEATHUB_CONVERT_INT2:
			switch (node->code)
			{
				case 'c':
					return int8_to_int2;
				case 'C':
					return uint8_to_int2;
				case 's':
					return int16_to_int2;
				case 'i':
					return int32_to_int2;
				case 'l':
					return int64_to_int2;
			}
			return NULL;
		case FEATHUB_CONVERT_INT4:
			switch (node->code)
			{
				case 'c':
					return int8_to_int4;
				case 'C':
					return uint8_to_int4;
				case 's':
					return int16_to_int4;
				case 'S':
					return uint16_to_int4;
				case 'i':
					return int32_to_int4;
				case 'l':
					return int64_to_int4;
			}
			return NULL;
		case FEATHUB_CONVERT_INT8:
			switch (node->code)
			{
				case 'c':
					return int8_to_int8;
				case 'C':
					return uint8_to_int8;
				case 's':
					return int16_to_int8;
				case 'S':
					return uint16_to_int8;
				case 'i':
					return int32_to_int8;
				case 'I':
					return uint32_to_int8;
				case 'l':
					return int64_to_int8;
			}
			return NULL;
		case FEATHUB_CONVERT_FLOAT8:
			return node->code == 'i' ? int32_to_float8 :
				node->code == 'l' ? int64_to_float8 : NULL;
		default:
			return NULL;
	}
}

/* Do values of the shape and the type mean the same, whatever the zone? */
static bool
same_time(const FeathubArrowNode *node, const FeathubConverter *type)
{
	bool		instant = node->shape->kind == FEATHUB_SHAPE_INSTANT;

	if (type->kind != FEATHUB_CONVERT_TIMESTAMP && type->kind != FEATHUB_CONVERT_TIMESTAMPTZ)
		return false;
	return type->typmod < 0 &&
		(instant == (type->kind == FEATHUB_CONVERT_TIMESTAMPTZ) || type->settings->zone == NULL);
}

FeathubArrowFast
FeathubArrowFastFor(const FeathubArrowNode *node, const FeathubConverter *type)
{
	switch (node->shape->kind)
	{
		case FEATHUB_SHAPE_BOOL:
			return type->kind == FEATHUB_CONVERT_BOOL ? bool_to_bool : NULL;
		case FEATHUB_SHAPE_INT:
			return fast_int(node, type);
		case FEATHUB_SHAPE_FLOAT:
			if (node->code == 'g')
				return type->kind == FEATHUB_CONVERT_FLOAT8 ? double_to_float8 : NULL;
			if (node->code == 'f')
				return type->kind == FEATHUB_CONVERT_FLOAT8 ? float_to_float8 :
					type->kind == FEATHUB_CONVERT_FLOAT4 ? float_to_float4 : NULL;
			return NULL;
		case FEATHUB_SHAPE_DATE:
			return type->kind == FEATHUB_CONVERT_DATE && node->width == 4 ? days_to_date : NULL;
		case FEATHUB_SHAPE_TIMESTAMP:
		case FEATHUB_SHAPE_INSTANT:
			return same_time(node, type) ? time_to_timestamp : NULL;
		case FEATHUB_SHAPE_TIME:
			return type->base == TIMEOID && type->typmod < 0 && node->width == 8 &&
				node->multiply == 1 && node->divide == 1 ? time_to_time : NULL;
		case FEATHUB_SHAPE_DECIMAL:
			/* a typmod of fewer digits must be checked */
			if (type->kind != FEATHUB_CONVERT_NUMERIC || node->width != 16 ||
				node->shape->scale < 0 || node->shape->scale > 18)
				return NULL;
			if (type->has_limit &&
				(type->scale != node->shape->scale ||
				 ((type->typmod - VARHDRSZ) >> 16 & 0xffff) < node->shape->precision))
				return NULL;
			return decimal_to_numeric;
		case FEATHUB_SHAPE_TEXT:
			if (node->code != 'u' || GetDatabaseEncoding() != PG_UTF8)
				return NULL;
			return type->kind == FEATHUB_CONVERT_TEXT ||
				(type->kind == FEATHUB_CONVERT_VARCHAR && type->typmod < 0) ? string_to_text : NULL;
		case FEATHUB_SHAPE_BYTES:
			if (node->code == 'z' && type->kind == FEATHUB_CONVERT_BYTEA)
				return binary_to_bytea;
			if (node->code == 'w' && node->width == 16 && type->kind == FEATHUB_CONVERT_UUID)
				return fixed_to_uuid;
			return NULL;
		case FEATHUB_SHAPE_UUID:
			return type->kind == FEATHUB_CONVERT_UUID ? fixed_to_uuid : NULL;
		default:
			return NULL;
	}
}

void
FeathubArrowNulls(const struct ArrowArray *array, int64 from, int64 n, bool *nulls)
{
	const uint8 *valid = array->n_buffers > 0 ? array->buffers[0] : NULL;
	int64		at = array->offset + from;

	if (valid == NULL || array->null_count == 0)
	{
		memset(nulls, false, n);
		return;
	}
	for (int64 i = 0; i < n; i++, at++)
		nulls[i] = !((valid[at / 8] >> (at % 8)) & 1);
}
