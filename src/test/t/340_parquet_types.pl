# Parquet files of pyarrow and DuckDB: every type, read and written.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use FeathubParquet;
use FeathubTest;
use PostgreSQL::Test::Utils;
use Test::More;

parquet_python();			# skips the file without Arrow
my $node = new_node('parquet');
my $folder = PostgreSQL::Test::Utils::tempdir();
my $sql = sub { $node->safe_psql('postgres', $_[0]) };
my $error = sub { my (undef, undef, $err) = $node->psql('postgres', $_[0]); $err };

$sql->("CREATE SERVER files FOREIGN DATA WRAPPER feathub_filesystem OPTIONS (folder '$folder')");

sub python { return python_in($folder, $_[0]); }

# Every type of Arrow, as pyarrow writes it.
python(<<'EOP');
import datetime as dt, decimal, uuid
import pyarrow as pa, pyarrow.parquet as pq
D = decimal.Decimal
t = pa.table({
 'b': pa.array([True, None, False]),
 'i8': pa.array([1, None, -128], pa.int8()), 'u8': pa.array([1, None, 255], pa.uint8()),
 'i16': pa.array([1, None, -32768], pa.int16()), 'u16': pa.array([1, None, 65535], pa.uint16()),
 'i32': pa.array([1, None, -2**31], pa.int32()), 'u32': pa.array([1, None, 2**32 - 1], pa.uint32()),
 'i64': pa.array([1, None, -2**63], pa.int64()), 'u64': pa.array([1, None, 2**64 - 1], pa.uint64()),
 'f16': pa.array([1.5, None, float('nan')], pa.float16()),
 'f32': pa.array([1.5, None, float('inf')], pa.float32()), 'f64': pa.array([0.1, None, float('nan')]),
 'd9': pa.array([D('1.23'), None, D('-9999999.99')], pa.decimal128(9, 2)),
 'd38': pa.array([D('1.23'), None, D('-123456789012345678901234567890.12')], pa.decimal128(38, 2)),
 'd76': pa.array([D('1.2'), None, D('-' + '9' * 75 + '.9')], pa.decimal256(76, 1)),
 's': pa.array(['a', None, 'h\u00e9llo \u20ac' * 20]), 'ls': pa.array(['a', None, ''], pa.large_string()),
 'bin': pa.array([b'\x00\x01', None, b''], pa.binary()), 'fl': pa.array([b'abc', None, b'xyz'], pa.binary(3)),
 'uuid': pa.array([uuid.UUID(int=1).bytes, None, uuid.UUID(int=2).bytes], pa.uuid()),
 'd': pa.array([dt.date(1970, 1, 1), None, dt.date(1, 1, 1)], pa.date32()),
 'd64': pa.array([dt.date(1970, 1, 1), None, dt.date(2024, 2, 29)], pa.date64()),
 't32': pa.array([dt.time(1, 2, 3), None, dt.time(23, 59, 59)], pa.time32('ms')),
 't64': pa.array([dt.time(1, 2, 3, 4), None, dt.time(23, 59, 59, 999999)], pa.time64('us')),
 'tn': pa.array([1, None, 86399999999999], pa.time64('ns')),
 'tsms': pa.array([dt.datetime(2024, 1, 1), None, dt.datetime(1, 1, 1)], pa.timestamp('ms')),
 'tsus': pa.array([dt.datetime(2024, 1, 1), None, dt.datetime(1969, 12, 31, 23, 59, 59, 999999)], pa.timestamp('us')),
 'tsns': pa.array([1, None, -1], pa.timestamp('ns')),
 'tz': pa.array([dt.datetime(2024, 7, 1, 12), None, dt.datetime(1900, 1, 1)], pa.timestamp('us', 'UTC')),
 'dic': pa.array(['x', None, 'x']).dictionary_encode(),
 'li': pa.array([[1, None, 3], None, []], pa.list_(pa.int32())),
 'lls': pa.array([[['a'], ['b']], None, []], pa.list_(pa.list_(pa.string()))),
 'st': pa.array([{'a': 1, 'b': 'x'}, None, {'a': None, 'b': 'y'}]),
 'lst': pa.array([[{'a': 1, 'b': 'x'}, {'a': 2, 'b': None}], None, []]),
 'm': pa.array([[('k', 1.5), ('l', None)], None, []], pa.map_(pa.string(), pa.float64())),
 'js': pa.array(['{"a": 1}', None, '[]'], pa.json_()),
 'nul': pa.array([None] * 3, pa.null()),
 'dur': pa.array([1, None, 3], pa.duration('s')),
})
pq.write_table(t, 'all.parquet', row_group_size=2)
pq.write_table(t.select(['tsns', 'i32']), 'int96.parquet', use_deprecated_int96_timestamps=True)
pq.write_table(t.slice(0, 0), 'empty.parquet')
pq.write_table(pa.table({'Mixed Case': [1], 'x' * 70: [2]}), 'names.parquet')
pq.write_table(pa.table({'a': [1, 2], 'A': [3, 4], 'b': [5, 6]}), 'twice.parquet')
EOP

