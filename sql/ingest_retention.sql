-- Rows too old for retention or ttl, and partitions of the offline table, as a job meets them.
CREATE EXTENSION IF NOT EXISTS feathub;
SET timezone = 'UTC';
SET datestyle = 'ISO';
CREATE SCHEMA ingest_retention;
SET search_path = ingest_retention;
CREATE SERVER ingest_retention FOREIGN DATA WRAPPER feathub_kafka OPTIONS (bootstrap_servers 'embedded');
CREATE USER MAPPING FOR CURRENT_USER SERVER ingest_retention;
CREATE VIEW counters AS
  SELECT job, records, applied, duplicates, dead_letters, skipped, expired,
         records = applied + duplicates + dead_letters + skipped + expired AS adds_up
    FROM feathub.job_status;
CREATE FUNCTION wait_until(condition text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  met boolean;
BEGIN
  FOR i IN 1 .. 6000 LOOP
    EXECUTE 'SELECT ' || condition INTO met;
    IF met THEN RETURN; END IF;
    PERFORM pg_sleep(0.01);
  END LOOP;
  RAISE 'gave up waiting for: %', condition;
END $$;
-- days before today instead of event times
CREATE FOREIGN TABLE stream (k text, at timestamptz, v int)
  SERVER ingest_retention OPTIONS (topic 't_ingest_retention', format 'json');
CREATE FUNCTION event(k text, days float8, v int) RETURNS void LANGUAGE sql AS
  'INSERT INTO stream VALUES (k, now() - days * interval ''1 day'', v)';
CREATE FUNCTION age_in_days(at timestamptz) RETURNS numeric LANGUAGE sql AS
  $$ SELECT round((extract(epoch FROM now() - at) / 86400)::numeric, 1) $$;

-- Older than retention: not written, counted. The newest rows of a key may be expired and others not.
SELECT feathub.create_feature_group('kept', 'stream', '{k}', 'at', retention => '10 days');
-- Older than ttl: history, but not online.
SELECT feathub.create_feature_group('alive', 'stream', '{k}', 'at', ttl => '5 days');
SELECT feathub.create_feature_group('ttl_too', 'stream', '{k}', 'at', ttl => '5 days', retention => '10 days');
SELECT feathub.create_feature_group('ttl_longer', 'stream', '{k}', 'at', ttl => '10 days', retention => '5 days');
SELECT event('a', 20, 1), event('a', 8, 2), event('a', 1, 3), event('b', 20, 4), event('c', 8, 5), event('d', 4, 6),
       event('d', 6, 7), event('e', -3, 8), event('e', 9.9, 9);
INSERT INTO stream VALUES ('z', '-infinity', 10), ('z', 'infinity', 11), ('y', '-infinity', 12);
SELECT feathub.wait_for_job(job, '60 s') FROM feathub.job_status ORDER BY job;
SELECT * FROM counters ORDER BY job;
SELECT k, age_in_days(at), v FROM kept WHERE isfinite(at) ORDER BY k, at;
SELECT k, at, v FROM kept WHERE NOT isfinite(at) ORDER BY v;
SELECT k, v FROM kept_online ORDER BY k;
SELECT k, age_in_days(at), v FROM alive WHERE isfinite(at) ORDER BY k, at;
SELECT k, v FROM alive_online ORDER BY k;
SELECT k, v FROM ttl_too ORDER BY k, at;
SELECT k, v FROM ttl_too_online ORDER BY k;
SELECT k, v FROM ttl_longer ORDER BY k, at;
SELECT k, v FROM ttl_longer_online ORDER BY k;
-- A late row within retention does not bring an expired key back before its newer rows; the online row stays the latest.
SELECT event('a', 2, 13), event('a', 15, 14);
SELECT feathub.wait_for_job(job, '60 s') FROM feathub.job_status ORDER BY job;
SELECT k, v FROM kept_online WHERE k = 'a';
SELECT job, records, expired, adds_up FROM counters ORDER BY job;
-- Altered while running: the next batch goes by it.
SELECT feathub.alter_feature_group('kept', retention => '100 days');
SELECT feathub.alter_feature_group('alive', reset => '{ttl}');
SELECT event('f', 30, 15);
SELECT feathub.wait_for_job(job, '60 s') FROM feathub.job_status ORDER BY job;
SELECT k, v FROM kept WHERE k = 'f';
SELECT k, v FROM alive_online WHERE k = 'f';
SELECT job, records, expired, adds_up FROM counters ORDER BY job;
SELECT count(feathub.drop_feature_group(feature_group::text)) FROM feathub.feature_group;

-- Partitions: made ahead for what is near, the rest goes to the default partition.
CREATE FOREIGN TABLE part_stream (k text, at timestamptz, v int)
  SERVER ingest_retention OPTIONS (topic 't_ingest_retention_part', format 'json');
SELECT feathub.create_feature_group('parted', 'part_stream', '{k}', 'at', partition_interval => '1 month');
SELECT partstrat, partdefid <> 0 AS has_default FROM pg_partitioned_table WHERE partrelid = 'parted'::regclass;
SELECT count(*) > 1 AS has_some FROM pg_inherits WHERE inhparent = 'parted'::regclass;
INSERT INTO part_stream VALUES ('now', now(), 1), ('now', now(), 2), ('old', '1900-01-01', 3), ('far', '9999-01-01', 4),
  ('end', 'infinity', 5), ('begin', '-infinity', 6), ('old', '1900-01-01', 7);
INSERT INTO part_stream SELECT 'many', '1800-01-01'::timestamptz + i * interval '1 month', i FROM generate_series(1, 2000) i;
SELECT feathub.wait_for_job('parted', '60 s');
SELECT tableoid = (SELECT partdefid FROM pg_partitioned_table WHERE partrelid = 'parted'::regclass) AS in_default, k, count(*), max(v)
  FROM parted GROUP BY 1, 2 ORDER BY 1, 2;
SELECT k, v FROM parted_online ORDER BY k;
SELECT records, applied + duplicates, dead_letters, adds_up FROM counters;
-- far fewer partitions than months: maintenance that a worker runs makes no thousands of them
SELECT count(*) < 100 AS few FROM pg_inherits WHERE inhparent = 'parted'::regclass;
-- Maintenance beside the running job keeps every row.
SELECT partitions_created > 0 AS some_created, rows_moved > 0 AS some_moved FROM feathub.maintain_feature_group('parted', as_of => '1950-01-01', since => '1949-01-01');
INSERT INTO part_stream VALUES ('many', '1949-06-15', 0), ('many', '1949-07-01', 0);
SELECT feathub.wait_for_job('parted', '60 s');
SELECT count(*), sum(v) FROM parted WHERE k = 'many';
SELECT count(*) FROM parted WHERE k = 'many' AND at BETWEEN '1949-06-01' AND '1949-08-01'
   AND tableoid <> (SELECT partdefid FROM pg_partitioned_table WHERE partrelid = 'parted'::regclass);
SELECT records, applied + duplicates, dead_letters, adds_up FROM counters;

SET client_min_messages = warning;
DROP SCHEMA ingest_retention CASCADE;
DROP SERVER ingest_retention CASCADE;
