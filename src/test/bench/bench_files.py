#!/usr/bin/env python3
"""Files as foreign tables, beside others that read the same ones.

The figure is rows per second of CPU time: of the server's processes that take
part, or of this one's child for a library.  Each part alternates the rivals, and
the best of the rounds counts, so that what else the machine does hits all alike.

  BENCH_FILE_ROWS=n  rows (5000000)
  BENCH_ROUNDS=n     rounds (3)
"""
import os
import subprocess
import sys
import time

import psycopg

ROWS = int(os.environ.get("BENCH_FILE_ROWS") or 5_000_000)
ROUNDS = int(os.environ.get("BENCH_ROUNDS") or 3)
FOLDER = os.environ["BENCH_FOLDER"]
CSV = FOLDER + "/bench.csv"
PARQUET = FOLDER + "/parquet"
COLUMNS = "id bigint, k int, a float8, b float8, key text, happened timestamptz, flag boolean, note text"
NAMES = [c.split()[0] for c in COLUMNS.split(", ")]
TICK = os.sysconf("SC_CLK_TCK")
SUMS = "SELECT sum(k), sum(a) FROM {}"
ALL = "SELECT " + ", ".join(f"count({n})" for n in NAMES) + " FROM {}"
results = {}


def connect():
    conn = psycopg.connect(dbname="postgres", user="postgres", autocommit=True)
    conn.execute("SET jit = off")
    return conn


def cpu(pid):
    with open(f"/proc/{pid}/stat") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    # its own and that of children that have ended
    return sum(int(fields[i]) for i in (11, 12, 13, 14)) / TICK


def postmaster_cpu(conn):
    """CPU seconds of parallel workers that have ended: the postmaster's children."""
    pid = int(open(conn.execute("SHOW data_directory").fetchone()[0] + "/postmaster.pid").readline())
    with open(f"/proc/{pid}/stat") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return sum(int(fields[i]) for i in (13, 14)) / TICK


def server(name, query, workers=0):
    with connect() as conn:
        conn.execute(f"SET max_parallel_workers_per_gather = {workers}")
        conn.execute("SET min_parallel_table_scan_size = 0")
        conn.execute("SET parallel_setup_cost = 0")
        conn.execute("SET parallel_tuple_cost = 0")
        pid = conn.info.backend_pid
        before, begin = cpu(pid) + postmaster_cpu(conn), time.time()
        conn.execute(query).fetchall()
        note(name, cpu(pid) + postmaster_cpu(conn) - before, time.time() - begin)


def library(name, code):
    """Run code in a process of its own; what it imports is not counted."""
    program = "import os, time\n" + code.replace("#begin", "b = os.times(); w = time.time()") + \
        "\ne = os.times(); print(e.user + e.system - b.user - b.system, time.time() - w)"
    try:
        used, wall = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.splitlines()[-1].split()
        note(name, float(used), float(wall))
    except subprocess.CalledProcessError as e:
        print(f"   {name}: {e.stderr.strip().splitlines()[-1]}", flush=True)


def note(name, used, wall):
    best = results.get(name, (1e9, 1e9))
    results[name] = (min(best[0], max(used, 1 / TICK)), min(best[1], wall))
    print(f"   {name}: {used:.2f} s of CPU, {wall:.2f} s", flush=True)


def prepare(conn):
    conn.execute("SET client_min_messages = warning")
    conn.execute("CREATE EXTENSION IF NOT EXISTS feathub")
    conn.execute("CREATE EXTENSION IF NOT EXISTS file_fdw")
    conn.execute("DROP SCHEMA IF EXISTS bench_files CASCADE")
    conn.execute("CREATE SCHEMA bench_files")
    conn.execute("DROP SERVER IF EXISTS bench_files CASCADE")
    conn.execute("DROP SERVER IF EXISTS bench_file_fdw CASCADE")
    conn.execute("CREATE SERVER bench_files FOREIGN DATA WRAPPER feathub_filesystem")
    conn.execute("CREATE SERVER bench_file_fdw FOREIGN DATA WRAPPER file_fdw")
    conn.execute(f"CREATE FOREIGN TABLE bench_files.csv ({COLUMNS}) SERVER bench_files OPTIONS (path '{CSV}', format 'csv', header 'true')")
    conn.execute(f"CREATE FOREIGN TABLE bench_files.csv_file_fdw ({COLUMNS}) SERVER bench_file_fdw OPTIONS (filename '{CSV}', format 'csv', header 'true')")
    conn.execute(f"CREATE FOREIGN TABLE bench_files.parquet ({COLUMNS}) SERVER bench_files OPTIONS (path '{PARQUET}', format 'parquet')")
    if not os.path.exists(CSV):
        print(f"== {ROWS:,} rows of {len(NAMES)} columns", flush=True)
        conn.execute("SELECT setseed(0.5)")
        conn.execute(f"""COPY (SELECT i AS id, (random() * 100000)::int AS k, round((random() * 1000)::numeric, 4) AS a,
            round((random() * 200 - 100)::numeric, 2) AS b, 'key' || (random() * 100000)::int AS key,
            timestamptz '2013-01-01 00:00+00' + i * interval '31 s' AS happened, i % 3 = 0 AS flag, 'some text here ' || i AS note
            FROM generate_series(1, {ROWS}) i) TO '{CSV}' (FORMAT csv, HEADER)""")


