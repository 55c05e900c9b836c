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
#include "connectors/redis/redis_write.h"

/* Elements of a command that writes a list or set: the script unpacks them. */
#define CHUNK		1000

/* Rows and bytes of one script: others wait for the server meanwhile. */
#define SCRIPT_ROWS		128
#define SCRIPT_BYTES	(256 * 1024)

/* Times to live that are no number of milliseconds. */
#define TTL_LEAVE	(-1)
#define TTL_NONE	(-2)

static bool is_target(RedisWriter *writer, AttrNumber attnum);
static void make_key(RedisWriter *writer, const Datum *values, const bool *isnull,
					 StringInfo key);
static int64 row_ttl(RedisWriter *writer, const Datum *values, const bool *isnull);
static void set_ttl(RedisWriter *writer, int64 ttl, bool new_key);
static void add_ttl(RedisWriter *writer, int64 ttl);
static bool from_event(RedisWriter *writer);
static void refuse_apart(RedisWriter *writer, bool apart);
static void write_string(RedisWriter *writer, const Datum *values, const bool *isnull,
						 RedisCheck check, int64 ttl);
static void write_hash(RedisWriter *writer, const Datum *values, const bool *isnull,
					   RedisCheck check, int64 ttl);
static void write_elements(RedisWriter *writer, const Datum *values, const bool *isnull,
						   RedisCheck check, int64 ttl);
static void insert_element(RedisWriter *writer, const Datum *values, const bool *isnull,
						   int64 ttl);
static void insert_entry(RedisWriter *writer, const Datum *values, const bool *isnull);
static void update_element(RedisWriter *writer, const Datum *values, const bool *isnull,
						   const Datum *old_values, int64 ttl);
static int	write_features(RedisWriter *writer, RedisRequest *request, const Datum *values,
						   const bool *isnull, RedisCheck check);
static void write_feature(RedisWriter *writer, int n, StringInfo key, const Datum *values,
						  const bool *isnull, int64 ttl);
static bool features_apart(RedisWriter *writer);
static void feature_key(RedisWriter *writer, int n, StringInfo key);
static RedisBytes column_bytes(RedisWriter *writer, RedisColumn *column,
							   const Datum *values, const bool *isnull);
