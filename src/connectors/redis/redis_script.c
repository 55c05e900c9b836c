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
 * Times that guard rows.  digits() makes 20 digits of a time as it is written in
 * hashes and JSON, by others too, or nil.  Of these, texts of one length compare
 * alike in every locale; as numbers they would be rounded.
 */
#define DIGITS \
"local function digits(s) " \
"local a, b, c, d, e, f, g, z = string.match(s, " \
"'^(%d%d%d%d)-(%d%d)-(%d%d)[T ](%d%d):(%d%d):(%d%d)%.?(%d*)(.*)$') " \
"if a and #g <= 6 and (z == '+00' or z == '' or z == 'Z' or z == '+00:00') then " \
"return a .. b .. c .. d .. e .. f .. sub(g .. '000000', 1, 6) end " \
"end "

/*
 * later(old, new): is a text the later time, false if it is not, nil if it is no
 * time.  Both mostly have the shape in which we write, and one length: then they
 * need not be taken apart.
 */
#define LATER \
"local function later(old, new) " \
"if old == new then return false end " \
"if #old == #new and find(old, shape) then return old > new end " \
"old = digits(old) " \
"return old and old > digits(new) " \
"end "

/*
 * taken(doc): the time in a JSON object; false if it has none, nil if that cannot
 * be told.  What we wrote begins with it, so that nothing need be parsed.  Others
 * may begin with a shorter one, and have a quote of something else at that place.
 */
#define TAKEN \
"local function begins(doc) return sub(doc, 1, #mark) == mark and find(doc, '\"', #mark + 1, true) == #mark + width + 1 end " \
"local function taken(doc) " \
"if begins(doc) then return sub(doc, #mark + 1, #mark + width) end " \
"local ok, v = pcall(cjson.decode, doc) " \
"if not ok or type(v) ~= 'table' then return nil end " \
"v = v[field] " \
"if v == nil or v == cjson.null then return false end " \
"return type(v) == 'string' and v or nil " \
"end "

/*
 * The keys that keep times of deletions, for rows that are not there or have no
 * time ('').  buried(olds) asks for all together whether there is any: mostly not.
 */
#define BURIED \
"local brace = prefix .. '{' " \
"local function guard(r) " \
"local key = KEYS[r] " \
"if KEYS[n + r] then return KEYS[n + r] end " \
"if tags and find(key, '^[^{]*{[^}]+}') then return prefix .. ':' .. key end " \
"return brace .. key .. '}' " \
"end " \
"local function buried(olds) " \
"local keys, m = {}, 0 " \
"for r = 1, n do " \
"if not olds[r] or olds[r] == '' then m = m + 1 keys[m] = guard(r) end " \
"end " \
"return m > 0 and call('EXISTS', unpack(keys, 1, m)) > 0 " \
"end " \
"local function rises(dead, time) " \
"if byte(dead) == 100 then return sub(dead, 2) < time end " \
"return dead <= time " \
"end "

/*
 * REDIS_SCRIPT_ROWS: commands of many rows, each guarded by its event time if the
 * table has one.  Arguments: the guard's kind (RedisGuard), the hash's or JSON
 * object's field for kinds 'f' and 'v', what JSON begins with and the width of a
 * time in it for 'v', whether rows tell how long the key stays that keeps the
 * time, and how many keys each row has (of a guarded row the last is that key, or
 * for kind 'm' the last two: that of the living elements, and that of the one
 * that is deleted).  Then for each row, if it is guarded: its time, with a 'd'
 * before it for a deletion (which may have none), the element for kind 'm', and
 * PX or PXAT and a number (or twice '') if rows tell; then for every row how many
 * words follow, and these as for REDIS_SCRIPT_OPS.
 *
 * Times are 20 digits, kept as they come, with the 'd'.  A row that is older than
 * what is there is left out, one that is as old as a deletion too.  What others
 * may have written is read with care.  The times of elements go when their key
 * does, if rows tell how long that stays.
 *
 * Rows of kind 'k' may begin with DEL, and must come to their end then.  Redis looks
 * whether memory is full only until a script has written; and a cluster's node whose
 * slot moves takes no key that is not there, so none that was deleted.  A SETRANGE
 * that changes nothing, of a key that is never there, asks for both before.
 *
 * The reply is the number of rows left out; -1 or -2 as 0 and -1 there.  An error
 * tells its key's number.
 */
