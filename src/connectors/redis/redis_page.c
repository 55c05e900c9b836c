/*
 * redis_page.c
 *		Tables with a row for each element of a key, page by page.
 *
 * The first page of every key of a window is asked for at once; a key that has
 * more is read on while its rows are given out.  A stream goes on behind the last
 * entry, a range of a sorted set at the last score, whatever changed meanwhile; a
 * list goes on at an index.  Of a set, sorted set or hash each element is given
 * once.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "connectors/redis/redis_page.h"
#include "connectors/redis/redis_stream.h"

/* Elements of a page. */
#define PAGE_SIZE	1000

/* Members of one score that are read again rather than skipped. */
#define MAX_TIES	20000

static void add_page(RedisWindow *window, RedisRequest *request, const char *key, Size len);
static bool take_page(RedisWindow *window, RedisReply *reply);
static bool take_cursor_page(RedisWindow *window, RedisReply *reply, int per_element);
static void make_seen(RedisWindow *window);
static void remember(RedisWindow *window, const char *text, Size len);
static bool next_page(RedisWindow *window, RedisEntry *entry);
static bool fill_element(RedisWindow *window, RedisEntry *entry, Datum *values, bool *isnull);
static void fill_entry(RedisWindow *window, RedisEntry *entry, RedisReply *element,
					   Datum *values, bool *isnull);

void
FeathubRedisPageFirst(RedisWindow *window, RedisRequest *request, const char *key, Size len)
{
	FeathubRedisPageReset(window);
	add_page(window, request, key, len);
}

bool
FeathubRedisPageRow(RedisWindow *window, RedisEntry *entry, Datum *values, bool *isnull)
{
	RedisReader *reader = window->reader;

	if (!window->paged)
	{
		RedisReply *reply = FeathubRedisWindowReply(window, entry->command);

		window->ttl = -1;
		if (reply == NULL || !take_page(window, reply))
			return false;
		if (reader->need_ttl)
			window->ttl = FeathubRedisGet(window->request, entry->command + 1)->integer;
		if (window->ttl == -2)
			return false;
	}
	for (;;)
	{
		if (window->page_pos >= window->page->n)
		{
			if (!window->more || !next_page(window, entry))
				return false;
			continue;
		}
		if (!fill_element(window, entry, values, isnull))
			continue;
		if (reader->need_ttl)
			FeathubRedisFillTtl(window, window->ttl, values, isnull);
		return true;
	}
}

void
FeathubRedisPageReset(RedisWindow *window)
{
	window->paged = false;
	window->more = false;
	window->deduplicate = false;
	window->page = NULL;
	window->page_pos = 0;
	window->list_start = 0;
	window->ties = 0;
	if (window->cursor)
		pfree(window->cursor);
	window->cursor = NULL;
	if (window->seen)
		FeathubRedisSeenReset(window->seen);
}

/* Are all members of sorted sets wanted?  Then their scores do not matter. */
static bool
whole_zset(RedisReader *reader)
{
	return strcmp(reader->range.min, "-inf") == 0 && strcmp(reader->range.max, "+inf") == 0;
}

/* The command for the page at the window's place in the key. */
static void
add_page(RedisWindow *window, RedisRequest *request, const char *key, Size len)
{
	RedisReader *reader = window->reader;
	const char *args[6];
	char		a[32];
	char		b[32];
	char		count[32];

	snprintf(count, sizeof(count), "%d", PAGE_SIZE);
	switch (reader->table->kind)
	{
		case REDIS_KIND_LIST:
			pg_lltoa(window->list_start, a);
			pg_lltoa(window->list_start + PAGE_SIZE - 1, b);
			args[0] = a;
			args[1] = b;
			FeathubRedisCommand(request, NULL, "LRANGE", key, len, 2, args);
			break;
		case REDIS_KIND_SET:
		case REDIS_KIND_HASH:
			args[0] = window->cursor ? window->cursor : "0";
			args[1] = "COUNT";
			args[2] = count;
			FeathubRedisCommand(request, NULL,
								reader->table->kind == REDIS_KIND_SET ? "SSCAN" : "HSCAN",
								key, len, 3, args);
			break;
		case REDIS_KIND_ZSET:
			if (whole_zset(reader))
			{
				args[0] = window->cursor ? window->cursor : "0";
				args[1] = "COUNT";
				args[2] = count;
				FeathubRedisCommand(request, NULL, "ZSCAN", key, len, 3, args);
				break;
			}

			/*
			 * Begin with the last score again: members of it may have gone, so
			 * that they cannot be counted.  They are, where they are too many.
			 */
			window->page_size = PAGE_SIZE + (window->ties <= MAX_TIES ? window->ties : 0);
			pg_ltoa(window->ties <= MAX_TIES ? 0 : window->ties, a);
			pg_ltoa(window->page_size, count);
			args[0] = window->cursor ? window->cursor : reader->range.min;
			args[1] = reader->range.max;
			args[2] = "WITHSCORES";
			args[3] = "LIMIT";
			args[4] = a;
			args[5] = count;
			FeathubRedisCommand(request, NULL, "ZRANGEBYSCORE", key, len, 6, args);
			break;
		default:
			args[0] = window->cursor ? psprintf("(%s", window->cursor) : reader->range.min;
			args[1] = reader->range.max;
			args[2] = "COUNT";
			args[3] = count;
			FeathubRedisCommand(request, NULL, "XRANGE", key, len, 4, args);
			break;
	}
}

