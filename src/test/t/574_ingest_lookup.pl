# Look-up joins in a job's query: batch with Redis and MySQL tables and with local
# ones. Plans, missing keys, NULLs, tables that are altered, outages, cancels,
# memory over thousands of batches.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use FeathubMysql;
use FeathubRedis;
use FeathubTest;
use File::Path qw(make_path);
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes ();

my $mysql = mysql_start();
my $redis = redis_start();
my $node = new_node(
	'main', conf => q{
log_min_messages = warning
feathub.retry_delay = 50ms
feathub.retry_delay_max = 300ms
feathub.scheduler_interval = 500ms
feathub.source_interval = 200ms
});
my $dir = $node->basedir . '/files';
make_path("$dir/in", "$dir/many");

sub sql { return $node->safe_psql('postgres', shift); }
sub status { return sql("SELECT $_[1] FROM feathub.job_status WHERE job = '$_[0]'"); }
sub wait_for { return wait_for_job($node, shift); }

sub add
{
	my ($folder, @numbers) = @_;
	append_to_file("$dir/$folder/a.json", join('', map { $_ % 10 == 9 ? qq({"n":$_}\n) : qq({"n":$_,"user":"u@{[ $_ % 1000 ]}","plane":@{[ $_ % 500 ]}}\n) } @numbers));
}

mysql_server($node, $mysql);
mysql_query($mysql, q{
	USE shop;
	CREATE TABLE planes (id int PRIMARY KEY, seats int);
	INSERT INTO planes SELECT seq, seq * 2 FROM seq_0_to_399;
});
redis_pipe($redis, join('', map { "HSET user:u$_ city c$_\n" } grep { $_ % 7 } 0 .. 999));
sql(qq{
CREATE SERVER files FOREIGN DATA WRAPPER feathub_filesystem OPTIONS (folder '$dir');
CREATE SERVER redis FOREIGN DATA WRAPPER feathub_redis OPTIONS (port '$redis->{port}');
CREATE USER MAPPING FOR CURRENT_USER SERVER redis;
CREATE FOREIGN TABLE source (n int, "user" text, plane int) SERVER files OPTIONS (path 'in', format 'json');
CREATE FOREIGN TABLE users ("user" text OPTIONS (key 'true'), city text) SERVER redis OPTIONS (kind 'hash', prefix 'user:');
CREATE FOREIGN TABLE planes (id int OPTIONS (key 'true'), seats int) SERVER mysql OPTIONS (table_name 'planes');
CREATE TABLE big (id int PRIMARY KEY, name text);
INSERT INTO big SELECT i, 'name ' || i FROM generate_series(0, 200000) i;
ANALYZE big;
CREATE TABLE enriched (n int, city text, seats int, name text);
CREATE TABLE inner_only (n int, city text);
});

# LEFT JOINs keep every record, INNER JOINs those whose key is found.
add('in', 0 .. 4999);
sql(q{SELECT feathub.create_job('enriched', source => 'source', sink => 'enriched', query => $$
	SELECT b.n, u.city, p.seats, g.name FROM batch b LEFT JOIN public.users u ON u."user" = b."user"
	  LEFT JOIN public.planes p ON p.id = b.plane LEFT JOIN public.big g ON g.id = b.plane $$)});
sql(q{SELECT feathub.create_job('inner_only', source => 'source', sink => 'inner_only', query => $$
	SELECT b.n, u.city FROM batch b JOIN public.users u ON u."user" = b."user" $$)});
wait_for('enriched');
wait_for('inner_only');

# what the joins should give, computed without them
my $wrong = q{SELECT count(*) FROM enriched WHERE (
	city IS DISTINCT FROM CASE WHEN n % 10 <> 9 AND n % 1000 % 7 <> 0 THEN 'c' || n % 1000 END
	OR seats IS DISTINCT FROM CASE WHEN n % 10 <> 9 AND n % 500 < 400 THEN n % 500 * 2 END
	OR name IS DISTINCT FROM CASE WHEN n % 10 <> 9 THEN 'name ' || n % 500 END)};
is(sql('SELECT count(*), count(DISTINCT n) FROM enriched'), '5000|5000', 'every record is there once');
is(sql($wrong), 0, 'with the right values, or NULL');
my $matches = grep { $_ % 10 != 9 && $_ % 1000 % 7 } 0 .. 4999;
is(sql(q{SELECT count(*), bool_and(city = 'c' || n % 1000) FROM inner_only}), "$matches|t", 'an inner join leaves out');
is(status('inner_only', 'skipped, dead_letters'), (5000 - $matches) . '|0', 'which counts as skipped');

