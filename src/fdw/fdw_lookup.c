/*
 * fdw_lookup.c
 *		Execution of batched look-ups.
 *
 *	 COLLECT --> FOUND --> (UNMATCHED) --> COLLECT ... --> DONE
 *
 * COLLECT reads outer rows until it has as many different keys as the connector
 * takes at a time, or as many rows as work_mem holds, and sends the keys.  FOUND
 * takes one foreign row at a time, finds the outer rows that wait for its key
 * and returns those for which all of the join's own clauses hold: foreign rows
 * are never kept, so memory does not depend on how many there are.  UNMATCHED,
 * of LEFT and ANTI joins, returns the outer rows that no foreign row matched.
 *
 * Outer values are converted to the column's type, keys with a NULL or a value
 * that the column cannot have are never sent, and equal keys are sent once.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/sysattr.h"
#include "access/table.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "parser/parse_coerce.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/ruleutils.h"
#include "utils/typcache.h"

#include "connectors/connector.h"
#include "core/compat.h"
#include "fdw/fdw_lookup.h"
#include "fdw/fdw_scan.h"

/* What a key takes at least, so that tables of keys stay within work_mem. */
#define MIN_KEY_MEMORY 128

typedef enum LookupPhase
{
	LOOKUP_COLLECT,
	LOOKUP_FOUND,
	LOOKUP_UNMATCHED,
	LOOKUP_DONE
} LookupPhase;

/* A column of the key. */
typedef struct KeyColumn
{
	AttrNumber	attnum;			/* of the foreign table */
	ExprState  *expr;			/* the outer value */
	Oid			from;			/* its type */
	Oid			to;				/* the column's, without domains */
	int16		typlen;
	bool		typbyval;
	Oid			collation;
	FmgrInfo   *equal;
	FmgrInfo   *hash;
} KeyColumn;

/* A key that is asked for; its values are in LookupState.values. */
typedef struct KeyEntry
{
	uint32		hash;
	int			next;			/* in its bucket, or -1 */
	int			first_row;		/* of the outer rows with this key */
} KeyEntry;

/* An outer row of the batch. */
typedef struct OuterRow
{
	MinimalTuple tuple;
	int			next;			/* with the same key, or -1 */
	bool		matched;
} OuterRow;

typedef struct LookupState
{
	CustomScanState css;		/* first: it is a node */
	FeathubLookup lookup;
	bool		begun;			/* begin_lookup was called: not just EXPLAIN */
	LookupPhase phase;
	JoinType	jointype;
	int			max_keys;

	/* Outer side */
	PlanState  *outer;
	bool		outer_done;
	int			nouter;			/* its columns, the first of the scan tuple */
	TupleTableSlot *outer_slot; /* for a row that was kept */

	/* Foreign side */
	TupleTableSlot *inner_slot; /* as the connector fills it */
	int			ninner;
	AttrNumber *inner_attrs;	/* in the scan tuple, behind the outer columns */
	FeathubFdwGenerated generated;
	List	   *placeholders;	/* of ExprState, behind the foreign columns */

	/* Expressions */
	int			nkeys;
	KeyColumn  *keys;
	ExprState  *join_quals;
	List	   *params;			/* of ExprState */
	int16	   *param_typlen;
	bool	   *param_typbyval;
	bool		params_known;	/* evaluated since the last rescan */
	MemoryContext param_context;

	/* The batch */
	MemoryContext rows_context; /* reset with each batch */
	Size		used;			/* memory, roughly */
	OuterRow   *rows;
	int			nrows;
	int			rows_size;
	KeyEntry   *entries;
	int			nentries;
	Datum	   *values;			/* nkeys for each entry */
	int		   *buckets;
	uint32		bucket_mask;
	int			current;		/* row to look at next, or -1 */

	/* For EXPLAIN ANALYZE */
	int64		batches;
	int64		sent;
	int64		found;
} LookupState;

