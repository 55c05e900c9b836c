-- Partitions of offline tables: which are made, and whose rows are moved.
CREATE EXTENSION IF NOT EXISTS feathub;
CREATE SCHEMA partitions_create;
SET search_path = partitions_create;
SET timezone = 'UTC';

CREATE VIEW partition AS
  SELECT inhparent::regclass::text AS parent, inhrelid::regclass::text AS name,
         pg_get_expr(relpartbound, c.oid) AS bound
    FROM pg_inherits JOIN pg_class c ON c.oid = inhrelid
   WHERE relnamespace = 'partitions_create'::regnamespace AND relkind <> 'i';

-- A month: the one before, the current one, the next two, and a default.
CREATE TABLE weather (
  origin text NOT NULL, time_hour timestamptz NOT NULL, temp float8 DEFAULT 20,
  temp_f float8 GENERATED ALWAYS AS (temp * 1.8 + 32) STORED,
  CHECK (temp > -100),
  PRIMARY KEY (origin, time_hour)
) PARTITION BY RANGE (time_hour);
CREATE INDEX weather_time ON weather USING brin (time_hour);
CREATE TABLE weather_online (origin text PRIMARY KEY, time_hour timestamptz NOT NULL, temp float8);
INSERT INTO feathub.feature_group (feature_group, online, primary_key, event_time, partition_interval)
  VALUES ('weather', 'weather_online', '{origin}', 'time_hour', '1 month');
SELECT * FROM feathub.maintain_feature_group('weather', '2013-06-15 12:00+00');
SELECT name, bound FROM partition ORDER BY 1;
SELECT indexdef FROM pg_indexes WHERE tablename = 'weather_p20130601' ORDER BY 1;

-- A second call finds nothing to do; a month later there is one to make.
SELECT * FROM feathub.maintain_feature_group('weather', '2013-06-30 23:59:59.999999+00');
SELECT * FROM feathub.maintain_feature_group('weather', '2013-07-01 00:00+00');

-- Rows without a partition wait in the default partition until it is made.
-- Far out of range, a row must have company: two in 2031 stay, 1500 in 1980 go.
INSERT INTO weather
  SELECT origin, t, 1 FROM unnest('{EWR,JFK}'::text[]) origin,
         generate_series('2013-01-01 00:00+00'::timestamptz, '2013-12-31 23:00+00', '6 hours') t;
INSERT INTO weather SELECT 'X' || i, '1980-02-03 04:05+00', 1 FROM generate_series(1, 1500) i;
INSERT INTO weather VALUES
  ('A', '0001-01-01 00:00+00'), ('A', '9999-12-31 00:00+00'), ('A', '4713-01-01 00:00+00 BC'),
  ('A', 'infinity'), ('A', '-infinity'), ('A', '2031-01-01 00:00+00'), ('B', '2031-01-01 00:00+00'),
  ('A', '2014-04-30 23:59:59.999999+00'), ('A', '2015-01-01 00:00+00');
CREATE TABLE before AS SELECT * FROM weather;
SELECT * FROM feathub.maintain_feature_group('weather', '2013-07-01 00:00+00');
SELECT tableoid::regclass::text AS name, count(*) FROM weather GROUP BY 1 ORDER BY 1;
SELECT time_hour FROM weather_default ORDER BY 1;
-- no row lost, none made
(TABLE before EXCEPT ALL TABLE weather) UNION ALL (TABLE weather EXCEPT ALL TABLE before);
SELECT * FROM feathub.maintain_feature_group('weather', '2013-07-01 00:00+00');
SELECT count(*) FROM pg_constraint WHERE conname = 'feathub_maintenance';
SELECT name, bound FROM partition WHERE name ~ '1980|2013(01|12)|2014' ORDER BY 1;

-- Ranges ahead of a load.
SELECT * FROM feathub.maintain_feature_group('weather', '2013-07-01 00:00+00', since => '2012-10-31 00:00+00');
SELECT min(name), max(name), count(*) FROM partition WHERE name ~ '2012';
DROP TABLE before;

