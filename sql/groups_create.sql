-- Feature groups: what create_feature_group makes, takes over and changes.
CREATE EXTENSION IF NOT EXISTS feathub;
CREATE SCHEMA groups_create;
SET search_path = groups_create;
SET timezone = 'UTC';

-- The main job: a stream gives the columns, and a job of the group's name follows it.
CREATE SERVER groups_kafka FOREIGN DATA WRAPPER feathub_kafka OPTIONS (bootstrap_servers 'embedded');
CREATE USER MAPPING FOR CURRENT_USER SERVER groups_kafka;
CREATE FOREIGN TABLE weather_stream (origin text, time_hour timestamptz, temp float8, note varchar(20) COLLATE "C")
  SERVER groups_kafka OPTIONS (topic 't_jobs', format 'json');
SELECT feathub.create_feature_group('weather', source => 'weather_stream',
         primary_key => '{origin}', event_time => 'time_hour');
\d weather
\d weather_online
SELECT reloptions FROM pg_class WHERE oid = 'weather_online'::regclass;
SELECT * FROM feathub.feature_group \gset group_
SELECT :'group_feature_group' AS feature_group, :'group_online' AS online, :'group_source' AS source,
       :'group_primary_key' AS primary_key, :'group_event_time' AS event_time;
SELECT job, state, reason, source, sink, query, workers, start, on_error, max_dead_letters, on_gap,
       synchronous_commit, epoch FROM feathub.job_status;

-- All of it goes with one call, or is rolled back with the rest.
BEGIN;
SELECT feathub.drop_feature_group('weather');
SELECT count(*) FROM feathub.feature_group;
ROLLBACK;
SELECT job, state FROM feathub.job_status;
SELECT feathub.drop_feature_group('weather');
SELECT count(*) FROM feathub.feature_group;
SELECT job FROM feathub.job_status;
\d
BEGIN;
SELECT feathub.create_feature_group('weather', source => 'weather_stream',
         primary_key => '{origin}', event_time => 'time_hour');
ROLLBACK;
\d
SELECT feathub.drop_feature_group('weather', if_exists => true);

-- Every setting; a composite key; a query gives the columns; deletes.
SELECT feathub.create_feature_group('groups_create."Odd Name"', 'weather_stream', '{origin,"Day Of"}', 'time_hour',
         ttl => '1 day', retention => '1 year', deletes => true,
         query => 'SELECT origin, time_hour::date AS "Day Of", time_hour, temp * 1.8 + 32 AS temp_f, NULL AS nothing FROM batch',
         workers => 3, start => '2013-01-01 12:00+02', on_error => 'skip', max_dead_letters => -1, on_gap => 'skip',
         synchronous_commit => false, job => 'odd job');
\d "Odd Name"
\d "Odd Name_online"
\d "Odd Name_tombstone"
SELECT job, source, sink, query, workers, start, on_error, max_dead_letters, on_gap, synchronous_commit FROM feathub.job_status;
SELECT feature_group, tombstone, ttl, retention, deletes FROM feathub.feature_group;

-- Altering: null keeps, reset takes back.
SELECT feathub.alter_feature_group('"Odd Name"', ttl => '2 days', workers => 2);
SELECT ttl, retention, workers FROM feathub.feature_group, feathub.job_status;
SELECT feathub.alter_feature_group('"Odd Name"', retention => '2 years', reset => '{ttl,workers}');
SELECT ttl, retention, workers, epoch FROM feathub.feature_group, feathub.job_status;
SELECT feathub.drop_feature_group('"Odd Name"');
\d

-- Tables and views give columns, but no job can follow them.
CREATE TABLE flights (id int GENERATED ALWAYS AS IDENTITY, carrier text NOT NULL, delay int,
                      late bool GENERATED ALWAYS AS (delay > 15) STORED, at timestamp);
