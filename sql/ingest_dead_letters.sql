-- Records that cannot be applied: dead letters, their budget, and trying them again.
CREATE EXTENSION IF NOT EXISTS feathub;
SET timezone = 'UTC';
SET datestyle = 'ISO';
CREATE SCHEMA ingest_dead_letters;
SET search_path = ingest_dead_letters;
CREATE SERVER ingest_dead_letters FOREIGN DATA WRAPPER feathub_kafka OPTIONS (bootstrap_servers 'embedded');
CREATE USER MAPPING FOR CURRENT_USER SERVER ingest_dead_letters;
CREATE VIEW counters AS
  SELECT job, records, applied, duplicates, dead_letters, skipped, expired,
         records = applied + duplicates + dead_letters + skipped + expired AS adds_up
    FROM feathub.job_status;
CREATE VIEW letters AS
  SELECT job, partition, sequence, convert_from(key, 'SQL_ASCII') AS key, encode(value, 'escape') AS value, headers, "timestamp", sqlstate, message, retries
    FROM feathub.dead_letter;

-- Raw records beside good ones, in every form of badness that a decoder can tell by itself.
CREATE FOREIGN TABLE raw (value bytea, key text OPTIONS (metadata 'key'), at timestamptz OPTIONS (metadata 'timestamp'), headers jsonb OPTIONS (metadata 'headers'))
  SERVER ingest_dead_letters OPTIONS (topic 't_ingest_dead', format 'raw');
CREATE FOREIGN TABLE stream (k int, at timestamptz, v int, note text)
  SERVER ingest_dead_letters OPTIONS (topic 't_ingest_dead', format 'json');
SELECT feathub.create_feature_group('events', 'stream', '{k}', 'at');
INSERT INTO raw VALUES
  ('{"k": 1, "at": "2013-01-01T00:00:00Z", "v": 1}', 'one', '2013-01-01', '{"h": "1"}'),
  ('{"k": 1, "at": "2013-01-01T01:00:00Z", "v": ', 'two', '2013-01-01 00:00:01', '{"h": "2", "none": null}'),
  ('{"k": 1, "at": "2013-01-01T02:00:00Z", "v": "x"}', NULL, '2013-01-01 00:00:02', NULL),
  ('{"k": 99999999999, "at": "2013-01-01T02:00:00Z", "v": 1}', NULL, '2013-01-01 00:00:03', NULL),
  ('{"k": 1, "at": "2013-13-01T02:00:00Z", "v": 1}', NULL, '2013-01-01 00:00:04', NULL),
  ('{"at": "2013-01-01T02:00:00Z", "v": 1}', NULL, '2013-01-01 00:00:05', NULL),
  ('{"k": 1, "v": 1}', NULL, '2013-01-01 00:00:06', NULL),
  ('{"k": null, "at": null, "v": 1}', NULL, '2013-01-01 00:00:07', NULL),
  ('\xff00fe', NULL, '2013-01-01 00:00:08', NULL),
  ('', NULL, '2013-01-01 00:00:09', NULL),
  ('[1, 2]', NULL, '2013-01-01 00:00:10', NULL),
  ('{"k": 1, "at": "2013-01-01T03:00:00Z", "note": "a\\u0000b"}', NULL, '2013-01-01 00:00:11', NULL),
  ('{"k": 2, "at": "2013-01-01T00:00:00Z", "v": 2}', NULL, '2013-01-01 00:00:12', NULL);
SELECT feathub.wait_for_job('events', '60 s');
TABLE events ORDER BY k, at;
TABLE events_online ORDER BY k;
TABLE letters ORDER BY sequence;
SELECT * FROM counters;
SELECT state, dead_letters_used, last_error FROM feathub.job_status;
-- Nothing to mend: trying again leaves them, and counts.
SELECT feathub.retry_dead_letters('events');
SELECT sequence, sqlstate, retries FROM letters ORDER BY sequence;
SELECT * FROM counters;

