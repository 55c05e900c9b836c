# FeathubConformance.pm
#	Cases from other feature stores' own tests: their files, their rows as SQL,
#	their point-in-time joins as lateral joins, and the comparison with the rows
#	that they expect.
#
#	use FeathubConformance;
#
#	my @cases = conformance_cases('point_in_time.json');
#	my $types = infer_types($case->{inputs}{request});
#	my $sql = recordset_sql($case->{inputs}{request}, $types);
#	same_rows($node, $settings, $query, $case->{expected}, \@columns, $types, [ 'name' ]);
#
# Types are a hash from column to SQL type.  A case's identifiers are always
# quoted, for they have names such as "timestamp".
package FeathubConformance;

use strict;
use warnings;

use Exporter 'import';
use FeathubTest ();
use JSON::PP ();
use PostgreSQL::Test::Utils;
use Test::More;

our @EXPORT = qw(
  conformance_cases
  infer_types
  sql_types
  time_sql
  quoted
  literal
  column_list
  column_definitions
  recordset_sql
  latest_sql
  view_query_sql
  view_query_obstacle
  same_rows
);

my $json = JSON::PP->new->utf8->canonical->allow_nonref;

# Types of the cases that are not SQL's.
my %sql_type = (
	string => 'text',
	double => 'double precision',
	float8 => 'double precision',
	float => 'real',
	int => 'integer',
	bool => 'boolean',
	timestamptz => 'timestamp with time zone',
	timestamp => 'timestamp without time zone',
	'map<string,double>' => 'jsonb');

# How strptime's time formats of the cases are written in SQL; %s is the column.
my %time_format = (
	'epoch' => 'to_timestamp(%s)',
	'%H:%M' => q{to_timestamp(%s, 'HH24:MI')},
	'%Y-%m-%d %H:%M:%S' => q{to_timestamp(%s, 'YYYY-MM-DD HH24:MI:SS')},
	'%Y-%m-%d,%H:%M:%S' => q{to_timestamp(%s, 'YYYY-MM-DD,HH24:MI:SS')},
	'%Y-%m-%d %H:%M:%S.%f' => q{to_timestamp(%s, 'YYYY-MM-DD HH24:MI:SS.US')},
	'%Y-%m-%d %H:%M:%S.%f %z' => q{to_timestamp(%s, 'YYYY-MM-DD HH24:MI:SS.US TZHTZM')});

=pod

=over

=item conformance_cases($name)

The cases of a file of the conformance folder, or skip the rest of the test file.

=cut

sub conformance_cases
{
	my $file = FeathubTest::conformance_file(shift);

	return @{ $json->decode(slurp_file($file)) };
}

=item infer_types(\@rows)

Types for rows that come without: text, bigint, double precision or boolean.

=item sql_types(\%types)

The same types by their names in SQL, as format_type gives them.

=cut

sub infer_types
{
	my $rows = shift;
	my %types;

	foreach my $row (@$rows)
	{
		foreach my $column (keys %$row)
		{
			my $text = $json->encode($row->{$column});
			my $type =
				$text eq 'null' ? undef
			  : $text =~ /^-?\d+$/ ? 'bigint'
			  : $text =~ /^-?\d/ ? 'double precision'
			  : $text =~ /^(true|false)$/ ? 'boolean'
			  : $text =~ /^"/ ? 'text'
			  : 'jsonb';
			next unless defined $type;
			$types{$column} = $type
			  unless ($types{$column} || '') eq 'double precision' && $type eq 'bigint';
		}
	}
	return \%types;
}

sub sql_types
{
	my $types = shift;
	return { map { $_ => $sql_type{ $types->{$_} } || $types->{$_} } keys %$types };
}

=item time_sql($column, $format)

An expression for the timestamp with time zone that a column (quoted) holds in a
format of the cases; in the session's time zone where it names none.

=cut

sub time_sql
{
	my ($column, $format) = @_;
	my $sql = $time_format{$format} or die "no time format $format";

	return sprintf($sql, $column);
}

=item quoted(@identifiers), literal($text)

As quote_ident and quote_literal; quoted() joins by commas.

=item column_list(\@columns, $alias), column_definitions(\@columns, \%types)

"a"."x", "a"."y", and "x" text, "y" bigint.

=cut

