# What a broker can do to a job, on a real Apache Kafka: transactions, topics
# that go and come back, retention, restarts, hangs, refused passwords; what the
# job then says, and that nothing is lost or applied twice.  (Group offsets,
# patterns and starts by time are in 204_kafka_stream.)
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use FeathubTest;
use IngestReference;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes ();

my $kafka = kafka_start(sasl => 1);
random_seed();
my $node = new_node(
	'main', conf => q{
log_min_messages = warning
log_statement = none
feathub.retry_delay = 100ms
feathub.retry_delay_max = 500ms
feathub.scheduler_interval = 1s
feathub.source_interval = 300ms
});

sub sql { return $node->safe_psql('postgres', shift); }

sub status
{
	my ($job, $column) = @_;
	return sql("SELECT $column FROM feathub.job_status WHERE job = '$job'");
}

sub wait_for { my $job = shift; return sql("SELECT feathub.wait_for_job('$job', '60 s')"); }

sql("CREATE SERVER kafka FOREIGN DATA WRAPPER feathub_kafka OPTIONS (bootstrap_servers '$kafka->{bootstrap}', connect_timeout '30')");

# A group that follows a topic: key k, event time at, value n.
sub follow
{
	my ($name, %opt) = @_;
	my $options = delete $opt{options} || '';
	my $server = delete $opt{server} || 'kafka';
	my $topic = delete $opt{topic} || $name;
	my $arguments = join('', map { ", $_ => '$opt{$_}'" } sort keys %opt);

	sql(qq{
CREATE FOREIGN TABLE ${name}_source (k text, at timestamptz, n int)
  SERVER $server OPTIONS (topic '$topic', format 'json' $options);
SELECT feathub.create_feature_group('$name', source => '${name}_source', primary_key => '{k}', event_time => 'at'$arguments)});
	return;
}

# Records number $from to $to; key and event time tell them apart.
sub records
{
	my ($from, $to, %more) = @_;
	return [
		map {
			{ value => sprintf('{"k": "k%d", "at": "2013-01-01T00:%02d:%02dZ", "n": %d}', $_ % 5, $_ / 60, $_ % 60, $_), %more }
		} $from .. $to
	];
}

# The numbers that a group's history has, as ranges.
sub numbers
{
	my $name = shift;
	return sql(qq{
SELECT string_agg(CASE WHEN lo = hi THEN lo::text ELSE lo || '-' || hi END, ' ' ORDER BY lo) FROM (
  SELECT min(n) AS lo, max(n) AS hi FROM (SELECT n, n - row_number() OVER (ORDER BY n) AS g FROM $name) s GROUP BY g) r});
}

sub accounted
{
	my ($job, $what) = @_;
	is(status($job, 'records = applied + duplicates + dead_letters + skipped + expired'),
		't', "$what: every record is accounted for");
	return;
}

# wait until a job has failed for good, and say why
sub reason_of_failure
{
	my $job = shift;
	poll_query($node, "SELECT state FROM feathub.job_status WHERE job = '$job'", 'failed', "$job to fail");
	poll_query($node, "SELECT count(*) FROM feathub.worker WHERE job = '$job'", '0', "$job without workers");
	return status($job, 'reason');
}

# Transactions

kafka_create_topic($kafka, 'tx', 1);
kafka_produce($kafka, 'tx', records(1, 3));
kafka_transaction($kafka, 'tx', records(4, 6), 'abort');
kafka_transaction($kafka, 'tx', records(7, 9), 'commit');
follow('tx');
follow('tx_all', topic => 'tx', options => ", isolation_level 'read_uncommitted'");
wait_for($_) foreach ('tx', 'tx_all');
is(numbers('tx'), '1-3 7-9', 'what was aborted is not applied');
is(numbers('tx_all'), '1-9', 'unless uncommitted records are read');
is(status('tx', 'records'), '6', 'neither aborted records nor markers count');
accounted('tx', 'transactions');
is(status('tx', 'lag'), '0', 'markers at the end are no lag');
kafka_transaction($kafka, 'tx', records(10, 12), 'open');
kafka_produce($kafka, 'tx', records(13, 15));
wait_for('tx_all');
wait_for('tx');
is(numbers('tx'), '1-3 7-9', 'behind an open transaction nothing is read');
is(numbers('tx_all'), '1-15', 'unless uncommitted records are read');
# restarted in front of it, and behind a marker
sql("SELECT feathub.restart_job('tx')");
wait_for('tx');
is(numbers('tx'), '1-3 7-9', 'nor after a restart');
is(status('tx', 'records'), '6', 'and nothing is applied twice');

# What Kafka's own tools show

kafka_create_topic($kafka, 'shown', 2);
kafka_produce($kafka, 'shown', [ @{ records(1, 20, partition => 0) }, @{ records(21, 30, partition => 1) } ]);
follow('shown', workers => 2);
wait_for('shown');
is(numbers('shown'), '1-30', 'two workers, two partitions');
poll_until(sub { join(' ', kafka_committed($kafka, 'feathub_postgres_shown', 'shown')) eq '20 10' },
	'the group offsets follow the commits');
