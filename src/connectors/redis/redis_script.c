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

const char *
FeathubRedisScriptText(RedisScript script)
{
	return script == REDIS_SCRIPT_HASHES ? hashes : ops;
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
