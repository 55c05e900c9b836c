/*
 * training_transform.c
 *		Scaling and encoding by the statistics of training data.
 *
 * Each function has two forms: one with numbers or categories, which is pure,
 * and one that names training data, which looks them up.  In the query of a
 * feature view the latter is replaced by the former when the view is made.
 */
#include "postgres.h"

#include <math.h>

#include "access/htup_details.h"
#include "catalog/namespace.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parse_func.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"
#include "utils/varlena.h"

#include "core/compat.h"
#include "core/training_catalog.h"
#include "features/training_transform.h"

typedef enum TransformKind
{
	STANDARD_SCALE,
	MIN_MAX_SCALE,
	ROBUST_SCALE,
	LABEL_ENCODE,
	ONE_HOT_ENCODE
} TransformKind;

static const char *const transform_names[] = {
	[STANDARD_SCALE] = "standard_scale",
	[MIN_MAX_SCALE] = "min_max_scale",
	[ROBUST_SCALE] = "robust_scale",
	[LABEL_ENCODE] = "label_encode",
	[ONE_HOT_ENCODE] = "one_hot_encode",
};

/* What a transform applies. */
typedef struct Transform
{
	double		offset;			/* of scaling */
	double		scale;
	Datum		categories;		/* of encoding: text[] */
} Transform;

/* Categories made ready for look-ups, kept for the query. */
typedef struct Encoder
{
	int			ncategories;
	char	  **categories;
	bool		sorted;			/* by strcmp */
	FmgrInfo	output;			/* of the value's type */
} Encoder;

static Node *statistics_mutator(Node *node, void *arg);
static bool names_training_data(FuncExpr *call, TransformKind *kind);
static Node *apply_statistics(FuncExpr *call, TransformKind kind);
static char *constant_text(Node *node, TransformKind kind);
static void load_transform(TransformKind kind, const char *name, const char *feature,
						   const char *split, Transform *transform);
static Transform *look_up(FunctionCallInfo fcinfo, TransformKind kind);
static Datum scale(FunctionCallInfo fcinfo, TransformKind kind);
static Encoder *make_encoder(ArrayType *array, Oid type, MemoryContext context);
static Encoder *get_encoder(FunctionCallInfo fcinfo);
static Encoder *look_up_encoder(FunctionCallInfo fcinfo, TransformKind kind);
static int	find_category(const Encoder *encoder, const char *value);
static Datum label_encode(FunctionCallInfo fcinfo, Encoder *encoder);
static Datum one_hot_encode(FunctionCallInfo fcinfo, Encoder *encoder);

PG_FUNCTION_INFO_V1(feathub_standard_scale_of);
PG_FUNCTION_INFO_V1(feathub_min_max_scale_of);
PG_FUNCTION_INFO_V1(feathub_robust_scale_of);
PG_FUNCTION_INFO_V1(feathub_label_encode);
PG_FUNCTION_INFO_V1(feathub_label_encode_of);
PG_FUNCTION_INFO_V1(feathub_one_hot_encode);
PG_FUNCTION_INFO_V1(feathub_one_hot_encode_of);

/*
 * In the query of a feature view
 */

void
FeathubViewApplyStatistics(Query *query)
{
	(void) query_tree_mutator(query, statistics_mutator, NULL,
							  QTW_IGNORE_JOINALIASES | QTW_DONT_COPY_QUERY);
}

static Node *
statistics_mutator(Node *node, void *arg)
{
	TransformKind kind;

	if (node == NULL)
		return NULL;
	if (IsA(node, Query))
		return (Node *) query_tree_mutator((Query *) node, statistics_mutator, arg, QTW_IGNORE_JOINALIASES);
	node = expression_tree_mutator(node, statistics_mutator, arg);
	if (IsA(node, FuncExpr) && names_training_data((FuncExpr *) node, &kind))
		return apply_statistics((FuncExpr *) node, kind);
	return node;
}

/* Is it one of our functions, in the form that looks statistics up? */
static bool
names_training_data(FuncExpr *call, TransformKind *kind)
{
	HeapTuple	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(call->funcid));
	Form_pg_proc proc;
	bool		result = false;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for function %u", call->funcid);
	proc = (Form_pg_proc) GETSTRUCT(tuple);
	if (proc->pronargs == 4 && proc->pronamespace == get_namespace_oid("feathub", true))
		for (int i = 0; i < lengthof(transform_names) && !result; i++)
		{
			*kind = (TransformKind) i;
			result = strcmp(NameStr(proc->proname), transform_names[i]) == 0;
		}
	ReleaseSysCache(tuple);
	return result;
}

