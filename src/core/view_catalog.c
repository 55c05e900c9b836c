/*
 * view_catalog.c
 *		The metadata of feature views: statements, dependencies, triggers.
 *
 * The online function is stored by its signature, as text: functions get other
 * OIDs in an upgrade or a restored dump, and pg_upgrade refuses tables with
 * regprocedure.  While both live, pg_depend says what belongs together, and an
 * event trigger keeps the text in step with renames.  The dependency is an
 * automatic one: functions with an internal one are not dumped.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/dependency.h"
#include "catalog/pg_class.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "commands/event_trigger.h"
#include "commands/trigger.h"
#include "fmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/rel.h"

#include "core/catalog.h"
#include "core/dependency.h"
#include "core/compat.h"
#include "core/view_catalog.h"

#define ONLINE_OF_VIEW \
	"FROM pg_depend AS d WHERE d.classid = 'pg_proc'::regclass AND d.refclassid = 'pg_class'::regclass " \
	"AND d.refobjid = v.feature_view AND d.deptype = 'a'"

static List *read_names(Datum array);
static Datum make_names(List *list);

PG_FUNCTION_INFO_V1(feathub_view_changed);
PG_FUNCTION_INFO_V1(feathub_on_alter);

FeathubView *
FeathubViewLoad(Oid relid)
{
	static FeathubStatement statement = {
		.sql = "SELECT COALESCE((SELECT d.objid " ONLINE_OF_VIEW " LIMIT 1), to_regprocedure(v.online)::oid), "
		"query, event_time::text, labels, max_age::text, with_event_times, search_path, created_at, "
		"owner_rights, owner_views::oid[], training_helpers, inference_helpers "
		"FROM feathub.feature_view AS v WHERE v.feature_view = $1",
		.nargs = 1, .argtypes = {REGCLASSOID}
	};
	MemoryContext caller = CurrentMemoryContext;
	FeathubRoleScope scope;
	FeathubView *view = NULL;
	Datum		values[1] = {ObjectIdGetDatum(relid)};

	FeathubCatalogEnter(&scope);
	if (FeathubCatalogExecute(&statement, values, NULL) > 0)
	{
		HeapTuple	tuple = SPI_tuptable->vals[0];
		TupleDesc	desc = SPI_tuptable->tupdesc;
		MemoryContext old = MemoryContextSwitchTo(caller);
		bool		isnull;
		Datum		value;
		Datum	   *names;
		int			nnames;

		view = (FeathubView *) palloc0(sizeof(FeathubView));
		view->relid = relid;
		value = SPI_getbinval(tuple, desc, 1, &isnull);
		view->online = isnull ? InvalidOid : DatumGetObjectId(value);
		view->query = TextDatumGetCString(SPI_getbinval(tuple, desc, 2, &isnull));
		value = SPI_getbinval(tuple, desc, 3, &isnull);
		view->event_time = isnull ? NULL : TextDatumGetCString(value);
		view->labels = read_names(SPI_getbinval(tuple, desc, 4, &isnull));
		view->training_helpers = read_names(SPI_getbinval(tuple, desc, 11, &isnull));
		view->inference_helpers = read_names(SPI_getbinval(tuple, desc, 12, &isnull));
		view->max_age = SPI_getvalue(tuple, desc, 5);
		view->event_times = DatumGetBool(SPI_getbinval(tuple, desc, 6, &isnull));
		view->search_path = SPI_getvalue(tuple, desc, 7);
		view->created_at = DatumGetTimestampTz(SPI_getbinval(tuple, desc, 8, &isnull));
		view->owner_rights = DatumGetBool(SPI_getbinval(tuple, desc, 9, &isnull));
		deconstruct_array(DatumGetArrayTypeP(SPI_getbinval(tuple, desc, 10, &isnull)),
						  OIDOID, sizeof(Oid), true, TYPALIGN_INT, &names, NULL, &nnames);
		for (int i = 0; i < nnames; i++)
			view->owner_views = lappend_oid(view->owner_views, DatumGetObjectId(names[i]));
		MemoryContextSwitchTo(old);
	}
	FeathubCatalogLeave(&scope);
	return view;
}

/* A name[] as a list of char *, and back. */
static List *
read_names(Datum array)
{
	List	   *result = NIL;
	Datum	   *names;
	int			nnames;

	deconstruct_array(DatumGetArrayTypeP(array), NAMEOID, NAMEDATALEN, false, TYPALIGN_CHAR,
					  &names, NULL, &nnames);
	for (int i = 0; i < nnames; i++)
		result = lappend(result, pstrdup(NameStr(*DatumGetName(names[i]))));
	return result;
}

static Datum
make_names(List *list)
{
	Datum	   *names = (Datum *) palloc(sizeof(Datum) * (list_length(list) + 1));
	ListCell   *lc;

	foreach(lc, list)
		names[foreach_current_index(lc)] = DirectFunctionCall1(namein, CStringGetDatum(lfirst(lc)));
	return PointerGetDatum(construct_array(names, list_length(list), NAMEOID, NAMEDATALEN,
										   false, TYPALIGN_CHAR));
}

