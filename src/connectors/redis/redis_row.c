/*
 * redis_row.c
 *		Keys to rows: what is asked about each key, and what the answers are.
 */
#include "postgres.h"

#include "access/sysattr.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "connectors/redis/redis_page.h"
#include "connectors/redis/redis_row.h"
#include "connectors/redis/redis_write.h"

/* Keys of the first window: nothing is known about their size yet. */
#define FIRST_WINDOW	100

static bool is_needed(Bitmapset *needed, AttrNumber attnum);
static void make_decoder(RedisReader *reader, Bitmapset *needed);
static void add_commands(RedisWindow *window, RedisEntry *entry);
static void add_feature_commands(RedisWindow *window, RedisEntry *entry,
								 const RedisBytes *parts);
static void add_checks(RedisWindow *window, RedisEntry *entry);
static void ask_time(RedisWindow *window, const char *key, Size len);
static void fill_time(RedisWindow *window, int command, Datum *values, bool *isnull);
static bool all_nil(const RedisReply *reply);
static RedisReply *reply_of(RedisWindow *window, int command);
static bool fill_keys(RedisWindow *window, RedisEntry *entry, Datum *values, bool *isnull);
static bool fill_keys_modes(RedisWindow *window, RedisEntry *entry, Datum *values, bool *isnull);
static bool key_row(RedisWindow *window, RedisEntry *entry, Datum *values, bool *isnull);
static bool feature_row(RedisWindow *window, RedisEntry *entry, Datum *values, bool *isnull);
static bool exists(RedisWindow *window, RedisEntry *entry);
static void fill_array(RedisWindow *window, RedisEntry *entry, RedisColumn *column,
					   const RedisReply *reply, Datum *values, bool *isnull);

RedisReader *
FeathubRedisReaderMake(RedisTable *table, RedisClient *client, Bitmapset *needed)
{
	RedisReader *reader = palloc0(sizeof(RedisReader));

	FeathubRedisTableCodecs(table);
	reader->table = table;
	reader->client = client;
	reader->context = CurrentMemoryContext;
	reader->needed = palloc(sizeof(int) * Max(table->nvalues, 1));
	initStringInfo(&reader->fields);
	for (int i = 0; i < table->nvalues; i++)
	{
		if (!is_needed(needed, table->values[i].attnum))
			continue;
		reader->needed[reader->nneeded++] = i;
		FeathubRedisFormat(&reader->fields, table->values[i].field,
						   strlen(table->values[i].field));
	}
	if (table->kind == REDIS_KIND_VALUE)
		make_decoder(reader, needed);
	reader->need_ttl = table->metadata[REDIS_META_TTL] != 0 &&
		is_needed(needed, table->metadata[REDIS_META_TTL]);
	reader->need_time = table->metadata[REDIS_META_EVENT_TIME] != 0 &&
		table->guard == REDIS_GUARD_KEY &&
		is_needed(needed, table->metadata[REDIS_META_EVENT_TIME]);
	reader->plain_keys = true;
	for (int i = 0; i < table->nkeys; i++)
	{
		reader->plain_keys &= table->keys[i].codec->plain;
		reader->text_modes |= table->keys[i].codec->kind == REDIS_CODEC_OTHER;
	}
	for (int i = 0; i < table->nkeys && reader->plain_keys; i++)
		reader->plain_keys = !is_needed(needed, table->keys[i].attnum);
	reader->range.min = table->kind == REDIS_KIND_ZSET ? "-inf" : "-";
	reader->range.max = table->kind == REDIS_KIND_ZSET ? "+inf" : "+";
	reader->window_size = Min(FIRST_WINDOW, table->options->fetch_size);
	return reader;
}

RedisWindow *
FeathubRedisWindowMake(RedisReader *reader)
{
	RedisWindow *window = palloc0(sizeof(RedisWindow));

	window->reader = reader;
	window->request = FeathubRedisRequestMake(reader->client);
	initStringInfo(&window->keys);
	return window;
}

void
FeathubRedisWindowReset(RedisWindow *window)
{
	FeathubRedisRequestReset(window->request);
	resetStringInfo(&window->keys);
	window->nentries = 0;
	window->pos = 0;
	window->ready = false;
	FeathubRedisPageReset(window);
}

