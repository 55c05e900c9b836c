# server.sh: build the extension into a private copy of PostgreSQL and run
# private servers from it; sourced after lib.sh.
#
# A "build" is a folder below $work with the sources (src), the PostgreSQL
# tree (pg) and, made anew by each run, nothing else; a "run" is a folder
# $work/run.PID with data directories, results and logs, removed at the end.
# No system folder and no system cluster is touched, and nothing listens on
# the network: clients come in through a socket in a folder of mode 0700.

# The warnings we keep clean; -Wclobbered cannot be kept so, because the
# server's PG_FINALLY warns by itself.
warnings="-Wall -Wextra -Wno-unused-parameter -Wno-sign-compare -Wno-missing-field-initializers -Wno-error=clobbered"

# Copy the sources to DIR, keeping times so that make builds only what is new;
# a copy, because the clone may be out of the server user's reach and may hold
# objects of another build.
copy_sources() {
	local dir=$1 list
	list=$(mktemp)
	mkdir -p "$dir"
	(cd "$src" && find . \( -path ./.git -o -path ./build -o -path ./results -o -path ./output_iso -o -path ./tmp_check -o -path ./log \) -prune -o \
		-type f ! -name '*.o' ! -name '*.so' ! -name '*.bc' ! -name 'regression.*' -print0) | sort -z >"$list"
	tar -C "$src" --no-recursion --null -T "$list" -cf - | tar -C "$dir" --no-same-owner -xpf -
	# what left the source tree leaves the copy
	(cd "$dir" && find . -type f ! -name '*.o' ! -name '*.so' ! -name '*.bc' -print0) | sort -z | comm -z -13 "$list" - |
		(cd "$dir" && xargs -0 -r rm -f)
	rm -f "$list"
}

# Make DIR a PostgreSQL tree into which make install can write: programs are
# copied, because a server finds its files relative to its own place; the rest
# is links to the distribution's.
make_tree() {
	local dir=$1 config version lib share
	config=$(pg_config_path)
	[ -x "$config" ] || die "$config not found"
	version=$("$config" --version)
	[ "$(cat "$dir/version" 2>/dev/null || true)" != "$version $config" ] || return 0
	rm -rf "$dir"
	lib=$("$config" --pkglibdir)
	share=$("$config" --sharedir)
	# the same places relative to each other as in the distribution
	mkdir -p "$dir$lib" "$dir$share/extension" "$dir$(dirname "$("$config" --bindir)")" "$dir$(dirname "$("$config" --includedir)")"
	cp -a "$("$config" --bindir)" "$dir$(dirname "$("$config" --bindir)")/"
	find "$lib" -mindepth 1 -maxdepth 1 ! -name bitcode ! -name 'feathub*' -exec ln -s -t "$dir$lib" {} +
	find "$share" -mindepth 1 -maxdepth 1 ! -name extension -exec ln -s -t "$dir$share" {} +
	find "$share/extension" -mindepth 1 -maxdepth 1 ! -name 'feathub*' -exec ln -s -t "$dir$share/extension" {} +
	ln -sfn "$("$config" --includedir)" "$dir$("$config" --includedir)"
	echo "$version $config" >"$dir/version"
}

# build_into NAME [make argument...]: sets tree (where pg_config, postgres and
# psql are: $pgbin) and sources; quiet unless it fails.
build_into() {
	local name=$1 log arrow
	shift
	find_work
	# the library beside feathub that reads parquet, if Arrow is to be had
	arrow=$("$bin/parquet.sh" home)
	build=$work/$name
	sources=$build/src
	tree=$build/pg
	mkdir -p "$build"
	exec 8>"$build/lock"
	flock 8
	make_tree "$tree"
	copy_sources "$sources"
	pgbin=$tree$("$(pg_config_path)" --bindir)
	# other flags, other objects
	if [ "$(cat "$build/flags" 2>/dev/null || true)" != "$* $(cat "$tree/version")" ]; then
		find "$sources" \( -name '*.o' -o -name '*.so' \) -delete
		echo "$* $(cat "$tree/version")" >"$build/flags"
	fi
	log=$build/make.log
	if ! make -C "$sources" -j"$(nproc)" with_llvm=no PG_CONFIG="$pgbin/pg_config" ${arrow:+ARROW_HOME="$arrow"} "$@" all >"$log" 2>&1 </dev/null ||
		! make -C "$sources" with_llvm=no PG_CONFIG="$pgbin/pg_config" ${arrow:+ARROW_HOME="$arrow"} "$@" install >>"$log" 2>&1 </dev/null; then
		grep -E -A3 "(error|warning): |undefined reference|\*\*\*" "$log" | grep -v "^g[c+][c+] " | head -60 >&2 || true
		die "the build failed, see $log"
	fi
	grep -E -A3 ' warning: ' "$log" | grep -v "^g[c+][c+] " >&2 || true
	exec 8>&-
}

