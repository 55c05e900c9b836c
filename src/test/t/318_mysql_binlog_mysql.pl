# 318_mysql_binlog_mysql.pl
#	The decoder of binary logs against MySQL, where it can be had: whatever is
#	written, its rows are what SELECT says afterwards.

use strict;
use warnings;

use FeathubBinlog;
use FeathubMysql;
use FeathubTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

# skips the file if there is none
my $mysql = mysql_start(product => 'mysql', options => [ '--log-bin=binlog', '--binlog-row-metadata=FULL', '--gtid-mode=ON',
		'--enforce-gtid-consistency=ON', '--binlog-rows-query-log-events=ON', '--log-error-verbosity=1' ]);
my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->start;
binlog_functions($node);

binlog_test($node, $mysql, 'MySQL');

binlog_begin($mysql);
mysql_query($mysql, $binlog_json);
my @items = binlog_items($node, $mysql);
binlog_compare($mysql, \@items, 'MySQL: JSON');

# transactions in one event, the second larger than zstd's window
binlog_begin($mysql);
mysql_query($mysql, "SET binlog_transaction_compression = ON; $binlog_types $binlog_json
	CREATE TABLE big (id int PRIMARY KEY, v longtext); BEGIN;
	INSERT INTO big VALUES (1, repeat('x', 3000000)), (2, concat(repeat('y', 1000000), uuid())); UPDATE big SET v = concat(v, id); COMMIT;
	SET GTID_NEXT = 'AUTOMATIC:mytag'; INSERT INTO big VALUES (3, 'tagged');");
@items = binlog_items($node, $mysql);
binlog_compare($mysql, \@items, 'MySQL: compressed transactions');
like(join("\n", @items), qr/\nBEGIN [-0-9a-f]{36}:mytag:1 time=\d{16}\n( STATEMENT[^\n]*\n)?INSERT big 0\t3\ttagged\nCOMMIT [-0-9a-f]{36}:mytag:1 /,
	'MySQL: tagged GTID, time of the commit in microseconds');
ok((grep { /^ STATEMENT=INSERT INTO pk2/ } @items), 'MySQL: statements of rows');
binlog_begin($mysql);
@items = binlog_items($node, $mysql);
like(join("\n", @items), qr/^GTIDS [-0-9a-f]{36}:1-\d+:mytag:1$/m, 'MySQL: GTIDs of earlier files');

# changes of documents
binlog_begin($mysql);
mysql_query($mysql, q{
	USE shop; SET binlog_row_value_options = PARTIAL_JSON;
	CREATE TABLE p (id int PRIMARY KEY, j json, k json, t text, l json);
	INSERT INTO p VALUES (1, JSON_OBJECT('a', repeat('x', 100), 'b', JSON_ARRAY(1, 2, JSON_OBJECT('c', repeat('y', 50))), 'quo"te d', 1, 'zz', NULL), JSON_ARRAY(repeat('z', 200), 5, 6), 't', NULL), (2, '{"a": 1}', NULL, 't2', '[1]');
	UPDATE p SET j = JSON_SET(j, '$.b[2].c', 'new', '$.new', JSON_ARRAY(1, 'two'), '$.aa', 1.5);
	UPDATE p SET j = JSON_REMOVE(j, '$.b[0]'), k = JSON_ARRAY_INSERT(k, '$[1]', 'ins') WHERE id = 1;
	UPDATE p SET j = JSON_REPLACE(j, '$."quo\\\\"te d"', JSON_OBJECT('deep', repeat('d', 300))), t = 'u' WHERE id = 1;
	UPDATE p SET j = JSON_SET(j, '$."quo\\\\"te d".deep', CAST(1.50 AS DECIMAL(5,2))), k = JSON_SET(k, '$[last]', 'end') WHERE id = 1;
	UPDATE p SET k = JSON_ARRAY_APPEND(k, '$', 'app'), l = '[2]'; UPDATE p SET l = JSON_SET(l, '$[0]', 3), t = NULL;
});
@items = binlog_items($node, $mysql);
binlog_compare($mysql, \@items, 'MySQL: partial updates of JSON');
ok(mysql_query($mysql, "SHOW BINLOG EVENTS IN '$mysql->{binlog}'") =~ /Update_rows_partial/, 'MySQL: they were partial');
binlog_begin($mysql);
mysql_query($mysql, q{
	USE shop; CREATE TABLE p (id int PRIMARY KEY, j json); INSERT INTO p VALUES (1, JSON_OBJECT('a', 1, 'b', repeat('x', 100)));
	SET binlog_row_value_options = PARTIAL_JSON, binlog_row_image = MINIMAL; UPDATE p SET j = JSON_SET(j, '$.a', 2);
});
@items = binlog_items($node, $mysql);
like($items[-1], qr/^ERROR \(unsupported\) column 2 of table "p" comes as changes of a document that the log does not have/,
	'MySQL: changes of an unknown document are an error');

# its own types and statements
binlog_begin($mysql);
mysql_query($mysql, q{
	USE shop; CREATE TABLE v (id int PRIMARY KEY, v vector(3), g int AS (id + 1) STORED, h int AS (id + 2) VIRTUAL, i int INVISIBLE, l varchar(10) CHARACTER SET latin1);
	INSERT INTO v (id, v, l) VALUES (1, STRING_TO_VECTOR('[1,2.5,-3]'), 'é'), (2, NULL, 'ü');
	CREATE TABLE ctas (PRIMARY KEY (id)) AS SELECT id FROM v;
	CREATE TABLE gis (id int PRIMARY KEY, p polygon SRID 4326); INSERT INTO gis VALUES (1, ST_GeomFromText('POLYGON((0 0,0 1,1 1,0 0))', 4326));
});
@items = binlog_items($node, $mysql);
binlog_compare($mysql, \@items, 'MySQL: its own types');
mysql_stop($mysql);

$node->stop;
done_testing();
