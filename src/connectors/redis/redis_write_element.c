/*
 * redis_write_element.c
 *		Rows that are elements: of lists, sets, sorted sets, hashes and streams.
 */
#include "postgres.h"

#include <math.h>

#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "connectors/redis/redis_write_row.h"

static double row_score(RedisWriter *writer, const Datum *values, const bool *isnull);

/* An element of a list, set, sorted set or hash */
void
FeathubRedisInsertElement(RedisWriter *writer, const Datum *values, const bool *isnull, int64 ttl)
{
	RedisTable *table = writer->table;
	RedisOps   *ops = &writer->ops;
	bool		upsert = table->options->write_mode == REDIS_WRITE_UPSERT;
	RedisCheck	check = upsert ? REDIS_CHECK_NONE : REDIS_CHECK_PRESENT;
	AttrNumber	index = table->metadata[REDIS_META_INDEX];

	if (index != 0 && !isnull[index - 1])
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot insert into column \"%s\" of foreign table \"%s\"",
						NameStr(TupleDescAttr(table->rel->tupdesc, index - 1)->attname),
						table->rel->relname),
				 errdetail("A new element goes to the end of its list.")));
	if (table->guard == REDIS_GUARD_MEMBER && FeathubRedisMemberColumn(table) != NULL)
		writer->guard.member = FeathubRedisColumnBytes(writer, FeathubRedisMemberColumn(table), values, isnull);
	switch (table->kind)
	{
		case REDIS_KIND_LIST:
			FeathubRedisOp(ops, REDIS_CHECK_NONE, 3, "RPUSH");
			FeathubRedisOpBuffer(ops, &writer->new_key);
			FeathubRedisOpBytes(ops, FeathubRedisColumnBytes(writer, &table->values[0], values, isnull));
			break;
		case REDIS_KIND_SET:
			FeathubRedisOp(ops, check, 3, "SADD");
			FeathubRedisOpBuffer(ops, &writer->new_key);
			FeathubRedisOpBytes(ops, FeathubRedisColumnBytes(writer, &table->values[0], values, isnull));
			break;
		case REDIS_KIND_ZSET:
			if (table->nvalues == 0)
				FeathubRedisNullValue(writer, NULL);
			FeathubRedisOp(ops, check, upsert ? 4 : 5, "ZADD");
			FeathubRedisOpBuffer(ops, &writer->new_key);
			if (!upsert)
				FeathubRedisOpText(ops, "NX");
			FeathubRedisOpText(ops, psprintf("%.17g", row_score(writer, values, isnull)));
			FeathubRedisOpBytes(ops, FeathubRedisColumnBytes(writer, &table->values[0], values, isnull));
			break;
		default:
			FeathubRedisOp(ops, check, 4, upsert ? "HSET" : "HSETNX");
			FeathubRedisOpBuffer(ops, &writer->new_key);
			FeathubRedisOpBytes(ops, FeathubRedisColumnBytes(writer, &table->field, values, isnull));
			FeathubRedisOpBytes(ops, FeathubRedisColumnBytes(writer, &table->values[0], values, isnull));
			break;
	}
	FeathubRedisOpTtl(writer, ttl, true);
}

/* An entry of a stream; its id is the server's choice unless a column gives it. */
void
FeathubRedisInsertEntry(RedisWriter *writer, const Datum *values, const bool *isnull)
{
	RedisTable *table = writer->table;
	RedisOps   *ops = &writer->ops;
	AttrNumber	id = table->metadata[REDIS_META_ID];
	AttrNumber	time = table->metadata[REDIS_META_TIME];
	int			n = 0;

	for (int i = 0; i < table->nvalues; i++)
		n += !isnull[table->values[i].attnum - 1];
	if (n == 0)
		FeathubRedisNullValue(writer, NULL);
	FeathubRedisOp(ops, table->options->on_old_id == REDIS_OLD_ID_SKIP ? REDIS_CHECK_ID :
				   REDIS_CHECK_NONE, 3 + 2 * n, "XADD");
	FeathubRedisOpBuffer(ops, &writer->new_key);
	if (id != 0 && !isnull[id - 1])
		FeathubRedisOpText(ops, TextDatumGetCString(values[id - 1]));
	else if (time != 0 && !isnull[time - 1])
	{
		TimestampTz t = DatumGetTimestampTz(values[time - 1]);
		int64		ms;

		if (TIMESTAMP_NOT_FINITE(t) || t < INT64CONST(-946684800000000))
			ereport(ERROR,
					(errcode(ERRCODE_DATETIME_FIELD_OVERFLOW),
					 errmsg("timestamp %s is out of range for the id of a stream's entry",
							timestamptz_to_str(t))));
		/* unsigned, because the last years overflow otherwise */
		ms = (int64) (((uint64) t + UINT64CONST(946684800000000)) / 1000);
		FeathubRedisOpText(ops, psprintf(INT64_FORMAT "-*", ms));
	}
	else
		FeathubRedisOpText(ops, "*");
	for (int i = 0; i < table->nvalues; i++)
	{
		RedisColumn *column = &table->values[i];

		if (isnull[column->attnum - 1])
			continue;
		FeathubRedisOpText(ops, column->field);
		FeathubRedisOpBytes(ops, FeathubRedisEncode(column->codec, values[column->attnum - 1]));
	}
}

