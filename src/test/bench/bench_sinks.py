"""bench_sinks.py: part "sinks" of make bench.

A topic of JSON messages into Redis and MySQL by jobs, beside loops in Python with
the same systems' client libraries (peer_sink.py; guarded ones with a script for
each row) and beside the systems' own
tools for bulk: redis-benchmark with pipelines and LOAD DATA LOCAL.  Each is run
BENCH_TRIES times (3) in turn, the loops once; the best counts.  Rates are by the
clock and by CPU time over all processes, the servers written to among them, the
broker not.  BENCH_PARTS (hash doc mysql) and BENCH_NO_PEERS leave something out.
Called by bench.sh with PostgreSQL's environment.
"""
import os
import subprocess
import sys
import time

import psycopg

HERE = os.path.dirname(os.path.abspath(__file__))
BOOTSTRAP, RUN, CSV = os.environ["BENCH_BOOTSTRAP"], os.environ["BENCH_RUN"], os.environ["BENCH_CSV"]
ROWS, KEYS = int(os.environ["BENCH_ROWS"]), int(os.environ["BENCH_KEYS"])
REDIS, MYSQL = int(os.environ["BENCH_REDIS"]), int(os.environ["BENCH_MYSQL"])
TRIES = int(os.environ.get("BENCH_TRIES", "3"))
COLUMNS = """user_id bigint{key}, event_time timestamptz{time}, clicks_7d int, amount_30d float8, conversion_score float8,
    account_age int, is_active boolean, country text"""
KEY, TIME = " OPTIONS (key 'true')", " OPTIONS (event_time 'true')"
MYSQL_COLUMNS = """user_id bigint PRIMARY KEY, event_time datetime(6), clicks_7d int, amount_30d double, conversion_score double,
    account_age int, is_active tinyint(1), country varchar(32)"""
best = {}

conn = psycopg.connect(autocommit=True)
with open(conn.execute("SHOW data_directory").fetchone()[0] + "/postmaster.pid") as pidfile:
    POSTMASTER = int(pidfile.readline())
mysql = ["mariadb", "--no-defaults", "-S", RUN + "/mysql/s", "-uroot", "--local-infile=1", "bench"]


def children():
    """CPU seconds of children that ended."""
    t = os.times()
    return t.children_user + t.children_system


def cpu(pid, family=False):
    """CPU seconds of a process, and of its children, ended or not."""
    with open(f"/proc/{pid}/stat") as f:
        fields = f.read().rpartition(")")[2].split()
    ticks = sum(int(x) for x in fields[11:15 if family else 13])
    if family:
        for other in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{other}/stat") as f:
                    fields = f.read().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[1]) == pid:
                ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def spent(name):
    server = os.environ["BENCH_MYSQL_PID" if name.startswith("mysql") else "BENCH_REDIS_PID"]
    return cpu(POSTMASTER, True) + cpu(int(server)) + children()


def measure(name, run, rows):
    """run() returns its seconds; what it does before they begin costs next to nothing."""
    before = spent(name)
    seconds = run()
    rates = rows / seconds, rows / max(spent(name) - before, 0.01)
    print(f"   {name:32} {rates[0]:10,.0f} rows per second, {rates[1]:10,.0f} per CPU second", flush=True)
    best[name] = [max(old, new) for old, new in zip(best.get(name, (0, 0)), rates)]


