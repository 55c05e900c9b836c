# Records that a system outside of this database refuses, or whose look-up there
# fails, become dead letters, one by one; the others of their batch are applied.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use FeathubMysql;
use FeathubRedis;
use FeathubTest;
use File::Path qw(make_path);
use PostgreSQL::Test::Utils;
use Test::More;

my $kafka = kafka_start();
kafka_create_topic($kafka, 'out', 1);
my $mysql = mysql_start();
my $redis = redis_start();
my $node = new_node('main', jobs => 1);
my $dir = $node->basedir . '/files';
make_path("$dir/in");

sub sql { return $node->safe_psql('postgres', shift); }
sub wait_for { return wait_for_job($node, shift); }
sub letters { my $job = shift; return sql("SELECT (convert_from(value, 'UTF8')::json->>'n')::int AS n, sqlstate FROM feathub.dead_letter WHERE job = '$job' ORDER BY 1"); }

mysql_server($node, $mysql);
mysql_query($mysql, q{
	USE shop;
	CREATE TABLE strict (n int PRIMARY KEY, e enum('a', 'b'), s set('x', 'y'), d date, j json, p decimal(4,2), z varchar(3), b bit(2))
		PARTITION BY RANGE (n) (PARTITION p0 VALUES LESS THAN (1000));
delimiter //
	CREATE TRIGGER unlucky BEFORE INSERT ON strict FOR EACH ROW
		IF new.n = 13 THEN SIGNAL SQLSTATE '45000' SET message_text = 'unlucky';
		ELSEIF new.n = 14 THEN SIGNAL SQLSTATE '45000' SET message_text = 'unlucky', mysql_errno = 31001; END IF//
delimiter ;
});
redis_cli($redis, 'RPUSH', $_, 'x') foreach 'latest:2', 'user:2';
redis_cli($redis, 'HSET', 'user:1', 'city', 'Berlin', 'age', '7');
redis_cli($redis, 'HSET', 'user:3', 'city', 'Rome', 'age', 'old');
redis_cli($redis, 'HSET', 'guarded:3', 'n', '0', 'at', 'someday');
sql(qq{
CREATE SERVER files FOREIGN DATA WRAPPER feathub_filesystem OPTIONS (folder '$dir');
CREATE SERVER redis FOREIGN DATA WRAPPER feathub_redis OPTIONS (port '$redis->{port}');
CREATE USER MAPPING FOR CURRENT_USER SERVER redis;
CREATE FOREIGN TABLE source (n int, e text, s text, d text, j text, p numeric, z text, b int) SERVER files OPTIONS (path 'in', format 'json');
CREATE FOREIGN TABLE strict (n int, e text, s text, d text, j text, p numeric, z text, b int) SERVER mysql OPTIONS (table_name 'strict');
CREATE FOREIGN TABLE latest (id int OPTIONS (key 'true'), n int) SERVER redis OPTIONS (kind 'hash', prefix 'latest:', write_mode 'upsert');
CREATE FOREIGN TABLE guarded (id int OPTIONS (key 'true'), n int, at timestamptz OPTIONS (event_time 'true'))
  SERVER redis OPTIONS (kind 'hash', prefix 'guarded:', write_mode 'upsert');
CREATE FOREIGN TABLE users (id int OPTIONS (key 'true'), city text, age int) SERVER redis OPTIONS (kind 'hash', prefix 'user:');
CREATE TABLE enriched (n int, city text, age int);
});
my @good = (1, 3, 4, 5);
append_to_file("$dir/in/a.json", join('', map { "$_\n" } (map { qq({"n":$_,"e":"a","s":"x,y","d":"2024-01-31","j":"{}","p":1.25,"z":"abc","b":3}) } @good),
	'{"n":2}', '{"n":13}', '{"n":14}', '{"n":1001}', '{"n":21,"e":"c"}', '{"n":22,"s":"x,z"}', '{"n":23,"d":"2024-02-30"}', '{"n":24,"j":"{bad"}',
	'{"n":25,"p":12345}', '{"n":26,"z":"abcd"}', '{"n":27,"b":4}', '{"n":1}', '{"e":"a"}'));

# MySQL
sql(q{SELECT feathub.create_job('strict', source => 'source', sink => 'strict')});
wait_for('strict');
is(mysql_query($mysql, 'SELECT group_concat(n ORDER BY n) FROM shop.strict'), '1,2,3,4,5', 'MySQL has what it takes');
is(letters('strict'), join("\n", '1|23505', '13|P0001', '14|P0001', '21|22P02', '22|22P02', '23|22P02', '24|23514', '25|22003', '26|22001', '27|22001', '1001|23514', '|23502'),
	'and refuses the others by themselves');
