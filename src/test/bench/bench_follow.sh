#!/bin/bash
# bench_follow.sh: part "follow" of make bench.  A directory of json lines that a
# job streams into a feature group, beside COPY of the same rows from csv files into
# a table with the same primary key, in turn on one server, several times.  The
# goal is for one worker; two share the files, and say what a second core is worth.
#
#   BENCH_ROWS=n       rows (2000000), in 20 files
#   BENCH_RUNS=n       runs of each (3); the best counts
#
# Called by bench.sh with psql's environment and BENCH_RUN.
set -euo pipefail
here=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")
. "$here/../bin/lib.sh"
rows=${BENCH_ROWS:-2000000}
runs=${BENCH_RUNS:-3}
files=20
dir=$BENCH_RUN/follow
mkdir -p "$dir/json" "$dir/csv"
chmod 755 "$BENCH_RUN" "$dir" "$dir/json" "$dir/csv"

# a tenth of the rows are late by up to an hour; a key has twenty rows
for f in $(seq 0 $((files - 1))); do
	awk -v f="$f" -v n="$((rows / files))" -v keys="$((rows / 20))" -v json="$dir/json/$f.json" -v csv="$dir/csv/$f.csv" 'BEGIN {
		srand(f + 1)
		for (i = 0; i < n; i++) {
			seq = f * n + i
			t = 1704067200 + seq / 100 - (rand() < 0.1 ? int(rand() * 3600) : 0)
			when = strftime("%Y-%m-%dT%H:%M:%S", t, 1) sprintf(".%06dZ", (seq * 7919) % 1000000)
			user = (seq * 7919) % keys
			amount = int(rand() * 100000) / 100
			printf "{\"user_id\":%d,\"event_time\":\"%s\",\"amount_30d\":%.2f,\"orders_30d\":%d,\"country\":\"%s\",\"score\":%.6f}\n", user, when, amount, seq % 50, substr("DEFRITESNLPL", seq % 6 * 2 + 1, 2), rand() >json
			printf "%d,%s,%.2f,%d,%s,%.6f\n", user, when, amount, seq % 50, substr("DEFRITESNLPL", seq % 6 * 2 + 1, 2), rand() >csv
		}
	}' &
	[ $((f % 2)) -eq 0 ] || wait
done
wait
cat "$dir"/csv/*.csv >"$dir/all.csv"
chmod 644 "$dir"/*/* "$dir/all.csv"

query() { psql -X -q -A -t -v ON_ERROR_STOP=1 "$@"; }
now() { date +%s.%N; }
since() { awk -v a="$1" -v b="$(now)" 'BEGIN { printf "%.2f", b - a }'; }
best() { printf '%s\n' "$@" | sort -n | head -1; }
columns="user_id int, event_time timestamptz, amount_30d float8, orders_30d int, country text, score float8"
query <<X
CREATE EXTENSION IF NOT EXISTS feathub;
CREATE SERVER bench_files FOREIGN DATA WRAPPER feathub_filesystem OPTIONS (folder '$dir');
CREATE FOREIGN TABLE bench_stream ($columns) SERVER bench_files OPTIONS (path 'json', format 'json');
X
wait_for() {
	local i
	for ((i = 0; i < 4000; i++)); do
		! query -c "SELECT feathub.wait_for_job('$1', timeout => '300 ms')" >/dev/null 2>&1 || return 0
	done
	query -c "SELECT last_error FROM feathub.job_status WHERE job = '$1'" >&2
	return 1
}

copy=() offline=() both=() shared=()
for i in $(seq "$runs"); do
	query -c 'DROP TABLE IF EXISTS bench_copy' -c "CREATE TABLE bench_copy ($columns, PRIMARY KEY (user_id, event_time))" -c CHECKPOINT
	begin=$(now)
	query -c "COPY bench_copy FROM '$dir/all.csv' (FORMAT csv)"
	copy+=("$(since "$begin")")
	for part in offline both shared; do
		online=true workers=1
		[ $part != offline ] || online=false
		[ $part != shared ] || workers=2
		query -c CHECKPOINT
		begin=$(now)
		query -c "SELECT feathub.create_feature_group('bench_group', source => 'bench_stream', primary_key => '{user_id}', event_time => 'event_time', online => $online, workers => $workers)" >/dev/null
		wait_for bench_group
		case $part in
			offline) offline+=("$(since "$begin")") ;;
			both) both+=("$(since "$begin")") ;;
			shared) shared+=("$(since "$begin")") ;;
		esac
		[ "$(query -c 'SELECT count(*) FROM bench_group')" = "$(query -c 'SELECT count(*) FROM bench_copy')" ] || die "not all rows arrived"
		query -c "SELECT feathub.drop_feature_group('bench_group')" >/dev/null
	done
done
show() {
	awk -v what="$1" -v ours="$2" -v copy="$(best "${copy[@]}")" -v rows="$rows" -v goal="${3:-}" 'BEGIN {
		printf "  %-42s %7.2f s, %8.0f rows/s; ratio to COPY %.2f%s\n", what, ours, rows / ours, copy / ours, goal }'
}
show "COPY from csv, primary key alone" "$(best "${copy[@]}")"
show "json lines to a group, offline table alone" "$(best "${offline[@]}")"
show "json lines to a group, offline and online" "$(best "${both[@]}")" " (goal 0.7)"
show "the same by two workers" "$(best "${shared[@]}")"
