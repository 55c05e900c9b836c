-- Feature views: made and read with no more than the user's own rights.
CREATE EXTENSION IF NOT EXISTS feathub;
CREATE ROLE regress_views_owner;
CREATE ROLE regress_views_reader;
CREATE SCHEMA views_permissions;
SET search_path = views_permissions;
GRANT USAGE, CREATE ON SCHEMA views_permissions TO regress_views_owner;
GRANT USAGE ON SCHEMA views_permissions TO regress_views_reader;

CREATE TABLE secret_source (k int, t timestamptz, v int);
SELECT feathub.create_feature_group('secret', 'secret_source', '{k}', 't');
INSERT INTO secret VALUES (1, '2020-01-01', 42);
INSERT INTO secret_online VALUES (1, '2020-01-01', 42);

-- A view on a group that one may not read can be made, as any view, and shows nothing.
SET ROLE regress_views_owner;
CREATE TABLE spine (k int, t timestamptz);
INSERT INTO spine VALUES (1, '2020-01-02');
SELECT feathub.create_feature_view('v', 'SELECT s.k, secret.v FROM spine s LEFT JOIN secret USING (k)', 't');
SELECT pg_get_userbyid(relowner) FROM pg_class WHERE oid = 'v'::regclass;
SELECT pg_get_userbyid(proowner), prosecdef FROM pg_proc WHERE oid = 'v_online'::regproc;
SELECT * FROM v;
SELECT * FROM v_online(1);
SELECT feathub.get_feature_vector('v', '{"k": 1}');
RESET ROLE;
GRANT SELECT ON secret, secret_online TO regress_views_owner;
SET ROLE regress_views_owner;
SELECT * FROM v;
SELECT * FROM v_online(1);
SELECT feathub.get_feature_vector('v', '{"k": 1}');

-- Nobody writes the metadata, makes things in a schema that is not his, or drops another's view.
INSERT INTO feathub.feature_view VALUES ('spine', 'x', 'y');
DELETE FROM feathub.feature_view;
SELECT feathub.view_changed();
SET ROLE regress_views_reader;
SELECT feathub.create_feature_view('mine', 'SELECT 1 AS one FROM secret');
SELECT feathub.drop_feature_view('v');
DROP VIEW v;

-- A reader: the view has its owner's rights, the function his own.
SELECT * FROM v;
RESET ROLE;
GRANT SELECT ON v TO regress_views_reader;
SET ROLE regress_views_reader;
SELECT * FROM v;
SELECT * FROM v_online(1);
SELECT feathub.get_feature_vectors('v', '[{"k": 1}]');
RESET ROLE;
GRANT SELECT ON secret_online TO regress_views_reader;
SET ROLE regress_views_reader;
SELECT * FROM v_online(1);
SELECT feathub.get_feature_vectors('v', '[{"k": 1}]');
SELECT feature, source FROM feathub.feature ORDER BY number;
RESET ROLE;

-- Row security holds in the function, for the user as he is when he calls; plans kept from before do not tell.
ALTER TABLE secret_online ENABLE ROW LEVEL SECURITY;
SELECT feathub.get_feature_vector('v', '{"k": 1}');
SET ROLE regress_views_reader;
SELECT * FROM v_online(1);
SELECT feathub.get_feature_vector('v', '{"k": 1}');
RESET ROLE;

\set VERBOSITY terse
SET client_min_messages = warning;
DROP SCHEMA views_permissions CASCADE;
DROP ROLE regress_views_owner, regress_views_reader;
