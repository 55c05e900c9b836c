# A master that sentinels know by its name, and a failover.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use FeathubRedis;
use FeathubTest;
use Test::More;

my $set = redis_start_sentinel();
my $node = new_node('sentinel');

sub sql { return $node->safe_psql('postgres', $_[0]); }

sql(qq{
	CREATE SERVER s FOREIGN DATA WRAPPER feathub_redis OPTIONS (mode 'sentinel', nodes '127.0.0.1:1,$set->{list}', master_name 'main');
	CREATE USER MAPPING FOR CURRENT_USER SERVER s;
	CREATE FOREIGN TABLE h (id int OPTIONS (key 'true'), a text) SERVER s OPTIONS (kind 'hash', prefix 'h:');
	CREATE SERVER other FOREIGN DATA WRAPPER feathub_redis OPTIONS (mode 'sentinel', nodes '$set->{list}', master_name 'nobody', connect_timeout '1');
	CREATE USER MAPPING FOR CURRENT_USER SERVER other;
	CREATE FOREIGN TABLE o (id int OPTIONS (key 'true'), a text) SERVER other OPTIONS (kind 'hash', prefix 'h:')});

my $session = $node->background_psql('postgres', on_error_stop => 0);
$session->query_safe(q{INSERT INTO h SELECT g, 'a' || g FROM generate_series(1, 1000) g});
is($session->query_safe('SELECT count(*) FROM h'), '1000', 'by the name of the master');
is(redis_cli($set->{master}, 'DBSIZE'), '1000', 'it went there');
my ($status, $out, $err) = $node->psql('postgres', 'SELECT * FROM o');
like($err, qr/could not connect.*master "nobody"/s, 'a name that nobody knows');

# The master becomes a replica under our connection: a write finds the new one.
poll_until(sub { redis_cli($set->{replica}, 'DBSIZE') == 1000 }, 'the replica to have all');
redis_cli($set->{sentinels}[0], 'SENTINEL', 'FAILOVER', 'main');
poll_until(sub { redis_cli($set->{master}, 'ROLE') =~ /^slave/ && redis_cli($set->{replica}, 'ROLE') =~ /^master/ },
	'the failover');
is($session->query_safe(q{INSERT INTO h VALUES (1001, 'x'); SELECT count(*) FROM h}), '1001', 'a write after a failover');
is(redis_cli($set->{replica}, 'HGET', 'h:1001', 'a'), 'x', 'by the new master');

# The new master is killed; the old one takes over.
poll_until(sub { redis_cli($set->{master}, 'DBSIZE') == 1001 }, 'the replica to have all');
poll_until(
	sub {
		my %m = split /\n/, redis_cli($set->{sentinels}[0], 'SENTINEL', 'MASTER', 'main');
		return $m{port} == $set->{replica}{port} && $m{'num-slaves'} == 1;
	},
	'the sentinels to know the replica');
redis_kill($set->{replica});
poll_until(sub { redis_cli($set->{master}, 'ROLE') =~ /^master/ }, 'the second failover');
poll_until(
	sub {
		$session->{stderr} = '';
		return ($session->query('SELECT count(*) FROM h') || '') eq '1001';
	},
	'the session to find the other master');
is($session->query_safe(q{INSERT INTO h VALUES (1002, 'y') RETURNING id}), '1002', 'which takes writes');
$session->quit;

done_testing();
