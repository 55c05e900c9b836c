/*
 * view_vector.c
 *		Feature vectors: the online form for entities given as jsonb.
 *
 * An array of entities is one statement: they become a relation, the online
 * function is inlined beside it, and the planner joins sets.  For one entity
 * the statement has the values as parameters, if they are scalars; it is the
 * case that has to be fast.  Plans are kept for the session.
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
#include "utils/fmgrprotos.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/numeric.h"
#include "utils/syscache.h"
#include "utils/varlena.h"

#include "core/catalog.h"
#include "core/compat.h"
#include "features/feature_view.h"

/* The statements for a view. */
typedef enum VectorKind
{
	VECTOR_SCALARS,				/* an entity's values as parameters */
	VECTOR_OBJECT,				/* an entity as jsonb, whatever its values are */
	VECTOR_ARRAY				/* entities as jsonb */
} VectorKind;

typedef struct VectorKey
{
	Oid			view;
	int			kind;			/* VectorKind, of a size that leaves no padding */
} VectorKey;

/* A plan kept for the session, and the arguments of the view's online function. */
typedef struct VectorPlan
{
	VectorKey	key;
	Oid			function;
	uint64		generation;		/* of the catalogs when the rest was looked up */
	MemoryContext context;		/* of what follows but the plan */
	char	   *sql;			/* what was planned; names may change */
	int			nargs;
	char	  **names;
	Oid		   *types;
	FmgrInfo   *inputs;			/* of VECTOR_SCALARS; fn_oid 0: not from a scalar */
	Oid		   *ioparams;
	SPIPlanPtr	plan;
} VectorPlan;

static HTAB *vector_plans = NULL;	/* made by the first vector of the session */
static uint64 catalog_generation = 1;	/* raised by changes of functions, schemas, types */

static VectorPlan *find_plan(const char *name, VectorKind kind);
static void forget_catalogs(Datum arg, int cacheid, uint32 hashvalue);
static void look_up(VectorPlan *plan, Oid function);
static void read_inputs(VectorPlan *plan);
static char *make_statement(VectorPlan *plan, const char *function);
static Oid	find_online(const char *name);
static bool read_entity(VectorPlan *plan, const char *view, Jsonb *entity, Datum *values, char *nulls);
static int	find_argument(VectorPlan *plan, const char *view, const JsonbValue *key);
static bool read_scalar(VectorPlan *plan, int i, JsonbValue *value, Datum *result);
static void check_entities(VectorPlan *plan, const char *view, Jsonb *entities);
static Datum run_plan(VectorPlan *plan, const char *view, Datum *values, const char *nulls, bool *isnull);
pg_noreturn static void report_several(const char *view);

PG_FUNCTION_INFO_V1(feathub_get_feature_vector);
PG_FUNCTION_INFO_V1(feathub_get_feature_vectors);

/* feathub.get_feature_vector(feature_view, entity): an object, NULL if there is no row */
Datum
feathub_get_feature_vector(PG_FUNCTION_ARGS)
{
	char	   *name = text_to_cstring(PG_GETARG_TEXT_PP(0));
	Jsonb	   *entity = PG_GETARG_JSONB_P(1);
	VectorPlan *plan;
	Datum		values[FUNC_MAX_ARGS];
	char		nulls[FUNC_MAX_ARGS];
	Datum		result;
	bool		isnull;

	if (!JB_ROOT_IS_OBJECT(entity))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("an entity must be a JSON object")));
	plan = find_plan(name, VECTOR_SCALARS);
	if (!read_entity(plan, name, entity, values, nulls))
	{
		plan = find_plan(name, VECTOR_OBJECT);
		values[0] = JsonbPGetDatum(entity);
		nulls[0] = ' ';
	}
	result = run_plan(plan, name, values, nulls, &isnull);
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
	VectorPlan *plan;
	Datum		values[1] = {JsonbPGetDatum(entities)};
	Datum		result;
	bool		isnull;

	if (!JB_ROOT_IS_ARRAY(entities) || JB_ROOT_IS_SCALAR(entities))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("entities must be a JSON array of objects")));
	plan = find_plan(name, VECTOR_ARRAY);
	check_entities(plan, name, entities);
	result = run_plan(plan, name, values, NULL, &isnull);
	if (JB_ROOT_COUNT(DatumGetJsonbP(result)) != JB_ROOT_COUNT(entities))
		report_several(name);
	return result;
}

