# The embedded broker: off by default, found by its clients, started again with
# nothing in it, and topics added by a reload.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use FeathubTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = new_node('embedded',
	conf => "feathub.retry_delay = '200ms'\nfeathub.retry_delay_max = '1s'\n");

sub sql
{
	my $query = shift;
	return $node->safe_psql('postgres', $query);
}

# Off.

sql(q{
	CREATE SERVER kafka FOREIGN DATA WRAPPER feathub_kafka OPTIONS (bootstrap_servers 'embedded');
	CREATE FOREIGN TABLE clicks_source (a int, part int OPTIONS (metadata 'partition')) SERVER kafka OPTIONS (topic 'clicks');
});
is(sql('SELECT feathub.embedded_broker_address() IS NULL'), 't', 'off: no address');
my ($status, $out, $err) = $node->psql('postgres', 'SELECT * FROM clicks_source');
like($err, qr/the embedded broker is not switched on/, 'off: an error');
like($err, qr/HINT:.*feathub\.embedded_broker = on/, 'with a hint');

# On.

$node->append_conf('postgresql.conf',
	"feathub.embedded_broker = on\nfeathub.embedded_broker_topics = 'clicks:3'\n");
$node->restart;
my $address = sql('SELECT feathub.embedded_broker_address()');
like($address, qr/^127\.0\.0\.1:\d+$/, 'on: an address on loopback');
sql('INSERT INTO clicks_source SELECT i, i % 3 FROM generate_series(1, 30) i');
is(sql('SELECT count(*), count(DISTINCT part) FROM clicks_source'), '30|3', 'written and read');
kafka_produce($address, 'clicks', ['{"a": 31}']);
is(sql('SELECT count(*) FROM clicks_source WHERE a = 31'), '1', 'other clients reach it');

# A topic added by a reload; what is there stays.

$node->append_conf('postgresql.conf', "feathub.embedded_broker_topics = 'clicks:3, more:7'\n");
$node->reload;
sql(q{CREATE FOREIGN TABLE more_source (a int, part int OPTIONS (metadata 'partition')) SERVER kafka OPTIONS (topic 'more')});
poll_until(
	sub {
		sql('IMPORT FOREIGN SCHEMA kafka LIMIT TO (more) FROM SERVER kafka INTO public');
		sql("SELECT count(*) FROM pg_class WHERE relname = 'more'") eq '1';
	},
	'the topic');
sql('INSERT INTO more_source VALUES (1, 6)');
is(sql('SELECT count(*) FROM more_source WHERE part = 6'), '1', 'a topic with 7 partitions');
is(sql('SELECT count(*) FROM clicks_source'), '31', 'a reload loses nothing');

# Restarted: the records are gone, and the job that has applied them says so.

sql(q{
	CREATE TABLE clicks (a int);
	SELECT feathub.create_job('clicks', source => 'clicks_source', sink => 'clicks', query => 'SELECT a FROM batch');
	SELECT feathub.wait_for_job('clicks', timeout => '60 s');
});
is(sql('SELECT count(*) FROM clicks'), '31', 'followed by a job');
my ($broker) = map { /^\s*(\d+)/ } grep { /embedded broker/ } split /\n/,
  qx{ps -o pid,args --ppid @{[ (split /\n/, slurp_file($node->data_dir . '/postmaster.pid'))[0] ]}};
kill 'TERM', $broker;
poll_until(sub { sql('SELECT feathub.embedded_broker_address()') ne $address }, 'a new broker');
poll_until(
	sub {
		sql(q{SELECT concat_ws(' ', reason, last_error) FROM feathub.job_status WHERE job = 'clicks'}) =~
		  /is not the one that the job has followed/;
	},
	'the job notices');
is(sql('SELECT count(*) FROM clicks_source'), '0', 'it is empty');
sql('INSERT INTO clicks_source SELECT i, 0 FROM generate_series(1, 5) i');
sql(q{SELECT feathub.rewind_job('clicks', 'earliest'); SELECT feathub.resume_job('clicks')});
sql(q{SELECT feathub.wait_for_job('clicks', timeout => '60 s')});
is(sql('SELECT count(*) FROM clicks'), '36', 'and follows the new topic once it is rewound');

# A worker that is terminated with records in its hands ends at once, and takes
# nobody down.

my $started = sql('SELECT pg_postmaster_start_time()');
foreach my $i (1 .. 5)
{
	sql("INSERT INTO clicks_source SELECT g, 1 FROM generate_series(1, 2000) g");
	sql(q{SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE backend_type LIKE 'feathub worker%'});
}
sql(q{SELECT feathub.wait_for_job('clicks', timeout => '60 s')});
is(sql('SELECT count(*) FROM clicks'), '10036', 'every record once');
is(sql('SELECT pg_postmaster_start_time()'), $started, 'no crash');
unlike(slurp_file($node->logfile), qr/was terminated by signal/, 'nor a process killed');

$node->stop;
done_testing();
