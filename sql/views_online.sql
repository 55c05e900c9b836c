-- The online form: the same features of one entity, looked up by key.
CREATE EXTENSION IF NOT EXISTS feathub;
CREATE SCHEMA views_online;
SET search_path = views_online;
SET TimeZone = 'UTC';

CREATE TABLE w_source (origin text, t timestamptz, temp float8);
SELECT feathub.create_feature_group('w', 'w_source', '{origin}', 't', ttl => '100 years');
CREATE TABLE u_source (user_id int, device text, t timestamptz, clicks int);
SELECT feathub.create_feature_group('u', 'u_source', '{user_id,device}', 't');
CREATE TABLE planes (tailnum text PRIMARY KEY, seats int);
CREATE TABLE flights (id int, origin text, tailnum text, user_id int, device text, sched_dep timestamptz, cancelled bool, arr_delay float8);
INSERT INTO planes VALUES ('N1', 100);
SELECT feathub.backfill('w', $$ SELECT 'JFK' AS origin, timestamptz '2020-01-01 10:00' AS t, 40.0::float8 AS temp $$, online => true);
SELECT feathub.backfill('w', $$ SELECT 'JFK' AS origin, timestamptz '2020-01-01 11:00' AS t, 41.5::float8 AS temp $$, online => true);
SELECT feathub.backfill('u', $$ SELECT 7 AS user_id, 'phone' AS device, timestamptz '2020-01-01' AS t, 3 AS clicks $$, online => true);

SELECT feathub.create_feature_view('delay', $$
  SELECT f.origin, f.sched_dep, w.t AS weather_at, w.temp, w.temp * 1.8 + 32 AS temp_f, p.seats, u.clicks,
         extract(hour FROM f.sched_dep) AS dep_hour, f.arr_delay > 15 AS late
    FROM flights f LEFT JOIN w USING (origin) LEFT JOIN planes p USING (tailnum) LEFT JOIN u USING (user_id, device)
   WHERE f.arr_delay IS NOT NULL $$,
  event_time => 'sched_dep', labels => '{late}');
-- Labels are gone, and a condition on what only labels need with them.
SELECT pg_get_function_arguments('delay_online'::regproc), pg_get_function_result('delay_online'::regproc);

-- Named arguments, positions, missing entities: one row, whatever is not there is null.
SELECT * FROM delay_online(origin => 'JFK', tailnum => 'N1', user_id => 7, device => 'phone', sched_dep => '2020-01-01 12:30');
SELECT temp, seats, clicks FROM delay_online('JFK', 'N1', 7, 'phone', '2020-01-01 12:30');
SELECT temp, seats, clicks, dep_hour FROM delay_online(origin => 'XXX', sched_dep => '2020-01-01 12:30');
SELECT count(*), count(sched_dep) FROM delay_online();

-- The serving time is the one passed, else now(): ttl counts from it, and an
-- online row that is newer than it is shown with its time.
SELECT temp, weather_at FROM delay_online(origin => 'JFK', sched_dep => '2020-01-01 10:30');
SELECT temp FROM delay_online(origin => 'JFK', sched_dep => '2120-01-01 11:00');
SELECT temp FROM delay_online(origin => 'JFK', sched_dep => '2120-01-01 11:00:00.000001');
SELECT sched_dep = now() AS is_now FROM delay_online(origin => 'JFK');

-- The same expressions on both sides.
INSERT INTO flights VALUES (1, 'JFK', 'N1', 7, 'phone', '2020-01-01 12:30', false, 20);
SELECT origin, sched_dep, weather_at, temp, temp_f, seats, clicks, dep_hour FROM delay
EXCEPT SELECT * FROM delay_online('JFK', 'N1', 7, 'phone', '2020-01-01 12:30');
SELECT late FROM delay;

-- It is inlined into a prepared statement: look-ups by key and nothing else.
SET enable_seqscan = off;
SET plan_cache_mode = force_generic_plan;
PREPARE features AS SELECT temp, temp_f, seats, clicks FROM delay_online(origin => $1, tailnum => $2, user_id => $3, device => $4);
EXPLAIN (COSTS off) EXECUTE features('JFK', 'N1', 7, 'phone');
EXECUTE features('JFK', 'N1', 7, 'phone');
-- what is not asked for is not looked up
EXPLAIN (COSTS off) SELECT seats FROM delay_online(origin => 'JFK', tailnum => 'N1');
-- beside a table of entities it is a join
EXPLAIN (COSTS off) SELECT e.origin, d.temp FROM (VALUES ('JFK'), ('EWR')) AS e (origin) CROSS JOIN LATERAL delay_online(origin => e.origin) AS d;

