/*
 * guc.c
 *		The extension's settings, feathub.*, in alphabetical order.
 *
 * They are read by the postmaster's children only, from the configuration: no
 * session sets one for itself but those of the planner (enable_...) and limits
 * such as the server's work_mem; what differs between tables is an option, and
 * feathub.allowed_folders is what a superuser gives to roles.
 */
#include "postgres.h"

#include <limits.h>

#include "miscadmin.h"
#include "utils/guc.h"

#include "core/folders.h"
#include "core/guc.h"

int			feathub_asof_join_strategy = FEATHUB_ASOF_AUTO;
int			feathub_batch_interval = 5;
int			feathub_batch_memory = 32 * 1024;
int			feathub_batch_rows = 100000;
bool		feathub_embedded_broker = false;
char	   *feathub_embedded_broker_topics = NULL;
bool		feathub_enable_asof_join = true;
bool		feathub_enable_batched_lookup = true;
int			feathub_file_memory = 256 * 1024;
int			feathub_max_workers = 32;
int			feathub_missing_file_retention = 7 * 24 * 60 * 60;
int			feathub_retry_delay = 1000;
int			feathub_retry_delay_max = 60 * 1000;
int			feathub_scheduler_interval = 10 * 1000;
int			feathub_source_interval = 5 * 1000;

static const struct config_enum_entry asof_strategies[] = {
	{"auto", FEATHUB_ASOF_AUTO, false},
	{"feature_hash", FEATHUB_ASOF_FEATURE_HASH, false},
	{"spine_hash", FEATHUB_ASOF_SPINE_HASH, false},
	{"time_ordered", FEATHUB_ASOF_TIME_ORDERED, false},
	{"merge", FEATHUB_ASOF_MERGE, false},
	{NULL, 0, false}
};

/* Partitions of one topic of the embedded broker. */
#define MAX_EMBEDDED_PARTITIONS 1000

static bool check_embedded_broker_topics(char **newval, void **extra, GucSource source);
static bool check_allowed_folders(char **newval, void **extra, GucSource source);

