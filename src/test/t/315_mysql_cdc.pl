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
	'main', jobs => 1, conf => q{
feathub.batch_rows = 300
});

sub sql { return $node->safe_psql('postgres', shift); }
sub my_sql { return mysql_query($mysql, 'USE shop; ' . shift); }
sub patient { return patient_query($node, shift); }

sub wait_for { return wait_for_job($node, shift); }

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


# One transaction of more bytes than are kept.

my_sql(q{CREATE TABLE wide (id int PRIMARY KEY, v varchar(2000)); START TRANSACTION; INSERT INTO wide SELECT seq, REPEAT('x', 1500) FROM seq_1_to_30000;
	UPDATE wide SET id = id + 100000 WHERE id <= 100; COMMIT});
sql(q{
	CREATE FOREIGN TABLE wide_source (id int OPTIONS (key 'true'), v text) SERVER mysql OPTIONS (table_name 'wide', stream_mode 'binlog', snapshot_mode 'never');
	CREATE TABLE wide_sink (id int, n int);
	SELECT feathub.create_job('wide', source => 'wide_source', sink => 'wide_sink', query => 'SELECT id, length(v) AS n FROM batch');
});
wait_for('wide');
is(sql('SELECT count(*), count(DISTINCT id), sum(n) FROM wide_sink'), '30100|30100|45150000', 'a transaction of many bytes');
sql(q{SELECT feathub.drop_job('wide')});

# Columns that come and go, and what stops a job.

my_sql(q{ALTER TABLE customer ADD COLUMN extra int DEFAULT 7 FIRST, ADD COLUMN note varchar(20);
	UPDATE customer SET spent = 100, note = 'n' WHERE id = 7; ALTER TABLE customer DROP COLUMN note});
my_sql(q{INSERT INTO customer (id, region, spent) VALUES (8000, 'new', 3)});
wait_for('customer');
same_as_source('customer', 'new columns are no matter');

my_sql(q{UPDATE customer SET spent = 101 WHERE id = 7; TRUNCATE TABLE customer; INSERT INTO customer (id, spent) VALUES (7, 5)});
error_of('customer', qr/table `shop`.`customer` cannot be followed behind binary log "binlog.\d+" position \d+: it was truncated/, 'TRUNCATE stops the job');
is(sql('SELECT spent FROM customer_online WHERE id = 7'), '101.00', 'at its place');
is(sql(q{SELECT state FROM feathub.job_status WHERE job = 'customer'}), 'failed', 'for good');
rewind('customer', 'earliest');
wait_for('customer');
is(sql('SELECT spent FROM customer_online WHERE id = 7'), '5.00', 'the table is read anew');