void
FeathubViewInsert(const FeathubView *view)
{
	static FeathubStatement statement = {
		.sql = "INSERT INTO feathub.feature_view (feature_view, online, query, event_time, labels, max_age, "
		"with_event_times, search_path, created_at, owner_rights, owner_views, training_helpers, inference_helpers) "
		"VALUES ($1, (pg_identify_object('pg_proc'::regclass, $2, 0)).identity, $3, $4::name, $5, $6::jsonb, "
		"$7, $8, COALESCE($9, now()), $10, $11::regclass[], $12, $13)",
		.nargs = 13,
		.argtypes = {REGCLASSOID, OIDOID, TEXTOID, TEXTOID, NAMEARRAYOID, TEXTOID, BOOLOID, TEXTOID,
		TIMESTAMPTZOID, BOOLOID, OIDARRAYOID, NAMEARRAYOID, NAMEARRAYOID}
	};
	FeathubRoleScope scope;
	Datum		values[13];
	char		nulls[14] = "             ";
	Datum	   *parts = (Datum *) palloc(sizeof(Datum) * (list_length(view->owner_views) + 1));
	ListCell   *lc;

	values[0] = ObjectIdGetDatum(view->relid);
	values[1] = ObjectIdGetDatum(view->online);
	values[2] = CStringGetTextDatum(view->query);
	if (view->event_time)
		values[3] = CStringGetTextDatum(view->event_time);
	else
		nulls[3] = 'n';
	values[4] = make_names(view->labels);
	if (view->max_age)
		values[5] = CStringGetTextDatum(view->max_age);
	else
		nulls[5] = 'n';
	values[6] = BoolGetDatum(view->event_times);
	values[7] = CStringGetTextDatum(view->search_path);
	values[8] = TimestampTzGetDatum(view->created_at);
	if (view->created_at == 0)
		nulls[8] = 'n';
	values[9] = BoolGetDatum(view->owner_rights);
	foreach(lc, view->owner_views)
		parts[foreach_current_index(lc)] = ObjectIdGetDatum(lfirst_oid(lc));
	values[10] = PointerGetDatum(construct_array(parts, list_length(view->owner_views), OIDOID,
												 sizeof(Oid), true, TYPALIGN_INT));
	values[11] = make_names(view->training_helpers);
	values[12] = make_names(view->inference_helpers);

	FeathubCatalogEnter(&scope);
	(void) FeathubCatalogExecute(&statement, values, nulls);
	FeathubCatalogLeave(&scope);
}

void
FeathubViewDelete(Oid relid)
{
	static FeathubStatement statement = {
		.sql = "DELETE FROM feathub.feature_view WHERE feature_view = $1",
		.nargs = 1, .argtypes = {REGCLASSOID}
	};
	FeathubRoleScope scope;
	Datum		values[1] = {ObjectIdGetDatum(relid)};

	FeathubCatalogEnter(&scope);
	(void) FeathubCatalogExecute(&statement, values, NULL);
	FeathubCatalogLeave(&scope);
	CommandCounterIncrement();
}

void
FeathubViewRenameLabel(Oid relid, const char *from, const char *to)
{
	static FeathubStatement statement = {
		.sql = "UPDATE feathub.feature_view SET labels = array_replace(labels, $2::name, $3::name), "
		"training_helpers = array_replace(training_helpers, $2::name, $3::name), "
		"inference_helpers = array_replace(inference_helpers, $2::name, $3::name) "
		"WHERE feature_view = $1 AND $2::name = ANY (labels || training_helpers || inference_helpers)",
		.nargs = 3, .argtypes = {REGCLASSOID, TEXTOID, TEXTOID}
	};
	FeathubRoleScope scope;
	Datum		values[3] = {ObjectIdGetDatum(relid), CStringGetTextDatum(from), CStringGetTextDatum(to)};

	FeathubCatalogEnter(&scope);
	(void) FeathubCatalogExecute(&statement, values, NULL);
	FeathubCatalogLeave(&scope);
}

List *
FeathubViewsOfRelation(Oid relid)
{
	static FeathubStatement statement = {
		.sql = "SELECT DISTINCT v.feature_view::oid FROM feathub.feature_view AS v "
		"JOIN pg_rewrite AS r ON r.ev_class = v.feature_view "
		"JOIN pg_depend AS d ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid "
		"WHERE d.refclassid = 'pg_class'::regclass AND d.refobjid = $1 ORDER BY 1",
		.nargs = 1, .argtypes = {OIDOID}
	};
	MemoryContext caller = CurrentMemoryContext;
	FeathubRoleScope scope;
	Datum		values[1] = {ObjectIdGetDatum(relid)};
	List	   *views = NIL;
	MemoryContext old;
	bool		isnull;

	FeathubCatalogEnter(&scope);
	(void) FeathubCatalogExecute(&statement, values, NULL);
	old = MemoryContextSwitchTo(caller);
	for (uint64 i = 0; i < SPI_processed; i++)
		views = lappend_oid(views, DatumGetObjectId(SPI_getbinval(SPI_tuptable->vals[i],
																  SPI_tuptable->tupdesc, 1, &isnull)));
	MemoryContextSwitchTo(old);
	FeathubCatalogLeave(&scope);
	return views;
}

