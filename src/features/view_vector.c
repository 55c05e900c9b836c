/*
 * view_vector.c
 *		Feature vectors: the online form for entities given as jsonb.
 *
 * One statement, whatever the number of entities: they become a relation, the
 * online function is inlined beside it, and the planner joins sets.  The
 * statement's plan is kept for the session.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/namespace.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/syscache.h"
#include "utils/varlena.h"

#include "core/catalog.h"
#include "core/compat.h"
#include "features/feature_view.h"

typedef struct VectorKey
{
	Oid			view;
	bool		single;			/* for one entity, not an array */
	char		padding[3];		/* the key is hashed as bytes */
} VectorKey;

/* A plan kept for the session. */
typedef struct VectorPlan
{
	VectorKey	key;
	Oid			function;		/* the view's online function */
	char	   *sql;			/* what was planned; names may change */
	SPIPlanPtr	plan;
} VectorPlan;

static HTAB *vector_plans = NULL;	/* made by the first vector of the session */

static Datum run_vectors(const char *name, Jsonb *entities, bool single, bool *isnull);
static VectorPlan *find_plan(const char *name, bool single);
static Oid	find_online(const char *name);
static char *make_statement(Oid function, bool single, char ***names, int *nnames);
static void check_entities(Jsonb *entities, bool single, const char *view, char **names, int nnames);
static void prepare_plan(VectorPlan *plan, const char *sql);

PG_FUNCTION_INFO_V1(feathub_get_feature_vector);
PG_FUNCTION_INFO_V1(feathub_get_feature_vectors);

/* feathub.get_feature_vector(feature_view, entity): an object, NULL if there is no row */
Datum
feathub_get_feature_vector(PG_FUNCTION_ARGS)
{
	char	   *name = text_to_cstring(PG_GETARG_TEXT_PP(0));
	Jsonb	   *entity = PG_GETARG_JSONB_P(1);
	Datum		result;
	bool		isnull;

	if (!JB_ROOT_IS_OBJECT(entity))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("an entity must be a JSON object")));
	result = run_vectors(name, entity, true, &isnull);
	if (isnull)
		PG_RETURN_NULL();
	return result;
}

/* feathub.get_feature_vectors(feature_view, entities): an array in the order of entities */
Datum
feathub_get_feature_vectors(PG_FUNCTION_ARGS)
{
	char	   *name = text_to_cstring(PG_GETARG_TEXT_PP(0));
	Jsonb	   *entities = PG_GETARG_JSONB_P(1);
	bool		isnull;

	if (!JB_ROOT_IS_ARRAY(entities) || JB_ROOT_IS_SCALAR(entities))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("entities must be a JSON array of objects")));
	return run_vectors(name, entities, false, &isnull);
}

static Datum
run_vectors(const char *name, Jsonb *entities, bool single, bool *isnull)
{
	VectorPlan *plan = find_plan(name, single);
	MemoryContext caller = CurrentMemoryContext;
	char	  **names;
	int			nnames;
	char	   *sql = make_statement(plan->function, single, &names, &nnames);
	Datum		values[1] = {JsonbPGetDatum(entities)};
	Datum		result = (Datum) 0;
	int			rc;

	check_entities(entities, single, name, names, nnames);
	SPI_connect();
	if (plan->sql == NULL || strcmp(plan->sql, sql) != 0)
		prepare_plan(plan, sql);
	rc = SPI_execute_plan(plan->plan, values, NULL, true, 0);
	if (rc != SPI_OK_SELECT)
		elog(ERROR, "could not get feature vectors: %s", SPI_result_code_string(rc));
	*isnull = SPI_processed == 0;
	if (!*isnull)
		result = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, isnull);
	if (SPI_processed > 1 ||
		(!single && JB_ROOT_COUNT(DatumGetJsonbP(result)) != JB_ROOT_COUNT(entities)))
		ereport(ERROR,
				(errcode(ERRCODE_CARDINALITY_VIOLATION),
				 errmsg("feature view \"%s\" has several rows for one entity", name),
				 errhint("It joins a relation on columns that are not unique.")));
	if (!*isnull)
	{
		MemoryContext old = MemoryContextSwitchTo(caller);

		result = PointerGetDatum(PG_DETOAST_DATUM_COPY(result));
		MemoryContextSwitchTo(old);
	}
	SPI_finish();
	return result;
}

/*
 * The entry of that view.  While both its view and its function live, it need
 * not be looked up again: a view never gets another online function.
 */
static VectorPlan *
find_plan(const char *name, bool single)
{
	RangeVar   *range = makeRangeVarFromNameList(textToQualifiedNameList(cstring_to_text(name)));
	VectorKey	key = {.view = RangeVarGetRelid(range, NoLock, true), .single = single};
	VectorPlan *plan;
	bool		found;
	Oid			function;

	if (vector_plans == NULL)
	{
		HASHCTL		control = {.keysize = sizeof(VectorKey), .entrysize = sizeof(VectorPlan)};

		vector_plans = hash_create("feathub feature vectors", 16, &control, HASH_ELEM | HASH_BLOBS);
	}
	plan = (VectorPlan *) hash_search(vector_plans, &key, HASH_FIND, NULL);
	if (plan != NULL && SearchSysCacheExists1(PROCOID, ObjectIdGetDatum(plan->function)))
		return plan;

	function = find_online(name);
	plan = (VectorPlan *) hash_search(vector_plans, &key, HASH_ENTER, &found);
	if (!found)
	{
		plan->sql = NULL;
		plan->plan = NULL;
	}
	plan->function = function;
	return plan;
}

