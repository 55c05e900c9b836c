/*
 * redis_write_latest.c
 *		New rows with an event time, of kinds hash, string and value: what a job
 *		writes most.
 *
 * They have scripts of their own, which know what such a row looks like: fewer
 * words are sent, and fewer commands called, than by one that is told commands.
 * Rows wait for others of the same slot; of rows of one key only the newest is
 * sent, so that the script can ask for all that is there at once.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "utils/builtins.h"

#include "connectors/redis/redis_node.h"
#include "connectors/redis/redis_write_row.h"

/* Values of more bytes, by the mean of a script's, are not read as a whole. */
#define LONG_VALUE		2048

static bool make_room(RedisWriter *writer, RedisRequest *request, bool has_null);
static RedisLatestRow *keep_newest(RedisWriter *writer);
static void add_hash(RedisWriter *writer, const Datum *values, const bool *isnull);
static void add_string(RedisWriter *writer, const Datum *values, const bool *isnull);
static void add_expiry(RedisWriter *writer, const Datum *values, const bool *isnull);
static int	words_per_row(const RedisWriter *writer);
static int	begin_script(RedisWriter *writer, RedisRequest *request, RedisScript script,
						 int nwords, bool beside);
static void add_hash_head(RedisWriter *writer, RedisRequest *request, int nrows);
static void add_string_head(RedisWriter *writer, RedisRequest *request, int nrows);
static bool has_brace(const RedisLatest *latest);

bool
FeathubRedisIsLatest(const RedisWriter *writer)
{
	const RedisTable *table = writer->table;

	if (table->guard == REDIS_GUARD_NONE || table->options->key_set || table->element_rows)
		return false;
	return table->guard == REDIS_GUARD_FIELD || table->kind == REDIS_KIND_STRING ||
		table->kind == REDIS_KIND_VALUE;
}

int
FeathubRedisLatestRow(RedisWriter *writer, RedisRequest *request, const Datum *values,
					  const bool *isnull)
{
	RedisTable *table = writer->table;
	RedisLatest *latest = &writer->latest;
	bool		has_null = false;
	RedisLatestRow *row;

	for (int i = 0; i < table->nvalues && table->kind == REDIS_KIND_HASH; i++)
		has_null |= isnull[table->values[i].attnum - 1];
	if (!make_room(writer, request, has_null))
		(void) FeathubRedisLatestFlush(writer, request);
	latest->masks |= has_null;
	row = keep_newest(writer);
	if (row == NULL)
		return -1;
	row->words = latest->words.len;
	if (table->kind == REDIS_KIND_HASH)
		add_hash(writer, values, isnull);
	else
		add_string(writer, values, isnull);
	add_expiry(writer, values, isnull);
	row->words_len = latest->words.len - row->words;
	/* only now: an error above must not leave half a row */
	latest->nrows++;
	return writer->together ? -1 : FeathubRedisLatestFlush(writer, request);
}

int
FeathubRedisLatestFlush(RedisWriter *writer, RedisRequest *request)
{
	RedisTable *table = writer->table;
	RedisLatest *latest = &writer->latest;
	int			nrows = latest->nrows - latest->ndropped;
	bool		hash = table->kind == REDIS_KIND_HASH;
	int			nwords = nrows * words_per_row(writer);
	int			command;

	if (latest->nrows == 0)
		return -1;
	if (hash)
	{
		command = begin_script(writer, request, REDIS_SCRIPT_LATEST_HASHES,
							   8 + table->nvalues + nwords, FeathubRedisIsCluster(writer->client));
		add_hash_head(writer, request, nrows);
	}
	else
	{
		command = begin_script(writer, request, REDIS_SCRIPT_LATEST_STRINGS, 10 + nwords,
							   table->guard == REDIS_GUARD_KEY ||
							   FeathubRedisIsCluster(writer->client));
		add_string_head(writer, request, nrows);
	}
	for (int i = 0; i < latest->nrows; i++)
	{
		RedisLatestRow *row = &latest->rows[i];

		if (!row->dropped)
			FeathubRedisAddFormatted(request, latest->words.data + row->words, row->words_len,
									 words_per_row(writer));
	}
	/* an error that is not about one row names none */
	if (nrows > 1)
		request->commands[command].key_len = 0;
	FeathubRedisLatestReset(writer);
	return command;
}