static void begin_lookup(CustomScanState *node, EState *estate, int eflags);
static TupleTableSlot *exec_lookup(CustomScanState *node);
static void end_lookup(CustomScanState *node);
static void rescan_lookup(CustomScanState *node);
static void explain_lookup(CustomScanState *node, List *ancestors, ExplainState *es);
static void init_inner(LookupState *state, EState *estate);
static void init_keys(LookupState *state);
static void init_params(LookupState *state);
static void collect_batch(LookupState *state);
static void empty_batch(LookupState *state);
static void add_outer_row(LookupState *state, TupleTableSlot *slot);
static bool convert_key(LookupState *state, Datum *values);
static bool convert_value(const KeyColumn *column, Datum *value);
static int	find_entry(LookupState *state, const Datum *values, uint32 hash);
static int	add_entry(LookupState *state, const Datum *values, uint32 hash);
static uint32 hash_key(LookupState *state, const Datum *values);
static void eval_params(LookupState *state);
static bool next_found(LookupState *state);
static void load_outer(LookupState *state, TupleTableSlot *slot);
static void load_inner(LookupState *state);
static TupleTableSlot *join_rows(LookupState *state);
static TupleTableSlot *next_unmatched(LookupState *state);

static const CustomExecMethods exec_methods = {
	.CustomName = "FeathubLookup",
	.BeginCustomScan = begin_lookup,
	.ExecCustomScan = exec_lookup,
	.EndCustomScan = end_lookup,
	.ReScanCustomScan = rescan_lookup,
	.ExplainCustomScan = explain_lookup,
};

Node *
FeathubFdwLookupCreateState(CustomScan *plan)
{
	LookupState *state = (LookupState *) newNode(sizeof(LookupState), T_CustomScanState);

	state->css.methods = &exec_methods;
	return (Node *) state;
}

bool
FeathubFdwLookupConvertible(Oid from, Oid to)
{
	if (from == to || IsBinaryCoercible(from, to))
		return true;
	if (to == INT2OID || to == INT4OID || to == INT8OID)
		return from == INT2OID || from == INT4OID || from == INT8OID;
	return from == FLOAT4OID && to == FLOAT8OID;
}

static void
begin_lookup(CustomScanState *node, EState *estate, int eflags)
{
	LookupState *state = (LookupState *) node;
	CustomScan *plan = (CustomScan *) node->ss.ps.plan;
	List	   *private = plan->custom_private;
	FeathubLookup *lookup = &state->lookup;
	Oid			userid = lsecond_oid(list_nth(private, LOOKUP_RELID));
	MemoryContext oldcontext;

	state->outer = ExecInitNode(linitial(plan->custom_plans), estate,
								eflags & ~(EXEC_FLAG_BACKWARD | EXEC_FLAG_MARK));
	node->custom_ps = list_make1(state->outer);

	lookup->context = AllocSetContextCreate(estate->es_query_cxt, "feathub lookup",
											ALLOCSET_DEFAULT_SIZES);
	lookup->batch_context = AllocSetContextCreate(lookup->context, "feathub lookup batch",
												  ALLOCSET_DEFAULT_SIZES);
	lookup->row_context = AllocSetContextCreate(lookup->context, "feathub lookup row",
												ALLOCSET_DEFAULT_SIZES);
	state->rows_context = AllocSetContextCreate(lookup->context, "feathub lookup outer rows",
												ALLOCSET_DEFAULT_SIZES);
	oldcontext = MemoryContextSwitchTo(lookup->context);

	state->jointype = intVal(list_nth(private, LOOKUP_JOIN_TYPE));
	state->max_keys = Min(intVal(list_nth(private, LOOKUP_MAX_KEYS)),
						  work_mem * (Size) 1024 / MIN_KEY_MEMORY);
	state->nouter = intVal(list_nth(private, LOOKUP_OUTER_COLUMNS));
	lookup->private = list_nth(private, LOOKUP_PLAN);
	lookup->rel = FeathubRelationOpen(linitial_oid(list_nth(private, LOOKUP_RELID)),
									  OidIsValid(userid) ? userid : GetUserId());
	init_inner(state, estate);
	init_keys(state);
	init_params(state);
	state->join_quals = ExecInitQual(list_nth(plan->custom_exprs, LOOKUP_JOIN_QUALS),
									 (PlanState *) node);
	state->outer_slot = ExecInitExtraTupleSlot(estate, ExecGetResultType(state->outer),
											   &TTSOpsMinimalTuple);
	state->phase = LOOKUP_COLLECT;
	if ((eflags & EXEC_FLAG_EXPLAIN_ONLY) == 0)
	{
		state->begun = true;
		lookup->rel->connector->begin_lookup(lookup);
	}
	MemoryContextSwitchTo(oldcontext);
}

