# Batch scans of a real Apache Kafka: what the broker of the regression tests
# cannot show.  Transactions and the last stable offset, offsets by time,
# retention, partitions added, SASL and TLS.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use FeathubTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $kafka = kafka_start(sasl => 1, ssl => 1);
my $node = new_node('scan');

sub sql
{
	my $query = shift;
	return $node->safe_psql('postgres', $query);
}

# the error of a statement that must fail
sub sql_error
{
	my ($query, %opt) = @_;
	my ($status, $out, $err) = $node->psql('postgres', $query, %opt);
	isnt($status, 0, "fails: $query");
	return $err;
}

sql(qq{
	CREATE SERVER kafka FOREIGN DATA WRAPPER feathub_kafka
	  OPTIONS (bootstrap_servers '$kafka->{bootstrap}');
});

sub raw_table
{
	my ($name, $topic, $options) = @_;
	sql(qq{
		CREATE FOREIGN TABLE $name (value text,
		  topic text OPTIONS (metadata 'topic'),
		  partition int OPTIONS (metadata 'partition'),
		  "offset" bigint OPTIONS (metadata 'offset'),
		  "timestamp" timestamptz OPTIONS (metadata 'timestamp'))
		SERVER kafka OPTIONS (topic '$topic', format 'raw' } . ($options || '') . ')');
}

# Transactions

kafka_create_topic($kafka, 'tx', 1);
raw_table('tx', 'tx');
raw_table('tx_all', 'tx', ", isolation_level 'read_uncommitted'");

kafka_produce($kafka, 'tx', [ map { "plain$_" } 1 .. 3 ]);
kafka_transaction($kafka, 'tx', [ map { "aborted$_" } 1 .. 3 ], 'abort');
kafka_transaction($kafka, 'tx', [ map { "committed$_" } 1 .. 3 ], 'commit');
is(sql("SELECT string_agg(value, ' ' ORDER BY \"offset\") FROM tx"),
	'plain1 plain2 plain3 committed1 committed2 committed3',
	'records of an aborted transaction are left out; the scan ends behind a marker');
is(sql('SELECT count(*) FROM tx_all'), '9', 'read_uncommitted reads them');
is(sql('SELECT count(*) FROM tx WHERE "offset" BETWEEN 3 AND 6'), '0',
	'a range of aborted records and a marker ends');
is(sql('SELECT count(*) FROM tx WHERE "offset" >= 10'), '0', 'so does the last marker alone');

kafka_transaction($kafka, 'tx', ['open1'], 'open');
kafka_produce($kafka, 'tx', ['behind']);
is(sql("SELECT count(*), max(value) FROM tx"), '6|plain3',
	'an open transaction: up to the last stable offset, without waiting');
is(sql("SELECT count(*) FROM tx_all"), '11', 'read_uncommitted goes on to the high watermark');

# a topic with nothing but an aborted transaction
kafka_create_topic($kafka, 'tx_none', 1);
kafka_transaction($kafka, 'tx_none', [ map { "a$_" } 1 .. 500 ], 'abort');
raw_table('tx_none', 'tx_none');
is(sql('SELECT count(*) FROM tx_none'), '0', 'nothing but aborted records');

# Offsets by time

kafka_create_topic($kafka, 'times', 2);
kafka_produce($kafka, 'times',
	[ map { { value => "v$_", partition => $_ % 2, timestamp => 1356998400000 + $_ * 1000 } } 0 .. 999 ]);
raw_table('times', 'times');

# "offsets read" of a statement
sub offsets
{
	my $plan = sql("EXPLAIN (ANALYZE, COSTS off, TIMING off, SUMMARY off) $_[0]");
	return $plan =~ /Offsets: (.*)/ ? $1 : $plan;
}

is(sql("SELECT count(*), min(\"timestamp\") = '2013-01-01 00:15:00+00' FROM times WHERE \"timestamp\" >= '2013-01-01 00:15:00+00'"),
	'100|t', 'records at or after a time');
is(offsets("SELECT * FROM times WHERE \"timestamp\" >= '2013-01-01 00:15:00+00'"),
	'times[0] 450..499, times[1] 450..499', 'only their offsets are read');
is(offsets("SELECT * FROM times WHERE \"timestamp\" > '2013-01-01 00:15:00+00' AND partition = 0"),
	'times[0] 451..499', 'greater than');
is(offsets("SELECT * FROM times WHERE \"timestamp\" >= '2013-01-01 00:14:59.9995+00' AND partition = 0"),
	'times[0] 450..499', 'a time between two milliseconds');
is(offsets("SELECT * FROM times WHERE \"timestamp\" > '2020-01-01'"), 'none', 'no record so late');
is(offsets("SELECT * FROM times WHERE \"timestamp\" >= '1960-01-01' AND partition = 1"),
	'times[1] 0..499', 'a time before all times');
is(offsets("SELECT * FROM times WHERE \"timestamp\" < '-infinity' OR \"timestamp\" = 'infinity'"),
	'none', 'infinite times');
is( sql("SELECT count(*) FROM times WHERE \"timestamp\" BETWEEN '2013-01-01 00:01:00+00' AND '2013-01-01 00:02:00+00'"),
	'61', 'a range of times');
is( sql(q{
	SELECT string_agg(n::text, ' ' ORDER BY t) FROM
	  (VALUES ('2013-01-01 00:16:00+00'::timestamptz), ('2013-01-01 00:16:30+00'), (NULL), ('2030-01-01')) o (t),
	  LATERAL (SELECT count(*) AS n FROM times WHERE "timestamp" >= o.t OFFSET 0) s}),
	'40 10 0 0', 'rescans with other times');

# timestamps out of order: an upper bound must not end the scan
kafka_create_topic($kafka, 'disorder', 1);
kafka_produce($kafka, 'disorder',
	[ map { { value => "v$_", timestamp => 1356998400000 + (($_ * 7919) % 1000) * 1000 } } 0 .. 999 ]);
raw_table('disorder', 'disorder');
is(sql("SELECT count(*) FROM disorder WHERE \"timestamp\" < '2013-01-01 00:05:00+00'"),
	'300', 'upper bound over timestamps in disorder');
is(sql("SELECT count(*) FROM disorder WHERE \"timestamp\" >= '2013-01-01 00:05:00+00'"),
	'700', 'lower bound over timestamps in disorder');

# Retention

kafka_delete_records($kafka, 'times', 0, 100);
is(sql('SELECT count(*), min("offset") FROM times WHERE partition = 0'), '400|100',
	'begins at the low watermark');
is(sql('SELECT count(*) FROM times WHERE partition = 0 AND "offset" < 100'), '0',
	'records that are gone');

# Several topics, patterns, partitions added

kafka_create_topic($kafka, 'multi.a', 2);
kafka_create_topic($kafka, 'multi.b', 1);
kafka_produce($kafka, 'multi.a', [ map { { value => "a$_", partition => $_ % 2 } } 1 .. 10 ]);
kafka_produce($kafka, 'multi.b', [ map { "b$_" } 1 .. 5 ]);
raw_table('multi', 'multi.a, multi.b');
raw_table('pattern', '^multi[.]');
is(sql('SELECT topic, count(*) FROM multi GROUP BY 1 ORDER BY 1'), "multi.a|10\nmulti.b|5", 'a list of topics');
is(sql('SELECT topic, count(*) FROM pattern GROUP BY 1 ORDER BY 1'), "multi.a|10\nmulti.b|5", 'a pattern');
is(offsets("SELECT * FROM multi WHERE topic = 'multi.b'"), 'multi.b[0] 0..4', 'restriction on the topic');
kafka_add_partitions($kafka, 'multi.b', 3);
kafka_produce($kafka, 'multi.b', [ { value => 'new', partition => 2 } ]);
poll_query($node, "SELECT count(*) FROM multi WHERE topic = 'multi.b'", '6', 'new partitions');
sql("CREATE FOREIGN TABLE nowhere (v text) SERVER kafka OPTIONS (topic 'does_not_exist', format 'raw')");
like(sql_error('SELECT * FROM nowhere'), qr/topic "does_not_exist" does not exist/, 'no such topic');

# Parallel scans find the same

kafka_create_topic($kafka, 'large', 6);
kafka_produce($kafka, 'large',
	[ map { { key => "k$_", value => sprintf('{"id": %d, "x": %s}', $_, $_ / 4) } } 1 .. 30000 ]);
sql(q{CREATE FOREIGN TABLE large (id int, x float8) SERVER kafka OPTIONS (topic 'large', format 'json')});
is(sql('SELECT count(*), sum(id), sum(x) FROM large'), '30000|450015000|112503750', 'all records');
my $parallel = 'SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET min_parallel_table_scan_size = 0;';
like(sql("$parallel EXPLAIN SELECT count(*) FROM large"), qr/Parallel Foreign Scan/, 'parallel plan');
is(sql("$parallel SELECT count(*), sum(id), sum(x) FROM large"), '30000|450015000|112503750',
	'all records, in parallel');
is(sql("$parallel SET parallel_leader_participation = off; SELECT count(DISTINCT id) FROM large"), '30000',
	'without the leader');
is(sql("$parallel SELECT count(*) FROM (SELECT * FROM large LIMIT 10) s"), '10', 'LIMIT');
like(sql("EXPLAIN (ANALYZE, COSTS off) SELECT * FROM large LIMIT 10"), qr/Messages Read: 10\n/,
	'LIMIT reads no more');

# memory of a scan is bounded, also that of one that stands still
is( sql(q{
	BEGIN; DECLARE c CURSOR FOR SELECT * FROM large; FETCH 5 FROM c; SELECT pg_sleep(0.5);
	MOVE ALL FROM c; COMMIT; SELECT count(*) FROM large}) =~ /30000$/ ? 1 : 0, 1,
	'a cursor that waits');

# ANALYZE

sql('ANALYZE large');
is(sql("SELECT reltuples FROM pg_class WHERE relname = 'large'"), '30000', 'ANALYZE counts');
cmp_ok(sql("SELECT n_distinct FROM pg_stats WHERE tablename = 'large' AND attname = 'id'"),
	'<', -0.9, 'ANALYZE samples');
sql('SET default_statistics_target = 1; ANALYZE large');
cmp_ok(abs(sql("SELECT reltuples FROM pg_class WHERE relname = 'large'") - 30000),
	'<', 3000, 'a small sample of many records');

# SASL and TLS

my $scan = 'SELECT count(*) FROM secure';
sql(qq{
	CREATE SERVER secure FOREIGN DATA WRAPPER feathub_kafka OPTIONS (bootstrap_servers '$kafka->{sasl}',
	  "security.protocol" 'sasl_plaintext', "sasl.mechanism" 'PLAIN', connect_timeout '5');
	CREATE USER MAPPING FOR CURRENT_USER SERVER secure
	  OPTIONS ("sasl.username" 'alice', "sasl.password" 'alice-secret');
	CREATE FOREIGN TABLE secure (value text) SERVER secure OPTIONS (topic 'multi.a', format 'raw');
});
is(sql($scan), '10', 'SASL PLAIN');
sql(q{ALTER SERVER secure OPTIONS (SET "sasl.mechanism" 'SCRAM-SHA-256')});
is(sql($scan), '10', 'SASL SCRAM-SHA-256');
sql(q{ALTER USER MAPPING FOR CURRENT_USER SERVER secure OPTIONS (SET "sasl.password" 'wrong-secret')});
my $error = sql_error($scan);
like($error, qr/could not connect to foreign server "secure".*uthentication/, 'wrong password');
unlike($error, qr/wrong-secret/, 'the password is not shown');
sql('DROP USER MAPPING FOR CURRENT_USER SERVER secure');
like(sql_error($scan), qr/could not (connect to|use) foreign server "secure"/, 'no credentials');
sql(qq{
	ALTER SERVER secure OPTIONS (SET bootstrap_servers '$kafka->{ssl}', SET "security.protocol" 'ssl',
	  DROP "sasl.mechanism", ADD "ssl.ca.location" '$kafka->{ca}');
});
is(sql($scan), '10', 'TLS');
sql(q{ALTER SERVER secure OPTIONS (DROP "ssl.ca.location")});
like(sql_error($scan), qr/could not connect to foreign server "secure"/, 'TLS with an unknown CA');

done_testing();