/* The call with the statistics themselves as arguments. */
static Node *
apply_statistics(FuncExpr *call, TransformKind kind)
{
	HeapTuple	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(call->funcid));
	List	   *args;
	Transform	transform;
	List	   *new_args;
	Oid			types[3];
	List	   *name = list_make2(makeString("feathub"), makeString(pstrdup(transform_names[kind])));
	FuncExpr   *result;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for function %u", call->funcid);
	args = expand_function_arguments(call->args, false, call->funcresulttype, tuple);
	ReleaseSysCache(tuple);
	load_transform(kind, constant_text((Node *) lsecond(args), kind), constant_text((Node *) lthird(args), kind),
				   constant_text((Node *) lfourth(args), kind), &transform);

	if (kind == LABEL_ENCODE || kind == ONE_HOT_ENCODE)
	{
		types[0] = ANYELEMENTOID;
		types[1] = TEXTARRAYOID;
		new_args = list_make2(linitial(args),
							  makeConst(TEXTARRAYOID, -1, DEFAULT_COLLATION_OID, -1, transform.categories, false, false));
	}
	else
	{
		types[0] = types[1] = types[2] = FLOAT8OID;
		new_args = list_make3(linitial(args),
							  makeConst(FLOAT8OID, -1, InvalidOid, sizeof(float8), Float8GetDatum(transform.offset),
										false, FLOAT8PASSBYVAL),
							  makeConst(FLOAT8OID, -1, InvalidOid, sizeof(float8), Float8GetDatum(transform.scale),
										false, FLOAT8PASSBYVAL));
	}
	result = makeFuncExpr(LookupFuncName(name, list_length(new_args), types, false), call->funcresulttype,
						  new_args, call->funccollid, call->inputcollid, COERCE_EXPLICIT_CALL);
	return (Node *) result;
}

/* The text that an argument is, or NULL. */
static char *
constant_text(Node *node, TransformKind kind)
{
	node = eval_const_expressions(NULL, node);
	if (!IsA(node, Const))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("arguments of feathub.%s in a feature view must be constants", transform_names[kind]),
				 errdetail("The statistics of the training data become part of the view.")));
	return ((Const *) node)->constisnull ? NULL : TextDatumGetCString(((Const *) node)->constvalue);
}

/*
 * Statistics
 */

static void
load_transform(TransformKind kind, const char *name, const char *feature, const char *split,
			   Transform *transform)
{
	FeathubTrainingStatistic statistic;
	Oid			relid;
	const double *quantiles = statistic.quantiles;

	if (name == NULL || feature == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("argument \"%s\" must not be null", name == NULL ? "training_data" : "feature")));
	relid = RangeVarGetRelid(makeRangeVarFromNameList(textToQualifiedNameList(cstring_to_text(name))),
							 NoLock, false);
	FeathubTrainingStatisticLoad(relid, feature, split, &statistic);
	switch (kind)
	{
		case STANDARD_SCALE:
			transform->offset = statistic.mean;
			transform->scale = statistic.stddev;
			break;
		case MIN_MAX_SCALE:
			transform->offset = statistic.min;
			transform->scale = statistic.max;
			break;
		case ROBUST_SCALE:
			transform->offset = quantiles[FEATHUB_QUANTILE_50];
			transform->scale = quantiles[FEATHUB_QUANTILE_75] - quantiles[FEATHUB_QUANTILE_25];
			break;
		case LABEL_ENCODE:
		case ONE_HOT_ENCODE:
			transform->categories = statistic.categories;
			if (transform->categories == (Datum) 0)
				ereport(ERROR,
						(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						 errmsg("feature \"%s\" of training data \"%s\" has no list of its values", feature, name),
						 errdetail("It has none, or more than 1000, or its type cannot compare.")));
			return;
	}
	if (isnan(transform->offset) || isnan(transform->scale))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("feature \"%s\" of training data \"%s\" cannot be scaled", feature, name),
				 errdetail("It is no number, or has no value that is one.")));
}

/* What the call's arguments name; kept for the query if they are constants. */
static Transform *
look_up(FunctionCallInfo fcinfo, TransformKind kind)
{
	Transform  *transform = (Transform *) fcinfo->flinfo->fn_extra;
	MemoryContext old;

	if (transform != NULL)
		return transform;
	old = MemoryContextSwitchTo(fcinfo->flinfo->fn_mcxt);
	transform = (Transform *) palloc0(sizeof(Transform));
	load_transform(kind, PG_ARGISNULL(1) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(1)),
				   PG_ARGISNULL(2) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(2)),
				   PG_ARGISNULL(3) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(3)), transform);
	MemoryContextSwitchTo(old);
	if (get_fn_expr_arg_stable(fcinfo->flinfo, 1) && get_fn_expr_arg_stable(fcinfo->flinfo, 2) &&
		get_fn_expr_arg_stable(fcinfo->flinfo, 3))
		fcinfo->flinfo->fn_extra = transform;
	return transform;
}

/*
 * Scaling; the pure forms are in SQL
 */

static Datum
scale(FunctionCallInfo fcinfo, TransformKind kind)
{
	Transform  *transform = look_up(fcinfo, kind);
	double		divisor = kind == MIN_MAX_SCALE ? transform->scale - transform->offset : transform->scale;
	double		value;

	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	value = PG_GETARG_FLOAT8(0) - transform->offset;
	PG_RETURN_FLOAT8(divisor > 0 ? value / divisor : value);
}

Datum
feathub_standard_scale_of(PG_FUNCTION_ARGS)
{
	return scale(fcinfo, STANDARD_SCALE);
}

