#!/bin/bash
# clients.sh get [PART...] | folder: programs that write to Kafka and read PostgreSQL, as users of
# a feature store do, for tests; kept in the cache.
#
#   debezium Kafka Connect, and Debezium's connector for MariaDB in the folder plugins
#   python   an environment with confluent-kafka and what it needs for avro
#   protobuf another one, with what it needs for protobuf
#   flink    the jars of Apache Flink's SQL client
#   spark    Apache Spark with its Python interface and its connector for Kafka
#
# Prints the folder that has a folder for each part; get first fetches the parts,
# all by default.  A part that could not be fetched is not there.  Needs java, mvn and python3-venv.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# raise the number when a version changes
clients=$cache/clients-1
python=/usr/bin/python3
[ -x "$python" ] || python=python3

get_python() {
	"$python" -m venv "$1"
	"$1/bin/pip" install -q --disable-pip-version-check 'confluent-kafka[avro,schemaregistry]==2.6.1'
}

get_protobuf() {
	"$python" -m venv "$1"
	"$1/bin/pip" install -q --disable-pip-version-check 'confluent-kafka[protobuf,schemaregistry]==2.6.1' 'protobuf==5.29.5'
}

get_jars() {
	mvn -q -B -f "$bin/clients-pom.xml" -P "$1" -Dmaven.repo.local="$clients/m2" \
		dependency:copy-dependencies -DoutputDirectory="$2" -DincludeScope=runtime
}

get_flink() {
	get_jars flink "$1"
}

get_debezium() {
	get_jars debezium "$1"
	mkdir "$1/plugins"
	tar -xzf "$1"/debezium-connector-mariadb-*.tar.gz --no-same-owner -C "$1/plugins"
	rm "$1"/debezium-connector-mariadb-*.tar.gz
}

# The source package holds all of Spark; unpacked it is used as it is, without
# packing it anew as an installation would.
get_spark() {
	local version
	version=$(sed -n 's/.*<spark.version>\(.*\)<.*/\1/p' "$bin/clients-pom.xml")
	"$clients/python/bin/pip" download -q --disable-pip-version-check --no-cache-dir --no-deps --no-binary :all: -d "$1.tar" "pyspark==$version"
	mkdir -p "$1"
	tar -xzf "$1.tar/pyspark-$version.tar.gz" --strip-components=1 --no-same-owner -C "$1"
	rm -rf "$1.tar"
	get_jars spark "$1/deps/jars"
}

# One part, unless it is there; its folder has its name only once it is complete.
get() {
	local part=$1 folder=$clients/$1 log try
	# where an environment is made its paths are written into it
	[ ! -e "$folder/.complete" ] || return 0
	log=$clients/$part.log
	for try in 1 2 3; do
		rm -rf "$folder" "$folder.tar"
		# a process of its own, since -e has no effect in a condition
		"$bin/clients.sh" fetch "$part" "$folder" >"$log" 2>&1 </dev/null &&
			{ : >"$folder/.complete"; return 0; }
	done
	rm -rf "$folder" "$folder.tar"
	echo "clients.sh: could not fetch $part: $(tail -3 "$log" | tr '\n' ' ')" >&2
	return 1
}

command=${1:-}
[ $# -eq 0 ] || shift
case $command in
	fetch) "get_$1" "$2" ;;
	get)
		[ $# -gt 0 ] || set -- python protobuf flink debezium spark
		mkdir -p "$clients"
		exec 9>"$clients/lock"
		flock 9
		status=0
		for part; do
			get "$part" || status=1
		done
		rm -rf "$clients/m2"
		echo "$clients"
		exit $status
		;;
	folder) echo "$clients" ;;
	*) die "get or folder" ;;
esac
