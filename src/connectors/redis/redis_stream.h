/*
 * redis_stream.h
 *		Streams as sources of jobs: entries and their ids.
 */
#ifndef FEATHUB_CONNECTORS_REDIS_REDIS_STREAM_H
#define FEATHUB_CONNECTORS_REDIS_REDIS_STREAM_H

#include "connectors/redis/redis_table.h"

/* Bits of a record's sequence that are the id's second number. */
#define REDIS_SEQ_BITS	20

typedef struct RedisId
{
	uint64		ms;
	uint64		seq;
} RedisId;

/* "ms-seq", or "ms" for the first of that ms; false for anything else. */
extern bool FeathubRedisIdParse(const char *text, RedisId *id);
extern int	FeathubRedisIdCompare(RedisId a, RedisId b);
extern RedisId FeathubRedisIdNext(RedisId id);

/* As a record's sequence; false if the id does not fit. */
extern bool FeathubRedisIdPack(RedisId id, int64 *sequence);
extern RedisId FeathubRedisIdUnpack(int64 sequence);

/* The time in an id, or DT_NOBEGIN; the first id not before a time. */
extern TimestampTz FeathubRedisIdTime(RedisId id);
extern bool FeathubRedisIdOfTime(TimestampTz time, RedisId *id);

/* Bytes that a record of these fields takes at most; write it. */
extern Size FeathubRedisEntrySize(const RedisReply *fields);
extern Size FeathubRedisEntryWrite(const RedisReply *fields, char *out);

/*
 * A record's row: its id from sequence, its fields from value.  codecs must be
 * there.  False, with *error, for a bad record.
 */
extern bool FeathubRedisEntryDecode(RedisTable *table, const char *key, Size key_len,
									const FeathubRecord *record, Datum *values,
									bool *isnull, FeathubDecodeError *error);

/* redis_stream.c: callbacks of FeathubConnector */
extern bool FeathubRedisFollows(FeathubRelation *rel);
extern void FeathubRedisOpenStream(FeathubStream *stream);
extern List *FeathubRedisListPartitions(FeathubStream *stream);
extern void FeathubRedisStartStream(FeathubStream *stream);
extern int	FeathubRedisPoll(FeathubStream *stream, FeathubRecord *records, int max,
							 Size max_bytes, long timeout);
extern bool FeathubRedisDecodeRecord(FeathubStream *stream, FeathubRecord *record,
									 Datum *values, bool *isnull, FeathubDecodeError *error);
extern void FeathubRedisReleaseRecords(FeathubStream *stream);
extern void FeathubRedisCommitPositions(FeathubStream *stream);
extern void FeathubRedisPartitionStatus(FeathubStream *stream);
extern void FeathubRedisCloseStream(FeathubStream *stream);
extern char *FeathubRedisSeekPosition(FeathubStream *stream, const char *name, const char *target);
extern int	FeathubRedisComparePositions(const char *a, const char *b);
extern void FeathubRedisDescribeRecord(FeathubStream *stream, const FeathubRecord *record,
									   StringInfo out);
extern Datum FeathubRedisRecordHeaders(FeathubStream *stream, const FeathubRecord *record,
									   bool *isnull);
extern bool FeathubRedisDecodeStored(FeathubStream *stream, const char *partition,
									 FeathubRecord *record, Datum headers,
									 bool headers_isnull, Datum *values, bool *isnull,
									 FeathubDecodeError *error);

#endif							/* FEATHUB_CONNECTORS_REDIS_REDIS_STREAM_H */
