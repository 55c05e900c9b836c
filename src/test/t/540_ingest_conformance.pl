# Cases from other feature stores' own tests, as far as topics, jobs, groups and
# the Batch API reach: Kafka round trips, online tables, point-in-time joins by
# hand and by feature views.
# What is left out is named, with the reason.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use FeathubConformance;
use FeathubTest;
use JSON::PP ();
use PostgreSQL::Test::Utils;
use Test::More;

my @cases = (conformance_cases('feathub.json'), conformance_cases('point_in_time.json'));

# Groups of cases, by the first word of their names, that need what is not there.
my %later = (
	(map { $_ => 'nothing here: 620_features_conformance.pl runs them' } qw(derived expr get materialize ondemand sql udf)),
	metrics => 'feature views and windows',
	over => 'windows, which 600_features_windows.pl runs',
	sliding => 'windows in feature views',
	slidingview => 'windows in feature views',
	java => 'windows in feature views',
	chronon => 'aggregates over mutations in feature views',
	(map { $_ => 'nothing here: 350_connector_conformance.pl runs them' } qw(filesystem mysql)),
	redis => 'nothing here: 324_redis_conformance.pl runs them');

# Cases of the other groups that are left out.
my %skip = (
	'kafka.roundtrip_protobuf' => 'needs the protobuf format',
	'join.right_table_without_timestamp' => 'in 620_features_conformance.pl',
	'example.kafka_join_then_sliding_window' => 'needs windows in feature views',
	'example.kafka_sliding_window_across_restart' => 'needs windows in feature views',
	'example.derived_join_then_over_window' => 'in 600_features_windows.pl',
	'example.last_10_clicks_collect_list_to_redis' => 'windows in 600_features_windows.pl',
	'example.sql_feature_view' => 'in 620_features_conformance.pl',
	'example.redis_lookup_join_map_entry' => 'in 350_connector_conformance.pl',
	'example.redis_upsert_then_online_get' => 'in 350_connector_conformance.pl',
	'example.mysql_upsert_then_online_get' => 'in 350_connector_conformance.pl',
	'example.prometheus_metrics' => 'there is no prometheus connector',
	'example.hive_roundtrip' => 'there is no hive connector',
	'alibaba_feathub_over_window_2_days' => 'in 600_features_windows.pl');

# what runs a case, or nothing
sub runner_of
{
	my $case = shift;
	my $kind = $case->{spec}{kind} || $case->{spec}{op};

	return \&online_case if $kind eq 'online_upsert_then_get' || $kind eq 'online_upsert_newest_event_time';
	return \&kafka_case if $kind eq 'kafka_roundtrip';
	return \&spine_case if $kind eq 'pit_join';
	return \&range_case if $kind eq 'latest_as_of' || $kind eq 'range';
	return \&sample_case if $kind eq 'point_in_time_join';
	return \&view_case if $kind eq 'feature_view_query' && !defined view_query_obstacle($case);
	return;
}

# A schema and, for some, a topic per case.
my %topic = map { my $topic = $_->{name} =~ s/\W/_/gr; $_->{name} => $topic } @cases;
my $node = new_node(
	'main', broker => join(', ', map { "$topic{$_->{name}}:2" }
		  grep { my $run = runner_of($_); $run && grep { $run == $_ } (\&online_case, \&kafka_case, \&view_case) } @cases),
	conf => "timezone = 'UTC'\ndatestyle = 'ISO'\n");
my $broker = $node->safe_psql('postgres', 'SELECT feathub.embedded_broker_address()');
my $json = JSON::PP->new->utf8->canonical->allow_nonref;
my $settings = '';			# of the case that runs: its schema and time zone
my $by_node = 0;			# plans with the point-in-time join's node

$node->safe_psql('postgres', q{CREATE SERVER kafka FOREIGN DATA WRAPPER feathub_kafka OPTIONS (bootstrap_servers 'embedded')});

sub sql { return $node->safe_psql('postgres', "$settings; " . join('; ', @_)); }

# a call of backfill for sql()
sub backfill
{
	my ($group, $query, $more) = @_;
	return "SELECT feathub.backfill('" . quoted($group) . "', " . literal($query) . (defined $more ? ", $more" : '') . ')';
}

