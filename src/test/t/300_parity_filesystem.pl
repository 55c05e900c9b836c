# The filesystem connector does what foreign tables of every connector do.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use FeathubConnectorParity;
use FeathubTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('parity');
my $folder = PostgreSQL::Test::Utils::tempdir();
my $elsewhere = PostgreSQL::Test::Utils::tempdir();

run_parity(
	$node,
	name => 'filesystem',
	server => "OPTIONS (folder '$folder')",
	mapping => '',
	table => sub {
		my ($table) = @_;
		mkdir "$folder/$table" or die "could not make $folder/$table: $!";
		return "path '$table', format 'json'";
	},
	not => { EXPLAIN => 'planning looks into folders' },
	types => { map { $_ => 1 } qw(bool int2 int8 float4 float8 num str vc bytes day clock ts tstz doc uid ints) },
	unreachable => "OPTIONS (SET folder '$elsewhere/none')",
	reachable => "OPTIONS (SET folder '$folder')",
	stop => sub { rename $folder, "$elsewhere/moved" or die "could not rename: $!"; },
	start => sub { rename "$elsewhere/moved", $folder or die "could not rename: $!"; });

done_testing();
