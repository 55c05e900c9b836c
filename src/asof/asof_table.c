/*
 * asof_table.c
 *		A hash table of keys, each with times in order.
 *
 * Open addressing; a slot has the number of a group and its hash.  Keys are
 * compared by the functions of the join's operator; integers and text that is
 * equal by its bytes are compared here.
 */
#include "postgres.h"

#include <sys/mman.h>

#include "common/hashfn.h"
#include "miscadmin.h"
#include "utils/datum.h"
#include "utils/memutils.h"

#include "asof/asof_private.h"
#include "core/compat.h"

#define FIRST_SLOTS 1024
#define FIRST_BLOCK ((Size) 8 * 1024)
#define LARGEST_BLOCK ((Size) 8 * 1024 * 1024)
#define HUGE_PAGE ((Size) 2 * 1024 * 1024)

/* How many rows ahead memory is asked for. */
#define AHEAD 16

static bool stage_row(FeathubAsofState *state, TupleTableSlot *slot, FeathubAsofStaged *row);
static uint32 make_group(FeathubAsofState *state, const Datum *values, uint32 hash, bool of_outer);
static bool group_matches(FeathubAsofState *state, const FeathubAsofGroup *group, const Datum *values,
						  bool of_outer, bool same_side);
static bool key_matches(FeathubAsofKey *key, Datum have, Datum value, bool of_outer, bool same_side);
static void grow_slots(FeathubAsofTable *table);
static void sort_group(FeathubAsofState *state, FeathubAsofItem *items, uint32 count, bool of_outer);

/* Begin anew. */
void
FeathubAsofTableReset(FeathubAsofState *state)
{
	FeathubAsofTable *table = &state->table;

	if (table->context != NULL)
		MemoryContextDelete(table->context);
	memset(table, 0, sizeof(FeathubAsofTable));
	table->context = AllocSetContextCreate(state->css.ss.ps.state->es_query_cxt,
										   "feathub point-in-time join", ALLOCSET_DEFAULT_SIZES);
	FeathubAsofMakeArena(state, &table->copies);
	FeathubAsofMakeArena(state, &table->payloads);
	table->mask = FIRST_SLOTS - 1;
	table->slots = (FeathubAsofSlot *) MemoryContextAllocZero(table->context, sizeof(FeathubAsofSlot) * FIRST_SLOTS);
	table->used = sizeof(FeathubAsofSlot) * FIRST_SLOTS;
}

/* Make an arena that goes with the table, or before it. */
void
FeathubAsofMakeArena(FeathubAsofState *state, FeathubAsofArena *arena)
{
	memset(arena, 0, sizeof(FeathubAsofArena));
	arena->context = AllocSetContextCreate(state->table.context, "feathub point-in-time join rows",
										   ALLOCSET_DEFAULT_SIZES);
}

/*
 * Memory in random access is mostly waited for while the processor looks up
 * where it is.  Advice only, so a failure is none.
 */
void
FeathubAsofAskForHugePages(void *memory, Size size)
{
#ifdef MADV_HUGEPAGE
	uintptr_t	start = TYPEALIGN(HUGE_PAGE, (uintptr_t) memory);
	uintptr_t	end = TYPEALIGN_DOWN(HUGE_PAGE, (uintptr_t) memory + size);

	if (start < end)
		(void) madvise((void *) start, end - start, MADV_HUGEPAGE);
#endif
}

/* Memory for something small, as long as the arena lives. */
void *
FeathubAsofAlloc(FeathubAsofArena *arena, Size size)
{
	void	   *result;

	size = MAXALIGN(size);
	if (size > arena->free)
	{
		Size		block = Max(FIRST_BLOCK, Min(LARGEST_BLOCK, arena->used / 8));

		if (size > block / 4)
		{
			arena->used += size;
			return MemoryContextAllocHuge(arena->context, size);
		}
		arena->block = (char *) MemoryContextAlloc(arena->context, block);
		FeathubAsofAskForHugePages(arena->block, block);
		arena->free = block;
		arena->used += block;
	}
	result = arena->block;
	arena->block += size;
	arena->free -= size;
	return result;
}

