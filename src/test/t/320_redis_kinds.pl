# What Redis holds as tables: every kind, read and written; keys by prefix,
# pattern and set; wrong types, bytes, repeated keys; definitions that are refused.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use FeathubRedis;
use FeathubTest;
use Test::More;

my $redis = redis_start();
my $node = new_node('kinds');

sub sql { return $node->safe_psql('postgres', $_[0]); }

sub error_of
{
	my ($status, $out, $err) = $node->psql('postgres', "\\set VERBOSITY verbose\n$_[0]");
	return $status == 0 ? "none: $out" : $err;
}

sub refused
{
	my ($pattern, $columns, $options) = @_;
	like(error_of("CREATE FOREIGN TABLE bad ($columns) SERVER r OPTIONS ($options); EXPLAIN SELECT * FROM bad"),
		$pattern, "$columns; $options");
	sql('DROP FOREIGN TABLE IF EXISTS bad');
	return;
}

my $k = q{k text OPTIONS (key 'true')};
sql(qq{
	CREATE SERVER r FOREIGN DATA WRAPPER feathub_redis OPTIONS (port '$redis->{port}');
	CREATE USER MAPPING FOR CURRENT_USER SERVER r});

# Strings, with a time to live
sql(qq{CREATE FOREIGN TABLE str ($k, v int, ttl int OPTIONS (metadata 'ttl')) SERVER r OPTIONS (kind 'string', prefix 'str:');
	INSERT INTO str VALUES ('a', 1, NULL), ('b', 2, 100)});
is(sql('SELECT * FROM str ORDER BY k'), "a|1|\nb|2|100", 'strings');
is(sql(q{UPDATE str SET v = 5 WHERE k = 'b' RETURNING *}), 'b|5|100', 'UPDATE leaves the time to live alone');
is(sql(q{UPDATE str SET ttl = NULL WHERE k = 'b' RETURNING *}), 'b|5|', 'or takes it away');
is(redis_cli($redis, 'TTL', 'str:b'), '-1', 'indeed');
is(sql(q{UPDATE str SET k = 'c' WHERE k = 'a' RETURNING k}), 'c', 'a key changes');
like(error_of(q{UPDATE str SET k = 'c' WHERE k = 'b'}), qr/23505/, 'but not to one that is there');
like(error_of(q{INSERT INTO str VALUES ('b', 1)}), qr/23505.*str:b.*upsert/s, 'INSERT of a row that exists');
like(error_of(q{INSERT INTO str VALUES ('x', NULL)}), qr/23502/, 'no NULL');
like(error_of(q{INSERT INTO str VALUES (NULL, 1)}), qr/23502/, 'nor as a key');
like(error_of(q{INSERT INTO str VALUES ('x', 1, -5)}), qr/22023/, 'a time to live that is over');
is(sql('WITH d AS (DELETE FROM str RETURNING k) SELECT string_agg(k, \',\' ORDER BY k) FROM d'), 'b,c', 'DELETE');

# Hashes
sql(qq{CREATE FOREIGN TABLE h (id int OPTIONS (key 'true'), a text, b float8, c timestamptz OPTIONS (field 'since')) SERVER r OPTIONS (prefix 'h:');
	INSERT INTO h SELECT g, 'v' || g, g / 2.0, '2020-01-01 00:00+00'::timestamptz + g * interval '1 h' FROM generate_series(1, 2500) g});
