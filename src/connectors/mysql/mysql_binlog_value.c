/*
 * mysql_binlog_value.c
 *		Values of rows in binary logs, to the text that the server would send.
 *
 * Text and bytes are not copied where they are in UTF-8 already; numbers and
 * times are written into memory that the table has for them; what is made anew
 * (JSON, other character sets) is in the row's context.
 *
 * Each column has a function that reads its values, chosen before its first row.
 */
#include "postgres.h"

#include <arpa/inet.h>
#include <sys/socket.h>

#include "utils/builtins.h"
#include "utils/memutils.h"

#include "connectors/mysql/mysql_binlog_reader.h"

static inline void
set_value(BinlogPlace *place, int i, const void *data, Size len)
{
	place->image->values[i] = (char *) unconstify(void *, data);
	place->image->lengths[i] = len;
}

/* A value that was written to place->text. */
static inline bool
put_text(BinlogPlace *place, int i, int len)
{
	set_value(place, i, place->text, len);
	place->text += len;
	return true;
}

/* Numbers */

static inline bool
read_integer(BinlogPlace *place, int i, const uint8 *p, int len)
{
	uint64		value = get_little_endian(p, len);
	int			unused = 64 - 8 * len;

	if (place->table->pub.columns[i].is_unsigned)
		return put_text(place, i, pg_ulltoa_n(value, place->text));
	return put_text(place, i, pg_lltoa((int64) (value << unused) >> unused, place->text));
}

static bool
read_tiny(BinlogPlace *place, int i, const uint8 *p, Size len)
{
	return read_integer(place, i, p, 1);
}

static bool
read_short(BinlogPlace *place, int i, const uint8 *p, Size len)
{
	return read_integer(place, i, p, 2);
}

static bool
read_int24(BinlogPlace *place, int i, const uint8 *p, Size len)
{
	return read_integer(place, i, p, 3);
}

static bool
read_long(BinlogPlace *place, int i, const uint8 *p, Size len)
{
	return read_integer(place, i, p, 4);
}

static bool
read_longlong(BinlogPlace *place, int i, const uint8 *p, Size len)
{
	return read_integer(place, i, p, 8);
}

static bool
read_float(BinlogPlace *place, int i, const uint8 *p, Size len)
{
	uint32		bits = get_little_endian(p, 4);
	float		value;

	memcpy(&value, &bits, 4);
	return put_text(place, i, FeathubMysqlBinlogWriteDouble(place->text, value));
}

static bool
read_double(BinlogPlace *place, int i, const uint8 *p, Size len)
{
	uint64		bits = get_little_endian(p, 8);
	double		value;

	memcpy(&value, &bits, 8);
	return put_text(place, i, FeathubMysqlBinlogWriteDouble(place->text, value));
}

static bool
read_decimal(BinlogPlace *place, int i, const uint8 *p, Size len)
{
	int			metadata = place->table->pub.columns[i].metadata;

	return put_text(place, i, FeathubMysqlBinlogWriteDecimal(place->text, p, metadata >> 8,
															 metadata & 0xff));
}

/* Times */

/* A fraction of digits in len bytes as microseconds. */
static int
fraction_micros(const uint8 *p, int len)
{
	static const int units[4] = {0, 10000, 100, 1};

	return get_big_endian(p, len) * units[len] % 1000000;
}

static bool
read_year(BinlogPlace *place, int i, const uint8 *p, Size len)
{
	return put_text(place, i, pg_ultostr_zeropad(place->text, *p ? 1900 + *p : 0, 4) - place->text);
}

static bool
read_date(BinlogPlace *place, int i, const uint8 *p, Size len)
{
	uint32		number = get_little_endian(p, 3);

	return put_text(place, i, FeathubMysqlBinlogWriteDate(place->text, number >> 9,
														  (number >> 5) & 0xf, number & 0x1f));
}

