"""peer_sink.py SINK BOOTSTRAP TOPIC PARTITIONS PORT: what many write by hand.

confluent-kafka and json, and redis-py pipelines (hash, doc), or the same with a
script for each row that leaves older ones out (guarded_hash, guarded_doc), or
mysqlclient's executemany with ON DUPLICATE KEY UPDATE (mysql).  One process; offsets are
committed after each batch, so it is at least once.  Prints seconds and CPU seconds.
"""
import json
import sys
import time

from confluent_kafka import Consumer, TopicPartition

BATCH = 10000
COLUMNS = ["user_id", "event_time", "clicks_7d", "amount_30d", "conversion_score", "account_age", "is_active", "country"]

sink, bootstrap, topic, partitions, port = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[5])
begin, cpu = time.time(), time.process_time()
consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "peer-" + sink, "enable.auto.commit": False})
ends = {}
for p in range(partitions):
    low, high = consumer.get_watermark_offsets(TopicPartition(topic, p))
    if high > low:
        ends[p] = high
consumer.assign([TopicPartition(topic, p, 0) for p in ends])

if sink == "mysql":
    import MySQLdb

    conn = MySQLdb.connect(host="127.0.0.1", port=port, user="fh", password="fh-secret", database="bench", charset="utf8mb4")
    statement = (f"INSERT INTO peer ({', '.join(COLUMNS)}) VALUES ({', '.join(['%s'] * len(COLUMNS))}) ON DUPLICATE KEY UPDATE "
                 + ", ".join(f"{c} = VALUES({c})" for c in COLUMNS[1:]))
else:
    import redis

    client = redis.Redis(port=port)

# as found in many services: the time of what is there decides; times of one width compare as text
GUARDS = {
    "guarded_hash": """local old = redis.call('HGET', KEYS[1], 'event_time')
        if old and old > ARGV[1] then return 0 end
        redis.call('HSET', KEYS[1], unpack(ARGV, 2))
        return 1""",
    "guarded_doc": """local old = redis.call('GET', KEYS[2])
        if old and old > ARGV[1] then return 0 end
        redis.call('SET', KEYS[1], ARGV[2])
        redis.call('SET', KEYS[2], ARGV[1])
        return 1""",
}


def write(messages):
    if sink == "mysql":
        rows = []
        for m in messages:
            d = json.loads(m.value())
            rows.append((d["user_id"], d["event_time"][:-1], d["clicks_7d"], d["amount_30d"], d["conversion_score"],
                         d["account_age"], d["is_active"], d["country"]))
        with conn.cursor() as cur:
            cur.executemany(statement, rows)
        conn.commit()
        return
    pipe = client.pipeline(transaction=False)
    guard = client.script_load(GUARDS[sink]) if sink in GUARDS else None
    for m in messages:
        d = json.loads(m.value())
        user = d.pop("user_id")
        if sink.endswith("hash"):
            d["is_active"] = str(d["is_active"]).lower()
        if sink == "guarded_hash":
            pipe.evalsha(guard, 1, f"peer:{user}", d["event_time"], *(x for pair in d.items() for x in pair))
        elif sink == "guarded_doc":
            pipe.evalsha(guard, 2, f"peer:{user}", f"peer:time:{user}", d["event_time"], json.dumps(d))
        elif sink == "hash":
            pipe.hset(f"peer:{user}", mapping=d)
        else:
            pipe.set(f"peer:{user}", json.dumps(d))
    pipe.execute()


while ends:
    messages = consumer.consume(BATCH, 0.1)
    for m in messages:
        if m.error():
            raise SystemExit(str(m.error()))
    if messages:
        write(messages)
        consumer.commit(asynchronous=True)
    for m in messages:
        if m.partition() in ends and m.offset() + 1 >= ends[m.partition()]:
            del ends[m.partition()]
print(time.time() - begin, time.process_time() - cpu)
