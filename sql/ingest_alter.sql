-- What is altered while a job runs: columns, settings, names, schemas.
CREATE EXTENSION IF NOT EXISTS feathub;
SET timezone = 'UTC';
SET datestyle = 'ISO';
CREATE SCHEMA ingest_alter;
CREATE SCHEMA ingest_alter_two;
SET search_path = ingest_alter;
CREATE SERVER ingest_alter FOREIGN DATA WRAPPER feathub_kafka OPTIONS (bootstrap_servers 'embedded');
CREATE USER MAPPING FOR CURRENT_USER SERVER ingest_alter;
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
-- the messages have all fields from the start; the stream learns of them later
CREATE FOREIGN TABLE messages (k int, at timestamptz, v int, w text, x float8)
  SERVER ingest_alter OPTIONS (topic 't_ingest_alter', format 'json');
CREATE FOREIGN TABLE stream (k int, at timestamptz, v int)
  SERVER ingest_alter OPTIONS (topic 't_ingest_alter', format 'json');
SELECT feathub.create_feature_group('g', 'stream', '{k}', 'at', deletes => true);
SELECT feathub.create_feature_group('q', 'stream', '{k}', 'at', query => 'SELECT * FROM batch');
INSERT INTO messages VALUES (1, '2013-01-01', 1, 'one', 1.5);
SELECT feathub.wait_for_job('g', '60 s'), feathub.wait_for_job('q', '60 s');

-- A new column of the source alone is not written yet; of the group too, from the next record on.
ALTER FOREIGN TABLE stream ADD COLUMN w text;
INSERT INTO messages VALUES (2, '2013-01-01', 2, 'two', 2.5);
SELECT feathub.wait_for_job('g', '60 s');
TABLE g ORDER BY k;
ALTER TABLE g ADD COLUMN w text;
ALTER TABLE g_online ADD COLUMN w text;
INSERT INTO messages VALUES (3, '2013-01-01', 3, 'three', 3.5);
SELECT feathub.wait_for_job('g', '60 s');
SELECT k, v, w FROM g ORDER BY k;
TABLE g_online ORDER BY k;
-- The other way round: the group first.
ALTER TABLE g ADD COLUMN x float8;
ALTER TABLE g_online ADD COLUMN x float8;
INSERT INTO messages VALUES (4, '2013-01-01', 4, 'four', 4.5);
SELECT feathub.wait_for_job('g', '60 s');
ALTER FOREIGN TABLE stream ADD COLUMN x float8;
INSERT INTO messages VALUES (5, '2013-01-01', 5, 'five', 5.5);
SELECT feathub.wait_for_job('g', '60 s');
SELECT k, v, w, x FROM g ORDER BY k;
TABLE g_online ORDER BY k;
-- Everything in one transaction, and rolled back.
BEGIN;
ALTER FOREIGN TABLE stream ADD COLUMN y int;
ALTER TABLE g ADD COLUMN y int;
ALTER TABLE g_online ADD COLUMN y int;
ROLLBACK;
-- A replay fills what was missed.
SELECT feathub.rewind_job('g');
SELECT feathub.wait_for_job('g', '60 s');
SELECT k, v, w, x FROM g ORDER BY k;
TABLE g_online ORDER BY k;
-- The job with a star in its query wants the columns in its table: it waits, says so, and goes on.
SELECT wait_until('last_error IS NOT NULL FROM feathub.job_status WHERE job = ''q''');
SELECT last_error FROM feathub.job_status WHERE job = 'q';
ALTER TABLE q ADD COLUMN w text, ADD COLUMN x float8;
ALTER TABLE q_online ADD COLUMN w text, ADD COLUMN x float8;
SELECT feathub.wait_for_job('q', '60 s');
SELECT k, v, w, x FROM q ORDER BY k;
SELECT records, applied, dead_letters FROM feathub.job_status WHERE job = 'q';