static const char rows[] =
"local mode, field, mark, width = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4]) "
"local ttls, nkeys = ARGV[5] == '1', tonumber(ARGV[6]) "
"local call, try, byte, sub, find, args = redis.call, redis.pcall, string.byte, string.sub, string.find, ARGV "
DIGITS
TAKEN
"local function keep(key, value, unit, n) "
"if unit == '' or not unit then call('SET', key, value) else call('SET', key, value, unit, n) end "
"end "
"local i, k, left, result, total, guarded, room = 7, 0, 0, 0, #args, mode ~= 'n', mode ~= 'k' "
"while i <= total do "
"local time, at, del, dead, unit, ttl, member, old "
"local go, guard, living = true, KEYS[k + nkeys], KEYS[k + nkeys - 1] "
"if guarded then "
"time = args[i] at = time i = i + 1 "
"if byte(time) == 100 then del = true at = sub(time, 2) end "
"if mode == 'm' then member = args[i] i = i + 1 end "
"if ttls then unit, ttl = args[i], args[i + 1] i = i + 2 end "
"if mode == 'm' then old = call('HGET', living, member) "
"elseif mode ~= 'k' then "
"if mode == 'f' then old = try('HGET', KEYS[k + 1], field) else old = try('GET', KEYS[k + 1]) end "
"if type(old) == 'table' then return {err = old.err .. ' (key ' .. k + 1 .. ')'} end "
"local is = old "
"if old and mode == 'v' then old = taken(old) is = old ~= false end "
"if is then "
"old = old and digits(old) "
"if not old then return {err = 'FEATHUBTIME field ' .. field .. ' holds no time (key ' .. k + 1 .. ')'} end "
"end "
"end "
"old = old or call('GET', guard) "
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
"if not room and not del then "
"room = try('SETRANGE', guard .. '?', 0, '') "
"if type(room) == 'table' then "
"if find(room.err, 'non local key', 1, true) then return {err = 'TRYAGAIN the slot moves'} end "
"return {err = room.err .. ' (key ' .. k + 1 .. ')'} "
"end "
"end "
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
"if mode == 'k' or del then "
"if del and mode == 'm' then call('HDEL', living, member) end "
"if time then keep(guard, time, unit, ttl) end "
"else "
"if dead then call('DEL', guard) end "
"if mode == 'm' then "
"call('HSET', living, member, time) "
"if ttls then "
"local ms = call('PTTL', KEYS[k + 1]) "
"if ms > 0 then call('PEXPIRE', living, ms) elseif ms == -1 then call('PERSIST', living) else call('DEL', living) end "
"end "
"end "
"end "
"else left = left + 1 end "
"i, k = last + 1, k + nkeys "
"end "
"if result < 0 then return result end "
"return left";

/*
 * REDIS_SCRIPT_LATEST_HASHES: rows that replace older ones, each a hash with a
 * field for its time.  Arguments: the number of rows, which is that of their keys;
 * of fields; whether each row has a mask; PEXPIRE or PEXPIREAT if each has a time
 * to live, else ''; which field is the time; the shape of times; guard_prefix;
 * whether some key has a brace; and the fields.  Then for each row the mask, a value for each field, and the time to
 * live, or 0: none.  No two rows have the same key.
 *
 * In a cluster the keys that keep the times of deletions follow those of the
 * rows.  Else they are looked for under the name that FeathubRedisGuardKey gives
 * them: few are needed, and a key that is passed costs more than it looks.
 *
 * The reply is the number of rows left out.  An error tells its key's number.
 */
static const char latest_hashes[] =
"local n, nf, masks, expire = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3] == '1', ARGV[4] "
"local tf, shape, prefix, tags = tonumber(ARGV[5]), ARGV[6], ARGV[7], ARGV[8] == '1' "
"local call, try, byte, sub, find = redis.call, redis.pcall, string.byte, string.sub, string.find "
DIGITS
LATER
BURIED
"local field, a = ARGV[8 + tf], {'HSET'} "
"for f = 1, nf do a[2 * f + 1] = ARGV[8 + f] end "
"local i, last, left, olds = 8 + nf, 2 * nf + 2, 0, {unpack(KEYS, 1, n)} "
"for r = 1, n do "
"local old = try('HGET', KEYS[r], field) "
"if type(old) == 'table' then return {err = old.err .. ' (key ' .. r .. ')'} end "
"olds[r] = old "
"end "
"local grave = buried(olds) "
"for r = 1, n do "
"local key, old, mask, dead = KEYS[r], olds[r], nil, nil "
"if masks then i = i + 1 mask = ARGV[i] end "
"local time, go = ARGV[i + tf], true "
"if old then "
"go = later(old, time) "
"if go == nil then return {err = 'FEATHUBTIME field ' .. field .. ' holds no time (key ' .. r .. ')'} end "
"go = not go "
"elseif grave then "
"dead = call('GET', guard(r)) "
"if dead then go = rises(dead, digits(time)) end "
"end "
"if go then "
"a[2] = key "
"if mask then "
"local b, m, c, d = {'HSET', key}, 2, {'HDEL', key}, 2 "
"for f = 1, nf do "
"if byte(mask, f) == 49 then b[m + 1] = ARGV[8 + f] b[m + 2] = ARGV[i + f] m = m + 2 "
"else c[d + 1] = ARGV[8 + f] d = d + 1 end "
"end "
"call(unpack(b, 1, m)) "
"if d > 2 then call(unpack(c, 1, d)) end "
"else "
"for f = 1, nf do a[2 * f + 2] = ARGV[i + f] end "
"call(unpack(a, 1, last)) "
"end "
"if expire ~= '' then "
"local ttl = ARGV[i + nf + 1] "
"if ttl == '0' then call('PERSIST', key) else call(expire, key, ttl) end "
"end "
"if dead then call('DEL', guard(r)) end "
"else left = left + 1 end "
"i = i + nf "
"if expire ~= '' then i = i + 1 end "
"end "
"return left";

