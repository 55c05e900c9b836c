/*
 * asof_ordered.c
 *		Point-in-time joins of sides that come in order.
 *
 * Time-ordered hash: both sides in order of time; the latest inner row of each
 * key so far is kept.  Memory depends on the number of keys.
 *
 * Merge: both sides in order of key and time; one inner row is kept.
 */
#include "postgres.h"

#include "executor/executor.h"
#include "miscadmin.h"
#include "utils/datum.h"
#include "utils/memutils.h"

#include "asof/asof_private.h"
#include "core/compat.h"

static TupleTableSlot *next_outer(FeathubAsofState *state);
static bool peek_inner(FeathubAsofState *state, Datum *time);
static void keep_latest(FeathubAsofState *state, Datum time);
static void advance_merge(FeathubAsofState *state, Datum time);
static bool inner_keys_null(FeathubAsofState *state);
static int	compare_inner_keys(FeathubAsofState *state);
static bool same_outer_keys(FeathubAsofState *state);
static void remember_outer_keys(FeathubAsofState *state);

bool
FeathubAsofNextTimeOrdered(FeathubAsofState *state, TupleTableSlot **outer, FeathubAsofPayload **found)
{
	TupleTableSlot *slot = next_outer(state);
	FeathubAsofGroup *group;
	Datum		time;
	Datum		inner;

	if (slot == NULL)
		return false;
	*outer = slot;
	*found = NULL;
	if (!feathub_asof_outer_time(state, slot, &time))
		return true;

	while (peek_inner(state, &inner) && feathub_asof_visible(state, inner, time))
	{
		CHECK_FOR_INTERRUPTS();
		keep_latest(state, inner);
		state->inner_slot = NULL;
		if (feathub_asof_used(&state->table) > state->limit)
		{
			/* go on from here, in batches */
			state->peak = Max(state->peak, feathub_asof_used(&state->table));
			ExecCopySlot(state->pending, slot);
			ExecReScan(state->inner);
			state->current = FEATHUB_ASOF_SPINE_HASH;
			return FeathubAsofNextSpineHash(state, outer, found);
		}
	}
	if (FeathubAsofOuterKeys(state, slot))
	{
		MemoryContext old = MemoryContextSwitchTo(state->css.ss.ps.ps_ExprContext->ecxt_per_tuple_memory);

		group = FeathubAsofFindGroup(state, true, false);
		if (group != NULL)
			*found = group->latest;
		MemoryContextSwitchTo(old);
	}
	return true;
}

static TupleTableSlot *
next_outer(FeathubAsofState *state)
{
	TupleTableSlot *slot;

	if (!state->started)
	{
		FeathubAsofTableReset(state);
		state->started = true;
		state->batches = 1;
	}
	if (state->outer_done)
		return NULL;
	slot = ExecProcNode(state->outer);
	if (TupIsNull(slot))
	{
		state->outer_done = true;
		state->peak = Max(state->peak, feathub_asof_used(&state->table));
		return NULL;
	}
	slot_getsomeattrs(slot, state->last_outer);
	return slot;
}

/* Have an inner row in inner_slot; false at the end. */
static bool
peek_inner(FeathubAsofState *state, Datum *time)
{
	if (state->inner_slot == NULL)
	{
		if (state->inner_done)
			return false;
		state->inner_slot = ExecProcNode(state->inner);
		if (TupIsNull(state->inner_slot))
		{
			state->inner_slot = NULL;
			state->inner_done = true;
			return false;
		}
		state->inner_rows++;
		slot_getsomeattrs(state->inner_slot, state->last_key);
	}
	if (feathub_asof_inner_time(state, state->inner_slot, time))
		return true;
	if (state->current == FEATHUB_ASOF_MERGE)
	{
		*time = (Datum) 0;
		return true;
	}
	/* NULLs are last */
	state->inner_slot = NULL;
	state->inner_done = true;
	return false;
}

static void
keep_latest(FeathubAsofState *state, Datum time)
{
	TupleTableSlot *slot = state->inner_slot;
	FeathubAsofGroup *group;
	MemoryContext old;

	MemoryContextReset(state->inner_context);
	old = MemoryContextSwitchTo(state->inner_context);
	if (FeathubAsofInnerKeys(state, slot))
	{
		group = FeathubAsofFindGroup(state, false, true);
		slot_getsomeattrs(slot, state->last_inner);
		if (group->latest == NULL || state->nties == 0 ||
			!feathub_asof_same_time(state, time, group->latest->time) ||
			FeathubAsofIsBetter(state, slot, group->latest))
			group->latest = FeathubAsofStore(state, group->latest, slot, time);
	}
	MemoryContextSwitchTo(old);
}