static TupleTableSlot *
exec_lookup(CustomScanState *node)
{
	LookupState *state = (LookupState *) node;
	TupleTableSlot *slot;

	ResetExprContext(node->ss.ps.ps_ExprContext);
	for (;;)
	{
		CHECK_FOR_INTERRUPTS();
		switch (state->phase)
		{
			case LOOKUP_COLLECT:
				collect_batch(state);
				break;
			case LOOKUP_FOUND:
				slot = join_rows(state);
				if (slot)
					return slot;
				if (!next_found(state))
				{
					state->current = 0;
					state->phase =
						state->jointype == JOIN_LEFT || state->jointype == JOIN_ANTI ?
						LOOKUP_UNMATCHED : LOOKUP_COLLECT;
				}
				break;
			case LOOKUP_UNMATCHED:
				slot = next_unmatched(state);
				if (slot)
					return slot;
				state->phase = LOOKUP_COLLECT;
				break;
			case LOOKUP_DONE:
				return NULL;
		}
	}
}

static void
end_lookup(CustomScanState *node)
{
	LookupState *state = (LookupState *) node;

	if (state->begun)
	{
		state->begun = false;
		state->lookup.rel->connector->end_lookup(&state->lookup);
	}
	if (state->outer)
		ExecEndNode(state->outer);
	state->outer = NULL;

	/* the slots outlive us; with the context go the handles that callbacks free */
	ExecClearTuple(node->ss.ss_ScanTupleSlot);
	ExecClearTuple(state->inner_slot);
	ExecClearTuple(state->outer_slot);
	MemoryContextDelete(state->lookup.context);
}

static void
rescan_lookup(CustomScanState *node)
{
	LookupState *state = (LookupState *) node;

	empty_batch(state);
	state->phase = LOOKUP_COLLECT;
	state->outer_done = false;
	state->params_known = false;

	/* the executor tells changed parameters to left and right plans only */
	if (node->ss.ps.chgParam)
		UpdateChangedParamSet(state->outer, node->ss.ps.chgParam);
	if (state->outer->chgParam == NULL)
		ExecReScan(state->outer);
}

/* The foreign table's row, and what of it is in the scan tuple. */
static void
init_inner(LookupState *state, EState *estate)
{
	CustomScan *plan = (CustomScan *) state->css.ss.ps.plan;
	FeathubLookup *lookup = &state->lookup;
	List	   *attrs = list_nth(plan->custom_private, LOOKUP_INNER_ATTRS);
	List	   *needed = list_copy(list_nth(plan->custom_private, LOOKUP_KEY_ATTRS));
	Relation	relation;
	ListCell   *lc;

	state->inner_slot = ExecInitExtraTupleSlot(estate, lookup->rel->tupdesc, &TTSOpsVirtual);
	state->inner_attrs = palloc(sizeof(AttrNumber) * Max(list_length(attrs), 1));
	foreach(lc, attrs)
	{
		state->inner_attrs[state->ninner++] = lfirst_int(lc);
		if (lfirst_int(lc) > 0)
			needed = list_append_unique_int(needed, lfirst_int(lc));
	}
	if (list_member_int(attrs, InvalidAttrNumber))
	{
		for (int attnum = 1; attnum <= lookup->rel->tupdesc->natts; attnum++)
		{
			if (!TupleDescAttr(lookup->rel->tupdesc, attnum - 1)->attisdropped)
				needed = list_append_unique_int(needed, attnum);
		}
	}

	/* the plan's lock keeps it as it is */
	relation = table_open(lookup->rel->relid, NoLock);
	lookup->needed = FeathubFdwGeneratedInit(&state->generated, relation, needed, estate);
	table_close(relation, NoLock);

	state->placeholders = ExecInitExprList(list_nth(plan->custom_exprs, LOOKUP_PLACEHOLDERS),
										   (PlanState *) state);
}