-- Dropped columns: of the group, the source's value is left out; of the source, the group's stays NULL.
ALTER TABLE g DROP COLUMN x;
INSERT INTO messages VALUES (6, '2013-01-01', 6, 'six', 6.5);
SELECT feathub.wait_for_job('g', '60 s');
SELECT k, v, w FROM g WHERE k = 6;
SELECT * FROM g_online WHERE k = 6;
ALTER TABLE g_online DROP COLUMN x;
ALTER FOREIGN TABLE stream DROP COLUMN w;
INSERT INTO messages VALUES (7, '2013-01-01', 7, 'seven', 7.5);
SELECT feathub.wait_for_job('g', '60 s');
SELECT k, v, w FROM g WHERE k = 7;
SELECT * FROM g_online WHERE k = 7;
-- A key column cannot go or change its name under a job.
ALTER TABLE g DROP COLUMN k;
ALTER TABLE g RENAME COLUMN at TO at_time;
ALTER TABLE g_online RENAME COLUMN k TO key;
ALTER FOREIGN TABLE stream DROP COLUMN k;
INSERT INTO messages VALUES (8, '2013-01-01', 8, 'eight', 8.5);
SELECT wait_until('last_error IS NOT NULL FROM feathub.job_status WHERE job = ''g''');
SELECT last_error FROM feathub.job_status WHERE job = 'g';
ALTER FOREIGN TABLE stream ADD COLUMN k int;
SELECT feathub.wait_for_job('g', '60 s');
SELECT * FROM g_online WHERE k = 8;
-- A feature takes another name or type; constraints come and go.
ALTER TABLE g RENAME COLUMN v TO v2;
ALTER TABLE g_online RENAME COLUMN v TO v2;
ALTER FOREIGN TABLE stream RENAME COLUMN v TO v2;
ALTER FOREIGN TABLE stream ALTER COLUMN v2 OPTIONS (path 'v');
ALTER TABLE g ALTER COLUMN v2 TYPE bigint;
ALTER TABLE g_online ALTER COLUMN v2 TYPE numeric(10,2);
ALTER TABLE g ADD CHECK (v2 <> 10);
INSERT INTO messages VALUES (9, '2013-01-01', 9), (10, '2013-01-01', 10);
SELECT feathub.wait_for_job('g', '60 s');
SELECT * FROM g WHERE k > 8;
SELECT * FROM g_online WHERE k > 8;
SELECT sequence IS NOT NULL AS kept, message FROM feathub.dead_letter WHERE job = 'g';
-- Options of the source's columns are picked up, too.
ALTER FOREIGN TABLE stream ALTER COLUMN v2 OPTIONS (SET path 'x');
INSERT INTO messages VALUES (11, '2013-01-01', 1, NULL, 110);
SELECT feathub.wait_for_job('g', '60 s');
SELECT k, v2 FROM g_online WHERE k = 11;

-- Names and schemas: the job goes on, and shows them.
ALTER TABLE g RENAME TO renamed;
ALTER TABLE renamed SET SCHEMA ingest_alter_two;
ALTER TABLE g_online SET SCHEMA ingest_alter_two;
ALTER TABLE ingest_alter_two.g_online RENAME TO current;
ALTER TABLE g_tombstone RENAME TO gone;
ALTER FOREIGN TABLE stream RENAME TO "The Stream";
ALTER FOREIGN TABLE "The Stream" SET SCHEMA ingest_alter_two;
ALTER SCHEMA ingest_alter_two RENAME TO "Ingest Two";
INSERT INTO messages VALUES (12, '2013-01-01', 12, NULL, 12);
SELECT feathub.wait_for_job('g', '60 s');
SELECT k, v2 FROM "Ingest Two".renamed WHERE k = 12;
SELECT k, v2 FROM "Ingest Two".current WHERE k = 12;
SELECT source, sink, state FROM feathub.job_status WHERE job = 'g';
SELECT feature_group, online, tombstone, source FROM feathub.feature_group WHERE online::text LIKE '%current%';

-- Workers, up and down; each partition is followed by one.
SELECT feathub.alter_feature_group('"Ingest Two".renamed', workers => 2);
SELECT wait_until('workers_running = 2 FROM feathub.job_status WHERE job = ''g''');
INSERT INTO messages SELECT i, '2013-01-02', i, NULL, i FROM generate_series(1, 100) i;
SELECT feathub.wait_for_job('g', '60 s');
SELECT count(*), sum(v2) FROM "Ingest Two".current WHERE at = '2013-01-02';
SELECT wait_until('count(DISTINCT worker) = 2 FROM feathub.job_partition WHERE job = ''g''');
SELECT feathub.alter_feature_group('"Ingest Two".renamed', reset => '{workers}');
INSERT INTO messages SELECT i, '2013-01-03', i, NULL, i FROM generate_series(1, 100) i;
SELECT feathub.wait_for_job('g', '60 s');
SELECT count(*), sum(v2) FROM "Ingest Two".current WHERE at = '2013-01-03';
SELECT wait_until('workers_running = 1 FROM feathub.job_status WHERE job = ''g''');
SELECT records, applied + duplicates + dead_letters + skipped + expired = records AS adds_up FROM feathub.job_status WHERE job = 'g';

-- TRUNCATE, CLUSTER, REINDEX, VACUUM FULL and a new index are nothing to a job.
TRUNCATE "Ingest Two".renamed, "Ingest Two".current;
CREATE INDEX ON "Ingest Two".current (v2);
REINDEX TABLE "Ingest Two".current;
VACUUM FULL "Ingest Two".current;
INSERT INTO messages VALUES (1, '2013-01-04', 1, NULL, 14);
SELECT feathub.wait_for_job('g', '60 s');
TABLE "Ingest Two".renamed;
SELECT k, v2 FROM "Ingest Two".current;
-- Its unique index cannot go either, unless there is another one.
ALTER TABLE "Ingest Two".current DROP CONSTRAINT g_online_pkey;
CREATE UNIQUE INDEX other_key ON "Ingest Two".current (k);
ALTER TABLE "Ingest Two".current DROP CONSTRAINT g_online_pkey;
INSERT INTO messages VALUES (2, '2013-01-04', 1, NULL, 15);
SELECT feathub.wait_for_job('g', '60 s');
SELECT k, v2 FROM "Ingest Two".current ORDER BY k;

SET client_min_messages = warning;
DROP SCHEMA ingest_alter, "Ingest Two" CASCADE;
DROP SERVER ingest_alter CASCADE;
SELECT * FROM feathub.job_position;
