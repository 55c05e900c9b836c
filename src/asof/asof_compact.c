/*
 * asof_compact.c
 *		The spine hash where nothing but integers need be looked at.
 *
 * If there is one key, an integer, if times are integers too, if no value is by
 * reference and nobody wants the outer rows in their order, then of an outer row
 * only the columns that are wanted above are kept, and rows come out by key and
 * time.  For an inner row two places in memory are touched: the slot of its key,
 * which says where the key's last row went, and that place.
 */
#include "postgres.h"

#include "executor/executor.h"
#include "miscadmin.h"
#include "port/pg_bitutils.h"
#include "utils/memutils.h"

#include "asof/asof_private.h"
#include "core/compat.h"

#define FIRST_SLOTS 256
/* Outer rows that are allocated together. */
#define CHUNK_SHIFT 9
#define CHUNK_ROWS (1 << CHUNK_SHIFT)
/* How many rows ahead memory is asked for. */
#define AHEAD 16
/* Of the processor's cache. */
#define LINE 64

/* A key. */
typedef struct CompactSlot
{
	int64		key;
	uint32		group;			/* its number + 1, or 0 */
	uint32		cursor;			/* the place that an inner row was put down at last */
} CompactSlot;

/* An outer row on its way to its place; the columns that are wanted follow. */
typedef struct CompactEntry
{
	int64		time;
	uint32		group;			/* or FEATHUB_ASOF_NONE: it finds nothing */
	Datum		columns[FLEXIBLE_ARRAY_MEMBER]; /* and which of them are NULL, as bits, before */
} CompactEntry;

/* An entry while they are sorted. */
typedef struct CompactItem
{
	int64		time;
	uint32		row;
} CompactItem;

/* An inner row on its way. */
typedef struct CompactStaged
{
	int64		key;
	CompactSlot *slot;
	FeathubAsofPayload *payload;
} CompactStaged;

struct FeathubAsofCompact
{
	CompactSlot *slots;
	uint32		size;
	int			shift;			/* of a hash, to a slot's number */
	uint32		ngroups;
	uint32		max_groups;
	uint32	   *first;			/* of each group: how many rows, later the first place */

	MemoryContext loading;		/* of entries, unless something is wanted of them later */
	char	  **chunks;			/* of entries */
	uint32		max_chunks;
	Size		entry_size;
	uint32		nrows;

	/* by group, then time; in the end those that find nothing */
	char	   *places;			/* payload, then the outer time */
	Size		place_size;
	Size		columns_size;	/* of outer rows, which stay in their chunks */
	uint32		next;			/* to come out */
	FeathubAsofPayload *carried;	/* of the place before */

	CompactStaged staged[FEATHUB_ASOF_STAGED_ROWS];
	int			nstaged;
	Size		used;
};

static bool load_rows(FeathubAsofState *state);
static void begin_batch(FeathubAsofState *state);
static void add_row(FeathubAsofState *state, TupleTableSlot *slot);
static uint32 make_group(FeathubAsofState *state, int64 key);
static void grow_slots(FeathubAsofState *state);
static void lay_out(FeathubAsofState *state);
static void sort_items(CompactItem *items, uint32 count);
static void read_features(FeathubAsofState *state);
static bool stage_features(FeathubAsofState *state);
static void put_down(FeathubAsofState *state, CompactStaged *row);
static FeathubAsofPayload *first_to_see(FeathubAsofState *state, CompactSlot *slot, int64 time);

/*
 * A payload has no data of its own here, so its capacity has the number of the
 * outer row, and whether it is the first of its group.
 */
#define FIRST_OF_GROUP 0x80000000

#define NULLS(columns) (*(uint64 *) (columns))
#define VALUES(columns) ((Datum *) (columns) + 1)

static inline CompactEntry *
get_entry(FeathubAsofCompact *compact, uint32 row)
{
	return (CompactEntry *) (compact->chunks[row >> CHUNK_SHIFT] + (row & (CHUNK_ROWS - 1)) * compact->entry_size);
}

/* The columns of a row, which may have FIRST_OF_GROUP set. */
static inline char *
get_columns(FeathubAsofCompact *compact, uint32 row)
{
	return (char *) get_entry(compact, row & ~FIRST_OF_GROUP) + compact->entry_size - compact->columns_size;
}

