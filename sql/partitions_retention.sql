-- Retention: whole partitions are dropped, other rows deleted one by one.
CREATE EXTENSION IF NOT EXISTS feathub;
CREATE SCHEMA partitions_retention;
SET search_path = partitions_retention;
SET timezone = 'UTC';

-- Partitions go once they have ended before the cutoff; the default partition
-- is trimmed to the cutoff itself.
CREATE TABLE weather (origin text, time_hour timestamptz, temp float8, PRIMARY KEY (origin, time_hour))
  PARTITION BY RANGE (time_hour);
CREATE TABLE weather_online (origin text PRIMARY KEY, time_hour timestamptz, temp float8);
INSERT INTO feathub.feature_group (feature_group, online, primary_key, event_time, partition_interval)
  VALUES ('weather', 'weather_online', '{origin}', 'time_hour', '1 month');
SELECT * FROM feathub.maintain_feature_group('weather', '2013-12-15 12:00+00');
INSERT INTO weather SELECT 'JFK', t, 1 FROM generate_series('2013-01-01 00:00+00'::timestamptz, '2013-12-31 23:00+00', '1 day') t;
SELECT * FROM feathub.maintain_feature_group('weather', '2013-12-15 12:00+00');
INSERT INTO weather_online VALUES ('JFK', '2012-01-01 00:00+00', 1);
INSERT INTO weather VALUES
  ('OLD', '0001-01-01 00:00+00', 1), ('OLD', '-infinity', 1), ('OLD', '2012-12-31 00:00+00', 1),
  ('NEW', '2031-01-01 00:00+00', 1), ('NEW', 'infinity', 1);
SELECT tableoid::regclass::text AS name, count(*) FROM weather GROUP BY 1 ORDER BY 1;
UPDATE feathub.feature_group SET retention = '6 months' WHERE feature_group = 'weather'::regclass;
SELECT * FROM feathub.maintain_feature_group('weather', '2013-10-31 23:59:59+00');
SELECT tableoid::regclass::text AS name, count(*) FROM weather GROUP BY 1 ORDER BY 1;
SELECT * FROM feathub.maintain_feature_group('weather', '2013-11-01 00:00:00+00');
SELECT tableoid::regclass::text AS name, count(*) FROM weather GROUP BY 1 ORDER BY 1;
-- online rows stay
SELECT * FROM weather_online;

-- Old rows that come by themselves are not given partitions to be dropped.
INSERT INTO weather VALUES ('OLD', '2013-02-01 00:00+00', 1);
SELECT * FROM feathub.maintain_feature_group('weather', '2013-11-01 00:00:00+00');
SELECT * FROM feathub.maintain_feature_group('weather', '2013-11-01 00:00:00+00', since => '2013-02-01 00:00+00');
SELECT min(tableoid::regclass::text) FROM weather WHERE time_hour < '2013-07-01 00:00+00';

-- A partition that something depends on stays, with a warning; others go.
CREATE VIEW may AS SELECT count(*) FROM weather_p20130501;
SELECT * FROM feathub.maintain_feature_group('weather', '2014-01-02 00:00:00+00');
SELECT * FROM may;
DROP VIEW may;
SELECT * FROM feathub.maintain_feature_group('weather', '2014-01-02 00:00:00+00');

-- A table that is not partitioned, or not by its event time, is trimmed.
CREATE TABLE plain (k int, at timestamp, PRIMARY KEY (k, at));
CREATE TABLE plain_online (k int PRIMARY KEY, at timestamp);
CREATE TABLE hashed (k int, at date, PRIMARY KEY (k, at)) PARTITION BY HASH (k);
CREATE TABLE hashed_0 PARTITION OF hashed FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE hashed_1 PARTITION OF hashed FOR VALUES WITH (MODULUS 2, REMAINDER 1);
CREATE TABLE hashed_online (k int PRIMARY KEY, at date);
INSERT INTO feathub.feature_group (feature_group, online, primary_key, event_time, retention) VALUES
  ('plain', 'plain_online', '{k}', 'at', '10 days'), ('hashed', 'hashed_online', '{k}', 'at', '10 days');
