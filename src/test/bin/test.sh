#!/bin/bash
# test.sh: make test.  All tests on real servers, from a bare machine on.
#
#   TEST=name          only the tests of that name (sql, spec or t/ file; a
#                      shell pattern, * is added around names of t/ files)
#   TEST_KINDS=...     of regress, isolation, tap, readme (all)
#   SANITIZE=1         build with the address and undefined-behaviour
#                      sanitizers, and run them in the server
#   TEST_JOBS=n        TAP files run at a time (2)
#   TEST_LIMIT=n       seconds after which a file is stopped (300, TAP: three times that)
#   COPT=...           further compiler flags
#
# Ends with one line "N passed, N failed" and fails if any test failed.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
. "$bin/server.sh"

kinds=${TEST_KINDS:-regress isolation tap readme}
has_kind() { [[ " $kinds " == *" $1 "* ]]; }
want() { [ -z "${TEST:-}" ] || [[ $1 == $TEST ]]; }	# a pattern, so unquoted

if has_kind tap; then "$bin/packages.sh" test; else "$bin/packages.sh" regress; fi
find_user
find_work

own_totals=
if [ -z "${FEATHUB_TOTALS:-}" ]; then
	own_totals=$(mktemp)
	export FEATHUB_TOTALS=$own_totals
fi
failed=0
keep=
finish() {
	local status=$?
	trap - EXIT
	{ [ $status -eq 0 ] && [ $failed -eq 0 ]; } || keep=1
	end_run
	if [ -n "$own_totals" ]; then
		[ $status -eq 0 ] || echo "0 1 0" >>"$own_totals"
		closing_line || status=1
		rm -f "$own_totals"
	fi
	[ $failed -eq 0 ] || status=1
	exit $status
}
trap finish EXIT
trap 'exit 130' INT TERM HUP

name=plain
flags=(COPT="$warnings${COPT:+ $COPT}")
if [ -n "${SANITIZE:-}" ]; then
	name=sanitized
	san="-fsanitize=address,undefined"
	# instrumented code lets gcc see uses of uninitialized variables that are none
	flags=(COPT="-O1 -g $san -fno-omit-frame-pointer $warnings -Wno-maybe-uninitialized${COPT:+ $COPT}")
fi
# before the build, which then has parquet
if has_kind tap; then
	"$bin/parquet.sh" get >/dev/null || say "Apache Arrow is not to be had here: tests on parquet skip"
