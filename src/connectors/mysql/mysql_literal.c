/*
 * mysql_literal.c
 *		Values as literals of the server's SQL.
 *
 * A value is taken apart first (FeathubMysqlReadValue), which is also what
 * mysql_bulk.c sends of it.  A literal's type is what the server makes of it in a
 * comparison too, so it is written such that it means exactly the value: a double
 * has an exponent, a decimal none, times are in UTC.  What the server has no value
 * for (NaN, infinity, years before 1 and after 9999) is an error.
 */
#include "postgres.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "common/shortest_dec.h"
#include "mb/pg_wchar.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/datetime.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/numeric.h"
#include "utils/timestamp.h"
#include "utils/varbit.h"

#include "connectors/mysql/mysql_connector.h"
#include "formats/convert.h"

/* What DECIMAL can have: digits in all and behind the point. */
#define DECIMAL_DIGITS	65
#define DECIMAL_SCALE	30

/* The longest TIME: 838:59:59.999999. */
#define TIME_MAX	(((838 * INT64CONST(60) + 59) * 60 + 60) * USECS_PER_SEC - 1)

struct MysqlWriter
{
	Oid			type;			/* a domain's base type */
	FmgrInfo	output;
	bool		varlena;
	Oid			element;		/* of an array, else invalid */
	int16		elmlen;
	bool		elmbyval;
	char		elmalign;
	MysqlWriter *element_writer;
};

/* Set while a statement is written that failed without it (1267). */
static bool collate_literals = false;

static void write_double(StringInfo out, double value);
static bool read_datetime(Oid type, Datum value, MysqlTime *out);
static bool read_interval(const Interval *interval, MysqlTime *out);
static void split_time(int64 time, MysqlTime *out);
static void write_date(StringInfo out, const MysqlTime *time);
static void write_time(StringInfo out, const MysqlTime *time);
static void read_bytes(MysqlValue *out, Datum value);
static void read_members(MysqlWriter *writer, MysqlValue *out, Datum value);
static void read_output(MysqlWriter *writer, MysqlValue *out, Datum value);
static void make_utf8(MysqlValue *out);
static void write_text(StringInfo out, const char *utf8, Size len);
static bool numeric_fits(const char *text);
pg_noreturn static void raise_unwritable(Oid type, Datum value);

MysqlWriter *
FeathubMysqlWriterMake(Oid type)
{
	MysqlWriter *writer = palloc0(sizeof(MysqlWriter));
	Oid			output;

	writer->type = getBaseType(type);
	getTypeOutputInfo(writer->type, &output, &writer->varlena);
	fmgr_info(output, &writer->output);
	writer->element = get_element_type(writer->type);
	if (OidIsValid(writer->element))
	{
		get_typlenbyvalalign(writer->element, &writer->elmlen, &writer->elmbyval,
							 &writer->elmalign);
		writer->element_writer = FeathubMysqlWriterMake(writer->element);
	}
	return writer;
}

MysqlValueKind
FeathubMysqlWriterKind(const MysqlWriter *writer)
{
	switch (writer->type)
	{
		case BOOLOID:
		case INT2OID:
		case INT4OID:
		case INT8OID:
			return MYSQL_VALUE_INTEGER;
		case FLOAT4OID:
		case FLOAT8OID:
			return MYSQL_VALUE_DOUBLE;
		case NUMERICOID:
			return MYSQL_VALUE_DECIMAL;
		case BYTEAOID:
			return MYSQL_VALUE_BYTES;
		case DATEOID:
			return MYSQL_VALUE_DATE;
		case TIMESTAMPOID:
		case TIMESTAMPTZOID:
			return MYSQL_VALUE_DATETIME;
		case TIMEOID:
		case INTERVALOID:
			return MYSQL_VALUE_TIME;
		case BITOID:
		case VARBITOID:
			return MYSQL_VALUE_BITS;
		default:
			return MYSQL_VALUE_TEXT;
	}
}

