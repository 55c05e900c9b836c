# FeathubTest.pm
#	What the TAP tests of feathub share: nodes with the extension preloaded, a
#	real Apache Kafka, and waiting for conditions.
#
#	use FeathubTest;
#
#	my $kafka = kafka_start();              # skips the file if there is no Kafka
#	kafka_create_topic($kafka, 'clicks', 6);
#	kafka_produce($kafka, 'clicks', [ { key => 'a', value => '{"a":1}' } ]);
#	my $node = new_node('main');            # running, extension created
#	poll_until(sub { $node->safe_psql('postgres', '...') eq '10' }, 'ten rows');
#
# Tests run as an ordinary user, in the folder with src/, by make test, which
# sets the environment that is read here.  Whatever a test starts is stopped
# when it ends, however it ends.
package FeathubTest;

use strict;
use warnings;

use Cwd ();
use Exporter 'import';
use File::Basename ();
use File::Temp ();
use IO::Socket::INET;
use IPC::Run ();
use POSIX ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes ();

our @EXPORT = qw(
  new_node
  poll_until
  poll_query
  patient_query
  wait_for_job
  free_port
  pause_process
  random_seed
  conformance_file
  kafka_start
  kafka_stop
  kafka_kill
  kafka_restart
  kafka_pause
  kafka_continue
  kafka_bootstrap
  kafka_create_topic
  kafka_delete_topic
  kafka_add_partitions
  kafka_delete_records
  kafka_produce
  kafka_transaction
  kafka_client
  kafka_watermarks
  kafka_committed
  kafka_tool
);

my $source = Cwd::abs_path(
	File::Basename::dirname(File::Basename::dirname(File::Basename::dirname(
				File::Basename::dirname(Cwd::abs_path(__FILE__))))));
my $kafka_sh = $ENV{FEATHUB_KAFKA} || "$source/src/test/bin/kafka.sh";
my @brokers;					# all that kafka_start made, for END

=pod

=head2 Nodes

=over

=item new_node($name, %options)

A running PostgreSQL::Test::Cluster with feathub preloaded, 32 worker slots and
the extension created in database postgres.  Options: conf => 'lines of
postgresql.conf', broker => 'topic:partitions, ...' (the embedded broker, off
otherwise), jobs => 1 (jobs that look, and try again, soon; the server stands up
again after a crash), init => [arguments of init], extension => 0, start => 0.

=cut

sub new_node
{
	my ($name, %opt) = @_;
	my $node = PostgreSQL::Test::Cluster->new($name);

	# the server's programs; the tests' working folder may be elsewhere
	$node->init(@{ $opt{init} || [] });
	$node->append_conf(
		'postgresql.conf', q{
shared_preload_libraries = 'feathub'
max_worker_processes = 32
max_connections = 60
fsync = off
autovacuum_naptime = 1min
log_min_messages = log
log_line_prefix = '%m [%p] %b %q%a '
});
	if (defined $opt{broker})
	{
		$node->append_conf('postgresql.conf',
			"feathub.embedded_broker = on\n"
			  . "feathub.embedded_broker_topics = '$opt{broker}'\n");
	}
	$node->append_conf(
		'postgresql.conf', q{
log_min_messages = warning
restart_after_crash = on
feathub.retry_delay = 50ms
feathub.retry_delay_max = 300ms
feathub.scheduler_interval = 500ms
feathub.source_interval = 300ms
}) if $opt{jobs};
	$node->append_conf('postgresql.conf', $opt{conf}) if defined $opt{conf};
	return $node if defined $opt{start} && !$opt{start};
	$node->start;
	$node->safe_psql('postgres', 'CREATE EXTENSION feathub')
	  unless defined $opt{extension} && !$opt{extension};
	return $node;
}

=item poll_until($condition, $what, $seconds)

Call $condition every 50 ms until it returns true; after $seconds (180) the
test fails and false is returned.  An exception in it counts as false.

=cut

