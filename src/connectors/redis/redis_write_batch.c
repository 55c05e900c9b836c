/*
 * redis_write_batch.c
 *		Rows that share a script.
 */
#include "postgres.h"

#include "utils/builtins.h"

#include "connectors/redis/redis_node.h"
#include "connectors/redis/redis_write_row.h"

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
	ttl = FeathubRedisRowTtl(writer, values, isnull);
	for (int i = 0; i < table->nvalues; i++)
		nset += !isnull[table->values[i].attnum - 1];
	if (nset == 0)
		FeathubRedisNullValue(writer, NULL);
	FeathubRedisRowKeyText(writer, values, isnull, &writer->new_key);
	if (FeathubRedisIsCluster(writer->client))
		slot = FeathubRedisSlot(writer->new_key.data, writer->new_key.len);
	if (rows->nrows >= REDIS_SCRIPT_ROWS_MAX || rows->words.len > REDIS_SCRIPT_BYTES_MAX ||
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
	if (FeathubRedisTellsTtl(table))
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
	int			nwords = table->nvalues + rows->masks + FeathubRedisTellsTtl(table);

	writer->together = false;
	(void) FeathubRedisGuardFlush(writer, request);
	(void) FeathubRedisLatestFlush(writer, request);
	if (rows->nrows == 0)
		return;
	(void) FeathubRedisBeginScript(request, REDIS_SCRIPT_HASHES, rows->nrows,
								   3 + table->nvalues + rows->nrows * nwords);
	FeathubRedisScriptKeys(request, rows->keys.data, rows->keys.len, rows->nrows,
						   rows->first_key.data, rows->first_key.len);
	FeathubRedisAddInt(request, table->nvalues);
	FeathubRedisAddInt(request, FeathubRedisTellsTtl(table));
	FeathubRedisAddInt(request, rows->masks);
	for (int i = 0; i < table->nvalues; i++)
		FeathubRedisAddString(request, table->values[i].field);
	FeathubRedisAddFormatted(request, rows->words.data, rows->words.len, rows->nrows * nwords);
	/* an error that is not about one row names none */
	if (rows->nrows > 1)
		request->commands[request->ncommands - 1].key_len = 0;
	FeathubRedisRowsReset(rows);
}

/* Forget what is kept, also what an error left behind. */
void
FeathubRedisRowsReset(RedisRows *rows)
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
