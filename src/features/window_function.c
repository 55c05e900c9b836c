/*
 * window_function.c
 *		The short form of a window: an inlinable function over a group's history.
 *
 * feathub.create_window_function makes an ordinary SQL function
 *
 *		name(keys, at DEFAULT now()) RETURNS TABLE (features)
 *
 * of the caller's, which reads the group's offline table from at - range to at.
 * Views replace its calls by the query that it is (view_window.c).
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/namespace.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/clauses.h"
#include "optimizer/optimizer.h"
#include "parser/parse_func.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/ruleutils.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"
#include "utils/typcache.h"
#include "utils/varlena.h"

#include "core/catalog.h"
#include "core/compat.h"
#include "core/describe.h"
#include "features/feature_group.h"
#include "features/parse_fragment.h"

#define TIME_ARGUMENT "at"

typedef struct WindowFunction
{
	FeathubGroup *group;
	char	   *features;		/* select list */
	Interval   *range;			/* or NULL: all that is past */
	bool		lower_inclusive;
	bool		upper_inclusive;
	int			row_limit;		/* 0: none */
	List	   *keys;			/* of char * */
	char	   *filter;			/* or NULL */
} WindowFunction;

static FeathubGroup *load_group(const char *name);
static void read_bounds(WindowFunction *window, const char *bounds);
static List *read_keys(const FeathubGroup *group, ArrayType *array);
static SelectStmt *make_window(const WindowFunction *window, Oid *types);
static Node *make_equality(Oid type, Node *left, Node *right);
static void add_row_limit(SelectStmt *select, const WindowFunction *window, const char *alias);
static SortBy *make_sort(const char *alias, const char *column, SortByDir direction);
static void check_features(const WindowFunction *window, const Query *query);
static char *make_command(const WindowFunction *window, const char *function, Query *query,
						  const Oid *types);

PG_FUNCTION_INFO_V1(feathub_create_window_function);

/*
 * feathub.create_window_function(name, feature_group, features, range, bounds,
 *		row_limit, keys, filter)
 */
Datum
feathub_create_window_function(PG_FUNCTION_ARGS)
{
	WindowFunction window = {0};
	char	   *name = FeathubGroupReadText(fcinfo, 0, "name");
	RangeVar   *place = makeRangeVarFromNameList(textToQualifiedNameList(cstring_to_text(name)));
	Oid			namespace;
	char	   *function;
	Oid		   *types;
	int			ntypes;
	SelectStmt *select;
	Query	   *query;
	int			nestlevel;

	FeathubExtensionRequire();
	namespace = RangeVarGetCreationNamespace(place);
	window.group = load_group(FeathubGroupReadText(fcinfo, 1, "feature_group"));
	window.features = FeathubGroupReadText(fcinfo, 2, "features");
	if (!PG_ARGISNULL(3))
		window.range = PG_GETARG_INTERVAL_P(3);
	read_bounds(&window, PG_ARGISNULL(4) ? "[]" : text_to_cstring(PG_GETARG_TEXT_PP(4)));
	if (!PG_ARGISNULL(5))
	{
		window.row_limit = PG_GETARG_INT32(5);
		if (window.row_limit <= 0)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("argument \"%s\" must be greater than 0", "row_limit")));
	}
	window.keys = read_keys(window.group, PG_ARGISNULL(6) ? NULL : PG_GETARG_ARRAYTYPE_P(6));
	if (!PG_ARGISNULL(7))
		window.filter = text_to_cstring(PG_GETARG_TEXT_PP(7));
	/* arguments are written with the function's name when it is dumped */
	if (strcmp(place->relname, get_rel_name(window.group->relid)) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_ALIAS),
				 errmsg("window function \"%s\" has the name of its feature group", place->relname)));

	ntypes = list_length(window.keys) + 1;
	types = (Oid *) palloc(sizeof(Oid) * ntypes);
	select = make_window(&window, types);
	query = FeathubAnalyzeFragments(select, types, ntypes);
	check_features(&window, query);

	function = quote_qualified_identifier(get_namespace_name(namespace), place->relname);
	nestlevel = FeathubDeparseBegin();
	FeathubGroupRunCommand(make_command(&window, function, query, types));
	AtEOXact_GUC(false, nestlevel);
	PG_RETURN_OID(LookupFuncName(list_make2(makeString(get_namespace_name(namespace)),
											makeString(place->relname)),
								 ntypes, types, false));
}

static FeathubGroup *
load_group(const char *name)
{
	RangeVar   *range = makeRangeVarFromNameList(textToQualifiedNameList(cstring_to_text(name)));
	Oid			relid = RangeVarGetRelid(range, NoLock, true);
	FeathubGroup *group = OidIsValid(relid) ? FeathubGroupLoad(relid) : NULL;

	if (group == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("feature group \"%s\" does not exist", name),
				 OidIsValid(relid) ? errdetail("There is a relation of that name, but it is no feature group.") : 0));
	if (group->event_time == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("feature group \"%s\" has no event time", name),
				 errdetail("It has no history to look back on.")));
	return group;
}

