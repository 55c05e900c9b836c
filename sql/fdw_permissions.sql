-- Who may do what with servers, mappings and foreign tables, and whose rights count.
CREATE EXTENSION IF NOT EXISTS feathub;
CREATE ROLE regress_fdw_owner;
CREATE ROLE regress_fdw_user;
CREATE ROLE regress_fdw_files;
CREATE SCHEMA fdw_permissions;
GRANT CREATE, USAGE ON SCHEMA fdw_permissions TO regress_fdw_owner, regress_fdw_user, regress_fdw_files;
SET search_path = fdw_permissions;

-- The right to make servers is granted, not given.
SET ROLE regress_fdw_owner;
CREATE SERVER perm_kafka FOREIGN DATA WRAPPER feathub_kafka OPTIONS (bootstrap_servers 'embedded');
RESET ROLE;
GRANT USAGE ON FOREIGN DATA WRAPPER feathub_kafka TO regress_fdw_owner, regress_fdw_files;
SET ROLE regress_fdw_owner;
CREATE SERVER perm_kafka FOREIGN DATA WRAPPER feathub_kafka OPTIONS (bootstrap_servers 'embedded');

-- So is the right to use one.
SET ROLE regress_fdw_user;
CREATE FOREIGN TABLE perm_t (a int) SERVER perm_kafka OPTIONS (topic 't_fdw_perm');
CREATE USER MAPPING FOR CURRENT_USER SERVER perm_kafka;
IMPORT FOREIGN SCHEMA x FROM SERVER perm_kafka INTO fdw_permissions;
SET ROLE regress_fdw_owner;
GRANT USAGE ON FOREIGN SERVER perm_kafka TO regress_fdw_user;
SET ROLE regress_fdw_user;
CREATE USER MAPPING FOR CURRENT_USER SERVER perm_kafka OPTIONS ("sasl.username" 'u', "sasl.password" 'hunter2');

-- Others do not see a mapping's options.
SET ROLE regress_fdw_files;
SELECT usename, umoptions FROM pg_user_mappings WHERE srvname = 'perm_kafka';
RESET ROLE;

-- Nobody but the server's owner decides whom it trusts.
SET ROLE regress_fdw_user;
ALTER SERVER perm_kafka OPTIONS (ADD "security.protocol" 'SSL');
ALTER USER MAPPING FOR CURRENT_USER SERVER perm_kafka OPTIONS (ADD "ssl.ca.pem" 'x');
DROP USER MAPPING FOR CURRENT_USER SERVER perm_kafka;
RESET ROLE;

-- Options that make the server read files need pg_read_server_files, wherever they stand.
SET ROLE regress_fdw_owner;
ALTER SERVER perm_kafka OPTIONS (ADD "ssl.ca.location" '/etc/passwd');
\echo :LAST_ERROR_SQLSTATE
CREATE SERVER perm_file FOREIGN DATA WRAPPER feathub_kafka
  OPTIONS (bootstrap_servers 'embedded', "ssl.crl.location" '/etc/passwd');
CREATE USER MAPPING FOR CURRENT_USER SERVER perm_kafka OPTIONS ("ssl.key.location" '/etc/passwd');
CREATE USER MAPPING FOR CURRENT_USER SERVER perm_kafka OPTIONS ("ssl.certificate.location" '/etc/passwd');
RESET ROLE;

-- It is looked at again when they are used: a right that was taken away is gone.
GRANT pg_read_server_files TO regress_fdw_files;
SET ROLE regress_fdw_files;
CREATE SERVER perm_file FOREIGN DATA WRAPPER feathub_kafka
  OPTIONS (bootstrap_servers 'embedded', "ssl.ca.location" '/no/such/file');
CREATE FOREIGN TABLE perm_f (a int) SERVER perm_file OPTIONS (topic 't_fdw_perm');
GRANT SELECT, INSERT ON perm_f TO regress_fdw_user;
EXPLAIN (COSTS OFF) INSERT INTO perm_f VALUES (1);
RESET ROLE;
REVOKE pg_read_server_files FROM regress_fdw_files;
SET ROLE regress_fdw_files;
SELECT * FROM perm_f;
INSERT INTO perm_f VALUES (1);
IMPORT FOREIGN SCHEMA x FROM SERVER perm_file INTO fdw_permissions;
ALTER SERVER perm_file OPTIONS (ADD connect_timeout '5');
-- It is the server's owner whose right counts, not the reader's.
RESET ROLE;
SELECT * FROM perm_f;
GRANT pg_read_server_files TO regress_fdw_user;
SET ROLE regress_fdw_user;
SELECT * FROM perm_f;
RESET ROLE;
REVOKE pg_read_server_files FROM regress_fdw_user;

