/*
 * training_split.c
 *		Splits of training data: at random or by time.
 *
 * At random: the splits' fractions, in jsonb's order of their names, divide
 * [0, 1), and a row belongs where feathub.split_fraction of the seed and its
 * key falls.  That is a function of these alone, so that a row stays in its
 * split when others come and go, and anybody can compute it.
 *
 * By time: each split's value is the time at which it ends; it begins where
 * the one before ends.  The one with null has no end.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "common/cryptohash.h"
#include "common/sha2.h"
#include "fmgr.h"
#include "nodes/makefuncs.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"
#include "utils/numeric.h"
#include "utils/timestamp.h"

#include "core/compat.h"
#include "features/parse_fragment.h"
#include "features/training_query.h"

/* How far the sum of fractions may be from 1. */
#define FRACTION_TOLERANCE 1e-9

typedef struct Split
{
	char	   *name;
	double		fraction;		/* at random */
	TimestampTz end;			/* by time; DT_NOEND: no end */
} Split;

static List *read_splits(Datum splits, bool *by_time);
static int	compare_ends(const ListCell *a, const ListCell *b);
static Node *random_split(const FeathubTrainingRequest *request, const FeathubTrainingSource *source,
						  List *splits);
static Node *time_split(const FeathubTrainingSource *source, List *splits, Node **condition);
static Node *make_key(const FeathubTrainingRequest *request, const FeathubTrainingSource *source);
static Node *make_call(const char *schema, const char *name, List *args);
static Node *make_cast(Node *node, Oid type);
static Node *make_array(List *elements, Oid type);
static Node *choose(List *splits, Node *number);

PG_FUNCTION_INFO_V1(feathub_split_fraction);

/* feathub.split_fraction(seed, key) */
Datum
feathub_split_fraction(PG_FUNCTION_ARGS)
{
	Jsonb	   *key = PG_GETARG_JSONB_P(1);
	StringInfoData text;
	uint8		digest[PG_SHA256_DIGEST_LENGTH];
	pg_cryptohash_ctx *hash = pg_cryptohash_create(PG_SHA256);
	uint64		bits = 0;

	initStringInfo(&text);
	appendStringInfo(&text, INT64_FORMAT ":", PG_GETARG_INT64(0));
	(void) JsonbToCString(&text, &key->root, VARSIZE(key));
	if (pg_cryptohash_init(hash) < 0 ||
		pg_cryptohash_update(hash, (uint8 *) text.data, text.len) < 0 ||
		pg_cryptohash_final(hash, digest, sizeof(digest)) < 0)
		elog(ERROR, "could not compute a hash: %s", pg_cryptohash_error(hash));
	pg_cryptohash_free(hash);
	pfree(text.data);

	for (int i = 0; i < 8; i++)
		bits = (bits << 8) | digest[i];
	PG_RETURN_FLOAT8((double) (bits >> 11) / (double) (UINT64CONST(1) << 53));
}

Node *
FeathubTrainingSplit(const FeathubTrainingRequest *request, const FeathubTrainingSource *source,
					 Node **condition)
{
	bool		by_time;
	List	   *splits;

	*condition = NULL;
	if (request->splits == (Datum) 0)
	{
		if (request->split_by != NIL)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("argument \"%s\" needs argument \"%s\"", "split_by", "splits")));
		return make_cast(FeathubMakeLiteral("train"), TEXTOID);
	}
	splits = read_splits(request->splits, &by_time);
	if (!by_time)
		return random_split(request, source, splits);
	if (request->split_by != NIL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("argument \"%s\" has no meaning for splits by time", "split_by")));
	return time_split(source, splits, condition);
}

