-- The Batch API: what a backfill writes, offline and online.
CREATE EXTENSION IF NOT EXISTS feathub;
CREATE SCHEMA backfill_basic;
SET search_path = backfill_basic;
SET timezone = 'UTC';
SET datestyle = 'ISO';

CREATE TABLE weather (origin text, time_hour timestamptz, temp float8, visib float8 DEFAULT 10, note text,
  PRIMARY KEY (origin, time_hour));
CREATE TABLE weather_online (origin text PRIMARY KEY, time_hour timestamptz NOT NULL, temp float8, visib float8, note text);
INSERT INTO feathub.feature_group (feature_group, online, primary_key, event_time)
  VALUES ('weather', 'weather_online', '{origin}', 'time_hour');

-- Columns go by name, in any order; what the query lacks gets its default.
SELECT feathub.backfill('weather', $$
  SELECT 1.5 AS temp, timestamptz '2013-01-01 00:00+00' AS time_hour, 'JFK' AS origin $$);
TABLE weather;
-- without online => true the online table does not change
TABLE weather_online;

-- Of rows with the same key and event time the query's last one wins.
SELECT feathub.backfill('weather', $$
  SELECT o AS origin, timestamptz '2013-01-01 00:00+00' + h * interval '1 hour' AS time_hour, t AS temp
    FROM (VALUES ('EWR', 1, 1.0), ('EWR', 2, 2), ('EWR', 1, 3), ('LGA', 1, 4), ('EWR', 2, 5), ('EWR', 1, 6)) v(o, h, t) $$);
SELECT origin, time_hour, temp FROM weather ORDER BY 1, 2;

-- Existing rows: changed ones count, the same ones do not; other columns stay.
UPDATE weather SET visib = 5, note = 'by hand' WHERE origin = 'JFK';
SELECT feathub.backfill('weather', 'SELECT origin, time_hour, temp FROM weather');
SELECT feathub.backfill('weather', $$ SELECT origin, time_hour, temp + 1 AS temp FROM weather WHERE origin <> 'LGA' $$);
SELECT * FROM weather ORDER BY 1, 2;
SELECT feathub.backfill('weather', 'SELECT * FROM weather WHERE false');

-- NULL features, NaN and the empty string are values like others.
SELECT feathub.backfill('weather', $$
  SELECT 'JFK' AS origin, '2013-01-01 00:00+00'::timestamptz AS time_hour, 'NaN'::float8 AS temp, NULL::float8 AS visib, '' AS note $$);
SELECT *, note = '' AS empty FROM weather WHERE origin = 'JFK';
SELECT feathub.backfill('weather', $$ SELECT * FROM weather WHERE origin = 'JFK' $$);

-- Online: the latest row of each key; older ones never move it back, equal ones
-- replace it in order of arrival.
SELECT feathub.backfill('weather', $$
  SELECT o AS origin, timestamptz '2013-02-01 00:00+00' + h * interval '1 hour' AS time_hour, t AS temp
    FROM (VALUES ('EWR', 2, 20.0), ('EWR', 1, 10), ('JFK', 1, 1), ('LGA', 1, 1), ('EWR', 2, 21)) v(o, h, t) $$,
  online => true);
SELECT origin, time_hour, temp FROM weather_online ORDER BY 1;
SELECT feathub.backfill('weather', $$
  SELECT o AS origin, timestamptz '2013-02-01 00:00+00' + h * interval '1 hour' AS time_hour, t AS temp
    FROM (VALUES ('EWR', 1, 11.0), ('JFK', 1, 2), ('LGA', 2, 3), ('NEW', 0, 4)) v(o, h, t) $$,
  online => true);
SELECT origin, time_hour, temp FROM weather_online ORDER BY 1;
-- history that is there already still reaches the online table
TRUNCATE weather_online;
SELECT feathub.backfill('weather', 'SELECT origin, time_hour, temp FROM weather', online => true);
SELECT o.origin, o.temp IS NOT DISTINCT FROM w.temp AS agree,
       NOT EXISTS (SELECT FROM weather x WHERE x.origin = o.origin AND x.time_hour > o.time_hour) AS latest
  FROM weather_online o JOIN weather w USING (origin, time_hour) ORDER BY 1;