void
FeathubRedisWindowAdd(RedisWindow *window, const char *key, Size len)
{
	RedisTable *table = window->reader->table;
	RedisBytes *parts = table->nkeys > 0 ? palloc(sizeof(RedisBytes) * table->nkeys) : NULL;
	RedisEntry *entry;

	if (!FeathubRedisKeyMatch(&table->template, key, len, parts))
	{
		if (parts)
			pfree(parts);
		return;
	}
	if (window->nentries == window->maxentries)
	{
		window->maxentries = Max(64, window->maxentries * 2);
		window->entries = window->entries ?
			repalloc_huge(window->entries, window->maxentries * sizeof(RedisEntry)) :
			MemoryContextAllocHuge(window->reader->context,
								   window->maxentries * sizeof(RedisEntry));
	}
	entry = &window->entries[window->nentries++];
	entry->offset = window->keys.len;
	entry->len = len;
	entry->command = -1;
	entry->check = -1;
	entry->nchecks = 0;
	appendBinaryStringInfo(&window->keys, key, len);
	if (table->kind == REDIS_KIND_FEATURES)
		add_feature_commands(window, entry, parts);
	else
		add_commands(window, entry);
	window->reader->nkeys++;
	if (parts)
		pfree(parts);
}

void
FeathubRedisWindowWait(RedisWindow *window)
{
	RedisReader *reader = window->reader;
	const RedisOptions *options = reader->table->options;
	RedisKind	kind = reader->table->kind;
	Size		limit = (Size) options->fetch_memory * 1024;
	bool		hash = kind == REDIS_KIND_HASH && !reader->table->element_rows;

	window->ready = true;
	if (window->request->ncommands == 0)
		return;
	FeathubRedisWait(window->request);
	reader->ntrips++;
	if (hash || kind == REDIS_KIND_FEATURES)
	{
		for (int i = 0; i < window->nentries; i++)
			add_checks(window, &window->entries[i]);
		FeathubRedisWait(window->request);
	}

	/* as many keys next time as memory allows if they are like these */
	if (window->nentries > 0)
	{
		double		bytes = (double) window->request->bytes / window->nentries;

		reader->row_bytes = Max(bytes, reader->row_bytes * 0.9);
		reader->window_size = (int) Min(Min(options->fetch_size, reader->window_size * 4.0),
										limit / Max(reader->row_bytes, 1));
		reader->window_size = Max(reader->window_size, 1);
	}
}

bool
FeathubRedisWindowNext(RedisWindow *window, Datum *values, bool *isnull)
{
	RedisReader *reader = window->reader;
	RedisTable *table = reader->table;

	for (; window->pos < window->nentries; window->pos++)
	{
		RedisEntry *entry = &window->entries[window->pos];

		if (table->element_rows)
		{
			if (FeathubRedisPageRow(window, entry, values, isnull) &&
				fill_keys_modes(window, entry, values, isnull))
				return true;
			FeathubRedisPageReset(window);
			continue;
		}
		if ((table->kind == REDIS_KIND_FEATURES ?
			 feature_row(window, entry, values, isnull) :
			 key_row(window, entry, values, isnull)) &&
			fill_keys_modes(window, entry, values, isnull))
		{
			window->pos++;
			return true;
		}
		memset(isnull, true, sizeof(bool) * table->rel->tupdesc->natts);
	}
	return false;
}

/* An error or NULL for a key that is not there any more or of another type. */
RedisReply *
FeathubRedisWindowReply(RedisWindow *window, int command)
{
	return reply_of(window, command);
}

void
FeathubRedisFillTtl(RedisWindow *window, int64 ms, Datum *values, bool *isnull)
{
	RedisTable *table = window->reader->table;
	AttrNumber	attnum = table->metadata[REDIS_META_TTL];
	Datum	   *value = &values[attnum - 1];

	if (ms < 0)
		return;
	isnull[attnum - 1] = false;
	switch (TupleDescAttr(table->rel->tupdesc, attnum - 1)->atttypid)
	{
		case INT4OID:
			*value = Int32GetDatum((int32) Min((ms + 999) / 1000, PG_INT32_MAX));
			break;
		case INT8OID:
			*value = Int64GetDatum((ms + 999) / 1000);
			break;
		case FLOAT8OID:
			*value = Float8GetDatum(ms / 1000.0);
			break;
		case TIMESTAMPTZOID:
			*value = TimestampTzGetDatum(GetCurrentTimestamp() + ms * 1000);
			break;
		default:
			{
				Interval   *interval = palloc0(sizeof(Interval));

				interval->time = ms * 1000;
				*value = IntervalPGetDatum(interval);
			}
			break;
	}
}