/* Look at a reply that is a page; false if it is the end of the key. */
static bool
take_page(RedisWindow *window, RedisReply *reply)
{
	RedisReader *reader = window->reader;

	if (reply->type != REDIS_ARRAY)
		FeathubRedisBadReply(reader->client, "a read of elements");
	window->paged = true;
	window->page = reply;
	window->page_pos = 0;
	switch (reader->table->kind)
	{
		case REDIS_KIND_SET:
			return take_cursor_page(window, reply, 1);
		case REDIS_KIND_HASH:
			return take_cursor_page(window, reply, 2);
		case REDIS_KIND_LIST:
			window->more = reply->n == PAGE_SIZE;
			break;
		case REDIS_KIND_ZSET:
			if (whole_zset(reader))
				return take_cursor_page(window, reply, 2);
			window->more = reply->n >= 2 * window->page_size;
			if (window->more)
			{
				RedisReply *last = &reply->elements[reply->n - 1];
				bool		counted = window->ties > MAX_TIES && window->cursor &&
					strcmp(window->cursor, last->str) == 0;
				int			ties = 0;

				while (2 * ties < reply->n &&
					   strcmp(reply->elements[reply->n - 1 - 2 * ties].str, last->str) == 0)
					ties++;
				window->ties = counted ? window->ties + ties : ties;
				remember(window, last->str, last->len);
				/* a member whose score grows would be met again */
				make_seen(window);
			}
			break;
		default:
			window->more = reply->n == PAGE_SIZE;
			if (window->more)
			{
				RedisReply *last = &reply->elements[reply->n - 1];

				if (last->type != REDIS_ARRAY || last->n != 2)
					FeathubRedisBadReply(reader->client, "XRANGE");
				remember(window, last->elements[0].str, last->elements[0].len);
			}
			break;
	}
	return reply->n > 0;
}

/* [cursor, [element...]] */
static bool
take_cursor_page(RedisWindow *window, RedisReply *reply, int per_element)
{
	RedisReply *items;

	if (reply->n != 2 || reply->elements[0].type != REDIS_STRING ||
		reply->elements[1].type != REDIS_ARRAY || reply->elements[1].n % per_element != 0)
		FeathubRedisBadReply(window->reader->client, "SSCAN");
	items = &reply->elements[1];
	window->page = items;
	window->more = strcmp(reply->elements[0].str, "0") != 0;
	if (window->more)
		remember(window, reply->elements[0].str, reply->elements[0].len);
	if (window->more)
		make_seen(window);
	return items->n > 0 || window->more;
}

/* From now on elements are given once. */
static void
make_seen(RedisWindow *window)
{
	if (window->seen == NULL)
	{
		MemoryContext old = MemoryContextSwitchTo(window->reader->context);

		window->seen = FeathubRedisSeenMake(true);
		MemoryContextSwitchTo(old);
	}
	window->deduplicate = true;
}

static void
remember(RedisWindow *window, const char *text, Size len)
{
	char	   *copy = MemoryContextAlloc(window->reader->context, len + 1);

	memcpy(copy, text, len + 1);
	if (window->cursor)
		pfree(window->cursor);
	window->cursor = copy;
}

