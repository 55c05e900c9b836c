# A cluster: slots, redirections, rows of several keys.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use FeathubRedis;
use FeathubTest;
use Test::More;

my $cluster = redis_start_cluster();
my @nodes = @{ $cluster->{nodes} };
my $node = new_node('cluster');

sub sql { return $node->safe_psql('postgres', $_[0]); }

sub error_of
{
	my ($status, $out, $err) = $node->psql('postgres', "\\set VERBOSITY verbose\n$_[0]");
	return $status == 0 ? "none: $out" : $err;
}

sql(qq{
	CREATE SERVER c FOREIGN DATA WRAPPER feathub_redis OPTIONS (mode 'cluster', nodes '$cluster->{list}');
	CREATE USER MAPPING FOR CURRENT_USER SERVER c;
	CREATE FOREIGN TABLE h (id int OPTIONS (key 'true'), a text, b float8, ttl int OPTIONS (metadata 'ttl'))
		SERVER c OPTIONS (kind 'hash', prefix 'h:');
	CREATE FOREIGN TABLE f (id int OPTIONS (key 'true'), val bigint, list float8[])
		SERVER c OPTIONS (kind 'features', namespace 'ns', write_mode 'upsert');
	CREATE FOREIGN TABLE tagged (id int OPTIONS (key 'true'), val bigint, list float8[])
		SERVER c OPTIONS (kind 'features', namespace 'nt', key_pattern '{__NAMESPACE__}:{{{__KEYS__}}}:{__FEATURE_NAME__}')});
sql(q{INSERT INTO h SELECT g, 'a' || g, g / 2.0, 1000 FROM generate_series(1, 5000) g});
is(sql('SELECT count(*), count(DISTINCT id), sum(b), count(ttl) FROM h'), '5000|5000|6251250|5000', 'a scan of all nodes');
my @sizes = map { redis_cli($_, 'DBSIZE') } @nodes;
ok(!(grep { $_ < 1000 } @sizes), "each node has a part (@sizes)");
is(sql('SELECT a FROM h WHERE id = 77'), 'a77', 'one key');
is(sql('SELECT count(*) FROM h WHERE id = ANY (ARRAY(SELECT generate_series(4000, 6000)))'), '1001', 'many keys');
is(sql('SELECT count(*), count(h.a) FROM generate_series(1, 6000) g LEFT JOIN h ON h.id = g'), '6000|5000', 'look-ups');
like(error_of(q{INSERT INTO h VALUES (5, 'x')}), qr/23505.*h:5/s, 'a row that exists');
is(sql(q{UPDATE h SET a = 'new' WHERE id <= 10; SELECT count(*) FROM h WHERE a = 'new'}), '10', 'UPDATE');
like(error_of('UPDATE h SET id = id + 10000 WHERE id = 1'), qr/0A000|none/, 'a key that moves to another slot');
is(sql('DELETE FROM h WHERE id > 4990; SELECT count(*) FROM h'), '4990', 'DELETE');

# FeatHub's own layout has a row's keys in several slots, unless it has braces.
sql(q{INSERT INTO f SELECT g, g, ARRAY[g, 0.5] FROM generate_series(1, 100) g});
is(sql('SELECT count(*), sum(val), sum(list[1]) FROM f'), '100|5050|5050', 'features in several slots');
is(sql('DELETE FROM f WHERE id > 50; SELECT count(*) FROM f'), '50', 'deleted');
sql(q{INSERT INTO tagged SELECT g, g, ARRAY[g, 0.5] FROM generate_series(1, 100) g});
is(sql('SELECT count(*), sum(val), sum(list[1]) FROM tagged'), '100|5050|5050', 'features in one slot');
is(redis_cli($nodes[0], '-c', 'GET', 'nt:{7}:val'), '7', 'as the pattern says');
like(error_of('INSERT INTO tagged VALUES (7, 7, NULL)'), qr/23505/, 'which makes "insert" possible');
like(error_of(q{ALTER FOREIGN TABLE f OPTIONS (SET write_mode 'insert'); INSERT INTO f VALUES (1000, 1, '{1}')}), qr/0A000/, 'and impossible');

