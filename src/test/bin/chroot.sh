#!/bin/bash
# chroot.sh: another Debian release in a folder, to build and test there.
#
#   chroot.sh can                    succeed if this machine allows it
#   chroot.sh make SUITE             make or complete it; prints its folder, in the cache
#   chroot.sh run [-b FROM:TO]... DIR command...
#                                    run a command in it, with FROM visible as TO
#
# A command has mount and process namespaces of its own: nothing is mounted
# outside, and whatever it leaves running dies with it.  Needs root.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

can() {
	[ "$uid" = 0 ] && unshare --mount --pid --fork --kill-child -- /bin/bash -c 'mount -t proc proc /proc' 2>/dev/null
}

run_in() {
	local binds=() root propagation=private
	while [ "$1" = -b ]; do
		binds+=("$2")
		shift 2
	done
	root=$(cd "$1" && pwd -P)
	shift
	# inside a chroot "/" is no mount point, and already private
	unshare --mount true 2>/dev/null || propagation=unchanged
	FEATHUB_ROOT=$root FEATHUB_BINDS="${binds[*]:-}" exec unshare --mount --propagation $propagation --pid --fork --kill-child -- /bin/bash -c '
		set -e
		mount -t proc proc "$FEATHUB_ROOT/proc"
		mount --rbind /dev "$FEATHUB_ROOT/dev"
		cp -L /etc/resolv.conf "$FEATHUB_ROOT/etc/resolv.conf" 2>/dev/null || true
		for b in $FEATHUB_BINDS; do
			mkdir -p "$FEATHUB_ROOT/${b#*:}"
			mount --bind "${b%%:*}" "$FEATHUB_ROOT/${b#*:}"
		done
		exec chroot "$FEATHUB_ROOT" /usr/bin/env -i DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8 HOME=/root TERM=dumb \
			PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
			$(env | grep -E "^(https?_proxy|HTTPS?_PROXY|no_proxy|CI)=[^ ]*$" || true) "$@"' sh "$@"
}

make_suite() {
	local suite=$1 dir=$cache/$1 script=
	mkdir -p "$cache"
	exec 7>"$cache/$suite.lock"
	flock 7
	if [ ! -e "$dir/.complete" ]; then
		rm -rf "$dir"
		# a release newer than this debootstrap is made as unstable is
		[ -e "/usr/share/debootstrap/scripts/$suite" ] || script=sid
		debootstrap --variant=minbase "$suite" "$dir" "" $script >"$cache/$suite.log" 2>&1 </dev/null ||
			{ tail -5 "$cache/$suite.log" >&2; die "could not make a $suite chroot"; }
		# a mirror may have an unreleased one of some weeks ago
		printf '%s\n' 'APT::Install-Recommends "false";' 'Acquire::Check-Valid-Until "false";' >"$dir/etc/apt/apt.conf.d/99feathub"
		[ -e "$dir/etc/hosts" ] || printf '127.0.0.1\tlocalhost\n::1\tlocalhost\n' >"$dir/etc/hosts"
		printf 'path-exclude=/usr/share/doc/*\npath-exclude=/usr/share/man/*\npath-exclude=/usr/share/locale/*\n' >"$dir/etc/dpkg/dpkg.cfg.d/99feathub"
		: >"$dir/.complete"
	fi
	exec 7>&-
	echo "$dir"
}

command=${1:?can, make or run}
shift
case $command in
	can) can ;;
	make) make_suite "$@" ;;
	run) run_in "$@" ;;
	*) die "unknown command \"$command\"" ;;
esac
