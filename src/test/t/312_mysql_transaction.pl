# Connections and transactions on a real MariaDB: snapshots, savepoints, commit,
# lost connections, cancel, time-outs, passwords, TLS, alterations.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use FeathubTest;
use FeathubMysql;
use IO::Socket::INET ();
use POSIX ();
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes ();

my $mysql = mysql_start(tls => 1);
my $node = new_node('transaction', conf => "max_prepared_transactions = 2\n");

sub sql { return $node->safe_psql('postgres', $_[0]) }

sub sql_error
{
	my ($query) = @_;
	my ($status, $out, $err) = $node->psql('postgres', "\\set VERBOSITY verbose\n$query");
	isnt($status, 0, "fails: $query");
	return $err;
}

# The output of a statement of a session that goes on, and whether it failed.
sub ask
{
	my ($session, $query) = @_;

	# what earlier statements left there is not ours
	$session->{stderr} = '';
	my ($output, $failed) = $session->query($query);
	return wantarray ? ($output, $failed) : $output;
}

mysql_server($node, $mysql);
mysql_query($mysql, q{
	USE shop;
	CREATE TABLE t (id int PRIMARY KEY, v int);
	INSERT INTO t VALUES (1, 1), (2, 2);
	CREATE TABLE big (id int PRIMARY KEY, v varchar(40));
	INSERT INTO big SELECT seq, CONCAT('row ', seq) FROM seq_1_to_200000;
	CREATE TABLE many (id int PRIMARY KEY, v varchar(40) CHECK (v <> 'bad'));
	CREATE VIEW slow AS SELECT id, SLEEP(1) AS s FROM big;
});
sql(q{CREATE SCHEMA shop; IMPORT FOREIGN SCHEMA shop FROM SERVER mysql INTO shop});
my $rows = sub { mysql_query($mysql, 'SELECT GROUP_CONCAT(id ORDER BY id) FROM shop.t') };

# Statements are sent while the next one is written down: what happens meanwhile
sql(q{CREATE FUNCTION odd(i int) RETURNS int LANGUAGE plpgsql AS $$BEGIN IF i % 100 = 0 THEN RAISE EXCEPTION 'odd'; END IF; RETURN i; EXCEPTION WHEN raise_exception THEN RETURN -i; END$$;
	CREATE FUNCTION looks(i int) RETURNS int LANGUAGE plpgsql AS $$DECLARE n int; BEGIN SELECT count(*) INTO n FROM shop.t WHERE id = i; RETURN n; END$$});
is(sql('INSERT INTO shop.many SELECT odd(i) FROM generate_series(1, 20000) i; SELECT count(*), count(*) FILTER (WHERE id < 0) FROM shop.many'),
	'20000|200', 'subtransactions that fail while rows are sent');
is(sql(q{DELETE FROM shop.many; INSERT INTO shop.many SELECT i, looks(i) FROM generate_series(1, 3500) i; SELECT count(*), sum(v::int) FROM shop.many}),
	'3500|2', 'other statements meanwhile');
foreach my $bad (1, 1500, 3500)
{
	like(sql_error("BEGIN; DELETE FROM shop.many; INSERT INTO shop.many SELECT i, CASE i WHEN $bad THEN 'bad' END FROM generate_series(1, 3500) i; COMMIT"),
		qr/23514/, 'an error of any of them is told');
}
is(sql('SELECT count(*) FROM shop.many'), '3500', 'and nothing is left');
like(sql_error(q{SET statement_timeout = '1s'; INSERT INTO shop.many SELECT i, pg_sleep(0.01) FROM generate_series(10001, 20000) i}), qr/57014/, 'cancelled meanwhile');
is(sql('SELECT count(*) FROM shop.many'), '3500', 'nothing either');
# (a connection waits for its first packet of many rows)
sql(q{CREATE FUNCTION careless(i int) RETURNS int LANGUAGE plpgsql AS $$BEGIN PERFORM count(*) FROM shop.t; RETURN i; EXCEPTION WHEN OTHERS THEN RETURN i; END$$});
like(sql_error(q{INSERT INTO shop.many SELECT careless(i), CASE i WHEN 31001 THEN 'bad' END FROM generate_series(30001, 32010) i}),
	qr/08006.*transaction on foreign server "mysql" was lost/s, 'rows refused while a function of the statement catches all errors');
