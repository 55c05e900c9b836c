/*
 * feature_view.c
 *		SQL functions on feature views: create, alter, drop.
 *
 * A feature view is two objects of the user's: the view (training form) and
 * the function <name>_online (online form).
 */
#include "postgres.h"

#include "access/relation.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/catcache.h"
#include "utils/guc.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"
#include "utils/varlena.h"

#include "core/catalog.h"
#include "core/compat.h"
#include "core/describe.h"
#include "core/view_catalog.h"
#include "features/feature_group.h"
#include "features/feature_view.h"
#include "features/view_form.h"
#include "features/view_query.h"

#define ONLINE_SUFFIX "_online"

static List *read_names(FunctionCallInfo fcinfo, int arg, const char *argument);
static char *place_view(const char *name, char **relname);
static void reset_arguments(ArrayType *names, FeathubView *view);
static void make_anew(FeathubView *view, bool other_query);

PG_FUNCTION_INFO_V1(feathub_create_feature_view);
PG_FUNCTION_INFO_V1(feathub_alter_feature_view);
PG_FUNCTION_INFO_V1(feathub_drop_feature_view);

/*
 * feathub.create_feature_view(feature_view, query, event_time, labels, max_age,
 *		with_event_times, owner_rights, training_helpers, inference_helpers)
 */
Datum
feathub_create_feature_view(PG_FUNCTION_ARGS)
{
	FeathubView view = {0};
	FeathubViewNames names;
	FeathubViewQuery *query;
	char	   *name = FeathubGroupReadText(fcinfo, 0, "feature_view");

	view.query = FeathubGroupReadText(fcinfo, 1, "query");
	if (!PG_ARGISNULL(2))
		view.event_time = text_to_cstring(PG_GETARG_TEXT_PP(2));
	view.labels = read_names(fcinfo, 3, "labels");
	if (!PG_ARGISNULL(4))
		view.max_age = DatumGetCString(DirectFunctionCall1(jsonb_out, PG_GETARG_DATUM(4)));
	view.event_times = FeathubGroupReadBool(fcinfo, 5, "with_event_times");
	view.owner_rights = FeathubGroupReadBool(fcinfo, 6, "owner_rights");
	view.training_helpers = read_names(fcinfo, 7, "training_helpers");
	view.inference_helpers = read_names(fcinfo, 8, "inference_helpers");
	view.search_path = pstrdup(namespace_search_path);
	FeathubExtensionRequire();
	names.nspname = place_view(name, &names.relname);
	names.function_nspname = names.nspname;
	names.function = psprintf("%s" ONLINE_SUFFIX, names.relname);
	query = FeathubViewAnalyze(&view);
	view.event_time = query->event_time_name;
	FeathubViewMakeForms(&view, query, &names);
	FeathubViewInsert(&view);
	FeathubViewShareGrants(view.relid);
	PG_RETURN_OID(view.relid);
}

/*
 * feathub.alter_feature_view(feature_view, query, event_time, labels, max_age,
 *		with_event_times, owner_rights, reset, training_helpers, inference_helpers)
 *
 * NULL keeps an argument; reset names those to leave out.  The forms are made
 * anew even if none is given, which takes over the groups' present ttl.
 */
Datum
feathub_alter_feature_view(PG_FUNCTION_ARGS)
{
	FeathubView *view;

	FeathubExtensionRequire();
	view = FeathubViewFind(FeathubGroupReadText(fcinfo, 0, "feature_view"), false);
	if (!object_ownercheck(RelationRelationId, view->relid, GetUserId()))
		aclcheck_error(ACLCHECK_NOT_OWNER, OBJECT_VIEW, get_rel_name(view->relid));
	LockRelationOid(view->relid, AccessExclusiveLock);
	/* somebody else may have changed it while we waited */
	view = FeathubViewLoad(view->relid);
	if (view == NULL || !OidIsValid(view->online))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("feature view \"%s\" or its online function does not exist any more",
						FeathubGroupReadText(fcinfo, 0, "feature_view"))));

	if (!PG_ARGISNULL(7))
		reset_arguments(PG_GETARG_ARRAYTYPE_P(7), view);
	if (!PG_ARGISNULL(1))
	{
		view->query = text_to_cstring(PG_GETARG_TEXT_PP(1));
		view->search_path = pstrdup(namespace_search_path);
	}
	if (!PG_ARGISNULL(2))
		view->event_time = text_to_cstring(PG_GETARG_TEXT_PP(2));
	if (!PG_ARGISNULL(3))
		view->labels = read_names(fcinfo, 3, "labels");
	if (!PG_ARGISNULL(4))
		view->max_age = DatumGetCString(DirectFunctionCall1(jsonb_out, PG_GETARG_DATUM(4)));
	if (!PG_ARGISNULL(5))
		view->event_times = PG_GETARG_BOOL(5);
	if (!PG_ARGISNULL(6))
		view->owner_rights = PG_GETARG_BOOL(6);
	if (!PG_ARGISNULL(8))
		view->training_helpers = read_names(fcinfo, 8, "training_helpers");
	if (!PG_ARGISNULL(9))
		view->inference_helpers = read_names(fcinfo, 9, "inference_helpers");
	make_anew(view, !PG_ARGISNULL(1));
	PG_RETURN_VOID();
}

