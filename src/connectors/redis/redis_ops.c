/*
 * redis_ops.c
 *		Commands of one row: sent as one command, or as one script.
 */
#include "postgres.h"

#include "utils/builtins.h"

#include "connectors/redis/redis_write.h"

void
FeathubRedisOpsReset(RedisOps *ops)
{
	if (ops->data.data == NULL)
	{
		initStringInfo(&ops->data);
		initStringInfo(&ops->keys);
		initStringInfo(&ops->key);
	}
	resetStringInfo(&ops->data);
	resetStringInfo(&ops->keys);
	resetStringInfo(&ops->key);
	ops->nops = 0;
	ops->nwords = 0;
	ops->nkeys = 0;
}

/* Say that a key is used; the first decides where the commands go. */
void
FeathubRedisOpsKey(RedisOps *ops, const char *key, Size len)
{
	if (ops->nkeys++ == 0)
		appendBinaryStringInfo(&ops->key, key, len);
	FeathubRedisFormat(&ops->keys, key, len);
}

/* Begin a command of that many words; the words follow. */
void
FeathubRedisOp(RedisOps *ops, RedisCheck check, int nwords, const char *name)
{
	char		letter = (char) check;

	FeathubRedisFormat(&ops->data, &letter, 1);
	FeathubRedisOpInt(ops, nwords);
	if (ops->nops++ == 0)
	{
		ops->first_words = nwords;
		ops->first_check = check;
		ops->first_offset = ops->data.len;
	}
	ops->nwords += nwords + 2;
	FeathubRedisOpText(ops, name);
}

void
FeathubRedisOpWord(RedisOps *ops, const char *word, Size len)
{
	FeathubRedisFormat(&ops->data, word, len);
}

void
FeathubRedisOpText(RedisOps *ops, const char *word)
{
	FeathubRedisFormat(&ops->data, word, strlen(word));
}

void
FeathubRedisOpInt(RedisOps *ops, int64 word)
{
	char		buffer[MAXINT8LEN + 1];

	FeathubRedisFormat(&ops->data, buffer, pg_lltoa(word, buffer));
}

/* Append them to a request: returns the number of the command. */
int
FeathubRedisOpsSend(RedisOps *ops, RedisRequest *request)
{
	int			command;

	if (ops->nops == 1)
	{
		command = FeathubRedisBeginFormatted(request, ops->first_words,
											 ops->data.data + ops->first_offset,
											 ops->data.len - ops->first_offset,
											 ops->key.data, ops->key.len);
		request->commands[command].check = (char) ops->first_check;
		return command;
	}
	command = FeathubRedisBeginScript(request, REDIS_SCRIPT_OPS, ops->nkeys, ops->nwords);
	FeathubRedisScriptKeys(request, ops->keys.data, ops->keys.len, ops->nkeys,
						   ops->key.data, ops->key.len);
	FeathubRedisAddFormatted(request, ops->data.data, ops->data.len, ops->nwords);
	if (ops->first_check == REDIS_CHECK_ID)
		request->commands[command].check = (char) REDIS_CHECK_ID;
	return command;
}

/*
 * The script says at the end of an error which of its keys it is about; what
 * stands before may be a field's name, and look like that.
 */
static void
name_key(RedisRequest *request, int command, RedisReply *reply)
{
	char	   *end = NULL;
	int			n;

	for (char *p = reply->str; (p = strstr(p, " (key ")) != NULL; p++)
		end = p;
	n = end ? atoi(end + strlen(" (key ")) : 0;
	if (n <= 0)
		return;
	*end = '\0';
	reply->len = end - reply->str;
	FeathubRedisScriptNameKey(request, command, n);
}

RedisOutcome
FeathubRedisOutcome(RedisRequest *request, int command)
{
	RedisReply *reply = FeathubRedisGetAny(request, command);
	bool		nothing;

	/* SET ... GET says what was there before: nothing, of a new key */
	if (reply->type == REDIS_ERROR && request->commands[command].check == REDIS_CHECK_ID &&
		strstr(reply->str, "is equal or smaller than the target stream top item") != NULL)
		return REDIS_ROW_DONE;
	if (reply->type == REDIS_ERROR)
	{
		if (strstr(reply->str, "WRONGTYPE") != NULL)
			reply->str = strstr(reply->str, "WRONGTYPE");
		reply->len = strlen(reply->str);
		if (request->commands[command].script >= REDIS_SCRIPT_ROWS)
			name_key(request, command, reply);
		FeathubRedisRaise(request, command, reply);
	}
	if (request->commands[command].script >= REDIS_SCRIPT_ROWS)
	{
		if (reply->type != REDIS_INTEGER)
			FeathubRedisBadReply(request->client, "EVALSHA");
		return reply->integer == -1 ? REDIS_ROW_EXISTS :
			reply->integer < 0 ? REDIS_ROW_MISSING :
			reply->integer > 0 ? REDIS_ROW_OLDER : REDIS_ROW_DONE;
	}
	if (request->commands[command].script == REDIS_SCRIPT_HASHES)
	{
		if (reply->type != REDIS_INTEGER)
			FeathubRedisBadReply(request->client, "EVALSHA");
		if (reply->integer == 0)
			return REDIS_ROW_DONE;
		FeathubRedisScriptNameKey(request, command, (int) reply->integer);
		return REDIS_ROW_EXISTS;
	}
	if (request->commands[command].script)
		return reply->type != REDIS_INTEGER ? REDIS_ROW_DONE :
			reply->integer < 0 ? REDIS_ROW_EXISTS :
			reply->integer == 0 ? REDIS_ROW_MISSING : REDIS_ROW_DONE;
	nothing = reply->type == REDIS_NIL || (reply->type == REDIS_INTEGER && reply->integer == 0);
	switch (request->commands[command].check)
	{
		case REDIS_CHECK_PRESENT:
			return nothing ? REDIS_ROW_MISSING : REDIS_ROW_DONE;
		case REDIS_CHECK_ABSENT:
			return nothing ? REDIS_ROW_DONE : REDIS_ROW_EXISTS;
		default:
			return REDIS_ROW_DONE;
	}
}
