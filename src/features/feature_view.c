/*
 * feature_view.c
 *		SQL functions on feature views: create, drop.
 *
 * A feature view is two objects of the user's: the view (training form) and
 * the function <name>_online (online form).  Both are written by the server's
 * deparser and made by its own commands, as the current user, so that what \d+
 * shows is what runs.
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "parser/parse_func.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/catcache.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/ruleutils.h"
#include "utils/syscache.h"
#include "utils/varlena.h"

#include "core/catalog.h"
#include "core/compat.h"
#include "core/describe.h"
#include "core/view_catalog.h"
#include "features/feature_group.h"
#include "features/feature_view.h"
#include "features/view_online.h"
#include "features/view_query.h"
#include "features/view_training.h"

#define ONLINE_SUFFIX "_online"

static char *get_text_argument(FunctionCallInfo fcinfo, int arg, const char *name);
static List *read_labels(FunctionCallInfo fcinfo, int arg);
static char *place_view(const char *name, char **relname);
static void make_training(const FeathubViewQuery *query, const char *nspname, const char *relname);
static Oid	make_online(const FeathubViewQuery *query, const char *nspname, const char *function);
static void set_option(const char *name, const char *value);

PG_FUNCTION_INFO_V1(feathub_create_feature_view);
PG_FUNCTION_INFO_V1(feathub_drop_feature_view);

/* feathub.create_feature_view(feature_view, query, event_time, labels) */
Datum
feathub_create_feature_view(PG_FUNCTION_ARGS)
{
	FeathubView view = {0};
	FeathubViewQuery *query;
	char	   *name = get_text_argument(fcinfo, 0, "feature_view");
	char	   *nspname;
	char	   *relname;
	char	   *function;
	int			nestlevel;

	view.query = get_text_argument(fcinfo, 1, "query");
	view.labels = read_labels(fcinfo, 3);
	FeathubExtensionRequire();
	nspname = place_view(name, &relname);
	function = psprintf("%s" ONLINE_SUFFIX, relname);
	query = FeathubViewAnalyze(view.query,
							   PG_ARGISNULL(2) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(2)),
							   view.labels);
	view.event_time = query->event_time_name;

	/* names are written in full, and constants so that they are read back as they are */
	nestlevel = NewGUCNestLevel();
	set_option("search_path", "pg_catalog");
	set_option("DateStyle", "ISO");
	set_option("IntervalStyle", "postgres");
	set_option("extra_float_digits", "3");
	make_training(query, nspname, relname);
	view.online = make_online(query, nspname, function);
	AtEOXact_GUC(false, nestlevel);

	view.relid = get_relname_relid(relname, get_namespace_oid(nspname, false));
	FeathubViewInsert(&view);
	PG_RETURN_OID(view.relid);
}

/*
 * feathub.drop_feature_view(feature_view, if_exists)
 *
 * Drops view and function as DROP VIEW ... RESTRICT does.  Returns false if
 * there was none.
 */
Datum
feathub_drop_feature_view(PG_FUNCTION_ARGS)
{
	char	   *name = text_to_cstring(PG_GETARG_TEXT_PP(0));
	FeathubView *view;

	FeathubExtensionRequire();
	view = FeathubViewFind(name, PG_GETARG_BOOL(1));
	if (view == NULL)
	{
		ereport(NOTICE,
				(errmsg("feature view \"%s\" does not exist, skipping", name)));
		PG_RETURN_BOOL(false);
	}
	if (!object_ownercheck(RelationRelationId, view->relid, GetUserId()))
		aclcheck_error(ACLCHECK_NOT_OWNER, OBJECT_VIEW, get_rel_name(view->relid));
	FeathubGroupRunCommand(psprintf("DROP VIEW %s", FeathubQualifiedName(view->relid)));
	PG_RETURN_BOOL(true);
}

FeathubView *
FeathubViewFind(const char *name, bool missing_ok)
{
	RangeVar   *range = makeRangeVarFromNameList(textToQualifiedNameList(cstring_to_text(name)));
	Oid			relid = RangeVarGetRelid(range, NoLock, true);
	FeathubView *view = OidIsValid(relid) ? FeathubViewLoad(relid) : NULL;

	if (view == NULL && !missing_ok)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("feature view \"%s\" does not exist", name),
				 OidIsValid(relid) ? errdetail("There is a relation of that name, but it is no feature view.") : 0));
	return view;
}

static char *
get_text_argument(FunctionCallInfo fcinfo, int arg, const char *name)
{
	if (PG_ARGISNULL(arg))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("argument \"%s\" must not be null", name)));
	return text_to_cstring(PG_GETARG_TEXT_PP(arg));
}

