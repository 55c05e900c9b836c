-- External feature groups: foreign tables, tables and views that are read in place.
CREATE EXTENSION IF NOT EXISTS feathub;
CREATE EXTENSION IF NOT EXISTS postgres_fdw;
CREATE EXTENSION IF NOT EXISTS file_fdw;
CREATE SCHEMA views_external;
SET search_path = views_external;
SET TimeZone = 'UTC';

-- A foreign table of this very server, whose queries can be counted.
CREATE TABLE remote_weather (origin text, at timestamptz, temp float8, tags text[]);
CREATE SEQUENCE remote_scans;
CREATE FUNCTION counted() RETURNS bool LANGUAGE sql VOLATILE AS
  $$ SELECT nextval('views_external.remote_scans') > 0 $$;
CREATE VIEW remote_view AS SELECT w.* FROM (SELECT views_external.counted() AS c OFFSET 0) AS n, views_external.remote_weather AS w WHERE n.c;
INSERT INTO remote_weather
  SELECT o, timestamptz '2020-01-01' + h * interval '1 hour', h, ARRAY[o, h::text]
    FROM unnest(ARRAY['JFK', 'EWR']) AS o, generate_series(0, 99) AS h;
INSERT INTO remote_weather VALUES (NULL, '2020-01-01', -1), ('JFK', NULL, -2);
DO $$ BEGIN
  EXECUTE format('CREATE SERVER views_external_loopback FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host %L, port %L, dbname %L)',
    split_part(current_setting('unix_socket_directories'), ',', 1), current_setting('port'), current_database());
END $$;
CREATE USER MAPPING FOR CURRENT_USER SERVER views_external_loopback;
CREATE FOREIGN TABLE weather (origin text, at timestamptz, temp float8, tags text[])
  SERVER views_external_loopback OPTIONS (schema_name 'views_external', table_name 'remote_view');
