/*
 * redis_scan.c
 *		SELECT.
 *
 * Keys come from the restrictions or, without, from redis_source.c; their
 * commands go out in windows.  While one window gives its rows the next is under
 * way, so that neither side waits for the other.
 */
#include "postgres.h"

#include "access/sysattr.h"
#include "miscadmin.h"
#include "utils/memutils.h"

#include "connectors/redis/redis.h"

static bool start_window(FeathubScan *scan, RedisWindow *window);
static void set_ready(RedisScanState *state);

void
FeathubRedisBeginScan(FeathubScan *scan)
{
	RedisScanState *state = palloc0(sizeof(RedisScanState));
	RedisTable *table = FeathubRedisTableMake(scan->rel);
	RedisClient *client;

	state->table = table;
	client = FeathubRedisClientGet(scan->rel->server, scan->rel->user, table->options,
								   scan->context);
	state->reader = FeathubRedisReaderMake(table, client, scan->needed);
	state->restriction = FeathubRedisRestrictRead(table, linitial(scan->private));
	state->windows[0] = FeathubRedisWindowMake(state->reader);
	state->windows[1] = FeathubRedisWindowMake(state->reader);
	state->key_context = AllocSetContextCreate(scan->context, "feathub redis keys",
											   ALLOCSET_SMALL_SIZES);
	scan->state = state;
}

void
FeathubRedisRescan(FeathubScan *scan)
{
	RedisScanState *state = scan->state;
	MemoryContext old;

	set_ready(state);
	MemoryContextReset(state->key_context);
	old = MemoryContextSwitchTo(state->key_context);
	FeathubRedisRestrictEvaluate(state->table, state->restriction, scan->param_values,
								 scan->param_isnull, &state->keys);
	MemoryContextSwitchTo(old);
	state->reader->range = state->keys.range;
	if (state->keys.none || state->keys.direct)
		return;
	if (state->source == NULL)
		state->source = FeathubRedisSourceMake(state->table, state->reader->client);
	FeathubRedisSourceStart(state->source, state->keys.known);
}

bool
FeathubRedisNextRow(FeathubScan *scan, TupleTableSlot *slot)
{
	RedisScanState *state = scan->state;

	if (state->keys.none)
		return false;
	for (;;)
	{
		RedisWindow *window = state->windows[state->current];

		if (window->ready)
		{
			if (FeathubRedisWindowNext(window, slot->tts_values, slot->tts_isnull))
				return true;
			FeathubRedisWindowReset(window);
			memset(slot->tts_isnull, true,
				   sizeof(bool) * slot->tts_tupleDescriptor->natts);
		}
		CHECK_FOR_INTERRUPTS();
		if (state->pending)
			state->pending = false;
		else if (!start_window(scan, state->windows[!state->current]))
			return false;
		state->current = !state->current;
		FeathubRedisWindowWait(state->windows[state->current]);
		/* a limit that this window reaches needs no other one */
		if (scan->limit < 0 || scan->limit > state->windows[state->current]->nentries)
			state->pending = start_window(scan, state->windows[!state->current]);
	}
}

void
FeathubRedisEndScan(FeathubScan *scan)
{
	RedisScanState *state = scan->state;

	/* replies under way are thrown away when they come */
	for (int i = 0; i < 2; i++)
		FeathubRedisWindowReset(state->windows[i]);
}

/* Fill a window and send its commands; false if there are no keys left. */
static bool
start_window(FeathubScan *scan, RedisWindow *window)
{
	RedisScanState *state = scan->state;
	MemoryContext old = MemoryContextSwitchTo(state->reader->context);
	int			max = state->reader->window_size;

	FeathubRedisWindowReset(window);
	if (state->keys.direct)
	{
		state->reader->known = false;
		while (window->nentries < max && state->next_key < state->keys.nkeys)
		{
			RedisBytes *key = &state->keys.keys[state->next_key++];

			FeathubRedisWindowAdd(window, key->data, key->len);
		}
	}
	else
	{
		const RedisOptions *options = state->table->options;

		/* what a set or an option names need not be there */
		state->reader->known = options->key_set == NULL && options->singleton_key == NULL;
		while (window->nentries == 0 && !state->source_done)
			state->source_done = !FeathubRedisSourceFill(state->source, window, max);
	}
	if (window->nentries > 0)
		FeathubRedisSend(window->request);
	MemoryContextSwitchTo(old);
	return window->nentries > 0;
}

/* As if nothing had been read yet. */
static void
set_ready(RedisScanState *state)
{
	FeathubRedisWindowReset(state->windows[0]);
	FeathubRedisWindowReset(state->windows[1]);
	state->current = 0;
	state->pending = false;
	state->source_done = false;
	state->next_key = 0;
	state->scanned = true;
}
