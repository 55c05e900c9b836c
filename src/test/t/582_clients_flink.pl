# Apache Flink as a client of the Stream API: its SQL client, with a cluster in
# its own process, writes rows, upserts and changelogs to topics that groups
# ingest, and reads the topics that jobs write.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use FeathubClients;
use FeathubRegistry;
use FeathubTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $jars = client_folder('flink');
my $kafka = kafka_start();
my $node = new_node('flink', conf => "feathub.source_interval = '500ms'\n");
my $dir = PostgreSQL::Test::Utils::tempdir();
my $sql = sub { $node->safe_psql('postgres', $_[0]) };

append_to_file("$dir/config.yaml", <<"EOC");
execution.target: local
execution.checkpointing.interval: 1s
execution.checkpointing.dir: file://$dir/checkpoints
io.tmp.dirs: $dir
parallelism.default: 1
table.dml-sync: true
table.local-time-zone: UTC
EOC
append_to_file("$dir/log4j2.properties", <<"EOC");
rootLogger.level = WARN
rootLogger.appenderRef.file.ref = File
appender.file.name = File
appender.file.type = File
appender.file.fileName = $dir/flink.log
appender.file.layout.type = PatternLayout
appender.file.layout.pattern = %d %p %c %m%n
EOC

# Run statements in Flink's SQL client; what it printed.
sub flink
{
	my ($statements) = @_;
	my $file = "$dir/statements.sql";
	my @opens = map { "--add-opens=java.base/java.$_=ALL-UNNAMED" }
	  qw(lang lang.reflect io net nio text time util util.concurrent util.concurrent.atomic util.concurrent.locks);

	unlink $file;
	append_to_file($file, $statements);
	local $ENV{FLINK_CONF_DIR} = $dir;
	my $out = run_program([ qw(java -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Xmx400m), @opens,
		"-Dlog4j.configurationFile=$dir/log4j2.properties", '-cp', "$jars/*", 'org.apache.flink.table.client.SqlClient', '-f', $file ]);
	if ($out =~ /\[ERROR\]/)
	{
		fail('Flink runs the statements');
		diag($out);
	}
	return $out;
}

make_row_table($node, 500);
write_rows($node, "$dir/rows.json");
follow_rows($node, $kafka, 'flink_json', columns => "sent_at timestamptz OPTIONS (metadata 'timestamp')");

