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
static bool peek_inner(FeathubAsofState *state);
static void keep_latest(FeathubAsofState *state, FeathubAsofStaged *row);
static void advance_merge(FeathubAsofState *state, Datum time);
static int	compare_inner_keys(FeathubAsofState *state, FeathubAsofStaged *row);
static bool same_outer_keys(FeathubAsofState *state);
static void remember_outer_keys(FeathubAsofState *state);

bool
FeathubAsofNextTimeOrdered(FeathubAsofState *state, TupleTableSlot **outer, FeathubAsofPayload **found)
{
	TupleTableSlot *slot = next_outer(state);
	FeathubAsofGroup *group;
	Datum		time;

	if (slot == NULL)
		return false;
	*outer = slot;
	*found = NULL;
	if (!feathub_asof_outer_time(state, slot, &time))
		return true;

	while (peek_inner(state) &&
		   feathub_asof_visible(state, state->staged[state->next_staged].time, time))
	{
		keep_latest(state, &state->staged[state->next_staged++]);
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

		group = FeathubAsofOuterGroup(state, false);
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

/*
 * Have an inner row in staged[next_staged]; false at the end.  NULL times, which
 * come last, have been left out.
 */
static bool
peek_inner(FeathubAsofState *state)
{
	while (state->next_staged >= state->nstaged)
	{
		MemoryContext old = MemoryContextSwitchTo(state->css.ss.ps.state->es_query_cxt);
		bool		there = FeathubAsofStage(state);

		MemoryContextSwitchTo(old);
		if (!there)
			return false;
		CHECK_FOR_INTERRUPTS();
		if (state->current == FEATHUB_ASOF_MERGE)
			continue;
		FeathubAsofStageGroups(state, true);
		if (state->nstaged > 1)
			for (int i = 0; i < state->nstaged; i++)
			{
				FeathubAsofPayload *latest = state->table.groups[state->staged[i].group].latest;

				if (latest != NULL)
					__builtin_prefetch(latest, 1);
			}
	}
	return true;
}

static inline void
keep_latest(FeathubAsofState *state, FeathubAsofStaged *row)
{
	FeathubAsofGroup *group = &state->table.groups[row->group];

	if (group->latest == NULL || state->nties == 0 ||
		!feathub_asof_same_time(state, row->time, group->latest->time) ||
		FeathubAsofIsBetter(state, row, group->latest))
		group->latest = FeathubAsofStore(state, group->latest, row);
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
	while (peek_inner(state))
	{
		FeathubAsofStaged *row = &state->staged[state->next_staged];
		MemoryContext old;
		int			order;

		/* a row that waits may be compared with many outer rows */
		MemoryContextReset(state->compare_context);
		old = MemoryContextSwitchTo(state->compare_context);
		order = compare_inner_keys(state, row);
		if (order == 0 && !feathub_asof_visible(state, row->time, time))
			order = 1;
		if (order == 0)
		{
			if (!state->has_best || state->nties == 0 ||
				!feathub_asof_same_time(state, row->time, state->best->time) ||
				FeathubAsofIsBetter(state, row, state->best))
				state->best = FeathubAsofStore(state, state->best, row);
			state->has_best = true;
		}
		MemoryContextSwitchTo(old);
		if (order > 0)
			return;
		state->next_staged++;
	}
}

/* Compare the inner row's keys with those of the outer row. */
static int
compare_inner_keys(FeathubAsofState *state, FeathubAsofStaged *row)
{
	for (int i = 0; i < state->nkeys; i++)
	{
		FeathubAsofKey *key = &state->keys[i];
		Datum		inner = row->keys[i];
		Datum		outer = state->best_keys[i];
		int			order;

		if (key->kind == ASOF_KIND_INT)
		{
			int64		a = DatumGetInt64(inner);
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
