/*
 * redis_client.h
 *		Talking to Redis: sockets, connections, requests.
 *
 * hiredis gives the reader of the protocol only; sockets, TLS and waits are
 * ours, so that every wait can be cancelled and TLS works with any hiredis.
 *
 * A client is all connections for one user mapping and database: one, or in a
 * cluster one for each node.  A request is any number of commands sent together.
 * Several requests can be under way on one client, since a query may have many
 * scans: each connection hands replies to the requests in the order in which
 * commands were sent, whoever waits.
 */
#ifndef FEATHUB_CONNECTORS_REDIS_REDIS_CLIENT_H
#define FEATHUB_CONNECTORS_REDIS_REDIS_CLIENT_H

#include "foreign/foreign.h"
#include "lib/stringinfo.h"
#include "utils/timestamp.h"

#include "connectors/redis/redis_options.h"
#include "core/compat.h"

#define REDIS_SLOTS		16384

typedef struct RedisSocket RedisSocket;
typedef struct RedisNode RedisNode;
typedef struct RedisClient RedisClient;
typedef struct RedisRequest RedisRequest;

/* Types of replies: as hiredis's, whose header only redis_node.c includes. */
typedef enum RedisReplyType
{
	REDIS_NONE = 0,
	REDIS_STRING = 1,
	REDIS_ARRAY = 2,
	REDIS_INTEGER = 3,
	REDIS_NIL = 4,
	REDIS_STATUS = 5,
	REDIS_ERROR = 6
} RedisReplyType;

typedef struct RedisReply RedisReply;
struct RedisReply
{
	RedisReplyType type;
	int			n;				/* elements of an array */
	int64		integer;
	char	   *str;			/* with a NUL behind it; may hold others */
	Size		len;
	RedisReply *elements;		/* n of them in a row */
};

/* Scripts: their texts are in redis_script.c. */
typedef enum RedisScript
{
	REDIS_SCRIPT_NONE,
	REDIS_SCRIPT_OPS,			/* commands of one row */
	REDIS_SCRIPT_HASHES,		/* new hashes, many at a time */
	REDIS_SCRIPT_ROWS,			/* commands of many rows, with event times */
	REDIS_SCRIPT_LATEST_HASHES, /* rows that replace older ones */
	REDIS_SCRIPT_LATEST_STRINGS,
	REDIS_SCRIPT_COUNT
} RedisScript;

/* One command of a request. */
typedef struct RedisCommand
{
	Size		offset;			/* of its bytes in the request's data */
	Size		len;
	int			slot;			/* of its key in a cluster, or -1 */
	RedisNode  *node;			/* where it must go, or NULL: by its slot */
	bool		asking;			/* sent behind ASKING, by a redirection */
	int			script;			/* RedisScript that it calls */
	bool		resent;			/* the script was unknown once */
	int			hops;			/* redirections followed */
	char		check;			/* what its sender makes of the reply */
	Size		key_offset;		/* of its key in the data, for messages */
	Size		key_len;
	RedisReply *reply;			/* NULL: not there yet */
} RedisCommand;

struct RedisRequest
{
	RedisClient *client;
	MemoryContext context;		/* of replies and data; reset by ...Reset */
	MemoryContext parent;		/* of this struct */
	StringInfoData data;		/* the commands as they are sent */
	int			ncommands;
	int			maxcommands;
	RedisCommand *commands;
	int			nsent;			/* of ncommands */
	int			nwaiting;		/* sent, and no reply yet */
	bool		lost;			/* a connection went with replies to come */
	Size		bytes;			/* of replies, for windows bounded by memory */

	/* Memory of replies */
	char	   *arena;
	Size		arena_left;

	/* Of the command being made */
	int			args_left;
};

/*
 * FeathubRedisClientGet
 *		The client for a user of a server, from the cache or new.
 *
 * It connects with the first request.  It stays until "context" goes; then it
 * is kept for later statements, unless the server or the mapping has changed or
 * keep_connections is off.
 */
extern RedisClient *FeathubRedisClientGet(ForeignServer *server, UserMapping *user,
										  const RedisOptions *options,
										  MemoryContext context);
extern bool FeathubRedisIsCluster(RedisClient *client);
extern const char *FeathubRedisServerName(RedisClient *client);

