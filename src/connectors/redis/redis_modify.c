/*
 * redis_modify.c
 *		INSERT, COPY, UPDATE and DELETE.
 *
 * Rows of INSERT and COPY go out in batches; while one batch is on its way the
 * next is made, and a statement is over when every reply was looked at.  Redis
 * has no transactions that ours could be part of: what was confirmed stays,
 * whatever becomes of the transaction.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "connectors/redis/redis.h"
#include "connectors/redis/redis_write.h"

typedef struct RedisModifyState
{
	RedisTable *table;
	RedisWriter *writer;
	RedisRequest *requests[2];
	int			current;		/* the one to fill next */
	bool		pending;		/* the other one was sent and not looked at */
	int			ndeletions;		/* in the current one, that nobody waits for */
	CmdType		operation;
	RedisSeen  *moved;			/* keys that this statement gave to rows */
} RedisModifyState;

static void check_insert(RedisModifyState *state, RedisRequest *request);
static void send_deletions(RedisModifyState *state);
static void wait_for_replicas(RedisModifyState *state);
pg_noreturn static void row_exists(RedisModifyState *state, RedisRequest *request, int command);
static Datum *old_row(FeathubModify *modify, Datum *key, bool *key_isnull);
static bool send_row(FeathubModify *modify, TupleTableSlot *slot, Datum *old_values);

void
FeathubRedisBeginModify(FeathubModify *modify)
{
	RedisModifyState *state = palloc0(sizeof(RedisModifyState));
	RedisTable *table = FeathubRedisTableMake(modify->rel);
	RedisClient *client;
	ListCell   *lc;

	if (modify->operation == CMD_UPDATE && table->kind == REDIS_KIND_STREAM)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot update foreign table \"%s\"", modify->rel->relname),
				 errdetail("Entries of a stream do not change.")));
	client = FeathubRedisClientGet(modify->rel->server, modify->rel->user, table->options,
								   modify->context);
	state->table = table;
	state->operation = modify->operation;
	state->writer = FeathubRedisWriterMake(table, client, modify->operation != CMD_DELETE);
	if (modify->operation == CMD_UPDATE)
	{
		foreach(lc, modify->target_attrs)
			state->writer->targets = bms_add_member(state->writer->targets, lfirst_int(lc));
		/* an empty set would mean all */
		state->writer->targets = bms_add_member(state->writer->targets, 0);
	}
	state->requests[0] = FeathubRedisRequestMake(client);
	state->requests[1] = FeathubRedisRequestMake(client);
	modify->batch_size = table->options->batch_size;
	modify->state = state;
}

void
FeathubRedisInsertRows(FeathubModify *modify, TupleTableSlot **slots, int nslots)
{
	RedisModifyState *state = modify->state;
	RedisRequest *request = state->requests[state->current];
	bool		together = nslots > 1 && FeathubRedisWritesRows(state->writer);
	FeathubTextModes modes;

	FeathubRedisRequestReset(request);
	FeathubTextModesSet(&modes, NULL);
	PG_TRY();
	{
		for (int i = 0; i < nslots; i++)
		{
			CHECK_FOR_INTERRUPTS();
			if (together)
				FeathubRedisWriteRow(state->writer, request, slots[i]->tts_values,
									 slots[i]->tts_isnull);
			else
				(void) FeathubRedisWriteInsert(state->writer, request, slots[i]->tts_values,
											   slots[i]->tts_isnull);
		}
		if (together)
			FeathubRedisWriteRowsEnd(state->writer, request);
	}
	PG_FINALLY();
	{
		FeathubTextModesRestore(&modes);
	}
	PG_END_TRY();
	FeathubRedisSend(request);
	if (state->pending)
		check_insert(state, state->requests[!state->current]);
	state->pending = false;
	if (nslots > 1 && !modify->returning)
	{
		state->pending = true;
		state->current = !state->current;
		return;
	}
	check_insert(state, request);

	/* RETURNING shows the id that the server chose */
	if (state->table->metadata[REDIS_META_ID] != 0 && nslots == 1)
	{
		int			attno = state->table->metadata[REDIS_META_ID] - 1;
		RedisReply *reply = FeathubRedisGetAny(request, 0);

		if (reply->type == REDIS_STRING && slots[0]->tts_isnull[attno])
		{
			MemoryContext old = MemoryContextSwitchTo(slots[0]->tts_mcxt);

			slots[0]->tts_values[attno] =
				PointerGetDatum(cstring_to_text_with_len(reply->str, reply->len));
			slots[0]->tts_isnull[attno] = false;
			MemoryContextSwitchTo(old);
		}
	}
}