is(sql('SELECT count(*) FROM shop.many'), '3500', 'and still nothing');

# Commit and rollback

sql('BEGIN; INSERT INTO shop.t VALUES (3, 3); ROLLBACK');
is($rows->(), '1,2', 'ROLLBACK');
sql('BEGIN; INSERT INTO shop.t VALUES (3, 3); COMMIT');
is($rows->(), '1,2,3', 'COMMIT');
sql(q{BEGIN; INSERT INTO shop.t VALUES (4, 4); SAVEPOINT a; INSERT INTO shop.t VALUES (5, 5); SAVEPOINT b; INSERT INTO shop.t VALUES (6, 6);
	ROLLBACK TO b; INSERT INTO shop.t VALUES (7, 7); RELEASE SAVEPOINT b; ROLLBACK TO a; INSERT INTO shop.t VALUES (8, 8); COMMIT});
is($rows->(), '1,2,3,4,8', 'savepoints');
sql(q{DO $$ BEGIN
	FOR i IN 10..13 LOOP
	  BEGIN
	    INSERT INTO shop.t VALUES (i, i);
	    INSERT INTO shop.t VALUES (CASE WHEN i % 2 = 0 THEN 1 ELSE i + 100 END, i);
	  EXCEPTION WHEN unique_violation THEN NULL;
	  END;
	END LOOP; END $$});
is($rows->(), '1,2,3,4,8,11,13,111,113', 'subtransactions that fail');
sql(q{CREATE TABLE u (a int PRIMARY KEY DEFERRABLE INITIALLY DEFERRED); INSERT INTO u VALUES (1)});
like(sql_error('BEGIN; INSERT INTO shop.t VALUES (20, 20); INSERT INTO u VALUES (1); COMMIT'), qr/23505/, 'our commit fails');
is($rows->(), '1,2,3,4,8,11,13,111,113', 'and so the remote one does not happen');
like(sql_error(q{BEGIN; SELECT 1 FROM shop.t LIMIT 1; PREPARE TRANSACTION 'x'}), qr/0A000.*cannot PREPARE/s, 'PREPARE is refused');

# One snapshot for a transaction

my $session = $node->background_psql('postgres', on_error_stop => 0);
ask($session, 'BEGIN');
is(scalar ask($session, 'SELECT count(*) FROM shop.t'), '9', 'a transaction reads');
mysql_query($mysql, 'INSERT INTO shop.t VALUES (30, 30)');
is(scalar ask($session, 'SELECT count(*) FROM shop.t'), '9', 'and reads the same again');
ask($session, 'COMMIT');
is(scalar ask($session, 'SELECT count(*) FROM shop.t'), '10', 'the next one does not');

# UPDATE sees what was committed meanwhile
ask($session, 'BEGIN; SELECT count(*) FROM shop.t');
mysql_query($mysql, 'UPDATE shop.t SET v = 100 WHERE id = 1');
ask($session, 'UPDATE shop.t SET v = v + length(repeat(\'x\', id)) WHERE id = 1');
ask($session, 'COMMIT');
is(mysql_query($mysql, 'SELECT v FROM shop.t WHERE id = 1'), '101', 'no update is lost');

# Session settings are ours, whatever the server's
mysql_query($mysql, q{SET GLOBAL sql_mode = 'ANSI_QUOTES,NO_BACKSLASH_ESCAPES,PIPES_AS_CONCAT'; SET GLOBAL time_zone = '+05:00'; SET GLOBAL local_infile = 1});
is(sql(q{SELECT count(*) FROM shop.big WHERE v = 'row 1' OR v = 'a\\' OR v = '"'}), '1', 'sql_mode is pinned');

# Lost connections

