/*
 * mysql_charset.c
 *		Character sets of the server, by the number of a collation.
 *
 * A binary log has text as its column stores it.  PostgreSQL's own conversions
 * are found by the catalog, which cannot be asked outside of a transaction, so
 * that the everyday sets are converted here and all others by the C library.
 */
#include "postgres.h"

#include <errno.h>
#include <iconv.h>

#include "mb/pg_wchar.h"

#include "connectors/mysql/mysql_charset.h"

/* Collations of MariaDB that do not pad have these numbers; UCA 14 has more. */
#define NOPAD_FLAG		1024
#define FIRST_UCA1400	2048
#define UCA1400_STEP	256

enum CharsetNumber
{
	UNKNOWN, BINARY, ASCII, UTF8MB3, UTF8MB4, LATIN1, UCS2, UTF16, UTF16LE, UTF32,
	ARMSCII8, BIG5, CP1250, CP1251, CP1256, CP1257, CP850, CP852, CP866, CP932, DEC8,
	EUCJPMS, EUCKR, GB18030, GB2312, GBK, GEOSTD8, GREEK, HEBREW, HP8, KEYBCS2, KOI8R,
	KOI8U, LATIN2, LATIN5, LATIN7, MACCE, MACROMAN, SJIS, SWE7, TIS620, UJIS
};

static const MysqlCharset charsets[] = {
	[UNKNOWN] = {"unknown", MYSQL_CHARSET_UNKNOWN, NULL, 1},
	[BINARY] = {"binary", MYSQL_CHARSET_BINARY, NULL, 1},
	[ASCII] = {"ascii", MYSQL_CHARSET_UTF8, NULL, 1},
	[UTF8MB3] = {"utf8mb3", MYSQL_CHARSET_UTF8, NULL, 1},
	[UTF8MB4] = {"utf8mb4", MYSQL_CHARSET_UTF8, NULL, 1},
	[LATIN1] = {"latin1", MYSQL_CHARSET_LATIN1, NULL, 1},
	[UCS2] = {"ucs2", MYSQL_CHARSET_UTF16, NULL, 2},
	[UTF16] = {"utf16", MYSQL_CHARSET_UTF16, NULL, 2},
	[UTF16LE] = {"utf16le", MYSQL_CHARSET_UTF16LE, NULL, 2},
	[UTF32] = {"utf32", MYSQL_CHARSET_UTF32, NULL, 4},
	[ARMSCII8] = {"armscii8", MYSQL_CHARSET_OTHER, "ARMSCII-8", 1},
	[BIG5] = {"big5", MYSQL_CHARSET_OTHER, "BIG5", 1},
	[CP1250] = {"cp1250", MYSQL_CHARSET_OTHER, "CP1250", 1},
	[CP1251] = {"cp1251", MYSQL_CHARSET_OTHER, "CP1251", 1},
	[CP1256] = {"cp1256", MYSQL_CHARSET_OTHER, "CP1256", 1},
	[CP1257] = {"cp1257", MYSQL_CHARSET_OTHER, "CP1257", 1},
	[CP850] = {"cp850", MYSQL_CHARSET_OTHER, "CP850", 1},
	[CP852] = {"cp852", MYSQL_CHARSET_OTHER, "CP852", 1},
	[CP866] = {"cp866", MYSQL_CHARSET_OTHER, "CP866", 1},
	[CP932] = {"cp932", MYSQL_CHARSET_OTHER, "CP932", 1},
	[DEC8] = {"dec8", MYSQL_CHARSET_OTHER, "DEC-MCS", 1},
	[EUCJPMS] = {"eucjpms", MYSQL_CHARSET_OTHER, "EUC-JP-MS", 1},
	[EUCKR] = {"euckr", MYSQL_CHARSET_OTHER, "CP949", 1},
	[GB18030] = {"gb18030", MYSQL_CHARSET_OTHER, "GB18030", 1},
	[GB2312] = {"gb2312", MYSQL_CHARSET_OTHER, "EUC-CN", 1},
	[GBK] = {"gbk", MYSQL_CHARSET_OTHER, "CP936", 1},
	[GEOSTD8] = {"geostd8", MYSQL_CHARSET_OTHER, "GEORGIAN-PS", 1},
	[GREEK] = {"greek", MYSQL_CHARSET_OTHER, "ISO-8859-7", 1},
	[HEBREW] = {"hebrew", MYSQL_CHARSET_OTHER, "ISO-8859-8", 1},
	[HP8] = {"hp8", MYSQL_CHARSET_OTHER, "HP-ROMAN8", 1},
	[KEYBCS2] = {"keybcs2", MYSQL_CHARSET_OTHER, "KEYBCS2", 1},
	[KOI8R] = {"koi8r", MYSQL_CHARSET_OTHER, "KOI8-R", 1},
	[KOI8U] = {"koi8u", MYSQL_CHARSET_OTHER, "KOI8-U", 1},
	[LATIN2] = {"latin2", MYSQL_CHARSET_OTHER, "ISO-8859-2", 1},
	[LATIN5] = {"latin5", MYSQL_CHARSET_OTHER, "ISO-8859-9", 1},
	[LATIN7] = {"latin7", MYSQL_CHARSET_OTHER, "ISO-8859-13", 1},
	[MACCE] = {"macce", MYSQL_CHARSET_OTHER, "MAC-CENTRALEUROPE", 1},
	[MACROMAN] = {"macroman", MYSQL_CHARSET_OTHER, "MACINTOSH", 1},
	[SJIS] = {"sjis", MYSQL_CHARSET_OTHER, "CP932", 1},
	[SWE7] = {"swe7", MYSQL_CHARSET_OTHER, "SEN_850200_C", 1},
	[TIS620] = {"tis620", MYSQL_CHARSET_OTHER, "TIS-620", 1},
	[UJIS] = {"ujis", MYSQL_CHARSET_OTHER, "EUC-JP", 1},
};

