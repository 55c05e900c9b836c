# FeathubStreamConformance.pm
#	What every source that a job can follow must do, and every sink that a job
#	can write to, whatever the system: one body of checks for each.
#
#	use FeathubStreamConformance;
#
#	stream_node();                           # the server, small batches
#	check_source(name => 'redis', ...);      # a subtest
#	check_sinks($kafka, { name => 'mysql', ... }, ...);
#
# A source is described by: table => sub ($name) that returns the statements for
# a foreign table of that name with columns k int (the key), n int, note text and
# at timestamptz; add => sub (@rows), rows being [k, n, note, at] in order; down
# and up, which take the system away and bring it back.  Optional: told => qr//, what
# the job says of that; group => further arguments of create_feature_group; poison => sub
# that adds a record whose n is no number; repeats => 1 if add may be given the
# same rows again; extra => sub ($row, $extra) that adds a row with one more
# field, "extra"; remove => sub ($k, $at) that deletes a key.
#
# A sink is described by: table => sub ($name), as above with columns k, n and
# note; rows => sub that returns what anybody finds there as "k|n|note"; latest =>
# 1 if it holds the latest row of each key, not all rows; once => 1 if it is
# written exactly once; refused => a note that it refuses, or undef; down and up.
package FeathubStreamConformance;

use strict;
use warnings;

use Exporter 'import';
use FeathubTest;
use Test::More;
use Time::HiRes ();

our @EXPORT = qw(stream_node sql patient wait_for check_source check_sinks terminate_workers kill_worker);

my $node;

=pod

=over

=item stream_node(%options)

The server that the checks use, made once.

=item sql($query), patient($query), wait_for($job)

Run a query there; the same, again until the server answers; wait until a job has
applied what its source had.

=cut

