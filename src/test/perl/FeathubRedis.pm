# FeathubRedis.pm
#	Real Redis servers for the TAP tests, from the Debian package redis-server:
#	alone, with TLS and access control lists, a cluster, a master with sentinels.
#
#	use FeathubRedis;
#
#	my $redis = redis_start(tls => 1);        # skips the file if there is none
#	redis_cli($redis, 'SET', 'a', '1');
#	my $cluster = redis_start_cluster();
#	my $sentinel = redis_start_sentinel();
#
# They listen on free ports of 127.0.0.1 and are stopped when the test ends.
package FeathubRedis;

use strict;
use warnings;

use Exporter 'import';
use FeathubTest;
use File::Temp ();
use IPC::Run ();
use PostgreSQL::Test::Utils;
use Test::More;

our @EXPORT = qw(
  redis_start
  redis_start_cluster
  redis_start_sentinel
  redis_cli
  redis_pipe
  redis_stop
  redis_up
  redis_kill
  redis_pause
  redis_continue
);

my @servers;					# all processes' handles, for END

sub _run
{
	my ($command, $what) = @_;
	my ($out, $err) = ('', '');

	IPC::Run::run($command, '<', \undef, '>', \$out, '2>', \$err)
	  or die "$what failed: $out$err";
	return $out;
}

sub _need
{
	foreach my $program (qw(redis-server redis-cli))
	{
		plan(skip_all => "no $program: install the package redis-server")
		  if !grep { -x "$_/$program" } split /:/, $ENV{PATH};
	}
	return;
}

sub _dir
{
	return File::Temp::tempdir('redis_XXXXXX', DIR => $ENV{TESTDIR} || File::Spec->tmpdir, CLEANUP => 1);
}

=pod

=over

=item redis_start(tls => 1, options => [ '--...' ])

A server: {port}, {socket} and, with tls, {tls_port}, {ca}, {wrong_ca}, {cert},
{key}.

=cut

sub redis_start
{
	my %opt = @_;

	_need();
	my $dir = _dir();
	my $port = free_port(2);
	my $server = {
		dir => $dir, port => $port, socket => "$dir/redis.sock", pid => $$,
		options => [ '--unixsocket', "$dir/redis.sock", @{ $opt{options} || [] } ] };

	if ($opt{tls})
	{
		$server->{tls_port} = $port + 1;
		_make_certificates($server);
		push @{ $server->{options} }, '--tls-port', $port + 1, '--tls-cert-file', "$dir/server.pem",
		  '--tls-key-file', "$dir/server.key", '--tls-ca-cert-file', "$dir/ca.pem",
		  '--tls-auth-clients', 'optional';
	}
	redis_up($server);
	push @servers, $server;
	return $server;
}

sub _make_certificates
{
	my $server = shift;
	my $dir = $server->{dir};

	foreach my $name ('ca', 'wrong_ca')
	{
		_run([ qw(openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj), "/CN=feathub test $name",
				'-keyout', "$dir/$name.key", '-out', "$dir/$name.pem" ], 'openssl');
		$server->{$name} = "$dir/$name.pem";
	}
	open my $ext, '>', "$dir/names" or die $!;
	print $ext "subjectAltName=DNS:localhost\n";
	close $ext;
	foreach my $name ('server', 'client')
	{
		_run([ qw(openssl req -newkey rsa:2048 -nodes -subj), "/CN=$name",
				'-keyout', "$dir/$name.key", '-out', "$dir/$name.csr" ], 'openssl');
		_run([ qw(openssl x509 -req -days 2 -set_serial 1 -in), "$dir/$name.csr", '-CA', "$dir/ca.pem",
				'-CAkey', "$dir/ca.key", '-extfile', "$dir/names", '-out', "$dir/$name.pem" ],
			'openssl');
	}
	$server->{cert} = "$dir/client.pem";
	$server->{key} = "$dir/client.key";
	chmod 0600, "$dir/client.key";
	return;
}

=item redis_start_cluster()

Three masters: {nodes} are their handles, {list} is host:port of all.

=cut

sub redis_start_cluster
{
	_need();
	my $port = free_port(6);
	my @nodes;

	foreach my $i (0 .. 2)
	{
		my $node = {
			dir => _dir(), port => $port + $i, pid => $$,
			options => [
				'--cluster-enabled', 'yes', '--cluster-config-file', 'nodes.conf',
				'--cluster-node-timeout', '2000', '--cluster-port', $port + 3 + $i ] };

		redis_up($node);
		push @servers, $node;
		push @nodes, $node;
	}
	my @list = map { "127.0.0.1:$_->{port}" } @nodes;
	_run([ 'redis-cli', '--cluster', 'create', @list, '--cluster-replicas', '0', '--cluster-yes' ],
		'making the cluster');
	foreach my $node (@nodes)
	{
		poll_until(sub { redis_cli($node, 'CLUSTER', 'INFO') =~ /cluster_state:ok/ }, 'the cluster');
	}
	return { nodes => \@nodes, list => join(',', @list) };
}

=item redis_start_sentinel()

