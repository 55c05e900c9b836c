-- Jobs that write to foreign tables: topics with events and topics with the latest row of each key.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS feathub;
CREATE SCHEMA ingest_sinks;
SET search_path = ingest_sinks;
CREATE SERVER ingest_sinks FOREIGN DATA WRAPPER feathub_kafka OPTIONS (bootstrap_servers 'embedded');
CREATE USER MAPPING FOR CURRENT_USER SERVER ingest_sinks;
SET TIME ZONE 'UTC';

CREATE FOREIGN TABLE clicks (user_id int OPTIONS (key 'true'), at timestamptz, n int)
  SERVER ingest_sinks OPTIONS (topic 't_sink_source', key_format 'json');
CREATE FOREIGN TABLE clicks_raw (k text OPTIONS (metadata 'key'), value text)
  SERVER ingest_sinks OPTIONS (topic 't_sink_source', format 'raw');
INSERT INTO clicks VALUES (1, '2020-01-01 00:00:01', 1), (2, '2020-01-01 00:00:02', 2), (1, '2020-01-01 00:00:03', 3);

-- Events are added, transformed by a query.
CREATE FOREIGN TABLE doubled (pos bigint OPTIONS (metadata 'offset'), user_id bigint, twice numeric)
  SERVER ingest_sinks OPTIONS (topic 't_sink_append');
CREATE FOREIGN TABLE doubled_sink (user_id bigint, twice numeric) SERVER ingest_sinks OPTIONS (topic 't_sink_append');
SELECT feathub.create_job('doubled', source => 'clicks', sink => 'doubled_sink',
  query => 'SELECT user_id, n * 2 AS twice FROM batch WHERE n IS DISTINCT FROM 2', synchronous_commit => false);
SELECT feathub.wait_for_job('doubled', timeout => '60 s');
TABLE doubled;

-- The latest row of each key, with deletions.
CREATE FOREIGN TABLE latest_sink (user_id int OPTIONS (key 'true'), at timestamptz, n int)
  SERVER ingest_sinks OPTIONS (topic 't_sink_upsert', key_format 'json', write_mode 'upsert');
CREATE FOREIGN TABLE latest_raw (pos bigint OPTIONS (metadata 'offset'), k text OPTIONS (metadata 'key'), value text)
  SERVER ingest_sinks OPTIONS (topic 't_sink_upsert', format 'raw');
SELECT feathub.create_job('latest', source => 'clicks', sink => 'latest_sink');
SELECT feathub.wait_for_job('latest', timeout => '60 s');
SELECT k, value FROM latest_raw ORDER BY pos;
INSERT INTO clicks_raw VALUES ('{"user_id":1}', NULL);
SELECT feathub.wait_for_job('doubled', timeout => '60 s');
SELECT feathub.wait_for_job('latest', timeout => '60 s');
SELECT k, value FROM latest_raw ORDER BY pos;
SELECT job, records, applied, duplicates, skipped, dead_letters, last_error FROM feathub.job_status ORDER BY job;
-- A group follows the sink's topic in turn.
SELECT feathub.create_feature_group('latest', source => 'latest_sink', primary_key => '{user_id}', event_time => 'at', deletes => true, job => 'latest_group');
SELECT feathub.wait_for_job('latest_group', timeout => '60 s');
TABLE latest_online;

-- A record without a key is a dead letter; one that another constraint refuses too.
INSERT INTO clicks_raw VALUES ('{}', '{"at":"2020-01-01 00:00:05","n":5}'), ('{"user_id":3}', '{"user_id":3,"n":"three"}'),
  ('{"user_id":4}', '{"user_id":4,"at":"2020-01-01 00:00:06","n":6}');
SELECT feathub.wait_for_job('latest', timeout => '60 s');
SELECT job, convert_from(value, 'UTF8') AS value, message FROM feathub.dead_letter WHERE job = 'latest' ORDER BY dead_letter_id;
SELECT k, value FROM latest_raw ORDER BY pos DESC LIMIT 1;

-- By hand: INSERT replaces, DELETE sends tombstones, UPDATE is not for topics.
INSERT INTO latest_sink VALUES (9, '2020-01-01', 9);
DELETE FROM latest_sink WHERE user_id = 9;
SELECT k, value FROM latest_raw WHERE k = '{"user_id":9}' ORDER BY pos;
INSERT INTO latest_sink VALUES (NULL, '2020-01-01', 9);
UPDATE latest_sink SET n = 1;
DELETE FROM doubled_sink;

-- What cannot be a sink.
CREATE FOREIGN TABLE no_key (user_id int OPTIONS (key 'true')) SERVER ingest_sinks OPTIONS (topic 't_sink_upsert', write_mode 'upsert');
SELECT feathub.create_job('bad', source => 'clicks', sink => 'no_key');
CREATE FOREIGN TABLE other_type (user_id bigint OPTIONS (key 'true'), at timestamptz, n int)
  SERVER ingest_sinks OPTIONS (topic 't_sink_upsert', key_format 'json', write_mode 'upsert');
SELECT feathub.create_job('bad', source => 'clicks', sink => 'other_type');
SELECT feathub.create_job('bad', source => 'clicks', sink => 'latest_sink', query => 'SELECT at, n FROM batch');
CREATE FOREIGN TABLE maxwell (user_id int, at timestamptz, n int) SERVER ingest_sinks OPTIONS (topic 't_sink_upsert', format 'maxwell-json');
SELECT feathub.create_job('maxwell', source => 'clicks', sink => 'maxwell');

-- A sink in use is not dropped without its job.
DROP FOREIGN TABLE latest_sink;
DROP FOREIGN TABLE latest_sink CASCADE;
SELECT name FROM feathub.job ORDER BY name;
DROP SCHEMA ingest_sinks CASCADE;
DROP SERVER ingest_sinks CASCADE;
SELECT count(*) FROM feathub.job;
