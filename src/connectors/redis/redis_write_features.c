/*
 * redis_write_features.c
 *		FeatHub's layout: a row is a key for each column.
 */
#include "postgres.h"

#include <math.h>

#include "connectors/redis/redis_node.h"
#include "connectors/redis/redis_write_row.h"

static void write_feature(RedisWriter *writer, int n, StringInfo key, const Datum *values,
						  const bool *isnull, int64 ttl);
static void refuse_apart(RedisWriter *writer, bool apart);
static bool features_apart(RedisWriter *writer);
static void feature_key(RedisWriter *writer, int n, StringInfo key);

/* FeatHub's layout: a key for each column, none for NULL */
int
FeathubRedisWriteFeatures(RedisWriter *writer, RedisRequest *request, const Datum *values,
			   const bool *isnull, RedisCheck check)
{
	RedisTable *table = writer->table;
	RedisOps   *ops = &writer->ops;
	int64		ttl = table->options->ttl > 0 ? (int64) ceil(table->options->ttl * 1000) : REDIS_TTL_LEAVE;
	bool		apart = features_apart(writer);
	int			first = request->ncommands;
	StringInfoData key;

	if (apart && check == REDIS_CHECK_ABSENT)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("write_mode \"insert\" of foreign table \"%s\" needs the keys of a row to share a slot",
						table->rel->relname),
				 errhint("Use write_mode 'upsert', or a key_pattern with the key columns between {{ and }}.")));
	refuse_apart(writer, apart);
	initStringInfo(&key);
	if (!apart)
	{
		for (int i = 0; i < table->nvalues; i++)
		{
			feature_key(writer, i, &key);
			FeathubRedisOpsKey(ops, key.data, key.len);
		}
		if (check != REDIS_CHECK_NONE)
		{
			FeathubRedisOp(ops, check, 1 + table->nvalues, "EXISTS");
			for (int i = 0; i < table->nvalues; i++)
			{
				feature_key(writer, i, &key);
				FeathubRedisOpBuffer(ops, &key);
			}
		}
	}
	for (int i = 0; i < table->nvalues; i++)
	{
		if (!FeathubRedisIsTarget(writer, table->values[i].attnum))
			continue;
		feature_key(writer, i, &key);
		if (apart)
			FeathubRedisOpsKey(ops, key.data, key.len);
		write_feature(writer, i, &key, values, isnull, ttl);
		if (apart)
		{
			(void) FeathubRedisGuardSend(writer, request, ttl);
			FeathubRedisOpsReset(ops);
		}
	}
	if (!apart)
		(void) FeathubRedisGuardSend(writer, request, ttl);
	return first;
}

static void
count_word(void *arg, const char *word, Size len)
{
	++*(int *) arg;
}

/* The words of a list or map on their way into commands. */
typedef struct FeatureWords
{
	RedisOps   *ops;
	StringInfo	key;
	const char *command;
	int			left;			/* words to come */
	int			room;			/* in the command that was begun */
} FeatureWords;

static void
add_word(void *arg, const char *word, Size len)
{
	FeatureWords *words = arg;

	if (words->room == 0)
	{
		/* an even number: a field and its value are not parted */
		words->room = Min(words->left, REDIS_WORDS);
		FeathubRedisOp(words->ops, REDIS_CHECK_NONE, 2 + words->room, words->command);
		FeathubRedisOpBuffer(words->ops, words->key);
	}
	FeathubRedisOpWord(words->ops, word, len);
	words->left--;
	words->room--;
}

