# FeathubBinlog.pm
#	Reads binary logs of a test's server with the decoder of jobs.
#
#	use FeathubBinlog;
#
#	binlog_functions($node);                     # skips the file without the module
#	binlog_begin($server);                       # a new log file, database "shop" empty
#	mysql_query($server, '...');
#	my @items = binlog_items($node, $server);    # lines, see test_binlog_module.c
#	binlog_compare($server, \@items, 'name');    # its rows against SELECT
#	binlog_test($node, $server, 'product');      # the tests of both products
package FeathubBinlog;

use strict;
use warnings;

use Exporter 'import';
use File::Copy ();
use FeathubMysql;
use Test::More;

our @EXPORT = qw(
  binlog_functions
  binlog_begin
  binlog_items
  binlog_compare
  binlog_test
  $binlog_types
  $binlog_json
);

sub binlog_functions
{
	my $node = shift;
	my $module = $ENV{FEATHUB_BINLOG_MODULE} || '';

	plan(skip_all => 'no decoder (FEATHUB_BINLOG_MODULE)') unless -e $module;
	$node->safe_psql('postgres', qq{
		CREATE FUNCTION read_binlog(text, bool, text) RETURNS bytea STRICT LANGUAGE C AS '$module';
		CREATE FUNCTION read_binlog_speed(text, bool, int) RETURNS float8 STRICT LANGUAGE C AS '$module';
		CREATE FUNCTION gtid_set(bool, text, text, text) RETURNS text STRICT LANGUAGE C AS '$module';
		CREATE FUNCTION compare_positions(text, text) RETURNS int STRICT LANGUAGE C AS '$module';
	});
}

sub binlog_begin
{
	my $server = shift;

	mysql_query($server, q{
		DROP DATABASE IF EXISTS shop; CREATE DATABASE shop CHARACTER SET utf8mb4; FLUSH LOGS;
	});
	my @files = split(/\n/, mysql_query($server, 'SHOW BINARY LOGS'));
	($server->{binlog}) = $files[-1] =~ /^(\S+)/;
}

# The items since binlog_begin; "names" tells what the log lacks.
sub binlog_items
{
	my ($node, $server, $names) = @_;
	my $mariadb = $server->{mysql} ? 'false' : 'true';
	my $copy = "$server->{dir}/copy";
	my $hex;

	mysql_query($server, 'FLUSH LOGS');
	File::Copy::copy("$server->{dir}/data/$server->{binlog}", $copy) or die "could not copy: $!";
	chmod 0644, $copy;
	$names = '' unless defined $names;
	$names =~ s/'/''/g;
	$hex = $node->safe_psql('postgres',
		"SET bytea_output = 'hex'; SELECT read_binlog('$copy', $mariadb, '$names')");
	$hex =~ s/^\\x//;
	return split(/\n/, pack('H*', $hex));
}

