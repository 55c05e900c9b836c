# Jobs that follow files, the hard cases: files that are put away, gone and back,
# links, files that cannot be read, written anew at their size, more events than
# the kernel keeps.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use FeathubTest;
use File::Path qw(make_path remove_tree);
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node(
	'main', jobs => 1, conf => q{
feathub.scheduler_interval = 300ms
feathub.source_interval = 200ms
feathub.missing_file_retention = 1h
});
my $dir = $node->basedir . '/files';
make_path("$dir/away");

sub sql { return $node->safe_psql('postgres', shift); }
sub wait_for { return wait_for_job($node, shift); }
sub add { append_to_file("$dir/$_[0]", $_[1]); return; }
sub set_to { $node->append_conf('postgresql.conf', "$_[0]\n"); $node->reload; return; }
sub lines_of { my $name = shift; return sql("SELECT string_agg(line, ' ' ORDER BY line) FROM ${name}_sink"); }

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

sub follow
{
	my ($name, $options, $job) = @_;
	make_path("$dir/$name");
	sql(qq{CREATE FOREIGN TABLE $name (line text) SERVER files OPTIONS ($options);
		CREATE TABLE ${name}_sink (line text);
		SELECT feathub.create_job('$name', source => '$name', sink => '${name}_sink'} . ($job // '') . ')');
	return;
}

my $of_many = q{WHERE job_id = (SELECT job_id FROM feathub.job WHERE name = 'many')};
sub count_of { my ($table, $where) = @_; return "SELECT count(*) FROM feathub.$table $of_many" . ($where ? " AND $where" : ''); }

sql(qq{CREATE SERVER files FOREIGN DATA WRAPPER feathub_filesystem OPTIONS (folder '$dir')});

# Files that have been read are put away, all but the last ones

make_path("$dir/many/sub");
add("many/f$_", "$_\n") foreach 1 .. 299;
add('many/sub/f300', "300\n");
follow('many', q{path 'many', format 'raw'}, q{, workers => 2});
wait_for('many');
poll_query($node, 'SELECT (' . count_of('job_finished_partition') . ') > 150');
cmp_ok(sql(count_of('job_position')), '<', 150, 'few positions are at hand');
is(sql(q{SELECT count(*), count(DISTINCT partition) FROM feathub.job_partition WHERE job = 'many'}), '301|301', 'all are shown');
is(sql(q{SELECT records, applied FROM feathub.job_status WHERE job = 'many'}), '300|300', 'and counted');
add("many/f$_", "more $_\n") foreach 1, 150, 299;
add('many/sub/f300', "more 300\n");
wait_for('many');
is(sql('SELECT count(*), count(DISTINCT line) FROM many_sink'), '304|304', 'files that were put away may grow');
sql(q{SELECT feathub.restart_job('many')});
add('many/f2', "more 2\n");
put('many/new', "new\n");
wait_for('many');
is(sql('SELECT count(*), count(DISTINCT line) FROM many_sink'), '306|306', 'after a restart too');
is(sql(q{SELECT records FROM feathub.job_status WHERE job = 'many'}), '306', 'and all are counted once');

# Gone and back

rename "$dir/many/f$_", "$dir/away/f$_" foreach 100 .. 119;
poll_query($node, count_of('job_finished_partition', 'missing_since IS NOT NULL'), '20');
pass('files that are gone are noted');
is(sql(q{SELECT count(*) FROM feathub.job_partition WHERE job = 'many' AND missing_since IS NOT NULL}), '20', 'and shown');
rename "$dir/away/f$_", "$dir/many/f$_" foreach 100 .. 109;
poll_query($node, count_of('job_finished_partition', 'missing_since IS NOT NULL'), '10');
wait_for('many');
is(sql('SELECT count(*) FROM many_sink'), '306', 'those that come back are not read again');

# All gone at once: that is a folder which is not mounted

my $known = sql("SELECT (" . count_of('job_finished_partition') . ') + (' . count_of('job_position') . ')');
rename "$dir/many", "$dir/unmounted" or die "could not rename: $!";
make_path("$dir/many");
poll_until(sub { $node->log_contains('has none of the files that were there before') }, 'the log says so');
set_to('feathub.missing_file_retention = 0');
rmdir "$dir/many" or die "could not remove: $!";
rename "$dir/unmounted", "$dir/many" or die "could not rename: $!";
add('many/f1', "mounted\n");
poll_query($node, q{SELECT count(*) = 1 FROM many_sink WHERE line = 'mounted'});
wait_for('many');
is(sql('SELECT count(*), count(DISTINCT line) FROM many_sink'), '307|307', 'back, they are not read again');

# Forgotten, and read again

poll_query($node, count_of('job_finished_partition', 'missing_since IS NOT NULL'), '0');
is(sql("SELECT (" . count_of('job_finished_partition') . ') + (' . count_of('job_position') . ')'), $known - 10, 'files gone for long are forgotten');
rename "$dir/away/f110", "$dir/many/f110" or die "could not rename: $!";
wait_for('many');
is(sql('SELECT count(*), count(DISTINCT line) FROM many_sink'), '308|307', 'and read again when they come back');
set_to('feathub.missing_file_retention = 1h');

# Rewound, all are read again

sql(q{SELECT feathub.pause_job('many'); SELECT feathub.rewind_job('many', 'earliest'); SELECT feathub.resume_job('many')});
wait_for('many');
is(sql('SELECT count(DISTINCT line), count(*) > 590 FROM many_sink'), '307|t', 'a rewind finds what was put away');
sql(q{SELECT feathub.drop_job('many')});
is(sql('SELECT count(*) FROM feathub.job_finished_partition'), '0', 'a job takes its positions along');

# From the end on, with many files

make_path("$dir/late");
add("late/f$_", "$_\n") foreach 1 .. 150;
follow('late', q{path 'late', format 'raw'}, q{, start => 'latest', workers => 2});
wait_for('late');
add("late/f$_", "late $_\n") foreach 1, 2, 150;
put('late/new', "new\n");
wait_for('late');
is(lines_of('late'), 'late 1 late 150 late 2 new', 'start latest');
sql(q{SELECT feathub.drop_job('late')});

# Links, a path that changes, and folders made again

make_path("$dir/links");
put('links/a.log', "a1\n");
put('links/b.txt', "b1\n");
link "$dir/links/a.log", "$dir/links/hard.log" or die "could not link: $!";
symlink 'a.log', "$dir/links/soft.log" or die "could not link: $!";
follow('links', q{path 'links/*.log', format 'raw'});
wait_for('links');
add('links/hard.log', "a2\n");
wait_for('links');
is(lines_of('links'), 'a1 a2', 'one file by several names');
unlink "$dir/links/a.log", "$dir/links/soft.log";
add('links/hard.log', "a3\n");
wait_for('links');
is(lines_of('links'), 'a1 a2 a3', 'as long as it has one');
sql(q{ALTER FOREIGN TABLE links OPTIONS (SET path 'links/*.txt')});
poll_query($node, q{SELECT count(*) = 4 FROM links_sink});
sql(q{ALTER FOREIGN TABLE links OPTIONS (SET path 'links/*')});
add('links/hard.log', "a4\n");
poll_query($node, q{SELECT count(*) = 5 FROM links_sink});
is(lines_of('links'), 'a1 a2 a3 a4 b1', 'another path, and one that has all');
remove_tree("$dir/links");
make_path("$dir/links");
put('links/again', "again\n");
poll_query($node, q{SELECT count(*) = 6 FROM links_sink});
pass('a folder that is removed and made again');
sql(q{SELECT feathub.drop_job('links')});

# Written anew, as long as it was

follow('same', q{path 'same', format 'raw'});
put('same/a', "12345\n");
wait_for('same');
open my $out, '+<', "$dir/same/a" or die "could not open: $!";
print $out "54321\n";
close $out;
poll_query($node, q{SELECT state = 'failed' FROM feathub.job_status WHERE job = 'same'});
like(sql(q{SELECT reason FROM feathub.job_status WHERE job = 'same'}), qr/same\/a" was truncated or written anew/, 'a file that is written anew at its size stops the job');
sql(q{SELECT feathub.drop_job('same')});

# A file that cannot be read does not hold up the others

make_path("$dir/bad");
put('bad/a', "a1\n");
chmod 0, "$dir/bad/a";
put('bad/b', "b1\n");
put('bad/.c', join('', map { "c$_\n" } 1 .. 20000));
system_or_bail('gzip', "$dir/bad/.c");
my $packed = slurp_file("$dir/bad/.c.gz");
unlink "$dir/bad/.c.gz";
put('bad/c.gz', substr($packed, 0, 1000));
follow('bad', q{path 'bad', format 'raw'});
poll_query($node, q{SELECT count(*) = 1 FROM bad_sink WHERE line = 'b1'});
poll_query($node, q{SELECT last_error LIKE '%/bad/a"%' OR last_error LIKE '%/bad/c.gz%' FROM feathub.job_status WHERE job = 'bad'});
put('bad/d', "d1\n");
poll_query($node, q{SELECT count(*) = 1 FROM bad_sink WHERE line = 'd1'});
pass('files that cannot be read do not hold up others, and are told');
open $out, '>>', "$dir/bad/c.gz" or die "could not open: $!";
binmode $out;
print $out substr($packed, 1000);
close $out;
chmod 0644, "$dir/bad/a";
wait_for('bad');
is(sql('SELECT count(*), count(DISTINCT line) FROM bad_sink'), '20003|20003', 'when they can be read they are, once');
sql(q{SELECT feathub.drop_job('bad')});

# Bytes that are no text, positions beyond 32 bits

make_path("$dir/big");
open $out, '>', "$dir/big/a" or die "could not open: $!";
truncate $out, 5_000_000_000;
seek $out, 5_000_000_000, 0;
print $out "\n";
close $out;
follow('big', q{path 'big', format 'raw'}, q{, start => 'latest'});
wait_for('big');
add('big/a', "one\nn\0l\nl\xe4tin\ntwo\n");
wait_for('big');
is(lines_of('big'), 'one two', 'lines of a large file');
is(sql(q{SELECT string_agg(encode(value, 'escape'), ' ' ORDER BY sequence) || min(sequence) FROM feathub.dead_letter WHERE job = 'big'}), 'n\000l l\344tin5000000005', 'and its dead letters');
sql(q{SELECT feathub.drop_job('big')});

# Records of csv that are cut, headers of files that are rotated by copying

make_path("$dir/csv");
put('csv/a.csv', qq{line\n"one\n});
follow('csv', q{path 'csv', format 'csv', header 'match'}, q{, on_gap => 'skip'});
put('csv/b.csv', "line\nb\n");
poll_query($node, q{SELECT count(*) = 1 FROM csv_sink});
is(sql(q{SELECT line FROM csv_sink}), 'b', 'a record is not whole at the end of a line');
add('csv/a.csv', qq{and ""more"""\n"});
poll_query($node, q{SELECT count(*) = 2 FROM csv_sink});
add('csv/a.csv', qq{two"\n});
wait_for('csv');
is(sql(q{SELECT string_agg(line, '|' ORDER BY line) FROM csv_sink}), qq{b|one\nand "more"|two}, 'records of several lines');
truncate "$dir/csv/a.csv", 0;
add('csv/a.csv', "line\nthree\n");
poll_query($node, q{SELECT count(*) = 4 FROM csv_sink});
is(sql(q{SELECT count(*) FROM csv_sink WHERE line = 'line'}), '0', 'a file that is rotated by copying has its header again');
sql(q{SELECT feathub.drop_job('csv')});

# More events than the kernel keeps

SKIP:
{
	my $room = eval { slurp_file('/proc/sys/fs/inotify/max_queued_events') };
	skip('the kernel keeps more events than fit here', 1) if !$room || $room > 20000;
	follow('flood', q{path 'flood', format 'raw'});
	put('flood/a', "a\n");
	wait_for('flood');
	set_to("feathub.source_interval = '1h'");
	# the interval that has begun ends, the next one is long
	put('flood/b', "b\n");
	poll_query($node, q{SELECT count(*) = 2 FROM flood_sink});
	my $pid = sql(q{SELECT pid FROM pg_stat_activity WHERE backend_type = 'feathub worker'});
	pause_process($pid);
	my $n = int($room / 3) + 10;
	add("flood/f$_", "f\n") foreach 1 .. $n;
	kill 'CONT', $pid;
	poll_query($node, 'SELECT count(*) FROM flood_sink', $n + 2);
	pass('files of which the news were lost');
	sql(q{SELECT feathub.drop_job('flood')});
}

done_testing();
