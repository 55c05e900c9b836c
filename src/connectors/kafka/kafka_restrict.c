/*
 * kafka_restrict.c
 *		Restrictions on where a record is: topic, partition, offset, timestamp.
 *
 * A tree is a list: its first member is an Integer of KafkaNodeKind, the others
 * are
 *		AND, OR		subtrees
 *		COMPARE		Integers: place, strategy, number of the parameter, its
 *					type's OID
 *		ANY			Integers: place, element type's OID, number of the parameter
 * A clause that says nothing about a place is not in the tree: under AND it is
 * left out, under OR it makes the whole disjunction say nothing.
 *
 * Evaluation multiplies out AND over OR.  The product is bounded: beyond
 * MAX_BOXES a conjunction keeps its smaller operand only and a disjunction
 * becomes the hull of its boxes.  Both accept more than they should, which the
 * recheck of the clauses makes good.
 */
#include "postgres.h"

#include "access/stratnum.h"
#include "catalog/pg_opfamily_d.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/clauses.h"
#include "optimizer/optimizer.h"
#include "parser/parse_coerce.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"
#include "utils/typcache.h"

#include "connectors/kafka/kafka_restrict.h"

/* Enough for an IN list of some thousand offsets. */
#define MAX_BOXES		16384

/* Reading this many records costs less than another seek. */
#define JOIN_DISTANCE	100

/* Not a btree strategy: <> */
#define NOT_EQUAL		0

typedef enum KafkaNodeKind
{
	NODE_AND,
	NODE_OR,
	NODE_COMPARE,
	NODE_ANY
} KafkaNodeKind;

typedef struct PlanContext
{
	PlannerInfo *root;
	RelOptInfo *baserel;
	const KafkaPlace *places;
	int			natts;
	List	   *params;
} PlanContext;

static List *plan_node(PlanContext *context, Node *clause);
static List *plan_boolean(PlanContext *context, BoolExpr *expr);
static List *plan_compare(PlanContext *context, OpExpr *expr);
static List *plan_any(PlanContext *context, ScalarArrayOpExpr *expr);
static KafkaPlace place_of(PlanContext *context, Node *node);
static bool usable_value(PlanContext *context, Node *node);
static int	strategy_of(KafkaPlace place, Oid opno, Oid collation);
static void describe_node(List *tree, List *params, bool nested, StringInfo out);
static void describe_param(List *params, int number, StringInfo out);
static KafkaBoxes *evaluate_node(List *tree, Datum *values, bool *isnull);
static KafkaBoxes *evaluate_compare(List *tree, Datum *values, bool *isnull);
static KafkaBoxes *evaluate_any(List *tree, Datum *values, bool *isnull);
static KafkaBoxes *intersect_boxes(KafkaBoxes *a, KafkaBoxes *b);
static KafkaBoxes *unite_boxes(KafkaBoxes *a, KafkaBoxes *b);
static bool box_of_value(KafkaPlace place, int strategy, Datum value, KafkaBox *box);
static void init_box(KafkaBox *box);
static int	compare_ranges(const void *a, const void *b);

#define tree_int(tree, n) intVal(list_nth(tree, n))
#define tree_kind(tree) ((KafkaNodeKind) tree_int(tree, 0))

static const char *const place_names[] = {
	[KAFKA_PLACE_NONE] = "",
	[KAFKA_PLACE_TOPIC] = "topic",
	[KAFKA_PLACE_PARTITION] = "partition",
	[KAFKA_PLACE_OFFSET] = "offset",
	[KAFKA_PLACE_TIMESTAMP] = "timestamp",
};

static const char *const strategy_names[] = {
	[NOT_EQUAL] = "<>",
	[BTLessStrategyNumber] = "<",
	[BTLessEqualStrategyNumber] = "<=",
	[BTEqualStrategyNumber] = "=",
	[BTGreaterEqualStrategyNumber] = ">=",
	[BTGreaterStrategyNumber] = ">",
};

List *
FeathubKafkaRestrictPlan(PlannerInfo *root, RelOptInfo *baserel,
						 const KafkaPlace *places, int natts,
						 List *clauses, List **params)
{
	PlanContext context = {root, baserel, places, natts, *params};
	List	   *tree = NIL;
	ListCell   *lc;

	foreach(lc, clauses)
	{
		List	   *node = plan_node(&context, lfirst(lc));

		if (node != NIL)
			tree = lappend(tree, node);
	}
	*params = context.params;

	if (list_length(tree) <= 1)
		return tree == NIL ? NIL : linitial(tree);
	return lcons(makeInteger(NODE_AND), tree);
}