$sql->("IMPORT FOREIGN SCHEMA \".\" LIMIT TO (\"all\", empty, names, int96) FROM SERVER files INTO public");
is($sql->(q{SELECT string_agg(attname || ' ' || format_type(atttypid, atttypmod), ', ' ORDER BY attnum)
	FROM pg_attribute WHERE attrelid = 'public.all'::regclass AND attnum > 0}),
	'b boolean, i8 smallint, u8 smallint, i16 smallint, u16 integer, i32 integer, u32 bigint, i64 bigint, u64 numeric, '
	  . 'f16 real, f32 real, f64 double precision, d9 numeric(9,2), d38 numeric(38,2), d76 numeric(76,1), s text, ls text, '
	  . 'bin bytea, fl bytea, uuid uuid, d date, d64 date, t32 time without time zone, t64 time without time zone, '
	  . 'tn time without time zone, tsms timestamp without time zone, tsus timestamp without time zone, '
	  . 'tsns timestamp without time zone, tz timestamp with time zone, dic text, li integer[], lls jsonb, st jsonb, lst jsonb, '
	  . 'm jsonb, js jsonb, nul text, dur interval', 'each type of Arrow has one of ours');
$sql->("ALTER DATABASE postgres SET timezone = 'UTC'");
my @rows = split /\n/, $sql->('SELECT * FROM public.all');
is($rows[0], '|' x 37, 'nulls') if $rows[0] !~ /[a-z0-9]/;
my %row = map { (split(/\|/, $_, 2))[0] => $_ } @rows;
is($row{t}, 't|1|1|1|1|1|1|1|1|1.5|1.5|0.1|1.23|1.23|1.2|a|a|\x0001|\x616263|00000000-0000-0000-0000-000000000001|'
	  . '1970-01-01|1970-01-01|01:02:03|01:02:03.000004|00:00:00|2024-01-01 00:00:00|2024-01-01 00:00:00|1970-01-01 00:00:00|'
	  . '2024-07-01 12:00:00+00|x|{1,NULL,3}|[["a"], ["b"]]|{"a": 1, "b": "x"}|[{"a": 1, "b": "x"}, {"a": 2, "b": null}]|'
	  . '{"k": 1.5, "l": null}|{"a": 1}||00:00:01', 'usual values');
