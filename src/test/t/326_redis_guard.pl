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
my ($ttl, $guard_ttl) = map { redis_cli($redis, 'TTL', $_) } 'live:1', 'feathub:time:{live:1}';
cmp_ok($ttl, '<=', 1800, 'a time to live from the event time');
cmp_ok($ttl, '>', 1000, 'indeed');
cmp_ok(abs($ttl - $guard_ttl), '<', 10, 'the guard goes with the row');
sql('DELETE FROM live WHERE id = 1');
cmp_ok(redis_cli($redis, 'TTL', 'feathub:time:{live:1}'), '<=', 100, 'a deletion is forgotten');
sql(qq{CREATE FOREIGN TABLE mortal ($id, v text, ttl timestamptz OPTIONS (metadata 'ttl'), $at) SERVER r OPTIONS (prefix 'mortal:', write_mode 'upsert', ttl_from 'event_time');
	INSERT INTO mortal VALUES (1, 'a', now() + interval '50 s', now() - interval '1 h')});
cmp_ok(redis_cli($redis, 'TTL', 'mortal:1'), '<=', 50, 'a time is a time');

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
refused(qr/row for each key/, "$id, v text, $beside", q{kind 'set', write_mode 'upsert', tombstone_ttl '5'});
refused(qr/element itself/, "$id, $at", q{kind 'set', write_mode 'upsert'});
refused(qr/without braces/, "$id, v text, $beside", q(write_mode 'upsert', guard_prefix 'a{b'));
refused(qr/for kind "stream"/, "$id, v text", q{on_old_id 'skip'});

done_testing();