static void
init_keys(LookupState *state)
{
	CustomScan *plan = (CustomScan *) state->css.ss.ps.plan;
	FeathubLookup *lookup = &state->lookup;
	List	   *attrs = list_nth(plan->custom_private, LOOKUP_KEY_ATTRS);
	List	   *types = list_nth(plan->custom_private, LOOKUP_KEY_TYPES);
	List	   *collations = list_nth(plan->custom_private, LOOKUP_KEY_COLLATIONS);
	List	   *exprs = list_nth(plan->custom_exprs, LOOKUP_KEY_EXPRS);
	ListCell   *lc;

	state->nkeys = list_length(attrs);
	state->keys = palloc0(sizeof(KeyColumn) * state->nkeys);
	lookup->nkeys = state->nkeys;
	lookup->key_attrs = palloc(sizeof(AttrNumber) * state->nkeys);
	foreach(lc, attrs)
	{
		int			i = foreach_current_index(lc);
		KeyColumn  *column = &state->keys[i];
		TypeCacheEntry *entry;

		column->attnum = lfirst_int(lc);
		lookup->key_attrs[i] = column->attnum;
		column->expr = ExecInitExpr(list_nth(exprs, i), (PlanState *) state);
		column->from = list_nth_oid(types, i);
		column->to = getBaseType(TupleDescAttr(lookup->rel->tupdesc,
											   column->attnum - 1)->atttypid);
		column->collation = list_nth_oid(collations, i);
		get_typlenbyval(column->to, &column->typlen, &column->typbyval);
		entry = lookup_type_cache(column->to,
								  TYPECACHE_EQ_OPR_FINFO | TYPECACHE_HASH_PROC_FINFO);
		column->equal = &entry->eq_opr_finfo;
		column->hash = &entry->hash_proc_finfo;
	}
}

/* Prepare the connector's parameters for evaluation. */
static void
init_params(LookupState *state)
{
	CustomScan *plan = (CustomScan *) state->css.ss.ps.plan;
	FeathubLookup *lookup = &state->lookup;
	List	   *exprs = list_nth(plan->custom_exprs, LOOKUP_PARAMS);
	ListCell   *lc;

	lookup->nparams = list_length(exprs);
	if (lookup->nparams == 0)
		return;
	lookup->param_values = palloc0(sizeof(Datum) * lookup->nparams);
	lookup->param_isnull = palloc0(sizeof(bool) * lookup->nparams);
	state->param_typlen = palloc(sizeof(int16) * lookup->nparams);
	state->param_typbyval = palloc(sizeof(bool) * lookup->nparams);
	foreach(lc, exprs)
	{
		int			i = foreach_current_index(lc);

		get_typlenbyval(exprType(lfirst(lc)),
						&state->param_typlen[i], &state->param_typbyval[i]);
	}
	state->params = ExecInitExprList(exprs, (PlanState *) state);
	state->param_context = AllocSetContextCreate(lookup->context,
												 "feathub lookup parameters",
												 ALLOCSET_SMALL_SIZES);
}

/* Read outer rows and ask for their keys; sets the next phase. */
static void
collect_batch(LookupState *state)
{
	FeathubLookup *lookup = &state->lookup;
	MemoryContext oldcontext;

	empty_batch(state);
	while (!state->outer_done && state->nentries < state->max_keys &&
		   state->used < work_mem * (Size) 1024)
	{
		TupleTableSlot *slot = ExecProcNode(state->outer);

		if (TupIsNull(slot))
			state->outer_done = true;
		else
			add_outer_row(state, slot);
	}
	if (state->nentries == 0)
	{
		/* only rows that nothing can match */
		state->current = 0;
		state->phase = state->nrows > 0 ? LOOKUP_UNMATCHED :
			state->outer_done ? LOOKUP_DONE : LOOKUP_COLLECT;
		return;
	}
	if (!state->params_known)
		eval_params(state);

	MemoryContextReset(lookup->batch_context);
	oldcontext = MemoryContextSwitchTo(lookup->batch_context);
	lookup->rel->connector->send_keys(lookup, state->nentries, state->values);
	MemoryContextSwitchTo(oldcontext);
	state->batches++;
	state->sent += state->nentries;
	state->current = -1;
	state->phase = LOOKUP_FOUND;
}

