/*
 * fuzz_redis.c
 *		What is fuzzed of the Redis connector: keys, ids, entries and values as
 *		a server may send them.
 *
 * Tables are made by hand, so neither a server nor a foreign table is needed.
 * Where there is a way back, bytes must come back as they were.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"
#include "utils/typcache.h"

#include "connectors/redis/redis_stream.h"
#include "connectors/redis/redis_write.h"
#include "fuzz.h"

#define MAX_KEYS	4
#define MAX_WORDS	200

/* The target's own, set by its init. */
static TupleDesc tupdesc;
static RedisTable table;
static Datum *values;
static bool *nulls;

static RedisColumn
make_column(AttrNumber attnum, Oid typid, int32 typmod, const char *field)
{
	RedisColumn column = {.attnum = attnum, .attname = field, .field = field,
	.typid = typid, .typmod = typmod};

	column.codec = FeathubRedisCodecMake(typid, typmod, false, table.settings);
	return column;
}

/* A table with a value column for each column of the row type. */
static void
table_init(Oid rowtype)
{
	tupdesc = lookup_rowtype_tupdesc_copy(rowtype, -1);
	values = palloc0(sizeof(Datum) * tupdesc->natts);
	nulls = palloc(sizeof(bool) * tupdesc->natts);
	table.settings = FeathubRedisSettingsMake();
	table.values = palloc(sizeof(RedisColumn) * tupdesc->natts);
	for (int i = 0; i < tupdesc->natts; i++)
	{
		Form_pg_attribute attr = TupleDescAttr(tupdesc, i);

		table.values[table.nvalues++] = make_column(attr->attnum, attr->atttypid,
													attr->atttypmod, NameStr(attr->attname));
	}
}

static void
check_error(const FeathubDecodeError *error)
{
	if (error->message == NULL || error->sqlerrcode == 0)
		fuzz_fail("an error without message or code");
}

/* Words behind their lengths, one byte each; into a reply of an array. */
static void
split_words(const char *data, Size len, RedisReply *reply)
{
	const char *end = data + len;

	reply->type = REDIS_ARRAY;
	reply->elements = palloc0(sizeof(RedisReply) * MAX_WORDS);
	while (data < end && reply->n < MAX_WORDS)
	{
		RedisReply *word = &reply->elements[reply->n++];

		word->type = REDIS_STRING;
		word->len = Min((Size) (unsigned char) *data, (Size) (end - data - 1));
		word->str = palloc(word->len + 1);
		memcpy(word->str, data + 1, word->len);
		word->str[word->len] = '\0';
		data += word->len + 1;
	}
}

/* Keys "x:{t}:{i2}" of streams that have all columns of the row as fields. */
void
FuzzRedisEntryInit(Oid rowtype)
{
	static RedisPiece pieces[] = {{-1, "x:", 2}, {0}, {-1, ":", 1}, {1}};
	static RedisColumn keys[2];
	int			nvalues = 0;

	table_init(rowtype);
	for (int i = 0; i < table.nvalues; i++)
	{
		RedisColumn *column = &table.values[i];

		if (strcmp(column->field, "t") == 0)
			keys[0] = *column;
		else if (strcmp(column->field, "i2") == 0)
			keys[1] = *column;
		else if (strcmp(column->field, "v") == 0)
			table.metadata[REDIS_META_ID] = column->attnum;
		else if (strcmp(column->field, "tz") == 0)
			table.metadata[REDIS_META_TIME] = column->attnum;
		else
			table.values[nvalues++] = *column;
	}
	table.nvalues = nvalues;
	table.keys = keys;
	table.nkeys = lengthof(keys);
	table.template.pieces = pieces;
	table.template.npieces = lengthof(pieces);
	table.template.ncolumns = lengthof(keys);
}

/* What was written of an entry is read again: the last value of each name. */
static void
entry_round_trip(const char *data, Size len)
{
	RedisTable	bytes = {.settings = table.settings};
	RedisColumn column = make_column(1, BYTEAOID, -1, "a");
	RedisReply	fields = {0};
	RedisReply *last = NULL;
	FeathubRecord record = {0};
	FeathubDecodeError error = {0};
	Datum		value = (Datum) 0;
	bool		isnull = true;
	bool		ok;
	Size		size;
	char	   *out;

	split_words(data, len, &fields);
	for (int i = 0; i + 1 < fields.n; i += 2)
	{
		if (fields.elements[i].len == 1 && fields.elements[i].str[0] == 'a')
			last = &fields.elements[i + 1];
	}
	size = FeathubRedisEntrySize(&fields);

	/* of that size and not more, for the sanitizer; it stays after a finding */
	out = malloc(size + 1);
	record.value = out;
	record.value_len = FeathubRedisEntryWrite(&fields, out);
	if (record.value_len > size)
		fuzz_fail("%zu bytes were written instead of %zu", record.value_len, size);
	bytes.values = &column;
	bytes.nvalues = 1;
	ok = FeathubRedisEntryDecode(&bytes, "", 0, &record, &value, &isnull, &error);
	if (ok != (fields.n % 2 == 0))
		fuzz_fail("an entry of %d words was %s", fields.n, ok ? "read" : "refused");
	if (ok && isnull != (last == NULL))
		fuzz_fail("a field was %s", isnull ? "lost" : "made up");
	if (ok && last != NULL &&
		(VARSIZE_ANY_EXHDR(DatumGetPointer(value)) != last->len ||
		 memcmp(VARDATA_ANY(DatumGetPointer(value)), last->str, last->len) != 0))
		fuzz_fail("another value was read than written");
	free(out);
}

