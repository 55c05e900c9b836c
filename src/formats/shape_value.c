/*
 * shape_value.c
 *		Single values of file formats to Datums and back.
 */
#include "postgres.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "common/base64.h"
#include "common/int.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/datetime.h"
#include "utils/float.h"
#include "utils/fmgrprotos.h"
#include "utils/memutils.h"
#include "utils/uuid.h"

#include "core/compat.h"
#include "formats/format_private.h"
#include "formats/json_value.h"
#include "formats/shape.h"

static bool
out_of_range(FeathubConverter *type, const char *what, FeathubDecodeError *error)
{
	return FeathubDecodeFail(error, ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE,
							 "value %s is out of range for type %s", what,
							 format_type_be(type->base));
}

static bool
put_int(FeathubConverter *type, int64 value, Datum *result, FeathubDecodeError *error)
{
	char		text[MAXINT8LEN + 1];

	switch (type->kind)
	{
		case FEATHUB_CONVERT_INT2:
			*result = Int16GetDatum((int16) value);
			if (value == (int16) value)
				return true;
			break;
		case FEATHUB_CONVERT_INT4:
			*result = Int32GetDatum((int32) value);
			if (value == (int32) value)
				return true;
			break;
		case FEATHUB_CONVERT_INT8:
			*result = Int64GetDatum(value);
			return true;
		case FEATHUB_CONVERT_FLOAT4:
			*result = Float4GetDatum((float4) value);
			return true;
		case FEATHUB_CONVERT_FLOAT8:
			*result = Float8GetDatum((float8) value);
			return true;
		default:				/* oid */
			*result = ObjectIdGetDatum((Oid) value);
			if (value >= 0 && value <= PG_UINT32_MAX)
				return true;
			break;
	}
	pg_lltoa(value, text);
	return out_of_range(type, text, error);
}

/* Round to the type's scale, and see that it fits its precision. */
static bool
put_numeric(FeathubConverter *type, Numeric value, Datum *result, FeathubDecodeError *error)
{
	Datum		datum = NumericGetDatum(value);

	if (type->has_limit && !numeric_is_nan(value) && !numeric_is_inf(value))
	{
		datum = DirectFunctionCall2(numeric_round, datum, Int32GetDatum(type->scale));
		if (DatumGetBool(DirectFunctionCall2(numeric_ge,
											 DirectFunctionCall1(numeric_abs, datum),
											 type->limit)))
			return out_of_range(type, DatumGetCString(DirectFunctionCall1(numeric_out, datum)),
								error);
	}
	else if (type->has_limit && numeric_is_inf(value))
		return out_of_range(type, "infinity", error);
	*result = datum;
	return true;
}

static bool
put_float(FeathubConverter *type, double value, Datum *result, FeathubDecodeError *error)
{
	float4		single;

	switch (type->kind)
	{
		case FEATHUB_CONVERT_FLOAT8:
			*result = Float8GetDatum(value);
			return true;
		case FEATHUB_CONVERT_FLOAT4:
			single = (float4) value;
			if ((isinf(single) && !isinf(value)) || (single == 0.0f && value != 0.0))
				return out_of_range(type, float8out_internal(value), error);
			*result = Float4GetDatum(single);
			return true;
		default:
			return put_numeric(type, DatumGetNumeric(DirectFunctionCall1(float8_numeric,
																		 Float8GetDatum(value))),
							   result, error);
	}
}

/* Text of the server's encoding to any type that takes it. */
static bool
put_text(FeathubConverter *type, const char *data, Size len, Datum *result,
		 FeathubDecodeError *error)
{
	FeathubConverter base = *type;
	bool		ok;

	/* the caller checks the domain */
	base.is_domain = false;
	ok = FeathubConvertText(&base, data, len, result, error);
	return ok;
}

static bool
put_bytes(FeathubConverter *type, const char *data, Size len, Datum *result,
		  FeathubDecodeError *error)
{
	if (type->kind == FEATHUB_CONVERT_BYTEA)
	{
		if (len > MaxAllocSize - VARHDRSZ)
			return FeathubDecodeFail(error, ERRCODE_PROGRAM_LIMIT_EXCEEDED,
									 "value of %zu bytes is too long", len);
		*result = PointerGetDatum(cstring_to_text_with_len(data, (int) len));
		return true;
	}
	if (type->kind == FEATHUB_CONVERT_UUID && len == UUID_LEN)
	{
		*result = UUIDPGetDatum(memcpy(palloc(UUID_LEN), data, UUID_LEN));
		return true;
	}
	if (!FeathubServerText(PG_UTF8, CurrentMemoryContext, &data, &len, error))
		return false;
	return put_text(type, data, len, result, error);
}

