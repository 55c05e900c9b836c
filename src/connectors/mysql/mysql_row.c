/*
 * mysql_row.c
 *		Values of rows, from the text that the server sends.
 *
 * What a column holds there decides as much as what it is declared here: BIT and
 * binary strings come as bytes, TIME may be longer than a day, SET is a list.
 * The everyday types have a short cut; everything else goes the way that all
 * connectors share (formats/convert.h), by the type's own input function in the
 * end.  Times come in UTC, because the session is.
 */
#include "postgres.h"

#include "connectors/mysql/mysql_library.h"

#include "catalog/pg_type.h"
#include "mb/pg_wchar.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/datetime.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"
#include "utils/varbit.h"

#include "connectors/mysql/mysql_connector.h"
#include "formats/convert.h"

typedef struct MysqlColumn MysqlColumn;

/* Returns false for NULL (zero dates). */
typedef bool (*DecodeFunction) (MysqlColumn *column, const char *data, Size len, Datum *value);

struct MysqlColumn
{
	int			place;			/* in values and isnull, or -1: not shown */
	const char *name;
	Oid			typid;			/* as declared */
	Oid			base;			/* a domain's base type */
	int32		typmod;
	bool		is_domain;
	FeathubConverter *converter;
	DecodeFunction decode;		/* chosen when the first row comes */
	MysqlField	field;
	MysqlDecoder *decoder;

	/* arrays */
	Oid			element;
	int16		elmlen;
	bool		elmbyval;
	char		elmalign;
};

struct MysqlDecoder
{
	const char *relname;
	int			zero_dates;
	int			ncolumns;
	MysqlColumn *columns;
	MysqlResult *bound;			/* the result that decode was chosen for */
	int			current;		/* the column at work, for errors */
	FeathubConvertSettings settings;
};

static DecodeFunction choose_function(MysqlColumn *column);
pg_noreturn static void raise_bad_value(FeathubDecodeError *error);
static void show_column(void *arg);
static bool is_text_field(const MysqlField *field);
static bool decode_any(MysqlColumn *column, const char *data, Size len, Datum *value);
static bool decode_integer(MysqlColumn *column, const char *data, Size len, Datum *value);
static bool decode_bool(MysqlColumn *column, const char *data, Size len, Datum *value);
static bool decode_text(MysqlColumn *column, const char *data, Size len, Datum *value);
static bool decode_bytea(MysqlColumn *column, const char *data, Size len, Datum *value);
static bool decode_datetime(MysqlColumn *column, const char *data, Size len, Datum *value);
static bool decode_interval(MysqlColumn *column, const char *data, Size len, Datum *value);
static bool decode_time(MysqlColumn *column, const char *data, Size len, Datum *value);
static bool decode_uuid(MysqlColumn *column, const char *data, Size len, Datum *value);
static bool decode_bit(MysqlColumn *column, const char *data, Size len, Datum *value);
static bool decode_set(MysqlColumn *column, const char *data, Size len, Datum *value);

MysqlDecoder *
FeathubMysqlDecoderMake(TupleDesc tupdesc, List *attrs, const char *relname, int zero_dates)
{
	MysqlDecoder *decoder = palloc0(sizeof(MysqlDecoder));
	ListCell   *lc;

	decoder->relname = relname;
	decoder->zero_dates = zero_dates;
	decoder->ncolumns = list_length(attrs);
	decoder->columns = palloc0(sizeof(MysqlColumn) * Max(decoder->ncolumns, 1));
	decoder->settings.scratch = AllocSetContextCreate(CurrentMemoryContext,
													  "feathub mysql decode",
													  ALLOCSET_SMALL_SIZES);
	foreach(lc, attrs)
	{
		MysqlColumn *column = &decoder->columns[foreach_current_index(lc)];
		Form_pg_attribute att;

		column->decoder = decoder;
		column->place = lfirst_int(lc) - 1;
		if (column->place < 0)
			continue;
		att = TupleDescAttr(tupdesc, column->place);
		column->name = NameStr(att->attname);
		column->typid = att->atttypid;
		column->typmod = att->atttypmod;
		column->base = getBaseTypeAndTypmod(att->atttypid, &column->typmod);
		column->is_domain = column->base != column->typid;
		column->element = get_element_type(column->base);
		if (OidIsValid(column->element))
			get_typlenbyvalalign(column->element, &column->elmlen, &column->elmbyval,
								 &column->elmalign);
		column->converter = FeathubConverterMake(att->atttypid, att->atttypmod,
												 &decoder->settings);
	}
	return decoder;
}

