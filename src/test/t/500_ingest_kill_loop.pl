# Promises 1 to 5 under fire: while unkind records flow into two groups, workers,
# schedulers, the launcher, the server and the broker die at random moments.
# Afterwards every table, dead letter and counter is what a reference says that
# was computed apart, and after a rewind to the beginning still.
#
# FEATHUB_SEED repeats a run's choices, FEATHUB_TEST_ROUNDS sets its length.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use FeathubTest;
use IngestReference;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes ();

my $rounds = $ENV{FEATHUB_TEST_ROUNDS} || 40;
my $kafka = kafka_start();
my $seed = random_seed();
my $node = new_node(
	'main', conf => q{
log_min_messages = warning
log_statement = none
restart_after_crash = on
feathub.retry_delay = 20ms
feathub.retry_delay_max = 400ms
feathub.scheduler_interval = 1s
feathub.source_interval = 300ms
});
my $stream = IngestReference->new($kafka, 'clicks', partitions => 5, keys => 150);
my %groups = (
	kept => { deletes => 'true', workers => 2, max_dead_letters => -1 },
	plain => {
		workers => 2,
		max_dead_letters => -1,
		synchronous_commit => 'false',
		retention => '1000 days',
		partition_interval => '7 days'
	},
	changed => { query => 1, max_dead_letters => -1 }
);

$stream->create_stream($node);
$stream->create_group($node, $_, %{ $groups{$_} }) foreach sort keys %groups;

# The answer of a query, or '' where the server cannot give one now.
sub ask
{
	my $query = shift;
	# psql may go away before it has read the query: IPC::Run dies of that
	my ($status, $out) = eval { $node->psql('postgres', $query) };
	return defined $status && $status == 0 ? $out : '';
}

# One of our processes of a kind, or nothing.
sub some_process
{
	my $kind = shift;
	my @pids = split /\n/,
	  ask("SELECT pid FROM pg_stat_activity WHERE backend_type = 'feathub $kind'");
	return @pids ? $pids[ rand @pids ] : undef;
}

sub signal_process
{
	my ($signal, $kind) = @_;
	my $pid = some_process($kind);
	kill $signal, $pid if $pid;
	return $pid;
}

sub records_applied
{
	return ask(q{SELECT coalesce(sum(records), 0) FROM feathub.job_position}) || 0;
}

my $group_names = join(', ', map { "'$_'" } sort keys %groups);
my @blows = (
	[ 'terminate a worker', sub { signal_process('TERM', 'worker') } ],
	[ 'terminate a worker', sub { signal_process('TERM', 'worker') } ],
	[ 'terminate both jobs\' workers',
		sub { ask(q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'feathub worker'}) } ],
	[ 'kill a worker', sub { signal_process('KILL', 'worker') } ],
	[ 'kill a worker', sub { signal_process('KILL', 'worker') } ],
	[ 'terminate the scheduler', sub { signal_process('TERM', 'scheduler') } ],
	[ 'kill the scheduler', sub { signal_process('KILL', 'scheduler') } ],
	[ 'terminate the launcher', sub { signal_process('TERM', 'launcher') } ],
	[ 'stop the server at once', sub { $node->stop('immediate'); $node->start } ],
	[ 'restart the server', sub { $node->restart } ],
	[ 'kill the broker', sub { kafka_kill($kafka); kafka_restart($kafka) } ],
	[ 'restart the jobs', sub { ask("SELECT feathub.restart_job(name) FROM feathub.job") } ],
	[ 'pause and resume the jobs',
		sub {
			ask("SELECT feathub.pause_job(name) FROM feathub.job");
			ask("SELECT feathub.resume_job(name) FROM feathub.job WHERE state = 'paused'");
		} ],
	[ 'change the number of workers',
		sub { my $n = 1 + int(rand(3)); ask("SELECT feathub.alter_feature_group(g, workers => $n) FROM unnest(ARRAY[$group_names]) g") } ],
	[ 'change the size of batches',
		sub { my $n = (1, 20, 300, 5000)[ rand 4 ]; ask("ALTER SYSTEM SET feathub.batch_rows = $n"); ask('SELECT pg_reload_conf()') } ]
);

# Each kind once before any comes twice.
my @order = sort { $a->[0] <=> $b->[0] } map { [ rand(), $_ ] } @blows;
my $end = Time::HiRes::time() + 170;
my $done = 0;
foreach my $round (1 .. $rounds)
{
	my $blow = $round <= @order ? $order[ $round - 1 ][1] : $blows[ rand @blows ];

	last if Time::HiRes::time() > $end;
	$stream->produce(200 + int(rand(1500)));
	# in the middle of a batch, between two, while workers start
	Time::HiRes::sleep(rand(0.8));
	$stream->produce(int(rand(800)));
	note("round $round: $blow->[0]");
	$blow->[1]->();
	$done++;
	# every second time the next blow hits what has not stood up again
	next if rand() < 0.5;
	my $before = records_applied();
	$stream->produce(100);
	poll_until(sub { records_applied() > $before }, "records applied after: $blow->[0]", 60) or last;
}
ok($done, "$done blows, FEATHUB_SEED=$seed");

poll_until(sub { ask('SELECT 1') eq '1' }, 'the server');
ask("SELECT feathub.resume_job(name) FROM feathub.job WHERE state <> 'running'");
ask('ALTER SYSTEM RESET feathub.batch_rows');
ask('SELECT pg_reload_conf()');
$stream->produce(200);
$stream->finish;
$stream->check_topic($node);
foreach my $group (sort keys %groups)
{
	my ($status, $out, $err) =
	  $node->psql('postgres', "SELECT feathub.wait_for_job('$group', '90 s')");
	is($status, 0, "$group catches up") or diag($err, ask('SELECT * FROM feathub.job_status'));
}
$stream->check($node, $_, 'after the loop') foreach sort keys %groups;

# Once more from the beginning, with a few kicks: the same rows.
$node->safe_psql('postgres', "SELECT feathub.rewind_job('$_', 'earliest')") foreach sort keys %groups;
foreach my $i (1 .. 4)
{
	signal_process($i == 2 ? 'KILL' : 'TERM', 'worker');
	Time::HiRes::sleep(rand(0.3));
}
poll_until(sub { ask('SELECT 1') eq '1' }, 'the server');
foreach my $group (sort keys %groups)
{
	my ($status, $out, $err) =
	  $node->psql('postgres', "SELECT feathub.wait_for_job('$group', '90 s')");
	is($status, 0, "$group catches up after the rewind") or diag($err);
	$stream->check($node, $group, 'after a rewind', counters => 0, dead => 0);
}

# No process has died of itself.
my $log = slurp_file($node->logfile);
unlike($log, qr/terminated by signal (?!9)|TRAP: |PANIC: /, 'no crash of our own');
$node->stop;
done_testing();
