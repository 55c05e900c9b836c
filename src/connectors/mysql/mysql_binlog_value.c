/*
 * mysql_binlog_value.c
 *		Values of rows in binary logs, to the text that the server would send.
 *
 * Text and bytes are not copied where they are in UTF-8 already; numbers and
 * times are written into memory that the table has for them; what is made anew
 * (JSON, other character sets) is in the row's context.
 */
#include "postgres.h"

#include <arpa/inet.h>
#include <sys/socket.h>

#include "common/shortest_dec.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "connectors/mysql/mysql_binlog_reader.h"

/* Digits in groups of nine, in as many bytes as they need. */
#define GROUP_DIGITS	9
static const int group_bytes[GROUP_DIGITS + 1] = {0, 1, 1, 2, 2, 3, 3, 4, 4, 4};
static const uint32 powers_of_ten[GROUP_DIGITS + 1] = {
	1, 10, 100, 1000, 10000, 100000, 1000000, 10000000, 100000000, 1000000000
};

static bool read_text(MysqlBinlogReader *reader, BinlogTable *table, int i, const uint8 *data,
					  Size len, MysqlBinlogImage *image);
static bool read_set(MysqlBinlogReader *reader, const MysqlBinlogColumn *column, uint64 set,
					 MysqlBinlogImage *image, int i, char **text);

bool
FeathubMysqlBinlogMakeCodecs(MysqlBinlogReader *reader, BinlogTable *table)
{
	if (table->codecs == NULL)
		table->codecs = MemoryContextAllocZero(table->context,
											   sizeof(BinlogCodec) * table->pub.ncolumns);
	for (int i = 0; i < table->pub.ncolumns; i++)
	{
		const MysqlBinlogColumn *column = &table->pub.columns[i];
		BinlogCodec *codec = &table->codecs[i];

		codec->charset = FeathubMysqlCharset(column->collation);
		switch (column->type)
		{
			case MYSQL_BINLOG_DECIMAL:
				codec->length = FeathubMysqlBinlogDecimalSize(column->metadata >> 8,
															  column->metadata & 0xff);
				break;
			case MYSQL_BINLOG_BIT:
				codec->length = (column->metadata + 7) / 8;
				break;
			case MYSQL_BINLOG_VARCHAR:
			case MYSQL_BINLOG_VARCHAR_COMPRESSED:
			case MYSQL_BINLOG_VAR_STRING:
			case MYSQL_BINLOG_STRING:
				codec->length = column->metadata > 255 ? 2 : 1;
				break;
			case MYSQL_BINLOG_TIMESTAMP2:
			case MYSQL_BINLOG_DATETIME2:
			case MYSQL_BINLOG_TIME2:
				codec->length = (column->metadata + 1) / 2; /* of the fraction */
				break;
			default:
				codec->length = column->metadata;
				break;
		}
	}
	table->codecs_ready = true;
	return true;
}

Size
FeathubMysqlBinlogTextSize(const MysqlBinlogTable *table)
{
	Size		size = 1;

	for (int i = 0; i < table->ncolumns; i++)
	{
		switch (table->columns[i].type)
		{
			case MYSQL_BINLOG_DECIMAL:
				size += 72;
				break;
			case MYSQL_BINLOG_VARCHAR:
			case MYSQL_BINLOG_STRING:
			case MYSQL_BINLOG_BLOB:
				break;
			default:
				size += 32;
		}
	}
	return size;
}

/* Writing of numbers and times */

static inline char *
put_digits(char *p, unsigned value, int n)
{
	for (int i = n - 1; i >= 0; i--)
	{
		p[i] = '0' + value % 10;
		value /= 10;
	}
	return p + n;
}

int
FeathubMysqlBinlogWriteDate(char *out, int year, int month, int day)
{
	char	   *p = put_digits(out, year, 4);

	*p++ = '-';
	p = put_digits(p, month, 2);
	*p++ = '-';
	return put_digits(p, day, 2) - out;
}

