-- Format avro in messages: one record each, by a schema that an option gives.
CREATE EXTENSION IF NOT EXISTS feathub;
CREATE SCHEMA formats_avro;
SET search_path = formats_avro;
SET timezone = 'UTC';
SET datestyle = 'ISO';
CREATE SERVER formats_avro FOREIGN DATA WRAPPER feathub_kafka OPTIONS (bootstrap_servers 'embedded');
CREATE USER MAPPING FOR CURRENT_USER SERVER formats_avro;
CREATE FOREIGN TABLE records (a int, t text, ts timestamptz, n numeric(5,2), arr int[]) SERVER formats_avro
 OPTIONS (topic 't_formats_avro', format 'avro', avro_schema '{"type":"record","name":"r","fields":[{"name":"a","type":"int"},
  {"name":"t","type":["null","string"]},{"name":"ts","type":{"type":"long","logicalType":"timestamp-millis"}},
  {"name":"n","type":["null",{"type":"bytes","logicalType":"decimal","precision":5,"scale":2}]},
  {"name":"arr","type":{"type":"array","items":["null","int"]}}]}');
CREATE FOREIGN TABLE bytes (value bytea) SERVER formats_avro OPTIONS (topic 't_formats_avro', format 'raw');

-- What is written reads back, and has the bytes that Avro says.
INSERT INTO records VALUES (1, 'x', '2024-01-01 00:00+00', -1.25, '{1,null}'), (-2, NULL, '1969-12-31 23:59:59+00', NULL, '{}');
SELECT * FROM records;
SELECT value FROM bytes;
INSERT INTO records VALUES (NULL);

-- Records that are none.
INSERT INTO bytes VALUES ('\x0405');
SELECT * FROM records;

-- Messages need a schema, and parquet is none of theirs.
CREATE FOREIGN TABLE without (a int) SERVER formats_avro OPTIONS (topic 't_formats_avro', format 'avro');
SELECT * FROM without;
CREATE FOREIGN TABLE parquet (a int) SERVER formats_avro OPTIONS (topic 't_formats_avro', format 'parquet');
SELECT * FROM parquet;
CREATE FOREIGN TABLE wrong (a int) SERVER formats_avro OPTIONS (topic 't_formats_avro', format 'avro', avro_schema '{"type":"record"}');

-- Few bytes stand for few values.
CREATE FOREIGN TABLE nothing (j jsonb, a text[]) SERVER formats_avro OPTIONS (topic 't_formats_avro_empty', format 'avro',
  avro_schema '{"type":"record","name":"r","fields":[{"name":"j","type":{"type":"array","items":"null"}},{"name":"a","type":{"type":"array","items":"null"}}]}');
CREATE FOREIGN TABLE put_nothing (value bytea) SERVER formats_avro OPTIONS (topic 't_formats_avro_empty', format 'raw');
INSERT INTO put_nothing VALUES ('\x04000600'), ('\x00c09a0c00');
SELECT jsonb_array_length(j), cardinality(a) FROM nothing;
INSERT INTO put_nothing VALUES (decode('00' || repeat('c09a0c', 3) || '00', 'hex'));
SELECT count(j) FROM nothing;
SELECT count(a) FROM nothing;
DO $$
DECLARE
  schema text := '{"type":"record","name":"r0","fields":[]}';
BEGIN
  FOR i IN 1 .. 40 LOOP
    schema := format('{"type":"record","name":"r%s","fields":[{"name":"a","type":%s},{"name":"b","type":"r%s"}]}', i, schema, i - 1);
  END LOOP;
  EXECUTE format('CREATE FOREIGN TABLE twice (n int, d jsonb) SERVER formats_avro OPTIONS (topic %L, format %L, avro_schema %L)', 't_formats_avro_twice', 'avro',
    format('{"type":"record","name":"r","fields":[{"name":"d","type":%s},{"name":"n","type":"int"}]}', schema));
END $$;
CREATE FOREIGN TABLE put_twice (value bytea) SERVER formats_avro OPTIONS (topic 't_formats_avro_twice', format 'raw');
INSERT INTO put_twice VALUES ('\x02');
SELECT n FROM twice;
SELECT d FROM twice;

-- Numbers that a float cannot be.
CREATE FOREIGN TABLE floats (f float8, n numeric) SERVER formats_avro OPTIONS (topic 't_formats_avro_twice', format 'avro',
  avro_schema '{"type":"record","name":"r","fields":[{"name":"f","type":["null","float"]},{"name":"n","type":["null","float"]}]}');
