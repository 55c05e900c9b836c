-- Options of feathub_kafka: where each belongs, what values it takes, what is said of a wrong one.
CREATE EXTENSION IF NOT EXISTS feathub;
\set VERBOSITY default
\set wrapper 'FOREIGN DATA WRAPPER feathub_kafka OPTIONS (bootstrap_servers ''127.0.0.1:1'''

-- Wrappers take no options.
ALTER FOREIGN DATA WRAPPER feathub_kafka OPTIONS (topic 'x');
ALTER FOREIGN DATA WRAPPER feathub_kafka OPTIONS (x 'x');

-- Servers: a required option, then names.
CREATE SERVER options_bad FOREIGN DATA WRAPPER feathub_kafka;
\echo :LAST_ERROR_SQLSTATE
CREATE SERVER options_bad FOREIGN DATA WRAPPER feathub_kafka OPTIONS (bootstrap_server 'x');
\echo :LAST_ERROR_SQLSTATE
CREATE SERVER options_bad FOREIGN DATA WRAPPER feathub_kafka OPTIONS (bootstrap_servers '');
\echo :LAST_ERROR_SQLSTATE
CREATE SERVER options_bad FOREIGN DATA WRAPPER feathub_kafka OPTIONS (bootstrap_servers ' , ');
CREATE SERVER options_bad :wrapper, topic 'x');
CREATE SERVER options_bad :wrapper, metadata 'offset');
CREATE SERVER options_bad :wrapper, something_else 'x');
CREATE SERVER options_bad :wrapper, "Connect_Timeout" '5');
CREATE SERVER options_bad :wrapper, connect_timeout '5', connect_timeout '6');

-- Integers and their limits.
CREATE SERVER options_bad :wrapper, connect_timeout '0');
\echo :LAST_ERROR_SQLSTATE
CREATE SERVER options_bad :wrapper, connect_timeout '3601');
CREATE SERVER options_bad :wrapper, connect_timeout '-1');
CREATE SERVER options_bad :wrapper, connect_timeout '1s');
CREATE SERVER options_bad :wrapper, connect_timeout '1.5');
CREATE SERVER options_bad :wrapper, connect_timeout '0x10');
CREATE SERVER options_bad :wrapper, connect_timeout '');
CREATE SERVER options_bad :wrapper, connect_timeout ' ');
CREATE SERVER options_bad :wrapper, connect_timeout '4294967297');
CREATE SERVER options_bad :wrapper, connect_timeout '99999999999999999999');
CREATE SERVER options_bad :wrapper, connect_timeout '-99999999999999999999');

-- Boolean values and names of values.
CREATE SERVER options_bad :wrapper, transactional 'maybe');
CREATE SERVER options_bad :wrapper, transactional '');
CREATE SERVER options_bad :wrapper, isolation_level 'dirty');
\echo :LAST_ERROR_SQLSTATE
CREATE SERVER options_bad :wrapper, isolation_level '');

-- Good ones; names of values in any case.
CREATE SERVER options_kafka :wrapper, connect_timeout ' 1 ', transactional 'off', isolation_level 'Read_Uncommitted');
ALTER SERVER options_kafka OPTIONS (SET connect_timeout '3600', DROP isolation_level);
ALTER SERVER options_kafka OPTIONS (DROP bootstrap_servers);
ALTER SERVER options_kafka OPTIONS (SET connect_timeout '0');
SELECT srvoptions FROM pg_foreign_server WHERE srvname = 'options_kafka';

-- User mappings: secrets belong here and nowhere else, and no message shows one.
CREATE SERVER options_bad :wrapper, "sasl.password" 'hunter2');
\echo :LAST_ERROR_SQLSTATE
CREATE SERVER options_bad :wrapper, "ssl.key.pem" 'hunter2');
CREATE SERVER options_bad :wrapper, "ssl.key.password" 'hunter2');
CREATE FOREIGN TABLE options_bad (a int) SERVER options_kafka OPTIONS (topic 'x', "sasl.password" 'hunter2');
CREATE FOREIGN TABLE options_bad (a int OPTIONS ("sasl.password" 'hunter2')) SERVER options_kafka OPTIONS (topic 'x');
CREATE USER MAPPING FOR CURRENT_USER SERVER options_kafka OPTIONS ("sasl.pasword" 'hunter2');
CREATE USER MAPPING FOR CURRENT_USER SERVER options_kafka OPTIONS (password 'hunter2');
CREATE USER MAPPING FOR CURRENT_USER SERVER options_kafka OPTIONS (topic 'x');
CREATE USER MAPPING FOR CURRENT_USER SERVER options_kafka OPTIONS (bootstrap_servers '127.0.0.1:2');
CREATE USER MAPPING FOR CURRENT_USER SERVER options_kafka OPTIONS ("sasl.username" 'u', "sasl.password" 'hunter2');

-- Properties of librdkafka by their own names: those allowed, where they belong, with values it takes.
ALTER SERVER options_kafka OPTIONS (ADD "socket.timeout.ms" '5000', ADD "security.protocol" 'SASL_SSL');
ALTER SERVER options_kafka OPTIONS (SET "socket.timeout.ms" 'soon');
ALTER SERVER options_kafka OPTIONS (SET "security.protocol" 'TELEPATHY');
ALTER SERVER options_kafka OPTIONS (ADD "socket.timeout" '5000');
ALTER SERVER options_kafka OPTIONS (ADD "group.id" 'x');
ALTER SERVER options_kafka OPTIONS (ADD "enable.auto.commit" 'true');
ALTER SERVER options_kafka OPTIONS (ADD "isolation.level" 'read_uncommitted');
ALTER SERVER options_kafka OPTIONS (ADD "metadata.broker.list" 'x');
ALTER SERVER options_kafka OPTIONS (ADD "plugin.library.paths" '/tmp/evil.so');
ALTER SERVER options_kafka OPTIONS (ADD "sasl.kerberos.kinit.cmd" 'touch /tmp/evil');
ALTER SERVER options_kafka OPTIONS (ADD "ssl.engine.location" '/tmp/evil.so');
ALTER SERVER options_kafka OPTIONS (ADD "sasl.oauthbearer.token.endpoint.url" 'file:///etc/passwd');

