# Avro files and messages: fastavro's and DuckDB's are read, ours are read by
# fastavro.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use FeathubParquet;
use FeathubTest;
use PostgreSQL::Test::Utils;
use Test::More;

parquet_python(build => 0);
my $node = new_node('avro');
my $folder = PostgreSQL::Test::Utils::tempdir();
my $sql = sub { $node->safe_psql('postgres', $_[0]) };
my $error = sub { my (undef, undef, $err) = $node->psql('postgres', $_[0]); $err };

$sql->("CREATE SERVER files FOREIGN DATA WRAPPER feathub_filesystem OPTIONS (folder '$folder')");
$sql->(q{ALTER DATABASE postgres SET timezone = 'UTC'});

python_in($folder, <<'EOP');
import datetime as dt, decimal, uuid, fastavro
D = decimal.Decimal
utc = dt.timezone.utc
schema = {"type": "record", "name": "r", "namespace": "a.b", "fields": [
 {"name": "b", "type": "boolean"}, {"name": "i", "type": "int"}, {"name": "l", "type": ["null", "long"]}, {"name": "f", "type": "float"},
 {"name": "d", "type": "double"}, {"name": "by", "type": "bytes"}, {"name": "s", "type": "string"},
 {"name": "fx", "type": {"type": "fixed", "name": "f4", "size": 4}}, {"name": "fx2", "type": "f4"},
 {"name": "e", "type": {"type": "enum", "name": "en", "symbols": ["A", "B"]}},
 {"name": "ar", "type": {"type": "array", "items": ["null", "int"]}},
 {"name": "ar2", "type": {"type": "array", "items": {"type": "array", "items": "string"}}},
 {"name": "m", "type": {"type": "map", "values": "double"}},
 {"name": "rec", "type": ["null", {"type": "record", "name": "in", "fields": [{"name": "b", "type": "string"}, {"name": "a", "type": "long"}]}]},
 {"name": "recs", "type": {"type": "array", "items": "in"}}, {"name": "un", "type": ["null", "string", "long", "in"]},
 {"name": "dec", "type": {"type": "bytes", "logicalType": "decimal", "precision": 20, "scale": 3}},
 {"name": "decf", "type": {"type": "fixed", "name": "df", "size": 10, "logicalType": "decimal", "precision": 20, "scale": 3}},
 {"name": "date", "type": {"type": "int", "logicalType": "date"}}, {"name": "tms", "type": {"type": "int", "logicalType": "time-millis"}},
 {"name": "tus", "type": {"type": "long", "logicalType": "time-micros"}}, {"name": "tsms", "type": {"type": "long", "logicalType": "timestamp-millis"}},
 {"name": "tsus", "type": {"type": "long", "logicalType": "timestamp-micros"}}, {"name": "lts", "type": {"type": "long", "logicalType": "local-timestamp-micros"}},
 {"name": "u", "type": {"type": "string", "logicalType": "uuid"}},
 {"name": "tree", "type": {"type": "record", "name": "node", "fields": [{"name": "v", "type": "int"}, {"name": "kids", "type": {"type": "array", "items": "node"}}]}}]}
def row(i):
  return dict(b=i % 2 == 0, i=-i, l=None if i % 3 == 0 else i * 10**12, f=1.5, d=-0.5 * i, by=bytes([0, i % 256]), s='s\u00e9%d' % i, fx=b'abcd',
   fx2=b'efgh', e='AB'[i % 2], ar=[1, None, i], ar2=[['a', 'b'], ['c', 'd']], m={'x': 1.0, 'y': i * 0.5}, rec=None if i % 2 else {'b': 'q', 'a': i},
   recs=[{'b': 'z', 'a': 1}], un=[None, 'txt', 7, {'b': 'u', 'a': 9}][i % 4], dec=D(-i) / 1000, decf=D(i) * D('1000000000.001'),
   date=dt.date(1969, 12, 31), tms=dt.time(1, 2, 3, 4000), tus=dt.time(1, 2, 3, 4), tsms=dt.datetime(2024, 1, 1, tzinfo=utc),
   tsus=dt.datetime(1901, 1, 1, 1, 1, 1, 1, tzinfo=utc), lts=dt.datetime(2024, 1, 1, 1, 1, 1, 1), u=uuid.UUID(int=i), tree={'v': 1, 'kids': [{'v': 2, 'kids': []}]})
