/*
 * redis_guard.c
 *		Event times that guard rows: an older row never replaces a newer one.
 *
 * The time of a row is compared where the row is, by the script that writes it
 * (REDIS_SCRIPT_ROWS), so that writers in other sessions, retries and replays
 * cannot come between.  It is kept in the row where that is a hash with a field
 * for it; else, and after a deletion, in a key beside it: guard_prefix, and the
 * row's key in braces, so that a cluster has both in one slot.
 *
 * A deletion counts as of its own time: it takes no row that is newer, and lets
 * none return that is not newer.  So the end state depends on the times alone,
 * not on the order in which rows arrive or how often.
 *
 * The same script writes rows without an event time that take several commands.
 */
#include "postgres.h"

#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/timestamp.h"

#include "connectors/redis/redis_node.h"
#include "connectors/redis/redis_write.h"

/* Rows and bytes of one script: others wait for the server meanwhile. */
#define SCRIPT_ROWS		128
#define SCRIPT_BYTES	(256 * 1024)

#define TIME_DIGITS		20

static void set_time(RedisWriter *writer, TimestampTz time);
static void add_guard_key(RedisWriter *writer);
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
	strcpy(writer->guard.time, "d");
	if (timed && writer->table->guard != REDIS_GUARD_NONE)
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
		add_guard_key(writer);
	if (FeathubRedisIsCluster(writer->client))
		slot = FeathubRedisSlot(ops->key.data, ops->key.len);
	if (batch->nrows > 0 &&
		(batch->nrows >= SCRIPT_ROWS || batch->words.len > SCRIPT_BYTES || slot != batch->slot ||
		 ops->nkeys != batch->row_keys))
		(void) FeathubRedisGuardFlush(writer, request);

	if (batch->nrows++ == 0)
		appendBinaryStringInfo(&batch->first_key, ops->key.data, ops->key.len);
	batch->slot = slot;
	batch->row_keys = ops->nkeys;
	appendBinaryStringInfo(&batch->keys, ops->keys.data, ops->keys.len);
	batch->nkeys += ops->nkeys;
	if (guarded)
	{
		add_text(batch, guard->time);
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
									  4 + batch->nwords);
	FeathubRedisScriptKeys(request, batch->keys.data, batch->keys.len, batch->nkeys,
						   batch->first_key.data, batch->first_key.len);
	FeathubRedisAddString(request, mode);
	FeathubRedisAddString(request, table->guard_field ? table->guard_field : "");
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
 * prefix; the others are put between braces themselves.
 */
void
FeathubRedisGuardKey(const RedisTable *table, const char *key, Size len, StringInfo out)
{
	bool		tag = has_tag(key, len);

	appendStringInfoString(out, table->options->guard_prefix);
	appendStringInfoChar(out, tag ? ':' : '{');
	appendBinaryStringInfo(out, key, len);
	if (!tag)
		appendStringInfoChar(out, '}');
}

bool
FeathubRedisGuardedKey(const RedisTable *table, const char *guard, Size len, RedisBytes *key)
{
	Size		prefix = strlen(table->options->guard_prefix);

	if (len < prefix + 2 || memcmp(guard, table->options->guard_prefix, prefix) != 0)
		return false;
	key->data = guard + prefix + 1;
	key->len = len - prefix - 1;
	if (guard[prefix] == ':')
		return true;
	key->len--;
	return guard[prefix] == '{' && guard[len - 1] == '}';
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

/* The row's time, as it is compared. */
static void
set_time(RedisWriter *writer, TimestampTz time)
{
	char	   *p = writer->guard.time + (writer->guard.deletes ? 1 : 0);
	struct pg_tm tm;
	fsec_t		fsec;

	if (TIMESTAMP_NOT_FINITE(time) || timestamp2tm(time, NULL, &tm, &fsec, NULL, NULL) != 0 ||
		tm.tm_year < 1 || tm.tm_year > 9999)
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_FIELD_OVERFLOW),
				 errmsg("event time of foreign table \"%s\" is out of range: %s",
						writer->table->rel->relname, timestamptz_to_str(time)),
				 errdetail("Event times that guard rows are of the years 1 to 9999.")));
	p = pg_ultostr_zeropad(p, tm.tm_year, 4);
	p = pg_ultostr_zeropad(p, tm.tm_mon, 2);
	p = pg_ultostr_zeropad(p, tm.tm_mday, 2);
	p = pg_ultostr_zeropad(p, tm.tm_hour, 2);
	p = pg_ultostr_zeropad(p, tm.tm_min, 2);
	p = pg_ultostr_zeropad(p, tm.tm_sec, 2);
	p = pg_ultostr_zeropad(p, fsec, 6);
	*p = '\0';
	/* the year 1 is far enough from the type's limits */
	writer->guard.base = (time + (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * USECS_PER_DAY) / 1000;
}

/* The last of the row's keys. */
static void
add_guard_key(RedisWriter *writer)
{
	RedisOps   *ops = &writer->ops;
	StringInfo	key = &writer->guard_key;

	resetStringInfo(key);
	FeathubRedisGuardKey(writer->table, ops->key.data, ops->key.len, key);
	if (FeathubRedisIsCluster(writer->client) &&
		FeathubRedisSlot(ops->key.data, ops->key.len) != FeathubRedisSlot(key->data, key->len))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("the event time of key \"%s\" cannot be kept in the key's slot",
						FeathubRedisShowKey(ops->key.data, ops->key.len)),
				 errhint("Keys of a cluster that have braces should have them as a pair, with something between them.")));
	FeathubRedisOpsKey(ops, key->data, key->len);
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
		/* older rows would have expired by then */
		else if (from_event && guard->time[1] && options->ttl > 0)
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
