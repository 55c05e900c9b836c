# 317_mysql_binlog.pl
#	The decoder of binary logs against MariaDB: whatever is written, its rows are
#	what SELECT says afterwards.  And sets of GTIDs, of both products.

use strict;
use warnings;

use FeathubBinlog;
use FeathubMysql;
use FeathubTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->start;
binlog_functions($node);

my $maria = mysql_start(options => [ '--log-bin=binlog', '--binlog-format=ROW', '--binlog-row-metadata=FULL',
		'--character-set-server=utf8mb4' ]);
binlog_test($node, $maria, 'MariaDB');

# MariaDB's own: compressed events and columns, its types, statements
mysql_query($maria, 'SET GLOBAL log_bin_compress = ON, GLOBAL log_bin_compress_min_len = 10');
binlog_begin($maria);
mysql_query($maria, $binlog_types);
my @items = binlog_items($node, $maria);
binlog_compare($maria, \@items, 'MariaDB: compressed events');
mysql_query($maria, 'SET GLOBAL log_bin_compress = OFF');

binlog_begin($maria);
mysql_query($maria, q{
	USE shop; CREATE TABLE c (id int PRIMARY KEY, v varchar(1000) COMPRESSED, b blob COMPRESSED, t longtext COMPRESSED CHARACTER SET latin1, e varchar(10));
	INSERT INTO c VALUES (1, repeat('abc', 300), repeat('\0x', 5000), repeat('é', 9000), 'e'), (2, 'short', '', 'ü', ''), (3, NULL, NULL, NULL, NULL), (4, '', 'x', '', 'y');
	CREATE TABLE u (id int PRIMARY KEY, u uuid, i6 inet6, i4 inet4, b binary(16));
	INSERT INTO u VALUES (1, '123e4567-e89b-12d3-a456-426614174000', '2001:db8::1', '10.0.0.0', 'x'), (2, '00000000-0000-0000-0000-000000000000', '::', '0.0.0.0', ''),
	 (3, 'ffffffff-ffff-ffff-bfff-ffffffffffff', '::ffff:1.2.3.4', '255.255.255.255', NULL), (4, NULL, 'fe80::', NULL, NULL), (5, '018f2b3c-4d5e-7f00-8a0b-0c0d0e0f0000', '1:0:0:2::', '1.2.3.0', 'y'),
	 (6, uuid(), '::1.2.3.4', '127.0.0.1', 'z');
	CREATE TABLE v (id int PRIMARY KEY, a int INVISIBLE, g int AS (id + 1) STORED, h int AS (id + 2) VIRTUAL) WITH SYSTEM VERSIONING;
	INSERT INTO v (id, a) VALUES (1, 1);
	CREATE TABLE old (id int PRIMARY KEY); CREATE TABLE s AS SELECT 1 AS id; SET STATEMENT lock_wait_timeout = 5 FOR ALTER TABLE s ADD b int;
	CREATE SEQUENCE q; SELECT nextval(q);
});
@items = binlog_items($node, $maria, 'u.2=uuid;u.3=inet6;u.4=inet4;v=skip;q=skip');
binlog_compare($maria, \@items, "MariaDB: its own types", tables => [ 'c', 'u' ]);
is(scalar(grep { /^QUERY (DML|OTHER)/ } @items), 0, 'MariaDB: DDL is told as such');

# old formats of times
mysql_query($maria, 'SET GLOBAL mysql56_temporal_format = OFF');
binlog_begin($maria);
mysql_query($maria, q{
	USE shop; SET time_zone = '+00:00', sql_mode = ''; CREATE TABLE t (id int PRIMARY KEY, t time, d datetime, s timestamp NULL);
	INSERT INTO t VALUES (1, '-838:59:59', '1000-01-01 00:00:00', '1970-01-01 00:00:01'), (2, '838:59:59', '9999-12-31 23:59:59', '2038-01-19 03:14:07'), (3, 0, 0, 0), (4, NULL, NULL, NULL);
});
@items = binlog_items($node, $maria);
binlog_compare($maria, \@items, 'MariaDB: old times');

# sets of GTIDs
my $gtid = sub { $node->safe_psql('postgres', 'SELECT gtid_set(' . join(', ', $_[0], map { "'$_'" } @_[ 1 .. 3 ]) . ')') };
my $uuid = '68a43294-e63d-11f1-8a7c-02fc00000001';
my $uuid2 = '68a43294-e63d-11f1-8a7c-02fc00000002';
is($gtid->('false', 'parse', " $uuid2:7,\n" . uc($uuid) . ":5-9 : 1-3:4:11", ''), "$uuid:1-5:6-9:11,$uuid2:7" =~ s/1-5:6-9/1-9/r, 'a set is made canonical');
is($gtid->('false', 'parse', "$uuid:1:Tag_1:5-6:7:a:1", ''), "$uuid:1:a:1:tag_1:5-7", 'tags');
is($gtid->('false', 'union', "$uuid:1-3:7-9", "$uuid:4-6,$uuid2:tag:1"), "$uuid:1-9,$uuid2:tag:1", 'union');
is($gtid->('false', 'includes', "$uuid:1-9", "$uuid:2-3:5"), 'yes', 'includes');
is($gtid->('false', 'includes', "$uuid:1-3:5-9", "$uuid:3-5"), 'no', 'does not include a gap');
is($gtid->('false', 'includes', "$uuid:1-9", "$uuid:tag:1"), 'no', 'a tag is another source');
like($gtid->('false', 'parse', $_, ''), qr/^ERROR/, "not a set: $_")
  foreach ("$uuid", "$uuid:", "$uuid:0", "$uuid:1-", "x:1", "$uuid:1;", "$uuid:9223372036854775807", "$uuid:tag", "$uuid:" . 'a' x 33 . ':1');