static void
reset_arguments(ArrayType *names, FeathubView *view)
{
	Datum	   *values;
	bool	   *nulls;
	int			nvalues;

	deconstruct_array(names, TEXTOID, -1, false, TYPALIGN_INT, &values, &nulls, &nvalues);
	for (int i = 0; i < nvalues; i++)
	{
		const char *name = nulls[i] ? "null" : TextDatumGetCString(values[i]);

		if (strcmp(name, "event_time") == 0)
			view->event_time = NULL;
		else if (strcmp(name, "labels") == 0)
			view->labels = NIL;
		else if (strcmp(name, "max_age") == 0)
			view->max_age = NULL;
		else if (strcmp(name, "training_helpers") == 0)
			view->training_helpers = NIL;
		else if (strcmp(name, "inference_helpers") == 0)
			view->inference_helpers = NIL;
		else
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("unrecognized argument of a feature view: \"%s\"", name),
					 errhint("Arguments that can be reset are: event_time, labels, max_age, training_helpers, inference_helpers.")));
	}
}

/*
 * Make both forms again, as the view's owner, who is to own the function too.
 * The former query gives the columns their present names.
 */
static void
make_anew(FeathubView *view, bool other_query)
{
	FeathubViewNames names;
	FeathubViewQuery *query;
	Relation	rel = relation_open(view->relid, NoLock);
	Oid			owner = rel->rd_rel->relowner;
	Oid			save_userid;
	int			save_sec_context;
	int			nestlevel = NewGUCNestLevel();

	if (!other_query)
		for (int i = 0; i < RelationGetDescr(rel)->natts; i++)
			view->columns = lappend(view->columns,
									pstrdup(NameStr(TupleDescAttr(RelationGetDescr(rel), i)->attname)));
	relation_close(rel, NoLock);
	names.nspname = get_namespace_name(get_rel_namespace(view->relid));
	names.relname = get_rel_name(view->relid);
	names.function_nspname = get_namespace_name(get_func_namespace(view->online));
	names.function = get_func_name(view->online);

	GetUserIdAndSecContext(&save_userid, &save_sec_context);
	/* what the owner's query calls must gain no rights of whoever alters the view */
	SetUserIdAndSecContext(owner, save_sec_context | SECURITY_LOCAL_USERID_CHANGE |
						   (owner != save_userid ? SECURITY_RESTRICTED_OPERATION : 0));
	if (!other_query)
		(void) set_config_option("search_path", view->search_path, PGC_USERSET, PGC_S_SESSION,
								 GUC_ACTION_SAVE, true, 0, false);
	query = FeathubViewAnalyze(view);
	AtEOXact_GUC(false, nestlevel);
	view->event_time = query->event_time_name;
	FeathubViewDelete(view->relid);
	FeathubViewMakeForms(view, query, &names);
	FeathubViewInsert(view);
	FeathubViewShareGrants(view->relid);
	SetUserIdAndSecContext(save_userid, save_sec_context);
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

static List *
read_names(FunctionCallInfo fcinfo, int arg, const char *argument)
{
	List	   *result = NIL;
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
					 errmsg("a column name in %s must not be null", argument)));
		name = TextDatumGetCString(names[i]);
		foreach(lc, result)
			if (strcmp((const char *) lfirst(lc), name) == 0)
				ereport(ERROR,
						(errcode(ERRCODE_DUPLICATE_COLUMN),
						 errmsg("column \"%s\" appears twice in %s", name, argument)));
		result = lappend(result, name);
	}
	return result;
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
