# The server stays well while jobs run (promise 8), and whatever is done to a job
# leaves the same rows (promise 3): databases and extensions dropped, renamed and
# copied, restarts, too few worker slots, workers terminated, columns added, jobs
# paused, resumed, restarted and rewound; memory bounded whatever the lag.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use FeathubTest;
use IngestReference;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes ();

my $kafka = kafka_start();
random_seed();
my $conf = q{
log_min_messages = warning
log_statement = none
feathub.retry_delay = 100ms
feathub.retry_delay_max = 500ms
feathub.scheduler_interval = 500ms
feathub.source_interval = 300ms
};
my $node = new_node('main', conf => $conf);

sub sql
{
	my ($query, $db) = @_;
	return $node->safe_psql($db || 'postgres', $query);
}

# How long a statement takes, which must succeed.
sub takes
{
	my ($query, $db) = @_;
	my $begin = Time::HiRes::time();

	sql($query, $db);
	return Time::HiRes::time() - $begin;
}

# Our processes in a database.
sub processes
{
	my ($db, $kind) = @_;
	return sql("SELECT string_agg(pid::text, ' ' ORDER BY pid) FROM pg_stat_activity WHERE datname = '$db' AND backend_type = 'feathub $kind'");
}

sub wait_for
{
	my ($job, $db) = @_;
	return sql("SELECT feathub.wait_for_job('$job', '90 s')", $db);
}

# Whatever is done to a job leaves the same rows

my $stream = IngestReference->new($kafka, 'clicks', partitions => 3, keys => 80);
my %groups = (
	kept => { deletes => 'true', workers => 2, max_dead_letters => -1 },
	plain => { workers => 2, max_dead_letters => -1, retention => '1000 days' }
);
$stream->create_stream($node);
$stream->create_group($node, $_, %{ $groups{$_} }) foreach sort keys %groups;
$stream->produce(4000);
$stream->flush;

foreach my $command ('pause_job', 'resume_job', 'restart_job', 'restart_job', 'pause_job', 'resume_job')
{
	sql("SELECT feathub.$command('$_')") foreach sort keys %groups;
	$stream->produce(300);
}
sql('SELECT pg_terminate_backend(pid) FROM feathub.worker WHERE pid IS NOT NULL');
$stream->produce(1000);
sql("SELECT feathub.alter_feature_group('$_', workers => 3)") foreach sort keys %groups;
$stream->produce(1000);
$stream->flush;
$stream->check_topic($node);
foreach my $group (sort keys %groups)
{
	wait_for($group);
	$stream->check($node, $group, 'after pauses and restarts');
}
is(sql(q{SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'feathub worker' AND xact_start IS NOT NULL}),
	'0', 'no transaction is open while workers wait');

sub rewound
{
	my ($what, $target, $partition) = @_;

	foreach my $group (sort keys %groups)
	{
		my $p = $partition ? ", '$partition'" : '';
		sql("SELECT feathub.rewind_job('$group', '$target'$p)");
		wait_for($group);
		$stream->check($node, $group, $what, counters => 0, dead => 0);
		is(sql("SELECT count(*) FROM feathub.job_status WHERE job = '$group' AND records = applied + duplicates + dead_letters + skipped + expired"),
			'1', "$group $what: every record is accounted for");
	}
	return;
}
rewound('rewound to the beginning', 'earliest');
rewound('rewound to an offset', '700', 'clicks-1');
# the records' timestamps, not the time of this run
my $time = sql("SELECT to_timestamp($stream->{records}[2500]{timestamp} / 1000.0)");
rewound('rewound to a time', $time);
sql("SELECT feathub.rewind_job('kept', 'earliest')");
sql("SELECT feathub.rewind_job('kept', '10', 'clicks-0')");
rewound('rewound again before the replay has ended', '5', 'clicks-2');

# A cancel

