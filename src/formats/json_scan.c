/*
 * json_scan.c
 *		A strict scanner of JSON text, without an index and without allocation.
 *
 * simdjson finds the top level's fields faster (json_parse.cpp); everything
 * below, and records too large for it, is read here.
 */
#include "core/hex.h"
#include "formats/json_scan.h"

#include <string.h>

static inline bool
is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static inline bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static inline const char *
skip_space(const char *p, const char *end)
{
	while (p < end && is_space(*p))
		p++;
	return p;
}

/* The four digits behind \u, or -1. */
static int
hex4(const char *p, const char *end)
{
	int			value = 0;

	if (end - p < 4)
		return -1;
	for (int i = 0; i < 4; i++)
	{
		int			digit = FeathubHexDigit(p[i]);

		if (digit < 0)
			return -1;
		value = value * 16 + digit;
	}
	return value;
}

/* p is behind the opening quote. */
static FeathubJsonStatus
scan_string(const char **pp, const char *end, FeathubJsonToken *token)
{
	const char *p = *pp;

	token->kind = FEATHUB_JSON_STRING;
	token->start = p;
	token->escaped = false;
	for (;;)
	{
		while (p < end && *p != '"' && *p != '\\' && (unsigned char) *p >= 0x20)
			p++;
		if (p >= end)
			return FEATHUB_JSON_TRUNCATED;
		if (*p == '"')
			break;
		if (*p != '\\')
			return FEATHUB_JSON_CONTROL_CHARACTER;
		token->escaped = true;
		if (++p >= end)
			return FEATHUB_JSON_TRUNCATED;
		if (*p == 'u')
		{
			if (hex4(p + 1, end) < 0)
				return end - p < 5 ? FEATHUB_JSON_TRUNCATED : FEATHUB_JSON_BAD_ESCAPE;
			p += 5;
		}
		else if (*p != '\0' && strchr("\"\\/bfnrt", *p) != NULL)
			p++;
		else
			return FEATHUB_JSON_BAD_ESCAPE;
	}
	token->len = p - token->start;
	*pp = p + 1;
	return FEATHUB_JSON_OK;
}

/* The end of the number that begins at p, or NULL. */
static const char *
number_end(const char *p, const char *end)
{
	if (p < end && *p == '-')
		p++;
	if (p >= end || !is_digit(*p))
		return NULL;
	if (*p == '0')
		p++;
	else
		while (p < end && is_digit(*p))
			p++;
	if (p < end && *p == '.')
	{
		p++;
		if (p >= end || !is_digit(*p))
			return NULL;
		while (p < end && is_digit(*p))
			p++;
	}
	if (p < end && (*p == 'e' || *p == 'E'))
	{
		p++;
		if (p < end && (*p == '+' || *p == '-'))
			p++;
		if (p >= end || !is_digit(*p))
			return NULL;
		while (p < end && is_digit(*p))
			p++;
	}
	return p;
}

bool
FeathubJsonIsNumber(const char *s, size_t len)
{
	return number_end(s, s + len) == s + len && len > 0;
}

/* A value that is neither object nor array; p is at its first byte. */
static FeathubJsonStatus
scan_scalar(const char **pp, const char *end, FeathubJsonToken *token)
{
	static const struct
	{
		const char *text;
		size_t		len;
		FeathubJsonKind kind;
	}			words[] = {
		{"null", 4, FEATHUB_JSON_NULL},
		{"true", 4, FEATHUB_JSON_TRUE},
		{"false", 5, FEATHUB_JSON_FALSE}
	};
	const char *p = *pp;

	if (*p == '"')
	{
		*pp = p + 1;
		return scan_string(pp, end, token);
	}
	token->start = p;
	token->escaped = false;
	if (*p == '-' || is_digit(*p))
	{
		const char *stop = number_end(p, end);

		if (stop == NULL)
			return FEATHUB_JSON_SYNTAX;
		token->kind = FEATHUB_JSON_NUMBER;
		token->len = stop - p;
		*pp = stop;
		return FEATHUB_JSON_OK;
	}
	for (int i = 0; i < 3; i++)
	{
		if (*p != words[i].text[0])
			continue;
		if ((size_t) (end - p) < words[i].len)
			return memcmp(p, words[i].text, end - p) == 0 ?
				FEATHUB_JSON_TRUNCATED : FEATHUB_JSON_SYNTAX;
		if (memcmp(p, words[i].text, words[i].len) != 0)
			return FEATHUB_JSON_SYNTAX;
		token->kind = words[i].kind;
		token->len = words[i].len;
		*pp = p + words[i].len;
		return FEATHUB_JSON_OK;
	}
	return FEATHUB_JSON_SYNTAX;
}

