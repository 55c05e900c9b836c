# Ways to a Redis server: TLS, access control lists, unix sockets, databases;
# connections that go, hang or change.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use FeathubRedis;
use FeathubTest;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

my $redis = redis_start(tls => 1);
my $node = new_node('connect');

sub sql { return $node->safe_psql('postgres', $_[0]); }

sub error_of
{
	my ($status, $out, $err) = $node->psql('postgres', "\\set VERBOSITY verbose\n$_[0]");
	return $status == 0 ? "none: $out" : $err;
}

redis_cli($redis, 'ACL', 'SETUSER', 'reader', 'on', '>s3cret pass', '~a:*', '+@read', '+select', '+exists');
redis_cli($redis, 'SET', 'a:1', 'one');
redis_cli($redis, 'SET', 'b:1', 'other');
redis_cli($redis, '-n', '3', 'SET', 'a:1', 'three');

# Each server has a table t over a:*.
sub make_server
{
	my ($name, $options, $mapping, $table) = @_;
	sql(qq{
		DROP SERVER IF EXISTS $name CASCADE;
		CREATE SERVER $name FOREIGN DATA WRAPPER feathub_redis OPTIONS ($options);
		CREATE USER MAPPING FOR CURRENT_USER SERVER $name $mapping;
		CREATE FOREIGN TABLE $name (k text OPTIONS (key 'true'), v text)
			SERVER $name OPTIONS (kind 'string', prefix 'a:' } . ($table || '') . ')');
	return;
}

my $here = "host '127.0.0.1', port '$redis->{port}'";
make_server('plain', $here, '');
is(sql('SELECT * FROM plain'), '1|one', 'plain');
make_server('db', $here, '', ", database '3'");
is(sql('SELECT * FROM db'), '1|three', 'a database of the table');
make_server('sock', "unix_socket '$redis->{socket}'", '');
is(sql('SELECT * FROM sock'), '1|one', 'a unix socket');

# TLS
my $tls = "host 'localhost', port '$redis->{tls_port}', tls 'true'";
make_server('secure', "$tls, tls_ca_file '$redis->{ca}'", '');
is(sql('SELECT * FROM secure'), '1|one', 'TLS');
make_server('secure', "$tls, tls_ca_file '$redis->{wrong_ca}'", '');
like(error_of('SELECT * FROM secure'), qr/HV00N.*certificate verify failed/s, 'another CA is not trusted');
make_server('secure', $tls, '');
like(error_of('SELECT * FROM secure'), qr/HV00N.*certificate verify failed/s, 'nor one without a CA');
make_server('secure', "host '127.0.0.1', port '$redis->{tls_port}', tls 'true', tls_ca_file '$redis->{ca}'", '');
like(error_of('SELECT * FROM secure'), qr/HV00N.*mismatch/s, 'the name must be the certificate\'s');
make_server('secure', "host '127.0.0.1', port '$redis->{tls_port}', tls 'true', tls_ca_file '$redis->{ca}', tls_server_name 'localhost'", '');
is(sql('SELECT * FROM secure'), '1|one', 'a name that is told');
make_server('secure', "host '127.0.0.1', port '$redis->{tls_port}', tls 'true', tls_verify 'ca', tls_ca_file '$redis->{ca}'", '');
is(sql('SELECT * FROM secure'), '1|one', 'the chain alone');
make_server('secure', "$tls, tls_verify 'none'", '');
is(sql('SELECT * FROM secure'), '1|one', 'nothing verified');
redis_cli($redis, 'CONFIG', 'SET', 'tls-auth-clients', 'yes');
make_server('secure', "$tls, tls_ca_file '$redis->{ca}'", '');
like(error_of('SELECT * FROM secure'), qr/HV00N|08006/, 'a certificate is wanted');
make_server('secure', "$tls, tls_ca_file '$redis->{ca}'", "OPTIONS (tls_cert_file '$redis->{cert}', tls_key_file '$redis->{key}')");
is(sql('SELECT * FROM secure'), '1|one', 'and shown');
is(sql("SELECT length(v) FROM secure; INSERT INTO secure SELECT 'big', repeat('x', 20000000)"), '3', 'a large value over TLS');
is(sql("SELECT length(v), md5(v) = md5(repeat('x', 20000000)) FROM secure WHERE k = 'big'; DELETE FROM secure WHERE k = 'big'"), '20000000|t', 'and back');
make_server('secure', "host '127.0.0.1', port '$redis->{tls_port}', connect_timeout '3', command_timeout '2'", '');
like(error_of('SELECT * FROM secure'), qr/08006/, 'a TLS port without TLS');
make_server('secure', "host '127.0.0.1', port '$redis->{port}', tls 'true', tls_verify 'none', connect_timeout '3'", '');
like(error_of('SELECT * FROM secure'), qr/HV00N/, 'and TLS to a port without');

# Access control lists
make_server('acl', $here, "OPTIONS (username 'reader', password 's3cret pass')");
like(error_of('SELECT * FROM acl'), qr/42501|none/, 'a user of a list');
is(sql("SELECT v FROM acl WHERE k = '1'"), 'one', 'reads');
like(error_of("INSERT INTO acl VALUES ('2', 'x')"), qr/42501.*refused a command/s, 'but does not write');
make_server('acl', $here, "OPTIONS (username 'reader', password 'hunter2')");
my $error = error_of('SELECT * FROM acl');
like($error, qr/28P01.*authentication failed/s, 'a wrong password is an error');
unlike($error, qr/hunter2/, 'that does not tell it');
like(error_of("CREATE SERVER x FOREIGN DATA WRAPPER feathub_redis OPTIONS (password 'hunter2')"), qr/HV00D/, 'a password belongs to a mapping');
redis_cli($redis, 'CONFIG', 'SET', 'requirepass', 'needed');
$redis->{password} = 'needed';
make_server('acl', $here, '');
like(error_of('SELECT * FROM acl'), qr/28000.*NOAUTH/s, 'no password where one is needed');
make_server('acl', $here, "OPTIONS (password 'needed')");
is(sql("SELECT v FROM acl WHERE k = '1'"), 'one', 'the default user');
redis_cli($redis, 'CONFIG', 'SET', 'requirepass', '');
delete $redis->{password};

# Who may name files
sql(q{CREATE ROLE regress_plain; GRANT USAGE ON FOREIGN DATA WRAPPER feathub_redis TO regress_plain});
like(error_of("SET ROLE regress_plain; CREATE SERVER x FOREIGN DATA WRAPPER feathub_redis OPTIONS (tls 'true', tls_ca_file '/etc/passwd')"), qr/42501/, 'a file needs the right to read files');
like(error_of("SET ROLE regress_plain; CREATE SERVER x FOREIGN DATA WRAPPER feathub_redis OPTIONS (unix_socket '/tmp/x')"), qr/42501/, 'so does a socket');

# One connection for many statements, until something changes.
sub connections
{
	my ($n) = redis_cli($redis, 'INFO', 'stats') =~ /total_connections_received:(\d+)/;
	return $n;
}

my $before = connections();
my $session = $node->background_psql('postgres', on_error_stop => 0);
$session->query_safe('SELECT * FROM plain') for 1 .. 10;
$session->query_safe('SELECT * FROM plain a, plain b, plain c WHERE a.k = b.k AND b.k = c.k');
is(connections() - $before, 2, 'one connection');    # and the one that asks
my $pid = $session->query_safe('SELECT pg_backend_pid()');
redis_cli($redis, 'CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
is($session->query_safe('SELECT * FROM plain'), '1|one', 'an idle connection that went is made again');

# In the middle of a scan it is an error.
redis_pipe($redis, join('', map { "SET a:n$_ $_\n" } 1 .. 20000));
$session->query_safe('BEGIN; DECLARE c CURSOR FOR SELECT * FROM plain');
$session->query_safe('FETCH 10 FROM c');
redis_cli($redis, 'CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
$session->query('MOVE ALL IN c');
like($session->{stderr}, qr/connection to foreign server "plain" was lost/, 'a connection that goes in a scan');
$session->{stderr} = '';
$session->query_safe('ROLLBACK');
is($session->query_safe('SELECT count(*) FROM plain'), '20001', 'is made again for the next statement');

# A server that hangs
redis_pause($redis);
my $begin = time();
$session->query("SET statement_timeout = '1s'; SELECT count(*) FROM plain");
like($session->{stderr}, qr/statement timeout/, 'cancelled');
cmp_ok(time() - $begin, '<', 2.5, 'within a second');
$session->{stderr} = '';
redis_continue($redis);
is($session->query_safe('RESET statement_timeout; SELECT count(*) FROM plain'), '20001', 'and usable afterwards');
sql("ALTER SERVER plain OPTIONS (ADD command_timeout '1')");
redis_pause($redis);
$session->query('SELECT count(*) FROM plain');
like($session->{stderr}, qr/command_timeout|connection/, 'a time-out of its own');
$session->{stderr} = '';
redis_continue($redis);
is($session->query_safe('SELECT count(*) FROM plain'), '20001', 'and on');

# Cursors and joins share a connection without mixing their replies up.
is($session->query_safe(q{
	BEGIN;
	DECLARE c1 CURSOR FOR SELECT * FROM plain ORDER BY k;
	DECLARE c2 CURSOR FOR SELECT * FROM plain;
	FETCH 1 FROM c1;
	MOVE 500 IN c2;
	SELECT v FROM plain WHERE k = 'n77';
	MOVE 500 IN c2;
	SAVEPOINT s;
	SELECT 1 / (v::int - 77) FROM plain WHERE k = 'n78';
	ROLLBACK TO s;
	MOVE ALL IN c2;
	SELECT count(*) FROM plain;
	COMMIT}), "1|one\n77\n1\n20001", 'several scans at once');

# keep_connections
sql("ALTER SERVER plain OPTIONS (ADD keep_connections 'false')");
$session->query_safe("SELECT v FROM plain WHERE k = '1'");
is(scalar(() = redis_cli($redis, 'CLIENT', 'LIST', 'TYPE', 'normal') =~ /^id=/mg), 1, 'no connection is kept');
$session->quit;

# EXPLAIN and planning ask nobody.
sql("ALTER SERVER plain OPTIONS (SET port '1')");
like(sql("EXPLAIN SELECT * FROM plain WHERE k = '1'"), qr/Read By: keys/, 'EXPLAIN without a server');
like(error_of('SELECT * FROM plain'), qr/HV00N.*Connection refused/s, 'an unreachable server');

done_testing();