static double row_score(RedisWriter *writer, const Datum *values, const bool *isnull);
static void op_bytes(RedisOps *ops, RedisBytes bytes);
static void op_key(RedisOps *ops, StringInfo key);
static void add_to_set(RedisWriter *writer);
static void reset_rows(RedisRows *rows);
static bool has_ttl(RedisTable *table);
static void null_value(RedisWriter *writer, const char *column) pg_attribute_noreturn();
static RedisColumn *member_column(RedisTable *table);

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
	reset_rows(&writer->rows);
	FeathubRedisGuardReset(writer);
	if (table->kind == REDIS_KIND_VALUE && with_values)
	{
		FeathubColumn *columns = palloc0(sizeof(FeathubColumn) * Max(table->nvalues, 1));

		for (int i = 0; i < table->nvalues; i++)
		{
			columns[i].attnum = table->values[i].attnum;
			columns[i].name = table->values[i].attname;
			columns[i].typid = table->values[i].typid;
			columns[i].typmod = table->values[i].typmod;
			columns[i].options = table->rel->column_options[table->values[i].attnum - 1];
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

int
FeathubRedisWriteInsert(RedisWriter *writer, RedisRequest *request,
						const Datum *values, const bool *isnull)
{
	RedisTable *table = writer->table;
	bool		upsert = table->options->write_mode == REDIS_WRITE_UPSERT;
	RedisCheck	check = upsert ? REDIS_CHECK_NONE : REDIS_CHECK_ABSENT;
	int64		ttl;

	FeathubRedisGuardRow(writer, values, isnull);
	ttl = row_ttl(writer, values, isnull);
	FeathubRedisOpsReset(&writer->ops);
	make_key(writer, values, isnull, &writer->new_key);
	if (table->kind == REDIS_KIND_FEATURES)
		return write_features(writer, request, values, isnull, check);
	FeathubRedisOpsKey(&writer->ops, writer->new_key.data, writer->new_key.len);
	if (table->kind == REDIS_KIND_STREAM)
	{
		int			command;

		insert_entry(writer, values, isnull);
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
		insert_element(writer, values, isnull, ttl);
	else if (table->kind == REDIS_KIND_HASH)
		write_hash(writer, values, isnull, check, ttl);
	else if (table->kind == REDIS_KIND_LIST || table->kind == REDIS_KIND_SET)
		write_elements(writer, values, isnull, check, ttl);
	else
		write_string(writer, values, isnull, check, ttl);
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
	int64		ttl = TTL_LEAVE;
	bool		moved;

	FeathubRedisGuardRow(writer, values, isnull);
	if (table->metadata[REDIS_META_TTL] == 0 ||
		is_target(writer, table->metadata[REDIS_META_TTL]))
		ttl = row_ttl(writer, values, isnull);
	FeathubRedisOpsReset(ops);
	make_key(writer, old_values, none, &writer->old_key);
	make_key(writer, values, isnull, &writer->new_key);
	moved = writer->old_key.len != writer->new_key.len ||
		memcmp(writer->old_key.data, writer->new_key.data, writer->new_key.len) != 0;
	if (moved && (table->kind == REDIS_KIND_FEATURES || table->options->key_set ||
				  table->guard != REDIS_GUARD_NONE))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot change key columns of foreign table \"%s\"", table->rel->relname),
				 errhint("Insert the row with the new key and delete the old one.")));
	if (table->kind == REDIS_KIND_FEATURES)
		return write_features(writer, request, values, isnull, REDIS_CHECK_PRESENT);

	FeathubRedisOpsKey(ops, writer->old_key.data, writer->old_key.len);
	if (moved)
		FeathubRedisOpsKey(ops, writer->new_key.data, writer->new_key.len);
	if (table->element_rows)
	{
		update_element(writer, values, isnull, old_values, ttl);
		return FeathubRedisGuardSend(writer, request, ttl);
	}
	if (moved)
	{
		FeathubRedisOp(ops, REDIS_CHECK_PRESENT, 2, "EXISTS");
		op_key(ops, &writer->old_key);
		FeathubRedisOp(ops, REDIS_CHECK_ABSENT, 2, "EXISTS");
		op_key(ops, &writer->new_key);
		FeathubRedisOp(ops, REDIS_CHECK_NONE, 3, "RENAME");
		op_key(ops, &writer->old_key);
		op_key(ops, &writer->new_key);
	}
	if (table->kind == REDIS_KIND_HASH)
		write_hash(writer, values, isnull, REDIS_CHECK_PRESENT, ttl);
	else if (table->kind == REDIS_KIND_LIST || table->kind == REDIS_KIND_SET)
		write_elements(writer, values, isnull, REDIS_CHECK_PRESENT, ttl);
	else
		write_string(writer, values, isnull, REDIS_CHECK_PRESENT, ttl);
	return FeathubRedisGuardSend(writer, request, ttl);
}

