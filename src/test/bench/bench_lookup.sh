#!/bin/bash
# bench_lookup.sh: part "lookup" of make bench.  A job that enriches the records of
# a file by keys from Redis and from MySQL, beside the same job without a join, in
# one run.  Called by bench.sh with psql's environment and BENCH_RUN.
#
#   BENCH_ROWS=n       records (100000), and as many keys
set -euo pipefail
here=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")
. "$here/../bin/lib.sh"
. "$here/mariadb.sh"
rows=${BENCH_ROWS:-100000}
dir=$BENCH_RUN/lookup
mkdir -p "$dir/in"
chmod 755 "$BENCH_RUN" "$dir" "$dir/in"
port=$(free_port 2)
redis=
finish() {
	[ -z "$redis" ] || kill "$redis"
	mariadb_stop
}
trap finish EXIT
redis-server --port "$port" --bind 127.0.0.1 --dir "$dir" --save '' --appendonly no >"$dir/redis.log" 2>&1 </dev/null &
redis=$!
mariadb_start "$BENCH_RUN/mysql" "$((port + 1))"
until redis-cli -p "$port" ping >/dev/null 2>&1; do sleep 0.05; done
my bench <<X
CREATE TABLE keyed (id int PRIMARY KEY, city varchar(30), score double);
INSERT INTO keyed SELECT seq, CONCAT('city ', seq), seq / 7 FROM seq_1_to_$rows;
X
seq "$rows" | awk '{ printf "HSET bench:%d city \"city %d\" score %d\n", $1, $1, $1 }' | redis-cli -p "$port" >/dev/null
# every key once, in no order
seq "$rows" | awk -v n="$rows" '{ printf "{\"n\":%d,\"id\":%d,\"amount\":%d}\n", $1, ($1 * 7919) % n + 1, $1 % 1000 }' >"$dir/in/records.json"
chmod 644 "$dir/in/records.json"

query() { psql -X -q -A -t -v ON_ERROR_STOP=1 "$@"; }
query <<X
CREATE EXTENSION IF NOT EXISTS feathub;
CREATE SERVER bench_files FOREIGN DATA WRAPPER feathub_filesystem OPTIONS (folder '$dir');
CREATE SERVER bench_redis FOREIGN DATA WRAPPER feathub_redis OPTIONS (port '$port');
CREATE USER MAPPING FOR CURRENT_USER SERVER bench_redis;
CREATE SERVER bench_mysql FOREIGN DATA WRAPPER feathub_mysql OPTIONS (host '127.0.0.1', port '$((port + 1))', database 'bench');
CREATE USER MAPPING FOR CURRENT_USER SERVER bench_mysql OPTIONS (user 'fh', password 'fh-secret');
CREATE FOREIGN TABLE records (n int, id int, amount int) SERVER bench_files OPTIONS (path 'in', format 'json');
CREATE FOREIGN TABLE in_redis (id int OPTIONS (key 'true'), city text, score float8) SERVER bench_redis OPTIONS (kind 'hash', prefix 'bench:');
CREATE FOREIGN TABLE in_mysql (id int OPTIONS (key 'true'), city text, score float8) SERVER bench_mysql OPTIONS (table_name 'keyed');
CREATE TABLE here AS SELECT * FROM in_mysql;
ALTER TABLE here ADD PRIMARY KEY (id);
ANALYZE here;
X

# seconds from the start of the worker to its last commit
measure() {
	query <<X
SET client_min_messages = warning;
DROP TABLE IF EXISTS sink;
CREATE TABLE sink (n int, amount int, city text, score float8);
SELECT feathub.create_job('lookup', source => 'records', sink => 'sink', query => \$q\$ $1 \$q\$) \g /dev/null
SELECT feathub.wait_for_job('lookup', '300 s') \g /dev/null
SELECT pg_sleep(0.3) \g /dev/null
SELECT extract(epoch FROM last_commit_at - started_at)::numeric(10,3) FROM feathub.job_status WHERE job = 'lookup' AND applied = $rows;
SELECT feathub.drop_job('lookup') \g /dev/null
X
}
best() { for _ in 1 2 3; do measure "$1"; done | sort -n | head -1; }
alone=$(best "SELECT n, amount, NULL::text AS city, NULL::float8 AS score FROM batch")
show() { awk -v what="$1" -v s="$2" -v a="$alone" -v n="$rows" 'BEGIN { printf "  %-26s %7.3f s, %8.0f records/s, %.2f of the time alone\n", what, s, n / s, s / a }'; }
show "no join" "$alone"
for from in here in_redis in_mysql; do
	show "LEFT JOIN $from" "$(best "SELECT b.n, b.amount, l.city, l.score FROM batch b LEFT JOIN public.$from l ON l.id = b.id")"
done
