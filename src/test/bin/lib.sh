# lib.sh: what the scripts of this folder share; sourced, not run.
#
#   src          the source tree
#   work         where everything is built and run: build/ for an ordinary
#                user; for root a folder that the unprivileged user below can
#                reach, since the clone may lie in root's home
#   cache        downloads that later runs use again
#   run_as       prefix that runs a command as an unprivileged user: servers
#                refuse to run as root
#
# Environment: FEATHUB_WORK and FEATHUB_CACHE choose those two folders,
# PG_CONFIG the server to build against.

set -euo pipefail
# LANG: the TAP framework takes LC_ALL away, and databases get their encoding of it
export LC_ALL=C.UTF-8 LANG=C.UTF-8
umask 022

src=$(cd "$(dirname "${BASH_SOURCE[0]}")/../../.." && pwd -P)
bin=$src/src/test/bin
uid=$(id -u)

say() { echo "== $*"; }
die() { echo "$(basename "$0"): $*" >&2; exit 1; }

# The cache.  Root's own home is out of reach for the user the servers run as.
if [ "$uid" = 0 ]; then
	cache=${FEATHUB_CACHE:-/var/cache/feathub-test}
else
	cache=${FEATHUB_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/feathub-test}
fi
export FEATHUB_CACHE=$cache

# Sets run_as; call it once the packages are there, they bring user postgres.
find_user() {
	run_as=()
	user=$(id -un)
	[ "$uid" = 0 ] || return 0
	if getent passwd postgres >/dev/null; then user=postgres; else user=nobody; fi
	run_as=(runuser -u "$user" --)
}

# Sets work.  A folder made below a world-writable one has an unguessable
# name, kept in build/ for the next run, and must still be ours.
find_work() {
	[ -z "${work:-}" ] || return 0
	if [ -n "${FEATHUB_WORK:-}" ]; then
		mkdir -p "$FEATHUB_WORK"
		work=$(cd "$FEATHUB_WORK" && pwd -P)
	elif [ "$uid" != 0 ]; then
		mkdir -p "$src/build"
		work=$src/build
	else
		mkdir -p "$src/build"
		work=$(cat "$src/build/work" 2>/dev/null || true)
		if [ -z "$work" ] || [ -L "$work" ] || [ ! -O "$work" ] || [ ! -d "$work" ]; then
			work=$(mktemp -d "${TMPDIR:-/tmp}/feathub-XXXXXXXX")
			echo "$work" >"$src/build/work"
		fi
		chmod 755 "$work"
	fi
	export FEATHUB_WORK=$work
}

# The version of PostgreSQL to use: PG_CONFIG's, else the distribution's own.
pg_version() {
	local v
	if [ -n "${PG_CONFIG:-}" ]; then
		"$PG_CONFIG" --version | sed -E 's/^PostgreSQL ([0-9]+).*/\1/'
		return
	fi
	case $(. /etc/os-release 2>/dev/null; echo "${ID:-}${VERSION_ID:-}") in
		debian12) v=15 ;;
		debian13) v=17 ;;
		*)
			v=$(ls /usr/lib/postgresql 2>/dev/null | sort -n | tail -1)
			[ -n "$v" ] || v=$(apt-cache depends postgresql 2>/dev/null | sed -nE 's/.*Depends: postgresql-([0-9]+)$/\1/p' | tail -1)
			;;
	esac
	echo "${v:-15}"
}

# The pg_config to build against.
pg_config_path() {
	echo "${PG_CONFIG:-/usr/lib/postgresql/$(pg_version)/bin/pg_config}"
}

# Is something listening on 127.0.0.1:$1?
port_in_use() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# N free ports in a row, below the range from which the kernel hands out
# ephemeral ones; prints the first.
free_port() {
	local n=${1:-1} port i ok
	while :; do
		port=$((10000 + (RANDOM * 32768 + RANDOM) % 20000))
		ok=1
		for ((i = 0; i < n; i++)); do
			! port_in_use $((port + i)) || ok=
		done
		[ -z "$ok" ] || { echo $port; return; }
	done
}

# Does a process run?  One that ended but was not waited for does not.
alive() { [[ $(sed -E 's/.*\) (.).*/\1/' "/proc/$1/stat" 2>/dev/null) == [!ZX] ]]; }

# Stop a process that we started, known by its pid file and by a word of its
# command line; give it ten seconds, then kill it.
stop_pid_file() {
	local file=$1 word=$2 pid i
	pid=$(head -1 "$file" 2>/dev/null || true)
	[ -n "$pid" ] && tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null | grep -qF -- "$word" || { rm -f "$file"; return 0; }
	kill "$pid" 2>/dev/null || true
	for ((i = 0; i < 100; i++)); do
		alive "$pid" || break
		sleep 0.1
	done
	! alive "$pid" || kill -9 "$pid" 2>/dev/null || true
	rm -f "$file"
}

# Add to the totals that the last line of make test and of .ci/run shows.
count() {
	[ -z "${FEATHUB_TOTALS:-}" ] || echo "$1 $2 ${3:-0}" >>"$FEATHUB_TOTALS"
}

# The closing line; fails if any test failed, or none ran.
closing_line() {
	awk '{ p += $1; f += $2; s += $3 }
		 END { if (s) printf "%d skipped\n", s; printf "%d passed, %d failed\n", p, f; exit (f > 0 || p == 0) }' "$FEATHUB_TOTALS"
}
