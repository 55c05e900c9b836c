/*
 * test_kafka_client.c
 *		What tests ask of a Kafka cluster, read as commands from stdin.
 *
 *	kafka_client BOOTSTRAP [property=value...] < commands
 *
 * A command is a line of fields separated by tabs.  In a field \t \n \\ \xHH
 * stand for bytes and \N for NULL, so that NULL, empty and binary keys and
 * values differ:
 *
 *	create			TOPIC PARTITIONS [config=value...]
 *	delete			TOPIC
 *	partitions		TOPIC COUNT						grow the topic to COUNT
 *	delete_records	TOPIC PARTITION OFFSET			records before OFFSET go
 *	produce			TOPIC PARTITION KEY VALUE TIMESTAMP [header=value...]
 *					PARTITION -1: by the key; TIMESTAMP 0: now, in ms
 *	begin, commit, abort							with transactional.id set
 *	flush											wait for all deliveries
 *	watermarks		TOPIC							prints "partition low high"
 *	committed		GROUP TOPIC						prints "partition offset"
 *
 * Ends with status 1 and a message at the first failure; a delivery that
 * failed is a failure of the flush, commit or end of input that waits for it.
 */
#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

#include <librdkafka/rdkafka.h>

#define MAX_FIELDS 64
#define TIMEOUT_MS 60000

typedef struct Field
{
	char	   *data;			/* NULL for \N */
	size_t		len;
} Field;

static rd_kafka_t *producer;
static const char *bootstrap;
static int	nproperties;
static char **properties;
static long failed_deliveries;
static char delivery_error[512];
static bool in_transaction;

static void
fail(const char *what, const char *why)
{
	fprintf(stderr, "kafka_client: %s: %s\n", what, why);
	exit(1);
}

static void
on_delivery(rd_kafka_t *rk, const rd_kafka_message_t *message, void *opaque)
{
	(void) rk;
	(void) opaque;
	/* a purged message belongs to a transaction that was aborted */
	if (message->err && message->err != RD_KAFKA_RESP_ERR__PURGE_QUEUE &&
		message->err != RD_KAFKA_RESP_ERR__PURGE_INFLIGHT)
	{
		failed_deliveries++;
		snprintf(delivery_error, sizeof(delivery_error), "%s", rd_kafka_err2str(message->err));
	}
}

static void
set(rd_kafka_conf_t *conf, const char *name, const char *value)
{
	char		error[512];

	if (rd_kafka_conf_set(conf, name, value, error, sizeof(error)) != RD_KAFKA_CONF_OK)
		fail(name, error);
}

static rd_kafka_t *
make_client(rd_kafka_type_t type, const char *group)
{
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	rd_kafka_t *rk;
	char		error[512];

	set(conf, "bootstrap.servers", bootstrap);
	set(conf, "log_level", "3");
	if (group)
		set(conf, "group.id", group);
	for (int i = 0; i < nproperties; i++)
	{
		char	   *name = strdup(properties[i]);
		char	   *equals = strchr(name, '=');

		if (!equals)
			fail("not a property", name);
		*equals = '\0';
		if (type == RD_KAFKA_PRODUCER || strcmp(name, "transactional.id") != 0)
			set(conf, name, equals + 1);
		free(name);
	}
	if (type == RD_KAFKA_PRODUCER)
		rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
	rk = rd_kafka_new(type, conf, error, sizeof(error));
	if (!rk)
		fail("client", error);
	return rk;
}

static rd_kafka_t *
get_producer(void)
{
	if (!producer)
		producer = make_client(RD_KAFKA_PRODUCER, NULL);
	return producer;
}

static void
check(const char *what, rd_kafka_error_t *error)
{
	if (error)
		fail(what, rd_kafka_error_string(error));
}

static void
flush(void)
{
	rd_kafka_resp_err_t err;

	if (!producer)
		return;
	err = rd_kafka_flush(producer, TIMEOUT_MS);
	if (err)
		fail("flush", rd_kafka_err2str(err));
	if (failed_deliveries > 0)
		fail("delivery", delivery_error);
}