char *
FeathubKafkaRestrictDescribe(List *tree, List *params)
{
	StringInfoData out;

	initStringInfo(&out);
	describe_node(tree, params, false, &out);
	return out.data;
}

KafkaBoxes *
FeathubKafkaRestrictEvaluate(List *tree, Datum *values, bool *isnull)
{
	if (tree == NIL)
	{
		KafkaBoxes *all = palloc(sizeof(KafkaBoxes));

		all->n = 1;
		all->boxes = palloc(sizeof(KafkaBox));
		init_box(all->boxes);
		return all;
	}
	return evaluate_node(tree, values, isnull);
}

bool
FeathubKafkaRestrictPartition(const KafkaBoxes *boxes, const char *topic,
							  int32 partition)
{
	for (int i = 0; i < boxes->n; i++)
	{
		const KafkaBox *box = &boxes->boxes[i];

		if ((box->topic == NULL || strcmp(box->topic, topic) == 0) &&
			partition >= box->partition_min && partition <= box->partition_max)
			return true;
	}
	return false;
}

int
FeathubKafkaRestrictRanges(const KafkaBoxes *boxes, const char *topic,
						   int32 partition, int64 low, int64 high,
						   int64 (*first_at) (void *arg, int64 time),
						   void *arg, KafkaRange **ranges)
{
	KafkaRange *result = palloc(sizeof(KafkaRange) * Max(boxes->n, 1));
	int64		asked = PG_INT64_MIN;	/* time last asked for, and its answer */
	int64		answer = low;
	int			n = 0;
	int			joined = 0;

	for (int i = 0; i < boxes->n; i++)
	{
		const KafkaBox *box = &boxes->boxes[i];
		int64		start = Max(low, box->offset_min);
		int64		end = box->offset_max >= high ? high : box->offset_max + 1;

		if ((box->topic != NULL && strcmp(box->topic, topic) != 0) ||
			partition < box->partition_min || partition > box->partition_max ||
			start >= end)
			continue;
		if (first_at != NULL && box->time_min != PG_INT64_MIN)
		{
			if (box->time_min != asked)
			{
				answer = first_at(arg, box->time_min);
				asked = box->time_min;
			}
			start = Max(start, answer);
			if (start >= end)
				continue;
		}
		result[n].start = start;
		result[n++].end = end;
	}

	if (n > 1)
	{
		qsort(result, n, sizeof(KafkaRange), compare_ranges);
		for (int i = 1; i < n; i++)
		{
			if (result[i].start <= result[joined].end ||
				result[i].start - result[joined].end <= JOIN_DISTANCE)
				result[joined].end = Max(result[joined].end, result[i].end);
			else
				result[++joined] = result[i];
		}
		n = joined + 1;
	}
	*ranges = result;
	return n;
}

/* Planning */

/* What one clause says about places, or NIL. */
static List *
plan_node(PlanContext *context, Node *clause)
{
	if (IsA(clause, RestrictInfo))
		clause = (Node *) ((RestrictInfo *) clause)->clause;

	switch (nodeTag(clause))
	{
		case T_BoolExpr:
			return plan_boolean(context, (BoolExpr *) clause);
		case T_OpExpr:
			return plan_compare(context, (OpExpr *) clause);
		case T_ScalarArrayOpExpr:
			return plan_any(context, (ScalarArrayOpExpr *) clause);
		default:
			return NIL;
	}
}

static List *
plan_boolean(PlanContext *context, BoolExpr *expr)
{
	List	   *params = list_copy(context->params);
	List	   *children = NIL;
	ListCell   *lc;

	if (expr->boolop == NOT_EXPR)
		return NIL;

	foreach(lc, expr->args)
	{
		List	   *child = plan_node(context, lfirst(lc));

		if (child != NIL)
			children = lappend(children, child);
		else if (expr->boolop == OR_EXPR)
		{
			/* an alternative that any record may meet: forget the others */
			context->params = params;
			return NIL;
		}
	}
	if (list_length(children) <= 1)
		return children == NIL ? NIL : linitial(children);
	return lcons(makeInteger(expr->boolop == OR_EXPR ? NODE_OR : NODE_AND), children);
}