/*
 * Bring the keys of an outer row into the form in which they are compared, in
 * state->values.  False if one of them is NULL: then it equals none.
 */
bool
FeathubAsofOuterKeys(FeathubAsofState *state, TupleTableSlot *slot)
{
	for (int i = 0; i < state->nkeys; i++)
	{
		FeathubAsofKey *key = &state->keys[i];
		bool		isnull;

		state->values[i] = feathub_asof_outer_value(state, &key->outer, slot, &isnull);
		if (isnull)
			return false;
		if (key->kind == ASOF_KIND_INT)
			state->values[i] = feathub_asof_int(state->values[i], key->outer.len);
		else if (key->kind == ASOF_KIND_TEXT)
			state->values[i] = PointerGetDatum(PG_DETOAST_DATUM_PACKED(state->values[i]));
	}
	return true;
}

static inline uint32
hash_keys(FeathubAsofState *state, const Datum *values, bool of_outer)
{
	uint64		hash = 0;

	for (int i = 0; i < state->nkeys; i++)
	{
		FeathubAsofKey *key = &state->keys[i];
		uint64		value;

		switch (key->kind)
		{
			case ASOF_KIND_INT:
				value = (uint64) DatumGetInt64(values[i]);
				break;
			case ASOF_KIND_TEXT:
				value = hash_bytes((unsigned char *) VARDATA_ANY(DatumGetPointer(values[i])),
								   VARSIZE_ANY_EXHDR(DatumGetPointer(values[i])));
				break;
			default:
				value = DatumGetUInt32(FunctionCall1Coll(of_outer ? &key->hash_outer : &key->hash_inner,
														 key->collation, values[i]));
				break;
		}
		hash = (hash ^ value) * UINT64CONST(0x9E3779B97F4A7C15);
		hash ^= hash >> 32;
	}
	return (uint32) hash;
}

/*
 * The number of the group with some keys, or FEATHUB_ASOF_NONE if there is none
 * and make is not set.  A table's groups are all made of outer keys or all of
 * inner ones.
 */
static inline uint32
find_group(FeathubAsofState *state, const Datum *values, uint32 hash, bool of_outer, bool make)
{
	FeathubAsofTable *table = &state->table;
	bool		made_of_outer = state->current == FEATHUB_ASOF_SPINE_HASH;

	for (uint32 at = hash & table->mask; table->slots[at].group != 0; at = (at + 1) & table->mask)
		if (table->slots[at].hash == hash &&
			group_matches(state, &table->groups[table->slots[at].group - 1], values, of_outer, of_outer == made_of_outer))
			return table->slots[at].group - 1;
	return make ? make_group(state, values, hash, of_outer) : FEATHUB_ASOF_NONE;
}

/* The group of the keys in state->values, or NULL. */
FeathubAsofGroup *
FeathubAsofOuterGroup(FeathubAsofState *state, bool make)
{
	uint32		group = find_group(state, state->values, hash_keys(state, state->values, true), true, make);

	return group == FEATHUB_ASOF_NONE ? NULL : &state->table.groups[group];
}

/*
 * Read inner rows, as many as go together; false at the end.  Rows without keys
 * or time are left out, so there may be none of them.
 */
bool
FeathubAsofStage(FeathubAsofState *state)
{
	TupleTableSlot *slot;
	MemoryContext old;

	state->nstaged = 0;
	state->next_staged = 0;
	if (state->inner_done)
		return false;
	MemoryContextReset(state->inner_context);
	for (int rows = 0; rows < state->max_staged; rows++)
	{
		slot = ExecProcNode(state->inner);
		if (TupIsNull(slot))
		{
			state->inner_done = true;
			return state->nstaged > 0;
		}
		state->inner_rows++;
		slot_getsomeattrs(slot, state->last_inner);
		old = MemoryContextSwitchTo(state->inner_context);
		if (stage_row(state, slot, &state->staged[state->nstaged]))
			state->nstaged++;
		MemoryContextSwitchTo(old);
	}
	return true;
}

