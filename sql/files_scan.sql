-- SELECT on files: formats, framing, paths, partition columns, pruning, bad records.
CREATE EXTENSION IF NOT EXISTS feathub;
SET timezone = 'UTC';
CREATE SCHEMA files_scan;
SET search_path = files_scan;
SELECT set_config('files_test.dir', current_setting('data_directory'), false) || '/files_scan' AS dir \gset
CREATE FUNCTION shell(command text) RETURNS void LANGUAGE plpgsql AS $$
  BEGIN EXECUTE format('COPY (SELECT) TO PROGRAM %L', 'cat >/dev/null; cd ' || current_setting('files_test.dir') || ' && ' || command); END $$;
CREATE FUNCTION write_file(name text, content bytea) RETURNS void LANGUAGE plpgsql AS $$
  DECLARE o oid := lo_from_bytea(0, content);
  BEGIN PERFORM lo_export(o, current_setting('files_test.dir') || '/files_scan/' || name); PERFORM lo_unlink(o); END $$;
-- What a statement says, without what differs from server to server.
CREATE FUNCTION say(statement text) RETURNS SETOF text LANGUAGE plpgsql AS $$
  DECLARE line text; detail text; hint text; context text;
  BEGIN
    IF statement !~* '^(select|insert|explain|execute)' THEN EXECUTE statement; RETURN; END IF;
    FOR line IN EXECUTE statement LOOP
      -- (rows have decimals from PostgreSQL 18 on)
      RETURN NEXT regexp_replace(regexp_replace(replace(line, current_setting('files_test.dir'), 'DIR'), 'Bytes Read: .*', 'Bytes Read: N'), '(actual rows=\d+)\.00', '\1');
    END LOOP;
  EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT, context = PG_EXCEPTION_CONTEXT;
    FOR line IN SELECT unnest(ARRAY[SQLSTATE || ': ' || SQLERRM, 'detail: ' || nullif(detail, ''), 'hint: ' || nullif(hint, ''),
                                    'context: ' || substring(context FROM '^(?:line|file) [^\n]*')]) LOOP
      IF line IS NOT NULL THEN RETURN NEXT replace(line, current_setting('files_test.dir'), 'DIR'); END IF;
    END LOOP;
  END $$;
SELECT shell('rm -rf files_scan && mkdir -p files_scan');
DO $$ BEGIN EXECUTE format('CREATE SERVER files_scan FOREIGN DATA WRAPPER feathub_filesystem OPTIONS (folder %L)', current_setting('files_test.dir') || '/files_scan'); END $$;

-- csv with all that COPY knows: quotes, line feeds in them, both ends of lines, a byte order mark, no last line feed
SELECT write_file('quoted.csv', '\xefbbbf'::bytea || convert_to(E'id,name,note\r\n1,"a ""b"" c",x\r\n2,"two\nlines",""\r\n3,,"\r\n"\r\n4,"a,b",last', 'UTF8'));
CREATE FOREIGN TABLE quoted (id int, name text, note text, line int8 OPTIONS (metadata 'line'))
  SERVER files_scan OPTIONS (path 'quoted.csv', format 'csv', header 'match');
SELECT * FROM quoted;
SELECT count(*), sum(id) FROM quoted;
SELECT line FROM quoted WHERE note IS NULL;

-- carriage returns alone, as the first record has it
SELECT write_file('carriage.csv', convert_to(E'id,name,note\r1,"a\rb\nc",x\r2,,""\r3,z,', 'UTF8'));
ALTER FOREIGN TABLE quoted OPTIONS (SET path 'carriage.csv');
SELECT id, replace(replace(name, E'\r', '<CR>'), E'\n', '<LF>') AS name, note, line FROM quoted;
SELECT write_file('carriage.csv', convert_to(E'id,name,note\n1,a\rb,x\n', 'UTF8'));
SELECT say('SELECT quoted::text FROM quoted');

