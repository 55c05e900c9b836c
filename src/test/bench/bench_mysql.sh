#!/bin/bash
# bench_mysql.sh: MySQL tables through feathub, a C client and mysql_fdw
# (where it is installed), in one run on a private MariaDB.  Called by bench.sh
# with psql's environment and BENCH_RUN; BENCH_MYSQL_ROWS=n rows (1000000).
set -euo pipefail
here=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")
. "$here/../bin/lib.sh"
. "$here/mariadb.sh"
rows=${BENCH_MYSQL_ROWS:-1000000}
dir=$BENCH_RUN/mysql
mkdir -p "$dir"
port=$(free_port)
gcc -O2 -o "$dir/client" "$here/bench_mysql.c" $(pkg-config --cflags --libs libmariadb)
trap mariadb_stop EXIT
mariadb_start "$dir" "$port"
my bench <<X
CREATE TABLE \`rows\` (id int PRIMARY KEY, k bigint NOT NULL, a double, b decimal(10,2), c varchar(30), d datetime, e date, f int);
INSERT INTO \`rows\` SELECT seq, seq * 7, seq / 7, seq / 4, CONCAT('row number ', seq), '2013-01-01' + INTERVAL seq SECOND, '2013-01-01' + INTERVAL (seq % 365) DAY, seq % 2 FROM seq_1_to_$rows;
CREATE TABLE sink LIKE \`rows\`;
X
psql -X -q -v ON_ERROR_STOP=1 >"$dir/setup.log" 2>&1 <<X
DROP DATABASE IF EXISTS bench_mysql
X
psql -X -q -c 'CREATE DATABASE bench_mysql'
export PGDATABASE=bench_mysql
columns="id int OPTIONS (key 'true'), k bigint, a float8, b numeric(10,2), c varchar(30), d timestamp, e date, f int"
psql -X -q -v ON_ERROR_STOP=1 <<X
CREATE EXTENSION feathub;
CREATE SERVER ours FOREIGN DATA WRAPPER feathub_mysql OPTIONS (host '127.0.0.1', port '$port', database 'bench');
CREATE USER MAPPING FOR CURRENT_USER SERVER ours OPTIONS (user 'fh', password 'fh-secret');
CREATE FOREIGN TABLE ours ($columns) SERVER ours OPTIONS (table_name 'rows');
CREATE FOREIGN TABLE ours_sink ($columns) SERVER ours OPTIONS (table_name 'sink');
CREATE TABLE keys AS SELECT (i * 97 + 1)::int AS id FROM generate_series(0, 9999) i WHERE i * 97 + 1 <= $rows;
CREATE TABLE source AS SELECT i::int AS id, i * 7::int8 AS k, i / 7.0::float8 AS a, (i + 0.25)::numeric(10,2) AS b, 'row number ' || i AS c,
  timestamp '2013-01-01' + i * interval '1 second' AS d, date '2013-01-01' + i % 28 AS e, i % 2 AS f FROM generate_series(0, 99999) i;
ANALYZE keys; ANALYZE source; ANALYZE ours;
X
peer=
if psql -X -q -c 'CREATE EXTENSION mysql_fdw' 2>/dev/null; then
	peer=1
	psql -X -q -v ON_ERROR_STOP=1 <<X
CREATE SERVER peer FOREIGN DATA WRAPPER mysql_fdw OPTIONS (host '127.0.0.1', port '$port');
CREATE USER MAPPING FOR CURRENT_USER SERVER peer OPTIONS (username 'fh', password 'fh-secret');
CREATE FOREIGN TABLE peer (id int, k bigint, a float8, b numeric(10,2), c varchar(30), d timestamp, e date, f int) SERVER peer OPTIONS (dbname 'bench', table_name 'rows');
CREATE FOREIGN TABLE peer_sink (id int, k bigint, a float8, b numeric(10,2), c varchar(30), d timestamp, e date, f int) SERVER peer OPTIONS (dbname 'bench', table_name 'sink');
X
fi

# seconds and CPU seconds of a statement in a backend, the connection made before
measure() {
	psql -X -q -A -t -v ON_ERROR_STOP=1 <<X
SELECT 1 FROM $2 LIMIT 1 \g /dev/null
SELECT extract(epoch FROM clock_timestamp()) AS t, (SELECT sum(x::int8) / 100.0 FROM unnest((string_to_array(pg_read_file('/proc/self/stat'), ' '))[14:15]) x) AS c \gset
$1 \g /dev/null
SELECT round((extract(epoch FROM clock_timestamp()) - :t)::numeric, 3), round((SELECT sum(x::int8) / 100.0 FROM unnest((string_to_array(pg_read_file('/proc/self/stat'), ' '))[14:15]) x) - :c, 3) \pset fieldsep ' '
\g
X
}
line() { printf '%-34s %8s s %8s s CPU\n' "$1" $2; }
# the best of three, in turn
best() { sort -n | head -1; }
explain="EXPLAIN (ANALYZE, TIMING off)"
declare -A r
for try in 1 2 3; do
	"$dir/client" "$port" scan >>"$dir/scan.c"
	measure "$explain SELECT * FROM ours" ours >>"$dir/scan.ours"
	"$dir/client" "$port" lookup >>"$dir/lookup.c"
	measure "$explain SELECT * FROM keys JOIN ours USING (id)" ours >>"$dir/lookup.ours"
	my -e 'TRUNCATE bench.sink'; "$dir/client" "$port" insert >>"$dir/insert.c"
	my -e 'TRUNCATE bench.sink'; measure "INSERT INTO ours_sink SELECT * FROM source" ours >>"$dir/insert.ours"
done
if [ -n "$peer" ]; then
	measure "$explain SELECT * FROM peer" peer >"$dir/scan.peer"
	measure "$explain SELECT * FROM keys JOIN peer USING (id)" peer >"$dir/lookup.peer"
	my -e 'TRUNCATE bench.sink'; measure "INSERT INTO peer_sink SELECT * FROM source LIMIT 2000" peer >"$dir/insert.peer"
fi
for part in scan lookup insert; do
	r[$part.c]=$(best <"$dir/$part.c") r[$part.ours]=$(best <"$dir/$part.ours")
	line "$part: C client" "${r[$part.c]}"
	line "$part: feathub" "${r[$part.ours]}"
	[ -z "$peer" ] || line "$part: mysql_fdw$([ $part != insert ] || echo ', 2,000 rows')" "$(cat "$dir/$part.peer")"
done
ratio() { awk -v a="$1" -v b="$2" -v what="$3" -v goal="$4" 'BEGIN { split(a, x, " "); split(b, y, " "); printf "%-60s %6.2f  (goal %s)\n", what, x[1] / y[1], goal }'; }
ratio "${r[scan.ours]}" "${r[scan.c]}" "full scan, time against the C client's" "at most 1.4"
ratio "${r[lookup.ours]}" "${r[lookup.c]}" "join by key, time against the C client's IN lists" "at most 3"
ratio "${r[insert.c]}" "${r[insert.ours]}" "INSERT, rate against the C client's" "at least 0.6"
[ -z "$peer" ] || ratio "$(cut -d' ' -f2 <<<"${r[scan.ours]}")" "$(cut -d' ' -f2 "$dir/scan.peer")" "full scan, CPU against mysql_fdw's" "at most 0.5"
