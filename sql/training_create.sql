-- Training data: a table of a feature view's rows with their split, and what is recorded of it.
CREATE EXTENSION IF NOT EXISTS feathub;
CREATE SCHEMA training_create;
SET search_path = training_create;
SET timezone = 'UTC';
SET datestyle = ISO;

CREATE TABLE w_source (origin text, t timestamptz, temp float8);
SELECT feathub.create_feature_group('weather', 'w_source', '{origin}', 't');
INSERT INTO weather SELECT o, timestamptz '2020-01-01' + h * interval '1 hour', h FROM unnest('{JFK,LGA}'::text[]) o, generate_series(0, 99) h;
CREATE TABLE planes (tailnum text PRIMARY KEY, seats int);
INSERT INTO planes SELECT 'N' || n, 100 + n FROM generate_series(0, 9) n;
CREATE TABLE flights (id int PRIMARY KEY, origin text, tailnum text, sched_dep timestamptz, distance int, late bool);
INSERT INTO flights SELECT n, CASE WHEN n % 2 = 0 THEN 'JFK' ELSE 'LGA' END, 'N' || n % 10,
  timestamptz '2020-01-01' + n * interval '5 minutes', n % 7 * 100, n % 3 = 0 FROM generate_series(0, 999) n;
SELECT feathub.create_feature_view('delay', $$
  SELECT f.origin, f.tailnum, f.sched_dep, w.temp, p.seats, f.distance / 100.0 AS hundreds, f.late
    FROM flights f LEFT JOIN weather w USING (origin) LEFT JOIN planes p USING (tailnum)
   WHERE f.late IS NOT NULL $$, 'sched_dep', '{late}');

-- all of it
SELECT feathub.create_training_data('delay', 'everything');
SELECT split, count(*) FROM everything GROUP BY split;
SELECT count(*) FROM (SELECT * FROM delay EXCEPT ALL SELECT origin, tailnum, sched_dep, temp, seats, hundreds, late FROM everything) d;
\x
SELECT feature_view, definition LIKE '%LATERAL%training_create.weather%' AS definition, query, arguments - 'search_path' AS arguments,
       splits, row_count, content_hash = (SELECT feathub.content_hash(e) FROM everything e) AS hash, snapshot_at <= now() AS snapshot
  FROM feathub.training_data WHERE training_data = 'everything'::regclass;
\x

-- at random: by the hash of the entity keys, the event time and the seed
SELECT feathub.create_training_data('delay', 'v1', '{"train": 0.8, "test": 0.2}', seed => 42);
SELECT splits FROM feathub.training_data WHERE training_data = 'v1'::regclass;
\pset format unaligned
SELECT query FROM feathub.training_data WHERE training_data = 'v1'::regclass;
\pset format aligned
SELECT count(*) FILTER (WHERE split <> CASE WHEN feathub.split_fraction(42, jsonb_build_array(origin, tailnum, timezone('UTC', sched_dep))) < 0.2 THEN 'test' ELSE 'train' END) AS differ,
       abs(avg((split = 'test')::int) - 0.2) < 0.04 AS about FROM v1;
SELECT feathub.split_fraction(0, '[]'), feathub.split_fraction(-1, '["a", 1]');
SELECT feathub.split_fraction(7, '["x"]') = ('x' || left(encode(sha256('7:["x"]'), 'hex'), 13))::bit(52)::bigint::float8 / (2::float8 ^ 52)
    OR abs(feathub.split_fraction(7, '["x"]') - ('x' || left(encode(sha256('7:["x"]'), 'hex'), 13))::bit(52)::bigint::float8 / (2::float8 ^ 52)) < 1e-15 AS as_told;
-- the same seed, order of names and zone: the same rows; another seed: others
SET timezone = 'Asia/Kolkata';
SELECT feathub.create_training_data('delay', 'v1_again', '{"test": 0.2, "train": 0.80}', 42);
SET timezone = 'UTC';
SELECT feathub.create_training_data('delay', 'v2', '{"train": 0.8, "test": 0.2}', 43);
SELECT count(DISTINCT content_hash) FROM feathub.training_data WHERE training_data IN ('v1'::regclass, 'v1_again'::regclass, 'v2'::regclass);
-- the same entity never in two splits
SELECT feathub.create_training_data('delay', 'by_plane', '{"train": 0.5, "validation": 0.25, "test": 0.25}', 1, split_by => '{tailnum}');
SELECT count(*), sum(n) FROM (SELECT tailnum, count(DISTINCT split) AS n FROM by_plane GROUP BY tailnum) s;
SELECT array_agg(DISTINCT split ORDER BY split) FROM by_plane;
-- by time, in [start, end)
SELECT feathub.create_training_data('delay', 'by_time', '{"train": "2020-01-02", "validation": "2020-01-03", "test": null}',
         start_time => '2020-01-01 12:00', end_time => '2020-01-04');
