-- The training form: each row takes what was known at its time, never later.
CREATE EXTENSION IF NOT EXISTS feathub;
CREATE SCHEMA views_point_in_time;
SET search_path = views_point_in_time;
SET TimeZone = 'UTC';

CREATE TABLE g (k text NOT NULL, t timestamptz NOT NULL, v int, PRIMARY KEY (k, t));
SELECT feathub.create_feature_group('g', primary_key => '{k}', event_time => 't');
CREATE TABLE h (k text NOT NULL, t timestamptz NOT NULL, v int, PRIMARY KEY (k, t));
SELECT feathub.create_feature_group('h', primary_key => '{k}', event_time => 't', ttl => '1 hour');
CREATE TABLE spine (id int, k text, t timestamptz, label int);

SELECT feathub.create_feature_view('v', $$
  SELECT s.id, s.t, g.t AS g_at, g.v AS g, h.t AS h_at, h.v AS h, s.label
    FROM spine s LEFT JOIN g USING (k) LEFT JOIN h USING (k) $$, 't', '{label}');

-- Both bounds are inclusive; NULL keys and NULL times match nothing; every row of the spine is there once.
INSERT INTO g VALUES ('a', '2020-01-01 10:00', 10), ('a', '2020-01-01 11:00', 11), ('a', '2020-01-01 12:00', NULL), ('b', '2020-01-02', 1);
INSERT INTO h TABLE g;
INSERT INTO spine VALUES (1, 'a', '2020-01-01 09:59:59.999999'), (2, 'a', '2020-01-01 10:00'), (3, 'a', '2020-01-01 10:59:59.999999'),
  (4, 'a', '2020-01-01 11:00'), (5, 'a', '2020-01-01 12:00'), (6, 'a', '2020-01-01 13:00'), (7, 'a', '2020-01-01 13:00:00.000001'),
  (8, NULL, '2020-01-01 12:00'), (9, 'a', NULL), (10, 'none', '2020-01-01 12:00'), (11, 'a', 'infinity'), (12, 'a', '-infinity'), (2, 'a', '2020-01-01 10:00');
SELECT * FROM v ORDER BY id;

-- INNER JOIN and WHERE filter.
SELECT feathub.create_feature_view('inner_v', 'SELECT s.id, g.v FROM spine s JOIN g USING (k) WHERE g.v IS NOT NULL', 't');
SELECT * FROM inner_v ORDER BY id;

-- A condition besides the key is on the latest row: it does not reach back to an older one.
SELECT feathub.create_feature_view('more', 'SELECT s.id, g.v FROM spine s LEFT JOIN g ON g.k = s.k AND g.v > 10', 't');
SELECT * FROM more WHERE id IN (2, 4, 5) ORDER BY id;

-- A deletion ends the features, until a newer row; a deleted row of the spine is none.
CREATE TABLE d (k text NOT NULL, t timestamptz NOT NULL, v int, feathub_deleted bool NOT NULL DEFAULT false, PRIMARY KEY (k, t));
SELECT feathub.create_feature_group('d', primary_key => '{k}', event_time => 't', deletes => true);
INSERT INTO d VALUES ('a', '2020-01-01 10:00', 1, false), ('a', '2020-01-01 11:00', 1, true), ('a', '2020-01-01 12:00', 2, false);
SELECT feathub.create_feature_view('deleted', 'SELECT s.id, s.t, d.v FROM spine s LEFT JOIN d USING (k)', 't');
SELECT * FROM deleted WHERE id BETWEEN 1 AND 5 ORDER BY id;
SELECT feathub.create_feature_view('deleted_spine', 'SELECT d.k, d.t, d.v, g.v AS g FROM d LEFT JOIN g USING (k)');
SELECT * FROM deleted_spine ORDER BY t;

-- A group without event time has one row for all times; deletions count there too.
CREATE TABLE n (k text PRIMARY KEY, v int, feathub_deleted bool NOT NULL DEFAULT false);
SELECT feathub.create_feature_group('n', primary_key => '{k}', deletes => true);
INSERT INTO n VALUES ('a', 1, false), ('none', 2, true);
SELECT feathub.create_feature_view('timeless', 'SELECT s.id, n.v, g.v AS g FROM spine s LEFT JOIN n USING (k) LEFT JOIN g USING (k)', 't');
SELECT * FROM timeless WHERE id IN (4, 8, 10) ORDER BY id;