/* Forget the rows of the last batch. */
static void
empty_batch(LookupState *state)
{
	ExecClearTuple(state->css.ss.ss_ScanTupleSlot);
	ExecClearTuple(state->outer_slot);
	MemoryContextReset(state->rows_context);
	state->rows = NULL;
	state->rows_size = 0;
	state->nrows = 0;
	state->entries = NULL;
	state->values = NULL;
	state->buckets = NULL;
	state->nentries = 0;
	state->used = 0;
	state->current = -1;
}

/* Keep an outer row, under its key if it has one. */
static void
add_outer_row(LookupState *state, TupleTableSlot *slot)
{
	MemoryContext oldcontext;
	Datum		values[INDEX_MAX_KEYS];
	Datum	   *key = state->nkeys <= INDEX_MAX_KEYS ? values :
		palloc(sizeof(Datum) * state->nkeys);
	bool		has_key;
	int			entry = -1;
	OuterRow   *row;

	/* what the last row's expressions left */
	ResetExprContext(state->css.ss.ps.ps_ExprContext);
	load_outer(state, slot);
	has_key = convert_key(state, key);

	/* nothing can come of such a row but in these joins */
	if (!has_key && state->jointype != JOIN_LEFT && state->jointype != JOIN_ANTI)
		return;

	oldcontext = MemoryContextSwitchTo(state->rows_context);
	if (has_key)
	{
		uint32		hash = hash_key(state, key);

		entry = find_entry(state, key, hash);
		if (entry < 0)
			entry = add_entry(state, key, hash);
	}
	if (state->nrows == state->rows_size)
	{
		int			size = Max(state->rows_size * 2, 64);

		if (state->rows == NULL)
			state->rows = palloc(sizeof(OuterRow) * size);
		else
			state->rows = repalloc_huge(state->rows, sizeof(OuterRow) * size);
		state->used += sizeof(OuterRow) * (size - state->rows_size);
		state->rows_size = size;
	}
	row = &state->rows[state->nrows];
	row->tuple = ExecCopySlotMinimalTuple(slot);
	row->matched = false;
	row->next = -1;
	if (entry >= 0)
	{
		row->next = state->entries[entry].first_row;
		state->entries[entry].first_row = state->nrows;
	}
	state->nrows++;
	state->used += GetMemoryChunkSpace(row->tuple);
	MemoryContextSwitchTo(oldcontext);
}

/* The key of the outer row in the scan tuple; false if it can match nothing. */
static bool
convert_key(LookupState *state, Datum *values)
{
	ExprContext *econtext = state->css.ss.ps.ps_ExprContext;

	econtext->ecxt_scantuple = state->css.ss.ss_ScanTupleSlot;
	for (int i = 0; i < state->nkeys; i++)
	{
		bool		isnull;

		values[i] = ExecEvalExprSwitchContext(state->keys[i].expr, econtext, &isnull);
		if (isnull || !convert_value(&state->keys[i], &values[i]))
			return false;
		if (state->keys[i].typlen == -1)
		{
			MemoryContext oldcontext =
				MemoryContextSwitchTo(econtext->ecxt_per_tuple_memory);

			values[i] = PointerGetDatum(PG_DETOAST_DATUM(values[i]));
			MemoryContextSwitchTo(oldcontext);
		}
	}
	return true;
}

/* Make it a value of the column's type; false if that type has none. */
static bool
convert_value(const KeyColumn *column, Datum *value)
{
	int64		number;

	if (column->from == column->to)
		return true;
	if (column->from == FLOAT4OID && column->to == FLOAT8OID)
	{
		*value = Float8GetDatum((double) DatumGetFloat4(*value));
		return true;
	}
	switch (column->from)
	{
		case INT2OID:
			number = DatumGetInt16(*value);
			break;
		case INT4OID:
			number = DatumGetInt32(*value);
			break;
		case INT8OID:
			number = DatumGetInt64(*value);
			break;
		default:
			return true;		/* binary coercible */
	}
	switch (column->to)
	{
		case INT2OID:
			*value = Int16GetDatum((int16) number);
			return number >= PG_INT16_MIN && number <= PG_INT16_MAX;
		case INT4OID:
			*value = Int32GetDatum((int32) number);
			return number >= PG_INT32_MIN && number <= PG_INT32_MAX;
		case INT8OID:
			*value = Int64GetDatum(number);
			return true;
		default:
			return true;
	}
}