is(sql('SELECT count(*), count(DISTINCT id), sum(b) FROM h'), '2500|2500|1563125', 'hashes');
is(redis_cli($redis, 'HGET', 'h:7', 'since'), '2020-01-01 07:00:00+00', 'a field of another name');
is(sql('SELECT a FROM h WHERE id IN (1, 2, 2, 99999) ORDER BY id'), "v1\nv2", 'an IN list');
is(sql('SELECT count(*) FROM h'), '2500', 'no column');
sql('UPDATE h SET b = NULL WHERE id = 5');
is(redis_cli($redis, 'HEXISTS', 'h:5', 'b'), '0', 'NULL is no field');
redis_cli($redis, 'HSET', 'h:6000', 'other', 'x');
is(sql('SELECT id, a FROM h WHERE id = 6000'), '6000|', 'a hash without our fields');
is(sql('SELECT id FROM h WHERE id = 6001'), '', 'and none');
is(sql(q{SELECT g, a FROM generate_series(5999, 6001) g LEFT JOIN h ON id = g ORDER BY g}), "5999|\n6000|\n6001|", 'in a join');
like(error_of('INSERT INTO h VALUES (1)'), qr/23502/, 'a row without any field');
is(sql('UPDATE h SET id = id + 100000 WHERE id <= 2500; SELECT count(*), min(id), max(id) FROM h WHERE id > 6000'), '2500|100001|102500', 'all keys change once');
redis_cli($redis, 'HSET', 'h:007', 'a', 'x');
like(error_of('SELECT * FROM h'), qr/22P02.*h:007/s, 'a key that its value would not be written as');
sql(q{ALTER FOREIGN TABLE h OPTIONS (ADD invalid_keys 'skip')});
is(sql('SELECT count(*) FROM h'), '2501', 'left out');
# New hashes, many in one script
sql(q{CREATE FOREIGN TABLE bulk (id int OPTIONS (key 'true'), a text, b int, ttl int OPTIONS (metadata 'ttl')) SERVER r OPTIONS (prefix 'bulk:');
	INSERT INTO bulk SELECT g, CASE WHEN g % 7 > 0 THEN 'v' || g END, CASE WHEN g % 5 > 0 OR g % 7 = 0 THEN g END, CASE WHEN g % 3 = 0 THEN 1000 END FROM generate_series(1, 1000) g});
is(sql('SELECT count(*), count(a), count(b), count(ttl), sum(b) FROM bulk'), '1000|858|828|333|414210', 'NULLs and times to live, row by row');
is(redis_cli($redis, 'HLEN', 'bulk:14'), '1', 'NULL is no field');
is(redis_cli($redis, 'TTL', 'bulk:14'), '-1', 'nor a time to live');
like(error_of(q{INSERT INTO bulk SELECT g, 'new' FROM generate_series(990, 1500) g}), qr/23505.*Key "bulk:990"/s, 'the row that exists is named');
is(sql(q{SELECT a FROM bulk WHERE id = 991}), 'v991', 'and not written over');
like(error_of(q{INSERT INTO bulk SELECT CASE g WHEN 150 THEN 2007 ELSE 2000 + g END, 'twice' FROM generate_series(1, 300) g}), qr/23505.*Key "bulk:2007"/s, 'and one that comes twice');
like(error_of(q{INSERT INTO bulk SELECT 3000 + g, CASE WHEN g < 50 THEN 'x' END FROM generate_series(1, 100) g}), qr/23502/, 'a row without any value');
redis_cli($redis, 'SET', 'bulk:4005', 'other');
like(error_of(q{INSERT INTO bulk SELECT 4000 + g, 'x' FROM generate_series(1, 10) g}), qr/23505.*Key "bulk:4005"/s, 'a key of another type');
is(redis_cli($redis, 'GET', 'bulk:4005'), 'other', 'which stays');
redis_cli($redis, 'SCRIPT', 'FLUSH');
is(sql(q{INSERT INTO bulk SELECT 5000 + g, 'x' FROM generate_series(1, 300) g; SELECT count(*) FROM bulk WHERE id > 5000}), '300', 'a script that the server forgot');
sql(q{CREATE FOREIGN TABLE up (id int OPTIONS (key 'true'), a text, b float8) SERVER r OPTIONS (prefix 'up:', write_mode 'upsert', ttl '1000')});
is(sql(q{INSERT INTO up VALUES (1, 'x', 1), (1, 'y', NULL); SELECT * FROM up}), '1|y|', 'upsert, the last wins');
cmp_ok(redis_cli($redis, 'TTL', 'up:1'), '>', 900, 'the time to live of the table');

# Records of a format, keys of several columns
sql(q{CREATE FOREIGN TABLE val (a int, day date, x jsonb, y text[]) SERVER r OPTIONS (kind 'value', key_pattern 'val:{a}:{day}', write_mode 'upsert');
	INSERT INTO val VALUES (1, '2020-01-01', '{"q":1}', '{a,b}'), (2, '2021-01-01', NULL, NULL), (1, '2020-01-01', '{"q":2}', '{c}')});
