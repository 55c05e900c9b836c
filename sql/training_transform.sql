-- Scaling and encoding by the statistics of training data.
CREATE EXTENSION IF NOT EXISTS feathub;
CREATE ROLE regress_transform_user;
CREATE SCHEMA training_transform;
SET search_path = training_transform;
SET timezone = 'UTC';

CREATE TABLE w_source (origin text, t timestamptz, temp float8);
SELECT feathub.create_feature_group('weather', 'w_source', '{origin}', 't');
INSERT INTO weather SELECT 'JFK', timestamptz '2020-01-01' + h * interval '1 hour', h FROM generate_series(0, 99) h;
INSERT INTO weather_online SELECT 'JFK', '2020-01-05 03:00', 99;
CREATE TABLE flights (id int, origin text, ts timestamptz, carrier text, seats int, late bool);
INSERT INTO flights SELECT n, 'JFK', timestamptz '2020-01-01' + n * interval '1 hour', (ARRAY['UA', 'AA', 'WN', 'B6'])[1 + n % 4], 100, n % 2 = 0 FROM generate_series(0, 99) n;
SELECT feathub.create_feature_view('raw', $$
  SELECT f.id, f.origin, f.ts, w.temp, f.carrier, f.seats, f.late FROM flights f LEFT JOIN weather w USING (origin) $$, 'ts');
SELECT feathub.create_training_data('raw', 'v1', '{"train": "2020-01-04", "test": null}');

SELECT feathub.create_feature_view('scaled', $$
  SELECT f.id, f.origin, f.ts, w.temp,
         feathub.standard_scale(w.temp, 'v1', 'temp') AS z,
         feathub.min_max_scale(w.temp, 'v1', 'temp') AS m,
         feathub.robust_scale(w.temp, 'v1', 'temp', split => NULL) AS r,
         feathub.standard_scale(f.seats, 'v1', 'seats') AS constant,
         feathub.label_encode(f.carrier, 'v1', 'carrier') AS label,
         feathub.one_hot_encode(f.carrier, training_data => 'v1', feature => 'carrier', split => 'test') AS hot,
         feathub.label_encode(f.late, 'v1', 'late') AS late
    FROM flights f LEFT JOIN weather w USING (origin) $$, 'ts');
SELECT pg_get_viewdef('scaled'::regclass, true);
-- the training split has mean 0 and deviation 1, and so on
SELECT round(avg(z)::numeric, 9) AS mean, round(stddev_pop(z)::numeric, 9) AS sd, min(m), max(m) FROM scaled WHERE ts < '2020-01-04';
SELECT percentile_cont(ARRAY[0.25, 0.5, 0.75]) WITHIN GROUP (ORDER BY r) FROM scaled;
SELECT id, temp, round(z::numeric, 4) AS z, round(m::numeric, 4) AS m, constant, label, hot, late FROM scaled WHERE id IN (0, 1, 2, 3, 80) ORDER BY id;
-- serving: the same expressions; what training did not know has no label
SELECT temp, round(z::numeric, 4) AS z, constant, label, hot FROM scaled_online(origin => 'JFK', carrier => 'new', seats => 101);
SELECT z, label, hot FROM scaled_online(origin => 'nowhere');
EXPLAIN (VERBOSE, COSTS off) SELECT z FROM scaled_online(origin => 'JFK');
-- without a view: looked up
SELECT count(*) FROM scaled s JOIN flights f USING (id) WHERE z IS DISTINCT FROM feathub.standard_scale(temp, 'v1', 'temp') OR m IS DISTINCT FROM feathub.min_max_scale(temp, 'v1', 'temp')
    OR r IS DISTINCT FROM feathub.robust_scale(temp, 'v1', 'temp') OR label IS DISTINCT FROM feathub.label_encode(carrier, 'v1', 'carrier')
    OR hot IS DISTINCT FROM feathub.one_hot_encode(carrier, 'v1', 'carrier', 'test');
SELECT feathub.standard_scale(7, d, f) FROM (VALUES ('v1', 'temp'), ('v1', 'seats')) v (d, f);
SELECT feathub.label_encode(x, 'v1', 'carrier'), feathub.one_hot_encode(x, 'v1', 'carrier') FROM unnest('{AA,B6,UA,WN,zz,NULL}'::text[]) x;
-- the pure forms
SELECT feathub.standard_scale(5, 3, 2), feathub.standard_scale(5, 3, 0), feathub.standard_scale(NULL, 3, 2), feathub.min_max_scale(5, 0, 10), feathub.min_max_scale(5, 5, 5), feathub.robust_scale(5, 3, 4);
SELECT feathub.label_encode('b'::text, '{c,b,a}'), feathub.label_encode(2, '{1,2}'), feathub.label_encode('x'::text, '{}'), feathub.label_encode(NULL::text, '{a}'), feathub.label_encode('x'::text, NULL);
SELECT feathub.one_hot_encode('b'::text, '{c,b,a}'), feathub.one_hot_encode('x'::text, '{}'), feathub.one_hot_encode(NULL::text, '{a}'), feathub.one_hot_encode(true, '{f,t}');
SELECT feathub.label_encode(x, c) FROM (VALUES ('a'::text, '{b,a}'::text[]), ('a', '{a}')) v (x, c);
SELECT feathub.label_encode('x'::text, '{NULL}');

-- errors
SELECT feathub.standard_scale(1, 'nowhere', 'temp');
SELECT feathub.standard_scale(1, 'flights', 'seats');
SELECT feathub.standard_scale(1, 'v1', 'nothing');
SELECT feathub.standard_scale(1, 'v1', 'temp', 'nowhere');
SELECT feathub.standard_scale(1, 'v1', 'carrier');
SELECT feathub.standard_scale(1, NULL::text, 'temp');
SELECT feathub.label_encode(1.5, 'v1', 'nothing');
SELECT feathub.create_feature_view('e', $$SELECT feathub.standard_scale(f.seats, 'v1', f.carrier) AS x FROM flights f$$);
SELECT feathub.create_feature_view('e', $$SELECT feathub.standard_scale(f.seats, 'nowhere', 'seats') AS x FROM flights f$$);

-- rights: who makes the view must be allowed to read the feature; who reads the view need not
GRANT USAGE, CREATE ON SCHEMA training_transform TO regress_transform_user;
GRANT SELECT ON flights, scaled, weather_online TO regress_transform_user;
SET ROLE regress_transform_user;
SELECT feathub.create_feature_view('mine', $$SELECT feathub.standard_scale(f.seats, 'v1', 'seats') AS x FROM flights f$$);
SELECT feathub.standard_scale(7, 'v1', 'seats');
SELECT round(z::numeric, 4) AS z FROM scaled WHERE id = 1;
SELECT round(z::numeric, 4) AS z FROM scaled_online(origin => 'JFK');
RESET ROLE;
GRANT SELECT (seats) ON v1 TO regress_transform_user;
SET ROLE regress_transform_user;
SELECT feathub.create_feature_view('mine', $$SELECT feathub.standard_scale(f.seats, 'v1', 'seats') AS x FROM flights f$$);
SELECT feathub.standard_scale(7, 'v1', 'temp');
RESET ROLE;
-- the view does without the training data
DROP TABLE v1;
SELECT round(z::numeric, 4) AS z, label FROM scaled WHERE id = 1;

SET client_min_messages = warning;
DROP SCHEMA training_transform CASCADE;
DROP ROLE regress_transform_user;
