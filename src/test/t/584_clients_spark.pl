# Apache Spark as a client: batches and streams of rows to topics that groups
# ingest, as json and avro; reading the topics that we write; appending to and
# reading tables over JDBC; and parquet files, both ways.
#
# All in one file, for one session of Spark.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use FeathubClients;
use FeathubSpark;
use FeathubTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $installation = client_folder('spark');
my $kafka = kafka_start();
my $node = new_node('spark', conf => "feathub.source_interval = '500ms'\nlisten_addresses = '127.0.0.1'\n");
my $folder = PostgreSQL::Test::Utils::tempdir();
my $sql = sub { $node->safe_psql('postgres', $_[0]) };
my $port = $node->port;
my %replace = (
	'broker1:9092' => $kafka->{bootstrap},
	'db1:5432/features' => "127.0.0.1:$port/postgres",
	"'/data/rides'" => "'$folder/rides'",
	"'/data/rides_checkpoint'" => "'$folder/rides_checkpoint'");

make_row_table($node, 500);
mkdir "$folder/rows" or die $!;
write_rows($node, "$folder/rows.json");
spark_start($installation, $folder);

#
# Topics
#
follow_rows($node, $kafka, $_) foreach qw(spark_batch spark_stream);
my $avro_schema = '{"type": "record", "name": "row", "fields": [{"name": "id", "type": "long"},'
  . '{"name": "at", "type": ["null", {"type": "long", "logicalType": "timestamp-micros"}]},'
  . '{"name": "price", "type": ["null", {"type": "bytes", "logicalType": "decimal", "precision": 14, "scale": 4}]},'
  . '{"name": "name", "type": ["null", "string"]}, {"name": "flag", "type": ["null", "boolean"]},'
  . '{"name": "tags", "type": ["null", {"type": "array", "items": ["null", "string"]}]}, {"name": "ratio", "type": ["null", "double"]},'
  . '{"name": "day", "type": ["null", {"type": "int", "logicalType": "date"}]}, {"name": "pad", "type": ["null", "string"]}]}';
follow_rows($node, $kafka, 'spark_avro', options => "format 'avro', avro_schema '$avro_schema'");
spark(<<"EOP");
server = {'kafka.bootstrap.servers': '$kafka->{bootstrap}'}
avro_schema = '$avro_schema'
EOP
spark(<<'EOP');
from pyspark.sql.functions import struct
from pyspark.sql.avro.functions import to_avro
schema = 'id bigint, at timestamp, price decimal(14,4), name string, flag boolean, tags array<string>, ratio double, day date, pad string'
value = """to_json(struct(*), map('timestampFormat', "yyyy-MM-dd'T'HH:mm:ss.SSSSSSXXX"))"""
rows = spark.read.schema(schema).json('rows.json').cache()
rows.selectExpr('cast(id AS string) AS key', f'{value} AS value', "array(struct('by' AS key, cast('spark é' AS binary) AS value)) AS headers")   .write.format('kafka').options(**server).option('includeHeaders', 'true').option('kafka.compression.type', 'gzip').option('topic', 'spark_batch').save()
rows.withColumn('id', rows.id.cast('bigint')).select(to_avro(struct(*rows.columns), avro_schema).alias('value'))   .write.format('kafka').options(**server).option('kafka.compression.type', 'zstd').option('topic', 'spark_avro').save()

# two runs of a stream that goes on where its checkpoint stands
def run_stream():
  query = spark.readStream.schema(schema).option('maxFilesPerTrigger', 1).json('rows')     .selectExpr('cast(id AS string) AS key', f'{value} AS value')     .writeStream.format('kafka').options(**server).option('kafka.compression.type', 'snappy').option('topic', 'spark_stream')     .option('checkpointLocation', 'checkpoint').trigger(availableNow=True).start()
  query.awaitTermination()
lines = open('rows.json', encoding='utf-8').readlines()
for run in range(2):
  for file in range(2):
    part = 2 * run + file
    with open(f'rows/.{part}.json', 'w', encoding='utf-8') as f:
      f.writelines(lines[part * 125:part * 125 + 125])
    os.rename(f'rows/.{part}.json', f'rows/{part}.json')
  run_stream()
EOP
foreach my $name (qw(spark_batch spark_avro spark_stream))
{
	check_rows($node, $name, $name);
}
is($sql->(q{SELECT count(*) FILTER (WHERE convert_from(sent_key, 'UTF8') = id::text AND sent_headers = '[{"key": "by", "value": "spark é"}]')
	FROM spark_batch_arrived}), 500, 'with keys and headers');