void
FeathubMysqlDecode(MysqlDecoder *decoder, MysqlResult *result, char **values,
				   unsigned long *lengths, Datum *out, bool *isnull)
{
	if (unlikely(decoder->bound != result))
	{
		FeathubMysqlDecoderBind(decoder, FeathubMysqlFields(result), FeathubMysqlFieldCount(result));
		decoder->bound = result;
	}
	FeathubMysqlDecodeBound(decoder, values, lengths, out, isnull);
}

void
FeathubMysqlDecodeBound(MysqlDecoder *decoder, char **values, unsigned long *lengths,
						Datum *out, bool *isnull)
{
	ErrorContextCallback callback = {error_context_stack, show_column, decoder};

	error_context_stack = &callback;
	for (int i = 0; i < decoder->ncolumns; i++)
	{
		MysqlColumn *column = &decoder->columns[i];

		if (column->place < 0)
			continue;
		decoder->current = i;
		isnull[column->place] = values[i] == NULL ||
			!column->decode(column, values[i], lengths[i], &out[column->place]);
		if (unlikely(column->is_domain))
		{
			FeathubDecodeError error = {0};

			if (!FeathubConvertDomain(column->converter, out[column->place],
									  isnull[column->place], &error))
				raise_bad_value(&error);
		}
	}
	error_context_stack = callback.previous;
	MemoryContextReset(decoder->settings.scratch);
}

/* Error context: where the value comes from. */
static void
show_column(void *arg)
{
	MysqlDecoder *decoder = arg;

	errcontext("column \"%s\" of foreign table \"%s\"",
			   decoder->columns[decoder->current].name, decoder->relname);
}

/* The result's columns are known: choose how to decode them. */
void
FeathubMysqlDecoderBind(MysqlDecoder *decoder, const MysqlField *fields, int nfields)
{
	if (nfields < decoder->ncolumns)
		elog(ERROR, "result has %d columns instead of %d", nfields, decoder->ncolumns);
	for (int i = 0; i < decoder->ncolumns; i++)
	{
		decoder->columns[i].field = fields[i];
		if (decoder->columns[i].place >= 0)
			decoder->columns[i].decode = choose_function(&decoder->columns[i]);
	}
	decoder->bound = NULL;
}

static DecodeFunction
choose_function(MysqlColumn *column)
{
	const MysqlField *field = &column->field;

	if (field->type == MYSQL_TYPE_BIT)
		return decode_bit;
	switch (column->base)
	{
		case BOOLOID:
			return is_text_field(field) ? decode_any : decode_bool;
		case INT2OID:
		case INT4OID:
		case INT8OID:
			return decode_integer;
		case TEXTOID:
			return decode_text;
		case BYTEAOID:
			return decode_bytea;
		case DATEOID:
		case TIMESTAMPOID:
		case TIMESTAMPTZOID:
			return decode_datetime;
		case INTERVALOID:
			return field->type == MYSQL_TYPE_TIME ? decode_interval : decode_any;
		case TIMEOID:
			return field->type == MYSQL_TYPE_TIME ? decode_time : decode_any;
		case UUIDOID:
			return decode_uuid;
		default:
			if (OidIsValid(column->element) &&
				((field->flags & SET_FLAG) || field->type == MYSQL_TYPE_SET))
				return decode_set;
			return decode_any;
	}
}

static bool
is_text_field(const MysqlField *field)
{
	switch (field->type)
	{
		case MYSQL_TYPE_VARCHAR:
		case MYSQL_TYPE_VAR_STRING:
		case MYSQL_TYPE_STRING:
		case MYSQL_TYPE_TINY_BLOB:
		case MYSQL_TYPE_MEDIUM_BLOB:
		case MYSQL_TYPE_LONG_BLOB:
		case MYSQL_TYPE_BLOB:
		case MYSQL_TYPE_ENUM:
		case MYSQL_TYPE_SET:
		case MYSQL_TYPE_JSON:
			return true;
		default:
			return false;
	}
}

static void
raise_bad_value(FeathubDecodeError *error)
{
	ereport(ERROR,
			(errcode(error->sqlerrcode ? error->sqlerrcode : ERRCODE_FDW_ERROR),
			 errmsg_internal("%s", error->message ? error->message : "value cannot be converted")));
}

/* Text in the server's encoding; raises an error for bytes that are none. */
static const char *
server_text(MysqlColumn *column, const char *data, Size *len)
{
	FeathubDecodeError error = {0};

	if (!FeathubServerText(PG_UTF8, column->decoder->settings.scratch, &data, len, &error))
		raise_bad_value(&error);
	return data;
}

static bool
decode_any(MysqlColumn *column, const char *data, Size len, Datum *value)
{
	FeathubDecodeError error = {0};

	data = server_text(column, data, &len);
	if (!FeathubConvertText(column->converter, data, len, value, &error))
		raise_bad_value(&error);
	return true;
}

