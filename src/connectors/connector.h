/*
 * connector.h
 *		What feathub needs to know about one kind of external system.
 *
 * A connector is one FeathubConnector: a table of callbacks.  What a system
 * cannot do, its table leaves NULL, and callers test a member for NULL, never a
 * name.  Callbacks run in a memory context that lives as long as the scan,
 * modification or stream, and fail with ereport.  None of them blocks for more
 * than a second without CHECK_FOR_INTERRUPTS.
 */
#ifndef FEATHUB_CONNECTORS_CONNECTOR_H
#define FEATHUB_CONNECTORS_CONNECTOR_H

#include "access/parallel.h"
#include "executor/tuptable.h"
#include "foreign/fdwapi.h"
#include "foreign/foreign.h"
#include "nodes/execnodes.h"
#include "nodes/pathnodes.h"

#include "core/compat.h"
#include "core/options.h"
#include "formats/format.h"

typedef struct FeathubConnector FeathubConnector;
typedef struct ExplainState ExplainState;	/* its header moved in 18 */

/* Options of servers and tables that mean the same to every connector. */
typedef struct FeathubCommonOptions
{
	bool		updatable;		/* INSERT, UPDATE and DELETE are allowed */
	bool		truncatable;	/* TRUNCATE is allowed */
} FeathubCommonOptions;

/*
 * A foreign table as its options describe it, resolved for one user: the same
 * description serves SELECT, INSERT and jobs.
 */
typedef struct FeathubRelation
{
	const FeathubConnector *connector;
	Oid			relid;
	char	   *relname;		/* for messages */
	ForeignTable *table;
	ForeignServer *server;
	UserMapping *user;			/* NULL if there is none and none is needed */
	Oid			userid;			/* whose mapping it is */
	TupleDesc	tupdesc;		/* a copy */
	void	   *options;		/* the connector's struct, all lists merged */
	const FeathubFormat *format;	/* NULL if the connector has no formats */
	void	   *format_options;
	List	  **column_options; /* by attnum - 1: the column's DefElems */
	FeathubCommonOptions common;
} FeathubRelation;

/* What the planner may expect of a scan. */
typedef struct FeathubEstimate
{
	double		rows;
	int			width;
	Cost		startup_cost;
	Cost		total_cost;
} FeathubEstimate;

/*
 * What RelOptInfo.fdw_private of a table of ours points to while a query is
 * planned; state is the connector's own.
 */
typedef struct FeathubPlanRel
{
	FeathubRelation *rel;
	FeathubEstimate estimate;
	void	   *state;
} FeathubPlanRel;

/*
 * A plan that a connector makes for a scan.  Clauses stay in local_clauses
 * (checked again here) unless the remote side answers them exactly.
 */
typedef struct FeathubScanPlan
{
	List	   *private;		/* copyable nodes, handed to begin_scan */
	List	   *params;			/* expressions evaluated at each (re)scan */
	List	   *local_clauses;	/* bare clauses to recheck */
	List	   *scan_tlist;		/* of plan_remote: what a row holds */
} FeathubScanPlan;

/* A scan that runs. */
typedef struct FeathubScan
{
	FeathubRelation *rel;
	List	   *private;		/* of the plan */
	List	   *params;			/* the plan's, for EXPLAIN */
	int			nparams;
	Datum	   *param_values;	/* of this rescan; the plan's params in order */
	bool	   *param_isnull;
	Bitmapset  *needed;			/* attnums needed, offset by
								 * FirstLowInvalidHeapAttributeNumber; never
								 * NULL, columns are listed one by one */
	int64		limit;			/* rows wanted at most, or -1 */
	TupleDesc	tupdesc;		/* of the rows: rel's, unless "remote" */
	bool		remote;			/* of plan_remote; "needed" is not set, and rel is
								 * one of the tables */
	MemoryContext context;		/* lives as long as the scan */
	MemoryContext row_context;	/* reset by the caller before each row */
	void	   *state;			/* the connector's own */
} FeathubScan;

/* Rows that one call of insert_rows brings, unless the connector says another. */
#define FEATHUB_MODIFY_BATCH_SIZE 100

