/*
 * asof_hash.c
 *		Point-in-time joins that need no order.
 *
 * Feature hash: all inner rows are kept, by key and time, and outer rows look
 * theirs up as they come.  For few features.
 *
 * Spine hash: the times of a batch of outer rows are kept, by key and time.
 * Each inner row is put down at the first outer time that may see it, unless a
 * later one is there; once all have been seen, what is at a time is carried
 * forward to later ones that have nothing of their own.  Memory depends on the
 * outer side only.  If that is more than there is, the inner side is read again
 * for each batch.  It is also what the other strategies turn into when they
 * outgrow their memory, since it can begin with any outer row.
 */
#include "postgres.h"

#include "executor/executor.h"
#include "miscadmin.h"
#include "utils/memutils.h"

#include "asof/asof_private.h"
#include "core/compat.h"

/* How many rows ahead memory is asked for. */
#define AHEAD 16
/* Of the processor's cache. */
#define LINE 64

static bool build_feature_hash(FeathubAsofState *state);
static FeathubAsofPayload *look_up(FeathubAsofState *state, FeathubAsofGroup *group, Datum time);
static bool load_batch(FeathubAsofState *state);
static void read_features(FeathubAsofState *state);
static void make_places(FeathubAsofState *state);
static void find_items(FeathubAsofState *state);
static void find_again(FeathubAsofState *state, FeathubAsofStaged *row);
static void put_down(FeathubAsofState *state, FeathubAsofStaged *row);
static FeathubAsofItem *first_to_see(FeathubAsofState *state, FeathubAsofGroup *group, Datum time);
static void carry_forward(FeathubAsofState *state);
static void halve_batch(FeathubAsofState *state);
static void move_payloads(FeathubAsofState *state);

/* Of the table's memory, what a batch of outer rows may take; the rows themselves take the rest. */
#define TABLE_SHARE(state) ((state)->limit / 4 * 3)

bool
FeathubAsofNextFeatureHash(FeathubAsofState *state, TupleTableSlot **outer, FeathubAsofPayload **found)
{
	TupleTableSlot *slot;
	FeathubAsofGroup *group;
	Datum		time;

	if (!state->started)
	{
		state->started = true;
		if (!build_feature_hash(state))
		{
			/* no outer row has been read yet */
			ExecReScan(state->inner);
			state->current = FEATHUB_ASOF_SPINE_HASH;
			return FeathubAsofNextSpineHash(state, outer, found);
		}
	}
	if (state->outer_done)
		return false;
	slot = ExecProcNode(state->outer);
	if (TupIsNull(slot))
	{
		state->outer_done = true;
		return false;
	}
	slot_getsomeattrs(slot, state->last_outer);
	*outer = slot;
	*found = NULL;
	if (feathub_asof_outer_time(state, slot, &time))
	{
		MemoryContext old = MemoryContextSwitchTo(state->css.ss.ps.ps_ExprContext->ecxt_per_tuple_memory);

		if (FeathubAsofOuterKeys(state, slot) &&
			(group = FeathubAsofOuterGroup(state, false)) != NULL)
			*found = look_up(state, group, time);
		MemoryContextSwitchTo(old);
	}
	return true;
}

/* Read all inner rows; false if they do not fit. */
static bool
build_feature_hash(FeathubAsofState *state)
{
	state->batches = 1;
	FeathubAsofTableReset(state);
	while (FeathubAsofStage(state))
	{
		CHECK_FOR_INTERRUPTS();
		FeathubAsofStageGroups(state, true);
		for (int i = 0; i < state->nstaged; i++)
		{
			FeathubAsofStaged *row = &state->staged[i];
			FeathubAsofItem item;

			item.u.payload = FeathubAsofStore(state, NULL, row);
			item.time = item.u.payload->time;
			FeathubAsofAddEntry(state, row->group, item);
		}
		if (feathub_asof_used(&state->table) + sizeof(FeathubAsofItem) * state->table.nentries > state->limit)
			return false;
	}
	FeathubAsofSortItems(state, false);
	state->peak = Max(state->peak, feathub_asof_used(&state->table));
	return true;
}

