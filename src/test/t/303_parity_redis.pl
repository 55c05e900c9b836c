# The Redis connector does what foreign tables of every connector do.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use FeathubConnectorParity;
use FeathubTest;
use File::Temp ();
use IO::Socket::INET;
use POSIX ();
use Test::More;

my $program = (grep { -x } map { "$_/redis-server" } split(/:/, $ENV{PATH}), '/usr/bin')[0];
plan(skip_all => 'no Redis server (package redis-server)') unless $program;

my $folder = File::Temp::tempdir('fhredXXXX', DIR => '/tmp', CLEANUP => 1);
my $port = free_port();
my $pid;

sub start
{
	$pid = fork();
	die "could not fork: $!" unless defined $pid;
	if ($pid == 0)
	{
		open STDIN, '<', '/dev/null';
		open STDOUT, '>>', "$folder/log";
		open STDERR, '>&', \*STDOUT;
		exec($program, '--port', $port, '--bind', '127.0.0.1', '--dir', $folder, '--appendonly', 'yes',
			'--appendfsync', 'always', '--save', '', '--requirepass', 'fh-secret') or POSIX::_exit(127);
	}
	poll_until(
		sub {
			my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port, Timeout => 1) or return 0;
			print $socket "AUTH fh-secret\r\nPING\r\n";
			return <$socket> =~ /OK/ && <$socket> =~ /PONG/;
		},
		'Redis');
	return;
}

sub stop
{
	kill 'KILL', $pid if $pid;
	waitpid($pid, 0) if $pid;
	$pid = undef;
	return;
}

start();
my $node = new_node('parity');

run_parity(
	$node,
	name => 'redis',
	server => "OPTIONS (host '127.0.0.1', port '$port', connect_timeout '60')",
	mapping => q{OPTIONS (password 'fh-secret')},
	needs_mapping => 1,
	key => q{key 'true'},
	upsert => q{write_mode 'upsert'},
	not => { 'null rows' => 'a hash without fields does not exist' },
	table => sub { "kind 'hash', prefix 'parity_$_[0]:'" },
	types => { map { $_ => 1 } qw(bool int2 int8 float4 float8 num str vc bytes day clock ts tstz doc uid ints) },
	unreachable => q{OPTIONS (SET port '1')},
	reachable => "OPTIONS (SET port '$port')",
	silent => sub { "OPTIONS (SET port '$_[0]')" },
	bad_mapping => q{OPTIONS (SET password 'hunter2')},
	good_mapping => q{OPTIONS (SET password 'fh-secret')},
	stop => \&stop,
	start => \&start);

done_testing();

END
{
	my $status = $?;
	stop();
	$? = $status;
}