-- other characters, null, force_null and force_not_null
SELECT write_file('other.csv', convert_to(E'a|\'b|c\'|\\N\nd|\'\'|e\\\'\nf|\'\\N\'|g\n', 'UTF8'));
CREATE FOREIGN TABLE other (a text, b text, c text) SERVER files_scan
  OPTIONS (path 'other.csv', format 'csv', delimiter '|', quote '''', escape '\', null '\N');
SELECT say('SELECT other::text FROM other');
SELECT write_file('other.csv', convert_to(E'a|\'b|c\'|\\N\nd|\'\'|e\nf|\'\\N\'|g\n', 'UTF8'));
SELECT a, b, c IS NULL AS c_null FROM other;
ALTER FOREIGN TABLE other ALTER b OPTIONS (ADD force_null 'true'), ALTER c OPTIONS (ADD force_not_null 'true');
SELECT a, b IS NULL AS b_null, c FROM other;

-- option default, which names in a header are not; no worker computes a default that only the leader may
SELECT write_file('default.csv', E'a,b\na,b\n1,"a"\n2,c\n');
CREATE SEQUENCE ids START 10;
CREATE FOREIGN TABLE defaults (a text DEFAULT 'of a', b text DEFAULT 'of b', line int8 OPTIONS (metadata 'line')) SERVER files_scan OPTIONS (path 'default.csv', format 'csv', header 'match', default 'a');
SELECT * FROM defaults;
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
SELECT say('EXPLAIN (COSTS OFF) SELECT a FROM defaults') LIKE 'Gather%' AS parallel LIMIT 1;
ALTER FOREIGN TABLE defaults ALTER a SET DEFAULT nextval('ids');
SELECT say('EXPLAIN (COSTS OFF) SELECT a FROM defaults') LIKE 'Gather%' AS parallel LIMIT 1;
SELECT * FROM defaults;
RESET parallel_setup_cost;
RESET parallel_tuple_cost;
RESET min_parallel_table_scan_size;

-- another encoding
SELECT write_file('latin.csv', '\x636166e90a'::bytea);
CREATE FOREIGN TABLE latin (t text) SERVER files_scan OPTIONS (path 'latin.csv', format 'csv', encoding 'LATIN1');
SELECT t, length(t) FROM latin;
ALTER FOREIGN TABLE latin OPTIONS (SET encoding 'UTF8');
SELECT say('SELECT t FROM latin');

-- json lines: empty lines are none; raw lines: they are
SELECT write_file('events.json', E'{"id": 1, "tags": ["a", "b"]}\n\n{"id": 2, "user": {"name": "x"}}\r\n  {"id": 3}');
CREATE FOREIGN TABLE events (id int, tags text[], who text OPTIONS (path 'user.name'), line int8 OPTIONS (metadata 'line'))
  SERVER files_scan OPTIONS (path 'events.json', format 'json');
SELECT * FROM events;
CREATE FOREIGN TABLE lines (t text, line int8 OPTIONS (metadata 'line'), size int8 OPTIONS (metadata 'size')) SERVER files_scan OPTIONS (path 'events.json', format 'raw');
SELECT line, t, size FROM lines;

-- an empty file, one with a header only, one with nothing but line feeds
SELECT write_file('empty.csv', '');
CREATE FOREIGN TABLE empty (a int) SERVER files_scan OPTIONS (path 'empty.csv', format 'csv', header 'true');
SELECT count(*) FROM empty;
SELECT write_file('empty.csv', E'a\n');
SELECT count(*) FROM empty;
SELECT write_file('empty.csv', E'\n\n\n');
SELECT count(*), count(a) FROM empty;

-- a folder tree with partition columns, compressed files among it
SELECT shell('cd files_scan && for y in 2012 2013; do for m in 1 2; do mkdir -p tree/year=$y/month=$m; echo "$y$m,a" >tree/year=$y/month=$m/a.csv; printf "%s,b" "$y$m" | gzip >tree/year=$y/month=$m/b.csv.gz; done; done; mkdir -p tree/year=__HIVE_DEFAULT_PARTITION__/month=1 tree/_temporary/year=1 tree/.hidden; echo 0,n >tree/year=__HIVE_DEFAULT_PARTITION__/month=1/n.csv; echo bad >tree/_temporary/year=1/x.csv; echo bad >tree/.hidden/x.csv; touch tree/_SUCCESS');
CREATE FOREIGN TABLE tree (id int, t text, year int OPTIONS (partition 'true'), month int OPTIONS (partition 'true'),
    path text OPTIONS (metadata 'path')) SERVER files_scan OPTIONS (path 'tree', format 'csv');
SELECT id, t, year, month, replace(path, :'dir', 'DIR') AS path FROM tree;
CREATE FUNCTION explain_tree(query text) RETURNS SETOF text LANGUAGE sql AS
  $$ SELECT say('EXPLAIN (ANALYZE, BUFFERS OFF, COSTS OFF, TIMING OFF, SUMMARY OFF) ' || query) $$;
SELECT explain_tree('SELECT id FROM tree WHERE year = 2013 AND month > 1');
SELECT explain_tree('SELECT id FROM tree WHERE year IS NULL');
SELECT explain_tree('SELECT id FROM tree WHERE year + month = 2014 OR year IN (1, 2)');
SELECT explain_tree('SELECT id FROM tree WHERE path LIKE ''%/month=1/a.csv''');
SELECT explain_tree('SELECT id FROM tree WHERE t = ''b'' AND year = 2012');
-- values that are known when it runs
PREPARE by_year(int) AS SELECT id, t FROM tree WHERE year = $1 ORDER BY 1, 2;
SET plan_cache_mode = force_generic_plan;
EXECUTE by_year(2012);
EXECUTE by_year(2013);
EXECUTE by_year(NULL);
SELECT explain_tree('EXECUTE by_year(2013)');
RESET plan_cache_mode;
SELECT v.y, count(id) FROM (VALUES (2013), (2014), (2012), (NULL)) v(y) LEFT JOIN tree ON tree.year = v.y GROUP BY 1 ORDER BY 1;
SELECT v.y, s.n FROM (VALUES (2013), (2014), (2012)) v(y), LATERAL (SELECT count(*) AS n FROM tree WHERE year = v.y OFFSET 0) s ORDER BY 1;
SELECT y, (SELECT string_agg(t, ',' ORDER BY t) FROM tree WHERE year = y AND month = 2) FROM generate_series(2012, 2014) y;