-- Tables.
CREATE FOREIGN TABLE options_bad (a int) SERVER options_kafka;
\echo :LAST_ERROR_SQLSTATE
CREATE FOREIGN TABLE options_bad (a int) SERVER options_kafka OPTIONS (topic '');
CREATE FOREIGN TABLE options_bad (a int) SERVER options_kafka OPTIONS (topic 'a b');
CREATE FOREIGN TABLE options_bad (a int) SERVER options_kafka OPTIONS (topic '^(');
CREATE FOREIGN TABLE options_bad (a int) SERVER options_kafka OPTIONS (topic 'x', formt 'json');
CREATE FOREIGN TABLE options_bad (a int) SERVER options_kafka OPTIONS (topic 'x', format 'jsn');
\echo :LAST_ERROR_SQLSTATE
CREATE FOREIGN TABLE options_bad (a int) SERVER options_kafka OPTIONS (topic 'x', connect_timeout '3');
CREATE FOREIGN TABLE options_bad (a int) SERVER options_kafka OPTIONS (topic 'x', key 'true');
CREATE FOREIGN TABLE options_bad (a int) SERVER options_kafka OPTIONS (topic 'x', row_estimate 'nan');
CREATE FOREIGN TABLE options_bad (a int) SERVER options_kafka OPTIONS (topic 'x', row_estimate '0.5');
CREATE FOREIGN TABLE options_bad (a int) SERVER options_kafka OPTIONS (topic 'x', row_estimate '1e400');

-- A format's options go with it, and with a key of that format.
CREATE FOREIGN TABLE options_bad (a int) SERVER options_kafka OPTIONS (topic 'x', format 'json', delimiter ';');
\echo :LAST_ERROR_SQLSTATE
CREATE FOREIGN TABLE options_bad (a int) SERVER options_kafka OPTIONS (topic 'x', format 'csv', delimiter ';;');
CREATE FOREIGN TABLE options_csv (a int) SERVER options_kafka OPTIONS (topic 'x', format 'csv', delimiter ';');
ALTER FOREIGN TABLE options_csv OPTIONS (SET format 'json');
ALTER FOREIGN TABLE options_csv OPTIONS (SET format 'json', DROP delimiter);
CREATE FOREIGN TABLE options_key (a int OPTIONS (key 'true'), b int) SERVER options_kafka
  OPTIONS (topic 'x', format 'json', key_format 'csv', delimiter ';');
EXPLAIN (COSTS OFF) INSERT INTO options_key VALUES (1, 2);

-- Columns.
CREATE FOREIGN TABLE options_bad (a int OPTIONS (topic 'x')) SERVER options_kafka OPTIONS (topic 'x');
CREATE FOREIGN TABLE options_bad (a int OPTIONS (kee 'true')) SERVER options_kafka OPTIONS (topic 'x');
CREATE FOREIGN TABLE options_bad (a int OPTIONS (key '2')) SERVER options_kafka OPTIONS (topic 'x');
CREATE FOREIGN TABLE options_bad (a int OPTIONS (metadata 'offsets')) SERVER options_kafka OPTIONS (topic 'x');
CREATE FOREIGN TABLE options_bad (a int OPTIONS (metadata 'offset', metadata 'topic')) SERVER options_kafka OPTIONS (topic 'x');

-- What fits each on its own but not together is refused when the table is used.
CREATE FOREIGN TABLE options_use (a bigint OPTIONS (metadata 'offset'), b text, c text) SERVER options_kafka OPTIONS (topic 'x');
EXPLAIN (COSTS OFF) INSERT INTO options_use (b) VALUES ('x');
ALTER FOREIGN TABLE options_use ALTER b OPTIONS (ADD metadata 'offset');
SELECT * FROM options_use;
ALTER FOREIGN TABLE options_use ALTER b OPTIONS (DROP metadata), ALTER a TYPE text;
SELECT * FROM options_use;
ALTER FOREIGN TABLE options_use ALTER a TYPE bigint, ALTER a OPTIONS (ADD key 'true');
SELECT * FROM options_use;
INSERT INTO options_use (b) VALUES ('x');
ALTER FOREIGN TABLE options_use ALTER a OPTIONS (DROP key), OPTIONS (ADD key_format 'raw');
SELECT * FROM options_use;
ALTER FOREIGN TABLE options_use OPTIONS (DROP key_format, ADD value_fields 'except_key');
SELECT * FROM options_use;
ALTER FOREIGN TABLE options_use OPTIONS (DROP value_fields, ADD transactional_id 'x');
SELECT * FROM options_use;

-- IMPORT FOREIGN SCHEMA has options of its own.
IMPORT FOREIGN SCHEMA kafka FROM SERVER options_kafka INTO public OPTIONS (nothing 'x');
IMPORT FOREIGN SCHEMA kafka FROM SERVER options_kafka INTO public OPTIONS (topic 'x');

DROP SERVER options_kafka CASCADE;
DROP EXTENSION feathub;
