# Jobs whose sink has no room: nothing is lost, refused for good or written
# twice, and the jobs go on once there is. A limit on the size of files stands
# for the full disk of PostgreSQL and of a file sink; Redis has one on memory.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use FeathubRedis;
use FeathubTest;
use PostgreSQL::Test::Utils;
use Test::More;

plan(skip_all => 'no prlimit') if system('prlimit --version >/dev/null 2>&1');
my $redis = redis_start();
# segments of WAL that fit into the limit
my $node = new_node(
	'full', init => [ extra => ['--wal-segsize=1'] ], conf => q{
log_min_messages = panic
feathub.retry_delay = 50ms
feathub.retry_delay_max = 300ms
feathub.scheduler_interval = 300ms
feathub.source_interval = 200ms
feathub.batch_rows = 2000
});
my $dir = $node->basedir . '/files';
mkdir $dir;
mkdir "$dir/$_" foreach 'in', 'out';

sub sql { return $node->safe_psql('postgres', shift); }
sub status { my ($job, $columns) = @_; return sql("SELECT $columns FROM feathub.job_status WHERE job = '$job'"); }

# the limit of the server's future processes
sub limit
{
	my $size = shift;
	my ($pid) = split /\n/, slurp_file($node->data_dir . '/postmaster.pid');
	system('prlimit', '--pid', $pid, "--fsize=$size:unlimited") == 0 or die 'prlimit';
	sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type LIKE 'feathub%'");
	return;
}

my $n = 0;
sub add
{
	my ($count, $length) = @_;
	my $from = $n + 1;
	$n += $count;
	append_to_file("$dir/in/a.json", join('', map { qq({"k":$_,"note":") . 'x' x $length . qq("}\n) } $from .. $n));
	return;
}

sub wait_for { return wait_for_job($node, shift); }

# What a job says of it, and that it still tries.
sub told
{
	my ($job, $like) = @_;
	poll_until(sub { (status($job, 'last_error') // '') =~ $like }, "job $job to tell");
	like(status($job, 'last_error'), $like, "job $job tells");
	is(status($job, 'state, dead_letters') =~ /failed/ ? 'failed' : status($job, 'dead_letters'), '0', 'goes on trying and refuses no record');
	return;
}

sql(qq{
	CREATE SERVER files FOREIGN DATA WRAPPER feathub_filesystem OPTIONS (folder '$dir');
	CREATE FOREIGN TABLE source (k int, note text) SERVER files OPTIONS (path 'in', format 'json');
	CREATE FOREIGN TABLE files_sink (k int, note text) SERVER files OPTIONS (path 'out', format 'csv');
	CREATE SERVER redis FOREIGN DATA WRAPPER feathub_redis OPTIONS (port '$redis->{port}');
	CREATE USER MAPPING FOR CURRENT_USER SERVER redis;
	CREATE FOREIGN TABLE redis_sink (k int OPTIONS (key 'true'), note text) SERVER redis OPTIONS (kind 'hash', prefix 'k:', write_mode 'upsert')});
add(10, 100);
sql(q{
	SELECT feathub.create_feature_group('feature', source => 'source', primary_key => '{k}');
	SELECT feathub.create_job('files', source => 'source', sink => 'files_sink');
	SELECT feathub.create_job('redis', source => 'source', sink => 'redis_sink')});
wait_for($_) foreach 'feature', 'files', 'redis';

limit(6 * 1024 * 1024);
redis_cli($redis, 'CONFIG', 'SET', 'maxmemory', '4mb');
# not compressed away: a table of 16 MB
add(8000, 1900);
told('feature', qr/could not (extend|write)/);
told('redis', qr/OOM|memory/);
wait_for('files');
# one record, so that no batch can have a part of it
add(1, 9_000_000);
told('files', qr/could not write/);
is(sql('SELECT count(*) FROM files_sink'), 8010, 'nothing of the batch is there');

limit('unlimited');
redis_cli($redis, 'CONFIG', 'SET', 'maxmemory', '0');
wait_for($_) foreach 'feature', 'files', 'redis';
is(sql('SELECT count(*), count(DISTINCT k), sum(length(note)) FROM feature'), '8011|8011|24201000', 'the group has all');
is(sql('SELECT count(*) FROM feature_online'), '8011', 'online too');
is(sql('SELECT count(*), count(DISTINCT k), sum(length(note)) FROM files_sink'), '8011|8011|24201000', 'the files have each once');
is(sql('SELECT count(*), sum(length(note)) FROM redis_sink'), '8011|24201000', 'Redis has all');
is(status($_, 'dead_letters'), '0', "no dead letter of $_") foreach 'feature', 'files', 'redis';

done_testing();