int
FeathubRedisWriteDelete(RedisWriter *writer, RedisRequest *request, const Datum *old_values)
{
	RedisTable *table = writer->table;
	RedisOps   *ops = &writer->ops;
	bool	   *none = palloc0(sizeof(bool) * table->rel->tupdesc->natts);
	int			first = request->ncommands;

	FeathubRedisOpsReset(ops);
	resetStringInfo(&writer->new_key);
	make_key(writer, old_values, none, &writer->old_key);
	if (table->kind == REDIS_KIND_FEATURES)
	{
		bool		apart = features_apart(writer);
		StringInfoData key;

		refuse_apart(writer, apart);
		initStringInfo(&key);
		for (int i = 0; i < table->nvalues; i++)
		{
			feature_key(writer, i, &key);
			FeathubRedisOpsKey(ops, key.data, key.len);
			if (i == 0 || apart)
				FeathubRedisOp(ops, REDIS_CHECK_PRESENT, apart ? 2 : 1 + table->nvalues, "UNLINK");
			op_key(ops, &key);
			if (apart)
			{
				(void) FeathubRedisGuardSend(writer, request, TTL_NONE);
				FeathubRedisOpsReset(ops);
			}
		}
		if (!apart)
			(void) FeathubRedisGuardSend(writer, request, TTL_NONE);
		return first;
	}
	FeathubRedisOpsKey(ops, writer->old_key.data, writer->old_key.len);
	if (!table->element_rows)
	{
		FeathubRedisOp(ops, REDIS_CHECK_PRESENT, 2, "UNLINK");
		op_key(ops, &writer->old_key);
		if (table->options->key_set)
		{
			FeathubRedisOpsKey(ops, table->options->key_set, strlen(table->options->key_set));
			FeathubRedisOp(ops, REDIS_CHECK_NONE, 3, "SREM");
			FeathubRedisOpText(ops, table->options->key_set);
			op_key(ops, &writer->old_key);
		}
	}
	else if (table->kind == REDIS_KIND_STREAM)
	{
		FeathubRedisOp(ops, REDIS_CHECK_PRESENT, 3, "XDEL");
		op_key(ops, &writer->old_key);
		FeathubRedisOpText(ops, TextDatumGetCString(old_values[table->metadata[REDIS_META_ID] - 1]));
	}
	else
	{
		FeathubRedisOp(ops, REDIS_CHECK_PRESENT, 3,
					   table->kind == REDIS_KIND_SET ? "SREM" :
					   table->kind == REDIS_KIND_ZSET ? "ZREM" : "HDEL");
		op_key(ops, &writer->old_key);
		writer->guard.member = column_bytes(writer, member_column(table), old_values, none);
		op_bytes(ops, writer->guard.member);
	}
	return FeathubRedisGuardSend(writer, request, TTL_NONE);
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
			if (member_column(table) == NULL)
				return NIL;
			return lappend_int(attnums, member_column(table)->attnum);
	}
}

/* The column that names an element of a set, sorted set or hash. */
static RedisColumn *
member_column(RedisTable *table)
{
	if (table->kind == REDIS_KIND_HASH)
		return &table->field;
	return table->nvalues > 0 ? &table->values[0] : NULL;
}

static bool
is_target(RedisWriter *writer, AttrNumber attnum)
{
	return writer->targets == NULL || bms_is_member(attnum, writer->targets);
}

