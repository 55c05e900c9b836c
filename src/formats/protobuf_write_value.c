/*
 * protobuf_write_value.c
 *		Single Datums to values of Protocol Buffers' fields.
 */
#include "postgres.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "common/int.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/datetime.h"
#include "utils/float.h"
#include "utils/fmgrprotos.h"
#include "utils/uuid.h"

#include "core/compat.h"
#include "formats/json_path.h"
#include "formats/protobuf.h"

/* Seconds that google.protobuf's Timestamp and Duration may have, both ways. */
#define FIRST_SECOND INT64CONST(-62135596800)
#define LAST_SECOND INT64CONST(253402300799)
#define MAX_SECONDS INT64CONST(315576000000)

static void
out_of_range(const FeathubProtoField *field, const char *value, const char *column)
{
	ereport(ERROR,
			(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
			 errmsg("value %s of column \"%s\" is out of range for field \"%s\" of type %s", value,
					column, field->name, FeathubShapeText(field->shape))));
}

void
FeathubProtobufFromInteger(const FeathubProtoField *field, int64 value, const char *column,
						   FeathubProtoRaw *raw)
{
	bool		fits = true;

	raw->bits = (uint64) value;
	switch (field->def->type)
	{
		case FEATHUB_PROTOBUF_INT32:
		case FEATHUB_PROTOBUF_ENUM:
			fits = value == (int32) value;
			break;
		case FEATHUB_PROTOBUF_SFIXED32:
			fits = value == (int32) value;
			raw->bits = (uint32) value;
			break;
		case FEATHUB_PROTOBUF_SINT32:
			fits = value == (int32) value;
			raw->bits = (uint32) (((uint32) value << 1) ^ (uint32) (value >> 63));
			break;
		case FEATHUB_PROTOBUF_SINT64:
			raw->bits = ((uint64) value << 1) ^ (uint64) (value >> 63);
			break;
		case FEATHUB_PROTOBUF_UINT32:
		case FEATHUB_PROTOBUF_FIXED32:
			fits = value >= 0 && value <= PG_UINT32_MAX;
			break;
		case FEATHUB_PROTOBUF_UINT64:
		case FEATHUB_PROTOBUF_FIXED64:
			fits = value >= 0;
			break;
		default:
			break;
	}
	if (!fits)
		out_of_range(field, psprintf(INT64_FORMAT, value), column);
}

void
FeathubProtobufFromReal(const FeathubProtoField *field, double value, const char *column,
						FeathubProtoRaw *raw)
{
	union
	{
		uint32		i4;
		uint64		i8;
		float		f4;
		double		f8;
	}			bits = {0};

	if (field->def->type == FEATHUB_PROTOBUF_FLOAT)
	{
		bits.f4 = (float) value;
		if (isinf(bits.f4) && !isinf(value))
			out_of_range(field, float8out_internal(value), column);
		raw->bits = bits.i4;
	}
	else
	{
		bits.f8 = value;
		raw->bits = bits.i8;
	}
}

void
FeathubProtobufFromNumeric(const FeathubProtoField *field, Numeric value, const char *column,
						   FeathubProtoRaw *raw)
{
	Datum		datum = NumericGetDatum(value);
	char	   *text;
	char	   *end;

	if (!FeathubProtobufIsInteger(field->def->type))
	{
		double		real = DatumGetFloat8(DirectFunctionCall1(numeric_float8_no_overflow, datum));

		if (isinf(real) && !numeric_is_inf(value))
		{
			text = DatumGetCString(DirectFunctionCall1(numeric_out, datum));
			out_of_range(field, FeathubConvertShow(text, strlen(text)), column);
		}
		FeathubProtobufFromReal(field, real, column, raw);
		return;
	}
	text = DatumGetCString(DirectFunctionCall1(numeric_out, datum));
	if (numeric_is_nan(value) || numeric_is_inf(value) ||
		!DatumGetBool(DirectFunctionCall2(numeric_eq, datum,
										  DirectFunctionCall2(numeric_trunc, datum,
															  Int32GetDatum(0)))))
		ereport(ERROR,
				(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				 errmsg("value %s of column \"%s\" is no integer, as field \"%s\" needs", text,
						column, field->name)));
	text = DatumGetCString(DirectFunctionCall1(numeric_out,
											   DirectFunctionCall2(numeric_trunc, datum,
																   Int32GetDatum(0))));
	errno = 0;
	if (field->shape->is_unsigned && field->shape->bits == 64 && *text != '-')
		raw->bits = strtou64(text, &end, 10);
	else
	{
		int64		integer = strtoi64(text, &end, 10);

		if (errno == 0)
			FeathubProtobufFromInteger(field, integer, column, raw);
	}
	if (errno != 0 || *end != '\0')
		out_of_range(field, text, column);
}

