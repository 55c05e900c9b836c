/*
 * kafka_client.c
 *		Handles of librdkafka: made, served, waited for, destroyed; errors.
 *
 * The library's threads never run code of ours: log lines and errors wait in
 * the handle's main queue until FeathubKafkaServe polls it, from our own
 * thread, and even then the callbacks only write them down in the client.
 *
 * A client is allocated by malloc, not palloc: it is destroyed in a thread of
 * its own, because that may take as long as a name server that does not answer,
 * and a cancel must not wait for it.  The last thing that thread does is to
 * free the client.
 */
#include "postgres.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include "catalog/pg_authid.h"
#include "lib/ilist.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "storage/fd.h"
#include "storage/ipc.h"
#include "utils/acl.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "connectors/kafka/kafka.h"
#include "core/clock.h"
#include "core/compat.h"

/* Log lines kept between two polls; more are dropped. */
#define LOG_BYTES 8192

/* How long destroying a handle may hold us up, in ms. */
#define DESTROY_WAIT 500

/* All brokers down for this long at the start is an error already, in ms. */
#define REFUSED_WAIT 2000

/* With more clients in a process, those not in use are closed early. */
#define MANY_CLIENTS 16

/* What is particular to a client, behind the part that kafka.h shows. */
typedef struct ClientData
{
	KafkaClient client;			/* first */
	dlist_node	node;			/* in live_clients */
	struct ClientHolder *holder;
	bool		log_wanted;		/* is DEBUG1 interesting now? */
	int			log_used;
	char		log[LOG_BYTES]; /* lines, each ended by a NUL */
	char	   *username;		/* malloc'd copies for wake_fetchers, or NULL */
	char	   *password;
	bool		background_sasl;	/* token refresh needs the library's thread */
	rd_kafka_resp_err_t lost;	/* a topic that was being fetched is gone */
	char		lost_topic[256];
	int64		taken;			/* bytes consumed since the last wake-up */
	int64		wake_bytes;		/* when to wake the fetchers */
} ClientData;

/* In the client's memory context: outlives a client that was closed. */
typedef struct ClientHolder
{
	MemoryContextCallback callback;
	ClientData *data;			/* NULL: closed */
} ClientHolder;

/* All clients of this process, to be destroyed when it ends. */
static dlist_head live_clients = DLIST_STATIC_INIT(live_clients);
static int	nlive = 0;
static bool exit_registered = false;
static bool atexit_registered = false;

/* Clients that their threads have not destroyed yet; changed by atomics. */
static int	unfinished = 0;
static int	exit_code = 0;

static void set_defaults(KafkaClient *client);
static void set_properties(KafkaClient *client, List *deflist, uint32 where);
static void set_message_size(KafkaClient *client, ForeignServer *server, List *table_options);
static void set_forced(KafkaClient *client);
static void check_kerberos(KafkaClient *client, ForeignServer *server);
static void note_log(const rd_kafka_t *rk, int level, const char *fac, const char *buf);
static void note_error(rd_kafka_t *rk, int err, const char *reason, void *opaque);
static const char *clean_text(const char *text);
static void print_log(ClientData *data);
static void wake_fetchers(ClientData *data);
static void destroy_client(ClientData *data);
static void destroy_with_context(void *arg);
static void destroy_at_exit(int code, Datum arg);
static void leave_at_once(void);

