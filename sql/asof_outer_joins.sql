-- Point-in-time joins among outer joins: above one a column may be NULL that is not below it (16 and later mark it so).
CREATE EXTENSION IF NOT EXISTS feathub;
CREATE SCHEMA asof_outer_joins;
SET search_path = asof_outer_joins;
SET TimeZone = 'UTC';
SET max_parallel_workers_per_gather = 0;
CREATE TABLE spine (id int PRIMARY KEY, k int, ts timestamptz);
CREATE TABLE f (k int, t timestamptz, v int, w text, PRIMARY KEY (k, t));
CREATE TABLE d (id int PRIMARY KEY, ref int, name text);
INSERT INTO spine SELECT i, CASE WHEN i % 50 <> 0 THEN i % 20 END, timestamptz '2024-01-01' + (i * 7919 % 1000) * interval '1 min' FROM generate_series(1, 500) i;
INSERT INTO f SELECT i % 22, timestamptz '2024-01-01' + (i * 104729 % 900) * interval '1 min', i % 9, 'w' || i FROM generate_series(1, 700) i ON CONFLICT DO NOTHING;
INSERT INTO d SELECT i, i * 7 % 500, 'd' || i FROM generate_series(1, 400) i;
ANALYZE;

-- By each of the four strategies, whose plans must have the node, and by the server's own plan.
CREATE FUNCTION each_strategy(query text) RETURNS TABLE (nodes bigint, same bool, result text) LANGUAGE plpgsql AS $$
DECLARE
  strategy text;
  line text;
  found text;
BEGIN
  nodes := 0;
  same := true;
  FOREACH strategy IN ARRAY ARRAY['off', 'feature_hash', 'spine_hash', 'time_ordered', 'merge'] LOOP
    PERFORM set_config('feathub.enable_asof_join', CASE strategy WHEN 'off' THEN 'off' ELSE 'on' END, true),
      set_config('feathub.asof_join_strategy', CASE strategy WHEN 'off' THEN 'auto' ELSE strategy END, true),
      set_config('enable_nestloop', CASE strategy WHEN 'off' THEN 'on' ELSE 'off' END, true);
    EXECUTE 'SELECT count(*) || '' '' || coalesce(md5(string_agg(q::text, '','' ORDER BY q::text)), ''none'') FROM (' || query || ') q' INTO found;
    result := coalesce(result, found);
    same := same AND found = result;
    FOR line IN EXECUTE 'EXPLAIN ' || query LOOP
      nodes := nodes + (line LIKE '%(FeathubAsofJoin)%')::int;
    END LOOP;
  END LOOP;
  RETURN NEXT;
END $$;
CREATE VIEW latest AS SELECT s.id, s.ts, x.v, x.w, x.t FROM spine s LEFT JOIN LATERAL (SELECT * FROM f WHERE f.k = s.k AND f.t <= s.ts ORDER BY f.t DESC LIMIT 1) x ON true;
CREATE VIEW computed AS SELECT id, v, coalesce(v, -1) AS filled, v + 1 AS more, w || '!' AS loud, 7 AS seven, v IS NULL AS missing FROM latest;

