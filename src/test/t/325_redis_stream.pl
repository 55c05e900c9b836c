# Jobs that follow streams of a real Redis: positions, restarts, rewinds, dead
# letters, several streams and workers; trimming that overtakes a job, streams
# that are deleted and made again.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use FeathubRedis;
use FeathubTest;
use Test::More;

my $redis = redis_start();
my $node = new_node('stream',
	conf => "feathub.source_interval = '300ms'\nfeathub.retry_delay = '200ms'\nfeathub.retry_delay_max = '500ms'\n");

sub sql { return $node->safe_psql('postgres', shift); }
sub error_of { return ($node->psql('postgres', "\\set VERBOSITY verbose\n$_[0]"))[2]; }
sub status { return sql("SELECT $_[1] FROM feathub.job_status WHERE job = '$_[0]'"); }
sub wait_for { return sql("SELECT feathub.wait_for_job('$_[0]', timeout => '60 s')"); }
sub add { my ($key, @fields) = @_; return redis_cli($redis, 'XADD', $key, '*', @fields); }

sub reason_of_failure
{
	my $job = shift;
	poll_query($node, "SELECT state FROM feathub.job_status WHERE job = '$job'", 'failed', "$job to fail");
	return status($job, 'reason');
}

sub go_on
{
	my ($job, $target) = @_;
	sql("SELECT feathub.rewind_job('$job', '$target'); SELECT feathub.resume_job('$job')");
	return wait_for($job);
}

# A job that copies streams into a table of its name.
sub follow
{
	my ($name, $options, $arguments) = @_;
	my $key = $options =~ /singleton/ ? '' : q{k text OPTIONS (key 'true'), };

	sql(qq{
		CREATE FOREIGN TABLE ${name}_source ($key n int, t text, id text OPTIONS (metadata 'id'), at timestamptz OPTIONS (metadata 'time'))
		  SERVER r OPTIONS (kind 'stream', $options);
		CREATE TABLE $name AS SELECT * FROM ${name}_source LIMIT 0;
		SELECT feathub.create_job('$name', source => '${name}_source', sink => '$name' @{[ $arguments || '' ]})});
	return;
}

sub numbers { return sql("SELECT string_agg(n::text, ' ' ORDER BY n, id) FROM $_[0]"); }

sql(qq{
	CREATE SERVER r FOREIGN DATA WRAPPER feathub_redis OPTIONS (port '$redis->{port}');
	CREATE USER MAPPING FOR CURRENT_USER SERVER r});

# What can be followed
sql(q{CREATE FOREIGN TABLE hash (k text OPTIONS (key 'true'), n int) SERVER r OPTIONS (kind 'hash', prefix 'hash:');
	CREATE TABLE hash_sink (k text, n int)});
like(error_of(q{SELECT feathub.create_job('no', source => 'hash', sink => 'hash_sink')}), qr/42809.*cannot follow/s, 'a hash is no stream');

# A feature group
sql(q{CREATE FOREIGN TABLE clicks_source (k text, n int, at timestamptz OPTIONS (metadata 'time'))
	  SERVER r OPTIONS (kind 'stream', singleton_key 'clicks');
	SELECT feathub.create_feature_group('clicks', source => 'clicks_source', primary_key => '{k}', event_time => 'at')});
wait_for('clicks');
is(sql('SELECT count(*) FROM clicks'), '0', 'a stream that is not there yet');
my @ids = map { add('clicks', 'k', 'k' . $_ % 3, 'n', $_) } 1 .. 30;
wait_for('clicks');
is(sql('SELECT count(*), sum(n) FROM clicks'), '30|465', 'a feature group from a stream');
is(status('clicks', 'lag'), '0', 'no lag');
my ($ms, $seq) = split /-/, $ids[-1];
is(sql("SELECT position FROM feathub.job_partition WHERE job = 'clicks'"), $ms . '-' . ($seq + 1), 'the position is behind the last entry');
sql("SELECT feathub.restart_job('clicks')");
add('clicks', 'k', 'k1', 'n', '31');
wait_for('clicks');
is(status('clicks', 'records'), '31', 'a restart repeats nothing');

# Dead letters
follow('letters', "singleton_key 'letters'");
add('letters', 'n', '1', 't', 'one');
my $bad = add('letters', 'n', 'x1', 't', "a:b,\x01\"");
add('letters', 'n', '3', 'n', '4', 'other', 'y');
wait_for('letters');
is(numbers('letters'), '1 4', 'good ones; the last of two fields of a name');
my ($bms, $bseq) = split /-/, $bad;
is(sql("SELECT partition, sequence, convert_from(key, 'UTF8'), value FROM feathub.dead_letter WHERE job = 'letters'"),
	'letters|' . (($bms << 20) + $bseq) . '|letters|\x' . unpack('H*', "1:n,2:x1,1:t,6:a:b,\x01\","), 'a dead letter');
is(sql("SELECT feathub.retry_dead_letters('letters')"), '0', 'which is not better the second time');
sql(q{SELECT feathub.pause_job('letters'); ALTER FOREIGN TABLE letters_source ALTER n TYPE text; ALTER TABLE letters ALTER n TYPE text;
	SELECT feathub.resume_job('letters')});
is(sql("SELECT feathub.retry_dead_letters('letters')"), '1', 'until the table is mended');
is(sql("SELECT n, id = '$bad', t = E'a:b,\\x01\"', at = to_timestamp($bms / 1000.0) FROM letters WHERE n = 'x1'"), 'x1|t|t|t', 'all of it');