/* A modification that runs: INSERT, COPY, UPDATE or DELETE. */
typedef struct FeathubModify
{
	FeathubRelation *rel;
	CmdType		operation;
	List	   *target_attrs;	/* attnums given, of INSERT and UPDATE */
	List	   *key_attrs;		/* attnums that name a row, of UPDATE and DELETE */
	bool		returning;		/* someone looks at the slots afterwards */
	int			batch_size;		/* rows a call of insert_rows may bring */
	bool		unasked;		/* of DELETE: nobody asks whether there was a row, so
								 * delete_row may return before it knows */
	bool		timed;			/* of DELETE: it counts as of deleted_at, in tables
								 * with an event time */
	TimestampTz deleted_at;
	MemoryContext context;
	MemoryContext row_context;	/* reset by the caller after each call */
	void	   *state;
} FeathubModify;

/*
 * How far a job has written a partition of its source into a sink, as the sink
 * itself keeps it: the last batch there, and what of it was not written.
 */
typedef struct FeathubSinkPosition
{
	const char *partition;
	char	   *from;			/* the batch's begin and end; NULL: nothing kept */
	char	   *next;
	int64		epoch;			/* of the job then */
	char	   *refused;		/* sequence numbers of records that became dead
								 * letters, joined by commas, or NULL */
} FeathubSinkPosition;

/*
 * Look-ups by key that run: a join asks for the rows of many outer keys at once.
 * Key columns are compared by equality; the remote side may find too much (the
 * join checks again), never too little.
 */
typedef struct FeathubLookup
{
	FeathubRelation *rel;
	List	   *private;		/* of plan_lookup */
	int			nparams;
	Datum	   *param_values;	/* of the plan's params, before each send_keys */
	bool	   *param_isnull;
	int			nkeys;			/* columns of a key */
	AttrNumber *key_attrs;
	Bitmapset  *needed;			/* attnums, as in FeathubScan; the key's too */
	MemoryContext context;		/* lives as long as the join */
	MemoryContext batch_context;	/* reset by the caller before each send_keys */
	MemoryContext row_context;	/* reset by the caller before each next_found */
	void	   *state;			/* the connector's own */
} FeathubLookup;

/*
 * A record as it comes from a stream, before it is decoded.  All pointers stay
 * valid until the stream's next release_records.
 */
typedef struct FeathubRecord
{
	int			partition;		/* index into the stream's partitions */
	int64		sequence;		/* number within its partition (Kafka offset),
								 * increasing */
	const char *key;			/* NULL if there is none */
	Size		key_len;
	const char *value;			/* NULL: a deletion (tombstone); see record_value */
	Size		value_len;
	TimestampTz timestamp;		/* of the record in its source; DT_NOBEGIN:
								 * none */
	void	   *raw;			/* the connector's own handle */

	/*
	 * Set by decode_record and decode_stored where the format is a changelog;
	 * without one, a record without value is a deletion at its timestamp.
	 */
	FeathubChange change;
	TimestampTz change_time;	/* or DT_NOBEGIN */
} FeathubRecord;

/* One of a stream's partitions; the caller and the connector both keep it. */
typedef struct FeathubStreamPartition
{
	char	   *name;			/* "weather-0": names it in job_position */
	char	   *position;		/* up to which all is applied, or NULL: new */
	char	   *mark;			/* what the connector stored with the position
								 * to recognise a source made again, or NULL */
	/* Set by poll for the records handed out: what to store if they apply. */
	char	   *next_position;	/* NULL: nothing new */
	char	   *next_mark;
	/* Set by partition_status; -1 and DT_NOBEGIN where unknown. */
	char	   *end_position;	/* of the source now, or NULL */
	int64		lag;			/* records behind the end */
	/* Set by start_stream and poll, added to; the caller sets it to 0 again. */
	int64		gap;			/* records that retention took before us */
	void	   *state;			/* the connector's own */
} FeathubStreamPartition;