my $described = kafka_tool($kafka, 'consumer-groups', '--describe', '--group', 'feathub_postgres_shown');
like($described, qr/feathub_postgres_shown\s+shown\s+0\s+20\s+20\s+0\s/, 'kafka-consumer-groups shows no lag');
like($described, qr/feathub_postgres_shown\s+shown\s+1\s+10\s+10\s+0\s/, 'in either partition');

# Partitions added while it runs: other workers get their share

kafka_add_partitions($kafka, 'shown', 5);
kafka_produce($kafka, 'shown', [ map { @{ records(31 + 10 * $_, 40 + 10 * $_, partition => $_) } } 0 .. 4 ]);
poll_until(sub { numbers('shown') eq '1-80' }, 'the records of new partitions') or diag(numbers('shown'));
is(sql("SELECT count(*) FROM feathub.job_partition WHERE job = 'shown'"), '5', 'five partitions have positions');
is(status('shown', 'records'), '80', 'each record once');
accounted('shown', 'new partitions');
poll_query($node, "SELECT count(DISTINCT worker) FROM feathub.job_partition WHERE job = 'shown'", '2',
	'both workers have a share');

# Retention overtakes a job that is paused; and one that has not begun

foreach my $gap ('stop', 'skip')
{
	my $name = "gap_$gap";
	kafka_create_topic($kafka, $name, 2);
	kafka_produce($kafka, $name, records(1, 5, partition => 1));
	follow($name, on_gap => $gap);
	wait_for($name);
	sql("SELECT feathub.pause_job('$name')");
	kafka_produce($kafka, $name, records(6, 20, partition => 1));
	kafka_delete_records($kafka, $name, 1, 12);
	sql("SELECT feathub.resume_job('$name')");
}
like(reason_of_failure('gap_stop'),
	qr/topic "gap_stop" partition 1 of foreign server "kafka" no longer has offset 5, its first is 12/,
	'a gap stops the job, with topic, partition, the offset wanted and the first there is');
is(numbers('gap_stop'), '1-5', 'nothing behind the gap is applied');
{
	my ($status, $out, $err) = $node->psql('postgres', "SELECT feathub.wait_for_job('gap_stop', '5 s')");
	like($err, qr/job "gap_stop" is not running: failed.*no longer has offset 5/s, 'wait_for_job says so too');
}
is(sql("SELECT feathub.rewind_job('gap_stop', 'earliest', 'gap_stop-1')"), '1', 'rewound');
is(status('gap_stop', 'state'), 'failed', 'a rewind does not resume');
sql("SELECT feathub.resume_job('gap_stop')");
wait_for('gap_stop');
is(numbers('gap_stop'), '1-5 13-20', 'it goes on with what is left');
wait_for('gap_skip');
is(numbers('gap_skip'), '1-5 13-20', 'with on_gap skip it goes on by itself');
is(status('gap_skip', 'skipped'), '7', 'and counts what it has not seen');
like(slurp_file($node->logfile),
	qr/WARNING: .*topic "gap_skip" partition 1 of foreign server "kafka": skipping 7 offsets/,
	'and says so in the log');

# Retention that empties a partition completely

sql("SELECT feathub.pause_job('gap_skip')");
kafka_produce($kafka, 'gap_skip', records(21, 25, partition => 1));
kafka_delete_records($kafka, 'gap_skip', 1, 25);
sql("SELECT feathub.resume_job('gap_skip')");
wait_for('gap_skip');
is(status('gap_skip', 'skipped'), '12', 'a gap without a record behind it is stepped over');
kafka_produce($kafka, 'gap_skip', records(26, 26, partition => 1));
wait_for('gap_skip');
is(numbers('gap_skip'), '1-5 13-20 26', 'and it goes on behind it');

# A topic that is deleted while it is followed, and made again

kafka_create_topic($kafka, 'again', 1);
kafka_produce($kafka, 'again', records(1, 10));
follow('again');
wait_for('again');
kafka_delete_topic($kafka, 'again');
poll_query($node,
	q{SELECT last_error ~ 'topic "again" does not exist on foreign server "kafka"' FROM feathub.job_status WHERE job = 'again'},
	't', 'a deleted topic shows');
is(status('again', 'state'), 'running', 'it may come back: the job is tried again');
kafka_create_topic($kafka, 'again', 1);
kafka_produce($kafka, 'again', records(101, 103));
like(reason_of_failure('again'),
	qr/topic "again" partition 0 of foreign server "kafka" is not the one that the job has followed/,
	'a shorter topic of that name is another one');
is(numbers('again'), '1-10', 'nothing of it is applied');
kafka_produce($kafka, 'again', records(104, 130));
sql("SELECT feathub.resume_job('again')");
like(reason_of_failure('again'), qr/is not the one that the job has followed/, 'so is a longer one');
is(numbers('again'), '1-10', 'nothing of it is applied');
sql("SELECT feathub.rewind_job('again', 'earliest'), feathub.resume_job('again')");
wait_for('again');
is(numbers('again'), '1-10 101-130', 'a rewind follows the new one');
accounted('again', 'made again');

