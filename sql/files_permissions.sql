-- Who may read and write which files: predefined roles, allowed folders, symbolic links.
CREATE EXTENSION IF NOT EXISTS feathub;
SET timezone = 'UTC';
CREATE SCHEMA files_permissions;
SET search_path = files_permissions;
SELECT set_config('files_test.dir', current_setting('data_directory'), false) <> '' AS dir_is_known;
CREATE FUNCTION shell(command text) RETURNS void LANGUAGE plpgsql AS $$
  BEGIN EXECUTE format('COPY (SELECT) TO PROGRAM %L', 'cat >/dev/null; cd ' || current_setting('files_test.dir') || ' && ' || command); END $$;
CREATE FUNCTION write_file(name text, content bytea) RETURNS void LANGUAGE plpgsql AS $$
  DECLARE o oid := lo_from_bytea(0, content);
  BEGIN PERFORM lo_export(o, current_setting('files_test.dir') || '/files_permissions/' || name); PERFORM lo_unlink(o); END $$;
-- What a statement says, without what differs from server to server.
CREATE FUNCTION say(statement text) RETURNS SETOF text LANGUAGE plpgsql AS $$
  DECLARE line text; detail text; hint text; context text;
  BEGIN
    IF statement !~* '^(select|insert|explain|execute)' THEN EXECUTE statement; RETURN; END IF;
    FOR line IN EXECUTE statement LOOP
      RETURN NEXT replace(line, current_setting('files_test.dir'), 'DIR');
    END LOOP;
  EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT, context = PG_EXCEPTION_CONTEXT;
    FOR line IN SELECT unnest(ARRAY[SQLSTATE || ': ' || SQLERRM, 'detail: ' || nullif(detail, ''), 'hint: ' || nullif(hint, ''),
                                    'context: ' || substring(context FROM '^(?:line|file) [^\n]*')]) LOOP
      IF line IS NOT NULL THEN RETURN NEXT replace(line, current_setting('files_test.dir'), 'DIR'); END IF;
    END LOOP;
  END $$;
SELECT shell('rm -rf files_permissions && mkdir -p files_permissions');

DO $$ BEGIN EXECUTE format('CREATE SERVER files_permissions FOREIGN DATA WRAPPER feathub_filesystem OPTIONS (folder %L)', current_setting('files_test.dir') || '/files_permissions'); END $$;

CREATE ROLE regress_files_owner;
CREATE ROLE regress_files_user;
GRANT USAGE ON FOREIGN SERVER files_permissions TO regress_files_owner;
GRANT USAGE, CREATE ON SCHEMA files_permissions TO regress_files_owner, regress_files_user;
SELECT shell('cd files_permissions && mkdir -p in/sub in2 && echo 1,in >in/a.csv && echo 2,sub >in/sub/b.csv && echo 3,secret >secret.csv && echo 4,in2 >in2/c.csv');

-- neither role nor folder
SET ROLE regress_files_owner;
CREATE FOREIGN TABLE t (id int, t text) SERVER files_permissions OPTIONS (path 'in', format 'csv');
CREATE FOREIGN TABLE t (id int, t text) SERVER files_permissions OPTIONS (path '/etc/passwd', format 'raw');
SET feathub.allowed_folders = '/';
SELECT say('IMPORT FOREIGN SCHEMA "in" FROM SERVER files_permissions INTO files_permissions');
RESET ROLE;

-- pg_read_server_files reads, and does not write; rights count when they are used
GRANT pg_read_server_files TO regress_files_owner;
SET ROLE regress_files_owner;
CREATE FOREIGN TABLE t (id int, t text) SERVER files_permissions OPTIONS (path 'in', format 'csv');
SELECT * FROM t;
SELECT say('INSERT INTO t VALUES (5, ''x'') RETURNING t');
GRANT SELECT, INSERT ON t TO regress_files_user;
SET ROLE regress_files_user;
SELECT * FROM t;
RESET ROLE;
GRANT pg_write_server_files TO regress_files_owner;
SET ROLE regress_files_user;
INSERT INTO t VALUES (5, 'written');
SELECT * FROM t ORDER BY 1;
RESET ROLE;
REVOKE pg_read_server_files, pg_write_server_files FROM regress_files_owner;
SET ROLE regress_files_user;
SELECT say('SELECT t FROM t');
SELECT say('INSERT INTO t VALUES (6, ''x'') RETURNING t');
RESET ROLE;
SELECT say('SELECT t FROM t');

-- folders of a role: whoever reads its table
DO $$ BEGIN EXECUTE format('ALTER ROLE regress_files_owner SET feathub.allowed_folders = %L', '/nowhere, "' || current_setting('files_test.dir') || '/files_permissions/in"'); END $$;
SET ROLE regress_files_user;
SELECT count(*) FROM t;
INSERT INTO t VALUES (6, 'by folder');
RESET ROLE;
SELECT count(*), max(id) FROM t;
SET ROLE regress_files_owner;
CREATE FOREIGN TABLE t2 (id int, t text) SERVER files_permissions OPTIONS (path 'in2', format 'csv');
SELECT say('SELECT t FROM t2');
SELECT say(format('CREATE FOREIGN TABLE t3 (id int, t text) SERVER files_permissions OPTIONS (path %L, format ''csv'')', current_setting('files_test.dir') || '/files_permissions/in2'));
SELECT say('IMPORT FOREIGN SCHEMA "in2" FROM SERVER files_permissions INTO files_permissions');
IMPORT FOREIGN SCHEMA "in" LIMIT TO (sub) FROM SERVER files_permissions INTO files_permissions;
SELECT * FROM sub;
RESET ROLE;

-- symbolic links lead nobody out of a folder, but an owner who may read anything follows them
SELECT shell('cd files_permissions && ln -s ../secret.csv in/link.csv');
SELECT say('SELECT t FROM t');
ALTER FOREIGN TABLE t OPTIONS (SET path 'in/link.csv');
SELECT say('SELECT t FROM t');
SELECT shell('cd files_permissions && rm in/link.csv && ln -s ../in2 in/linked && ln -s .. in/up');
ALTER FOREIGN TABLE t OPTIONS (SET path 'in/linked/c.csv');
SELECT say('SELECT t FROM t');
ALTER FOREIGN TABLE t OPTIONS (SET path 'in/linked');
SELECT say('SELECT t FROM t');
SELECT say('INSERT INTO t VALUES (7, ''x'') RETURNING t');
ALTER FOREIGN TABLE t OPTIONS (SET path 'in/*/c.csv');
SELECT say('SELECT t FROM t');
ALTER FOREIGN TABLE t OPTIONS (SET path 'in/up/secret.csv');
SELECT say('SELECT t FROM t');
GRANT pg_read_server_files TO regress_files_owner;
SELECT * FROM t;
ALTER FOREIGN TABLE t OPTIONS (SET path 'in/linked');
SELECT * FROM t;
REVOKE pg_read_server_files FROM regress_files_owner;

-- the setting is a superuser's, and holds paths that are absolute
SET feathub.allowed_folders = 'relative';
SET ROLE regress_files_owner;
ALTER ROLE regress_files_owner SET feathub.allowed_folders = '/';
RESET ROLE;
ALTER ROLE regress_files_owner RESET feathub.allowed_folders;
SELECT say('SELECT t FROM t');
DROP OWNED BY regress_files_owner, regress_files_user;
DROP ROLE regress_files_owner, regress_files_user;

SELECT shell('rm -rf files_permissions');
\set VERBOSITY terse
SET client_min_messages = warning;
DROP SERVER files_permissions CASCADE;
DROP SCHEMA files_permissions CASCADE;