is($gtid->('false', 'encode', "$uuid:1-3:5", ''),
	'010000000000000068a43294e63d11f18a7c02fc00000001' . '0200000000000000' . '01000000000000000400000000000000' .
	  "05000000000000000600000000000000 $uuid:1-3:5", 'as the server takes it');
is($gtid->('false', 'encode', "$uuid:1:mytag:1-2", ''),
	'010200000000000168a43294e63d11f18a7c02fc00000001' . '00' . '010000000000000001000000000000000200000000000000' .
	  '68a43294e63d11f18a7c02fc00000001' . '0a6d79746167' . '010000000000000001000000000000000300000000000000' .
	  " $uuid:1:mytag:1-2", 'with tags');
is($gtid->('true', 'parse', '1-2-3, 0-1-18446744073709551615', ''), '0-1-18446744073709551615,1-2-3', 'MariaDB');
is($gtid->('true', 'union', '0-1-5,1-1-1', '0-2-7,1-1-0'), '0-2-7,1-1-1', 'MariaDB: union');
is($gtid->('true', 'includes', '0-1-5', '0-9-5'), 'yes', 'MariaDB: includes');
like($gtid->('true', 'parse', $_, ''), qr/^ERROR/, "not a list: $_") foreach ('0-1', '0-1-2,', '0-1-2,0-2-3', '4294967296-1-1', 'a');

# The order of positions, across servers: each line is behind those before it, and
# what it has is the same place.
foreach my $kind ([ 'MySQL', "$uuid:1-5", "$uuid:6", "$uuid:1-6", "$uuid:1-6,$uuid2:1" ], [ 'MariaDB', '0-1-5,1-1-3', '0-2-6', '0-2-6,1-1-3', '0-2-6,1-1-3,7-1-1' ])
{
	my ($name, $before, $gtid, $behind, $later) = @$kind;
	my @order = ([ "0 first.000009:700 $before", "0 none.0:4 $before", "0 second.000001:4 $before" ],
		[ "0 second.000001:90+0\@$gtid -" ],
		[ "1 first.000009:700+1\@$gtid $before", "1 second.000001:4+1\@$gtid $before", "1 second.000001:90+1\@$gtid -" ],
		[ "2 first.000009:700+2\@$gtid $before" ],
		[ "9 second.000001:300 $behind", "9 first.000009:1500 $behind xa:61..1\@first.000002:4" ],
		[ "9 first.000010:4 $later", "9 second.000002:4 $later" ]);
	my @flat = map { my $i = $_; map { [ $i, $_ ] } @{ $order[$i] } } 0 .. $#order;
	my @wrong;

	foreach my $a (@flat)
	{
		foreach my $b (@flat)
		{
			my $is = $node->safe_psql('postgres', "SELECT sign(compare_positions('$a->[1]', '$b->[1]'))");
			push @wrong, "$a->[1] / $b->[1]: $is" if $is ne ($a->[0] <=> $b->[0]);
		}
	}
	is(join("\n", @wrong), '', "$name: the order of positions");
}