/* The row's key. */
static void
make_key(RedisWriter *writer, const Datum *values, const bool *isnull, StringInfo key)
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
static int64
row_ttl(RedisWriter *writer, const Datum *values, const bool *isnull)
{
	RedisTable *table = writer->table;
	AttrNumber	attnum = table->metadata[REDIS_META_TTL];
	double		ms;

	if (attnum == 0 || isnull[attnum - 1])
	{
		if (table->options->ttl > 0)
			return (int64) ceil(table->options->ttl * 1000);
		return attnum == 0 ? TTL_LEAVE : TTL_NONE;
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
					return TTL_NONE;
				/* it says when, whatever others count from */
				if (from_event(writer))
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
static void
set_ttl(RedisWriter *writer, int64 ttl, bool new_key)
{
	RedisOps   *ops = &writer->ops;

	if (ttl > 0)
	{
		FeathubRedisOp(ops, REDIS_CHECK_NONE, 3, from_event(writer) ? "PEXPIREAT" : "PEXPIRE");
		op_key(ops, &writer->new_key);
		add_ttl(writer, ttl);
	}
	else if (ttl == TTL_NONE && !new_key)
	{
		FeathubRedisOp(ops, REDIS_CHECK_NONE, 2, "PERSIST");
		op_key(ops, &writer->new_key);
	}
}

/* The number for PEXPIRE and PX, or for PEXPIREAT and PXAT. */
static void
add_ttl(RedisWriter *writer, int64 ttl)
{
	/* what is over already goes at once; 0 would be refused */
	FeathubRedisOpInt(&writer->ops, from_event(writer) ? Max(writer->guard.base + ttl, 1) : ttl);
}

/* Do times to live count from the row's event time? */
static bool
from_event(RedisWriter *writer)
{
	return writer->table->options->ttl_from == REDIS_TTL_EVENT_TIME;
}

static bool
any_target(RedisWriter *writer)
{
	for (int i = 0; i < writer->table->nvalues; i++)
	{
		if (is_target(writer, writer->table->values[i].attnum))
			return true;
	}
	return false;
}

static void
check_exists(RedisWriter *writer, RedisCheck check)
{
	FeathubRedisOp(&writer->ops, check, 2, "EXISTS");
	op_key(&writer->ops, &writer->new_key);
}

/* Kinds string and value */
static void
write_string(RedisWriter *writer, const Datum *values, const bool *isnull,
			 RedisCheck check, int64 ttl)
{
	RedisTable *table = writer->table;
	RedisOps   *ops = &writer->ops;
	bool		insert = check == REDIS_CHECK_ABSENT;
	bool		keep = ttl == TTL_LEAVE && !insert;
	RedisBytes	value;

	if (check == REDIS_CHECK_PRESENT && !any_target(writer))
	{
		check_exists(writer, check);
		set_ttl(writer, ttl, false);
		return;
	}
	if (writer->encoder)
	{
		resetStringInfo(&writer->value);
		if (!FeathubEncode(writer->encoder, (Datum *) values, (bool *) isnull, &writer->value))
			null_value(writer, NULL);
		value.data = writer->value.data;
		value.len = writer->value.len;
	}
	else
		value = column_bytes(writer, &table->values[0], values, isnull);

	/*
	 * A reply of nil means that nothing was set (NX) or nothing was there (XX
	 * GET).  GET makes a key of another type an error.
	 */
	FeathubRedisOp(ops, check == REDIS_CHECK_NONE ? REDIS_CHECK_NONE : REDIS_CHECK_PRESENT,
				   3 + (check == REDIS_CHECK_NONE ? 1 : insert ? 1 : 2) +
				   (ttl > 0 ? 2 : keep ? 1 : 0), "SET");
	op_key(ops, &writer->new_key);
	op_bytes(ops, value);
	if (insert)
		FeathubRedisOpText(ops, "NX");
	else if (check == REDIS_CHECK_PRESENT)
		FeathubRedisOpText(ops, "XX");
	if (!insert)
		FeathubRedisOpText(ops, "GET");
	if (ttl > 0)
	{
		FeathubRedisOpText(ops, from_event(writer) ? "PXAT" : "PX");
		add_ttl(writer, ttl);
	}
	else if (keep)
		FeathubRedisOpText(ops, "KEEPTTL");
}

/* A hash with a field for each column; NULL is a field that is not there. */
static void
write_hash(RedisWriter *writer, const Datum *values, const bool *isnull,
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

		if (!is_target(writer, column->attnum))
			nrest += !isnull[column->attnum - 1];
		else if (isnull[column->attnum - 1])
			nnull++;
		else
			nset++;
	}
	/* a hash without fields does not exist */
	if (nset + nrest == 0)
		null_value(writer, NULL);
	if (check != REDIS_CHECK_NONE)
		check_exists(writer, check);
	if (nset > 0)
	{
		FeathubRedisOp(ops, REDIS_CHECK_NONE, 2 + 2 * nset, "HSET");
		op_key(ops, &writer->new_key);
	}
	for (int i = 0; i < table->nvalues && nset > 0; i++)
	{
		RedisColumn *column = &table->values[i];

		if (!is_target(writer, column->attnum) || isnull[column->attnum - 1])
			continue;
		FeathubRedisOpText(ops, column->field);
		op_bytes(ops, FeathubRedisEncode(column->codec, values[column->attnum - 1]));
	}
	if (nnull > 0 && check != REDIS_CHECK_ABSENT)
	{
		FeathubRedisOp(ops, REDIS_CHECK_NONE, 2 + nnull, "HDEL");
		op_key(ops, &writer->new_key);
		for (int i = 0; i < table->nvalues; i++)
		{
			RedisColumn *column = &table->values[i];

			if (is_target(writer, column->attnum) && isnull[column->attnum - 1])
				FeathubRedisOpText(ops, column->field);
		}
	}
	set_ttl(writer, ttl, check == REDIS_CHECK_ABSENT);
}

bool
FeathubRedisWritesRows(RedisWriter *writer)
{
	RedisTable *table = writer->table;

	if (table->options->write_mode == REDIS_WRITE_UPSERT)
		return table->kind != REDIS_KIND_STREAM;
	return table->kind == REDIS_KIND_HASH && !table->element_rows &&
		table->options->key_set == NULL;
}

void
FeathubRedisWriteRow(RedisWriter *writer, RedisRequest *request,
					 const Datum *values, const bool *isnull)
{
	RedisTable *table = writer->table;
	RedisRows  *rows = &writer->rows;
	int64		ttl;
	int			nset = 0;
	int			slot = -1;

	if (table->options->write_mode == REDIS_WRITE_UPSERT)
	{
		writer->together = true;
		(void) FeathubRedisWriteInsert(writer, request, values, isnull);
		return;
	}
	ttl = row_ttl(writer, values, isnull);
	for (int i = 0; i < table->nvalues; i++)
		nset += !isnull[table->values[i].attnum - 1];
	if (nset == 0)
		null_value(writer, NULL);
	make_key(writer, values, isnull, &writer->new_key);
	if (FeathubRedisIsCluster(writer->client))
		slot = FeathubRedisSlot(writer->new_key.data, writer->new_key.len);
	if (rows->nrows >= SCRIPT_ROWS || rows->words.len > SCRIPT_BYTES ||
		(rows->nrows > 0 && slot != rows->slot) || (nset < table->nvalues && !rows->masks))
		FeathubRedisWriteRowsEnd(writer, request);
	rows->slot = slot;
	rows->masks |= nset < table->nvalues;

	if (rows->nrows++ == 0)
		appendBinaryStringInfo(&rows->first_key, writer->new_key.data, writer->new_key.len);
	FeathubRedisFormat(&rows->keys, writer->new_key.data, writer->new_key.len);
	if (rows->masks)
	{
		char	   *mask = palloc(table->nvalues);

		for (int i = 0; i < table->nvalues; i++)
			mask[i] = isnull[table->values[i].attnum - 1] ? '0' : '1';
		FeathubRedisFormat(&rows->words, mask, table->nvalues);
	}
	for (int i = 0; i < table->nvalues; i++)
	{
		RedisColumn *column = &table->values[i];
		RedisBytes	bytes = {"", 0};

		if (!isnull[column->attnum - 1])
			bytes = FeathubRedisEncode(column->codec, values[column->attnum - 1]);
		FeathubRedisFormat(&rows->words, bytes.data, bytes.len);
	}
	if (has_ttl(table))
	{
		char		ms[MAXINT8LEN + 1];

		FeathubRedisFormat(&rows->words, ms, pg_lltoa(Max(ttl, 0), ms));
	}
}

void
FeathubRedisWriteRowsEnd(RedisWriter *writer, RedisRequest *request)
{
	RedisTable *table = writer->table;
	RedisRows  *rows = &writer->rows;
	int			nwords = table->nvalues + rows->masks + has_ttl(table);

	writer->together = false;
	(void) FeathubRedisGuardFlush(writer, request);
	if (rows->nrows == 0)
		return;
	(void) FeathubRedisBeginScript(request, REDIS_SCRIPT_HASHES, rows->nrows,
								   3 + table->nvalues + rows->nrows * nwords);
	FeathubRedisScriptKeys(request, rows->keys.data, rows->keys.len, rows->nrows,
						   rows->first_key.data, rows->first_key.len);
	FeathubRedisAddInt(request, table->nvalues);
	FeathubRedisAddInt(request, has_ttl(table));
	FeathubRedisAddInt(request, rows->masks);
	for (int i = 0; i < table->nvalues; i++)
		FeathubRedisAddString(request, table->values[i].field);
	FeathubRedisAddFormatted(request, rows->words.data, rows->words.len, rows->nrows * nwords);
	/* an error that is not about one row names none */
	if (rows->nrows > 1)
		request->commands[request->ncommands - 1].key_len = 0;
	reset_rows(rows);
}

/* Forget what is kept, also what an error left behind. */
static void
reset_rows(RedisRows *rows)
{
	if (rows->keys.data == NULL)
	{
		initStringInfo(&rows->keys);
		initStringInfo(&rows->words);
		initStringInfo(&rows->first_key);
	}
	resetStringInfo(&rows->keys);
	resetStringInfo(&rows->words);
	resetStringInfo(&rows->first_key);
	rows->nrows = 0;
}

/* Do rows come with a time to live? */
static bool
has_ttl(RedisTable *table)
{
	return table->options->ttl > 0 || table->metadata[REDIS_META_TTL] != 0;
}

/* The elements of an array, as commands that append to a list or set. */
static void
push_array(RedisWriter *writer, RedisColumn *column, StringInfo key, Datum value,
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
		if (i % CHUNK == 0)
		{
			FeathubRedisOp(&writer->ops, REDIS_CHECK_NONE, 2 + Min(CHUNK, n - i), command);
			op_key(&writer->ops, key);
		}
		op_bytes(&writer->ops, FeathubRedisEncode(codec->element, elements[i]));
	}
}

