# Protocol Buffers through a real registry: confluent-kafka's serializer and
# deserializer on the other side, both ways; message types inside others, schemas
# that refer to others, one that changes, keys, and records that are none.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use FeathubClients;
use FeathubRegistry;
use FeathubTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $python = client_folder('protobuf') . '/bin/python3';
my $url = registry_start() or plan(skip_all => 'no Apicurio Registry');
my $kafka = kafka_start();
my $node = new_node('protobuf', conf => q{
feathub.retry_delay = 100ms
feathub.scheduler_interval = 1s
timezone = 'UTC'
});
my $sql = sub { $node->safe_psql('postgres', $_[0]) };
my $dir = PostgreSQL::Test::Utils::tempdir();

kafka_create_topic($kafka, $_, 1) foreach qw(theirs ours);
$sql->("CREATE SERVER kafka FOREIGN DATA WRAPPER feathub_kafka OPTIONS (bootstrap_servers '$kafka->{bootstrap}', schema_registry_url '$url')");

# Schemas for Python, of which one imports another.
my $order = q{
syntax = "proto3";
package shop;
import "google/protobuf/timestamp.proto";
import "shop/place.proto";
message Order {
  enum Kind { A = 0; B = 1; }
  message Line { string sku = 1; uint64 count = 2; }
  int64 id = 1;
  optional string name = 2;
  google.protobuf.Timestamp at = 3;
  repeated Line lines = 4;
  map<string, double> extra = 5;
  Place place = 6;
  Kind kind = 7;
  bytes raw = 8;
  oneof payment { string card = 9; double cash = 10; }
};
message Key { int64 id = 1; }
};
mkdir "$dir/$_" foreach qw(v1 v2 v1/shop v2/shop);
append_to_file("$dir/v1/shop/place.proto", q{syntax = "proto3"; package shop; message Place { string city = 1; sint32 zip = 2; }});
append_to_file("$dir/v1/shop/order.proto", $order);
append_to_file("$dir/v2/shop/place.proto", q{syntax = "proto3"; package shop; message Place { string city = 1; sint32 zip = 2; }});
# the next version: a field less, one more
append_to_file("$dir/v2/shop/order.proto", ($order =~ s/  bytes raw = 8;/  reserved 8;\n  float weight = 11;/r));
foreach my $version (qw(v1 v2))
{
	system_or_bail('protoc', "-I$dir/$version", "--python_out=$dir/$version", 'shop/order.proto', 'shop/place.proto');
}

# Python, with a version of the schemas and what it needs to read and write a topic.
sub python
{
	my ($version, $code) = @_;

	return run_program([ $python, '-' ], <<"EOP" . $code);
import sys
sys.path.insert(0, '$dir/$version')
from confluent_kafka import Consumer, Producer
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.protobuf import ProtobufSerializer, ProtobufDeserializer
from confluent_kafka.serialization import SerializationContext, MessageField
from shop.order_pb2 import Order, Key
servers = '$kafka->{bootstrap}'
registry = SchemaRegistryClient({'url': '$url'})
config = {'use.deprecated.format': False}
def write(topic, messages):
  producer = Producer({'bootstrap.servers': servers})
  keys = ProtobufSerializer(Key, registry, config)
  for message in messages:
    values = ProtobufSerializer(type(message), registry, config)
    producer.produce(topic, key=keys(Key(id=getattr(message, 'id', 0)), SerializationContext(topic, MessageField.KEY)),
      value=values(message, SerializationContext(topic, MessageField.VALUE)))
  assert producer.flush(60) == 0
def read(topic, n, kind):
  consumer = Consumer({'bootstrap.servers': servers, 'group.id': 'test', 'auto.offset.reset': 'earliest', 'enable.auto.commit': False})
  consumer.subscribe([topic])
  values, keys, result = ProtobufDeserializer(kind, config), ProtobufDeserializer(Key, config), []
  for i in range(600):
    if len(result) == n: break
    message = consumer.poll(0.1)
    if message is None: continue
    assert message.error() is None, message.error()
    result.append((keys(message.key(), SerializationContext(topic, MessageField.KEY)), values(message.value(), SerializationContext(topic, MessageField.VALUE))))
  consumer.close()
  return result
def order(i, **more):
  o = Order(id=i, lines=[Order.Line(sku='s%d' % k, count=2**64 - 1 - k) for k in range(i)], extra={'x': i / 2, 'y': 0}, kind=i % 2, card='c' if i % 2 else None, **more)
  if i % 2: o.name = 'n\\u00e9%d' % i
  o.at.FromMicroseconds(1704067200000000 + i)
  o.place.city, o.place.zip = 'city', -i
  return o
EOP
}

