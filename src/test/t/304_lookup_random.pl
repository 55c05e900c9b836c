# Batched look-ups change nothing but the time: random joins with foreign tables
# give the same rows with the node and without, and as joins of ordinary tables.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use FeathubMysql;
use FeathubRedis;
use FeathubTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $mysql = mysql_start();
my $redis = redis_start();
my $queries = $ENV{FEATHUB_LOOKUPS} || 80;

random_seed();
my $node = new_node('lookup');

# Tables with keys of one and of two columns, with repeated and missing values.
my %table = (
	one => [ [ 'k int', 'INT PRIMARY KEY' ], [ 'v text', 'LONGTEXT' ], [ 'n bigint', 'BIGINT' ] ],
	words => [ [ 'w text', 'VARCHAR(40) COLLATE utf8mb4_bin PRIMARY KEY' ], [ 'v text', 'LONGTEXT' ], [ 'n bigint', 'BIGINT' ] ],
	pair => [ [ 'a bigint', 'BIGINT NOT NULL' ], [ 'b varchar(20)', 'VARCHAR(20) COLLATE utf8mb4_bin NOT NULL, PRIMARY KEY (a, b)' ], [ 'v text', 'LONGTEXT' ], [ 'n bigint', 'BIGINT' ] ]);
my %key = (one => ['k'], words => ['w'], pair => [ 'a', 'b' ]);

# What of the outer rows a key column may be compared with.
my %outer = (
	k => [ 'o.i4', 'o.i8', 'o.i2', 'o.i4 + 1', 'o.i8 / 2' ],
	w => [ 'o.t', 'o.vc', q{o.t || ''}, 'o.i4::text' ],
	a => [ 'o.i4', 'o.i8', 'o.i2' ],
	b => [ 'o.vc', 'o.t' ]);

sub sql
{
	return $node->safe_psql('postgres', $_[0]);
}

sub pick
{
	return $_[ int(rand(@_)) ];
}

mysql_server($node, $mysql);
sql(qq{
	CREATE SCHEMA ref;
	CREATE SCHEMA mysql;
	CREATE SCHEMA redis;
	CREATE SERVER redis FOREIGN DATA WRAPPER feathub_redis OPTIONS (host '127.0.0.1', port '$redis->{port}');
	CREATE USER MAPPING FOR CURRENT_USER SERVER redis});
my %options = (
	mysql => sub { "table_name '$_[0]', lookup_size '" . pick(1, 7, 100, 1000) . "'" },
	redis => sub { "kind 'hash', key_pattern '$_[0]:" . join(':', map { "{$_}" } @{ $key{ $_[0] } }) . "', fetch_size '" . pick(2, 50, 1000) . "'" });
foreach my $name (sort keys %table)
{
	my @columns = @{ $table{$name} };
	my $keys = join '|', @{ $key{$name} };

	mysql_query($mysql, "CREATE TABLE shop.`$name` ("
		  . join(', ', map { my ($n) = $_->[0] =~ /^(\w+)/; "`$n` $_->[1]" } @columns) . ')');
	sql("CREATE TABLE ref.$name (" . join(', ', map { $_->[0] } @columns) . ')');
	foreach my $system (sort keys %options)
	{
		sql("CREATE FOREIGN TABLE $system.$name ("
			  . join(', ', map { $_->[0] . ($_->[0] =~ /^($keys) / ? q{ OPTIONS (key 'true')} : '') } @columns)
			  . ") SERVER $system OPTIONS (" . $options{$system}->($name) . ')');
	}
}
sql(q{
	INSERT INTO ref.one SELECT i, nullif('v' || i % 9, 'v3'), nullif(i % 5, 2) FROM generate_series(1, 400, 2) i;
	INSERT INTO ref.words SELECT 'w' || i || CASE WHEN i % 4 = 0 THEN ' é''\"' ELSE '' END, 'v' || i % 9, i % 5 FROM generate_series(1, 300) i;
	INSERT INTO ref.words VALUES ('', 'empty', 1), ('W1', 'upper', 1), ('17', 'number', 2);
	INSERT INTO ref.pair SELECT a, 'b' || b, 'v' || a % 7, nullif(b, 3) FROM generate_series(-3, 30) a, generate_series(0, 5) b WHERE (a + b) % 3 <> 0});
