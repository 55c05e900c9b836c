-- feathub 1.0: sections follow the folders of src/
\echo Use "CREATE EXTENSION feathub" to load this file. \quit

-- A member of the extension: an error if somebody else has made it before.
CREATE SCHEMA feathub;
COMMENT ON SCHEMA feathub IS 'feature store: functions, views and metadata of extension feathub';
GRANT USAGE ON SCHEMA feathub TO PUBLIC;

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
  external pg_catalog.bool NOT NULL DEFAULT false,
  refresh_interval pg_catalog.interval,
  online_store pg_catalog.regclass,
  refreshed_at pg_catalog.timestamptz,
  system_identifier pg_catalog.int8,
  database_oid pg_catalog.oid,
  created_at pg_catalog.timestamptz NOT NULL DEFAULT pg_catalog.now()
);
COMMENT ON TABLE feathub.feature_group IS 'feature groups: named sets of features of one entity, each an offline and an online table, or external';
COMMENT ON COLUMN feathub.feature_group.feature_group IS 'the offline table, which has the group''s name; of an external group the relation that it reads';
COMMENT ON COLUMN feathub.feature_group.external IS 'whether its relation, most often a foreign table, is read in place';
COMMENT ON COLUMN feathub.feature_group.refresh_interval IS 'how often the online table of an external group is made the same as its relation';
COMMENT ON COLUMN feathub.feature_group.refreshed_at IS 'when the online table of an external group was refreshed last';
COMMENT ON COLUMN feathub.feature_group.system_identifier IS 'the server where it was refreshed: a restored group waits for refresh_external_feature_group';
COMMENT ON COLUMN feathub.feature_group.database_oid IS 'the database where it was refreshed';
COMMENT ON COLUMN feathub.feature_group.online IS 'the online table: the latest row of each primary key';
COMMENT ON COLUMN feathub.feature_group.online_store IS 'foreign table that gets every change of the online table too: a copy of it in Redis or MySQL';
COMMENT ON COLUMN feathub.feature_group.tombstone IS 'the last deletion of each key, of a group with deletes';
COMMENT ON COLUMN feathub.feature_group.source IS 'where its columns, and the records of its job, come from';
COMMENT ON COLUMN feathub.feature_group.primary_key IS 'the columns that identify the entity';
COMMENT ON COLUMN feathub.feature_group.event_time IS 'the column that tells the versions of an entity''s row apart';
COMMENT ON COLUMN feathub.feature_group.ttl IS 'how long after its event time a row counts';
COMMENT ON COLUMN feathub.feature_group.retention IS 'how long after its event time a row is kept';
COMMENT ON COLUMN feathub.feature_group.partition_interval IS 'event time covered by one partition of the offline table';
COMMENT ON COLUMN feathub.feature_group.deletes IS 'whether tombstones and deletions of the source are followed';
GRANT SELECT ON feathub.feature_group TO PUBLIC;  -- names of tables and columns only, as in pg_class

CREATE FUNCTION feathub.group_changed() RETURNS pg_catalog.trigger
LANGUAGE C VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'feathub_group_changed';
COMMENT ON FUNCTION feathub.group_changed() IS 'keeps the dependencies of groups'' tables in step with feathub.feature_group';
REVOKE ALL ON FUNCTION feathub.group_changed() FROM PUBLIC;

CREATE TRIGGER group_changed AFTER INSERT OR UPDATE OF feature_group, online, tombstone OR DELETE ON feathub.feature_group
  FOR EACH ROW EXECUTE FUNCTION feathub.group_changed();
ALTER TABLE feathub.feature_group ENABLE ALWAYS TRIGGER group_changed;
COMMENT ON TRIGGER group_changed ON feathub.feature_group IS 'a restored dump makes the dependencies again';

CREATE TABLE feathub.feature_view (
  feature_view pg_catalog.regclass PRIMARY KEY,
  online pg_catalog.text NOT NULL,
  query pg_catalog.text NOT NULL,
  event_time pg_catalog.name,
  labels pg_catalog.name[] NOT NULL DEFAULT '{}',
  training_helpers pg_catalog.name[] NOT NULL DEFAULT '{}',
  inference_helpers pg_catalog.name[] NOT NULL DEFAULT '{}',
  max_age pg_catalog.jsonb,
  with_event_times pg_catalog.bool NOT NULL DEFAULT false,
  search_path pg_catalog.text NOT NULL DEFAULT '',
  owner_rights pg_catalog.bool NOT NULL DEFAULT false,
  owner_views pg_catalog.regclass[] NOT NULL DEFAULT '{}',
  created_at pg_catalog.timestamptz NOT NULL DEFAULT pg_catalog.now()
);
COMMENT ON TABLE feathub.feature_view IS 'feature views: one join, as a view for training and as a function for serving';
COMMENT ON COLUMN feathub.feature_view.feature_view IS 'the training form, a view, which has the feature view''s name';
COMMENT ON COLUMN feathub.feature_view.online IS 'the online form: signature of a set-returning function';
COMMENT ON COLUMN feathub.feature_view.query IS 'the join as its owner wrote it';
COMMENT ON COLUMN feathub.feature_view.event_time IS 'column of the first relation in FROM: at which features are to be known';
COMMENT ON COLUMN feathub.feature_view.labels IS 'columns that only the training form has';
COMMENT ON COLUMN feathub.feature_view.training_helpers IS 'columns that only the training form has, and that are no labels';
COMMENT ON COLUMN feathub.feature_view.inference_helpers IS 'columns that training data leaves out';
COMMENT ON COLUMN feathub.feature_view.max_age IS 'how old a row of a joined group may be, by alias or group, in place of the group''s ttl';
COMMENT ON COLUMN feathub.feature_view.with_event_times IS 'whether the online form tells event time and age of each joined group';
COMMENT ON COLUMN feathub.feature_view.owner_rights IS 'whether SELECT on the view is all that the online form asks of a reader';
COMMENT ON COLUMN feathub.feature_view.owner_views IS 'the views by which the online form reads then';
COMMENT ON COLUMN feathub.feature_view.search_path IS 'the search path that names in the query were looked up with';
GRANT SELECT ON feathub.feature_view TO PUBLIC;  -- definitions only, as in pg_views

CREATE FUNCTION feathub.view_changed() RETURNS pg_catalog.trigger
LANGUAGE C VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'feathub_view_changed';
COMMENT ON FUNCTION feathub.view_changed() IS 'makes the online functions of feature views depend on the views';
REVOKE ALL ON FUNCTION feathub.view_changed() FROM PUBLIC;

CREATE TRIGGER view_changed AFTER INSERT ON feathub.feature_view
  FOR EACH ROW EXECUTE FUNCTION feathub.view_changed();
ALTER TABLE feathub.feature_view ENABLE ALWAYS TRIGGER view_changed;
COMMENT ON TRIGGER view_changed ON feathub.feature_view IS 'a restored dump makes the dependencies again';