static int
find_entry(LookupState *state, const Datum *values, uint32 hash)
{
	int			i = state->buckets ? state->buckets[hash & state->bucket_mask] : -1;

	for (; i >= 0; i = state->entries[i].next)
	{
		const Datum *entry = &state->values[(Size) i * state->nkeys];
		bool		same = state->entries[i].hash == hash;

		for (int k = 0; same && k < state->nkeys; k++)
			same = DatumGetBool(FunctionCall2Coll(state->keys[k].equal,
												  state->keys[k].collation,
												  entry[k], values[k]));
		if (same)
			break;
	}
	return i;
}

/* Add a key; the context of the batch's rows is current. */
static int
add_entry(LookupState *state, const Datum *values, uint32 hash)
{
	int			i = state->nentries;
	Datum	   *copy;
	int		   *bucket;

	if (state->entries == NULL)
	{
		uint32		nbuckets = pg_nextpower2_32(Max(state->max_keys, 16));

		state->entries = palloc(sizeof(KeyEntry) * state->max_keys);
		state->values = palloc(sizeof(Datum) * state->nkeys * state->max_keys);
		state->buckets = palloc(sizeof(int) * nbuckets);
		memset(state->buckets, -1, sizeof(int) * nbuckets);
		state->bucket_mask = nbuckets - 1;
	}
	copy = &state->values[(Size) i * state->nkeys];
	for (int k = 0; k < state->nkeys; k++)
	{
		copy[k] = datumCopy(values[k], state->keys[k].typbyval, state->keys[k].typlen);
		if (!state->keys[k].typbyval)
			state->used += GetMemoryChunkSpace(DatumGetPointer(copy[k]));
	}
	bucket = &state->buckets[hash & state->bucket_mask];
	state->entries[i].hash = hash;
	state->entries[i].next = *bucket;
	state->entries[i].first_row = -1;
	*bucket = i;
	state->used += sizeof(KeyEntry) + sizeof(int) + sizeof(Datum) * state->nkeys;
	state->nentries++;
	return i;
}

static uint32
hash_key(LookupState *state, const Datum *values)
{
	uint32		hash = 0;

	for (int k = 0; k < state->nkeys; k++)
		hash = pg_rotate_left32(hash, 1) ^
			DatumGetUInt32(FunctionCall1Coll(state->keys[k].hash,
											 state->keys[k].collation, values[k]));
	return hash;
}

static void
eval_params(LookupState *state)
{
	ExprContext *econtext = state->css.ss.ps.ps_ExprContext;
	FeathubLookup *lookup = &state->lookup;
	ListCell   *lc;

	state->params_known = true;
	if (lookup->nparams == 0)
		return;
	MemoryContextReset(state->param_context);
	foreach(lc, state->params)
	{
		int			i = foreach_current_index(lc);
		bool		isnull;
		Datum		value = ExecEvalExprSwitchContext(lfirst(lc), econtext, &isnull);
		MemoryContext oldcontext = MemoryContextSwitchTo(state->param_context);

		lookup->param_isnull[i] = isnull;
		lookup->param_values[i] = isnull ? (Datum) 0 :
			datumCopy(value, state->param_typbyval[i], state->param_typlen[i]);
		MemoryContextSwitchTo(oldcontext);
	}
}

/*
 * Take the next foreign row and find the outer rows that wait for its key.
 * Returns false if there is no more of them in this batch.
 */