int
FeathubMysqlBinlogWriteTime(char *out, bool negative, unsigned hour, unsigned minute,
							unsigned second, unsigned micros, int digits)
{
	char	   *p = out;

	if (negative)
		*p++ = '-';
	p = put_digits(p, hour, hour > 999 ? 4 : hour > 99 ? 3 : 2);
	*p++ = ':';
	p = put_digits(p, minute, 2);
	*p++ = ':';
	p = put_digits(p, second, 2);
	if (digits > 0)
	{
		*p++ = '.';
		for (int i = digits; i < 6; i++)
			micros /= 10;
		p = put_digits(p, micros, digits);
	}
	return p - out;
}

static int
write_datetime(char *out, int year, int month, int day, int hour, int minute, int second,
			   int micros, int digits)
{
	int			len = FeathubMysqlBinlogWriteDate(out, year, month, day);

	out[len++] = ' ';
	return len + FeathubMysqlBinlogWriteTime(out + len, false, hour, minute, second, micros, digits);
}

/* Seconds since 1970, in UTC. */
static int
write_timestamp(char *out, uint64 seconds, int micros, int digits)
{
	/* days since 0000-03-01, by eras of 400 years */
	int64		days = seconds / 86400 + 719468;
	int			rest = seconds % 86400;
	int			era = days / 146097;
	int			day_of_era = days % 146097;
	int			year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 -
							   day_of_era / 146096) / 365;
	int			day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
	int			shifted = (5 * day_of_year + 2) / 153;
	int			month = shifted < 10 ? shifted + 3 : shifted - 9;

	/* the server's way to say that there is none */
	if (seconds == 0 && micros == 0)
		return write_datetime(out, 0, 0, 0, 0, 0, 0, 0, digits);
	return write_datetime(out, year_of_era + era * 400 + (month <= 2), month,
						  day_of_year - (153 * shifted + 2) / 5 + 1,
						  rest / 3600, rest / 60 % 60, rest % 60, micros, digits);
}

/*
 * The shortest digits that give the number again, with an exponent if it has
 * more than 15 places before the point, or more than 14 zeros behind it.
 */
int
FeathubMysqlBinlogWriteDouble(char *out, double value)
{
	char		shortest[DOUBLE_SHORTEST_DECIMAL_LEN];
	char		digits[DOUBLE_SHORTEST_DECIMAL_LEN];
	int			ndigits = 0;
	int			point = 0;		/* digits before the point */
	bool		seen_point = false;
	char	   *p = out;
	const char *s = shortest;

	shortest[double_to_shortest_decimal_bufn(value, shortest)] = '\0';
	if (*s == '-')
	{
		*p++ = '-';
		s++;
	}
	for (; *s && *s != 'e'; s++)
	{
		if (*s == '.')
			seen_point = true;
		else if (*s < '0' || *s > '9')	/* Infinity, NaN: no server has them */
			return sprintf(out, "%s", shortest);
		else
		{
			/* no zeros in front */
			if (ndigits > 0 || *s != '0')
				digits[ndigits++] = *s;
			if (ndigits > 0 && !seen_point)
				point++;
			else if (ndigits == 0 && seen_point)
				point--;
		}
	}
	if (*s == 'e')
		point += atoi(s + 1);
	while (ndigits > 0 && digits[ndigits - 1] == '0')
		ndigits--;
	if (ndigits == 0)
	{
		*p++ = '0';
		return p - out;
	}
	if (point > 15 || point < -14)
	{
		*p++ = digits[0];
		if (ndigits > 1)
		{
			*p++ = '.';
			memcpy(p, digits + 1, ndigits - 1);
			p += ndigits - 1;
		}
		return p - out + sprintf(p, "e%d", point - 1);
	}
	if (point <= 0)
	{
		*p++ = '0';
		*p++ = '.';
		for (int i = point; i < 0; i++)
			*p++ = '0';
		memcpy(p, digits, ndigits);
		return p - out + ndigits;
	}
	for (int i = 0; i < Max(ndigits, point); i++)
	{
		if (i == point)
			*p++ = '.';
		*p++ = i < ndigits ? digits[i] : '0';
	}
	return p - out;
}