void
FeathubGucInit(void)
{
	/*
	 * The server refuses to make PGC_POSTMASTER settings after its start.  A
	 * library loaded later does not use them, but they must be known, or a
	 * line in postgresql.conf would draw a warning.
	 */
	GucContext	at_start = process_shared_preload_libraries_in_progress ?
		PGC_POSTMASTER : PGC_SIGHUP;

	DefineCustomStringVariable("feathub.allowed_folders",
							   "Lists the folders of the server that a role may use for foreign tables.",
							   "They are read and written without pg_read_server_files and pg_write_server_files. Set it with ALTER ROLE.",
							   &feathub_allowed_folders,
							   "",
							   PGC_SUSET, GUC_LIST_INPUT | GUC_SUPERUSER_ONLY,
							   check_allowed_folders, FeathubFoldersAssignSetting, NULL);
	DefineCustomEnumVariable("feathub.asof_join_strategy",
							 "Restricts how point-in-time joins may be run.",
							 "For tests; auto lets the planner choose by cost.",
							 &feathub_asof_join_strategy,
							 FEATHUB_ASOF_AUTO, asof_strategies,
							 PGC_USERSET, GUC_EXPLAIN | GUC_NOT_IN_SAMPLE,
							 NULL, NULL, NULL);
	DefineCustomIntVariable("feathub.batch_interval",
							"Sets the time a worker waits for more records before it applies a batch.",
							NULL,
							&feathub_batch_interval,
							5, 0, 60 * 1000,
							PGC_SIGHUP, GUC_UNIT_MS,
							NULL, NULL, NULL);
	DefineCustomIntVariable("feathub.batch_memory",
							"Sets the maximum memory for the raw records of one batch.",
							NULL,
							&feathub_batch_memory,
							32 * 1024, 64, 1024 * 1024,
							PGC_SIGHUP, GUC_UNIT_KB,
							NULL, NULL, NULL);
	DefineCustomIntVariable("feathub.batch_rows",
							"Sets the maximum number of records that a worker applies in one transaction.",
							NULL,
							&feathub_batch_rows,
							100000, 1, 1000000,
							PGC_SIGHUP, 0,
							NULL, NULL, NULL);
	DefineCustomBoolVariable("feathub.embedded_broker",
							 "Runs the embedded broker, an in-memory stand-in for Kafka on loopback.",
							 "It is meant for demonstrations and tests and has no authentication.",
							 &feathub_embedded_broker,
							 false,
							 at_start, 0,
							 NULL, NULL, NULL);
	DefineCustomStringVariable("feathub.embedded_broker_topics",
							   "Lists the topics that the embedded broker makes, as \"name:partitions, ...\".",
							   NULL,
							   &feathub_embedded_broker_topics,
							   "",
							   PGC_SIGHUP, 0,
							   check_embedded_broker_topics, NULL, NULL);
	DefineCustomBoolVariable("feathub.enable_asof_join",
							 "Enables the planner's use of point-in-time join plans.",
							 "They replace lateral subqueries that take the latest row.",
							 &feathub_enable_asof_join,
							 true,
							 PGC_USERSET, GUC_EXPLAIN,
							 NULL, NULL, NULL);
	DefineCustomBoolVariable("feathub.enable_batched_lookup",
							 "Enables the planner's use of batched look-ups in joins with foreign tables.",
							 NULL,
							 &feathub_enable_batched_lookup,
							 true,
							 PGC_USERSET, 0,
							 NULL, NULL, NULL);
	DefineCustomIntVariable("feathub.file_memory",
							"Sets the maximum memory for reading or writing one avro or parquet file.",
							"It holds pages and dictionaries, a block, a row group that is being written.",
							&feathub_file_memory,
							256 * 1024, 1024, 16 * 1024 * 1024,
							PGC_USERSET, GUC_UNIT_KB,
							NULL, NULL, NULL);
	DefineCustomIntVariable("feathub.max_workers",
							"Sets the maximum number of job workers of all databases together.",
							"Each takes one of max_worker_processes.",
							&feathub_max_workers,
							32, 1, 1024,
							at_start, 0,
							NULL, NULL, NULL);
	DefineCustomIntVariable("feathub.missing_file_retention",
							"Sets how long jobs remember files that are gone.",
							"A file that comes back later is read again. -1 remembers them for ever.",
							&feathub_missing_file_retention,
							7 * 24 * 60 * 60, -1, INT_MAX,
							PGC_SIGHUP, GUC_UNIT_S,
							NULL, NULL, NULL);
	DefineCustomIntVariable("feathub.retry_delay",
							"Sets the time before a failed job is tried again for the first time.",
							"It doubles with every failure in a row.",
							&feathub_retry_delay,
							1000, 10, 60 * 60 * 1000,
							PGC_SIGHUP, GUC_UNIT_MS,
							NULL, NULL, NULL);
	DefineCustomIntVariable("feathub.retry_delay_max",
							"Sets the longest time before a failed job is tried again.",
							NULL,
							&feathub_retry_delay_max,
							60 * 1000, 10, 24 * 60 * 60 * 1000,
							PGC_SIGHUP, GUC_UNIT_MS,
							NULL, NULL, NULL);
	DefineCustomIntVariable("feathub.scheduler_interval",
							"Sets the time between a scheduler's looks at the jobs of its database.",
							"Changes of jobs wake it at once; this is for what goes unnoticed.",
							&feathub_scheduler_interval,
							10 * 1000, 100, 60 * 60 * 1000,
							PGC_SIGHUP, GUC_UNIT_MS,
							NULL, NULL, NULL);
	DefineCustomIntVariable("feathub.source_interval",
							"Sets the time between a worker's looks for new partitions and its lag.",
							NULL,
							&feathub_source_interval,
							5 * 1000, 100, 60 * 60 * 1000,
							PGC_SIGHUP, GUC_UNIT_MS,
							NULL, NULL, NULL);

	MarkGUCPrefixReserved("feathub");
}

static bool
check_allowed_folders(char **newval, void **extra, GucSource source)
{
	return FeathubFoldersCheckSetting(newval, extra, source);
}

/* Accept a comma-separated list of topics, each with a number of partitions or 1. */
static bool
check_embedded_broker_topics(char **newval, void **extra, GucSource source)
{
	const char *p = *newval;

	if (p == NULL)
		return true;
	p += strspn(p, " \t\n");
	while (*p != '\0')
	{
		size_t		len = strspn(p, "abcdefghijklmnopqrstuvwxyz"
								 "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-");

		if (len == 0 || len > 249)
		{
			GUC_check_errdetail("A topic's name has 1 to 249 letters, digits, points, underscores and hyphens.");
			return false;
		}
		p += len;
		if (*p == ':')
		{
			char	   *end;
			long		partitions = strtol(p + 1, &end, 10);

			if (end == p + 1 || partitions < 1 || partitions > MAX_EMBEDDED_PARTITIONS)
			{
				GUC_check_errdetail("The number of partitions must be between 1 and %d.",
									MAX_EMBEDDED_PARTITIONS);
				return false;
			}
			p = end;
		}
		p += strspn(p, " \t\n");
		if (*p == '\0')
			break;
		if (*p != ',')
		{
			GUC_check_errdetail("Topics are separated by commas.");
			return false;
		}
		p++;
		p += strspn(p, " \t\n");
	}
	return true;
}