void
FeathubProtobufFromName(const FeathubProtoField *field, const char *name, Size len,
						const char *column, FeathubProtoRaw *raw)
{
	const FeathubProtobufEnum *type = field->enumeration;
	int64		number;

	for (int i = 0; i < type->nvalues; i++)
	{
		if (strlen(type->values[i].name) == len && memcmp(type->values[i].name, name, len) == 0)
		{
			FeathubProtobufFromInteger(field, type->values[i].number, column, raw);
			return;
		}
	}
	/* as numbers without a name are read */
	if (FeathubNumberToInt64(name, len, 0, true, &number) == FEATHUB_NUMBER_OK &&
		(!type->is_closed || (number == (int32) number &&
							  FeathubProtobufEnumName(type, (int32) number) != NULL)))
	{
		FeathubProtobufFromInteger(field, number, column, raw);
		return;
	}
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_TEXT_REPRESENTATION),
			 errmsg("value \"%s\" of column \"%s\" is none of enum \"%s\"",
					FeathubConvertShow(name, len), column, type->full_name)));
}

/* Divide, rounding down. */
static int64
divide_down(int64 value, int64 by)
{
	return value / by - (value % by < 0);
}

/* A date or timestamp in a field of integers or text. */
static void
from_time(const FeathubProtoField *field, const FeathubConverter *type, Datum value,
		  const char *column, FeathubProtoRaw *raw)
{
	static const int64 units[] = {
		[FEATHUB_TIMESTAMP_EPOCH_SECONDS] = USECS_PER_SEC,
		[FEATHUB_TIMESTAMP_EPOCH_MILLIS] = 1000,
		[FEATHUB_TIMESTAMP_EPOCH_MICROS] = 1,
		[FEATHUB_TIMESTAMP_EPOCH_DAYS] = USECS_PER_DAY
	};
	int64		micros;

	if (field->def->type == FEATHUB_PROTOBUF_STRING)
	{
		FeathubConvertSettings settings = *type->settings;
		FeathubConverter iso = *type;
		StringInfoData text;

		settings.timestamp_format = FEATHUB_TIMESTAMP_ISO8601;
		iso.settings = &settings;
		initStringInfo(&text);
		FeathubJsonTimeText(&iso, value, &text);
		/* without its quotes */
		raw->p = (const unsigned char *) text.data + 1;
		raw->len = text.len - 2;
		return;
	}
	if (type->kind != FEATHUB_CONVERT_DATE)
		micros = FeathubTimestampToUnix(value, column);
	else if (pg_mul_s64_overflow(FeathubDateToUnix(value, column), USECS_PER_DAY, &micros) ||
			 !IS_VALID_TIMESTAMP(micros))
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("date of column \"%s\" is too late to be written", column)));
	if (type->kind != FEATHUB_CONVERT_TIMESTAMPTZ)
		micros = FeathubTimestampToUnix(TimestampGetDatum(FeathubLocalToUtc(micros - (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * USECS_PER_DAY,
																			type->settings->zone)),
										column);
	FeathubProtobufFromInteger(field, divide_down(micros, units[type->settings->timestamp_format]),
							   column, raw);
}

/* Fields of a message of a known type that are numbers; zeros are left out. */
static void
put_part(int number, int64 value, StringInfo out)
{
	if (value == 0)
		return;
	FeathubProtobufPutTag(number, PROTO_WIRE_VARINT, out);
	FeathubProtobufPutVarint((uint64) value, out);
}

