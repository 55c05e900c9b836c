/*
 * redis.h
 *		The Redis connector: what its files share.
 */
#ifndef FEATHUB_CONNECTORS_REDIS_REDIS_H
#define FEATHUB_CONNECTORS_REDIS_REDIS_H

#include "connectors/connector.h"
#include "connectors/redis/redis_row.h"

/* Restrictions: redis_restrict.c */

/* What a scan was found to be restricted to; as a List in the plan. */
typedef struct RedisRestriction
{
	/* by key column: number of the parameter, or -1 */
	int		   *equal;			/* column = parameter */
	int		   *any;			/* column = ANY (parameter) */
	Oid		   *types;			/* of the parameter, or of its elements */
	bool		all_keys;		/* each key column has one of both */
	/* scores, times and ids of elements */
	List	   *bounds;			/* of lists of int: strategy, parameter, place */
} RedisRestriction;

/*
 * FeathubRedisRestrictPlan
 *		Find what clauses say about keys, scores and times.
 *
 * Returns copyable nodes for FeathubRedisRestrictRead; expressions for the
 * executor are appended to *params.  All clauses must be checked again.
 */
extern List *FeathubRedisRestrictPlan(RedisTable *table, PlannerInfo *root,
									  RelOptInfo *baserel, List *clauses, List **params);
extern RedisRestriction *FeathubRedisRestrictRead(RedisTable *table, List *tree);

/* Of the columns whose values find rows: the planner's lookup_columns. */
extern Bitmapset *FeathubRedisLookupColumns(FeathubRelation *rel);

/* Do clauses name keys?  With less every scan goes over all keys there are. */
extern bool FeathubRedisLookupSaves(FeathubRelation *rel, PlannerInfo *root,
									RelOptInfo *baserel, List *clauses);

/* Does equality on the column mean that bytes are the same?  What keys need. */
extern bool FeathubRedisIsKeyType(Oid typid, Oid collation);

/* Keys that a restriction allows, or bytes known of every key. */
typedef struct RedisKeys
{
	bool		none;			/* no row can meet the restriction */
	bool		direct;			/* keys are known */
	StringInfoData data;
	int			nkeys;
	int			maxkeys;
	RedisBytes *keys;			/* offsets into data, by data pointer last */
	RedisBytes *known;			/* by key column; data NULL: not known */
	RedisRange	range;
} RedisKeys;

/* Evaluate a restriction.  In the current context. */
extern void FeathubRedisRestrictEvaluate(RedisTable *table, RedisRestriction *restriction,
										 const Datum *values, const bool *isnull,
										 RedisKeys *keys);

/* What EXPLAIN shows of it. */
extern char *FeathubRedisRestrictDescribe(RedisTable *table, RedisRestriction *restriction);

/* Scanning: redis_source.c gives keys, redis_scan.c rows */

typedef struct RedisSource RedisSource;

/* Keys of a whole table; made in the current context. */
extern RedisSource *FeathubRedisSourceMake(RedisTable *table, RedisClient *client);
extern void FeathubRedisSourceStart(RedisSource *source, const RedisBytes *known);

/*
 * Add at most max keys to a window.  Waits for the server as long as it has no
 * key at all.  False: there are no more.
 */
extern bool FeathubRedisSourceFill(RedisSource *source, RedisWindow *window, int max);

/* The next key, for those who want no rows; false at the end. */
extern bool FeathubRedisSourceNext(RedisSource *source, const char **key, Size *len);
extern int64 FeathubRedisSourceTrips(RedisSource *source);

/* Callbacks of FeathubConnector, by file */

/* redis_plan.c */
extern void FeathubRedisEstimate(FeathubRelation *rel, PlannerInfo *root,
								 RelOptInfo *baserel, FeathubEstimate *estimate);
extern void FeathubRedisPlanScan(FeathubRelation *rel, PlannerInfo *root,
								 RelOptInfo *baserel, List *clauses, FeathubScanPlan *plan);
extern void FeathubRedisExplainScan(FeathubScan *scan, ExplainState *es);
extern void FeathubRedisExplainModify(FeathubModify *modify, ExplainState *es);
extern void FeathubRedisExplainLookup(FeathubLookup *lookup, ExplainState *es);

/* redis_scan.c */
typedef struct RedisScanState
{
	RedisTable *table;
	RedisReader *reader;
	RedisRestriction *restriction;
	RedisSource *source;		/* NULL: never scanned */
	RedisWindow *windows[2];	/* one gives rows, the other is under way */
	int			current;
	bool		pending;		/* the other one has been sent */
	bool		source_done;
	RedisKeys	keys;			/* of this rescan */
	int			next_key;		/* of keys, if they are direct */
	MemoryContext scan_context; /* reset by a rescan */
	MemoryContext key_context;	/* of keys */
	bool		scanned;		/* rescan was called */
} RedisScanState;

extern void FeathubRedisBeginScan(FeathubScan *scan);
extern void FeathubRedisRescan(FeathubScan *scan);
extern bool FeathubRedisNextRow(FeathubScan *scan, TupleTableSlot *slot);
extern void FeathubRedisEndScan(FeathubScan *scan);

/* redis_lookup.c */
extern bool FeathubRedisPlanLookup(FeathubRelation *rel, PlannerInfo *root,
								   RelOptInfo *baserel, List *attnums, List *clauses,
								   FeathubScanPlan *plan, int *max_keys);
extern void FeathubRedisBeginLookup(FeathubLookup *lookup);
extern void FeathubRedisSendKeys(FeathubLookup *lookup, int nrows, Datum *values);
extern bool FeathubRedisNextFound(FeathubLookup *lookup, TupleTableSlot *slot);
extern void FeathubRedisEndLookup(FeathubLookup *lookup);

/* redis_modify.c */
extern void FeathubRedisBeginModify(FeathubModify *modify);
extern void FeathubRedisInsertRows(FeathubModify *modify, TupleTableSlot **slots, int nslots);
extern void FeathubRedisEndModify(FeathubModify *modify);
extern List *FeathubRedisKeyColumns(FeathubRelation *rel);
extern bool FeathubRedisUpserts(FeathubRelation *rel);
extern AttrNumber FeathubRedisEventTime(FeathubRelation *rel);
extern bool FeathubRedisUpdateRow(FeathubModify *modify, TupleTableSlot *slot,
								  Datum *key, bool *key_isnull);
extern bool FeathubRedisDeleteRow(FeathubModify *modify, Datum *key, bool *key_isnull);

/* redis_maintain.c */
extern void FeathubRedisTruncate(List *rels, DropBehavior behavior, bool restart_seqs);
extern int	FeathubRedisSampleRows(FeathubRelation *rel, HeapTuple *rows, int targrows,
								   double *totalrows, double *totaldeadrows);

/* redis_import.c */
extern List *FeathubRedisImportSchema(ForeignServer *server, UserMapping *user,
									  ImportForeignSchemaStmt *stmt);

#endif							/* FEATHUB_CONNECTORS_REDIS_REDIS_H */
