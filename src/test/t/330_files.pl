# Files: what a crash leaves behind, many and large files, several processes,
# cancel, and folders that change under a scan.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use FeathubTest;
use File::Path qw(make_path);
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

my $node = new_node('files', conf => "max_prepared_transactions = 4\nrestart_after_crash = on\n");
my $dir = $node->basedir . '/files';
make_path($dir);

sub sql { return $node->safe_psql('postgres', shift); }

sub sql_error
{
	my $query = shift;
	my ($status, $out, $err) = $node->psql('postgres', $query);
	isnt($status, 0, "fails: $query");
	return $err;
}

# Names in a folder, those of pending files too.
sub names
{
	my $folder = shift;
	opendir my $handle, "$dir/$folder" or return '';
	my @names = sort grep { !/^\.\.?$/ } readdir $handle;
	closedir $handle;
	return @names;
}

sub write_file
{
	my ($name, $content) = @_;
	open my $out, '>', "$dir/$name" or die "could not write $dir/$name: $!";
	print $out $content;
	close $out;
	return;
}

sql(qq{CREATE SERVER files FOREIGN DATA WRAPPER feathub_filesystem OPTIONS (folder '$dir');
	CREATE FOREIGN TABLE w (id int, t text) SERVER files OPTIONS (path 'w', format 'csv')});
my $system = sql('SELECT system_identifier FROM pg_control_system()');

# A crash

sql(q{INSERT INTO w VALUES (1, 'before')});
my @before = names('w');
is(scalar(@before), 1, 'one file');

# of a session that has written, and of one that was about to commit
my $session = $node->background_psql('postgres');
$session->query_safe(q{BEGIN});
$session->query_safe(q{INSERT INTO w VALUES (2, 'lost')});
$session->query_safe(q{INSERT INTO w VALUES (3, 'lost with its final name')});
my @pending = grep { /^\.feathub-/ } names('w');
is(scalar(@pending), 2, 'two files are pending');
is(sql('SELECT string_agg(t, \',\') FROM w'), 'before', 'nobody sees them');
is(scalar(grep { /^\.feathub-/ } names('w')), 2, 'nobody removes what a running transaction has written');
(my $final = $pending[1]) =~ s/^\.feathub-\d+-\d+-//;
link "$dir/w/$pending[1]", "$dir/w/$final" or die "could not link: $!";
my $pid = $session->query_safe('SELECT pg_backend_pid()');
kill 'KILL', $pid;
eval { $session->quit; };
ok($node->poll_query_until('postgres', "SELECT count(*) = 0 FROM pg_stat_activity WHERE pid = $pid"), 'the server comes back');
is(scalar(names('w')), 4, 'the crash has left files');
is(sql('SELECT string_agg(t, \',\') FROM w'), 'before', 'a scan shows nothing of them');
is(join(' ', names('w')), join(' ', @before), 'and removes them');

# of a transaction that did commit: its second name goes, the file stays
my $committed = sql('BEGIN; INSERT INTO w VALUES (4, \'after\'); SELECT pg_current_xact_id(); COMMIT');
my ($new) = grep { $_ ne $before[0] } names('w');
link "$dir/w/$new", "$dir/w/.feathub-$system-$committed-$new" or die "could not link: $!";
is(sql('SELECT string_agg(t, \',\' ORDER BY id) FROM w'), 'before,after', 'rows of a committed transaction stay');
is(scalar(names('w')), 2, 'only the second name is removed');

# what is not ours, or not known to be over, is left alone
my $aborted = sql('BEGIN; SELECT pg_current_xact_id(); ROLLBACK');
my @others = (".feathub-1$system-$aborted-a.csv", ".feathub-$system-999999999999-b.csv",
	".feathub-$system-x-c.csv", ".feathub-$system-$aborted-");
write_file("w/$_", "9,other\n") foreach @others;
write_file('w/a.csv', "5,same name\n");
write_file("w/.feathub-$system-$aborted-a.csv", "9,another file\n");
is(sql('SELECT string_agg(t, \',\' ORDER BY id) FROM w'), 'before,after,same name', 'other systems\' files are not read');
is(scalar(grep { /^\.feathub-/ } names('w')), 4, 'nor removed');
ok(-e "$dir/w/a.csv", 'a file that only has the name of an aborted one stays');

# an immediate shutdown
$session = $node->background_psql('postgres');
$session->query_safe(q{BEGIN});
$session->query_safe(q{INSERT INTO w SELECT i, 'lost' FROM generate_series(1, 1000) i});
$node->stop('immediate');
eval { $session->quit; };
$node->start;
is(sql('SELECT count(*) FROM w'), '3', 'nothing after an immediate shutdown');