static void
put_duration(const Interval *interval, const char *column, StringInfo out)
{
	int64		micros;

	/* no number of seconds is a month */
	if (interval->month != 0 ||
		pg_mul_s64_overflow(interval->day, USECS_PER_DAY, &micros) ||
		pg_add_s64_overflow(micros, interval->time, &micros))
		ereport(ERROR,
				(errcode(ERRCODE_INTERVAL_FIELD_OVERFLOW),
				 errmsg("interval of column \"%s\" cannot be written as a duration", column),
				 errdetail("It has months, or is too long.")));
	if (micros / USECS_PER_SEC > MAX_SECONDS || micros / USECS_PER_SEC < -MAX_SECONDS)
		ereport(ERROR,
				(errcode(ERRCODE_INTERVAL_FIELD_OVERFLOW),
				 errmsg("interval of column \"%s\" cannot be written as a duration", column),
				 errdetail("It is longer than 10000 years.")));
	put_part(1, micros / USECS_PER_SEC, out);
	put_part(2, micros % USECS_PER_SEC * 1000, out);
}

/* Since 1970; earlier seconds have nanoseconds that count forward. */
static void
put_timestamp(int64 micros, const char *column, StringInfo out)
{
	int64		seconds = divide_down(micros, USECS_PER_SEC);

	if (seconds < FIRST_SECOND || seconds > LAST_SECOND)
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("timestamp of column \"%s\" cannot be written: its year is not between 1 and 9999",
						column)));
	put_part(1, seconds, out);
	put_part(2, (micros - seconds * USECS_PER_SEC) * 1000, out);
}

static void
put_date(DateADT date, const char *column, StringInfo out)
{
	int			year = 0;
	int			month = 0;
	int			day = 0;

	if (!DATE_NOT_FINITE(date))
		j2date(date + POSTGRES_EPOCH_JDATE, &year, &month, &day);
	if (year < 1 || year > 9999)
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("date of column \"%s\" cannot be written: its year is not between 1 and 9999",
						column)));
	put_part(1, year, out);
	put_part(2, month, out);
	put_part(3, day, out);
}

/* confluent.type.Decimal */
static void
put_decimal(Numeric value, const char *column, StringInfo out)
{
	char	   *text = DatumGetCString(DirectFunctionCall1(numeric_out, NumericGetDatum(value)));
	const char *point = strchr(text, '.');
	int			scale = point == NULL ? 0 : (int) strlen(point + 1);
	int			precision = 0;
	int			len;
	unsigned char *bytes;
	const unsigned char *p;

	if (numeric_is_nan(value) || numeric_is_inf(value))
		ereport(ERROR,
				(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				 errmsg("value %s of column \"%s\" cannot be written as a decimal", text, column)));
	for (const char *c = text; *c != '\0'; c++)
		precision += *c >= '0' && *c <= '9';
	len = FeathubDecimalBytes(precision);
	bytes = palloc(Max(len, 1));
	FeathubNumericToDecimal(value, precision, scale, bytes, len, column);
	p = bytes;
	/* bytes that say no more than the sign */
	while (len > 1 && ((p[0] == 0 && p[1] < 0x80) || (p[0] == 0xff && p[1] >= 0x80)))
		p++, len--;
	FeathubProtobufPutTag(1, PROTO_WIRE_BYTES, out);
	FeathubProtobufPutVarint(len, out);
	appendBinaryStringInfo(out, (const char *) p, len);
	put_part(2, precision, out);
	put_part(3, scale, out);
}

