#!/bin/bash
# bench_cdc.sh: a MariaDB's binary log, read by feathub and by Debezium, and
# written by one client, in one run.  Called by bench.sh with psql's environment,
# BENCH_RUN, BENCH_PYTHON (with confluent-kafka), BENCH_BOOTSTRAP and, if it could
# be fetched, BENCH_CONNECT (Kafka Connect with Debezium's connector).
# BENCH_ROWS=n changes (500000).
set -euo pipefail
src=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")
export BENCH_ROWS=${BENCH_ROWS:-500000}
dir=$BENCH_RUN/mysql
mkdir -p "$dir"
export BENCH_MYSQL_PORT=$((20000 + RANDOM % 10000))
user=()
[ "$(id -u)" != 0 ] || { user=(--user=mysql); chown mysql "$dir" 2>/dev/null || user=(--user=root); chmod 755 "$BENCH_RUN"; }
PATH=$PATH:/usr/sbin
mariadb-install-db --no-defaults "${user[@]}" --datadir="$dir/data" --skip-test-db --auth-root-authentication-method=normal >"$dir/install.log" 2>&1
mariadbd --no-defaults "${user[@]}" --datadir="$dir/data" --socket="$dir/s" --bind-address=127.0.0.1 --port="$BENCH_MYSQL_PORT" \
	--innodb-buffer-pool-size=512M --innodb-flush-log-at-trx-commit=2 --character-set-server=utf8mb4 \
	--server-id=1 --log-bin=binlog --binlog-format=ROW --binlog-row-image=FULL --binlog-row-metadata=FULL --gtid-strict-mode=1 --sync-binlog=0 \
	>"$dir/log" 2>&1 </dev/null &
