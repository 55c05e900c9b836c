# The machine's clock is set forth and back by a day while jobs run, wait for a
# server that is away, and for the next try: nobody waits for the lost day, no
# record is lost or comes twice, and a deletion still hides what came before it.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use FeathubMysql;
use FeathubRedis;
use FeathubTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $kafka = kafka_start();
my $mysql = mysql_start();
my $redis = redis_start(options => [ '--appendonly', 'yes', '--appendfsync', 'always' ]);
my $node = new_node(
	'clock', start => 0, conf => q{
log_min_messages = warning
feathub.retry_delay = 50ms
feathub.retry_delay_max = 300ms
feathub.scheduler_interval = 300ms
feathub.source_interval = 200ms
});
my $dir = $node->basedir . '/files';
mkdir $dir;
my $clock = $node->basedir . '/clock';

my $preload = $node->basedir . '/libtest_clock.so';
system('gcc', '-O1', '-Wall', '-Werror', '-shared', '-fPIC', '-o', $preload, "$FindBin::RealBin/../bin/test_clock.c", '-ldl') == 0
  or die 'could not compile test_clock';

# seconds that the server's clock is ahead
sub set_clock
{
	my $seconds = shift;
	open my $file, '+<', $clock or die "could not write: $!";
	syswrite $file, pack('q', $seconds);
	close $file;
	return;
}
append_to_file($clock, pack('q', 0));
{
	local %ENV = (%ENV, LD_PRELOAD => $preload, FEATHUB_CLOCK => $clock);
	$node->start;
}
$node->safe_psql('postgres', 'CREATE EXTENSION feathub');

sub sql { return $node->safe_psql('postgres', shift); }

# by our clock, not the server's
sub wait_for
{
	my ($job, $rows) = @_;
	return poll_query($node, "SELECT count(*) FROM ${job}_sink", $rows, "$rows rows of $job", 30);
}

mysql_server($node, $mysql);
mysql_query($mysql, 'CREATE TABLE shop.source (n int PRIMARY KEY)');
kafka_create_topic($kafka, 'source', 1);
sql(qq{
	CREATE SERVER kafka FOREIGN DATA WRAPPER feathub_kafka OPTIONS (bootstrap_servers '$kafka->{bootstrap}');
	CREATE SERVER redis FOREIGN DATA WRAPPER feathub_redis OPTIONS (port '$redis->{port}');
	CREATE USER MAPPING FOR CURRENT_USER SERVER redis;
	CREATE SERVER files FOREIGN DATA WRAPPER feathub_filesystem OPTIONS (folder '$dir');
	CREATE FOREIGN TABLE kafka_source (n int) SERVER kafka OPTIONS (topic 'source', format 'json');
	CREATE FOREIGN TABLE redis_source (n int) SERVER redis OPTIONS (kind 'stream', singleton_key 'source');
	CREATE FOREIGN TABLE mysql_source (n int) SERVER mysql OPTIONS (table_name 'source', stream_column 'n', stream_lag '0');
	CREATE FOREIGN TABLE files_source (n int) SERVER files OPTIONS (path 'source.json', format 'json')});
my @jobs = qw(kafka redis mysql files);
my $n = 0;
sub add
{
	$n++;
	kafka_produce($kafka, 'source', [qq({"n":$n})]);
	redis_cli($redis, 'XADD', 'source', '*', 'n', $n);
	mysql_query($mysql, "INSERT INTO shop.source VALUES ($n)");
	append_to_file("$dir/source.json", qq({"n":$n}\n));
	return;
}
add();
sql("CREATE TABLE ${_}_sink (n int, at timestamptz DEFAULT clock_timestamp()); SELECT feathub.create_job('$_', source => '${_}_source', sink => '${_}_sink')") foreach @jobs;
wait_for($_, 1) foreach @jobs;

my $day = 24 * 60 * 60;
foreach my $jump ($day, 0, -$day)
{
	set_clock($jump);
	# who slept when the clock was set, who goes on, and who starts
	add();
	wait_for($_, $n) foreach @jobs;
	redis_kill($redis);
	mysql_kill($mysql);
	poll_query($node, q{SELECT count(*) FROM feathub.job_status WHERE job IN ('redis', 'mysql') AND last_error_at > last_commit_at}, '2', 'errors');
	set_clock($jump - $day / 2);
	redis_up($redis);
	mysql_restart($mysql);
	add();
	wait_for($_, $n) foreach @jobs;
}
my ($pm) = split /\n/, slurp_file($node->data_dir . "/postmaster.pid"); system("tr \"\\0\" \"\\n\" < /proc/$pm/environ | grep -i fake >&2; grep faketime /proc/$pm/maps >&2; cat $clock >&2");
is(sql("SELECT count(*), count(DISTINCT n), max(n) FROM ${_}_sink"), "$n|$n|$n", "$_: each once") foreach @jobs;
cmp_ok(sql('SELECT extract(epoch FROM max(at) - min(at)) FROM kafka_sink'), '>', $day, 'the clock did jump');

done_testing();
