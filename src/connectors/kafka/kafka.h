/*
 * kafka.h
 *		What the files of the Kafka connector share.
 *
 * kafka_options.c	options and the allow-list of librdkafka properties
 * kafka_client.c	handles of the library: made, polled, waited for, destroyed;
 *					metadata and offsets; errors
 * kafka_row.c		messages to rows; headers to jsonb and back
 * kafka_scan.c		SELECT, with kafka_restrict.c and kafka_explain.c
 * kafka_reader.c	reads given offsets, for scans, ANALYZE and imports
 * kafka_modify.c	INSERT and COPY
 * kafka_producer.c producers kept between statements, transactions
 * kafka_import.c	IMPORT FOREIGN SCHEMA, ANALYZE
 * kafka_stream.c	jobs
 * kafka_broker.c	the embedded broker
 *
 * Threads.  The library runs threads of its own.  Its log and its events go to
 * queues that only our thread serves, in FeathubKafkaServe and
 * FeathubKafkaConsume, and callbacks do nothing but note what they were told:
 * errors are raised after the library's call has returned.
 *
 * Waiting.  No call into the library blocks longer than KAFKA_SLICE_MAX ms; in
 * between, interrupts are checked.  What cannot be reached within
 * connect_timeout is an error.
 */
#ifndef FEATHUB_KAFKA_KAFKA_H
#define FEATHUB_KAFKA_KAFKA_H

#include <librdkafka/rdkafka.h>

#include "connectors/connector.h"
#include "core/compat.h"
#include "utils/jsonb.h"

#define KAFKA_SLICE_MIN 100		/* ms: a library call's time-out, at first */
#define KAFKA_SLICE_MAX 900		/* ms: and when the broker answers slowly */

/* Options */

typedef enum KafkaIsolation
{
	KAFKA_READ_COMMITTED,
	KAFKA_READ_UNCOMMITTED
} KafkaIsolation;

typedef enum KafkaValueFields
{
	KAFKA_VALUE_ALL,			/* the value has the key's columns too */
	KAFKA_VALUE_EXCEPT_KEY
} KafkaValueFields;

typedef enum KafkaWriteMode
{
	KAFKA_WRITE_INSERT,
	KAFKA_WRITE_UPSERT			/* a message is the latest row of its key */
} KafkaWriteMode;

/* FeathubRelation.options of a Kafka table: all lists merged. */
typedef struct KafkaOptions
{
	/* server */
	char	   *bootstrap_servers;	/* or "embedded" */
	int			connect_timeout;	/* s */

	/* table */
	char	   *topic;			/* a topic, a list of them, or ^pattern */
	int			isolation_level;	/* KafkaIsolation */
	char	   *key_format;		/* or NULL: key is not decoded */
	int			value_fields;	/* KafkaValueFields */
	int			write_mode;		/* KafkaWriteMode */
	int			fetch_memory;	/* kB of messages fetched ahead */
	double		row_estimate;	/* what the planner expects, without ANALYZE */

	/* table, INSERT */
	int			batch_size;		/* rows a call of insert_rows may bring */
	bool		transactional;	/* COMMIT and ROLLBACK decide; of a job:
								 * exactly once */
	char	   *transactional_id;	/* or NULL: made up */
	char	   *positions_topic;	/* of jobs */
	int			produce_timeout;	/* s until a message that is not delivered
									 * is an error */
} KafkaOptions;

extern const FeathubOption FeathubKafkaOptions[];
extern const FeathubOption FeathubKafkaProperties[];	/* the allow-list */

/* A column's metadata option: what of the message it shows. */
typedef enum KafkaMetadata
{
	KAFKA_META_TOPIC,
	KAFKA_META_PARTITION,
	KAFKA_META_OFFSET,
	KAFKA_META_TIMESTAMP,
	KAFKA_META_TIMESTAMP_TYPE,
	KAFKA_META_KEY,
	KAFKA_META_HEADERS,
	KAFKA_META_COUNT
} KafkaMetadata;

