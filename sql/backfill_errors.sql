-- What a backfill refuses; it leaves nothing behind.
CREATE EXTENSION IF NOT EXISTS feathub;
CREATE SCHEMA backfill_errors;
SET search_path = backfill_errors;
SET timezone = 'UTC';

CREATE TABLE weather (origin varchar(3), time_hour timestamptz, temp float8, visib float8,
  temp_f float8 GENERATED ALWAYS AS (temp * 1.8 + 32) STORED, CHECK (temp > -100), PRIMARY KEY (origin, time_hour));
CREATE TABLE weather_online (origin varchar(3) PRIMARY KEY, time_hour timestamptz, temp float8, visib float8);
INSERT INTO feathub.feature_group (feature_group, online, primary_key, event_time)
  VALUES ('weather', 'weather_online', '{origin}', 'time_hour');

-- The group.
SELECT feathub.backfill('none', 'SELECT 1');
SELECT feathub.backfill('weather_online', 'SELECT 1');
SELECT feathub.backfill('a.b.c.d', 'SELECT 1');
SELECT feathub.backfill('', 'SELECT 1');
CREATE FOREIGN DATA WRAPPER backfill_wrapper;
CREATE SERVER backfill_server FOREIGN DATA WRAPPER backfill_wrapper;
CREATE FOREIGN TABLE ext (k int) SERVER backfill_server;
CREATE TABLE history_only (k int PRIMARY KEY, x int);
SELECT feathub.create_external_feature_group('ext', '{k}');
INSERT INTO feathub.feature_group (feature_group, primary_key) VALUES ('history_only', '{k}');
SELECT feathub.backfill('ext', 'SELECT 1 AS k');
SELECT feathub.backfill('history_only', 'SELECT 1 AS k', online => true);
SELECT feathub.backfill('history_only', 'SELECT 1 AS k');
DELETE FROM feathub.feature_group WHERE online IS NULL;
DROP FOREIGN DATA WRAPPER backfill_wrapper CASCADE;
SELECT feathub.backfill(NULL, 'SELECT 1') IS NULL AS nothing;

-- The query: one statement that gives rows.
SELECT feathub.backfill('weather', '');
SELECT feathub.backfill('weather', 'SELEC 1');
SELECT feathub.backfill('weather', 'SELECT 1; SELECT 2');
SELECT feathub.backfill('weather', 'CREATE TABLE x ()');
SELECT feathub.backfill('weather', 'DELETE FROM weather');
SELECT feathub.backfill('weather', 'BEGIN');
SELECT feathub.backfill('weather', 'SELECT $1');
SELECT feathub.backfill('weather', 'SELECT * FROM nowhere');

-- Its columns.
SELECT feathub.backfill('weather', $$ SELECT 'JFK' AS origin, now() AS time_hour, 1 AS tmp $$);
SELECT feathub.backfill('weather', $$ SELECT 'JFK' AS origin, now() AS time_hour, 1 AS wind_direction $$);
SELECT feathub.backfill('weather', $$ SELECT 'JFK' AS origin, now() AS time_hour, 1 AS "Temp" $$);
SELECT feathub.backfill('weather', $$ SELECT 'JFK' AS origin, now() AS time_hour, 1 AS ctid $$);
SELECT feathub.backfill('weather', $$ SELECT 'JFK', now() $$);
SELECT feathub.backfill('weather', $$ SELECT 'JFK' AS origin, 1 AS temp $$);
SELECT feathub.backfill('weather', $$ SELECT now() AS time_hour, 1 AS temp $$);
SELECT feathub.backfill('weather', $$ SELECT 'JFK' AS origin, now() AS time_hour, 1 AS temp, 2 AS temp $$);
SELECT feathub.backfill('weather', $$ SELECT 'JFK' AS origin, now() AS time_hour, 1 AS temp_f $$);
SELECT feathub.backfill('weather', $$ EXPLAIN SELECT 1 $$);
SELECT feathub.backfill('weather', 'VALUES (1)');
-- their types: keys must fit before they are compared, features when written
SELECT feathub.backfill('weather', $$ SELECT 'JFK' AS origin, '2013-01-01'::text AS time_hour $$);
SELECT feathub.backfill('weather', $$ SELECT '{JFK}'::text[] AS origin, 1 AS time_hour $$);
SELECT feathub.backfill('weather', $$ SELECT 'JFKX' AS origin, '2013-01-01'::timestamptz AS time_hour $$);
SELECT feathub.backfill('weather', $$ SELECT 'JFK' AS origin, '2013-01-01'::timestamptz AS time_hour, true AS temp $$);

