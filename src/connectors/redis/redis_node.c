/*
 * redis_node.c
 *		A connection to one server: bytes out, replies in.
 *
 * Replies come in the order of the commands, so a queue of whom each belongs to
 * is all that several requests need to share a connection.  The reader of
 * hiredis builds replies in the memory of the request that waits for them.
 */
#include "postgres.h"

#include <hiredis/hiredis.h>

#include "miscadmin.h"
#include "utils/memutils.h"

#include "connectors/redis/redis_node.h"

#define READ_SIZE		65536
#define ARENA_SIZE		32768

/* A buffer larger than this is not kept. */
#define BUFFER_KEEP		(4 * 1024 * 1024)

static void *make_string(const redisReadTask *task, char *str, size_t len);
#if HIREDIS_MAJOR >= 1
static void *make_array(const redisReadTask *task, size_t n);
static void *make_double(const redisReadTask *task, double value, char *str, size_t len);
static void *make_bool(const redisReadTask *task, int value);
#else
static void *make_array(const redisReadTask *task, int n);
#endif
static void *make_integer(const redisReadTask *task, long long value);
static void *make_nil(const redisReadTask *task);
static void free_nothing(void *object);
static void *allocate(RedisNode *node, Size size);
static RedisReply *place_of(const redisReadTask *task);
static bool deliver(RedisNode *node);
static bool log_in(RedisNode *node);
static void lose(RedisNode *node);

/* Why the last connection was lost; set by FeathubRedisNodePump. */
static char lost_reason[256];

static redisReplyObjectFunctions reply_functions = {
	.createString = make_string,
	.createArray = make_array,
	.createInteger = make_integer,
#if HIREDIS_MAJOR >= 1
	.createDouble = make_double,
	.createBool = make_bool,
#endif
	.createNil = make_nil,
	.freeObject = free_nothing,
};

RedisNode *
FeathubRedisNodeFor(RedisClient *client, const char *host, int port)
{
	MemoryContext old;
	RedisNode  *node;

	for (int i = 0; i < client->nnodes; i++)
	{
		node = client->nodes[i];
		if (node->port == port && (host == NULL) == (node->host == NULL) &&
			(host == NULL || strcmp(node->host, host) == 0))
			return node;
	}
	old = MemoryContextSwitchTo(client->context);
	node = palloc0(sizeof(RedisNode));
	node->client = client;
	node->host = host ? pstrdup(host) : NULL;
	node->port = port;
	node->username = client->options.username;
	node->password = client->options.password;
	node->database = client->database;
	initStringInfo(&node->out);
	node->trash = AllocSetContextCreate(client->context, "feathub redis trash",
										ALLOCSET_SMALL_SIZES);
	if (client->nnodes == client->maxnodes)
	{
		client->maxnodes = Max(8, client->maxnodes * 2);
		client->nodes = client->nodes ?
			repalloc(client->nodes, client->maxnodes * sizeof(RedisNode *)) :
			palloc(client->maxnodes * sizeof(RedisNode *));
	}
	client->nodes[client->nnodes++] = node;
	MemoryContextSwitchTo(old);
	return node;
}

bool
FeathubRedisNodeConnect(RedisNode *node, TimestampTz deadline, char **reason)
{
	MemoryContext old;
	bool		ok;

	*reason = NULL;
	if (node->socket != NULL)
	{
		if (node->queue_count > 0 || !FeathubRedisSocketIsStale(node->socket))
			return true;
		/* idle: nothing is lost with it */
		FeathubRedisNodeClose(node);
	}

	old = MemoryContextSwitchTo(node->client->context);
	node->socket = FeathubRedisSocketOpen(&node->client->options, node->host, node->port,
										  deadline, reason);
	MemoryContextSwitchTo(old);
	if (node->socket == NULL)
	{
		if (*reason == NULL)
			*reason = pstrdup("no address");
		return false;
	}
	node->reader = redisReaderCreateWithFunctions(&reply_functions);
	if (node->reader == NULL)
	{
		FeathubRedisNodeClose(node);
		ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory")));
	}
	node->reader->privdata = node;
	node->generation++;
	memset(node->script_loaded, 0, sizeof(node->script_loaded));

	PG_TRY();
	{
		ok = log_in(node);
	}
	PG_CATCH();
	{
		FeathubRedisNodeClose(node);
		PG_RE_THROW();
	}
	PG_END_TRY();
	if (!ok)
	{
		*reason = pstrdup(lost_reason);
		FeathubRedisNodeClose(node);
	}
	return ok;
}

