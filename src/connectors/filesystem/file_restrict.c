/*
 * file_restrict.c
 *		What the clauses of a query say of files and of units of a file.
 *
 * A clause whose columns are all partition columns, or the path, is evaluated by
 * the executor's own expressions for each folder and file, as soon as the names
 * so far give values to its columns: a folder that fails is not even listed.
 * Whatever a clause computes without the table's columns becomes a parameter.
 * Functions that might tell others what they see are left out if row security
 * or a security barrier is at work, volatile ones always.
 *
 * Comparisons of other columns become bounds for formats that know ranges of
 * values of their units.  All clauses are checked again for each row.
 */
#include "postgres.h"

#include "access/stratnum.h"
#include "access/sysattr.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/clauses.h"
#include "optimizer/optimizer.h"
#include "parser/parse_coerce.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/typcache.h"

#include "connectors/filesystem/file_restrict.h"

/* Beside btree strategies, in the plan's bounds. */
#define BOUND_IS_NULL		0
#define BOUND_NOT_NULL		(-1)

/*
 * The plan: its clauses; bounds of attnum, strategy, param, collation, type of
 * an array's elements or the value's negated; types of the params.
 */
enum
{
	PLAN_CLAUSES,
	PLAN_BOUNDS,
	PLAN_TYPES
};

/* A clause that runs. */
typedef struct FileClause
{
	ExprState  *state;
	Bitmapset  *partitions;		/* numbers in columns->partitions */
	bool		path;			/* it needs the path, so a file */
} FileClause;

typedef struct PlanContext
{
	PlannerInfo *root;
	RelOptInfo *baserel;
	FeathubRelation *rel;
	FileColumns columns;
	Bitmapset  *deciding;		/* attnums */
	bool		constants_only;
	bool		failed;
	List	   *params;
} PlanContext;

static bool decides(PlanContext *context, Node *clause);
static Node *replace_values(Node *node, PlanContext *context);
static List *plan_bound(PlanContext *context, Node *clause);
static Var *own_column(PlanContext *context, Node *node);
static int	add_param(PlanContext *context, Node *node);
static bool want_name(void *arg, const char *name, bool is_folder);
static void evaluate_bound(FileRestrict *restriction, List *plan, Datum *values, bool *isnull,
						   int nparams);
static bool convert_integer(Datum *value, Oid from, Oid to, int *side);

List *
FeathubFileRestrictPlan(PlannerInfo *root, RelOptInfo *baserel, FeathubRelation *rel,
						List *clauses, bool constants_only, List **params)
{
	PlanContext context = {root, baserel, rel};
	List	   *deciding = NIL;
	List	   *bounds = NIL;
	List	   *types = NIL;
	ListCell   *lc;

	context.constants_only = constants_only;
	context.params = *params;
	FeathubFileColumnsOf(rel, NULL, &context.columns);
	for (int i = 0; i < context.columns.npartitions; i++)
		context.deciding = bms_add_member(context.deciding,
										  context.columns.partitions[i].attnum);
	if (context.columns.metadata[FILE_META_PATH] > 0)
		context.deciding = bms_add_member(context.deciding,
										  context.columns.metadata[FILE_META_PATH]);

	foreach(lc, clauses)
	{
		Node	   *clause = lfirst(lc);

		if (IsA(clause, RestrictInfo))
			clause = (Node *) ((RestrictInfo *) clause)->clause;
		if (decides(&context, clause))
		{
			List	   *save = list_copy(context.params);

			context.failed = false;
			clause = replace_values(clause, &context);
			if (context.failed)
				context.params = save;
			else
				deciding = lappend(deciding, clause);
		}
		else if (rel->format->container && rel->format->container->unit_may_match &&
				 !constants_only)
		{
			List	   *bound = plan_bound(&context, clause);

			if (bound != NIL)
				bounds = lappend(bounds, bound);
		}
	}
	*params = context.params;
	foreach(lc, context.params)
		types = lappend_oid(types, exprType(lfirst(lc)));
	return list_make3(deciding, bounds, types);
}

void
FeathubFileRestrictCounts(List *plan, int *nclauses, int *nbounds)
{
	*nclauses = list_length(list_nth(plan, PLAN_CLAUSES));
	*nbounds = list_length(list_nth(plan, PLAN_BOUNDS));
}

