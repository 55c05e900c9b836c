/*
 * redis_request.c
 *		Commands sent together, and their replies.
 *
 * A command is written down in the protocol's form where it is sent from:
 * hiredis's formatter would allocate and copy each of them once more.
 *
 * A command is sent again only if a server said that it did not carry it out:
 * redirections, a replica that takes no writes, a server that is loading, an
 * unknown script.  Whatever a lost connection leaves open is an error.
 */
#include "postgres.h"

#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "storage/latch.h"
#include "utils/memutils.h"
#include "utils/wait_event.h"

#include "connectors/redis/redis_node.h"
#include "core/clock.h"
#include "core/compat.h"

/* Between two tries of a command that a cluster could not take just now. */
#define RETRY_MS		100

/* Bytes of a key that a message shows. */
#define SHOW_KEY_MAX	128

static void begin_command(RedisRequest *request, RedisNode *node, int argc);
static void set_slot(RedisRequest *request, const char *key, Size len);
static void check_lost(RedisRequest *request);
static void free_request(void *arg);
static void forget_replies(RedisRequest *request, bool last);
static void send_command(RedisRequest *request, int number);
static bool follow_redirections(RedisRequest *request, TimestampTz deadline);
static void pump_all(RedisClient *client);

RedisRequest *
FeathubRedisRequestMake(RedisClient *client)
{
	RedisRequest *request = palloc0(sizeof(RedisRequest));
	MemoryContextCallback *callback = palloc(sizeof(MemoryContextCallback));

	request->client = client;
	request->parent = CurrentMemoryContext;
	request->context = AllocSetContextCreate(client->context, "feathub redis replies",
											 ALLOCSET_DEFAULT_SIZES);
	initStringInfo(&request->data);
	callback->func = free_request;
	callback->arg = request;
	MemoryContextRegisterResetCallback(CurrentMemoryContext, callback);
	return request;
}

void
FeathubRedisRequestReset(RedisRequest *request)
{
	forget_replies(request, false);
	resetStringInfo(&request->data);
	request->ncommands = 0;
	request->nsent = 0;
	request->lost = false;
	request->bytes = 0;
}

/* Commands */

int
FeathubRedisBegin(RedisRequest *request, RedisNode *node, int argc, const char *name)
{
	begin_command(request, node, argc);
	FeathubRedisAddString(request, name);
	return request->ncommands - 1;
}

int
FeathubRedisBeginFormatted(RedisRequest *request, int argc, const char *data, Size len,
						   const char *key, Size key_len)
{
	Size		offset;
	const char *found = memmem(data, len, key, key_len);

	begin_command(request, NULL, argc);
	offset = request->data.len;
	FeathubRedisAddFormatted(request, data, len, argc);
	set_slot(request, key, key_len);
	if (found && key_len > 0)
	{
		request->commands[request->ncommands - 1].key_offset = offset + (found - data);
		request->commands[request->ncommands - 1].key_len = key_len;
	}
	return request->ncommands - 1;
}

void
FeathubRedisScriptKeys(RedisRequest *request, const char *data, Size len, int nkeys,
					   const char *key, Size key_len)
{
	RedisCommand *command = &request->commands[request->ncommands - 1];
	const char *found = memmem(data, len, key, key_len);
	const char *p = data;

	command->key_offset = request->data.len + (found ? found - data : 0);
	command->key_len = found ? key_len : 0;
	FeathubRedisAddFormatted(request, data, len, nkeys);
	for (int i = 0; i < nkeys && FeathubRedisIsCluster(request->client); i++)
	{
		Size		one = strtoul(p + 1, NULL, 10);

		p = strchr(p, '\n') + 1;
		set_slot(request, p, one);
		p += one + 2;
	}
}

/* Begin a command, of which nothing but the number of its words is known. */
static void
begin_command(RedisRequest *request, RedisNode *node, int argc)
{
	RedisCommand *command;
	char		head[32];
	int			len;

	if (request->ncommands == request->maxcommands)
	{
		request->maxcommands = Max(64, request->maxcommands * 2);
		request->commands = request->commands ?
			repalloc_huge(request->commands, request->maxcommands * sizeof(RedisCommand)) :
			MemoryContextAllocHuge(request->parent, request->maxcommands * sizeof(RedisCommand));
	}
	command = &request->commands[request->ncommands++];
	memset(command, 0, sizeof(RedisCommand));
	command->offset = request->data.len;
	command->slot = -1;
	command->node = node;
	head[0] = '*';
	len = 1 + pg_ltoa(argc, head + 1);
	head[len++] = '\r';
	head[len++] = '\n';
	appendBinaryStringInfo(&request->data, head, len);
	request->args_left = argc;
}

