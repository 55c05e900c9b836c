-- Format protobuf: messages by a schema that an option gives.
CREATE EXTENSION IF NOT EXISTS feathub;
CREATE SCHEMA formats_protobuf;
SET search_path = formats_protobuf;
SET timezone = 'UTC';
SET datestyle = 'ISO';
SET intervalstyle = 'postgres';
CREATE SERVER formats_protobuf FOREIGN DATA WRAPPER feathub_kafka OPTIONS (bootstrap_servers 'embedded');
CREATE USER MAPPING FOR CURRENT_USER SERVER formats_protobuf;
CREATE TYPE point3 AS (x int, y float8, label text);
CREATE TYPE mood AS ENUM ('MOOD_UNSPECIFIED', 'GOOD', 'BAD');

-- All tables are on one topic; at is where a message is in it.
CREATE FUNCTION make_table(name text, columns text, schema text, more text DEFAULT '') RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE format('CREATE FOREIGN TABLE %I (at bigint OPTIONS (metadata %L), %s) SERVER formats_protobuf
    OPTIONS (topic %L, format %L, protobuf_schema %L %s)', name, 'offset', columns, 't_formats_protobuf', 'protobuf', schema, more);
END $$;
CREATE FOREIGN TABLE bytes (at bigint OPTIONS (metadata 'offset'), value bytea) SERVER formats_protobuf
  OPTIONS (topic 't_formats_protobuf', format 'raw');

-- Every scalar type, its bytes as Protocol Buffers has them, zeros and nulls.
SELECT make_table('scalars', 'd float8, f float4, i32 int, i64 bigint, u32 bigint, u64 numeric, s32 int, s64 bigint, f32 bigint, f64 numeric, sf32 int, sf64 bigint, b boolean, s text, by bytea',
 $$syntax = "proto3"; package test; message Scalars { double d = 1; float f = 2; int32 i32 = 3; int64 i64 = 4; uint32 u32 = 5; uint64 u64 = 6; sint32 s32 = 7; sint64 s64 = 8;
 fixed32 f32 = 9; fixed64 f64 = 10; sfixed32 sf32 = 11; sfixed64 sf64 = 12; bool b = 13; string s = 14; bytes by = 15; }$$);
INSERT INTO scalars (d, f, i32, i64, u32, u64, s32, s64, f32, f64, sf32, sf64, b, s, by) VALUES
 (1.5, -0.25, -1, -2, 4294967295, 18446744073709551615, -2147483648, -9223372036854775808, 1, 18446744073709551614, -5, -6, true, 'é', '\x00ff'),
 (0, '-0', 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, false, '', ''),
 (NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
 ('NaN', 'Infinity', 2147483647, 9223372036854775807, 2147483648, 9223372036854775808, 2147483647, 9223372036854775807, 4294967295, 1, 2147483647, -9223372036854775808, true, 'x', '\x');
SELECT value FROM bytes;
SELECT * FROM scalars;
SELECT s, u64 FROM scalars WHERE at = 0;
-- values that a field cannot take
INSERT INTO scalars (u32) VALUES (-1);
INSERT INTO scalars (u64) VALUES (18446744073709551616);
INSERT INTO scalars (u64) VALUES (1.5);
INSERT INTO scalars (f64) VALUES ('NaN');
SELECT make_table('narrow', 'f float8, n numeric, d numeric, j jsonb, day date, at_time timestamptz, span interval',
 $$syntax = "proto3"; package test; import "google/protobuf/timestamp.proto"; import "google/protobuf/duration.proto";
 message Narrow { message Inner { float f = 1; double d = 2; } float f = 1; float n = 2; double d = 3; Inner j = 4; int64 day = 5; google.protobuf.Timestamp at_time = 6; google.protobuf.Duration span = 7; }$$, $$, timestamp_format 'epoch_days'$$);
INSERT INTO narrow (f) VALUES (1e300);
INSERT INTO narrow (n) VALUES (-1e39);
INSERT INTO narrow (d) VALUES (1e400);
INSERT INTO narrow (j) VALUES ('{"f": 1e39}');
INSERT INTO narrow (j) VALUES ('{"d": 1e400}');
INSERT INTO narrow (j) VALUES ('{"f": "1e39"}');
INSERT INTO narrow (day) VALUES ('500000-01-01');
INSERT INTO narrow (at_time) VALUES ('10000-01-01 00:00Z');
INSERT INTO narrow (at_time) VALUES ('0001-12-31 00:00Z BC');
INSERT INTO narrow (span) VALUES ('3652501 days');

-- Fields with presence, enums, lists, maps, messages, oneofs.
SELECT coalesce(max(at) + 1, 0) AS mark FROM bytes \gset
\set rich 'syntax = "proto3"; import "google/protobuf/timestamp.proto"; import "google/protobuf/duration.proto"; import "google/protobuf/wrappers.proto"; import "google/protobuf/struct.proto"; import "google/type/date.proto"; import "google/type/timeofday.proto"; import "confluent/type/decimal.proto"; enum Mood { MOOD_UNSPECIFIED = 0; GOOD = 1; BAD = 2; } message Point { int32 x = 1; optional double y = 2; string label = 3; } message Tree { string name = 1; repeated Tree children = 2; } message Rich { optional int32 id = 1; Mood mood = 2; repeated int32 numbers = 3; repeated int32 loose = 4 [packed = false]; repeated string tags = 5; map<string, int32> counts = 6; map<int64, Point> points = 7; Point point = 8; repeated Point path = 9; oneof choice { string word = 10; int64 number = 11; } Tree tree = 12; google.protobuf.Timestamp ts = 13; google.protobuf.Duration dur = 14; google.protobuf.Int64Value wrapped = 15; google.protobuf.StringValue wrapped_text = 16; google.protobuf.Struct doc = 17; google.protobuf.Value any = 18; google.protobuf.ListValue list = 19; google.type.Date day = 20; google.type.TimeOfDay tod = 21; confluent.type.Decimal amount = 22; repeated Mood moods = 23; repeated google.protobuf.Timestamp times = 24; }'
SELECT make_table('rich', 'id int, mood mood, numbers int[], loose bigint[], tags text[], counts jsonb, points jsonb, point point3, path point3[], word text, number bigint, tree jsonb,
  ts timestamptz, dur interval, wrapped bigint, wrapped_text text, doc jsonb, "any" jsonb, list jsonb, day date, tod time, amount numeric, moods text[], times timestamptz[]', :'rich', $$, protobuf_message 'Rich'$$);
INSERT INTO rich (id, mood, numbers, loose, tags, counts, points, point, path, word, tree, ts, dur, wrapped, wrapped_text, doc, "any", list, day, tod, amount, moods, times) VALUES
 (7, 'BAD', '{1,-2,300}', '{4,5}', '{a,"",é}', '{"a": 1, "b": 0}', '{"-5": {"x": 1, "y": 2.5, "label": "p"}, "6": {}}', row(1, NULL, 'l'), ARRAY[row(2, 0, '')::point3, row(3, 4.5, 'm')::point3],
  'w', '{"name": "root", "children": [{"name": "leaf"}, {"children": [{"name": "deep"}]}]}', '2024-02-29 12:34:56.789012+00', '1 day 02:03:04.5', 0, '',
  '{"n": null, "f": 1.5, "s": "t", "b": true, "o": {"k": []}}', '[1, "x", null]', '[{"a": 1}, 2]', '2024-02-29', '23:59:59.999999', '-123.4500', '{GOOD,MOOD_UNSPECIFIED}', '{1969-12-31 23:59:59.5+00,1970-01-01 00:00+00}');
INSERT INTO rich (number) VALUES (5);
INSERT INTO rich (id, point, "any", number) VALUES (0, row(0, 0, ''), 'null', 0);
SELECT value FROM bytes WHERE at >= :mark;
\x
SELECT * FROM rich WHERE at >= :mark;
\x
-- the same as documents, and parts of them
SELECT make_table('documents', 'mood int, numbers jsonb, counts text, point jsonb, path json, ts text, dur text, wrapped jsonb, doc text, "any" text, day jsonb, amount float8, tree text, moods int[], points jsonb', :'rich', $$, protobuf_message 'Rich'$$);
\x
SELECT * FROM documents WHERE at >= :mark;
\x
SELECT make_table('parts', $$label text OPTIONS (path 'point.label'), y float8 OPTIONS (path 'point.y'), leaf text OPTIONS (path 'tree.name'), seconds bigint OPTIONS (path 'ts.seconds'), missing text, gone text OPTIONS (path 'point.gone')$$,
  :'rich', $$, protobuf_message 'Rich'$$);
SELECT * FROM parts WHERE at >= :mark;
ALTER FOREIGN TABLE parts DROP COLUMN missing, DROP COLUMN gone;
INSERT INTO parts (label, seconds) VALUES ('by path', 1), (NULL, NULL);
SELECT value FROM bytes WHERE at >= :mark + 2;
-- written as documents
SELECT max(at) + 1 AS mark FROM bytes \gset
ALTER FOREIGN TABLE documents DROP COLUMN ts, DROP COLUMN dur, DROP COLUMN doc, DROP COLUMN "any", DROP COLUMN tree, DROP COLUMN counts;
INSERT INTO documents (mood, numbers, point, path, wrapped, day, amount, moods, points) VALUES
  (2, '["1", 2]', '{"x": "7", "label": "q"}', '[{"x": 1}]', '3', '"2024-01-31"', 2.5, '{1,0}', '{"1": {"y": 0}}');
SELECT * FROM documents WHERE at >= :mark;
INSERT INTO documents (point) VALUES ('{"x": 1, "other": 2}');
INSERT INTO documents (point) VALUES ('{"x": "a"}');
INSERT INTO documents (point) VALUES ('{"x": true}');
INSERT INTO documents (point) VALUES ('[]');
INSERT INTO documents (path) VALUES ('{}');
INSERT INTO documents (path) VALUES ('[null]');
INSERT INTO documents (numbers) VALUES ('[1.5]');
INSERT INTO documents (mood) VALUES (5);
INSERT INTO rich (word, number) VALUES ('both', 1);
INSERT INTO rich (numbers) VALUES ('{1,NULL}');
INSERT INTO rich (numbers) VALUES ('{{1},{2}}');
INSERT INTO rich (dur) VALUES ('1 month');
INSERT INTO rich (ts) VALUES ('infinity');
INSERT INTO rich (day) VALUES ('0001-01-01 BC');
INSERT INTO rich (counts) VALUES ('{"a": null}');
INSERT INTO rich (moods) VALUES ('{WORSE}');
INSERT INTO rich (amount) VALUES ('NaN');

-- What other writers may do: fields in any order, twice, packed or not, messages in parts, unknown ones.
SELECT max(at) + 1 AS mark FROM bytes \gset
CREATE FOREIGN TABLE put (value bytea) SERVER formats_protobuf OPTIONS (topic 't_formats_protobuf', format 'raw');
INSERT INTO put VALUES
 ('\x18011802220203040801080a'),                            -- numbers not packed, loose packed, id twice
 ('\x42021a0142020807421a1a'),                              -- cut off
 ('\x42031a01614202080942031a0162'),                       -- point in three parts
 ('\x520278785805'), ('\x580552027878'),                -- oneof: the last one
 ('\x9a7d0161f87f07a3060801a4060805'),                   -- unknown fields, a group
 ('\x0d000000000805'),                                     -- id with another wire type
 ('\x1007ba0103070100'),                                  -- numbers that no enum has
 (''),                                                      -- nothing
 ('\x6a0608ffffffff0f'), ('\x6a0b10ffffffffffffffffff01'),   -- times
 ('\x3a04080112003a0208013a00');                            -- entries of maps without key or value
SELECT at - :mark AS n, id, numbers, loose, word, number, (point).x, (point).label FROM rich WHERE at = :mark + 0;
SELECT id FROM rich WHERE at = :mark + 1;
SELECT at - :mark AS n, id, numbers, loose, word, number, (point).x, (point).label FROM rich WHERE at BETWEEN :mark + 2 AND :mark + 6;
SELECT mood FROM rich WHERE at = :mark + 7;
ALTER FOREIGN TABLE rich ALTER mood TYPE text;
SELECT mood, moods FROM rich WHERE at BETWEEN :mark + 7 AND :mark + 8;
SELECT ts FROM rich WHERE at = :mark + 9;
SELECT ts FROM rich WHERE at = :mark + 10;
SELECT points FROM rich WHERE at = :mark + 11;
-- no messages at all
SELECT max(at) + 1 AS mark FROM bytes \gset
INSERT INTO put VALUES ('\x00'), ('\x0f'), ('\x08ffffffffffffffffffffff01'), ('\x0c'), ('\x0b'), ('\x0b14'), ('\x5203ffffff'), ('\x520100'),
 (decode(repeat('0b', 200), 'hex')), ('\x1a0280'), ('\x090102'), ('\x0d01');
DO $$
DECLARE r record;
BEGIN
  FOR r IN SELECT at, value FROM bytes ORDER BY at OFFSET (SELECT count(*) - 12 FROM bytes)
  LOOP
    BEGIN
      PERFORM word, numbers FROM rich WHERE at = r.at;
      RAISE NOTICE '%: accepted', left(r.value::text, 30);
    EXCEPTION WHEN others THEN RAISE NOTICE '%: % %', left(r.value::text, 30), SQLSTATE, SQLERRM;
    END;
  END LOOP;
END $$;
-- messages inside each other, as far as it goes
SELECT max(at) + 1 AS mark FROM bytes \gset
DO $$
DECLARE b bytea := '';
BEGIN
  FOR i IN 1 .. 40 LOOP b := '\x12' || decode(CASE WHEN length(b) < 128 THEN lpad(to_hex(length(b)), 2, '0')
    ELSE lpad(to_hex(length(b) % 128 + 128), 2, '0') || lpad(to_hex(length(b) / 128), 2, '0') END, 'hex') || b; END LOOP;
  INSERT INTO put VALUES ('\x62' || decode(lpad(to_hex(length(b)), 2, '0'), 'hex') || b);
  b := '';
  FOR i IN 1 .. 120 LOOP b := '\x12' || decode(CASE WHEN length(b) < 128 THEN lpad(to_hex(length(b)), 2, '0')
    ELSE lpad(to_hex(length(b) % 128 + 128), 2, '0') || lpad(to_hex(length(b) / 128), 2, '0') END, 'hex') || b; END LOOP;
  INSERT INTO put VALUES ('\x62' || decode(CASE WHEN length(b) < 128 THEN lpad(to_hex(length(b)), 2, '0')
    ELSE lpad(to_hex(length(b) % 128 + 128), 2, '0') || lpad(to_hex(length(b) / 128), 2, '0') END, 'hex') || b);
END $$;
SELECT length(tree::text) FROM rich WHERE at = :mark;
SELECT length(tree::text) FROM rich WHERE at = :mark + 1;

-- proto2: required fields, defaults, groups, closed enums, extensions.
SELECT max(at) + 1 AS mark FROM bytes \gset
\set old 'syntax = "proto2"; package test; message Old { enum Kind { A = 1; B = 2; } required int32 id = 1; optional string name = 2 [default = "none"]; optional sint32 level = 3 [default = -7]; optional Kind kind = 4 [default = B]; optional Kind plain = 5; repeated Kind kinds = 6; optional group Box = 7 { required int32 w = 1; optional int32 h = 2; } repeated int32 many = 8; optional double ratio = 9 [default = 0.5]; extensions 100 to 199; }'
SELECT make_table('old', 'id int, name text, level int, kind text, plain text, kinds text[], box jsonb, many int[], ratio float8', :'old');
INSERT INTO old (id, name, level, kind, plain, kinds, box, many, ratio) VALUES (1, '', 0, 'A', 'B', '{A,B}', '{"w": 3}', '{1,2}', 0), (2, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
SELECT value FROM bytes WHERE at >= :mark;
SELECT * FROM old WHERE at >= :mark;
INSERT INTO old (name) VALUES ('no id');
INSERT INTO old (id, box) VALUES (1, '{"h": 1}');
INSERT INTO old (id, kind) VALUES (1, 'C');
INSERT INTO put VALUES ('\x0801200730073001a2060161'), ('\x1200'), ('\x08013b10013c');
SELECT * FROM old WHERE at = :mark + 2;
SELECT * FROM old WHERE at = :mark + 3;
SELECT id, box FROM old WHERE at = :mark + 4;

-- Times in fields of numbers and text.
SELECT max(at) + 1 AS mark FROM bytes \gset
\set times 'syntax = "proto3"; message T { int64 ms = 1; int32 s = 2; string text = 3; uint32 days = 4; int64 plain = 5; }'
SELECT make_table('times', $$ms timestamptz OPTIONS (timestamp_format 'epoch_millis'), s timestamp OPTIONS (timestamp_format 'epoch_seconds', timezone 'Asia/Tokyo'), text timestamptz, days date OPTIONS (timestamp_format 'epoch_days')$$, :'times');
INSERT INTO times (ms, s, text, days) VALUES ('2024-02-29 12:34:56.789+00', '2024-02-29 12:00', '2024-02-29 12:34:56+00', '2024-02-29'), ('1969-12-31 23:59:59.999+00', '1970-01-01 09:00', NULL, '1970-01-01');
SELECT value FROM bytes WHERE at >= :mark;
SELECT * FROM times WHERE at = :mark;
ALTER FOREIGN TABLE times ADD COLUMN plain timestamptz;
SELECT plain FROM times WHERE at = :mark;
INSERT INTO times (ms) VALUES (now());

-- Options: which message, where the schema is, what fits.
CREATE FOREIGN TABLE no_schema (a int) SERVER formats_protobuf OPTIONS (topic 't_formats_protobuf', format 'protobuf');
SELECT * FROM no_schema;
SELECT make_table('two', 'a int', 'syntax = "proto3"; package p; message A { int32 a = 1; message Inner { int32 a = 1; } } message B {}');
SELECT * FROM two WHERE at = 0;
ALTER FOREIGN TABLE two OPTIONS (ADD protobuf_message 'p.C');
SELECT * FROM two WHERE at = 0;
ALTER FOREIGN TABLE two OPTIONS (SET protobuf_message 'p.A.Inner');
SELECT a FROM two WHERE at = 1;
ALTER FOREIGN TABLE two OPTIONS (ADD missing_columns 'error');
ALTER FOREIGN TABLE two ADD COLUMN b int;
SELECT b FROM two WHERE at = 1;
ALTER FOREIGN TABLE two OPTIONS (SET missing_columns 'null');
SELECT a, b FROM two WHERE at = 1;
INSERT INTO two (a, b) VALUES (1, 2);
\set SHOW_CONTEXT never
SELECT make_table('bad', 'a int', 'syntax = "proto3"; message A { int32 a = 1; int32 b = 1; }');
SELECT make_table('bad', 'a int', 'syntax = "proto3"; message A { Missing a = 1; }');
SELECT make_table('bad', 'a int', 'this is no schema');
SELECT make_table('bad', 'a int', '');
SELECT make_table('bad', 'a int', 'import "gone.proto"; message A {}');
SELECT make_table('bad', 'a int', repeat('message A {', 200));
-- the library goes on behind errors
SELECT make_table('bad', 'a int', repeat('message A { ) ; ', 200000));
SELECT make_table('bad', 'a int', 'syntax = "proto2"; import "google/protobuf/descriptor.proto"; message R { optional R a = 1; } extend google.protobuf.FileOptions { optional R o = 50000; } option (o) = {'
 || repeat('a <', 200000) || repeat('>', 200000) || '};');
-- what would take minutes
SELECT make_table('bad', 'a int', 'syntax = "proto3"; message A { reserved ' || repeat('1, ', 20000) || '2; }');
SELECT make_table('bad', 'a int', 'syntax = "proto3"; message A { ' || repeat('a.', 100000) || 'b c = 1; }');
-- neither comments nor text nest
SELECT make_table('comments', 'a text', 'syntax = "proto2"; ' || repeat(E'// a < b {[(\n', 200) || ' message A { optional string a = 1 [default = "' || repeat('{', 200) || '"]; }');
\set SHOW_CONTEXT errors
SELECT make_table('wrong', 'a int, b date', 'syntax = "proto3"; message A { string a = 1; map<string, int32> m = 2; repeated int32 r = 3; int64 b = 4; }');
SELECT a FROM wrong WHERE at = 0;
SELECT b FROM wrong WHERE at = 0;
INSERT INTO wrong (a) VALUES (1);
ALTER FOREIGN TABLE wrong ALTER a TYPE text, ADD COLUMN m text[], ADD COLUMN r int, ADD COLUMN twice text OPTIONS (path 'a');
SELECT m FROM wrong WHERE at = 0;
SELECT r FROM wrong WHERE at = 0;
ALTER FOREIGN TABLE wrong DROP COLUMN b, DROP COLUMN m, DROP COLUMN r;
SELECT a, twice FROM wrong WHERE at = 4;
INSERT INTO wrong (a, twice) VALUES ('a', 'b');
CREATE FOREIGN TABLE path (a int OPTIONS (path 'r[0]')) SERVER formats_protobuf
  OPTIONS (topic 't_formats_protobuf', format 'protobuf', protobuf_schema 'syntax = "proto3"; message A { repeated int32 r = 3; }');
SELECT * FROM path;
CREATE FOREIGN TABLE path2 (a int OPTIONS (path 'r.x')) SERVER formats_protobuf
  OPTIONS (topic 't_formats_protobuf', format 'protobuf', protobuf_schema 'syntax = "proto3"; message A { repeated B r = 3; } message B { int32 x = 1; }', protobuf_message 'A');
SELECT * FROM path2;
CREATE FOREIGN TABLE both_ (a int) SERVER formats_protobuf
  OPTIONS (topic 't_formats_protobuf', format 'protobuf', protobuf_schema 'message A {}', protobuf_descriptor_file '/nowhere');
SELECT * FROM both_;
CREATE FOREIGN TABLE file (a int) SERVER formats_protobuf OPTIONS (topic 't_formats_protobuf', format 'protobuf', protobuf_descriptor_file 'relative');
CREATE FOREIGN TABLE file (a int) SERVER formats_protobuf OPTIONS (topic 't_formats_protobuf', format 'protobuf', protobuf_descriptor_file '/nowhere/at/all');
SELECT * FROM file;
CREATE SERVER formats_protobuf_files FOREIGN DATA WRAPPER feathub_filesystem;
CREATE FOREIGN TABLE lines (a int) SERVER formats_protobuf_files OPTIONS (path '/tmp/*', format 'protobuf', protobuf_schema 'message A {}');
SELECT * FROM lines;
-- files of descriptors need the right to read the server's files
CREATE ROLE regress_formats_protobuf;
GRANT USAGE ON FOREIGN SERVER formats_protobuf TO regress_formats_protobuf;
GRANT ALL ON SCHEMA formats_protobuf TO regress_formats_protobuf;
SET ROLE regress_formats_protobuf;
CREATE FOREIGN TABLE mine (a int) SERVER formats_protobuf OPTIONS (topic 't_formats_protobuf', format 'protobuf', protobuf_descriptor_file '/nowhere/at/all');
CREATE FOREIGN TABLE mine (a int) SERVER formats_protobuf OPTIONS (topic 't_formats_protobuf', format 'protobuf', protobuf_schema 'message A {}');
ALTER FOREIGN TABLE mine OPTIONS (DROP protobuf_schema, ADD protobuf_descriptor_file '/nowhere/at/all');
RESET ROLE;
ALTER FOREIGN TABLE file OWNER TO regress_formats_protobuf;
SELECT * FROM file;

-- Framed by a registry's header, with the schema from here.
CREATE FOREIGN TABLE framed (a int) SERVER formats_protobuf OPTIONS (topic 't_formats_protobuf_two', format 'protobuf',
  protobuf_schema 'syntax = "proto3"; message A { int32 a = 1; }', protobuf_encoding 'confluent');
CREATE FOREIGN TABLE put_framed (value bytea) SERVER formats_protobuf OPTIONS (topic 't_formats_protobuf_two', format 'raw');
INSERT INTO put_framed VALUES ('\x0000000007000805'), ('\x000000000702000806'), ('\x00000000070402000807');
SELECT * FROM framed;
INSERT INTO framed VALUES (1);
INSERT INTO put_framed VALUES ('\x0100');
SELECT * FROM framed;

-- Keys of messages, by a schema of their own.
CREATE FOREIGN TABLE keyed (k text OPTIONS (key 'true'), a int) SERVER formats_protobuf OPTIONS (topic 't_formats_protobuf_two', format 'protobuf',
  protobuf_schema 'syntax = "proto3"; message A { int32 a = 1; }', key_format 'protobuf', value_fields 'except_key', protobuf_key_schema 'syntax = "proto3"; message K { string k = 1; } message L {}');
INSERT INTO keyed VALUES ('a', 1);
ALTER FOREIGN TABLE keyed OPTIONS (ADD protobuf_key_message 'K');
INSERT INTO keyed VALUES ('a', 1);
CREATE FOREIGN TABLE key_bytes (value bytea, key bytea OPTIONS (metadata 'key'), at bigint OPTIONS (metadata 'offset')) SERVER formats_protobuf
  OPTIONS (topic 't_formats_protobuf_two', format 'raw');
SELECT value, key FROM key_bytes WHERE at = 4;

-- The first and the last that a field can take.
SELECT max(at) + 1 AS mark FROM bytes \gset
INSERT INTO narrow (f, at_time, span, day) VALUES (3.4e38, '9999-12-31 23:59:59.999999Z', '3652500 days', '294000-01-01'), (-3.4e38, '0001-01-01 00:00Z', '-3652500 days', '0001-01-01 BC');
SELECT f, at_time, span, day FROM narrow WHERE at >= :mark;

SET client_min_messages = warning;
DROP SCHEMA formats_protobuf CASCADE;
DROP SERVER formats_protobuf CASCADE;
DROP SERVER formats_protobuf_files CASCADE;
DROP ROLE regress_formats_protobuf;
