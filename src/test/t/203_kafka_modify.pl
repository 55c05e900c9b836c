# INSERT into a real Apache Kafka: transactions that follow COMMIT and ROLLBACK,
# failures of delivery, sessions and options that change.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use FeathubTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $kafka = kafka_start();
my $node = new_node('modify', conf => "max_prepared_transactions = 4\n");

sub sql
{
	my $query = shift;
	return $node->safe_psql('postgres', $query);
}

sub sql_error
{
	my ($query, %opt) = @_;
	my ($status, $out, $err) = $node->psql('postgres', $query, %opt);
	isnt($status, 0, "fails: $query");
	return $err;
}

kafka_create_topic($kafka, 'tx', 2);
kafka_create_topic($kafka, 'plain', 1, 'max.message.bytes' => 20000);
sql(qq{
	CREATE SERVER kafka FOREIGN DATA WRAPPER feathub_kafka OPTIONS (bootstrap_servers '$kafka->{bootstrap}');
	CREATE FOREIGN TABLE tx (value text, partition int OPTIONS (metadata 'partition'))
	  SERVER kafka OPTIONS (topic 'tx', format 'raw', transactional 'true');
	CREATE FOREIGN TABLE tx_all (value text)
	  SERVER kafka OPTIONS (topic 'tx', format 'raw', isolation_level 'read_uncommitted');
	CREATE FOREIGN TABLE plain (value text, partition int OPTIONS (metadata 'partition'),
	  "offset" bigint OPTIONS (metadata 'offset'))
	  SERVER kafka OPTIONS (topic 'plain', format 'raw', "compression.type" 'none', "batch.size" '10000', produce_timeout '15');
	CREATE TABLE local (value text)});

# Kafka answers a commit before the markers are in the partitions: readers see
# it a moment later.
sub is_committed
{
	my ($expected, $what) = @_;
	ok(poll_query($node, "SELECT string_agg(value, ' ' ORDER BY value) FROM tx", $expected, $what, 30), $what);
	return;
}

# COMMIT and ROLLBACK decide

sql(q{INSERT INTO tx VALUES ('a1')});
is_committed('a1', 'a statement of its own');
sql(q{BEGIN; INSERT INTO tx VALUES ('b1', 0); INSERT INTO tx VALUES ('b2', 1); COMMIT});
is_committed('a1 b1 b2', 'COMMIT');
sql(q{BEGIN; INSERT INTO tx VALUES ('c1'); ROLLBACK});
is_committed('a1 b1 b2', 'ROLLBACK');
sql(q{BEGIN; INSERT INTO tx VALUES ('d1'); ROLLBACK; INSERT INTO tx VALUES ('d2'); BEGIN; INSERT INTO tx VALUES ('d3'); COMMIT});
is_committed('a1 b1 b2 d2 d3', 'one after the other in a session');
like(sql_error(q{BEGIN; INSERT INTO tx VALUES ('e1'); SELECT 1/0; COMMIT}), qr/division by zero/, 'an error');
is_committed('a1 b1 b2 d2 d3', 'an error rolls back');
is(sql('SELECT count(*) > 5 FROM tx_all'), 't', 'what was rolled back is there, aborted');

# a failure at commit takes both back
sql(q{
	CREATE TABLE checked (x int PRIMARY KEY DEFERRABLE INITIALLY DEFERRED);
	INSERT INTO checked VALUES (1)});
like(sql_error(q{BEGIN; INSERT INTO tx VALUES ('f1'); INSERT INTO checked VALUES (1); COMMIT}),
	qr/duplicate key/, 'a deferred constraint fails');
is_committed('a1 b1 b2 d2 d3', 'neither is committed');

# Subtransactions

sql(q{BEGIN; INSERT INTO tx VALUES ('g1'); SAVEPOINT s; INSERT INTO tx VALUES ('g2'); RELEASE s; COMMIT});
is_committed('a1 b1 b2 d2 d3 g1 g2', 'a released savepoint');
like(sql_error(q{BEGIN; INSERT INTO tx VALUES ('h1'); SAVEPOINT s; INSERT INTO tx VALUES ('h2'); ROLLBACK TO s; COMMIT}),
	qr/cannot commit: messages to foreign table "tx" cannot be taken back in part/, 'a rolled back savepoint with a write');
like(sql_error(q{BEGIN; SAVEPOINT s; SAVEPOINT t; INSERT INTO tx VALUES ('h1'); RELEASE t; ROLLBACK TO s; INSERT INTO tx VALUES ('h3'); COMMIT}),
	qr/cannot write to transactional foreign table "tx" any more/, 'no more writes after it');