# bytes that are none: never a crash, always an error
binlog_begin($maria);
mysql_query($maria, 'CREATE TABLE shop.d (id int PRIMARY KEY, v varchar(10)); INSERT INTO shop.d VALUES (1, 1)');
binlog_items($node, $maria);
my $bytes = slurp_file("$maria->{dir}/copy");
foreach my $cut (5, 20, 100, length($bytes) - 60)
{
	append_to_file("$maria->{dir}/cut$cut", substr($bytes, 0, $cut));
	chmod 0644, "$maria->{dir}/cut$cut";
	like($node->safe_psql('postgres', "SELECT convert_from(read_binlog('$maria->{dir}/cut$cut', true, ''), 'UTF8')"), qr/^ERROR.*event/m, "cut off at $cut");
}
substr($bytes, length($bytes) - 30, 1) ^= 'x';
append_to_file("$maria->{dir}/flip", $bytes);
chmod 0644, "$maria->{dir}/flip";
like($node->safe_psql('postgres', "SELECT convert_from(read_binlog('$maria->{dir}/flip', true, ''), 'UTF8')"), qr/^ERROR event's checksum does not match/m, 'a wrong checksum');
# events that no file has, or that are rare: made by hand, without checksums
my $format = substr($bytes, 4, unpack('V', substr($bytes, 13, 4)));
substr($format, -5, 1) = "\0";

sub event
{
	my ($type, $body, %opt) = @_;
	return pack('VCVVVv', $opt{time} || 0, $type, 1, 19 + length($body), $opt{position} || 0, $opt{flags} || 0) . $body;
}

sub query
{
	my $text = shift;
	return event(2, pack('VVCvv', 1, 0, 4, 0, 0) . "shop\0$text");
}

my $files = 0;

sub items_of
{
	my $file = "$maria->{dir}/made" . $files++;

	append_to_file($file, "\xfebin$format" . join('', @_));
	chmod 0644, $file;
	my $text = $node->safe_psql('postgres', "SELECT convert_from(read_binlog('$file', true, ''), 'UTF8')");
	$text =~ s/^ FORMAT[^\n]*\n?//;
	$text =~ s/ \(event of type.*?\)(?=( HINT|$))//mg;
	$text =~ s/ time=0 \(seconds\)//g;
	return $text =~ s/\n+\z//r;
}

my $gtid1 = event(162, pack('QVC', 5, 0, 0) . "\0" x 6);
my $xid = event(16, pack('Q', 1));

is(items_of(event(27, 'binlog.000007', position => 1234)), ' HEARTBEAT=binlog.000007 1234', 'heartbeat');
is(items_of(event(41, "\x01\x0dbinlog.000007\x02\x09\xfe" . pack('Q', 5_000_000_000) . "\x07\x01x\0")),
	' HEARTBEAT=binlog.000007 5000000000', 'heartbeat beyond 4 GB');
is(items_of(event(4, pack('Q', 4) . 'binlog.000008')), ' ROTATE=binlog.000008 4', 'rotate');
is(items_of(event(3, '')), 'STOP', 'stop');
is(items_of(event(160, 'INSERT 1'), event(161, 'x'), event(164, 'x')), ' STATEMENT=INSERT 1', 'annotations');
like(items_of(event(26, pack('vC', 1, 4) . 'LOST')),
	qr/^ERROR \(unsupported\) the server reports incident 1: LOST HINT The log lacks changes/, 'incident');
like(items_of(event(99, 'x'), event(3, '')), qr/^ERROR \(unsupported\) event of an unknown type/, 'an unknown event is an error');
is(items_of(event(99, 'x', flags => 0x80), event(3, '')), 'STOP', 'unless it may be ignored');
like(items_of(event(172, 'x')), qr/^ERROR \(unsupported\) rows are split/, 'split rows');
is(items_of($gtid1, $gtid1), "BEGIN 0-1-5\nERROR a transaction begins before the last one has ended", 'a transaction without end');
is(items_of($xid), 'ERROR a transaction ends that has not begun', 'an end without transaction');
is(items_of(event(19, pack('VvV', 1, 0, 0))), 'ERROR rows come outside of a transaction', 'rows without transaction');
like(items_of($gtid1, event(23, pack('VvvC', 7, 0, 0, 1) . "\xff\0")), qr/^BEGIN 0-1-5\nERROR rows of table number 7, which was not described/, 'rows without a table');
# a time of creation is told of the first file after a start only
my $restart = $format;
substr($restart, 71, 4) = pack('V', 1);
is(items_of($gtid1, query('INSERT INTO t VALUES (1)'), $restart, event(3, '')) =~ s/\n FORMAT[^\n]*//r,
	"BEGIN 0-1-5\nQUERY DML database=shop query=INSERT INTO t VALUES (1)\nROLLBACK 0-1-5\nSTOP", 'what a server did when it ended is rolled back');
is(items_of(query('BEGIN'), query('COMMIT')), "BEGIN ANONYMOUS\nCOMMIT ANONYMOUS", 'without GTID');
is(items_of(query('BEGIN'), query("ROLLBACK TO SAVEPOINT `a`"), query('ROLLBACK')), "BEGIN ANONYMOUS\nROLLBACK TO a\nROLLBACK ANONYMOUS", 'rolled back');
foreach my $case (
	[ 'DDL', 'create table t (a int)', '/* c */ ALTER TABLE t ADD b int', '/*!40000 DROP TABLE t */', "-- c\n# d\n rename table a to b",
		'TRUNCATE t', 'SET STATEMENT max_statement_time=1 FOR CREATE INDEX i ON t (a)', '/*M!100100 ALTER TABLE t */' ],
	[ 'DML', 'insert into t values (1)', 'WITH x AS (SELECT 1) DELETE FROM t', 'CALL p()', 'BEGIN NOT ATOMIC INSERT INTO t VALUES (1); END',
		'LOAD DATA INFILE \'x\' INTO TABLE t', 'SET STATEMENT max_statement_time=1 FOR UPDATE t SET a = 1', 'something new', '(SELECT f())', 'alternate' ],
	[ 'OTHER', 'GRANT ALL ON t TO x', 'FLUSH TABLES', 'ANALYZE TABLE t', 'set password = \'x\'', 'RELEASE SAVEPOINT x' ])
{
	my ($type, @texts) = @$case;

	is(items_of(query($_)), "BEGIN ANONYMOUS\nQUERY $type database=shop query=$_\nCOMMIT ANONYMOUS", "$type: " . s/\n/ /r) foreach @texts;
}
mysql_stop($maria);

$node->stop;
done_testing();