KafkaClient *
FeathubKafkaClientPrepare(ForeignServer *server, UserMapping *user,
						  List *table_options, const KafkaOptions *options,
						  rd_kafka_type_t type, MemoryContext context)
{
	ClientHolder *holder;
	ClientData *data;
	KafkaClient *client;
	const char *brokers = options->bootstrap_servers;
	uint64		generation = 0;

	if (strcmp(brokers, "embedded") == 0)
	{
		brokers = FeathubKafkaEmbeddedAddress();
		generation = FeathubKafkaEmbeddedGeneration();
	}

	if (!exit_registered)
	{
		/* after transactions are aborted and scans have let go */
		on_proc_exit(destroy_at_exit, (Datum) 0);
		exit_registered = true;
	}

	holder = MemoryContextAllocZero(context, sizeof(ClientHolder));
	data = calloc(1, sizeof(ClientData));
	if (data == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory")));
	client = &data->client;
	client->wake_read = client->wake_write = -1;
	data->holder = holder;
	holder->data = data;
	holder->callback.func = destroy_with_context;
	holder->callback.arg = holder;
	dlist_push_tail(&live_clients, &data->node);
	nlive++;
	MemoryContextRegisterResetCallback(context, &holder->callback);

	client->type = type;
	client->server = MemoryContextStrdup(context, server->servername);
	client->options = options;
	client->context = context;
	client->generation = generation;
	client->conf = rd_kafka_conf_new();
	rd_kafka_conf_set_opaque(client->conf, client);
	rd_kafka_conf_set_log_cb(client->conf, note_log);
	rd_kafka_conf_set_error_cb(client->conf, note_error);

	set_defaults(client);
	set_properties(client, server->options, FEATHUB_ON_SERVER);
	if (user)
		set_properties(client, user->options, FEATHUB_ON_USER_MAPPING);
	set_properties(client, table_options, FEATHUB_ON_TABLE);
	set_message_size(client, server, table_options);
	set_forced(client);
	FeathubKafkaClientSet(client, "bootstrap.servers", brokers);
	check_kerberos(client, server);
	return client;
}

KafkaClient *
FeathubKafkaClientForRelation(FeathubRelation *rel, rd_kafka_type_t type,
							  MemoryContext context)
{
	return FeathubKafkaClientPrepare(rel->server, rel->user, rel->table->options,
									 rel->options, type, context);
}

/* What suits us, and may be set otherwise by a property. */
static void
set_defaults(KafkaClient *client)
{
	char		value[32];

	FeathubKafkaClientSet(client, "client.id", "feathub");
	FeathubKafkaClientSet(client, "socket.keepalive.enable", "true");
	FeathubKafkaClientSet(client, "socket.nagle.disable", "true");
	/* back soon after a broker's restart */
	FeathubKafkaClientSet(client, "reconnect.backoff.max.ms", "1000");
	FeathubKafkaClientSet(client, "topic.metadata.propagation.max.ms", "10000");
	snprintf(value, sizeof(value), "%d", Max(client->options->connect_timeout, 1) * 1000);
	FeathubKafkaClientSet(client, "socket.connection.setup.timeout.ms", value);

	if (client->type == RD_KAFKA_CONSUMER)
	{
		int			kbytes = Max(client->options->fetch_memory, 1024);

		FeathubKafkaClientSet(client, "group.id", "feathub");

		/*
		 * Bytes alone bound what is fetched ahead.  A fetcher that has stopped
		 * because of a bound looks again only after a second; see
		 * wake_fetchers.
		 */
		FeathubKafkaClientSet(client, "queued.min.messages", "10000000");
		snprintf(value, sizeof(value), "%d", kbytes);
		FeathubKafkaClientSet(client, "queued.max.messages.kbytes", value);
		snprintf(value, sizeof(value), INT64_FORMAT,
				 Min(INT64CONST(52428800), (int64) kbytes * 1024 / 2));
		FeathubKafkaClientSet(client, "fetch.max.bytes", value);
#if RD_KAFKA_VERSION >= 0x020200ff
		FeathubKafkaClientSet(client, "fetch.queue.backoff.ms", "10");
#endif

		/*
		 * A broker answers a fetch as soon as it has a message, so this delays
		 * none; but other requests wait behind a fetch that waits.  The
		 * embedded broker always lets it wait to the end.
		 */
		FeathubKafkaClientSet(client, "fetch.wait.max.ms",
							  client->generation != 0 ? "10" : "100");
		FeathubKafkaClientSet(client, "fetch.error.backoff.ms", "50");
	}
	else
	{
		FeathubKafkaClientSet(client, "enable.idempotence", "true");
		FeathubKafkaClientSet(client, "linger.ms", "5");
		FeathubKafkaClientSet(client, "compression.type", "lz4");
		snprintf(value, sizeof(value), "%d", Max(client->options->produce_timeout, 1) * 1000);
		FeathubKafkaClientSet(client, "message.timeout.ms", value);
	}
}

/* The properties in a list of options. */
static void
set_properties(KafkaClient *client, List *deflist, uint32 where)
{
	ClientData *data = (ClientData *) client;
	ListCell   *lc;

	foreach(lc, deflist)
	{
		DefElem    *def = lfirst(lc);
		const char *value;

		/* the connector's own options, the format's, and then the library's */
		if (FeathubOptionsFind(FeathubKafkaOptions, 0, def->defname) != NULL ||
			FeathubKafkaFindProperty(def->defname, where) == NULL)
			continue;
		if (strcmp(def->defname, "message.max.bytes") == 0)
			continue;			/* set_message_size */
		value = FeathubOptionsGet(deflist, def->defname);
		FeathubKafkaClientSet(client, def->defname, value);
		if (strcmp(def->defname, "sasl.username") == 0)
			data->username = strdup(value);
		else if (strcmp(def->defname, "sasl.password") == 0)
			data->password = strdup(value);
		else if (strcmp(def->defname, "sasl.oauthbearer.method") == 0)
			data->background_sasl = (pg_strcasecmp(value, "oidc") == 0);
	}
}

/*
 * The size of the largest message.  It is the producer's property, but it goes
 * with limits of the producer's queue and of a consumer's answers: both must
 * hold such a message.
 */
static void
set_message_size(KafkaClient *client, ForeignServer *server, List *table_options)
{
	bool		consumer = client->type == RD_KAFKA_CONSUMER;
	const char *room = consumer ? "receive.message.max.bytes" : "queue.buffering.max.kbytes";
	const char *given = FeathubOptionsGet(table_options, "message.max.bytes");
	int64		bytes = 1000000;
	int64		wanted;
	char		value[32];

	if (given == NULL)
		given = FeathubOptionsGet(server->options, "message.max.bytes");
	if (given != NULL)
		bytes = strtoll(given, NULL, 0);
	if (given != NULL && !consumer)
		FeathubKafkaClientSet(client, "message.max.bytes", given);
	if (FeathubOptionsGet(table_options, room) != NULL ||
		FeathubOptionsGet(server->options, room) != NULL)
		return;

	/* not less than we like anyway: for answers, the library's own default */
	if (consumer)
		wanted = Min(Max(bytes + 1024 * 1024, 100000000), PG_INT32_MAX);
	else
		wanted = Max(bytes / 1024 + 1024, 65536);
	snprintf(value, sizeof(value), INT64_FORMAT, wanted);
	FeathubKafkaClientSet(client, room, value);
}

/* What no property may change. */
static void
set_forced(KafkaClient *client)
{
	char		reason[512];

	FeathubKafkaClientSet(client, "log.queue", "true");
	FeathubKafkaClientSet(client, "statistics.interval.ms", "0");
	/* no shell command to renew Kerberos tickets; a build may lack Kerberos */
	(void) rd_kafka_conf_set(client->conf, "sasl.kerberos.min.time.before.relogin",
							 "0", reason, sizeof(reason));
	if (client->type == RD_KAFKA_CONSUMER)
	{
		FeathubKafkaClientSet(client, "enable.auto.commit", "false");
		FeathubKafkaClientSet(client, "enable.auto.offset.store", "false");
		FeathubKafkaClientSet(client, "enable.partition.eof", "true");
		FeathubKafkaClientSet(client, "auto.offset.reset", "error");
		FeathubKafkaClientSet(client, "allow.auto.create.topics", "false");
		FeathubKafkaClientSet(client, "isolation.level",
							  client->options->isolation_level == KAFKA_READ_UNCOMMITTED ?
							  "read_uncommitted" : "read_committed");
	}
	else
		FeathubKafkaClientSet(client, "delivery.report.only.error", "false");
}

/*
 * Kerberos, the library's default mechanism, needs no credentials of the user
 * mapping: it takes the tickets of the server's operating system user.  That
 * is the server owner's choice only if that role may read such files.
 */
static void
check_kerberos(KafkaClient *client, ForeignServer *server)
{
	char		value[64];
	size_t		size = sizeof(value);

	if (rd_kafka_conf_get(client->conf, "security.protocol", value, &size) != RD_KAFKA_CONF_OK ||
		pg_strncasecmp(value, "sasl", 4) != 0)
		return;
	size = sizeof(value);
	if (rd_kafka_conf_get(client->conf, "sasl.mechanisms", value, &size) != RD_KAFKA_CONF_OK ||
		pg_strcasecmp(value, "GSSAPI") != 0)
		return;
	if (has_privs_of_role(server->owner, ROLE_PG_READ_SERVER_FILES))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg("permission denied for SASL mechanism GSSAPI of foreign server \"%s\"",
					client->server),
			 errdetail("Role \"%s\", the owner of the server, must have the privileges of role \"%s\", because the mechanism uses the Kerberos tickets of the database server.",
					   GetUserNameFromId(server->owner, false), "pg_read_server_files"),
			 errhint("Other mechanisms are named by the option \"sasl.mechanism\" of the foreign server.")));
}

