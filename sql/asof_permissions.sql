-- Point-in-time joins by a node of their own give nobody rights: the subquery's table is checked as ever.
CREATE EXTENSION IF NOT EXISTS feathub;
CREATE SCHEMA asof_permissions;
SET search_path = asof_permissions;
SET max_parallel_workers_per_gather = 0;
CREATE ROLE regress_asof_reader;
GRANT USAGE ON SCHEMA asof_permissions TO regress_asof_reader;
CREATE TABLE spine (id int, k int, ts int);
CREATE TABLE f (k int, t int, v int, secret int, owner name DEFAULT 'regress_asof_reader');
INSERT INTO spine SELECT i, i % 5, i FROM generate_series(1, 40) i;
INSERT INTO f SELECT i % 5, i, i, -i, CASE WHEN i % 2 = 0 THEN 'regress_asof_reader' ELSE 'other' END FROM generate_series(1, 40) i;
ANALYZE;
GRANT SELECT ON spine TO regress_asof_reader;
SET enable_nestloop = off;
SET feathub.asof_join_strategy = spine_hash;
CREATE FUNCTION run(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  result text;
  node bool := false;
  line text;
BEGIN
  FOR line IN EXECUTE 'EXPLAIN ' || query LOOP
    node := node OR line LIKE '%FeathubAsofJoin%';
  END LOOP;
  EXECUTE query INTO result;
  RETURN concat_ws(' ', result, CASE WHEN node THEN 'by the node' END);
EXCEPTION WHEN insufficient_privilege OR division_by_zero THEN
  RETURN sqlerrm;
END $$;

-- No SELECT: an error, also where nothing of the table is in the output. Of some columns: only on those.
SET ROLE regress_asof_reader;
SELECT run('SELECT sum(x.v) FROM spine s JOIN LATERAL (SELECT v FROM f WHERE f.k = s.k AND f.t <= s.ts ORDER BY f.t DESC LIMIT 1) x ON true');
SELECT run('SELECT count(*) FROM spine s JOIN LATERAL (SELECT 1 FROM f WHERE f.k = s.k AND f.t <= s.ts ORDER BY f.t DESC LIMIT 1) x ON true');
RESET ROLE;
GRANT SELECT (k, t, v) ON f TO regress_asof_reader;
SET ROLE regress_asof_reader;
SELECT run('SELECT sum(x.v) FROM spine s JOIN LATERAL (SELECT v FROM f WHERE f.k = s.k AND f.t <= s.ts ORDER BY f.t DESC LIMIT 1) x ON true');
SELECT run('SELECT sum(x.secret) FROM spine s JOIN LATERAL (SELECT secret FROM f WHERE f.k = s.k AND f.t <= s.ts ORDER BY f.t DESC LIMIT 1) x ON true');
SELECT run('SELECT count(*) FROM spine s JOIN LATERAL (SELECT v FROM f WHERE f.k = s.k AND f.t <= s.ts AND secret < 0 ORDER BY f.t DESC LIMIT 1) x ON true');
SELECT run('SELECT count(*) FROM spine s JOIN LATERAL (SELECT v FROM f WHERE f.k = s.k AND f.t <= s.ts ORDER BY f.t DESC, secret LIMIT 1) x ON true');
RESET ROLE;

-- By a view: its owner's rights.
CREATE VIEW v AS SELECT s.id, x.secret FROM spine s JOIN LATERAL (SELECT secret FROM f WHERE f.k = s.k AND f.t <= s.ts ORDER BY f.t DESC LIMIT 1) x ON true;
GRANT SELECT ON v TO regress_asof_reader;
SET ROLE regress_asof_reader;
SELECT run('SELECT sum(secret) FROM v');
RESET ROLE;
REVOKE SELECT ON v FROM regress_asof_reader;
SET ROLE regress_asof_reader;
SELECT run('SELECT sum(secret) FROM v');
RESET ROLE;

-- A plan that is kept is checked again.
GRANT SELECT ON f TO regress_asof_reader;
SET ROLE regress_asof_reader;
PREPARE kept AS SELECT sum(x.v) FROM spine s JOIN LATERAL (SELECT v FROM f WHERE f.k = s.k AND f.t <= s.ts ORDER BY f.t DESC LIMIT 1) x ON true;
EXECUTE kept;
RESET ROLE;
REVOKE SELECT ON f FROM regress_asof_reader;
REVOKE SELECT (k, t, v) ON f FROM regress_asof_reader;
SET ROLE regress_asof_reader;
EXECUTE kept;
RESET ROLE;

-- Row security: rows that a role may not see are no latest rows, and leak by no function in the query.
GRANT SELECT ON f TO regress_asof_reader;
CREATE POLICY mine ON f FOR SELECT USING (owner = current_user);
ALTER TABLE f ENABLE ROW LEVEL SECURITY;
EXECUTE kept;
SELECT run('SELECT sum(x.v) FROM spine s JOIN LATERAL (SELECT v FROM f WHERE f.k = s.k AND f.t <= s.ts ORDER BY f.t DESC LIMIT 1) x ON true');
SET ROLE regress_asof_reader;
EXECUTE kept;
SELECT run('SELECT sum(x.v) FROM spine s JOIN LATERAL (SELECT v FROM f WHERE f.k = s.k AND f.t <= s.ts ORDER BY f.t DESC LIMIT 1) x ON true');
SELECT run('SELECT count(*) FROM spine s JOIN LATERAL (SELECT v FROM f WHERE f.k = s.k AND f.t <= s.ts AND 1 / (v % 2 - 1) < 5 ORDER BY f.t DESC LIMIT 1) x ON true');
SELECT run('SELECT count(*) FROM spine s JOIN LATERAL (SELECT v FROM f WHERE f.k = s.k AND f.t <= s.ts ORDER BY f.t DESC LIMIT 1) x ON 1 / (x.v % 2 - 1) < 5');
RESET ROLE;
SET feathub.enable_asof_join = off;
SET ROLE regress_asof_reader;
SET enable_nestloop = on;
SELECT run('SELECT sum(x.v) FROM spine s JOIN LATERAL (SELECT v FROM f WHERE f.k = s.k AND f.t <= s.ts ORDER BY f.t DESC LIMIT 1) x ON true');
RESET ROLE;
SET enable_nestloop = off;
RESET feathub.enable_asof_join;

-- A policy with a sub-select is not for the node; the result is the same.
CREATE POLICY few ON f AS RESTRICTIVE FOR SELECT USING (v IN (SELECT id FROM spine WHERE id < 30));
SET ROLE regress_asof_reader;
SELECT run('SELECT sum(x.v) FROM spine s JOIN LATERAL (SELECT v FROM f WHERE f.k = s.k AND f.t <= s.ts ORDER BY f.t DESC LIMIT 1) x ON true');
RESET ROLE;

-- A security barrier above the join: what might leak comes after its conditions.
CREATE VIEW barrier WITH (security_barrier) AS SELECT s.id, x.v FROM spine s LEFT JOIN LATERAL (SELECT v FROM f WHERE f.k = s.k AND f.t <= s.ts ORDER BY f.t DESC LIMIT 1) x ON true WHERE x.v % 2 = 0;
GRANT SELECT ON barrier TO regress_asof_reader;
SET ROLE regress_asof_reader;
SELECT run('SELECT count(*) FROM barrier WHERE 1 / (v % 2 - 1) < 5');
RESET ROLE;

SET client_min_messages = warning;
DROP SCHEMA asof_permissions CASCADE;
DROP ROLE regress_asof_reader;
