# Jobs from Kafka into files: exactly once through kills of workers, where the
# commit on our side was lost after the files had their names, and where a batch
# was interrupted between its positions and its files' names.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use FeathubTest;
use File::Path qw(make_path);
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes ();

my $kafka = kafka_start();
random_seed();
my $node = new_node(
	'main', jobs => 1, conf => q{
feathub.batch_rows = 400
});
my $dir = $node->basedir . '/files';
make_path($dir);

sub sql { return $node->safe_psql('postgres', shift); }
sub wait_for { return wait_for_job($node, shift); }

# all names below a folder, hidden ones too
sub names
{
	my $folder = shift;
	opendir my $handle, "$dir/$folder" or return ();
	my @names = map { -d "$dir/$folder/$_" ? names("$folder/$_") : "$folder/$_" } sort grep { !/^\.\.?$/ } readdir $handle;
	closedir $handle;
	return @names;
}

# what any program finds there: hidden files are not looked at
sub lines
{
	my $folder = shift;
	my @lines;
	foreach my $name (grep { !m{/\.} } names($folder))
	{
		push @lines, split /\n/, slurp_file("$dir/$name");
	}
	return @lines;
}

sub counts
{
	my @lines = lines(shift);
	my %seen;
	$seen{$_}++ foreach @lines;
	return scalar(@lines) . ' ' . scalar(keys %seen);
}

sql(qq{
CREATE SERVER kafka FOREIGN DATA WRAPPER feathub_kafka OPTIONS (bootstrap_servers '$kafka->{bootstrap}');
CREATE FOREIGN TABLE source (id int OPTIONS (key 'true'), n int, note text)
  SERVER kafka OPTIONS (topic 'events', key_format 'json');
CREATE SERVER files FOREIGN DATA WRAPPER feathub_filesystem OPTIONS (folder '$dir');
CREATE FOREIGN TABLE log (n int, note text, part int OPTIONS (partition 'true'))
  SERVER files OPTIONS (path 'log', format 'csv');
});
kafka_create_topic($kafka, 'events', 3);
my $records = 12000;
sql("INSERT INTO source SELECT i % 500, i, 'x' FROM generate_series(1, $records) i");

# Kill workers while the job runs and others scan.
sql(q{SELECT feathub.create_job('log', source => 'source', sink => 'log', workers => 2, query => 'SELECT n, note, n % 2 AS part FROM batch')});
my $kills = 0;
for my $round (1 .. 12)
{
	Time::HiRes::sleep(0.05 + rand(0.25));
	my $pid = eval { $node->safe_psql('postgres', q{SELECT pid FROM pg_stat_activity WHERE backend_type = 'feathub worker' ORDER BY random() LIMIT 1}) };
	next unless $pid;
	$kills += kill 'KILL', $pid;
	eval { $node->safe_psql('postgres', 'SELECT count(*) FROM log') };
}
cmp_ok($kills, '>', 0, "$kills workers were killed");
poll_until(sub { eval { $node->safe_psql('postgres', 'SELECT 1') } }, 'the server answers');
wait_for('log');
is(sql('SELECT count(*), count(DISTINCT n), sum(n) FROM log'), "$records|$records|" . $records * ($records + 1) / 2, 'every record is there once');
is(counts('log'), "$records $records", 'also for others who read the folder');
is(join(' ', grep { m{/\.} && !m{^log/\.feathub-job-[0-9-]+(\.lock)?$} } names('log')), '', 'nothing but positions is left beside');

# A commit that was lost here: the position is where the last batch began.
my ($manifest) = grep { m{/\.feathub-job-[0-9-]+$} } names('log');
ok($manifest, 'the folder has the positions');

sub pause
{
	sql(q{SELECT feathub.pause_job('log')});
	poll_query($node, q{SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'feathub worker'});
	return;
}