static inline FeathubAsofPayload *
get_place(FeathubAsofCompact *compact, uint32 place)
{
	return (FeathubAsofPayload *) (compact->places + (Size) place * compact->place_size);
}

static inline int64
outer_time(FeathubAsofState *state, FeathubAsofPayload *place)
{
	return DatumGetInt64(*feathub_asof_place_time(state, place));
}

static inline bool
visible(FeathubAsofState *state, int64 inner, int64 outer)
{
	return state->time.strict ? inner < outer : inner <= outer;
}

/* The slot of a key, or the free one where it belongs. */
static inline CompactSlot *
find_slot(FeathubAsofCompact *compact, CompactSlot *slot, int64 key)
{
	while (slot->group != 0 && slot->key != key)
		if (++slot == compact->slots + compact->size)
			slot = compact->slots;
	return slot;
}

static inline CompactSlot *
first_slot(FeathubAsofCompact *compact, int64 key)
{
	return &compact->slots[((uint64) key * UINT64CONST(0x9E3779B97F4A7C15)) >> compact->shift];
}

/* As the other strategies; the outer row has only the columns that are wanted. */
bool
FeathubAsofNextCompact(FeathubAsofState *state, TupleTableSlot **outer, FeathubAsofPayload **found)
{
	FeathubAsofCompact *compact = state->compact;
	TupleTableSlot *slot = state->compact_slot;
	FeathubAsofPayload *place;

	while (!state->loaded || compact->next == compact->nrows)
	{
		if (!load_rows(state))
			return false;
		compact = state->compact;
		read_features(state);
		state->loaded = true;
	}
	place = get_place(compact, compact->next);
	if (place->filled)
		compact->carried = place;
	else if (place->capacity & FIRST_OF_GROUP)
		compact->carried = NULL;	/* a key's first */
	*found = compact->carried;
	if (state->nwanted > 0)
	{
		char	   *columns = get_columns(compact, place->capacity);
		uint64		nulls = NULLS(columns);

		if (compact->next + AHEAD < compact->nrows)
			__builtin_prefetch(get_columns(compact, get_place(compact, compact->next + AHEAD)->capacity));
		ExecClearTuple(slot);
		for (int i = 0; i < state->nwanted; i++)
		{
			slot->tts_values[state->wanted[i]] = VALUES(columns)[i];
			slot->tts_isnull[state->wanted[i]] = (nulls >> i) & 1;
		}
		ExecStoreVirtualTuple(slot);
	}
	*outer = slot;
	compact->next++;
	return true;
}

/* Read as many outer rows as there is memory for; false if there are none. */
static bool
load_rows(FeathubAsofState *state)
{
	FeathubAsofCompact *compact;
	TupleTableSlot *slot;
	Size		per_row;

	begin_batch(state);
	compact = state->compact;
	per_row = compact->entry_size + sizeof(CompactItem) + compact->place_size;
	while ((slot = FeathubAsofNextOuterRow(state)) != NULL)
	{
		CHECK_FOR_INTERRUPTS();
		slot_getsomeattrs(slot, state->last_outer);
		add_row(state, slot);
		if (slot == state->pending)
			ExecClearTuple(slot);
		if (compact->used + per_row * compact->nrows > state->limit || compact->nrows == PG_INT32_MAX)
			break;
	}
	if (compact->nrows == 0)
		return false;
	state->peak = Max(state->peak, compact->used + per_row * compact->nrows);
	lay_out(state);
	return true;
}

static void
begin_batch(FeathubAsofState *state)
{
	FeathubAsofCompact *compact;

	FeathubAsofTableReset(state);
	compact = (FeathubAsofCompact *) MemoryContextAllocZero(state->table.context, sizeof(FeathubAsofCompact));
	state->compact = compact;
	compact->size = FIRST_SLOTS;
	compact->shift = 64 - pg_leftmost_one_pos32(FIRST_SLOTS);
	compact->slots = (CompactSlot *) MemoryContextAllocZero(state->table.context, sizeof(CompactSlot) * FIRST_SLOTS);
	compact->used = sizeof(CompactSlot) * FIRST_SLOTS;
	compact->loading = AllocSetContextCreate(state->table.context, "feathub point-in-time join rows",
											 ALLOCSET_DEFAULT_SIZES);
	compact->columns_size = state->nwanted == 0 ? 0 : sizeof(uint64) + sizeof(Datum) * state->nwanted;
	compact->entry_size = MAXALIGN(offsetof(CompactEntry, columns)) + compact->columns_size;
	compact->place_size = state->place_size;
	for (int i = 0; i < FEATHUB_ASOF_STAGED_ROWS; i++)
		compact->staged[i].payload = (FeathubAsofPayload *)
			MemoryContextAllocZero(state->table.context, state->payload_size);
}

