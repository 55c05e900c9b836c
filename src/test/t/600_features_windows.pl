# Windows over the history of feature groups: other feature stores' own cases of
# over windows run through feathub.create_window_function and feature views.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use FeathubConformance;
use FeathubTest;
use Test::More;

# does a view of the case have an over window?
sub has_window
{
	my $case = shift;

	foreach my $view (@{ $case->{spec}{views} || [] })
	{
		foreach my $feature (@{ $view->{features} || [] })
		{
			return 1 if ref $feature eq 'HASH' && ref $feature->{transform} eq 'HASH' && $feature->{transform}{type} eq 'over_window';
		}
	}
	return ($case->{spec}{op} || '') eq 'over_window';
}

my @cases = grep { has_window($_) } (conformance_cases('feathub.json'), conformance_cases('point_in_time.json'));

# Types of these cases only.
my %type = ('map<bigint,bigint>' => 'jsonb', 'array<bigint>' => 'bigint[]');

# What their aggregates are in SQL; a sum of nothing is 0 there.
my %aggregate = (
	SUM => 'coalesce(sum(%s), 0)',
	AVG => 'avg(%s)::double precision',
	MIN => 'min(%s)',
	MAX => 'max(%s)',
	COUNT => 'count(%s)',
	ROW_NUMBER => 'count(*)',
	FIRST_VALUE => 'feathub.first_value(%s, event_time)',
	LAST_VALUE => 'feathub.last_value(%s, event_time)',
	COLLECT_LIST => 'array_agg(%s ORDER BY event_time)',
	VALUE_COUNTS => 'feathub.value_counts(%s)');

my $node = new_node('main', conf => "timezone = 'UTC'\ndatestyle = 'ISO'\n");
my $settings = '';			# of the case that runs
my $made = 0;				# tables, groups and functions of the case

sub sql { return $node->safe_psql('postgres', "$settings; " . join('; ', @_)); }

