/*
 * redis_table.h
 *		A foreign table's columns and keys, as its options say.
 */
#ifndef FEATHUB_CONNECTORS_REDIS_REDIS_TABLE_H
#define FEATHUB_CONNECTORS_REDIS_REDIS_TABLE_H

#include "connectors/connector.h"
#include "connectors/redis/redis_client.h"
#include "connectors/redis/redis_value.h"

typedef struct RedisColumn
{
	AttrNumber	attnum;
	const char *attname;
	const char *field;			/* the hash's field, the feature's name */
	Oid			typid;
	int32		typmod;
	bool		elements;		/* an array that is a list or set of its own */
	bool		map;			/* kind features: a jsonb that is a hash */
	RedisType  *type;			/* kind features: what the jsonb holds, or NULL */
	RedisCodec *codec;			/* after FeathubRedisTableCodecs */
} RedisColumn;

/* Where the event time is kept that guards a row. */
typedef enum RedisGuard
{
	REDIS_GUARD_NONE = 'n',
	REDIS_GUARD_FIELD = 'f',	/* in a field of the hash; after a deletion as KEY */
	REDIS_GUARD_VALUE = 'v',	/* in a field of the JSON; after a deletion as KEY */
	REDIS_GUARD_KEY = 'k',		/* in a key of its own */
	REDIS_GUARD_MEMBER = 'm'	/* in a hash of its own, by the element; after a
								 * deletion in a key of the element's */
} RedisGuard;

typedef struct RedisTable
{
	FeathubRelation *rel;
	const RedisOptions *options;
	RedisKind	kind;
	bool		element_rows;	/* a row for each element, not for each key */
	int			nkeys;
	RedisColumn *keys;			/* in the order of the table */
	int			nvalues;
	RedisColumn *values;
	AttrNumber	metadata[REDIS_META_COUNT];
	RedisColumn field;			/* the column with metadata field, if any */
	AttrNumber	event_time;		/* the column that guards rows, or 0 */
	RedisGuard	guard;
	const char *guard_field;	/* REDIS_GUARD_FIELD, _VALUE: of the hash, the JSON */
	const char *guard_mark;		/* REDIS_GUARD_VALUE: what the JSON begins with */
	int			guard_width;	/* and the length of a time in it */
	const char *guard_shape;	/* of times as we write them, a pattern of Lua's */
	RedisTemplate template;		/* of kind features: of the first feature */
	RedisTemplate *features;	/* kind features: one for each value column */
	FeathubConvertSettings *settings;	/* after FeathubRedisTableCodecs */
} RedisTable;

/*
 * FeathubRedisTableMake
 *		Sort out columns and keys; an error for options that do not go together.
 *
 * Looks up no functions: planning needs none.
 */
extern RedisTable *FeathubRedisTableMake(FeathubRelation *rel);

/* Make the codecs of all columns, in the current context. */
extern void FeathubRedisTableCodecs(RedisTable *table);

/* FeathubConnector.check_relation */
extern void FeathubRedisCheckRelation(FeathubRelation *rel);

/* Raise an error about a value of a key, with the column if it is known. */
pg_noreturn extern void FeathubRedisBadValue(RedisTable *table, const char *key, Size len,
								 FeathubDecodeError *error);

/*
 * The key of these columns' values, appended to out.  An error for a value that
 * would not be found again in the key.  codecs must be there.
 */
extern void FeathubRedisTableKey(RedisTable *table, const Datum *values, const bool *isnull,
								 StringInfo out);

#endif							/* FEATHUB_CONNECTORS_REDIS_REDIS_TABLE_H */
