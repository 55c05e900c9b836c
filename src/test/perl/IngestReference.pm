# IngestReference.pm
#	A stream of records as unkind as real ones, and what must come of it: the
#	tables of a feature group computed in Perl, apart from the extension.
#
#	my $stream = IngestReference->new($kafka, 'clicks', partitions => 4);
#	$stream->create_group($node, 'clicks_kept', deletes => 'true', workers => 2);
#	$stream->produce(1000);             # through one idempotent producer
#	$stream->finish;                    # all are in the topic
#	$stream->check($node, 'clicks_kept', 'after the crash');
#
# Records go to the partition of their entity.  Among them are repeated and late
# ones, several of one event time, tombstones, records that no decoder takes or
# a constraint refuses, without key or without event time, and some beyond any
# retention.  Deletions are met on purpose by rows of the very same time, a
# microsecond earlier and a microsecond later.
#
# The rules that expected() follows are DESIGN's promises 2 and 3: history has
# a row per (key, event time), the last to arrive; the online table has the
# greatest event time, of equals the last to arrive; a deletion lies at the
# record's timestamp, or a microsecond behind the key's latest row.
package IngestReference;

use strict;
use warnings;

use FeathubTest;
use IPC::Open2 ();
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes ();

# a constraint refuses this value
use constant REFUSED => 666;
# an event time older than any retention, in microseconds
use constant ANCIENT => 1_000_000_000_000_000;

sub new
{
	my ($class, $kafka, $topic, %opt) = @_;
	my $self = bless {
		kafka => $kafka,
		topic => $topic,
		partitions => $opt{partitions} || 4,
		keys => $opt{keys} || 60,
		clean => $opt{clean},		# no bad records
		# ms; timestamps grow from here
		time => int(Time::HiRes::time() * 1000) - 86_400_000,
		records => [],				# all that was produced, in order
		counts => [ map { 0 } 1 .. ($opt{partitions} || 4) ],
		# event times of records that a constraint refuses
		refused => int(Time::HiRes::time() - 864_000) * 1_000_000 + 1,
		last => {},					# by key: [event time, n, note] of former records
		deleted => {}				# by key: time of the last deletion
	}, $class;

	kafka_create_topic($kafka, $topic, $self->{partitions}, 'retention.ms' => -1);
	$self->open;
	return $self;
}

# Start the producer; its order survives the broker's death.
sub open
{
	my $self = shift;

	$self->{pid} = IPC::Open2::open2(
		$self->{out}, $self->{in},
		FeathubTest::_kafka_client_program(),
		kafka_bootstrap($self->{kafka}),
		# one request at a time, and no haste: after a time-out of several librdkafka
		# may take a new producer id, whose messages the broker does not recognise
		'enable.idempotence=true', 'max.in.flight=1',
		'linger.ms=5', 'socket.timeout.ms=60000', 'reconnect.backoff.max.ms=500');
	$self->{in}->autoflush(1);
	return;
}

# Wait until all is in the topic; the producer stays open.
sub flush
{
	my $self = shift;

	print { $self->{in} } "flush\n";
	my $answer = readline($self->{out});
	die 'the producer failed' unless defined $answer && $answer eq "flushed\n";
	return;
}

sub finish
{
	my $self = shift;

	$self->flush;
	close $self->{in};
	close $self->{out};
	waitpid($self->{pid}, 0);
	die "the producer failed: $?" if $?;
	return;
}

# Microseconds as the ISO 8601 that records have.
sub _iso
{
	my $us = shift;
	my ($s, $m, $h, $day, $month, $year) = gmtime(int($us / 1_000_000));

	return sprintf('%04d-%02d-%02dT%02d:%02d:%02d.%06dZ',
		$year + 1900, $month + 1, $day, $h, $m, $s, $us % 1_000_000);
}

sub _json
{
	my ($k, $at, $n, $note) = @_;
	my @members;

	push @members, qq("k": "$k") if defined $k;
	push @members, '"at": "' . _iso($at) . '"' if defined $at;
	push @members, qq("n": $n) if defined $n;
	push @members, defined $note ? qq("note": "$note") : '"note": null';
	return '{' . join(', ', @members) . ', "unknown": {"x": [1, 2]}}';
}

