# The MySQL connector does what foreign tables of every connector do.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use FeathubConnectorParity;
use FeathubMysql;
use FeathubTest;
use Test::More;

my $mysql = mysql_start();
my $node = new_node('parity');
my $port = $mysql->{port};

# What MySQL calls PostgreSQL's types; text compares as it does there.
my %type = (
	'int' => 'INT',
	'boolean' => 'TINYINT(1)',
	'smallint' => 'SMALLINT',
	'bigint' => 'BIGINT',
	'real' => 'FLOAT',
	'double precision' => 'DOUBLE',
	'text' => 'LONGTEXT',
	'bytea' => 'LONGBLOB',
	'date' => 'DATE',
	'time' => 'TIME(6)',
	'timestamp' => 'DATETIME(6)',
	'timestamptz' => 'TIMESTAMP(6) NULL',
	'jsonb' => 'JSON',
	'uuid' => 'CHAR(36)');

sub make_table
{
	my ($table, $columns) = @_;
	my @definitions = map {
		my ($name, $type, $key) = @$_;
		my $its = $type{$type} || ($type =~ s/^numeric/DECIMAL/r);
		"`$name` $its" . ($key ? ' PRIMARY KEY' : '');
	} @$columns;

	mysql_query($mysql, "CREATE TABLE shop.`$table` (" . join(', ', @definitions) . ') CHARACTER SET utf8mb4');
	return "database 'shop', table_name '$table'";
}

run_parity(
	$node,
	name => 'mysql',
	server => "OPTIONS (host '127.0.0.1', port '$port', connect_timeout '60')",
	mapping => q{OPTIONS (user 'fh', password 'fh-secret')},
	needs_mapping => 1,
	key => q{key 'true'},
	upsert => q{write_mode 'upsert'},
	table => \&make_table,
	types => { map { $_ => 1 } qw(bool int2 int8 float4 float8 num str vc bytes day clock ts tstz doc uid) },
	unreachable => q{OPTIONS (SET port '1')},
	reachable => "OPTIONS (SET port '$port')",
	silent => sub { "OPTIONS (SET port '$_[0]')" },
	bad_mapping => q{OPTIONS (SET password 'hunter2')},
	good_mapping => q{OPTIONS (SET password 'fh-secret')},
	stop => sub { mysql_kill($mysql); },
	start => sub { mysql_restart($mysql); });

done_testing();