/* An instant's wall-clock time in the zone. */
static bool
to_local(TimestampTz value, pg_tz *zone, Timestamp *result)
{
	struct pg_tm tm;
	fsec_t		fsec;
	int			tz;

	if (zone == NULL)
	{
		*result = value;
		return true;
	}
	return timestamp2tm(value, &tz, &tm, &fsec, NULL, zone) == 0 &&
		tm2timestamp(&tm, fsec, NULL, result) == 0;
}

/* The instant of a wall-clock time in the zone. */
static bool
from_local(Timestamp value, pg_tz *zone, TimestampTz *result)
{
	struct pg_tm tm;
	fsec_t		fsec;
	int			tz;

	if (zone == NULL)
	{
		*result = value;
		return true;
	}
	if (timestamp2tm(value, NULL, &tm, &fsec, NULL, NULL) != 0)
		return false;
	tz = DetermineTimeZoneOffset(&tm, zone);
	return tm2timestamp(&tm, fsec, &tz, result) == 0;
}

static bool
put_timestamp(FeathubConverter *type, int64 micros, bool instant, Datum *result,
			  FeathubDecodeError *error)
{
	bool		wants_instant = type->kind == FEATHUB_CONVERT_TIMESTAMPTZ;
	pg_tz	   *zone = type->settings->zone;
	Timestamp	value;
	bool		ok;

	ok = FeathubTimestampFromUnix(micros, &value);
	if (ok && instant && !wants_instant)
		ok = to_local(value, zone, &value);
	else if (ok && !instant && wants_instant)
		ok = from_local(value, zone, &value);
	if (!ok)
		return FeathubDecodeFail(error, ERRCODE_DATETIME_VALUE_OUT_OF_RANGE,
								 "timestamp out of range");
	if (type->typmod >= 0)
		feathub_adjust_timestamp(&value, type->typmod);
	*result = TimestampGetDatum(value);
	return true;
}

static bool
put_date(FeathubConverter *type, int64 days, Datum *result, FeathubDecodeError *error)
{
	int64		date = days - (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE);

	if (date < PG_INT32_MIN || date > PG_INT32_MAX || !IS_VALID_DATE(date))
		return FeathubDecodeFail(error, ERRCODE_DATETIME_VALUE_OUT_OF_RANGE,
								 "date out of range");
	if (type->kind == FEATHUB_CONVERT_DATE)
	{
		*result = DateADTGetDatum((DateADT) date);
		return true;
	}
	if (date >= TIMESTAMP_END_JULIAN - POSTGRES_EPOCH_JDATE)
		return FeathubDecodeFail(error, ERRCODE_DATETIME_VALUE_OUT_OF_RANGE,
								 "timestamp out of range");
	*result = TimestampGetDatum(date * USECS_PER_DAY);
	return true;
}

static bool
put_time(FeathubConverter *type, int64 micros, Datum *result, FeathubDecodeError *error)
{
	TimeADT		time = micros;

	if (micros < 0 || micros > USECS_PER_DAY)
		return FeathubDecodeFail(error, ERRCODE_DATETIME_VALUE_OUT_OF_RANGE,
								 "time out of range");
	AdjustTimeForTypmod(&time, type->typmod);
	*result = TimeADTGetDatum(time);
	return true;
}