/* column op value, value op column */
static List *
plan_compare(PlanContext *context, OpExpr *expr)
{
	Oid			opno = expr->opno;
	Node	   *left,
			   *right;
	KafkaPlace	place;
	Oid			wanted;
	int			strategy;

	if (list_length(expr->args) != 2)
		return NIL;
	left = linitial(expr->args);
	right = lsecond(expr->args);
	place = place_of(context, left);
	if (place == KAFKA_PLACE_NONE)
	{
		Node	   *swap = left;

		left = right;
		right = swap;
		place = place_of(context, left);
		opno = get_commutator(opno);
	}
	if (place == KAFKA_PLACE_NONE || !OidIsValid(opno) || !usable_value(context, right))
		return NIL;
	strategy = strategy_of(place, opno, expr->inputcollid);
	if (strategy < 0)
		return NIL;

	/*
	 * Compare values of one type.  The casts are those that a comparison
	 * across types makes itself; those to a time with zone are made at the
	 * scan, because a date out of its range can be compared but not cast.
	 */
	wanted = getBaseType(exprType(right));
	if (place != KAFKA_PLACE_TIMESTAMP)
		wanted = place == KAFKA_PLACE_TOPIC ? TEXTOID : INT8OID;
	else if (wanted != DATEOID && wanted != TIMESTAMPOID)
		wanted = TIMESTAMPTZOID;
	right = coerce_to_target_type(NULL, copyObject(right), exprType(right), wanted, -1,
								  COERCION_IMPLICIT, COERCE_IMPLICIT_CAST, -1);
	if (right == NULL)
		return NIL;
	right = eval_const_expressions(context->root, right);
	context->params = lappend(context->params, right);
	return list_make5(makeInteger(NODE_COMPARE), makeInteger(place), makeInteger(strategy),
					  makeInteger(list_length(context->params) - 1), makeInteger((int) wanted));
}

/* column = ANY (array) */
static List *
plan_any(PlanContext *context, ScalarArrayOpExpr *expr)
{
	Node	   *array = lsecond(expr->args);
	KafkaPlace	place = place_of(context, linitial(expr->args));
	Oid			elemtype = get_element_type(getBaseType(exprType(array)));
	bool		fits;

	if (!expr->useOr || place == KAFKA_PLACE_NONE || !usable_value(context, array) ||
		strategy_of(place, expr->opno, expr->inputcollid) != BTEqualStrategyNumber)
		return NIL;
	if (place == KAFKA_PLACE_TOPIC)
		fits = elemtype == TEXTOID || elemtype == VARCHAROID;
	else if (place == KAFKA_PLACE_TIMESTAMP)
		fits = elemtype == TIMESTAMPTZOID;
	else
		fits = elemtype == INT2OID || elemtype == INT4OID || elemtype == INT8OID;
	if (!fits)
		return NIL;

	context->params = lappend(context->params, copyObject(array));
	return list_make4(makeInteger(NODE_ANY), makeInteger(place), makeInteger((int) elemtype),
					  makeInteger(list_length(context->params) - 1));
}

/* The place that a column of this scan says, if its type compares as we do. */
static KafkaPlace
place_of(PlanContext *context, Node *node)
{
	Var		   *var;
	KafkaPlace	place;
	Oid			type;

	while (IsA(node, RelabelType))
		node = (Node *) ((RelabelType *) node)->arg;
	if (!IsA(node, Var))
		return KAFKA_PLACE_NONE;
	var = (Var *) node;
	if (var->varno != context->baserel->relid || var->varlevelsup != 0 ||
		var->varattno <= 0 || var->varattno > context->natts)
		return KAFKA_PLACE_NONE;

	place = context->places[var->varattno - 1];
	type = getBaseType(var->vartype);
	switch (place)
	{
		case KAFKA_PLACE_TOPIC:
			return type == TEXTOID || type == VARCHAROID ? place : KAFKA_PLACE_NONE;
		case KAFKA_PLACE_TIMESTAMP:
			return type == TIMESTAMPTZOID ? place : KAFKA_PLACE_NONE;
		case KAFKA_PLACE_PARTITION:
		case KAFKA_PLACE_OFFSET:
			return type == INT8OID || type == INT4OID || type == INT2OID ?
				place : KAFKA_PLACE_NONE;
		default:
			return KAFKA_PLACE_NONE;
	}
}