# What we write to topics.
kafka_create_topic($kafka, 'our_rows', 2);
my $columns = 'id bigint, at timestamptz, price numeric(14,4), name text, flag bool, tags text[], ratio float8, day date, pad text';
$sql->(qq{
	CREATE FOREIGN TABLE our_rows ($columns, key text OPTIONS (metadata 'key'), headers jsonb OPTIONS (metadata 'headers'))
	  SERVER kafka OPTIONS (topic 'our_rows', format 'json', transactional 'true', transactional_id 'ours');
	BEGIN; INSERT INTO our_rows SELECT * FROM client_row; ROLLBACK;
	INSERT INTO our_rows SELECT *, id, '[{"key": "by", "value": "us"}]' FROM client_row;
});
is(spark(<<'EOP'), "500 500 True\n", 'Spark reads our rows, without those rolled back');
got = spark.read.format('kafka').options(**server).option('kafka.isolation.level', 'read_committed').option('includeHeaders', 'true')   .option('subscribe', 'our_rows').load()   .selectExpr('cast(key AS string) AS key', "from_json(cast(value AS string), '%s') AS r" % schema, 'cast(headers[0].value AS string) AS by').cache()
ours = got.select('r.*')
print(ours.count(), got.where("by = 'us' AND key = r.id").count(), sorted(map(str, ours.collect())) == sorted(map(str, rows.collect())))
EOP

#
# The manual's recipes, as another user
#
my $alice = sub { $node->safe_psql('postgres', $_[0], extra_params => [ '-U', 'alice' ]) };
kafka_create_topic($kafka, 'rides', 2);
mkdir "$folder/rides" or die $!;
append_to_file("$folder/rides/1.json", qq({"rider": "eve", "started_at": "2024-05-01T11:00:00.000001Z", "km": 0.125, "stops": []}\n));
$sql->('CREATE ROLE alice LOGIN; GRANT CREATE ON SCHEMA public TO alice; GRANT USAGE ON FOREIGN SERVER kafka TO alice');
$alice->(recipe('group'));
spark(recipe('spark', %replace));
$alice->(q{SELECT feathub.wait_for_job('ride', timeout => '60 s')});
is($alice->('SELECT * FROM ride_online ORDER BY rider'), join("\n",
		'dee|2024-05-01 10:00:00.000001+00|3.500|{Mall}', 'eve|2024-05-01 11:00:00.000001+00|0.125|{}'), "the manual's recipe for Kafka");
spark(recipe('spark_jdbc', %replace));
$alice->(recipe('spark_backfill'));
is($alice->(q{SELECT * FROM ride_online WHERE rider = 'fay'}), 'fay|2024-05-01 12:00:00.000001+00|9.000|{"Old town",Zoo}', 'and for JDBC');

#
# JDBC: all rows into a table, and into the offline table of a group
#
$sql->(qq{
	CREATE TABLE jdbc_rows ($columns);
	CREATE TABLE loaded ($columns);
	SELECT feathub.create_feature_group('loaded_group', source => 'loaded', primary_key => '{id}', event_time => 'at');
	GRANT SELECT, INSERT ON jdbc_rows, loaded_group TO alice;
});
my $same = sub {
	is($sql->("(TABLE client_row EXCEPT TABLE $_[0]) UNION ALL (TABLE $_[0] EXCEPT TABLE client_row)"), '', "$_[0]: unchanged");
	is($sql->("SELECT count(*) FROM $_[0]"), 500, "$_[0]: each row once");
};
spark(<<"EOP");
url, login = 'jdbc:postgresql://127.0.0.1:$port/postgres', {'user': 'alice', 'driver': 'org.postgresql.Driver'}
EOP
like(spark(<<'EOP'), qr/duplicate key value violates unique constraint "loaded_group_pkey"/, 'what is there already is refused');
rows.repartition(2).write.jdbc(url, 'jdbc_rows', mode='append', properties=login)
rows.write.jdbc(url, 'loaded_group', mode='append', properties=login)
try:
  rows.limit(1).write.jdbc(url, 'loaded_group', mode='append', properties=login)
except Exception as e:
  print(e)
EOP
$same->('jdbc_rows');
$same->('loaded_group');
is($sql->(q{SELECT count(*) FROM loaded_group_online}), 0, 'the online table is left alone');
is($sql->(q{SELECT feathub.backfill('loaded_group', 'SELECT * FROM jdbc_rows', online => true)}), 0, 'until a backfill writes it');
$same->('loaded_group_online');