# The same as avro, if there is a schema registry.
my $registry = registry_start();
if ($registry)
{
	$sql->("CREATE SERVER avro FOREIGN DATA WRAPPER feathub_kafka
	  OPTIONS (bootstrap_servers '$kafka->{bootstrap}', schema_registry_url '$registry', connect_timeout '30')");
	follow_rows($node, $kafka, 'flink_avro', server => 'avro', options => "format 'avro'");
}

# Who has spent less than 100: some come back under it, some are gone.
append_to_file("$dir/events.json", join('', map { "$_\n" }
	'{"who": "ann", "spent": 10.25, "at": "2024-05-01T08:00:00.000001Z"}',
	'{"who": "bob", "spent": 50, "at": "2024-05-01T08:00:01Z"}',
	'{"who": "héloïse", "spent": 99.99, "at": "2024-05-01T08:00:02Z"}',
	'{"who": "ann", "spent": 20, "at": "2024-05-01T08:00:03.999999Z"}',
	'{"who": "bob", "spent": 60, "at": "2024-05-01T08:00:04Z"}',
	'{"who": "héloïse", "spent": 0.01, "at": "2024-05-01T08:00:05Z"}',
	'{"who": "héloïse", "spent": -30, "at": "2024-05-01T08:00:06Z"}',
	'{"who": "zoe", "spent": null, "at": "2024-05-01T08:00:07Z"}'));
my %changes = (upsert => "format 'json', key_format 'raw'", debezium => "format 'debezium-json'", maxwell => "format 'maxwell-json'");
foreach my $kind (sort keys %changes)
{
	my $key = $kind eq 'upsert' ? "OPTIONS (key 'true')" : '';

	kafka_create_topic($kafka, "flink_$kind", 3);
	$sql->(qq{
		CREATE FOREIGN TABLE flink_${kind}_stream (who text $key, spent numeric(10,2), visits bigint, at timestamptz)
		  SERVER kafka OPTIONS (topic 'flink_$kind', $changes{$kind});
		SELECT feathub.create_feature_group('flink_$kind', source => 'flink_${kind}_stream', primary_key => '{who}', deletes => true);
	});
}
kafka_create_topic($kafka, 'flink_datagen', 3);
$sql->(q{
	CREATE FOREIGN TABLE flink_datagen_stream (id bigint, word text) SERVER kafka OPTIONS (topic 'flink_datagen', format 'json');
	CREATE TABLE flink_datagen (id bigint, word text);
	SELECT feathub.create_job('flink_datagen', source => 'flink_datagen_stream', sink => 'flink_datagen');
});

# The manual's group, and recipe.
kafka_create_topic($kafka, 'rides', 2);
$sql->(recipe('group'));
my $recipe = recipe('flink', 'broker1:9092' => $kafka->{bootstrap});

# What our sinks write, for Flink to read.
kafka_create_topic($kafka, $_, 2) foreach qw(our_rows our_latest);
$sql->(q{
	CREATE FOREIGN TABLE our_rows (id bigint, at timestamptz, price numeric(14,4), name text, flag bool, tags text[], ratio float8, day date, pad text)
	  SERVER kafka OPTIONS (topic 'our_rows', format 'json', transactional 'true', transactional_id 'ours');
	BEGIN; INSERT INTO our_rows SELECT * FROM client_row; ROLLBACK;
	INSERT INTO our_rows SELECT * FROM client_row;
	CREATE FOREIGN TABLE our_latest (who text OPTIONS (key 'true'), n int)
	  SERVER kafka OPTIONS (topic 'our_latest', format 'json', key_format 'raw', write_mode 'upsert');
	INSERT INTO our_latest VALUES ('ann', 1), ('bob', 2), ('ann', 3), ('cid', 4);
	DELETE FROM our_latest WHERE who = 'cid';
});

my $row = "id BIGINT, `at` TIMESTAMP_LTZ(6), price DECIMAL(14,4), name STRING, flag BOOLEAN, tags ARRAY<STRING>, ratio DOUBLE, `day` DATE, pad STRING";
my $server = "'properties.bootstrap.servers' = '$kafka->{bootstrap}'";
my $iso = "json.timestamp-format.standard' = 'ISO-8601'";
my $change = "who STRING, spent DECIMAL(10,2), visits BIGINT, `at` TIMESTAMP_LTZ(6), PRIMARY KEY (who) NOT ENFORCED";
# its times with a registry have milliseconds and no zone
my $avro_row = $row =~ s/TIMESTAMP_LTZ\(6\)/TIMESTAMP(3)/r;
my ($avro_table, $avro_insert) = $registry ? (
	"CREATE TABLE kafka_avro ($avro_row) WITH ('connector' = 'kafka', 'topic' = 'flink_avro', $server, 'format' = 'avro-confluent',
	  'avro-confluent.url' = '$registry', 'properties.compression.type' = 'gzip');",
	'INSERT INTO kafka_avro SELECT id, CAST(`at` AS TIMESTAMP(3)), price, name, flag, tags, ratio, `day`, pad FROM file_rows;') : ('', '');
