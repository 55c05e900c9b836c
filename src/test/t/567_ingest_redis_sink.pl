# Jobs from Kafka into Redis, guarded by event time: records out of order, twice
# and in both of two partitions that two workers read, and deletions, leave the
# latest row of each key; through kills of workers and of Redis, and rewinds; on
# a cluster too.  Entries of a stream are written once where their ids say so.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use FeathubRedis;
use FeathubTest;
use Test::More;
use Time::HiRes ();

my $redis = redis_start(options => [ '--appendonly', 'yes', '--appendfsync', 'always' ]);
my $cluster = redis_start_cluster();
my $kafka = kafka_start();
random_seed();
my $node = new_node(
	'main', jobs => 1, conf => q{
log_statement = none
max_worker_processes = 20
feathub.max_workers = 16
feathub.scheduler_interval = 300ms
feathub.batch_rows = 200
});

sub sql { return $node->safe_psql('postgres', shift); }
sub patient { return patient_query($node, shift); }

my @sinks = qw(hash doc feature far token);

sub wait_for { wait_for_job($node, $_) foreach @_; return; }

my $columns = q{id int OPTIONS (key 'true'), n int, at timestamptz OPTIONS (event_time 'true')};
sql(qq{
CREATE SERVER kafka FOREIGN DATA WRAPPER feathub_kafka OPTIONS (bootstrap_servers '$kafka->{bootstrap}');
CREATE FOREIGN TABLE source (id int OPTIONS (key 'true'), n int, at timestamptz OPTIONS (metadata 'timestamp'))
  SERVER kafka OPTIONS (topic 'events', key_format 'json');
CREATE FOREIGN TABLE raw (k text OPTIONS (metadata 'key'), value text, at timestamptz OPTIONS (metadata 'timestamp'), part int OPTIONS (metadata 'partition'))
  SERVER kafka OPTIONS (topic 'events', format 'raw');
CREATE SERVER redis FOREIGN DATA WRAPPER feathub_redis OPTIONS (port '$redis->{port}');
CREATE USER MAPPING FOR CURRENT_USER SERVER redis;
CREATE SERVER cluster FOREIGN DATA WRAPPER feathub_redis OPTIONS (mode 'cluster', nodes '$cluster->{list}');
CREATE USER MAPPING FOR CURRENT_USER SERVER cluster;
CREATE FOREIGN TABLE hash ($columns) SERVER redis OPTIONS (kind 'hash', prefix 'hash:', write_mode 'upsert');
CREATE FOREIGN TABLE doc ($columns) SERVER redis OPTIONS (kind 'value', format 'json', prefix 'doc:', write_mode 'upsert');
CREATE FOREIGN TABLE feature (id int OPTIONS (key 'true'), n int, at timestamptz OPTIONS (metadata 'event_time')) SERVER redis OPTIONS (kind 'features', write_mode 'upsert');
CREATE FOREIGN TABLE far ($columns) SERVER cluster OPTIONS (kind 'value', format 'json', key_pattern 'far:{id}', write_mode 'upsert');
CREATE FOREIGN TABLE token (id int OPTIONS (key 'true'), n int, at timestamptz OPTIONS (metadata 'event_time')) SERVER redis OPTIONS (kind 'string', prefix 'token:', write_mode 'upsert');
});
kafka_create_topic($kafka, 'events', 2);

# What happens to a key at a time is always the same, so ties do not matter;
# deletions are at times of their own.
my (%newest, @records);
sub make_records
{
	my $n = shift;

	foreach (1 .. $n)
	{
		my ($id, $t) = (int(rand(150)), int(rand(5000)));
		my $deleted = $t % 8 == 0;

		push @records, sprintf(q[('{"id":%d}', %s, '2026-01-01'::timestamptz + interval '%d ms', %d)],
			$id, $deleted ? 'NULL' : qq['{"id":$id,"n":$t}'], $t, int(rand(2)));
		$newest{$id} = $t if !defined $newest{$id} || $newest{$id} < $t;
	}
	return;
}

# some may come twice
sub send_records { patient('INSERT INTO raw VALUES ' . join(', ', splice(@records))); return; }

sub expected
{
	return join("\n", map { "$_|$newest{$_}" } grep { $newest{$_} % 8 } sort { $a <=> $b } keys %newest);
}

sub check
{
	my $what = shift;
	foreach my $sink (@sinks)
	{
		is(sql("SELECT id, n FROM $sink ORDER BY id"), expected(), "$sink: $what");
	}
	return;
}

make_records(3000);
send_records();
sql(qq{SELECT feathub.create_job('$_', source => 'source', sink => '$_', workers => 2)}) foreach @sinks;

