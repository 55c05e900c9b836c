#!/bin/bash
# kafka.sh: one real Apache Kafka node (broker and controller) on loopback.
#
#   kafka.sh get                     fetch it from Maven Central; prints the folder of jars
#   kafka.sh up DIR PORT [sasl=PORT] [ssl=PORT] [saslssl=PORT] [mtls=PORT] [property=value...]
#                                    start or restart it, data and logs in DIR; PORT+1 is the controller's
#   kafka.sh down DIR [--kill] [--rm]  stop it; --kill is a crash, --rm removes DIR
#   kafka.sh tool NAME argument...   Kafka's own tools: topics, configs, consumer-groups, get-offsets,
#                                    delete-records, transactions, console-consumer, console-producer
#
# sasl: PLAIN and SCRAM-SHA-256, user alice, password alice-secret.  ssl: the CA
# is DIR/ssl/ca.pem; mtls wants DIR/ssl/client.pem and client.key as well.
# Needs java and, for get, mvn.  KAFKA_VERSION, KAFKA_HEAP (384m), KAFKA_JVM.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

version=${KAFKA_VERSION:-3.9.2}
jars=$cache/kafka-$version
java=(java -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Xshare:auto)

get() {
	command -v java >/dev/null || die "java is not installed"
	if [ ! -e "$jars/.complete" ]; then
		command -v mvn >/dev/null || die "mvn is not installed"
		mkdir -p "$cache" && [ -w "$cache" ] || die "cannot write $cache"
		exec 7>"$cache/kafka.lock"
		flock 7
		if [ ! -e "$jars/.complete" ]; then
			rm -rf "$jars" "$jars.new"
			local try
			for try in 1 2 3; do
				mvn -q -B -f "$bin/kafka-pom.xml" -Dkafka.version="$version" -Dmaven.repo.local="$cache/m2" \
					dependency:copy-dependencies -DoutputDirectory="$jars.new" -DincludeScope=runtime >"$cache/mvn.log" 2>&1 </dev/null && break
				[ $try -lt 3 ] || { tail -5 "$cache/mvn.log" >&2; die "could not fetch Apache Kafka $version"; }
			done
			rm -rf "$cache/m2"
			mv "$jars.new" "$jars"
			make_class_archive
			: >"$jars/.complete"
		fi
		exec 7>&-
	fi
	echo "$jars"
}

# An archive of loaded classes halves the start of every broker that follows.
make_class_archive() {
	local dir port
	dir=$(mktemp -d)
	port=$(free_port 2)
	if KAFKA_JVM="-XX:ArchiveClassesAtExit=$jars/kafka.jsa" start "$dir" "$port" >/dev/null 2>&1; then
		stop "$dir"
	else
		rm -f "$jars/kafka.jsa"
	fi
	rm -rf "$dir"
}

# A CA and certificates for localhost, for a server and a client.
make_certificates() {
	mkdir -p ssl
	(
		cd ssl
		exec 2>openssl.log
		openssl req -x509 -newkey rsa:2048 -nodes -days 30 -subj /CN=feathub-test-ca -keyout ca.key -out ca.pem
		for n in server client; do
			openssl req -newkey rsa:2048 -nodes -subj "/CN=$n" -keyout $n.key -out $n.csr
			openssl x509 -req -in $n.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 30 -out $n.pem \
				-extfile <(printf 'subjectAltName=DNS:localhost,IP:127.0.0.1')
		done
		cat server.key server.pem ca.pem >server-chain.pem
	)
}

# One listener: NAME, port, protocol, and its own properties.
add_listener() {
	local name=$1 port=$2 protocol=$3 key=listener.name.${1,,}
	listeners+=,$name://127.0.0.1:$port
	protocols+=,$name:$protocol
	case $protocol in
		*SSL) properties+=("$key.ssl.keystore.type=PEM" "$key.ssl.keystore.location=$dir/ssl/server-chain.pem"
			"$key.ssl.truststore.type=PEM" "$key.ssl.truststore.location=$dir/ssl/ca.pem") ;;
	esac
	case $protocol in
		SASL*) properties+=("$key.sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256"
			"$key.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required username=\"admin\" password=\"admin-secret\" user_admin=\"admin-secret\" user_alice=\"alice-secret\";"
			"$key.scram-sha-256.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;") ;;
	esac
}

