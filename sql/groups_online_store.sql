-- A further online store of a feature group: a foreign table that gets what the
-- online table gets. Here a topic with the latest row of each key.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS feathub;
CREATE SCHEMA groups_online_store;
SET search_path = groups_online_store;
SET TIME ZONE 'UTC';
CREATE SERVER groups_online_store FOREIGN DATA WRAPPER feathub_kafka OPTIONS (bootstrap_servers 'embedded');
CREATE USER MAPPING FOR CURRENT_USER SERVER groups_online_store;
CREATE FOREIGN TABLE stream (k int OPTIONS (key 'true'), at timestamptz, v int, w text)
  SERVER groups_online_store OPTIONS (topic 't_online_store', key_format 'json');
CREATE FOREIGN TABLE raw (k text OPTIONS (metadata 'key'), value text)
  SERVER groups_online_store OPTIONS (topic 't_online_store', format 'raw');
CREATE FOREIGN TABLE store (k int OPTIONS (key 'true'), at timestamptz, v int)
  SERVER groups_online_store OPTIONS (topic 't_online_store_copy', key_format 'json', write_mode 'upsert');
CREATE FOREIGN TABLE store_raw (pos bigint OPTIONS (metadata 'offset'), k text OPTIONS (metadata 'key'), value text)
  SERVER groups_online_store OPTIONS (topic 't_online_store_copy', format 'raw');
CREATE VIEW store_now AS
  SELECT k, (array_agg(value ORDER BY pos DESC))[1] AS value, count(*) FROM store_raw GROUP BY k ORDER BY k;

-- What a job changes online goes to the store: late rows do not, deletions do.
SELECT feathub.create_feature_group('g', source => 'stream', primary_key => '{k}', event_time => 'at', deletes => true,
  online_store => 'store');
INSERT INTO stream VALUES (1, '2020-01-01', 1, 'one'), (2, '2020-01-02', 2, 'two');
SELECT feathub.wait_for_job('g', timeout => '60 s');
INSERT INTO stream VALUES (1, '2020-01-03', 10, 'later'), (2, '2020-01-01', 20, 'late'), (3, '2020-01-01', 3, 'three');
SELECT feathub.wait_for_job('g', timeout => '60 s');
TABLE store_now;
INSERT INTO raw VALUES ('{"k":3}', NULL), ('{"k":9}', NULL);
SELECT feathub.wait_for_job('g', timeout => '60 s');
INSERT INTO stream VALUES (3, '2020-01-02', 30, 'does not return');
SELECT feathub.wait_for_job('g', timeout => '60 s');
TABLE store_now;
TABLE g_online ORDER BY k;
SELECT feature_group, online, online_store FROM feathub.feature_group;

-- So does what backfill() writes online, and nothing else.
SELECT feathub.backfill('g', $$ SELECT 4 AS k, '2020-01-04'::timestamptz AS at, 4 AS v, 'four' AS w
  UNION ALL SELECT 1, '2020-01-02', 11, 'late' $$, online => true);
SELECT feathub.backfill('g', $$ SELECT 5 AS k, '2020-01-04'::timestamptz AS at, 5 AS v, 'five' AS w $$);
TABLE store_now;

-- A store for a group that has rows, and one that was spoiled.
INSERT INTO store VALUES (77, '2020-01-01', 77), (1, '2020-01-01', -1);
SELECT feathub.refresh_online_store('g');
SELECT k, value FROM store_now;
SELECT feathub.alter_feature_group('g', reset => '{online_store}');
INSERT INTO stream VALUES (1, '2020-01-05', 12, 'without a store');
SELECT feathub.wait_for_job('g', timeout => '60 s');
SELECT value FROM store_now WHERE k = '{"k":1}';
SELECT feathub.refresh_online_store('g');
SELECT feathub.alter_feature_group('g', online_store => 'store');
SELECT value FROM store_now WHERE k = '{"k":1}';
INSERT INTO stream VALUES (1, '2020-01-06', 13, 'with one');
SELECT feathub.wait_for_job('g', timeout => '60 s');
SELECT value FROM store_now WHERE k = '{"k":1}';
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT feathub.refresh_online_store('g');
ROLLBACK;

-- Rows older than the ttl are not brought again.
SELECT feathub.alter_feature_group('g', ttl => '10 years');
INSERT INTO stream VALUES (1, now(), 14, 'now'), (2, '2001-01-01', 0, 'expired');
SELECT feathub.wait_for_job('g', timeout => '60 s');
SELECT feathub.alter_feature_group('g', ttl => '1 day');
SELECT feathub.refresh_online_store('g');
SELECT k FROM store_now WHERE value IS NOT NULL;
SELECT feathub.alter_feature_group('g', reset => '{ttl}');

-- A group without event time: the last arrival.
CREATE FOREIGN TABLE plain_store (k int OPTIONS (key 'true'), w text)
  SERVER groups_online_store OPTIONS (topic 't_online_store_plain', key_format 'json', write_mode 'upsert');
SELECT feathub.create_feature_group('plain', source => 'stream', primary_key => '{k}', deletes => true, online_store => 'plain_store');
SELECT feathub.wait_for_job('plain', timeout => '60 s');
SELECT bool_or(w = 'expired') AS there FROM plain_store WHERE k = 2;

-- What cannot be.
CREATE TABLE local_store (k int PRIMARY KEY, v int);
CREATE FOREIGN TABLE appended (k int, v int) SERVER groups_online_store OPTIONS (topic 't_online_store_plain');
CREATE FOREIGN TABLE wrong_key (k int, v int OPTIONS (key 'true'))
  SERVER groups_online_store OPTIONS (topic 't_online_store_plain', key_format 'json', write_mode 'upsert');