for c in ['null', 'deflate', 'xz']:
  fastavro.writer(open(f'{c}.avro', 'wb'), schema, (row(i) for i in range(1000)), codec=c)
fastavro.writer(open('large.avro', 'wb'), schema, (row(i) for i in range(200000)), codec='null')
fastavro.writer(open('empty.avro', 'wb'), schema, [])
fastavro.writer(open('plain.avro', 'wb'), 'long', range(10))
EOP
$sql->('IMPORT FOREIGN SCHEMA "." FROM SERVER files INTO public');
is($sql->(q{SELECT string_agg(attname || ' ' || format_type(atttypid, atttypmod), ', ' ORDER BY attnum)
	FROM pg_attribute WHERE attrelid = 'public.null'::regclass AND attnum > 0}),
	'b boolean, i integer, l bigint, f real, d double precision, by bytea, s text, fx bytea, fx2 bytea, e text, ar integer[], ar2 jsonb, '
	  . 'm jsonb, rec jsonb, recs jsonb, un jsonb, dec numeric(20,3), decf numeric(20,3), date date, tms time without time zone, '
	  . 'tus time without time zone, tsms timestamp with time zone, tsus timestamp with time zone, lts timestamp without time zone, u uuid, '
	  . 'tree jsonb', 'types');
is($sql->('SELECT * FROM public.null WHERE i = -6'),
	't|-6||1.5|-3|\x0006|sé6|\x61626364|\x65666768|A|{1,NULL,6}|[["a", "b"], ["c", "d"]]|{"x": 1, "y": 3}|{"a": 6, "b": "q"}|[{"a": 1, "b": "z"}]|'
	  . '7|-0.006|6000000000.006|1969-12-31|01:02:03.004|01:02:03.000004|2024-01-01 00:00:00+00|1901-01-01 01:01:01.000001+00|'
	  . '2024-01-01 01:01:01.000001|00000000-0000-0000-0000-000000000006|{"v": 1, "kids": [{"v": 2, "kids": []}]}', 'values');
for my $codec (qw(deflate xz))
{
	is($sql->("SELECT count(*) FROM public.null x JOIN $codec y USING (i) WHERE x::text = y::text"), '1000', "codec $codec");
}
is($sql->('SELECT count(*) FROM empty'), '0', 'a file without records');
is($sql->('SELECT sum(value), count(*) FROM plain'), '45|10', 'records that are no records');
$sql->('CREATE TYPE ab AS (b text, a bigint, z int)');
$sql->(q{CREATE FOREIGN TABLE other (nope int, rec ab, recs ab[], ar2 text[], un text, i bigint, "SS" varchar(9) OPTIONS (column_name 's'), m text,
	decf float8, tsms timestamp, e text) SERVER files OPTIONS (path 'null.avro', format 'avro', timezone 'Asia/Tokyo')});
is($sql->('SELECT * FROM other WHERE i = -4'), '|(q,4,)|{"(z,1,)"}|{{a,b},{c,d}}||-4|sé4|{"x": 1, "y": 2}|4000000000.004|2024-01-01 09:00:00|A', 'other types');
$sql->(q{CREATE FOREIGN TABLE wrong (i uuid) SERVER files OPTIONS (path 'null.avro', format 'avro')});
like($error->('SELECT * FROM wrong'), qr/column "i" of type uuid cannot take what file ".*null.avro" has.*DETAIL:  Field "i" of the file is of type int32/s, 'a type that does not fit');
$sql->(q{CREATE FOREIGN TABLE small (l int, i int) SERVER files OPTIONS (path 'null.avro', format 'avro')});
like($error->('SELECT * FROM small'), qr/column "l": value 1000000000000 is out of range for type integer/, 'a value that does not fit');
$sql->(q{ALTER FOREIGN TABLE small OPTIONS (ADD on_error 'skip')});
is($sql->('SELECT count(*), sum(i) FROM small'), $sql->('SELECT count(*), sum(i) FROM public.null WHERE l IS NULL'), 'records behind it are read');
is($sql->('SELECT count(*), sum(i), count(DISTINCT s) FROM large'), '200000|-19999900000|200000', 'blocks of several units, each once');
is($sql->(q{SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET min_parallel_table_scan_size = 0; SELECT count(*), sum(i) FROM large}),
	'200000|-19999900000', '... by several processes');