/* The online function of a feature view. */
static Oid
find_online(const char *name)
{
	FeathubView *view;

	FeathubExtensionRequire();
	view = FeathubViewFind(name, false);
	if (!OidIsValid(view->online))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_FUNCTION),
				 errmsg("feature view \"%s\" has lost its online function", name),
				 errhint("Drop it and create it again.")));
	return view->online;
}

/*
 * The statement for an entity or an array of entities, $1.  In an array entities without a row, and
 * repeated ones, stay: hence the second join with them.  The subquery makes a
 * row of a function with one column, too.
 */
static char *
make_statement(Oid function, bool single, char ***names, int *nnames)
{
	HeapTuple	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
	Form_pg_proc proc;
	Oid		   *types;
	char	  **all_names;
	char	   *modes;
	StringInfoData columns;
	StringInfoData values;
	StringInfoData arguments;
	char	   *qualified;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for function %u", function);
	proc = (Form_pg_proc) GETSTRUCT(tuple);
	(void) get_func_arg_info(tuple, &types, &all_names, &modes);
	*nnames = proc->pronargs;
	*names = all_names;
	qualified = quote_qualified_identifier(get_namespace_name(proc->pronamespace),
										   NameStr(proc->proname));
	initStringInfo(&columns);
	initStringInfo(&values);
	initStringInfo(&arguments);
	for (int i = 0; i < *nnames; i++)
	{
		const char *column = quote_identifier(all_names[i]);

		appendStringInfo(&columns, "%s%s %s", i > 0 ? ", " : "", column,
						 format_type_extended(types[i], -1, FORMAT_TYPE_FORCE_QUALIFY));
		/* of names that cannot clash with the number's */
		appendStringInfo(&values, ", r.%s AS a%d", column, i);
		if (single)
			appendStringInfo(&arguments, "%s%s => r.%s", i > 0 ? ", " : "", column, column);
		else
			appendStringInfo(&arguments, "%s%s => e.a%d", i > 0 ? ", " : "", column, i);
	}
	ReleaseSysCache(tuple);

	if (single)
		return psprintf("SELECT pg_catalog.to_jsonb(o) FROM %s (SELECT * FROM %s(%s)) AS o",
						*nnames == 0 ? "" :
						psprintf("pg_catalog.jsonb_to_record($1) AS r (%s) CROSS JOIN LATERAL", columns.data),
						qualified, arguments.data);
	return psprintf("WITH e AS MATERIALIZED (SELECT x.n%s "
					"FROM pg_catalog.jsonb_array_elements($1) WITH ORDINALITY AS x (entity, n)%s) "
					"SELECT COALESCE(pg_catalog.jsonb_agg(v.vector ORDER BY e.n), '[]'::pg_catalog.jsonb) "
					"FROM e LEFT JOIN (SELECT e.n, pg_catalog.to_jsonb(o) AS vector "
					"FROM e CROSS JOIN LATERAL (SELECT * FROM %s(%s)) AS o) AS v ON v.n OPERATOR(pg_catalog.=) e.n",
					values.data,
					*nnames == 0 ? "" :
					psprintf(" CROSS JOIN LATERAL pg_catalog.jsonb_to_record(x.entity) AS r (%s)", columns.data),
					qualified, arguments.data);
}

/* Each is an object with no other keys than the view has arguments: typos are errors. */
static void
check_entities(Jsonb *entities, bool single, const char *view, char **names, int nnames)
{
	JsonbIterator *it = JsonbIteratorInit(&entities->root);
	JsonbIteratorToken token;
	JsonbValue	value;
	int			depth = single ? 1 : 0;	/* 2 within an entity */

	while ((token = JsonbIteratorNext(&it, &value, depth == 2)) != WJB_DONE)
	{
		bool		known = false;

		if (token == WJB_BEGIN_ARRAY || token == WJB_BEGIN_OBJECT)
			depth++;
		else if (token == WJB_END_ARRAY || token == WJB_END_OBJECT)
			depth--;
		else if (token == WJB_ELEM && depth == 1)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("an entity must be a JSON object")));
		if (token == WJB_BEGIN_ARRAY && depth == 2)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("an entity must be a JSON object")));
		if (token != WJB_KEY)
			continue;
		for (int i = 0; i < nnames; i++)
			if (strlen(names[i]) == value.val.string.len &&
				memcmp(names[i], value.val.string.val, value.val.string.len) == 0)
				known = true;
		if (!known)
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_PARAMETER),
					 errmsg("feature view \"%s\" has no argument \"%s\"", view,
							pnstrdup(value.val.string.val, value.val.string.len)),
					 errhint("Its arguments are those of its online function.")));
	}
}

/* Plan the statement and keep it; within SPI. */
static void
prepare_plan(VectorPlan *plan, const char *sql)
{
	Oid			types[1] = {JSONBOID};
	SPIPlanPtr	prepared = SPI_prepare(sql, 1, types);
	char	   *copy;

	if (prepared == NULL)
		elog(ERROR, "could not prepare feature vectors: %s", SPI_result_code_string(SPI_result));
	copy = MemoryContextStrdup(TopMemoryContext, sql);
	if (SPI_keepplan(prepared) != 0)
		elog(ERROR, "could not keep the plan of feature vectors");
	if (plan->plan != NULL)
	{
		SPI_freeplan(plan->plan);
		pfree(plan->sql);
	}
	plan->plan = prepared;
	plan->sql = copy;
}