int
FeathubMysqlBinlogDecimalSize(int precision, int scale)
{
	int			whole = precision - scale;

	return whole / GROUP_DIGITS * 4 + group_bytes[whole % GROUP_DIGITS] +
		scale / GROUP_DIGITS * 4 + group_bytes[scale % GROUP_DIGITS];
}

/* A group of n digits; negative numbers have their bits turned over. */
static uint32
decimal_group(const uint8 **data, int n, uint8 first_mask, uint8 mask)
{
	uint32		value = 0;

	for (int i = 0; i < group_bytes[n]; i++)
		value = value << 8 | ((*data)[i] ^ mask ^ (i == 0 ? first_mask : 0));
	*data += group_bytes[n];
	return value % powers_of_ten[n];	/* bytes that are none give too much */
}

int
FeathubMysqlBinlogWriteDecimal(char *out, const uint8 *data, int precision, int scale)
{
	char	   *p = out;
	uint8		mask = data[0] & 0x80 ? 0 : 0xff;
	uint8		first_mask = 0x80;
	int			whole = precision - scale;
	bool		any = false;

	if (mask)
		*p++ = '-';
	for (int n = whole % GROUP_DIGITS; whole > 0; whole -= n, n = GROUP_DIGITS)
	{
		uint32		value;

		if (n == 0)
			n = GROUP_DIGITS;
		value = decimal_group(&data, n, first_mask, mask);
		first_mask = 0;
		if (any)
			p = put_digits(p, value, n);
		else if (value > 0)
		{
			p += pg_ultoa_n(value, p);
			any = true;
		}
	}
	if (!any)
		*p++ = '0';
	if (scale > 0)
		*p++ = '.';
	while (scale > 0)
	{
		int			n = Min(scale, GROUP_DIGITS);

		p = put_digits(p, decimal_group(&data, n, first_mask, mask), n);
		first_mask = 0;
		scale -= n;
	}
	return p - out;
}

/* Reading of times */

/* A fraction of digits in len bytes as microseconds. */
static int
fraction_micros(const uint8 *p, int len)
{
	static const int units[4] = {0, 10000, 100, 1};

	return get_big_endian(p, len) * units[len];
}

static int
write_datetime2(char *out, const uint8 *p, int fraction_len, int digits)
{
	int64		packed = get_big_endian(p, 5) - INT64CONST(0x8000000000);
	int			year_month = (packed >> 22) & 0x1ffff;

	return write_datetime(out, year_month / 13 % 10000, year_month % 13, (packed >> 17) & 0x1f,
						  (packed >> 12) & 0x1f, (packed >> 6) & 0x3f, packed & 0x3f,
						  fraction_micros(p + 5, fraction_len) % 1000000, digits);
}

/* Whole and fraction are one number, with an offset that makes it positive. */
static int
write_time2(char *out, const uint8 *p, int fraction_len, int digits)
{
	static const int units[4] = {0, 10000, 100, 1};
	int			bits = fraction_len * 8;
	int64		packed = (int64) get_big_endian(p, 3 + fraction_len) - (INT64CONST(0x800000) << bits);
	bool		negative = packed < 0;
	int64		whole;
	int64		fraction;

	if (negative)
		packed = -packed;
	whole = packed >> bits;
	fraction = (packed & ((INT64CONST(1) << bits) - 1)) * units[fraction_len];
	return FeathubMysqlBinlogWriteTime(out, negative, (whole >> 12) & 0x3ff, (whole >> 6) & 0x3f,
									   whole & 0x3f, fraction % 1000000, digits);
}

/* Values */

static inline void
set_value(MysqlBinlogImage *image, int i, const void *data, Size len)
{
	image->values[i] = (char *) unconstify(void *, data);
	image->lengths[i] = len;
}

