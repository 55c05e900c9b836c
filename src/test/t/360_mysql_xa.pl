# XA transactions on tables that jobs follow by the server's binary log: their
# changes come when they are committed, in that order, and never if they are
# rolled back; whether the job has kept them, or reads them once more after a
# restart, because they were too many, or because they were prepared before it
# began.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use FeathubTest;
use FeathubMysql;
use PostgreSQL::Test::Utils;
use Test::More;

our %server;					# set by 361_mysql_xa_product.pl
my $mysql = mysql_start(%server, options => [ '--log-bin=binlog', '--binlog-format=ROW', '--binlog-row-metadata=FULL', '--transaction-isolation=READ-COMMITTED',
		%server ? ('--gtid-mode=ON', '--enforce-gtid-consistency=ON') : ('--gtid-strict-mode=1') ]);
my $node = new_node(
	'main', jobs => 1, conf => q{
feathub.batch_rows = 70
});

sub sql { return $node->safe_psql('postgres', shift); }
sub my_sql { return mysql_query($mysql, "USE shop;\n" . shift); }
sub wait_for { return wait_for_job($node, shift); }
sub prepare { my ($xid, $statements) = @_; my_sql("XA START $xid; $statements; XA END $xid; XA PREPARE $xid"); return; }
sub position { return sql("SELECT position FROM feathub.job_partition WHERE job = '$_[0]'"); }

sub error_of
{
	my ($name, $like, $what) = @_;
	my $query = "SELECT concat_ws(' ', reason, last_error) FROM feathub.job_status WHERE job = '$name'";
	poll_until(sub { sql($query) =~ $like }, $what);
	like(sql($query), $like, $what);
	return;
}

sub rewind
{
	my ($job, $to) = @_;
	sql("SELECT feathub.pause_job('$job'); SELECT feathub.rewind_job('$job', '$to'); SELECT feathub.resume_job('$job')");
	return;
}

sub restart
{
	my $job = shift;
	sql("SELECT feathub.pause_job('$job')");
	poll_query($node, "SELECT workers_running FROM feathub.job_status WHERE job = '$job'", '0', 'the worker has ended');
	sql("SELECT feathub.resume_job('$job')");
	return;
}

# Have both jobs read by new connections, and none of old ones keep logs from being purged.
sub begin_anew
{
	my $between = shift;
	sql(q{SELECT feathub.pause_job('item'), feathub.pause_job('log')});
	poll_query($node, 'SELECT sum(workers_running) FROM feathub.job_status', '0', 'the workers have ended');
	mysql_end_dumps($mysql);
	my_sql($between);
	sql(q{SELECT feathub.resume_job('item'), feathub.resume_job('log')});
	wait_for($_) foreach 'log', 'item';
	return;
}

sub same_as_source
{
	my ($name, $what) = @_;
	wait_for($name);
	is(sql(qq{SELECT count(*) FROM (
		(SELECT id, v FROM ${name}_source EXCEPT SELECT id, v FROM ${name}_online) UNION ALL
		(SELECT id, v FROM ${name}_online EXCEPT SELECT id, v FROM ${name}_source)) x}), '0', $what);
	return;
}

mysql_server($node, $mysql);
my_sql(q{CREATE TABLE item (id int PRIMARY KEY, v varchar(2000)); INSERT INTO item VALUES (1, 'a'), (2, 'b'), (3, 'c'), (4, 'd'); CREATE TABLE apart (id int PRIMARY KEY)});

# Prepared before the job begins: one that is committed while it runs, one that is not.

prepare("'before1','branch',77", q{UPDATE item SET v = 'before1' WHERE id = 1; INSERT INTO item VALUES (10, 'before1')});
prepare("'before2'", q{UPDATE item SET v = 'before2' WHERE id = 2});
prepare("'before3'", q{INSERT INTO apart VALUES (1)});
my_sql('FLUSH BINARY LOGS');
prepare("'before4'", q{DELETE FROM item WHERE id = 3});
sql(q{
	CREATE FOREIGN TABLE item_source (id int OPTIONS (key 'true'), v text) SERVER mysql OPTIONS (table_name 'item', stream_mode 'binlog');
	CREATE FOREIGN TABLE log_source (id int OPTIONS (key 'true'), v text) SERVER mysql OPTIONS (table_name 'item', stream_mode 'binlog', snapshot_mode 'never');
	CREATE TABLE log_sink (seen bigserial, id int, v text);
	SELECT feathub.create_feature_group('item', 'item_source', '{id}');
	SELECT feathub.create_job('log', source => 'log_source', sink => 'log_sink', query => 'SELECT id, v FROM batch', start => 'latest');
});
wait_for($_) foreach 'item', 'log';
is(sql('SELECT id, v FROM item_online ORDER BY id'), "1|a\n2|b\n3|c\n4|d", 'what is prepared is not there');
my_sql(q{XA COMMIT 'before1','branch',77; XA ROLLBACK 'before2'; XA COMMIT 'before3'; XA COMMIT 'before4'});
wait_for($_) foreach 'item', 'log';
is(sql('SELECT id, v FROM item_online ORDER BY id'), "1|before1\n2|b\n4|d\n10|before1", 'what is committed is, wherever the log has it');
is(sql('SELECT id, v FROM log_sink ORDER BY seen'), "1|before1\n10|before1", 'in a job without a first copy too');