static bool
read_time(BinlogPlace *place, int i, const uint8 *p, Size len)
{
	int32		value = (int32) (get_little_endian(p, 3) << 8) >> 8;
	unsigned	digits = abs(value);

	return put_text(place, i, FeathubMysqlBinlogWriteTime(place->text, value < 0, digits / 10000,
														  digits / 100 % 100, digits % 100, 0, 0));
}

static bool
read_datetime(BinlogPlace *place, int i, const uint8 *p, Size len)
{
	uint64		number = get_little_endian(p, 8);

	return put_text(place, i,
					FeathubMysqlBinlogWriteDatetime(place->text,
													number / UINT64CONST(10000000000) % 10000,
													number / 100000000 % 100,
													number / 1000000 % 100,
													number / 10000 % 100,
													number / 100 % 100, number % 100, 0, 0));
}

static bool
read_timestamp(BinlogPlace *place, int i, const uint8 *p, Size len)
{
	return put_text(place, i, FeathubMysqlBinlogWriteTimestamp(place->text,
															   get_little_endian(p, 4), 0, 0));
}

static bool
read_timestamp2(BinlogPlace *place, int i, const uint8 *p, Size len)
{
	return put_text(place, i,
					FeathubMysqlBinlogWriteTimestamp(place->text, get_big_endian(p, 4),
													 fraction_micros(p + 4, len - 4),
													 place->table->pub.columns[i].metadata));
}

static bool
read_datetime2(BinlogPlace *place, int i, const uint8 *p, Size len)
{
	int64		packed = get_big_endian(p, 5) - INT64CONST(0x8000000000);
	int			year_month = (packed >> 22) & 0x1ffff;

	return put_text(place, i,
					FeathubMysqlBinlogWriteDatetime(place->text, year_month / 13 % 10000,
													year_month % 13, (packed >> 17) & 0x1f,
													(packed >> 12) & 0x1f, (packed >> 6) & 0x3f,
													packed & 0x3f, fraction_micros(p + 5, len - 5),
													place->table->pub.columns[i].metadata));
}

/* Whole and fraction are one number, with an offset that makes it positive. */
static bool
read_time2(BinlogPlace *place, int i, const uint8 *p, Size len)
{
	static const int units[4] = {0, 10000, 100, 1};
	int			fraction_len = len - 3;
	int			bits = fraction_len * 8;
	int64		packed = (int64) get_big_endian(p, len) - (INT64CONST(0x800000) << bits);
	bool		negative = packed < 0;
	int64		whole;
	int64		fraction;

	if (negative)
		packed = -packed;
	whole = packed >> bits;
	fraction = (packed & ((INT64CONST(1) << bits) - 1)) * units[fraction_len];
	return put_text(place, i,
					FeathubMysqlBinlogWriteTime(place->text, negative, (whole >> 12) & 0x3ff,
												(whole >> 6) & 0x3f, whole & 0x3f,
												fraction % 1000000,
												place->table->pub.columns[i].metadata));
}

/* Bytes, texts and what is made of them */

static bool
read_null(BinlogPlace *place, int i, const uint8 *data, Size len)
{
	return true;
}

/* As it is: bytes, and text in UTF-8. */
static bool
read_bytes(BinlogPlace *place, int i, const uint8 *data, Size len)
{
	set_value(place, i, data, len);
	return true;
}