/* Keep the time of an outer row, and what is wanted of it. */
static void
add_row(FeathubAsofState *state, TupleTableSlot *slot)
{
	FeathubAsofCompact *compact = state->compact;
	MemoryContext old;
	CompactEntry *entry;
	Datum		time;
	uint32		group = FEATHUB_ASOF_NONE;

	ResetExprContext(state->css.ss.ps.ps_ExprContext);
	old = MemoryContextSwitchTo(state->css.ss.ps.ps_ExprContext->ecxt_per_tuple_memory);
	if (feathub_asof_outer_time(state, slot, &time) && FeathubAsofOuterKeys(state, slot))
	{
		int64		key = DatumGetInt64(state->values[0]);
		CompactSlot *found = find_slot(compact, first_slot(compact, key), key);

		group = found->group != 0 ? found->group - 1 : make_group(state, key);
		compact->first[group]++;
	}
	MemoryContextSwitchTo(old);
	if (group == FEATHUB_ASOF_NONE)
	{
		if (!state->left)
			return;
		time = (Datum) 0;
	}
	if ((compact->nrows & (CHUNK_ROWS - 1)) == 0)
	{
		uint32		chunk = compact->nrows >> CHUNK_SHIFT;

		if (chunk == compact->max_chunks)
		{
			compact->max_chunks = Max(16, compact->max_chunks * 2);
			compact->chunks = compact->chunks == NULL ?
				(char **) MemoryContextAlloc(compact->loading, sizeof(char *) * compact->max_chunks) :
				(char **) repalloc_huge(compact->chunks, sizeof(char *) * compact->max_chunks);
		}
		compact->chunks[chunk] = (char *) MemoryContextAlloc(compact->loading, compact->entry_size * CHUNK_ROWS);
	}
	entry = get_entry(compact, compact->nrows++);
	entry->time = DatumGetInt64(time);
	entry->group = group;
	if (state->nwanted > 0)
	{
		char	   *columns = get_columns(compact, compact->nrows - 1);
		uint64		nulls = 0;

		for (int i = 0; i < state->nwanted; i++)
		{
			VALUES(columns)[i] = slot->tts_values[state->wanted[i]];
			nulls |= (uint64) slot->tts_isnull[state->wanted[i]] << i;
		}
		NULLS(columns) = nulls;
	}
}

static uint32
make_group(FeathubAsofState *state, int64 key)
{
	FeathubAsofCompact *compact = state->compact;
	CompactSlot *slot;

	if (compact->ngroups >= compact->size / 2)
		grow_slots(state);
	if (compact->ngroups == compact->max_groups)
	{
		uint32		max = Max(128, compact->max_groups * 2);

		compact->used += sizeof(uint32) * (max - compact->max_groups);
		/* one more, where the last group ends */
		compact->first = compact->first == NULL ?
			(uint32 *) MemoryContextAlloc(state->table.context, sizeof(uint32) * (max + 1)) :
			(uint32 *) repalloc_huge(compact->first, sizeof(uint32) * ((Size) max + 1));
		compact->max_groups = max;
	}
	slot = find_slot(compact, first_slot(compact, key), key);
	slot->key = key;
	compact->first[compact->ngroups] = 0;
	slot->group = ++compact->ngroups;
	return compact->ngroups - 1;
}