static bool
decode_integer(MysqlColumn *column, const char *data, Size len, Datum *value)
{
	const char *p = data;
	const char *end = data + len;
	bool		negative = p < end && *p == '-';
	int64		result = 0;

	p += negative;
	if (p == end || end - p > 18)
		return decode_any(column, data, len, value);
	for (; p < end; p++)
	{
		unsigned	digit = (unsigned char) *p - '0';

		if (digit > 9)
			return decode_any(column, data, len, value);
		result = result * 10 + digit;
	}
	if (negative)
		result = -result;
	switch (column->base)
	{
		case INT2OID:
			if (result < PG_INT16_MIN || result > PG_INT16_MAX)
				return decode_any(column, data, len, value);
			*value = Int16GetDatum((int16) result);
			return true;
		case INT4OID:
			if (result < PG_INT32_MIN || result > PG_INT32_MAX)
				return decode_any(column, data, len, value);
			*value = Int32GetDatum((int32) result);
			return true;
		default:
			*value = Int64GetDatum(result);
			return true;
	}
}

/* A number: what is not zero is true. */
static bool
decode_bool(MysqlColumn *column, const char *data, Size len, Datum *value)
{
	bool		result = false;

	for (Size i = 0; i < len && data[i] != 'e'; i++)
		result |= data[i] >= '1' && data[i] <= '9';
	*value = BoolGetDatum(result);
	return true;
}

static bool
decode_text(MysqlColumn *column, const char *data, Size len, Datum *value)
{
	data = server_text(column, data, &len);
	*value = PointerGetDatum(cstring_to_text_with_len(data, len));
	return true;
}

static bool
decode_bytea(MysqlColumn *column, const char *data, Size len, Datum *value)
{
	*value = PointerGetDatum(cstring_to_text_with_len(data, len));
	return true;
}

/* The number of n digits at s, or -1. */
static inline int
digits(const char *s, int n)
{
	int			result = 0;

	for (int i = 0; i < n; i++)
	{
		unsigned	digit = (unsigned char) s[i] - '0';

		if (digit > 9)
			return -1;
		result = result * 10 + digit;
	}
	return result;
}

/* YYYY-MM-DD, perhaps HH:MM:SS, perhaps a fraction. */
static bool
decode_datetime(MysqlColumn *column, const char *data, Size len, Datum *value)
{
	int			year;
	int			month;
	int			day;
	int			hour = 0;
	int			minute = 0;
	int			second = 0;
	int			micros = 0;
	int			nfraction = 0;
	int64		result;

	if (len < 10 || data[4] != '-' || data[7] != '-' ||
		(year = digits(data, 4)) < 0 || (month = digits(data + 5, 2)) < 0 ||
		(day = digits(data + 8, 2)) < 0)
		return decode_any(column, data, len, value);
	if (year == 0 || month == 0 || day == 0)
	{
		if (column->decoder->zero_dates == MYSQL_ZERO_DATES_NULL)
			return false;
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_FIELD_OVERFLOW),
				 errmsg("date/time field value out of range: \"%.*s\"", (int) Min(len, 40), data),
				 errhint("Option zero_dates 'null' reads such dates as null.")));
	}
	if (month > 12 || day > day_tab[isleap(year)][month - 1])
		return decode_any(column, data, len, value);
	if (len > 10)
	{
		if (len < 19 || data[10] != ' ' || data[13] != ':' || data[16] != ':' ||
			(hour = digits(data + 11, 2)) < 0 || (minute = digits(data + 14, 2)) < 0 ||
			(second = digits(data + 17, 2)) < 0 || hour > 23 || minute > 59 || second > 59)
			return decode_any(column, data, len, value);
		if (len > 19)
		{
			nfraction = len - 20;
			if (data[19] != '.' || nfraction < 1 || nfraction > 6 ||
				(micros = digits(data + 20, nfraction)) < 0)
				return decode_any(column, data, len, value);
			for (int i = nfraction; i < 6; i++)
				micros *= 10;
		}
	}
	if (column->base == DATEOID)
	{
		*value = DateADTGetDatum(date2j(year, month, day) - POSTGRES_EPOCH_JDATE);
		return true;
	}
	/* rounding is the input function's */
	if (column->typmod >= 0 && nfraction > column->typmod)
		return decode_any(column, data, len, value);
	result = date2j(year, month, day) - POSTGRES_EPOCH_JDATE;
	result = ((result * HOURS_PER_DAY + hour) * MINS_PER_HOUR + minute) * SECS_PER_MINUTE + second;
	*value = TimestampGetDatum(result * USECS_PER_SEC + micros);
	return true;
}