{
	kafka_create_topic($kafka, 'idle', 1);
	sql(q{CREATE FOREIGN TABLE idle_stream (k text, at timestamptz, n int) SERVER kafka OPTIONS (topic 'idle', format 'json')});
	sql(q{SELECT feathub.create_feature_group('idle', source => 'idle_stream', primary_key => '{k}', event_time => 'at')});
	wait_for('idle');
	# a lock holds the worker up, so that there is something to wait for
	my $locker = $node->background_psql('postgres');
	$locker->query_safe('BEGIN; LOCK TABLE idle IN ACCESS EXCLUSIVE MODE');
	kafka_produce($kafka, 'idle', [ '{"k": "a", "at": "2013-01-01T00:00:00Z", "n": 1}' ]);
	my $begin = Time::HiRes::time();
	my ($status, $out, $err) = $node->psql('postgres', "SET statement_timeout = '1s'; SELECT feathub.wait_for_job('idle')");
	like($err, qr/canceling statement due to statement timeout/, 'wait_for_job is cancelled');
	cmp_ok(Time::HiRes::time() - $begin, '<', 2.3, 'within a second');
	($status, $out, $err) = $node->psql('postgres', "SELECT feathub.wait_for_job('idle', '200 ms')");
	like($err, qr/job "idle" did not catch up in time/, 'and has a timeout of its own');
	# a worker that waits for a lock ends when told
	my $pid = sql(q{SELECT pid FROM feathub.worker WHERE job = 'idle'});
	$begin = Time::HiRes::time();
	sql(q{SELECT feathub.pause_job('idle')});
	poll_query($node, "SELECT count(*) FROM pg_stat_activity WHERE pid = $pid", '0', 'the worker to end', 10);
	cmp_ok(Time::HiRes::time() - $begin, '<', 2, 'a worker that waits for a lock ends within a second');
	sql(q{SELECT feathub.resume_job('idle')});
	$locker->query_safe('COMMIT');
	$locker->quit;
	wait_for('idle');
	is(sql('SELECT n FROM idle'), '1', 'and the record is applied');
}

# A table with all that hangs on it, dropped under its worker's hands

foreach my $round (1 .. 3)
{
	sql(q{SELECT feathub.create_feature_group('short', source => 'clicks_stream', primary_key => '{k}', event_time => 'at', max_dead_letters => -1)});
	my $locker = $node->background_psql('postgres');
	if ($round == 1)
	{
		# the worker waits for the table, with its positions locked
		$locker->query_safe('BEGIN; LOCK TABLE short IN ACCESS EXCLUSIVE MODE');
		$stream->produce(100);
		poll_query($node, q{SELECT count(*) FROM pg_locks l JOIN feathub.worker w USING (pid) WHERE w.job = 'short' AND NOT l.granted},
			'1', 'the worker to wait for the table');
	}
	else
	{
		poll_query($node, q{SELECT workers_running FROM feathub.job_status WHERE job = 'short'}, '1', 'the worker');
	}
	my $begin = Time::HiRes::time();
	$locker->query_safe('SET client_min_messages = error; DROP TABLE short');
	$locker->query_safe('COMMIT') if $round == 1;
	cmp_ok(Time::HiRes::time() - $begin, '<', 0.9, 'DROP TABLE does not wait for the worker, nor meet it in a deadlock');
	$locker->quit;
	is(sql(q{SELECT count(*) FROM feathub.job WHERE name = 'short'}), '0', 'the job is gone with it');
}
unlike(slurp_file($node->logfile), qr/deadlock detected/, 'no deadlock');

# Columns added while it runs