void
FeathubRedisEndModify(FeathubModify *modify)
{
	RedisModifyState *state = modify->state;

	if (state->ndeletions > 0)
		send_deletions(state);
	if (state->pending)
		check_insert(state, state->requests[!state->current]);
	state->pending = false;
	if (state->table->options->min_replicas > 0)
		wait_for_replicas(state);
}

List *
FeathubRedisKeyColumns(FeathubRelation *rel)
{
	return FeathubRedisRowKey(FeathubRedisTableMake(rel));
}

bool
FeathubRedisUpserts(FeathubRelation *rel)
{
	RedisOptions *options = rel->options;

	if (options->write_mode != REDIS_WRITE_UPSERT || options->kind == REDIS_KIND_STREAM)
		return false;
	/* elements of a list have no names */
	return options->kind != REDIS_KIND_LIST || !FeathubRedisTableMake(rel)->element_rows;
}

AttrNumber
FeathubRedisEventTime(FeathubRelation *rel)
{
	return FeathubRedisTableMake(rel)->event_time;
}

bool
FeathubRedisUpdateRow(FeathubModify *modify, TupleTableSlot *slot, Datum *key,
					  bool *key_isnull)
{
	return send_row(modify, slot, old_row(modify, key, key_isnull));
}

bool
FeathubRedisDeleteRow(FeathubModify *modify, Datum *key, bool *key_isnull)
{
	RedisModifyState *state = modify->state;
	Datum	   *old_values = old_row(modify, key, key_isnull);
	FeathubTextModes modes;

	FeathubRedisWriterDeletedAt(state->writer, modify->timed, modify->deleted_at);
	if (!modify->unasked)
		return send_row(modify, NULL, old_values);
	if (state->ndeletions == 0)
		FeathubRedisRequestReset(state->requests[state->current]);
	state->writer->together = true;
	FeathubTextModesSet(&modes, NULL);
	PG_TRY();
	{
		(void) FeathubRedisWriteDelete(state->writer, state->requests[state->current], old_values);
	}
	PG_FINALLY();
	{
		FeathubTextModesRestore(&modes);
	}
	PG_END_TRY();
	if (++state->ndeletions >= state->table->options->batch_size)
		send_deletions(state);
	return true;
}

/* Send deletions that nobody waits for, and look at those sent before. */
static void
send_deletions(RedisModifyState *state)
{
	RedisRequest *request = state->requests[state->current];

	FeathubRedisWriteRowsEnd(state->writer, request);
	FeathubRedisSend(request);
	if (state->pending)
		check_insert(state, state->requests[!state->current]);
	state->pending = true;
	state->current = !state->current;
	state->ndeletions = 0;
}

/* What was written here is to be on replicas too, of every master. */
static void
wait_for_replicas(RedisModifyState *state)
{
	const RedisOptions *options = state->table->options;
	RedisRequest *request = state->requests[0];
	RedisNode **nodes;
	int			n;

	FeathubRedisRequestReset(request);
	nodes = FeathubRedisNodes(request->client, &n);
	for (int i = 0; i < n; i++)
	{
		/* sooner than we would give the connection up */
		FeathubRedisBegin(request, nodes[i], 3, "WAIT");
		FeathubRedisAddInt(request, options->min_replicas);
		FeathubRedisAddInt(request, options->command_timeout * 900);
	}
	FeathubRedisWait(request);
	for (int i = 0; i < n; i++)
	{
		RedisReply *reply = FeathubRedisGet(request, i);

		if (reply->type != REDIS_INTEGER)
			FeathubRedisBadReply(request->client, "WAIT");
		if (reply->integer < options->min_replicas)
			ereport(ERROR,
					(errcode(ERRCODE_CANNOT_CONNECT_NOW),
					 errmsg("only " INT64_FORMAT " of %d replicas of foreign server \"%s\" have confirmed what was written",
							reply->integer, options->min_replicas,
							state->table->rel->server->servername),
					 errdetail("It is written on the master.")));
	}
}