# the message of the error that statements fail with
sub error_of
{
	my ($status, $out, $err) = $node->psql('postgres', "$settings; " . join('; ', @_));

	return $status ? $err : 'no error';
}

# Each case has a schema of its own.
my %left_out;
foreach my $case (@cases)
{
	my ($name, $group) = ($case->{name}, $case->{name} =~ /^([a-z]+)/);
	my $run = runner_of($case);

	if ($later{$group})
	{
		$left_out{$group}++;
		next;
	}
	if (my $reason = $skip{$name})
	{
	  SKIP: { skip("$name: $reason", 1); }
		next;
	}
	if (!$run)
	{
		fail("$name: nothing runs it, and nothing says why");
		next;
	}
	$settings = "SET search_path = $topic{$name}; SET timezone = '" . ($case->{spec}{timezone} || 'UTC') . "'";
	subtest $name => sub {
		$node->safe_psql('postgres', "CREATE SCHEMA $topic{$name}");
		eval { $run->($case); 1 } or fail("$name: $@");
	};
}
foreach my $group (sort keys %left_out)
{
  SKIP: { skip("$group.*: needs $later{$group}", $left_out{$group}); }
}

# Kafka round trips, on the embedded broker and on Apache Kafka

my $kafka;
my $kafka_tried;

sub kafka_case
{
	my $case = shift;

	if (!$kafka_tried++)
	{
		$kafka = kafka_start(optional => 1);
		$node->safe_psql('postgres', qq{
			CREATE SERVER apache FOREIGN DATA WRAPPER feathub_kafka OPTIONS (bootstrap_servers '$kafka->{bootstrap}', connect_timeout '30')})
		  if $kafka;
	}
	subtest 'embedded broker' => sub { round_trip($case, 'kafka'); };
  SKIP:
	{
		skip('no Apache Kafka', 1) unless $kafka;
		kafka_create_topic($kafka, $topic{ $case->{name} }, 2);
		subtest 'Apache Kafka' => sub { round_trip($case, 'apache'); };
	}
	return;
}

sub round_trip
{
	my ($case, $server) = @_;
	my $spec = $case->{spec};
	my $rows = $case->{inputs}{rows};
	my $types = sql_types($spec->{schema} || infer_types($rows));
	my @columns = grep { exists $rows->[0]{$_} } ('id', 'val', 'ts');
	my %key = map { $_ => 1 } @{ $spec->{keys} };
	my $topic = $topic{ $case->{name} };
	my $table = "through_$server";

	my $definitions = join(', ',
		map { quoted($_) . " $types->{$_}" . ($key{$_} ? " OPTIONS (key 'true')" : '') } @columns);
	my $fields = $spec->{value_excludes_key} ? 'except_key' : 'all';
	my $insert = "INSERT INTO $table (" . column_list(\@columns);
	my $select = 'SELECT ' . column_list(\@columns);
	my $from = 'FROM (' . recordset_sql($rows, $types) . ') r';

	sql(qq{CREATE FOREIGN TABLE $table ($definitions, written_at timestamptz OPTIONS (metadata 'timestamp'))
			SERVER $server OPTIONS (topic '$topic', format '$spec->{value_format}',
			  key_format '$spec->{key_format}', value_fields '$fields')},
		qq{CREATE FOREIGN TABLE raw_$server (message_key text OPTIONS (metadata 'key'), value text)
			SERVER $server OPTIONS (topic '$topic', format 'raw')});

	# what was there before the time that the case starts at
	sql("$insert, written_at) $select, now() - interval '1 hour' $from") if $spec->{startup_mode};
	my $start = sql("SELECT date_trunc('milliseconds', clock_timestamp())");
	sql("$insert) $select $from");

	my $query = "SELECT * FROM $table";
	$query .= " WHERE written_at >= '$start'" if defined $spec->{startup_mode};
	same_rows($node, $settings, $query, $case->{expected}, \@columns, $types, $spec->{order_by});

	if ($spec->{startup_mode})
	{
		is(sql("SELECT count(*) FROM $table"), 2 * @$rows, 'the earlier ones are there');
		is(sql("SELECT count(*) FROM $table WHERE written_at < '$start'"), scalar @$rows, 'and can be told apart');
	}
	if ($spec->{value_excludes_key})
	{
		my ($id) = @{ $spec->{keys} };
		my @others = grep { !$key{$_} } @columns;
		my @want;

		foreach my $row (@$rows)
		{
			push @want,
			  $spec->{value_format} eq 'json'
			  ? "{\"$id\":$row->{$id}}|{" . join(',', map { "\"$_\":" . $json->encode($row->{$_}) } @others) . '}'
			  : "$row->{$id}|" . join(',', map { $row->{$_} } @others);
		}
		is(sql("SELECT DISTINCT message_key, value FROM raw_$server ORDER BY 1"), join("\n", @want),
			'keys are in the message key and not in the value');
	}
	# the end is fixed when the scan begins, whatever comes meanwhile
	sql("INSERT INTO $table ($columns[0]) VALUES (4), (5)");
	like(
		sql('BEGIN',
			"DECLARE c CURSOR FOR SELECT $columns[0] FROM $table WHERE $columns[0] > 3",
			'MOVE 1 FROM c',
			"INSERT INTO $table ($columns[0]) VALUES (6), (7)",
			'FETCH ALL FROM c',
			'COMMIT'),
		qr/^[45]$/,
		'a read ends at the offsets that were the latest when it began');
	is(sql("SELECT count(*) FROM $table WHERE $columns[0] > 3"), '4', 'the next one sees more');
	return;
}

