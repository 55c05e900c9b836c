/*
 * redis_entry.c
 *		Entries of streams as records of a job: ids, bytes, rows.
 *
 * A record's value is the entry's fields and values, one after the other, each
 * written as its length, a colon, its bytes and a comma: "4:temp,4:21.5,".  So
 * any bytes are kept, dead letters can be read, and a reader needs no copies.
 */
#include "postgres.h"

#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "connectors/redis/redis_stream.h"

/* Milliseconds from 1970 to PostgreSQL's epoch, and the end of its time. */
#define EPOCH_MS	INT64CONST(946684800000)
#define END_MS		INT64CONST(9224318016000000)

static bool fill_keys(RedisTable *table, const char *key, Size len, Datum *values,
					  bool *isnull, FeathubDecodeError *error);
static bool bad_value(FeathubDecodeError *error, const char *message);

bool
FeathubRedisIdParse(const char *text, RedisId *id)
{
	char	   *end;

	if (!isdigit((unsigned char) text[0]))
		return false;
	errno = 0;
	id->ms = strtou64(text, &end, 10);
	id->seq = 0;
	if (errno != 0 || (*end != '\0' && *end != '-'))
		return false;
	if (*end == '\0')
		return true;
	if (!isdigit((unsigned char) end[1]))
		return false;
	id->seq = strtou64(end + 1, &end, 10);
	return errno == 0 && *end == '\0';
}

int
FeathubRedisIdCompare(RedisId a, RedisId b)
{
	if (a.ms != b.ms)
		return a.ms > b.ms ? 1 : -1;
	return (a.seq > b.seq) - (a.seq < b.seq);
}

RedisId
FeathubRedisIdNext(RedisId id)
{
	if (id.seq == PG_UINT64_MAX)
	{
		id.ms++;
		id.seq = 0;
	}
	else
		id.seq++;
	return id;
}

bool
FeathubRedisIdPack(RedisId id, int64 *sequence)
{
	if (id.ms >= UINT64CONST(1) << (63 - REDIS_SEQ_BITS) ||
		id.seq >= UINT64CONST(1) << REDIS_SEQ_BITS)
		return false;
	*sequence = (int64) (id.ms << REDIS_SEQ_BITS | id.seq);
	return true;
}

RedisId
FeathubRedisIdUnpack(int64 sequence)
{
	RedisId		id;

	id.ms = (uint64) sequence >> REDIS_SEQ_BITS;
	id.seq = (uint64) sequence & ((UINT64CONST(1) << REDIS_SEQ_BITS) - 1);
	return id;
}

/* The position of a record by its sequence has no dash: see connector.h. */
int
FeathubRedisComparePositions(const char *a, const char *b)
{
	const char *texts[2] = {a, b};
	RedisId		ids[2];

	for (int i = 0; i < 2; i++)
	{
		if (strchr(texts[i], '-') == NULL)
			ids[i] = FeathubRedisIdUnpack(strtoll(texts[i], NULL, 10));
		else if (!FeathubRedisIdParse(texts[i], &ids[i]))
			elog(ERROR, "invalid position \"%s\" of a stream", texts[i]);
	}
	return FeathubRedisIdCompare(ids[0], ids[1]);
}

TimestampTz
FeathubRedisIdTime(RedisId id)
{
	/* an id may be any number, a timestamp may not */
	if (id.ms >= END_MS)
		return DT_NOBEGIN;
	return ((int64) id.ms - EPOCH_MS) * 1000;
}

bool
FeathubRedisIdOfTime(TimestampTz time, RedisId *id)
{
	int64		ms;

	if (TIMESTAMP_NOT_FINITE(time))
		return false;
	ms = time / 1000 + (time % 1000 > 0);
	id->ms = (uint64) Max(ms + EPOCH_MS, 0);
	id->seq = 0;
	return true;
}

Size
FeathubRedisEntrySize(const RedisReply *fields)
{
	Size		size = 0;

	for (int i = 0; i < fields->n; i++)
		size += fields->elements[i].len + MAXINT8LEN + 3;
	return size;
}