INSERT INTO plain SELECT k, t FROM generate_series(1, 10) k, generate_series('2013-01-01'::timestamp, '2013-01-31', '12 hours') t;
INSERT INTO hashed SELECT k, t FROM generate_series(1, 10) k, generate_series('2013-01-01'::timestamp, '2013-01-31', '1 day') t;
INSERT INTO hashed VALUES (1, '-infinity'), (1, 'infinity');
SET timezone = 'Asia/Tokyo';
SELECT * FROM feathub.maintain_feature_group('plain', '2013-01-21 12:00+00');
SELECT * FROM feathub.maintain_feature_group('hashed', '2013-01-21 12:00+00');
SET timezone = 'UTC';
SELECT min(at), max(at), count(*) FROM plain;
SELECT min(at), max(at), count(*) FROM hashed;

-- Partitions of the user's own making are dropped too; foreign ones are not.
CREATE TABLE own (k int, at timestamptz, PRIMARY KEY (k, at)) PARTITION BY RANGE (at);
CREATE TABLE own_online (k int PRIMARY KEY, at timestamptz);
CREATE TABLE own_2011 PARTITION OF own FOR VALUES FROM (MINVALUE) TO ('2012-01-01') PARTITION BY HASH (k);
CREATE TABLE own_2011_0 PARTITION OF own_2011 FOR VALUES WITH (MODULUS 1, REMAINDER 0);
CREATE TABLE own_2012 PARTITION OF own FOR VALUES FROM ('2012-01-01') TO ('2013-01-01');
CREATE TABLE own_2013 PARTITION OF own FOR VALUES FROM ('2013-01-01') TO (MAXVALUE);
INSERT INTO own VALUES (1, '2010-01-01'), (1, '2012-12-31 23:00'), (1, '2013-01-01'), (1, '2014-01-01');
INSERT INTO feathub.feature_group (feature_group, online, primary_key, event_time, retention)
  VALUES ('own', 'own_online', '{k}', 'at', '1 year');
SELECT * FROM feathub.maintain_feature_group('own', '2014-01-01 00:00+00');
TABLE own ORDER BY at;
SELECT count(*) FROM pg_class WHERE relname ~ '^own_201[12]';

-- Remembered deletions go with the rows they could meet.
CREATE TABLE deletes (k int, at timestamptz, feathub_deleted bool NOT NULL DEFAULT false, PRIMARY KEY (k, at));
CREATE TABLE deletes_online (k int PRIMARY KEY, at timestamptz);
CREATE TABLE deletes_tombstone (k int PRIMARY KEY, deleted_at timestamptz);
INSERT INTO feathub.feature_group (feature_group, online, tombstone, primary_key, event_time, retention, deletes)
  VALUES ('deletes', 'deletes_online', 'deletes_tombstone', '{k}', 'at', '1 month', true);
INSERT INTO deletes_tombstone VALUES (1, '2013-01-31 00:00+00'), (2, '2013-01-30 23:59+00'), (3, '2013-03-01 00:00+00');
SELECT * FROM feathub.maintain_feature_group('deletes', '2013-03-01 00:00+00');
SELECT * FROM deletes_tombstone ORDER BY 1;

-- No event time, no retention.
CREATE TABLE timeless (k int PRIMARY KEY, x int);
CREATE TABLE timeless_online (k int PRIMARY KEY, x int);
INSERT INTO feathub.feature_group (feature_group, online, primary_key, retention)
  VALUES ('timeless', 'timeless_online', '{k}', '1 month');
INSERT INTO timeless VALUES (1, 1);
SELECT * FROM feathub.maintain_feature_group('timeless');

DELETE FROM feathub.feature_group
 WHERE feature_group IN (SELECT oid FROM pg_class WHERE relnamespace = 'partitions_retention'::regnamespace);
SET client_min_messages = warning;
DROP SCHEMA partitions_retention CASCADE;
DROP EXTENSION feathub CASCADE;