# Apply the rows, by their first columns, and compare with what the tables hold.
sub binlog_compare
{
	my ($server, $items, $name, %opt) = @_;
	my %tables;
	my @wrong;

	foreach my $item (@$items)
	{
		push @wrong, $item if $item =~ /^ERROR/;
		next unless $item =~ /^(INSERT|UPDATE|DELETE) (\S+) \d+\t(.*)$/s;
		my ($operation, $table, $row) = ($1, $2, $3);
		my ($before, $after) = $operation eq 'UPDATE' ? split(/\t=>\t/, $row) :
		  $operation eq 'INSERT' ? (undef, $row) : ($row, undef);
		my $rows = ($tables{$table} ||= {});
		my $was;

		if (defined $before)
		{
			my ($key) = split(/\t/, $before);

			$was = delete $rows->{$key};
			push @wrong, "before: $before\nis:     " . ($was || 'none')
			  unless $opt{minimal} || (defined $was && $was eq $before);
		}
		if (defined $after)
		{
			# what an image lacks is as it was; in a new row, it is the default
			my @new = split(/\t/, $after, -1);
			my @old = defined $was ? split(/\t/, $was, -1) : ();
			@new = map { $new[$_] eq '-' ? $old[$_] : $new[$_] } 0 .. $#new if $opt{minimal} && @old;
			$rows->{ $new[0] } = join("\t", @new);
		}
	}
	foreach my $table ($opt{tables} ? @{ $opt{tables} } : sort keys %tables)
	{
		my @columns = map { [ split(/\t/) ] } split(/\n/, mysql_query($server, qq{
			SELECT column_name, data_type FROM information_schema.columns
			WHERE table_schema = 'shop' AND table_name = '$table' ORDER BY ordinal_position}));
		# FLOAT has only six digits as text
		my $list = join(', ', map { $_->[1] eq 'float' ? "CAST(`$_->[0]` AS DOUBLE)" : "`$_->[0]`" } @columns);
		my %expected = map { (split(/\t/))[0] => $_ }
		  split(/\n/, mysql_query($server, "SET time_zone = '+00:00'; SELECT $list FROM shop.`$table`"));

		foreach my $key (sort keys %expected)
		{
			my $row = delete $tables{$table}{$key};

			if (!defined $row)
			{
				push @wrong, "$table: no row $key";
				next;
			}
			my @expected = split(/\t/, $expected{$key}, -1);
			my @got = split(/\t/, $row, -1);
			foreach my $i (0 .. $#expected)
			{
				push @wrong, sprintf("%s %s: row %s: expected %.200s, got %.200s", $table,
					$columns[$i][0], $key, $expected[$i], defined $got[$i] ? $got[$i] : 'nothing')
				  if !defined $got[$i] ||
				  ($expected[$i] ne $got[$i] && !($opt{minimal} && $got[$i] eq '-'));
			}
		}
		push @wrong, map { "$table: row $_ is too many" } sort keys %{ $tables{$table} };
	}
	is(join("\n", @wrong[0 .. ($#wrong > 20 ? 20 : $#wrong)]), '', $name);
}

# Values and extremes of all types that both servers have.
our $binlog_types = <<'SQL';
USE shop; SET sql_mode = '', time_zone = '+00:00';
CREATE TABLE nums (id int primary key, ti tinyint, tu tinyint unsigned, si smallint, su smallint unsigned, mi mediumint, mu mediumint unsigned, i int, iu int unsigned, b bigint, bu bigint unsigned, y year, f float, d double, du double unsigned, n1 decimal(10,2), n2 decimal(65,30), n3 decimal(5,5), n4 decimal(65,0) unsigned, n5 decimal(18,9), n6 decimal(1,0), b1 bit(1), b9 bit(9), b64 bit(64), bo bool);
INSERT INTO nums VALUES (1,-128,0,-32768,0,-8388608,0,-2147483648,0,-9223372036854775808,0,1901,-3.4028234e38,-1.7976931348623157e308,0,-99999999.99,-99999999999999999999999999999999999.999999999999999999999999999999,-0.99999,0,-999999999.999999999,-9,b'0',b'0',b'0',0);
INSERT INTO nums VALUES (2,127,255,32767,65535,8388607,16777215,2147483647,4294967295,9223372036854775807,18446744073709551615,2155,3.4028234e38,1.7976931348623157e308,1e300,99999999.99,99999999999999999999999999999999999.999999999999999999999999999999,0.99999,99999999999999999999999999999999999999999999999999999999999999999,999999999.999999999,9,b'1',b'111111111',b'1111111111111111111111111111111111111111111111111111111111111111',1);
INSERT INTO nums VALUES (3,0,128,0,32768,0,8388608,0,2147483648,0,9223372036854775808,0,0,0,0,0,0,0,0,0,0,b'1',b'1',b'1',1);
INSERT INTO nums VALUES (4,-1,200,-1,65000,-1,16000000,-1,4000000000,-1,10000000000000000000,2024,0.1,0.1,123456789.123456789,-0.01,-0.000000000000000000000000000001,-0.00001,1,-0.000000001,-1,b'0',b'100000001',b'1000000000000000000000000000000000000000000000000000000000000001',0);
INSERT INTO nums (id) VALUES (5);
INSERT INTO nums (id, d, f, du) VALUES (6, 1e15, 1e15, 1e16),(7, 123456789012345678, 16777217, 1e-14),(8, 1e-15, 1e-5, 1.5e-7),(9, 2.2250738585072014e-308, 1.17549435e-38, 5e-324),(10, 0.3, 1e10, 123456.789e10),(11,-0.0,-0.0,1e22),(12,1e14,99999.99,999999999999999),(13,5e21,7.0,100),(14,1234567890123456,0.00001,1e21);
INSERT INTO nums (id, n5, n2, n1) VALUES (15, 1.5, 123456789012345678901234567890.5, 100), (16, 100000000, 1000000000, 1000000), (17, 0.000000010, 0.1, 0.50);
UPDATE nums SET ti = ti + 1, b = 5 WHERE id IN (1,3,4);
DELETE FROM nums WHERE id = 12;
CREATE TABLE times (id int primary key, d date, t0 time, t1 time(1), t2 time(2), t3 time(3), t4 time(4), t5 time(5), t6 time(6), dt0 datetime, dt1 datetime(1), dt2 datetime(2), dt3 datetime(3), dt4 datetime(4), dt5 datetime(5), dt6 datetime(6), ts0 timestamp NULL, ts1 timestamp(1) NULL, ts3 timestamp(3) NULL, ts6 timestamp(6) NULL, y year);
INSERT INTO times VALUES (1,'1000-01-01','-838:59:59','-838:59:59','-00:00:00.01','-00:00:00.001','-01:02:03.0004','-00:00:59.99999','-838:59:58.999999','1000-01-01 00:00:00','1000-01-01 00:00:00.1','1000-01-01 00:00:00.01','1000-01-01 00:00:00.001','1000-01-01 00:00:00.0001','1000-01-01 00:00:00.00001','1000-01-01 00:00:00.000001','1970-01-01 00:00:01','1970-01-01 00:00:01','1970-01-01 00:00:01.001','1970-01-01 00:00:01.000001',1901);
INSERT INTO times VALUES (2,'9999-12-31','838:59:59','838:59:58.9','838:59:58.99','838:59:58.999','838:59:58.9999','838:59:58.99999','838:59:58.999999','9999-12-31 23:59:59','9999-12-31 23:59:59.9','9999-12-31 23:59:59.99','9999-12-31 23:59:59.999','9999-12-31 23:59:59.9999','9999-12-31 23:59:59.99999','9999-12-31 23:59:59.999999','2038-01-19 03:14:07','2038-01-19 03:14:07.9','2038-01-19 03:14:07.999','2038-01-19 03:14:07.999999',2155);
INSERT INTO times VALUES (3,'0000-00-00','00:00:00',0,0,0,0,0,0,'0000-00-00 00:00:00','0000-00-00 00:00:00',0,0,0,0,0,'0000-00-00 00:00:00',0,0,0,0);
INSERT INTO times VALUES (4,'2024-02-29','-00:00:01','-00:00:00.5','-12:34:56.78','-100:00:00.123','99:59:59.1234','-99:59:59.00001','-00:00:00.000001','2024-02-29 12:34:56','2024-02-29 12:34:56.5','2024-02-29 12:34:56.56','2024-02-29 12:34:56.567','2024-02-29 12:34:56.5678','2024-02-29 12:34:56.56789','2024-02-29 12:34:56.567891','2024-02-29 23:59:59','2000-02-29 23:59:59.5','1999-12-31 23:59:59.999','2001-03-01 00:00:00.000001',1970);
INSERT INTO times (id,d) VALUES (5,'2024-00-00'),(6,'2023-11-00'),(7,NULL);
CREATE TABLE texts (id int primary key, c char(10), vc varchar(300), c255 char(255), vb varbinary(300), bi binary(16), bi2 binary(255), tt tinytext, t text, mt mediumtext, lt longtext, tb tinyblob, b blob, mb mediumblob, lb longblob, e enum('a','b,c','ü€','') , s set('x','y','ü€','w'), e2 enum('one','two') character set latin1, s2 set('é','f') character set latin1, l1 varchar(100) character set latin1, l1t text character set latin1, l2 varchar(50) character set latin2, u2 varchar(50) character set ucs2, u16 char(20) character set utf16, u32 varchar(20) character set utf32, u16l text character set utf16le, cp1251 varchar(50) character set cp1251, sj varchar(50) character set sjis, gb varchar(50) character set gbk, big varchar(50) character set big5, ej varchar(50) character set ujis, ek varchar(50) character set euckr, asc1 char(20) character set ascii, gr varchar(50) character set greek, k8 varchar(30) character set koi8r, u3 varchar(30) character set utf8mb3, cb char(20) character set utf8mb4 collate utf8mb4_bin) character set utf8mb4;
INSERT INTO texts VALUES (1,'abc  ','vc  ','c255','\0\1\2\t\n\\','ab\0\0','x','tt','t','mt','lt','tb\0','b','mb','lb','a','x','one','é','Grüße €“„ ÿ','é','Zażółć','Ünïcödé','utf16 ✓','utf32 ✓ 😀','le ✓ 😀','Привет','日本語テスト','中文测试','中文測試','日本語','한국어','ascii','Ελληνικά','Привет','héé','😀 bin');
INSERT INTO texts VALUES (2,'','','','','','','','','','','','','','','','','two','f','','','','','','','','','','','','','','','','','','');
INSERT INTO texts (id) VALUES (3);
INSERT INTO texts (id,c,vc,c255,vb,bi,bi2,t,mt,lt,b,mb,lb,e,s,e2,s2) VALUES (4,'ünïcödé 10',repeat('é',300),repeat('ü',255),repeat('\0',300),repeat('\0',16),repeat('z',255),repeat('t',60000),repeat('m',100000),repeat('l',200000),repeat('\0',60000),repeat('\0',100000),repeat('\0',200000),'b,c','x,y,ü€,w','one','é,f');
INSERT INTO texts (id,e,s,c) VALUES (5,'ü€','w,ü€','tab\tnl\nbs\\'),(6,'','',' lead'),(7,4,0,'null');
UPDATE texts SET vc='updated' WHERE id IN (1,3);
CREATE TABLE geo (id int primary key, g geometry, p point, l linestring);
INSERT INTO geo VALUES (1, ST_GeomFromText('POINT(1 2)'), ST_GeomFromText('POINT(3 4)'), ST_GeomFromText('LINESTRING(0 0,1 1)')),(2,NULL,NULL,NULL);
CREATE TABLE pk2 (b varchar(20), a int, c int, primary key (b(5), a));
INSERT INTO pk2 VALUES ('x',1,2);
CREATE TABLE mixed (id int primary key, y year, u int unsigned, s smallint, b1 bigint unsigned, b2 bigint, g point, l varchar(20) character set latin1, u8 varchar(20) character set utf8mb4, e enum('x'), n blob, h geometry, l2 text character set latin1);
INSERT INTO mixed VALUES (1,2024,4294967295,-1,18446744073709551615,-1,ST_GeomFromText('POINT(1 2)'),'é','é€','x','é',NULL,'é');
SQL

our $binlog_json = <<'SQL';
USE shop; SET time_zone = '+00:00';
CREATE TABLE js (id int primary key, j json);
INSERT INTO js VALUES (1,'null'),(2,'true'),(3,'false'),(4,'0'),(5,'-1'),(6,'32767'),(7,'-32769'),(8,'2147483648'),(9,'18446744073709551615'),(10,'-9223372036854775808'),(11,'1.5'),(12,'1e100'),(13,'1.0'),(14,'"str"'),(15,'""'),(16,'[]'),(17,'{}'),(18,'[1,2,[3,{"a":null}]]'),(19,'{"bb":1,"a":"x","ccc":[true,false]}'),(20,'"q\\"uote\\\\ \\n\\t\\b\\f\\r\\u0001 é 😀 /"'),(21,NULL),(22,'1e-20'),(23,'123456789.125'),(24,'65535'),(25,'65536'),(26,'4294967295'),(27,'[0.1, 1e15, 1e16, 123456789012345680, -0.0]');
INSERT INTO js VALUES (30, JSON_OBJECT('d', CAST(123.450 AS DECIMAL(10,3)), 'dt', CAST('2024-02-29 12:34:56.789' AS DATETIME(6)), 'da', CAST('2024-02-29' AS DATE), 't', CAST('-12:34:56.5' AS TIME(6)), 'ts', TIMESTAMP('2020-01-01 00:00:00'))), (31, CAST(CAST('x' AS BINARY) AS JSON)), (32, JSON_ARRAY(repeat('x',70000), repeat('y',200))), (33, JSON_OBJECT('big', JSON_ARRAY(repeat('x',70000), 1, 70000, -70000, 5000000000, true, null, 1.25), 'k', 'v')), (34, JSON_ARRAY(b'101', CAST(repeat('z',100) AS BINARY), CAST(-0.5 AS DECIMAL(5,2)), CAST(12345678901234567890 AS DECIMAL(30)), YEAR('2020-01-01')));
UPDATE js SET j='{"k":2}' WHERE id=17;
SQL

# The items that are no rows nor tables, without what differs from run to run.
sub _outline
{
	my $text = join("\n", grep { !/^TABLE|^ ?FORMAT|^GTIDS|^ ?ROTATE|^ ?STATEMENT/ } @_);
	$text =~ s/ time=\d+( \(seconds\))?//g;
	$text =~ s/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/UUID/g;
	$text =~ s/(UUID(:[a-z]\w*)?:)\d+/${1}N/g;
	$text =~ s/\b0-1-\d+/0-1-N/g;
	$text =~ s/ database=shop//g;
	return $text;
}

# What both have.
sub binlog_test
{
	my ($node, $server, $product) = @_;
	my $gtid = $server->{mysql} ? 'UUID:N' : '0-1-N';
	my @items;

	binlog_begin($server);
	mysql_query($server, $binlog_types);
	@items = binlog_items($node, $server);
	binlog_compare($server, \@items, "$product: all types");
	is(scalar(grep { /^ERROR/ } @items), 0, "$product: no errors");
	like((grep { /^TABLE shop.pk2 / } @items)[0], qr{ b/15 collation=\d+ not null key=1/5 a/3 not null key=2/0 c/3$},
		"$product: names, keys and character sets are told");
	like((grep { /^TABLE shop.texts / } @items)[0], qr{ e/247 collation=\d+ members=4 }, "$product: members are told");

	# images with fewer columns
	foreach my $image ('MINIMAL', 'NOBLOB')
	{
		binlog_begin($server);
		mysql_query($server, qq{
			USE shop; SET binlog_row_image = '$image';
			CREATE TABLE m (id int PRIMARY KEY, a int, b varchar(20), c text, d int DEFAULT 7, e blob);
			INSERT INTO m (id, a) VALUES (1, 1), (2, NULL); INSERT INTO m (id, b, c) VALUES (3, 'x', 'y');
			UPDATE m SET a = 5; UPDATE m SET c = 'z', b = NULL WHERE id = 3; UPDATE m SET id = 9 WHERE id = 2;
			UPDATE m SET e = 'blob' WHERE id = 9; DELETE FROM m WHERE id = 1;
		});
		@items = binlog_items($node, $server);
		like(join("\n", @items), qr/\nDELETE m 0\t1\t-\t-/, "$product: $image: columns are absent") if $image eq 'MINIMAL';
		binlog_compare($server, \@items, "$product: images $image", minimal => 1);
	}

	# transactions
	binlog_begin($server);
	mysql_query($server, q{
		USE shop; CREATE TABLE a (id int PRIMARY KEY, v int) ENGINE InnoDB;
		CREATE TABLE b (id int PRIMARY KEY, v int) ENGINE InnoDB; CREATE TABLE m (id int PRIMARY KEY) ENGINE MyISAM;
		BEGIN; INSERT INTO a VALUES (1, 1), (2, 2); INSERT INTO b VALUES (1, 1); UPDATE a STRAIGHT_JOIN b ON a.id = b.id SET a.v = 5, b.v = 6; COMMIT;
		BEGIN; INSERT INTO a VALUES (3, 3); ROLLBACK;
		BEGIN; INSERT INTO a VALUES (4, 4); SAVEPOINT `s``1`; INSERT INTO a VALUES (5, 5); ROLLBACK TO `s``1`; INSERT INTO a VALUES (6, 6); COMMIT;
		INSERT INTO m VALUES (1);
		ALTER TABLE a ADD COLUMN w varchar(10) FIRST; INSERT INTO a VALUES ('w', 7, 7); TRUNCATE b; DROP TABLE m;
		SET binlog_format = STATEMENT; DELETE FROM a WHERE id = 6;
	});
	@items = binlog_items($node, $server);
	is(_outline(@items), <<OUT =~ s/\n\z//r, "$product: transactions");
BEGIN $gtid
QUERY DDL query=CREATE TABLE a (id int PRIMARY KEY, v int) ENGINE InnoDB
COMMIT $gtid
BEGIN $gtid
QUERY DDL query=CREATE TABLE b (id int PRIMARY KEY, v int) ENGINE InnoDB
COMMIT $gtid
BEGIN $gtid
QUERY DDL query=CREATE TABLE m (id int PRIMARY KEY) ENGINE MyISAM
COMMIT $gtid
BEGIN $gtid
INSERT a 0	1	1
INSERT a 1	2	2
INSERT b 2	1	1
UPDATE a 3	1	1	=>	1	5
UPDATE b 4	1	1	=>	1	6
COMMIT $gtid
BEGIN $gtid
INSERT a 0	4	4
SAVEPOINT s`1 row=1
INSERT a 1	6	6
COMMIT $gtid
BEGIN $gtid
INSERT m 0	1
COMMIT $gtid
BEGIN $gtid
QUERY DDL query=ALTER TABLE a ADD COLUMN w varchar(10) FIRST
COMMIT $gtid
BEGIN $gtid
INSERT a 0	w	7	7
COMMIT $gtid
BEGIN $gtid
QUERY DDL query=TRUNCATE b
COMMIT $gtid
BEGIN $gtid
QUERY DDL query=DROP TABLE `m` /* generated by server */
COMMIT $gtid
BEGIN $gtid
QUERY DML query=DELETE FROM a WHERE id = 6
COMMIT $gtid
OUT

	# two-phase transactions, and one with another between its halves
	binlog_begin($server);
	mysql_query($server, q{
		USE shop; CREATE TABLE x (id int PRIMARY KEY);
		XA START 'a1', 'b', 7; INSERT INTO x VALUES (1); XA END 'a1', 'b', 7; XA PREPARE 'a1', 'b', 7;
	});
	mysql_query($server, q{INSERT INTO shop.x VALUES (2); XA COMMIT 'a1', 'b', 7;});
	mysql_query($server, q{USE shop; XA START 'a2'; INSERT INTO x VALUES (3); XA END 'a2'; XA PREPARE 'a2'});
	mysql_query($server, q{XA ROLLBACK 'a2'; USE shop; XA START 'a3'; INSERT INTO x VALUES (4); XA END 'a3'; XA COMMIT 'a3' ONE PHASE});
	@items = binlog_items($node, $server);
	(my $xa = _outline(@items)) =~ s/(QUERY XA \w+) database= /$1 /g;
	is($xa, <<OUT =~ s/\n\z//r, "$product: XA");
BEGIN $gtid
QUERY DDL query=CREATE TABLE x (id int PRIMARY KEY)
COMMIT $gtid
BEGIN $gtid
INSERT x 0	1
PREPARE $gtid xid=X'6131',X'62',7
BEGIN $gtid
INSERT x 0	2
COMMIT $gtid
BEGIN $gtid
QUERY XA COMMIT xid=X'6131',X'62',7 query=XA COMMIT X'6131',X'62',7
COMMIT $gtid
BEGIN $gtid
INSERT x 0	3
PREPARE $gtid xid=X'6132',X'',1
BEGIN $gtid
QUERY XA ROLLBACK xid=X'6132',X'',1 query=XA ROLLBACK X'6132',X'',1
COMMIT $gtid
BEGIN $gtid
INSERT x 0	4
COMMIT $gtid
OUT

	# many rows, in several events; partitions; a table that is not followed
	binlog_begin($server);
	mysql_query($server, q{
		USE shop; CREATE TABLE n (id int PRIMARY KEY, v varchar(100)); CREATE TABLE other (id int PRIMARY KEY, v varchar(100));
		CREATE TABLE part (id int PRIMARY KEY, v int) PARTITION BY RANGE (id) (PARTITION p0 VALUES LESS THAN (10), PARTITION p1 VALUES LESS THAN (1000));
		INSERT INTO n SELECT a.id * 100 + b.id, repeat('x', b.id) FROM
		 (WITH RECURSIVE s AS (SELECT 0 id UNION ALL SELECT id + 1 FROM s WHERE id < 99) SELECT * FROM s) a,
		 (WITH RECURSIVE s AS (SELECT 0 id UNION ALL SELECT id + 1 FROM s WHERE id < 99) SELECT * FROM s) b;
		INSERT INTO other SELECT * FROM n; BEGIN; DELETE FROM other WHERE id % 2; UPDATE n SET v = 'new' WHERE id % 3 = 0; COMMIT;
		INSERT INTO part VALUES (1, 1), (11, 11), (5, 5); UPDATE part SET id = id + 8; UPDATE part SET v = 0 WHERE id = 19; DELETE FROM part WHERE id = 9;
	});
	@items = binlog_items($node, $server, 'other=skip');
	binlog_compare($server, \@items, "$product: many rows and partitions");
	is(scalar(grep { / other \d/ } @items), 0, "$product: rows of other tables are passed over");
	@items = binlog_items($node, $server, 'n=skip;other=skip;part.1=identity');
	is(join("\n", map { s/ \d+\t/\t/r } grep { /^(UPDATE|DELETE) part/ } @items),
		join("\n", map { "UPDATE part\t$_" } "1\t1\t=>\t9\t1", "5\t5\t=>\t13\t5", "11\t11\t=>\t19\t11", "19\tNULL\t=>\t19\t0")
		  . "\nDELETE part\t9\t1", "$product: a lean image before has what identifies the row, and all if that has changed");

	# without names and all else that is told of columns
	my $limited = $server->{mysql} ? 'MINIMAL' : 'NO_LOG';
	mysql_query($server, "SET GLOBAL binlog_row_metadata = $limited");
	binlog_begin($server);
	mysql_query($server, q{
		USE shop; CREATE TABLE w (id int PRIMARY KEY, u int unsigned, e enum('a', 'b'), s set('x', 'y'), l varchar(10) CHARACTER SET latin1, z int);
		INSERT INTO w VALUES (1, 4000000000, 'b', 'x,y', 'é', 5);
	});
	@items = binlog_items($node, $server, 'w.2=unsigned;w.3=a,b;w.4=x,y;w.5=collation 8;w.6=unwanted');
	is(join("\n", grep { /^INSERT/ } @items), "INSERT w 0\t1\t4000000000\tb\tx,y\té\tNULL",
		"$product: what the log lacks is added");
	mysql_query($server, 'SET GLOBAL binlog_row_metadata = FULL');
	return;
}

1;