start() {
	local dir=$1 port=$2 scram= tls= i pid a
	shift 2
	mkdir -p "$dir"
	dir=$(cd "$dir" && pwd -P)
	cd "$dir"
	listeners=PLAINTEXT://127.0.0.1:$port
	protocols=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
	properties=()
	for a; do
		case $a in
			sasl=*) add_listener SASLP "${a#*=}" SASL_PLAINTEXT; scram=1 ;;
			ssl=*) add_listener TLS "${a#*=}" SSL; tls=1 ;;
			saslssl=*) add_listener SASLTLS "${a#*=}" SASL_SSL; tls=1 scram=1 ;;
			mtls=*) add_listener MTLS "${a#*=}" SSL; tls=1; properties+=(listener.name.mtls.ssl.client.auth=required) ;;
			*=*) properties+=("$a") ;;
			*) die "not a property: \"$a\"" ;;
		esac
	done
	[ -z "$tls" ] || [ -e ssl/server-chain.pem ] || make_certificates
	[ ! -e "$jars/kafka.jsa" ] || java+=(-XX:SharedArchiveFile="$jars/kafka.jsa")
	cat >log4j.properties <<-X
		log4j.rootLogger=INFO, stdout
		log4j.appender.stdout=org.apache.log4j.ConsoleAppender
		log4j.appender.stdout.layout=org.apache.log4j.PatternLayout
		log4j.appender.stdout.layout.ConversionPattern=[%d] %p %m (%c)%n
	X
	java+=(-Dlog4j.configuration="file:$dir/log4j.properties")
	cat >server.properties <<-X
		process.roles=broker,controller
		node.id=1
		controller.quorum.voters=1@127.0.0.1:$((port + 1))
		controller.listener.names=CONTROLLER
		listeners=$listeners,CONTROLLER://127.0.0.1:$((port + 1))
		advertised.listeners=$listeners
		listener.security.protocol.map=$protocols
		inter.broker.listener.name=PLAINTEXT
		log.dirs=$dir/logs
		num.partitions=1
		auto.create.topics.enable=false
		offsets.topic.num.partitions=1
		offsets.topic.replication.factor=1
		transaction.state.log.num.partitions=1
		transaction.state.log.replication.factor=1
		transaction.state.log.min.isr=1
		group.initial.rebalance.delay.ms=0
		broker.session.timeout.ms=2000
		broker.heartbeat.interval.ms=500
		num.network.threads=2
		num.io.threads=2
		background.threads=2
		log.cleaner.dedupe.buffer.size=16777216
	X
	[ ${#properties[@]} -eq 0 ] || printf '%s\n' "${properties[@]}" >>server.properties
	if [ ! -e logs/meta.properties ]; then
		"${java[@]}" -Xmx128m -cp "$jars/*" kafka.tools.StorageTool format --ignore-formatted -c server.properties \
			-t "A$(openssl rand -hex 16 | cut -c1-21)" \
			${scram:+--add-scram "SCRAM-SHA-256=[name=alice,password=alice-secret]"} >format.log 2>&1 ||
			{ cat format.log >&2; return 1; }
	fi
	setsid "${java[@]}" -Xms64m -Xmx"${KAFKA_HEAP:-384m}" ${KAFKA_JVM:-} -cp "$jars/*" kafka.Kafka server.properties >kafka.log 2>&1 </dev/null 7>&- 8>&- &
	pid=$!
	echo $pid >kafka.pid
	for ((i = 0; i < 900; i++)); do
		kill -0 $pid 2>/dev/null || { tail -20 kafka.log >&2; return 1; }
		! grep -q 'Kafka Server started' kafka.log || { echo "127.0.0.1:$port"; return 0; }
		sleep 0.1
	done
	tail -20 kafka.log >&2
	kill -9 $pid
	return 1
}

stop() {
	local dir=$1 a pid remove=
	shift
	dir=$(cd "$dir" 2>/dev/null && pwd -P) || return 0
	for a; do
		case $a in
			--kill) pid=$(cat "$dir/kafka.pid" 2>/dev/null || true)
				if [ -n "$pid" ] && tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null | grep -qF "$dir"; then kill -9 "$pid" || true; fi ;;
			--rm) remove=1 ;;
		esac
	done
	stop_pid_file "$dir/kafka.pid" "$dir/log4j.properties"
	[ -z "$remove" ] || rm -rf "$dir"
}

run_tool() {
	local class=$1
	shift
	case $class in
		topics) class=org.apache.kafka.tools.TopicCommand ;;
		configs) class=kafka.admin.ConfigCommand ;;
		consumer-groups) class=org.apache.kafka.tools.consumer.group.ConsumerGroupCommand ;;
		acls) class=kafka.admin.AclCommand ;;
		get-offsets) class=org.apache.kafka.tools.GetOffsetShell ;;
		delete-records) class=org.apache.kafka.tools.DeleteRecordsCommand ;;
		transactions) class=org.apache.kafka.tools.TransactionsCommand ;;
		console-consumer) class=org.apache.kafka.tools.consumer.ConsoleConsumer ;;
		console-producer) class=kafka.tools.ConsoleProducer ;;
	esac
	exec "${java[@]}" -Xmx256m -Dlog4j.configuration="file:$bin/kafka-tool.properties" -cp "$jars/*" "$class" "$@"
}

command=${1:?get, up, down or tool}
shift
case $command in
	get) get ;;
	up) get >/dev/null; start "$@" ;;
	down) stop "$@" ;;
	tool) get >/dev/null; run_tool "$@" ;;
	*) die "unknown command \"$command\"" ;;
esac
