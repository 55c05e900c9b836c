# A job with sinks here, in MySQL, in files and in Redis: each exactly once (Redis:
# the same end) through kills of workers and of MySQL, where a batch has reached
# one sink and not another, and where one refuses a record.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use FeathubMysql;
use FeathubRedis;
use FeathubTest;
use File::Path qw(make_path remove_tree);
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes ();

my $mysql = mysql_start();
my $redis = redis_start();
random_seed();
my $node = new_node(
	'main', jobs => 1, conf => q{
feathub.batch_rows = 300
});
my $dir = $node->basedir . '/files';
make_path("$dir/in", "$dir/out");

sub sql { return $node->safe_psql('postgres', shift); }
sub patient { return patient_query($node, shift); }
sub wait_for { return wait_for_job($node, shift); }

sub pause
{
	patient(q{SELECT feathub.pause_job('all')});
	poll_query($node, q{SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'feathub worker'});
}

sub resume { sql(q{SELECT feathub.resume_job('all')}); wait_for('all'); }

# records from .. to, in one of the files that are followed
sub add
{
	my ($file, $from, $to, $note) = @_;
	append_to_file("$dir/in/$file.json",
		join('', map { sprintf qq({"id":%d,"n":%d,"note":"%s"}\n), $_ % 100, $_, $note || 'x' } $from .. $to));
}

# what other programs find in the folder: hidden files are not looked at
sub numbers_in_files
{
	my @numbers;
	foreach my $name (glob "$dir/out/*")
	{
		push @numbers, map { (split /,/)[0] } split /\n/, slurp_file($name);
	}
	return @numbers;
}

sub summary { my ($n, $different, $sum) = @_; return "$n\t$different\t$sum"; }

# count, different ones and sum of each sink that adds
sub sums
{
	my %seen;
	my $sum = 0;
	my @numbers = numbers_in_files();

	$seen{$_}++, $sum += $_ foreach @numbers;
	return (
		here => patient(q{SELECT concat_ws(E'\t', count(*), count(DISTINCT n), sum(n)) FROM here}),
		mysql => mysql_query($mysql, 'SELECT count(*), count(DISTINCT n), sum(n) FROM shop.log'),
		files => summary(scalar @numbers, scalar keys %seen, $sum));
}

sub everywhere_once
{
	my ($n, $sum, $what) = @_;
	my %sums = sums();
	is($sums{$_}, summary($n, $n, $sum), "$what: $_") foreach sort keys %sums;
}

mysql_server($node, $mysql);
mysql_query($mysql, 'CREATE TABLE shop.log (n int NOT NULL, note varchar(10))');
sql(qq{
CREATE SERVER files FOREIGN DATA WRAPPER feathub_filesystem OPTIONS (folder '$dir');
CREATE SERVER redis FOREIGN DATA WRAPPER feathub_redis OPTIONS (port '$redis->{port}');
CREATE USER MAPPING FOR CURRENT_USER SERVER redis;
CREATE FOREIGN TABLE source (id int, n int, note text) SERVER files OPTIONS (path 'in', format 'json');
CREATE FOREIGN TABLE out (n int, note text) SERVER files OPTIONS (path 'out', format 'csv');
CREATE FOREIGN TABLE log (n int, note text) SERVER mysql OPTIONS (table_name 'log');
CREATE FOREIGN TABLE latest (id int OPTIONS (key 'true'), n int) SERVER redis
  OPTIONS (kind 'hash', prefix 'latest:', write_mode 'upsert');
CREATE TABLE here (id int, n int, note text);
});

# Workers and MySQL are killed while the job runs.
my $records = 9000;
add($_, $_ * 3000 + 1, $_ * 3000 + 3000) foreach 0 .. 2;
sql(q{SELECT feathub.create_job('all', source => 'source', sinks => '{latest, out, log, here}', workers => 2)});
my $kills = 0;
for my $round (1 .. 10)
{
	Time::HiRes::sleep(0.05 + rand(0.25));
	if ($round % 4 == 0)
	{
		mysql_kill($mysql);
		Time::HiRes::sleep(rand(0.3));
		mysql_restart($mysql);
		next;
	}
	my $pid = eval { $node->safe_psql('postgres', q{SELECT pid FROM pg_stat_activity WHERE backend_type = 'feathub worker' ORDER BY random() LIMIT 1}) };
	next unless $pid;
	$kills += kill 'KILL', $pid;
}
cmp_ok($kills, '>', 0, "$kills workers were killed");
patient('SELECT 1');
wait_for('all');
my $sum = $records * ($records + 1) / 2;
everywhere_once($records, $sum, 'after kills');
is(redis_cli($redis, 'DBSIZE'), 100, 'each key is in Redis');

# A batch that is in MySQL and not in the files, whose folder is as it was before;
# and one that is in the files and not in MySQL.
sub copy_folder { my ($from, $to) = @_; remove_tree("$dir/$to"); system('cp', '-a', "$dir/$from", "$dir/$to") == 0 or die 'cp failed'; }