void
FeathubRedisFillColumn(RedisWindow *window, RedisEntry *entry, RedisColumn *column,
					   const char *data, Size len, Datum *values, bool *isnull)
{
	FeathubDecodeError error = {0};

	if (!FeathubRedisDecode(column->codec, data, len, &values[column->attnum - 1], &error))
	{
		error.attnum = column->attnum;
		FeathubRedisBadValue(window->reader->table, window->keys.data + entry->offset,
							 entry->len, &error);
	}
	isnull[column->attnum - 1] = false;
}

static bool
is_needed(Bitmapset *needed, AttrNumber attnum)
{
	return needed == NULL ||
		bms_is_member(attnum - FirstLowInvalidHeapAttributeNumber, needed) ||
		bms_is_member(0 - FirstLowInvalidHeapAttributeNumber, needed);
}

/* The decoder of the table's format. */
static void
make_decoder(RedisReader *reader, Bitmapset *needed)
{
	RedisTable *table = reader->table;
	FeathubColumn *columns = palloc0(sizeof(FeathubColumn) * Max(table->nvalues, 1));
	int			n = 0;

	if (reader->nneeded == 0)
		return;
	for (int i = 0; i < table->nvalues; i++)
	{
		if (!is_needed(needed, table->values[i].attnum) && !table->rel->format->positional)
			continue;
		columns[n].attnum = table->values[i].attnum;
		columns[n].name = table->values[i].attname;
		columns[n].typid = table->values[i].typid;
		columns[n].typmod = table->values[i].typmod;
		columns[n++].options = table->rel->column_options[table->values[i].attnum - 1];
	}
	if (table->rel->format->decode == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("values of foreign table \"%s\" cannot have format \"%s\"",
						table->rel->relname, table->rel->format->name),
				 errdetail("It is a format of whole files.")));
	reader->decoder = FeathubDecoderBegin(table->rel->format, table->rel->tupdesc, n, columns,
										  table->rel->format_options);
}

/* The commands about one key. */
static void
add_commands(RedisWindow *window, RedisEntry *entry)
{
	static const char *const all[] = {"0", "-1"};
	RedisReader *reader = window->reader;
	RedisTable *table = reader->table;
	RedisRequest *request = window->request;
	const char *key = window->keys.data + entry->offset;
	Size		len = entry->len;
	int			first = request->ncommands;

	if (table->element_rows)
		FeathubRedisPageFirst(window, request, key, len);
	else if (reader->nneeded == 0)
	{
		if (!reader->known)
			FeathubRedisCommand(request, NULL, "TYPE", key, len, 0, NULL);
	}
	else if (table->kind == REDIS_KIND_HASH)
	{
		FeathubRedisBegin(request, NULL, 2 + reader->nneeded, "HMGET");
		FeathubRedisAddKey(request, key, len);
		FeathubRedisAddFormatted(request, reader->fields.data, reader->fields.len,
								 reader->nneeded);
	}
	else if (table->kind == REDIS_KIND_LIST)
		FeathubRedisCommand(request, NULL, "LRANGE", key, len, 2, all);
	else if (table->kind == REDIS_KIND_SET)
		FeathubRedisCommand(request, NULL, "SMEMBERS", key, len, 0, NULL);
	else
		FeathubRedisCommand(request, NULL, "GET", key, len, 0, NULL);
	if (reader->need_ttl)
		FeathubRedisCommand(request, NULL, "PTTL", key, len, 0, NULL);
	if (reader->need_time)
		ask_time(window, key, len);
	if (request->ncommands > first)
		entry->command = first;
}

