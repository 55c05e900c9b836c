\timing on
SET timezone = 'America/New_York';
-- Connector API: files as they are, joined where a key is known.
CREATE SERVER files FOREIGN DATA WRAPPER feathub_filesystem;
CREATE FOREIGN TABLE planes (tailnum text, year int, type text, manufacturer text, model text, engines int, seats int, speed int, engine text)
  SERVER files OPTIONS (path :'planes', format 'csv', header 'true', "null" 'NA');
SELECT feathub.create_external_feature_group('planes', primary_key => '{tailnum}', online => true);
CREATE FOREIGN TABLE airports_csv (faa text, name text, lat float8, lon float8, alt int, tz int, dst text, tzone text)
  SERVER files OPTIONS (path :'airports', format 'csv', header 'true', "null" 'NA');
CREATE TABLE airports AS SELECT faa, lat, lon, alt FROM airports_csv;
ALTER TABLE airports ADD PRIMARY KEY (faa);

-- One join: flights with the weather known before their departure, the plane and the destination.
SELECT feathub.create_feature_view('delay', $$
  SELECT f.carrier, f.flight, f.tailnum, f.origin, f.dest, f.sched_dep,
         w.temp, w.wind_speed, w.visib, p.seats, 2013 - p.year AS plane_age, f.distance, a.lat, a.lon, a.alt,
         ascii(f.origin) AS origin_code, ascii(f.carrier) * 256 + ascii(right(f.carrier, 1)) AS carrier_code,
         extract(hour FROM f.sched_dep AT TIME ZONE 'America/New_York')::int AS dep_hour,
         extract(isodow FROM f.sched_dep AT TIME ZONE 'America/New_York')::int AS dep_day,
         extract(doy FROM f.sched_dep AT TIME ZONE 'America/New_York')::int AS day_of_year,
         f.dep_delay
    FROM flights f LEFT JOIN weather w USING (origin) LEFT JOIN planes p USING (tailnum) LEFT JOIN airports a ON a.faa = f.dest $$,
  labels => '{dep_delay}', max_age => '{"w": "6 hours"}');
\d+ delay
\sf delay_online

-- Training data: the same day's flights are in one split, so that no test row's weather was learnt.
SELECT feathub.create_training_data('delay', name => 'delay_v1', splits => '{"train": 0.8, "test": 0.2}', seed => 42, split_by => '{day_of_year}');
SELECT splits, row_count, content_hash FROM feathub.training_data WHERE training_data = 'delay_v1'::regclass;
SELECT feature, split, row_count, nulls, min, max, round(mean::numeric, 2) AS mean, round(stddev::numeric, 2) AS stddev
  FROM feathub.training_statistics WHERE training_data = 'delay_v1'::regclass AND feature IN ('temp', 'visib', 'seats', 'dep_hour') ORDER BY feature, split;
SELECT 1 / feathub.verify_training_data('delay_v1')::int AS unchanged;