/* Eight bytes of sequence, the key behind its length, the record's value. */
void
FuzzRedisEntryRun(const char *data, Size len)
{
	FeathubRecord record = {0};
	FeathubDecodeError error = {0};
	Size		key_len;

	entry_round_trip(data, len);
	if (len < sizeof(int64) + 1)
		return;
	memcpy(&record.sequence, data, sizeof(int64));
	record.sequence &= PG_INT64_MAX;
	data += sizeof(int64);
	len -= sizeof(int64);
	key_len = Min((Size) (unsigned char) *data, len - 1);
	record.value = data + 1 + key_len;
	record.value_len = len - 1 - key_len;
	memset(nulls, true, tupdesc->natts);
	if (FeathubRedisEntryDecode(&table, data + 1, key_len, &record, values, nulls, &error))
		(void) heap_form_tuple(tupdesc, values, nulls);
	else
		check_error(&error);
}

/* "ms-seq", and its first bytes as a time */
void
FuzzRedisIdRun(const char *data, Size len)
{
	char	   *text = pnstrdup(data, len);
	TimestampTz time;
	RedisId		id;
	RedisId		again;
	int64		sequence;

	if (len >= sizeof(time))
	{
		memcpy(&time, data, sizeof(time));
		if (IS_VALID_TIMESTAMP(time) && FeathubRedisIdOfTime(time, &id) && id.ms > 0)
		{
			TimestampTz of_id = FeathubRedisIdTime(id);

			if (of_id == DT_NOBEGIN ? time < END_TIMESTAMP - 1000 :
				(of_id < time || of_id - time >= 1000))
				fuzz_fail("time %lld has id " UINT64_FORMAT, (long long) time, id.ms);
		}
	}
	if (!FeathubRedisIdParse(text, &id))
		return;
	text = psprintf(UINT64_FORMAT "-" UINT64_FORMAT, id.ms, id.seq);
	if (!FeathubRedisIdParse(text, &again) || FeathubRedisIdCompare(id, again) != 0 ||
		FeathubRedisComparePositions(text, text) != 0)
		fuzz_fail("id %s is not itself", text);
	if ((id.ms != PG_UINT64_MAX || id.seq != PG_UINT64_MAX) &&
		FeathubRedisIdCompare(FeathubRedisIdNext(id), id) <= 0)
		fuzz_fail("the id after %s is not greater", text);
	if (FeathubRedisIdPack(id, &sequence) &&
		(sequence < 0 || FeathubRedisIdCompare(FeathubRedisIdUnpack(sequence), id) != 0 ||
		 FeathubRedisComparePositions(text, psprintf("%lld", (long long) sequence)) != 0))
		fuzz_fail("id %s is packed as %lld", text, (long long) sequence);
	time = FeathubRedisIdTime(id);
	if (time != DT_NOBEGIN &&
		(!IS_VALID_TIMESTAMP(time) || !FeathubRedisIdOfTime(time, &again) || again.ms != id.ms))
		fuzz_fail("id %s is another one by its time", text);
}

/* The bytes that a pattern for MATCH without wildcards stands for. */
static void
check_glob(const RedisTemplate *template, const RedisBytes *parts, const char *key, Size len)
{
	StringInfoData glob;
	Size		n = 0;

	initStringInfo(&glob);
	FeathubRedisKeyGlob(template, parts, &glob);
	for (int i = 0; i < glob.len; i++, n++)
	{
		if (glob.data[i] == '\\')
			i++;
		else if (strchr("*?[", glob.data[i]) != NULL && glob.data[i] != '\0')
			fuzz_fail("a wildcard in \"%s\"", glob.data);
		if (i >= glob.len || n >= len || glob.data[i] != key[n])
			fuzz_fail("\"%s\" does not stand for the key", glob.data);
	}
	if (n != len)
		fuzz_fail("\"%s\" stands for a part of the key", glob.data);
}