void
FeathubKafkaClientSet(KafkaClient *client, const char *name, const char *value)
{
	char		reason[512];
	rd_kafka_conf_res_t result;

	result = rd_kafka_conf_set(client->conf, name, value, reason, sizeof(reason));
	if (result == RD_KAFKA_CONF_OK)
		return;
	if (result == RD_KAFKA_CONF_UNKNOWN)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
				 errmsg("property \"%s\" of foreign server \"%s\" is unknown to librdkafka %s",
						name, client->server, rd_kafka_version_str())));

	/* the library's reason may show the value: not if that is a secret */
	if (strstr(name, "password") || strstr(name, "secret") ||
		strcmp(name, "ssl.key.pem") == 0)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
				 errmsg("invalid value for property \"%s\" of foreign server \"%s\"",
						name, client->server)));
	reason[strcspn(reason, "\n")] = '\0';
	ereport(ERROR,
			(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
			 errmsg("invalid value for property \"%s\" of foreign server \"%s\"",
					name, client->server),
			 errdetail_internal("%s", reason)));
}

/* A pipe that the library writes to when a queue is no longer empty. */
static void
open_wake_pipe(KafkaClient *client)
{
	int			fds[2];

	if (pipe(fds) != 0)
		ereport(ERROR,
				(errcode_for_socket_access(),
				 errmsg("could not create a pipe: %m")));
	client->wake_read = fds[0];
	client->wake_write = fds[1];
	for (int i = 0; i < 2; i++)
	{
		if (fcntl(fds[i], F_SETFL, O_NONBLOCK) < 0 ||
			fcntl(fds[i], F_SETFD, FD_CLOEXEC) < 0)
			ereport(ERROR,
					(errcode_for_socket_access(),
					 errmsg("could not set up a pipe: %m")));
		ReserveExternalFD();
	}
}

