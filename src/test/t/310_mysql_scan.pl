# SELECT from a real MariaDB: IMPORT FOREIGN SCHEMA, all types, values of any
# size, rescans, cursors, several scans on one connection, ANALYZE.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use FeathubTest;
use FeathubMysql;
use PostgreSQL::Test::Utils;
use Test::More;

my $mysql = mysql_start();
my $node = new_node('scan');

sub sql { return $node->safe_psql('postgres', $_[0]) }

# the error of a statement that must fail
sub sql_error
{
	my ($query, %opt) = @_;
	my ($status, $out, $err) = $node->psql('postgres', "\\set VERBOSITY verbose\n$query", %opt);
	isnt($status, 0, "fails: $query");
	return $err;
}

mysql_server($node, $mysql);
mysql_query($mysql, q{
	USE shop;
	CREATE TABLE types (id int PRIMARY KEY AUTO_INCREMENT, ti tinyint, tb tinyint(1), si smallint unsigned,
	  mi mediumint unsigned, i int unsigned, bi bigint, bu bigint unsigned, de decimal(30,10), f float, d double,
	  b5 bit(5), b1 bit(1), c char(5), v varchar(50), l varchar(20) CHARACTER SET latin1, tx longtext,
	  vb varbinary(20), b4 binary(4), bl longblob, en enum('a','b''c','C'), se set('x','y','z'), da date,
	  t time(6), dt datetime(6), ts timestamp(3) NULL, y year, g point, u uuid, j json) CHARACTER SET utf8mb4;
	INSERT INTO types VALUES (1, -128, 1, 65535, 16777215, 4294967295, -9223372036854775808, 18446744073709551615,
	  12345678901234567890.0123456789, 1.1, 0.1, b'10101', b'1', 'ab ', 'Ünïcode 😀', 'é€', 'long', x'00ff10', x'01',
	  x'0001', 'b''c', 'x,z', '2013-02-28', '-838:59:59.000001', '2013-01-01 12:34:56.123456',
	  '2013-06-01 00:00:00.5', 1999, POINT(1,2), '123e4567-e89b-12d3-a456-426655440000', '{"a": 1}');
	INSERT INTO types (id) VALUES (2);
	INSERT INTO types (id, f, d, v, dt, t, se) VALUES (3, 16777217, 1.7976931348623157e308, '', '9999-12-31 23:59:59.999999', '838:59:59', '');
	CREATE TABLE sizes (id int PRIMARY KEY, t longtext, b longblob);
	INSERT INTO sizes SELECT seq, REPEAT('ä', seq), REPEAT(x'00', seq * 2) FROM seq_1_to_3;
	INSERT INTO sizes VALUES (70000, REPEAT('x', 70000), REPEAT(x'01', 70000)), (5000000, REPEAT('y', 5000000), REPEAT(x'02', 9000000));
	CREATE TABLE `Odd ``Name` (`A b` int PRIMARY KEY, `c"d` varchar(5));
	INSERT INTO `Odd ``Name` VALUES (1, 'x');
	CREATE TABLE big (id int PRIMARY KEY, k int, v varchar(40), x double);
	INSERT INTO big SELECT seq, seq % 1000, CONCAT('row ', seq), seq / 8 FROM seq_1_to_50000;
	CREATE TABLE zero (id int PRIMARY KEY, d date, dt datetime);
	SET sql_mode = '';
	INSERT INTO zero VALUES (1, '0000-00-00', '0000-00-00'), (2, '2010-00-01', '2013-01-01'), (3, '2013-01-01', '2013-01-01 01:02:03');
	CREATE TABLE empty (id int PRIMARY KEY);
	CREATE VIEW vw AS SELECT id, v FROM big WHERE id <= 10;
	CREATE TABLE defaults (id int PRIMARY KEY AUTO_INCREMENT, a int NOT NULL DEFAULT 5, b varchar(10) DEFAULT 'it''s',
	  c datetime DEFAULT CURRENT_TIMESTAMP, d int DEFAULT NULL, e int DEFAULT (1 + 1), f tinyint(1) DEFAULT 1,
	  g enum('r','g') NOT NULL DEFAULT 'g');
});

