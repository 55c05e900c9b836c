\timing on
SET timezone = 'America/New_York';
-- The files, loaded as they are.
CREATE TABLE weather_csv (origin text, year int, month int, day int, hour int, temp float8, dewp float8, humid float8,
  wind_dir float8, wind_speed float8, wind_gust float8, precip float8, pressure float8, visib float8, time_hour timestamptz);
CREATE TABLE flights_csv (year int, month int, day int, dep_time int, sched_dep_time int, dep_delay int, arr_time int, sched_arr_time int,
  arr_delay int, carrier text, flight int, tailnum text, origin text, dest text, air_time int, distance int, hour int, minute int, time_hour timestamptz);
\copy weather_csv FROM 'weather.csv' (FORMAT csv, HEADER, NULL 'NA')
\copy flights_csv FROM 'flights.csv' (FORMAT csv, HEADER, NULL 'NA')
CREATE VIEW flights_2013 AS
  SELECT carrier, flight, time_hour + minute * interval '1 min' AS sched_dep, tailnum, origin, dest, distance, dep_delay, arr_delay FROM flights_csv;

-- A Kafka topic as a foreign table; this one lives in the embedded broker.
CREATE EXTENSION feathub;
CREATE SERVER kafka FOREIGN DATA WRAPPER feathub_kafka OPTIONS (bootstrap_servers 'embedded');
CREATE USER MAPPING FOR CURRENT_USER SERVER kafka;
CREATE FOREIGN TABLE weather_stream (origin text OPTIONS (key 'true'), time_hour timestamptz, temp float8, wind_speed float8, visib float8)
  SERVER kafka OPTIONS (topic 'weather', format 'json', key_format 'raw');

-- Stream API: a feature group that follows the topic, and rows sent to the topic.
SELECT feathub.create_feature_group('weather', source => 'weather_stream', primary_key => '{origin}', event_time => 'time_hour');
INSERT INTO weather_stream SELECT origin, time_hour, temp, wind_speed, visib FROM weather_csv;

-- Batch API: a feature group without a stream, and its history at once.
SELECT feathub.create_feature_group('flights', source => 'flights_2013', primary_key => '{carrier,flight}', event_time => 'sched_dep');
SELECT feathub.backfill('flights', 'SELECT * FROM flights_2013');

-- Until all that the topic holds now is applied.
SELECT feathub.wait_for_job('weather', timeout => '60 s');
\x on
SELECT job, state, lag, records, applied, duplicates, dead_letters, watermark, last_error FROM feathub.job_status;
\x off

-- Online: the latest row of each key.
SELECT * FROM weather_online WHERE origin = 'JFK';

-- Offline: the deduplicated history.  Rows in the tables and in the files:
SELECT (SELECT count(*) FROM weather) AS weather, :weather_rows AS weather_csv, (SELECT count(*) FROM weather_online) AS weather_online,
       (SELECT count(DISTINCT origin) FROM weather_csv) AS airports, (SELECT count(*) FROM flights) AS flights, :flights_rows AS flights_csv;

-- A point-in-time join: each flight with the last weather known before its departure, never a later one.
SELECT f.carrier, f.flight, f.origin, f.dest, f.sched_dep, w.time_hour AS weather_at, w.temp, w.wind_speed, w.visib, f.dep_delay
  FROM flights f LEFT JOIN LATERAL (SELECT * FROM weather w WHERE w.origin = f.origin AND w.time_hour <= f.sched_dep
                                     ORDER BY w.time_hour DESC LIMIT 1) w ON true
 WHERE f.sched_dep >= '2013-06-13 14:05' ORDER BY f.sched_dep, f.carrier, f.flight LIMIT 8;
SELECT w.visib < 3 AS poor_visibility, count(*) AS flights, round(avg(f.dep_delay), 1) AS mean_delay, max(f.sched_dep - w.time_hour) AS oldest_weather
  FROM flights f LEFT JOIN LATERAL (SELECT * FROM weather w WHERE w.origin = f.origin AND w.time_hour <= f.sched_dep
                                     ORDER BY w.time_hour DESC LIMIT 1) w ON true
 WHERE f.sched_dep < '2013-07-01' GROUP BY 1 ORDER BY 1;

-- Everything is where it belongs: an error here fails the demo.
SELECT 1 / (count(*) = :weather_rows)::int AS weather_complete FROM weather;
SELECT 1 / (count(*) = :flights_rows)::int AS flights_complete FROM flights;
SELECT 1 / (count(*) = 0)::int AS online_is_latest FROM weather_online o
  JOIN (SELECT DISTINCT ON (origin) origin, time_hour, temp, wind_speed, visib FROM weather_csv ORDER BY origin, time_hour DESC) c USING (origin)
 WHERE (o.time_hour, o.temp, o.wind_speed, o.visib) IS DISTINCT FROM (c.time_hour, c.temp, c.wind_speed, c.visib);
