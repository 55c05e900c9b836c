# Jobs from Kafka into Kafka: exactly once through kills of workers and of the
# broker, through lost commits on our side, with records that the broker refuses,
# and what readers may see of it all.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use FeathubTest;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes ();

my $kafka = kafka_start();
random_seed();
my $node = new_node(
	'main', conf => q{
log_min_messages = warning
log_statement = none
restart_after_crash = on
feathub.retry_delay = 50ms
feathub.retry_delay_max = 300ms
feathub.scheduler_interval = 500ms
feathub.source_interval = 300ms
feathub.batch_rows = 400
});

sub sql { return $node->safe_psql('postgres', shift); }

sub wait_for
{
	my $job = shift;
	poll_until(sub { eval { $node->safe_psql('postgres', "SELECT feathub.wait_for_job('$job', '20 s')"); 1 } }, "job $job has caught up");
}

# Kafka answers a commit before readers see it: a moment later they do.
sub is_there
{
	my ($query, $expected, $what) = @_;
	ok(poll_query($node, $query, $expected, $what, 30), $what);
}

sql(qq{
CREATE SERVER kafka FOREIGN DATA WRAPPER feathub_kafka OPTIONS (bootstrap_servers '$kafka->{bootstrap}');
CREATE FOREIGN TABLE source (id int OPTIONS (key 'true'), n int, note text)
  SERVER kafka OPTIONS (topic 'events', key_format 'json');
CREATE FOREIGN TABLE raw (k text OPTIONS (metadata 'key'), value text) SERVER kafka OPTIONS (topic 'events', format 'raw');
CREATE FOREIGN TABLE log (id int OPTIONS (key 'true'), n int, note text,
    part int OPTIONS (metadata 'partition'), at bigint OPTIONS (metadata 'offset'))
  SERVER kafka OPTIONS (topic 'log', key_format 'json', transactional 'true', isolation_level 'read_uncommitted');
CREATE FOREIGN TABLE seen (id int OPTIONS (key 'true'), n int, note text,
    part int OPTIONS (metadata 'partition'), at bigint OPTIONS (metadata 'offset'))
  SERVER kafka OPTIONS (topic 'log', key_format 'json');
CREATE FOREIGN TABLE latest (id int OPTIONS (key 'true'), n int, note text)
  SERVER kafka OPTIONS (topic 'latest', key_format 'json', write_mode 'upsert', transactional 'true');
CREATE FOREIGN TABLE latest_seen (k text OPTIONS (metadata 'key'), value text, at bigint OPTIONS (metadata 'offset'))
  SERVER kafka OPTIONS (topic 'latest', format 'raw');
CREATE FOREIGN TABLE positions (k text OPTIONS (metadata 'key'), value text, at bigint OPTIONS (metadata 'offset'))
  SERVER kafka OPTIONS (topic '__feathub_position', format 'raw');
});
kafka_create_topic($kafka, 'events', 3);
kafka_create_topic($kafka, 'log', 2, 'max.message.bytes' => 20000);
kafka_create_topic($kafka, 'latest', 1);
my $records = 12000;
sql("INSERT INTO source SELECT i % 500, i, 'x' FROM generate_series(1, $records) i");

# Kill workers, and the broker, while the job runs.
sql(q{SELECT feathub.create_job('log', source => 'source', sink => 'log', workers => 2, query => 'SELECT id, n, note FROM batch')});
my $kills = 0;
for my $round (1 .. 12)
{
	Time::HiRes::sleep(0.1 + rand(0.4));
	if ($round == 6)
	{
		kafka_kill($kafka);
		kafka_restart($kafka);
		next;
	}
	my $pid = eval { $node->safe_psql('postgres', q{SELECT pid FROM pg_stat_activity WHERE backend_type = 'feathub worker' ORDER BY random() LIMIT 1}) };
	next unless $pid;
	$kills += kill $round % 3 ? 'KILL' : 'TERM', $pid;
}
cmp_ok($kills, '>', 0, "$kills workers were killed");
poll_until(sub { eval { $node->safe_psql('postgres', 'SELECT 1') } }, 'the server answers');
wait_for('log');
my $sum = $records * ($records + 1) / 2;
is_there('SELECT count(*), count(DISTINCT n), sum(n) FROM seen', "$records|$records|$sum", 'every record is there once');
is_there(q{SELECT count(*) FROM (SELECT n - lag(n) OVER (PARTITION BY id ORDER BY part, at) AS step, n,
	lag(part) OVER (PARTITION BY id ORDER BY part, at) <> part AS moved FROM seen) s WHERE step <= 0 OR moved}, '0', 'in the order of each key');
is_there('SELECT count(*) > 0 FROM positions', 't', 'the cluster has the positions');
like(kafka_tool($kafka, 'org.apache.kafka.tools.TopicCommand', qw(--describe --topic __feathub_position)), qr{cleanup\.policy=compact,}, 'in a compacted topic');

# A commit that was lost here after theirs: the position is where the last batch began.
sub pause
{
	my $job = shift;
	sql("SELECT feathub.pause_job('$job')");
	poll_query($node, q{SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'feathub worker' AND query LIKE '%' || '}
		  . $job . q{' || '%'});
	return;
}

sub lose_commits
{
	my ($job, @settings) = @_;
	pause($job);
	my $moved = sql(qq{WITH last AS (
		SELECT DISTINCT ON (k) regexp_replace(k, '.*/', '') AS part, value::jsonb AS v FROM positions
		 WHERE value IS NOT NULL AND k LIKE '%/' || (SELECT job_id FROM feathub.job WHERE name = '$job') || '/%' ORDER BY k, at DESC),
	  moved AS (UPDATE feathub.job_position p SET position = v->>'from', mark = NULL FROM last
		WHERE p.partition = part AND job_id = (SELECT job_id FROM feathub.job WHERE name = '$job') RETURNING 1)
	SELECT count(*) FROM moved});
	sql("SELECT feathub.resume_job('$job')");
	wait_for($job);
	return $moved;
}
is(lose_commits('log'), '3', 'commits of three partitions are lost');
is_there('SELECT count(*), count(DISTINCT n) FROM seen', "$records|$records", 'which repeats nothing');

# The same with other borders: the batches that come again end before the lost one did.
pause('log');
sql(q{INSERT INTO source SELECT i % 500, i, 'y' FROM generate_series(20001, 20300) i});
sql(q{SELECT feathub.resume_job('log')});
wait_for('log');
my $total = $records + 300;
is_there('SELECT count(*) FROM seen', $total, 'more records');
sql(q{ALTER SYSTEM SET feathub.batch_rows = 20; SELECT pg_reload_conf()});
lose_commits('log');
my $pid = sql(q{SELECT pid FROM pg_stat_activity WHERE backend_type = 'feathub worker' LIMIT 1});
sql("SELECT pg_terminate_backend($pid)");
lose_commits('log');
sql(q{ALTER SYSTEM RESET feathub.batch_rows; SELECT pg_reload_conf()});
is_there('SELECT count(*), count(DISTINCT n) FROM seen', "$total|$total", 'smaller batches repeat nothing either');
done_testing();
