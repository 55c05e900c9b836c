-- What could break a job from outside: settings, isolation levels, changes of
-- its sink, arguments beyond what can be computed.
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS feathub;
RESET client_min_messages;
CREATE ROLE regress_robustness LOGIN;
GRANT USAGE ON FOREIGN DATA WRAPPER feathub_kafka TO regress_robustness;
CREATE SCHEMA robustness AUTHORIZATION regress_robustness;
SET ROLE regress_robustness;
SET search_path = robustness;
CREATE SERVER robustness FOREIGN DATA WRAPPER feathub_kafka OPTIONS (bootstrap_servers 'embedded');
CREATE USER MAPPING FOR CURRENT_USER SERVER robustness;
CREATE FOREIGN TABLE stream (k int, t timestamptz, v int)
  SERVER robustness OPTIONS (topic 't_robustness', format 'json');

-- no instant lies that long before now
SELECT feathub.create_feature_group('robust_g', source => 'stream', primary_key => '{k}', event_time => 't',
  retention => '170000 years');
SELECT feathub.create_feature_group('robust_g', source => 'stream', primary_key => '{k}', event_time => 't',
  ttl => '1000000 years -359999000 days');
SELECT feathub.create_feature_group('robust_g', source => 'stream', primary_key => '{k}', event_time => 't',
  retention => '1000 years');
SELECT feathub.alter_feature_group('robust_g', ttl => '-178956970 years 2147483647 days');
SELECT feathub.alter_feature_group('robust_g', ttl => '365001 days');

-- a table is part of one group, and a group's other tables are no sinks
SELECT feathub.create_feature_group('robust_g_online', primary_key => '{k}', online => false);
CREATE TABLE h_online (k int PRIMARY KEY, t timestamptz NOT NULL);
SELECT feathub.create_feature_group('h_online', primary_key => '{k}', online => false);
CREATE TABLE h (k int, t timestamptz, PRIMARY KEY (k, t));
SELECT feathub.create_feature_group('h', primary_key => '{k}', event_time => 't');
SELECT feathub.create_job('robust_j', source => 'stream', sink => 'robust_g_online');

-- nothing to write
CREATE TABLE nothing (k int);
SELECT feathub.create_job('robust_j', source => 'stream', sink => 'nothing', query => 'SELECT FROM batch');

-- wait_for_job sees progress in any isolation level
SET default_transaction_isolation = 'repeatable read';
INSERT INTO stream VALUES (1, '2024-01-01', 1);
SELECT feathub.wait_for_job('robust_g', '10 s');
BEGIN ISOLATION LEVEL SERIALIZABLE;
SELECT count(*) FROM robust_g;
INSERT INTO stream VALUES (2, '2024-01-01', 2);
SELECT feathub.wait_for_job('robust_g', '10 s');
SELECT count(*) FROM robust_g;
COMMIT;
RESET default_transaction_isolation;
SELECT k, v FROM robust_g ORDER BY k;

-- settings of the owner's that would end a worker or change what it does
RESET ROLE;
ALTER ROLE regress_robustness SET exit_on_error = on;
ALTER ROLE regress_robustness SET default_transaction_read_only = on;
ALTER ROLE regress_robustness SET transform_null_equals = on;
GRANT pg_monitor TO regress_robustness;
ALTER ROLE regress_robustness SET role = 'pg_monitor';
SET ROLE regress_robustness;
ALTER TABLE robust_g ADD CONSTRAINT positive CHECK (v > 0);
SELECT feathub.restart_job('robust_g');
INSERT INTO stream VALUES (3, '2024-01-01', -1), (4, '2024-01-01', 4);
SELECT feathub.wait_for_job('robust_g', '20 s');
SELECT k, v FROM robust_g ORDER BY k;
SELECT sqlstate, message FROM feathub.dead_letter WHERE job = 'robust_g';

