# The same rows on a promoted standby, from a restored dump, and where two
# workers follow the same partitions: positions live and move with the rows
# (promise 1), and nothing consumes where it was not started (promise 8).
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use FeathubTest;
use IngestReference;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes ();

my $kafka = kafka_start();
random_seed();
my $conf = q{
log_min_messages = warning
log_statement = none
feathub.retry_delay = 50ms
feathub.retry_delay_max = 500ms
feathub.scheduler_interval = 500ms
feathub.source_interval = 300ms
};
my $primary = new_node('primary', conf => $conf, init => [ allows_streaming => 1 ]);
my $stream = IngestReference->new($kafka, 'clicks', partitions => 4, keys => 80);
my %groups = (
	kept => { deletes => 'true', workers => 2, max_dead_letters => -1 },
	plain => { workers => 2, max_dead_letters => -1, retention => '1000 days', synchronous_commit => 'false' }
);
my $our_processes =
  q{SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'feathub%'};

sub wait_for
{
	my ($node, $db) = @_;

	foreach my $group (sort keys %groups)
	{
		my ($status, $out, $err) = $node->psql($db || 'postgres', "SELECT feathub.wait_for_job('$group', '90 s')");
		is($status, 0, "$group catches up")
		  or diag($err, $node->safe_psql($db || 'postgres', 'SELECT job, state, reason, last_error FROM feathub.job_status'));
	}
	return;
}

sub check
{
	my ($node, $what, $db) = @_;
	$stream->check($node, $_, $what, db => $db) foreach sort keys %groups;
	return;
}

# The jobs of database postgres have their workers.
sub check_runs
{
	my $node = shift;
	return poll_query($node, q{SELECT min(workers_running) FROM feathub.job_status}, '2', 'workers');
}

# A standby, promoted while records flow

$stream->create_stream($primary);
$stream->create_group($primary, $_, %{ $groups{$_} }) foreach sort keys %groups;
$stream->produce(2000);
$primary->backup('backup');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'backup', has_streaming => 1);
$standby->start;
$stream->produce(2000);
$stream->flush;
wait_for($primary);
$primary->wait_for_catchup($standby, 'replay', $primary->lsn('write'));
check($_, 'on the ' . $_->name) foreach ($primary, $standby);
is($standby->safe_psql('postgres', $our_processes), '0', 'a standby runs nothing of ours');
is($standby->safe_psql('postgres', 'SELECT count(*) FROM feathub.job_status WHERE workers_running > 0'),
	'0', 'and shows no worker');
{
	my ($status, $out, $err) = $standby->psql('postgres', "SELECT feathub.pause_job('kept')");
	like($err, qr/read-only transaction/, 'a job is not paused there');
}

# the standby may not have all of it, and then neither rows nor positions
$stream->produce(4000);
Time::HiRes::sleep(rand(0.7));
$primary->stop('immediate');
$stream->produce(1000);
$standby->promote;
check_runs($standby);
$stream->produce(1000);
$stream->flush;
$stream->check_topic($standby);
wait_for($standby);
check($standby, 'after a promotion');

# A dump, restored beside the original and elsewhere

my $dump = $standby->backup_dir . '/dump.sql';
mkdir $standby->backup_dir;
$stream->produce(1000);
command_ok([ 'pg_dump', '-d', $standby->connstr('postgres'), '-f', $dump ], 'pg_dump while jobs run');
$stream->produce(1000);
$stream->flush;
my $other = new_node('other', conf => $conf, extension => 0);
foreach my $copy ([ $standby, 'restored' ], [ $other, 'elsewhere' ])
{
	my ($node, $db) = @$copy;

	$node->safe_psql('postgres', "CREATE DATABASE $db");
	command_ok([ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr($db), '-f', $dump ],
		"restored: $db");
}
wait_for($standby);
check($standby, 'the original goes on');
foreach my $copy ([ $standby, 'restored' ], [ $other, 'elsewhere' ])
{
	my ($node, $db) = @$copy;
	my $positions = 'SELECT job_id, partition, epoch, position, records FROM feathub.job_position ORDER BY 1, 2';
	my $before = $node->safe_psql($db, $positions);

	# at its start a server looks at every database
	$node->restart;
	check_runs($node) if $db eq 'restored';
	is( $node->safe_psql($db, 'SELECT job, state, reason FROM feathub.job_status ORDER BY 1'),
		"kept|paused|restored\nplain|paused|restored", "$db: jobs wait to be resumed");
	is($node->safe_psql('postgres', "SELECT count(*) FROM pg_stat_activity WHERE datname = '$db' AND backend_type = 'feathub worker'"),
		'0', "$db: no worker");
	is($node->safe_psql($db, $positions), $before, "$db: no position has moved");
	is($node->safe_psql($db, q{SELECT feathub.resume_job('kept'), feathub.resume_job('plain')}), '|', "$db: resumed");
	wait_for($node, $db);
	check($node, "in database $db", $db);
}
$other->stop;