# Online tables, by a job and by the Batch API

# rows as messages of a topic keyed by the entity
sub messages
{
	my ($rows, @keys) = @_;
	return [ map { { key => $json->encode([ @$_{@keys} ]), value => $json->encode($_) } } @$rows ];
}

sub online_case
{
	my $case = shift;
	my ($spec, $inputs) = ($case->{spec}, $case->{inputs});
	my @batches = @{ $spec->{apply_in_order} || [ sort grep { /^batch_/ } keys %$inputs ] };
	my @keys = @{ $spec->{primary_key} || $spec->{keys} };
	my $time = $spec->{event_time} || $spec->{timestamp_field};
	my $request = $inputs->{ $spec->{lookup} || 'request' };
	my $types = $spec->{types} ? sql_types($spec->{types}{ $batches[0] }) : infer_types($inputs->{ $batches[0] });
	my $topic = $topic{ $case->{name} };

	$types->{$time} = 'timestamp without time zone' if $types->{$time} eq 'text';
	my @columns = sort keys %$types;
	my $list = column_list(\@columns);
	my $definitions = column_definitions(\@columns, $types);
	my $group = "primary_key => '{" . join(',', @keys) . "}', event_time => '$time'";

	sql("CREATE FOREIGN TABLE events ($definitions) SERVER kafka OPTIONS (topic '$topic', format 'json')",
		"CREATE TABLE loaded ($definitions)",
		"SELECT feathub.create_feature_group('streamed', source => 'events', $group, job => '$topic')",
		"SELECT feathub.create_feature_group('backfilled', source => 'loaded', $group)");

	return schema_mismatch($case, $types, \@columns, $time) if $case->{expected_error};

	my @distinct;
	foreach my $batch (@batches)
	{
		my $rows = $inputs->{$batch};

		kafka_produce($broker, $topic, messages($rows, @keys));
		sql("SELECT feathub.wait_for_job('$topic', timeout => '60 s')");
		sql(backfill('backfilled', "SELECT $list FROM (" . recordset_sql($rows, $types) . ') r ORDER BY ord', 'online => true'));
		push @distinct, @$rows;
	}

	my $request_types = $spec->{types} ? sql_types($spec->{types}{ $spec->{lookup} }) : infer_types($request);
	my %no_feature = map { $_ => 1 } ($time, @keys);
	my @selected = $spec->{feature_names} ? @{ $spec->{feature_names} } : grep { !$no_feature{$_} } @columns;
	push @selected, $time if !exists $spec->{include_timestamp_field} || $spec->{include_timestamp_field};
	my @output = (sort(keys %$request_types), @selected);

	my $requested = recordset_sql($request, $request_types);
	my $vector = column_list([ sort keys %$request_types ], 'r') . ', ' . column_list(\@selected, 'o');
	my $by_key = join(' AND ', map { 'o.' . quoted($_) . ' = r.' . quoted($_) } @keys);

	foreach my $name ('streamed', 'backfilled')
	{
		same_rows($node, $settings,
			"SELECT $vector FROM ($requested) r LEFT JOIN ${name}_online o ON $by_key ORDER BY r.ord",
			$case->{expected}, \@output, { %$request_types, %$types }, []);

		# and nothing is lost of the history
		same_rows($node, $settings, "TABLE $name", \@distinct, \@columns, $types, undef);
	}
	is(sql("SELECT records, applied, dead_letters, skipped, expired FROM feathub.job_status WHERE job = '$topic'"),
		join('|', scalar @distinct, scalar @distinct, 0, 0, 0), 'records counted');
	sql("SELECT feathub.drop_feature_group('streamed')");
	return;
}

