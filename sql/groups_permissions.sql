-- Feature groups: an ordinary role needs no more than a server and a schema, and gets no more.
CREATE EXTENSION IF NOT EXISTS feathub;
CREATE ROLE regress_groups_user LOGIN;
CREATE ROLE regress_groups_other LOGIN;
CREATE ROLE regress_groups_nologin;
CREATE SCHEMA groups_permissions;
SET search_path = groups_permissions;
GRANT USAGE, CREATE ON SCHEMA groups_permissions TO regress_groups_user, regress_groups_nologin;
GRANT USAGE ON SCHEMA groups_permissions TO regress_groups_other;
GRANT USAGE ON FOREIGN DATA WRAPPER feathub_kafka TO regress_groups_user;

-- The whole way as an ordinary role.
SET ROLE regress_groups_user;
CREATE SERVER groups_permissions_kafka FOREIGN DATA WRAPPER feathub_kafka OPTIONS (bootstrap_servers 'embedded');
CREATE USER MAPPING FOR CURRENT_USER SERVER groups_permissions_kafka;
CREATE FOREIGN TABLE stream (k int, at timestamptz, v float8) SERVER groups_permissions_kafka OPTIONS (topic 't_jobs', format 'json');
CREATE TABLE source (k int, at timestamptz);
SELECT feathub.create_feature_group('g', 'stream', '{k}', 'at', deletes => true);
SELECT relname, pg_get_userbyid(relowner) FROM pg_class
 WHERE relnamespace = 'groups_permissions'::regnamespace AND relkind = 'r' ORDER BY 1;
SELECT job, state, owner FROM feathub.job_status;
SELECT feathub.alter_feature_group('g', ttl => '1 day', workers => 2);

-- He writes to no table of the extension's.
INSERT INTO feathub.feature_group (feature_group, primary_key) VALUES ('source', '{k}');
UPDATE feathub.feature_group SET ttl = '1 s';
SELECT * FROM feathub.job;
SELECT * FROM feathub.job_position;
SELECT * FROM feathub.dead_letter_record;
SELECT feathub.group_changed();
SELECT feathub.worker_activity();
SELECT feathub.partition_activity();

-- Another role: sees that the group exists, not the job, and changes nothing.
RESET ROLE;
SET ROLE regress_groups_other;
SELECT feature_group, ttl FROM feathub.feature_group;
SELECT job FROM feathub.job_status;
SELECT feathub.alter_feature_group('g', ttl => '2 days');
SELECT feathub.drop_feature_group('g');
SELECT feathub.drop_feature_group('g', keep_tables => true);
SELECT feathub.create_feature_group('groups_permissions.mine', 'source', '{k}');
SELECT feathub.create_feature_group('groups_permissions.source', primary_key => '{k}');
DROP TABLE g;

-- Reading the source and owning the tables taken over are what it takes.
RESET ROLE;
GRANT CREATE ON SCHEMA groups_permissions TO regress_groups_other;
SET ROLE regress_groups_other;
SELECT feathub.create_feature_group('mine', 'source', '{k}');
SELECT feathub.create_feature_group('source', primary_key => '{k}');
CREATE TABLE mine (k int PRIMARY KEY);
RESET ROLE;
CREATE TABLE mine_online (k int PRIMARY KEY);
SET ROLE regress_groups_other;
SELECT feathub.create_feature_group('mine', primary_key => '{k}');
RESET ROLE;
DROP TABLE mine_online;
GRANT SELECT ON stream TO regress_groups_other;
CREATE USER MAPPING FOR regress_groups_other SERVER groups_permissions_kafka;
SET ROLE regress_groups_other;
SELECT feathub.create_feature_group('mine2', 'stream', '{k}', 'at');
SELECT job, owner FROM feathub.job_status;

-- The owner must be able to log in, and to connect.
RESET ROLE;
GRANT SELECT ON stream TO regress_groups_nologin;
CREATE USER MAPPING FOR regress_groups_nologin SERVER groups_permissions_kafka;
SET ROLE regress_groups_nologin;
DO $$
BEGIN
  PERFORM feathub.create_feature_group('nologin', 'stream', '{k}', 'at');
  IF current_setting('server_version_num')::int >= 170000 THEN  -- there it is allowed
    RAISE insufficient_privilege USING MESSAGE = 'owner of job "nologin" is not permitted to log in';
  END IF;
EXCEPTION WHEN insufficient_privilege THEN
  RAISE NOTICE '%', SQLERRM;
END $$;
RESET ROLE;
DO $$ BEGIN EXECUTE format('REVOKE CONNECT ON DATABASE %I FROM PUBLIC', current_database()); END $$;
SET ROLE regress_groups_user;
DO $$
BEGIN
  PERFORM feathub.create_feature_group('noconnect', 'stream', '{k}', 'at');
EXCEPTION WHEN insufficient_privilege THEN
  RAISE NOTICE '%', replace(SQLERRM, current_database(), 'DATABASE');
END $$;
RESET ROLE;
DO $$ BEGIN EXECUTE format('GRANT CONNECT ON DATABASE %I TO PUBLIC', current_database()); END $$;

-- pg_monitor sees all jobs, members of the owner see his.
SELECT job, owner FROM feathub.job_status ORDER BY 1;
GRANT pg_monitor TO regress_groups_nologin;
SET ROLE regress_groups_nologin;
SELECT job, owner FROM feathub.job_status ORDER BY 1;
RESET ROLE;
REVOKE pg_monitor FROM regress_groups_nologin;
GRANT regress_groups_user TO regress_groups_nologin;
SET ROLE regress_groups_nologin;
SELECT job, owner FROM feathub.job_status ORDER BY 1;
SELECT feathub.alter_feature_group('g', reset => '{ttl}');
RESET ROLE;

-- Functions of the views' readers learn nothing of others' jobs.
SET ROLE regress_groups_other;
CREATE FUNCTION leak(text) RETURNS bool COST 0.0001 LANGUAGE plpgsql AS $$ BEGIN RAISE NOTICE 'saw %', $1; RETURN true; END $$;
SELECT job FROM feathub.job_status WHERE leak(job);
RESET ROLE;

DROP OWNED BY regress_groups_other, regress_groups_user, regress_groups_nologin CASCADE;
SET client_min_messages = warning;
DROP SCHEMA groups_permissions CASCADE;
DROP ROLE regress_groups_other, regress_groups_user, regress_groups_nologin;
