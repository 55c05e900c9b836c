-- IMPORT FOREIGN SCHEMA of Kafka topics, on the embedded broker: topic t_import.
CREATE EXTENSION feathub;
CREATE SERVER kafka FOREIGN DATA WRAPPER feathub_kafka OPTIONS (bootstrap_servers 'embedded');
CREATE SCHEMA imported;
SET timezone = 'UTC'; SET datestyle = ISO;

CREATE FUNCTION columns(tab regclass) RETURNS TABLE (name name, type text, options text) LANGUAGE sql AS $$
  SELECT attname, format_type(atttypid, atttypmod), array_to_string(attfdwoptions, ', ')
    FROM pg_attribute WHERE attrelid = tab AND attnum > 0 ORDER BY attnum
$$;

-- a table per topic: the raw value and all metadata
IMPORT FOREIGN SCHEMA anything LIMIT TO (t_import) FROM SERVER kafka INTO imported;
SELECT * FROM columns('imported.t_import');
SELECT ftoptions FROM pg_foreign_table WHERE ftrelid = 'imported.t_import'::regclass;
SELECT * FROM imported.t_import;
DROP FOREIGN TABLE imported.t_import;

-- nothing to infer from: the same
IMPORT FOREIGN SCHEMA anything LIMIT TO (t_import) FROM SERVER kafka INTO imported OPTIONS (infer 'true');
SELECT count(*) FROM columns('imported.t_import') WHERE name = 'value';
CREATE FOREIGN TABLE raw (value text) SERVER kafka OPTIONS (topic 't_import', format 'raw');
INSERT INTO raw VALUES
  ('{"int": 1, "big": 12345678901234567890, "real": 1.5, "exact": 0.12345678901234567890, "mixed_number": 1, "flag": true, "text": "x", "time": "2013-01-01T05:00:00Z", "day": "2013-01-01",
     "object": {"int": "no", "a": [1]}, "array": [1, {"b": 2}], "nothing": null, "mixed": 1, "mixed_nested": "x", "timestamp": "t", "offset": 1, "kafka_offset": 2,
     "Upper Case": 1, "sel\"ect": 2, "ctid": 3, "": 4, "a.b": 5, "a_very_long_name_of_a_member_that_has_more_than_sixty_three_bytes_1": 6, "a_very_long_name_of_a_member_that_has_more_than_sixty_three_bytes_2": 7, "\u00fcml\u00e4ut": 8}'),
  (NULL),
  ('{"int": -2, "big": 1, "real": 2e10, "exact": 1, "mixed_number": 2.5, "flag": null, "text": "", "time": "2013-01-01 05:00:00.123+01:00", "mixed": "one", "mixed_nested": {}, "late": false}');
DROP FOREIGN TABLE imported.t_import;
IMPORT FOREIGN SCHEMA anything LIMIT TO (t_import) FROM SERVER kafka INTO imported OPTIONS (infer 'true');
SELECT * FROM columns('imported.t_import');
SELECT ftoptions FROM pg_foreign_table WHERE ftrelid = 'imported.t_import'::regclass;
-- and it can be read
\a
SELECT to_jsonb(t) - 'kafka_timestamp' AS t FROM imported.t_import t;
\a
DROP FOREIGN TABLE imported.t_import;

-- only the last records of a partition are looked at
IMPORT FOREIGN SCHEMA anything LIMIT TO (t_import) FROM SERVER kafka INTO imported OPTIONS (infer 'true', sample_size '1');
SELECT count(*), bool_or(name = 'late') AS late, bool_or(name = 'object') AS object FROM columns('imported.t_import');
-- a record that is no JSON object: raw
INSERT INTO raw VALUES ('[{"a": 1}]');
DROP FOREIGN TABLE imported.t_import;
IMPORT FOREIGN SCHEMA anything LIMIT TO (t_import) FROM SERVER kafka INTO imported OPTIONS (infer 'on');
SELECT name FROM columns('imported.t_import') WHERE options IS NULL;
DROP FOREIGN TABLE imported.t_import;

-- LIMIT TO and EXCEPT
IMPORT FOREIGN SCHEMA anything LIMIT TO (t_import, t_scan, not_there) FROM SERVER kafka INTO imported;
SELECT relname FROM pg_class WHERE relnamespace = 'imported'::regnamespace AND relkind = 'f' ORDER BY 1;
IMPORT FOREIGN SCHEMA anything EXCEPT (t_import, t_scan) FROM SERVER kafka INTO imported;
SELECT count(*) FILTER (WHERE relname IN ('t_import', 't_scan', 't_one', 't_modify')) FROM pg_class WHERE relnamespace = 'imported'::regnamespace AND relkind = 'f';

-- errors
IMPORT FOREIGN SCHEMA anything FROM SERVER kafka INTO imported OPTIONS (infer 'maybe');
IMPORT FOREIGN SCHEMA anything FROM SERVER kafka INTO imported OPTIONS (sample_size '0');
IMPORT FOREIGN SCHEMA anything FROM SERVER kafka INTO imported OPTIONS (infr 'true');
CREATE SERVER nowhere FOREIGN DATA WRAPPER feathub_kafka OPTIONS (bootstrap_servers '127.0.0.1:1');
\set VERBOSITY sqlstate
IMPORT FOREIGN SCHEMA anything FROM SERVER nowhere INTO imported;
\set VERBOSITY default

SET client_min_messages = warning;
DROP SCHEMA imported CASCADE;
DROP EXTENSION feathub CASCADE;