-- an error that is no letter's fault leaves nothing of the retry behind
CREATE FUNCTION busy() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE 'somebody else has it' USING ERRCODE = 'lock_not_available';
END $$;
CREATE TRIGGER busy BEFORE INSERT ON robust_g FOR EACH ROW EXECUTE FUNCTION busy();
SELECT feathub.retry_dead_letters('robust_g');
DROP TRIGGER busy ON robust_g;
SELECT feathub.retry_dead_letters('robust_g');
SELECT retries, message FROM feathub.dead_letter WHERE job = 'robust_g';

-- a serialization failure of the user's own is told
CREATE TABLE odd (k int, t timestamptz, v int);
SELECT feathub.create_job('robust_o', source => 'stream', sink => 'odd');
SELECT feathub.wait_for_job('robust_o', '10 s');
CREATE OR REPLACE FUNCTION busy() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE 'could not serialize elsewhere' USING ERRCODE = 'serialization_failure';
END $$;
CREATE TRIGGER busy BEFORE INSERT ON odd FOR EACH ROW EXECUTE FUNCTION busy();
SELECT feathub.rewind_job('robust_o');
DO $$
BEGIN
  FOR i IN 1 .. 200 LOOP
    EXIT WHEN (SELECT last_error IS NOT NULL FROM feathub.job_status WHERE job = 'robust_o');
    PERFORM pg_sleep(0.05);
  END LOOP;
END $$;
SELECT state, last_error FROM feathub.job_status WHERE job = 'robust_o';
SELECT feathub.drop_job('robust_o');

-- a query that no longer analyses is no record's fault, also with a changed sink
CREATE TYPE color AS ENUM ('red', 'blue');
CREATE TABLE colors (k int PRIMARY KEY, c color);
SELECT feathub.create_job('robust_c', source => 'stream', sink => 'colors',
  query => $$SELECT DISTINCT ON (k) k, 'red'::robustness.color AS c FROM batch$$);
SELECT feathub.drop_job('robust_c');
SELECT feathub.create_job('robust_c', source => 'stream', sink => 'colors', start => 'latest',
  query => $$SELECT k, 'red'::robustness.color AS c FROM batch$$);
SELECT feathub.wait_for_job('robust_c', '10 s');
ALTER TYPE color RENAME VALUE 'red' TO 'rouge';
ALTER TABLE colors ADD COLUMN more int;
INSERT INTO stream VALUES (5, '2024-01-01', 5);
DO $$
BEGIN
  FOR i IN 1 .. 200 LOOP
    EXIT WHEN (SELECT last_error IS NOT NULL FROM feathub.job_status WHERE job = 'robust_c');
    PERFORM pg_sleep(0.05);
  END LOOP;
END $$;
SELECT state, last_error, dead_letters FROM feathub.job_status WHERE job = 'robust_c';
ALTER TYPE color RENAME VALUE 'rouge' TO 'red';
SELECT feathub.wait_for_job('robust_c', '20 s');
SELECT * FROM colors;

-- a crash would empty the sink
ALTER TABLE colors SET UNLOGGED;
INSERT INTO stream VALUES (6, '2024-01-01', 6);
DO $$
BEGIN
  FOR i IN 1 .. 200 LOOP
    EXIT WHEN (SELECT state = 'failed' FROM feathub.job_status WHERE job = 'robust_c');
    PERFORM pg_sleep(0.05);
  END LOOP;
END $$;
SELECT state, reason FROM feathub.job_status WHERE job = 'robust_c';
ALTER TABLE colors SET LOGGED;
SELECT feathub.resume_job('robust_c');
SELECT feathub.wait_for_job('robust_c', '20 s');
SELECT k FROM colors ORDER BY k;

-- a key column keeps its name, also as a child's
CREATE TABLE parent (k int);
ALTER TABLE robust_g INHERIT parent;
ALTER TABLE parent RENAME COLUMN k TO key;
ALTER TABLE robust_g NO INHERIT parent;

RESET ROLE;
SET client_min_messages = warning;
DROP SCHEMA robustness CASCADE;
DROP SERVER robustness CASCADE;
DROP OWNED BY regress_robustness;
DROP ROLE regress_robustness;
