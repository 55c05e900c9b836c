/*
 * redis_key.c
 *		How keys are made of columns, and columns of keys.
 */
#include "postgres.h"

#include "connectors/redis/redis_key.h"
#include "core/compat.h"

pg_noreturn static void reject_pattern(const char *pattern, const char *reason);

List *
FeathubRedisPatternParse(const char *pattern)
{
	List	   *items = NIL;
	StringInfoData text;
	bool		in_name = false;

	initStringInfo(&text);
	for (const char *p = pattern;; p++)
	{
		RedisPatternItem *item;
		bool		ends = *p == '\0';

		if (!in_name && !ends)
		{
			if ((p[0] == '{' && p[1] == '{') || (p[0] == '}' && p[1] == '}'))
			{
				appendStringInfoChar(&text, *p++);
				continue;
			}
			if (*p == '}')
				reject_pattern(pattern, "a brace is closed that was not opened");
			if (*p != '{')
			{
				appendStringInfoChar(&text, *p);
				continue;
			}
		}
		else if (in_name && !ends && *p != '}')
		{
			appendStringInfoChar(&text, *p);
			continue;
		}
		if (in_name && ends)
			reject_pattern(pattern, "a brace is not closed");
		if (in_name && text.len == 0)
			reject_pattern(pattern, "a column's name is missing between braces");
		if (text.len > 0)
		{
			item = palloc(sizeof(RedisPatternItem));
			item->is_name = in_name;
			item->text = pstrdup(text.data);
			items = lappend(items, item);
			resetStringInfo(&text);
		}
		if (ends)
			return items;
		in_name = !in_name;
	}
}

void
FeathubRedisPatternCheck(const char *pattern)
{
	(void) FeathubRedisPatternParse(pattern);
}

void
FeathubRedisKeyRender(const RedisTemplate *template, const RedisBytes *values,
					  StringInfo out)
{
	for (int i = 0; i < template->npieces; i++)
	{
		const RedisPiece *piece = &template->pieces[i];

		if (piece->column < 0)
			appendBinaryStringInfo(out, piece->text, piece->len);
		else
			appendBinaryStringInfo(out, values[piece->column].data,
								   values[piece->column].len);
	}
}

bool
FeathubRedisKeyMatch(const RedisTemplate *template, const char *key, Size len,
					 RedisBytes *parts)
{
	const char *p = key;
	const char *end = key + len;

	for (int i = 0; i < template->npieces; i++)
	{
		const RedisPiece *piece = &template->pieces[i];
		const RedisPiece *next = i + 1 < template->npieces ? piece + 1 : NULL;
		const char *stop = end;

		if (piece->column < 0)
		{
			if ((Size) (end - p) < piece->len || memcmp(p, piece->text, piece->len) != 0)
				return false;
			p += piece->len;
			continue;
		}
		if (next && i + 2 == template->npieces)
		{
			/* the last text stands at the end of the key */
			if ((Size) (end - p) < next->len)
				return false;
			stop = end - next->len;
		}
		else if (next)
		{
			stop = memmem(p, end - p, next->text, next->len);
			if (stop == NULL)
				return false;
		}
		parts[piece->column].data = p;
		parts[piece->column].len = stop - p;
		p = stop;
	}
	return p == end;
}

void
FeathubRedisKeyGlob(const RedisTemplate *template, const RedisBytes *values, StringInfo out)
{
	for (int i = 0; i < template->npieces; i++)
	{
		const RedisPiece *piece = &template->pieces[i];

		if (piece->column < 0)
			FeathubRedisGlobEscape(out, piece->text, piece->len);
		else if (values && values[piece->column].data)
			FeathubRedisGlobEscape(out, values[piece->column].data,
								   values[piece->column].len);
		else
			appendStringInfoChar(out, '*');
	}
}

void
FeathubRedisGlobEscape(StringInfo out, const char *text, Size len)
{
	for (Size i = 0; i < len; i++)
	{
		if (text[i] == '*' || text[i] == '?' || text[i] == '[' || text[i] == ']' ||
			text[i] == '\\' || text[i] == '^')
			appendStringInfoChar(out, '\\');
		appendStringInfoChar(out, text[i]);
	}
}

static void
reject_pattern(const char *pattern, const char *reason)
{
	ereport(ERROR,
			(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
			 errmsg("invalid key pattern \"%s\": %s", pattern, reason),
			 errhint("Columns stand between braces; a brace itself is written twice.")));
}
