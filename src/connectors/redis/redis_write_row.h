/*
 * redis_write_row.h
 *		What the files share that say what is written for a row.
 *
 * Times to live are in ms, or REDIS_TTL_...  They count from now or, if the
 * table says so, from the row's event time.
 */
#ifndef FEATHUB_CONNECTORS_REDIS_REDIS_WRITE_ROW_H
#define FEATHUB_CONNECTORS_REDIS_REDIS_WRITE_ROW_H

#include "connectors/redis/redis_write.h"

/* Elements of a command that writes a list or set: the script unpacks them. */
#define REDIS_WORDS		1000

/* Times to live that are no number of milliseconds. */
#define REDIS_TTL_LEAVE	(-1)
#define REDIS_TTL_NONE	(-2)

/* redis_write.c */

/* The row's key, in place of what is there. */
extern void FeathubRedisRowKeyText(RedisWriter *writer, const Datum *values,
								   const bool *isnull, StringInfo key);

/* The time to live that the row's key is to have. */
extern int64 FeathubRedisRowTtl(RedisWriter *writer, const Datum *values, const bool *isnull);

/* Do rows come with one?  And does it count from the event time? */
extern bool FeathubRedisTellsTtl(const RedisTable *table);
extern bool FeathubRedisTtlFromEvent(const RedisWriter *writer);

/* Add the command that sets it; or the number for PEXPIRE(AT), PX and PXAT alone. */
extern void FeathubRedisOpTtl(RedisWriter *writer, int64 ttl, bool new_key);
extern void FeathubRedisOpTtlWord(RedisWriter *writer, int64 ttl);

/* Is the column written?  Is any of the values? */
extern bool FeathubRedisIsTarget(RedisWriter *writer, AttrNumber attnum);
extern bool FeathubRedisAnyTarget(RedisWriter *writer);

/* The column that names an element of a set, sorted set or hash. */
extern RedisColumn *FeathubRedisMemberColumn(RedisTable *table);

/* The bytes of a column that must have a value. */
extern RedisBytes FeathubRedisColumnBytes(RedisWriter *writer, RedisColumn *column,
										  const Datum *values, const bool *isnull);

/* Raise an error for a column, or (NULL) a row, without anything to store. */
pg_noreturn extern void FeathubRedisNullValue(RedisWriter *writer, const char *column);

/* Add words to a command, or commands. */
extern void FeathubRedisOpBytes(RedisOps *ops, RedisBytes bytes);
extern void FeathubRedisOpBuffer(RedisOps *ops, StringInfo word);
extern void FeathubRedisOpExists(RedisWriter *writer, RedisCheck check);
extern void FeathubRedisOpArray(RedisWriter *writer, RedisColumn *column, StringInfo key,
								Datum value, const char *command);

/* redis_write_key.c: add what writes a row that is a key; of kinds string and value, hash, and list and set */
extern void FeathubRedisWriteString(RedisWriter *writer, const Datum *values,
									const bool *isnull, RedisCheck check, int64 ttl);
extern void FeathubRedisWriteHash(RedisWriter *writer, const Datum *values,
								  const bool *isnull, RedisCheck check, int64 ttl);
extern void FeathubRedisWriteArray(RedisWriter *writer, const Datum *values,
								   const bool *isnull, RedisCheck check, int64 ttl);

/* redis_write_element.c: add what writes, changes or deletes an element, or an entry of a stream */
extern void FeathubRedisInsertElement(RedisWriter *writer, const Datum *values,
									  const bool *isnull, int64 ttl);
extern void FeathubRedisInsertEntry(RedisWriter *writer, const Datum *values,
									const bool *isnull);
extern void FeathubRedisUpdateElement(RedisWriter *writer, const Datum *values,
									  const bool *isnull, const Datum *old_values, int64 ttl);
extern void FeathubRedisDeleteElement(RedisWriter *writer, const Datum *old_values);

/* redis_write_features.c: send a row of kind features, or its deletion; the first command's number */
extern int	FeathubRedisWriteFeatures(RedisWriter *writer, RedisRequest *request,
									  const Datum *values, const bool *isnull, RedisCheck check);
extern int	FeathubRedisDeleteFeatures(RedisWriter *writer, RedisRequest *request);

/* redis_write_key.c: the bytes of a string, or of a value in its format */
extern RedisBytes FeathubRedisValueBytes(RedisWriter *writer, const Datum *values,
										 const bool *isnull);

/*
 * redis_write_latest.c: rows with an event time that can share a script of their
 * own.  The row's key is in new_key, its time in guard; it is kept, or sent at
 * once unless writer->together.  Row and Flush return the command's number, or -1.
 */
extern bool FeathubRedisIsLatest(const RedisWriter *writer);
extern int	FeathubRedisLatestRow(RedisWriter *writer, RedisRequest *request,
								  const Datum *values, const bool *isnull);
extern int	FeathubRedisLatestFlush(RedisWriter *writer, RedisRequest *request);
extern void FeathubRedisLatestReset(RedisWriter *writer);

/* redis_write_batch.c: forget what is kept, also what an error left behind */
extern void FeathubRedisRowsReset(RedisRows *rows);

#endif							/* FEATHUB_CONNECTORS_REDIS_REDIS_WRITE_ROW_H */
