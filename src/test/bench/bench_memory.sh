#!/bin/bash
# bench_memory.sh: does memory hold steady?  COPY of a million rows into each
# system, and a scan of ten million.
#
# bench.sh calls it with a server running; psql finds it in the environment.
# BENCH_RUN is a folder, BENCH_AS what runs the other servers as an ordinary
# user.  A backend's private memory (RssAnon) is sampled ten times a second;
# the figures are the peaks of the first third of the statement's time and of
# all of it.  The first COPY also has what the session needs anyway.
#
#   BENCH_ROWS=n       rows of a scan (10000000); a tenth of them is a COPY
#   BENCH_SYSTEMS=...  of file, kafka, mysql, redis (all that are here)
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/mariadb.sh"
rows=${BENCH_ROWS:-10000000}
tenth=$((rows / 10))
dir=$BENCH_RUN/memory
read -ra as <<<"${BENCH_AS:-}"
pids=()
stop() {
	local pid
	for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
	mariadb_stop
	[ ! -d "$dir/kafka" ] || "$here/../bin/kafka.sh" down "$dir/kafka" >/dev/null 2>&1 || true
}
trap stop EXIT
mkdir -p "$dir/files" "$dir/mysql" "$dir/redis"
chmod -R a+rwX "$dir"

sql() { psql -X -q -A -t -v ON_ERROR_STOP=1 postgres -c "$1"; }

port() {
	perl -MIO::Socket::INET -e 'print IO::Socket::INET->new(LocalAddr => "127.0.0.1", LocalPort => 0, Listen => 1)->sockport'
}

wait_for() {
	local i
	for i in $(seq 300); do
		! "$@" >/dev/null 2>&1 || return 0
		sleep 0.2
	done
	echo "no answer: $*" >&2
	return 1
}

private_kb() { awk '/^RssAnon/ { print $2 }' "/proc/$1/status" 2>/dev/null || true; }

# measure WHAT COMMAND: run one psql command and tell its backend's memory.
measure() {
	local what=$1 out=$dir/out pid backend= kb begin end samples=() early=0 peak=0
	shift
	: >"$out"
	begin=$(date +%s.%N)
	psql -X -q -A -t -v ON_ERROR_STOP=1 postgres -c 'SELECT pg_backend_pid()' -c "$1" >"$out" 2>&1 &
	pid=$!
	while kill -0 "$pid" 2>/dev/null; do
		[ -n "$backend" ] || backend=$(head -1 "$out")
		kb=
		[ -z "$backend" ] || kb=$(private_kb "$backend")
		[ -z "$kb" ] || samples+=("$kb")
		sleep 0.1
	done
	end=$(date +%s.%N)
	wait "$pid" || { cat "$out" >&2; return 1; }
	for kb in "${samples[@]:0:$(((${#samples[@]} + 2) / 3))}"; do [ "$kb" -le "$early" ] || early=$kb; done
	for kb in "${samples[@]}"; do [ "$kb" -le "$peak" ] || peak=$kb; done
	awk -v what="$what" -v b="$begin" -v e="$end" -v early="$early" -v peak="$peak" 'BEGIN {
		printf "%-44s %8.1f s  %7.1f MB in the first third, %7.1f MB at most%s\n",
			what, e - b, early / 1024, peak / 1024, (peak > early * 1.25 + 8192 ? "  GROWS" : "") }'
}

# one SYSTEM TABLE: copy ten times a tenth, scan all.
one() {
	local system=$1 table=$2 i
	measure "$system: COPY of $tenth rows" "COPY $table FROM '$dir/rows_0.csv' (FORMAT csv)"
	for i in 1 2 3 4 5 6 7 8 9; do
		sql "COPY $table FROM '$dir/rows_$i.csv' (FORMAT csv)"
	done
	measure "$system: scan of $rows rows" "SELECT count(*), sum(b), max(t), count(s) FROM $table"
	[ "$(tail -1 "$dir/out" | cut -d'|' -f1)" = "$rows" ] || { echo "$system: not $rows rows:"; cat "$dir/out"; return 1; } >&2
}

