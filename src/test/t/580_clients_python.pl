# Clients of the Stream API without a framework: Python's confluent-kafka, kcat
# and Kafka's own console producer write to topics that groups ingest.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use FeathubClients;
use FeathubRegistry;
use FeathubTest;
use IPC::Run ();
use PostgreSQL::Test::Utils;
use Test::More;

my $python = client_folder('python') . '/bin/python3';
my $kafka = kafka_start();
my $node = new_node('clients', conf => "feathub.source_interval = '500ms'\n");
my $rows = PostgreSQL::Test::Utils::tempdir() . '/rows.json';
my $sql = sub { $node->safe_psql('postgres', $_[0]) };
my %replace = ('broker1:9092' => $kafka->{bootstrap});

# What every program below begins with: the rows in Python's own types.
my $begin = <<"EOP";
import json, sys
from datetime import date, datetime
from decimal import Decimal
from confluent_kafka import Producer

def rows():
    for line in open('$rows', encoding='utf-8'):
        row = json.loads(line, parse_float=Decimal)
        row['at'] = datetime.fromisoformat(row['at'])
        row['day'] = date.fromisoformat(row['day'])
        row['ratio'] = float(row['ratio'])
        yield row

def check(error, message):
    if error is not None:
        raise RuntimeError(error)

def producer(**options):
    return Producer({'bootstrap.servers': '$kafka->{bootstrap}', 'message.max.bytes': 1048576,
        **{name.replace('_', '.'): value for name, value in options.items()}})

EOP

sub python
{
	my ($code) = @_;
	return run_program([ $python, '-' ], $begin . $code);
}

make_row_table($node, 500);
write_rows($node, $rows);

# Every codec, keys and headers.
follow_rows($node, $kafka, 'python_json');
python(<<'EOP');
codecs = ('none', 'gzip', 'snappy', 'lz4', 'zstd')
producers = [producer(compression_type=codec, enable_idempotence=True, linger_ms=20) for codec in codecs]
for row in rows():
    i = row['id'] % 5
    producers[i].produce('python_json', key=str(row['id']), value=json.dumps(row, default=str), on_delivery=check,
        headers=[('codec', codecs[i]), ('empty', b''), ('null', None), ('codec', 'é')])
    producers[i].poll(0)
for p in producers:
    assert p.flush(60) == 0
EOP
check_rows($node, 'python_json', 'confluent-kafka, json');
is($sql->(q{SELECT count(*), count(*) FILTER (WHERE convert_from(sent_key, 'UTF8') = id::text),
	  count(*) FILTER (WHERE sent_headers = jsonb_build_array(
	    jsonb_build_object('key', 'codec', 'value', (ARRAY['none', 'gzip', 'snappy', 'lz4', 'zstd'])[id % 5 + 1]),
	    jsonb_build_object('key', 'empty', 'value', ''), jsonb_build_object('key', 'null', 'value', NULL),
	    jsonb_build_object('key', 'codec', 'value', 'é')))
	  FROM python_json_arrived}), '500|500|500', 'with their keys and headers');

# Transactions: what was aborted, by the producer or by the broker for a newer
# one of its name, is not ingested.
follow_rows($node, $kafka, 'python_txn');
is(python(<<'EOP'), "fenced\n", 'a producer is fenced');
from confluent_kafka import KafkaException
first, second = (producer(transactional_id='clients', linger_ms=5) for _ in range(2))
def send(p, some):
    for row in some:
        p.produce('python_txn', key=str(row['id']), value=json.dumps(row, default=str), on_delivery=check)
    assert p.flush(60) == 0
all = list(rows())
wrong = [dict(row, name='aborted', id=row['id'] + 100000 * (row['id'] % 2)) for row in all]
first.init_transactions(60)
first.begin_transaction(); send(first, wrong); first.abort_transaction(60)
first.begin_transaction(); send(first, all[:200]); first.commit_transaction(60)
first.begin_transaction(); send(first, wrong)
second.init_transactions(60)
second.begin_transaction(); send(second, all[200:]); second.commit_transaction(60)
try:
    first.commit_transaction(60)
except KafkaException as e:
    print('fenced' if e.args[0].fatal() else e)
EOP
check_rows($node, 'python_txn', 'transactions');

# A broker that dies under an idempotent producer: its retries repeat nothing.
follow_rows($node, $kafka, 'python_retry');
my ($in, $out, $err) = ('', '', '');
my $code = $begin . <<'EOP';
p = producer(enable_idempotence=True, linger_ms=0, batch_num_messages=10, socket_timeout_ms=3000, reconnect_backoff_max_ms=300)
all = list(rows())
for i, row in enumerate(all):
    p.produce('python_retry', key=str(row['id']), value=json.dumps(row, default=str), on_delivery=check)
    p.poll(0)
    if i == 250:
        print('half', flush=True)
    if i >= 250:
        p.poll(0.01)
print('rest', p.flush(90), flush=True)
EOP
append_to_file("$rows.py", $code);
my $client = IPC::Run::start([ $python, "$rows.py" ], '<', \$in, '>', \$out, '2>', \$err);
$client->pump until $out =~ /half/ || !$client->pumpable;
kafka_kill($kafka);
kafka_restart($kafka);
$client->finish;
is($out, "half\nrest 0\n", 'a producer outlives its broker') or diag($err);
check_rows($node, 'python_retry', 'retries');

