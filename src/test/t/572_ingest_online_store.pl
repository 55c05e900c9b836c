# A feature group whose online table is copied to Redis and one to MySQL: jobs with
# late rows and deletions, killed workers and servers, lost data, random checks
# that the store ends as the online table.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use FeathubMysql;
use FeathubRedis;
use FeathubTest;
use File::Path qw(make_path);
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes ();

my $mysql = mysql_start();
my $redis = redis_start();
random_seed();
my $node = new_node(
	'main', jobs => 1, conf => q{
feathub.batch_rows = 300
});
my $dir = $node->basedir . '/files';
make_path("$dir/in");

sub sql { return $node->safe_psql('postgres', shift); }
sub patient { return patient_query($node, shift); }
sub wait_for { return wait_for_job($node, shift); }

# Changes of rows in random order of event time, deletions among them.
my $sequence = 0;

sub add
{
	my ($file, $count) = @_;
	my $lines = '';

	for (1 .. $count)
	{
		my $id = int rand 60;
		my $at = sprintf '2024-01-01T%02d:%02d:%02dZ', int rand 24, int rand 60, int rand 60;
		my $row = sprintf '{"id":%d,"at":"%s","v":%d}', $id, $at, ++$sequence;

		$lines .= rand() < 0.1
		  ? qq({"op":"d","before":$row,"after":null,"ts_ms":1704067200000}\n)
		  : qq({"op":"u","before":null,"after":$row,"ts_ms":1704067200000}\n);
	}
	append_to_file("$dir/in/$file.json", $lines);
}

sub online { my $group = shift; return patient("SELECT id, at, v FROM ${group}_online ORDER BY id"); }

sub store { my $group = shift; return sql("SELECT id, at, v FROM ${group}_store ORDER BY id"); }

sub same
{
	my ($what) = @_;
	foreach my $group (qw(r m))
	{
		wait_for($group);
		is(store($group), online($group), "$what: group $group");
	}
}

mysql_server($node, $mysql);
mysql_query($mysql, 'CREATE TABLE shop.store (id int PRIMARY KEY, at datetime(6), v int)');
sql(qq{
CREATE SERVER files FOREIGN DATA WRAPPER feathub_filesystem OPTIONS (folder '$dir');
CREATE SERVER redis FOREIGN DATA WRAPPER feathub_redis OPTIONS (port '$redis->{port}');
CREATE USER MAPPING FOR CURRENT_USER SERVER redis;
CREATE FOREIGN TABLE source (id int, at timestamptz, v int) SERVER files OPTIONS (path 'in', format 'debezium-json');
CREATE FOREIGN TABLE r_store (id int OPTIONS (key 'true'), at timestamptz, v int) SERVER redis
  OPTIONS (kind 'hash', prefix 'store:', write_mode 'upsert');
CREATE FOREIGN TABLE m_store (id int OPTIONS (key 'true'), at timestamptz, v int) SERVER mysql
  OPTIONS (table_name 'store', write_mode 'upsert');
});
add($_, 500) foreach 0 .. 2;
sql(q{SELECT feathub.create_feature_group('r', source => 'source', primary_key => '{id}', event_time => 'at', online_store => 'r_store', workers => 2)});
sql(q{SELECT feathub.create_feature_group('m', source => 'source', primary_key => '{id}', event_time => 'at', workers => 2)});
is(sql('SELECT bool_and(deletes) FROM feathub.feature_group'), 't', 'the groups follow deletions');
wait_for('m');
sql(q{SELECT feathub.alter_feature_group('m', online_store => 'm_store')});
same('at first');
cmp_ok(sql('SELECT count(*) FROM r_online'), '>', 10, 'there are rows');
cmp_ok(sql('SELECT count(*) FROM r_tombstone'), '>', 10, 'and deletions');

# Workers are killed, and MySQL, while changes come.
my $kills = 0;
for my $round (1 .. 10)
{
	add(int rand 3, 200);
	Time::HiRes::sleep(rand(0.2));
	if ($round == 5)
	{
		mysql_kill($mysql);
		Time::HiRes::sleep(rand(0.3));
		mysql_restart($mysql);
		next;
	}
	my $pid = eval { $node->safe_psql('postgres', q{SELECT pid FROM pg_stat_activity WHERE backend_type = 'feathub worker' ORDER BY random() LIMIT 1}) };
	next unless $pid;
	$kills += kill 'KILL', $pid;
}
cmp_ok($kills, '>', 0, "$kills workers were killed");
patient('SELECT 1');
same('after kills');

# Redis comes back without anything: what changes goes there, the rest by a refresh.
redis_kill($redis);
add(0, 100);
poll_query($node, q{SELECT retry_at IS NOT NULL FROM feathub.job_status WHERE job = 'r'}, 't', 'a failed try');
is(sql(q{SELECT count(*) > 0 FROM feathub.job_status WHERE job = 'r' AND state = 'running' AND last_error LIKE '%redis%'}), 't', 'which names the server');
redis_up($redis);
wait_for('r');
isnt(store('r'), online('r'), 'the store has lost rows');
redis_cli($redis, 'HSET', 'store:999', 'v', '1');
sql(q{SELECT feathub.refresh_online_store('r')});
same('after a refresh');

