-- feathub 1.0: sections follow the folders of src/
\echo Use "CREATE EXTENSION feathub" to load this file. \quit

------------------------------------------------------------------------------
-- core: metadata tables.  Written by core/ only, after its ownership checks.
------------------------------------------------------------------------------

CREATE TABLE feathub.feature_group (
  feature_group pg_catalog.regclass PRIMARY KEY,
  online pg_catalog.regclass UNIQUE,
  tombstone pg_catalog.regclass UNIQUE,
  source pg_catalog.regclass,
  primary_key pg_catalog.name[] NOT NULL,
  event_time pg_catalog.name,
  ttl pg_catalog.interval,
  retention pg_catalog.interval,
  partition_interval pg_catalog.interval,
  deletes pg_catalog.bool NOT NULL DEFAULT false,
  created_at pg_catalog.timestamptz NOT NULL DEFAULT pg_catalog.now()
);
COMMENT ON TABLE feathub.feature_group IS 'feature groups: named sets of features of one entity, each an offline and an online table';

CREATE TABLE feathub.job (
  job_id pg_catalog.int8 GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  name pg_catalog.text NOT NULL UNIQUE,
  owner pg_catalog.regrole NOT NULL,
  source pg_catalog.regclass NOT NULL,
  sink pg_catalog.regclass NOT NULL,
  query pg_catalog.text,
  workers pg_catalog.int4 NOT NULL DEFAULT 1 CHECK (workers OPERATOR(pg_catalog.>=) 1),
  on_error pg_catalog.text NOT NULL DEFAULT 'dead_letter'
    CHECK (on_error OPERATOR(pg_catalog.=) ANY ('{dead_letter,stop,skip}')),
  max_dead_letters pg_catalog.int4 NOT NULL DEFAULT 10000,
  dead_letters_used pg_catalog.int8 NOT NULL DEFAULT 0,
  start pg_catalog.text NOT NULL DEFAULT 'earliest',
  on_gap pg_catalog.text NOT NULL DEFAULT 'stop'
    CHECK (on_gap OPERATOR(pg_catalog.=) ANY ('{stop,skip}')),
  synchronous_commit pg_catalog.bool NOT NULL DEFAULT true,
  state pg_catalog.text NOT NULL DEFAULT 'running'
    CHECK (state OPERATOR(pg_catalog.=) ANY ('{running,paused,failed}')),
  reason pg_catalog.text,
  epoch pg_catalog.int8 NOT NULL DEFAULT 1,
  system_identifier pg_catalog.int8 NOT NULL,
  database_oid pg_catalog.oid NOT NULL,
  created_at pg_catalog.timestamptz NOT NULL DEFAULT pg_catalog.now(),
  changed_at pg_catalog.timestamptz NOT NULL DEFAULT pg_catalog.now()
) WITH (fillfactor = 50);
COMMENT ON TABLE feathub.job IS 'jobs: definitions that workers run';

CREATE TABLE feathub.job_position (
  job_id pg_catalog.int8 NOT NULL REFERENCES feathub.job ON DELETE CASCADE,
  partition pg_catalog.text NOT NULL,
  position pg_catalog.text,
  mark pg_catalog.text,
  replay_until pg_catalog.text,
  records pg_catalog.int8 NOT NULL DEFAULT 0,
  applied pg_catalog.int8 NOT NULL DEFAULT 0,
  duplicates pg_catalog.int8 NOT NULL DEFAULT 0,
  dead_letters pg_catalog.int8 NOT NULL DEFAULT 0,
  skipped pg_catalog.int8 NOT NULL DEFAULT 0,
  expired pg_catalog.int8 NOT NULL DEFAULT 0,
  watermark pg_catalog.timestamptz,
  changed_at pg_catalog.timestamptz NOT NULL DEFAULT pg_catalog.now(),
  PRIMARY KEY (job_id, partition)
) WITH (fillfactor = 20, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_scale_factor = 0);
COMMENT ON TABLE feathub.job_position IS 'how far each partition of a job has been applied';

CREATE TABLE feathub.dead_letter_record (
  dead_letter_id pg_catalog.int8 GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  job_id pg_catalog.int8 NOT NULL REFERENCES feathub.job ON DELETE CASCADE,
  partition pg_catalog.text NOT NULL,
  sequence pg_catalog.int8 NOT NULL,
  key pg_catalog.bytea,
  value pg_catalog.bytea,
  headers pg_catalog.jsonb,
  "timestamp" pg_catalog.timestamptz,
  sqlstate pg_catalog.text NOT NULL,
  message pg_catalog.text NOT NULL,
  retries pg_catalog.int4 NOT NULL DEFAULT 0,
  created_at pg_catalog.timestamptz NOT NULL DEFAULT pg_catalog.now()
);
CREATE INDEX ON feathub.dead_letter_record (job_id, dead_letter_id);
COMMENT ON TABLE feathub.dead_letter_record IS 'records that could not be applied, raw, with the reason';