# IMPORT FOREIGN SCHEMA

sql('CREATE SCHEMA shop; IMPORT FOREIGN SCHEMA shop FROM SERVER mysql INTO shop');
is(sql(q{SELECT string_agg(attname || ' ' || format_type(atttypid, atttypmod), ', ' ORDER BY attnum)
	FROM pg_attribute WHERE attrelid = 'shop.types'::regclass AND attnum > 0}),
	'id integer, ti smallint, tb boolean, si integer, mi integer, i bigint, bi bigint, bu numeric(20,0), '
	  . 'de numeric(30,10), f real, d double precision, b5 bit(5), b1 boolean, c character(5), v character varying(50), '
	  . 'l character varying(20), tx text, vb bytea, b4 bytea, bl bytea, en text, se text[], da date, t interval, '
	  . 'dt timestamp(6) without time zone, ts timestamp(3) with time zone, y smallint, g bytea, u uuid, j jsonb',
	'types of imported columns');
is(sql(q{SELECT relname FROM pg_class WHERE relnamespace = 'shop'::regnamespace ORDER BY relname COLLATE "C"}),
	"Odd `Name\nbig\ndefaults\nempty\nsizes\ntypes\nvw\nzero", 'tables and views, names as they are');
is(sql('SELECT * FROM shop."Odd `Name" WHERE "A b" = 1 AND "c""d" = \'x\''), '1|x', 'names are quoted');
sql(q{CREATE SCHEMA part;
	IMPORT FOREIGN SCHEMA shop LIMIT TO (big, defaults) FROM SERVER mysql INTO part
	  OPTIONS (import_default 'true', import_enum 'check', import_tinyint1 'int');
	CREATE SCHEMA rest;
	IMPORT FOREIGN SCHEMA shop EXCEPT (big, defaults, types) FROM SERVER mysql INTO rest OPTIONS (import_views 'false')});
is(sql(q{SELECT string_agg(relname, ' ' ORDER BY relname) FROM pg_class WHERE relnamespace = 'part'::regnamespace}),
	'big defaults', 'LIMIT TO');
is(sql(q{SELECT string_agg(relname, ' ' ORDER BY relname COLLATE "C") FROM pg_class WHERE relnamespace = 'rest'::regnamespace}),
	'Odd `Name empty sizes zero', 'EXCEPT, without views');
is(sql(q{SELECT string_agg(attname || ':' || pg_get_expr(adbin, adrelid), ', ' ORDER BY adnum)
	FROM pg_attrdef JOIN pg_attribute ON attrelid = adrelid AND attnum = adnum WHERE adrelid = 'part.defaults'::regclass}),
	q{a:5, b:'it''s'::character varying, c:(now() AT TIME ZONE 'UTC'::text), f:'1'::smallint, g:'g'::text}, 'defaults');
is(sql(q{SELECT attname FROM pg_attribute WHERE attrelid = 'part.defaults'::regclass AND attnotnull AND attnum > 0 ORDER BY attnum}), "a\ng", 'NOT NULL');
like(sql(q{SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = 'part.defaults'::regclass}),
	qr/'r'.*'g'/, 'labels of an enum as a constraint');
like(sql_error('IMPORT FOREIGN SCHEMA nowhere FROM SERVER mysql INTO part'),
	qr/HV00R|schema "nowhere" is not present on foreign server "mysql"/, 'no such schema');
like(sql_error(q{IMPORT FOREIGN SCHEMA shop FROM SERVER mysql INTO part OPTIONS (import_enums 'text')}),
	qr/HV00D.*invalid option "import_enums".*HINT:  Perhaps you meant the option "import_enum"/s, 'unknown option');

# Types

