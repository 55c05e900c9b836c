-- Jobs with a query over each batch.
CREATE EXTENSION IF NOT EXISTS feathub;
SET timezone = 'UTC';
SET datestyle = 'ISO';
CREATE SCHEMA ingest_query;
SET search_path = ingest_query;
CREATE SERVER ingest_query FOREIGN DATA WRAPPER feathub_kafka OPTIONS (bootstrap_servers 'embedded');
CREATE USER MAPPING FOR CURRENT_USER SERVER ingest_query;
CREATE FOREIGN TABLE stream (gone int, k text, at timestamptz, f float8, n int, tags text[])
  SERVER ingest_query OPTIONS (topic 't_ingest_query', format 'json');
ALTER FOREIGN TABLE stream DROP COLUMN gone;
CREATE TABLE airport (code text PRIMARY KEY, name text, wind float8 DEFAULT 1);
INSERT INTO airport VALUES ('JFK', 'Kennedy'), ('LGA', 'La Guardia');
CREATE FUNCTION fahrenheit(c float8) RETURNS float8 LANGUAGE sql IMMUTABLE RETURN c * 1.8 + 32;
CREATE VIEW counters AS
  SELECT job, records, applied, duplicates, dead_letters, skipped, expired,
         records = applied + duplicates + dead_letters + skipped + expired AS adds_up
    FROM feathub.job_status;

-- Expressions, new names, casts, functions by their schema; the query gives the columns of the group.
SELECT feathub.create_feature_group('expressions', 'stream', '{origin}', 'at', query => $$
  SELECT lower(k) AS origin, at, ingest_query.fahrenheit(f) AS temp_f, n * 2 AS "Twice", cardinality(tags) AS ntags,
         CASE WHEN n > 1 THEN 'many' ELSE 'few' END AS size, NULL::text AS nothing, at::date AS day
    FROM batch $$);
\d expressions
-- WHERE leaves records out, and they are counted.
SELECT feathub.create_feature_group('filtered', 'stream', '{k}', 'at', query => 'SELECT * FROM batch WHERE n <> 2 AND k IS NOT NULL');
\d filtered
-- SELECT *, with an alias, with more columns; the whole batch is as the source.
SELECT feathub.create_feature_group('star', 'stream', '{k}', 'at', query => 'SELECT b.*, b.n + 1 AS next FROM batch AS b ORDER BY b.n DESC');
\d star
-- A CTE, a subquery, a lateral join, a set-returning function.
SELECT feathub.create_feature_group('cte', 'stream', '{k}', 'at', query => $$
  WITH b AS (SELECT * FROM batch WHERE k IS NOT NULL), c AS MATERIALIZED (SELECT k, at, f + 1 AS f FROM b) SELECT c.*, to_jsonb(c) AS row FROM c $$);
SELECT feathub.create_feature_group('subquery', 'stream', '{k}', 'at', query => $$
  SELECT q.k, q.at, q.f, (SELECT count(*) FROM ingest_query.airport) AS airports FROM (SELECT k, at, f FROM batch WHERE k IS NOT NULL) q $$);
SELECT feathub.create_feature_group('tags', 'stream', '{k,tag}', 'at', query => $$
  SELECT k, at, t.tag, t.ord::int FROM batch, LATERAL unnest(tags) WITH ORDINALITY AS t (tag, ord) $$);
-- Joins with tables: inner ones leave records out, outer ones keep them.
SELECT feathub.create_feature_group('joined', 'stream', '{k}', 'at', query => $$
  SELECT b.k, b.at, a.name, b.f * a.wind AS f FROM batch b JOIN ingest_query.airport a ON a.code = b.k $$);
SELECT feathub.create_feature_group('left_joined', 'stream', '{k}', 'at', query => $$
  SELECT b.k, b.at, a.name FROM ingest_query.airport a RIGHT JOIN batch b ON a.code = b.k WHERE b.k IS NOT NULL $$);
-- An outer join that may leave the batch's columns NULL, its whole row too, by other names.
CREATE TABLE optional (code text, n int, whole text, names jsonb);
SELECT feathub.create_job('optional', 'stream', 'optional', query => $$
  SELECT v.code, b.n, b::text AS whole, (SELECT to_jsonb(b)) AS names
    FROM (VALUES ('JFK'), ('never')) v (code) LEFT JOIN batch b (k, "when") ON b.k = v.code $$);
