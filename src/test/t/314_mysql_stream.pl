# Jobs that follow a MySQL table by an increasing column: ties across the borders
# of pages, transactions that commit late, kills of workers and of the server,
# rewinds, dead letters, tables that cannot be followed.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use FeathubTest;
use FeathubMysql;
use IPC::Run ();
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes ();

my $mysql = mysql_start();
random_seed();
my $node = new_node(
	'main', jobs => 1, conf => q{
feathub.batch_rows = 300
});

sub sql { return $node->safe_psql('postgres', shift); }
sub patient { return patient_query($node, shift); }
sub wait_for { return wait_for_job($node, shift); }

sub error_of
{
	my ($name, $like, $what) = @_;
	poll_until(sub { sql("SELECT concat_ws(' ', reason, last_error) FROM feathub.job_status WHERE job = '$name'") =~ $like }, $what);
	like(sql("SELECT concat_ws(' ', reason, last_error) FROM feathub.job_status WHERE job = '$name'"), $like, $what);
}

mysql_server($node, $mysql);
mysql_query($mysql, q{
	USE shop;
	CREATE TABLE customer (id int PRIMARY KEY, region varchar(10) CHARACTER SET latin1, spent decimal(10,2), b varbinary(10),
	  updated_at timestamp(6) NOT NULL, KEY (updated_at));
	INSERT INTO customer SELECT seq, CONCAT('é', seq % 7), seq / 4, UNHEX(HEX(seq % 256)), TIMESTAMP'2024-01-01 00:00:00' + INTERVAL (seq DIV 700) SECOND
	  FROM seq_1_to_5000;
});

# A feature group: many rows of the same time, whose pages end between them.

sql(q{
	CREATE FOREIGN TABLE customer_source (id int OPTIONS (key 'true'), region text, spent numeric, b bytea, updated_at timestamptz)
	  SERVER mysql OPTIONS (table_name 'customer', stream_column 'updated_at', stream_lag '0');
	SELECT feathub.create_feature_group('customer', 'customer_source', '{id}', 'updated_at');
});
wait_for('customer');
is(sql('SELECT count(*), count(DISTINCT id), sum(spent) FROM customer'), '5000|5000|3125625.00', 'every row once');
is(sql('SELECT count(*) FROM customer c JOIN customer_source s USING (id, updated_at, region, spent, b)'), '5000', 'with its values');
is(sql(q{SELECT position FROM feathub.job_partition WHERE job = 'customer'}), q{5000:'2024-01-01 00:00:07.000000',5000}, 'the position');
is(sql(q{SELECT partition, lag FROM feathub.job_partition WHERE job = 'customer'}), 'customer-0|0', 'of the one partition, at its end');

# An update that raises the column is a new version; an older row is not seen.

mysql_query($mysql, q{USE shop; UPDATE customer SET spent = 1, updated_at = '2024-01-02' WHERE id <= 1000;
	UPDATE customer SET spent = 2 WHERE id = 2000; DELETE FROM customer WHERE id = 3000});
wait_for('customer');
is(sql('SELECT count(*) FROM customer'), '6000', 'versions');
is(sql('SELECT count(*), sum(spent) FROM customer_online WHERE id <= 1000'), '1000|1000.00', 'the latest is online');
is(sql('SELECT spent FROM customer_online WHERE id = 2000'), '500.00', 'what did not raise the column is not seen');

# Kills of workers and of the server while rows are written.

