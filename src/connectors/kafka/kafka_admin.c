/*
 * kafka_admin.c
 *		Making a topic, and reading the configuration of one.
 *
 * The library answers through a queue, which is polled in short slices.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/timestamp.h"

#include "connectors/kafka/kafka.h"
#include "core/clock.h"

/* What a call of the administration asks for. */
typedef void (*AdminRequest) (KafkaClient *client, rd_kafka_AdminOptions_t *options,
							  rd_kafka_queue_t *queue, void *arg);

/*
 * Send a request and wait for its answer, which the caller destroys.  NULL: none
 * within connect_timeout.
 */
static rd_kafka_event_t *
ask(KafkaClient *client, rd_kafka_admin_op_t op, AdminRequest request, void *arg)
{
	rd_kafka_queue_t *queue = rd_kafka_queue_new(client->rk);
	rd_kafka_AdminOptions_t *options = rd_kafka_AdminOptions_new(client->rk, op);
	int			timeout = client->options->connect_timeout * 1000;
	TimestampTz since = FeathubClock();
	rd_kafka_event_t *volatile event = NULL;
	char		reason[256];

	(void) rd_kafka_AdminOptions_set_request_timeout(options, timeout, reason, sizeof(reason));
	PG_TRY();
	{
		request(client, options, queue, arg);
		while (event == NULL &&
			   !TimestampDifferenceExceeds(since, FeathubClock(), timeout + 1000))
		{
			FeathubKafkaServe(client);
			CHECK_FOR_INTERRUPTS();
			event = rd_kafka_queue_poll(queue, KAFKA_SLICE_MIN);
		}
	}
	PG_FINALLY();
	{
		rd_kafka_AdminOptions_destroy(options);
		rd_kafka_queue_destroy(queue);
	}
	PG_END_TRY();
	return event;
}

/* A topic to be made. */
typedef struct NewTopic
{
	const char *name;
	const char *const (*config)[2];
	int			nconfig;
} NewTopic;

static void
request_topic(KafkaClient *client, rd_kafka_AdminOptions_t *options,
			  rd_kafka_queue_t *queue, void *arg)
{
	NewTopic   *new = arg;
	char		reason[512];
	/* as many replicas as the broker thinks best */
	rd_kafka_NewTopic_t *topic = rd_kafka_NewTopic_new(new->name, 1, -1, reason, sizeof(reason));

	if (topic == NULL)
		FeathubKafkaError(client, RD_KAFKA_RESP_ERR__INVALID_ARG, reason, "create",
						  new->name, -1);
	for (int i = 0; i < new->nconfig; i++)
		(void) rd_kafka_NewTopic_set_config(topic, new->config[i][0], new->config[i][1]);
	rd_kafka_CreateTopics(client->rk, &topic, 1, options, queue);
	rd_kafka_NewTopic_destroy(topic);
}

void
FeathubKafkaCreateTopic(KafkaClient *client, const char *name,
						const char *const (*config)[2], int nconfig)
{
	NewTopic	new = {.name = name,.config = config,.nconfig = nconfig};
	TimestampTz since = FeathubClock();
	rd_kafka_event_t *event = ask(client, RD_KAFKA_ADMIN_OP_CREATETOPICS, request_topic, &new);
	rd_kafka_resp_err_t err = RD_KAFKA_RESP_ERR__TIMED_OUT;
	char		reason[512] = "";

	if (event != NULL)
	{
		const rd_kafka_CreateTopics_result_t *result = rd_kafka_event_CreateTopics_result(event);
		const rd_kafka_topic_result_t **topics;
		size_t		n = 0;

		err = rd_kafka_event_error(event);
		if (err != RD_KAFKA_RESP_ERR_NO_ERROR)
			strlcpy(reason, rd_kafka_event_error_string(event), sizeof(reason));
		topics = result ? rd_kafka_CreateTopics_result_topics(result, &n) : NULL;
		if (err == RD_KAFKA_RESP_ERR_NO_ERROR && n > 0)
		{
			const char *text = rd_kafka_topic_result_error_string(topics[0]);

			err = rd_kafka_topic_result_error(topics[0]);
			strlcpy(reason, text ? text : "", sizeof(reason));
		}
		rd_kafka_event_destroy(event);
	}
	if (err == RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED ||
		err == RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("could not create topic \"%s\" of foreign server \"%s\": %s",
						name, client->server, reason[0] ? reason : rd_kafka_err2str(err)),
				 errhint("Have it created with one partition and \"cleanup.policy\" \"compact\", or be given the right to.")));
	if (err != RD_KAFKA_RESP_ERR_NO_ERROR && err != RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS)
		FeathubKafkaError(client, err, reason, "create", name, -1);

	/* what the brokers tell may lag behind their answer */
	while (!FeathubKafkaTopicExists(client, name))
	{
		FeathubKafkaCheckTimeout(client, since, "create a topic on");
		if (FeathubKafkaWait(client, KAFKA_SLICE_MIN) & WL_LATCH_SET)
			ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
	}
}

static void
request_config(KafkaClient *client, rd_kafka_AdminOptions_t *options,
			   rd_kafka_queue_t *queue, void *arg)
{
	rd_kafka_ConfigResource_t *topic = rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, arg);

	if (topic == NULL)
		elog(ERROR, "invalid topic name");
	rd_kafka_DescribeConfigs(client->rk, &topic, 1, options, queue);
	rd_kafka_ConfigResource_destroy(topic);
}

/* The value of one of a topic's settings, copied into buffer; false: not there. */
static bool
find_config(const rd_kafka_event_t *event, const char *name, char *buffer, Size size)
{
	const rd_kafka_DescribeConfigs_result_t *result = rd_kafka_event_DescribeConfigs_result((rd_kafka_event_t *) event);
	const rd_kafka_ConfigResource_t **topics;
	const rd_kafka_ConfigEntry_t **entries;
	size_t		n = 0;

	topics = result ? rd_kafka_DescribeConfigs_result_resources(result, &n) : NULL;
	if (n == 0 || rd_kafka_ConfigResource_error(topics[0]) != RD_KAFKA_RESP_ERR_NO_ERROR)
		return false;
	entries = rd_kafka_ConfigResource_configs(topics[0], &n);
	for (size_t i = 0; i < n; i++)
	{
		const char *value = rd_kafka_ConfigEntry_value(entries[i]);

		if (strcmp(rd_kafka_ConfigEntry_name(entries[i]), name) != 0 || value == NULL)
			continue;
		strlcpy(buffer, value, size);
		return true;
	}
	return false;
}

char *
FeathubKafkaTopicConfig(KafkaClient *client, const char *topic, const char *name)
{
	rd_kafka_event_t *event = ask(client, RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS, request_config,
								  unconstify(char *, topic));
	char		buffer[256];
	bool		found = false;

	if (event != NULL)
	{
		found = find_config(event, name, buffer, sizeof(buffer));
		rd_kafka_event_destroy(event);
	}
	return found ? pstrdup(buffer) : NULL;
}