/*
 * REDIS_SCRIPT_LATEST_STRINGS: the same for strings.  Arguments: the number of
 * rows; the guard's kind, 'k' or 'v'; PX or PXAT if each row has a time to live,
 * else ''; and for kind 'v' what JSON begins with and the width of a time in it,
 * the shape of times, the field's name, guard_prefix, whether values are long, and
 * whether some key has a brace.  Then for each row its time for kind 'k', the value, and the time to
 * live, or 0.
 *
 * The keys of the rows are followed by those that keep their times; for kind 'v'
 * in a cluster only, as above.  What is there is asked for all rows together; of
 * long values only the part with the time.  GET makes a key of another type an
 * error.  An error ends the script; rows before it have their times kept.
 */
static const char latest_strings[] =
"local n, beside, unit, mark, width = tonumber(ARGV[1]), ARGV[2] == 'k', ARGV[3], ARGV[4], tonumber(ARGV[5]) "
"local shape, field, prefix, long, tags = ARGV[6], ARGV[7], ARGV[8], ARGV[9] == '1', ARGV[10] == '1' "
"local call, try, byte, sub, find = redis.call, redis.pcall, string.byte, string.sub, string.find "
DIGITS
LATER
TAKEN
BURIED
"local function peek(key) "
"local doc = try('GETRANGE', key, 0, #mark + width) "
"if doc == '' then return false end "
"if type(doc) == 'table' or begins(doc) then return doc end "
"return call('GET', key) "
"end "
"local olds, grave = {}, false "
"if beside then olds = call('MGET', unpack(KEYS, n + 1, 2 * n)) "
"else "
"if not long then olds = call('MGET', unpack(KEYS, 1, n)) end "
"for r = 1, n do "
"local old = olds[r] "
"if long then old = peek(KEYS[r]) end "
"if type(old) == 'table' then return {err = old.err .. ' (key ' .. r .. ')'} end "
"if old then "
"old = taken(old) "
"if old == nil then return {err = 'FEATHUBTIME field ' .. field .. ' holds no time (key ' .. r .. ')'} end "
"olds[r] = old or '' "
"end "
"end "
"grave = buried(olds) "
"end "
"local a, m, i, left, bad = {'MSET'}, 1, 11, 0, nil "
"for r = 1, n do "
"local key, old, go, dead, time, ttl = KEYS[r], olds[r], true, nil, nil, nil "
"if beside then time = ARGV[i] i = i + 1 end "
"local value = ARGV[i] i = i + 1 "
"if unit ~= '' then ttl = ARGV[i] i = i + 1 end "
"if beside then "
"if old then go = rises(old, time) end "
"elseif old and old ~= '' then "
"go = later(old, sub(value, #mark + 1, #mark + width)) "
"if go == nil then bad = 'FEATHUBTIME field ' .. field .. ' holds no time (key ' .. r .. ')' break end "
"go = not go "
"elseif grave then "
"dead = call('GET', guard(r)) "
"if dead then go = rises(dead, digits(sub(value, #mark + 1, #mark + width))) end "
"end "
"if go then "
"local set "
"if old and not beside then "
"if not ttl then set = try('SET', key, value, 'KEEPTTL') "
"elseif ttl == '0' then set = try('SET', key, value) "
"else set = try('SET', key, value, unit, ttl) end "
"else "
"if not ttl then set = try('SET', key, value, 'KEEPTTL', 'GET') "
"elseif ttl == '0' then set = try('SET', key, value, 'GET') "
"else set = try('SET', key, value, unit, ttl, 'GET') end "
"end "
"if type(set) == 'table' and set.err then bad = set.err .. ' (key ' .. r .. ')' break end "
"if beside and ttl and ttl ~= '0' then call('SET', KEYS[n + r], time, unit, ttl) "
"elseif beside then a[m + 1] = KEYS[n + r] a[m + 2] = time m = m + 2 "
"elseif dead then call('DEL', guard(r)) end "
"else left = left + 1 end "
"end "
"if m > 1 then call(unpack(a, 1, m)) end "
"if bad then return {err = bad} end "
"return left";

const char *
FeathubRedisScriptText(RedisScript script)
{
	switch (script)
	{
		case REDIS_SCRIPT_HASHES:
			return hashes;
		case REDIS_SCRIPT_ROWS:
			return rows;
		case REDIS_SCRIPT_LATEST_HASHES:
			return latest_hashes;
		case REDIS_SCRIPT_LATEST_STRINGS:
			return latest_strings;
		default:
			return ops;
	}
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
