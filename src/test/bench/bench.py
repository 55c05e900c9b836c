"""bench.py: make bench.  Figures of ingestion on Apache Kafka, side by side.

Every part is measured in the same way: the CPU seconds of all processes that
take part (the server's processes and the client; Kafka's JVM beside them) and
the wall time.  Parts are chosen by BENCH="both offline copy ..."; see PARTS.
"""
import json
import os
import subprocess
import sys
import threading
import time

import psycopg

import peer_connect

TICK = os.sysconf("SC_CLK_TCK")
BOOTSTRAP = os.environ["BENCH_BOOTSTRAP"]
TOOLS = os.environ["BENCH_TOOLS"]
CSV = os.environ["BENCH_CSV"]
HERE = os.path.dirname(os.path.abspath(__file__))
ROWS = int(os.environ.get("BENCH_ROWS", "2000000"))
KEYS = int(os.environ.get("BENCH_KEYS", "100000"))
SECONDS = int(os.environ.get("BENCH_SECONDS", "30"))
PARTITIONS = 6
TOPIC = "bench"
PARTS = "both offline copy nothing consume scan python correct freshness kafka_sink".split()
COLUMNS = """user_id int, event_time timestamptz, clicks_7d int, amount_30d float8, conversion_score float8,
  account_age int, is_active bool, country text"""

results = {}
notes = {}


def processes():
    """pid -> (parent, CPU seconds of it and of its children that ended, command)"""
    found = {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/stat") as f:
                text = f.read()
        except OSError:
            continue
        rest = text[text.rindex(")") + 2:].split()
        found[int(pid)] = (int(rest[1]), sum(map(int, rest[11:15])) / TICK)
    return found


def tree_cpu(root, found=None):
    """CPU seconds of a process and all its descendants, ended or not."""
    found = found or processes()
    children = {}
    for pid, (parent, _) in found.items():
        children.setdefault(parent, []).append(pid)
    total, todo = 0.0, [root]
    while todo:
        pid = todo.pop()
        if pid in found:
            total += found[pid][1]
            todo += children.get(pid, [])
    return total


POSTMASTER = int(os.environ["BENCH_POSTMASTER"])
BROKER = int(os.environ["BENCH_BROKER"])


class Measure:
    """with Measure(name, rows): ... measures a part, sampling the workers' memory."""

    def __init__(self, name, rows, what):
        self.name, self.rows, self.what, self.client = name, rows, what, 0.0

    def __enter__(self):
        with connect() as conn:
            conn.execute("CHECKPOINT")
        self.peak = {"anon": 0, "rss": 0}
        self.done = threading.Event()
        self.sampler = threading.Thread(target=self.sample)
        self.server, self.broker = tree_cpu(POSTMASTER), tree_cpu(BROKER)
        self.own = time.process_time()
        self.sampler.start()
        self.start = time.time()
        return self

    def sample(self):
        while not self.done.wait(0.25):
            for pid, (parent, _) in processes().items():
                if parent != POSTMASTER:
                    continue
                try:
                    with open(f"/proc/{pid}/cmdline") as f:
                        if "feathub" not in f.read() or "broker" in f.read():
                            continue
                    with open(f"/proc/{pid}/status") as f:
                        status = dict(line.split(":", 1) for line in f)
                except OSError:
                    continue
                for key, field in (("anon", "RssAnon"), ("rss", "VmRSS")):
                    self.peak[key] = max(self.peak[key], int(status.get(field, "0 kB").split()[0]) / 1024)

    def __exit__(self, kind, value, trace):
        wall = time.time() - self.start
        self.done.set()
        self.sampler.join()
        if kind:
            return
        server, broker = tree_cpu(POSTMASTER) - self.server, tree_cpu(BROKER) - self.broker
        results[self.name] = {
            "what": self.what, "rows": self.rows, "server": server, "client": self.client, "broker": broker, "wall": wall,
            "per_cpu": self.rows / max(server + self.client, 1e-9), "anon": self.peak["anon"], "rss": self.peak["rss"]}
        print(f"   {self.what}: {self.rows / max(server + self.client, 1e-9):,.0f} rows per CPU second, "
              f"{self.rows / wall:,.0f} per second", flush=True)


def connect():
    return psycopg.connect(autocommit=True)


def client(measure, command, **kwargs):
    """Run a client program; its CPU counts."""
    before = os.times()
    out = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, **kwargs).stdout
    after = os.times()
    measure.client += after.children_user + after.children_system - before.children_user - before.children_system
    return out


