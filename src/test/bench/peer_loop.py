"""peer_loop.py BOOTSTRAP TOPIC PARTITIONS: what many write by hand.

confluent-kafka, orjson and psycopg: COPY to a staging table, then set-based
upserts into the offline and the online table, the positions in the same
transaction.  Correct, one process, as fast as we know how.
"""
import sys

import orjson
import psycopg
from confluent_kafka import Consumer, TopicPartition

BATCH = 50000
COLUMNS = ["user_id", "event_time", "clicks_7d", "amount_30d", "conversion_score", "account_age", "is_active", "country"]
FEATURES = [c for c in COLUMNS if c not in ("user_id", "event_time")]

bootstrap, topic, partitions = sys.argv[1], sys.argv[2], int(sys.argv[3])
consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "peer", "enable.auto.commit": False, "queued.min.messages": 1000000})
ends = {}
for p in range(partitions):
    low, high = consumer.get_watermark_offsets(TopicPartition(topic, p))
    if high > low:
        ends[p] = high
consumer.assign([TopicPartition(topic, p, 0) for p in ends])

columns = ", ".join(COLUMNS)
updates = ", ".join(f"{c} = EXCLUDED.{c}" for c in FEATURES)
conn = psycopg.connect()
conn.execute(f"CREATE TEMP TABLE staging AS SELECT {columns}, 0::bigint AS seq FROM peer_offline WITH NO DATA")
conn.commit()

while ends:
    rows, positions = [], {}
    while len(rows) < BATCH and ends:
        messages = consumer.consume(10000, 0.02)
        for m in messages:
            if m.error():
                raise SystemExit(str(m.error()))
            d = orjson.loads(m.value())
            rows.append((d["user_id"], d["event_time"], d["clicks_7d"], d["amount_30d"], d["conversion_score"],
                         d["account_age"], d["is_active"], d["country"], len(rows)))
            positions[m.partition()] = m.offset() + 1
        for p, position in positions.items():
            if p in ends and position >= ends[p]:
                del ends[p]
        if not messages:
            break
    if not rows:
        continue
    with conn.cursor() as cur:
        cur.execute("TRUNCATE staging")
        with cur.copy(f"COPY staging ({columns}, seq) FROM STDIN") as copy:
            for row in rows:
                copy.write_row(row)
        cur.execute(f"""INSERT INTO peer_offline ({columns})
            SELECT DISTINCT ON (user_id, event_time) {columns} FROM staging ORDER BY user_id, event_time, seq DESC
            ON CONFLICT (user_id, event_time) DO UPDATE SET {updates}""")
        cur.execute(f"""INSERT INTO peer_online AS o ({columns})
            SELECT DISTINCT ON (user_id) {columns} FROM staging ORDER BY user_id, event_time DESC, seq DESC
            ON CONFLICT (user_id) DO UPDATE SET event_time = EXCLUDED.event_time, {updates} WHERE o.event_time <= EXCLUDED.event_time""")
        cur.executemany("INSERT INTO peer_position VALUES (%s, %s) ON CONFLICT (partition) DO UPDATE SET position = EXCLUDED.position",
                        list(positions.items()))
    conn.commit()
