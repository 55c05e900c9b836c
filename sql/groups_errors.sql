-- Feature groups: what is refused, with its reason.
CREATE EXTENSION IF NOT EXISTS feathub;
CREATE SCHEMA groups_errors;
SET search_path = groups_errors;
CREATE TABLE s (k int, at timestamptz, v float8, j json, n int, p point, t text, d date);
CREATE SERVER groups_errors_kafka FOREIGN DATA WRAPPER feathub_kafka OPTIONS (bootstrap_servers 'embedded');
CREATE USER MAPPING FOR CURRENT_USER SERVER groups_errors_kafka;
CREATE FOREIGN TABLE stream (k int, at timestamptz, v float8, j json)
  SERVER groups_errors_kafka OPTIONS (topic 't_jobs', format 'json');

-- names
SELECT feathub.create_feature_group(NULL, 's', '{k}', 'at');
SELECT feathub.create_feature_group('', 's', '{k}', 'at');
SELECT feathub.create_feature_group('a.b.c.d', 's', '{k}', 'at');
SELECT feathub.create_feature_group('nowhere.g', 's', '{k}', 'at');
SELECT feathub.create_feature_group('pg_temp.g', 's', '{k}', 'at');
SELECT feathub.create_feature_group(repeat('g', 57), 's', '{k}', 'at');
SELECT feathub.create_feature_group(repeat('g', 54), 's', '{k}', 'at', deletes => true);
SELECT feathub.create_feature_group('s', 's', '{k}', 'at');

-- keys
SELECT feathub.create_feature_group('g', 's');
SELECT feathub.create_feature_group('g', 's', '{}');
SELECT feathub.create_feature_group('g', 's', '{NULL}');
SELECT feathub.create_feature_group('g', 's', '{k,k}', 'at');
SELECT feathub.create_feature_group('g', 's', '{K}', 'at');
SELECT feathub.create_feature_group('g', 's', '{j}', 'at');
SELECT feathub.create_feature_group('g', 's', '{p}', 'at');
SELECT feathub.create_feature_group('g', 's', array_fill('k'::text, '{32}'), 'at');
SELECT feathub.create_feature_group('g', 's', '{k,at}', 'at');
SELECT feathub.create_feature_group('g', 's', '{k}', 'nothing');
SELECT feathub.create_feature_group('g', 's', '{k}', 't');
SELECT feathub.create_feature_group('g', 's', '{k}', 'n');
SELECT feathub.create_feature_group('g', 's', '{k}', 'd', deletes => true);

-- settings
SELECT feathub.create_feature_group('g', 's', '{k}', 'at', ttl => '0');
SELECT feathub.create_feature_group('g', 's', '{k}', 'at', retention => '-1 day');
SELECT feathub.create_feature_group('g', 's', '{k}', ttl => '1 day');
SELECT feathub.create_feature_group('g', 's', '{k}', partition_interval => '1 day');
SELECT feathub.create_feature_group('g', 's', '{k}', 'at', partition_interval => '1 month 1 day');
SELECT feathub.create_feature_group('g', 's', '{k}', 'at', workers => 0);
SELECT feathub.create_feature_group('g', 's', '{k}', 'at', workers => NULL);
SELECT feathub.create_feature_group('g', 's', '{k}', 'at', start => 'whenever');
SELECT feathub.create_feature_group('g', 's', '{k}', 'at', start => 'infinity');
SELECT feathub.create_feature_group('g', 's', '{k}', 'at', on_error => 'ignore');
SELECT feathub.create_feature_group('g', 's', '{k}', 'at', on_gap => NULL);
SELECT feathub.create_feature_group('g', 's', '{k}', 'at', max_dead_letters => -2);
SELECT feathub.create_feature_group('g', 's', '{k}', 'at', job => 'g_job');

-- sources and queries
SELECT feathub.create_feature_group('g', primary_key => '{k}');
SELECT feathub.create_feature_group('g', 'no_such_table', '{k}');
SELECT feathub.create_feature_group('g', 1::regclass, '{k}');
CREATE SEQUENCE seq;
SELECT feathub.create_feature_group('g', 'seq', '{k}');
CREATE TEMP TABLE tmp (k int);
SELECT feathub.create_feature_group('g', 'tmp', '{k}');
SELECT feathub.create_feature_group('g', primary_key => '{k}', query => 'SELECT 1');
SELECT feathub.create_feature_group('g', 'stream', '{k}', 'at', query => 'SELECT k, at, w FROM batch');
SELECT feathub.create_feature_group('g', 'stream', '{k}', 'at', query => 'SELECT k, at FROM batch JOIN s USING (k)');
SELECT feathub.create_feature_group('g', 'stream', '{k}', 'at', query => 'SELECT k, k FROM batch');
SELECT feathub.create_feature_group('g', 'stream', '{k}', 'at', query => 'SELECT 1; SELECT 2');
SELECT feathub.create_feature_group('g', 'stream', '{k}', 'at', query => '');
SELECT feathub.create_feature_group('g', 'stream', '{k}', 'at', query => 'DELETE FROM groups_errors.s');
SELECT feathub.create_feature_group('g', 'stream', '{k}', 'at', query => 'WITH d AS (DELETE FROM groups_errors.s RETURNING k) SELECT * FROM d');
SELECT feathub.create_feature_group('g', 'stream', '{k}', 'at', query => 'SELECT s.k FROM groups_errors.s FOR UPDATE');
SELECT feathub.create_feature_group('g', 'stream', '{k}', 'at', query => 'SELECT 1 AS k INTO x FROM batch');
SELECT feathub.create_feature_group('g', 'stream', '{k}', 'at', query => 'SELECT row(1) AS k FROM batch');
SELECT feathub.create_feature_group('g', 'stream', '{j}');