/* A source that a job follows. */
typedef struct FeathubStream
{
	FeathubRelation *rel;
	const char *job_name;		/* names the consumer group, client id */
	const char *start;			/* of partitions without position: 'earliest',
								 * 'latest' or an ISO 8601 time */
	bool		read_metadata_only; /* no records wanted: for status, rewind */
	bool		skip_gaps;		/* go on behind records that retention took,
								 * counted in gap, instead of an error */
	bool		partitions_changed; /* poll has learnt that list_partitions has
									 * others to tell */
	int			npartitions;
	FeathubStreamPartition *partitions; /* those that start_stream was given */

	/* Of a source with a summary_partition */
	bool		(*is_mine) (const char *name);	/* does this worker follow it? */
	bool		list_all;		/* list_partitions: as for read_metadata_only */
	List	   *finished;		/* what list_partitions has found, of names: */
	List	   *missing;		/* see there */
	List	   *found;

	MemoryContext context;		/* lives as long as the stream */
	void	   *state;
} FeathubStream;

struct FeathubConnector
{
	const char *name;			/* "kafka": the wrapper is feathub_kafka */
	const FeathubOption *options;
	size_t		options_size;	/* of the struct that "offset" points into */
	bool		has_formats;	/* table option "format" names a format */
	bool		has_registry;	/* servers may name a schema registry */
	const char *default_format; /* or NULL: the option is required */
	bool		needs_user_mapping; /* an error without one */
	bool		sees_own_writes;	/* a scan under way may find rows that its
									 * own statement has written */

	/*
	 * Properties of the system's client library that may be given by their own
	 * names beside the options.  Returns an entry that describes the property
	 * (its offset is not used) or NULL if it is unknown; raises an error if it
	 * is known but not allowed, with the reason.  Optional.
	 */
	const FeathubOption *(*find_property) (const char *name, uint32 where);
	const FeathubOption *properties;	/* those allowed, for hints; or NULL */

	/*
	 * Refuse options that do not fit together, once all lists are merged.
	 * Called when a FeathubRelation is made.  Optional.
	 */
	void		(*check_relation) (FeathubRelation *rel);

	/*
	 * Planning.  No network call here.  estimate fills *estimate for the base
	 * relation; plan_scan chooses what the remote side is asked.  parallel_safe
	 * says that begin_parallel and its family are there.
	 */
	void		(*estimate) (FeathubRelation *rel, PlannerInfo *root,
							 RelOptInfo *baserel, FeathubEstimate *estimate);
	void		(*plan_scan) (FeathubRelation *rel, PlannerInfo *root,
							  RelOptInfo *baserel, List *clauses,
							  FeathubScanPlan *plan);

	/*
	 * The columns (attnums) for which a value known from the other side of a
	 * join saves remote work: nested loops that pass it as a parameter are then
	 * considered, and plan_scan gets the join's clauses.  Optional.
	 */
	Bitmapset  *(*lookup_columns) (FeathubRelation *rel);

	/*
	 * Do these clauses, of the join and of the table alone, save that work?  For
	 * connectors that need more than any one of lookup_columns.  Optional.
	 */
	bool		(*lookup_saves) (FeathubRelation *rel, PlannerInfo *root,
								 RelOptInfo *baserel, List *clauses);

	/*
	 * More than one table's scan: all or none.  get_join_paths and
	 * get_upper_paths are called as the FdwRoutine's own, for relations all
	 * tables of which are on one server and read as one role; they set
	 * fdw_private of the join or upper relation (a FeathubPlanRel) if they add a
	 * path to it.  plan_remote fills the plan of such a path; it leaves no
	 * clause to be checked here.  Not called for statements that lock rows or
	 * write.  plan_direct plans an UPDATE or DELETE that the remote side carries
	 * out whole, if it can; run_direct does it and returns the number of rows.
	 */
	void		(*get_join_paths) (PlannerInfo *root, RelOptInfo *joinrel,
								   RelOptInfo *outerrel, RelOptInfo *innerrel,
								   JoinType jointype, JoinPathExtraData *extra);
	void		(*get_upper_paths) (PlannerInfo *root, UpperRelationKind stage,
									RelOptInfo *input_rel, RelOptInfo *output_rel,
									void *extra);
	void		(*plan_remote) (PlannerInfo *root, RelOptInfo *rel, ForeignPath *path,
								FeathubScanPlan *plan);
	bool		(*plan_direct) (FeathubRelation *rel, PlannerInfo *root, CmdType operation,
								Index rtindex, List *clauses, List *attnums,
								List *values, FeathubScanPlan *plan);
	uint64		(*run_direct) (FeathubScan *scan);

