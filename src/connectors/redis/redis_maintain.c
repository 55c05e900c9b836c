/*
 * redis_maintain.c
 *		ANALYZE and TRUNCATE: what visits all keys of a table.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/sampling.h"

#include "connectors/redis/redis.h"
#include "connectors/redis/redis_write.h"

/* Keys removed at a time. */
#define TRUNCATE_BATCH	1000

static void truncate_table(FeathubRelation *rel);
static void truncate_guards(RedisTable *table, RedisClient *client, RedisRequest *request);
static void truncate_node(RedisTable *table, RedisNode *node, const char *pattern,
						  RedisRequest *scan, RedisRequest *request);
static void finish_unlinks(RedisRequest *request);
static void unlink_key(RedisTable *table, RedisRequest *request, const char *key, Size len);

/*
 * FeathubConnector.sample_rows
 *
 * Keys are counted, a sample of them is kept, and only these are read: with rows
 * for elements, how many rows a key has is known from the sample.
 */
int
FeathubRedisSampleRows(FeathubRelation *rel, HeapTuple *rows, int targrows,
					   double *totalrows, double *totaldeadrows)
{
	RedisTable *table = FeathubRedisTableMake(rel);
	int			natts = rel->tupdesc->natts;
	Datum	   *values = palloc(sizeof(Datum) * Max(natts, 1));
	bool	   *isnull = palloc(sizeof(bool) * Max(natts, 1));
	MemoryContext result_context = CurrentMemoryContext;
	MemoryContext context;
	MemoryContext row_context;
	RedisClient *client;
	RedisSource *source;
	RedisReader *reader;
	RedisWindow *window;
	ReservoirStateData reservoir;
	RedisBytes *keys;
	const char *key;
	Size		len;
	double		nkeys = 0;
	double		nfound = 0;
	double		skip = -1;
	int			nsample = 0;
	int			next = 0;
	int			nrows = 0;

	context = AllocSetContextCreate(CurrentMemoryContext, "feathub redis analyze",
									ALLOCSET_DEFAULT_SIZES);
	row_context = AllocSetContextCreate(context, "feathub redis row", ALLOCSET_DEFAULT_SIZES);
	MemoryContextSwitchTo(context);
	client = FeathubRedisClientGet(rel->server, rel->user, table->options, context);
	reader = FeathubRedisReaderMake(table, client, NULL);
	source = FeathubRedisSourceMake(table, client);
	window = FeathubRedisWindowMake(reader);
	keys = palloc0(sizeof(RedisBytes) * targrows);
	reservoir_init_selection_state(&reservoir, targrows);

	FeathubRedisSourceStart(source, NULL);
	while (FeathubRedisSourceNext(source, &key, &len))
	{
		int			place = -1;

		CHECK_FOR_INTERRUPTS();
		if (nsample < targrows)
			place = nsample++;
		else
		{
			if (skip < 0)
				skip = reservoir_get_next_S(&reservoir, nkeys, targrows);
			if (skip <= 0)
				place = (int) (targrows * sampler_random_fract(&reservoir.randstate));
			skip -= 1;
		}
		nkeys += 1;
		if (place < 0)
			continue;
		if (keys[place].data)
			pfree((char *) keys[place].data);
		keys[place].data = memcpy(palloc(len + 1), key, len);
		keys[place].len = len;
	}

	/* keys may go, or change their type, before they are read */
	reader->known = true;
	while (next < nsample)
	{
		FeathubRedisWindowReset(window);
		while (next < nsample && window->nentries < reader->window_size)
		{
			FeathubRedisWindowAdd(window, keys[next].data, keys[next].len);
			next++;
		}
		FeathubRedisWindowWait(window);
		for (;;)
		{
			MemoryContextReset(row_context);
			MemoryContextSwitchTo(row_context);
			memset(isnull, true, sizeof(bool) * natts);
			memset(values, 0, sizeof(Datum) * natts);
			if (!FeathubRedisWindowNext(window, values, isnull))
				break;
			CHECK_FOR_INTERRUPTS();
			nfound += 1;
			/* the rows of a few large keys could be too many */
			if (nrows < targrows)
			{
				MemoryContextSwitchTo(result_context);
				rows[nrows++] = heap_form_tuple(rel->tupdesc, values, isnull);
			}
			else if (nfound > targrows)
			{
				int			place = (int) (nfound * sampler_random_fract(&reservoir.randstate));

				if (place >= targrows)
					continue;
				MemoryContextSwitchTo(result_context);
				heap_freetuple(rows[place]);
				rows[place] = heap_form_tuple(rel->tupdesc, values, isnull);
			}
		}
		MemoryContextSwitchTo(context);
	}
	MemoryContextSwitchTo(result_context);
	MemoryContextDelete(context);
	*totalrows = nsample > 0 ? nkeys * (nfound / nsample) : 0;
	*totaldeadrows = 0;
	return nrows;
}