/* A key and its colon. */
static FeathubJsonStatus
scan_key(const char **pp, const char *end, FeathubJsonToken *key)
{
	FeathubJsonStatus status;
	const char *p = skip_space(*pp, end);

	if (p >= end)
		return FEATHUB_JSON_TRUNCATED;
	if (*p != '"')
		return FEATHUB_JSON_SYNTAX;
	p++;
	status = scan_string(&p, end, key);
	if (status != FEATHUB_JSON_OK)
		return status;
	p = skip_space(p, end);
	if (p >= end)
		return FEATHUB_JSON_TRUNCATED;
	if (*p != ':')
		return FEATHUB_JSON_SYNTAX;
	*pp = p + 1;
	return FEATHUB_JSON_OK;
}

/* An object or array; p is at its bracket. */
static FeathubJsonStatus
scan_container(const char **pp, const char *end, FeathubJsonToken *token)
{
	uint64_t	objects[FEATHUB_JSON_MAX_DEPTH / 64] = {0}; /* a bit per level */
	const char *p = *pp;
	int			depth = 0;
	bool		in_object = false;
	bool		opening = true; /* a value, or the end of an empty container */

	token->kind = *p == '{' ? FEATHUB_JSON_OBJECT : FEATHUB_JSON_ARRAY;
	token->start = p;
	token->escaped = false;

#define LEVEL_BIT(d) (UINT64_C(1) << ((d) % 64))
	for (;;)
	{
		FeathubJsonStatus status;
		FeathubJsonToken inner;

		/* a value begins here, or a container that just opened ends */
		p = skip_space(p, end);
		if (p >= end)
			return FEATHUB_JSON_TRUNCATED;
		if (depth > 0 && opening && *p == (in_object ? '}' : ']'))
			;					/* empty: closed below */
		else
		{
			if (in_object)
			{
				status = scan_key(&p, end, &inner);
				if (status != FEATHUB_JSON_OK)
					return status;
				p = skip_space(p, end);
				if (p >= end)
					return FEATHUB_JSON_TRUNCATED;
			}
			if (*p == '{' || *p == '[')
			{
				if (depth >= FEATHUB_JSON_MAX_DEPTH)
					return FEATHUB_JSON_TOO_DEEP;
				in_object = *p == '{';
				if (in_object)
					objects[depth / 64] |= LEVEL_BIT(depth);
				else
					objects[depth / 64] &= ~LEVEL_BIT(depth);
				depth++;
				p++;
				opening = true;
				continue;
			}
			status = scan_scalar(&p, end, &inner);
			if (status != FEATHUB_JSON_OK)
				return status;
			p = skip_space(p, end);
		}

		/* behind a value: close what ends here, up to a comma */
		for (;;)
		{
			if (p >= end)
				return FEATHUB_JSON_TRUNCATED;
			if (*p == ',')
				break;
			if (*p != (in_object ? '}' : ']'))
				return FEATHUB_JSON_SYNTAX;
			p++;
			if (--depth == 0)
			{
				token->len = p - token->start;
				*pp = p;
				return FEATHUB_JSON_OK;
			}
			in_object = (objects[(depth - 1) / 64] & LEVEL_BIT(depth - 1)) != 0;
			p = skip_space(p, end);
		}
		p++;
		opening = false;
	}
#undef LEVEL_BIT
}

FeathubJsonStatus
FeathubJsonScanValue(const char **pp, const char *end, FeathubJsonToken *token)
{
	const char *p = skip_space(*pp, end);

	*pp = p;
	if (p >= end)
		return FEATHUB_JSON_TRUNCATED;
	if (*p == '{' || *p == '[')
		return scan_container(pp, end, token);
	return scan_scalar(pp, end, token);
}

void
FeathubJsonScanBegin(FeathubJsonScan *scan, const FeathubJsonToken *token)
{
	scan->p = token->start + 1;
	scan->end = token->start + token->len;
	scan->is_object = token->kind == FEATHUB_JSON_OBJECT;
	scan->first = true;
}

