# FeathubConnectorParity.pm
#	What foreign tables of every connector must do alike.
#
#	use FeathubConnectorParity;
#
#	run_parity($node, name => 'redis', ...);
#
# Every table exists twice: as an ordinary table in schema ref and, with the
# same rows, as a foreign table in schema ext.  A statement is run with either
# in the search path, and the answers are compared.  What a connector cannot
# do, by the view feathub.connector, is tried all the same and must be an error.
#
# The connector is described by:
#	name			its name
#	server			what stands behind FOREIGN DATA WRAPPER: OPTIONS (...)
#	mapping			options of user mappings, "OPTIONS (...)" or ''
#	needs_mapping	is it an error to have none?
#	table			sub ($table, $columns) that makes room for it in the system;
#					returns the foreign table's OPTIONS (...); columns are
#					[ name, type, is it the key? ]
#	key				the column option for keys, or undef
#	upsert			what is added to the table's options for upserts, or undef
#	load			sub ($table, $columns), if it cannot be inserted into: copies
#					ref.$table into the system
#	types			hash: which of the columns of table "type" it has
#	wide			what a fifth of the longest value may have of characters, if not 100000
#	not				hash: names of parts that do not apply, with the reason
#	stop, start		sub: the system goes away and comes back with its data
#	unreachable		what follows ALTER SERVER parity to make it point nowhere
#	reachable		and back
#	silent			sub ($port): what follows ALTER SERVER to make it point to a
#					server that never answers, and reachable again
#	bad_mapping		options of ALTER USER MAPPING that are refused by the system
#	good_mapping	and back
package FeathubConnectorParity;

use strict;
use warnings;

use Exporter 'import';
use FeathubTest;
use IO::Socket::INET;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

our @EXPORT = qw(run_parity);

my ($node, %c, %can);

# The columns of the table on which most statements run.
my @item = (
	[ 'id', 'int', 1 ],
	[ 'grp', 'int' ],
	[ 'name', 'text' ],
	[ 'price', 'numeric(12,3)' ],
	[ 'ok', 'boolean' ],
	[ 'at', 'timestamptz' ]);
my $item_rows = q{
	SELECT i, nullif(i % 11, 3), nullif('name ' || i % 37 || CASE WHEN i % 5 = 0 THEN ' "q" \\ é ☃' ELSE '' END, 'name 4'),
	       CASE WHEN i % 13 <> 0 THEN (i * 7 % 1000)::numeric / 8 END, nullif(i % 3, 2) = 0,
	       CASE WHEN i % 17 <> 0 THEN timestamptz '2026-01-02 03:04:05.678901+00' + i * interval '1 h 1 s' END
	  FROM generate_series(1, 300) i};

# Every column's type, with values that are easily spoilt.
my @type = (
	[ 'id', 'int', 1 ],
	[ 'bool', 'boolean' ],
	[ 'int2', 'smallint' ],
	[ 'int8', 'bigint' ],
	[ 'float4', 'real' ],
	[ 'float8', 'double precision' ],
	[ 'num', 'numeric(30,10)' ],
	[ 'str', 'text' ],
	[ 'vc', 'varchar(40)' ],
	[ 'bytes', 'bytea' ],
	[ 'day', 'date' ],
	[ 'clock', 'time' ],
	[ 'ts', 'timestamp' ],
	[ 'tstz', 'timestamptz' ],
	[ 'doc', 'jsonb' ],
	[ 'uid', 'uuid' ],
	[ 'ints', 'int[]' ]);
my %type_values = (
	id => [ 1, 2, 3 ],
	bool => [qw(true false NULL)],
	int2 => [ '-32768', '32767', 'NULL' ],
	int8 => [ '-9223372036854775808', '9223372036854775807', 'NULL' ],
	float4 => [ '1.5', '-3.4e38', 'NULL' ],
	float8 => [ '0.1', '-1.7976931348623157e308', 'NULL' ],
	num => [ '12345678901234567890.0123456789', '-0.0000000001', 'NULL' ],
	str => [ q{E'a\\\\b"c''d\te\nf'}, q{'€ ☃ 😀'}, 'NULL' ],
	vc => [ q{''}, q{' lead and trail '}, 'NULL' ],
	bytes => [ q{'\x00ff0a0d5c27'}, q{'\x'}, 'NULL' ],
	day => [ q{'1970-01-01'}, q{'2999-12-31'}, 'NULL' ],
	clock => [ q{'00:00:00'}, q{'23:59:59.999999'}, 'NULL' ],
	ts => [ q{'2026-03-29 02:30:00'}, q{'1999-12-31 23:59:59.999999'}, 'NULL' ],
	tstz => [ q{'2026-03-29 02:30:00.000001+00'}, q{'2026-10-25 01:30:00+01'}, 'NULL' ],
	doc => [ q{'{"a": [1, null, "x\"y"], "b": {"c": 1.50}}'}, q{'"text"'}, 'NULL' ],
	uid => [ q{'00000000-0000-0000-0000-000000000000'}, q{'ffffffff-ffff-4fff-bfff-ffffffffffff'}, 'NULL' ],
	ints => [ q{'{1,NULL,3}'}, q{'{}'}, 'NULL' ]);

# Run statements; dies with their error.
sub sql
{
	return $node->safe_psql('postgres', $_[0]);
}

# The error of statements that must fail, with its SQLSTATE.
sub error_of
{
	my ($status, $out, $err) = $node->psql('postgres', "\\set VERBOSITY verbose\n$_[0]");
	return $status == 0 ? 'none' : $err;
}

# The answer of a statement on the tables of a schema.
sub answer
{
	my ($schema, $query, $order) = @_;
	my ($status, $out, $err) = $node->psql('postgres', "SET search_path = $schema, public;\n$query");

	$out = join "\n", sort split /\n/, $out, -1 if !$order;
	$out .= "\n$err" if $status != 0;
	return $out;
}