# The broker is restarted, killed and hung in mid-stream: all of it, once

my $stream = IngestReference->new($kafka, 'flow', partitions => 4);
$stream->{groups} = {};
$node->safe_psql('postgres', q{
CREATE FOREIGN TABLE flow_stream (k text OPTIONS (key 'true'), at timestamptz, n int, note text)
  SERVER kafka OPTIONS (topic 'flow', format 'json', key_format 'raw');
CREATE FOREIGN TABLE flow_raw (value bytea, key bytea OPTIONS (metadata 'key'),
    partition int OPTIONS (metadata 'partition'), "offset" bigint OPTIONS (metadata 'offset'))
  SERVER kafka OPTIONS (topic 'flow', format 'raw')});
$stream->create_group($node, 'flow_group', deletes => 'true', workers => 2);
$stream->produce(3000);
kafka_restart($kafka);
$stream->produce(3000);
kafka_kill($kafka);
$stream->produce(1000);
kafka_restart($kafka);
kafka_pause($kafka);
$stream->produce(1000);

# a hung broker holds up no one
my $begin = Time::HiRes::time();
sql("SELECT feathub.pause_job('flow_group')");
poll_query($node, q{SELECT count(*) FROM feathub.worker WHERE job = 'flow_group' AND pid IS NOT NULL},
	'0', 'workers to end', 10);
cmp_ok(Time::HiRes::time() - $begin, '<', 2.5, 'a hung broker does not hold up a pause');
sql("SELECT feathub.resume_job('flow_group')");
{
	my ($status, $out, $err);
	$begin = Time::HiRes::time();
	($status, $out, $err) = $node->psql('postgres',
		"SET statement_timeout = '500ms'; SELECT feathub.wait_for_job('flow_group')");
	like($err, qr/canceling statement due to statement timeout/, 'wait_for_job on a hung broker is cancelled');
	cmp_ok(Time::HiRes::time() - $begin, '<', 2, 'within a second');
	$begin = Time::HiRes::time();
	($status, $out, $err) = $node->psql('postgres',
		"SET statement_timeout = '500ms'; SELECT feathub.rewind_job('flow_group')");
	like($err, qr/canceling statement due to statement timeout/, 'so is rewind_job');
	cmp_ok(Time::HiRes::time() - $begin, '<', 2, 'within a second');
}
kafka_continue($kafka);
$stream->finish;
$stream->check_topic($node);
wait_for('flow_group');
$stream->check($node, 'flow_group', 'through broker failures');

# Authentication

my $secret = 'not-the-secret-' . int(rand(1e6));
kafka_create_topic($kafka, 'safe', 1);
kafka_produce($kafka, 'safe', records(1, 5));
sql(qq{
CREATE SERVER safe FOREIGN DATA WRAPPER feathub_kafka
  OPTIONS (bootstrap_servers '$kafka->{sasl}', "security.protocol" 'sasl_plaintext', "sasl.mechanism" 'SCRAM-SHA-256', connect_timeout '5');
CREATE USER MAPPING FOR CURRENT_USER SERVER safe OPTIONS ("sasl.username" 'alice', "sasl.password" '$secret')});
follow('safe', server => 'safe');
poll_query($node, q{SELECT last_error ~* 'authenticat' FROM feathub.job_status WHERE job = 'safe'},
	't', 'a refused password shows');
note(status('safe', 'last_error'));
is(status('safe', 'state'), 'running', 'the job is tried again');
poll_query($node, q{SELECT restarts > 0 FROM feathub.job_status WHERE job = 'safe'}, 't', 'it is tried again');
sql(q{ALTER USER MAPPING FOR CURRENT_USER SERVER safe OPTIONS (SET "sasl.password" 'alice-secret')});
wait_for('safe');
is(numbers('safe'), '1-5', 'with the right one it runs');
sql(qq{ALTER USER MAPPING FOR CURRENT_USER SERVER safe OPTIONS (SET "sasl.password" '$secret')});
my $errors = sql(q{SELECT now()});
poll_query($node, qq{SELECT coalesce(last_error_at > '$errors' AND last_error ~* 'authenticat', false) FROM feathub.job_status WHERE job = 'safe'},
	't', 'a job that runs takes over a changed user mapping');
kafka_produce($kafka, 'safe', records(6, 9));
sql(q{ALTER USER MAPPING FOR CURRENT_USER SERVER safe OPTIONS (SET "sasl.password" 'alice-secret')});
wait_for('safe');
is(numbers('safe'), '1-9', 'and back again');
is(sql(qq{SELECT count(*) FROM feathub.job_status s WHERE s::text LIKE '%$secret%'}), '0', 'no secret in job_status');
my $log = slurp_file($node->logfile);
unlike($log, qr/\Q$secret\E/, 'nor in the log');
unlike($log, qr/terminated by signal|TRAP: |PANIC: /, 'no crash');
is(sql("SELECT string_agg(job, ' ') FROM feathub.job_status WHERE state <> 'running'") , '', 'all jobs run');

$node->stop;
done_testing();