	/*
	 * Batched look-ups: all or none; they need lookup_columns.  plan_lookup is
	 * asked whether rows can be found by equality on these columns (attnums);
	 * clauses are the table's own restrictions, all of which the join checks
	 * again unless plan_lookup takes them out of plan->local_clauses, which is
	 * set to them before.  It returns false if it cannot, also for a type whose
	 * equal values the remote side may take for different ones (numeric 1.0 and
	 * 1.00, citext); else it fills plan and, by what it knows, max_keys (keys
	 * asked for at a time, 1,000 unless changed).  No network call.
	 *
	 * send_keys is given nrows keys of nkeys values each, of the columns' types,
	 * none of them NULL and no two alike; they stay valid until the next call.
	 * next_found then returns the rows found, in any order, until it returns
	 * false; row_context is current.  The next send_keys and end_lookup may come
	 * before that: nobody wants the rest then.  begin_lookup and end_lookup are
	 * as begin_scan and end_scan, explain_lookup as explain_scan.  A round trip
	 * is taken to cost the startup_cost of estimate.
	 */
	bool		(*plan_lookup) (FeathubRelation *rel, PlannerInfo *root,
								RelOptInfo *baserel, List *attnums, List *clauses,
								FeathubScanPlan *plan, int *max_keys);
	void		(*begin_lookup) (FeathubLookup *lookup);
	void		(*send_keys) (FeathubLookup *lookup, int nrows, Datum *values);
	bool		(*next_found) (FeathubLookup *lookup, TupleTableSlot *slot);
	void		(*end_lookup) (FeathubLookup *lookup);
	void		(*explain_lookup) (FeathubLookup *lookup, ExplainState *es);

	/*
	 * Scanning: required.  begin_scan makes state only; it may connect, but
	 * fetches nothing: params have no values yet.  rescan is called before the
	 * first row too, with the params evaluated, and starts again from nothing.
	 * next_row fills tts_values and tts_isnull of the (virtual) slot and
	 * returns true, or returns false at the end; row_context is current.
	 * end_scan also runs when begin_scan alone did; after an error it does not
	 * run at all, so handles are freed by a reset callback of scan->context.
	 */
	void		(*begin_scan) (FeathubScan *scan);
	void		(*rescan) (FeathubScan *scan);
	bool		(*next_row) (FeathubScan *scan, TupleTableSlot *slot);
	void		(*end_scan) (FeathubScan *scan);

	/*
	 * Adds properties to EXPLAIN.  scan->state is NULL if the statement is not
	 * run (EXPLAIN without ANALYZE): then only the plan is shown.
	 */
	void		(*explain_scan) (FeathubScan *scan, ExplainState *es);

	/* Parallel scan: all or none.  Called as the FdwRoutine's own. */
	Size		(*parallel_size) (FeathubScan *scan, ParallelContext *pcxt);
	void		(*begin_parallel) (FeathubScan *scan, ParallelContext *pcxt, void *shared);
	void		(*rescan_parallel) (FeathubScan *scan, void *shared);
	void		(*join_parallel) (FeathubScan *scan, void *shared);
	/* The shared memory goes: keep of it what EXPLAIN shows.  Optional. */
	void		(*shutdown_scan) (FeathubScan *scan);

	/*
	 * Modification.  insert_rows sends rows (slots are materialised as needed);
	 * end_modify does not return before the remote side has confirmed all.
	 * After an error only reset callbacks of modify->context run.
	 */
	void		(*begin_modify) (FeathubModify *modify);
	void		(*insert_rows) (FeathubModify *modify, TupleTableSlot **slots, int nslots);
	void		(*end_modify) (FeathubModify *modify);

	/*
	 * UPDATE and DELETE: rows are named by the values that their key columns
	 * had when they were read.  key_columns returns the attnums of a key as a
	 * list of int, NIL if the table has none (then both are refused with a
	 * hint at column option "key"); NULL: the columns with option key 'true'.
	 * update_row is given the whole new row and the old key in the order of
	 * modify->key_attrs, and writes the columns in modify->target_attrs; both
	 * return false if there is no such row any more.  More than one row hit is
	 * an error.  A change of a key column is an error or is done atomically.
	 */
	List	   *(*key_columns) (FeathubRelation *rel);
	bool		(*update_row) (FeathubModify *modify, TupleTableSlot *slot,
							   Datum *key, bool *key_isnull);
	bool		(*delete_row) (FeathubModify *modify, Datum *key, bool *key_isnull);