# A statement answers the same on both tables.  Lines are sorted, unless
# $order says that their order counts.
sub same
{
	my ($what, $query, $order) = @_;
	my $ref = answer('ref', $query, $order);

	unlike($ref, qr/ERROR/, "$what: the reference") if $ref =~ /ERROR/;
	is(answer('ext', $query, $order), $ref, $what);
	return;
}

# Make both tables; $rows is a query for what they hold.
sub make_table
{
	my ($table, $columns, $rows, %opt) = @_;
	my @stored = grep { !$_->[3] } @$columns;
	my $names = join ', ', map { $_->[0] } @stored;

	sql("CREATE TABLE ref.$table (" . join(', ', map { "$_->[0] $_->[1]" . ($_->[2] ? ' PRIMARY KEY' : '') . ($_->[3] || '') } @$columns) . ')');
	sql("INSERT INTO ref.$table ($names) $rows") if defined $rows;
	foreign_table("ext.$table", $columns, $c{table}->($table, \@stored) . ($opt{options} || ''));
	fill($table, \@stored) if defined $rows;
	return;
}

# A foreign table of these columns; options are its own.
sub foreign_table
{
	my ($name, $columns, $options) = @_;

	sql("CREATE FOREIGN TABLE $name ("
		  . join(', ', map { "$_->[0] $_->[1]" . ($_->[2] && $c{key} ? " OPTIONS ($c{key})" : '') . ($_->[3] || '') } @$columns)
		  . ") SERVER parity OPTIONS ($options)");
	return;
}

# Bring the rows of ref's table to the system.
sub fill
{
	my ($table, $columns) = @_;
	my $names = join ', ', map { $_->[0] } @$columns;

	if ($can{insert} ne 'true') { $c{load}->($table, $columns); }
	else { sql("INSERT INTO ext.$table ($names) SELECT $names FROM ref.$table"); }
	return;
}

sub run_parity
{
	($node, %c) = @_;

	sql(q{
		CREATE SCHEMA ref;
		CREATE SCHEMA ext;
		CREATE ROLE regress_reader;
		CREATE ROLE regress_owner;
		ALTER DATABASE postgres SET timezone = 'Europe/Berlin';
		GRANT USAGE ON SCHEMA ref, ext TO regress_reader, regress_owner;
		GRANT CREATE ON SCHEMA ext, public TO regress_owner});
	sql("CREATE SERVER parity FOREIGN DATA WRAPPER feathub_$c{name} $c{server}");
	sql("CREATE USER MAPPING FOR CURRENT_USER SERVER parity $c{mapping}");
	%can = map { split /\|/ } split /\n/, sql(qq{
		SELECT key || '|' || value FROM feathub.connector c, jsonb_each_text(to_jsonb(c)) WHERE c.connector = '$c{name}'});
	make_table('item', \@item, $item_rows);

	foreach my $part (
		[ 'queries', \&queries ],
		[ 'types', \&types ],
		[ 'parameters', \&parameters ],
		[ 'rescans', \&rescans ],
		[ 'lookups', \&lookups ],
		[ 'cursors', \&cursors ],
		[ 'empty', \&empty ],
		[ 'wide', \&wide ],
		[ 'columns', \&columns ],
		[ 'system columns', \&system_columns ],
		[ 'changes', \&changes ],
		[ 'upsert', \&upsert ],
		[ 'triggers', \&triggers ],
		[ 'partitions', \&partitions ],
		[ 'rights', \&rights ],
		[ 'statistics', \&statistics ],
		[ 'altered', \&altered ],
		[ 'lost', \&lost ],
		[ 'cancel', \&cancel ],
		[ 'refused', \&refused ])
	{
		my ($name, $code) = @$part;

		if ($c{not}{$name}) { note("$name: $c{not}{$name}"); }
		else { subtest($name, sub { eval { $code->(); 1; } or fail("$name: $@"); }); }
	}
	return;
}

