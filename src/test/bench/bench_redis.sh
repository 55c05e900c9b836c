#!/bin/bash
# bench_redis.sh: part "redis" of make bench.  Foreign tables of Redis beside a C
# client with hiredis (bench_redis.c), in one run on one server.
#
#   BENCH_ROWS=n       hashes of 6 fields (200000)
#
# Called by bench.sh with a PostgreSQL server in PGHOST and PGPORT.
set -euo pipefail

here=$(dirname "${BASH_SOURCE[0]}")
. "$here/../bin/lib.sh"
rows=${BENCH_ROWS:-200000}
half=$((rows / 2))
dir=$(mktemp -d)
port=$(free_port 1)
pid=
finish() {
	[ -z "$pid" ] || kill "$pid"
	rm -rf "$dir"
}
trap finish EXIT
gcc -O2 -o "$dir/client" "$here/bench_redis.c" $(pkg-config --cflags --libs hiredis)
redis-server --port "$port" --bind 127.0.0.1 --dir "$dir" --save '' --appendonly no >"$dir/log" 2>&1 &
pid=$!
until redis-cli -p "$port" ping >/dev/null 2>&1; do sleep 0.05; done

query() { psql -X -q -A -t -v ON_ERROR_STOP=1 "$@"; }
# the seconds that a statement takes in a session that has a connection
seconds() {
	query -c 'SELECT count(*) FROM bench WHERE id = 1' -c '\timing on' -c "$1" |
		sed -n 's/^Time: \([0-9.]*\) ms.*/\1/p' | tail -1 | awk '{ printf "%.3f", $1 / 1000 }'
}
best() { printf '%s\n' "$@" | sort -n | head -1; }
# ratio WHAT OURS THEIRS ROWS GOAL: theirs / ours
show() {
	awk -v what="$1" -v ours="$2" -v theirs="$3" -v rows="$4" -v goal="$5" 'BEGIN {
		printf "  %-34s %7.3f s, %8.0f rows/s; C client %7.3f s, %8.0f rows/s; ratio %.2f (%s)\n",
			what, ours, rows / ours, theirs, rows / theirs, goal ~ /time/ ? ours / theirs : theirs / ours, goal }'
}

query <<X
CREATE EXTENSION IF NOT EXISTS feathub;
CREATE SERVER bench_redis FOREIGN DATA WRAPPER feathub_redis OPTIONS (port '$port');
CREATE USER MAPPING FOR CURRENT_USER SERVER bench_redis;
CREATE FOREIGN TABLE bench (id int OPTIONS (key 'true'), a bigint, b bigint, c bigint, d float8, e float8, f float8)
  SERVER bench_redis OPTIONS (kind 'hash', prefix 'bench:', write_mode 'upsert');
CREATE FOREIGN TABLE bench_new (id int OPTIONS (key 'true'), a bigint, b bigint, c bigint, d float8, e float8, f float8)
  SERVER bench_redis OPTIONS (kind 'hash', prefix 'bench:');
CREATE TABLE bench_local AS SELECT g AS id, g::bigint AS a, g::bigint * 2 AS b, g::bigint * 3 AS c,
  g * 4 + 0.25::float8 AS d, g * 5 + 0.25::float8 AS e, g * 6 + 0.25::float8 AS f FROM generate_series(1, $half) g;
CREATE TABLE bench_spine AS SELECT g * 7 AS id FROM generate_series(1, 10000) g;
ANALYZE bench_local, bench_spine;
X

theirs=() ours=() new=()
for i in 1 2 3; do
	redis-cli -p "$port" flushall >/dev/null
	theirs+=("$("$dir/client" "$port" insert "$half")")
	redis-cli -p "$port" flushall >/dev/null
	ours+=("$(seconds 'INSERT INTO bench SELECT * FROM bench_local')")
	redis-cli -p "$port" flushall >/dev/null
	new+=("$(seconds 'INSERT INTO bench_new SELECT * FROM bench_local')")
done
show "INSERT of $half, upsert" "$(best "${ours[@]}")" "$(best "${theirs[@]}")" "$half" "goal 0.7"
show "INSERT of $half, insert" "$(best "${new[@]}")" "$(best "${theirs[@]}")" "$half" "goal 0.7"

redis-cli -p "$port" flushall >/dev/null
"$dir/client" "$port" insert "$rows" >/dev/null
query -c 'ANALYZE bench'
theirs=() ours=()
for i in 1 2 3; do
	theirs+=("$("$dir/client" "$port" scan "$rows")")
	ours+=("$(seconds 'SELECT count(*), sum(a), sum(b), sum(c), sum(d), sum(e), sum(f) FROM bench')")
done
show "scan of $rows" "$(best "${ours[@]}")" "$(best "${theirs[@]}")" "$rows" "of time, goal 1.5"
theirs=() ours=()
for i in 1 2 3 4 5; do
	theirs+=("$("$dir/client" "$port" lookup 10000)")
	ours+=("$(seconds 'SELECT count(*), sum(a), sum(b), sum(c), sum(d), sum(e), sum(f) FROM bench_spine JOIN bench USING (id)')")
done
show "join of 10000 by key" "$(best "${ours[@]}")" "$(best "${theirs[@]}")" 10000 "goal 0.5"