is(sql('SELECT * FROM val ORDER BY a'), qq(1|2020-01-01|{"q": 2}|{c}\n2|2021-01-01||), 'json');
is(sql('SELECT x FROM val WHERE a = 1'), '{"q": 2}', 'part of a key');
like(sql(q{EXPLAIN SELECT * FROM val WHERE a = 1 AND day = '2020-01-01'}), qr/Read By: keys/, 'the whole key');
is(sql(q{SET datestyle = 'German'; SELECT count(*) FROM val WHERE a = ANY ('{1,2}') AND day = ANY ('{2020-01-01,2021-01-01}')}), '2', 'in any DateStyle');
unlike(sql(q{EXPLAIN SELECT * FROM generate_series(1, 20) g JOIN val ON a = g}), qr/Restrictions/, 'part of a key is no reason to SCAN for each row of a join');
like(sql(q{SET feathub.enable_batched_lookup = off; EXPLAIN SELECT * FROM generate_series(1, 20) g JOIN val ON a = g AND day = '2020-01-01'}), qr/Read By: keys/, 'the rest of it may be a constant');
sql(q{CREATE FOREIGN TABLE csv (id int OPTIONS (key 'true'), a text, b int) SERVER r OPTIONS (kind 'value', prefix 'csv:', format 'csv');
	INSERT INTO csv VALUES (1, 'x,y', 5)});
is(sql('SELECT * FROM csv'), '1|x,y|5', 'csv');
sql(q{CREATE FOREIGN TABLE two (a text, b text, v text) SERVER r OPTIONS (kind 'string', key_pattern 'two:{a}:{b}');
	INSERT INTO two VALUES ('x', 'y:z', '1')});
like(error_of(q{INSERT INTO two VALUES ('x:y', 'z', '2')}), qr/22023.*would not be found again/s, 'a key that would be taken for another');
is(sql(q{SELECT v FROM two WHERE a = 'x:y' AND b = 'z'}), '', 'nor is it read as one');

# Lists and sets, a row for each element or an array
sql(qq{CREATE FOREIGN TABLE lst ($k, i bigint OPTIONS (metadata 'index'), v text) SERVER r OPTIONS (kind 'list', prefix 'lst:');
	INSERT INTO lst (k, v) SELECT 'a', g FROM generate_series(1, 2500) g});
is(sql('SELECT count(*), min(i), max(i), sum(v::int), bool_and(v::int = i + 1) FROM lst'), '2500|0|2499|3126250|t', 'a list');
like(error_of(q{DELETE FROM lst}), qr/0A000|55000/, 'whose elements have no name');
sql(qq{CREATE FOREIGN TABLE arr ($k, v int[]) SERVER r OPTIONS (kind 'list', prefix 'arr:');
	INSERT INTO arr VALUES ('x', '{1,2,3}')});
is(sql(q{UPDATE arr SET v = v || 9 RETURNING v}), '{1,2,3,9}', 'an array');
is(redis_cli($redis, 'LRANGE', 'arr:x', '0', '-1'), "1\n2\n3\n9", 'as a list');
like(error_of(q{INSERT INTO arr VALUES ('z', '{}')}), qr/23502/, 'no empty list');
like(error_of(q{INSERT INTO arr VALUES ('z', '{1,NULL}')}), qr/23502/, 'no null in it');
sql(qq{CREATE FOREIGN TABLE st ($k, v text) SERVER r OPTIONS (kind 'set', prefix 'st:');
	INSERT INTO st SELECT 'a', 'm' || g FROM generate_series(1, 5000) g});
is(sql('SELECT count(*), count(DISTINCT v) FROM st'), '5000|5000', 'a set, each member once');
like(error_of(q{INSERT INTO st VALUES ('a', 'm1')}), qr/23505/, 'a member that is there');
is(sql(q{UPDATE st SET v = 'new' WHERE v = 'm1' RETURNING v}), 'new', 'a member changes');
is(sql(q{DELETE FROM st WHERE v LIKE 'm%'; SELECT v FROM st}), 'new', 'members go');

