# Groups, jobs and feature views survive dump and restore, copies and pg_upgrade, with their
# dependencies; none of the jobs starts consuming where it was not started.
use strict;
use warnings;

use FeathubTest;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $origin = new_node('origin', broker => 'weather:2', extension => 0);
$origin->safe_psql('postgres', 'CREATE ROLE alice LOGIN');
$origin->safe_psql('postgres', 'CREATE DATABASE shop');
$origin->safe_psql(
	'shop', q{
CREATE EXTENSION feathub;
GRANT USAGE ON FOREIGN DATA WRAPPER feathub_kafka TO alice;
CREATE SCHEMA "My Shop" AUTHORIZATION alice;
});

# Everything as an ordinary role.
my $alice = sub {
	my ($node, $db, $sql) = @_;
	return $node->safe_psql($db, "SET ROLE alice; SET search_path = \"My Shop\"; $sql");
};
$alice->(
	$origin, 'shop', q{
CREATE SERVER kafka FOREIGN DATA WRAPPER feathub_kafka OPTIONS (bootstrap_servers 'embedded');
CREATE USER MAPPING FOR CURRENT_USER SERVER kafka;
CREATE FOREIGN TABLE "Weather Stream" (origin text, time_hour timestamptz, temp float8)
  SERVER kafka OPTIONS (topic 'weather', format 'json');
CREATE FOREIGN TABLE bad_stream (origin text, temp text) SERVER kafka OPTIONS (topic 'weather', format 'json');
CREATE TABLE planes (tailnum text, seats int);
CREATE TABLE sink (origin text, time_hour timestamptz, temp float8);
-- the order of names is not the order in which things depend on each other
SELECT feathub.create_feature_group('weather', '"Weather Stream"', '{origin}', 'time_hour', ttl => '100 years', deletes => true);
CREATE FOREIGN TABLE aa_store (tailnum text OPTIONS (key 'true'), seats int)
  SERVER kafka OPTIONS (topic 'aa_store', format 'json', key_format 'json', write_mode 'upsert');
SELECT feathub.create_feature_group('aaa', 'planes', '{tailnum}', online_store => 'aa_store');
SELECT feathub.create_feature_group('parted', '"Weather Stream"', '{origin}', 'time_hour', partition_interval => '1 year');
CREATE TABLE "Another Sink" (origin text, temp float8);
SELECT feathub.create_job('to_sink', '"Weather Stream"', 'sink', sinks => '{"\"Another Sink\""}');
SELECT feathub.pause_job('parted');
CREATE TABLE flights (origin text, "When" timestamptz, "delay" float8);
SELECT feathub.create_feature_view('"Delay"',
  'SELECT f.origin, f."When", p.temp, f.delay FROM flights f LEFT JOIN parted p USING (origin)', 'When', '{delay}');
ALTER FUNCTION "Delay_online" RENAME TO "Delay Features";
INSERT INTO flights VALUES ('A1', now(), 5);
INSERT INTO parted VALUES ('A1', '2020-01-01', 7.5);
INSERT INTO parted_online VALUES ('A1', '2020-01-01', 7.5);
-- an external group with an online table, and a view whose readers need no more than the view
CREATE TABLE cabins (tailnum text, seats int, since timestamptz);
INSERT INTO cabins VALUES ('N1', 100, '2019-01-01'), ('N1', 110, '2020-01-01');
SELECT feathub.create_external_feature_group('cabins', '{tailnum}', 'since', ttl => '99 years', online => true, refresh_interval => '1 hour');
SELECT feathub.create_feature_view('shared', 'SELECT p.tailnum, c.seats FROM (SELECT tailnum, now() AS t FROM planes) p LEFT JOIN cabins c USING (tailnum)',
  't', max_age => '{"c": "50 years"}', with_event_times => true, owner_rights => true);
GRANT SELECT ON shared TO PUBLIC;
SELECT feathub.create_window_function('"Last Temps"', 'parted', 'count(*) AS n, max(temp) AS temp', range => '100 years');
SELECT feathub.create_training_data('"Delay"', '"Delay v1"', '{"train": 0.5, "test": 0.5}', split_by => '{origin}', filter => 'temp > 1');
});
$alice->(
	$origin, 'shop', q{
INSERT INTO "Weather Stream" SELECT 'A' || i % 3, '2013-01-01'::timestamptz + i * interval '1 h', i FROM generate_series(1, 20) i;
INSERT INTO bad_stream VALUES ('A0', 'this is no number');
});
$alice->($origin, 'shop', "SELECT feathub.wait_for_job('weather', '60 s'), feathub.wait_for_job('to_sink', '60 s')");
# nothing moves while we compare
$alice->($origin, 'shop', "SELECT feathub.pause_job('to_sink')");