/* A date or time as ISO 8601 text, instants in UTC. */
static char *
time_text(const FeathubShape *shape, const FeathubScalar *scalar, FeathubDecodeError *error)
{
	FeathubConvertSettings settings = {0};
	FeathubConverter type = {.typmod = -1, .settings = &settings};
	char		buffer[MAXDATELEN + 1];
	struct pg_tm tm;
	fsec_t		fsec;
	int			tz = 0;
	Datum		value = 0;

	switch (shape->kind)
	{
		case FEATHUB_SHAPE_DATE:
			type.kind = FEATHUB_CONVERT_DATE;
			if (!put_date(&type, scalar->u.integer, &value, error))
				return NULL;
			j2date(DatumGetDateADT(value) + POSTGRES_EPOCH_JDATE,
				   &tm.tm_year, &tm.tm_mon, &tm.tm_mday);
			EncodeDateOnly(&tm, USE_XSD_DATES, buffer);
			break;
		case FEATHUB_SHAPE_TIME:
			if (!put_time(&type, scalar->u.integer, &value, error))
				return NULL;
			time2tm(DatumGetTimeADT(value), &tm, &fsec);
			EncodeTimeOnly(&tm, fsec, false, 0, USE_XSD_DATES, buffer);
			break;
		case FEATHUB_SHAPE_INTERVAL:
			return DatumGetCString(DirectFunctionCall1(interval_out,
													   IntervalPGetDatum(&scalar->u.interval)));
		default:
			type.kind = FEATHUB_CONVERT_TIMESTAMP;
			if (!put_timestamp(&type, scalar->u.integer, false, &value, error))
				return NULL;
			if (timestamp2tm(DatumGetTimestamp(value), NULL, &tm, &fsec, NULL, NULL) != 0)
			{
				(void) FeathubDecodeFail(error, ERRCODE_DATETIME_VALUE_OUT_OF_RANGE,
										 "timestamp out of range");
				return NULL;
			}
			tm.tm_isdst = 0;
			EncodeDateTime(&tm, fsec, shape->kind == FEATHUB_SHAPE_INSTANT, tz, NULL,
						   USE_XSD_DATES, buffer);
			break;
	}
	return pstrdup(buffer);
}

/* Any scalar as text in the server's encoding. */
static bool
scalar_text(const FeathubShape *shape, const FeathubScalar *scalar, const char **data, Size *len,
			FeathubDecodeError *error)
{
	switch (shape->kind)
	{
		case FEATHUB_SHAPE_BOOL:
			*data = scalar->u.boolean ? "true" : "false";
			break;
		case FEATHUB_SHAPE_INT:
			*data = shape->is_unsigned ? psprintf(UINT64_FORMAT, scalar->u.natural) :
				psprintf(INT64_FORMAT, scalar->u.integer);
			break;
		case FEATHUB_SHAPE_FLOAT:
			*data = shape->bits <= 32 ?
				DatumGetCString(DirectFunctionCall1(float4out,
													Float4GetDatum((float4) scalar->u.real))) :
				float8out_internal(scalar->u.real);
			break;
		case FEATHUB_SHAPE_DECIMAL:
			*data = DatumGetCString(DirectFunctionCall1(numeric_out,
														NumericGetDatum(scalar->u.numeric)));
			break;
		case FEATHUB_SHAPE_UUID:
			*data = DatumGetCString(DirectFunctionCall1(uuid_out,
														PointerGetDatum(scalar->u.bytes.data)));
			break;
		case FEATHUB_SHAPE_DATE:
		case FEATHUB_SHAPE_TIME:
		case FEATHUB_SHAPE_TIMESTAMP:
		case FEATHUB_SHAPE_INSTANT:
		case FEATHUB_SHAPE_INTERVAL:
			*data = time_text(shape, scalar, error);
			if (*data == NULL)
				return false;
			break;
		default:
			*data = scalar->u.bytes.data;
			*len = scalar->u.bytes.len;
			return FeathubServerText(PG_UTF8, CurrentMemoryContext, data, len, error);
	}
	*len = strlen(*data);
	return true;
}

