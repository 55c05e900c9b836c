# Cases from other feature stores' own tests that are about feature views without
# point-in-time joins: expressions, filters, views over views, time ranges, keys,
# on-demand features, materialization.  (540 has the joins, 600 the windows.)
#
# Each view of a case is a feature view, and its online form must give the same
# features for the same rows.  What differs on purpose:
# - a function that SQL lacks (unix_timestamp, json_string, size) is an SQL
#   function of the user's, as it would be in a real migration; MAP(...) is
#   jsonb_build_object(...); a Python function is the SQL that the case gives;
# - "/" of integers is SQL's, so the on-demand cases cast;
# - what a request gives beyond the view's arguments is an error, not ignored;
# - a right table without event time is no error but joined as it is.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use FeathubConformance;
use FeathubTest;
use JSON::PP ();
use Test::More;

my @cases = grep { $_->{name} =~ /^(?:derived|expr|get|materialize|ondemand|sql|udf|example\.sql|join\.right)\b/ }
  conformance_cases('feathub.json');
my $node = new_node('main', conf => "timezone = 'UTC'\ndatestyle = 'ISO'\n");
my $json = JSON::PP->new->utf8->canonical->allow_nonref;
my $settings = '';			# of the case that runs

my %type = (
	integer => 'integer', boolean => 'boolean', 'array<bigint>' => 'bigint[]',
	'map<string,bigint>' => 'jsonb', 'map<string,string>' => 'jsonb', 'map<bigint,bigint>' => 'jsonb',
	'map<string,array<string>>' => 'jsonb');

sub sql { return $node->safe_psql('postgres', "$settings; " . join('; ', @_)); }

sub error_of
{
	my ($status, $out, $err) = $node->psql('postgres', "$settings; " . join('; ', @_));

	return $status ? $err : 'no error';
}

sub case_types
{
	my $types = shift;
	return { map { $_ => $type{ $types->{$_} } || sql_types($types)->{$_} } keys %$types };
}

# an expression of the cases in SQL; features that come before it are written out
sub expression
{
	my ($case, $feature, $earlier) = @_;
	my $transform = $feature->{transform};
	my $sql = ref $transform && $transform->{type} eq 'python_udf' ? $case->{spec}{udf_sql_equivalent}{ $feature->{name} } : $transform->{expr};

	$sql = q{jsonb_build_object('name_list', ARRAY[name, name], 'cost_list', ARRAY[cost::text])} if $sql =~ /^\{name_list/;
	$sql =~ s/"([^"]*)"/'$1'/g;
	$sql =~ s/\bDOUBLE\b/double precision/g;
	$sql =~ s/\bMAP\(([^()]*(?:\([^()]*\)[^()]*)*)\)/(jsonb_build_object($1))/g;
	$sql =~ s/\b\Q$_\E\b/($earlier->{$_})/g foreach keys %$earlier;
	$sql = "($sql)::" . case_types({ t => $feature->{dtype} })->{t} if defined $feature->{dtype};
	return $sql;
}

# The cases' functions, and their tables with an event time where they have one.
sub make_tables
{
	my ($case) = @_;
	my $spec = $case->{spec};

	sql(q{CREATE FUNCTION unix_timestamp(text) RETURNS bigint LANGUAGE sql STABLE AS 'SELECT extract(epoch FROM $1::timestamptz)::bigint'},
		q{CREATE FUNCTION unix_timestamp(text, text) RETURNS bigint LANGUAGE sql STABLE AS 'SELECT extract(epoch FROM $1::timestamptz)::bigint'},
		q{CREATE FUNCTION json_string(anyelement) RETURNS text LANGUAGE sql STABLE AS $$SELECT regexp_replace(to_jsonb($1)::text, '([,:]) ', '\1', 'g')$$},
		q{CREATE FUNCTION size(anyarray) RETURNS integer LANGUAGE sql IMMUTABLE AS 'SELECT cardinality($1)'},
		q{CREATE FUNCTION size(jsonb) RETURNS integer LANGUAGE sql IMMUTABLE AS 'SELECT CASE WHEN $1 IS NOT NULL THEN (SELECT count(*)::integer FROM jsonb_object_keys($1)) END'});
	foreach my $name (sort keys %{ $case->{inputs} })
	{
		my $table = $spec->{tables}{$name} || {};
		my $types = $table->{schema} ? case_types($table->{schema}) : infer_types($case->{inputs}{$name});
		my $time = $table->{timestamp_field};
		my $at = defined $time ? ', ' . time_sql(quoted($time), $table->{timestamp_format}) . ' AS event_time' : '';

		sql('CREATE TABLE ' . quoted($name) . ' AS SELECT ' . column_list([ sort keys %$types ]) . "$at FROM ("
			  . recordset_sql($case->{inputs}{$name}, $types) . ') r ORDER BY ord');
	}
	return;
}