-- Constraints and triggers of either table; the rest of the batch is applied.
CREATE FOREIGN TABLE two_stream (k int, at timestamptz, v int, ref int, uniq int)
  SERVER ingest_dead_letters OPTIONS (topic 't_ingest_dead_two', format 'json');
CREATE TABLE parent (id int PRIMARY KEY);
INSERT INTO parent VALUES (1);
CREATE TABLE checked (k int, at timestamptz, v int NOT NULL CHECK (v <> 13), ref int REFERENCES parent, uniq int UNIQUE, PRIMARY KEY (k, at));
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF new.v = 66 THEN
    RAISE 'number % is refused', new.v USING DETAIL = 'It is a bad number.';
  ELSIF new.v = 67 THEN
    RAISE SQLSTATE 'ZX001' USING MESSAGE = 'a state of their own';
  END IF;
  RETURN new;
END $$;
CREATE TRIGGER refuse BEFORE INSERT OR UPDATE ON checked FOR EACH ROW EXECUTE FUNCTION refuse();
SELECT feathub.create_feature_group('checked', 'two_stream', '{k}', 'at');
ALTER TABLE checked_online ADD CONSTRAINT online_check CHECK (v <> 14);
INSERT INTO two_stream
  SELECT i, '2013-01-01', CASE i WHEN 3 THEN 13 WHEN 5 THEN NULL WHEN 7 THEN 66 WHEN 9 THEN 14 WHEN 10 THEN 67 ELSE 1 END,
         CASE i WHEN 11 THEN 2 ELSE 1 END, CASE i WHEN 12 THEN 2 ELSE i END
    FROM generate_series(1, 15) i;
SELECT feathub.wait_for_job('checked', '60 s');
SELECT array_agg(k ORDER BY k) FROM checked;
SELECT array_agg(k ORDER BY k) FROM checked_online;
SELECT sequence, sqlstate, message FROM letters WHERE job = 'checked' ORDER BY sequence;
SELECT * FROM counters WHERE job = 'checked';

-- Mend some of the causes and try again.
INSERT INTO parent VALUES (2);
ALTER TABLE checked DROP CONSTRAINT checked_v_check, ALTER v DROP NOT NULL;
ALTER TABLE checked_online DROP CONSTRAINT online_check;
INSERT INTO two_stream VALUES (3, '2013-01-02', 2, 1, 102);
SELECT feathub.wait_for_job('checked', '60 s');
SELECT feathub.retry_dead_letters('checked');
SELECT sequence, message, retries FROM letters WHERE job = 'checked' ORDER BY sequence;
SELECT * FROM checked WHERE k IN (3, 5, 9, 11) ORDER BY k, at;
-- a row that comes back late does not move the online row back
SELECT * FROM checked_online WHERE k IN (3, 5, 9, 11) ORDER BY k;
DROP TRIGGER refuse ON checked;
BEGIN;
SELECT feathub.retry_dead_letters('checked');
SELECT count(*) FROM letters WHERE job = 'checked';
ROLLBACK;
SELECT feathub.retry_dead_letters('checked');
SELECT sequence, message, retries FROM letters WHERE job = 'checked' ORDER BY sequence;
SELECT * FROM counters WHERE job = 'checked';
SELECT feathub.retry_dead_letters('checked'), feathub.retry_dead_letters('checked');
SELECT feathub.retry_dead_letters('nope');

-- A deferred constraint is a record's fault too, though only the commit tells.
CREATE TABLE deferred (k int PRIMARY KEY REFERENCES parent DEFERRABLE INITIALLY DEFERRED);
SELECT feathub.create_job('deferred', 'two_stream', 'deferred', query => 'SELECT k FROM batch WHERE k < 4 AND v < 14');
SELECT feathub.wait_for_job('deferred', '60 s');
TABLE deferred;
SELECT sequence, message FROM letters WHERE job = 'deferred' ORDER BY sequence;
SELECT * FROM counters WHERE job = 'deferred';
INSERT INTO parent VALUES (3);
SELECT feathub.retry_dead_letters('deferred');
TABLE deferred;