FeathubJsonStatus
FeathubJsonScanNext(FeathubJsonScan *scan, bool *more, FeathubJsonToken *key,
					FeathubJsonToken *value)
{
	FeathubJsonStatus status;
	const char *p = skip_space(scan->p, scan->end);

	*more = false;
	if (p >= scan->end)
		return FEATHUB_JSON_TRUNCATED;
	if (*p == (scan->is_object ? '}' : ']'))
	{
		scan->p = p + 1;
		return FEATHUB_JSON_OK;
	}
	if (!scan->first)
	{
		if (*p != ',')
			return FEATHUB_JSON_SYNTAX;
		p++;
	}
	scan->first = false;
	if (scan->is_object)
	{
		status = scan_key(&p, scan->end, key);
		if (status != FEATHUB_JSON_OK)
			return status;
	}
	status = FeathubJsonScanValue(&p, scan->end, value);
	if (status != FEATHUB_JSON_OK)
		return status;
	/* ",]" and ",}" are found by the next value, missing commas here */
	p = skip_space(p, scan->end);
	if (p >= scan->end)
		return FEATHUB_JSON_TRUNCATED;
	if (*p != ',' && *p != (scan->is_object ? '}' : ']'))
		return FEATHUB_JSON_SYNTAX;
	scan->p = p;
	*more = true;
	return FEATHUB_JSON_OK;
}

/* Append a code point; returns behind it. */
static char *
put_utf8(char *dst, uint32_t c)
{
	if (c < 0x80)
		*dst++ = (char) c;
	else if (c < 0x800)
	{
		*dst++ = (char) (0xC0 | (c >> 6));
		*dst++ = (char) (0x80 | (c & 0x3F));
	}
	else if (c < 0x10000)
	{
		*dst++ = (char) (0xE0 | (c >> 12));
		*dst++ = (char) (0x80 | ((c >> 6) & 0x3F));
		*dst++ = (char) (0x80 | (c & 0x3F));
	}
	else
	{
		*dst++ = (char) (0xF0 | (c >> 18));
		*dst++ = (char) (0x80 | ((c >> 12) & 0x3F));
		*dst++ = (char) (0x80 | ((c >> 6) & 0x3F));
		*dst++ = (char) (0x80 | (c & 0x3F));
	}
	return dst;
}

FeathubJsonStatus
FeathubJsonUnescape(const FeathubJsonToken *token, char *dst, size_t *dst_len)
{
	const char *p = token->start;
	const char *end = p + token->len;
	char	   *begin = dst;

	while (p < end)
	{
		const char *stop = memchr(p, '\\', end - p);
		size_t		n = (stop ? stop : end) - p;
		int			c;

		memcpy(dst, p, n);
		dst += n;
		p += n;
		if (p >= end)
			break;
		if (++p >= end)
			return FEATHUB_JSON_BAD_ESCAPE;
		switch (*p++)
		{
			case '"':
				*dst++ = '"';
				break;
			case '\\':
				*dst++ = '\\';
				break;
			case '/':
				*dst++ = '/';
				break;
			case 'b':
				*dst++ = '\b';
				break;
			case 'f':
				*dst++ = '\f';
				break;
			case 'n':
				*dst++ = '\n';
				break;
			case 'r':
				*dst++ = '\r';
				break;
			case 't':
				*dst++ = '\t';
				break;
			case 'u':
				c = hex4(p, end);
				if (c < 0 || (c >= 0xDC00 && c <= 0xDFFF))
					return FEATHUB_JSON_BAD_ESCAPE;
				if (c == 0)
					return FEATHUB_JSON_NUL_ESCAPE;
				p += 4;
				if (c >= 0xD800 && c <= 0xDBFF)
				{
					int			low = -1;

					if (end - p >= 6 && p[0] == '\\' && p[1] == 'u')
						low = hex4(p + 2, end);
					if (low < 0xDC00 || low > 0xDFFF)
						return FEATHUB_JSON_BAD_ESCAPE;
					c = 0x10000 + ((c - 0xD800) << 10) + (low - 0xDC00);
					p += 6;
				}
				dst = put_utf8(dst, (uint32_t) c);
				break;
			default:
				return FEATHUB_JSON_BAD_ESCAPE;
		}
	}
	*dst_len = dst - begin;
	return FEATHUB_JSON_OK;
}

