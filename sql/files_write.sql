-- INSERT and COPY: new files, their names, rolling, partitions, transactions.
CREATE EXTENSION IF NOT EXISTS feathub;
SET timezone = 'UTC';
CREATE SCHEMA files_write;
SET search_path = files_write;
SELECT set_config('files_test.dir', current_setting('data_directory'), false) <> '' AS dir_is_known;
CREATE FUNCTION shell(command text) RETURNS void LANGUAGE plpgsql AS $$
  BEGIN EXECUTE format('COPY (SELECT) TO PROGRAM %L', 'cat >/dev/null; cd ' || current_setting('files_test.dir') || ' && ' || command); END $$;
CREATE FUNCTION write_file(name text, content bytea) RETURNS void LANGUAGE plpgsql AS $$
  DECLARE o oid := lo_from_bytea(0, content);
  BEGIN PERFORM lo_export(o, current_setting('files_test.dir') || '/files_write/' || name); PERFORM lo_unlink(o); END $$;
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
SELECT shell('rm -rf files_write && mkdir -p files_write');
DO $$ BEGIN EXECUTE format('CREATE SERVER files_write FOREIGN DATA WRAPPER feathub_filesystem OPTIONS (folder %L)', current_setting('files_test.dir') || '/files_write'); END $$;

CREATE FUNCTION files() RETURNS SETOF text LANGUAGE sql AS
  $$ SELECT regexp_replace(regexp_replace(f, '-[0-9a-f]{16}-', '-RANDOM-'), 'feathub-\d+-\d+', 'feathub-SYSTEM-XID') FROM (
       WITH RECURSIVE t(p, d) AS (SELECT '.', true UNION ALL
         SELECT t.p || '/' || n, (pg_stat_file('files_write/' || t.p || '/' || n)).isdir FROM t, pg_ls_dir('files_write/' || t.p, false, false) n WHERE t.d)
       SELECT substr(p, 3) AS f FROM t WHERE NOT d) s ORDER BY f COLLATE "C" $$;

-- a folder that is made; one file for each statement
CREATE FOREIGN TABLE plain (id int, t text, n numeric) SERVER files_write OPTIONS (path 'plain', format 'csv', header 'true');
SELECT say('SELECT count(*)::text FROM plain');
INSERT INTO plain VALUES (1, 'a "b"', 1.5), (2, NULL, NULL), (3, E'c\nd', 'NaN');
INSERT INTO plain SELECT 4, '', 0 RETURNING *;
COPY plain FROM stdin;
5	x	7
\.
SELECT * FROM plain ORDER BY 1;
SELECT files();
INSERT INTO plain SELECT 6, 'none', 0 WHERE false;
SELECT count(*) FROM files();

-- nothing is seen before the commit, nothing remains of an abort
BEGIN;
INSERT INTO plain VALUES (10, 'aborted', 0);
SELECT count(*) FROM plain;
SELECT f FROM files() f WHERE f LIKE '%/.feathub%';
ROLLBACK;
BEGIN;
INSERT INTO plain VALUES (11, 'kept', 0);
SAVEPOINT s;
INSERT INTO plain VALUES (12, 'rolled back', 0);
ROLLBACK TO s;
SAVEPOINT s2;
INSERT INTO plain VALUES (13, 'kept too', 0);
RELEASE s2;
SELECT count(*) FROM plain;
COMMIT;
SELECT * FROM plain WHERE id > 5 ORDER BY 1;
SELECT count(*) FROM files();
INSERT INTO plain SELECT i, 'x', 1 / (5 - i) FROM generate_series(1, 10) i;
SELECT count(*) FROM files();
BEGIN;
INSERT INTO plain VALUES (14, 'prepared', 0);
PREPARE TRANSACTION 'files_write';
SELECT count(*) FROM files();

-- what the user's names and values become, and files rolled by rows and by size
CREATE FOREIGN TABLE parts (id int, t text, "the year" int OPTIONS (partition 'true'), place text OPTIONS (partition 'true'))
  SERVER files_write OPTIONS (path 'deep/parts', format 'json', compression 'gzip', max_file_rows '2', file_prefix 'x');
