# The Redis connector does what foreign tables of every connector do.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use FeathubConnectorParity;
use FeathubRedis;
use FeathubTest;
use Test::More;

my $redis = redis_start();
my $node = new_node('parity');

run_parity(
	$node,
	name => 'redis',
	server => "OPTIONS (host '127.0.0.1', port '$redis->{port}', connect_timeout '5')",
	mapping => '',
	needs_mapping => 1,
	table => sub {
		my ($table) = @_;
		return "kind 'value', format 'json', prefix '$table:'";
	},
	key => "key 'true'",
	upsert => "write_mode 'upsert'",
	types => { map { $_ => 1 } qw(bool int2 int8 float4 float8 num str vc bytes day clock ts tstz doc uid ints) },
	stop => sub { redis_stop($redis) },
	start => sub { redis_up($redis) },
	unreachable => q{OPTIONS (SET port '1')},
	reachable => "OPTIONS (SET port '$redis->{port}')",
	silent => sub { "OPTIONS (SET port '$_[0]')" },
	bad_mapping => q{OPTIONS (ADD username 'nobody', ADD password 'hunter2')},
	good_mapping => q{OPTIONS (DROP username, DROP password)});

done_testing();