my_sql(q{CREATE TABLE stops (id int PRIMARY KEY, v int, w varchar(10)); INSERT INTO stops VALUES (1, 1, 'a')});
sql(q{
	CREATE FOREIGN TABLE stops_source (id int OPTIONS (key 'true'), v int, w text) SERVER mysql OPTIONS (table_name 'stops', stream_mode 'binlog');
	SELECT feathub.create_feature_group('stops', 'stops_source', '{id}');
});
wait_for('stops');
my_sql(q{INSERT INTO stops VALUES (2, 2, 'b'); ALTER TABLE stops DROP COLUMN w; INSERT INTO stops VALUES (3, 3)});
error_of('stops', qr/column "w" is gone/, 'a column that is gone');
is(sql('SELECT count(*) FROM stops_online'), '2', 'what was before is applied');
sql(q{ALTER FOREIGN TABLE stops_source DROP COLUMN w; SELECT feathub.resume_job('stops')});
wait_for('stops');
is(sql('SELECT count(*) FROM stops_online'), '3', 'without it, the job goes on');
my_sql(q{ALTER TABLE stops MODIFY v varchar(10); INSERT INTO stops VALUES (4, '4')});
error_of('stops', qr/type of column "v" has changed from integer to text/, 'a type of another kind');
sql(q{SELECT feathub.resume_job('stops')});
wait_for('stops');
is(sql('SELECT v FROM stops_online WHERE id = 4'), '4', 'which fits here');
my_sql(q{SET SESSION binlog_row_image = MINIMAL; UPDATE stops SET v = '5' WHERE id = 4});
error_of('stops', qr/without all of its columns/, 'a row without all columns');
rewind('stops', 'latest');
wait_for('stops');
my_sql(q{SET SESSION binlog_format = STATEMENT; UPDATE stops SET v = '6' WHERE id = 4});
error_of('stops', qr/a statement instead of rows: UPDATE stops/, 'a statement');
error_of('customer', qr/a statement instead of rows: UPDATE stops/, 'which may have changed any table');
rewind('customer', 'latest');
rewind('stops', 'earliest');
wait_for('stops');
is(sql('SELECT v FROM stops_online WHERE id = 4'), '6', 'read anew');
foreach my $case (
	[ 'RENAME TABLE stops TO stops2', 'was renamed', 'RENAME TABLE stops2 TO stops' ],
	[ 'CREATE OR REPLACE TABLE stops LIKE stops_copy', 'was replaced', 'DO 0' ],
	[ 'DROP TABLE stops_copy, stops', 'was dropped', 'CREATE TABLE stops (id int PRIMARY KEY, v varchar(10)); INSERT INTO stops VALUES (9, "9")' ])
{
	my_sql('CREATE TABLE IF NOT EXISTS stops_copy LIKE stops') if $case->[0] =~ /RENAME/;
	my_sql($case->[0]);
	error_of('stops', qr/$case->[1]/, $case->[0]);
	my_sql($case->[2]);
	rewind('stops', 'earliest');
	wait_for('stops');
}
is(sql('SELECT v FROM stops_online WHERE id = 9'), '9', 'and the new table is read');

# Begin the log anew, without what would stop others too.

sub purge
{
	my_sql('FLUSH BINARY LOGS');
	wait_for($_) foreach (@_);
	mysql_purge($mysql, (split ' ', my_sql('SHOW MASTER STATUS'))[0]);
}
purge('customer', 'stops');

# Bad values are dead letters, which are tried again; deletions too.

my_sql(q{CREATE TABLE bad (id int PRIMARY KEY, v varchar(10), b varbinary(4)); INSERT INTO bad VALUES (1, '1', x'00ff'), (2, 'two', x'01')});
sql(q{
	CREATE FOREIGN TABLE bad_source (id int OPTIONS (key 'true'), v int, b bytea) SERVER mysql OPTIONS (table_name 'bad', stream_mode 'binlog');
	SELECT feathub.create_feature_group('bad', 'bad_source', '{id}');
});
wait_for('bad');
my_sql(q{INSERT INTO bad VALUES (3, 'three', x'00'), (4, '4', NULL); DELETE FROM bad WHERE id = 3});
wait_for('bad');
is(sql('SELECT id, v FROM bad_online ORDER BY id'), "1|1\n4|4", 'the good rows');
is(sql(q{SELECT count(*), bool_and(message LIKE '%invalid input syntax%') FROM feathub.dead_letter WHERE job = 'bad'}), '3|t', 'the bad ones are dead letters');
like(sql(q{SELECT convert_from(value, 'UTF8') FROM feathub.dead_letter WHERE job = 'bad' ORDER BY sequence LIMIT 1}), qr/^\{"id": "2", "v": "two", "b": "\\u0001"\}$/, 'with what they were');
sql(q{ALTER FOREIGN TABLE bad_source ALTER COLUMN v TYPE text; ALTER TABLE bad ALTER COLUMN v TYPE text; ALTER TABLE bad_online ALTER COLUMN v TYPE text});
wait_for('bad');
is(sql(q{SELECT feathub.retry_dead_letters('bad')}), '3', 'they are tried again');
is(sql('SELECT id, v, b FROM bad_online ORDER BY id'), "1|1|\\x00ff\n2|two|\\x01\n4|4|", 'and deleted again');

# Where a job begins, and where it is sent to.