	/*
	 * Do rows written to the table replace those of the same key?  NULL: never,
	 * they are added.
	 */
	bool		(*upserts) (FeathubRelation *rel);

	/*
	 * The attnum of the column whose time guards the rows, or 0: a row never
	 * replaces one that is newer.  Of rows of the same time the one that is
	 * written last stays, but a deletion goes before a row of its time.  NULL:
	 * no table has one.
	 */
	AttrNumber	(*event_time) (FeathubRelation *rel);

	/*
	 * Positions kept in the sink, by which a job writes exactly once: both or
	 * neither.  keeps_positions says whether this table's sink does so, by its
	 * options (NULL: always).  "job" names the job among all that write there.  save_positions
	 * is called after a batch's rows and notes what became of it, in the remote
	 * transaction of the rows.  load_positions is called in a transaction before
	 * a worker's first batch; it makes what save_positions needs and fills what
	 * was noted last for each partition.  "worker" is the worker's number among
	 * those of the job: what it left unfinished, its successor may take back.
	 */
	bool		(*keeps_positions) (FeathubRelation *rel);
	bool		no_savepoints;	/* what a subtransaction wrote stays until the whole is rolled back */
	void		(*load_positions) (FeathubRelation *rel, const char *job, int worker,
								   FeathubSinkPosition *positions, int n);
	void		(*save_positions) (FeathubRelation *rel, const char *job,
								   const FeathubSinkPosition *positions, int n);

	/* TRUNCATE of tables (FeathubRelation *) of one server.  Optional. */
	void		(*truncate) (List *rels, DropBehavior behavior, bool restart_seqs);
	void		(*explain_modify) (FeathubModify *modify, ExplainState *es);

	/*
	 * IMPORT FOREIGN SCHEMA: returns CREATE FOREIGN TABLE statements.  Limits
	 * are applied by the caller again.  import_options describes its OPTIONS.
	 */
	const FeathubOption *import_options;
	List	   *(*import_schema) (ForeignServer *server, UserMapping *user,
								  ImportForeignSchemaStmt *stmt);

	/*
	 * ANALYZE: fills up to targrows sample rows; returns how many, and the
	 * totals.  Optional.
	 */
	int			(*sample_rows) (FeathubRelation *rel, HeapTuple *rows, int targrows,
								double *totalrows, double *totaldeadrows);