/* Which ends of the range belong to it, written as those of range types. */
static void
read_bounds(WindowFunction *window, const char *bounds)
{
	if (strlen(bounds) != 2 || strchr("[(", bounds[0]) == NULL || strchr("])", bounds[1]) == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("unrecognized bounds: \"%s\"", bounds),
				 errhint("Valid bounds are: [], [), (], ().")));
	window->lower_inclusive = bounds[0] == '[';
	window->upper_inclusive = bounds[1] == ']';
	if (window->range != NULL &&
		(window->range->month < 0 || window->range->day < 0 || window->range->time < 0))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("argument \"%s\" must not be negative", "range")));
}

static List *
read_keys(const FeathubGroup *group, ArrayType *array)
{
	List	   *keys = NIL;
	Datum	   *values;
	bool	   *nulls;
	int			count;

	if (array == NULL)
		return group->primary_key;
	deconstruct_array(array, TEXTOID, -1, false, TYPALIGN_INT, &values, &nulls, &count);
	for (int i = 0; i < count; i++)
	{
		char	   *key = nulls[i] ? NULL : TextDatumGetCString(values[i]);

		if (key == NULL || get_attnum(group->relid, key) <= 0)
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_COLUMN),
					 errmsg("column \"%s\" of feature group \"%s\" does not exist",
							key ? key : "NULL", get_rel_name(group->relid))));
		keys = lappend(keys, key);
	}
	return keys;
}

/*
 * SELECT features FROM group WHERE keys = $1 ... AND event_time <= $n AND
 * event_time >= $n - range AND filter
 */
static SelectStmt *
make_window(const WindowFunction *window, Oid *types)
{
	const FeathubGroup *group = window->group;
	const char *alias = get_rel_name(group->relid);
	SelectStmt *select = makeNode(SelectStmt);
	Node	   *time = FeathubMakeColumnRef(alias, group->event_time);
	List	   *quals = NIL;
	ParamRef   *at = makeNode(ParamRef);
	ListCell   *lc;

	foreach(lc, window->keys)
	{
		const char *key = (const char *) lfirst(lc);
		ParamRef   *param = makeNode(ParamRef);

		param->number = foreach_current_index(lc) + 1;
		param->location = -1;
		types[param->number - 1] = get_atttype(group->relid, get_attnum(group->relid, key));
		quals = lappend(quals, make_equality(types[param->number - 1],
											 FeathubMakeColumnRef(alias, key), (Node *) param));
	}
	at->number = list_length(window->keys) + 1;
	at->location = -1;
	types[at->number - 1] = get_atttype(group->relid, get_attnum(group->relid, group->event_time));

	quals = lappend(quals, FeathubMakeServerOperator(window->upper_inclusive ? "<=" : "<",
													 time, (Node *) at));
	if (window->range != NULL)
	{
		TypeCast   *range = makeNode(TypeCast);
		Datum		text = DirectFunctionCall1(interval_out, IntervalPGetDatum(window->range));

		range->arg = FeathubMakeLiteral(DatumGetCString(text));
		range->typeName = makeTypeNameFromOid(INTERVALOID, -1);
		range->location = -1;
		quals = lappend(quals, FeathubMakeServerOperator(window->lower_inclusive ? ">=" : ">", time,
														 FeathubMakeServerOperator("-", (Node *) at, (Node *) range)));
	}
	if (group->deletes)
	{
		BooleanTest *deleted = makeNode(BooleanTest);

		deleted->arg = (Expr *) FeathubMakeColumnRef(alias, FEATHUB_DELETED_COLUMN);
		deleted->booltesttype = IS_NOT_TRUE;
		deleted->location = -1;
		quals = lappend(quals, deleted);
	}
	if (window->filter != NULL)
		quals = lappend(quals, FeathubParseExpression(window->filter, "filter"));

	select->targetList = FeathubParseSelectList(window->features, "features");
	select->fromClause = list_make1(FeathubMakeRangeVar(group->relid, alias));
	select->whereClause = (Node *) makeBoolExpr(AND_EXPR, quals, -1);
	if (window->row_limit > 0)
		add_row_limit(select, window, alias);
	return select;
}

