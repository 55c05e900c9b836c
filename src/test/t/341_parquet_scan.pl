# Scans of parquet files: row groups left out, several processes, rescans,
# memory, damage, cancel.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use FeathubParquet;
use FeathubTest;
use PostgreSQL::Test::Utils;
use Test::More;

parquet_python();
my $node = new_node('parquet');
my $folder = PostgreSQL::Test::Utils::tempdir();
my $sql = sub { $node->safe_psql('postgres', $_[0]) };
my $error = sub { my (undef, undef, $err) = $node->psql('postgres', $_[0]); $err };

$sql->("CREATE SERVER files FOREIGN DATA WRAPPER feathub_filesystem OPTIONS (folder '$folder')");

python_in($folder, <<'EOP');
import datetime as dt, decimal, random, uuid
import pyarrow as pa, pyarrow.parquet as pq
D = decimal.Decimal
nan = float('nan')
n = 10000
r = random.Random(1)
rows = range(n)
t = pa.table({
 'i': pa.array([None if i % 11 == 0 else i for i in rows], pa.int32()),
 'u': pa.array([2**32 - 1 - i for i in rows], pa.uint32()),
 'f': pa.array([nan if i % 1000 == 7 else i / 4 - 500 for i in rows]),
 'allnan': pa.array([nan if i < 1000 else float(i) for i in rows], pa.float32()),
 'n': pa.array([D(i - 5000) / 100 for i in rows], pa.decimal128(20, 2)),
 's': pa.array(['%05d' % i + '\u00e9' * (i % 80) for i in rows]),
 'bin': pa.array([bytes([i // 100, i % 100]) for i in rows]),
 'd': pa.array([dt.date(1960, 1, 1) + dt.timedelta(days=i) for i in rows]),
 'ts': pa.array([dt.datetime(1969, 12, 31) + dt.timedelta(seconds=60 * i, microseconds=i) for i in rows], pa.timestamp('ns')),
 'tz': pa.array([dt.datetime(2020, 1, 1) + dt.timedelta(hours=i) for i in rows], pa.timestamp('ms', 'UTC')),
 'uid': pa.array([uuid.UUID(int=i << 100).bytes for i in rows], pa.uuid()),
 'b': pa.array([i < 3000 for i in rows]),
 'nothing': pa.array([None if i < 5000 else i for i in rows], pa.int64()),
 'rnd': pa.array([r.randrange(100) for i in rows], pa.int16()),
})
pq.write_table(t, 'stats.parquet', row_group_size=1000)
pq.write_table(t, 'without.parquet', row_group_size=1000, write_statistics=False)
pq.write_table(pa.table({'id': pa.array(range(200000)), 't': pa.array(['x' * (i % 1000) for i in range(200000)])}), 'large.parquet', row_group_size=10000)
pq.write_table(pa.table({'id': [1, 2, 3], 'big': pa.array(['a' * 40000000, 'b' * 3, None])}), 'wide.parquet')
# one page with a value that is repeated: much larger than the file
pq.write_table(pa.table({'t': pa.DictionaryArray.from_arrays(pa.array([0] * 20000, pa.int32()), pa.array(['y' * 1000000]))}), 'bomb.parquet')
EOP
my $columns = 'i int, u bigint, f float8, allnan float4, n numeric, s text, bin bytea, d date, ts timestamp, tz timestamptz, uid uuid, '
  . 'b bool, nothing bigint, rnd int';
$sql->("CREATE FOREIGN TABLE stats ($columns) SERVER files OPTIONS (path 'stats.parquet', format 'parquet')");
$sql->("CREATE FOREIGN TABLE without ($columns) SERVER files OPTIONS (path 'without.parquet', format 'parquet')");
$sql->('CREATE TABLE plain AS SELECT * FROM without');
$sql->(q{ALTER DATABASE postgres SET timezone = 'UTC'});

# Units that a condition leaves to be read; each gives what a table gives.
sub reads
{
	my ($condition, $units) = @_;
	my $plan = $sql->("EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) SELECT * FROM stats WHERE $condition");
	my ($read) = $plan =~ /Units Read: (\d+)/;

	is($read // 0, $units, "$condition reads $units row groups");
	my $rows = "SELECT count(*), md5(string_agg(x::text, '|' ORDER BY u)) FROM";
	is($sql->("$rows stats x WHERE $condition"), $sql->("$rows plain x WHERE $condition"), '... and finds the same rows');
}

reads('i = 5500', 1);
reads('i IN (1, 5500, 9998, 20000)', 3);
reads('i < 1500', 2);
reads('i >= 9000', 1);
reads('i > 9999', 0);
reads('i BETWEEN 999 AND 1001', 2);
reads('u = 4294967295', 1);
reads('u > 4294967000', 1);
reads('n = 0.5', 1);
reads('n < -49', 1);
reads("s = '01234' || repeat('é', 34)", 1);
reads("bin = '\\x0a05'", 1);
reads("d = '1970-01-01'", 1);
reads("ts = '1970-01-01 00:00:00.00144'", 1);
reads("ts < '1970-01-01'", 2);
reads("tz >= '2021-02-01 00:00:00+00'", 1);
reads("uid = '00000000-0000-0000-0000-000000000000'", 1);
reads('nothing = 6000', 1);
reads('nothing IS NOT NULL', 5);
reads('nothing IS NULL', 5);
reads('i IS NULL', 10);
reads('u IS NULL', 0);
# NaN is greater than all numbers, and the file's bounds do not tell of it
reads('f < -400', 1);
reads('f > 1990', 10);
reads("f = 'NaN'", 10);
reads("allnan = 'NaN'", 10);
reads('f = 0', 1);
reads('rnd = 5', 10);
# other collations order text otherwise
reads(q{s COLLATE "C" < '00500'}, 1);
is($sql->('SELECT count(*) FROM without WHERE i = 5501'), '1', 'no statistics, no guesses');

# Scanned again, with parameters, by several processes.
is($sql->(q{SET enable_material = off; SET enable_hashjoin = off; SET enable_mergejoin = off;
	SELECT count(*), sum(x.u) FROM (VALUES (1), (0), (5500), (9998)) v (k) JOIN stats x ON x.i = v.k}),
	$sql->('SELECT count(*), sum(x.u) FROM (VALUES (1), (0), (5500), (9998)) v (k) JOIN plain x ON x.i = v.k'), 'inner side of a nested loop');
is($sql->(q{PREPARE p (int) AS SELECT u FROM stats WHERE i = $1; EXECUTE p (1); EXECUTE p (2); EXECUTE p (3); EXECUTE p (4); EXECUTE p (5);
	EXECUTE p (5501); EXECUTE p (6);}), join("\n", map { 4294967295 - $_ } 1 .. 5, 5501, 6), 'prepared');
$sql->(q{CREATE FOREIGN TABLE large (id bigint, t text) SERVER files OPTIONS (path 'large.parquet', format 'parquet')});
is($sql->(q{SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET min_parallel_table_scan_size = 0; SET max_parallel_workers_per_gather = 3;
	SELECT count(*), sum(id), sum(length(t)) FROM large}), '200000|19999900000|99900000', 'several processes read each row group once');
is($sql->('SELECT count(*) FROM large'), '200000', 'no column at all');

# Large values, and memory.
$sql->(q{CREATE FOREIGN TABLE wide (id int, big text) SERVER files OPTIONS (path 'wide.parquet', format 'parquet')});
is($sql->('SELECT id, length(big), left(big, 3) FROM wide'), "1|40000000|aaa\n2|3|bbb\n3||", 'a value of 40 MB');
like($error->(q{SET feathub.file_memory = '1MB'; SELECT count(big) FROM wide}),
	qr/not enough memory to read parquet file ".*wide.parquet".*HINT:  Raise feathub.file_memory/s, 'a limit of memory');
is($sql->(q{SET feathub.file_memory = '1MB'; SELECT count(id) FROM wide}), '3', '... which other columns do not need');
$sql->(q{CREATE FOREIGN TABLE bomb (t text) SERVER files OPTIONS (path 'bomb.parquet', format 'parquet')});
is($sql->('SELECT count(t), sum(octet_length(t)) FROM bomb'), '20000|20000000000', 'a dictionary is not unfolded');
mkdir "$folder/out";
$sql->(q{CREATE FOREIGN TABLE out (id int, t text) SERVER files OPTIONS (path 'out', format 'parquet', row_group_bytes '1000000', codec 'none')});
$sql->(q{SET feathub.file_memory = '16MB'; INSERT INTO out SELECT i, repeat(md5(i::text), 300) FROM generate_series(1, 10000) i});
is($sql->('SELECT count(*), sum(length(t)) FROM out'), '10000|96000000', 'row groups bound what writing needs');

# Damage: an error or rows, but never the end of the server.
my $pid = $node->safe_psql('postgres', 'SELECT pg_postmaster_start_time()');
my $good = slurp_file("$folder/stats.parquet");
$sql->("CREATE FOREIGN TABLE damaged ($columns) SERVER files OPTIONS (path 'damaged.parquet', format 'parquet')");
srand(17);
my ($failed, $lost, $other) = (0, 0, 0);
my $write = sub { open(my $f, '>', "$folder/damaged.parquet") or die; binmode $f; print $f $_[0]; close $f; };
foreach my $round (1 .. 120)
{
	my $bad = $good;

	if ($round % 4 == 0) { $bad = substr($bad, 0, int(rand(length $bad))); }
	else
	{
		# the footer half of the time
		my $from = $round % 2 ? length($bad) - 12000 : 0;
		substr($bad, $from + int(rand(length($bad) - $from)), 1) = chr(int(rand(256))) for 1 .. 1 + $round % 5;
	}
	$write->($bad);
	my ($ret, $out, $err) = $node->psql('postgres', 'SELECT count(*) FROM (SELECT * FROM damaged OFFSET 0) x');
	$failed++ if $ret;
	$lost++ if $err =~ /server closed the connection|terminated/;
	$other++ if !$ret && $out > 10000;
}
is($lost, 0, "damaged files never end a session ($failed of 120 refused)");
is($other, 0, 'nor give more rows than there are');
ok($failed > 30, 'most are refused');
is($node->safe_psql('postgres', 'SELECT pg_postmaster_start_time()'), $pid, 'the server lived');
$write->('');
like($error->('SELECT * FROM damaged'), qr/could not read parquet file ".*damaged.parquet"/, 'an empty file');
$write->('not a parquet file');
like($error->('SELECT * FROM damaged'), qr/could not read parquet file ".*damaged.parquet"/, 'no parquet file');

# A cancel is answered.
my $begin = time;
like($error->(q{SET statement_timeout = '300ms'; SELECT count(*) FROM large a, large b WHERE length(a.t) + length(b.t) = -1}),
	qr/canceling statement due to statement timeout/, 'cancel');
ok(time - $begin < 60, 'soon');
done_testing();
