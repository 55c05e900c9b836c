/*
 * redis_restrict.c
 *		WHERE clauses as keys to read and ranges of scores and times.
 *
 * All clauses are checked again when rows are here, so what is found in them may
 * let too much through, never too little.  A key is its bytes: only types whose
 * equal values have the same bytes count.  Range operators count on a sorted
 * set's score and on the time in a stream's ids.
 *
 * In a plan a restriction is a list of lists of integers:
 * what, which column, strategy, number of the parameter, type.
 */
#include "postgres.h"

#include <math.h>

#include "access/stratnum.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/clauses.h"
#include "optimizer/optimizer.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/float.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "utils/typcache.h"

#include "connectors/redis/redis.h"

/* Keys made of several IN lists; more are not worth it. */
#define MAX_DIRECT_KEYS	1000000

/* What an item of the list is about. */
enum
{
	RESTRICT_EQUAL,
	RESTRICT_ANY,
	RESTRICT_SCORE,
	RESTRICT_TIME,
	RESTRICT_ID
};

/* Items of an item */
enum
{
	ITEM_WHAT,
	ITEM_COLUMN,
	ITEM_STRATEGY,
	ITEM_PARAM,
	ITEM_TYPE
};

/* Values allowed for one key column. */
typedef struct KeyValues
{
	int			n;
	RedisBytes *values;
} KeyValues;

static List *plan_clause(RedisTable *table, PlannerInfo *root, RelOptInfo *baserel,
						 Node *clause, List **params);
static AttrNumber column_of(RelOptInfo *baserel, Node *node);
static int	key_index(RedisTable *table, AttrNumber attnum);
static bool usable_value(PlannerInfo *root, RelOptInfo *baserel, Node *node);
static int	strategy_of(Oid opno, Oid type);
static bool same_bytes(Oid column, Oid value);
static void evaluate_keys(RedisTable *table, RedisRestriction *restriction,
						  const Datum *values, const bool *isnull, RedisKeys *keys);
static bool evaluate_column(RedisTable *table, RedisRestriction *restriction, int column,
							const Datum *values, const bool *isnull, KeyValues *result);
static void make_keys(RedisTable *table, KeyValues *values, RedisKeys *keys);
static void sort_keys(RedisKeys *keys);
static void evaluate_bounds(RedisTable *table, RedisRestriction *restriction,
							const Datum *values, const bool *isnull, RedisKeys *keys);

List *
FeathubRedisRestrictPlan(RedisTable *table, PlannerInfo *root, RelOptInfo *baserel,
						 List *clauses, List **params)
{
	List	   *items = NIL;
	ListCell   *lc;

	foreach(lc, clauses)
	{
		Node	   *clause = lfirst(lc);
		List	   *item;

		if (IsA(clause, RestrictInfo))
			clause = (Node *) ((RestrictInfo *) clause)->clause;
		item = plan_clause(table, root, baserel, clause, params);
		if (item != NIL)
			items = lappend(items, item);
	}
	return items;
}

RedisRestriction *
FeathubRedisRestrictRead(RedisTable *table, List *tree)
{
	RedisRestriction *restriction = palloc0(sizeof(RedisRestriction));
	ListCell   *lc;

	restriction->equal = palloc(sizeof(int) * Max(table->nkeys, 1));
	restriction->any = palloc(sizeof(int) * Max(table->nkeys, 1));
	restriction->types = palloc0(sizeof(Oid) * Max(table->nkeys, 1));
	for (int i = 0; i < table->nkeys; i++)
		restriction->equal[i] = restriction->any[i] = -1;
	foreach(lc, tree)
	{
		List	   *item = lfirst(lc);
		int			column = list_nth_int(item, ITEM_COLUMN);
		int			param = list_nth_int(item, ITEM_PARAM);

		switch (list_nth_int(item, ITEM_WHAT))
		{
			case RESTRICT_EQUAL:
				restriction->equal[column] = param;
				restriction->any[column] = -1;
				restriction->types[column] = (Oid) list_nth_int(item, ITEM_TYPE);
				break;
			case RESTRICT_ANY:
				if (restriction->equal[column] >= 0 || restriction->any[column] >= 0)
					break;
				restriction->any[column] = param;
				restriction->types[column] = (Oid) list_nth_int(item, ITEM_TYPE);
				break;
			default:
				restriction->bounds = lappend(restriction->bounds, item);
				break;
		}
	}
	restriction->all_keys = table->nkeys > 0;
	for (int i = 0; i < table->nkeys; i++)
		restriction->all_keys &= restriction->equal[i] >= 0 || restriction->any[i] >= 0;
	return restriction;
}