void
FeathubMysqlReadValue(MysqlWriter *writer, Datum value, MysqlValue *out)
{
	out->allocated = NULL;
	switch (writer->type)
	{
		case BOOLOID:
			out->integer = DatumGetBool(value) ? 1 : 0;
			return;
		case INT2OID:
			out->integer = DatumGetInt16(value);
			return;
		case INT4OID:
			out->integer = DatumGetInt32(value);
			return;
		case INT8OID:
			out->integer = DatumGetInt64(value);
			return;
		case FLOAT4OID:
		case FLOAT8OID:
			out->number = writer->type == FLOAT4OID ? DatumGetFloat4(value) : DatumGetFloat8(value);
			if (!isfinite(out->number))
				raise_unwritable(writer->type, value);
			return;
		case NUMERICOID:
		case BITOID:
		case VARBITOID:
			out->data = out->allocated = OutputFunctionCall(&writer->output, value);
			out->len = strlen(out->data);
			if (writer->type == NUMERICOID ? !numeric_fits(out->data) : out->len > 64)
				raise_unwritable(writer->type, value);
			return;
		case BYTEAOID:
			read_bytes(out, value);
			return;
		case TEXTOID:
		case VARCHAROID:
		case BPCHAROID:
		case JSONOID:
			read_bytes(out, value);
			make_utf8(out);
			return;
		case DATEOID:
		case TIMESTAMPOID:
		case TIMESTAMPTZOID:
			if (!read_datetime(writer->type, value, &out->time))
				raise_unwritable(writer->type, value);
			return;
		case TIMEOID:
			split_time(DatumGetTimeADT(value), &out->time);
			return;
		case INTERVALOID:
			if (!read_interval(DatumGetIntervalP(value), &out->time))
				raise_unwritable(writer->type, value);
			return;
		default:
			if (OidIsValid(writer->element))
				read_members(writer, out, value);
			else
				read_output(writer, out, value);
			make_utf8(out);
			return;
	}
}

void
FeathubMysqlWriteLiteral(MysqlWriter *writer, StringInfo out, Datum value)
{
	MysqlValue	v;

	FeathubMysqlReadValue(writer, value, &v);
	switch (FeathubMysqlWriterKind(writer))
	{
		case MYSQL_VALUE_INTEGER:
			enlargeStringInfo(out, MAXINT8LEN + 1);
			out->len += pg_lltoa(v.integer, out->data + out->len);
			break;
		case MYSQL_VALUE_DOUBLE:
			write_double(out, v.number);
			break;
		case MYSQL_VALUE_DECIMAL:
			appendBinaryStringInfo(out, v.data, v.len);
			break;
		case MYSQL_VALUE_BITS:
			appendStringInfo(out, "b'%s'", v.data);
			break;
		case MYSQL_VALUE_BYTES:
			appendStringInfoString(out, "_binary");
			FeathubMysqlQuoteString(out, v.data, v.len);
			break;
		case MYSQL_VALUE_TEXT:
			write_text(out, v.data, v.len);
			break;
		case MYSQL_VALUE_DATE:
			appendStringInfoString(out, "DATE'");
			write_date(out, &v.time);
			appendStringInfoChar(out, '\'');
			break;
		case MYSQL_VALUE_DATETIME:
			appendStringInfoString(out, "TIMESTAMP'");
			write_date(out, &v.time);
			appendStringInfoChar(out, ' ');
			write_time(out, &v.time);
			appendStringInfoChar(out, '\'');
			break;
		case MYSQL_VALUE_TIME:
			appendStringInfoString(out, v.time.negative ? "TIME'-" : "TIME'");
			write_time(out, &v.time);
			appendStringInfoChar(out, '\'');
			break;
	}
	if (v.allocated)
		pfree(v.allocated);
}

void
FeathubMysqlCollateLiterals(bool collate)
{
	collate_literals = collate;
}

/* Bytes as a string; whoever calls says of which character set. */
void
FeathubMysqlQuoteString(StringInfo out, const char *data, Size len)
{
	const char *end = data + len;

	enlargeStringInfo(out, len + 2);
	appendStringInfoCharMacro(out, '\'');
	while (data < end)
	{
		const char *p = data;

		while (p < end && *p != '\'' && *p != '\\' && *p != '\0')
			p++;
		appendBinaryStringInfo(out, data, p - data);
		if (p < end)
		{
			appendStringInfoChar(out, '\\');
			appendStringInfoChar(out, *p == '\0' ? '0' : *p);
			p++;
		}
		data = p;
	}
	appendStringInfoChar(out, '\'');
}

