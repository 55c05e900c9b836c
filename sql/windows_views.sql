-- Windows over the history of feature groups in feature views.
CREATE EXTENSION IF NOT EXISTS feathub;
CREATE SCHEMA windows_views;
SET search_path = windows_views;
SET timezone = 'UTC';
SET datestyle = ISO;

CREATE TABLE click_source (user_id text, t timestamptz, item text, cost int);
SELECT feathub.create_feature_group('click', 'click_source', '{user_id}', 't');
INSERT INTO click VALUES
  ('a', '2020-01-01 10:00', 'x', 1), ('a', '2020-01-01 11:00', 'y', 2), ('a', '2020-01-01 12:00', 'x', NULL),
  ('a', '2020-01-01 13:00', 'x', 8), ('b', '2020-01-01 12:00', 'z', 16);
CREATE TABLE spine (id int PRIMARY KEY, user_id text, ts timestamptz);
INSERT INTO spine VALUES (1, 'a', '2020-01-01 09:59'), (2, 'a', '2020-01-01 10:00'), (3, 'a', '2020-01-01 12:00'),
  (4, 'a', '2020-01-01 13:30'), (5, 'b', '2020-01-01 13:00'), (6, 'c', '2020-01-01 13:00'), (7, NULL, '2020-01-01 13:00'), (8, 'a', NULL);

-- A subquery over the group's own table, bounded by the spine's event time.
SELECT feathub.create_feature_view('by_hand', $$
  SELECT f.id, f.user_id, w.n, w.total, w.items
    FROM spine f LEFT JOIN LATERAL (
      SELECT count(*) AS n, sum(c.cost) AS total, array_agg(c.item ORDER BY c.t) AS items
        FROM click c
       WHERE c.user_id = f.user_id AND c.t BETWEEN f.ts - interval '2 hours' AND f.ts) w ON true $$, 'ts');
SELECT * FROM by_hand ORDER BY id;
SELECT pg_get_viewdef('by_hand'::regclass, true);
SELECT pg_get_functiondef('by_hand_online'::regproc);
SELECT * FROM by_hand_online(user_id => 'a', ts => '2020-01-01 12:00');
SELECT * FROM by_hand_online(user_id => 'a');
INSERT INTO click VALUES ('a', now() - interval '1 minute', 'now', 5), ('a', now() + interval '1 hour', 'future', 5);
SELECT * FROM by_hand_online(user_id => 'a');
DELETE FROM click WHERE t > '2020-02-01';

-- The short form: the same.
SELECT feathub.create_window_function('click_2h', 'click',
         'count(*) AS n, sum(cost) AS total, array_agg(item ORDER BY t) AS items', range => '2 hours');
SELECT pg_get_functiondef('click_2h'::regproc);
SELECT feathub.create_feature_view('by_function', $$
  SELECT f.id, f.user_id, w.n, w.total, w.items FROM spine f LEFT JOIN LATERAL click_2h(f.user_id, f.ts) w ON true $$, 'ts');
SELECT pg_get_viewdef('by_function'::regclass, true);
SELECT count(*) FROM (TABLE by_hand EXCEPT ALL TABLE by_function) d;
SELECT * FROM by_function_online(user_id => 'a', ts => '2020-01-01 12:00');
SELECT feathub.get_feature_vectors('by_function', '[{"user_id": "a", "ts": "2020-01-01 12:00"}, {"user_id": "c"}]');
-- by itself, and by default now
SELECT * FROM click_2h('a', '2020-01-01 13:00');
SELECT * FROM click_2h('a');
EXPLAIN (COSTS off) SELECT n FROM click_2h('a', '2020-01-01 13:00');
-- other names for the columns, and columns of one function only
SELECT feathub.create_feature_view('renamed', $$
  SELECT f.id, w.c1, w.total FROM spine f CROSS JOIN LATERAL click_2h(f.user_id, f.ts) AS w (c1) $$, 'ts');
SELECT * FROM renamed ORDER BY id;

-- bounds: which ends belong to the window
SELECT b, (SELECT string_agg(x, ' ') FROM (SELECT feathub.create_window_function('ends_' || n, 'click', 'array_agg(cost ORDER BY t) AS costs',
         range => '1 hour', bounds => b)::text AS x) s) FROM (VALUES (1, '[]'), (2, '(]'), (3, '[)'), (4, '()')) v (n, b);
SELECT e1.costs, e2.costs, e3.costs, e4.costs FROM ends_1('a', '2020-01-01 11:00') e1, ends_2('a', '2020-01-01 11:00') e2,
  ends_3('a', '2020-01-01 11:00') e3, ends_4('a', '2020-01-01 11:00') e4;
-- the last rows, all of the past, other keys, no key, a filter
SELECT feathub.create_window_function('last_2', 'click', 'array_agg(cost ORDER BY t) AS costs', row_limit => 2);
SELECT feathub.create_window_function('last_1', 'click', 'item, t', row_limit => 1);
SELECT feathub.create_window_function('by_item', 'click', 'count(*) AS n', keys => '{item}');
SELECT feathub.create_window_function('of_all', 'click', 'count(*) AS n, max(cost) AS most', keys => '{}', row_limit => 3);
SELECT feathub.create_window_function('only_x', 'click', 'sum(cost) AS total', filter => $$item = 'x' OR item IS NULL$$, row_limit => 2);
SELECT * FROM last_2('a', '2020-01-01 12:00');
SELECT * FROM last_1('a', '2020-01-01 12:30');
SELECT * FROM last_1('nobody', '2020-01-01 12:30');
SELECT * FROM by_item('x', '2020-01-01 12:30');
SELECT * FROM of_all('2020-01-01 12:30');
SELECT * FROM only_x('a', '2020-01-01 13:00');
SELECT feathub.create_feature_view('many', $$
  SELECT f.id, f.user_id, l.costs, o.n, x.total, coalesce(x.total, 0) AS or_zero
    FROM spine f LEFT JOIN LATERAL last_2(f.user_id, f.ts) l ON true
    LEFT JOIN LATERAL of_all(f.ts) o ON true LEFT JOIN LATERAL only_x(f.user_id, f.ts) x ON true $$, 'ts');