# The online form gives, for the spine's rows, the rows of the training form.
sub same_online
{
	my ($view, $spine) = @_;
	my $vectors = "SELECT e FROM jsonb_array_elements(feathub.get_feature_vectors('$view', "
	  . '(SELECT jsonb_agg((SELECT jsonb_object_agg(x.key, x.value) FROM jsonb_each(to_jsonb(s)) x '
	  . "WHERE x.key = ANY (p.proargnames[:p.pronargs]))) FROM $spine s, pg_proc p WHERE p.oid = '${view}_online'::regproc))) e WHERE e <> 'null'";
	my $rows = "SELECT to_jsonb(v) FROM $view v";

	is(sql("SELECT count(*) FROM (($vectors EXCEPT ALL $rows) UNION ALL ($rows EXCEPT ALL $vectors)) d"), '0', "$view: the online form gives the same");
	return;
}

# One view of a case: returns nothing, makes the feature view of its name.
sub make_view
{
	my ($case, $view) = @_;
	my @columns = split /\n/, sql("SELECT attname FROM pg_attribute WHERE attrelid = '" . quoted($view->{source}) . "'::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum");
	my ($time) = map { $_->{timestamp_field} } values %{ $case->{spec}{tables} || {} };
	my %keep = map { $_ => 1 } 'event_time', grep { defined } $time;
	my (%value, @order);

	foreach my $feature (map { ref $_ eq 'ARRAY' ? { name => $_->[0], transform => { type => 'expression', expr => $_->[1] } } : $_ } @{ $view->{features} })
	{
		$keep{$_} = 1 foreach @{ $feature->{keys} || [] }, $feature->{ref} || ();
		next if !$feature->{transform};
		my $sql = expression($case, $feature, \%value);
		push @order, $feature->{name};
		$value{ $feature->{name} } = $sql;
	}
	my $filter = $view->{filter_expr};
	if (defined $filter)
	{
		$filter =~ s/\b\Q$_\E\b/($value{$_})/g foreach @order;
	}
	my $select = join(', ', (map { 's.' . quoted($_) } grep { !$value{$_} && ($view->{keep_source_fields} || $keep{$_}) } @columns), map { "$value{$_} AS " . quoted($_) } @order);
	sql("SELECT feathub.create_feature_view('$view->{name}', " . literal("SELECT $select FROM " . quoted($view->{source}) . ' s' . (defined $filter ? " WHERE $filter" : '')) . ')');
	same_online($view->{name}, quoted($view->{source}));
	return;
}

sub view_case
{
	my $case = shift;
	my $spec = $case->{spec};
	my $query = $spec->{query} || {};
	my @views = @{ $spec->{views} || [] };
	my @where;

	make_tables($case);
	# features read of a table itself: a view of all its columns
	@views = ({ name => 'of_source', source => 'source', features => [], keep_source_fields => 1 }) if !@views;
	make_view($case, $_) foreach @views;
	my $name = $views[-1]{name};
	my $from = "SELECT * FROM $name";

	if ($query->{keys})
	{
		my $columns = column_list([ sort keys %{ $query->{keys}[0] } ]);
		push @where, "($columns) IN (SELECT $columns FROM (" . recordset_sql($query->{keys}, infer_types($query->{keys})) . ') k)';
	}
	push @where, "event_time >= '$query->{start_datetime}'" if defined $query->{start_datetime};
	push @where, "event_time < '$query->{end_datetime}'" if defined $query->{end_datetime};
	$from .= ' WHERE ' . join(' AND ', @where) if @where;
	if ($case->{expected_error})
	{
		like(error_of($from), qr/ERROR:  column "(?:invalid_key|event_time)" does not exist/, 'a column that is not there');
		return;
	}
	my $types = case_types($case->{expected_types});
	same_rows($node, $settings, $from, $case->{expected}, [ sort keys %{ $case->{expected}[0] } ], $types, $spec->{order_by});
	return;
}

