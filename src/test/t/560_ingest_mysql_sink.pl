# Jobs from Kafka into MySQL: exactly once through kills of workers and of the
# MySQL server, and where the commit on our side was lost after theirs; upserts
# and deletions; records that MySQL refuses; deadlocks.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use FeathubTest;
use FeathubMysql;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes ();

my $mysql = mysql_start();
my $kafka = kafka_start();
random_seed();
my $node = new_node(
	'main', jobs => 1, conf => q{
log_statement = none
feathub.batch_rows = 400
});

sub sql { return $node->safe_psql('postgres', shift); }
sub patient { return patient_query($node, shift); }
sub wait_for { return wait_for_job($node, shift); }

mysql_server($node, $mysql);
mysql_query($mysql, q{
	USE shop;
	CREATE TABLE log (id int NOT NULL, n int, note varchar(10));
	CREATE TABLE latest (id int PRIMARY KEY, n int, note varchar(10));
});
sql(qq{
CREATE SERVER kafka FOREIGN DATA WRAPPER feathub_kafka OPTIONS (bootstrap_servers '$kafka->{bootstrap}');
CREATE FOREIGN TABLE source (id int OPTIONS (key 'true'), n int, note text)
  SERVER kafka OPTIONS (topic 'events', key_format 'json');
CREATE FOREIGN TABLE raw (k text OPTIONS (metadata 'key'), value text) SERVER kafka OPTIONS (topic 'events', format 'raw');
CREATE FOREIGN TABLE log (id int, n int, note text) SERVER mysql OPTIONS (table_name 'log');
CREATE FOREIGN TABLE latest (id int OPTIONS (key 'true'), n int, note text)
  SERVER mysql OPTIONS (table_name 'latest', write_mode 'upsert');
});
kafka_create_topic($kafka, 'events', 3);
my $records = 12000;
sql("INSERT INTO source SELECT i % 500, i, 'x' FROM generate_series(1, $records) i");

