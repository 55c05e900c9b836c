-- Where columns of a Kafka table come from: the value, the key, metadata; topics by list and pattern.
CREATE EXTENSION IF NOT EXISTS feathub;
CREATE SERVER kafka_columns FOREIGN DATA WRAPPER feathub_kafka OPTIONS (bootstrap_servers 'embedded');
CREATE SCHEMA kafka_columns;
SET search_path = kafka_columns;
SET timezone = 'UTC';

-- All metadata, written and read.
CREATE FOREIGN TABLE meta (
    a int,
    topic text OPTIONS (metadata 'topic'),
    part int OPTIONS (metadata 'partition'),
    off int8 OPTIONS (metadata 'offset'),
    at timestamptz OPTIONS (metadata 'timestamp'),
    at_type text OPTIONS (metadata 'timestamp_type'),
    k bytea OPTIONS (metadata 'key'),
    h jsonb OPTIONS (metadata 'headers'))
  SERVER kafka_columns OPTIONS (topic 'kc_meta', format 'json');
INSERT INTO meta (a, part, at, k, h) VALUES
  (1, 0, '2013-01-01 00:00:00.123+00', 'key', '[{"key": "x", "value": "1"}, {"key": "x", "value": "2"}]'),
  (2, 0, '2013-01-01 00:00:01+00', '\x00ff', '[{"key": "n", "value": null}, {"key": "b", "value": {"base64": "AP8="}}]'),
  (3, 0, '2013-01-01 00:00:04+00', '', '{"short": "form"}'),
  (4, 1, '2013-01-01 00:00:02+00', NULL, NULL),
  (5, 1, '2013-01-01 00:00:03+00', 'word', '[]');
SELECT * FROM meta ORDER BY part, off;
SELECT off FROM meta WHERE a = 4;
SELECT count(*) FROM meta;
SELECT meta FROM meta WHERE part = 1 ORDER BY off;

-- The same key as text; one that is no text is an error that says so.
CREATE FOREIGN TABLE meta_text (k text OPTIONS (metadata 'key'), part int OPTIONS (metadata 'partition'), off int8 OPTIONS (metadata 'offset'))
  SERVER kafka_columns OPTIONS (topic 'kc_meta', format 'json');
SELECT off, k FROM meta_text WHERE part = 1 ORDER BY off;
SELECT off, k FROM meta_text WHERE part = 0 ORDER BY off;
\echo :LAST_ERROR_SQLSTATE
SELECT off FROM meta_text WHERE part = 0 ORDER BY off;

-- Headers that are none.
INSERT INTO meta (a, h) VALUES (1, '"x"');
INSERT INTO meta (a, h) VALUES (1, '[1]');
INSERT INTO meta (a, h) VALUES (1, '[{"value": "x"}]');
INSERT INTO meta (a, h) VALUES (1, '[{"key": "x", "value": 1}]');
INSERT INTO meta (a, h) VALUES (1, '[{"key": "x", "value": {"base64": "?"}}]');
INSERT INTO meta (a, h) VALUES (1, '[{"key": "x", "value": {"hex": "00"}}]');
INSERT INTO meta (a, h) VALUES (1, '{"x": ["y"]}');

-- Types that cannot show what they shall.
CREATE FOREIGN TABLE wrong_type (a int OPTIONS (metadata 'offset')) SERVER kafka_columns OPTIONS (topic 'kc_meta');
SELECT * FROM wrong_type;
\echo :LAST_ERROR_SQLSTATE
CREATE FOREIGN TABLE wrong_length (a varchar(3) OPTIONS (metadata 'key')) SERVER kafka_columns OPTIONS (topic 'kc_meta');
SELECT * FROM wrong_length;
CREATE FOREIGN TABLE wrong_time (a timestamp OPTIONS (metadata 'timestamp')) SERVER kafka_columns OPTIONS (topic 'kc_meta');
SELECT * FROM wrong_time;
CREATE FOREIGN TABLE wrong_headers (a json OPTIONS (metadata 'headers')) SERVER kafka_columns OPTIONS (topic 'kc_meta');
SELECT * FROM wrong_headers;
CREATE FOREIGN TABLE twice (a int8 OPTIONS (metadata 'offset'), b int8 OPTIONS (metadata 'offset')) SERVER kafka_columns OPTIONS (topic 'kc_meta');
SELECT * FROM twice;
CREATE FOREIGN TABLE both_options (a text OPTIONS (metadata 'key', key 'true')) SERVER kafka_columns OPTIONS (topic 'kc_meta');
SELECT * FROM both_options;

