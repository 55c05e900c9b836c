# Event times that guard rows in Redis: for every kind rows in any order, in any
# number of statements and from several sessions leave the newest one; deletions
# too; exact to the microsecond; times to live; what is refused.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use FeathubRedis;
use FeathubTest;
use Test::More;

my $redis = redis_start();
my $node = new_node('guard');
random_seed();

sub sql { return $node->safe_psql('postgres', $_[0]); }

sub error_of
{
	my ($status, $out, $err) = $node->psql('postgres', "\\set VERBOSITY verbose\n$_[0]");
	return $status == 0 ? "none: $out" : $err;
}

my $id = q{id int OPTIONS (key 'true')};
my $at = q{at timestamptz OPTIONS (event_time 'true')};
my $beside = q{at timestamptz OPTIONS (metadata 'event_time')};
sql(qq{
	CREATE SERVER r FOREIGN DATA WRAPPER feathub_redis OPTIONS (port '$redis->{port}');
	CREATE USER MAPPING FOR CURRENT_USER SERVER r;
	CREATE FOREIGN TABLE h ($id, v text, $at) SERVER r OPTIONS (kind 'hash', prefix 'h:', write_mode 'upsert');
	CREATE FOREIGN TABLE hb ($id, v text, $beside) SERVER r OPTIONS (kind 'hash', prefix 'hb:', write_mode 'upsert');
	CREATE FOREIGN TABLE s ($id, v text, $beside) SERVER r OPTIONS (kind 'string', prefix 's:', write_mode 'upsert');
	CREATE FOREIGN TABLE j ($id, v text, $at) SERVER r OPTIONS (kind 'value', prefix 'j:', write_mode 'upsert', format 'json');
	CREATE FOREIGN TABLE l ($id, v text[], $beside) SERVER r OPTIONS (kind 'list', prefix 'l:', write_mode 'upsert');
	CREATE FOREIGN TABLE f ($id, v text, w int[], $at) SERVER r OPTIONS (kind 'features', namespace 'f', write_mode 'upsert');
	CREATE FOREIGN TABLE z ($id, v text, score float8 OPTIONS (metadata 'score'), $beside) SERVER r OPTIONS (kind 'zset', key_pattern 'z:{id}', write_mode 'upsert');
	CREATE FOREIGN TABLE m ($id, f text OPTIONS (metadata 'field'), v text, $beside) SERVER r OPTIONS (kind 'hash', prefix 'm:', write_mode 'upsert');
	CREATE FOREIGN TABLE any_key (k text OPTIONS (key 'true'), v text) SERVER r OPTIONS (kind 'string')});

# How a row of each kind is written and read, by its value.
my %kinds = (
	h => [ '(id, v, at) VALUES (%d, %s, %s)', 'SELECT id, v FROM h' ],
	hb => [ '(id, v, at) VALUES (%d, %s, %s)', 'SELECT id, v FROM hb' ],
	s => [ '(id, v, at) VALUES (%d, %s, %s)', 'SELECT id, v FROM s' ],
	j => [ '(id, v, at) VALUES (%d, %s, %s)', 'SELECT id, v FROM j' ],
	l => [ '(id, v, at) VALUES (%d, ARRAY[%s], %s)', 'SELECT id, v[1] FROM l' ],
	f => [ '(id, v, at) VALUES (%d, %s, %s)', 'SELECT id, v FROM f' ],
	m => [ q{(id, f, v, at) VALUES (%d, 'x', %s, %s)}, 'SELECT id, v FROM m' ]);