/* Can it be evaluated once, before the scan? */
static bool
usable_value(PlanContext *context, Node *node)
{
	return !bms_is_member(context->baserel->relid, pull_varnos(context->root, node)) &&
		!contain_volatile_functions(node) &&
		!contain_subplans(node);
}

/* The operator's btree strategy in the family of the place's type, or -1. */
static int
strategy_of(KafkaPlace place, Oid opno, Oid collation)
{
	Oid			family;
	int			strategy;
	Oid			negator;

	switch (place)
	{
		case KAFKA_PLACE_TOPIC:
			family = TEXT_BTREE_FAM_OID;
			break;
		case KAFKA_PLACE_TIMESTAMP:
			family = lookup_type_cache(TIMESTAMPTZOID, TYPECACHE_BTREE_OPFAMILY)->btree_opf;
			break;
		default:
			family = INTEGER_BTREE_FAM_OID;
			break;
	}
	strategy = get_op_opfamily_strategy(opno, family);
	if (strategy == 0)
	{
		/* x <> y is an operator without a strategy; its negator has one */
		negator = get_negator(opno);
		if (place == KAFKA_PLACE_TOPIC || !OidIsValid(negator) ||
			get_op_opfamily_strategy(negator, family) != BTEqualStrategyNumber)
			return -1;
		return NOT_EQUAL;
	}
	if (place == KAFKA_PLACE_TOPIC &&
		(strategy != BTEqualStrategyNumber || !get_collation_isdeterministic(collation)))
		return -1;
	return strategy;
}

/* EXPLAIN */

static void
describe_node(List *tree, List *params, bool nested, StringInfo out)
{
	KafkaNodeKind kind = tree_kind(tree);

	if (kind == NODE_AND || kind == NODE_OR)
	{
		ListCell   *lc;

		if (nested)
			appendStringInfoChar(out, '(');
		for_each_from(lc, tree, 1)
		{
			if (foreach_current_index(lc) > 1)
				appendStringInfoString(out, kind == NODE_AND ? " AND " : " OR ");
			describe_node(lfirst(lc), params, true, out);
		}
		if (nested)
			appendStringInfoChar(out, ')');
		return;
	}

	appendStringInfoString(out, place_names[tree_int(tree, 1)]);
	if (kind == NODE_ANY)
	{
		appendStringInfoString(out, " = ANY (");
		describe_param(params, tree_int(tree, 3), out);
		appendStringInfoChar(out, ')');
	}
	else
	{
		appendStringInfo(out, " %s ", strategy_names[tree_int(tree, 2)]);
		describe_param(params, tree_int(tree, 3), out);
	}
}

/* A constant's value, $n for a parameter, ? for what else is known at the scan. */
static void
describe_param(List *params, int number, StringInfo out)
{
	Node	   *node = list_nth(params, number);
	Const	   *constant;
	Oid			output;
	bool		varlena;
	char	   *text;

	/* the cast to the type that we compare in is not the user's */
	if (IsA(node, FuncExpr) && ((FuncExpr *) node)->funcformat == COERCE_IMPLICIT_CAST)
		node = linitial(((FuncExpr *) node)->args);
	if (IsA(node, Param) && ((Param *) node)->paramkind == PARAM_EXTERN)
	{
		appendStringInfo(out, "$%d", ((Param *) node)->paramid);
		return;
	}
	if (!IsA(node, Const))
	{
		appendStringInfoChar(out, '?');
		return;
	}
	constant = (Const *) node;
	if (constant->constisnull)
	{
		appendStringInfoString(out, "NULL");
		return;
	}
	getTypeOutputInfo(constant->consttype, &output, &varlena);
	text = OidOutputFunctionCall(output, constant->constvalue);
	appendStringInfoString(out, constant->consttype == INT8OID ? text :
						   quote_literal_cstr(text));
}

/* Evaluation */

static KafkaBoxes *
evaluate_node(List *tree, Datum *values, bool *isnull)
{
	KafkaNodeKind kind = tree_kind(tree);
	KafkaBoxes *result = NULL;
	ListCell   *lc;

	if (kind == NODE_COMPARE)
		return evaluate_compare(tree, values, isnull);
	if (kind == NODE_ANY)
		return evaluate_any(tree, values, isnull);

	for_each_from(lc, tree, 1)
	{
		KafkaBoxes *child = evaluate_node(lfirst(lc), values, isnull);

		if (result == NULL)
			result = child;
		else if (kind == NODE_AND)
			result = intersect_boxes(result, child);
		else
			result = unite_boxes(result, child);
	}
	return result;
}