-- Aggregates, DISTINCT and set operations mean "per batch".
CREATE TABLE totals (k text, records bigint, total float8);
SELECT feathub.create_job('totals', 'stream', 'totals', query => 'SELECT k, count(*) AS records, sum(f) AS total FROM batch WHERE k IS NOT NULL GROUP BY k');
SELECT feathub.create_feature_group('distinct_rows', 'stream', '{k}', 'at', query => 'SELECT DISTINCT ON (k, at) k, at, f FROM batch WHERE k IS NOT NULL ORDER BY k, at, f');
SELECT feathub.create_feature_group('union_rows', 'stream', '{k}', 'at', query => $$
  SELECT k, at, f FROM batch WHERE k = 'JFK' UNION ALL SELECT k, at, -f FROM batch WHERE k = 'LGA' $$);
-- A column less than the sink has, one of another type that can be assigned.
CREATE TABLE plain (k varchar(3), n bigint, f real, at timestamp, more text DEFAULT 'none');
SELECT feathub.create_job('plain', 'stream', 'plain', query => 'SELECT at, f, n, k FROM batch WHERE k IS NOT NULL');
-- batch is not the name of a table, unless a schema is given; nobody sees feathub's own column.
CREATE TABLE batch (k text, at timestamptz, f float8);
INSERT INTO batch VALUES ('TABLE', '2013-01-01', 1);
SELECT feathub.create_feature_group('shadow', 'stream', '{k}', 'at', query => 'SELECT k, at, f FROM batch WHERE k IS NOT NULL UNION ALL SELECT k, at, f FROM ingest_query.batch');
SELECT feathub.create_feature_group('leak', 'stream', '{k}', 'at', query => 'SELECT k, at, feathub_arrival FROM batch');
SELECT feathub.create_feature_group('leak', 'stream', '{k}', 'at', query => 'SELECT k, at, to_jsonb(b) AS b, to_jsonb(b.*) AS c FROM batch b WHERE k IS NOT NULL');

INSERT INTO stream VALUES ('JFK', '2013-01-01 01:00+00', 10, 1, '{a,b}'), ('JFK', '2013-01-01 02:00+00', 20, 2, '{b}'),
  ('LGA', '2013-01-01 01:00+00', -40, 3, NULL), ('EWR', '2013-01-01 01:00+00', NULL, 0, '{}'), (NULL, '2013-01-01 01:00+00', 1, 1, NULL);
SELECT feathub.wait_for_job(job, '60 s') FROM feathub.job_status ORDER BY job;
TABLE expressions ORDER BY origin, at;
TABLE filtered ORDER BY k, at;
TABLE star ORDER BY k, at;
TABLE cte ORDER BY k, at;
TABLE subquery ORDER BY k, at;
TABLE tags ORDER BY k, at, tag;
TABLE tags_online ORDER BY k, tag;
TABLE joined ORDER BY k, at;
TABLE left_joined ORDER BY k, at;
SELECT DISTINCT * FROM optional WHERE n IS NOT NULL OR code = 'never' ORDER BY code, n;
SELECT feathub.drop_job('optional');
SELECT k, sum(records), sum(total) FROM totals GROUP BY k ORDER BY k;
TABLE distinct_rows ORDER BY k, at;
TABLE union_rows ORDER BY k, at;
TABLE plain ORDER BY k, n;
TABLE shadow ORDER BY k, at;
TABLE leak ORDER BY k, at;
SELECT job, records, applied, dead_letters, skipped, adds_up FROM counters
 WHERE job NOT IN ('totals', 'distinct_rows', 'union_rows', 'shadow', 'tags') ORDER BY job;
SELECT job, message FROM feathub.dead_letter ORDER BY job;

-- The order of arrival counts, not the order in which a join or a sort gives the rows.
INSERT INTO stream SELECT 'SEQ', '2013-01-02', i, i FROM generate_series(1000, 1, -1) i;
SELECT feathub.wait_for_job(job, '60 s') FROM feathub.job_status WHERE job IN ('star', 'left_joined', 'cte') ORDER BY job;
SELECT n, next FROM star WHERE k = 'SEQ';
SELECT n FROM star_online WHERE k = 'SEQ';
-- So it does through subqueries and CTEs, which may be put apart or not, below joins and with what only ORDER BY needs.
SELECT feathub.create_feature_group('nested', 'stream', '{k}', 'at', query => $$
  WITH a AS (SELECT k, at, n FROM batch WHERE k = 'SEQ' ORDER BY n % 7, f), b AS MATERIALIZED (SELECT a.*, n % 7 AS rest FROM a),
    unused AS (SELECT 1)
  SELECT d.k, d.at, d.n, to_jsonb(d) AS row FROM generate_series(0, 6) m (rest) JOIN (SELECT * FROM b ORDER BY n + rest) d USING (rest) $$);
