-- What json records mean: values of all types, paths, errors.  (That what is written reads back is formats_roundtrip's.)
CREATE EXTENSION IF NOT EXISTS feathub;
SET timezone = 'America/New_York';
SET datestyle = 'ISO';
CREATE SCHEMA formats_json;
SET search_path = formats_json;
CREATE SERVER formats_json FOREIGN DATA WRAPPER feathub_kafka OPTIONS (bootstrap_servers 'embedded');
CREATE USER MAPPING FOR CURRENT_USER SERVER formats_json;
CREATE FOREIGN TABLE records (pos bigint OPTIONS (metadata 'offset'), value text) SERVER formats_json OPTIONS (topic 't_formats_json', format 'raw');
CREATE FOREIGN TABLE bytes (pos bigint OPTIONS (metadata 'offset'), value bytea) SERVER formats_json OPTIONS (topic 't_formats_json_raw', format 'raw');
-- put: write records, remember where they begin; each case reads from there
CREATE TABLE mark (pos bigint);
CREATE FUNCTION put(VARIADIC texts text[]) RETURNS bigint LANGUAGE sql AS $$
  DELETE FROM mark;
  INSERT INTO mark SELECT count(*) FROM records;
  INSERT INTO records (value) SELECT t FROM unnest(texts) WITH ORDINALITY AS u (t, o) ORDER BY o;
  SELECT pos FROM mark;
$$;
-- fail: read each of the last records alone, and say what is wrong with it
CREATE FUNCTION fail(relation regclass) RETURNS TABLE (record text, state text, error text, context text) LANGUAGE plpgsql AS $$
DECLARE
  p bigint;
BEGIN
  FOR p, record IN SELECT r.pos, left(r.value, 60) FROM records r, mark m WHERE r.pos >= m.pos ORDER BY 1 LOOP
    BEGIN
      EXECUTE format('SELECT q::text FROM %s q WHERE pos = %s', relation, p) INTO error;
      state := 'read';
      context := NULL;
    EXCEPTION WHEN OTHERS THEN
      GET STACKED DIAGNOSTICS context = PG_EXCEPTION_CONTEXT;
      state := SQLSTATE;
      error := SQLERRM;
      context := regexp_replace(regexp_replace(split_part(context, E'\n', 1), '\d+$', 'N'), '^SQL statement.*|^PL/.*', 'none');
    END;
    RETURN NEXT;
  END LOOP;
END $$;

-- Numbers: nothing is lost on the way, what does not fit is an error, never something else.
CREATE FOREIGN TABLE numbers (pos bigint OPTIONS (metadata 'offset'), i2 smallint, i4 int, i8 bigint, f4 real, f8 float8, n numeric, n2 numeric(6,2), t text, b bool)
  SERVER formats_json OPTIONS (topic 't_formats_json', format 'json');
SELECT put('{"i2": 32767, "i4": -2147483648, "i8": 9223372036854775807, "f4": 1.5, "f8": 0.1, "n": 123456789012345678901234567890.123456789012345678901234567890, "n2": 1234.565, "t": 1.0e400, "b": true}',
  '{"i2": "-32768", "i4": "2147483647", "i8": "-9223372036854775808", "f4": "NaN", "f8": "-Infinity", "n": "NaN", "n2": "12.5", "t": true, "b": "t"}',
  '{"i2": 1e2, "i4": 12.0, "i8": 1.5e3, "f4": 1e-40, "f8": 5e-324, "n": 1e-30, "n2": 0.005, "t": null, "b": 1}',
  '{"i2": -0, "i4": -0.0, "f4": -0.0, "f8": -0.0, "n": -0.0, "n2": -0.001, "t": -0.0, "b": 0}',
  '{"i8": 9007199254740993, "f8": 9007199254740993, "n": 9007199254740993, "f4": 16777217, "t": 9007199254740993.10}',
  '{"f4": "Infinity", "f8": "inf", "n": "Infinity", "t": ""}') AS begin \gset
SELECT i2, i4, i8, f4, f8, n, n2, t, b FROM numbers WHERE pos >= :begin ORDER BY pos;
SELECT put('{"i2": 32768}', '{"i4": 2147483648}', '{"i8": 9223372036854775808}', '{"i4": 1.5}', '{"i4": 0.5}', '{"i4": 1e400}', '{"f4": 1e39}', '{"f8": 1e400}', '{"n2": 12345.6}', '{"n": 1e200000}',
  '{"i4": ""}', '{"i4": " 1 "}', '{"i4": "0x10"}', '{"i4": true}', '{"f8": "abc"}', '{"f8": true}', '{"b": 2}', '{"b": "maybe"}', '{"b": 1.0}', '{"i4": [1]}', '{"i4": {"a": 1}}', '{"t": [1, {"a": null}]}', '{"i4": 01}', '{"i4": +1}', '{"i4": .5}', '{"i4": NaN}', '{"i4": 1.}') AS begin \gset
SELECT * FROM fail('numbers');

-- Missing, null and empty; names are taken as they are; the last of two equal names counts.
CREATE FOREIGN TABLE absent (pos bigint OPTIONS (metadata 'offset'), a text, "A" text, "é" text, "with ""quotes"" and \" text, e text OPTIONS (empty_as_null 'true'), must text OPTIONS (on_missing 'error'))
  SERVER formats_json OPTIONS (topic 't_formats_json', format 'json');
SELECT put('{"must": null}', '{"must": "", "a": "", "e": ""}', '{"a": 1, "A": 2, "\u00e9": 3, "with \"quotes\" and \\": 4, "must": "x", "none of these": {"a": [1, 2, {"must": 3}]}}', '{"a": "first", "a": "last", "must": ""}',
  '{"nested": {"a": 1}, "must": "y", "a": null}', E' \t\r\n{ "must" :\n"z" } \n') AS begin \gset
SELECT a, "A", "é", "with ""quotes"" and \" AS quotes, e, must FROM absent WHERE pos >= :begin ORDER BY pos;
SELECT put('{}', '{"a": 1}') AS begin \gset
SELECT * FROM fail('absent');

-- Paths into objects and arrays.
CREATE FOREIGN TABLE paths (pos bigint OPTIONS (metadata 'offset'), a text OPTIONS (path 'p.a'), b int OPTIONS (path 'p.list[1]'), c int OPTIONS (path 'p.list[0].x'), d text OPTIONS (path '"odd.name".v'), whole jsonb OPTIONS (path 'p'), again text OPTIONS (path 'p.a'),
    e text OPTIONS (path 'p."q""r"'), deep int OPTIONS (path 'm[0][1][2]'))
  SERVER formats_json OPTIONS (topic 't_formats_json', format 'json');
SELECT put('{"p": {"a": "x", "list": [{"x": 7}, 8], "q\"r": "quoted"}, "odd.name": {"v": "dot"}, "m": [[0, [1, 2, 3]]]}', '{"p": null, "m": []}', '{"p": {"list": 5, "a": {"b": 1}}}', '{"p": [1, 2]}', '{"p": "text"}', '{"m": [[1, [1]]]}') AS begin \gset
SELECT a, b, c, d, whole, again, e, deep FROM paths WHERE pos >= :begin ORDER BY pos;
CREATE FOREIGN TABLE bad_path (a int OPTIONS (path 'a.')) SERVER formats_json OPTIONS (topic 't', format 'json');
CREATE FOREIGN TABLE bad_path (a int OPTIONS (path 'a[x]')) SERVER formats_json OPTIONS (topic 't', format 'json');
CREATE FOREIGN TABLE bad_path (a int OPTIONS (path '"a')) SERVER formats_json OPTIONS (topic 't', format 'json');
CREATE FOREIGN TABLE bad_path (a int OPTIONS (path '')) SERVER formats_json OPTIONS (topic 't', format 'json');
CREATE FOREIGN TABLE bad_path (a int OPTIONS (path 'a[99999999999]')) SERVER formats_json OPTIONS (topic 't', format 'json');

-- Times: text with and without zone, dates, the ends of time; numbers in each unit.
CREATE FOREIGN TABLE times (pos bigint OPTIONS (metadata 'offset'), tz timestamptz, ts timestamp, d date, z timestamptz OPTIONS (path 'tz', timezone 'Europe/Berlin'), s timestamptz OPTIONS (timestamp_format 'epoch_seconds'), ms timestamptz OPTIONS (timestamp_format 'epoch_millis'),
    us timestamp OPTIONS (timestamp_format 'epoch_micros'), ds date OPTIONS (timestamp_format 'epoch_millis', path 'ms'), tz0 timestamptz(0) OPTIONS (path 'tz'))
  SERVER formats_json OPTIONS (topic 't_formats_json', format 'json');
SELECT put('{"tz": "2013-06-01T12:00:00.123456Z", "ts": "2013-06-01T12:00:00", "d": "2013-06-01"}', '{"tz": "2013-06-01T12:00:00", "ts": "2013-06-01 12:00", "d": "2013-06-01T23:59:59Z"}', '{"tz": "2013-06-01T12:00:00+02:00", "ts": "2013-06-01T12:00:00+02:00"}',
  '{"tz": "infinity", "ts": "-infinity", "d": "infinity"}', '{"tz": "2013-06-01", "d": "0044-03-15 BC"}', '{"tz": "2013-06-30T23:59:60Z", "ts": "294276-12-31T23:59:59.999999"}', '{"tz": "2013-06-01T12:00:00.9999999Z"}',
  '{"s": 1370088000, "ms": 1370088000123, "us": 1370088000123456}', '{"s": 1370088000.25, "ms": 1370088000123.5, "us": -1}', '{"s": -0.5, "ms": 0, "us": 0}', '{"s": 1e9, "ms": "1370088000123"}', '{"s": "1370088000.5"}') AS begin \gset
SELECT tz, ts, d, z, tz0 FROM times WHERE pos >= :begin AND s IS NULL ORDER BY pos;
SELECT s, ms, us, ds FROM times WHERE pos >= :begin AND s IS NOT NULL ORDER BY pos;
SELECT put('{"tz": "now"}', '{"tz": "yesterday"}', '{"tz": 1370088000}', '{"tz": "2013-02-30"}', '{"tz": "01/02/2013"}', '{"tz": ""}', '{"s": "2013-06-01"}', '{"s": 1e300}', '{"us": 9e18}', '{"d": "2013-13-01"}', '{"s": "infinity"}', '{"tz": "epoch"}', '{"tz": "allballs"}', '{"tz": "2013-06-01 12:00 Nowhere/Land"}') AS begin \gset
SELECT * FROM fail('times');

-- Arrays, composite types, json, bytea, uuid, ranges.
CREATE TYPE inner_type AS (x int, y text);
CREATE TYPE outer_type AS (a inner_type, list inner_type[], t timestamptz);
CREATE FOREIGN TABLE shapes (pos bigint OPTIONS (metadata 'offset'), ia int[], ta text[], o outer_type, j json, jb jsonb, by bytea, hex bytea OPTIONS (bytea_encoding 'hex'), esc bytea OPTIONS (bytea_encoding 'escape'), u uuid, r int4range, iv interval, va varchar(3)[], o2 outer_type[])
  SERVER formats_json OPTIONS (topic 't_formats_json', format 'json');
SELECT put('{"ia": [1, null, "3"], "ta": ["a", "", null, 1.50, true, {"x": [1]}], "o": {"a": {"x": 1, "y": "one", "z": 0}, "list": [{"y": "two"}, null, {}], "t": "2013-01-01T00:00:00Z"}, "j": {"b" : 1, "a": [ 1.0 ]}, "jb": {"b" : 1, "a": [ 1.0 ], "b": 2}}',
  '{"ia": [], "ta": [[1, 2]], "o": {}, "j": null, "jb": null, "by": "AAEC/w==", "hex": "\\x00ff", "esc": "a\\000b", "u": "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11", "r": "[1,5)", "iv": "P1DT2H", "va": ["abc", "de"], "o2": [{"a": null}, {"t": "infinity"}]}',
  '{"ia": [[1, 2], [3, 4]], "j": "text", "jb": "text", "by": "", "hex": "00FF", "esc": ""}', '{"ia": "{1,2}", "ta": "{a,NULL}", "o": "(\"(1,x)\",,)", "j": 1.10, "jb": 1.10}', '{"j": "{\"a\": 1}", "jb": true, "ia": null}') AS begin \gset
SELECT ia, ta, o, j, jb FROM shapes WHERE pos >= :begin ORDER BY pos;
SELECT by, hex, esc, u, r, iv, va, o2 FROM shapes WHERE pos >= :begin AND by IS NOT NULL ORDER BY pos;
SELECT put('{"ia": [1, "x"]}', '{"ia": [[1], [2, 3]]}', '{"ia": [1, [2]]}', '{"ia": {"a": 1}}', '{"ia": 1}', '{"o": {"a": {"x": "y"}}}', '{"o": [1]}', '{"o": {"list": {"x": 1}}}', '{"by": "***"}', '{"hex": "0g"}', '{"hex": "000"}', '{"u": "a0eebc99"}', '{"va": ["abcd"]}', '{"r": "[5,1)"}', '{"o2": [{"t": "x"}]}', '{"jb": "a\u0000b"}', '{"j": "a\u0000b"}') AS begin \gset
SELECT * FROM fail('shapes');

-- Records that are none: the error names topic, partition and offset.
CREATE FOREIGN TABLE plain (pos bigint OPTIONS (metadata 'offset'), a text, b text)
  SERVER formats_json OPTIONS (topic 't_formats_json', format 'json');
SELECT put('{"a": 1', '{"a"}', '{"a": 1,}', '{"a": tru}', '{"a": "x}', '[]', '1', '"x"', 'null', '', ' ', '{} {}', '{"a": 1} x', '{"a": "\x"}', '{"a": "\ud800"}', '{"a": "\ud83d\ude00", "b": "\u00e9\t"}', '{"a": "a\u0000b"}', '{"b": "\u0000", "c": 1}', E'{"a": "raw\ttab"}', '{''a'': 1}', '{"a": 1, "b": }', '// {"a": 1}', '{"zzz": [1, 2}') AS begin \gset
SELECT * FROM fail('plain');
-- what is wrong where nobody looks is still wrong, or is not looked at: the same either way, each time
CREATE FOREIGN TABLE only_a (pos bigint OPTIONS (metadata 'offset'), a text) SERVER formats_json OPTIONS (topic 't_formats_json', format 'json');
SELECT put('{"a": 1, "b": "\ud800"}', '{"a": 1, "b": 01}', '{"a": 1, "b": [}', '{"a": 1} trailing') AS begin \gset
SELECT * FROM fail('only_a');
-- bytes that are no text
CREATE FOREIGN TABLE bytes_read (pos bigint OPTIONS (metadata 'offset'), a text, b text)
  SERVER formats_json OPTIONS (topic 't_formats_json_raw', format 'json');
INSERT INTO bytes (value) VALUES ('{"a": "' || '\xff'::bytea || '"}'), ('{"a": "' || '\xc080'::bytea || '"}'), ('{"a": "' || '\xeda080'::bytea || '"}'), ('{"a": "x' || '\x00'::bytea || 'y"}'), ('\xefbbbf'::bytea || '{"a": "bom"}'), ('{"b": "' || '\xff'::bytea || '"}');
CREATE FUNCTION read_one(p bigint) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
  RETURN (SELECT a FROM bytes_read WHERE pos = p);
EXCEPTION WHEN OTHERS THEN
  RETURN SQLSTATE || ' ' || SQLERRM;
END $$;
SELECT encode(value, 'escape'), read_one(pos) FROM bytes ORDER BY pos;
-- deep nesting and long values
SELECT put(repeat('{"a":', 10000) || '1' || repeat('}', 10000), '{"a": ' || repeat('[', 500) || repeat(']', 500) || '}', '{"a": "' || repeat('x', 900000) || '", "b": "end"}', '{"b": "behind", "none": "' || repeat('\n', 400000) || '"}',
  '{"a": ' || repeat('9', 100000) || '}') AS begin \gset
SELECT state, CASE WHEN state = 'read' THEN length(error)::text ELSE error END FROM fail('plain');
SELECT length(a), length(b) FROM plain WHERE pos = :begin + 2;

-- Tombstones are rows without values; a record of nothing but unknown fields is one too.
INSERT INTO records (value) VALUES (NULL), ('{"unknown": 1}');
SELECT a, b FROM plain WHERE pos > (SELECT max(pos) - 2 FROM records);

-- Options of this format.
CREATE FOREIGN TABLE bad (a int) SERVER formats_json OPTIONS (topic 't', format 'json', timestamp_format 'epoch');
CREATE FOREIGN TABLE bad (a int) SERVER formats_json OPTIONS (topic 't', format 'json', timezone 'Nowhere/Land');
CREATE FOREIGN TABLE bad (a int OPTIONS (null_fields 'omit')) SERVER formats_json OPTIONS (topic 't', format 'json');
CREATE FOREIGN TABLE bad (a int) SERVER formats_json OPTIONS (topic 't', format 'json', delimiter ',');
CREATE FOREIGN TABLE omitting (a int, b text, c jsonb) SERVER formats_json OPTIONS (topic 't_formats_json', format 'json', null_fields 'omit');
INSERT INTO omitting VALUES (1, NULL, 'null'), (NULL, NULL, NULL);
SELECT value FROM records ORDER BY pos DESC LIMIT 2;
CREATE FOREIGN TABLE nested (a int OPTIONS (path 'p.a'), b text OPTIONS (path 'p.q.b'), c text) SERVER formats_json OPTIONS (topic 't_formats_json', format 'json');
INSERT INTO nested VALUES (1, 'x', 'y'), (NULL, 'x', NULL);
SELECT value FROM records ORDER BY pos DESC LIMIT 2;
INSERT INTO paths (b) VALUES (1);

-- Serializers of JSON Schema put a zero byte and the schema's id in front.
CREATE FOREIGN TABLE with_id (a int, "offset" bigint OPTIONS (metadata 'offset')) SERVER formats_json OPTIONS (topic 't_formats_json_id', format 'json');
CREATE FOREIGN TABLE with_id_bytes (value bytea) SERVER formats_json OPTIONS (topic 't_formats_json_id', format 'raw');
INSERT INTO with_id_bytes VALUES ('\x000000000a' || convert_to('{"a": 1}', 'UTF8')), (convert_to('{"a": 2}', 'UTF8')), ('\x000000000a'), ('\x00');
SELECT * FROM with_id WHERE "offset" < 2;
SELECT * FROM with_id WHERE "offset" = 2;
SELECT * FROM with_id WHERE "offset" = 3;

SET client_min_messages = warning;
DROP SCHEMA formats_json CASCADE;
DROP SERVER formats_json CASCADE;
