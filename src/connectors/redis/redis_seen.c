/*
 * redis_seen.c
 *		What a scan has seen: SCAN may give a key more than once.
 *
 * An item is remembered by 128 bits of hash, seeded at random: that two of a
 * billion items are taken for one has a chance of one in 10^20.  When work_mem is
 * full, items that are not among those remembered are sorted, and given out
 * without repetitions at the end.
 */
#include "postgres.h"

#include "catalog/pg_collation.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/tuplesort.h"

#include "connectors/redis/redis_seen.h"
#include "core/compat.h"

/* bytea < bytea */
#define BYTEA_LESS_OPERATOR	1957

typedef struct SeenHash
{
	uint64		a;				/* both 0: a free place */
	uint64		b;
} SeenHash;

struct RedisSeen
{
	MemoryContext context;
	bool		all;			/* remember all, whatever work_mem says */
	uint64		seed;
	SeenHash   *table;
	uint64		size;			/* a power of 2 */
	uint64		count;

	/* Items put off */
	Tuplesortstate *sort;		/* NULL: none */
	bool		sorted;
	bytea	   *last;			/* of those given out, or NULL */
};

static SeenHash hash_item(RedisSeen *seen, const char *data, Size len);
static bool find_hash(RedisSeen *seen, SeenHash hash, uint64 *place);
static void grow(RedisSeen *seen);

RedisSeen *
FeathubRedisSeenMake(bool all)
{
	RedisSeen  *seen = palloc0(sizeof(RedisSeen));

	seen->all = all;
	seen->context = AllocSetContextCreate(CurrentMemoryContext, "feathub redis seen",
										  ALLOCSET_DEFAULT_SIZES);
	if (!pg_strong_random(&seen->seed, sizeof(seen->seed)))
		seen->seed = (uint64) MyProcPid;
	return seen;
}

void
FeathubRedisSeenReset(RedisSeen *seen)
{
	if (seen->sort)
		tuplesort_end(seen->sort);
	seen->sort = NULL;
	MemoryContextReset(seen->context);
	seen->table = NULL;
	seen->size = 0;
	seen->count = 0;
	seen->last = NULL;
	seen->sorted = false;
}

/* Was it added?  Of one made with "all". */
bool
FeathubRedisSeenHas(RedisSeen *seen, const char *data, Size len)
{
	uint64		place;

	return seen->count > 0 && find_hash(seen, hash_item(seen, data, len), &place);
}

static SeenHash
hash_item(RedisSeen *seen, const char *data, Size len)
{
	SeenHash	hash;

	hash.a = DatumGetUInt64(hash_any_extended((const unsigned char *) data, len, seen->seed));
	hash.b = DatumGetUInt64(hash_any_extended((const unsigned char *) data, len, ~seen->seed));
	if (hash.a == 0 && hash.b == 0)
		hash.b = 1;
	return hash;
}

/* The place of a hash, or the free one where it would be. */
static bool
find_hash(RedisSeen *seen, SeenHash hash, uint64 *place)
{
	for (*place = hash.a & (seen->size - 1);
		 seen->table[*place].a != 0 || seen->table[*place].b != 0;
		 *place = (*place + 1) & (seen->size - 1))
	{
		if (seen->table[*place].a == hash.a && seen->table[*place].b == hash.b)
			return true;
	}
	return false;
}

bool
FeathubRedisSeenAdd(RedisSeen *seen, const char *data, Size len)
{
	SeenHash	hash = hash_item(seen, data, len);
	uint64		place;
	bool		full;

	full = !seen->all && seen->size * sizeof(SeenHash) * 2 > work_mem * (Size) 1024 &&
		seen->count * 4 >= seen->size * 3;
	if (!full && seen->count * 4 >= seen->size * 3)
		grow(seen);
	if (find_hash(seen, hash, &place))
		return false;
	if (!full)
	{
		seen->table[place] = hash;
		seen->count++;
		return true;
	}

	if (seen->sort == NULL)
	{
		MemoryContext old = MemoryContextSwitchTo(seen->context);

		seen->sort = tuplesort_begin_datum(BYTEAOID, BYTEA_LESS_OPERATOR, InvalidOid, false,
										   work_mem, NULL, TUPLESORT_NONE);
		MemoryContextSwitchTo(old);
	}
	{
		bytea	   *copy = (bytea *) cstring_to_text_with_len(data, (int) len);

		tuplesort_putdatum(seen->sort, PointerGetDatum(copy), false);
		pfree(copy);
	}
	return false;
}

bool
FeathubRedisSeenLater(RedisSeen *seen, const char **data, Size *len)
{
	MemoryContext old;

	if (seen->sort == NULL)
		return false;
	old = MemoryContextSwitchTo(seen->context);
	if (!seen->sorted)
		tuplesort_performsort(seen->sort);
	seen->sorted = true;
	for (;;)
	{
		Datum		value;
		bool		isnull;
		bytea	   *item;

		if (!feathub_tuplesort_getdatum(seen->sort, &value, &isnull))
		{
			MemoryContextSwitchTo(old);
			return false;
		}
		item = DatumGetByteaPP(value);
		if (seen->last && VARSIZE_ANY_EXHDR(item) == VARSIZE_ANY_EXHDR(seen->last) &&
			memcmp(VARDATA_ANY(item), VARDATA_ANY(seen->last), VARSIZE_ANY_EXHDR(item)) == 0)
		{
			pfree(DatumGetPointer(value));
			continue;
		}
		if (seen->last)
			pfree(seen->last);
		seen->last = item;
		*data = VARDATA_ANY(item);
		*len = VARSIZE_ANY_EXHDR(item);
		MemoryContextSwitchTo(old);
		return true;
	}
}

static void
grow(RedisSeen *seen)
{
	SeenHash   *old = seen->table;
	uint64		old_size = seen->size;

	seen->size = Max(1024, old_size * 2);
	seen->table = MemoryContextAllocExtended(seen->context, seen->size * sizeof(SeenHash),
											 MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	for (uint64 i = 0; i < old_size; i++)
	{
		uint64		place = old[i].a & (seen->size - 1);

		if (old[i].a == 0 && old[i].b == 0)
			continue;
		while (seen->table[place].a != 0 || seen->table[place].b != 0)
			place = (place + 1) & (seen->size - 1);
		seen->table[place] = old[i];
	}
	if (old)
		pfree(old);
}