static bool
next_found(LookupState *state)
{
	FeathubLookup *lookup = &state->lookup;
	TupleTableSlot *slot = state->inner_slot;
	Datum		values[INDEX_MAX_KEYS];
	Datum	   *key = values;
	MemoryContext oldcontext;
	bool		has_key = true;
	int			entry;

	ExecClearTuple(slot);
	ExecClearTuple(state->css.ss.ss_ScanTupleSlot);
	MemoryContextReset(lookup->row_context);
	memset(slot->tts_isnull, true, sizeof(bool) * slot->tts_tupleDescriptor->natts);
	oldcontext = MemoryContextSwitchTo(lookup->row_context);
	if (!lookup->rel->connector->next_found(lookup, slot))
	{
		MemoryContextSwitchTo(oldcontext);
		return false;
	}
	ExecStoreVirtualTuple(slot);
	state->found++;
	if (state->nkeys > INDEX_MAX_KEYS)
		key = palloc(sizeof(Datum) * state->nkeys);
	for (int k = 0; k < state->nkeys && has_key; k++)
	{
		int			attno = state->keys[k].attnum - 1;

		key[k] = slot->tts_values[attno];
		has_key = !slot->tts_isnull[attno];
	}
	entry = has_key ? find_entry(state, key, hash_key(state, key)) : -1;
	state->current = entry < 0 ? -1 : state->entries[entry].first_row;
	if (entry >= 0)
	{
		FeathubFdwGeneratedCompute(&state->generated, state->css.ss.ps.ps_ExprContext, slot);
		load_inner(state);
	}
	MemoryContextSwitchTo(oldcontext);
	return true;
}

/* Put an outer row into the scan tuple, whose foreign part stays. */
static void
load_outer(LookupState *state, TupleTableSlot *slot)
{
	TupleTableSlot *scan = state->css.ss.ss_ScanTupleSlot;

	ExecClearTuple(scan);
	slot_getallattrs(slot);
	memcpy(scan->tts_values, slot->tts_values, sizeof(Datum) * state->nouter);
	memcpy(scan->tts_isnull, slot->tts_isnull, sizeof(bool) * state->nouter);
	ExecStoreVirtualTuple(scan);
}

/* Put the found row into the scan tuple; the row's memory context is current. */
static void
load_inner(LookupState *state)
{
	TupleTableSlot *scan = state->css.ss.ss_ScanTupleSlot;
	TupleTableSlot *slot = state->inner_slot;
	ExprContext *econtext = state->css.ss.ps.ps_ExprContext;
	int			column = state->nouter;
	ListCell   *lc;

	for (int i = 0; i < state->ninner; i++, column++)
	{
		AttrNumber	attnum = state->inner_attrs[i];

		if (attnum == TableOidAttributeNumber)
		{
			scan->tts_values[column] = ObjectIdGetDatum(state->lookup.rel->relid);
			scan->tts_isnull[column] = false;
		}
		else if (attnum == InvalidAttrNumber)
		{
			scan->tts_values[column] = ExecFetchSlotHeapTupleDatum(slot);
			scan->tts_isnull[column] = false;
		}
		else
		{
			scan->tts_values[column] = slot->tts_values[attnum - 1];
			scan->tts_isnull[column] = slot->tts_isnull[attnum - 1];
		}
	}
	if (state->placeholders == NIL)
		return;

	/* they refer to the columns just put there, and to nothing of the outer row */
	memset(scan->tts_isnull, true, sizeof(bool) * state->nouter);
	memset(&scan->tts_isnull[column], true,
		   sizeof(bool) * list_length(state->placeholders));
	ExecStoreVirtualTuple(scan);
	econtext->ecxt_scantuple = scan;
	foreach(lc, state->placeholders)
	{
		scan->tts_values[column] = ExecEvalExpr((ExprState *) lfirst(lc), econtext,
												&scan->tts_isnull[column]);
		column++;
	}
}

/*
 * Join the found row with the next outer row that it matches.  Returns NULL if
 * there is no more.
 */
static TupleTableSlot *
join_rows(LookupState *state)
{
	PlanState  *ps = &state->css.ss.ps;
	ExprContext *econtext = ps->ps_ExprContext;

	while (state->current >= 0)
	{
		OuterRow   *row = &state->rows[state->current];

		CHECK_FOR_INTERRUPTS();
		state->current = row->next;
		if (row->matched && (state->jointype == JOIN_SEMI || state->jointype == JOIN_ANTI))
			continue;
		ResetExprContext(econtext);
		ExecStoreMinimalTuple(row->tuple, state->outer_slot, false);
		load_outer(state, state->outer_slot);
		econtext->ecxt_scantuple = state->css.ss.ss_ScanTupleSlot;
		if (!ExecQual(state->join_quals, econtext))
			continue;
		row->matched = true;
		if (state->jointype == JOIN_ANTI)
			continue;
		if (ps->qual && !ExecQual(ps->qual, econtext))
		{
			InstrCountFiltered1(state, 1);
			continue;
		}
		return ps->ps_ProjInfo ? ExecProject(ps->ps_ProjInfo) :
			state->css.ss.ss_ScanTupleSlot;
	}
	return NULL;
}