static inline bool
stage_row(FeathubAsofState *state, TupleTableSlot *slot, FeathubAsofStaged *row)
{
	if (!feathub_asof_inner_time(state, slot, &row->time))
		return false;
	for (int i = 0; i < state->nkeys; i++)
	{
		FeathubAsofKey *key = &state->keys[i];

		if (slot->tts_isnull[key->column - 1])
			return false;
		row->keys[i] = slot->tts_values[key->column - 1];
		if (key->kind == ASOF_KIND_INT)
			row->keys[i] = feathub_asof_int(row->keys[i], key->len);
		else if (key->kind == ASOF_KIND_TEXT)
			row->keys[i] = PointerGetDatum(PG_DETOAST_DATUM_PACKED(row->keys[i]));
	}
	for (int i = 0; i < state->npayload; i++)
	{
		row->values[i] = slot->tts_values[state->payload_columns[i] - 1];
		row->nulls[i] = slot->tts_isnull[state->payload_columns[i] - 1];
	}
	if (state->current == FEATHUB_ASOF_MERGE)
		return true;
	row->hash = hash_keys(state, row->keys, false);
	__builtin_prefetch(&state->table.slots[row->hash & state->table.mask]);
	return true;
}

/* Find the groups of the staged rows. */
void
FeathubAsofStageGroups(FeathubAsofState *state, bool make)
{
	FeathubAsofTable *table = &state->table;
	MemoryContext old = MemoryContextSwitchTo(state->inner_context);

	if (state->nstaged > 1)
		for (int i = 0; i < state->nstaged; i++)
		{
			uint32		group = table->slots[state->staged[i].hash & table->mask].group;

			if (group != 0)
				__builtin_prefetch(&table->groups[group - 1]);
		}
	for (int i = 0; i < state->nstaged; i++)
		state->staged[i].group = find_group(state, state->staged[i].keys, state->staged[i].hash, false, make);
	MemoryContextSwitchTo(old);
}

static uint32
make_group(FeathubAsofState *state, const Datum *values, uint32 hash, bool of_outer)
{
	FeathubAsofTable *table = &state->table;
	FeathubAsofGroup *group;
	uint32		at;

	if (table->ngroups >= table->mask / 2)
		grow_slots(table);
	for (at = hash & table->mask; table->slots[at].group != 0; at = (at + 1) & table->mask)
		;
	if (table->ngroups == table->max_groups)
	{
		uint32		max = Max(256, table->max_groups * 2);
		Size		more = sizeof(Datum) * (state->nkeys - 1);

		table->used += (sizeof(FeathubAsofGroup) + more) * (max - table->max_groups);
		if (table->groups == NULL)
		{
			table->groups = (FeathubAsofGroup *) MemoryContextAllocHuge(table->context, sizeof(FeathubAsofGroup) * max);
			table->more_keys = (Datum *) MemoryContextAllocHuge(table->context, more * max + 1);
		}
		else
		{
			table->groups = (FeathubAsofGroup *) repalloc_huge(table->groups, sizeof(FeathubAsofGroup) * max);
			table->more_keys = (Datum *) repalloc_huge(table->more_keys, more * max + 1);
		}
		table->max_groups = max;
	}
	group = &table->groups[table->ngroups];
	memset(group, 0, sizeof(FeathubAsofGroup));
	group->hash = hash;
	for (int i = 0; i < state->nkeys; i++)
	{
		FeathubAsofKey *key = &state->keys[i];
		bool		byval = key->kind == ASOF_KIND_INT || (of_outer ? key->outer.byval : key->byval);
		Datum		copy = FeathubAsofCopyValue(&table->copies, values[i], byval,
												of_outer ? key->outer.len : key->len);

		if (i == 0)
			group->key = copy;
		else
			table->more_keys[(Size) table->ngroups * (state->nkeys - 1) + i - 1] = copy;
	}
	table->slots[at].group = table->ngroups + 1;
	table->slots[at].hash = hash;
	return table->ngroups++;
}