/* To a type whose kind is not text and not json. */
static bool
convert_scalar(const FeathubShape *shape, const FeathubScalar *scalar, FeathubConverter *type,
			   Datum *result, FeathubDecodeError *error)
{
	switch (shape->kind)
	{
		case FEATHUB_SHAPE_BOOL:
			*result = BoolGetDatum(scalar->u.boolean);
			return true;
		case FEATHUB_SHAPE_INT:
			if (type->kind == FEATHUB_CONVERT_NUMERIC)
			{
				if (shape->is_unsigned && scalar->u.natural > PG_INT64_MAX)
				{
					unsigned char bytes[9] = {0};

					for (int i = 0; i < 8; i++)
						bytes[8 - i] = (unsigned char) (scalar->u.natural >> (8 * i));
					return put_numeric(type, FeathubDecimalToNumeric(bytes, 9, 0), result, error);
				}
				return put_numeric(type, int64_to_numeric(scalar->u.integer), result, error);
			}
			if (shape->is_unsigned && scalar->u.natural > PG_INT64_MAX)
			{
				if (FeathubKindIsFloat(type->kind))
					return put_float(type, (double) scalar->u.natural, result, error);
				return out_of_range(type, psprintf(UINT64_FORMAT, scalar->u.natural), error);
			}
			return put_int(type, scalar->u.integer, result, error);
		case FEATHUB_SHAPE_FLOAT:
			/* as many digits as a single has, not its binary neighbour */
			if (type->kind == FEATHUB_CONVERT_NUMERIC && shape->bits <= 32)
				return put_numeric(type, DatumGetNumeric(DirectFunctionCall1(float4_numeric,
																			 Float4GetDatum((float4) scalar->u.real))),
								   result, error);
			return put_float(type, scalar->u.real, result, error);
		case FEATHUB_SHAPE_DECIMAL:
			if (type->kind == FEATHUB_CONVERT_NUMERIC)
				return put_numeric(type, scalar->u.numeric, result, error);
			else
			{
				const char *text;
				Size		len;

				/* numbers of any size, with errors by value */
				return scalar_text(shape, scalar, &text, &len, error) &&
					put_text(type, text, len, result, error);
			}
		case FEATHUB_SHAPE_UUID:
		case FEATHUB_SHAPE_BYTES:
		case FEATHUB_SHAPE_TEXT:
		case FEATHUB_SHAPE_ENUM:
		case FEATHUB_SHAPE_JSON:
			if (shape->kind != FEATHUB_SHAPE_BYTES && shape->kind != FEATHUB_SHAPE_UUID &&
				type->kind == FEATHUB_CONVERT_UUID)
			{
				/* a text of 16 bytes is no uuid */
				const char *data = scalar->u.bytes.data;
				Size		len = scalar->u.bytes.len;

				return FeathubServerText(PG_UTF8, CurrentMemoryContext, &data, &len, error) &&
					put_text(type, data, len, result, error);
			}
			return put_bytes(type, scalar->u.bytes.data, scalar->u.bytes.len, result, error);
		case FEATHUB_SHAPE_DATE:
			return put_date(type, scalar->u.integer, result, error);
		case FEATHUB_SHAPE_TIME:
			return put_time(type, scalar->u.integer, result, error);
		case FEATHUB_SHAPE_TIMESTAMP:
		case FEATHUB_SHAPE_INSTANT:
			return put_timestamp(type, scalar->u.integer, shape->kind == FEATHUB_SHAPE_INSTANT,
								 result, error);
		case FEATHUB_SHAPE_INTERVAL:
			{
				Interval   *interval = palloc(sizeof(Interval));

				*interval = scalar->u.interval;
				*result = IntervalPGetDatum(interval);
				return true;
			}
		default:
			return FeathubDecodeFail(error, ERRCODE_FDW_INVALID_DATA_TYPE,
									 "%s cannot be converted to type %s",
									 FeathubShapeText(shape), format_type_be(type->base));
	}
}

bool
FeathubScalarConvert(const FeathubShape *shape, const FeathubScalar *scalar,
					 FeathubConverter *type, Datum *result, FeathubDecodeError *error)
{
	bool		ok;

	switch (type->kind)
	{
		case FEATHUB_CONVERT_JSON:
		case FEATHUB_CONVERT_JSONB:
			if (shape->kind == FEATHUB_SHAPE_JSON || shape->kind == FEATHUB_SHAPE_TEXT ||
				shape->kind == FEATHUB_SHAPE_BYTES)
				ok = put_bytes(type, scalar->u.bytes.data, scalar->u.bytes.len, result, error);
			else
			{
				JsonbValue	value;

				return FeathubScalarJsonb(shape, scalar, type, &value, error) &&
					FeathubJsonbConvert(&value, type, result, error);
			}
			break;
		case FEATHUB_CONVERT_TEXT:
		case FEATHUB_CONVERT_VARCHAR:
		case FEATHUB_CONVERT_BPCHAR:
			{
				const char *text;
				Size		len;

				ok = scalar_text(shape, scalar, &text, &len, error) &&
					put_text(type, text, len, result, error);
				break;
			}
		default:
			ok = convert_scalar(shape, scalar, type, result, error);
			break;
	}
	return ok && (!type->is_domain || FeathubConvertDomain(type, *result, false, error));
}