-- on_error: skip counts, stop stops at the record and names it.
SELECT feathub.create_feature_group('skipped', 'stream', '{k}', 'at', on_error => 'skip');
SELECT feathub.wait_for_job('skipped', '60 s');
SELECT * FROM counters WHERE job = 'skipped';
(TABLE skipped EXCEPT TABLE events) UNION ALL (TABLE events EXCEPT TABLE skipped);
SELECT feathub.create_feature_group('stopped', 'stream', '{k}', 'at', on_error => 'stop');
SELECT feathub.wait_for_job('stopped', '60 s');
SELECT state, reason FROM feathub.job_status WHERE job = 'stopped';
SELECT partition, position, records FROM feathub.job_partition WHERE job = 'stopped';
SELECT count(*) FROM stopped;
-- going on behind the record, by hand
SELECT feathub.rewind_job('stopped', '12');
SELECT feathub.resume_job('stopped');
SELECT feathub.wait_for_job('stopped', '60 s');
TABLE stopped;
SELECT state, reason, epoch FROM feathub.job_status WHERE job = 'stopped';

-- A budget: the job stops when it has more, and resuming grants as many again.
CREATE FOREIGN TABLE budget_raw (value text) SERVER ingest_dead_letters OPTIONS (topic 't_ingest_dead_budget', format 'raw');
CREATE FOREIGN TABLE budget_stream (k int) SERVER ingest_dead_letters OPTIONS (topic 't_ingest_dead_budget', format 'json');
SELECT feathub.create_feature_group('budget', 'budget_stream', '{k}', max_dead_letters => 3);
INSERT INTO budget_raw VALUES ('{"k": 1}'), ('bad'), ('bad'), ('bad');
SELECT feathub.wait_for_job('budget', '60 s');
SELECT state, dead_letters, dead_letters_used FROM feathub.job_status WHERE job = 'budget';
INSERT INTO budget_raw VALUES ('bad');
DO $$
BEGIN
  FOR i IN 1 .. 6000 LOOP
    EXIT WHEN (SELECT state = 'failed' AND workers_running = 0 FROM feathub.job_status WHERE job = 'budget');
    PERFORM pg_sleep(0.01);
  END LOOP;
END $$;
SELECT state, reason, dead_letters, dead_letters_used, workers_running FROM feathub.job_status WHERE job = 'budget';
INSERT INTO budget_raw VALUES ('{"k": 2}'), ('bad');
SELECT feathub.wait_for_job('budget', '60 s');
SELECT feathub.resume_job('budget');
SELECT feathub.wait_for_job('budget', '60 s');
SELECT state, reason, dead_letters, dead_letters_used FROM feathub.job_status WHERE job = 'budget';
TABLE budget ORDER BY k;
SELECT * FROM counters WHERE job = 'budget';
-- none at all, and no limit
SELECT feathub.create_feature_group('none', 'budget_stream', '{k}', max_dead_letters => 0);
SELECT feathub.create_feature_group('unlimited', 'budget_stream', '{k}', max_dead_letters => -1);
SELECT feathub.wait_for_job('unlimited', '60 s');
SELECT * FROM counters WHERE job = 'unlimited';

-- Types that only their input functions know, domains, enums, ranges, arrays of them.
CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');
CREATE DOMAIN positive AS int CHECK (VALUE > 0);
CREATE DOMAIN mail AS text NOT NULL CHECK (VALUE LIKE '%@%');
CREATE TYPE pair AS (a int, b inet);
CREATE FOREIGN TABLE types_raw (value text) SERVER ingest_dead_letters OPTIONS (topic 't_ingest_dead_types', format 'raw');
CREATE FOREIGN TABLE types_stream (k int, i inet, m mood, p positive, e mail, r int4range, ms mood[], c pair, t tsvector, z bit(3), l varchar(3))
  SERVER ingest_dead_letters OPTIONS (topic 't_ingest_dead_types', format 'json');
