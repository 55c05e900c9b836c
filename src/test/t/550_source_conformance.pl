# One body of checks for all sources that jobs can follow.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use FeathubMysql;
use FeathubRedis;
use FeathubStreamConformance;
use FeathubTest;
use IO::Socket::INET;
use JSON::PP;
use PostgreSQL::Test::Utils;
use Test::More;

my $kafka = kafka_start();
my $mysql = mysql_start(options => [ '--log-bin=binlog', '--binlog-format=ROW', '--binlog-row-metadata=FULL' ]);
my $redis = redis_start(options => [ '--appendonly', 'yes', '--appendfsync', 'always' ]);
random_seed();
my $node = stream_node();
my $dir = $node->basedir . '/files';
mkdir $dir;
mkdir "$dir/$_" foreach 'lines', 'changes';

mysql_server($node, $mysql);
sql(qq{
	CREATE SERVER kafka FOREIGN DATA WRAPPER feathub_kafka OPTIONS (bootstrap_servers '$kafka->{bootstrap}');
	CREATE SERVER redis FOREIGN DATA WRAPPER feathub_redis OPTIONS (port '$redis->{port}');
	CREATE USER MAPPING FOR CURRENT_USER SERVER redis;
	CREATE SERVER files FOREIGN DATA WRAPPER feathub_filesystem OPTIONS (folder '$dir')});

my $columns = q{k int OPTIONS (key 'true'), n int, note text, at timestamptz};
my $json = JSON::PP->new->ascii->canonical;

sub object
{
	my ($row, $extra) = @_;
	return { k => $row->[0], n => $row->[1], note => $row->[2], at => $row->[3], defined $extra ? (extra => $extra) : () };
}

# Kafka: messages, and the changes of another database

sub kafka_down { kafka_kill($kafka); return; }
sub kafka_up   { kafka_restart($kafka); return; }

kafka_create_topic($kafka, $_, 1, 'max.message.bytes' => 4000000) foreach 'plain', 'changes';
check_source(
	name => 'kafka', repeats => 1, group => ', deletes => true',
	table => sub { qq{CREATE FOREIGN TABLE $_[0] ($columns) SERVER kafka OPTIONS (topic 'plain', format 'json', key_format 'json')} },
	add => sub { kafka_produce($kafka, 'plain', [ map { { key => qq({"k":$_->[0]}), value => $json->encode(object($_)) } } @_ ], 'message.max.bytes' => 4000000) },
	extra => sub { kafka_produce($kafka, 'plain', [ { key => qq({"k":$_[0][0]}), value => $json->encode(object(@_)) } ]) },
	poison => sub { kafka_produce($kafka, 'plain', [ { key => '{"k":1}', value => '{"k":1,"n":"x"}' } ]) },
	remove => sub { kafka_produce($kafka, 'plain', [ { key => qq({"k":$_[0]}) } ]) },
	down => \&kafka_down, up => \&kafka_up);

my $commit = 1709300000000;
sub change
{
	my ($op, $before, $after) = @_;
	return $json->encode({ op => $op, before => $before, after => $after, source => { ts_ms => $commit++ } });
}

check_source(
	name => 'debezium', repeats => 1,
	table => sub { qq{CREATE FOREIGN TABLE $_[0] ($columns) SERVER kafka OPTIONS (topic 'changes', format 'debezium-json')} },
	add => sub { kafka_produce($kafka, 'changes', [ map { change('c', undef, object($_)) } @_ ], 'message.max.bytes' => 4000000) },
	extra => sub { kafka_produce($kafka, 'changes', [ change('u', undef, object(@_)) ]) },
	poison => sub { kafka_produce($kafka, 'changes', ['{"op":"c"}']) },
	remove => sub { kafka_produce($kafka, 'changes', [ change('d', { k => $_[0] }, undef) ]) },
	down => \&kafka_down, up => \&kafka_up);

# Files: lines, and changes in lines

sub files
{
	my ($folder, $lines) = @_;
	my $file = 0;
	return (
		partition => 'file',
		add => sub {
			$file++ if rand() < 0.2;
			append_to_file(sprintf("$dir/$folder/%03d.json", $file), join('', map { $lines->($_) . "\n" } @_));
		},
		extra => sub { append_to_file(sprintf("$dir/$folder/%03d.json", $file), $lines->(@_) . "\n") },
		down => sub { rename "$dir/$folder", "$dir/$folder.gone" or die $! },
		up => sub { rename "$dir/$folder.gone", "$dir/$folder" or die $! });
}