-- The same in batches of any size, against a reference computed apart.
CREATE TABLE input AS
  SELECT i, 'k' || i * 7919 % 53 AS origin,
         timestamptz '2013-01-01 00:00+00' + (i * 104729 % 17) * interval '1 hour' AS time_hour, i::float8 AS temp
    FROM generate_series(1, 5000) i;
CREATE VIEW reference AS
  SELECT DISTINCT ON (origin, time_hour) origin, time_hour, temp FROM input ORDER BY 1, 2, i DESC;
CREATE VIEW difference AS
  SELECT 'missing' AS what, 'weather' AS "table", * FROM (TABLE reference EXCEPT ALL SELECT origin, time_hour, temp FROM weather) d
  UNION ALL
  SELECT 'too many', 'weather', * FROM (SELECT origin, time_hour, temp FROM weather EXCEPT ALL TABLE reference) d
  UNION ALL
  SELECT 'missing', 'weather_online', * FROM (SELECT DISTINCT ON (origin) * FROM reference ORDER BY origin, time_hour DESC) r
   WHERE (origin, time_hour, temp) NOT IN (SELECT origin, time_hour, temp FROM weather_online)
  UNION ALL
  SELECT 'too many', 'weather_online', * FROM (SELECT origin, time_hour, temp FROM weather_online EXCEPT ALL TABLE reference) d;
TRUNCATE weather, weather_online;
SELECT feathub.backfill('weather', 'SELECT origin, time_hour, temp FROM input ORDER BY i', online => true);
TABLE difference;
TRUNCATE weather, weather_online;
ALTER SYSTEM SET feathub.batch_rows = 7;
SELECT pg_reload_conf();
\c -
SET search_path = backfill_basic;
SET timezone = 'UTC';
SET datestyle = 'ISO';
SELECT feathub.backfill('weather', 'SELECT origin, time_hour, temp FROM input ORDER BY i', online => true) > 3000 AS several_times;
SHOW feathub.batch_rows;
TABLE difference;
-- repeated from the start, as after a failure, and in another order
SELECT feathub.backfill('weather', 'TABLE reference', online => true);
SELECT feathub.backfill('weather', 'SELECT * FROM reference ORDER BY time_hour DESC, origin', online => true);
TABLE difference;
ALTER SYSTEM RESET feathub.batch_rows;
SELECT pg_reload_conf();
\c -
SET search_path = backfill_basic;
SET timezone = 'UTC';
SET datestyle = 'ISO';

-- A query may be any that gives rows.
SELECT feathub.backfill('backfill_basic.weather',
  $$ WITH w AS (DELETE FROM input WHERE i = 1 RETURNING *) SELECT 'dml' AS origin, time_hour, temp FROM w; -- one $$);
SELECT feathub.backfill('"weather"', $$ INSERT INTO input VALUES (0, 'ins', '2020-01-01', 1) RETURNING origin, time_hour, temp $$);
SELECT origin, time_hour FROM weather WHERE origin IN ('dml', 'ins') ORDER BY 1;
DROP TABLE input CASCADE;

-- A partitioned group: partitions are made for what comes, or ahead of it.
CREATE TABLE parted (k int, at date, x int, PRIMARY KEY (k, at)) PARTITION BY RANGE (at);
CREATE TABLE parted_online (k int PRIMARY KEY, at date, x int);
INSERT INTO feathub.feature_group (feature_group, online, primary_key, event_time, partition_interval)
  VALUES ('parted', 'parted_online', '{k}', 'at', '1 month');
SELECT * FROM feathub.maintain_feature_group('parted', '2013-06-15 00:00+00');
SELECT feathub.backfill('parted', $$
  SELECT k, d::date AS at, k AS x FROM generate_series(1, 3) k, generate_series(timestamp '2013-01-15', '2013-05-15', '1 day') d $$,
  online => true);
SELECT tableoid::regclass, count(*), min(at), max(at) FROM parted GROUP BY 1 ORDER BY 3;
TABLE parted_online ORDER BY k;
SELECT * FROM feathub.maintain_feature_group('parted', '2013-06-15 00:00+00', since => '2012-12-01 00:00+00');
SELECT feathub.backfill('parted', $$ SELECT 1 AS k, date '2012-12-31' AS at, 1 AS x $$);
SELECT tableoid::regclass, at FROM parted WHERE at < '2013-01-01';