Datum
feathub_min_max_scale_of(PG_FUNCTION_ARGS)
{
	return scale(fcinfo, MIN_MAX_SCALE);
}

Datum
feathub_robust_scale_of(PG_FUNCTION_ARGS)
{
	return scale(fcinfo, ROBUST_SCALE);
}

/*
 * Encoding
 */

static Encoder *
make_encoder(ArrayType *array, Oid type, MemoryContext context)
{
	MemoryContext old = MemoryContextSwitchTo(context);
	Encoder    *encoder = (Encoder *) palloc0(sizeof(Encoder));
	Datum	   *values;
	bool	   *nulls;
	Oid			output;
	bool		isvarlena;

	deconstruct_array(array, TEXTOID, -1, false, TYPALIGN_INT, &values, &nulls, &encoder->ncategories);
	encoder->categories = (char **) palloc(sizeof(char *) * (encoder->ncategories + 1));
	encoder->sorted = true;
	for (int i = 0; i < encoder->ncategories; i++)
	{
		if (nulls[i])
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("categories must not be null")));
		encoder->categories[i] = TextDatumGetCString(values[i]);
		if (i > 0 && strcmp(encoder->categories[i - 1], encoder->categories[i]) >= 0)
			encoder->sorted = false;
	}
	getTypeOutputInfo(type, &output, &isvarlena);
	fmgr_info_cxt(output, &encoder->output, context);
	MemoryContextSwitchTo(old);
	return encoder;
}

/* Of the pure forms: categories are the second argument. */
static Encoder *
get_encoder(FunctionCallInfo fcinfo)
{
	Encoder    *encoder = (Encoder *) fcinfo->flinfo->fn_extra;
	bool		stable = get_fn_expr_arg_stable(fcinfo->flinfo, 1);

	if (encoder == NULL)
		encoder = make_encoder(PG_GETARG_ARRAYTYPE_P(1), get_fn_expr_argtype(fcinfo->flinfo, 0),
							   stable ? fcinfo->flinfo->fn_mcxt : CurrentMemoryContext);
	if (stable)
		fcinfo->flinfo->fn_extra = encoder;
	return encoder;
}

static Encoder *
look_up_encoder(FunctionCallInfo fcinfo, TransformKind kind)
{
	Encoder    *encoder = (Encoder *) fcinfo->flinfo->fn_extra;
	Transform  *transform;

	if (encoder != NULL)
		return encoder;
	transform = look_up(fcinfo, kind);
	encoder = make_encoder(DatumGetArrayTypeP(transform->categories), get_fn_expr_argtype(fcinfo->flinfo, 0),
						   fcinfo->flinfo->fn_mcxt);
	if (fcinfo->flinfo->fn_extra != NULL)
		fcinfo->flinfo->fn_extra = encoder;
	return encoder;
}

/* The number of a category, from 0, or -1. */
static int
find_category(const Encoder *encoder, const char *value)
{
	int			low = 0;
	int			high = encoder->ncategories;

	if (!encoder->sorted)
	{
		for (int i = 0; i < encoder->ncategories; i++)
			if (strcmp(encoder->categories[i], value) == 0)
				return i;
		return -1;
	}
	while (low < high)
	{
		int			middle = (low + high) / 2;
		int			order = strcmp(encoder->categories[middle], value);

		if (order == 0)
			return middle;
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return -1;
}

static Datum
label_encode(FunctionCallInfo fcinfo, Encoder *encoder)
{
	char	   *value = OutputFunctionCall(&encoder->output, PG_GETARG_DATUM(0));
	int			number = find_category(encoder, value);

	pfree(value);
	PG_RETURN_INT32(number);
}

static Datum
one_hot_encode(FunctionCallInfo fcinfo, Encoder *encoder)
{
	Datum	   *values = (Datum *) palloc(sizeof(Datum) * (encoder->ncategories + 1));
	int			number = PG_ARGISNULL(0) ? -1 :
		find_category(encoder, OutputFunctionCall(&encoder->output, PG_GETARG_DATUM(0)));

	for (int i = 0; i < encoder->ncategories; i++)
		values[i] = Int32GetDatum(i == number ? 1 : 0);
	PG_RETURN_ARRAYTYPE_P(construct_array(values, encoder->ncategories, INT4OID, sizeof(int32), true, TYPALIGN_INT));
}

Datum
feathub_label_encode(PG_FUNCTION_ARGS)
{
	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		PG_RETURN_NULL();
	return label_encode(fcinfo, get_encoder(fcinfo));
}

Datum
feathub_label_encode_of(PG_FUNCTION_ARGS)
{
	Encoder    *encoder = look_up_encoder(fcinfo, LABEL_ENCODE);

	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	return label_encode(fcinfo, encoder);
}

Datum
feathub_one_hot_encode(PG_FUNCTION_ARGS)
{
	if (PG_ARGISNULL(1))
		PG_RETURN_NULL();
	return one_hot_encode(fcinfo, get_encoder(fcinfo));
}

Datum
feathub_one_hot_encode_of(PG_FUNCTION_ARGS)
{
	return one_hot_encode(fcinfo, look_up_encoder(fcinfo, ONE_HOT_ENCODE));
}
