-- The extension as a whole: what it brings, and that it goes without a trace.
CREATE EXTENSION feathub;
SELECT extversion, extrelocatable, nspname
  FROM pg_extension JOIN pg_namespace n ON n.oid = extnamespace WHERE extname = 'feathub';

CREATE TEMP VIEW member AS
  SELECT d.classid, d.objid FROM pg_depend d
   WHERE d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e'
     AND d.refobjid = (SELECT oid FROM pg_extension WHERE extname = 'feathub');
CREATE TEMP VIEW member_function AS
  SELECT p.* FROM pg_proc p JOIN member m ON m.classid = 'pg_proc'::regclass AND m.objid = p.oid;
CREATE TEMP VIEW member_relation AS
  SELECT c.* FROM pg_class c JOIN member m ON m.classid = 'pg_class'::regclass AND m.objid = c.oid;

-- Each of these finds what breaks a rule, so all are empty.

-- Everything has a comment.
SELECT pg_describe_object(m.classid, m.objid, 0) AS without_comment
  FROM member m
 WHERE NOT EXISTS (SELECT FROM pg_description d
                    WHERE d.classoid = m.classid AND d.objoid = m.objid AND d.objsubid = 0)
   AND NOT EXISTS (SELECT FROM pg_class c WHERE m.classid = 'pg_class'::regclass AND c.oid = m.objid
                      AND c.relkind NOT IN ('r', 'v'))
   AND NOT EXISTS (SELECT FROM pg_type t WHERE m.classid = 'pg_type'::regclass AND t.oid = m.objid
                      AND (t.typrelid <> 0 OR t.typelem <> 0))
 ORDER BY 1;

-- Everything is in the extension's schema.
SELECT pg_describe_object(m.classid, m.objid, 0) AS elsewhere
  FROM member m, pg_identify_object(m.classid, m.objid, 0) o
 WHERE o.schema <> 'feathub' ORDER BY 1;

-- Whoever defines a function with its owner's rights fixes the search path.
SELECT oid::regprocedure AS open_search_path
  FROM member_function
 WHERE (prosecdef OR prolang <> (SELECT oid FROM pg_language WHERE lanname = 'c')) AND prosqlbody IS NULL AND prokind <> 'a'
   AND NOT coalesce(proconfig::text ~ 'search_path=pg_catalog, pg_temp', false)
 ORDER BY 1;

-- The metadata tables are dumped, with their sequences.
SELECT r.oid::regclass AS not_dumped
  FROM member_relation r, pg_extension e
 WHERE e.extname = 'feathub' AND r.relkind IN ('r', 'S') AND NOT r.oid = ANY (e.extconfig)
 ORDER BY 1;

-- Ordinary roles write no metadata and make no servers.
CREATE ROLE regress_install_nobody;
SELECT r.oid::regclass AS writable
  FROM member_relation r
 WHERE r.relkind IN ('r', 'v', 'S')
   AND CASE WHEN r.relkind = 'S' THEN has_sequence_privilege('regress_install_nobody', r.oid, 'USAGE, UPDATE')
            ELSE has_table_privilege('regress_install_nobody', r.oid, 'INSERT, UPDATE, DELETE, TRUNCATE, TRIGGER') END
 ORDER BY 1;
SELECT fdwname AS usable FROM pg_foreign_data_wrapper
 WHERE fdwname LIKE 'feathub%' AND has_foreign_data_wrapper_privilege('regress_install_nobody', oid, 'USAGE');

DROP ROLE regress_install_nobody;

-- What the functions promise to the planner, and which of them not everyone may call.
SELECT proname, provolatile, proisstrict, proparallel,
       EXISTS (SELECT FROM aclexplode(coalesce(proacl, acldefault('f', proowner))) WHERE grantee = 0) AS for_all
  FROM member_function ORDER BY proname COLLATE "C", oid;

-- What connectors can do is known of each that has a wrapper here, and all can be read.
SELECT count(*) AS without_scan FROM feathub.connector c
 WHERE NOT scan OR NOT EXISTS (SELECT FROM pg_foreign_data_wrapper WHERE fdwname = c.wrapper);
SELECT * FROM feathub.connector WHERE connector = 'kafka' \gx

-- One wrapper for each connector.
SELECT fdwname, fdwhandler::regproc, fdwvalidator::regproc FROM pg_foreign_data_wrapper
 WHERE fdwname LIKE 'feathub%' ORDER BY 1;

-- Settings: none is for a session of ordinary roles to change, and the prefix is ours.
SELECT name, unit, context, vartype, boot_val, min_val, max_val
  FROM pg_settings WHERE name LIKE 'feathub.%' ORDER BY name COLLATE "C";
SELECT name AS without_description FROM pg_settings
 WHERE name LIKE 'feathub.%' AND coalesce(short_desc, '') !~ '^[A-Z][a-z]+s ';
SET feathub.batch_rows = 5;
SET feathub.no_such_setting = 5;
ALTER SYSTEM SET feathub.embedded_broker_topics = 'a:0';
ALTER SYSTEM SET feathub.embedded_broker_topics = 'a;b';
ALTER SYSTEM SET feathub.embedded_broker_topics = ':3';
ALTER SYSTEM SET feathub.batch_rows = 0;

-- Dropping it is refused while something depends on it.
CREATE SERVER install_server FOREIGN DATA WRAPPER feathub_kafka OPTIONS (bootstrap_servers 'embedded');
DROP EXTENSION feathub;
DROP SERVER install_server;

-- Once gone, nothing is left in its schema, and it can be made again.
DROP VIEW member_function, member_relation, member;
DROP EXTENSION feathub;
SELECT pg_describe_object(classid, objid, objsubid) AS left_behind
  FROM pg_depend WHERE refclassid = 'pg_namespace'::regclass
   AND refobjid = (SELECT oid FROM pg_namespace WHERE nspname = 'feathub');
SELECT fdwname FROM pg_foreign_data_wrapper WHERE fdwname LIKE 'feathub%';
BEGIN;
CREATE EXTENSION feathub;
ROLLBACK;
CREATE EXTENSION feathub;
DROP EXTENSION feathub;