A master, a replica and three sentinels: {master}, {replica}, {sentinels} are
handles, {list} is host:port of the sentinels; the master's name is "main".

=cut

sub redis_start_sentinel
{
	_need();
	my $port = free_port(5);
	my %set = (sentinels => []);

	$set{master} = { dir => _dir(), port => $port, pid => $$, options => [] };
	$set{replica} = {
		dir => _dir(), port => $port + 1, pid => $$,
		options => [ '--replicaof', "127.0.0.1 $port" ] };
	foreach my $server ($set{master}, $set{replica})
	{
		redis_up($server);
		push @servers, $server;
	}
	foreach my $i (2 .. 4)
	{
		my $sentinel = { dir => _dir(), port => $port + $i, pid => $$, sentinel => 1 };

		PostgreSQL::Test::Utils::append_to_file("$sentinel->{dir}/sentinel.conf", qq{
bind 127.0.0.1
sentinel monitor main 127.0.0.1 $port 2
sentinel down-after-milliseconds main 1000
sentinel failover-timeout main 3000
});
		redis_up($sentinel);
		push @servers, $sentinel;
		push @{ $set{sentinels} }, $sentinel;
	}
	foreach my $sentinel (@{ $set{sentinels} })
	{
		poll_until(
			sub {
				my %m = split /\n/, redis_cli($sentinel, 'SENTINEL', 'MASTER', 'main');
				return $m{'num-slaves'} == 1 && $m{'num-other-sentinels'} == 2;
			},
			'the sentinels to know each other');
	}
	$set{list} = join(',', map { "127.0.0.1:$_->{port}" } @{ $set{sentinels} });
	return \%set;
}

=item redis_up($server), redis_stop($server), redis_kill($server)

Start a server in its folder (again, with its data if it was stopped cleanly);
stop it; kill -9.

=cut

sub redis_up
{
	my $server = shift;
	my @program = $server->{sentinel}
	  ? ('redis-server', "$server->{dir}/sentinel.conf", '--sentinel')
	  : ('redis-server', '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no',
		'--protected-mode', 'no', @{ $server->{options} });

	$server->{log} = "$server->{dir}/log";
	my $status = system('bash', '-c', 'exec "$@" </dev/null >"$0" 2>&1', "$server->{dir}/start", @program,
		'--port', $server->{port}, '--dir', $server->{dir}, '--daemonize', 'yes',
		'--pidfile', "$server->{dir}/pid", '--logfile', $server->{log});
	die 'could not start redis-server: ' . slurp_file("$server->{dir}/start") if $status;
	poll_until(sub { redis_cli($server, 'PING') =~ /PONG|NOAUTH/ }, 'redis-server');
	return;
}

sub _pid
{
	my $pid = slurp_file(shift->{dir} . '/pid');
	chomp $pid;
	return $pid;
}

sub _gone
{
	my ($server, $pid) = @_;
	# a daemon is nobody's child here: where process 1 waits for none, it stays as a zombie
	poll_until(sub { !kill(0, $pid) || slurp_file("/proc/$pid/stat") =~ /.*\) [ZX]/s }, 'redis-server to end');
	unlink "$server->{dir}/pid";
	return;
}

sub redis_stop
{
	my $server = shift;
	my $pid = _pid($server);
	eval { redis_cli($server, 'SAVE'); redis_cli($server, 'SHUTDOWN', 'SAVE'); };
	kill 'TERM', $pid;
	_gone($server, $pid);
	return;
}

sub redis_kill
{
	my $server = shift;
	my $pid = _pid($server);
	kill 'KILL', $pid;
	_gone($server, $pid);
	return;
}

=item redis_pause($server), redis_continue($server)

SIGSTOP and SIGCONT: a server that takes connections and never answers.

=cut

sub redis_pause    { pause_process(_pid(shift)); return; }
sub redis_continue { kill 'CONT', _pid(shift); return; }

=item redis_cli($server, @words)

A command by redis-cli; its output without the last line end.  With {password}
in the handle as that user.

=item redis_pipe($server, $commands)

Commands, one a line, in one go.

=cut

sub redis_cli
{
	my ($server, @words) = @_;
	my @auth = $server->{password} ? ('--no-auth-warning', '-a', $server->{password}) : ();
	my $out = _run([ 'redis-cli', @auth, '-p', $server->{port}, @words ], "redis-cli @words");

	chomp $out;
	return $out;
}

sub redis_pipe
{
	my ($server, $commands) = @_;
	my ($out, $err) = ('', '');

	IPC::Run::run([ 'redis-cli', '-p', $server->{port} ], '<', \$commands, '>', \$out, '2>', \$err)
	  or die "redis-cli failed: $out$err";
	return $out;
}

=back

=cut

END
{
	# take care not to change the exit status
	my $status = $?;

	foreach my $server (@servers)
	{
		next if $server->{pid} != $$;
		my $pid = -r "$server->{dir}/pid" ? eval { _pid($server) } : undef;
		next unless $pid && $pid =~ /^\d+$/;
		kill 'CONT', $pid;
		kill 'KILL', $pid;
	}
	$? = $status;
}

1;
