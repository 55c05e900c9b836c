# Other feature stores' own cases on files, MySQL and Redis: round trips,
# upserts by key, online look-ups.  (Redis's key layout is in 324.)
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../perl";

use FeathubConformance;
use FeathubMysql;
use FeathubRedis;
use FeathubTest;
use JSON::PP;
use Test::More;

my @cases = grep { $_->{name} =~ /^(filesystem|mysql)\.|^example\.(redis_lookup|redis_upsert|mysql_upsert)/ }
  conformance_cases('feathub.json');
my $mysql = mysql_start();
my $redis = redis_start();
my $node = new_node('conformance', broker => 'price_mysql:1, price_redis:1');
my $folder = $node->basedir . '/files';
my $json = JSON::PP->new->utf8(0)->canonical->allow_nonref;

mkdir $folder;
mysql_server($node, $mysql);

sub sql { return $node->safe_psql('postgres', "SET timezone = 'UTC'; $_[0]"); }

sql(qq{
CREATE SERVER files FOREIGN DATA WRAPPER feathub_filesystem;
CREATE SERVER kafka FOREIGN DATA WRAPPER feathub_kafka OPTIONS (bootstrap_servers 'embedded');
CREATE SERVER redis FOREIGN DATA WRAPPER feathub_redis OPTIONS (host '127.0.0.1', port '$redis->{port}');
CREATE USER MAPPING FOR CURRENT_USER SERVER redis;
});

# A case's rows as a row source of these columns.
sub rows
{
	my ($rows, $columns) = @_;
	return 'jsonb_to_recordset(' . literal($json->encode($rows)) . "::jsonb) AS r($columns)";
}

# Does a query give the rows, in this order or in any?
sub same
{
	my ($query, $expected, $ordered, $what) = @_;
	my $order = $ordered ? '' : ' ORDER BY to_jsonb(q)';
	my $got = sql("SELECT jsonb_agg(to_jsonb(q)$order) FROM ($query) AS q");

	is(sql('SELECT ' . literal($got) . '::jsonb = (SELECT jsonb_agg(e.v ORDER BY '
			  . ($ordered ? 'e.n' : 'e.v') . ') FROM jsonb_array_elements(' . literal($json->encode($expected))
			  . '::jsonb) WITH ORDINALITY AS e(v, n))'), 't', $what)
	  or diag($got);
}

