-- Point-in-time joins by a node of their own: shapes that it takes, shapes that it leaves alone, rescans, parallel plans, memory.
CREATE EXTENSION IF NOT EXISTS feathub;
CREATE SCHEMA asof_join;
SET search_path = asof_join;
SET TimeZone = 'UTC';
SET max_parallel_workers_per_gather = 0;
CREATE TABLE spine (id int PRIMARY KEY, k int, ts timestamptz);
CREATE TABLE f (k int, t timestamptz, v int, w text, deleted bool, PRIMARY KEY (k, t));
INSERT INTO spine SELECT i, CASE WHEN i % 50 <> 0 THEN i % 20 END, CASE WHEN i % 60 <> 0 THEN timestamptz '2024-01-01' + (i * 7919 % 1000) * interval '1 min' END FROM generate_series(1, 500) i;
INSERT INTO f SELECT i % 22, timestamptz '2024-01-01' + (i * 104729 % 900) * interval '1 min', i % 9, 'w' || i, i % 7 = 0 FROM generate_series(1, 700) i ON CONFLICT DO NOTHING;
ANALYZE spine; ANALYZE f;

-- Small as this is, the planner is made to choose it.
CREATE FUNCTION plan(query text) RETURNS SETOF text LANGUAGE plpgsql AS $$
BEGIN
  RETURN QUERY EXECUTE 'EXPLAIN (COSTS off) ' || query;
END $$;
CREATE FUNCTION uses_node(query text) RETURNS bool LANGUAGE sql AS $$ SELECT bool_or(p LIKE '%FeathubAsofJoin%') FROM plan(query) p $$;
SET enable_nestloop = off;
EXPLAIN (COSTS off) SELECT s.id, x.v FROM spine s LEFT JOIN LATERAL (SELECT v FROM f WHERE f.k = s.k AND f.t <= s.ts ORDER BY f.t DESC LIMIT 1) x ON true;
SET feathub.asof_join_strategy = feature_hash;
EXPLAIN (COSTS off, VERBOSE) SELECT s.id, x.*, x.v + s.id AS sum FROM spine s JOIN LATERAL (SELECT f.*, s.ts - f.t AS age FROM f WHERE s.k = f.k AND s.ts > f.t AND f.t > s.ts - interval '3 hours' AND f.v <> 3 ORDER BY f.t DESC LIMIT 1) x ON NOT x.deleted WHERE x.v > 1;
SET feathub.asof_join_strategy = time_ordered;
EXPLAIN (COSTS off) SELECT s.id, x.v FROM spine s LEFT JOIN LATERAL (SELECT v FROM f WHERE f.k = s.k AND f.t <= s.ts ORDER BY f.t DESC LIMIT 1) x ON x.v > 2;
SET feathub.asof_join_strategy = merge;
EXPLAIN (COSTS off) SELECT s.id, x.v FROM spine s LEFT JOIN LATERAL (SELECT v FROM f WHERE f.k = s.k AND f.t <= s.ts ORDER BY f.t DESC LIMIT 1) x ON true;
RESET feathub.asof_join_strategy;

-- Several groups: stacked.
EXPLAIN (COSTS off) SELECT s.id, x.v, y.w FROM spine s LEFT JOIN LATERAL (SELECT v FROM f WHERE f.k = s.k AND f.t <= s.ts ORDER BY f.t DESC LIMIT 1) x ON true
  LEFT JOIN LATERAL (SELECT w FROM f WHERE f.k = x.v AND f.t <= s.ts ORDER BY f.t DESC LIMIT 1) y ON true;

-- In views of feature groups, deletions included.
SELECT feathub.create_feature_group('f', primary_key => '{k}', event_time => 't', ttl => '5 hours');
SELECT feathub.create_feature_view('v', 'SELECT s.id, s.ts, f.v, f.w FROM spine s LEFT JOIN f USING (k)', 'ts');
EXPLAIN (COSTS off) SELECT * FROM v;