void
FeathubRedisNodeClose(RedisNode *node)
{
	while (node->queue_count > 0)
	{
		RedisQueued *head = &node->queue[node->queue_head];

		if (head->request)
		{
			head->request->lost = true;
			head->request->nwaiting--;
		}
		node->queue_head = (node->queue_head + 1) % node->queue_size;
		node->queue_count--;
	}
	if (node->reader)
		redisReaderFree(node->reader);
	node->reader = NULL;
	if (node->socket)
		FeathubRedisSocketClose(node->socket);
	node->socket = NULL;
	resetStringInfo(&node->out);
	node->written = 0;
	MemoryContextReset(node->trash);
}

void
FeathubRedisNodeFree(RedisNode *node)
{
	FeathubRedisNodeClose(node);
	if (node->queue)
		pfree(node->queue);
	pfree(node->out.data);
	MemoryContextDelete(node->trash);
	pfree(node);
}

void
FeathubRedisNodeSend(RedisNode *node, const char *data, Size len,
					 RedisRequest *request, int command)
{
	RedisQueued *entry;

	if (node->queue_count == node->queue_size)
	{
		int			size = Max(1024, node->queue_size * 2);
		RedisQueued *queue = MemoryContextAllocHuge(node->client->context,
													size * sizeof(RedisQueued));

		for (int i = 0; i < node->queue_count; i++)
			queue[i] = node->queue[(node->queue_head + i) % node->queue_size];
		if (node->queue)
			pfree(node->queue);
		node->queue = queue;
		node->queue_size = size;
		node->queue_head = 0;
	}
	/* the bytes first: they may not fit, and then nobody waits for a reply */
	appendBinaryStringInfo(&node->out, data, len);
	entry = &node->queue[(node->queue_head + node->queue_count++) % node->queue_size];
	entry->request = request;
	entry->command = command;
	if (request)
		request->nwaiting++;
}

bool
FeathubRedisNodePump(RedisNode *node)
{
	static char buffer[READ_SIZE];

	if (node->socket == NULL)
		return true;
	while (node->written < node->out.len)
	{
		ssize_t		n = FeathubRedisSocketWrite(node->socket, node->out.data + node->written,
												node->out.len - node->written);

		if (n == 0)
			break;
		if (n < 0)
		{
			lose(node);
			return false;
		}
		node->written += n;
	}
	if (node->written == node->out.len && node->out.len > 0)
	{
		node->written = 0;
		resetStringInfo(&node->out);
		if (node->out.maxlen > BUFFER_KEEP)
		{
			MemoryContext old = MemoryContextSwitchTo(node->client->context);

			pfree(node->out.data);
			initStringInfo(&node->out);
			MemoryContextSwitchTo(old);
		}
	}

	while (node->queue_count > 0)
	{
		ssize_t		n = FeathubRedisSocketRead(node->socket, buffer, READ_SIZE);

		if (n == 0)
			break;
		if (n < 0)
		{
			lose(node);
			return false;
		}
		if (redisReaderFeed(node->reader, buffer, n) != REDIS_OK || !deliver(node))
		{
			strlcpy(lost_reason, node->reader->errstr, sizeof(lost_reason));
			FeathubRedisNodeClose(node);
			return false;
		}
		/* less than asked for: there is no more now, or the wait will tell */
		if (n < READ_SIZE / 4)
			break;
	}
	return true;
}

