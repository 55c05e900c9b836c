#!/bin/bash
# check_style.sh: make check-style.  Rules of the source tree that no compiler
# knows: each is one test, and names what breaks it.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
. "$bin/server.sh"

"$bin/packages.sh" regress
find_user
find_work
own_totals=
if [ -z "${FEATHUB_TOTALS:-}" ]; then
	own_totals=$(mktemp)
	export FEATHUB_TOTALS=$own_totals
fi
failed=0
finish() {
	local status=$?
	trap - EXIT
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

set +o pipefail	# a grep that finds nothing is what we hope for

# rule NAME: what stands on stdin breaks it
rule() {
	local found
	found=$(cat)
	if [ -z "$found" ]; then
		echo "ok      $1"
		count 1 0
	else
		echo "FAILED  $1:"
		sed 's/^/        /' <<<"$found"
		count 0 1
		failed=$((failed + 1))
	fi
}

build_into plain COPT="$warnings${COPT:+ $COPT}"
cd "$sources"
code() { find src -path src/test -prune -o \( -name '*.[ch]' -o -name '*.cpp' \) -print; }

nm -D --defined-only feathub.so | awk '$2 ~ /^[TDBR]$/ { print $3 }' |
	{ grep -vE '^(Feathub|feathub_|pg_finfo_feathub_|_PG_init$|_PG_fini$|Pg_magic_func$)' || true; } | rule "exported symbols carry a prefix"

# a folder may include the folders before it; ingest and features not each other
folders=(core asof formats connectors fdw ingest features)
{
	for i in "${!folders[@]}"; do
		later=("${folders[@]:i+1}")
		[ "${folders[i]}" != features ] || later+=(ingest)
		for f in "${later[@]}"; do
			grep -rnE "^#include \"$f/" "src/${folders[i]}" || true
		done
	done
} | rule "a folder calls only the folders before it"
{ grep -rln 'librdkafka/' src --include='*.[ch]' --include='*.cpp' | grep -vE '^src/(connectors/kafka|test)/' || true; } |
	rule "only connectors/kafka knows librdkafka"
{ code | xargs grep -ln PG_VERSION_NUM | grep -v '^src/core/compat.h$' || true; } | rule "versions of the server differ only in core/compat.h"
{ code | xargs grep -nE 'pg_attribute_noreturn|INT64_MODIFIER' || true; } | rule "nothing that PostgreSQL 18 has no more: pg_noreturn is written in front"
{ code | sed 's|.*/||' | sort | uniq -d || true; } | rule "file names are unique"
{ code | xargs grep -nE '(^|[^:])//[^"]*$' || true; } | rule "comments are /* */"
{ code | grep '\.h$' | while read -r h; do
	guard=$(sed 's|^src/|FEATHUB_|; s|[/.]|_|g' <<<"$h" | tr a-z A-Z)
	short=$(sed -E 's/^FEATHUB_CONNECTORS_(KAFKA)_/FEATHUB_\1_/' <<<"$guard")
	grep -qE "^#ifndef ($guard|$short)$" "$h" || echo "$h: guard $guard"
done; } | rule "headers have their guard"
{ code | xargs awk 'FNR > 1500 { print FILENAME; nextfile }' || true; } | rule "no file is longer than 1500 lines"
{
	for f in sql/*.sql; do [ -e "expected/$(basename "$f" .sql).out" ] || echo "$f: no expected output"; done
	for f in expected/*.out; do n=$(basename "$f" .out); [ -e "sql/$n.sql" ] || [ -e "sql/${n%_[0-9]}.sql" ] || echo "$f: no test"; done
	for f in src/test/specs/*.spec; do [ -e "src/test/expected/$(basename "$f" .spec).out" ] || echo "$f: no expected output"; done
	for f in src/test/t/*.pl; do [[ $(basename "$f") =~ ^[0-9]{3}_[a-z0-9_]+\.pl$ ]] || echo "$f: not NNN_area_topic.pl"; done
} 2>/dev/null | { grep -v '\*' || true; } | rule "every test has its expected output"

start_run
server_start server
"$pgbin/psql" -X -q -v ON_ERROR_STOP=1 -c 'CREATE EXTENSION feathub' </dev/null
"$pgbin/psql" -X -q -A -t -v ON_ERROR_STOP=1 </dev/null -c "
	SELECT pg_catalog.pg_describe_object(d.classid, d.objid, 0)
	  FROM pg_catalog.pg_depend d
	 WHERE d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e'
	   AND d.refobjid = (SELECT oid FROM pg_catalog.pg_extension WHERE extname = 'feathub')
	   AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_description c WHERE c.classoid = d.classid AND c.objoid = d.objid AND c.objsubid = 0)
	   AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_class c WHERE d.classid = 'pg_class'::regclass AND c.oid = d.objid AND c.relkind IN ('S', 'i', 'I'))
	   AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_type t WHERE d.classid = 'pg_type'::regclass AND t.oid = d.objid AND (t.typrelid <> 0 OR t.typelem <> 0))
	   AND d.classid NOT IN ('pg_rewrite'::regclass)
	 ORDER BY 1" | rule "every SQL object has a comment"
"$pgbin/psql" -X -q -A -t -v ON_ERROR_STOP=1 </dev/null -c "
	SELECT p.oid::regprocedure FROM pg_catalog.pg_proc p
	 WHERE p.pronamespace = 'feathub'::regnamespace AND (p.prolang IN (SELECT oid FROM pg_catalog.pg_language WHERE lanname IN ('sql', 'plpgsql')))
	   AND NOT EXISTS (SELECT 1 FROM unnest(p.proconfig) c WHERE c LIKE 'search_path=pg_catalog, pg_temp%') AND p.prosqlbody IS NULL
	 ORDER BY 1" | rule "SQL functions set their search_path"