static bool
read_enum(BinlogPlace *place, int i, const uint8 *data, Size len)
{
	const MysqlBinlogColumn *column = &place->table->pub.columns[i];
	uint64		number = get_little_endian(data, len);

	if (column->nmembers < 0)
		return put_text(place, i, pg_ulltoa_n(number, place->text));
	if (number > column->nmembers)
		return false;
	if (number == 0)
		set_value(place, i, "", 0);
	else
		set_value(place, i, column->members[number - 1].data, column->members[number - 1].len);
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
read_plugin(BinlogPlace *place, int i, const uint8 *data)
{
	const MysqlBinlogColumn *column = &place->table->pub.columns[i];
	char	   *out = palloc(INET6_ADDRSTRLEN + 1);

	if (column->metadata != (column->plugin == MYSQL_BINLOG_PLUGIN_INET4 ? 4 : 16))
		return false;
	if (column->plugin == MYSQL_BINLOG_PLUGIN_UUID)
		write_uuid(out, data);
	else if (inet_ntop(column->plugin == MYSQL_BINLOG_PLUGIN_INET4 ? AF_INET : AF_INET6, data,
					   out, INET6_ADDRSTRLEN + 1) == NULL)
		return false;
	set_value(place, i, out, strlen(out));
	return true;
}

/* Text or bytes that are not simply there. */
static bool
read_other_text(BinlogPlace *place, int i, const uint8 *data, Size len)
{
	MysqlBinlogReader *reader = place->reader;
	BinlogTable *table = place->table;
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
		good = out_len >= column->metadata && read_plugin(place, i, (const uint8 *) out);
	else if (good)
	{
		if (!FeathubMysqlCharsetToUtf8(charset, out, out_len, &out, &out_len, &error))
			good = FeathubMysqlBinlogRefuse(reader, NULL, "column %d of table \"%.*s\": %s", i + 1,
											(int) Min(table->pub.name.len, 200),
											table->pub.name.data, error);
		else
			set_value(place, i, out, out_len);
	}
	MemoryContextSwitchTo(old);
	return good;
}

/* Members with commas between. */
static bool
read_set(BinlogPlace *place, int i, const uint8 *data, Size data_len)
{
	const MysqlBinlogColumn *column = &place->table->pub.columns[i];
	uint64		set = get_little_endian(data, data_len);
	Size		len = 0;
	char	   *out;
	char	   *p;

	if (column->nmembers < 0)
		return put_text(place, i, pg_ulltoa_n(set, place->text));
	if (column->nmembers < 64 && set >> column->nmembers != 0)
		return false;
	for (int j = 0; j < Min(column->nmembers, 64); j++)
		len += (set >> j) & 1 ? column->members[j].len + 1 : 0;
	place->reader->row_context_used = true;
	out = p = MemoryContextAllocHuge(place->reader->row_context, Max(len, 1));
	for (int j = 0; j < Min(column->nmembers, 64); j++)
	{
		if (((set >> j) & 1) == 0)
			continue;
		if (p > out)
			*p++ = ',';
		memcpy(p, column->members[j].data, column->members[j].len);
		p += column->members[j].len;
	}
	set_value(place, i, out, p - out);
	return true;
}

static bool
read_json(BinlogPlace *place, int i, const uint8 *data, Size len)
{
	MysqlBinlogReader *reader = place->reader;
	MemoryContext old = MemoryContextSwitchTo(reader->row_context);
	StringInfoData json;
	bool		good;

	reader->row_context_used = true;
	initStringInfo(&json);
	good = FeathubMysqlJsonToText(&json, data, len);
	MemoryContextSwitchTo(old);
	set_value(place, i, json.data, json.len);
	return good;
}

/* What will read a column */

/* Values of a fixed size; NULL: the type has none. */
static BinlogReadFunction
choose_fixed(const MysqlBinlogColumn *column, Size *size)
{
	switch (column->type)
	{
		case MYSQL_BINLOG_TINY:
			*size = 1;
			return read_tiny;
		case MYSQL_BINLOG_SHORT:
			*size = 2;
			return read_short;
		case MYSQL_BINLOG_INT24:
			*size = 3;
			return read_int24;
		case MYSQL_BINLOG_LONG:
			*size = 4;
			return read_long;
		case MYSQL_BINLOG_LONGLONG:
			*size = 8;
			return read_longlong;
		case MYSQL_BINLOG_FLOAT:
			*size = 4;
			return read_float;
		case MYSQL_BINLOG_DOUBLE:
			*size = 8;
			return read_double;
		case MYSQL_BINLOG_DECIMAL:
			*size = FeathubMysqlBinlogDecimalSize(column->metadata >> 8, column->metadata & 0xff);
			return read_decimal;
		case MYSQL_BINLOG_BIT:
			*size = (column->metadata + 7) / 8;
			return read_bytes;
		case MYSQL_BINLOG_ENUM:
			*size = column->metadata;
			return read_enum;
		case MYSQL_BINLOG_SET:
			*size = column->metadata;
			return read_set;
		case MYSQL_BINLOG_NULL:
			*size = 0;
			return read_null;
		default:
			return NULL;
	}
}

/* Times, whose fraction of seconds has two digits in a byte. */
static BinlogReadFunction
choose_time(const MysqlBinlogColumn *column, Size *size)
{
	Size		fraction = (column->metadata + 1) / 2;

	switch (column->type)
	{
		case MYSQL_BINLOG_YEAR:
			*size = 1;
			return read_year;
		case MYSQL_BINLOG_DATE:
		case MYSQL_BINLOG_NEWDATE:
			*size = 3;
			return read_date;
		case MYSQL_BINLOG_TIME:
			*size = 3;
			return read_time;
		case MYSQL_BINLOG_DATETIME:
			*size = 8;
			return read_datetime;
		case MYSQL_BINLOG_TIMESTAMP:
			*size = 4;
			return read_timestamp;
		case MYSQL_BINLOG_TIMESTAMP2:
			*size = 4 + fraction;
			return read_timestamp2;
		case MYSQL_BINLOG_DATETIME2:
			*size = 5 + fraction;
			return read_datetime2;
		case MYSQL_BINLOG_TIME2:
			*size = 3 + fraction;
			return read_time2;
		default:
			return NULL;
	}
}

/* Values that have their length before them, in so many bytes. */
static BinlogReadFunction
choose_varying(const MysqlBinlogColumn *column, const MysqlCharset *charset, int *prefix)
{
	switch (column->type)
	{
		case MYSQL_BINLOG_VARCHAR:
		case MYSQL_BINLOG_VAR_STRING:
		case MYSQL_BINLOG_STRING:
			*prefix = column->metadata > 255 ? 2 : 1;
			return charset->kind == MYSQL_CHARSET_UTF8 ? read_bytes : read_other_text;
		case MYSQL_BINLOG_VARCHAR_COMPRESSED:
			*prefix = column->metadata > 255 ? 2 : 1;
			return read_other_text;
		case MYSQL_BINLOG_TINY_BLOB:
		case MYSQL_BINLOG_MEDIUM_BLOB:
		case MYSQL_BINLOG_LONG_BLOB:
		case MYSQL_BINLOG_BLOB:
			*prefix = column->metadata;
			return charset->kind == MYSQL_CHARSET_UTF8 ? read_bytes : read_other_text;
		case MYSQL_BINLOG_BLOB_COMPRESSED:
			*prefix = column->metadata;
			return read_other_text;
		case MYSQL_BINLOG_GEOMETRY:
		case MYSQL_BINLOG_VECTOR:
			*prefix = column->metadata;
			return read_bytes;
		case MYSQL_BINLOG_JSON:
			*prefix = column->metadata;
			return read_json;
		default:
			return NULL;
	}
}

void
FeathubMysqlBinlogMakeCodecs(BinlogTable *table)
{
	if (table->codecs == NULL)
		table->codecs = MemoryContextAllocZero(table->context,
											   sizeof(BinlogCodec) * table->pub.ncolumns);
	for (int i = 0; i < table->pub.ncolumns; i++)
	{
		const MysqlBinlogColumn *column = &table->pub.columns[i];
		BinlogCodec *codec = &table->codecs[i];

		memset(codec, 0, sizeof(BinlogCodec));
		codec->charset = FeathubMysqlCharset(column->collation);
		codec->read = choose_fixed(column, &codec->size);
		if (codec->read == NULL)
			codec->read = choose_time(column, &codec->size);
		if (codec->read == NULL)
			codec->read = choose_varying(column, codec->charset, &codec->prefix);
		if (codec->read == NULL)
			codec->size = SIZE_MAX; /* no row has as much */
	}
	table->codecs_ready = true;
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
