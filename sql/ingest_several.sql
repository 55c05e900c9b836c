-- Jobs with several sinks: groups, tables and foreign tables of one job; a record
-- that one of them refuses; what becomes of a job whose sinks go; alter_job.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS feathub;
CREATE SCHEMA ingest_several;
SET search_path = ingest_several;
SET TIME ZONE 'UTC';
CREATE SERVER ingest_several FOREIGN DATA WRAPPER feathub_kafka OPTIONS (bootstrap_servers 'embedded');
CREATE USER MAPPING FOR CURRENT_USER SERVER ingest_several;
CREATE FOREIGN TABLE stream (k int OPTIONS (key 'true'), at timestamptz, v int, w text)
  SERVER ingest_several OPTIONS (topic 't_ingest_several', key_format 'json');
CREATE FOREIGN TABLE raw (k text OPTIONS (metadata 'key'), value text)
  SERVER ingest_several OPTIONS (topic 't_ingest_several', format 'raw');

-- Each sink takes the columns that it has.
CREATE TABLE log (k int, w text, arrived timestamptz NOT NULL DEFAULT now());
CREATE TABLE small (k int PRIMARY KEY, at timestamptz, v int CHECK (v < 100));
SELECT feathub.create_feature_group('small', primary_key => '{k}', online => false);
SELECT feathub.create_feature_group('history', source => 'stream', primary_key => '{k}', event_time => 'at', deletes => true,
  job => 'history_only');
CREATE FOREIGN TABLE copy (k int OPTIONS (key 'true'), v int)
  SERVER ingest_several OPTIONS (topic 't_ingest_several_copy', key_format 'json', write_mode 'upsert');
CREATE FOREIGN TABLE copy_raw (pos bigint OPTIONS (metadata 'offset'), k text OPTIONS (metadata 'key'), value text)
  SERVER ingest_several OPTIONS (topic 't_ingest_several_copy', format 'raw');
SELECT feathub.create_job('all', source => 'stream', sink => 'copy', sinks => '{log, small, history}');
INSERT INTO stream VALUES (1, '2020-01-01', 1, 'one'), (2, '2020-01-01', 2, 'two'), (1, '2020-01-02', 3, 'again');
SELECT feathub.wait_for_job('all', timeout => '60 s'), feathub.wait_for_job('history_only', timeout => '60 s');
SELECT k, w FROM log ORDER BY k, w;
SELECT k, v FROM small ORDER BY k;
SELECT k, at, v, w FROM history ORDER BY k, at;
SELECT k, v FROM history_online ORDER BY k;
SELECT k, (array_agg(value ORDER BY pos DESC))[1] AS value FROM copy_raw GROUP BY k ORDER BY k;
SELECT sink, sinks, records FROM feathub.job_status WHERE job = 'all';

-- A record that one sink refuses goes to none; the others of its batch go to all.
INSERT INTO raw VALUES ('{"k":3}', '{"k":3,"at":"2020-01-03","v":5,"w":"fits"}'),
  ('{"k":4}', '{"k":4,"at":"2020-01-03","v":500,"w":"too big for small"}'),
  ('{"k":5}', '{"k":5,"v":6,"w":"no time for history"}'), ('{"k":6}', 'not json'),
  ('{"k":7}', '{"k":7,"at":"2020-01-03","v":7,"w":"fits too"}');
SELECT feathub.wait_for_job('all', timeout => '60 s');
SELECT convert_from(key, 'UTF8') AS key, sink, sqlstate, message FROM feathub.dead_letter WHERE job = 'all' ORDER BY key;
SELECT k FROM log WHERE k > 2 ORDER BY k;
SELECT k FROM small WHERE k > 2 ORDER BY k;
SELECT DISTINCT k FROM copy_raw ORDER BY k;
-- Tried again, what fits now goes to all; the others say who refuses them still.
ALTER TABLE small DROP CONSTRAINT small_v_check;
SELECT feathub.retry_dead_letters('all');
SELECT convert_from(key, 'UTF8') AS key, sink, retries FROM feathub.dead_letter WHERE job = 'all' ORDER BY key;
SELECT k FROM log WHERE k > 2 ORDER BY k;
SELECT k FROM small WHERE k > 2 ORDER BY k;
SELECT DISTINCT k FROM copy_raw ORDER BY k;

-- A deletion goes where deletions are followed; a plain table gets its key.
INSERT INTO raw VALUES ('{"k":1}', NULL);
SELECT feathub.wait_for_job('all', timeout => '60 s'), feathub.wait_for_job('history_only', timeout => '60 s');
SELECT k, v FROM history_online ORDER BY k;
SELECT k, v FROM small WHERE k = 1;
SELECT k, w FROM log ORDER BY arrived DESC, k LIMIT 1;
SELECT k, value FROM copy_raw WHERE k = '{"k":1}' ORDER BY pos DESC LIMIT 1;

-- A query runs once for all; a column that no sink has is an error.
CREATE TABLE names (k int, name text);
CREATE TABLE sums (k int, twice int);
SELECT feathub.create_job('bad', source => 'stream', sinks => '{names, sums}', query => 'SELECT k, w AS name, v * 2 AS thrice FROM batch');
SELECT feathub.create_job('queried', source => 'stream', sinks => '{names, sums}',
  query => 'SELECT k, w AS name, v * 2 AS twice FROM batch WHERE w IS NOT NULL');
