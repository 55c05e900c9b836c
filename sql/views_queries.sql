-- What the query of a feature view may have: windows of labels, subqueries with
-- aggregates, chains of dimensions, a group twice, self joins, names, types.
CREATE EXTENSION IF NOT EXISTS feathub;
CREATE SCHEMA views_queries;
SET search_path = views_queries;
SET TimeZone = 'UTC';

CREATE TABLE w_source (origin text, t timestamptz, temp float8);
SELECT feathub.create_feature_group('weather', 'w_source', '{origin}', 't');
CREATE TABLE p_source (tailnum text, t timestamptz, model text);
SELECT feathub.create_feature_group('plane', 'p_source', '{tailnum}', 't');
CREATE TABLE m_source (model text, maker text, seats int);
SELECT feathub.create_feature_group('model', 'm_source', '{model}');
CREATE TABLE k_source (maker text, t timestamptz, country text);
SELECT feathub.create_feature_group('maker', 'k_source', '{maker}', 't');
INSERT INTO weather VALUES ('JFK', '2020-01-01', 40), ('EWR', '2020-01-01', 50), ('JFK', '2020-01-03', 45);
INSERT INTO plane VALUES ('N1', '2019-01-01', 'A320'), ('N1', '2020-01-02', 'A321'), ('N2', '2019-01-01', 'B737');
INSERT INTO model VALUES ('A320', 'Airbus', 150), ('A321', 'Airbus', 190), ('B737', 'Boeing', 140);
INSERT INTO maker VALUES ('Airbus', '2000-01-01', 'FR'), ('Airbus', '2020-01-02', 'EU'), ('Boeing', '2000-01-01', 'US');
INSERT INTO weather_online SELECT DISTINCT ON (origin) * FROM weather ORDER BY origin, t DESC;
INSERT INTO plane_online SELECT DISTINCT ON (tailnum) * FROM plane ORDER BY tailnum, t DESC;
INSERT INTO model_online SELECT * FROM model;
INSERT INTO maker_online SELECT DISTINCT ON (maker) * FROM maker ORDER BY maker, t DESC;
CREATE TABLE flights (id int PRIMARY KEY, origin text, dest text, tailnum text, t timestamptz, delay int);
INSERT INTO flights VALUES (1, 'JFK', 'EWR', 'N1', '2020-01-01 12:00', 5), (2, 'EWR', 'JFK', 'N1', '2020-01-02 12:00', 20),
  (3, 'JFK', 'EWR', 'N2', '2020-01-03 12:00', 0), (4, 'EWR', 'JFK', 'N1', '2020-01-04 12:00', 7);

-- A label may be made of several rows; the online form knows nothing of it.
SELECT feathub.create_feature_view('next_delay', $$
  SELECT f.id, f.tailnum, w.temp, lead(f.delay) OVER (PARTITION BY f.tailnum ORDER BY f.t) AS next_delay,
         max(w.temp) OVER w AS warmest, f.t
    FROM flights f LEFT JOIN weather w USING (origin) WINDOW w AS (ORDER BY f.t, f.delay ROWS 1 PRECEDING) $$, 't', '{next_delay,warmest}');
SELECT * FROM next_delay ORDER BY id;
\sf next_delay_online
SELECT * FROM next_delay_online(id => 1, origin => 'JFK', tailnum => 'N1', t => '2020-01-05');
SELECT feathub.create_feature_view('v', 'SELECT f.id, rank() OVER (ORDER BY f.t) AS r FROM flights f', 't');
SELECT feathub.create_feature_view('v', 'SELECT f.id, rank() OVER (ORDER BY f.t) AS r, f.delay FROM flights f', 't', '{delay}');
SELECT feathub.create_feature_view('v', 'SELECT f.id, avg(f.delay) AS a FROM flights f GROUP BY f.id', 't', '{a}');

-- Aggregates and DISTINCT in subqueries of plain tables: the same in both forms.
CREATE TABLE repairs (tailnum text, at date, cost int);
INSERT INTO repairs VALUES ('N1', '2019-05-01', 10), ('N1', '2019-06-01', 30), ('N2', '2019-05-01', 5);
SELECT feathub.create_feature_view('repaired', $$
  SELECT f.id, f.tailnum, r.total, (SELECT count(DISTINCT cost) FROM repairs x WHERE x.tailnum = f.tailnum) AS prices
    FROM flights f LEFT JOIN (SELECT tailnum, sum(cost) AS total FROM repairs GROUP BY tailnum) r USING (tailnum) $$, 't');
SELECT * FROM repaired ORDER BY id;
SELECT * FROM repaired_online(1, 'N1');

-- Chained dimensions: the key of a group is a feature of another, at the same time.
SELECT feathub.create_feature_view('chain', $$
  SELECT f.id, p.model, m.seats, k.country FROM flights f LEFT JOIN plane p USING (tailnum)
    LEFT JOIN model m ON m.model = p.model LEFT JOIN maker k ON k.maker = m.maker $$, 't');
SELECT * FROM chain ORDER BY id;
SELECT * FROM chain_online(tailnum => 'N1');

-- A group twice; itself as the spine and joined; names that clash.
SELECT feathub.create_feature_view('twice', $$
  SELECT f.id, o.temp AS origin_temp, d.temp AS dest_temp, o.temp - d.temp AS difference FROM flights f
    LEFT JOIN weather o USING (origin) LEFT JOIN weather d ON d.origin = f.dest $$, 't');
SELECT * FROM twice ORDER BY id;
SELECT * FROM twice_online(id => 1, origin => 'JFK', dest => 'EWR');
SELECT feathub.create_feature_view('self', $$
  SELECT a.origin, a.t, a.temp, b.t AS b_t, b.temp AS b_temp FROM weather a LEFT JOIN weather b USING (origin) $$);