/* column = parameter by the type's own equality, which need not be in pg_catalog */
static Node *
make_equality(Oid type, Node *left, Node *right)
{
	Oid			operator = lookup_type_cache(type, TYPECACHE_EQ_OPR)->eq_opr;
	HeapTuple	tuple = SearchSysCache1(OPEROID, ObjectIdGetDatum(operator));
	Form_pg_operator form;
	List	   *name;

	if (!HeapTupleIsValid(tuple))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_FUNCTION),
				 errmsg("could not identify an equality operator for type %s", format_type_be(type))));
	form = (Form_pg_operator) GETSTRUCT(tuple);
	name = list_make2(makeString(get_namespace_name(form->oprnamespace)),
					  makeString(pstrdup(NameStr(form->oprname))));
	ReleaseSysCache(tuple);
	return FeathubMakeOperator(name, left, right);
}

/*
 * Only the last rows count: put them into a subquery of the group's name.
 * Among equal event times, of different entities, the primary key decides.
 */
static void
add_row_limit(SelectStmt *select, const WindowFunction *window, const char *alias)
{
	SelectStmt *inner = makeNode(SelectStmt);
	RangeSubselect *subselect = makeNode(RangeSubselect);
	ColumnRef  *star = makeNode(ColumnRef);
	ResTarget  *target = makeNode(ResTarget);
	A_Const    *limit = makeNode(A_Const);
	ListCell   *lc;

	star->fields = list_make1(makeNode(A_Star));
	star->location = -1;
	target->val = (Node *) star;
	target->location = -1;
	limit->val.ival.type = T_Integer;
	limit->val.ival.ival = window->row_limit;
	limit->location = -1;

	inner->targetList = list_make1(target);
	inner->fromClause = select->fromClause;
	inner->whereClause = select->whereClause;
	inner->sortClause = list_make1(make_sort(alias, window->group->event_time, SORTBY_DESC));
	foreach(lc, window->group->primary_key)
		if (!FeathubHasName(window->keys, (const char *) lfirst(lc)))
			inner->sortClause = lappend(inner->sortClause,
										make_sort(alias, (const char *) lfirst(lc), SORTBY_ASC));
	inner->limitCount = (Node *) limit;
	inner->limitOption = LIMIT_OPTION_COUNT;

	subselect->subquery = (Node *) inner;
	subselect->alias = makeAlias(alias, NIL);
	select->fromClause = list_make1(subselect);
	select->whereClause = NULL;
}

static SortBy *
make_sort(const char *alias, const char *column, SortByDir direction)
{
	SortBy	   *sort = makeNode(SortBy);

	sort->node = FeathubMakeColumnRef(alias, column);
	sort->sortby_dir = direction;
	sort->sortby_nulls = SORTBY_NULLS_DEFAULT;
	sort->location = -1;
	return sort;
}

/* There must be one row for each call, or none where the last row is asked for. */
static void
check_features(const WindowFunction *window, const Query *query)
{
	if (query->hasTargetSRFs || query->hasWindowFuncs)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("features of a window function cannot have set-returning or window functions")));
	if (!query->hasAggs && window->row_limit != 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("features of a window function must be aggregates"),
				 errhint("Without aggregates row_limit must be 1: the features of the last row.")));
	if (contain_volatile_functions((Node *) query))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("features of a window function cannot call volatile functions")));
}

/* CREATE FUNCTION; to be inlined, it must have no SET and not be STRICT. */
static char *
make_command(const WindowFunction *window, const char *function, Query *query, const Oid *types)
{
	char		hazard = max_parallel_hazard(query);
	int			nkeys = list_length(window->keys);
	StringInfoData sql;
	ListCell   *lc;

	initStringInfo(&sql);
	appendStringInfo(&sql, "CREATE FUNCTION %s(", function);
	foreach(lc, window->keys)
		appendStringInfo(&sql, "%s %s, ", quote_identifier((const char *) lfirst(lc)),
						 format_type_extended(types[foreach_current_index(lc)], -1, FORMAT_TYPE_FORCE_QUALIFY));
	appendStringInfo(&sql, "%s %s DEFAULT now()) RETURNS TABLE (", quote_identifier(TIME_ARGUMENT),
					 format_type_extended(types[nkeys], -1, FORMAT_TYPE_FORCE_QUALIFY));
	foreach(lc, query->targetList)
	{
		TargetEntry *tle = lfirst_node(TargetEntry, lc);

		appendStringInfo(&sql, "%s%s %s", foreach_current_index(lc) > 0 ? ", " : "",
						 quote_identifier(tle->resname),
						 format_type_extended(exprType((Node *) tle->expr), -1, FORMAT_TYPE_FORCE_QUALIFY));
	}
	appendStringInfo(&sql, ") LANGUAGE sql STABLE ROWS 1 PARALLEL %s BEGIN ATOMIC %s; END",
					 hazard == 's' ? "SAFE" : hazard == 'r' ? "RESTRICTED" : "UNSAFE",
					 pg_get_querydef(query, false));
	return sql.data;
}