bool
FeathubRedisNodeForget(RedisNode *node, RedisRequest *request)
{
	bool		partial = false;

	for (int i = 0; i < node->queue_count; i++)
	{
		RedisQueued *entry = &node->queue[(node->queue_head + i) % node->queue_size];

		if (entry->request != request)
			continue;
		/* the reader goes on filling what it has begun */
		if (i == 0 && node->reader && node->reader->reply != NULL)
			partial = true;
		entry->request = NULL;
	}
	return partial;
}

char *
FeathubRedisNodeName(RedisNode *node)
{
	if (node->host == NULL)
		return psprintf("\"%s\"", node->client->options.unix_socket);
	return psprintf(strchr(node->host, ':') ? "[%s]:%d" : "%s:%d", node->host, node->port);
}

void
FeathubRedisNodeLost(RedisNode *node, const char *reason)
{
	ereport(ERROR,
			(errcode(ERRCODE_CONNECTION_FAILURE),
			 errmsg("connection to foreign server \"%s\" was lost", node->client->server),
			 errdetail("%s: %s.", FeathubRedisNodeName(node),
					   reason ? reason : lost_reason)));
}

/* Close a connection that the socket says is lost, and keep the reason. */
static void
lose(RedisNode *node)
{
	strlcpy(lost_reason, FeathubRedisSocketReason(node->socket), sizeof(lost_reason));
	FeathubRedisNodeClose(node);
}

/* Hand over the replies that are complete; false if the reader gave up. */
static bool
deliver(RedisNode *node)
{
	while (node->queue_count > 0)
	{
		RedisQueued head = node->queue[node->queue_head];
		void	   *reply = NULL;

		if (redisReaderGetReply(node->reader, &reply) != REDIS_OK)
			return false;
		if (reply == NULL)
			return true;
		node->queue_head = (node->queue_head + 1) % node->queue_size;
		node->queue_count--;
		if (head.request)
		{
			head.request->commands[head.command].reply = reply;
			head.request->nwaiting--;
		}
		else
			MemoryContextReset(node->trash);
	}
	return true;
}

/* Say who we are.  False if the connection went; what is refused is raised. */
static bool
log_in(RedisNode *node)
{
	MemoryContext context;
	MemoryContext old;
	RedisRequest *request;
	volatile int auth = -1;
	volatile int select = -1;
	bool		ok;

	if (node->password == NULL && node->database == 0)
		return true;
	context = AllocSetContextCreate(CurrentMemoryContext, "feathub redis login",
									ALLOCSET_SMALL_SIZES);
	old = MemoryContextSwitchTo(context);
	request = FeathubRedisRequestMake(node->client);
	if (node->password != NULL)
	{
		auth = FeathubRedisBegin(request, node, node->username ? 3 : 2, "AUTH");
		if (node->username)
			FeathubRedisAddString(request, node->username);
		FeathubRedisAddString(request, node->password);
	}
	if (node->database != 0)
	{
		select = FeathubRedisBegin(request, node, 2, "SELECT");
		FeathubRedisAddInt(request, node->database);
	}
	for (int i = 0; i < request->ncommands; i++)
		FeathubRedisNodeSend(node, request->data.data + request->commands[i].offset,
							 request->commands[i].len, request, i);
	request->nsent = request->ncommands;
	PG_TRY();
	{
		FeathubRedisWaitReplies(request);
	}
	PG_CATCH();
	{
		(void) FeathubRedisNodeForget(node, request);
		PG_RE_THROW();
	}
	PG_END_TRY();
	ok = !request->lost;

	/* a refusal that nobody looked at would leave us another user */
	if (ok && auth >= 0)
	{
		RedisReply *reply = request->commands[auth].reply;

		if (reply->type == REDIS_ERROR)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PASSWORD),
					 errmsg("could not connect to foreign server \"%s\": authentication failed",
							node->client->server),
					 errdetail("%s: %s", FeathubRedisNodeName(node), reply->str)));
	}
	if (ok && select >= 0)
		(void) FeathubRedisGet(request, select);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
	return ok;
}

