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

-- With owner_rights the online form reads by views of the view's owner: SELECT on
-- the feature view is all that a reader needs, and taking it away ends it.
CREATE ROLE regress_views_other;
GRANT USAGE ON SCHEMA views_permissions TO regress_views_other;
GRANT regress_views_owner TO regress_views_reader;
REVOKE regress_views_owner FROM regress_views_reader;
REVOKE SELECT ON secret_online FROM regress_views_reader;
ALTER TABLE secret_online DISABLE ROW LEVEL SECURITY;
SET ROLE regress_views_owner;
CREATE TABLE open (k int PRIMARY KEY, x int, y int);
INSERT INTO open VALUES (1, 10, 11);
SELECT feathub.create_feature_view('shared', $$
  SELECT s.k, c.v, o.x FROM spine s LEFT JOIN secret c USING (k) LEFT JOIN open o ON o.k = s.k AND o.y > 0 $$, 't', owner_rights => true);
\sf shared_online
-- since 16 columns of a view's only table are not qualified
SELECT replace(pg_get_viewdef('shared_online_o'::regclass, true), 'open.', '') AS definition;
GRANT SELECT ON shared TO regress_views_reader;
SET ROLE regress_views_reader;
SELECT * FROM shared_online(1);
SELECT feathub.get_feature_vector('shared', '{"k": 1}');
SELECT * FROM secret_online;
SELECT y FROM shared_online_o;
SET ROLE regress_views_other;
SELECT * FROM shared_online(1);
RESET ROLE;
-- whatever grants it: a role that is a member, all tables, the public; also when the form is made anew
GRANT SELECT ON ALL TABLES IN SCHEMA views_permissions TO regress_views_other;
REVOKE ALL ON secret, secret_online, open FROM regress_views_other;
SET ROLE regress_views_other;
SELECT * FROM shared_online(1);
SET ROLE regress_views_owner;
REVOKE ALL ON shared FROM regress_views_other;
SELECT feathub.alter_feature_view('shared', with_event_times => true);
SET ROLE regress_views_other;
SELECT * FROM shared_online(1);
SET ROLE regress_views_reader;
SELECT k, v, x, c_event_time FROM shared_online(1);
RESET ROLE;
SELECT relname, has_table_privilege('regress_views_reader', oid, 'SELECT') AS reader, has_table_privilege('regress_views_other', oid, 'SELECT') AS other
  FROM pg_class WHERE relname ~ '^shared' ORDER BY relname;
-- look-ups by key, as without
SET enable_seqscan = off;
EXPLAIN (COSTS off) SELECT v, x FROM shared_online(1);
RESET enable_seqscan;
-- the views belong to it
DROP VIEW shared_online_c;
SELECT owner_rights, owner_views FROM feathub.feature_view WHERE feature_view = 'shared'::regclass;
SET ROLE regress_views_owner;
SELECT feathub.alter_feature_view('shared', owner_rights => false);
SELECT relname FROM pg_class WHERE relname ~ '^shared' ORDER BY relname;
SELECT feathub.alter_feature_view('shared', owner_rights => true);
SELECT feathub.drop_feature_view('shared');
SELECT relname FROM pg_class WHERE relname ~ '^shared' ORDER BY relname;
-- it reaches into subqueries
SELECT feathub.create_feature_view('shared', 'SELECT s.k, (SELECT max(x) FROM open) AS m, EXISTS (SELECT FROM open JOIN secret USING (k) WHERE secret.t <= s.t) AS e FROM spine s', 't', owner_rights => true);
SELECT relname, regexp_replace(pg_get_viewdef(oid, true), '(open|secret)[.]', '', 'g') AS definition FROM pg_class WHERE relname ~ '^shared_online_' ORDER BY relname;
SELECT pg_get_functiondef('shared_online'::regproc);
SELECT feathub.drop_feature_view('shared');
SELECT relname FROM pg_class WHERE relname ~ '^shared' ORDER BY relname;
-- what it does not reach is refused
SELECT feathub.create_feature_view('shared', 'SELECT s.k, o AS r FROM spine s LEFT JOIN open o USING (k)', owner_rights => true);
SELECT feathub.create_feature_view('shared', 'SELECT s.k, oooooooooooooooooooooooooooooooooooooooooooooooooooooo.x FROM spine s LEFT JOIN open oooooooooooooooooooooooooooooooooooooooooooooooooooooo USING (k)', owner_rights => true);
-- of a group without online table and an external one, the subquery reads a view
RESET ROLE;
CREATE TABLE h_source (k int, t timestamptz, v int);
GRANT SELECT ON h_source TO regress_views_owner;
SET ROLE regress_views_owner;
SELECT feathub.create_feature_group('history', 'h_source', '{k}', 't', online => false);
INSERT INTO history VALUES (1, '2020-01-01', 5), (1, '2020-01-02', 6);
SELECT feathub.create_feature_view('shared', 'SELECT s.k, h.v FROM spine s LEFT JOIN history h USING (k)', 't', owner_rights => true);
GRANT SELECT ON shared TO PUBLIC;
SET ROLE regress_views_other;
SELECT * FROM shared_online(1), shared_online(1, t => '2020-01-01') AS before;
RESET ROLE;
-- who is given the view alone, cannot give away what its former owner may read
ALTER VIEW shared OWNER TO regress_views_reader;
SET ROLE regress_views_reader;
GRANT SELECT ON shared TO regress_views_other;
RESET ROLE;
SELECT relname, relowner::regrole, relacl::text ~ 'other|=r/|,=r' AS granted FROM pg_class WHERE relname ~ '^shared' ORDER BY relname;
ALTER VIEW shared OWNER TO regress_views_owner;
SET ROLE regress_views_owner;
GRANT SELECT ON shared TO regress_views_other;
SELECT relname, relowner::regrole, relacl::text ~ 'other' AS granted FROM pg_class WHERE relname ~ '^shared' ORDER BY relname;
RESET ROLE;

-- who alters another's view lends no rights to what its query calls
SET ROLE regress_views_owner;
CREATE TABLE trap (a int);
CREATE FUNCTION sprung() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE NOTICE 'sprung as %', current_user; RETURN NULL; END $$;
CREATE CONSTRAINT TRIGGER sprung AFTER INSERT ON trap DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION sprung();
CREATE FUNCTION step() RETURNS void LANGUAGE sql AS $$ INSERT INTO views_permissions.trap VALUES (1) $$;
CREATE FUNCTION lure() RETURNS text IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN PERFORM views_permissions.step(); RETURN 'views_permissions.trained'; END $$;
SELECT feathub.create_feature_view('bait', 'SELECT s.k, s.k AS y FROM spine s', 't');
SELECT feathub.create_training_data('bait', 'trained');
SELECT feathub.alter_feature_view('bait', 'SELECT s.k, feathub.standard_scale(s.k, lure(), ''k'')::int AS y FROM spine s');
RESET ROLE;
SELECT feathub.alter_feature_view('bait');

\set VERBOSITY terse
SET client_min_messages = warning;
DROP SCHEMA views_permissions CASCADE;
DROP ROLE regress_views_owner, regress_views_reader, regress_views_other;
