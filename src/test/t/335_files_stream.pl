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
	'main', conf => q{
log_min_messages = warning
restart_after_crash = on
feathub.retry_delay = 50ms
feathub.retry_delay_max = 300ms
feathub.scheduler_interval = 300ms
feathub.source_interval = 200ms
feathub.batch_rows = 500
});
my $dir = $node->basedir . '/files';
make_path("$dir/$_") foreach 'in', 'json', 'csv', 'kill', 'many', 'parts/day=1', 'parts/day=2';

sub sql { return $node->safe_psql('postgres', shift); }

sub wait_for
{
	my $job = shift;
	poll_until(sub { eval { $node->safe_psql('postgres', "SELECT feathub.wait_for_job('$job', '20 s')"); 1 } }, "job $job has caught up");
}

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

# What cannot be followed
my ($status, $out, $err) = $node->psql('postgres', q{SELECT feathub.create_job('x', source => 'raw', sink => 'raw_sink', start => 'nonsense')});
isnt($status, 0, 'a start that is none');

done_testing();