# Training data, read in parallel by ranges of a column.
$sql->(q{
	CREATE TABLE visit (id int PRIMARY KEY, row_id bigint, at timestamptz, bought bool);
	INSERT INTO visit SELECT i, i % 600, '2024-03-01'::timestamptz + i * interval '1 s', i % 2 = 0 FROM generate_series(1, 1000) i;
	SELECT feathub.create_feature_view('bought', $$ SELECT v.row_id, v.at, r.price, r.name, r.tags, r.day, v.bought
	  FROM visit v LEFT JOIN loaded_group r ON r.id = v.row_id $$, event_time => 'at', labels => '{bought}');
	SELECT feathub.create_training_data('bought', name => 'bought_v1', splits => '{"train": 0.8, "test": 0.2}', seed => 42);
	GRANT SELECT ON bought, bought_v1 TO alice;
});
my $training = $sql->(q{SELECT count(*), count(name), sum(price), count(*) FILTER (WHERE bought), max(at) FROM bought_v1});
is(spark(<<'EOP'), "$training\n", 'training data');
training = spark.read.jdbc(url, 'bought_v1', column='row_id', lowerBound=0, upperBound=600, numPartitions=4, properties=login)
training.createOrReplaceTempView('training')
print(*spark.sql("SELECT count(*), count(name), sum(price), count_if(bought), cast(max(at) AS string) || '+00' FROM training").collect()[0], sep='|')
assert training.dtypes[:6] == [('row_id', 'bigint'), ('at', 'timestamp'), ('price', 'decimal(14,4)'), ('name', 'string'), ('tags', 'array<string>'), ('day', 'date')], training.dtypes
EOP
is(spark("print(spark.read.jdbc(url, 'bought', properties=login).count())\n"), "1000\n", 'and the view itself');

#
# Parquet files
#
my $lib = run_program([ 'pg_config', '--pkglibdir' ]);
chomp $lib;
if (!-e "$lib/feathub_parquet.so")
{
  SKIP: { skip('this build has no parquet: Apache Arrow was not found', 1); }
	spark_stop();
	done_testing();
	exit;
}
$sql->("CREATE SERVER files FOREIGN DATA WRAPPER feathub_filesystem OPTIONS (folder '$folder')");
my @kinds = (qw(snappy gzip zstd lz4 lz4raw none legacy int96 millis));
is(spark(<<'EOP'), "written\n", 'Spark writes');
d = spark.sql("""select * from values
 (true, 1Y, 2S, 3, 4L, 1.5F, 0.1D, 12345678.90BD, 1234567890123456789012345678.0123456789BD, 'h\u00e9', X'0001',
  date'2024-02-29', timestamp'2024-07-01 12:00:00.123', timestamp_ntz'2024-07-01 12:00:00.123', array(1, null, 3),
  array(named_struct('a', 1, 'b', 'x'), null), map('k', 1, 'l', null), named_struct('a', 1, 'b', 'y')),
 (null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null),
 (false, -128Y, -32768S, -2147483648, -9223372036854775807L - 1, float('inf'), double('nan'), -0.01BD, -0.0000000001BD, '', X'',
  date'1900-01-01', timestamp'1969-12-31 23:59:59.999', timestamp_ntz'1900-01-01 00:00:00', array(), array(), map(), named_struct('a', null, 'b', 'z'))
 as t(b, i1, i2, i4, i8, f4, f8, d10, d38, s, bin, d, tz, ts, li, ls, m, st)""")
d = d.selectExpr('b', 'i1', 'i2', 'i4', 'i8', 'f4', 'f8', 'cast(d10 as decimal(10,2)) d10', 'cast(d38 as decimal(38,10)) d38', 's', 'bin',
 'd', 'tz', 'ts', 'cast(li as array<int>) li', 'cast(ls as array<struct<a:int,b:string>>) ls', 'cast(m as map<string,int>) m', 'st').coalesce(1)
conf = spark.conf.set
conf('spark.sql.parquet.outputTimestampType', 'TIMESTAMP_MICROS')
for c in ('snappy', 'gzip', 'zstd', 'lz4', 'lz4raw', 'none'):
  d.write.parquet(c, compression=c)
conf('spark.sql.parquet.outputTimestampType', 'TIMESTAMP_MILLIS')
d.write.parquet('millis')
conf('spark.sql.parquet.outputTimestampType', 'INT96')
d.write.parquet('int96')
conf('spark.sql.parquet.writeLegacyFormat', 'true')
d.write.parquet('legacy')
conf('spark.sql.parquet.writeLegacyFormat', 'false')
spark.range(10).selectExpr('id', "case id % 3 when 0 then 'a b=c/d' when 1 then 'x' end as p", 'int(id % 2) as q').coalesce(1).write.partitionBy('p', 'q').parquet('parts')
spark.range(300000).selectExpr('id', "concat('name ', id, repeat('x', 20)) as name").coalesce(1) \
  .write.option('parquet.block.size', 1 << 20).parquet('groups')