sql(q{
	CREATE FOREIGN TABLE log_source (id int OPTIONS (key 'true'), v text) SERVER mysql OPTIONS (table_name 'bad', stream_mode 'binlog', snapshot_mode 'never');
	CREATE TABLE log_sink (id int, v text);
	SELECT feathub.create_job('whole', source => 'log_source', sink => 'log_sink');
});
wait_for('whole');
is(sql('SELECT id, v FROM log_sink ORDER BY id'), "1|1\n2|two\n3|three\n4|4", 'the log from its begin');
my $place = sql(q{SELECT position FROM feathub.job_partition WHERE job = 'whole'});
my_sql(q{INSERT INTO bad VALUES (5, 'five', NULL)});
wait_for('whole');
rewind('whole', (split ' ', $place)[1]);
wait_for('whole');
is(sql('SELECT count(*) FROM log_sink WHERE id = 5'), '2', 'rewound to a place in the log');
rewind('whole', (split ' ', $place)[2]);
wait_for('whole');
is(sql('SELECT count(*) FROM log_sink WHERE id = 5'), '3', 'and to GTIDs');
my ($status, $out, $err) = $node->psql('postgres', q{SELECT feathub.rewind_job('whole', '2020-01-01')});
like($err, qr/invalid position: "2020-01-01"/, 'times are none');
# A restart within a transaction that has rows which were rolled back.

my_sql(q{CREATE TABLE apart (id int) ENGINE = MyISAM});
my $gtid = my_sql(q{START TRANSACTION; INSERT INTO bad SELECT seq, 'r', NULL FROM seq_101_to_104; SAVEPOINT a; INSERT INTO apart VALUES (1);
	INSERT INTO bad SELECT seq, 'r', NULL FROM seq_105_to_110; ROLLBACK TO SAVEPOINT a; INSERT INTO bad SELECT seq, 'r', NULL FROM seq_111_to_115;
	COMMIT; SELECT @@last_gtid; DELETE FROM bad WHERE id > 100});
wait_for('whole');
my ($sequence, $domain) = $gtid =~ /^(0-\d+-)(\d+)$/m ? ($2, $1) : die "no GTID: $gtid";
foreach my $case ([ 2, 7 ], [ 4, 5 ], [ 6, 3 ], [ 9, 0 ])
{
	sql('TRUNCATE log_sink');
	rewind('whole', "0 " . (split ' ', $place)[1] . "+$case->[0]\@$domain$sequence $domain" . ($sequence - 1));
	wait_for('whole');
	is(sql('SELECT count(*), max(id) FROM log_sink WHERE id BETWEEN 101 AND 115 AND id NOT BETWEEN 105 AND 110'), $case->[1] ? "$case->[1]|115" : '0|', "behind $case->[0] of its rows");
	is(sql('SELECT count(*) FROM log_sink WHERE id BETWEEN 105 AND 110'), '0', 'without those that never were');
}
sql(q{SELECT feathub.pause_job('whole')});
my_sql(q{INSERT INTO bad VALUES (6, 'six', NULL); FLUSH BINARY LOGS; INSERT INTO bad VALUES (7, 'seven', NULL)});
purge('customer', 'stops', 'bad');
sql(q{SELECT feathub.resume_job('whole')});
error_of('whole', qr/no longer has its binary log from the job's position on/, 'a log that is gone');
is(sql(q{SELECT state FROM feathub.job_status WHERE job = 'whole'}), 'failed', 'stops the job');
sql(q{SELECT feathub.drop_job(job) FROM feathub.job_status WHERE job = 'whole'});

# All types, copied and logged: as SELECT has them.

my_sql(q{
	CREATE TABLE types (id int PRIMARY KEY, tb tinyint(1), tu tinyint unsigned, si smallint, mi mediumint, i int unsigned zerofill, bi bigint, bu bigint unsigned,
	  de decimal(40,10), f float, d double, b5 bit(5), b1 bit, c char(5), v varchar(50), l varchar(20) CHARACTER SET latin1, bn binary(4), vb varbinary(50),
	  bl longblob, tx mediumtext, en enum('a','b','ü'), se set('x','y','z'), da date, t time(6), dt datetime(6), d0 datetime, ts timestamp(6) NULL,
	  y year, j json, u uuid, i4 inet4, i6 inet6, g point, vc varchar(100) COMPRESSED) CHARACTER SET utf8mb4;
	INSERT INTO types VALUES (1, 1, 255, -32768, -8388608, 42, -9223372036854775808, 18446744073709551615, 123456789012345678901234567890.0123456789, 1.1, 0.1,
	  b'10101', b'1', 'ab', 'it''s "é" 😀', 'é€', x'0001', x'00275c0d0a1a', REPEAT(x'00ff', 40000), REPEAT('é', 1000), 'ü', 'z,x', '1000-01-01',
	  '-838:59:59.000001', '9999-12-31 23:59:59.999999', '2024-02-29 12:00:00', '2013-06-01 10:00:00.000001', 1999, '{"a": [1, "x"]}',
	  '123e4567-e89b-12d3-a456-426655440000', '10.0.0.1', '2001:db8::1', POINT(1, 2), REPEAT('é', 90));
	INSERT INTO types (id) VALUES (2);
	INSERT INTO types (id, f, d, t, c, v, bl, se, de) VALUES (3, 16777216, 1.7976931348623157e308, '12:34:56.7', '', '', '', '', -0.5);
});
sql(q{CREATE SCHEMA imported; IMPORT FOREIGN SCHEMA shop LIMIT TO (types) FROM SERVER mysql INTO imported;
	ALTER FOREIGN TABLE imported.types OPTIONS (ADD stream_mode 'binlog');
	SELECT feathub.create_feature_group('types', 'imported.types', '{id}')});
wait_for('types');
my $all = sql(q{SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) FROM pg_attribute WHERE attrelid = 'imported.types'::regclass AND attnum > 0});
my ($there, $here) = map { "SELECT ROW($all)::text FROM $_" } ('imported.types', 'types_online');
my $types = "SELECT count(*) FROM (($there EXCEPT $here) UNION ALL ($here EXCEPT $there)) x";
is(sql($types), '0', 'all types, copied');
my_sql('INSERT INTO types SELECT id + 10, tb, tu, si, mi, i, bi, bu, de, f, d, b5, b1, c, v, l, bn, vb, bl, tx, en, se, da, t, dt, d0, ts, y, j, u, i4, i6, g, vc FROM types');
my_sql('UPDATE types SET tb = 0 WHERE id = 1; UPDATE types SET id = 20 WHERE id = 3');
wait_for('types');
is(sql($types), '0', 'all types, logged');
is(sql('SELECT count(*) FROM types_online'), '6', 'every row');