	/*
	 * Streaming: all or none.  open_stream fills stream->state for stream->rel;
	 * it is the one of these callbacks that runs in a transaction, so whatever
	 * the catalog has to say is looked up here, and it waits for nothing.  The
	 * other callbacks run outside transactions too.  list_partitions returns the names (char *) of
	 * all partitions that the source has now.  start_stream takes the
	 * partitions to follow, in stream->partitions, and fills the position of
	 * those that have none from stream->start; it raises an error that names
	 * the partition if a position is not to be had any more or the source was
	 * made again, with OBJECT_NOT_IN_PREREQUISITE_STATE: the job fails, instead
	 * of being tried again.  It may be called again with other partitions.
	 *
	 * poll fills up to max records, waits at most timeout milliseconds for the
	 * first, returns as soon as it has some and no more are at hand, and
	 * returns early with 0 when the process latch is set.  max_bytes bounds
	 * keys and values together (at least one record is returned).  Records of
	 * one partition come in order.  It keeps next_position and next_mark of
	 * each partition up to date with all records handed out since the last
	 * release_records, plus gaps (transaction markers, compacted records)
	 * behind the last of them.
	 *
	 * A source with very many partitions that have an end, such as files, does
	 * not list them all: it has a summary_partition, which stands for the whole,
	 * is always listed and never moves, know_position and forget_partition.  A
	 * worker calls know_position for each position of its share that is stored,
	 * before it first asks for partitions; who reads metadata only may, to save
	 * seek_position looking for an end behind it.  list_partitions returns those that
	 * there is something to do for (is_mine says which are the worker's), and
	 * fills three lists of names: finished, which had been listed or were known
	 * not to be put away, and are read to their end; missing, of those put away,
	 * which the source has no longer, and found, which it has again.
	 * forget_partition lets go of one that is missing; false if it is not.
	 *
	 * decode_record fills values and isnull (by attnum - 1, all columns of
	 * rel->tupdesc) from one record and its metadata; as FeathubFormat.decode
	 * it returns false for a bad record, and by-reference values are palloc'd
	 * in the current context or point into the record.  A record without value
	 * (tombstone) fills the columns that come from key and metadata, the
	 * others are NULL.
	 *
	 * release_records frees all records handed out; the caller then sets
	 * next_position and next_mark of all partitions to NULL.  commit_positions tells
	 * the system how far the job has come, for its own tools; it never fails.
	 * partition_status fills end_position and lag of every partition, from what
	 * the client knows already or with a short call.
	 *
	 * follows says whether a job can follow this table, by its options (rel is
	 * of FeathubRelationDescribe); NULL: all tables of the system.
	 * streams_deletions says, likewise, whether its records tell which rows are
	 * gone, if that is not a matter of their format; NULL: no.
	 */
	bool		(*follows) (FeathubRelation *rel);
	bool		(*streams_deletions) (FeathubRelation *rel);
	/* The partitions of files and the like: see below. */
	const char *summary_partition;
	void		(*know_position) (FeathubStream *stream, const char *name, const char *position,
								  const char *mark, bool finished, bool missing);
	bool		(*forget_partition) (FeathubStream *stream, const char *name);
	void		(*open_stream) (FeathubStream *stream);
	List	   *(*list_partitions) (FeathubStream *stream);
	void		(*start_stream) (FeathubStream *stream);
	int			(*poll) (FeathubStream *stream, FeathubRecord *records, int max,
						 Size max_bytes, long timeout);
	bool		(*decode_record) (FeathubStream *stream, FeathubRecord *record,
								  Datum *values, bool *isnull,
								  FeathubDecodeError *error);
	void		(*release_records) (FeathubStream *stream);
	void		(*commit_positions) (FeathubStream *stream);
	void		(*partition_status) (FeathubStream *stream);
	void		(*close_stream) (FeathubStream *stream);

	/*
	 * Positions.  seek_position returns, for rewind, the position of partition
	 * "name" for a target: 'earliest', 'latest', a position in the system's own
	 * notation or an ISO 8601 time; an error if it is none of them.
	 * compare_positions orders two positions of one partition.  describe_record
	 * appends where a record is: topic "clicks" partition 3 offset 81122.
	 * record_headers returns the record's headers as jsonb (or 0 if none), for
	 * dead letters.
	 */
	char	   *(*seek_position) (FeathubStream *stream, const char *name, const char *target);
	int			(*compare_positions) (const char *a, const char *b);

	/*
	 * The position just before a record, palloc'd.  NULL: its sequence in
	 * decimal.  For sources where a record that was read can get another number
	 * when it is read again.
	 */
	char	   *(*record_position) (FeathubStream *stream, const FeathubRecord *record);

	/*
	 * With record_position: what tells a record from the others of its partition,
	 * the same whenever it is read; palloc'd.
	 */
	char	   *(*record_identity) (FeathubStream *stream, const FeathubRecord *record);
	void		(*describe_record) (FeathubStream *stream, const FeathubRecord *record,
									StringInfo out);
	Datum		(*record_headers) (FeathubStream *stream, const FeathubRecord *record,
								   bool *isnull);

	/*
	 * Make value and value_len of a record, palloc'd, for a dead letter.
	 * Optional: for sources whose records are rows rather than bytes; poll leaves
	 * value "" then, which counts for max_bytes with the row's size.
	 */
	void		(*record_value) (FeathubStream *stream, FeathubRecord *record);

	/*
	 * Decode a record kept as a dead letter, from its raw parts.  headers is
	 * jsonb.  partition is the name in job_position.
	 */
	bool		(*decode_stored) (FeathubStream *stream, const char *partition,
								  FeathubRecord *record, Datum headers,
								  bool headers_isnull, Datum *values,
								  bool *isnull, FeathubDecodeError *error);

	/* Called once from _PG_init: shared memory, hooks, workers.  Optional. */
	void		(*init) (void);
};

/* registry.c: all connectors, in alphabetical order, ends with NULL. */
extern const FeathubConnector *const FeathubConnectors[];