/*
 * Where the columns of a table come from.  A column is in "metadata" (the
 * attnum by kind, 0: none), or in "value" and, if it has the option key and
 * the table a key_format, in "key" ("key" alone with value_fields except_key).
 * Dropped and generated columns are nowhere.
 */
typedef struct KafkaColumns
{
	int			nvalue;
	FeathubColumn *value;
	int			nkey;
	FeathubColumn *key;
	AttrNumber	metadata[KAFKA_META_COUNT];
	const FeathubFormat *key_format;	/* NULL: the key is not decoded */
	void	   *key_options;	/* of key_format */
} KafkaColumns;

/*
 * FeathubKafkaColumnsOf
 *		Sort the columns of a table; only "needed" ones unless it is NULL.
 *
 * needed is as FeathubScan.needed (offset by FirstLowInvalidHeapAttributeNumber;
 * a whole-row reference means all).
 */
extern void FeathubKafkaColumnsOf(FeathubRelation *rel, Bitmapset *needed,
								  KafkaColumns *columns);

/* FeathubConnector.key_columns, upserts */
extern List *FeathubKafkaKeyColumns(FeathubRelation *rel);
extern bool FeathubKafkaUpserts(FeathubRelation *rel);

/* FeathubConnector.find_property, check_relation */
extern const FeathubOption *FeathubKafkaFindProperty(const char *name, uint32 where);
extern void FeathubKafkaCheckRelation(FeathubRelation *rel);

/* The options of a server alone, for IMPORT FOREIGN SCHEMA. */
extern KafkaOptions *FeathubKafkaServerOptions(ForeignServer *server, UserMapping *user);

/* Is option "topic" a pattern, or does it name more than one topic? */
extern bool FeathubKafkaIsPattern(const char *topic);

/* May a topic have that name?  Such a name is ASCII. */
extern bool FeathubKafkaIsTopicName(const char *name);
/* The names in option "topic" (char *), if it is no pattern. */
extern List *FeathubKafkaTopicList(const char *topic);

/* Clients */

typedef struct KafkaClient KafkaClient;

struct KafkaClient
{
	rd_kafka_type_t type;
	const char *server;			/* the foreign server's name, for messages */
	const KafkaOptions *options;
	rd_kafka_conf_t *conf;		/* until FeathubKafkaClientStart */
	rd_kafka_t *rk;				/* from then on */
	rd_kafka_queue_t *main_queue;	/* log, errors, delivery reports */
	rd_kafka_queue_t *consumer_queue;	/* messages; NULL: a producer */
	int			wake_read;		/* becomes readable when a queue fills */
	int			wake_write;
	TimestampTz started;
	bool		connected;		/* some broker has answered */

	/* What callbacks noted, for messages */
	rd_kafka_resp_err_t last_error; /* of the last error event */
	char		last_reason[512];	/* the library's words for it */
	rd_kafka_resp_err_t fatal;	/* the handle cannot be used any more */
	rd_kafka_resp_err_t refused;	/* authentication or TLS failed */
	char		refused_reason[512];

	bool		all_down;		/* no broker could be reached at all */

	uint64		generation;		/* of the embedded broker; 0: another one */
	bool		keep_range_errors;	/* FeathubKafkaConsume returns messages with
									 * AUTO_OFFSET_RESET instead of raising it */
	MemoryContext context;		/* destroys it, when it is reset */
	void	   *opaque;			/* the user's own */
	void		(*release) (void *arg); /* or NULL: destroys messages that the
										 * user holds, before the client goes */
	void	   *release_arg;
};

/*
 * FeathubKafkaClientPrepare
 *		A client with the options, properties and defaults of a table, user and
 *		server, that has not been started.
 *
 * It is freed with "context" at the latest.  table_options may be NIL and
 * options those of FeathubKafkaServerOptions.  The library's opaque pointer is
 * the client.  Before FeathubKafkaClientStart more properties can be set with
 * FeathubKafkaClientSet, and delivery report callbacks in client->conf.
 *
 * Messages that were taken must be destroyed before the client: a user that
 * holds some sets client->release, or registers a reset callback of its own in
 * the same context after the client is made, so that it runs first.
 */