/* Numbers below NOPAD_FLAG, first and last. */
static const struct
{
	int			first;
	int			last;
	int			charset;
}			collations[] = {
	{1, 1, BIG5}, {2, 2, LATIN2}, {3, 3, DEC8}, {4, 4, CP850}, {5, 5, LATIN1}, {6, 6, HP8},
	{7, 7, KOI8R}, {8, 8, LATIN1}, {9, 9, LATIN2}, {10, 10, SWE7}, {11, 11, ASCII},
	{12, 12, UJIS}, {13, 13, SJIS}, {14, 14, CP1251}, {15, 15, LATIN1}, {16, 16, HEBREW},
	{18, 18, TIS620}, {19, 19, EUCKR}, {20, 20, LATIN7}, {21, 21, LATIN2}, {22, 22, KOI8U},
	{23, 23, CP1251}, {24, 24, GB2312}, {25, 25, GREEK}, {26, 26, CP1250}, {27, 27, LATIN2},
	{28, 28, GBK}, {29, 29, CP1257}, {30, 30, LATIN5}, {31, 31, LATIN1}, {32, 32, ARMSCII8},
	{33, 33, UTF8MB3}, {34, 34, CP1250}, {35, 35, UCS2}, {36, 36, CP866}, {37, 37, KEYBCS2},
	{38, 38, MACCE}, {39, 39, MACROMAN}, {40, 40, CP852}, {41, 42, LATIN7}, {43, 43, MACCE},
	{44, 44, CP1250}, {45, 46, UTF8MB4}, {47, 49, LATIN1}, {50, 52, CP1251},
	{53, 53, MACROMAN}, {54, 55, UTF16}, {56, 56, UTF16LE}, {57, 57, CP1256},
	{58, 59, CP1257}, {60, 61, UTF32}, {62, 62, UTF16LE}, {63, 63, BINARY},
	{64, 64, ARMSCII8}, {65, 65, ASCII}, {66, 66, CP1250}, {67, 67, CP1256}, {68, 68, CP866},
	{69, 69, DEC8}, {70, 70, GREEK}, {71, 71, HEBREW}, {72, 72, HP8}, {73, 73, KEYBCS2},
	{74, 74, KOI8R}, {75, 75, KOI8U}, {76, 76, UTF8MB3}, {77, 77, LATIN2}, {78, 78, LATIN5},
	{79, 79, LATIN7}, {80, 80, CP850}, {81, 81, CP852}, {82, 82, SWE7}, {83, 83, UTF8MB3},
	{84, 84, BIG5}, {85, 85, EUCKR}, {86, 86, GB2312}, {87, 87, GBK}, {88, 88, SJIS},
	{89, 89, TIS620}, {90, 90, UCS2}, {91, 91, UJIS}, {92, 93, GEOSTD8}, {94, 94, LATIN1},
	{95, 96, CP932}, {97, 98, EUCJPMS}, {99, 99, CP1250}, {101, 124, UTF16},
	{128, 159, UCS2}, {160, 183, UTF32}, {192, 223, UTF8MB3}, {224, 247, UTF8MB4},
	{248, 250, GB18030}, {255, 575, UTF8MB4}, {576, 607, UTF8MB3}, {608, 639, UTF8MB4},
	{640, 671, UCS2}, {672, 735, UTF16}, {736, 767, UTF32},
};