foreach my $name (sort keys %table)
{
	# Redis has no rows without a value
	sql("DELETE FROM ref.$name WHERE v IS NULL AND n IS NULL");
	sql("INSERT INTO $_.$name SELECT * FROM ref.$name") foreach sort keys %options;
}
sql('CREATE TABLE public.o (id int, i2 smallint, i4 int, i8 bigint, t text, vc varchar(20), n int)');
foreach my $i (1 .. 600)
{
	my @row = (
		$i, pick('NULL', int(rand(40)) - 5), pick('NULL', int(rand(450)), int(rand(20))),
		pick('NULL', int(rand(450)), '9000000000000'),
		pick('NULL', map { "'$_'" } '', 'W1', 'w1', 'w2 ', "w" . int(rand(320)), "w" . 4 * int(rand(80)) . q{ é''"}, int(rand(30))),
		pick('NULL', map { "'$_'" } 'b' . int(rand(8)), 'B1', 'b1 ', 'w' . int(rand(99))),
		int(rand(6)));
	push our @rows, '(' . join(', ', @row) . ')';
}
sql('INSERT INTO public.o VALUES ' . join(', ', our @rows));
sql('ANALYZE public.o');

# A random condition on a row of the foreign table, the outer row or both.
sub extra
{
	return pick('f.n > 1', 'f.n IS NULL', q{f.v <> 'v4'}, 'f.n = o.n', 'o.n < f.n', 'o.id % 3 = 0', q{f.v LIKE 'v%'},
		q{coalesce(f.v, 'x') >= 'v2'}, 'f.n IS DISTINCT FROM o.n', '(f.n > 2 OR o.n = 1)', 'o.n IN (1, 2, 5)');
}

sub random_query
{
	my $name = pick(sort keys %table);
	my @on = map { "f.$_ = " . pick(@{ $outer{$_} }) } @{ $key{$name} };
	my $on;

	pop @on if @on > 1 && rand() < 0.2;
	push @on, extra() while rand() < 0.4;
	$on = join ' AND ', sort { rand() <=> 0.5 } @on;
	my $where = rand() < 0.4 ? 'WHERE ' . extra() : '';
	my $source = pick("$name f", "$name f", "(SELECT *, coalesce(n, -1) AS c FROM $name) f");
	my $list = pick('o.id, f.v', 'o.id, f.*', 'o.id, f', 'o.*, f.n', 'o.id', 'f.n, f.v', 'count(*), sum(f.n), max(f.v)');

	return pick(
		"SELECT $list FROM o JOIN $source ON $on $where",
		"SELECT $list FROM o LEFT JOIN $source ON $on $where",
		"SELECT $list FROM o LEFT JOIN $source ON $on",
		"SELECT o.id FROM o WHERE EXISTS (SELECT FROM $source WHERE $on)",
		"SELECT o.id FROM o WHERE NOT EXISTS (SELECT FROM $source WHERE $on)",
		"SELECT f.n, f.v FROM $name f WHERE f.$key{$name}[0] IN (SELECT " . pick(@{ $outer{ $key{$name}[0] } }) . ' FROM o WHERE o.n > 1)',
		"SELECT x.i, y.* FROM generate_series(0, 3) x(i), LATERAL (SELECT o.id, f.v, x.i AS j FROM o LEFT JOIN $source ON $on AND o.n = x.i OFFSET 0) y",
		"SELECT q.id, g.v FROM (SELECT o.id, f.n FROM o JOIN $source ON $on) q LEFT JOIN one g ON g.k = q.n",

		# what is made of the columns above the join and above others, where 16 and later tell them apart
		"SELECT o.id, f.n + 1, upper(f.v), count(f.n) OVER (PARTITION BY f.v) FROM o LEFT JOIN $source ON $on $where",
		"SELECT f.v, count(*), sum(coalesce(f.n, -1)) FROM o LEFT JOIN $source ON $on GROUP BY f.v HAVING count(f.n) >= 0",
		"SELECT p.id, q.* FROM o p " . pick('LEFT', 'FULL') . " JOIN (SELECT o.id AS oid, f.v, f.n IS NULL AS none, coalesce(f.n, 0) + o.n AS sum, 7 AS seven FROM o LEFT JOIN $source ON $on) q ON q.oid = p.n + 3",
		"SELECT o.id, f.v, g.v, g.n IS NULL FROM o LEFT JOIN $source ON $on LEFT JOIN one g ON g.k = f.n WHERE coalesce(g.n, 1) > 0");
}

sub answer
{
	my ($schema, $settings, $query) = @_;
	return join "\n", sort split /\n/, sql("SET search_path = $schema, public; $settings; $query"), -1;
}

my $force = 'SET enable_hashjoin = off; SET enable_mergejoin = off; SET enable_nestloop = off';
my $wrong = 0;
my %used;
foreach my $n (1 .. $queries)
{
	my $query = random_query();
	my $memory = 'SET work_mem = ' . pick(64, 64, 4096);
	my $expected = answer('ref', 'SET work_mem = 4096', $query);

	foreach my $system (sort keys %options)
	{
		my %got = (
			'node' => answer($system, "$force; $memory", $query),
			'no node' => answer($system, 'SET feathub.enable_batched_lookup = off', $query),
			'generic plan' => answer($system, "$force; SET plan_cache_mode = force_generic_plan; PREPARE p AS $query", 'EXECUTE p'),
			'cheapest' => answer($system, $memory, $query));

		$used{$system}++ if answer($system, $force, "EXPLAIN $query") =~ /FeathubLookup/;
		foreach my $how (sort keys %got)
		{
			next if $got{$how} eq $expected;
			$wrong++;
			is($got{$how}, $expected, "$system, $how: $query") if $wrong < 4;
		}
	}
}
is($wrong, 0, "$queries random joins give the same rows in four ways");
cmp_ok($used{$_} || 0, '>', $queries / 2, "$_: most of them by look-ups") foreach sort keys %options;

done_testing();