# In the order of commits, none that is rolled back; names that come again.

sql('TRUNCATE log_sink');
prepare("'x1'", q{INSERT INTO item VALUES (21, 'x1'); SAVEPOINT a; INSERT INTO item VALUES (15, 'never'); ROLLBACK TO SAVEPOINT a});
prepare("'x2'", q{INSERT INTO item VALUES (22, 'x2'), (23, 'x2')});
prepare("'x3'", q{INSERT INTO item VALUES (24, 'x3')});
prepare("'y'", q{INSERT INTO apart VALUES (2)});
my_sql(q{INSERT INTO item VALUES (20, 'plain')});
wait_for('log');
is(sql('SELECT id FROM log_sink ORDER BY seen'), '20', 'prepared');
like(position('log'), qr/^\d+ \S+ \S+ xa:7831\.\.1\@binlog\.\d+:\d+,7832\.\.1\@binlog\.\d+:\d+,7833\.\.1\@binlog\.\d+:\d+,79\.\.1$/, 'the position has what is prepared');
my_sql(q{XA COMMIT 'x2'; XA ROLLBACK 'x3'; INSERT INTO item VALUES (25, 'plain'); XA COMMIT 'x1'; XA COMMIT 'y'});
wait_for('log');
is(sql('SELECT id, v FROM log_sink ORDER BY seen'), "20|plain\n22|x2\n23|x2\n25|plain\n21|x1", 'committed');
unlike(position('log'), qr/xa:/, 'nothing is prepared any more');
prepare("'x1'", q{INSERT INTO item VALUES (30, 'again')});
my_sql(q{XA COMMIT 'x1'; XA START 'z'; INSERT INTO item VALUES (31, 'one phase'); XA END 'z'; XA COMMIT 'z' ONE PHASE;
	XA START 'z'; INSERT INTO item VALUES (32, 'never'); XA END 'z'; XA ROLLBACK 'z'});
wait_for('log');
is(sql('SELECT id, v FROM log_sink WHERE id >= 30 ORDER BY seen'), "30|again\n31|one phase", 'a name that comes again, one phase');
same_as_source('item', 'and so in the group');

# A restart between; the server's too, and the log goes on in other files.

sql('TRUNCATE log_sink');
prepare("'r1'", q{INSERT INTO item SELECT 1000 + a.id * 50 + b.id, 'r1' FROM item a, item b WHERE a.id < 20 AND b.id < 30; UPDATE item SET v = 'r1' WHERE id = 4});
prepare("'r2'", q{INSERT INTO item VALUES (41, 'r2')});
prepare("'r3'", q{INSERT INTO item VALUES (42, 'r3')});
wait_for($_) foreach 'log', 'item';
restart($_) foreach 'log', 'item';
wait_for($_) foreach 'log', 'item';
my_sql('FLUSH BINARY LOGS');
mysql_kill($mysql);
mysql_restart($mysql);
my_sql(q{XA COMMIT 'r3'; XA ROLLBACK 'r2'; XA COMMIT 'r1'});
patient_query($node, 'SELECT 1');
wait_for('log');
is(sql('SELECT id, v FROM log_sink ORDER BY seen LIMIT 1'), '42|r3', 'in order, after restarts');
is(sql('SELECT count(*) - count(DISTINCT id), count(*) FROM log_sink'), '0|' . (my_sql(q{SELECT COUNT(*) FROM item WHERE v = 'r1'}) + 1), 'each once');
same_as_source('item', 'and so in the group, after restarts');

# From within: behind each of the first rows, however it is found.

my $place = position('log');
my ($file, $at) = (split ' ', my_sql($server{product} ? 'SHOW BINARY LOG STATUS' : 'SHOW MASTER STATUS'))[ 0, 1 ];
prepare("'w'", q{INSERT INTO item VALUES (51, 'w'), (52, 'w'), (53, 'w')});
my ($commit) = (split ' ', my_sql(($server{product} ? 'SHOW BINARY LOG STATUS' : 'SHOW MASTER STATUS')))[1];
my_sql(q{XA COMMIT 'w'});
wait_for('log');
my $behind = position('log');
my ($gtids) = (split ' ', $behind)[2];
my ($gtid, $before);
if ($gtids =~ /^([-0-9a-f]+):1-(\d+)$/ && $server{product})
{
	($gtid, $before) = ("$1:$2", "$1:1-" . ($2 - 1));
}
else
{
	$gtid = $gtids;
	($before = $gtids) =~ s/(\d+)$/$1 - 1/e;
}
foreach my $rows (0 .. 3)
{
	foreach my $list (" xa:77..1\@$file:$at", '')
	{
		sql('TRUNCATE log_sink');
		rewind('log', "0 $file:$commit" . ($rows ? "+$rows\@$gtid" : '') . " $before$list");
		wait_for('log');
		is(sql('SELECT string_agg(id::text, $$ $$ ORDER BY seen) FROM log_sink'), join(' ', map { 51 + $_ } $rows .. 2), "behind $rows rows" . ($list ? '' : ', by a search'))
		  if $rows < 3;
	}
}