Bitmapset *
FeathubRedisLookupColumns(FeathubRelation *rel)
{
	RedisTable *table = FeathubRedisTableMake(rel);
	Bitmapset  *columns = NULL;

	for (int i = 0; i < table->nkeys; i++)
	{
		AttrNumber	attnum = table->keys[i].attnum;

		if (!FeathubRedisIsKeyType(table->keys[i].typid,
								   TupleDescAttr(rel->tupdesc, attnum - 1)->attcollation))
			return NULL;
		columns = bms_add_member(columns, attnum);
	}
	return columns;
}

bool
FeathubRedisLookupSaves(FeathubRelation *rel, PlannerInfo *root, RelOptInfo *baserel,
						List *clauses)
{
	RedisTable *table = FeathubRedisTableMake(rel);
	List	   *params = NIL;
	List	   *tree = FeathubRedisRestrictPlan(table, root, baserel, clauses, &params);

	return FeathubRedisRestrictRead(table, tree)->all_keys && !table->options->key_set;
}

bool
FeathubRedisIsKeyType(Oid typid, Oid collation)
{
	Oid			base = getBaseType(typid);

	switch (base)
	{
		case TEXTOID:
		case VARCHAROID:
			return !OidIsValid(collation) || get_collation_isdeterministic(collation);
		case BYTEAOID:
		case INT2OID:
		case INT4OID:
		case INT8OID:
		case BOOLOID:
		case UUIDOID:
		case DATEOID:
		case TIMESTAMPOID:
		case TIMESTAMPTZOID:
			return true;
		default:
			return type_is_enum(base);
	}
}

void
FeathubRedisRestrictEvaluate(RedisTable *table, RedisRestriction *restriction,
							 const Datum *values, const bool *isnull, RedisKeys *keys)
{
	FeathubTextModes modes;

	memset(keys, 0, sizeof(RedisKeys));
	keys->known = palloc0(sizeof(RedisBytes) * Max(table->nkeys, 1));
	FeathubTextModesSet(&modes, NULL);
	PG_TRY();
	{
		evaluate_keys(table, restriction, values, isnull, keys);
		evaluate_bounds(table, restriction, values, isnull, keys);
	}
	PG_FINALLY();
	{
		FeathubTextModesRestore(&modes);
	}
	PG_END_TRY();
}

char *
FeathubRedisRestrictDescribe(RedisTable *table, RedisRestriction *restriction)
{
	static const char *const operators[] = {"?", "<", "<=", "=", ">=", ">"};
	StringInfoData out;
	ListCell   *lc;

	initStringInfo(&out);
	for (int i = 0; i < table->nkeys; i++)
	{
		if (restriction->equal[i] < 0 && restriction->any[i] < 0)
			continue;
		appendStringInfo(&out, "%s%s %s", out.len > 0 ? ", " : "",
						 quote_identifier(table->keys[i].attname),
						 restriction->equal[i] >= 0 ? "= value" : "= any of a list");
	}
	foreach(lc, restriction->bounds)
	{
		List	   *item = lfirst(lc);
		int			what = list_nth_int(item, ITEM_WHAT);

		appendStringInfo(&out, "%s%s %s value", out.len > 0 ? ", " : "",
						 what == RESTRICT_SCORE ? "score" :
						 what == RESTRICT_TIME ? "time" : "id",
						 operators[list_nth_int(item, ITEM_STRATEGY)]);
	}
	return out.data;
}

/* Planning */

