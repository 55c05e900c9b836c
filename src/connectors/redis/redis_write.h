/*
 * redis_write.h
 *		What is written for a row: one command, or several that happen together.
 */
#ifndef FEATHUB_CONNECTORS_REDIS_REDIS_WRITE_H
#define FEATHUB_CONNECTORS_REDIS_REDIS_WRITE_H

#include "connectors/redis/redis_row.h"

/* What the reply to a command says ends the row; see redis_script.c. */
typedef enum RedisCheck
{
	REDIS_CHECK_NONE = '-',
	REDIS_CHECK_ABSENT = '0',	/* the reply must be 0 or nil: else it exists */
	REDIS_CHECK_PRESENT = '1',	/* and here not: else there is no such row */
	REDIS_CHECK_ID = 'i'		/* XADD may say that the stream has such an id, or
								 * a later one: it was written before */
} RedisCheck;

/* What became of a row. */
typedef enum RedisOutcome
{
	REDIS_ROW_EXISTS = -1,
	REDIS_ROW_MISSING = 0,
	REDIS_ROW_DONE = 1,
	REDIS_ROW_OLDER = 2			/* what is there is newer */
} RedisOutcome;

/* Commands of a row, as they are added. */
typedef struct RedisOps
{
	StringInfoData data;		/* words in the protocol's form */
	int			nops;
	int			nwords;			/* with check and count of each */
	int			first_words;	/* of the first command */
	RedisCheck	first_check;
	Size		first_offset;	/* in data, of its first word */
	StringInfoData keys;		/* keys used, in the protocol's form */
	int			nkeys;
	StringInfoData key;			/* the first of them, for slot and messages */
} RedisOps;

/* New hashes to be written by one script; see redis_script.c. */
typedef struct RedisRows
{
	StringInfoData keys;		/* in the protocol's form */
	StringInfoData words;		/* the rows' words, in that form too */
	StringInfoData first_key;	/* for its slot */
	int			nrows;
	int			slot;			/* in a cluster: of all keys */
	bool		masks;			/* some row had a NULL: all have masks */
} RedisRows;

/* Rows and bytes of one script: others wait for the server meanwhile. */
#define REDIS_SCRIPT_ROWS_MAX	128
#define REDIS_SCRIPT_BYTES_MAX	(256 * 1024)

/* A row that replaces older ones, waiting for others. */
typedef struct RedisLatestRow
{
	int			key;			/* offset in keys */
	int			key_len;
	uint32		hash;			/* of the key */
	TimestampTz at;
	int			words;			/* offset in words */
	int			words_len;
	bool		dropped;		/* one of the same key came that is not older */
} RedisLatestRow;

/* Rows for REDIS_SCRIPT_LATEST_...: the newest of each key. */
typedef struct RedisLatest
{
	StringInfoData keys;		/* one behind the other */
	StringInfoData words;		/* in the protocol's form */
	RedisLatestRow rows[REDIS_SCRIPT_ROWS_MAX];
	int			nrows;
	int			ndropped;
	int16		buckets[4 * REDIS_SCRIPT_ROWS_MAX]; /* number of a row + 1, by hash */
	int			slot;			/* in a cluster: of all keys */
	bool		masks;			/* some row had a NULL: all have masks */
} RedisLatest;

/* What guards the row being written; see redis_guard.c. */
typedef struct RedisRowGuard
{
	bool		deletes;
	bool		timed;			/* a deletion may be as of no time */
	TimestampTz at;
	int64		base;			/* the same in ms since 1970 */
	const char *unit;			/* PX, PXAT or nothing, and how long the time is kept */
	int64		ttl;
	RedisBytes	member;			/* REDIS_GUARD_MEMBER: the element */
} RedisRowGuard;

/* Rows to be written by one script, REDIS_SCRIPT_ROWS. */
typedef struct RedisBatch
{
	StringInfoData keys;		/* in the protocol's form */
	StringInfoData words;
	StringInfoData first_key;	/* for its slot */
	int			row_keys;		/* of each row */
	int			nkeys;
	int			nwords;
	int			nrows;
	int			slot;			/* in a cluster: of all keys */
} RedisBatch;

typedef struct RedisWriter
{
	RedisTable *table;
	RedisClient *client;
	FeathubEncoder *encoder;	/* of kind value */
	StringInfoData value;
	RedisOps	ops;
	RedisRows	rows;
	RedisRowGuard guard;
	RedisLatest latest;
	RedisBatch	batch;
	bool		together;		/* rows may wait for others */
	StringInfoData guard_key;
	StringInfoData new_key;
	StringInfoData old_key;
	Bitmapset  *targets;		/* attnums written; NULL: all */
} RedisWriter;

extern RedisWriter *FeathubRedisWriterMake(RedisTable *table, RedisClient *client,
										   bool with_values);