# as if its source were files
$origin->safe_psql('shop', q{INSERT INTO feathub.job_finished_partition (job_id, missing_since, partition, position, mark, replay_until)
	SELECT job_id, now(), 'file-1', '7', 'mark', '9' FROM feathub.job WHERE name = 'to_sink'});

my %query = (
	groups =>
	  'SELECT feature_group, online, tombstone, source, primary_key, event_time, ttl, retention, partition_interval, deletes, external, refresh_interval, refreshed_at, online_store FROM feathub.feature_group ORDER BY feature_group::text',
	jobs =>
	  'SELECT job_id, name, owner, source, sink, further_sinks, query, workers, start, state, reason, epoch, system_identifier, database_oid FROM feathub.job ORDER BY 1',
	positions  => 'SELECT job_id, epoch, partition, position, records, applied, dead_letters, watermark FROM feathub.job_position ORDER BY 1, 3',
	'positions put away' => 'SELECT * FROM feathub.job_finished_partition ORDER BY 1, 3',
	'dead letters' => 'SELECT * FROM feathub.dead_letter_record ORDER BY 1',
	rows       => 'SELECT * FROM "My Shop".weather ORDER BY 1, 2',
	latest     => 'SELECT * FROM "My Shop".weather_online ORDER BY 1',
	views => 'SELECT feature_view, online, query, event_time, labels, max_age, with_event_times, owner_rights, owner_views, search_path, created_at FROM feathub.feature_view ORDER BY feature_view::text',
	readers => q{SELECT oid::regclass, has_table_privilege('pg_monitor', oid, 'SELECT') FROM pg_class WHERE relname ~ '^shared' ORDER BY relname},
	shared => q{SELECT seats, c_event_time FROM "My Shop".shared_online('N1', '2021-01-01')},
	'dependencies of views' =>
	  q{SELECT objid::regclass, refobjid::regclass FROM pg_depend WHERE deptype = 'a' AND classid = 'pg_class'::regclass
	    AND refclassid = 'pg_class'::regclass AND objid::regclass::text ~ 'shared'},
	features => 'SELECT feature_view, feature, source, source_column, label, sources FROM feathub.feature ORDER BY feature_view::text, number',
	training => q{SELECT origin, temp, delay FROM "My Shop"."Delay"},
	serving => q{SELECT feathub.get_feature_vector('"My Shop"."Delay"', '{"origin": "A1"}') -> 'temp'},
	'training data' => q{SELECT training_data, feature_view, definition, query, arguments, splits, row_count, content_hash, snapshot_at,
	  feathub.verify_training_data(training_data) FROM feathub.training_data},
	'its rows' => 'SELECT * FROM "My Shop"."Delay v1"',
	statistics => 'SELECT * FROM feathub.training_statistics ORDER BY feature, split',
	windows => q{SELECT * FROM "My Shop"."Last Temps"('A1', '2020-01-02')},
	'dependencies of functions' =>
	  q{SELECT objid::regprocedure, refobjid::regclass FROM pg_depend WHERE deptype = 'a' AND classid = 'pg_proc'::regclass
	    AND refclassid = 'pg_class'::regclass ORDER BY 1},
	dependencies =>
	  q{SELECT objid::regclass, refobjid::regclass FROM pg_depend WHERE deptype = 'i' AND classid = 'pg_class'::regclass
	    AND refclassid = 'pg_class'::regclass AND objid::regclass::text ~ '_(online|tombstone)$' ORDER BY objid::regclass::text}
);
my %expected = map { $_ => $origin->safe_psql('shop', $query{$_}) } keys %query;
is($origin->safe_psql('shop', 'SELECT count(*) FROM "My Shop".weather'), '20', 'the topic is in the offline table');
is($expected{training}, 'A1|7.5|5', 'the feature view');
is($expected{serving}, '7.5', 'its online form');
like($expected{'training data'}, qr/^"My Shop"."Delay v1"\|.*\|1\|[0-9a-f]{32}\|.*\|t$/s, 'training data');
isnt($expected{statistics}, '', 'its statistics');
is($expected{windows}, '1|7.5', 'a window function');
like($expected{'dependencies of functions'}, qr/Delay Features/, 'the online function depends on it');
isnt($expected{'dead letters'}, '', 'there is a dead letter');
is(() = $expected{dependencies} =~ /\n/g, 4, 'five tables depend on their groups');
is($expected{readers}, qq{"My Shop".shared|t\n"My Shop".shared_online_c|t}, 'the view and what its online form reads');
like($expected{shared}, qr/^110\|2020-01-01/, 'the external group is served');
is($expected{'dependencies of views'}, '"My Shop".shared_online_c|"My Shop".shared', 'and belongs to the view');