/* Calls every connector's init.  From _PG_init. */
extern void FeathubConnectorsInit(void);

/* The connector of a wrapper by its name "feathub_...", or an error. */
extern const FeathubConnector *FeathubConnectorByWrapper(const char *fdwname);

/* The connector of a foreign table's, or NULL if it is not one of ours. */
extern const FeathubConnector *FeathubConnectorOfTable(Oid relid);

/* The same, if a job can follow the table; else NULL. */
extern const FeathubConnector *FeathubConnectorOfSource(Oid relid);

/*
 * FeathubRelationOpen
 *		Resolve a foreign table's options for a user.
 *
 * The caller holds a lock on the table.  Everything is palloc'd in the current
 * context.  Errors: FDW_OPTION_NAME_NOT_FOUND for a missing option, an
 * UNDEFINED_OBJECT for a missing user mapping where the system needs one.
 * File options are checked against pg_read_server_files for the table's owner.
 */
extern FeathubRelation *FeathubRelationOpen(Oid relid, Oid userid);

/*
 * FeathubRelationDescribe
 *		What a foreign table's options say, for a look that uses nobody's rights.
 *
 * As FeathubRelationOpen, but without a user mapping and without the checks
 * that could raise an error: nothing can be asked of the remote side with it.
 */
extern FeathubRelation *FeathubRelationDescribe(Oid relid);

/*
 * FeathubRelationKeyColumns
 *		The attnums (list of int) of the columns that name a row, or NIL.
 *
 * The connector's own answer, else the columns with option key 'true'.
 */
extern List *FeathubRelationKeyColumns(FeathubRelation *rel);

/*
 * FeathubConnectorUpsertKey
 *		The names (char *) of the columns by which rows written to a foreign
 *		table replace others; NIL if they are added, or if it is none of ours.
 *		*deletes says whether rows can be deleted by them.
 */
extern List *FeathubConnectorUpsertKey(Oid relid, bool *deletes);

/*
 * FeathubConnectorFindOption
 *		The entry for an option as a user may give it: of the connector, common
 *		to connectors ("format"), of one of the formats or a property of the
 *		client library.  NULL if nobody knows it at "where".
 */
extern const FeathubOption *FeathubConnectorFindOption(const FeathubConnector *connector,
													   List *formats,
													   uint32 where, const char *name);

/*
 * FeathubConnectorFormats
 *		The formats (const FeathubFormat *) that a table's options name: that of
 *		its records first, then those of connector options called ..._format.
 *		NIL if there is none.
 */
extern List *FeathubConnectorFormats(const FeathubConnector *connector,
									 List *table_options);

/*
 * FeathubConnectorCheckFiles
 *		Raise INSUFFICIENT_PRIVILEGE if an option of the list makes the server
 *		read a file and the role may not (pg_read_server_files).
 */
extern void FeathubConnectorCheckFiles(const FeathubConnector *connector,
									   uint32 where, List *deflist, Oid roleid);

/* The same for a server and a user mapping, each for the role that answers for it. */
extern void FeathubConnectorCheckServerFiles(const FeathubConnector *connector,
											 ForeignServer *server, UserMapping *user);

/*
 * What carries the bytes of a table's records, palloc'd, for
 * FeathubFormatParseOptions; is_key: those of the messages' keys.
 */
extern FeathubCarrier *FeathubRelationCarrier(FeathubRelation *rel, bool is_key);

/* Options of every connector that has formats: "format". */
extern const FeathubOption FeathubFormatOption[];

/*
 * FeathubConnectorCommonOptions
 *		The options of all connectors that this one can do something about: a
 *		table as any other, palloc'd.
 */
extern const FeathubOption *FeathubConnectorCommonOptions(const FeathubConnector *connector);

/* The user's mapping or the public one, or NULL if there is none. */
extern UserMapping *FeathubUserMapping(Oid userid, Oid serverid);

/* compare_positions of systems whose positions are numbers. */
extern int	FeathubComparePositionNumbers(const char *a, const char *b);

/* The column's DefElem value of that name, or NULL. */
extern const char *FeathubRelationColumnOption(FeathubRelation *rel, AttrNumber attnum,
											   const char *name);

#endif							/* FEATHUB_CONNECTORS_CONNECTOR_H */