void
FeathubKafkaClientStart(KafkaClient *client)
{
	ClientData *data = (ClientData *) client;
	char		reason[512];

	open_wake_pipe(client);
	data->wake_bytes = Max(client->options->fetch_memory, 1024) * INT64CONST(1024) / 4;
	if (data->background_sasl)
		rd_kafka_conf_enable_sasl_queue(client->conf, 1);

	client->rk = rd_kafka_new(client->type, client->conf, reason, sizeof(reason));
	if (client->rk == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_UNABLE_TO_ESTABLISH_CONNECTION),
				 errmsg("could not use foreign server \"%s\": %s",
						client->server, clean_text(reason))));
	client->conf = NULL;		/* it is the handle's now */

	/* after what OpenSSL has registered, thus called before it */
	if (!atexit_registered && atexit(leave_at_once) == 0)
		atexit_registered = true;
	client->started = FeathubClock();

	(void) rd_kafka_set_log_queue(client->rk, NULL);
	if (data->background_sasl)
	{
		rd_kafka_error_t *error = rd_kafka_sasl_background_callbacks_enable(client->rk);

		if (error)
			rd_kafka_error_destroy(error);
	}
	client->main_queue = rd_kafka_queue_get_main(client->rk);
	rd_kafka_queue_io_event_enable(client->main_queue, client->wake_write, "1", 1);
	if (client->type == RD_KAFKA_CONSUMER)
	{
		client->consumer_queue = rd_kafka_queue_get_consumer(client->rk);
		rd_kafka_queue_io_event_enable(client->consumer_queue, client->wake_write, "1", 1);
	}
}

/* Destroying */

void
FeathubKafkaClientClose(KafkaClient *client)
{
	if (client)
		destroy_client((ClientData *) client);
}

