# FeatHub's own cases on Redis: its key layout written and read as tables of
# kind features.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use FeathubConformance;
use FeathubRedis;
use FeathubTest;
use JSON::PP;
use Test::More;

my @cases = grep { $_->{name} =~ /^redis\./ } conformance_cases('feathub.json');
my $redis = redis_start();
my $node = new_node('conformance');
my $json = JSON::PP->new->canonical->allow_nonref;

sub sql { return $node->safe_psql('postgres', $_[0]); }

# A column's declaration for one of FeatHub's types.
sub column
{
	my ($name, $type, $key) = @_;
	my %types = (
		bigint => 'bigint', integer => 'integer', string => 'text', double => 'float8', float => 'float8',
		boolean => 'boolean', 'array<double>' => 'float8[]', 'array<bigint>' => 'bigint[]',
		'array<string>' => 'text[]');
	my $options = $key ? q{ OPTIONS (key 'true')} : '';

	return "\"$name\" $types{$type}$options" if $types{$type};
	return "\"$name\" jsonb OPTIONS (type '$type')" if $type =~ /^(map|array)</;
	die "type $type";
}

# The order of fields in FeatHub's schemas: that of the rows we are given.
sub make_table
{
	my ($spec, $schema, %opt) = @_;
	my %key = map { $_ => 1 } @{ $spec->{keys} };
	my @names = (@{ $spec->{keys} }, grep { !$key{$_} } sort keys %$schema);
	my $pattern = $opt{pattern} ? ", key_pattern '$opt{pattern}'" : '';

	sql('DROP FOREIGN TABLE IF EXISTS t; CREATE FOREIGN TABLE t ('
		  . join(', ', map { column($_, $schema->{$_}, $key{$_}) } @names)
		  . qq{) SERVER r OPTIONS (kind 'features', namespace '$spec->{namespace}', write_mode 'upsert'$pattern}
		  . ($spec->{enable_hash_partial_update} ? q{, hash_partial_update 'true'} : '') . ')');
	return @names;
}

# Rows as jsonb_populate_recordset takes them: maps as they are.
sub insert_rows
{
	my ($rows, @names) = @_;
	my $list = join ', ', map { "\"$_\"" } @names;

	foreach my $row (@$rows)
	{
		# JSON::PP writes 1.0 as it read it, but for numbers made by perl
		my %row = map { $_ => $row->{$_} } grep { exists $row->{$_} } @names;
		my $text = $json->encode(\%row);
		$text =~ s/'/''/g;
		sql("INSERT INTO t ($list) SELECT $list FROM jsonb_populate_record(NULL::t, '$text')");
	}
	return;
}

sub value_of
{
	my ($key, $type) = @_;
	return redis_cli($redis, 'GET', $key) if $type eq 'string';
	return [ split /\n/, redis_cli($redis, 'LRANGE', $key, 0, -1) ] if $type eq 'list';
	return { split /\n/, redis_cli($redis, 'HGETALL', $key) } if $type eq 'hash';
	return;
}

sub put
{
	my ($entry) = @_;
	my ($key, $type, $value) = @$entry{qw(key redis_type value)};

	if ($type eq 'string') { redis_cli($redis, 'SET', $key, $value); }
	elsif ($type eq 'list') { redis_cli($redis, 'RPUSH', $key, @$value); }
	else { redis_cli($redis, 'HSET', $key, %$value); }
	return;
}

# Values as perl has them, numbers being numbers.
sub same_json
{
	my ($got, $expected, $what) = @_;
	is_deeply($json->decode($got), $json->decode($json->encode($expected)), $what)
	  or diag("got $got");
	return;
}