def wait_for(conn, job):
    """All that the topic holds is applied, or the job's own error.  In short
    statements: the snapshot of a long one would keep row versions from being
    pruned, and so slow down what is measured."""
    end = time.time() + 1200
    while True:
        try:
            conn.execute("SELECT feathub.wait_for_job(%s, timeout => '300 ms')", [job])
            return
        except psycopg.Error as e:
            error, = conn.execute("SELECT last_error FROM feathub.job_status WHERE job = %s", [job]).fetchone()
            if error or time.time() > end:
                raise AssertionError(error or f"job {job} did not catch up") from e


def group(name, what, online):
    with connect() as conn:
        conn.execute(f"""DROP FOREIGN TABLE IF EXISTS {name}_stream""")
        conn.execute(f"""CREATE FOREIGN TABLE {name}_stream ({COLUMNS}) SERVER kafka OPTIONS (topic '{TOPIC}', format 'json')""")
        with Measure(name, ROWS, what):
            conn.execute("SELECT feathub.create_feature_group(%s, source => %s, primary_key => '{user_id}', event_time => 'event_time', online => %s)",
                         [name, f"{name}_stream", online])
            wait_for(conn, name)
        conn.execute("SELECT feathub.pause_job(%s)", [name])


def part_both():
    group("bench_both", "one worker, offline and online table", True)


def part_offline():
    group("bench_offline", "one worker, offline table alone", False)


def part_copy():
    with connect() as conn:
        conn.execute("DROP TABLE IF EXISTS bench_copy")
        conn.execute(f"CREATE TABLE bench_copy ({COLUMNS}, PRIMARY KEY (user_id, event_time))")
        rows = int(subprocess.check_output(["wc", "-l", CSV]).split()[0])
        with Measure("copy", rows, "COPY of the rows from a CSV file, primary key alone") as m:
            client(m, [os.environ["BENCH_PSQL"], "-X", "-q", "-c", f"\\copy bench_copy FROM '{CSV}' (FORMAT csv)"])


def part_nothing():
    with connect() as conn:
        conn.execute("DROP TABLE IF EXISTS bench_nothing")
        conn.execute(f"CREATE TABLE bench_nothing ({COLUMNS})")
        conn.execute("DROP FOREIGN TABLE IF EXISTS bench_nothing_stream")
        conn.execute(f"CREATE FOREIGN TABLE bench_nothing_stream ({COLUMNS}) SERVER kafka OPTIONS (topic '{TOPIC}', format 'json')")
        with Measure("nothing", ROWS, "one worker, decoded and thrown away"):
            conn.execute("SELECT feathub.create_job('bench_nothing', source => 'bench_nothing_stream', sink => 'bench_nothing', "
                         "query => 'SELECT * FROM batch WHERE false')")
            wait_for(conn, "bench_nothing")
        conn.execute("SELECT feathub.drop_job('bench_nothing')")


def part_kafka_sink():
    """A topic copied to another by a job, at least once and exactly once."""
    with connect() as conn:
        conn.execute(f"CREATE FOREIGN TABLE bench_sink_stream ({COLUMNS}) SERVER kafka OPTIONS (topic '{TOPIC}', format 'json')")
        for name, transactional in (("least", "false"), ("once", "true")):
            conn.execute(f"""CREATE FOREIGN TABLE bench_sink_{name} ({COLUMNS}) SERVER kafka
                OPTIONS (topic 'bench_sink_{name}', format 'json', transactional '{transactional}')""")
            with Measure(f"sink_{name}", ROWS, f"topic to topic, {'exactly' if name == 'once' else 'at least'} once"):
                conn.execute(f"SELECT feathub.create_job('bench_sink_{name}', source => 'bench_sink_stream', sink => 'bench_sink_{name}')")
                wait_for(conn, f"bench_sink_{name}")
            conn.execute(f"SELECT feathub.drop_job('bench_sink_{name}')")
    least, once = (ROWS / results[f"sink_{name}"]["wall"] for name in ("least", "once"))
    notes["kafka_sink"] = f"topic to topic, rows per second, exactly / at least once: {once / least:.2f}  (goal 0.5)"