CREATE TABLE feathub.job (
  job_id pg_catalog.int8 GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  name pg_catalog.text NOT NULL UNIQUE,
  owner pg_catalog.regrole NOT NULL,
  source pg_catalog.regclass NOT NULL,
  sink pg_catalog.regclass NOT NULL,
  further_sinks pg_catalog.regclass[] NOT NULL DEFAULT '{}',
  query pg_catalog.text,
  workers pg_catalog.int4 NOT NULL DEFAULT 1 CHECK (workers OPERATOR(pg_catalog.>=) 1),
  on_error pg_catalog.text NOT NULL DEFAULT 'dead_letter'
    CHECK (on_error OPERATOR(pg_catalog.=) ANY ('{dead_letter,stop,skip}')),
  max_dead_letters pg_catalog.int4 NOT NULL DEFAULT 10000,
  dead_letters_before pg_catalog.int8 NOT NULL DEFAULT 0,
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
CREATE INDEX ON feathub.job (sink);
COMMENT ON TABLE feathub.job IS 'jobs: definitions that workers run; read them in job_status';
COMMENT ON COLUMN feathub.job.further_sinks IS 'what it writes to beside its first sink, in order';
COMMENT ON COLUMN feathub.job.owner IS 'the role that its workers run as';
COMMENT ON COLUMN feathub.job.dead_letters_before IS 'dead letters counted before the last resume: they do not count against max_dead_letters';
COMMENT ON COLUMN feathub.job.reason IS 'why it is paused or has failed';
COMMENT ON COLUMN feathub.job.epoch IS 'raised by pause, resume, restart and rewind: workers of an older one cannot commit';
COMMENT ON COLUMN feathub.job.system_identifier IS 'the server where the job may run: a restored or copied job waits for resume_job';
COMMENT ON COLUMN feathub.job.database_oid IS 'the database where the job may run';

-- No foreign keys to feathub.job: a parallel restore does not load the tables of
-- an extension in their order.  core/ deletes what belongs to a job.
CREATE TABLE feathub.job_position (
  job_id pg_catalog.int8 NOT NULL,
  partition pg_catalog.text NOT NULL,
  epoch pg_catalog.int8 NOT NULL DEFAULT 1,
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
COMMENT ON TABLE feathub.job_position IS 'how far each partition of a job has been applied; read it in job_partition';
COMMENT ON COLUMN feathub.job_position.epoch IS 'the job''s own, so that a batch can check it in this row';
COMMENT ON COLUMN feathub.job_position.position IS 'up to which everything has been applied, in the notation of the source';
COMMENT ON COLUMN feathub.job_position.mark IS 'what tells a source from one made again under its name';
COMMENT ON COLUMN feathub.job_position.replay_until IS 'after a rewind: up to where records had been applied before';

-- Files that have been read: many, and hardly written again, so not in the table
-- that each batch writes.
CREATE TABLE feathub.job_finished_partition (
  job_id pg_catalog.int8 NOT NULL,
  missing_since pg_catalog.timestamptz,
  partition pg_catalog.text NOT NULL,
  position pg_catalog.text NOT NULL,
  mark pg_catalog.text,
  replay_until pg_catalog.text,
  PRIMARY KEY (job_id, partition)
);
CREATE INDEX ON feathub.job_finished_partition (job_id, missing_since) WHERE missing_since IS NOT NULL;
COMMENT ON TABLE feathub.job_finished_partition IS 'partitions that are read to their end and put away; read it in job_partition';
COMMENT ON COLUMN feathub.job_finished_partition.missing_since IS 'when the source was first found without it; its row goes feathub.missing_file_retention later';
COMMENT ON COLUMN feathub.job_finished_partition.position IS 'its end, in the notation of the source';
COMMENT ON COLUMN feathub.job_finished_partition.mark IS 'what tells it from one made again under its name';
COMMENT ON COLUMN feathub.job_finished_partition.replay_until IS 'as in job_position, unless that is its end';

CREATE TABLE feathub.dead_letter_record (
  dead_letter_id pg_catalog.int8 GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  job_id pg_catalog.int8 NOT NULL,
  partition pg_catalog.text NOT NULL,
  sequence pg_catalog.int8 NOT NULL,
  key pg_catalog.bytea,
  value pg_catalog.bytea,
  headers pg_catalog.jsonb,
  "timestamp" pg_catalog.timestamptz,
  sink pg_catalog.text,
  sqlstate pg_catalog.text NOT NULL,
  message pg_catalog.text NOT NULL,
  retries pg_catalog.int4 NOT NULL DEFAULT 0,
  created_at pg_catalog.timestamptz NOT NULL DEFAULT pg_catalog.now()
);
CREATE INDEX ON feathub.dead_letter_record (job_id, dead_letter_id);
COMMENT ON TABLE feathub.dead_letter_record IS 'records that could not be applied, raw, with the reason';

CREATE TABLE feathub.training_data (
  training_data pg_catalog.regclass PRIMARY KEY,
  feature_view pg_catalog.regclass,
  definition pg_catalog.text NOT NULL,
  query pg_catalog.text NOT NULL,
  arguments pg_catalog.jsonb NOT NULL,
  splits pg_catalog.jsonb NOT NULL,
  row_count pg_catalog.int8 NOT NULL,
  content_hash pg_catalog.text NOT NULL,
  snapshot_at pg_catalog.timestamptz NOT NULL,
  created_at pg_catalog.timestamptz NOT NULL DEFAULT pg_catalog.now()
);
COMMENT ON TABLE feathub.training_data IS 'training data: tables made of feature views, and how';
COMMENT ON COLUMN feathub.training_data.training_data IS 'the table';
COMMENT ON COLUMN feathub.training_data.feature_view IS 'the view that it was made of; null if that is gone';
COMMENT ON COLUMN feathub.training_data.definition IS 'the view''s definition when it was made';
COMMENT ON COLUMN feathub.training_data.query IS 'the query that was run';
COMMENT ON COLUMN feathub.training_data.arguments IS 'arguments of create_training_data';
COMMENT ON COLUMN feathub.training_data.splits IS 'rows of each split';
COMMENT ON COLUMN feathub.training_data.row_count IS 'rows of all splits';
COMMENT ON COLUMN feathub.training_data.content_hash IS 'feathub.content_hash of its rows, whatever their order';
COMMENT ON COLUMN feathub.training_data.snapshot_at IS 'what was committed then is in it';
GRANT SELECT ON feathub.training_data TO PUBLIC;  -- definitions and counts, as in pg_views and pg_class

CREATE TABLE feathub.training_statistic (
  training_data pg_catalog.regclass NOT NULL,
  feature pg_catalog.name NOT NULL,
  split pg_catalog.text,
  row_count pg_catalog.int8 NOT NULL,
  nulls pg_catalog.int8 NOT NULL,
  distinct_values pg_catalog.int8,
  min pg_catalog.text,
  max pg_catalog.text,
  mean pg_catalog.float8,
  stddev pg_catalog.float8,
  quantiles pg_catalog.float8[],
  top_values pg_catalog.jsonb,
  categories pg_catalog.text[],
  UNIQUE NULLS NOT DISTINCT (training_data, feature, split)
);
COMMENT ON TABLE feathub.training_statistic IS 'statistics of training data; read them in feathub.training_statistics';

SELECT pg_catalog.pg_extension_config_dump('feathub.feature_group', '');
SELECT pg_catalog.pg_extension_config_dump('feathub.feature_view', '');
SELECT pg_catalog.pg_extension_config_dump('feathub.training_data', '');
SELECT pg_catalog.pg_extension_config_dump('feathub.training_statistic', '');
SELECT pg_catalog.pg_extension_config_dump('feathub.job', '');
SELECT pg_catalog.pg_extension_config_dump('feathub.job_job_id_seq', '');
SELECT pg_catalog.pg_extension_config_dump('feathub.job_position', '');
SELECT pg_catalog.pg_extension_config_dump('feathub.job_finished_partition', '');
SELECT pg_catalog.pg_extension_config_dump('feathub.dead_letter_record', '');
SELECT pg_catalog.pg_extension_config_dump('feathub.dead_letter_record_dead_letter_id_seq', '');

------------------------------------------------------------------------------
-- core: event triggers that guard the tables of groups and jobs
------------------------------------------------------------------------------

CREATE FUNCTION feathub.on_drop() RETURNS pg_catalog.event_trigger
LANGUAGE C VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'feathub_on_drop';
COMMENT ON FUNCTION feathub.on_drop() IS 'drops groups and jobs with their tables, or refuses';
REVOKE ALL ON FUNCTION feathub.on_drop() FROM PUBLIC;

CREATE EVENT TRIGGER feathub_drop ON sql_drop EXECUTE FUNCTION feathub.on_drop();
ALTER EVENT TRIGGER feathub_drop ENABLE ALWAYS;
COMMENT ON EVENT TRIGGER feathub_drop IS 'drops groups and jobs with their tables, or refuses';

CREATE FUNCTION feathub.on_rename() RETURNS pg_catalog.event_trigger
LANGUAGE C VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'feathub_on_rename';
COMMENT ON FUNCTION feathub.on_rename() IS 'refuses to rename key columns of groups';
REVOKE ALL ON FUNCTION feathub.on_rename() FROM PUBLIC;

CREATE EVENT TRIGGER feathub_rename ON ddl_command_end WHEN TAG IN ('ALTER TABLE', 'ALTER FOREIGN TABLE', 'ALTER VIEW', 'ALTER MATERIALIZED VIEW')
  EXECUTE FUNCTION feathub.on_rename();
ALTER EVENT TRIGGER feathub_rename ENABLE ALWAYS;
COMMENT ON EVENT TRIGGER feathub_rename IS 'refuses to rename key columns of groups';

CREATE FUNCTION feathub.on_alter() RETURNS pg_catalog.event_trigger
LANGUAGE C VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'feathub_on_alter';
COMMENT ON FUNCTION feathub.on_alter() IS 'keeps the names of online functions in feathub.feature_view in step';
REVOKE ALL ON FUNCTION feathub.on_alter() FROM PUBLIC;

CREATE EVENT TRIGGER feathub_alter ON ddl_command_end
  WHEN TAG IN ('CREATE FUNCTION', 'ALTER FUNCTION', 'ALTER ROUTINE', 'ALTER SCHEMA', 'ALTER EXTENSION',
               'ALTER TYPE', 'ALTER DOMAIN', 'ALTER TABLE', 'ALTER VIEW', 'ALTER FOREIGN TABLE')
  EXECUTE FUNCTION feathub.on_alter();
ALTER EVENT TRIGGER feathub_alter ENABLE ALWAYS;
COMMENT ON EVENT TRIGGER feathub_alter IS 'keeps the names of online functions in feathub.feature_view in step';

CREATE FUNCTION feathub.on_grant() RETURNS pg_catalog.event_trigger
LANGUAGE C VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'feathub_on_grant';
COMMENT ON FUNCTION feathub.on_grant() IS 'lets readers of a feature view read what its online form reads, if it has owner_rights';
REVOKE ALL ON FUNCTION feathub.on_grant() FROM PUBLIC;

CREATE EVENT TRIGGER feathub_grant_start ON ddl_command_start WHEN TAG IN ('GRANT', 'REVOKE')
  EXECUTE FUNCTION feathub.on_grant();
ALTER EVENT TRIGGER feathub_grant_start ENABLE ALWAYS;
COMMENT ON EVENT TRIGGER feathub_grant_start IS 'has statements that change rights wait for each other where feature views have owner_rights';

CREATE EVENT TRIGGER feathub_grant ON ddl_command_end WHEN TAG IN ('GRANT', 'REVOKE')
  EXECUTE FUNCTION feathub.on_grant();
ALTER EVENT TRIGGER feathub_grant ENABLE ALWAYS;
COMMENT ON EVENT TRIGGER feathub_grant IS 'lets readers of a feature view read what its online form reads, if it has owner_rights';

------------------------------------------------------------------------------
-- fdw: one wrapper per connector.  Who may make servers is for the superuser to
-- say: GRANT USAGE ON FOREIGN DATA WRAPPER feathub_kafka TO ...
------------------------------------------------------------------------------

CREATE FUNCTION feathub.fdw_handler() RETURNS pg_catalog.fdw_handler
LANGUAGE C STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'feathub_fdw_handler';
COMMENT ON FUNCTION feathub.fdw_handler() IS 'foreign-data wrapper handler of all connectors';

CREATE FUNCTION feathub.filesystem_validator(options pg_catalog.text[], catalog pg_catalog.oid) RETURNS pg_catalog.void
LANGUAGE C STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'feathub_filesystem_validator';
COMMENT ON FUNCTION feathub.filesystem_validator(pg_catalog.text[], pg_catalog.oid) IS 'option validator of feathub_filesystem';

CREATE FOREIGN DATA WRAPPER feathub_filesystem HANDLER feathub.fdw_handler VALIDATOR feathub.filesystem_validator;
COMMENT ON FOREIGN DATA WRAPPER feathub_filesystem IS 'files of the server as foreign tables';

CREATE FUNCTION feathub.kafka_validator(options pg_catalog.text[], catalog pg_catalog.oid) RETURNS pg_catalog.void
LANGUAGE C STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'feathub_kafka_validator';
COMMENT ON FUNCTION feathub.kafka_validator(pg_catalog.text[], pg_catalog.oid) IS 'option validator of feathub_kafka';

CREATE FOREIGN DATA WRAPPER feathub_kafka HANDLER feathub.fdw_handler VALIDATOR feathub.kafka_validator;
COMMENT ON FOREIGN DATA WRAPPER feathub_kafka IS 'Kafka topics as foreign tables';

CREATE FUNCTION feathub.mysql_validator(options pg_catalog.text[], catalog pg_catalog.oid) RETURNS pg_catalog.void
LANGUAGE C STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'feathub_mysql_validator';
COMMENT ON FUNCTION feathub.mysql_validator(pg_catalog.text[], pg_catalog.oid) IS 'option validator of feathub_mysql';

CREATE FOREIGN DATA WRAPPER feathub_mysql HANDLER feathub.fdw_handler VALIDATOR feathub.mysql_validator;
COMMENT ON FOREIGN DATA WRAPPER feathub_mysql IS 'tables of MySQL and MariaDB as foreign tables';

-- What each connector of this build can do, from its table of callbacks.
CREATE FUNCTION feathub.connectors(OUT connector pg_catalog.text, OUT wrapper pg_catalog.text,
  OUT scan pg_catalog.bool, OUT pushdown pg_catalog.bool, OUT parallel pg_catalog.bool,
  OUT lookup pg_catalog.bool, OUT batched_lookup pg_catalog.bool,
  OUT insert pg_catalog.bool, OUT update pg_catalog.bool, OUT delete pg_catalog.bool,
  OUT upsert pg_catalog.bool, OUT truncate pg_catalog.bool,
  OUT import pg_catalog.bool, OUT statistics pg_catalog.bool, OUT stream pg_catalog.bool)
RETURNS SETOF pg_catalog.record
LANGUAGE C STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'feathub_connectors';
COMMENT ON FUNCTION feathub.connectors() IS 'what each connector can do, for feathub.connector';

CREATE VIEW feathub.connector AS
  SELECT c.connector, c.wrapper, c.scan, c.pushdown, c.parallel, c.lookup, c.batched_lookup,
         c.insert, c.update, c.delete, c.upsert, c.truncate, c.import, c.statistics, c.stream
    FROM feathub.connectors() AS c;
COMMENT ON VIEW feathub.connector IS 'the connectors of this build and what they can do';
COMMENT ON COLUMN feathub.connector.connector IS 'its name';
COMMENT ON COLUMN feathub.connector.wrapper IS 'the foreign-data wrapper';
COMMENT ON COLUMN feathub.connector.scan IS 'SELECT';
COMMENT ON COLUMN feathub.connector.pushdown IS 'conditions and the columns wanted are passed on where the answer is the same';
COMMENT ON COLUMN feathub.connector.parallel IS 'a scan may be shared by parallel workers';
COMMENT ON COLUMN feathub.connector.lookup IS 'nested loops may pass values of the other side of a join';
COMMENT ON COLUMN feathub.connector.batched_lookup IS 'joins may ask for the rows of many keys at once';
COMMENT ON COLUMN feathub.connector.insert IS 'INSERT, COPY and jobs that append';
COMMENT ON COLUMN feathub.connector.update IS 'UPDATE of tables with a key';
COMMENT ON COLUMN feathub.connector.delete IS 'DELETE from tables with a key';
COMMENT ON COLUMN feathub.connector.upsert IS 'rows written may replace those of the same key';
COMMENT ON COLUMN feathub.connector.truncate IS 'TRUNCATE';
COMMENT ON COLUMN feathub.connector.import IS 'IMPORT FOREIGN SCHEMA';
COMMENT ON COLUMN feathub.connector.statistics IS 'ANALYZE';
COMMENT ON COLUMN feathub.connector.stream IS 'jobs may follow it';
GRANT SELECT ON feathub.connector TO PUBLIC;  -- facts about the build

CREATE FUNCTION feathub.redis_validator(options pg_catalog.text[], catalog pg_catalog.oid) RETURNS pg_catalog.void
LANGUAGE C STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'feathub_redis_validator';
COMMENT ON FUNCTION feathub.redis_validator(pg_catalog.text[], pg_catalog.oid) IS 'option validator of feathub_redis';

CREATE FOREIGN DATA WRAPPER feathub_redis HANDLER feathub.fdw_handler VALIDATOR feathub.redis_validator;
COMMENT ON FOREIGN DATA WRAPPER feathub_redis IS 'keys of Redis as foreign tables';

CREATE FUNCTION feathub.embedded_broker_address() RETURNS pg_catalog.text
LANGUAGE C VOLATILE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'feathub_embedded_broker_address';
COMMENT ON FUNCTION feathub.embedded_broker_address() IS 'where other Kafka clients reach the embedded broker; null if it is off';

------------------------------------------------------------------------------
-- ingest: jobs.  Anyone may call these functions; each demands the rights of
-- the owner of the job and of the tables concerned.
------------------------------------------------------------------------------

CREATE FUNCTION feathub.create_job(
  name pg_catalog.text,
  source pg_catalog.regclass,
  sink pg_catalog.regclass DEFAULT NULL,
  query pg_catalog.text DEFAULT NULL,
  workers pg_catalog.int4 DEFAULT 1,
  start pg_catalog.text DEFAULT 'earliest',
  on_error pg_catalog.text DEFAULT 'dead_letter',
  max_dead_letters pg_catalog.int4 DEFAULT 10000,
  on_gap pg_catalog.text DEFAULT 'stop',
  synchronous_commit pg_catalog.bool DEFAULT true,
  sinks pg_catalog.regclass[] DEFAULT NULL)
RETURNS pg_catalog.void
LANGUAGE C VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'feathub_create_job';
COMMENT ON FUNCTION feathub.create_job(pg_catalog.text, pg_catalog.regclass, pg_catalog.regclass, pg_catalog.text, pg_catalog.int4, pg_catalog.text, pg_catalog.text, pg_catalog.int4, pg_catalog.text, pg_catalog.bool, pg_catalog.regclass[])
  IS 'follow a source, optionally transform its records, and write to one or more feature groups, tables and foreign tables';

CREATE FUNCTION feathub.alter_job(
  name pg_catalog.text,
  query pg_catalog.text DEFAULT NULL,
  workers pg_catalog.int4 DEFAULT NULL,
  on_error pg_catalog.text DEFAULT NULL,
  max_dead_letters pg_catalog.int4 DEFAULT NULL,
  on_gap pg_catalog.text DEFAULT NULL,
  synchronous_commit pg_catalog.bool DEFAULT NULL,
  add_sinks pg_catalog.regclass[] DEFAULT NULL,
  drop_sinks pg_catalog.regclass[] DEFAULT NULL,
  reset pg_catalog.text[] DEFAULT NULL)
RETURNS pg_catalog.void
LANGUAGE C VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'feathub_alter_job';
COMMENT ON FUNCTION feathub.alter_job(pg_catalog.text, pg_catalog.text, pg_catalog.int4, pg_catalog.text, pg_catalog.int4, pg_catalog.text, pg_catalog.bool, pg_catalog.regclass[], pg_catalog.regclass[], pg_catalog.text[])
  IS 'change settings of a job, which goes on from its positions; null keeps one, reset names those that go back to their default';

CREATE FUNCTION feathub.explain_job(name pg_catalog.text, rows pg_catalog.int4 DEFAULT 10000, verbose pg_catalog.bool DEFAULT false)
RETURNS SETOF pg_catalog.text
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE ROWS 10 AS 'MODULE_PATHNAME', 'feathub_explain_job';
COMMENT ON FUNCTION feathub.explain_job(pg_catalog.text, pg_catalog.int4, pg_catalog.bool)
  IS 'the plan of a job''s query for batches of that many rows, as EXPLAIN shows it';

CREATE FUNCTION feathub.drop_job(name pg_catalog.text, if_exists pg_catalog.bool DEFAULT false) RETURNS pg_catalog.bool
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'feathub_drop_job';
COMMENT ON FUNCTION feathub.drop_job(pg_catalog.text, pg_catalog.bool) IS 'stop a job for good, with its positions and dead letters; its sink stays';

CREATE FUNCTION feathub.pause_job(name pg_catalog.text) RETURNS pg_catalog.void
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'feathub_pause_job';
COMMENT ON FUNCTION feathub.pause_job(pg_catalog.text) IS 'stop the workers of a job until it is resumed';

CREATE FUNCTION feathub.resume_job(name pg_catalog.text) RETURNS pg_catalog.void
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'feathub_resume_job';
COMMENT ON FUNCTION feathub.resume_job(pg_catalog.text) IS 'let a job run again that was paused, has failed, or was restored from a dump';

CREATE FUNCTION feathub.resume_all_jobs() RETURNS pg_catalog.int4
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'feathub_resume_all_jobs';
COMMENT ON FUNCTION feathub.resume_all_jobs() IS 'let one''s jobs that were restored or copied into this database run here; those paused or failed before stay so';

CREATE FUNCTION feathub.restart_job(name pg_catalog.text) RETURNS pg_catalog.void
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'feathub_restart_job';
COMMENT ON FUNCTION feathub.restart_job(pg_catalog.text) IS 'stop the workers of a job and start others';

CREATE FUNCTION feathub.rewind_job(
  name pg_catalog.text,
  target pg_catalog.text DEFAULT 'earliest',
  partition pg_catalog.text DEFAULT NULL)
RETURNS pg_catalog.int4
LANGUAGE C VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'feathub_rewind_job';
COMMENT ON FUNCTION feathub.rewind_job(pg_catalog.text, pg_catalog.text, pg_catalog.text)
  IS 'set the positions of a job: earliest, latest, a time or a position; returns the number of partitions moved';

CREATE FUNCTION feathub.wait_for_job(name pg_catalog.text, timeout pg_catalog.interval DEFAULT NULL) RETURNS pg_catalog.void
LANGUAGE C VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'feathub_wait_for_job';
COMMENT ON FUNCTION feathub.wait_for_job(pg_catalog.text, pg_catalog.interval)
  IS 'return once a job has applied all that its source holds now; an error after the timeout';

CREATE FUNCTION feathub.retry_dead_letters(job pg_catalog.text) RETURNS pg_catalog.int8
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'feathub_retry_dead_letters';
COMMENT ON FUNCTION feathub.retry_dead_letters(pg_catalog.text) IS 'apply a job''s dead letters again; returns how many could be applied';

CREATE FUNCTION feathub.delete_dead_letters(job pg_catalog.text, before pg_catalog.timestamptz DEFAULT NULL) RETURNS pg_catalog.int8
LANGUAGE C VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'feathub_delete_dead_letters';
COMMENT ON FUNCTION feathub.delete_dead_letters(pg_catalog.text, pg_catalog.timestamptz)
  IS 'delete the dead letters of a job, all or those kept before a time; returns how many';

------------------------------------------------------------------------------
-- ingest: monitoring.  A view reads the metadata tables as their owner and
-- shows each role the jobs whose owner's rights it has, pg_monitor all.
------------------------------------------------------------------------------

CREATE FUNCTION feathub.worker_activity()
RETURNS TABLE (
  job_id pg_catalog.int8, worker pg_catalog.int4, pid pg_catalog.int4, state pg_catalog.text,
  started_at pg_catalog.timestamptz, last_commit_at pg_catalog.timestamptz,
  last_error pg_catalog.text, last_error_at pg_catalog.timestamptz,
  retry_at pg_catalog.timestamptz, restarts pg_catalog.int8)
LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED ROWS 10 AS 'MODULE_PATHNAME', 'feathub_worker_activity';
COMMENT ON FUNCTION feathub.worker_activity() IS 'workers of this database, of all jobs';
REVOKE ALL ON FUNCTION feathub.worker_activity() FROM PUBLIC;  -- shows others' jobs

CREATE FUNCTION feathub.partition_activity()
RETURNS TABLE (
  job_id pg_catalog.int8, partition pg_catalog.text, end_position pg_catalog.text, lag pg_catalog.int8,
  last_record_at pg_catalog.timestamptz, worker pg_catalog.int4, seen_at pg_catalog.timestamptz,
  epoch pg_catalog.int8)
LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED ROWS 100 AS 'MODULE_PATHNAME', 'feathub_partition_activity';
COMMENT ON FUNCTION feathub.partition_activity() IS 'partitions as the workers of this database last saw them, of all jobs';
REVOKE ALL ON FUNCTION feathub.partition_activity() FROM PUBLIC;  -- shows others' jobs

-- A view's functions run with the reader's rights, so these two filter themselves.
CREATE FUNCTION feathub.visible_worker_activity()
RETURNS TABLE (
  job_id pg_catalog.int8, worker pg_catalog.int4, pid pg_catalog.int4, state pg_catalog.text,
  started_at pg_catalog.timestamptz, last_commit_at pg_catalog.timestamptz,
  last_error pg_catalog.text, last_error_at pg_catalog.timestamptz,
  retry_at pg_catalog.timestamptz, restarts pg_catalog.int8)
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE ROWS 10 AS 'MODULE_PATHNAME', 'feathub_visible_worker_activity';
COMMENT ON FUNCTION feathub.visible_worker_activity() IS 'workers of the jobs that the caller may see';

CREATE FUNCTION feathub.visible_partition_activity()
RETURNS TABLE (
  job_id pg_catalog.int8, partition pg_catalog.text, end_position pg_catalog.text, lag pg_catalog.int8,
  last_record_at pg_catalog.timestamptz, worker pg_catalog.int4, seen_at pg_catalog.timestamptz)
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE ROWS 100 AS 'MODULE_PATHNAME', 'feathub_visible_partition_activity';
COMMENT ON FUNCTION feathub.visible_partition_activity() IS 'partitions of the jobs that the caller may see, as their workers last saw them';

CREATE FUNCTION feathub.job_is_local(system_identifier pg_catalog.int8, database_oid pg_catalog.oid) RETURNS pg_catalog.bool
LANGUAGE C STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'feathub_job_is_local';
COMMENT ON FUNCTION feathub.job_is_local(pg_catalog.int8, pg_catalog.oid) IS 'whether a job with this stamp belongs to this very database';

CREATE VIEW feathub.job_status WITH (security_barrier) AS
  SELECT j.name AS job,
         CASE WHEN feathub.job_is_local(j.system_identifier, j.database_oid) THEN j.state ELSE 'paused' END AS state,
         CASE WHEN feathub.job_is_local(j.system_identifier, j.database_oid) THEN j.reason ELSE 'restored' END AS reason,
         j.source, j.sink, j.query, j.owner, j.workers,
         COALESCE(w.workers_running, 0) AS workers_running,
         COALESCE(p.records, 0) AS records, COALESCE(p.applied, 0) AS applied,
         COALESCE(p.duplicates, 0) AS duplicates, COALESCE(p.dead_letters, 0) AS dead_letters,
         COALESCE(p.skipped, 0) AS skipped, COALESCE(p.expired, 0) AS expired,
         a.lag, a.lag_seconds, p.watermark,
         w.started_at, w.last_commit_at, w.last_error, w.last_error_at, w.retry_at,
         COALESCE(w.restarts, 0) AS restarts,
         j.start, j.on_error, j.max_dead_letters,
         COALESCE(p.dead_letters, 0) OPERATOR(pg_catalog.-) j.dead_letters_before AS dead_letters_used,
         j.on_gap, j.synchronous_commit, j.epoch, j.created_at, j.changed_at,
         pg_catalog.array_prepend(j.sink, j.further_sinks) AS sinks
    FROM feathub.job AS j
    LEFT JOIN (
      SELECT job_id, pg_catalog.sum(records)::pg_catalog.int8 AS records, pg_catalog.sum(applied)::pg_catalog.int8 AS applied,
             pg_catalog.sum(duplicates)::pg_catalog.int8 AS duplicates, pg_catalog.sum(dead_letters)::pg_catalog.int8 AS dead_letters,
             pg_catalog.sum(skipped)::pg_catalog.int8 AS skipped, pg_catalog.sum(expired)::pg_catalog.int8 AS expired,
             pg_catalog.min(watermark) AS watermark
        FROM feathub.job_position GROUP BY job_id) AS p ON p.job_id OPERATOR(pg_catalog.=) j.job_id
    LEFT JOIN (
      SELECT job_id, pg_catalog.count(*) FILTER (WHERE pid OPERATOR(pg_catalog.<>) 0)::pg_catalog.int4 AS workers_running,
             pg_catalog.min(started_at) AS started_at, pg_catalog.max(last_commit_at) AS last_commit_at,
             (pg_catalog.array_agg(last_error ORDER BY last_error_at DESC NULLS LAST))[1] AS last_error,
             pg_catalog.max(last_error_at) AS last_error_at, pg_catalog.min(retry_at) AS retry_at,
             pg_catalog.sum(restarts)::pg_catalog.int8 AS restarts
        FROM feathub.visible_worker_activity() GROUP BY job_id) AS w ON w.job_id OPERATOR(pg_catalog.=) j.job_id
    LEFT JOIN (
      SELECT job_id, CASE WHEN pg_catalog.bool_and(lag IS NOT NULL) THEN pg_catalog.sum(lag)::pg_catalog.int8 END AS lag,
             pg_catalog.max(CASE WHEN lag OPERATOR(pg_catalog.=) 0 THEN 0
               ELSE pg_catalog.date_part('epoch', pg_catalog.clock_timestamp() OPERATOR(pg_catalog.-) last_record_at) END) AS lag_seconds
        FROM feathub.visible_partition_activity() GROUP BY job_id) AS a ON a.job_id OPERATOR(pg_catalog.=) j.job_id
   WHERE pg_catalog.pg_has_role(j.owner::pg_catalog.oid, 'USAGE') OR pg_catalog.pg_has_role('pg_monitor', 'USAGE');
COMMENT ON VIEW feathub.job_status IS 'jobs: what they should do and what they do; own ones, and all for pg_monitor';
COMMENT ON COLUMN feathub.job_status.job IS 'name';
COMMENT ON COLUMN feathub.job_status.source IS 'foreign table that it follows';
COMMENT ON COLUMN feathub.job_status.sink IS 'table that it writes to: the offline table of a feature group, a plain or a foreign table; of several the first';
COMMENT ON COLUMN feathub.job_status.sinks IS 'all that it writes to';
COMMENT ON COLUMN feathub.job_status.query IS 'SQL over "batch" that its records go through; null if there is none';
COMMENT ON COLUMN feathub.job_status.owner IS 'role whose rights it has';
COMMENT ON COLUMN feathub.job_status.state IS 'running, paused or failed';
COMMENT ON COLUMN feathub.job_status.reason IS 'why it is paused or has failed; "restored": it comes from a dump or a copy and waits for resume_job';
COMMENT ON COLUMN feathub.job_status.workers IS 'workers wanted';
COMMENT ON COLUMN feathub.job_status.workers_running IS 'workers that run';
COMMENT ON COLUMN feathub.job_status.records IS 'records read and accounted for';
COMMENT ON COLUMN feathub.job_status.applied IS 'rows written, new or changed';
COMMENT ON COLUMN feathub.job_status.duplicates IS 'rows that changed nothing';
COMMENT ON COLUMN feathub.job_status.dead_letters IS 'records that could not be applied and were kept';
COMMENT ON COLUMN feathub.job_status.skipped IS 'records left out, by on_error or the query';
COMMENT ON COLUMN feathub.job_status.expired IS 'rows older than the group''s retention, which were not written';
COMMENT ON COLUMN feathub.job_status.lag IS 'records between position and end, over all partitions; null if not known';
COMMENT ON COLUMN feathub.job_status.lag_seconds IS 'age of the last record applied, of the partition farthest behind; 0 if none is behind';
COMMENT ON COLUMN feathub.job_status.watermark IS 'least of the partitions'' greatest event times';
COMMENT ON COLUMN feathub.job_status.last_error IS 'of the worker that failed last';
COMMENT ON COLUMN feathub.job_status.retry_at IS 'when a worker that failed is started again';
COMMENT ON COLUMN feathub.job_status.restarts IS 'workers started again since the server started';
COMMENT ON COLUMN feathub.job_status.dead_letters_used IS 'dead letters since the last resume, which max_dead_letters limits';
COMMENT ON COLUMN feathub.job_status.started_at IS 'when its longest running worker was started';
COMMENT ON COLUMN feathub.job_status.last_commit_at IS 'when a batch was committed last';
COMMENT ON COLUMN feathub.job_status.last_error_at IS 'when a worker failed last';
COMMENT ON COLUMN feathub.job_status.start IS 'where a partition without position begins: earliest, latest or a time';
COMMENT ON COLUMN feathub.job_status.on_error IS 'what becomes of a bad record: dead_letter, skip or stop';
COMMENT ON COLUMN feathub.job_status.max_dead_letters IS 'dead letters since the last resume at which it stops; -1: no limit';
COMMENT ON COLUMN feathub.job_status.on_gap IS 'when retention has taken records that were not applied yet: stop or skip';
COMMENT ON COLUMN feathub.job_status.synchronous_commit IS 'whether a commit waits for the disk';
COMMENT ON COLUMN feathub.job_status.epoch IS 'raised by each pause, resume, restart, rewind and change of workers';
COMMENT ON COLUMN feathub.job_status.created_at IS 'when it was made';
COMMENT ON COLUMN feathub.job_status.changed_at IS 'when its definition or state was changed last';
GRANT SELECT ON feathub.job_status TO PUBLIC;  -- shows each role its own jobs

CREATE VIEW feathub.job_partition WITH (security_barrier) AS
  SELECT j.name AS job, p.partition, p.position, a.end_position, a.lag,
         CASE WHEN a.lag OPERATOR(pg_catalog.=) 0 THEN 0
           ELSE pg_catalog.date_part('epoch', pg_catalog.clock_timestamp() OPERATOR(pg_catalog.-) a.last_record_at) END AS lag_seconds,
         p.watermark, p.replay_until, p.records, p.applied, p.duplicates, p.dead_letters, p.skipped, p.expired,
         a.worker, a.last_record_at, a.seen_at, p.changed_at, NULL::pg_catalog.timestamptz AS missing_since
    FROM feathub.job AS j
    JOIN feathub.job_position AS p ON p.job_id OPERATOR(pg_catalog.=) j.job_id
    LEFT JOIN feathub.visible_partition_activity() AS a
      ON a.job_id OPERATOR(pg_catalog.=) p.job_id AND a.partition OPERATOR(pg_catalog.=) p.partition
   WHERE pg_catalog.pg_has_role(j.owner::pg_catalog.oid, 'USAGE') OR pg_catalog.pg_has_role('pg_monitor', 'USAGE')
  UNION ALL
  SELECT j.name, f.partition, f.position, NULL, 0, 0, NULL, f.replay_until, 0, 0, 0, 0, 0, 0, NULL, NULL, NULL, NULL, f.missing_since
    FROM feathub.job AS j
    JOIN feathub.job_finished_partition AS f ON f.job_id OPERATOR(pg_catalog.=) j.job_id
   WHERE pg_catalog.pg_has_role(j.owner::pg_catalog.oid, 'USAGE') OR pg_catalog.pg_has_role('pg_monitor', 'USAGE');
COMMENT ON VIEW feathub.job_partition IS 'how far each partition of a job is; own jobs, and all for pg_monitor';
COMMENT ON COLUMN feathub.job_partition.position IS 'up to which everything has been applied';
COMMENT ON COLUMN feathub.job_partition.end_position IS 'end of the partition when its worker last looked';
COMMENT ON COLUMN feathub.job_partition.lag IS 'records between position and end; null if not known';
COMMENT ON COLUMN feathub.job_partition.lag_seconds IS 'age of the last record applied; 0 if there is no lag';
COMMENT ON COLUMN feathub.job_partition.watermark IS 'greatest event time applied';
COMMENT ON COLUMN feathub.job_partition.replay_until IS 'after a rewind: up to where records had been applied before';
COMMENT ON COLUMN feathub.job_partition.worker IS 'which of the job''s workers follows it, from 0';
COMMENT ON COLUMN feathub.job_partition.last_record_at IS 'timestamp, in its source, of the last record applied';
COMMENT ON COLUMN feathub.job_partition.seen_at IS 'when the worker last looked for the end';
COMMENT ON COLUMN feathub.job_partition.job IS 'name of the job';
COMMENT ON COLUMN feathub.job_partition.partition IS 'what the source calls it; of Kafka: topic-number';
COMMENT ON COLUMN feathub.job_partition.records IS 'records read and accounted for; those of files that are put away count for partition "files"';
COMMENT ON COLUMN feathub.job_partition.applied IS 'rows written; those of a batch count for one of its partitions';
COMMENT ON COLUMN feathub.job_partition.duplicates IS 'rows that changed nothing, counted as applied ones are';
COMMENT ON COLUMN feathub.job_partition.dead_letters IS 'records that could not be applied and were kept';
COMMENT ON COLUMN feathub.job_partition.skipped IS 'records left out, by on_error, on_gap or the query';
COMMENT ON COLUMN feathub.job_partition.expired IS 'rows older than the retention of the group, counted as applied ones are';
COMMENT ON COLUMN feathub.job_partition.changed_at IS 'when the position was moved last';
COMMENT ON COLUMN feathub.job_partition.missing_since IS 'of a file that has been read: when it was first found to be gone';
GRANT SELECT ON feathub.job_partition TO PUBLIC;  -- shows each role its own jobs

CREATE VIEW feathub.worker WITH (security_barrier) AS
  SELECT COALESCE(j.name, pg_catalog.concat('refresh of ', c.relname)) AS job, w.worker, NULLIF(w.pid, 0) AS pid,
         w.state, w.started_at, w.last_commit_at, w.last_error, w.last_error_at, w.retry_at, w.restarts
    FROM feathub.visible_worker_activity() AS w
    LEFT JOIN feathub.job AS j ON j.job_id OPERATOR(pg_catalog.=) w.job_id
         -- the number of a refresh is minus the OID of the external group's relation
    LEFT JOIN pg_catalog.pg_class AS c ON c.oid OPERATOR(pg_catalog.=)
         CASE WHEN w.job_id OPERATOR(pg_catalog.<) 0 THEN (OPERATOR(pg_catalog.-) w.job_id)::pg_catalog.oid END
   WHERE (j.job_id IS NOT NULL OR c.oid IS NOT NULL)
     AND (pg_catalog.pg_has_role(COALESCE(j.owner::pg_catalog.oid, c.relowner), 'USAGE') OR pg_catalog.pg_has_role('pg_monitor', 'USAGE'));
COMMENT ON VIEW feathub.worker IS 'background workers of jobs and of refreshes of external groups; own ones, and all for pg_monitor';
COMMENT ON COLUMN feathub.worker.worker IS 'number of the worker within its job, from 0';
COMMENT ON COLUMN feathub.worker.pid IS 'process, as in pg_stat_activity; null if it does not run';
COMMENT ON COLUMN feathub.worker.state IS 'starting, running, backoff (it failed and waits for retry_at) or waiting (for max_worker_processes or feathub.max_workers)';
COMMENT ON COLUMN feathub.worker.job IS 'name of the job';
COMMENT ON COLUMN feathub.worker.started_at IS 'when it was started last';
COMMENT ON COLUMN feathub.worker.last_commit_at IS 'when it committed a batch last';
COMMENT ON COLUMN feathub.worker.last_error IS 'why it failed last';
COMMENT ON COLUMN feathub.worker.last_error_at IS 'when it failed last';
COMMENT ON COLUMN feathub.worker.retry_at IS 'when it is started again';
COMMENT ON COLUMN feathub.worker.restarts IS 'how often it was started again since the server started';
GRANT SELECT ON feathub.worker TO PUBLIC;  -- shows each role its own jobs

CREATE VIEW feathub.dead_letter WITH (security_barrier) AS
  SELECT d.dead_letter_id, j.name AS job, d.partition, d.sequence,
         -- pg_monitor may read no data of others'
         CASE WHEN pg_catalog.pg_has_role(j.owner::pg_catalog.oid, 'USAGE') THEN d.key END AS key,
         CASE WHEN pg_catalog.pg_has_role(j.owner::pg_catalog.oid, 'USAGE') THEN d.value END AS value,
         CASE WHEN pg_catalog.pg_has_role(j.owner::pg_catalog.oid, 'USAGE') THEN d.headers END AS headers,
         d."timestamp", d.sqlstate, d.message, d.retries, d.created_at, d.sink
    FROM feathub.dead_letter_record AS d
    JOIN feathub.job AS j ON j.job_id OPERATOR(pg_catalog.=) d.job_id
   WHERE pg_catalog.pg_has_role(j.owner::pg_catalog.oid, 'USAGE') OR pg_catalog.pg_has_role('pg_monitor', 'USAGE');
COMMENT ON VIEW feathub.dead_letter IS 'records that could not be applied, raw, with the reason; own jobs, and all without their data for pg_monitor';
COMMENT ON COLUMN feathub.dead_letter.sequence IS 'number of the record in its partition: the offset of Kafka';
COMMENT ON COLUMN feathub.dead_letter.key IS 'the record''s key as it came';
COMMENT ON COLUMN feathub.dead_letter.value IS 'the record''s value as it came';
COMMENT ON COLUMN feathub.dead_letter."timestamp" IS 'of the record in its source';
COMMENT ON COLUMN feathub.dead_letter.sqlstate IS 'error code';
COMMENT ON COLUMN feathub.dead_letter.sink IS 'the sink that refused it; null if it came to none, being unreadable or refused by the query';
COMMENT ON COLUMN feathub.dead_letter.message IS 'why it could not be applied';
COMMENT ON COLUMN feathub.dead_letter.retries IS 'how often it has been tried again';
COMMENT ON COLUMN feathub.dead_letter.dead_letter_id IS 'number';
COMMENT ON COLUMN feathub.dead_letter.job IS 'name of the job';
COMMENT ON COLUMN feathub.dead_letter.partition IS 'partition that it came from';
COMMENT ON COLUMN feathub.dead_letter.headers IS 'the record''s headers, as a metadata column shows them';
COMMENT ON COLUMN feathub.dead_letter.created_at IS 'when it was kept';
GRANT SELECT ON feathub.dead_letter TO PUBLIC;  -- shows each role its own jobs

------------------------------------------------------------------------------
-- features: feature groups.  Anyone may call these functions; tables are made,
-- taken over and dropped with the caller's rights.
------------------------------------------------------------------------------

CREATE FUNCTION feathub.create_feature_group(
  feature_group pg_catalog.text,
  source pg_catalog.regclass DEFAULT NULL,
  primary_key pg_catalog.text[] DEFAULT NULL,
  event_time pg_catalog.text DEFAULT NULL,
  ttl pg_catalog.interval DEFAULT NULL,
  retention pg_catalog.interval DEFAULT NULL,
  partition_interval pg_catalog.interval DEFAULT NULL,
  deletes pg_catalog.bool DEFAULT NULL,
  online pg_catalog.bool DEFAULT true,
  query pg_catalog.text DEFAULT NULL,
  workers pg_catalog.int4 DEFAULT 1,
  start pg_catalog.text DEFAULT 'earliest',
  on_error pg_catalog.text DEFAULT 'dead_letter',
  max_dead_letters pg_catalog.int4 DEFAULT 10000,
  on_gap pg_catalog.text DEFAULT 'stop',
  synchronous_commit pg_catalog.bool DEFAULT true,
  job pg_catalog.text DEFAULT NULL,
  online_store pg_catalog.regclass DEFAULT NULL)
RETURNS pg_catalog.regclass
LANGUAGE C VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'feathub_create_feature_group';
COMMENT ON FUNCTION feathub.create_feature_group(pg_catalog.text, pg_catalog.regclass, pg_catalog.text[], pg_catalog.text, pg_catalog.interval, pg_catalog.interval, pg_catalog.interval, pg_catalog.bool, pg_catalog.bool, pg_catalog.text, pg_catalog.int4, pg_catalog.text, pg_catalog.text, pg_catalog.int4, pg_catalog.text, pg_catalog.bool, pg_catalog.text, pg_catalog.regclass)
  IS 'make the offline and online tables of a feature group, or take over existing ones, and a job if the source can stream';

CREATE FUNCTION feathub.alter_feature_group(
  feature_group pg_catalog.text,
  ttl pg_catalog.interval DEFAULT NULL,
  retention pg_catalog.interval DEFAULT NULL,
  workers pg_catalog.int4 DEFAULT NULL,
  reset pg_catalog.text[] DEFAULT NULL,
  refresh_interval pg_catalog.interval DEFAULT NULL,
  online_store pg_catalog.regclass DEFAULT NULL)
RETURNS pg_catalog.void
LANGUAGE C VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'feathub_alter_feature_group';
COMMENT ON FUNCTION feathub.alter_feature_group(pg_catalog.text, pg_catalog.interval, pg_catalog.interval, pg_catalog.int4, pg_catalog.text[], pg_catalog.interval, pg_catalog.regclass)
  IS 'change settings of a feature group; null keeps one, reset names those that go back to their default';

CREATE FUNCTION feathub.refresh_online_store(feature_group pg_catalog.text) RETURNS pg_catalog.int8
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'feathub_refresh_online_store';
COMMENT ON FUNCTION feathub.refresh_online_store(pg_catalog.text)
  IS 'bring all rows of a feature group''s online table to its online store, and remove what is not among them; returns the rows brought';

CREATE FUNCTION feathub.drop_feature_group(
  feature_group pg_catalog.text,
  keep_tables pg_catalog.bool DEFAULT false,
  if_exists pg_catalog.bool DEFAULT false)
RETURNS pg_catalog.bool
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'feathub_drop_feature_group';
COMMENT ON FUNCTION feathub.drop_feature_group(pg_catalog.text, pg_catalog.bool, pg_catalog.bool)
  IS 'drop a feature group, its jobs and, unless they are to be kept, its tables; false if there is none';

------------------------------------------------------------------------------
-- features: external feature groups.  Each function demands that the caller owns
-- the relation; refreshing reads and writes with its owner's rights.
------------------------------------------------------------------------------

CREATE FUNCTION feathub.create_external_feature_group(
  foreign_table pg_catalog.regclass,
  primary_key pg_catalog.text[] DEFAULT NULL,
  event_time pg_catalog.text DEFAULT NULL,
  ttl pg_catalog.interval DEFAULT NULL,
  online pg_catalog.bool DEFAULT false,
  refresh_interval pg_catalog.interval DEFAULT NULL)
RETURNS pg_catalog.regclass
LANGUAGE C VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'feathub_create_external_feature_group';
COMMENT ON FUNCTION feathub.create_external_feature_group(pg_catalog.regclass, pg_catalog.text[], pg_catalog.text, pg_catalog.interval, pg_catalog.bool, pg_catalog.interval)
  IS 'declare a foreign table, table or view as a feature group that is read in place; with online, keep a copy of its latest rows';

CREATE FUNCTION feathub.refresh_external_feature_group(foreign_table pg_catalog.regclass) RETURNS pg_catalog.int8
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'feathub_refresh_external_feature_group';
COMMENT ON FUNCTION feathub.refresh_external_feature_group(pg_catalog.regclass)
  IS 'make the online table of an external feature group hold exactly the latest row of each key; returns the rows changed';

CREATE FUNCTION feathub.drop_external_feature_group(foreign_table pg_catalog.text, if_exists pg_catalog.bool DEFAULT false)
RETURNS pg_catalog.bool
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'feathub_drop_external_feature_group';
COMMENT ON FUNCTION feathub.drop_external_feature_group(pg_catalog.text, pg_catalog.bool)
  IS 'drop an external feature group and its online table; the relation that it reads stays; false if there is none';

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
COMMENT ON COLUMN feathub.backfill_progress.pid IS 'process, as in pg_stat_activity';
COMMENT ON COLUMN feathub.backfill_progress.feature_group IS 'offline table that is filled';
COMMENT ON COLUMN feathub.backfill_progress.role IS 'who runs it';
COMMENT ON COLUMN feathub.backfill_progress.phase IS 'loading, writing online or making partitions';
COMMENT ON COLUMN feathub.backfill_progress.rows_estimated IS 'rows that the planner expects of the query';
COMMENT ON COLUMN feathub.backfill_progress.rows_read IS 'rows read of the query';
COMMENT ON COLUMN feathub.backfill_progress.rows_written IS 'history rows written, new or changed';
COMMENT ON COLUMN feathub.backfill_progress.duplicates IS 'rows that changed nothing';
COMMENT ON COLUMN feathub.backfill_progress.expired IS 'rows older than the group''s retention, which were not written';
COMMENT ON COLUMN feathub.backfill_progress.started_at IS 'when it began';
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

------------------------------------------------------------------------------
-- features: windows over the history of feature groups
------------------------------------------------------------------------------

CREATE FUNCTION feathub.create_window_function(
  name pg_catalog.text,
  feature_group pg_catalog.text,
  features pg_catalog.text,
  range pg_catalog.interval DEFAULT NULL,
  bounds pg_catalog.text DEFAULT '[]',
  row_limit pg_catalog.int4 DEFAULT NULL,
  keys pg_catalog.text[] DEFAULT NULL,
  filter pg_catalog.text DEFAULT NULL)
RETURNS pg_catalog.regprocedure
LANGUAGE C VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'feathub_create_window_function';
COMMENT ON FUNCTION feathub.create_window_function(pg_catalog.text, pg_catalog.text, pg_catalog.text, pg_catalog.interval, pg_catalog.text, pg_catalog.int4, pg_catalog.text[], pg_catalog.text)
  IS 'make a function of keys and a time that returns features of a window of a group''s history before that time';

CREATE FUNCTION feathub.value_counts_step(state pg_catalog.internal, value pg_catalog.anyelement) RETURNS pg_catalog.internal
LANGUAGE C IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'feathub_value_counts_step';
COMMENT ON FUNCTION feathub.value_counts_step(pg_catalog.internal, pg_catalog.anyelement) IS 'part of aggregate feathub.value_counts';
REVOKE ALL ON FUNCTION feathub.value_counts_step(pg_catalog.internal, pg_catalog.anyelement) FROM PUBLIC;  -- called by its aggregate only
CREATE FUNCTION feathub.value_counts_end(state pg_catalog.internal) RETURNS pg_catalog.jsonb
LANGUAGE C IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'feathub_value_counts_end';
COMMENT ON FUNCTION feathub.value_counts_end(pg_catalog.internal) IS 'part of aggregate feathub.value_counts';
REVOKE ALL ON FUNCTION feathub.value_counts_end(pg_catalog.internal) FROM PUBLIC;  -- called by its aggregate only
CREATE AGGREGATE feathub.value_counts(value pg_catalog.anyelement) (
  SFUNC = feathub.value_counts_step, STYPE = pg_catalog.internal,
  FINALFUNC = feathub.value_counts_end, PARALLEL = SAFE);
COMMENT ON AGGREGATE feathub.value_counts(pg_catalog.anyelement) IS 'how often each value occurs, as an object; nulls do not count';

CREATE FUNCTION feathub.first_value_step(state pg_catalog.internal, value pg_catalog.anyelement, at pg_catalog.timestamptz) RETURNS pg_catalog.internal
LANGUAGE C IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'feathub_first_value_step';
COMMENT ON FUNCTION feathub.first_value_step(pg_catalog.internal, pg_catalog.anyelement, pg_catalog.timestamptz) IS 'part of aggregate feathub.first_value';
REVOKE ALL ON FUNCTION feathub.first_value_step(pg_catalog.internal, pg_catalog.anyelement, pg_catalog.timestamptz) FROM PUBLIC;  -- called by its aggregate only
CREATE FUNCTION feathub.last_value_step(state pg_catalog.internal, value pg_catalog.anyelement, at pg_catalog.timestamptz) RETURNS pg_catalog.internal
LANGUAGE C IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'feathub_last_value_step';
COMMENT ON FUNCTION feathub.last_value_step(pg_catalog.internal, pg_catalog.anyelement, pg_catalog.timestamptz) IS 'part of aggregate feathub.last_value';
REVOKE ALL ON FUNCTION feathub.last_value_step(pg_catalog.internal, pg_catalog.anyelement, pg_catalog.timestamptz) FROM PUBLIC;  -- called by its aggregate only
CREATE FUNCTION feathub.timed_value_end(state pg_catalog.internal, value pg_catalog.anyelement, at pg_catalog.timestamptz) RETURNS pg_catalog.anyelement
LANGUAGE C IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'feathub_timed_value_end';
COMMENT ON FUNCTION feathub.timed_value_end(pg_catalog.internal, pg_catalog.anyelement, pg_catalog.timestamptz) IS 'part of aggregates feathub.first_value and feathub.last_value';
REVOKE ALL ON FUNCTION feathub.timed_value_end(pg_catalog.internal, pg_catalog.anyelement, pg_catalog.timestamptz) FROM PUBLIC;  -- called by its aggregate only
CREATE AGGREGATE feathub.first_value(value pg_catalog.anyelement, at pg_catalog.timestamptz) (
  SFUNC = feathub.first_value_step, STYPE = pg_catalog.internal,
  FINALFUNC = feathub.timed_value_end, FINALFUNC_EXTRA, PARALLEL = SAFE);
COMMENT ON AGGREGATE feathub.first_value(pg_catalog.anyelement, pg_catalog.timestamptz) IS 'value of the earliest time; among equal times the first that came';
CREATE AGGREGATE feathub.last_value(value pg_catalog.anyelement, at pg_catalog.timestamptz) (
  SFUNC = feathub.last_value_step, STYPE = pg_catalog.internal,
  FINALFUNC = feathub.timed_value_end, FINALFUNC_EXTRA, PARALLEL = SAFE);
COMMENT ON AGGREGATE feathub.last_value(pg_catalog.anyelement, pg_catalog.timestamptz) IS 'value of the latest time; among equal times the first that came';

CREATE FUNCTION feathub.last_values_step(state pg_catalog.internal, value pg_catalog.anyelement, at pg_catalog.timestamptz, count pg_catalog.int4) RETURNS pg_catalog.internal
LANGUAGE C IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'feathub_last_values_step';
COMMENT ON FUNCTION feathub.last_values_step(pg_catalog.internal, pg_catalog.anyelement, pg_catalog.timestamptz, pg_catalog.int4) IS 'part of aggregate feathub.last_values';
REVOKE ALL ON FUNCTION feathub.last_values_step(pg_catalog.internal, pg_catalog.anyelement, pg_catalog.timestamptz, pg_catalog.int4) FROM PUBLIC;  -- called by its aggregate only
CREATE FUNCTION feathub.last_values_end(state pg_catalog.internal, value pg_catalog.anyelement, at pg_catalog.timestamptz, count pg_catalog.int4) RETURNS pg_catalog.anyarray
LANGUAGE C IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'feathub_last_values_end';
COMMENT ON FUNCTION feathub.last_values_end(pg_catalog.internal, pg_catalog.anyelement, pg_catalog.timestamptz, pg_catalog.int4) IS 'part of aggregate feathub.last_values';
REVOKE ALL ON FUNCTION feathub.last_values_end(pg_catalog.internal, pg_catalog.anyelement, pg_catalog.timestamptz, pg_catalog.int4) FROM PUBLIC;  -- called by its aggregate only
CREATE AGGREGATE feathub.last_values(value pg_catalog.anyelement, at pg_catalog.timestamptz, count pg_catalog.int4) (
  SFUNC = feathub.last_values_step, STYPE = pg_catalog.internal,
  FINALFUNC = feathub.last_values_end, FINALFUNC_EXTRA, PARALLEL = SAFE);
COMMENT ON AGGREGATE feathub.last_values(pg_catalog.anyelement, pg_catalog.timestamptz, pg_catalog.int4) IS 'the values of the latest times, at most count of them, earliest first';

------------------------------------------------------------------------------
-- features: feature views.  Anyone may call these functions; views and functions
-- are made, dropped and read with the caller's rights.
------------------------------------------------------------------------------

CREATE FUNCTION feathub.create_feature_view(
  feature_view pg_catalog.text,
  query pg_catalog.text,
  event_time pg_catalog.text DEFAULT NULL,
  labels pg_catalog.text[] DEFAULT NULL,
  max_age pg_catalog.jsonb DEFAULT NULL,
  with_event_times pg_catalog.bool DEFAULT false,
  owner_rights pg_catalog.bool DEFAULT false,
  training_helpers pg_catalog.text[] DEFAULT NULL,
  inference_helpers pg_catalog.text[] DEFAULT NULL)
RETURNS pg_catalog.regclass
LANGUAGE C VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'feathub_create_feature_view';
COMMENT ON FUNCTION feathub.create_feature_view(pg_catalog.text, pg_catalog.text, pg_catalog.text, pg_catalog.text[], pg_catalog.jsonb, pg_catalog.bool, pg_catalog.bool, pg_catalog.text[], pg_catalog.text[])
  IS 'make of one join a view, right at every point in time, and a function that serves the same features';

CREATE FUNCTION feathub.alter_feature_view(
  feature_view pg_catalog.text,
  query pg_catalog.text DEFAULT NULL,
  event_time pg_catalog.text DEFAULT NULL,
  labels pg_catalog.text[] DEFAULT NULL,
  max_age pg_catalog.jsonb DEFAULT NULL,
  with_event_times pg_catalog.bool DEFAULT NULL,
  owner_rights pg_catalog.bool DEFAULT NULL,
  reset pg_catalog.text[] DEFAULT NULL,
  training_helpers pg_catalog.text[] DEFAULT NULL,
  inference_helpers pg_catalog.text[] DEFAULT NULL)
RETURNS pg_catalog.void
LANGUAGE C VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'feathub_alter_feature_view';
COMMENT ON FUNCTION feathub.alter_feature_view(pg_catalog.text, pg_catalog.text, pg_catalog.text, pg_catalog.text[], pg_catalog.jsonb, pg_catalog.bool, pg_catalog.bool, pg_catalog.text[], pg_catalog.text[], pg_catalog.text[])
  IS 'make both forms of a feature view anew, as CREATE OR REPLACE VIEW does; null keeps an argument, reset names those to leave out; also takes over a changed ttl';

CREATE FUNCTION feathub.drop_feature_view(feature_view pg_catalog.text, if_exists pg_catalog.bool DEFAULT false)
RETURNS pg_catalog.bool
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'feathub_drop_feature_view';
COMMENT ON FUNCTION feathub.drop_feature_view(pg_catalog.text, pg_catalog.bool)
  IS 'drop a feature view: its view and its online function; false if there is none';

CREATE FUNCTION feathub.version_at(times pg_catalog.timestamptz[], versions pg_catalog.record[], at pg_catalog.timestamptz)
RETURNS SETOF pg_catalog.record
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE ROWS 1 AS 'MODULE_PATHNAME', 'feathub_version_at';
COMMENT ON FUNCTION feathub.version_at(pg_catalog.timestamptz[], pg_catalog.record[], pg_catalog.timestamptz)
  IS 'the last of the versions, sorted by their times, whose time is not after "at"';

CREATE FUNCTION feathub.version_at(times pg_catalog.timestamptz[], versions pg_catalog.record[], at pg_catalog.timestamptz, since pg_catalog.timestamptz)
RETURNS SETOF pg_catalog.record
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE ROWS 1 AS 'MODULE_PATHNAME', 'feathub_version_at';
COMMENT ON FUNCTION feathub.version_at(pg_catalog.timestamptz[], pg_catalog.record[], pg_catalog.timestamptz, pg_catalog.timestamptz)
  IS 'the last of the versions, sorted by their times, whose time is not after "at", nor before since';

CREATE FUNCTION feathub.version_at(times pg_catalog.timestamp[], versions pg_catalog.record[], at pg_catalog.timestamp)
RETURNS SETOF pg_catalog.record
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE ROWS 1 AS 'MODULE_PATHNAME', 'feathub_version_at';
COMMENT ON FUNCTION feathub.version_at(pg_catalog.timestamp[], pg_catalog.record[], pg_catalog.timestamp)
  IS 'the last of the versions, sorted by their times, whose time is not after "at"';

CREATE FUNCTION feathub.version_at(times pg_catalog.timestamp[], versions pg_catalog.record[], at pg_catalog.timestamp, since pg_catalog.timestamp)
RETURNS SETOF pg_catalog.record
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE ROWS 1 AS 'MODULE_PATHNAME', 'feathub_version_at';
COMMENT ON FUNCTION feathub.version_at(pg_catalog.timestamp[], pg_catalog.record[], pg_catalog.timestamp, pg_catalog.timestamp)
  IS 'the last of the versions, sorted by their times, whose time is not after "at", nor before since';

CREATE FUNCTION feathub.get_feature_vector(feature_view pg_catalog.text, entity pg_catalog.jsonb)
RETURNS pg_catalog.jsonb
LANGUAGE C STABLE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'feathub_get_feature_vector';
COMMENT ON FUNCTION feathub.get_feature_vector(pg_catalog.text, pg_catalog.jsonb)
  IS 'the online features of an entity, an object with the arguments of the online function; null if there is no row';

CREATE FUNCTION feathub.get_feature_vectors(feature_view pg_catalog.text, entities pg_catalog.jsonb)
RETURNS pg_catalog.jsonb
LANGUAGE C STABLE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'feathub_get_feature_vectors';
COMMENT ON FUNCTION feathub.get_feature_vectors(pg_catalog.text, pg_catalog.jsonb)
  IS 'the online features of an array of entities, as an array in their order';

CREATE FUNCTION feathub.view_columns(
  view pg_catalog.regclass,
  OUT number pg_catalog.int4,
  OUT name pg_catalog.name,
  OUT type pg_catalog.text,
  OUT source pg_catalog.regclass,
  OUT source_column pg_catalog.name,
  OUT sources pg_catalog.regclass[])
RETURNS SETOF pg_catalog.record
LANGUAGE C STABLE STRICT PARALLEL SAFE ROWS 20 AS 'MODULE_PATHNAME', 'feathub_view_columns';
COMMENT ON FUNCTION feathub.view_columns(pg_catalog.regclass) IS 'where the columns of a view come from';

CREATE VIEW feathub.feature AS
  SELECT v.feature_view, c.number, c.name AS feature, c.type, g.feature_group, c.source, c.source_column,
         c.name OPERATOR(pg_catalog.=) ANY (v.labels) AS label,
         CASE WHEN c.name OPERATOR(pg_catalog.=) ANY (v.training_helpers) THEN 'training'
              WHEN c.name OPERATOR(pg_catalog.=) ANY (v.inference_helpers) THEN 'inference' END AS helper,
         c.sources, g.source AS group_source
    FROM feathub.feature_view AS v
   CROSS JOIN LATERAL feathub.view_columns(v.feature_view) AS c
    LEFT JOIN feathub.feature_group AS g ON g.feature_group OPERATOR(pg_catalog.=) c.source;
COMMENT ON VIEW feathub.feature IS 'columns of feature views and where they come from';
COMMENT ON COLUMN feathub.feature.feature_view IS 'the view';
COMMENT ON COLUMN feathub.feature.number IS 'its place in the view, from 1';
COMMENT ON COLUMN feathub.feature.feature IS 'name of the column';
COMMENT ON COLUMN feathub.feature.type IS 'its type';
COMMENT ON COLUMN feathub.feature.feature_group IS 'the feature group that it comes from';
COMMENT ON COLUMN feathub.feature.source IS 'the table that it comes from; null if there are several or none';
COMMENT ON COLUMN feathub.feature.source_column IS 'the column of the table; null if the feature is computed';
COMMENT ON COLUMN feathub.feature.sources IS 'all tables that it comes from';
COMMENT ON COLUMN feathub.feature.group_source IS 'what the feature group gets its rows from';
COMMENT ON COLUMN feathub.feature.label IS 'whether it is a label, which the online form lacks';
COMMENT ON COLUMN feathub.feature.helper IS 'training: the online form lacks it; inference: training data lacks it; null: neither';
GRANT SELECT ON feathub.feature TO PUBLIC;  -- names and types, as in pg_attribute

------------------------------------------------------------------------------
-- features: training data.  Anyone may call these functions: the table is the
-- caller's, the view is read as the caller may.
------------------------------------------------------------------------------

CREATE FUNCTION feathub.create_training_data(
  feature_view pg_catalog.text,
  name pg_catalog.text,
  splits pg_catalog.jsonb DEFAULT NULL,
  seed pg_catalog.int8 DEFAULT 0,
  split_by pg_catalog.text[] DEFAULT NULL,
  start_time pg_catalog.timestamptz DEFAULT NULL,
  end_time pg_catalog.timestamptz DEFAULT NULL,
  filter pg_catalog.text DEFAULT NULL,
  spine pg_catalog.text DEFAULT NULL,
  as_of pg_catalog.timestamptz DEFAULT NULL,
  statistics pg_catalog.bool DEFAULT true,
  foreign_table pg_catalog.regclass DEFAULT NULL,
  server pg_catalog.text DEFAULT NULL,
  path pg_catalog.text DEFAULT NULL,
  format pg_catalog.text DEFAULT NULL)
RETURNS pg_catalog.regclass
LANGUAGE C VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'feathub_create_training_data';
COMMENT ON FUNCTION feathub.create_training_data(pg_catalog.text, pg_catalog.text, pg_catalog.jsonb, pg_catalog.int8, pg_catalog.text[], pg_catalog.timestamptz, pg_catalog.timestamptz, pg_catalog.text, pg_catalog.text, pg_catalog.timestamptz, pg_catalog.bool, pg_catalog.regclass, pg_catalog.text, pg_catalog.text, pg_catalog.text)
  IS 'make a table of the rows of a feature view, with a column that tells their split';

CREATE FUNCTION feathub.recreate_training_data(training_data pg_catalog.regclass, name pg_catalog.text)
RETURNS pg_catalog.regclass
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'feathub_recreate_training_data';
COMMENT ON FUNCTION feathub.recreate_training_data(pg_catalog.regclass, pg_catalog.text)
  IS 'make training data again, with the same arguments, under another name; a notice tells whether it is the same';

CREATE FUNCTION feathub.verify_training_data(training_data pg_catalog.regclass)
RETURNS pg_catalog.bool
LANGUAGE C STABLE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'feathub_verify_training_data';
COMMENT ON FUNCTION feathub.verify_training_data(pg_catalog.regclass) IS 'whether training data still has the rows that it was made with';

CREATE FUNCTION feathub.drop_training_data(training_data pg_catalog.text, if_exists pg_catalog.bool DEFAULT false)
RETURNS pg_catalog.bool
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'feathub_drop_training_data';
COMMENT ON FUNCTION feathub.drop_training_data(pg_catalog.text, pg_catalog.bool) IS 'drop training data: its table; false if there is none';

CREATE FUNCTION feathub.export_training_data(training_data pg_catalog.regclass, foreign_table pg_catalog.regclass, split pg_catalog.text DEFAULT NULL)
RETURNS pg_catalog.int8
LANGUAGE C VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'feathub_export_training_data';
COMMENT ON FUNCTION feathub.export_training_data(pg_catalog.regclass, pg_catalog.regclass, pg_catalog.text)
  IS 'insert training data, or one split of it, into a foreign table, columns by name; returns the rows';

CREATE FUNCTION feathub.split_fraction(seed pg_catalog.int8, key pg_catalog.jsonb) RETURNS pg_catalog.float8
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'feathub_split_fraction';
COMMENT ON FUNCTION feathub.split_fraction(pg_catalog.int8, pg_catalog.jsonb)
  IS 'a number from 0 to below 1, of seed and key alone: the first 53 bits of sha256(seed || '':'' || key)';

CREATE FUNCTION feathub.content_hash_step(state pg_catalog.internal, "row" pg_catalog.record) RETURNS pg_catalog.internal
LANGUAGE C STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'feathub_content_hash_step';
COMMENT ON FUNCTION feathub.content_hash_step(pg_catalog.internal, pg_catalog.record) IS 'part of aggregate feathub.content_hash';
REVOKE ALL ON FUNCTION feathub.content_hash_step(pg_catalog.internal, pg_catalog.record) FROM PUBLIC;  -- called by its aggregate only
CREATE FUNCTION feathub.content_hash_end(state pg_catalog.internal) RETURNS pg_catalog.text
LANGUAGE C STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'feathub_content_hash_end';
COMMENT ON FUNCTION feathub.content_hash_end(pg_catalog.internal) IS 'part of aggregate feathub.content_hash';
REVOKE ALL ON FUNCTION feathub.content_hash_end(pg_catalog.internal) FROM PUBLIC;  -- called by its aggregate only
CREATE AGGREGATE feathub.content_hash("row" pg_catalog.record) (
  SFUNC = feathub.content_hash_step, STYPE = pg_catalog.internal,
  FINALFUNC = feathub.content_hash_end, PARALLEL = SAFE);
COMMENT ON AGGREGATE feathub.content_hash(pg_catalog.record) IS 'a hash of rows that does not depend on their order';

-- Scaling and encoding.  Feature views replace the forms that name training data
-- by the others, with its statistics.
CREATE FUNCTION feathub.standard_scale(value pg_catalog.float8, mean pg_catalog.float8, stddev pg_catalog.float8) RETURNS pg_catalog.float8
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN stddev OPERATOR(pg_catalog.>) 0 THEN (value OPERATOR(pg_catalog.-) mean) OPERATOR(pg_catalog./) stddev ELSE value OPERATOR(pg_catalog.-) mean END;
COMMENT ON FUNCTION feathub.standard_scale(pg_catalog.float8, pg_catalog.float8, pg_catalog.float8) IS '(value - mean) / stddev; not divided if stddev is 0';
CREATE FUNCTION feathub.standard_scale(value pg_catalog.float8, training_data pg_catalog.text, feature pg_catalog.text, split pg_catalog.text DEFAULT NULL) RETURNS pg_catalog.float8
LANGUAGE C STABLE PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'feathub_standard_scale_of';
COMMENT ON FUNCTION feathub.standard_scale(pg_catalog.float8, pg_catalog.text, pg_catalog.text, pg_catalog.text)
  IS 'the same by the statistics of training data: of a split, else of "train" if there is one, else of all rows';
CREATE FUNCTION feathub.min_max_scale(value pg_catalog.float8, min pg_catalog.float8, max pg_catalog.float8) RETURNS pg_catalog.float8
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN max OPERATOR(pg_catalog.>) min THEN (value OPERATOR(pg_catalog.-) min) OPERATOR(pg_catalog./) (max OPERATOR(pg_catalog.-) min) ELSE value OPERATOR(pg_catalog.-) min END;
COMMENT ON FUNCTION feathub.min_max_scale(pg_catalog.float8, pg_catalog.float8, pg_catalog.float8) IS '(value - min) / (max - min); not divided if they are equal';
CREATE FUNCTION feathub.min_max_scale(value pg_catalog.float8, training_data pg_catalog.text, feature pg_catalog.text, split pg_catalog.text DEFAULT NULL) RETURNS pg_catalog.float8
LANGUAGE C STABLE PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'feathub_min_max_scale_of';
COMMENT ON FUNCTION feathub.min_max_scale(pg_catalog.float8, pg_catalog.text, pg_catalog.text, pg_catalog.text)
  IS 'the same by the statistics of training data: of a split, else of "train" if there is one, else of all rows';
CREATE FUNCTION feathub.robust_scale(value pg_catalog.float8, median pg_catalog.float8, iqr pg_catalog.float8) RETURNS pg_catalog.float8
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN iqr OPERATOR(pg_catalog.>) 0 THEN (value OPERATOR(pg_catalog.-) median) OPERATOR(pg_catalog./) iqr ELSE value OPERATOR(pg_catalog.-) median END;
COMMENT ON FUNCTION feathub.robust_scale(pg_catalog.float8, pg_catalog.float8, pg_catalog.float8) IS '(value - median) / interquartile range; not divided if that is 0';
CREATE FUNCTION feathub.robust_scale(value pg_catalog.float8, training_data pg_catalog.text, feature pg_catalog.text, split pg_catalog.text DEFAULT NULL) RETURNS pg_catalog.float8
LANGUAGE C STABLE PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'feathub_robust_scale_of';
COMMENT ON FUNCTION feathub.robust_scale(pg_catalog.float8, pg_catalog.text, pg_catalog.text, pg_catalog.text)
  IS 'the same by the statistics of training data: of a split, else of "train" if there is one, else of all rows';
CREATE FUNCTION feathub.label_encode(value pg_catalog.anyelement, categories pg_catalog.text[]) RETURNS pg_catalog.int4
LANGUAGE C IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'feathub_label_encode';
COMMENT ON FUNCTION feathub.label_encode(pg_catalog.anyelement, pg_catalog.text[]) IS 'the number of a value in a list, from 0; -1 if it is not in it';
CREATE FUNCTION feathub.label_encode(value pg_catalog.anyelement, training_data pg_catalog.text, feature pg_catalog.text, split pg_catalog.text DEFAULT NULL) RETURNS pg_catalog.int4
LANGUAGE C STABLE PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'feathub_label_encode_of';
COMMENT ON FUNCTION feathub.label_encode(pg_catalog.anyelement, pg_catalog.text, pg_catalog.text, pg_catalog.text)
  IS 'the same by the values of training data, in the order of their bytes: of a split, else of "train" if there is one, else of all rows';
CREATE FUNCTION feathub.one_hot_encode(value pg_catalog.anyelement, categories pg_catalog.text[]) RETURNS pg_catalog.int4[]
LANGUAGE C IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'feathub_one_hot_encode';
COMMENT ON FUNCTION feathub.one_hot_encode(pg_catalog.anyelement, pg_catalog.text[]) IS '1 in the place of a value in a list, 0 in all others';
CREATE FUNCTION feathub.one_hot_encode(value pg_catalog.anyelement, training_data pg_catalog.text, feature pg_catalog.text, split pg_catalog.text DEFAULT NULL) RETURNS pg_catalog.int4[]
LANGUAGE C STABLE PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'feathub_one_hot_encode_of';
COMMENT ON FUNCTION feathub.one_hot_encode(pg_catalog.anyelement, pg_catalog.text, pg_catalog.text, pg_catalog.text)
  IS 'the same by the values of training data, in the order of their bytes: of a split, else of "train" if there is one, else of all rows';

CREATE FUNCTION feathub.trainings(
  OUT pid pg_catalog.int4,
  OUT training_data pg_catalog.oid,
  OUT role pg_catalog.regrole,
  OUT phase pg_catalog.text,
  OUT rows_estimated pg_catalog.int8,
  OUT rows_written pg_catalog.int8,
  OUT features_done pg_catalog.int8,
  OUT features pg_catalog.int8,
  OUT started_at pg_catalog.timestamptz)
RETURNS SETOF pg_catalog.record
LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED ROWS 10 AS 'MODULE_PATHNAME', 'feathub_training_progress';
COMMENT ON FUNCTION feathub.trainings() IS 'training data being made in this database, by the roles whose rights the caller has';

CREATE VIEW feathub.training_data_progress AS
  SELECT pid, training_data, role, phase, rows_estimated, rows_written, features_done, features, started_at
    FROM feathub.trainings();
COMMENT ON VIEW feathub.training_data_progress IS 'training data being made in this database: own ones, and all for pg_read_all_stats';
COMMENT ON COLUMN feathub.training_data_progress.pid IS 'process, as in pg_stat_activity';
COMMENT ON COLUMN feathub.training_data_progress.training_data IS 'OID of the table, which other sessions do not see yet';
COMMENT ON COLUMN feathub.training_data_progress.role IS 'who makes it';
COMMENT ON COLUMN feathub.training_data_progress.phase IS 'writing, hashing, making statistics or exporting';
COMMENT ON COLUMN feathub.training_data_progress.rows_estimated IS 'rows that the planner expects';
COMMENT ON COLUMN feathub.training_data_progress.rows_written IS 'rows written';
COMMENT ON COLUMN feathub.training_data_progress.features_done IS 'features whose statistics are made';
COMMENT ON COLUMN feathub.training_data_progress.features IS 'features whose statistics are to be made';
COMMENT ON COLUMN feathub.training_data_progress.started_at IS 'when it began';
GRANT SELECT ON feathub.training_data_progress TO PUBLIC;  -- the function shows each role its own

CREATE VIEW feathub.training_statistics WITH (security_barrier) AS
  SELECT s.training_data, s.feature, s.split, s.row_count, s.nulls, s.distinct_values, s.min, s.max, s.mean, s.stddev,
         s.quantiles, s.top_values, s.categories
    FROM feathub.training_statistic AS s
   WHERE pg_catalog.has_table_privilege(s.training_data::pg_catalog.oid, 'SELECT')
      OR EXISTS (SELECT FROM pg_catalog.pg_attribute AS a
                  WHERE a.attrelid OPERATOR(pg_catalog.=) s.training_data::pg_catalog.oid
                    AND a.attname OPERATOR(pg_catalog.=) s.feature AND NOT a.attisdropped
                    AND pg_catalog.has_column_privilege(a.attrelid, a.attnum, 'SELECT'));
COMMENT ON VIEW feathub.training_statistics IS 'statistics of each feature and split of training data that one may read';
COMMENT ON COLUMN feathub.training_statistics.training_data IS 'the table';
COMMENT ON COLUMN feathub.training_statistics.feature IS 'its column';
COMMENT ON COLUMN feathub.training_statistics.split IS 'the split; null: all rows';
COMMENT ON COLUMN feathub.training_statistics.row_count IS 'rows';
COMMENT ON COLUMN feathub.training_statistics.nulls IS 'rows in which it is null';
COMMENT ON COLUMN feathub.training_statistics.distinct_values IS 'different values, null not counted; null if the type cannot compare';
COMMENT ON COLUMN feathub.training_statistics.min IS 'least value';
COMMENT ON COLUMN feathub.training_statistics.max IS 'greatest value';
COMMENT ON COLUMN feathub.training_statistics.mean IS 'mean, of numbers and booleans';
COMMENT ON COLUMN feathub.training_statistics.stddev IS 'standard deviation of the population';
COMMENT ON COLUMN feathub.training_statistics.quantiles IS 'at 0.01, 0.05, 0.25, 0.5, 0.75, 0.95 and 0.99, interpolated';
COMMENT ON COLUMN feathub.training_statistics.top_values IS 'the ten most frequent values with their counts, unless most rows have one of their own';
COMMENT ON COLUMN feathub.training_statistics.categories IS 'all values in the order of their bytes, if there are no more than 1000';
GRANT SELECT ON feathub.training_statistics TO PUBLIC;  -- shows what the reader may read in the tables