-- No event time: a row for each key, the last arrival.
CREATE TABLE planes (tailnum text PRIMARY KEY, seats int);
CREATE TABLE planes_online (tailnum text PRIMARY KEY, seats int);
INSERT INTO feathub.feature_group (feature_group, online, primary_key) VALUES ('planes', 'planes_online', '{tailnum}');
SELECT feathub.backfill('planes', $$ SELECT * FROM (VALUES ('a', 1), ('b', 2), ('a', 3)) v(tailnum, seats) $$, online => true);
SELECT feathub.backfill('planes', $$ SELECT * FROM (VALUES ('a', 1), ('c', 2)) v(tailnum, seats) $$, online => true);
TABLE planes ORDER BY 1;
TABLE planes_online ORDER BY 1;

-- Composite keys, of another type in the query: cast as by an assignment.
CREATE TABLE composite (a bigint, b varchar(3), at timestamptz, x numeric, PRIMARY KEY (b, a, at));
CREATE TABLE composite_online (a bigint, b varchar(3), at timestamptz, x numeric, PRIMARY KEY (b, a));
INSERT INTO feathub.feature_group (feature_group, online, primary_key, event_time)
  VALUES ('composite', 'composite_online', '{b,a}', 'at');
SELECT feathub.backfill('composite', $$
  SELECT a::int AS a, b::text AS b, at::date AS at, x::int AS x
    FROM (VALUES (1, 'x', '2013-01-01', 1), (1, 'x  ', '2013-01-01', 2), (1, 'x', '2013-01-01', 3), (2, 'x', '2013-01-02', 4)) v(a, b, at, x) $$,
  online => true);
SELECT a, b, at, x FROM composite ORDER BY 1, 2, 3;

-- Older than the retention: not written, and said so.
UPDATE feathub.feature_group SET retention = '30 days' WHERE feature_group = 'composite'::regclass;
SELECT feathub.backfill('composite', $$
  SELECT 3::bigint AS a, 'y'::varchar(3) AS b, now() + interval '1 hour' - d * interval '1 day' AS at, d AS x FROM generate_series(0, 99) d $$, online => true);
SELECT count(*) FROM composite WHERE a = 3;
SELECT count(*), min(x) FROM composite_online WHERE a = 3;

-- An index by which other keys are equal than by the primary key.
CREATE COLLATION nocase (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
CREATE TABLE codes (code text PRIMARY KEY, n int);
CREATE TABLE codes_online (code text PRIMARY KEY, n int);
CREATE UNIQUE INDEX ON codes_online (code COLLATE nocase);
INSERT INTO feathub.feature_group (feature_group, online, primary_key) VALUES ('codes', 'codes_online', '{code}');
SELECT feathub.backfill('codes', $$ SELECT 'ewr' AS code, 1 AS n $$, online => true);
SELECT feathub.backfill('codes', $$ SELECT 'EWR' AS code, 2 AS n $$, online => true);
TABLE codes_online;

-- All or nothing.
BEGIN;
SELECT feathub.backfill('planes', $$ SELECT 'z' AS tailnum, 1 AS seats $$, online => true);
ROLLBACK;
SELECT count(*) FROM planes WHERE tailnum = 'z';

-- Progress, as the query itself sees it; nothing is left of it.
SELECT feathub.backfill('planes', $$
  SELECT 'p' || g AS tailnum, (SELECT count(*) FROM feathub.backfill_progress WHERE g > 0)::int AS seats FROM generate_series(1, 3) g $$);
SELECT * FROM planes WHERE tailnum ~ '^p' ORDER BY 1;
SELECT count(*) FROM feathub.backfill_progress;
SELECT feathub.backfill('planes', $$ SELECT 'p' AS tailnum, 1 / 0 AS seats $$);
SELECT count(*) FROM feathub.backfill_progress;

DELETE FROM feathub.feature_group
 WHERE feature_group IN (SELECT oid FROM pg_class WHERE relnamespace = 'backfill_basic'::regnamespace);
SET client_min_messages = warning;
DROP SCHEMA backfill_basic CASCADE;
DROP EXTENSION feathub CASCADE;