/* A list or set in an array column */
static void
write_elements(RedisWriter *writer, const Datum *values, const bool *isnull,
			   RedisCheck check, int64 ttl)
{
	RedisTable *table = writer->table;
	RedisColumn *column = &table->values[0];
	RedisOps   *ops = &writer->ops;
	bool		list = table->kind == REDIS_KIND_LIST;

	if (check == REDIS_CHECK_PRESENT && !any_target(writer))
	{
		check_exists(writer, check);
		set_ttl(writer, ttl, false);
		return;
	}
	if (isnull[column->attnum - 1] ||
		ArrayGetNItems(ARR_NDIM(DatumGetArrayTypeP(values[column->attnum - 1])),
					   ARR_DIMS(DatumGetArrayTypeP(values[column->attnum - 1]))) == 0)
		null_value(writer, column->attname);
	if (check != REDIS_CHECK_NONE)
		check_exists(writer, check);
	if (check != REDIS_CHECK_ABSENT)
	{
		/* the first raises an error for a key of another type */
		FeathubRedisOp(ops, REDIS_CHECK_NONE, 2, list ? "LLEN" : "SCARD");
		op_key(ops, &writer->new_key);
		FeathubRedisOp(ops, REDIS_CHECK_NONE, 2, "DEL");
		op_key(ops, &writer->new_key);
	}
	push_array(writer, column, &writer->new_key, values[column->attnum - 1],
			   list ? "RPUSH" : "SADD");
	set_ttl(writer, ttl, true);
}