sub queries
{
	same('all rows', 'SELECT * FROM item');
	same('a few columns', 'SELECT name, id FROM item');
	same('no column', 'SELECT count(*) FROM item');
	same('no column, limited', 'SELECT 1 FROM item LIMIT 7');
	same('whole rows', 'SELECT item, id FROM item');
	same('a column twice', 'SELECT id, id + 1, name || id FROM item');
	same("where $_", "SELECT * FROM item WHERE $_")
	  foreach (
		'id = 17', 'id IN (3, 5, 400)', 'id > 290', 'id BETWEEN 20 AND 25', 'id = 17 OR grp = 2', 'NOT ok',
		'ok', 'ok IS NULL', 'grp IS NULL', 'grp IS NOT NULL AND ok IS NOT TRUE', 'grp IS DISTINCT FROM 2',
		q{name = 'name 5'}, q{name LIKE 'name 1%'}, q{name ILIKE 'NAME 1_'}, q{name ~ '7$'}, q{name > 'name 3'},
		q{name = 'NAME 5'}, q{name = 'name 6 '}, 'price > 100', 'price = 0.875', 'price / 2 < 10', 'id / 2 = 7',
		q{at >= '2026-01-05 00:00:00+00'}, q{at < '2026-01-03'}, q{at::date = '2026-01-04'}, 'false', 'NULL',
		'id = grp', 'id % 10 = 0 AND (grp = 1 OR price < 50)', q{coalesce(name, '-') = '-'}, 'id = ANY (ARRAY[1, NULL, 9])',
		'id <> ALL (ARRAY[1, 2])', 'id < 0', 'abs(id - 100) < 3', q{length(name) > 10}, '(id, grp) = (12, 1)');
	same('order', 'SELECT id, name FROM item ORDER BY grp DESC NULLS LAST, name COLLATE "C", id', 1);
	same('order and limit', 'SELECT id FROM item ORDER BY price, id LIMIT 10 OFFSET 5', 1);
	same('aggregates', 'SELECT count(*), count(grp), sum(price), min(name COLLATE "C"), max(at), bool_and(ok), avg(price)::numeric(20,6) FROM item');
	same('groups', 'SELECT grp, count(*), sum(price), max(id) FROM item GROUP BY grp HAVING count(*) > 5');
	same('distinct', 'SELECT DISTINCT grp, ok FROM item');
	same('window', 'SELECT id, sum(price) OVER (PARTITION BY grp ORDER BY id) FROM item');
	same('self join', 'SELECT a.id, b.id FROM item a JOIN item b ON a.id = b.grp');
	same('left join', 'SELECT a.id, b.name FROM item a LEFT JOIN item b ON b.id = a.grp AND b.ok');
	same('full join', 'SELECT a.id, b.id FROM item a FULL JOIN item b ON a.id = b.id + 290');
	same('semijoin', 'SELECT id FROM item WHERE id IN (SELECT grp FROM item WHERE ok)');
	same('antijoin', 'SELECT id FROM item a WHERE NOT EXISTS (SELECT FROM item b WHERE b.grp = a.id)');
	same('union', 'SELECT id FROM item WHERE ok UNION ALL SELECT grp FROM item');
	same('with', 'WITH x AS MATERIALIZED (SELECT * FROM item WHERE grp = 1) SELECT count(*) FROM x a, x b');
	same('sample of functions', q{SELECT id, upper(name), round(price), to_char(at, 'YYYY-MM-DD HH24:MI:SS.US') FROM item WHERE id < 40});
	return;
}

sub types
{
	my @columns = grep { $_->[2] || $c{types}{ $_->[0] } } @type;
	# where a row of NULLs cannot be, one value is none
	local $type_values{bool} = [ @{ $type_values{bool} }[ 0, 1 ], 'true' ] if $c{not}{'null rows'};
	my $rows = join ' UNION ALL ', map {
		my $i = $_;
		'SELECT ' . join ', ', map { "CAST($type_values{ $_->[0] }[$i] AS $_->[1])" } @columns;
	} 0 .. 2;

	make_table('type', \@columns, $rows);
	same('all types', 'SELECT * FROM type');
	same("type $_->[0]", "SELECT id, $_->[0] FROM type WHERE $_->[0] IS NOT NULL") foreach @columns;
	foreach my $column (@columns)
	{
		my ($name, $type) = @$column;
		next if $name eq 'doc';
		same("equality of $name", "SELECT id FROM type WHERE $name = (ARRAY[" . join(', ', map { "CAST($type_values{$name}[$_] AS $type)" } 0 .. 1) . '])[1]')
		  if $name ne 'ints';
		same("$name is null", "SELECT id FROM type WHERE $name IS NULL");
	}
	my $set = "SET timezone = 'America/St_Johns'; SET datestyle = 'SQL, DMY'; SET intervalstyle = 'iso_8601'; SET extra_float_digits = 0; SET bytea_output = 'escape'";
	same('under other settings', "$set; SELECT * FROM type");
	return;
}

sub parameters
{
	my $all = '';

	$all .= "EXECUTE p($_, 'name " . length($_) . "');\n" foreach (1 .. 4, 'NULL', 17 .. 19, 400);
	foreach my $mode (qw(auto force_generic_plan force_custom_plan))
	{
		same("prepared, $mode", "SET plan_cache_mode = $mode; PREPARE p(int, text) AS SELECT * FROM item WHERE id = \$1 OR name = \$2; $all");
		same("prepared, $mode, one", "SET plan_cache_mode = $mode; PREPARE p(int, text) AS SELECT id, \$2 FROM item WHERE grp = \$1; $all");
		same("prepared list, $mode", "SET plan_cache_mode = $mode; PREPARE l(int[]) AS SELECT id FROM item WHERE id = ANY (\$1); "
			  . join '', map { "EXECUTE l('{$_,NULL," . $_ * 3 . "}');\n" } 1 .. 8);
	}
	same('in a function', q{
		CREATE FUNCTION pg_temp.f(n int) RETURNS bigint LANGUAGE plpgsql AS $$
		DECLARE r bigint := 0; x record;
		BEGIN
			FOR i IN 1..8 LOOP
				FOR x IN SELECT id FROM item WHERE grp = n + i % 2 LOOP r := r + x.id; END LOOP;
			END LOOP;
			RETURN r;
		END $$; SELECT pg_temp.f(n) FROM generate_series(1, 3) n});
	return;
}

my $no_joins = 'SET enable_hashjoin = off; SET enable_mergejoin = off; SET enable_material = off; SET enable_memoize = off; SET feathub.enable_batched_lookup = off';