SELECT feathub.wait_for_job('nested', '60 s');
TABLE nested;
SELECT skipped, adds_up FROM counters WHERE job = 'nested';

-- What the joined table holds is read anew for each batch.
INSERT INTO airport VALUES ('EWR', 'Newark', 2);
UPDATE airport SET wind = 10 WHERE code = 'JFK';
INSERT INTO stream VALUES ('EWR', '2013-01-03', 5, 5), ('JFK', '2013-01-03', 5, 5);
SELECT feathub.wait_for_job('joined', '60 s');
TABLE joined_online ORDER BY k;

-- A record on which the query fails is a dead letter, the others of its batch are not touched.
SELECT feathub.create_feature_group('ratio', 'stream', '{k}', 'at', query => 'SELECT k, at, 12 / n AS ratio FROM batch WHERE k IS NOT NULL');
SELECT feathub.wait_for_job('ratio', '60 s');
SELECT k, at, ratio FROM ratio WHERE k <> 'SEQ' ORDER BY k, at;
SELECT partition, sequence, key, convert_from(value, 'UTF8'), sqlstate, message, retries FROM feathub.dead_letter WHERE job = 'ratio' ORDER BY sequence;
SELECT records, dead_letters, adds_up FROM counters WHERE job = 'ratio';
SELECT feathub.create_feature_group('nested_ratio', 'stream', '{k}', 'at', query => $$
  WITH b AS (SELECT * FROM batch WHERE k IS NOT NULL) SELECT k, at, ratio FROM (SELECT k, at, 12 / n AS ratio, random() FROM b) c $$);
SELECT feathub.wait_for_job('nested_ratio', '60 s');
SELECT k, at, ratio FROM nested_ratio WHERE k <> 'SEQ' ORDER BY k, at;
SELECT convert_from(value, 'UTF8'), sqlstate, message FROM feathub.dead_letter WHERE job = 'nested_ratio' ORDER BY sequence;
-- A query that fails as a whole stops the job: nothing can be told of a single record.
CREATE TABLE worst (k text, ratio int);
SELECT feathub.create_job('worst', 'stream', 'worst', query => 'SELECT max(k) AS k, max(12 / n) AS ratio FROM batch');
\set VERBOSITY terse
SELECT feathub.wait_for_job('worst', '60 s');
\set VERBOSITY default
SELECT state, regexp_replace(reason, 'to topic.*offset \d+', 'to ...') AS reason FROM feathub.job_status WHERE job = 'worst';
SELECT feathub.drop_job('worst');

-- Of a record that gives several rows, all or none are written; rows of no record at all.
SELECT feathub.create_feature_group('twins', 'stream', '{k}', 'at', query => $$
  SELECT v.k, b.at, b.n FROM batch b, LATERAL (VALUES (b.k), (CASE WHEN b.n <> 2 THEN b.k || '2' END)) v (k) WHERE b.k = 'JFK' $$);
SELECT feathub.wait_for_job('twins', '60 s');
TABLE twins ORDER BY k, at;
SELECT records, applied, dead_letters, skipped FROM counters WHERE job = 'twins';
SELECT feathub.create_feature_group('outer_rows', 'stream', '{code}', query => $$
  SELECT a.code, b.n FROM ingest_query.airport a LEFT JOIN batch b ON a.code = b.k AND b.n = 5 $$);
SELECT feathub.wait_for_job('outer_rows', '60 s');
SELECT code FROM outer_rows ORDER BY code;

