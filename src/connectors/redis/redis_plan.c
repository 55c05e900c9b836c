/*
 * redis_plan.c
 *		What the planner is told, and what EXPLAIN shows.  No network call.
 */
#include "postgres.h"

#include "nodes/nodeFuncs.h"
#include "nodes/value.h"
#include "optimizer/clauses.h"
#include "optimizer/cost.h"
#include "optimizer/optimizer.h"
#include "utils/array.h"
#include "utils/lsyscache.h"

#include "connectors/redis/redis.h"
#include "core/compat.h"

/* A round trip, in the planner's units. */
#define STARTUP_COST	25.0

/* Elements of an array that is not known yet. */
#define DEFAULT_LENGTH	10

static double direct_keys(RedisTable *table, RedisRestriction *restriction, List *params);
static void explain_key(RedisTable *table, ExplainState *es);

/*
 * FeathubConnector.estimate: what ANALYZE found, or option row_estimate.  With
 * all keys known it is these that are read, without one the whole table.
 */
void
FeathubRedisEstimate(FeathubRelation *rel, PlannerInfo *root, RelOptInfo *baserel,
					 FeathubEstimate *estimate)
{
	RedisOptions *options = rel->options;
	RedisTable *table = FeathubRedisTableMake(rel);
	RedisRestriction *restriction;
	List	   *params = NIL;
	List	   *tree;
	double		fetched;
	double		selectivity;

	if (baserel->tuples < 0)
		baserel->tuples = options->singleton_key && !table->element_rows ? 1 :
			options->row_estimate;
	tree = FeathubRedisRestrictPlan(table, root, baserel, baserel->baserestrictinfo, &params);
	restriction = FeathubRedisRestrictRead(table, tree);
	selectivity = clauselist_selectivity(root, baserel->baserestrictinfo, 0, JOIN_INNER, NULL);
	fetched = baserel->tuples;
	estimate->rows = baserel->tuples * selectivity;
	if (restriction->all_keys && !options->key_set)
	{
		double		nkeys = direct_keys(table, restriction, params);

		fetched = table->element_rows ? Max(estimate->rows, nkeys) : nkeys;
		if (!table->element_rows)
			estimate->rows = Min(estimate->rows, nkeys);
		if (!table->element_rows && list_length(baserel->baserestrictinfo) == list_length(tree))
			estimate->rows = Min(nkeys, baserel->tuples);
	}
	else if (table->options->singleton_key && restriction->bounds != NIL)
		fetched = estimate->rows;
	estimate->rows = clamp_row_est(estimate->rows);
	estimate->width = baserel->reltarget->width;
	estimate->startup_cost = STARTUP_COST + baserel->baserestrictcost.startup;
	/* a command, its reply and decoding it cost some hundred operators */
	estimate->total_cost = estimate->startup_cost +
		fetched * (cpu_tuple_cost * 4 + baserel->baserestrictcost.per_tuple);
}

/* FeathubConnector.plan_scan: all clauses stay to be checked again. */
void
FeathubRedisPlanScan(FeathubRelation *rel, PlannerInfo *root, RelOptInfo *baserel,
					 List *clauses, FeathubScanPlan *plan)
{
	RedisTable *table = FeathubRedisTableMake(rel);
	List	   *params = NIL;
	List	   *tree = FeathubRedisRestrictPlan(table, root, baserel, clauses, &params);

	plan->private = list_make1(tree);
	plan->params = params;
	plan->local_clauses = clauses;
}

/* FeathubConnector.explain_scan */
void
FeathubRedisExplainScan(FeathubScan *scan, ExplainState *es)
{
	RedisScanState *state = scan->state;
	RedisTable *table = state ? state->table : FeathubRedisTableMake(scan->rel);
	RedisRestriction *restriction = FeathubRedisRestrictRead(table, linitial(scan->private));
	char	   *description = FeathubRedisRestrictDescribe(table, restriction);

	explain_key(table, es);
	ExplainPropertyText("Read By", table->options->singleton_key ? "its one key" :
						restriction->all_keys && !table->options->key_set ? "keys" :
						table->options->key_set ? "SSCAN" : "SCAN", es);
	if (description[0] != '\0')
		ExplainPropertyText("Restrictions", description, es);
	if (!es->analyze || state == NULL || !state->scanned)
		return;
	ExplainPropertyInteger("Keys Read", NULL, state->reader->nkeys, es);
	if (es->verbose)
		ExplainPropertyInteger("Round Trips", NULL,
							   state->reader->ntrips +
							   (state->source ? FeathubRedisSourceTrips(state->source) : 0), es);
}

/* FeathubConnector.explain_modify */
void
FeathubRedisExplainModify(FeathubModify *modify, ExplainState *es)
{
	RedisTable *table = FeathubRedisTableMake(modify->rel);

	explain_key(table, es);
	if (modify->operation == CMD_INSERT)
		ExplainPropertyText("Write Mode",
							table->options->write_mode == REDIS_WRITE_UPSERT ? "upsert" : "insert",
							es);
}

/* FeathubConnector.explain_lookup */
void
FeathubRedisExplainLookup(FeathubLookup *lookup, ExplainState *es)
{
	explain_key(FeathubRedisTableMake(lookup->rel), es);
}

/* The number of elements that an array will have, as far as is known. */
static double
list_size(Node *array)
{
	array = strip_implicit_coercions(array);
	if (IsA(array, Const) && !((Const *) array)->constisnull)
	{
		ArrayType  *value = DatumGetArrayTypeP(((Const *) array)->constvalue);

		return ArrayGetNItems(ARR_NDIM(value), ARR_DIMS(value));
	}
	if (IsA(array, ArrayExpr) && !((ArrayExpr *) array)->multidims)
		return list_length(((ArrayExpr *) array)->elements);
	return DEFAULT_LENGTH;
}

/* The number of keys that equalities name. */
static double
direct_keys(RedisTable *table, RedisRestriction *restriction, List *params)
{
	double		n = 1;

	for (int i = 0; i < table->nkeys; i++)
	{
		if (restriction->equal[i] < 0)
			n *= list_size(list_nth(params, restriction->any[i]));
	}
	return n;
}

/* The kind, and how keys look. */
static void
explain_key(RedisTable *table, ExplainState *es)
{
	StringInfoData key;

	initStringInfo(&key);
	for (int i = 0; i < table->template.npieces; i++)
	{
		RedisPiece *piece = &table->template.pieces[i];

		if (piece->column >= 0)
			appendStringInfo(&key, "{%s}", table->keys[piece->column].attname);
		else
			appendStringInfoString(&key, piece->text);
	}
	ExplainPropertyText("Kind", FeathubRedisKindName(table->kind), es);
	if (table->options->key_set)
		ExplainPropertyText("Key Set", table->options->key_set, es);
	ExplainPropertyText("Key", key.data, es);
}