CREATE FUNCTION remote_sql(query text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE line text;
BEGIN
  FOR line IN EXECUTE 'EXPLAIN (VERBOSE, COSTS off) ' || query LOOP
    IF line ~ 'Remote SQL' THEN RETURN NEXT trim(line); END IF;
  END LOOP;
END $$;
CREATE TABLE planes (tailnum text PRIMARY KEY, seats int);
INSERT INTO planes VALUES ('N1', 100), ('N2', 200);
CREATE TABLE flights (id int, origin text, tailnum text, sched timestamptz, delay int);
INSERT INTO flights
  SELECT i, (ARRAY['JFK', 'EWR', 'XXX'])[i % 3 + 1], 'N' || i % 3, timestamptz '2020-01-01 00:30' + i * interval '7 minutes', i
    FROM generate_series(-20, 1000) AS i;

SELECT feathub.create_external_feature_group('weather', primary_key => '{origin}', event_time => 'at', ttl => '3 hours');
SELECT feathub.create_external_feature_group('planes', primary_key => '{tailnum}');
SELECT feature_group, online, primary_key, event_time, ttl, external, refresh_interval FROM feathub.feature_group ORDER BY feature_group::text;

-- What each form reads: training the histories of the foreign table, the online form its latest row.
SELECT feathub.create_feature_view('delay', $$
  SELECT f.id, f.origin, f.sched, w.at, w.temp, w.tags, p.seats, f.delay
    FROM flights f LEFT JOIN weather w USING (origin) LEFT JOIN planes p USING (tailnum) $$, 'sched', '{delay}');
SELECT pg_get_viewdef('delay'::regclass, true);
\sf delay_online

-- Each row of the spine has what the plain definition says.
CREATE VIEW plain AS
  SELECT f.id, f.origin, f.sched, w.at, w.temp, w.tags, p.seats, f.delay
    FROM flights f LEFT JOIN planes p USING (tailnum)
    LEFT JOIN LATERAL (SELECT * FROM remote_weather r WHERE r.origin = f.origin AND r.at <= f.sched AND r.at >= f.sched - interval '3 hours'
                       ORDER BY r.at DESC LIMIT 1) w ON true;
SELECT count(*), count(temp), count(*) FILTER (WHERE temp IS NULL AND origin <> 'XXX') AS outside, count(seats) FROM delay;
(TABLE delay EXCEPT ALL TABLE plain) UNION ALL (TABLE plain EXCEPT ALL TABLE delay);

-- One remote query, for one row and for a thousand; a condition on the key goes with it.
EXPLAIN (COSTS off) SELECT id, temp FROM delay;
SELECT remote_sql($$ SELECT id, temp FROM delay WHERE origin = 'JFK' AND id < 10 $$);
SELECT setval('remote_scans', 1);
SELECT count(temp) FROM delay;
SELECT last_value - 1 AS remote_scans FROM remote_scans;
SELECT setval('remote_scans', 1);
SELECT temp FROM delay_online(origin => 'JFK', sched => '2020-01-05 03:10');
SELECT temp FROM delay_online(origin => 'JFK', sched => '2020-01-09 03:10');
SELECT last_value - 1 AS remote_scans FROM remote_scans;
SELECT remote_sql($$ SELECT temp FROM delay_online(origin => 'JFK', sched => '2020-01-05 03:10') $$);
SELECT feathub.get_feature_vectors('delay', '[{"origin": "JFK", "tailnum": "N2", "sched": "2020-01-05 04:00"}, {"origin": "XXX", "sched": "2020-01-05"}]');

-- The join's kind and its other conditions, a chain, the group twice, nothing but its existence.
SELECT feathub.create_feature_view('inner_join', $$
  SELECT f.id FROM flights f JOIN weather w ON w.origin = f.origin $$, 'sched');
SELECT count(*) = (SELECT count(*) FROM plain WHERE temp IS NOT NULL) AS same FROM inner_join;
SELECT feathub.create_feature_view('twice', $$
  SELECT f.id, a.temp AS a, b.temp AS b, c.temp AS c FROM flights f
    LEFT JOIN weather a ON a.origin = f.origin AND a.temp > 50 LEFT JOIN weather b ON b.origin = 'EWR'
    LEFT JOIN weather c ON c.origin = a.tags[1] $$, 'sched');
SELECT * FROM twice WHERE id IN (300, 600, 601) ORDER BY id;

-- Event times of other types.
CREATE FOREIGN TABLE weather_date (origin text, at date, temp float8)
  SERVER views_external_loopback OPTIONS (schema_name 'views_external', table_name 'remote_dates');
CREATE TABLE remote_dates (origin text, at date, temp float8);
INSERT INTO remote_dates VALUES ('JFK', '2020-01-01', 1), ('JFK', '2020-01-03', 3), ('EWR', 'infinity', 4), ('EWR', '-infinity', 0);
CREATE TABLE local_spine (origin text, t timestamp, d date);
INSERT INTO local_spine VALUES ('JFK', '2020-01-02 23:59:59', '2020-01-03'), ('EWR', '2020-01-03', '2020-01-04'), ('EWR', 'infinity', 'infinity'), ('JFK', NULL, NULL);
SELECT feathub.create_external_feature_group('weather_date', '{origin}', 'at');
SELECT feathub.create_feature_view('dates_t', 'SELECT s.origin, s.t, w.at, w.temp FROM local_spine s LEFT JOIN weather_date w USING (origin)', 't');
SELECT feathub.create_feature_view('dates_d', 'SELECT s.origin, s.d, w.at, w.temp FROM local_spine s LEFT JOIN weather_date w USING (origin)', 'd');
SELECT * FROM dates_t ORDER BY origin, t;
SELECT * FROM dates_d ORDER BY origin, d;

-- A view, and a local table with an index: the one is read once, the other looked up.
CREATE VIEW hot AS SELECT origin, at, temp FROM remote_weather WHERE temp > 10;
SELECT feathub.create_external_feature_group('hot', '{origin}', 'at');
CREATE TABLE local_weather (LIKE remote_weather, PRIMARY KEY (origin, at));
INSERT INTO local_weather SELECT * FROM remote_weather WHERE origin IS NOT NULL AND at IS NOT NULL;
SELECT feathub.create_external_feature_group('local_weather', '{origin}', 'at');
SELECT feathub.create_feature_view('two', $$
  SELECT f.id, h.temp AS hot, l.temp AS here FROM flights f LEFT JOIN hot h USING (origin) LEFT JOIN local_weather l USING (origin) $$, 'sched');
SELECT pg_get_viewdef('two'::regclass, true);
SELECT * FROM two WHERE id IN (0, 3, 300) ORDER BY id;

-- A copy of the latest rows: filled when it is made, made the same by each refresh.
SELECT feathub.drop_feature_view(v) FROM unnest('{delay,inner_join,twice}'::text[]) AS v;
SELECT feathub.drop_external_feature_group('weather');
SELECT feathub.create_external_feature_group('weather', '{origin}', 'at', online => true, refresh_interval => '1 hour');
SELECT online, refresh_interval, refreshed_at <= now() AS refreshed FROM feathub.feature_group WHERE feature_group = 'weather'::regclass;
\d weather_online
TABLE weather_online ORDER BY origin;
SELECT feathub.refresh_external_feature_group('weather');
INSERT INTO remote_weather VALUES ('LGA', '2020-02-01', 5), ('JFK', '2020-02-01', 7);
DELETE FROM remote_weather WHERE origin = 'EWR';
SELECT feathub.refresh_external_feature_group('weather');
TABLE weather_online ORDER BY origin;
-- a row that is older, once the newer one is taken back; a changed feature; nothing that counts
DELETE FROM remote_weather WHERE origin = 'JFK' AND at = '2020-02-01';
UPDATE remote_weather SET tags = NULL WHERE origin = 'LGA';
INSERT INTO remote_weather VALUES ('LGA', '2019-02-01', 5);
SELECT feathub.refresh_external_feature_group('weather');
TABLE weather_online ORDER BY origin;
UPDATE remote_weather SET tags = '{x}' WHERE origin = 'LGA';
SELECT feathub.refresh_external_feature_group('weather');
SELECT feathub.refresh_external_feature_group('weather');
SELECT feathub.create_feature_view('online', 'SELECT f.id, w.temp FROM flights f LEFT JOIN weather w USING (origin)', 'sched');
\sf online_online
SELECT * FROM online_online(1, 'LGA');

-- Changing and dropping.
SELECT feathub.alter_feature_group('weather', ttl => '1 day', refresh_interval => '2 hours');
SELECT ttl, refresh_interval FROM feathub.feature_group WHERE feature_group = 'weather'::regclass;
SELECT feathub.alter_feature_group('weather', reset => '{refresh_interval}');
SELECT ttl, refresh_interval FROM feathub.feature_group WHERE feature_group = 'weather'::regclass;
SELECT feathub.drop_external_feature_group('weather');
SELECT feathub.drop_feature_view('online');
DROP TABLE weather_online;
ALTER TABLE weather_online DROP CONSTRAINT weather_online_pkey;
ALTER FOREIGN TABLE weather RENAME origin TO station;
ALTER FOREIGN TABLE weather DROP COLUMN at;
ALTER FOREIGN TABLE weather DROP COLUMN tags;
ALTER VIEW hot RENAME origin TO station;
SELECT feathub.drop_external_feature_group('weather');
SELECT to_regclass('weather_online'), to_regclass('weather') IS NOT NULL AS stays;
SELECT feathub.drop_external_feature_group('weather', if_exists => true);
SELECT feathub.create_external_feature_group('weather', '{origin}', 'at', online => true);
DROP FOREIGN TABLE weather;
SELECT count(*), to_regclass('weather_online') FROM feathub.feature_group WHERE feature_group::text = 'weather';

-- A file: no key can be looked up there, so the copy serves.
CREATE SERVER views_external_files FOREIGN DATA WRAPPER file_fdw;
COPY (VALUES ('N1', 'jet', timestamptz '2020-01-01'), ('N1', 'prop', '2020-02-01'), ('N2', 'jet', '2020-01-01'))
  TO '/tmp/feathub_views_external.csv' (FORMAT csv);
CREATE FOREIGN TABLE engines (tailnum text, engine text, since timestamptz) SERVER views_external_files
  OPTIONS (filename '/tmp/feathub_views_external.csv', format 'csv');
SELECT feathub.create_external_feature_group('engines', '{tailnum}', 'since', online => true);
SELECT feathub.create_feature_view('engine', 'SELECT f.id, e.engine FROM flights f LEFT JOIN engines e USING (tailnum)', 'sched');
SELECT DISTINCT engine FROM engine WHERE id > 0 ORDER BY 1;
SELECT * FROM engine_online(1, 'N1');
-- since 16 an aggregate's own order is part of the sort
CREATE FUNCTION plan_of(query text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
  line text;
BEGIN
  FOR line IN EXECUTE 'EXPLAIN (COSTS off) ' || query LOOP
    RETURN NEXT replace(line, 'Sort Key: engines.tailnum, engines.since', 'Sort Key: engines.tailnum');
  END LOOP;
END $$;
SELECT plan_of('SELECT * FROM engine');

-- What cannot be.
SELECT feathub.create_external_feature_group(NULL, '{k}');
SELECT feathub.create_external_feature_group('planes', NULL);
SELECT feathub.create_external_feature_group('planes', '{tailnum}');
SELECT feathub.create_external_feature_group('engines_online', '{tailnum}');
SELECT feathub.create_external_feature_group('remote_scans', '{last_value}');
SELECT feathub.create_external_feature_group('remote_weather', '{nothing}');
SELECT feathub.create_external_feature_group('remote_weather', '{origin}', 'temp');
SELECT feathub.create_external_feature_group('remote_weather', '{origin}', ttl => '1 hour');
SELECT feathub.create_external_feature_group('remote_weather', '{origin}', refresh_interval => '1 hour');
SELECT feathub.create_external_feature_group('remote_weather', '{origin}', online => true, refresh_interval => '-1 hour');
CREATE TEMP TABLE t (k int);
SELECT feathub.create_external_feature_group('t', '{k}');
SELECT feathub.refresh_external_feature_group('planes');
SELECT feathub.refresh_external_feature_group('remote_weather');
SELECT feathub.drop_external_feature_group('remote_weather');
SELECT feathub.drop_feature_group('planes');
SELECT feathub.alter_feature_group('planes', refresh_interval => '1 hour');
SELECT feathub.alter_feature_group('hot', retention => '1 hour');
SELECT feathub.backfill('planes', 'SELECT * FROM planes');
SELECT feathub.maintain_feature_group('hot');
SELECT feathub.create_feature_view('v', 'SELECT e.engine FROM flights f LEFT JOIN engines e ON e.engine = f.origin', 'sched');
SELECT * FROM feathub.version_at('{}', '{}', now()) AS v (a int);
SELECT * FROM feathub.version_at('{{2020-01-01},{2020-01-02}}', '{}', now()) AS v (a int);
SELECT * FROM feathub.version_at('{2020-01-01}'::timestamptz[], ARRAY[ROW(1)], now()) AS v (a text);
SELECT * FROM feathub.version_at('{2020-01-01,2020-01-02}'::timestamptz[], ARRAY[ROW(1)], now()) AS v (a int);

-- Rights: the relation must be one's own, and refreshing uses the owner's.
CREATE ROLE regress_external_owner;
CREATE ROLE regress_external_reader;
GRANT USAGE, CREATE ON SCHEMA views_external TO regress_external_owner;
GRANT USAGE ON SCHEMA views_external TO regress_external_reader;
SET ROLE regress_external_owner;
SELECT feathub.create_external_feature_group('remote_dates', '{origin}');
SELECT feathub.refresh_external_feature_group('engines');
SELECT feathub.drop_external_feature_group('engines');
CREATE FUNCTION whoami() RETURNS text LANGUAGE sql VOLATILE AS 'SELECT current_user::text';
CREATE VIEW who AS SELECT 1 AS k, views_external.whoami() AS name;
SELECT feathub.create_external_feature_group('who', '{k}', online => true);
TABLE who_online;
RESET ROLE;
SELECT feathub.refresh_external_feature_group('who');
TABLE who_online;
SET ROLE regress_external_reader;
SELECT feathub.refresh_external_feature_group('who');
RESET ROLE;

\set VERBOSITY terse
SET client_min_messages = warning;
DROP SCHEMA views_external CASCADE;
DROP SERVER views_external_loopback CASCADE;
DROP SERVER views_external_files CASCADE;
COPY (SELECT) TO PROGRAM 'rm /tmp/feathub_views_external.csv';
DROP ROLE regress_external_owner, regress_external_reader;
SELECT count(*) FROM feathub.feature_group;
