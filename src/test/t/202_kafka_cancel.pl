# A cancel is answered within a second, whatever the broker does (promise 8).
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use FeathubTest;
use IO::Socket::INET;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time sleep);

my $kafka = kafka_start(sasl => 1);
my $node = new_node('cancel');

# A statement that must not end by itself within $delay seconds, then is
# cancelled by statement_timeout: how long that took beyond the delay.
sub cancel_takes
{
	my ($what, $query, $delay) = @_;
	my $begin = time();
	my ($status, $out, $err) =
	  $node->psql('postgres', "SET statement_timeout = '${delay}s'; $query");
	my $took = time() - $begin;

	like($err, qr/canceling statement due to statement timeout/, "$what: cancelled");
	cmp_ok($took, '<', $delay + 1.5, "$what: within a second");
	return;
}

# the same by pg_terminate_backend
sub terminate_takes
{
	my ($what, $query) = @_;
	my $session = $node->background_psql('postgres', on_error_stop => 0);
	my $pid = $session->query_safe('SELECT pg_backend_pid()');

	$session->{stdin} .= "$query;\n";
	$session->{run}->pump_nb;
	poll_query($node, "SELECT count(*) FROM pg_stat_activity WHERE pid = $pid AND state = 'active'", '1', "$what runs");
	sleep(0.7);
	my $begin = time();
	$node->safe_psql('postgres', "SELECT pg_terminate_backend($pid)");
	poll_query($node, "SELECT count(*) FROM pg_stat_activity WHERE pid = $pid", '0', "$what: gone");
	cmp_ok(time() - $begin, '<', 2, "$what: terminated soon");
	eval { $session->{run}->kill_kill; };
	return;
}

sub make_server
{
	my ($name, $bootstrap, $options) = @_;
	$options = $options ? ", $options" : '';
	$node->safe_psql('postgres', qq{
		CREATE SERVER $name FOREIGN DATA WRAPPER feathub_kafka
		  OPTIONS (bootstrap_servers '$bootstrap', connect_timeout '60'$options);
		CREATE USER MAPPING FOR CURRENT_USER SERVER $name;
		CREATE FOREIGN TABLE $name (value text) SERVER $name
		  OPTIONS (topic 'slow', format 'raw', produce_timeout '60');
		CREATE FOREIGN TABLE ${name}_tx (value text) SERVER $name
		  OPTIONS (topic 'slow', format 'raw', transactional 'true', produce_timeout '60')});
	return;
}

# Nobody listens; the library tries again and again

my $port = free_port();
make_server('nobody', "127.0.0.1:$port", q{"reconnect.backoff.ms" '50'});
my ($status, $out, $err) = $node->psql('postgres', 'SELECT * FROM nobody');
like($err, qr/could not connect to foreign server "nobody"/, 'nobody listens: an error');
cancel_takes('nobody listens, INSERT', q{INSERT INTO nobody VALUES ('x')}, 1);

# Somebody listens and never answers

my $silent = IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => 0, Proto => 'tcp', Listen => 64)
  or die "could not listen: $!";
make_server('silent', '127.0.0.1:' . $silent->sockport);
cancel_takes('silent broker, SELECT', 'SELECT * FROM silent', 1);
cancel_takes('silent broker, INSERT', q{INSERT INTO silent VALUES ('x')}, 1);
cancel_takes('silent broker, transactional INSERT', q{INSERT INTO silent_tx VALUES ('x')}, 1);
cancel_takes('silent broker, IMPORT', 'IMPORT FOREIGN SCHEMA kafka FROM SERVER silent INTO public', 1);
cancel_takes('silent broker, ANALYZE', 'ANALYZE silent', 1);
terminate_takes('silent broker, SELECT', 'SELECT * FROM silent');

# a short connect_timeout ends it, too
$node->safe_psql('postgres', q{ALTER SERVER silent OPTIONS (SET connect_timeout '2')});
my $begin = time();
($status, $out, $err) = $node->psql('postgres', 'SELECT * FROM silent');
like($err, qr/foreign server "silent"/, 'silent broker: connect_timeout');
cmp_ok(time() - $begin, '<', 5, 'connect_timeout is kept');

# A broker's name that nobody knows

make_server('unknown', 'broker.invalid:9092');
($status, $out, $err) = $node->psql('postgres', "SET statement_timeout = '1s'; SELECT * FROM unknown");
like($err, qr/canceling|could not connect/, 'unknown name');

# A broker that hangs in the middle of things

kafka_create_topic($kafka, 'slow', 1);
make_server('real', $kafka->{bootstrap}, q{"socket.timeout.ms" '60000'});
kafka_produce($kafka, 'slow', [ map { "v$_" . 'x' x 1000 } 1 .. 5000 ]);
is($node->safe_psql('postgres', 'SELECT count(*) FROM real'), '5000', 'before it hangs');
is($node->safe_psql('postgres', q{INSERT INTO real VALUES ('y'); SELECT count(*) FROM real}), '5001', 'INSERT before it hangs');
my $writer = $node->background_psql('postgres', on_error_stop => 0);
$writer->query_safe(q{SET statement_timeout = '1s'; INSERT INTO real VALUES ('z'); BEGIN; INSERT INTO real_tx VALUES ('t')});

kafka_pause($kafka);
cancel_takes('hung broker, SELECT', 'SELECT * FROM real', 1);
cancel_takes('hung broker, INSERT', q{INSERT INTO real VALUES ('x')}, 1);
$begin = time();
$writer->query(q{INSERT INTO real_tx VALUES ('u')});
cmp_ok(time() - $begin, '<', 3.5, 'hung broker, INSERT of a producer at hand');
$begin = time();
$writer->query(q{ROLLBACK; INSERT INTO real VALUES ('v')});
cmp_ok(time() - $begin, '<', 3.5, 'hung broker, ROLLBACK of a transaction');
kafka_continue($kafka);
$writer->{stderr} = '';
$writer->query_safe('RESET statement_timeout');
$writer->query_safe(q{INSERT INTO real VALUES ('again')});
# the same transactional id again: what it left open is aborted
$writer->query_safe(q{INSERT INTO real_tx VALUES ('w')});
$writer->quit;
ok(poll_query($node, q{SELECT string_agg(value, ' ' ORDER BY value) FROM real WHERE value IN ('again', 't', 'u', 'w')},
		'again w', 'the new transaction'), 'usable afterwards, and the transaction was not committed');

# A long fetch

cancel_takes('a long scan', 'SELECT count(*) FROM real a, real b, real c', 1);

done_testing();