void
FeathubRedisLatestReset(RedisWriter *writer)
{
	RedisLatest *latest = &writer->latest;

	if (latest->keys.data == NULL)
	{
		initStringInfo(&latest->keys);
		initStringInfo(&latest->words);
	}
	resetStringInfo(&latest->keys);
	resetStringInfo(&latest->words);
	memset(latest->buckets, 0, sizeof(latest->buckets));
	latest->nrows = 0;
	latest->ndropped = 0;
	latest->masks = false;
}

/* Can the row whose key is in new_key go with those that are there? */
static bool
make_room(RedisWriter *writer, RedisRequest *request, bool has_null)
{
	RedisLatest *latest = &writer->latest;
	int			slot = -1;
	bool		fits;

	if (FeathubRedisIsCluster(writer->client))
		slot = FeathubRedisSlot(writer->new_key.data, writer->new_key.len);
	fits = latest->nrows == 0 ||
		(latest->nrows < REDIS_SCRIPT_ROWS_MAX && slot == latest->slot &&
		 latest->keys.len + latest->words.len <= REDIS_SCRIPT_BYTES_MAX &&
		 has_null <= latest->masks);
	latest->slot = slot;
	return fits;
}

/*
 * A place for the row, unless one of its key is there that is newer.  Of rows of
 * the same time the last one stays.
 */
static RedisLatestRow *
keep_newest(RedisWriter *writer)
{
	RedisLatest *latest = &writer->latest;
	StringInfo	key = &writer->new_key;
	uint32		hash = hash_bytes((unsigned char *) key->data, key->len);
	uint32		bucket = hash % lengthof(latest->buckets);
	RedisLatestRow *row;

	for (; latest->buckets[bucket] != 0; bucket = (bucket + 1) % lengthof(latest->buckets))
	{
		row = &latest->rows[latest->buckets[bucket] - 1];
		if (row->hash != hash || row->key_len != key->len ||
			memcmp(latest->keys.data + row->key, key->data, key->len) != 0)
			continue;
		if (row->at > writer->guard.at)
			return NULL;
		row->dropped = true;
		latest->ndropped++;
		break;
	}
	latest->buckets[bucket] = latest->nrows + 1;
	row = &latest->rows[latest->nrows];
	row->key = latest->keys.len;
	row->key_len = key->len;
	row->hash = hash;
	row->at = writer->guard.at;
	row->dropped = false;
	appendBinaryStringInfo(&latest->keys, key->data, key->len);
	return row;
}

static void
add_hash(RedisWriter *writer, const Datum *values, const bool *isnull)
{
	RedisTable *table = writer->table;
	StringInfo	words = &writer->latest.words;

	if (writer->latest.masks)
	{
		char	   *mask = palloc(table->nvalues);

		for (int i = 0; i < table->nvalues; i++)
			mask[i] = isnull[table->values[i].attnum - 1] ? '0' : '1';
		FeathubRedisFormat(words, mask, table->nvalues);
	}
	for (int i = 0; i < table->nvalues; i++)
	{
		RedisColumn *column = &table->values[i];
		RedisBytes	bytes = {"", 0};

		if (!isnull[column->attnum - 1])
			bytes = FeathubRedisEncode(column->codec, values[column->attnum - 1]);
		FeathubRedisFormat(words, bytes.data, bytes.len);
	}
}

static void
add_string(RedisWriter *writer, const Datum *values, const bool *isnull)
{
	RedisTable *table = writer->table;
	RedisBytes	value = FeathubRedisValueBytes(writer, values, isnull);

	if (table->guard == REDIS_GUARD_KEY)
	{
		char		time[REDIS_TIME_SIZE];

		FeathubRedisGuardDigits(writer, time);
		FeathubRedisFormat(&writer->latest.words, time, REDIS_TIME_SIZE - 1);
	}
	else if (value.len < strlen(table->guard_mark) + table->guard_width ||
			 memcmp(value.data, table->guard_mark, strlen(table->guard_mark)) != 0)
		elog(ERROR, "JSON does not begin with the event time");
	FeathubRedisFormat(&writer->latest.words, value.data, value.len);
}