def redis(*words):
    return subprocess.run(["redis-cli", "-p", str(REDIS), *words], check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


def job(name, sink, rows, reset, workers=1):
    """The seconds that a job takes from its first worker on."""
    reset()
    conn.execute("SELECT feathub.create_job(%s, source => 'source', sink => %s, workers => %s)", (name, sink, workers))
    start = time.time()
    conn.execute("SELECT feathub.wait_for_job(%s, '10 min')", (name,))
    seconds = time.time() - start
    applied, dead = conn.execute("SELECT sum(applied) + sum(duplicates), sum(dead_letters) FROM feathub.job_status WHERE job = %s", (name,)).fetchone()
    if applied != rows or dead:
        raise SystemExit(f"job {name}: {applied} of {rows} rows, {dead} dead letters")
    conn.execute("SELECT feathub.drop_job(%s)", (name,))
    return seconds


def peer(sink, port):
    out = subprocess.run([sys.executable, HERE + "/peer_sink.py", sink, BOOTSTRAP, "bench", "6", str(port)],
                         check=True, stdout=subprocess.PIPE, text=True).stdout
    return float(out.split()[0])


def redis_benchmark(*command):
    """The seconds of redis-benchmark."""
    out = subprocess.run(["redis-benchmark", "-p", str(REDIS), "-n", str(ROWS), "-r", str(KEYS), "-c", "8", "-P", "200", "--csv", *command],
                         check=True, stdout=subprocess.PIPE, text=True).stdout
    return ROWS / float(out.strip().splitlines()[-1].rsplit('","', 7)[1])


def load_data():
    """CSV of the same rows into the same table."""
    subprocess.run(mysql + ["-e", "TRUNCATE latest"], check=True)
    start = time.time()
    subprocess.run(mysql + ["-e", f"""LOAD DATA LOCAL INFILE '{CSV}' REPLACE INTO TABLE latest FIELDS TERMINATED BY ','
        (user_id, @t, clicks_7d, amount_30d, conversion_score, account_age, @a, country)
        SET event_time = REPLACE(LEFT(@t, 26), 'T', ' '), is_active = @a = 't'"""], check=True)
    return time.time() - start


conn.execute(f"""
    CREATE EXTENSION IF NOT EXISTS feathub;
    CREATE SERVER kafka FOREIGN DATA WRAPPER feathub_kafka OPTIONS (bootstrap_servers '{BOOTSTRAP}');
    CREATE SERVER redis FOREIGN DATA WRAPPER feathub_redis OPTIONS (port '{REDIS}');
    CREATE USER MAPPING FOR CURRENT_USER SERVER redis;
    CREATE SERVER mysql FOREIGN DATA WRAPPER feathub_mysql OPTIONS (host '127.0.0.1', port '{MYSQL}', database 'bench');
    CREATE USER MAPPING FOR CURRENT_USER SERVER mysql OPTIONS (user 'fh', password 'fh-secret');
    CREATE FOREIGN TABLE source ({COLUMNS.format(key='', time='')}) SERVER kafka OPTIONS (topic 'bench');
    CREATE FOREIGN TABLE latest ({COLUMNS.format(key=KEY, time='')}) SERVER mysql OPTIONS (table_name 'latest', write_mode 'upsert')""")
for name, kind, guard in (("hash", "hash", ""), ("doc", "value", ""), ("guarded_hash", "hash", TIME), ("guarded_doc", "value", TIME)):
    conn.execute(f"""CREATE FOREIGN TABLE {name} ({COLUMNS.format(key=KEY, time=guard)}) SERVER redis
        OPTIONS (kind '{kind}', prefix '{name}:', write_mode 'upsert'{", format 'json'" if kind == 'value' else ''})""")
subprocess.run(mysql + ["-e", f"CREATE TABLE latest ({MYSQL_COLUMNS}); CREATE TABLE peer LIKE latest"], check=True)

parts = os.environ.get("BENCH_PARTS", "hash doc mysql").split()
fields = "event_time 2026-01-01T00:00:00.123456Z clicks_7d 500 amount_30d 5000.25 conversion_score 0.123456 account_age 50 is_active true country country_100".split()
value = '{"event_time":"2026-01-01T00:00:00.123456Z","clicks_7d":500,"amount_30d":5000.25,"conversion_score":0.123456,"account_age":50,"is_active":true,"country":"country_100"}'
flush = lambda: redis("FLUSHALL")
for attempt in range(TRIES):
    for part, table in (("hash", "hash"), ("doc", "json")):
        if part not in parts:
            continue
        measure(f"redis {table}: job", lambda: job(part, part, ROWS, flush), ROWS)
        measure(f"redis {table}: job, guarded", lambda: job("guarded_" + part, "guarded_" + part, ROWS, flush), ROWS)
        flush()
        command = ("HSET", "bench:__rand_int__", *fields) if part == "hash" else ("SET", "bench:__rand_int__", value)
        measure(f"redis {table}: redis-benchmark", lambda: redis_benchmark(*command), ROWS)
    if "mysql" in parts:
        truncate = lambda: subprocess.run(mysql + ["-e", "TRUNCATE latest"], check=True)
        measure("mysql: job", lambda: job("latest", "latest", ROWS, truncate), ROWS)
        measure("mysql: job, 2 workers", lambda: job("latest", "latest", ROWS, truncate, 2), ROWS)
        measure("mysql: LOAD DATA", load_data, sum(1 for _ in open(CSV)))
if not os.environ.get("BENCH_NO_PEERS"):
    for part in parts:
        flush()
        name = {"hash": "redis hash", "doc": "redis json"}.get(part, part)
        measure(name + ": Python", lambda: peer(part, MYSQL if part == "mysql" else REDIS), ROWS)
        if part != "mysql":
            flush()
            measure(name + ": Python, guarded", lambda: peer("guarded_" + part, REDIS), ROWS)

print()
for name, job_name in [(n, n + j) for n in ("redis hash", "redis json", "mysql") for j in (": job", ": job, guarded", ": job, 2 workers")]:
    for other, goal in ((": Python", 5), (": Python, guarded", 5), (": redis-benchmark", 0.5), (": LOAD DATA", 0.5)):
        if other.endswith("guarded") and not job_name.endswith("guarded"):
            continue
        if job_name in best and name + other in best:
            ratios = [ours / theirs for ours, theirs in zip(best[job_name], best[name + other])]
            # the goals are for one process against one
            told = "" if "workers" in job_name else f"  (goal {goal})"
            print(f"{job_name:26} against {other[2:]:17} {ratios[0]:6.2f} by the clock, {ratios[1]:6.2f} by CPU time{told}")