-- What is not of this kind is left to the server.
SELECT uses_node(q), q FROM unnest(ARRAY[
  'SELECT x.v FROM spine s LEFT JOIN LATERAL (SELECT v FROM f WHERE f.k = s.k AND f.t <= s.ts ORDER BY f.t LIMIT 1) x ON true',
  'SELECT x.v FROM spine s LEFT JOIN LATERAL (SELECT v FROM f WHERE f.k = s.k AND f.t <= s.ts ORDER BY f.t DESC LIMIT 2) x ON true',
  'SELECT x.v FROM spine s LEFT JOIN LATERAL (SELECT v FROM f WHERE f.k = s.k AND f.t <= s.ts ORDER BY f.t DESC OFFSET 1 LIMIT 1) x ON true',
  'SELECT x.v FROM spine s LEFT JOIN LATERAL (SELECT v FROM f WHERE f.k = s.k AND f.t <= s.ts ORDER BY f.t DESC FETCH FIRST 1 ROW WITH TIES) x ON true',
  'SELECT x.v FROM spine s LEFT JOIN LATERAL (SELECT v FROM f WHERE f.k = s.k AND f.t >= s.ts ORDER BY f.t DESC LIMIT 1) x ON true',
  'SELECT x.v FROM spine s LEFT JOIN LATERAL (SELECT v FROM f WHERE f.k > s.k AND f.t <= s.ts ORDER BY f.t DESC LIMIT 1) x ON true',
  'SELECT x.v FROM spine s LEFT JOIN LATERAL (SELECT v FROM f WHERE f.t <= s.ts ORDER BY f.t DESC LIMIT 1) x ON true',
  'SELECT x.v FROM spine s LEFT JOIN LATERAL (SELECT v FROM f WHERE f.k = s.k ORDER BY f.t DESC LIMIT 1) x ON true',
  'SELECT x.v FROM spine s LEFT JOIN LATERAL (SELECT v FROM f WHERE f.k = s.k AND f.t <= s.ts AND f.v <> s.id ORDER BY f.t DESC LIMIT 1) x ON true',
  'SELECT x.v FROM spine s LEFT JOIN LATERAL (SELECT v FROM f WHERE f.k = s.k AND f.t <= s.ts AND s.id > 3 ORDER BY f.t DESC LIMIT 1) x ON true',
  'SELECT x.v FROM spine s LEFT JOIN LATERAL (SELECT v FROM f WHERE (f.k = s.k OR f.k = 1) AND f.t <= s.ts ORDER BY f.t DESC LIMIT 1) x ON true',
  'SELECT x.v FROM spine s LEFT JOIN LATERAL (SELECT v FROM f WHERE f.k = s.k AND f.t <= s.ts AND random() < 2 ORDER BY f.t DESC LIMIT 1) x ON true',
  'SELECT x.v FROM spine s LEFT JOIN LATERAL (SELECT v, random() FROM f WHERE f.k = s.k AND f.t <= s.ts ORDER BY f.t DESC LIMIT 1) x ON true',
  'SELECT x.v FROM spine s LEFT JOIN LATERAL (SELECT max(v) AS v, f.t FROM f WHERE f.k = s.k AND f.t <= s.ts GROUP BY f.t ORDER BY f.t DESC LIMIT 1) x ON true',
  'SELECT x.v FROM spine s LEFT JOIN LATERAL (SELECT v FROM f WHERE f.k = s.k AND f.t <= s.ts AND f.v IN (SELECT 1) ORDER BY f.t DESC LIMIT 1) x ON true',
  'SELECT x.v FROM spine s LEFT JOIN LATERAL (SELECT v FROM f WHERE f.k = s.k AND f.t <= s.ts ORDER BY f.t DESC, f.v + s.id LIMIT 1) x ON true',
  'SELECT x.v FROM spine s LEFT JOIN LATERAL (SELECT v FROM f TABLESAMPLE system (100) WHERE f.k = s.k AND f.t <= s.ts ORDER BY f.t DESC LIMIT 1) x ON true',
  'SELECT x.v FROM spine s LEFT JOIN LATERAL (SELECT v FROM f WHERE f.k = s.k AND f.t <= s.ts ORDER BY f.t DESC LIMIT 1) x ON true FOR UPDATE OF s',
  'SELECT x FROM spine s LEFT JOIN LATERAL (SELECT v FROM f WHERE f.k = s.k AND f.t <= s.ts ORDER BY f.t DESC LIMIT 1) x ON true',
  'UPDATE spine u SET k = x.v FROM spine s JOIN LATERAL (SELECT v FROM f WHERE f.k = s.k AND f.t <= s.ts ORDER BY f.t DESC LIMIT 1) x ON true WHERE u.id = s.id',
  -- and these are
  'SELECT x.v FROM spine s LEFT JOIN LATERAL (SELECT v FROM f JOIN generate_series(1, 3) g ON g = f.v WHERE f.k = s.k AND f.t <= s.ts ORDER BY f.t DESC LIMIT 1) x ON true',
  'INSERT INTO spine SELECT s.id, x.v FROM spine s JOIN LATERAL (SELECT v FROM f WHERE f.k = s.k AND f.t <= s.ts ORDER BY f.t DESC LIMIT 1) x ON true',
  'SELECT count(*) FROM spine s JOIN LATERAL (SELECT FROM f WHERE f.k = s.k AND f.t <= s.ts ORDER BY f.t DESC LIMIT 1) x ON true'
]) WITH ORDINALITY u (q, n) ORDER BY n;
SET feathub.enable_asof_join = off;
SELECT uses_node('SELECT x.v FROM spine s LEFT JOIN LATERAL (SELECT v FROM f WHERE f.k = s.k AND f.t <= s.ts ORDER BY f.t DESC LIMIT 1) x ON true');
RESET feathub.enable_asof_join;