bool
FeathubKafkaManyClients(void)
{
	return nlive > MANY_CLIENTS;
}

static void
destroy_with_context(void *arg)
{
	ClientHolder *holder = arg;

	if (holder->data)
		destroy_client(holder->data);
}

static void
destroy_at_exit(int code, Datum arg)
{
	exit_code = code;
	while (!dlist_is_empty(&live_clients))
		destroy_client(dlist_container(ClientData, node, dlist_head_node(&live_clients)));
}

/*
 * A thread that still destroys a client must not meet what exit() does: OpenSSL
 * frees what the thread uses, and a crash there would restart the server.
 */
static void
leave_at_once(void)
{
	if (__atomic_load_n(&unfinished, __ATOMIC_ACQUIRE) > 0)
		_exit(exit_code);
}

/* Runs in: a thread of its own. */
static void *
destroy_main(void *arg)
{
	ClientData *data = arg;
	KafkaClient *client = &data->client;

	if (client->rk)
		rd_kafka_destroy_flags(client->rk, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
	/* the library writes to the pipe until then */
	if (client->wake_read >= 0)
	{
		close(client->wake_read);
		close(client->wake_write);
	}
	if (data->password)
		memset(data->password, 0, strlen(data->password));
	free(data->password);
	free(data->username);
	free(data);
	(void) __atomic_sub_fetch(&unfinished, 1, __ATOMIC_RELEASE);
	return NULL;
}

/* Never fails and hardly waits. */
static void
destroy_client(ClientData *data)
{
	KafkaClient *client = &data->client;
	pthread_t	thread;
	sigset_t	all;
	sigset_t	save;
	int			rc;

	dlist_delete(&data->node);
	nlive--;
	data->holder->data = NULL;
	(void) __atomic_add_fetch(&unfinished, 1, __ATOMIC_RELAXED);
	if (client->release)
		client->release(client->release_arg);
	if (client->wake_read >= 0)
	{
		ReleaseExternalFD();
		ReleaseExternalFD();
	}
	if (client->consumer_queue)
		rd_kafka_queue_destroy(client->consumer_queue);
	if (client->main_queue)
		rd_kafka_queue_destroy(client->main_queue);
	if (client->conf)
		rd_kafka_conf_destroy(client->conf);
	if (client->rk == NULL)
	{
		(void) destroy_main(data);
		return;
	}
	if (client->type == RD_KAFKA_PRODUCER)
		(void) rd_kafka_purge(client->rk, RD_KAFKA_PURGE_F_QUEUE |
							  RD_KAFKA_PURGE_F_INFLIGHT | RD_KAFKA_PURGE_F_NON_BLOCKING);

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &save);
	rc = pthread_create(&thread, NULL, destroy_main, data);
	pthread_sigmask(SIG_SETMASK, &save, NULL);
	if (rc != 0)
	{
		(void) destroy_main(data);
		return;
	}
	{
		struct timespec until;

		clock_gettime(CLOCK_REALTIME, &until);
		until.tv_nsec += DESTROY_WAIT * 1000000L;
		if (until.tv_nsec >= 1000000000L)
		{
			until.tv_sec++;
			until.tv_nsec -= 1000000000L;
		}
		if (pthread_timedjoin_np(thread, NULL, &until) != 0)
			pthread_detach(thread);
	}
}

/* Serving and waiting */

/* Callback of the library, in our thread, below rd_kafka_poll. */
static void
note_log(const rd_kafka_t *rk, int level, const char *fac, const char *buf)
{
	ClientData *data = rk ? rd_kafka_opaque(rk) : NULL;
	int			n;

	if (data == NULL || !data->log_wanted || data->log_used >= LOG_BYTES - 1)
		return;
	/* debug "conf" lists all properties; versions differ in what they call secret */
	if (strcmp(fac, "CONF") == 0 &&
		(strstr(buf, "secret") || strstr(buf, "password") || strstr(buf, "ssl.key")))
		return;
	n = snprintf(data->log + data->log_used, LOG_BYTES - data->log_used,
				 "%s: %s", fac, buf);
	data->log_used += Min(n, LOG_BYTES - data->log_used - 1) + 1;
}