static void
grow_slots(FeathubAsofState *state)
{
	FeathubAsofCompact *compact = state->compact;
	CompactSlot *have = compact->slots;
	uint32		size = compact->size;

	compact->used += sizeof(CompactSlot) * size;
	compact->size = size * 2;
	compact->shift--;
	compact->slots = (CompactSlot *) MemoryContextAllocExtended(state->table.context, sizeof(CompactSlot) * compact->size,
																MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	FeathubAsofAskForHugePages(compact->slots, sizeof(CompactSlot) * compact->size);
	for (uint32 i = 0; i < size; i++)
		if (have[i].group != 0)
			*find_slot(compact, first_slot(compact, have[i].key), have[i].key) = have[i];
	pfree(have);
}

/* Bring the rows into their places, by group and time. */
static void
lay_out(FeathubAsofState *state)
{
	FeathubAsofCompact *compact = state->compact;
	CompactItem *items = (CompactItem *) MemoryContextAllocHuge(state->table.context, sizeof(CompactItem) * (Size) compact->nrows);
	Size		size = compact->place_size * compact->nrows + LINE;
	uint32	   *first = compact->first;
	uint32		place = 0;
	uint32		group = 0;

	if (compact->ngroups > 0)
	{
		for (uint32 i = 0; i < compact->ngroups; i++)
		{
			uint32		count = first[i];

			first[i] = place;
			place += count;
		}
		first[compact->ngroups] = place;
	}
	FeathubAsofAskForHugePages(items, sizeof(CompactItem) * (Size) compact->nrows);
	for (uint32 i = 0; i < compact->nrows; i++)
	{
		CompactEntry *entry = get_entry(compact, i);
		CompactItem *item = &items[entry->group == FEATHUB_ASOF_NONE ? place++ : first[entry->group]++];

		item->time = entry->time;
		item->row = i;
	}
	/* each group's first has become the next one's */
	for (uint32 i = compact->ngroups; i > 0; i--)
		first[i] = first[i - 1];
	if (compact->ngroups > 0)
		first[0] = 0;
	for (uint32 i = 0; i < compact->ngroups; i++)
		sort_items(&items[first[i]], first[i + 1] - first[i]);
	for (uint32 i = 0; i < compact->size; i++)
		if (compact->slots[i].group != 0)
			compact->slots[i].cursor = first[compact->slots[i].group - 1];

	compact->places = (char *) MemoryContextAllocHuge(state->table.context, size);
	FeathubAsofAskForHugePages(compact->places, size);
	compact->places = (char *) TYPEALIGN(LINE, compact->places);
	for (uint32 i = 0; i < compact->nrows; i++)
	{
		FeathubAsofPayload *to = get_place(compact, i);

		while (group < compact->ngroups && first[group + 1] <= i)
			group++;
		to->filled = false;
		to->capacity = items[i].row;
		if (group == compact->ngroups || first[group] == i)
			to->capacity |= FIRST_OF_GROUP;
		*feathub_asof_place_time(state, to) = Int64GetDatum(items[i].time);
	}
	pfree(items);
	if (compact->columns_size == 0)
		MemoryContextDelete(compact->loading);
}

/* By time; rows of the same time are not told apart. */
static void
sort_items(CompactItem *items, uint32 count)
{
	uint32		sorted = 1;

	while (sorted < count && items[sorted - 1].time <= items[sorted].time)
		sorted++;
	if (sorted >= count)
		return;
	if (count <= 16)
	{
		for (uint32 i = sorted; i < count; i++)
		{
			CompactItem item = items[i];
			uint32		j = i;

			for (; j > 0 && items[j - 1].time > item.time; j--)
				items[j] = items[j - 1];
			items[j] = item;
		}
	}
	else
	{
		uint32		half = count / 2;
		CompactItem *left = (CompactItem *) palloc_extended(sizeof(CompactItem) * half, MCXT_ALLOC_HUGE);
		uint32		i = 0;
		uint32		j = half;
		uint32		to = 0;

		CHECK_FOR_INTERRUPTS();
		sort_items(items, half);
		sort_items(items + half, count - half);
		memcpy(left, items, sizeof(CompactItem) * half);
		while (i < half)
		{
			if (j < count && left[i].time > items[j].time)
				items[to++] = items[j++];
			else
				items[to++] = left[i++];
		}
		pfree(left);
	}
}

/* Put all inner rows down that the batch's rows may see. */
static void
read_features(FeathubAsofState *state)
{
	FeathubAsofCompact *compact = state->compact;

	if (compact->ngroups == 0)
		return;
	if (state->started && state->loaded)
		ExecReScan(state->inner);
	state->started = true;
	state->inner_done = false;
	state->batches++;
	while (stage_features(state))
	{
		CHECK_FOR_INTERRUPTS();
		for (int i = 0; i < compact->nstaged; i++)
		{
			CompactStaged *row = &compact->staged[i];

			row->slot = find_slot(compact, row->slot, row->key);
			if (row->slot->group != 0)
				__builtin_prefetch(get_place(compact, row->slot->cursor), 1);
		}
		for (int i = 0; i < compact->nstaged; i++)
			if (compact->staged[i].slot->group != 0)
				put_down(state, &compact->staged[i]);
	}
}

/*
 * Read inner rows, as many as go together, so that the memory that one needs is
 * fetched while others are worked on.  False at the end.
 */
static bool
stage_features(FeathubAsofState *state)
{
	FeathubAsofCompact *compact = state->compact;
	FeathubAsofKey *key = &state->keys[0];
	const AttrNumber *columns = state->payload_columns;
	int			npayload = state->npayload;
	int			n = 0;

	compact->nstaged = 0;
	if (state->inner_done)
		return false;
	for (int rows = 0; rows < FEATHUB_ASOF_STAGED_ROWS; rows++)
	{
		CompactStaged *row = &compact->staged[n];
		TupleTableSlot *slot = ExecProcNode(state->inner);
		bool	   *nulls;

		if (TupIsNull(slot))
		{
			state->inner_done = true;
			break;
		}
		state->inner_rows++;
		slot_getsomeattrs(slot, state->last_inner);
		if (slot->tts_isnull[key->column - 1] ||
			!feathub_asof_inner_time(state, slot, &row->payload->time))
			continue;
		row->key = DatumGetInt64(feathub_asof_int(slot->tts_values[key->column - 1], key->len));
		row->slot = first_slot(compact, row->key);
		__builtin_prefetch(row->slot);
		nulls = feathub_asof_nulls(state, row->payload);
		for (int i = 0; i < npayload; i++)
		{
			row->payload->values[i] = slot->tts_values[columns[i] - 1];
			nulls[i] = slot->tts_isnull[columns[i] - 1];
		}
		n++;
	}
	compact->nstaged = n;
	return n > 0 || !state->inner_done;
}

/*
 * A row goes where the row before it went, if that is no later: the place before
 * could not see that one, so it cannot see this one.
 */
static inline void
put_down(FeathubAsofState *state, CompactStaged *row)
{
	FeathubAsofPayload *place = get_place(state->compact, row->slot->cursor);
	int64		time = DatumGetInt64(row->payload->time);
	const Datum *from = (const Datum *) row->payload;
	Datum	   *to;
	uint32		capacity;

	if (!(place->filled && DatumGetInt64(place->time) < time && visible(state, time, outer_time(state, place))))
	{
		place = first_to_see(state, row->slot, time);
		if (place == NULL)
			return;
		if (place->filled &&
			(time < DatumGetInt64(place->time) ||
			 (time == DatumGetInt64(place->time) && state->nties > 0 &&
			  FeathubAsofCompareTies(state, row->payload, place) > 0)))
			return;
	}
	capacity = place->capacity;
	to = (Datum *) place;
	for (Size i = 0; i < state->payload_size / sizeof(Datum); i++)
		to[i] = from[i];
	place->capacity = capacity;
	place->filled = true;
}

/* The first place of a key whose row may see an inner row of that time, or NULL. */
static FeathubAsofPayload *
first_to_see(FeathubAsofState *state, CompactSlot *slot, int64 time)
{
	FeathubAsofCompact *compact = state->compact;
	uint32		low = compact->first[slot->group - 1];
	uint32		end = compact->first[slot->group];
	uint32		high = end;		/* it is in low .. high */

	if (visible(state, time, outer_time(state, get_place(compact, slot->cursor))))
	{
		high = slot->cursor;
		/* inner rows in order of time find it here, or one further */
		if (high > low && !visible(state, time, outer_time(state, get_place(compact, high - 1))))
			low = high;
	}
	else
	{
		low = slot->cursor + 1;
		if (low < high && visible(state, time, outer_time(state, get_place(compact, low))))
			high = low;
	}
	while (low < high)
	{
		uint32		middle = low + (high - low) / 2;

		if (visible(state, time, outer_time(state, get_place(compact, middle))))
			high = middle;
		else
			low = middle + 1;
	}
	if (low == end)
		return NULL;
	slot->cursor = low;
	return get_place(compact, low);
}
