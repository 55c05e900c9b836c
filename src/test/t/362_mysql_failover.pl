# Jobs that follow a table by the binary log of a server whose replica takes over:
# they go on there by GTIDs, though its log has other names and places, with
# nothing lost or applied twice, and stop at a server that lacks what they have
# applied.  Without GTIDs (MySQL), they restart by file and position.  And sessions
# that log less than jobs need stop them.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use FeathubTest;
use FeathubMysql;
use PostgreSQL::Test::Utils;
use Test::More;

our %server;					# set by 363_mysql_failover_product.pl
my $product = $server{product};
my @options = ('--binlog-format=ROW', '--binlog-row-metadata=FULL', '--transaction-isolation=READ-COMMITTED', '--relay-log=relay', '--skip-slave-start',
	$product ? ('--gtid-mode=ON', '--enforce-gtid-consistency=ON', '--log-error-verbosity=1') : ('--gtid-strict-mode=1', '--log-slave-updates=1'));
my $primary = mysql_start(%server, more => 1, options => [ @options, '--log-bin=first', '--server-id=11' ]);
my $replica = mysql_start(%server, options => [ @options, '--log-bin=second', '--server-id=12' ]);
my $node = new_node(
	'main', jobs => 1, conf => q{
feathub.batch_rows = 70
});

sub sql { return $node->safe_psql('postgres', shift); }
sub on { my ($server, $sql) = @_; return mysql_query($server, "USE shop;\n$sql"); }
sub prepare { my ($server, $xid, $statements) = @_; on($server, "XA START $xid; $statements; XA END $xid; XA PREPARE $xid"); return; }

sub wait_for { my $job = shift; patient_query($node, 'SELECT 1'); wait_for_job($node, $job); return; }

sub error_of
{
	my ($name, $like, $what) = @_;
	my $query = "SELECT concat_ws(' ', reason, last_error) FROM feathub.job_status WHERE job = '$name'";
	poll_until(sub { sql($query) =~ $like }, $what);
	like(sql($query), $like, $what);
	return;
}

my $executed = $product ? 'SELECT @@global.gtid_executed' : 'SELECT @@global.gtid_binlog_pos';
my $end = $product ? 'SHOW BINARY LOG STATUS' : 'SHOW MASTER STATUS';

# Make one the replica of the other, and wait until it has all.