# start_run [NAME]: make $run, the folder of this run, and remove what killed
# runs left behind.  A folder with a NAME of its own outlives its run.
start_run() {
	local old pid
	find_work
	for old in "$work"/run.*; do
		[ -d "$old" ] || continue
		pid=${old##*.}
		# one with our own number is of a process before us (pid namespaces!)
		[ "$pid" != $$ ] && kill -0 "$pid" 2>/dev/null && continue
		stop_everything "$old"
		rm -rf "$old"
	done
	run=$work/${1:-run.$$}
	mkdir "$run"
	[ "$uid" != 0 ] || chown "$user": "$run"
	sockets=$(mktemp -d "${TMPDIR:-/tmp}/fh.XXXXXX")
	echo "$sockets" >"$run/sockets"
	[ "$uid" != 0 ] || chown "$user": "$sockets"
	chmod 700 "$sockets"
}

# Stop every server whose pid file lies below DIR: PostgreSQL and Kafka.
stop_everything() {
	local dir=$1 file
	while IFS= read -r -d '' file; do
		stop_pid_file "$file" "$(dirname "$file")"
	done < <(find "$dir" \( -name postmaster.pid -o -name kafka.pid \) -print0 2>/dev/null)
	[ ! -s "$dir/sockets" ] || rm -rf "$(cat "$dir/sockets")"
}

# From an EXIT trap: leave nothing behind; keep=1 saves logs and results.
end_run() {
	[ -n "${run:-}" ] && [ -d "$run" ] || return 0
	stop_everything "$run"
	if [ -n "${keep:-}" ]; then
		rm -rf "$work/failed"
		find "$run" -name data -prune -exec rm -rf {} + 2>/dev/null || true
		find "$run" -type f -size +20M -delete 2>/dev/null || true
		find "$run" -type d -name '*_data' -prune -exec rm -rf {} + 2>/dev/null || true
		mv "$run" "$work/failed"
		echo "logs and results are in $work/failed" >&2
	else
		rm -rf "$run"
	fi
}

# server_start NAME [line of postgresql.conf...]: a new cluster in $run/NAME,
# PGHOST, PGPORT and PGUSER set for its clients.  FEATHUB_PRELOAD is put into
# the server's LD_PRELOAD.  With listen=1 it listens on 127.0.0.1 as well, for
# roles that have a password.
server_start() {
	local dir=$run/$1
	shift
	mkdir -p "$dir"
	[ "$uid" != 0 ] || chown "$user": "$dir"
	(cd "$dir" && "${run_as[@]}" "$pgbin/initdb" -D "$dir/data" -U postgres --auth=trust --no-sync --encoding=UTF8 --locale=C) >"$dir/initdb.log" 2>&1 ||
		{ cat "$dir/initdb.log" >&2; die "initdb failed"; }
	export PGHOST=$sockets PGPORT=5432 PGUSER=postgres PGDATABASE=postgres
	while [ -e "$sockets/.s.PGSQL.$PGPORT" ]; do PGPORT=$((PGPORT + 1)); done
	if [ -n "${listen:-}" ]; then
		PGPORT=$(free_port)
		printf '%s\n' 'local all all trust' 'host all all 127.0.0.1/32 scram-sha-256' | "${run_as[@]}" tee "$dir/data/pg_hba.conf" >/dev/null
	fi
	{
		echo "listen_addresses = '${listen:+127.0.0.1}'"
		echo "unix_socket_directories = '$sockets'"
		echo "port = $PGPORT"
		echo "fsync = off"
		echo "max_worker_processes = 32"
		echo "shared_preload_libraries = 'feathub'"
		printf '%s\n' "$@"
	} | "${run_as[@]}" tee -a "$dir/data/postgresql.conf" >/dev/null
	(cd "$dir" && exec 3>&- 8>&- && "${run_as[@]}" env ${FEATHUB_PRELOAD:+LD_PRELOAD="$FEATHUB_PRELOAD"} \
		"$pgbin/pg_ctl" -D "$dir/data" -l "$dir/postgresql.log" -w -t 120 start) >/dev/null 2>&1 </dev/null ||
		{ tail -20 "$dir/postgresql.log" >&2; die "the server did not start"; }
	server_log=$dir/postgresql.log
	server_data=$dir/data
}

# Fast shutdown; false if the server does not stop within a minute.
server_stop() {
	(cd / && "${run_as[@]}" "$pgbin/pg_ctl" -D "$server_data" -m fast -w -t 60 stop) >/dev/null 2>&1
}
