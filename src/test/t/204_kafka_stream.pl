# Jobs that follow topics of a real Apache Kafka: transactions, new partitions,
# topics that are deleted or made again, retention that overtakes a job, a
# broker that goes away, and the group offsets that Kafka's own tools show.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use FeathubTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $kafka = kafka_start();
my $node = new_node('stream',
	conf => "feathub.source_interval = '500ms'\nfeathub.retry_delay = '200ms'\nfeathub.retry_delay_max = '1s'\n");

sub sql
{
	my $query = shift;
	return $node->safe_psql('postgres', $query);
}

sql(qq{
	CREATE SERVER kafka FOREIGN DATA WRAPPER feathub_kafka
	  OPTIONS (bootstrap_servers '$kafka->{bootstrap}', connect_timeout '30');
});

# A job that copies a topic into a table of its name.
sub follow
{
	my ($name, $topic, %opt) = @_;
	my $options = $opt{options} || '';
	my $arguments = $opt{arguments} || '';

	sql(qq{
		CREATE FOREIGN TABLE ${name}_source (value text,
		  topic text OPTIONS (metadata 'topic'),
		  part int OPTIONS (metadata 'partition'),
		  off int8 OPTIONS (metadata 'offset'))
		SERVER kafka OPTIONS (topic '$topic', format 'raw' $options);
		CREATE TABLE $name (value text, topic text, part int, off int8);
		SELECT feathub.create_job('$name', source => '${name}_source', sink => '$name' $arguments);
	});
	return;
}

sub wait_for
{
	my $name = shift;
	sql("SELECT feathub.wait_for_job('$name', timeout => '60 s')");
	return;
}

sub values_of
{
	my $name = shift;
	return sql("SELECT string_agg(value, ' ' ORDER BY topic, part, off) FROM $name");
}

# wait until the job reports an error like that
sub error_of
{
	my ($name, $like, $what) = @_;
	poll_until(
		sub {
			my $error = sql("SELECT concat_ws(' ', reason, last_error) FROM feathub.job_status WHERE job = '$name'");
			return $error =~ $like;
		},
		$what);
	like(sql("SELECT concat_ws(' ', reason, last_error) FROM feathub.job_status WHERE job = '$name'"),
		$like, $what);
	return;
}

# Transactions: what was aborted is not seen, and the job arrives at the end
# although the last offsets are markers.

kafka_create_topic($kafka, 'tx', 1);
kafka_produce($kafka, 'tx', ['plain']);
kafka_transaction($kafka, 'tx', [ 'a1', 'a2' ], 'abort');
kafka_transaction($kafka, 'tx', [ 'c1', 'c2' ], 'commit');
kafka_transaction($kafka, 'tx', ['a3'], 'abort');
follow('tx', 'tx');
wait_for('tx');
is(values_of('tx'), 'plain c1 c2', 'aborted records are not applied');
my ($marks) = kafka_watermarks($kafka, 'tx');
is(sql("SELECT position FROM feathub.job_partition WHERE job = 'tx'"),
	$marks->[1], 'the position is behind the last marker');
poll_until(sub { (kafka_committed($kafka, 'feathub_postgres_tx', 'tx'))[0] == $marks->[1] },
	'the group offset follows');
follow('dirty', 'tx', options => ", isolation_level 'read_uncommitted'");
wait_for('dirty');
is(values_of('dirty'), 'plain a1 a2 c1 c2 a3', 'read_uncommitted sees them');
kafka_produce($kafka, 'tx', ['later']);
wait_for('tx');
is(values_of('tx'), 'plain c1 c2 later', 'and goes on');

# Several topics by a pattern; a topic and partitions that come later.

kafka_create_topic($kafka, 'many_a', 1);
follow('many', '^many_');
kafka_produce($kafka, 'many_a', [ 'a1', 'a2' ]);
wait_for('many');
kafka_add_partitions($kafka, 'many_a', 3);
kafka_create_topic($kafka, 'many_b', 1);
kafka_produce($kafka, 'many_b', ['b1']);
kafka_produce($kafka, 'many_a', [ { value => 'a3', partition => 2 } ]);
poll_query($node, "SELECT string_agg(value, ' ' ORDER BY value) FROM many", 'a1 a2 a3 b1',
	'records of new partitions and topics');