# A slot moves while the session knows the old place.
my $session = $node->background_psql('postgres', on_error_stop => 0);
is($session->query_safe('SELECT count(*) FROM h WHERE id = ANY (ARRAY(SELECT generate_series(1, 4990)))'), '4990', 'before');
my @ids = map { redis_cli($_, 'CLUSTER', 'MYID') } @nodes;
my $slot = redis_cli($nodes[0], 'CLUSTER', 'KEYSLOT', 'h:42');
my ($from) = grep { redis_cli($nodes[$_], 'CLUSTER', 'COUNTKEYSINSLOT', $slot) > 0 } 0 .. 2;
my $to = ($from + 1) % 3;
redis_cli($nodes[$to], 'CLUSTER', 'SETSLOT', $slot, 'IMPORTING', $ids[$from]);
redis_cli($nodes[$from], 'CLUSTER', 'SETSLOT', $slot, 'MIGRATING', $ids[$to]);
redis_cli($nodes[$from], 'MIGRATE', '127.0.0.1', $nodes[$to]{port}, 'h:42', '0', '5000');
is($session->query_safe('SELECT a FROM h WHERE id = 42'), 'a42', 'ASK');
is($session->query_safe(q{UPDATE h SET a = 'moved' WHERE id = 42 RETURNING a}), 'moved', 'a write by ASK');
foreach my $key (split /\n/, redis_cli($nodes[$from], 'CLUSTER', 'GETKEYSINSLOT', $slot, '1000'))
{
	redis_cli($nodes[$from], 'MIGRATE', '127.0.0.1', $nodes[$to]{port}, $key, '0', '5000');
}
redis_cli($nodes[$_], 'CLUSTER', 'SETSLOT', $slot, 'NODE', $ids[$to]) foreach $to, $from;
is($session->query_safe('SELECT a FROM h WHERE id = 42'), 'moved', 'MOVED');
is($session->query_safe('SELECT count(*), count(DISTINCT id) FROM h'), '4990|4990', 'a scan afterwards');
is($session->query_safe(q{DELETE FROM h WHERE id = 42 RETURNING a}), 'moved', 'a write');
$session->query_safe('TRUNCATE h');
is($session->query_safe('SELECT count(*) FROM h'), '0', 'TRUNCATE');
is($session->query_safe('SELECT count(*) FROM tagged'), '100', 'of these keys alone');

# A row that is deleted and made anew waits while its slot moves: the node would not
# take the key again that it has just deleted.
sql(qq{CREATE SERVER quick FOREIGN DATA WRAPPER feathub_redis OPTIONS (mode 'cluster', nodes '$cluster->{list}', connect_timeout '1');
	CREATE USER MAPPING FOR CURRENT_USER SERVER quick;
	CREATE FOREIGN TABLE guarded (id int OPTIONS (key 'true'), v text[], at timestamptz OPTIONS (metadata 'event_time')) SERVER quick OPTIONS (kind 'list', prefix 'guarded:', write_mode 'upsert');
	CREATE FOREIGN TABLE plain (id int OPTIONS (key 'true'), v text[]) SERVER quick OPTIONS (kind 'list', key_pattern '{{guarded:1}}{id}', write_mode 'upsert');
	INSERT INTO plain VALUES (2, '{old,older}');
	INSERT INTO guarded VALUES (1, '{old}', '2026-01-01')});
$slot = redis_cli($nodes[0], 'CLUSTER', 'KEYSLOT', 'guarded:1');
($from) = grep { redis_cli($nodes[$_], 'CLUSTER', 'COUNTKEYSINSLOT', $slot) > 0 } 0 .. 2;
my $next = ($from + 1) % 3;
redis_cli($nodes[$next], 'CLUSTER', 'SETSLOT', $slot, 'IMPORTING', $ids[$from]);
redis_cli($nodes[$from], 'CLUSTER', 'SETSLOT', $slot, 'MIGRATING', $ids[$next]);
like(error_of(q{INSERT INTO guarded VALUES (1, '{new}', '2026-01-02')}), qr/57P03.*TRYAGAIN/s, 'a slot that moves');
is(sql('SELECT v FROM guarded'), '{old}', 'the row is still there');
is(sql(q{INSERT INTO plain VALUES (2, '{new}'); SELECT v FROM plain}), '{new}', 'a list without event time is never missing');
redis_cli($nodes[$from], 'CLUSTER', 'SETSLOT', $slot, 'STABLE');
redis_cli($nodes[$next], 'CLUSTER', 'SETSLOT', $slot, 'STABLE');
is(sql(q{INSERT INTO guarded VALUES (1, '{new}', '2026-01-02'), (1, '{older}', '2025-01-02'); SELECT v FROM guarded}), '{new}', 'and is replaced afterwards');

# A node goes.
redis_kill($nodes[2]);
$session->query('SELECT count(*) FROM tagged');
like($session->{stderr}, qr/ERROR/, 'a lost node is an error');
$session->{stderr} = '';
is($session->query_safe('SELECT 1'), '1', 'the session lives');
$session->quit;

# One server said to be a cluster, and a cluster said to be one server
my $single = redis_start();
sql(qq{
	CREATE SERVER no_cluster FOREIGN DATA WRAPPER feathub_redis OPTIONS (mode 'cluster', port '$single->{port}');
	CREATE USER MAPPING FOR CURRENT_USER SERVER no_cluster;
	CREATE FOREIGN TABLE no (id int OPTIONS (key 'true'), a text) SERVER no_cluster OPTIONS (prefix 'h:')});
like(error_of('SELECT * FROM no'), qr/is not a cluster.*standalone/s, 'not a cluster');

done_testing();