# views given as SQL
sub sql_case
{
	my $case = shift;
	my $spec = $case->{spec};
	my ($spine) = keys %{ $case->{inputs} };
	my $sql = $spec->{postgres_equivalent} || $spec->{sql};
	my $types = infer_types($case->{expected});
	my $query = 'SELECT * FROM of_sql';

	$types->{$_} = 'double precision' foreach grep { /price|amount/ } keys %$types;
	make_tables($case);
	sql("ALTER TABLE $spine ALTER item_price TYPE double precision") if $spine eq 'purchase_events';
	sql("SELECT feathub.create_feature_view('of_sql', " . literal($sql) . ')');
	same_online('of_sql', $spine);
	$query .= ' WHERE name IN (' . join(', ', map { literal($_->{name}) } @{ $spec->{keys_filter} }) . ')' if $spec->{keys_filter};
	same_rows($node, $settings, $query, $case->{expected}, [ sort keys %{ $case->{expected}[0] } ], $types, undef);
	return;
}

# two views, one over the other, each written to a sink of its own
sub materialize_case
{
	my $case = shift;

	make_tables($case);
	foreach my $view (@{ $case->{spec}{views} })
	{
		make_view($case, $view);
		sql("CREATE TABLE sink_of_$view->{name} AS SELECT * FROM $view->{name}");
	}
	my @columns = sort keys %{ $case->{expected}[0] };
	same_rows($node, $settings, 'TABLE sink_of_feature_view_2', $case->{expected}, \@columns, infer_types($case->{expected}), ['time']);
	my @first = map { my %row = %$_; delete $row{double_double_cost}; \%row } @{ $case->{expected} };
	same_rows($node, $settings, 'TABLE sink_of_feature_view_1', \@first, [ sort keys %{ $first[0] } ], infer_types(\@first), ['time']);
	return;
}

