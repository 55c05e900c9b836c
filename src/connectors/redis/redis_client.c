/*
 * redis_client.c
 *		The cache of clients: one for each user mapping and database.
 *
 * A client whose server or mapping has changed is used to the end by those who
 * have it and by nobody else.  Nothing here touches the network but
 * FeathubRedisClientPrepare.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_foreign_server.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/syscache.h"

#include "connectors/redis/redis_node.h"
#include "core/clock.h"

static RedisClient *clients = NULL; /* the cache */
static bool callbacks_registered = false;

static RedisClient *make_client(ForeignServer *server, UserMapping *user,
								const RedisOptions *options);
static void copy_strings(RedisOptions *options);
static void free_unused(void);
static void release_client(void *arg);
static void invalidate_clients(Datum arg, int cacheid, uint32 hash);
static void end_transaction(XactEvent event, void *arg);

RedisClient *
FeathubRedisClientGet(ForeignServer *server, UserMapping *user,
					  const RedisOptions *options, MemoryContext context)
{
	MemoryContextCallback *callback;
	RedisClient *client;

	if (!callbacks_registered)
	{
		CacheRegisterSyscacheCallback(FOREIGNSERVEROID, invalidate_clients, (Datum) 0);
		CacheRegisterSyscacheCallback(USERMAPPINGOID, invalidate_clients, (Datum) 0);
		RegisterXactCallback(end_transaction, NULL);
		callbacks_registered = true;
	}
	free_unused();

	callback = MemoryContextAlloc(context, sizeof(MemoryContextCallback));
	for (client = clients; client; client = client->next)
	{
		if (client->umid == user->umid && client->serverid == server->serverid &&
			client->database == options->database && !client->invalid)
			break;
	}
	if (client == NULL)
		client = make_client(server, user, options);
	client->users++;
	callback->func = release_client;
	callback->arg = client;
	MemoryContextRegisterResetCallback(context, callback);
	return client;
}

bool
FeathubRedisIsCluster(RedisClient *client)
{
	return client->options.mode == REDIS_CLUSTER;
}

const char *
FeathubRedisServerName(RedisClient *client)
{
	return client->server;
}

RedisNode **
FeathubRedisNodes(RedisClient *client, int *nnodes)
{
	RedisNode **nodes;

	FeathubRedisClientPrepare(client);
	if (client->options.mode != REDIS_CLUSTER)
	{
		*nnodes = 1;
		nodes = palloc(sizeof(RedisNode *));
		nodes[0] = client->main;
		return nodes;
	}
	nodes = palloc(sizeof(RedisNode *) * client->nnodes);
	*nnodes = 0;
	for (int i = 0; i < client->nnodes; i++)
	{
		for (int slot = 0; slot < REDIS_SLOTS; slot++)
		{
			if (client->slots[slot] == client->nodes[i])
			{
				nodes[(*nnodes)++] = client->nodes[i];
				break;
			}
		}
	}
	return nodes;
}

void
FeathubRedisClientPrepare(RedisClient *client)
{
	TimestampTz deadline;
	char	   *reason;

	switch (client->options.mode)
	{
		case REDIS_CLUSTER:
			if (client->slots_stale)
				FeathubRedisLoadSlots(client);
			return;
		case REDIS_SENTINEL:
			/* a connection that is gone may mean another master */
			if (client->main != NULL && client->main->socket != NULL)
			{
				if (client->main->queue_count > 0 ||
					!FeathubRedisSocketIsStale(client->main->socket))
					return;
				FeathubRedisNodeClose(client->main);
			}
			FeathubRedisFindMaster(client);
			return;
		default:
			break;
	}
	if (client->main == NULL)
	{
		RedisAddress *address = linitial(FeathubRedisAddresses(&client->options));

		client->main = FeathubRedisNodeFor(client, address->host, address->port);
	}
	deadline = FeathubClock() + client->options.connect_timeout * USECS_PER_SEC;
	if (!FeathubRedisNodeConnect(client->main, deadline, &reason))
		FeathubRedisCannotConnect(client, FeathubRedisNodeName(client->main), reason);
}

void
FeathubRedisCannotConnect(RedisClient *client, const char *where, const char *reason)
{
	ereport(ERROR,
			(errcode(ERRCODE_FDW_UNABLE_TO_ESTABLISH_CONNECTION),
			 errmsg("could not connect to foreign server \"%s\"", client->server),
			 errdetail("%s: %s.", where, reason)));
}

static RedisClient *
make_client(ForeignServer *server, UserMapping *user, const RedisOptions *options)
{
	MemoryContext context;
	MemoryContext old;
	RedisClient *client;

	context = AllocSetContextCreate(CacheMemoryContext, "feathub redis client",
									ALLOCSET_SMALL_SIZES);
	old = MemoryContextSwitchTo(context);
	client = palloc0(sizeof(RedisClient));
	client->context = context;
	client->umid = user->umid;
	client->serverid = server->serverid;
	client->database = options->database;
	client->server = pstrdup(server->servername);
	client->options = *options;
	copy_strings(&client->options);
	if (options->mode == REDIS_CLUSTER)
	{
		client->slots = palloc0(REDIS_SLOTS * sizeof(RedisNode *));
		client->slots_stale = true;
	}
	MemoryContextSwitchTo(old);
	client->next = clients;
	clients = client;
	return client;
}

/* Copy what belongs to servers and mappings into the current context. */
static void
copy_strings(RedisOptions *options)
{
	for (const FeathubOption *option = FeathubRedisOptions; option->name; option++)
	{
		char	  **field;

		if (option->type != FEATHUB_OPTION_STRING || option->where == FEATHUB_ON_COLUMN)
			continue;
		field = (char **) ((char *) options + option->offset);
		if (*field)
			*field = pstrdup(*field);
	}
}

/* Let go of clients that nobody has and nobody will get again. */
static void
free_unused(void)
{
	RedisClient **place = &clients;

	while (*place)
	{
		RedisClient *client = *place;

		if (client->users > 0 || !client->invalid)
		{
			place = &client->next;
			continue;
		}
		*place = client->next;
		for (int i = 0; i < client->nnodes; i++)
			FeathubRedisNodeClose(client->nodes[i]);
		MemoryContextDelete(client->context);
	}
}

/* Reset callback of whoever got the client. */
static void
release_client(void *arg)
{
	((RedisClient *) arg)->users--;
}

/* Syscache callback: a server or a user mapping has changed. */
static void
invalidate_clients(Datum arg, int cacheid, uint32 hash)
{
	for (RedisClient *client = clients; client; client = client->next)
	{
		Oid			oid = cacheid == FOREIGNSERVEROID ? client->serverid : client->umid;

		if (hash == 0 || hash == GetSysCacheHashValue1(cacheid, ObjectIdGetDatum(oid)))
			client->invalid = true;
	}
}

/*
 * At the end of a transaction nothing is under way any more, unless an error cut
 * it short: such a connection is closed rather than waited for.
 */
static void
end_transaction(XactEvent event, void *arg)
{
	bool		any = false;

	if (event != XACT_EVENT_COMMIT && event != XACT_EVENT_ABORT &&
		event != XACT_EVENT_PREPARE)
		return;
	for (RedisClient *client = clients; client; client = client->next)
	{
		if (client->users > 0)
			continue;
		if (!client->options.keep_connections)
			client->invalid = true;
		any |= client->invalid;
		for (int i = 0; i < client->nnodes; i++)
		{
			if (client->nodes[i]->queue_count > 0 || client->nodes[i]->out.len > 0)
				FeathubRedisNodeClose(client->nodes[i]);
		}
	}
	if (any)
		free_unused();
}