static Datum
run_plan(VectorPlan *plan, const char *view, Datum *values, const char *nulls, bool *isnull)
{
	MemoryContext caller = CurrentMemoryContext;
	Datum		result = (Datum) 0;
	int			rc;

	SPI_connect();
	rc = SPI_execute_plan(plan->plan, values, nulls, true, 0);
	if (rc != SPI_OK_SELECT)
		elog(ERROR, "could not get feature vectors: %s", SPI_result_code_string(rc));
	if (SPI_processed > 1)
		report_several(view);
	*isnull = SPI_processed == 0;
	if (!*isnull)
		result = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, isnull);
	if (!*isnull)
	{
		MemoryContext old = MemoryContextSwitchTo(caller);

		result = PointerGetDatum(PG_DETOAST_DATUM_COPY(result));
		MemoryContextSwitchTo(old);
	}
	SPI_finish();
	return result;
}

static void
report_several(const char *view)
{
	ereport(ERROR,
			(errcode(ERRCODE_CARDINALITY_VIOLATION),
			 errmsg("feature view \"%s\" has several rows for one entity", view),
			 errhint("It joins a relation on columns that are not unique.")));
}

/*
 * Plans
 */

/* The plan of that view; nothing is looked up again until the catalogs change. */
static VectorPlan *
find_plan(const char *name, VectorKind kind)
{
	RangeVar   *range = makeRangeVarFromNameList(textToQualifiedNameList(cstring_to_text(name)));
	VectorKey	key = {.view = RangeVarGetRelid(range, NoLock, true), .kind = kind};
	VectorPlan *plan;
	bool		found;

	if (vector_plans == NULL)
	{
		HASHCTL		control = {.keysize = sizeof(VectorKey), .entrysize = sizeof(VectorPlan)};

		vector_plans = hash_create("feathub feature vectors", 16, &control, HASH_ELEM | HASH_BLOBS);
		CacheRegisterSyscacheCallback(PROCOID, forget_catalogs, (Datum) 0);
		CacheRegisterSyscacheCallback(NAMESPACEOID, forget_catalogs, (Datum) 0);
		CacheRegisterSyscacheCallback(TYPEOID, forget_catalogs, (Datum) 0);
	}
	plan = (VectorPlan *) hash_search(vector_plans, &key, HASH_FIND, NULL);
	if (plan != NULL && plan->generation == catalog_generation)
		return plan;
	if (plan == NULL)
	{
		Oid			function = find_online(name);

		plan = (VectorPlan *) hash_search(vector_plans, &key, HASH_ENTER, &found);
		memset((char *) plan + sizeof(VectorKey), 0, sizeof(VectorPlan) - sizeof(VectorKey));
		plan->function = function;
	}
	look_up(plan, SearchSysCacheExists1(PROCOID, ObjectIdGetDatum(plan->function)) ?
			plan->function : find_online(name));
	return plan;
}

