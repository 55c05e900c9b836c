-- Deletions by tombstones: online, offline and in replays.
CREATE EXTENSION IF NOT EXISTS feathub;
SET timezone = 'UTC';
SET datestyle = 'ISO';
CREATE SCHEMA ingest_deletes;
SET search_path = ingest_deletes;
CREATE SERVER ingest_deletes FOREIGN DATA WRAPPER feathub_kafka OPTIONS (bootstrap_servers 'embedded');
CREATE USER MAPPING FOR CURRENT_USER SERVER ingest_deletes;
CREATE VIEW counters AS
  SELECT job, records, applied, duplicates, dead_letters, skipped, expired,
         records = applied + duplicates + dead_letters + skipped + expired AS adds_up
    FROM feathub.job_status;
-- the stream as the job reads it, and as the test writes it: NULL is a tombstone
CREATE FOREIGN TABLE stream (k text OPTIONS (key 'true'), at timestamptz, v int)
  SERVER ingest_deletes OPTIONS (topic 't_ingest_deletes', format 'json', key_format 'raw', value_fields 'except_key');
CREATE FOREIGN TABLE messages (k text OPTIONS (metadata 'key'), value text, sent timestamptz OPTIONS (metadata 'timestamp'))
  SERVER ingest_deletes OPTIONS (topic 't_ingest_deletes', format 'raw');
CREATE FUNCTION event(k text, at timestamptz, v int) RETURNS void LANGUAGE sql AS $$
  INSERT INTO messages VALUES (k, json_build_object('at', at, 'v', v)::text, '2013-12-31') $$;
CREATE FUNCTION deletion(k text, at timestamptz) RETURNS void LANGUAGE sql AS 'INSERT INTO messages VALUES (k, NULL, at)';

SELECT feathub.create_feature_group('g', 'stream', '{k}', 'at', deletes => true);
SELECT event('a', '2013-01-01', 1), event('b', '2013-01-01', 2), event('c', '2013-01-01', 3), event('a', '2013-01-02', 4);
SELECT feathub.wait_for_job('g', '60 s');
-- The online row goes; offline the features end. A key that was never there is deleted too.
SELECT deletion('a', '2013-01-03'), deletion('never', '2013-01-03');
SELECT feathub.wait_for_job('g', '60 s');
TABLE g ORDER BY k, at;
TABLE g_online ORDER BY k;
TABLE g_tombstone ORDER BY k;
SELECT * FROM counters;
-- Rows that are not newer than the deletion are history only; newer ones return online.
SELECT event('a', '2013-01-02 12:00', 5), event('a', '2013-01-03', 6), event('never', '2013-01-01', 7);
SELECT feathub.wait_for_job('g', '60 s');
TABLE g_online ORDER BY k;
SELECT event('a', '2013-01-03 00:00:00.000001', 8), event('never', '2013-01-04', 9);
SELECT feathub.wait_for_job('g', '60 s');
TABLE g_online ORDER BY k;
SELECT * FROM g WHERE k IN ('a', 'never') ORDER BY k, at;
-- A deletion sent before the latest row's event time falls just behind that row.
SELECT deletion('b', '2012-01-01');
SELECT feathub.wait_for_job('g', '60 s');
SELECT * FROM g WHERE k = 'b' ORDER BY at;
SELECT * FROM g_tombstone WHERE k = 'b';
-- Deleted twice: one deletion, or two that follow each other.
SELECT deletion('b', '2013-01-05'), deletion('b', '2013-01-05'), deletion('b', '2013-01-04');
SELECT feathub.wait_for_job('g', '60 s');
SELECT * FROM g WHERE k = 'b' ORDER BY at;
SELECT * FROM g_tombstone WHERE k = 'b';
-- In one batch: rows and deletions of a key in the order of arrival.
DO $$
BEGIN
  PERFORM event('d', '2013-01-01', 10), deletion('d', '2013-01-02'), event('d', '2013-01-03', 11);
  PERFORM event('e', '2013-01-01', 12), event('e', '2013-01-03', 13), deletion('e', '2013-01-02');
  PERFORM deletion('f', '2013-01-02'), event('f', '2013-01-01', 14);