-- A mapping's file is its user's affair, even if a superuser wrote it.
CREATE USER MAPPING FOR regress_fdw_user SERVER perm_kafka OPTIONS ("ssl.key.location" '/no/such/file');
SET ROLE regress_fdw_owner;
CREATE FOREIGN TABLE perm_t (a int) SERVER perm_kafka OPTIONS (topic 't_fdw_perm');
GRANT SELECT ON perm_t TO regress_fdw_user;
EXPLAIN (COSTS OFF) INSERT INTO perm_t VALUES (1);
SET ROLE regress_fdw_user;
SELECT * FROM perm_t;
RESET ROLE;

-- Rights on the table are PostgreSQL's own: without INSERT none is planned.
SET ROLE regress_fdw_user;
INSERT INTO perm_t VALUES (1);
RESET ROLE;

-- A view uses its owner's mapping, whoever reads it.
SET ROLE regress_fdw_owner;
CREATE VIEW perm_v AS SELECT * FROM perm_t;
GRANT SELECT, INSERT ON perm_v TO regress_fdw_user;
SET ROLE regress_fdw_user;
SELECT count(*) >= 0 AS read_as_owner FROM perm_v;
INSERT INTO perm_v VALUES (1);
COPY (SELECT count(*) > 0 FROM perm_v) TO stdout;
RESET ROLE;
-- With the owner's mapping spoilt, it is the view that fails.
CREATE USER MAPPING FOR regress_fdw_owner SERVER perm_kafka OPTIONS ("ssl.key.location" '/no/such/file');
SET ROLE regress_fdw_user;
SELECT * FROM perm_v;
INSERT INTO perm_v VALUES (1);
RESET ROLE;
-- A partition that rows are routed to uses the mapping of whoever inserts.
CREATE TABLE perm_p (a int) PARTITION BY LIST (a);
ALTER TABLE perm_p OWNER TO regress_fdw_owner;
CREATE FOREIGN TABLE perm_p1 PARTITION OF perm_p FOR VALUES IN (1) SERVER perm_kafka OPTIONS (topic 't_fdw_perm');
GRANT SELECT, INSERT ON perm_p TO regress_fdw_user;
SET ROLE regress_fdw_user;
INSERT INTO perm_p VALUES (1);
RESET ROLE;
DROP USER MAPPING FOR regress_fdw_user SERVER perm_kafka;
SET ROLE regress_fdw_user;
INSERT INTO perm_p VALUES (1) RETURNING *;
RESET ROLE;

-- The mapping for PUBLIC is the server owner's.
CREATE USER MAPPING FOR PUBLIC SERVER perm_kafka OPTIONS ("ssl.key.location" '/no/such/file');
SET ROLE regress_fdw_user;
SELECT * FROM perm_t;
RESET ROLE;

-- Kerberos, the default mechanism, would use the database server's own tickets.
SET ROLE regress_fdw_owner;
CREATE SERVER perm_sasl FOREIGN DATA WRAPPER feathub_kafka OPTIONS (bootstrap_servers '127.0.0.1:1', connect_timeout '1', "security.protocol" 'sasl_plaintext');
CREATE USER MAPPING FOR CURRENT_USER SERVER perm_sasl;
CREATE FOREIGN TABLE perm_s (a int) SERVER perm_sasl OPTIONS (topic 'x');
SELECT * FROM perm_s;
INSERT INTO perm_s VALUES (1);
IMPORT FOREIGN SCHEMA x FROM SERVER perm_sasl INTO fdw_permissions;
ALTER SERVER perm_sasl OPTIONS (ADD "sasl.mechanism" 'PLAIN');
SELECT * FROM perm_s;
RESET ROLE;

DROP SCHEMA fdw_permissions CASCADE;
DROP SERVER perm_sasl CASCADE;
DROP SERVER perm_kafka CASCADE;
DROP SERVER perm_file CASCADE;
REVOKE USAGE ON FOREIGN DATA WRAPPER feathub_kafka FROM regress_fdw_owner, regress_fdw_files;
DROP EXTENSION feathub;
DROP ROLE regress_fdw_owner, regress_fdw_user, regress_fdw_files;