is(sql("SELECT count(*) FROM many"), '4', 'each once');

# Retention overtakes a job that was paused.

foreach my $gap ('stop', 'skip')
{
	my $name = "gap_$gap";

	kafka_create_topic($kafka, $name, 1);
	kafka_produce($kafka, $name, [ map { "old$_" } 1 .. 5 ]);
	follow($name, $name, arguments => ", on_gap => '$gap'");
	wait_for($name);
	sql("SELECT feathub.pause_job('$name')");
	kafka_produce($kafka, $name, [ map { "new$_" } 1 .. 5 ]);
	kafka_delete_records($kafka, $name, 0, 8);
	sql("SELECT feathub.resume_job('$name')");
}
error_of('gap_stop', qr/topic "gap_stop" partition 0 of foreign server "kafka" no longer has offset 5/,
	'records lost to retention are an error');
is(sql("SELECT count(*) FROM gap_stop"), '5', 'nothing behind the gap is applied');
sql("SELECT feathub.rewind_job('gap_stop', 'earliest'); SELECT feathub.resume_job('gap_stop')");
wait_for('gap_stop');
is(values_of('gap_stop'), 'old1 old2 old3 old4 old5 new4 new5', 'until it is rewound to what is left');
wait_for('gap_skip');
is(values_of('gap_skip'), 'old1 old2 old3 old4 old5 new4 new5', 'with on_gap skip it goes on');
is(sql("SELECT skipped FROM feathub.job_status WHERE job = 'gap_skip'"), '3', 'and counts them');

# A topic that is deleted while it is followed, and made again.

kafka_create_topic($kafka, 'again', 1);
kafka_produce($kafka, 'again', [ 'x1', 'x2', 'x3' ]);
follow('again', 'again');
wait_for('again');
kafka_delete_topic($kafka, 'again');
error_of('again', qr/topic "again" does not exist on foreign server "kafka"/, 'a deleted topic is an error');
sql("SELECT feathub.pause_job('again')");
kafka_create_topic($kafka, 'again', 1);
kafka_produce($kafka, 'again', ['y1']);
sql("SELECT feathub.resume_job('again')");
error_of('again', qr/topic "again" partition 0 of foreign server "kafka" is not the one that the job has followed/,
	'a topic made again that is shorter');
sql("SELECT feathub.pause_job('again')");
kafka_produce($kafka, 'again', [ map { "y$_" } 2 .. 9 ]);
sql("SELECT feathub.resume_job('again')");
error_of('again', qr/is not the one that the job has followed/, 'and one that is longer');
is(sql("SELECT count(*) FROM again"), '3', 'none of its records are applied');
sql("SELECT feathub.rewind_job('again', 'earliest'); SELECT feathub.resume_job('again')");
wait_for('again');
is(values_of('again'), 'x1 y1 x2 y2 x3 y3 y4 y5 y6 y7 y8 y9', 'a rewind follows the new one')
  or diag(values_of('again'));

# Starts and rewinds by time, and at the end.

kafka_create_topic($kafka, 'times', 1);
kafka_produce($kafka, 'times', [ map { { value => "t$_", timestamp => 1356998400000 + $_ * 1000 } } 1 .. 5 ]);
follow('times', 'times', arguments => ", start => '2013-01-01 00:00:03+00'");
wait_for('times');
is(values_of('times'), 't3 t4 t5', 'a start by time');
follow('latest', 'times', arguments => ", start => 'latest'");
wait_for('latest');
kafka_produce($kafka, 'times', ['t6']);
wait_for('latest');
is(values_of('latest'), 't6', 'a start at the end');
sql("SELECT feathub.rewind_job('latest', '2013-01-01 00:00:05+00')");
wait_for('latest');
is(sql("SELECT string_agg(value, ' ' ORDER BY value) FROM latest"), 't5 t6 t6', 'rewound to a time');
is(sql("SELECT count(*) FROM feathub.job_status WHERE state = 'failed'"), '0', 'no job has failed for good');

# The broker goes away while jobs run: they wait for it.

kafka_kill($kafka);
sleep 2;
kafka_restart($kafka);
kafka_produce($kafka, 'tx', ['after']);
wait_for('tx');
is(values_of('tx'), 'plain c1 c2 later after', 'a job survives the restart of its broker');

$node->stop;
done_testing();