/* A member, its score, a field, or its value changes. */
void
FeathubRedisUpdateElement(RedisWriter *writer, const Datum *values, const bool *isnull,
			   const Datum *old_values, int64 ttl)
{
	RedisTable *table = writer->table;
	RedisOps   *ops = &writer->ops;
	bool	   *none = palloc0(sizeof(bool) * table->rel->tupdesc->natts);
	RedisColumn *column = FeathubRedisMemberColumn(table);
	const char *probe = table->kind == REDIS_KIND_SET ? "SISMEMBER" :
		table->kind == REDIS_KIND_ZSET ? "ZSCORE" : "HEXISTS";
	RedisBytes	old_member = FeathubRedisColumnBytes(writer, column, old_values, none);
	RedisBytes	new_member = FeathubRedisColumnBytes(writer, column, values, isnull);
	bool		changed = writer->old_key.len != writer->new_key.len ||
		memcmp(writer->old_key.data, writer->new_key.data, writer->new_key.len) != 0 ||
		old_member.len != new_member.len ||
		memcmp(old_member.data, new_member.data, new_member.len) != 0;

	if (changed && table->guard != REDIS_GUARD_NONE)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot change elements of foreign table \"%s\"", table->rel->relname),
				 errhint("Insert the new element and delete the old one.")));
	writer->guard.member = new_member;
	FeathubRedisOp(ops, REDIS_CHECK_PRESENT, 3, probe);
	FeathubRedisOpBuffer(ops, &writer->old_key);
	FeathubRedisOpBytes(ops, old_member);
	if (changed)
	{
		FeathubRedisOp(ops, REDIS_CHECK_ABSENT, 3, probe);
		FeathubRedisOpBuffer(ops, &writer->new_key);
		FeathubRedisOpBytes(ops, new_member);
		FeathubRedisOp(ops, REDIS_CHECK_NONE, 3, table->kind == REDIS_KIND_SET ? "SREM" :
					   table->kind == REDIS_KIND_ZSET ? "ZREM" : "HDEL");
		FeathubRedisOpBuffer(ops, &writer->old_key);
		FeathubRedisOpBytes(ops, old_member);
	}
	switch (table->kind)
	{
		case REDIS_KIND_SET:
			FeathubRedisOp(ops, REDIS_CHECK_NONE, 3, "SADD");
			FeathubRedisOpBuffer(ops, &writer->new_key);
			break;
		case REDIS_KIND_ZSET:
			FeathubRedisOp(ops, REDIS_CHECK_NONE, 4, "ZADD");
			FeathubRedisOpBuffer(ops, &writer->new_key);
			FeathubRedisOpText(ops, psprintf("%.17g", row_score(writer, values, isnull)));
			break;
		default:
			FeathubRedisOp(ops, REDIS_CHECK_NONE, 4, "HSET");
			FeathubRedisOpBuffer(ops, &writer->new_key);
			break;
	}
	FeathubRedisOpBytes(ops, new_member);
	if (table->kind == REDIS_KIND_HASH)
		FeathubRedisOpBytes(ops, FeathubRedisColumnBytes(writer, &table->values[0], values, isnull));
	FeathubRedisOpTtl(writer, ttl, false);
}

static double
row_score(RedisWriter *writer, const Datum *values, const bool *isnull)
{
	RedisTable *table = writer->table;
	AttrNumber	attnum = table->metadata[REDIS_META_SCORE];
	double		score;

	if (attnum == 0)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot write to foreign table \"%s\", which has no column with metadata \"score\"",
						table->rel->relname)));
	if (isnull[attnum - 1])
		FeathubRedisNullValue(writer, NameStr(TupleDescAttr(table->rel->tupdesc, attnum - 1)->attname));
	score = DatumGetFloat8(values[attnum - 1]);
	if (isnan(score))
		ereport(ERROR,
				(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				 errmsg("score of a sorted set cannot be NaN")));
	return score;
}

void
FeathubRedisDeleteElement(RedisWriter *writer, const Datum *old_values)
{
	RedisTable *table = writer->table;
	RedisOps   *ops = &writer->ops;
	bool	   *none = palloc0(sizeof(bool) * table->rel->tupdesc->natts);

	if (table->kind == REDIS_KIND_STREAM)
	{
		FeathubRedisOp(ops, REDIS_CHECK_PRESENT, 3, "XDEL");
		FeathubRedisOpBuffer(ops, &writer->old_key);
		FeathubRedisOpText(ops, TextDatumGetCString(old_values[table->metadata[REDIS_META_ID] - 1]));
		return;
	}
	FeathubRedisOp(ops, REDIS_CHECK_PRESENT, 3,
				   table->kind == REDIS_KIND_SET ? "SREM" :
				   table->kind == REDIS_KIND_ZSET ? "ZREM" : "HDEL");
	FeathubRedisOpBuffer(ops, &writer->old_key);
	writer->guard.member = FeathubRedisColumnBytes(writer, FeathubRedisMemberColumn(table),
												   old_values, none);
	FeathubRedisOpBytes(ops, writer->guard.member);
}
