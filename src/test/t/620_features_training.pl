# Training data: what a regression test cannot show.  Its progress is seen from
# other sessions, a cancel leaves nothing behind, files are written as asked,
# and the owner's rights reach as far as the view's windows.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use FeathubTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('main', conf => "timezone = 'UTC'\ndatestyle = 'ISO'\n");
my $folder = PostgreSQL::Test::Utils::tempdir();

sub sql { return $node->safe_psql('postgres', shift); }

sql(q{
CREATE TABLE w_source (origin text, t timestamptz, temp float8);
SELECT feathub.create_feature_group('weather', 'w_source', '{origin}', 't');
INSERT INTO weather SELECT 'JFK', timestamptz '2020-01-01' + h * interval '1 hour', h FROM generate_series(0, 99) h;
INSERT INTO weather_online SELECT 'JFK', '2020-01-05 03:00', 99;
CREATE TABLE flights (id int, origin text, ts timestamptz, "Odd name" text, tags text[], late bool);
INSERT INTO flights SELECT n, 'JFK', timestamptz '2020-01-01' + n * interval '1 minute', 'a,"b"' || n, ARRAY['x', NULL], n % 2 = 0 FROM generate_series(1, 5000) n;
SELECT feathub.create_feature_view('delay', 'SELECT f.id, f.origin, f.ts, w.temp, f."Odd name", f.late FROM flights f LEFT JOIN weather w USING (origin)', 'ts', '{late}');
});

# A run that waits: other sessions see it, and it can be cancelled.
my $lock = $node->background_psql('postgres');
$lock->query_safe('SELECT pg_advisory_lock(7)');
my $run = $node->background_psql('postgres', on_error_stop => 0);
my $pid = $run->query_safe('SELECT pg_backend_pid()');
$run->{stdin} .= q{SELECT feathub.create_training_data('delay', 'd', '{"train": 0.8, "test": 0.2}', filter => 'id < 2500 OR (SELECT pg_advisory_lock_shared(7)) IS NOT NULL');} . "\n";
$run->{run}->pump_nb;
poll_until(sub { sql("SELECT phase, role, rows_written FROM feathub.training_data_progress WHERE pid = $pid") eq 'writing|postgres|2000' },
	'progress is seen while it runs');
sql('CREATE ROLE nobody');
is(sql('SET ROLE nobody; SELECT count(*) FROM feathub.training_data_progress'), '0', 'but not by everybody');
sql("SELECT pg_cancel_backend($pid)");
poll_until(sub { sql('SELECT count(*) FROM feathub.training_data_progress') eq '0' }, 'it is gone when cancelled');
is(sql(q{SELECT to_regclass('d'), count(*) FROM feathub.training_data}), '|0', 'and left nothing behind');
is(sql('SELECT count(*) FROM feathub.training_statistic'), '0', 'no statistics either');
$lock->quit;
eval { $run->quit; };
is(sql(q{SELECT feathub.create_training_data('delay', 'd', '{"train": 0.8, "test": 0.2}')}), 'd', 'it can be made again');

# Files.
sql("CREATE SERVER files FOREIGN DATA WRAPPER feathub_filesystem OPTIONS (folder '$folder')");
foreach my $format ('csv', 'json', 'parquet')
{
	my ($status, $out, $err) = $node->psql('postgres',
		qq{SELECT feathub.create_training_data('delay', 'd_$format', '{"train": 0.8, "test": 0.2}', server => 'files', path => 'd_$format', format => '$format')});
  SKIP:
	{
		skip("no format $format: $err", 3) if $status && $err =~ /not built|library/;
		is($status, 0, "$format: written") or diag($err);
		is(sql("SELECT (SELECT feathub.content_hash(f) FROM d_${format}_files f) = (SELECT feathub.content_hash(t) FROM d_$format t), (SELECT count(*) FROM d_${format}_files)"),
			't|5000', "$format: the same rows");
		is(join(' ', sort map { m{/([^/]+)$} } glob("$folder/d_$format/*")), 'split=test split=train', "$format: a folder for each split");
	}
}
sql(q{CREATE FOREIGN TABLE only_test (id int, temp float8) SERVER files OPTIONS (path 'only_test.csv', format 'csv')});
is(sql(q{SELECT feathub.export_training_data('d', 'only_test', 'test') = (SELECT count(*) FROM d WHERE split = 'test')}), 't', 'one split, some columns');
is(sql(q{SELECT (SELECT count(*) FROM only_test) = (SELECT count(*) FROM d WHERE split = 'test')}), 't', 'are there once it is committed');
# a failed export takes the table along
my ($status, $out, $err) = $node->psql('postgres', q{SELECT feathub.create_training_data('delay', 'd_bad', server => 'files', path => 'd_bad', format => 'none')});
like($err, qr/format/, 'a format that is none');
is(sql(q{SELECT to_regclass('d_bad'), to_regclass('d_bad_files')}), '|', 'leaves no table behind');

# The plan may be parallel, and the result is the same.
is(sql(q{
SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET min_parallel_table_scan_size = 0;
SELECT feathub.create_training_data('delay', 'd_parallel', '{"train": 0.8, "test": 0.2}');
SELECT count(DISTINCT content_hash) FROM feathub.training_data WHERE training_data IN ('d'::regclass, 'd_parallel'::regclass);
}), "d_parallel\n1", 'parallel');

# A snapshot: rows that others write meanwhile are not in it, in either pass.
is(sql(q{
SELECT feathub.verify_training_data('d'), (SELECT sum(row_count) FROM feathub.training_statistics WHERE training_data = 'd'::regclass AND feature = 'id' AND split IS NULL);
}), 't|5000', 'the record tells of the rows');

# With the owner's rights, readers need none on what windows read.
sql(q{
CREATE ROLE reader;
SELECT feathub.create_window_function('weather_day', 'weather', 'max(temp) AS warmest', range => '1 day');
SELECT feathub.create_feature_view('owned', 'SELECT f.id, f.origin, w.warmest, (SELECT count(*) FROM weather WHERE weather.origin = f.origin AND weather.t < f.ts) AS n,
    EXISTS (SELECT FROM weather JOIN flights USING (origin) WHERE weather.t < f.ts AND weather.origin = f.origin) AS seen
    FROM flights f LEFT JOIN LATERAL weather_day(f.origin, f.ts) w ON true', 'ts', owner_rights => true);
GRANT SELECT ON owned TO reader;
});
is(sql(q{SET ROLE reader; SELECT warmest, n, seen FROM owned_online(origin => 'JFK', ts => '2020-01-02 05:30')}), '29|30|t', 'a window with the rights of the owner');

$node->stop;
done_testing();
