# What is left to the server gives the same answer as here: a large generated
# set of queries, each with pushdown and without.  The data have what the two
# sides differ in: case, blanks at the end, accents, backslashes, nulls, limits.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use FeathubTest;
use FeathubMysql;
use PostgreSQL::Test::Utils;
use Test::More;

my $mysql = mysql_start();
my $node = new_node('pushdown');
my $seed = random_seed();
my $queries = $ENV{FEATHUB_QUERIES} || 1500;

sub sql { return $node->safe_psql('postgres', $_[0]) }
sub pick { return $_[ int(rand(@_)) ] }

# The same tables twice: schema on is with pushdown, schema off without.
mysql_query($mysql, q{
	USE shop;
	CREATE TABLE a (id int PRIMARY KEY, i2 smallint, i4 int, i8 bigint, n decimal(20,5), f float, d double, b tinyint(1),
	  v varchar(30), l varchar(30) CHARACTER SET latin1, c char(12), tx text, bin varbinary(20), da date, ts datetime(6), tz timestamp(6) NULL,
	  ti time, en enum('red','Green','blue'), KEY (i4), KEY (v)) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci;
});
my @texts = ('a', 'A', 'a ', 'á', 'ab', 'aB', '', ' ', '%', '_', 'a%b', 'a_b', 'back\\slash', '\\', "it's", 'ß', 'ss', 'ä', 'ae', 'z', "tab\t", '1', '01', '1.0', 'null');
my @rows;
foreach my $id (1 .. 240)
{
	my $null = sub { rand() < 0.12 ? 'NULL' : $_[0] };
	my $text = sub { my $t = pick(@texts, '😀') if !$_[0]; $t = pick(@texts) if $_[0]; $t =~ s/([\\'])/\\$1/g; "'$t'" };
	push @rows, '(' . join(',', $id, map { $null->($_) }
		  pick(-32768, 32767, 0, 1, -7, 5), pick(-2147483648, 2147483647, 0, 1, 2, 3, -3, 10), pick('-9223372036854775808', '9223372036854775807', 0, 1, 2, -5, 100),
		pick('0', '1.5', '-1.5', '0.00001', '99999999999999.99999', '2.50000', '10'), pick('0e0', '1.5e0', '-0.1e0', '3e10', '16777217e0'),
		pick('0e0', '1.5e0', '0.1e0', '-2e0', '1e30', '-1e-30', '3e0'), pick(0, 1), $text->(), $text->(1), $text->(), $text->(),
		pick("x'00ff'", "x''", "x'61'", "x'4120'", "x'41'"), pick("'2013-01-01'", "'2000-02-29'", "'9999-12-31'", "'0001-01-01'"),
		pick("'2013-01-01 00:00:00'", "'2013-01-01 12:34:56.123456'", "'1969-12-31 23:59:59.999999'", "'9999-12-31 23:59:59'"),
		pick("'2013-01-01 00:00:00'", "'2013-03-31 02:30:00'", "'2001-01-01 01:01:01.5'"), pick("'00:00:00'", "'23:59:59'", "'12:00:00'"),
		pick("'red'", "'Green'", "'blue'")) . ')';
}
mysql_query($mysql, "SET time_zone = '+00:00'; INSERT INTO shop.a VALUES " . join(',', @rows) . '; CREATE TABLE shop.b LIKE shop.a; INSERT INTO shop.b SELECT * FROM shop.a WHERE id % 3 = 0');
mysql_server($node, $mysql);
sql(qq{
	CREATE SERVER mysql_off FOREIGN DATA WRAPPER feathub_mysql OPTIONS (host '127.0.0.1', port '$mysql->{port}', database 'shop', pushdown 'false');
	CREATE USER MAPPING FOR CURRENT_USER SERVER mysql_off OPTIONS (user 'fh', password 'fh-secret');
	CREATE TYPE color AS ENUM ('red', 'Green', 'blue');
	CREATE SCHEMA "on"; CREATE SCHEMA off});
foreach my $schema ('on', 'off')
{
	my $server = $schema eq 'on' ? 'mysql' : 'mysql_off';
	foreach my $table ('a', 'b')
	{
		sql(qq{CREATE FOREIGN TABLE "$schema".$table (id int OPTIONS (key 'true'), i2 int2, i4 int4, i8 int8, n numeric(20,5), f float4, d float8, b bool,
			v varchar(30), l text, c char(12), tx text, bin bytea, da date, ts timestamp, tz timestamptz, ti time, en color)
			SERVER $server OPTIONS (table_name '$table')});
	}
}

my %columns = (
	int => [qw(id i2 i4 i8)], numeric => ['n'], float => [qw(f d)], bool => ['b'], text => [qw(v l tx)], char => ['c'], bytea => ['bin'],
	date => ['da'], timestamp => ['ts'], timestamptz => ['tz'], time => ['ti'], enum => ['en']);
my @kinds = sort keys %columns;

sub constant
{
	my ($kind) = @_;
	return 'NULL::' . { int => 'int', numeric => 'numeric', float => 'float8', bool => 'bool', text => 'text', char => 'bpchar', bytea => 'bytea', date => 'date',
		timestamp => 'timestamp', timestamptz => 'timestamptz', time => 'time', enum => 'public.color' }->{$kind} if rand() < 0.04;
	return pick(0, 1, 2, -3, 10, 32767, '(-32768)', 100, 2147483647, '9223372036854775807') if $kind eq 'int';
	return pick('0.0', '1.5', '1.50', '-1.5', '0.00001', '0.000001', '99999999999999.99999', "'NaN'::numeric", '1e40', '2.5') if $kind eq 'numeric';
	return pick("'0'::float8", "'1.5'::float8", "'0.1'::float8", "'-0.1'::float4", "'NaN'::float8", "'Infinity'::float8", "'1e30'::float8", "'-0'::float8", "'16777216'::float4") if $kind eq 'float';
	return pick('true', 'false') if $kind eq 'bool';
	if ($kind eq 'text' || $kind eq 'char')
	{
		my $t = pick(@texts, '😀');
		$t =~ s/'/''/g;
		return $kind eq 'char' ? "'$t'::bpchar" : "'$t'::text";
	}
	return pick("'\\x00ff'::bytea", "'\\x'::bytea", "'\\x61'::bytea", "'\\x41'::bytea", "'\\x4120'::bytea") if $kind eq 'bytea';
	return pick("date '2013-01-01'", "date '2000-02-29'", "date 'infinity'", "date '0044-03-15 BC'", "date '9999-12-31'") if $kind eq 'date';
	return pick("timestamp '2013-01-01'", "timestamp '2013-01-01 12:34:56.123456'", "timestamp '-infinity'", "timestamp '1969-12-31 23:59:59.999999'") if $kind eq 'timestamp';
	return pick("timestamptz '2013-01-01+00'", "timestamptz '2013-03-31 02:30:00+00'", "timestamptz '2001-01-01 01:01:01.5+00'", "timestamptz 'infinity'") if $kind eq 'timestamptz';
	return pick("time '00:00'", "time '24:00'", "time '12:00'", "time '23:59:59'") if $kind eq 'time';
	return pick("'red'::public.color", "'Green'::public.color", "'blue'::public.color");
}

sub column { my ($kind, $alias) = @_; return $alias . '.' . pick(@{ $columns{$kind} }) }

sub expression
{
	my ($kind, $alias, $depth) = @_;
	my $r = rand();

	return column($kind, $alias) if $r < 0.6 || $depth <= 0;
	return 'coalesce(' . expression($kind, $alias, $depth - 1) . ', ' . constant($kind) . ')' if $r < 0.68;
	return 'CASE WHEN ' . condition($alias, 0) . ' THEN ' . expression($kind, $alias, 0) . ' END' if $r < 0.76;
	if ($kind eq 'int')
	{
		return '(' . column('int', $alias) . pick(' % ', ' / ') . pick(2, 3, 7, 10) . ')' if $r < 0.84;
		return "length($alias." . pick(qw(v l tx)) . ')' if $r < 0.9;
		return "($alias.i4::int8" . pick(' + ', ' - ', ' * ') . pick('2::int8', "$alias.i2") . ')' if $r < 0.95;
		return "extract(" . pick(qw(year month day hour minute)) . " FROM $alias.ts)";
	}
	return "($alias.d" . pick(' + ', ' - ', ' * ') . pick("'2'::float8", "$alias.f", "$alias.i2") . ')' if $kind eq 'float' && $r < 0.9;
	return "$alias.i4::numeric" if $kind eq 'numeric' && $r < 0.9;
	return column($kind, $alias);
}

sub condition
{
	my ($alias, $depth) = @_;
	my $kind = pick(@kinds);
	my $r = rand();

	if ($depth > 0 && $r < 0.35)
	{
		return 'NOT (' . condition($alias, $depth - 1) . ')' if $r < 0.1;
		return '(' . condition($alias, $depth - 1) . pick(' AND ', ' OR ') . condition($alias, $depth - 1) . ')';
	}
	my $left = expression($kind, $alias, 1);
	return $left . pick(' IS NULL', ' IS NOT NULL') if $r < 0.42;
	return $left . pick('', ' IS TRUE', ' IS NOT TRUE', ' IS FALSE', ' IS NOT FALSE', ' IS UNKNOWN', ' IS NOT UNKNOWN') if $kind eq 'bool' && $r < 0.7;
	return $left . pick(' LIKE ', ' NOT LIKE ') . "'" . pick('a%', '%', '_', 'A_', '%\\%%', '\\_', 'a\\%b', '% ', '%a', '') . "'" if $kind eq 'text' && $r < 0.55;
	return $left . pick(' = ANY', ' <> ALL') . ' (ARRAY[' . join(', ', map { constant($kind) } 1 .. pick(1, 2, 3)) . '])' if $r < 0.55;
	return $left . ' IS ' . pick('', 'NOT ') . 'DISTINCT FROM ' . constant($kind) if $r < 0.6;
	$kind = pick('numeric', 'float', 'int') if $kind eq 'int' && rand() < 0.3;
	return $left . pick(' = ', ' <> ', ' < ', ' <= ', ' > ', ' >= ', ' = ') .
	  (rand() < 0.75 ? constant($kind) : expression($kind, $alias, 0)) .
	  (($kind eq 'text') && rand() < 0.3 ? ' COLLATE "C"' : '');
}

sub order_by
{
	return ' ORDER BY ' . join(', ', (map { expression(pick(qw(int numeric float date timestamp timestamptz time text)), $_[0], 0) . pick('', ' DESC', ' NULLS FIRST', ' DESC NULLS LAST') } 1 .. pick(1, 2)), "$_[0].id")
	  . (rand() < 0.6 ? ' LIMIT ' . pick(0, 1, 5, 20) . pick('', ' OFFSET 3') : '');
}

sub query
{
	my $r = rand();

	if ($r < 0.5)
	{
		return 'SELECT ' . join(', ', 'x.id', map { expression(pick(@kinds), 'x', 1) . " AS c$_" } 1 .. 2) . ' FROM a x WHERE ' . condition('x', 2) . (rand() < 0.4 ? order_by('x') : '');
	}
	if ($r < 0.75)
	{
		# sums of doubles depend on the order
		my @aggregates = ('count(*)', 'count(' . expression(pick(@kinds), 'x', 1) . ')', 'count(DISTINCT ' . expression(pick(qw(int numeric date)), 'x', 0) . ')',
			'sum(' . pick('x.i2', 'x.i4', 'x.i8', 'x.n') . ')', pick('min', 'max') . '(' . expression(pick(qw(int numeric float date timestamp timestamptz time)), 'x', 0) . ')',
			'avg(' . pick('x.i4', 'x.n') . ')', 'max(x.v)', 'count(*) FILTER (WHERE ' . condition('x', 1) . ')', 'sum(x.i4) FILTER (WHERE ' . condition('x', 0) . ')');
		my @groups = map { expression(pick(qw(int numeric bool text char date timestamp enum)), 'x', 0) } 1 .. pick(0, 1, 1, 2);
		return 'SELECT ' . join(', ', @groups, (map { pick(@aggregates) } 1 .. 2)) . ' FROM a x WHERE ' . condition('x', 1)
		  . (@groups ? ' GROUP BY ' . join(', ', @groups) : '') . (rand() < 0.3 ? ' HAVING count(*) > ' . pick(0, 1, 2, 5) : '');
	}
	my $join = pick('JOIN', 'LEFT JOIN', 'RIGHT JOIN', 'FULL JOIN', 'JOIN');
	my $on = $join eq 'FULL JOIN' ? 'x.id = y.id' : pick('x.id = y.id', 'x.i4 = y.i2', 'x.id = y.id AND ' . condition('y', 0), 'x.en = y.en AND x.i2 = y.i2', 'x.v = y.v AND x.i4 = y.i4', 'x.id = y.id AND x.n > y.d');
	return "SELECT x.id, y.id AS yid, " . expression(pick(@kinds), 'x', 1) . ' AS c1, ' . expression(pick(@kinds), 'y', 0) . " AS c2 FROM a x $join b y ON $on WHERE " . condition(pick('x', 'y'), 1);
}

srand($seed);
my @list = map { query() } 1 .. $queries;
my %answers;
my %errors;
foreach my $schema ('on', 'off')
{
	my $script = qq{SET search_path = "$schema"; SET timezone = 'UTC';\n};
	foreach my $i (0 .. $#list)
	{
		# a subquery's ORDER BY and LIMIT choose rows; their order is compared by another test
		$script .= "\\echo #$i\nSELECT string_agg(r::text, ';' ORDER BY r::text COLLATE \"C\") FROM ($list[$i]) r;\n";
	}
	my ($status, $out, $err) = $node->psql('postgres', $script, on_error_stop => 0, extra_params => [ '-q' ]);
	is($status, 0, "the queries run: $schema");
	my @parts = split(/^#(\d+)\n/m, $out);
	shift @parts;
	$answers{$schema} = {@parts};
	$errors{$schema} = $err;
}
my @ran;
my $wrong = 0;
my $failed = 0;
foreach my $i (0 .. $#list)
{
	my ($on, $off) = ($answers{on}{$i}, $answers{off}{$i});

	$failed++ if !defined $off || $off eq '';
	push @ran, $list[$i] if defined $on && $on ne '';
	next if ($on || '') eq ($off || '');
	next if ++$wrong > 8;
	diag("with pushdown: " . substr($on || '(error)', 0, 300) . "\nwithout:       " . substr($off || '(error)', 0, 300) . "\n$list[$i]");
	diag(scalar $node->safe_psql('postgres', qq{SET search_path = "on"; EXPLAIN (VERBOSE, COSTS off) $list[$i]}));
}
diag(substr($errors{on}, 0, 2000)) if $wrong;
is($wrong, 0, "all answers are the same ($queries queries, seed $seed)");
cmp_ok($failed, '<', $queries / 20, 'few queries fail, and then both times');

# The order itself
$wrong = 0;
foreach my $i (1 .. 60)
{
	my $query = 'SELECT id FROM a x WHERE ' . condition('x', 1) . order_by('x');
	my ($on, $off) = map { scalar $node->psql('postgres', qq{SET search_path = "$_"; $query}, stdout => \my $out); $out } ('on', 'off');
	next if ($on || '') eq ($off || '');
	$wrong++;
	diag($query);
}
is($wrong, 0, 'rows come in the same order');

# How much of it was left to the server
my $plans = sql('SET search_path = "on"; ' . join(';', map { "EXPLAIN (VERBOSE, COSTS off) $_" } @ran));
cmp_ok(scalar(() = $plans =~ /WHERE/g), '>', $queries / 3, 'conditions are left to the server');
cmp_ok(scalar(() = $plans =~ / JOIN /g), '>', $queries / 40, 'joins');
cmp_ok(scalar(() = $plans =~ / GROUP BY /g), '>', $queries / 40, 'groups');
cmp_ok(scalar(() = $plans =~ / ORDER BY /g), '>', $queries / 40, 'orders');

# In a database of encoding SQL_ASCII our characters are bytes, the server's are not
sql(q{CREATE DATABASE bytes ENCODING 'SQL_ASCII' LOCALE 'C' TEMPLATE template0});
$node->safe_psql('bytes', qq{
	CREATE EXTENSION feathub;
	CREATE SERVER mysql FOREIGN DATA WRAPPER feathub_mysql OPTIONS (host '127.0.0.1', port '$mysql->{port}', database 'shop');
	CREATE USER MAPPING FOR CURRENT_USER SERVER mysql OPTIONS (user 'fh', password 'fh-secret');
	CREATE FOREIGN TABLE a (id int, tx text) SERVER mysql});
my $by_bytes = q{WHERE tx LIKE '_' OR length(tx) = 2};
is($node->safe_psql('bytes', "SELECT count(*) FROM a $by_bytes"),
	$node->safe_psql('bytes', "SELECT count(*) FROM (SELECT * FROM a OFFSET 0) a $by_bytes"), 'lengths in bytes');
unlike($node->safe_psql('bytes', "EXPLAIN (VERBOSE) SELECT * FROM a $by_bytes"), qr/SQL:.*WHERE/, 'are not left to the server');

done_testing();