ask($session, 'BEGIN; INSERT INTO shop.t VALUES (40, 40)');
my $id = mysql_query($mysql, q{SELECT id FROM information_schema.PROCESSLIST WHERE user = 'fh'});
mysql_query($mysql, join(';', map { "KILL CONNECTION $_" } split(/\n/, $id)));
my ($out, $failed) = ask($session, 'INSERT INTO shop.t VALUES (41, 41)');
ok($failed, 'a connection lost in a transaction is an error');
ask($session, 'ROLLBACK');
is(scalar ask($session, 'SELECT count(*) FROM shop.t'), '10', 'the next transaction connects again');
ask($session, 'BEGIN; INSERT INTO shop.t VALUES (42, 42); SAVEPOINT a');
$id = mysql_query($mysql, q{SELECT id FROM information_schema.PROCESSLIST WHERE user = 'fh'});
mysql_query($mysql, join(';', map { "KILL CONNECTION $_" } split(/\n/, $id)));
ask($session, 'SELECT count(*) FROM shop.t');
ask($session, 'ROLLBACK TO a');
($out, $failed) = ask($session, 'SELECT count(*) FROM shop.t');
ok($failed, 'a savepoint does not bring it back');
($out, $failed) = ask($session, 'ROLLBACK TO a; COMMIT');
is(mysql_query($mysql, 'SELECT COUNT(*) FROM shop.t WHERE id = 42'), '0', 'nothing of it is there');
ask($session, 'ROLLBACK');
$id = mysql_query($mysql, q{SELECT id FROM information_schema.PROCESSLIST WHERE user = 'fh'});
ask($session, 'SELECT count(*) FROM shop.t');
$id = mysql_query($mysql, q{SELECT id FROM information_schema.PROCESSLIST WHERE user = 'fh'});
mysql_query($mysql, join(';', map { "KILL CONNECTION $_" } split(/\n/, $id)));
is(scalar ask($session, 'SELECT count(*) FROM shop.t'), '10', 'an idle connection that died is replaced');

# A deadlock rolls the whole remote transaction back: that is not to be hidden

like(sql_error(q{BEGIN; INSERT INTO shop.t VALUES (50, 50);
	DO $$ BEGIN PERFORM 1 FROM shop.nowhere; EXCEPTION WHEN OTHERS THEN NULL; END $$;
	SELECT count(*) FROM shop.missing; COMMIT}), qr/42P01/, 'errors end it');
is(mysql_query($mysql, 'SELECT COUNT(*) FROM shop.t WHERE id = 50'), '0', 'nothing was committed');

# Cancel

sub seconds
{
	my ($query) = @_;
	my $start = Time::HiRes::time();
	my ($status, $out, $err) = $node->psql('postgres', $query);
	return (Time::HiRes::time() - $start, $err);
}
my ($time, $err) = seconds(q{SET statement_timeout = '300ms'; SELECT sum(s) FROM shop.slow});
like($err, qr/statement timeout/, 'a statement that hangs is cancelled');
cmp_ok($time, '<', 5, 'soon');
poll_until(sub { mysql_query($mysql, q{SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE info LIKE '%slow%' AND info NOT LIKE '%PROCESSLIST%'}) eq '0' },
	'the server stops it too');
is(sql(q{BEGIN; INSERT INTO shop.t VALUES (60, 60); SAVEPOINT a; SELECT set_config('statement_timeout', '300ms', false) \gset x_
	\set ON_ERROR_STOP off
	SELECT sum(s) FROM shop.slow;
	ROLLBACK TO a; RESET statement_timeout; SELECT count(*) FROM shop.t WHERE id = 60; COMMIT}), '1', 'a cancelled statement in a subtransaction leaves the transaction');
is(mysql_query($mysql, 'SELECT COUNT(*) FROM shop.t WHERE id = 60'), '1', 'which commits');
ask($session, 'SELECT count(*) FROM shop.t');
mysql_pause($mysql);
my $start = Time::HiRes::time();
($out, $failed) = ask($session, q{SET statement_timeout = '300ms'; SELECT count(*) FROM shop.t});
$time = Time::HiRes::time() - $start;
($time, $err) = seconds(q{SET statement_timeout = '300ms'; SELECT count(*) FROM shop.t});
like($err, qr/statement timeout/, 'also while it connects to a server that hangs');
mysql_continue($mysql);
ok($failed, 'and while it waits for one');
$session->quit;
is(sql('SELECT id FROM shop.big LIMIT 1'), '1', 'a large result that nobody wants is given up');
is(sql('SELECT (SELECT id FROM shop.big b WHERE b.id > g LIMIT 1) FROM generate_series(1, 3) g'), "2\n3\n4", 'again and again');

# Time-outs