sub poll_until
{
	my ($condition, $what, $seconds) = @_;
	my $end = Time::HiRes::time() +
	  ($seconds || $PostgreSQL::Test::Utils::timeout_default || 180);

	while (1)
	{
		my $true = eval { $condition->() };
		return 1 if $true;
		last if Time::HiRes::time() > $end;
		Time::HiRes::sleep(0.05);
	}
	diag("timed out waiting for " . ($what || 'a condition') . ($@ ? ": $@" : ''));
	fail("waiting for " . ($what || 'a condition'));
	return 0;
}

=item poll_query($node, $query, $expected, $what, $seconds)

Wait until a query returns $expected ('t').  Unlike poll_query_until of the
cluster it ends in a failed test that shows the last answer.

=cut

sub poll_query
{
	my ($node, $query, $expected, $what, $seconds) = @_;
	my $last = '';

	$expected = 't' unless defined $expected;
	my $end = Time::HiRes::time() +
	  ($seconds || $PostgreSQL::Test::Utils::timeout_default || 180);
	while (1)
	{
		# where the server goes down, psql may end before it has read the query
		my ($status, $out, $err) = eval { $node->psql('postgres', $query) };
		$err = $@ if $@;
		$last = defined $status && $status == 0 ? $out : "error: " . ($err || '');
		return 1 if $last eq $expected;
		last if Time::HiRes::time() > $end;
		Time::HiRes::sleep(0.1);
	}
	diag("last answer to $query\n$last\nexpected $expected");
	fail('waiting for ' . ($what || $query));
	return 0;
}

=item patient_query($node, $query)

The answer to a query, once the server gives one: after a crash it needs a moment.

=item wait_for_job($node, $job)

Wait until a job has applied what its source has now, though the server or the
source go down meanwhile; a job that does not is a failed test that shows why.

=cut

sub patient_query
{
	my ($node, $query) = @_;
	my $out;

	poll_until(sub { $out = eval { $node->safe_psql('postgres', $query) }; defined $out }, 'the server answers');
	return $out;
}

sub wait_for_job
{
	my ($node, $job) = @_;
	my $last = '';

	return 1 if poll_until(
		sub {
			return 1 if eval { $node->safe_psql('postgres', "SELECT feathub.wait_for_job('$job', '20 s')"); 1 };
			$last = $@;
			return 0;
		},
		"job $job has caught up");
	diag($last, $node->safe_psql('postgres', "SELECT concat_ws(' ', state, reason, last_error) FROM feathub.job_status WHERE job = '$job'"));
	return 0;
}

=item free_port($count)

The first of $count (1) ports in a row on which nothing listens.

=cut

sub free_port
{
	my $count = shift || 1;

  TRY:
	while (1)
	{
		my $port = 10000 + int(rand(20000));
		foreach my $p ($port .. $port + $count - 1)
		{
			my $socket = IO::Socket::INET->new(
				LocalAddr => '127.0.0.1',
				LocalPort => $p,
				Proto => 'tcp',
				Listen => 1) or next TRY;
			close $socket;
		}
		return $port;
	}
}

=item pause_process($pid)

SIGSTOP, and wait until all of the process's threads stand still: some may go
on for a moment.

=cut

sub pause_process
{
	my $pid = shift;

	kill 'STOP', $pid;
	poll_until(
		sub {
			foreach my $file (glob "/proc/$pid/task/*/stat")
			{
				my $stat = eval { slurp_file($file) } // next;
				return 0 unless $stat =~ /\) [TZX]/;
			}
			return 1;
		},
		"process $pid to stand still");
	return;
}

=item random_seed()

Seed rand() from the environment's FEATHUB_SEED, or anew, and say which seed it
was, so that a failed run can be repeated.

=cut

sub random_seed
{
	my $seed = $ENV{FEATHUB_SEED} || int(Time::HiRes::time() * 1000) % 1000000;

	srand($seed);
	note("FEATHUB_SEED=$seed");
	return $seed;
}

=item conformance_file($name)