/* The commands about one entity of FeatHub's layout. */
static void
add_feature_commands(RedisWindow *window, RedisEntry *entry, const RedisBytes *parts)
{
	static const char *const all[] = {"0", "-1"};
	RedisReader *reader = window->reader;
	RedisTable *table = reader->table;
	StringInfoData key;

	if (reader->nneeded == 0 && reader->known && !reader->need_time)
		return;
	initStringInfo(&key);
	entry->command = window->request->ncommands;
	for (int i = 0; i < (reader->nneeded > 0 ? reader->nneeded : table->nvalues); i++)
	{
		int			n = reader->nneeded > 0 ? reader->needed[i] : i;
		RedisColumn *column = &table->values[n];
		const char *name = reader->nneeded > 0 ? FeathubRedisFeatureCommand(column) : "EXISTS";
		bool		range = strcmp(name, "LRANGE") == 0;

		resetStringInfo(&key);
		FeathubRedisKeyRender(&table->features[n], parts, &key);
		FeathubRedisCommand(window->request, NULL, name, key.data, key.len,
							range ? 2 : 0, range ? all : NULL);
	}
	pfree(key.data);
	if (reader->need_time)
		ask_time(window, window->keys.data + entry->offset, entry->len);
}

/* The command for the event time that is kept beside a row, of its key. */
static void
ask_time(RedisWindow *window, const char *key, Size len)
{
	StringInfoData guard;

	initStringInfo(&guard);
	FeathubRedisGuardKey(window->reader->table, key, len, NULL, &guard);
	FeathubRedisCommand(window->request, NULL, "GET", guard.data, guard.len, 0, NULL);
	pfree(guard.data);
}

static void
fill_time(RedisWindow *window, int command, Datum *values, bool *isnull)
{
	RedisReply *reply = FeathubRedisGet(window->request, command);
	AttrNumber	attnum = window->reader->table->metadata[REDIS_META_EVENT_TIME];
	TimestampTz time;

	/* a row that others wrote has none */
	if (reply->type != REDIS_STRING || !FeathubRedisGuardTime(reply->str, reply->len, &time))
		return;
	values[attnum - 1] = TimestampTzGetDatum(time);
	isnull[attnum - 1] = false;
}

/*
 * A hash without any of the fields asked for, an entity without any of the
 * features: is it there at all?
 */
static void
add_checks(RedisWindow *window, RedisEntry *entry)
{
	RedisReader *reader = window->reader;
	RedisTable *table = reader->table;
	const char *key = window->keys.data + entry->offset;

	if (entry->command < 0 || reader->nneeded == 0)
		return;
	if (table->kind == REDIS_KIND_HASH)
	{
		RedisReply *reply = reply_of(window, entry->command);

		if (reply && all_nil(reply))
		{
			entry->check = FeathubRedisCommand(window->request, NULL, "EXISTS", key,
											   entry->len, 0, NULL);
			entry->nchecks = 1;
		}
		return;
	}
	for (int i = 0; i < reader->nneeded; i++)
	{
		RedisReply *reply = reply_of(window, entry->command + i);

		if (reply && reply->type != REDIS_NIL && !(reply->type == REDIS_ARRAY && reply->n == 0))
			return;
	}
	if (reader->nneeded < table->nvalues)
	{
		RedisBytes *parts = palloc(sizeof(RedisBytes) * Max(table->nkeys, 1));
		StringInfoData other;

		initStringInfo(&other);
		(void) FeathubRedisKeyMatch(&table->template, key, entry->len, parts);
		entry->check = window->request->ncommands;
		for (int i = 0; i < table->nvalues; i++)
		{
			resetStringInfo(&other);
			FeathubRedisKeyRender(&table->features[i], parts, &other);
			FeathubRedisCommand(window->request, NULL, "EXISTS", other.data, other.len, 0, NULL);
			entry->nchecks++;
		}
	}
}

static bool
all_nil(const RedisReply *reply)
{
	for (int i = 0; i < reply->n; i++)
	{
		if (reply->elements[i].type != REDIS_NIL)
			return false;
	}
	return true;
}

/*
 * A reply; NULL for a key that got another type since the scan found it: it is
 * not the table's any more.  Asked for by its name, such a key is an error.
 */