bool
FeathubAsofNextMerge(FeathubAsofState *state, TupleTableSlot **outer, FeathubAsofPayload **found)
{
	TupleTableSlot *slot = next_outer(state);
	MemoryContext old;
	Datum		time;

	if (slot == NULL)
		return false;
	*outer = slot;
	*found = NULL;
	if (!feathub_asof_outer_time(state, slot, &time))
		return true;
	old = MemoryContextSwitchTo(state->css.ss.ps.ps_ExprContext->ecxt_per_tuple_memory);
	if (FeathubAsofOuterKeys(state, slot))
	{
		if (!state->has_best_keys || !same_outer_keys(state))
		{
			remember_outer_keys(state);
			/* its memory is used again */
			state->has_best = false;
		}
		advance_merge(state, time);
		if (state->has_best)
			*found = state->best;
	}
	MemoryContextSwitchTo(old);
	return true;
}

/* Read inner rows up to the key and time of the outer row; its keys are in best_keys. */
static void
advance_merge(FeathubAsofState *state, Datum time)
{
	Datum		inner;

	for (;;)
	{
		MemoryContext old = MemoryContextSwitchTo(state->css.ss.ps.state->es_query_cxt);
		bool		there = peek_inner(state, &inner);
		int			order;

		MemoryContextSwitchTo(old);
		if (!there)
			return;
		CHECK_FOR_INTERRUPTS();
		MemoryContextReset(state->inner_context);
		old = MemoryContextSwitchTo(state->inner_context);
		order = inner_keys_null(state) ? -1 : compare_inner_keys(state);
		if (order == 0)
		{
			/* times that are NULL are last */
			if (state->inner_slot->tts_isnull[state->time.column - 1] ||
				!feathub_asof_visible(state, inner, time))
				order = 1;
			else
			{
				slot_getsomeattrs(state->inner_slot, state->last_inner);
				if (!state->has_best || state->nties == 0 ||
					!feathub_asof_same_time(state, inner, state->best->time) ||
					FeathubAsofIsBetter(state, state->inner_slot, state->best))
					state->best = FeathubAsofStore(state, state->best, state->inner_slot, inner);
				state->has_best = true;
			}
		}
		MemoryContextSwitchTo(old);
		if (order > 0)
			return;
		state->inner_slot = NULL;
	}
}

static bool
inner_keys_null(FeathubAsofState *state)
{
	for (int i = 0; i < state->nkeys; i++)
		if (state->inner_slot->tts_isnull[state->keys[i].column - 1])
			return true;
	return false;
}

/* Compare the inner row's keys with those of the outer row. */
static int
compare_inner_keys(FeathubAsofState *state)
{
	for (int i = 0; i < state->nkeys; i++)
	{
		FeathubAsofKey *key = &state->keys[i];
		Datum		inner = state->inner_slot->tts_values[key->column - 1];
		Datum		outer = state->best_keys[i];
		int			order;

		if (key->kind == ASOF_KIND_INT)
		{
			int64		a = DatumGetInt64(feathub_asof_int(inner, key->len));
			int64		b = DatumGetInt64(outer);

			order = a < b ? -1 : a > b;
		}
		else
			order = DatumGetInt32(FunctionCall2Coll(&key->compare, key->collation, inner, outer));
		if (order != 0)
			return order;
	}
	return 0;
}

/* Are the outer row's keys those of the one before? */
static bool
same_outer_keys(FeathubAsofState *state)
{
	for (int i = 0; i < state->nkeys; i++)
	{
		FeathubAsofKey *key = &state->keys[i];

		if (key->kind == ASOF_KIND_INT)
		{
			if (state->values[i] != state->best_keys[i])
				return false;
		}
		else if (DatumGetInt32(FunctionCall2Coll(&key->compare_outer, key->collation,
												 state->values[i], state->best_keys[i])) != 0)
			return false;
	}
	return true;
}

static void
remember_outer_keys(FeathubAsofState *state)
{
	MemoryContext old;

	MemoryContextReset(state->best_context);
	old = MemoryContextSwitchTo(state->best_context);
	for (int i = 0; i < state->nkeys; i++)
	{
		FeathubAsofKey *key = &state->keys[i];

		state->best_keys[i] = datumCopy(state->values[i], key->kind == ASOF_KIND_INT || key->outer.byval,
										key->outer.len);
	}
	state->has_best_keys = true;
	MemoryContextSwitchTo(old);
}