check_source(
	name => 'filesystem', repeats => 1,
	files('lines', sub { $json->encode(object(@_)) }),
	table => sub { qq{CREATE FOREIGN TABLE $_[0] (k int, n int, note text, at timestamptz, file text OPTIONS (metadata 'path')) SERVER files OPTIONS (path 'lines', format 'json')} },
	poison => sub { append_to_file("$dir/lines/999.json", qq({"k":1,"n":"x"}\n)) });

check_source(
	name => 'filesystem_changes', repeats => 1,
	files('changes', sub { change('c', undef, object(@_)) }),
	table => sub { qq{CREATE FOREIGN TABLE $_[0] (k int, n int, note text, at timestamptz, file text OPTIONS (metadata 'path')) SERVER files OPTIONS (path 'changes', format 'debezium-json')} },
	remove => sub { append_to_file("$dir/changes/998.json", change('d', { k => $_[0] }, undef) . "\n") },
	poison => sub { append_to_file("$dir/changes/999.json", qq({"op":"c"}\n)) });

# Redis streams

sub xadd
{
	my ($row, $extra) = @_;
	my @words = ('XADD', 'stream', '*', k => $row->[0], n => $row->[1], at => $row->[3]);
	push @words, note => $row->[2] if defined $row->[2];
	push @words, extra => $extra if defined $extra;
	utf8::encode($_) foreach @words;
	return join("\r\n", '*' . @words, map { ('$' . length, $_) } @words) . "\r\n";
}

sub redis_send
{
	my @commands = @_;
	my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $redis->{port}, Proto => 'tcp') or die "no Redis: $!";
	print $socket @commands;
	foreach (@commands)
	{
		my $length = <$socket>;
		die "Redis: $length" unless $length =~ /^\$/;
		<$socket>;
	}
	close $socket;
	return;
}

check_source(
	name => 'redis', repeats => 1,
	table => sub { qq{CREATE FOREIGN TABLE $_[0] (k int, n int, note text, at timestamptz) SERVER redis OPTIONS (kind 'stream', singleton_key 'stream')} },
	add => sub { redis_send(map { xadd($_) } @_) },
	extra => sub { redis_send(xadd(@_)) },
	poison => sub { redis_cli($redis, 'XADD', 'stream', '*', 'k', '1', 'n', 'x') },
	told => qr/Redis|connect/i,
	down => sub { redis_kill($redis) }, up => sub { redis_up($redis) });

# MySQL by an increasing column

sub mysql_rows
{
	my ($table, @rows) = @_;
	my $values = join(', ', map {
			my $note = $_->[2];
			utf8::encode($note) if defined $note;
			"($_->[0], $_->[1], " . (defined $note ? "CONVERT(X'" . unpack('H*', $note) . "' USING utf8mb4)" : 'NULL') . ", '$_->[3]', " . ($_->[4] // 'NULL') . ')'
		} @rows);
	mysql_query($mysql, "SET time_zone = '+00:00'; INSERT INTO shop.$table (k, n, note, at, extra) VALUES $values");
	return;
}

sub mysql_table
{
	my $table = shift;
	mysql_query($mysql, "SET GLOBAL max_allowed_packet = 64 * 1024 * 1024;
		CREATE TABLE shop.$table (k int NOT NULL, n int PRIMARY KEY, note longtext CHARACTER SET utf8mb4, at datetime(6), extra int, KEY (k)) ENGINE=InnoDB");
	return (
		add => sub { mysql_rows($table, @_) },
		extra => sub { mysql_rows($table, [ @{ $_[0] }, $_[1] ]) },
		told => qr/MySQL|connect/i,
		down => sub { mysql_kill($mysql) }, up => sub { mysql_restart($mysql) });
}

check_source(
	name => 'mysql_column', mysql_table('by_column'),
	table => sub { qq{CREATE FOREIGN TABLE $_[0] (k int, n int, note text, at timestamptz) SERVER mysql OPTIONS (table_name 'by_column', stream_column 'n', stream_lag '0')} });

# MySQL by its binary log

check_source(
	name => 'mysql_binlog', mysql_table('by_log'),
	table => sub { qq{CREATE FOREIGN TABLE $_[0] (k int, n int OPTIONS (key 'true'), note text, at timestamptz) SERVER mysql OPTIONS (table_name 'by_log', stream_mode 'binlog')} },
	remove => sub { mysql_query($mysql, "DELETE FROM shop.by_log WHERE k = $_[0]") });

done_testing();