static RedisReply *
reply_of(RedisWindow *window, int command)
{
	RedisReply *reply = FeathubRedisGetAny(window->request, command);

	if (reply->type != REDIS_ERROR)
		return reply;
	if (window->reader->known && FeathubRedisIsError(reply, "WRONGTYPE"))
		return NULL;
	FeathubRedisRaise(window->request, command, reply);
}

/* Under text modes that do not depend on the session, if that matters. */
static bool
fill_keys_modes(RedisWindow *window, RedisEntry *entry, Datum *values, bool *isnull)
{
	FeathubTextModes modes;
	volatile bool result = true;

	if (window->reader->plain_keys)
		return true;
	if (!window->reader->text_modes)
		return fill_keys(window, entry, values, isnull);
	FeathubTextModesSet(&modes, NULL);
	PG_TRY();
	{
		result = fill_keys(window, entry, values, isnull);
	}
	PG_FINALLY();
	{
		FeathubTextModesRestore(&modes);
	}
	PG_END_TRY();
	return result;
}

/*
 * The key columns.  A key that is not what its values would be written as could
 * not be found by them: it is none of the table's.
 */
static bool
fill_keys(RedisWindow *window, RedisEntry *entry, Datum *values, bool *isnull)
{
	RedisTable *table = window->reader->table;
	const char *key = window->keys.data + entry->offset;
	RedisBytes	parts_few[8];
	RedisBytes *parts = table->nkeys <= 8 ? parts_few :
		palloc(sizeof(RedisBytes) * table->nkeys);

	(void) FeathubRedisKeyMatch(&table->template, key, entry->len, parts);
	for (int i = 0; i < table->nkeys; i++)
	{
		RedisColumn *column = &table->keys[i];
		FeathubDecodeError error = {0};
		Datum	   *value = &values[column->attnum - 1];
		RedisBytes	text;

		if (FeathubRedisDecode(column->codec, parts[i].data, parts[i].len, value, &error))
		{
			isnull[column->attnum - 1] = false;
			if (column->codec->plain || column->codec->kind == REDIS_CODEC_BYTEA)
				continue;
			text = FeathubRedisEncode(column->codec, *value);
			if (text.len == parts[i].len && memcmp(text.data, parts[i].data, text.len) == 0)
				continue;
			error.sqlerrcode = ERRCODE_INVALID_TEXT_REPRESENTATION;
			error.message = psprintf("key is not written as its value is: \"%s\"",
									 pnstrdup(text.data, text.len));
		}
		if (table->options->invalid_keys == REDIS_INVALID_SKIP)
			return false;
		error.attnum = column->attnum;
		FeathubRedisBadValue(table, key, entry->len, &error);
	}
	return true;
}

/* The row of a key that is one. */
static bool
key_row(RedisWindow *window, RedisEntry *entry, Datum *values, bool *isnull)
{
	RedisReader *reader = window->reader;
	RedisTable *table = reader->table;
	RedisReply *reply;
	int			command = entry->command;

	if (command < 0)
		return true;
	if (reader->nneeded > 0 || !reader->known)
	{
		reply = reply_of(window, command++);
		if (reply == NULL)
			return false;
		if (reader->nneeded == 0)
		{
			const char *type = FeathubRedisTypeOfKind(table->kind);

			if (strcmp(reply->str, "none") == 0)
				return false;
			if (strcmp(reply->str, type) != 0)
				ereport(ERROR,
						(errcode(ERRCODE_MOST_SPECIFIC_TYPE_MISMATCH),
						 errmsg("key \"%s\" on foreign server \"%s\" has another type than the table's kind",
								FeathubRedisShowKey(window->keys.data + entry->offset, entry->len),
								FeathubRedisServerName(reader->client)),
						 errdetail("Its type is %s, not %s.", reply->str, type)));
		}
		else if (reply->type == REDIS_NIL)
			return false;
		else if (table->kind == REDIS_KIND_HASH)
		{
			if (entry->check >= 0 && !exists(window, entry))
				return false;
			for (int i = 0; i < reply->n && i < reader->nneeded; i++)
			{
				if (reply->elements[i].type == REDIS_STRING)
					FeathubRedisFillColumn(window, entry, &table->values[reader->needed[i]],
										   reply->elements[i].str, reply->elements[i].len,
										   values, isnull);
			}
		}
		else if (reply->type == REDIS_ARRAY)
		{
			if (reply->n == 0)
				return false;
			fill_array(window, entry, &table->values[0], reply, values, isnull);
		}
		else if (reply->type != REDIS_STRING)
			FeathubRedisBadReply(reader->client, "GET");
		else if (reader->decoder)
		{
			FeathubDecodeError error = {0};

			if (!FeathubDecode(reader->decoder, reply->str, reply->len, values, isnull, &error))
				FeathubRedisBadValue(table, window->keys.data + entry->offset, entry->len, &error);
		}
		else
			FeathubRedisFillColumn(window, entry, &table->values[0], reply->str, reply->len,
								   values, isnull);
	}
	if (reader->need_ttl)
	{
		reply = FeathubRedisGet(window->request, command);
		if (reply->type != REDIS_INTEGER)
			FeathubRedisBadReply(reader->client, "PTTL");
		if (reply->integer == -2)
			return false;
		FeathubRedisFillTtl(window, reply->integer, values, isnull);
		command++;
	}
	if (reader->need_time)
		fill_time(window, command, values, isnull);
	return true;
}