/* The latest of a group that an outer row of that time may see.  Rows in order of time find it at once. */
static FeathubAsofPayload *
look_up(FeathubAsofState *state, FeathubAsofGroup *group, Datum time)
{
	FeathubAsofItem *items = &state->table.items[group->first];
	uint32		low = 0;
	uint32		high = group->count;	/* the first that is too late is in low .. high */

	if (feathub_asof_visible(state, items[group->cursor].time, time))
		low = group->cursor + 1;
	else
		high = group->cursor;
	if (low < high && !feathub_asof_visible(state, items[low].time, time))
		high = low;
	while (low < high)
	{
		uint32		middle = low + (high - low) / 2;

		if (feathub_asof_visible(state, items[middle].time, time))
			low = middle + 1;
		else
			high = middle;
	}
	if (low == 0)
		return NULL;
	group->cursor = low - 1;
	return items[low - 1].u.payload;
}

bool
FeathubAsofNextSpineHash(FeathubAsofState *state, TupleTableSlot **outer, FeathubAsofPayload **found)
{
	uint32		position;

	while (!state->loaded || state->next_row == state->nrows)
	{
		if (!load_batch(state))
			return false;
		read_features(state);
		carry_forward(state);
		state->peak = Max(state->peak, feathub_asof_used(&state->table));
		state->next_row = 0;
		state->loaded = true;
	}
	if (!tuplestore_gettupleslot(state->rows, true, false, state->row_slot))
		elog(ERROR, "unexpected end of a point-in-time join's rows");
	slot_getsomeattrs(state->row_slot, state->last_outer);
	*outer = state->row_slot;
	if (state->next_row + AHEAD < state->nrows)
	{
		position = state->positions[state->next_row + AHEAD];
		if (position != FEATHUB_ASOF_NONE)
			__builtin_prefetch(&state->table.items[position]);
		position = state->positions[state->next_row + AHEAD / 2];
		if (position != FEATHUB_ASOF_NONE && state->table.items[position].u.payload != NULL)
			__builtin_prefetch(state->table.items[position].u.payload->values);
	}
	position = state->positions[state->next_row++];
	*found = position == FEATHUB_ASOF_NONE ? NULL : state->table.items[position].u.payload;
	return true;
}

/* Read as many outer rows as there is memory for; false if there are none. */
static bool
load_batch(FeathubAsofState *state)
{
	TupleTableSlot *slot;
	MemoryContext old;
	uint32		nrows = 0;
	Size		per_row = sizeof(FeathubAsofItem) + sizeof(uint32) + state->payload_estimate;

	/* what a batch that was cut short has left comes first */
	if (state->rows != NULL && state->nrows < state->stored_rows)
	{
		old = MemoryContextSwitchTo(state->css.ss.ps.state->es_query_cxt);
		state->carried = lcons(state->rows, state->carried);
		MemoryContextSwitchTo(old);
		state->rows = NULL;
	}
	ExecClearTuple(state->row_slot);
	if (state->rows != NULL)
		tuplestore_clear(state->rows);
	else
	{
		old = MemoryContextSwitchTo(state->css.ss.ps.state->es_query_cxt);
		state->rows = tuplestore_begin_heap(false, false, (int) Max(state->limit / 4 / 1024, 64));
		MemoryContextSwitchTo(old);
	}
	FeathubAsofTableReset(state);
	state->places = NULL;

	while ((slot = FeathubAsofNextOuterRow(state)) != NULL)
	{
		FeathubAsofItem item;

		CHECK_FOR_INTERRUPTS();
		ResetExprContext(state->css.ss.ps.ps_ExprContext);
		slot_getsomeattrs(slot, state->last_outer);
		tuplestore_puttupleslot(state->rows, slot);
		if (feathub_asof_outer_time(state, slot, &item.time))
		{
			old = MemoryContextSwitchTo(state->css.ss.ps.ps_ExprContext->ecxt_per_tuple_memory);
			if (FeathubAsofOuterKeys(state, slot))
			{
				item.u.row = nrows;
				FeathubAsofAddEntry(state, FeathubAsofOuterGroup(state, true) - state->table.groups, item);
			}
			MemoryContextSwitchTo(old);
		}
		nrows++;
		if (slot == state->pending)
			ExecClearTuple(slot);
		if (feathub_asof_used(&state->table) + per_row * nrows > TABLE_SHARE(state) || nrows == FEATHUB_ASOF_NONE)
			break;
	}
	state->stored_rows = state->nrows = nrows;
	if (nrows == 0)
		return false;

	FeathubAsofSortItems(state, true);
	state->positions = (uint32 *) MemoryContextAllocHuge(state->table.context, sizeof(uint32) * (Size) nrows);
	state->table.used += sizeof(uint32) * (Size) nrows;
	memset(state->positions, 0xff, sizeof(uint32) * (Size) nrows);
	for (uint32 i = 0; i < state->table.nitems; i++)
	{
		state->positions[state->table.items[i].u.row] = i;
		state->table.items[i].u.payload = NULL;
	}
	if (state->max_staged > 1)
		make_places(state);
	return true;
}