def part_csv(conn):
    read = f"import duckdb; c = duckdb.connect(); c.execute('SET threads = 1')\n#begin\nc.execute(\"{{}} FROM read_csv('{CSV}', header = true)\").fetchall()"
    for _ in range(ROUNDS):
        server("csv, two columns: feathub", SUMS.format("bench_files.csv"))
        server("csv, two columns: file_fdw", SUMS.format("bench_files.csv_file_fdw"))
        library("csv, two columns: DuckDB", read.format("SELECT sum(k), sum(a)"))
        server("csv, all columns: feathub", ALL.format("bench_files.csv"))
        server("csv, all columns: feathub, two processes", ALL.format("bench_files.csv"), 1)
        server("csv, all columns: file_fdw", ALL.format("bench_files.csv_file_fdw"))
        library("csv, all columns: DuckDB", read.format("SELECT " + ", ".join(f"count({n})" for n in NAMES)))
        library("csv, all columns: pandas", f"import pandas\n#begin\npandas.read_csv('{CSV}', parse_dates=['happened'])")
    ratio("csv, two columns: feathub", "csv, two columns: file_fdw", 2)
    ratio("csv, all columns: feathub", "csv, all columns: file_fdw", 1.3)
    ratio("csv, all columns: feathub, two processes", "csv, all columns: feathub", 1.6, wall=True)


def part_parquet(conn):
    if not os.path.isdir(PARQUET):
        conn.execute("INSERT INTO bench_files.parquet SELECT * FROM bench_files.csv")
    conn.execute(f"CREATE TABLE IF NOT EXISTS bench_files.heap ({COLUMNS})")
    if conn.execute("SELECT count(*) FROM (SELECT FROM bench_files.heap LIMIT 1) s").fetchone()[0] == 0:
        conn.execute("INSERT INTO bench_files.heap SELECT * FROM bench_files.csv")
        conn.execute("VACUUM (ANALYZE, FREEZE) bench_files.heap")
    arrow = f"import pyarrow.parquet as p\n#begin\nt = p.read_table('{PARQUET}', use_threads=False{{}})"
    for _ in range(ROUNDS):
        server("parquet, two columns: feathub", SUMS.format("bench_files.parquet"))
        server("parquet, two columns: a heap table", SUMS.format("bench_files.heap"))
        server("parquet, all columns: feathub", ALL.format("bench_files.parquet"))
        library("parquet, all columns: Arrow", arrow.format(""))
        library("parquet, two columns: Arrow", arrow.format(", columns=['k', 'a']"))
        library("parquet, two columns: DuckDB", f"import duckdb; c = duckdb.connect(); c.execute('SET threads = 1')\n#begin\nc.execute(\"SELECT sum(k), sum(a) FROM read_parquet('{PARQUET}/*')\").fetchall()")
    ratio("parquet, two columns: feathub", "parquet, two columns: a heap table", 0.5)
    ratio("parquet, all columns: feathub", "parquet, all columns: Arrow", 0.3)


def ratio(ours, theirs, goal, wall=False):
    if ours in results and theirs in results:
        i = 1 if wall else 0
        value = results[theirs][i] / results[ours][i]
        print(f"   {ours} is {value:.2f} times {theirs.split(': ', 1)[1]}, goal {goal}: {'met' if value >= goal else 'MISSED'}", flush=True)


def main():
    parts = [p for p in ("csv", "parquet") if p in os.environ.get("BENCH", "csv parquet").split()]
    with connect() as conn:
        prepare(conn)
        for part in parts:
            print(f"== {part}", flush=True)
            globals()[f"part_{part}"](conn)
        conn.execute("DROP SERVER bench_files, bench_file_fdw CASCADE; DROP SCHEMA bench_files CASCADE")
    print(f"\n{'rows per second of CPU':>60} {'of time':>12}")
    for name, (used, wall) in results.items():
        print(f"{name:<48}{ROWS / used:>12,.0f}{ROWS / wall:>13,.0f}")


main()