# features of two groups and of the request: vectors
sub ondemand_case
{
	my $case = shift;
	my $spec = $case->{spec};
	my @key = @{ $spec->{keys} };
	my %request = %{ case_types($spec->{request_schema}) };
	my $from = 'request_schema r';
	my @select = map { "r.$_" } @key, $spec->{keep_source_fields} ? grep { $_ ne 'name' } sort keys %request : ();
	my %value;

	foreach my $name (grep { $_ ne 'request' } sort keys %{ $case->{inputs} })
	{
		my $rows = $case->{inputs}{$name};
		my $types = { %{ infer_types($rows) }, $spec->{timestamp_field} => 'timestamp' };

		sql("CREATE TABLE ${name}_rows AS " . recordset_sql($rows, $types), "ALTER TABLE ${name}_rows DROP ord",
			"SELECT feathub.create_feature_group('$name', '${name}_rows', '{" . join(',', @key) . "}', '$spec->{timestamp_field}')",
			"SELECT feathub.backfill('$name', 'TABLE ${name}_rows', online => true)");
		$from .= " LEFT JOIN $name USING (" . join(', ', @key) . ')' if grep { defined $_->{ref} && $_->{ref} =~ /^\Q$name\E\./ } @{ $spec->{features} };
	}
	foreach my $feature (@{ $spec->{features} })
	{
		if (defined $feature->{ref})
		{
			push @select, $feature->{ref};
			next;
		}
		my $expr = $feature->{transform}{expr};
		$expr =~ s{(\w+) / (\w+)}{$1\::double precision / $2};
		push @select, "$expr AS $feature->{name}";
	}
	sql('CREATE TABLE request_schema (' . column_definitions([ sort keys %request ], \%request) . ', asked_at timestamptz)',
		"SELECT feathub.create_feature_view('on_demand', " . literal('SELECT ' . join(', ', @select) . " FROM $from") . ", 'asked_at')");
	my %argument = map { $_ => 1 } split /\n/, sql(q{SELECT unnest(proargnames[:pronargs]) FROM pg_proc WHERE oid = 'on_demand_online'::regproc});
	my @requests = map { my $row = $_; +{ map { $_ => $row->{$_} } grep { $argument{$_} } keys %$row } } @{ $case->{inputs}{request} };
	my @names = @{ $spec->{feature_names} || [ sort keys %{ $case->{expected}[0] } ] };
	my $vectors = "feathub.get_feature_vectors('on_demand', " . literal($json->encode(\@requests)) . ')';
	my $picked = join(', ', map { literal($_) . ", e -> " . literal($_) } @names);
	is(sql("SELECT jsonb_agg(jsonb_build_object($picked) ORDER BY n) = " . literal($json->encode($case->{expected})) . "::jsonb FROM jsonb_array_elements($vectors) WITH ORDINALITY AS v (e, n)"),
		't', 'vectors') or diag(sql("SELECT $vectors"));

	# the same by the function, for one request after the other
	foreach my $i (0 .. $#{ $case->{expected} })
	{
		my $one = "feathub.get_feature_vector('on_demand', " . literal($json->encode($requests[$i])) . ')';
		is(sql("SELECT jsonb_build_object($picked) = " . literal($json->encode($case->{expected}[$i])) . "::jsonb FROM (SELECT $one AS e) v"), 't', "vector $i");
	}
	return;
}

# a right table without timestamp: elsewhere an error, here a group whose last row counts
sub timeless_case
{
	my $case = shift;
	my %last = map { $_->{name} => $_->{avg_cost} } @{ $case->{inputs}{source_2} };
	my @expected = map { { %{$_}{ 'name', 'cost' }, avg_cost => $last{ $_->{name} } } } @{ $case->{inputs}{source} };

	make_tables($case);
	sql("SELECT feathub.create_feature_group('stats', 'source_2', '{name}')",
		q{SELECT feathub.backfill('stats', 'SELECT name, avg_cost, "time" FROM source_2', online => true)},
		q{SELECT feathub.create_feature_view('joined', 'SELECT s.name, s.cost, t.avg_cost FROM source s LEFT JOIN stats t USING (name)', 'event_time')});
	same_rows($node, $settings, 'TABLE joined', \@expected, [ 'avg_cost', 'cost', 'name' ],
		{ name => 'text', cost => 'bigint', avg_cost => 'double precision' }, undef);
	same_online('joined', 'source');
	return;
}

# a feature that is made of one that comes later
sub order_case
{
	sql('CREATE TABLE source (id int, cost int)');
	like(error_of("SELECT feathub.create_feature_view('v', 'SELECT s.id + distance AS sum, s.cost AS distance FROM source s')"),
		qr/ERROR:  column "distance" does not exist/, 'refused');
	return;
}

foreach my $case (@cases)
{
	my $kind = $case->{spec}{kind};
	my $schema = $case->{name} =~ s/\W/_/gr;
	my $run =
		$kind eq 'sql_view' ? \&sql_case
	  : $kind eq 'materialization_group' ? \&materialize_case
	  : $kind eq 'on_demand_feature_view' ? \&ondemand_case
	  : $kind eq 'definition_error' ? \&order_case
	  : $case->{name} =~ /^join\.right/ ? \&timeless_case
	  : $kind eq 'feature_view_query' ? \&view_case
	  : undef;

	if (!$run)
	{
	  SKIP: { skip("$case->{name}: needs sliding windows", 1); }
		next;
	}
	$settings = "SET client_min_messages = warning; SET search_path = $schema; SET timezone = '" . ($case->{spec}{timezone} || 'UTC') . "'";
	$node->safe_psql('postgres', "CREATE SCHEMA $schema");
	subtest $case->{name} => sub { eval { $run->($case); 1 } or fail("$case->{name}: $@"); };
}

$node->stop;
done_testing();