my %run = (
	'filesystem.roundtrip_csv' => sub { roundtrip($_[0], 'csv') },
	'filesystem.roundtrip_json' => sub { roundtrip($_[0], 'json') },
	'filesystem.parquet_all_types_and_nulls' => sub {
		my $case = shift;
		my $columns = 'string_v text, bytes_v bytea, int32_v int, int64_v bigint, float32_v real, float64_v float8, bool_v bool, vector_v int[], map_v jsonb';

		sql("CREATE FOREIGN TABLE all_types ($columns) SERVER files OPTIONS (path '$folder/all', format 'parquet')");
		sql('INSERT INTO all_types SELECT string_v, string_v::bytea, float64_v::int, float64_v::bigint, float64_v::real, float64_v, bool_v, vector_v, map_v FROM '
			  . rows($case->{inputs}{source}, 'string_v text, float64_v float8, bool_v bool, vector_v int[], map_v jsonb'));
		same(q{SELECT string_v, convert_from(bytes_v, 'UTF8') AS bytes_v, int32_v, int64_v, float32_v, float64_v, bool_v, vector_v, map_v FROM all_types},
			$case->{expected}, 0, $case->{name});
	},
	'mysql.sink_upsert_by_key' => sub {
		my $case = shift;

		mysql_query($mysql, "USE shop; $case->{spec}{target_ddl}");
		sql(q{CREATE FOREIGN TABLE t (id bigint OPTIONS (key 'true'), val bigint, ts text) SERVER mysql OPTIONS (table_name 't', write_mode 'upsert')});
		sql('INSERT INTO t SELECT * FROM ' . rows($case->{inputs}{source}, 'id bigint, val bigint, ts text'));
		same('SELECT * FROM t ORDER BY id', $case->{expected}, 1, $case->{name});
	},
	'mysql.online_lookup' => sub {
		my $case = shift;

		mysql_query($mysql, 'USE shop; CREATE TABLE looked (id BIGINT PRIMARY KEY, val BIGINT, ts TEXT)');
		sql(q{CREATE FOREIGN TABLE looked (id bigint OPTIONS (key 'true'), val bigint, ts text) SERVER mysql OPTIONS (table_name 'looked')});
		sql('INSERT INTO looked SELECT * FROM ' . rows($case->{inputs}{mysql_rows}, 'id bigint, val bigint, ts text'));
		same('SELECT r.id, r.id_str, l.val FROM ' . rows($case->{inputs}{request}, 'id bigint, id_str text')
			  . ' LEFT JOIN looked AS l ON l.id = r.id ORDER BY r.id', $case->{expected}, 1, $case->{name});
	},
	'example.mysql_upsert_then_online_get' => sub {
		my $case = shift;

		mysql_query($mysql, "USE shop; $case->{spec}{target_ddl}");
		sql(q{CREATE FOREIGN TABLE mysql_prices (item_id text OPTIONS (key 'true'), price float8, "timestamp" text)
			SERVER mysql OPTIONS (table_name 'item_price_features', write_mode 'upsert')});
		job_case($case, 'mysql');
	},
	'example.redis_upsert_then_online_get' => sub {
		my $case = shift;

		sql(q{CREATE FOREIGN TABLE redis_prices (item_id text OPTIONS (key 'true'), price float8)
			SERVER redis OPTIONS (kind 'features', namespace 'default', write_mode 'upsert')});
		job_case($case, 'redis');
		ok(redis_cli($redis, 'EXISTS', 'default:item_1:price'), 'the key has the layout of the case');
	},
	'example.redis_lookup_join_map_entry' => sub {
		my $case = shift;

		sql(q{CREATE FOREIGN TABLE item_attributes (item_id text OPTIONS (key 'true'), brand text, category text,
				production_place jsonb OPTIONS (type 'map<string,string>'))
			SERVER redis OPTIONS (kind 'features', namespace 'default', write_mode 'upsert')});
		sql('INSERT INTO item_attributes SELECT * FROM '
			  . rows($case->{inputs}{item_attributes}, 'item_id text, brand text, category text, production_place jsonb'));
		same(q{SELECT e.*, i.brand, i.production_place ->> 'city' AS production_city FROM (SELECT * FROM }
			  . rows($case->{inputs}{user_behavior_events}, 'user_id text, item_id text, action_type text, "timestamp" bigint')
			  . ') AS e LEFT JOIN item_attributes AS i USING (item_id)', $case->{expected}, 0, $case->{name});
	});

# Written by a job from a topic, asked by key.
sub job_case
{
	my ($case, $system) = @_;
	my $query = $system eq 'redis' ? q{, query => 'SELECT item_id, price FROM batch'} : '';

	sql(qq{CREATE FOREIGN TABLE ${system}_events (item_id text, price float8, "timestamp" text) SERVER kafka OPTIONS (topic 'price_$system', format 'json')});
	sql("INSERT INTO ${system}_events SELECT * FROM " . rows($case->{inputs}{item_price_events}, 'item_id text, price float8, "timestamp" text'));
	sql("SELECT feathub.create_job('${system}_prices', source => '${system}_events', sink => '${system}_prices'$query)");
	sql("SELECT feathub.wait_for_job('${system}_prices', timeout => '60 s')");
	same('SELECT r.item_id, p.price FROM ' . rows($case->{spec}{request}, 'item_id text')
		  . " LEFT JOIN ${system}_prices AS p USING (item_id)", $case->{expected}, 0, $case->{name});
}

sub roundtrip
{
	my ($case, $format) = @_;
	my $columns = 'name text, cost bigint, distance bigint, "time" text';

	sql("CREATE FOREIGN TABLE trip_$format ($columns) SERVER files OPTIONS (path '$folder/$format', format '$format')");
	sql("INSERT INTO trip_$format SELECT * FROM " . rows($case->{inputs}{source}, $columns));
	same("SELECT * FROM trip_$format", $case->{expected}, 1, $case->{name});
}

foreach my $case (@cases)
{
	my $name = $case->{name};

  SKIP: {
		skip("$name: needs the protobuf format", 1) if $name eq 'filesystem.protobuf_all_types';
		skip("$name: this build has no parquet", 1)
		  if $name =~ /parquet/ && !-e ($node->config_data('--pkglibdir') . '/feathub_parquet.so');
		next if $run{$name} && eval { $run{$name}->($case); 1 };
		fail($run{$name} ? "$name: $@" : "$name: nothing runs it, and nothing says why");
	}
}
done_testing();