note('what confluent-kafka writes');
python('v1', q{write('theirs', [order(i, raw=bytes([i, 255])) for i in range(3)])});
python('v2', q{write('theirs', [order(3, weight=0.5)])});
$sql->(q{
	CREATE TYPE order_line AS (sku text, count numeric);
	CREATE FOREIGN TABLE theirs (order_id bigint OPTIONS (key 'true', path 'id'), name text, at timestamptz, lines order_line[], extra jsonb, city text OPTIONS (path 'place.city'),
	  place jsonb, kind text, raw bytea, card text, weight real, off bigint OPTIONS (metadata 'offset')) SERVER kafka
	  OPTIONS (topic 'theirs', format 'protobuf', protobuf_message 'shop.Order', key_format 'protobuf');
});
is($sql->('SELECT order_id, name, at, lines, extra, city, place, kind, raw, card, weight FROM theirs ORDER BY off'), join("\n",
		q(0||2024-01-01 00:00:00+00|{}|{"x": 0, "y": 0}|city|{"zip": 0, "city": "city"}|A|\x00ff||),
		q(1|né1|2024-01-01 00:00:00.000001+00|{"(s0,18446744073709551615)"}|{"x": 0.5, "y": 0}|city|{"zip": -1, "city": "city"}|B|\x01ff|c|),
		q(2||2024-01-01 00:00:00.000002+00|{"(s0,18446744073709551615)","(s1,18446744073709551614)"}|{"x": 1, "y": 0}|city|{"zip": -2, "city": "city"}|A|\x02ff||),
		q(3|né3|2024-01-01 00:00:00.000003+00|{"(s0,18446744073709551615)","(s1,18446744073709551614)","(s2,18446744073709551613)"}|{"x": 1.5, "y": 0}|city|{"zip": -3, "city": "city"}|B||c|0.5)),
	'both versions read, by names');

note('a job, and messages of another type');
$sql->(q{SELECT feathub.create_feature_group('orders', source => 'theirs', primary_key => '{order_id}', event_time => 'at')});
poll_query($node, 'SELECT count(*) FROM orders', 4, 'all are ingested');
python('v2', q{write('theirs', [Order.Line(sku='alone')]); write('theirs', [order(4, weight=1)])});
kafka_produce($kafka, 'theirs', [ 'no message', "\0\0\0\x7f\xff\0", "\0\0\0\0\x01" ]);
poll_query($node, 'SELECT count(*) FROM orders', 5, 'the next one too');
poll_query($node, 'SELECT count(*) FROM feathub.dead_letter', 4, 'others are dead letters');
like($sql->('SELECT string_agg(message, E\'\n\' ORDER BY sequence) FROM feathub.dead_letter'),
	qr/^message is of type "shop\.Order\.Line", not "shop\.Order"\n.*zero byte.*\n.*32767.*\n.*place of its type/, 'with their reasons');
is($sql->('SELECT weight FROM orders_online WHERE order_id = 4'), '1', 'values are right');

note('what is written here, confluent-kafka reads');
$sql->(q{
	CREATE FOREIGN TABLE ours (id bigint OPTIONS (key 'true'), name text, at timestamptz, lines order_line[], extra jsonb, kind text, cash float8) SERVER kafka
	  OPTIONS (topic 'ours', format 'protobuf', key_format 'protobuf', value_fields 'all', protobuf_key_schema 'syntax = "proto3"; package shop; message Other {} message Key { int64 id = 1; }',
	  protobuf_key_message 'shop.Key', protobuf_message 'shop.Order')});
my ($status, $out, $err) = $node->psql('postgres', 'INSERT INTO ours (id) VALUES (1)');
like($err, qr/schema registry ".*" has no subject "ours-value"/, 'without a schema');
my $text = $order =~ s/import "shop\/place.proto";//r =~ s/Place place = 6;//r;
$sql->("ALTER FOREIGN TABLE ours OPTIONS (ADD auto_register 'false', ADD protobuf_schema \$\$$text\$\$)");
($status, $out, $err) = $node->psql('postgres', 'INSERT INTO ours (id) VALUES (1)');
like($err, qr/the schema is not registered under subject "ours-(value|key)"/, 'nothing is registered unasked');
$sql->(q{
	ALTER FOREIGN TABLE ours OPTIONS (DROP auto_register);
	INSERT INTO ours VALUES (1, 'né', '2024-01-01 00:00:00.5+00', ARRAY[row('a', 18446744073709551615)::order_line], '{"x": 1.5}', 'B', NULL), (2, NULL, NULL, NULL, NULL, NULL, 2.5);
});
is(python('v1', q{
for key, value in read('ours', 2, Order):
  print(key.id, value.id, value.name if value.HasField('name') else None, value.at.ToMicroseconds(), [(l.sku, l.count) for l in value.lines], dict(value.extra), value.kind, value.WhichOneof('payment'), value.cash)
}), <<'EOO', 'as it was meant');
1 1 né 1704067200500000 [('a', 18446744073709551615)] {'x': 1.5} 1 None 0.0
2 2 None 0 [] {} 0 cash 2.5
EOO
# the subject's latest schema, with a message type inside another
$sql->(q{
	ALTER FOREIGN TABLE ours OPTIONS (DROP protobuf_schema, DROP protobuf_key_schema, SET protobuf_message 'shop.Order.Line');
	ALTER FOREIGN TABLE ours DROP COLUMN name, DROP COLUMN at, DROP COLUMN lines, DROP COLUMN extra, DROP COLUMN kind, DROP COLUMN cash, ADD COLUMN sku text, ADD COLUMN count numeric,
	  OPTIONS (SET value_fields 'except_key');
	INSERT INTO ours VALUES (3, 'inner', 7);
});
is($sql->(q{SELECT encode(substr(value, 6), 'hex') FROM ours_raw WHERE off = 2}), '0400000a05696e6e65721007', 'a message type inside another')
  if $sql->(q{CREATE FOREIGN TABLE ours_raw (value bytea, off bigint OPTIONS (metadata 'offset')) SERVER kafka OPTIONS (topic 'ours', format 'raw')}) eq '';

$node->stop;
done_testing();
