# What schema registries do on bad days, and what then becomes of queries and
# jobs: nothing is lost, nothing hangs, no secret is told.
use strict;
use warnings;

use FindBin;
use MIME::Base64;
use lib "$FindBin::RealBin/../perl";

use FeathubRegistry;
use FeathubTest;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes ();

my $mock = mock_registry();
my $node = new_node(
	'registry', conf => q{
log_min_messages = debug1
feathub.embedded_broker = on
feathub.embedded_broker_topics = 'a:1, b:1, refs:1, job:1, keyed:1, protos:1, many:1, latin:1'
feathub.retry_delay = 100ms
feathub.retry_delay_max = 500ms
feathub.scheduler_interval = 1s
});
my $sql = sub { $node->safe_psql('postgres', $_[0]) };
my $error = sub { my (undef, undef, $err) = $node->psql('postgres', $_[0]); $err };

sub schema { my ($fields, %more) = @_; return sprintf '{"schema": "{\"type\":\"record\",\"name\":\"r\",\"fields\":[%s]}"%s}', $fields =~ s/"/\\"/gr, $more{more} || ''; }
# Protocol Buffers
sub varint { my ($n) = @_; return $n < 128 ? chr($n) : chr($n & 127 | 128) . varint($n >> 7); }
sub bytes_of { my ($number, $data) = @_; return varint($number << 3 | 2) . varint(length($data)) . $data; }
sub field { my ($name, $type) = @_; return qq({"name":"$name","type":"$type"}); }

mock_schema($mock, 1, schema(field('n', 'int')));
mock_schema($mock, 2, '{"schema": "syntax = \"proto3\";", "schemaType": "PROTOBUF"}');
mock_schema($mock, 3, '{"schema": "{\"type\":\"recor\"}"}');
mock_schema($mock, 4, schema(field('n', 'string')));
mock_schema($mock, 5, '{"nonsense": 1}');

$sql->(q{CREATE SERVER plain FOREIGN DATA WRAPPER feathub_kafka OPTIONS (bootstrap_servers 'embedded');
CREATE FOREIGN TABLE raw_a (v bytea) SERVER plain OPTIONS (topic 'a', format 'raw');
CREATE FOREIGN TABLE raw_b (v bytea) SERVER plain OPTIONS (topic 'b', format 'raw');
INSERT INTO raw_a VALUES ('\x000000000102'), ('\x000000000104');
INSERT INTO raw_b VALUES ('\x000000000902');});

# A server whose registry is at that place, and a table on it, both of that name.
sub place
{
	my ($name, $url, %opt) = @_;
	my $options = join '', map { ", $_ '$opt{$_}'" } grep { !/^(topic|user)$/ } sort keys %opt;
	my $topic = $opt{topic} || 'a';

	$sql->(qq{CREATE SERVER $name FOREIGN DATA WRAPPER feathub_kafka
 OPTIONS (bootstrap_servers 'embedded', schema_registry_url '$url'$options);
CREATE FOREIGN TABLE $name (n int) SERVER $name OPTIONS (topic '$topic', format 'avro')});
	$sql->("CREATE USER MAPPING FOR CURRENT_USER SERVER $name OPTIONS ($opt{user})") if $opt{user};
	return;
}

note('options');
my $make = "CREATE SERVER x FOREIGN DATA WRAPPER feathub_kafka OPTIONS (bootstrap_servers 'embedded', schema_registry_url";
like($error->("$make 'http://u:registry-secret\@host')"), qr/invalid value.*no user name and no password/s, 'no password in a URL');
like($error->("$make 'file:///etc/passwd')"), qr/must begin with https/, 'no other protocols');
like($error->("$make 'http://h/?a=b')"), qr/no query/, 'no query');
like($error->("$make ' , ')"), qr/must not be empty/, 'not empty');
like($error->("$make 'http:///x')"), qr/must have a host/, 'a host');
like($error->("$make 'http://h', schema_registry_password 'registry-secret')"), qr/belongs to a user mapping/, 'the place of secrets');
like($error->(q{CREATE FOREIGN TABLE x (n int) SERVER plain OPTIONS (topic 'a', format 'avro', schema_registry_url 'http://h')}),
	qr/belongs to a (?:foreign )?server/, 'a table does not choose whom credentials go to');