/* Split and unescape a line in place; returns the number of fields. */
static int
split(char *line, size_t len, Field *fields)
{
	int			n = 0;
	char	   *in = line;
	char	   *end = line + len;

	while (n < MAX_FIELDS)
	{
		char	   *out = in;
		Field	   *field = &fields[n++];
		bool		null = false;

		field->data = in;
		while (in < end && *in != '\t')
		{
			if (*in != '\\' || in + 1 == end)
			{
				*out++ = *in++;
				continue;
			}
			in++;
			switch (*in++)
			{
				case 't':
					*out++ = '\t';
					break;
				case 'n':
					*out++ = '\n';
					break;
				case 'N':
					null = true;
					break;
				case 'x':
					{
						char		hex[3] = {0};

						hex[0] = in < end ? *in++ : '0';
						hex[1] = in < end ? *in++ : '0';
						*out++ = (char) strtol(hex, NULL, 16);
						break;
					}
				default:
					*out++ = in[-1];
			}
		}
		field->len = out - field->data;
		if (null)
			field->data = NULL;
		if (in >= end)
		{
			*out = '\0';
			break;
		}
		in++;					/* the tab; out is at or before it */
		*out = '\0';
	}
	return n;
}

static void
produce(int n, Field *f)
{
	rd_kafka_t *rk = get_producer();
	rd_kafka_headers_t *headers = NULL;
	rd_kafka_resp_err_t err;
	int			partition = atoi(f[2].data);
	long long	timestamp = n > 5 && f[5].data ? atoll(f[5].data) : 0;

	if (n > 6)
	{
		headers = rd_kafka_headers_new(n - 6);
		for (int i = 6; i < n; i++)
		{
			char	   *equals = f[i].data ? memchr(f[i].data, '=', f[i].len) : NULL;

			/* a name alone is a header whose value is NULL */
			if (equals)
				rd_kafka_header_add(headers, f[i].data, equals - f[i].data,
									equals + 1, f[i].data + f[i].len - equals - 1);
			else if (f[i].data)
				rd_kafka_header_add(headers, f[i].data, f[i].len, NULL, 0);
		}
	}
	for (;;)
	{
		rd_kafka_headers_t *copy = headers ? rd_kafka_headers_copy(headers) : NULL;

		err = rd_kafka_producev(rk, RD_KAFKA_V_TOPIC(f[1].data),
								RD_KAFKA_V_PARTITION(partition),
								RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
								RD_KAFKA_V_KEY(f[3].data, f[3].data ? f[3].len : 0),
								RD_KAFKA_V_VALUE(f[4].data, f[4].data ? f[4].len : 0),
								RD_KAFKA_V_TIMESTAMP(timestamp),
								RD_KAFKA_V_HEADERS(copy), RD_KAFKA_V_END);
		if (err && copy)
			rd_kafka_headers_destroy(copy);
		if (err != RD_KAFKA_RESP_ERR__QUEUE_FULL)
			break;
		rd_kafka_poll(rk, 100);
	}
	if (headers)
		rd_kafka_headers_destroy(headers);
	if (err)
		fail("produce", rd_kafka_err2str(err));
	rd_kafka_poll(rk, 0);
}

/* Wait for the one result of an admin request. */
static rd_kafka_event_t *
admin_result(rd_kafka_queue_t *queue, const char *what)
{
	rd_kafka_event_t *event = rd_kafka_queue_poll(queue, TIMEOUT_MS);

	if (!event)
		fail(what, "no answer");
	if (rd_kafka_event_error(event))
		fail(what, rd_kafka_event_error_string(event));
	return event;
}

static void
check_topics(const char *what, const rd_kafka_topic_result_t **results, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (rd_kafka_topic_result_error(results[i]))
			fail(what, rd_kafka_topic_result_error_string(results[i]));
}

