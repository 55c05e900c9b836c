-- IMPORT FOREIGN SCHEMA of a folder.
CREATE EXTENSION IF NOT EXISTS feathub;
SET timezone = 'UTC';
CREATE SCHEMA files_import;
SET search_path = files_import;
SELECT set_config('files_test.dir', current_setting('data_directory'), false) <> '' AS dir_is_known;
CREATE FUNCTION shell(command text) RETURNS void LANGUAGE plpgsql AS $$
  BEGIN EXECUTE format('COPY (SELECT) TO PROGRAM %L', 'cat >/dev/null; cd ' || current_setting('files_test.dir') || ' && ' || command); END $$;
CREATE FUNCTION write_file(name text, content bytea) RETURNS void LANGUAGE plpgsql AS $$
  DECLARE o oid := lo_from_bytea(0, content);
  BEGIN PERFORM lo_export(o, current_setting('files_test.dir') || '/files_import/' || name); PERFORM lo_unlink(o); END $$;
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
SELECT shell('rm -rf files_import && mkdir -p files_import');

DO $$ BEGIN EXECUTE format('CREATE SERVER files_import FOREIGN DATA WRAPPER feathub_filesystem OPTIONS (folder %L)', current_setting('files_test.dir') || '/files_import'); END $$;

SELECT shell('cd files_import && mkdir -p in/tree/year=2013/day=2013-01-01 in/tree/year=2014/day=2014-01-01 in/void && printf "id,Name,price,at,day,flag,code\n1,x,1.5,2013-01-01 10:00:00Z,2013-01-01,true,007\n2,,2,2013-01-02T00:00:00+01,2013-01-02,f,12\n" >in/shop.csv && gzip -k in/shop.csv && printf "a\tb\n1\tx\n" >in/tabs.tsv && printf "1,2\n" >in/tree/year=2013/day=2013-01-01/x.csv && printf "1,2\n3,4\n" >in/tree/year=2014/day=2014-01-01/x.csv && echo nothing >in/unknown.xyz && touch in/_SUCCESS in/.hidden');
SELECT write_file('in/events.jsonl', E'{"id": 1, "user name": "x", "tags": [1], "at": "2013-01-01T00:00:00Z"}\n{"id": 2.5, "more": true}\n');
SELECT write_file('in/words[1].txt', E'one\ntwo\n');
CREATE SCHEMA files_import_in;
IMPORT FOREIGN SCHEMA "in" FROM SERVER files_import INTO files_import_in;
SELECT c.relname, string_agg(a.attname || ' ' || format_type(a.atttypid, a.atttypmod) || coalesce(' ' || a.attfdwoptions::text, ''), ', ' ORDER BY a.attnum) AS columns
  FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 WHERE c.relnamespace = 'files_import_in'::regnamespace GROUP BY 1 ORDER BY 1;
SELECT relname, replace(array_to_string(ftoptions, ' '), current_setting('files_test.dir'), 'DIR') AS options
  FROM pg_foreign_table t JOIN pg_class c ON c.oid = t.ftrelid WHERE c.relnamespace = 'files_import_in'::regnamespace ORDER BY 1;
SELECT * FROM files_import_in.shop;
SELECT * FROM files_import_in.shop_1;
SELECT * FROM files_import_in.tabs;
SELECT * FROM files_import_in.events;
SELECT * FROM files_import_in."words[1]";
SELECT * FROM files_import_in.tree;
DROP SCHEMA files_import_in CASCADE;

-- limits and options
CREATE SCHEMA files_import_in;
IMPORT FOREIGN SCHEMA "in" LIMIT TO (shop, tree) FROM SERVER files_import INTO files_import_in OPTIONS (header 'false', sample_size '1');
SELECT c.relname, string_agg(a.attname || ' ' || format_type(a.atttypid, a.atttypmod), ', ' ORDER BY a.attnum) AS columns
  FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 WHERE c.relnamespace = 'files_import_in'::regnamespace GROUP BY 1 ORDER BY 1;
SELECT * FROM files_import_in.tree;
IMPORT FOREIGN SCHEMA "anything" LIMIT TO (unknown) FROM SERVER files_import INTO files_import_in OPTIONS (folder 'in', format 'raw');
IMPORT FOREIGN SCHEMA "anything" LIMIT TO ("unknown.xyz") FROM SERVER files_import INTO files_import_in OPTIONS (folder 'in', format 'raw');
SELECT * FROM files_import_in."unknown.xyz";
SELECT say('IMPORT FOREIGN SCHEMA "nothing" FROM SERVER files_import INTO files_import_in');
\set VERBOSITY terse
IMPORT FOREIGN SCHEMA "in" FROM SERVER files_import INTO files_import_in OPTIONS (format 'xml');
\set VERBOSITY default
IMPORT FOREIGN SCHEMA "in" FROM SERVER files_import INTO files_import_in OPTIONS (colour 'red');
DROP SCHEMA files_import_in CASCADE;

SELECT shell('rm -rf files_import');
\set VERBOSITY terse
SET client_min_messages = warning;
DROP SERVER files_import CASCADE;
DROP SCHEMA files_import CASCADE;