print('written')
EOP
ok(-e "$folder/snappy/_SUCCESS" && glob("$folder/snappy/.*.crc"), 'with marks and sums');

my $expected = join("\n",
	'f|-128|-32768|-2147483648|-9223372036854775808|Infinity|NaN|-0.01|-0.0000000001||\x|1900-01-01|1969-12-31 23:59:59.999+00'
	  . '|1900-01-01 00:00:00|{}|[]|{}|{"a": null, "b": "z"}',
	't|1|2|3|4|1.5|0.1|12345678.90|1234567890123456789012345678.0123456789|hé|\x0001|2024-02-29|2024-07-01 12:00:00.123+00'
	  . '|2024-07-01 12:00:00.123|{1,NULL,3}|[{"a": 1, "b": "x"}, null]|{"k": 1, "l": null}|{"a": 1, "b": "y"}',
	'|' x 17);
$sql->('CREATE SCHEMA imported');
$sql->('IMPORT FOREIGN SCHEMA "." LIMIT TO (' . join(', ', map { "\"$_\"" } @kinds, 'groups', 'parts') . ') FROM SERVER files INTO imported');
is($sql->(q{SELECT string_agg(attname || ' ' || format_type(atttypid, atttypmod), ', ' ORDER BY attnum)
	FROM pg_attribute WHERE attrelid = 'imported.snappy'::regclass AND attnum > 0}),
	'b boolean, i1 smallint, i2 smallint, i4 integer, i8 bigint, f4 real, f8 double precision, d10 numeric(10,2), d38 numeric(38,10), s text, '
	  . 'bin bytea, d date, tz timestamp with time zone, ts timestamp without time zone, li integer[], ls jsonb, m jsonb, st jsonb', 'types');
foreach my $kind (@kinds)
{
	# int96 does not tell that it is an instant
	my $tz = $kind =~ /legacy|int96/ ? "(tz AT TIME ZONE 'UTC')" : 'tz';

	is($sql->("SELECT b, i1, i2, i4, i8, f4, f8, d10, d38, s, bin, d, $tz, ts, li, ls, m, st FROM imported.\"$kind\" ORDER BY b"),
		$expected, "$kind is read");
}
$sql->(q{CREATE FOREIGN TABLE instant (b bool, tz timestamptz) SERVER files OPTIONS (path 'int96', format 'parquet', timezone 'UTC')});
is($sql->(q{SET timezone = 'Europe/Berlin'; SELECT tz FROM instant WHERE b}), '2024-07-01 14:00:00.123+02', 'int96 as an instant');
$sql->(q{CREATE TYPE ab AS (a int, b text);
	CREATE FOREIGN TABLE composite (ls ab[], st ab, b bool) SERVER files OPTIONS (path 'legacy', format 'parquet')});
is($sql->('SELECT ls, st FROM composite WHERE b'), '{"(1,x)",NULL}|(1,y)', 'structs as composite types, of the legacy layout too');
is($sql->('SELECT count(*), sum(id), min(name) FROM imported.groups'), '300000|44999850000|name 0' . 'x' x 20, 'large file');
my ($all, $one) = map {
	$sql->("EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) SELECT * FROM imported.groups WHERE $_") =~ /Units Read: (\d+)/
} 'id >= 0', 'id = 5';
cmp_ok($all, '>', 1, 'several row groups');
is($one, 1, 'by their statistics one is read');
$sql->(q{CREATE FOREIGN TABLE parts (id bigint, p text OPTIONS (partition 'true'), q int OPTIONS (partition 'true'))
	SERVER files OPTIONS (path 'parts', format 'parquet')});
is($sql->('SELECT p, sum(id), count(*) FROM parts GROUP BY p ORDER BY p'), "a b=c/d|18|4\nx|12|3\n|15|3", 'partitions');

# Spark reads ours.
$sql->(q{CREATE TABLE w (id int, b bool, i2 int2, i8 int8, f4 float4, f8 float8, n numeric, d10 numeric(10,2), d38 numeric(38,10), t text,
	by bytea, d date, ts timestamp, tz timestamptz, jb jsonb, ia int[], ta text[], st ab, sta ab[]);
	INSERT INTO w VALUES (1, true, -2, -9223372036854775808, 1.5, 0.1, 12.345, -1.25, 1234567890123456789012345678.0123456789, 'hé', '\x0001',
	 '1900-01-01', '2024-07-01 12:00:00.123456', '2024-07-01 12:00:00.123456+02', '{"a": 1}', '{1,NULL,3}', '{a,NULL}', (1,'x'), array[(1,'x')::ab, null]);
	INSERT INTO w (id) VALUES (2);
	INSERT INTO w (id, ia, sta, t) SELECT i, '{}', '{}', '' FROM generate_series(3, 20000) i});
