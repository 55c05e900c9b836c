#!/bin/bash
# bench_vector.sh: feature vectors against hand-written joins, in one run.
#
# bench.sh calls it with a server running; pgbench and psql find it in the
# environment.  20 features of 3 groups of 100,000 entities: one vector against
# the prepared join by key, 100 vectors against the join with = ANY.  Rounds of
# all variants alternate, so that what else the machine does hits all alike; a
# figure is the best round's average latency.
#
#   BENCH_ROUNDS=n     rounds (7)
#   BENCH_SECONDS=n    seconds of a variant in a round (3)
set -euo pipefail

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
rounds=${BENCH_ROUNDS:-7}
seconds=${BENCH_SECONDS:-3}

psql -X -q -v ON_ERROR_STOP=1 postgres <<'SQL'
SET client_min_messages = warning;
DROP SCHEMA IF EXISTS bench_vector CASCADE;
CREATE EXTENSION IF NOT EXISTS feathub;
CREATE SCHEMA bench_vector;
SET search_path = bench_vector;
SELECT format('CREATE TABLE g%1$s_source (k%1$s int, t timestamptz, %2$s)', g, string_agg(format('f%s_%s float8', g, f), ', '))
  FROM generate_series(1, 3) AS g, generate_series(1, 6 + (g > 1)::int) AS f GROUP BY g \gexec
SELECT feathub.create_feature_group('g' || g, ('g' || g || '_source')::regclass, ARRAY['k' || g], 't') FROM generate_series(1, 3) AS g;
SELECT format('INSERT INTO g%1$s_online SELECT k, now(), %2$s FROM generate_series(1, 100000) AS k', g, string_agg('random()', ', '))
  FROM generate_series(1, 3) AS g, generate_series(1, 6 + (g > 1)::int) AS f GROUP BY g \gexec
CREATE TABLE spine (k1 int, k2 int, k3 int, at timestamptz, label int);
SELECT feathub.create_feature_view('v', format('SELECT s.k1, s.k2, s.k3, s.at, %s, s.label FROM spine s '
  'LEFT JOIN g1 USING (k1) LEFT JOIN g2 USING (k2) LEFT JOIN g3 USING (k3)', string_agg(format('f%s_%s', g, f), ', ')), 'at', '{label}')
  FROM generate_series(1, 3) AS g, generate_series(1, 6 + (g > 1)::int) AS f;
VACUUM ANALYZE;
SQL
export PGOPTIONS="-c search_path=bench_vector"
features=$(psql -X -A -t postgres -c "SELECT string_agg(format('f%s_%s', g, f), ', ') FROM generate_series(1, 3) AS g, generate_series(1, 6 + (g > 1)::int) AS f")
keys='\set a random(1, 99000)
\set b random(1, 99000)
\set c random(1, 99000)'

cat >"$dir/one_join" <<SQL
$keys
SELECT s.*, $features FROM (SELECT :a ::int AS k1, :b ::int AS k2, :c ::int AS k3, now() AS at) s LEFT JOIN g1_online USING (k1) LEFT JOIN g2_online USING (k2) LEFT JOIN g3_online USING (k3);
SQL
cat >"$dir/one_function" <<SQL
$keys
SELECT * FROM v_online(:a, :b, :c);
SQL
cat >"$dir/one_join_jsonb" <<SQL
$keys
SELECT to_jsonb(o) FROM (SELECT s.*, $features FROM (SELECT :a ::int AS k1, :b ::int AS k2, :c ::int AS k3, now() AS at) s LEFT JOIN g1_online USING (k1) LEFT JOIN g2_online USING (k2) LEFT JOIN g3_online USING (k3)) o;
SQL
cat >"$dir/one_vector" <<SQL
$keys
SELECT feathub.get_feature_vector('v', jsonb_build_object('k1', :a ::int, 'k2', :b ::int, 'k3', :c ::int));
SQL
many="ARRAY(SELECT i FROM generate_series(:a ::int, :a ::int + 99) i)"
cat >"$dir/many_join" <<SQL
$keys
SELECT g1_online.k1, $features FROM g1_online JOIN g2_online ON k2 = k1 JOIN g3_online ON k3 = k1 WHERE k1 = ANY ($many);
SQL
cat >"$dir/many_function" <<SQL
$keys
SELECT o.* FROM unnest($many) AS e (k) CROSS JOIN LATERAL v_online(e.k, e.k, e.k) AS o;
SQL
cat >"$dir/many_join_jsonb" <<SQL
$keys
SELECT jsonb_agg(to_jsonb(o)) FROM (SELECT g1_online.k1, k2, k3, now() AS at, $features FROM g1_online JOIN g2_online ON k2 = k1 JOIN g3_online ON k3 = k1 WHERE k1 = ANY ($many)) o;
SQL
cat >"$dir/many_vector" <<SQL
$keys
SELECT feathub.get_feature_vectors('v', (SELECT jsonb_agg(jsonb_build_object('k1', k, 'k2', k, 'k3', k)) FROM unnest($many) AS k));
SQL

variants=(one_join one_function one_join_jsonb one_vector many_join many_function many_join_jsonb many_vector)
for ((round = 0; round <= rounds; round++)); do	# the first warms up
	for variant in "${variants[@]}"; do
		latency=$(pgbench -n -M prepared -T $((round ? seconds : 1)) -f "$dir/$variant" postgres 2>&1 |
			sed -n 's/^latency average = \([0-9.]*\) ms/\1/p')
		[ -n "$latency" ] || { echo "pgbench failed: $variant" >&2; exit 1; }
		[ $round -eq 0 ] || echo "$latency" >>"$dir/$variant.ms"
	done
done

best() { sort -n "$dir/$1.ms" | head -1; }
status=0
report() {	# name, variant, baseline, goal or nothing
	local ours base ratio
	ours=$(best "$2")
	base=$(best "$3")
	ratio=$(awk "BEGIN { printf \"%.2f\", $ours / $base }")
	printf '%-44s %8s ms  %8s ms  %5s%s\n' "$1" "$ours" "$base" "$ratio" "${4:+  (goal: at most $4)}"
	[ -z "${4:-}" ] || awk "BEGIN { exit !($ratio <= $4) }" || status=1
}
printf '%-44s %11s  %11s  %5s\n' "20 features of 3 groups, 100,000 entities" ours by\ hand ratio
report "one vector, v_online(...)" one_function one_join 1.3
report "one vector, get_feature_vector" one_vector one_join 1.3
report "  against to_jsonb of the join" one_vector one_join_jsonb
report "100 vectors, v_online(...)" many_function many_join 1.3
report "100 vectors, get_feature_vectors" many_vector many_join
report "  against jsonb_agg of the join" many_vector many_join_jsonb 1.3
psql -X -q postgres -c 'SET client_min_messages = warning; DROP SCHEMA bench_vector CASCADE'
exit $status