mysql_query($mysql, q{DROP TRIGGER shop.unlucky});
is(sql(q{SELECT feathub.retry_dead_letters('strict')}), 2, 'two are tried again without the trigger');

# Kafka beside it, whose transaction would be lost with what MySQL refuses
mysql_query($mysql, 'CREATE TABLE shop.short (n int, e varchar(3))');
my $bootstrap = kafka_bootstrap($kafka);
sql(qq{
CREATE SERVER kafka FOREIGN DATA WRAPPER feathub_kafka OPTIONS (bootstrap_servers '$bootstrap');
CREATE USER MAPPING FOR CURRENT_USER SERVER kafka;
CREATE FOREIGN TABLE out (n int, e text) SERVER kafka OPTIONS (topic 'out', format 'json', transactional 'true');
CREATE FOREIGN TABLE short (n int, e text) SERVER mysql OPTIONS (table_name 'short');
SELECT feathub.create_job('both', source => 'source', sinks => '{out, short}', query => \$\$
	SELECT n, repeat('x', n) AS e FROM batch WHERE n < 6 AND e = 'a'\$\$)});
wait_for('both');
is(letters('both'), "4|22001\n5|22001", 'MySQL refuses beside Kafka');
mysql_query($mysql, 'ALTER TABLE shop.short MODIFY e varchar(4)');
is(sql(q{SELECT feathub.retry_dead_letters('both')}), 1, 'one of them is tried again');
is(sql(q{SELECT string_agg(n::text, ',' ORDER BY n) FROM out}), '1,3,4', 'and is in the topic');
is(mysql_query($mysql, 'SELECT group_concat(n ORDER BY n) FROM shop.short'), '1,3,4', 'and in MySQL');
sql(qq{
ALTER FOREIGN TABLE out OPTIONS (ADD "message.max.bytes" '1100');
SELECT feathub.create_job('large', source => 'source', sink => 'out', query => \$\$
	SELECT n, repeat('y', n * 300) AS e FROM batch WHERE n < 6 AND e = 'a'\$\$)});
wait_for('large');
is(letters('large'), "4|54000\n5|54000", 'messages that are too large');
sql(q{ALTER FOREIGN TABLE out OPTIONS (SET "message.max.bytes" '1400')});
is(sql(q{SELECT feathub.retry_dead_letters('large')}), 1, 'one of them is tried again, the other stays');
is(sql(q{SELECT string_agg(n::text, ',' ORDER BY n) FROM out WHERE e LIKE 'y%'}), '1,3,4', 'and is in the topic');

# Redis: a key of another type, in a sink and in a look-up; a time that is none
sql(q{SELECT feathub.create_job('latest', source => 'source', sink => 'latest', query => 'SELECT n AS id, n FROM batch WHERE n < 6')});
wait_for('latest');
is(letters('latest'), '2|2200G', 'a key of another type in a sink');
is(sql('SELECT string_agg(id::text, $$,$$ ORDER BY id) FROM latest'), '1,3,4,5', 'the others are there');
sql(q{SELECT feathub.create_job('guarded', source => 'source', sink => 'guarded', query => $$SELECT n AS id, n, now() AS at FROM batch WHERE n < 6$$)});
wait_for('guarded');
like(letters('guarded'), qr/^3\|22...$/, 'a time that is none');
is(redis_cli($redis, 'HGET', 'guarded:5', 'n'), 5, 'the others are there');
sql(q{SELECT feathub.create_job('enriched', source => 'source', sink => 'enriched', query => $$
	WITH b AS (SELECT * FROM batch WHERE n < 6) SELECT b.n, u.city, u.age FROM b LEFT JOIN public.users u ON u.id = b.n $$)});
wait_for('enriched');
is(letters('enriched'), "2|2200G\n3|22P02", 'what cannot be looked up');
is(sql(q{SELECT string_agg(concat_ws(' ', n, city, age), ',' ORDER BY n) FROM enriched}), '1 Berlin 7,1 Berlin 7,4,5', 'the others are there');
redis_cli($redis, 'DEL', 'user:2');
redis_cli($redis, 'HSET', 'user:3', 'age', '8');
is(sql(q{SELECT feathub.retry_dead_letters('enriched')}), 2, 'tried again');
is(sql(q{SELECT count(*) FROM feathub.job_status WHERE state <> 'running' OR last_error IS NOT NULL}), 0, 'no job had to try again');

done_testing();