is($row{''}, '|' x 37, 'nulls');
is($row{f}, 'f|-128|255|-32768|65535|-2147483648|4294967295|-9223372036854775808|18446744073709551615|NaN|Infinity|NaN|'
	  . '-9999999.99|-123456789012345678901234567890.12|-' . '9' x 75 . '.9|' . 'héllo €' x 20 . '||\x|\x78797a|'
	  . '00000000-0000-0000-0000-000000000002|0001-01-01|2024-02-29|23:59:59|23:59:59.999999|23:59:59.999999|'
	  . '0001-01-01 00:00:00|1969-12-31 23:59:59.999999|1969-12-31 23:59:59.999999|1900-01-01 00:00:00+00|x|{}|[]|'
	  . '{"a": null, "b": "y"}|[]|{}|[]||00:00:03', 'extreme values');
is($sql->('SELECT count(*) FROM empty'), '0', 'a file without rows');
is($sql->('SELECT * FROM int96 WHERE i32 < 5 ORDER BY 1'),
	"1969-12-31 23:59:59.999999|-2147483648\n1970-01-01 00:00:00|1", 'int96');

# Other types for the same fields.
$sql->('CREATE TYPE ab AS (b text, a bigint, z int)');
$sql->(q{CREATE FOREIGN TABLE other (nope int, st ab, lst ab[], m text, li bigint[], lls text[], d38 float8, u64 text, i16 numeric,
	tz timestamp, tsus timestamptz, d timestamp, b text, f32 float8, js text, fl text, "I32" int OPTIONS (column_name 'i32'))
	SERVER files OPTIONS (path 'all.parquet', format 'parquet', timezone 'Europe/Berlin')});
is($sql->('SELECT * FROM other WHERE "I32" = 1'),
	'|(x,1,)|{"(x,1,)","(,2,)"}|{"k": 1.5, "l": null}|{1,NULL,3}|{{a},{b}}|1.23|1|1|2024-07-01 14:00:00|2023-12-31 23:00:00+00|'
	  . '1970-01-01 00:00:00|true|1.5|{"a": 1}|abc|1', 'fields as other types, in a zone');
$sql->(q{CREATE FOREIGN TABLE wrong (s int) SERVER files OPTIONS (path 'all.parquet', format 'parquet')});
like($error->('SELECT * FROM wrong'), qr/column "s" of type integer cannot take what file ".*all.parquet" has.*DETAIL:  Field "s" of the file is of type string/s,
	'a type that does not fit');
$sql->(q{CREATE FOREIGN TABLE overflow (i64 int, i32 int) SERVER files OPTIONS (path 'all.parquet', format 'parquet')});
like($error->('SELECT * FROM overflow'), qr/column "i64": value -9223372036854775808 is out of range for type integer/, 'a value that does not fit');
$sql->(q{ALTER FOREIGN TABLE overflow OPTIONS (ADD on_error 'skip')});
is($sql->('SELECT i32 FROM overflow WHERE i64 IS NOT NULL'), '1', 'rows with such values can be skipped');
$sql->(q{CREATE FOREIGN TABLE missing (nope int) SERVER files OPTIONS (path 'all.parquet', format 'parquet')});
is($sql->('SELECT count(*), count(nope) FROM missing'), '3|0', 'a field that the file lacks is null');
$sql->(q{ALTER FOREIGN TABLE missing OPTIONS (ADD missing_columns 'error')});
like($error->('SELECT nope FROM missing'), qr/file ".*all.parquet" has no field for column "nope"/, 'or an error');
is($sql->('SELECT * FROM names'), '1|2', 'names that are no names here');
$sql->(q{CREATE FOREIGN TABLE twice ("A" int, b int) SERVER files OPTIONS (path 'twice.parquet', format 'parquet')});
is($sql->('SELECT sum("A"), sum(b) FROM twice'), '7|11', 'names that differ in case only');
$sql->(q{ALTER FOREIGN TABLE twice ALTER b OPTIONS (column_name 'B')});
is($sql->('SELECT sum(b) FROM twice'), '11', 'else case does not matter');