FileRestrict *
FeathubFileRestrictBegin(FeathubRelation *rel, FilePlace *place, List *plan)
{
	FileRestrict *restriction = palloc0(sizeof(FileRestrict));
	ListCell   *lc;

	restriction->rel = rel;
	restriction->place = place;
	restriction->columns = palloc(sizeof(FileColumns));
	FeathubFileColumnsOf(rel, NULL, restriction->columns);
	restriction->partitions = FeathubFilePartitions(restriction->columns);
	restriction->found = palloc0(sizeof(bool) * Max(restriction->columns->npartitions, 1));
	restriction->bound_plan = list_nth(plan, PLAN_BOUNDS);
	restriction->param_types = list_nth(plan, PLAN_TYPES);
	restriction->context = AllocSetContextCreate(CurrentMemoryContext, "feathub file bounds",
												 ALLOCSET_SMALL_SIZES);
	restriction->hooks.want = want_name;
	restriction->hooks.arg = restriction;
	restriction->econtext = CreateStandaloneExprContext();
	restriction->slot = MakeSingleTupleTableSlot(rel->tupdesc, &TTSOpsVirtual);
	foreach(lc, (List *) list_nth(plan, PLAN_CLAUSES))
	{
		FileClause *clause = palloc0(sizeof(FileClause));
		Bitmapset  *attrs = NULL;
		Node	   *node = lfirst(lc);
		Relids		varnos = pull_varnos(NULL, node);

		clause->state = ExecInitExprWithParams((Expr *) node, NULL);
		pull_varattnos(node, bms_singleton_member(varnos), &attrs);
		for (int i = 0; i < restriction->columns->npartitions; i++)
		{
			if (bms_is_member(restriction->columns->partitions[i].attnum -
							  FirstLowInvalidHeapAttributeNumber, attrs))
				clause->partitions = bms_add_member(clause->partitions, i);
		}
		clause->path = restriction->columns->metadata[FILE_META_PATH] > 0 &&
			bms_is_member(restriction->columns->metadata[FILE_META_PATH] -
						  FirstLowInvalidHeapAttributeNumber, attrs);
		restriction->clauses = lappend(restriction->clauses, clause);
	}
	return restriction;
}

void
FeathubFileRestrictEvaluate(FileRestrict *restriction, int nparams, Datum *values, bool *isnull)
{
	MemoryContext old;
	ListCell   *lc;

	MemoryContextReset(restriction->context);
	old = MemoryContextSwitchTo(restriction->context);
	restriction->nothing = false;
	restriction->nbounds = 0;
	restriction->bounds = palloc0(sizeof(FeathubBound) *
								  Max(list_length(restriction->bound_plan), 1));
	foreach(lc, restriction->bound_plan)
		evaluate_bound(restriction, lfirst(lc), values, isnull, nparams);

	if (nparams > 0)
	{
		restriction->params = makeParamList(nparams);
		for (int i = 0; i < nparams; i++)
		{
			ParamExternData *param = &restriction->params->params[i];

			param->value = values[i];
			param->isnull = isnull[i];
			param->pflags = PARAM_FLAG_CONST;
			param->ptype = list_nth_oid(restriction->param_types, i);
		}
		restriction->econtext->ecxt_param_list_info = restriction->params;
	}
	MemoryContextSwitchTo(old);
}

/* Planning */

/* Is it decided by the name of a file? */
static bool
decides(PlanContext *context, Node *clause)
{
	Bitmapset  *attrs = NULL;
	int			i = -1;

	pull_varattnos(clause, context->baserel->relid, &attrs);
	if (bms_is_empty(attrs))
		return false;
	while ((i = bms_next_member(attrs, i)) >= 0)
	{
		int			attnum = i + FirstLowInvalidHeapAttributeNumber;

		if (attnum <= 0 || !bms_is_member(attnum, context->deciding))
			return false;
	}
	if (contain_volatile_functions(clause) || contain_subplans(clause))
		return false;
	return context->root->qual_security_level == 0 || !contain_leaked_vars(clause);
}

/* Make parameters of what does not depend on the table. */
static Node *
replace_values(Node *node, PlanContext *context)
{
	if (node == NULL)
		return NULL;
	if (IsA(node, Const))
		return copyObject(node);
	if (IsA(node, Var) && ((Var *) node)->varno == context->baserel->relid)
		return copyObject(node);
	if (!IsA(node, List) && !IsA(node, CaseTestExpr) && !IsA(node, CoerceToDomainValue) &&
		!IsA(node, CaseWhen) &&
		!bms_is_member(context->baserel->relid, pull_varnos(context->root, node)))
	{
		Param	   *param;

		if (context->constants_only)
		{
			context->failed = true;
			return node;
		}
		param = makeNode(Param);
		param->paramkind = PARAM_EXTERN;
		param->paramid = add_param(context, node) + 1;
		param->paramtype = exprType(node);
		param->paramtypmod = exprTypmod(node);
		param->paramcollid = exprCollation(node);
		param->location = -1;
		return (Node *) param;
	}
	return expression_tree_mutator(node, replace_values, context);
}

