#!/bin/bash
# bench_sinks.sh: servers for bench_sinks.py, which it runs.  Called by bench.sh
# with psql's environment, BENCH_RUN and BENCH_BOOTSTRAP; $1 is its Python.
set -euo pipefail
here=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")
. "$here/../bin/lib.sh"
dir=$BENCH_RUN/mysql
mkdir -p "$dir" "$BENCH_RUN/redis"
BENCH_REDIS=$(free_port 2)
BENCH_MYSQL=$((BENCH_REDIS + 1))
export BENCH_REDIS BENCH_MYSQL
user=()
[ "$(id -u)" != 0 ] || { user=(--user=mysql); chown mysql "$dir" 2>/dev/null || user=(--user=root); chmod 755 "$BENCH_RUN"; }
PATH=$PATH:/usr/sbin
pids=()
finish() {
	kill "${pids[@]}" 2>/dev/null || true
	wait "${pids[@]}" 2>/dev/null || true
}
trap finish EXIT
redis-server --port "$BENCH_REDIS" --bind 127.0.0.1 --dir "$BENCH_RUN/redis" --save '' --appendonly no >"$BENCH_RUN/redis/log" 2>&1 </dev/null &
export BENCH_REDIS_PID=$!
pids+=($!)
mariadb-install-db --no-defaults "${user[@]}" --datadir="$dir/data" --skip-test-db --auth-root-authentication-method=normal >"$dir/install.log" 2>&1
mariadbd --no-defaults "${user[@]}" --datadir="$dir/data" --socket="$dir/s" --bind-address=127.0.0.1 --port="$BENCH_MYSQL" \
	--innodb-buffer-pool-size=512M --innodb-log-file-size=512M --innodb-flush-log-at-trx-commit=2 --character-set-server=utf8mb4 --local-infile=1 >"$dir/log" 2>&1 </dev/null &
export BENCH_MYSQL_PID=$!
pids+=($!)
for _ in $(seq 300); do mariadb --no-defaults -S "$dir/s" -uroot -e 'SELECT 1' >/dev/null 2>&1 && break; sleep 0.1; done
mariadb --no-defaults -S "$dir/s" -uroot -e "CREATE DATABASE bench; CREATE USER fh@'%' IDENTIFIED BY 'fh-secret'; GRANT ALL ON *.* TO fh@'%'"
until redis-cli -p "$BENCH_REDIS" ping >/dev/null 2>&1; do sleep 0.05; done
"$1" "$here/bench_sinks.py"