# More than is kept.

sql('TRUNCATE log_sink');
my_sql(q{CREATE TABLE digit (d int PRIMARY KEY); INSERT INTO digit VALUES (0), (1), (2), (3), (4), (5), (6), (7), (8), (9)});
my $many = q{FROM digit a, digit b, digit c, digit d};
my $n = 'a.d * 1000 + b.d * 100 + c.d * 10 + d.d';
prepare("'m1'", "INSERT INTO item SELECT 100000 + $n, REPEAT('m', 1900) $many");
prepare("'m2'", "INSERT INTO item SELECT 200000 + $n, REPEAT('m', 1900) $many");
my_sql(q{XA COMMIT 'm2'; XA ROLLBACK 'm1'});
my_sql("XA START 'm3'; INSERT INTO item SELECT 300000 + $n, REPEAT('m', 1900) $many; DELETE FROM item WHERE id >= 300000 AND id % 2 = 0; XA END 'm3'; XA COMMIT 'm3' ONE PHASE");
wait_for('log');
is(sql('SELECT count(*), count(DISTINCT id), min(id), max(id), sum(length(v)) FROM log_sink WHERE v IS NOT NULL'), '20000|20000|200000|309999|38000000', 'many rows');
same_as_source('item', 'and so in the group, many rows');

# What stops a job.

my_sql('DELETE FROM item WHERE id >= 1000');
prepare("'p1'", q{INSERT INTO item VALUES (61, 'p1')});
wait_for($_) foreach 'log', 'item';
begin_anew('FLUSH BINARY LOGS; INSERT INTO item VALUES (62, "after")');
($file) = split ' ', my_sql($server{product} ? 'SHOW BINARY LOG STATUS' : 'SHOW MASTER STATUS');
my_sql('FLUSH BINARY LOGS');
mysql_purge($mysql, $file);
my_sql(q{XA COMMIT 'p1'});
error_of('item', qr/XA transaction X'7031',X'',1, which is committed here, was prepared in binary log "binlog\.\d+", which the server no longer has/, 'a log that is gone');
is(sql(q{SELECT state FROM feathub.job_status WHERE job = 'item'}), 'failed', 'stops the job');
rewind('item', 'earliest');
same_as_source('item', 'the table is read anew');
error_of('log', qr/which the server no longer has/, 'the other job too');
rewind('log', 'latest');
wait_for('log');
begin_anew('DO 0');
prepare("'p2'", q{INSERT INTO item VALUES (63, 'p2')});
my ($next) = split ' ', my_sql('FLUSH BINARY LOGS; ' . ($server{product} ? 'SHOW BINARY LOG STATUS' : 'SHOW MASTER STATUS'));
wait_for($_) foreach 'log', 'item';
mysql_purge($mysql, $next);
rewind('log', "$next:4");
wait_for('log');
my_sql(q{XA COMMIT 'p2'});
error_of('log', qr/XA transaction X'7032',X'',1, which is committed here, was prepared before the job began, and the server no longer has the log of that time/, 'one that is not known');
same_as_source('item', 'one whose rows were kept is applied');
my ($on) = slurp_file($node->logfile) =~ /.*HINT: [^\n]*rewind to '(binlog\.\d+:\d+)'/s;
ok($on, 'the hint has a place behind it');
rewind('log', $on);
sql('TRUNCATE log_sink');
my_sql(q{INSERT INTO item VALUES (64, 'on')});
wait_for('log');
is(sql('SELECT id FROM log_sink'), '64', 'from where the job goes on');

# Very many that are prepared.

$place = position('log');
rewind('log', "$place xa:" . join(',', map { sprintf('%04x..1', $_) } 1 .. 999));
prepare("'q1'", q{INSERT INTO apart VALUES (3)});
wait_for('log');
is(() = position('log') =~ /\.\.1/g, 1000, 'very many');
prepare("'q2'", q{INSERT INTO apart VALUES (4)});
error_of('log', qr/more than 1000 XA transactions are prepared/, 'too many');
my ($status, $out, $err) = $node->psql('postgres', "SELECT feathub.rewind_job('log', '$place xa:zz..1')");
like($err, qr/invalid position/, 'a position with no such name');
my_sql(q{XA ROLLBACK 'q1'; XA ROLLBACK 'q2'});
rewind('log', 'latest');
wait_for('log');

done_testing();