SELECT pg_catalog.pg_extension_config_dump('feathub.feature_group', '');
SELECT pg_catalog.pg_extension_config_dump('feathub.job', '');
SELECT pg_catalog.pg_extension_config_dump('feathub.job_job_id_seq', '');
SELECT pg_catalog.pg_extension_config_dump('feathub.job_position', '');
SELECT pg_catalog.pg_extension_config_dump('feathub.dead_letter_record', '');
SELECT pg_catalog.pg_extension_config_dump('feathub.dead_letter_record_dead_letter_id_seq', '');

------------------------------------------------------------------------------
-- fdw: one wrapper per connector
------------------------------------------------------------------------------

CREATE FUNCTION feathub.fdw_handler() RETURNS pg_catalog.fdw_handler
LANGUAGE C STRICT AS 'MODULE_PATHNAME', 'feathub_fdw_handler';
COMMENT ON FUNCTION feathub.fdw_handler() IS 'foreign-data wrapper handler of all connectors';

CREATE FUNCTION feathub.kafka_validator(options pg_catalog.text[], catalog pg_catalog.oid) RETURNS pg_catalog.void
LANGUAGE C STRICT AS 'MODULE_PATHNAME', 'feathub_kafka_validator';
COMMENT ON FUNCTION feathub.kafka_validator(pg_catalog.text[], pg_catalog.oid) IS 'option validator of feathub_kafka';

CREATE FOREIGN DATA WRAPPER feathub_kafka HANDLER feathub.fdw_handler VALIDATOR feathub.kafka_validator;
COMMENT ON FOREIGN DATA WRAPPER feathub_kafka IS 'Kafka topics as foreign tables';

------------------------------------------------------------------------------
-- ingest: backfill
------------------------------------------------------------------------------

CREATE FUNCTION feathub.backfill(feature_group pg_catalog.text, query pg_catalog.text, online pg_catalog.bool DEFAULT false)
RETURNS pg_catalog.int8
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'feathub_backfill';
COMMENT ON FUNCTION feathub.backfill(pg_catalog.text, pg_catalog.text, pg_catalog.bool)
  IS 'write the rows of a query to a feature group, deduplicated; returns the rows that are new or changed';

CREATE FUNCTION feathub.backfills(
  OUT pid pg_catalog.int4,
  OUT feature_group pg_catalog.regclass,
  OUT role pg_catalog.regrole,
  OUT phase pg_catalog.text,
  OUT rows_estimated pg_catalog.int8,
  OUT rows_read pg_catalog.int8,
  OUT rows_written pg_catalog.int8,
  OUT duplicates pg_catalog.int8,
  OUT expired pg_catalog.int8,
  OUT started_at pg_catalog.timestamptz)
RETURNS SETOF pg_catalog.record
LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED ROWS 10 AS 'MODULE_PATHNAME', 'feathub_backfill_progress';
COMMENT ON FUNCTION feathub.backfills() IS 'backfills that run in this database, of the roles whose rights the caller has';

CREATE VIEW feathub.backfill_progress AS
  SELECT pid, feature_group, role, phase, rows_estimated, rows_read, rows_written, duplicates, expired, started_at
    FROM feathub.backfills();
COMMENT ON VIEW feathub.backfill_progress IS 'backfills that run in this database: own ones, and all for pg_read_all_stats';
GRANT SELECT ON feathub.backfill_progress TO PUBLIC;  -- the function shows each role its own

------------------------------------------------------------------------------
-- features: partitions
------------------------------------------------------------------------------

CREATE FUNCTION feathub.maintain_feature_group(
  feature_group pg_catalog.regclass,
  as_of pg_catalog.timestamptz DEFAULT pg_catalog.now(),
  since pg_catalog.timestamptz DEFAULT NULL,
  OUT partitions_created pg_catalog.int8,
  OUT partitions_dropped pg_catalog.int8,
  OUT rows_moved pg_catalog.int8,
  OUT rows_expired pg_catalog.int8)
LANGUAGE C VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'feathub_maintain_feature_group';
COMMENT ON FUNCTION feathub.maintain_feature_group(pg_catalog.regclass, pg_catalog.timestamptz, pg_catalog.timestamptz)
  IS 'make the partitions a feature group needs and remove what is older than its retention';