SELECT * FROM self ORDER BY origin, t;
SELECT * FROM self_online(origin => 'JFK', t => '2020-01-05', temp => 1);
SELECT feathub.create_feature_view('self_flights', $$
  SELECT f.id, g.id AS other, g.delay FROM flights f LEFT JOIN flights g ON g.id = f.id + 1 $$, 't');
SELECT * FROM self_flights ORDER BY id;
SELECT * FROM self_flights_online(3);
SELECT feathub.create_feature_view('clash', 'SELECT f.t, w.t FROM flights f LEFT JOIN weather w USING (origin)', 't');
SELECT feathub.create_feature_view('clash', 'SELECT * FROM flights f LEFT JOIN weather w USING (origin)', 't');
SELECT feathub.create_feature_view('clash', 'SELECT f.t, w.t AS "T", w.temp AS "o.t" FROM flights f LEFT JOIN weather w USING (origin)', 't');
SELECT * FROM clash_online('JFK', '2020-01-05');

-- Arguments may be called as a table's columns, the function or keywords are.
CREATE TABLE "Select" (odd_online int, "from" int, "A ""b""" text, t timestamptz);
INSERT INTO "Select" VALUES (1, 2, 'JFK', '2020-01-05');
SELECT feathub.create_feature_view('odd', $$ SELECT s.*, w.temp FROM "Select" s LEFT JOIN weather w ON w.origin = s."A ""b""" $$, 't');
SELECT * FROM odd;
SELECT * FROM odd_online(odd_online => 1, "from" => 2, "A ""b""" => 'JFK', t => '2020-01-05');
SELECT feathub.get_feature_vector('odd', '{"odd_online": 1, "A \"b\"": "JFK", "t": "2020-01-05"}');

-- Domains, arrays, enums, ranges, jsonb, composite types: through both forms and vectors.
CREATE DOMAIN positive AS int CHECK (VALUE > 0);
CREATE TYPE mood AS ENUM ('bad', 'good');
CREATE TYPE place AS (lat float8, name text);
CREATE DOMAIN here AS place;
CREATE TABLE t_source (k positive, t timestamp, tags text[], grid int[], m mood, r int4range, j jsonb, js json, p place, h here, b bytea, n numeric(10, 3));
SELECT feathub.create_feature_group('typed', 't_source', '{k}', 't');
INSERT INTO typed VALUES (1, '2020-01-01', '{a,NULL}', '{{1,2},{3,4}}', 'good', '[1,5)', '{"x": [1]}', '[1, 2]', (1.5, 'x'), (2, 'y'), '\x00ff', 1.25);
INSERT INTO typed_online TABLE typed;
CREATE TABLE t_spine (k positive, at date, tags text[], p place, j jsonb, m mood);
INSERT INTO t_spine VALUES (1, '2020-01-02', '{q}', (0, 'z'), '{"a": 1}', 'bad'), (2, '2020-01-02', NULL, NULL, NULL, NULL);
SELECT feathub.create_feature_view('types', $$
  SELECT s.k, g.tags, g.grid, g.m, g.r, g.j, g.js, g.p, g.h, g.b, g.n, (g.p).name, g.tags || s.tags AS all_tags, g.j || s.j AS both,
         s.p AS given, g.m > s.m AS better, upper(g.r) AS u FROM t_spine s LEFT JOIN typed g USING (k) $$, 'at');
SELECT * FROM types ORDER BY k;
SELECT v.* FROM t_spine s CROSS JOIN LATERAL types_online(k => s.k, at => s.at, tags => s.tags, p => s.p, j => s.j, m => s.m) v ORDER BY k;
SELECT jsonb_agg(to_jsonb(v) ORDER BY k) = feathub.get_feature_vectors('types', (SELECT jsonb_agg(to_jsonb(s) ORDER BY k) FROM t_spine s)) AS same FROM types v;
SELECT to_jsonb(v) = feathub.get_feature_vector('types', (SELECT to_jsonb(s) FROM t_spine s WHERE k = 1)) AS same FROM types v WHERE k = 1;
SELECT feathub.get_feature_vector('types', '{"k": "1", "m": "good"}') -> 'better' AS better;
SELECT feathub.get_feature_vector('types', '{"k": 0}');
SELECT feathub.get_feature_vector('types', '{"k": 1.5}');
SELECT feathub.get_feature_vector('types', '{"k": 1, "m": "fair"}');
\set VERBOSITY terse
SELECT feathub.get_feature_vector('types', '{"k": 1, "tags": "a"}');
\set VERBOSITY default
SELECT feathub.get_feature_vector('types', '{"k": true}');

-- Where columns come from.
CREATE VIEW ext AS SELECT origin, t, temp FROM w_source;
SELECT feathub.create_external_feature_group('ext', '{origin}', 't');
SELECT feathub.create_feature_view('lineage', $$
  SELECT f.id, w.temp, e.temp AS ext_temp, w.temp + e.temp AS sum, e.temp + 1 AS more, p.model || k.country AS code, f.delay
    FROM flights f LEFT JOIN weather w USING (origin) LEFT JOIN ext e ON e.origin = f.origin LEFT JOIN plane p USING (tailnum)
    LEFT JOIN maker k ON k.maker = p.model $$, 't', '{delay}');
SELECT feature, type, feature_group, source, source_column, sources, group_source, label FROM feathub.feature WHERE feature_view = 'lineage'::regclass ORDER BY number;

\set VERBOSITY terse
SET client_min_messages = warning;
DROP SCHEMA views_queries CASCADE;