/* What one clause says, or NIL. */
static List *
plan_clause(RedisTable *table, PlannerInfo *root, RelOptInfo *baserel, Node *clause,
			List **params)
{
	Node	   *left;
	Node	   *right;
	AttrNumber	attnum;
	Oid			opno;
	Oid			collation;
	Oid			type;
	Oid			value_type;
	bool		any = IsA(clause, ScalarArrayOpExpr);
	int			what;
	int			column = -1;
	int			strategy;

	if (any)
	{
		ScalarArrayOpExpr *expr = (ScalarArrayOpExpr *) clause;

		if (!expr->useOr)
			return NIL;
		left = linitial(expr->args);
		right = lsecond(expr->args);
		opno = expr->opno;
		collation = expr->inputcollid;
	}
	else if (IsA(clause, OpExpr) && list_length(((OpExpr *) clause)->args) == 2)
	{
		OpExpr	   *expr = (OpExpr *) clause;

		left = linitial(expr->args);
		right = lsecond(expr->args);
		opno = expr->opno;
		collation = expr->inputcollid;
	}
	else if (IsA(clause, Var) || IsA(clause, BoolExpr))
	{
		/* b and NOT b, of a boolean key */
		bool		negated = IsA(clause, BoolExpr);

		if (negated && ((BoolExpr *) clause)->boolop != NOT_EXPR)
			return NIL;
		left = negated ? linitial(((BoolExpr *) clause)->args) : clause;
		right = makeBoolConst(!negated, false);
		if (exprType(left) != BOOLOID)
			return NIL;
		opno = BooleanEqualOperator;
		collation = InvalidOid;
	}
	else
		return NIL;

	attnum = column_of(baserel, left);
	if (attnum == 0 && !any)
	{
		Node	   *swap = left;

		left = right;
		right = swap;
		opno = get_commutator(opno);
		attnum = column_of(baserel, left);
	}
	if (attnum <= 0 || !OidIsValid(opno) || !usable_value(root, baserel, right))
		return NIL;
	type = getBaseType(TupleDescAttr(table->rel->tupdesc, attnum - 1)->atttypid);
	value_type = getBaseType(exprType(right));
	if (any)
		value_type = getBaseType(get_element_type(value_type));
	strategy = strategy_of(opno, type);

	column = key_index(table, attnum);
	if (column >= 0)
	{
		what = any ? RESTRICT_ANY : RESTRICT_EQUAL;
		if (strategy != BTEqualStrategyNumber || !same_bytes(type, value_type) ||
			!FeathubRedisIsKeyType(type, collation))
			return NIL;
	}
	else if (any || strategy == 0)
		return NIL;
	else if (attnum == table->metadata[REDIS_META_SCORE] && value_type == FLOAT8OID)
		what = RESTRICT_SCORE;
	else if (attnum == table->metadata[REDIS_META_TIME] && value_type == TIMESTAMPTZOID)
		what = RESTRICT_TIME;
	else if (attnum == table->metadata[REDIS_META_ID] && value_type == TEXTOID &&
			 strategy == BTEqualStrategyNumber)
		what = RESTRICT_ID;
	else
		return NIL;
	*params = lappend(*params, copyObject(right));
	return list_make5_int(what, column, strategy, list_length(*params) - 1, (int) value_type);
}

/* The column of this scan that an expression is, or 0. */
static AttrNumber
column_of(RelOptInfo *baserel, Node *node)
{
	Var		   *var;

	while (node && IsA(node, RelabelType))
		node = (Node *) ((RelabelType *) node)->arg;
	if (node == NULL || !IsA(node, Var))
		return 0;
	var = (Var *) node;
	return var->varno == baserel->relid && var->varlevelsup == 0 && var->varattno > 0 ?
		var->varattno : 0;
}

static int
key_index(RedisTable *table, AttrNumber attnum)
{
	for (int i = 0; i < table->nkeys; i++)
	{
		if (table->keys[i].attnum == attnum)
			return i;
	}
	return -1;
}

/* Can it be evaluated once, before the scan? */
static bool
usable_value(PlannerInfo *root, RelOptInfo *baserel, Node *node)
{
	return !bms_is_member(baserel->relid, pull_varnos(root, node)) &&
		!contain_volatile_functions(node) && !contain_subplans(node);
}

/* The operator's strategy among those of the type, or 0. */
static int
strategy_of(Oid opno, Oid type)
{
	TypeCacheEntry *entry = lookup_type_cache(type, TYPECACHE_BTREE_OPFAMILY);

	return OidIsValid(entry->btree_opf) ? get_op_opfamily_strategy(opno, entry->btree_opf) : 0;
}

