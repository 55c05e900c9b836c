-- INSERT and COPY into Kafka topics, on the embedded broker: topics t_modify
-- (2 partitions) and t_modify_b.  Transactions are tested on Apache Kafka.
CREATE EXTENSION feathub;
CREATE SERVER kafka FOREIGN DATA WRAPPER feathub_kafka OPTIONS (bootstrap_servers 'embedded');
SET timezone = 'UTC'; SET datestyle = ISO;

-- what was written, raw
CREATE FOREIGN TABLE seen (
  key text OPTIONS (metadata 'key'), value text, headers jsonb OPTIONS (metadata 'headers'),
  "timestamp" timestamptz OPTIONS (metadata 'timestamp'), partition int OPTIONS (metadata 'partition'),
  "offset" bigint OPTIONS (metadata 'offset')
) SERVER kafka OPTIONS (topic 't_modify', format 'raw');

-- all metadata columns that can be written
CREATE FOREIGN TABLE target (
  id int, name text,
  key text OPTIONS (metadata 'key'),
  headers jsonb OPTIONS (metadata 'headers'),
  ts timestamptz OPTIONS (metadata 'timestamp'),
  partition int OPTIONS (metadata 'partition'),
  "offset" bigint OPTIONS (metadata 'offset'),
  topic text OPTIONS (metadata 'topic'),
  ts_type text OPTIONS (metadata 'timestamp_type')
) SERVER kafka OPTIONS (topic 't_modify', format 'json');
INSERT INTO target (id, name, key, headers, ts, partition) VALUES
  (1, 'one', 'k1', '[{"key": "a", "value": "1"}, {"key": "a", "value": null}, {"key": "b", "value": {"base64": "AP8="}}]', '2013-01-01 00:00:00.123456+00', 0),
  (2, NULL, NULL, NULL, '2013-01-02', 0),
  (NULL, '', '', '{}', '2013-01-03', 0),
  (4, 'Ünï€ "quoted" \', 'ключ', '{"h": "ü"}', '2013-01-04', 0);
SELECT * FROM seen ORDER BY partition, "offset";
SELECT * FROM target ORDER BY partition, "offset";
EXPLAIN (COSTS off) INSERT INTO target (id) VALUES (1);
-- RETURNING, and the rows counted
INSERT INTO target (id, name, partition) VALUES (5, 'five', 1), (6, 'six', 1) RETURNING id, name, "offset";

-- without a timestamp the message has that of its sending
INSERT INTO target (id, partition) VALUES (7, 1);
SELECT "timestamp" BETWEEN now() - interval '1 minute' AND now() + interval '1 minute' AS recent FROM seen WHERE partition = 1 AND "offset" = 2;

-- a key decides on the partition, always on the same
INSERT INTO target (id, key) SELECT i, 'key' || i % 20 FROM generate_series(100, 499) i;
SELECT count(*), count(DISTINCT key), count(DISTINCT (key, partition)), count(DISTINCT partition) FROM target WHERE id >= 100;

-- errors name the column
INSERT INTO target (id, "offset") VALUES (1, 1);
INSERT INTO target (id, topic) VALUES (1, 'other');
INSERT INTO target (id, partition) VALUES (1, 99);
INSERT INTO target (id, partition) VALUES (1, -2);
INSERT INTO target (id, ts) VALUES (1, 'infinity');
INSERT INTO target (id, ts) VALUES (1, '1969-12-31');
INSERT INTO target (id, headers) VALUES (1, '[1]');
INSERT INTO target (id, headers) VALUES (1, '"x"');
INSERT INTO target (id, headers) VALUES (1, '{"a": {"base64": "*"}}');
INSERT INTO target (id, topic, partition) VALUES (500, 't_modify', 1);
UPDATE target SET id = 2;
DELETE FROM target;

-- Key columns with a format of their own, left out of the value
CREATE FOREIGN TABLE keyed (a int OPTIONS (key 'true'), b text OPTIONS (key 'true'), c float8,
  partition int OPTIONS (metadata 'partition'))
  SERVER kafka OPTIONS (topic 't_modify', format 'json', key_format 'json', value_fields 'except_key');
INSERT INTO keyed VALUES (1, 'x', 1.5, 0), (2, NULL, 'NaN', 0);
SELECT key, value FROM seen WHERE partition = 0 ORDER BY "offset" DESC LIMIT 2;

-- COPY, and COPY FROM with an error in the middle
COPY target (id, name, partition) FROM STDIN;
1001	copied	1
1002	\N	1
\.
COPY target (id, name, partition) FROM STDIN;
1003	copied	1
x	bad	1
\.
SELECT id, name FROM target WHERE id > 1000 ORDER BY id;

-- Defaults, generated columns, dropped columns
CREATE FOREIGN TABLE shaped (gone int, a int DEFAULT 7, b int GENERATED ALWAYS AS (a * 2) STORED, c text, partition int OPTIONS (metadata 'partition'))
  SERVER kafka OPTIONS (topic 't_modify', format 'json');
ALTER FOREIGN TABLE shaped DROP COLUMN gone;
INSERT INTO shaped (c, partition) VALUES ('defaults', 1);
SELECT value FROM seen WHERE partition = 1 AND value LIKE '%defaults%';

-- Several topics: a column must say which
CREATE FOREIGN TABLE several (a int, topic text OPTIONS (metadata 'topic')) SERVER kafka OPTIONS (topic 't_modify, t_modify_b', format 'json');
INSERT INTO several VALUES (1, NULL);
INSERT INTO several VALUES (1, 't_scan');
INSERT INTO several VALUES (12345, 't_modify');
SELECT count(*) FROM seen WHERE value LIKE '%12345%';
CREATE FOREIGN TABLE several_blind (a int) SERVER kafka OPTIONS (topic 't_modify, t_modify_b', format 'json');
INSERT INTO several_blind VALUES (1);
CREATE FOREIGN TABLE pattern (a int) SERVER kafka OPTIONS (topic '^t_', format 'json');
INSERT INTO pattern VALUES (1);

-- As a partition, by a trigger, from a CTE, and twice in one statement
CREATE TABLE parent (a int, c text) PARTITION BY LIST (a);
CREATE FOREIGN TABLE child PARTITION OF parent FOR VALUES IN (1) SERVER kafka OPTIONS (topic 't_modify', format 'json');
INSERT INTO parent VALUES (1, 'routed');
COPY parent FROM STDIN;
1	routed
\.
WITH a AS (INSERT INTO target (id, name) VALUES (1, 'routed') RETURNING id), b AS (INSERT INTO target (id, name) VALUES (2, 'routed') RETURNING id)
  INSERT INTO seen (value) SELECT 'routed' FROM a, b;
SELECT count(*) FROM seen WHERE value LIKE '%routed%';
CREATE FUNCTION forward() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO target (id, name) VALUES (NEW.id, 'triggered');
  RETURN NEW;
END $$;
CREATE TABLE local (id int);
CREATE TRIGGER forward AFTER INSERT ON local FOR EACH ROW EXECUTE FUNCTION forward();
INSERT INTO local SELECT generate_series(1, 50);
SELECT count(*) FROM seen WHERE value LIKE '%triggered%';

-- without "transactional", ROLLBACK does not take messages back
BEGIN;
INSERT INTO target (id, name) VALUES (1, 'stays');
ROLLBACK;
SELECT count(*) FROM seen WHERE value LIKE '%stays%';
-- rows that an error stops before they are sent do not follow later
INSERT INTO target (id, name) SELECT 1 / (3 - i), 'stopped' FROM generate_series(1, 5) i;
INSERT INTO target (id, name) VALUES (1, 'next');
SELECT count(*) FROM seen WHERE value LIKE '%stopped%';

-- options that change while a session has a producer
ALTER FOREIGN TABLE target OPTIONS (SET topic 't_modify_b');
INSERT INTO target (id, name) VALUES (1, 'moved');
SELECT count(*) FROM target WHERE name = 'moved';
SELECT count(*) FROM seen WHERE value LIKE '%moved%';

-- a message that the producer's queue cannot hold; one larger than the usual limits
CREATE FOREIGN TABLE tight (value text) SERVER kafka
  OPTIONS (topic 't_modify_b', format 'raw', "message.max.bytes" '2000000', "queue.buffering.max.kbytes" '1000');
INSERT INTO tight SELECT repeat('x', 1500000);
CREATE FOREIGN TABLE wide (value text) SERVER kafka
  OPTIONS (topic 't_modify_b', format 'raw', "message.max.bytes" '20000000', "compression.type" 'none');
INSERT INTO wide VALUES ('wide');
SELECT count(*) FROM wide WHERE value = 'wide';

-- CSV
CREATE FOREIGN TABLE csv (a int, b text, partition int OPTIONS (metadata 'partition')) SERVER kafka OPTIONS (topic 't_modify', format 'csv');
INSERT INTO csv VALUES (1, 'a,b', 1), (NULL, 'x"y', 1);
SELECT value FROM seen WHERE partition = 1 AND "offset" >= (SELECT max("offset") - 1 FROM seen WHERE partition = 1) ORDER BY "offset";

-- Tombstones
CREATE FOREIGN TABLE raw (value bytea, key bytea OPTIONS (metadata 'key'), partition int OPTIONS (metadata 'partition'))
  SERVER kafka OPTIONS (topic 't_modify', format 'raw');
INSERT INTO raw VALUES (NULL, 'k1', 0), ('', '\x00ff', 0), ('\x00', NULL, 0);
SELECT value, key FROM raw WHERE partition = 0 OFFSET (SELECT count(*) - 3 FROM raw WHERE partition = 0);

SET client_min_messages = warning;
DROP TABLE parent;
DROP EXTENSION feathub CASCADE;
