-- Jobs: what is refused, with its reason, and what changes their state.
CREATE EXTENSION IF NOT EXISTS feathub;
CREATE SCHEMA jobs_errors;
SET search_path = jobs_errors;
SET timezone = 'UTC';
CREATE SERVER jobs_errors_kafka FOREIGN DATA WRAPPER feathub_kafka OPTIONS (bootstrap_servers 'embedded');
CREATE USER MAPPING FOR CURRENT_USER SERVER jobs_errors_kafka;
CREATE FOREIGN TABLE stream (k int, at timestamptz, v float8) SERVER jobs_errors_kafka OPTIONS (topic 't_jobs', format 'json');
CREATE TABLE sink (k int, at timestamptz, v float8);
CREATE VIEW a_view AS SELECT * FROM sink;

-- arguments
SELECT feathub.create_job(NULL, 'stream', 'sink');
SELECT feathub.create_job('', 'stream', 'sink');
SELECT feathub.create_job(repeat('j', 64), 'stream', 'sink');
SELECT feathub.create_job('j', NULL, 'sink');
SELECT feathub.create_job('j', 'stream', NULL);
SELECT feathub.create_job('j', 'stream', 'sink', workers => 0);
SELECT feathub.create_job('j', 'stream', 'sink', workers => 1025);
SELECT feathub.create_job('j', 'stream', 'sink', start => 'sometime');
SELECT feathub.create_job('j', 'stream', 'sink', on_error => 'fail');
SELECT feathub.create_job('j', 'stream', 'sink', on_gap => 'ignore');
SELECT feathub.create_job('j', 'stream', 'sink', max_dead_letters => -2);
SELECT feathub.create_job('j', 'stream', 'sink', synchronous_commit => NULL);

-- sources and sinks
SELECT feathub.create_job('j', 'sink', 'sink');
SELECT feathub.create_job('j', 'a_view', 'sink');
SELECT feathub.create_job('j', 1::regclass, 'sink');
SELECT feathub.create_job('j', 'stream', 1::regclass);
SELECT feathub.create_job('j', 'stream', 'stream');
SELECT feathub.create_job('j', 'stream', 'a_view');
CREATE TEMP TABLE tmp (k int, at timestamptz, v float8);
SELECT feathub.create_job('j', 'stream', 'tmp');
CREATE UNLOGGED TABLE unlogged (k int, at timestamptz, v float8);
SELECT feathub.create_job('j', 'stream', 'unlogged');
SELECT feathub.create_job('j', 'stream', 'sink', query => 'SELECT k, w FROM batch');
SELECT feathub.create_job('j', 'stream', 'sink', query => 'SELECT k, v + 1 AS w FROM batch');
SELECT feathub.create_job('j', 'stream', 'sink', query => 'SELECT at AS k FROM batch');
SELECT feathub.create_feature_group('g', 'sink', '{k}', 'at');
SELECT feathub.create_job('j', 'stream', 'g', query => 'SELECT k, v FROM batch');

-- making, pausing, resuming, restarting
SELECT feathub.create_job('j', 'stream', 'sink', start => '2013-06-01 00:00 America/New_York');
SELECT feathub.create_job('j', 'stream', 'sink');
CREATE VIEW jobs AS SELECT job, state, reason, start, epoch FROM feathub.job_status;
SELECT * FROM jobs;
SELECT feathub.pause_job('j');
SELECT state, reason = 'paused by ' || current_user AS reason, epoch FROM jobs;
SELECT feathub.restart_job('j');
SELECT feathub.resume_job('j');
SELECT * FROM jobs;
SELECT feathub.restart_job('j');
SELECT * FROM jobs;
BEGIN;
SELECT feathub.pause_job('j');
ROLLBACK;
SELECT * FROM jobs;
SELECT feathub.resume_all_jobs();