SELECT feathub.create_feature_group('types', 'types_stream', '{k}');
INSERT INTO types_raw VALUES
  ('{"k": 0, "i": "10.0.0.1/8", "m": "ok", "p": 1, "e": "a@b", "r": "[1,3]", "ms": ["sad", null], "c": {"a": 1, "b": "::1"}, "t": "a b", "z": "101", "l": "abc"}'),
  ('{"k": 1, "e": "a@b", "i": "10.0.0.256"}'),
  ('{"k": 2, "e": "a@b", "m": "angry"}'),
  ('{"k": 3, "e": "a@b", "p": 0}'),
  ('{"k": 4}'),
  ('{"k": 5, "e": "ab"}'),
  ('{"k": 6, "e": "a@b", "r": "[3,1]"}'),
  ('{"k": 7, "e": "a@b", "ms": ["sad", "mad"]}'),
  ('{"k": 8, "e": "a@b", "c": {"a": 1, "b": "x"}}'),
  ('{"k": 9, "e": "a@b", "c": {"a": "x"}}'),
  ('{"k": 11, "e": "a@b", "z": "10"}'),
  ('{"k": 12, "e": "a@b", "l": "abcd"}'),
  ('{"k": 13, "e": "a@b", "p": "x"}'),
  ('{"k": 14, "e": "a@b", "i": 1}'),
  ('{"k": 15, "e": "a@b"}');
SELECT feathub.wait_for_job('types', '60 s');
SELECT k, i, m, p, e, r, ms, c, t, z, l FROM types ORDER BY k;
SELECT sequence, sqlstate, message FROM letters WHERE job = 'types' ORDER BY sequence;
SELECT * FROM counters WHERE job = 'types';
-- the whole chain once more, from the letters
ALTER TYPE mood ADD VALUE 'angry';
SELECT feathub.retry_dead_letters('types');
SELECT k, m FROM types WHERE m = 'angry';
SELECT count(*), min(retries), max(retries) FROM letters WHERE job = 'types';

-- Tried again in whatever session, a record gives what the worker would have made of it.
CREATE TABLE as_text (k int CHECK (k <> 15), v text);
SELECT feathub.create_job('as_text', source => 'types_stream', sink => 'as_text', on_error => 'dead_letter', query => $$
  SELECT k, concat_ws(' ', 0.1::float8 + 0.2, interval '-1 12:00:01', '\xff'::bytea, timestamptz '2020-01-02 03:04:05+02', 'a\b',
    NULL = NULL) AS v FROM batch WHERE k = 15$$);
SELECT feathub.create_job('as_text_too', source => 'types_stream', sink => 'as_text', query => $$SELECT k, '01/02/2020'::date::text AS v FROM batch$$);
SELECT feathub.wait_for_job('as_text', '60 s');
SELECT sink, message FROM feathub.dead_letter WHERE job = 'as_text' AND sink IS NOT NULL;
ALTER TABLE as_text DROP CONSTRAINT as_text_k_check;
SET extra_float_digits = -10;
SET intervalstyle = sql_standard;
SET bytea_output = escape;
SET datestyle = 'German, DMY';
SET standard_conforming_strings = off;
SET escape_string_warning = off;
SET transform_null_equals = on;
SET row_security = off;
SELECT feathub.retry_dead_letters('as_text');
TABLE as_text;
RESET ALL;
SET search_path = ingest_dead_letters;
TRUNCATE as_text;
SELECT feathub.rewind_job('as_text');
SELECT feathub.wait_for_job('as_text', '60 s');
TABLE as_text;

SET client_min_messages = warning;
DROP SCHEMA ingest_dead_letters CASCADE;
DROP SERVER ingest_dead_letters CASCADE;