/* The row of an entity, each of whose features is a key. */
static bool
feature_row(RedisWindow *window, RedisEntry *entry, Datum *values, bool *isnull)
{
	RedisReader *reader = window->reader;
	RedisTable *table = reader->table;
	bool		any = false;

	if (entry->command < 0)
		return true;
	if (reader->need_time)
		fill_time(window, entry->command + (reader->nneeded > 0 ? reader->nneeded : table->nvalues),
				  values, isnull);
	if (reader->nneeded == 0)
	{
		for (int i = 0; i < table->nvalues; i++)
			any |= FeathubRedisGet(window->request, entry->command + i)->integer > 0;
		return any;
	}
	for (int i = 0; i < reader->nneeded; i++)
	{
		RedisColumn *column = &table->values[reader->needed[i]];
		RedisReply *reply = FeathubRedisGet(window->request, entry->command + i);
		FeathubDecodeError error = {0};

		if (reply->type == REDIS_NIL || (reply->type == REDIS_ARRAY && reply->n == 0))
			continue;
		any = true;
		if (column->elements)
			fill_array(window, entry, column, reply, values, isnull);
		else if (column->map)
		{
			if (!FeathubRedisFeatureDecode(column, reply, &values[column->attnum - 1], &error))
			{
				error.attnum = column->attnum;
				FeathubRedisBadValue(table, window->keys.data + entry->offset, entry->len, &error);
			}
			isnull[column->attnum - 1] = false;
		}
		else
			FeathubRedisFillColumn(window, entry, column, reply->str, reply->len, values, isnull);
	}
	return any || (entry->check >= 0 && exists(window, entry));
}

static bool
exists(RedisWindow *window, RedisEntry *entry)
{
	for (int i = 0; i < entry->nchecks; i++)
	{
		if (FeathubRedisGet(window->request, entry->check + i)->integer > 0)
			return true;
	}
	return false;
}

/* A list or set as an array. */
static void
fill_array(RedisWindow *window, RedisEntry *entry, RedisColumn *column,
		   const RedisReply *reply, Datum *values, bool *isnull)
{
	RedisCodec *codec = column->codec;
	Datum	   *elements = palloc(sizeof(Datum) * Max(reply->n, 1));
	FeathubDecodeError error = {0};
	bool		ok = true;

	for (int i = 0; i < reply->n && ok; i++)
	{
		ok = FeathubRedisDecode(codec->element, reply->elements[i].str,
								reply->elements[i].len, &elements[i], &error);
	}
	if (ok)
	{
		values[column->attnum - 1] =
			PointerGetDatum(construct_array(elements, reply->n,
											codec->element->converter->typid, codec->elmlen,
											codec->elmbyval, codec->elmalign));
		ok = FeathubConvertDomain(codec->converter, values[column->attnum - 1], false, &error);
	}
	if (!ok)
	{
		error.attnum = column->attnum;
		FeathubRedisBadValue(window->reader->table, window->keys.data + entry->offset,
							 entry->len, &error);
	}
	isnull[column->attnum - 1] = false;
}
