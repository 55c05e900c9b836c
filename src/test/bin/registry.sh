#!/bin/bash
# registry.sh: one Apicurio Registry on loopback, with Confluent's interface.
#
#   registry.sh get              fetch it from Maven Central; prints its folder
#   registry.sh up DIR PORT      start it, its log in DIR; prints the base URL
#   registry.sh down DIR [--rm]  stop it; --rm removes DIR
#
# It keeps everything in memory.  Needs java (17: newer versions of it want a
# newer one), curl and, for get, mvn.  APICURIO_VERSION.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

version=${APICURIO_VERSION:-3.0.9}
folder=$cache/apicurio-$version

get() {
	command -v java >/dev/null || die "java is not installed"
	if [ ! -e "$folder/.complete" ]; then
		command -v mvn >/dev/null || die "mvn is not installed"
		mkdir -p "$cache" && [ -w "$cache" ] || die "cannot write $cache"
		exec 7>"$cache/apicurio.lock"
		flock 7
		if [ ! -e "$folder/.complete" ]; then
			rm -rf "$folder"
			mkdir -p "$folder"
			local try
			for try in 1 2 3; do
				mvn -q -B -Dmaven.repo.local="$cache/m2-apicurio" \
					org.apache.maven.plugins:maven-dependency-plugin:2.8:copy \
					-Dartifact="io.apicurio:apicurio-registry-app:$version:tar.gz:all" \
					-DoutputDirectory="$folder" >"$cache/apicurio.log" 2>&1 </dev/null && break
				[ $try -lt 3 ] || { tail -5 "$cache/apicurio.log" >&2; die "could not fetch Apicurio Registry $version"; }
			done
			rm -rf "$cache/m2-apicurio"
			tar -xzf "$folder/apicurio-registry-app-$version-all.tar.gz" --no-same-owner -C "$folder"
			rm "$folder/apicurio-registry-app-$version-all.tar.gz"
			: >"$folder/.complete"
		fi
		exec 7>&-
	fi
	echo "$folder"
}

start() {
	local dir=$1 port=$2 pid i url=http://127.0.0.1:$2/apis/ccompat/v7
	mkdir -p "$dir"
	dir=$(cd "$dir" && pwd -P)
	cd "$folder"
	setsid java -Xmx256m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Djava.io.tmpdir="$dir" \
		-Dquarkus.http.host=127.0.0.1 -Dquarkus.http.port="$port" -Dquarkus.http.access-log.enabled=false \
		-Dapicurio.storage.kind=sql -Dapicurio.storage.sql.kind=h2 \
		-jar "apicurio-registry-app-$version-runner.jar" >"$dir/registry.log" 2>&1 </dev/null 7>&- 8>&- &
	pid=$!
	echo $pid >"$dir/registry.pid"
	for ((i = 0; i < 900; i++)); do
		kill -0 $pid 2>/dev/null || { tail -20 "$dir/registry.log" >&2; return 1; }
		! curl -sf -o /dev/null --noproxy '*' "$url/subjects" || { echo "$url"; return 0; }
		sleep 0.1
	done
	tail -20 "$dir/registry.log" >&2
	kill -9 $pid
	return 1
}

stop() {
	local dir=$1
	dir=$(cd "$dir" 2>/dev/null && pwd -P) || return 0
	stop_pid_file "$dir/registry.pid" "$dir"
	[ "${2:-}" != --rm ] || rm -rf "$dir"
}

command=${1:?get, up or down}
shift
case $command in
	get) get ;;
	up) get >/dev/null; start "$@" ;;
	down) stop "$@" ;;
	*) die "unknown command \"$command\"" ;;
esac
