/*
 * bench_produce.c
 *		Fill the topic of the benchmark, and write the same rows as CSV.
 *
 *	bench_produce BOOTSTRAP TOPIC PARTITIONS ROWS KEYS CSV [PREFIX]
 *
 * ROWS messages of about 200 bytes, keyed by user_id, of which one in twenty
 * repeats an earlier message; event times are out of order by up to five
 * seconds.  The CSV has each row once, in the order of its first appearance.
 * With PREFIX, a message is PREFIX, the JSON object, and a closing brace.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <librdkafka/rdkafka.h>

#define HISTORY 4096			/* repeats come from among the last ones */
#define MESSAGE_SIZE 2048

static struct
{
	char		text[MESSAGE_SIZE];
	int			len;
	int			user;
}			history[HISTORY];

static long failed;

static void
on_delivery(rd_kafka_t *rk, const rd_kafka_message_t *message, void *opaque)
{
	(void) rk;
	(void) opaque;
	if (message->err)
		failed++;
}

/* xorshift: the same rows in every run */
static unsigned long long
next_random(void)
{
	static unsigned long long state = 88172645463325252ULL;

	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

int
main(int argc, char **argv)
{
	char		error[512];
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	rd_kafka_topic_t *topic;
	rd_kafka_t *rk;
	FILE	   *csv;
	const char *prefix;
	long		rows;
	long		bytes = 0;
	long		distinct = 0;
	int			keys;
	int			partitions;

	if (argc != 7 && argc != 8)
		return fprintf(stderr, "usage: bench_produce BOOTSTRAP TOPIC PARTITIONS ROWS KEYS CSV [PREFIX]\n"), 1;
	prefix = argc == 8 ? argv[7] : "";
	partitions = atoi(argv[3]);
	rows = atol(argv[4]);
	keys = atoi(argv[5]);
	csv = fopen(argv[6], "w");
	if (!csv)
		return perror(argv[6]), 1;

	if (rd_kafka_conf_set(conf, "bootstrap.servers", argv[1], error, sizeof(error)) ||
		rd_kafka_conf_set(conf, "enable.idempotence", "true", error, sizeof(error)) ||
		rd_kafka_conf_set(conf, "log_level", "3", error, sizeof(error)) ||
		rd_kafka_conf_set(conf, "linger.ms", "50", error, sizeof(error)) ||
		rd_kafka_conf_set(conf, "batch.size", "500000", error, sizeof(error)) ||
		rd_kafka_conf_set(conf, "compression.type", "lz4", error, sizeof(error)))
		return fprintf(stderr, "%s\n", error), 1;
	rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
	rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, error, sizeof(error));
	if (!rk)
		return fprintf(stderr, "%s\n", error), 1;
	topic = rd_kafka_topic_new(rk, argv[2], NULL);

	for (long i = 0; i < rows; i++)
	{
		int			slot = i % HISTORY;
		char		key[16];
		int			key_len;

		if (i > HISTORY && next_random() % 20 == 0)
			slot = next_random() % HISTORY;
		else
		{
			int			user = next_random() % keys;
			long long	micros = i * 10000 - (long long) (next_random() % 5000000) / 1000 * 1000;
			time_t		second = 1767225600 + micros / 1000000;
			struct tm	tm;
			char		stamp[40];
			int			clicks = next_random() % 1000;
			double		amount = (next_random() % 1000000) / 100.0;
			double		score = (next_random() % 1000000) / 1000000.0;
			int			age = next_random() % 100;
			int			active = next_random() % 2;
			int			country = next_random() % 200;

			if (micros < 0)
				micros = 0, second = 1767225600;
			gmtime_r(&second, &tm);
			/* the last digits are the row's own: no two rows are alike */
			strftime(stamp, sizeof(stamp), "%Y-%m-%dT%H:%M:%S", &tm);
			snprintf(stamp + strlen(stamp), 12, ".%03d%03ldZ", (int) (micros / 1000 % 1000), i % 1000);
			history[slot].user = user;
			history[slot].len = snprintf(history[slot].text, MESSAGE_SIZE,
										 "%s{\"user_id\": %d, \"event_time\": \"%s\", \"clicks_7d\": %d, \"amount_30d\": %.2f, "
										 "\"conversion_score\": %.6f, \"account_age\": %d, \"is_active\": %s, \"country\": \"country_%03d\"}%s",
										 prefix, user, stamp, clicks, amount, score, age, active ? "true" : "false", country,
										 prefix[0] ? "}" : "");
			fprintf(csv, "%d,%s,%d,%.2f,%.6f,%d,%s,country_%03d\n",
					user, stamp, clicks, amount, score, age, active ? "t" : "f", country);
			distinct++;
		}
		key_len = snprintf(key, sizeof(key), "%d", history[slot].user);
		bytes += history[slot].len;
		while (rd_kafka_produce(topic, history[slot].user % partitions, RD_KAFKA_MSG_F_COPY,
								history[slot].text, history[slot].len, key, key_len, NULL))
		{
			if (rd_kafka_last_error() != RD_KAFKA_RESP_ERR__QUEUE_FULL)
				return fprintf(stderr, "%s\n", rd_kafka_err2str(rd_kafka_last_error())), 1;
			rd_kafka_poll(rk, 50);
		}
		if (i % 1000 == 0)
			rd_kafka_poll(rk, 0);
	}
	rd_kafka_flush(rk, 60000);
	if (failed > 0 || rd_kafka_outq_len(rk) > 0)
		return fprintf(stderr, "%ld messages were not delivered\n", failed + rd_kafka_outq_len(rk)), 1;
	if (fclose(csv))
		return perror(argv[6]), 1;
	printf("{\"messages\": %ld, \"distinct\": %ld, \"bytes\": %ld}\n", rows, distinct, bytes);
	rd_kafka_topic_destroy(topic);
	rd_kafka_destroy(rk);
	return 0;
}
