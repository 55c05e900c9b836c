/*
 * redis_source.c
 *		The keys of a whole table, each once.
 *
 * They come from SCAN with MATCH and TYPE, from each master of a cluster in
 * turn, from a Redis set, or there is just one.  The command for the next keys is
 * on its way while those at hand are read.  SCAN may repeat keys: redis_seen.c
 * remembers them.  Of kind features it is entities that are given once, by the
 * key of their first feature.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/memutils.h"

#include "connectors/redis/redis.h"
#include "connectors/redis/redis_node.h"
#include "connectors/redis/redis_write.h"

/* Keys that SCAN looks at in one call, at most: it blocks the server. */
#define MAX_COUNT	10000

struct RedisSource
{
	RedisTable *table;
	RedisClient *client;
	MemoryContext context;
	RedisSeen  *seen;
	StringInfoData match;		/* pattern, of SCAN */
	StringInfoData entity;		/* kind features: the key made last */
	RedisBytes *parts;
	int			count;			/* COUNT, as replies tell */

	RedisNode **nodes;			/* NULL: not started */
	int			nnodes;
	int			node;			/* being scanned */
	uint64		generation;		/* of its connection */
	char		cursor[32];

	RedisRequest *requests[2];	/* keys at hand; the next ones, under way */
	int			current;
	bool		sent;			/* the other request is under way */
	RedisReply *items;			/* NULL: none at hand */
	int			pos;
	bool		single_given;	/* of a table with one key */
	bool		one_reply;		/* all keys came in one reply: none is twice */
	bool		last;			/* no more requests */
	bool		later;			/* giving out what redis_seen.c put off */
	int64		trips;
};

static void send_next(RedisSource *source);
static void take_reply(RedisSource *source);
static bool next_raw(RedisSource *source, const char **key, Size *len);
static bool to_entity(RedisSource *source, const char **key, Size *len);

RedisSource *
FeathubRedisSourceMake(RedisTable *table, RedisClient *client)
{
	RedisSource *source = palloc0(sizeof(RedisSource));

	source->table = table;
	source->client = client;
	source->context = CurrentMemoryContext;
	source->seen = FeathubRedisSeenMake(false);
	initStringInfo(&source->match);
	initStringInfo(&source->entity);
	source->parts = palloc(sizeof(RedisBytes) * Max(table->nkeys, 1));
	source->requests[0] = FeathubRedisRequestMake(client);
	source->requests[1] = FeathubRedisRequestMake(client);
	return source;
}

void
FeathubRedisSourceStart(RedisSource *source, const RedisBytes *known)
{
	FeathubRedisRequestReset(source->requests[0]);
	FeathubRedisRequestReset(source->requests[1]);
	FeathubRedisSeenReset(source->seen);
	resetStringInfo(&source->match);
	if (source->table->kind == REDIS_KIND_FEATURES && source->table->nvalues > 1)
	{
		/* whatever the feature: its name is the one text that differs */
		StringInfoData other;
		int			same = 0;
		int			tail = 0;

		FeathubRedisKeyGlob(&source->table->features[0], known, &source->match);
		initStringInfo(&other);
		same = source->match.len;
		tail = source->match.len;
		for (int i = 1; i < source->table->nvalues; i++)
		{
			int			n = 0;
			int			m = 0;

			resetStringInfo(&other);
			FeathubRedisKeyGlob(&source->table->features[i], known, &other);
			while (n < same && n < other.len && source->match.data[n] == other.data[n])
				n++;
			while (m < tail && m < other.len &&
				   source->match.data[source->match.len - 1 - m] == other.data[other.len - 1 - m])
				m++;
			same = n;
			tail = m;
		}
		/* not between a backslash and what it escapes */
		if (same > 0 && source->match.data[same - 1] == '\\')
			same--;
		tail = Min(tail, source->match.len - same);
		while (tail > 0 && source->match.len - tail > 0 &&
			   source->match.data[source->match.len - tail - 1] == '\\')
			tail--;
		resetStringInfo(&other);
		appendBinaryStringInfo(&other, source->match.data, same);
		appendStringInfoChar(&other, '*');
		appendBinaryStringInfo(&other, source->match.data + source->match.len - tail, tail);
		resetStringInfo(&source->match);
		appendBinaryStringInfo(&source->match, other.data, other.len);
		pfree(other.data);
	}
	else
		FeathubRedisKeyGlob(&source->table->template, known, &source->match);
	source->nodes = NULL;
	source->node = 0;
	source->generation = 0;
	source->count = Min(source->table->options->fetch_size, MAX_COUNT);
	strcpy(source->cursor, "0");
	source->current = 0;
	source->sent = false;
	source->items = NULL;
	source->pos = 0;
	source->single_given = false;
	source->one_reply = false;
	source->last = false;
	source->later = false;
}

bool
FeathubRedisSourceFill(RedisSource *source, RedisWindow *window, int max)
{
	const char *key;
	Size		len;

	while (window->nentries < max)
	{
		/* a window that is half full need not wait for another reply */
		if (source->items == NULL && source->sent && window->nentries > max / 2)
			return true;
		if (!FeathubRedisSourceNext(source, &key, &len))
			return false;
		FeathubRedisWindowAdd(window, key, len);
	}
	return true;
}