static void
forget_catalogs(Datum arg, int cacheid, uint32 hashvalue)
{
	catalog_generation++;
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

/* Look the function up again, and plan the statement again if it is another one. */
static void
look_up(VectorPlan *plan, Oid function)
{
	uint64		generation = catalog_generation;
	VectorPlan	new = {.key = plan->key, .function = function};
	HeapTuple	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
	Form_pg_proc proc;
	Oid			jsonb = JSONBOID;
	MemoryContext old;
	char	   *qualified;
	char	   *modes;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for function %u", function);
	plan->generation = 0;		/* should this fail */
	new.context = AllocSetContextCreate(CurrentMemoryContext, "feathub feature vector",
										ALLOCSET_SMALL_SIZES);
	old = MemoryContextSwitchTo(new.context);
	proc = (Form_pg_proc) GETSTRUCT(tuple);
	(void) get_func_arg_info(tuple, &new.types, &new.names, &modes);
	new.nargs = proc->pronargs;
	qualified = quote_qualified_identifier(get_namespace_name(proc->pronamespace),
										   NameStr(proc->proname));
	ReleaseSysCache(tuple);
	if (plan->key.kind == VECTOR_SCALARS)
		read_inputs(&new);
	new.sql = make_statement(&new, qualified);
	MemoryContextSwitchTo(old);

	if (plan->plan != NULL && strcmp(plan->sql, new.sql) == 0)
		new.plan = plan->plan;
	else
	{
		bool		scalars = plan->key.kind == VECTOR_SCALARS;

		SPI_connect();
		new.plan = SPI_prepare(new.sql, scalars ? new.nargs : 1, scalars ? new.types : &jsonb);
		if (new.plan == NULL || SPI_keepplan(new.plan) != 0)
			elog(ERROR, "could not prepare feature vectors: %s", SPI_result_code_string(SPI_result));
		SPI_finish();
		if (plan->plan != NULL)
			SPI_freeplan(plan->plan);
	}
	if (plan->context != NULL)
		MemoryContextDelete(plan->context);
	MemoryContextSetParent(new.context, CacheMemoryContext);
	*plan = new;
	plan->generation = generation;
}

/* How each argument is read from a JSON scalar. */
static void
read_inputs(VectorPlan *plan)
{
	plan->inputs = (FmgrInfo *) palloc0(sizeof(FmgrInfo) * (plan->nargs + 1));
	plan->ioparams = (Oid *) palloc0(sizeof(Oid) * (plan->nargs + 1));
	for (int i = 0; i < plan->nargs; i++)
	{
		Oid			type = getBaseType(plan->types[i]);
		Oid			input;

		/* these take other JSON than scalars, or take scalars as JSON */
		if (type == JSONOID || type == JSONBOID || type_is_rowtype(type) ||
			OidIsValid(get_element_type(type)))
			continue;
		getTypeInputInfo(plan->types[i], &input, &plan->ioparams[i]);
		fmgr_info_cxt(input, &plan->inputs[i], CurrentMemoryContext);
	}
}

/*
 * The statement.  In an array entities without a row, and repeated ones, stay:
 * hence the second join with them.  The subquery makes a row of a function with
 * one column, too.
 */
static char *
make_statement(VectorPlan *plan, const char *function)
{
	StringInfoData columns;
	StringInfoData values;
	StringInfoData arguments;

	initStringInfo(&columns);
	initStringInfo(&values);
	initStringInfo(&arguments);
	for (int i = 0; i < plan->nargs; i++)
	{
		const char *column = quote_identifier(plan->names[i]);
		const char *comma = i > 0 ? ", " : "";

		appendStringInfo(&columns, "%s%s %s", comma, column,
						 format_type_extended(plan->types[i], -1, FORMAT_TYPE_FORCE_QUALIFY));
		/* of names that cannot clash with the number's */
		appendStringInfo(&values, ", r.%s AS a%d", column, i);
		if (plan->key.kind == VECTOR_SCALARS)
			appendStringInfo(&arguments, "%s$%d", comma, i + 1);
		else if (plan->key.kind == VECTOR_OBJECT)
			appendStringInfo(&arguments, "%s%s => r.%s", comma, column, column);
		else
			appendStringInfo(&arguments, "%s%s => e.a%d", comma, column, i);
	}

	if (plan->key.kind == VECTOR_SCALARS)
		return psprintf("SELECT pg_catalog.to_jsonb(o) FROM (SELECT * FROM %s(%s)) AS o",
						function, arguments.data);
	if (plan->key.kind == VECTOR_OBJECT)
		return psprintf("SELECT pg_catalog.to_jsonb(o) FROM %s (SELECT * FROM %s(%s)) AS o",
						plan->nargs == 0 ? "" :
						psprintf("pg_catalog.jsonb_to_record($1) AS r (%s) CROSS JOIN LATERAL", columns.data),
						function, arguments.data);
	return psprintf("WITH e AS MATERIALIZED (SELECT x.n%s "
					"FROM pg_catalog.jsonb_array_elements($1) WITH ORDINALITY AS x (entity, n)%s) "
					"SELECT COALESCE(pg_catalog.jsonb_agg(v.vector ORDER BY e.n), '[]'::pg_catalog.jsonb) "
					"FROM e LEFT JOIN (SELECT e.n, pg_catalog.to_jsonb(o) AS vector "
					"FROM e CROSS JOIN LATERAL (SELECT * FROM %s(%s)) AS o) AS v ON v.n OPERATOR(pg_catalog.=) e.n",
					values.data,
					plan->nargs == 0 ? "" :
					psprintf(" CROSS JOIN LATERAL pg_catalog.jsonb_to_record(x.entity) AS r (%s)", columns.data),
					function, arguments.data);
}

/*
 * Entities
 */

/* The arguments' values, as jsonb_to_record reads them; false if a value needs that. */
static bool
read_entity(VectorPlan *plan, const char *view, Jsonb *entity, Datum *values, char *nulls)
{
	JsonbIterator *it = JsonbIteratorInit(&entity->root);
	JsonbIteratorToken token;
	JsonbValue	value;
	int			argument = 0;
	bool		scalars = true;

	memset(nulls, 'n', plan->nargs);
	memset(values, 0, sizeof(Datum) * plan->nargs);
	while ((token = JsonbIteratorNext(&it, &value, true)) != WJB_DONE)
	{
		if (token == WJB_KEY)
			argument = find_argument(plan, view, &value);
		else if (token == WJB_VALUE && value.type != jbvNull)
		{
			/* go on, so that the wrong name of another value is told first */
			if (scalars && read_scalar(plan, argument, &value, &values[argument]))
				nulls[argument] = ' ';
			else
				scalars = false;
		}
	}
	return scalars;
}

/* Each key is an argument's name: typos are errors. */
static int
find_argument(VectorPlan *plan, const char *view, const JsonbValue *key)
{
	for (int i = 0; i < plan->nargs; i++)
		if (strlen(plan->names[i]) == key->val.string.len &&
			memcmp(plan->names[i], key->val.string.val, key->val.string.len) == 0)
			return i;
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_PARAMETER),
			 errmsg("feature view \"%s\" has no argument \"%s\"", view,
					pnstrdup(key->val.string.val, key->val.string.len)),
			 errhint("Its arguments are those of its online function.")));
}