/* Callback of the library, in our thread, below rd_kafka_poll. */
static void
note_error(rd_kafka_t *rk, int err, const char *reason, void *opaque)
{
	KafkaClient *client = opaque;

	if (err == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN)
	{
		/* the reason before says more than "1/1 brokers are down" */
		client->all_down = true;
		if (client->last_error != RD_KAFKA_RESP_ERR_NO_ERROR)
			return;
	}
	client->last_error = err;
	strlcpy(client->last_reason, reason ? reason : "", sizeof(client->last_reason));
	if (err == RD_KAFKA_RESP_ERR__AUTHENTICATION ||
		err == RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED ||
		err == RD_KAFKA_RESP_ERR_UNSUPPORTED_SASL_MECHANISM ||
		(err == RD_KAFKA_RESP_ERR__SSL && !client->connected))
	{
		client->refused = err;
		strlcpy(client->refused_reason, client->last_reason, sizeof(client->refused_reason));
	}
	/* of a topic that is being fetched: "clicks [3]: topic does not exist ..." */
	if (err == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART ||
		err == RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC ||
		err == RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION ||
		err == RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED)
	{
		ClientData *data = (ClientData *) client;
		const char *end = strstr(client->last_reason, " [");

		data->lost = err;
		strlcpy(data->lost_topic, client->last_reason,
				end ? Min(sizeof(data->lost_topic), end - client->last_reason + 1) : 1);
	}
	if (err == RD_KAFKA_RESP_ERR__FATAL)
		client->fatal = rd_kafka_fatal_error(rk, client->last_reason, sizeof(client->last_reason));
}

/*
 * Text of a broker or of the C library for a message: bytes that this database
 * takes for no text are shown as question marks.
 */
static const char *
clean_text(const char *text)
{
	char	   *copy;

	if (pg_verifymbstr(text, strlen(text), true))
		return text;
	copy = pstrdup(text);
	for (char *p = copy; *p; p++)
	{
		if (IS_HIGHBIT_SET(*p))
			*p = '?';
	}
	return copy;
}

static void
print_log(ClientData *data)
{
	int			used = data->log_used;

	data->log_used = 0;
	for (int i = 0; i < used; i += strlen(data->log + i) + 1)
		ereport(DEBUG1,
				(errmsg_internal("librdkafka, foreign server \"%s\": %s",
								 data->client.server, clean_text(data->log + i))));
}

void
FeathubKafkaServe(KafkaClient *client)
{
	ClientData *data = (ClientData *) client;

	data->log_wanted = message_level_is_interesting(DEBUG1);
	while (rd_kafka_poll(client->rk, 0) > 0 && data->log_used < LOG_BYTES / 2)
		;
	if (data->log_used > 0)
		print_log(data);
	if (client->fatal != RD_KAFKA_RESP_ERR_NO_ERROR)
		FeathubKafkaError(client, client->fatal, client->last_reason, "use", NULL, -1);
	if (data->lost != RD_KAFKA_RESP_ERR_NO_ERROR)
		FeathubKafkaError(client, data->lost, NULL, "fetch from",
						  data->lost_topic[0] ? data->lost_topic : NULL, -1);
	if (client->generation != 0 && client->generation != FeathubKafkaEmbeddedGeneration())
		ereport(ERROR,
				(errcode(ERRCODE_CONNECTION_FAILURE),
				 errmsg("the embedded broker of foreign server \"%s\" has stopped",
						client->server),
				 errdetail("Its topics were in memory and are lost.")));
	if (client->refused != RD_KAFKA_RESP_ERR_NO_ERROR)
		FeathubKafkaError(client, client->refused, client->refused_reason,
						  "connect to", NULL, -1);
}

int
FeathubKafkaWait(KafkaClient *client, long timeout)
{
	int			rc;
	char		drain[64];

	FeathubKafkaServe(client);
	if (client->consumer_queue && rd_kafka_queue_length(client->consumer_queue) > 0)
		return WL_SOCKET_READABLE;
	rc = WaitLatchOrSocket(MyLatch,
						   WL_LATCH_SET | WL_SOCKET_READABLE | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						   client->wake_read, timeout, FEATHUB_WAIT_EVENT("FeathubKafka"));
	/* emptied before the queues are: what comes later wakes us again */
	if (rc & WL_SOCKET_READABLE)
		while (read(client->wake_read, drain, sizeof(drain)) == sizeof(drain))
			;
	return rc;
}

