-- Statistics of training data, for each feature and split.
CREATE EXTENSION IF NOT EXISTS feathub;
CREATE SCHEMA training_statistics;
SET search_path = training_statistics;
SET timezone = 'UTC';
SET datestyle = ISO;

CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');
CREATE DOMAIN percent AS numeric CHECK (value >= 0);
CREATE TABLE spine (k int, ts timestamptz, i int, f float8, n percent, b bool, s text, m mood, d date, j jsonb, js json, p point, a int[], u uuid, "Odd name" varchar(3), e text);
INSERT INTO spine SELECT n, timestamptz '2020-01-01' + n * interval '1 hour', n % 10, CASE WHEN n % 5 > 0 THEN n / 4.0 END, n % 3, n % 2 = 0, 'v' || n % 4,
  (ARRAY['sad', 'ok', 'happy']::mood[])[1 + n % 3], date '2020-01-01' + n, jsonb_build_object('a', n % 2), '{}', point(1, n), ARRAY[n % 2, 1],
  ('00000000-0000-0000-0000-00000000000' || n % 3)::uuid, chr(97 + n % 3), NULL FROM generate_series(0, 99) n;
SELECT feathub.create_feature_view('v', 'SELECT * FROM spine s', 'ts');
SELECT feathub.create_training_data('v', 'd', '{"train": "2020-01-04", "test": null}');
SELECT feature, split, row_count, nulls, distinct_values, min, max, round(mean::numeric, 4) AS mean, round(stddev::numeric, 4) AS stddev
  FROM feathub.training_statistics WHERE training_data = 'd'::regclass ORDER BY feature COLLATE "C", split;
SELECT feature, split, quantiles FROM feathub.training_statistics WHERE training_data = 'd'::regclass AND quantiles IS NOT NULL ORDER BY feature COLLATE "C", split;
SELECT feature, top_values FROM feathub.training_statistics WHERE training_data = 'd'::regclass AND split = 'train' AND distinct_values < 5 ORDER BY feature COLLATE "C";
SELECT feature, split, categories FROM feathub.training_statistics WHERE training_data = 'd'::regclass AND distinct_values < 5 ORDER BY feature COLLATE "C", split;
-- the same as the plain definition
SELECT count(*) FROM feathub.training_statistics t
  JOIN (SELECT split, count(*) AS n, avg(f) AS mean, stddev_pop(f) AS sd, percentile_cont(0.5) WITHIN GROUP (ORDER BY f) AS median FROM d GROUP BY GROUPING SETS ((split), ())) r
    ON r.split IS NOT DISTINCT FROM t.split
 WHERE training_data = 'd'::regclass AND feature = 'f' AND row_count = n AND abs(t.mean - r.mean) < 1e-12 AND abs(t.stddev - r.sd) < 1e-12 AND t.quantiles[4] = median;
-- many values have no categories; no rows, no statistics but one row for all
SELECT feathub.create_feature_view('big', 'SELECT g.k, g.k % 7 AS r FROM (SELECT generate_series(1, 1001) AS k) g');
SELECT feathub.create_training_data('big', 'd_big');
SELECT feature, split, distinct_values, jsonb_array_length(top_values) AS top, cardinality(categories) AS categories
  FROM feathub.training_statistics WHERE training_data = 'd_big'::regclass ORDER BY 1, 2;
SELECT feathub.create_training_data('big', 'd_none', filter => 'k < 0');
SELECT feature, split, row_count, nulls, distinct_values, min, mean, quantiles, top_values, categories FROM feathub.training_statistics WHERE training_data = 'd_none'::regclass ORDER BY 1, 2;
SELECT splits, row_count, content_hash FROM feathub.training_data WHERE training_data = 'd_none'::regclass;
-- without
SELECT feathub.create_training_data('big', 'd_without', statistics => false);
SELECT count(*) FROM feathub.training_statistics WHERE training_data = 'd_without'::regclass;

SET client_min_messages = warning;
DROP SCHEMA training_statistics CASCADE;
SELECT count(*) FROM feathub.training_statistic;
