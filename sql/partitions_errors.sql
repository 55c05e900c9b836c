-- What maintenance of a feature group refuses.
CREATE EXTENSION IF NOT EXISTS feathub;
CREATE SCHEMA partitions_errors;
SET search_path = partitions_errors;
SET timezone = 'UTC';

CREATE TABLE t (k int, at date, PRIMARY KEY (k, at)) PARTITION BY RANGE (at);
CREATE TABLE t_online (k int PRIMARY KEY, at date);

-- Not a group, no table, no group at all.
SELECT feathub.maintain_feature_group('t');
SELECT feathub.maintain_feature_group(1);
SELECT feathub.maintain_feature_group('t_none');
SELECT feathub.maintain_feature_group(NULL);

-- Intervals that cannot be ranges.
INSERT INTO feathub.feature_group (feature_group, online, primary_key, event_time) VALUES ('t', 't_online', '{k}', 'at');
\set VERBOSITY default
UPDATE feathub.feature_group SET partition_interval = '1 month 1 day' WHERE feature_group = 't'::regclass;
SELECT feathub.maintain_feature_group('t');
UPDATE feathub.feature_group SET partition_interval = '0' WHERE feature_group = 't'::regclass;
SELECT feathub.maintain_feature_group('t');
UPDATE feathub.feature_group SET partition_interval = '-1 day' WHERE feature_group = 't'::regclass;
SELECT feathub.maintain_feature_group('t');
UPDATE feathub.feature_group SET partition_interval = '1 month -30 days' WHERE feature_group = 't'::regclass;
SELECT feathub.maintain_feature_group('t');
UPDATE feathub.feature_group SET partition_interval = '101 years' WHERE feature_group = 't'::regclass;
SELECT feathub.maintain_feature_group('t');
UPDATE feathub.feature_group SET partition_interval = '36526 days' WHERE feature_group = 't'::regclass;
SELECT feathub.maintain_feature_group('t');
UPDATE feathub.feature_group SET partition_interval = '1000000000 hours' WHERE feature_group = 't'::regclass;
SELECT feathub.maintain_feature_group('t');
UPDATE feathub.feature_group SET partition_interval = '90.5 seconds' WHERE feature_group = 't'::regclass;
SELECT feathub.maintain_feature_group('t');
UPDATE feathub.feature_group SET partition_interval = '12 hours' WHERE feature_group = 't'::regclass;
SELECT feathub.maintain_feature_group('t');
UPDATE feathub.feature_group SET partition_interval = '48 hours' WHERE feature_group = 't'::regclass;
SELECT * FROM feathub.maintain_feature_group('t', '2013-01-01 00:00+00');

-- Times out of range.
SELECT feathub.maintain_feature_group('t', 'infinity');
SELECT feathub.maintain_feature_group('t', '-infinity');
SELECT feathub.maintain_feature_group('t', '9999-01-01 00:00+00');
SELECT feathub.maintain_feature_group('t', '2013-01-01 00:00+00', since => '1800-01-01 00:00+00');
SELECT feathub.maintain_feature_group('t', '2013-01-01 00:00+00', since => '2013-01-02 00:00+00');
SELECT feathub.maintain_feature_group('t', '2013-01-01 00:00+00', since => '-infinity');
-- no time at all is now
SELECT partitions_created > 0 AS made FROM feathub.maintain_feature_group('t', NULL);

-- A table that is not partitioned by its event time.
CREATE TABLE plain (k int, at timestamptz, PRIMARY KEY (k, at));
CREATE TABLE plain_online (k int PRIMARY KEY, at timestamptz);
CREATE TABLE other (k int, at timestamptz, PRIMARY KEY (k, at)) PARTITION BY RANGE (k);
CREATE TABLE other_online (k int PRIMARY KEY, at timestamptz);
CREATE TABLE two (k int, at timestamptz, PRIMARY KEY (k, at)) PARTITION BY RANGE (at, k);
CREATE TABLE two_online (k int PRIMARY KEY, at timestamptz);
CREATE TABLE list (k int, at timestamptz, PRIMARY KEY (k, at)) PARTITION BY LIST (at);
CREATE TABLE list_online (k int PRIMARY KEY, at timestamptz);
INSERT INTO feathub.feature_group (feature_group, online, primary_key, event_time, partition_interval)
  SELECT g, (g || '_online')::regclass, '{k}', 'at', '1 day' FROM unnest('{plain,other,two,list}'::regclass[]) g;
SELECT feathub.maintain_feature_group('plain');
SELECT feathub.maintain_feature_group('other');
SELECT feathub.maintain_feature_group('two');
SELECT feathub.maintain_feature_group('list');

DELETE FROM feathub.feature_group
 WHERE feature_group IN (SELECT oid FROM pg_class WHERE relnamespace = 'partitions_errors'::regnamespace);
SET client_min_messages = warning;
DROP SCHEMA partitions_errors CASCADE;
DROP EXTENSION feathub CASCADE;