# Two transactions write to one folder, one of them in vain

my ($one, $two) = map { $node->background_psql('postgres') } 1 .. 2;
$_->query_safe('BEGIN') foreach $one, $two;
$one->query_safe(q{INSERT INTO w SELECT 100 + i, 'one' FROM generate_series(1, 10) i});
$two->query_safe(q{INSERT INTO w SELECT 200 + i, 'two' FROM generate_series(1, 10) i});
$one->query_safe('COMMIT');
$two->query_safe('ROLLBACK');
is(sql('SELECT count(*), min(t) FROM w WHERE id > 100'), '10|one', 'each for itself');
$_->quit foreach $one, $two;

# A file of the final name is never replaced

sql(q{CREATE FOREIGN TABLE s (id int) SERVER files OPTIONS (path 's.csv', format 'csv')});
$session = $node->background_psql('postgres', on_error_stop => 0);
$session->query_safe(q{BEGIN; INSERT INTO s VALUES (1)});
write_file('s.csv', "7\n");
like($session->query('COMMIT') . $session->{stderr}, qr/could not create file .*s\.csv.*: File exists/, 'a file that has come into being meanwhile');
$session->quit;
is(sql('SELECT id FROM s'), '7', 'stays as it is');
is(scalar(grep { /^\.feathub/ } names('.')), 0, 'and nothing is left over');

# Many files: of bounded memory, by one and by several processes

make_path("$dir/many/part=$_") foreach 0 .. 9;
for my $i (1 .. 20000)
{
	write_file('many/part=' . ($i % 10) . "/f$i.csv", "$i,x\n");
}
sql(q{CREATE FOREIGN TABLE many (id int, t text, part int OPTIONS (partition 'true')) SERVER files OPTIONS (path 'many', format 'csv')});
is(sql('SELECT count(*), sum(id), count(DISTINCT part) FROM many'), '20000|200010000|10', 'many files');
is(sql('SELECT count(*), sum(id) FROM many WHERE part IN (3, 5) AND id % 10 = 3'), '2000|19996000', 'some of them');
my $bytes = sql(q{BEGIN; DECLARE c CURSOR FOR SELECT * FROM many; MOVE 15000 FROM c;
	SELECT sum(total_bytes) FROM pg_backend_memory_contexts WHERE name LIKE 'feathub%' OR name = 'ExecutorState'});
cmp_ok($bytes, '<', 4 * 1024 * 1024, 'memory does not grow with them');
my $parallel = q{SET max_parallel_workers_per_gather = 3; SET min_parallel_table_scan_size = 0; SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0;};
like(sql("$parallel EXPLAIN SELECT count(*) FROM many"), qr/Parallel Foreign Scan/, 'a parallel plan');
is(sql("$parallel SELECT count(*), sum(id) FROM many"), '20000|200010000', 'by several processes');
is(sql("$parallel SELECT count(*) FROM generate_series(1, 3) g, LATERAL (SELECT count(*) FROM many WHERE part = g.g OFFSET 0) s(n) WHERE n = 2000"), '3', 'rescans');

# Large files: ranges that begin within quotes, compressed ones among them

my $content = '';
for my $i (1 .. 120000)
{
	$content .= $i % 3 ? "$i,plain\n" : qq{$i,"q ""$i""} . ("\n" x ($i % 40)) . qq{end"\n};
}
make_path("$dir/large");
write_file('large/a.csv', "id,t\n$content");
write_file('large/b.csv', "id,t\r\n$content");
system_or_bail('gzip', '-k', "$dir/large/b.csv");
sql(q{CREATE FOREIGN TABLE large (id int, t text, line bigint OPTIONS (metadata 'line')) SERVER files
	OPTIONS (path 'large', format 'csv', header 'match')});
my $sums = 'SELECT count(*), sum(id), sum(length(t)), sum(hashtext(t)), sum(line), max(line) FROM large';
my $serial = sql("SET max_parallel_workers_per_gather = 0; $sums");
like($serial, qr/^360000\|/, 'all rows');
is(sql("$parallel $sums"), $serial, 'the same rows and lines by several processes');

($content = "id,t\n$content") =~ tr/\n/\r/;
make_path("$dir/carriage");
write_file('carriage/a.csv', $content);
sql(q{CREATE FOREIGN TABLE carriage (id int, t text) SERVER files OPTIONS (path 'carriage', format 'csv', header 'match')});
is(sql("$parallel SELECT count(*), sum(id) FROM carriage"), sql("SELECT count(*) / 3, sum(id) / 3 FROM large"), 'carriage returns alone end records');