void
FeathubRedisFormat(StringInfo out, const char *arg, Size len)
{
	char		head[32];
	int			n;

	head[0] = '$';
	n = 1 + pg_lltoa(len, head + 1);
	head[n++] = '\r';
	head[n++] = '\n';
	if (len > MaxAllocSize - 64)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("value of %zu bytes is too long", len)));
	enlargeStringInfo(out, n + (int) len + 2);
	memcpy(out->data + out->len, head, n);
	out->len += n;
	memcpy(out->data + out->len, arg, len);
	out->len += len;
	memcpy(out->data + out->len, "\r\n", 3);
	out->len += 2;
}

void
FeathubRedisAdd(RedisRequest *request, const char *arg, Size len)
{
	Assert(request->args_left > 0);
	FeathubRedisFormat(&request->data, arg, len);
	request->args_left--;
	if (request->args_left == 0)
		request->commands[request->ncommands - 1].len =
			request->data.len - request->commands[request->ncommands - 1].offset;
}

void
FeathubRedisAddString(RedisRequest *request, const char *arg)
{
	FeathubRedisAdd(request, arg, strlen(arg));
}

void
FeathubRedisAddInt(RedisRequest *request, int64 arg)
{
	char		buffer[MAXINT8LEN + 1];

	FeathubRedisAdd(request, buffer, pg_lltoa(arg, buffer));
}

void
FeathubRedisAddKey(RedisRequest *request, const char *key, Size len)
{
	RedisCommand *command = &request->commands[request->ncommands - 1];

	set_slot(request, key, len);
	FeathubRedisAdd(request, key, len);
	if (command->key_len == 0)
	{
		command->key_offset = request->data.len - 2 - len;
		command->key_len = len;
	}
}

/* The slot that the command being made goes to; all its keys must be in one. */
static void
set_slot(RedisRequest *request, const char *key, Size len)
{
	RedisCommand *command = &request->commands[request->ncommands - 1];
	int			slot;

	if (!FeathubRedisIsCluster(request->client))
		return;
	slot = FeathubRedisSlot(key, len);
	if (command->slot >= 0 && command->slot != slot)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("a row of several keys cannot be written atomically in a cluster"),
				 errdetail("Key \"%s\" is in another slot than the row's first one.",
						   FeathubRedisShowKey(key, len)),
				 errhint("Put what the row's keys have in common between braces, so that they share a slot.")));
	command->slot = slot;
}

void
FeathubRedisAddFormatted(RedisRequest *request, const char *data, Size len, int nargs)
{
	Assert(request->args_left >= nargs);
	appendBinaryStringInfo(&request->data, data, len);
	request->args_left -= nargs;
	if (request->args_left == 0)
		request->commands[request->ncommands - 1].len =
			request->data.len - request->commands[request->ncommands - 1].offset;
}

int
FeathubRedisCommand(RedisRequest *request, RedisNode *node, const char *name,
					const char *key, Size key_len, int nargs, const char *const *args)
{
	int			number = FeathubRedisBegin(request, node, 1 + (key != NULL) + nargs, name);

	if (key)
		FeathubRedisAddKey(request, key, key_len);
	for (int i = 0; i < nargs; i++)
		FeathubRedisAddString(request, args[i]);
	return number;
}

/* Sending and waiting */

void
FeathubRedisSend(RedisRequest *request)
{
	RedisClient *client = request->client;

	if (request->nsent == request->ncommands)
		return;
	FeathubRedisClientPrepare(client);
	while (request->nsent < request->ncommands)
	{
		send_command(request, request->nsent);
		request->nsent++;
	}
	pump_all(client);
}

void
FeathubRedisWait(RedisRequest *request)
{
	TimestampTz deadline;

	FeathubRedisSend(request);
	FeathubRedisWaitReplies(request);
	check_lost(request);
	deadline = FeathubClock() +
		request->client->options.connect_timeout * USECS_PER_SEC;
	while (follow_redirections(request, deadline))
	{
		FeathubRedisWaitReplies(request);
		check_lost(request);
	}
}