const MysqlCharset *
FeathubMysqlCharset(int collation)
{
	static const int uca1400[] = {UTF8MB3, UTF8MB4, UCS2, UTF16, UTF32};
	int			low = 0;
	int			high = lengthof(collations);

	if (collation >= FIRST_UCA1400)
	{
		int			i = (collation - FIRST_UCA1400) / UCA1400_STEP;

		return &charsets[i < lengthof(uca1400) ? uca1400[i] : UNKNOWN];
	}
	collation &= ~NOPAD_FLAG;
	while (low < high)
	{
		int			middle = (low + high) / 2;

		if (collations[middle].last < collation)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == lengthof(collations) || collation < collations[low].first)
		return &charsets[UNKNOWN];
	return &charsets[collations[low].charset];
}

/* Windows-1252 but for five bytes, which are control characters here. */
static const uint16 latin1_upper[32] = {
	0x20ac, 0x0081, 0x201a, 0x0192, 0x201e, 0x2026, 0x2020, 0x2021,
	0x02c6, 0x2030, 0x0160, 0x2039, 0x0152, 0x008d, 0x017d, 0x008f,
	0x0090, 0x2018, 0x2019, 0x201c, 0x201d, 0x2022, 0x2013, 0x2014,
	0x02dc, 0x2122, 0x0161, 0x203a, 0x0153, 0x009d, 0x017e, 0x0178
};

static bool
bad_text(const MysqlCharset *charset, char **error)
{
	*error = psprintf("text is not valid in character set \"%s\"", charset->name);
	return false;
}

/* At most "per_unit" bytes of UTF-8 for each unit of the text. */
static unsigned char *
alloc_utf8(Size units, int per_unit)
{
	return palloc_extended(Max(units * per_unit, 1), MCXT_ALLOC_HUGE);
}

static inline unsigned char *
put_utf8(unsigned char *p, pg_wchar c)
{
	unicode_to_utf8(c, p);
	return p + (c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4);
}

static void
latin1_to_utf8(const unsigned char *data, Size len, const char **out, Size *out_len)
{
	unsigned char *result = alloc_utf8(len, 3);
	unsigned char *p = result;

	for (Size i = 0; i < len; i++)
	{
		pg_wchar	c = data[i];

		if (c < 0x80)
			*p++ = c;
		else
			p = put_utf8(p, c < 0xa0 ? latin1_upper[c - 0x80] : c);
	}
	*out = (char *) result;
	*out_len = p - result;
}