static bool
read_scalar(VectorPlan *plan, int i, JsonbValue *value, Datum *result)
{
	char	   *text;

	if (!OidIsValid(plan->inputs[i].fn_oid))
		return false;
	switch (value->type)
	{
		case jbvString:
			if (plan->types[i] == TEXTOID)
			{
				*result = PointerGetDatum(cstring_to_text_with_len(value->val.string.val,
																   value->val.string.len));
				return true;
			}
			text = pnstrdup(value->val.string.val, value->val.string.len);
			break;
		case jbvNumeric:
			text = DatumGetCString(DirectFunctionCall1(numeric_out, NumericGetDatum(value->val.numeric)));
			break;
		case jbvBool:
			text = value->val.boolean ? "true" : "false";
			break;
		default:
			return false;
	}
	*result = InputFunctionCall(&plan->inputs[i], text, plan->ioparams[i], -1);
	return true;
}

/* Raise an error unless each element is an object of arguments. */
static void
check_entities(VectorPlan *plan, const char *view, Jsonb *entities)
{
	JsonbIterator *it = JsonbIteratorInit(&entities->root);
	JsonbIteratorToken token;
	JsonbValue	value;
	int			depth = 0;		/* 2 within an entity */

	while ((token = JsonbIteratorNext(&it, &value, depth == 2)) != WJB_DONE)
	{
		if (token == WJB_BEGIN_ARRAY || token == WJB_BEGIN_OBJECT)
			depth++;
		else if (token == WJB_END_ARRAY || token == WJB_END_OBJECT)
			depth--;
		if ((token == WJB_ELEM && depth == 1) || (token == WJB_BEGIN_ARRAY && depth == 2))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("an entity must be a JSON object")));
		if (token == WJB_KEY)
			(void) find_argument(plan, view, &value);
	}
}