-- WHERE and INNER JOIN filter as in training.
SELECT feathub.create_feature_view('filtered', 'SELECT w.temp FROM flights f JOIN w USING (origin) WHERE NOT f.cancelled', 'sched_dep');
SELECT * FROM filtered_online(origin => 'JFK', cancelled => false);
SELECT * FROM filtered_online(origin => 'JFK', cancelled => true);
SELECT * FROM filtered_online(origin => 'XXX', cancelled => false);

-- A deleted key is not in the online table.
CREATE TABLE d_source (k int, t timestamptz, v int);
SELECT feathub.create_feature_group('d', 'd_source', '{k}', 't', deletes => true);
INSERT INTO d_online VALUES (1, '2020-01-01', 1);
SELECT feathub.create_feature_view('deletes', 'SELECT s.k, d.v FROM d_source s LEFT JOIN d USING (k)', 't');
SELECT * FROM deletes_online(1);
DELETE FROM d_online;
SELECT * FROM deletes_online(1);

-- A group without online table is served from its history, as of the time passed.
CREATE TABLE o_source (k int, t timestamptz, v int);
SELECT feathub.create_feature_group('o', 'o_source', '{k}', 't', online => false);
INSERT INTO o VALUES (1, '2020-01-01', 1), (1, '2020-01-02', 2);
SELECT feathub.create_feature_view('offline', 'SELECT s.k, o.v FROM o_source s LEFT JOIN o USING (k)', 't');
SELECT * FROM offline_online(1);
SELECT * FROM offline_online(1, t => '2020-01-01 12:00');

-- A domain's constraints hold for arguments.
CREATE DOMAIN code AS text CHECK (VALUE ~ '^[A-Z]+$');
CREATE TABLE coded (origin code, at timestamp);
SELECT feathub.create_feature_view('coded_v', 'SELECT c.origin, c.at, w.temp FROM coded c LEFT JOIN w ON w.origin = c.origin', 'at');
SELECT * FROM coded_v_online('JFK', '2020-01-02');
SELECT * FROM coded_v_online('jfk', '2020-01-02');

-- Vectors: objects with the arguments; order, repetition and what is missing stay.
SELECT jsonb_pretty(feathub.get_feature_vector('delay', '{"origin": "JFK", "tailnum": "N1", "user_id": 7, "device": "phone", "sched_dep": "2020-01-01 12:30"}'));
SELECT e ->> 'origin' AS origin, e ->> 'temp' AS temp, e ->> 'seats' AS seats
  FROM jsonb_array_elements(feathub.get_feature_vectors('delay',
    '[{"origin": "JFK"}, {"origin": "XXX"}, {"origin": "JFK", "tailnum": "N1"}, {"origin": "JFK"}, {}]')) WITH ORDINALITY AS r (e, n) ORDER BY n;
SELECT feathub.get_feature_vectors('filtered', '[{"origin": "XXX", "cancelled": false}, {"origin": "JFK", "cancelled": false}]');
SELECT feathub.get_feature_vector('filtered', '{"origin": "XXX", "cancelled": false}');
SELECT feathub.get_feature_vectors('delay', '[]');
SELECT jsonb_array_length(feathub.get_feature_vectors('delay', (SELECT jsonb_agg(jsonb_build_object('origin', 'JFK')) FROM generate_series(1, 1000))));
-- several rows for one entity are an error for a vector, and are what they are in the function
CREATE TABLE many (tailnum text, n int);
INSERT INTO many VALUES ('N1', 1), ('N1', 2);
SELECT feathub.create_feature_view('several', 'SELECT f.origin, m.n FROM flights f LEFT JOIN many m USING (tailnum)');
SELECT * FROM several_online(tailnum => 'N1') ORDER BY n;
SELECT feathub.get_feature_vector('several', '{"tailnum": "N1"}');
SELECT feathub.get_feature_vectors('several', '[{"tailnum": "N2"}, {"tailnum": "N1"}]');
SELECT feathub.drop_feature_view('several');
SELECT feathub.get_feature_vector('several', '{"tailnum": "N1"}');
-- a view without arguments
SELECT feathub.create_feature_view('constant', 'SELECT 1 AS one FROM planes');
SELECT feathub.get_feature_vector('constant', '{}'), feathub.get_feature_vectors('constant', '[{}, {}]');
-- plans follow changes of the tables and of names
ALTER TABLE w_online RENAME TO w_live;
ALTER SCHEMA views_online RENAME TO views_moved;
SET search_path = views_moved;
SELECT feathub.get_feature_vector('delay', '{"origin": "JFK", "sched_dep": "2020-01-01 12:30"}') -> 'temp' AS temp;
ALTER SCHEMA views_moved RENAME TO views_online;
SET search_path = views_online;
SELECT feathub.get_feature_vector('delay', '{"origin": "JFK", "sched_dep": "2020-01-01 12:30"}') -> 'temp' AS temp;

\set VERBOSITY terse
SET client_min_messages = warning;
DROP SCHEMA views_online CASCADE;
