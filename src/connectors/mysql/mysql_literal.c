/*
 * mysql_literal.c
 *		Values as literals of the server's SQL.
 *
 * A literal's type is what the server makes of it in a comparison too, so it is
 * written such that it means exactly the value: a double has an exponent, a
 * decimal none, times are in UTC.  What the server has no value for (NaN,
 * infinity, years before 1 and after 9999) is an error.
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
static bool write_datetime(StringInfo out, Oid type, Datum value);
static bool write_interval(StringInfo out, const Interval *interval);
static void write_fraction(StringInfo out, int64 micros);
static void write_members(MysqlWriter *writer, StringInfo out, Datum value);
static void write_server_text(StringInfo out, const char *text, Size len);
static bool numeric_fits(const char *text);
static void raise_unwritable(Oid type, Datum value) pg_attribute_noreturn();

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

void
FeathubMysqlWriteLiteral(MysqlWriter *writer, StringInfo out, Datum value)
{
	FeathubTextModes modes;
	char	   *text;

	switch (writer->type)
	{
		case BOOLOID:
			appendStringInfoChar(out, DatumGetBool(value) ? '1' : '0');
			return;
		case INT2OID:
			appendStringInfo(out, "%d", (int) DatumGetInt16(value));
			return;
		case INT4OID:
			appendStringInfo(out, "%d", DatumGetInt32(value));
			return;
		case INT8OID:
			appendStringInfo(out, INT64_FORMAT, DatumGetInt64(value));
			return;
		case FLOAT4OID:
			if (!isfinite(DatumGetFloat4(value)))
				raise_unwritable(writer->type, value);
			write_double(out, DatumGetFloat4(value));
			return;
		case FLOAT8OID:
			if (!isfinite(DatumGetFloat8(value)))
				raise_unwritable(writer->type, value);
			write_double(out, DatumGetFloat8(value));
			return;
		case NUMERICOID:
			text = OutputFunctionCall(&writer->output, value);
			if (!numeric_fits(text))
				raise_unwritable(writer->type, value);
			appendStringInfoString(out, text);
			pfree(text);
			return;
		case TEXTOID:
		case VARCHAROID:
		case BPCHAROID:
		case JSONOID:
			{
				struct varlena *bytes = PG_DETOAST_DATUM_PACKED(value);

				write_server_text(out, VARDATA_ANY(bytes), VARSIZE_ANY_EXHDR(bytes));
				if ((Pointer) bytes != DatumGetPointer(value))
					pfree(bytes);
				return;
			}
		case BYTEAOID:
			{
				struct varlena *bytes = PG_DETOAST_DATUM_PACKED(value);

				appendStringInfoString(out, "_binary");
				FeathubMysqlQuoteString(out, VARDATA_ANY(bytes), VARSIZE_ANY_EXHDR(bytes));
				if ((Pointer) bytes != DatumGetPointer(value))
					pfree(bytes);
				return;
			}
		case DATEOID:
		case TIMESTAMPOID:
		case TIMESTAMPTZOID:
		case TIMEOID:
			if (!write_datetime(out, writer->type, value))
				raise_unwritable(writer->type, value);
			return;
		case INTERVALOID:
			if (!write_interval(out, DatumGetIntervalP(value)))
				raise_unwritable(writer->type, value);
			return;
		case BITOID:
		case VARBITOID:
			text = OutputFunctionCall(&writer->output, value);
			if (strlen(text) > 64)
				raise_unwritable(writer->type, value);
			appendStringInfo(out, "b'%s'", text);
			pfree(text);
			return;
		default:
			if (OidIsValid(writer->element))
			{
				write_members(writer, out, value);
				return;
			}
			FeathubTextModesSet(&modes, NULL);
			PG_TRY();
			{
				text = OutputFunctionCall(&writer->output, value);
			}
			PG_FINALLY();
			{
				FeathubTextModesRestore(&modes);
			}
			PG_END_TRY();
			write_server_text(out, text, strlen(text));
			pfree(text);
			return;
	}
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
	StringInfoData out;
	bool		result;

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
			initStringInfo(&out);
			result = write_datetime(&out, type, value);
			pfree(out.data);
			return result;
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

static bool
write_datetime(StringInfo out, Oid type, Datum value)
{
	struct pg_tm tm;
	fsec_t		fsec;

	if (type == TIMEOID)
	{
		int64		time = DatumGetTimeADT(value);

		appendStringInfo(out, "TIME'%02d:%02d:%02d", (int) (time / USECS_PER_HOUR),
						 (int) (time / USECS_PER_MINUTE % 60), (int) (time / USECS_PER_SEC % 60));
		write_fraction(out, time % USECS_PER_SEC);
		appendStringInfoChar(out, '\'');
		return true;
	}
	if (type == DATEOID)
	{
		DateADT		date = DatumGetDateADT(value);

		if (DATE_NOT_FINITE(date))
			return false;
		j2date(date + POSTGRES_EPOCH_JDATE, &tm.tm_year, &tm.tm_mon, &tm.tm_mday);
		if (tm.tm_year < 1 || tm.tm_year > 9999)
			return false;
		appendStringInfo(out, "DATE'%04d-%02d-%02d'", tm.tm_year, tm.tm_mon, tm.tm_mday);
		return true;
	}
	if (TIMESTAMP_NOT_FINITE(DatumGetTimestamp(value)) ||
		timestamp2tm(DatumGetTimestamp(value), NULL, &tm, &fsec, NULL, NULL) != 0 ||
		tm.tm_year < 1 || tm.tm_year > 9999)
		return false;
	appendStringInfo(out, "TIMESTAMP'%04d-%02d-%02d %02d:%02d:%02d", tm.tm_year, tm.tm_mon,
					 tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec);
	write_fraction(out, fsec);
	appendStringInfoChar(out, '\'');
	return true;
}

static void
write_fraction(StringInfo out, int64 micros)
{
	if (micros != 0)
		appendStringInfo(out, ".%06d", (int) micros);
}

/* TIME, if it is one: no months, no more than 838 hours. */
static bool
write_interval(StringInfo out, const Interval *interval)
{
	int64		time = interval->time;

	if (interval->month != 0 || Abs(interval->day) > 35)
		return false;
	time += interval->day * USECS_PER_DAY;
	if (time > TIME_MAX || time < -TIME_MAX)
		return false;
	appendStringInfo(out, "TIME'%s", time < 0 ? "-" : "");
	time = Abs(time);
	appendStringInfo(out, "%02d:%02d:%02d", (int) (time / USECS_PER_HOUR),
					 (int) (time / USECS_PER_MINUTE % 60), (int) (time / USECS_PER_SEC % 60));
	write_fraction(out, time % USECS_PER_SEC);
	appendStringInfoChar(out, '\'');
	return true;
}

/* An array is a SET: its members, with commas between. */
static void
write_members(MysqlWriter *writer, StringInfo out, Datum value)
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
	write_server_text(out, text.data, text.len);
	pfree(text.data);
}

static void
write_server_text(StringInfo out, const char *text, Size len)
{
	char	   *utf8 = pg_server_to_any(text, len, PG_UTF8);

	Size		utf8_len = utf8 == text ? len : strlen(utf8);

	FeathubMysqlQuoteString(out, utf8, utf8_len);
	for (Size i = 0; collate_literals && i < utf8_len; i++)
	{
		if (IS_HIGHBIT_SET(utf8[i]))
		{
			appendStringInfoString(out, " COLLATE utf8mb4_bin");
			break;
		}
	}
	if (utf8 != text)
		pfree(utf8);
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