/*
 * Append the commands that write, change or delete a row.  Values are by attnum
 * - 1; old_values too, of which only the key columns count.  Call them between
 * FeathubTextModesSet and Restore.  Returns the first command's number in the
 * request; the row's commands end where the request does (in a cluster a row of
 * kind features may need several).
 */
extern int	FeathubRedisWriteInsert(RedisWriter *writer, RedisRequest *request,
									const Datum *values, const bool *isnull);
extern int	FeathubRedisWriteUpdate(RedisWriter *writer, RedisRequest *request,
									const Datum *values, const bool *isnull,
									const Datum *old_values);
extern int	FeathubRedisWriteDelete(RedisWriter *writer, RedisRequest *request,
									const Datum *old_values);

/* A deletion as of a time, for FeathubRedisWriteDelete; timed false: as of none. */
extern void FeathubRedisWriterDeletedAt(RedisWriter *writer, bool timed, TimestampTz at);

/*
 * New rows that can share a script: FeathubRedisWriteRow keeps a row or sends
 * those kept before, FeathubRedisWriteRowsEnd sends the rest.  Only where
 * FeathubRedisWritesRows says so.
 */
extern bool FeathubRedisWritesRows(RedisWriter *writer);
extern void FeathubRedisWriteRow(RedisWriter *writer, RedisRequest *request,
								 const Datum *values, const bool *isnull);
extern void FeathubRedisWriteRowsEnd(RedisWriter *writer, RedisRequest *request);

/* What the reply to such a command says; error replies are raised. */
extern RedisOutcome FeathubRedisOutcome(RedisRequest *request, int command);

/* The columns that name a row for UPDATE and DELETE; NIL: none do. */
extern List *FeathubRedisRowKey(RedisTable *table);

/* redis_ops.c */
extern void FeathubRedisOpsReset(RedisOps *ops);
extern void FeathubRedisOpsKey(RedisOps *ops, const char *key, Size len);
extern void FeathubRedisOp(RedisOps *ops, RedisCheck check, int nwords, const char *name);
extern void FeathubRedisOpWord(RedisOps *ops, const char *word, Size len);
extern void FeathubRedisOpText(RedisOps *ops, const char *word);
extern void FeathubRedisOpInt(RedisOps *ops, int64 word);
extern int	FeathubRedisOpsSend(RedisOps *ops, RedisRequest *request);

/* redis_guard.c */

/* Digits that times are compared by, and a NUL. */
#define REDIS_TIME_SIZE	21

/* The time of the row to be written, from its values; an error if it has none. */
extern void FeathubRedisGuardRow(RedisWriter *writer, const Datum *values, const bool *isnull);

/*
 * Send the row's commands with its guard, or keep them for a script of several
 * rows if writer->together; ms: how long the row lives, <= 0: it stays.  Returns
 * the number of the command, or -1.
 */
extern int	FeathubRedisGuardSend(RedisWriter *writer, RedisRequest *request, int64 ms);

/* The row's time as it is compared: p has REDIS_TIME_SIZE bytes. */
extern void FeathubRedisGuardDigits(const RedisWriter *writer, char *p);

/* Send what was kept. */
extern int	FeathubRedisGuardFlush(RedisWriter *writer, RedisRequest *request);

/* Forget it: an error may have left something behind. */
extern void FeathubRedisGuardReset(RedisWriter *writer);

/*
 * The key that keeps the time of a row whose key is that, or of a deleted element
 * of it (member, else NULL); and the way back.
 */
extern void FeathubRedisGuardKey(const RedisTable *table, const char *key, Size len,
								 const RedisBytes *member, StringInfo out);

/* The same in writer->guard_key; an error if a cluster has it in another slot. */
extern void FeathubRedisGuardKeyOfRow(RedisWriter *writer, const char *key, Size len,
									  const RedisBytes *member);
extern bool FeathubRedisGuardedKey(const RedisTable *table, const char *guard, Size len,
								   RedisBytes *key);

/* Is it such a key, and so none of the table's? */
extern bool FeathubRedisIsGuard(const RedisTable *table, const char *key, Size len);

/* A kept time as a Datum of the event time column; false: of a deletion, or none. */
extern bool FeathubRedisGuardTime(const char *text, Size len, TimestampTz *result);

/* redis_feature.c: a jsonb map or array as the words of a command */
typedef void (*RedisWordFunction) (void *arg, const char *word, Size len);
extern bool FeathubRedisFeatureIsList(const RedisColumn *column);
extern int	FeathubRedisFeatureWords(RedisColumn *column, Datum value,
									 RedisWordFunction add, void *arg);

#endif							/* FEATHUB_CONNECTORS_REDIS_REDIS_WRITE_H */