CREATE VIEW late_flights AS SELECT carrier, at, delay FROM flights WHERE delay > 15;
SELECT feathub.create_feature_group('f', 'flights', '{carrier}', 'at');
SELECT feathub.create_feature_group('l', 'late_flights', '{carrier}', 'at', online => false);
\d f
\d l
SELECT feature_group, online, source FROM feathub.feature_group ORDER BY feature_group::text;
SELECT job FROM feathub.job_status;

-- The source is only where the columns came from: it may go, the group stays.
DROP TABLE flights CASCADE;
SELECT feature_group, online, source FROM feathub.feature_group ORDER BY feature_group::text;
SELECT feathub.drop_feature_group('f'), feathub.drop_feature_group('l');

-- Without event time: one row for each key, in both tables.
CREATE TABLE planes (tailnum text, seats int);
SELECT feathub.create_feature_group('p', 'planes', '{tailnum}', deletes => true);
\d p
\d p_tombstone
SELECT feathub.drop_feature_group('p', keep_tables => true);

-- Tables that are there are taken over, and kept tables are tables of their own.
\d
DROP TABLE p_online;
SELECT feathub.create_feature_group('p', primary_key => '{tailnum}', deletes => true);
SELECT feature_group, online, tombstone FROM feathub.feature_group;
INSERT INTO p VALUES ('N1', 100);
SELECT feathub.drop_feature_group('p', keep_tables => true);
SELECT * FROM p;
DROP TABLE p, p_online, p_tombstone;

-- A table may have more than the source gives, and its key may be in any order.
CREATE TABLE w (at date NOT NULL, k int NOT NULL, v int8, loaded timestamptz NOT NULL DEFAULT now());
CREATE UNIQUE INDEX ON w (at, k);
CREATE TABLE w_source (k int, at date, v int);
SELECT feathub.create_feature_group('w', 'w_source', '{k}', 'at');
\d w_online
DROP TABLE w;
\d

-- Partitioned by event time: the rest is tested with partitions.
SELECT feathub.create_feature_group('w', 'w_source', '{k}', 'at', partition_interval => '1 month');
SELECT relkind, pg_get_partkeydef(oid) FROM pg_class WHERE oid = 'w'::regclass;
SELECT count(*) > 0 AS has_partitions FROM pg_inherits WHERE inhparent = 'w'::regclass;
SELECT count(*) AS default_partitions FROM pg_class c JOIN pg_inherits ON inhrelid = c.oid
 WHERE inhparent = 'w'::regclass AND pg_get_expr(relpartbound, c.oid) = 'DEFAULT';
SELECT feathub.drop_feature_group('w');

-- The longest names.
SELECT feathub.create_feature_group(repeat('g', 56), 'w_source', '{k}', 'at')::text AS name \gset
SELECT length(:'name');
SELECT feathub.drop_feature_group(repeat('g', 56));

-- Altering a table of the group needs no word to feathub, but its key stays.
SELECT feathub.create_feature_group('w', 'w_source', '{k}', 'at');
ALTER TABLE w ADD COLUMN v2 int, DROP COLUMN v;
ALTER TABLE w RENAME COLUMN v2 TO v3;
ALTER TABLE w DROP COLUMN at;
ALTER TABLE w_online DROP COLUMN k;
ALTER TABLE w RENAME COLUMN k TO key;
ALTER TABLE w DROP CONSTRAINT w_pkey;
ALTER TABLE w DROP CONSTRAINT w_pkey, ADD PRIMARY KEY (at, k);
CREATE UNIQUE INDEX w_second ON w (k, at);
ALTER TABLE w DROP CONSTRAINT w_pkey;
DROP INDEX w_second;
ALTER TABLE planes DROP COLUMN seats;
ALTER TABLE w RENAME TO w2;
ALTER TABLE w2 SET SCHEMA public;
SELECT feature_group, online FROM feathub.feature_group;
SELECT feathub.drop_feature_group('public.w2');

SET client_min_messages = warning;
DROP SERVER groups_kafka CASCADE;
DROP SCHEMA groups_create CASCADE;