# What we write, they read, and so do we.
$sql->(q{CREATE TYPE mood AS ENUM ('ok', 'bad');
	CREATE DOMAIN posint AS int CHECK (value > 0);
	CREATE TABLE w (id int, b bool, i2 int2, i8 int8, f4 float4, f8 float8, n numeric, n5 numeric(5,2), n50 numeric(50,10), t text,
	 v varchar(5), c char(4), by bytea, d date, ti time, ts timestamp, tz timestamptz, u uuid, j json, jb jsonb, m mood, dom posint,
	 ia int[], ia2 int[][], ta text[], st ab, sta ab[], ip inet, iv interval, ttz timetz, ja jsonb[]);
	INSERT INTO w VALUES (1, true, 2, 3, 1.5, 2.5, 123456789.123456789, -1.25,
	 1234567890123456789012345678901234567890.0123456789, 'hé', 'abc', 'x', '\x0001', '2024-02-29', '01:02:03.4',
	 '2024-01-01 01:02:03.456789', '2024-01-01 01:02:03+02', '00000000-0000-0000-0000-000000000001', '{"a":  1}', '{"b":2}',
	 'ok', 5, '{1,NULL,3}', '{{1,2},{3,4}}', '{a,NULL,"x y"}', ('x',1,2), array[('x',1,2)::ab, null], '10.0.0.0/8',
	 '1 mon 2 days 03:04:05.6', '01:02:03+02', array['{"a":1}'::jsonb, '2']);
	INSERT INTO w (id) VALUES (2);
	INSERT INTO w (id, f4, f8, n, ia, t, by, ts) VALUES (3, 'NaN', '-Infinity', 'NaN', '{}', '', '', '1700-01-01');
	INSERT INTO w (id, t, n5) SELECT i, 'row ' || i, i % 1000 FROM generate_series(4, 30000) i});
my $columns = $sql->(q{SELECT string_agg(format('%I %s%s', attname, format_type(atttypid, atttypmod), repeat('[]', greatest(attndims, 1) - 1)), ', ' ORDER BY attnum)
	FROM pg_attribute WHERE attrelid = 'w'::regclass AND attnum > 0});
for my $codec (qw(none snappy gzip zstd lz4 brotli))
{
	my $rows = $codec eq 'gzip' ? ", row_group_rows '7000', dictionary 'false', codec_level '9'" : '';

	mkdir "$folder/$codec" or die;
	$sql->("CREATE FOREIGN TABLE w_$codec ($columns) SERVER files OPTIONS (path '$codec', format 'parquet', codec '$codec'$rows)");
	$sql->("INSERT INTO w_$codec SELECT * FROM w");
	is($sql->("SELECT count(*) FROM w x JOIN w_$codec y USING (id) WHERE x::text = y::text"), '30000', "rows written by $codec are read");
}
is(python(<<'EOP'), "30000 30000 30000 30000 30000 30000\n5\n", 'pyarrow reads them: codecs and row groups');
import glob, pyarrow.parquet as pq
names = ['none', 'snappy', 'gzip', 'zstd', 'lz4', 'brotli']
print(*[pq.read_table(glob.glob(n + '/*')[0]).num_rows for n in names])
print(pq.ParquetFile(glob.glob('gzip/*')[0]).num_row_groups)
EOP
is(python(<<'EOP'), <<'EOP2', 'pyarrow reads our values');
import glob, pyarrow.parquet as pq
row = pq.read_table(glob.glob('zstd/*')[0]).slice(0, 1).to_pylist()[0]
for k in row: print(k, row[k].isoformat() if k == 'tz' else repr(row[k]))
EOP
id 1
b True
i2 2
i8 3
f4 1.5
f8 2.5
n '123456789.123456789'
n5 Decimal('-1.25')
n50 Decimal('1234567890123456789012345678901234567890.0123456789')
t 'hé'
v 'abc'
c 'x   '
by b'\x00\x01'
d datetime.date(2024, 2, 29)
ti datetime.time(1, 2, 3, 400000)
ts datetime.datetime(2024, 1, 1, 1, 2, 3, 456789)
tz 2023-12-31T23:02:03+00:00
u UUID('00000000-0000-0000-0000-000000000001')
j '{"a":  1}'
jb '{"b": 2}'
m 'ok'
dom 5
ia [1, None, 3]
ia2 [[1, 2], [3, 4]]
ta ['a', None, 'x y']
st {'b': 'x', 'a': 1, 'z': 2}
sta [{'b': 'x', 'a': 1, 'z': 2}, None]
ip '10.0.0.0/8'
iv '1 mon 2 days 03:04:05.6'
ttz '01:02:03+02'
ja ['{"a": 1}', '2']
EOP2

