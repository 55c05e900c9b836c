/*
 * redis_write.c
 *		What is written for a row, by kind.
 *
 * Whatever a row takes happens together: it is one command, or one script of
 * several (redis_ops.c).  A key's time to live is left alone unless the table
 * says something about it; a key of another type is an error before anything
 * was changed.
 */
#include "postgres.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"

#include "connectors/redis/redis_node.h"
#include "connectors/redis/redis_write_row.h"

static void set_column(RedisWriter *writer, FeathubColumn *column, const RedisColumn *value);
static void add_to_set(RedisWriter *writer);

RedisWriter *
FeathubRedisWriterMake(RedisTable *table, RedisClient *client, bool with_values)
{
	RedisWriter *writer = palloc0(sizeof(RedisWriter));

	FeathubRedisTableCodecs(table);
	writer->table = table;
	writer->client = client;
	initStringInfo(&writer->value);
	initStringInfo(&writer->new_key);
	initStringInfo(&writer->old_key);
	FeathubRedisOpsReset(&writer->ops);
	FeathubRedisRowsReset(&writer->rows);
	FeathubRedisGuardReset(writer);
	FeathubRedisLatestReset(writer);
	if (table->kind == REDIS_KIND_VALUE && with_values)
	{
		FeathubColumn *columns = palloc0(sizeof(FeathubColumn) * Max(table->nvalues, 1));
		int			n = 0;

		/* the script finds the time at the beginning */
		for (int i = 0; i < table->nvalues && table->guard == REDIS_GUARD_VALUE; i++)
		{
			if (table->values[i].attnum == table->event_time)
				set_column(writer, &columns[n++], &table->values[i]);
		}
		for (int i = 0; i < table->nvalues; i++)
		{
			if (n == 0 || table->values[i].attnum != columns[0].attnum)
				set_column(writer, &columns[n++], &table->values[i]);
		}
		if (table->rel->format->begin_encode == NULL)
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("cannot write to foreign table \"%s\", because format \"%s\" cannot be written",
							table->rel->relname, table->rel->format->name)));
		writer->encoder = FeathubEncoderBegin(table->rel->format, table->rel->tupdesc,
											  table->nvalues, columns, table->rel->format_options);
	}
	return writer;
}

static void
set_column(RedisWriter *writer, FeathubColumn *column, const RedisColumn *value)
{
	column->attnum = value->attnum;
	column->name = value->attname;
	column->typid = value->typid;
	column->typmod = value->typmod;
	column->options = writer->table->rel->column_options[value->attnum - 1];
}

int
FeathubRedisWriteInsert(RedisWriter *writer, RedisRequest *request,
						const Datum *values, const bool *isnull)
{
	RedisTable *table = writer->table;
	bool		upsert = table->options->write_mode == REDIS_WRITE_UPSERT;
	RedisCheck	check = upsert ? REDIS_CHECK_NONE : REDIS_CHECK_ABSENT;
	int64		ttl;

	FeathubRedisGuardRow(writer, values, isnull);
	FeathubRedisRowKeyText(writer, values, isnull, &writer->new_key);
	if (FeathubRedisIsLatest(writer))
		return FeathubRedisLatestRow(writer, request, values, isnull);
	ttl = FeathubRedisRowTtl(writer, values, isnull);
	FeathubRedisOpsReset(&writer->ops);
	if (table->kind == REDIS_KIND_FEATURES)
		return FeathubRedisWriteFeatures(writer, request, values, isnull, check);
	FeathubRedisOpsKey(&writer->ops, writer->new_key.data, writer->new_key.len);
	if (table->kind == REDIS_KIND_STREAM)
	{
		int			command;

		FeathubRedisInsertEntry(writer, values, isnull);
		add_to_set(writer);
		command = FeathubRedisOpsSend(&writer->ops, request);
		/* not together with the entry, whose id is the reply */
		if (ttl > 0)
			FeathubRedisCommand(request, NULL, "PEXPIRE", writer->new_key.data,
								writer->new_key.len, 1,
								(const char *const[]) {psprintf(INT64_FORMAT, ttl)});
		return command;
	}
	if (table->element_rows)
		FeathubRedisInsertElement(writer, values, isnull, ttl);
	else if (table->kind == REDIS_KIND_HASH)
		FeathubRedisWriteHash(writer, values, isnull, check, ttl);
	else if (table->kind == REDIS_KIND_LIST || table->kind == REDIS_KIND_SET)
		FeathubRedisWriteArray(writer, values, isnull, check, ttl);
	else
		FeathubRedisWriteString(writer, values, isnull, check, ttl);
	add_to_set(writer);
	return FeathubRedisGuardSend(writer, request, ttl);
}