sql(q{BEGIN; INSERT INTO tx VALUES ('i1'); SAVEPOINT s; INSERT INTO local VALUES ('i'); ROLLBACK TO s; COMMIT});
is_committed('a1 b1 b2 d2 d3 g1 g2 i1', 'a rolled back savepoint without a write');

like(sql_error(q{BEGIN; INSERT INTO tx VALUES ('j1'); PREPARE TRANSACTION 'p'}),
	qr/cannot PREPARE a transaction that has written to transactional foreign table "tx"/, 'PREPARE TRANSACTION');

# A session that dies leaves nothing

my $session = $node->background_psql('postgres', on_error_stop => 0);
$session->query_safe(q{BEGIN; INSERT INTO tx VALUES ('k1')});
my $pid = $session->query_safe('SELECT pg_backend_pid()');
sql("SELECT pg_terminate_backend($pid)");
poll_query($node, "SELECT count(*) FROM pg_stat_activity WHERE pid = $pid", '0');
kafka_produce($kafka, 'tx', ['l1']);
is_committed('a1 b1 b2 d2 d3 g1 g2 i1 l1', 'nothing of a session that was terminated, which holds up no reader');
eval { $session->{run}->kill_kill };

# Concurrent sessions have transactional ids of their own

my $one = $node->background_psql('postgres');
my $two = $node->background_psql('postgres');
$one->query_safe(q{BEGIN; INSERT INTO tx VALUES ('m1')});
$two->query_safe(q{BEGIN; INSERT INTO tx VALUES ('m2')});
$one->query_safe('COMMIT');
$two->query_safe('COMMIT');
$one->quit;
$two->quit;
is_committed('a1 b1 b2 d2 d3 g1 g2 i1 l1 m1 m2', 'two sessions at a time');

# Order, many rows, and COPY

sql(q{INSERT INTO plain SELECT 'n' || i FROM generate_series(1, 50000) i});
is(sql(q{SELECT count(*), bool_and(value = 'n' || "offset" + 1) FROM plain}), '50000|t',
	'rows arrive in their order');
my $rows = join('', map { "c$_\n" } 1 .. 3000);
sql("COPY plain (value) FROM STDIN;\n$rows\\.\n");
is(sql(q{SELECT count(*) FROM plain WHERE "offset" >= 50000 AND value = 'c' || "offset" - 49999}), '3000', 'COPY');

# Failures of delivery are errors of the statement

like(sql_error(q{INSERT INTO plain VALUES (repeat('x', 100000))}),
	qr/could not write to topic "plain".*[Mm]essage size too large/s, 'the broker refuses a large message');
like(sql_error(q{INSERT INTO plain VALUES (repeat('x', 2000000))}),
	qr/message of 2000000 bytes is too large for topic "plain"/, 'the library refuses a larger one');
like(sql_error(q{INSERT INTO plain VALUES ('x', 7)}),
	qr/partition 7 of topic "plain" does not exist/, 'no such partition');
is(sql(q{INSERT INTO plain VALUES ('after'); SELECT count(*) FROM plain WHERE value = 'after'}), '1', 'usable afterwards');

# an error in the middle of a statement: what was queued must not follow later
like(sql_error(q{INSERT INTO plain SELECT CASE WHEN i = 40000 THEN (1/(40000-i))::text ELSE 'q' || i END FROM generate_series(1, 40000) i}),
	qr/division by zero/, 'an error in the middle');

# an option that changes makes a new producer
my $writer = $node->background_psql('postgres');
$writer->query_safe(q{INSERT INTO plain VALUES ('before')});
kafka_create_topic($kafka, 'other', 1);
sql(q{ALTER FOREIGN TABLE plain OPTIONS (SET topic 'other')});
$writer->query_safe(q{INSERT INTO plain VALUES ('moved')});
is(sql('SELECT value FROM plain'), 'moved', 'the new option is used');
$writer->quit;

# A broker that stops and comes back while a session goes on

$writer = $node->background_psql('postgres', on_error_stop => 0);
$writer->query_safe(q{INSERT INTO plain VALUES ('one')});
kafka_restart($kafka);
$writer->query_safe(q{INSERT INTO plain VALUES ('two')});
is(sql('SELECT string_agg(value, chr(32) ORDER BY "offset") FROM plain'), 'moved one two', 'after a restart of the broker');
kafka_stop($kafka);
my ($ok, $failed) = ('', '');
$writer->query(q{ALTER FOREIGN TABLE plain OPTIONS (SET produce_timeout '2')});
$writer->query(q{INSERT INTO plain VALUES ('three')});
like($writer->{stderr}, qr/could not (connect|write)/, 'a broker that is down: an error in time');
$writer->quit;

done_testing();