like($error->(q{CREATE FOREIGN TABLE x (n int) SERVER plain OPTIONS (topic 'a', format 'avro', avro_encoding 'confluent'); SELECT * FROM x}),
	qr/option "schema_registry_url" is required/, 'no registry');
$sql->(q{CREATE ROLE alice LOGIN; GRANT USAGE ON FOREIGN DATA WRAPPER feathub_kafka TO alice});
like($error->(q{SET ROLE alice; CREATE SERVER x FOREIGN DATA WRAPPER feathub_kafka OPTIONS (bootstrap_servers 'embedded', schema_registry_url 'https://h', schema_registry_ca_file '/etc/passwd')}),
	qr/permission denied for option "schema_registry_ca_file"/, 'files need a right');

note('the cache');
place('ok', "$mock->{http}/ok");
is($sql->('SELECT string_agg(n::text, $$,$$) FROM ok; SELECT count(*) FROM ok WHERE n > 0; EXPLAIN (COSTS OFF) SELECT * FROM ok') =~ s/\n.*//sr, '1,2', 'records are read');
is(mock_requests($mock), "GET /ok/schemas/ids/1 -\n", 'and the registry asked once');
place('same', "$mock->{http}/same/");
is($sql->('SELECT count(n) FROM same'), '2', 'a redirect within the host');

note('registries that fail');
my @failures = (
	[ '500', qr/could not ask schema registry.*it answered with status 503/s ],
	[ 'html', qr/did not answer as a schema registry does.*right path/s ],
	[ 'garbage', qr/did not answer as a schema registry does/ ],
	[ 'huge', qr/could not ask schema registry.*the answer has more than 16777216 bytes/s ],
	[ 'other', qr/redirects to another host.*localhost\.invalid/s ],
	[ 'circle', qr/redirects too often/ ],
	[ 'auth', qr/refuses access with status 401.*who are you.*schema_registry_username/s ]);
foreach my $failure (@failures)
{
	place("f$failure->[0]", "$mock->{http}/$failure->[0]");
	like($error->("SELECT * FROM f$failure->[0]"), $failure->[1], "/$failure->[0]");
}
my $dead = free_port();
place('dead', "http://127.0.0.1:$dead");
like($error->('SELECT * FROM dead'), qr/could not ask schema registry.*DETAIL.*$dead/s, 'nobody there');
place('several', "http://127.0.0.1:$dead, $mock->{http}/500 ,$mock->{http}/ok/");
is($sql->('SELECT count(n) FROM several'), '2', 'the third of three');
place('slow', "$mock->{http}/slow", schema_registry_timeout => 1);
my $begin = Time::HiRes::time();
like($error->('SELECT * FROM slow'), qr/could not ask schema registry.*(?:timed out|Timeout)/si, 'one that does not answer');
ok(Time::HiRes::time() - $begin < 30, 'is given up');
place('slower', "$mock->{http}/slow", schema_registry_timeout => 600);
like($error->(q{SET statement_timeout = '200ms'; SELECT * FROM slower}), qr/canceling statement due to statement timeout/, 'a cancel is answered at once');

note('records');
place('bad', "$mock->{http}/ok", topic => 'b');
like($error->('SELECT * FROM bad'), qr/has no schema with id 9/, 'an unknown id');
mock_requests($mock);
my @kinds = (
	[ 2, qr/schema with id 2 is not one of avro/ ],
	[ 3, qr/invalid Avro schema in the schema with id 3/ ],
	[ 5, qr/could not understand the answer/ ]);
$sql->(q{CREATE FOREIGN TABLE part (n int, o bigint OPTIONS (metadata 'offset')) SERVER ok OPTIONS (topic 'b', format 'avro')});
foreach my $i (0 .. $#kinds)
{
	$sql->(sprintf q{INSERT INTO raw_b VALUES ('\x00%08x02')}, $kinds[$i][0]);
	like($error->(sprintf 'SELECT * FROM part WHERE o = %d', $i + 1), $kinds[$i][1], "a schema: $kinds[$i][0]");
}
$sql->(q{INSERT INTO raw_b VALUES ('\x000000000402'), ('\x0102'), ('\x'), ('\x0000000001')});
like($error->('SELECT * FROM part WHERE o = 4'), qr/column "n" of type integer cannot take field "n" of type string of the schema with id 4/, 'another type');
like($error->("SELECT * FROM part WHERE o = $_"), qr/does not begin with a zero byte/, 'no header') foreach 5, 6;
like($error->('SELECT * FROM part WHERE o = 7'), qr/Avro data ends unexpectedly/, 'no body');

note('credentials');
place('basic', "$mock->{http}/auth", user => q{schema_registry_username 'user', schema_registry_password 'registry-secret'});
is($sql->('SELECT count(n) FROM basic'), '2', 'user and password');
place('token', "$mock->{http}/auth", user => q{schema_registry_token 'registry-token'});
is($sql->('SELECT count(n) FROM token'), '2', 'a token');
place('wrong', "$mock->{http}/auth", user => q{schema_registry_username 'user', schema_registry_password 'wrong-secret'});
like($error->('SELECT count(n) FROM token; SELECT * FROM wrong'), qr/refuses access/, 'what one user got, another does not get of the cache');
unlike($sql->('EXPLAIN (VERBOSE) SELECT * FROM basic'), qr/registry-secret/, 'EXPLAIN tells no secret');
mock_requests($mock);
place('leak', "$mock->{http}/other", user => q{schema_registry_username 'user', schema_registry_password 'registry-secret'});
like($error->('SELECT * FROM leak'), qr/redirects to another host/, 'credentials go nowhere else');

note('TLS');
place('tls', "$mock->{https}/ok");
like($error->('SELECT * FROM tls'), qr/could not ask schema registry.*certificate/si, 'an unknown authority');
place('tls_ca', "$mock->{https}/ok", schema_registry_ca_file => $mock->{ca});
is($sql->('SELECT count(n) FROM tls_ca'), '2', 'a known one');
place('tls_pem', "$mock->{https}/ok", schema_registry_ca_pem => slurp_file($mock->{ca}));
is($sql->('SELECT count(n) FROM tls_pem'), '2', 'by its text');
place('tls_wrong', "$mock->{https}/ok", schema_registry_ca_file => $mock->{wrong_ca});
like($error->('SELECT * FROM tls_wrong'), qr/could not ask schema registry.*certificate/si, 'another one');
place('tls_any', "$mock->{https}/ok", schema_registry_verify => 'false');
is($sql->('SELECT count(n) FROM tls_any'), '2', 'any');
place('mutual', "$mock->{mutual}/ok", schema_registry_ca_file => $mock->{ca});
like($error->('SELECT * FROM mutual'), qr/could not ask schema registry/, 'a certificate is wanted');
place('mutual_ok', "$mock->{mutual}/ok", schema_registry_ca_file => $mock->{ca},
	user => "schema_registry_cert_file '$mock->{cert}', schema_registry_key_file '$mock->{key}'");
is($sql->('SELECT count(n) FROM mutual_ok'), '2', 'and shown');

note('references');
my $ref = '{"name":"x.inner","subject":"inner value","version":1}';
mock_schema($mock, 20, '{"schema": "{\"type\":\"record\",\"name\":\"outer\",\"fields\":[{\"name\":\"n\",\"type\":\"int\"},{\"name\":\"i\",\"type\":\"x.inner\"},{\"name\":\"k\",\"type\":\"x.leaf\"}]}", "references": ['
	  . $ref . ',{"name":"x.leaf","subject":"leaf","version":3}]}');
mock_version($mock, 'inner value', 1, '{"subject":"inner value","version":1,"id":21,"schema":"{\"type\":\"record\",\"name\":\"inner\",\"namespace\":\"x\",\"fields\":[{\"name\":\"l\",\"type\":\"leaf\"}]}","references":[{"name":"x.leaf","subject":"leaf","version":3}]}');
mock_version($mock, 'leaf', 3, '{"subject":"leaf","version":3,"id":22,"schema":"{\"type\":\"enum\",\"name\":\"x.leaf\",\"symbols\":[\"A\",\"B\"]}"}');
mock_schema($mock, 23, '{"schema": "\"x.one\"", "references": [{"name":"x.one","subject":"one","version":1}]}');
mock_version($mock, 'one', 1, '{"subject":"one","version":1,"id":24,"schema":"\"x.two\"","references":[{"name":"x.two","subject":"two","version":1}]}');
mock_version($mock, 'two', 1, '{"subject":"two","version":1,"id":25,"schema":"\"x.one\"","references":[{"name":"x.one","subject":"one","version":1}]}');
mock_schema($mock, 26, '{"schema": "\"x.no\"", "references": [{"name":"x.no","subject":"no","version":1}]}');
mock_requests($mock);
$sql->(q{CREATE FOREIGN TABLE raw_refs (v bytea) SERVER plain OPTIONS (topic 'refs', format 'raw');
CREATE FOREIGN TABLE refs (n int, i jsonb, k text, o bigint OPTIONS (metadata 'offset')) SERVER ok OPTIONS (topic 'refs', format 'avro');
INSERT INTO raw_refs VALUES ('\x0000000014060200'), ('\x000000001702'), ('\x000000001a02')});
is($sql->('SELECT n, i, k FROM refs WHERE o = 0'), '3|{"l": "B"}|A', 'schemas that refer to others');
is(mock_requests($mock), "GET /ok/schemas/ids/20 -\nGET /ok/subjects/inner%20value/versions/1 -\nGET /ok/subjects/leaf/versions/3 -\n", 'each is asked for once');
like($error->('SELECT * FROM refs WHERE o = 1'), qr/refer to each other in a circle/, 'a circle');
like($error->('SELECT * FROM refs WHERE o = 2'), qr/has no version 1 of subject "no", which a schema refers to/, 'one that is missing');

note('writing');
like($error->('INSERT INTO ok VALUES (1)'), qr/not compatible with the one in schema registry.*DETAIL:  incompatible/s, 'an incompatible schema');
like($error->('INSERT INTO same VALUES (1)'), qr/not compatible/, 'a redirect keeps the body');
$sql->(q{CREATE FOREIGN TABLE latest (n int) SERVER ok OPTIONS (topic 'none', format 'avro', auto_register 'false')});
like($error->('INSERT INTO latest VALUES (1)'), qr/has no subject "none-value"/, 'no subject');

note('jobs');
mock_down($mock);
place('flip', "$mock->{http}/flip", topic => 'job');
$sql->(q{CREATE FOREIGN TABLE raw_job (v bytea) SERVER plain OPTIONS (topic 'job', format 'raw');
CREATE FOREIGN TABLE flip_at (n int, at timestamptz OPTIONS (metadata 'timestamp')) SERVER flip OPTIONS (topic 'job', format 'avro');
INSERT INTO raw_job VALUES ('\x000000000102'), ('\x000000006302'), ('\x000000000104');
SELECT feathub.create_feature_group('g', source => 'flip_at', primary_key => '{n}', event_time => 'at')});
poll_query($node, q{SELECT last_error LIKE '%could not ask schema registry%' FROM feathub.job_status WHERE job = 'g'}, 't', 'a registry that is away is told');
is($sql->(q{SELECT state, applied, dead_letters FROM feathub.job_status WHERE job = 'g'}) =~ s/^(failed)?.*?\|/($1 || 'trying') . '|'/er, 'trying|0|0', 'the job tries again');
mock_up($mock);
$sql->(q{SELECT feathub.wait_for_job('g', '60 s')});
is($sql->(q{SELECT applied, dead_letters FROM feathub.job_status WHERE job = 'g'}), '2|1', 'what it does not know is a dead letter');
is($sql->('SELECT string_agg(n::text, $$,$$ ORDER BY n) FROM g'), '1,2', 'the rows');
like($sql->('SELECT message FROM feathub.dead_letter'), qr/has no schema with id 99/, 'its reason');

note('a database of another encoding');
mock_schema($mock, 40, schema(qq({"name":"n","type":"int","doc":"\xc3\xa9"},) . field('t', 'string')));
$sql->("CREATE DATABASE latin ENCODING 'LATIN1' TEMPLATE template0 LOCALE 'C'");
is($node->safe_psql('latin', qq{SET client_encoding = 'UTF8';
CREATE EXTENSION feathub;
CREATE SERVER k FOREIGN DATA WRAPPER feathub_kafka OPTIONS (bootstrap_servers 'embedded', schema_registry_url '$mock->{http}/ok');
CREATE FOREIGN TABLE w (n int) SERVER k OPTIONS (topic 'latin', format 'avro', avro_encoding 'plain', avro_schema
 '{"type":"record","name":"r","fields":[{"name":"n","type":"int","doc":"\xc3\xa9"},{"name":"t","type":"string","default":"\xc3\xa9"}]}');
CREATE FOREIGN TABLE r (n int, t text, o bigint OPTIONS (metadata 'offset')) SERVER k OPTIONS (topic 'latin', format 'avro');
CREATE FOREIGN TABLE b (v bytea) SERVER k OPTIONS (topic 'latin', format 'raw');
INSERT INTO w VALUES (1);
SELECT v FROM b;
INSERT INTO b VALUES ('\\x00000000280204c3a9');
SELECT n, t, length(t) FROM r WHERE o = 1}), "\\x0204c3a9\n1|\xc3\xa9|1", 'schemas are UTF-8 whatever it has');

note('more schemas than a decoder keeps, in one batch');
my $filler = 'x' x 300;
mock_schema($mock, $_, schema(field('n', 'int'))) foreach 1000 .. 1449;
$sql->(qq{CREATE FOREIGN TABLE raw_many (v bytea) SERVER plain OPTIONS (topic 'many', format 'raw');
CREATE FOREIGN TABLE many (n int, t text, at timestamptz OPTIONS (metadata 'timestamp')) SERVER ok OPTIONS (topic 'many', format 'avro',
 avro_schema '{"type":"record","name":"r","fields":[{"name":"n","type":"int"},{"name":"t","type":"string","default":"$filler"}]}');
INSERT INTO raw_many SELECT decode('00' || lpad(to_hex(1000 + i), 8, '0') || lpad(to_hex(i * 2 & 127 | 128), 2, '0') || lpad(to_hex(i * 2 >> 7), 2, '0'), 'hex') FROM generate_series(0, 449) i;
SELECT feathub.create_feature_group('m', source => 'many', primary_key => '{n}', event_time => 'at');
SELECT feathub.wait_for_job('m', '60 s')});
is($sql->(qq{SELECT count(*), count(*) FILTER (WHERE t = '$filler') FROM m}), '450|450', 'defaults last as long as the rows');

SKIP:
{
	skip 'this build has no protobuf', 4 unless -e ($node->config_data('--pkglibdir') . '/feathub_protobuf.so');

	note('schemas of Protocol Buffers that cannot be read, or not here');
	# a compiled descriptor: its option is a text of as many braces, which the library has no limit for
	my $field = sub { my ($name, $number, $type, $more) = @_; return bytes_of(1, $name) . varint(3 << 3) . varint($number) . varint(4 << 3) . varint(1) . varint(5 << 3) . varint(11) . bytes_of(6, $type) . ($more || ''); };
	my $descriptor = bytes_of(1, 'x') . bytes_of(3, 'google/protobuf/descriptor.proto') . bytes_of(4, bytes_of(1, 'R') . bytes_of(2, $field->('a', 1, '.R')))
	  . bytes_of(7, $field->('o', 50000, '.R', bytes_of(2, '.google.protobuf.FileOptions')))
	  . bytes_of(8, bytes_of(999, bytes_of(2, bytes_of(1, 'o') . varint(2 << 3) . varint(1)) . bytes_of(8, 'a{' x 200000 . '}' x 200000)));
	mock_schema($mock, 30, '{"schemaType": "PROTOBUF", "schema": "' . encode_base64($descriptor, '') . '"}');
	mock_schema($mock, 31, '{"schemaType": "PROTOBUF", "schema": "syntax = \"proto3\"; message M { int32 n = 1; }"}');
	mock_schema($mock, 32, '{"schemaType": "PROTOBUF", "schema": "syntax = \"proto3\"; message M { bytes n = 1; }"}');
	mock_schema($mock, 33, '{"schemaType": "PROTOBUF", "schema": "message"}');
	place('protos', "$mock->{http}/ok", topic => 'protos');
	$sql->(q{CREATE FOREIGN TABLE raw_protos (v bytea) SERVER plain OPTIONS (topic 'protos', format 'raw');
INSERT INTO raw_protos VALUES ('\x000000001e000801'), ('\x000000001f000802'), ('\x0000000020000801'), ('\x0000000021000801'), ('\x0000000022000801'), ('\x000000001f000803');
CREATE FOREIGN TABLE protos_at (n int, at timestamptz OPTIONS (metadata 'timestamp')) SERVER ok OPTIONS (topic 'protos', format 'protobuf');
SELECT feathub.create_feature_group('p', source => 'protos_at', primary_key => '{n}', event_time => 'at');
SELECT feathub.wait_for_job('p', '60 s')});
	is($sql->('SELECT string_agg(n::text, $$,$$ ORDER BY n) FROM p'), '2,3', 'a job goes on with the others');
	is($sql->(q{SELECT state, applied, dead_letters FROM feathub.job_status WHERE job = 'p'}) =~ s/^\w+//r, '|2|4', 'these are dead letters');
	like($sql->(q{SELECT string_agg(message, E'\n' ORDER BY sequence) FROM feathub.dead_letter WHERE job = 'p'}),
		qr/^invalid Protocol Buffers schema.*\n.*cannot take field "n".*\ninvalid Protocol Buffers schema.*\n.*has no schema with id 34/, 'with their reasons');

	# a file that has another number for the field than the registry's latest
	my $file = PostgreSQL::Test::Utils::tempdir() . '/set';
	append_to_file($file, bytes_of(1, bytes_of(1, 'x.proto') . bytes_of(4, bytes_of(1, 'M') . bytes_of(2, bytes_of(1, 'n') . varint(3 << 3) . varint(1) . varint(4 << 3) . varint(1) . varint(5 << 3) . varint(5))) . bytes_of(12, 'proto3')));
	mock_version($mock, 'protos-value', 'latest', '{"subject":"protos-value","version":1,"id":35,"schemaType":"PROTOBUF","schema":"syntax = \"proto3\"; message Other {} message M { int32 n = 6; }"}');
	$sql->(qq{CREATE FOREIGN TABLE by_file (n int) SERVER ok OPTIONS (topic 'protos', format 'protobuf', protobuf_descriptor_file '$file', protobuf_message 'M');
INSERT INTO by_file VALUES (7)});
	is($sql->(q{CREATE FOREIGN TABLE last_protos (v bytea, o bigint OPTIONS (metadata 'offset')) SERVER plain OPTIONS (topic 'protos', format 'raw');
SELECT v FROM last_protos WHERE o = 6}), '\x000000002302023007', 'a message is as the schema of its id');
}

my $log = slurp_file($node->logfile);
my $quiet = $log =~ s/^.*(?:STATEMENT|statement): .*(?:\n\t.*)*//mgr;
unlike($quiet, qr/registry-secret|wrong-secret|registry-token/, 'no secret is in the log');
done_testing();