extern KafkaClient *FeathubKafkaClientPrepare(ForeignServer *server, UserMapping *user,
											  List *table_options,
											  const KafkaOptions *options,
											  rd_kafka_type_t type,
											  MemoryContext context);
extern KafkaClient *FeathubKafkaClientForRelation(FeathubRelation *rel,
												  rd_kafka_type_t type,
												  MemoryContext context);
extern void FeathubKafkaClientSet(KafkaClient *client, const char *name,
								  const char *value);

/*
 * Start it: client->rk is there afterwards.  Connects in the background.  A
 * consumer's messages come from client->consumer_queue; it has a group.id, so
 * rd_kafka_assign works.  Two clients in one process are fine.
 */
extern void FeathubKafkaClientStart(KafkaClient *client);

/*
 * Destroy it now, instead of with its context.  Messages, topics and queues
 * made from it must have been destroyed before.
 */
extern void FeathubKafkaClientClose(KafkaClient *client);

/* Has the process so many clients that one not in use had better be closed? */
extern bool FeathubKafkaManyClients(void);

/*
 * FeathubKafkaServe
 *		Run callbacks: log lines, errors, delivery reports.  Does not block.
 *
 * Raises an error for a fatal condition and for a refused authentication.
 */
extern void FeathubKafkaServe(KafkaClient *client);

/*
 * FeathubKafkaWait
 *		Sleep until a queue of the client has something, the process latch is
 *		set, or timeout milliseconds have passed.
 *
 * Returns WL_ bits as WaitLatchOrSocket.  The latch is not reset.  Serves the
 * client before, so that no event is missed; may wake up for nothing.
 */
extern int	FeathubKafkaWait(KafkaClient *client, long timeout);

/*
 * FeathubKafkaConsume
 *		Take up to max messages from the consumer queue without blocking.
 *
 * Messages without error and those with RD_KAFKA_RESP_ERR__PARTITION_EOF (err
 * set, payload meaningless, offset is the next one) are returned and must be
 * destroyed by the caller.  Passing trouble (a broker down, a leader change) is
 * swallowed, the library retries; other errors are raised, after the messages
 * of this call have been destroyed.
 */
extern int	FeathubKafkaConsume(KafkaClient *client, rd_kafka_message_t **messages,
								int max);

/*
 * FeathubKafkaCheckTimeout
 *		Raise an error if no broker has answered within connect_timeout.
 *
 * To be called while waiting for the first answer; "since" is when the wait
 * began.
 */
extern void FeathubKafkaCheckTimeout(KafkaClient *client, TimestampTz since,
									 const char *action);

/* Is this error passing trouble, which the library mends by itself? */
extern bool FeathubKafkaIsTransient(rd_kafka_resp_err_t err);

/*
 * FeathubKafkaError
 *		Turn the library's error into ereport(ERROR).
 *
 * action completes "could not ...": "fetch from", "write to".  topic may be
 * NULL, partition -1.  The message names server, topic, partition and the
 * library's reason (reason NULL: that of err), never a credential.
 */
pg_noreturn extern void FeathubKafkaError(KafkaClient *client, rd_kafka_resp_err_t err,
							  const char *reason, const char *action,
							  const char *topic, int32 partition);

/* Metadata and offsets: these wait for an answer, interruptibly */

typedef struct KafkaPartition
{
	char	   *topic;
	int32		partition;
	int64		low;			/* first offset */
	int64		high;			/* end: high watermark, or with read_committed
								 * the last stable offset */
} KafkaPartition;

/*
 * FeathubKafkaPartitions
 *		The partitions of all topics of option "topic", sorted by topic name
 *		and number; palloc'd.
 *
 * A topic that does not exist is an error (UNDEFINED_TABLE); a pattern without
 * a match gives none.  Internal topics match a pattern only by their own name's
 * first letters "__".  low and high are not filled.
 */
extern KafkaPartition *FeathubKafkaPartitions(KafkaClient *client, const char *topic,
											  int *npartitions);

/* Is there such a topic?  Asked by a consumer, the broker does not make it. */
extern bool FeathubKafkaTopicExists(KafkaClient *client, const char *topic);