/* The next outer row of the batch that found no match, or NULL. */
static TupleTableSlot *
next_unmatched(LookupState *state)
{
	PlanState  *ps = &state->css.ss.ps;
	ExprContext *econtext = ps->ps_ExprContext;
	TupleTableSlot *scan = state->css.ss.ss_ScanTupleSlot;

	while (state->current < state->nrows)
	{
		OuterRow   *row = &state->rows[state->current++];

		CHECK_FOR_INTERRUPTS();
		if (row->matched)
			continue;
		ResetExprContext(econtext);
		ExecStoreMinimalTuple(row->tuple, state->outer_slot, false);
		memset(&scan->tts_isnull[state->nouter], true,
			   sizeof(bool) * (scan->tts_tupleDescriptor->natts - state->nouter));
		load_outer(state, state->outer_slot);
		econtext->ecxt_scantuple = scan;
		if (ps->qual && !ExecQual(ps->qual, econtext))
		{
			InstrCountFiltered1(state, 1);
			continue;
		}
		return ps->ps_ProjInfo ? ExecProject(ps->ps_ProjInfo) : scan;
	}
	return NULL;
}

/* The foreign table as EXPLAIN names relations. */
static char *
describe_table(LookupState *state, ExplainState *es)
{
	CustomScan *plan = (CustomScan *) state->css.ss.ps.plan;
	int			rank = intVal(list_nth(plan->custom_private, LOOKUP_RANK));
	int			rti = -1;
	Oid			relid = state->lookup.rel->relid;
	StringInfoData name;
	char	   *refname;

	while (rank-- >= 0)
		rti = bms_next_member(plan->custom_relids, rti);
	refname = rti > 0 ? list_nth(es->rtable_names, rti - 1) : NULL;
	initStringInfo(&name);
	if (es->verbose)
		appendStringInfo(&name, "%s.",
						 quote_identifier(get_namespace_name_or_temp(get_rel_namespace(relid))));
	appendStringInfoString(&name, quote_identifier(state->lookup.rel->relname));
	if (refname && strcmp(refname, state->lookup.rel->relname) != 0)
		appendStringInfo(&name, " %s", quote_identifier(refname));
	return name.data;
}

static void
explain_lookup(CustomScanState *node, List *ancestors, ExplainState *es)
{
	LookupState *state = (LookupState *) node;
	CustomScan *plan = (CustomScan *) node->ss.ps.plan;
	FeathubLookup *lookup = &state->lookup;
	List	   *quals = list_nth(plan->custom_exprs, LOOKUP_JOIN_QUALS);
	List	   *keys = NIL;
	List	   *context;

	for (int k = 0; k < state->nkeys; k++)
		keys = lappend(keys, NameStr(TupleDescAttr(lookup->rel->tupdesc,
												   state->keys[k].attnum - 1)->attname));
	ExplainPropertyText("Join Type",
						state->jointype == JOIN_LEFT ? "Left" :
						state->jointype == JOIN_SEMI ? "Semi" :
						state->jointype == JOIN_ANTI ? "Anti" : "Inner", es);
	ExplainPropertyText("Foreign Table", describe_table(state, es), es);
	ExplainPropertyList("Lookup Key", keys, es);
	context = set_deparse_context_plan(es->deparse_cxt, (Plan *) plan, ancestors);
	ExplainPropertyText("Join Cond",
						deparse_expression((Node *) make_ands_explicit(quals), context,
										   list_length(es->rtable) > 1 || es->verbose, false),
						es);
	ExplainPropertyInteger("Keys per Batch", NULL, state->max_keys, es);
	if (es->analyze)
	{
		ExplainPropertyInteger("Batches", NULL, state->batches, es);
		ExplainPropertyInteger("Keys", NULL, state->sent, es);
		ExplainPropertyInteger("Rows Found", NULL, state->found, es);
	}
	if (lookup->rel->connector->explain_lookup)
		lookup->rel->connector->explain_lookup(lookup, es);
}