void
FeathubMysqlQuoteName(StringInfo out, const char *name)
{
	char	   *utf8 = pg_server_to_any(name, strlen(name), PG_UTF8);

	appendStringInfoChar(out, '`');
	for (; *utf8; utf8++)
	{
		if (*utf8 == '`')
			appendStringInfoChar(out, '`');
		appendStringInfoChar(out, *utf8);
	}
	appendStringInfoChar(out, '`');
}

bool
FeathubMysqlConstWritable(Const *value)
{
	return value->constisnull || FeathubMysqlValueWritable(value->consttype, value->constvalue);
}

bool
FeathubMysqlValueWritable(Oid type, Datum value)
{
	MysqlTime	time;

	type = getBaseType(type);
	switch (type)
	{
		case FLOAT4OID:
			return isfinite(DatumGetFloat4(value));
		case FLOAT8OID:
			return isfinite(DatumGetFloat8(value));
		case NUMERICOID:
			return numeric_fits(DatumGetCString(DirectFunctionCall1(numeric_out, value)));
		case DATEOID:
		case TIMESTAMPOID:
		case TIMESTAMPTZOID:
			return read_datetime(type, value, &time);
		default:
			return true;
	}
}

/* The shortest digits that mean the value; the exponent makes it a double. */
static void
write_double(StringInfo out, double value)
{
	char		buf[DOUBLE_SHORTEST_DECIMAL_LEN];

	double_to_shortest_decimal_buf(value, buf);
	appendStringInfoString(out, buf);
	if (strchr(buf, 'e') == NULL)
		appendStringInfoString(out, "e0");
}

/* Has it no more digits than a DECIMAL, and is it a number at all? */
static bool
numeric_fits(const char *text)
{
	int			ndigits = 0;
	int			scale = 0;
	bool		fraction = false;

	for (const char *p = text; *p; p++)
	{
		if (*p == '.')
			fraction = true;
		else if (*p >= '0' && *p <= '9')
		{
			ndigits++;
			scale += fraction;
		}
		else if (*p != '-')
			return false;
	}
	return ndigits <= DECIMAL_DIGITS && scale <= DECIMAL_SCALE;
}

/* A date, or a date and time; false if the server has no such day. */
static bool
read_datetime(Oid type, Datum value, MysqlTime *out)
{
	struct pg_tm tm;
	fsec_t		fsec = 0;

	memset(&tm, 0, sizeof(tm));
	if (type == DATEOID)
	{
		DateADT		date = DatumGetDateADT(value);

		if (DATE_NOT_FINITE(date))
			return false;
		j2date(date + POSTGRES_EPOCH_JDATE, &tm.tm_year, &tm.tm_mon, &tm.tm_mday);
	}
	else if (TIMESTAMP_NOT_FINITE(DatumGetTimestamp(value)) ||
			 timestamp2tm(DatumGetTimestamp(value), NULL, &tm, &fsec, NULL, NULL) != 0)
		return false;
	if (tm.tm_year < 1 || tm.tm_year > 9999)
		return false;
	out->negative = false;
	out->year = tm.tm_year;
	out->month = tm.tm_mon;
	out->day = tm.tm_mday;
	out->hour = tm.tm_hour;
	out->minute = tm.tm_min;
	out->second = tm.tm_sec;
	out->micros = fsec;
	return true;
}

static void
split_time(int64 time, MysqlTime *out)
{
	memset(out, 0, sizeof(MysqlTime));
	out->negative = time < 0;
	time = Abs(time);
	out->hour = time / USECS_PER_HOUR;
	out->minute = time / USECS_PER_MINUTE % 60;
	out->second = time / USECS_PER_SEC % 60;
	out->micros = time % USECS_PER_SEC;
}

/* TIME, if it is one: no months, no more than 838 hours. */
static bool
read_interval(const Interval *interval, MysqlTime *out)
{
	int64		time = interval->time;

	if (interval->month != 0 || Abs(interval->day) > 35)
		return false;
	time += interval->day * USECS_PER_DAY;
	if (time > TIME_MAX || time < -TIME_MAX)
		return false;
	split_time(time, out);
	return true;
}