# Sorted sets: scores as ranges
sql(qq{CREATE FOREIGN TABLE z ($k, m text, s float8 OPTIONS (metadata 'score')) SERVER r OPTIONS (kind 'zset', prefix 'z:');
	INSERT INTO z SELECT 'a', 'm' || g, g % 7 FROM generate_series(1, 5000) g});
is(sql('SELECT count(*), count(DISTINCT m) FROM z'), '5000|5000', 'a sorted set with many equal scores');
is(sql('SELECT count(*) FROM z WHERE s > 2 AND s <= 4'), '1428', 'a range of scores');
is(sql('SELECT count(*), count(DISTINCT m) FROM z WHERE s >= 1'), '4286|4286', 'of several pages');
is(sql(q{UPDATE z SET s = s + 10 WHERE s >= 1 AND s < 10 RETURNING 1}) =~ tr/1//, '4286', 'read while its members move');
sql('UPDATE z SET s = s - 10 WHERE s > 10');
like(sql('EXPLAIN (COSTS off) SELECT * FROM z WHERE s > 2 AND s <= 4'), qr/Restrictions: score > value, score <= value/, 'that is asked for');
is(sql(q{SELECT count(*) FROM z WHERE s < 'NaN'}) . sql(q{SELECT count(*) FROM z WHERE s >= 'NaN'}), '50000', 'NaN is greater than all');
is(sql(q{UPDATE z SET s = s + 100 RETURNING 1}) =~ tr/1//, '5000', 'each score changes once');
is(sql('SELECT min(s), max(s) FROM z'), '100|106', 'and no more');
like(error_of(q{INSERT INTO z VALUES ('a', 'x', 'NaN')}), qr/22003/, 'no score of NaN');
is(sql(q{INSERT INTO z VALUES ('a', 'x', 'infinity'), ('a', 'y', 0.1); SELECT m, s FROM z WHERE s > 1000 OR s < 1 ORDER BY s}), "y|0.1\nx|Infinity", 'scores are exact');

# A statement does not read the rows that it writes
sql(q{CREATE FOREIGN TABLE own_h (id int OPTIONS (key 'true'), v int) SERVER r OPTIONS (prefix 'own:', write_mode 'upsert');
	INSERT INTO own_h SELECT g, g FROM generate_series(1, 5000) g});
is(sql('INSERT INTO own_h SELECT id + 1, v FROM own_h; SELECT count(*), bool_and(v = id - 1) FROM own_h WHERE id > 1'), '5000|t', 'values of before the statement');
is(sql('INSERT INTO own_h SELECT id + 100000, v FROM own_h; SELECT count(*) FROM own_h'), '10002', 'each row is copied once');
is(sql(q{WITH w AS (INSERT INTO own_h SELECT id + 1000000, v FROM own_h RETURNING 1) SELECT count(*) FROM w}), '10002', 'in WITH too');
sql(q{CREATE FOREIGN TABLE own_s (v text) SERVER r OPTIONS (kind 'stream', singleton_key 'own-stream');
	INSERT INTO own_s SELECT g FROM generate_series(1, 5000) g});
is(sql('INSERT INTO own_s SELECT v FROM own_s; SELECT count(*) FROM own_s'), '10000', 'a stream comes to an end');

# The fields of hashes as rows
sql(qq{CREATE FOREIGN TABLE hf ($k, f text OPTIONS (metadata 'field'), v text) SERVER r OPTIONS (prefix 'hf:');
	INSERT INTO hf SELECT 'a', 'f' || g, g FROM generate_series(1, 3000) g});
is(sql('SELECT count(*), count(DISTINCT f), sum(v::int) FROM hf'), '3000|3000|4501500', 'fields as rows');
is(sql(q{UPDATE hf SET f = 'g7' WHERE f = 'f7' RETURNING *}), 'a|g7|7', 'a field is renamed');
is(sql(q{DELETE FROM hf WHERE f = 'g7'; SELECT count(*) FROM hf}), '2999', 'and goes');

# Streams
sql(qq{CREATE FOREIGN TABLE sm ($k, id text OPTIONS (metadata 'id'), t timestamptz OPTIONS (metadata 'time'), a int, b text) SERVER r OPTIONS (kind 'stream', prefix 'sm:')});
like(sql(q{INSERT INTO sm (k, a, b) VALUES ('s', 1, 'x') RETURNING id}), qr/^\d+-\d+$/, 'the id is the server\'s');
sql(q{INSERT INTO sm (k, t, a) SELECT 's', '2100-01-01'::timestamptz + g * interval '1 s', g FROM generate_series(1, 2500) g});
is(sql('SELECT count(*), sum(a), count(b) FROM sm'), '2501|3126251|1', 'a stream');
is(sql(q{SELECT count(*) FROM sm WHERE t >= '2100-01-01'::timestamptz + interval '10 s' AND t < '2100-01-01'::timestamptz + interval '20 s'}), '10', 'a range of times');
is(sql(q{SELECT a FROM sm WHERE id = (SELECT max(id) FROM sm WHERE a = 7)}), '7', 'one entry');
like(error_of('UPDATE sm SET a = 1'), qr/0A000/, 'entries do not change');
is(sql('DELETE FROM sm WHERE a > 5; SELECT count(*) FROM sm'), '6', 'but go');
is(sql(q{SET timezone = 'UTC'; INSERT INTO sm (k, t, a) VALUES ('late', '2300-01-01', 1), ('late', '294276-12-31 23:59:59', 2); SELECT t, a FROM sm WHERE t > '2200-01-01' ORDER BY a}), "2300-01-01 00:00:00+00|1\n294276-12-31 23:59:59+00|2", 'to the end of time');
is(sql(q{SELECT a FROM sm WHERE t >= '294276-12-31 00:00:00+00'}), '2', 'which is no time before 1970');

# Keys in a set, and one key
sql(qq{CREATE FOREIGN TABLE ks ($k, v text) SERVER r OPTIONS (kind 'string', key_set 'allkeys', prefix 'ks:');
	INSERT INTO ks VALUES ('a', '1'), ('b', '2')});
redis_cli($redis, 'SET', 'ks:outside', 'x');
redis_cli($redis, 'SADD', 'allkeys', 'ks:gone');
is(sql('SELECT * FROM ks ORDER BY k'), "a|1\nb|2", 'keys in a set');
is(sql(q{SELECT count(*) FROM ks WHERE k = 'outside'}), '0', 'and no others');
sql(q{DELETE FROM ks WHERE k = 'a'});
is(redis_cli($redis, 'SISMEMBER', 'allkeys', 'ks:a'), '0', 'the set follows');
sql(q{CREATE FOREIGN TABLE one (a text, b int) SERVER r OPTIONS (kind 'hash', singleton_key 'one:key'); INSERT INTO one VALUES ('x', 1)});
is(sql('SELECT * FROM one'), 'x|1', 'one key');

# Bytes, patterns, wrong types
sql(q{CREATE FOREIGN TABLE bin (k bytea OPTIONS (key 'true'), v bytea) SERVER r OPTIONS (kind 'string', prefix 'bin:');
	INSERT INTO bin VALUES ('\x00ff2a5b', '\x000a0dff')});
is(sql(q{SELECT * FROM bin WHERE k = '\x00ff2a5b'}), '\x00ff2a5b|\x000a0dff', 'bytes');
sql(qq{CREATE FOREIGN TABLE bintext ($k, v text) SERVER r OPTIONS (kind 'string', prefix 'bin:')});
like(error_of('SELECT * FROM bintext'), qr/22021.*bintext/s, 'that are no text');
redis_cli($redis, 'SET', 'tenant1:a', '1');
redis_cli($redis, 'SET', 'tenantx:a', 'x');
sql(qq{CREATE FOREIGN TABLE glob ($k, v text) SERVER r OPTIONS (kind 'string', prefix 'tenant[1]:');
	INSERT INTO glob VALUES ('*', 'mine')});
is(sql('SELECT * FROM glob'), '*|mine', 'a prefix is no pattern');
is(sql('TRUNCATE glob; SELECT count(*) FROM glob'), '0', 'nor for TRUNCATE');
is(redis_cli($redis, 'EXISTS', 'tenant1:a', 'tenantx:a'), '2', 'which left the others');
sql(qq{CREATE FOREIGN TABLE wrong ($k, v text) SERVER r OPTIONS (kind 'string', prefix 'st:', write_mode 'upsert')});
is(sql('SELECT * FROM wrong'), '', 'keys of another type are not the table\'s');
like(error_of(q{SELECT * FROM wrong WHERE k = 'a'}), qr/2200G.*st:a/s, 'asked for by name they are an error');
like(error_of(q{SELECT count(*) FROM wrong WHERE k = 'a'}), qr/2200G.*st:a/s, 'always');
like(error_of(q{INSERT INTO wrong VALUES ('a', 'x')}), qr/2200G.*st:a/s, 'and are not written over');
sql(qq{CREATE FOREIGN TABLE wrong2 ($k, a text) SERVER r OPTIONS (prefix 'st:', write_mode 'upsert', ttl '10')});
like(error_of(q{INSERT INTO wrong2 VALUES ('a', 'x')}), qr/2200G.*st:a/s, 'of any kind');
is(redis_cli($redis, 'TTL', 'st:a'), '-1', 'nothing was changed');

# What a ROLLBACK does not undo
sql(q{BEGIN; INSERT INTO up VALUES (77, 'kept'); ROLLBACK});
is(sql('SELECT a FROM up WHERE id = 77'), 'kept', 'Redis takes no part in transactions');

# Keys that come more often than once: the table grows while it is scanned, with
# next to no memory to remember keys in.
redis_pipe($redis, join('', map { "SET many:$_ $_\n" } 1 .. 60000));
sql(qq{CREATE FOREIGN TABLE many ($k, v int) SERVER r OPTIONS (kind 'string', prefix 'many:', fetch_size '100')});
my $session = $node->background_psql('postgres');
$session->query_safe(q{SET work_mem = '64kB'; BEGIN; DECLARE c CURSOR FOR SELECT v FROM many});
$session->query_safe('CREATE TEMP TABLE got (v int)');
$session->query_safe(q{DO $$ DECLARE c refcursor := 'c'; x int; BEGIN FOR i IN 1..20000 LOOP FETCH c INTO x; INSERT INTO got VALUES (x); END LOOP; END $$});
redis_pipe($redis, join('', map { "DEL many:$_\n" } 50001 .. 60000));
$session->query_safe(q{DO $$ DECLARE c refcursor := 'c'; x int; BEGIN LOOP FETCH c INTO x; EXIT WHEN NOT FOUND; INSERT INTO got VALUES (x); END LOOP; END $$});
is($session->query_safe('SELECT count(*) - count(DISTINCT v), count(DISTINCT v) FILTER (WHERE v <= 50000) FROM got'),
	'0|50000', 'each key once, none of those that stayed missing');
$session->quit;

# ANALYZE, IMPORT
sql('ANALYZE many');
is(sql(q{SELECT reltuples FROM pg_class WHERE relname = 'many'}), '50000', 'ANALYZE counts');
redis_cli($redis, 'FLUSHALL');
redis_cli($redis, 'HSET', 'user:1', 'name', 'Ann', 'age', '7', 'key', 'x');
redis_cli($redis, 'HSET', 'user:2', 'name', 'Bob', 'score', '1.5');
redis_cli($redis, 'SET', 'count:a', '7');
redis_cli($redis, 'ZADD', 'rank:all', '1', 'x');
redis_cli($redis, 'XADD', 'log:x', '*', 'level', 'info');
redis_cli($redis, 'RPUSH', 'user:list', 'a');
sql('CREATE SCHEMA imported; IMPORT FOREIGN SCHEMA keys FROM SERVER r INTO imported');
is(sql(q{SELECT string_agg(relname, ',' ORDER BY relname) FROM pg_class WHERE relnamespace = 'imported'::regnamespace}),
	'count,log,rank,user_hash,user_list', 'tables by prefix and type');
is(sql('SELECT redis_key, name, age, score FROM imported.user_hash ORDER BY 1'), "1|Ann|7|\n2|Bob||1.5", 'a hash');
is(sql('SELECT key, value + 1 FROM imported.count'), 'a|8', 'a string');
is(sql('SELECT member, score FROM imported.rank'), 'x|1', 'a sorted set');
is(sql('SELECT key, level FROM imported.log'), 'x|info', 'a stream');
like(error_of('IMPORT FOREIGN SCHEMA nothing FROM SERVER r INTO imported'), qr/HV00Q/, 'no such schema');

# What is nested in a feature
sql(qq{CREATE FOREIGN TABLE nested ($k, n jsonb OPTIONS (type 'array<array<bigint>>')) SERVER r OPTIONS (kind 'features', namespace 'nest')});
redis_cli($redis, 'RPUSH', 'nest:a:n', '["1","2"]');
is(sql(q{SELECT n FROM nested WHERE k = 'a'}), '[[1, 2]]', 'an array in an array');
redis_cli($redis, 'RPUSH', 'nest:a:n', '5');
like(error_of(q{SELECT n FROM nested WHERE k = 'a'}), qr/22P02.*invalid array: "5"/s, 'and what is none');
like(error_of("SET max_stack_depth = '200kB'; CREATE FOREIGN TABLE bad ($k, v jsonb OPTIONS (type '" . 'array<' x 20000 . "')) SERVER r OPTIONS (kind 'features', namespace 'deep'); EXPLAIN SELECT * FROM bad"), qr/54001/, 'a type deeper than the stack');
sql('DROP FOREIGN TABLE IF EXISTS bad');

# Features of more words than a script can hand on at once
sql(qq{CREATE FOREIGN TABLE wide ($k, m jsonb OPTIONS (type 'map<string,bigint>'), l jsonb OPTIONS (type 'array<bigint>')) SERVER r
		OPTIONS (kind 'features', namespace 'wide', write_mode 'upsert')});
sql(q{INSERT INTO wide SELECT 'a', jsonb_object_agg('f' || g, g), jsonb_agg(g) FROM generate_series(1, 9001) g});
is(sql(q{SELECT (SELECT count(*) || ' ' || sum(value::int) FROM jsonb_each(m)), l = (SELECT jsonb_agg(g) FROM generate_series(1, 9001) g) FROM wide WHERE k = 'a'}),
	'9001 40513501|t', 'a large map and a large list');

# Definitions
refused(qr/HV024.*no column has option "key"/s, 'a text, b text', "kind 'hash'");
refused(qr/HV024.*key_pattern/s, "a text OPTIONS (key 'true'), c text OPTIONS (key 'true'), b text", "kind 'hash'");
refused(qr/HV024.*only one of/s, "$k, v text", "prefix 'a', key_pattern '{k}'");
refused(qr/HV024.*not in the key pattern/s, "$k, v text", "key_pattern 'a'");
refused(qr/HV024.*nothing between/s, 'a text, b text, v text', "key_pattern '{a}{b}'");
refused(qr/HV005.*does not exist/s, "$k, v text", "key_pattern 'x:{k}:{a}'");
refused(qr/HV024.*not closed/s, "$k, v text", "key_pattern 'x:{k'");
refused(qr/HV024.*has one column/s, "$k, v text, w text", "kind 'string'");
refused(qr/HV024.*no metadata "score"/s, "$k, v float8 OPTIONS (metadata 'score')", "kind 'hash'");
refused(qr/HV004/, "$k, v text, s text OPTIONS (metadata 'score')", "kind 'zset'");
refused(qr/HV024.*format/s, "$k, v text", "kind 'string', format 'json'");
refused(qr/HV024.*same field/s, "$k, a text, b text OPTIONS (field 'a')", "kind 'hash'");
refused(qr/HV00D/, "$k, v text", "tabletype 'hash'");
like(error_of(q{CREATE SERVER x FOREIGN DATA WRAPPER feathub_redis OPTIONS (nodes ':1')}), qr/HV024/, 'nodes');
like(error_of(q{CREATE SERVER x FOREIGN DATA WRAPPER feathub_redis OPTIONS (mode 'sentinel'); CREATE USER MAPPING FOR CURRENT_USER SERVER x;
	CREATE FOREIGN TABLE bad (k text OPTIONS (key 'true'), v text) SERVER x; SELECT * FROM bad}), qr/HV024.*master_name/s, 'sentinels without a master');

done_testing();
