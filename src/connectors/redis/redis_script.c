/*
 * redis_script.c
 *		The scripts that write: commands that happen together or not at all.
 */
#include "postgres.h"

#include "common/cryptohash.h"
#include "common/sha1.h"

#include "connectors/redis/redis_node.h"

/*
 * REDIS_SCRIPT_OPS: commands of one row.  Arguments: check, number of words,
 * words; and again.  With check "1" a reply of 0 or nil ends the script with 0
 * (no such row), with check "0" one other than 0 or nil ends it with -1 (there is
 * such a row already).  An error ends it too, before anything that follows.
 * Else the reply is 1.
 */
static const char ops[] =
"local i = 1 "
"while i <= #ARGV do "
"local check, n = ARGV[i], tonumber(ARGV[i + 1]) "
"local r = redis.call(unpack(ARGV, i + 2, i + 1 + n)) "
"if check == '1' and (r == 0 or r == false) then return 0 end "
"if check == '0' and r ~= 0 and r ~= false then return -1 end "
"i = i + 2 + n "
"end "
"return 1";

/*
 * REDIS_SCRIPT_HASHES: new hashes, each a key.  Arguments: the number of fields,
 * whether each row has a time to live, whether each has a mask, and the fields;
 * then for each row the mask ('1' for a field that it has), a value for each
 * field, and ms to live or 0.  A row whose key exists is left out; the others are
 * written.  The reply is the number of the first row left out, or 0.  One EXISTS
 * for all keys is what makes this faster than a script for each row.
 */
static const char hashes[] =
"local call, n, ttls, masks = redis.call, tonumber(ARGV[1]), ARGV[2] == '1', ARGV[3] == '1' "
"local a = {'HSET'} "
"for f = 1, n do a[2 * f + 1] = ARGV[3 + f] end "
"local i, bad, seen, last = 3 + n, 0, {}, 2 * n + 2 "
"local fresh = call('EXISTS', unpack(KEYS)) == 0 "
"for r = 1, #KEYS do "
"local key, mask = KEYS[r], nil "
"if masks then i = i + 1 mask = ARGV[i] end "
"if seen[key] or not fresh and call('EXISTS', key) ~= 0 then "
"if bad == 0 then bad = r end "
"else "
"seen[key] = true "
"if mask then "
"local b, m = {'HSET', key}, 2 "
"for f = 1, n do if string.byte(mask, f) == 49 then "
"b[m + 1] = ARGV[3 + f] b[m + 2] = ARGV[i + f] m = m + 2 end end "
"call(unpack(b, 1, m)) "
"else "
"a[2] = key "
"for f = 1, n do a[2 * f + 2] = ARGV[i + f] end "
"call(unpack(a, 1, last)) "
"end "
"if ttls and ARGV[i + n + 1] ~= '0' then call('PEXPIRE', key, ARGV[i + n + 1]) end "
"end "
"i = i + n "
"if ttls then i = i + 1 end "
"end "
"return bad";

/*
 * REDIS_SCRIPT_ROWS: commands of many rows, each guarded by its event time if the
 * table has one.  Arguments: the guard's kind (RedisGuard) and the hash's field
 * for kind 'f'; then for each row, if it is guarded: its time ('' for a deletion
 * that has none), '1' for a deletion, PX or PXAT and a number for the key that
 * keeps the time (or twice ''), the element for kind 'm'; then for every row how
 * many keys are its own (of a guarded row the last is the one that keeps the
 * time), how many words follow, and these as for REDIS_SCRIPT_OPS.
 *
 * Times are 20 digits, of which texts of one length compare alike in every
 * locale; as numbers they would be rounded.  That of a deletion has a 'd' before
 * it.  A row that is older than what is there is left out, one that is as old as
 * a deletion too.  The field of a hash may have been written by others, so it is
 * read with care.
 *
 * The reply is the number of rows left out; -1 or -2 as 0 and -1 there.  An error
 * tells its key's number.
 */