sub rescans
{
	my $few = 'ref.item o';

	same('nested loop', "$no_joins; SELECT o.id, i.name FROM (SELECT * FROM $few WHERE o.id < 30) o JOIN item i ON i.grp = o.grp");
	same('nested loop by the key', "$no_joins; SELECT o.id, i.name FROM (SELECT * FROM $few WHERE o.id < 60) o JOIN item i ON i.id = o.grp * 10");
	same('nested loop, left', "$no_joins; SELECT o.id, i.name FROM (SELECT * FROM $few WHERE o.id < 20) o LEFT JOIN item i ON i.id = o.grp - 5");
	same('first of them empty', "$no_joins; SELECT n, i.id FROM (VALUES (-1), (5), (NULL), (9)) v(n) LEFT JOIN item i ON i.id = v.n");
	same('nested loop without a condition', "$no_joins; SELECT count(*) FROM generate_series(1, 3) g, item");
	same('subquery per row', 'SELECT o.id, (SELECT count(*) FROM item i WHERE i.grp = o.id) FROM ref.item o WHERE o.id < 14');
	same('subquery per row, limited', 'SELECT o.id, (SELECT i.id FROM item i WHERE i.grp = o.grp ORDER BY i.id LIMIT 1) FROM ref.item o WHERE o.id < 20');
	same('subquery without reference', 'SELECT o.id FROM ref.item o WHERE o.price > (SELECT avg(price) FROM item)');
	same('lateral', 'SELECT o.id, x.* FROM (SELECT * FROM ref.item WHERE id < 12) o, LATERAL (SELECT i.id AS i, o.name FROM item i WHERE i.id BETWEEN o.id AND o.id + 2 OFFSET 0) x');
	same('limit stops a rescan', "$no_joins; SELECT o.id FROM (SELECT * FROM $few WHERE o.id < 9) o WHERE EXISTS (SELECT FROM item i WHERE i.grp >= o.id)");
	same('recursive', 'WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT i.id + 10 FROM r JOIN item i ON i.id = r.n WHERE r.n < 200) SELECT * FROM r');
	return;
}

# Joins give the same with the look-up node and without.
sub lookups
{
	my $explain = 'SET enable_hashjoin = off; SET enable_mergejoin = off; SET enable_nestloop = off; EXPLAIN (COSTS OFF)';
	my $plan;

	sql(q{
		CREATE TABLE public.spine AS
		  SELECT i AS n, nullif((random() * 350)::int, 9) AS k, nullif((random() * 350)::int, 9)::bigint AS b, (i % 7)::int2 AS g
		    FROM generate_series(1, 3000) i;
		INSERT INTO public.spine VALUES (-1, -1, 5000000000, NULL), (-2, NULL, NULL, NULL);
		ANALYZE public.spine});
	if ($can{batched_lookup} eq 'true')
	{
		$plan = answer('ext', "$explain SELECT * FROM spine s LEFT JOIN item i ON i.id = s.k", 1);
		like($plan, qr/FeathubLookup/, 'the node is used');
		like($plan, qr/Keys per Batch: \d+/, 'EXPLAIN tells the size of batches');
		$plan = answer('ext', "SET feathub.enable_batched_lookup = off; $explain SELECT * FROM spine s LEFT JOIN item i ON i.id = s.k", 1);
		unlike($plan, qr/FeathubLookup/, 'unless it is switched off');
		$plan = answer('ext', "SET enable_hashjoin = off; SET enable_mergejoin = off; EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) SELECT * FROM spine s JOIN item i ON i.id = s.k", 1);
		like($plan, qr/Batches: [1-9]\d*\n.*Keys: [1-9]\d*\n.*Rows Found: [1-9]\d*/s, 'EXPLAIN ANALYZE counts');
	}
	foreach my $setting ('', 'SET work_mem = 64; ', 'SET enable_hashjoin = off; SET enable_mergejoin = off; ')
	{
		foreach my $query (
			'SELECT s.n, i.name FROM spine s JOIN item i ON i.id = s.k',
			'SELECT s.n, i.* FROM spine s LEFT JOIN item i ON i.id = s.k',
			'SELECT s.n, i FROM spine s LEFT JOIN item i ON i.id = s.b',
			'SELECT s.n, i.price FROM spine s LEFT JOIN item i ON i.id = s.k AND i.price > 20 AND s.g <> 2',
			'SELECT s.n, i.price FROM spine s LEFT JOIN item i ON i.id = s.k WHERE i.price > 20 OR i.id IS NULL',
			'SELECT s.n, i.c FROM spine s LEFT JOIN (SELECT id, coalesce(name, \'none\') AS c FROM item) i ON i.id = s.k',
			'SELECT n FROM spine WHERE k IN (SELECT id FROM item WHERE ok)',
			'SELECT n FROM spine s WHERE EXISTS (SELECT FROM item i WHERE i.id = s.k AND i.grp = s.g)',
			'SELECT n FROM spine s WHERE NOT EXISTS (SELECT FROM item i WHERE i.id = s.k AND i.ok)',
			'SELECT id FROM item WHERE id IN (SELECT k FROM spine WHERE g = 3)',
			'SELECT s.n, i.id, j.id FROM spine s JOIN item i ON i.id = s.k LEFT JOIN item j ON j.id = i.grp WHERE s.n < 200',
			'SELECT v.a, x.* FROM (VALUES (1), (3)) v(a), LATERAL (SELECT s.n, i.name FROM spine s LEFT JOIN item i ON i.id = s.k + v.a WHERE s.g = v.a AND s.n < 300 OFFSET 0) x',
			'SELECT count(*), sum(i.price) FROM spine s LEFT JOIN item i ON i.id = s.k')
		{
			same("$setting$query", "$setting$query");
		}
	}
	same('prepared', 'SET plan_cache_mode = force_generic_plan; PREPARE j(int) AS SELECT s.n, i.name FROM spine s JOIN item i ON i.id = s.k AND i.grp = $1 WHERE s.g < $1; '
		  . join '', map { "EXECUTE j($_);\n" } 1 .. 7);
	return;
}