-- Its rows.
SELECT feathub.backfill('weather', $$
  SELECT CASE WHEN g <> 3 THEN 'JFK' END AS origin, '2013-01-01'::timestamptz AS time_hour FROM generate_series(1, 5) g $$);
SELECT feathub.backfill('weather', $$
  SELECT 'JFK' AS origin, CASE WHEN g <> 2 THEN '2013-01-01'::timestamptz END AS time_hour FROM generate_series(1, 5) g $$);
\set SHOW_CONTEXT never
SELECT feathub.backfill('weather', $$ SELECT 'JFK' AS origin, '2013-01-01'::timestamptz AS time_hour, -200 AS temp $$);
SELECT feathub.backfill('weather', $$
  SELECT 'JFK' AS origin, '2013-01-01'::timestamptz AS time_hour, 1 / (3 - g) AS temp FROM generate_series(1, 5) g $$);
SELECT feathub.backfill('weather', $$
  SELECT 'JFK' AS origin, timestamptz '2013-01-01' + g * interval '1 second' AS time_hour, CASE g WHEN 150000 THEN -200 ELSE g END AS temp
    FROM generate_series(1, 150000) g $$, online => true);
TABLE weather;
TABLE weather_online;

-- A cancelled backfill is no different, and can be repeated.
SET statement_timeout = '100ms';
SELECT feathub.backfill('weather', $$
  SELECT 'JFK' AS origin, timestamptz '2013-01-01 00:00+00' + g * interval '1 second' AS time_hour, 1 AS temp
    FROM generate_series(1, 1000000000) g $$);
RESET statement_timeout;
SELECT count(*) FROM weather;
SELECT count(*) FROM feathub.backfill_progress;

-- A group with deletions.
CREATE TABLE d (k int, at timestamptz, x int, feathub_deleted bool NOT NULL DEFAULT false, PRIMARY KEY (k, at));
CREATE TABLE d_online (k int PRIMARY KEY, at timestamptz, x int);
CREATE TABLE d_tombstone (k int PRIMARY KEY, deleted_at timestamptz);
INSERT INTO feathub.feature_group (feature_group, online, tombstone, primary_key, event_time, deletes)
  VALUES ('d', 'd_online', 'd_tombstone', '{k}', 'at', true);
SELECT feathub.backfill('d', $$ SELECT 1 AS k, now() AS at, true AS feathub_deleted $$);
-- what is not newer than its deletion does not return online
INSERT INTO d_tombstone VALUES (1, '2013-01-02 00:00+00'), (2, '2013-01-02 00:00+00');
SELECT feathub.backfill('d', $$
  SELECT k, at::timestamptz, k AS x
    FROM (VALUES (1, '2013-01-01 00:00+00'), (1, '2013-01-02 00:00+00'), (2, '2013-01-02 00:00:00.000001+00'), (3, '2013-01-01 00:00+00')) v(k, at) $$,
  online => true);
SELECT k, x FROM d_online ORDER BY 1;
SELECT k, x, feathub_deleted FROM d ORDER BY 1, at;

DELETE FROM feathub.feature_group
 WHERE feature_group IN (SELECT oid FROM pg_class WHERE relnamespace = 'backfill_errors'::regnamespace);
SET client_min_messages = warning;
DROP SCHEMA backfill_errors CASCADE;
DROP EXTENSION feathub CASCADE;
