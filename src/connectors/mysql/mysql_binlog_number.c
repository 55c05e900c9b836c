/*
 * mysql_binlog_number.c
 *		Numbers and times in binary logs, written as the server would send them.
 */
#include "postgres.h"

#include <math.h>

#include "common/shortest_dec.h"
#include "utils/builtins.h"

#include "connectors/mysql/mysql_binlog_reader.h"

/* Digits in groups of nine, in as many bytes as they need. */
#define GROUP_DIGITS	9
static const int group_bytes[GROUP_DIGITS + 1] = {0, 1, 1, 2, 2, 3, 3, 4, 4, 4};
static const uint32 powers_of_ten[GROUP_DIGITS + 1] = {
	1, 10, 100, 1000, 10000, 100000, 1000000, 10000000, 100000000, 1000000000
};

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

/* Numbers */

/*
 * The shortest digits that give a number again, without zeros in front and at the
 * end; how many, and how many of them are before the point.  -1: Infinity, NaN.
 */
static int
shortest_digits(double value, char *digits, int *point)
{
	char		shortest[DOUBLE_SHORTEST_DECIMAL_LEN];
	const char *s = shortest;
	bool		seen_point = false;
	int			n = 0;

	*point = 0;
	shortest[double_to_shortest_decimal_bufn(value, shortest)] = '\0';
	if (*s == '-')
		s++;
	for (; *s && *s != 'e'; s++)
	{
		if (*s == '.')
			seen_point = true;
		else if (*s < '0' || *s > '9')
			return -1;
		else
		{
			if (n > 0 || *s != '0')
				digits[n++] = *s;
			if (n > 0 && !seen_point)
				(*point)++;
			else if (n == 0 && seen_point)
				(*point)--;
		}
	}
	if (*s == 'e')
		*point += atoi(s + 1);
	while (n > 0 && digits[n - 1] == '0')
		n--;
	return n;
}

/*
 * With an exponent if it has more than 15 places before the point, or more than
 * 14 zeros behind it.
 */
int
FeathubMysqlBinlogWriteDouble(char *out, double value)
{
	char		digits[DOUBLE_SHORTEST_DECIMAL_LEN];
	int			point;			/* digits before the point */
	int			ndigits = shortest_digits(value, digits, &point);
	char	   *p = out;

	if (ndigits < 0)			/* no server has them */
		return double_to_shortest_decimal_bufn(value, out);
	if (signbit(value))
		*p++ = '-';
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

/* Times */

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

int
FeathubMysqlBinlogWriteDatetime(char *out, int year, int month, int day, int hour,
								int minute, int second, int micros, int digits)
{
	int			len = FeathubMysqlBinlogWriteDate(out, year, month, day);

	out[len++] = ' ';
	return len + FeathubMysqlBinlogWriteTime(out + len, false, hour, minute, second, micros, digits);
}

/* Seconds since 1970, in UTC. */
int
FeathubMysqlBinlogWriteTimestamp(char *out, uint64 seconds, int micros, int digits)
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
		return FeathubMysqlBinlogWriteDatetime(out, 0, 0, 0, 0, 0, 0, 0, digits);
	return FeathubMysqlBinlogWriteDatetime(out, year_of_era + era * 400 + (month <= 2), month,
										   day_of_year - (153 * shifted + 2) / 5 + 1,
										   rest / 3600, rest / 60 % 60, rest % 60,
										   micros, digits);
}