/*
 * Room for a payload at each item, with the item's time beside it: most inner
 * rows then touch nothing but that.
 */
static void
make_places(FeathubAsofState *state)
{
	Size		size = state->place_size * state->table.nitems + LINE;

	state->places = (char *) MemoryContextAllocHuge(state->table.context, size);
	state->table.used += size;
	FeathubAsofAskForHugePages(state->places, size);
	state->places = (char *) TYPEALIGN(LINE, state->places);
	for (uint32 i = 0; i < state->table.nitems; i++)
	{
		FeathubAsofPayload *place = feathub_asof_place(state, i);

		place->capacity = 0;
		place->filled = false;
		*feathub_asof_place_time(state, place) = state->table.items[i].time;
	}
}

/* Rows left over, then the outer side's. */
TupleTableSlot *
FeathubAsofNextOuterRow(FeathubAsofState *state)
{
	TupleTableSlot *slot;

	while (state->carried != NIL)
	{
		Tuplestorestate *store = (Tuplestorestate *) linitial(state->carried);

		if (tuplestore_gettupleslot(store, true, false, state->carried_slot))
			return state->carried_slot;
		tuplestore_end(store);
		state->carried = list_delete_first(state->carried);
	}
	if (!TupIsNull(state->pending))
		return state->pending;
	if (state->outer_done)
		return NULL;
	slot = ExecProcNode(state->outer);
	if (!TupIsNull(slot))
		return slot;
	state->outer_done = true;
	return NULL;
}

/* Put all inner rows down that the batch's rows may see. */
static void
read_features(FeathubAsofState *state)
{
	if (state->table.ngroups == 0)
		return;
	if (state->started && state->loaded)
		ExecReScan(state->inner);
	state->started = true;
	state->inner_done = false;
	state->batches++;
	while (FeathubAsofStage(state))
	{
		CHECK_FOR_INTERRUPTS();
		FeathubAsofStageGroups(state, false);
		find_items(state);
		for (int i = 0; i < state->nstaged; i++)
			if (state->staged[i].item != NULL)
				put_down(state, &state->staged[i]);
		while (state->places == NULL && feathub_asof_used(&state->table) > TABLE_SHARE(state) && state->nrows > 1)
			halve_batch(state);
	}
}

/* Where the staged rows belong. */
static void
find_items(FeathubAsofState *state)
{
	FeathubAsofTable *table = &state->table;
	MemoryContext old = MemoryContextSwitchTo(state->inner_context);

	if (state->places != NULL)
	{
		for (int i = 0; i < state->nstaged; i++)
			if (state->staged[i].group != FEATHUB_ASOF_NONE)
			{
				FeathubAsofGroup *group = &table->groups[state->staged[i].group];

				__builtin_prefetch(feathub_asof_place(state, group->first + group->cursor), 1);
			}
		for (int i = 0; i < state->nstaged; i++)
			find_again(state, &state->staged[i]);
	}
	for (int i = 0; i < state->nstaged; i++)
	{
		FeathubAsofStaged *row = &state->staged[i];

		if (state->places != NULL && (row->item != NULL || row->group == FEATHUB_ASOF_NONE))
			continue;
		row->item = row->group == FEATHUB_ASOF_NONE ? NULL :
			first_to_see(state, &table->groups[row->group], row->time);
		if (state->places != NULL && row->item != NULL)
			__builtin_prefetch(feathub_asof_place(state, row->item - table->items), 1);
	}
	MemoryContextSwitchTo(old);
}

/*
 * A row goes where the row before it went, if that is no later: the item before
 * could not see that one, so it cannot see this one.
 */
static inline void
find_again(FeathubAsofState *state, FeathubAsofStaged *row)
{
	FeathubAsofGroup *group;
	FeathubAsofPayload *place;

	row->item = NULL;
	if (row->group == FEATHUB_ASOF_NONE)
		return;
	group = &state->table.groups[row->group];
	place = feathub_asof_place(state, group->first + group->cursor);
	if (place->filled && feathub_asof_compare_inner(state, place->time, row->time) <= 0 &&
		feathub_asof_visible(state, row->time, *feathub_asof_place_time(state, place)))
		row->item = &state->table.items[group->first + group->cursor];
	else
	{
		__builtin_prefetch(&state->table.items[group->first + group->cursor]);
		__builtin_prefetch(&state->table.items[group->first + group->cursor + 1]);
	}
}

