# Point-in-time joins, random ones: the same rows with the node as without it, by
# each of its strategies.  ASOF_QUERIES=n and ASOF_SEED=n choose how many, and which.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use FeathubTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $queries = $ENV{ASOF_QUERIES} || 50;
my $seed = $ENV{ASOF_SEED} || 20240229;
my $node = new_node('main', conf => "timezone = 'UTC'\ndatestyle = 'ISO'\n");

srand($seed);
$node->safe_psql('postgres', "SELECT setseed(0.25); " . q{
	CREATE COLLATION loose (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
	CREATE TYPE mood AS ENUM ('low', 'high', 'odd');
	CREATE DOMAIN code AS text;

	-- few keys, few times: many ties, some NULLs, some keys on one side only
	CREATE FUNCTION things(n int) RETURNS TABLE (id int, i2 int2, i4 int4, i8 int8, nm numeric, f8 float8, tx text, vc varchar, bc char(4),
		cd code, ld text, en mood, ar int[], bo bool, ts timestamptz, tm timestamp, dt date, n4 int, n8 int8, nn numeric, tt text, iv interval)
	LANGUAGE sql VOLATILE AS $$
		SELECT i, k, k, k, k + 0.50, CASE WHEN k = 3 THEN 'NaN' WHEN k = 4 THEN -0.0 ELSE k END, 'key ' || k, 'v' || k, 'b' || k, 'c' || k,
			   CASE WHEN i % 2 = 0 THEN 'L' ELSE 'l' END || k, (ARRAY['low', 'high', 'odd'])[k % 3 + 1]::mood, ARRAY[k, NULL, 1], k % 2 = 0,
			   timestamptz '2024-01-01' + t * interval '1 hour', timestamp '2024-01-01' + t * interval '1 hour', date '2024-01-01' + t / 24, t, t, t / 4.0, 't' || t,
			   t * interval '1 min'
		  FROM (SELECT i, CASE WHEN random() < 0.95 THEN (random() * 12)::int END AS k, CASE WHEN random() < 0.95 THEN (random() * 100)::int END AS t
				  FROM generate_series(1, n) i) r $$;
	CREATE TABLE spine AS SELECT * FROM things(400);
	ALTER TABLE spine ALTER ld TYPE text COLLATE loose, ALTER tt TYPE text COLLATE "C";
	CREATE TABLE other AS SELECT * FROM things(30);
	CREATE TABLE feature AS SELECT *, CASE WHEN random() < 0.9 THEN (random() * 5)::int END AS v, repeat('x', (random() * 20)::int) AS w, random() < 0.2 AS deleted FROM things(1500);
	ALTER TABLE feature ALTER ld TYPE text COLLATE loose, ALTER tt TYPE text COLLATE "C";
	CREATE TABLE parted (LIKE feature) PARTITION BY RANGE (n4);
	CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM (MINVALUE) TO (30);
	CREATE TABLE parted_2 PARTITION OF parted FOR VALUES FROM (30) TO (70);
	CREATE TABLE parted_3 PARTITION OF parted DEFAULT;
	INSERT INTO parted TABLE feature;
	CREATE TABLE sparse AS SELECT * FROM feature WHERE id % 40 = 0;
	CREATE TABLE nothing (LIKE feature);
	CREATE INDEX ON feature (i4, ts);
	CREATE INDEX ON feature (ts);
	CREATE INDEX ON parted (n4);
	CREATE VIEW seen AS SELECT * FROM feature WHERE v IS DISTINCT FROM 4;
	ANALYZE;

	-- what differs between the node and the server's own plan
	CREATE FUNCTION differs(query text, OUT wrong text, OUT used int) LANGUAGE plpgsql AS $$
	DECLARE
		expected text; got text; plan text; line text;
	BEGIN
		used := 0;
		PERFORM set_config('feathub.enable_asof_join', 'off', true), set_config('enable_nestloop', 'on', true);
		EXECUTE 'SELECT string_agg(r::text, E''\n'' ORDER BY r::text) FROM (' || query || ') r' INTO expected;
		PERFORM set_config('feathub.enable_asof_join', 'on', true), set_config('enable_nestloop', 'off', true);
		FOR strategy IN 0 .. 4 LOOP
			PERFORM set_config('feathub.asof_join_strategy', (ARRAY['auto', 'feature_hash', 'spine_hash', 'time_ordered', 'merge'])[strategy + 1], true);
			plan := '';
			FOR line IN EXECUTE 'EXPLAIN (VERBOSE) ' || query LOOP
				plan := plan || line || E'\n';
			END LOOP;
			used := used + (length(plan) - length(replace(plan, 'FeathubAsofJoin', ''))) / 15;
			EXECUTE 'SELECT string_agg(r::text, E''\n'' ORDER BY r::text) FROM (' || query || ') r' INTO got;
			IF got IS DISTINCT FROM expected THEN
				wrong := concat_ws(E'\n', query, plan, 'expected', expected, 'got', got);
				RETURN;
			END IF;
		END LOOP;
	END $$;
});

sub one_of { return $_[ int(rand(@_)) ]; }
sub chance { return rand() < $_[0]; }

# outer and inner expression
my @keys = (
	[ 'i4', 'i4' ], [ 'i4', 'i4' ], [ 'i8', 'i4' ], [ 'i2', 'i8' ], [ 'i4', 'i2' ], [ 'nm', 'nm' ], [ 'f8', 'f8' ], [ 'tx', 'tx' ], [ 'vc', 'vc' ],
	[ 'bc', 'bc' ], [ 'cd', 'cd' ], [ 'ld', 'ld' ], [ 'en', 'en' ], [ 'ar', 'ar' ], [ 'bo', 'bo' ], [ 'dt', 'dt' ], [ 'i4 + 1', 'i4' ],
	[ 'coalesce(OUTER.i4, 1)', 'i4' ], [ "'key ' || OUTER.i2", 'tx' ]);
my @times = (
	[ 'ts', 'ts', "interval '9 hours'" ], [ 'ts', 'ts', "interval '1 day'" ], [ 'tm', 'tm', "interval '9 hours'" ], [ 'dt', 'dt', '1' ],
	[ 'ts', 'dt', "interval '2 days'" ], [ 'dt', 'ts', "interval '1 day'" ], [ 'tm', 'ts', "interval '9 hours'" ], [ 'n4', 'n4', '7' ],
	[ 'n8', 'n4', '7' ], [ 'n4', 'n8', '7' ], [ 'nn', 'nn', '2' ], [ 'tt', 'tt' ], [ 'iv', 'iv', "interval '9 min'" ],
	[ "ts - interval '1 hour'", 'ts', "interval '3 hours'" ]);

sub of_outer
{
	my ($expression, $outer) = @_;
	return $expression =~ /OUTER/ ? $expression =~ s/OUTER/$outer/gr : $expression =~ /^(\w+)(.*)$/ ? "($outer.$1$2)" : die $expression;
}

# a lateral subquery for the latest row
sub lateral
{
	my ($outer, $alias) = @_;
	my ($spine_time, $time, $ttl) = @{ one_of(@times) };
	my $at = of_outer($spine_time, $outer);
	my $table = one_of(qw(feature feature feature parted sparse seen nothing));
	my %seen;
	my @where;

	foreach (1 .. one_of(1, 1, 2, 3))
	{
		my ($left, $right) = @{ one_of(@keys) };
		next if $seen{$right}++;
		push @where, chance(0.7) ? "f.$right = " . of_outer($left, $outer) : of_outer($left, $outer) . " = f.$right";
	}
	my $op = one_of('<=', '<=', '<');
	push @where, chance(0.7) ? "f.$time $op $at" : "$at " . ($op eq '<' ? '>' : '>=') . " f.$time";
	push @where, "f.$time " . one_of('>=', '>') . " $at - $ttl" if $ttl && chance(0.4);
	push @where, one_of('f.v > 1', 'NOT f.deleted', 'f.v IS NOT NULL', "f.$time IS NOT NULL", 'f.i4 % 2 = 1') if chance(0.3);
	@where = sort { rand() <=> 0.5 } @where;

	my @order = ("f.$time DESC" . one_of('', ' NULLS LAST'));
	push @order, 'f.v' . one_of('', ' DESC', ' DESC NULLS LAST', ' NULLS FIRST') if chance(0.3);
	push @order, 'f.w COLLATE "C"' . one_of('', ' DESC') if chance(0.2) && 0;
	push @order, 'f.id' . one_of('', ' DESC');

	my @columns = ('f.v', 'f.w', 'f.deleted', 'f.id AS fid', "f.$time AS at", 'f.i4');
	push @columns, "1 / (f.v - 6) AS computed", "$outer.id - f.id AS gap", "true AS found" if chance(0.4);
	push @columns, 'f.ar', 'f.nm', 'f.tx' if chance(0.4);
	push @columns, 'f.n4', 'f.ts', 'f.i8', 'f.tm', 'f.dt' ;
	@columns = (@columns[ 0 .. 5 ], sort { rand() <=> 0.5 } @columns[ 6 .. $#columns ]);
	my $kind = one_of('LEFT', 'LEFT', 'INNER');
	my $on = chance(0.7) ? 'true' : one_of("NOT $alias.deleted", "$alias.v > 1", "$alias.v IS DISTINCT FROM $outer.i4", "$alias.fid > 100 AND NOT $alias.deleted");
	return "$kind JOIN LATERAL (SELECT " . join(', ', @columns) . " FROM $table f WHERE " . join(' AND ', @where)
	  . ' ORDER BY ' . join(', ', @order) . " LIMIT 1) $alias ON $on";
}

sub query
{
	my $from = one_of('spine s', 'spine s', 'spine s', '(SELECT * FROM spine WHERE id % 3 <> 0) s', '(SELECT * FROM spine ORDER BY ts LIMIT 150) s',
		'(SELECT o.id AS oid, p.* FROM other o LEFT JOIN spine p ON p.i4 = o.i4 AND p.id % 7 = 0) s',
		'other o LEFT JOIN spine s ON s.i4 = o.i4 AND s.id % 9 = 0', 'other o JOIN spine s USING (i4)', '(SELECT * FROM spine WHERE i4 = 5) s',
		'(SELECT * FROM spine WHERE false) s');
	my $with = chance(0.1) ? 'WITH c AS MATERIALIZED (SELECT * FROM spine WHERE id % 2 = 0) ' : '';
	my @select = chance(0.5) ? ('s.id', 's.i4', 's.ts') : ('s.id');
	my $groups = one_of(1, 1, 2, 3);

	$from = 'c s' if $with;
	foreach my $n (1 .. $groups)
	{
		my $alias = "l$n";
		# sometimes with the keys and times of the group before
		my $outer = $n > 1 && chance(0.15) ? 'l' . ($n - 1) : 's';
		my $lateral = lateral('s', $alias);
		if ($outer ne 's')
		{
			$lateral = lateral('s', $alias) while $lateral =~ /s\.(?!ts|i4|i8|n4|tm|dt|id)\w+/;
			$lateral =~ s/\bs\.(ts|i4|i8|n4|tm|dt)\b/$outer.$1/g;
		}
		$from .= " $lateral";
		push @select, chance(0.3) ? "l$n.*" : "l$n.fid, l$n.v, l$n.w, l$n.i4";
	}
	my $where = chance(0.3) ? ' WHERE ' . one_of('l1.v > 2', 'l1.fid IS NULL', 's.id > 100', 'l1.v IS NOT NULL AND s.i4 < 9', 's.i4 = l1.v') : '';
	return "${with}SELECT row_number() OVER () * 0 AS n, x.* FROM (SELECT " . join(', ', columns_once(@select)) . " FROM $from$where) x";
}

# names that a subquery may have twice
sub columns_once
{
	my $n = 0;
	return map { my $c = $_; $c =~ /\*/ ? "($c)::text AS c" . $n++ : map { "$_ AS c" . $n++ } split(/, /, $c) } @_;
}

my %total = (used => 0);
foreach my $work_mem ('4MB', '64kB')
{
	my @wrong;
	my $sql = "SET work_mem = '$work_mem'; SET hash_mem_multiplier = 1;\n";

	for (my $i = 0; $i < $queries; $i += 25)
	{
		my @batch = map { query() } 1 .. 25;
		my $out = $node->safe_psql('postgres',
			$sql . join("\n", map { "SELECT used, wrong FROM differs(\$query\$$_\$query\$);" } @batch));
		my $n = 0;
		foreach my $line (split /\n/, $out)
		{
			if ($line =~ /^(\d+)\|(.*)$/)
			{
				$total{used} += $1;
				$total{unused}++ if $1 == 0;
				push @wrong, $2 if $2 ne '';
			}
			elsif (@wrong)
			{
				$wrong[-1] .= "\n$line";
			}
		}
	}
	ok(!@wrong, "$queries joins with work_mem $work_mem, seed $seed: the same rows") or diag(substr($wrong[0], 0, 6000));
}
note("node in $total{used} plans; not at all in " . ($total{unused} || 0) . ' queries');
cmp_ok($total{used}, '>', 5 * $queries, 'by the node');

$node->stop;
done_testing();
