#!/bin/bash
# readme.sh: is README.md true?
#
#   readme.sh            run its SQL blocks in order, as the ordinary role alice
#                        on a fresh database, and compare its reference tables
#                        with the catalog and the sources
#   readme.sh --update   the same, but write the tables anew
#   readme.sh --show     the same, with what the statements answer
#
# How a block is run is said in a comment before it; readme.pl knows.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
. "$bin/server.sh"

"$bin/packages.sh" regress
find_user
find_work
keep=
failed=0
passed=0
finish() {
	local status=$?
	trap - EXIT
	{ [ $status -eq 0 ] && [ $failed -eq 0 ]; } || keep=1
	end_run
	[ $status -eq 0 ] || failed=$((failed + 1))
	count "$passed" "$failed"
	if [ $failed -eq 0 ]; then echo "readme ok"; else echo "readme FAILED"; exit 1; fi
}
trap finish EXIT
trap 'exit 130' INT TERM HUP

build_into plain COPT="$warnings ${COPT:-}"
start_run
mkdir "$run/blocks"
perl "$bin/readme.pl" blocks "$src/README.md" "$run/blocks" >"$run/list"
chmod -R a+rX "$run/blocks"
touch "$run/blocks/conf"
# shared_preload_libraries is there already
mapfile -t conf < <(grep -E '^[a-z_.]+ *=' "$run/blocks/conf" | grep -v '^shared_preload_libraries')
server_start server "${conf[@]}"
export PATH=$pgbin:$PATH PGDATABASE=readme PGOPTIONS="-c statement_timeout=60s"
psql -X -q -d postgres -c 'CREATE DATABASE readme' </dev/null

while read -r role line file; do
	if psql -X -U "$role" -v ON_ERROR_STOP=1 -a -f "$file" </dev/null >"$file.out" 2>&1; then
		passed=$((passed + 1))
		[ "${1:-}" != --show ] || cat "$file.out"
	else
		failed=$((failed + 1))
		echo "README.md:$line: the block fails, run as $role:"
		tail -25 "$file.out"
	fi
done <"$run/list"
say "README.md: $passed blocks run, $failed failed"

if ! perl "$bin/readme.pl" reference "$src/README.md" "$src" >"$run/README.md"; then
	failed=$((failed + 1))
elif cmp -s "$src/README.md" "$run/README.md"; then
	passed=$((passed + 1))
elif [ "${1:-}" = --update ]; then
	cat "$run/README.md" >"$src/README.md"
	say "README.md: the reference has been written anew"
else
	failed=$((failed + 1))
	echo "README.md's reference differs from the catalog and the sources; readme.sh --update writes it anew:"
	diff -u "$src/README.md" "$run/README.md" | head -60 || true
fi
