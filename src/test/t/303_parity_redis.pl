# The Redis connector does what foreign tables of every connector do.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use FeathubConnectorParity;
use FeathubTest;
use FeathubRedis;
use Test::More;

my $redis = redis_start(options => [qw(--requirepass fh-secret --appendonly yes --appendfsync always)]);
my $port = $redis->{port};
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
	stop => sub { redis_kill($redis); },
	start => sub { redis_up($redis); });

done_testing();
