-- What training data cannot be made of, and what it says then.
CREATE EXTENSION IF NOT EXISTS feathub;
CREATE SCHEMA training_errors;
SET search_path = training_errors;
SET timezone = 'UTC';

CREATE TABLE w_source (origin text, t timestamptz, temp float8);
SELECT feathub.create_feature_group('weather', 'w_source', '{origin}', 't');
CREATE TABLE flights (id int PRIMARY KEY, origin text, sched_dep timestamptz, distance int, late bool);
INSERT INTO flights VALUES (1, 'JFK', '2020-01-01', 5, true);
SELECT feathub.create_feature_view('v', $$
  SELECT f.origin, f.sched_dep, w.temp, f.distance * 2 AS far, f.late FROM flights f LEFT JOIN weather w USING (origin) $$, 'sched_dep', '{late}');
SELECT feathub.create_feature_view('hidden', 'SELECT f.id, w.temp FROM flights f LEFT JOIN weather w USING (origin)', 'sched_dep');
SELECT feathub.create_feature_view('splitted', 'SELECT f.id, f.origin AS split FROM flights f');
CREATE TABLE taken (x int);

SELECT feathub.create_training_data(NULL, 'd');
SELECT feathub.create_training_data('v', NULL);
SELECT feathub.create_training_data('nowhere', 'd');
SELECT feathub.create_training_data('flights', 'd');
SELECT feathub.create_training_data('v', 'taken');
SELECT feathub.create_training_data('v', 'pg_temp.d');
SELECT feathub.create_training_data('v', 'nowhere.d');
SELECT feathub.create_training_data('splitted', 'd');
-- splits
SELECT feathub.create_training_data('v', 'd', '[]');
SELECT feathub.create_training_data('v', 'd', '{}');
SELECT feathub.create_training_data('v', 'd', '1');
SELECT feathub.create_training_data('v', 'd', '{"a": 0.5}');
SELECT feathub.create_training_data('v', 'd', '{"a": 0.5, "b": 0.6}');
SELECT feathub.create_training_data('v', 'd', '{"a": 0, "b": 1}');
SELECT feathub.create_training_data('v', 'd', '{"a": -0.5, "b": 1.5}');
SELECT feathub.create_training_data('v', 'd', '{"a": true}');
SELECT feathub.create_training_data('v', 'd', '{"a": {"b": 1}}');
SELECT feathub.create_training_data('v', 'd', '{"a": 0.5, "b": null}');
SELECT feathub.create_training_data('v', 'd', '{"a": "2020-01-01", "b": "yesterday or so"}');
SELECT feathub.create_training_data('v', 'd', '{"a": "2020-01-01", "b": "2020-01-01 00:00+00"}');
SELECT feathub.create_training_data('v', 'd', '{"a": null, "b": null}');
SELECT feathub.create_training_data('v', 'd', split_by => '{origin}');
SELECT feathub.create_training_data('v', 'd', '{"a": null}', split_by => '{origin}');
SELECT feathub.create_training_data('v', 'd', '{"a": 0.5, "b": 0.5}', split_by => '{id}');
SELECT feathub.create_training_data('v', 'd', '{"a": 0.5, "b": 0.5}', split_by => '{NULL}');
SELECT feathub.create_training_data('hidden', 'd', '{"a": 0.5, "b": 0.5}');
SELECT feathub.create_training_data('hidden', 'd', '{"a": null}');
SELECT feathub.create_training_data('hidden', 'd', start_time => '2020-01-01');
-- ranges and filters
SELECT feathub.create_training_data('v', 'd', start_time => '2020-01-01', end_time => '2020-01-01');
SELECT feathub.create_training_data('v', 'd', filter => 'nothing > 1');
SELECT feathub.create_training_data('v', 'd', filter => 'temp');
SELECT feathub.create_training_data('v', 'd', filter => 'true; DROP TABLE flights');
SELECT feathub.create_training_data('v', 'd', filter => 'true) OR (true');
SELECT feathub.create_training_data('v', 'd', filter => 'true UNION SELECT 1');
SELECT feathub.create_training_data('v', 'd', filter => '1/0 = 1');
-- spines
SELECT feathub.create_training_data('v', 'd', spine => 'DELETE FROM flights');
SELECT feathub.create_training_data('v', 'd', spine => 'SELECT 1; SELECT 2');
SELECT feathub.create_training_data('v', 'd', spine => 'SELEC 1');
SELECT feathub.create_training_data('v', 'd', spine => 'SELECT * INTO x FROM flights');
SELECT feathub.create_training_data('v', 'd', spine => 'SELECT * FROM flights FOR UPDATE');
SELECT feathub.create_training_data('v', 'd', spine => 'WITH d AS (DELETE FROM flights RETURNING *) SELECT * FROM d');
SELECT feathub.create_training_data('v', 'd', spine => 'SELECT origin FROM flights');
SELECT feathub.create_training_data('v', 'd', spine => 'SELECT sched_dep, distance FROM flights');
SELECT feathub.create_training_data('v', 'd', spine => 'SELECT sched_dep, origin FROM flights');
SELECT feathub.create_training_data('v', 'd', spine => 'SELECT sched_dep, sched_dep FROM flights');
SELECT feathub.create_training_data('v', 'd', spine => 'SELECT sched_dep, origin, ''x''::text AS distance FROM flights');
SELECT feathub.create_training_data('v', 'd', spine => 'SELECT sched_dep, origin, distance, 1 AS split FROM flights');
-- nothing was left behind
SELECT to_regclass('d'), count(*) FROM feathub.training_data;
SELECT * FROM feathub.training_data_progress;

SELECT feathub.recreate_training_data('flights', 'd');
SELECT feathub.verify_training_data('flights');
SELECT feathub.drop_training_data('flights');
SELECT feathub.drop_training_data('nowhere');
SELECT feathub.create_training_data('v', 'd');
SELECT feathub.recreate_training_data('d', 'd');
-- export
SELECT feathub.export_training_data(NULL, 'd');
SELECT feathub.export_training_data('d', NULL);
SELECT feathub.export_training_data('d', 'taken');
SELECT feathub.export_training_data('flights', 'taken');
CREATE SERVER training_errors FOREIGN DATA WRAPPER feathub_kafka OPTIONS (bootstrap_servers 'embedded');
CREATE FOREIGN TABLE sink (nothing int) SERVER training_errors OPTIONS (topic 'training', format 'json');
SELECT feathub.export_training_data('d', 'sink');
SELECT feathub.create_training_data('v', 'd2', foreign_table => 'sink');
SELECT feathub.create_training_data('v', 'd2', server => 'x', path => 'y');
SELECT feathub.create_training_data('v', 'd2', path => 'y', format => 'csv');
SELECT feathub.create_training_data('v', 'd2', server => 'nowhere', path => 'y', format => 'csv');
SELECT feathub.create_training_data('v', repeat('d', 60), server => 'nowhere', path => 'y', format => 'csv');
SELECT to_regclass('d2');

SET client_min_messages = warning;
DROP SCHEMA training_errors CASCADE;
DROP SERVER training_errors;