# Kill workers, and Redis, while the jobs run.
my $kills = 0;
foreach my $round (1 .. 8)
{
	make_records(400);
	send_records();
	if ($round % 4 == 0)
	{
		redis_kill($redis);
		Time::HiRes::sleep(rand(0.2));
		redis_up($redis);
		next;
	}
	my $pid = eval { $node->safe_psql('postgres', q{SELECT pid FROM pg_stat_activity WHERE backend_type = 'feathub worker' ORDER BY random() LIMIT 1}) };
	$kills += kill 'KILL', $pid if $pid;
}
patient('SELECT 1');
wait_for(@sinks);
check("the latest rows after $kills workers were killed");

# All again, in other batches and from several points.
sql("SELECT feathub.pause_job('$_'), feathub.rewind_job('$_', 'earliest'), feathub.resume_job('$_')") foreach @sinks;
wait_for(@sinks);
check('a rewind changes nothing');

# Older rows and deletions, newer ones, and what both partitions have of one key
sql(q[INSERT INTO raw VALUES
	('{"id":1000}', '{"id":1000,"n":2}', '2026-02-01 00:00:02', 0),
	('{"id":1001}', NULL, '2026-02-01 00:00:02', 0),
	('{"id":1002}', '{"id":1002,"n":1}', '2026-02-01 00:00:01', 0)]);
wait_for(@sinks);
sql(q[INSERT INTO raw VALUES
	('{"id":1000}', '{"id":1000,"n":1}', '2026-02-01 00:00:01', 1),
	('{"id":1000}', NULL, '2026-02-01 00:00:01.5', 1),
	('{"id":1001}', '{"id":1001,"n":1}', '2026-02-01 00:00:01', 1),
	('{"id":1002}', NULL, '2026-02-01 00:00:02', 1),
	('{"id":1002}', '{"id":1002,"n":3}', '2026-02-01 00:00:03', 1)]);
wait_for(@sinks);
$newest{1000} = 2;
$newest{1002} = 3;
check('the order of arrival does not matter');

# What cannot be written is one record's fault, whatever else is in its batch.
redis_cli($redis, 'HSET', 'hash:2003', 'at', 'yesterday');
redis_cli($redis, 'DEL', 'doc:2003', 'token:2003');
redis_cli($redis, 'RPUSH', $_, 'x') foreach 'hash:2005', 'doc:2003', 'doc:2005', 'token:2003', 'token:2005';
sql(q[INSERT INTO raw SELECT '{"id":' || g || '}', '{"id":' || g || ',"n":1}', '2026-02-01', g / 5 % 2 FROM generate_series(2000, 2009) g]);
wait_for(@sinks);
is(sql("SELECT count(*) FROM $_ WHERE id >= 2000 AND n = 1"), $_ =~ /^(hash|doc|token)$/ ? 8 : 10, "$_: other rows of the batch") foreach @sinks;
is(sql(q{SELECT string_agg(DISTINCT job || ' ' || (convert_from(value, 'UTF8')::json ->> 'id'), ', ') FROM feathub.dead_letter}),
	'doc 2003, doc 2005, hash 2003, hash 2005, token 2003, token 2005', 'records that cannot be written');
sql("SELECT feathub.delete_dead_letters('$_')") foreach qw(hash doc token);

# A key is compared before it is written, so the event time must be in the query.
my ($status, undef, $err) = $node->psql('postgres', q{SELECT feathub.create_job('bad', source => 'source', sink => 'hash', query => 'SELECT id, n FROM batch')});
like($err, qr/column "at" is missing/, 'a query without the event time is refused');

# A stream for each partition, with ids made of offsets: a lost commit adds nothing.
sql(q{
CREATE FOREIGN TABLE entry (part int OPTIONS (key 'true'), id text OPTIONS (metadata 'id'), n int) SERVER redis OPTIONS (kind 'stream', prefix 'log:', on_old_id 'skip');
CREATE FOREIGN TABLE numbered (n int, part int OPTIONS (metadata 'partition'), "offset" bigint OPTIONS (metadata 'offset')) SERVER kafka OPTIONS (topic 'numbers');
CREATE FOREIGN TABLE numbers (n int) SERVER kafka OPTIONS (topic 'numbers')});
kafka_create_topic($kafka, 'numbers', 2);
sql('INSERT INTO numbers SELECT generate_series(1, 2000)');
sql(q{SELECT feathub.create_job('entry', source => 'numbered', sink => 'entry', query => 'SELECT part, ("offset" + 1) || ''-1'' AS id, n FROM batch')});
wait_for('entry');
sql(q{SELECT feathub.pause_job('entry'), feathub.rewind_job('entry', 'earliest'), feathub.resume_job('entry')});
sql('INSERT INTO numbers SELECT generate_series(2001, 2100)');
wait_for('entry');
is(sql('SELECT count(*), count(DISTINCT n), sum(n) FROM entry'), '2100|2100|' . 2100 * 2101 / 2, 'entries are there once');
is(sql(q{SELECT count(*) FROM feathub.dead_letter}), 0, 'no dead letters');

done_testing();