# DuckDB reads ours and we read DuckDB's.
is(python(<<'EOP'), "30000 450015000 14984992.75\n", 'DuckDB reads our file');
import duckdb
print(*duckdb.sql("select count(*), sum(id), sum(n5) from read_parquet('snappy/*')").fetchall()[0])
duckdb.sql("""copy (select i as id, i % 7 = 0 as b, 'name ' || (i % 50) as name, i::decimal(12, 3) / 8 as dec, i::hugeint as huge,
  timestamp '2020-01-01' + to_seconds(i) as ts, (timestamp '2020-01-01' + to_seconds(i))::timestamptz as tz, date '2020-01-01' + i::int as d,
  time '01:02:03' as ti, interval 1 month + interval 2 day + interval 3 second as iv, [i, i + 1] as li, {'x': i, 'y': 'z'} as st,
  map {'k': i} as m, uuid '00000000-0000-0000-0000-000000000005' as u, '\\x00\\x01'::blob as bl, 'ok'::enum('ok', 'no') as e
  from range(100000) t(i)) to 'duck.parquet' (format parquet, row_group_size 20000)""")
EOP
$sql->(q{CREATE FOREIGN TABLE duck (id bigint, b bool, name text, dec numeric, huge float8, ts timestamp, tz timestamptz, d date, ti time,
	iv interval, li bigint[], st jsonb, m jsonb, u uuid, bl bytea, e text) SERVER files OPTIONS (path 'duck.parquet', format 'parquet')});
is($sql->('SELECT count(*), sum(id), count(DISTINCT name), sum(dec)::numeric(20, 3), max(ts), max(tz), max(d) FROM duck'),
	'100000|4999950000|50|624993750.000|2020-01-02 03:46:39|2020-01-02 03:46:39+00|2293-10-15', 'we read the file of DuckDB');
is($sql->('SELECT id, b, huge, ti, iv, li, st, m, u, bl, e FROM duck WHERE id = 77777'),
	'77777|t|77777|01:02:03|1 mon 2 days 00:00:03|{77777,77778}|{"x": 77777, "y": "z"}|{"k": 77777}|00000000-0000-0000-0000-000000000005|\x0001|ok',
	'its types too');

# What cannot be written.
$sql->(q{CREATE FOREIGN TABLE bad (d date, a int[], n numeric(4, 1)) SERVER files OPTIONS (path 'bad', format 'parquet')});
mkdir "$folder/bad";
like($error->(q{INSERT INTO bad VALUES ('infinity')}), qr/cannot write an infinite date of column "d"/, 'no infinity');
like($error->(q{INSERT INTO bad VALUES (NULL, '{{1}}')}), qr/array of column "a" has 2 dimensions, not 1/, 'no other dimensions');
like($error->(q{INSERT INTO bad VALUES (NULL, NULL, 'NaN')}), qr/value NaN of column "n" cannot be written as decimal\(4,1\)/, 'no NaN in a decimal');
like($error->(q{CREATE FOREIGN TABLE no (a int) SERVER files OPTIONS (path 'no', format 'parquet', codec 'lzo')}), qr/unrecognized value for option "codec"/, 'no such codec');
is(join(',', glob("$folder/bad/*")), '', 'nothing is left of what failed');

done_testing();