# Trimmed while the job stood still
follow('gap', "singleton_key 'gap'");
follow('jump', "singleton_key 'gap'", ", on_gap => 'skip'");
add('gap', 'n', $_) foreach 1 .. 5;
wait_for($_) foreach ('gap', 'jump');
redis_cli($redis, 'XTRIM', 'gap', 'MAXLEN', '2');
add('gap', 'n', '6');
wait_for('gap');
is(numbers('gap'), '1 2 3 4 5 6', 'what was applied may be trimmed');
sql("SELECT feathub.pause_job('$_')") foreach ('gap', 'jump');
add('gap', 'n', $_) foreach 7 .. 12;
redis_cli($redis, 'XTRIM', 'gap', 'MAXLEN', '2');
sql("SELECT feathub.resume_job('$_')") foreach ('gap', 'jump');
like(reason_of_failure('gap'), qr/stream "gap".*no longer has all entries/, 'what was not is an error');
is(numbers('gap'), '1 2 3 4 5 6', 'and nothing behind it is applied');
wait_for('jump');
is(numbers('jump'), '1 2 3 4 5 6 11 12', 'or skipped');
is(status('jump', 'skipped'), '4', 'and counted');
go_on('gap', 'earliest');
is(numbers('gap'), '1 2 3 4 5 6 11 12', 'a rewind goes on behind the gap');

# All of it trimmed, and deleted entries at the end
sql("SELECT feathub.pause_job('gap')");
my $last = add('gap', 'n', '13');
redis_cli($redis, 'XTRIM', 'gap', 'MAXLEN', '0');
sql("SELECT feathub.resume_job('gap')");
like(reason_of_failure('gap'), qr/no longer has all entries/, 'an empty stream has a gap too');
go_on('gap', 'latest');
$last = add('gap', 'n', '14');
wait_for('gap');
is(sql('SELECT count(*) FROM gap WHERE n = 14'), '1', 'on from the end');

# Made again
sql("SELECT feathub.pause_job('gap')");
redis_cli($redis, 'DEL', 'gap');
redis_cli($redis, 'XADD', 'gap', '1-1', 'n', '100');
sql("SELECT feathub.resume_job('gap')");
like(reason_of_failure('gap'), qr/is not the one that the job has followed/, 'a stream that was made again');
go_on('gap', 'earliest');
is(sql('SELECT id, at FROM gap WHERE n = 100'), '1-1|1970-01-01 00:00:00.001+00', 'is followed from its start');
redis_cli($redis, 'DEL', 'gap');
like(reason_of_failure('gap'), qr/is not the one that the job has followed/, 'a stream that is deleted under the job');

# Rewinds
follow('back', "singleton_key 'back'");
redis_cli($redis, 'XADD', 'back', "${_}000-5", 'n', $_) foreach 1 .. 6;
wait_for('back');
sql('TRUNCATE back');
foreach my $case (
	[ '5000-5', '5 6' ], [ '5000-6', '6' ], [ '5000', '5 6' ], [ '1970-01-01 00:00:04+00', '4 5 6' ],
	[ '1970-01-01 00:00:04.001+00', '5 6' ], [ '2200-01-01', '' ], [ 'latest', '' ], [ 'earliest', '1 2 3 4 5 6' ])
{
	go_on('back', $case->[0]);
	is(numbers('back'), $case->[1], "rewind to $case->[0]");
	sql('TRUNCATE back');
}
like(error_of(q{SELECT feathub.rewind_job('back', '7000')}), qr/22023.*no id "7000" yet/s, 'not to an id that is not there yet');
like(error_of(q{SELECT feathub.rewind_job('back', 'x-1')}), qr/22023.*invalid position/s, 'nor to nonsense');
redis_cli($redis, 'XADD', 'back', '7000-2000000', 'n', '7');
like(reason_of_failure('back'), qr/id 7000-2000000 .*too large/, 'an id that does not fit');

# Several streams, two workers; more than a batch
follow('many', "prefix 's:'", ', workers => 2');
wait_for('many');
redis_pipe($redis, join('', map { my $s = $_; map { "XADD s:a-$s * n $_ t s$s\r\n" } 1 .. 3000 } 0 .. 3));
redis_cli($redis, 'SET', 's:other', 'x');
poll_query($node, 'SELECT count(*), count(DISTINCT id || k), count(DISTINCT k), sum(n) FROM many', '12000|12000|4|18006000', 'four streams that came later');
is(sql("SELECT string_agg(DISTINCT k, ' ') FROM many"), 'a-0 a-1 a-2 a-3', 'their keys');
poll_query($node, "SELECT count(DISTINCT worker) FROM feathub.job_partition WHERE job = 'many'", '2', 'both workers have a share');
is(status('many', 'records = applied AND records = 12000'), 't', 'each entry once');

# Named by a set; a lost connection
redis_cli($redis, 'SADD', 'names', 'x1', 'x2');
follow('named', "key_set 'names'");
add('x1', 'n', '1');
add('x2', 'n', '2');
wait_for('named');
is(numbers('named'), '1 2', 'streams named by a set');
redis_cli($redis, 'CLIENT', 'KILL', 'TYPE', 'normal');
add('x2', 'n', '3');
poll_query($node, q{SELECT string_agg(n::text, ' ' ORDER BY n) FROM named}, '1 2 3', 'on after a lost connection');
is(status('named', 'records'), '3', 'each once');

done_testing();
