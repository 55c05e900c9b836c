-- What foreign tables refuse, and what they say; nothing here has a broker to talk to.
CREATE EXTENSION IF NOT EXISTS feathub;
CREATE SERVER fdw_errors FOREIGN DATA WRAPPER feathub_kafka
  OPTIONS (bootstrap_servers '127.0.0.1:1', connect_timeout '1', produce_timeout '1');
CREATE FOREIGN TABLE errors_t (a int, b text) SERVER fdw_errors OPTIONS (topic 't', format 'json');

-- Statements that a stream of messages cannot answer.
UPDATE errors_t SET a = 1;
\echo :LAST_ERROR_SQLSTATE
DELETE FROM errors_t;
TRUNCATE errors_t;
\echo :LAST_ERROR_SQLSTATE
MERGE INTO errors_t USING (SELECT 1 AS x) s ON a = x WHEN MATCHED THEN DELETE;
INSERT INTO errors_t VALUES (1, 'x') ON CONFLICT DO NOTHING;
\echo :LAST_ERROR_SQLSTATE
INSERT INTO errors_t VALUES (1, 'x') ON CONFLICT (a) DO UPDATE SET b = 'y';
CREATE INDEX ON errors_t (a);

-- What a table does not allow, and whom the server's own views tell; they fail for nobody.
ALTER SERVER fdw_errors OPTIONS (ADD updatable 'false');
SELECT is_insertable_into FROM information_schema.tables WHERE table_name = 'errors_t';
INSERT INTO errors_t VALUES (1, 'x');
\echo :LAST_ERROR_SQLSTATE
COPY errors_t FROM stdin;
1	x
\.
CREATE FOREIGN TABLE errors_source (a int, b text) SERVER fdw_errors OPTIONS (topic 's', format 'json');
SELECT feathub.create_job('errors_job', source => 'errors_source', sink => 'errors_t', query => 'SELECT a, b FROM batch');
DROP FOREIGN TABLE errors_source;
ALTER FOREIGN TABLE errors_t OPTIONS (ADD updatable 'true');
SELECT is_insertable_into FROM information_schema.tables WHERE table_name = 'errors_t';
SELECT pg_relation_is_updatable('errors_t', false);
ALTER FOREIGN TABLE errors_t OPTIONS (SET updatable 'sometimes');
ALTER FOREIGN TABLE errors_t OPTIONS (ADD truncatable 'false');
ALTER FOREIGN TABLE errors_t OPTIONS (DROP updatable);
ALTER SERVER fdw_errors OPTIONS (DROP updatable);

-- As part of a partitioned table, too.
CREATE TABLE errors_p (a int, b text) PARTITION BY LIST (a);
CREATE TABLE errors_p1 PARTITION OF errors_p FOR VALUES IN (1);
CREATE FOREIGN TABLE errors_p2 PARTITION OF errors_p FOR VALUES IN (2) SERVER fdw_errors OPTIONS (topic 't');
INSERT INTO errors_p VALUES (1, 'x') ON CONFLICT DO NOTHING;
INSERT INTO errors_p VALUES (2, 'x') ON CONFLICT DO NOTHING;
UPDATE errors_p SET b = 'y' WHERE a = 1;
UPDATE errors_p SET b = 'y' WHERE a = 2;
DELETE FROM errors_p;

-- Generated columns are not for the user to give.
CREATE FOREIGN TABLE errors_g (a int, g int GENERATED ALWAYS AS (a + 1) STORED) SERVER fdw_errors OPTIONS (topic 't');
INSERT INTO errors_g VALUES (1, 2);

-- Planning and EXPLAIN ask nobody; only running does.
EXPLAIN (COSTS OFF) SELECT a FROM errors_t WHERE a > 1 AND b = 'x';
EXPLAIN (COSTS OFF) INSERT INTO errors_t VALUES (1, 'x');
PREPARE errors_q AS SELECT a FROM errors_t;
EXPLAIN (COSTS OFF) EXECUTE errors_q;
\set VERBOSITY sqlstate
SELECT a FROM errors_t;
INSERT INTO errors_t VALUES (1, 'x');
COPY errors_t FROM stdin;
1	x
\.
ANALYZE errors_t;
IMPORT FOREIGN SCHEMA x FROM SERVER fdw_errors INTO public;
\set VERBOSITY default
DO $$ BEGIN
  PERFORM a FROM errors_t;
EXCEPTION WHEN fdw_unable_to_establish_connection THEN
  RAISE NOTICE '%', regexp_replace(SQLERRM, '"fdw_errors": .*', '"fdw_errors": ...');
END $$;

-- The session is none the worse, nor is a subtransaction.
BEGIN;
SAVEPOINT s;
\set VERBOSITY sqlstate
SELECT a FROM errors_t;
\set VERBOSITY default
ROLLBACK TO s;
SELECT 'still here' AS session;
COMMIT;

-- A prepared statement sees changed options.
ALTER FOREIGN TABLE errors_t ALTER b OPTIONS (ADD metadata 'partition');
EXECUTE errors_q;

-- A wrapper that somebody made of our functions has no connector.
CREATE FOREIGN DATA WRAPPER errors_other HANDLER feathub.fdw_handler;
CREATE SERVER errors_other FOREIGN DATA WRAPPER errors_other;
CREATE FOREIGN TABLE errors_o (a int) SERVER errors_other;
SELECT * FROM errors_o;
INSERT INTO errors_o VALUES (1);
ANALYZE errors_o;
IMPORT FOREIGN SCHEMA x FROM SERVER errors_other INTO public;
CREATE FOREIGN DATA WRAPPER errors_none VALIDATOR feathub.kafka_validator;
CREATE SERVER errors_none FOREIGN DATA WRAPPER errors_none OPTIONS (bootstrap_servers 'x');
CREATE FOREIGN TABLE errors_n (a int) SERVER errors_none OPTIONS (topic 'x');
SELECT * FROM errors_n;
DROP FOREIGN DATA WRAPPER errors_other CASCADE;
DROP FOREIGN DATA WRAPPER errors_none CASCADE;

-- The functions are not for calling.
SELECT feathub.fdw_handler();
SELECT feathub.kafka_validator('{topic=x}', 'pg_class'::regclass);

DROP TABLE errors_p;
DROP SERVER fdw_errors CASCADE;
DROP EXTENSION feathub;
