-- What csv records mean: one line a record, fields in the order of the columns.
CREATE EXTENSION IF NOT EXISTS feathub;
SET timezone = 'UTC';
SET datestyle = 'ISO';
CREATE SCHEMA formats_csv;
SET search_path = formats_csv;
CREATE SERVER formats_csv FOREIGN DATA WRAPPER feathub_kafka OPTIONS (bootstrap_servers 'embedded');
CREATE USER MAPPING FOR CURRENT_USER SERVER formats_csv;
CREATE FOREIGN TABLE records (pos bigint OPTIONS (metadata 'offset'), value text) SERVER formats_csv OPTIONS (topic 't_formats_csv', format 'raw');
CREATE FOREIGN TABLE bytes (pos bigint OPTIONS (metadata 'offset'), value bytea) SERVER formats_csv OPTIONS (topic 't_formats_csv_raw', format 'raw');
CREATE FUNCTION put(VARIADIC texts text[]) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  begins bigint := (SELECT count(*) FROM records);
BEGIN
  INSERT INTO records (value) SELECT t FROM unnest(texts) WITH ORDINALITY AS u (t, o) ORDER BY o;
  RETURN begins;
END $$;
CREATE FUNCTION fail(relation regclass, begins bigint) RETURNS TABLE (record text, state text, error text, context text) LANGUAGE plpgsql AS $$
DECLARE
  p bigint;
BEGIN
  FOR p, record IN SELECT r.pos, left(r.value, 60) FROM records r WHERE r.pos >= begins ORDER BY 1 LOOP
    BEGIN
      EXECUTE format('SELECT q::text FROM %s q WHERE pos = %s', relation, p) INTO error;
      state := 'read';
      context := NULL;
    EXCEPTION WHEN OTHERS THEN
      GET STACKED DIAGNOSTICS context = PG_EXCEPTION_CONTEXT;
      state := SQLSTATE;
      error := SQLERRM;
      context := split_part(context, E'\n', 1);
    END;
    RETURN NEXT;
  END LOOP;
END $$;

CREATE FOREIGN TABLE plain (a text, pos bigint OPTIONS (metadata 'offset'), n int, b text) SERVER formats_csv OPTIONS (topic 't_formats_csv', format 'csv');
SELECT put('x,1,y', ',,', '"",2,""', '"a,b",3,"say ""hi"""', E'"two\nlines",4,"\r\n"', ' x , 5 , y ', 'a"b"c,6,"d"e', E'end,7,line\n', E'end,8,line\r\n', 'é,9,😀', '"""",10,""""""', '\N,11,NULL') AS begin \gset
SELECT a, n, b, a IS NULL AS a_null, b IS NULL AS b_null FROM plain WHERE pos >= :begin ORDER BY pos;
SELECT put('x,1', 'x,1,y,z', 'x', '', 'x,one,y', 'x,99999999999,y', '"x,1,y', 'x,1,"y', 'x,1.5,y', E'x,1,y\nz,2,w', E'x,1,y\n\n', 'x,,y', E'\n') AS begin \gset
SELECT * FROM fail('plain', :begin);