sub cursors
{
	same('forward', 'BEGIN; DECLARE c CURSOR FOR SELECT id FROM item ORDER BY id; FETCH 3 c; MOVE 100 c; FETCH 2 c; CLOSE c; COMMIT', 1);
	same('scroll', 'BEGIN; DECLARE c SCROLL CURSOR FOR SELECT id FROM item ORDER BY id; FETCH 3 c; FETCH LAST c; FETCH ABSOLUTE 7 c; FETCH PRIOR c; COMMIT', 1);
	same('with hold', 'BEGIN; DECLARE c CURSOR WITH HOLD FOR SELECT id FROM item ORDER BY id; FETCH 2 c; COMMIT; FETCH 2 c; CLOSE c', 1);
	same('two of one table', 'BEGIN; DECLARE a CURSOR FOR SELECT id, name FROM item ORDER BY id; DECLARE b CURSOR FOR SELECT id FROM item ORDER BY id DESC; FETCH 2 a; FETCH 2 b; FETCH 2 a; SELECT count(*) FROM item; FETCH 2 b; COMMIT', 1);
	same('two unordered', 'BEGIN; DECLARE a NO SCROLL CURSOR FOR SELECT id FROM item; DECLARE b NO SCROLL CURSOR FOR SELECT id FROM item; MOVE 2 a; MOVE 5 b; MOVE 2 a; MOVE ALL b; MOVE ALL a; COMMIT', 1);
	same('left open', 'BEGIN; DECLARE a CURSOR FOR SELECT id FROM item; MOVE 1 a; COMMIT; SELECT count(*) FROM item');
	same('an error between', q{
		BEGIN; DECLARE a CURSOR FOR SELECT id FROM item ORDER BY id; FETCH 2 a;
		SAVEPOINT s;
		DO $$ BEGIN PERFORM 1 / (id - 5) FROM item; EXCEPTION WHEN division_by_zero THEN NULL; END $$;
		FETCH 2 a; ROLLBACK TO s; FETCH 2 a; COMMIT}, 1);
	return;
}

sub empty
{
	make_table('nothing', \@item, undef);
	same($_, $_)
	  foreach ('SELECT * FROM nothing', 'SELECT count(*), sum(price) FROM nothing', 'SELECT grp, count(*) FROM nothing GROUP BY grp',
		'SELECT i.id, n.name FROM item i LEFT JOIN nothing n ON n.id = i.id', 'SELECT id FROM item WHERE id IN (SELECT id FROM nothing)',
		'SELECT id FROM nothing WHERE id = 5');
	return;
}

sub wide
{
	my @columns = ([ 'id', 'int', 1 ], (map { [ "c$_", 'int' ] } 1 .. 150), [ 'big', 'text' ]);
	my $values = join ', ', map { "nullif(i * $_, 12)" } 1 .. 150;
	my $size = $c{wide} || 100000;

	make_table('wide', \@columns, "SELECT i, $values, repeat(chr(96 + i) || 'é', i * $size) FROM generate_series(1, 5) i");
	same('all', 'SELECT md5(string_agg(wide::text, \',\' ORDER BY id)) FROM wide');
	same('one of many columns', 'SELECT c77 FROM wide');
	same('long values', 'SELECT id, length(big), md5(big) FROM wide');
	same('long values in a condition', q{SELECT id FROM wide WHERE big LIKE 'b%' AND c3 = 6});
	return;
}

# Dropped, added, renamed and generated columns.
sub columns
{
	my @columns = ([ 'id', 'int', 1 ], [ 'a', 'int' ], [ 'b', 'text' ]);

	make_table('altered', \@columns, q{SELECT i, i * 2, 'b' || i FROM generate_series(1, 9) i});
	sql(q{
		ALTER TABLE ref.altered DROP a;
		ALTER FOREIGN TABLE ext.altered DROP a;
		ALTER TABLE ref.altered ADD g text GENERATED ALWAYS AS (b || '!') STORED;
		ALTER FOREIGN TABLE ext.altered ADD g text GENERATED ALWAYS AS (b || '!') STORED});
	same('dropped and generated', 'SELECT * FROM altered');
	same('whole row', 'SELECT altered FROM altered');
	same('generated alone', q{SELECT g FROM altered WHERE g > 'b4'});
	same('joined', 'SELECT i.id, a FROM item i LEFT JOIN altered a ON a.id = i.id WHERE i.id < 12');
	if ($can{insert} eq 'true')
	{
		sql("INSERT INTO ref.altered VALUES (10, 'new')");
		sql("INSERT INTO ext.altered VALUES (10, 'new')");
		same('inserted', 'SELECT * FROM altered');
		like(error_of(q{INSERT INTO ext.altered VALUES (11, 'x', 'y')}), qr/428C9/, 'generated columns are not given');
	}
	return;
}

sub system_columns
{
	is(answer('ext', 'SELECT DISTINCT tableoid::regclass FROM item'), 'item', 'tableoid');
	is(answer('ext', q{SELECT tableoid::regclass, id FROM item WHERE tableoid = 'ext.item'::regclass AND id = 3}), 'item|3', 'tableoid in a condition');
	foreach my $column (qw(ctid xmin cmax))
	{
		my $answer = answer('ext', "SELECT count($column) FROM item");
		like($answer, qr/^(0|300|.*cannot retrieve a system column.*)$/s, "$column does no harm");
	}
	return;
}

# Run a statement on both and compare what it says and leaves.
sub change
{
	my ($what, $statement, $table) = @_;

	same($what, $statement);
	same("$what: left", "SELECT * FROM $table");
	return;
}