# An event time for a key: mostly now, sometimes one that hurts.
sub _event_time
{
	my ($self, $k, $now) = @_;
	my $last = $self->{last}{$k} || [];
	my $p = rand();

	if ($p < 0.10 && defined $self->{deleted}{$k})
	{
		return $self->{deleted}{$k} + int(rand(3)) - 1;
	}
	return $now - int(rand(3_600_000_000)) if $p < 0.20;
	return $last->[ rand @$last ][0] if $p < 0.28 && @$last;
	return $last->[-1][0] + int(rand(3)) - 1 if $p < 0.32 && @$last;
	return ANCIENT + int(rand(1_000_000_000)) if $p < 0.325;
	return $now;
}

# One more record: a hash as kafka_produce knows it, and what it is.
sub _record
{
	my $self = shift;
	my $number = int(rand($self->{keys}));
	my $k = "key$number";
	my %r = (key => $k, partition => $number % $self->{partitions}, timestamp => $self->{time});
	my $now = $self->{time} * 1000;
	my $n = int(rand(600));
	my $note = rand() < 0.1 ? undef : 'note ' . int(rand(1e6));
	my $p = $self->{clean} ? 1 : rand();

	$self->{time} += int(rand(3));
	if ($p < 0.008)		# no JSON, of several kinds
	{
		my @bad = ('{"k": ', 'oops', '', "\xff\xfe", '[1, 2]', qq({"k": "$k", "at": "today", "n": 1}),
			qq({"k": "$k", "at": ") . _iso($now) . '", "n": "abc"}');
		return { %r, value => $bad[ rand @bad ], bad => 'undecodable' };
	}
	if ($p < 0.013)		# no event time
	{
		return { %r, value => _json($k, undef, $n, $note), n => $n, bad => 'null' };
	}
	if ($p < 0.018)		# no key
	{
		return { %r, key => undef, value => _json(undef, $now, $n, $note), n => $n, bad => 'null' };
	}
	if ($p < 0.020)		# a tombstone of nobody
	{
		return { %r, key => undef, value => undef, nobody => 1 };
	}
	if ($p < 0.027)
	{
		# at an event time of its own: of a batch's rows of one event time
		# only the last meets the constraint
		$now = $self->{refused}++;
		return {
			%r,
			value => _json($k, $now, REFUSED, $note),
			k => $k,
			at => $now,
			n => REFUSED,
			note => $note,
			bad => 'refused'
		};
	}
	if ($p < 0.07)
	{
		return { %r, value => undef, k => $k };
	}
	my $last = $self->{last}{$k} || [];
	my $at = $self->_event_time($k, $now);
	if ($p < 0.13 && @$last)		# the same once more
	{
		($at, $n, $note) = @{ $last->[ rand @$last ] };
	}
	push @$last, [ $at, $n, $note ];
	shift @$last if @$last > 20;
	$self->{last}{$k} = $last;
	return {
		%r,
		key => rand() < 0.02 ? undef : $k,
		value => _json($k, $at, $n, $note),
		k => $k,
		at => $at,
		n => $n,
		note => $note
	};
}

# Send $count more records; they are in the topic after flush.
sub produce
{
	my ($self, $count) = @_;
	my @made;

	foreach (1 .. $count)
	{
		my $r = $self->_record;

		$r->{offset} = $self->{counts}[ $r->{partition} ]++;
		$self->_note_deletion($r);
		push @made, $r;
	}
	push @{ $self->{records} }, @made;
	print { $self->{in} }
	  map { join("\t", map { FeathubTest::_escape($_) } @$_) . "\n" }
	  FeathubTest::_produce_commands($self->{topic}, \@made);
	return;
}

# When a key was deleted last, for _event_time; it need not be exact.
sub _note_deletion
{
	my ($self, $r) = @_;

	return if defined $r->{value} || !defined $r->{k};
	$self->{deleted}{ $r->{k} } = $r->{timestamp} * 1000;
	return;
}

# The foreign table over the topic, named as the topic with _stream.
sub create_stream
{
	my ($self, $node, %opt) = @_;
	my $topic = $self->{topic};
	my $server = $opt{server} || 'kafka';
	my $bootstrap = kafka_bootstrap($self->{kafka});

	$node->safe_psql(
		$opt{db} || 'postgres', qq{
CREATE SERVER $server FOREIGN DATA WRAPPER feathub_kafka OPTIONS (bootstrap_servers '$bootstrap');
CREATE FOREIGN TABLE ${topic}_stream (k text OPTIONS (key 'true'), at timestamptz, n int, note text)
  SERVER $server OPTIONS (topic '$topic', format 'json', key_format 'raw');
CREATE FOREIGN TABLE ${topic}_raw (value bytea,
    key bytea OPTIONS (metadata 'key'), partition int OPTIONS (metadata 'partition'),
    "offset" bigint OPTIONS (metadata 'offset'))
  SERVER $server OPTIONS (topic '$topic', format 'raw')});
	return;
}

# What jobs with a query do: some records give no row, and no row is refused.
use constant QUERY => 'SELECT k, at, n + 1000 AS n, note FROM batch WHERE n % 5 <> 0';

# A group over the stream; %opt are arguments of create_feature_group, where
# query => 1 stands for QUERY.  Its constraint is there before its job runs.
sub create_group
{
	my ($self, $node, $group, %opt) = @_;
	my $db = delete $opt{db} || 'postgres';
	$opt{query} = QUERY if $opt{query};
	my $arguments = join('', map { ", $_ => '$opt{$_}'" } sort keys %opt);

	$self->{groups}{$group} = {%opt};
	$node->safe_psql(
		$db, qq{
BEGIN;
SELECT feathub.create_feature_group('$group', source => '$self->{topic}_stream', primary_key => '{k}',
  event_time => 'at'$arguments);
ALTER TABLE $group ADD CHECK (n <> ${\ REFUSED});
COMMIT});
	return;
}

# What a group must hold after all records: a hash of sorted lists of lines and
# counters.
sub expected
{
	my ($self, $group) = @_;
	my $opt = $self->{groups}{$group};
	my $deletes = ($opt->{deletes} || '') eq 'true';
	my (%history, %online, %tombstone, %latest, @dead);
	my %count = (records => 0, skipped => 0, expired => 0);

	foreach my $r (@{ $self->{records} })
	{
		my ($k, $at, $n) = ($r->{k}, $r->{at}, $r->{n});
		my $bad = $r->{bad} || ($r->{nobody} && $deletes);

		$count{records}++;
		if ($opt->{query} && defined $n)
		{
			if ($n % 5 == 0)
			{
				$count{skipped}++;
				next;
			}
			$n += 1000;
			$bad = 0 if $bad eq 'refused';
		}
		if ($bad)
		{
			push @dead, join('|', "$self->{topic}-$r->{partition}", $r->{offset},
				_hex($r->{key}), _hex($r->{value}));
			next;
		}
		if (!defined $r->{value} && !$deletes)
		{
			$count{skipped}++;
			next;
		}
		if (!defined $r->{value})
		{
			$at = $r->{timestamp} * 1000;
			$at = $latest{$k} + 1 if defined $latest{$k} && $at <= $latest{$k};
			$history{$k}{$at} = [ undef, undef, 't' ];
			$latest{$k} = $at;
			$tombstone{$k} = $at if !defined $tombstone{$k} || $at > $tombstone{$k};
			delete $online{$k} if $online{$k} && $online{$k}[0] <= $at;
			next;
		}
		if ($opt->{retention} && $at < ANCIENT + 1_000_000_000)
		{
			$count{expired}++;
			next;
		}
		$history{$k}{$at} = [ $n, $r->{note}, 'f' ];
		$latest{$k} = $at if !defined $latest{$k} || $at > $latest{$k};
		next if defined $tombstone{$k} && $tombstone{$k} >= $at;
		$online{$k} = [ $at, $n, $r->{note} ] if !$online{$k} || $at >= $online{$k}[0];
	}
	$count{dead_letters} = @dead;
	return {
		count => \%count,
		dead => [ sort @dead ],
		online => [ sort map { _line($_, @{ $online{$_} }) } keys %online ],
		offline => [
			sort map {
				my $k = $_;
				map {
					my ($n, $note, $deleted) = @{ $history{$k}{$_} };
					_line($k, $_, $n, $note, $deletes ? $deleted : ())
				} keys %{ $history{$k} }
			} keys %history
		],
		tombstone => [ sort map { "$_|$tombstone{$_}" } keys %tombstone ]
	};
}

sub _hex { my $bytes = shift; return defined $bytes ? unpack('H*', $bytes) : '~'; }
sub _line { return join('|', map { defined $_ ? $_ : '~' } @_); }

# The same lists, read from the database.
sub found
{
	my ($self, $node, $group, $db) = @_;
	my $deletes = ($self->{groups}{$group}{deletes} || '') eq 'true';
	my $us = '(extract(epoch FROM %s) * 1000000)::bigint';
	my $columns = 'k, ' . sprintf($us, 'at') . ", coalesce(n::text, '~'), coalesce(note, '~')";
	my %query = (
		online => "SELECT $columns FROM ${group}_online",
		offline => "SELECT $columns" . ($deletes ? ', feathub_deleted' : '') . " FROM $group",
		dead => "SELECT partition, sequence, coalesce(encode(key, 'hex'), '~'), coalesce(encode(value, 'hex'), '~')"
		  . " FROM feathub.dead_letter WHERE job = '$group'"
	);
	$query{tombstone} = 'SELECT k, ' . sprintf($us, 'deleted_at') . " FROM ${group}_tombstone"
	  if $deletes;
	return {
		map {
			$_ => $query{$_}
			  ? [ sort split /\n/, $node->safe_psql($db || 'postgres', $query{$_}) ]
			  : []
		} qw(online offline tombstone dead)
	};
}

# Two sorted lists are equal; if not, show where they differ.
sub _same
{
	my ($have, $want, $what) = @_;
	my (%have, %want);

	return pass("$what: " . scalar(@$want) . ' rows')
	  if join("\n", @$have) eq join("\n", @$want);
	$have{$_}++ foreach @$have;
	$want{$_}++ foreach @$want;
	my @missing = grep { !$have{$_} } @$want;
	my @extra = grep { !$want{$_} || $have{$_} > $want{$_} } @$have;
	fail("$what: " . scalar(@$have) . ' rows, expected ' . scalar(@$want));
	diag("missing: $_") foreach grep { defined } @missing[ 0 .. 9 ];
	diag("not expected: $_") foreach grep { defined } @extra[ 0 .. 9 ];
	diag(scalar(@missing) . ' missing, ' . scalar(@extra) . ' not expected');
	return 0;
}

# Compare a group's tables, dead letters and counters with the reference.
# counters => 0 leaves the counters out (after a rewind they count twice),
# dead => 0 the dead letters.
sub check
{
	my ($self, $node, $group, $what, %opt) = @_;
	my $db = $opt{db} || 'postgres';
	my $want = $self->expected($group);
	my $have = $self->found($node, $group, $db);

	_same($have->{$_}, $want->{$_}, "$group $what: $_") foreach qw(offline online tombstone);
	_same($have->{dead}, $want->{dead}, "$group $what: dead letters")
	  unless defined $opt{dead} && !$opt{dead};
	return if defined $opt{counters} && !$opt{counters};

	my $count = $want->{count};
	is( $node->safe_psql(
			$db,
			"SELECT records, dead_letters, skipped, expired FROM feathub.job_status WHERE job = '$group'"),
		join('|', @$count{qw(records dead_letters skipped expired)}),
		"$group $what: counters");
	is( $node->safe_psql(
			$db,
			"SELECT records - (applied + duplicates + dead_letters + skipped + expired) FROM feathub.job_status WHERE job = '$group'"
		),
		'0',
		"$group $what: every record is accounted for");
	return;
}

# The topic holds what was produced, each record once and in order: without
# that the reference says nothing.
sub check_topic
{
	my ($self, $node, $db) = @_;
	my @want = sort map {
		join('|', $_->{partition}, $_->{offset}, _hex($_->{key}), _hex($_->{value}))
	} @{ $self->{records} };
	my @have = sort split /\n/, $node->safe_psql(
		$db || 'postgres',
		"SELECT partition, \"offset\", coalesce(encode(key, 'hex'), '~'), coalesce(encode(value, 'hex'), '~')"
		  . " FROM $self->{topic}_raw");

	return _same(\@have, \@want, "topic $self->{topic}");
}

1;
