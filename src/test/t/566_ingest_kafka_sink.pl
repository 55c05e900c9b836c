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

my $kafka = kafka_start(sasl => 1, properties => {
	'authorizer.class.name' => 'org.apache.kafka.metadata.authorizer.StandardAuthorizer',
	'super.users' => 'User:ANONYMOUS', 'allow.everyone.if.no.acl.found' => 'true' });
random_seed();
my $node = new_node(
	'main', jobs => 1, conf => q{
log_statement = none
feathub.batch_rows = 400
});

sub sql { return $node->safe_psql('postgres', shift); }
sub wait_for { return wait_for_job($node, shift); }

# Kafka answers a commit before readers see it: a moment later they do.
sub is_there
{
	my ($query, $expected, $what) = @_;
	ok(poll_query($node, $query, $expected, $what), $what);
}

sql(qq{
CREATE SERVER kafka FOREIGN DATA WRAPPER feathub_kafka OPTIONS (bootstrap_servers '$kafka->{bootstrap}');
CREATE FOREIGN TABLE source (id int OPTIONS (key 'true'), n int, note text)
  SERVER kafka OPTIONS (topic 'events', key_format 'json');
CREATE FOREIGN TABLE raw (k text OPTIONS (metadata 'key'), value text) SERVER kafka OPTIONS (topic 'events', format 'raw');
CREATE FOREIGN TABLE log (id int OPTIONS (key 'true'), n int, note text,
    part int OPTIONS (metadata 'partition'), at bigint OPTIONS (metadata 'offset'))
  SERVER kafka OPTIONS (topic 'log', key_format 'json', transactional 'true', isolation_level 'read_uncommitted',
    produce_timeout '15', "compression.type" 'none');
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
sql(q{SELECT feathub.create_job('log', source => 'source', sink => 'log', workers => 2, query => $$SELECT id, CASE WHEN note = 'bad' THEN n / 0 ELSE n END AS n, note FROM batch$$)});
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
	if ($round == 9)
	{
		# batches whose messages, or commits, get no answer in time
		kafka_pause($kafka);
		Time::HiRes::sleep(1.5);
		kafka_continue($kafka);
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
like(kafka_tool($kafka, 'topics', qw(--describe --topic __feathub_position)), qr{cleanup\.policy=compact,}, 'in a compacted topic');

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

# Records that the query or the broker refuses are dead letters, the others are
# written once; also if the commit that kept them was lost.
sql(q{INSERT INTO source SELECT 7, 30000 + i, CASE WHEN i = 11 THEN 'bad' WHEN i = 33
	THEN (SELECT string_agg(md5(j::text), '') FROM generate_series(1, 800) j) ELSE 'fits' END FROM generate_series(1, 50) i});
wait_for('log');
is(sql(q{SELECT string_agg(left(message, 16), ' ' ORDER BY message) FROM feathub.dead_letter WHERE job = 'log'}),
	'could not write  division by zero', 'two dead letters');
like(sql(q{SELECT message FROM feathub.dead_letter WHERE job = 'log' AND message LIKE 'could%'}), qr/topic "log" partition \d of foreign server "kafka"/, 'one of the broker');
is_there('SELECT count(*), count(DISTINCT n) FROM seen WHERE n > 30000', '48|48', 'the others are there');
is(sql('SELECT count(*) > 48 FROM log WHERE n > 30000'), 't', 'what was tried is there too, aborted');
sql(q{SELECT feathub.delete_dead_letters('log')});
lose_commits('log');
is(sql(q{SELECT count(*) FROM feathub.dead_letter WHERE job = 'log'}), 2, 'the dead letters are kept again');
is_there('SELECT count(*), count(DISTINCT n) FROM seen WHERE n > 30000', '48|48', 'and nothing is written twice');
kafka_tool($kafka, 'configs', qw(--alter --entity-type topics --entity-name log --add-config max.message.bytes=1000000));
is(sql(q{SELECT feathub.retry_dead_letters('log')}), 1, 'one that fits now is tried again');
is_there('SELECT count(*), count(DISTINCT n) FROM seen WHERE n > 30000', '49|49', 'and is written');
sql(q{SELECT feathub.delete_dead_letters('log')});

# A batch of bad records, nearly: what is noted of them fits into a message.
pause('log');
sql(q{ALTER FOREIGN TABLE log OPTIONS (ADD "message.max.bytes" '1000');
	INSERT INTO source SELECT 7, 35000 + i, CASE WHEN i % 100 = 50 THEN 'fits' ELSE 'bad' END FROM generate_series(1, 400) i;
	SELECT feathub.resume_job('log')});
wait_for('log');
is_there('SELECT count(*), count(DISTINCT n) FROM seen WHERE n > 35000', '4|4', 'few records are good');
is(sql(q{SELECT count(*) FROM feathub.dead_letter WHERE job = 'log'}), '396', 'the others are dead letters');
sql(q{SELECT feathub.delete_dead_letters('log')});
lose_commits('log');
is(sql(q{SELECT count(*) FROM feathub.dead_letter WHERE job = 'log'}), '396', 'and are again after a lost commit');
is_there('SELECT count(*), count(DISTINCT n) FROM seen WHERE n > 35000', '4|4', 'which writes no record twice');
sql(q{SELECT feathub.delete_dead_letters('log')});
sql(q{ALTER FOREIGN TABLE log OPTIONS (DROP "message.max.bytes")});

# Another producer with the worker's transactional id: the worker is fenced, and goes on as a new one.
my $id = sql(q{SELECT 'feathub-job-' || replace(split_part(k, '#', 1), '/', '-') || '-0' FROM positions WHERE k LIKE '%#0' LIMIT 1});
kafka_transaction($kafka, 'log', [ '{"n":-1}' ], 'open', 'transactional.id' => $id);
sql(q{INSERT INTO source SELECT i, i, 'fenced' FROM generate_series(40001, 40100) i});
wait_for('log');
is_there(q{SELECT count(*), count(DISTINCT n) FROM seen WHERE n > 40000 OR n < 0}, '100|100', 'a worker that was fenced begins again');

# A transaction that somebody left open holds readers of the positions up: a worker waits.
kafka_transaction($kafka, '__feathub_position', [ { key => 'other', value => '{}' } ], 'open', 'transactional.id' => 'feathub-test-other');
sql(q{ALTER SERVER kafka OPTIONS (ADD produce_timeout '1')});
sql(q{ALTER FOREIGN TABLE log OPTIONS (DROP produce_timeout)});
sql(q{SELECT feathub.restart_job('log')});
poll_query($node, q{SELECT last_error LIKE 'could not read topic "__feathub_position"%has not ended' FROM feathub.job_status WHERE job = 'log'});
sql(q{ALTER SERVER kafka OPTIONS (DROP produce_timeout)});
kafka_transaction($kafka, '__feathub_position', [ { key => 'other', value => '{}' } ], 'commit', 'transactional.id' => 'feathub-test-other');
sql(q{INSERT INTO source SELECT i, i, 'after' FROM generate_series(50001, 50100) i});
wait_for('log');
is_there(q{SELECT count(*), count(DISTINCT n) FROM seen WHERE n > 50000}, '100|100', 'and goes on when it has ended');

# An option that changes takes effect at once, in both directions.
sql(q{ALTER FOREIGN TABLE log OPTIONS (SET transactional 'false')});
sql(q{INSERT INTO source SELECT i, i, 'least' FROM generate_series(60001, 60100) i});
wait_for('log');
my $noted = sql('SELECT count(*) FROM positions');
is_there(q{SELECT count(*) FROM seen WHERE n > 60000}, '100', 'without transactions');
sql(q{ALTER FOREIGN TABLE log OPTIONS (SET transactional 'true')});
sql(q{INSERT INTO source SELECT i, i, 'once' FROM generate_series(70001, 70100) i});
wait_for('log');
is_there(q{SELECT count(*) FROM seen WHERE n > 70000}, '100', 'and with them again');
cmp_ok(sql('SELECT count(*) FROM positions'), '>', $noted, 'which are noted again');
$total = sql('SELECT count(*) FROM seen');

# A rewind repeats on purpose.
pause('log');
sql(q{SELECT feathub.rewind_job('log', 'earliest')});
sql(q{SELECT feathub.resume_job('log')});
wait_for('log');
is_there('SELECT count(*) FROM seen', 2 * $total - ($total > 0 ? 0 : 1), 'a rewind writes again');
sql(q{SELECT feathub.drop_job('log')});

# The latest row of each key, deletions included.
sql(q{SELECT feathub.create_job('latest', source => 'source', sink => 'latest')});
wait_for('latest');
my $keys = sql('SELECT count(DISTINCT id) FROM source');
sub latest { return "SELECT $_[0] FROM (SELECT DISTINCT ON (k) k, value FROM latest_seen ORDER BY k, at DESC) t"; }
is_there(latest('count(*), count(value)'), "$keys|$keys", 'a row of each key');
sql(q{INSERT INTO raw VALUES ('{"id":1}', NULL), ('{"id":2}', NULL), ('{"id":2}', '{"id":2,"n":-2,"note":"back"}')});
wait_for('latest');
is_there(latest('count(value)'), $keys - 1, 'a tombstone deletes');
is_there(latest('value') . q{ WHERE k = '{"id":2}'}, '{"id":2,"n":-2,"note":"back"}', 'what comes after it stays');
my $messages = sql('SELECT count(*) FROM latest_seen');
lose_commits('latest');
is(sql('SELECT count(*) FROM latest_seen'), $messages, 'a lost commit repeats neither rows nor tombstones');
sql(q{SELECT feathub.drop_job('latest')});

# What cannot work says so.
kafka_create_topic($kafka, 'loose', 1);
sql(q{ALTER FOREIGN TABLE latest OPTIONS (ADD positions_topic 'loose'); SELECT feathub.create_job('loose', source => 'source', sink => 'latest')});
poll_query($node, q{SELECT state || ': ' || reason FROM feathub.job_status WHERE job = 'loose'},
	'failed: topic "loose" of foreign server "kafka" cannot hold positions of jobs');
sql(q{SELECT feathub.drop_job('loose')});
kafka_tool($kafka, 'acls', qw(--add --allow-principal User:bob --operation All --transactional-id feathub --resource-pattern-type prefixed));
sql(qq{CREATE SERVER poor FOREIGN DATA WRAPPER feathub_kafka
  OPTIONS (bootstrap_servers '$kafka->{sasl}', "security.protocol" 'sasl_plaintext', "sasl.mechanism" 'PLAIN', transactional 'true');
CREATE USER MAPPING FOR CURRENT_USER SERVER poor OPTIONS ("sasl.username" 'alice', "sasl.password" 'alice-secret');
CREATE FOREIGN TABLE poor_log (id int) SERVER poor OPTIONS (topic 'log');
SELECT feathub.create_job('poor', source => 'source', sink => 'poor_log', query => 'SELECT id FROM batch')});
poll_query($node, q{SELECT last_error LIKE '%Transactional Id authorization failed%' FROM feathub.job_status WHERE job = 'poor'});
unlike(sql(q{SELECT last_error FROM feathub.job_status WHERE job = 'poor'}), qr/alice-secret/, 'no secret in the error');

done_testing();
