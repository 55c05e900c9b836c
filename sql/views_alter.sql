-- Changing feature views: query, labels, max_age, event times; what stays and what is refused.
CREATE EXTENSION IF NOT EXISTS feathub;
CREATE SCHEMA views_alter;
SET search_path = views_alter;
SET TimeZone = 'UTC';

CREATE ROLE regress_alter_reader;
CREATE TABLE w_source (origin text, t timestamptz, temp float8, visib float8);
SELECT feathub.create_feature_group('weather', 'w_source', '{origin}', 't', ttl => '1 hour');
CREATE TABLE a_source (origin text, alt int);
SELECT feathub.create_feature_group('airport', 'a_source', '{origin}');
CREATE TABLE flights (id int, origin text, dest text, t timestamptz, delay float8);
INSERT INTO weather VALUES ('JFK', '2020-01-01 10:00', 40, 10), ('EWR', '2020-01-01 06:00', 50, 9);
INSERT INTO weather_online SELECT * FROM weather;
INSERT INTO flights VALUES (1, 'JFK', 'EWR', '2020-01-01 10:30', 5), (2, 'JFK', 'EWR', '2020-01-01 12:00', 6), (3, 'JFK', 'EWR', '2020-01-02', 7);

-- max_age: by alias, or by group for all its joins; it goes before the group's ttl in both forms; null is any age.
SELECT feathub.create_feature_view('v', $$
  SELECT f.id, f.t, o.temp AS temp_o, d.temp AS temp_d, f.delay FROM flights f
    LEFT JOIN weather o USING (origin) LEFT JOIN weather d ON d.origin = f.dest $$, 't', '{delay}',
  max_age => '{"o": "2 hours", "weather": "5 hours"}');
SELECT id, temp_o, temp_d FROM v ORDER BY id;
SELECT temp_o, temp_d FROM v_online(1, origin => 'JFK', dest => 'EWR', t => '2020-01-01 12:00');
SELECT temp_o, temp_d FROM v_online(1, origin => 'JFK', dest => 'EWR', t => '2020-01-01 12:00:01');
SELECT max_age FROM feathub.feature_view;
SELECT feathub.alter_feature_view('v', max_age => '{"weather": null}');
SELECT id, temp_o, temp_d FROM v ORDER BY id;
SELECT temp_o, temp_d FROM v_online(1, origin => 'JFK', dest => 'EWR', t => '2020-02-01');
SELECT feathub.alter_feature_view('v', reset => '{max_age}');
SELECT id, temp_o, temp_d FROM v ORDER BY id;
SELECT pg_get_viewdef('v'::regclass, true);

-- A changed ttl of the group is told, and taken over when asked for.
SELECT feathub.alter_feature_group('weather', ttl => '2 hours');
SELECT id, temp_o, temp_d FROM v ORDER BY id;
SELECT feathub.alter_feature_view('views_alter.v');
SELECT id, temp_o, temp_d FROM v ORDER BY id;
SELECT feathub.alter_feature_group('weather', reset => '{ttl}');
SELECT feathub.alter_feature_group('weather', retention => '100 years');

-- Event time and age of each row, asked for: columns of the online form.
SELECT feathub.alter_feature_view('v', with_event_times => true);
SELECT pg_get_function_result('v_online'::regproc);
SELECT * FROM v_online(1, origin => 'JFK', dest => 'XXX', t => '2020-01-01 11:45');
SELECT feathub.get_feature_vector('v', '{"dest": "EWR", "t": "2020-01-01 05:00"}') ->> 'd_age' AS age;
SELECT feathub.alter_feature_view('v', with_event_times => false);
SELECT feathub.create_feature_view('dates', $$
  SELECT f.id, "W".temp, a.alt FROM (SELECT id, origin, t::date AS day FROM flights) f
    LEFT JOIN weather "W" USING (origin) LEFT JOIN airport a USING (origin) $$, 'day', with_event_times => true);
SELECT * FROM dates_online(1, 'JFK', '2020-01-02');

-- What is granted, commented on, and what reads the view stays.
GRANT SELECT ON v TO regress_alter_reader;
ALTER VIEW v SET (security_barrier = true);
COMMENT ON VIEW v IS 'of flights';
COMMENT ON COLUMN v.temp_o IS 'at the origin';
REVOKE EXECUTE ON FUNCTION v_online FROM PUBLIC;
GRANT EXECUTE ON FUNCTION v_online TO regress_alter_reader WITH GRANT OPTION;
COMMENT ON FUNCTION v_online IS 'serves flights';
CREATE VIEW reads_v AS SELECT id, temp_o FROM v;
CREATE TEMP TABLE before AS SELECT 'v'::regclass::oid AS v, created_at FROM feathub.feature_view WHERE feature_view = 'v'::regclass;
SELECT feathub.alter_feature_view('v', $$
  SELECT f.id, f.t, o.temp AS temp_o, d.temp AS temp_d, f.delay, o.visib + 1 AS more, a.alt FROM flights f
    LEFT JOIN weather o USING (origin) LEFT JOIN weather d ON d.origin = f.dest LEFT JOIN airport a ON a.origin = f.origin $$);
SELECT before.v = 'v'::regclass AS same_view, before.created_at = n.created_at AS same_time, n.labels, n.event_time
  FROM before, feathub.feature_view n WHERE n.feature_view = 'v'::regclass;