static void
admin(const char *command, int n, Field *f)
{
	rd_kafka_t *rk = get_producer();
	rd_kafka_queue_t *queue = rd_kafka_queue_new(rk);
	rd_kafka_event_t *event;
	char		error[512];
	size_t		count;

	if (strcmp(command, "create") == 0)
	{
		rd_kafka_NewTopic_t *topic = rd_kafka_NewTopic_new(f[1].data, atoi(f[2].data), 1, error, sizeof(error));

		if (!topic)
			fail(command, error);
		for (int i = 3; i < n; i++)
		{
			char	   *equals = strchr(f[i].data, '=');

			if (!equals)
				fail(command, "a config is name=value");
			*equals = '\0';
			rd_kafka_NewTopic_set_config(topic, f[i].data, equals + 1);
		}
		rd_kafka_CreateTopics(rk, &topic, 1, NULL, queue);
		event = admin_result(queue, command);
		check_topics(command, rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(event), &count), 1);
		rd_kafka_NewTopic_destroy(topic);
	}
	else if (strcmp(command, "delete") == 0)
	{
		rd_kafka_DeleteTopic_t *topic = rd_kafka_DeleteTopic_new(f[1].data);

		rd_kafka_DeleteTopics(rk, &topic, 1, NULL, queue);
		event = admin_result(queue, command);
		check_topics(command, rd_kafka_DeleteTopics_result_topics(rd_kafka_event_DeleteTopics_result(event), &count), 1);
		rd_kafka_DeleteTopic_destroy(topic);
	}
	else if (strcmp(command, "partitions") == 0)
	{
		rd_kafka_NewPartitions_t *more = rd_kafka_NewPartitions_new(f[1].data, atoi(f[2].data), error, sizeof(error));

		if (!more)
			fail(command, error);
		rd_kafka_CreatePartitions(rk, &more, 1, NULL, queue);
		event = admin_result(queue, command);
		check_topics(command, rd_kafka_CreatePartitions_result_topics(rd_kafka_event_CreatePartitions_result(event), &count), 1);
		rd_kafka_NewPartitions_destroy(more);
	}
	else
	{
		rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
		const rd_kafka_topic_partition_list_t *done;
		rd_kafka_DeleteRecords_t *records;

		rd_kafka_topic_partition_list_add(list, f[1].data, atoi(f[2].data))->offset = atoll(f[3].data);
		records = rd_kafka_DeleteRecords_new(list);
		rd_kafka_DeleteRecords(rk, &records, 1, NULL, queue);
		event = admin_result(queue, command);
		done = rd_kafka_DeleteRecords_result_offsets(rd_kafka_event_DeleteRecords_result(event));
		if (done->elems[0].err)
			fail(command, rd_kafka_err2str(done->elems[0].err));
		rd_kafka_DeleteRecords_destroy(records);
		rd_kafka_topic_partition_list_destroy(list);
	}
	rd_kafka_event_destroy(event);
	rd_kafka_queue_destroy(queue);
}

/* Number of partitions of a topic. */
static int
partition_count(rd_kafka_t *rk, const char *name)
{
	const rd_kafka_metadata_t *metadata;
	rd_kafka_topic_t *topic = rd_kafka_topic_new(rk, name, NULL);
	rd_kafka_resp_err_t err;
	int			count;

	err = rd_kafka_metadata(rk, 0, topic, &metadata, TIMEOUT_MS);
	if (err)
		fail("metadata", rd_kafka_err2str(err));
	if (metadata->topics[0].err)
		fail(name, rd_kafka_err2str(metadata->topics[0].err));
	count = metadata->topics[0].partition_cnt;
	rd_kafka_metadata_destroy(metadata);
	rd_kafka_topic_destroy(topic);
	return count;
}

