# Avro through a real registry: confluent-kafka's serializer and deserializer on
# the other side, both ways; a schema that changes; Hopsworks' layout as its
# client writes it; Debezium's.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use FeathubClients;
use FeathubRegistry;
use FeathubTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $python = client_folder('python') . '/bin/python3';
my $url = registry_start() or plan(skip_all => 'no Apicurio Registry');
my $kafka = kafka_start();
my $node = new_node('avro', conf => q{
feathub.retry_delay = 100ms
feathub.scheduler_interval = 1s
timezone = 'UTC'
});
my $sql = sub { $node->safe_psql('postgres', $_[0]) };

kafka_create_topic($kafka, $_, 1) foreach qw(theirs ours hops changes);
$sql->("CREATE SERVER kafka FOREIGN DATA WRAPPER feathub_kafka OPTIONS (bootstrap_servers '$kafka->{bootstrap}', schema_registry_url '$url')");

# Python, with the registry and what it needs to read and write a topic.
sub python
{
	my ($code) = @_;

	return run_program([ $python, '-' ], <<"EOP" . $code);
import datetime as dt, decimal, io, json, uuid
from confluent_kafka import Consumer, Producer
from confluent_kafka.schema_registry import SchemaRegistryClient, Schema
from confluent_kafka.schema_registry.avro import AvroSerializer, AvroDeserializer
from confluent_kafka.serialization import SerializationContext, MessageField
import fastavro
servers = '$kafka->{bootstrap}'
registry = SchemaRegistryClient({'url': '$url'})
utc = dt.timezone.utc
def write(topic, schema, rows, key=None, key_schema=None):
  producer = Producer({'bootstrap.servers': servers})
  serializer = AvroSerializer(registry, json.dumps(schema))
  keys = AvroSerializer(registry, json.dumps(key_schema)) if key_schema else None
  for row in rows:
    producer.produce(topic, value=None if row.get('value', 1) is None else serializer(row, SerializationContext(topic, MessageField.VALUE)),
      key=keys(key(row), SerializationContext(topic, MessageField.KEY)) if keys else None)
  assert producer.flush(60) == 0
def read(topic, n):
  consumer = Consumer({'bootstrap.servers': servers, 'group.id': 'test', 'auto.offset.reset': 'earliest', 'enable.auto.commit': False})
  consumer.subscribe([topic])
  values, keys, result = AvroDeserializer(registry), AvroDeserializer(registry), []
  for i in range(600):
    if len(result) == n: break
    message = consumer.poll(0.1)
    if message is None: continue
    assert message.error() is None, message.error()
    result.append((keys(message.key(), SerializationContext(topic, MessageField.KEY)), values(message.value(), SerializationContext(topic, MessageField.VALUE))))
  consumer.close()
  return result
EOP
}

note('what confluent-kafka writes');
python(<<'EOP');
schema = {"type": "record", "name": "Order", "namespace": "shop", "fields": [
 {"name": "id", "type": "long"}, {"name": "name", "type": ["null", "string"], "default": None},
 {"name": "price", "type": {"type": "bytes", "logicalType": "decimal", "precision": 10, "scale": 2}},
 {"name": "at", "type": {"type": "long", "logicalType": "timestamp-micros"}}, {"name": "day", "type": {"type": "int", "logicalType": "date"}},
 {"name": "tags", "type": {"type": "array", "items": "string"}}, {"name": "extra", "type": {"type": "map", "values": ["null", "double"]}},
 {"name": "place", "type": {"type": "record", "name": "Place", "fields": [{"name": "city", "type": "string"}, {"name": "zip", "type": ["string", "int"]}]}},
 {"name": "kind", "type": {"type": "enum", "name": "Kind", "symbols": ["A", "B"]}}, {"name": "u", "type": {"type": "string", "logicalType": "uuid"}},
 {"name": "ok", "type": "boolean"}, {"name": "f", "type": "float"}, {"name": "old_i", "type": "int"}]}