sub replicate
{
	my ($from, $to) = @_;
	mysql_query($to, $product ?
		  "CHANGE REPLICATION SOURCE TO SOURCE_HOST = '127.0.0.1', SOURCE_PORT = $from->{port}, SOURCE_USER = 'fh', SOURCE_PASSWORD = 'fh-secret',
			SOURCE_AUTO_POSITION = 1, GET_SOURCE_PUBLIC_KEY = 1, SOURCE_CONNECT_RETRY = 1; START REPLICA" :
		  "CHANGE MASTER TO master_host = '127.0.0.1', master_port = $from->{port}, master_user = 'fh', master_password = 'fh-secret', master_use_gtid = slave_pos,
			master_connect_retry = 1; START SLAVE");
	return;
}

sub catch_up
{
	my ($from, $to) = @_;
	my $gtids = mysql_query($from, $executed);
	poll_until(sub { $product ? mysql_query($to, "SELECT GTID_SUBSET('$gtids', \@\@global.gtid_executed)") : mysql_query($to, $executed) eq $gtids }, 'the replica has all');
	return;
}

sub promote
{
	my $server = shift;
	mysql_query($server, $product ? 'STOP REPLICA; RESET REPLICA ALL' : 'STOP SLAVE; RESET SLAVE ALL');
	return;
}

sub follow { my $server = shift; sql("ALTER SERVER mysql OPTIONS (SET port '$server->{port}')"); return; }

foreach my $server ($primary, $replica)
{
	mysql_query($server, $product ? 'RESET BINARY LOGS AND GTIDS' : "RESET MASTER; SET GLOBAL gtid_slave_pos = ''");
}
replicate($primary, $replica);
mysql_server($node, $primary);
on($primary, q{CREATE TABLE item (id int PRIMARY KEY, v varchar(20)); INSERT INTO item VALUES (1, 'a'), (2, 'b'), (3, 'c')});
# its numbers are higher than those of the replica
on($primary, 'FLUSH BINARY LOGS') foreach 1 .. 5;
sql(q{
	CREATE FOREIGN TABLE item_source (id int OPTIONS (key 'true'), v text) SERVER mysql OPTIONS (table_name 'item', stream_mode 'binlog');
	CREATE TABLE log_sink (seen bigserial, id int, v text);
	SELECT feathub.create_feature_group('item', 'item_source', '{id}');
	SELECT feathub.create_job('log', source => 'item_source', sink => 'log_sink', query => 'SELECT id, v FROM batch', start => 'latest');
});
poll_query($node, q{SELECT count(*) FROM feathub.job_partition WHERE job = 'log' AND position IS NOT NULL}, '1', 'the job has begun');

my $number = 100;
my @expected;

sub write_on
{
	my $server = shift;
	foreach (1 .. 3)
	{
		my ($from, $to) = ($number + 1, $number += 100);
		on($server, 'INSERT INTO item VALUES ' . join(', ', map { "($_, 'v')" } $from .. $to));
		push @expected, $from .. $to;
	}
	return;
}

sub check
{
	my $what = shift;
	wait_for($_) foreach 'item', 'log';
	my $seen = sql(q{SELECT string_agg(id::text, ' ' ORDER BY seen) FROM log_sink});
	ok($seen eq join(' ', @expected), "$what: each once, in order")
	  or diag('got ' . split(' ', $seen) . ', expected ' . @expected);
	is(sql(q{SELECT count(*) FROM ((SELECT id, v FROM item_source EXCEPT SELECT id, v FROM item_online) UNION ALL
		(SELECT id, v FROM item_online EXCEPT SELECT id, v FROM item_source)) x}), '0', "$what: the same");
	return;
}

# While the jobs run: the primary is gone, its replica takes over, one file of its log
# being that of before.  XA transactions are prepared on the one and ended on the other.

write_on($primary);
prepare($primary, "'x1'", q{INSERT INTO item VALUES (51, 'x1'), (52, 'x1')});
prepare($primary, "'x2'", q{INSERT INTO item VALUES (53, 'x2')});
check('before');
catch_up($primary, $replica);
mysql_kill($primary);
promote($replica);
on($replica, q{XA ROLLBACK 'x2'; XA COMMIT 'x1'; DELETE FROM item WHERE id = 2});
push @expected, 51, 52;
follow($replica);
write_on($replica);
check('another server');
my ($log) = slurp_file($node->logfile) =~ /going on at another server, by GTIDs/;
ok($log, 'which is told');

# Within a transaction: of some of its rows applied, and back to the first server, which
# has become a replica.  The jobs are stopped meanwhile, and both logs go on.

mysql_restart($primary);
replicate($replica, $primary);
catch_up($replica, $primary);
sql(q{SELECT feathub.pause_job('log'), feathub.pause_job('item')});
poll_query($node, 'SELECT sum(workers_running) FROM feathub.job_status', '0', 'the workers have ended');
write_on($replica);
catch_up($replica, $primary);
promote($primary);
write_on($primary);
follow($primary);
sql(q{SELECT feathub.resume_job('log'), feathub.resume_job('item')});
check('back again');
my $all = on($primary, $executed);
my ($last) = $all =~ /(\d+)$/;
my ($gtid, $before);
if ($product)
{
	# the first server's own intervals may not be the last ones
	my $uuid = on($primary, 'SELECT @@server_uuid');
	my ($mine) = $all =~ /$uuid:1-(\d+)/;
	($gtid, $before) = ("$uuid:$mine", $all =~ s/\s|\\n//gr =~ s/($uuid:1-)(\d+)/$1 . ($2 - 1)/er);
}
else
{
	($gtid, $before) = ("0-11-$last", '0-11-' . ($last - 1));
}
sql(q{TRUNCATE log_sink; SELECT feathub.pause_job('log')});
sql("SELECT feathub.rewind_job('log', '0 second.000001:77+30\@$gtid $before'); SELECT feathub.resume_job('log')");
@expected = $number - 69 .. $number;
check('within a transaction');

# A server that lacks what was applied: as it is, and when it has gone on by itself.

foreach my $own (0, 1)
{
	on($replica, q{INSERT INTO item VALUES (90, 'own'), (91, 'own')}) if $own;
	follow($replica);
	sql(q{SELECT feathub.pause_job('log'), feathub.pause_job('item'); SELECT feathub.resume_job('log'), feathub.resume_job('item')});
	error_of('log', qr/lacks transactions that the job has applied/, 'a server that lacks transactions' . ($own ? ', and has others' : ''));
	poll_until(sub { sql(q{SELECT count(*) FROM feathub.job_status WHERE state = 'failed'}) eq '2' }, 'the jobs have stopped');
	follow($primary);
	sql(q{SELECT feathub.resume_job('log'), feathub.resume_job('item')});
	write_on($primary);
	check('with those it has');
}

# Without GTIDs: by file and position.

if ($product)
{
	on($primary, 'SET GLOBAL gtid_mode = ON_PERMISSIVE; SET GLOBAL gtid_mode = OFF_PERMISSIVE; SET GLOBAL gtid_mode = OFF');
	write_on($primary);
	check('without GTIDs');
	prepare($primary, "'y1'", q{INSERT INTO item VALUES (61, 'y1'), (62, 'y1')});
	foreach my $round (1 .. 3)
	{
		sql(q{SELECT feathub.pause_job('log'), feathub.pause_job('item')});
		on($primary, 'FLUSH BINARY LOGS') if $round == 1;
		write_on($primary);
		if ($round == 2)
		{
			mysql_kill($primary);
			mysql_restart($primary);
			on($primary, 'SET GLOBAL gtid_mode = ON_PERMISSIVE; SET GLOBAL gtid_mode = OFF_PERMISSIVE; SET GLOBAL gtid_mode = OFF');
			on($primary, q{XA COMMIT 'y1'});
			push @expected, 61, 62;
		}
		sql(q{SELECT feathub.resume_job('log'), feathub.resume_job('item')});
		check("without GTIDs, restart $round");
	}
	like(sql(q{SELECT position FROM feathub.job_partition WHERE job = 'log'}), qr/^\d+ first\.\d+:\d+ \S+$/, 'the position');

	# the middle of a transaction
	my ($file, $place) = split ' ', on($primary, $end);
	write_on($primary);
	check('more');
	sql(q{TRUNCATE log_sink; SELECT feathub.pause_job('log')});
	sql("SELECT feathub.rewind_job('log', '0 $file:$place+30 -'); SELECT feathub.resume_job('log')");
	@expected = $number - 269 .. $number;
	check('without GTIDs, within a transaction');
	follow($replica);
	sql(q{SELECT feathub.pause_job('log'); SELECT feathub.resume_job('log')});
	error_of('log', qr/is of another server or key/, 'another server is of no use');
}

# A session that logs less: nothing is lost in silence.

follow($primary);
sql(q{SELECT feathub.drop_job('log'); SELECT feathub.drop_feature_group('item')});
on($primary, q{CREATE TABLE doc (id int PRIMARY KEY, n int, t text); INSERT INTO doc VALUES (1, 1, 'one'), (2, 2, 'two')});
sql(q{
	CREATE FOREIGN TABLE doc_source (id int OPTIONS (key 'true'), n int, t text) SERVER mysql OPTIONS (table_name 'doc', stream_mode 'binlog');
	CREATE FOREIGN TABLE number_source (id int OPTIONS (key 'true'), n int) SERVER mysql OPTIONS (table_name 'doc', stream_mode 'binlog');
	SELECT feathub.create_feature_group('doc', 'doc_source', '{id}');
	SELECT feathub.create_feature_group('number', 'number_source', '{id}');
});
wait_for($_) foreach 'doc', 'number';

sub rewind { my $job = shift; sql("SELECT feathub.pause_job('$job'), feathub.rewind_job('$job', 'earliest'), feathub.resume_job('$job')"); return; }
sub hinted { my $like = shift; like(slurp_file($node->logfile), $like, 'and what to do'); return; }

on($primary, q{SET SESSION binlog_row_image = NOBLOB; UPDATE doc SET n = 10 WHERE id = 1; DELETE FROM doc WHERE id = 2});
error_of('doc', qr/cannot be followed behind binary log "first\.\d+" position \d+: a row was logged without all of its columns/, 'NOBLOB');
hinted(qr/HINT:  A session has set binlog_row_image to another value than FULL\. To read the table anew, call feathub\.rewind_job with 'earliest'/);
wait_for('number');
is(sql('SELECT id, n FROM number_online'), '1|10', 'whoever does not need that column goes on');
rewind('doc');
wait_for('doc');
is(sql('SELECT n FROM doc_online WHERE id = 1'), '10', 'read anew');
foreach my $statement ('UPDATE doc SET n = 11 WHERE id = 1', 'DELETE FROM doc WHERE id = 3')
{
	on($primary, "INSERT INTO doc VALUES (3, 3, 'three') ON DUPLICATE KEY UPDATE n = 4; SET SESSION binlog_row_image = MINIMAL; $statement");
	error_of($_, qr/a row was logged without all of its columns/, "MINIMAL, $_: $statement") foreach 'doc', 'number';
	rewind($_) foreach 'doc', 'number';
	wait_for($_) foreach 'doc', 'number';
}
# what was deleted meanwhile is not found out
on($primary, q{INSERT INTO doc VALUES (3, 3, 'three'); DELETE FROM doc WHERE id = 3});
on($primary, q{SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ; SET SESSION binlog_format = STATEMENT; UPDATE doc SET n = 12 WHERE id = 1});
error_of($_, qr/the log has a statement instead of rows: UPDATE doc SET n = 12 WHERE id = 1/, "STATEMENT, $_") foreach 'doc', 'number';
hinted(qr/HINT:  A session has set binlog_format to another value than ROW\. To read the table anew, call feathub\.rewind_job with 'earliest'/);
foreach my $image ('NOBLOB', 'MINIMAL')
{
	on($primary, "SET GLOBAL binlog_row_image = $image");
	rewind('doc');
	error_of('doc', qr/The server's binlog_row_image is $image, not FULL|table "doc_source" cannot be followed/, "$image, before the job begins");
	hinted(qr/The server's binlog_row_image is $image, not FULL\..*HINT:  On the server: SET GLOBAL binlog_row_image = 'FULL', and in its configuration; sessions that are open keep theirs\./s);
}
on($primary, 'SET GLOBAL binlog_row_image = FULL');
rewind($_) foreach 'doc', 'number';
wait_for($_) foreach 'doc', 'number';
is(sql('SELECT d.id, d.n, d.t, n.n FROM doc_online d JOIN number_online n USING (id) ORDER BY 1'), '1|12|one|12', 'and in the end');

done_testing();