static void
show_watermarks(const char *topic)
{
	rd_kafka_t *rk = get_producer();
	int			count = partition_count(rk, topic);

	for (int i = 0; i < count; i++)
	{
		int64_t		low;
		int64_t		high;
		rd_kafka_resp_err_t err = rd_kafka_query_watermark_offsets(rk, topic, i, &low, &high, TIMEOUT_MS);

		if (err)
			fail("watermarks", rd_kafka_err2str(err));
		printf("%d %lld %lld\n", i, (long long) low, (long long) high);
	}
	fflush(stdout);
}

static void
show_committed(const char *group, const char *topic)
{
	rd_kafka_t *rk = make_client(RD_KAFKA_CONSUMER, group);
	int			count = partition_count(rk, topic);
	rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(count);
	rd_kafka_resp_err_t err;

	for (int i = 0; i < count; i++)
		rd_kafka_topic_partition_list_add(list, topic, i);
	err = rd_kafka_committed(rk, list, TIMEOUT_MS);
	if (err)
		fail("committed", rd_kafka_err2str(err));
	for (int i = 0; i < count; i++)
		printf("%d %lld\n", list->elems[i].partition, (long long) list->elems[i].offset);
	fflush(stdout);
	rd_kafka_topic_partition_list_destroy(list);
	rd_kafka_destroy(rk);
}

static void
run_command(int n, Field *f)
{
	static const struct
	{
		const char *name;
		int			fields;
	}			commands[] = {
		{"create", 3}, {"delete", 2}, {"partitions", 3}, {"delete_records", 4},
		{"produce", 5}, {"begin", 1}, {"commit", 1}, {"abort", 1}, {"flush", 1},
		{"watermarks", 2}, {"committed", 3}
	};
	const char *command = f[0].data;
	static bool initialized;
	int			i;

	for (i = 0; i < (int) (sizeof(commands) / sizeof(commands[0])); i++)
		if (strcmp(command, commands[i].name) == 0)
			break;
	if (i == (int) (sizeof(commands) / sizeof(commands[0])))
		fail("unknown command", command);
	if (n < commands[i].fields)
		fail(command, "too few fields");

	if (strcmp(command, "produce") == 0)
		produce(n, f);
	else if (strcmp(command, "begin") == 0)
	{
		if (!initialized)
			check("transactions", rd_kafka_init_transactions(get_producer(), TIMEOUT_MS));
		initialized = true;
		check(command, rd_kafka_begin_transaction(producer));
		in_transaction = true;
	}
	else if (strcmp(command, "commit") == 0)
	{
		flush();
		check(command, rd_kafka_commit_transaction(get_producer(), TIMEOUT_MS));
		in_transaction = false;
	}
	else if (strcmp(command, "abort") == 0)
	{
		flush();				/* so that the broker has what it must hide */
		check(command, rd_kafka_abort_transaction(get_producer(), TIMEOUT_MS));
		in_transaction = false;
	}
	else if (strcmp(command, "flush") == 0)
	{
		flush();
		puts("flushed");
		fflush(stdout);
	}
	else if (strcmp(command, "watermarks") == 0)
		show_watermarks(f[1].data);
	else if (strcmp(command, "committed") == 0)
		show_committed(f[1].data, f[2].data);
	else
		admin(command, n, f);
}

int
main(int argc, char **argv)
{
	char	   *line = NULL;
	size_t		size = 0;
	ssize_t		len;
	Field		fields[MAX_FIELDS];

	if (argc < 2)
		fail("usage", "kafka_client BOOTSTRAP [property=value...]");
	bootstrap = argv[1];
	nproperties = argc - 2;
	properties = argv + 2;

	while ((len = getline(&line, &size, stdin)) > 0)
	{
		if (line[len - 1] == '\n')
			len--;
		if (len > 0)
			run_command(split(line, len, fields), fields);
	}
	if (!in_transaction)
		flush();				/* an open transaction is left hanging, as a crash would */
	if (producer && !in_transaction)
		rd_kafka_destroy(producer);
	return 0;
}