server=$!
trap 'kill $server; wait $server || true' EXIT
my() { mariadb --no-defaults -S "$dir/s" -uroot "$@"; }
for _ in $(seq 300); do my -e 'SELECT 1' >/dev/null 2>&1 && break; sleep 0.1; done
my <<X
CREATE DATABASE bench; CREATE USER fh@'%' IDENTIFIED BY 'fh-secret'; GRANT ALL ON *.* TO fh@'%'; USE bench;
CREATE TABLE \`rows\` (id int PRIMARY KEY, k bigint NOT NULL, a double, b decimal(10,2), c varchar(30), d datetime, e date, f int, t timestamp(6) NOT NULL);
X
[ -z "${BENCH_CONNECT:-}" ] || "$BENCH_PYTHON" "$src/peer_debezium.py" position

# Of ten changes six are inserts, three updates, one is a deletion; a hundred to a transaction.
awk -v n="$BENCH_ROWS" 'BEGIN {
	for (i = 0; i < n; i++) {
		if (i % 100 == 0) print "BEGIN;"
		if (i % 10 < 6)
			printf "INSERT INTO `rows` VALUES (%d, %d, %d / 7, %d / 4, \"row number %d\", \"2013-01-01 00:00:00\" + INTERVAL %d SECOND, \"2013-01-01\" + INTERVAL %d DAY, %d, NOW(6));\n",
				i, i * 7, i, i, i, i, i % 365, i % 2
		else if (i % 10 < 9)
			printf "UPDATE `rows` SET a = a + 1, c = \"changed\", t = NOW(6) WHERE id = %d;\n", i - 6
		else
			printf "DELETE FROM `rows` WHERE id = %d;\n", i - 4
		if (i % 100 == 99 || i == n - 1) print "COMMIT;"
	}
}' >"$dir/changes.sql"
[ -z "${BENCH_CONNECT:-}" ] || my bench -e 'INSERT INTO cdc_begin VALUES (1)'
begin=$(date +%s%N)
my bench <"$dir/changes.sql"
writer=$(awk -v n="$BENCH_ROWS" -v t=$(($(date +%s%N) - begin)) 'BEGIN { printf "%d", n / (t / 1e9) }')
[ -z "${BENCH_CONNECT:-}" ] || my bench -e 'INSERT INTO cdc_end VALUES (1)'

# Ours, from the job's making on: a feature group with history.
psql -X -q -c 'CREATE DATABASE bench_cdc'
begin=$(date +%s%N)
PGDATABASE=bench_cdc psql -X -q -v ON_ERROR_STOP=1 >"$dir/ours" <<X
CREATE EXTENSION feathub;
CREATE SERVER cdc FOREIGN DATA WRAPPER feathub_mysql OPTIONS (host '127.0.0.1', port '$BENCH_MYSQL_PORT', database 'bench');
CREATE USER MAPPING FOR CURRENT_USER SERVER cdc OPTIONS (user 'fh', password 'fh-secret');
CREATE FOREIGN TABLE cdc_source (id int OPTIONS (key 'true'), k bigint, a float8, b numeric(10,2), c varchar(30), d timestamp, e date, f int, t timestamptz)
  SERVER cdc OPTIONS (table_name 'rows', stream_mode 'binlog', snapshot_mode 'never');
SELECT feathub.create_feature_group('cdc', source => 'cdc_source', primary_key => '{id}', event_time => 't');
SELECT feathub.wait_for_job('cdc', timeout => '600 s');
X
ours=$(awk -v n="$BENCH_ROWS" -v t=$(($(date +%s%N) - begin)) 'BEGIN { printf "%d", n / (t / 1e9) }')
# nothing is figured for rows that are not there
here=$(PGDATABASE=bench_cdc psql -X -q -A -t -c 'SELECT count(*), sum(k), sum(f) FROM cdc_online')
there=$(my -N -B bench -e 'SELECT count(*), sum(k), sum(f) FROM `rows`' | tr '\t' '|')
[ "$here" = "$there" ] || { echo "wrong rows: $here instead of $there"; exit 1; }
read -r read_rows < <(PGDATABASE=bench_cdc psql -X -q -A -t -c "SELECT records FROM feathub.job_status")
[ "$read_rows" = "$BENCH_ROWS" ] || { echo "$read_rows changes instead of $BENCH_ROWS"; exit 1; }

line() { printf '%-44s %9s rows/s %s\n' "$1" "$2" "${3:-}"; }
ratio() { awk -v a="$ours" -v b="$1" -v goal="${2:+ (goal: $2)}" 'BEGIN { printf "feathub %.1f times%s", a / b, goal }'; }
line "feathub, to a feature group" "$ours"
line "one writer, MariaDB" "$writer" "$(ratio "$writer" 1)"
if [ -n "${BENCH_CONNECT:-}" ]; then
	for sink in kafka nothing; do
		debezium=$("$BENCH_PYTHON" "$src/peer_debezium.py" measure $sink)
		goal=
		[ $sink = nothing ] || goal=3
		line "Debezium 3.4, to $sink" "$debezium" "$(ratio "$debezium" $goal)"
	done
fi

# feathub: the log from its begin to a feature group, with history and deletions,
# and to one without event time; from the creation of the group on, by which a
# worker has to start.
psql -X -q -v ON_ERROR_STOP=1 >/dev/null <<X
CREATE EXTENSION IF NOT EXISTS feathub;
CREATE SERVER cdc_bench FOREIGN DATA WRAPPER feathub_mysql OPTIONS (host '127.0.0.1', port '$BENCH_MYSQL_PORT', database 'bench');
CREATE USER MAPPING FOR CURRENT_USER SERVER cdc_bench OPTIONS (user 'fh', password 'fh-secret');
CREATE FOREIGN TABLE cdc_source (id int OPTIONS (key 'true'), k bigint, a float8, b numeric(10,2), c varchar(30), d timestamp, e date, f int, t timestamptz(6))
  SERVER cdc_bench OPTIONS (table_name 'rows', stream_mode 'binlog', snapshot_mode 'never');
CREATE FOREIGN TABLE cdc_copy_source (id int OPTIONS (key 'true'), k bigint, a float8, b numeric(10,2), c varchar(30), d timestamp, e date, f int, t timestamptz(6))
  SERVER cdc_bench OPTIONS (table_name 'rows', stream_mode 'binlog');
X
# group LABEL NAME SOURCE EVENT_TIME ROWS: how many of ROWS a second
group() {
	local begin
	begin=$(date +%s%N)
	psql -X -q -v ON_ERROR_STOP=1 -c "SELECT feathub.create_feature_group('$2', '$3', '{id}'$4)" -c "SELECT feathub.wait_for_job('$2', '1 h')" >/dev/null
	line "$1" "$(awk -v n="$5" -v t=$(($(date +%s%N) - begin)) 'BEGIN { printf "%d", n / (t / 1e9) }')"
	[ "$(psql -X -A -t -c "SELECT count(*) FROM $2_online")" = "$(my bench -N -e 'SELECT COUNT(*) FROM `rows`')" ] ||
		{ echo "$2_online is not what the server has" >&2; exit 1; }
	psql -X -q -c "SELECT feathub.drop_feature_group('$2')" >/dev/null
}
group "feathub, to a feature group" cdc_group cdc_source ", 't'" "$BENCH_ROWS"
group "feathub, to one without event time" cdc_latest cdc_source "" "$BENCH_ROWS"
group "feathub, first copy" cdc_copied cdc_copy_source ", 't'" "$(my bench -N -e 'SELECT COUNT(*) FROM `rows`')"
