/*
 * redis_sentinel.c
 *		Finding a master by its name.
 *
 * As the protocol for clients of Sentinel has it: ask the sentinels in turn,
 * connect to the address that one gives, and make sure by ROLE that it is a
 * master; until a failover is over, try again.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "storage/latch.h"
#include "utils/memutils.h"
#include "utils/wait_event.h"

#include "connectors/redis/redis_node.h"
#include "core/clock.h"
#include "core/compat.h"

/* Between two rounds of the sentinels. */
#define RETRY_MS	200

static RedisNode *ask_sentinel(RedisClient *client, RedisAddress *address,
							   TimestampTz deadline, char **reason);
static bool is_master(RedisClient *client, RedisNode *node, char **reason);

void
FeathubRedisFindMaster(RedisClient *client)
{
	TimestampTz deadline = FeathubClock() +
		client->options.connect_timeout * USECS_PER_SEC;
	List	   *sentinels = FeathubRedisAddresses(&client->options);
	char	   *reason = NULL;

	for (;;)
	{
		ListCell   *lc;

		foreach(lc, sentinels)
		{
			RedisNode  *node = ask_sentinel(client, lfirst(lc), deadline, &reason);

			if (node == NULL || !FeathubRedisNodeConnect(node, deadline, &reason))
				continue;
			if (is_master(client, node, &reason))
			{
				client->main = node;
				return;
			}
			FeathubRedisNodeClose(node);
		}
		if (FeathubClock() + RETRY_MS * 1000 >= deadline)
			FeathubRedisCannotConnect(client,
									  psprintf("master \"%s\"", client->options.master_name),
									  reason ? reason : "no sentinel could be reached");
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, RETRY_MS,
						 FEATHUB_WAIT_EVENT("FeathubRedisConnect"));
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
	}
}

/* The node that a sentinel says is the master, not connected; or NULL. */
static RedisNode *
ask_sentinel(RedisClient *client, RedisAddress *address, TimestampTz deadline,
			 char **reason)
{
	MemoryContext context;
	MemoryContext old = CurrentMemoryContext;
	RedisNode  *sentinel;
	RedisNode  *result = NULL;
	RedisRequest *request;
	RedisReply *reply;
	const char *args[2];

	/* in the list of nodes as long as it takes: it is known by its address */
	sentinel = FeathubRedisNodeFor(client, address->host, address->port);
	sentinel->username = client->options.sentinel_username;
	sentinel->password = client->options.sentinel_password;
	sentinel->database = 0;

	/* a sentinel that hangs must not take the time of the others */
	if (!FeathubRedisNodeConnect(sentinel, Min(deadline, FeathubClock() + 2 * USECS_PER_SEC),
								 reason))
		return NULL;
	context = AllocSetContextCreate(CurrentMemoryContext, "feathub redis sentinel",
									ALLOCSET_SMALL_SIZES);
	MemoryContextSwitchTo(context);
	request = FeathubRedisRequestMake(client);
	args[0] = "get-master-addr-by-name";
	args[1] = client->options.master_name;
	FeathubRedisCommand(request, sentinel, "SENTINEL", NULL, 0, 2, args);
	FeathubRedisNodeSend(sentinel, request->data.data, request->data.len, request, 0);
	request->nsent = 1;
	FeathubRedisWaitReplies(request);
	MemoryContextSwitchTo(old);
	if (request->lost)
		*reason = pstrdup("the connection to a sentinel was lost");
	else
	{
		reply = request->commands[0].reply;
		if (reply->type == REDIS_ARRAY && reply->n == 2 &&
			reply->elements[0].type == REDIS_STRING && reply->elements[1].type == REDIS_STRING)
			result = FeathubRedisNodeFor(client, reply->elements[0].str,
										 atoi(reply->elements[1].str));
		else if (reply->type == REDIS_ERROR)
			*reason = psprintf("sentinel %s: %s", FeathubRedisNodeName(sentinel), reply->str);
		else
			*reason = psprintf("sentinel %s does not know it", FeathubRedisNodeName(sentinel));
	}
	FeathubRedisNodeClose(sentinel);
	MemoryContextDelete(context);
	return result;
}

/* Is it a master, by its own word? */
static bool
is_master(RedisClient *client, RedisNode *node, char **reason)
{
	MemoryContext context;
	MemoryContext old = CurrentMemoryContext;
	RedisRequest *request;
	bool		result = false;

	context = AllocSetContextCreate(CurrentMemoryContext, "feathub redis role",
									ALLOCSET_SMALL_SIZES);
	MemoryContextSwitchTo(context);
	request = FeathubRedisRequestMake(client);
	FeathubRedisCommand(request, node, "ROLE", NULL, 0, 0, NULL);
	FeathubRedisNodeSend(node, request->data.data, request->data.len, request, 0);
	request->nsent = 1;
	FeathubRedisWaitReplies(request);
	if (!request->lost)
	{
		RedisReply *reply = request->commands[0].reply;

		/* a user without the right to ask is no reason to go on searching */
		result = FeathubRedisIsError(reply, "NOPERM") ||
			(reply->type == REDIS_ARRAY && reply->n > 0 &&
			 reply->elements[0].type == REDIS_STRING &&
			 strcmp(reply->elements[0].str, "master") == 0);
		if (reply->type == REDIS_ERROR && !result)
			(void) FeathubRedisGet(request, 0);
	}
	MemoryContextSwitchTo(old);
	if (!result)
		*reason = psprintf("%s is not a master", FeathubRedisNodeName(node));
	MemoryContextDelete(context);
	return result;
}
