#!/bin/bash
# run.sh [SECONDS [TARGET...]]: fuzz the decoders and the parsers of options.
#
# Builds the module of this folder with clang's sanitizers and libFuzzer, and
# runs each target that long inside postgres --single, as many at a time as
# there are processors.  Prints a line for each target and fails if one found
# something; the input is then kept below build/fuzz.
. "$(dirname "${BASH_SOURCE[0]}")/../bin/lib.sh"
. "$bin/server.sh"

seconds=${1:-60}
shift || true
targets=("$@")
[ ${#targets[@]} -gt 0 ] || targets=(avro avro_file avro_json avro_schema binlog binlog_gtid binlog_json debezium debezium_avro hopsworks maxwell json json_epoch json_index jsonb csv csv_escape framing protobuf raw types timestamp epoch path topics options redis_entry redis_feature redis_id redis_key redis_value)

"$bin/packages.sh" build ci
find_user
find_work
build=$work/fuzz
tree=$build/pg
mkdir -p "$build"
make_tree "$tree"
copy_sources "$build/src"
pgbin=$tree$("$(pg_config_path)" --bindir)
module=$build/src/src/test/fuzz
clang=$(command -v clang-14 || command -v clang || die "no clang")
make -C "$module" -j"$(nproc)" FUZZ=1 CLANG="$clang" with_llvm=no PG_CONFIG="$pgbin/pg_config" >"$build/make.log" 2>&1 </dev/null ||
	{ grep -E -A3 'error: |undefined|\*\*\*' "$build/make.log" | head -40 >&2; die "the build failed, see $build/make.log"; }

start_run
trap end_run EXIT
trap 'exit 130' INT TERM HUP

gcc -shared -fPIC -O0 -Wl,-z,initfirst "$bin/sanitize_first.c" -o "$run/first.so"
preload=$("$clang" -print-file-name=libclang_rt.asan-$(uname -m).so):$run/first.so
asan="detect_leaks=0:abort_on_error=1:disable_coredump=1:detect_stack_use_after_return=0:use_sigaltstack=0:allocator_may_return_null=1"

single() { # single FOLDER: statements from stdin
	"${run_as[@]}" env LD_PRELOAD="$preload" ASAN_OPTIONS="$asan" UBSAN_OPTIONS=print_stacktrace=1 \
		"$pgbin/postgres" --single -j -D "$1/data" -c fsync=off -c max_stack_depth=1MB postgres
}

# A cluster with the row type that the targets fill; each target has a copy.
template=$run/template
mkdir "$template"
[ "$uid" != 0 ] || chown "$user": "$template"
(cd / && "${run_as[@]}" "$pgbin/initdb" -D "$template/data" -U postgres --auth=trust --no-sync --encoding=UTF8 --locale=C) >"$run/initdb.log" 2>&1 ||
	{ cat "$run/initdb.log" >&2; die "initdb failed"; }
cp "$module/feathub_fuzz.so" "$run/"
chmod 755 "$run/feathub_fuzz.so"
single "$template" >"$run/setup.log" 2>&1 <<SQL || { tail -20 "$run/setup.log" >&2; die "could not make the row type"; }
CREATE TYPE fuzz_color AS ENUM ('red', 'green');

CREATE TYPE fuzz_pair AS (x int, y text[]);

CREATE DOMAIN fuzz_positive AS int CHECK (VALUE > 0);

CREATE TYPE fuzz_row AS (t text, i4 int, i2 smallint, f8 float8, tz timestamptz, i8 bigint, f4 real,
 n numeric, n2 numeric(8,3), b bool, v varchar(5), c char(3), by bytea, d date, ts timestamp(3), u uuid,
 jb jsonb, a int[], ta text[], ct fuzz_pair, ca fuzz_pair[], e fuzz_color, p fuzz_positive, iv interval, da date[]);

CREATE TYPE fuzz_raw AS (t text);

CREATE TYPE fuzz_csv AS (t text, i4 int, f8 float8, tz timestamptz, n numeric, a int[]);

CREATE FUNCTION fuzz(anyelement, text, text[]) RETURNS int LANGUAGE C AS '$run/feathub_fuzz.so', 'feathub_test_fuzz';

SQL

fuzz() { # fuzz TARGET: prints its line
	local target=$1 dir=$run/$1 seeds=$1 row=fuzz_row n found
	case $target in json_* | jsonb) seeds=json ;; csv_*) seeds=csv ;; esac
	case $target in csv*) row=fuzz_csv ;; raw) row=fuzz_raw ;; esac
	mkdir -p "$dir/corpus" "$dir/found"
	cp -r "$module/seeds/$seeds" "$dir/seeds"
	cp -a "$template/data" "$dir/data"
	[ "$uid" != 0 ] || chown -R "$user": "$dir"
	echo "SELECT fuzz(NULL::$row, '$target', ARRAY['-max_total_time=$seconds', '-print_final_stats=1', '-timeout=20', '-max_len=2048', '-rss_limit_mb=3000', '-artifact_prefix=$dir/found/', '$dir/corpus', '$dir/seeds']);" |
		timeout --kill-after=10 $((seconds + 120)) bash -c "$(declare -f single); run_as=(${run_as[*]@Q}); preload='$preload' asan='$asan' pgbin='$pgbin'; single '$dir'" >"$dir/log" 2>&1 || true
	rm -f "$dir/data/postmaster.pid"	# of a process that is gone
	n=$(sed -nE 's/^stat::number_of_executed_units: *//p' "$dir/log")
	found=$(find "$dir/found" -type f | head -1)
	if [ -n "$n" ] && [ -z "$found" ]; then
		echo "fuzz: $target ok, $n inputs"
		return 0
	fi
	mkdir -p "$src/build/fuzz"
	cp "$dir/log" "$src/build/fuzz/$target.log"
	[ -z "$found" ] || cp "$found" "$src/build/fuzz/$target.input"
	grep -vE '^(#[0-9]+|INFO:)' "$dir/log" | grep -E 'ERROR|runtime error|fuzz target|SUMMARY|deadly|#[0-9] ' | head -15 | sed 's/^/	/' || true
	echo "fuzz: $target FAILED, see build/fuzz/$target.log${found:+ and build/fuzz/$target.input}"
	return 1
}

status=0
running=()
for target in "${targets[@]}"; do
	if [ ${#running[@]} -ge "$(nproc)" ]; then
		wait "${running[0]}" || status=1
		running=("${running[@]:1}")
	fi
	fuzz "$target" &
	running+=($!)
done
for pid in "${running[@]}"; do wait "$pid" || status=1; done
exit $status
