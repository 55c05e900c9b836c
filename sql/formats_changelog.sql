-- Changelogs of other databases: debezium-json and maxwell-json, in scans and in feature groups.
\set VERBOSITY default
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS feathub;
CREATE SCHEMA formats_changelog;
SET search_path = formats_changelog;
CREATE SERVER formats_changelog FOREIGN DATA WRAPPER feathub_kafka OPTIONS (bootstrap_servers 'embedded');
CREATE USER MAPPING FOR CURRENT_USER SERVER formats_changelog;
SET TIME ZONE 'UTC';

-- What the topics hold, written as it comes.
CREATE FOREIGN TABLE raw (k text OPTIONS (metadata 'key'), value text)
  SERVER formats_changelog OPTIONS (topic 't_changelog', format 'raw');
CREATE FOREIGN TABLE maxwell_raw (k text OPTIONS (metadata 'key'), value text)
  SERVER formats_changelog OPTIONS (topic 't_changelog_maxwell', format 'raw');
INSERT INTO raw VALUES
  ('1', '{"before":null,"after":{"id":1,"at":1577836800000,"day":18262,"amount":"10.50"},"source":{"table":"orders","ts_ms":1577836800123,"snapshot":"true"},"op":"r","ts_ms":1577836801000}'),
  ('2', '{"schema":{"type":"struct","fields":[]},"payload":{"before":null,"after":{"id":2,"at":1577836801000,"day":18262,"amount":"20"},"source":{"table":"orders","ts_ms":1577836801000},"op":"c","ts_ms":1577836801001}}'),
  ('1', '{"before":{"id":1,"at":1577836800000,"day":18262,"amount":"10.50"},"after":{"id":1,"at":1577836802000,"day":null,"amount":"11"},"source":{"table":"orders","ts_ms":1577836802000},"op":"u","ts_ms":1577836802001}'),
  ('2', '{"before":{"id":2,"at":1577836801000,"day":18262,"amount":"20"},"after":null,"source":{"table":"orders","ts_ms":1577836803000},"op":"d","ts_ms":1577836803001}'),
  ('2', NULL),
  ('3', '{"before":null,"after":null,"source":{"ts_ms":1577836803000},"op":"m","message":{"prefix":"x"}}'),
  ('4', '{"payload":null,"schema":null}');

CREATE FOREIGN TABLE orders (id int, at timestamptz OPTIONS (timestamp_format 'epoch_millis'),
    day date OPTIONS (timestamp_format 'epoch_days'), amount numeric,
    op text OPTIONS (envelope 'op'), source_table text OPTIONS (envelope 'source.table'))
  SERVER formats_changelog OPTIONS (topic 't_changelog', format 'debezium-json');
SELECT * FROM orders;
SELECT count(*) FROM orders;
SELECT op, count(*) FROM orders GROUP BY op ORDER BY op;

-- A group made from it follows deletions unless told otherwise.
CREATE FOREIGN TABLE order_changes (id int, at timestamptz OPTIONS (timestamp_format 'epoch_millis'), amount numeric)
  SERVER formats_changelog OPTIONS (topic 't_changelog', format 'debezium-json');
SELECT feathub.create_feature_group('orders_group', source => 'order_changes', primary_key => '{id}', event_time => 'at');
SELECT feathub.create_feature_group('orders_kept', source => 'order_changes', primary_key => '{id}', event_time => 'at', deletes => false);
SELECT feathub.wait_for_job('orders_group', timeout => '60 s');
SELECT feathub.wait_for_job('orders_kept', timeout => '60 s');
TABLE orders_group_online ORDER BY id;
SELECT id, at, amount, feathub_deleted FROM orders_group ORDER BY id, at;
TABLE orders_group_tombstone;
TABLE orders_kept_online ORDER BY id;
SELECT job, records, applied, skipped, dead_letters FROM feathub.job_status ORDER BY job;
-- The key comes back with a newer row, not with an older one.
INSERT INTO raw VALUES
  ('2', '{"before":null,"after":{"id":2,"at":1577836800500,"amount":"19"},"source":{"ts_ms":1577836804000},"op":"c"}');
SELECT feathub.wait_for_job('orders_group', timeout => '60 s');
TABLE orders_group_online ORDER BY id;
INSERT INTO raw VALUES
  ('2', '{"before":null,"after":{"id":2,"at":1577836805000,"amount":"21"},"source":{"ts_ms":1577836805000},"op":"c"}');
SELECT feathub.wait_for_job('orders_group', timeout => '60 s');
TABLE orders_group_online ORDER BY id;