/*
 * The nodes whose keys a scan must visit: the masters of a cluster, else the one
 * there is.  Connects.  Valid until the client goes; sets *nnodes.
 */
extern RedisNode **FeathubRedisNodes(RedisClient *client, int *nnodes);

/* Requests.  Made in the current context, with which they go. */
extern RedisRequest *FeathubRedisRequestMake(RedisClient *client);

/* Forget all commands and replies; replies still to come are thrown away. */
extern void FeathubRedisRequestReset(RedisRequest *request);

/*
 * Begin a command of argc arguments, the first being its name.  node says where
 * it goes; NULL: to the node of the argument that FeathubRedisAddKey adds (in a
 * cluster there must be one).  Returns its number in the request.
 */
extern int	FeathubRedisBegin(RedisRequest *request, RedisNode *node, int argc,
							  const char *name);
extern void FeathubRedisAdd(RedisRequest *request, const char *arg, Size len);
extern void FeathubRedisAddString(RedisRequest *request, const char *arg);
extern void FeathubRedisAddInt(RedisRequest *request, int64 arg);
extern void FeathubRedisAddKey(RedisRequest *request, const char *key, Size len);

/* Arguments already in the protocol's form, as FeathubRedisFormat makes them. */
extern void FeathubRedisAddFormatted(RedisRequest *request, const char *data,
									 Size len, int nargs);
extern void FeathubRedisFormat(StringInfo out, const char *arg, Size len);

/*
 * A whole command in that form: argc words, of which one is the key.  And the
 * keys of a script, of which the first is given again.
 */
extern int	FeathubRedisBeginFormatted(RedisRequest *request, int argc, const char *data,
									   Size len, const char *key, Size key_len);
extern void FeathubRedisScriptKeys(RedisRequest *request, const char *data, Size len,
								   int nkeys, const char *key, Size key_len);

/* A command of plain words and one key (or NULL), for short. */
extern int	FeathubRedisCommand(RedisRequest *request, RedisNode *node, const char *name,
								const char *key, Size key_len,
								int nargs, const char *const *args);

/*
 * FeathubRedisBeginScript
 *		Begin a call of a script; redis_script.c tells its arguments and reply.
 *
 * nkeys keys follow (FeathubRedisAddKey or FeathubRedisScriptKeys), then nargs
 * words.
 */
extern int	FeathubRedisBeginScript(RedisRequest *request, RedisScript script,
									int nkeys, int nargs);

/* Make the nth (from 1) key of a script's the one that messages name. */
extern void FeathubRedisScriptNameKey(RedisRequest *request, int command, int n);

/* Send what has not been sent.  Does not wait for replies. */
extern void FeathubRedisSend(RedisRequest *request);

/*
 * FeathubRedisWait
 *		Wait for all replies, sending what was not sent.
 *
 * Redirections of a cluster and of a failover, where the command was not
 * carried out, are followed.  Error replies are replies: FeathubRedisGet and
 * FeathubRedisRaise make errors of them.  A lost connection is an error.
 */
extern void FeathubRedisWait(RedisRequest *request);

/*
 * FeathubRedisGet
 *		The reply to a command, after FeathubRedisWait; an error if it is one.
 */
extern RedisReply *FeathubRedisGet(RedisRequest *request, int command);

/* The same, but an error reply is returned too. */
extern RedisReply *FeathubRedisGetAny(RedisRequest *request, int command);

/* Raise an error reply; the message names the command's key. */
pg_noreturn extern void FeathubRedisRaise(RedisRequest *request, int command,
							  RedisReply *reply);

/* Send one command and wait for its reply; error replies are raised. */
extern RedisReply *FeathubRedisCall(RedisRequest *request, int command);

/* Raise an error for a reply of a shape that the command cannot have. */
pg_noreturn extern void FeathubRedisBadReply(RedisClient *client, const char *command);

/* Is it an error reply that begins with that code ("WRONGTYPE")? */
extern bool FeathubRedisIsError(const RedisReply *reply, const char *code);

/* A key for messages: escaped and clipped, palloc'd. */
extern char *FeathubRedisShowKey(const char *key, Size len);

#endif							/* FEATHUB_CONNECTORS_REDIS_REDIS_CLIENT_H */