# A second materialization whose columns do not match those of the first.  Here
# the group's tables are the first one's schema, and a source or query that does
# not fit is refused when a job or a backfill is made of it: if a column has
# another type, if it gives one that the group lacks, and if it lacks one, should
# the tables demand it.  (A feature that is not demanded may be given by some
# sources only.)
sub schema_mismatch
{
	my ($case, $types, $columns, $time) = @_;
	my ($first, $second) = @{ $case->{inputs} }{ 'batch_1', 'batch_2' };
	my $topic = $topic{ $case->{name} };
	my ($missing) = grep { !exists $second->[0]{$_} } @$columns;
	my @has = grep { $_ ne $missing } @$columns;
	my $rows = 'FROM (' . recordset_sql($second, { map { $_ => $types->{$_} } @has }) . ') r';
	my $list = column_list(\@has);
	my $server = "SERVER kafka OPTIONS (topic '$topic', format 'json')";

	sql(map { "ALTER TABLE $_ ALTER $missing SET NOT NULL" } ('streamed', 'backfilled'));
	kafka_produce($broker, $topic, messages($first, 'name'));
	sql("SELECT feathub.wait_for_job('$topic', timeout => '60 s')");
	sql(backfill('backfilled', 'SELECT ' . column_list($columns) . ' FROM (' . recordset_sql($first, $types) . ') r ORDER BY ord', 'online => true'));

	# other sources
	my %refused = (
		lacks_one => qr/ERROR:.*column "$missing" of table "streamed" needs a value that the source does not give/,
		other_type => qr/ERROR:.*column "cost" is of type text in the source but of type bigint in table "streamed"/,
		has_more => qr/ERROR:.*column "more" of the source is not in table "streamed"/);
	sql('CREATE FOREIGN TABLE lacks_one (' . column_definitions(\@has, $types) . ") $server",
		'CREATE FOREIGN TABLE other_type (' . column_definitions($columns, { %$types, cost => 'text' }) . ") $server",
		'CREATE FOREIGN TABLE has_more (' . column_definitions($columns, $types) . ", more int) $server");
	foreach my $source (sort keys %refused)
	{
		like(error_of("SELECT feathub.create_job('second', source => '$source', sink => 'streamed')"),
			$refused{$source}, "a job: $source");
	}

	# other queries
	like(error_of(backfill('backfilled', "SELECT $list $rows")),
		qr/ERROR:.*"$missing"/, 'a backfill that lacks a column');
	like(error_of(backfill('backfilled', "SELECT name, $time, cost::text, 1 AS $missing $rows")),
		qr/ERROR:.*column "cost" of feature group "backfilled" is of type bigint but the query gives text/,
		'a backfill with another type');
	like(error_of(backfill('backfilled', "SELECT $list, 1 AS $missing, 1 AS more $rows")),
		qr/ERROR:.*column "more"/, 'a backfill with one more column');

	# the messages themselves: not applied, and kept
	kafka_produce($broker, $topic, messages($second, 'name'));
	sql("SELECT feathub.wait_for_job('$topic', timeout => '60 s')");
	is(sql("SELECT count(*) FROM feathub.dead_letter WHERE job = '$topic' AND sqlstate = '23502' AND message LIKE '%\"$missing\"%'"),
		scalar @$second, 'records without the column are dead letters');
	foreach my $name ('streamed', 'backfilled')
	{
		same_rows($node, $settings, "TABLE $name", $first, $columns, $types, undef);
		is(sql("SELECT count(*), max($time) FROM ${name}_online"), '3|2022-01-03 08:06:00', 'nothing of it is online');
	}
	sql("SELECT feathub.drop_feature_group('streamed')");
	return;
}