-- patterns
CREATE FOREIGN TABLE pattern (id int, t text) SERVER files_scan OPTIONS (path 'tree/year=201[23]/*/a.csv', format 'csv');
SELECT * FROM pattern ORDER BY 1;
ALTER FOREIGN TABLE pattern OPTIONS (SET path 'tree/**/b*');
SELECT * FROM pattern ORDER BY 1;
ALTER FOREIGN TABLE pattern OPTIONS (SET path 'tree/**');
SELECT count(*) FROM pattern;
ALTER FOREIGN TABLE pattern OPTIONS (SET path 'tree/nothing*');
SELECT count(*) FROM pattern;
ALTER FOREIGN TABLE pattern OPTIONS (SET path 'tree/nothing');
SELECT say('SELECT count(*)::text FROM pattern');

-- bad records
SELECT write_file('bad.csv', convert_to(E'id,t\n1,a\nx,b\n3,c,d\n4\n5,"e\ne"\n', 'UTF8') || '\x362cff0a'::bytea || convert_to(E'7,"open', 'UTF8'));
CREATE FOREIGN TABLE bad (id int, t text, line int8 OPTIONS (metadata 'line'), record bytea OPTIONS (metadata 'reject_record'),
    reason text OPTIONS (metadata 'reject_reason')) SERVER files_scan OPTIONS (path 'bad.csv', format 'csv', header 'true');
