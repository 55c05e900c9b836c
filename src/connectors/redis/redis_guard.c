/*
 * redis_guard.c
 *		Event times that guard rows: an older row never replaces a newer one.
 *
 * The time of a row is compared where the row is, by the script that writes it
 * (REDIS_SCRIPT_ROWS), so that writers in other sessions, retries and replays
 * cannot come between.  It is kept in the row where that is a hash or JSON with a
 * field for it; else, and after a deletion, in a key beside it: guard_prefix, and
 * the row's key in braces, so that a cluster has both in one slot.  Times of
 * elements are in a hash beside their key, which goes with it; that of a deleted
 * element is in a key of its own, which can expire.
 *
 * A deletion counts as of its own time: it takes no row that is newer, and lets
 * none return that is not newer.  So the end state depends on the times alone,
 * not on the order in which rows arrive or how often.
 *
 * The same script writes rows without an event time that take several commands.
 * New rows of strings and hashes have faster ones: redis_write_latest.c.
 */
#include "postgres.h"

#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/timestamp.h"

#include "connectors/redis/redis_node.h"
#include "connectors/redis/redis_write.h"

#define TIME_DIGITS		(REDIS_TIME_SIZE - 1)

static void set_time(RedisWriter *writer, TimestampTz time);
static void add_guard_keys(RedisWriter *writer);
static void add_guard_key(RedisWriter *writer, const RedisBytes *member);
static void add_time(RedisWriter *writer);
static bool tells_ttl(const RedisTable *table);
static void guard_ttl(RedisWriter *writer, int64 ms);
static bool has_tag(const char *key, Size len);
static void add_text(RedisBatch *batch, const char *word);
static void add_int(RedisBatch *batch, int64 word);

void
FeathubRedisGuardRow(RedisWriter *writer, const Datum *values, const bool *isnull)
{
	RedisTable *table = writer->table;

	writer->guard.deletes = false;
	writer->guard.timed = true;
	if (table->guard == REDIS_GUARD_NONE)
		return;
	if (isnull[table->event_time - 1])
		ereport(ERROR,
				(errcode(ERRCODE_NOT_NULL_VIOLATION),
				 errmsg("null value in event time column \"%s\" of foreign table \"%s\"",
						NameStr(TupleDescAttr(table->rel->tupdesc, table->event_time - 1)->attname),
						table->rel->relname)));
	/* a time without zone is taken as UTC, and has the same form */
	set_time(writer, DatumGetTimestampTz(values[table->event_time - 1]));
}

void
FeathubRedisWriterDeletedAt(RedisWriter *writer, bool timed, TimestampTz at)
{
	writer->guard.deletes = true;
	writer->guard.timed = timed && writer->table->guard != REDIS_GUARD_NONE;
	if (writer->guard.timed)
		set_time(writer, at);
}

int
FeathubRedisGuardSend(RedisWriter *writer, RedisRequest *request, int64 ms)
{
	RedisOps   *ops = &writer->ops;
	RedisBatch *batch = &writer->batch;
	RedisRowGuard *guard = &writer->guard;
	bool		guarded = writer->table->guard != REDIS_GUARD_NONE;
	int			slot = -1;

	if (!guarded && (!writer->together || ops->nops == 1))
	{
		/* a key may be written twice: in the order of the rows */
		(void) FeathubRedisGuardFlush(writer, request);
		return FeathubRedisOpsSend(ops, request);
	}
	if (guarded)
		add_guard_keys(writer);
	if (FeathubRedisIsCluster(writer->client))
		slot = FeathubRedisSlot(ops->key.data, ops->key.len);
	if (batch->nrows > 0 &&
		(batch->nrows >= REDIS_SCRIPT_ROWS_MAX || batch->words.len > REDIS_SCRIPT_BYTES_MAX ||
		 slot != batch->slot || ops->nkeys != batch->row_keys))
		(void) FeathubRedisGuardFlush(writer, request);

	if (batch->nrows++ == 0)
		appendBinaryStringInfo(&batch->first_key, ops->key.data, ops->key.len);
	batch->slot = slot;
	batch->row_keys = ops->nkeys;
	appendBinaryStringInfo(&batch->keys, ops->keys.data, ops->keys.len);
	batch->nkeys += ops->nkeys;
	if (guarded)
	{
		add_time(writer);
		if (writer->table->guard == REDIS_GUARD_MEMBER)
		{
			FeathubRedisFormat(&batch->words, guard->member.data, guard->member.len);
			batch->nwords++;
		}
		if (tells_ttl(writer->table))
		{
			guard_ttl(writer, ms);
			add_text(batch, guard->unit);
			if (guard->unit[0])
				add_int(batch, guard->ttl);
			else
				add_text(batch, "");
		}
	}
	add_int(batch, ops->nwords);
	appendBinaryStringInfo(&batch->words, ops->data.data, ops->data.len);
	batch->nwords += ops->nwords;
	return writer->together ? -1 : FeathubRedisGuardFlush(writer, request);
}