# Does a restored database hold the same, and protect it as the original does?
sub check_copy
{
	my ($node, $db, $what, %opt) = @_;
	my ($out, $err);

	foreach my $q (sort keys %query)
	{
		next if $q =~ /^dependencies/ && $opt{later};
		is($node->safe_psql($db, $query{$q}), $expected{$q}, "$what: $q");
	}
	is( $node->safe_psql($db, 'SELECT job, state, reason FROM feathub.job_status ORDER BY 1'),
		"parted|paused|restored\nto_sink|paused|restored\nweather|paused|restored",
		"$what: no job runs");
	if ($opt{later})
	{
		foreach my $q (grep { /^dependencies/ } sort keys %query)
		{
			poll_until(sub { $node->safe_psql($db, $query{$q}) eq $expected{$q} }, "$what: $q");
		}
	}

	(undef, $out, $err) = $node->psql($db, 'DROP TABLE "My Shop".weather_online');
	like($err, qr/cannot drop table "My Shop".weather_online because table "My Shop".weather requires it/, "$what: online is kept");
	(undef, $out, $err) = $node->psql($db, 'DROP FOREIGN TABLE "My Shop"."Weather Stream"');
	like($err, qr/job "weather" depends on foreign table "My Shop"."Weather Stream"/, "$what: the source is kept");
	(undef, $out, $err) = $node->psql($db, 'DROP FUNCTION "My Shop"."Delay Features"');
	like($err, qr/feature view "My Shop"."Delay" requires it/, "$what: the online function is kept");
	is( $node->safe_psql(
			$db, q{
BEGIN; DROP VIEW "My Shop"."Delay";
SELECT count(*), to_regproc('"My Shop"."Delay Features"') FROM feathub.feature_view;
ROLLBACK}),
		'1|', "$what: and goes with its view");
	(undef, $out, $err) = $node->psql('postgres', 'DROP ROLE alice');
	like($err, qr/role "alice" cannot be dropped/, "$what: the owner is kept");
	is( $node->safe_psql(
			$db, q{
BEGIN; SET LOCAL client_min_messages = error; DROP TABLE "My Shop".weather;
SELECT feature_group FROM feathub.feature_group ORDER BY feature_group::text;
SELECT name FROM feathub.job ORDER BY 1;
SELECT count(*) FROM feathub.job_position JOIN feathub.job USING (job_id) WHERE name = 'weather';
ROLLBACK}),
		"\"My Shop\".aaa\n\"My Shop\".cabins\n\"My Shop\".parted\nparted\nto_sink\n0",
		"$what: the table takes its group and job along");

	# A job made here shows that the scheduler has looked, and runs alone.
	$alice->($node, $db, q{SELECT feathub.create_job('probe', '"Weather Stream"', 'sink', start => 'latest')});
	poll_until(sub { $node->safe_psql($db, q{SELECT workers_running FROM feathub.job_status WHERE job = 'probe'}) eq '1' },
		"$what: a worker of the new job");
	is($node->safe_psql($db, q{SELECT count(*) FROM feathub.worker WHERE job <> 'probe'}),
		'0', "$what: the scheduler starts none of the restored jobs");
	$alice->($node, $db, q{SELECT feathub.drop_job('probe')});
}