CREATE FOREIGN TABLE wrong_type (k bigint OPTIONS (key 'true'), v int)
  SERVER groups_online_store OPTIONS (topic 't_online_store_plain', key_format 'json', write_mode 'upsert');
CREATE FOREIGN TABLE wrong_column (k int OPTIONS (key 'true'), x int)
  SERVER groups_online_store OPTIONS (topic 't_online_store_plain', key_format 'json', write_mode 'upsert');
CREATE FOREIGN TABLE read_only (k int OPTIONS (key 'true'), v int)
  SERVER groups_online_store OPTIONS (topic 't_online_store_plain', key_format 'json', write_mode 'upsert', updatable 'false');
SELECT feathub.alter_feature_group('g', online_store => 'local_store');
SELECT feathub.alter_feature_group('g', online_store => 'appended');
SELECT feathub.alter_feature_group('g', online_store => 'wrong_key');
SELECT feathub.alter_feature_group('g', online_store => 'wrong_type');
SELECT feathub.alter_feature_group('g', online_store => 'wrong_column');
SELECT feathub.alter_feature_group('g', online_store => 'read_only');
SELECT feathub.alter_feature_group('g', online_store => 'plain_store');
SELECT feathub.create_feature_group('h', source => 'stream', primary_key => '{k}', online => false, online_store => 'wrong_type', job => 'h');
SELECT feathub.refresh_online_store('nothing');
-- Nor does a job write to a store, or what it writes to become one.
SELECT feathub.create_job('writes', source => 'stream', sink => 'store', query => 'SELECT k, at, v FROM batch');
SELECT feathub.create_job('writes', source => 'stream', sink => 'wrong_type', query => 'SELECT k::bigint AS k, v FROM batch');
SELECT feathub.alter_job('writes', add_sinks => '{store}');
SELECT feathub.alter_feature_group('g', online_store => 'wrong_type');
SELECT feathub.drop_job('writes');

-- Rights: the owner's alone, and INSERT for who may backfill.
CREATE ROLE regress_groups_online_store LOGIN;
GRANT USAGE ON SCHEMA groups_online_store TO regress_groups_online_store;
GRANT SELECT, INSERT, UPDATE ON g, g_online TO regress_groups_online_store;
GRANT SELECT ON g_tombstone TO regress_groups_online_store;
CREATE USER MAPPING FOR regress_groups_online_store SERVER groups_online_store;
SET ROLE regress_groups_online_store;
SELECT feathub.refresh_online_store('g');
SELECT feathub.alter_feature_group('g', reset => '{online_store}');
SELECT feathub.backfill('g', $$ SELECT 6 AS k, '2020-01-06'::timestamptz AS at, 6 AS v, 'six' AS w $$, online => true);
RESET ROLE;
GRANT INSERT ON store TO regress_groups_online_store;
SET ROLE regress_groups_online_store;
SELECT feathub.backfill('g', $$ SELECT 6 AS k, '2020-01-06'::timestamptz AS at, 6 AS v, 'six' AS w $$, online => true);
RESET ROLE;
SELECT value FROM store_now WHERE k = '{"k":6}';
-- A store that was given away stops the job before it writes there.
ALTER FOREIGN TABLE plain_store OWNER TO regress_groups_online_store;
SELECT feathub.pause_job('plain');
SELECT feathub.resume_job('plain');
ALTER FOREIGN TABLE plain_store OWNER TO CURRENT_USER;
SELECT feathub.resume_job('plain');

-- Altered, renamed, dropped.
ALTER FOREIGN TABLE store RENAME TO renamed_store;
ALTER FOREIGN TABLE renamed_store RENAME COLUMN k TO key;
ALTER FOREIGN TABLE renamed_store DROP COLUMN k;
ALTER FOREIGN TABLE renamed_store DROP COLUMN at, ADD COLUMN w text, ADD COLUMN x int;
INSERT INTO stream VALUES (7, '2020-01-07', 7, 'seven');
DO $$ BEGIN
  FOR i IN 1 .. 6000 LOOP
    EXIT WHEN EXISTS (SELECT FROM feathub.job_status WHERE job = 'g' AND last_error IS NOT NULL);
    PERFORM pg_sleep(0.01);
  END LOOP;
END $$;
SELECT last_error FROM feathub.job_status WHERE job = 'g';
ALTER FOREIGN TABLE renamed_store DROP COLUMN x;
SELECT feathub.wait_for_job('g', timeout => '60 s');
SELECT value FROM store_now WHERE k = '{"k":7}';
SET client_min_messages = notice;
DROP FOREIGN TABLE renamed_store;
DROP FOREIGN TABLE renamed_store CASCADE;
INSERT INTO stream VALUES (8, '2020-01-07', 8, 'eight');
SELECT feathub.wait_for_job('g', timeout => '60 s');
SELECT k FROM g_online WHERE k = 8;
SELECT feature_group, online_store FROM feathub.feature_group ORDER BY feature_group::text;
SET client_min_messages = warning;
SELECT feathub.drop_feature_group('plain');
SELECT count(*) > 0 AS still_there FROM plain_store;
DROP SCHEMA groups_online_store CASCADE;
DROP SERVER groups_online_store CASCADE;
DROP OWNED BY regress_groups_online_store;
DROP ROLE regress_groups_online_store;