{
	my $pid = sql(q{SELECT pid FROM feathub.worker WHERE job = 'idle'});
	my $send = sub {
		my ($n, $more) = @_;
		kafka_produce($kafka, 'idle', [ qq({"k": "k$n", "at": "2013-01-01T00:00:00Z", "n": $n$more}) ]);
		wait_for('idle');
		return;
	};

	sql('ALTER TABLE idle ADD COLUMN x text; ALTER TABLE idle_online ADD COLUMN x text');
	$send->(2, ', "x": "early"');
	sql('ALTER FOREIGN TABLE idle_stream ADD COLUMN x text');
	# seen at the latest when it looks at its source
	poll_until(sub { $send->(3, ', "x": "three"'); sql(q{SELECT coalesce(x, '') FROM idle WHERE k = 'k3'}) eq 'three' },
		'the new column');
	is(sql(q{SELECT x FROM idle_online WHERE k = 'k3'}), 'three', 'a new column comes to both tables');
	sql('ALTER FOREIGN TABLE idle_stream ADD COLUMN y float8');
	$send->(4, ', "x": "four", "y": 1.5');
	is(sql(q{SELECT n, x FROM idle WHERE k = 'k4'}), '4|four', 'the source may have it first');
	sql('ALTER TABLE idle ADD COLUMN y float8; ALTER TABLE idle_online ADD COLUMN y float8');
	poll_until(sub { $send->(5, ', "x": "five", "y": 2.5'); sql(q{SELECT coalesce(y, 0) FROM idle_online WHERE k = 'k5'}) eq '2.5' },
		'another new column');
	sql('ALTER TABLE idle ALTER COLUMN n TYPE bigint; ALTER TABLE idle_online ALTER COLUMN n TYPE bigint');
	$send->(6, '');
	is(sql(q{SELECT n FROM idle WHERE k = 'k6'}), '6', 'another type');
	is(sql(q{SELECT pid FROM feathub.worker WHERE job = 'idle'}), $pid, 'all without a restart of the worker');
	is(sql(q{SELECT dead_letters FROM feathub.job_status WHERE job = 'idle'}), '0', 'and without dead letters');
}

# The server is restarted

$stream->produce(500);
$node->restart;
$stream->produce(500);
$stream->flush;
foreach my $group (sort keys %groups)
{
	poll_until(sub { sql("SELECT workers_running FROM feathub.job_status WHERE job = '$group'") > 0 },
		"workers of $group after a restart");
	wait_for($group);
	$stream->check($node, $group, 'after a restart of the server', counters => 0, dead => 0);
}

# Databases: a job follows the stream in each

sub create_database
{
	my $db = shift;

	sql("CREATE DATABASE $db");
	sql(qq{
CREATE EXTENSION feathub;
CREATE SERVER kafka FOREIGN DATA WRAPPER feathub_kafka OPTIONS (bootstrap_servers '$kafka->{bootstrap}');
CREATE FOREIGN TABLE clicks_stream (k text OPTIONS (key 'true'), at timestamptz, n int, note text)
  SERVER kafka OPTIONS (topic 'clicks', format 'json', key_format 'raw')}, $db);
	$stream->create_group($node, 'plain', db => $db, workers => 2, max_dead_letters => -1, retention => '1000 days');
	return;
}

foreach my $round (1 .. 4)
{
	create_database('gone');
	Time::HiRes::sleep(rand(0.5)) if $round > 1;
	$stream->produce(300);
	my $took = takes('DROP DATABASE gone');
	cmp_ok($took, '<', 3, "DROP DATABASE while its job runs: $took s");
}
is(processes('gone', 'worker'), '', 'its workers are gone');
is(sql(q{SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'feathub %' AND datname IS NULL}), '1',
	'but for the launcher');

