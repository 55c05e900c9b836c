# Writing to a real MariaDB: INSERT, COPY, UPDATE, DELETE, upserts, TRUNCATE,
# RETURNING, partitions, values of all types, packets; batched look-ups.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use FeathubTest;
use FeathubMysql;
use PostgreSQL::Test::Utils;
use Test::More;

my $mysql = mysql_start();
my $node = new_node('modify');

sub sql { return $node->safe_psql('postgres', $_[0]) }

sub sql_error
{
	my ($query) = @_;
	my ($status, $out, $err) = $node->psql('postgres', "\\set VERBOSITY verbose\n$query");
	isnt($status, 0, "fails: $query");
	return $err;
}

mysql_server($node, $mysql);
mysql_query($mysql, q{
	USE shop;
	CREATE TABLE t (a int, b varchar(20), v text, n decimal(10,2), PRIMARY KEY (a, b)) CHARACTER SET utf8mb4;
	CREATE TABLE types (id int PRIMARY KEY AUTO_INCREMENT, tb tinyint(1), i int, bi bigint, bu bigint unsigned, de decimal(40,10), f float,
	  d double, b5 bit(5), c char(5), v varchar(50), l varchar(20) CHARACTER SET latin1, vb varbinary(50), bl longblob,
	  en enum('a','b'), se set('x','y','z'), da date, t time(6), dt datetime(6), ts timestamp(6) NULL, y year, j longtext,
	  u uuid, g point) CHARACTER SET utf8mb4;
	CREATE TABLE ci (k varchar(20) PRIMARY KEY, v int) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin;
	CREATE TABLE auto (id int PRIMARY KEY AUTO_INCREMENT, v varchar(10) DEFAULT 'x', w int NOT NULL);
	CREATE TABLE nokey (a int, b int);
	INSERT INTO nokey VALUES (1, 1), (1, 2);
	CREATE TABLE big (id int PRIMARY KEY, k int, v varchar(40), x double);
	INSERT INTO big SELECT seq, seq % 1000, CONCAT('row ', seq), seq / 8 FROM seq_1_to_50000;
	CREATE TABLE weather (origin char(3), h datetime, temp double, PRIMARY KEY (origin, h));
	INSERT INTO weather SELECT o, '2013-01-01' + INTERVAL seq HOUR, seq FROM seq_0_to_2000, (SELECT 'JFK' AS o UNION SELECT 'LGA') x;
});
sql(q{CREATE SCHEMA shop; IMPORT FOREIGN SCHEMA shop FROM SERVER mysql INTO shop});

# INSERT, UPDATE and DELETE by the whole key

is(sql(q{INSERT INTO shop.t VALUES (1, 'x', 'one', 1.5), (1, 'y', 'two', 2), (2, 'x', NULL, NULL);
	UPDATE shop.t SET v = v || '!', n = n + 0.005 WHERE a = 1 AND b = 'x';
	SELECT * FROM shop.t ORDER BY a, b}), "1|x|one!|1.51\n1|y|two|2.00\n2|x||", 'a row is named by its whole key');
is(sql(q{UPDATE shop.t SET b = 'z' WHERE a = 2 RETURNING a, b; DELETE FROM shop.t WHERE v LIKE 'tw%' RETURNING *;
	SELECT count(*) FROM shop.t}), "2|z\n1|y|two|2.00\n2", 'the key itself, RETURNING');
is(sql(q{WITH x AS (UPDATE shop.t t SET v = s.v FROM (VALUES (1, 'new'), (2, 'newer')) s(a, v) WHERE t.a = s.a RETURNING t.a, t.v)
	SELECT * FROM x ORDER BY a}), "1|new\n2|newer", 'UPDATE ... FROM');
like(sql_error(q{INSERT INTO shop.t VALUES (1, 'x')}), qr/23505/, 'a duplicate key');
like(sql_error(q{INSERT INTO shop.t VALUES (1, repeat('x', 21))}), qr/22001/, 'a value too long for our column');
like(sql_error(q{CREATE FOREIGN TABLE long (a int OPTIONS (key 'true'), b text OPTIONS (key 'true'), n text) SERVER mysql OPTIONS (table_name 't');
	INSERT INTO long VALUES (7, repeat('x', 21))}), qr/22001.*b/s, 'and for theirs: nothing is cut');
like(sql_error(q{UPDATE shop.nokey SET b = 3}), qr/key/, 'no key, no UPDATE');
like(sql_error(q{CREATE FOREIGN TABLE half (a int OPTIONS (key 'true'), b int) SERVER mysql OPTIONS (table_name 'nokey');
	DELETE FROM half WHERE b = 1 RETURNING a}), qr/21000.*does not name one row/s, 'half a key is an error');