my $rounds = 14;
my $kills = 0;
my $next = 10000;
for my $round (1 .. $rounds)
{
	my $from = $next + 1;
	$next += 400;
	mysql_query($mysql, qq{USE shop; INSERT INTO shop.customer SELECT seq, 'k', seq, NULL, TIMESTAMP'2024-02-01 00:00:00' + INTERVAL (seq DIV 300) SECOND
	  FROM seq_${from}_to_$next});
	Time::HiRes::sleep(rand(0.2));
	if ($round % 5 == 0)
	{
		mysql_kill($mysql);
		mysql_restart($mysql);
		next;
	}
	my $pid = eval { $node->safe_psql('postgres', q{SELECT pid FROM pg_stat_activity WHERE backend_type = 'feathub worker' LIMIT 1}) };
	$kills += kill 'KILL', $pid if $pid;
}
cmp_ok($kills, '>', 0, "$kills workers were killed");
patient('SELECT 1');
wait_for('customer');
my $written = $rounds * 400;
is(sql('SELECT count(*), count(DISTINCT id), sum(spent) FROM customer WHERE id > 10000'),
	"$written|$written|" . $written * (10001 + $next) / 2 . '.00', 'no row is lost');
is(sql(q{SELECT records FROM feathub.job_partition WHERE job = 'customer'}), 6000 + $written, 'or applied twice');

# Rewind: by a time, to the beginning, and to what is none.

sub rewind
{
	my ($job, $to) = @_;
	sql("SELECT feathub.pause_job('$job'); SELECT feathub.rewind_job('$job', '$to'); SELECT feathub.resume_job('$job')");
	wait_for($job);
}
my $history = sql('SELECT count(*) FROM customer');
my $records = sql(q{SELECT records FROM feathub.job_partition WHERE job = 'customer'});
rewind('customer', '2024-02-01 00:00:00+00');
is(sql('SELECT count(*) FROM customer'), $history, 'a replay changes nothing');
is(sql(q{SELECT records FROM feathub.job_partition WHERE job = 'customer'}), $records + $written, 'and begins at the time');
rewind('customer', 'earliest');
is(sql('SELECT count(*), (SELECT spent FROM customer WHERE id = 2000) FROM customer'), "$history|2.00",
	'a replay of all finds what an update had hidden');
my ($status, $out, $err) = $node->psql('postgres', q{SELECT feathub.rewind_job('customer', 'soon')});
like($err, qr/invalid position: "soon".*a time like/s, 'no position');
($status, $out, $err) = $node->psql('postgres', q{SELECT feathub.rewind_job('customer', '1:42,42')});
like($err, qr/position "1:42,42" does not fit partition "customer-0"/, 'nor one of other columns');

# Transactions that commit late: within the lag nothing is missed.

mysql_query($mysql, q{USE shop; CREATE TABLE late (id varchar(20) COLLATE utf8mb4_general_ci NOT NULL, n bigint AUTO_INCREMENT, at timestamp(6) NOT NULL DEFAULT NOW(6),
	PRIMARY KEY (n), UNIQUE (id), KEY (at), KEY (at, id))});
sql(q{
	CREATE FOREIGN TABLE late_source (id text OPTIONS (key 'true'), n bigint, at timestamptz) SERVER mysql
	  OPTIONS (table_name 'late', stream_column 'at', stream_lag '3');
	CREATE TABLE late (id text, n bigint, at timestamptz);
	SELECT feathub.create_job('late', source => 'late_source', sink => 'late');
});
my ($in, $session_out, $session_err) = ('', '', '');
my $session = IPC::Run::start([ 'mariadb', '--no-defaults', '-S', "$mysql->{dir}/s", '-uroot', '-N', '-B', '-n', 'shop' ],
	\$in, \$session_out, \$session_err);