/*
 * Wait for the replies of a batch; a row that exists is an error.  One that is
 * older than what is there was left out, and a deletion may find nothing.
 */
static void
check_insert(RedisModifyState *state, RedisRequest *request)
{
	FeathubRedisWait(request);
	for (int i = 0; i < request->ncommands; i++)
	{
		RedisOutcome outcome = FeathubRedisOutcome(request, i);

		if (outcome == REDIS_ROW_EXISTS ||
			(outcome == REDIS_ROW_MISSING && state->operation == CMD_INSERT))
			row_exists(state, request, i);
	}
}

static void
row_exists(RedisModifyState *state, RedisRequest *request, int command)
{
	RedisCommand *c = &request->commands[command];

	ereport(ERROR,
			(errcode(ERRCODE_UNIQUE_VIOLATION),
			 errmsg("row of foreign table \"%s\" exists already", state->table->rel->relname),
			 errdetail("Key \"%s\" on foreign server \"%s\".",
					   FeathubRedisShowKey(request->data.data + c->key_offset, c->key_len),
					   state->table->rel->server->servername),
			 state->operation == CMD_INSERT &&
			 state->table->options->write_mode == REDIS_WRITE_INSERT ?
			 errhint("With table option write_mode 'upsert' INSERT writes over it.") : 0));
}

/* The old key's values in their columns' places. */
static Datum *
old_row(FeathubModify *modify, Datum *key, bool *key_isnull)
{
	Datum	   *values = palloc0(sizeof(Datum) * modify->rel->tupdesc->natts);
	ListCell   *lc;

	foreach(lc, modify->key_attrs)
	{
		int			i = foreach_current_index(lc);

		if (key_isnull[i])
			ereport(ERROR,
					(errcode(ERRCODE_NOT_NULL_VIOLATION),
					 errmsg("null value in key column \"%s\" of foreign table \"%s\"",
							NameStr(TupleDescAttr(modify->rel->tupdesc, lfirst_int(lc) - 1)->attname),
							modify->rel->relname)));
		values[lfirst_int(lc) - 1] = key[i];
	}
	return values;
}

/* UPDATE, or without slot DELETE, of one row; false if there is no such row. */
static bool
send_row(FeathubModify *modify, TupleTableSlot *slot, Datum *old_values)
{
	RedisModifyState *state = modify->state;
	RedisRequest *request = state->requests[0];
	RedisWriter *writer = state->writer;
	FeathubTextModes modes;
	bool		found;

	FeathubRedisRequestReset(request);
	FeathubTextModesSet(&modes, NULL);
	PG_TRY();
	{
		if (slot)
			(void) FeathubRedisWriteUpdate(state->writer, request, slot->tts_values,
										   slot->tts_isnull, old_values);
		else
			(void) FeathubRedisWriteDelete(state->writer, request, old_values);
	}
	PG_FINALLY();
	{
		FeathubTextModesRestore(&modes);
	}
	PG_END_TRY();
	/* the scan meets a row again whose key this statement changed */
	if (state->moved &&
		FeathubRedisSeenHas(state->moved, writer->old_key.data, writer->old_key.len))
		return false;
	FeathubRedisWait(request);
	found = false;
	for (int i = 0; i < request->ncommands; i++)
	{
		RedisOutcome outcome = FeathubRedisOutcome(request, i);

		if (outcome == REDIS_ROW_EXISTS)
			row_exists(state, request, i);
		found |= outcome == REDIS_ROW_DONE;
	}
	if (found && slot && !state->table->element_rows &&
		(writer->old_key.len != writer->new_key.len ||
		 memcmp(writer->old_key.data, writer->new_key.data, writer->new_key.len) != 0))
	{
		if (state->moved == NULL)
		{
			MemoryContext old = MemoryContextSwitchTo(modify->context);

			state->moved = FeathubRedisSeenMake(true);
			MemoryContextSwitchTo(old);
		}
		(void) FeathubRedisSeenAdd(state->moved, writer->new_key.data, writer->new_key.len);
	}
	return found;
}