/* {"name": fraction, ...} or {"name": "end" | null, ...} */
static List *
read_splits(Datum splits, bool *by_time)
{
	Jsonb	   *json = DatumGetJsonbP(splits);
	JsonbIterator *iterator;
	JsonbIteratorToken token;
	JsonbValue	value;
	List	   *result = NIL;
	Split	   *split = NULL;
	int			nfractions = 0;
	double		sum = 0;

	if (!JB_ROOT_IS_OBJECT(json) || JB_ROOT_COUNT(json) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("argument \"%s\" must be an object of names and fractions or times", "splits"),
				 errhint("For example {\"train\": 0.8, \"test\": 0.2} or {\"train\": \"2024-01-01\", \"test\": null}.")));
	iterator = JsonbIteratorInit(&json->root);
	while ((token = JsonbIteratorNext(&iterator, &value, true)) != WJB_DONE)
	{
		if (token == WJB_KEY)
		{
			split = (Split *) palloc0(sizeof(Split));
			split->name = pnstrdup(value.val.string.val, value.val.string.len);
			result = lappend(result, split);
		}
		if (token != WJB_VALUE)
			continue;
		switch (value.type)
		{
			case jbvNumeric:
				nfractions++;
				split->fraction = DatumGetFloat8(DirectFunctionCall1(numeric_float8,
																	 NumericGetDatum(value.val.numeric)));
				if (!(split->fraction > 0 && split->fraction <= 1))
					ereport(ERROR,
							(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
							 errmsg("fraction of split \"%s\" must be greater than 0 and not greater than 1",
									split->name)));
				sum += split->fraction;
				break;
			case jbvString:
				split->end = DatumGetTimestampTz(DirectFunctionCall3(timestamptz_in,
																	 CStringGetDatum(pnstrdup(value.val.string.val,
																							  value.val.string.len)),
																	 ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1)));
				break;
			case jbvNull:
				split->end = DT_NOEND;
				break;
			default:
				ereport(ERROR,
						(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						 errmsg("split \"%s\" must be a fraction, a time or null", split->name)));
		}
	}

	*by_time = nfractions == 0;
	if (!*by_time)
	{
		if (nfractions != list_length(result))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("splits must be fractions or times, not both")));
		if (Abs(sum - 1) > FRACTION_TOLERANCE)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("fractions of the splits must add up to 1"),
					 errdetail("They add up to %g.", sum)));
		return result;
	}
	list_sort(result, compare_ends);
	for (int i = 1; i < list_length(result); i++)
		if (((Split *) list_nth(result, i))->end == ((Split *) list_nth(result, i - 1))->end)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("splits \"%s\" and \"%s\" end at the same time",
							((Split *) list_nth(result, i - 1))->name, ((Split *) list_nth(result, i))->name)));
	return result;
}

static int
compare_ends(const ListCell *a, const ListCell *b)
{
	const Split *left = (const Split *) lfirst(a);
	const Split *right = (const Split *) lfirst(b);

	return left->end < right->end ? -1 : left->end > right->end ? 1 : strcmp(left->name, right->name);
}

/* (names)[1 + width_bucket(split_fraction(seed, key), bounds)] */
static Node *
random_split(const FeathubTrainingRequest *request, const FeathubTrainingSource *source, List *splits)
{
	List	   *bounds = NIL;
	double		sum = 0;
	Node	   *fraction;
	ListCell   *lc;

	if (list_length(splits) == 1)
		return make_cast(FeathubMakeLiteral(((Split *) linitial(splits))->name), TEXTOID);
	foreach(lc, splits)
	{
		sum += ((Split *) lfirst(lc))->fraction;
		if (foreach_current_index(lc) < list_length(splits) - 1)
			bounds = lappend(bounds, FeathubMakeLiteral(DatumGetCString(DirectFunctionCall1(float8out, Float8GetDatum(sum)))));
	}
	fraction = make_call("feathub", "split_fraction",
						 list_make2(make_cast(FeathubMakeLiteral(psprintf(INT64_FORMAT, request->seed)), INT8OID),
									make_key(request, source)));
	return choose(splits, make_call("pg_catalog", "width_bucket",
									list_make2(fraction, make_array(bounds, FLOAT8OID))));
}