void
FeathubViewDependenciesMake(Oid relid)
{
	static FeathubStatement statement = {
		/* CASE: only what has no dependency is parsed, which may be an error */
		.sql = "SELECT f.oid, f.feature_view FROM (SELECT v.feature_view::oid, "
		"CASE WHEN NOT EXISTS (SELECT " ONLINE_OF_VIEW ") THEN to_regprocedure(v.online)::oid END AS oid "
		"FROM feathub.feature_view AS v WHERE ($1 = 0 OR v.feature_view = $1) "
		"AND EXISTS (SELECT FROM pg_class AS c WHERE c.oid = v.feature_view) OFFSET 0) AS f WHERE f.oid IS NOT NULL",
		.nargs = 1, .argtypes = {OIDOID}
	};

	static FeathubStatement parts = {
		.sql = "SELECT c.oid, v.feature_view::oid FROM feathub.feature_view AS v "
		"CROSS JOIN LATERAL unnest(v.owner_views) AS u (part) JOIN pg_class AS c ON c.oid = u.part "
		"WHERE ($1 = 0 OR v.feature_view = $1) "
		"AND EXISTS (SELECT FROM pg_class AS w WHERE w.oid = v.feature_view) "
		"AND NOT EXISTS (SELECT FROM pg_depend AS d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid "
		"AND d.refclassid = 'pg_class'::regclass AND d.refobjid = v.feature_view AND d.deptype = 'a')",
		.nargs = 1, .argtypes = {OIDOID}
	};

	FeathubDependenciesRecord(&statement, relid, ProcedureRelationId, DEPENDENCY_AUTO);
	FeathubDependenciesRecord(&parts, relid, RelationRelationId, DEPENDENCY_AUTO);
}

void
FeathubViewsCheck(void)
{
	static FeathubStatement statement = {
		.sql = "DELETE FROM feathub.feature_view AS v "
		"WHERE NOT EXISTS (SELECT FROM pg_class AS c WHERE c.oid = v.feature_view) "
		"RETURNING v.feature_view::oid::text"
	};
	FeathubRoleScope scope;

	FeathubCatalogEnter(&scope);
	(void) FeathubCatalogExecute(&statement, NULL, NULL);
	for (uint64 i = 0; i < SPI_processed; i++)
		ereport(LOG,
				(errmsg("removed feature view \"%s\" whose view does not exist any more",
						SPI_getvalue(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 1))));
	FeathubCatalogLeave(&scope);
	FeathubViewDependenciesMake(InvalidOid);
}

/* Trigger on feathub.feature_view: a restored dump makes the dependency again. */
Datum
feathub_view_changed(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;
	TupleDesc	desc;
	bool		isnull;

	if (!CALLED_AS_TRIGGER(fcinfo) || !TRIGGER_FIRED_AFTER(trigger->tg_event) ||
		!TRIGGER_FIRED_FOR_ROW(trigger->tg_event) || !TRIGGER_FIRED_BY_INSERT(trigger->tg_event))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"%s\" was not called by its trigger", "view_changed")));

	desc = RelationGetDescr(trigger->tg_relation);
	FeathubViewDependenciesMake(DatumGetObjectId(SPI_getbinval(trigger->tg_trigtuple, desc,
															   SPI_fnumber(desc, "feature_view"),
															   &isnull)));
	return PointerGetDatum(NULL);
}

/*
 * Event trigger on what can rename a function, its schema or its types, and on
 * CREATE FUNCTION, which forgets the dependencies of one that it replaces.
 */
Datum
feathub_on_alter(PG_FUNCTION_ARGS)
{
	static FeathubStatement statement = {
		.sql = "UPDATE feathub.feature_view AS v SET online = f.signature "
		"FROM (SELECT d.refobjid, (pg_identify_object(d.classid, d.objid, 0)).identity AS signature FROM pg_depend AS d "
		"WHERE d.classid = 'pg_proc'::regclass AND d.refclassid = 'pg_class'::regclass AND d.deptype = 'a') AS f "
		"WHERE f.refobjid = v.feature_view AND f.signature <> v.online"
	};
	EventTriggerData *trigger = (EventTriggerData *) fcinfo->context;
	FeathubRoleScope scope;

	if (!CALLED_AS_EVENT_TRIGGER(fcinfo) || strcmp(trigger->event, "ddl_command_end") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_EVENT_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"%s\" was not called by its event trigger", "on_alter")));
	if (!OidIsValid(FeathubExtensionOid()))
		PG_RETURN_NULL();

	FeathubCatalogEnter(&scope);
	(void) FeathubCatalogExecute(&statement, NULL, NULL);
	FeathubCatalogLeave(&scope);
	FeathubViewDependenciesMake(InvalidOid);
	PG_RETURN_NULL();
}
