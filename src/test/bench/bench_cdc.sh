#!/bin/bash
# bench_cdc.sh: a MariaDB's binary log, read by feathub and by Debezium, and
# written by one client, in one run.  Called by bench.sh with psql's environment,
# BENCH_RUN, BENCH_PYTHON (with confluent-kafka), BENCH_BOOTSTRAP and, if it could
# be fetched, BENCH_CONNECT (Kafka Connect with Debezium's connector).
# BENCH_ROWS=n changes (1000000).
#
# What the clocks count:
#   feathub    from before create_feature_group until wait_for_job says that all is
#              applied: the making of the group, the worker's start and its
#              connection too
#   Debezium   from its first change in Kafka to its last: neither the start of
#              Java nor that of the connector (peer_debezium.py)
#   the writer the client's run
# CPU time is the worker's or Java's within that.
set -euo pipefail
here=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")
. "$here/../bin/lib.sh"
. "$here/mariadb.sh"
export BENCH_ROWS=${BENCH_ROWS:-1000000}
dir=$BENCH_RUN/mysql
BENCH_MYSQL_PORT=$(free_port)
export BENCH_MYSQL_PORT
trap mariadb_stop EXIT
mariadb_start "$dir" "$BENCH_MYSQL_PORT" --server-id=1 --log-bin=binlog --binlog-format=ROW --binlog-row-image=FULL \
	--binlog-row-metadata=FULL --gtid-strict-mode=1 --sync-binlog=0
my bench <<X
CREATE TABLE \`rows\` (id int PRIMARY KEY, k bigint NOT NULL, a double, b decimal(10,2), c varchar(30), d datetime, e date, f int, t timestamp(6) NOT NULL);
X
[ -z "${BENCH_CONNECT:-}" ] || "$BENCH_PYTHON" "$here/peer_debezium.py" position

line() { printf '%-36s %9s rows/s  %s\n' "$1" "$2" "${3:-}"; }
# rate ROWS BEGIN: rows a second since a time in nanoseconds
rate() { awk -v n="$1" -v t=$(($(date +%s%N) - $2)) 'BEGIN { printf "%d", n / (t / 1e9) }'; }

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
writer=$(rate "$BENCH_ROWS" "$begin")
rm "$dir/changes.sql"
[ -z "${BENCH_CONNECT:-}" ] || my bench -e 'INSERT INTO cdc_end VALUES (1)'
left=$(my bench -N -e 'SELECT COUNT(*) FROM `rows`')

columns="id int OPTIONS (key 'true'), k bigint, a float8, b numeric(10,2), c varchar(30), d timestamp, e date, f int, t timestamptz(6)"
psql -X -q -v ON_ERROR_STOP=1 >/dev/null <<X
CREATE EXTENSION IF NOT EXISTS feathub;
CREATE SERVER cdc_bench FOREIGN DATA WRAPPER feathub_mysql OPTIONS (host '127.0.0.1', port '$BENCH_MYSQL_PORT', database 'bench');
CREATE USER MAPPING FOR CURRENT_USER SERVER cdc_bench OPTIONS (user 'fh', password 'fh-secret');
CREATE FOREIGN TABLE cdc_source ($columns) SERVER cdc_bench OPTIONS (table_name 'rows', stream_mode 'binlog', snapshot_mode 'never');
CREATE FOREIGN TABLE cdc_copy_source ($columns) SERVER cdc_bench OPTIONS (table_name 'rows', stream_mode 'binlog');
X

query() { psql -X -q -A -t -v ON_ERROR_STOP=1 -c "$1"; }
# group LABEL NAME SOURCE EVENT_TIME ROWS: how many of ROWS a second; sets speed
group() {
	local begin worker cpu here there
	begin=$(date +%s%N)
	query "SELECT feathub.create_feature_group('$2', '$3', '{id}'$4)" >/dev/null
	query "SELECT feathub.wait_for_job('$2', '1 h')" >/dev/null
	speed=$(rate "$5" "$begin")
	worker=$(query "SELECT pid FROM pg_stat_activity WHERE backend_type = 'feathub worker'")
	cpu=$(awk -v tick="$(getconf CLK_TCK)" -v n="$5" '{ sub(/.*\) /, ""); printf "%.2f", ($12 + $13) / tick / n * 1e6 }' "/proc/$worker/stat")
	line "$1" "$speed" "$cpu us of CPU time a row"
	# nothing is figured for rows that are not there
	here=$(query "SELECT count(*), sum(k), sum(f), sum(b) FROM $2_online")
	there=$(my bench -N -B -e 'SELECT count(*), sum(k), sum(f), sum(b) FROM `rows`' | tr '\t' '|')
	[ "$here" = "$there" ] || { echo "$2_online is not what the server has: $here instead of $there" >&2; exit 1; }
	[ "$(query "SELECT records FROM feathub.job_status WHERE job = '$2'")" = "$5" ] || { echo "$2: not $5 records" >&2; exit 1; }
	query "SELECT feathub.drop_feature_group('$2')" >/dev/null
}
group "feathub, to a feature group" cdc_group cdc_source ", 't'" "$BENCH_ROWS"
ours=$speed
group "feathub, to one without event time" cdc_latest cdc_source "" "$BENCH_ROWS"
latest=$speed
group "feathub, first copy" cdc_copied cdc_copy_source ", 't'" "$left"

# How many times as fast both kinds of groups are.
ratio() { awk -v a="$ours" -v l="$latest" -v b="$1" -v goal="${2:+ (goal: $2)}" 'BEGIN { printf "feathub %.1f times%s, without event time %.1f", a / b, goal, l / b }'; }
line "one writer, MariaDB" "$writer" "$(ratio "$writer" 1)"
if [ -n "${BENCH_CONNECT:-}" ]; then
	for sink in kafka nothing; do
		figures=$("$BENCH_PYTHON" "$here/peer_debezium.py" measure "$sink")
		read -r debezium cpu <<<"$figures"
		goal=3
		[ "$sink" = kafka ] || goal=
		line "Debezium 3.4, to $sink" "$debezium" "$cpu us of CPU time a row; $(ratio "$debezium" $goal)"
	done
fi