INSERT INTO floats (f) VALUES (1e39);
INSERT INTO floats (n) VALUES (-1e39);
-- nanoseconds end in 2262, and bytes may be fewer than digits need
CREATE FOREIGN TABLE narrow (ts timestamptz, l timestamp, d numeric, at bigint OPTIONS (metadata 'offset')) SERVER formats_avro OPTIONS (topic 't_formats_avro_empty', format 'avro',
  avro_schema '{"type":"record","name":"r","fields":[{"name":"ts","type":["null",{"type":"long","logicalType":"timestamp-nanos"}]},
  {"name":"l","type":["null",{"type":"long","logicalType":"local-timestamp-nanos"}]},{"name":"d","type":["null",{"type":"fixed","name":"f","size":2,"logicalType":"decimal","precision":10,"scale":1}]}]}');
INSERT INTO narrow (ts) VALUES ('2263-01-01 00:00Z');
INSERT INTO narrow (l) VALUES ('1677-01-01 00:00');
INSERT INTO narrow (d) VALUES (3276.8);
INSERT INTO narrow (d) VALUES (-3276.9);
INSERT INTO narrow (d) VALUES (9999999);
INSERT INTO narrow VALUES ('2262-04-11 23:47:16.854775Z', '1677-09-21 00:12:43.145225', 3276.7), (NULL, NULL, -3276.8);
SELECT ts, l, d FROM narrow WHERE at > 2;

-- Documents are written as whatever the schema has, and come back.
CREATE FOREIGN TABLE documents (id int, m jsonb, r jsonb, a json, u jsonb, d jsonb, "offset" bigint OPTIONS (metadata 'offset')) SERVER formats_avro
 OPTIONS (topic 't_formats_avro_json', format 'avro', avro_schema '{"type":"record","name":"r","fields":[{"name":"id","type":"int"},
  {"name":"m","type":["null",{"type":"map","values":["null","double"]}]},
  {"name":"r","type":["null",{"type":"record","name":"in","fields":[{"name":"x","type":"int"},{"name":"o","type":["null","string"]},
    {"name":"at","type":{"type":"long","logicalType":"timestamp-micros"},"default":0},{"name":"by","type":"bytes","default":"\u00ff\u0001"},
    {"name":"dec","type":{"type":"bytes","logicalType":"decimal","precision":6,"scale":2},"default":"\u0064"},
    {"name":"e","type":{"type":"enum","name":"en","symbols":["A","B"]},"default":"B"}]}]},
  {"name":"a","type":{"type":"array","items":["null","in","long"]}},
  {"name":"u","type":["null","string","boolean","long","double",{"type":"fixed","name":"f2","size":2}]},
  {"name":"d","type":{"type":"array","items":{"type":"int","logicalType":"date"}}},
  {"name":"more","type":{"type":"map","values":"int"},"default":{"k":1}}]}');
INSERT INTO documents (id, m, r, a, u, d) VALUES
  (1, '{"k": 1.5, "l": null}', '{"x": 1}', '[null, {"x": 2, "o": "q", "at": "2024-01-01T00:00:00Z", "by": "AAE=", "dec": "1.25", "e": "A"}, 7]', '"s"', '["2024-01-01", 0]'),
  (2, NULL, NULL, '[]', '7', '[]'),
  (3, '{}', '{"x": -1, "dec": 3}', '[1]', '1.5', '[]'),
  (4, NULL, NULL, '[]', 'true', '[]'),
  (5, NULL, NULL, '[]', 'null', '[]');
SELECT * FROM documents;
INSERT INTO documents (id, a, d) VALUES (6, '[1.5]', '[]');
INSERT INTO documents (id, a, d) VALUES (6, '{}', '[]');
INSERT INTO documents (id, a, d, m) VALUES (6, '[]', '[]', '{"k": "text"}');
INSERT INTO documents (id, a, d, r) VALUES (6, '[]', '[]', '{"o": "x is missing"}');
INSERT INTO documents (id, a, d, r) VALUES (6, '[]', '[]', '{"x": 1, "e": "C"}');
INSERT INTO documents (id, a, d, r) VALUES (6, '[]', '[]', '{"x": 1, "by": "no base64"}');
INSERT INTO documents (id, a, d) VALUES (6, '[]', '["2024-13-01"]');
INSERT INTO documents (id, a, d, r) VALUES (6, '[]', '[]', '{"x": 3000000000}');

