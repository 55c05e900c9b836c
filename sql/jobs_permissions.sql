-- Jobs: every function as a role that should be refused.
CREATE EXTENSION IF NOT EXISTS feathub;
CREATE ROLE regress_jobs_owner LOGIN;
CREATE ROLE regress_jobs_other LOGIN;
CREATE ROLE regress_jobs_team LOGIN;
GRANT regress_jobs_team TO regress_jobs_owner;
CREATE SCHEMA jobs_permissions;
SET search_path = jobs_permissions;
GRANT USAGE, CREATE ON SCHEMA jobs_permissions TO regress_jobs_owner, regress_jobs_team;
GRANT USAGE ON SCHEMA jobs_permissions TO regress_jobs_other;
CREATE SERVER jobs_permissions_kafka FOREIGN DATA WRAPPER feathub_kafka OPTIONS (bootstrap_servers 'embedded');
GRANT USAGE ON FOREIGN SERVER jobs_permissions_kafka TO regress_jobs_owner;
CREATE USER MAPPING FOR regress_jobs_owner SERVER jobs_permissions_kafka;
CREATE USER MAPPING FOR regress_jobs_other SERVER jobs_permissions_kafka;
CREATE USER MAPPING FOR regress_jobs_team SERVER jobs_permissions_kafka;

SET ROLE regress_jobs_owner;
CREATE FOREIGN TABLE stream (k int, v float8) SERVER jobs_permissions_kafka OPTIONS (topic 't_jobs', format 'json');
CREATE TABLE sink (k int, v float8);
SELECT feathub.create_job('j', 'stream', 'sink');

-- Somebody else can neither touch it nor read what it reads.
SET ROLE regress_jobs_other;
SELECT job FROM feathub.job_status;
SELECT job FROM feathub.job_partition;
SELECT job FROM feathub.worker;
SELECT job FROM feathub.dead_letter;
SELECT feathub.pause_job('j');
SELECT feathub.resume_job('j');
SELECT feathub.restart_job('j');
SELECT feathub.rewind_job('j');
SELECT feathub.drop_job('j');
SELECT feathub.drop_job('j', true);
SELECT feathub.resume_all_jobs();
SELECT feathub.wait_for_job('j', '1 s');
SELECT feathub.retry_dead_letters('j');
SELECT feathub.delete_dead_letters('j');
SELECT feathub.pause_job('i');  -- no hint at a job that is not to be seen
SELECT feathub.create_job('k', 'stream', 'sink');
RESET ROLE;
GRANT SELECT ON stream TO regress_jobs_other, regress_jobs_team;
GRANT ALL ON sink TO regress_jobs_other;
SET ROLE regress_jobs_other;
SELECT feathub.create_job('k', 'stream', 'sink');

-- Membership in a table's owner is not enough: his triggers would run as the job's owner.
SET ROLE regress_jobs_team;
CREATE TABLE team_sink (k int, v float8);
SET ROLE regress_jobs_owner;
SELECT feathub.create_job('k', 'stream', 'team_sink');
SET ROLE regress_jobs_team;
SELECT feathub.create_job('k', 'stream', 'team_sink');
SET ROLE regress_jobs_owner;
SELECT feathub.pause_job('k');

-- What is run of a query when it is only analysed runs as the job's owner, whoever alters the job.
CREATE FUNCTION tell(v int) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE 'checked as %', current_user; END $$;
CREATE DOMAIN telling AS int CHECK (jobs_permissions.tell(VALUE));
RESET ROLE;
\set SHOW_CONTEXT never
SELECT feathub.alter_job('j', query => $$SELECT * FROM batch WHERE '{1}'::jobs_permissions.telling[] IS NOT NULL$$);
\set SHOW_CONTEXT errors

-- Rights lost later are found when it is resumed.
SET ROLE regress_jobs_owner;
SELECT feathub.pause_job('j');
REVOKE SELECT ON stream FROM regress_jobs_owner, regress_jobs_team;
SELECT feathub.resume_job('j');
GRANT SELECT ON stream TO regress_jobs_owner;
RESET ROLE;
ALTER TABLE sink OWNER TO regress_jobs_other;
SET ROLE regress_jobs_owner;
SELECT feathub.resume_job('j');
SELECT job, state FROM feathub.job_status ORDER BY 1;
SELECT feathub.drop_job('j'), feathub.drop_job('k');

RESET ROLE;
SET client_min_messages = warning;
DROP SCHEMA jobs_permissions CASCADE;
DROP SERVER jobs_permissions_kafka CASCADE;
DROP OWNED BY regress_jobs_owner, regress_jobs_other, regress_jobs_team;
DROP ROLE regress_jobs_owner, regress_jobs_other, regress_jobs_team;
