# Debezium's own messages of a MariaDB's changes, with their schema around them
# and without, as feature groups take them: the online tables end as the table
# in MariaDB does.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use FeathubClients;
use FeathubMysql;
use FeathubTest;
use IPC::Run ();
use PostgreSQL::Test::Utils;
use Test::More;

my $jars = client_folder('debezium');
my $kafka = kafka_start();
my $mysql = mysql_start(options => [ '--log-bin=binlog', '--binlog-format=ROW', '--binlog-row-image=FULL', '--binlog-row-metadata=FULL' ]);
my $node = new_node('debezium', conf => "feathub.source_interval = '500ms'\n");
my $dir = PostgreSQL::Test::Utils::tempdir();
my $sql = sub { $node->safe_psql('postgres', $_[0]) };
my %topics = (plain => 'false', schema => 'true');

sub properties
{
	my ($name, %properties) = @_;

	append_to_file("$dir/$name.properties", join('', map { "$_=$properties{$_}\n" } sort keys %properties));
	return "$dir/$name.properties";
}

# What is there before Debezium comes is its snapshot.
mysql_query($mysql, q{
	USE shop;
	CREATE TABLE item (id bigint PRIMARY KEY, name varchar(100) CHARACTER SET utf8mb4, price decimal(14,4), ratio double, stock smallint unsigned,
	  active tinyint(1), day date, opens time(6), made datetime(6), body mediumblob, notes mediumtext,
	  changed_at timestamp(6) NOT NULL DEFAULT current_timestamp(6) ON UPDATE current_timestamp(6));
	INSERT INTO item (id, name, price, ratio, stock, active, day, opens, made, body, notes)
	  SELECT seq, IF(seq % 7 = 0, NULL, CONCAT('item ', seq)), seq * 12345.6789, seq / 3, seq, seq % 2, '1969-12-01' + INTERVAL seq DAY,
	    SEC_TO_TIME(seq + 0.000001), '1969-12-31 23:00:00.000001' + INTERVAL seq MINUTE, UNHEX(SHA1(seq)), IF(seq = 100, REPEAT('x', 900000), '')
	  FROM seq_1_to_500;
	UPDATE item SET name = CONCAT(CONVERT(UNHEX('C3A9F09F9880') USING utf8mb4), name) WHERE id % 3 = 0;
});

my @connectors;
my $id = 4711;
my $worker = properties('worker',
	'bootstrap.servers' => $kafka->{bootstrap}, 'plugin.path' => "$jars/plugins", 'listeners' => 'http://127.0.0.1:0',
	'key.converter' => 'org.apache.kafka.connect.json.JsonConverter', 'value.converter' => 'org.apache.kafka.connect.json.JsonConverter',
	'offset.storage.file.filename' => "$dir/offsets", 'offset.flush.interval.ms' => 1000, 'topic.creation.enable' => 'false',
	'producer.max.request.size' => 2000000);
properties('log4j',
	'log4j.rootLogger' => 'WARN, stdout', 'log4j.appender.stdout' => 'org.apache.log4j.ConsoleAppender',
	'log4j.appender.stdout.layout' => 'org.apache.log4j.PatternLayout', 'log4j.appender.stdout.layout.ConversionPattern' => '%d %p %m (%c)%n');
$sql->("CREATE SERVER kafka FOREIGN DATA WRAPPER feathub_kafka OPTIONS (bootstrap_servers '$kafka->{bootstrap}', connect_timeout '30')");
foreach my $topic (sort keys %topics)
{
	push @connectors, properties($topic,
		'name' => $topic, 'connector.class' => 'io.debezium.connector.mariadb.MariaDbConnector', 'tasks.max' => 1,
		'database.hostname' => '127.0.0.1', 'database.port' => $mysql->{port}, 'database.user' => 'fh', 'database.password' => 'fh-secret',
		'database.server.id' => $id++, 'topic.prefix' => $topic, 'table.include.list' => 'shop.item', 'include.schema.changes' => 'false',
		'key.converter' => 'org.apache.kafka.connect.json.JsonConverter', 'key.converter.schemas.enable' => $topics{$topic},
		'value.converter' => 'org.apache.kafka.connect.json.JsonConverter', 'value.converter.schemas.enable' => $topics{$topic},
		'schema.history.internal' => 'io.debezium.storage.file.history.FileSchemaHistory',
		'schema.history.internal.file.filename' => "$dir/$topic.history", 'decimal.handling.mode' => 'string');
	kafka_create_topic($kafka, "$topic.shop.item", 1, 'max.message.bytes' => 2000000);
	$sql->(qq{
		CREATE FOREIGN TABLE item_$topic (id bigint, name text, price numeric(14,4), ratio float8, stock int, active int,
		    day date OPTIONS (timestamp_format 'epoch_days'), opens bigint, made timestamp OPTIONS (timestamp_format 'epoch_micros'),
		    body bytea, notes text, changed_at timestamptz, op text OPTIONS (envelope 'op'))
		  SERVER kafka OPTIONS (topic '$topic.shop.item', format 'debezium-json');
		SELECT feathub.create_feature_group('latest_$topic', source => 'item_$topic', primary_key => '{id}');
		SELECT feathub.create_feature_group('history_$topic', source => 'item_$topic', primary_key => '{id}', event_time => 'changed_at');
	});
}

