-- Ingestion: what a stream leaves in the online and the offline table.
CREATE EXTENSION IF NOT EXISTS feathub;
SET timezone = 'UTC';
SET datestyle = 'ISO';
CREATE ROLE regress_ingest_basic LOGIN;
GRANT USAGE ON FOREIGN DATA WRAPPER feathub_kafka TO regress_ingest_basic;
GRANT CREATE ON DATABASE :"DBNAME" TO regress_ingest_basic;
CREATE SCHEMA ingest_basic AUTHORIZATION regress_ingest_basic;
SET ROLE regress_ingest_basic;
SET search_path = ingest_basic;

-- The statements of a first session, as an ordinary role.
CREATE SERVER kafka FOREIGN DATA WRAPPER feathub_kafka OPTIONS (bootstrap_servers 'embedded');
CREATE USER MAPPING FOR CURRENT_USER SERVER kafka;
CREATE FOREIGN TABLE weather_stream (origin text, time_hour timestamptz, temp float8, wind_speed float8, visib float8)
  SERVER kafka OPTIONS (topic 't_ingest_basic', format 'json');
SELECT feathub.create_feature_group('weather', source => 'weather_stream',
         primary_key => '{origin}', event_time => 'time_hour');
INSERT INTO weather_stream VALUES
  ('JFK', '2013-01-01 06:00+00', 39.02, 12.6, 10), ('JFK', '2013-01-01 07:00+00', 39.02, 13.8, 10),
  ('LGA', '2013-01-01 07:00+00', 39.92, 14.9, 9), ('EWR', '2013-01-01 06:00+00', NULL, NULL, NULL);
SELECT feathub.wait_for_job('weather', timeout => '60 s');
TABLE weather ORDER BY origin, time_hour;
TABLE weather_online ORDER BY origin;
CREATE VIEW counters AS
  SELECT job, records, applied, duplicates, dead_letters, skipped, expired, watermark,
         records = applied + duplicates + dead_letters + skipped + expired AS adds_up
    FROM feathub.job_status;