Size
FeathubRedisEntryWrite(const RedisReply *fields, char *out)
{
	char	   *p = out;

	for (int i = 0; i < fields->n; i++)
	{
		p += pg_lltoa(fields->elements[i].len, p);
		*p++ = ':';
		memcpy(p, fields->elements[i].str, fields->elements[i].len);
		p += fields->elements[i].len;
		*p++ = ',';
	}
	return p - out;
}

/* The next word of a record's value; false if there is none like that. */
static bool
next_word(const char **p, const char *end, RedisBytes *word)
{
	const char *s = *p;
	Size		len = 0;

	while (s < end && *s >= '0' && *s <= '9')
	{
		len = len * 10 + (*s++ - '0');
		if (len > (Size) (end - *p))
			return false;
	}
	if (s == *p || s >= end || *s++ != ':' || (Size) (end - s) <= len || s[len] != ',')
		return false;
	word->data = s;
	word->len = len;
	*p = s + len + 1;
	return true;
}

bool
FeathubRedisEntryDecode(RedisTable *table, const char *key, Size key_len,
						const FeathubRecord *record, Datum *values, bool *isnull,
						FeathubDecodeError *error)
{
	RedisId		id = FeathubRedisIdUnpack(record->sequence);
	AttrNumber	attnum = table->metadata[REDIS_META_ID];
	TimestampTz time = FeathubRedisIdTime(id);
	const char *p = record->value;
	const char *end = p + record->value_len;

	if (!fill_keys(table, key, key_len, values, isnull, error))
		return false;
	if (attnum != 0)
	{
		values[attnum - 1] =
			CStringGetTextDatum(psprintf(UINT64_FORMAT "-" UINT64_FORMAT, id.ms, id.seq));
		isnull[attnum - 1] = false;
	}
	attnum = table->metadata[REDIS_META_TIME];
	if (attnum != 0 && time != DT_NOBEGIN)
	{
		values[attnum - 1] = TimestampTzGetDatum(time);
		isnull[attnum - 1] = false;
	}
	while (p < end)
	{
		RedisBytes	field;
		RedisBytes	value;

		if (!next_word(&p, end, &field) || !next_word(&p, end, &value))
			return bad_value(error, "record is not the fields of a stream's entry");
		/* of fields of one name the last counts, as in a scan */
		for (int i = 0; i < table->nvalues; i++)
		{
			RedisColumn *column = &table->values[i];

			if (strlen(column->field) != field.len ||
				memcmp(column->field, field.data, field.len) != 0)
				continue;
			if (!FeathubRedisDecode(column->codec, value.data, value.len,
									&values[column->attnum - 1], error))
			{
				error->attnum = column->attnum;
				return false;
			}
			isnull[column->attnum - 1] = false;
		}
	}
	return true;
}

/* The columns that the stream's key holds. */
static bool
fill_keys(RedisTable *table, const char *key, Size len, Datum *values, bool *isnull,
		  FeathubDecodeError *error)
{
	RedisBytes *parts;

	if (table->nkeys == 0)
		return true;
	parts = palloc(sizeof(RedisBytes) * table->nkeys);
	if (!FeathubRedisKeyMatch(&table->template, key, len, parts))
		return bad_value(error, "key of the stream is not one of the table's");
	for (int i = 0; i < table->nkeys; i++)
	{
		RedisColumn *column = &table->keys[i];

		if (!FeathubRedisDecode(column->codec, parts[i].data, parts[i].len,
								&values[column->attnum - 1], error))
		{
			error->attnum = column->attnum;
			return false;
		}
		isnull[column->attnum - 1] = false;
	}
	pfree(parts);
	return true;
}

static bool
bad_value(FeathubDecodeError *error, const char *message)
{
	error->sqlerrcode = ERRCODE_INVALID_TEXT_REPRESENTATION;
	error->message = pstrdup(message);
	return false;
}