int
FeathubRedisGuardFlush(RedisWriter *writer, RedisRequest *request)
{
	RedisTable *table = writer->table;
	RedisBatch *batch = &writer->batch;
	char		mode[2] = {(char) table->guard, '\0'};
	int			command;

	if (batch->nrows == 0)
		return -1;
	command = FeathubRedisBeginScript(request, REDIS_SCRIPT_ROWS, batch->nkeys,
									  6 + batch->nwords);
	FeathubRedisScriptKeys(request, batch->keys.data, batch->keys.len, batch->nkeys,
						   batch->first_key.data, batch->first_key.len);
	FeathubRedisAddString(request, mode);
	FeathubRedisAddString(request, table->guard_field ? table->guard_field : "");
	FeathubRedisAddString(request, table->guard_mark ? table->guard_mark : "");
	FeathubRedisAddInt(request, table->guard_width);
	FeathubRedisAddString(request, tells_ttl(table) ? "1" : "0");
	FeathubRedisAddInt(request, batch->row_keys);
	FeathubRedisAddFormatted(request, batch->words.data, batch->words.len, batch->nwords);
	/* an error that is not about one row names none */
	if (batch->nrows > 1)
		request->commands[command].key_len = 0;
	FeathubRedisGuardReset(writer);
	return command;
}

void
FeathubRedisGuardReset(RedisWriter *writer)
{
	RedisBatch *batch = &writer->batch;

	if (batch->keys.data == NULL)
	{
		initStringInfo(&batch->keys);
		initStringInfo(&batch->words);
		initStringInfo(&batch->first_key);
		initStringInfo(&writer->guard_key);
	}
	resetStringInfo(&batch->keys);
	resetStringInfo(&batch->words);
	resetStringInfo(&batch->first_key);
	batch->nkeys = 0;
	batch->nwords = 0;
	batch->nrows = 0;
}

/*
 * A key whose slot is that of a part between braces has the same one behind any
 * prefix; the others are put between braces themselves.  With an element the
 * key's length stands before, since both may hold anything.
 */
void
FeathubRedisGuardKey(const RedisTable *table, const char *key, Size len,
					 const RedisBytes *member, StringInfo out)
{
	bool		tag = has_tag(key, len);

	appendStringInfoString(out, table->options->guard_prefix);
	if (member)
		appendStringInfo(out, "%zu", len);
	appendStringInfoChar(out, tag ? ':' : '{');
	appendBinaryStringInfo(out, key, len);
	if (!tag)
		appendStringInfoChar(out, '}');
	if (member)
		appendBinaryStringInfo(out, member->data, member->len);
}

bool
FeathubRedisGuardedKey(const RedisTable *table, const char *guard, Size len, RedisBytes *key)
{
	Size		prefix = strlen(table->options->guard_prefix);
	Size		digits;
	Size		left;

	if (len < prefix + 2 || memcmp(guard, table->options->guard_prefix, prefix) != 0)
		return false;
	digits = strspn(guard + prefix, "0123456789");
	if (len < prefix + digits + 1)
		return false;
	key->data = guard + prefix + digits + 1;
	left = len - prefix - digits - 1;
	key->len = left;
	if (digits > 0)
	{
		uint64		given = strtoul(guard + prefix, NULL, 10);

		if (digits > 10 || given > left)
			return false;
		key->len = given;
	}
	if (key->data[-1] == ':')
		return true;
	if (key->data[-1] != '{')
		return false;
	if (digits == 0)
		key->len = left - 1;
	return key->len < left && key->data[key->len] == '}';
}

bool
FeathubRedisIsGuard(const RedisTable *table, const char *key, Size len)
{
	RedisBytes	row;

	return table->guard != REDIS_GUARD_NONE && FeathubRedisGuardedKey(table, key, len, &row);
}

bool
FeathubRedisGuardTime(const char *text, Size len, TimestampTz *result)
{
	static const int widths[] = {4, 2, 2, 2, 2, 2, 6};
	int			parts[lengthof(widths)];
	struct pg_tm tm = {0};

	if (len != TIME_DIGITS || strspn(text, "0123456789") != TIME_DIGITS)
		return false;
	for (int i = 0; i < lengthof(widths); i++)
	{
		parts[i] = 0;
		for (int j = 0; j < widths[i]; j++)
			parts[i] = parts[i] * 10 + (*text++ - '0');
	}
	tm.tm_year = parts[0];
	tm.tm_mon = parts[1];
	tm.tm_mday = parts[2];
	tm.tm_hour = parts[3];
	tm.tm_min = parts[4];
	tm.tm_sec = parts[5];
	return ValidateDate(DTK_DATE_M, false, false, false, &tm) == 0 &&
		tm2timestamp(&tm, parts[6], NULL, result) == 0;
}