INSERT INTO parts SELECT i, 'row ' || i, 2010 + i % 2, (ARRAY['a/b', NULL, 'c=d e', ''])[i % 4 + 1] FROM generate_series(1, 12) i;
SELECT files() EXCEPT ALL SELECT f FROM files() f WHERE f LIKE 'plain%' ORDER BY 1;
SELECT "the year", place, place IS NULL AS "null", array_agg(id ORDER BY id) FROM parts GROUP BY 1, 2, 3 ORDER BY 1, 2;
SELECT say($$INSERT INTO parts VALUES (1, 'x', 1, '__HIVE_DEFAULT_PARTITION__') RETURNING t$$);
CREATE FOREIGN TABLE rolled (t text) SERVER files_write OPTIONS (path 'rolled', format 'raw', max_file_size '1MB');
INSERT INTO rolled SELECT repeat('x', 1000) FROM generate_series(1, 3000);
SELECT count(*) FROM files() f WHERE f LIKE 'rolled/%';
SELECT count(*), sum(length(t)) FROM rolled;

-- a path with an ending is one file, made once
CREATE FOREIGN TABLE single (id int, j jsonb, js json) SERVER files_write OPTIONS (path 'single.json.zst', format 'json');
INSERT INTO single VALUES (1, '{"a": "x\ny"}', E'{"b":\n [1,\r\n2]}');
SELECT * FROM single;
SELECT say('INSERT INTO single VALUES (2) RETURNING id::text');
SELECT f FROM files() f WHERE f LIKE 'single%';

-- every compression, read back
CREATE FOREIGN TABLE packed (id int, t text) SERVER files_write OPTIONS (path 'packed', format 'csv', compression 'lz4', compression_level '9');
INSERT INTO packed SELECT i, repeat('lz4 ', i % 30) FROM generate_series(1, 20000) i;
ALTER FOREIGN TABLE packed OPTIONS (SET compression 'zstd');
INSERT INTO packed SELECT i, repeat('zstd ', i % 30) FROM generate_series(1, 20000) i;
ALTER FOREIGN TABLE packed OPTIONS (SET compression 'gzip');
INSERT INTO packed SELECT i, repeat('gzip ', i % 30) FROM generate_series(1, 20000) i;
ALTER FOREIGN TABLE packed OPTIONS (SET compression 'auto');
INSERT INTO packed SELECT i, repeat('none ', i % 30) FROM generate_series(1, 20000) i;
SELECT split_part(t, ' ', 1) AS kind, count(*), sum(id), sum(length(t)) FROM packed GROUP BY 1 ORDER BY 1;
SELECT regexp_replace(f, '^.*\.csv', '.csv') FROM files() f WHERE f LIKE 'packed/%' ORDER BY 1;

-- partition routing, triggers, RETURNING, COPY FROM a query's rows, metadata columns
CREATE TABLE routed (id int, t text) PARTITION BY RANGE (id);
CREATE FOREIGN TABLE routed_low PARTITION OF routed FOR VALUES FROM (0) TO (10) SERVER files_write OPTIONS (path 'low', format 'csv');
CREATE TABLE routed_high PARTITION OF routed FOR VALUES FROM (10) TO (20);
INSERT INTO routed SELECT i, 'r' || i FROM generate_series(5, 14) i;
SELECT tableoid::regclass::text AS partition, count(*), sum(id) FROM routed GROUP BY 1 ORDER BY 1;
CREATE FUNCTION louder() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.t := upper(NEW.t); RETURN NEW; END $$;
CREATE TRIGGER louder BEFORE INSERT ON routed_low FOR EACH ROW EXECUTE FUNCTION louder();
INSERT INTO routed_low VALUES (1, 'trigger') RETURNING *;
CREATE FOREIGN TABLE meta (id int, line int8 OPTIONS (metadata 'line')) SERVER files_write OPTIONS (path 'meta', format 'csv');
INSERT INTO meta (id) VALUES (1);
INSERT INTO meta VALUES (1, 1);
SELECT * FROM meta;

-- what cannot be written
CREATE FOREIGN TABLE raw (t text) SERVER files_write OPTIONS (path 'raw', format 'raw');
INSERT INTO raw VALUES ('a'), (E'b\nc');
INSERT INTO raw VALUES (NULL);
CREATE FOREIGN TABLE pattern (t text) SERVER files_write OPTIONS (path 'raw/*', format 'raw');
INSERT INTO pattern VALUES ('a');
UPDATE plain SET id = 1;
DELETE FROM plain;
INSERT INTO plain VALUES (1) ON CONFLICT DO NOTHING;
SELECT say('EXPLAIN (COSTS OFF) INSERT INTO plain VALUES (1)');
SELECT count(*) FROM files() f WHERE f LIKE '%/.feathub%';

SELECT shell('rm -rf files_write');
\set VERBOSITY terse
SET client_min_messages = warning;
DROP SERVER files_write CASCADE;
DROP SCHEMA files_write CASCADE;
