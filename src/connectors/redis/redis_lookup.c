/*
 * redis_lookup.c
 *		Batched look-ups: the keys of many outer rows in one pipeline.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/memutils.h"

#include "connectors/redis/redis.h"

/* A batch goes out in parts, so that one is decoded while the next is fetched. */
#define MIN_WINDOW	100

typedef struct RedisLookupState
{
	RedisTable *table;
	RedisReader *reader;
	RedisWindow *windows[2];	/* one gives rows, the other is under way */
	int			current;
	bool		pending;
	int		   *places;			/* of key columns among the values of a key */
	Datum	   *values;			/* of the batch */
	int			nrows;
	int			next;			/* first row whose key was not sent */
	int			nkeys;			/* values of a row */
	MemoryContext key_context;	/* for making one key */
} RedisLookupState;

static bool start_window(RedisLookupState *state);

/* FeathubConnector.plan_lookup: the columns must make up the key. */
bool
FeathubRedisPlanLookup(FeathubRelation *rel, PlannerInfo *root, RelOptInfo *baserel,
					   List *attnums, List *clauses, FeathubScanPlan *plan, int *max_keys)
{
	RedisTable *table = FeathubRedisTableMake(rel);

	if (table->nkeys == 0 || table->options->key_set)
		return false;
	for (int i = 0; i < table->nkeys; i++)
	{
		AttrNumber	attnum = table->keys[i].attnum;

		if (!list_member_int(attnums, attnum) ||
			!FeathubRedisIsKeyType(table->keys[i].typid,
								   TupleDescAttr(rel->tupdesc, attnum - 1)->attcollation))
			return false;
	}
	plan->private = NIL;
	*max_keys = table->options->fetch_size;
	return true;
}

void
FeathubRedisBeginLookup(FeathubLookup *lookup)
{
	RedisLookupState *state = palloc0(sizeof(RedisLookupState));
	RedisTable *table = FeathubRedisTableMake(lookup->rel);
	RedisClient *client = FeathubRedisClientGet(lookup->rel->server, lookup->rel->user,
												table->options, lookup->context);

	state->table = table;
	state->reader = FeathubRedisReaderMake(table, client, lookup->needed);
	state->windows[0] = FeathubRedisWindowMake(state->reader);
	state->windows[1] = FeathubRedisWindowMake(state->reader);
	state->nkeys = lookup->nkeys;
	state->key_context = AllocSetContextCreate(lookup->context, "feathub redis key",
											   ALLOCSET_SMALL_SIZES);
	state->places = palloc(sizeof(int) * table->nkeys);
	for (int i = 0; i < table->nkeys; i++)
	{
		for (int j = 0; j < lookup->nkeys; j++)
		{
			if (lookup->key_attrs[j] == table->keys[i].attnum)
				state->places[i] = j;
		}
	}
	lookup->state = state;
}

void
FeathubRedisSendKeys(FeathubLookup *lookup, int nrows, Datum *values)
{
	RedisLookupState *state = lookup->state;

	FeathubRedisWindowReset(state->windows[0]);
	FeathubRedisWindowReset(state->windows[1]);
	state->values = values;
	state->nrows = nrows;
	state->next = 0;
	state->current = 0;
	state->pending = start_window(state);
}

bool
FeathubRedisNextFound(FeathubLookup *lookup, TupleTableSlot *slot)
{
	RedisLookupState *state = lookup->state;

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
		if (!state->pending)
			return false;
		state->current = !state->current;
		FeathubRedisWindowWait(state->windows[state->current]);
		state->pending = start_window(state);
	}
}

void
FeathubRedisEndLookup(FeathubLookup *lookup)
{
	RedisLookupState *state = lookup->state;

	FeathubRedisWindowReset(state->windows[0]);
	FeathubRedisWindowReset(state->windows[1]);
}

/* Send the next keys of the batch in the window that gives no rows. */
static bool
start_window(RedisLookupState *state)
{
	RedisTable *table = state->table;
	RedisWindow *window = state->windows[!state->current];
	MemoryContext old = MemoryContextSwitchTo(state->reader->context);
	RedisBytes *parts = palloc(sizeof(RedisBytes) * table->nkeys);
	FeathubTextModes modes;
	StringInfoData key;
	int			max = Min(state->reader->window_size, Max(MIN_WINDOW, state->nrows / 4));

	FeathubRedisWindowReset(window);
	initStringInfo(&key);
	FeathubTextModesSet(&modes, NULL);
	PG_TRY();
	{
		while (window->nentries < max && state->next < state->nrows)
		{
			Datum	   *row = state->values + (Size) state->next++ * state->nkeys;

			MemoryContextReset(state->key_context);
			MemoryContextSwitchTo(state->key_context);
			for (int i = 0; i < table->nkeys; i++)
				parts[i] = FeathubRedisEncode(table->keys[i].codec, row[state->places[i]]);
			MemoryContextSwitchTo(state->reader->context);
			resetStringInfo(&key);
			FeathubRedisKeyRender(&table->template, parts, &key);
			FeathubRedisWindowAdd(window, key.data, key.len);
		}
	}
	PG_FINALLY();
	{
		FeathubTextModesRestore(&modes);
	}
	PG_END_TRY();
	if (window->nentries > 0)
		FeathubRedisSend(window->request);
	pfree(key.data);
	pfree(parts);
	MemoryContextSwitchTo(old);
	return window->nentries > 0;
}