# Ours.
$sql->(q{CREATE TYPE mood AS ENUM ('ok', 'bad');
	CREATE TABLE w (id int, b bool, i2 int2, i8 int8, f4 float4, f8 float8, n numeric, n5 numeric(5,2), t text, by bytea, d date, ti time,
	 ts timestamp, tz timestamptz, u uuid, jb jsonb, m mood, ia int[], ia2 int[][], st ab, sta ab[], iv interval);
	INSERT INTO w VALUES (1, true, 2, 3, 1.5, 2.5, 123456789.123456789, -1.25, 'hé', '\x0001', '2024-02-29', '01:02:03.4',
	 '2024-01-01 01:02:03.456789', '2024-01-01 01:02:03+02', '00000000-0000-0000-0000-000000000001', '{"b":2}', 'ok', '{1,NULL,3}',
	 '{{1,2},{3,4}}', ('x',1,2), array[('x',1,2)::ab, null], '1 mon 2 days 03:04:05.6');
	INSERT INTO w (id) VALUES (2);
	INSERT INTO w (id, t, n5) SELECT i, 'row ' || i, i % 1000 FROM generate_series(3, 30000) i});
my $columns = $sql->(q{SELECT string_agg(format('%I %s%s', attname, format_type(atttypid, atttypmod), repeat('[]', greatest(attndims, 1) - 1)), ', ' ORDER BY attnum)
	FROM pg_attribute WHERE attrelid = 'w'::regclass AND attnum > 0});
for my $codec (qw(null deflate snappy zstandard xz))
{
	mkdir "$folder/w_$codec" or die;
	$sql->("CREATE FOREIGN TABLE w_$codec ($columns) SERVER files OPTIONS (path 'w_$codec', format 'avro', codec '$codec')");
	$sql->("INSERT INTO w_$codec SELECT * FROM w");
	is($sql->("SELECT count(*) FROM w x JOIN w_$codec y USING (id) WHERE x::text = y::text"), '30000', "rows written by $codec are read");
}
is(python_in($folder, <<'EOP'), <<'EOP2', 'fastavro reads them');
import glob, fastavro
for c in ['null', 'deflate', 'xz']:
  print(sum(1 for r in fastavro.reader(open(glob.glob(f'w_{c}/*')[0], 'rb'))))
row = next(fastavro.reader(open(glob.glob('w_deflate/*')[0], 'rb')))
for k in row: print(k, row[k].isoformat() if k == 'tz' else repr(row[k]))
EOP
30000
30000
30000
id 1
b True
i2 2
i8 3
f4 1.5
f8 2.5
n '123456789.123456789'
n5 Decimal('-1.25')
t 'hé'
by b'\x00\x01'
d datetime.date(2024, 2, 29)
ti datetime.time(1, 2, 3, 400000)
ts datetime.datetime(2024, 1, 1, 1, 2, 3, 456789)
tz 2023-12-31T23:02:03+00:00
u UUID('00000000-0000-0000-0000-000000000001')
jb '{"b": 2}'
m 'ok'
ia [1, None, 3]
ia2 [[1, 2], [3, 4]]
st {'b': 'x', 'a': 1, 'z': 2}
sta [{'b': 'x', 'a': 1, 'z': 2}, None]
iv '1 mon 2 days 03:04:05.6'
EOP2