SELECT say('SELECT id::text FROM bad');
SELECT say('SELECT t FROM bad');
ALTER FOREIGN TABLE bad OPTIONS (ADD on_error 'reject');
SELECT id, t, line, encode(record, 'escape') AS record, reason FROM bad;
SELECT count(*) FROM bad;
SELECT explain_tree('SELECT t FROM bad');
ALTER FOREIGN TABLE bad OPTIONS (ADD reject_limit '3');
SELECT say('SELECT t FROM bad');
ALTER FOREIGN TABLE bad OPTIONS (SET reject_limit '5', SET on_error 'skip');
SET client_min_messages = warning;
SELECT id, t, line FROM bad;
SELECT v, (SELECT count(*) FROM bad WHERE id > v) FROM generate_series(0, 2) v;
RESET client_min_messages;
-- where the type's own input function raises the error
SELECT write_file('types.csv', E'1,"{1,2}",10.0.0.1\n2,"{1,x}",10.0.0.2\n3,{},not\n4,{},::1\n');
CREATE DOMAIN small AS int CHECK (VALUE < 4);
CREATE FOREIGN TABLE types (id small, a int[], i inet, reason text OPTIONS (metadata 'reject_reason'))
  SERVER files_scan OPTIONS (path 'types.csv', format 'csv', on_error 'reject');
-- since 16, or 17, types tell what is wrong without an error, and the column can be named
SELECT id, a, i, regexp_replace(reason, '^column "\w+": ', '') AS reason FROM types;

-- dropped and generated columns, system columns, whole rows, a view of another owner, a cursor
CREATE FOREIGN TABLE odd (gone int, id int, t text, twice int GENERATED ALWAYS AS (id * 2) STORED)
  SERVER files_scan OPTIONS (path 'tree/year=2012/month=1/a.csv', format 'csv');
ALTER FOREIGN TABLE odd DROP gone;
SELECT odd, tableoid::regclass, twice FROM odd;
BEGIN;
DECLARE c CURSOR FOR SELECT id, t FROM tree;
FETCH 3 FROM c;
FETCH 2 FROM c;
COMMIT;

-- several processes see the same rows
SELECT write_file('large.csv', (SELECT string_agg(CASE WHEN i % 7 = 0 THEN format(E'%s,"a\n""b"" %s\n"', i, repeat('x', i % 50)) ELSE format('%s,plain %s', i, repeat('y', i % 40)) END, E'\n') FROM generate_series(1, 100000) i)::bytea);
CREATE FOREIGN TABLE large (id int, t text, line int8 OPTIONS (metadata 'line')) SERVER files_scan OPTIONS (path 'large.csv', format 'csv');
CREATE VIEW sums AS SELECT count(*), sum(id) AS ids, sum(length(t)) AS lengths, sum(hashtext(t)) AS hashes, sum(line) AS lines FROM large;
SET max_parallel_workers_per_gather = 0;
CREATE TABLE one AS SELECT * FROM sums;
SELECT count, ids, lengths, lines FROM one;
SET max_parallel_workers_per_gather = 2;
SET min_parallel_table_scan_size = 0;
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
EXPLAIN (COSTS OFF) SELECT count(*) FROM large;
SELECT count(*) FROM (SELECT * FROM sums INTERSECT SELECT * FROM one) s;
SELECT id, t, year, month FROM tree ORDER BY 1, 2;
RESET max_parallel_workers_per_gather;

-- ANALYZE
ANALYZE large, tree;
SELECT relname, reltuples FROM pg_class WHERE oid IN ('large'::regclass, 'tree'::regclass) ORDER BY 1;
SELECT n_distinct FROM pg_stats WHERE schemaname = 'files_scan' AND tablename = 'tree' AND attname = 'year';

SELECT shell('rm -rf files_scan');
\set VERBOSITY terse
SET client_min_messages = warning;
DROP SERVER files_scan CASCADE;
DROP SCHEMA files_scan CASCADE;