bool
FeathubJsonEquals(const FeathubJsonToken *token, const char *name, size_t len)
{
	const char *p = token->start;
	const char *end = p + token->len;
	size_t		done = 0;

	if (!token->escaped)
		return token->len == len && memcmp(p, name, len) == 0;

	/* piece by piece, so that a long key needs no memory */
	while (p < end)
	{
		FeathubJsonToken piece = {.start = p, .kind = FEATHUB_JSON_STRING};
		char		buf[16];
		size_t		n;

		if (*p != '\\')
			piece.len = 1;
		else if (end - p >= 12 && p[1] == 'u' && (p[2] == 'd' || p[2] == 'D') &&
				 FeathubHexDigit(p[3]) >= 8 && FeathubHexDigit(p[3]) < 12)
			piece.len = 12;
		else if (end - p >= 6 && p[1] == 'u')
			piece.len = 6;
		else
			piece.len = end - p < 2 ? 1 : 2;
		if (FeathubJsonUnescape(&piece, buf, &n) != FEATHUB_JSON_OK ||
			len - done < n || memcmp(buf, name + done, n) != 0)
			return false;
		done += n;
		p += piece.len;
	}
	return done == len;
}

static inline uint32_t
hash_key(const char *key, size_t len)
{
	uint32_t	h = 2166136261u ^ (uint32_t) len;

	for (size_t i = 0; i < len; i++)
		h = (h ^ (unsigned char) key[i]) * 16777619u;
	return h ^ (h >> 15);
}

void
FeathubJsonFieldsHash(FeathubJsonFields *fields)
{
	for (uint32_t i = 0; i <= fields->hash_mask; i++)
		fields->hash[i] = -1;
	for (int i = 0; i < fields->nfields; i++)
	{
		uint32_t	h = hash_key(fields->fields[i].key, fields->fields[i].key_len);

		while (fields->hash[h & fields->hash_mask] >= 0)
			h++;
		fields->hash[h & fields->hash_mask] = i;
	}
	fields->norder = 0;
}

int
FeathubJsonFieldsFind(const FeathubJsonFields *fields, const FeathubJsonToken *key)
{
	if (key->escaped)
	{
		for (int i = 0; i < fields->nfields; i++)
		{
			if (FeathubJsonEquals(key, fields->fields[i].key, fields->fields[i].key_len))
				return i;
		}
		return -1;
	}

	for (uint32_t h = hash_key(key->start, key->len);; h++)
	{
		int			i = fields->hash[h & fields->hash_mask];

		if (i < 0)
			return -1;
		if (fields->fields[i].key_len == key->len &&
			memcmp(fields->fields[i].key, key->start, key->len) == 0)
			return i;
	}
}

FeathubJsonStatus
FeathubJsonTokenFields(const FeathubJsonToken *object, FeathubJsonFields *fields)
{
	FeathubJsonScan scan;

	for (int i = 0; i < fields->nfields; i++)
		fields->fields[i].token.kind = FEATHUB_JSON_MISSING;

	FeathubJsonScanBegin(&scan, object);
	for (;;)
	{
		FeathubJsonToken key;
		FeathubJsonToken value;
		FeathubJsonStatus status;
		bool		more;
		int			i;

		status = FeathubJsonScanNext(&scan, &more, &key, &value);
		if (status != FEATHUB_JSON_OK || !more)
			return status;
		i = FeathubJsonFieldsFind(fields, &key);
		if (i >= 0)
			fields->fields[i].token = value;	/* the last one wins */
	}
}

FeathubJsonStatus
FeathubJsonScanFields(const char *data, size_t len, FeathubJsonFields *fields)
{
	const char *p = data;
	const char *end = data + len;
	FeathubJsonToken object;
	FeathubJsonStatus status;

	p = skip_space(p, end);
	if (p >= end)
		return FEATHUB_JSON_EMPTY;
	status = FeathubJsonScanValue(&p, end, &object);
	if (status != FEATHUB_JSON_OK)
		return status;
	if (skip_space(p, end) != end)
		return FEATHUB_JSON_TRAILING;
	if (object.kind != FEATHUB_JSON_OBJECT)
		return FEATHUB_JSON_NOT_OBJECT;
	return FeathubJsonTokenFields(&object, fields);
}
