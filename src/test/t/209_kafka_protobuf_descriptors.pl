# Protocol Buffers by files of compiled descriptors: protoc makes them, and
# encodes and decodes what is read and written here; the file changes, goes away,
# is no such file; beside Apache Arrow in one session.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use FeathubTest;
use IPC::Run ();
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('descriptors', conf => q{
feathub.retry_delay = 100ms
feathub.retry_delay_max = 1s
feathub.scheduler_interval = 1s
feathub.embedded_broker = on
feathub.embedded_broker_topics = 'events:1, back:1'
timezone = 'UTC'
});
my $sql = sub { $node->safe_psql('postgres', $_[0]) };
my $dir = PostgreSQL::Test::Utils::tempdir();

plan(skip_all => 'no protoc') unless eval { IPC::Run::run([ 'protoc', '--version' ], '>', \my $out, '2>', \my $err) };
plan(skip_all => 'this build has no protobuf') unless -e ($node->config_data('--pkglibdir') . '/feathub_protobuf.so');

sub protoc
{
	my ($in, @arguments) = @_;
	my ($out, $err) = ('', '');

	IPC::Run::run([ 'protoc', "-I$dir", @arguments ], '<', \$in, '>', \$out, '2>', \$err) or die "protoc: $err";
	return $out;
}

append_to_file("$dir/common.proto", q{
syntax = "proto2";
package demo.common;
enum Level { LOW = 1; HIGH = 5; }
message Money { required string currency = 1 [default = "EUR"]; optional sfixed64 cents = 2; extensions 100 to max; }
});
append_to_file("$dir/event.proto", q{
syntax = "proto3";
package demo;
import "common.proto";
import "google/protobuf/timestamp.proto";
import "google/protobuf/wrappers.proto";
import "google/protobuf/struct.proto";
message Event {
  string id = 1;
  google.protobuf.Timestamp at = 2;
  common.Money price = 3;
  repeated google.protobuf.DoubleValue readings = 4;
  map<string, Event> linked = 5;
  google.protobuf.Struct extra = 6;
  repeated sint64 deltas = 7;
  oneof subject { string user = 8; uint32 machine = 9; }
  common.Money paid = 10;
  repeated fixed64 ids = 11 [packed = false];
  bytes hash = 12;
}
});
my $columns = q{id text, at timestamptz, price money_, readings float8[], linked jsonb, extra jsonb, deltas bigint[], "user" text, machine bigint, paid jsonb, ids numeric[], hash bytea};
protoc('', "--descriptor_set_out=$dir/event.pb", '--include_imports', 'event.proto');
$sql->(qq{
	CREATE SERVER kafka FOREIGN DATA WRAPPER feathub_kafka OPTIONS (bootstrap_servers 'embedded');
	CREATE FOREIGN TABLE put (value bytea) SERVER kafka OPTIONS (topic 'events', format 'raw');
	CREATE FOREIGN TABLE back_raw (value bytea, off bigint OPTIONS (metadata 'offset')) SERVER kafka OPTIONS (topic 'back', format 'raw');
	CREATE TYPE money_ AS (currency text, cents bigint);
	CREATE FOREIGN TABLE events ($columns)
	  SERVER kafka OPTIONS (topic 'events', format 'protobuf', protobuf_descriptor_file '$dir/event.pb', protobuf_message 'demo.Event');
	CREATE FOREIGN TABLE back ($columns) SERVER kafka OPTIONS (topic 'back', format 'protobuf', protobuf_descriptor_file '$dir/event.pb', protobuf_message 'demo.Event');
});

note('what protoc encodes is read, and what is written protoc decodes to the same');
my @texts = (
	q{id: "one" at { seconds: 1704067200 nanos: 5000 } price { currency: "USD" cents: -12 } readings { value: 1.5 } readings { } linked { key: "x" value { id: "inner" } }
	  extra { fields { key: "k" value { list_value { values { number_value: 2 } values { null_value: NULL_VALUE } } } } } deltas: -1 deltas: 9223372036854775807 user: "u" ids: 18446744073709551615 hash: "\000\377"},
	q{id: "two" at { seconds: -1 nanos: 999999000 } machine: 0 paid { currency: "EUR" }},
	q{});
foreach my $text (@texts)
{
	$sql->("INSERT INTO put VALUES ('\\x" . unpack('H*', protoc($text, '--encode=demo.Event', 'event.proto')) . "')");
}
is($sql->('SELECT * FROM events WHERE id <> \'\' ORDER BY id'), join("\n",
		q(one|2024-01-01 00:00:00.000005+00|(USD,-12)|{1.5,0}|{"x": {"id": "inner", "ids": [], "hash": "", "deltas": [], "linked": {}, "readings": []}}|{"k": [2, null]}|{-1,9223372036854775807}|u|||{18446744073709551615}|\x00ff),
		q(two|1969-12-31 23:59:59.999999+00||{}|{}||{}||0|{"currency": "EUR"}|{}|\x)), 'read');