bool
FeathubScalarJsonb(const FeathubShape *shape, const FeathubScalar *scalar,
				   FeathubConverter *type, JsonbValue *result, FeathubDecodeError *error)
{
	FeathubConverter numeric = {.kind = FEATHUB_CONVERT_NUMERIC, .base = NUMERICOID};
	const char *string;
	Size		len;
	Datum		number;

	switch (shape->kind)
	{
		case FEATHUB_SHAPE_BOOL:
			result->type = jbvBool;
			result->val.boolean = scalar->u.boolean;
			return true;
		case FEATHUB_SHAPE_FLOAT:
			/* JSON has no notation for these: as text */
			if (isnan(scalar->u.real) || isinf(scalar->u.real))
				break;
			/* FALLTHROUGH */
		case FEATHUB_SHAPE_INT:
		case FEATHUB_SHAPE_DECIMAL:
			if (!convert_scalar(shape, scalar, &numeric, &number, error))
				return false;
			result->type = jbvNumeric;
			result->val.numeric = DatumGetNumeric(number);
			return true;
		case FEATHUB_SHAPE_BYTES:
			{
				int			size = pg_b64_enc_len((int) scalar->u.bytes.len);
				char	   *encoded = palloc(size);

				result->type = jbvString;
				result->val.string.val = encoded;
				result->val.string.len = pg_b64_encode((const void *) scalar->u.bytes.data,
													   (int) scalar->u.bytes.len,
													   encoded, size);
				return true;
			}
		default:
			break;
	}
	if (!scalar_text(shape, scalar, &string, &len, error))
		return false;
	if (len > JENTRY_OFFLENMASK)
		return FeathubDecodeFail(error, ERRCODE_PROGRAM_LIMIT_EXCEEDED,
								 "value of %zu bytes is too long for type jsonb", len);
	result->type = jbvString;
	result->val.string.val = pnstrdup(string, len);
	result->val.string.len = (int) len;
	return true;
}

bool
FeathubJsonbConvert(JsonbValue *value, FeathubConverter *type, Datum *result,
					FeathubDecodeError *error)
{
	Jsonb	   *jsonb = JsonbValueToJsonb(value);

	if (type->kind == FEATHUB_CONVERT_JSONB)
		*result = JsonbPGetDatum(jsonb);
	else
	{
		char	   *text = JsonbToCString(NULL, &jsonb->root, VARSIZE(jsonb));

		if (!put_text(type, text, strlen(text), result, error))
			return false;
	}
	return !type->is_domain || FeathubConvertDomain(type, *result, false, error);
}

/* Divide a magnitude by 10^9 in place; the remainder. */
static uint32
divide_billion(unsigned char *bytes, int len)
{
	uint64		rest = 0;

	for (int i = 0; i < len; i++)
	{
		rest = rest << 8 | bytes[i];
		bytes[i] = (unsigned char) (rest / 1000000000);
		rest %= 1000000000;
	}
	return (uint32) rest;
}

static bool
is_zero(const unsigned char *bytes, int len)
{
	for (int i = 0; i < len; i++)
	{
		if (bytes[i] != 0)
			return false;
	}
	return true;
}

Numeric
FeathubDecimalToNumeric(const unsigned char *bytes, int len, int scale)
{
	bool		negative = len > 0 && (bytes[0] & 0x80) != 0;
	unsigned char fill = negative ? 0xff : 0;
	unsigned char *magnitude;
	char	   *text;
	char	   *p;
	int			size;
	Datum		result;

	/* bytes that say no more than the sign */
	while (len > 1 && bytes[0] == fill && ((bytes[1] ^ fill) & 0x80) == 0)
		bytes++, len--;
	if (len <= 8 && scale >= 0 && scale <= 18)
	{
		uint64		value = negative ? PG_UINT64_MAX : 0;

		for (int i = 0; i < len; i++)
			value = value << 8 | bytes[i];
		return scale == 0 ? int64_to_numeric((int64) value) :
			int64_div_fast_to_numeric((int64) value, scale);
	}

	magnitude = palloc(len);
	memcpy(magnitude, bytes, len);
	if (negative)
	{
		int			carry = 1;

		for (int i = len - 1; i >= 0; i--)
		{
			int			b = (unsigned char) ~magnitude[i] + carry;

			magnitude[i] = (unsigned char) b;
			carry = b >> 8;
		}
	}
	/* a byte is less than 2.41 digits; sign, exponent, end, a group more */
	size = len * 5 / 2 + 40;
	text = palloc(size);
	p = text + size;
	*--p = '\0';
	p -= 16;
	snprintf(p, 16, "e%d", -scale);
	do
	{
		uint32		group = divide_billion(magnitude, len);

		for (int i = 0; i < 9; i++)
		{
			*--p = (char) ('0' + group % 10);
			group /= 10;
		}
	} while (!is_zero(magnitude, len));
	if (negative)
		*--p = '-';
	result = DirectFunctionCall3(numeric_in, CStringGetDatum(p), ObjectIdGetDatum(InvalidOid),
								 Int32GetDatum(-1));
	pfree(text);
	pfree(magnitude);
	return DatumGetNumeric(result);
}

