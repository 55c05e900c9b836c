# External feature groups with a refresh interval: their online tables follow the
# source by themselves, as their owner, after errors too; a copied database waits
# until it is told to.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use FeathubTest;
use Test::More;

my $node = new_node('main', conf => "feathub.scheduler_interval = '100 ms'\nfeathub.retry_delay = '100 ms'\nfeathub.retry_delay_max = '500 ms'\n");
my $latest = q{SELECT string_agg(k || '=' || v, ',' ORDER BY k) FROM source_online};

sub sql { return $node->safe_psql('postgres', join('; ', @_)); }

# does the query come to give this?
sub becomes
{
	my ($query, $value, $what, $db) = @_;
	return poll_until(sub { $node->safe_psql($db || 'postgres', $query) eq $value }, $what);
}

sql('CREATE ROLE alice LOGIN',
	'CREATE SCHEMA hers AUTHORIZATION alice',
	'ALTER ROLE alice SET search_path = hers',
	'SET ROLE alice',
	'SET search_path = hers',
	'CREATE TABLE rows (k int, t timestamptz, v int)',
	q{INSERT INTO rows VALUES (1, '2020-01-01', 10), (2, '2020-01-01', 20)},
	q{CREATE FUNCTION owner_only(int) RETURNS int LANGUAGE plpgsql AS
	  $$ BEGIN IF current_user <> 'alice' THEN RAISE 'run as %', current_user; END IF; RETURN $1; END $$},
	'CREATE VIEW source AS SELECT k, t, hers.owner_only(v) AS v FROM hers.rows',
	q{SELECT feathub.create_external_feature_group('source', '{k}', 't', online => true, refresh_interval => '200 ms')});
$node->safe_psql('postgres', q{ALTER DATABASE postgres SET search_path = hers});
is(sql($latest), '1=10,2=20', 'filled when it is made');

# new, changed and removed rows
sql(q{INSERT INTO rows VALUES (3, '2020-01-01', 30), (1, '2020-01-02', 11)}, 'DELETE FROM rows WHERE k = 2');
becomes($latest, '1=11,3=30', 'the online table follows');

# it goes on after an error, and after a restart
sql('ALTER TABLE rows RENAME COLUMN v TO w', 'ALTER TABLE source_online ADD CHECK (v < 40)', 'INSERT INTO rows VALUES (4, now(), 44)');
becomes(q{SELECT count(*) > 0 FROM feathub.worker WHERE job = 'refresh of source' AND last_error ~ 'violates check constraint'}, 't', 'an error is kept');
sql('UPDATE rows SET w = 4 WHERE k = 4');
becomes($latest, '1=11,3=30,4=4', 'it goes on');
$node->restart;
sql('DELETE FROM rows WHERE k = 4');
becomes($latest, '1=11,3=30', 'it goes on after a restart');

# a copy does nothing by itself until it is refreshed once
sql('SELECT feathub.alter_feature_group(\'source\', refresh_interval => \'1 hour\')');
poll_until(sub { sql(q{SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'feathub worker'}) eq '0' }, 'no worker');
$node->safe_psql('template1', 'CREATE DATABASE copied TEMPLATE postgres');
sql(q{SELECT feathub.alter_feature_group('source', refresh_interval => '200 ms')});
$node->safe_psql('copied', q{SET search_path = hers; SELECT feathub.alter_feature_group('source', refresh_interval => '100 ms'); DELETE FROM rows WHERE k = 3});
sql('DELETE FROM rows WHERE k = 1');
becomes($latest, '3=30', 'the original follows');
is($node->safe_psql('copied', "SET search_path = hers; $latest"), '1=11,3=30', 'the copy does not');
$node->safe_psql('copied', q{SET search_path = hers; SELECT feathub.refresh_external_feature_group('source'); INSERT INTO rows VALUES (7, now(), 7)});
becomes("SET search_path = hers; $latest", '1=11,7=7', 'the copy follows once it has been refreshed', 'copied');

# without interval, and without group, nothing runs
sql(q{SELECT feathub.alter_feature_group('source', reset => '{refresh_interval}')});
$node->safe_psql('copied', q{SET search_path = hers; SELECT feathub.drop_external_feature_group('source')});
becomes(q{SELECT count(*) FROM pg_stat_activity WHERE backend_type IN ('feathub worker', 'feathub scheduler')}, '0', 'schedulers end');

$node->stop;
done_testing();
