"""bench_sinks.py: part "sinks" of make bench.

A topic of JSON messages into Redis and MySQL by jobs, beside loops in Python with
the same systems' client libraries (peer_sink.py) and beside the systems' own
tools for bulk: redis-benchmark with pipelines and LOAD DATA LOCAL.  Each is run
BENCH_TRIES times (3) in turn; the best counts.  Called by bench.sh with
PostgreSQL's environment.
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
mysql = ["mariadb", "--no-defaults", "-S", RUN + "/mysql/s", "-uroot", "--local-infile=1", "bench"]


def note(name, seconds, rows):
    rate = rows / seconds
    print(f"   {name:32} {rate:12,.0f} rows per second", flush=True)
    best[name] = max(best.get(name, 0), rate)


def redis(*words):
    return subprocess.run(["redis-cli", "-p", str(REDIS), *words], check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


def job(name, sink, rows, reset):
    """The seconds that a job takes from its first worker on."""
    reset()
    conn.execute("SELECT feathub.create_job(%s, source => 'source', sink => %s)", (name, sink))
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
    """The rate of redis-benchmark, of the better of few and many connections."""
    rates = []
    for clients in ("1", "8"):
        out = subprocess.run(["redis-benchmark", "-p", str(REDIS), "-n", str(ROWS), "-r", str(KEYS), "-c", clients, "-P", "200", "--csv", *command],
                             check=True, stdout=subprocess.PIPE, text=True).stdout
        rates.append(float(out.strip().splitlines()[-1].rsplit('","', 7)[1]))
    return ROWS / max(rates)


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
    if "hash" in parts:
        note("redis hash: job", job("hash", "hash", ROWS, flush), ROWS)
        note("redis hash: job, guarded", job("guarded_hash", "guarded_hash", ROWS, flush), ROWS)
        flush()
        note("redis hash: redis-benchmark", redis_benchmark("HSET", "bench:__rand_int__", *fields), ROWS)
    if "doc" in parts:
        note("redis json: job", job("doc", "doc", ROWS, flush), ROWS)
        note("redis json: job, guarded", job("guarded_doc", "guarded_doc", ROWS, flush), ROWS)
        flush()
        note("redis json: redis-benchmark", redis_benchmark("SET", "bench:__rand_int__", value), ROWS)
    if "mysql" in parts:
        note("mysql: job", job("latest", "latest", ROWS, lambda: subprocess.run(mysql + ["-e", "TRUNCATE latest"], check=True)), ROWS)
        note("mysql: LOAD DATA", load_data(), sum(1 for _ in open(CSV)))
if not os.environ.get("BENCH_NO_PEERS"):
    for part in parts:
        flush()
        name = {"hash": "redis hash", "doc": "redis json"}.get(part, part)
        note(name + ": Python", peer(part, MYSQL if part == "mysql" else REDIS), ROWS)

print()
for name in ("redis hash", "redis json", "mysql"):
    bulk = "mysql: LOAD DATA" if name == "mysql" else name + ": redis-benchmark"
    for what in (": job", ": job, guarded"):
        if name + what not in best:
            continue
        if name + ": Python" in best:
            print(f"{name + what:28} against Python: {best[name + what] / best[name + ': Python']:6.1f}  (goal 5)")
        print(f"{name + what:28} against {bulk.split(': ')[1]}: {best[name + what] / best[bulk]:6.2f}  (goal 0.5)")