/*
 * FeathubKafkaCreateTopic
 *		Make a topic with one partition; nothing happens if it is there already.
 *
 * config has nconfig names and values.  Returns when brokers know the topic.
 */
extern void FeathubKafkaCreateTopic(KafkaClient *client, const char *name,
									const char *const (*config)[2], int nconfig);

/* A setting of a topic, palloc'd; NULL if the broker does not tell us. */
extern char *FeathubKafkaTopicConfig(KafkaClient *client, const char *topic,
									 const char *name);

/* Names (char *) of all topics of the server, sorted, without internal ones. */
extern List *FeathubKafkaTopics(KafkaClient *client);

/* Fill low and high of the partitions, from their leaders. */
extern void FeathubKafkaWatermarks(KafkaClient *client, KafkaPartition *partitions,
								   int npartitions);

/*
 * FeathubKafkaOffsetsForTimes
 *		The first offset whose timestamp is at or after each time.
 *
 * times are milliseconds since 1970 by partition; results in offsets: -1 if
 * every message is older (the caller then takes the end), also from a broker
 * that does not know (the embedded one).
 */
extern void FeathubKafkaOffsetsForTimes(KafkaClient *client, KafkaPartition *partitions,
										int npartitions, const int64 *times,
										int64 *offsets);

/* Timestamps of the library (ms since 1970) and ours. */
extern TimestampTz FeathubKafkaTimestamp(int64 ms);
/* rounds up: the first ms not before t */
extern int64 FeathubKafkaMilliseconds(TimestampTz t);

/* Rows */

typedef struct KafkaRowDecoder KafkaRowDecoder;

/* Made in the current context; needed as in FeathubKafkaColumnsOf. */
extern KafkaRowDecoder *FeathubKafkaRowBegin(FeathubRelation *rel, Bitmapset *needed);

/*
 * FeathubKafkaRowDecode
 *		Values of all columns of rel->tupdesc from a message (isnull for those
 *		that are not needed).
 *
 * Returns false for a bad record, as FeathubFormat.decode.  By-reference values
 * are palloc'd in the current context or live as long as the decoder; the
 * message may be destroyed afterwards.  A message without value (tombstone)
 * fills only what comes from key and metadata.
 */
extern bool FeathubKafkaRowDecode(KafkaRowDecoder *decoder, rd_kafka_message_t *message,
								  Datum *values, bool *isnull,
								  FeathubDecodeError *error);

/* The same from the parts of a dead letter. */
extern bool FeathubKafkaRowDecodeStored(KafkaRowDecoder *decoder, const char *topic,
										int32 partition, const FeathubRecord *record,
										Datum headers, bool headers_isnull,
										Datum *values, bool *isnull,
										FeathubDecodeError *error);

/*
 * FeathubKafkaRowChange
 *		What the message just decoded does, and when, if the format is a
 *		changelog; else FEATHUB_CHANGE_UPSERT and DT_NOBEGIN.
 */
extern FeathubChange FeathubKafkaRowChange(const KafkaRowDecoder *decoder,
										   TimestampTz *change_time);

/*
 * Headers are a jsonb array of {"key": text, "value": text}, in order, since
 * keys may repeat; a value that is no text is {"base64": text}, none is null.
 * NULL if the message has no headers.  The way back also takes an object
 * {"key": "value", ...}; the caller owns the result.
 */
extern Jsonb *FeathubKafkaHeadersToJsonb(rd_kafka_message_t *message);
extern rd_kafka_headers_t *FeathubKafkaHeadersFromJsonb(Jsonb *jsonb);

/* The embedded broker */

/*
 * Its bootstrap address, palloc'd.  Waits a few seconds for one that is just
 * starting; an error with a hint if it is not switched on.
 */
extern char *FeathubKafkaEmbeddedAddress(void);

/*
 * Changes when the broker starts anew, on another port and empty; 0 while
 * there is none.
 */
extern uint64 FeathubKafkaEmbeddedGeneration(void);

/* FeathubConnector.init */
extern void FeathubKafkaBrokerInit(void);

/* Callbacks of FeathubConnector, by file */