/*
 * Let the broker threads look whether there is room for more.
 *
 * In librdkafka before 2.2 a fetcher that has found the queue full sleeps for
 * up to a second, and a fast reader with it.  Setting the credentials that are
 * in force already wakes all of them and changes nothing else; the library has
 * no plainer way.
 */
static void
wake_fetchers(ClientData *data)
{
#if RD_KAFKA_VERSION >= 0x020000ff && RD_KAFKA_VERSION < 0x020200ff
	rd_kafka_error_t *error;

	error = rd_kafka_sasl_set_credentials(data->client.rk,
										  data->username ? data->username : "",
										  data->password ? data->password : "");
	if (error)
		rd_kafka_error_destroy(error);
#endif
	data->taken = 0;
}

/* Errors of a group's coordinator: only the display of lags suffers. */
static bool
is_group_error(rd_kafka_resp_err_t err)
{
	switch (err)
	{
		case RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED:
		case RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS:
		case RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE:
		case RD_KAFKA_RESP_ERR_NOT_COORDINATOR:
		case RD_KAFKA_RESP_ERR__WAIT_COORD:
			return true;
		default:
			return false;
	}
}

int
FeathubKafkaConsume(KafkaClient *client, rd_kafka_message_t **messages, int max)
{
	ClientData *data = (ClientData *) client;
	int			n;
	int			kept = 0;
	rd_kafka_message_t *failed = NULL;

	n = (int) rd_kafka_consume_batch_queue(client->consumer_queue, 0, messages, max);
	if (n <= 0)
		return 0;
	for (int i = 0; i < n; i++)
	{
		rd_kafka_message_t *message = messages[i];

		if (likely(message->err == RD_KAFKA_RESP_ERR_NO_ERROR))
		{
			data->taken += message->len + message->key_len;
			messages[kept++] = message;
		}
		else if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF ||
				 (client->keep_range_errors &&
				  (message->err == RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET ||
				   message->err == RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE)))
			messages[kept++] = message;
		else if (failed == NULL && !is_group_error(message->err) &&
				 !FeathubKafkaIsTransient(message->err))
			failed = message;
		else
			rd_kafka_message_destroy(message);
	}
	if (failed)
	{
		rd_kafka_resp_err_t err = failed->err;
		int32		partition = failed->rkt ? failed->partition : -1;
		char	   *topic = failed->rkt ? pstrdup(rd_kafka_topic_name(failed->rkt)) : NULL;
		char	   *reason = pstrdup(rd_kafka_message_errstr(failed));

		for (int i = 0; i < kept; i++)
			rd_kafka_message_destroy(messages[i]);
		rd_kafka_message_destroy(failed);
		FeathubKafkaError(client, err, reason, "fetch from", topic, partition);
	}
	client->connected |= kept > 0;
	if (data->taken > data->wake_bytes)
		wake_fetchers(data);
	return kept;
}

/* Errors */

bool
FeathubKafkaIsTransient(rd_kafka_resp_err_t err)
{
	switch (err)
	{
		case RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN:
		case RD_KAFKA_RESP_ERR__TRANSPORT:
		case RD_KAFKA_RESP_ERR__RESOLVE:
		case RD_KAFKA_RESP_ERR__TIMED_OUT:
		case RD_KAFKA_RESP_ERR__TIMED_OUT_QUEUE:
		case RD_KAFKA_RESP_ERR__WAIT_CACHE:
		case RD_KAFKA_RESP_ERR__WAIT_COORD:
		case RD_KAFKA_RESP_ERR__IN_PROGRESS:
		case RD_KAFKA_RESP_ERR__NODE_UPDATE:
		case RD_KAFKA_RESP_ERR__OUTDATED:
		case RD_KAFKA_RESP_ERR__RETRY:
		case RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE:
		case RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION:
		case RD_KAFKA_RESP_ERR_BROKER_NOT_AVAILABLE:
		case RD_KAFKA_RESP_ERR_REPLICA_NOT_AVAILABLE:
		case RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT:
		case RD_KAFKA_RESP_ERR_NETWORK_EXCEPTION:
		case RD_KAFKA_RESP_ERR_KAFKA_STORAGE_ERROR:
		case RD_KAFKA_RESP_ERR_PREFERRED_LEADER_NOT_AVAILABLE:
		case RD_KAFKA_RESP_ERR_FENCED_LEADER_EPOCH:
		case RD_KAFKA_RESP_ERR_UNKNOWN_LEADER_EPOCH:
		case RD_KAFKA_RESP_ERR_OFFSET_NOT_AVAILABLE:
		case RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS:
		case RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE:
		case RD_KAFKA_RESP_ERR_NOT_COORDINATOR:
			return true;
		default:
			return false;
	}
}