/* The years 1 to 9999: what has four digits. */
static void
set_time(RedisWriter *writer, TimestampTz time)
{
	const TimestampTz begin = (TimestampTz) (date2j(1, 1, 1) - POSTGRES_EPOCH_JDATE) * USECS_PER_DAY;
	const TimestampTz end = (TimestampTz) (date2j(10000, 1, 1) - POSTGRES_EPOCH_JDATE) * USECS_PER_DAY;

	if (time < begin || time >= end)
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_FIELD_OVERFLOW),
				 errmsg("event time of foreign table \"%s\" is out of range: %s",
						writer->table->rel->relname, timestamptz_to_str(time)),
				 errdetail("Event times that guard rows are of the years 1 to 9999.")));
	writer->guard.at = time;
	writer->guard.base = (time + (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * USECS_PER_DAY) / 1000;
}

void
FeathubRedisGuardDigits(const RedisWriter *writer, char *p)
{
	struct pg_tm tm;
	fsec_t		fsec;

	if (timestamp2tm(writer->guard.at, NULL, &tm, &fsec, NULL, NULL) != 0)
		elog(ERROR, "event time is out of range");
	p = pg_ultostr_zeropad(p, tm.tm_year, 4);
	p = pg_ultostr_zeropad(p, tm.tm_mon, 2);
	p = pg_ultostr_zeropad(p, tm.tm_mday, 2);
	p = pg_ultostr_zeropad(p, tm.tm_hour, 2);
	p = pg_ultostr_zeropad(p, tm.tm_min, 2);
	p = pg_ultostr_zeropad(p, tm.tm_sec, 2);
	p = pg_ultostr_zeropad(p, fsec, 6);
	*p = '\0';
}

/* The row's time, after a 'd' of a deletion. */
static void
add_time(RedisWriter *writer)
{
	char		text[1 + REDIS_TIME_SIZE] = "d";

	if (writer->guard.timed)
		FeathubRedisGuardDigits(writer, text + (writer->guard.deletes ? 1 : 0));
	add_text(&writer->batch, text);
}

/* The last of the row's keys. */
static void
add_guard_keys(RedisWriter *writer)
{
	add_guard_key(writer, NULL);
	if (writer->table->guard == REDIS_GUARD_MEMBER)
		add_guard_key(writer, &writer->guard.member);
}

void
FeathubRedisGuardKeyOfRow(RedisWriter *writer, const char *key, Size len,
						  const RedisBytes *member)
{
	StringInfo	guard = &writer->guard_key;

	resetStringInfo(guard);
	FeathubRedisGuardKey(writer->table, key, len, member, guard);
	if (FeathubRedisIsCluster(writer->client) &&
		FeathubRedisSlot(key, len) != FeathubRedisSlot(guard->data, guard->len))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("the event time of key \"%s\" cannot be kept in the key's slot",
						FeathubRedisShowKey(key, len)),
				 errhint("Keys of a cluster that have braces should have them as a pair, with something between them.")));
}

static void
add_guard_key(RedisWriter *writer, const RedisBytes *member)
{
	RedisOps   *ops = &writer->ops;

	FeathubRedisGuardKeyOfRow(writer, ops->key.data, ops->key.len, member);
	FeathubRedisOpsKey(ops, writer->guard_key.data, writer->guard_key.len);
}

/* Do keys that keep times go by themselves? */
static bool
tells_ttl(const RedisTable *table)
{
	return table->guard != REDIS_GUARD_NONE &&
		(table->options->ttl > 0 || table->options->tombstone_ttl > 0 ||
		 table->metadata[REDIS_META_TTL] != 0);
}

/* How long the key stays that keeps the time: as long as the row, or a deletion. */
static void
guard_ttl(RedisWriter *writer, int64 ms)
{
	const RedisOptions *options = writer->table->options;
	RedisRowGuard *guard = &writer->guard;
	bool		from_event = options->ttl_from == REDIS_TTL_EVENT_TIME;

	guard->unit = "";
	if (guard->deletes)
	{
		ms = (int64) (options->tombstone_ttl * 1000);
		if (ms > 0)
			from_event = false;
		/* older rows would have expired by then, if none says otherwise */
		else if (from_event && guard->timed && options->ttl > 0 &&
				 writer->table->metadata[REDIS_META_TTL] == 0 &&
				 writer->table->guard != REDIS_GUARD_MEMBER)
			ms = (int64) (options->ttl * 1000);
	}
	if (ms <= 0)
		return;
	guard->unit = from_event ? "PXAT" : "PX";
	guard->ttl = from_event ? Max(guard->base + ms, 1) : ms;
}

/* Does a part of the key between braces decide about its slot? */
static bool
has_tag(const char *key, Size len)
{
	const char *open = memchr(key, '{', len);
	const char *close = open ? memchr(open, '}', len - (open - key)) : NULL;

	return close != NULL && close > open + 1;
}

static void
add_text(RedisBatch *batch, const char *word)
{
	FeathubRedisFormat(&batch->words, word, strlen(word));
	batch->nwords++;
}

static void
add_int(RedisBatch *batch, int64 word)
{
	char		buffer[MAXINT8LEN + 1];

	FeathubRedisFormat(&batch->words, buffer, pg_lltoa(word, buffer));
	batch->nwords++;
}