Path of a file of the conformance folder, or skip the rest of the test file.

=cut

sub conformance_file
{
	my $name = shift;
	my $file = ($ENV{FEATHUB_CONFORMANCE} || "$source/../shared/conformance") . "/$name";

	plan(skip_all => "no conformance file $name") unless -r $file;
	return $file;
}

=back

=head2 Apache Kafka

=over

=item kafka_start(%options)

A real broker on a free port of 127.0.0.1, running when this returns; the
handle goes to the functions below.  Options: sasl => 1, ssl => 1, saslssl => 1,
mtls => 1 open further listeners; properties => { name => value } go to
server.properties; optional => 1 returns nothing instead of skipping the file
where Kafka is not to be had.

Listeners: $kafka->{bootstrap}, $kafka->{sasl}, {ssl}, {saslssl}, {mtls} are
host:port; user alice, password alice-secret; the CA is $kafka->{ca}, a client's
certificate and key are $kafka->{cert} and $kafka->{key}.

=cut

sub kafka_start
{
	my %opt = @_;

	# a download here would have no cache to write to: make test fetched it
	my $reason;
	my ($out, $err) = ('', '');
	if (!eval { IPC::Run::run([ $kafka_sh, 'get' ], '<', \undef, '>', \$out, '2>', \$err) })
	{
		$reason = $err || $@ || 'no Apache Kafka';
		chomp $reason;
	}
	if ($reason)
	{
		return undef if $opt{optional};
		plan(skip_all => "no Apache Kafka: $reason");
	}

	my $dir = File::Temp::tempdir('kafka_XXXXXX',
		DIR => $ENV{TESTDIR} || File::Spec->tmpdir);
	my $kafka = { dir => "$dir/broker", tempdir => $dir, pid => $$ };

	# someone else may take a port between our look and the start
	foreach my $try (1 .. 3)
	{
		my $port = free_port(6);
		my @args = ();
		my $i = 2;

		$kafka->{port} = $port;
		$kafka->{bootstrap} = "127.0.0.1:$port";
		foreach my $listener (qw(sasl ssl saslssl mtls))
		{
			my $p = $port + $i++;
			next unless $opt{$listener};
			$kafka->{$listener} = "127.0.0.1:$p";
			push @args, "$listener=$p";
		}
		foreach my $name (sort keys %{ $opt{properties} || {} })
		{
			push @args, "$name=$opt{properties}{$name}";
		}
		$kafka->{args} = \@args;
		push @brokers, $kafka if $try == 1;
		last if _kafka_up($kafka);
		system($kafka_sh, 'down', $kafka->{dir}, '--rm');
		BAIL_OUT("could not start Apache Kafka") if $try == 3;
	}
	$kafka->{ca} = "$kafka->{dir}/ssl/ca.pem";
	$kafka->{cert} = "$kafka->{dir}/ssl/client.pem";
	$kafka->{key} = "$kafka->{dir}/ssl/client.key";
	return $kafka;
}

sub _kafka_up
{
	my $kafka = shift;
	my ($out, $err) = ('', '');

	# to files: the broker must not hold a pipe of ours
	my $log = "$kafka->{tempdir}/up.log";
	my $status = system('bash', '-c', 'exec "$@" </dev/null >"$0" 2>&1', $log,
		$kafka_sh, 'up', $kafka->{dir}, $kafka->{port}, @{ $kafka->{args} });
	diag(slurp_file($log)) if $status;
	return $status == 0;
}

=item kafka_stop($kafka), kafka_kill($kafka), kafka_restart($kafka)

Clean shutdown; kill -9; and start again in the same place with the same data
(after either, or while it runs: then with a clean shutdown first).

=cut

sub kafka_stop
{
	my $kafka = shift;
	system($kafka_sh, 'down', $kafka->{dir}) == 0 or die "could not stop Apache Kafka";
	return;
}

sub kafka_kill
{
	my $kafka = shift;
	system($kafka_sh, 'down', $kafka->{dir}, '--kill') == 0 or die "could not kill Apache Kafka";
	return;
}