# All of it is there when the job goes on, so it is one batch: the last one, which is
# what can be lost.
sql(q{ALTER SYSTEM SET feathub.batch_rows = 100000});
sql(q{ALTER SYSTEM SET feathub.batch_interval = '1s'});
$node->reload;
sql(q{SELECT feathub.alter_job('all', workers => 1, query => 'SELECT n, id, note FROM batch')});
pause();
copy_folder('out', 'backup');
my %before = map { split /\t/ } split /\n/, mysql_query($mysql, 'SELECT part, concat(from_position, "|", next_position) FROM shop.feathub_position');
add(0, 9001, 9500);
resume();
pause();
$records += 500;
$sum = $records * ($records + 1) / 2;
everywhere_once($records, $sum, 'before a loss');

sub lose_here
{
	sql('DELETE FROM here WHERE n > 9000');
	foreach my $line (split /\n/, mysql_query($mysql, 'SELECT part, from_position, next_position FROM shop.feathub_position'))
	{
		my ($part, $from, $next) = split /\t/, $line;
		sql("UPDATE feathub.job_position SET position = '$from', mark = NULL WHERE partition = '$part'")
		  if ($before{$part} // '') ne "$from|$next";
	}
}
my $noted = mysql_query($mysql, 'SELECT * FROM shop.feathub_position');
lose_here();
copy_folder('backup', 'out');
cmp_ok(scalar(numbers_in_files()), '==', 9000, 'the files have lost it');
resume();
everywhere_once($records, $sum, 'in MySQL and not in the files');
pause();
is(mysql_query($mysql, 'SELECT * FROM shop.feathub_position') eq $noted ? 'as before' : 'another', 'another',
	'MySQL has noted the new epoch');
copy_folder('out', 'backup');
lose_here();
mysql_query($mysql, q{DELETE FROM shop.log WHERE n > 9000; DELETE FROM shop.feathub_position});
resume();
everywhere_once($records, $sum, 'in the files and not in MySQL');

# A batch that is lost is read again in smaller parts, and these are lost in turn.
pause();
lose_here();
sql(q{ALTER SYSTEM SET feathub.batch_rows = 120});
sql(q{ALTER SYSTEM RESET feathub.batch_interval});
$node->reload;
sql(q{SELECT feathub.resume_job('all')});
for (1 .. 5)
{
	my $pid = eval { $node->safe_psql('postgres', q{SELECT pid FROM pg_stat_activity WHERE backend_type = 'feathub worker' LIMIT 1}) };
	kill 'KILL', $pid if $pid;
	Time::HiRes::sleep(rand(0.1));
}
patient('SELECT 1');
wait_for('all');
everywhere_once($records, $sum, 'in smaller batches');

# What MySQL refuses is nowhere, and in all once MySQL takes it.
add(1, 9501, 9501, 'too long for MySQL');
add(1, 9502, 9502);
wait_for('all');
$records += 1;
$sum += 9502;
everywhere_once($records, $sum, 'a refused record');
is(sql(q{SELECT sink, sequence > 0 FROM feathub.dead_letter}), 'public.log|t', 'its dead letter names the sink');
isnt(redis_cli($redis, 'HGET', 'latest:1', 'n'), 9501, 'it is not in Redis either');
mysql_query($mysql, 'ALTER TABLE shop.log MODIFY note varchar(100)');
is(sql(q{SELECT feathub.retry_dead_letters('all')}), 1, 'tried again it is applied');
$records += 1;
$sum += 9501;
everywhere_once($records, $sum, 'the record that was refused');
is(redis_cli($redis, 'HGET', 'latest:1', 'n'), 9501, 'and in Redis');

# While a sink is away nothing goes to the others, and nothing is lost.
mysql_kill($mysql);
add(2, 9503, 9600);
my $added = sql('SELECT clock_timestamp()');
poll_query($node, "SELECT last_error_at > '$added' AND retry_at IS NOT NULL FROM feathub.job_status WHERE job = 'all'", 't', 'a failed try');
is(sql('SELECT count(*) FROM here'), $records, 'the table here waits');
is(scalar(numbers_in_files()), $records, 'the files wait');
mysql_restart($mysql);
wait_for('all');
$records += 98;
$sum += (9503 + 9600) * 98 / 2;
everywhere_once($records, $sum, 'after an outage');

# Redis went away with all it had: it gets what comes; the others go on exactly once.
redis_kill($redis);
add(2, 9601, 9700);
poll_query($node, q{SELECT retry_at IS NOT NULL FROM feathub.job_status WHERE job = 'all'}, 't', 'a failed try');
redis_up($redis);
wait_for('all');
$records += 100;
$sum += (9601 + 9700) * 100 / 2;
everywhere_once($records, $sum, 'after Redis was away');
is(redis_cli($redis, 'HGET', 'latest:0', 'n'), 9700, 'Redis has the last');

done_testing();
