-- Training data: made and read with no more than the user's own rights.
CREATE EXTENSION IF NOT EXISTS feathub;
CREATE ROLE regress_training_owner;
CREATE ROLE regress_training_maker;
CREATE ROLE regress_training_reader;
CREATE SCHEMA training_permissions;
SET search_path = training_permissions;
SET timezone = 'UTC';
SET datestyle = ISO;
GRANT USAGE ON SCHEMA training_permissions TO regress_training_owner, regress_training_maker, regress_training_reader;
GRANT CREATE ON SCHEMA training_permissions TO regress_training_owner, regress_training_maker;

SET ROLE regress_training_owner;
CREATE TABLE s_source (k int, t timestamptz, v int);
SELECT feathub.create_feature_group('secret', 's_source', '{k}', 't');
INSERT INTO secret VALUES (1, '2020-01-01', 42), (2, '2020-01-01', 43);
CREATE TABLE spine (k int, ts timestamptz);
INSERT INTO spine VALUES (1, '2020-01-02');
SELECT feathub.create_feature_view('v', 'SELECT s.k, s.ts, secret.v FROM spine s LEFT JOIN secret USING (k)', 'ts');

-- who may not read the view
SET ROLE regress_training_maker;
SELECT feathub.create_training_data('v', 'd');
SET ROLE regress_training_owner;
GRANT SELECT ON v TO regress_training_maker;
SET ROLE regress_training_maker;
SELECT feathub.create_training_data('v', 'd');
TABLE d;
SELECT pg_get_userbyid(relowner) FROM pg_class WHERE oid = 'd'::regclass;
-- another spine could ask for what the view does not show: it reads as its maker
SELECT feathub.create_training_data('v', 'all_keys', spine => 'SELECT k, timestamptz ''2020-01-02'' AS ts FROM generate_series(1, 9) k');
SELECT feathub.create_training_data('v', 'd2', filter => '(SELECT max(v) FROM secret) > 0');
SET ROLE regress_training_owner;
GRANT SELECT ON secret TO regress_training_maker;
SET ROLE regress_training_maker;
SELECT feathub.create_training_data('v', 'all_keys', spine => 'SELECT k, timestamptz ''2020-01-02'' AS ts FROM generate_series(1, 2) k');
TABLE all_keys ORDER BY k;
SET ROLE regress_training_owner;
REVOKE SELECT ON secret FROM regress_training_maker;
ALTER TABLE secret ENABLE ROW LEVEL SECURITY;
CREATE POLICY one ON secret FOR SELECT TO regress_training_maker USING (k = 1);
GRANT SELECT ON secret TO regress_training_maker;
SET ROLE regress_training_maker;
SELECT feathub.create_training_data('v', 'seen_keys', spine => 'SELECT k, timestamptz ''2020-01-02'' AS ts FROM generate_series(1, 2) k');
TABLE seen_keys ORDER BY k;

-- what is recorded: definitions for all, statistics for those who may read the columns
SET ROLE regress_training_reader;
SELECT training_data, row_count FROM feathub.training_data ORDER BY training_data::text COLLATE "C";
SELECT * FROM feathub.training_statistics;
SELECT * FROM feathub.training_statistic;
SELECT feathub.verify_training_data('d');
SELECT feathub.export_training_data('d', 'd');
SELECT feathub.drop_training_data('d');
DROP TABLE d;
SELECT feathub.recreate_training_data('d', 'mine');
-- what another role has put into the query would run with the caller's rights, a superuser's too
RESET ROLE;
SELECT feathub.recreate_training_data('seen_keys', 'seen_keys_copy');
SET ROLE regress_training_reader;
INSERT INTO feathub.training_data VALUES ('d', 'v', '', '', '{}', '{}', 0, '', now());
DELETE FROM feathub.training_data;
DELETE FROM feathub.training_statistic;
SET ROLE regress_training_maker;
GRANT SELECT (v) ON d TO regress_training_reader;
SET ROLE regress_training_reader;
SELECT training_data, feature, min FROM feathub.training_statistics;
SET ROLE regress_training_maker;
SELECT training_data, feature, min FROM feathub.training_statistics WHERE training_data = 'd'::regclass ORDER BY feature;
ALTER TABLE d RENAME COLUMN v TO w;
SET ROLE regress_training_reader;
SELECT training_data, feature, min FROM feathub.training_statistics;
RESET ROLE;

SET client_min_messages = warning;
DROP SCHEMA training_permissions CASCADE;
DROP ROLE regress_training_owner, regress_training_maker, regress_training_reader;
