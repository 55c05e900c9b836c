/*
 * bench_redis.c
 *		What a C client with hiredis does: the measure of part "redis".
 *
 *	bench_redis PORT insert ROWS	pipelined HSET of 6 fields
 *	bench_redis PORT scan ROWS		SCAN and pipelined HGETALL
 *	bench_redis PORT lookup ROWS	pipelined HGETALL of keys known
 *
 * Keys are bench:1 to bench:ROWS.  Prints the seconds that it took.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <hiredis/hiredis.h>

#define WINDOW	1000

static double
now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

/* Take n replies; those that are rows are read to their end. */
static long
take(redisContext *c, int n)
{
	long		rows = 0;

	for (int i = 0; i < n; i++)
	{
		redisReply *reply;

		if (redisGetReply(c, (void **) &reply) != REDIS_OK || reply->type == REDIS_REPLY_ERROR)
			exit(2);
		if (reply->type == REDIS_REPLY_ARRAY && reply->elements == 12)
		{
			double		sum = 0;

			for (size_t f = 1; f < reply->elements; f += 2)
				sum += atof(reply->element[f]->str);
			rows += sum > -1e300;
		}
		freeReplyObject(reply);
	}
	return rows;
}

static void
ask(redisContext *c, const char *key, size_t len)
{
	const char *args[] = {"HGETALL", key};
	size_t		lens[] = {7, len};

	redisAppendCommandArgv(c, 2, args, lens);
}

int
main(int argc, char **argv)
{
	redisContext *c = redisConnect("127.0.0.1", atoi(argv[1]));
	long		rows = atol(argv[3]);
	long		found = 0;
	double		start = now();
	char		key[32];

	if (c == NULL || c->err)
		return 1;
	if (strcmp(argv[2], "insert") == 0)
	{
		for (long i = 1; i <= rows; i++)
		{
			char		v[6][32];
			const char *args[14] = {"HSET", key, "a", v[0], "b", v[1], "c", v[2], "d", v[3], "e", v[4], "f", v[5]};

			snprintf(key, sizeof(key), "bench:%ld", i);
			for (int f = 0; f < 6; f++)
				snprintf(v[f], sizeof(v[f]), f < 3 ? "%ld" : "%ld.25", i * (f + 1));
			redisAppendCommandArgv(c, 14, args, NULL);
			if (i % WINDOW == 0 || i == rows)
				take(c, i % WINDOW == 0 ? WINDOW : i % WINDOW);
		}
		found = rows;
	}
	else if (strcmp(argv[2], "lookup") == 0)
	{
		for (long i = 1; i <= rows; i++)
		{
			ask(c, key, snprintf(key, sizeof(key), "bench:%ld", i * 7));
			if (i % WINDOW == 0 || i == rows)
				found += take(c, i % WINDOW == 0 ? WINDOW : i % WINDOW);
		}
	}
	else
	{
		char		cursor[32] = "0";

		do
		{
			redisReply *reply = redisCommand(c, "SCAN %s MATCH bench:* COUNT 1000 TYPE hash", cursor);

			if (reply == NULL || reply->type != REDIS_REPLY_ARRAY)
				return 2;
			snprintf(cursor, sizeof(cursor), "%s", reply->element[0]->str);
			for (size_t i = 0; i < reply->element[1]->elements; i++)
				ask(c, reply->element[1]->element[i]->str, reply->element[1]->element[i]->len);
			found += take(c, (int) reply->element[1]->elements);
			freeReplyObject(reply);
		} while (strcmp(cursor, "0") != 0);
	}
	printf("%.3f\n", now() - start);
	return found == rows ? 0 : 3;
}