-- An expression of the subquery is computed for the rows that are found only, as ever: 1 / 0 would fail.
SELECT count(x.q) FROM spine s LEFT JOIN LATERAL (SELECT 10 / f.v AS q FROM f WHERE f.k = s.k AND f.t <= s.ts AND f.v > 0 ORDER BY f.t DESC LIMIT 1) x ON true;
INSERT INTO f VALUES (1, '2030-01-01', 0);
SELECT count(x.q) FROM spine s LEFT JOIN LATERAL (SELECT 10 / (f.v + CASE WHEN f.t < '2030-01-01' THEN 1 ELSE 0 END) AS q FROM f WHERE f.k = s.k AND f.t <= s.ts ORDER BY f.t DESC LIMIT 1) x ON true;
DELETE FROM f WHERE t = '2030-01-01';

-- Volatile expressions of the outer side are computed once for each row.
CREATE SEQUENCE n;
SELECT count(*), max(d.i), count(x.v) FROM (SELECT nextval('n') AS i, s.* FROM spine s) d LEFT JOIN LATERAL (SELECT v FROM f WHERE f.k = d.k AND f.t <= d.ts ORDER BY f.t DESC LIMIT 1) x ON true;
SELECT last_value FROM n;

-- Rescans: in a correlated sub-select, by each strategy; and a scrollable cursor.
CREATE FUNCTION each_strategy(query text) RETURNS TABLE (strategy text, result text) LANGUAGE plpgsql AS $$
BEGIN
  FOREACH strategy IN ARRAY ARRAY['off', 'feature_hash', 'spine_hash', 'time_ordered', 'merge'] LOOP
    PERFORM set_config('feathub.enable_asof_join', CASE strategy WHEN 'off' THEN 'off' ELSE 'on' END, true),
      set_config('feathub.asof_join_strategy', CASE strategy WHEN 'off' THEN 'auto' ELSE strategy END, true),
      set_config('enable_nestloop', CASE strategy WHEN 'off' THEN 'on' ELSE 'off' END, true);
    EXECUTE query INTO result;
    IF strategy <> 'off' AND NOT uses_node(query) THEN
      result := result || ' without the node';
    END IF;
    RETURN NEXT;
  END LOOP;
END $$;
SELECT * FROM each_strategy($$ SELECT sum(o.i * c.n) || ' ' || sum(c.v) FROM generate_series(1, 20) o(i), LATERAL (
  SELECT count(*) AS n, sum(x.v) AS v FROM spine s JOIN LATERAL (SELECT v FROM f WHERE f.k = s.k AND f.t <= s.ts ORDER BY f.t DESC LIMIT 1) x ON true WHERE s.id > o.i * 20) c $$);
