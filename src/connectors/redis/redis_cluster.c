/*
 * redis_cluster.c
 *		Redis Cluster: slots of keys, and who has which slot.
 *
 * The map is asked for once and mended by redirections; it is asked for again
 * when one came or a node could not be reached.
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "connectors/redis/redis_node.h"
#include "core/clock.h"

static bool load_from(RedisClient *client, RedisNode *node, TimestampTz deadline,
					  char **reason);
static void take_slots(RedisClient *client, RedisNode *node, const RedisReply *reply);

/* The CRC that Redis Cluster uses: XMODEM, polynomial 0x1021. */
static uint16
crc16(const char *data, Size len)
{
	static uint16 table[256];
	static bool made = false;
	uint16		crc = 0;

	if (!made)
	{
		for (int i = 0; i < 256; i++)
		{
			uint16		value = i << 8;

			for (int bit = 0; bit < 8; bit++)
				value = (value & 0x8000) ? (value << 1) ^ 0x1021 : value << 1;
			table[i] = value;
		}
		made = true;
	}
	for (Size i = 0; i < len; i++)
		crc = (crc << 8) ^ table[((crc >> 8) ^ (unsigned char) data[i]) & 0xff];
	return crc;
}

/* The slot of a key: of what stands between its first braces, if anything. */
int
FeathubRedisSlot(const char *key, Size len)
{
	const char *open = memchr(key, '{', len);

	if (open)
	{
		const char *close = memchr(open + 1, '}', len - (open + 1 - key));

		if (close && close > open + 1)
			return crc16(open + 1, close - open - 1) % REDIS_SLOTS;
	}
	return crc16(key, len) % REDIS_SLOTS;
}

void
FeathubRedisLoadSlots(RedisClient *client)
{
	TimestampTz deadline = FeathubClock() +
		client->options.connect_timeout * USECS_PER_SEC;
	char	   *reason = NULL;
	char	   *where = NULL;
	List	   *seeds;
	ListCell   *lc;

	/* those we know first: they are many, and the list may be old */
	for (int i = 0; i < client->nnodes; i++)
	{
		if (load_from(client, client->nodes[i], deadline, &reason))
			return;
	}
	seeds = FeathubRedisAddresses(&client->options);
	foreach(lc, seeds)
	{
		RedisAddress *address = lfirst(lc);
		RedisNode  *node = FeathubRedisNodeFor(client, address->host, address->port);

		if (load_from(client, node, deadline, &reason))
			return;
		where = FeathubRedisNodeName(node);
	}
	FeathubRedisCannotConnect(client, where ? where : "cluster",
							  reason ? reason : "no node could be reached");
}

RedisNode *
FeathubRedisRedirection(RedisClient *client, RedisNode *from, const RedisReply *reply,
						bool *asking)
{
	RedisNode  *node;
	char	   *copy;
	char	   *place;
	char	   *colon;
	char	   *end;
	int			slot;

	*asking = FeathubRedisIsError(reply, "ASK");
	if (!*asking && !FeathubRedisIsError(reply, "MOVED"))
		return NULL;

	/* MOVED 3999 127.0.0.1:6381; the host may be empty: the same as before */
	copy = pstrdup(reply->str);
	place = strchr(copy, ' ');
	if (place == NULL)
		return NULL;
	slot = strtol(place + 1, &end, 10);
	colon = strrchr(end, ':');
	if (*end != ' ' || colon == NULL || slot < 0 || slot >= REDIS_SLOTS)
		return NULL;
	*colon = '\0';
	node = FeathubRedisNodeFor(client, end[1] != '\0' ? end + 1 : from->host,
							   atoi(colon + 1));
	if (!*asking)
	{
		client->slots[slot] = node;
		client->slots_stale = true;
	}
	return node;
}

/* Ask one node for the map. */
static bool
load_from(RedisClient *client, RedisNode *node, TimestampTz deadline, char **reason)
{
	static const char *const slots[] = {"SLOTS"};
	MemoryContext context;
	MemoryContext old = CurrentMemoryContext;
	RedisRequest *request;
	RedisReply *reply;
	bool		ok = false;

	if (!FeathubRedisNodeConnect(node, deadline, reason))
		return false;
	context = AllocSetContextCreate(CurrentMemoryContext, "feathub redis slots",
									ALLOCSET_SMALL_SIZES);
	MemoryContextSwitchTo(context);
	request = FeathubRedisRequestMake(client);
	FeathubRedisCommand(request, node, "CLUSTER", NULL, 0, 1, slots);
	FeathubRedisNodeSend(node, request->data.data, request->data.len, request, 0);
	request->nsent = 1;
	FeathubRedisWaitReplies(request);
	if (!request->lost)
	{
		reply = request->commands[0].reply;
		if (reply->type == REDIS_ERROR && strstr(reply->str, "cluster support disabled"))
			ereport(ERROR,
					(errcode(ERRCODE_FDW_UNABLE_TO_ESTABLISH_CONNECTION),
					 errmsg("foreign server \"%s\" is not a cluster", client->server),
					 errdetail("%s: %s", FeathubRedisNodeName(node), reply->str),
					 errhint("Use server option mode 'standalone'.")));
		reply = FeathubRedisGet(request, 0);
		if (reply->type != REDIS_ARRAY)
			FeathubRedisBadReply(client, "CLUSTER SLOTS");
		take_slots(client, node, reply);
		client->slots_stale = false;
		ok = true;
	}
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
	if (!ok)
		*reason = pstrdup("the connection was lost");
	return ok;
}

/* Fill the map from the reply of CLUSTER SLOTS: [first, last, [host, port...]...] */
static void
take_slots(RedisClient *client, RedisNode *from, const RedisReply *reply)
{
	memset(client->slots, 0, REDIS_SLOTS * sizeof(RedisNode *));
	for (int i = 0; i < reply->n; i++)
	{
		const RedisReply *range = &reply->elements[i];
		const RedisReply *address;
		RedisNode  *node;

		if (range->type != REDIS_ARRAY || range->n < 3 ||
			range->elements[0].type != REDIS_INTEGER ||
			range->elements[1].type != REDIS_INTEGER ||
			range->elements[2].type != REDIS_ARRAY || range->elements[2].n < 2 ||
			range->elements[2].elements[1].type != REDIS_INTEGER)
			FeathubRedisBadReply(client, "CLUSTER SLOTS");
		address = range->elements[2].elements;
		node = FeathubRedisNodeFor(client, address->type == REDIS_STRING && address->len > 0 ?
								   address->str : from->host,
								   (int) address[1].integer);
		for (int64 slot = Max(range->elements[0].integer, 0);
			 slot <= Min(range->elements[1].integer, REDIS_SLOTS - 1); slot++)
			client->slots[slot] = node;
	}
}