/* A pattern as a user writes it, a line feed, and a key or the values of one. */
void
FuzzRedisKeyRun(const char *data, Size len)
{
	const char *key = memchr(data, '\n', len);
	List	   *items;
	RedisTemplate template = {0};
	RedisBytes	parts[MAX_KEYS];
	RedisReply	words = {0};
	StringInfoData out;
	StringInfoData again;

	if (key == NULL)
		return;
	items = FeathubRedisPatternParse(pnstrdup(data, key - data));
	len -= ++key - data;
	template.pieces = palloc0(sizeof(RedisPiece) * Max(list_length(items), 1));
	for (int i = 0; i < list_length(items); i++)
	{
		RedisPatternItem *item = list_nth(items, i);
		RedisPiece *piece = &template.pieces[template.npieces++];

		piece->column = -1;
		piece->text = item->text;
		piece->len = strlen(item->text);
		if (!item->is_name)
			continue;
		/* such tables are refused */
		if (template.ncolumns == MAX_KEYS || (i > 0 && piece[-1].column >= 0))
			return;
		piece->column = template.ncolumns++;
	}

	initStringInfo(&out);
	if (FeathubRedisKeyMatch(&template, key, len, parts))
	{
		FeathubRedisKeyRender(&template, parts, &out);
		if (out.len != len || memcmp(out.data, key, len) != 0)
			fuzz_fail("a key became \"%s\"", out.data);
		check_glob(&template, parts, key, len);
	}

	/* what any values make is a key, if not always of the same values */
	split_words(key, len, &words);
	for (int i = 0; i < template.ncolumns; i++)
	{
		parts[i].data = i < words.n ? words.elements[i].str : "";
		parts[i].len = i < words.n ? words.elements[i].len : 0;
	}
	resetStringInfo(&out);
	FeathubRedisKeyRender(&template, parts, &out);
	if (!FeathubRedisKeyMatch(&template, out.data, out.len, parts))
		fuzz_fail("key \"%s\" was made and is not found", out.data);
	initStringInfo(&again);
	FeathubRedisKeyRender(&template, parts, &again);
	if (again.len != out.len || memcmp(again.data, out.data, out.len) != 0)
		fuzz_fail("key \"%s\" became \"%s\"", out.data, again.data);
}

/* The first byte chooses the column; what is read must be written as the same. */
void
FuzzRedisValueInit(Oid rowtype)
{
	table_init(rowtype);
}

void
FuzzRedisValueRun(const char *data, Size len)
{
	FeathubDecodeError error = {0};
	FeathubTextModes modes;
	RedisCodec *codec;
	RedisBytes	first;
	RedisBytes	second;
	Datum		value;

	if (len == 0)
		return;
	codec = table.values[(unsigned char) data[0] % table.nvalues].codec;
	codec->feathub = data[0] & 0x80;
	if (!FeathubRedisDecode(codec, data + 1, len - 1, &value, &error))
	{
		check_error(&error);
		return;
	}
	FeathubTextModesSet(&modes, pg_tzset("GMT"));
	first = FeathubRedisEncode(codec, value);
	if (!FeathubRedisDecode(codec, first.data, first.len, &value, &error))
		fuzz_fail("what was written does not read: %s: %.*s", error.message,
				  (int) first.len, first.data);
	second = FeathubRedisEncode(codec, value);
	FeathubTextModesRestore(&modes);
	if (first.len != second.len || memcmp(first.data, second.data, first.len) != 0)
		fuzz_fail("another value was read than written: %.*s: %.*s",
				  (int) first.len, first.data, (int) second.len, second.data);
}

/* FeatHub's maps and arrays: the first byte chooses the type. */
static RedisColumn features[8];

void
FuzzRedisFeatureInit(Oid rowtype)
{
	static const char *const types[] = {NULL, "array<string>", "array<double>", "map<string,bigint>",
		"map<string,boolean>", "array<map<string,float>>",
	"map<string,array<int>>", "array<array<array<string>>>"};

	table.settings = FeathubRedisSettingsMake();
	for (int i = 0; i < lengthof(types); i++)
	{
		features[i] = make_column(1, i == 1 ? JSONOID : JSONBOID, -1, "f");
		features[i].map = true;
		features[i].type = types[i] ? FeathubRedisTypeParse(types[i]) : NULL;
	}
}

static void
add_word(void *arg, const char *word, Size len)
{
	RedisReply *reply = arg;
	RedisReply *element = &reply->elements[reply->n++];

	element->type = REDIS_STRING;
	element->str = pnstrdup(word, len);
	element->len = len;
}

void
FuzzRedisFeatureRun(const char *data, Size len)
{
	FeathubDecodeError error = {0};
	RedisReply	reply = {0};
	RedisReply	again = {.type = REDIS_ARRAY};
	RedisColumn *column;
	Datum		first;
	Datum		second;

	if (len == 0)
		return;
	column = &features[(unsigned char) data[0] % lengthof(features)];
	if (data[0] & 0x80)
		(void) FeathubRedisTypeParse(pnstrdup(data + 1, len - 1));
	split_words(data + 1, len - 1, &reply);
	if (!FeathubRedisFeatureDecode(column, &reply, &first, &error))
	{
		check_error(&error);
		return;
	}
	again.elements = palloc0(sizeof(RedisReply) * MAX_WORDS);
	(void) FeathubRedisFeatureWords(column, first, add_word, &again);
	if (!FeathubRedisFeatureDecode(column, &again, &second, &error))
		fuzz_fail("what was written does not read: %s", error.message);
	if (column->typid == JSONBOID &&
		!DatumGetBool(DirectFunctionCall2(jsonb_eq, first, second)))
		fuzz_fail("another value was read than written: %s: %s",
				  DatumGetCString(DirectFunctionCall1(jsonb_out, first)),
				  DatumGetCString(DirectFunctionCall1(jsonb_out, second)));
}