sub lose_commits
{
	pause();
	my $moved = 0;
	foreach my $line (split /\n/, slurp_file("$dir/$manifest"))
	{
		next unless $line =~ /^p =(\S+) =\S+ =(\S+) =(\S+) /;
		$moved++;
		sql("UPDATE feathub.job_position SET position = '$2', mark = NULL WHERE partition = '$1'");
	}
	sql(q{SELECT feathub.resume_job('log')});
	wait_for('log');
	return $moved;
}
is(lose_commits(), 3, 'three partitions');
is(counts('log'), "$records $records", 'a lost commit repeats nothing');

# Dead letters are kept again, and what was written is not repeated.
sql(q{SELECT feathub.drop_job('log')});
sql(q{SELECT feathub.create_job('log', source => 'source', sink => 'log', start => 'latest', query => 'SELECT 7 / n AS n, note, 5 AS part FROM batch')});
poll_query($node, q{SELECT count(*) = 3 FROM feathub.job_position WHERE position IS NOT NULL});
sql(q{INSERT INTO source VALUES (1, 1, 'fits'), (1, 0, 'zero'), (1, 7, 'fits')});
wait_for('log');
my ($new) = grep { m{/\.feathub-job-[0-9-]+$} && $_ ne $manifest } names('log');
$manifest = $new;
is(join(' ', sort(lines('log/part=5'))), '1,fits 7,fits', 'the good ones are there');
is(sql(q{SELECT count(*) FROM feathub.dead_letter}), 1, 'one dead letter');
sql(q{SELECT feathub.delete_dead_letters('log')});
lose_commits();
is(join(' ', sort(lines('log/part=5'))), '1,fits 7,fits', 'nothing is written twice');
is(sql(q{SELECT count(*) FROM feathub.dead_letter}), 1, 'the dead letter is kept again');

# A batch that was interrupted when it had noted its positions, and one before.
sql(q{INSERT INTO source VALUES (3, 7, 'third')});
wait_for('log');
pause();
my ($file) = grep { !m{/\.} && slurp_file("$dir/$_") =~ /third/ } names('log/part=5');
(my $name = $file) =~ s{.*/}{};
(my $unfinished = slurp_file("$dir/$manifest")) =~ s{^(?:f .*\n)*end\n}{f =part=5 =.feathub-j-$name =$name\nend\n}m;
truncate "$dir/$manifest", 0;
append_to_file("$dir/$manifest", $unfinished);
rename "$dir/$file", "$dir/log/part=5/.feathub-j-$name" or die "could not rename: $!";
is(sql('SELECT count(*) FROM log WHERE part = 5'), 2, 'a file without name');
append_to_file("$dir/log/part=5/.feathub-j-other.csv", "3,undone\n");
append_to_file("$dir/$manifest.next", "feathub positions 1\np =events-0 =1 =0 =99999 -\nf =part=5 =.feathub-j-other.csv =other.csv\nend\n");
sql(q{SELECT feathub.resume_job('log')});
poll_until(sub { -e "$dir/$file" }, 'the batch is finished');
ok(!-e "$dir/$manifest.next", 'the other is undone');
is(join(' ', grep { /other/ } names('log')), '', 'with its file');
is(join(' ', sort(lines('log/part=5'))), '1,fits 1,third 7,fits', 'the rows of the one are there');
pause();
append_to_file("$dir/$manifest.next", "feathub positions 1\np =events-0 =1 =0");
sql(q{SELECT feathub.resume_job('log')});
poll_until(sub { !-e "$dir/$manifest.next" }, 'half a file of positions is nothing');

# A damaged file of positions is told.
pause();
my $positions = slurp_file("$dir/$manifest");
truncate "$dir/$manifest", 30;
sql(q{SELECT feathub.resume_job('log')});
poll_query($node, q{SELECT last_error LIKE 'file "%/.feathub-job-%" is damaged' FROM feathub.job_status});
truncate "$dir/$manifest", 0;
append_to_file("$dir/$manifest", $positions);
sql(q{INSERT INTO source VALUES (2, 7, 'again')});
wait_for('log');
is(join(' ', sort(lines('log/part=5'))), '1,again 1,fits 1,third 7,fits', 'and it goes on once mended');

sql(q{SELECT feathub.drop_job('log')});

done_testing();