/* Memory */

/* Memory for a part of the reply that is being read; NULL if there is none. */
static void *
allocate(RedisNode *node, Size size)
{
	RedisRequest *request = node->queue_count > 0 ?
		node->queue[node->queue_head].request : NULL;
	void	   *result;

	size = MAXALIGN(size);
	if (request == NULL)
		return MemoryContextAllocExtended(node->trash, size,
										  MCXT_ALLOC_HUGE | MCXT_ALLOC_NO_OOM);
	request->bytes += size;
	if (size > ARENA_SIZE / 4)
		return MemoryContextAllocExtended(request->context, size,
										  MCXT_ALLOC_HUGE | MCXT_ALLOC_NO_OOM);
	if (size > request->arena_left)
	{
		request->arena_left = 0;
		request->arena = MemoryContextAllocExtended(request->context, ARENA_SIZE,
													MCXT_ALLOC_NO_OOM);
		if (request->arena == NULL)
			return NULL;
		request->arena_left = ARENA_SIZE;
	}
	result = request->arena;
	request->arena += size;
	request->arena_left -= size;
	return result;
}

/* Callbacks of hiredis's reader: no ereport may go through its frames. */

static RedisReply *
place_of(const redisReadTask *task)
{
	RedisReply *reply;

	if (task->parent)
		return &((RedisReply *) task->parent->obj)->elements[task->idx];
	reply = allocate(task->privdata, sizeof(RedisReply));
	if (reply)
		memset(reply, 0, sizeof(RedisReply));
	return reply;
}

static void *
make_string(const redisReadTask *task, char *str, size_t len)
{
	RedisReply *reply = place_of(task);
	char	   *copy = reply ? allocate(task->privdata, len + 1) : NULL;

	if (copy == NULL)
		return NULL;
	memcpy(copy, str, len);
	copy[len] = '\0';
	reply->type = task->type == REDIS_REPLY_ERROR ? REDIS_ERROR :
		task->type == REDIS_REPLY_STATUS ? REDIS_STATUS : REDIS_STRING;
	reply->str = copy;
	reply->len = len;
	return reply;
}

static void *
#if HIREDIS_MAJOR >= 1
make_array(const redisReadTask *task, size_t n)
#else
make_array(const redisReadTask *task, int n)
#endif
{
	RedisReply *reply = place_of(task);

	if (reply == NULL || n > PG_INT32_MAX)
		return NULL;
	reply->type = REDIS_ARRAY;
	reply->n = (int) n;
	if (n > 0)
	{
		reply->elements = allocate(task->privdata, n * sizeof(RedisReply));
		if (reply->elements == NULL)
			return NULL;
		memset(reply->elements, 0, n * sizeof(RedisReply));
	}
	return reply;
}

static void *
make_integer(const redisReadTask *task, long long value)
{
	RedisReply *reply = place_of(task);

	if (reply == NULL)
		return NULL;
	reply->type = REDIS_INTEGER;
	reply->integer = value;
	return reply;
}

#if HIREDIS_MAJOR >= 1
/* RESP3 only, which is not asked for. */
static void *
make_double(const redisReadTask *task, double value, char *str, size_t len)
{
	return make_string(task, str, len);
}

static void *
make_bool(const redisReadTask *task, int value)
{
	return make_integer(task, value);
}
#endif

static void *
make_nil(const redisReadTask *task)
{
	RedisReply *reply = place_of(task);

	if (reply)
		reply->type = REDIS_NIL;
	return reply;
}

static void
free_nothing(void *object)
{
}