# an expression of the cases as one of ours
sub expression
{
	my ($case, $feature) = @_;
	my $transform = $feature->{transform};
	my $sql = $transform->{type} eq 'python_udf' ? $case->{spec}{udf_sql_equivalent}{ $feature->{name} } : $transform->{expr};

	# numbers of the cases lose their last digits on the way here
	$sql =~ s/^(sqrt\(.*\))$/round($1::numeric, 13)::double precision/;
	$sql =~ s/`/"/g;
	$sql =~ s/\bDOUBLE\b(?! PRECISION)/double precision/gi;
	return $sql;
}

sub case_types
{
	my $types = shift;
	return { map { $_ => $type{ $types->{$_} } || sql_types($types)->{$_} } keys %$types };
}

# A feature group of a query with columns and event_time.
sub make_group
{
	my ($name, $query, @keys) = @_;
	my $key = join(', ', map { quoted($_) } @keys);

	sql("CREATE TABLE ${name}_source AS $query",
		"SELECT feathub.create_feature_group('$name', '${name}_source', '{" . join(',', @keys) . "}', 'event_time')",
		"SELECT feathub.backfill('$name', 'SELECT * FROM ${name}_source')");
	is(sql("SELECT count(*) FROM $name"), sql("SELECT count(*) FROM ${name}_source"), "$name: no row is another's version");
	return;
}

# One view over its source: joins and what windows are made of, the windows by a
# feature view, what is made of them.
sub one_view
{
	my ($case, $source, $view) = @_;
	my @features = @{ $view->{features} };
	my @windows = grep { $_->{transform} && $_->{transform}{type} eq 'over_window' } @features;
	my $names = join('|', map { $_->{name} } @windows);
	my @columns = @{ $source->{columns} };
	my $sql = $source->{sql};
	my %keep = map { $_ => 1 } ($source->{time}, $view->{keep_source_fields} ? @columns : (), @{ $source->{keys} || [] }, map { @{ $_->{keys} || $_->{transform}{group_by_keys} || [] } } grep { $_->{transform} } @features);
	my @late;

	foreach my $feature (@features)
	{
		my $name = defined $feature->{name} ? $feature->{name} : $feature->{ref};

		if (!$feature->{transform})
		{
			if ($name =~ /^(\w+)\.(\w+)$/)
			{
				my ($table, $field) = ($1, $2);
				my $of = $case->{spec}{tables}{$table};

				$sql = "SELECT s.*, j.* FROM ($sql) s LEFT JOIN "
				  . latest_sql(
					table => "(SELECT *, event_time AS at FROM keyed_$table)",
					time => 'at', spine_time => 's.event_time',
					keys => { map { $_ => $_ } @{ $of->{keys} } },
					select => { $field => quoted($field) }) . ' j ON true';
				push @columns, $field;
				$keep{$field} = 1;
			}
			$keep{$name} = 1;
			next;
		}
		$keep{$name} = 1;
		next if $feature->{transform}{type} eq 'over_window';
		my $value = '(' . expression($case, $feature) . ')';
		$value .= '::' . case_types({ t => $feature->{dtype} })->{t} if defined $feature->{dtype};
		if (length($names) && $value =~ /\b(?:$names)\b/)
		{
			push @late, [ $name, $value ];
			next;
		}
		@columns = grep { $_ ne $name } @columns;
		$sql = 'SELECT ' . column_list([ @columns, 'event_time', 'ord' ], 's') . ", $value AS " . quoted($name) . " FROM ($sql) s";
		push @columns, $name;
	}
	if (@windows)
	{
		my $group = 'history_' . ++$made;
		my ($select, $from) = (column_list([ @columns, 'event_time', 'ord' ], 's'), "${group}_source s");
		my $n = 0;

		# rows of a group are told apart by entity and time, or else by a number
		my @keys = @{ $windows[0]{transform}{group_by_keys} };
		my $key = @keys && sql("SELECT count(*) = count(DISTINCT (" . column_list(\@keys) . ", event_time)) FROM ($sql) s") eq 't' ? $keys[0] : 'ord';
		make_group($group, $sql, $key);
		foreach my $feature (@windows)
		{
			my $t = $feature->{transform};
			my $value = sprintf($aggregate{ $t->{agg_func} }, expression($case, $feature));
			my $w = 'w' . ++$n;

			$value = "($value)::" . case_types({ t => $feature->{dtype} })->{t} if defined $feature->{dtype};
			sql("SELECT feathub.create_window_function('${group}_$w', '$group', " . literal("$value AS " . quoted($feature->{name}))
				  . ", keys => '{" . join(',', @{ $t->{group_by_keys} }) . "}'"
				  . (defined $t->{window_size_ms} ? ", range => '$t->{window_size_ms} ms'" : '')
				  . (defined $t->{limit} ? ", row_limit => $t->{limit}" : '')
				  . (defined $t->{filter_expr} ? ', filter => ' . literal($t->{filter_expr}) : '') . ')');
			$select .= ", $w." . quoted($feature->{name});
			$from .= " LEFT JOIN LATERAL ${group}_$w(" . join(', ', map { "s." . quoted($_) } @{ $t->{group_by_keys} }, 'event_time') . ") $w ON true";
			push @columns, $feature->{name};
		}
		sql("SELECT feathub.create_feature_view('${group}_view', " . literal("SELECT $select FROM $from") . ", 'event_time')");
		$sql = "SELECT * FROM ${group}_view";

		# serving: the same at the time of each row
		my $list = column_list([ map { $_->{name} } @windows ], 'o');
		my $arguments = join(', ', map { quoted($_) . ' => s.' . quoted($_) } do { my %seen; grep { !$seen{$_}++ } map { @{ $_->{transform}{group_by_keys} } } @windows }, 'event_time');
		is(sql("SELECT count(*) FROM (SELECT s.ord, $list FROM ${group}_view s CROSS JOIN LATERAL ${group}_view_online($arguments) o "
				  . "EXCEPT SELECT s.ord, " . column_list([ map { $_->{name} } @windows ], 's') . " FROM ${group}_view s) d"),
			0, 'the online form gives the same');
	}
	foreach my $late (@late)
	{
		$sql = "SELECT v.*, $late->[1] AS " . quoted($late->[0]) . " FROM ($sql) v";
		push @columns, $late->[0];
	}
	$sql = "SELECT * FROM ($sql) v WHERE $view->{filter_expr}" if defined $view->{filter_expr};
	@columns = grep { $keep{$_} } @columns;
	return { sql => 'SELECT ' . column_list([ @columns, 'event_time', 'ord' ]) . " FROM ($sql) v", columns => \@columns, time => $source->{time},
		keys => [ @{ $source->{keys} || [] }, map { @{ $_->{keys} || [] } } grep { $_->{transform} } @features ] };
}

# feathub.json
sub view_case
{
	my $case = shift;
	my $spec = $case->{spec};
	my $types = case_types($case->{expected_types} || { %{ infer_types($case->{expected}) }, map { %{ $_->{schema} } } values %{ $spec->{tables} } });
	my %relation;

	if (!$case->{expected_types})
	{
		# sums of what was joined: 100.0 looks like an integer
		$types->{$_} = 'double precision' foreach grep { /^total_/ } keys %$types;
	}
	foreach my $name (sort keys %{ $spec->{tables} })
	{
		my $table = $spec->{tables}{$name};
		my $time = $table->{timestamp_field};
		my $at = $table->{timestamp_format} eq 'epoch_millis' ? 'to_timestamp(' . quoted($time) . ' / 1000.0)' : time_sql(quoted($time), $table->{timestamp_format});
		my $query = "SELECT *, $at AS event_time FROM (" . recordset_sql($case->{inputs}{$name}, sql_types($table->{schema})) . ') r';

		make_group("keyed_$name", $query, @{ $table->{keys} }) if $table->{keys};
		$relation{$name} = { sql => $query, columns => [ sort keys %{ $table->{schema} } ], time => $time };
	}
	my $last;
	foreach my $view (@{ $spec->{views} })
	{
		$last = $relation{ $view->{name} } = one_view($case, $relation{ $view->{source} }, $view);
	}
	my $query = $last->{sql};
	my @columns = sort keys %{ $case->{expected}[0] };
	if ($spec->{kind} eq 'upsert_latest_then_online_get')
	{
		# of each entity the last row
		$query = "SELECT DISTINCT ON (user_id) * FROM ($query) l ORDER BY user_id, event_time DESC";
		$types->{click_history} = 'bigint[]';
	}
	same_rows($node, $settings, $query, $case->{expected}, \@columns, $types, $spec->{order_by});
	return;
}

# point_in_time.json
sub sql_case
{
	my $case = shift;
	my $spec = $case->{spec};
	my $types = case_types($spec->{types}{ $spec->{table} });
	my %output = (%$types, map { $_ => 'double precision' } keys %{ $spec->{exprs} });

	make_group('history', 'SELECT *, ' . quoted($spec->{event_time}) . ' AS event_time FROM (' . recordset_sql($case->{inputs}{ $spec->{table} }, $types) . ') r',
		@{ $spec->{keys} });
	foreach my $name (sort keys %{ $spec->{aggs} })
	{
		$output{$name} = $spec->{aggs}{$name} =~ /^avg/ ? 'double precision' : 'bigint';
	}
	my $features = join(', ', map { "($spec->{aggs}{$_})::$output{$_} AS " . quoted($_) } sort keys %{ $spec->{aggs} });
	my $exprs = join(', ', map { "$spec->{exprs}{$_} AS " . quoted($_) } sort keys %{ $spec->{exprs} });
	my $keys = join(', ', map { 's.' . quoted($_) } @{ $spec->{keys} });
	sql("SELECT feathub.create_window_function('w', 'history', " . literal($features) . ", range => '$spec->{window_seconds} s')",
		"SELECT feathub.create_feature_view('v', " . literal("SELECT s.*, $exprs, w.* FROM history s LEFT JOIN LATERAL w($keys, s.event_time) w ON true") . ')');
	my @columns = sort keys %{ $case->{expected}[0] };
	same_rows($node, $settings, 'SELECT * FROM v', $case->{expected}, \@columns, \%output, ['event_time']);
	return;
}

foreach my $case (@cases)
{
	my $schema = $case->{name} =~ s/\W/_/gr;

	$made = 0;
	$settings = "SET client_min_messages = warning; SET search_path = $schema; SET timezone = '" . ($case->{spec}{timezone} || 'UTC') . "'";
	$node->safe_psql('postgres', "CREATE SCHEMA $schema");
	subtest $case->{name} => sub { return ($case->{spec}{op} || '') eq 'over_window' ? sql_case($case) : view_case($case); };
}

$node->stop;
done_testing();