bool
FeathubRedisSourceNext(RedisSource *source, const char **key, Size *len)
{
	for (;;)
	{
		if (source->later)
			return FeathubRedisSeenLater(source->seen, key, len);
		if (!next_raw(source, key, len))
		{
			source->later = true;
			continue;
		}
		if (FeathubRedisIsGuard(source->table, *key, *len))
			continue;
		if (source->table->kind == REDIS_KIND_FEATURES)
		{
			if (!to_entity(source, key, len))
				continue;
		}
		else if (!FeathubRedisKeyMatch(&source->table->template, *key, *len, source->parts))
			continue;
		else if (source->one_reply)
			return true;
		if (FeathubRedisSeenAdd(source->seen, *key, *len))
			return true;
	}
}

int64
FeathubRedisSourceTrips(RedisSource *source)
{
	return source->trips;
}

/* The next key as the server gives it. */
static bool
next_raw(RedisSource *source, const char **key, Size *len)
{
	const char *single = source->table->options->singleton_key;

	if (single)
	{
		*key = single;
		*len = strlen(single);
		source->one_reply = true;
		if (source->single_given)
			return false;
		source->single_given = true;
		return true;
	}
	for (;;)
	{
		if (source->items && source->pos < source->items->n)
		{
			RedisReply *item = &source->items->elements[source->pos++];

			if (item->type != REDIS_STRING)
				FeathubRedisBadReply(source->client, "SCAN");
			*key = item->str;
			*len = item->len;
			return true;
		}
		source->items = NULL;
		if (!source->sent)
		{
			if (source->last)
				return false;
			send_next(source);
		}
		CHECK_FOR_INTERRUPTS();
		take_reply(source);
	}
}

/* Send the command for the next keys. */
static void
send_next(RedisSource *source)
{
	const RedisOptions *options = source->table->options;
	RedisRequest *request = source->requests[!source->current];
	const char *set = options->key_set;
	bool		type = source->table->kind != REDIS_KIND_FEATURES;
	RedisNode  *node = NULL;

	if (source->nodes == NULL)
	{
		MemoryContext old = MemoryContextSwitchTo(source->context);

		source->nodes = FeathubRedisNodes(source->client, &source->nnodes);
		MemoryContextSwitchTo(old);
		if (source->nnodes == 0)
		{
			source->last = true;
			source->sent = false;
			source->items = NULL;
			return;
		}
	}
	FeathubRedisRequestReset(request);
	if (set)
	{
		FeathubRedisBegin(request, NULL, 5, "SSCAN");
		FeathubRedisAddKey(request, set, strlen(set));
	}
	else
	{
		node = source->nodes[source->node];
		FeathubRedisBegin(request, node, 6 + (type ? 2 : 0), "SCAN");
	}
	FeathubRedisAddString(request, source->cursor);
	if (!set)
	{
		FeathubRedisAddString(request, "MATCH");
		FeathubRedisAdd(request, source->match.data, source->match.len);
	}
	FeathubRedisAddString(request, "COUNT");
	FeathubRedisAddInt(request, source->count);
	if (!set && type)
	{
		FeathubRedisAddString(request, "TYPE");
		FeathubRedisAddString(request, FeathubRedisTypeOfKind(source->table->kind));
	}
	FeathubRedisSend(request);
	source->trips++;
	/* a cursor means nothing to another server, or to this one started again */
	if (node && strcmp(source->cursor, "0") != 0 && node->generation != source->generation)
		FeathubRedisNodeLost(node, "it went in the middle of a scan");
	if (node)
		source->generation = node->generation;
	source->sent = true;
}

/* Wait for it; [cursor, [key...]] */
static void
take_reply(RedisSource *source)
{
	RedisRequest *request = source->requests[!source->current];
	RedisReply *reply;
	bool		first = strcmp(source->cursor, "0") == 0;

	if (!source->sent)
		return;
	reply = FeathubRedisCall(request, 0);
	source->sent = false;
	source->current = !source->current;
	if (reply->type != REDIS_ARRAY || reply->n != 2 ||
		reply->elements[0].type != REDIS_STRING ||
		reply->elements[0].len >= sizeof(source->cursor) ||
		reply->elements[1].type != REDIS_ARRAY)
		FeathubRedisBadReply(source->client, "SCAN");
	strcpy(source->cursor, reply->elements[0].str);
	source->items = &reply->elements[1];
	source->pos = 0;

	/* where few of many keys are ours, look at more of them at once */
	if (source->items->n < source->count / 4 && source->count < MAX_COUNT)
		source->count = Min(source->count * 2, MAX_COUNT);
	if (strcmp(source->cursor, "0") == 0)
	{
		source->one_reply = first && source->nnodes == 1;
		if (source->table->options->key_set || ++source->node >= source->nnodes)
		{
			source->last = true;
			return;
		}
	}
	send_next(source);
}

/* A feature's key to that of the entity's first feature. */
static bool
to_entity(RedisSource *source, const char **key, Size *len)
{
	RedisTable *table = source->table;

	for (int i = 0; i < table->nvalues; i++)
	{
		if (!FeathubRedisKeyMatch(&table->features[i], *key, *len, source->parts))
			continue;
		resetStringInfo(&source->entity);
		FeathubRedisKeyRender(&table->template, source->parts, &source->entity);
		*key = source->entity.data;
		*len = source->entity.len;
		return true;
	}
	return false;
}