/* An integer of len bytes. */
static inline int
write_integer(char *out, const uint8 *p, int len, bool is_unsigned)
{
	uint64		value = get_little_endian(p, len);
	int			unused = 64 - 8 * len;

	if (is_unsigned)
		return pg_ulltoa_n(value, out);
	return pg_lltoa((int64) (value << unused) >> unused, out);
}

bool
FeathubMysqlBinlogReadValue(MysqlBinlogReader *reader, BinlogTable *table, int i,
							BinlogCursor *cursor, MysqlBinlogImage *image, char **text)
{
	const MysqlBinlogColumn *column = &table->pub.columns[i];
	const BinlogCodec *codec = &table->codecs[i];
	const uint8 *p;
	uint64		number;
	int			len;

#define TAKE(n) \
	do { \
		p = cursor_bytes(cursor, n); \
		if (unlikely(p == NULL)) \
			return false; \
		if (!column->wanted) \
			return true; \
	} while (0)

	switch (column->type)
	{
		case MYSQL_BINLOG_TINY:
			TAKE(1);
			len = write_integer(*text, p, 1, column->is_unsigned);
			break;
		case MYSQL_BINLOG_SHORT:
			TAKE(2);
			len = write_integer(*text, p, 2, column->is_unsigned);
			break;
		case MYSQL_BINLOG_INT24:
			TAKE(3);
			len = write_integer(*text, p, 3, column->is_unsigned);
			break;
		case MYSQL_BINLOG_LONG:
			TAKE(4);
			len = write_integer(*text, p, 4, column->is_unsigned);
			break;
		case MYSQL_BINLOG_LONGLONG:
			TAKE(8);
			len = write_integer(*text, p, 8, column->is_unsigned);
			break;
		case MYSQL_BINLOG_FLOAT:
			{
				uint32		bits;
				float		value;

				TAKE(4);
				bits = get_little_endian(p, 4);
				memcpy(&value, &bits, 4);
				len = FeathubMysqlBinlogWriteDouble(*text, value);
				break;
			}
		case MYSQL_BINLOG_DOUBLE:
			{
				double		value;

				TAKE(8);
				number = get_little_endian(p, 8);
				memcpy(&value, &number, 8);
				len = FeathubMysqlBinlogWriteDouble(*text, value);
				break;
			}
		case MYSQL_BINLOG_DECIMAL:
			TAKE(codec->length);
			len = FeathubMysqlBinlogWriteDecimal(*text, p, column->metadata >> 8,
												 column->metadata & 0xff);
			break;
		case MYSQL_BINLOG_YEAR:
			TAKE(1);
			len = put_digits(*text, *p ? 1900 + *p : 0, 4) - *text;
			break;
		case MYSQL_BINLOG_DATE:
		case MYSQL_BINLOG_NEWDATE:
			TAKE(3);
			number = get_little_endian(p, 3);
			len = FeathubMysqlBinlogWriteDate(*text, number >> 9, (number >> 5) & 0xf, number & 0x1f);
			break;
		case MYSQL_BINLOG_TIME:
			{
				int32		value;

				TAKE(3);
				value = (int32) (get_little_endian(p, 3) << 8) >> 8;
				len = FeathubMysqlBinlogWriteTime(*text, value < 0, abs(value) / 10000,
												  abs(value) / 100 % 100, abs(value) % 100, 0, 0);
				break;
			}
		case MYSQL_BINLOG_DATETIME:
			TAKE(8);
			number = get_little_endian(p, 8);
			len = write_datetime(*text, number / UINT64CONST(10000000000) % 10000,
								 number / 100000000 % 100, number / 1000000 % 100,
								 number / 10000 % 100, number / 100 % 100, number % 100, 0, 0);
			break;
		case MYSQL_BINLOG_TIMESTAMP:
			TAKE(4);
			len = write_timestamp(*text, get_little_endian(p, 4), 0, 0);
			break;
		case MYSQL_BINLOG_TIMESTAMP2:
			TAKE(4 + codec->length);
			len = write_timestamp(*text, get_big_endian(p, 4),
								  fraction_micros(p + 4, codec->length) % 1000000, column->metadata);
			break;
		case MYSQL_BINLOG_DATETIME2:
			TAKE(5 + codec->length);
			len = write_datetime2(*text, p, codec->length, column->metadata);
			break;
		case MYSQL_BINLOG_TIME2:
			TAKE(3 + codec->length);
			len = write_time2(*text, p, codec->length, column->metadata);
			break;

		case MYSQL_BINLOG_BIT:
			TAKE(codec->length);
			set_value(image, i, p, codec->length);
			return true;
		case MYSQL_BINLOG_ENUM:
			TAKE(codec->length);
			number = get_little_endian(p, codec->length);
			if (column->nmembers >= 0)
			{
				if (number > column->nmembers)
					return false;
				if (number == 0)
					set_value(image, i, "", 0);
				else
					set_value(image, i, column->members[number - 1].data,
							  column->members[number - 1].len);
				return true;
			}
			len = pg_ulltoa_n(number, *text);
			break;
		case MYSQL_BINLOG_SET:
			TAKE(codec->length);
			return read_set(reader, column, get_little_endian(p, codec->length), image, i, text);
		case MYSQL_BINLOG_NULL:
			return true;

		case MYSQL_BINLOG_VARCHAR:
		case MYSQL_BINLOG_VARCHAR_COMPRESSED:
		case MYSQL_BINLOG_VAR_STRING:
		case MYSQL_BINLOG_STRING:
		case MYSQL_BINLOG_TINY_BLOB:
		case MYSQL_BINLOG_MEDIUM_BLOB:
		case MYSQL_BINLOG_LONG_BLOB:
		case MYSQL_BINLOG_BLOB:
		case MYSQL_BINLOG_BLOB_COMPRESSED:
			number = cursor_number(cursor, codec->length);
			TAKE(number);
			if (likely(codec->charset->kind == MYSQL_CHARSET_UTF8 &&
					   column->type != MYSQL_BINLOG_BLOB_COMPRESSED &&
					   column->type != MYSQL_BINLOG_VARCHAR_COMPRESSED))
			{
				set_value(image, i, p, number);
				return true;
			}
			return read_text(reader, table, i, p, number, image);
		case MYSQL_BINLOG_GEOMETRY:
		case MYSQL_BINLOG_VECTOR:
			number = cursor_number(cursor, codec->length);
			TAKE(number);
			set_value(image, i, p, number);
			return true;
		case MYSQL_BINLOG_JSON:
			{
				MemoryContext old;
				StringInfoData json;
				bool		good;

				number = cursor_number(cursor, codec->length);
				p = cursor_bytes(cursor, number);
				if (p == NULL)
					return false;
				if (reader->rows.partial && image == &table->images[0])
				{
					table->json_data[i] = p;
					table->json_len[i] = number;
				}
				if (!column->wanted)
					return true;
				old = MemoryContextSwitchTo(reader->row_context);
				reader->row_context_used = true;
				initStringInfo(&json);
				good = FeathubMysqlJsonToText(&json, p, number);
				MemoryContextSwitchTo(old);
				set_value(image, i, json.data, json.len);
				return good;
			}
		default:
			return false;
	}
#undef TAKE
	set_value(image, i, *text, len);
	*text += len;
	return true;
}

