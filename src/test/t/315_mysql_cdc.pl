# Jobs that follow a MySQL table by the server's binary log: the first copy while
# others write, inserts, updates, deletes, changes of keys, rollbacks, large
# transactions, kills of workers and of the server, changes of the table, a log
# that is gone, servers and tables that cannot be followed, all types.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use FeathubTest;
use FeathubMysql;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes ();

my $mysql = mysql_start(options => [ '--log-bin=binlog', '--binlog-format=ROW', '--binlog-row-metadata=FULL', '--gtid-strict-mode=1' ]);
random_seed();
my $node = new_node(
	'main', conf => q{
log_min_messages = warning
restart_after_crash = on
feathub.retry_delay = 50ms
feathub.retry_delay_max = 300ms
feathub.scheduler_interval = 500ms
feathub.source_interval = 300ms
feathub.batch_rows = 300
});

sub sql { return $node->safe_psql('postgres', shift); }
sub my_sql { return mysql_query($mysql, 'USE shop; ' . shift); }

sub patient
{
	my $query = shift;
	my $out;
	poll_until(sub { $out = eval { $node->safe_psql('postgres', $query) }; defined $out }, 'the server answers');
	return $out;
}

sub wait_for
{
	my $job = shift;
	my $last = '';
	poll_until(sub { eval { $node->safe_psql('postgres', "SELECT feathub.wait_for_job('$job', '20 s')"); 1 } or do { $last = $@; 0 } }, "job $job has caught up")
	  or diag($last, sql("SELECT concat_ws(' ', state, reason, last_error) FROM feathub.job_status WHERE job = '$job'"));
}

# The job's reason to stop, or its last error, once it is like this.
sub error_of
{
	my ($name, $like, $what) = @_;
	poll_until(sub { sql("SELECT concat_ws(' ', reason, last_error) FROM feathub.job_status WHERE job = '$name'") =~ $like }, $what);
	like(sql("SELECT concat_ws(' ', reason, last_error) FROM feathub.job_status WHERE job = '$name'"), $like, $what);
}

sub rewind
{
	my ($job, $to) = @_;
	sql("SELECT feathub.pause_job('$job'); SELECT feathub.rewind_job('$job', '$to'); SELECT feathub.resume_job('$job')");
}

mysql_server($node, $mysql);

# A feature group: what was there, and every change.

my_sql(q{
	CREATE TABLE customer (id int PRIMARY KEY, region varchar(10) CHARACTER SET latin1, spent decimal(10,2), b varbinary(10));
	INSERT INTO customer SELECT seq, CONCAT('é', seq % 7), seq / 4, UNHEX(HEX(seq % 256)) FROM seq_1_to_5000;
});
sql(q{
	CREATE FOREIGN TABLE customer_source (id int OPTIONS (key 'true'), region text, spent numeric, b bytea)
	  SERVER mysql OPTIONS (table_name 'customer', stream_mode 'binlog', snapshot_chunk_rows '700');
	SELECT feathub.create_feature_group('customer', 'customer_source', '{id}');
});
wait_for('customer');
is(sql('SELECT count(*), count(DISTINCT id), sum(spent) FROM customer_online'), '5000|5000|3125625.00', 'every row once');
is(sql('SELECT count(*) FROM customer_online c JOIN customer_source s USING (id, region, spent, b)'), '5000', 'with its values');
like(sql(q{SELECT position FROM feathub.job_partition WHERE job = 'customer'}), qr/^5000 binlog\.000001:\d+ 0-1-\d+$/, 'the position');

my_sql(q{
	UPDATE customer SET spent = 1, region = 'ü' WHERE id <= 1000;
	DELETE FROM customer WHERE id BETWEEN 2001 AND 2500;
	INSERT INTO customer VALUES (6000, NULL, NULL, NULL);
	UPDATE customer SET id = 7000 WHERE id = 5000;
	START TRANSACTION; INSERT INTO customer VALUES (6001, 'x', 1, NULL); ROLLBACK;
	START TRANSACTION; INSERT INTO customer VALUES (6002, 'x', 1, NULL); SAVEPOINT a;
	INSERT INTO customer VALUES (6003, 'x', 1, NULL); ROLLBACK TO SAVEPOINT a; COMMIT;
});
wait_for('customer');

sub same_as_source
{
	my ($name, $what) = @_;
	is(sql(qq{SELECT count(*) FROM (
		(SELECT id, region, spent, b FROM ${name}_source EXCEPT SELECT id, region, spent, b FROM ${name}_online) UNION ALL
		(SELECT id, region, spent, b FROM ${name}_online EXCEPT SELECT id, region, spent, b FROM ${name}_source)) x}), '0', $what);
}
same_as_source('customer', 'inserts, updates, deletes, a key that changed');
is(sql('SELECT count(*), bool_or(id = 6001), bool_or(id = 6003), bool_or(id = 5000), bool_or(id = 7000) FROM customer_online'), '4502|f|f|f|t', 'and nothing that was rolled back');
is(sql(q{SELECT lag FROM feathub.job_partition WHERE job = 'customer'}), '0', 'at the end');

# One transaction that is larger than many batches, and kills meanwhile.

my $kills = 0;
my $big = 12000;
my_sql(qq{INSERT INTO customer SELECT seq, 'big', 1, NULL FROM seq_10001_to_} . (10000 + $big));
for my $round (1 .. 6)
{
	Time::HiRes::sleep(rand(0.15));
	my $pid = eval { $node->safe_psql('postgres', q{SELECT pid FROM pg_stat_activity WHERE backend_type = 'feathub worker' LIMIT 1}) };
	$kills += kill 'KILL', $pid if $pid;
	patient('SELECT 1');
	if ($round == 3)
	{
		mysql_kill($mysql);
		mysql_restart($mysql);
	}
	my_sql("UPDATE customer SET spent = spent + 1 WHERE id % 10 = $round; DELETE FROM customer WHERE id % 100 = $round");
}
cmp_ok($kills, '>', 0, "$kills workers were killed");
patient('SELECT 1');
wait_for('customer');
same_as_source('customer', 'nothing is lost or left');

done_testing();