void
FeathubRedisWaitReplies(RedisRequest *request)
{
	RedisClient *client = request->client;
	TimestampTz progress = 0;
	int			first = 0;

	while (request->nwaiting > 0 && !request->lost)
	{
		RedisNode  *node;
		int			waiting = request->nwaiting;
		Size		bytes = request->bytes;
		Size		written;
		long		left;

		/* the node of the first command without reply is the one to wait for */
		while (request->commands[first].reply != NULL)
			first++;
		node = request->commands[first].node;
		written = node->written;
		if (!FeathubRedisNodePump(node) || request->nwaiting == 0)
			break;
		if (request->nwaiting != waiting || request->bytes != bytes ||
			node->written != written)
		{
			progress = 0;
			CHECK_FOR_INTERRUPTS();
			if (request->nwaiting != waiting)
				continue;
		}
		if (client->nnodes > 1)
			pump_all(client);
		if (request->nwaiting != waiting)
			continue;

		if (progress == 0)
			progress = FeathubClock();
		left = client->options.command_timeout * 1000L -
			TimestampDifferenceMilliseconds(progress, FeathubClock());
		if (left <= 0)
		{
			FeathubRedisNodeClose(node);
			FeathubRedisNodeLost(node, "no answer within command_timeout");
		}
		FeathubRedisSocketWait(node->socket, node->out.len > 0, left);
	}
}

RedisReply *
FeathubRedisGetAny(RedisRequest *request, int command)
{
	return request->commands[command].reply;
}

RedisReply *
FeathubRedisGet(RedisRequest *request, int command)
{
	RedisReply *reply = request->commands[command].reply;

	if (reply->type == REDIS_ERROR)
		FeathubRedisRaise(request, command, reply);
	return reply;
}

RedisReply *
FeathubRedisCall(RedisRequest *request, int command)
{
	FeathubRedisWait(request);
	return FeathubRedisGet(request, command);
}

/* Errors */

void
FeathubRedisRaise(RedisRequest *request, int number, RedisReply *reply)
{
	static const struct
	{
		const char *code;
		int			sqlerrcode;
	}			codes[] =
	{
		/* data exceptions: only the records that have this key cannot be written */
		{"WRONGTYPE", ERRCODE_MOST_SPECIFIC_TYPE_MISMATCH},
		{"FEATHUBTIME", ERRCODE_INVALID_DATETIME_FORMAT},
		{"NOAUTH", ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION},
		{"WRONGPASS", ERRCODE_INVALID_PASSWORD},
		{"NOPERM", ERRCODE_INSUFFICIENT_PRIVILEGE},
		{"ERR The user executing the script can't", ERRCODE_INSUFFICIENT_PRIVILEGE},
		/* it was loaded just before */
		{"NOSCRIPT", ERRCODE_INSUFFICIENT_PRIVILEGE},
		{"OOM", ERRCODE_INSUFFICIENT_RESOURCES},
		{"READONLY", ERRCODE_READ_ONLY_SQL_TRANSACTION},
		{"LOADING", ERRCODE_CANNOT_CONNECT_NOW},
		{"MASTERDOWN", ERRCODE_CANNOT_CONNECT_NOW},
		{"CLUSTERDOWN", ERRCODE_CANNOT_CONNECT_NOW},
		{"TRYAGAIN", ERRCODE_CANNOT_CONNECT_NOW},
		{"BUSY", ERRCODE_CANNOT_CONNECT_NOW},
		{"NOREPLICAS", ERRCODE_CANNOT_CONNECT_NOW},
		{"MISCONF", ERRCODE_IO_ERROR},
		{"CROSSSLOT", ERRCODE_FEATURE_NOT_SUPPORTED},
		{NULL}
	};
	RedisCommand *command = &request->commands[number];
	const char *server = request->client->server;
	char	   *key = command->key_len == 0 ? NULL :
		FeathubRedisShowKey(request->data.data + command->key_offset, command->key_len);
	char	   *text = reply->str;
	int			sqlerrcode = ERRCODE_FDW_ERROR;

	for (int i = 0; codes[i].code; i++)
	{
		if (FeathubRedisIsError(reply, codes[i].code))
			sqlerrcode = codes[i].sqlerrcode;
	}
	/* whatever bytes it quotes */
	if (!pg_verifymbstr(text, reply->len, true))
		text = "(not text)";
	if (key && sqlerrcode == ERRCODE_MOST_SPECIFIC_TYPE_MISMATCH)
		ereport(ERROR,
				(errcode(sqlerrcode),
				 errmsg("key \"%s\" on foreign server \"%s\" has another type than the table's kind",
						key, server),
				 errdetail("Redis says: %s", text)));
	ereport(ERROR,
			(errcode(sqlerrcode),
			 errmsg("foreign server \"%s\" refused a command: %s", server, text),
			 sqlerrcode == ERRCODE_INSUFFICIENT_PRIVILEGE && command->script ?
			 errhint("The user needs the commands EVALSHA and SCRIPT LOAD and those of the table's kind, and the keys of the rows and, with an event time, of option guard_prefix.") : 0,
			 key ? errcontext("key \"%s\"", key) : 0));
}