-- A query's failure that is no record's fault: the job says why, and goes on when it is mended.
CREATE TABLE factor (x int);
INSERT INTO factor VALUES (2);
SELECT feathub.create_feature_group('scaled', 'stream', '{k}', 'at', query => 'SELECT k, at, n * x AS n FROM batch, ingest_query.factor WHERE k IS NOT NULL');
SELECT feathub.wait_for_job('scaled', '60 s');
ALTER TABLE factor RENAME TO factor_away;
INSERT INTO stream VALUES ('BOS', '2013-01-04', 1, 21);
DO $$
BEGIN
  FOR i IN 1 .. 6000 LOOP
    EXIT WHEN (SELECT last_error LIKE '%factor%' FROM feathub.job_status WHERE job = 'scaled');
    PERFORM pg_sleep(0.01);
  END LOOP;
END $$;
SELECT state, last_error FROM feathub.job_status WHERE job = 'scaled';
ALTER TABLE factor_away RENAME TO factor;
SELECT feathub.wait_for_job('scaled', '60 s');
SELECT * FROM scaled_online WHERE k = 'BOS';

-- What a job's query cannot be.
CREATE TABLE sink (k text, at timestamptz, f float8, PRIMARY KEY (k, at));
SELECT feathub.create_job('bad', 'stream', 'sink', query => 'INSERT INTO ingest_query.sink SELECT k, at, f FROM batch RETURNING *');
SELECT feathub.create_job('bad', 'stream', 'sink', query => 'WITH x AS (DELETE FROM ingest_query.airport RETURNING 1) SELECT k, at, f FROM batch');
SELECT feathub.create_job('bad', 'stream', 'sink', query => 'SELECT k, at, f INTO more FROM batch');
SELECT feathub.create_job('bad', 'stream', 'sink', query => 'SELECT k, at, f FROM batch; SELECT 1');
SELECT feathub.create_job('bad', 'stream', 'sink', query => '');
SELECT feathub.create_job('bad', 'stream', 'sink', query => 'SELECT k, at f, FROM batch');
SELECT feathub.create_job('bad', 'stream', 'sink', query => 'SELECT k, at, f FROM batch WHERE k = $1');
SELECT feathub.create_job('bad', 'stream', 'sink', query => 'SELECT k, at, nope FROM batch');
SELECT feathub.create_job('bad', 'stream', 'sink', query => 'SELECT k, at, gone FROM batch');
SELECT feathub.create_job('bad', 'stream', 'sink', query => 'SELECT k, at, f, f FROM batch');
SELECT feathub.create_job('bad', 'stream', 'sink', query => 'SELECT k, at, f, n FROM batch');
SELECT feathub.create_job('bad', 'stream', 'sink', query => 'SELECT k, at, f FROM airport, batch');
SELECT feathub.create_job('bad', 'stream', 'sink', query => 'SELECT k, at, f FROM batch, ingest_query.airport FOR UPDATE');
SELECT feathub.create_job('bad', 'stream', 'sink', query => 'SELECT k, at, f FROM batch, ingest_query.airport FOR SHARE OF airport');
SELECT feathub.create_job('bad', 'stream', 'sink', query => 'SELECT k, at, tags AS f FROM batch');
SELECT feathub.create_job('bad', 'stream', 'sink', query => 'TABLE nothing');
SELECT feathub.create_job('bad', 'stream', 'sink', query => 'EXPLAIN SELECT 1');
SELECT feathub.create_job('bad', 'stream', 'sink', query => 'VALUES (1)');
SELECT feathub.create_feature_group('bad', 'stream', '{k}', 'at', query => 'SELECT at, f FROM batch');
SELECT feathub.create_feature_group('bad', 'stream', '{k}', 'at', query => 'SELECT k, f FROM batch');
SELECT feathub.create_feature_group('bad', 'stream', '{k}', 'at', query => 'SELECT k, at, ROW(f, n) AS r FROM batch');
SELECT feathub.create_feature_group('bad', 'stream', '{k}', 'at', query => 'SELECT k, at::text AS at, f FROM batch');
-- a key that would be cast on the way could make two keys one
SELECT feathub.create_feature_group('sink', 'stream', '{k}', 'at', query => 'SELECT k::varchar AS k, at, f FROM batch');
SELECT feathub.create_feature_group('sink', 'stream', '{k}', 'at', query => 'SELECT k, at::timestamp AS at, f FROM batch');
SELECT job FROM feathub.job_status WHERE job IN ('bad', 'sink');

SET client_min_messages = warning;
DROP SCHEMA ingest_query CASCADE;
DROP SERVER ingest_query CASCADE;