sub kafka_restart
{
	my $kafka = shift;
	kafka_stop($kafka);
	_kafka_up($kafka) or die "could not restart Apache Kafka";
	return;
}

=item kafka_pause($kafka), kafka_continue($kafka)

SIGSTOP and SIGCONT: a broker that accepts connections and never answers.

=cut

sub kafka_pause    { pause_process(_kafka_pid(shift)); return; }
sub kafka_continue { kill 'CONT', _kafka_pid(shift); return; }

sub _kafka_pid
{
	my $pid = slurp_file(shift->{dir} . '/kafka.pid');
	chomp $pid;
	return $pid;
}

# "host:port" of a handle, or the string itself (the embedded broker's address)
sub kafka_bootstrap
{
	my $kafka = shift;
	return ref $kafka ? $kafka->{bootstrap} : $kafka;
}

=item kafka_client($kafka, \@commands, %properties)

Run commands of kafka_client (see src/test/bin/test_kafka_client.c), each an array of
fields where undef is NULL, with librdkafka properties.  $kafka is a handle or
"host:port".  Returns what it printed; dies if a command fails.

=cut

sub _kafka_client_program
{
	return $ENV{FEATHUB_KAFKA_CLIENT} if $ENV{FEATHUB_KAFKA_CLIENT};
	my $program = "$PostgreSQL::Test::Utils::tmp_check/kafka_client";
	if (!-x $program)
	{
		my $libs = `pkg-config --cflags --libs rdkafka`;
		chomp $libs;
		system("gcc -O1 -o '$program' '$source/src/test/bin/test_kafka_client.c' $libs") == 0
		  or die "could not compile kafka_client";
	}
	return $program;
}

sub _escape
{
	my $field = shift;

	return '\N' unless defined $field;
	$field =~ s/([^ -\[\]-~])/sprintf('\x%02x', ord $1)/ge if $field !~ /[^\x00-\xff]/;
	if ($field =~ /[^\x00-\xff]/)
	{
		utf8::encode($field);
		$field =~ s/([^ -\[\]-~])/sprintf('\x%02x', ord $1)/ge;
	}
	return $field;
}

sub kafka_client
{
	my ($kafka, $commands, %properties) = @_;
	my $input = join('', map { join("\t", map { _escape($_) } @$_) . "\n" } @$commands);
	my ($out, $err) = ('', '');
	my @properties = map { "$_=$properties{$_}" } sort keys %properties;

	IPC::Run::run([ _kafka_client_program(), kafka_bootstrap($kafka), @properties ],
		'<', \$input, '>', \$out, '2>', \$err)
	  or die "kafka_client failed: $err";
	return $out;
}

=item kafka_create_topic($kafka, $topic, $partitions, %config)

=item kafka_delete_topic($kafka, $topic)

=item kafka_add_partitions($kafka, $topic, $new_total)

=item kafka_delete_records($kafka, $topic, $partition, $offset)

Records before $offset go, as by retention.

=cut

sub kafka_create_topic
{
	my ($kafka, $topic, $partitions, %config) = @_;
	my @config = map { "$_=$config{$_}" } sort keys %config;

	kafka_client($kafka, [ [ 'create', $topic, $partitions || 1, @config ] ]);
	# metadata may lag behind the answer
	poll_until(
		sub {
			my @marks = kafka_watermarks($kafka, $topic);
			return @marks == ($partitions || 1);
		},
		"topic $topic");
	return;
}

sub kafka_delete_topic
{
	my ($kafka, $topic) = @_;
	kafka_client($kafka, [ [ 'delete', $topic ] ]);
	# the broker deletes a moment later
	poll_until(sub { !eval { kafka_watermarks($kafka, $topic); 1 } },
		"topic $topic to go");
	return;
}

sub kafka_add_partitions
{
	my ($kafka, $topic, $total) = @_;
	kafka_client($kafka, [ [ 'partitions', $topic, $total ] ]);
	return;
}