END $$;
SELECT feathub.wait_for_job('g', '60 s');
SELECT * FROM g WHERE k IN ('d', 'e', 'f') ORDER BY k, at;
SELECT * FROM g_online WHERE k IN ('d', 'e', 'f') ORDER BY k;
SELECT * FROM g_tombstone ORDER BY k;
-- A tombstone without key is no deletion of anything; an empty value is no tombstone.
SELECT deletion(NULL, '2013-01-05');
INSERT INTO messages VALUES ('c', '', '2013-01-05');
SELECT feathub.wait_for_job('g', '60 s');
SELECT sequence, key, value, sqlstate, message FROM feathub.dead_letter ORDER BY sequence;
SELECT * FROM g_online WHERE k = 'c';
SELECT records, dead_letters, adds_up FROM counters;

-- A replay leaves exactly the same rows, from the start or from the middle, once or twice.
CREATE TABLE before AS TABLE g;
CREATE TABLE before_online AS TABLE g_online;
CREATE TABLE before_tombstone AS TABLE g_tombstone;
CREATE VIEW differences AS
  SELECT 'g' AS "table", * FROM ((TABLE g EXCEPT ALL TABLE before) UNION ALL (TABLE before EXCEPT ALL TABLE g)) q
  UNION ALL
  SELECT 'online', *, NULL FROM ((TABLE g_online EXCEPT ALL TABLE before_online) UNION ALL (TABLE before_online EXCEPT ALL TABLE g_online)) q
  UNION ALL
  SELECT 'tombstone', k, deleted_at, NULL, NULL FROM ((TABLE g_tombstone EXCEPT ALL TABLE before_tombstone) UNION ALL (TABLE before_tombstone EXCEPT ALL TABLE g_tombstone)) q;
SELECT feathub.rewind_job('g');
SELECT feathub.wait_for_job('g', '60 s');
TABLE differences;
SELECT replay_until FROM feathub.job_partition;
SELECT feathub.rewind_job('g', '7');
SELECT feathub.wait_for_job('g', '60 s');
TABLE differences;
SELECT feathub.rewind_job('g');
SELECT feathub.rewind_job('g', '13');
SELECT feathub.rewind_job('g', '3');
SELECT feathub.wait_for_job('g', '60 s');
TABLE differences;
-- what is new after a replay counts as new
SELECT feathub.pause_job('g');
SELECT deletion('c', '2013-01-02'), event('c', '2013-01-01 06:00', 15), event('c', '2013-01-06', 16);
SELECT feathub.rewind_job('g');
SELECT feathub.resume_job('g');
SELECT feathub.wait_for_job('g', '60 s');
SELECT * FROM g WHERE k = 'c' ORDER BY at;
SELECT * FROM g_online WHERE k = 'c';
SELECT * FROM differences WHERE k <> 'c';
-- A second group from the same stream in other batches has the same rows.
SELECT feathub.create_feature_group('g2', 'stream', '{k}', 'at', deletes => true);
SELECT feathub.wait_for_job('g2', '60 s');
(TABLE g EXCEPT ALL TABLE g2) UNION ALL (TABLE g2 EXCEPT ALL TABLE g);
(TABLE g_online EXCEPT ALL TABLE g2_online) UNION ALL (TABLE g2_online EXCEPT ALL TABLE g_online);
(TABLE g_tombstone EXCEPT ALL TABLE g2_tombstone) UNION ALL (TABLE g2_tombstone EXCEPT ALL TABLE g_tombstone);

-- A query sees a tombstone as a row of NULLs beside the key, and leaves it out or lets it pass.
SELECT feathub.create_feature_group('queried', 'stream', '{key}', 'at', deletes => true, query => 'SELECT upper(k) AS key, at, v * 2 AS v2 FROM batch WHERE k <> ''b''');
SELECT feathub.wait_for_job('queried', '60 s');
SELECT * FROM queried WHERE key IN ('A', 'D') ORDER BY key, at;
SELECT * FROM queried_online ORDER BY key;