# Two workers on the same partitions, in the same epoch

my $library = "$PostgreSQL::Test::Utils::tmp_check/second_worker.so";
my $sources = "$FindBin::RealBin/../..";
chomp(my $include = `pg_config --includedir-server`);
system('gcc', '-O1', '-shared', '-fPIC', "-I$include", "-I$sources", '-o', $library,
	"$FindBin::RealBin/../bin/test_second_worker.c") == 0 or die 'could not compile test_second_worker.c';
$standby->safe_psql('postgres',
	"CREATE FUNCTION second_worker(bigint, int, bigint) RETURNS bool LANGUAGE c STRICT AS '$library'");

my $fenced = sub {
	my $n = () = slurp_file($standby->logfile) =~ /positions of the job have been changed by another session/g;
	return $n;
};
my $fences = $fenced->();
my $started = 0;
foreach my $round (1 .. 12)
{
	$stream->produce(300);
	$started += () = $standby->safe_psql('postgres', q{
SELECT second_worker(job_id, n, size) FROM feathub.job, generate_series(0, 1) n, pg_shmem_allocations
 WHERE pg_shmem_allocations.name = 'feathub registry'}) =~ /t/g;
	$stream->produce(300);
	Time::HiRes::sleep(rand(0.2));
}
cmp_ok($started, '>', 0, "second workers were started: $started");
poll_until(sub { $stream->produce(20); $fenced->() > $fences }, 'one to be fenced off');
note($fenced->() - $fences, ' times fenced off');
$stream->flush;
wait_for($standby);
check($standby, 'with two workers on each partition');

# A worker of a former epoch, which nobody has told: the scheduler is held up

my $scheduler = $standby->safe_psql('postgres',
	q{SELECT pid FROM pg_stat_activity WHERE backend_type = 'feathub scheduler' AND datname = 'postgres'});
kill 'STOP', $scheduler;
# the session changes epochs itself, as a server without our hooks would
$standby->safe_psql('postgres', q{
BEGIN;
UPDATE feathub.job SET epoch = epoch + 1;
UPDATE feathub.job_position p SET epoch = j.epoch FROM feathub.job j WHERE j.job_id = p.job_id;
COMMIT});
$fences = $fenced->();
my $records = $standby->safe_psql('postgres', 'SELECT sum(records) FROM feathub.job_position');
$stream->produce(2000);
$stream->flush;
poll_query($standby, q{SELECT count(*) FROM feathub.worker WHERE pid IS NOT NULL}, '0', 'the workers of the former epoch to end');
cmp_ok($fenced->(), '>', $fences, 'they were fenced off');
is($standby->safe_psql('postgres', 'SELECT sum(records) FROM feathub.job_position'), $records, 'and have applied nothing');
kill 'CONT', $scheduler;
wait_for($standby);
check($standby, 'after a change of epoch');

# A position changed behind a worker's back: it must not write on top of it

$fences = $fenced->();
$standby->safe_psql('postgres', q{
UPDATE feathub.job_position SET position = '0', replay_until = position
  WHERE job_id = (SELECT job_id FROM feathub.job WHERE name = 'kept')});
$stream->produce(1000);
$stream->finish;
wait_for($standby);
$stream->check($standby, 'kept', 'after a position was moved', counters => 0, dead => 0);
$stream->check($standby, 'plain', 'meanwhile');
cmp_ok($fenced->(), '>', $fences, 'its worker was fenced off');

unlike(slurp_file($_->logfile), qr/terminated by signal|TRAP: |PANIC: /, 'no crash') foreach ($primary, $standby, $other);
$standby->stop;
done_testing();