-- a copied database's jobs wait, and keep the state they had
SELECT feathub.create_job('k', 'stream', 'sink');
SELECT feathub.pause_job('k');
UPDATE feathub.job SET database_oid = 1, reason = 'no time' WHERE name = 'k';
UPDATE feathub.job SET system_identifier = 1 WHERE name = 'j';
SELECT job, state, reason FROM jobs ORDER BY 1;
SELECT feathub.restart_job('j');
SELECT feathub.resume_all_jobs();
SELECT job, state, reason FROM jobs ORDER BY 1;
UPDATE feathub.job SET system_identifier = 1;
SELECT feathub.resume_job('k');
SELECT job, state, reason FROM jobs ORDER BY 1;
SELECT feathub.drop_job('k');
SELECT feathub.resume_job('j');

-- names that nobody has
SELECT feathub.pause_job('jj');
SELECT feathub.resume_job('nothing like it');
SELECT feathub.restart_job('nothing like it');
SELECT feathub.rewind_job('nothing like it');
SELECT feathub.rewind_job(NULL);
SELECT feathub.rewind_job('j', NULL);
SELECT feathub.drop_job('nothing like it');
SELECT feathub.drop_job('nothing like it', if_exists => true);
SELECT feathub.drop_job('j', if_exists => true);

-- dead letters go by hand, or with their job
SELECT feathub.delete_dead_letters(NULL);
SELECT feathub.delete_dead_letters('nothing like it');
SELECT feathub.create_job('d', 'stream', 'sink');
INSERT INTO feathub.dead_letter_record (job_id, partition, sequence, value, sqlstate, message, created_at)
  SELECT job_id, 't_jobs-0', i, 'raw', '22P02', 'no number', '2013-01-01'::timestamptz + i * interval '1 day'
    FROM feathub.job, generate_series(1, 5) i WHERE name = 'd';
SELECT feathub.delete_dead_letters('d', '2013-01-04');
SELECT job, partition, sequence, value, sqlstate, message, retries FROM feathub.dead_letter;
SELECT feathub.delete_dead_letters('d');
INSERT INTO feathub.dead_letter_record (job_id, partition, sequence, sqlstate, message)
  SELECT job_id, 't_jobs-0', 1, '22P02', 'no number' FROM feathub.job WHERE name = 'd';
SELECT feathub.drop_job('d');
SELECT count(*) FROM feathub.dead_letter_record;

-- rewinding: positions are the source's, and move in one transaction with the epoch
CREATE FOREIGN TABLE records (k int, at timestamptz, v float8, part int OPTIONS (metadata 'partition'))
  SERVER jobs_errors_kafka OPTIONS (topic 't_jobs', format 'json');
INSERT INTO records SELECT i, '2013-01-01', i, 0 FROM generate_series(1, 10) i;
BEGIN;
SELECT feathub.create_job('r', 'stream', 'sink');
SELECT feathub.pause_job('r');
COMMIT;
CREATE VIEW positions AS SELECT partition, position, replay_until FROM feathub.job_partition ORDER BY 1;
SELECT feathub.rewind_job('r');
SELECT * FROM positions;
SELECT feathub.rewind_job('r', '7', 't_jobs-0');
SELECT * FROM positions;
-- what lies before a position once reached is a replay
SELECT feathub.rewind_job('r', '3', 't_jobs-0');
SELECT * FROM positions;
SELECT feathub.rewind_job('r', '5', 't_jobs-0');
SELECT * FROM positions;
SELECT feathub.rewind_job('r', '9', 't_jobs-0');
SELECT * FROM positions;
SELECT feathub.rewind_job('r', 'infinity');
BEGIN;
SELECT feathub.rewind_job('r', '0', 't_jobs-0');
ROLLBACK;
SELECT * FROM positions;
SELECT feathub.rewind_job('r', 'the beginning');
SELECT feathub.rewind_job('r', partition => 'no such partition');
SELECT state, epoch FROM jobs;
SELECT feathub.drop_job('r');
SELECT count(*) FROM feathub.job_position;

-- Columns to which only the server gives values.
CREATE TABLE numbered (k int GENERATED ALWAYS AS IDENTITY, v float8);
SELECT feathub.create_job('n', 'stream', 'numbered');
SELECT feathub.create_job('n', 'stream', 'numbered', query => 'SELECT 1.5 AS v FROM batch');
SELECT feathub.drop_job('n');

SET client_min_messages = warning;
DROP SERVER jobs_errors_kafka CASCADE;
DROP SCHEMA jobs_errors CASCADE;
