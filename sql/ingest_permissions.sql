-- Jobs and rights: a job can do what its owner can, and nobody gains by it.
CREATE EXTENSION IF NOT EXISTS feathub;
SET client_min_messages = warning;
CREATE ROLE regress_ingest_owner LOGIN;
CREATE ROLE regress_ingest_other LOGIN;
CREATE ROLE regress_ingest_group NOLOGIN;
CREATE ROLE regress_ingest_member LOGIN IN ROLE regress_ingest_owner;
CREATE ROLE regress_ingest_monitor LOGIN IN ROLE pg_monitor;
RESET client_min_messages;
CREATE SCHEMA ingest_permissions;
SET search_path = ingest_permissions;
GRANT USAGE, CREATE ON SCHEMA ingest_permissions TO regress_ingest_owner, regress_ingest_other, regress_ingest_group;
CREATE SERVER ingest_permissions FOREIGN DATA WRAPPER feathub_kafka OPTIONS (bootstrap_servers 'embedded');
GRANT USAGE ON FOREIGN SERVER ingest_permissions TO PUBLIC;
CREATE USER MAPPING FOR PUBLIC SERVER ingest_permissions;
CREATE TABLE secret (k int, word text);
INSERT INTO secret VALUES (1, 'treasure');
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

SET ROLE regress_ingest_owner;
CREATE FOREIGN TABLE stream (k int, v text) SERVER ingest_permissions OPTIONS (topic 't_ingest_permissions', format 'json');
CREATE TABLE sink (k int, v text);
INSERT INTO stream VALUES (1, 'one');
-- A query reads what the owner may read; the job says what is missing, and goes on when it is granted.
SELECT feathub.create_job('reader', 'stream', 'sink', query => 'SELECT b.k, s.word AS v FROM batch b JOIN ingest_permissions.secret s USING (k)');
SELECT wait_until('last_error IS NOT NULL FROM feathub.job_status WHERE job = ''reader''');
SELECT state, last_error FROM feathub.job_status WHERE job = 'reader';
TABLE sink;
RESET ROLE;
GRANT SELECT ON secret TO regress_ingest_owner;
SET ROLE regress_ingest_owner;
SELECT feathub.wait_for_job('reader', '60 s');
TABLE sink;
RESET ROLE;
REVOKE SELECT ON secret FROM regress_ingest_owner;
SET ROLE regress_ingest_owner;
SELECT feathub.drop_job('reader');