def part_consume():
    with Measure("consume", ROWS, "librdkafka's consumer alone") as m:
        out = json.loads(client(m, [f"{TOOLS}/bench_consume", BOOTSTRAP, TOPIC, str(PARTITIONS)]))
    assert out["messages"] == ROWS, out


def part_scan():
    with connect() as conn:
        conn.execute("DROP FOREIGN TABLE IF EXISTS bench_scan")
        conn.execute(f"CREATE FOREIGN TABLE bench_scan ({COLUMNS}) SERVER kafka OPTIONS (topic '{TOPIC}', format 'json')")
        with Measure("scan", ROWS, "SELECT count(*), sum(amount_30d)"):
            count, _ = conn.execute("SELECT count(*), sum(amount_30d) FROM bench_scan").fetchone()
        assert count == ROWS, f"the scan returned {count} of {ROWS} rows"


def part_python():
    with connect() as conn:
        conn.execute("DROP TABLE IF EXISTS peer_offline, peer_online, peer_position")
        conn.execute(f"CREATE TABLE peer_offline ({COLUMNS}, PRIMARY KEY (user_id, event_time))")
        conn.execute(f"CREATE TABLE peer_online ({COLUMNS}, PRIMARY KEY (user_id))")
        conn.execute("CREATE TABLE peer_position (partition int PRIMARY KEY, position bigint)")
    with Measure("python", ROWS, "Python loop, offline and online table") as m:
        client(m, [sys.executable, f"{HERE}/peer_loop.py", BOOTSTRAP, TOPIC, str(PARTITIONS)])


def part_connect():
    rows = ROWS // 10
    peer_connect.prepare(BOOTSTRAP, f"{TOOLS}/bench_produce", PARTITIONS, rows, KEYS)
    with connect() as conn:
        conn.execute("DROP TABLE IF EXISTS connect_offline, connect_online")
        conn.execute(f"CREATE TABLE connect_offline ({COLUMNS}, PRIMARY KEY (user_id, event_time))")
        conn.execute(f"CREATE TABLE connect_online ({COLUMNS}, PRIMARY KEY (user_id))")
        with peer_connect.Connect(BOOTSTRAP) as peer:
            peer.wait_for(lambda: conn.execute("SELECT count(*) > 0 FROM connect_offline").fetchone()[0])
            # its start does not count, nor do the rows until then
            with Measure("connect", rows, "Kafka Connect, Debezium's JDBC sink, both tables") as m:
                before = tree_cpu(peer.process.pid)
                m.rows -= conn.execute("SELECT count(*) FROM connect_offline").fetchone()[0]
                peer.wait_for(lambda: peer.caught_up(rows))
                m.client = tree_cpu(peer.process.pid) - before
        late = conn.execute("""SELECT count(*) FROM (SELECT user_id, max(event_time) AS event_time FROM connect_offline GROUP BY 1) c
            FULL JOIN connect_online o USING (user_id, event_time) WHERE c.user_id IS NULL OR o.user_id IS NULL""").fetchone()[0]
        notes["connect"] = f"Kafka Connect: {late} online rows are not the latest of its own offline rows"


def part_correct():
    """The tables against COPY's, row for row."""
    if "copy" not in results:
        return
    with connect() as conn:
        for name, offline, online in (("worker", "bench_both", "bench_both_online"), ("Python loop", "peer_offline", "peer_online")):
            if conn.execute("SELECT to_regclass(%s)", [offline]).fetchone()[0] is None:
                continue
            columns = ", ".join(c.split()[0] for c in COLUMNS.split(","))
            wrong = conn.execute(f"""SELECT count(*) FROM (
                (SELECT {columns} FROM {offline} EXCEPT SELECT {columns} FROM bench_copy) UNION ALL
                (SELECT {columns} FROM bench_copy EXCEPT SELECT {columns} FROM {offline})) d""").fetchone()[0]
            late = conn.execute(f"""SELECT count(*) FROM (SELECT user_id, max(event_time) AS event_time FROM bench_copy GROUP BY 1) c
                FULL JOIN {online} o USING (user_id, event_time) WHERE c.user_id IS NULL OR o.user_id IS NULL""").fetchone()[0]
            notes[name] = f"{name}: {wrong} offline rows and {late} online rows differ from the file"