void
FeathubRedisBadReply(RedisClient *client, const char *command)
{
	ereport(ERROR,
			(errcode(ERRCODE_FDW_ERROR),
			 errmsg("unexpected reply of foreign server \"%s\" to %s",
					client->server, command)));
}

bool
FeathubRedisIsError(const RedisReply *reply, const char *code)
{
	Size		len = strlen(code);

	return reply->type == REDIS_ERROR && reply->len >= len &&
		strncmp(reply->str, code, len) == 0 &&
		(reply->str[len] == ' ' || reply->str[len] == '\0');
}

char *
FeathubRedisShowKey(const char *key, Size len)
{
	StringInfoData out;
	bool		text = pg_verify_mbstr(PG_UTF8, key, len, true) &&
		GetDatabaseEncoding() == PG_UTF8;
	Size		shown = Min(len, SHOW_KEY_MAX);

	if (text)
		shown = pg_encoding_mbcliplen(PG_UTF8, key, len, SHOW_KEY_MAX);
	initStringInfo(&out);
	for (Size i = 0; i < shown; i++)
	{
		unsigned char c = key[i];

		if (c < ' ' || c == 0x7f || (c >= 0x80 && !text))
			appendStringInfo(&out, "\\x%02x", c);
		else
			appendStringInfoChar(&out, c);
	}
	if (shown < len)
		appendStringInfoString(&out, "...");
	return out.data;
}

/* An error if a connection went before all replies were there. */
static void
check_lost(RedisRequest *request)
{
	if (!request->lost)
		return;
	for (int i = 0; i < request->nsent; i++)
	{
		if (request->commands[i].reply == NULL)
			FeathubRedisNodeLost(request->commands[i].node, NULL);
	}
}

/* Reset callback of the context that a request was made in. */
static void
free_request(void *arg)
{
	forget_replies(arg, true);
}

/* Give the memory of replies up, which the reader may still write to. */
static void
forget_replies(RedisRequest *request, bool last)
{
	RedisClient *client = request->client;
	RedisNode  *partial = NULL;

	if (request->nwaiting > 0)
	{
		for (int i = 0; i < client->nnodes; i++)
		{
			if (FeathubRedisNodeForget(client->nodes[i], request))
				partial = client->nodes[i];
		}
	}
	request->nwaiting = 0;
	request->arena = NULL;
	request->arena_left = 0;
	if (partial)
		MemoryContextSetParent(request->context, partial->trash);
	else if (!last)
		MemoryContextReset(request->context);
	else
		MemoryContextDelete(request->context);
	if (partial && !last)
		request->context = AllocSetContextCreate(client->context, "feathub redis replies",
												 ALLOCSET_DEFAULT_SIZES);
}

/* Hand a command to the connection that it belongs to, connecting if need be. */
static void
send_command(RedisRequest *request, int number)
{
	RedisClient *client = request->client;
	RedisCommand *command = &request->commands[number];
	RedisNode  *node = command->node;
	TimestampTz deadline;
	char	   *reason;

	Assert(command->len > 0);
	for (int try = 0; node == NULL; try++)
	{
		if (client->options.mode != REDIS_CLUSTER)
			node = client->main;
		else if (command->slot >= 0)
			node = client->slots[command->slot];
		else
			node = client->nodes[0];
		if (node == NULL && try == 0)
		{
			FeathubRedisLoadSlots(client);
			continue;
		}
		if (node == NULL)
			ereport(ERROR,
					(errcode(ERRCODE_CANNOT_CONNECT_NOW),
					 errmsg("no node of foreign server \"%s\" has slot %d",
							client->server, command->slot)));
	}
	if (node->queue_count == 0 || node->socket == NULL)
	{
		deadline = FeathubClock() + client->options.connect_timeout * USECS_PER_SEC;
		if (!FeathubRedisNodeConnect(node, deadline, &reason))
		{
			/* the next statement asks the others who took its slots */
			client->slots_stale = true;
			FeathubRedisCannotConnect(client, FeathubRedisNodeName(node), reason);
		}
	}
	command->node = node;
	if (command->script && !node->script_loaded[command->script])
	{
		const char *text = FeathubRedisScriptText(command->script);
		StringInfoData load;

		initStringInfo(&load);
		appendStringInfoString(&load, "*3\r\n");
		FeathubRedisFormat(&load, "SCRIPT", 6);
		FeathubRedisFormat(&load, "LOAD", 4);
		FeathubRedisFormat(&load, text, strlen(text));
		FeathubRedisNodeSend(node, load.data, load.len, NULL, 0);
		pfree(load.data);
		node->script_loaded[command->script] = true;
	}
	if (command->asking)
		FeathubRedisNodeSend(node, "*1\r\n$6\r\nASKING\r\n", 16, NULL, 0);
	FeathubRedisNodeSend(node, request->data.data + command->offset, command->len,
						 request, number);
}

