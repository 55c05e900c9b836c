# Jobs that follow files: what is not whole, cannot be read or is not looked at;
# tables that are altered in between; positions that are moved by old snapshots.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use FeathubTest;
use File::Path qw(make_path);
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node(
	'main', jobs => 1, conf => q{
feathub.scheduler_interval = 300ms
feathub.source_interval = 200ms
feathub.retry_delay = 100ms
feathub.retry_delay_max = 300ms
feathub.batch_rows = 500
});
my $dir = $node->basedir . '/files';
make_path($dir);

sub sql { return $node->safe_psql('postgres', shift); }
sub wait_for { return wait_for_job($node, shift); }
sub add { append_to_file("$dir/$_[0]", $_[1]); return; }
sub lines_of { my $name = shift; return sql("SELECT string_agg(line, ' ' ORDER BY line) FROM ${name}_sink"); }
sub error_of { my ($name, $pattern) = @_; return poll_query($node, qq{SELECT last_error LIKE '$pattern' FROM feathub.job_status WHERE job = '$name'}); }

sub follow
{
	my ($name, $options, $job) = @_;
	make_path("$dir/$name");
	sql(qq{CREATE FOREIGN TABLE $name (line text) SERVER files OPTIONS ($options);
		CREATE TABLE ${name}_sink (line text);
		SELECT feathub.create_job('$name', source => '$name', sink => '${name}_sink'} . ($job // '') . ')');
	return;
}

sql(qq{CREATE SERVER files FOREIGN DATA WRAPPER feathub_filesystem OPTIONS (folder '$dir')});

# A csv file that ends within quotes waits for the rest, whoever waits for the job

make_path("$dir/tail", "$dir/late");
add('tail/a', qq{1\n"2\n3\n});
follow('tail', q{path 'tail', format 'csv'});
wait_for('tail');
is(lines_of('tail'), '1', 'a csv file that ends within quotes');
is(sql(q{SELECT lag FROM feathub.job_status WHERE job = 'tail'}), '0', 'is not behind');
add('tail/a', qq{4"\n5\n"6\n});
wait_for('tail');
is(lines_of('tail'), "1 2\n3\n4 5", 'the rest of it, and another');
add('late/a', qq{1\n"2\n3\n});
add('late/b', qq{\xef\xbb\xbf"1\n"\n"2"\n});
follow('late', q{path 'late', format 'csv'}, q{, start => 'latest'});
wait_for('late');
add('late/a', qq{4"\n5\n});
add('late/b', qq{"3"\n});
wait_for('late');
is(lines_of('late'), "2\n3\n4 3 5", 'from the end on means from the last whole record on');
sql(q{SELECT feathub.drop_job('tail'); SELECT feathub.drop_job('late')});

# Altered while a file has been read half

make_path("$dir/half");
add('half/a', join('', map { "$_;x\n" } 1 .. 20000));
follow('half', q{path 'half', format 'csv', delimiter ','});
poll_query($node, 'SELECT count(*) > 0 FROM half_sink');
sql(q{ALTER FOREIGN TABLE half ADD more text, OPTIONS (SET delimiter ';'); ALTER TABLE half_sink ADD more text});
wait_for('half');
is(sql(q{SELECT count(*), count(DISTINCT split_part(line, ';', 1)) FROM half_sink}), '20000|20000', 'a table that is altered meanwhile: no line is lost, none comes twice');
add('half/a', "20001;y\n");
wait_for('half');
is(sql(q{SELECT line, more FROM half_sink WHERE more = 'y'}), '20001|y', 'and the new options hold');
sql(q{SELECT feathub.drop_job('half')});

# Names that are not looked at

make_path("$dir/names/_temporary", "$dir/names/.git");
add("names/$_", "no\n") foreach '_SUCCESS', '.a', '_temporary/a', '.git/a';
add('names/a', "a\n");
follow('names', q{path 'names', format 'raw'});
wait_for('names');
add("names/$_", "no\n") foreach '_SUCCESS', '_committed', '.a', '.b', '_temporary/b', '.git/b';
add('names/b', "b\n");
wait_for('names');
is(lines_of('names'), 'a b', 'marks and hidden files are not read');

# Folders and links that lead nowhere

make_path("$dir/names/closed", "$dir/names/open");
add("names/$_/a", "$_\n") foreach 'closed', 'open';
wait_for('names');
my $count = q{SELECT count(*) FROM feathub.job_partition WHERE job = 'names'};
my $known = sql($count);
chmod 0, "$dir/names/closed";
error_of('names', '%/names/closed"%');
add('names/c', "c\n");
add('names/open/a', "more\n");
poll_query($node, q{SELECT count(*) = 2 FROM names_sink WHERE line IN ('c', 'more')});
is(sql("$count AND missing_since IS NOT NULL"), '0', 'what is in a folder that cannot be listed is not missing');
chmod 0755, "$dir/names/closed";
symlink 'nowhere', "$dir/names/link" or die "could not link: $!";
add('names/closed/a', "again\n");
poll_query($node, q{SELECT count(*) = 1 FROM names_sink WHERE line = 'again'});
error_of('names', '%/names/link"%');
add('names/d', "d\n");
poll_query($node, q{SELECT count(*) = 1 FROM names_sink WHERE line = 'd'});
unlink "$dir/names/link";
wait_for('names');
is(lines_of('names'), 'a again b c closed d more open', 'the others are read, each once');
is(sql($count), $known + 2, 'and known');

# Made with an older snapshot than the job's last positions

my $old = $node->background_psql('postgres');
$old->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM names_sink');
add('names/e', "e1\n");
wait_for('names');
$old->query_safe(q{SELECT feathub.restart_job('names'); COMMIT});
add('names/e', "e2\n");
wait_for('names');
is(sql(q{SELECT string_agg(line, ' ' ORDER BY line) FROM names_sink WHERE line LIKE 'e_'}), 'e1 e2', 'a restart that does not see a file lets it go on');
$old->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM names_sink');
add('names/f', "f\n");
wait_for('names');
$old->query_safe(q{SELECT feathub.drop_job('names'); COMMIT});
$old->quit;
is(sql('SELECT (SELECT count(*) FROM feathub.job_position), (SELECT count(*) FROM feathub.job_finished_partition)'), '0|0', 'nor does dropping leave its position');

# Rewound, and gone before it was read again

make_path("$dir/away", "$dir/back");
add("back/$_", "$_\n") foreach 'a', 'b';
follow('back', q{path 'back', format 'raw'});
wait_for('back');
sql(q{SELECT feathub.pause_job('back'); SELECT feathub.rewind_job('back', 'earliest')});
rename "$dir/back/a", "$dir/away/a" or die "could not rename: $!";
sql(q{SELECT feathub.resume_job('back')});
poll_query($node, q{SELECT count(*) = 1 FROM feathub.job_partition WHERE job = 'back' AND missing_since IS NOT NULL});
is(sql(q{SELECT position, replay_until FROM feathub.job_partition WHERE job = 'back' AND missing_since IS NOT NULL}), '0|2', 'a file that is gone keeps what was to be replayed');
rename "$dir/away/a", "$dir/back/a" or die "could not rename: $!";
wait_for('back');
is(lines_of('back'), 'a a b b', 'and is when it is back');
sql(q{SELECT feathub.drop_job('back')});

# Moved before the job has begun

make_path("$dir/early");
add("early/$_", "$_\n") foreach 'a', 'b';
follow('early', q{path 'early', format 'raw'});
wait_for('early');
my $inode = (stat "$dir/early/a")[1];
my $partition = sql(qq{SELECT partition FROM feathub.job_partition WHERE job = 'early' AND partition LIKE '%-$inode'});
sql(qq{CREATE TABLE one_sink (line text);
	BEGIN;
	SELECT feathub.create_job('one', source => 'early', sink => 'one_sink', start => 'latest');
	SELECT feathub.rewind_job('one', 'earliest', '$partition');
	COMMIT});
poll_query($node, 'SELECT count(*) > 0 FROM one_sink');
add('early/b', "c\n");
wait_for('one');
is(lines_of('one'), 'a c', 'one file was rewound before its job began at the end of all');
is(sql(q{SELECT count(*), count(DISTINCT partition) FROM feathub.job_partition WHERE job = 'one'}), '3|3', 'which has one position each');
sql(q{SELECT feathub.drop_job('early'); SELECT feathub.drop_job('one')});

# Whole files that are written slowly under their names

sql(q{CREATE FOREIGN TABLE avro_out (line text) SERVER files OPTIONS (path 'avro_out/', format 'avro');
	INSERT INTO avro_out SELECT repeat(md5(i::text), 20) FROM generate_series(1, 1000) i});
foreach my $format ('avro', 'parquet')
{
  SKIP:
	{
		skip('this build has no parquet', 2) if $format eq 'parquet' && !-e ($node->config_data('--pkglibdir') . '/feathub_parquet.so');
		sql(qq{CREATE FOREIGN TABLE parquet_out (line text) SERVER files OPTIONS (path 'parquet_out/', format 'parquet', row_group_rows '300');
			INSERT INTO parquet_out SELECT repeat(md5(i::text), 20) FROM generate_series(1, 1000) i}) if $format eq 'parquet';
		my ($written) = glob "$dir/${format}_out/*";
		my $bytes = slurp_file($written);
		make_path("$dir/$format");
		add("$format/b.$format", substr($bytes, 0, int(length($bytes) * 0.7)));
		follow($format, qq{path '$format', format '$format'});
		error_of($format, "%/$format/b.$format\"%");
		add("$format/.c", $bytes);
		rename "$dir/$format/.c", "$dir/$format/c.$format" or die "could not rename: $!";
		poll_query($node, "SELECT count(*) >= 1000 FROM ${format}_sink");
		error_of($format, "%/$format/b.$format\"%");
		add("$format/b.$format", substr($bytes, int(length($bytes) * 0.7)));
		wait_for($format);
		is(sql("SELECT count(*), count(DISTINCT line) FROM ${format}_sink"), '2000|1000', "$format: a file that is not complete is read when it is, no row twice");

		# one that is damaged behind its first rows
		my $damaged = $bytes;
		my $at = int(length($bytes) * 0.6);
		substr($damaged, $at, 400) = "\xff" x 400;
		sql("TRUNCATE ${format}_sink");
		add("$format/.d", $damaged);
		rename "$dir/$format/.d", "$dir/$format/d.$format" or die "could not rename: $!";
		error_of($format, "%/$format/d.$format\"%");
		my $rows = sql("SELECT count(*) > 0 FROM ${format}_sink");
		sql("SELECT feathub.restart_job('$format')");
		add("$format/.e", $bytes);
		rename "$dir/$format/.e", "$dir/$format/e.$format" or die "could not rename: $!";
		poll_query($node, "SELECT count(DISTINCT line) = 1000 FROM ${format}_sink");
		is("$rows " . sql("SELECT max(n) FROM (SELECT count(*) AS n FROM ${format}_sink GROUP BY line) x"), 't 2', "$format: rows before the damage come once");
		sql("SELECT feathub.drop_job('$format')");
	}
}

done_testing();