sql(q{SET timezone = 'America/New_York'});
is(sql('SELECT * FROM shop.types WHERE id = 1'),
	q(1|-128|t|65535|16777215|4294967295|-9223372036854775808|18446744073709551615|12345678901234567890.0123456789|)
	  . q(1.1|0.1|10101|t|ab   |Ünïcode 😀|é€|long|\x00ff10|\x01000000|\x0001|b'c|{x,z}|2013-02-28|-838:59:59.000001|)
	  . sql(q{SELECT timestamp '2013-01-01 12:34:56.123456', timestamptz '2013-06-01 00:00:00.5+00'})
	  . q(|1999|\x000000000101000000000000000000f03f0000000000000040|123e4567-e89b-12d3-a456-426655440000|{"a": 1}),
	'a value of each type');
is(sql(q{SELECT ts = '2013-06-01 00:00:00.5+00' FROM shop.types WHERE id = 1}), 't', 'a timestamp is an instant');
is(sql('SELECT count(*) FROM shop.types t WHERE id = 2 AND num_nulls(VARIADIC ARRAY[ti::text, v, bl::text, se::text, dt::text, u::text]) = 6'),
	'1', 'nulls');
is(sql('SELECT f::float8, d, v = \'\', dt, t, se FROM shop.types WHERE id = 3'),
	'16777216|1.7976931348623157e+308|t|9999-12-31 23:59:59.999999|838:59:59|{}', 'limits');
is(sql('SELECT id, length(t), length(b), md5(t) = md5(repeat(left(t, 1), length(t))) FROM shop.sizes ORDER BY id'),
	"1|1|2|t\n2|2|4|t\n3|3|6|t\n70000|70000|70000|t\n5000000|5000000|9000000|t", 'values of any size');
sql(q{CREATE FOREIGN TABLE other (id int, b5 int, b1 bit(1), c text, y int, g text OPTIONS (wkt 'true'), se text, da text, t time, dt date, bu bigint)
	SERVER mysql OPTIONS (table_name 'types')});
is(sql('SELECT b5, b1, c, y, g, se, da, dt FROM other WHERE id = 1'), '21|1|ab|1999|POINT(1 2)|x,z|2013-02-28|2013-01-01',
	'the same columns declared otherwise');
like(sql_error('SELECT t FROM other WHERE id = 1'), qr/22008.*column "t" of foreign table "other"/s, 'TIME beyond a day is no time');
like(sql_error('SELECT bu FROM other WHERE id = 1'), qr/22003.*column "bu" of foreign table "other"/s, 'a number that does not fit');
like(sql_error('SELECT * FROM shop.zero'), qr/22008.*"0000-00-00".*zero_dates.*column "d" of foreign table "zero"/s, 'zero dates are an error');
sql(q{ALTER FOREIGN TABLE shop.zero OPTIONS (ADD zero_dates 'null')});
is(sql('SELECT * FROM shop.zero ORDER BY id'), "1||\n2||2013-01-01 00:00:00\n3|2013-01-01|2013-01-01 01:02:03", 'or null');
is(sql(q{SELECT id FROM shop.zero WHERE d IS NULL ORDER BY id}), "1\n2", 'IS NULL finds them');
is(sql(q{SELECT count(*) FROM shop.zero WHERE d < '2013-01-01' OR dt < '2000-01-01'}), '0', 'they are less than nothing');
is(sql(q{SELECT id FROM shop.zero WHERE NOT (d = '2012-01-01')}), '3', 'nor are they different');

# Rescans, cursors, several scans

is(sql(q{SET enable_hashjoin = off; SET enable_mergejoin = off; SET enable_material = off; SET feathub.enable_batched_lookup = off;
	SELECT count(*), sum(b.x) FROM generate_series(1, 200) g LEFT JOIN shop.big b ON b.id = g * 250}),
	sql(q{SELECT 200, sum(g * 250 / 8.0::float8) FROM generate_series(1, 200) g}),
	'a rescan for each outer row');
is(sql('SELECT count(*), count(a.v || b.v) FROM shop.big a JOIN shop.big b ON a.id = b.id + 1 AND a.v <> b.v'), '49999|49999',
	'two scans on one connection');
is(sql(q{SET work_mem = '64kB'; SELECT count(*) FROM shop.big a, shop.types t, shop.big b WHERE a.id = b.id AND t.id = 1}),
	'50000', 'rows put aside beyond work_mem');
is(sql(q{BEGIN; DECLARE c CURSOR FOR SELECT id FROM shop.big ORDER BY id; FETCH 2 FROM c;
	SELECT count(*) FROM shop.big; MOVE 40000 IN c; FETCH 1 FROM c; CLOSE c; COMMIT}), "1\n2\n50000\n40003", 'a cursor goes on behind another statement');
is(sql(q{BEGIN; DECLARE c CURSOR FOR SELECT id FROM shop.big ORDER BY id; FETCH 1 FROM c; SAVEPOINT a;
	SELECT count(*) FROM shop.types; ROLLBACK TO a; FETCH 1 FROM c; COMMIT}), "1\n3\n2", 'and behind a subtransaction');
is(sql(q{DO $$ DECLARE r record; n int := 0; BEGIN
	FOR r IN SELECT id FROM shop.big WHERE id <= 300 LOOP
	  BEGIN
	    IF r.id % 2 = 0 THEN PERFORM 1 / 0; END IF;
	    n := n + (SELECT count(*) FROM shop.big WHERE id = r.id);
	  EXCEPTION WHEN division_by_zero THEN NULL;
	  END;
	END LOOP;
	PERFORM set_config('test.n', n::text, false); END $$; SELECT current_setting('test.n')}), '150', 'subtransactions while rows come');
is(sql('SELECT id FROM shop.big LIMIT 3'), "1\n2\n3", 'LIMIT');
is(sql('SELECT count(*) FROM shop.empty'), '0', 'an empty table');
is(sql('SELECT count(*) FROM shop.vw'), '10', 'a view');
is(sql(q{SELECT tableoid::regclass FROM shop.vw LIMIT 1}), 'shop.vw', 'tableoid');
is(sql('SELECT b FROM shop.big b WHERE id = 7'), '(7,7,"row 7",0.875)', 'a whole row');
like(sql_error('SELECT * FROM missing_db.x', on_error_die => 0), qr/does not exist/, 'nothing');
sql(q{CREATE FOREIGN TABLE gone (a int) SERVER mysql; CREATE FOREIGN TABLE nocol (id int, nope int) SERVER mysql OPTIONS (table_name 'big')});
like(sql_error('SELECT * FROM gone'), qr/HV00R.*foreign server "mysql".*gone/s, 'no such table there');
like(sql_error('SELECT * FROM nocol'), qr/HV005.*nope/s, 'no such column there');

# Dropped columns, prepared statements, partitions

sql(q{CREATE FOREIGN TABLE dropped (a int, id int, b int, v text, s text GENERATED ALWAYS AS (v || '!') STORED) SERVER mysql OPTIONS (table_name 'big');
	ALTER FOREIGN TABLE dropped DROP COLUMN a, DROP COLUMN b});
is(sql('SELECT * FROM dropped WHERE id = 3'), '3|row 3|row 3!', 'dropped and generated columns');
is(sql(q{PREPARE p(int, text) AS SELECT id FROM shop.big WHERE id = $1 AND v = $2;
	EXECUTE p(1,'row 1'); EXECUTE p(2,'row 2'); EXECUTE p(3,'row 3'); EXECUTE p(4,'x'); EXECUTE p(5,'row 5'); EXECUTE p(6,'row 6'); EXECUTE p(7,'row 7')}),
	"1\n2\n3\n5\n6\n7", 'a prepared statement, custom and generic plans');

# ANALYZE

sql('ANALYZE shop.big');
is(sql(q{SELECT reltuples FROM pg_class WHERE oid = 'shop.big'::regclass}), '50000', 'ANALYZE counts rows');
is(sql(q{SELECT n_distinct FROM pg_stats WHERE schemaname = 'shop' AND tablename = 'big' AND attname = 'id'}), '-1', 'and has a sample');
sql(q{ALTER FOREIGN TABLE shop.types OPTIONS (ADD use_remote_estimate 'true')});
like(sql('EXPLAIN SELECT * FROM shop.types WHERE id = 1'), qr/rows=1 /, 'use_remote_estimate');

done_testing();