/* An element of a list, set, sorted set or hash */
static void
insert_element(RedisWriter *writer, const Datum *values, const bool *isnull, int64 ttl)
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
	if (table->guard == REDIS_GUARD_MEMBER && member_column(table) != NULL)
		writer->guard.member = column_bytes(writer, member_column(table), values, isnull);
	switch (table->kind)
	{
		case REDIS_KIND_LIST:
			FeathubRedisOp(ops, REDIS_CHECK_NONE, 3, "RPUSH");
			op_key(ops, &writer->new_key);
			op_bytes(ops, column_bytes(writer, &table->values[0], values, isnull));
			break;
		case REDIS_KIND_SET:
			FeathubRedisOp(ops, check, 3, "SADD");
			op_key(ops, &writer->new_key);
			op_bytes(ops, column_bytes(writer, &table->values[0], values, isnull));
			break;
		case REDIS_KIND_ZSET:
			if (table->nvalues == 0)
				null_value(writer, NULL);
			FeathubRedisOp(ops, check, upsert ? 4 : 5, "ZADD");
			op_key(ops, &writer->new_key);
			if (!upsert)
				FeathubRedisOpText(ops, "NX");
			FeathubRedisOpText(ops, psprintf("%.17g", row_score(writer, values, isnull)));
			op_bytes(ops, column_bytes(writer, &table->values[0], values, isnull));
			break;
		default:
			FeathubRedisOp(ops, check, 4, upsert ? "HSET" : "HSETNX");
			op_key(ops, &writer->new_key);
			op_bytes(ops, column_bytes(writer, &table->field, values, isnull));
			op_bytes(ops, column_bytes(writer, &table->values[0], values, isnull));
			break;
	}
	set_ttl(writer, ttl, true);
}

