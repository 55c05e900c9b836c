# mariadb.sh: a private MariaDB for a benchmark; sourced, not run.
#
#   mariadb_start FOLDER PORT [OPTION...]
#                  start one and wait until it answers; it has a database bench
#                  and a user fh, who may do all, with password fh-secret.  Sets
#                  mariadb_pid.
#   my [ARG...]    the client, as the server's root
#   mariadb_stop   end it and wait

PATH=$PATH:/usr/sbin
mariadb_pid=

mariadb_start() {
	local folder=$1 port=$2 user=() i
	shift 2
	mkdir -p "$folder"
	mariadb_socket=$folder/s
	if [ "$(id -u)" = 0 ]; then
		# it refuses to be root unless told to
		user=(--user=root)
		! getent passwd mysql >/dev/null || { user=(--user=mysql); chown mysql "$folder"; }
		chmod 755 "$folder" "$(dirname "$folder")"
	fi
	mariadb-install-db --no-defaults "${user[@]}" --datadir="$folder/data" --skip-test-db \
		--auth-root-authentication-method=normal >"$folder/install.log" 2>&1
	mariadbd --no-defaults "${user[@]}" --datadir="$folder/data" --socket="$mariadb_socket" --bind-address=127.0.0.1 --port="$port" \
		--innodb-buffer-pool-size=512M --innodb-flush-log-at-trx-commit=2 --character-set-server=utf8mb4 "$@" \
		>"$folder/log" 2>&1 </dev/null &
	mariadb_pid=$!
	for ((i = 0; i < 600; i++)); do
		! my -e 'SELECT 1' >/dev/null 2>&1 || break
		kill -0 "$mariadb_pid" 2>/dev/null || break
		sleep 0.1
	done
	my -e "CREATE DATABASE bench; CREATE USER fh@'%' IDENTIFIED BY 'fh-secret'; GRANT ALL ON *.* TO fh@'%'" || { tail -5 "$folder/log" >&2; return 1; }
}

my() { mariadb --no-defaults -S "$mariadb_socket" -uroot "$@"; }

mariadb_stop() {
	[ -n "$mariadb_pid" ] || return 0
	kill "$mariadb_pid" 2>/dev/null || true
	wait "$mariadb_pid" 2>/dev/null || true
	mariadb_pid=
}