foreach my $kind (sort keys %kinds)
{
	my ($insert, $select) = @{ $kinds{$kind} };
	my $put = sub {
		my ($v, $at) = @_;
		sql("INSERT INTO $kind " . sprintf($insert, 1, "'$v'", "'$at'"));
		return sql("$select WHERE id = 1");
	};

	is($put->('a', '2026-01-01 00:00:00.000001+00'), '1|a', "$kind: a row");
	is($put->('b', '2026-01-01 00:00:00.000002+00'), '1|b', "$kind: a newer one, by a microsecond");
	is($put->('c', '2026-01-01 00:00:00.000001+00'), '1|b', "$kind: an older one");
	is($put->('d', '2025-12-31 23:59:59+00'), '1|b', "$kind: without fraction");
	is($put->('e', '2026-01-01 00:00:00.000002+00'), '1|e', "$kind: as old");
	is($put->('g', '2026-01-01 02:00:00+02'), '1|e', "$kind: of another zone");
	is($put->('h', '9999-12-31 23:59:59.999998+00'), '1|h', "$kind: far in the future");
	is($put->('i', '9999-12-31 23:59:59.999999+00'), '1|i', "$kind: and a microsecond later");
	is($put->('j', '9999-12-31 23:59:59.999998+00'), '1|i', "$kind: not back again");
	is(sql("DELETE FROM $kind WHERE id = 1; $select"), '', "$kind: DELETE");
	is($put->('k', '9999-12-31 23:59:59.999999+00'), '', "$kind: what was deleted does not come back");
	like(error_of("INSERT INTO $kind " . sprintf($insert, 1, q{'x'}, 'NULL')), qr/23502.*event time column "at"/s, "$kind: no time");
	like(error_of("INSERT INTO $kind " . sprintf($insert, 1, q{'x'}, q{'infinity'})), qr/22008/, "$kind: no end");
	like(error_of("INSERT INTO $kind " . sprintf($insert, 1, q{'x'}, q{'4000-01-01 BC'})), qr/22008/, "$kind: too early");
	sql("TRUNCATE $kind");
	is(redis_cli($redis, 'DBSIZE'), 0, "$kind: TRUNCATE forgets the times too");
	is($put->('a', '2020-01-01'), '1|a', "$kind: so that it starts anew");

	# many rows in any order, some twice, in statements of any size
	sql("TRUNCATE $kind");
	my %newest;
	my @rows;
	foreach (1 .. 400)
	{
		my ($key, $time) = (int(rand(20)), int(rand(1000)));
		push @rows, [ $key, "v$time", sprintf("2026-01-01 00:00:00.%06d+00", $time) ];
		$newest{$key} = $time if !defined $newest{$key} || $newest{$key} < $time;
	}
	my @statements;
	while (@rows)
	{
		my @some = splice(@rows, 0, 1 + rand(150));
		my @values = map { sprintf($insert =~ s/.*VALUES //r, $_->[0], "'$_->[1]'", "'$_->[2]'") } @some;
		my $columns = $insert =~ s/ VALUES .*//r;
		push @statements, "INSERT INTO $kind $columns VALUES " . join(', ', @values);
	}
	sql(join(';', @statements, @statements[0 .. $#statements / 2]));
	is(sql("$select ORDER BY id"), join("\n", map { "$_|v$newest{$_}" } sort { $a <=> $b } keys %newest), "$kind: the newest of each key");
	sql("TRUNCATE $kind");
}

# Sorted sets and their members
sql(q{INSERT INTO z VALUES (1, 'a', 5, '2026-01-02'), (1, 'b', 6, '2026-01-02')});
sql(q{INSERT INTO z VALUES (1, 'a', 1, '2026-01-01'), (1, 'b', 7, '2026-01-03')});
is(sql('SELECT v, score FROM z ORDER BY v'), "a|5\nb|7", 'members of sorted sets');
is(sql(q{DELETE FROM z WHERE id = 1 AND v = 'a'; INSERT INTO z VALUES (1, 'a', 1, '2026-01-02'); SELECT v FROM z}), 'b', 'and without one');

# UPDATE
sql(q{INSERT INTO h VALUES (1, 'a', '2026-01-02'); INSERT INTO s VALUES (1, 'a', '2026-01-02')});
is(sql(q{UPDATE h SET v = 'b' WHERE id = 1 RETURNING v}), 'b', 'UPDATE');
is(sql(q{UPDATE h SET v = 'c', at = '2026-01-01' WHERE id = 1 RETURNING v}), '', 'not to an older time');
is(sql(q{UPDATE s SET v = 'b' WHERE id = 1 RETURNING v, at = '2026-01-02'}), 'b|t', 'a time beside the row is read');
is(sql(q{UPDATE s SET at = '2026-01-05' WHERE id = 1; INSERT INTO s VALUES (1, 'z', '2026-01-04'); SELECT v FROM s}), 'b', 'and written');
like(error_of(q{UPDATE h SET id = 2 WHERE id = 1}), qr/0A000/, 'the key does not change');
like(redis_cli($redis, 'GET', 'feathub:time:{s:1}'), qr/^20260105\d{12}$/, 'where it is kept');
is(sql('SELECT count(*) FROM s'), 1, 'which is not a row');

# Times that others wrote into the hash
redis_cli($redis, 'HSET', 'h:7', 'v', 'x', 'at', '2026-03-01T00:00:00.5Z');
is(sql(q{INSERT INTO h VALUES (7, 'a', '2026-03-01 00:00:00.4Z'); SELECT v FROM h WHERE id = 7}), 'x', 'a time that others wrote');
is(sql(q{INSERT INTO h VALUES (7, 'a', '2026-03-01 00:00:00.6Z'); SELECT v FROM h WHERE id = 7}), 'a', 'in another form');
redis_cli($redis, 'HSET', 'h:7', 'at', 'yesterday');
like(error_of(q{INSERT INTO h VALUES (6, 'x', '2026-03-02'), (7, 'a', '2026-03-02')}), qr/field at holds no time.*h:7/s, 'one that is none');
redis_cli($redis, 'DEL', 'h:7');
redis_cli($redis, 'HSET', 'h:8', 'v', 'x');
is(sql(q{INSERT INTO h VALUES (8, 'a', '2026-01-01'); SELECT v FROM h WHERE id = 8}), 'a', 'a hash without a time gives way');
redis_cli($redis, 'SET', 'h:9', 'x');
like(error_of(q{INSERT INTO h VALUES (6, 'y', '2026-03-02'), (9, 'a', '2026-03-02')}), qr/2200G.*h:9/s, 'a key of another type is named');

# Times to live
sql(qq{CREATE FOREIGN TABLE live ($id, v text, $at) SERVER r OPTIONS (kind 'value', format 'json', prefix 'live:', write_mode 'upsert', ttl '3600', ttl_from 'event_time', tombstone_ttl '100')});
sql(q{INSERT INTO live VALUES (1, 'a', now() - interval '30 min'), (2, 'a', now() - interval '2 h'), (3, 'a', '1960-01-01')});
is(sql('SELECT id FROM live'), '1', 'what is over is not there');
my $ttl = redis_cli($redis, 'TTL', 'live:1');
cmp_ok($ttl, '<=', 1800, 'a time to live from the event time');
cmp_ok($ttl, '>', 1000, 'indeed');
is(redis_cli($redis, 'EXISTS', 'feathub:time:{live:1}'), 0, 'JSON needs no other key');
sql('DELETE FROM live WHERE id = 1');
cmp_ok(redis_cli($redis, 'TTL', 'feathub:time:{live:1}'), '<=', 100, 'a deletion is forgotten');
sql(q{INSERT INTO live VALUES (1, 'b', now() - interval '20 min')});
is(redis_cli($redis, 'EXISTS', 'feathub:time:{live:1}'), 0, 'or replaced');
sql(qq{CREATE FOREIGN TABLE token ($id, v text, $beside) SERVER r OPTIONS (prefix 'token:', write_mode 'upsert', ttl '3600', ttl_from 'event_time')});
sql(q{INSERT INTO token VALUES (1, 'a', now() - interval '30 min')});
my $guard_ttl;
($ttl, $guard_ttl) = map { redis_cli($redis, 'TTL', $_) } 'token:1', 'feathub:time:{token:1}';
cmp_ok($ttl, '<=', 1800, 'of a string too');
cmp_ok(abs($ttl - $guard_ttl), '<', 10, 'the guard goes with the row');
sql(qq{CREATE FOREIGN TABLE mortal ($id, v text, ttl timestamptz OPTIONS (metadata 'ttl'), $at) SERVER r OPTIONS (prefix 'mortal:', write_mode 'upsert', ttl_from 'event_time');
	INSERT INTO mortal VALUES (1, 'a', now() + interval '50 s', now() - interval '1 h')});
cmp_ok(redis_cli($redis, 'TTL', 'mortal:1'), '<=', 50, 'a time is a time');

# A time to live that is left alone, set and taken away, by each kind's script
foreach my $kind ([ 'hash', $at ], [ 'string', $beside ], [ 'value', $at ])
{
	my ($name, $time) = @$kind;
	my $format = $name eq 'value' ? ", format 'json'" : '';

	sql(qq{CREATE FOREIGN TABLE t_$name ($id, v text, ttl interval OPTIONS (metadata 'ttl'), $time) SERVER r OPTIONS (kind '$name', prefix 't_$name:', write_mode 'upsert'$format);
		CREATE FOREIGN TABLE u_$name ($id, v text, $time) SERVER r OPTIONS (kind '$name', prefix 't_$name:', write_mode 'upsert'$format)});
	sql(qq{INSERT INTO t_$name VALUES (1, 'a', '1 h', '2026-01-01'), (2, 'a', NULL, '2026-01-01'), (3, 'a', '2 h', '2026-01-01')});
	my $ttls = sub { return join(' ', map { my $n = redis_cli($redis, 'TTL', "t_$name:$_"); $n > 3600 ? 'long' : $n > 0 ? 'short' : $n } 1 .. 3) };
	is($ttls->(), 'short -1 long', "$name: each row has its own");
	sql(qq{INSERT INTO u_$name VALUES (1, 'b', '2026-01-02'), (2, 'b', '2026-01-02'), (3, 'b', '2025-01-02')});
	is($ttls->(), 'short -1 long', "$name: left alone");
	sql(qq{INSERT INTO t_$name VALUES (1, 'c', NULL, '2026-01-03'), (2, 'c', '1 h', '2026-01-03'), (3, 'c', NULL, '2026-01-01')});
	is($ttls->(), '-1 short -1', "$name: taken away");
	is(sql("SELECT string_agg(v, '' ORDER BY id) FROM t_$name"), 'ccc', "$name: with the rows");
}

# Times in JSON: what others wrote, in any order and form
my $big = 'x' x 5000;
foreach my $v ('a', $big)
{
	my $what = length($v) > 1 ? 'long JSON' : 'JSON';
	my $put = sub { sql(qq{INSERT INTO j VALUES (1, '$v$_[0]', '$_[1]'), (2, '$v', '2026-01-01')}); return sql(q{SELECT ltrim(v, 'x') FROM j WHERE id = 1}) };

	sql('TRUNCATE j');
	redis_cli($redis, 'SET', 'j:1', '{ "v" : "b", "deep": {"at":"2030-01-01T00:00:00Z"}, "at" : "2026-03-01 00:00:00.5+00:00" }');
	is($put->('c', '2026-03-01 00:00:00.4Z'), 'b', "$what that others wrote stays");
	like($put->('c', '2026-03-01 00:00:00.6Z'), qr/c$/, "$what: until a newer row comes");
	redis_cli($redis, 'SET', 'j:1', '{"v":"b"}');
	like($put->('d', '2026-01-01'), qr/d$/, "$what without a time gives way");
	redis_cli($redis, 'SET', 'j:1', '{"v":"b","at":null}');
	like($put->('e', '2026-01-01'), qr/e$/, "$what with a null too");
	foreach my $bad ('{"at":"yesterday"}', '{"at":"2026-99-99T00:00x00.000000Z","v":"b"}', '{"v":"b","at":5}', '5', 'none')
	{
		redis_cli($redis, 'SET', 'j:1', $bad);
		like(error_of(qq{INSERT INTO j VALUES (3, '$v', '2026-01-01'), (1, '$v', '2026-01-01')}), qr/field at holds no time.*j:1/s, "$what: $bad");
	}
	redis_cli($redis, 'DEL', 'j:1');
	redis_cli($redis, 'HSET', 'j:1', 'a', 'b');
	like(error_of(qq{INSERT INTO j VALUES (3, '$v', '2026-01-01'), (1, '$v', '2026-01-01')}), qr/2200G.*j:1/s, "$what: a key of another type is named");
	redis_cli($redis, 'DEL', 'j:1');
}
sql(q{TRUNCATE j; INSERT INTO j VALUES (1, 'a', '2026-01-02'); UPDATE j SET v = 'b' WHERE id = 1; UPDATE j SET v = 'c', at = '2026-01-01' WHERE id = 1});
is(sql('SELECT v FROM j'), 'b', 'JSON: UPDATE');
is(redis_cli($redis, 'GET', 'j:1'), '{"at":"2026-01-02T00:00:00.000000Z","v":"b"}', 'JSON: the time comes first');
sql(qq{CREATE FOREIGN TABLE millis ($id, at timestamptz OPTIONS (event_time 'true', timestamp_format 'epoch_millis')) SERVER r OPTIONS (kind 'value', format 'json', prefix 'millis:', write_mode 'upsert');
	INSERT INTO millis VALUES (1, '2026-01-02'), (1, '2026-01-01')});
is(redis_cli($redis, 'EXISTS', 'feathub:time:{millis:1}'), 1, 'numbers are not compared: their times are beside');
sql(qq{CREATE FOREIGN TABLE local ($id, at timestamp OPTIONS (event_time 'true'), v text) SERVER r OPTIONS (kind 'value', format 'json', prefix 'local:', write_mode 'upsert');
	INSERT INTO local VALUES (1, '2026-01-02', 'a'), (2, '2026-01-02 00:00:00.1', 'a'); INSERT INTO local VALUES (1, '2026-01-01 23:59:59.999999', 'b'), (2, '2026-01-02 00:00:00.11', 'b')});
is(sql('SELECT string_agg(v, NULL ORDER BY id) FROM local'), 'ab', 'times without zone');

# Keys with braces: the script finds the times of deletions under the name that we gave them
foreach my $kind ('hash', 'value')
{
	my $format = $kind eq 'value' ? ", format 'json'" : '';
	my $keys = q[unnest(ARRAY['{a}b', 'a}{b', '{}c', '{', 'x}', 'plain', '']) k];

	sql(qq{CREATE FOREIGN TABLE tag_$kind (k text OPTIONS (key 'true'), v text, $at) SERVER r OPTIONS (kind '$kind', prefix 'tag_$kind:', write_mode 'upsert'$format);
		INSERT INTO tag_$kind SELECT k, 'a', '2026-01-02' FROM $keys; DELETE FROM tag_$kind});
	is(redis_cli($redis, 'EXISTS', "feathub:time::tag_$kind:{a}b", "feathub:time:{tag_$kind:a}{b}", "feathub:time:{tag_$kind:plain}"), 3, "$kind: times of deletions");
	is(sql(qq{INSERT INTO tag_$kind SELECT k, 'b', '2026-01-02' FROM $keys; SELECT count(*) FROM tag_$kind}), 0, "$kind: nothing comes back");
	is(sql(qq{INSERT INTO tag_$kind SELECT k, 'c', '2026-01-03' FROM $keys; SELECT count(*) FROM tag_$kind}), 7, "$kind: but what is newer");
	is(redis_cli($redis, '--raw', 'KEYS', 'feathub:time:*tag_*'), '', "$kind: deletions are forgotten");
	sql(qq{INSERT INTO tag_$kind SELECT k, 'd', '2026-01-02' FROM $keys});
	is(sql(qq{SELECT DISTINCT v FROM tag_$kind}), 'c', "$kind: and the rows guarded");
}

# Fields that a newer row has not
sql(qq{CREATE FOREIGN TABLE wide ($id, a int, b int, c int, $at) SERVER r OPTIONS (kind 'hash', prefix 'wide:', write_mode 'upsert');
	INSERT INTO wide SELECT g, g, g, g, '2026-01-01' FROM generate_series(1, 300) g;
	INSERT INTO wide SELECT g, g + 1, CASE WHEN g > 150 AND g % 3 = 0 THEN g END, NULL, CASE WHEN g % 2 = 0 THEN timestamptz '2026-01-02' ELSE '2025-01-01' END FROM generate_series(1, 300) g;
	INSERT INTO wide SELECT 1, g, g, g, '2026-02-01' FROM generate_series(1, 1000) g});
is(sql('SELECT count(*), sum(a), sum(b), sum(c) FROM wide'), sql(q{SELECT 300, sum(CASE WHEN g = 1 THEN 1000 WHEN g % 2 = 0 THEN g + 1 ELSE g END),
	sum(CASE WHEN g = 1 THEN 1000 WHEN g % 2 = 1 THEN g WHEN g > 150 AND g % 3 = 0 THEN g END), sum(CASE WHEN g = 1 THEN 1000 WHEN g % 2 = 1 THEN g END) FROM generate_series(1, 300) g}),
	'and the last of many rows of one key');

# Elements: the times go with the key, those of deletions when it is said
my $odd = '}{7';
sql(qq{CREATE FOREIGN TABLE seen ($id, v text, $beside) SERVER r OPTIONS (kind 'set', key_pattern 'seen:{id}', write_mode 'upsert', ttl '1000', tombstone_ttl '100');
	INSERT INTO seen VALUES (1, 'a', '2026-01-02'), (1, 'b', '2026-01-02'), (2, '$odd', '2026-01-02')});
my @guards = ('feathub:time:{seen:1}', 'feathub:time:6{seen:1}a');
cmp_ok(redis_cli($redis, 'TTL', 'seen:1'), '>', 900, 'a set that expires');
cmp_ok(redis_cli($redis, 'TTL', $guards[0]), '>', 900, 'and with it the times of its members');
sql(q{DELETE FROM seen WHERE id = 1 AND v = 'a'; INSERT INTO seen VALUES (1, 'a', '2026-01-02')});
is(sql('SELECT v FROM seen WHERE id = 1'), 'b', 'a member that was deleted does not come back');
is(redis_cli($redis, 'HKEYS', $guards[0]), 'b', 'it has no time with those that live');
$ttl = redis_cli($redis, 'TTL', $guards[1]);
ok($ttl > 0 && $ttl <= 100, 'its time goes by itself') or diag($ttl);
redis_cli($redis, 'DEL', $guards[1]);
is(sql(q{INSERT INTO seen VALUES (1, 'a', '2026-01-01'); SELECT count(*) FROM seen WHERE id = 1}), 2, 'after which older ones come back');
is(sql(q{DELETE FROM seen WHERE id = 1 AND v = 'a'; INSERT INTO seen VALUES (1, 'a', '2026-01-03'); SELECT count(*) FROM seen WHERE id = 1}), 2, 'newer ones at any time');
is(redis_cli($redis, 'EXISTS', $guards[1]), 0, 'and the deletion is forgotten');
redis_cli($redis, 'PERSIST', 'seen:1');
is(sql(q{DELETE FROM seen WHERE id = 1; SELECT count(*) FROM seen WHERE id = 1}), 0, 'without members');
is(redis_cli($redis, 'EXISTS', $guards[0]), 0, 'a set has no times but of deletions');
sql(q{DELETE FROM seen WHERE id = 2; TRUNCATE seen});
is(redis_cli($redis, '--raw', 'KEYS', 'feathub:time:*seen*'), '', 'TRUNCATE finds those too');
sql(qq{CREATE FOREIGN TABLE parts ($id, f text OPTIONS (metadata 'field'), v text, ttl interval OPTIONS (metadata 'ttl'), $beside) SERVER r OPTIONS (kind 'hash', prefix 'parts:', write_mode 'upsert');
	INSERT INTO parts VALUES (1, 'a', 'x', '1 h', '2026-01-01')});
cmp_ok(redis_cli($redis, 'TTL', 'feathub:time:{parts:1}'), '>', 900, 'fields too');
redis_cli($redis, 'PERSIST', 'parts:1');
sql(q{INSERT INTO parts VALUES (1, 'b', 'x', NULL, '2026-01-01')});
is(redis_cli($redis, 'TTL', 'parts:1') . redis_cli($redis, 'TTL', 'feathub:time:{parts:1}'), '-1-1', 'and stay with a hash that stays');

# Entries of streams whose ids are given
sql(q{CREATE FOREIGN TABLE x (id text OPTIONS (metadata 'id'), v text) SERVER r OPTIONS (kind 'stream', singleton_key 'x', on_old_id 'skip');
	INSERT INTO x VALUES ('1-1', 'a'), ('2-1', 'b'), ('1-2', 'c'), ('2-1', 'd'), ('3-1', 'e'); INSERT INTO x VALUES ('3-1', 'f')});
is(sql(q{SELECT string_agg(v, '' ORDER BY id) FROM x}), 'abe', 'entries that were written before are left out');
sql(q{CREATE FOREIGN TABLE y (id text OPTIONS (metadata 'id'), v text) SERVER r OPTIONS (kind 'stream', singleton_key 'x')});
like(error_of(q{INSERT INTO y VALUES ('3-1', 'f')}), qr/equal or smaller/, 'or an error');

# Rows without event time, of several commands each, in one script
sql(qq{CREATE FOREIGN TABLE plain ($id, a text, b text) SERVER r OPTIONS (prefix 'plain:', write_mode 'upsert', ttl '100', key_set 'plains');
	INSERT INTO plain SELECT g % 300, 'a' || g, CASE WHEN g % 7 > 0 THEN 'b' || g END FROM generate_series(1, 1000) g});
is(sql(q{SELECT count(*), count(b), min(a), max(substr(a, 2)::int) FROM plain}), '300|258|a1000|1000', 'the last of each key');
is(redis_cli($redis, 'SCARD', 'plains'), 300, 'and their set');

# Replicas
sql(qq{CREATE FOREIGN TABLE copied ($id, v text) SERVER r OPTIONS (prefix 'copied:', min_replicas '1');
	ALTER SERVER r OPTIONS (command_timeout '1')});
like(error_of(q{INSERT INTO copied VALUES (1, 'a')}), qr/57P03.*only 0 of 1 replicas/s, 'a replica that is not there');

# What is refused
sub refused
{
	my ($pattern, $columns, $options) = @_;
	like(error_of("CREATE FOREIGN TABLE bad ($columns) SERVER r OPTIONS ($options); EXPLAIN SELECT * FROM bad"), $pattern, "$columns; $options");
	sql('DROP FOREIGN TABLE IF EXISTS bad');
	return;
}
refused(qr/write_mode 'upsert'/, "$id, $at", q{prefix 'x'});
refused(qr/two columns are event times/, "$id, $at, b timestamp OPTIONS (event_time 'true')", q{write_mode 'upsert'});
refused(qr/is of type date/, "$id, at date OPTIONS (event_time 'true')", q{write_mode 'upsert'});
refused(qr/another one/, q{at timestamptz OPTIONS (key 'true', event_time 'true'), v text}, q{write_mode 'upsert'});
refused(qr/replace none/, "$id, v text, $beside", q{kind 'list', write_mode 'upsert'});
refused(qr/no metadata "event_time"/, "$id, v text, $beside", q{kind 'stream', write_mode 'upsert'});
refused(qr/replace none/, "$id, v text, $at", q{kind 'stream', write_mode 'upsert'});
refused(qr/need an event time/, "$id, v text", q{write_mode 'upsert', tombstone_ttl '5'});
refused(qr/need an event time/, "$id, v text", q{write_mode 'upsert', ttl_from 'event_time'});
refused(qr/element itself/, "$id, $at", q{kind 'set', write_mode 'upsert'});
refused(qr/without braces/, "$id, v text, $beside", q(write_mode 'upsert', guard_prefix 'a{b'));
refused(qr/for kind "stream"/, "$id, v text", q{on_old_id 'skip'});

done_testing();