# What replaces a row in one transaction is no deletion: its event time may be before the commit.

my_sql(q{CREATE TABLE replaced (id int, place int, at datetime, v int, PRIMARY KEY (place, id), UNIQUE (v));
	INSERT INTO replaced VALUES (1, 1, '2020-01-01', 1), (2, 1, '2020-01-01', 2), (3, 1, '2020-01-01', 3)});
sql(q{CREATE FOREIGN TABLE replaced_source (id int OPTIONS (key 'true'), place int OPTIONS (key 'true'), at timestamptz, v int)
	  SERVER mysql OPTIONS (table_name 'replaced', stream_mode 'binlog');
	SELECT feathub.create_feature_group('replaced', 'replaced_source', '{id,place}', 'at')});
wait_for('replaced');
my_sql(q{REPLACE INTO replaced VALUES (1, 1, '2020-01-02', 10), (2, 1, '2020-01-02', 20);
	BEGIN; DELETE FROM replaced WHERE id = 3; INSERT INTO replaced VALUES (3, 1, '2020-01-03', 30); COMMIT;
	DELETE FROM replaced WHERE id = 2});
wait_for('replaced');
is(sql("SELECT id, at AT TIME ZONE 'UTC', v FROM replaced_online ORDER BY id"), "1|2020-01-02 00:00:00|10\n3|2020-01-03 00:00:00|30", 'rows that were replaced');
is(sql('SELECT count(*) FROM replaced WHERE feathub_deleted'), '1', 'and one that was deleted');

# Without names in the log, by the catalog.

my_sql(q{SET GLOBAL binlog_row_metadata = NO_LOG; UPDATE types SET y = 2001; INSERT INTO types (id, en, se, bu, i) VALUES (30, 'ü', 'x,z', 18446744073709551615, 7)});
wait_for('types');
is(sql($types), '0', 'all types, without their names');