sql(q{ALTER SERVER mysql OPTIONS (ADD query_timeout '1')});
like(sql_error('SELECT sum(s) FROM shop.slow'), qr/57014/, 'query_timeout');
sql(q{ALTER SERVER mysql OPTIONS (DROP query_timeout, ADD network_timeout '1')});
like(sql_error('SELECT sum(s) FROM shop.slow'), qr/08006.*within 1 seconds/s, 'network_timeout');
sql(q{ALTER SERVER mysql OPTIONS (DROP network_timeout)});

# ALTER in mid-session

$session = $node->background_psql('postgres', on_error_stop => 0);
ask($session, 'SELECT count(*) FROM shop.t');
sql(q{ALTER USER MAPPING FOR CURRENT_USER SERVER mysql OPTIONS (SET password 'wrong')});
($out, $failed) = ask($session, 'SELECT count(*) FROM shop.t');
ok($failed, 'a changed user mapping counts at once');
like(sql_error('SELECT * FROM shop.t'), qr/HV00N.*could not connect to foreign server "mysql": Access denied/s, 'a wrong password');
sql(q{ALTER USER MAPPING FOR CURRENT_USER SERVER mysql OPTIONS (SET password 'fh-secret')});
ok(scalar ask($session, 'SELECT count(*) FROM shop.t'), 'and back');
$session->quit;

# Passwords and roles

sql(q{CREATE ROLE alice LOGIN; CREATE ROLE bob LOGIN; GRANT USAGE ON FOREIGN SERVER mysql TO alice, bob;
	GRANT USAGE ON SCHEMA shop TO alice, bob; GRANT SELECT ON shop.t TO alice, bob;
	CREATE USER MAPPING FOR alice SERVER mysql OPTIONS (user 'fh');
	CREATE USER MAPPING FOR bob SERVER mysql OPTIONS (user 'fh', password 'fh-secret')});
like(sql_error('SET ROLE alice; SELECT * FROM shop.t'), qr/2F003.*password is required for role "alice"/s, 'a role must have a password');
like(sql_error(q{SET ROLE alice; ALTER USER MAPPING FOR alice SERVER mysql OPTIONS (ADD password_required 'false')}), qr/42501/, 'unless a superuser says so');
ok(sql('SET ROLE bob; SELECT count(*) FROM shop.t'), 'a role with one');
sql(q{CREATE VIEW shop.as_bob AS SELECT * FROM shop.t; ALTER VIEW shop.as_bob OWNER TO bob; GRANT SELECT ON shop.as_bob TO alice});
ok(sql('SET ROLE alice; SELECT count(*) FROM shop.as_bob'), 'a view uses the mapping of its owner');
sql(qq{CREATE SERVER sock FOREIGN DATA WRAPPER feathub_mysql OPTIONS (socket '$mysql->{dir}/s', database 'shop');
	CREATE USER MAPPING FOR CURRENT_USER SERVER sock OPTIONS (user 'root');
	CREATE USER MAPPING FOR bob SERVER sock OPTIONS (user 'root', password 'any');
	CREATE FOREIGN TABLE shop.s (id int) SERVER sock OPTIONS (table_name 't'); GRANT SELECT ON shop.s TO bob});
ok(sql('SELECT count(*) FROM shop.s'), 'a Unix socket');
like(sql_error('SET ROLE bob; SELECT * FROM shop.s'), qr/2F003.*Unix socket is not allowed/s, 'which proves who the server is, not who asks');
like(sql_error(q{CREATE SERVER x FOREIGN DATA WRAPPER feathub_mysql OPTIONS (password 'x')}), qr/HV00D.*belongs to a user mapping/s, 'a password in the wrong place');
like(sql_error(q{CREATE SERVER x FOREIGN DATA WRAPPER feathub_mysql OPTIONS (port '0')}), qr/HV024/, 'a port out of range');
unlike(slurp_file($node->logfile), qr/fh-secret.*(ERROR|LOG:  connection)/, 'no password in messages');

# TLS

my $cipher = q{SELECT variable_value <> '' FROM c};
sql(qq{CREATE SERVER tls FOREIGN DATA WRAPPER feathub_mysql OPTIONS (host 'localhost', port '$mysql->{port}', database 'information_schema', ssl_mode 'verify_identity', ssl_ca '$mysql->{ca}');
	CREATE USER MAPPING FOR CURRENT_USER SERVER tls OPTIONS (user 'fh', password 'fh-secret');
	CREATE FOREIGN TABLE c (variable_name text, variable_value text) SERVER tls OPTIONS (table_name 'SESSION_STATUS')});
