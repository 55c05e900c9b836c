#!/bin/bash
# parquet.sh get|venv|home: Apache Arrow for the build, and other programs that read
# and write parquet and avro for tests, in a Python environment of the cache.
#
#   get    make the environment, if need be; prints its folder
#   venv   its folder, or nothing if it is not there
#   home   what make takes as ARROW_HOME, or nothing likewise
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

packages=(pyarrow==26.0.0 duckdb==2.0.0 fastavro==1.12.1)
venv=$cache/parquet-venv-1
# the distribution's: one in root's home is of no use to the user that tests run as
python=/usr/bin/python3
[ -x "$python" ] || python=python3

# make_venv FOLDER PACKAGE...: the environment, unless it is there
make_venv() {
	local venv=$1
	shift
	[ ! -e "$venv/.complete" ] || return 0
	mkdir -p "$cache"
	exec 9>"$cache/parquet.lock"
	flock 9
	[ ! -e "$venv/.complete" ] || return 0
	rm -rf "$venv"
	"$python" -m venv "$venv"
	"$venv/bin/pip" install -q --disable-pip-version-check "$@" </dev/null >&2
	: >"$venv/.complete"
}

case ${1:-} in
	get)
		make_venv "$venv" "${packages[@]}"
		echo "$venv"
		;;
	venv)
		[ ! -e "$venv/.complete" ] || echo "$venv"
		;;
	home)
		[ ! -e "$venv/.complete" ] || echo "$venv"/lib/python3*/site-packages/pyarrow
		;;
	*) die "get, venv or home" ;;
esac
