#!/bin/bash
# mysql.sh get: MySQL's own server, for tests; prints its folder, in the cache.
#
# Debian has it in unstable only, so its packages are unpacked, not installed:
# FeathubMysql.pm runs the server with the libraries that lie beside it, as an
# unprivileged user.  Fails where it cannot be had.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

[ "${1:-}" = get ] || die "usage: mysql.sh get"
dir=$cache/mysql-sid-1
mkdir -p "$cache"
exec 7>"$cache/mysql.lock"
flock 7
if [ ! -e "$dir/.complete" ]; then
	command -v mmdebstrap >/dev/null || die "no mmdebstrap"
	rm -rf "$dir"
	# nothing is run in there, so an ordinary user can do without a chroot; root may not
	[ "$uid" = 0 ] && mode=root || mode=chrootless
	timeout 600 mmdebstrap --mode=$mode --quiet --variant=extract --aptopt='Acquire::Check-Valid-Until "false"' \
		--aptopt='APT::Install-Recommends "false"' --include=mysql-server-core,mysql-client-core sid "$dir" >"$cache/mysql.log" 2>&1 </dev/null ||
		{ tail -5 "$cache/mysql.log" >&2; die "could not get MySQL"; }
	rm -rf "$dir"/usr/share/{doc,man,locale,info} "$dir"/usr/lib/*/perl*
	: >"$dir/.complete"
fi
echo "$dir"
