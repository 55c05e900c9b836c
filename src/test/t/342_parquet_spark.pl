# Parquet files of Apache Spark, read and written.
#
# Spark is a download of 300 MB, so this runs only with FEATHUB_TEST_SPARK=1.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use FeathubParquet;
use FeathubTest;
use IPC::Run ();
use PostgreSQL::Test::Utils;
use Test::More;

plan(skip_all => 'FEATHUB_TEST_SPARK=1 is not set') unless $ENV{FEATHUB_TEST_SPARK};
plan(skip_all => 'Apache Spark could not be installed') unless -x ($ENV{FEATHUB_SPARK_VENV} || '') . '/bin/python3';
parquet_python();
my $node = new_node('spark');
my $folder = PostgreSQL::Test::Utils::tempdir();
my $sql = sub { $node->safe_psql('postgres', $_[0]) };

# Run code in the folder with a session of Spark; what it printed.
sub spark
{
	my ($code) = @_;
	my ($out, $err) = ('', '');

	local @ENV{qw(FOLDER PYTHONIOENCODING TZ)} = ($folder, 'utf-8', 'UTC');
	$code = <<'EOP' . $code;
import os
os.chdir(os.environ['FOLDER'])
from pyspark.sql import SparkSession
spark = SparkSession.builder.master('local[1]').config('spark.ui.enabled', 'false') \
  .config('spark.driver.host', '127.0.0.1').config('spark.driver.bindAddress', '127.0.0.1').config('spark.driver.memory', '600m') \
  .config('spark.local.dir', os.getcwd()).config('spark.sql.warehouse.dir', os.getcwd() + '/wh') \
  .config('spark.sql.session.timeZone', 'UTC').config('spark.sql.parquet.int96RebaseModeInWrite', 'CORRECTED') \
  .config('spark.sql.parquet.datetimeRebaseModeInWrite', 'CORRECTED').getOrCreate()
EOP
	IPC::Run::run([ "$ENV{FEATHUB_SPARK_VENV}/bin/python3", '-' ], '<', \$code, '>', \$out, '2>', \$err) or die "spark: $err";
	return $out;
}

$sql->("CREATE SERVER files FOREIGN DATA WRAPPER feathub_filesystem OPTIONS (folder '$folder');
	ALTER DATABASE postgres SET timezone = 'UTC'");

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
my $columns = $sql->(q{SELECT string_agg(format('%I %s', attname, format_type(atttypid, atttypmod)), ', ' ORDER BY attnum)
	FROM pg_attribute WHERE attrelid = 'w'::regclass AND attnum > 0});
foreach my $codec (qw(none snappy gzip zstd lz4))
{
	$sql->("CREATE FOREIGN TABLE w_$codec ($columns) SERVER files OPTIONS (path 'our_$codec', format 'parquet', codec '$codec', row_group_rows '6000');
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
done_testing();