-- tables that do not fit
CREATE TABLE g1 (k int, at timestamptz, v float8);
SELECT feathub.create_feature_group('g1', primary_key => '{k}', event_time => 'at');
ALTER TABLE g1 ALTER k SET NOT NULL, ALTER at SET NOT NULL;
SELECT feathub.create_feature_group('g1', primary_key => '{k}', event_time => 'at');
CREATE UNIQUE INDEX g1_partial ON g1 (k, at) WHERE v > 0;
CREATE UNIQUE INDEX g1_expression ON g1 (k, at, (v + 1));
CREATE UNIQUE INDEX g1_other ON g1 (k, v);
CREATE UNIQUE INDEX g1_include ON g1 (k) INCLUDE (at);
ALTER TABLE g1 ADD CONSTRAINT g1_deferrable UNIQUE (k, at) DEFERRABLE;
SELECT feathub.create_feature_group('g1', primary_key => '{k}', event_time => 'at');
ALTER TABLE g1 ADD PRIMARY KEY (k, at);
SELECT feathub.create_feature_group('g1', primary_key => '{k}', event_time => 'at', deletes => true);
SELECT feathub.create_feature_group('g1', primary_key => '{k}', event_time => 'at', partition_interval => '1 day');
SELECT feathub.create_feature_group('g1', 'stream', '{k}', 'at');
CREATE TABLE g1_source (k int8, at timestamptz, v float8);
SELECT feathub.create_feature_group('g1', 'g1_source', '{k}', 'at');
ALTER TABLE g1_source ALTER k TYPE int, ALTER v TYPE text, ADD w text;
SELECT feathub.create_feature_group('g1', 'g1_source', '{k}', 'at');
ALTER TABLE g1_source DROP v;
SELECT feathub.create_feature_group('g1', 'g1_source', '{k}', 'at');
ALTER TABLE g1_source DROP w;
ALTER TABLE g1 ADD needed int NOT NULL;
SELECT feathub.create_feature_group('g1', 'g1_source', '{k}', 'at');
ALTER TABLE g1 ALTER needed SET DEFAULT 0;
CREATE TABLE g1_online (k int PRIMARY KEY, at timestamptz);
SELECT feathub.create_feature_group('g1', 'g1_source', '{k}', 'at');
DROP TABLE g1_online;
CREATE VIEW g1_online AS SELECT 1 AS k;
SELECT feathub.create_feature_group('g1', 'g1_source', '{k}', 'at');
CREATE UNLOGGED TABLE g2 (k int PRIMARY KEY);
SELECT feathub.create_feature_group('g2', primary_key => '{k}');
CREATE VIEW g3 AS SELECT 1 AS k;
SELECT feathub.create_feature_group('g3', primary_key => '{k}');
CREATE TABLE parent (k int PRIMARY KEY) PARTITION BY RANGE (k);
CREATE TABLE g4 PARTITION OF parent DEFAULT;
SELECT feathub.create_feature_group('g4', primary_key => '{k}');
CREATE TABLE g5 (k int PRIMARY KEY, feathub_deleted int);
SELECT feathub.create_feature_group('g5', primary_key => '{k}', deletes => true);
SELECT feathub.create_feature_group('g6', 'g5', '{k}', deletes => true);

-- twice
SELECT feathub.create_feature_group('g', 'stream', '{k}', 'at');
SELECT feathub.create_feature_group('g', 'stream', '{k}', 'at');
SELECT feathub.create_feature_group('h', 'stream', '{k}', 'at', job => 'g');

-- altering and dropping
SELECT feathub.alter_feature_group('no_such_group');
SELECT feathub.alter_feature_group('s');
SELECT feathub.alter_feature_group(NULL);
SELECT feathub.alter_feature_group('g', ttl => '-1 s');
SELECT feathub.alter_feature_group('g', workers => 5000);
SELECT feathub.alter_feature_group('g', reset => '{deletes}');
SELECT feathub.create_feature_group('i', 's', '{k}');
SELECT feathub.alter_feature_group('i', ttl => '1 s');
SELECT feathub.alter_feature_group('i', workers => 2);
SELECT feathub.drop_feature_group('no_such_group');
SELECT feathub.drop_feature_group('no_such_group', if_exists => true);
SELECT feathub.drop_feature_group('s');
CREATE VIEW on_online AS SELECT * FROM i_online;
SELECT feathub.drop_feature_group('i');
DROP VIEW on_online;
SELECT feathub.drop_feature_group('i'), feathub.drop_feature_group('g');
SELECT count(*) FROM feathub.feature_group;
SELECT job FROM feathub.job_status;

SET client_min_messages = warning;
DROP SERVER groups_errors_kafka CASCADE;
DROP SCHEMA groups_errors CASCADE;
