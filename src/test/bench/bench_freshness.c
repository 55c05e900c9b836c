/*
 * bench_freshness.c
 *		From produce to visible: the delay a reader of the online table sees.
 *
 *	bench_freshness BOOTSTRAP TOPIC PARTITIONS CONNINFO QUERY RATE SECONDS
 *
 * Produces RATE messages a second {"user_id", "event_time", "sent"} for 200
 * keys, where sent counts microseconds and is the produce time, and all the
 * while runs QUERY, which returns (user_id int4, sent int8) of every row of
 * the online table.  A row's delay is the time its message was handed to the
 * producer until the answer that shows it (or a later row of its key, which
 * hides it) was here.  The first two seconds do not count.
 */
#include <endian.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <libpq-fe.h>
#include <librdkafka/rdkafka.h>

#define KEYS 200

typedef struct Pending
{
	int64_t		sent;
	int			next;			/* of the same key, -1: none */
} Pending;

static int64_t
now_micros(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (int64_t) ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

static int
compare(const void *a, const void *b)
{
	int64_t		x = *(const int64_t *) a;
	int64_t		y = *(const int64_t *) b;

	return (x > y) - (x < y);
}

static rd_kafka_t *
make_producer(const char *bootstrap)
{
	char		error[512];
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	rd_kafka_t *rk;

	if (rd_kafka_conf_set(conf, "bootstrap.servers", bootstrap, error, sizeof(error)) ||
		rd_kafka_conf_set(conf, "linger.ms", "0", error, sizeof(error)) ||
		rd_kafka_conf_set(conf, "acks", "1", error, sizeof(error)) ||
		!(rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, error, sizeof(error))))
	{
		fprintf(stderr, "%s\n", error);
		exit(1);
	}
	return rk;
}

int
main(int argc, char **argv)
{
	rd_kafka_t *rk;
	rd_kafka_topic_t *topic;
	PGconn	   *conn;
	Pending    *pending;
	int64_t    *delays;
	int			head[KEYS];
	int			tail[KEYS];
	int			partitions;
	int			rate;
	int			seconds;
	int			total;
	int			made = 0;
	int			seen = 0;
	int			polls = 0;
	int			counted = 0;
	int64_t		begin;

	if (argc != 8)
		return fprintf(stderr, "usage: bench_freshness BOOTSTRAP TOPIC PARTITIONS CONNINFO QUERY RATE SECONDS\n"), 1;
	partitions = atoi(argv[3]);
	rate = atoi(argv[6]);
	seconds = atoi(argv[7]);
	total = rate * seconds;
	pending = calloc(total, sizeof(Pending));
	delays = calloc(total, sizeof(int64_t));
	for (int i = 0; i < KEYS; i++)
		head[i] = tail[i] = -1;

	rk = make_producer(argv[1]);
	topic = rd_kafka_topic_new(rk, argv[2], NULL);
	conn = PQconnectdb(argv[4]);
	if (PQstatus(conn) != CONNECTION_OK)
		return fprintf(stderr, "%s", PQerrorMessage(conn)), 1;
	PQclear(PQprepare(conn, "q", argv[5], 0, NULL));

	begin = now_micros();
	while (seen < total)
	{
		PGresult   *res;
		int64_t		now = now_micros();

		while (made < total && begin + (int64_t) made * 1000000 / rate <= now)
		{
			int			user = made % KEYS;
			char		text[256];
			char		stamp[40];
			char		key[16];
			int64_t		sent = now_micros();
			time_t		second = sent / 1000000;
			struct tm	tm;
			int			len;
			int			key_len = snprintf(key, sizeof(key), "%d", user);

			gmtime_r(&second, &tm);
			strftime(stamp, sizeof(stamp), "%Y-%m-%dT%H:%M:%S", &tm);
			len = snprintf(text, sizeof(text), "{\"user_id\": %d, \"event_time\": \"%s.%06dZ\", \"sent\": %lld}",
						   user, stamp, (int) (sent % 1000000), (long long) sent);
			pending[made].sent = sent;
			pending[made].next = -1;
			if (tail[user] >= 0)
				pending[tail[user]].next = made;
			tail[user] = made;
			if (head[user] < 0)
				head[user] = made;
			if (rd_kafka_produce(topic, user % partitions, RD_KAFKA_MSG_F_COPY, text, len, key, key_len, NULL))
				return fprintf(stderr, "%s\n", rd_kafka_err2str(rd_kafka_last_error())), 1;
			made++;
		}
		rd_kafka_poll(rk, 0);

		res = PQexecPrepared(conn, "q", 0, NULL, NULL, NULL, 1);
		if (PQresultStatus(res) != PGRES_TUPLES_OK)
			return fprintf(stderr, "%s", PQerrorMessage(conn)), 1;
		now = now_micros();
		polls++;
		for (int i = 0; i < PQntuples(res); i++)
		{
			uint32_t	user;
			uint64_t	sent;

			memcpy(&user, PQgetvalue(res, i, 0), sizeof(user));
			memcpy(&sent, PQgetvalue(res, i, 1), sizeof(sent));
			user = be32toh(user);
			sent = be64toh(sent);
			while (user < KEYS && head[user] >= 0 && pending[head[user]].sent <= (int64_t) sent)
			{
				if (pending[head[user]].sent - begin >= 2000000)
					delays[counted++] = now - pending[head[user]].sent;
				head[user] = pending[head[user]].next;
				if (head[user] < 0)
					tail[user] = -1;
				seen++;
			}
		}
		PQclear(res);
		if (now - begin > (int64_t) (seconds + 60) * 1000000)
			return fprintf(stderr, "only %d of %d messages became visible\n", seen, total), 1;
		usleep(500);
	}
	qsort(delays, counted, sizeof(int64_t), compare);
	printf("{\"messages\": %d, \"polls\": %d", counted, polls);
	{
		static const double at[] = {0, 10, 25, 50, 75, 90, 95, 99, 99.9, 100};

		for (unsigned i = 0; i < sizeof(at) / sizeof(at[0]); i++)
		{
			int			n = (int) (at[i] / 100 * (counted - 1));

			printf(", \"p%g\": %.2f", at[i], delays[n] / 1000.0);
		}
	}
	printf("}\n");
	PQfinish(conn);
	rd_kafka_flush(rk, 10000);
	return 0;
}