/* jsonb_build_array(columns), with times in UTC whatever the session's zone */
static Node *
make_key(const FeathubTrainingRequest *request, const FeathubTrainingSource *source)
{
	List	   *names = request->split_by;
	List	   *args = NIL;
	ListCell   *lc;

	if (names == NIL)
	{
		if (source->keys == NIL)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("the entity keys of feature view \"%s\" are not among its columns", source->alias),
					 errhint("Name the columns to split by in split_by.")));
		names = list_copy(source->keys);
		if (source->event_time != NULL)
			names = lappend(names, source->event_time);
	}
	foreach(lc, names)
	{
		const char *name = (const char *) lfirst(lc);
		Node	   *column = FeathubMakeColumnRef(source->alias, name);
		ListCell   *lc2;
		ListCell   *lc3;
		bool		found = false;

		forboth(lc2, source->columns, lc3, source->types)
		{
			if (strcmp((const char *) lfirst(lc2), name) != 0)
				continue;
			found = true;
			if (getBaseType(lfirst_oid(lc3)) == TIMESTAMPTZOID)
				column = make_call("pg_catalog", "timezone",
								   list_make2(make_cast(FeathubMakeLiteral("UTC"), TEXTOID),
											  make_cast(column, TIMESTAMPTZOID)));
		}
		if (!found)
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_COLUMN),
					 errmsg("column \"%s\" of feature view \"%s\" does not exist", name, source->alias),
					 errhint("split_by names columns of the view.")));
		args = lappend(args, column);
	}
	return make_call("pg_catalog", "jsonb_build_array", args);
}

static Node *
time_split(const FeathubTrainingSource *source, List *splits, Node **condition)
{
	List	   *bounds = NIL;
	Split	   *last = (Split *) llast(splits);
	Node	   *time;
	ListCell   *lc;

	if (source->event_time == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the event time of feature view \"%s\" is not among its columns", source->alias),
				 errhint("Splits by time need it: add it to the view's select list.")));
	time = make_cast(FeathubMakeColumnRef(source->alias, source->event_time), TIMESTAMPTZOID);
	foreach(lc, splits)
	{
		Split	   *split = (Split *) lfirst(lc);

		if (split->end == DT_NOEND)
			break;
		bounds = lappend(bounds, FeathubMakeLiteral(pstrdup(timestamptz_to_str(split->end))));
	}
	if (last->end != DT_NOEND)
		*condition = FeathubMakeServerOperator("<", (Node *) copyObject(time),
											   make_cast(FeathubMakeLiteral(pstrdup(timestamptz_to_str(last->end))),
														 TIMESTAMPTZOID));
	else
	{
		NullTest   *test = makeNode(NullTest);

		test->arg = (Expr *) copyObject(time);
		test->nulltesttype = IS_NOT_NULL;
		test->location = -1;
		*condition = (Node *) test;
	}
	if (bounds == NIL)
		return make_cast(FeathubMakeLiteral(last->name), TEXTOID);
	return choose(splits, make_call("pg_catalog", "width_bucket",
									list_make2(time, make_array(bounds, TIMESTAMPTZOID))));
}

/* The name of the split with that number, from 0. */
static Node *
choose(List *splits, Node *number)
{
	A_Indirection *result = makeNode(A_Indirection);
	A_Indices  *index = makeNode(A_Indices);
	List	   *names = NIL;
	A_Const    *one = makeNode(A_Const);
	ListCell   *lc;

	foreach(lc, splits)
		names = lappend(names, FeathubMakeLiteral(((Split *) lfirst(lc))->name));
	one->val.ival.type = T_Integer;
	one->val.ival.ival = 1;
	one->location = -1;
	index->uidx = FeathubMakeServerOperator("+", (Node *) one, number);
	result->arg = make_array(names, TEXTOID);
	result->indirection = list_make1(index);
	return (Node *) result;
}

static Node *
make_call(const char *schema, const char *name, List *args)
{
	return (Node *) makeFuncCall(list_make2(makeString(pstrdup(schema)), makeString(pstrdup(name))),
								 args, COERCE_EXPLICIT_CALL, -1);
}

static Node *
make_cast(Node *node, Oid type)
{
	TypeCast   *cast = makeNode(TypeCast);

	cast->arg = node;
	cast->typeName = makeTypeNameFromOid(type, -1);
	cast->location = -1;
	return (Node *) cast;
}

static Node *
make_array(List *elements, Oid type)
{
	A_ArrayExpr *array = makeNode(A_ArrayExpr);

	array->elements = elements;
	array->location = -1;
	return make_cast((Node *) array, get_array_type(type));
}
