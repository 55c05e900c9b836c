-- Options of MySQL servers, user mappings, tables and columns; no server is
-- needed for them.
CREATE EXTENSION feathub;
\set VERBOSITY terse

-- each in its place, each with its values
CREATE SERVER s FOREIGN DATA WRAPPER feathub_mysql OPTIONS (host 'h', port '0');
CREATE SERVER s FOREIGN DATA WRAPPER feathub_mysql OPTIONS (host 'h', port 'x');
CREATE SERVER s FOREIGN DATA WRAPPER feathub_mysql OPTIONS (ssl_mode 'maybe');
CREATE SERVER s FOREIGN DATA WRAPPER feathub_mysql OPTIONS (user 'u');
CREATE SERVER s FOREIGN DATA WRAPPER feathub_mysql OPTIONS (password 'secret');
CREATE SERVER s FOREIGN DATA WRAPPER feathub_mysql OPTIONS (hots 'h');
CREATE SERVER s FOREIGN DATA WRAPPER feathub_mysql
  OPTIONS (host '127.0.0.1', port '1', connect_timeout '1', ssl_mode 'disabled', compression 'on', keep_connections 'off',
           fdw_startup_cost '10', fdw_tuple_cost '0.5', zero_dates 'null', batch_size '10', lookup_size '20', pushdown 'on',
           use_remote_estimate 'off', query_timeout '1', network_timeout '1');
CREATE USER MAPPING FOR CURRENT_USER SERVER s OPTIONS (password 'secret');
CREATE USER MAPPING FOR CURRENT_USER SERVER s OPTIONS (user 'u', password 'secret', password_required 'perhaps');
CREATE USER MAPPING FOR CURRENT_USER SERVER s OPTIONS (user 'u', password 'secret', password_required 'false');
CREATE FOREIGN TABLE t (a int OPTIONS (key 'perhaps')) SERVER s OPTIONS (database 'd');
CREATE FOREIGN TABLE t (a int OPTIONS (key 'true', column_name 'A')) SERVER s OPTIONS (database 'd', write_mode 'replace');
CREATE FOREIGN TABLE t (a int OPTIONS (key 'true', column_name 'A')) SERVER s OPTIONS (database 'd', format 'csv');
CREATE FOREIGN TABLE t (a int OPTIONS (key 'true', column_name 'A`'), b text, c date, d text OPTIONS (wkt 'true')) SERVER s
  OPTIONS (database 'd', table_name 'T', write_mode 'upsert');
CREATE FOREIGN TABLE no_database (a int) SERVER s;
SELECT * FROM no_database;
DROP FOREIGN TABLE no_database;

-- plans need no server; they show what it would be asked
\set explain 'EXPLAIN (VERBOSE, COSTS off)'
:explain SELECT b FROM t WHERE a = 1 AND b = 'it''s \' AND c > '2013-01-01';
:explain SELECT count(*) FROM t;
:explain SELECT a FROM t WHERE b = ANY ('{x,y}') AND a IN (1, 2) AND b LIKE 'a%' AND c IS NOT NULL;
:explain SELECT d FROM t WHERE c IS NULL OR upper(b) = 'X' OR d = 'POINT(1 1)';
:explain INSERT INTO t VALUES (1, 'x');
:explain UPDATE t SET b = upper(b) WHERE a = 1;
:explain DELETE FROM t WHERE a = 1 AND b <> 'x';
:explain SELECT x.a, y.b FROM t x JOIN t y USING (a) ORDER BY x.a DESC LIMIT 3;
PREPARE p(int, text) AS SELECT a FROM t WHERE a > $1 AND b = $2;
SET plan_cache_mode = force_generic_plan;
:explain EXECUTE p(1, 'x');
RESET plan_cache_mode;

-- nobody answers there
SELECT a FROM t;

-- rights
CREATE ROLE regress_mysql;
GRANT USAGE ON FOREIGN SERVER s TO regress_mysql;
GRANT SELECT ON t TO regress_mysql;
GRANT USAGE ON FOREIGN DATA WRAPPER feathub_mysql TO regress_mysql;
SET ROLE regress_mysql;
CREATE USER MAPPING FOR regress_mysql SERVER s OPTIONS (user 'u', password_required 'false');
CREATE USER MAPPING FOR regress_mysql SERVER s OPTIONS (user 'u', password '');
SELECT a FROM t;
CREATE SERVER mine FOREIGN DATA WRAPPER feathub_mysql OPTIONS (ssl_ca '/etc/passwd');
ALTER USER MAPPING FOR regress_mysql SERVER s OPTIONS (ADD ssl_key '/etc/passwd');
RESET ROLE;

DROP SERVER s CASCADE;
DROP OWNED BY regress_mysql;
DROP ROLE regress_mysql;
DROP EXTENSION feathub;
