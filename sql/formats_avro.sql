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

SET client_min_messages = warning;
DROP SCHEMA formats_avro CASCADE;
DROP SERVER formats_avro CASCADE;