sub stream_node
{
	my (%opt) = @_;
	$node = new_node(
		'stream', %opt, jobs => 1, conf => q{
log_statement = none
feathub.scheduler_interval = 300ms
feathub.source_interval = 200ms
feathub.batch_rows = 7
} . ($opt{conf} // ''));
	return $node;
}

sub sql { return $node->safe_psql('postgres', shift); }
sub patient { return patient_query($node, shift); }
sub wait_for { return wait_for_job($node, shift); }

=item terminate_workers($job), kill_worker()

End a job's workers gently (false if there is none); kill one of any job by
SIGKILL, which takes the server's other processes with it.

=cut

sub terminate_workers
{
	my $job = shift;
	return sql("SELECT count(pg_terminate_backend(pid)) FROM feathub.worker WHERE job = '$job' AND pid IS NOT NULL");
}

sub kill_worker
{
	my $pid = eval {
		$node->safe_psql('postgres', q{SELECT pid FROM pg_stat_activity WHERE backend_type = 'feathub worker' ORDER BY random() LIMIT 1});
	};
	return $pid ? kill('KILL', $pid) : 0;
}

sub status { my ($job, $columns) = @_; return sql("SELECT $columns FROM feathub.job_status WHERE job = '$job'"); }

# The n-th row of a source's test: keys come back, times go on.
sub row
{
	my ($n, $note) = @_;
	my $second = $n % 60;
	my $minute = int($n / 60);
	return [ $n % 5, $n, $note // "note $n", sprintf('2024-03-01 10:%02d:%02d', $minute, $second) ];
}

=item check_source(%source)

Order, restarts at every record, kills, an outage, records given twice, several
workers, changes of columns, large and unreadable records, odd times and values,
rewinding, deletions.

=cut

sub check_source
{
	my %source = @_;
	my $name = $source{name};

	subtest "source $name" => sub {
		sql($source{table}->("${name}_source"));
		$source{add}->(map { row($_) } 1 .. 20);
		my $partition = $source{partition} ? "$source{partition} text," : '';
		sql(qq{
			SELECT feathub.create_feature_group('${name}_group', source => '${name}_source', primary_key => '{k}', event_time => 'at' @{[ $source{group} // '' ]});
			CREATE TABLE ${name}_copy (k int, n int, note text, at timestamptz, $partition seen bigserial);
			SELECT feathub.create_job('${name}_copy', source => '${name}_source', sink => '${name}_copy', workers => 3)});
		$source{n} = 20;
		wait_for($_) foreach "${name}_group", "${name}_copy";
		is(sql("SELECT count(*), sum(n), min(at AT TIME ZONE 'UTC') FROM ${name}_group"), '20|210|2024-03-01 10:00:01', 'what was there');
		is(sql("SELECT string_agg(k || ':' || n, ' ' ORDER BY k) FROM ${name}_group_online"), '0:20 1:16 2:17 3:18 4:19', 'the latest of each key');
		is(status("${name}_group", 'records, lag, dead_letters'), '20|0|0', 'counted');

		source_restarts(\%source);
		source_kills(\%source);
		source_outage(\%source);
		source_copy_matches(\%source, 'each record once, in order');
		source_values(\%source);
		source_poison(\%source) if $source{poison};
		source_columns(\%source) if $source{extra};
		source_repeats(\%source);
		sql("SELECT feathub.drop_job('${name}_copy')");
		source_deletions(\%source) if $source{remove};
		sql("SELECT feathub.drop_feature_group('${name}_group')");
	};
	return;
}

sub source_add
{
	my ($source, $count) = @_;
	my $from = $source->{n} + 1;
	$source->{n} += $count;
	$source->{add}->(map { row($_) } $from .. $source->{n});
	return;
}

# Every record that was ever added, in the order of the source.
sub source_copy_matches
{
	my ($source, $what) = @_;
	my $copy = "$source->{name}_copy";
	my $by = $source->{partition} ? "PARTITION BY $source->{partition}" : '';
	wait_for($copy);
	is(sql("SELECT count(*), count(DISTINCT n), max(n), count(*) FILTER (WHERE n < before) FROM (SELECT n, lag(n) OVER ($by ORDER BY seen) AS before FROM $copy) AS c"),
		"$source->{n}|$source->{n}|$source->{n}|0", $what);
	return;
}

sub source_restarts
{
	my $source = shift;
	my $copy = "$source->{name}_copy";

	# a position behind each record, by itself
	foreach my $i (1 .. 8)
	{
		source_add($source, 1);
		wait_for($copy);
		sql("SELECT feathub.restart_job('$copy')");
	}
	# and within what was written together
	sql('ALTER SYSTEM SET feathub.batch_rows = 1');
	sql('SELECT pg_reload_conf()');
	sql("SELECT feathub.restart_job('$copy')");
	source_add($source, 15);
	my $seen = -1;
	poll_until(
		sub {
			my $count = sql("SELECT count(*) FROM $copy");
			# after each step, not so often that there is none
			terminate_workers($copy) if $count != $seen;
			$seen = $count;
			return $count >= $source->{n};
		},
		'all records between restarts');
	source_copy_matches($source, 'restarts at every record lose and repeat nothing');
	sql('ALTER SYSTEM RESET feathub.batch_rows');
	sql('SELECT pg_reload_conf()');
	return;
}

sub source_kills
{
	my $source = shift;
	my $kills = 0;
	foreach my $round (1 .. 4)
	{
		source_add($source, 30);
		Time::HiRes::sleep(rand(0.15));
		$kills += kill_worker();
		patient('SELECT 1');
	}
	note("$kills workers were killed");
	source_copy_matches($source, 'kills lose and repeat nothing');
	return;
}

sub source_outage
{
	my $source = shift;
	my $job = "$source->{name}_copy";
	$source->{down}->();
	if ($source->{told})
	{
		poll_until(sub { status($job, 'last_error') =~ $source->{told} }, 'the outage to be told');
		like(status($job, 'last_error'), $source->{told}, 'an outage is told');
		is(status($job, 'state') =~ /failed/ ? 'failed' : '', '', 'and does not end the job');
	}
	$source->{up}->();
	source_add($source, 10);
	source_copy_matches($source, 'and the job goes on by itself');
	return;
}

sub source_values
{
	my $source = shift;
	my ($group, $copy) = ("$source->{name}_group", "$source->{name}_copy");
	my $large = 'large ' . 'x' x 1_000_000;
	my @rows = (
		[ 100, ++$source->{n}, $large, '2024-03-02 00:00:00' ],
		[ 101, ++$source->{n}, "\x{e4}\x{20ac}\x{1f600}\t\"quoted\" \\back\nline", '2024-03-02 00:00:00.123456' ],
		[ 102, ++$source->{n}, undef, '1971-01-01 00:00:00' ],
		[ 102, ++$source->{n}, '', '2035-12-31 23:59:59.999999' ],
		[ 102, ++$source->{n}, 'back in time', '1999-12-31 23:59:59' ]);
	$source->{add}->(@rows);
	wait_for($_) foreach $group, $copy;
	is(sql("SELECT length(note), md5(note) = md5('large ' || repeat('x', 1000000)) FROM $group WHERE k = 100"), '1000006|t', 'a record of a megabyte');
	is(sql("SELECT note = E'\\u00e4\\u20ac\\U0001f600\\t\"quoted\" \\\\back\\nline', extract(microseconds FROM at) FROM $group WHERE k = 101"),
		't|123456', 'characters and microseconds');
	is(sql("SELECT string_agg(coalesce(note, 'NULL'), ',' ORDER BY at) FROM $group WHERE k = 102"), 'NULL,back in time,',
		'times far away are history in their order');
	is(sql("SELECT note = '', at AT TIME ZONE 'UTC' FROM ${group}_online WHERE k = 102"), 't|2035-12-31 23:59:59.999999', 'and the latest is online');
	return;
}

sub source_poison
{
	my $source = shift;
	my $copy = "$source->{name}_copy";
	$source->{poison}->();
	source_add($source, 1);
	wait_for($copy);
	is(sql("SELECT count(*) FROM feathub.dead_letter WHERE job = '$copy'"), '1', 'an unreadable record is a dead letter');
	is(sql("SELECT count(*) FROM $copy WHERE n = $source->{n}"), '1', 'and the next is read');
	return;
}

sub source_columns
{
	my $source = shift;
	my ($name, $job) = ($source->{name}, "$source->{name}_copy");
	source_add($source, 1);
	$source->{extra}->(row(++$source->{n}), 42);
	sql("ALTER FOREIGN TABLE ${name}_source ADD COLUMN extra int; ALTER TABLE $job ADD COLUMN extra int");
	$source->{extra}->(row(++$source->{n}), 43);
	source_add($source, 1);
	wait_for($job);
	is(sql("SELECT extra FROM $job WHERE n = $source->{n} - 1"), '43', 'a new column is read without a restart');
	is(sql("SELECT count(*) FROM $job WHERE n = $source->{n} AND extra IS NULL"), '1', 'where a record has it');
	return;
}

# The same again: by the clients, and by a rewind.
sub source_repeats
{
	my $source = shift;
	my $group = "$source->{name}_group";
	wait_for($group);
	my $before = sql("SELECT count(*), sum(n), md5(string_agg(n::text, ' ' ORDER BY n, k)) FROM $group");
	my $online = sql("SELECT string_agg(k || ':' || n, ' ' ORDER BY k) FROM ${group}_online");
	if ($source->{repeats})
	{
		$source->{add}->(map { row($_) } 5 .. 9, 3);
		wait_for($group);
		is(sql("SELECT count(*), sum(n), md5(string_agg(n::text, ' ' ORDER BY n, k)) FROM $group"), $before, 'records that come twice are one row');
	}
	sql("SELECT feathub.pause_job('$group'); SELECT feathub.rewind_job('$group', 'earliest'); SELECT feathub.resume_job('$group')");
	wait_for($group);
	is(sql("SELECT count(*), sum(n), md5(string_agg(n::text, ' ' ORDER BY n, k)) FROM $group"), $before, 'a replay changes no history');
	is(sql("SELECT string_agg(k || ':' || n, ' ' ORDER BY k) FROM ${group}_online"), $online, 'and brings nothing older online');
	return;
}

sub source_deletions
{
	my $source = shift;
	my $group = "$source->{name}_group";
	$source->{remove}->(3);
	wait_for($group);
	is(sql("SELECT count(*) FROM ${group}_online WHERE k = 3"), '0', 'a deleted key is not online');
	is(sql("SELECT feathub_deleted FROM $group WHERE k = 3 ORDER BY at DESC LIMIT 1"), 't', 'and its history says so');
	return;
}


# The n-th record of the sinks' topic: its key's records are in one partition.
sub record
{
	my ($n, $note) = @_;
	my $k = $n % 50;
	$note //= "note $n";
	return { key => qq({"k":$k}), value => qq({"k":$k,"n":$n,"note":"$note"}) };
}

=item check_sinks($kafka, @sinks)

One topic goes to all sinks at once through kills of workers, an outage of each
and of Kafka; then for each: restarts at every record, a large record, one that
the sink refuses, deletions, a replay.

=cut

sub check_sinks
{
	my ($kafka, @sinks) = @_;
	my $n = 0;
	my $add = sub { my $from = $n + 1; $n += shift; kafka_produce($kafka, 'records', [ map { record($_) } $from .. $n ]); };

	kafka_create_topic($kafka, 'records', 3, 'max.message.bytes' => 4000000);
	sql(qq{
		CREATE SERVER source FOREIGN DATA WRAPPER feathub_kafka OPTIONS (bootstrap_servers '$kafka->{bootstrap}');
		CREATE FOREIGN TABLE records (k int OPTIONS (key 'true'), n int, note text)
		  SERVER source OPTIONS (topic 'records', format 'json', key_format 'json')});
	foreach my $sink (@sinks)
	{
		sql($sink->{table}->("$sink->{name}_sink"));
		sql("SELECT feathub.create_job('$sink->{name}', source => 'records', sink => '$sink->{name}_sink', workers => 2)");
	}
	my $kills = 0;
	foreach my $sink (@sinks, undef)
	{
		my ($down, $up) = $sink ? @$sink{qw(down up)} : (sub { kafka_kill($kafka) }, sub { kafka_restart($kafka) });
		$add->(150);
		foreach (1 .. 2)
		{
			Time::HiRes::sleep(rand(0.2));
			$kills += kill_worker();
			patient('SELECT 1');
		}
		next unless $down;
		$down->();
		$add->(50) if $sink;
		Time::HiRes::sleep(rand(0.3));
		$up->();
	}
	cmp_ok($kills, '>', 0, "$kills workers were killed");
	wait_for($_->{name}) foreach @sinks;
	sink_matches($_, $n, 'kills and outages') foreach @sinks;
	foreach my $sink (@sinks)
	{
		subtest "sink $sink->{name}" => sub {
			sink_restarts($sink, $add, \$n);
			sink_values($sink, $kafka, \$n);
			sink_deletions($sink, $kafka, \$n) if $sink->{latest};
			sink_replay($sink);
			sql("SELECT feathub.drop_job('$sink->{name}')");
		};
	}
	return;
}

# A sink's rows once there are as many as are due: a topic's readers see what was
# committed a moment later.
sub settled
{
	my ($sink, $enough) = @_;
	my $end = Time::HiRes::time() + 30;
	my @rows;

	do
	{
		@rows = $sink->{rows}->();
		return @rows if $enough->(@rows);
		Time::HiRes::sleep(0.1);
	} while (Time::HiRes::time() < $end);
	return @rows;
}

# All records 1 .. n are there: once, in the order of each key.
sub sink_matches
{
	my ($sink, $n, $what) = @_;
	my $counted = sub { return grep { !/^\d+\|0\|/ } @_ };
	my @rows = $counted->(
		settled($sink, sub {
			my @now = $counted->(@_);
			my %now = map { $_ => 1 } @now;
			return $sink->{latest} ? !grep { (split /\|/)[1] <= $n - 50 } @now : keys %now >= $n;
		}));
	my %rows;

	$rows{$_}++ foreach @rows;
	if ($sink->{latest})
	{
		my @expected = map { my $i = $n - ($n - $_) % 50; "$_|$i|note $i" } 0 .. 49;
		is(join(',', sort @rows), join(',', sort @expected), "$sink->{name}: $what keep the latest of each key");
		return;
	}
	my @expected = map { $_ % 50 . "|$_|note $_" } 1 .. $n;
	is(join(',', grep { !$rows{$_} } @expected), '', "$sink->{name}: $what lose nothing");
	is(join(',', grep { $rows{$_} > 1 } sort keys %rows), '', "$sink->{name}: and repeat nothing") if $sink->{once};
	is(scalar(keys %rows), $n, "$sink->{name}: nothing else is there");
	return;
}

sub sink_restarts
{
	my ($sink, $add, $n) = @_;
	foreach my $i (1 .. 8)
	{
		$add->(1);
		wait_for($sink->{name});
		sql("SELECT feathub.restart_job('$sink->{name}')");
	}
	sql('ALTER SYSTEM SET feathub.batch_rows = 1');
	sql('SELECT pg_reload_conf()');
	sql("SELECT feathub.restart_job('$sink->{name}')");
	$add->(10);
	my $seen = -1;
	poll_until(
		sub {
			my $lag = status($sink->{name}, 'lag');
			terminate_workers($sink->{name}) if $lag != $seen;
			$seen = $lag;
			return $lag == 0;
		},
		'all records between restarts');
	sql('ALTER SYSTEM RESET feathub.batch_rows');
	sql('SELECT pg_reload_conf()');
	wait_for($sink->{name});
	sink_matches($sink, $$n, 'restarts at every record');
	return;
}

sub sink_values
{
	my ($sink, $kafka, $n) = @_;
	my $large = 'large ' . 'x' x 1_000_000;
	my $odd = "101|0|odd \x{e4}\x{20ac}\x{1f600} \"quoted\" \\back";
	my $count = sub {
		my ($row, $wanted) = @_;
		return scalar(grep { $_ eq $row } settled($sink, sub { !defined $wanted || $wanted == grep { $_ eq $row } @_ }));
	};
	wait_for($sink->{name});
	my ($letters, $larges, $odds) = (status($sink->{name}, 'dead_letters'), $count->("100|0|$large"), $count->($odd));
	($larges, $odds) = (0, 0) if $sink->{latest};
	my @odd = ([ 102, $sink->{refused} // 'not odd' ], [ 101, 'odd \u00e4\u20ac\ud83d\ude00 \"quoted\" \\\\back' ]);

	kafka_produce($kafka, 'records', [ { key => '{"k":100}', value => qq({"k":100,"n":0,"note":"$large"}) } ], 'message.max.bytes' => 4000000);
	kafka_produce($kafka, 'records', [ map { { key => qq({"k":$_->[0]}), value => qq({"k":$_->[0],"n":0,"note":"$_->[1]"}) } } @odd ]);
	wait_for($sink->{name});
	is($count->("100|0|$large", $larges + 1), $larges + 1, 'a record of a megabyte');
	is($count->($odd, $odds + 1), $odds + 1, 'characters');
	is(status($sink->{name}, 'dead_letters'), $letters + (defined $sink->{refused} ? 1 : 0), 'what the sink refuses is a dead letter');
	return;
}

sub sink_deletions
{
	my ($sink, $kafka, $n) = @_;
	kafka_produce($kafka, 'records', [ map { { key => qq({"k":$_}) } } 100, 101, 102 ]);
	wait_for($sink->{name});
	is(join(',', grep { /^10[0-2]\|/ } settled($sink, sub { !grep { /^10[0-2]\|/ } @_ })), '', 'deletions');
	sink_matches($sink, $$n, 'and others');
	return;
}

sub sink_replay
{
	my $sink = shift;
	my @before = sort $sink->{rows}->();
	my $before = join("\n", @before);
	sql("SELECT feathub.pause_job('$sink->{name}'); SELECT feathub.rewind_job('$sink->{name}', 'earliest'); SELECT feathub.resume_job('$sink->{name}')");
	wait_for($sink->{name});
	my @after = sort(settled($sink, sub { return $sink->{latest} ? join("\n", sort @_) eq $before : @_ >= 2 * @before }));
	if ($sink->{latest})
	{
		ok(join("\n", @after) eq $before, 'a replay ends in the same state');
	}
	else
	{
		my %seen;
		$seen{$_}++ foreach @after;
		is(join(',', grep { $seen{$_} < 2 } sort keys %seen), '', 'a replay appends again');
	}
	return;
}

=back

=cut

1;