# Columns that change places there: those behind are read by the catalog of then,
# and those before by none that had the change already.

my_sql(q{CREATE TABLE moved (id int PRIMARY KEY, a varchar(10), b varchar(10)); INSERT INTO moved VALUES (1, 'a', 'b')});
sql(q{
	CREATE FOREIGN TABLE moved_source (id int OPTIONS (key 'true'), a text, b text) SERVER mysql OPTIONS (table_name 'moved', stream_mode 'binlog');
	SELECT feathub.create_feature_group('moved', 'moved_source', '{id}');
});
wait_for('moved');
my_sql(q{INSERT INTO moved (id, a, b) VALUES (2, 'a', 'b')});
wait_for('moved');
my_sql(q{ALTER TABLE moved MODIFY b varchar(20) AFTER id; INSERT INTO moved (id, a, b) VALUES (3, 'a', 'b')});
wait_for('moved');
is(sql('SELECT id, a, b FROM moved_online ORDER BY id'), "1|a|b\n2|a|b\n3|a|b", 'columns that change places');
sql(q{SELECT feathub.pause_job('moved')});
my_sql(q{INSERT INTO moved (id, a, b) VALUES (4, 'a', 'b'); ALTER TABLE moved MODIFY a varchar(20) AFTER id; INSERT INTO moved (id, a, b) VALUES (5, 'a', 'b')});
sql(q{SELECT feathub.resume_job('moved')});
error_of('moved', qr/columns were changed here.*does not name them/, 'while the job was away');
rewind('moved', 'earliest');
wait_for('moved');
is(sql('SELECT count(*), count(DISTINCT (a, b)) FROM moved_online'), '5|1', 'read anew');
sql(q{SELECT feathub.drop_job(job) FROM feathub.job_status WHERE job = 'moved'});
my_sql(q{SET GLOBAL binlog_row_metadata = FULL});

# Servers and tables that cannot be followed.

my $n = 0;

sub refused
{
	my ($table, $columns, $like, $what, $user) = @_;
	$n++;
	sql(qq{CREATE FOREIGN TABLE refused$n ($columns) SERVER } . ($user || 'mysql') . qq{ OPTIONS (table_name '$table', stream_mode 'binlog');
		CREATE TABLE refused_sink$n (id int, v text, w int)});
	my ($status, $out, $err) = $node->psql('postgres', "SELECT feathub.create_job('refused$n', source => 'refused$n', sink => 'refused_sink$n')");
	error_of("refused$n", $like, $what) if $status == 0;
	like($err, $like, $what) if $status != 0;
	sql("SELECT feathub.drop_job('refused$n')") if $status == 0;
}
my_sql(q{
	CREATE TABLE nokey (id int, v text); CREATE TABLE isam (id int PRIMARY KEY, v text) ENGINE = MyISAM; CREATE VIEW view1 AS SELECT * FROM bad;
	CREATE USER poor@'%' IDENTIFIED BY 'poor'; GRANT SELECT ON shop.* TO poor@'%'; CREATE USER half@'%' IDENTIFIED BY 'half'; GRANT SELECT ON shop.* TO half@'%'; GRANT BINLOG MONITOR ON *.* TO half@'%';
});
sql(qq{CREATE SERVER poor FOREIGN DATA WRAPPER feathub_mysql OPTIONS (host '127.0.0.1', port '$mysql->{port}', database 'shop');
	CREATE USER MAPPING FOR CURRENT_USER SERVER poor OPTIONS (user 'poor', password 'poor');
	CREATE SERVER half FOREIGN DATA WRAPPER feathub_mysql OPTIONS (host '127.0.0.1', port '$mysql->{port}', database 'shop');
	CREATE USER MAPPING FOR CURRENT_USER SERVER half OPTIONS (user 'half', password 'half')});