int
FeathubDecimalBytes(int precision)
{
	/* log2(10) / 8 bytes a digit, and a bit for the sign */
	return (int) ceil((precision * 3.3219280948873623 + 1) / 8);
}

void
FeathubNumericToDecimal(Numeric value, int precision, int scale, unsigned char *bytes, int len,
						const char *what)
{
	char	   *text = NULL;
	bool		negative;
	bool		fits = true;
	int			digits = 0;

	if (!numeric_is_nan(value) && !numeric_is_inf(value))
		text = DatumGetCString(DirectFunctionCall1(numeric_out,
												   DirectFunctionCall2(numeric_round,
																	   NumericGetDatum(value),
																	   Int32GetDatum(scale))));
	memset(bytes, 0, len);
	negative = text != NULL && *text == '-';
	for (char *p = text; p != NULL && *p != '\0'; p++)
	{
		int			carry;

		if (*p < '0' || *p > '9')
			continue;
		CHECK_FOR_INTERRUPTS();
		digits += digits > 0 || *p != '0';
		carry = *p - '0';
		for (int i = len - 1; i >= 0; i--)
		{
			carry += bytes[i] * 10;
			bytes[i] = (unsigned char) carry;
			carry >>= 8;
		}
		fits = fits && carry == 0;
	}
	/* bytes of a given number may be too few; the first bit is the sign's */
	if (len > 0 && (bytes[0] & 0x80) != 0)
		fits = fits && negative && bytes[0] == 0x80 && is_zero(bytes + 1, len - 1);
	if (text == NULL || digits > precision || !fits)
		ereport(ERROR,
				(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				 errmsg("value %s of column \"%s\" cannot be written as decimal(%d,%d)",
						DatumGetCString(DirectFunctionCall1(numeric_out, NumericGetDatum(value))),
						what, precision, scale)));
	if (negative)
	{
		int			carry = 1;

		for (int i = len - 1; i >= 0; i--)
		{
			int			b = (unsigned char) ~bytes[i] + carry;

			bytes[i] = (unsigned char) b;
			carry = b >> 8;
		}
	}
	pfree(text);
}

int32
FeathubDateToUnix(Datum value, const char *what)
{
	DateADT		date = DatumGetDateADT(value);

	if (DATE_NOT_FINITE(date))
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("cannot write an infinite date of column \"%s\"", what)));
	return date + (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE);
}

int64
FeathubTimestampToUnix(Datum value, const char *what)
{
	Timestamp	timestamp = DatumGetTimestamp(value);

	if (TIMESTAMP_NOT_FINITE(timestamp))
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("cannot write an infinite timestamp of column \"%s\"", what)));
	if (pg_add_s64_overflow(timestamp,
							(POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * USECS_PER_DAY,
							&timestamp))
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("timestamp of column \"%s\" is too late to be written", what)));
	return timestamp;
}

void
FeathubValueText(const FeathubConverter *type, FmgrInfo *output, Datum value,
				 const char **data, Size *len)
{
	char	   *converted;

	switch (type->kind)
	{
		case FEATHUB_CONVERT_TEXT:
		case FEATHUB_CONVERT_VARCHAR:
		case FEATHUB_CONVERT_BPCHAR:
		case FEATHUB_CONVERT_JSON:
			{
				text	   *t = DatumGetTextPP(value);

				*data = VARDATA_ANY(t);
				*len = VARSIZE_ANY_EXHDR(t);
				break;
			}
		default:
			*data = OutputFunctionCall(output, value);
			*len = strlen(*data);
			break;
	}
	if (GetDatabaseEncoding() == PG_UTF8)
		return;
	converted = pg_server_to_any(*data, (int) *len, PG_UTF8);
	if (converted != *data)
	{
		*data = converted;
		*len = strlen(converted);
	}
}
