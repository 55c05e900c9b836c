-- Maintenance of a feature group: who may, and as whom it works.
CREATE EXTENSION IF NOT EXISTS feathub;
CREATE ROLE regress_part_owner;
CREATE ROLE regress_part_member IN ROLE regress_part_owner;
CREATE ROLE regress_part_other;
CREATE SCHEMA partitions_permissions;
GRANT CREATE, USAGE ON SCHEMA partitions_permissions TO regress_part_owner;
GRANT USAGE ON SCHEMA partitions_permissions TO regress_part_other;
SET search_path = partitions_permissions;
SET timezone = 'UTC';

SET ROLE regress_part_owner;
CREATE TABLE t (k int, at timestamptz, PRIMARY KEY (k, at)) PARTITION BY RANGE (at);
CREATE TABLE t_online (k int PRIMARY KEY, at timestamptz);
GRANT ALL ON t, t_online TO regress_part_other;
RESET ROLE;
INSERT INTO feathub.feature_group (feature_group, online, primary_key, event_time, partition_interval, retention)
  VALUES ('t', 't_online', '{k}', 'at', '1 day', '2 days');

-- All rights on the table do not make an owner.
SET ROLE regress_part_other;
SELECT feathub.maintain_feature_group('t');
RESET ROLE;

-- The owner, his members and superusers may; the partitions are the owner's.
SET ROLE regress_part_owner;
SELECT * FROM feathub.maintain_feature_group('t', '2013-01-01 00:00+00');
SET ROLE regress_part_member;
SELECT * FROM feathub.maintain_feature_group('t', '2013-01-02 00:00+00');
RESET ROLE;
SELECT * FROM feathub.maintain_feature_group('t', '2013-01-03 00:00+00');
SELECT relname, relowner::regrole, relacl FROM pg_class
 WHERE relnamespace = 'partitions_permissions'::regnamespace AND relkind = 'r' ORDER BY 1;
SET ROLE regress_part_other;
SELECT * FROM t_p20130103;
INSERT INTO t VALUES (1, '2013-01-03 00:00+00');
RESET ROLE;

-- Code on the table runs as its owner, not as the superuser who calls.
SET ROLE regress_part_owner;
CREATE FUNCTION whoami() RETURNS trigger LANGUAGE plpgsql AS
  $$BEGIN RAISE NOTICE 'as %', current_user; RETURN NULL; END$$;
ALTER TABLE t_default ADD UNIQUE (k, at);
CREATE TRIGGER whoami AFTER DELETE ON t_default FOR EACH STATEMENT EXECUTE FUNCTION whoami();
RESET ROLE;
INSERT INTO t VALUES (1, '2013-02-01 00:00+00');
SELECT * FROM feathub.maintain_feature_group('t', '2013-02-01 00:00+00');
SELECT current_user = session_user AS as_before, current_setting('search_path');

-- Functions and operators of the owner's schema are not taken for the server's.
SET ROLE regress_part_owner;
CREATE FUNCTION lt(timestamptz, timestamptz) RETURNS bool LANGUAGE sql AS 'SELECT true';
CREATE OPERATOR < (LEFTARG = timestamptz, RIGHTARG = timestamptz, FUNCTION = lt);
INSERT INTO t VALUES (2, '2013-03-01 00:00+00');
SELECT * FROM feathub.maintain_feature_group('t', '2013-02-01 00:00+00');
RESET ROLE;
SELECT k, at FROM t ORDER BY at;

-- An owner who may not create in the schema any more.
REVOKE CREATE ON SCHEMA partitions_permissions FROM regress_part_owner;
SELECT * FROM feathub.maintain_feature_group('t', '2013-05-01 00:00+00');

DELETE FROM feathub.feature_group WHERE feature_group = 't'::regclass;
SET client_min_messages = warning;
DROP SCHEMA partitions_permissions CASCADE;
DROP EXTENSION feathub CASCADE;
DROP ROLE regress_part_member, regress_part_owner, regress_part_other;