sub quoted
{
	return join(', ', map { (my $name = $_) =~ s/"/""/g; qq{"$name"} } @_);
}

sub literal
{
	my $text = shift;

	$text =~ s/'/''/g;
	$text =~ s/\\/\\\\/g and return "E'$text'";
	return "'$text'";
}

sub column_list
{
	my ($columns, $alias) = @_;
	return join(', ', map { (defined $alias ? "$alias." : '') . quoted($_) } @$columns);
}

sub column_definitions
{
	my ($columns, $types) = @_;
	return join(', ', map { quoted($_) . ' ' . ($types->{$_} || die "no type for column $_") } @$columns);
}

=item recordset_sql(\@rows, \%types)

A query of the rows in their order, with all columns of %types in the order of
their names and their number as column ord.

=cut

sub recordset_sql
{
	my ($rows, $types) = @_;
	my @columns = sort keys %$types;

	return 'SELECT ' . column_list(\@columns, 'r') . ', r.ord FROM ROWS FROM (jsonb_to_recordset('
	  . literal($json->encode($rows)) . '::jsonb) AS ('
	  . column_definitions(\@columns, $types)
	  . ')) WITH ORDINALITY AS r (' . quoted(@columns, 'ord') . ')';
}

=item latest_sql(%join)

The lateral side of a point-in-time join: of table, the row with the greatest
time not after spine_time, at most ttl (seconds; optional) before it, and of
several that with the greatest column "then" (optional).  keys maps
the spine's columns to the table's, select the output's names to expressions
over the table's columns, and where is a further condition or undef.  The spine
is s, the table f.

=cut

sub latest_sql
{
	my %join = @_;
	my $time = 'f.' . quoted($join{time});
	my @where = map { 'f.' . quoted($join{keys}{$_}) . ' = s.' . quoted($_) } sort keys %{ $join{keys} };

	push @where, "$time <= $join{spine_time}";
	push @where, "$time >= $join{spine_time} - interval '$join{ttl} seconds'" if defined $join{ttl};
	push @where, $join{where} if defined $join{where};
	return 'LATERAL (SELECT '
	  . join(', ', map { "$join{select}{$_} AS " . quoted($_) } sort keys %{ $join{select} })
	  . " FROM $join{table} f WHERE "
	  . join(' AND ', @where)
	  . " ORDER BY $time DESC"
	  . (defined $join{then} ? ', f.' . quoted($join{then}) . ' DESC NULLS LAST' : '') . ' LIMIT 1)';
}

=item view_query_obstacle($case)

Why a case of kind feature_view_query is no plain point-in-time join, or undef.

=item view_query_sql($case, $make)

Such a case as one query. With $make, its joins are feature views: $make is
given the query and the event time of each, and returns what it was made as.  Each table with keys must exist as the offline table
of a group of its name, whose event time is the table's timestamp_field, as
timestamp with time zone; any other as a plain table with the case's columns.

=cut

# "table", "field" and, where the feature is an entry of a map, its key
sub split_reference
{
	my $feature = shift;

	return () unless defined $feature->{ref} && $feature->{ref} =~ /^(\w+)\.(\w+)(?:\['([^']*)'\])?$/;
	return ($1, $2, $3);
}

sub view_query_obstacle
{
	my $case = shift;
	my $spec = $case->{spec};
	my $joins = 0;

	return 'windows' if grep { $_->{type} ne 'DerivedFeatureView' } @{ $spec->{views} };
	foreach my $view (@{ $spec->{views} })
	{
		return 'a filter' if defined $view->{filter_expr};
		foreach my $feature (@{ $view->{features} })
		{
			my $kind = $feature->{transform} ? $feature->{transform}{type} : 'expression';

			return "a transform of type $kind" if $kind ne 'expression';
			my ($table) = split_reference($feature) or next;
			return 'a reference to another view' unless $spec->{tables}{$table};
			$joins++;
		}
	}
	return $joins ? undef : 'no join';
}

sub view_query_sql
{
	my ($case, $make) = @_;
	my $spec = $case->{spec};
	my %relation;				# table or view => { sql, columns, keys, time }

	foreach my $name (keys %{ $spec->{tables} })
	{
		my $table = $spec->{tables}{$name};
		my $time = $table->{timestamp_field};

		$relation{$name} = {
			sql => 'SELECT *, ' . time_sql(quoted($time), $table->{timestamp_format})
			  . ' AS event_time FROM ' . quoted($name),
			columns => [ sort keys %{ $table->{schema} } ],
			keys => $table->{keys} || [],
			time => $time
		};
	}
	foreach my $view (@{ $spec->{views} })
	{
		$relation{ $view->{name} } = one_view($spec->{tables}, $relation{ $view->{source} }, $view, $make);
	}
	return $relation{ $spec->{query}{features} }{sql};
}

# One view over its source: first all joins, then its expressions one by one.
sub one_view
{
	my ($tables, $source, $view, $make) = @_;
	my @columns = @{ $source->{columns} };
	my $sql = "SELECT s.*\nFROM ($source->{sql}) s";
	my %keep = map { $_ => 1 } @{ $source->{keys} }, $source->{time};
	my $joins = 0;
	my $entries = 0;

	$keep{$_} = 1 foreach ($view->{keep_source_fields} ? @columns : ());
	foreach my $feature (@{ $view->{features} })
	{
		my ($name, $field, $entry) = split_reference($feature);

		if (!defined $name)
		{
			$keep{ defined $feature->{ref} ? $feature->{ref} : $feature->{name} } = 1;
			next;
		}
		my $table = $tables->{$name};
		my $output = defined $entry ? '_' . $entries++ : $field;
		$joins++;
		my $value = ($make ? "j$joins." : 'f.') . quoted($field);
		$value = "($value ->> " . literal($entry) . ')::double precision' if defined $entry;
		push @columns, $output;
		$keep{$_} = 1 foreach ($output, @{ $table->{keys} });
		if ($make)
		{
			$sql =~ s/\nFROM/, $value AS @{[ quoted($output) ]}\nFROM/;
			$sql .= ' LEFT JOIN ' . quoted($name) . " j$joins ON "
			  . join(' AND ', map { "j$joins.$_ = s.$_" } map { quoted($_) } @{ $table->{keys} });
			next;
		}
		$sql =~ s/\nFROM/, j$joins.@{[ quoted($output) ]}\nFROM/;
		$sql .= ' LEFT JOIN '
		  . latest_sql(
			table => quoted($name),
			time => $table->{timestamp_field},
			spine_time => 's.event_time',
			keys => { map { $_ => $_ } @{ $table->{keys} } },
			select => { $output => $value })
		  . " j$joins ON true";
	}
	$sql = 'SELECT * FROM ' . $make->($sql, 'event_time') if $make && $joins;
	foreach my $feature (grep { $_->{transform} } @{ $view->{features} })
	{
		my $value = "($feature->{transform}{expr})";

		$value .= '::' . sql_types({ t => $feature->{dtype} })->{t} if defined $feature->{dtype};
		@columns = grep { $_ ne $feature->{name} } @columns;
		$sql = 'SELECT ' . column_list([ @columns, 'event_time' ])
		  . ", $value AS " . quoted($feature->{name}) . " FROM ($sql) v";
		push @columns, $feature->{name};
	}
	@columns = grep { $keep{$_} } @columns;
	return {
		sql => 'SELECT ' . column_list([ @columns, 'event_time' ]) . " FROM ($sql) v",
		columns => \@columns,
		keys => $source->{keys},
		time => $source->{time}
	};
}

=item same_rows($node, $settings, $query, \@expected, \@columns, \%types, \@order)

Run a query, after $settings in the same session, and compare: columns of these
names and types, rows in this order with these values, NULL apart from the
rest.  $order has the columns to sort the result by; an empty one takes it as it
comes, undef compares both sorted.

=cut

sub same_rows
{
	my ($node, $settings, $query, $expected, $columns, $types, $order) = @_;
	my @have = @$expected ? keys %{ $expected->[0] } : @$columns;
	my $list = column_list($columns);
	my $by = !defined $order ? $list : @$order ? column_list($order) : undef;

	is_deeply([ sort @have ], [ sort @$columns ], 'the columns that are expected') or return 0;
	$query = "SELECT $list FROM ($query) q";
	$query .= " ORDER BY $by" if defined $by;
	my $want = recordset_sql($expected, { map { $_ => $types->{$_} } @$columns });
	$want = "SELECT $list FROM ($want) e ORDER BY " . (defined $order ? 'ord' : $list);

	$settings .= "; SET client_min_messages = warning; \\pset null '(null)'\n";
	my $have_types = $node->safe_psql('postgres', qq{$settings;
		CREATE TEMP VIEW result AS $query;
		SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute
		 WHERE attrelid = 'result'::regclass ORDER BY attnum});
	is($have_types, join("\n", map { "$_|$types->{$_}" } @$columns), 'types');
	return is($node->safe_psql('postgres', "$settings; $query"),
		$node->safe_psql('postgres', "$settings; $want"), 'rows');
}

=back

=cut

1;