SELECT split, min(sched_dep), max(sched_dep), count(*) FROM by_time GROUP BY split ORDER BY 2;
SELECT feathub.create_training_data('delay', 'bounded', '{"train": "2020-01-02", "test": "2020-01-03"}');
SELECT split, min(sched_dep), max(sched_dep), count(*) FROM bounded GROUP BY split ORDER BY 2;
SELECT feathub.create_training_data('delay', 'one', '{"all": null}', as_of => '2020-01-02');
SELECT split, max(sched_dep), count(*) FROM one GROUP BY split;
-- a filter over the view's columns
SELECT feathub.create_training_data('delay', 'filtered', '{"only": 1}', filter => $$origin = 'JFK' AND temp > 10 -- warm$$);
SELECT split, min(origin), max(origin), min(temp), count(*) FROM filtered GROUP BY split;
\pset format unaligned
SELECT query FROM feathub.training_data WHERE training_data = 'filtered'::regclass;
\pset format aligned

-- another spine: keys and event time, and columns of its own
SELECT feathub.create_training_data('delay', 'asked', spine => $$
  VALUES ('JFK', 'N3', '2020-01-01 10:30+00'::timestamptz, 700), ('LGA', 'N4', '2019-12-31', 1), ('none', NULL, '2020-01-05', NULL) $$);
SELECT feathub.create_training_data('delay', 'asked', spine => $$
  SELECT * FROM (VALUES ('JFK', 'N3', '2020-01-01 10:30+00'::timestamptz, 700, 'extra'), ('LGA', 'N4', '2019-12-31', 1, NULL), ('none', NULL, '2020-01-05', NULL, 'no'))
    AS v (origin, tailnum, sched_dep, distance, note) $$);
TABLE asked ORDER BY sched_dep;
\pset format unaligned
SELECT query FROM feathub.training_data WHERE training_data = 'asked'::regclass;
\pset format aligned
-- with the label, and types that are cast to the view's
SELECT feathub.create_training_data('delay', 'labelled', '{"a": 0.5, "b": 0.5}', spine => $$
  SELECT 'JFK'::varchar AS origin, 'N' || n AS tailnum, timestamp '2020-01-01' + n * interval '1 hour' AS sched_dep, n::bigint AS distance, n % 2 = 0 AS late
    FROM generate_series(1, 8) n $$, filter => 'late', start_time => '2020-01-01 03:00');
SELECT origin, tailnum, sched_dep, temp, seats, late FROM labelled ORDER BY sched_dep;
-- labels with windows: over the rows of the spine that is there, before the filter; or left out
SELECT feathub.create_feature_view('next_late', $$
  SELECT f.id, f.origin, f.sched_dep, w.temp, lead(f.late) OVER (PARTITION BY f.tailnum ORDER BY f.sched_dep, f.id) AS next_late
    FROM flights f LEFT JOIN weather w USING (origin) $$, 'sched_dep', '{next_late}');
SELECT feathub.create_training_data('next_late', 'with_window', filter => 'id < 20');
SELECT count(*), count(next_late) FROM with_window;
SELECT feathub.create_training_data('next_late', 'over_spine', spine => $$
  SELECT id, origin, sched_dep, tailnum, late FROM flights WHERE id < 20 $$);
SELECT count(*), count(next_late) FROM over_spine;
SELECT feathub.create_training_data('next_late', 'without_window', spine => $$
  SELECT 7 AS id, 'JFK' AS origin, timestamptz '2020-01-03' AS sched_dep, false AS next_late $$);
TABLE without_window;
-- a group as the spine, with a key that the view does not show
SELECT feathub.create_feature_view('of_weather', 'SELECT w.origin, w.t, w.temp FROM weather w WHERE w.temp < 50');
SELECT feathub.create_training_data('of_weather', 'from_group', '{"a": 0.5, "b": 0.5}', 3, end_time => '2020-01-02');
SELECT sum(row_count), (SELECT count(DISTINCT split) FROM from_group) FROM feathub.training_data WHERE training_data = 'from_group'::regclass;

-- make it again, compare, verify
SELECT feathub.recreate_training_data('v1', 'v1_copy');
SELECT feathub.verify_training_data('v1'), feathub.verify_training_data('v1_copy');
UPDATE v1_copy SET seats = seats + 1 WHERE tailnum = 'N3';
SELECT feathub.verify_training_data('v1'), feathub.verify_training_data('v1_copy');
UPDATE v1_copy SET seats = seats - 1 WHERE tailnum = 'N3';
SELECT feathub.verify_training_data('v1_copy');
INSERT INTO flights VALUES (5000, 'JFK', 'N1', '2020-01-02', 1, true);
SELECT feathub.recreate_training_data('v1', 'v1_later');
SELECT feathub.recreate_training_data('by_time', 'by_time_copy');
SELECT feathub.recreate_training_data('asked', 'asked_copy');