/* UUID of MariaDB: parts in reverse order, so that those of one time stand together. */
static void
write_uuid(char *out, const uint8 *data)
{
	static const uint8 places[16] = {12, 13, 14, 15, 10, 11, 8, 9, 6, 7, 0, 1, 2, 3, 4, 5};
	bool		turned = (data[6] & 0x80) && !(data[8] & 0x80);

	for (int i = 0; i < 16; i++)
	{
		if (i == 4 || i == 6 || i == 8 || i == 10)
			*out++ = '-';
		sprintf(out, "%02x", data[turned ? places[i] : i]);
		out += 2;
	}
}

/* Types of MariaDB that look like BINARY(n). */
static bool
read_plugin(const MysqlBinlogColumn *column, const uint8 *data, MysqlBinlogImage *image, int i)
{
	char	   *out = palloc(INET6_ADDRSTRLEN + 1);

	if (column->metadata != (column->plugin == MYSQL_BINLOG_PLUGIN_INET4 ? 4 : 16))
		return false;
	if (column->plugin == MYSQL_BINLOG_PLUGIN_UUID)
		write_uuid(out, data);
	else if (inet_ntop(column->plugin == MYSQL_BINLOG_PLUGIN_INET4 ? AF_INET : AF_INET6, data,
					   out, INET6_ADDRSTRLEN + 1) == NULL)
		return false;
	set_value(image, i, out, strlen(out));
	return true;
}

