"""peer_debezium.py: Debezium's connector for MariaDB in Kafka Connect, for bench_cdc.sh.

    position        let it find the present end of the binary log, and remember it
    measure kafka   read on from there, write to Kafka: rows a second, and
                    microseconds of Java's CPU time a row
    measure nothing the same, but all rows are dropped before they are written

A change of table cdc_begin, then BENCH_ROWS changes of table rows and one of
cdc_end are what it reads: it is timed from the first to the last, so that
neither the start of Java nor that of the connector counts; its CPU time is taken
between the same two.  Environment:
BENCH_BOOTSTRAP, BENCH_CONNECT (the folder of jars), BENCH_RUN, BENCH_MYSQL_PORT,
BENCH_ROWS.  The user is fh, the password fh-secret, the database bench.
"""
import os
import shutil
import socket
import subprocess
import sys
import time

from confluent_kafka import Consumer, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

BOOTSTRAP, JARS, RUN = (os.environ[n] for n in ("BENCH_BOOTSTRAP", "BENCH_CONNECT", "BENCH_RUN"))


class Debezium:
    """A standalone worker with the connector that runs while the context lasts."""

    def __init__(self, prefix, drop=False):
        self.folder = f"{RUN}/debezium-{prefix}"
        self.prefix = prefix
        os.makedirs(self.folder)
        topics = [NewTopic(f"{prefix}.{table}", 1, 1) for table in ("rows", "cdc_position", "cdc_begin", "cdc_end")]
        admin = AdminClient({"bootstrap.servers": BOOTSTRAP})
        for made in admin.create_topics(topics).values():
            made.result(30)
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            rest = s.getsockname()[1]
        self.write("worker", {
            "bootstrap.servers": BOOTSTRAP, "plugin.path": JARS + "/plugins", "listeners": f"http://127.0.0.1:{rest}",
            "key.converter": "org.apache.kafka.connect.json.JsonConverter", "key.converter.schemas.enable": "false",
            "value.converter": "org.apache.kafka.connect.json.JsonConverter", "value.converter.schemas.enable": "false",
            "offset.storage.file.filename": self.folder + "/offsets", "offset.flush.interval.ms": "1000",
            "producer.linger.ms": "5", "producer.batch.size": "262144", "producer.compression.type": "lz4",
            "topic.creation.enable": "false"})
        self.write("log4j", {
            "log4j.rootLogger": "INFO, stdout", "log4j.appender.stdout": "org.apache.log4j.ConsoleAppender",
            "log4j.appender.stdout.layout": "org.apache.log4j.PatternLayout", "log4j.appender.stdout.layout.ConversionPattern": "%d %p %m (%c)%n"})
        connector = {
            # one name for all, since the position is kept under it
            "name": "bench", "connector.class": "io.debezium.connector.mariadb.MariaDbConnector", "tasks.max": "1",
            "database.hostname": "127.0.0.1", "database.port": os.environ["BENCH_MYSQL_PORT"], "database.user": "fh",
            "database.password": "fh-secret", "database.server.id": "4711", "topic.prefix": "bench", "database.include.list": "bench",
            "snapshot.mode": "no_data", "schema.history.internal": "io.debezium.storage.file.history.FileSchemaHistory",
            "schema.history.internal.file.filename": self.folder + "/history", "decimal.handling.mode": "string",
            "tombstones.on.delete": "false", "include.schema.changes": "false",
            # rows as they come, in the largest batches that its manual speaks of
            "max.batch.size": "8192", "max.queue.size": "32768", "poll.interval.ms": "10",
            "transforms": "route", "transforms.route.type": "org.apache.kafka.connect.transforms.RegexRouter",
            "transforms.route.regex": "bench\\.bench\\.(.*)", "transforms.route.replacement": f"{prefix}.$1"}
        if drop:
            connector |= {
                "transforms": "drop,route", "transforms.drop.type": "org.apache.kafka.connect.transforms.Filter",
                "transforms.drop.predicate": "rows", "predicates": "rows",
                "predicates.rows.type": "org.apache.kafka.connect.transforms.predicates.TopicNameMatches",
                "predicates.rows.pattern": "bench\\.bench\\.rows"}
        self.write("connector", connector)

    def write(self, name, properties):
        with open(f"{self.folder}/{name}.properties", "w") as f:
            f.writelines(f"{k}={v.replace(chr(92), chr(92) * 2)}\n" for k, v in properties.items())

    def __enter__(self):
        with open(self.folder + "/connect.log", "w") as log:
            self.process = subprocess.Popen(
                ["java", "-Xmx1g", "-XX:+UseParallelGC", f"-Dlog4j.configuration=file:{self.folder}/log4j.properties",
                 "-cp", JARS + "/*", "org.apache.kafka.connect.cli.ConnectStandalone",
                 *(f"{self.folder}/{n}.properties" for n in ("worker", "connector"))],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        return self

    def __exit__(self, *_):
        self.process.terminate()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def wait_for(self, what):
        """The time at which a condition became true."""
        end = time.time() + 600
        while not what():
            if self.process.poll() is not None or time.time() > end:
                raise SystemExit(f"Debezium failed, see {self.folder}/connect.log")
            time.sleep(0.02)
        return time.time()

    def cpu(self):
        """Seconds of CPU time so far, of all threads."""
        with open(f"/proc/{self.process.pid}/stat") as f:
            fields = f.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def count(self, table):
        """Messages in a table's topic."""
        try:
            return consumer.get_watermark_offsets(TopicPartition(f"{self.prefix}.{table}", 0), timeout=10, cached=False)[1]
        except KafkaException:
            return 0                # a new topic has no leader yet


def sql(statement):
    subprocess.run(["mariadb", "--no-defaults", "-h127.0.0.1", "-P" + os.environ["BENCH_MYSQL_PORT"], "-ufh", "-pfh-secret", "bench",
                    "-e", statement], check=True)


def position():
    sql("CREATE TABLE IF NOT EXISTS cdc_begin (id int PRIMARY KEY); CREATE TABLE IF NOT EXISTS cdc_end (id int PRIMARY KEY);"
        "CREATE TABLE IF NOT EXISTS cdc_position (id int PRIMARY KEY)")
    with Debezium("position") as debezium:
        # a change that it has seen is one whose position it has kept when it ends
        log = debezium.folder + "/connect.log"
        debezium.wait_for(lambda: "Keepalive thread is running" in open(log).read())
        sql("INSERT INTO cdc_position VALUES (1)")
        debezium.wait_for(lambda: debezium.count("cdc_position") == 1)


def measure(sink):
    debezium = Debezium(sink, drop=sink == "nothing")
    for name in ("offsets", "history"):
        shutil.copy(f"{RUN}/debezium-position/{name}", debezium.folder)
    with debezium:
        begin = debezium.wait_for(lambda: debezium.count("cdc_begin") == 1)
        cpu = debezium.cpu()
        end = debezium.wait_for(lambda: debezium.count("cdc_end") == 1)
        cpu = debezium.cpu() - cpu
        rows = int(os.environ["BENCH_ROWS"])
        if sink == "kafka" and debezium.count("rows") != rows:
            raise SystemExit(f"{debezium.count('rows')} rows instead of {rows}")
        print(f"{rows / (end - begin):.0f} {cpu / rows * 1e6:.2f}")


consumer = Consumer({"bootstrap.servers": BOOTSTRAP, "group.id": "bench_debezium", "log_level": 3})
if sys.argv[1] == "position":
    position()
else:
    measure(sys.argv[2])
