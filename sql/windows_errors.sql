-- What a window cannot be, and what it says then: nothing that could see the future.
CREATE EXTENSION IF NOT EXISTS feathub;
CREATE SCHEMA windows_errors;
SET search_path = windows_errors;

CREATE TABLE click_source (user_id text, t timestamptz, item text, cost int);
SELECT feathub.create_feature_group('click', 'click_source', '{user_id}', 't', deletes => true);
SELECT feathub.create_feature_group('timeless', 'click_source', '{user_id}');
CREATE TABLE spine (id int PRIMARY KEY, user_id text, ts timestamptz, other timestamptz);

CREATE FUNCTION refused(text, event_time text DEFAULT 'ts') RETURNS void LANGUAGE sql AS $$
  SELECT feathub.create_feature_view('v', 'SELECT f.id, w.* FROM spine f LEFT JOIN LATERAL (' || $1 || ') w ON true', event_time) $$;
\set VERBOSITY terse
-- no bound, or one that is none
SELECT refused('SELECT sum(cost) FROM click c WHERE c.user_id = f.user_id');
SELECT refused('SELECT sum(cost) FROM click c WHERE c.t >= f.ts');
SELECT refused('SELECT sum(cost) FROM click c WHERE c.t = f.ts');
SELECT refused('SELECT sum(cost) FROM click c WHERE c.t <= f.ts OR c.user_id = f.user_id');
SELECT refused('SELECT sum(cost) FROM click c WHERE NOT c.t <= f.ts');
SELECT refused('SELECT sum(cost) FROM click c WHERE c.t <= f.other');
SELECT refused('SELECT sum(cost) FROM click c WHERE c.t <= now()');
SELECT refused('SELECT sum(cost) FROM click c WHERE c.t <= f.ts + interval ''1 s''');
SELECT refused('SELECT sum(cost) FROM click c WHERE c.t <= f.ts - interval ''-1 s''');
SELECT refused('SELECT sum(cost) FROM click c WHERE c.t <= f.ts - interval ''1 month -1 day''');
SELECT refused('SELECT sum(cost) FROM click c WHERE c.t::date <= f.ts::date');
SELECT refused('SELECT sum(cost) FROM click c WHERE c.t <= f.ts::timestamp');
SELECT refused('SELECT sum(cost) FROM click c WHERE c.t <= f.ts::timestamp::timestamptz');
SELECT refused('SELECT sum(cost) FROM click c WHERE c.t <= (SELECT f.ts)');
SELECT refused('SELECT sum(cost) FROM click c WHERE coalesce(c.t, f.ts) <= f.ts');
SELECT refused('SELECT sum(cost) FROM click c HAVING max(c.t) <= f.ts');
SELECT refused('SELECT sum(c.cost) FROM click c LEFT JOIN spine s ON c.t <= f.ts');
SELECT refused('SELECT sum(c.cost) FROM spine s RIGHT JOIN click c ON c.t <= f.ts');
SELECT refused('SELECT sum(c.cost) FROM spine s FULL JOIN click c ON c.t <= f.ts AND c.user_id = s.user_id');
SELECT refused('SELECT sum(cost) FROM (SELECT * FROM click) c WHERE c.t <= f.ts');
SELECT refused('WITH c AS (SELECT * FROM click) SELECT sum(cost) FROM c WHERE c.t <= f.ts');
SELECT refused('SELECT sum(a.cost) FROM click a, click b WHERE a.t <= f.ts');
SELECT refused('SELECT sum(a.cost) FROM click a, click b WHERE a.t <= b.t AND b.t <= a.t');
SELECT refused('SELECT sum(a.cost) FROM click a WHERE EXISTS (SELECT FROM click b WHERE a.t <= b.t AND b.t <= f.ts)');
SELECT refused('SELECT sum(cost) FROM click c WHERE c.t <= f.ts', NULL);
SELECT refused('SELECT count(*) FROM timeless c WHERE c.user_id = f.user_id');
SELECT refused('SELECT cost FROM click_online c WHERE c.user_id = f.user_id AND c.t <= f.ts');
SELECT refused('SELECT count(*) FROM click_tombstone c WHERE c.user_id = f.user_id');
-- nor by way of a view: but labels are of the future, and the spine is what it is
CREATE VIEW newest AS SELECT DISTINCT ON (user_id) user_id, t, cost FROM click ORDER BY user_id, t DESC;
CREATE VIEW around AS SELECT user_id, cost FROM newest WHERE cost > 0;
SELECT refused('SELECT n.cost FROM newest n WHERE n.user_id = f.user_id');
SELECT feathub.create_feature_view('v', 'SELECT f.id, n.cost FROM spine f LEFT JOIN newest n USING (user_id)', 'ts');
SELECT feathub.create_feature_view('v', 'SELECT f.id, f.cost + n.cost AS cost FROM newest AS f (id, ts, cost) LEFT JOIN around n ON n.user_id = f.id', 'ts');
SELECT feathub.create_feature_view('v', 'SELECT f.id, n.cost FROM newest AS f (id, ts) LEFT JOIN around n ON n.user_id = f.id', 'ts', labels => '{cost}');
SELECT feathub.drop_feature_view('v');
SELECT feathub.create_feature_view('v', 'SELECT f.id, n.cost FROM spine f LEFT JOIN newest n USING (user_id)');
SELECT feathub.drop_feature_view('v');
CREATE FUNCTION fake_le(timestamptz, timestamptz) RETURNS bool LANGUAGE sql AS 'SELECT true';
CREATE OPERATOR <= (LEFTARG = timestamptz, RIGHTARG = timestamptz, FUNCTION = fake_le);
SELECT refused('SELECT sum(cost) FROM click c WHERE c.t OPERATOR(windows_errors.<=) f.ts');
\set VERBOSITY default
SELECT refused('SELECT sum(cost) FROM click c WHERE c.user_id = f.user_id');
-- functions that read groups: what cannot be replaced by its query
SELECT feathub.create_window_function('w', 'click', 'sum(cost) AS total');
SELECT feathub.create_feature_view('v', 'SELECT f.id, w.total FROM spine f LEFT JOIN LATERAL w(f.user_id) w ON true', 'ts');
SELECT feathub.create_feature_view('v', 'SELECT f.id, w.total FROM spine f LEFT JOIN LATERAL w(f.user_id, f.other) w ON true', 'ts');
SELECT feathub.create_feature_view('v', 'SELECT f.id, w.total FROM spine f LEFT JOIN LATERAL w(f.user_id, f.ts) WITH ORDINALITY w ON true', 'ts');
SELECT feathub.create_feature_view('v', 'SELECT f.id, w.total FROM spine f LEFT JOIN LATERAL w(random()::text, f.ts) w ON true', 'ts');
SELECT feathub.create_feature_view('v', 'SELECT f.id, (SELECT total FROM w(f.user_id)) FROM spine f', 'ts');
CREATE FUNCTION scalar(u text, at timestamptz) RETURNS bigint LANGUAGE sql STABLE
  RETURN (SELECT sum(cost) FROM click WHERE user_id = u AND t <= at);