-- Other delimiters, quotes, escapes and nulls; what force_null and force_not_null change.
CREATE FOREIGN TABLE other (a text OPTIONS (force_not_null 'true'), b text OPTIONS (force_null 'true'), c text, pos bigint OPTIONS (metadata 'offset'))
  SERVER formats_csv OPTIONS (topic 't_formats_csv', format 'csv', delimiter E'\t', quote '''', escape '\', "null" 'none');
SELECT put(E'none\tnone\tnone', E'''none''\t''none''\t''none''', E'''it\\''s''\t"x"\ta,b', E'''a\tb''\t\\\t''\\\\''') AS begin \gset
SELECT a, b, c FROM other WHERE pos >= :begin ORDER BY pos;
INSERT INTO other VALUES ('none', 'none', NULL), (E'a\tb', 'it''s', '\'), ('', '"', 'a,b');
SELECT value FROM records ORDER BY pos DESC LIMIT 3;
SELECT a, b, c FROM other WHERE pos >= :begin + 4 ORDER BY pos;
CREATE FOREIGN TABLE quoted (a text OPTIONS (force_quote 'true'), b int OPTIONS (force_quote 'true'), c text) SERVER formats_csv OPTIONS (topic 't_formats_csv', format 'csv');
INSERT INTO quoted VALUES ('x', 1, NULL), (NULL, NULL, ''), (E'a\r\nb', 2, ' '), ('"', 3, ',');
SELECT value FROM records ORDER BY pos DESC LIMIT 4;

-- Types by their text: arrays, json, bytea, times in a zone, dropped and generated columns.
CREATE FOREIGN TABLE typed (gone int, ia int[], j jsonb, twice int GENERATED ALWAYS AS (n * 2) STORED, by bytea, tz timestamptz OPTIONS (timezone 'Asia/Kolkata'), d date, b bool, f float8, n int, pos bigint OPTIONS (metadata 'offset'))
  SERVER formats_csv OPTIONS (topic 't_formats_csv', format 'csv');
ALTER FOREIGN TABLE typed DROP COLUMN gone;
SELECT put('"{1,NULL}","{""a"": [1]}",\x00ff,2013-01-01 12:00,2013-06-01,t,NaN,4', '{},1,,2013-01-01 12:00+00,infinity,off,-Infinity,', ',,,,,,,') AS begin \gset
SELECT * FROM typed WHERE pos >= :begin ORDER BY pos;
INSERT INTO typed (ia, j, by, tz, d, b, f, n) VALUES ('{1,2}', '{"a": 1}', '\x01', '2013-01-01 12:00+00', '2013-01-01', true, 0.1, 5);
SELECT value FROM records ORDER BY pos DESC LIMIT 1;

-- Option default: the marker without quotes is the column's default, for each record anew.
CREATE SEQUENCE ids;
CREATE DOMAIN given AS text DEFAULT 'of the domain' NOT NULL;
CREATE FUNCTION greeting(who text) RETURNS text STABLE LANGUAGE plpgsql AS $$ BEGIN RETURN 'hello ' || who || (SELECT count(*) FROM pg_catalog.pg_class WHERE relname = 'pg_class'); END $$;
CREATE FOREIGN TABLE defaults (id int DEFAULT nextval('ids'), t text OPTIONS (force_not_null 'true') DEFAULT greeting('x'), n numeric(6,2) DEFAULT 1.5, a int[] DEFAULT '{1,2}', d given, none date, twice int GENERATED ALWAYS AS (id * 2) STORED, pos bigint OPTIONS (metadata 'offset'))
  SERVER formats_csv OPTIONS (topic 't_formats_csv', format 'csv', default '\D');
SELECT put('\D,\D,\D,\D,\D,\D', '7,"\D",8,{},x,', E'\\D,\\D\\D,\\D,"{3}",\\D,2013-01-01\n', '\D,,,"\D",x,', '5,\d,,,\D,\D', 'x,a,,,\D,', '1,2,3,{},,') AS begin \gset
SELECT * FROM defaults WHERE pos >= :begin AND pos < :begin + 3 ORDER BY pos;
SELECT * FROM fail('defaults', :begin + 3);
SELECT count(*), count(t), count(none) FROM defaults WHERE pos >= :begin AND pos < :begin + 3;
-- written, it is a text as others are
INSERT INTO defaults (id, t, n, a, d, none) VALUES (9, '\D', DEFAULT, NULL, DEFAULT, NULL);
SELECT value FROM records ORDER BY pos DESC LIMIT 1;
SELECT t, n, a, d, none FROM defaults WHERE pos = (SELECT max(pos) FROM records);
-- a default that is an error, and a domain that refuses the default NULL
ALTER FOREIGN TABLE defaults ALTER n SET DEFAULT 1 / (random() * 0)::int;
SELECT n FROM defaults WHERE pos = :begin;
ALTER FOREIGN TABLE defaults ALTER n SET DEFAULT 3, ALTER d SET DEFAULT NULL;
SELECT d FROM defaults WHERE pos = :begin;
-- an empty marker; none, no defaults
ALTER FOREIGN TABLE defaults ALTER d DROP DEFAULT, OPTIONS (ADD "null" 'none', SET default '');
SELECT put(',,,,,none', '1,"",4,{},"",none') AS begin \gset
SELECT t, n, a, d, none FROM defaults WHERE pos = :begin;
SELECT t, n, a, d, none FROM defaults WHERE pos = :begin + 1;
ALTER FOREIGN TABLE defaults OPTIONS (DROP default);
SELECT n FROM defaults WHERE pos = :begin;

-- Encodings, bytes that are no text, tombstones, long values.
CREATE FOREIGN TABLE latin (a text, b text, pos bigint OPTIONS (metadata 'offset')) SERVER formats_csv OPTIONS (topic 't_formats_csv_raw', format 'csv', encoding 'LATIN1');
CREATE FOREIGN TABLE utf (a text, b text, pos bigint OPTIONS (metadata 'offset')) SERVER formats_csv OPTIONS (topic 't_formats_csv_raw', format 'csv');
INSERT INTO bytes (value) VALUES ('\xe92c41'::bytea), ('\x61002c62'::bytea), (NULL), (convert_to('é,', 'UTF8'));
INSERT INTO latin (a, b) VALUES ('é', 'ÿ');
INSERT INTO latin (a) VALUES ('€');
SELECT pos, value FROM bytes ORDER BY pos;
SELECT a, b FROM latin WHERE pos IN (0, 2, 3, 4) ORDER BY pos;
SELECT a FROM utf WHERE pos = 0;
SELECT a FROM utf WHERE pos = 1;
SELECT a, b FROM utf WHERE pos IN (2, 3) ORDER BY pos;
INSERT INTO utf (a, b) SELECT repeat('x', 450000), repeat('"', 200000);
SELECT length(a), length(b), a = repeat('x', 450000) AND b = repeat('"', 200000) AS same FROM utf WHERE pos = 5;

-- Options of this format.
CREATE FOREIGN TABLE bad (a int) SERVER formats_csv OPTIONS (topic 't', format 'csv', delimiter ';;');
CREATE FOREIGN TABLE same (a int) SERVER formats_csv OPTIONS (topic 't_formats_csv', format 'csv', delimiter '"');
SELECT * FROM same;
CREATE FOREIGN TABLE newline (a int) SERVER formats_csv OPTIONS (topic 't_formats_csv', format 'csv', delimiter E'\n');
SELECT * FROM newline;
CREATE FOREIGN TABLE bad (a int) SERVER formats_csv OPTIONS (topic 't', format 'csv', quote '');
CREATE FOREIGN TABLE nulls (a int) SERVER formats_csv OPTIONS (topic 't_formats_csv', format 'csv', "null" 'a,b');
SELECT * FROM nulls;
CREATE FOREIGN TABLE marker (a int) SERVER formats_csv OPTIONS (topic 't_formats_csv', format 'csv', default '');
SELECT * FROM marker;
ALTER FOREIGN TABLE marker OPTIONS (SET default 'a,b');
SELECT * FROM marker;
ALTER FOREIGN TABLE marker OPTIONS (SET default 'a"b');
INSERT INTO marker VALUES (1);
ALTER FOREIGN TABLE marker OPTIONS (SET default E'a\nb');
SELECT * FROM marker;
CREATE FOREIGN TABLE bad (a int) SERVER formats_csv OPTIONS (topic 't', format 'csv', encoding 'nothing');
CREATE FOREIGN TABLE bad (a int OPTIONS (path 'x')) SERVER formats_csv OPTIONS (topic 't', format 'csv');

SET client_min_messages = warning;
DROP SCHEMA formats_csv CASCADE;
DROP SERVER formats_csv CASCADE;