int
FeathubRedisWriteUpdate(RedisWriter *writer, RedisRequest *request,
						const Datum *values, const bool *isnull, const Datum *old_values)
{
	RedisTable *table = writer->table;
	RedisOps   *ops = &writer->ops;
	bool	   *none = palloc0(sizeof(bool) * table->rel->tupdesc->natts);
	int64		ttl = REDIS_TTL_LEAVE;
	bool		moved;

	FeathubRedisGuardRow(writer, values, isnull);
	if (table->metadata[REDIS_META_TTL] == 0 ||
		FeathubRedisIsTarget(writer, table->metadata[REDIS_META_TTL]))
		ttl = FeathubRedisRowTtl(writer, values, isnull);
	FeathubRedisOpsReset(ops);
	FeathubRedisRowKeyText(writer, old_values, none, &writer->old_key);
	FeathubRedisRowKeyText(writer, values, isnull, &writer->new_key);
	moved = writer->old_key.len != writer->new_key.len ||
		memcmp(writer->old_key.data, writer->new_key.data, writer->new_key.len) != 0;
	if (moved && (table->kind == REDIS_KIND_FEATURES || table->options->key_set ||
				  table->guard != REDIS_GUARD_NONE))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot change key columns of foreign table \"%s\"", table->rel->relname),
				 errhint("Insert the row with the new key and delete the old one.")));
	if (table->kind == REDIS_KIND_FEATURES)
		return FeathubRedisWriteFeatures(writer, request, values, isnull, REDIS_CHECK_PRESENT);

	FeathubRedisOpsKey(ops, writer->old_key.data, writer->old_key.len);
	if (moved)
		FeathubRedisOpsKey(ops, writer->new_key.data, writer->new_key.len);
	if (table->element_rows)
	{
		FeathubRedisUpdateElement(writer, values, isnull, old_values, ttl);
		return FeathubRedisGuardSend(writer, request, ttl);
	}
	if (moved)
	{
		FeathubRedisOp(ops, REDIS_CHECK_PRESENT, 2, "EXISTS");
		FeathubRedisOpBuffer(ops, &writer->old_key);
		FeathubRedisOp(ops, REDIS_CHECK_ABSENT, 2, "EXISTS");
		FeathubRedisOpBuffer(ops, &writer->new_key);
		FeathubRedisOp(ops, REDIS_CHECK_NONE, 3, "RENAME");
		FeathubRedisOpBuffer(ops, &writer->old_key);
		FeathubRedisOpBuffer(ops, &writer->new_key);
	}
	if (table->kind == REDIS_KIND_HASH)
		FeathubRedisWriteHash(writer, values, isnull, REDIS_CHECK_PRESENT, ttl);
	else if (table->kind == REDIS_KIND_LIST || table->kind == REDIS_KIND_SET)
		FeathubRedisWriteArray(writer, values, isnull, REDIS_CHECK_PRESENT, ttl);
	else
		FeathubRedisWriteString(writer, values, isnull, REDIS_CHECK_PRESENT, ttl);
	return FeathubRedisGuardSend(writer, request, ttl);
}

int
FeathubRedisWriteDelete(RedisWriter *writer, RedisRequest *request, const Datum *old_values)
{
	RedisTable *table = writer->table;
	RedisOps   *ops = &writer->ops;
	bool	   *none = palloc0(sizeof(bool) * table->rel->tupdesc->natts);

	FeathubRedisOpsReset(ops);
	resetStringInfo(&writer->new_key);
	FeathubRedisRowKeyText(writer, old_values, none, &writer->old_key);
	if (table->kind == REDIS_KIND_FEATURES)
		return FeathubRedisDeleteFeatures(writer, request);
	FeathubRedisOpsKey(ops, writer->old_key.data, writer->old_key.len);
	if (!table->element_rows)
	{
		FeathubRedisOp(ops, REDIS_CHECK_PRESENT, 2, "UNLINK");
		FeathubRedisOpBuffer(ops, &writer->old_key);
		if (table->options->key_set)
		{
			FeathubRedisOpsKey(ops, table->options->key_set, strlen(table->options->key_set));
			FeathubRedisOp(ops, REDIS_CHECK_NONE, 3, "SREM");
			FeathubRedisOpText(ops, table->options->key_set);
			FeathubRedisOpBuffer(ops, &writer->old_key);
		}
	}
	else
		FeathubRedisDeleteElement(writer, old_values);
	return FeathubRedisGuardSend(writer, request, REDIS_TTL_NONE);
}

List *
FeathubRedisRowKey(RedisTable *table)
{
	List	   *attnums = NIL;

	for (int i = 0; i < table->nkeys; i++)
		attnums = lappend_int(attnums, table->keys[i].attnum);
	if (!table->element_rows)
		return attnums;
	switch (table->kind)
	{
		case REDIS_KIND_STREAM:
			if (table->metadata[REDIS_META_ID] == 0)
				return NIL;
			return lappend_int(attnums, table->metadata[REDIS_META_ID]);
		case REDIS_KIND_LIST:
			/* a place in a list is nothing that stays */
			return NIL;
		default:
			if (FeathubRedisMemberColumn(table) == NULL)
				return NIL;
			return lappend_int(attnums, FeathubRedisMemberColumn(table)->attnum);
	}
}