is(sql(q{SELECT variable_value <> '' FROM c WHERE upper(variable_name) = 'SSL_CIPHER'}), 't', 'TLS, certificate and name verified');
mysql_query($mysql, 'CREATE VIEW shop.stuck AS SELECT SLEEP(60) AS s');
sql(q{CREATE FOREIGN TABLE stuck (s int) SERVER tls OPTIONS (database 'shop')});
($time, $err) = seconds(q{SET statement_timeout = '300ms'; SELECT * FROM stuck});
like($err, qr/statement timeout/, 'a statement that hangs is cancelled, by TLS too');
cmp_ok($time, '<', 20, 'before the server answers');
sql(q{CREATE FOREIGN TABLE tls_many (id int, v text) SERVER tls OPTIONS (database 'shop', table_name 'many');
	CREATE FOREIGN TABLE tls_t (id int, v int) SERVER tls OPTIONS (database 'shop', table_name 't')});
my $other = $node->background_psql('postgres');
$other->query_safe('BEGIN; INSERT INTO shop.many VALUES (44000)');
($time, $err) = seconds(q{INSERT INTO tls_t SELECT i, i FROM generate_series(40001, 43000) i;
	INSERT INTO tls_many SELECT i, repeat('x', 30) FROM generate_series(40001, 43000) i;
	SET statement_timeout = '300ms'; INSERT INTO tls_many SELECT i, 'y' FROM generate_series(43001, 45000) i});
like($err, qr/statement timeout/, 'so are many rows');
cmp_ok($time, '<', 20, 'soon');
$other->query_safe('ROLLBACK');
$other->quit;
sql(q{ALTER SERVER tls OPTIONS (ADD compression 'true'); INSERT INTO tls_many SELECT i, repeat('z', 40) FROM generate_series(46001, 49000) i});
is(sql(q{SELECT left(v, 1), count(*) FROM shop.many WHERE id BETWEEN 40000 AND 50000 GROUP BY 1 ORDER BY 1}), "x|3000\nz|3000", 'and they arrive, compressed or not');
sql(q{ALTER SERVER tls OPTIONS (SET host '127.0.0.1')});
like(sql_error('SELECT * FROM c'), qr/HV00N/, 'another name');
sql(qq{ALTER SERVER tls OPTIONS (SET host 'localhost', SET ssl_ca '$mysql->{wrong_ca}')});
like(sql_error('SELECT * FROM c'), qr/HV00N/, 'another authority');
sql(q{ALTER SERVER tls OPTIONS (SET ssl_mode 'required', DROP ssl_ca)});
is(sql(q{SELECT variable_value <> '' FROM c WHERE upper(variable_name) = 'SSL_CIPHER'}), 't', 'TLS without verification');
sql(q{ALTER SERVER tls OPTIONS (SET ssl_mode 'disabled')});
is(sql(q{SELECT variable_value <> '' FROM c WHERE upper(variable_name) = 'SSL_CIPHER'}), 'f', 'no TLS');

# one that greets as the server does and then says no more, in the midst of TLS
my $mute = IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => 0, Listen => 5) or die "could not listen: $!";
my $mute_pid = fork();
if ($mute_pid == 0)
{
	my @kept;
	while (my $client = $mute->accept())
	{
		my $real = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $mysql->{port}) or last;
		sysread($real, my $greeting, 4096);
		syswrite($client, $greeting);
		push @kept, $client, $real;
	}
	POSIX::_exit(0);
}
sql(qq{ALTER SERVER tls OPTIONS (SET host '127.0.0.1', SET port '} . $mute->sockport() . q{', SET ssl_mode 'required', ADD connect_timeout '2')});
($time, $err) = seconds('SELECT * FROM c');
kill 'KILL', $mute_pid;
waitpid($mute_pid, 0);
like($err, qr/could not connect to foreign server "tls"/, 'connect_timeout holds for the handshake of TLS');
cmp_ok($time, '<', 30, 'soon enough');
mysql_stop($mysql);
like(sql_error('SELECT * FROM shop.t'), qr/HV00N.*could not connect to foreign server "mysql"/s, 'no server');

done_testing();