sub changes
{
	if ($can{insert} ne 'true')
	{
		like(error_of('INSERT INTO ext.item (id) VALUES (1000)'), qr/55000|0A000/, 'INSERT is refused');
		like(error_of('COPY ext.item (id) FROM stdin'), qr/55000|0A000/, 'COPY is refused');
		return;
	}
	make_table('changed', \@item, "$item_rows LIMIT 40");
	change('INSERT', q{INSERT INTO changed VALUES (1001, 1, 'x', 1.5, true, '2026-01-01 00:00:00+00')}, 'changed');
	change('INSERT of a few columns', q{INSERT INTO changed (name, id) VALUES (E'tab\there', 1002), ('', 1003)}, 'changed');
	if ($c{not}{'null rows'}) { like(error_of('INSERT INTO ext.changed (id) VALUES (1004)'), qr/ERROR: +23502/, 'a row of NULLs is refused'); }
	else { change('INSERT of NULLs', 'INSERT INTO changed (id) VALUES (1004)', 'changed'); }
	change('INSERT ... RETURNING', 'INSERT INTO changed (id, grp) SELECT i, i % 4 FROM generate_series(1010, 1200) i RETURNING id, grp, name', 'changed');
	change('INSERT of nothing', 'INSERT INTO changed (id, grp) SELECT id, grp FROM changed WHERE false', 'changed');
	change('COPY', "COPY changed (id, grp, name) FROM stdin;\n1300\t4\tx\\\\y\n1301\t\\N\tz\n\\.\n", 'changed');
	like(error_of('INSERT INTO ext.changed (id) VALUES (1) ON CONFLICT DO NOTHING'), qr/0A000/, 'ON CONFLICT is refused');

	if ($can{update} eq 'true' && $c{key})
	{
		change('UPDATE', q{UPDATE changed SET name = name || '!', price = price + 1 WHERE grp = 2}, 'changed');
		change('UPDATE to NULL', 'UPDATE changed SET price = NULL, ok = true WHERE id = 5', 'changed');
		change('UPDATE ... RETURNING', 'UPDATE changed SET grp = grp + 1 WHERE id < 10 RETURNING id, grp, name', 'changed');
		change('UPDATE of nothing', 'UPDATE changed SET grp = 0 WHERE id = -5', 'changed');
		change('UPDATE from a join', 'UPDATE changed c SET grp = i.id FROM ref.item i WHERE i.id = c.id AND i.id < 20 RETURNING c.id, c.grp', 'changed');
		change('UPDATE of local rows', 'WITH u AS (SELECT 1) UPDATE public.spine s SET g = c.grp FROM changed c WHERE c.id = s.n AND s.n < 20 RETURNING s.n, s.g', 'changed');
	}
	else
	{
		like(error_of('UPDATE ext.changed SET grp = 1'), qr/0A000|55000/, 'UPDATE is refused');
	}
	if ($can{delete} eq 'true' && $c{key})
	{
		change('DELETE', 'DELETE FROM changed WHERE grp = 3', 'changed');
		change('DELETE ... RETURNING', 'DELETE FROM changed WHERE id BETWEEN 1001 AND 1012 RETURNING *', 'changed');
		change('DELETE by a join', 'DELETE FROM changed c USING ref.item i WHERE i.id = c.id AND i.ok RETURNING c.id', 'changed');
	}
	else
	{
		like(error_of('DELETE FROM ext.changed'), qr/0A000|55000/, 'DELETE is refused');
	}
	if ($can{truncate} eq 'true') { change('TRUNCATE', 'TRUNCATE changed', 'changed'); }
	else { like(error_of('TRUNCATE ext.changed'), qr/0A000/, 'TRUNCATE is refused'); }
	sql(q{ALTER FOREIGN TABLE ext.changed OPTIONS (ADD updatable 'false')});
	like(error_of('INSERT INTO ext.changed (id) VALUES (1)'), qr/55000.*does not allow inserts/s, 'not updatable');
	return;
}

