# Rows in MariaDB's bulk protocol: the server makes the same of them as of
# literals, errors undo all of them, packets have their limit, servers that do not
# take the protocol get text.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use FeathubTest;
use FeathubMysql;
use PostgreSQL::Test::Utils;
use Test::More;

my $mysql = mysql_start(options => [ '--log-bin', '--server-id=1', '--binlog-format=ROW', '--innodb-lock-wait-timeout=600' ]);
my $node = new_node('bulk');

sub sql { return $node->safe_psql('postgres', $_[0]) }

sub sql_error
{
	my ($query) = @_;
	my ($status, $out, $err) = $node->psql('postgres', "\\set VERBOSITY verbose\n$query");
	isnt($status, 0, "fails: $query");
	return $err;
}

# What a session answers, and whether that was an error.
sub ask
{
	my ($session, $query) = @_;

	$session->{stderr} = '';
	my ($output, $failed) = $session->query($query);
	return wantarray ? ($output, $failed) : $output;
}

# How many statements were prepared since the last call?
my $prepared = 0;
sub prepared
{
	my $before = $prepared;
	(my $now = mysql_query($mysql, q{SHOW GLOBAL STATUS LIKE 'Com_stmt_prepare'})) =~ s/\D//g;
	$prepared = $now;
	return $now - $before;
}

mysql_server($node, $mysql);

# The same values, row by row as literals and all at once

my $theirs = q{id int PRIMARY KEY, b tinyint(1), b_text varchar(10), small smallint, y year, i int, i_text varchar(20), big bigint,
	f float, d double, d_text varchar(40), d_dec decimal(20,3), n decimal(40,10), n_text varchar(60), n_double double,
	t text, l varchar(20) CHARACTER SET latin1, c char(5), bin varbinary(50), bin_text text, da date, da_text varchar(20), da_dt datetime,
	ts datetime(6), ts_sec datetime, ts_text varchar(40), ts_date date, tz timestamp(3) NULL, ti time(6), ti_text varchar(30), iv time(2),
	j longtext, u uuid, en enum('a','b'), se set('x','y','z')};
mysql_query($mysql, "USE shop; CREATE TABLE rows_ ($theirs) CHARACTER SET utf8mb4; CREATE TABLE bulk LIKE rows_");
my $ours = q{id int, b boolean, b_text boolean, small smallint, y smallint, i int, i_text int, big bigint,
	f real, d float8, d_text float8, d_dec float8, n numeric, n_text numeric, n_double numeric,
	t text, l text, c text, bin bytea, bin_text bytea, da date, da_text date, da_dt date,
	ts timestamp, ts_sec timestamp, ts_text timestamp, ts_date timestamp, tz timestamptz, ti time, ti_text time, iv interval,
	j jsonb, u uuid, en text, se text[]};
sql(qq{CREATE TABLE source ($ours);
	CREATE FOREIGN TABLE rows_ ($ours) SERVER mysql OPTIONS (table_name 'rows_');
	CREATE FOREIGN TABLE bulk ($ours) SERVER mysql OPTIONS (table_name 'bulk');
	INSERT INTO source SELECT i, i % 2 = 0, i % 3 = 0, i - 20, 1990 + i, i * 1000, -i, i * (9223372036854775807 / 40),
	  i / 3.0, i / 7.0, i / 9.0, i / 11.0, i / 13.0, i * 1.50, i / 17.0,
	  'text ' || i || ' it''s "Ünïcode" \\ 😀', 'é' || i, 'c' || i, decode('00275c0d0a1a' || lpad(i::text, 4, '0'), 'hex'), convert_to('ü' || i, 'UTF8'),
	  '2013-01-01'::date + i, '2013-01-01'::date + i, '2013-01-01'::date + i,
	  timestamp '2013-06-01 12:00' + i * interval '1.000001 s', timestamp '2013-06-01 12:00' + i * interval '1.7 s',
	  timestamp '2013-06-01 12:00' + i * interval '0.5 s', timestamp '2013-06-01 12:00' + i * interval '5 h',
	  timestamptz '2013-06-01 12:00+02' + i * interval '0.0016 s', '00:00'::time + i * interval '0.000001 s', '00:00'::time + i * interval '1 s', i * interval '-20.97 h',
	  jsonb_build_object('a', i, 'x', 'é'), ('123e4567-e89b-12d3-a456-' || lpad(i::text, 12, '0'))::uuid, CASE WHEN i % 2 = 0 THEN 'a' ELSE 'b' END, CASE i % 3 WHEN 0 THEN '{}' WHEN 1 THEN '{z,x}' ELSE '{y}' END::text[]
	FROM generate_series(1, 40) i;
	INSERT INTO source (id) VALUES (41), (42);
	INSERT INTO source (id, big, d, f, n, t, bin, da, ts, tz, ti, iv) VALUES
	  (43, -9223372036854775808, 1.7976931348623157e308, 3.4028235e38, 123456789012345678901234567890.0123456789, '', '', '0001-01-01', '9999-12-31 23:59:59.999999', '1970-01-01 00:00:01+00', '23:59:59.999999', '838:59:59'),
	  (44, 9223372036854775807, 5e-324, 1e-38, -0.0000000001, repeat('x', 20000), repeat('y', 50)::bytea, '9999-12-31', '0001-01-01', '2038-01-19 03:14:07+00', '00:00', '-838:59:59')});