/* Text or bytes that are not simply there. */
static bool
read_text(MysqlBinlogReader *reader, BinlogTable *table, int i, const uint8 *data, Size len,
		  MysqlBinlogImage *image)
{
	const MysqlBinlogColumn *column = &table->pub.columns[i];
	const MysqlCharset *charset = table->codecs[i].charset;
	const char *out = (const char *) data;
	Size		out_len = len;
	bool		good = true;
	char	   *error = NULL;
	MemoryContext old = MemoryContextSwitchTo(reader->row_context);

	reader->row_context_used = true;
	if (column->type == MYSQL_BINLOG_BLOB_COMPRESSED || column->type == MYSQL_BINLOG_VARCHAR_COMPRESSED)
		good = FeathubMysqlBinlogInflateValue(reader, data, len, &out, &out_len);
	else if (column->type == MYSQL_BINLOG_STRING && len < column->metadata &&
			 (charset->kind == MYSQL_CHARSET_BINARY || column->plugin))
	{
		/* zeros at the end of BINARY(n) are not logged */
		char	   *padded = palloc0(column->metadata);

		memcpy(padded, data, len);
		out = padded;
		out_len = column->metadata;
	}
	if (good && column->plugin)
		good = out_len >= column->metadata && read_plugin(column, (const uint8 *) out, image, i);
	else if (good)
	{
		if (!FeathubMysqlCharsetToUtf8(charset, out, out_len, &out, &out_len, &error))
			good = FeathubMysqlBinlogRefuse(reader, NULL, "column %d of table \"%.*s\": %s", i + 1,
											(int) Min(table->pub.name.len, 200),
											table->pub.name.data, error);
		else
			set_value(image, i, out, out_len);
	}
	MemoryContextSwitchTo(old);
	return good;
}

/* Members with commas between. */
static bool
read_set(MysqlBinlogReader *reader, const MysqlBinlogColumn *column, uint64 set,
		 MysqlBinlogImage *image, int i, char **text)
{
	Size		len = 0;
	char	   *out;
	char	   *p;

	if (column->nmembers < 0)
	{
		len = pg_ulltoa_n(set, *text);
		set_value(image, i, *text, len);
		*text += len;
		return true;
	}
	if (column->nmembers < 64 && set >> column->nmembers != 0)
		return false;
	for (int j = 0; j < Min(column->nmembers, 64); j++)
		len += (set >> j) & 1 ? column->members[j].len + 1 : 0;
	reader->row_context_used = true;
	out = p = MemoryContextAllocHuge(reader->row_context, Max(len, 1));
	for (int j = 0; j < Min(column->nmembers, 64); j++)
	{
		if (((set >> j) & 1) == 0)
			continue;
		if (p > out)
			*p++ = ',';
		memcpy(p, column->members[j].data, column->members[j].len);
		p += column->members[j].len;
	}
	set_value(image, i, out, p - out);
	return true;
}