/* Are equal values of both types the same text? */
static bool
same_bytes(Oid column, Oid value)
{
	if (column == value)
		return true;
	if (column == INT2OID || column == INT4OID || column == INT8OID)
		return value == INT2OID || value == INT4OID || value == INT8OID;
	if (column == TEXTOID || column == VARCHAROID)
		return value == TEXTOID || value == VARCHAROID;
	if (type_is_enum(column))
		return value == ANYENUMOID;
	return false;
}

/* Evaluation */

/* The keys that equalities leave. */
static void
evaluate_keys(RedisTable *table, RedisRestriction *restriction, const Datum *values,
			  const bool *isnull, RedisKeys *keys)
{
	KeyValues  *columns = palloc0(sizeof(KeyValues) * Max(table->nkeys, 1));
	double		product = 1;

	for (int i = 0; i < table->nkeys; i++)
	{
		if (restriction->equal[i] < 0 && restriction->any[i] < 0)
			continue;
		if (!evaluate_column(table, restriction, i, values, isnull, &columns[i]))
		{
			keys->none = true;
			return;
		}
		product *= columns[i].n;
		if (columns[i].n == 1)
			keys->known[i] = columns[i].values[0];
	}
	/* whether a key is in the set of keys only the set knows */
	if (!restriction->all_keys || product > MAX_DIRECT_KEYS || table->options->key_set)
		return;
	keys->direct = true;
	make_keys(table, columns, keys);
}

/* The values allowed for one column; false if there are none. */
static bool
evaluate_column(RedisTable *table, RedisRestriction *restriction, int column,
				const Datum *values, const bool *isnull, KeyValues *result)
{
	bool		any = restriction->equal[column] < 0;
	int			param = any ? restriction->any[column] : restriction->equal[column];
	RedisCodec *codec = FeathubRedisCodecMake(restriction->types[column] == ANYENUMOID ?
											  table->keys[column].typid : restriction->types[column],
											  -1, false, table->settings);
	Datum	   *elements;
	bool	   *nulls;
	int			n;

	if (isnull[param])
		return false;
	if (!any)
	{
		result->n = 1;
		result->values = palloc(sizeof(RedisBytes));
		result->values[0] = FeathubRedisEncode(codec, values[param]);
		return true;
	}
	else
	{
		ArrayType  *array = DatumGetArrayTypeP(values[param]);
		int16		typlen;
		bool		typbyval;
		char		typalign;

		get_typlenbyvalalign(ARR_ELEMTYPE(array), &typlen, &typbyval, &typalign);
		deconstruct_array(array, ARR_ELEMTYPE(array), typlen, typbyval, typalign,
						  &elements, &nulls, &n);
	}
	result->values = palloc(sizeof(RedisBytes) * Max(n, 1));
	for (int i = 0; i < n; i++)
	{
		if (!nulls[i])
			result->values[result->n++] = FeathubRedisEncode(codec, elements[i]);
	}
	return result->n > 0;
}

/* All combinations, each once. */
static void
make_keys(RedisTable *table, KeyValues *values, RedisKeys *keys)
{
	int		   *index = palloc0(sizeof(int) * table->nkeys);
	RedisBytes *parts = palloc(sizeof(RedisBytes) * table->nkeys);
	int			column;

	initStringInfo(&keys->data);
	for (;;)
	{
		int			begin = keys->data.len;

		for (int i = 0; i < table->nkeys; i++)
			parts[i] = values[i].values[index[i]];
		FeathubRedisKeyRender(&table->template, parts, &keys->data);
		if (keys->nkeys == keys->maxkeys)
		{
			keys->maxkeys = Max(16, keys->maxkeys * 2);
			keys->keys = keys->keys ?
				repalloc_huge(keys->keys, sizeof(RedisBytes) * keys->maxkeys) :
				palloc(sizeof(RedisBytes) * keys->maxkeys);
		}
		keys->keys[keys->nkeys].data = (char *) NULL + begin;
		keys->keys[keys->nkeys++].len = keys->data.len - begin;

		for (column = table->nkeys - 1; column >= 0; column--)
		{
			if (++index[column] < values[column].n)
				break;
			index[column] = 0;
		}
		if (column < 0)
			break;
	}
	for (int i = 0; i < keys->nkeys; i++)
		keys->keys[i].data = keys->data.data + (keys->keys[i].data - (char *) NULL);
	if (keys->nkeys > 1)
		sort_keys(keys);
}