prepared();
sql(q{DO $$DECLARE r source; BEGIN FOR r IN SELECT * FROM source LOOP INSERT INTO rows_ SELECT r.*; END LOOP; END$$});
is(prepared(), 0, 'single rows are text');
sql('INSERT INTO bulk SELECT * FROM source');
is(prepared(), 1, 'many are not');
is(mysql_query($mysql, 'SELECT COUNT(*) FROM shop.bulk'), 44, 'they are all there');
is(mysql_query($mysql, 'SELECT * FROM shop.rows_ ORDER BY id'), mysql_query($mysql, 'SELECT * FROM shop.bulk ORDER BY id'), 'and the same');
is(mysql_query($mysql, 'CHECKSUM TABLE shop.rows_') =~ s/.*\t//sr, mysql_query($mysql, 'CHECKSUM TABLE shop.bulk') =~ s/.*\t//sr, 'bit by bit');

# Whatever one row has wrong: nothing of the statement stays, and the session goes on

mysql_query($mysql, 'USE shop; CREATE TABLE t (id int PRIMARY KEY, n tinyint NOT NULL, v varchar(10)) CHARACTER SET utf8mb4');
sql(q{CREATE FOREIGN TABLE t (id int OPTIONS (key 'true'), n int, v text) SERVER mysql OPTIONS (table_name 't', batch_size '100');
	CREATE FOREIGN TABLE up (id int OPTIONS (key 'true'), n int, v text) SERVER mysql OPTIONS (table_name 't', batch_size '100', write_mode 'upsert');
	CREATE FOREIGN TABLE keep (id int OPTIONS (key 'true'), n int, v text) SERVER mysql OPTIONS (table_name 't', write_mode 'ignore')});
my $rows = 'SELECT i, %s, %s FROM generate_series(1, 500) i';
foreach my $case (
	[ '1', q{repeat('x', CASE i WHEN 350 THEN 11 ELSE 5 END)}, qr/22001.*column 'v'/s, 'too long' ],
	[ 'CASE i WHEN 350 THEN 128 ELSE 5 END', q{'x'}, qr/22003.*column 'n'/s, 'out of range' ],
	[ 'CASE i WHEN 350 THEN NULL ELSE 5 END', q{'x'}, qr/23502.*Column 'n' cannot be null/s, 'null' ],
	[ '1', q{'x' FROM generate_series(1, 350) i UNION ALL SELECT i, 1, 'x'}, qr/23505.*PRIMARY/s, 'a key twice' ])
{
	my ($n, $v, $error, $what) = @$case;
	like(sql_error('INSERT INTO t ' . sprintf($rows, $n, $v)), $error, "$what is an error");
}
is(sql('SELECT count(*) FROM t'), 0, 'and nothing stays');
is(sql(q{DO $$BEGIN
	INSERT INTO t SELECT i, 1, 'first' FROM generate_series(1, 150) i;
	BEGIN
	  INSERT INTO t SELECT i, 1, 'second' FROM generate_series(151, 300) i;
	  INSERT INTO t SELECT i, i, 'third' FROM generate_series(301, 450) i;
	EXCEPTION WHEN numeric_value_out_of_range THEN NULL;
	END;
	INSERT INTO t SELECT i, 1, 'last' FROM generate_series(300, 400) i;
	END$$;
	SELECT v, count(*) FROM t GROUP BY v ORDER BY v}), "first|150\nlast|101", 'a subtransaction is undone, the rest stays');
sql(q{INSERT INTO up SELECT i, 2, 'changed' FROM generate_series(101, 350) i; INSERT INTO keep SELECT i, 3, 'kept' FROM generate_series(1, 420) i});
is(sql('SELECT v, n, count(*) FROM t GROUP BY 1, 2 ORDER BY 1, 2'), "changed|2|250\nfirst|1|100\nkept|3|20\nlast|1|50", 'upsert and ignore');
is(mysql_query($mysql, q{SHOW GLOBAL STATUS LIKE 'Prepared_stmt_count'}) =~ s/\D//gr, 0, 'statements go with their sessions');

# Packets

mysql_query($mysql, 'USE shop; CREATE TABLE large (id int PRIMARY KEY, b longblob); SET GLOBAL max_allowed_packet = 1048576');
sql(q{CREATE FOREIGN TABLE large (id int, b bytea) SERVER mysql OPTIONS (table_name 'large');
	INSERT INTO large SELECT i, convert_to(repeat('ab', 45000), 'UTF8') FROM generate_series(1, 50) i;
	INSERT INTO large SELECT i, convert_to(repeat('a', 1047000 * (i % 2)), 'UTF8') FROM generate_series(51, 70) i});
is(mysql_query($mysql, 'SELECT COUNT(*), SUM(LENGTH(b)) FROM shop.large'), "70\t" . (50 * 90000 + 10 * 1047000), 'rows are cut to the packets');
like(sql_error(q{INSERT INTO large SELECT i, convert_to(repeat('a', CASE i WHEN 90 THEN 1200000 ELSE 1 END), 'UTF8') FROM generate_series(71, 100) i}),
	qr/54000.*max_allowed_packet is 1048576/s, 'a row too large');
is(mysql_query($mysql, 'SELECT COUNT(*) FROM shop.large'), 70, 'leaves nothing');
mysql_query($mysql, 'SET GLOBAL max_allowed_packet = 16777216');

# A table that changes, in one session

my $session = $node->background_psql('postgres', on_error_stop => 0);
ask($session, 'TRUNCATE t');
ask($session, q{INSERT INTO t SELECT i, 1, 'x' FROM generate_series(1, 100) i});
mysql_query($mysql, q{ALTER TABLE shop.t ADD COLUMN extra int DEFAULT 7 FIRST});
ask($session, q{INSERT INTO t SELECT i, 1, 'x' FROM generate_series(101, 200) i});
ask($session, q{INSERT INTO up SELECT i, 2, 'y' FROM generate_series(101, 200) i});
is(mysql_query($mysql, 'SELECT COUNT(*), SUM(extra), SUM(n) FROM shop.t'), "200\t1400\t300", 'a column more');
is(mysql_query($mysql, q{SHOW GLOBAL STATUS LIKE 'Prepared_stmt_count'}) =~ s/\D//gr, 1, 'a session has one statement at a time');
mysql_query($mysql, q{ALTER TABLE shop.t RENAME COLUMN v TO w});
my ($out, $failed) = ask($session, q{INSERT INTO t SELECT i, 1, 'x' FROM generate_series(201, 300) i});
ok($failed, 'a column less');
mysql_query($mysql, q{ALTER TABLE shop.t RENAME COLUMN w TO v});
ask($session, q{INSERT INTO t SELECT i, 1, 'x' FROM generate_series(201, 300) i});
is(mysql_query($mysql, 'SELECT COUNT(*) FROM shop.t'), 300, 'is an error until it is back');

# A session of theirs that is killed, a statement of ours that is cancelled

(my $id = mysql_query($mysql, q{SELECT id FROM information_schema.processlist WHERE user = 'fh'})) =~ s/\D//g;
mysql_query($mysql, "KILL $id");
poll_until(sub { mysql_query($mysql, q{SELECT COUNT(*) FROM information_schema.processlist WHERE user = 'fh'}) == 0 }, 'the session is gone');
ask($session, q{INSERT INTO up SELECT i, 1, 'x' FROM generate_series(201, 300) i; INSERT INTO t SELECT i, 1, 'x' FROM generate_series(301, 400) i});
is(mysql_query($mysql, 'SELECT COUNT(*) FROM shop.t'), 400, 'a new session prepares anew');
my $other = $node->background_psql('postgres', on_error_stop => 0);
ask($other, q{BEGIN; INSERT INTO t VALUES (450, 1, 'lock')});
($out, $failed) = ask($session, q{SET statement_timeout = '300ms'; INSERT INTO t SELECT i, 1, 'x' FROM generate_series(401, 500) i});
ok($failed, 'a statement is cancelled');
is(mysql_query($mysql, 'SELECT COUNT(*) FROM shop.t'), 400, 'and undone');
ask($other, 'ROLLBACK');
$other->quit;
ask($session, q{SET statement_timeout = 0; INSERT INTO t SELECT i, 1, 'x' FROM generate_series(401, 500) i});
is(mysql_query($mysql, 'SELECT COUNT(*) FROM shop.t'), 500, 'the session goes on');
$session->quit;

# Servers that do not take it

my $as_text = sub {
	my ($what) = @_;
	my (undef, $out, $err) = $node->psql('postgres',
		q{SET client_min_messages = debug3; TRUNCATE t; INSERT INTO t SELECT i, 1, 'x' FROM generate_series(1, 350) i; SELECT count(*) FROM t});
	is($out, 350, $what);
	like($err, qr/feathub_mysql: INSERT INTO `shop`.`t` \(`id`, `n`, `v`\) VALUES \(301,1,'x'\)/, 'rows go as text');
};
mysql_query($mysql, q{SET GLOBAL binlog_format = 'STATEMENT'});
$as_text->('binlog_format = STATEMENT');
mysql_query($mysql, q{SET GLOBAL binlog_format = 'ROW', GLOBAL max_prepared_stmt_count = 0});
$as_text->('no statement can be prepared');
mysql_query($mysql, q{SET GLOBAL max_prepared_stmt_count = 16382});

done_testing();