void
FeathubKafkaCheckTimeout(KafkaClient *client, TimestampTz since, const char *action)
{
	TimestampTz now = FeathubClock();

	if (!TimestampDifferenceExceeds(since, now, client->options->connect_timeout * 1000) &&
		(client->connected || !client->all_down ||
		 !TimestampDifferenceExceeds(since, now, REFUSED_WAIT)))
		return;
	if (client->last_reason[0] != '\0')
		FeathubKafkaError(client, RD_KAFKA_RESP_ERR__TRANSPORT, client->last_reason,
						  action, NULL, -1);
	ereport(ERROR,
			(errcode(client->connected ? ERRCODE_CONNECTION_FAILURE :
					 ERRCODE_FDW_UNABLE_TO_ESTABLISH_CONNECTION),
			 errmsg("could not %s foreign server \"%s\": no answer within %d seconds",
					client->connected ? action : "connect to",
					client->server, client->options->connect_timeout)));
}

/* "topic "x" partition 3 of foreign server "s"", as far as it is known. */
static char *
describe_target(KafkaClient *client, const char *topic, int32 partition)
{
	if (topic == NULL)
		return psprintf("foreign server \"%s\"", client->server);
	if (partition < 0)
		return psprintf("topic \"%s\" of foreign server \"%s\"", topic, client->server);
	return psprintf("topic \"%s\" partition %d of foreign server \"%s\"",
					topic, partition, client->server);
}

void
FeathubKafkaError(KafkaClient *client, rd_kafka_resp_err_t err, const char *reason,
				  const char *action, const char *topic, int32 partition)
{
	if (reason == NULL || reason[0] == '\0')
		reason = rd_kafka_err2str(err);
	reason = clean_text(reason);

	switch (err)
	{
		case RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC:
		case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:
			if (topic == NULL)
				break;
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_TABLE),
					 errmsg("topic \"%s\" does not exist on foreign server \"%s\"",
							topic, client->server)));
			break;
		case RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION:
			if (topic == NULL || partition < 0)
				break;
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_OBJECT),
					 errmsg("partition %d of topic \"%s\" does not exist on foreign server \"%s\"",
							partition, topic, client->server)));
			break;
		case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
		case RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED:
		case RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED:
		case RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED:
			ereport(ERROR,
					(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
					 errmsg("could not %s %s: %s", action,
							describe_target(client, topic, partition), reason)));
			break;
		case RD_KAFKA_RESP_ERR__AUTHENTICATION:
		case RD_KAFKA_RESP_ERR__SSL:
		case RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED:
		case RD_KAFKA_RESP_ERR_UNSUPPORTED_SASL_MECHANISM:
			ereport(ERROR,
					(errcode(ERRCODE_FDW_UNABLE_TO_ESTABLISH_CONNECTION),
					 errmsg("could not connect to foreign server \"%s\": %s",
							client->server, reason)));
			break;
		default:
			break;
	}
	if (!client->connected && FeathubKafkaIsTransient(err))
		ereport(ERROR,
				(errcode(ERRCODE_FDW_UNABLE_TO_ESTABLISH_CONNECTION),
				 errmsg("could not connect to foreign server \"%s\": %s",
						client->server, reason)));
	ereport(ERROR,
			(errcode(FeathubKafkaIsTransient(err) ? ERRCODE_CONNECTION_FAILURE :
					 ERRCODE_FDW_ERROR),
			 errmsg("could not %s %s: %s", action,
					describe_target(client, topic, partition), reason)));
}