-- columns are as the view's; the table is the caller's to do with as he likes
\d v1
ALTER TABLE v1 RENAME TO v1_renamed;
SELECT training_data FROM feathub.training_data WHERE training_data::text LIKE 'v1%' ORDER BY 1;
-- dropped with its table, or by its function
DROP TABLE v1_renamed;
SELECT feathub.drop_training_data('v1_copy');
SELECT feathub.drop_training_data('v1_copy', if_exists => true);
SELECT training_data FROM feathub.training_data WHERE training_data::text LIKE 'v1%' ORDER BY 1;
SELECT count(*) FROM feathub.training_statistics WHERE training_data::text LIKE 'v1_copy' OR training_data::oid NOT IN (SELECT oid FROM pg_class);
-- whatever the session's settings
CREATE TABLE stays (id int PRIMARY KEY, length interval, weight float8, at timestamptz);
INSERT INTO stays SELECT n, n * interval '1 day 1 hour', n / 3.0::float8, timestamptz '2020-01-01' + n * interval '1 day' FROM generate_series(1, 60) n;
SELECT feathub.create_feature_view('stay', 'SELECT s.id, s.length, s.weight, s.at FROM stays s', 'at');
SET datestyle = 'SQL, DMY';
SELECT feathub.create_training_data('stay', 'stay_v1', '{"train": 0.5, "test": 0.5}', split_by => '{length, weight}',
         start_time => '03/01/2020', end_time => '01/02/2020', filter => $$at < '12/01/2020'::text::timestamptz OR length > '1'$$);
SET intervalstyle = iso_8601;
SET extra_float_digits = -5;
SET datestyle = 'German';
SELECT feathub.recreate_training_data('stay_v1', 'stay_v2');
SHOW datestyle;
RESET intervalstyle;
RESET extra_float_digits;
SET datestyle = ISO;
SELECT feathub.recreate_training_data('stay_v1', 'stay_v3');
SELECT min(at), max(at), count(*), feathub.verify_training_data('stay_v1') FROM stay_v1;
-- it does without its view
SELECT feathub.drop_feature_view('delay');
SELECT feature_view, definition IS NOT NULL AS kept FROM feathub.training_data WHERE training_data = 'v2'::regclass;
SELECT feathub.recreate_training_data('v2', 'v3');
-- all or nothing
BEGIN;
SELECT feathub.create_training_data('of_weather', 'gone');
ROLLBACK;
SELECT to_regclass('gone'), count(*) FROM feathub.training_data WHERE training_data::text = 'gone';
SELECT * FROM feathub.training_data_progress;

-- content_hash
SELECT feathub.content_hash(x) = feathub.content_hash(y) AS same FROM (VALUES (1, 'a'), (2, NULL), (2, NULL)) x (a, b), LATERAL (SELECT x.*) y;
SELECT (SELECT feathub.content_hash(x) FROM (VALUES (1, 'a'::text), (2, NULL)) x (a, b)) = (SELECT feathub.content_hash(x) FROM (VALUES (2, NULL::text), (1, 'a')) x (a, b)) AS order_does_not_matter,
       (SELECT feathub.content_hash(x) FROM (VALUES ('ab'::text, 'c'::text)) x (a, b)) = (SELECT feathub.content_hash(x) FROM (VALUES ('a'::text, 'bc'::text)) x (a, b)) AS borders_do,
       (SELECT feathub.content_hash(x) FROM (VALUES (1), (1)) x (a)) = (SELECT feathub.content_hash(x) FROM (VALUES (1)) x (a)) AS counts_do,
       (SELECT feathub.content_hash(x) FROM (VALUES (NULL::text)) x (a)) = (SELECT feathub.content_hash(x) FROM (VALUES (''::text)) x (a)) AS nulls_do;
SELECT feathub.content_hash(x) FROM (SELECT 1 AS a WHERE false) x;
CREATE TYPE mood AS ENUM ('sad', 'happy');
CREATE TYPE pair AS (a int, m mood);
SELECT feathub.content_hash(x) FROM (VALUES ('happy'::mood, ROW(1, 'sad')::pair, ARRAY['sad'::mood], '{"a": [1]}'::jsonb, '{1,2}'::int[], 'x'::name, point(1, 2))) x;

SET client_min_messages = warning;
DROP SCHEMA training_create CASCADE;
SELECT count(*) FROM feathub.training_data;
