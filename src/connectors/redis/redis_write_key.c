/*
 * redis_write_key.c
 *		Rows that are keys: strings, values of a format, hashes, and lists and sets
 *		in an array column.
 */
#include "postgres.h"

#include "utils/array.h"

#include "connectors/redis/redis_write_row.h"

RedisBytes
FeathubRedisValueBytes(RedisWriter *writer, const Datum *values, const bool *isnull)
{
	RedisBytes	value;

	if (writer->encoder == NULL)
		return FeathubRedisColumnBytes(writer, &writer->table->values[0], values, isnull);
	resetStringInfo(&writer->value);
	if (!FeathubEncode(writer->encoder, (Datum *) values, (bool *) isnull, &writer->value))
		FeathubRedisNullValue(writer, NULL);
	value.data = writer->value.data;
	value.len = writer->value.len;
	return value;
}

/* Kinds string and value */
void
FeathubRedisWriteString(RedisWriter *writer, const Datum *values, const bool *isnull,
			 RedisCheck check, int64 ttl)
{
	RedisOps   *ops = &writer->ops;
	bool		insert = check == REDIS_CHECK_ABSENT;
	bool		keep = ttl == REDIS_TTL_LEAVE && !insert;
	RedisBytes	value;

	if (check == REDIS_CHECK_PRESENT && !FeathubRedisAnyTarget(writer))
	{
		FeathubRedisOpExists(writer, check);
		FeathubRedisOpTtl(writer, ttl, false);
		return;
	}
	value = FeathubRedisValueBytes(writer, values, isnull);

	/*
	 * A reply of nil means that nothing was set (NX) or nothing was there (XX
	 * GET).  GET makes a key of another type an error.
	 */
	FeathubRedisOp(ops, check == REDIS_CHECK_NONE ? REDIS_CHECK_NONE : REDIS_CHECK_PRESENT,
				   3 + (check == REDIS_CHECK_NONE ? 1 : insert ? 1 : 2) +
				   (ttl > 0 ? 2 : keep ? 1 : 0), "SET");
	FeathubRedisOpBuffer(ops, &writer->new_key);
	FeathubRedisOpBytes(ops, value);
	if (insert)
		FeathubRedisOpText(ops, "NX");
	else if (check == REDIS_CHECK_PRESENT)
		FeathubRedisOpText(ops, "XX");
	if (!insert)
		FeathubRedisOpText(ops, "GET");
	if (ttl > 0)
	{
		FeathubRedisOpText(ops, FeathubRedisTtlFromEvent(writer) ? "PXAT" : "PX");
		FeathubRedisOpTtlWord(writer, ttl);
	}
	else if (keep)
		FeathubRedisOpText(ops, "KEEPTTL");
}

/* A hash with a field for each column; NULL is a field that is not there. */
void
FeathubRedisWriteHash(RedisWriter *writer, const Datum *values, const bool *isnull,
		   RedisCheck check, int64 ttl)
{
	RedisTable *table = writer->table;
	RedisOps   *ops = &writer->ops;
	int			nset = 0;
	int			nnull = 0;
	int			nrest = 0;

	for (int i = 0; i < table->nvalues; i++)
	{
		RedisColumn *column = &table->values[i];

		if (!FeathubRedisIsTarget(writer, column->attnum))
			nrest += !isnull[column->attnum - 1];
		else if (isnull[column->attnum - 1])
			nnull++;
		else
			nset++;
	}
	/* a hash without fields does not exist */
	if (nset + nrest == 0)
		FeathubRedisNullValue(writer, NULL);
	if (check != REDIS_CHECK_NONE)
		FeathubRedisOpExists(writer, check);
	if (nset > 0)
	{
		FeathubRedisOp(ops, REDIS_CHECK_NONE, 2 + 2 * nset, "HSET");
		FeathubRedisOpBuffer(ops, &writer->new_key);
	}
	for (int i = 0; i < table->nvalues && nset > 0; i++)
	{
		RedisColumn *column = &table->values[i];

		if (!FeathubRedisIsTarget(writer, column->attnum) || isnull[column->attnum - 1])
			continue;
		FeathubRedisOpText(ops, column->field);
		FeathubRedisOpBytes(ops, FeathubRedisEncode(column->codec, values[column->attnum - 1]));
	}
	if (nnull > 0 && check != REDIS_CHECK_ABSENT)
	{
		FeathubRedisOp(ops, REDIS_CHECK_NONE, 2 + nnull, "HDEL");
		FeathubRedisOpBuffer(ops, &writer->new_key);
		for (int i = 0; i < table->nvalues; i++)
		{
			RedisColumn *column = &table->values[i];

			if (FeathubRedisIsTarget(writer, column->attnum) && isnull[column->attnum - 1])
				FeathubRedisOpText(ops, column->field);
		}
	}
	FeathubRedisOpTtl(writer, ttl, check == REDIS_CHECK_ABSENT);
}

/* A list or set in an array column */
void
FeathubRedisWriteArray(RedisWriter *writer, const Datum *values, const bool *isnull,
			   RedisCheck check, int64 ttl)
{
	RedisTable *table = writer->table;
	RedisColumn *column = &table->values[0];
	RedisOps   *ops = &writer->ops;
	bool		list = table->kind == REDIS_KIND_LIST;
	int			n = 0;

	if (check == REDIS_CHECK_PRESENT && !FeathubRedisAnyTarget(writer))
	{
		FeathubRedisOpExists(writer, check);
		FeathubRedisOpTtl(writer, ttl, false);
		return;
	}
	if (!isnull[column->attnum - 1])
		n = ArrayGetNItems(ARR_NDIM(DatumGetArrayTypeP(values[column->attnum - 1])),
						   ARR_DIMS(DatumGetArrayTypeP(values[column->attnum - 1])));
	if (n == 0)
		FeathubRedisNullValue(writer, column->attname);
	if (check != REDIS_CHECK_NONE)
		FeathubRedisOpExists(writer, check);
	if (check != REDIS_CHECK_ABSENT && !list)
	{
		/* the first raises an error for a key of another type */
		FeathubRedisOp(ops, REDIS_CHECK_NONE, 2, "SCARD");
		FeathubRedisOpBuffer(ops, &writer->new_key);
		FeathubRedisOp(ops, REDIS_CHECK_NONE, 2, "DEL");
		FeathubRedisOpBuffer(ops, &writer->new_key);
	}
	FeathubRedisOpArray(writer, column, &writer->new_key, values[column->attnum - 1],
			   list ? "RPUSH" : "SADD");
	if (check != REDIS_CHECK_ABSENT && list)
	{
		/* what was there goes last: the list is never missing, nor longer in a full server */
		FeathubRedisOp(ops, REDIS_CHECK_NONE, 4, "LTRIM");
		FeathubRedisOpBuffer(ops, &writer->new_key);
		FeathubRedisOpInt(ops, -n);
		FeathubRedisOpInt(ops, -1);
	}
	FeathubRedisOpTtl(writer, ttl, check == REDIS_CHECK_ABSENT || !list);
}