static int
add_param(PlanContext *context, Node *node)
{
	context->params = lappend(context->params, copyObject(node));
	return list_length(context->params) - 1;
}

/* A bound from a clause, or NIL. */
static List *
plan_bound(PlanContext *context, Node *clause)
{
	Var		   *var;
	Node	   *value;
	Oid			opno;
	Oid			type;
	Oid			value_type;
	int			strategy;
	bool		is_array = IsA(clause, ScalarArrayOpExpr);

	if (IsA(clause, NullTest))
	{
		NullTest   *test = (NullTest *) clause;

		var = own_column(context, (Node *) test->arg);
		if (var == NULL || test->argisrow)
			return NIL;
		return list_make5(makeInteger(var->varattno),
						  makeInteger(test->nulltesttype == IS_NULL ? BOUND_IS_NULL : BOUND_NOT_NULL),
						  makeInteger(-1), makeInteger(0), makeInteger(0));
	}
	if (is_array)
	{
		ScalarArrayOpExpr *any = (ScalarArrayOpExpr *) clause;

		if (!any->useOr)
			return NIL;
		var = own_column(context, linitial(any->args));
		value = lsecond(any->args);
		opno = any->opno;
	}
	else if (IsA(clause, OpExpr) && list_length(((OpExpr *) clause)->args) == 2)
	{
		OpExpr	   *expr = (OpExpr *) clause;

		var = own_column(context, linitial(expr->args));
		value = lsecond(expr->args);
		opno = expr->opno;
		if (var == NULL)
		{
			var = own_column(context, lsecond(expr->args));
			value = linitial(expr->args);
			opno = get_commutator(opno);
		}
	}
	else
		return NIL;
	if (var == NULL || !OidIsValid(opno) ||
		bms_is_member(context->baserel->relid, pull_varnos(context->root, value)) ||
		contain_volatile_functions(value) || contain_subplans(value))
		return NIL;

	type = getBaseType(var->vartype);
	strategy = get_op_opfamily_strategy(opno, lookup_type_cache(type, TYPECACHE_BTREE_OPFAMILY)->btree_opf);
	if (strategy == 0)
	{
		/* varchar compares as text */
		if (type != VARCHAROID)
			return NIL;
		strategy = get_op_opfamily_strategy(opno, lookup_type_cache(TEXTOID, TYPECACHE_BTREE_OPFAMILY)->btree_opf);
	}
	if (strategy == 0 || (is_array && strategy != BTEqualStrategyNumber))
		return NIL;
	value_type = getBaseType(exprType(value));
	if (is_array)
		value_type = get_element_type(value_type);
	if (!OidIsValid(value_type))
		return NIL;
	if (!IsBinaryCoercible(value_type, type) &&
		!(type == VARCHAROID && value_type == TEXTOID) &&
		!((type == INT2OID || type == INT4OID || type == INT8OID) &&
		  (value_type == INT2OID || value_type == INT4OID || value_type == INT8OID)))
		return NIL;
	return list_make5(makeInteger(var->varattno), makeInteger(strategy),
					  makeInteger(add_param(context, value)),
					  makeInteger((int) (IsA(clause, OpExpr) ? ((OpExpr *) clause)->inputcollid :
										 ((ScalarArrayOpExpr *) clause)->inputcollid)),
					  makeInteger(is_array ? (int) value_type : -(int) value_type));
}

/* The column of this scan that an expression is, if it lies in the files. */
static Var *
own_column(PlanContext *context, Node *node)
{
	Var		   *var;

	while (IsA(node, RelabelType))
		node = (Node *) ((RelabelType *) node)->arg;
	if (!IsA(node, Var))
		return NULL;
	var = (Var *) node;
	if (var->varno != context->baserel->relid || var->varlevelsup != 0 || var->varattno <= 0)
		return NULL;
	for (int i = 0; i < context->columns.nfields; i++)
	{
		if (context->columns.fields[i].attnum == var->varattno)
			return var;
	}
	return NULL;
}

/* Running */