/* TIME: [-]HHH:MM:SS[.ffffff], up to 838 hours. */
static bool
decode_interval(MysqlColumn *column, const char *data, Size len, Datum *value)
{
	const char *p = data;
	const char *end = data + len;
	bool		negative = p < end && *p == '-';
	int			nhours = 0;
	int			hours;
	int			minutes;
	int			seconds;
	int			micros = 0;
	int			nfraction = 0;
	Interval   *result;

	p += negative;
	while (p + nhours < end && p[nhours] != ':')
		nhours++;
	if (nhours < 1 || nhours > 3 || end - p < nhours + 6 || (hours = digits(p, nhours)) < 0 ||
		(minutes = digits(p + nhours + 1, 2)) < 0 || (seconds = digits(p + nhours + 4, 2)) < 0)
		return decode_any(column, data, len, value);
	p += nhours + 6;
	if (p < end)
	{
		nfraction = end - p - 1;
		if (*p != '.' || nfraction < 1 || nfraction > 6 || (micros = digits(p + 1, nfraction)) < 0)
			return decode_any(column, data, len, value);
		for (int i = nfraction; i < 6; i++)
			micros *= 10;
	}
	if (column->typmod >= 0)
		return decode_any(column, data, len, value);
	result = palloc0(sizeof(Interval));
	result->time = ((hours * INT64CONST(60) + minutes) * 60 + seconds) * USECS_PER_SEC + micros;
	if (negative)
		result->time = -result->time;
	*value = IntervalPGetDatum(result);
	return true;
}

/* TIME that is a time of day. */
static bool
decode_time(MysqlColumn *column, const char *data, Size len, Datum *value)
{
	if (data[0] == '-' || (len > 2 && data[2] != ':'))
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_FIELD_OVERFLOW),
				 errmsg("date/time field value out of range: \"%.*s\"", (int) Min(len, 40), data),
				 errhint("Declare the column as interval.")));
	return decode_any(column, data, len, value);
}

/* Text of any notation, or BINARY(16). */
static bool
decode_uuid(MysqlColumn *column, const char *data, Size len, Datum *value)
{
	pg_uuid_t  *uuid;

	if (!column->field.binary || len != UUID_LEN)
		return decode_any(column, data, len, value);
	uuid = palloc(sizeof(pg_uuid_t));
	memcpy(uuid->data, data, UUID_LEN);
	*value = UUIDPGetDatum(uuid);
	return true;
}

/* BIT(n): n bits in bytes, the first the most significant. */
static bool
decode_bit(MysqlColumn *column, const char *data, Size len, Datum *value)
{
	uint64		bits = 0;
	char		text[32];

	for (Size i = 0; i < len && i < 8; i++)
		bits = bits << 8 | (unsigned char) data[i];
	switch (column->base)
	{
		case BOOLOID:
			*value = BoolGetDatum(bits != 0);
			return true;
		case BYTEAOID:
			return decode_bytea(column, data, len, value);
		case BITOID:
		case VARBITOID:
			{
				int			nbits = column->field.length;
				char		digits_text[72];

				if (column->base == BITOID && column->typmod > nbits && column->typmod <= 64)
					nbits = column->typmod;
				nbits = Min(nbits, 64);
				for (int i = 0; i < nbits; i++)
					digits_text[i] = (bits >> (nbits - 1 - i)) & 1 ? '1' : '0';
				return decode_any(column, digits_text, nbits, value);
			}
		default:
			snprintf(text, sizeof(text), UINT64_FORMAT, bits);
			return decode_any(column, text, strlen(text), value);
	}
}

/* SET: the members, with commas between. */
static bool
decode_set(MysqlColumn *column, const char *data, Size len, Datum *value)
{
	const char *text = server_text(column, data, &len);
	const char *end = text + len;
	Datum	   *elements = palloc(sizeof(Datum) * (len / 2 + 2));
	int			n = 0;
	Oid			input;
	Oid			ioparam;

	getTypeInputInfo(column->element, &input, &ioparam);
	while (text < end)
	{
		const char *comma = memchr(text, ',', end - text);
		char	   *member;

		if (comma == NULL)
			comma = end;
		member = pnstrdup(text, comma - text);
		elements[n++] = OidInputFunctionCall(input, member, ioparam, column->typmod);
		text = comma + 1;
	}
	if (n == 0)
		*value = PointerGetDatum(construct_empty_array(column->element));
	else
		*value = PointerGetDatum(construct_array(elements, n, column->element, column->elmlen,
												 column->elmbyval, column->elmalign));
	return true;
}