static const char rows[] =
"local mode, field = ARGV[1], ARGV[2] "
"local call, try, byte = redis.call, redis.pcall, string.byte "
"local function digits(s) "
"local a, b, c, d, e, f, g, z = string.match(s, "
"'^(%d%d%d%d)-(%d%d)-(%d%d)[T ](%d%d):(%d%d):(%d%d)%.?(%d*)(.*)$') "
"if a and #g <= 6 and (z == '+00' or z == '' or z == 'Z' or z == '+00:00') then "
"return a .. b .. c .. d .. e .. f .. g .. string.rep('0', 6 - #g) end "
"end "
"local function keep(key, value, unit, n) "
"if unit == '' then call('SET', key, value) else call('SET', key, value, unit, n) end "
"end "
"local i, k, left, result, total = 3, 0, 0, 0, #ARGV "
"while i <= total do "
"local time, del, unit, ttl, member, old, dead "
"local guarded, go = mode ~= 'n', true "
"if guarded then "
"time, del, unit, ttl, member = ARGV[i], ARGV[i + 1] == '1', ARGV[i + 2], ARGV[i + 3], ARGV[i + 4] "
"i = i + 5 "
"end "
"local nkeys, last = tonumber(ARGV[i]), i + 1 + tonumber(ARGV[i + 1]) "
"local key, guard = KEYS[k + 1], KEYS[k + nkeys] "
"i = i + 2 "
"if guarded then "
"if mode == 'f' then "
"old = try('HGET', key, field) "
"if type(old) == 'table' then return {err = old.err .. ' (key ' .. k + 1 .. ')'} end "
"if old then "
"old = digits(old) "
"if not old then return {err = 'FEATHUBTIME field ' .. field .. ' holds no time (key ' .. k + 1 .. ')'} end "
"else old = call('GET', guard) end "
"elseif mode == 'k' then old = call('GET', guard) "
"else old = call('HGET', guard, member) end "
"if old and byte(old) == 100 then dead = true old = string.sub(old, 2) end "
"if old and time ~= '' then "
"if dead and not del then go = old < time else go = old <= time end "
"end "
"if time == '' then time = old end "
"end "
"if go then "
"while i < last do "
"local check, n = ARGV[i], tonumber(ARGV[i + 1]) "
"local r = try(unpack(ARGV, i + 2, i + 1 + n)) "
"if type(r) == 'table' and r.err then return {err = r.err .. ' (key ' .. k + 1 .. ')'} end "
"if check == '1' and (r == 0 or r == false) then "
"if not del then return -2 end "
"result = -2 "
"end "
"if check == '0' and r ~= 0 and r ~= false then return -1 end "
"i = i + 2 + n "
"end "
"if del then "
"if not time then "
"elseif mode == 'm' then call('HSET', guard, member, 'd' .. time) "
"else keep(guard, 'd' .. time, unit, ttl) end "
"elseif mode == 'f' then if dead then call('DEL', guard) end "
"elseif mode == 'k' then keep(guard, time, unit, ttl) "
"elseif mode == 'm' then call('HSET', guard, member, time) end "
"else left = left + 1 end "
"i, k = last + 1, k + nkeys "
"end "
"if result < 0 then return result end "
"return left";

const char *
FeathubRedisScriptText(RedisScript script)
{
	return script == REDIS_SCRIPT_ROWS ? rows : script == REDIS_SCRIPT_HASHES ? hashes : ops;
}

const char *
FeathubRedisScriptSha(RedisScript script)
{
	static char shas[REDIS_SCRIPT_COUNT][SHA1_DIGEST_LENGTH * 2 + 1];
	char	   *hex = shas[script];

	if (hex[0] == '\0')
	{
		const char *text = FeathubRedisScriptText(script);
		pg_cryptohash_ctx *context = pg_cryptohash_create(PG_SHA1);
		uint8		digest[SHA1_DIGEST_LENGTH];

		if (context == NULL || pg_cryptohash_init(context) < 0 ||
			pg_cryptohash_update(context, (const uint8 *) text, strlen(text)) < 0 ||
			pg_cryptohash_final(context, digest, sizeof(digest)) < 0)
			elog(ERROR, "could not compute SHA-1");
		pg_cryptohash_free(context);
		for (int i = 0; i < SHA1_DIGEST_LENGTH; i++)
			snprintf(hex + 2 * i, 3, "%02x", digest[i]);
	}
	return hex;
}
