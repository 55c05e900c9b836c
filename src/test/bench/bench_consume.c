/*
 * bench_consume.c
 *		The yardstick for decoding: librdkafka's consumer and nothing else.
 *
 *	bench_consume BOOTSTRAP TOPIC PARTITIONS
 *
 * Reads every partition from its start to the end it has now and prints the
 * messages, their bytes and the CPU seconds of this process.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include <librdkafka/rdkafka.h>

#define BATCH 10000

int
main(int argc, char **argv)
{
	char		error[512];
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	rd_kafka_topic_partition_list_t *list;
	rd_kafka_queue_t *queue;
	rd_kafka_t *rk;
	long		messages = 0;
	long		bytes = 0;
	long		want = 0;
	int			partitions;
	static rd_kafka_message_t *batch[BATCH];
	struct rusage usage;

	if (argc != 4)
		return fprintf(stderr, "usage: bench_consume BOOTSTRAP TOPIC PARTITIONS\n"), 1;
	partitions = atoi(argv[3]);
	if (rd_kafka_conf_set(conf, "bootstrap.servers", argv[1], error, sizeof(error)) ||
		rd_kafka_conf_set(conf, "group.id", "bench", error, sizeof(error)) ||
		rd_kafka_conf_set(conf, "enable.auto.commit", "false", error, sizeof(error)) ||
		rd_kafka_conf_set(conf, "queued.min.messages", "1000000", error, sizeof(error)) ||
		rd_kafka_conf_set(conf, "check.crcs", "false", error, sizeof(error)))
		return fprintf(stderr, "%s\n", error), 1;
	rk = rd_kafka_new(RD_KAFKA_CONSUMER, conf, error, sizeof(error));
	if (!rk)
		return fprintf(stderr, "%s\n", error), 1;
	rd_kafka_poll_set_consumer(rk);

	list = rd_kafka_topic_partition_list_new(partitions);
	for (int i = 0; i < partitions; i++)
	{
		int64_t		low;
		int64_t		high;

		if (rd_kafka_query_watermark_offsets(rk, argv[2], i, &low, &high, 30000))
			return fprintf(stderr, "no watermarks of partition %d\n", i), 1;
		want += high - low;
		rd_kafka_topic_partition_list_add(list, argv[2], i)->offset = low;
	}
	rd_kafka_assign(rk, list);
	queue = rd_kafka_queue_get_consumer(rk);
	while (messages < want)
	{
		ssize_t		n = rd_kafka_consume_batch_queue(queue, 1000, batch, BATCH);

		for (ssize_t i = 0; i < n; i++)
		{
			if (!batch[i]->err)
			{
				messages++;
				bytes += batch[i]->len;
			}
			rd_kafka_message_destroy(batch[i]);
		}
	}
	getrusage(RUSAGE_SELF, &usage);
	printf("{\"messages\": %ld, \"bytes\": %ld, \"cpu\": %.3f}\n", messages, bytes,
		   usage.ru_utime.tv_sec + usage.ru_stime.tv_sec + (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6);
	return 0;
}
