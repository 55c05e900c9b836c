-- What a feature view cannot be, and what it says then.
CREATE EXTENSION IF NOT EXISTS feathub;
CREATE SCHEMA views_errors;
SET search_path = views_errors;

CREATE TABLE w_source (origin text, day int, t timestamptz, temp float8);
SELECT feathub.create_feature_group('weather', 'w_source', '{origin,day}', 't');
SELECT feathub.create_feature_group('deletable', 'w_source', '{origin}', 't', deletes => true);
SELECT feathub.create_feature_group('timeless', 'w_source', '{origin}');
CREATE TABLE flights (id int, origin text, day int, t timestamptz, txt text, delay float8);
CREATE TABLE planes (id int PRIMARY KEY, origin text);

-- arguments
SELECT feathub.create_feature_view(NULL, 'SELECT 1');
SELECT feathub.create_feature_view('v', NULL);
SELECT feathub.create_feature_view('v', 'SELECT f.id FROM flights f', labels => '{id,id}');
SELECT feathub.create_feature_view('v', 'SELECT f.id FROM flights f', labels => '{NULL}');
SELECT feathub.create_feature_view('v', 'SELECT f.id, f.delay FROM flights f', labels => '{delai}');
SELECT feathub.create_feature_view('v', 'SELECT f.delay FROM flights f', labels => '{delay}');
SELECT feathub.create_feature_view('flights', 'SELECT f.id FROM flights f');
SELECT feathub.create_feature_view(repeat('x', 60), 'SELECT f.id FROM flights f');
SELECT feathub.create_feature_view('pg_temp.v', 'SELECT f.id FROM flights f');
SELECT feathub.create_feature_view('nowhere.v', 'SELECT f.id FROM flights f');
CREATE FUNCTION taken_online(int) RETURNS int LANGUAGE sql AS 'SELECT 1';
SELECT feathub.create_feature_view('taken', 'SELECT f.id FROM flights f');

-- the query
SELECT feathub.create_feature_view('v', 'SELEC f.id FROM flights f');
SELECT feathub.create_feature_view('v', 'SELECT f.nothing FROM flights f');
SELECT feathub.create_feature_view('v', 'SELECT $1 FROM flights f');
SELECT feathub.create_feature_view('v', 'SELECT 1; SELECT 2');
SELECT feathub.create_feature_view('v', 'DELETE FROM flights');
SELECT feathub.create_feature_view('v', 'SELECT * INTO x FROM flights');
SELECT feathub.create_feature_view('v', 'SELECT 1 AS one');
SELECT feathub.create_feature_view('v', 'SELECT id FROM flights UNION SELECT id FROM flights');
SELECT feathub.create_feature_view('v', 'SELECT id FROM flights FOR UPDATE');
SELECT feathub.create_feature_view('v', 'WITH d AS (DELETE FROM flights RETURNING id) SELECT * FROM flights');
SELECT feathub.create_feature_view('v', 'SELECT count(*) FROM flights');
SELECT feathub.create_feature_view('v', 'SELECT id FROM flights GROUP BY id');
SELECT feathub.create_feature_view('v', 'SELECT row_number() OVER () FROM flights');
SELECT feathub.create_feature_view('v', 'SELECT DISTINCT id FROM flights');
SELECT feathub.create_feature_view('v', 'SELECT generate_series(1, id) FROM flights');
SELECT feathub.create_feature_view('v', 'SELECT id FROM flights LIMIT 1');
SELECT feathub.create_feature_view('v', 'SELECT id FROM flights ORDER BY id');
SELECT feathub.create_feature_view('v', 'SELECT f.id, f.id FROM flights f');
SELECT feathub.create_feature_view('v', 'SELECT g FROM generate_series(1, 2) AS g');
SELECT feathub.create_feature_view('v', 'SELECT v_online.id FROM flights AS v_online');

