-- What every foreign table can do, whatever is behind it: columns of all kinds, rescans, partitions, LIMIT.
CREATE EXTENSION IF NOT EXISTS feathub;
CREATE SERVER fdw_scan FOREIGN DATA WRAPPER feathub_kafka OPTIONS (bootstrap_servers 'embedded');
CREATE SCHEMA fdw_scan;
SET search_path = fdw_scan;

-- Dropped, generated and defaulted columns.
CREATE FOREIGN TABLE scan_t (gone int, a int, gone_too text, b text, twice int GENERATED ALWAYS AS (a * 2) STORED, d int DEFAULT 7)
  SERVER fdw_scan OPTIONS (topic 't_fdw', format 'json');
ALTER FOREIGN TABLE scan_t DROP COLUMN gone, DROP COLUMN gone_too;
INSERT INTO scan_t (a, b) VALUES (1, 'one'), (2, NULL) RETURNING *;
INSERT INTO scan_t (a, b, d) SELECT i, 'row ' || i, NULL FROM generate_series(3, 5) i;
COPY scan_t (b, a) FROM stdin;
six	6
\.
SELECT * FROM scan_t ORDER BY a;
SELECT twice FROM scan_t WHERE twice > 6 ORDER BY 1;
SELECT count(*) FROM scan_t;
SELECT tableoid::regclass, a FROM scan_t WHERE a = 1;
SELECT scan_t FROM scan_t ORDER BY a LIMIT 1;
SELECT xmin FROM scan_t;
EXPLAIN (VERBOSE, COSTS OFF) SELECT twice FROM scan_t WHERE b = 'x';

-- No columns at all.
CREATE FOREIGN TABLE scan_none () SERVER fdw_scan OPTIONS (topic 't_fdw');
SELECT count(*) FROM scan_none;
SELECT scan_none FROM scan_none LIMIT 2;
INSERT INTO scan_none DEFAULT VALUES;

-- Rescans: outer rows of which some match, the first of which matches none.
SET enable_hashjoin = off;
SET enable_mergejoin = off;
SET enable_material = off;
SELECT x, (SELECT b FROM scan_t WHERE a = x) FROM generate_series(0, 7) x;
SELECT x, q.a, q.twice FROM (VALUES (9), (6), (NULL), (3), (3)) v (x) LEFT JOIN LATERAL (SELECT * FROM scan_t WHERE a = x) q ON true;
SELECT count(*) FROM generate_series(1, 3) x, scan_t t WHERE t.a <= x;
SELECT s.a, t.a FROM scan_t s JOIN scan_t t ON t.a = s.a + 1 ORDER BY 1;
RESET enable_hashjoin;
RESET enable_mergejoin;
RESET enable_material;

-- Parameters, in custom and in generic plans.
PREPARE scan_q (int) AS SELECT a, b FROM scan_t WHERE a = $1;
SET plan_cache_mode = force_generic_plan;
EXECUTE scan_q (1);
EXECUTE scan_q (NULL);
EXECUTE scan_q (4);
RESET plan_cache_mode;

-- LIMIT is passed on only where no row can be lost on the way.
EXPLAIN (COSTS OFF) SELECT a FROM scan_t LIMIT 2;
EXPLAIN (COSTS OFF) SELECT a FROM scan_t WHERE b <> 'x' LIMIT 2;
EXPLAIN (COSTS OFF) SELECT a FROM scan_t ORDER BY a LIMIT 2;
EXPLAIN (COSTS OFF) SELECT DISTINCT a FROM scan_t LIMIT 2;
EXPLAIN (COSTS OFF) SELECT count(*) FROM scan_t LIMIT 2;
EXPLAIN (COSTS OFF) SELECT a FROM scan_t OFFSET 1 FETCH FIRST 2 ROWS ONLY;
SELECT count(*) FROM (SELECT a FROM scan_t OFFSET 1 LIMIT 2) q;
SELECT count(*) FROM (SELECT a FROM scan_t LIMIT ALL) q;
SELECT count(*) FROM (SELECT a FROM scan_t LIMIT 0) q;
SELECT generate_series(1, 2) FROM scan_t LIMIT 3;

-- Cursors.
BEGIN;
DECLARE c SCROLL CURSOR FOR SELECT a FROM scan_t ORDER BY a;
FETCH 2 FROM c;
FETCH BACKWARD 1 FROM c;
FETCH ABSOLUTE 1 FROM c;
MOVE ALL FROM c;
FETCH 1 FROM c;
COMMIT;
BEGIN;
DECLARE c CURSOR WITH HOLD FOR SELECT count(*) FROM scan_t;
COMMIT;
FETCH c;
CLOSE c;

-- Row triggers and view checks see each row of an INSERT.
CREATE FUNCTION scan_trigger() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE NOTICE '% % %', TG_WHEN, TG_OP, NEW;
  NEW.b := upper(NEW.b);
  RETURN NEW;
END $$;
CREATE TRIGGER scan_before BEFORE INSERT ON scan_t FOR EACH ROW EXECUTE FUNCTION scan_trigger();
CREATE TRIGGER scan_after AFTER INSERT ON scan_t FOR EACH ROW EXECUTE FUNCTION scan_trigger();
INSERT INTO scan_t (a, b) VALUES (10, 'ten'), (11, 'eleven') RETURNING a, b, twice;
DROP TRIGGER scan_before ON scan_t;
DROP TRIGGER scan_after ON scan_t;
CREATE VIEW scan_v AS SELECT a, b FROM scan_t WHERE a > 20 WITH CHECK OPTION;
INSERT INTO scan_v VALUES (21, 'in'), (5, 'out');
SELECT a, b FROM scan_t WHERE a >= 10 AND a < 20 ORDER BY 1;

-- A partition among others: rows are routed to it and read with the rest.
CREATE TABLE scan_p (k int, v text) PARTITION BY LIST (k);
CREATE TABLE scan_p1 PARTITION OF scan_p FOR VALUES IN (1);
CREATE FOREIGN TABLE scan_p2 (v text, k int OPTIONS (key 'true')) SERVER fdw_scan OPTIONS (topic 't_fdw_part', format 'json');
ALTER TABLE scan_p ATTACH PARTITION scan_p2 FOR VALUES IN (2);
INSERT INTO scan_p VALUES (1, 'a'), (2, 'b'), (2, 'c') RETURNING tableoid::regclass, *;
COPY scan_p FROM stdin;
1	d
2	e
\.
UPDATE scan_p1 SET v = 'moved' WHERE v = 'd';
UPDATE scan_p SET k = 2 WHERE k = 1 AND v = 'moved';
SELECT tableoid::regclass, * FROM scan_p ORDER BY v;
SELECT v FROM scan_p WHERE k = 2 ORDER BY v;

-- ANALYZE, and what the planner makes of it.
ANALYZE scan_p2;
SELECT reltuples FROM pg_class WHERE oid = 'scan_p2'::regclass;
SELECT attname, n_distinct FROM pg_stats WHERE schemaname = 'fdw_scan' AND tablename = 'scan_p2' ORDER BY 1;

-- Parallel workers share a scan, on the inside of a join too.
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
SET max_parallel_workers_per_gather = 2;
EXPLAIN (COSTS OFF) SELECT count(*), sum(a), sum(twice) FROM scan_t WHERE a < 10;
SELECT count(*), sum(a), sum(twice) FROM scan_t WHERE a < 10;
SELECT x, (SELECT count(*) FROM scan_t WHERE a <= x) FROM generate_series(0, 7) x;

DROP SCHEMA fdw_scan CASCADE;
DROP SERVER fdw_scan CASCADE;
DROP EXTENSION feathub;