static inline bool
group_matches(FeathubAsofState *state, const FeathubAsofGroup *group, const Datum *values,
			  bool of_outer, bool same_side)
{
	const Datum *more = &state->table.more_keys[(Size) (group - state->table.groups) * (state->nkeys - 1)];

	for (int i = 0; i < state->nkeys; i++)
	{
		FeathubAsofKey *key = &state->keys[i];
		Datum		have = i == 0 ? group->key : more[i - 1];

		if (key->kind == ASOF_KIND_INT ? have != values[i] :
			!key_matches(key, have, values[i], of_outer, same_side))
			return false;
	}
	return true;
}

static bool
key_matches(FeathubAsofKey *key, Datum have, Datum value, bool of_outer, bool same_side)
{
	if (key->kind == ASOF_KIND_TEXT)
	{
		struct varlena *a = (struct varlena *) DatumGetPointer(have);
		struct varlena *b = (struct varlena *) DatumGetPointer(value);

		return VARSIZE_ANY_EXHDR(a) == VARSIZE_ANY_EXHDR(b) &&
			memcmp(VARDATA_ANY(a), VARDATA_ANY(b), VARSIZE_ANY_EXHDR(a)) == 0;
	}
	if (same_side)
		return DatumGetBool(FunctionCall2Coll(of_outer ? &key->equal_outer : &key->equal_inner,
											  key->collation, have, value));
	/* the operator has the inner value at its left */
	if (of_outer)
		return DatumGetBool(FunctionCall2Coll(&key->equal, key->collation, have, value));
	return DatumGetBool(FunctionCall2Coll(&key->equal, key->collation, value, have));
}