/* How long the row lives, or until when; 0: it stays. */
static void
add_expiry(RedisWriter *writer, const Datum *values, const bool *isnull)
{
	char		text[MAXINT8LEN + 1];
	int64		ttl;

	if (!FeathubRedisTellsTtl(writer->table))
		return;
	ttl = FeathubRedisRowTtl(writer, values, isnull);
	if (ttl <= 0)
		ttl = 0;
	else if (FeathubRedisTtlFromEvent(writer))
		ttl = Max(writer->guard.base + ttl, 1);
	FeathubRedisFormat(&writer->latest.words, text, pg_lltoa(ttl, text));
}

static int
words_per_row(const RedisWriter *writer)
{
	const RedisTable *table = writer->table;
	int			n = FeathubRedisTellsTtl(table) ? 1 : 0;

	if (table->kind == REDIS_KIND_HASH)
		return n + table->nvalues + (writer->latest.masks ? 1 : 0);
	return n + 1 + (table->guard == REDIS_GUARD_KEY ? 1 : 0);
}

/* A call with the rows' keys and, beside, those that keep times. */
static int
begin_script(RedisWriter *writer, RedisRequest *request, RedisScript script, int nwords,
			 bool beside)
{
	RedisLatest *latest = &writer->latest;
	int			nkeys = (latest->nrows - latest->ndropped) * (beside ? 2 : 1);
	int			command = FeathubRedisBeginScript(request, script, nkeys, nwords);

	for (int i = 0; i < latest->nrows; i++)
	{
		RedisLatestRow *row = &latest->rows[i];

		if (!row->dropped)
			FeathubRedisAddKey(request, latest->keys.data + row->key, row->key_len);
	}
	for (int i = 0; i < latest->nrows && beside; i++)
	{
		RedisLatestRow *row = &latest->rows[i];

		if (row->dropped)
			continue;
		FeathubRedisGuardKeyOfRow(writer, latest->keys.data + row->key, row->key_len, NULL);
		FeathubRedisAddKey(request, writer->guard_key.data, writer->guard_key.len);
	}
	return command;
}

static void
add_hash_head(RedisWriter *writer, RedisRequest *request, int nrows)
{
	RedisTable *table = writer->table;
	int			field = 0;

	while (table->values[field].attnum != table->event_time)
		field++;
	FeathubRedisAddInt(request, nrows);
	FeathubRedisAddInt(request, table->nvalues);
	FeathubRedisAddInt(request, writer->latest.masks);
	FeathubRedisAddString(request, !FeathubRedisTellsTtl(table) ? "" :
						  FeathubRedisTtlFromEvent(writer) ? "PEXPIREAT" : "PEXPIRE");
	FeathubRedisAddInt(request, field + 1);
	FeathubRedisAddString(request, table->guard_shape);
	FeathubRedisAddString(request, table->options->guard_prefix);
	FeathubRedisAddInt(request, has_brace(&writer->latest));
	for (int i = 0; i < table->nvalues; i++)
		FeathubRedisAddString(request, table->values[i].field);
}

static void
add_string_head(RedisWriter *writer, RedisRequest *request, int nrows)
{
	RedisTable *table = writer->table;
	char		mode[2] = {(char) table->guard, '\0'};
	bool		in_row = table->guard == REDIS_GUARD_VALUE;

	FeathubRedisAddInt(request, nrows);
	FeathubRedisAddString(request, mode);
	FeathubRedisAddString(request, !FeathubRedisTellsTtl(table) ? "" :
						  FeathubRedisTtlFromEvent(writer) ? "PXAT" : "PX");
	FeathubRedisAddString(request, in_row ? table->guard_mark : "");
	FeathubRedisAddInt(request, table->guard_width);
	FeathubRedisAddString(request, in_row ? table->guard_shape : "");
	FeathubRedisAddString(request, in_row ? table->guard_field : "");
	FeathubRedisAddString(request, table->options->guard_prefix);
	FeathubRedisAddInt(request, writer->latest.words.len / nrows > LONG_VALUE);
	FeathubRedisAddInt(request, has_brace(&writer->latest));
}

/* May the guard of some key not stand between braces? */
static bool
has_brace(const RedisLatest *latest)
{
	return memchr(latest->keys.data, '{', latest->keys.len) != NULL;
}
