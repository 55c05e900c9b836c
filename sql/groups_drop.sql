-- What dropping tables, sources, schemas and owners does to groups and jobs.
CREATE EXTENSION IF NOT EXISTS feathub;
CREATE SCHEMA groups_drop;
CREATE SCHEMA groups_drop_source;
SET search_path = groups_drop;
CREATE SERVER groups_drop_kafka FOREIGN DATA WRAPPER feathub_kafka OPTIONS (bootstrap_servers 'embedded');
CREATE USER MAPPING FOR CURRENT_USER SERVER groups_drop_kafka;
CREATE FOREIGN TABLE groups_drop_source.stream (k int, at timestamptz, v float8)
  SERVER groups_drop_kafka OPTIONS (topic 't_jobs', format 'json');
CREATE VIEW groups AS SELECT feature_group::text, online::text, tombstone::text, source::text FROM feathub.feature_group ORDER BY 1;
CREATE VIEW jobs AS SELECT job, source::text, sink::text FROM feathub.job_status ORDER BY 1;
CREATE PROCEDURE make() LANGUAGE plpgsql AS $$
BEGIN
  PERFORM feathub.create_feature_group('groups_drop.g', 'groups_drop_source.stream', '{k}', 'at', deletes => true);
  PERFORM feathub.pause_job('g');
END $$;
CALL make();

-- Online and tombstone tables are parts of the offline table.
DROP TABLE g_online;
DROP TABLE g_online CASCADE;
DROP TABLE g_tombstone;
SELECT * FROM groups;

-- The offline table takes its group and job along; a rollback brings all back.
BEGIN;
DROP TABLE g;
SELECT * FROM groups;
SELECT * FROM jobs;
\d g*
ROLLBACK;
SELECT * FROM groups;
SELECT * FROM jobs;

-- A source is kept while a job follows it ...
DROP FOREIGN TABLE groups_drop_source.stream;
DROP SERVER groups_drop_kafka;
DROP SCHEMA groups_drop_source;
-- ... unless told otherwise: the job goes, history stays.
BEGIN;
DROP FOREIGN TABLE groups_drop_source.stream CASCADE;
SELECT * FROM groups;
SELECT * FROM jobs;
ROLLBACK;
BEGIN;
DROP SERVER groups_drop_kafka CASCADE;
SELECT * FROM groups;
SELECT * FROM jobs;
ROLLBACK;
BEGIN;
DROP SCHEMA groups_drop_source CASCADE;
SELECT * FROM groups;
SELECT * FROM jobs;
ROLLBACK;
-- Source and table in one command need no CASCADE.
BEGIN;
CREATE FOREIGN TABLE stream2 (k int, at timestamptz) SERVER groups_drop_kafka OPTIONS (topic 't_jobs', format 'json');
CREATE TABLE sink2 (k int, at timestamptz);
SELECT feathub.create_job('to_sink2', 'stream2', 'sink2');
SAVEPOINT a;
-- A sink that is no group is kept as a source is.
DROP TABLE sink2;
ROLLBACK TO a;
DROP FOREIGN TABLE stream2;
ROLLBACK TO a;
DROP TABLE sink2 CASCADE;
SELECT * FROM jobs;
ROLLBACK;

-- A job more on the same group goes with the group, too.
BEGIN;
SELECT feathub.create_job('second', 'groups_drop_source.stream', 'g');
DROP TABLE g;
SELECT * FROM jobs;
ROLLBACK;

-- A schema with all.
BEGIN;
ALTER FOREIGN TABLE groups_drop_source.stream SET SCHEMA groups_drop;
CREATE SCHEMA other;
ALTER TABLE g SET SCHEMA other;
SELECT feature_group, online FROM feathub.feature_group;
DROP SCHEMA other;
ROLLBACK;
BEGIN;
CREATE SCHEMA other;
ALTER TABLE g_online SET SCHEMA other;
SET LOCAL client_min_messages = warning;
DROP SCHEMA other CASCADE;
SELECT feature_group, online FROM feathub.feature_group;
SELECT job FROM feathub.job_status;
ROLLBACK;

-- Owners.
CREATE ROLE regress_groups_owner LOGIN;
CREATE ROLE regress_groups_heir LOGIN;
GRANT USAGE ON FOREIGN SERVER groups_drop_kafka TO regress_groups_owner, regress_groups_heir;
CREATE USER MAPPING FOR regress_groups_owner SERVER groups_drop_kafka;
CREATE SCHEMA regress_groups_owner AUTHORIZATION regress_groups_owner;
SET ROLE regress_groups_owner;
CREATE FOREIGN TABLE regress_groups_owner.stream (k int, at timestamptz) SERVER groups_drop_kafka OPTIONS (topic 't_jobs', format 'json');
SELECT feathub.create_feature_group('regress_groups_owner.g2', 'regress_groups_owner.stream', '{k}', 'at');
RESET ROLE;
DROP ROLE regress_groups_owner;
BEGIN;
DROP OWNED BY regress_groups_owner;
SELECT * FROM groups;
SELECT * FROM jobs;
ROLLBACK;
-- Given away with its table, the job waits until its new owner resumes it as his own.
REASSIGN OWNED BY regress_groups_owner TO regress_groups_heir;
SELECT feathub.resume_job('g2');
DROP TABLE regress_groups_owner.g2;
SELECT * FROM groups;
SELECT * FROM jobs;
DROP SCHEMA regress_groups_owner CASCADE;
DROP OWNED BY regress_groups_owner, regress_groups_heir;
DROP ROLE regress_groups_owner, regress_groups_heir;

-- Temporary tables and other drops are no affair of ours.
CREATE TEMP TABLE t (a int);
DROP TABLE t;
CREATE TABLE t (a int PRIMARY KEY, b int);
ALTER TABLE t DROP COLUMN b;
DROP TABLE t;

-- Entries lost (pg_upgrade, event triggers switched off) do not open a door.
-- (In one transaction, for a scheduler that starts would make them again.)
BEGIN;
DELETE FROM pg_depend WHERE classid = 'pg_class'::regclass AND objid = 'g_online'::regclass AND deptype = 'i';
DROP TABLE g_online;
ROLLBACK;

-- The extension goes, the users' tables stay.
DROP EXTENSION feathub;
SET client_min_messages = warning;
DROP EXTENSION feathub CASCADE;
RESET client_min_messages;
\d
DROP SCHEMA groups_drop_source;
SET client_min_messages = warning;
DROP SCHEMA groups_drop CASCADE;