my $out = flink(<<"EOS");
CREATE TABLE file_rows ($row) WITH ('connector' = 'filesystem', 'path' = '$dir/rows.json', 'format' = 'json', '$iso);
CREATE TABLE kafka_rows ($row, headers MAP<STRING, BYTES> METADATA, sent TIMESTAMP_LTZ(3) METADATA FROM 'timestamp')
  WITH ('connector' = 'kafka', 'topic' = 'flink_json', $server, 'format' = 'json', '$iso, 'key.format' = 'json', 'key.fields' = 'id',
    'properties.compression.type' = 'zstd', 'properties.transaction.timeout.ms' = '60000',
    'sink.delivery-guarantee' = 'exactly-once', 'sink.transactional-id-prefix' = 'flink');
CREATE TABLE numbers (id BIGINT, word STRING) WITH ('connector' = 'datagen', 'number-of-rows' = '20000',
  'fields.id.kind' = 'sequence', 'fields.id.start' = '1', 'fields.id.end' = '20000', 'fields.word.length' = '20');
CREATE TABLE kafka_numbers (id BIGINT, word STRING)
  WITH ('connector' = 'kafka', 'topic' = 'flink_datagen', $server, 'format' = 'json', 'properties.compression.type' = 'lz4');
CREATE TABLE events (who STRING, spent DECIMAL(10,2), `at` TIMESTAMP_LTZ(6))
  WITH ('connector' = 'filesystem', 'path' = '$dir/events.json', 'format' = 'json', '$iso);
CREATE VIEW spending AS SELECT who, CAST(sum(spent) AS DECIMAL(10,2)) AS spent, count(*) AS visits, max(`at`) AS `at`
  FROM events GROUP BY who HAVING sum(spent) < 100 OR sum(spent) IS NULL;
CREATE TABLE upserts ($change) WITH ('connector' = 'upsert-kafka', 'topic' = 'flink_upsert', $server,
  'key.format' = 'raw', 'value.format' = 'json', 'value.$iso);
CREATE TABLE debezium ($change) WITH ('connector' = 'kafka', 'topic' = 'flink_debezium', $server,
  'key.format' = 'raw', 'key.fields' = 'who', 'value.format' = 'debezium-json', 'value.debezium-$iso);
CREATE TABLE maxwell ($change) WITH ('connector' = 'kafka', 'topic' = 'flink_maxwell', $server,
  'key.format' = 'raw', 'key.fields' = 'who', 'value.format' = 'maxwell-json', 'value.maxwell-$iso);
CREATE TABLE our_rows ($row) WITH ('connector' = 'kafka', 'topic' = 'our_rows', $server, 'format' = 'json', '$iso,
  'properties.isolation.level' = 'read_committed', 'scan.startup.mode' = 'earliest-offset', 'scan.bounded.mode' = 'latest-offset');
CREATE TABLE read_rows ($row) WITH ('connector' = 'filesystem', 'path' = '$dir/read', 'format' = 'json', '$iso);
CREATE TABLE our_latest (who STRING, n INT, PRIMARY KEY (who) NOT ENFORCED)
  WITH ('connector' = 'upsert-kafka', 'topic' = 'our_latest', $server, 'key.format' = 'raw', 'value.format' = 'json', 'scan.bounded.mode' = 'latest-offset');
CREATE TABLE printed (who STRING, n INT) WITH ('connector' = 'print', 'print-identifier' = 'latest');
$avro_table
BEGIN STATEMENT SET;
$avro_insert
INSERT INTO kafka_rows SELECT *, MAP['by', ENCODE('flink é', 'UTF-8')], `at` FROM file_rows;
INSERT INTO kafka_numbers SELECT * FROM numbers;
INSERT INTO upserts SELECT * FROM spending;
INSERT INTO debezium SELECT * FROM spending;
INSERT INTO maxwell SELECT * FROM spending;
INSERT INTO read_rows SELECT * FROM our_rows;
INSERT INTO printed SELECT * FROM our_latest;
END;
$recipe
EOS

check_rows($node, 'flink_json', 'Flink, json');
is($sql->(q{SELECT count(*) FILTER (WHERE sent_headers = '[{"key": "by", "value": "flink é"}]'),
	  count(*) FILTER (WHERE convert_from(sent_key, 'UTF8') = format('{"id":%s}', id)), count(*) FILTER (WHERE sent_at = date_trunc('milliseconds', at))
	  FROM flink_json}), '500|500|500', 'with headers, keys and timestamps');

SKIP:
{
	skip('no schema registry', 1) unless $registry;
	check_rows($node, 'flink_avro', 'Flink, avro', at => q{date_trunc('milliseconds', at)});
}

$sql->("SELECT feathub.wait_for_job('flink_datagen', timeout => '60 s')");
is($sql->('SELECT count(*), count(DISTINCT id), min(id), max(id), min(length(word)) FROM flink_datagen'), '20000|20000|1|20000|20', 'datagen');

foreach my $kind (sort keys %changes)
{
	$sql->("SELECT feathub.wait_for_job('flink_$kind', timeout => '60 s')");
	is($sql->("SELECT * FROM flink_${kind}_online ORDER BY who COLLATE \"C\""), join("\n",
			'ann|30.25|2|2024-05-01 08:00:03.999999+00',
			'héloïse|70.00|3|2024-05-01 08:00:06+00',
			'zoe||1|2024-05-01 08:00:07+00'), "changes, $kind");
	is($sql->("SELECT dead_letters, skipped FROM feathub.job_status WHERE job = 'flink_$kind'"), '0|0', 'none of them bad');
}

# Flink has read what we wrote.
$sql->(qq{
	CREATE SERVER files FOREIGN DATA WRAPPER feathub_filesystem OPTIONS (folder '$dir');
	CREATE FOREIGN TABLE read_rows (id bigint, at timestamptz, price numeric(14,4), name text, flag bool, tags text[], ratio float8, day date, pad text)
	  SERVER files OPTIONS (path 'read', format 'json');
});
is($sql->('SELECT count(*) FROM read_rows'), 500, 'Flink reads our rows, without those rolled back');
is($sql->('(TABLE client_row EXCEPT TABLE read_rows) UNION ALL (TABLE read_rows EXCEPT TABLE client_row)'), '', 'and unchanged');
is(join(' ', sort $out =~ /latest> (.*)/g), '+I[ann, 1] +I[bob, 2] +I[cid, 4] +U[ann, 3] -D[cid, 4] -U[ann, 1]', 'Flink reads our upserts');

$sql->(q{SELECT feathub.wait_for_job('ride', timeout => '60 s')});
is($sql->('SELECT * FROM ride_online'), 'cid|2024-05-01 09:30:00.000001+00|7.125|{Harbour}', "the manual's recipe");
done_testing();