static int
compare_bytes(const void *a, const void *b)
{
	const RedisBytes *x = a;
	const RedisBytes *y = b;
	int			result = memcmp(x->data, y->data, Min(x->len, y->len));

	return result != 0 ? result : (x->len > y->len) - (x->len < y->len);
}

static void
sort_keys(RedisKeys *keys)
{
	int			n = 0;

	qsort(keys->keys, keys->nkeys, sizeof(RedisBytes), compare_bytes);
	for (int i = 0; i < keys->nkeys; i++)
	{
		if (n == 0 || compare_bytes(&keys->keys[n - 1], &keys->keys[i]) != 0)
			keys->keys[n++] = keys->keys[i];
	}
	keys->nkeys = n;
}

/* Milliseconds since 1970 of a time, down or up; 0 at least. */
static int64
milliseconds(TimestampTz time, bool up)
{
	const int64 epoch = INT64CONST(946684800000000);
	int64		us;

	if (TIMESTAMP_IS_NOBEGIN(time) || time < -epoch)
		return 0;
	if (time > PG_INT64_MAX - epoch)
		return PG_INT64_MAX / 1000;
	us = time + epoch;
	return us / 1000 + (up && us % 1000 != 0 ? 1 : 0);
}

/* The range of scores or ids that the bounds leave. */
static void
evaluate_bounds(RedisTable *table, RedisRestriction *restriction, const Datum *values,
				const bool *isnull, RedisKeys *keys)
{
	bool		zset = table->kind == REDIS_KIND_ZSET;
	double		min = -get_float8_infinity();
	double		max = get_float8_infinity();
	bool		min_open = false;
	bool		max_open = false;
	int64		first = 0;
	int64		last = PG_INT64_MAX;
	const char *id = NULL;
	ListCell   *lc;

	foreach(lc, restriction->bounds)
	{
		List	   *item = lfirst(lc);
		int			strategy = list_nth_int(item, ITEM_STRATEGY);
		int			param = list_nth_int(item, ITEM_PARAM);
		bool		lower = strategy >= BTEqualStrategyNumber;
		bool		upper = strategy <= BTEqualStrategyNumber;

		if (isnull[param])
		{
			keys->none = true;
			return;
		}
		switch (list_nth_int(item, ITEM_WHAT))
		{
			case RESTRICT_SCORE:
				{
					double		value = DatumGetFloat8(values[param]);

					/* NaN is greater than every score, which Redis does not know */
					if (isnan(value))
					{
						if (lower)
							keys->none = true;
						break;
					}
					if (lower && value >= min)
					{
						min_open = (value == min && min_open) || strategy == BTGreaterStrategyNumber;
						min = value;
					}
					if (upper && value <= max)
					{
						max_open = (value == max && max_open) || strategy == BTLessStrategyNumber;
						max = value;
					}
				}
				break;
			case RESTRICT_TIME:
				/* a column shows whole milliseconds, and the filter is exact */
				if (lower)
					first = Max(first, milliseconds(DatumGetTimestampTz(values[param]), false));
				if (upper)
					last = Min(last, milliseconds(DatumGetTimestampTz(values[param]), true));
				break;
			default:
				id = TextDatumGetCString(values[param]);
				break;
		}
	}
	if (zset)
	{
		keys->none |= min > max;
		keys->range.min = isinf(min) && min < 0 && !min_open ? "-inf" :
			psprintf("%s%.17g", min_open ? "(" : "", min);
		keys->range.max = isinf(max) && max > 0 && !max_open ? "+inf" :
			psprintf("%s%.17g", max_open ? "(" : "", max);
		return;
	}
	keys->none |= first > last;
	keys->range.min = first > 0 ? psprintf(INT64_FORMAT, first) : "-";
	keys->range.max = last < PG_INT64_MAX / 1000 ? psprintf(INT64_FORMAT, last) : "+";
	if (id)
	{
		/* only what is an id can be one */
		if (strspn(id, "0123456789-") != strlen(id) || id[0] == '\0' || id[0] == '-' ||
			strchr(id, '-') == NULL || id[strlen(id) - 1] == '-' ||
			strchr(id, '-') != strrchr(id, '-') || strlen(id) > 41)
			keys->none = true;
		else
			keys->range.min = keys->range.max = id;
	}
}