# kcat and the console producer send lines.
foreach my $tool (qw(kcat console))
{
	my $lines = $sql->(q{SELECT id::text || E'\t' || json_build_object('id', id, 'at', at, 'price', price, 'name', name, 'flag', flag, 'tags', tags,
		  'ratio', ratio, 'day', day, 'pad', pad) FROM client_row ORDER BY id}) . "\n";

	follow_rows($node, $kafka, $tool);
	if ($tool eq 'kcat')
	{
		run_program([ 'kcat', '-b', $kafka->{bootstrap}, '-t', $tool, '-P', '-K', "\t", '-z', 'snappy', '-X', 'message.max.bytes=1048576', '-H', 'by=kcat' ],
			$lines);
	}
	else
	{
		my $kafka_sh = $ENV{FEATHUB_KAFKA};

		run_program([ $kafka_sh, 'tool', 'console-producer', '--bootstrap-server', $kafka->{bootstrap}, '--topic', $tool,
			'--property', 'parse.key=true', '--compression-codec', 'lz4' ], $lines);
	}
	check_rows($node, $tool, $tool);
}
is($sql->(q{SELECT DISTINCT sent_headers FROM kcat_arrived}), '[{"key": "by", "value": "kcat"}]', "kcat's header");

# The manual's recipes, as they stand there.
kafka_create_topic($kafka, 'rides', 2);
$sql->(recipe('group'));
run_program([ $python, '-' ], recipe('python', %replace));
run_program([ 'bash', '-e', '-c', recipe('kcat', %replace) ]);
$sql->(q{SELECT feathub.wait_for_job('ride', timeout => '60 s')});
is($sql->(q{SELECT * FROM ride_online ORDER BY rider}), join("\n",
		'ann|2024-05-01 08:30:00.000001+00|4.250|{Depot,"Zoo, east"}',
		'bea|2024-05-01 09:00:00+00|1.500|'), "the manual's recipes of Python and kcat");
is($sql->(q{SELECT rider, feathub_deleted FROM ride WHERE rider LIKE 'b%' ORDER BY 1}), "bea|f\nbob|t\nbud|t", 'with deletions');

# Avro with a schema registry, in two versions of its schema, and keys.
SKIP:
{
	my $registry = registry_start();

	skip('no schema registry', 1) unless $registry;
	$replace{'http://registry1:8081'} = $registry;
	$sql->("CREATE SERVER avro FOREIGN DATA WRAPPER feathub_kafka
	  OPTIONS (bootstrap_servers '$kafka->{bootstrap}', schema_registry_url '$registry', connect_timeout '30')");
	follow_rows($node, $kafka, 'python_avro', server => 'avro', options => "format 'avro', key_format 'avro'",
		mapping => { id => "key 'true'" }, columns => 'added int', arguments => 'deletes => true');
	my $avro = "registry = '$registry'\n" . <<'EOP';
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroSerializer
from confluent_kafka.serialization import MessageField, SerializationContext
client = SchemaRegistryClient({'url': registry})
def null(type): return ['null', type]
fields = [('id', 'long'), ('at', {'type': 'long', 'logicalType': 'timestamp-micros'}),
    ('price', null({'type': 'bytes', 'logicalType': 'decimal', 'precision': 14, 'scale': 4})), ('name', null('string')), ('flag', null('boolean')),
    ('tags', null({'type': 'array', 'items': null('string')})), ('ratio', 'double'), ('day', {'type': 'int', 'logicalType': 'date'}), ('pad', 'string')]
def serializer(fields):
    return AvroSerializer(client, json.dumps({'type': 'record', 'name': 'Row', 'namespace': 'test.feathub',
        'fields': [dict(name=name, type=type, **({'default': 7} if name == 'added' else {})) for name, type in fields]}))
values = [serializer(fields), serializer([('added', 'int')] + fields[::-1])]
keys = AvroSerializer(client, json.dumps({'type': 'record', 'name': 'Key', 'fields': [{'name': 'id', 'type': 'long'}]}))
p = producer(enable_idempotence=True, compression_type='zstd')
def send(id, row, serialize):
    p.produce('python_avro', key=keys({'id': id}, SerializationContext('python_avro', MessageField.KEY)),
        value=serialize(row, SerializationContext('python_avro', MessageField.VALUE)) if row else None, on_delivery=check)
    p.poll(0)
EOP
	python($avro . <<'EOP');
for row in rows():
    send(row['id'], dict(row, added=row['id']), values[row['id'] % 2])
assert p.flush(60) == 0
EOP
	check_rows($node, 'python_avro', 'confluent-kafka, avro');
	is($sql->(q{SELECT count(*) FILTER (WHERE added = id), count(*) FILTER (WHERE added IS NULL) FROM python_avro}), '250|250', 'in two versions of the schema');
	is($sql->(q{SELECT count(DISTINCT substr(sent_key, 1, 5)), count(DISTINCT sent_key) FROM python_avro_arrived}), '1|500', 'with keys of one schema');

	python($avro . <<'EOP');
for id in range(1, 500, 2):
    send(id, None, None)
assert p.flush(60) == 0
EOP
	$sql->(q{SELECT feathub.wait_for_job('python_avro', timeout => '60 s')});
	is($sql->(q{SELECT count(*), count(*) FILTER (WHERE id % 2 = 0) FROM python_avro_online}), '250|250', 'and tombstones with such keys');

	kafka_create_topic($kafka, 'trips', 2);
	$sql->(recipe('avro_group', %replace));
	run_program([ $python, '-' ], recipe('avro', %replace));
	$sql->(q{SELECT feathub.wait_for_job('trip', timeout => '60 s')});
	is($sql->('SELECT * FROM trip_online'), 'ann|2024-05-01 08:30:00.000001+00|4.250|{Depot,"Zoo, east"}', "the manual's recipe");
}
done_testing();