# Plans: by batches of keys, a big local table by its index for small batches only.
my $full = sql(q{SELECT feathub.explain_job('enriched')});
my $small = sql(q{SELECT feathub.explain_job('enriched', rows => 10)});
is(scalar(() = $full =~ /Custom Scan \(FeathubLookup\)/g), 2, 'full batches: two look-ups') or diag($full);
is(scalar(() = $small =~ /Custom Scan \(FeathubLookup\)/g), 2, 'small batches: two look-ups') or diag($small);
like($small, qr/Index Scan using big_pkey/, 'small batches: the index');
like(sql(q{SELECT feathub.explain_job('enriched', verbose => true)}), qr/Output: /, 'verbose');

# Altered while the job runs, in the other system and here.
mysql_query($mysql, 'UPDATE shop.planes SET seats = -1 WHERE id = 1; ALTER TABLE shop.planes RENAME COLUMN seats TO places');
sql(q{ALTER FOREIGN TABLE planes ALTER COLUMN seats OPTIONS (ADD column_name 'places')});
add('in', 5001);
wait_for('enriched');
is(sql('SELECT seats FROM enriched WHERE n = 5001'), '-1', 'a column of MySQL renamed');
sql(q{ALTER TABLE big ALTER COLUMN name TYPE varchar(50); ALTER TABLE big RENAME TO large; ALTER TABLE large RENAME TO big});
add('in', 5002);
wait_for('enriched');
is(sql('SELECT name FROM enriched WHERE n = 5002'), 'name 2', 'a local table altered');

# While a system is away the batch waits; nothing is lost, and no dead letter made.
foreach my $away ([ 'Redis', sub { redis_stop($redis) }, sub { redis_up($redis) } ],
	[ 'MySQL', sub { mysql_kill($mysql) }, sub { mysql_restart($mysql) } ])
{
	my ($name, $stop, $start) = @$away;
	my $before = sql('SELECT max(n) FROM enriched');

	$stop->();
	add('in', $before + 1 .. $before + 100);
	poll_query($node, q{SELECT retry_at IS NOT NULL FROM feathub.job_status WHERE job = 'enriched'}, 't', "$name is missed");
	is(sql('SELECT max(n) FROM enriched'), $before, "without $name the batch waits");
	$start->();
	wait_for('enriched');
	is(sql("SELECT count(*), count(DISTINCT n) FROM enriched WHERE n > $before"), '100|100', "with $name it comes, once");
}
is(status('enriched', 'dead_letters, skipped, state'), '0|0|running', 'none was lost');
is(sql("$wrong AND n % 500 <> 1"), 0, 'with the right values');

# A system that hangs: the job can be paused at once.
redis_pause($redis);
add('in', 5300);
poll_query($node, q{SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'feathub worker' AND query LIKE 'feathub job enriched%' AND state = 'active'});
my $began = Time::HiRes::time();
sql(q{SELECT feathub.pause_job('enriched')});
poll_query($node, q{SELECT count(*) = 0 FROM pg_stat_activity WHERE query LIKE 'feathub job enriched%'});
cmp_ok(Time::HiRes::time() - $began, '<', 15, 'a worker that waits for Redis ends');
redis_continue($redis);
sql(q{SELECT feathub.resume_job('enriched')});
wait_for('enriched');
is(sql('SELECT city FROM enriched WHERE n = 5300'), 'c300', 'and goes on');

# Thousands of batches: the worker's memory stays.
sql(q{ALTER SYSTEM SET feathub.batch_rows = 5}); $node->reload;
sql(qq{CREATE FOREIGN TABLE many (n int, "user" text, plane int) SERVER files OPTIONS (path 'many', format 'json');
CREATE TABLE many_sink (n int, city text, seats int)});
add('many', 0 .. 2499);
sql(q{SELECT feathub.create_job('many', source => 'many', sink => 'many_sink', query => $$
	SELECT b.n, u.city, p.seats FROM batch b LEFT JOIN public.users u ON u."user" = b."user" LEFT JOIN public.planes p ON p.id = b.plane $$)});
wait_for('many');
my $pid = sql(q{SELECT pid FROM feathub.worker WHERE job = 'many'});
sub memory { slurp_file("/proc/$pid/status") =~ /^RssAnon:\s+(\d+)/m; return $1; }
my $memory = memory();
add('many', 2500 .. 9999);
wait_for('many');
is(sql(q{SELECT pid FROM feathub.worker WHERE job = 'many'}), $pid, 'the same worker');
is(sql('SELECT count(*), count(DISTINCT n) FROM many_sink'), '10000|10000', '2,000 batches');
cmp_ok(memory() - $memory, '<', 3000, 'grew by less than 3 MB');

done_testing();
