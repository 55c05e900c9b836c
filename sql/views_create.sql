-- Feature views: which joins become a view and a function, and what these look like.
CREATE EXTENSION IF NOT EXISTS feathub;
CREATE SCHEMA views_create;
SET search_path = views_create;
SET TimeZone = 'UTC';

CREATE TABLE weather_source (origin text, time_hour timestamptz, temp float8, visib float8);
SELECT feathub.create_feature_group('weather', 'weather_source', '{origin}', 'time_hour', ttl => '2 hours');
CREATE TABLE model_source (maker text, model text, at timestamptz, weight int);
SELECT feathub.create_feature_group('model', 'model_source', '{maker,model}', 'at', deletes => true);
CREATE TABLE airport_source (faa text, alt int);
SELECT feathub.create_feature_group('airport', 'airport_source', '{faa}');
CREATE TABLE planes (tailnum text PRIMARY KEY, maker text, model text, seats int);
CREATE TABLE flights (id int PRIMARY KEY, origin text, dest text, tailnum text, sched_dep timestamptz, arr_delay float8);

-- The whole: two groups with event time, one of them reached through a plain
-- table, a group without event time, expressions, a label.
SELECT feathub.create_feature_view('delay', $$
  SELECT f.origin, f.tailnum, f.sched_dep, w.temp, w.visib, p.seats, extract(hour FROM f.sched_dep) AS dep_hour,
         m.weight, a.alt, CASE WHEN w.temp < 32 THEN 'ice' ELSE 'none' END AS ice, f.arr_delay
    FROM flights f LEFT JOIN weather w USING (origin) LEFT JOIN planes p USING (tailnum)
    LEFT JOIN model m ON (m.maker, m.model) = (p.maker, p.model) AND m.weight > 0
    LEFT JOIN airport a ON a.faa = f.dest $$,
  event_time => 'sched_dep', labels => '{arr_delay}');
\d+ delay
\sf delay_online
SELECT feature_view, online, event_time, labels FROM feathub.feature_view;
SELECT number, feature, type, feature_group, source, source_column, label FROM feathub.feature ORDER BY number;

-- The same group twice; USING that merges columns; columns renamed in FROM.
SELECT feathub.create_feature_view('twice', $$
  SELECT f.id, origin, o.temp AS temp_origin, d.t AS temp_dest
    FROM flights f JOIN weather o USING (origin) LEFT JOIN weather AS d (airport, at, t) ON f.dest = d.airport $$, 'sched_dep');
SELECT pg_get_viewdef('twice'::regclass, true);
\sf twice_online

-- A group as the spine, with itself joined; its event time is the view's.
SELECT feathub.create_feature_view('changes', $$
  SELECT m.maker, m.model, m.at, m.weight - m2.weight AS more FROM model m LEFT JOIN model m2 USING (maker, model) $$);
SELECT pg_get_viewdef('changes'::regclass, true);
SELECT event_time FROM feathub.feature_view WHERE feature_view = 'changes'::regclass;

-- A join with an alias of its own, parentheses, subqueries and CTEs of other tables, a subquery as the spine.
SELECT feathub.create_feature_view('nested', $$
  WITH big AS (SELECT tailnum, seats FROM planes WHERE seats > 100)
  SELECT j.id, j.temp, b.seats, (SELECT count(*) FROM planes AS p WHERE p.seats > coalesce(j.temp, 0)) AS n, l.most
    FROM ((SELECT id, origin, tailnum, sched_dep AS t FROM flights) AS f LEFT JOIN weather USING (origin)) AS j
    LEFT JOIN (big AS b JOIN planes AS p USING (tailnum)) ON b.tailnum = j.tailnum
    LEFT JOIN LATERAL (SELECT max(q.seats) AS most FROM planes AS q WHERE q.tailnum <> j.tailnum) AS l ON true
   WHERE j.id > 0 $$, event_time => 't');
SELECT pg_get_viewdef('nested'::regclass, true);
\sf nested_online

-- Quoted and upper-case names, domains, arrays, jsonb, composite types, collations.
CREATE DOMAIN code AS text CHECK (length(VALUE) < 10);
CREATE DOMAIN moment AS timestamptz;
CREATE TYPE place AS (lat float8, lon float8);
CREATE TABLE "Source Table" ("Key ""1""" code, "order" int, "Time" moment, tags text[], doc jsonb, loc place, c text COLLATE "C");
SELECT feathub.create_feature_group('"My Group"', '"Source Table"', '{"Key \"1\"",order}', 'Time');
CREATE TABLE "Spine" ("Key" code, "N" int, "When" moment, c text COLLATE "C", "select" int);
SELECT feathub.create_feature_view('"My View"', $$
  SELECT s."Key", s."N", g.tags[1] AS "Tag", g.doc ->> 'a' AS a, (g.loc).lat, g.loc, g.c < s.c AS less, g.doc, s."select"
    FROM "Spine" s LEFT JOIN "My Group" g ON g."Key ""1""" = s."Key" AND s."N" = g."order" $$, 'When', '{select}');