/* At least so many digits */
static void
write_number(StringInfo out, int number, int digits)
{
	char	   *end;

	enlargeStringInfo(out, MAXINT8LEN + 1);
	end = pg_ultostr_zeropad(out->data + out->len, number, digits);
	*end = '\0';
	out->len = end - out->data;
}

static void
write_date(StringInfo out, const MysqlTime *time)
{
	write_number(out, time->year, 4);
	appendStringInfoChar(out, '-');
	write_number(out, time->month, 2);
	appendStringInfoChar(out, '-');
	write_number(out, time->day, 2);
}

static void
write_time(StringInfo out, const MysqlTime *time)
{
	write_number(out, time->hour, 2);
	appendStringInfoChar(out, ':');
	write_number(out, time->minute, 2);
	appendStringInfoChar(out, ':');
	write_number(out, time->second, 2);
	if (time->micros == 0)
		return;
	appendStringInfoChar(out, '.');
	write_number(out, time->micros, 6);
}

/* The bytes of a value with a length. */
static void
read_bytes(MysqlValue *out, Datum value)
{
	struct varlena *bytes = PG_DETOAST_DATUM_PACKED(value);

	out->data = VARDATA_ANY(bytes);
	out->len = VARSIZE_ANY_EXHDR(bytes);
	if ((Pointer) bytes != DatumGetPointer(value))
		out->allocated = bytes;
}

/* An array is a SET: its members, with commas between. */
static void
read_members(MysqlWriter *writer, MysqlValue *out, Datum value)
{
	Datum	   *elements;
	bool	   *nulls;
	int			n;
	StringInfoData text;

	initStringInfo(&text);
	deconstruct_array(DatumGetArrayTypeP(value), writer->element, writer->elmlen,
					  writer->elmbyval, writer->elmalign, &elements, &nulls, &n);
	for (int i = 0; i < n; i++)
	{
		char	   *member;

		if (nulls[i])
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("a set of the foreign server cannot have a null member")));
		member = OutputFunctionCall(&writer->element_writer->output, elements[i]);
		if (strchr(member, ',') != NULL)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_TEXT_REPRESENTATION),
					 errmsg("a member of a set of the foreign server cannot have a comma: \"%s\"",
							member)));
		if (i > 0)
			appendStringInfoChar(&text, ',');
		appendStringInfoString(&text, member);
	}
	out->data = out->allocated = text.data;
	out->len = text.len;
}

/* What the type's output function makes of a value, whatever the session's settings. */
static void
read_output(MysqlWriter *writer, MysqlValue *out, Datum value)
{
	FeathubTextModes modes;

	FeathubTextModesSet(&modes, NULL);
	PG_TRY();
	{
		out->data = out->allocated = OutputFunctionCall(&writer->output, value);
	}
	PG_FINALLY();
	{
		FeathubTextModesRestore(&modes);
	}
	PG_END_TRY();
	out->len = strlen(out->data);
}

/* Text goes to the server in UTF-8. */
static void
make_utf8(MysqlValue *out)
{
	char	   *utf8 = pg_server_to_any(out->data, out->len, PG_UTF8);

	if (utf8 == out->data)
		return;
	if (out->allocated)
		pfree(out->allocated);
	out->data = out->allocated = utf8;
	out->len = strlen(utf8);
}

static void
write_text(StringInfo out, const char *utf8, Size len)
{
	FeathubMysqlQuoteString(out, utf8, len);
	for (Size i = 0; collate_literals && i < len; i++)
	{
		if (IS_HIGHBIT_SET(utf8[i]))
		{
			appendStringInfoString(out, " COLLATE utf8mb4_bin");
			break;
		}
	}
}

static void
raise_unwritable(Oid type, Datum value)
{
	Oid			output;
	bool		varlena;

	getTypeOutputInfo(type, &output, &varlena);
	ereport(ERROR,
			(errcode(type == NUMERICOID || type == FLOAT4OID || type == FLOAT8OID ?
					 ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE : ERRCODE_DATETIME_FIELD_OVERFLOW),
			 errmsg("value \"%s\" of type %s cannot be sent to a MySQL server",
					OidOutputFunctionCall(output, value), format_type_be(type)),
			 errdetail("The server's types have no such value.")));
}