$in .= "BEGIN; INSERT INTO late (id) VALUES ('a late one'); SELECT 'inserted';\n";
$session->pump until $session_out =~ /inserted/;
mysql_query($mysql, q{INSERT INTO shop.late (id) VALUES ('B early'), ('It''s \\\\ odd, too')});
$in .= "COMMIT; SELECT 'committed';\n";
$session->pump until $session_out =~ /committed/;
$in .= "quit\n";
$session->finish;
poll_query($node, q{SELECT string_agg(id, ' ' ORDER BY n) FROM late}, q{a late one B early It's \ odd, too}, 'a late commit is found');
is(sql(q{SELECT position LIKE '%,i''It''''s \\\\ odd, too''' FROM feathub.job_partition WHERE job = 'late'}), 't', 'a key of text in a position');
mysql_query($mysql, q{INSERT INTO shop.late (id) VALUES ('Zoë')});
poll_query($node, q{SELECT count(*) FROM late}, '4', 'and the job goes on behind it');

# By an auto-increment key; what its counter's return means; dead letters.

mysql_query($mysql, q{USE shop; CREATE TABLE event (id bigint unsigned AUTO_INCREMENT PRIMARY KEY, n int unsigned, v varbinary(20), z bit(8));
	INSERT INTO event SELECT seq, seq, 'x', b'101' FROM seq_1_to_1000});
sql(q{
	CREATE FOREIGN TABLE event_source (id bigint OPTIONS (key 'true'), n int, v bytea, z bit(8)) SERVER mysql
	  OPTIONS (table_name 'event', stream_column 'id', stream_lag '0');
	CREATE TABLE event (id bigint CHECK (id <> 1002), n int, v bytea, z bit(8));
	SELECT feathub.create_job('event', source => 'event_source', sink => 'event', on_error => 'dead_letter');
});
wait_for('event');
mysql_query($mysql, q{USE shop; INSERT INTO event VALUES (1001, 4294967295, 'big', 1), (1002, 2, x'00ff27', b'11111111'), (1003, 3, 'good', NULL)});
wait_for('event');
is(sql('SELECT count(*), max(id) FROM event'), '1001|1003', 'the others are applied');
is(sql(q{SELECT sequence, message FROM feathub.dead_letter WHERE job = 'event' ORDER BY 1}),
	qq{1000|value "4294967295" is out of range for type integer\n1001|new row for relation "event" violates check constraint "event_id_check"},
	'a value that does not fit and a row that is refused are dead letters');
is(sql(q{SELECT convert_from(value, 'UTF8') FROM feathub.dead_letter WHERE job = 'event' ORDER BY sequence LIMIT 1 OFFSET 1}),
	'{"id": "1002", "n": "2", "v": {"hex": "00ff27"}, "z": {"hex": "ff"}}', 'kept as JSON');
is(sql(q{SELECT feathub.retry_dead_letters('event')}), '0', 'a retry in vain');
sql(q{ALTER TABLE event DROP CONSTRAINT event_id_check});
is(sql(q{SELECT feathub.retry_dead_letters('event')}), '1', 'a retry');
is(sql('SELECT * FROM event WHERE id = 1002'), '1002|2|\x00ff27|11111111', 'gives the same row');
sql(q{SELECT feathub.pause_job('event'); SELECT feathub.rewind_job('event', '1003'); SELECT feathub.resume_job('event')});
wait_for('event');
is(sql('SELECT count(*) FROM event WHERE id = 1003'), '2', 'a rewind to a number');
sql(q{SELECT feathub.pause_job('event')});
mysql_query($mysql, 'TRUNCATE shop.event; INSERT INTO shop.event (n) VALUES (1)');
sql(q{SELECT feathub.resume_job('event')});
error_of('event', qr/table `shop`\.`event` of foreign server "mysql" is not the one that the job has followed/, 'a table that was emptied');
rewind('event', 'earliest');
is(sql('SELECT count(*) FROM event WHERE id = 1'), '2', 'followed again after a rewind');

# A column that has gone, and what is followed by other columns.

mysql_query($mysql, 'ALTER TABLE shop.event RENAME COLUMN n TO m');
error_of('event', qr/foreign server "mysql": Unknown column .*n/, 'a column that has gone');
mysql_query($mysql, 'ALTER TABLE shop.event RENAME COLUMN m TO n; INSERT INTO shop.event (n) VALUES (7777)');
wait_for('event');
is(sql('SELECT count(*) FROM event WHERE n = 7777'), '1', 'is back');
mysql_query($mysql, 'ALTER TABLE shop.event ADD UNIQUE (n)');
sql(q{ALTER FOREIGN TABLE event_source OPTIONS (SET stream_column 'n')});
error_of('event', qr/the position of partition "event-0" is of other columns/, 'another stream column');

# Tables that cannot be followed say why.

mysql_query($mysql, q{USE shop; CREATE TABLE bare (id int PRIMARY KEY, at datetime NOT NULL, f double, KEY (f))});
my $n = 0;
sub refused
{
	my ($columns, $options, $like) = @_;
	$n++;
	sql("CREATE FOREIGN TABLE refused_$n ($columns) SERVER mysql OPTIONS (table_name 'bare'$options); CREATE TABLE refused_sink_$n (id int, at timestamp, f float8, nope int);
		SELECT feathub.create_job('refused_$n', source => 'refused_$n', sink => 'refused_sink_$n')");
	error_of("refused_$n", $like, "refused: $like");
}
sql(q{CREATE FOREIGN TABLE unfollowed (id int OPTIONS (key 'true'), at timestamp) SERVER mysql OPTIONS (table_name 'bare')});
($status, $out, $err) = $node->psql('postgres', q{SELECT feathub.create_job('x', source => 'unfollowed', sink => 'event')});
like($err, qr/a job cannot follow "unfollowed"/, 'without a stream column');
sql(q{SELECT feathub.create_feature_group('unfollowed_group', 'unfollowed', '{id}', 'at')});
is(sql(q{SELECT count(*) FROM feathub.job_status WHERE job = 'unfollowed_group'}), '0', 'a group of its columns has no job');
refused('id int', q{, stream_column 'at'}, qr/no column "at", which option stream_column names/);
refused('id int', q{, stream_column 'id'}, qr/Option stream_lag is not set/);
refused('id int, at timestamp', q{, stream_column 'at'}, qr/No index of table `shop`.`bare` begins with column `at`/);
refused('id int, f float8', q{, stream_column 'f'}, qr/Its column `f` has a type whose order is of no use: double/);
refused('id int, nope int', q{, stream_column 'nope'}, qr/There is no column `nope` in table/);
mysql_query($mysql, 'CREATE INDEX at ON shop.bare (at)');
refused('id int, at timestamp', q{, stream_column 'at'}, qr/may have the same values in the stream column and the key/);
refused(q{id int OPTIONS (key 'true'), at timestamp}, q{, stream_column 'at', stream_time_zone 'Nowhere/City'}, qr/does not know time zone "Nowhere\/City"/);

# A DATETIME is of the server's zone, or of the one that is named.

mysql_query($mysql, q{SET GLOBAL time_zone = '-05:00'; INSERT INTO shop.bare VALUES (1, UTC_TIMESTAMP() - INTERVAL 1 HOUR, 1), (2, UTC_TIMESTAMP() - INTERVAL 6 HOUR, 1)});
sql(q{
	CREATE FOREIGN TABLE zone_source (id int OPTIONS (key 'true'), at timestamp) SERVER mysql OPTIONS (table_name 'bare', stream_column 'at');
	CREATE FOREIGN TABLE utc_source (id int OPTIONS (key 'true'), at timestamp) SERVER mysql OPTIONS (table_name 'bare', stream_column 'at', stream_time_zone '+00:00');
	CREATE TABLE zone (id int, at timestamp); CREATE TABLE utc (id int, at timestamp);
	SELECT feathub.create_job('zone', source => 'zone_source', sink => 'zone');
	SELECT feathub.create_job('utc', source => 'utc_source', sink => 'utc');
});
wait_for('zone');
wait_for('utc');
is(sql('SELECT string_agg(id::text, $$ $$ ORDER BY id) FROM zone'), '2', 'what is in the future there waits');
is(sql('SELECT string_agg(id::text, $$ $$ ORDER BY id) FROM utc'), '1 2', 'by another zone it is past');

# Into MySQL: what was written and lost here is not written again, though the source has changed.

mysql_query($mysql, q{USE shop; SET GLOBAL time_zone = 'SYSTEM'; CREATE TABLE copy (id int, spent decimal(10,2)); CREATE TABLE src (id int PRIMARY KEY, spent int, at timestamp NOT NULL, KEY (at));
	INSERT INTO src SELECT seq, seq, '2024-01-01' FROM seq_1_to_10});
sql(q{
	CREATE FOREIGN TABLE src (id int OPTIONS (key 'true'), spent int, at timestamptz) SERVER mysql OPTIONS (stream_column 'at', stream_lag '0');
	CREATE FOREIGN TABLE copy (id int, spent numeric) SERVER mysql;
	SELECT feathub.create_job('copy', source => 'src', sink => 'copy', query => 'SELECT id, spent FROM batch');
});
wait_for('copy');
is(mysql_query($mysql, 'SELECT count(*), sum(spent) FROM shop.copy'), "10\t55.00", 'copied');
sql(q{SELECT feathub.pause_job('copy')});
poll_query($node, q{SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'feathub worker' AND query LIKE '%copy%'}, '0', 'the worker has ended');
my $from = mysql_query($mysql, q{SELECT from_position FROM shop.feathub_position WHERE part = 'src-0'});
sql("UPDATE feathub.job_position SET position = '$from', mark = NULL WHERE job_id = (SELECT job_id FROM feathub.job WHERE name = 'copy')");
mysql_query($mysql, q{USE shop; UPDATE src SET spent = 100, at = '2024-01-02' WHERE id = 3; INSERT INTO src VALUES (11, 11, '2024-01-02')});
sql(q{SELECT feathub.resume_job('copy')});
wait_for('copy');
is(mysql_query($mysql, 'SELECT id, spent FROM shop.copy WHERE id IN (2, 3, 10, 11) ORDER BY id, spent'),
	"2\t2.00\n3\t3.00\n3\t100.00\n10\t10.00\n11\t11.00", 'each version once');

# The same with a bad record, which has another number when it is read again.
mysql_query($mysql, q{USE shop; CREATE TABLE rest (id int, spent decimal(10,2)); CREATE TABLE several (id int PRIMARY KEY, spent int, at timestamp NOT NULL, KEY (at));
	INSERT INTO several SELECT seq, seq, '2024-01-01' FROM seq_1_to_10});
sql(q{
	CREATE FOREIGN TABLE several (id int OPTIONS (key 'true'), spent int, at timestamptz) SERVER mysql OPTIONS (stream_column 'at', stream_lag '0');
	CREATE FOREIGN TABLE rest (id int, spent numeric) SERVER mysql;
	SELECT feathub.create_job('rest', source => 'several', sink => 'rest', query => 'SELECT id, CASE WHEN id = 5 THEN spent / 0 ELSE spent END AS spent FROM batch');
});
wait_for('rest');
is(mysql_query($mysql, 'SELECT group_concat(id ORDER BY id) FROM shop.rest'), '1,2,3,4,6,7,8,9,10', 'the others are there');
sql(q{SELECT feathub.pause_job('rest')});
poll_query($node, q{SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'feathub worker' AND query LIKE '%rest%'}, '0', 'the worker has ended');
$from = mysql_query($mysql, q{SELECT from_position FROM shop.feathub_position WHERE part = 'several-0'});
sql("UPDATE feathub.job_position SET position = '$from', mark = NULL WHERE job_id = (SELECT job_id FROM feathub.job WHERE name = 'rest');
	SELECT feathub.delete_dead_letters('rest')");
mysql_query($mysql, q{USE shop; UPDATE several SET at = '2024-01-02' WHERE id = 3});
sql(q{SELECT feathub.resume_job('rest')});
wait_for('rest');
is(mysql_query($mysql, 'SELECT group_concat(id ORDER BY id) FROM shop.rest'), '1,2,3,3,4,6,7,8,9,10', 'the new version, and none twice');
is(sql(q{SELECT message FROM feathub.dead_letter WHERE job = 'rest'}), 'division by zero', 'the bad record is kept again');

done_testing();