SELECT relacl IS NOT NULL AS granted, reloptions, obj_description(oid) FROM pg_class WHERE oid = 'v'::regclass;
SELECT col_description('v'::regclass, 3);
SELECT has_function_privilege('regress_alter_reader', oid, 'EXECUTE WITH GRANT OPTION') AS granted,
       has_function_privilege('pg_monitor', oid, 'EXECUTE') AS others, obj_description(oid, 'pg_proc'),
       pg_get_function_result(oid) FROM pg_proc WHERE oid = 'v_online'::regproc;
SELECT id, temp_o FROM reads_v ORDER BY id;
SELECT online FROM feathub.feature_view WHERE feature_view = 'v'::regclass;
DROP FUNCTION v_online;
-- with the same columns the function is the same, so what reads it may stay
CREATE FUNCTION reads_function() RETURNS SETOF float8 BEGIN ATOMIC SELECT temp_o FROM views_alter.v_online(origin => 'JFK'); END;
SELECT feathub.alter_feature_view('v', max_age => '{"o": "1 hour"}');
SELECT feathub.alter_feature_view('v', with_event_times => true);
DROP FUNCTION reads_function;
-- labels: what becomes one leaves the online form
SELECT feathub.alter_feature_view('v', labels => '{delay,more}');
SELECT pg_get_function_result('v_online'::regproc);
SELECT feature FROM feathub.feature WHERE feature_view = 'v'::regclass AND label ORDER BY number;

-- Labels follow their columns' names.
ALTER VIEW v RENAME COLUMN delay TO arrival_delay;
ALTER TABLE v RENAME COLUMN more TO less;
SELECT labels FROM feathub.feature_view WHERE feature_view = 'v'::regclass;
SELECT feature FROM feathub.feature WHERE feature_view = 'v'::regclass AND label ORDER BY number;
ALTER VIEW v RENAME COLUMN temp_o TO temp_origin;
SELECT feathub.alter_feature_view('v', labels => '{arrival_delay}');
SELECT pg_get_function_result('v_online'::regproc);
\set VERBOSITY terse
SELECT feathub.alter_feature_view('v', $$
  SELECT f.id, f.t, o.temp AS temp_o, d.temp AS temp_d, f.delay, o.visib + 1 AS less, a.alt FROM flights f
    LEFT JOIN weather o USING (origin) LEFT JOIN weather d ON d.origin = f.dest LEFT JOIN airport a ON a.origin = f.origin $$, reset => '{labels}');
\set VERBOSITY default

-- Refused: columns that go or change, names that do not fit, what CREATE would refuse, others' views.
SELECT feathub.alter_feature_view('v', 'SELECT f.id FROM flights f', labels => '{id}');
\set VERBOSITY terse
SELECT feathub.alter_feature_view('v', 'SELECT f.id, f.t FROM flights f', reset => '{labels,max_age}');
SELECT feathub.alter_feature_view('v', 'SELECT f.id::text FROM flights f', reset => '{labels,max_age}');
\set VERBOSITY default
SELECT feathub.alter_feature_view('v', 'SELECT nothing FROM flights f');
SELECT feathub.alter_feature_view('v', reset => '{query}');
SELECT feathub.alter_feature_view('v', event_time => 'nothing');
SELECT feathub.alter_feature_view('v', max_age => '[]');
SELECT feathub.alter_feature_view('v', max_age => '{"o": 1}');
SELECT feathub.alter_feature_view('v', max_age => '{"o": "-1 hour"}');
SELECT feathub.alter_feature_view('v', max_age => '{"o": "soon"}');
SELECT feathub.alter_feature_view('v', max_age => '{"f": "1 hour"}');
SELECT feathub.alter_feature_view('v', max_age => '{"a": "1 hour"}');
SELECT feathub.alter_feature_view(NULL);
SELECT feathub.alter_feature_view('nothing');
SELECT feathub.alter_feature_view('reads_v');
SELECT feathub.create_feature_view('clash', 'SELECT f.id AS w_age, w.temp FROM flights f LEFT JOIN weather w USING (origin)', 't', with_event_times => true);
GRANT USAGE ON SCHEMA views_alter TO regress_alter_reader;
SET ROLE regress_alter_reader;
SELECT feathub.alter_feature_view('views_alter.v');
RESET ROLE;
SELECT id, temp_origin FROM v ORDER BY id;

-- The query is looked up with the search path it was made with.
SET search_path = public;
SELECT feathub.alter_feature_view('views_alter.dates', max_age => '{"weather": "20 hours"}');
SET search_path = views_alter;
SELECT * FROM dates_online(1, 'JFK', '2020-01-02');

-- A renamed function is altered where it is; a superuser's change leaves the owner.
GRANT USAGE, CREATE ON SCHEMA views_alter TO regress_alter_reader;
GRANT SELECT ON flights, weather, airport TO regress_alter_reader;
ALTER VIEW dates OWNER TO regress_alter_reader;
ALTER FUNCTION dates_online OWNER TO regress_alter_reader;
ALTER FUNCTION dates_online RENAME TO serve_dates;
SELECT feathub.alter_feature_view('dates', with_event_times => false);
SELECT online FROM feathub.feature_view WHERE feature_view = 'dates'::regclass;
SELECT pg_get_userbyid(proowner) FROM pg_proc WHERE oid = 'serve_dates'::regproc;
SELECT * FROM serve_dates(1, 'JFK', '2020-01-02');

\set VERBOSITY terse
SET client_min_messages = warning;
DROP SCHEMA views_alter CASCADE;
DROP ROLE regress_alter_reader;
SELECT count(*) FROM feathub.feature_view;