/* An entry of a stream; its id is the server's choice unless a column gives it. */
static void
insert_entry(RedisWriter *writer, const Datum *values, const bool *isnull)
{
	RedisTable *table = writer->table;
	RedisOps   *ops = &writer->ops;
	AttrNumber	id = table->metadata[REDIS_META_ID];
	AttrNumber	time = table->metadata[REDIS_META_TIME];
	int			n = 0;

	for (int i = 0; i < table->nvalues; i++)
		n += !isnull[table->values[i].attnum - 1];
	if (n == 0)
		null_value(writer, NULL);
	FeathubRedisOp(ops, table->options->on_old_id == REDIS_OLD_ID_SKIP ? REDIS_CHECK_ID :
				   REDIS_CHECK_NONE, 3 + 2 * n, "XADD");
	op_key(ops, &writer->new_key);
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
		op_bytes(ops, FeathubRedisEncode(column->codec, values[column->attnum - 1]));
	}
}

/* A member, its score, a field, or its value changes. */
static void
update_element(RedisWriter *writer, const Datum *values, const bool *isnull,
			   const Datum *old_values, int64 ttl)
{
	RedisTable *table = writer->table;
	RedisOps   *ops = &writer->ops;
	bool	   *none = palloc0(sizeof(bool) * table->rel->tupdesc->natts);
	RedisColumn *column = member_column(table);
	const char *probe = table->kind == REDIS_KIND_SET ? "SISMEMBER" :
		table->kind == REDIS_KIND_ZSET ? "ZSCORE" : "HEXISTS";
	RedisBytes	old_member = column_bytes(writer, column, old_values, none);
	RedisBytes	new_member = column_bytes(writer, column, values, isnull);
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
	op_key(ops, &writer->old_key);
	op_bytes(ops, old_member);
	if (changed)
	{
		FeathubRedisOp(ops, REDIS_CHECK_ABSENT, 3, probe);
		op_key(ops, &writer->new_key);
		op_bytes(ops, new_member);
		FeathubRedisOp(ops, REDIS_CHECK_NONE, 3, table->kind == REDIS_KIND_SET ? "SREM" :
					   table->kind == REDIS_KIND_ZSET ? "ZREM" : "HDEL");
		op_key(ops, &writer->old_key);
		op_bytes(ops, old_member);
	}
	switch (table->kind)
	{
		case REDIS_KIND_SET:
			FeathubRedisOp(ops, REDIS_CHECK_NONE, 3, "SADD");
			op_key(ops, &writer->new_key);
			break;
		case REDIS_KIND_ZSET:
			FeathubRedisOp(ops, REDIS_CHECK_NONE, 4, "ZADD");
			op_key(ops, &writer->new_key);
			FeathubRedisOpText(ops, psprintf("%.17g", row_score(writer, values, isnull)));
			break;
		default:
			FeathubRedisOp(ops, REDIS_CHECK_NONE, 4, "HSET");
			op_key(ops, &writer->new_key);
			break;
	}
	op_bytes(ops, new_member);
	if (table->kind == REDIS_KIND_HASH)
		op_bytes(ops, column_bytes(writer, &table->values[0], values, isnull));
	set_ttl(writer, ttl, false);
}