-- Flat messages: the row, with fields beside it that tell what happened.
CREATE FOREIGN TABLE flat_raw (value text) SERVER formats_changelog OPTIONS (topic 't_changelog_flat', format 'raw');
CREATE FOREIGN TABLE flat (id int, at timestamptz OPTIONS (timestamp_format 'epoch_millis'), op text OPTIONS (envelope '__op'))
  SERVER formats_changelog OPTIONS (topic 't_changelog_flat', format 'debezium-json');
INSERT INTO flat_raw VALUES
  ('{"id":1,"at":1577836800000,"__deleted":"false","__op":"c","__source_ts_ms":1577836800000}'),
  ('{"id":2,"at":1577836800000,"__deleted":false}'),
  ('{"payload":{"id":2,"at":1577836801000,"__deleted":"true","__op":"d"}}'),
  ('{"id":3,"at":1577836801000,"__op":"c"}'),
  ('{"id":3,"at":1577836802000,"__op":"d"}');
TABLE flat;
SELECT feathub.create_feature_group('changelog_flat', source => 'flat', primary_key => '{id}', event_time => 'at');
SELECT feathub.wait_for_job('changelog_flat', timeout => '60 s');
SELECT id, at FROM changelog_flat_online ORDER BY id;
SELECT feathub.drop_feature_group('changelog_flat');

-- What cannot be applied is a dead letter.
INSERT INTO raw VALUES
  ('5', '{"op":"t","source":{"ts_ms":1577836804000}}'),
  ('5', '{"op":"x"}'),
  ('5', '{"after":{"id":5}}'),
  ('5', '{"op":"c","before":{"id":5}}'),
  ('5', '{"op":"d","before":null}'),
  ('5', '{"op":"u","after":[1]}'),
  ('5', '[]'),
  ('5', 'no json'),
  ('5', '{"op":"c","after":{"id":"five","at":0}}');
SELECT feathub.wait_for_job('orders_group', timeout => '60 s');
SELECT convert_from(value, 'UTF8') AS value, message FROM feathub.dead_letter WHERE job = 'orders_group' ORDER BY dead_letter_id;
TABLE orders;	-- a scan stops at the first of them
SELECT feathub.drop_feature_group('orders_group');
SELECT feathub.drop_feature_group('orders_kept');

-- Maxwell.
INSERT INTO maxwell_raw VALUES
  ('1', '{"database":"shop","table":"orders","type":"bootstrap-start","ts":1577836800,"data":{}}'),
  ('1', '{"database":"shop","table":"orders","type":"insert","ts":1577836800,"xid":1,"commit":true,"data":{"id":1,"at":"2020-01-01 00:00:00","amount":10.50}}'),
  ('1', '{"database":"shop","table":"orders","type":"update","ts":1577836801,"data":{"id":1,"at":"2020-01-01 00:00:01","amount":11},"old":{"amount":10.5}}'),
  ('2', '{"database":"shop","table":"orders","type":"insert","ts":1577836801,"data":{"id":2,"at":"2020-01-01 00:00:01","amount":12}}'),
  ('2', '{"database":"shop","table":"orders","type":"delete","ts":1577836802,"data":{"id":2,"at":"2020-01-01 00:00:01","amount":12}}');
CREATE FOREIGN TABLE maxwell (id int, at timestamptz, amount numeric, type text OPTIONS (envelope 'type'))
  SERVER formats_changelog OPTIONS (topic 't_changelog_maxwell', format 'maxwell-json');
TABLE maxwell;
SELECT feathub.create_feature_group('maxwell_group', source => 'maxwell', primary_key => '{id}', event_time => 'at');
SELECT feathub.wait_for_job('maxwell_group', timeout => '60 s');
TABLE maxwell_group_online;
SELECT id, at, amount, feathub_deleted FROM maxwell_group ORDER BY id, at;
SELECT feathub.drop_feature_group('maxwell_group');

-- Only to be read; the envelope is a changelog's.
INSERT INTO maxwell VALUES (3, now(), 1, 'insert');
CREATE FOREIGN TABLE bad (a int OPTIONS (envelope 'op')) SERVER formats_changelog OPTIONS (topic 't_changelog', format 'json');
TABLE bad;
CREATE FOREIGN TABLE bad_path (a int OPTIONS (envelope 'op.')) SERVER formats_changelog OPTIONS (topic 't_changelog', format 'debezium-json');

DROP SCHEMA formats_changelog CASCADE;
DROP SERVER formats_changelog CASCADE;
