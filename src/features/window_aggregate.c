/*
 * window_aggregate.c
 *		Aggregates over time that SQL lacks.
 *
 *	value_counts(value)				{"value": count, ...}
 *	first_value, last_value(value, at)	the value of the earliest or latest time
 *	last_values(value, at, count)	those of the latest times, earliest first
 *
 * Rows without a time are left out.  Among equal times the row that came
 * first counts as the one that is asked for, in last_values as the later one.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "fmgr.h"
#include "lib/stringinfo.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/hsearch.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"

#include "core/compat.h"

typedef struct ValueCount
{
	char	   *value;			/* key of the hash table */
	int64		count;
} ValueCount;

typedef struct ValueCounts
{
	HTAB	   *table;
	FmgrInfo	output;
} ValueCounts;

typedef struct TimedValue
{
	TimestampTz at;
	Datum		value;
	bool		isnull;
} TimedValue;

/* State of first_value, last_value (one value) and last_values. */
typedef struct TimedValues
{
	Oid			type;
	int16		typlen;
	bool		typbyval;
	char		typalign;
	int			limit;
	int			count;
	int			allocated;
	TimedValue *values;			/* by time, earliest first */
} TimedValues;

static uint32 hash_value(const void *key, Size size);
static int	match_value(const void *a, const void *b, Size size);
static void *copy_value(void *to, const void *from, Size size);
static MemoryContext aggregate_context(FunctionCallInfo fcinfo);
static TimedValues *begin_values(FunctionCallInfo fcinfo, MemoryContext context, int limit);
static void set_value(TimedValues *state, TimedValue *place, FunctionCallInfo fcinfo);
static Datum keep_value(FunctionCallInfo fcinfo, bool last);

PG_FUNCTION_INFO_V1(feathub_value_counts_step);
PG_FUNCTION_INFO_V1(feathub_value_counts_end);
PG_FUNCTION_INFO_V1(feathub_first_value_step);
PG_FUNCTION_INFO_V1(feathub_last_value_step);
PG_FUNCTION_INFO_V1(feathub_timed_value_end);
PG_FUNCTION_INFO_V1(feathub_last_values_step);
PG_FUNCTION_INFO_V1(feathub_last_values_end);

static MemoryContext
aggregate_context(FunctionCallInfo fcinfo)
{
	MemoryContext context;

	if (!AggCheckCallContext(fcinfo, &context))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("function was called outside of its aggregate")));
	return context;
}

/*
 * value_counts
 */

static uint32
hash_value(const void *key, Size size)
{
	const char *value = *(const char *const *) key;

	return DatumGetUInt32(hash_any((const unsigned char *) value, strlen(value)));
}

static int
match_value(const void *a, const void *b, Size size)
{
	return strcmp(*(const char *const *) a, *(const char *const *) b);
}

static void *
copy_value(void *to, const void *from, Size size)
{
	*(char **) to = *(char *const *) from;
	return to;
}

Datum
feathub_value_counts_step(PG_FUNCTION_ARGS)
{
	MemoryContext context = aggregate_context(fcinfo);
	ValueCounts *state = PG_ARGISNULL(0) ? NULL : (ValueCounts *) PG_GETARG_POINTER(0);
	ValueCount *entry;
	char	   *text;
	bool		found;

	if (state == NULL)
	{
		HASHCTL		control = {.keysize = sizeof(char *), .entrysize = sizeof(ValueCount),
			.hash = hash_value, .match = match_value, .keycopy = copy_value, .hcxt = context};
		Oid			type = get_fn_expr_argtype(fcinfo->flinfo, 1);
		Oid			output;
		bool		isvarlena;

		state = (ValueCounts *) MemoryContextAlloc(context, sizeof(ValueCounts));
		state->table = hash_create("feathub value counts", 32, &control,
								   HASH_ELEM | HASH_FUNCTION | HASH_COMPARE | HASH_KEYCOPY | HASH_CONTEXT);
		getTypeOutputInfo(type, &output, &isvarlena);
		fmgr_info_cxt(output, &state->output, context);
	}
	if (PG_ARGISNULL(1))
		PG_RETURN_POINTER(state);

	text = OutputFunctionCall(&state->output, PG_GETARG_DATUM(1));
	entry = (ValueCount *) hash_search(state->table, &text, HASH_FIND, &found);
	if (entry == NULL)
	{
		char	   *copy = MemoryContextStrdup(context, text);

		entry = (ValueCount *) hash_search(state->table, &copy, HASH_ENTER, &found);
		entry->count = 0;
	}
	entry->count++;
	pfree(text);
	PG_RETURN_POINTER(state);
}

Datum
feathub_value_counts_end(PG_FUNCTION_ARGS)
{
	ValueCounts *state = PG_ARGISNULL(0) ? NULL : (ValueCounts *) PG_GETARG_POINTER(0);
	JsonbParseState *json = NULL;
	JsonbValue *result;

	pushJsonbValue(&json, WJB_BEGIN_OBJECT, NULL);
	if (state != NULL)
	{
		HASH_SEQ_STATUS scan;
		ValueCount *entry;

		hash_seq_init(&scan, state->table);
		while ((entry = (ValueCount *) hash_seq_search(&scan)) != NULL)
		{
			JsonbValue	value = {.type = jbvString};

			value.val.string.val = entry->value;
			value.val.string.len = strlen(entry->value);
			pushJsonbValue(&json, WJB_KEY, &value);
			value.type = jbvNumeric;
			value.val.numeric = int64_to_numeric(entry->count);
			pushJsonbValue(&json, WJB_VALUE, &value);
		}
	}
	result = pushJsonbValue(&json, WJB_END_OBJECT, NULL);
	PG_RETURN_JSONB_P(JsonbValueToJsonb(result));
}

