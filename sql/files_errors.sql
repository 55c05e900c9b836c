-- What options of files are refused, and how.
CREATE EXTENSION IF NOT EXISTS feathub;
SET timezone = 'UTC';
CREATE SCHEMA files_errors;
SET search_path = files_errors;
SELECT set_config('files_test.dir', current_setting('data_directory'), false) <> '' AS dir_is_known;
CREATE FUNCTION shell(command text) RETURNS void LANGUAGE plpgsql AS $$
  BEGIN EXECUTE format('COPY (SELECT) TO PROGRAM %L', 'cat >/dev/null; cd ' || current_setting('files_test.dir') || ' && ' || command); END $$;
CREATE FUNCTION write_file(name text, content bytea) RETURNS void LANGUAGE plpgsql AS $$
  DECLARE o oid := lo_from_bytea(0, content);
  BEGIN PERFORM lo_export(o, current_setting('files_test.dir') || '/files_errors/' || name); PERFORM lo_unlink(o); END $$;
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
SELECT shell('rm -rf files_errors && mkdir -p files_errors');
DO $$ BEGIN EXECUTE format('CREATE SERVER files_errors FOREIGN DATA WRAPPER feathub_filesystem OPTIONS (folder %L)', current_setting('files_test.dir') || '/files_errors'); END $$;

\set VERBOSITY default
SELECT write_file('a.csv', E'id,t\n1,x\n');
CREATE FOREIGN TABLE e (a int) SERVER files_errors;
CREATE FOREIGN TABLE e (a int) SERVER files_errors OPTIONS (path 'a.csv');
CREATE FOREIGN TABLE e (a int) SERVER files_errors OPTIONS (path '', format 'csv');
CREATE FOREIGN TABLE e (a int) SERVER files_errors OPTIONS (path '../a.csv', format 'csv');
CREATE FOREIGN TABLE e (a int) SERVER files_errors OPTIONS (path '/a/../b', format 'csv');
CREATE FOREIGN TABLE e (a int) SERVER files_errors OPTIONS (path 'a', format 'csv', header 'maybe');
CREATE FOREIGN TABLE e (a int) SERVER files_errors OPTIONS (path 'a', format 'csv', compression 'zip');
CREATE FOREIGN TABLE e (a int) SERVER files_errors OPTIONS (path 'a', format 'csv', on_error 'ignore');
CREATE FOREIGN TABLE e (a int) SERVER files_errors OPTIONS (path 'a', format 'csv', max_file_size 'big');
CREATE FOREIGN TABLE e (a int) SERVER files_errors OPTIONS (path 'a', format 'csv', file_prefix 'a/b');
\set VERBOSITY terse
CREATE FOREIGN TABLE e (a int) SERVER files_errors OPTIONS (path 'a', format 'csv', program 'ls');
\set VERBOSITY default
CREATE FOREIGN TABLE e (a int OPTIONS (metadata 'owner')) SERVER files_errors OPTIONS (path 'a', format 'csv');
CREATE SERVER files_errors_2 FOREIGN DATA WRAPPER feathub_filesystem OPTIONS (folder 'relative');

-- options that do not go together show when the table is used
CREATE FOREIGN TABLE e1 (a int) SERVER files_errors OPTIONS (path 'a', format 'json', header 'true');
SELECT * FROM e1;
CREATE FOREIGN TABLE e2 (a int, l int OPTIONS (metadata 'line')) SERVER files_errors OPTIONS (path 'a', format 'csv');
SELECT * FROM e2;
CREATE FOREIGN TABLE e3 (a int) SERVER files_errors OPTIONS (path 'a', format 'csv', on_error 'reject');
SELECT * FROM e3;
CREATE FOREIGN TABLE e4 (a text OPTIONS (metadata 'path'), b text OPTIONS (metadata 'path')) SERVER files_errors OPTIONS (path 'a', format 'csv');
SELECT * FROM e4;
CREATE FOREIGN TABLE e5 (a text OPTIONS (metadata 'path', partition 'true')) SERVER files_errors OPTIONS (path 'a', format 'csv');
SELECT * FROM e5;
CREATE SERVER files_errors_2 FOREIGN DATA WRAPPER feathub_filesystem;
CREATE FOREIGN TABLE e6 (a text) SERVER files_errors_2 OPTIONS (path 'a', format 'csv');
SELECT * FROM e6;
CREATE FOREIGN TABLE e7 (a text) SERVER files_errors OPTIONS (path 'a/**/b/c', format 'csv');
SELECT say('SELECT * FROM e7');

-- headers and partition columns that do not fit
CREATE FOREIGN TABLE h (id int, u text) SERVER files_errors OPTIONS (path 'a.csv', format 'csv', header 'match');
SELECT say('SELECT u FROM h');
ALTER FOREIGN TABLE h ADD v int;
SELECT say('SELECT u FROM h');
CREATE FOREIGN TABLE p (id int, t text, y int OPTIONS (partition 'true')) SERVER files_errors OPTIONS (path 'a.csv', format 'csv', header 'true');
SELECT say('SELECT y::text FROM p');
SELECT shell('cd files_errors && mkdir -p y=x && cp a.csv y=x');
ALTER FOREIGN TABLE p OPTIONS (SET path 'y=x');
SELECT say('SELECT y::text FROM p');

-- damaged and odd files
SELECT shell('cd files_errors && mkdir -p d && seq 100000 | gzip >d/whole.csv.gz && head -c 1000 d/whole.csv.gz >cut.csv.gz && echo nothing >no.csv.lz4 && mkfifo pipe.csv');
CREATE FOREIGN TABLE d (id int) SERVER files_errors OPTIONS (path 'cut.csv.gz', format 'csv');
SELECT say('SELECT sum(id)::text FROM d');
ALTER FOREIGN TABLE d OPTIONS (SET path 'no.csv.lz4');
SELECT say('SELECT sum(id)::text FROM d');
ALTER FOREIGN TABLE d OPTIONS (SET path 'pipe.csv');
SELECT say('SELECT sum(id)::text FROM d');
ALTER FOREIGN TABLE d OPTIONS (SET path 'd');
SELECT say('SELECT sum(id)::text FROM d');
DROP SERVER files_errors_2 CASCADE;

SELECT shell('rm -rf files_errors');
\set VERBOSITY terse
SET client_min_messages = warning;
DROP SERVER files_errors CASCADE;
DROP SCHEMA files_errors CASCADE;