/* FileListHooks.want: could rows of a file, or below a folder, match? */
static bool
want_name(void *arg, const char *name, bool is_folder)
{
	FileRestrict *restriction = arg;
	FileColumns *columns = restriction->columns;
	ExprContext *econtext = restriction->econtext;
	TupleTableSlot *slot = restriction->slot;
	AttrNumber	path = columns->metadata[FILE_META_PATH];
	MemoryContext old;
	bool		want = true;
	char	   *full;
	ListCell   *lc;

	if (restriction->clauses == NIL)
		return true;
	ResetExprContext(econtext);
	old = MemoryContextSwitchTo(econtext->ecxt_per_tuple_memory);
	ExecClearTuple(slot);
	memset(slot->tts_isnull, true, sizeof(bool) * slot->tts_tupleDescriptor->natts);
	full = FeathubFileFullName(restriction->place, name);
	(void) FeathubFilePartitionValues(restriction->partitions, full, slot->tts_values,
									  slot->tts_isnull, restriction->found);
	if (path > 0)
	{
		slot->tts_values[path - 1] = CStringGetTextDatum(full);
		slot->tts_isnull[path - 1] = false;
	}
	ExecStoreVirtualTuple(slot);
	econtext->ecxt_scantuple = slot;
	foreach(lc, restriction->clauses)
	{
		FileClause *clause = lfirst(lc);
		bool		known = !clause->path || !is_folder;
		bool		isnull;
		Datum		result;
		int			i = -1;

		while ((i = bms_next_member(clause->partitions, i)) >= 0)
			known &= restriction->found[i];
		if (!known)
			continue;
		result = ExecEvalExpr(clause->state, econtext, &isnull);
		if (isnull || !DatumGetBool(result))
		{
			want = false;
			break;
		}
	}
	MemoryContextSwitchTo(old);
	return want;
}

static void
evaluate_bound(FileRestrict *restriction, List *plan, Datum *values, bool *isnull, int nparams)
{
	FeathubBound *bound = &restriction->bounds[restriction->nbounds];
	int			strategy = intVal(lsecond(plan));
	int			param = intVal(lthird(plan));
	int			encoded = intVal(list_nth(plan, 4));
	bool		is_array = encoded > 0;
	Oid			value_type = (Oid) (is_array ? encoded : -encoded);
	Oid			type;
	int			n = 0;
	int			side;

	memset(bound, 0, sizeof(FeathubBound));
	bound->attnum = intVal(linitial(plan));
	bound->collation = (Oid) intVal(lfourth(plan));
	if (strategy == BOUND_IS_NULL || strategy == BOUND_NOT_NULL)
	{
		bound->is_null_test = strategy == BOUND_IS_NULL;
		bound->not_null_test = strategy == BOUND_NOT_NULL;
		restriction->nbounds++;
		return;
	}
	bound->strategy = strategy;
	if (isnull[param])
	{
		restriction->nothing = true;
		return;
	}
	type = getBaseType(TupleDescAttr(restriction->rel->tupdesc, bound->attnum - 1)->atttypid);
	if (!is_array)
	{
		bound->values = palloc(sizeof(Datum));
		bound->values[0] = values[param];
		bound->nvalues = 1;
		if (!convert_integer(&bound->values[0], value_type, type, &side))
		{
			/* beyond all values of the column: all match, or none */
			if (strategy == BTEqualStrategyNumber ||
				(side > 0) == (strategy == BTGreaterStrategyNumber ||
							   strategy == BTGreaterEqualStrategyNumber))
				restriction->nothing = true;
			return;
		}
	}
	else
	{
		Datum	   *elements;
		bool	   *nulls;
		int			nelements;
		int16		typlen;
		bool		typbyval;
		char		typalign;

		get_typlenbyvalalign(value_type, &typlen, &typbyval, &typalign);
		deconstruct_array(DatumGetArrayTypeP(values[param]), value_type, typlen, typbyval,
						  typalign, &elements, &nulls, &nelements);
		for (int i = 0; i < nelements; i++)
		{
			if (!nulls[i] && convert_integer(&elements[i], value_type, type, &side))
				elements[n++] = elements[i];
		}
		bound->values = elements;
		bound->nvalues = n;
		if (n == 0)
		{
			restriction->nothing = true;
			return;
		}
	}
	restriction->nbounds++;
}

/* To the column's own type; false if it is out of its range, *side tells where. */
static bool
convert_integer(Datum *value, Oid from, Oid to, int *side)
{
	int64		number;

	if (from == to || (from != INT2OID && from != INT4OID && from != INT8OID))
		return true;
	number = from == INT2OID ? DatumGetInt16(*value) :
		from == INT4OID ? DatumGetInt32(*value) : DatumGetInt64(*value);
	*side = number > 0 ? 1 : -1;
	switch (to)
	{
		case INT2OID:
			*value = Int16GetDatum((int16) number);
			return number >= PG_INT16_MIN && number <= PG_INT16_MAX;
		case INT4OID:
			*value = Int32GetDatum((int32) number);
			return number >= PG_INT32_MIN && number <= PG_INT32_MAX;
		default:
			*value = Int64GetDatum(number);
			return true;
	}
}
