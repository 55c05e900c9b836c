-- What json and csv write reads back as the same value, whatever the session's
-- styles, for all kinds of types and their extremes.
CREATE EXTENSION IF NOT EXISTS feathub;
CREATE SERVER formats_roundtrip FOREIGN DATA WRAPPER feathub_kafka OPTIONS (bootstrap_servers 'embedded');
CREATE SCHEMA formats_roundtrip;
SET search_path = formats_roundtrip;
SET timezone = 'America/New_York';
SET datestyle = 'SQL, DMY';
SET intervalstyle = 'iso_8601';
SET extra_float_digits = 0;

CREATE TYPE pair AS (x numeric, y text[], z timestamptz);
CREATE TYPE mood AS ENUM ('a b', 'c"d', 'é');
CREATE DOMAIN positive AS int CHECK (VALUE > 0);
CREATE TABLE value_list (id int, i2 int2, i4 int4, i8 int8, f4 float4, f8 float8, n numeric, n2 numeric(12,4), b bool,
  t text, v varchar(20), c char(5), by bytea, ts timestamp, tz timestamptz, u uuid, j json, jb jsonb, e mood,
  ia int[], ta text[], ct pair, ca pair[], iv interval, tr tstzrange, tm time, tmz timetz, ip inet, ma macaddr,
  tz2 timestamptz(2), p point, jba jsonb[], nr numrange, bb bit(5), nm name, lsn pg_lsn, po positive, tv tsvector);
INSERT INTO value_list VALUES
  (1, -32768, -2147483648, -9223372036854775808, '-0', '-0', '1e-16383', 'NaN', true, E'q"\\/\b\f\n\r\t\x01\x7f é 😀', '', 'a',
   '\x00ff5c22', '-infinity', 'infinity', '00000000-0000-0000-0000-000000000000', '{"a" : [1, {"b":"\u0001"}]}',
   '{"z":1.00,"a":[null,true,"\\"]}', 'c"d', '{{1,2},{3,NULL}}', '{NULL,"NULL","","a,b"}',
   row('1.50', '{x}', '1969-12-31 23:59:59.999999+00'), ARRAY[row(1, NULL, NULL)::pair, NULL], 'P-1Y2DT-3H-4M-5.678901S',
   '[2020-01-01 00:00+00,infinity)', '23:59:59.999999', '24:00:00-13:30', '::1/64', '08:00:2b:01:02:03',
   '2020-02-29 23:59:59.994999+00', '(1.1,-2e300)', '{null,"[1]","{}"}', '(,1.5]', '10101', 'nm', '16/B374D848', 1, 'a:1A b');
INSERT INTO value_list VALUES
  (2, 32767, 2147483647, 9223372036854775807, '3.4028235e38', '1.7976931348623157e308', repeat('9', 200)::numeric, '-99999999.9999',
   false, '', 'x', '', '', '4713-01-01 00:00:00 BC', '294247-01-01 00:00:00+00', 'ffffffff-ffff-ffff-ffff-ffffffffffff', '[]',
   '"s"', 'é', '{}', '{}', row(NULL, NULL, NULL), '{}', 'PT0S', 'empty', '00:00', '00:00+15:59', '1.2.3.4', '00:00:00:00:00:00',
   '0001-01-01 00:00:00+00 BC', '(NaN,Infinity)', '{}', 'empty', '00000', '', '0/0', 2147483647, '');
INSERT INTO value_list VALUES
  (3, 0, 0, 0, '1e-45', '4.9e-324', '-Infinity', 0, NULL, 'null', 'nul', NULL, NULL, '9999-12-31 23:59:59.999999',
   '4713-01-01 00:00:00+00 BC', NULL, '1e5', '1.10', 'a b', NULL, '{{a},{b}}', row('Infinity', '{{a,b},{c,d}}', 'infinity'));
INSERT INTO value_list VALUES
  (4, 1, 1, 1, '0.1', '0.1', '0.10', '0.1', NULL, '\N', ',', NULL, NULL, '0001-01-01 00:00:00', '0001-01-01 00:00:00+00');
INSERT INTO value_list VALUES
  (5, NULL, NULL, NULL, 'NaN', 'NaN', 'NaN', NULL, NULL, '"', ' x ', NULL, NULL, '10000-01-01 00:00:00', '10000-01-01 00:00:00+00');
INSERT INTO value_list VALUES
  (6, NULL, NULL, NULL, 'Infinity', '-Infinity', NULL, NULL, NULL, NULL, NULL, NULL, NULL, '0044-03-15 12:34:56.000001 BC', '0044-03-15 12:34:56.1+00 BC');

-- a table for each way of writing
CREATE FUNCTION check_roundtrip(name text, options text) RETURNS TABLE (how text, written bigint, same bigint, differ text[])
LANGUAGE plpgsql AS $$
DECLARE columns text;
BEGIN
  SELECT string_agg(format('%I %s', attname, format_type(atttypid, atttypmod)), ', ' ORDER BY attnum) INTO columns
    FROM pg_attribute WHERE attrelid = 'value_list'::regclass AND attnum > 0 AND NOT attisdropped;
  EXECUTE format('CREATE FOREIGN TABLE %I (%s) SERVER formats_roundtrip OPTIONS (topic %L, %s)', name, columns, 't_formats_' || name, options);
  EXECUTE format('INSERT INTO %I SELECT * FROM value_list', name);
  SET LOCAL extra_float_digits = 1;  -- compare all digits
  RETURN QUERY EXECUTE format($q$
    WITH pairs AS (SELECT w.id, x.key, x.value AS a, y.value AS b
                     FROM value_list w JOIN %1$I r USING (id),
                          json_each_text(row_to_json(w)) x JOIN json_each_text(row_to_json(r)) y USING (key))
    SELECT %1$L::text, (SELECT count(*) FROM %1$I), count(DISTINCT id) FILTER (WHERE key = 'id' AND a = b),
           array_agg(DISTINCT id || ' ' || key || ': ' || left(coalesce(a, 'NULL'), 40) || ' / ' || left(coalesce(b, 'NULL'), 40))
             FILTER (WHERE a IS DISTINCT FROM b)
      FROM pairs$q$, name);
END $$;
SELECT * FROM check_roundtrip('rt_json', $$format 'json'$$);
SELECT * FROM check_roundtrip('rt_json_omit', $$format 'json', null_fields 'omit', timezone 'Asia/Kolkata', bytea_encoding 'hex'$$);
SELECT * FROM check_roundtrip('rt_json_seconds', $$format 'json', timestamp_format 'epoch_seconds', bytea_encoding 'escape'$$);
SELECT * FROM check_roundtrip('rt_json_millis', $$format 'json', timestamp_format 'epoch_millis', timezone 'Europe/Berlin'$$);
SELECT * FROM check_roundtrip('rt_json_micros', $$format 'json', timestamp_format 'epoch_micros'$$);
SELECT * FROM check_roundtrip('rt_csv', $$format 'csv'$$);
SELECT * FROM check_roundtrip('rt_csv_other', $$format 'csv', delimiter ';', quote '$', escape '!', null '\N', timezone 'Asia/Kolkata'$$);

-- fields of csv are known by their place, also to a query that needs few
SELECT id, i2, b, po FROM rt_csv WHERE id < 3 ORDER BY id;
SELECT sum(id) FROM rt_csv;

SET client_min_messages = warning;
DROP SCHEMA formats_roundtrip CASCADE;
DROP SERVER formats_roundtrip CASCADE;