-- The interval changes: what is covered stays, what is not is filled.
UPDATE feathub.feature_group SET partition_interval = '1 day' WHERE feature_group = 'weather'::regclass;
SELECT * FROM feathub.maintain_feature_group('weather', '2013-12-31 12:00+00');
SELECT name, bound FROM partition WHERE name ~ 'p2014' ORDER BY 1;
UPDATE feathub.feature_group SET partition_interval = '1 month' WHERE feature_group = 'weather'::regclass;
SELECT * FROM feathub.maintain_feature_group('weather', '2013-12-31 12:00+00');
SELECT name, bound FROM partition WHERE name ~ 'p2014' ORDER BY 1;

-- Weeks begin on Monday, quarters in January, hours with the hour; bounds do
-- not depend on the session's time zone.
SET timezone = 'America/St_Johns';
SET datestyle = 'German';
CREATE TABLE weekly (k int, at timestamp, PRIMARY KEY (k, at)) PARTITION BY RANGE (at);
CREATE TABLE weekly_online (k int PRIMARY KEY, at timestamp);
CREATE TABLE quarterly (k int, at date, PRIMARY KEY (k, at)) PARTITION BY RANGE (at);
CREATE TABLE quarterly_online (k int PRIMARY KEY, at date);
CREATE TABLE hourly (k int, at timestamptz, PRIMARY KEY (k, at)) PARTITION BY RANGE (at);
CREATE TABLE hourly_online (k int PRIMARY KEY, at timestamptz);
INSERT INTO feathub.feature_group (feature_group, online, primary_key, event_time, partition_interval) VALUES
  ('weekly', 'weekly_online', '{k}', 'at', '7 days'),
  ('quarterly', 'quarterly_online', '{k}', 'at', '3 months'),
  ('hourly', 'hourly_online', '{k}', 'at', '12 hours');
SELECT * FROM unnest('{weekly,quarterly,hourly}'::regclass[]) g,
  feathub.maintain_feature_group(g, '2013-03-15 01:30+00');
RESET datestyle;
SET timezone = 'UTC';
SELECT name, bound FROM partition WHERE parent IN ('weekly', 'quarterly', 'hourly') ORDER BY 1;

-- Rows of all three types find their range.
INSERT INTO weekly SELECT 1, t FROM generate_series('2013-01-01'::timestamp, '2013-01-31', '1 day') t;
INSERT INTO quarterly SELECT 1, t FROM generate_series('2011-12-31'::timestamp, '2012-04-01', '1 day') t;
INSERT INTO quarterly VALUES (1, 'infinity'), (1, '-infinity'), (1, '5874897-12-31'), (1, '4713-01-01 BC');
INSERT INTO hourly SELECT 1, t FROM generate_series('2013-03-01'::timestamp, '2013-03-02', '1 hour') t;
SELECT * FROM unnest('{weekly,quarterly,hourly}'::regclass[]) g,
  feathub.maintain_feature_group(g, '2013-03-15 01:30+00');
SELECT tableoid::regclass AS name, min(at), max(at), count(*) FROM weekly GROUP BY 1 ORDER BY 2;
SELECT tableoid::regclass AS name, min(at), max(at), count(*) FROM quarterly GROUP BY 1 ORDER BY 2;
SELECT tableoid::regclass AS name, min(at), max(at), count(*) FROM hourly GROUP BY 1 ORDER BY 2;

-- At most 200 in one call.
INSERT INTO hourly SELECT 2, t FROM generate_series('2012-10-01'::timestamp, '2013-02-28', '6 hours') t;
SELECT * FROM feathub.maintain_feature_group('hourly', '2013-03-15 01:30+00');
SELECT * FROM feathub.maintain_feature_group('hourly', '2013-03-15 01:30+00');
SELECT * FROM feathub.maintain_feature_group('hourly', '2013-03-15 01:30+00');

-- Names: quoted, cut to fit, beside others of the same name.
CREATE TABLE "Überlanger ""Name"" eines Merkmals, der nicht mehr ganz passt" (
  "select" int, "Zeit ""Z""" timestamptz, "from" text, PRIMARY KEY ("select", "Zeit ""Z""")
) PARTITION BY RANGE ("Zeit ""Z""");
CREATE TABLE o ("select" int PRIMARY KEY, "Zeit ""Z""" timestamptz, "from" text);
CREATE VIEW "Überlanger ""Name"" eines Merkmals, der nicht mehr gan_p20130601" AS SELECT 1;
CREATE TYPE "Überlanger ""Name"" eines Merkmals, der nicht mehr g_p20130601_1" AS ENUM ();
INSERT INTO feathub.feature_group (feature_group, online, primary_key, event_time, partition_interval)
  SELECT oid, 'o', '{select}', 'Zeit "Z"', '1 month' FROM pg_class WHERE relname ~ 'passt$';