def part_freshness():
    topic = "bench_freshness"
    with connect() as conn:
        for statement in (
                f"""CREATE FOREIGN TABLE bench_freshness_stream (user_id int, event_time timestamptz, sent bigint)
                    SERVER kafka OPTIONS (topic '{topic}', format 'json')""",
                """SELECT feathub.create_feature_group('bench_freshness', source => 'bench_freshness_stream',
                    primary_key => '{user_id}', event_time => 'event_time')"""):
            conn.execute(statement)
        wait_for(conn, "bench_freshness")
        conn.execute("ANALYZE")
        with Measure("freshness", 1000 * SECONDS, "1,000 messages a second") as m:
            out = client(m, [f"{TOOLS}/bench_freshness", BOOTSTRAP, topic, str(PARTITIONS), "",
                             "SELECT user_id, sent FROM bench_freshness_online", "1000", str(SECONDS)])
        notes["freshness"] = json.loads(out)
        conn.execute("SELECT feathub.pause_job('bench_freshness')")


def ratio(a, b, goal):
    if a in results and b in results:
        value = results[a]["per_cpu"] / results[b]["per_cpu"]
        print(f"  {results[a]['what']} / {results[b]['what']}: {value:.2f}  (goal {goal})")


def report():
    print(f"\n{ROWS:,} messages, {KEYS:,} keys, {PARTITIONS} partitions; CPU seconds; the last columns are the workers' peak memory, MB\n")
    print(f"{'':55}{'rows/CPU s':>11}{'rows/s':>10}{'server':>8}{'client':>8}{'broker':>8}{'wall':>8}{'private':>9}{'resident':>9}")
    for r in results.values():
        print(f"{r['what']:55}{r['per_cpu']:11,.0f}{r['rows'] / r['wall']:10,.0f}{r['server']:8.2f}{r['client']:8.2f}"
              f"{r['broker']:8.2f}{r['wall']:8.2f}{r['anon']:9.0f}{r['rss']:9.0f}")
    print("\nratios of rows per CPU second")
    ratio("bench_both", "copy", "0.8")
    ratio("bench_offline", "copy", "1.0")
    ratio("bench_both", "python", "2")
    ratio("bench_both", "connect", "6")
    ratio("nothing", "consume", "0.3")
    if "scan" in results:
        print(f"  {results['scan']['what']}: {results['scan']['per_cpu']:,.0f} rows per CPU second  (goal 400,000)")
    for key, note in notes.items():
        if key == "freshness":
            print("  produce to visible, ms: " + ", ".join(f"{k} {v:g}" for k, v in note.items() if k.startswith("p") and k != "polls")
                  + f"  ({note['messages']} messages; goal p50 10, p99 40)")
        else:
            print(f"  {note}")


def main():
    with connect() as conn:
        conn.execute("CREATE EXTENSION feathub")
        conn.execute(f"CREATE SERVER kafka FOREIGN DATA WRAPPER feathub_kafka OPTIONS (bootstrap_servers '{BOOTSTRAP}')")
        conn.execute("CREATE USER MAPPING FOR CURRENT_USER SERVER kafka")
    failed = []
    parts = os.environ.get("BENCH", "").split() or PARTS + (["connect"] if os.environ.get("PEER") == "connect" else [])
    for part in parts:
        print(f"== {part}", flush=True)
        try:
            globals()[f"part_{part}"]()
        except (psycopg.Error, subprocess.CalledProcessError, AssertionError, ImportError) as e:
            print(f"   failed: {e}", flush=True)
            failed.append(part)
    report()
    if failed:
        sys.exit(f"failed: {' '.join(failed)}")


main()