-- A message may tell its schema by a fingerprint, which is the specification's.
CREATE FOREIGN TABLE single (n int, t text) SERVER formats_avro OPTIONS (topic 't_formats_avro_single', format 'avro', avro_encoding 'single_object',
 avro_schema '{"type":"record","namespace":"a.b","name":"r","doc":"is not a part of it","fields":[{"name":"n","type":{"type":"int"},"default":5},{"name":"t","type":["null","string"]}]}');
CREATE FOREIGN TABLE single_bytes (value bytea) SERVER formats_avro OPTIONS (topic 't_formats_avro_single', format 'raw');
INSERT INTO single VALUES (1, 'x');
TABLE single_bytes;
TABLE single;
INSERT INTO single_bytes VALUES ('\xc301000000000000000002'), ('\x02');
TABLE single;
CREATE FOREIGN TABLE confluent (n int) SERVER formats_avro OPTIONS (topic 't_formats_avro', format 'avro', avro_encoding 'confluent');
TABLE confluent;
INSERT INTO confluent VALUES (1);

-- Hopsworks' layout: complex features are bytes with a value in them.
CREATE TYPE place AS (zip text, city text);
CREATE FOREIGN TABLE hopsworks (id int OPTIONS (key 'true'), at timestamptz, tags text[], place place, m jsonb,
    headers jsonb OPTIONS (metadata 'headers'), k text OPTIONS (metadata 'key')) SERVER formats_avro
 OPTIONS (topic 't_formats_avro_hopsworks', format 'hopsworks-avro', key_format 'hopsworks-avro', write_mode 'upsert', hopsworks_feature_group_id '10', hopsworks_project_id '119',
  avro_schema '{"type":"record","name":"fg_1","fields":[{"name":"id","type":["null","int"]},{"name":"at","type":["null",{"type":"long","logicalType":"timestamp-micros"}]},
  {"name":"tags","type":["null",{"type":"array","items":["null","string"]}]},
  {"name":"place","type":["null",{"type":"record","name":"p","fields":[{"name":"zip","type":["null","string"]},{"name":"city","type":["null","string"]}]}]},
  {"name":"m","type":["null",{"type":"map","values":["null","long"]}]}]}');
CREATE FOREIGN TABLE hopsworks_bytes (value bytea, headers jsonb OPTIONS (metadata 'headers'), k text OPTIONS (metadata 'key')) SERVER formats_avro
 OPTIONS (topic 't_formats_avro_hopsworks', format 'raw');
INSERT INTO hopsworks VALUES (1, '2024-01-01 00:00+00', '{a,null}', '(z,c)', '{"x": 1}');
INSERT INTO hopsworks (id, headers) VALUES (2, '{"operation": "upsert", "featureGroupId": "10", "own": null}');
DELETE FROM hopsworks WHERE id = 2;
TABLE hopsworks_bytes;
-- both ways to write null; older clients' storage; another group; who is unknown
INSERT INTO hopsworks_bytes VALUES
  ('\x02060002020002020000', '{"featureGroupId": "10", "projectId": "119", "storage": "1"}', '3'),
  ('\x020800000000', '{"featureGroupId": "10", "projectId": "119", "storage": "0"}', '4'),
  ('\xff', '{"featureGroupId": "11", "projectId": "119"}', '5'),
  ('\xff', '{"featureGroupId": "10", "projectId": "120"}', '5'),
  ('\xff', NULL, '5');
SELECT id, at, tags, place, m FROM hopsworks;
SELECT count(*) FROM hopsworks;
CREATE FOREIGN TABLE hopsworks_online (id int) SERVER formats_avro OPTIONS (topic 't_formats_avro_hopsworks', format 'hopsworks-avro', hopsworks_storage 'online',
  hopsworks_feature_group_id '10', hopsworks_project_id '119',
  avro_schema '{"type":"record","name":"fg_1","fields":[{"name":"id","type":["null","int"]},{"name":"at","type":["null",{"type":"long","logicalType":"timestamp-micros"}]},
  {"name":"tags","type":["null",{"type":"array","items":["null","string"]}]},{"name":"place","type":["null",{"type":"map","values":"int"}]},{"name":"m","type":["null",{"type":"map","values":["null","long"]}]}]}');
TABLE hopsworks_online;
INSERT INTO hopsworks_bytes VALUES ('\x0206000000', '{"featureGroupId": "10", "projectId": "119", "operation": "merge"}', '3');
TABLE hopsworks_online;
CREATE FOREIGN TABLE hopsworks_bare (id int) SERVER formats_avro OPTIONS (topic 't_formats_avro_hopsworks', format 'hopsworks-avro');
TABLE hopsworks_bare;