SELECT e.*, q FROM unnest(ARRAY[
  -- above the join: orders, groups, windows, sets
  'SELECT * FROM latest',
  'SELECT id, coalesce(v, -1), upper(w) FROM latest',
  'SELECT id FROM latest WHERE v IS NULL',
  'SELECT id, v FROM latest WHERE coalesce(v, 5) > 4 AND w IS DISTINCT FROM ''w7''',
  'SELECT v, count(*), max(w) FROM latest GROUP BY v HAVING count(v) >= 0',
  'SELECT v + 1, count(*) FROM latest GROUP BY ROLLUP (v + 1)',
  'SELECT id, lead(v) OVER (PARTITION BY w ORDER BY ts, id), sum(v) OVER (ORDER BY id) FROM latest',
  'SELECT DISTINCT ON (v) v, id FROM latest ORDER BY v, id',
  'SELECT v, w FROM latest UNION ALL SELECT id, name FROM d',
  'SELECT id, generate_series(1, v) FROM latest',
  'SELECT id, (SELECT max(name) FROM d WHERE d.id = latest.v) FROM latest',
  'SELECT id, v FROM latest WHERE v IN (SELECT ref FROM d) OR v IS NULL',
  'SELECT id, latest FROM latest',
  'SELECT * FROM computed WHERE missing OR more > 3',
  -- the join below others
  'SELECT d.name, l.v, l.w FROM d LEFT JOIN latest l ON l.id = d.ref',
  'SELECT d.name, l.v, l.w FROM d LEFT JOIN latest l ON l.id = d.ref AND l.v > 3',
  'SELECT d.name, c.* FROM d LEFT JOIN computed c ON c.id = d.ref',
  'SELECT d.name, c.filled, c.seven FROM d FULL JOIN computed c ON c.id = d.ref',
  'SELECT d.name, c.filled, c.seven FROM computed c RIGHT JOIN d ON c.id = d.ref WHERE c.more IS NULL OR c.more > 2',
  'SELECT d.name, a.v, b.filled FROM d LEFT JOIN latest a ON a.id = d.ref LEFT JOIN computed b ON b.id = a.v',
  'SELECT a.v, d.name FROM latest a LEFT JOIN d ON d.id = a.v',
  'SELECT a.v, d.name, d2.name FROM latest a LEFT JOIN d ON d.id = a.v LEFT JOIN d d2 ON d2.id = d.ref',
  'SELECT id FROM latest a WHERE NOT EXISTS (SELECT FROM d WHERE d.id = a.v)',
  'SELECT id, v FROM latest a WHERE EXISTS (SELECT FROM d WHERE d.id = a.v)',
  -- what may be NULL is the spine, or what the subquery refers to
  'SELECT d.name, s.id, x.v FROM d LEFT JOIN spine s ON s.id = d.ref LEFT JOIN LATERAL (SELECT v FROM f WHERE f.k = s.k AND f.t <= s.ts ORDER BY f.t DESC LIMIT 1) x ON true',
  'SELECT d.name, s.id, x.v FROM d LEFT JOIN spine s ON s.id = d.ref LEFT JOIN LATERAL (SELECT v, s.k AS sk FROM f WHERE f.k = coalesce(s.k, 1) AND f.t <= coalesce(s.ts, ''2024-01-01 05:00'') ORDER BY f.t DESC LIMIT 1) x ON x.v <> s.k',
  'SELECT d.name, c.filled, x.v FROM d LEFT JOIN computed c ON c.id = d.ref LEFT JOIN LATERAL (SELECT v, c.loud FROM f WHERE f.k = c.more AND f.t <= ''2024-01-01 05:00''::timestamptz + c.filled * interval ''1 min'' ORDER BY f.t DESC LIMIT 1) x ON true',
  'SELECT s.id, x.v, y.w FROM spine s LEFT JOIN LATERAL (SELECT v FROM f WHERE f.k = s.k AND f.t <= s.ts ORDER BY f.t DESC LIMIT 1) x ON true LEFT JOIN LATERAL (SELECT w, x.v + 1 AS more FROM f WHERE f.k = x.v AND f.t <= s.ts ORDER BY f.t DESC LIMIT 1) y ON y.more > 2',
  'SELECT s.id, x.v, y.w FROM spine s LEFT JOIN LATERAL (SELECT v FROM f WHERE f.k = s.k AND f.t <= s.ts ORDER BY f.t DESC LIMIT 1) x ON true JOIN LATERAL (SELECT w FROM f WHERE f.k = x.v AND f.t <= s.ts ORDER BY f.t DESC LIMIT 1) y ON true',
  'SELECT s.id, x.v, d.name FROM spine s LEFT JOIN (d LEFT JOIN LATERAL (SELECT v FROM f WHERE f.k = d.ref AND f.t <= ''2024-01-01 08:00''::timestamptz + d.id * interval ''1 s'' ORDER BY f.t DESC LIMIT 1) x ON true) ON d.id = s.k',
  'SELECT s.id, x.* FROM spine s LEFT JOIN LATERAL (SELECT f.v, f.v * 2 AS twice, d.name, s.id + f.v AS both FROM f LEFT JOIN d ON d.id = f.v WHERE f.k = s.k AND f.t <= s.ts ORDER BY f.t DESC, d.name LIMIT 1) x ON x.name <> ''d1'' WHERE x.twice IS NULL OR x.both > 0',
  'SELECT s.id, x.* FROM spine s LEFT JOIN LATERAL (SELECT d.name, d.id AS did FROM f LEFT JOIN d ON d.id = f.v WHERE f.k = s.k AND f.t <= s.ts AND d.name IS NULL ORDER BY f.t DESC LIMIT 1) x ON true'
]) WITH ORDINALITY u (q, n), each_strategy(q) e ORDER BY n;

SET client_min_messages = warning;
DROP SCHEMA asof_outer_joins CASCADE;