/* FeathubConnector.truncate: the tables' keys and no others. */
void
FeathubRedisTruncate(List *rels, DropBehavior behavior, bool restart_seqs)
{
	ListCell   *lc;

	foreach(lc, rels)
		truncate_table(lfirst(lc));
}

static void
truncate_table(FeathubRelation *rel)
{
	RedisTable *table = FeathubRedisTableMake(rel);
	MemoryContext context;
	MemoryContext old;
	RedisClient *client;
	RedisSource *source;
	RedisRequest *request;
	const char *key;
	Size		len;
	bool		more = true;

	context = AllocSetContextCreate(CurrentMemoryContext, "feathub redis truncate",
									ALLOCSET_DEFAULT_SIZES);
	old = MemoryContextSwitchTo(context);
	client = FeathubRedisClientGet(rel->server, rel->user, table->options, context);
	source = FeathubRedisSourceMake(table, client);
	request = FeathubRedisRequestMake(client);
	FeathubRedisSourceStart(source, NULL);
	while (more)
	{
		FeathubRedisRequestReset(request);
		while (request->ncommands < TRUNCATE_BATCH &&
			   (more = FeathubRedisSourceNext(source, &key, &len)))
			unlink_key(table, request, key, len);
		CHECK_FOR_INTERRUPTS();
		if (request->ncommands == 0)
			continue;
		finish_unlinks(request);
	}
	if (table->guard != REDIS_GUARD_NONE)
		truncate_guards(table, client, request);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
}

/* Wait for the replies. */
static void
finish_unlinks(RedisRequest *request)
{
	FeathubRedisWait(request);
	for (int i = 0; i < request->ncommands; i++)
		(void) FeathubRedisGet(request, i);
}

/* The keys that keep event times go too, those of deleted rows among them. */
static void
truncate_guards(RedisTable *table, RedisClient *client, RedisRequest *request)
{
	RedisRequest *scan = FeathubRedisRequestMake(client);
	StringInfoData pattern;
	RedisNode **nodes;
	int			n;

	initStringInfo(&pattern);
	FeathubRedisGlobEscape(&pattern, table->options->guard_prefix,
						   strlen(table->options->guard_prefix));
	appendStringInfoChar(&pattern, '*');
	nodes = FeathubRedisNodes(client, &n);
	for (int i = 0; i < n; i++)
		truncate_node(table, nodes[i], pattern.data, scan, request);
}

static void
truncate_node(RedisTable *table, RedisNode *node, const char *pattern, RedisRequest *scan,
			  RedisRequest *request)
{
	RedisBytes *parts = palloc(sizeof(RedisBytes) * Max(table->nkeys, 1));
	char		cursor[32] = "0";

	do
	{
		RedisReply *reply;

		CHECK_FOR_INTERRUPTS();
		FeathubRedisRequestReset(scan);
		reply = FeathubRedisCall(scan, FeathubRedisCommand(scan, node, "SCAN", NULL, 0, 5,
														   (const char *const[]) {cursor, "MATCH", pattern, "COUNT", "1000"}));
		if (reply->type != REDIS_ARRAY || reply->n != 2 ||
			reply->elements[0].type != REDIS_STRING || reply->elements[0].len >= sizeof(cursor) ||
			reply->elements[1].type != REDIS_ARRAY)
			FeathubRedisBadReply(scan->client, "SCAN");
		strcpy(cursor, reply->elements[0].str);
		FeathubRedisRequestReset(request);
		for (int i = 0; i < reply->elements[1].n; i++)
		{
			RedisReply *guard = &reply->elements[1].elements[i];
			RedisBytes	key;

			if (FeathubRedisGuardedKey(table, guard->str, guard->len, &key) &&
				FeathubRedisKeyMatch(&table->template, key.data, key.len, parts))
				FeathubRedisCommand(request, NULL, "UNLINK", guard->str, guard->len, 0, NULL);
		}
		finish_unlinks(request);
	} while (strcmp(cursor, "0") != 0);
}

static void
unlink_key(RedisTable *table, RedisRequest *request, const char *key, Size len)
{
	RedisBytes *parts;
	StringInfoData feature;

	if (table->kind != REDIS_KIND_FEATURES)
	{
		FeathubRedisCommand(request, NULL, "UNLINK", key, len, 0, NULL);
		if (table->options->key_set)
		{
			FeathubRedisBegin(request, NULL, 3, "SREM");
			FeathubRedisAddKey(request, table->options->key_set,
							   strlen(table->options->key_set));
			FeathubRedisAdd(request, key, len);
		}
		return;
	}
	parts = palloc(sizeof(RedisBytes) * Max(table->nkeys, 1));
	initStringInfo(&feature);
	(void) FeathubRedisKeyMatch(&table->template, key, len, parts);
	for (int i = 0; i < table->nvalues; i++)
	{
		resetStringInfo(&feature);
		FeathubRedisKeyRender(&table->features[i], parts, &feature);
		FeathubRedisCommand(request, NULL, "UNLINK", feature.data, feature.len, 0, NULL);
	}
	pfree(parts);
	pfree(feature.data);
}