create_database('shop');
sql('CREATE ROLE nobody LOGIN');
{
	my $pids = processes('shop', 'worker');
	poll_until(sub { $pids = processes('shop', 'worker'); my @p = split / /, $pids; @p == 2 }, 'two workers');
	my ($status, $out, $err) = $node->psql('postgres', 'SET ROLE nobody; DROP DATABASE shop');
	like($err, qr/must be owner of database shop/, 'a stranger may not drop a database');
	is(processes('shop', 'worker'), $pids, 'nor stop its workers');

	cmp_ok(takes('ALTER DATABASE shop RENAME TO store'), '<', 3, 'ALTER DATABASE RENAME while its job runs');
	$stream->produce(200);
	$stream->flush;
	wait_for('plain', 'store');
	is(sql("SELECT state FROM feathub.job_status", 'store'), 'running', 'the job goes on under the new name');

	cmp_ok(takes('CREATE DATABASE copy TEMPLATE store'), '<', 10, 'a copy while its job runs');
	is(sql("SELECT state, reason FROM feathub.job_status", 'copy'), 'paused|restored', 'the copy waits');
	$stream->produce(200);
	$stream->flush;
	wait_for('plain', 'store');
	is(processes('copy', 'worker'), '', 'without workers');
	($status, $out, $err) = $node->psql('copy', "SELECT feathub.wait_for_job('plain')");
	like($err, qr/job "plain" is not running: paused: restored/, 'and says so');
	sql(q{SELECT feathub.resume_job('plain')}, 'copy');
	wait_for('plain', 'copy');
	$stream->check($node, 'plain', 'in the copy', db => 'copy');
	cmp_ok(takes('DROP DATABASE copy WITH (FORCE)'), '<', 3, 'DROP DATABASE WITH (FORCE)');

	# refused, so the job must go on
	my $session = $node->background_psql('store');
	($status, $out, $err) = $node->psql('postgres', 'DROP DATABASE store');
	like($err, qr/database "store" is being accessed by other users/, 'a DROP DATABASE that fails');
	$session->quit;
	$stream->produce(200);
	$stream->flush;
	wait_for('plain', 'store');
	is(sql("SELECT state FROM feathub.job_status", 'store'), 'running', 'lets the job go on');
}

# The extension

{
	$stream->produce(200);
	my ($status, $out, $err) = $node->psql('store', 'BEGIN; DROP EXTENSION feathub CASCADE; ROLLBACK');
	is($status, 0, 'DROP EXTENSION rolled back');
	$stream->produce(200);
	$stream->flush;
	wait_for('plain', 'store');
	$stream->check($node, 'plain', 'after a DROP EXTENSION that was rolled back', db => 'store');
	$stream->produce(500);
	cmp_ok(takes('DROP EXTENSION feathub CASCADE', 'store'), '<', 3, 'DROP EXTENSION while its job runs');
	poll_until(sub { processes('store', 'worker') eq '' && processes('store', 'scheduler') eq '' },
		'the processes to end');
	is(sql("SELECT count(*) > 0 FROM plain", 'store'), 't', 'the tables stay');
	sql('CREATE EXTENSION feathub', 'store');
	is(sql('SELECT count(*) FROM feathub.job', 'store'), '0', 'a new one begins with nothing');
	cmp_ok(takes('DROP DATABASE store'), '<', 3, 'DROP DATABASE');
}
{
	my @lost = slurp_file($node->logfile) =~ /database "?\d+"? does not exist|database \d+ does not exist/g;
	cmp_ok(scalar(@lost), '<', 3, 'nothing is started again and again in databases that are gone');
}

# Too few worker slots