# Point-in-time joins

# A group's offline table from a case's rows, by a backfill in their order, or in
# the order of a creation time: the last one of a (key, event time) stays.
sub backfill_group
{
	my ($name, $rows, $types, %opt) = @_;
	my @columns = sort keys %$types;
	my %expression = %{ $opt{expressions} || {} };
	my $ttl = defined $opt{ttl} ? ", ttl => '$opt{ttl} seconds'" : '';

	my $select = 'SELECT ' . join(', ', map { ($expression{$_} || quoted($_)) . ' AS ' . quoted($_) } @columns)
	  . ' FROM ' . quoted("${name}_rows");
	my $order = defined $opt{created} ? quoted($opt{created}) . ' NULLS FIRST, ord' : 'ord';

	# the source is for its columns
	sql('CREATE TABLE ' . quoted("${name}_rows") . ' AS ' . recordset_sql($rows, $types),
		'CREATE VIEW ' . quoted("${name}_source") . " AS $select",
		"SELECT feathub.create_feature_group('" . quoted($name) . "', source => '" . quoted("${name}_source")
		  . "', primary_key => '{" . join(',', @{ $opt{keys} }) . "}', event_time => '$opt{time}'$ttl)",
		backfill($name, "$select ORDER BY $order"));

	my %distinct = map { join("\0", @$_{ @{ $opt{keys} }, $opt{time} }) => 1 } @$rows;
	is(sql('SELECT count(*) FROM ' . quoted($name)), scalar keys %distinct, "$name: a row per key and event time");
	return;
}

# Run a check of a query by the server's own plan, then with the point-in-time
# join's node, by each of its strategies.
sub by_all_plans
{
	my ($query, $check) = @_;
	my $plain = $settings;

	$settings = "$plain; SET feathub.enable_asof_join = off";
	subtest 'without the node' => $check;
	foreach my $strategy ('feature_hash', 'spine_hash', 'time_ordered', 'merge')
	{
		$settings = "$plain; SET enable_nestloop = off; SET feathub.asof_join_strategy = $strategy";
		next unless sql("EXPLAIN $query") =~ /FeathubAsofJoin/;
		$by_node++;
		subtest $strategy => $check;
	}
	$settings = $plain;
	return;
}