# Kill workers, and the MySQL server, while the job runs.
sql(q{SELECT feathub.create_job('log', source => 'source', sink => 'log', workers => 2)});
my $kills = 0;
for my $round (1 .. 12)
{
	Time::HiRes::sleep(0.05 + rand(0.25));
	if ($round % 4 == 0)
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
wait_for('log');
is(mysql_query($mysql, 'SELECT count(*), count(DISTINCT n), sum(n) FROM shop.log'),
	"$records\t$records\t" . $records * ($records + 1) / 2, 'every record is there once');

# A commit that was lost here after theirs: the position is where the last batch began.
sub lose_commits
{
	my ($job, $condition) = @_;
	sql("SELECT feathub.pause_job('$job')");
	poll_query($node, q{SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'feathub worker' AND query LIKE '%' || '}
		  . $job . q{' || '%'});
	foreach my $line (split /\n/, mysql_query($mysql, "SELECT part, from_position FROM shop.feathub_position WHERE $condition"))
	{
		my ($part, $from) = split /\t/, $line;
		sql("UPDATE feathub.job_position SET position = '$from', mark = NULL WHERE partition = '$part'"
			  . " AND job_id = (SELECT job_id FROM feathub.job WHERE name = '$job')");
	}
	sql("SELECT feathub.resume_job('$job')");
	wait_for($job);
}
my $job_condition = sql(q{SELECT 'job LIKE ''%/' || job_id || '''' FROM feathub.job WHERE name = 'log'});
lose_commits('log', $job_condition);
is(mysql_query($mysql, 'SELECT count(*), count(DISTINCT n) FROM shop.log'), "$records\t$records", 'a lost commit repeats nothing');

# A record that MySQL refuses is a dead letter, also if the commit that kept it was lost.
sql(q{INSERT INTO source VALUES (1, 100001, 'fits'), (1, 100002, 'too long for it'), (1, 100003, 'fits')});
wait_for('log');
is(sql(q{SELECT count(*) FROM feathub.dead_letter WHERE job = 'log'}), 1, 'one dead letter');
like(sql(q{SELECT message FROM feathub.dead_letter WHERE job = 'log'}), qr/note/, 'which names the column');
is(mysql_query($mysql, 'SELECT n FROM shop.log WHERE n > 100000 ORDER BY n'), "100001\n100003", 'the others were written');
sql(q{SELECT feathub.delete_dead_letters('log')});
lose_commits('log', $job_condition);
is(sql(q{SELECT count(*) FROM feathub.dead_letter WHERE job = 'log'}), 1, 'the dead letter is kept again');
is(mysql_query($mysql, 'SELECT count(*) FROM shop.log'), $records + 2, 'and nothing is written twice');

# A rewind repeats on purpose.
sql(q{SELECT feathub.pause_job('log')});
sql(q{SELECT feathub.rewind_job('log', 'earliest')});
sql(q{SELECT feathub.resume_job('log')});
wait_for('log');
is(mysql_query($mysql, 'SELECT count(*) FROM shop.log'), 2 * ($records + 2), 'a rewind writes again');

# The latest row of each key, deletions included.
sql(q{SELECT feathub.create_job('latest', source => 'source', sink => 'latest')});
wait_for('latest');
is(mysql_query($mysql, 'SELECT count(*), min(n), max(n) FROM shop.latest'), "500\t" . ($records - 498) . "\t100003",
	'the last of each key');
sql(q{INSERT INTO raw VALUES ('{"id":1}', NULL), ('{"id":2}', NULL), ('{"id":2}', '{"id":2,"n":-2,"note":"back"}'), ('{"id":777}', NULL)});
wait_for('latest');
is(mysql_query($mysql, 'SELECT count(*) FROM shop.latest'), 499, 'a tombstone deletes');
is(mysql_query($mysql, 'SELECT n, note FROM shop.latest WHERE id = 2'), "-2\tback", 'what comes after it stays');

# Whom the server picks to resolve a deadlock begins the batch again.  The other one
# has changed more rows, holds one of the batch's last, and then wants the others.
mysql_query($mysql, q{CREATE TABLE shop.weight (id int PRIMARY KEY, n int); INSERT INTO shop.weight SELECT seq, 0 FROM shop.seq_1_to_5000});
sql(q{CREATE FOREIGN TABLE weight (id int OPTIONS (key 'true'), n int) SERVER mysql OPTIONS (table_name 'weight');
SELECT feathub.pause_job('latest')});
sql(q{INSERT INTO source SELECT i % 500, 200000 + i, 'again' FROM generate_series(0, 999) i});
my $rival = $node->background_psql('postgres');
$rival->query_safe(q{BEGIN; UPDATE weight SET n = n + 1::int8; UPDATE latest SET note = 'rival' WHERE id > 495});
sql(q{SELECT feathub.resume_job('latest')});
poll_until(sub { mysql_query($mysql, q{SELECT COUNT(*) FROM information_schema.innodb_trx WHERE trx_state = 'LOCK WAIT'}) == 1 }, 'the job waits for a row');
$rival->query_safe(q{UPDATE latest SET note = 'rival' WHERE id < 490});
cmp_ok(mysql_query($mysql, q{SHOW GLOBAL STATUS LIKE 'Innodb_deadlocks'}) =~ s/\D//gr, '>', 0, 'there is a deadlock');
$rival->query_safe('ROLLBACK');
$rival->quit;
wait_for('latest');
is(mysql_query($mysql, q{SELECT COUNT(*), MIN(n), SUM(note = 'again') FROM shop.latest}), "500\t200500\t500", 'and nothing is lost by it');
like(slurp_file($node->logfile), qr/Deadlock found/, 'which the log tells');

# Without the right to make the table of positions the job says what is missing.
mysql_query($mysql, q{CREATE DATABASE other; CREATE TABLE other.log (id int); CREATE USER poor@'%' IDENTIFIED BY 'poor-secret'; GRANT SELECT, INSERT ON other.log TO poor@'%'});
sql(qq{CREATE SERVER poor FOREIGN DATA WRAPPER feathub_mysql OPTIONS (host '127.0.0.1', port '$mysql->{port}', database 'other');
CREATE USER MAPPING FOR CURRENT_USER SERVER poor OPTIONS (user 'poor', password 'poor-secret');
CREATE FOREIGN TABLE poor_log (id int) SERVER poor OPTIONS (table_name 'log');
SELECT feathub.create_job('poor', source => 'source', sink => 'poor_log', query => 'SELECT id FROM batch')});
poll_query($node, q{SELECT last_error LIKE '%denied%' FROM feathub.job_status WHERE job = 'poor'});
unlike(sql(q{SELECT last_error FROM feathub.job_status WHERE job = 'poor'}), qr/poor-secret/, 'no secret in the error');

done_testing();