static List *
read_labels(FunctionCallInfo fcinfo, int arg)
{
	List	   *labels = NIL;
	Datum	   *names;
	bool	   *nulls;
	int			nnames;

	if (PG_ARGISNULL(arg))
		return NIL;
	deconstruct_array(PG_GETARG_ARRAYTYPE_P(arg), TEXTOID, -1, false, TYPALIGN_INT,
					  &names, &nulls, &nnames);
	for (int i = 0; i < nnames; i++)
	{
		char	   *name;
		ListCell   *lc;

		if (nulls[i])
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("a column name in labels must not be null")));
		name = TextDatumGetCString(names[i]);
		foreach(lc, labels)
			if (strcmp((const char *) lfirst(lc), name) == 0)
				ereport(ERROR,
						(errcode(ERRCODE_DUPLICATE_COLUMN),
						 errmsg("column \"%s\" appears twice in labels", name)));
		labels = lappend(labels, name);
	}
	return labels;
}

/* The schema that the view goes to, and its name; both names must be free. */
static char *
place_view(const char *name, char **relname)
{
	RangeVar   *range = makeRangeVarFromNameList(textToQualifiedNameList(cstring_to_text(name)));
	Oid			namespace = RangeVarGetCreationNamespace(range);
	CatCList   *functions;
	char	   *function;

	*relname = range->relname;
	if (isTempOrTempToastNamespace(namespace))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_SCHEMA_NAME),
				 errmsg("a feature view cannot be temporary")));
	if (strlen(range->relname) + strlen(ONLINE_SUFFIX) >= NAMEDATALEN)
		ereport(ERROR,
				(errcode(ERRCODE_NAME_TOO_LONG),
				 errmsg("name of feature view \"%s\" is too long", range->relname),
				 errdetail("With \"%s\" it must be less than %d bytes.", ONLINE_SUFFIX, NAMEDATALEN)));
	if (OidIsValid(get_relname_relid(range->relname, namespace)))
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_TABLE),
				 errmsg("relation \"%s\" already exists", range->relname)));

	/* a second one of the name would make calls with default arguments ambiguous */
	function = psprintf("%s" ONLINE_SUFFIX, range->relname);
	functions = SearchSysCacheList1(PROCNAMEARGSNSP, CStringGetDatum(function));
	for (int i = 0; i < functions->n_members; i++)
		if (((Form_pg_proc) GETSTRUCT(&functions->members[i]->tuple))->pronamespace == namespace)
			ereport(ERROR,
					(errcode(ERRCODE_DUPLICATE_FUNCTION),
					 errmsg("function \"%s\" already exists", function),
					 errdetail("The online form of feature view \"%s\" needs the name.", range->relname)));
	ReleaseSysCacheList(functions);
	return get_namespace_name(namespace);
}

static void
make_training(const FeathubViewQuery *query, const char *nspname, const char *relname)
{
	FeathubGroupRunCommand(psprintf("CREATE VIEW %s AS %s",
									quote_qualified_identifier(nspname, relname),
									pg_get_querydef(FeathubViewTraining(query), false)));
}

/* Create the online function; inlined, it must have no SET and not be STRICT. */
static Oid
make_online(const FeathubViewQuery *query, const char *nspname, const char *function)
{
	List	   *arguments;
	Query	   *online = FeathubViewOnline(query, function, &arguments);
	Oid		   *types = (Oid *) palloc(sizeof(Oid) * (list_length(arguments) + 1));
	StringInfoData sql;
	ListCell   *lc;

	initStringInfo(&sql);
	appendStringInfo(&sql, "CREATE FUNCTION %s(", quote_qualified_identifier(nspname, function));
	foreach(lc, arguments)
	{
		FeathubViewArgument *argument = (FeathubViewArgument *) lfirst(lc);

		types[foreach_current_index(lc)] = argument->type;
		appendStringInfo(&sql, "%s%s %s DEFAULT NULL",
						 foreach_current_index(lc) > 0 ? ", " : "",
						 quote_identifier(argument->name),
						 format_type_extended(argument->type, -1, FORMAT_TYPE_FORCE_QUALIFY));
	}
	appendStringInfoString(&sql, ") RETURNS TABLE (");
	foreach(lc, online->targetList)
	{
		TargetEntry *tle = lfirst_node(TargetEntry, lc);

		appendStringInfo(&sql, "%s%s %s", foreach_current_index(lc) > 0 ? ", " : "",
						 quote_identifier(tle->resname),
						 format_type_extended(exprType((Node *) tle->expr), -1,
											  FORMAT_TYPE_FORCE_QUALIFY));
	}
	appendStringInfo(&sql, ") LANGUAGE sql STABLE ROWS 1 BEGIN ATOMIC %s; END",
					 pg_get_querydef(online, false));
	FeathubGroupRunCommand(sql.data);
	return LookupFuncName(list_make2(makeString(pstrdup(nspname)), makeString(pstrdup(function))),
						  list_length(arguments), types, false);
}

static void
set_option(const char *name, const char *value)
{
	(void) set_config_option(name, value, PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
}
