#!/bin/bash
# packages.sh SET...
#	Install what a bare Debian lacks for: build, demo, test, bench, ci.
#
# Looks at dpkg first and is silent when nothing is missing.  No service is
# started by an installation, and no database cluster is made.  Without root
# or sudo it prints the packages to install, in one line, and fails.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

v=$(pg_version)
# The first of these packages that the distribution has or that is installed.
first_of() {
	local p
	for p; do
		if dpkg-query -W -f '${Status}' "$p" 2>/dev/null | grep -q ' installed$' || apt-cache show "$p" >/dev/null 2>&1; then
			echo "$p"
			return
		fi
	done
	echo "$1"
}

want=()
build=(gcc g++ make libc6-dev pkg-config "postgresql-$v" "postgresql-server-dev-$v" librdkafka-dev libsimdjson-dev
	libmariadb-dev libhiredis-dev libssl-dev libcurl4-openssl-dev libsnappy-dev liblzma-dev zlib1g-dev libzstd-dev liblz4-dev
	libprotobuf-dev libprotoc-dev)
java=(default-jre-headless maven)
for set; do
	case $set in
		build) want+=("${build[@]}") ;;
		demo) want+=("${build[@]}" ca-certificates python3 python3-pip) ;;
		regress) want+=("${build[@]}" diffutils) ;;
		test) want+=("${build[@]}" "${java[@]}" diffutils libipc-run-perl protobuf-compiler ca-certificates curl kcat redis-server openssl procps python3 python3-venv
			mariadb-server-core mariadb-client-core mmdebstrap) ;;
		bench) want+=("${build[@]}" "${java[@]}" ca-certificates kcat redis-server openssl procps python3-venv python3-pip libpq-dev
			mariadb-server-core mariadb-client-core python3-dev "postgresql-$v-mysql-fdw") ;;
		ci) want+=(debootstrap "$(first_of clang-14 clang)" "$(first_of libclang-rt-14-dev libclang-rt-dev clang)") ;;
		*) die "unknown set of packages \"$set\"" ;;
	esac
done

missing=()
declare -A seen=()
installed=$(dpkg-query -W -f '${Package} ${Status}\n' "${want[@]}" 2>/dev/null || true)
for p in "${want[@]}"; do
	[ -z "${seen[$p]:-}" ] || continue
	seen[$p]=1
	grep -q "^$p .* installed$" <<<"$installed" || missing+=("$p")
done
[ ${#missing[@]} -gt 0 ] || exit 0

root=()
if [ "$uid" != 0 ]; then
	command -v sudo >/dev/null && sudo -n true 2>/dev/null && root=(sudo -n) ||
		die "not root, so please install these packages and run this again: ${missing[*]}"
fi

# For the duration only: no service starts, no cluster "main" is made.
policy=/usr/sbin/policy-rc.d
clusters=/etc/postgresql-common/createcluster.d
no_main=$clusters/feathub-no-main.conf
made_policy=
cleanup() {
	[ -z "$made_policy" ] || "${root[@]}" rm -f "$policy"
	"${root[@]}" rm -f "$no_main"
	"${root[@]}" rmdir --ignore-fail-on-non-empty "$clusters" 2>/dev/null || true
}
trap cleanup EXIT
trap 'exit 1' INT TERM
if [ ! -e "$policy" ]; then
	made_policy=1
	printf '#!/bin/sh\nexit 101\n' | "${root[@]}" tee "$policy" >/dev/null
	"${root[@]}" chmod 755 "$policy"
fi
"${root[@]}" mkdir -p "$clusters"
echo "create_main_cluster = false" | "${root[@]}" tee "$no_main" >/dev/null

say "installing ${missing[*]}"
apt=("${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3)
log=$(mktemp)
{ "${apt[@]}" update && "${apt[@]}" install -y --no-install-recommends "${missing[@]}"; } >"$log" 2>&1 </dev/null ||
	{ tail -30 "$log" >&2; rm -f "$log"; die "could not install: ${missing[*]}"; }
rm -f "$log"
