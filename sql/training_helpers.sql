-- Columns for training only and for inference only.
CREATE EXTENSION IF NOT EXISTS feathub;
CREATE SCHEMA training_helpers;
SET search_path = training_helpers;
SET timezone = 'UTC';
SET datestyle = ISO;

CREATE TABLE w_source (origin text, t timestamptz, temp float8);
SELECT feathub.create_feature_group('weather', 'w_source', '{origin}', 't');
INSERT INTO weather VALUES ('JFK', '2020-01-01', 7);
INSERT INTO weather_online VALUES ('JFK', '2020-01-01', 7);
CREATE TABLE flights (id int, origin text, ts timestamptz, weight float8, late bool);
INSERT INTO flights VALUES (1, 'JFK', '2020-01-02', 0.5, true);
SELECT feathub.create_feature_view('v', $$
  SELECT f.id, f.origin, f.ts, w.temp, w.t AS temp_at, f.weight, f.late FROM flights f LEFT JOIN weather w USING (origin) WHERE f.weight > 0 $$,
  'ts', '{late}', training_helpers => '{weight}', inference_helpers => '{temp_at,id}');
TABLE v;
SELECT * FROM v_online(origin => 'JFK', ts => '2020-01-03', id => 5);
SELECT feathub.create_training_data('v', 'd');
TABLE d;
SELECT feathub.create_training_data('v', 'd2', spine => $$SELECT 1 AS id, 'JFK' AS origin, timestamptz '2020-01-05' AS ts, 'x' AS note$$);
TABLE d2;
SELECT feature, label, helper FROM feathub.feature WHERE feature_view = 'v'::regclass ORDER BY number;
SELECT labels, training_helpers, inference_helpers FROM feathub.feature_view WHERE feature_view = 'v'::regclass;
-- renamed, changed, reset
ALTER VIEW v RENAME COLUMN weight TO "Weight";
ALTER VIEW v RENAME COLUMN temp_at TO known_at;
SELECT labels, training_helpers, inference_helpers FROM feathub.feature_view WHERE feature_view = 'v'::regclass;
SELECT feathub.alter_feature_view('v');
SELECT * FROM v_online(origin => 'JFK', ts => '2020-01-03', id => 5);
SELECT feathub.alter_feature_view('v', training_helpers => '{temp}', inference_helpers => '{known_at}');
SELECT * FROM v_online(origin => 'JFK', ts => '2020-01-03', id => 5, weight => 1);
SELECT feathub.alter_feature_view('v', reset => '{training_helpers,inference_helpers}');
SELECT training_helpers, inference_helpers FROM feathub.feature_view WHERE feature_view = 'v'::regclass;
SELECT * FROM v_online(origin => 'JFK', ts => '2020-01-03', id => 5, weight => 1);
-- a renamed column of training data keeps its statistics
ALTER TABLE d RENAME COLUMN temp TO degrees;
SELECT feature, split, mean FROM feathub.training_statistics WHERE training_data = 'd'::regclass AND mean = 7 ORDER BY split;
-- errors
SELECT feathub.create_feature_view('e', 'SELECT f.id, f.late FROM flights f', training_helpers => '{nothing}');
SELECT feathub.create_feature_view('e', 'SELECT f.id, f.late FROM flights f', inference_helpers => '{nothing}');
SELECT feathub.create_feature_view('e', 'SELECT f.id, f.late FROM flights f', inference_helpers => '{NULL}');
SELECT feathub.create_feature_view('e', 'SELECT f.id, f.late FROM flights f', training_helpers => '{late,late}');
SELECT feathub.create_feature_view('e', 'SELECT f.id, f.late FROM flights f', labels => '{late}', training_helpers => '{late}');
SELECT feathub.create_feature_view('e', 'SELECT f.id, f.late FROM flights f', inference_helpers => '{late}', training_helpers => '{late}');
SELECT feathub.create_feature_view('e', 'SELECT f.id, f.late FROM flights f', labels => '{late}', training_helpers => '{id}');

SET client_min_messages = warning;
DROP SCHEMA training_helpers CASCADE;