/* kafka_scan.c, kafka_restrict.c, kafka_explain.c */
extern void FeathubKafkaEstimate(FeathubRelation *rel, PlannerInfo *root,
								 RelOptInfo *baserel, FeathubEstimate *estimate);
extern void FeathubKafkaPlanScan(FeathubRelation *rel, PlannerInfo *root,
								 RelOptInfo *baserel, List *clauses,
								 FeathubScanPlan *plan);
extern Bitmapset *FeathubKafkaLookupColumns(FeathubRelation *rel);
extern void FeathubKafkaBeginScan(FeathubScan *scan);
extern void FeathubKafkaRescan(FeathubScan *scan);
extern bool FeathubKafkaNextRow(FeathubScan *scan, TupleTableSlot *slot);
extern void FeathubKafkaEndScan(FeathubScan *scan);
extern void FeathubKafkaExplainScan(FeathubScan *scan, ExplainState *es);
extern Size FeathubKafkaParallelSize(FeathubScan *scan, ParallelContext *pcxt);
extern void FeathubKafkaBeginParallel(FeathubScan *scan, ParallelContext *pcxt, void *shared);
extern void FeathubKafkaRescanParallel(FeathubScan *scan, void *shared);
extern void FeathubKafkaJoinParallel(FeathubScan *scan, void *shared);

/* kafka_modify.c */
extern void FeathubKafkaBeginModify(FeathubModify *modify);
extern void FeathubKafkaInsertRows(FeathubModify *modify, TupleTableSlot **slots, int nslots);
extern void FeathubKafkaEndModify(FeathubModify *modify);
extern bool FeathubKafkaDeleteRow(FeathubModify *modify, Datum *key, bool *key_isnull);
extern void FeathubKafkaExplainModify(FeathubModify *modify, ExplainState *es);

/* kafka_position.c */
extern bool FeathubKafkaKeepsPositions(FeathubRelation *rel);
extern void FeathubKafkaLoadPositions(FeathubRelation *rel, const char *job, int worker,
									  FeathubSinkPosition *positions, int n);
extern void FeathubKafkaSavePositions(FeathubRelation *rel, const char *job,
									  const FeathubSinkPosition *positions, int n);

/* kafka_import.c */
extern const FeathubOption FeathubKafkaImportOptions[];
extern List *FeathubKafkaImportSchema(ForeignServer *server, UserMapping *user,
									  ImportForeignSchemaStmt *stmt);
extern int	FeathubKafkaSampleRows(FeathubRelation *rel, HeapTuple *rows, int targrows,
								   double *totalrows, double *totaldeadrows);

/* kafka_stream.c */
extern void FeathubKafkaOpenStream(FeathubStream *stream);
extern List *FeathubKafkaListPartitions(FeathubStream *stream);
extern void FeathubKafkaStartStream(FeathubStream *stream);
extern int	FeathubKafkaPoll(FeathubStream *stream, FeathubRecord *records, int max,
							 Size max_bytes, long timeout);
extern bool FeathubKafkaDecodeRecord(FeathubStream *stream, FeathubRecord *record,
									 Datum *values, bool *isnull,
									 FeathubDecodeError *error);
extern void FeathubKafkaReleaseRecords(FeathubStream *stream);
extern void FeathubKafkaCommitPositions(FeathubStream *stream);
extern void FeathubKafkaPartitionStatus(FeathubStream *stream);
extern void FeathubKafkaCloseStream(FeathubStream *stream);
extern char *FeathubKafkaSeekPosition(FeathubStream *stream, const char *name,
									  const char *target);
extern void FeathubKafkaDescribeRecord(FeathubStream *stream, const FeathubRecord *record,
									   StringInfo out);
extern Datum FeathubKafkaRecordHeaders(FeathubStream *stream, const FeathubRecord *record,
									   bool *isnull);
extern bool FeathubKafkaDecodeStored(FeathubStream *stream, const char *partition,
									 FeathubRecord *record, Datum headers,
									 bool headers_isnull, Datum *values,
									 bool *isnull, FeathubDecodeError *error);

#endif							/* FEATHUB_KAFKA_KAFKA_H */