def row(i): return dict(id=i, name=None if i % 2 else 'n\u00e9%d' % i, price=decimal.Decimal(i) / 100, at=dt.datetime(2024, 1, 1, 0, 0, i, tzinfo=utc), day=dt.date(2024, 1, 1),
  tags=['a', str(i)], extra={'x': 1.5, 'y': None}, place={'city': 'c', 'zip': 7 if i % 2 else 'z'}, kind='AB'[i % 2], u=uuid.UUID(int=i), ok=i % 2 == 0, f=0.5, old_i=i)
write('theirs', schema, [row(i) for i in range(3)], lambda r: {'id': r['id']}, {"type": "record", "name": "Key", "fields": [{"name": "id", "type": "long"}]})
# the next version: a field less, one more, an int that is a long
registry.set_compatibility('theirs-value', 'NONE')
schema['fields'] = [f for f in schema['fields'] if f['name'] not in ('name', 'old_i')] + [{"name": "old_i", "type": "long"}, {"name": "more", "type": "string"}]
rows = [row(i) for i in range(3, 5)]
for r in rows: r['more'] = 'm'; r['old_i'] = 10**12
write('theirs', schema, rows, lambda r: {'id': r['id']}, {"type": "record", "name": "Key", "fields": [{"name": "id", "type": "long"}]})
EOP
$sql->(q{CREATE TYPE place AS (zip text, city text);
CREATE FOREIGN TABLE theirs (id bigint OPTIONS (key 'true'), name text, price numeric, at timestamptz, day date, tags text[], extra jsonb, place place,
 kind text, u uuid, ok bool, f real, old_i bigint, more text, "offset" bigint OPTIONS (metadata 'offset')) SERVER kafka
 OPTIONS (topic 'theirs', format 'avro', key_format 'avro', avro_schema '{"type":"record","name":"reader","fields":[{"name":"more","type":"string","default":"none"}]}')});
is($sql->('SELECT * FROM theirs WHERE id IN (0, 1, 4)'), qq{0|n\x{c3}\x{a9}0|0.00|2024-01-01 00:00:00+00|2024-01-01|{a,0}|{"x": 1.5, "y": null}|(z,c)|A|00000000-0000-0000-0000-000000000000|t|0.5|0|none|0
1||0.01|2024-01-01 00:00:01+00|2024-01-01|{a,1}|{"x": 1.5, "y": null}|(7,c)|B|00000000-0000-0000-0000-000000000001|f|0.5|1|none|1
4||0.04|2024-01-01 00:00:04+00|2024-01-01|{a,4}|{"x": 1.5, "y": null}|(z,c)|A|00000000-0000-0000-0000-000000000004|t|0.5|1000000000000|m|4},
	'rows of two schemas');
$sql->(q{CREATE SCHEMA imported; IMPORT FOREIGN SCHEMA kafka LIMIT TO (theirs) FROM SERVER kafka INTO imported OPTIONS (registry 'true')});
is($sql->(q{SELECT string_agg(attname || ' ' || format_type(atttypid, atttypmod) || coalesce(' ' || array_to_string(attfdwoptions, ''), ''), ', ' ORDER BY attnum) FROM pg_attribute WHERE attrelid = 'imported.theirs'::regclass AND attnum BETWEEN 1 AND 13}),
	'id bigint key=true, price numeric(10,2), at timestamp with time zone, day date, tags text[], extra jsonb, place jsonb, kind text, u uuid, ok boolean, f real, old_i bigint, more text', 'the columns of the latest schema');
