"""peer_connect.py: Kafka Connect with Debezium's JDBC sink, for bench.py.

Two connectors in one standalone worker follow the same topic: one upserts by
(user_id, event_time), one by user_id.  The sink needs messages that carry their
schema, so they have a topic of their own.
"""
import os
import secrets
import socket
import subprocess
import time

import psycopg

TOPIC = "bench_connect"
FIELDS = [("user_id", "int32", None), ("event_time", "string", "io.debezium.time.ZonedTimestamp"), ("clicks_7d", "int32", None),
          ("amount_30d", "double", None), ("conversion_score", "double", None), ("account_age", "int32", None),
          ("is_active", "boolean", None), ("country", "string", None)]
PREFIX = '{"schema":{"type":"struct","fields":[' + ",".join(
    f'{{"field":"{n}","type":"{t}"' + (f',"name":"{l}"' if l else "") + "}" for n, t, l in FIELDS) + ']},"payload":'


def prepare(bootstrap, program, partitions, rows, keys):
    subprocess.run([program, bootstrap, TOPIC, str(partitions), str(rows), str(keys), os.devnull, PREFIX], check=True)


class Connect:
    """A worker that runs while the context lasts."""

    def __init__(self, bootstrap):
        self.folder = os.environ["BENCH_RUN"] + "/connect"
        self.jars = os.environ["BENCH_CONNECT"]
        os.makedirs(self.folder)
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            rest = s.getsockname()[1]
        password = secrets.token_hex(16)
        with psycopg.connect(autocommit=True) as conn:
            conn.execute("DROP ROLE IF EXISTS bench_connect")
            conn.execute(f"CREATE ROLE bench_connect LOGIN PASSWORD '{password}'")
            conn.execute("GRANT pg_read_all_data, pg_write_all_data TO bench_connect")
        self.bootstrap = bootstrap
        self.write("worker", {
            "bootstrap.servers": bootstrap, "plugin.path": self.jars + "/plugins", "listeners": f"http://127.0.0.1:{rest}",
            "key.converter": "org.apache.kafka.connect.storage.StringConverter",
            "value.converter": "org.apache.kafka.connect.json.JsonConverter", "value.converter.schemas.enable": "true",
            "offset.storage.file.filename": self.folder + "/offsets", "offset.flush.interval.ms": "5000",
            "consumer.auto.offset.reset": "earliest", "consumer.max.poll.records": "5000"})
        self.write("log4j", {
            "log4j.rootLogger": "WARN, stdout", "log4j.appender.stdout": "org.apache.log4j.ConsoleAppender",
            "log4j.appender.stdout.layout": "org.apache.log4j.PatternLayout", "log4j.appender.stdout.layout.ConversionPattern": "%d %p %m (%c)%n"})
        for table, key in (("offline", "user_id,event_time"), ("online", "user_id")):
            self.write(table, {
                "name": table, "connector.class": "io.debezium.connector.jdbc.JdbcSinkConnector", "tasks.max": "1", "topics": TOPIC,
                "connection.url": f"jdbc:postgresql://127.0.0.1:{os.environ['PGPORT']}/postgres",
                "connection.username": "bench_connect", "connection.password": password, "insert.mode": "upsert",
                "primary.key.mode": "record_value", "primary.key.fields": key, "table.name.format": f"public.connect_{table}",
                "collection.name.format": f"public.connect_{table}", "schema.evolution": "none", "batch.size": "5000"})

    def write(self, name, properties):
        with open(f"{self.folder}/{name}.properties", "w", opener=lambda path, flags: os.open(path, flags, 0o600)) as f:
            f.writelines(f"{k}={v}\n" for k, v in properties.items())

    def __enter__(self):
        with open(self.folder + "/connect.log", "w") as log:
            self.process = subprocess.Popen(
                ["java", "-Xmx1g", "-XX:+UseSerialGC", f"-Dlog4j.configuration=file:{self.folder}/log4j.properties",
                 "-cp", self.jars + "/runtime/*", "org.apache.kafka.connect.cli.ConnectStandalone",
                 *(f"{self.folder}/{n}.properties" for n in ("worker", "offline", "online"))],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        return self

    def __exit__(self, *_):
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def wait_for(self, condition):
        end = time.time() + 300
        while not condition():
            if self.process.poll() is not None or time.time() > end:
                raise AssertionError(f"Kafka Connect failed, see {self.folder}/connect.log")
            time.sleep(0.2)

    def caught_up(self, rows):
        """Both connectors have committed the offsets of all rows."""
        for table in ("offline", "online"):
            out = subprocess.run([os.environ["BENCH_TOOLS"] + "/kafka_client", self.bootstrap], check=True, text=True,
                                 input=f"committed\tconnect-{table}\t{TOPIC}\n", stdout=subprocess.PIPE).stdout
            if sum(max(int(line.split()[1]), 0) for line in out.splitlines()) < rows:
                return False
        return True