/* Fetch the page behind the present one. */
static bool
next_page(RedisWindow *window, RedisEntry *entry)
{
	RedisReader *reader = window->reader;
	RedisReply *reply;

	if (window->page_request == NULL)
	{
		MemoryContext old = MemoryContextSwitchTo(reader->context);

		window->page_request = FeathubRedisRequestMake(reader->client);
		MemoryContextSwitchTo(old);
	}
	window->list_start += window->page->n;
	FeathubRedisRequestReset(window->page_request);
	add_page(window, window->page_request, window->keys.data + entry->offset, entry->len);
	reply = FeathubRedisCall(window->page_request, 0);
	reader->ntrips++;
	return take_page(window, reply);
}

/* The element at the window's place; false for one given out before. */
static bool
fill_element(RedisWindow *window, RedisEntry *entry, Datum *values, bool *isnull)
{
	RedisTable *table = window->reader->table;
	RedisReply *element = &window->page->elements[window->page_pos];
	AttrNumber	attnum;

	switch (table->kind)
	{
		case REDIS_KIND_STREAM:
			window->page_pos++;
			fill_entry(window, entry, element, values, isnull);
			return true;
		case REDIS_KIND_ZSET:
		case REDIS_KIND_HASH:
			window->page_pos += 2;
			break;
		default:
			window->page_pos++;
			break;
	}
	if (window->deduplicate &&
		!FeathubRedisSeenAdd(window->seen, element->str, element->len))
		return false;

	if (table->kind == REDIS_KIND_HASH)
	{
		FeathubRedisFillColumn(window, entry, &table->field, element->str, element->len,
							   values, isnull);
		element++;
	}
	if (window->reader->nneeded > 0)
		FeathubRedisFillColumn(window, entry, &table->values[0], element->str, element->len,
							   values, isnull);
	attnum = table->metadata[REDIS_META_SCORE];
	if (attnum != 0)
	{
		values[attnum - 1] = Float8GetDatum(strtod(element[1].str, NULL));
		isnull[attnum - 1] = false;
	}
	attnum = table->metadata[REDIS_META_INDEX];
	if (attnum != 0)
	{
		int64		n = window->list_start + window->page_pos - 1;

		values[attnum - 1] =
			TupleDescAttr(table->rel->tupdesc, attnum - 1)->atttypid == INT4OID ?
			Int32GetDatum((int32) n) : Int64GetDatum(n);
		isnull[attnum - 1] = false;
	}
	return true;
}

/* An entry of a stream: [id, [field, value...]] */
static void
fill_entry(RedisWindow *window, RedisEntry *entry, RedisReply *element,
		   Datum *values, bool *isnull)
{
	RedisReader *reader = window->reader;
	RedisTable *table = reader->table;
	AttrNumber	id = table->metadata[REDIS_META_ID];
	AttrNumber	time = table->metadata[REDIS_META_TIME];
	RedisReply *fields;

	if (element->type != REDIS_ARRAY || element->n != 2 ||
		element->elements[0].type != REDIS_STRING)
		FeathubRedisBadReply(reader->client, "XRANGE");
	fields = &element->elements[1];
	if (id != 0)
	{
		values[id - 1] = PointerGetDatum(cstring_to_text_with_len(element->elements[0].str,
																  element->elements[0].len));
		isnull[id - 1] = false;
	}
	if (time != 0)
	{
		RedisId		parsed;
		TimestampTz of_id = DT_NOBEGIN;

		if (FeathubRedisIdParse(element->elements[0].str, &parsed))
			of_id = FeathubRedisIdTime(parsed);
		values[time - 1] = TimestampTzGetDatum(of_id);
		isnull[time - 1] = of_id == DT_NOBEGIN;
	}
	for (int i = 0; i < reader->nneeded; i++)
	{
		RedisColumn *column = &table->values[reader->needed[i]];
		Size		len = strlen(column->field);

		/* the last of fields of one name, as a reader into a map would have it */
		for (int j = fields->n - 2; j >= 0; j -= 2)
		{
			if (fields->elements[j].len != len ||
				memcmp(fields->elements[j].str, column->field, len) != 0)
				continue;
			FeathubRedisFillColumn(window, entry, column, fields->elements[j + 1].str,
								   fields->elements[j + 1].len, values, isnull);
			break;
		}
	}
}