is(mysql_query($mysql, 'SELECT COUNT(*) FROM shop.nokey'), '2', 'and nothing is deleted');
sql(q{INSERT INTO shop.ci VALUES ('a', 1), ('A', 2), ('a ', 3); UPDATE shop.ci SET v = v * 10 WHERE k = 'a'; DELETE FROM shop.ci WHERE k = 'A'});
is(mysql_query($mysql, q{SELECT CONCAT('[', k, ']'), v FROM shop.ci ORDER BY v}), "[a ]\t3\n[a]\t10", 'keys are told apart by their bytes');

# Left to the server whole, where it does the same

mysql_query($mysql, q{USE shop; CREATE TABLE shop.direct (id int PRIMARY KEY, a bigint, b bigint, v varchar(20), l varchar(20) CHARACTER SET latin1, j json);
	INSERT INTO shop.direct SELECT seq, seq, seq * 10, CONCAT('v', seq), 'x', NULL FROM seq_1_to_100});
sql(q{IMPORT FOREIGN SCHEMA shop LIMIT TO (direct) FROM SERVER mysql INTO shop});
my $plan = sub { sql("EXPLAIN (VERBOSE, COSTS off) $_[0]") };
like($plan->(q{UPDATE shop.direct SET v = 'n', a = a + 1::int8 WHERE id <= 10}),
	qr/Foreign Update.*UPDATE `shop`.`direct` SET `a` = \(`a` \+ 1\), `v` = 'n' WHERE \(`id` <= 10\)/s, 'UPDATE');
is(sql(q{WITH x AS (UPDATE shop.direct SET v = 'n', a = a + 1::int8 WHERE id <= 10) SELECT 1; SELECT count(*), sum(a) FROM shop.direct WHERE v = 'n'}), "1\n10|65", 'is done');
unlike($plan->('UPDATE shop.direct SET a = b, b = a'), qr/Foreign Update/, 'MySQL would not swap two columns');
sql('UPDATE shop.direct SET a = b, b = a WHERE id = 50');
is(mysql_query($mysql, 'SELECT a, b FROM shop.direct WHERE id = 50'), "500\t50", 'we do');
unlike($plan->(q{UPDATE shop.direct SET v = upper(v)}), qr/Foreign Update/, 'upper() is ours');
unlike($plan->(q{DELETE FROM shop.direct WHERE id = 1 RETURNING *}), qr/Foreign Delete/, 'RETURNING needs the rows');
like($plan->(q{DELETE FROM shop.direct WHERE id > 90 AND v = 'v95'}), qr/Foreign Delete.*DELETE FROM `shop`.`direct` WHERE/s, 'DELETE');
is(sql(q{PREPARE d(text) AS DELETE FROM shop.direct WHERE v = $1; SET plan_cache_mode = force_generic_plan;
	EXECUTE d('V95'); EXECUTE d('v95'); EXECUTE d('v96 '); SELECT count(*) FROM shop.direct WHERE id > 90}), '9', 'with parameters');
sql(q{UPDATE shop.direct SET v = 'ß😀', j = '{"a":1}' WHERE l <> '😀' AND id = 3});
is(sql(q{SELECT v, l = '😀', (SELECT count(*) FROM shop.direct d WHERE d.l = ANY('{😀,x}')) FROM shop.direct WHERE v = 'ß😀'}), 'ß😀|f|99', 'characters that latin1 lacks');

# All types, both ways

sql(q{INSERT INTO shop.types VALUES
	(1, true, -5, -9223372036854775808, 18446744073709551615, 123456789012345678901234567890.0123456789, 1.1, 0.1, '10101', 'ab',
	 'it''s \ "Ünïcode" 😀', 'é€', '\x00275c0d0a1a', '\x', 'b', '{z,x}', '0001-01-01', '-838:59:59.000001', '9999-12-31 23:59:59.999999',
	 '2013-06-01 12:00:00.000001+02', 1999, '{"a": [1, "x"]}', '123e4567-e89b-12d3-a456-426655440000', NULL),
	(2, NULL, NULL, NULL, NULL, NULL, 16777216, 1.7976931348623157e308, NULL, '', '', '', NULL, NULL, NULL, '{}', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)});
