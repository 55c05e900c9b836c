# Jobs that follow files: new ones, lines that come in pieces, renamed, rotated,
# truncated and compressed files, kills, dead letters, rewinding, many files.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use FeathubTest;
use File::Path qw(make_path);
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes ();

random_seed();
my $node = new_node(
	'main', jobs => 1, conf => q{
feathub.scheduler_interval = 300ms
feathub.source_interval = 200ms
feathub.batch_rows = 500
});
my $dir = $node->basedir . '/files';
make_path("$dir/$_") foreach 'in', 'json', 'csv', 'kill', 'many', 'parts/day=1', 'parts/day=2';

sub sql { return $node->safe_psql('postgres', shift); }
sub wait_for { return wait_for_job($node, shift); }

sub add { append_to_file("$dir/$_[0]", $_[1]); return; }

sub put
{
	my ($name, $content) = @_;
	(my $hidden = "$dir/$name") =~ s{/([^/]+)$}{/.$1};
	open my $out, '>', $hidden or die "could not write: $!";
	print $out $content;
	close $out;
	rename $hidden, "$dir/$name" or die "could not rename: $!";
	return;
}

sub source_and_job
{
	my ($name, $options, $job) = @_;
	sql(qq{CREATE FOREIGN TABLE $name (line text) SERVER files OPTIONS ($options);
		CREATE TABLE ${name}_sink (line text);
		SELECT feathub.create_job('$name', source => '$name', sink => '${name}_sink'} . ($job // '') . ')');
	return;
}

sub lines_of { my $name = shift; return sql("SELECT string_agg(line, ' ' ORDER BY line) FROM ${name}_sink"); }

sql(qq{CREATE SERVER files FOREIGN DATA WRAPPER feathub_filesystem OPTIONS (folder '$dir')});

# New files, and lines in pieces

put('in/a.log', "a1\na2\n");
source_and_job('raw', q{path 'in', format 'raw'});
wait_for('raw');
is(lines_of('raw'), 'a1 a2', 'what was there');
add('in/a.log', "a3\na");
wait_for('raw');
is(lines_of('raw'), 'a1 a2 a3', 'a line that is not whole waits');
add('in/a.log', "4");
put('in/b.log', "b1\n");
wait_for('raw');
is(lines_of('raw'), 'a1 a2 a3 b1', 'a new file');
add('in/a.log', "\n\na6\n");
wait_for('raw');
is(lines_of('raw'), ' a1 a2 a3 a4 a6 b1', 'the rest of the line');

# Renamed and rotated

rename "$dir/in/a.log", "$dir/in/a.log.1";
put('in/a.log', "n1\n");
add('in/a.log.1', "a7\n");
wait_for('raw');
is(lines_of('raw'), ' a1 a2 a3 a4 a6 a7 b1 n1', 'a renamed file goes on, a new one of its name is new');
rename "$dir/in/a.log.1", "$dir/gone";
add('gone', "last\n");
poll_query($node, q{SELECT count(*) = 1 FROM raw_sink WHERE line = 'last'});
pass('what was written to a file that has just left is read');
sql(q{SELECT feathub.pause_job('raw')});
rename "$dir/in/b.log", "$dir/in/c.log";
add('in/c.log', "b2\n");
sql(q{SELECT feathub.resume_job('raw')});
wait_for('raw');
is(lines_of('raw'), ' a1 a2 a3 a4 a6 a7 b1 b2 last n1', 'renamed while nobody looked');

# Truncated: an error, until it is rewound; or a gap

truncate "$dir/in/c.log", 2;
poll_query($node, q{SELECT state = 'failed' FROM feathub.job_status WHERE job = 'raw'});
like(sql(q{SELECT reason FROM feathub.job_status WHERE job = 'raw'}), qr/c\.log" was truncated or written anew/, 'a truncated file stops the job');
add('in/c.log', "\nc1\nc2\nc3\n");
my $partition = sql(q{SELECT partition FROM feathub.job_position WHERE job_id = (SELECT job_id FROM feathub.job WHERE name = 'raw') AND position = '6'});
sql(qq{SELECT feathub.rewind_job('raw', 'earliest', '$partition'); SELECT feathub.resume_job('raw')});
wait_for('raw');
is(sql(q{SELECT count(*) FROM raw_sink WHERE line IN ('c1', 'c2', 'c3')}), 3, 'rewound, it is read');
sql(q{SELECT feathub.drop_job('raw')});

put('kill/x.log', "x1\nx2\nx3\n");
source_and_job('skip', q{path 'kill/*.log', format 'raw'}, q{, on_gap => 'skip'});
wait_for('skip');
sql(q{SELECT feathub.pause_job('skip')});
truncate "$dir/kill/x.log", 0;
add('kill/x.log', "y1\ny2\ny3\ny4\n");
sql(q{SELECT feathub.resume_job('skip')});
poll_query($node, q{SELECT count(*) = 7 FROM skip_sink});
is(lines_of('skip'), 'x1 x2 x3 y1 y2 y3 y4', 'written anew, it is read from its begin');
add('kill/x.log', "y5\n");
poll_query($node, q{SELECT count(*) = 8 FROM skip_sink});
sql(q{SELECT feathub.drop_job('skip')});

# csv: headers, quotes, line numbers, dead letters

put('parts/day=1/a.csv', qq{id,t\n1,"one\nand more"\n2,two\n});
sql(q{CREATE FOREIGN TABLE csv (id int, t text, day int OPTIONS (partition 'true'), line bigint OPTIONS (metadata 'line'), path text OPTIONS (metadata 'path'))
	SERVER files OPTIONS (path 'parts', format 'csv', header 'match');
	CREATE TABLE csv_sink (id int, t text, day int, line bigint, path text);
	SELECT feathub.create_job('csv', source => 'csv', sink => 'csv_sink')});
wait_for('csv');
is(sql(q{SELECT string_agg(id || ':' || length(t) || ':' || day || ':' || line, ' ' ORDER BY id) FROM csv_sink}), '1:12:1:2 2:3:1:4', 'csv with a header');
put('parts/day=2/b.csv', "id,t\n3,three\nbad,line\n4,four\n");
add('parts/day=1/a.csv', "5,five\n");
wait_for('csv');
is(sql(q{SELECT string_agg(id || ':' || day || ':' || line, ' ' ORDER BY id) FROM csv_sink WHERE id > 2}), '3:2:2 4:2:4 5:1:5', 'lines are counted on');
is(sql(q{SELECT convert_from(value, 'UTF8') || ' ' || (headers->>'line') FROM feathub.dead_letter WHERE job = 'csv'}), 'bad,line 3', 'a dead letter');
sql(q{ALTER FOREIGN TABLE csv ALTER COLUMN id TYPE text; ALTER TABLE csv_sink ALTER COLUMN id TYPE text});
sql(q{SELECT feathub.retry_dead_letters('csv')});
is(sql(q{SELECT t || ':' || day || ':' || line || ':' || (path LIKE '%/day=2/b.csv') FROM csv_sink WHERE id = 'bad'}), 'line:2:3:true', 'which knows where it was, and can be tried again');
put('parts/day=2/c.csv', "id,wrong\n9,x\n");
poll_query($node, q{SELECT last_error LIKE 'column name mismatch in header of file%' FROM feathub.job_status WHERE job = 'csv'});
pass('a header that does not match');
sql(q{SELECT feathub.drop_job('csv')});

# json, compressed files, rewinding

put('json/a.json', qq({"line": "j1"}\n\n{"line": "j2"}\n));
put('json/raw', join('', map { qq({"line": "z$_"}\n) } 1 .. 2000));
system_or_bail('gzip', "$dir/json/raw");
source_and_job('json', q{path 'json', format 'json'});
wait_for('json');
is(sql('SELECT count(*), count(DISTINCT line) FROM json_sink'), '2002|2002', 'json lines, plain and compressed');
sql(q{SELECT feathub.pause_job('json'); SELECT feathub.rewind_job('json', 'earliest'); SELECT feathub.resume_job('json')});
wait_for('json');
is(sql('SELECT count(*), count(DISTINCT line) FROM json_sink'), '4004|2002', 'a rewind reads all again');
sql(q{SELECT feathub.drop_job('json')});

# From the end on; files that come later are new all the same
source_and_job('later', q{path 'json/*.json', format 'json'}, q{, start => 'latest'});
wait_for('later');
put('json/b.json', qq({"line": "l1"}\n));
add('json/a.json', qq({"line": "l2"}\n));
wait_for('later');
is(lines_of('later'), 'l1 l2', 'start latest');
sql(q{SELECT feathub.drop_job('later')});

# Kills, while lines are appended in pieces and files are rotated

source_and_job('kills', q{path 'kill/k*', format 'raw'}, q{, workers => 2});
my $n = 0;
my $kills = 0;
for my $round (1 .. 15)
{
	my $text = join '', map { 'line ' . ++$n . "\n" } 1 .. 700;
	my $cut = int(rand(length $text));
	add('kill/k' . ($round % 3), substr($text, 0, $cut));
	my $pid = eval { $node->safe_psql('postgres', q{SELECT pid FROM pg_stat_activity WHERE backend_type = 'feathub worker' ORDER BY random() LIMIT 1}) };
	$kills += kill 'KILL', $pid if $pid;
	Time::HiRes::sleep(rand(0.2));
	add('kill/k' . ($round % 3), substr($text, $cut));
	rename "$dir/kill/k" . ($round % 3), "$dir/kill/k" . ($round % 3) . ".$round" if rand() < 0.4;
}
cmp_ok($kills, '>', 0, "$kills workers were killed");
poll_until(sub { eval { $node->safe_psql('postgres', 'SELECT 1') } }, 'the server answers');
wait_for('kills');
is(sql('SELECT count(*), count(DISTINCT line) FROM kills_sink'), "$n|$n", 'every line once');
sql(q{SELECT feathub.drop_job('kills')});

# Many files

add("many/f$_", "$_\n") foreach 1 .. 2000;
source_and_job('many', q{path 'many', format 'raw'});
wait_for('many');
is(sql('SELECT count(*), sum(line::int) FROM many_sink'), '2000|2001000', 'many files');
sql(q{SELECT feathub.drop_job('many')});

# Whole files: avro, and parquet where the build has it

SKIP:
foreach my $format ('avro', 'parquet')
{
	skip('this build has no parquet', 1) if $format eq 'parquet' && !-e ($node->config_data('--pkglibdir') . '/feathub_parquet.so');
	make_path("$dir/$format", "$dir/$format.new");
	my $write = sub {
		my ($name, $query, $columns) = @_;

		$columns //= 'id int, t text, n text';
		sql(qq{DROP FOREIGN TABLE IF EXISTS whole_new; CREATE FOREIGN TABLE whole_new ($columns) SERVER files OPTIONS (path '$format.new/$name.$format', format '$format');
			INSERT INTO whole_new $query});
		rename "$dir/$format.new/$name.$format", "$dir/$format/$name.$format" or die "could not rename: $!";
	};
	$write->('a', q{SELECT i, 't' || i, i::text FROM generate_series(1, 3000) i});
	sql(qq{CREATE FOREIGN TABLE whole_$format (id int, t text, n text, path text OPTIONS (metadata 'path')) SERVER files OPTIONS (path '$format', format '$format');
		CREATE TABLE whole_${format}_sink (id int, t text, n int CHECK (n > 0), path text);
		SELECT feathub.create_job('$format', source => 'whole_$format', sink => 'whole_${format}_sink', query => 'SELECT id, t, n::int AS n, path FROM batch')});
	wait_for($format);
	is(sql("SELECT count(*), count(DISTINCT id), sum(n), count(*) FILTER (WHERE path LIKE '%/a.$format' AND t = 't' || id) FROM whole_${format}_sink"), '3000|3000|4501500|3000', "$format: a whole file");
	$write->('b', q{VALUES (4000, 'x', '5'), (4001, 'bad', 'no number'), (4002, NULL, '-1'), (4003, 'last', '7')});
	wait_for($format);
	is(sql("SELECT string_agg(id || ':' || n, ' ' ORDER BY id) FROM whole_${format}_sink WHERE id >= 4000"), '4000:5 4003:7', "$format: a new one, without its bad rows");
	is(sql("SELECT string_agg((sequence + 1) || ' ' || (headers->>'path' LIKE '%/b.$format'), ',' ORDER BY sequence) FROM feathub.dead_letter WHERE job = '$format'"), '2 true,3 true', "$format: dead letters say where they are");
	sql("ALTER TABLE whole_${format}_sink DROP CONSTRAINT whole_${format}_sink_n_check");
	sql("SELECT feathub.retry_dead_letters('$format')");
	is(sql("SELECT string_agg(id || ':' || n || ':' || (path LIKE '%/b.$format'), ' ' ORDER BY id) FROM whole_${format}_sink WHERE id IN (4001, 4002)"), '4002:-1:true', "$format: and can be tried again");
	# not from a file that has taken the name, nor to the harm of others
	$write->('b', q{VALUES (4000, 'x', '5'), (5001, 'other', '9')});
	wait_for($format);
	foreach my $what ('replaced', 'removed')
	{
		unlink "$dir/$format/b.$format" or die "could not remove: $!" if $what eq 'removed';
		is(sql("SELECT feathub.retry_dead_letters('$format')"), '0', "$format: the file is $what");
		is(sql("SELECT count(*) || ' ' || (SELECT count(*) FROM feathub.dead_letter WHERE job = '$format' AND message LIKE '%is gone') FROM whole_${format}_sink WHERE id = 5001"), '1 1', "$format: and the row a dead letter");
	}
	# restarts in the middle of a file
	$write->('c', q{SELECT i, 't', '1' FROM generate_series(10001, 30000) i});
	for (1 .. 5)
	{
		my $pid = eval { $node->safe_psql('postgres', q{SELECT pid FROM pg_stat_activity WHERE backend_type = 'feathub worker' LIMIT 1}) };
		kill 'TERM', $pid if $pid;
		Time::HiRes::sleep(0.05);
	}
	wait_for($format);
	is(sql("SELECT count(*), count(DISTINCT id) FROM whole_${format}_sink WHERE id > 10000"), '20000|20000', "$format: every row once");
	# one that changes after it has been read
	add("$format/a.$format", 'more');
	poll_query($node, qq{SELECT state = 'failed' FROM feathub.job_status WHERE job = '$format'});
	like(sql(qq{SELECT reason FROM feathub.job_status WHERE job = '$format'}), qr/a\.$format" was changed after it had been read as a whole/, "$format: a file that has grown stops the job");
	sql(qq{SELECT feathub.drop_job('$format')});
}

# Lines appended to a compressed file
make_path("$dir/packed");
put('packed/p', "1\n2\n");
system_or_bail('gzip', "$dir/packed/p");
source_and_job('packed', q{path 'packed', format 'raw'});
wait_for('packed');
add('packed/p.gz', 'more');
poll_query($node, q{SELECT state = 'failed' FROM feathub.job_status WHERE job = 'packed'});
like(sql(q{SELECT reason FROM feathub.job_status WHERE job = 'packed'}), qr/p\.gz" was changed after it had been read as a whole/, 'a compressed file that has grown stops the job');
sql(q{SELECT feathub.drop_job('packed')});

# Told of new files and lines, without looking for them

make_path("$dir/told/a");
source_and_job('told', q{path 'told', format 'raw'});
wait_for('told');
$node->append_conf('postgresql.conf', "feathub.source_interval = '1h'\n");
$node->reload;
# the interval that has begun ends, the next one would be long
add('told/a/first', "1\n");
poll_query($node, q{SELECT count(*) = 1 FROM told_sink});
add('told/a/second', "2\n");
poll_query($node, q{SELECT count(*) = 2 FROM told_sink});
make_path("$dir/told/b");
put('told/b/third', "3\n");
poll_query($node, q{SELECT count(*) = 3 FROM told_sink});
add('told/a/first', "4\n");
poll_query($node, q{SELECT count(*) = 4 FROM told_sink});
is(lines_of('told'), '1 2 3 4', 'new files, folders and lines are told');
sql(q{SELECT feathub.drop_job('told')});

# Changes of rows in files

make_path("$dir/changes");
my $change = sub {
	my ($op, $id, $v, $ms) = @_;
	my $image = qq({"id": $id, "v": "$v"});

	return qq({"op": "$op", "ts_ms": $ms, "before": ) . ($op eq 'd' ? $image : 'null') . ', "after": ' . ($op eq 'd' ? 'null' : $image) . qq(, "source": {"ts_ms": $ms}}\n);
};
put('changes/1.json', $change->('c', 1, 'a', 1000) . $change->('c', 2, 'b', 1000));
sql(q{CREATE FOREIGN TABLE changes_stream (id int, v text) SERVER files OPTIONS (path 'changes', format 'debezium-json');
	SELECT feathub.create_feature_group('changes', source => 'changes_stream', primary_key => '{id}')});
wait_for('changes');
add('changes/1.json', $change->('u', 1, 'a2', 2000) . $change->('d', 2, 'b', 2000));
put('changes/2.json', $change->('c', 3, 'c', 3000));
wait_for('changes');
is(sql(q{SELECT string_agg(id || v, ' ' ORDER BY id) FROM changes_online}), '1a2 3c', 'changes are applied');

# What cannot be followed
my ($status, $out, $err) = $node->psql('postgres', q{SELECT feathub.create_job('x', source => 'raw', sink => 'raw_sink', start => 'nonsense')});
isnt($status, 0, 'a start that is none');

done_testing();