static void
grow_slots(FeathubAsofTable *table)
{
	uint32		size = (table->mask + 1) * 2;

	table->used += sizeof(FeathubAsofSlot) * (size / 2);
	pfree(table->slots);
	table->slots = (FeathubAsofSlot *) MemoryContextAllocExtended(table->context, sizeof(FeathubAsofSlot) * size,
																  MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	table->mask = size - 1;
	FeathubAsofAskForHugePages(table->slots, sizeof(FeathubAsofSlot) * size);
	for (uint32 i = 0; i < table->ngroups; i++)
	{
		uint32		at = table->groups[i].hash & table->mask;

		while (table->slots[at].group != 0)
			at = (at + 1) & table->mask;
		table->slots[at].group = i + 1;
		table->slots[at].hash = table->groups[i].hash;
	}
}

/* A value that lives as long as the arena. */
Datum
FeathubAsofCopyValue(FeathubAsofArena *arena, Datum value, bool byval, int16 len)
{
	Size		size;
	void	   *copy;

	if (byval)
		return value;
	if (len == -1 && VARATT_IS_EXTERNAL_EXPANDED(DatumGetPointer(value)))
		value = datumCopy(value, false, len);
	size = datumGetSize(value, false, len);
	copy = FeathubAsofAlloc(arena, size);
	memcpy(copy, DatumGetPointer(value), size);
	return PointerGetDatum(copy);
}

/* Add a time to a group; its value is copied if it is of an outer row (a payload has its own). */
void
FeathubAsofAddEntry(FeathubAsofState *state, uint32 group, FeathubAsofItem item)
{
	FeathubAsofTable *table = &state->table;
	FeathubAsofEntry *entry;

	if (table->nentries == table->max_entries)
	{
		uint32		max = Max(256, table->max_entries * 2);

		table->used += sizeof(FeathubAsofEntry) * (max - table->max_entries);
		if (table->entries == NULL)
			table->entries = (FeathubAsofEntry *) MemoryContextAllocHuge(table->context, sizeof(FeathubAsofEntry) * max);
		else
			table->entries = (FeathubAsofEntry *) repalloc_huge(table->entries, sizeof(FeathubAsofEntry) * max);
		table->max_entries = max;
	}
	entry = &table->entries[table->nentries++];
	entry->item = item;
	if (state->current == FEATHUB_ASOF_SPINE_HASH && state->time.kind == ASOF_KIND_GENERIC)
		entry->item.time = FeathubAsofCopyValue(&table->copies, item.time, state->time.outer.byval, state->time.outer.len);
	entry->group = group;
	table->groups[group].count++;
}

/* Lay the items of each group out side by side, in order of time. */
void
FeathubAsofSortItems(FeathubAsofState *state, bool of_outer)
{
	FeathubAsofTable *table = &state->table;
	uint32		first = 0;

	table->nitems = table->nentries;
	table->items = (FeathubAsofItem *) MemoryContextAllocHuge(table->context, sizeof(FeathubAsofItem) * ((Size) table->nitems + 1));
	table->used += sizeof(FeathubAsofItem) * table->nitems;
	FeathubAsofAskForHugePages(table->items, sizeof(FeathubAsofItem) * table->nitems);
	for (uint32 i = 0; i < table->ngroups; i++)
	{
		table->groups[i].first = first;
		first += table->groups[i].count;
	}
	for (uint32 i = 0; i < table->nentries; i++)
	{
		FeathubAsofGroup *group = &table->groups[table->entries[i].group];

		if (i + AHEAD < table->nentries)
			__builtin_prefetch(&table->groups[table->entries[i + AHEAD].group]);
		table->items[group->first + group->cursor++] = table->entries[i].item;
	}
	state->peak = Max(state->peak, feathub_asof_used(table));
	if (table->entries != NULL)
		pfree(table->entries);
	table->used -= sizeof(FeathubAsofEntry) * table->max_entries;
	table->entries = NULL;
	table->nentries = table->max_entries = 0;
	for (uint32 i = 0; i < table->ngroups; i++)
	{
		FeathubAsofGroup *group = &table->groups[i];

		sort_group(state, &table->items[group->first], group->count, of_outer);
		group->cursor = 0;
	}
}

/* Items of outer rows by time; of inner ones, and the best of a time last. */
static inline int
compare_items(FeathubAsofState *state, const FeathubAsofItem *a, const FeathubAsofItem *b, bool of_outer)
{
	int			order;

	if (state->time.kind == ASOF_KIND_INT)
		order = DatumGetInt64(a->time) < DatumGetInt64(b->time) ? -1 : DatumGetInt64(a->time) > DatumGetInt64(b->time);
	else
		order = DatumGetInt32(FunctionCall2Coll(of_outer ? &state->time.compare_outer : &state->time.compare_inner,
												state->time.collation, a->time, b->time));
	if (order == 0 && !of_outer)
		order = FeathubAsofCompareTies(state, b->u.payload, a->u.payload);
	return order;
}

/* Merge sort, stable: what came later stays later.  Short runs by insertion. */
static void
sort_group(FeathubAsofState *state, FeathubAsofItem *items, uint32 count, bool of_outer)
{
	uint32		sorted = 1;

	while (sorted < count && compare_items(state, &items[sorted - 1], &items[sorted], of_outer) <= 0)
		sorted++;
	if (sorted >= count)
		return;
	if (count <= 12)
	{
		for (uint32 i = sorted; i < count; i++)
		{
			FeathubAsofItem item = items[i];
			uint32		j = i;

			for (; j > 0 && compare_items(state, &items[j - 1], &item, of_outer) > 0; j--)
				items[j] = items[j - 1];
			items[j] = item;
		}
	}
	else
	{
		uint32		half = count / 2;
		FeathubAsofItem *left = (FeathubAsofItem *) palloc_extended(sizeof(FeathubAsofItem) * half, MCXT_ALLOC_HUGE);
		uint32		i = 0;
		uint32		j = half;
		uint32		to = 0;

		CHECK_FOR_INTERRUPTS();
		sort_group(state, items, half, of_outer);
		sort_group(state, items + half, count - half, of_outer);
		memcpy(left, items, sizeof(FeathubAsofItem) * half);
		while (i < half)
		{
			if (j < count && compare_items(state, &left[i], &items[j], of_outer) > 0)
				items[to++] = items[j++];
			else
				items[to++] = left[i++];
		}
		pfree(left);
	}
}