columns='id bigint, a int, b float8, t timestamptz, s text'
sql 'CREATE EXTENSION IF NOT EXISTS feathub'
for i in 0 1 2 3 4 5 6 7 8 9; do
	sql "COPY (SELECT i + $i::bigint * $tenth, i % 1000, i / 8.0, timestamptz '2026-01-01' + i * interval '1 s', 'value ' || i % 100000
	             FROM generate_series(1, $tenth) i) TO '$dir/rows_$i.csv' (FORMAT csv)"
done

for system in ${BENCH_SYSTEMS:-file kafka mysql redis}; do
	case $system in
		file)
			sql "CREATE SERVER memory_file FOREIGN DATA WRAPPER feathub_filesystem OPTIONS (folder '$dir/files');
			     CREATE FOREIGN TABLE memory_file ($columns) SERVER memory_file OPTIONS (path 'csv', format 'csv')"
			mkdir -m 777 "$dir/files/csv"
			one file memory_file
			rm -rf "$dir/files/csv"
			;;
		kafka)
			bootstrap=$(KAFKA_HEAP=1g "$here/../bin/kafka.sh" up "$dir/kafka" "$(port)") || { echo "kafka: not to be had"; continue; }
			gcc -O1 -o "$dir/kafka_client" "$here/../bin/test_kafka_client.c" $(pkg-config --cflags --libs rdkafka)
			printf 'create\tmemory\t6\n' | "$dir/kafka_client" "$bootstrap"
			sql "CREATE SERVER memory_kafka FOREIGN DATA WRAPPER feathub_kafka OPTIONS (bootstrap_servers '$bootstrap');
			     CREATE FOREIGN TABLE memory_kafka ($columns) SERVER memory_kafka OPTIONS (topic 'memory', format 'json')"
			one kafka memory_kafka
			"$here/../bin/kafka.sh" down "$dir/kafka"
			;;
		mysql)
			command -v mariadbd >/dev/null || { echo "mysql: no server here"; continue; }
			mysql_port=$(port)
			mariadb_start "$dir/mysql" "$mysql_port"
			my bench -e 'CREATE TABLE memory (id bigint PRIMARY KEY, a int, b double, t timestamp NULL, s varchar(40))'
			sql "CREATE SERVER memory_mysql FOREIGN DATA WRAPPER feathub_mysql OPTIONS (host '127.0.0.1', port '$mysql_port', pushdown 'false');
			     CREATE USER MAPPING FOR CURRENT_USER SERVER memory_mysql OPTIONS (user 'fh', password 'fh-secret');
			     CREATE FOREIGN TABLE memory_mysql ($columns) SERVER memory_mysql OPTIONS (database 'bench', table_name 'memory')"
			one mysql memory_mysql
			mariadb_stop
			;;
		redis)
			command -v redis-server >/dev/null || { echo "redis: no server here"; continue; }
			redis_port=$(port)
			"${as[@]}" redis-server --port "$redis_port" --bind 127.0.0.1 --dir "$dir/redis" --save '' --appendonly no >"$dir/redis/log" 2>&1 &
			pids+=($!)
			wait_for bash -c "exec 3<>/dev/tcp/127.0.0.1/$redis_port"
			sql "CREATE SERVER memory_redis FOREIGN DATA WRAPPER feathub_redis OPTIONS (host '127.0.0.1', port '$redis_port');
			     CREATE USER MAPPING FOR CURRENT_USER SERVER memory_redis;
			     CREATE FOREIGN TABLE memory_redis (id bigint OPTIONS (key 'true'), a int, b float8, t timestamptz, s text)
			       SERVER memory_redis OPTIONS (kind 'hash', prefix 'memory:')"
			one redis memory_redis
			kill "${pids[-1]}"
			;;
		*)
			echo "unknown system \"$system\"" >&2
			exit 1
			;;
	esac
done