-- Without deletes, tombstones are counted as skipped.
SELECT feathub.create_feature_group('undeleted', 'stream', '{k}', 'at');
SELECT feathub.wait_for_job('undeleted', '60 s');
SELECT * FROM undeleted WHERE k IN ('a', 'b') ORDER BY k, at;
SELECT * FROM undeleted_online ORDER BY k;
SELECT * FROM counters WHERE job = 'undeleted';

-- A tombstone is the last arrival of a group without event time.
CREATE FOREIGN TABLE last_stream (k int OPTIONS (key 'true'), v int)
  SERVER ingest_deletes OPTIONS (topic 't_ingest_deletes_last', format 'json', key_format 'json');
CREATE FOREIGN TABLE last_messages (k text OPTIONS (metadata 'key'), value text)
  SERVER ingest_deletes OPTIONS (topic 't_ingest_deletes_last', format 'raw');
SELECT feathub.create_feature_group('lasts', 'last_stream', '{k}', deletes => true);
INSERT INTO last_stream VALUES (1, 1), (2, 2), (3, 3);
INSERT INTO last_messages VALUES ('{"k":1}', NULL), ('{"k":2}', NULL), ('nokey', NULL);
INSERT INTO last_stream VALUES (2, 22);
SELECT feathub.wait_for_job('lasts', '60 s');
TABLE lasts ORDER BY k;
TABLE lasts_online ORDER BY k;
SELECT sequence, convert_from(key, 'UTF8') AS key, value IS NULL AS tombstone, message FROM feathub.dead_letter WHERE job = 'lasts';
SELECT feathub.rewind_job('lasts');
SELECT feathub.wait_for_job('lasts', '60 s');
TABLE lasts ORDER BY k;
TABLE lasts_online ORDER BY k;

-- Composite keys, infinite event times, timestamps without time zone.
CREATE FOREIGN TABLE pair_stream (a int OPTIONS (key 'true'), b text OPTIONS (key 'true'), at timestamp, v int)
  SERVER ingest_deletes OPTIONS (topic 't_ingest_deletes_pair', format 'json', key_format 'json');
CREATE FOREIGN TABLE pair_messages (k text OPTIONS (metadata 'key'), value text, sent timestamptz OPTIONS (metadata 'timestamp'))
  SERVER ingest_deletes OPTIONS (topic 't_ingest_deletes_pair', format 'raw');
SELECT feathub.create_feature_group('pairs', 'pair_stream', '{b,a}', 'at', deletes => true);
INSERT INTO pair_stream VALUES (1, 'x', '2013-01-01', 1), (1, 'y', '2013-01-01', 2), (2, 'x', 'infinity', 3), (2, 'y', '-infinity', 4);
INSERT INTO pair_messages VALUES ('{"a":1,"b":"x"}', NULL, '2013-01-02 03:04:05.678+00'), ('{"a":2,"b":"x"}', NULL, '2013-01-02'), ('{"a":2,"b":"y"}', NULL, '2013-01-02'),
  ('{"a":1}', NULL, '2013-01-02');
SELECT feathub.wait_for_job('pairs', '60 s');
TABLE pairs ORDER BY a, b, at;
TABLE pairs_online ORDER BY a, b;
TABLE pairs_tombstone ORDER BY a, b;
SELECT message FROM feathub.dead_letter WHERE job = 'pairs';

-- A dead letter that was a tombstone can be tried again, too.
ALTER TABLE pairs ADD CONSTRAINT no_deletion CHECK (NOT feathub_deleted OR a <> 1) NOT VALID;
INSERT INTO pair_messages VALUES ('{"a":1,"b":"y"}', NULL, '2013-01-03');
SELECT feathub.wait_for_job('pairs', '60 s');
SELECT value IS NULL AS tombstone, message FROM feathub.dead_letter WHERE job = 'pairs' ORDER BY sequence;
ALTER TABLE pairs DROP CONSTRAINT no_deletion;
SELECT feathub.retry_dead_letters('pairs');
SELECT * FROM pairs WHERE a = 1 ORDER BY b, at;
SELECT * FROM pairs_online WHERE a = 1;

SET client_min_messages = warning;
DROP SCHEMA ingest_deletes CASCADE;
DROP SERVER ingest_deletes CASCADE;