/* A message of a known type. */
static void
from_known(const FeathubProtoField *field, FeathubConverter *type, FmgrInfo *output, Datum value,
		   const char *column, FeathubProtoRaw *raw)
{
	StringInfoData out;
	int64		micros;

	initStringInfo(&out);
	switch (field->message->known)
	{
		case PROTO_TIMESTAMP:
			if (type->kind == FEATHUB_CONVERT_TIMESTAMP)
				value = TimestampGetDatum(FeathubLocalToUtc(DatumGetTimestamp(value),
															type->settings->zone));
			put_timestamp(FeathubTimestampToUnix(value, column), column, &out);
			break;
		case PROTO_DURATION:
			put_duration(DatumGetIntervalP(value), column, &out);
			break;
		case PROTO_DATE:
			put_date(DatumGetDateADT(value), column, &out);
			break;
		case PROTO_TIME_OF_DAY:
			micros = DatumGetTimeADT(value);
			put_part(1, micros / USECS_PER_HOUR, &out);
			put_part(2, micros / USECS_PER_MINUTE % MINS_PER_HOUR, &out);
			put_part(3, micros / USECS_PER_SEC % SECS_PER_MINUTE, &out);
			put_part(4, micros % USECS_PER_SEC * 1000, &out);
			break;
		case PROTO_DECIMAL:
			put_decimal(FeathubNumberToNumeric(type, value), column, &out);
			break;
		default:
			{
				/* a wrapper */
				const FeathubProtoField *inner = &field->message->fields[0];
				FeathubProtoRaw part = {0};

				FeathubProtobufFromDatum(inner, type, output, value, column, &part);
				if (part.bits != 0 || part.len != 0)
					FeathubProtobufEmit(inner, &part, true, &out);
				break;
			}
	}
	raw->p = (const unsigned char *) out.data;
	raw->len = out.len;
}

static void
from_bytes(const FeathubConverter *type, FmgrInfo *output, Datum value, FeathubProtoRaw *raw)
{
	const char *data;

	if (type->kind == FEATHUB_CONVERT_UUID)
	{
		raw->p = DatumGetUUIDP(value)->data;
		raw->len = UUID_LEN;
	}
	else if (type->kind == FEATHUB_CONVERT_BYTEA)
	{
		bytea	   *bytes = DatumGetByteaPP(value);

		raw->p = (const unsigned char *) VARDATA_ANY(bytes);
		raw->len = VARSIZE_ANY_EXHDR(bytes);
	}
	else
	{
		FeathubValueText(type, output, value, &data, &raw->len);
		raw->p = (const unsigned char *) data;
	}
}

void
FeathubProtobufFromDatum(const FeathubProtoField *field, FeathubConverter *type, FmgrInfo *output,
						 Datum value, const char *column, FeathubProtoRaw *raw)
{
	const char *data;
	Size		len;

	if (FeathubProtobufIsTimeColumn(field, type))
	{
		from_time(field, type, value, column, raw);
		return;
	}
	if (field->message != NULL)
	{
		from_known(field, type, output, value, column, raw);
		return;
	}
	switch (field->def->type)
	{
		case FEATHUB_PROTOBUF_BOOL:
			raw->bits = DatumGetBool(value);
			break;
		case FEATHUB_PROTOBUF_DOUBLE:
		case FEATHUB_PROTOBUF_FLOAT:
			if (type->kind == FEATHUB_CONVERT_NUMERIC)
				FeathubProtobufFromNumeric(field, DatumGetNumeric(value), column, raw);
			else
				FeathubProtobufFromReal(field, FeathubNumberToReal(type, value), column, raw);
			break;
		case FEATHUB_PROTOBUF_STRING:
			FeathubValueText(type, output, value, &data, &len);
			raw->p = (const unsigned char *) data;
			raw->len = len;
			break;
		case FEATHUB_PROTOBUF_BYTES:
			from_bytes(type, output, value, raw);
			break;
		case FEATHUB_PROTOBUF_ENUM:
			if (FeathubKindIsInteger(type->kind))
			{
				FeathubProtobufFromInteger(field, FeathubNumberToInteger(type, value), column, raw);
				if (field->enumeration->is_closed &&
					FeathubProtobufEnumName(field->enumeration, (int32) raw->bits) == NULL)
					out_of_range(field, psprintf("%d", (int32) raw->bits), column);
				break;
			}
			FeathubValueText(type, output, value, &data, &len);
			FeathubProtobufFromName(field, data, len, column, raw);
			break;
		default:
			if (type->kind == FEATHUB_CONVERT_NUMERIC)
				FeathubProtobufFromNumeric(field, DatumGetNumeric(value), column, raw);
			else
				FeathubProtobufFromInteger(field, FeathubNumberToInteger(type, value), column, raw);
			break;
	}
}
