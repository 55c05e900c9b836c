-- Format raw: the value as it is, in one column.
CREATE EXTENSION IF NOT EXISTS feathub;
CREATE SCHEMA formats_raw;
SET search_path = formats_raw;
SET timezone = 'UTC';
SET datestyle = 'ISO';
CREATE SERVER formats_raw FOREIGN DATA WRAPPER feathub_kafka OPTIONS (bootstrap_servers 'embedded');
CREATE USER MAPPING FOR CURRENT_USER SERVER formats_raw;
CREATE DOMAIN short AS text CHECK (length(VALUE) < 4);
CREATE FOREIGN TABLE bytes (value bytea, pos bigint OPTIONS (metadata 'offset')) SERVER formats_raw OPTIONS (topic 't_formats_raw', format 'raw');
CREATE FOREIGN TABLE texts (pos bigint OPTIONS (metadata 'offset'), value text) SERVER formats_raw OPTIONS (topic 't_formats_raw', format 'raw');
CREATE FOREIGN TABLE latin (pos bigint OPTIONS (metadata 'offset'), value text) SERVER formats_raw OPTIONS (topic 't_formats_raw', format 'raw', encoding 'LATIN1');
CREATE FOREIGN TABLE chars (pos bigint OPTIONS (metadata 'offset'), value varchar(2)) SERVER formats_raw OPTIONS (topic 't_formats_raw', format 'raw');
CREATE FOREIGN TABLE domains (pos bigint OPTIONS (metadata 'offset'), value short) SERVER formats_raw OPTIONS (topic 't_formats_raw', format 'raw');
CREATE FOREIGN TABLE meta (pos bigint OPTIONS (metadata 'offset'), key bytea OPTIONS (metadata 'key')) SERVER formats_raw OPTIONS (topic 't_formats_raw', format 'raw');
INSERT INTO bytes (value) VALUES ('\x'), (NULL), ('\x00'), ('\x610062'), ('\xff'), ('\xc3a9'), ('\x616263'), ('\x61626364'), ('\x610a');
SELECT pos, value, value IS NULL AS tombstone FROM bytes ORDER BY pos;
SELECT pos, value, value IS NULL AS tombstone FROM texts WHERE pos IN (0, 1, 5, 6, 7, 8) ORDER BY pos;
SELECT value FROM texts WHERE pos = 2;
SELECT value FROM texts WHERE pos = 3;
SELECT value FROM texts WHERE pos = 4;
SELECT value FROM latin WHERE pos = 4;
SELECT value FROM latin WHERE pos = 5;
SELECT value FROM chars WHERE pos = 5;
SELECT value FROM chars WHERE pos = 6;
SELECT value FROM domains WHERE pos = 6;
SELECT value FROM domains WHERE pos = 7;
SELECT count(*), count(key) FROM meta;
-- one byte to a megabyte
INSERT INTO bytes (value) SELECT decode(repeat(lpad(to_hex(i % 256), 2, '0'), (2 ^ i)::int), 'hex') FROM generate_series(0, 19) i;
SELECT count(*), bool_and(length(value) = 2 ^ (pos - 9)) AS lengths, bool_and(value = decode(repeat(lpad(to_hex((pos - 9) % 256), 2, '0'), (2 ^ (pos - 9))::int), 'hex')) AS same FROM bytes WHERE pos >= 9;
-- larger than the producer allows: an error, not a loss
\set VERBOSITY terse
INSERT INTO texts (value) VALUES (repeat('x', 3000000));
\set VERBOSITY default
SELECT count(*) FROM meta;
-- text is written in the table's encoding
INSERT INTO latin (value) VALUES ('é');
INSERT INTO latin (value) VALUES ('€');
INSERT INTO texts (value) VALUES ('é');
INSERT INTO chars (value) VALUES ('abc');
INSERT INTO domains (value) VALUES ('abcd');
SELECT pos, value FROM bytes WHERE pos > 28 ORDER BY pos;
-- Keys of each format; keys that are no text.
CREATE FOREIGN TABLE keyed (k text OPTIONS (key 'true'), value bytea) SERVER formats_raw OPTIONS (topic 't_formats_raw_two', format 'raw', key_format 'raw', value_fields 'except_key');
CREATE FOREIGN TABLE json_keyed (a int OPTIONS (key 'true'), b text OPTIONS (key 'true'), pos bigint OPTIONS (metadata 'offset'), value bytea) SERVER formats_raw OPTIONS (topic 't_formats_raw_two', format 'raw', key_format 'json', value_fields 'except_key');
CREATE FOREIGN TABLE key_bytes (key bytea OPTIONS (metadata 'key'), pos bigint OPTIONS (metadata 'offset'), value bytea) SERVER formats_raw OPTIONS (topic 't_formats_raw_two', format 'raw');
CREATE FOREIGN TABLE key_text (key text OPTIONS (metadata 'key'), pos bigint OPTIONS (metadata 'offset'), value bytea) SERVER formats_raw OPTIONS (topic 't_formats_raw_two', format 'raw');
INSERT INTO keyed VALUES ('k1', 'v1'), (NULL, 'v2'), ('', 'v3'), ('k4', NULL);
INSERT INTO json_keyed (a, b, value) VALUES (1, 'x', 'v5'), (NULL, NULL, 'v6');
INSERT INTO key_bytes (key, value) VALUES ('\xff', 'v7'), ('\x00', 'v8');
SELECT key, pos, value FROM key_bytes ORDER BY pos;
SELECT a, b, value FROM json_keyed WHERE pos IN (4, 5) ORDER BY pos;
SELECT a FROM json_keyed WHERE pos = 0;
SELECT key FROM key_text WHERE pos = 6;
SELECT key FROM key_text WHERE pos = 7;
-- What it cannot be.
CREATE FOREIGN TABLE two (a text, b text) SERVER formats_raw OPTIONS (topic 't', format 'raw');
SELECT * FROM two;
CREATE FOREIGN TABLE number (a int) SERVER formats_raw OPTIONS (topic 't', format 'raw');
SELECT * FROM number;
CREATE FOREIGN TABLE bad (a text) SERVER formats_raw OPTIONS (topic 't', format 'raw', delimiter ',');
CREATE FOREIGN TABLE bad (a text) SERVER formats_raw OPTIONS (topic 't', format 'row');

SET client_min_messages = warning;
DROP SCHEMA formats_raw CASCADE;
DROP SERVER formats_raw CASCADE;
