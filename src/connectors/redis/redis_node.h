/*
 * redis_node.h
 *		Inside the client: connections to single servers and what they share.
 */
#ifndef FEATHUB_CONNECTORS_REDIS_REDIS_NODE_H
#define FEATHUB_CONNECTORS_REDIS_REDIS_NODE_H

#include "connectors/redis/redis_socket.h"

struct redisReader;

/* Whose reply comes next: a command of a request, or nobody's (NULL). */
typedef struct RedisQueued
{
	RedisRequest *request;
	int			command;
} RedisQueued;

struct RedisNode
{
	RedisClient *client;
	char	   *host;			/* NULL: the unix socket */
	int			port;
	const char *username;		/* whom to be; of a sentinel another */
	const char *password;
	int			database;

	/* The connection */
	RedisSocket *socket;		/* NULL: there is none */
	struct redisReader *reader;
	uint64		generation;		/* counts connections: a scan must not go on
								 * in another one */
	bool		script_loaded[REDIS_SCRIPT_COUNT];
	StringInfoData out;			/* to be written, from "written" on */
	Size		written;

	/* Replies to come, a ring */
	RedisQueued *queue;
	int			queue_head;
	int			queue_count;
	int			queue_size;
	MemoryContext trash;		/* replies that nobody wants */
};

struct RedisClient
{
	RedisClient *next;			/* in the cache */
	Oid			umid;
	Oid			serverid;
	int			database;
	bool		invalid;		/* server or mapping has changed */
	int			users;			/* contexts that have it */
	MemoryContext context;
	char	   *server;			/* the foreign server's name */
	RedisOptions options;		/* with copies of all strings */

	int			nnodes;
	int			maxnodes;
	RedisNode **nodes;			/* never freed before the client is */
	RedisNode  *main;			/* of a single server or a sentinel's master */

	/* Cluster */
	bool		slots_stale;	/* ask before the next command is sent */
	RedisNode **slots;			/* REDIS_SLOTS of them, NULL: nobody's */
};

/* redis_node.c */

/* The node of that address, new if need be, not connected. */
extern RedisNode *FeathubRedisNodeFor(RedisClient *client, const char *host, int port);

/*
 * FeathubRedisNodeConnect
 *		Connect and authenticate, if there is no connection.
 *
 * Returns false with a palloc'd reason if the server cannot be reached before
 * the deadline; what it refuses (a password) is raised.
 */
extern bool FeathubRedisNodeConnect(RedisNode *node, TimestampTz deadline, char **reason);
extern void FeathubRedisNodeClose(RedisNode *node);

/* Close and free; for nodes outside of the client's list. */
extern void FeathubRedisNodeFree(RedisNode *node);

/* Append a command, whose reply goes to the request (or nobody). */
extern void FeathubRedisNodeSend(RedisNode *node, const char *data, Size len,
								 RedisRequest *request, int command);

/*
 * Write and read what is possible without waiting.  False if the connection was
 * lost: it is closed then, and requests that waited for replies are marked.
 */
extern bool FeathubRedisNodePump(RedisNode *node);

/*
 * Replies to that request are nobody's from now on.  Returns true if one of them
 * has been read in part: its memory must then stay until "trash" is reset.
 */
extern bool FeathubRedisNodeForget(RedisNode *node, RedisRequest *request);

/* "host:port" for messages; palloc'd. */
extern char *FeathubRedisNodeName(RedisNode *node);

/* Raise CONNECTION_FAILURE for a node. */
pg_noreturn extern void FeathubRedisNodeLost(RedisNode *node, const char *reason);

/* redis_client.c */

/* Find out where to send commands, connecting to somebody. */
extern void FeathubRedisClientPrepare(RedisClient *client);

/* Raise FDW_UNABLE_TO_ESTABLISH_CONNECTION. */
pg_noreturn extern void FeathubRedisCannotConnect(RedisClient *client, const char *where,
									  const char *reason);

/* redis_request.c: wait for replies of a request, following nothing */
extern void FeathubRedisWaitReplies(RedisRequest *request);

/* redis_cluster.c */
extern int	FeathubRedisSlot(const char *key, Size len);
extern void FeathubRedisLoadSlots(RedisClient *client);

/*
 * Take MOVED and ASK: the node that the reply names, or NULL if it is neither.
 */
extern RedisNode *FeathubRedisRedirection(RedisClient *client, RedisNode *from,
										  const RedisReply *reply, bool *asking);

/* redis_sentinel.c: ask the sentinels and connect to the master */
extern void FeathubRedisFindMaster(RedisClient *client);

/* redis_script.c: a script's text, and its SHA-1 in hex */
extern const char *FeathubRedisScriptText(RedisScript script);
extern const char *FeathubRedisScriptSha(RedisScript script);

#endif							/* FEATHUB_CONNECTORS_REDIS_REDIS_NODE_H */