{
	# the server's own launcher of logical replication takes one
	my $small = new_node('small', conf => $conf . "max_worker_processes = 4\nmax_parallel_workers = 0\n");
	my $ask = sub { return $small->safe_psql('postgres', shift) };

	$stream->create_stream($small);
	foreach my $group ('one', 'two')
	{
		$ask->("SELECT feathub.create_feature_group('$group', source => 'clicks_stream', primary_key => '{k}', event_time => 'at', max_dead_letters => -1)");
		poll_query($small, "SELECT count(*) FROM feathub.worker WHERE job = '$group'", '1', 'its worker');
		if ($group eq 'one')
		{
			$ask->("SELECT feathub.wait_for_job('one', '90 s')");
		}
	}
	poll_query($small, q{SELECT state FROM feathub.worker WHERE job = 'two'}, 'waiting', 'no slot for the second job');
	like($ask->(q{SELECT last_error FROM feathub.job_status WHERE job = 'two'}),
		qr/max_worker_processes/, 'job_status says why, and what to do');
	is($ask->(q{SELECT state, workers_running FROM feathub.job_status WHERE job = 'two'}), 'running|0', 'it has no worker');
	$ask->(q{SELECT feathub.pause_job('one')});
	poll_query($small, q{SELECT workers_running FROM feathub.job_status WHERE job = 'two'}, '1', 'it starts when there is room');
	$ask->(q{SELECT feathub.wait_for_job('two', '90 s')});
	my @warnings = slurp_file($small->logfile) =~ /waits for a background worker slot/g;
	is(scalar(@warnings), 1, 'the log has it once');
	$small->stop;
}
{
	my $few = new_node('few', conf => $conf . "feathub.max_workers = 1\n");
	my $ask = sub { return $few->safe_psql('postgres', shift) };

	$stream->create_stream($few);
	$ask->("SELECT feathub.create_feature_group('$_', source => 'clicks_stream', primary_key => '{k}', event_time => 'at', max_dead_letters => -1)")
	  foreach ('one', 'two');
	poll_until(sub { $ask->(q{SELECT string_agg(coalesce(last_error, ''), '') FROM feathub.job_status}) =~ /feathub\.max_workers/ },
		'job_status to name feathub.max_workers', 20);
	my $running = $ask->('SELECT job FROM feathub.job_status WHERE workers_running = 1');
	$ask->("SELECT feathub.drop_feature_group('$running')");
	my $other = $running eq 'one' ? 'two' : 'one';
	poll_query($few, "SELECT workers_running FROM feathub.job_status WHERE job = '$other'", '1', 'it starts when there is room');
	$few->stop;
}
$stream->finish;

# Memory, with a large lag

{
	my $count = $ENV{FEATHUB_TEST_RECORDS} || 1_000_000;
	kafka_create_topic($kafka, 'large', 4);
	sql(q{
CREATE FOREIGN TABLE large_stream (user_id int, event_time timestamptz, a float8, b float8, c float8, d float8, e text, f text)
  SERVER kafka OPTIONS (topic 'large', format 'json')});
	sql(qq{
INSERT INTO large_stream SELECT i % 100000, '2013-01-01'::timestamptz + i * interval '1 ms', i, i / 3.0, i / 7.0, i / 11.0,
    md5(i::text), repeat('x', 20) FROM generate_series(1, $count) i});
	sql(q{SELECT feathub.create_feature_group('large', source => 'large_stream', primary_key => '{user_id}', event_time => 'event_time')});
	my ($peak, $pid) = (0, '');
	poll_until(
		sub {
			$pid ||= sql(q{SELECT pid FROM feathub.worker WHERE job = 'large'});
			if ($pid && slurp_file("/proc/$pid/status") =~ /^RssAnon:\s+(\d+) kB/m)
			{
				$peak = $1 if $1 > $peak;
			}
			my $applied = sql(q{SELECT records FROM feathub.job_status WHERE job = 'large'});
			return $applied == $count;
		},
		"$count records", 170);
	$peak = int($peak / 1024);
	cmp_ok($peak, '>', 0, 'the worker was seen');
	cmp_ok($peak, '<', 200, "a worker's memory, $count records behind: $peak MB");
	is(sql('SELECT count(*) FROM large'), $count, 'all are there');
	is(sql('SELECT count(*), max(event_time) FROM large_online'), sql("SELECT least(100000, $count), '2013-01-01'::timestamptz + $count * interval '1 ms'"), 'and the latest of each');
	is(sql("SELECT restarts FROM feathub.job_status WHERE job = 'large'"), '0', 'by one worker');
}

unlike(slurp_file($node->logfile), qr/terminated by signal|TRAP: |PANIC: /, 'no crash');
$node->stop;
done_testing();