is(mysql_query($mysql, q{SET time_zone = '+00:00'; SELECT tb, i, bi, bu, de, f, d, b5 + 0, c, v, l, HEX(vb), HEX(bl), en, se, da, t, dt, ts, y, j, u FROM shop.types WHERE id = 1}),
	join("\t", 1, -5, '-9223372036854775808', '18446744073709551615', '123456789012345678901234567890.0123456789', '1.1', '0.1', 21, 'ab',
		q(it's \\\\ "Ünïcode" 😀), 'é€', '00275C0D0A1A', '', 'b', 'x,z', '0001-01-01', '-838:59:59.000001', '9999-12-31 23:59:59.999999',
		'2013-06-01 10:00:00.000001', 1999, '{"a": [1, "x"]}', '123e4567-e89b-12d3-a456-426655440000'), 'what the server got');
is(sql(q{SELECT v, l, vb, de, t, ts = '2013-06-01 12:00:00.000001+02', se FROM shop.types WHERE id = 1}),
	q(it's \ "Ünïcode" 😀|é€|\x00275c0d0a1a|123456789012345678901234567890.0123456789|-838:59:59.000001|t|{x,z}), 'and what comes back');
like(sql_error(q{INSERT INTO shop.types (id, d) VALUES (3, 'NaN')}), qr/22003.*"NaN"/s, 'NaN is an error');
like(sql_error(q{INSERT INTO shop.types (id, dt) VALUES (3, 'infinity')}), qr/22008.*"infinity"/s, 'infinity too');
like(sql_error(q{INSERT INTO shop.types (id, da) VALUES (3, '0044-03-15 BC')}), qr/22008/s, 'a date BC too');
like(sql_error(q{INSERT INTO shop.types (id, t) VALUES (3, '1 month')}), qr/22008/s, 'months are no TIME');
like(sql_error(q{INSERT INTO shop.types (id, i) VALUES (3, 1), (4, 2), (3, 3)}), qr/23505/, 'an error in a batch');
is(sql('SELECT count(*) FROM shop.types'), '2', 'undoes all of it');
sql(q{CREATE FOREIGN TABLE wkt (id int OPTIONS (key 'true'), g text OPTIONS (wkt 'true')) SERVER mysql OPTIONS (table_name 'types');
	UPDATE wkt SET g = 'POINT(3 4)' WHERE id = 2});
is(sql('SELECT g FROM wkt WHERE id = 2'), 'POINT(3 4)', 'geometry as well-known text');

# Batches, COPY, packets

sql(q{TRUNCATE shop.types; INSERT INTO shop.types (id, v) SELECT i, 'v' || i FROM generate_series(1, 2500) i});
is(sql('SELECT count(*), max(id) FROM shop.types'), '2500|2500', 'batches');
like(sql(q{EXPLAIN (VERBOSE, COSTS off) INSERT INTO shop.t SELECT i, 'x' FROM generate_series(1, 10) i}),
	qr/Remote SQL: INSERT INTO `shop`.`t` \(`a`, `b`, `v`, `n`\) VALUES \(\.\.\.\)/s, 'EXPLAIN shows the statement');
mysql_query($mysql, 'SET GLOBAL max_allowed_packet = 1048576');
sql(q{TRUNCATE shop.types; INSERT INTO shop.types (id, bl) SELECT i, decode(repeat('ab', 90000), 'hex') FROM generate_series(1, 50) i});
is(mysql_query($mysql, 'SELECT COUNT(*), MIN(LENGTH(bl)) FROM shop.types'), "50\t90000", 'statements are cut to the packets');
like(sql_error(q{INSERT INTO shop.types (id, bl) SELECT 99, decode(repeat('ab', 1200000), 'hex')}), qr/54000.*max_allowed_packet is 1048576/s, 'a row too large');
mysql_query($mysql, 'SET GLOBAL max_allowed_packet = 16777216');
sql(q{TRUNCATE shop.t});
$node->safe_psql('postgres', "COPY shop.t FROM STDIN;\n" . join('', map { "$_\tk$_\ttext\\n$_\t1.25\n" } 1 .. 3000) . "\\.\n");
is(sql('SELECT count(*), sum(n) FROM shop.t'), '3000|3750.00', 'COPY');
sql(q{CREATE TABLE parts (a int, b varchar(20), v text, n numeric) PARTITION BY RANGE (a);
	CREATE FOREIGN TABLE parts_1 PARTITION OF parts FOR VALUES FROM (10000) TO (20000) SERVER mysql OPTIONS (table_name 't');
	CREATE TABLE parts_2 PARTITION OF parts DEFAULT;
	INSERT INTO parts SELECT i, 'p', 'x', 1 FROM generate_series(9990, 10009) i});
is(sql('SELECT tableoid::regclass, count(*) FROM parts WHERE a > 9000 GROUP BY 1 ORDER BY 1'), "parts_1|10\nparts_2|10", 'rows are routed to partitions');

# Upserts, RETURNING, options

sql(q{CREATE FOREIGN TABLE up (a int OPTIONS (key 'true'), b text OPTIONS (key 'true'), v text) SERVER mysql OPTIONS (table_name 't', write_mode 'upsert');
	CREATE FOREIGN TABLE keep (a int OPTIONS (key 'true'), b text OPTIONS (key 'true'), v text) SERVER mysql OPTIONS (table_name 't', write_mode 'ignore');
	INSERT INTO up VALUES (1, 'k1', 'changed'), (1, 'new', 'inserted');
	INSERT INTO keep VALUES (1, 'k1', 'not'), (1, 'newer', 'inserted')});
is(sql(q{SELECT b, v, n FROM shop.t WHERE a = 1 ORDER BY b}), "k1|changed|1.25\nnew|inserted|\nnewer|inserted|", 'upsert changes the columns given, ignore none');
like(sql_error(q{INSERT INTO keep VALUES (8, repeat('x', 30))}), qr/22001/, 'ignore does not swallow other errors');
is(sql(q{INSERT INTO shop.auto (w) VALUES (5) RETURNING id, v, w}), '1||5', 'RETURNING has the number that the server gave');
is(sql(q{INSERT INTO shop.auto (w) VALUES (6), (7) RETURNING id}), "2\n3", 'for each row');
like(sql_error(q{INSERT INTO shop.t VALUES (1, 'x') ON CONFLICT DO NOTHING}), qr/0A000.*write_mode/s, 'ON CONFLICT');
like(sql_error(q{ALTER FOREIGN TABLE shop.auto OPTIONS (ADD updatable 'false'); INSERT INTO shop.auto (w) VALUES (1)}), qr/does not allow inserts|cannot insert/, 'updatable');
like(sql_error(q{ALTER FOREIGN TABLE shop.auto OPTIONS (ADD truncatable 'false'); TRUNCATE shop.auto}), qr/does not allow truncates/, 'truncatable');
is(sql(q{BEGIN; TRUNCATE shop.ci; SELECT count(*) FROM shop.ci; ROLLBACK; SELECT count(*) FROM shop.ci}), "0\n2", 'TRUNCATE is rolled back');
like(sql_error('TRUNCATE shop.ci RESTART IDENTITY'), qr/0A000/, 'RESTART IDENTITY is not there');
sql(q{CREATE VIEW v AS SELECT a, b, v FROM shop.t WHERE a < 100 WITH CHECK OPTION;
	CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.v := upper(NEW.v); RETURN NEW; END';
	CREATE TRIGGER note BEFORE INSERT ON shop.t FOR EACH ROW EXECUTE FUNCTION note();
	INSERT INTO v VALUES (50, 'trig', 'abc')});
is(sql(q{SELECT v FROM shop.t WHERE b = 'trig'}), 'ABC', 'views and triggers');
like(sql_error(q{INSERT INTO v VALUES (500, 'x', 'y')}), qr/44000/, 'WITH CHECK OPTION');

# Batched look-ups

sql(q{CREATE TABLE loc AS SELECT i * 5 AS id, 'row ' || i * 5 AS v FROM generate_series(1, 12000) i; ANALYZE loc; ANALYZE shop.big;
	CREATE TABLE hours AS SELECT o, timestamp '2013-01-01' + i * interval '1 hour' AS h FROM generate_series(0, 2100, 7) i, unnest('{JFK,LGA,EWR}'::char(3)[]) o; ANALYZE hours});
my $join = 'SELECT count(*), sum(b.x) FROM loc LEFT JOIN shop.big b USING (id)';
like(sql("EXPLAIN (ANALYZE, VERBOSE, COSTS off, TIMING off, SUMMARY off) $join"),
	qr/FeathubLookup.*Batches: 12.*Remote SQL: SELECT `id`, `x` \+ 0e0 FROM `shop`.`big` WHERE `id` IN \(\.\.\.\)/s, 'a join asks by batches of keys');
is(sql($join), sql("SET feathub.enable_batched_lookup = off; $join"), 'with the same answer');
$join = q{SELECT count(*), count(w.temp), sum(w.temp) FROM hours LEFT JOIN shop.weather w ON w.origin = hours.o AND w.h = hours.h AND w.temp > 10};
like(sql("EXPLAIN (VERBOSE, COSTS off) $join"), qr/FeathubLookup.*\(`origin` = \.\.\. AND `h` = \.\.\.\) OR \.\.\.\) AND \(`temp` > /s, 'a key of two columns and a condition');
is(sql($join), sql("SET feathub.enable_batched_lookup = off; $join"), 'with the same answer');
$join = q{SELECT count(*), min(b.id), max(b.id) FROM loc JOIN shop.big b ON b.id = loc.id AND b.v = upper(loc.v)};
is(sql($join), '0||', 'text is joined by its bytes');
is(sql(q{SELECT count(*) FROM (VALUES ('infinity'::timestamp), ('2013-01-01')) x(h) JOIN shop.weather w USING (h)}), '2', 'keys that the server does not know match nothing');

done_testing();