/* The column that names an element of a set, sorted set or hash. */
RedisColumn *
FeathubRedisMemberColumn(RedisTable *table)
{
	if (table->kind == REDIS_KIND_HASH)
		return &table->field;
	return table->nvalues > 0 ? &table->values[0] : NULL;
}

bool
FeathubRedisIsTarget(RedisWriter *writer, AttrNumber attnum)
{
	return writer->targets == NULL || bms_is_member(attnum, writer->targets);
}

bool
FeathubRedisAnyTarget(RedisWriter *writer)
{
	for (int i = 0; i < writer->table->nvalues; i++)
	{
		if (FeathubRedisIsTarget(writer, writer->table->values[i].attnum))
			return true;
	}
	return false;
}

/* The row's key. */
void
FeathubRedisRowKeyText(RedisWriter *writer, const Datum *values, const bool *isnull, StringInfo key)
{
	RedisTable *table = writer->table;
	Datum	   *parts = palloc(sizeof(Datum) * Max(table->nkeys, 1));
	bool	   *nulls = palloc(sizeof(bool) * Max(table->nkeys, 1));

	for (int i = 0; i < table->nkeys; i++)
	{
		parts[i] = values[table->keys[i].attnum - 1];
		nulls[i] = isnull[table->keys[i].attnum - 1];
	}
	resetStringInfo(key);
	FeathubRedisTableKey(table, parts, nulls, key);
}

/* The time to live that the row's key is to have, in ms, or TTL_... */
int64
FeathubRedisRowTtl(RedisWriter *writer, const Datum *values, const bool *isnull)
{
	RedisTable *table = writer->table;
	AttrNumber	attnum = table->metadata[REDIS_META_TTL];
	double		ms;

	if (attnum == 0 || isnull[attnum - 1])
	{
		if (table->options->ttl > 0)
			return (int64) ceil(table->options->ttl * 1000);
		return attnum == 0 ? REDIS_TTL_LEAVE : REDIS_TTL_NONE;
	}
	switch (TupleDescAttr(table->rel->tupdesc, attnum - 1)->atttypid)
	{
		case INT4OID:
			ms = DatumGetInt32(values[attnum - 1]) * 1000.0;
			break;
		case INT8OID:
			ms = DatumGetInt64(values[attnum - 1]) * 1000.0;
			break;
		case FLOAT8OID:
			ms = ceil(DatumGetFloat8(values[attnum - 1]) * 1000.0);
			break;
		case TIMESTAMPTZOID:
			{
				TimestampTz time = DatumGetTimestampTz(values[attnum - 1]);

				TimestampTz base = GetCurrentTimestamp();

				if (TIMESTAMP_IS_NOEND(time))
					return REDIS_TTL_NONE;
				/* it says when, whatever others count from */
				if (FeathubRedisTtlFromEvent(writer))
					base = DatumGetTimestampTz(values[table->event_time - 1]);
				ms = TIMESTAMP_IS_NOBEGIN(time) ? 0 : ceil((time - base) / 1000.0);
			}
			break;
		default:
			{
				Interval   *interval = DatumGetIntervalP(values[attnum - 1]);

				ms = ceil((interval->time +
						   (interval->day + interval->month * (double) DAYS_PER_MONTH) *
						   (double) USECS_PER_DAY) / 1000.0);
			}
			break;
	}
	if (!(ms > 0) || ms > 9.0e15)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("time to live in column \"%s\" of foreign table \"%s\" is out of range",
						NameStr(TupleDescAttr(table->rel->tupdesc, attnum - 1)->attname),
						table->rel->relname),
				 errdetail("It must be more than nothing."),
				 errhint("NULL means that the key stays.")));
	return (int64) ms;
}

/* Add the command that sets it. */
void
FeathubRedisOpTtl(RedisWriter *writer, int64 ttl, bool new_key)
{
	RedisOps   *ops = &writer->ops;

	if (ttl > 0 && writer->table->element_rows && FeathubRedisTtlFromEvent(writer))
	{
		/* an element that is older takes no time from the others */
		for (int i = 0; i < 2; i++)
		{
			FeathubRedisOp(ops, REDIS_CHECK_NONE, 4, "PEXPIREAT");
			FeathubRedisOpBuffer(ops, &writer->new_key);
			FeathubRedisOpTtlWord(writer, ttl);
			FeathubRedisOpText(ops, i == 0 ? "NX" : "GT");
		}
	}
	else if (ttl > 0)
	{
		FeathubRedisOp(ops, REDIS_CHECK_NONE, 3, FeathubRedisTtlFromEvent(writer) ? "PEXPIREAT" : "PEXPIRE");
		FeathubRedisOpBuffer(ops, &writer->new_key);
		FeathubRedisOpTtlWord(writer, ttl);
	}
	else if (ttl == REDIS_TTL_NONE && !new_key)
	{
		FeathubRedisOp(ops, REDIS_CHECK_NONE, 2, "PERSIST");
		FeathubRedisOpBuffer(ops, &writer->new_key);
	}
}