my $w_columns = $sql->(q{SELECT string_agg(format('%I %s', attname, format_type(atttypid, atttypmod)), ', ' ORDER BY attnum)
	FROM pg_attribute WHERE attrelid = 'w'::regclass AND attnum > 0});
foreach my $codec (qw(none snappy gzip zstd lz4))
{
	$sql->("CREATE FOREIGN TABLE w_$codec ($w_columns) SERVER files OPTIONS (path 'our_$codec', format 'parquet', codec '$codec', row_group_rows '6000');
		INSERT INTO w_$codec SELECT * FROM w");
}
$sql->(q{CREATE FOREIGN TABLE our_parts (id bigint, p text OPTIONS (partition 'true')) SERVER files OPTIONS (path 'our_parts', format 'parquet');
	INSERT INTO our_parts SELECT i, (array['a b=c/d', 'x'])[i % 3] FROM generate_series(0, 9) i;
	CREATE FOREIGN TABLE our_time (ti time) SERVER files OPTIONS (path 'our_time', format 'parquet'); INSERT INTO our_time VALUES ('01:02:03');
	CREATE FOREIGN TABLE our_uuid (u uuid) SERVER files OPTIONS (path 'our_uuid', format 'parquet');
	INSERT INTO our_uuid VALUES ('00000000-0000-0000-0000-000000000001');
	CREATE FOREIGN TABLE our_d50 (n numeric(50,10)) SERVER files OPTIONS (path 'our_d50', format 'parquet'); INSERT INTO our_d50 VALUES (1);
	CREATE FOREIGN TABLE our_brotli (i int) SERVER files OPTIONS (path 'our_brotli', format 'parquet', codec 'brotli'); INSERT INTO our_brotli VALUES (1)});
my $out = spark(<<'EOP');
import json
for c in ('none', 'snappy', 'gzip', 'zstd', 'lz4'):
  d = spark.read.parquet('our_' + c)
  print(c, d.count(), d.selectExpr('sum(id)').collect()[0][0], d.where('id = 19999').count())
print(d.schema.simpleString())
for r in d.where('id <= 3').orderBy('id').selectExpr('*', 'cast(tz as string) as tzs').drop('tz').collect():
  print(*[repr(v) for v in r], sep='|')
for r in spark.read.parquet('our_parts').groupBy('p').sum('id').orderBy('p').collect(): print(r[0], r[1])
for n in ('time', 'uuid', 'd50', 'brotli'):
  try: print(n, spark.read.parquet('our_' + n).collect())
  except Exception as e: print(n, [t for t in ('Illegal Parquet type', 'precision 50 exceeds max precision 38', 'BrotliCodec was not found') if t in str(e)] or e)
EOP
is($out, <<'EOP', 'Spark reads ours, but for what it has no type for');
none 20000 200010000 1
snappy 20000 200010000 1
gzip 20000 200010000 1
zstd 20000 200010000 1
lz4 20000 200010000 1
struct<id:int,b:boolean,i2:smallint,i8:bigint,f4:float,f8:double,n:string,d10:decimal(10,2),d38:decimal(38,10),t:string,by:binary,d:date,ts:timestamp_ntz,tz:timestamp,jb:string,ia:array<int>,ta:array<string>,st:struct<a:int,b:string>,sta:array<struct<a:int,b:string>>>
1|True|-2|-9223372036854775808|1.5|0.1|'12.345'|Decimal('-1.25')|Decimal('1234567890123456789012345678.0123456789')|'hé'|bytearray(b'\x00\x01')|datetime.date(1900, 1, 1)|datetime.datetime(2024, 7, 1, 12, 0, 0, 123456)|'{"a": 1}'|[1, None, 3]|['a', None]|Row(a=1, b='x')|[Row(a=1, b='x'), None]|'2024-07-01 10:00:00.123456'
2|None|None|None|None|None|None|None|None|None|None|None|None|None|None|None|None|None|None
3|None|None|None|None|None|None|None|None|''|None|None|None|None|[]|None|None|[]|None
None 18
a b=c/d 12
x 15
time ['Illegal Parquet type']
uuid ['Illegal Parquet type']
d50 ['precision 50 exceeds max precision 38']
brotli ['BrotliCodec was not found']
EOP
spark_stop();
done_testing();