SELECT m.* FROM feathub.feature_group g, feathub.maintain_feature_group(g.feature_group, '2013-06-15 12:00+00') m
 WHERE online = 'o'::regclass;
INSERT INTO "Überlanger ""Name"" eines Merkmals, der nicht mehr ganz passt" VALUES (1, '2013-01-01', 'x'), (1, '2013-02-01', 'x');
SELECT m.* FROM feathub.feature_group g, feathub.maintain_feature_group(g.feature_group, '2013-06-15 12:00+00') m
 WHERE online = 'o'::regclass;
SELECT name, bound FROM partition WHERE parent ~ 'passt' ORDER BY 2;

-- Partitions of the user's own stay; gaps between them are filled.
CREATE TABLE own (k int, at timestamptz, PRIMARY KEY (k, at)) PARTITION BY RANGE (at);
CREATE TABLE own_online (k int PRIMARY KEY, at timestamptz);
CREATE TABLE own_old PARTITION OF own FOR VALUES FROM (MINVALUE) TO ('2013-05-10');
CREATE TABLE own_mid PARTITION OF own FOR VALUES FROM ('2013-06-03') TO ('2013-06-05');
CREATE TABLE own_rest PARTITION OF own DEFAULT PARTITION BY HASH (k);
CREATE TABLE own_rest_0 PARTITION OF own_rest FOR VALUES WITH (MODULUS 1, REMAINDER 0);
INSERT INTO feathub.feature_group (feature_group, online, primary_key, event_time, partition_interval)
  VALUES ('own', 'own_online', '{k}', 'at', '1 month');
INSERT INTO own SELECT 1, t FROM generate_series('2013-05-01'::timestamptz, '2013-09-15', '1 day') t;
SELECT * FROM feathub.maintain_feature_group('own', '2013-06-15 12:00+00');
SELECT name, bound FROM partition WHERE parent = 'own' ORDER BY 1;
SELECT tableoid::regclass::text AS name, count(*) FROM own GROUP BY 1 ORDER BY 1;

-- A group that is not partitioned has nothing to make.
CREATE TABLE plain (k int, at timestamptz, PRIMARY KEY (k, at));
CREATE TABLE plain_online (k int PRIMARY KEY, at timestamptz);
INSERT INTO feathub.feature_group (feature_group, online, primary_key, event_time)
  VALUES ('plain', 'plain_online', '{k}', 'at');
SELECT * FROM feathub.maintain_feature_group('plain');

-- All of it is undone with its transaction.
BEGIN;
SELECT * FROM feathub.maintain_feature_group('weather', '2020-01-01 00:00+00');
ROLLBACK;
SELECT count(*) FROM partition WHERE name ~ 'p20(19|20)';

-- A new group has its partitions from the start.
SELECT feathub.create_feature_group('fresh', 'plain', '{k}', 'at', partition_interval => '1 day');
SELECT count(*) AS partitions, count(*) FILTER (WHERE bound = 'DEFAULT') AS "default",
       max(name) = 'fresh_p' || to_char(now() + interval '2 days', 'YYYYMMDD') AS ahead
  FROM partition WHERE parent = 'fresh' AND name NOT LIKE '%default';
INSERT INTO fresh VALUES (1, now()), (1, now() + interval '1 day');
SELECT count(*) FROM ONLY fresh_default;
SELECT feathub.create_feature_group('wrong', 'plain', '{k}', 'at', partition_interval => '1 month 1 day');
SELECT feathub.drop_feature_group('fresh');
SELECT count(*) FROM pg_class WHERE relname ~ '^fresh';

DELETE FROM feathub.feature_group WHERE feature_group::text ~ 'weather|weekly|quarterly|hourly|passt|own|plain';
SET client_min_messages = warning;
DROP SCHEMA partitions_create CASCADE;
DROP EXTENSION feathub CASCADE;