SELECT * FROM each_strategy($$ SELECT sum((SELECT count(*) FROM (SELECT * FROM spine LIMIT o.i) s JOIN LATERAL (SELECT v FROM f WHERE f.k = s.k AND f.t <= s.ts ORDER BY f.t DESC LIMIT 1) x ON x.v <> o.i)) FROM generate_series(1, 20) o(i) $$);
BEGIN;
DECLARE c SCROLL CURSOR FOR SELECT s.id, x.v FROM spine s LEFT JOIN LATERAL (SELECT v FROM f WHERE f.k = s.k AND f.t <= s.ts ORDER BY f.t DESC LIMIT 1) x ON true ORDER BY s.id;
FETCH 3 FROM c;
FETCH BACKWARD 2 FROM c;
MOVE LAST FROM c;
FETCH BACKWARD 1 FROM c;
COMMIT;

-- Out of memory: the spine in batches, whatever the plan was; rows much larger than was thought cut a batch short.
CREATE TABLE big AS SELECT i % 500 AS k, timestamptz '2024-01-01' + i * interval '1 min' AS t, repeat(md5(i::text), CASE WHEN i > 5000 THEN 20 ELSE 0 END) AS w FROM generate_series(1, 10000) i;
CREATE TABLE wide AS SELECT i AS id, i % 600 AS k, timestamptz '2024-01-01' + (i * 7919 % 12000) * interval '1 min' AS ts FROM generate_series(1, 5000) i;
CREATE INDEX ON big (k, t);
SET work_mem = '128kB';
SET hash_mem_multiplier = 1;
-- (Rows come in the outer side's order, which two strategies sort first.)
SELECT strategy, md5(result) FROM each_strategy($$ SELECT string_agg(concat_ws(':', s.id, x.t, x.w), ',') FROM wide s LEFT JOIN LATERAL (SELECT t, w FROM big f WHERE f.k = s.k AND f.t <= s.ts ORDER BY f.t DESC LIMIT 1) x ON true WHERE s.id > 0 $$);
SELECT strategy, md5(result) FROM each_strategy($$ SELECT string_agg(concat_ws(':', s.id, x.t, x.w), ',' ORDER BY s.id) FROM wide s LEFT JOIN LATERAL (SELECT t, w FROM big f WHERE f.k = s.k AND f.t <= s.ts ORDER BY f.t DESC LIMIT 1) x ON true $$);
CREATE FUNCTION analyzed(query text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
  line text;
BEGIN
  FOR line IN EXECUTE 'EXPLAIN (ANALYZE, COSTS off, TIMING off, SUMMARY off) ' || query LOOP
    CONTINUE WHEN line !~ 'Strategy|Changed|Batches|Memory Usage';
    RETURN NEXT regexp_replace(line, 'Memory Usage: (\d+) kB', 'Memory Usage: within limit: ') ||
      coalesce(((regexp_match(line, 'Memory Usage: (\d+) kB'))[1]::int <= 256)::text, '');
  END LOOP;
END $$;
SET feathub.asof_join_strategy = feature_hash;
SELECT regexp_replace(analyzed, 'Batches: [1-9]\d+', 'Batches: many') FROM analyzed('SELECT s.id, x.t, x.w FROM wide s LEFT JOIN LATERAL (SELECT t, w FROM big f WHERE f.k = s.k AND f.t <= s.ts ORDER BY f.t DESC LIMIT 1) x ON true');
SET feathub.asof_join_strategy = time_ordered;
SELECT regexp_replace(analyzed, 'Batches: [1-9]\d+', 'Batches: many') FROM analyzed('SELECT s.id, x.t, x.w FROM wide s LEFT JOIN LATERAL (SELECT t, w FROM big f WHERE f.k = s.k AND f.t <= s.ts ORDER BY f.t DESC LIMIT 1) x ON true');
RESET feathub.asof_join_strategy;
RESET work_mem;
RESET hash_mem_multiplier;

-- Chosen by cost: for a large spine, not for a few of its rows.
RESET enable_nestloop;
CREATE INDEX ON wide (id);
ANALYZE big;
ANALYZE wide;
SELECT uses_node('SELECT s.id, x.w FROM wide s LEFT JOIN LATERAL (SELECT w FROM big f WHERE f.k = s.k AND f.t <= s.ts ORDER BY f.t DESC LIMIT 1) x ON true');
SELECT uses_node('SELECT s.id, x.w FROM wide s LEFT JOIN LATERAL (SELECT w FROM big f WHERE f.k = s.k AND f.t <= s.ts ORDER BY f.t DESC LIMIT 1) x ON true WHERE s.id IN (1, 2, 3)');

-- In workers: each has its share of the spine.
SET max_parallel_workers_per_gather = 2;
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
EXPLAIN (COSTS off) SELECT count(*), sum(length(x.w)) FROM wide s LEFT JOIN LATERAL (SELECT w FROM big f WHERE f.k = s.k AND f.t <= s.ts ORDER BY f.t DESC LIMIT 1) x ON true;
SELECT count(*), sum(length(x.w)) FROM wide s LEFT JOIN LATERAL (SELECT w FROM big f WHERE f.k = s.k AND f.t <= s.ts ORDER BY f.t DESC LIMIT 1) x ON true;
SET feathub.enable_asof_join = off;
SELECT count(*), sum(length(x.w)) FROM wide s LEFT JOIN LATERAL (SELECT w FROM big f WHERE f.k = s.k AND f.t <= s.ts ORDER BY f.t DESC LIMIT 1) x ON true;
RESET feathub.enable_asof_join;
RESET max_parallel_workers_per_gather;

-- Where clocks are set, a later timestamp may be an earlier timestamp with time zone: no order serves both.
SET timezone = 'Europe/Berlin';
CREATE TABLE zoned AS SELECT 1 AS k, timestamptz '2024-03-31 00:00Z' + n * interval '5 minutes' AS t FROM generate_series(0, 36) n;
CREATE TABLE zoneless AS SELECT 1 AS k, timestamp '2024-03-31 01:00' + n * interval '7 minutes' AS t, n AS v FROM generate_series(0, 30) n;
SELECT * FROM each_strategy($$ SELECT count(x.v) || ' ' || sum(x.v) FROM zoned s LEFT JOIN LATERAL (SELECT v FROM zoneless f WHERE f.k = s.k AND f.t <= s.t ORDER BY f.t DESC LIMIT 1) x ON true $$);
SELECT * FROM each_strategy($$ SELECT count(x.v) || ' ' || sum(x.v) FROM zoned s LEFT JOIN LATERAL (SELECT v FROM zoneless f WHERE f.k = s.k AND f.t <= s.t::timestamp ORDER BY f.t DESC LIMIT 1) x ON true $$);
RESET timezone;

-- GEQO plans joins in memory of its own.
SET geqo_threshold = 2;
SET enable_nestloop = off;
SELECT * FROM each_strategy($$ SELECT count(x.v) || ' ' || sum(y.v) || ' ' || count(z.v) FROM spine s LEFT JOIN LATERAL (SELECT v FROM f WHERE f.k = s.k AND f.t <= s.ts ORDER BY f.t DESC LIMIT 1) x ON true
  LEFT JOIN LATERAL (SELECT v FROM f WHERE f.k = x.v AND f.t <= s.ts ORDER BY f.t DESC LIMIT 1) y ON true LEFT JOIN LATERAL (SELECT v FROM f WHERE f.k = s.id AND f.t <= s.ts ORDER BY f.t DESC LIMIT 1) z ON true JOIN spine p ON p.id = s.id $$);
RESET geqo_threshold;

-- A plan that is kept sees changes of the table.
SET plan_cache_mode = force_generic_plan;
PREPARE kept AS SELECT count(x.v), sum(x.v)::text FROM spine s LEFT JOIN LATERAL (SELECT v FROM f WHERE f.k = s.k AND f.t <= s.ts AND f.t >= s.ts - $1::interval ORDER BY f.t DESC LIMIT 1) x ON true;
EXECUTE kept ('1 hour');
EXECUTE kept ('1 day');
DROP VIEW v CASCADE;
ALTER TABLE f ALTER v TYPE bigint USING v + 1000000000000;
EXECUTE kept ('1 day');
ALTER TABLE f RENAME TO was_f;
EXECUTE kept ('1 day');
CREATE TABLE f (LIKE was_f);
EXECUTE kept ('1 day');
DROP TABLE f;
ALTER TABLE was_f RENAME TO f;
TRUNCATE f;
EXECUTE kept ('1 day');
RESET plan_cache_mode;

SET client_min_messages = warning;
DROP SCHEMA asof_join CASCADE;