static KafkaBoxes *
evaluate_compare(List *tree, Datum *values, bool *isnull)
{
	KafkaPlace	place = tree_int(tree, 1);
	int			strategy = tree_int(tree, 2);
	int			number = tree_int(tree, 3);
	Oid			type = (Oid) tree_int(tree, 4);
	KafkaBoxes *result = palloc0(sizeof(KafkaBoxes));
	Datum		value;
	int			overflow;

	if (isnull[number])
		return result;

	/* beyond the range of times they give an infinite one */
	value = values[number];
	if (type == DATEOID)
		value = TimestampTzGetDatum(date2timestamptz_opt_overflow(DatumGetDateADT(value),
																  &overflow));
	else if (type == TIMESTAMPOID)
		value = TimestampTzGetDatum(timestamp2timestamptz_opt_overflow(DatumGetTimestamp(value),
																	   &overflow));

	result->boxes = palloc(sizeof(KafkaBox) * 2);
	if (strategy == NOT_EQUAL)
	{
		result->n += box_of_value(place, BTLessStrategyNumber, value,
								  &result->boxes[result->n]);
		result->n += box_of_value(place, BTGreaterStrategyNumber, value,
								  &result->boxes[result->n]);
	}
	else
		result->n += box_of_value(place, strategy, value, result->boxes);
	return result;
}

static KafkaBoxes *
evaluate_any(List *tree, Datum *values, bool *isnull)
{
	KafkaPlace	place = tree_int(tree, 1);
	Oid			elemtype = (Oid) tree_int(tree, 2);
	int			number = tree_int(tree, 3);
	KafkaBoxes *result = palloc0(sizeof(KafkaBoxes));
	int16		typlen;
	bool		typbyval;
	char		typalign;
	Datum	   *elements;
	bool	   *nulls;
	int			n;

	if (isnull[number])
		return result;

	get_typlenbyvalalign(elemtype, &typlen, &typbyval, &typalign);
	deconstruct_array(DatumGetArrayTypeP(values[number]), elemtype, typlen, typbyval,
					  typalign, &elements, &nulls, &n);
	result->boxes = palloc(sizeof(KafkaBox) * Max(n, 1));
	for (int i = 0; i < n; i++)
	{
		Datum		value = elements[i];

		if (nulls[i])
			continue;
		if (elemtype == INT4OID)
			value = Int64GetDatum(DatumGetInt32(value));
		else if (elemtype == INT2OID)
			value = Int64GetDatum(DatumGetInt16(value));
		result->n += box_of_value(place, BTEqualStrategyNumber, value,
								  &result->boxes[result->n]);
	}

	/* a list too long becomes its hull */
	if (result->n > MAX_BOXES)
	{
		KafkaBoxes	empty = {0, NULL};

		return unite_boxes(result, &empty);
	}
	return result;
}

/* Boxes that lie in both sets; of too large a product, one of the operands. */
static KafkaBoxes *
intersect_boxes(KafkaBoxes *a, KafkaBoxes *b)
{
	KafkaBoxes *result;

	if ((int64) a->n * b->n > MAX_BOXES)
		return a->n < b->n ? a : b;

	result = palloc0(sizeof(KafkaBoxes));
	result->boxes = palloc(sizeof(KafkaBox) * Max(a->n * b->n, 1));
	for (int i = 0; i < a->n; i++)
	{
		const KafkaBox *x = &a->boxes[i];

		for (int j = 0; j < b->n; j++)
		{
			const KafkaBox *y = &b->boxes[j];
			KafkaBox	box;

			if (x->topic != NULL && y->topic != NULL && strcmp(x->topic, y->topic) != 0)
				continue;
			box.topic = x->topic != NULL ? x->topic : y->topic;
			box.partition_min = Max(x->partition_min, y->partition_min);
			box.partition_max = Min(x->partition_max, y->partition_max);
			box.offset_min = Max(x->offset_min, y->offset_min);
			box.offset_max = Min(x->offset_max, y->offset_max);
			box.time_min = Max(x->time_min, y->time_min);
			box.time_max = Min(x->time_max, y->time_max);
			if (box.partition_min <= box.partition_max &&
				box.offset_min <= box.offset_max && box.time_min <= box.time_max)
				result->boxes[result->n++] = box;
		}
	}
	return result;
}