-- Chained: the key of one group comes from another group's row of that time.
CREATE TABLE owner (car text NOT NULL, t timestamptz NOT NULL, person text, PRIMARY KEY (car, t));
CREATE TABLE home (person text NOT NULL, t timestamptz NOT NULL, city text, PRIMARY KEY (person, t));
SELECT feathub.create_feature_group('owner', primary_key => '{car}', event_time => 't');
SELECT feathub.create_feature_group('home', primary_key => '{person}', event_time => 't');
INSERT INTO owner VALUES ('c', '2020-01-01', 'ann'), ('c', '2020-01-03', 'bob');
INSERT INTO home VALUES ('ann', '2020-01-01', 'Rome'), ('ann', '2020-01-04', 'Oslo'), ('bob', '2020-01-02', 'Bonn'), ('bob', '2020-01-05', 'Kiel');
CREATE TABLE crash (car text, t timestamptz);
INSERT INTO crash SELECT 'c', generate_series('2019-12-31'::timestamptz, '2020-01-06', '1 day');
SELECT feathub.create_feature_view('crash_v',
  'SELECT c.t, o.person, h.city FROM crash c LEFT JOIN owner o USING (car) LEFT JOIN home h ON h.person = o.person', 't');
SELECT * FROM crash_v ORDER BY t;

-- Times of unlike types are compared as SQL compares them; so are keys.
CREATE TABLE dated (k bigint NOT NULL, day date NOT NULL, v int, PRIMARY KEY (k, day));
SELECT feathub.create_feature_group('dated', primary_key => '{k}', event_time => 'day', ttl => '1 day');
CREATE TABLE local_spine (k int, t timestamp);
INSERT INTO dated VALUES (1, '2020-01-01', 1), (1, '2020-01-03', 3);
INSERT INTO local_spine VALUES (1, '2019-12-31 23:59'), (1, '2020-01-01 00:00'), (1, '2020-01-02 00:00'), (1, '2020-01-02 00:01'), (1, '2020-01-03 05:00');
SELECT feathub.create_feature_view('dated_v', 'SELECT s.t, d.v FROM local_spine s LEFT JOIN dated d USING (k)', 't');
SELECT * FROM dated_v ORDER BY t;

-- Keys of unlike types are compared as the query did: name = text.
CREATE TABLE fold (name name NOT NULL, t timestamptz NOT NULL, v int, PRIMARY KEY (name, t));
SELECT feathub.create_feature_group('fold', primary_key => '{name}', event_time => 't');
INSERT INTO fold VALUES ('a', '2020-01-01', 5);
SELECT feathub.create_feature_view('fold_v', 'SELECT s.id, f.v FROM spine s LEFT JOIN fold f ON f.name = s.k', 't');
SELECT * FROM fold_v WHERE id IN (5, 10) ORDER BY id;

-- Random data against the definition, written plainly.
TRUNCATE g, h, spine;
SELECT setseed(0.5);
INSERT INTO g SELECT chr(97 + (random() * 5)::int), timestamptz '2020-01-01' + (random() * 200)::int * interval '10 minutes', i FROM generate_series(1, 400) AS i
  ON CONFLICT DO NOTHING;
INSERT INTO h SELECT chr(97 + (random() * 5)::int), timestamptz '2020-01-01' + (random() * 200)::int * interval '10 minutes', i FROM generate_series(1, 100) AS i
  ON CONFLICT DO NOTHING;
INSERT INTO spine SELECT i, chr(97 + (random() * 6)::int), timestamptz '2020-01-01' + (random() * 200)::int * interval '10 minutes', i FROM generate_series(1, 500) AS i;
SELECT count(*), count(g), count(h) < count(g) AS ttl_counts FROM v;
SELECT count(*) AS wrong FROM v JOIN spine AS s USING (id)
 WHERE (v.g_at, v.g, v.h_at, v.h) IS DISTINCT FROM (
   (SELECT max(g.t) FROM g WHERE g.k = s.k AND g.t <= s.t),
   (SELECT g.v FROM g WHERE g.k = s.k AND g.t = (SELECT max(g2.t) FROM g AS g2 WHERE g2.k = s.k AND g2.t <= s.t)),
   (SELECT max(h.t) FROM h WHERE h.k = s.k AND h.t BETWEEN s.t - interval '1 hour' AND s.t),
   (SELECT h.v FROM h WHERE h.k = s.k AND h.t = (SELECT max(h2.t) FROM h AS h2 WHERE h2.k = s.k AND h2.t BETWEEN s.t - interval '1 hour' AND s.t)));

-- No later row changes what was there.
CREATE TABLE before AS TABLE v;
INSERT INTO g SELECT k, '2030-01-01', -1 FROM (SELECT DISTINCT k FROM g) AS k;
INSERT INTO h SELECT k, '2030-01-01', -1 FROM (SELECT DISTINCT k FROM h) AS k;
(TABLE before EXCEPT ALL TABLE v) UNION ALL (TABLE v EXCEPT ALL TABLE before);

-- Each group is read by its key.
CREATE INDEX spine_id ON spine (id);
ANALYZE;
SET enable_seqscan = off;
EXPLAIN (COSTS off) SELECT g, h FROM v WHERE id = 7;

\set VERBOSITY terse
SET client_min_messages = warning;
DROP SCHEMA views_point_in_time CASCADE;