SELECT * FROM many ORDER BY id;
SELECT feature, feature_group, source_column FROM feathub.feature WHERE feature_view = 'many'::regclass ORDER BY number;

-- A group that is bounded by another one: what was known at each row of the window.
CREATE TABLE price_source (item text, t timestamptz, price int);
SELECT feathub.create_feature_group('price', 'price_source', '{item}', 't', deletes => true);
INSERT INTO price VALUES ('x', '2020-01-01 00:00', 10), ('x', '2020-01-01 11:30', 20), ('y', '2020-01-01 00:00', 100);
SELECT feathub.create_feature_view('spent', $$
  SELECT f.id, f.user_id, w.spent
    FROM spine f LEFT JOIN LATERAL (
      SELECT sum(c.cost * p.price) AS spent
        FROM click c CROSS JOIN LATERAL (
          SELECT p.price FROM price p WHERE p.item = c.item AND p.t <= c.t ORDER BY p.t DESC LIMIT 1) p
       WHERE c.user_id = f.user_id AND f.ts >= c.t) w ON true $$, 'ts');
SELECT * FROM spent ORDER BY id;
SELECT pg_get_viewdef('spent'::regclass, true) LIKE '%feathub_deleted IS NOT TRUE%' AS without_deleted;
-- deleted rows do not count, in the short form neither
SELECT feathub.create_window_function('prices', 'price', 'count(*) AS n');
SELECT * FROM prices('x', '2020-01-02');
UPDATE price SET feathub_deleted = true, price = NULL WHERE item = 'x' AND t = '2020-01-01 00:00';
SELECT * FROM prices('x', '2020-01-02');
SELECT * FROM spent ORDER BY id;

-- in expressions, below unions and joins
SELECT feathub.create_feature_view('nested', $$
  SELECT f.id, f.user_id, EXISTS (SELECT FROM click c WHERE c.user_id = f.user_id AND c.t < f.ts - interval '1 hour') AS seen,
         (SELECT count(*) FROM (SELECT 1 FROM click c WHERE c.t <= f.ts UNION ALL SELECT 2 FROM price p WHERE p.t <= f.ts::date) u) AS n,
         (SELECT count(p.price) FROM spine s LEFT JOIN price p ON p.item = 'x' AND p.t < f.ts) AS m
    FROM spine f $$, 'ts');
SELECT * FROM nested ORDER BY id;
-- a group's own table is the spine: each row sees itself and those before
SELECT feathub.create_feature_view('running', $$
  SELECT c.user_id, c.t, w.total, w.n FROM click c LEFT JOIN LATERAL (
    SELECT sum(o.cost) AS total, count(*) AS n FROM click o WHERE o.user_id = c.user_id AND o.t <= c.t) w ON true $$);
SELECT * FROM running ORDER BY user_id, t;
-- types of time
CREATE TABLE day_source (k int, day date, v int);
SELECT feathub.create_feature_group('daily', 'day_source', '{k}', 'day');
INSERT INTO daily VALUES (1, '2020-01-01', 1), (1, '2020-01-02', 2), (1, '2020-01-03', 3);
SELECT feathub.create_window_function('days', 'daily', 'sum(v) AS v', range => '1 day');
SELECT * FROM days(1, '2020-01-02');
SELECT pg_get_function_arguments('days'::regproc);
SELECT feathub.create_feature_view('of_days', 'SELECT f.id, w.v FROM spine f LEFT JOIN LATERAL days(1, f.ts::date) w ON true', 'ts');
SELECT * FROM of_days WHERE id = 1;

-- aggregates
SELECT feathub.value_counts(x) FROM (VALUES ('b'), ('a'), (NULL), ('b')) v (x);
SELECT feathub.value_counts(x) FROM (VALUES (1.5), (2), (1.50)) v (x);
SELECT feathub.value_counts(x) FROM (SELECT 1 AS x WHERE false) v;
SELECT feathub.value_counts(NULL::text);
SELECT feathub.first_value(x, t), feathub.last_value(x, t), feathub.last_values(x, t, 2), feathub.last_values(x, t, 100)
  FROM (VALUES ('b', '2020-01-02'::date), ('c', '2020-01-03'), ('a', '2020-01-01'), ('none', NULL)) v (x, t);
SELECT feathub.first_value(x, t), feathub.last_value(x, t), feathub.last_values(x, t, 2)
  FROM (VALUES (NULL, '2020-01-01'::timestamptz), (repeat('x', 3), '2020-01-02'), (NULL, '2020-01-03')) v (x, t);
SELECT feathub.first_value(x, t), feathub.last_value(x, t), feathub.last_values(x, t, 3) FROM (SELECT 1 AS x, now() AS t WHERE false) v;
SELECT feathub.last_values(n, '2020-01-01'::timestamptz + n % 50 * interval '1 s', 4) FROM generate_series(0, 499) n;
SELECT feathub.last_values(1, now(), 0);
SELECT n % 2 AS g, feathub.value_counts(n % 3) FROM generate_series(1, 10) n GROUP BY 1 ORDER BY 1;

DROP TABLE click;
DROP FUNCTION click_2h;
SET client_min_messages = warning;
DROP SCHEMA windows_views CASCADE;