# bad records: the limit is that of all processes together
$content = join('', map { $_ % 1000 ? "$_,x\n" : "bad,$_\n" } 1 .. 400000);
write_file('bad.csv', $content);
sql(q{CREATE FOREIGN TABLE bad (id int, t text) SERVER files OPTIONS (path 'bad.csv', format 'csv', on_error 'skip', reject_limit '400')});
is(sql("SET client_min_messages = error; $parallel SELECT count(*) FROM bad"), '399600', 'bad records are skipped');
sql(q{ALTER FOREIGN TABLE bad OPTIONS (SET reject_limit '399')});
like(sql_error("SET client_min_messages = error; $parallel SELECT count(*) FROM bad"), qr/more than 399 bad records.*line \d+ of file/s, 'until the limit');
sql(q{ALTER FOREIGN TABLE bad OPTIONS (SET on_error 'stop')});
like(sql_error("SET max_parallel_workers_per_gather = 0; SELECT sum(id) FROM bad"), qr/invalid input syntax.*line 1000 of file/s, 'the line is told');
my ($status, $out, $err) = $node->psql('postgres', "$parallel SELECT sum(id) FROM bad");
like($err, qr/invalid input syntax.*line (\d+)000 of file/s, 'by a process that reads a range, too');

# A cancel is answered soon

my $begin = time();
like(sql_error(q{SET statement_timeout = '500ms'; SELECT sum(n) FROM generate_series(1, 100000) g, LATERAL (SELECT count(*) AS n FROM large WHERE id > g.g OFFSET 0) s}),
	qr/canceling statement/, 'a scan is cancelled');
cmp_ok(time() - $begin, '<', 3, 'within a second');
$begin = time();
like(sql_error(q{SET statement_timeout = '500ms'; INSERT INTO w SELECT i, repeat('x', 1000) FROM generate_series(1, 1000000000) i}),
	qr/canceling statement/, 'a write is cancelled');
cmp_ok(time() - $begin, '<', 3, 'within a second');
is(sql('SELECT count(*) FROM w'), '13', 'and leaves no rows');
is(scalar(grep { /^\.feathub-$system-(?!99999)\d+-part/ } names('w')), 0, 'nor files');

# A full disk, or any failure of the write, is an error that names the file
SKIP:
{
	skip 'no /dev/full', 1 unless -c '/dev/full';
	sql(q{CREATE FOREIGN TABLE limited (t text) SERVER files OPTIONS (path 'w', format 'csv')});
	chmod 0555, "$dir/w";
	skip 'the user writes everywhere', 1 if -w "$dir/w";
	like(sql_error(q{INSERT INTO limited VALUES ('x')}), qr/could not create file ".*part-.*": Permission denied/, 'a folder without right to write');
	chmod 0755, "$dir/w";
}

# Files are to be written in a session of its own: nothing is left of a prepared one

like(sql_error(q{BEGIN; INSERT INTO w VALUES (50, 'x'); PREPARE TRANSACTION 'p'}), qr/cannot PREPARE/, 'PREPARE TRANSACTION is refused');
is(sql('SELECT count(*) FROM w'), '13', 'and leaves nothing');

# Parallel workers come from a session with another role's table
sql(qq{CREATE ROLE reader; CREATE ROLE maker; GRANT USAGE ON FOREIGN SERVER files TO maker; GRANT CREATE, USAGE ON SCHEMA public TO maker;
	ALTER ROLE maker SET feathub.allowed_folders = '$dir/large';
	SET ROLE maker; CREATE FOREIGN TABLE made (id int, t text) SERVER files OPTIONS (path 'large', format 'csv', header 'true'); GRANT SELECT ON made TO reader});
is(sql("$parallel SET ROLE reader; SELECT count(*) FROM made"), '360000', 'an allowed folder of the owner counts in workers too');
sql('ALTER ROLE maker RESET feathub.allowed_folders');
like(sql_error("$parallel SET ROLE reader; SELECT count(*) FROM made"), qr/permission denied/, 'until it is taken away');

# the configuration's folders are everybody's
$node->append_conf('postgresql.conf', "feathub.allowed_folders = '$dir/large'");
$node->reload;
poll_until(sub { ($node->psql('postgres', 'SET ROLE reader; SELECT count(*) FROM made'))[1] =~ /360000/ }, 'folders in the configuration');
pass('folders in the configuration');

done_testing();