# point_in_time.json: a spine and one or more right sides
sub spine_case
{
	my $case = shift;
	my ($spec, $inputs) = ($case->{spec}, $case->{inputs});
	my $types = sql_types($spec->{types}{ $spec->{spine} });
	my @columns = @{ $spec->{spine_columns} };
	my %output = map { $_ => $types->{$_} } @columns;
	my ($select, $from) = (column_list(\@columns, 's'), 'spine s');
	my ($view_select, $view_from) = ($select, $from);
	my $as_known = grep { $_->{filter_created} } @{ $spec->{features} };
	my %made;
	my $n = 0;

	sql('CREATE TABLE spine AS ' . recordset_sql($inputs->{ $spec->{spine} }, $types));
	foreach my $side (@{ $spec->{features} })
	{
		my $of = sql_types($spec->{types}{ $side->{table} });

		die "a filter or tie break" if defined $side->{filter} || defined $side->{tie_break};
		if ($as_known)
		{
			sql('CREATE TABLE ' . quoted($side->{table}) . ' AS ' . recordset_sql($inputs->{ $side->{table} }, $of))
			  unless $made{ $side->{table} }++;
		}
		backfill_group(
			$side->{table}, $inputs->{ $side->{table} }, $of,
			keys => [ sort values %{ $side->{keys} } ],
			time => $side->{event_time},
			ttl => $side->{ttl_seconds},
			created => $side->{created}) unless $made{ $side->{table} }++;
		$n++;
		$from .= ' LEFT JOIN '
		  . latest_sql(
			table => quoted($side->{table}),
			keys => $side->{keys},
			time => $side->{event_time},
			spine_time => 's.' . quoted($spec->{spine_time}),
			ttl => $side->{ttl_seconds},
			then => $as_known ? $side->{created} : undef,
			where => $side->{filter_created} ? 'f.' . quoted($side->{created}) . ' <= s.' . quoted($spec->{spine_time}) : undef,
			select => { map { $_ => 'f.' . quoted($side->{select}{$_}) } keys %{ $side->{select} } })
		  . " j$n ON true";
		$view_from .= ' LEFT JOIN ' . quoted($side->{table}) . " j$n ON "
		  . join(' AND ', map { "j$n." . quoted($side->{keys}{$_}) . ' = s.' . quoted($_) } sort keys %{ $side->{keys} });
		$select .= ', ' . column_list([ sort keys %{ $side->{select} } ], "j$n");
		$view_select .= ", j$n." . quoted($side->{select}{$_}) . ' AS ' . quoted($_) foreach sort keys %{ $side->{select} };
		$output{$_} = $of->{ $side->{select}{$_} } foreach keys %{ $side->{select} };
	}
	my @queries = ("SELECT $select, s.ord FROM $from");

	# The same join by a feature view.  A group tells what was true at the
	# spine's time; what was known then, of versions told apart by a creation
	# time, is asked of a plain table, by the lateral subquery itself.
	sql("SELECT feathub.create_feature_view('of_case', "
		  . literal($as_known ? $queries[0] : "SELECT $view_select, s.ord FROM $view_from") . ', '
		  . literal($spec->{spine_time}) . ')');
	push @queries, 'SELECT * FROM of_case';
	foreach my $query (@queries)
	{
		foreach my $name (sort keys %{ $spec->{derived} || {} })
		{
			$query = "SELECT *, $spec->{derived}{$name} AS " . quoted($name) . " FROM ($query) d";
			$output{$name} = 'double precision';
		}
		by_all_plans($query, sub {
			same_rows($node, $settings, "SELECT * FROM ($query) d ORDER BY ord", $case->{expected}, [ sort keys %output ], \%output, []);
		});
	}
	return;
}

# point_in_time.json: no spine, the latest row of each key or all of a range
sub range_case
{
	my $case = shift;
	my $spec = $case->{spec};
	my $side = $spec->{feature};
	my $types = sql_types($spec->{types}{ $side->{table} });
	my @keys = sort values %{ $side->{keys} };
	my $time = quoted($side->{event_time});
	my $latest = $spec->{op} eq 'latest_as_of';
	my $end = $latest ? $spec->{as_of} : $spec->{end};
	my %output = map { $_ => $types->{ $side->{select}{$_} } } keys %{ $side->{select} };

	$output{$_} = $types->{$_} foreach (@keys, $latest ? () : $side->{event_time});
	backfill_group(
		$side->{table}, $case->{inputs}{ $side->{table} }, $types,
		keys => \@keys,
		time => $side->{event_time},
		ttl => $side->{ttl_seconds},
		created => $side->{created});
	my $query = 'SELECT ' . ($latest ? 'DISTINCT ON (' . column_list(\@keys) . ') ' : '') . column_list([ sort keys %output ])
	  . ' FROM ' . quoted($side->{table}) . " WHERE $time >= '$spec->{start}' AND $time <= '$end'";
	$query .= " AND $time >= timestamptz '$end' - interval '$side->{ttl_seconds} seconds'" if defined $side->{ttl_seconds};
	$query .= ' ORDER BY ' . column_list(\@keys) . ", $time" . ($latest ? ' DESC' : '');
	same_rows($node, $settings, $query, $case->{expected}, [ sort keys %output ], \%output, []);

	# by a feature view: the entities at that time, or the group itself
	my $group = quoted($side->{table});
	my $selected = column_list([ sort keys %{ $side->{select} } ], 'f');
	if ($latest)
	{
		sql('CREATE TABLE entities AS SELECT DISTINCT ' . column_list(\@keys) . ", timestamptz '$end' AS as_of FROM $group",
			"SELECT feathub.create_feature_view('of_case', " . literal('SELECT ' . column_list(\@keys, 's') . ", $selected, f.$time AS at FROM entities s JOIN $group f ON "
				  . join(' AND ', map { 'f.' . quoted($_) . ' = s.' . quoted($_) } @keys)) . ", 'as_of')");
		$query = "SELECT * FROM of_case WHERE at >= '$spec->{start}' ORDER BY " . column_list(\@keys);
	}
	else
	{
		sql("SELECT feathub.create_feature_view('of_case', " . literal('SELECT ' . column_list(\@keys, 'f') . ", f.$time, $selected FROM $group f") . ')');
		$query = "SELECT * FROM of_case WHERE $time >= '$spec->{start}' AND $time <= '$end' ORDER BY " . column_list(\@keys) . ", $time";
	}
	same_rows($node, $settings, $query, $case->{expected}, [ sort keys %output ], \%output, []);
	return;
}