SELECT * FROM counters WHERE job = 'weather';
-- what workers tell of themselves comes a moment after the commit
CREATE FUNCTION wait_until(condition text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  met boolean;
BEGIN
  FOR i IN 1 .. 6000 LOOP
    EXECUTE 'SELECT ' || condition INTO met;
    IF met THEN RETURN; END IF;
    PERFORM pg_sleep(0.01);
  END LOOP;
  RAISE 'gave up waiting for: %', condition;
END $$;
SELECT wait_until('lag = 0 FROM feathub.job_status WHERE job = ''weather''');
SELECT state, reason, source, sink, owner, workers, workers_running, lag, lag_seconds, last_error, restarts
  FROM feathub.job_status WHERE job = 'weather';
SELECT partition, position, end_position, lag, records, watermark, replay_until FROM feathub.job_partition WHERE job = 'weather';
SELECT worker, pid IS NOT NULL AS has_pid, state, last_error FROM feathub.worker WHERE job = 'weather';
SELECT usename, application_name, backend_type FROM pg_stat_activity
 WHERE pid = (SELECT pid FROM feathub.worker WHERE job = 'weather');

-- Repeated records change nothing.
INSERT INTO weather_stream VALUES ('JFK', '2013-01-01 07:00+00', 39.02, 13.8, 10), ('EWR', '2013-01-01 06:00+00', NULL, NULL, NULL);
SELECT feathub.wait_for_job('weather', '60 s');
SELECT * FROM counters WHERE job = 'weather';

-- A late row is history and does not move the online row back.
INSERT INTO weather_stream VALUES ('JFK', '2013-01-01 05:00+00', 38, 1, 1), ('LGA', '2013-01-01 06:30+00', 37, 2, 2);
SELECT feathub.wait_for_job('weather', '60 s');
SELECT origin, time_hour, temp FROM weather ORDER BY origin, time_hour;
SELECT origin, time_hour, temp FROM weather_online ORDER BY origin;

-- Equal event times: the last arrival wins in both tables, within a batch and across batches.
INSERT INTO weather_stream VALUES ('JFK', '2013-01-01 07:00+00', 1, 1, 1), ('JFK', '2013-01-01 07:00+00', 2, 2, NULL);
SELECT feathub.wait_for_job('weather', '60 s');
SELECT * FROM weather WHERE origin = 'JFK' AND time_hour = '2013-01-01 07:00+00';
SELECT * FROM weather_online WHERE origin = 'JFK';
INSERT INTO weather_stream VALUES ('JFK', '2013-01-01 07:00+00', 3, 3, 3), ('JFK', '2013-01-01 05:00+00', 33, NULL, 3);
SELECT feathub.wait_for_job('weather', '60 s');
SELECT * FROM weather WHERE origin = 'JFK' ORDER BY time_hour;
SELECT * FROM weather_online WHERE origin = 'JFK';
SELECT records, applied + duplicates AS written, watermark, adds_up FROM counters WHERE job = 'weather';

-- Event times at the ends of time are event times too.
INSERT INTO weather_stream (origin, time_hour, temp) VALUES ('END', 'infinity', 1), ('END', '-infinity', 2), ('END', '2013-01-01', 3),
  ('END', '0044-03-15 12:00+00 BC', 4), ('END', '9999-12-31 23:59:59.999999+00', 5);
SELECT feathub.wait_for_job('weather', '60 s');
SELECT origin, time_hour, temp FROM weather WHERE origin = 'END' ORDER BY time_hour;
SELECT origin, time_hour, temp FROM weather_online WHERE origin = 'END';
SELECT dead_letters, watermark FROM counters WHERE job = 'weather';

-- A transaction that makes the group and rolls back leaves no job.
BEGIN;
SELECT feathub.create_feature_group('undone', source => 'weather_stream', primary_key => '{origin}', event_time => 'time_hour');
SELECT feathub.wait_for_job('undone', '10 s');
ROLLBACK;
SELECT job FROM feathub.job_status ORDER BY 1;

-- Without event time the last arrival wins, and the offline table has a row for each key.
CREATE FOREIGN TABLE last_stream (k int, v text) SERVER kafka OPTIONS (topic 't_ingest_basic_last', format 'json');
INSERT INTO last_stream VALUES (1, 'a'), (2, 'b'), (1, 'c');
SELECT feathub.create_feature_group('lasts', 'last_stream', '{k}');
SELECT feathub.wait_for_job('lasts', '60 s');
TABLE lasts ORDER BY k;
TABLE lasts_online ORDER BY k;
INSERT INTO last_stream VALUES (2, NULL), (1, 'd'), (1, 'a');
SELECT feathub.wait_for_job('lasts', '60 s');
TABLE lasts ORDER BY k;
TABLE lasts_online ORDER BY k;
SELECT watermark FROM counters WHERE job = 'lasts';

-- The message's timestamp as event time; partition and offset as features.
CREATE FOREIGN TABLE stamped_stream (k int, v text, at timestamptz OPTIONS (metadata 'timestamp'),
    part int OPTIONS (metadata 'partition'), pos bigint OPTIONS (metadata 'offset'), head jsonb OPTIONS (metadata 'headers'))
  SERVER kafka OPTIONS (topic 't_ingest_basic_stamped', format 'json');
INSERT INTO stamped_stream (k, v, at, head) VALUES (1, 'a', '2013-01-01 12:00:00.123+00', '{"who": "me"}'), (1, 'late', '2013-01-01 11:00+00', NULL),
  (2, 'b', '2013-01-01 13:00+00', NULL);
SELECT feathub.create_feature_group('stamped', 'stamped_stream', '{k}', 'at');
SELECT feathub.wait_for_job('stamped', '60 s');
TABLE stamped ORDER BY k, at;
TABLE stamped_online ORDER BY k;

-- Composite keys of several types; their order in the key is not that of the table.
CREATE FOREIGN TABLE composite_stream (v int, at timestamp, b uuid, a numeric(8,2), c date)
  SERVER kafka OPTIONS (topic 't_ingest_basic_composite', format 'json');
INSERT INTO composite_stream VALUES
  (1, '2013-01-01 01:00', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', 1.10, '2013-01-01'),
  (2, '2013-01-01 02:00', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', 1.1, '2013-01-01'),
  (3, '2013-01-01 03:00', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a12', 1.10, '2013-01-01'),
  (4, '2013-01-01 00:00', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', 1.10, '2013-01-01'),
  (5, '2013-01-01 03:00', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', 1.11, '2013-01-02');
SELECT feathub.create_feature_group('composite', 'composite_stream', '{a,b,c}', 'at');
SELECT feathub.wait_for_job('composite', '60 s');
TABLE composite ORDER BY v;
TABLE composite_online ORDER BY v;

-- Names that need quotes, of all things that have one.
CREATE SCHEMA "Odd ""Schema""" AUTHORIZATION CURRENT_USER;
CREATE FOREIGN TABLE "Odd ""Schema"""."The Stream" ("Key" text, "select" int, "at ""it""" timestamptz)
  SERVER kafka OPTIONS (topic 't_ingest_basic_odd', format 'json');
SELECT feathub.create_feature_group('"Odd ""Schema"""."Odd ''Group''"', '"Odd ""Schema"""."The Stream"', '{"Key"}', 'at "it"', deletes => true);
INSERT INTO "Odd ""Schema"""."The Stream" VALUES ('x', 1, '2013-01-01'), ('x', 2, '2013-01-02'), ('y', 3, '2013-01-01');
SELECT feathub.wait_for_job('Odd ''Group''', '60 s');
TABLE "Odd ""Schema"""."Odd 'Group'" ORDER BY 1, 3;
TABLE "Odd ""Schema"""."Odd 'Group'_online" ORDER BY 1;
SELECT job, partition, position FROM feathub.job_partition WHERE job LIKE 'Odd%';
SELECT feathub.drop_feature_group('"Odd ""Schema"""."Odd ''Group''"');

-- Dropped columns on both sides, generated ones in the group, defaults, another order.
CREATE FOREIGN TABLE ragged_stream (gone int, v int, gone_too text, k int, ignored text, at timestamptz, twice int GENERATED ALWAYS AS (v * 2) STORED)
  SERVER kafka OPTIONS (topic 't_ingest_basic_ragged', format 'json');
ALTER FOREIGN TABLE ragged_stream DROP COLUMN gone, DROP COLUMN gone_too;
CREATE TABLE ragged (old text, at timestamptz, k int, old_too int, thrice int GENERATED ALWAYS AS (v * 3) STORED, v int,
  twice int, source text DEFAULT 'stream', id int GENERATED BY DEFAULT AS IDENTITY, PRIMARY KEY (at, k));
ALTER TABLE ragged DROP COLUMN old, DROP COLUMN old_too, DROP COLUMN twice;
CREATE TABLE ragged_online (v bigint, thrice int GENERATED ALWAYS AS (v * 3) STORED, dropped int, k int PRIMARY KEY, at timestamptz NOT NULL,
  source text, id int);
ALTER TABLE ragged_online DROP COLUMN dropped;
SELECT feathub.create_feature_group('ragged', 'ragged_stream', '{k}', 'at');
ALTER FOREIGN TABLE ragged_stream DROP COLUMN ignored;
SELECT feathub.create_feature_group('ragged', 'ragged_stream', '{k}', 'at');
INSERT INTO ragged_stream (k, v, at) VALUES (1, 10, '2013-01-01'), (1, 20, '2013-01-02'), (2, NULL, '2013-01-01');
SELECT feathub.wait_for_job('ragged', '60 s');
SELECT at, k, thrice, v, source, id IS NOT NULL AS has_id FROM ragged ORDER BY k, at;
SELECT k, at, v, thrice, source, id FROM ragged_online ORDER BY k;
-- an online table that is made beside an existing table computes what that one computes
SELECT feathub.drop_feature_group('ragged', keep_tables => true);
DROP TABLE ragged_online;
SELECT feathub.create_feature_group('ragged', 'ragged_stream', '{k}', 'at');
SELECT feathub.wait_for_job('ragged', '60 s');
SELECT k, at, v, thrice FROM ragged_online ORDER BY k;

-- A plain table takes every record; two jobs share a source; a group without online table.
CREATE TABLE log (origin text, time_hour timestamptz, temp real, wind_speed float8, visib float8, seq int GENERATED ALWAYS AS IDENTITY);
SELECT feathub.create_job('log', 'weather_stream', 'log');
SELECT feathub.wait_for_job('log', '60 s');
SELECT origin, count(*), min(seq), max(seq) FROM log GROUP BY 1 ORDER BY 1;
SELECT * FROM counters WHERE job = 'log';
SELECT feathub.create_feature_group('offline_only', 'weather_stream', '{origin}', 'time_hour', online => false);
SELECT feathub.wait_for_job('offline_only', '60 s');
SELECT to_regclass('offline_only_online');
(TABLE offline_only EXCEPT ALL TABLE weather) UNION ALL (TABLE weather EXCEPT ALL TABLE offline_only);

-- Two jobs into one group, where the later rows come from either.
CREATE FOREIGN TABLE second_stream (origin text, time_hour timestamptz, temp float8)
  SERVER kafka OPTIONS (topic 't_ingest_basic_second', format 'json');
SELECT feathub.create_job('second', 'second_stream', 'weather');
INSERT INTO second_stream VALUES ('JFK', '2013-01-01 09:00+00', 90), ('LGA', '2013-01-01 01:00+00', 10);
SELECT feathub.wait_for_job('second', '60 s');
INSERT INTO weather_stream VALUES ('JFK', '2013-01-01 08:00+00', 80), ('LGA', '2013-01-01 10:00+00', 100);
SELECT feathub.wait_for_job('weather', '60 s');
SELECT origin, time_hour, temp, visib FROM weather_online WHERE origin IN ('JFK', 'LGA') ORDER BY 1;
SELECT origin, time_hour, temp FROM weather WHERE origin = 'JFK' AND time_hour > '2013-01-01 07:00+00' ORDER BY 2;

-- A job that starts at the end, or at a time, sees what comes later.
CREATE TABLE tail (LIKE weather);
SELECT feathub.create_job('tail', 'weather_stream', 'tail', start => 'latest');
SELECT feathub.wait_for_job('tail', '60 s');
INSERT INTO weather_stream VALUES ('TAIL', '2013-01-02', 0);
SELECT feathub.wait_for_job('tail', '60 s');
SELECT origin FROM tail;

-- Several workers for several partitions: each entity's records stay in order.
CREATE FOREIGN TABLE keyed_stream (k text OPTIONS (key 'true'), at timestamptz, v int)
  SERVER kafka OPTIONS (topic 't_ingest_basic_keyed', format 'json', key_format 'raw');
SELECT feathub.create_feature_group('keyed', 'keyed_stream', '{k}', 'at', workers => 3);
INSERT INTO keyed_stream SELECT 'k' || i % 50, '2013-01-01'::timestamptz + i / 100 * interval '1 s', i FROM generate_series(0, 9999) i;
SELECT feathub.wait_for_job('keyed', '60 s');
SELECT count(*), count(DISTINCT k), sum(v) FROM keyed;
-- the same from the messages themselves: of a key and event time the last
SELECT count(*), count(DISTINCT k), sum(v) FROM (
  SELECT DISTINCT ON (k, at) k, at, v FROM keyed_stream ORDER BY k, at, v DESC) q;
SELECT count(*), sum(v), min(v) FROM keyed_online;
SELECT records, applied + duplicates, adds_up FROM counters WHERE job = 'keyed';
SELECT workers, workers_running FROM feathub.job_status WHERE job = 'keyed';
SELECT count(*), count(*) FILTER (WHERE records > 0), sum(records), count(DISTINCT worker) FROM feathub.job_partition WHERE job = 'keyed';

RESET ROLE;
SET client_min_messages = warning;
DROP SCHEMA ingest_basic, "Odd ""Schema""" CASCADE;
DROP SERVER kafka CASCADE;
SELECT * FROM feathub.job_status;
DROP OWNED BY regress_ingest_basic;
DROP ROLE regress_ingest_basic;