-- joins of groups
SELECT feathub.create_feature_view('v', 'SELECT w.temp FROM flights f LEFT JOIN weather w USING (origin)', 't');
SELECT feathub.create_feature_view('v', 'SELECT w.temp FROM flights f LEFT JOIN weather w ON w.origin = f.origin AND w.day > f.day', 't');
SELECT feathub.create_feature_view('v', 'SELECT w.temp FROM flights f LEFT JOIN weather w ON w.origin = f.origin OR w.day = f.day', 't');
SELECT feathub.create_feature_view('v', 'SELECT w.temp FROM flights f LEFT JOIN weather w ON w.origin = f.origin AND w.day = w.day', 't');
SELECT feathub.create_feature_view('v', 'SELECT w.temp FROM flights f CROSS JOIN timeless w', 't');
SELECT feathub.create_feature_view('v', 'SELECT w.temp FROM flights f RIGHT JOIN weather w USING (origin, day)', 't');
SELECT feathub.create_feature_view('v', 'SELECT w.temp FROM flights f FULL JOIN weather w USING (origin, day)', 't');
SELECT feathub.create_feature_view('v', 'SELECT w.temp FROM flights f, weather w WHERE w.origin = f.origin AND w.day = f.day', 't');
SELECT feathub.create_feature_view('v', 'SELECT w.temp FROM flights f LEFT JOIN (weather w JOIN planes p ON p.origin = w.origin) ON w.origin = f.origin', 't');
SELECT feathub.create_feature_view('v', 'SELECT w.temp FROM flights f LEFT JOIN (SELECT * FROM weather) w USING (origin, day)', 't');
SELECT feathub.create_feature_view('v', 'WITH w AS (SELECT * FROM weather) SELECT w.temp FROM flights f LEFT JOIN w USING (origin, day)', 't');
SELECT feathub.create_feature_view('v', 'SELECT (SELECT max(temp) FROM weather) FROM flights f', 't');
SELECT feathub.create_feature_view('v', 'SELECT f.id FROM flights f WHERE EXISTS (SELECT FROM weather)', 't');
SELECT feathub.create_feature_view('v', 'SELECT w.temp FROM flights f LEFT JOIN weather_online w USING (origin, day)', 't');
SELECT feathub.create_feature_view('v', 'SELECT w.temp FROM flights f LEFT JOIN weather w TABLESAMPLE system (1) USING (origin, day)', 't');

-- columns of groups and of the spine
SELECT feathub.create_feature_view('v', 'SELECT w FROM flights f LEFT JOIN weather w USING (origin, day)', 't');
SELECT feathub.create_feature_view('v', 'SELECT w.ctid FROM flights f LEFT JOIN weather w USING (origin, day)', 't');
SELECT feathub.create_feature_view('v', 'SELECT (SELECT to_jsonb(w)) AS j FROM flights f LEFT JOIN weather w USING (origin, day)', 't');
SELECT feathub.create_feature_view('v', 'SELECT f FROM flights f');
SELECT feathub.create_feature_view('v', 'SELECT f.tableoid FROM flights f');
SELECT feathub.create_feature_view('v', 'SELECT f.id, d.* FROM flights f LEFT JOIN deletable d USING (origin)', 't');

-- event time
SELECT feathub.create_feature_view('v', 'SELECT w.temp FROM flights f LEFT JOIN weather w USING (origin, day)');
SELECT feathub.create_feature_view('v', 'SELECT w.temp FROM timeless f LEFT JOIN deletable w USING (origin)');
SELECT feathub.create_feature_view('v', 'SELECT w.temp FROM flights f LEFT JOIN weather w USING (origin, day)', 'time');
SELECT feathub.create_feature_view('v', 'SELECT w.temp FROM flights f LEFT JOIN weather w USING (origin, day)', 'txt');

-- the tables of a group have drifted apart
ALTER TABLE weather ADD COLUMN extra int;
SELECT feathub.create_feature_view('v', 'SELECT w.extra FROM flights f LEFT JOIN weather w USING (origin, day)', 't');
ALTER TABLE weather_online ADD COLUMN extra text;
SELECT feathub.create_feature_view('v', 'SELECT w.extra FROM flights f LEFT JOIN weather w USING (origin, day)', 't');

-- dropping, vectors
SELECT feathub.drop_feature_view('v');
SELECT feathub.drop_feature_view('flights');
SELECT feathub.drop_feature_view('v', true);
SELECT feathub.create_feature_view('ok', 'SELECT w.temp FROM flights f LEFT JOIN weather w USING (origin, day)', 't');
CREATE VIEW above AS SELECT * FROM ok;
SELECT feathub.drop_feature_view('ok');
SELECT feathub.get_feature_vector('nothing', '{}');
SELECT feathub.get_feature_vector('ok', '[]');
SELECT feathub.get_feature_vector('ok', '{"orgin": "JFK"}');
SELECT feathub.get_feature_vector('ok', '{"day": "x"}');
SELECT feathub.get_feature_vectors('ok', '{}');
SELECT feathub.get_feature_vectors('ok', '1');
SELECT feathub.get_feature_vectors('ok', '[1]');
SELECT feathub.get_feature_vectors('ok', '[[{}]]');
SELECT feathub.get_feature_vectors('ok', '[{"origin": ["a"], "temp": {"x": 1}}]');
SELECT count(*) FROM feathub.feature_view;
SELECT * FROM feathub.view_columns('flights');

\set VERBOSITY terse
SET client_min_messages = warning;
DROP SCHEMA views_errors CASCADE;