# feathub.json: views over a table and keyed tables
sub view_case
{
	my $case = shift;
	my $spec = $case->{spec};
	my $types = sql_types($case->{expected_types} || { map { %{ $_->{schema} } } values %{ $spec->{tables} } });
	my @columns = sort keys %{ $case->{expected}[0] };

	foreach my $name (sort keys %{ $spec->{tables} })
	{
		my $table = $spec->{tables}{$name};
		my $of = sql_types($table->{schema});
		my $rows = $case->{inputs}{$name};
		my $time = $table->{timestamp_field};

		if ($table->{keys})
		{
			backfill_group(
				$name, $rows, $of,
				keys => $table->{keys},
				time => $time,
				expressions => { $time => time_sql(quoted($time), $table->{timestamp_format}) });
		}
		elsif (($table->{connector} || '') eq 'kafka')
		{
			my $topic = $topic{ $case->{name} };
			my $definitions = column_definitions([ sort keys %$of ], $of);

			kafka_produce($broker, $topic, [ map { $json->encode($_) } @$rows ]);
			sql("CREATE FOREIGN TABLE spine_source ($definitions) SERVER kafka OPTIONS (topic '$topic', format 'json')",
				'CREATE TABLE ' . quoted($name) . " ($definitions)",
				"SELECT feathub.create_job('$topic', source => 'spine_source', sink => '" . quoted($name) . "')",
				"SELECT feathub.wait_for_job('$topic', timeout => '60 s')",
				"SELECT feathub.drop_job('$topic')");
		}
		else
		{
			sql('CREATE TABLE ' . quoted($name) . ' AS ' . recordset_sql($rows, $of));
		}
	}
	my $views = 0;
	my $make = sub {
		my ($query, $event_time) = @_;
		my $name = 'feature_view_' . ++$views;

		sql("SELECT feathub.create_feature_view('$name', " . literal($query) . ", '$event_time')");
		return $name;
	};
	foreach my $query (view_query_sql($case), view_query_sql($case, $make))
	{
		by_all_plans($query, sub { same_rows($node, $settings, $query, $case->{expected}, \@columns, $types, $spec->{order_by}); });
	}
	cmp_ok($views, '>', 0, 'by feature views, too');
	return;
}

# feathub.json, from a talk: samples and versions of a feature, with times of day
sub sample_case
{
	my $case = shift;
	my ($spec, $inputs) = ($case->{spec}, $case->{inputs});
	my ($left, $right) = @$spec{ 'left', 'right' };
	my %table = map {
		$_ => {
			schema => infer_types($inputs->{$_}),
			keys => $_ eq $right ? $spec->{keys} : undef,
			timestamp_field => $spec->{time},
			timestamp_format => '%H:%M'
		}
	} ($left, $right);
	my %no_feature = map { $_ => 1 } ($spec->{time}, @{ $spec->{keys} });
	my @features = grep { !$no_feature{$_} } keys %{ $table{$right}{schema} };

	return view_case({
		%$case,
		spec => {
			tables => \%table,
			views => [ {
				name => 'joined', source => $left, keep_source_fields => 1,
				features => [ map { { ref => "$right.$_" } } @features ]
			} ],
			query => { features => 'joined' },
			order_by => [ $spec->{time} ]
		}
	});
}

cmp_ok($by_node, '>', 50, "the point-in-time join's node is in $by_node plans");
$node->stop;
done_testing();