my $cols = q{id int OPTIONS (key 'true'), v text};
refused('bad', 'id int, v text', qr/has no key/, 'no key here');
refused('nokey', $cols, qr/key column `id` may be null/, 'none there');
refused('isam', $cols, qr/Engine MyISAM .* has no transactions/, 'no transactions');
refused('view1', $cols, qr/is no table, but: VIEW/, 'a view');
refused('nothing', $cols, qr/There is no table `shop`.`nothing`/, 'no table');
refused('bad', "$cols, w int", qr/There is no column "w"/, 'no column');
refused('bad', $cols, qr/does not tell the place in its binary log/, 'no right to see the log', 'poor');
refused('bad', $cols, qr/does not send its binary log.*REPLICATION SLAVE/, 'no right to get it', 'half');
foreach my $case ([ 'binlog_format', 'MIXED', 'ROW' ], [ 'binlog_row_image', 'MINIMAL', 'FULL' ])
{
	my_sql("SET GLOBAL $case->[0] = '$case->[1]'");
	refused('bad', $cols, qr/$case->[0] is $case->[1], not $case->[2]/, "$case->[0]");
	my_sql("SET GLOBAL $case->[0] = '$case->[2]'");
}
my_sql(q{SET GLOBAL mysql56_temporal_format = OFF; CREATE TABLE oldtimes (id int PRIMARY KEY, d datetime(3), v text)});
refused('oldtimes', $cols, qr/fractions of seconds as MariaDB 5.3/, 'times of an old format');
my_sql(q{SET GLOBAL mysql56_temporal_format = ON});
refused('oldtimes', $cols, qr/fractions of seconds as MariaDB 5.3/, 'which a column still has');
my_sql(q{ALTER TABLE oldtimes FORCE});
is(my_sql(q{SELECT column_type FROM information_schema.columns WHERE table_name = 'oldtimes' AND column_name = 'd'}), 'datetime(3)', 'until it is written anew');
($status, $out, $err) = $node->psql('postgres', qq{CREATE FOREIGN TABLE misfit (id int) SERVER mysql OPTIONS (table_name 'bad', stream_mode 'binlog', stream_column 'id'); SELECT * FROM misfit});
like($err, qr/option "stream_column" of foreign table "misfit" does not fit stream_mode 'binlog'/, 'options that do not fit');

# A server that hangs is noticed; a worker that waits for it can be stopped.

mysql_pause($mysql);
my $begin = Time::HiRes::time();
sql(q{SELECT feathub.pause_job('types')});
poll_until(sub { sql(q{SELECT count(*) FROM feathub.job_status WHERE job = 'types' AND workers_running > 0}) eq '0' }, 'the worker has ended');
cmp_ok(Time::HiRes::time() - $begin, '<', 15, 'while the server hung');
mysql_continue($mysql);

# A replayed deletion finds its place in history again, however many records there were before the job began.
my_sql(q{CREATE TABLE again (id int PRIMARY KEY, at datetime NOT NULL); INSERT INTO again SELECT seq, '2020-01-01' FROM seq_101_to_130});
sql(q{
	CREATE FOREIGN TABLE again_source (id int OPTIONS (key 'true'), at timestamptz)
	  SERVER mysql OPTIONS (table_name 'again', stream_mode 'binlog', snapshot_mode 'never');
	SELECT feathub.create_feature_group('again', 'again_source', '{id}', 'at', start => 'latest');
});
poll_query($node, q{SELECT count(*) FROM feathub.job_partition WHERE job = 'again' AND position IS NOT NULL}, '1', 'the job has begun');
my_sql(q{INSERT INTO again VALUES (1, '2020-01-01'); DELETE FROM again WHERE id = 1; INSERT INTO again VALUES (1, '2037-01-01')});
wait_for('again');
my $history = sql(q{SELECT id, at, feathub_deleted FROM again ORDER BY at});
is(($history =~ tr/\n//) + 1, 3, 'a row, its deletion, a row');
rewind('again', 'earliest');
wait_for('again');
is(sql('SELECT count(*) FROM again_online'), '31', 'a rewind brings the rows before');
is(sql('SELECT id, at FROM again_online WHERE id = 1'), '1|2037-01-01 00:00:00+00', 'and takes away none');
is(sql(q{SELECT id, at, feathub_deleted FROM again WHERE id = 1 ORDER BY at}), $history, 'nor moves a deletion');

done_testing();
