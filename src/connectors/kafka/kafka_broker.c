/*
 * kafka_broker.c
 *		The embedded broker: librdkafka's mock cluster in a background worker.
 *
 * It lets demos and regression tests do without Java: one broker, on loopback,
 * in memory (5 MB a partition), without authentication, transactions that do
 * not isolate, and gone when the server stops.  The library gives it a free
 * port, so its address stands in shared memory, where clients with
 * bootstrap_servers "embedded" find it.
 *
 * Locking: the address is guarded by a spinlock; the generation is written
 * after it and read without the lock.
 */
#include "postgres.h"

#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>

#include "fmgr.h"
#include "miscadmin.h"
#include "port/atomics.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"
#include "storage/spin.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/timestamp.h"

#include "connectors/kafka/kafka.h"
#include "core/clock.h"
#include "core/compat.h"
#include "core/guc.h"

#define ADDRESS_BYTES 256

/* How long a client waits for a broker that is just starting, in ms. */
#define ADDRESS_WAIT 5000

/* Topics that a client makes by writing to them get this many partitions. */
#define DEFAULT_PARTITIONS 4

typedef struct BrokerShmem
{
	slock_t		mutex;
	char		address[ADDRESS_BYTES]; /* "": not started */
	pg_atomic_uint64 generation;	/* time of the start; 0: not started */
} BrokerShmem;

/* Set in the postmaster, inherited. NULL: the broker is not switched on. */
static BrokerShmem *broker = NULL;

static shmem_request_hook_type prev_shmem_request_hook = NULL;
static shmem_startup_hook_type prev_shmem_startup_hook = NULL;

static void request_shmem(void);
static void startup_shmem(void);
static void clear_address(int code, Datum arg);
static void create_topics(rd_kafka_mock_cluster_t *cluster);
static void ignore_log(const rd_kafka_t *rk, int level, const char *fac, const char *buf);

PGDLLEXPORT void FeathubKafkaBrokerMain(Datum arg);

PG_FUNCTION_INFO_V1(feathub_embedded_broker_address);

void
FeathubKafkaBrokerInit(void)
{
	BackgroundWorker worker;

	if (!process_shared_preload_libraries_in_progress || IsBinaryUpgrade ||
		!feathub_embedded_broker)
		return;

	prev_shmem_request_hook = shmem_request_hook;
	shmem_request_hook = request_shmem;
	prev_shmem_startup_hook = shmem_startup_hook;
	shmem_startup_hook = startup_shmem;

	memset(&worker, 0, sizeof(worker));
	worker.bgw_flags = BGWORKER_SHMEM_ACCESS;
	worker.bgw_start_time = BgWorkerStart_PostmasterStart;
	worker.bgw_restart_time = 1;
	strlcpy(worker.bgw_library_name, "feathub", BGW_MAXLEN);
	strlcpy(worker.bgw_function_name, "FeathubKafkaBrokerMain", BGW_MAXLEN);
	strlcpy(worker.bgw_name, "feathub embedded broker", BGW_MAXLEN);
	strlcpy(worker.bgw_type, "feathub embedded broker", BGW_MAXLEN);
	RegisterBackgroundWorker(&worker);
}

static void
request_shmem(void)
{
	if (prev_shmem_request_hook)
		prev_shmem_request_hook();
	RequestAddinShmemSpace(MAXALIGN(sizeof(BrokerShmem)));
}

static void
startup_shmem(void)
{
	bool		found;

	if (prev_shmem_startup_hook)
		prev_shmem_startup_hook();
	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	broker = ShmemInitStruct("feathub embedded broker", sizeof(BrokerShmem), &found);
	if (!found)
	{
		memset(broker, 0, sizeof(BrokerShmem));
		SpinLockInit(&broker->mutex);
		pg_atomic_init_u64(&broker->generation, 0);
	}
	LWLockRelease(AddinShmemInitLock);
}