sub schema_of
{
	my ($rows) = @_;
	my %types;

	foreach my $row (@$rows)
	{
		foreach my $name (keys %$row)
		{
			my $v = $row->{$name};
			$types{$name} ||=
			    ref $v eq 'HASH' ? ($name eq 'nested_map' ? 'map<string,map<string,boolean>>'
				: $name eq 'nested_list' ? 'map<string,array<double>>' : 'map<string,boolean>')
			  : ref $v eq 'ARRAY' ? 'array<double>'
			  : !defined $v ? undef
			  : $json->encode($v) =~ /^-?\d+$/ ? 'bigint' : $json->encode($v) =~ /^-?[\d.]+$/ ? 'double' : 'string';
		}
	}
	return \%types;
}

sql(qq{
	CREATE SERVER r FOREIGN DATA WRAPPER feathub_redis OPTIONS (port '$redis->{port}');
	CREATE USER MAPPING FOR CURRENT_USER SERVER r});
my $done = 0;

foreach my $case (@cases)
{
	my ($spec, $inputs) = @$case{qw(spec inputs)};

	redis_cli($redis, 'FLUSHALL');
	if ($spec->{kind} eq 'redis_sink')
	{
		my %schema = %{ $spec->{schema} };
		my $pattern = !$spec->{key_expr} || $spec->{key_expr} =~ /CONCAT_WS\(":", __NAMESPACE__, __KEYS__, __FEATURE_NAME__\)/ ? undef
		  : $spec->{key_expr} =~ /CONCAT\(__NAMESPACE__, CAST\(id AS STRING\), __FEATURE_NAME__\)/
		  ? '{__NAMESPACE__}{id}{__FEATURE_NAME__}' : die "key_expr $spec->{key_expr}";

		if (exists $spec->{keep_timestamp_field} && !$spec->{keep_timestamp_field})
		{
			delete $schema{ $spec->{timestamp_field} };
		}
		my @names = make_table($spec, \%schema, pattern => $pattern);
		insert_rows($inputs->{source}, @names);
		foreach my $entry (@{ $case->{expected} })
		{
			is_deeply(value_of($entry->{key}, $entry->{redis_type}), $entry->{value},
				"$case->{name}: $entry->{key}");
		}
		is(redis_cli($redis, 'DBSIZE'), $spec->{exact_key_count}, "$case->{name}: no other keys")
		  if defined $spec->{exact_key_count};

		# and it is read as it was written; a row of nothing has no key
		my %key = map { $_ => 1 } @{ $spec->{keys} };
		my %rows;
		foreach my $row (@{ $inputs->{source} })
		{
			$rows{ $json->encode([ @$row{ @{ $spec->{keys} } } ]) } = 1
			  if grep { !$key{$_} && defined $row->{$_} } @names;
		}
		is(sql('SELECT count(*) FROM t'), scalar(keys %rows), "$case->{name}: read");
		$done++;
	}
	elsif ($spec->{kind} eq 'redis_lookup_join')
	{
		my $source = $spec->{redis};
		my $rows = $inputs->{left} || $inputs->{source};
		my @keys = @{ $source->{keys} };

		put($_) foreach @{ $inputs->{redis} };
		make_table($source, $source->{schema});
		my $left = join ', ', map { my $n = $_; '"' . $n . '" ' . ($source->{schema}{$n} && $source->{schema}{$n} eq 'bigint' ? 'bigint' : 'text') } sort keys %{ $rows->[0] };
		my $text = $json->encode($rows);
		$text =~ s/'/''/g;
		my @expected = @{ $case->{expected} };
		if ($spec->{sliding})
		{
			# the window is another area's; here it is the rows of its keys
			$text = $json->encode([ map { { id => $_->{id} } } @expected ]);
			$left = 'id bigint';
		}
		my $using = join ', ', map { "\"$_\"" } @keys;
		my $names = join ', ', map {
			my $n = $_;
			my $t = $source->{schema}{$n};
			$n eq '_0' ? q{(t.val->>'distance')::bigint AS "_0"}
			: $n eq 'val_cost' ? q{(t.val2->>'cost')::bigint AS val_cost}
			: $n eq 'twice_cost' ? 't.cost * 2 AS twice_cost'
			: $t && !grep({ $_ eq $n } @keys) ? "t.\"$n\"" : "l.\"$n\""
		} grep { $source->{schema}{$_} || exists $rows->[0]{$_} || /^(_0|val_cost|twice_cost)$/ } sort keys %{ $expected[0] };
		foreach my $batched ('on', 'off')
		{
			my $got = sql(qq{
				SET feathub.enable_batched_lookup = $batched;
				SELECT coalesce(jsonb_agg(to_jsonb(x) ORDER BY n), '[]') FROM (
					SELECT $names, row_number() OVER () AS n FROM
						jsonb_to_recordset('$text') AS l($left) LEFT JOIN t USING ($using)) x});
			my $rows_got = $json->decode($got);
			delete $_->{n} foreach @$rows_got;
			my @wanted = map { my $row = $_; my %r = map { $_ => $row->{$_} } grep { exists $rows_got->[0]{$_} } keys %$row; \%r } @expected;
			my $order = sub { join '|', map { $json->encode($_[0]->{$_}) } sort keys %{ $_[0] } };
			is_deeply([ sort { $order->($a) cmp $order->($b) } map { $json->decode($json->encode($_)) } @$rows_got ],
				[ sort { $order->($a) cmp $order->($b) } map { $json->decode($json->encode($_)) } @wanted ],
				"$case->{name}, batched look-ups $batched") or diag($got);
		}
		$done++;
	}
	elsif ($spec->{kind} eq 'redis_upsert_then_online_get')
	{
		my $schema = schema_of($inputs->{redis_rows});
		my @names = make_table($spec, $schema);

		insert_rows($inputs->{redis_rows}, @names);
		my $request = $json->encode($inputs->{request});
		my $columns = join ', ', map { /^id$/ ? 'id bigint' : "\"$_\" text" } sort keys %{ $inputs->{request}[0] };
		my $list = join ', ', (map { "r.\"$_\"" } sort keys %{ $inputs->{request}[0] }), map { "t.\"$_\"" } @{ $spec->{features} };
		same_json(sql("SELECT jsonb_agg(to_jsonb(x) ORDER BY id) FROM (SELECT $list FROM jsonb_to_recordset('$request') AS r($columns) LEFT JOIN t USING (id)) x"),
			$case->{expected}, $case->{name});
		$done++;
	}
	elsif ($spec->{kind} eq 'definition_error')
	{
		my $pattern = $spec->{key_expr} eq '__FEATURE_NAME__' ? '{name}:{__FEATURE_NAME__}' : '{__NAMESPACE__}:{__KEYS__}';
		my $create = sub {
			my %key = map { $_ => 1 } @_;
			return 'CREATE FOREIGN TABLE bad (' . join(', ', map { "$_ text" . ($key{$_} ? " OPTIONS (key 'true')" : '') } qw(name item time))
			  . ") SERVER r OPTIONS (kind 'features', key_pattern '$pattern'); EXPLAIN SELECT * FROM bad; DROP FOREIGN TABLE bad";
		};
		my ($status, $out, $err) = $node->psql('postgres', $create->('name'));
		my $wanted = $spec->{key_expr} eq '__FEATURE_NAME__' ? '__NAMESPACE__' : '__FEATURE_NAME__';
		like($err, qr/must contain \{$wanted\}/, $case->{name});
		sql('DROP FOREIGN TABLE IF EXISTS bad');
		if ($spec->{accepted_with_keys})
		{
			($status, $out, $err) = $node->psql('postgres', $create->(@{ $spec->{accepted_with_keys} }));
			is($status, 0, "$case->{name}: accepted with one feature");
		}
		$done++;
	}
	else { fail("$case->{name}: kind $spec->{kind}"); }
}
is($done, scalar @cases, 'all cases were run');

done_testing();
