-- Batch scans of Kafka topics, on the embedded broker: topics t_scan (3
-- partitions) and t_one.
CREATE EXTENSION feathub;
CREATE SERVER kafka FOREIGN DATA WRAPPER feathub_kafka OPTIONS (bootstrap_servers 'embedded');
SET max_parallel_workers_per_gather = 0;

CREATE FOREIGN TABLE scan (
  value text,
  topic text OPTIONS (metadata 'topic'),
  partition int OPTIONS (metadata 'partition'),
  "offset" bigint OPTIONS (metadata 'offset'),
  "timestamp" timestamptz OPTIONS (metadata 'timestamp'),
  timestamp_type text OPTIONS (metadata 'timestamp_type'),
  key text OPTIONS (metadata 'key'),
  headers jsonb OPTIONS (metadata 'headers')
) SERVER kafka OPTIONS (topic 't_scan', format 'raw');

-- what EXPLAIN ANALYZE shows of the scan
CREATE FUNCTION scanned(query text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE line text;
BEGIN
  -- (rows have decimals from PostgreSQL 18 on)
  FOR line IN EXECUTE 'EXPLAIN (ANALYZE, BUFFERS off, COSTS off, TIMING off, SUMMARY off) ' || query LOOP
    RETURN NEXT regexp_replace(line, '(actual rows=\d+)\.00', '\1');
  END LOOP;
END $$;

-- an empty topic
SELECT count(*) FROM scan;
SELECT scanned('SELECT value FROM scan');

-- 300 records in each partition
INSERT INTO scan (value, partition, key, "timestamp", headers)
  SELECT 'p' || i % 3 || 'o' || i / 3, i % 3, CASE WHEN i % 10 <> 0 THEN 'k' || i END,
         timestamptz '2013-01-01 00:00:00+00' + i * interval '1 second',
         CASE WHEN i % 2 = 0 THEN '{"source": "test", "empty": null}'::jsonb END
    FROM generate_series(0, 899) i;

SET timezone = 'UTC'; SET datestyle = ISO;
SELECT * FROM scan WHERE "offset" < 2 ORDER BY partition, "offset";
SELECT partition, count(*), min("offset"), max("offset"), count(key), count(headers)
  FROM scan GROUP BY partition ORDER BY partition;
-- no column is needed
SELECT count(*) FROM scan;
-- a whole-row reference, and system columns
SELECT s FROM scan s WHERE partition = 2 AND "offset" = 7;
SELECT tableoid::regclass, value FROM scan WHERE partition = 2 AND "offset" = 7;

-- Restrictions become ranges of offsets
CREATE FUNCTION ranges(query text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE line text;
BEGIN
  FOR line IN EXECUTE 'EXPLAIN (ANALYZE, COSTS off, TIMING off, SUMMARY off) ' || query LOOP
    IF line ~ 'Restrictions|Offsets|Messages' THEN RETURN NEXT btrim(line); END IF;
  END LOOP;
END $$;
CREATE FUNCTION agrees(condition text) RETURNS text LANGUAGE plpgsql AS $$
-- the same rows as without restriction, and the ranges that were read
DECLARE a text; b text;
BEGIN
  EXECUTE 'SELECT count(*) || '' '' || coalesce(sum("offset"), 0) FROM scan WHERE ' || condition INTO a;
  EXECUTE 'WITH s AS MATERIALIZED (SELECT * FROM scan OFFSET 0) SELECT count(*) || '' '' || coalesce(sum("offset"), 0) FROM s WHERE ' || condition INTO b;
  RETURN CASE WHEN a = b THEN 'ok ' || a ELSE 'WRONG ' || a || ' instead of ' || b END;
END $$;

SELECT ranges('SELECT * FROM scan WHERE partition = 1 AND "offset" BETWEEN 10 AND 19');
SELECT ranges('SELECT * FROM scan WHERE partition = 1 AND "offset" = 5 OR partition = 2 AND "offset" >= 298');
SELECT ranges('SELECT * FROM scan WHERE partition IN (0, 2) AND "offset" IN (3, 4, 250)');
SELECT ranges('SELECT * FROM scan WHERE 297 < "offset" AND partition <> 1');
SELECT ranges('SELECT * FROM scan WHERE "offset" < 5 OR "offset" < 3 OR ("offset" > 1 AND "offset" <= 6 AND partition > 0)');
SELECT ranges('SELECT * FROM scan WHERE NOT (partition = 0 OR "offset" > 3)');
SELECT ranges('SELECT * FROM scan WHERE partition = 9');
SELECT ranges('SELECT * FROM scan WHERE "offset" = -1 OR "offset" = 9223372036854775807');
SELECT ranges('SELECT * FROM scan WHERE topic = ''t_other''');
SELECT ranges('SELECT * FROM scan WHERE topic = ''t_scan'' AND partition = 0 AND "offset" < 1');
-- what says nothing about places: all is read
SELECT ranges('SELECT * FROM scan WHERE partition = 1 AND "offset" < 2 OR value = ''p0o0''');
SELECT ranges('SELECT * FROM scan WHERE "offset" + 0 < 2 AND partition = 0');
SELECT ranges('SELECT * FROM scan WHERE partition = (random() * 0)::int');
-- stable expressions and sub-selects
SELECT ranges('SELECT * FROM scan WHERE partition = length(current_setting(''timezone'')) - 3 AND "offset" > 290 + length(''abc'')');
SELECT ranges('SELECT * FROM scan WHERE partition = (SELECT 2) AND "offset" >= (SELECT 299)');
SELECT ranges('SELECT * FROM scan WHERE "offset" = ANY (ARRAY(SELECT generate_series(0, 299, 150)))');
SELECT ranges('SELECT * FROM scan WHERE partition = NULL');

SELECT c, agrees(c) FROM unnest(ARRAY[
  'partition = 1', 'partition <> 1', 'partition < 1', 'partition <= 1', 'partition > 1', 'partition >= 1',
  '1 < partition', '1 >= partition', 'partition = 1::smallint', 'partition = 1::bigint', 'partition = 1.0',
  '"offset" < 10', '"offset" <= 10', '"offset" > 290', '"offset" >= 290', '"offset" = 4294967296',
  '"offset" BETWEEN 5 AND 7', '"offset" NOT BETWEEN 5 AND 294', '"offset" IN (1, 2, 3, 299, 300, NULL)',
  '"offset" NOT IN (1, 2, 3)', '"offset" = ANY (''{}''::bigint[])', '"offset" = ANY (NULL::bigint[])',
  '"offset" < ANY (''{5,7}''::bigint[])', '"offset" < ALL (''{5,7}''::bigint[])',
  'partition = 0 AND partition = 1', 'partition = 0 OR partition = 1', 'partition IS NULL', '"offset" IS NOT NULL',
  'partition = 0 AND ("offset" < 5 OR "offset" > 295) OR partition = 1 AND ("offset" = 7 OR "offset" BETWEEN 6 AND 9)',
  'NOT (partition = 0 AND "offset" < 5)', '(partition = 0) IS NOT TRUE', 'CASE WHEN partition = 0 THEN "offset" < 5 END',
  '"timestamp" < ''2013-01-01 00:01:00+00''', '"timestamp" >= ''2013-01-01 00:14:00+00''', '"timestamp" = ''2013-01-01 00:14:00+00''',
  '"timestamp" > ''2013-01-01''::date', '"timestamp" > ''2013-01-01 00:10:00''::timestamp', '"timestamp" BETWEEN ''-infinity'' AND ''infinity''',
  'topic = ''t_scan''', 'topic <> ''t_scan''', 'topic = ''T_SCAN''', 'topic LIKE ''t%'' AND partition = 2',
  'topic IN (''t_scan'', ''x'') AND "offset" = 1', 'topic = ''t_scan'' COLLATE "C" AND "offset" = 2', 'key = ''k7'' OR "offset" = 1'
]) c;

-- Rescans: other parameters, NULL, an empty first one
SELECT o.p, o.n, s.value FROM (VALUES (7, 0), (1, 2), (NULL, 3), (0, NULL), (2, 299), (0, 0)) o (p, n),
  LATERAL (SELECT * FROM scan WHERE partition = o.p AND "offset" = o.n OFFSET 0) s;
SELECT o.p, (SELECT count(*) FROM scan WHERE partition = o.p AND "offset" < o.p * 10) FROM generate_series(0, 3) o (p);
SET enable_material = off; SET enable_hashjoin = off; SET enable_mergejoin = off;
SELECT o.n, count(*) FROM generate_series(1, 3) o (n) LEFT JOIN scan s ON s."offset" < o.n GROUP BY 1 ORDER BY 1;
SELECT count(*), sum(a."offset" - b."offset") FROM scan a JOIN scan b ON a."offset" = b."offset" AND a.partition = b.partition
  WHERE a.partition = 0 AND a."offset" < 4;
RESET enable_material; RESET enable_hashjoin; RESET enable_mergejoin;
PREPARE by_place(int, bigint[]) AS SELECT value FROM scan WHERE partition = $1 AND "offset" = ANY ($2) ORDER BY "offset";
SET plan_cache_mode = force_generic_plan;
EXECUTE by_place(1, '{1,2,299}');
EXECUTE by_place(2, '{0,NULL}');
EXECUTE by_place(NULL, '{1}');
EXECUTE by_place(1, NULL);
EXPLAIN (COSTS off) EXECUTE by_place(1, NULL);
RESET plan_cache_mode;
-- joins pass the places of the outer rows
CREATE TABLE places (p int, o bigint);
INSERT INTO places VALUES (1, 5), (2, 7), (NULL, 1), (9, 1);
ANALYZE places;
EXPLAIN (COSTS off) SELECT value FROM places JOIN scan ON partition = p AND "offset" = o;
SELECT value FROM places JOIN scan ON partition = p AND "offset" = o ORDER BY 1;
SELECT p, value FROM places LEFT JOIN scan ON partition = p AND "offset" BETWEEN o AND o + 1 ORDER BY 1, 2;
SELECT * FROM places WHERE EXISTS (SELECT FROM scan WHERE partition = p AND "offset" = o) ORDER BY 1;
-- cursors: forward, with hold, and two at a time
BEGIN;
DECLARE a CURSOR FOR SELECT value FROM scan WHERE partition = 0;
DECLARE b CURSOR FOR SELECT value FROM scan WHERE partition = 1;
FETCH 2 FROM a;
FETCH 2 FROM b;
FETCH 1 FROM a;
COMMIT;

-- LIMIT reads no more than it must; so does an inner side that is a semi-join
SELECT scanned('SELECT value FROM scan LIMIT 7');
SELECT EXISTS (SELECT FROM scan WHERE partition = 2);

-- Parallel scans
SET max_parallel_workers_per_gather = 2;
SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET min_parallel_table_scan_size = 0;
EXPLAIN (COSTS off) SELECT count(*) FROM scan WHERE partition < 2;
SELECT count(*), sum("offset"), count(DISTINCT value) FROM scan;
SELECT count(*) FROM scan WHERE partition < 2 AND "offset" < 100;
SELECT count(*) FROM (SELECT FROM scan LIMIT 5) s;
SET parallel_leader_participation = off;
SELECT count(*), sum("offset") FROM scan;
RESET parallel_leader_participation;
-- rescans of a Gather
SET enable_material = off; SET enable_hashjoin = off; SET enable_mergejoin = off;
SELECT n, (SELECT count(*) FROM scan WHERE "offset" < 10 * n) FROM generate_series(0, 3) n;
RESET enable_material; RESET enable_hashjoin; RESET enable_mergejoin;
SET max_parallel_workers_per_gather = 0;

-- Records that do not decode, tombstones, empty values
CREATE FOREIGN TABLE one_raw (value bytea, key bytea OPTIONS (metadata 'key')) SERVER kafka OPTIONS (topic 't_one', format 'raw');
CREATE FOREIGN TABLE one_json (a int, b text, "offset" bigint OPTIONS (metadata 'offset'), key text OPTIONS (metadata 'key'))
  SERVER kafka OPTIONS (topic 't_one', format 'json');
INSERT INTO one_raw VALUES ('{"a": 1, "b": "x"}', 'k1'), (NULL, 'k2'), ('{"b": null, "c": 3}', NULL), ('{"a": "no number"}', 'k4'), ('', 'k5'), ('{', '\xff');
SELECT * FROM one_raw;
-- the tombstone has a key, and no value
SELECT * FROM one_json WHERE "offset" < 3;
-- errors say where the record is
SELECT a FROM one_json;
SELECT a FROM one_json WHERE "offset" = 4;
SELECT a FROM one_json WHERE "offset" = 5;
SELECT key FROM one_json WHERE "offset" = 5;
-- only columns that are needed are decoded
SELECT b, "offset" FROM one_json WHERE "offset" < 4;

-- Estimates without a network call, and ANALYZE
CREATE FOREIGN TABLE estimated (value text, partition int OPTIONS (metadata 'partition')) SERVER kafka
  OPTIONS (topic 't_scan', format 'raw', row_estimate '12345');
CREATE FUNCTION estimate(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE line text;
BEGIN
  EXECUTE 'EXPLAIN ' || query INTO line;
  RETURN substring(line FROM 'rows=\d+ width=\d+');
END $$;
SELECT estimate('SELECT value FROM estimated');
ANALYZE estimated;
SELECT estimate('SELECT value FROM estimated');
SELECT reltuples FROM pg_class WHERE oid = 'estimated'::regclass;
SELECT attname, n_distinct, null_frac FROM pg_stats WHERE tablename = 'estimated' ORDER BY 1;
SET default_statistics_target = 1;
ANALYZE estimated;
SELECT reltuples FROM pg_class WHERE oid = 'estimated'::regclass;
RESET default_statistics_target;
-- generated columns have statistics, and may use tableoid
CREATE FOREIGN TABLE generated (
  value text, partition int OPTIONS (metadata 'partition'),
  next int GENERATED ALWAYS AS (partition + 1) STORED,
  here bool GENERATED ALWAYS AS (tableoid <> 0) STORED
) SERVER kafka OPTIONS (topic 't_scan', format 'raw');
SELECT DISTINCT partition, next, here FROM generated ORDER BY 1;
ANALYZE generated;
SELECT attname, n_distinct, null_frac FROM pg_stats WHERE tablename = 'generated' AND attname IN ('next', 'here') ORDER BY 1;
-- dates beyond the range of times
SELECT count(*) FROM scan WHERE "timestamp" < date '5000000-01-01';
SELECT count(*) FROM scan WHERE "timestamp" >= date '5000000-01-01';
SET timezone = 'America/New_York';
SELECT count(*) FROM scan WHERE "timestamp" > timestamp '294276-12-31 23:59:59';
SELECT count(*) = (SELECT count(*) FROM scan WHERE "timestamp" >= timestamptz '2013-01-01 00:00:00-05')
  FROM scan WHERE "timestamp" >= date '2013-01-01';
SET timezone = 'UTC';
-- planning and EXPLAIN do not talk to a broker that is not there
CREATE SERVER nowhere FOREIGN DATA WRAPPER feathub_kafka OPTIONS (bootstrap_servers '127.0.0.1:1');
CREATE FOREIGN TABLE nowhere (value text, partition int OPTIONS (metadata 'partition')) SERVER nowhere OPTIONS (topic 'x', format 'raw');
EXPLAIN (COSTS off, VERBOSE) SELECT * FROM nowhere WHERE partition = 3;
-- nor do scans without a possible row
SELECT * FROM nowhere WHERE partition = 3 AND partition = 4;
\set VERBOSITY sqlstate
SELECT * FROM nowhere;
\set VERBOSITY default

SET client_min_messages = warning;
DROP EXTENSION feathub CASCADE;