/* The broker itself. */
void
FeathubKafkaBrokerMain(Datum arg)
{
	rd_kafka_conf_t *conf;
	rd_kafka_t *rk;
	rd_kafka_mock_cluster_t *cluster;
	const char *address;
	char		reason[256];

	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, SignalHandlerForShutdownRequest);
	BackgroundWorkerUnblockSignals();

	conf = rd_kafka_conf_new();
	rd_kafka_conf_set_log_cb(conf, ignore_log);
	rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, reason, sizeof(reason));
	if (rk == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_SYSTEM_ERROR),
				 errmsg("could not start the embedded broker: %s", reason)));
	cluster = rd_kafka_mock_cluster_new(rk, 1);
	if (cluster == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_SYSTEM_ERROR),
				 errmsg("could not start the embedded broker")));
	create_topics(cluster);

	address = rd_kafka_mock_cluster_bootstraps(cluster);
	before_shmem_exit(clear_address, (Datum) 0);
	SpinLockAcquire(&broker->mutex);
	strlcpy(broker->address, address, ADDRESS_BYTES);
	SpinLockRelease(&broker->mutex);
	pg_atomic_write_u64(&broker->generation, (uint64) GetCurrentTimestamp());
	ereport(LOG,
			(errmsg("embedded Kafka broker listening on %s", address)));

	while (!ShutdownRequestPending)
	{
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_EXIT_ON_PM_DEATH, -1,
						 FEATHUB_WAIT_EVENT("FeathubEmbeddedBroker"));
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
		if (ConfigReloadPending)
		{
			ConfigReloadPending = false;
			ProcessConfigFile(PGC_SIGHUP);
			create_topics(cluster);
		}
	}
	/* 1: started again, unless the server is stopping */
	proc_exit(1);
}

/* Callback of the library, in its threads. */
static void
ignore_log(const rd_kafka_t *rk, int level, const char *fac, const char *buf)
{
}

static void
clear_address(int code, Datum arg)
{
	pg_atomic_write_u64(&broker->generation, 0);
	SpinLockAcquire(&broker->mutex);
	broker->address[0] = '\0';
	SpinLockRelease(&broker->mutex);
}

/* Make the topics of feathub.embedded_broker_topics that are not there yet. */
static void
create_topics(rd_kafka_mock_cluster_t *cluster)
{
	char	   *list = pstrdup(feathub_embedded_broker_topics ? feathub_embedded_broker_topics : "");
	char	   *save = NULL;

	for (char *item = strtok_r(list, ",", &save); item; item = strtok_r(NULL, ",", &save))
	{
		char	   *colon = strchr(item, ':');
		int			partitions = DEFAULT_PARTITIONS;
		char	   *name = item;
		char	   *end;

		if (colon)
		{
			*colon = '\0';
			partitions = atoi(colon + 1);
		}
		while (isspace((unsigned char) *name))
			name++;
		end = name + strlen(name);
		while (end > name && isspace((unsigned char) end[-1]))
			*--end = '\0';
		if (*name == '\0' && colon == NULL)
			continue;
		if (*name == '\0' || strlen(name) > 249 || partitions < 1 || partitions > 1000)
		{
			ereport(WARNING,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("invalid item in setting \"feathub.embedded_broker_topics\": \"%s\"", name),
					 errhint("An item is like \"clicks:6\", with 1 to 1000 partitions.")));
			continue;
		}
		/* one that exists stays as it is */
		(void) rd_kafka_mock_topic_create(cluster, name, partitions, 1);

		/*
		 * A request on the heels of another may go unnoticed until the
		 * library's thread wakes by itself, a second later.
		 */
		pg_usleep(2000);
	}
	pfree(list);
}

/* Copy the address; false if there is none yet. */
static bool
get_address(char *address)
{
	SpinLockAcquire(&broker->mutex);
	strlcpy(address, broker->address, ADDRESS_BYTES);
	SpinLockRelease(&broker->mutex);
	return address[0] != '\0';
}

char *
FeathubKafkaEmbeddedAddress(void)
{
	char		address[ADDRESS_BYTES];
	TimestampTz start = FeathubClock();

	if (broker == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the embedded broker is not switched on"),
				 errhint("Set feathub.embedded_broker = on, with feathub in shared_preload_libraries, and restart the server.")));
	while (!get_address(address))
	{
		if (TimestampDifferenceExceeds(start, FeathubClock(), ADDRESS_WAIT))
			ereport(ERROR,
					(errcode(ERRCODE_FDW_UNABLE_TO_ESTABLISH_CONNECTION),
					 errmsg("the embedded broker has not started"),
					 errhint("See the server's log.")));
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, 20,
						 FEATHUB_WAIT_EVENT("FeathubEmbeddedBroker"));
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
	}
	return pstrdup(address);
}

uint64
FeathubKafkaEmbeddedGeneration(void)
{
	return broker ? pg_atomic_read_u64(&broker->generation) : 0;
}

/*
 * feathub.embedded_broker_address()
 *		Where other clients (kcat) reach the embedded broker; NULL if it is off.
 */
Datum
feathub_embedded_broker_address(PG_FUNCTION_ARGS)
{
	if (broker == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(FeathubKafkaEmbeddedAddress()));
}