-- A key with a format of its own.
CREATE FOREIGN TABLE keyed (part int OPTIONS (metadata 'partition'), id int OPTIONS (key 'true'), region text OPTIONS (key 'true'), a text)
  SERVER kafka_columns OPTIONS (topic 'kc_keyed', format 'json', key_format 'json');
CREATE FOREIGN TABLE keyed_except (part int OPTIONS (metadata 'partition'), id int OPTIONS (key 'true'), region text OPTIONS (key 'true'), a text)
  SERVER kafka_columns OPTIONS (topic 'kc_keyed', format 'json', key_format 'json', value_fields 'except_key');
CREATE FOREIGN TABLE keyed_raw (part int OPTIONS (metadata 'partition'), off int8 OPTIONS (metadata 'offset'), k text OPTIONS (metadata 'key'), v text)
  SERVER kafka_columns OPTIONS (topic 'kc_keyed', format 'raw');
INSERT INTO keyed VALUES (0, 1, 'eu', 'all');
INSERT INTO keyed_except VALUES (0, 2, 'us', 'except');
INSERT INTO keyed_raw (part, k, v) VALUES (0, '{"id": 3, "region": "key"}', '{"id": 30, "region": "value", "a": "key wins"}'),
  (0, '{"id": 4, "region": "gone"}', NULL), (0, NULL, '{"id": 5, "a": "no key"}');
SELECT off, k, v FROM keyed_raw ORDER BY off;
SELECT id, region, a FROM keyed ORDER BY id;
SELECT id, region, a FROM keyed_except ORDER BY id;
SELECT id FROM keyed ORDER BY id;
SELECT a FROM keyed ORDER BY a;

-- Options of keys that do not fit.
CREATE FOREIGN TABLE key_missing (id int) SERVER kafka_columns OPTIONS (topic 'kc_keyed', key_format 'json');
SELECT * FROM key_missing;
\echo :LAST_ERROR_SQLSTATE
CREATE FOREIGN TABLE except_missing (id int OPTIONS (key 'true')) SERVER kafka_columns OPTIONS (topic 'kc_keyed', value_fields 'except_key');
SELECT * FROM except_missing;
CREATE FOREIGN TABLE id_missing (id int) SERVER kafka_columns OPTIONS (topic 'kc_keyed', transactional_id 'x');
SELECT * FROM id_missing;

-- Several topics: a list, in any order and twice; a pattern.
CREATE FOREIGN TABLE one (part int OPTIONS (metadata 'partition'), a text) SERVER kafka_columns OPTIONS (topic 'kc_many_one', format 'raw');
CREATE FOREIGN TABLE two (part int OPTIONS (metadata 'partition'), a text) SERVER kafka_columns OPTIONS (topic 'kc_many_two', format 'raw');
INSERT INTO one VALUES (0, 'first'), (1, 'second');
INSERT INTO two VALUES (0, 'third');
CREATE FOREIGN TABLE list (topic text OPTIONS (metadata 'topic'), a text) SERVER kafka_columns OPTIONS (topic 'kc_many_two, kc_many_one,kc_many_two', format 'raw');
SELECT * FROM list ORDER BY 1, 2;
CREATE FOREIGN TABLE pattern (topic text OPTIONS (metadata 'topic'), a text) SERVER kafka_columns OPTIONS (topic '^kc_many_(one|two|three)$', format 'raw');
SELECT * FROM pattern ORDER BY 1, 2;
CREATE FOREIGN TABLE nothing (topic text OPTIONS (metadata 'topic'), a text) SERVER kafka_columns OPTIONS (topic '^kc_no_such', format 'raw');
SELECT * FROM nothing;

SET client_min_messages = warning;
DROP SERVER kafka_columns CASCADE;
DROP SCHEMA kafka_columns CASCADE;