sub upsert
{
	if (!defined $c{upsert}) { pass('no upserts'); return; }
	make_table('upserted', \@item, "$item_rows LIMIT 20", options => ", $c{upsert}");
	sql('INSERT INTO ref.upserted SELECT id, 99, name FROM ref.item WHERE id BETWEEN 15 AND 25
		 ON CONFLICT (id) DO UPDATE SET grp = EXCLUDED.grp, name = EXCLUDED.name, price = NULL, ok = NULL, at = NULL');
	sql('INSERT INTO ext.upserted SELECT id, 99, name FROM ref.item WHERE id BETWEEN 15 AND 25');
	same('rows are replaced or added', 'SELECT * FROM upserted');
	return;
}

sub triggers
{
	if ($can{insert} ne 'true') { pass('no rows to be written'); return; }
	my $events = $can{update} eq 'true' && $c{key} ? 'INSERT OR UPDATE OR DELETE' : 'INSERT';

	make_table('triggered', \@item, "$item_rows LIMIT 6");
	sql(q{
		CREATE TABLE public.log (side text, what text);
		CREATE FUNCTION public.log() RETURNS trigger LANGUAGE plpgsql AS $$
		BEGIN
			INSERT INTO public.log VALUES (TG_TABLE_SCHEMA, TG_WHEN || TG_OP || coalesce(OLD::text, '-') || coalesce(NEW::text, '-'));
			IF TG_WHEN = 'BEFORE' AND TG_OP <> 'DELETE' THEN NEW.grp := 77; END IF;
			RETURN coalesce(NEW, OLD);
		END $$});
	sql(qq{
		CREATE TRIGGER b BEFORE $events ON $_.triggered FOR EACH ROW EXECUTE FUNCTION public.log();
		CREATE TRIGGER a AFTER $events ON $_.triggered FOR EACH ROW EXECUTE FUNCTION public.log()}) foreach qw(ref ext);
	change('INSERT', q{INSERT INTO triggered (id, grp, name) VALUES (50, 1, 'fifty') RETURNING id, grp}, 'triggered');
	if ($events ne 'INSERT')
	{
		change('UPDATE', q{UPDATE triggered SET name = 'new' WHERE id < 3 RETURNING id, grp}, 'triggered');
		change('DELETE', 'DELETE FROM triggered WHERE id = 4', 'triggered');
	}
	is(sql(q{SELECT string_agg(what, E'\n' ORDER BY what) FROM log WHERE side = 'ext'}),
		sql(q{SELECT string_agg(what, E'\n' ORDER BY what) FROM log WHERE side = 'ref'}), 'what the triggers saw');
	return;
}

# A partition that is a foreign table, beside one that is not.
sub partitions
{
	my @columns = ([ 'id', 'int', 1 ], [ 'v', 'text' ]);
	my $half = $c{table}->('part', \@columns);
	my $can_write = $can{insert} eq 'true';

	foreach my $schema (qw(ref ext))
	{
		sql(qq{
			CREATE TABLE $schema.parted (id int, v text) PARTITION BY RANGE (id);
			CREATE TABLE $schema.low PARTITION OF $schema.parted FOR VALUES FROM (0) TO (100)});
	}
	sql('CREATE TABLE ref.part (v text, id int)');
	foreign_table('ext.part', [ $columns[1], $columns[0] ], $half);
	foreach my $schema (qw(ref ext))
	{
		sql("ALTER TABLE $schema.parted ATTACH PARTITION $schema.part FOR VALUES FROM (100) TO (200)");
	}
	my $rows = q{SELECT i, 'v' || i FROM generate_series(50, 149) i};
	if ($can_write)
	{
		sql("INSERT INTO $_.parted $rows") foreach qw(ref ext);
	}
	else
	{
		sql("INSERT INTO ref.parted $rows");
		sql("INSERT INTO ext.low $rows LIMIT 50");
		$c{load}->('part', \@columns);
	}
	same($_, $_)
	  foreach ('SELECT * FROM parted', 'SELECT tableoid::regclass, count(*) FROM parted GROUP BY 1', 'SELECT * FROM parted WHERE id = 120',
		'SELECT * FROM parted WHERE id IN (99, 100)', 'SELECT * FROM parted ORDER BY id LIMIT 60',
		'SELECT i.id, p.v FROM item i LEFT JOIN parted p ON p.id = i.id', 'SELECT parted FROM parted WHERE id > 140');
	return if !$can_write;
	change('COPY', "COPY parted FROM stdin;\n1\tone\n150\tonefifty\n\\.\n", 'parted');
	change('RETURNING', q{INSERT INTO parted VALUES (2, 'two'), (160, 'onesixty') RETURNING tableoid::regclass, *}, 'parted');
	return if $can{update} ne 'true' || !$c{key};
	change('UPDATE of both', q{UPDATE parted SET v = v || '!' WHERE id BETWEEN 95 AND 105 RETURNING tableoid::regclass, *}, 'parted');
	change('DELETE from both', 'DELETE FROM parted WHERE id BETWEEN 97 AND 102 RETURNING *', 'parted');
	change('a row moved in', 'UPDATE parted SET id = 190 WHERE id = 60', 'parted');
	like(error_of('UPDATE ext.parted SET id = 61 WHERE id = 190'), qr/23514.*cannot move a row out of foreign table/s, 'a row moved out is refused');
	same('and stays', 'SELECT * FROM parted');
	return;
}

# Whose rights and whose mapping count.
sub rights
{
	sql(q{
		GRANT USAGE ON FOREIGN SERVER parity TO regress_owner;
		CREATE VIEW public.seen AS SELECT id, name FROM ext.item;
		CREATE VIEW public.joined AS SELECT s.n, i.name FROM public.spine s JOIN ext.item i ON i.id = s.k;
		CREATE VIEW public.own WITH (security_invoker) AS SELECT id, name FROM ext.item;
		GRANT SELECT ON public.spine, public.seen, public.joined, public.own TO regress_reader});
	is(sql('SET ROLE regress_reader; SELECT count(*) FROM seen'), '300', q{a view reads with its owner's mapping});
	is(sql('SET ROLE regress_reader; SELECT count(*) FROM joined'), sql('SELECT count(*) FROM joined'), 'so does a join');
	is(sql('SET ROLE regress_reader; SET enable_hashjoin = off; SET enable_mergejoin = off; SELECT count(*) FROM joined'), sql('SELECT count(*) FROM joined'), 'so do look-ups');

	# a mapping of their own gives them no right to the table
	sql("CREATE USER MAPPING FOR regress_reader SERVER parity $c{mapping}");
	like(error_of('SET ROLE regress_reader; SELECT * FROM ext.item'), qr/42501/, 'no right to the table itself');
	like(error_of('SET ROLE regress_reader; SELECT * FROM own'), qr/42501/, 'nor by a view with the rights of its reader');
	sql('GRANT SELECT (id) ON ext.item TO regress_reader');
	is(sql('SET ROLE regress_reader; SELECT count(id) FROM ext.item'), '300', 'a right to one column');
	like(error_of('SET ROLE regress_reader; SELECT name FROM ext.item'), qr/42501/, 'no right to another column');
	like(error_of('SET ROLE regress_reader; SELECT i.name FROM public.spine s JOIN ext.item i ON i.id = s.k'), qr/42501/, 'nor in a join');

	# and a right to the table no mapping
	sql('DROP USER MAPPING FOR regress_reader SERVER parity');
	if ($c{needs_mapping})
	{
		like(error_of('SET ROLE regress_reader; SELECT id FROM ext.item'), qr/42704.*user mapping/s, 'nobody borrows a mapping');
		is(sql('SET ROLE regress_reader; SELECT count(*) FROM seen'), '300', 'the view still works');
	}
	else
	{
		is(sql('SET ROLE regress_reader; SELECT count(id) FROM ext.item'), '300', 'no mapping is needed');
	}
	is(sql(q{
		PREPARE q AS SELECT count(*) FROM seen; EXECUTE q; EXECUTE q;
		SET ROLE regress_reader; EXECUTE q}), "300\n300\n300", 'a prepared statement, as another role');
	return;
}

sub statistics
{
	if ($can{statistics} ne 'true') { pass('no statistics'); return; }
	sql('ANALYZE ext.item');
	is(sql(q{SELECT count(*) FROM pg_stats WHERE schemaname = 'ext' AND tablename = 'item' AND attname IN ('id', 'grp')}), '2', 'ANALYZE');
	cmp_ok(sql(q{SELECT abs(reltuples - 300) FROM pg_class WHERE oid = 'ext.item'::regclass}), '<', 31, 'the number of rows');
	like(answer('ext', 'EXPLAIN SELECT * FROM item', 1), qr/rows=(2[789]|3[0123])\d/, 'is expected');
	return;
}

# The server is altered while a session and its prepared statements live on.
sub altered
{
	my $session = $node->background_psql('postgres', on_error_stop => 0);

	$session->query_safe('SET search_path = ext, public; PREPARE a AS SELECT count(*) FROM item');
	is($session->query_safe('EXECUTE a'), '300', 'before') for 1 .. 7;
	if ($c{unreachable})
	{
		sql("ALTER SERVER parity $c{unreachable}");
		$session->query('EXECUTE a');
		like($session->{stderr}, qr/ERROR/, 'a changed server is used at once');
		$session->{stderr} = '';
		like(answer('ext', 'EXPLAIN SELECT * FROM item', 1), qr/Foreign Scan/, 'EXPLAIN asks nobody')
		  if !$c{not}{'EXPLAIN'};
		like(error_of('SELECT * FROM ext.item'), qr/ERROR: +(08|HV|58P01|42)/, 'the error has a code');
		sql("ALTER SERVER parity $c{reachable}");
		is($session->query_safe('EXECUTE a'), '300', 'and back');
	}
	if ($c{bad_mapping})
	{
		sql("ALTER USER MAPPING FOR CURRENT_USER SERVER parity $c{bad_mapping}");
		$session->query('EXECUTE a');
		like($session->{stderr}, qr/ERROR/, 'a changed mapping is used at once');
		unlike($session->{stderr}, qr/hunter2/, 'and no secret told');
		$session->{stderr} = '';
		sql("ALTER USER MAPPING FOR CURRENT_USER SERVER parity $c{good_mapping}");
		is($session->query_safe('EXECUTE a'), '300', 'and back');
	}
	$session->query_safe(q{PREPARE n AS SELECT name FROM item WHERE id = 7});
	is($session->query_safe('EXECUTE n'), 'name 7', 'a column');
	$session->query_safe('BEGIN; ALTER FOREIGN TABLE item DROP price; ROLLBACK');
	is($session->query_safe('EXECUTE n'), 'name 7', 'after ALTER rolled back');
	$session->quit;
	return;
}

# The system goes away and comes back.
sub lost
{
	if (!$c{stop}) { pass('it cannot be stopped'); return; }
	my $session = $node->background_psql('postgres', on_error_stop => 0);

	is($session->query_safe('SELECT count(*) FROM ext.item'), '300', 'before');
	$c{stop}->();
	$session->query('SELECT count(*) FROM ext.item');
	like($session->{stderr}, qr/ERROR/, 'a lost server is an error');
	$session->{stderr} = '';
	is($session->query_safe('SELECT 1'), '1', 'the session lives');
	$c{start}->();
	is($session->query_safe('SELECT count(*) FROM ext.item'), '300', 'and finds it again');
	$session->quit;
	return;
}

# A cancel is answered within a second while the remote side is silent.
sub cancel_takes
{
	my ($what, $query) = @_;
	my $begin = time();
	my ($status, $out, $err) = $node->psql('postgres', "SET statement_timeout = '1s'; $query");

	like($err, qr/canceling statement due to statement timeout/, "$what: cancelled");
	cmp_ok(time() - $begin, '<', 2.5, "$what: within a second");
	return;
}

sub cancel
{
	cancel_takes('many rescans', "$no_joins; SELECT count(*) FROM generate_series(1, 10000000) g, ext.item");
	cancel_takes('many look-ups', "$no_joins; SET feathub.enable_batched_lookup = on; SELECT count(*) FROM generate_series(1, 100000000) g JOIN ext.item i ON i.id = g % 100000");
	return if !$c{silent};

	my $silent = IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => 0, Proto => 'tcp', Listen => 64)
	  or die "could not listen: $!";
	sql('ALTER SERVER parity ' . $c{silent}->($silent->sockport));
	cancel_takes('a silent server', 'SELECT * FROM ext.item');
	cancel_takes('a silent server, a join', 'SELECT * FROM public.spine s JOIN ext.item i ON i.id = s.k');
	cancel_takes('a silent server, INSERT', 'INSERT INTO ext.item (id, grp) VALUES (5000, 1)') if $can{insert} eq 'true';
	cancel_takes('a silent server, ANALYZE', 'ANALYZE ext.item') if $can{statistics} eq 'true';
	sql("ALTER SERVER parity $c{reachable}");
	is(sql('SELECT count(*) FROM ext.item'), '300', 'it answers again');
	return;
}

# What no connector takes.
sub refused
{
	like(error_of(q{CREATE FOREIGN TABLE ext.bad (a int) SERVER parity OPTIONS (nonsense 'x')}), qr/HV00D/, 'an unknown option');
	like(error_of(q{ALTER SERVER parity OPTIONS (ADD nonsense 'x')}), qr/HV00D/, 'of a server');
	like(error_of('CREATE INDEX ON ext.item (id)'), qr/42809/, 'an index');
	like(error_of('SELECT * FROM ext.item FOR UPDATE; SELECT 1/0'), qr/22012/, 'FOR UPDATE is none');
	return;
}

1;