static inline void
put_down(FeathubAsofState *state, FeathubAsofStaged *row)
{
	FeathubAsofPayload *have;
	int			order = 1;

	if (state->places != NULL)
	{
		have = feathub_asof_place(state, row->item - state->table.items);
		if (have->filled)
			order = feathub_asof_compare_inner(state, row->time, have->time);
		else
		{
			have->filled = true;
			row->item->u.payload = have;
		}
	}
	else
	{
		have = row->item->u.payload;
		if (have != NULL)
			order = feathub_asof_compare_inner(state, row->time, have->time);
	}
	if (order < 0 ||
		(order == 0 && state->nties > 0 && !FeathubAsofIsBetter(state, row, have)))
		return;
	have = FeathubAsofStore(state, have, row);
	if (state->places == NULL)
		row->item->u.payload = have;
}

/* The first item of a group whose row may see an inner row of that time, or NULL. */
static inline FeathubAsofItem *
first_to_see(FeathubAsofState *state, FeathubAsofGroup *group, Datum time)
{
	FeathubAsofItem *items = &state->table.items[group->first];
	uint32		low = 0;
	uint32		high = group->count;	/* it is in low .. high */

	if (high == 0)
		return NULL;
	if (feathub_asof_visible(state, time, items[group->cursor].time))
	{
		high = group->cursor;
		/* inner rows in order of time find it here, or one further */
		if (high > 0 && !feathub_asof_visible(state, time, items[high - 1].time))
			return &items[high];
	}
	else
	{
		low = group->cursor + 1;
		if (low < high && feathub_asof_visible(state, time, items[low].time))
			high = low;
	}
	while (low < high)
	{
		uint32		middle = low + (high - low) / 2;

		if (feathub_asof_visible(state, time, items[middle].time))
			high = middle;
		else
			low = middle + 1;
	}
	if (low == group->count)
		return NULL;
	group->cursor = low;
	return &items[low];
}

static void
carry_forward(FeathubAsofState *state)
{
	for (uint32 i = 0; i < state->table.ngroups; i++)
	{
		FeathubAsofItem *items = &state->table.items[state->table.groups[i].first];

		for (uint32 j = 1; j < state->table.groups[i].count; j++)
			if (items[j].u.payload == NULL)
				items[j].u.payload = items[j - 1].u.payload;
	}
}

/*
 * Inner rows are larger than was thought: leave half of the batch's rows to
 * the next one.  What was put down at their times is for later ones that stay.
 */
static void
halve_batch(FeathubAsofState *state)
{
	FeathubAsofTable *table = &state->table;
	uint32	   *rows = (uint32 *) MemoryContextAllocHuge(table->context, sizeof(uint32) * ((Size) table->nitems + 1));
	uint32		keep = state->nrows / 2;

	memset(rows, 0xff, sizeof(uint32) * (Size) table->nitems);
	for (uint32 i = 0; i < keep; i++)
		if (state->positions[i] != FEATHUB_ASOF_NONE)
			rows[state->positions[i]] = i;
	for (uint32 i = 0; i < table->ngroups; i++)
	{
		FeathubAsofGroup *group = &table->groups[i];
		FeathubAsofPayload *passed = NULL;
		uint32		to = group->first;

		for (uint32 j = group->first; j < group->first + group->count; j++)
		{
			FeathubAsofItem item = table->items[j];

			if (item.u.payload != NULL)
				passed = item.u.payload;
			if (rows[j] == PG_UINT32_MAX)
				continue;
			item.u.payload = passed;
			passed = NULL;
			state->positions[rows[j]] = to;
			table->items[to++] = item;
		}
		group->count = to - group->first;
		group->cursor = 0;
	}
	pfree(rows);
	state->nrows = keep;
	move_payloads(state);
}

/* Free those that nobody refers to. */
static void
move_payloads(FeathubAsofState *state)
{
	FeathubAsofTable *table = &state->table;
	MemoryContext old = table->payloads.context;
	FeathubAsofArena arena;

	state->peak = Max(state->peak, feathub_asof_used(table));
	FeathubAsofMakeArena(state, &arena);
	for (uint32 i = 0; i < table->ngroups; i++)
		for (uint32 j = 0; j < table->groups[i].count; j++)
		{
			FeathubAsofItem *item = &table->items[table->groups[i].first + j];

			if (item->u.payload != NULL)
				item->u.payload = FeathubAsofMovePayload(state, &arena, item->u.payload);
		}
	table->payloads = arena;
	MemoryContextDelete(old);
}