# A dump restored beside the original.
my $dump = $origin->backup_dir . '/shop.dump';
mkdir $origin->backup_dir;
command_ok([ 'pg_dump', '-Fc', '-d', $origin->connstr('shop'), '-f', $dump ], 'pg_dump');
$origin->safe_psql('postgres', 'CREATE DATABASE restored');
command_ok([ 'pg_restore', '--exit-on-error', '-d', $origin->connstr('restored'), $dump ], 'pg_restore');
check_copy($origin, 'restored', 'restored');

# With INSERT instead of COPY, and by the hands of psql.
$origin->safe_psql('postgres', 'CREATE DATABASE inserted');
my $script = $origin->backup_dir . '/shop.sql';
command_ok([ 'pg_dump', '--inserts', '-d', $origin->connstr('shop'), '-f', $script ], 'pg_dump --inserts');
command_ok([ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-d', $origin->connstr('inserted'), '-f', $script ], 'psql');
check_copy($origin, 'inserted', 'inserted');

# Resumed, the copy goes on where the dump was made, apart from the original.
is($alice->($origin, 'restored', 'SELECT feathub.resume_all_jobs()'), '3', 'resume_all_jobs');
is( $alice->($origin, 'restored', 'SELECT job, state FROM feathub.job_status ORDER BY 1'),
	"parted|paused\nto_sink|paused\nweather|running",
	'what was paused stays paused');
$alice->($origin, 'restored',
	q{INSERT INTO "Weather Stream" VALUES ('B', '2013-02-01', 1), ('B', '2013-02-02', 2)});
$alice->($origin, $_, "SELECT feathub.wait_for_job('weather', '60 s')") foreach ('shop', 'restored');
is( $alice->($origin, $_,
		"SELECT (SELECT count(*) FROM weather), (SELECT count(*) FROM feathub.dead_letter WHERE job = 'weather')"),
	'22|1', "$_: every record once")
  foreach ('shop', 'restored');
$alice->($origin, 'shop', "SELECT feathub.pause_job('weather')");
%expected = map { $_ => $origin->safe_psql('shop', $query{$_}) } keys %query;

# A copied database.
$origin->safe_psql('postgres', 'CREATE DATABASE copied TEMPLATE shop');
check_copy($origin, 'copied', 'copied');
$origin->safe_psql('postgres', "DROP DATABASE $_") foreach ('restored', 'inserted', 'copied');

# Another server.
my $other = new_node('other', broker => 'weather:2', extension => 0);
$other->safe_psql('postgres', 'CREATE ROLE alice LOGIN');
$other->safe_psql('postgres', 'CREATE DATABASE shop');
command_ok([ 'pg_dump', '-Fc', '-d', $origin->connstr('shop'), '-f', $dump ], 'pg_dump');
command_ok([ 'pg_restore', '--exit-on-error', '-j', '2', '-d', $other->connstr('shop'), $dump ],
	'pg_restore into another server');
check_copy($other, 'shop', 'another server');
$other->stop;

# pg_upgrade copies the metadata tables as files: dependencies come back later.
my $upgraded = new_node('upgraded', broker => 'weather:2', extension => 0, start => 0);
my $bindir = $origin->config_data('--bindir');
$origin->stop;
chdir $origin->basedir or die;	# where pg_upgrade leaves its files
command_ok(
	[   'pg_upgrade', '--no-sync', '-d', $origin->data_dir, '-D', $upgraded->data_dir,
		'-b', $bindir, '-B', $bindir, '-s', $origin->host, '-p', $origin->port, '-P', $upgraded->port
	],
	'pg_upgrade');
$upgraded->start;
check_copy($upgraded, 'shop', 'upgraded', later => 1);
$upgraded->stop;

done_testing();