# Refreshes while changes come lose none of them.
for (1 .. 5)
{
	add(1, 300);
	sql(q{SELECT feathub.refresh_online_store('r'), feathub.refresh_online_store('m')});
}
same('after refreshes beside jobs');

# A rewind brings the same again; so does a job that was rewound with another store.
sql(q{SELECT feathub.rewind_job('r', 'earliest')});
same('after a rewind');

# With an event time in Redis too, whatever writes there.
redis_cli($redis, 'FLUSHALL');
sql(q{
ALTER FOREIGN TABLE r_store ALTER COLUMN at OPTIONS (ADD event_time 'true');
SELECT feathub.refresh_online_store('r')});
add(2, 600);
same('guarded by the event time');

# A row that the store refuses is a dead letter, and not in the online table.
mysql_query($mysql, 'ALTER TABLE shop.store ADD CHECK (v <> -5)');
append_to_file("$dir/in/0.json", qq({"op":"u","before":null,"after":{"id":1000,"at":"2024-02-01T00:00:00Z","v":-5},"ts_ms":1704067200000}\n)
	  . qq({"op":"u","before":null,"after":{"id":1001,"at":"2024-02-01T00:00:00Z","v":-6},"ts_ms":1704067200000}\n));
same('with a refused row');
is(sql(q{SELECT job, sink FROM feathub.dead_letter}), 'm|public.m', 'it is a dead letter');
is(sql('SELECT string_agg(id::text, $$,$$) FROM m_online WHERE id >= 1000'), '1001', 'the online table has it neither');

# What another sink of the job refuses does not stay in the store.
sql(q{CREATE TABLE checked (id int, v int CHECK (v <> -7)); SELECT feathub.alter_job('r', add_sinks => '{checked}')});
append_to_file("$dir/in/1.json", join('', map { qq({"op":"u","before":null,"after":{"id":@{[ 2000 - $_ ]},"at":"2024-02-01T00:00:00Z","v":$_},"ts_ms":1704067200000}\n) } -9 .. -6));
same('with a row that another sink refused');
is(sql(q{SELECT string_agg(id::text, ',' ORDER BY id) FROM r_store WHERE id > 2000}), '2006,2008,2009', 'the store has the others');
is(sql(q{SELECT sink FROM feathub.dead_letter WHERE job = 'r'}), 'public.checked', 'the dead letter names the sink');

# A store that compares other times than the group would not end as its online table.
sql(q{CREATE FOREIGN TABLE odd_store (id int OPTIONS (key 'true'), at timestamptz, v timestamptz OPTIONS (event_time 'true')) SERVER redis
	OPTIONS (kind 'hash', prefix 'odd:', write_mode 'upsert')});
my ($status, $out, $err) = $node->psql('postgres', q{\set VERBOSITY verbose
	SELECT feathub.alter_feature_group('m', online_store => 'odd_store')});
like($err, qr/22023: .*cannot be an online store of "m".*guarded by event time column "v", and the feature group's event time is "at"/s, 'a store with another event time');
sql(q{DROP FOREIGN TABLE odd_store});

# Who has a role's rights alters its jobs with that role's user mapping, not one of his own.
sql(q{
CREATE ROLE keeper LOGIN;
CREATE ROLE boss SUPERUSER;
GRANT CREATE, USAGE ON SCHEMA public TO keeper;
GRANT SELECT ON source TO keeper;
GRANT USAGE ON FOREIGN SERVER redis TO keeper;
CREATE USER MAPPING FOR keeper SERVER redis;
SET ROLE keeper;
CREATE FOREIGN TABLE kept (id int OPTIONS (key 'true'), v int) SERVER redis OPTIONS (kind 'hash', prefix 'kept:', write_mode 'upsert');
SELECT feathub.create_job('kept', source => 'source', sink => 'kept', query => 'SELECT id, v FROM batch');
SET ROLE boss;
SELECT feathub.alter_job('kept', query => 'SELECT id, 0 AS v FROM batch')});
wait_for('kept');
is(sql(q{SELECT query FROM feathub.job_status WHERE job = 'kept'}), 'SELECT id, 0 AS v FROM batch', 'a job altered by who has no user mapping');
sql(q{SELECT feathub.drop_job('kept'); DROP OWNED BY keeper; DROP ROLE keeper, boss});

# Dropped with its group, or taken from it.
sql(q{SELECT feathub.drop_feature_group('r'); SELECT feathub.alter_feature_group('m', reset => '{online_store}'); DROP FOREIGN TABLE m_store, r_store});
cmp_ok(redis_cli($redis, 'DBSIZE'), '>', 10, 'what the store holds stays');
add(0, 10);
wait_for('m');

done_testing();
