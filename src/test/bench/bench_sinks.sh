#!/bin/bash
# bench_sinks.sh: servers for bench_sinks.py, which it runs.  Called by bench.sh
# with psql's environment, BENCH_RUN and BENCH_BOOTSTRAP; $1 is its Python.
set -euo pipefail
here=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")
. "$here/../bin/lib.sh"
. "$here/mariadb.sh"
mkdir -p "$BENCH_RUN/redis"
BENCH_REDIS=$(free_port 2)
BENCH_MYSQL=$((BENCH_REDIS + 1))
export BENCH_REDIS BENCH_MYSQL
BENCH_REDIS_PID=
finish() {
	[ -z "$BENCH_REDIS_PID" ] || kill "$BENCH_REDIS_PID" 2>/dev/null || true
	mariadb_stop
}
trap finish EXIT
redis-server --port "$BENCH_REDIS" --bind 127.0.0.1 --dir "$BENCH_RUN/redis" --save '' --appendonly no >"$BENCH_RUN/redis/log" 2>&1 </dev/null &
BENCH_REDIS_PID=$!
mariadb_start "$BENCH_RUN/mysql" "$BENCH_MYSQL" --innodb-log-file-size=512M --local-infile=1
BENCH_MYSQL_PID=$mariadb_pid
export BENCH_REDIS_PID BENCH_MYSQL_PID
until redis-cli -p "$BENCH_REDIS" ping >/dev/null 2>&1; do sleep 0.05; done
"$1" "$here/bench_sinks.py"