static bool
utf16_to_utf8(const MysqlCharset *charset, const unsigned char *data, Size len,
			  const char **out, Size *out_len, char **error)
{
	int			high = charset->kind == MYSQL_CHARSET_UTF16LE;
	unsigned char *result;
	unsigned char *p;

	if (len % 2)
		return bad_text(charset, error);
	p = result = alloc_utf8(len / 2, 3);
	for (Size i = 0; i < len; i += 2)
	{
		pg_wchar	c = data[i + high] << 8 | data[i + 1 - high];

		if (is_utf16_surrogate_first(c))
		{
			pg_wchar	second;

			i += 2;
			if (i == len)
				return bad_text(charset, error);
			second = data[i + high] << 8 | data[i + 1 - high];
			if (!is_utf16_surrogate_second(second))
				return bad_text(charset, error);
			c = surrogate_pair_to_codepoint(c, second);
		}
		else if (is_utf16_surrogate_second(c))
			return bad_text(charset, error);
		p = put_utf8(p, c);
	}
	*out = (char *) result;
	*out_len = p - result;
	return true;
}

static bool
utf32_to_utf8(const MysqlCharset *charset, const unsigned char *data, Size len,
			  const char **out, Size *out_len, char **error)
{
	unsigned char *result;
	unsigned char *p;

	if (len % 4)
		return bad_text(charset, error);
	p = result = alloc_utf8(len / 4, 4);
	for (Size i = 0; i < len; i += 4)
	{
		pg_wchar	c = (pg_wchar) data[i] << 24 | data[i + 1] << 16 | data[i + 2] << 8 | data[i + 3];

		if (c > 0x10ffff || is_utf16_surrogate_first(c) || is_utf16_surrogate_second(c))
			return bad_text(charset, error);
		p = put_utf8(p, c);
	}
	*out = (char *) result;
	*out_len = p - result;
	return true;
}

/* By the C library; its descriptors are kept as long as the process lives. */
static bool
other_to_utf8(const MysqlCharset *charset, const char *data, Size len,
			  const char **out, Size *out_len, char **error)
{
	static iconv_t descriptors[lengthof(charsets)];
	iconv_t    *descriptor = &descriptors[charset - charsets];
	char	   *from = unconstify(char *, data);
	size_t		from_left = len;
	char	   *result;
	char	   *to;
	size_t		to_left;

	if (*descriptor == NULL)
	{
		iconv_t		opened = iconv_open("UTF-8", charset->iconv);

		if (opened == (iconv_t) -1)
		{
			*error = psprintf("character set \"%s\" is not supported by this machine",
							  charset->name);
			return false;
		}
		*descriptor = opened;
	}
	/* a byte may be two characters, with a combining one */
	to = result = (char *) alloc_utf8(len, 6);
	to_left = Max(len * 6, 1);
	iconv(*descriptor, NULL, NULL, NULL, NULL);
	if (iconv(*descriptor, &from, &from_left, &to, &to_left) == (size_t) -1 ||
		iconv(*descriptor, NULL, NULL, &to, &to_left) == (size_t) -1)
		return bad_text(charset, error);
	*out = result;
	*out_len = to - result;
	return true;
}

bool
FeathubMysqlCharsetToUtf8(const MysqlCharset *charset, const char *data, Size len,
						  const char **out, Size *out_len, char **error)
{
	Size		i = 0;

	*out = data;
	*out_len = len;
	switch (charset->kind)
	{
		case MYSQL_CHARSET_BINARY:
		case MYSQL_CHARSET_UTF8:
			return true;
		case MYSQL_CHARSET_UTF16:
		case MYSQL_CHARSET_UTF16LE:
			return utf16_to_utf8(charset, (const unsigned char *) data, len, out, out_len, error);
		case MYSQL_CHARSET_UTF32:
			return utf32_to_utf8(charset, (const unsigned char *) data, len, out, out_len, error);
		default:
			break;
	}

	/* what is ASCII is the same in all the others, but for the Swedish one */
	if (charset != &charsets[SWE7])
	{
		while (i < len && !IS_HIGHBIT_SET(data[i]))
			i++;
		if (i == len)
			return true;
	}
	switch (charset->kind)
	{
		case MYSQL_CHARSET_LATIN1:
			latin1_to_utf8((const unsigned char *) data, len, out, out_len);
			return true;
		case MYSQL_CHARSET_OTHER:
			return other_to_utf8(charset, data, len, out, out_len, error);
		default:
			*error = pstrdup("character set of the column is not known");
			return false;
	}
}