/* One feature; the key of another type is an error. */
static void
write_feature(RedisWriter *writer, int n, StringInfo key, const Datum *values,
			  const bool *isnull, int64 ttl)
{
	RedisTable *table = writer->table;
	RedisColumn *column = &table->values[n];
	RedisOps   *ops = &writer->ops;
	Datum		value = values[column->attnum - 1];
	bool		list = column->elements || (column->map && FeathubRedisFeatureIsList(column));
	int			nwords = 0;

	if (isnull[column->attnum - 1])
	{
		FeathubRedisOp(ops, REDIS_CHECK_NONE, 2, "DEL");
		FeathubRedisOpBuffer(ops, key);
		return;
	}
	if (!column->elements && !column->map)
	{
		RedisBytes	bytes = FeathubRedisEncode(column->codec, value);

		FeathubRedisOp(ops, REDIS_CHECK_NONE, 4 + (ttl > 0 ? 2 : 0), "SET");
		FeathubRedisOpBuffer(ops, key);
		FeathubRedisOpBytes(ops, bytes);
		FeathubRedisOpText(ops, "GET");
		if (ttl > 0)
		{
			FeathubRedisOpText(ops, FeathubRedisTtlFromEvent(writer) ? "PXAT" : "PX");
			FeathubRedisOpTtlWord(writer, ttl);
		}
		return;
	}
	FeathubRedisOp(ops, REDIS_CHECK_NONE, 2, list ? "LLEN" : "HLEN");
	FeathubRedisOpBuffer(ops, key);
	if (list || !table->options->hash_partial_update)
	{
		FeathubRedisOp(ops, REDIS_CHECK_NONE, 2, "DEL");
		FeathubRedisOpBuffer(ops, key);
	}
	if (column->elements)
		FeathubRedisOpArray(writer, column, key, value, "RPUSH");
	else
	{
		(void) FeathubRedisFeatureWords(column, value, count_word, &nwords);
		if (nwords > 0)
		{
			FeatureWords words = {
				.ops = ops,.key = key,.command = list ? "RPUSH" : "HSET",.left = nwords
			};

			(void) FeathubRedisFeatureWords(column, value, add_word, &words);
		}
	}
	if (ttl > 0)
	{
		FeathubRedisOp(ops, REDIS_CHECK_NONE, 3, FeathubRedisTtlFromEvent(writer) ? "PEXPIREAT" : "PEXPIRE");
		FeathubRedisOpBuffer(ops, key);
		FeathubRedisOpTtlWord(writer, ttl);
	}
}

/* A guard is one key: it cannot be written together with keys of other slots. */
static void
refuse_apart(RedisWriter *writer, bool apart)
{
	if (apart && writer->table->guard != REDIS_GUARD_NONE)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("the event time of foreign table \"%s\" needs the keys of a row to share a slot",
						writer->table->rel->relname),
				 errhint("Use a key_pattern with the key columns between {{ and }}.")));
}

/* Are the keys of a row in several slots of a cluster? */
static bool
features_apart(RedisWriter *writer)
{
	int			slot = -1;
	StringInfoData key;

	if (!FeathubRedisIsCluster(writer->client))
		return false;
	initStringInfo(&key);
	for (int i = 0; i < writer->table->nvalues; i++)
	{
		feature_key(writer, i, &key);
		if (slot >= 0 && slot != FeathubRedisSlot(key.data, key.len))
			return true;
		slot = FeathubRedisSlot(key.data, key.len);
	}
	return false;
}

/* The key of a feature, of the row whose first feature's key was made last. */
static void
feature_key(RedisWriter *writer, int n, StringInfo key)
{
	RedisTable *table = writer->table;
	StringInfo	first = writer->new_key.len > 0 ? &writer->new_key : &writer->old_key;
	RedisBytes *parts = palloc(sizeof(RedisBytes) * Max(table->nkeys, 1));

	(void) FeathubRedisKeyMatch(&table->template, first->data, first->len, parts);
	resetStringInfo(key);
	FeathubRedisKeyRender(&table->features[n], parts, key);
	pfree(parts);
}

int
FeathubRedisDeleteFeatures(RedisWriter *writer, RedisRequest *request)
{
	RedisTable *table = writer->table;
	RedisOps   *ops = &writer->ops;
	bool		apart = features_apart(writer);
	int			first = request->ncommands;
	StringInfoData key;

	refuse_apart(writer, apart);
	initStringInfo(&key);
	for (int i = 0; i < table->nvalues; i++)
	{
		feature_key(writer, i, &key);
		FeathubRedisOpsKey(ops, key.data, key.len);
		if (i == 0 || apart)
			FeathubRedisOp(ops, REDIS_CHECK_PRESENT, apart ? 2 : 1 + table->nvalues, "UNLINK");
		FeathubRedisOpBuffer(ops, &key);
		if (apart)
		{
			(void) FeathubRedisGuardSend(writer, request, REDIS_TTL_NONE);
			FeathubRedisOpsReset(ops);
		}
	}
	if (!apart)
		(void) FeathubRedisGuardSend(writer, request, REDIS_TTL_NONE);
	return first;
}