-- Debezium's messages in avro, in an envelope and flat.
CREATE FOREIGN TABLE debezium_bytes (k text OPTIONS (metadata 'key'), value bytea) SERVER formats_avro OPTIONS (topic 't_formats_avro_debezium', format 'raw');
CREATE FOREIGN TABLE debezium (id int, name text, at timestamptz, op text OPTIONS (envelope 'op'), tab text OPTIONS (envelope 'source.table'), lsn bigint OPTIONS (envelope 'source.lsn'),
    tx text OPTIONS (envelope 'transaction.id'), "offset" bigint OPTIONS (metadata 'offset')) SERVER formats_avro
 OPTIONS (topic 't_formats_avro_debezium', format 'debezium-avro', avro_schema '{"type":"record","name":"Envelope","fields":[
  {"name":"before","type":["null",{"type":"record","name":"Value","fields":[{"name":"id","type":"int"},{"name":"name","type":["null","string"]},{"name":"at","type":["null",{"type":"long","connect.name":"io.debezium.time.Timestamp"}]}]}]},
  {"name":"after","type":["null","Value"]},
  {"name":"source","type":{"type":"record","name":"Source","fields":[{"name":"table","type":"string"},{"name":"ts_ms","type":"long"},{"name":"lsn","type":["null","long"]}]}},
  {"name":"op","type":"string"},{"name":"ts_ms","type":["null","long"]}]}');
INSERT INTO debezium_bytes VALUES
  ('1', '\x00020202026102020274020206027200'),	-- r 1
  ('2', '\x00020400000274020002630202'),	-- c 2
  ('2', '\x020400000002740200026400'),	-- d 2
  ('2', NULL);
TABLE debezium;
INSERT INTO debezium_bytes VALUES
  ('3', '\x000002740200026d00'),	-- m: no row
  ('3', '\x000002740200027400'),	-- t
  ('3', '\x000002740200027800'),	-- x
  ('3', '\x000002740200026300'),	-- c without a row
  ('3', '\x00');
SELECT count(*) FROM debezium WHERE "offset" = 4;
SELECT * FROM debezium WHERE "offset" = 5;
SELECT * FROM debezium WHERE "offset" = 6;
SELECT * FROM debezium WHERE "offset" = 7;
SELECT * FROM debezium WHERE "offset" = 8;
CREATE FOREIGN TABLE flat_bytes (value bytea) SERVER formats_avro OPTIONS (topic 't_formats_avro_flat', format 'raw');
CREATE FOREIGN TABLE flat (id int, name text, at timestamptz) SERVER formats_avro
 OPTIONS (topic 't_formats_avro_flat', format 'debezium-avro', avro_schema '{"type":"record","name":"Value","fields":[{"name":"id","type":"int"},{"name":"name","type":["null","string"]},
  {"name":"at","type":{"type":"long","logicalType":"timestamp-millis"}},{"name":"__deleted","type":["null","string"]},{"name":"__op","type":["null","string"]},{"name":"__source_ts_ms","type":["null","long"]}]}');
INSERT INTO flat_bytes VALUES
  ('\x0202026102020a66616c73650202630202'),
  ('\x0402026204000202630204'),
  ('\x04020262060208747275650202640206');
TABLE flat;
SELECT feathub.create_feature_group('formats_avro_flat', source => 'flat', primary_key => '{id}', event_time => 'at');
SELECT feathub.wait_for_job('formats_avro_flat', timeout => '60 s');
SELECT * FROM formats_avro_flat_online ORDER BY id;
SELECT records, applied, skipped, dead_letters FROM feathub.job_status WHERE job = 'formats_avro_flat';
SELECT feathub.drop_feature_group('formats_avro_flat');

-- Names that schemas' types have, when they lead back to themselves.
CREATE TYPE node_at AS (at timestamptz, kids int[]);
CREATE FOREIGN TABLE tree (v int, next node_at) SERVER formats_avro OPTIONS (topic 't_formats_avro', format 'avro',
 avro_schema '{"type":"record","name":"node","fields":[{"name":"v","type":"int"},{"name":"next","type":["null","node"]},{"name":"at","type":"boolean"}]}');
TABLE tree;

SET client_min_messages = warning;
DROP SCHEMA formats_avro CASCADE;
DROP SERVER formats_avro CASCADE;