is($sql->('SELECT count(*), sum(id), min(place::text) FROM imported.theirs'), '5|10|{"zip": "z", "city": "c"}', 'the imported table reads');
is($sql->(q{SELECT feathub.create_feature_group('orders', source => 'theirs', primary_key => '{id}', event_time => 'at');
SELECT feathub.wait_for_job('orders', '60 s'); SELECT applied, dead_letters FROM feathub.job_status WHERE job = 'orders'}) =~ s/.*\n//sr, '5|0', 'and a group follows it');

note('what confluent-kafka reads');
$sql->(q{CREATE FOREIGN TABLE ours (id bigint OPTIONS (key 'true'), t text, n numeric(8,3), at timestamptz, lt timestamp, d date, tm time, tags int[], place place, u uuid, by bytea, b bool)
 SERVER kafka OPTIONS (topic 'ours', format 'avro', key_format 'avro');
INSERT INTO ours VALUES (1, 'é', -1.5, '2024-01-01 00:00:00.000001+00', '2024-01-01', '1969-12-31', '01:02:03', '{1,null}', '(z,c)', '00000000-0000-0000-0000-000000000001', '\x00ff', true);
INSERT INTO ours (id) VALUES (2)});
is(python(<<'EOP'), <<'EOE', 'our rows');
for key, value in read('ours', 2): print(key, value)
EOP
{'id': 1} {'id': 1, 't': 'é', 'n': Decimal('-1.500'), 'at': datetime.datetime(2024, 1, 1, 0, 0, 0, 1, tzinfo=datetime.timezone.utc), 'lt': datetime.datetime(2024, 1, 1, 0, 0), 'd': datetime.date(1969, 12, 31), 'tm': datetime.time(1, 2, 3), 'tags': [1, None], 'place': {'zip': 'z', 'city': 'c'}, 'u': UUID('00000000-0000-0000-0000-000000000001'), 'by': b'\x00\xff', 'b': True}
{'id': 2} {'id': 2, 't': None, 'n': None, 'at': None, 'lt': None, 'd': None, 'tm': None, 'tags': None, 'place': None, 'u': None, 'by': None, 'b': None}
EOE
is(python(q{print(sorted(registry.get_subjects())); print(json.loads(registry.get_latest_version('ours-value').schema.schema_str)['name'])}),
	"['ours-key', 'ours-value', 'theirs-key', 'theirs-value']\nours\n", 'subjects that were registered');
my (undef, undef, $err) = $node->psql('postgres', q{CREATE FOREIGN TABLE unregistered (x int) SERVER kafka
 OPTIONS (topic 'ours', format 'avro', auto_register 'false', avro_schema '{"type":"record","name":"other","fields":[{"name":"x","type":"int"}]}');
INSERT INTO unregistered VALUES (1)});
like($err, qr/the schema is not registered under subject "ours-value"/, 'a schema that nobody registered');
$sql->(q{CREATE FOREIGN TABLE latest (id bigint, t varchar) SERVER kafka OPTIONS (topic 'ours', format 'avro', auto_register 'false');
INSERT INTO latest VALUES (3, 'by the latest schema')});
is($sql->('SELECT t FROM ours WHERE id = 3'), 'by the latest schema', 'the latest schema is written');
$sql->(q{CREATE FOREIGN TABLE named (id bigint) SERVER kafka OPTIONS (topic 'ours', format 'avro', avro_subject 'topic_record',
 avro_schema '{"type":"record","name":"Named","namespace":"a.b","fields":[{"name":"id","type":"long"}]}');
INSERT INTO named VALUES (4)});
is(python(q{print([s for s in registry.get_subjects() if 'a.b' in s])}), "['ours-a.b.Named']\n", 'a subject of topic and record');

note('Hopsworks');
my $hopsworks = '{"type":"record","name":"fg_1","namespace":"fs.db","fields":[{"name":"id","type":["null","long"]},{"name":"at","type":["null",{"type":"long","logicalType":"timestamp-micros"}]},'
  . '{"name":"v","type":["null","double"]},{"name":"l","type":["null",{"type":"array","items":["null","long"]}]},{"name":"s","type":["null",{"type":"record","name":"S_s","fields":[{"name":"a","type":["null","string"]}]}]}]}';
my $client = <<"EOP";
full = json.loads('''$hopsworks''')
encoded = json.loads('''$hopsworks''')
for field in encoded['fields']:
  if field['name'] in ('l', 's'): field['type'] = ['null', 'bytes']
parts = {f['name']: fastavro.parse_schema(f['type']) for f in full['fields'] if f['name'] in ('l', 's')}
encoded = fastavro.parse_schema(encoded)
EOP
python($client . <<'EOP');
# as hsfs does: the complex features first, then the row, and the key is text
subject = registry.register_schema('hops', Schema(json.dumps(full), 'AVRO'))
producer = Producer({'bootstrap.servers': servers})
def send(row, group=b'10', **more):
  row = dict(row)
  for name in parts:
    out = io.BytesIO()
    fastavro.schemaless_writer(out, parts[name], row[name])
    row[name] = out.getvalue()
  out = io.BytesIO()
  fastavro.schemaless_writer(out, encoded, row)
  headers = {'projectId': b'119', 'featureGroupId': group, 'subjectId': str(subject).encode()}
  headers.update(more)
  producer.produce('hops', key=str(row['id']), value=out.getvalue(), headers=headers)
def row(i, **more): return dict(dict(id=i, at=dt.datetime(2024, 1, 1, 0, 0, i, tzinfo=utc), v=i / 2, l=[i, None], s={'a': 'x%d' % i}), **more)
for i in range(3): send(row(i))
send(row(3, l=None, s=None), storage=b'online', onlineIngestionId=b'5')
send(row(4), storage=b'offline', operation=b'upsert')
send(row(5), group=b'11')
send(row(1), operation=b'delete')
assert producer.flush(60) == 0
EOP
$sql->(q{CREATE TYPE s AS (a text);
CREATE FOREIGN TABLE hops (id bigint OPTIONS (key 'true'), at timestamptz, v float8, l bigint[], s s) SERVER kafka
 OPTIONS (topic 'hops', format 'hopsworks-avro', key_format 'hopsworks-avro', write_mode 'upsert', hopsworks_project_id '119', hopsworks_feature_group_id '10', hopsworks_subject_id '77', avro_schema '} . $hopsworks . q{');
CREATE FOREIGN TABLE hops_by_header (id bigint, l text, at timestamptz) SERVER kafka OPTIONS (topic 'hops', format 'hopsworks-avro', hopsworks_feature_group_id '10', hopsworks_storage 'offline')});
is($sql->('SELECT id, v, l, s FROM hops'), '0|0|{0,NULL}|(x0)
1|0.5|{1,NULL}|(x1)
2|1|{2,NULL}|(x2)
3|1.5||
4|2|{4,NULL}|(x4)
1|0.5|{1,NULL}|(x1)', 'a feature group\'s messages');
is($sql->('SELECT id, l FROM hops_by_header'), '0|[0, null]
1|[1, null]
2|[2, null]
4|[4, null]
1|[1, null]', 'by the schema that a header names, without what is for the online store alone');
$sql->(q{SELECT feathub.create_feature_group('hops_group', source => 'hops', primary_key => '{id}', event_time => 'at');
SELECT feathub.wait_for_job('hops_group', '60 s')});
is($sql->('SELECT id, v FROM hops_group_online ORDER BY id'), "0|0\n2|1\n3|1.5\n4|2", 'a deletion is applied');
is($sql->(q{SELECT applied, skipped, dead_letters FROM feathub.job_status WHERE job = 'hops_group'}), '6|1|0', 'the other group\'s is passed over');
$sql->(q{INSERT INTO hops VALUES (20, '2024-01-02', 2.5, '{1,2}', '(q)'), (21, NULL, NULL, NULL, NULL); DELETE FROM hops WHERE id = 21});
is(python($client . <<'EOP'), <<'EOE', 'our messages in that layout');
consumer = Consumer({'bootstrap.servers': servers, 'group.id': 'hops', 'auto.offset.reset': 'earliest'})
consumer.subscribe(['hops'])
seen = []
for i in range(600):
  if len(seen) == 10: break
  message = consumer.poll(0.1)
  if message is None: continue
  assert message.error() is None, message.error()
  seen.append(message)
for message in seen[7:]:
  row = fastavro.schemaless_reader(io.BytesIO(message.value()), encoded)
  for name in parts: row[name] = None if row[name] is None else fastavro.schemaless_reader(io.BytesIO(row[name]), parts[name])
  print(message.key(), sorted(message.headers()), row['id'], row['v'], row['l'], row['s'])
EOP
b'20' [('featureGroupId', b'10'), ('projectId', b'119'), ('subjectId', b'77')] 20 2.5 [1, 2] {'a': 'q'}
b'21' [('featureGroupId', b'10'), ('projectId', b'119'), ('subjectId', b'77')] 21 None None None
b'21' [('featureGroupId', b'10'), ('operation', b'delete'), ('projectId', b'119'), ('subjectId', b'77')] 21 None None None
EOE

note('Debezium');
python(<<'EOP');
value = {"type": "record", "name": "Value", "fields": [{"name": "id", "type": "int"}, {"name": "at", "type": {"type": "long", "connect.name": "io.debezium.time.MicroTimestamp"}},
 {"name": "z", "type": ["null", {"type": "string", "connect.name": "io.debezium.time.ZonedTimestamp"}]}, {"name": "d", "type": ["null", {"type": "int", "connect.name": "io.debezium.time.Date"}]}]}
schema = {"type": "record", "name": "Envelope", "namespace": "db.inventory.t", "fields": [{"name": "before", "type": ["null", value]}, {"name": "after", "type": ["null", "Value"]},
 {"name": "source", "type": {"type": "record", "name": "Source", "fields": [{"name": "table", "type": "string"}, {"name": "ts_ms", "type": "long"}]}},
 {"name": "op", "type": "string"}, {"name": "ts_ms", "type": ["null", "long"]}]}
def row(i, seconds=0): return dict(id=i, at=1704067200000000 + seconds * 1000000, z='2024-01-01T00:00:00Z', d=19723)
def change(op, before, after, ts): return dict(op=op, before=before, after=after, ts_ms=ts, source={'table': 't', 'ts_ms': ts})
key = lambda r: {'id': ((r.get('after') or r.get('before')) if r.get('op') else r)['id']}
write('changes', schema, [change('r', None, row(1), 1704067200000), change('c', None, row(2), 1704067201000), change('u', row(1), row(1, 5), 1704067205000),
  change('d', row(2), None, 1704067206000), dict(value=None, id=2)], key, {"type": "record", "name": "Key", "fields": [{"name": "id", "type": "int"}]})
EOP
$sql->(q{IMPORT FOREIGN SCHEMA kafka LIMIT TO (changes) FROM SERVER kafka INTO imported OPTIONS (registry 'true');
CREATE FOREIGN TABLE changes (id int, at timestamptz, z timestamptz, d date, op text OPTIONS (envelope 'op'), tab text OPTIONS (envelope 'source.table'), none text OPTIONS (envelope 'source.none'))
 SERVER kafka OPTIONS (topic 'changes', format 'debezium-avro')});
is($sql->(q{SELECT ftoptions FROM pg_foreign_table WHERE ftrelid = 'imported.changes'::regclass}), '{topic=changes,format=debezium-avro,key_format=avro}', 'imported as what it is');
is($sql->('SELECT * FROM changes'), '1|2024-01-01 00:00:00+00|2024-01-01 00:00:00+00|2024-01-01|r|t|
2|2024-01-01 00:00:00+00|2024-01-01 00:00:00+00|2024-01-01|c|t|
1|2024-01-01 00:00:05+00|2024-01-01 00:00:00+00|2024-01-01|u|t|
2|2024-01-01 00:00:00+00|2024-01-01 00:00:00+00|2024-01-01|d|t|', 'changes');
$sql->(q{SELECT feathub.create_feature_group('changed', source => 'changes', primary_key => '{id}', event_time => 'at');
SELECT feathub.wait_for_job('changed', '60 s')});
is($sql->('SELECT id, at FROM changed_online'), '1|2024-01-01 00:00:05+00', 'a group of them');
is($sql->(q{SELECT applied, skipped, dead_letters FROM feathub.job_status WHERE job = 'changed'}), '4|1|0', 'the tombstone says nothing');
done_testing();