/* FeatHub's layout: a key for each column, none for NULL */
static int
write_features(RedisWriter *writer, RedisRequest *request, const Datum *values,
			   const bool *isnull, RedisCheck check)
{
	RedisTable *table = writer->table;
	RedisOps   *ops = &writer->ops;
	int64		ttl = table->options->ttl > 0 ? (int64) ceil(table->options->ttl * 1000) : TTL_LEAVE;
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
				op_key(ops, &key);
			}
		}
	}
	for (int i = 0; i < table->nvalues; i++)
	{
		if (!is_target(writer, table->values[i].attnum))
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
		words->room = Min(words->left, CHUNK);
		FeathubRedisOp(words->ops, REDIS_CHECK_NONE, 2 + words->room, words->command);
		op_key(words->ops, words->key);
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
		op_key(ops, key);
		return;
	}
	if (!column->elements && !column->map)
	{
		RedisBytes	bytes = FeathubRedisEncode(column->codec, value);

		FeathubRedisOp(ops, REDIS_CHECK_NONE, 4 + (ttl > 0 ? 2 : 0), "SET");
		op_key(ops, key);
		op_bytes(ops, bytes);
		FeathubRedisOpText(ops, "GET");
		if (ttl > 0)
		{
			FeathubRedisOpText(ops, from_event(writer) ? "PXAT" : "PX");
			add_ttl(writer, ttl);
		}
		return;
	}
	FeathubRedisOp(ops, REDIS_CHECK_NONE, 2, list ? "LLEN" : "HLEN");
	op_key(ops, key);
	if (list || !table->options->hash_partial_update)
	{
		FeathubRedisOp(ops, REDIS_CHECK_NONE, 2, "DEL");
		op_key(ops, key);
	}
	if (column->elements)
		push_array(writer, column, key, value, "RPUSH");
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
		FeathubRedisOp(ops, REDIS_CHECK_NONE, 3, from_event(writer) ? "PEXPIREAT" : "PEXPIRE");
		op_key(ops, key);
		add_ttl(writer, ttl);
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

/* The bytes of a column that must have a value. */
static RedisBytes
column_bytes(RedisWriter *writer, RedisColumn *column, const Datum *values,
			 const bool *isnull)
{
	if (isnull[column->attnum - 1])
		null_value(writer, column->attname);
	return FeathubRedisEncode(column->codec, values[column->attnum - 1]);
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
		null_value(writer, NameStr(TupleDescAttr(table->rel->tupdesc, attnum - 1)->attname));
	score = DatumGetFloat8(values[attnum - 1]);
	if (isnan(score))
		ereport(ERROR,
				(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				 errmsg("score of a sorted set cannot be NaN")));
	return score;
}

static void
op_bytes(RedisOps *ops, RedisBytes bytes)
{
	FeathubRedisOpWord(ops, bytes.data, bytes.len);
}

static void
op_key(RedisOps *ops, StringInfo key)
{
	FeathubRedisOpWord(ops, key->data, key->len);
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
	op_key(&writer->ops, &writer->new_key);
}

static void
null_value(RedisWriter *writer, const char *column)
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