sub kafka_delete_records
{
	my ($kafka, $topic, $partition, $offset) = @_;
	kafka_client($kafka, [ [ 'delete_records', $topic, $partition, $offset ] ]);
	return;
}

=item kafka_produce($kafka, $topic, \@records, %properties)

Each record is a string (the value) or a hash: key, value, partition (-1: by the
key), timestamp (ms), headers (a hash or an array of "name=value").  A missing
key or value is NULL.  Returns when all are acknowledged.

=cut

sub _produce_commands
{
	my ($topic, $records) = @_;
	my @commands;

	foreach my $r (@$records)
	{
		my %r = ref $r ? %$r : (value => $r);
		my $h = $r{headers} || [];
		my @headers = ref $h eq 'HASH'
		  ? map { defined $h->{$_} ? "$_=$h->{$_}" : $_ } sort keys %$h
		  : @$h;
		push @commands,
		  [ 'produce', $topic, defined $r{partition} ? $r{partition} : -1,
			$r{key}, $r{value}, $r{timestamp} || 0, @headers ];
	}
	return @commands;
}

sub kafka_produce
{
	my ($kafka, $topic, $records, %properties) = @_;
	kafka_client($kafka, [ _produce_commands($topic, $records) ], %properties);
	return;
}

=item kafka_transaction($kafka, $topic, \@records, $end, %properties)

Produce in a transaction and end it: 'commit', 'abort', or 'open' (the producer
goes away and leaves it open).

=cut

sub kafka_transaction
{
	my ($kafka, $topic, $records, $end, %properties) = @_;
	$properties{'transactional.id'} = "feathub-test-$$-" . int(rand(1e9))
	  unless $properties{'transactional.id'};
	kafka_client(
		$kafka,
		[
			['begin'],
			_produce_commands($topic, $records),
			$end eq 'open' ? ['flush'] : [$end]
		],
		%properties);
	return;
}

=item kafka_watermarks($kafka, $topic)

One [low, high] per partition, in order.

=item kafka_committed($kafka, $group, $topic)

The offsets a consumer group has committed, in order of the partitions; -1001
for none.

=cut

sub kafka_watermarks
{
	my ($kafka, $topic) = @_;
	my @marks;

	foreach (split /\n/, kafka_client($kafka, [ [ 'watermarks', $topic ] ]))
	{
		my ($partition, $low, $high) = split / /;
		$marks[$partition] = [ $low, $high ];
	}
	return @marks;
}

sub kafka_committed
{
	my ($kafka, $group, $topic) = @_;
	my @offsets;

	foreach (split /\n/, kafka_client($kafka, [ [ 'committed', $group, $topic ] ]))
	{
		my ($partition, $offset) = split / /;
		$offsets[$partition] = $offset;
	}
	return @offsets;
}

=item kafka_tool($kafka, $tool, @arguments)

One of Kafka's own command line tools (two to three seconds a call).  Returns
its output; dies if it fails.

=cut

sub kafka_tool
{
	my ($kafka, $tool, @args) = @_;
	my ($out, $err) = ('', '');

	IPC::Run::run([ $kafka_sh, 'tool', $tool, '--bootstrap-server', kafka_bootstrap($kafka), @args ],
		'<', \undef, '>', \$out, '2>', \$err)
	  or die "kafka tool $tool failed: $out$err";
	return $out;
}

=back

=cut

END
{
	# take care not to change the exit status
	my $status = $?;

	foreach my $kafka (@brokers)
	{
		next if $kafka->{pid} != $$;
		# no need to be gentle: its data go with it
		my $pid = eval { _kafka_pid($kafka) };
		kill 'CONT', $pid if $pid;
		system($kafka_sh, 'down', $kafka->{dir}, '--kill', '--rm');
		system("rm", "-rf", $kafka->{tempdir})
		  if $kafka->{tempdir} && -d $kafka->{tempdir};
	}
	$? = $status;
}

1;