SELECT pg_get_viewdef('"My View"'::regclass, true);
\sf "My View_online"
INSERT INTO "My Group" VALUES ('k', 1, '2020-01-01', '{x,y}', '{"a": 1}', (1, 2), 'a');
INSERT INTO "My Group_online" SELECT * FROM "My Group";
INSERT INTO "Spine" VALUES ('k', 1, '2020-01-01', 'b', 7);
SELECT * FROM "My View";
SELECT * FROM "My View_online"("Key" => 'k', "N" => 1, "When" => '2020-01-02', c => 'b');

-- Columns that were dropped before shift nothing; partitioned tables; a constant that depends on settings.
CREATE TABLE shifted_source (a int, k int, b int, t timestamptz, v int, w int);
SELECT feathub.create_feature_group('shifted', 'shifted_source', '{k}', 't', partition_interval => '1 month', ttl => '1 mon -2 days');
ALTER TABLE shifted DROP COLUMN a, DROP COLUMN v;
ALTER TABLE shifted_online DROP COLUMN b, DROP COLUMN v, ADD COLUMN v int;
ALTER TABLE shifted ADD COLUMN v int;
ALTER TABLE shifted_source DROP COLUMN a, DROP COLUMN v;
INSERT INTO shifted (k, t, v, w) VALUES (1, '2020-01-01', 10, 20);
INSERT INTO shifted_online (k, t, v, w) VALUES (1, '2020-01-01', 10, 20);
INSERT INTO shifted_source (k, t, w) VALUES (1, '2020-01-30', 5), (1, '2020-01-30 00:00:01', 6);
SET IntervalStyle = sql_standard;
SELECT feathub.create_feature_view('shifted_v', $$
  SELECT s.w AS sw, g.k, g.w, g.v, s.t - interval '-1 day 2 hours' AS before FROM shifted_source s LEFT JOIN shifted g USING (k) $$, 't', '{sw}');
RESET IntervalStyle;
SELECT sw, k, w, v, before FROM shifted_v ORDER BY sw;
SELECT k, w, v, before FROM shifted_v_online(1, '2020-01-30');

-- Types of arguments can be renamed, also with the table that they belong to.
CREATE TABLE "row" (x int);
CREATE TABLE typed (origin text, t timestamptz, r "row", c code);
SELECT feathub.create_feature_view('typed_v', 'SELECT (s.r).x, s.c, w.temp FROM typed s LEFT JOIN weather w USING (origin)', 't');
ALTER TABLE "row" RENAME TO "Row";
ALTER DOMAIN code RENAME TO "Code";
SELECT online FROM feathub.feature_view WHERE feature_view = 'typed_v'::regclass;
CREATE FUNCTION another() RETURNS int LANGUAGE sql AS 'SELECT 1';
SELECT feathub.get_feature_vector('typed_v', '{"r": {"x": 3}, "c": "abc"}');
SELECT feathub.drop_feature_view('typed_v');

-- Columns of the groups can be renamed, and others of theirs dropped; keys and what is used cannot go.
ALTER TABLE weather RENAME visib TO visibility;
ALTER TABLE weather_online RENAME visib TO visibility;
ALTER VIEW delay RENAME TO late;
ALTER FUNCTION delay_online RENAME TO late_features;
SELECT online FROM feathub.feature_view WHERE feature_view = 'late'::regclass;
SELECT * FROM late_features(origin => 'JFK', sched_dep => '2020-01-01');
SELECT source_column FROM feathub.feature WHERE feature_view = 'late'::regclass AND feature = 'visib';
SELECT feathub.get_feature_vector('late', '{"sched_dep": "2020-01-01 07:00"}') ->> 'dep_hour' AS dep_hour;
ALTER TABLE weather DROP COLUMN temp;
DROP TABLE planes;

-- The function goes with the view, never alone; both go with what they read.
DROP FUNCTION late_features;
DROP ROUTINE late_features CASCADE;
CREATE OR REPLACE FUNCTION late_features(origin text DEFAULT NULL, dest text DEFAULT NULL, tailnum text DEFAULT NULL, sched_dep timestamptz DEFAULT NULL)
  RETURNS TABLE (origin text, tailnum text, sched_dep timestamptz, temp float8, visib float8, seats int, dep_hour numeric, weight int, alt int, ice text)
  LANGUAGE sql STABLE AS 'SELECT NULL, NULL, now(), 1, 2, 3, 4, 5, 6, NULL';
DROP FUNCTION late_features;
DROP VIEW late;
SELECT to_regproc('late_features'), count(*) FROM feathub.feature_view WHERE online ~ 'late_features';
SELECT feathub.drop_feature_view('twice');
SELECT feathub.drop_feature_view('twice', if_exists => true);
\set VERBOSITY terse
DROP TABLE planes CASCADE;
\set VERBOSITY default
SELECT feature_view, to_regprocedure(online) IS NOT NULL FROM feathub.feature_view ORDER BY 1;

-- It is all one transaction.
BEGIN;
SELECT feathub.create_feature_view('gone', 'SELECT f.id, w.temp FROM flights f LEFT JOIN weather w USING (origin)', 'sched_dep');
ROLLBACK;
SELECT to_regclass('gone'), to_regproc('gone_online');

\set VERBOSITY terse
SET client_min_messages = warning;
DROP SCHEMA views_create CASCADE;
SELECT count(*) FROM feathub.feature_view;