my $connect = IPC::Run::start([ qw(java -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Xmx384m), "-Dlog4j.configuration=file:$dir/log4j.properties",
	'-cp', "$jars/*", 'org.apache.kafka.connect.cli.ConnectStandalone', $worker, @connectors ], '<', \undef, '>', "$dir/connect.log", '2>&1');
END
{
	my $status = $?;

	$connect->kill_kill(grace => 10) if $connect;
	$? = $status;
}

# The rows in MariaDB, and those of a group.
mysql_server($node, $mysql);
$sql->(q{
	CREATE FOREIGN TABLE item (id bigint, name text, price numeric(14,4), ratio float8, stock int, active int, day date, opens interval,
	  made timestamp, body bytea, notes text, changed_at timestamptz) SERVER mysql OPTIONS (database 'shop');
});
my $columns = 'id, name, price, ratio, stock, active, day, %s, made, body, md5(notes), changed_at';

sub check
{
	my ($what) = @_;

	# that row has the last change
	foreach my $topic (sort keys %topics)
	{
		foreach my $group ("latest_$topic", "history_$topic")
		{
			poll_query($node, "SELECT count(*) FROM ${group}_online WHERE id = 0 AND name = '$what'", '1', "$group, $what")
			  or diag(slurp_file("$dir/connect.log"));
			my $theirs = 'SELECT ' . sprintf($columns, 'opens') . ' FROM item';
			my $ours = 'SELECT ' . sprintf($columns, "opens * interval '1 us'") . " FROM ${group}_online";

			is($sql->("($theirs EXCEPT $ours) UNION ALL ($ours EXCEPT $theirs) ORDER BY id LIMIT 5"), '', "$group, $what: the same rows");
			is($sql->("SELECT dead_letters FROM feathub.job_status WHERE job = '$group'"), '0', "$group, $what: none bad");
		}
	}
	return;
}

# the snapshot is done, and the log is read
foreach my $group (map { ("latest_$_", "history_$_") } sort keys %topics)
{
	poll_query($node, "SELECT count(*) FROM ${group}_online", '500', "$group, snapshot") or diag(slurp_file("$dir/connect.log"));
}
mysql_query($mysql, "INSERT INTO shop.item (id, name) VALUES (0, 'snapshot')");
check('snapshot');
is($sql->('SELECT string_agg(DISTINCT op, $$$$ ORDER BY op) FROM item_schema'), 'cr', 'a snapshot and a change');

mysql_query($mysql, q{
	USE shop;
	UPDATE item SET price = -price, name = NULL WHERE id % 5 = 0 AND id > 0;
	DELETE FROM item WHERE id % 6 = 0 AND id > 0;
	UPDATE item SET id = id + 1000 WHERE id % 11 = 1;
	BEGIN; DELETE FROM item; ROLLBACK;
	BEGIN; INSERT INTO item (id, name) VALUES (2001, 'kept'); SAVEPOINT s; DELETE FROM item WHERE id < 100; ROLLBACK TO SAVEPOINT s; COMMIT;
	REPLACE INTO item (id, name, stock) VALUES (2001, 'replaced', 65535);
	INSERT INTO item (id, name) VALUES (2, 'again') ON DUPLICATE KEY UPDATE stock = stock + 1;
	INSERT INTO item (id, name) VALUES (6, 'back again');
	UPDATE item SET name = 'changes' WHERE id = 0;
});
check('changes');
# 83 deletions and 38 new keys
is($sql->('SELECT count(*), count(DISTINCT id) FROM history_plain WHERE feathub_deleted'), '121|121', 'each deletion is in the history');
done_testing();
