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
 * table has one.  Arguments: the guard's kind (RedisGuard), the hash's field for
 * kind 'f', whether rows tell how long the key stays that keeps the time, and how
 * many keys each row has (of a guarded row the last is that key).  Then for each
 * row, if it is guarded: its time, with a 'd' before it for a deletion (which may
 * have none), the element for kind 'm', and PX or PXAT and a number (or twice '')
 * if rows tell; then for every row how many words follow, and these as for
 * REDIS_SCRIPT_OPS.
 *
 * Times are 20 digits, of which texts of one length compare alike in every
 * locale; as numbers they would be rounded.  They are kept as they come, with the
 * 'd'.  A row that is older than what is there is left out, one that is as old as
 * a deletion too.  The field of a hash may have been written by others, so it is
 * read with care.
 *
 * The reply is the number of rows left out; -1 or -2 as 0 and -1 there.  An error
 * tells its key's number.
 */
static const char rows[] =
"local mode, field, ttls, nkeys = ARGV[1], ARGV[2], ARGV[3] == '1', tonumber(ARGV[4]) "
"local call, try, byte, sub, args = redis.call, redis.pcall, string.byte, string.sub, ARGV "
"local function digits(s) "
"local a, b, c, d, e, f, g, z = string.match(s, "
"'^(%d%d%d%d)-(%d%d)-(%d%d)[T ](%d%d):(%d%d):(%d%d)%.?(%d*)(.*)$') "
"if a and #g <= 6 and (z == '+00' or z == '' or z == 'Z' or z == '+00:00') then "
"return a .. b .. c .. d .. e .. f .. sub(g .. '000000', 1, 6) end "
"end "
"local function keep(key, value, unit, n) "
"if unit == '' or not unit then call('SET', key, value) else call('SET', key, value, unit, n) end "
"end "
"local i, k, left, result, total, guarded = 5, 0, 0, 0, #args, mode ~= 'n' "
"while i <= total do "
"local time, at, del, dead, unit, ttl, member, old "
"local go, guard = true, KEYS[k + nkeys] "
"if guarded then "
"time = args[i] at = time i = i + 1 "
"if byte(time) == 100 then del = true at = sub(time, 2) end "
"if mode == 'm' then member = args[i] i = i + 1 end "
"if ttls then unit, ttl = args[i], args[i + 1] i = i + 2 end "
"if mode == 'k' then old = call('GET', guard) "
"elseif mode == 'm' then old = call('HGET', guard, member) "
"else "
"old = try('HGET', KEYS[k + 1], field) "
"if type(old) == 'table' then return {err = old.err .. ' (key ' .. k + 1 .. ')'} end "
"if old then "
"old = digits(old) "
"if not old then return {err = 'FEATHUBTIME field ' .. field .. ' holds no time (key ' .. k + 1 .. ')'} end "
"else old = call('GET', guard) end "
"end "
"if old then "
"if byte(old) == 100 then dead = true old = sub(old, 2) end "
"if at == '' then time = 'd' .. old "
"elseif dead and not del then go = old < at "
"else go = old <= at end "
"elseif at == '' then time = nil end "
"end "
"local last = i + tonumber(args[i]) "
"i = i + 1 "
"if go then "
"while i < last do "
"local check, stop = args[i], i + 1 + tonumber(args[i + 1]) "
"local r = try(unpack(args, i + 2, stop)) "
"if type(r) == 'table' and r.err then return {err = r.err .. ' (key ' .. k + 1 .. ')'} end "
"if check ~= '-' then "
"if check == '1' and (r == 0 or r == false) then "
"if not del then return -2 end "
"result = -2 "
"end "
"if check == '0' and r ~= 0 and r ~= false then return -1 end "
"end "
"i = stop + 1 "
"end "
"if mode == 'k' then if time then keep(guard, time, unit, ttl) end "
"elseif mode == 'm' then if time then call('HSET', guard, member, time) end "
"elseif del then if time then keep(guard, time, unit, ttl) end "
"elseif dead then call('DEL', guard) end "
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