/*
 * Send commands again that were not carried out where they went.  False if there
 * are none, or no time is left: then the error replies stay.
 */
static bool
follow_redirections(RedisRequest *request, TimestampTz deadline)
{
	RedisClient *client = request->client;
	bool		again = false;
	bool		pause = false;

	for (int i = 0; i < request->ncommands; i++)
	{
		RedisCommand *command = &request->commands[i];
		RedisReply *reply = command->reply;
		RedisNode  *node = command->node;
		bool		asking = false;

		if (reply->type != REDIS_ERROR)
			continue;
		if (FeathubRedisIsError(reply, "NOSCRIPT") && command->script && !command->resent)
		{
			node->script_loaded[command->script] = false;
			command->resent = true;
		}
		else if (client->options.mode == REDIS_CLUSTER && command->slot >= 0 &&
				 (node = FeathubRedisRedirection(client, node, reply, &asking)) != NULL)
			pause |= command->hops++ > 3;
		else if (FeathubRedisIsError(reply, "READONLY") &&
				 client->options.mode == REDIS_SENTINEL)
		{
			/* it was a master; this closes it for everybody who waits for it */
			if (client->main == command->node)
				FeathubRedisNodeClose(command->node);
			node = NULL;
			pause = true;
		}
		else if (FeathubRedisIsError(reply, "TRYAGAIN") ||
				 FeathubRedisIsError(reply, "CLUSTERDOWN") ||
				 FeathubRedisIsError(reply, "LOADING"))
		{
			node = command->node;
			pause = true;
		}
		else
			continue;
		if (FeathubClock() >= deadline)
			return false;
		command->node = node;
		command->asking = asking;
		command->reply = NULL;
		again = true;
	}
	if (!again)
		return false;
	if (pause)
	{
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, RETRY_MS,
						 FEATHUB_WAIT_EVENT("FeathubRedis"));
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
	}
	FeathubRedisClientPrepare(client);
	for (int i = 0; i < request->ncommands; i++)
	{
		if (request->commands[i].reply == NULL)
			send_command(request, i);
	}
	return true;
}

static void
pump_all(RedisClient *client)
{
	for (int i = 0; i < client->nnodes; i++)
	{
		if (client->nodes[i]->queue_count > 0)
			(void) FeathubRedisNodePump(client->nodes[i]);
	}
}

int
FeathubRedisBeginScript(RedisRequest *request, RedisScript script, int nkeys, int nargs)
{
	int			number = FeathubRedisBegin(request, NULL, 3 + nkeys + nargs, "EVALSHA");

	request->commands[number].script = script;
	FeathubRedisAddString(request, FeathubRedisScriptSha(script));
	FeathubRedisAddInt(request, nkeys);
	return number;
}

void
FeathubRedisScriptNameKey(RedisRequest *request, int command, int n)
{
	RedisCommand *c = &request->commands[command];
	const char *p = strchr(request->data.data + c->offset, '\n') + 1;

	/* EVALSHA, the script, the number of keys; then these */
	for (int i = 0; i < 3 + n; i++)
	{
		Size		len = strtoul(p + 1, NULL, 10);

		p = strchr(p, '\n') + 1;
		/* the server says which: there must be such a one */
		if (i == 2 && (n < 1 || n > strtol(p, NULL, 10)))
			return;
		c->key_offset = p - request->data.data;
		c->key_len = len;
		p += len + 2;
	}
}