# A schema of the user's.
my $schema = '{"type":"record","name":"r","fields":[{"name":"e","type":{"type":"enum","name":"e","symbols":["ok","bad"]}},'
  . '{"name":"n","type":{"type":"fixed","name":"f","size":6,"logicalType":"decimal","precision":9,"scale":2}},'
  . '{"name":"t","type":["string","null"]},{"name":"ts","type":{"type":"long","logicalType":"timestamp-millis"}},{"name":"more","type":["null","int"]}]}';
mkdir "$folder/own";
$sql->("CREATE FOREIGN TABLE own (ts timestamptz, e mood, n numeric(9,2), t text) SERVER files OPTIONS (path 'own', format 'avro', avro_schema '$schema')");
$sql->(q{INSERT INTO own VALUES ('2024-01-01 00:00:00.123456+00', 'bad', -1.5, NULL)});
is($sql->('SELECT * FROM own'), '2024-01-01 00:00:00.123+00|bad|-1.50|', 'written and read with a schema of the user');
like($error->(q{INSERT INTO own VALUES (NULL)}), qr/null value of column "e" cannot be written/, 'where null is not allowed');
like($error->(q{INSERT INTO own VALUES (now(), 'ok', 'NaN')}), qr/value NaN of column "n" cannot be written as decimal\(9,2\)/, 'no NaN in a decimal');
like($error->(q{CREATE FOREIGN TABLE no (a int) SERVER files OPTIONS (path 'no', format 'avro', avro_schema '{"type":"recor"}')}),
	qr/invalid Avro schema in option "avro_schema".*Type "recor" is not defined/s, 'a schema that is none');
$sql->("CREATE FOREIGN TABLE unfit (ts text, e mood, n numeric, t text) SERVER files OPTIONS (path 'own', format 'avro', avro_schema '$schema')");
like($error->(q{INSERT INTO unfit VALUES ('x')}), qr/cannot write column "ts" as its Avro schema says/, 'a column that does not fit');
$sql->("CREATE FOREIGN TABLE more (ts timestamptz, e mood, n numeric, t text, z int) SERVER files OPTIONS (path 'own', format 'avro', avro_schema '$schema')");
like($error->(q{INSERT INTO more VALUES (now())}), qr/option "avro_schema" has no field for column "z"/, 'a column that has no field');
$sql->(q{CREATE FOREIGN TABLE named ("a b" int) SERVER files OPTIONS (path 'own', format 'avro')});
like($error->(q{INSERT INTO named VALUES (1)}), qr/"a b" cannot be the name of an Avro field.*HINT:  Give the column another name/s, 'a name that Avro has not');

# Damage.
my $start = $sql->('SELECT pg_postmaster_start_time()');
my $good = slurp_file("$folder/deflate.avro");
my $null = slurp_file("$folder/null.avro");
$sql->(q{ALTER FOREIGN TABLE public.null RENAME TO damaged; ALTER FOREIGN TABLE damaged OPTIONS (SET path 'damaged.avro')});
srand(5);
my ($failed, $lost) = (0, 0);
my $write = sub { open(my $f, '>', "$folder/damaged.avro") or die; binmode $f; print $f $_[0]; close $f; };
foreach my $round (1 .. 100)
{
	my $bad = $round % 2 ? $good : $null;

	if ($round % 5 == 0) { $bad = substr($bad, 0, int(rand(length $bad))); }
	else { substr($bad, int(rand(length $bad)), 1) = chr(int(rand(256))) for 1 .. 1 + $round % 4; }
	$write->($bad);
	my ($ret, $out, $err) = $node->psql('postgres', 'SELECT count(*) FROM (SELECT * FROM damaged OFFSET 0) x');
	$failed++ if $ret;
	$lost++ if $err =~ /server closed the connection|terminated/;
}
is($lost, 0, "damaged files never end a session ($failed of 100 refused)");
is($sql->('SELECT pg_postmaster_start_time()'), $start, 'the server lived');
$write->(substr($good, 0, length($good) - 100));
like($error->('SELECT * FROM damaged'), qr/could not read Avro file ".*damaged.avro"/, 'a file that is cut off');
$write->('Obj');
like($error->('SELECT * FROM damaged'), qr/could not read Avro file ".*damaged.avro".*too short/s, 'no Avro file');
done_testing();
