-- A backfill has its caller's rights, no more.
CREATE EXTENSION IF NOT EXISTS feathub;
CREATE ROLE regress_backfill_owner;
CREATE ROLE regress_backfill_writer;
CREATE ROLE regress_backfill_reader;
CREATE SCHEMA backfill_permissions;
GRANT CREATE, USAGE ON SCHEMA backfill_permissions TO regress_backfill_owner;
GRANT USAGE ON SCHEMA backfill_permissions TO regress_backfill_writer, regress_backfill_reader;
SET search_path = backfill_permissions;
SET timezone = 'UTC';
\set SHOW_CONTEXT never

SET ROLE regress_backfill_owner;
CREATE TABLE t (k int, at timestamptz, x int, PRIMARY KEY (k, at)) PARTITION BY RANGE (at);
CREATE TABLE t_online (k int PRIMARY KEY, at timestamptz, x int);
CREATE TABLE secret AS SELECT 1 AS k, timestamptz '2013-01-01 00:00+00' AS at, 42 AS x;
RESET ROLE;
INSERT INTO feathub.feature_group (feature_group, online, primary_key, event_time, partition_interval)
  VALUES ('t', 't_online', '{k}', 'at', '1 month');
SELECT * FROM feathub.maintain_feature_group('t', '2013-06-15 00:00+00');

-- The owner may, and partitions are made for his rows.
SET ROLE regress_backfill_owner;
SELECT feathub.backfill('t', 'TABLE secret', online => true);
SELECT tableoid::regclass, x FROM t;
RESET ROLE;

-- Others need SELECT, INSERT and UPDATE on each table written ...
SET ROLE regress_backfill_writer;
SELECT feathub.backfill('t', $$ SELECT 2 AS k, timestamptz '2013-02-01 00:00+00' AS at, 1 AS x $$);
RESET ROLE;
GRANT SELECT, INSERT ON t TO regress_backfill_writer;
SET ROLE regress_backfill_writer;
SELECT feathub.backfill('t', $$ SELECT 2 AS k, timestamptz '2013-02-01 00:00+00' AS at, 1 AS x $$);
RESET ROLE;
GRANT UPDATE ON t TO regress_backfill_writer;
SET ROLE regress_backfill_writer;
SELECT feathub.backfill('t', $$ SELECT 2 AS k, timestamptz '2013-02-01 00:00+00' AS at, 1 AS x $$);
SELECT feathub.backfill('t', $$ SELECT 2 AS k, timestamptz '2013-02-01 00:00+00' AS at, 1 AS x $$, online => true);
RESET ROLE;
GRANT SELECT, INSERT, UPDATE ON t_online TO regress_backfill_writer;
SET ROLE regress_backfill_writer;
SELECT feathub.backfill('t', $$ SELECT 2 AS k, timestamptz '2013-02-01 00:00+00' AS at, 1 AS x $$, online => true);
-- ... and what the query reads; partitions wait for the owner
SELECT feathub.backfill('t', 'TABLE secret');
SELECT feathub.backfill('t', 'SELECT k, at, current_user::regrole::oid::int * 0 AS x FROM t');
RESET ROLE;
SELECT tableoid::regclass, * FROM t ORDER BY k;
TABLE t_online ORDER BY k;

-- Row security holds for what is written.
ALTER TABLE t ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON t TO regress_backfill_writer USING (true) WITH CHECK (k = 2);
SET ROLE regress_backfill_writer;
SELECT feathub.backfill('t', $$ SELECT 3 AS k, timestamptz '2013-02-01 00:00+00' AS at, 1 AS x $$);
SELECT feathub.backfill('t', $$ SELECT 2 AS k, timestamptz '2013-02-01 00:00+00' AS at, 7 AS x $$);
RESET ROLE;

-- The query cannot leave its role.
SET SESSION AUTHORIZATION regress_backfill_writer;
SELECT feathub.backfill('t', $$ SELECT 2 AS k, timestamptz '2013-02-01 00:00+00' AS at, length(set_config('role', 'regress_backfill_owner', true)) AS x $$);
RESET SESSION AUTHORIZATION;

-- Others' progress is theirs.
SET ROLE regress_backfill_reader;
SELECT count(*) FROM feathub.backfill_progress;
INSERT INTO feathub.feature_group (feature_group, primary_key) VALUES ('t', '{k}');
RESET ROLE;

DELETE FROM feathub.feature_group WHERE feature_group = 't'::regclass;
SET client_min_messages = warning;
DROP SCHEMA backfill_permissions CASCADE;
DROP EXTENSION feathub CASCADE;
DROP ROLE regress_backfill_owner, regress_backfill_writer, regress_backfill_reader;
