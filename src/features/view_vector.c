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

#include "core/catalog.h"
#include "core/compat.h"
#include "features/feature_view.h"

/* A plan kept for the session, of one online function. */
typedef struct VectorPlan
{
	Oid			function;		/* hash key */
	char	   *sql;			/* what was planned; names may change */
	SPIPlanPtr	plan;
} VectorPlan;

static HTAB *vector_plans = NULL;	/* made by the first vector of the session */

static Datum run_vectors(const char *name, Jsonb *entities);
static Oid	find_online(const char *name);
static char *make_statement(Oid function, char ***names, int *nnames);
static void check_entities(Jsonb *entities, const char *view, char **names, int nnames);
static SPIPlanPtr get_plan(Oid function, const char *sql);

PG_FUNCTION_INFO_V1(feathub_get_feature_vector);
PG_FUNCTION_INFO_V1(feathub_get_feature_vectors);

/* feathub.get_feature_vector(feature_view, entity): an object, NULL if there is no row */
Datum
feathub_get_feature_vector(PG_FUNCTION_ARGS)
{
	char	   *name = text_to_cstring(PG_GETARG_TEXT_PP(0));
	Jsonb	   *entity = PG_GETARG_JSONB_P(1);
	JsonbParseState *state = NULL;
	JsonbValue	value;
	JsonbValue *array;
	Jsonb	   *result;
	JsonbValue *vector;

	if (!JB_ROOT_IS_OBJECT(entity))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("an entity must be a JSON object")));
	(void) pushJsonbValue(&state, WJB_BEGIN_ARRAY, NULL);
	value.type = jbvBinary;
	value.val.binary.data = &entity->root;
	value.val.binary.len = VARSIZE_ANY_EXHDR(entity);
	(void) pushJsonbValue(&state, WJB_ELEM, &value);
	array = pushJsonbValue(&state, WJB_END_ARRAY, NULL);

	result = DatumGetJsonbP(run_vectors(name, JsonbValueToJsonb(array)));
	vector = getIthJsonbValueFromContainer(&result->root, 0);
	if (vector == NULL || vector->type == jbvNull)
		PG_RETURN_NULL();
	PG_RETURN_JSONB_P(JsonbValueToJsonb(vector));
}

/* feathub.get_feature_vectors(feature_view, entities): an array in the order of entities */
Datum
feathub_get_feature_vectors(PG_FUNCTION_ARGS)
{
	char	   *name = text_to_cstring(PG_GETARG_TEXT_PP(0));
	Jsonb	   *entities = PG_GETARG_JSONB_P(1);

	if (!JB_ROOT_IS_ARRAY(entities) || JB_ROOT_IS_SCALAR(entities))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("entities must be a JSON array of objects")));
	return run_vectors(name, entities);
}

static Datum
run_vectors(const char *name, Jsonb *entities)
{
	Oid			function = find_online(name);
	MemoryContext caller = CurrentMemoryContext;
	char	  **names;
	int			nnames;
	char	   *sql = make_statement(function, &names, &nnames);
	Datum		values[1] = {JsonbPGetDatum(entities)};
	Datum		result;
	bool		isnull;
	MemoryContext old;
	int			rc;

	check_entities(entities, name, names, nnames);
	SPI_connect();
	rc = SPI_execute_plan(get_plan(function, sql), values, NULL, true, 0);
	if (rc != SPI_OK_SELECT || SPI_processed != 1)
		elog(ERROR, "could not get feature vectors: %s", SPI_result_code_string(rc));
	result = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull);
	old = MemoryContextSwitchTo(caller);
	result = PointerGetDatum(PG_DETOAST_DATUM_COPY(result));
	MemoryContextSwitchTo(old);
	SPI_finish();
	return result;
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
 * The statement for an array of entities, $1.  Entities without a row, and
 * repeated ones, stay: hence the second join with them.  The subquery makes a
 * row of a function with one column, too.
 */
static char *
make_statement(Oid function, char ***names, int *nnames)
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
		appendStringInfo(&arguments, "%s%s => e.a%d", i > 0 ? ", " : "", column, i);
	}
	ReleaseSysCache(tuple);

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
check_entities(Jsonb *entities, const char *view, char **names, int nnames)
{
	JsonbIterator *it = JsonbIteratorInit(&entities->root);
	JsonbIteratorToken token;
	JsonbValue	value;
	int			depth = 0;

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

static SPIPlanPtr
get_plan(Oid function, const char *sql)
{
	VectorPlan *entry;
	bool		found;
	Oid			types[1] = {JSONBOID};
	SPIPlanPtr	plan;

	if (vector_plans == NULL)
	{
		HASHCTL		control = {.keysize = sizeof(Oid), .entrysize = sizeof(VectorPlan)};

		vector_plans = hash_create("feathub feature vectors", 16, &control, HASH_ELEM | HASH_BLOBS);
	}
	entry = (VectorPlan *) hash_search(vector_plans, &function, HASH_FIND, NULL);
	if (entry != NULL && strcmp(entry->sql, sql) == 0)
		return entry->plan;

	plan = SPI_prepare(sql, 1, types);
	if (plan == NULL || SPI_keepplan(plan) != 0)
		elog(ERROR, "could not prepare feature vectors: %s", SPI_result_code_string(SPI_result));
	entry = (VectorPlan *) hash_search(vector_plans, &function, HASH_ENTER, &found);
	if (found)
	{
		SPI_freeplan(entry->plan);
		pfree(entry->sql);
	}
	entry->plan = plan;
	entry->sql = MemoryContextStrdup(TopMemoryContext, sql);
	return plan;
}