SELECT feathub.wait_for_job('queried', timeout => '60 s');
SELECT k, name, twice FROM names FULL JOIN sums USING (k) WHERE k <> 1 ORDER BY k;
SELECT records, applied, skipped, dead_letters FROM feathub.job_status WHERE job = 'queried';
SELECT feathub.explain_job('queried');
SELECT feathub.explain_job('all');
SELECT feathub.explain_job('none');

-- What cannot be.
SELECT feathub.create_job('bad', source => 'stream');
SELECT feathub.create_job('bad', source => 'stream', sinks => '{}');
SELECT feathub.create_job('bad', source => 'stream', sinks => '{log, NULL}');
SELECT feathub.create_job('bad', source => 'stream', sink => 'log', sinks => '{log}');
SELECT feathub.create_job('bad', source => 'stream', sinks => '{log, stream}');
SELECT feathub.create_job('bad', source => 'stream', sinks => '{log, history_online}');
CREATE TABLE other (x int);
SELECT feathub.create_job('bad', source => 'stream', sinks => '{log, other}', query => 'SELECT k, w FROM batch');
CREATE VIEW watched AS SELECT 1 AS k;
SELECT feathub.create_job('bad', source => 'stream', sinks => '{log, watched}');

-- alter_job goes on from where the job stands.
SELECT feathub.alter_job('queried', query => 'SELECT k, w AS name FROM batch WHERE v > 0', drop_sinks => '{sums}',
  on_error => 'skip', max_dead_letters => 5, on_gap => 'skip', workers => 2, synchronous_commit => false);
INSERT INTO stream VALUES (20, '2020-02-01', 1, 'twenty'), (21, '2020-02-01', -1, 'never');
SELECT feathub.wait_for_job('queried', timeout => '60 s');
SELECT k, name FROM names WHERE k >= 20;
SELECT sinks, query, workers, on_error, max_dead_letters, on_gap, synchronous_commit, state FROM feathub.job_status WHERE job = 'queried';
SELECT feathub.alter_job('queried', reset => '{query, workers, on_error, max_dead_letters, on_gap, synchronous_commit}', add_sinks => '{sums}');
SELECT feathub.alter_job('queried', reset => '{workers, on_error, max_dead_letters, on_gap, synchronous_commit}', add_sinks => '{sums}',
  query => 'SELECT k, w AS name, v AS twice FROM batch');
INSERT INTO stream VALUES (30, '2020-02-01', 3, 'thirty');
SELECT feathub.wait_for_job('queried', timeout => '60 s');
SELECT k, name, twice FROM names FULL JOIN sums USING (k) WHERE k >= 20 ORDER BY k;
SELECT sinks, workers, on_error, max_dead_letters, on_gap, synchronous_commit FROM feathub.job_status WHERE job = 'queried';
SELECT feathub.alter_job('queried', drop_sinks => '{names, sums}');
SELECT feathub.alter_job('queried', drop_sinks => '{log}');
SELECT feathub.alter_job('queried', add_sinks => '{sums}');
SELECT feathub.alter_job('queried', on_error => 'ignore');
SELECT feathub.alter_job('queried', on_gap => 'ignore');
SELECT feathub.alter_job('queried', max_dead_letters => -2);
SELECT feathub.alter_job('queried', workers => 0);
SELECT feathub.alter_job('queried', reset => '{name}');
SELECT feathub.alter_job('queried', query => 'SELECT nothing FROM batch');
SELECT feathub.alter_job('none', workers => 1);
SELECT feathub.alter_job(NULL, workers => 1);
-- It is rolled back with its transaction, and leaves a paused job paused.
BEGIN;
SELECT feathub.alter_job('queried', on_error => 'stop');
ROLLBACK;
SELECT feathub.pause_job('queried');
SELECT feathub.alter_job('queried', on_error => 'skip');
SELECT state, on_error FROM feathub.job_status WHERE job = 'queried';

-- Not by strangers, and not by who owns no more than a sink.
CREATE ROLE regress_ingest_several LOGIN;
GRANT USAGE, CREATE ON SCHEMA ingest_several TO regress_ingest_several;
SET ROLE regress_ingest_several;
SELECT feathub.alter_job('queried', on_error => 'stop');
SELECT feathub.explain_job('queried');
RESET ROLE;
ALTER TABLE names OWNER TO regress_ingest_several;
SET ROLE regress_ingest_several;
SELECT feathub.alter_job('queried', query => 'SELECT 1 AS k');
RESET ROLE;
SELECT feathub.resume_job('queried');
ALTER TABLE names OWNER TO CURRENT_USER;

-- One of several sinks is dropped like a sink, and the job goes on with the others.
SET client_min_messages = notice;
DROP TABLE log;
DROP TABLE log CASCADE;
SELECT feathub.drop_feature_group('small');
DROP TABLE history;
SELECT sinks FROM feathub.job_status WHERE job = 'all';
INSERT INTO stream VALUES (40, '2020-02-01', 4, 'forty');
SELECT feathub.wait_for_job('all', timeout => '60 s');
SELECT k, value FROM copy_raw WHERE k = '{"k":40}' ORDER BY pos DESC LIMIT 1;
DROP FOREIGN TABLE copy;
DROP FOREIGN TABLE copy CASCADE;
SELECT job FROM feathub.job_status ORDER BY job;
DROP FOREIGN TABLE stream CASCADE;
SELECT job FROM feathub.job_status ORDER BY job;
SET client_min_messages = warning;
DROP SCHEMA ingest_several CASCADE;
DROP SERVER ingest_several CASCADE;
DROP OWNED BY regress_ingest_several;
DROP ROLE regress_ingest_several;
