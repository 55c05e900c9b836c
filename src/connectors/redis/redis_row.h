/*
 * redis_row.h
 *		Keys to rows: what is asked about each key, and what the answers are.
 *
 * A reader knows what a query needs of a table.  A window is a number of keys
 * whose commands go out together; it gives their rows when the replies are in.
 * What is behind the first page of a large list, set, sorted set, hash or stream
 * is fetched page by page while its rows are given out.
 */
#ifndef FEATHUB_CONNECTORS_REDIS_REDIS_ROW_H
#define FEATHUB_CONNECTORS_REDIS_REDIS_ROW_H

#include "connectors/redis/redis_seen.h"
#include "connectors/redis/redis_table.h"

/* Scores or ids wanted, as the commands take them. */
typedef struct RedisRange
{
	const char *min;
	const char *max;
} RedisRange;

typedef struct RedisReader
{
	RedisTable *table;
	RedisClient *client;
	MemoryContext context;
	int			nneeded;
	int		   *needed;			/* indexes of table->values */
	bool		need_ttl;
	bool		need_time;		/* the event time that is kept beside the row */
	bool		plain_keys;		/* all key columns are text as it is */
	bool		text_modes;		/* some key's text depends on the session */
	bool		known;			/* keys come from SCAN with our type */
	RedisRange	range;
	StringInfoData fields;		/* arguments of HMGET */
	FeathubDecoder *decoder;	/* of kind value */
	int			window_size;	/* keys for the next window */
	double		row_bytes;		/* of replies for a key, by experience */
	int64		nkeys;			/* asked for so far, for EXPLAIN */
	int64		ntrips;
} RedisReader;

typedef struct RedisEntry
{
	Size		offset;			/* of the key */
	Size		len;
	int			command;		/* first of its commands, -1: none */
	int			check;			/* first of those that tell whether it exists,
								 * -1: none */
	int			nchecks;
} RedisEntry;

typedef struct RedisWindow
{
	RedisReader *reader;
	RedisRequest *request;
	StringInfoData keys;
	int			nentries;
	int			maxentries;
	RedisEntry *entries;
	int			pos;			/* entry whose rows come next */
	bool		ready;			/* FeathubRedisWindowWait was called */

	/* The page of the entry at pos */
	bool		paged;			/* it is there */
	bool		more;			/* and is not the last */
	RedisReply *page;			/* array of elements */
	int			page_pos;
	int64		list_start;		/* index of the page's first element */
	char	   *cursor;			/* of SSCAN, HSCAN; last score, last id */
	int			page_size;		/* members asked for, of a range of scores */
	int			ties;			/* members given out with the last score */
	RedisRequest *page_request;
	bool		deduplicate;	/* there may be elements more than once */
	RedisSeen  *seen;			/* those given out, then */
	int64		ttl;			/* of the entry at pos, ms; -1: none */
} RedisWindow;

/* Made in the current context.  needed as in FeathubScan; NULL: all columns. */
extern RedisReader *FeathubRedisReaderMake(RedisTable *table, RedisClient *client,
										   Bitmapset *needed);

extern RedisWindow *FeathubRedisWindowMake(RedisReader *reader);
extern void FeathubRedisWindowReset(RedisWindow *window);

/* Add a key and its commands.  A key of another pattern than ours is left out. */
extern void FeathubRedisWindowAdd(RedisWindow *window, const char *key, Size len);

/* Wait for the replies, and ask again where they do not tell all. */
extern void FeathubRedisWindowWait(RedisWindow *window);

/*
 * The next row, into values and isnull by attnum - 1 (all NULL before).  False
 * at the end of the window.  By-reference values are in the current context.
 */
extern bool FeathubRedisWindowNext(RedisWindow *window, Datum *values, bool *isnull);

/* redis_feature.c: FeatHub's maps */

/* A reply of HGETALL, LRANGE or GET as jsonb or json, by the column's type. */
extern bool FeathubRedisFeatureDecode(RedisColumn *column, const RedisReply *reply,
									  Datum *value, FeathubDecodeError *error);

/* The command that reads a feature. */
extern const char *FeathubRedisFeatureCommand(const RedisColumn *column);

#endif							/* FEATHUB_CONNECTORS_REDIS_REDIS_ROW_H */