SELECT feathub.create_feature_view('v', 'SELECT f.id, scalar(f.user_id, f.ts) FROM spine f', 'ts');
SELECT feathub.create_feature_view('other', 'SELECT f.id, f.user_id, c.cost FROM spine f LEFT JOIN click c USING (user_id)', 'ts');
SELECT feathub.create_feature_view('v', 'SELECT f.id, o.cost FROM spine f LEFT JOIN LATERAL other_online(f.id, f.user_id, f.ts) o ON true', 'ts');

-- create_window_function
SELECT feathub.create_window_function(NULL, 'click', 'count(*)');
SELECT feathub.create_window_function('x', NULL, 'count(*)');
SELECT feathub.create_window_function('x', 'click', NULL);
SELECT feathub.create_window_function('x', 'nowhere', 'count(*)');
SELECT feathub.create_window_function('x', 'spine', 'count(*)');
SELECT feathub.create_window_function('x', 'timeless', 'count(*)');
SELECT feathub.create_window_function('click', 'click', 'count(*)');
SELECT feathub.create_window_function('w', 'click', 'count(*)');
SELECT feathub.create_window_function('nowhere.w', 'click', 'count(*)');
SELECT feathub.create_window_function('x', 'click', 'count(*)', range => '-1 day');
SELECT feathub.create_window_function('x', 'click', 'count(*)', bounds => '[');
SELECT feathub.create_window_function('x', 'click', 'count(*)', bounds => '][');
SELECT feathub.create_window_function('x', 'click', 'count(*)', row_limit => 0);
SELECT feathub.create_window_function('x', 'click', 'count(*)', keys => '{user}');
SELECT feathub.create_window_function('x', 'click', 'count(*)', keys => '{NULL}');
SELECT feathub.create_window_function('x', 'click', 'cost');
SELECT feathub.create_window_function('x', 'click', 'cost', row_limit => 2);
SELECT feathub.create_window_function('x', 'click', 'row_number() OVER ()', row_limit => 1);
SELECT feathub.create_window_function('x', 'click', 'generate_series(1, 2)', row_limit => 1);
SELECT feathub.create_window_function('x', 'click', 'max(random())');
-- (PostgreSQL 18 shows the place)
\set VERBOSITY sqlstate
SELECT feathub.create_window_function('x', 'click', 'count(*), count(cost)');
\set VERBOSITY default
SELECT feathub.create_window_function('x', 'click', 'sum(nothing)');
SELECT feathub.create_window_function('x', 'click', 'count(* FROM click');
SELECT feathub.create_window_function('x', 'click', '');
SELECT feathub.create_window_function('x', 'click', 'count(*) FROM click');
SELECT feathub.create_window_function('x', 'click', '1; DROP TABLE spine');
SELECT feathub.create_window_function('x', 'click', 'count(*) INTO x');
SELECT feathub.create_window_function('x', 'click', 'count(*)', filter => 'cost');
SELECT feathub.create_window_function('x', 'click', 'count(*)', filter => 'cost > 1, true');
SELECT feathub.create_window_function('x', 'click', 'count(*)', filter => 'true GROUP BY cost');
SELECT feathub.create_window_function('x', 'click', 'count(*)', filter => 'count(*) > 1');
-- a comment is one, and ends with its line
SELECT feathub.create_window_function('x', 'click', 'count(*) AS n -- all', filter => 'true -- not');

-- rights: the function is the caller's and reads as its caller
CREATE ROLE regress_windows_user;
GRANT USAGE, CREATE ON SCHEMA windows_errors TO regress_windows_user;
SET ROLE regress_windows_user;
SELECT feathub.create_window_function('mine', 'click', 'count(*) AS n');
SELECT pg_get_userbyid(proowner), prosecdef FROM pg_proc WHERE oid = 'mine'::regproc;
SELECT * FROM mine('a');
RESET ROLE;
GRANT SELECT ON click TO regress_windows_user;
SET ROLE regress_windows_user;
SELECT * FROM mine('a');
RESET ROLE;

SET client_min_messages = warning;
DROP SCHEMA windows_errors CASCADE;
DROP ROLE regress_windows_user;