fi
# 500 MB, which come while other things are built and tested
clients_pid=
for f in "$src"/src/test/t/*.pl; do
	if has_kind tap && { want "$(basename "$f" .pl)" || [[ $(basename "$f") == *${TEST:-}* ]]; } && grep -q client_folder "$f"; then
		"$bin/clients.sh" get >/dev/null </dev/null &
		clients_pid=$!
		break
	fi
done
say "building for PostgreSQL $(pg_version)${SANITIZE:+ with sanitizers}"
build_into "$name" "${flags[@]}"
start_run
# What the tests read, where the unprivileged user can read it.
tests=$run/tests
mkdir -p "$tests"
tar -C "$sources" --exclude="*.o" --exclude="*.so" -cf - README.md sql expected src | tar -C "$tests" --no-same-owner -xf -

if [ -n "${SANITIZE:-}" ]; then
	# The server is not sanitized, so the libraries are preloaded; why the
	# shim comes between them is told in sanitize_first.c.
	gcc -shared -fPIC -O0 -Wl,-z,initfirst "$bin/sanitize_first.c" -o "$run/first.so"
	FEATHUB_PRELOAD="$(gcc -print-file-name=libasan.so):$run/first.so:$(gcc -print-file-name=libubsan.so)"
	# a server never frees at exit, and has its own signal handlers and stack checks
	export ASAN_OPTIONS="detect_leaks=0:abort_on_error=1:disable_coredump=1:detect_stack_use_after_return=0:use_sigaltstack=0:strict_string_checks=1"
	export UBSAN_OPTIONS="print_stacktrace=1"
fi

# Count the results in the output of pg_regress, of 15 or of later versions;
# a run without any result is one failure.
count_regress() {
	local kind=$1 file=$2 status=$3 passed bad
	# "diff command failed": there is no expected output
	passed=$(grep -cE '^(test .* \.\.\. ok |ok [0-9]+ |     [a-z_0-9]+ +\.\.\. ok )' "$file" || true)
	bad=$(grep -cE '^(test .* \.\.\. FAILED|not ok [0-9]+ |     [a-z_0-9]+ +\.\.\. FAILED|(# )?diff command failed)' "$file" || true)
	[ "$status" -eq 0 ] || [ "$bad" -gt 0 ] || bad=1
	failed=$((failed + bad))
	count "$passed" "$bad"
	say "$kind: $passed passed, $bad failed"
}

# run_regress KIND LIMIT command...: run pg_regress or its sister for isolation
# tests for LIMIT seconds at most, show the results and what differs, and add
# its output to the file all.
run_regress() {
	local dir=$run/$1 limit=$2 status=0
	shift 2
	(cd "$dir" && timeout --kill-after=10 "$limit" "$@" --outputdir="$dir" --bindir="$pgbin" --host="$PGHOST" --port="$PGPORT" --user=postgres) </dev/null >"$dir/out" 2>&1 || status=$?
	grep -E '(\.\.\. (ok|FAILED)|^(not )?ok )' "$dir/out" || cat "$dir/out"
	if [ -s "$dir/regression.diffs" ]; then
		head -c 60000 "$dir/regression.diffs"
		cat "$dir/regression.diffs" >>"$dir/all.diffs"
		rm -f "$dir/regression.diffs"
	fi
	{
		cat "$dir/out"
		echo	# "Bail out!" has no line end of its own
	} >>"$dir/all"
	[ $status -ne 124 ] || echo "not ok 0 - no end within $limit s" | tee -a "$dir/all"
	return $status
}

pgxs=$(dirname "$("$pgbin/pg_config" --pgxs)")/../..
in_order=()
for f in "$tests"/sql/*.sql; do
	f=$(basename "$f" .sql)
	[ "$f" != '*' ] && want "$f" || continue
	if [ "$f" = install ]; then in_order=("$f" "${in_order[@]}"); else in_order+=("$f"); fi
done
specs=()
for f in "$tests"/src/test/specs/*.spec; do
	f=$(basename "$f" .spec)
	[ "$f" != '*' ] && want "$f" && specs+=("$f") || true
done
{ has_kind regress && [ ${#in_order[@]} -gt 0 ]; } || in_order=()
{ has_kind isolation && [ ${#specs[@]} -gt 0 ]; } || specs=()

if [ ${#in_order[@]} -gt 0 ] || [ ${#specs[@]} -gt 0 ]; then
	mapfile -t conf < <(cat "$tests/src/test/regress.conf")
	server_start server "${conf[@]}"
	if [ ${#in_order[@]} -gt 0 ]; then
		say "regress"
		mkdir -p "$run/regress"
		# A database for each file, so that it stands alone; that it can be
		# dropped, whatever jobs the file left, is one of our promises.
		status=0
		for f in "${in_order[@]}"; do
			run_regress regress "${TEST_LIMIT:-300}" "$pgxs/src/test/regress/pg_regress" --inputdir="$tests" --dbname=feathub_regress "$f" || status=1
			if ! "$pgbin/psql" -X -q -c 'DROP DATABASE IF EXISTS feathub_regress' </dev/null; then
				echo "not ok 0 - DROP DATABASE after $f" | tee -a "$run/regress/all"
				status=1
				"$pgbin/psql" -X -q -c 'DROP DATABASE IF EXISTS feathub_regress WITH (FORCE)' </dev/null || true
			fi
		done
		count_regress regress "$run/regress/all" $status
	fi
	if [ ${#specs[@]} -gt 0 ]; then
		say "isolation"
		mkdir -p "$run/isolation"
		status=0
		run_regress isolation "$((${TEST_LIMIT:-300} * 3))" "$pgxs/src/test/isolation/pg_isolation_regress" --inputdir="$tests/src/test" --load-extension=feathub "${specs[@]}" || status=1
		count_regress isolation "$run/isolation/all" $status
	fi
	if ! server_stop; then
		say "the server did not stop"
		failed=$((failed + 1))
		count 0 1
	fi
	# what no test may leave in the log
	if grep -E -A30 'AddressSanitizer|runtime error:|TRAP: |terminated by signal|PANIC: ' "$server_log" >"$run/bad"; then
		say "from the server's log:"
		head -100 "$run/bad"
		failed=$((failed + 1))
		count 0 1
	elif [ -n "${SANITIZE:-}" ]; then
		say "sanitizers: nothing found"
		count 1 0
	fi
fi

if has_kind tap; then
	files=()
	for f in "$tests"/src/test/t/*.pl; do
		[ -e "$f" ] || continue
		{ want "$(basename "$f" .pl)" || [[ $(basename "$f") == *${TEST:-}* ]]; } && files+=("$f")
	done
	if [ ${#files[@]} -gt 0 ]; then
		say "tap"
		# the client that produces what kcat cannot: transactions, NULL and empty apart
		gcc -O1 -o "$run/kafka_client" "$bin/test_kafka_client.c" $(pkg-config --cflags --libs rdkafka)
		# fetched here: the unprivileged user may not write the cache
		if grep -lq kafka_start "${files[@]}"; then
			"$bin/kafka.sh" get >/dev/null || say "Apache Kafka is not to be had here: tests on it skip"
		fi
		if grep -lq registry_start "${files[@]}"; then
			"$bin/registry.sh" get >/dev/null || say "Apicurio Registry is not to be had here: tests on it skip"
		fi
		mysql=
		if grep -lq "product => 'mysql'" "${files[@]}"; then
			mysql=$("$bin/mysql.sh" get) || say "MySQL is not to be had here: tests on it skip"
		fi
		# the decoder of binary logs, with SQL functions around it
		if grep -lq binlog_functions "${files[@]}"; then
			gcc -std=gnu99 -O2 -g -shared -fPIC -Wl,-Bsymbolic -o "$run/binlog_module.so" -DFEATHUB_WITH_ZLIB -DFEATHUB_WITH_ZSTD -I"$sources/src" \
				-I"$("$(pg_config_path)" --includedir-server)" $(pkg-config --cflags libmariadb) "$bin/test_binlog_module.c" \
				"$sources"/src/connectors/mysql/mysql_{binlog,binlog_{checksum,event,json,number,payload,query,row,table,value},gtid,charset}.c $(pkg-config --libs zlib libzstd)
		fi
		[ -z "$clients_pid" ] || wait "$clients_pid" || say "some clients are not to be had here: tests with them skip"
		conformance=${FEATHUB_CONFORMANCE:-$src/../shared/conformance}
		if [ -d "$conformance" ]; then
			mkdir -p "$run/conformance"
			cp -r "$conformance/." "$run/conformance/"
			chmod -R u+w,a+rX "$run/conformance"
		fi
		mkdir -p "$run/tap"
		[ "$uid" != 0 ] || chown -R "$user": "$run/tap" "$tests"
		status=0
		(cd "$tests" && "${run_as[@]}" env -u PGHOST -u PGPORT -u PGUSER -u PGDATABASE -u FEATHUB_TOTALS \
			HOME="$run/tap" TESTDIR="$run/tap" TESTDATADIR="$run/tap/data" TESTLOGDIR="$run/tap/log" PG_TEST_TIMEOUT_DEFAULT="${PG_TEST_TIMEOUT_DEFAULT:-90}" \
			PATH="$pgbin:$PATH" PG_REGRESS="$pgxs/src/test/regress/pg_regress" \
			PERL5LIB="$pgxs/src/test/perl:$tests/src/test/perl" \
			FEATHUB_KAFKA="$tests/src/test/bin/kafka.sh" FEATHUB_KAFKA_CLIENT="$run/kafka_client" \
			FEATHUB_MYSQL_TREE="$mysql" FEATHUB_BINLOG_MODULE="$run/binlog_module.so" \
			FEATHUB_CONFORMANCE="$run/conformance" FEATHUB_CACHE="$cache" FEATHUB_PARQUET_VENV="$("$bin/parquet.sh" venv)" FEATHUB_CLIENTS="$("$bin/clients.sh" folder)" \
			perl "$tests/src/test/bin/prove.pl" "${TEST_JOBS:-2}" "$((${TEST_LIMIT:-300} * 3))" "$run/tap/totals" "${files[@]#"$tests"/}") </dev/null || status=$?
		read -r passed bad skipped <"$run/tap/totals" || { passed=0 bad=1 skipped=0; }
		[ "$status" -eq 0 ] || [ "$bad" -gt 0 ] || bad=1
		failed=$((failed + bad))
		count "$passed" "$bad" "$skipped"
		say "tap: $passed passed, $bad failed${skipped:+, $skipped skipped}"
	fi
fi

# The user's manual counts its results itself.
if has_kind readme && want readme; then
	say "readme"
	"$bin/readme.sh" </dev/null || failed=$((failed + 1))
fi