-- A query cannot make itself somebody else, in the worker or in a superuser's session.
TRUNCATE sink;
CREATE FUNCTION become(who text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
  PERFORM set_config('role', who, false);
  RETURN (SELECT word FROM ingest_permissions.secret);
EXCEPTION WHEN insufficient_privilege THEN
  RETURN SQLERRM;
END $$;
CREATE FUNCTION become_session(who text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
  PERFORM set_config('session_authorization', who, false);
  RETURN (SELECT word FROM ingest_permissions.secret);
EXCEPTION WHEN insufficient_privilege THEN
  RETURN SQLERRM;
END $$;
CREATE FUNCTION back() RETURNS text LANGUAGE plpgsql AS $$
BEGIN
  RESET ROLE;
  RETURN (SELECT word FROM ingest_permissions.secret);
EXCEPTION WHEN insufficient_privilege THEN
  RETURN SQLERRM;
END $$;
SELECT feathub.create_job('thief', 'stream', 'sink', query => $$
  SELECT k, unnest(ARRAY[ingest_permissions.become('postgres'), ingest_permissions.become('none'), ingest_permissions.become_session('postgres'),
    ingest_permissions.back(), session_user::text, current_user::text, current_setting('is_superuser')]) AS v FROM batch $$);
SELECT feathub.wait_for_job('thief', '60 s');
SELECT DISTINCT v FROM sink ORDER BY v;
-- the next batch of the same worker
TRUNCATE sink;
INSERT INTO stream VALUES (2, 'two');
SELECT feathub.wait_for_job('thief', '60 s');
SELECT DISTINCT v FROM sink ORDER BY v;
-- a superuser who tries dead letters again does so as the job's owner
ALTER TABLE sink ADD CHECK (k <> 3);
INSERT INTO stream VALUES (3, 'three');
SELECT feathub.wait_for_job('thief', '60 s');
ALTER TABLE sink DROP CONSTRAINT sink_k_check;
TRUNCATE sink;
RESET ROLE;
SELECT feathub.retry_dead_letters('thief');
SELECT DISTINCT v FROM sink ORDER BY v;
SELECT current_user = session_user AS still_me;
SET ROLE regress_ingest_owner;
-- nor does what is deferred to the commit run as the superuser
CREATE FUNCTION who() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO ingest_permissions.seen VALUES (current_user);
  RETURN NULL;
END $$;
CREATE TABLE seen (who text);
CREATE CONSTRAINT TRIGGER who AFTER INSERT ON sink DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION who();
ALTER TABLE sink ADD CHECK (k <> 4);
INSERT INTO stream VALUES (4, 'four');
SELECT feathub.wait_for_job('thief', '60 s');
ALTER TABLE sink DROP CONSTRAINT sink_k_check;
RESET ROLE;
SELECT feathub.retry_dead_letters('thief');
SELECT DISTINCT who FROM seen;
SET ROLE regress_ingest_owner;
SELECT feathub.drop_job('thief');
-- A query cannot move its own or others' jobs, nor write to feathub's tables.
CREATE FUNCTION meddle(statement text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE statement;
  RETURN 'done';
EXCEPTION WHEN insufficient_privilege THEN
  RETURN SQLERRM;
END $$;
TRUNCATE sink;
DROP TRIGGER who ON sink;
SELECT feathub.create_job('meddler', 'stream', 'sink', query => $$
  SELECT k, ingest_permissions.meddle(s) AS v FROM batch, (VALUES ('UPDATE feathub.job SET owner = 10'), ('DELETE FROM feathub.job_position'),
    ('INSERT INTO feathub.dead_letter_record (job_id) VALUES (1)'), ('COPY ingest_permissions.sink TO ''/tmp/feathub_stolen'''),
    ('SELECT feathub.job_is_local(1, 1)')) AS t (s) WHERE k = 1 $$);
SELECT feathub.wait_for_job('meddler', '60 s');
SELECT v, count(*) FROM sink GROUP BY v ORDER BY v;
SELECT feathub.drop_job('meddler');

-- Who may see and touch the job.
INSERT INTO stream VALUES (5, NULL);
ALTER TABLE sink ADD CHECK (k <> 5);
TRUNCATE sink;
SELECT feathub.create_job('owned', 'stream', 'sink');
SELECT feathub.wait_for_job('owned', '60 s');
SET ROLE regress_ingest_other;
SELECT (SELECT count(*) FROM feathub.job_status), (SELECT count(*) FROM feathub.job_partition), (SELECT count(*) FROM feathub.worker), (SELECT count(*) FROM feathub.dead_letter);
SELECT count(*) FROM feathub.visible_worker_activity();
SELECT count(*) FROM feathub.visible_partition_activity();
SELECT * FROM feathub.worker_activity();
SELECT * FROM feathub.partition_activity();
SELECT * FROM feathub.job;
SELECT * FROM feathub.job_position;
SELECT * FROM feathub.dead_letter_record;
SELECT * FROM stream;
SELECT feathub.retry_dead_letters('owned');
SELECT feathub.wait_for_job('owned');
SELECT feathub.rewind_job('owned');
SELECT feathub.pause_job('owned');
SELECT feathub.alter_feature_group('sink', workers => 2);
SELECT feathub.maintain_feature_group('sink');
-- a function with a cost of nothing sees no hidden row of a view
CREATE FUNCTION peek(t text) RETURNS boolean LANGUAGE plpgsql COST 0.0000001 AS $$ BEGIN RAISE NOTICE 'saw %', t; RETURN true; END $$;
SELECT job FROM feathub.job_status WHERE peek(job);
SELECT job FROM feathub.dead_letter WHERE peek(job || message);
SET ROLE regress_ingest_member;
SELECT job, (SELECT count(*) FROM feathub.dead_letter) AS letters FROM feathub.job_status;
SELECT feathub.pause_job('owned');
SELECT state, reason FROM feathub.job_status;
SELECT feathub.resume_job('owned');
SET ROLE regress_ingest_monitor;
SELECT job, state, (SELECT count(*) FROM feathub.dead_letter) AS letters FROM feathub.job_status;
SELECT feathub.pause_job('owned');
SELECT feathub.retry_dead_letters('owned');

-- Jobs of roles that cannot run them.
SET ROLE regress_ingest_group;
CREATE FOREIGN TABLE group_stream (k int, v text) SERVER ingest_permissions OPTIONS (topic 't_ingest_permissions', format 'json');
CREATE TABLE group_sink (k int, v text);
SELECT CASE WHEN current_setting('server_version_num')::int >= 170000 THEN 'regress_ingest_group needs no LOGIN' ELSE 'as expected' END AS note;
SELECT feathub.create_job('no_login', 'group_stream', 'group_sink');
RESET ROLE;
SELECT feathub.create_job('not_mine', 'stream', 'group_sink');
-- A login that is lost stops the job with its reason, at the next start.
ALTER ROLE regress_ingest_owner NOLOGIN;
SET ROLE regress_ingest_owner;
SELECT feathub.restart_job('owned');
-- in one look: the new worker's slot begins without the error of the one before
SELECT wait_until('state = ''running'' AND (last_error = ''could not connect as the owner of the job: it needs LOGIN and CONNECT; see the server log'' OR current_setting(''server_version_num'')::int >= 170000) FROM feathub.job_status WHERE job = ''owned''');
RESET ROLE;
ALTER ROLE regress_ingest_owner LOGIN;
SET ROLE regress_ingest_owner;
INSERT INTO stream VALUES (6, 'six');
SELECT feathub.wait_for_job('owned', '60 s');
SELECT v FROM sink WHERE k = 6;
-- A table that goes to somebody else while the job runs: his trigger must not run as the job's owner.
RESET ROLE;
ALTER TABLE sink OWNER TO regress_ingest_other;
SET ROLE regress_ingest_other;
GRANT ALL ON sink TO regress_ingest_owner;
CREATE TABLE caught (who text);
CREATE FUNCTION catch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO ingest_permissions.caught VALUES (current_user); RETURN new; END $$;
GRANT ALL ON caught TO PUBLIC;
CREATE TRIGGER catch BEFORE INSERT ON sink FOR EACH ROW EXECUTE FUNCTION catch();
SET ROLE regress_ingest_owner;
INSERT INTO stream VALUES (7, 'seven');
SELECT wait_until('last_error LIKE ''%belong%'' FROM feathub.job_status WHERE job = ''owned''');
SELECT state, last_error FROM feathub.job_status WHERE job = 'owned';
RESET ROLE;
TABLE caught;

-- Secrets stay in the user mapping.
SET ROLE regress_ingest_owner;
SELECT feathub.drop_job('owned');
RESET ROLE;
CREATE SERVER nowhere FOREIGN DATA WRAPPER feathub_kafka OPTIONS (bootstrap_servers '127.0.0.1:1', connect_timeout '1', "security.protocol" 'sasl_plaintext', "sasl.mechanisms" 'PLAIN');
GRANT USAGE ON FOREIGN SERVER nowhere TO regress_ingest_owner;
SET ROLE regress_ingest_owner;
CREATE USER MAPPING FOR CURRENT_USER SERVER nowhere OPTIONS ("sasl.username" 'me', "sasl.password" 'pst-do-not-tell');
CREATE FOREIGN TABLE nowhere_stream (k int, v text) SERVER nowhere OPTIONS (topic 't_ingest_permissions', format 'json');
CREATE TABLE nowhere_sink (k int, v text);
SELECT feathub.create_job('nowhere', 'nowhere_stream', 'nowhere_sink');
CREATE FUNCTION complaint(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  detail text;
  hint text;
BEGIN
  EXECUTE statement;
  RETURN 'none';
EXCEPTION WHEN OTHERS THEN
  GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
  RETURN CASE WHEN SQLERRM || detail || hint LIKE '%do-not-tell%' THEN 'told the secret' ELSE regexp_replace(SQLERRM, '": .*', '"') END;
END $$;
SELECT complaint('SELECT * FROM ingest_permissions.nowhere_stream');
SELECT complaint('INSERT INTO ingest_permissions.nowhere_stream VALUES (1, ''1'')');
SELECT complaint('SELECT feathub.wait_for_job(''nowhere'', ''2 s'')');
EXPLAIN (VERBOSE, COSTS OFF) SELECT * FROM nowhere_stream;
EXPLAIN (VERBOSE, COSTS OFF) INSERT INTO nowhere_stream VALUES (1, '1');
SELECT wait_until('last_error IS NOT NULL FROM feathub.job_status WHERE job = ''nowhere''');
SELECT s::text LIKE '%pst-do-not-tell%' AS told FROM feathub.job_status s;
SELECT bool_or(s::text LIKE '%pst-do-not-tell%') AS told FROM feathub.worker s;
SELECT feathub.drop_job('nowhere');
ALTER USER MAPPING FOR CURRENT_USER SERVER nowhere OPTIONS (ADD "sasl.pasword" 'pst-do-not-tell');
ALTER FOREIGN TABLE nowhere_stream OPTIONS (ADD "sasl.password" 'not-here');

RESET ROLE;
SET client_min_messages = warning;
DROP SCHEMA ingest_permissions CASCADE;
DROP SERVER ingest_permissions CASCADE;
DROP SERVER nowhere CASCADE;
DROP OWNED BY regress_ingest_owner, regress_ingest_other, regress_ingest_group, regress_ingest_member, regress_ingest_monitor;
DROP ROLE regress_ingest_member, regress_ingest_owner, regress_ingest_other, regress_ingest_group, regress_ingest_monitor;