/* The boxes of both sets; too many become one that holds them all. */
static KafkaBoxes *
unite_boxes(KafkaBoxes *a, KafkaBoxes *b)
{
	KafkaBoxes *result = palloc(sizeof(KafkaBoxes));
	KafkaBox   *hull;

	result->n = a->n + b->n;
	result->boxes = palloc_extended(sizeof(KafkaBox) * Max(result->n, 1),
									MCXT_ALLOC_HUGE);
	if (a->n > 0)
		memcpy(result->boxes, a->boxes, sizeof(KafkaBox) * a->n);
	if (b->n > 0)
		memcpy(result->boxes + a->n, b->boxes, sizeof(KafkaBox) * b->n);
	if (result->n <= MAX_BOXES)
		return result;

	hull = result->boxes;
	for (int i = 1; i < result->n; i++)
	{
		const KafkaBox *box = &result->boxes[i];

		if (hull->topic != NULL &&
			(box->topic == NULL || strcmp(hull->topic, box->topic) != 0))
			hull->topic = NULL;
		hull->partition_min = Min(hull->partition_min, box->partition_min);
		hull->partition_max = Max(hull->partition_max, box->partition_max);
		hull->offset_min = Min(hull->offset_min, box->offset_min);
		hull->offset_max = Max(hull->offset_max, box->offset_max);
		hull->time_min = Min(hull->time_min, box->time_min);
		hull->time_max = Max(hull->time_max, box->time_max);
	}
	result->n = 1;
	return result;
}

/* The box of "place op value"; false if it is empty. */
static bool
box_of_value(KafkaPlace place, int strategy, Datum value, KafkaBox *box)
{
	int64		number;
	bool		whole = true;	/* the value is a whole number of our unit */
	int64		min = PG_INT64_MIN;
	int64		max = PG_INT64_MAX;

	init_box(box);
	if (place == KAFKA_PLACE_TOPIC)
	{
		box->topic = TextDatumGetCString(value);
		return true;
	}

	if (place == KAFKA_PLACE_TIMESTAMP)
	{
		TimestampTz time = DatumGetTimestampTz(value);
		const int64 epoch = (int64) (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * SECS_PER_DAY * 1000;

		if (TIMESTAMP_IS_NOBEGIN(time))
			number = PG_INT64_MIN;
		else if (TIMESTAMP_IS_NOEND(time))
			number = PG_INT64_MAX;
		else
		{
			/* milliseconds, rounded down */
			number = time / 1000;
			whole = time % 1000 == 0;
			if (!whole && time < 0)
				number--;
			number += epoch;
		}
	}
	else
		number = DatumGetInt64(value);

	switch (strategy)
	{
		case BTLessStrategyNumber:
			if (whole && number == PG_INT64_MIN)
				return false;
			max = whole ? number - 1 : number;
			break;
		case BTLessEqualStrategyNumber:
			max = number;
			break;
		case BTEqualStrategyNumber:
			if (!whole)
				return false;
			min = max = number;
			break;
		case BTGreaterEqualStrategyNumber:
			min = whole ? number : number + 1;
			break;
		case BTGreaterStrategyNumber:
			if (number == PG_INT64_MAX)
				return false;
			min = number + 1;
			break;
		default:
			elog(ERROR, "unexpected strategy %d", strategy);
	}

	if (place == KAFKA_PLACE_PARTITION)
	{
		box->partition_min = min;
		box->partition_max = max;
	}
	else if (place == KAFKA_PLACE_OFFSET)
	{
		box->offset_min = min;
		box->offset_max = max;
	}
	else
	{
		box->time_min = min;
		box->time_max = max;
	}
	return true;
}

/* The box of everything. */
static void
init_box(KafkaBox *box)
{
	box->topic = NULL;
	box->partition_min = box->offset_min = box->time_min = PG_INT64_MIN;
	box->partition_max = box->offset_max = box->time_max = PG_INT64_MAX;
}

static int
compare_ranges(const void *a, const void *b)
{
	const KafkaRange *x = a;
	const KafkaRange *y = b;

	return x->start < y->start ? -1 : x->start > y->start ? 1 : 0;
}
