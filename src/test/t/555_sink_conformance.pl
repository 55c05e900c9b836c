# One body of checks for all sinks that jobs write to.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use Encode ();
use FeathubMysql;
use FeathubRedis;
use FeathubStreamConformance;
use FeathubTest;
use JSON::PP;
use PostgreSQL::Test::Utils;
use Test::More;

my $kafka = kafka_start();
my $mysql = mysql_start();
my $redis = redis_start(options => [ '--appendonly', 'yes', '--appendfsync', 'always' ]);
random_seed();
my $node = stream_node(conf => "feathub.batch_rows = 20\n");
my $dir = $node->basedir . '/files';
mkdir $dir;
mkdir "$dir/log";

mysql_server($node, $mysql);
mysql_query($mysql, q{
	SET GLOBAL max_allowed_packet = 64 * 1024 * 1024;
	CREATE TABLE shop.log (k int, n int, note longtext CHARACTER SET utf8mb4, CHECK (note <> 'odd refused'));
	CREATE TABLE shop.latest (k int PRIMARY KEY, n int, note longtext CHARACTER SET utf8mb4, CHECK (note <> 'odd refused'))});
sql(qq{
	CREATE SERVER kafka FOREIGN DATA WRAPPER feathub_kafka OPTIONS (bootstrap_servers '$kafka->{bootstrap}', "message.max.bytes" '4000000');
	CREATE SERVER redis FOREIGN DATA WRAPPER feathub_redis OPTIONS (port '$redis->{port}');
	CREATE USER MAPPING FOR CURRENT_USER SERVER redis;
	CREATE SERVER files FOREIGN DATA WRAPPER feathub_filesystem OPTIONS (folder '$dir')});
kafka_create_topic($kafka, $_, 2, 'max.message.bytes' => 4000000) foreach 'log', 'latest';

my $columns = q{k int OPTIONS (key 'true'), n int, note text};

# rows of a deletion, which sinks that only append keep as a row of the key, have no n
sub rows_of
{
	my $query = shift;
	return grep { !/^\d*\|\|/ } split /\n/, Encode::decode_utf8($query);
}

sub in_mysql
{
	my $table = shift;
	return rows_of(mysql_query($mysql, "SELECT CONCAT_WS('|', k, n, note) FROM shop.$table WHERE n IS NOT NULL") =~ s/\\\\/\\/gr);
}

sub in_files
{
	my @rows;
	foreach my $file (glob "$dir/log/*.json")
	{
		push @rows, map { decode_json($_) } split /\n/, slurp_file($file);
	}
	return map { "$_->{k}|$_->{n}|$_->{note}" } grep { defined $_->{n} } @rows;
}

sub in_redis
{
	my $out = sql(q{SELECT k || '|' || n || '|' || note FROM redis_upsert_sink});
	return rows_of($out);
}

sub in_topic
{
	my ($topic, $latest) = @_;
	my $query = qq{SELECT key, partition, "offset", value FROM topic_$topic};
	$query = qq{SELECT DISTINCT ON (key) * FROM ($query) t ORDER BY key, "offset" DESC} if $latest;
	return rows_of(sql(qq{SELECT concat_ws('|', v ->> 'k', v ->> 'n', v ->> 'note') FROM (SELECT value::json AS v FROM ($query) q WHERE value IS NOT NULL) v WHERE v ->> 'n' IS NOT NULL}));
}
sql(qq{CREATE FOREIGN TABLE topic_$_ (value text, key text OPTIONS (metadata 'key'), partition int OPTIONS (metadata 'partition'), "offset" bigint OPTIONS (metadata 'offset'))
	SERVER kafka OPTIONS (topic '$_', format 'raw')}) foreach 'log', 'latest';

my %mysql = (down => sub { mysql_kill($mysql) }, up => sub { mysql_restart($mysql) }, refused => 'odd refused');
my %redis = (down => sub { redis_kill($redis) }, up => sub { redis_up($redis) });

check_sinks(
	$kafka,
	{
		name => 'table', once => 1, refused => 'odd refused',
		table => sub { "CREATE TABLE $_[0] (k int, n int, note text CHECK (note <> 'odd refused'))" },
		rows => sub { rows_of(sql(q{SELECT k || '|' || n || '|' || note FROM table_sink WHERE n IS NOT NULL})) },
	},
	{
		name => 'mysql_append', once => 1, %mysql,
		table => sub { "CREATE FOREIGN TABLE $_[0] ($columns) SERVER mysql OPTIONS (table_name 'log', write_mode 'insert')" },
		rows => sub { in_mysql('log') },
	},
	{
		name => 'mysql_upsert', latest => 1, %mysql,
		table => sub { "CREATE FOREIGN TABLE $_[0] ($columns) SERVER mysql OPTIONS (table_name 'latest', write_mode 'upsert')" },
		rows => sub { in_mysql('latest') },
	},
	{
		name => 'files', once => 1,
		table => sub { "CREATE FOREIGN TABLE $_[0] (k int, n int, note text) SERVER files OPTIONS (path 'log', format 'json')" },
		rows => \&in_files,
		down => sub { chmod 0500, "$dir/log" }, up => sub { chmod 0700, "$dir/log" },
	},
	{
		name => 'redis_upsert', latest => 1, %redis,
		table => sub { "CREATE FOREIGN TABLE $_[0] ($columns) SERVER redis OPTIONS (kind 'hash', prefix 'latest:', write_mode 'upsert')" },
		rows => \&in_redis,
	},
	{
		name => 'redis_stream', %redis,
		table => sub { "CREATE FOREIGN TABLE $_[0] (k int, n int, note text) SERVER redis OPTIONS (kind 'stream', singleton_key 'log')" },
		rows => sub { rows_of(sql(q{SELECT k || '|' || n || '|' || note FROM redis_stream_sink WHERE n IS NOT NULL})) },
	},
	{
		name => 'kafka_append', once => 1,
		table => sub { "CREATE FOREIGN TABLE $_[0] (k int, n int, note text) SERVER kafka OPTIONS (topic 'log', format 'json', transactional 'true')" },
		rows => sub { in_topic('log') },
	},
	{
		name => 'kafka_upsert', latest => 1,
		table => sub { "CREATE FOREIGN TABLE $_[0] ($columns) SERVER kafka OPTIONS (topic 'latest', format 'json', key_format 'json')" },
		rows => sub { in_topic('latest', 1) },
	});

done_testing();
