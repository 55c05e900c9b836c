# The Kafka connector does what foreign tables of every connector do, as far as
# a stream of messages can.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use FeathubConnectorParity;
use FeathubTest;
use Test::More;

my @tables = qw(item type nothing wide altered changed triggered part);
my $node = new_node('parity', broker => join ', ', map { "parity_$_:2" } @tables);

run_parity(
	$node,
	name => 'kafka',
	server => q{OPTIONS (bootstrap_servers 'embedded', connect_timeout '5')},
	mapping => '',
	wide => 30000,
	table => sub { "topic 'parity_$_[0]', format 'json'" },
	types => { map { $_ => 1 } qw(bool int2 int8 float4 float8 num str vc bytes day clock ts tstz doc uid ints) },
	unreachable => q{OPTIONS (SET bootstrap_servers '127.0.0.1:1', SET connect_timeout '1')},
	reachable => q{OPTIONS (SET bootstrap_servers 'embedded', SET connect_timeout '5')},
	silent => sub { "OPTIONS (SET bootstrap_servers '127.0.0.1:$_[0]', SET connect_timeout '60')" });

done_testing();