/* The number for PEXPIRE and PX, or for PEXPIREAT and PXAT. */
void
FeathubRedisOpTtlWord(RedisWriter *writer, int64 ttl)
{
	/* what is over already goes at once; 0 would be refused */
	FeathubRedisOpInt(&writer->ops, FeathubRedisTtlFromEvent(writer) ? Max(writer->guard.base + ttl, 1) : ttl);
}

/* Do times to live count from the row's event time? */
bool
FeathubRedisTtlFromEvent(const RedisWriter *writer)
{
	return writer->table->options->ttl_from == REDIS_TTL_EVENT_TIME;
}

/* Do rows come with a time to live? */
bool
FeathubRedisTellsTtl(const RedisTable *table)
{
	return table->options->ttl > 0 || table->metadata[REDIS_META_TTL] != 0;
}

/* The bytes of a column that must have a value. */
RedisBytes
FeathubRedisColumnBytes(RedisWriter *writer, RedisColumn *column, const Datum *values,
			 const bool *isnull)
{
	if (isnull[column->attnum - 1])
		FeathubRedisNullValue(writer, column->attname);
	return FeathubRedisEncode(column->codec, values[column->attnum - 1]);
}

void
FeathubRedisOpBytes(RedisOps *ops, RedisBytes bytes)
{
	FeathubRedisOpWord(ops, bytes.data, bytes.len);
}

void
FeathubRedisOpBuffer(RedisOps *ops, StringInfo key)
{
	FeathubRedisOpWord(ops, key->data, key->len);
}

void
FeathubRedisOpExists(RedisWriter *writer, RedisCheck check)
{
	FeathubRedisOp(&writer->ops, check, 2, "EXISTS");
	FeathubRedisOpBuffer(&writer->ops, &writer->new_key);
}

/* The elements of an array, as commands that append to a list or set. */
void
FeathubRedisOpArray(RedisWriter *writer, RedisColumn *column, StringInfo key, Datum value,
		   const char *command)
{
	RedisCodec *codec = column->codec;
	ArrayType  *array = DatumGetArrayTypeP(value);
	Datum	   *elements;
	bool	   *nulls;
	int			n;

	deconstruct_array(array, ARR_ELEMTYPE(array), codec->elmlen, codec->elmbyval,
					  codec->elmalign, &elements, &nulls, &n);
	for (int i = 0; i < n; i++)
	{
		if (nulls[i])
			ereport(ERROR,
					(errcode(ERRCODE_NOT_NULL_VIOLATION),
					 errmsg("null element in column \"%s\" of foreign table \"%s\"",
							column->attname, writer->table->rel->relname),
					 errdetail("Redis has no nulls in lists and sets.")));
		if (i % REDIS_WORDS == 0)
		{
			FeathubRedisOp(&writer->ops, REDIS_CHECK_NONE, 2 + Min(REDIS_WORDS, n - i), command);
			FeathubRedisOpBuffer(&writer->ops, key);
		}
		FeathubRedisOpBytes(&writer->ops, FeathubRedisEncode(codec->element, elements[i]));
	}
}

/* The set that names the table's keys gets the new one. */
static void
add_to_set(RedisWriter *writer)
{
	const char *set = writer->table->options->key_set;

	if (set == NULL)
		return;
	FeathubRedisOpsKey(&writer->ops, set, strlen(set));
	FeathubRedisOp(&writer->ops, REDIS_CHECK_NONE, 3, "SADD");
	FeathubRedisOpText(&writer->ops, set);
	FeathubRedisOpBuffer(&writer->ops, &writer->new_key);
}

void
FeathubRedisNullValue(RedisWriter *writer, const char *column)
{
	RedisTable *table = writer->table;

	if (column)
		ereport(ERROR,
				(errcode(ERRCODE_NOT_NULL_VIOLATION),
				 errmsg("column \"%s\" of foreign table \"%s\" has nothing that Redis could store",
						column, table->rel->relname),
				 errdetail("Redis has no nulls and no empty lists and sets.")));
	ereport(ERROR,
			(errcode(ERRCODE_NOT_NULL_VIOLATION),
			 errmsg("row of foreign table \"%s\" has no value that Redis could store",
					table->rel->relname),
			 errdetail("A key without any value does not exist.")));
}