/*
 * first_value, last_value, last_values
 */

static TimedValues *
begin_values(FunctionCallInfo fcinfo, MemoryContext context, int limit)
{
	TimedValues *state = (TimedValues *) MemoryContextAllocZero(context, sizeof(TimedValues));

	state->type = get_fn_expr_argtype(fcinfo->flinfo, 1);
	get_typlenbyvalalign(state->type, &state->typlen, &state->typbyval, &state->typalign);
	state->limit = limit;
	state->allocated = Min(limit, 8);
	state->values = (TimedValue *) MemoryContextAlloc(context, sizeof(TimedValue) * state->allocated);
	return state;
}

/* Copy the row's value; the current context is the aggregate's. */
static void
set_value(TimedValues *state, TimedValue *place, FunctionCallInfo fcinfo)
{
	place->at = PG_GETARG_TIMESTAMPTZ(2);
	place->isnull = PG_ARGISNULL(1);
	if (place->isnull)
		place->value = (Datum) 0;
	else if (state->typlen == -1)
		place->value = PointerGetDatum(PG_DETOAST_DATUM_COPY(PG_GETARG_DATUM(1)));
	else
		place->value = datumCopy(PG_GETARG_DATUM(1), state->typbyval, state->typlen);
}

static Datum
keep_value(FunctionCallInfo fcinfo, bool last)
{
	MemoryContext context = aggregate_context(fcinfo);
	TimedValues *state = PG_ARGISNULL(0) ? NULL : (TimedValues *) PG_GETARG_POINTER(0);
	MemoryContext old;

	if (state == NULL)
		state = begin_values(fcinfo, context, 1);
	if (PG_ARGISNULL(2))
		PG_RETURN_POINTER(state);
	if (state->count > 0)
	{
		TimestampTz at = PG_GETARG_TIMESTAMPTZ(2);

		if (last ? at <= state->values[0].at : at >= state->values[0].at)
			PG_RETURN_POINTER(state);
		if (!state->values[0].isnull && !state->typbyval)
			pfree(DatumGetPointer(state->values[0].value));
	}
	old = MemoryContextSwitchTo(context);
	set_value(state, &state->values[0], fcinfo);
	MemoryContextSwitchTo(old);
	state->count = 1;
	PG_RETURN_POINTER(state);
}

Datum
feathub_first_value_step(PG_FUNCTION_ARGS)
{
	return keep_value(fcinfo, false);
}

Datum
feathub_last_value_step(PG_FUNCTION_ARGS)
{
	return keep_value(fcinfo, true);
}

Datum
feathub_timed_value_end(PG_FUNCTION_ARGS)
{
	TimedValues *state = PG_ARGISNULL(0) ? NULL : (TimedValues *) PG_GETARG_POINTER(0);

	if (state == NULL || state->count == 0 || state->values[0].isnull)
		PG_RETURN_NULL();
	PG_RETURN_DATUM(state->values[0].value);
}

Datum
feathub_last_values_step(PG_FUNCTION_ARGS)
{
	MemoryContext context = aggregate_context(fcinfo);
	TimedValues *state = PG_ARGISNULL(0) ? NULL : (TimedValues *) PG_GETARG_POINTER(0);
	MemoryContext old;
	TimestampTz at;
	int			place;

	if (state == NULL)
	{
		if (PG_ARGISNULL(3) || PG_GETARG_INT32(3) <= 0)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("argument \"%s\" must be greater than 0", "count")));
		state = begin_values(fcinfo, context, PG_GETARG_INT32(3));
	}
	if (PG_ARGISNULL(2))
		PG_RETURN_POINTER(state);
	at = PG_GETARG_TIMESTAMPTZ(2);
	/* before those that are as late: what came first is taken for the later */
	for (place = state->count; place > 0 && state->values[place - 1].at >= at; place--)
		;
	if (state->count == state->limit)
	{
		if (place == 0)
			PG_RETURN_POINTER(state);
		if (!state->values[0].isnull && !state->typbyval)
			pfree(DatumGetPointer(state->values[0].value));
		place--;
		memmove(&state->values[0], &state->values[1], sizeof(TimedValue) * place);
	}
	else
	{
		if (state->count == state->allocated)
		{
			state->allocated = Min((int64) state->allocated * 2, state->limit);
			state->values = (TimedValue *) repalloc_huge(state->values, sizeof(TimedValue) * state->allocated);
		}
		memmove(&state->values[place + 1], &state->values[place],
				sizeof(TimedValue) * (state->count - place));
		state->count++;
	}
	old = MemoryContextSwitchTo(context);
	set_value(state, &state->values[place], fcinfo);
	MemoryContextSwitchTo(old);
	PG_RETURN_POINTER(state);
}

Datum
feathub_last_values_end(PG_FUNCTION_ARGS)
{
	TimedValues *state = PG_ARGISNULL(0) ? NULL : (TimedValues *) PG_GETARG_POINTER(0);
	Datum	   *values;
	bool	   *nulls;
	int			dims[1];
	int			lbs[1] = {1};

	if (state == NULL)
		PG_RETURN_NULL();
	values = (Datum *) palloc(sizeof(Datum) * (state->count + 1));
	nulls = (bool *) palloc(sizeof(bool) * (state->count + 1));
	for (int i = 0; i < state->count; i++)
	{
		values[i] = state->values[i].value;
		nulls[i] = state->values[i].isnull;
	}
	dims[0] = state->count;
	PG_RETURN_ARRAYTYPE_P(state->count == 0 ? construct_empty_array(state->type) :
						  construct_md_array(values, nulls, 1, dims, lbs, state->type,
											 state->typlen, state->typbyval, state->typalign));
}