$sql->('INSERT INTO back SELECT * FROM events');
my $n = 0;
foreach my $text (@texts)
{
	my $bytes = pack('H*', $sql->("SELECT encode(value, 'hex') FROM back_raw WHERE off = $n"));

	is(protoc($bytes, '--decode=demo.Event', 'event.proto'),
		protoc(protoc($text, '--encode=demo.Event', 'event.proto'), '--decode=demo.Event', 'event.proto'), "message $n written");
	$n++;
}

note('random messages, against protoc');
my $seed = random_seed();
srand($seed);
my (@rows, @expected);
foreach my $i (1 .. 40)
{
	my @deltas = map { int(rand(2**(1 + int rand 50))) * (rand() < 0.5 ? -1 : 1) } 1 .. int rand 6;
	my @ids = map { int(rand(2**(1 + int rand 50))) } 1 .. int rand 4;
	my $text = qq{id: "r$i" } . join(' ', map { "deltas: $_" } @deltas) . ' ' . join(' ', map { "ids: $_" } @ids) .
	  (rand() < 0.5 ? ' user: "' . ('x' x int rand 300) . '"' : '') . (rand() < 0.3 ? ' price { currency: "A" }' : '');

	push @rows, "('\\x" . unpack('H*', protoc($text, '--encode=demo.Event', 'event.proto')) . "')";
	push @expected, "r$i|{" . join(',', @deltas) . '}|{' . join(',', @ids) . '}|' . ($text =~ /user: "(x*)"/ ? length $1 : '') . '|' . ($text =~ /price/ ? '(A,)' : '');
}
$sql->('INSERT INTO put VALUES ' . join(', ', @rows));
is($sql->(q{SELECT id, deltas, ids, length("user"), price FROM events WHERE id LIKE 'r%' ORDER BY substr(id, 2)::int}), join("\n", @expected), 'as protoc wrote them')
  or diag("random seed $seed");

note('a job, whose file changes');
$sql->(q{
	CREATE FOREIGN TABLE stream (id text, at timestamptz, deltas bigint[]) SERVER kafka OPTIONS (topic 'events', format 'protobuf', protobuf_descriptor_file '} . $dir . q{/event.pb', protobuf_message 'demo.Event');
	SELECT feathub.create_feature_group('seen', source => 'stream', primary_key => '{id}', event_time => 'at')});
poll_query($node, 'SELECT string_agg(id, \',\' ORDER BY id) FROM seen', 'one,two', 'ingested');
is($sql->('SELECT count(*) FROM feathub.dead_letter'), 41, 'messages without a time are dead letters');
rename "$dir/event.pb", "$dir/gone.pb";
$sql->("SELECT feathub.restart_job('seen')");
poll_query($node, q{SELECT last_error LIKE 'could not open descriptor file%' FROM feathub.job_status WHERE job = 'seen'}, 't', 'a job without its file says so');
rename "$dir/gone.pb", "$dir/event.pb";
$sql->("INSERT INTO put VALUES ('\\x" . unpack('H*', protoc('id: "three" at { seconds: 1 }', '--encode=demo.Event', 'event.proto')) . "')");
poll_query($node, 'SELECT count(*) FROM seen', 3, 'and goes on when it is back');

note('files that are none');
append_to_file("$dir/empty.pb", '');
append_to_file("$dir/text.pb", 'syntax = "proto3";');
protoc('', "--descriptor_set_out=$dir/alone.pb", 'event.proto');
foreach my $case (
	[ 'empty.pb', qr/invalid Protocol Buffers schema in file ".*empty\.pb"\nDETAIL:  .*no file of compiled descriptors/ ],
	[ 'text.pb', qr/no file of compiled descriptors/ ],
	[ 'alone.pb', qr/DETAIL:  event\.proto: common\.proto: Import "common\.proto" was not found/ ],
	[ '', qr/could not read descriptor file|could not open descriptor file/ ])
{
	$sql->("ALTER FOREIGN TABLE events OPTIONS (SET protobuf_descriptor_file '$dir/$case->[0]')");
	my ($status, $out, $err) = $node->psql('postgres', 'SELECT * FROM events');
	like($err, $case->[1], $case->[0] || 'a folder');
}

note('both libraries in one session');
SKIP:
{
	skip('this build has no parquet', 1) unless -e ($node->config_data('--pkglibdir') . '/feathub_parquet.so');
	$sql->("CREATE SERVER files FOREIGN DATA WRAPPER feathub_filesystem; CREATE FOREIGN TABLE parquet (a int) SERVER files OPTIONS (path '$dir/a.parquet', format 'parquet')");
	is($sql->('INSERT INTO parquet VALUES (1), (2); SELECT sum(a) FROM parquet; SELECT count(*) FROM back; SELECT count(*) FROM parquet'), "3\n3\n2", 'parquet first');
	is($sql->('SELECT count(*) FROM back; SELECT sum(a) FROM parquet; SELECT count(*) FROM back'), "3\n3\n3", 'protobuf first');
}

$node->stop;
done_testing();
