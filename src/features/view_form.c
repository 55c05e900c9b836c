/*
 * view_form.c
 *		The two objects that a feature view is.
 *
 * Both are written by the server's deparser and made by its own commands, as
 * the current user, so that what \d+ shows is what runs.
 */
#include "postgres.h"

#include "access/reloptions.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_proc.h"
#include "commands/comment.h"
#include "commands/defrem.h"
#include "executor/spi.h"
#include "funcapi.h"
#include "nodes/nodeFuncs.h"
#include "parser/parse_func.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/regproc.h"
#include "utils/ruleutils.h"
#include "utils/syscache.h"

#include "core/catalog.h"
#include "core/compat.h"
#include "core/describe.h"
#include "features/feature_group.h"
#include "features/view_form.h"
#include "features/view_online.h"
#include "features/view_share.h"
#include "features/view_training.h"

static void make_training(const FeathubViewQuery *query, const FeathubViewNames *names, Oid relid);
static char *view_options(Oid relid);
static void make_online(FeathubView *view, const FeathubViewQuery *query, const FeathubViewNames *names);
static char *online_command(Query *online, List *arguments, const FeathubViewNames *names, bool replace);
static bool same_signature(Oid function, List *arguments, List *columns);
static List *grants_of(Oid function);
static void set_option(const char *name, const char *value);

void
FeathubViewMakeForms(FeathubView *view, const FeathubViewQuery *query,
					 const FeathubViewNames *names)
{
	int			nestlevel = NewGUCNestLevel();

	/* names are written in full, and constants so that they are read back as they are */
	set_option("search_path", "pg_catalog");
	set_option("DateStyle", "ISO");
	set_option("IntervalStyle", "postgres");
	set_option("extra_float_digits", "3");
	make_training(query, names, view->relid);
	make_online(view, query, names);
	view->relid = get_relname_relid(names->relname, get_namespace_oid(names->nspname, false));
	AtEOXact_GUC(false, nestlevel);
}

static void
make_training(const FeathubViewQuery *query, const FeathubViewNames *names, Oid relid)
{
	FeathubGroupRunCommand(psprintf("CREATE %sVIEW %s %sAS %s",
									OidIsValid(relid) ? "OR REPLACE " : "",
									quote_qualified_identifier(names->nspname, names->relname),
									OidIsValid(relid) ? view_options(relid) : "",
									pg_get_querydef(FeathubViewTraining(query), false)));
}

/* WITH (...) for the options that the view has; replacing it would lose them. */
static char *
view_options(Oid relid)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
	StringInfoData sql;
	bool		isnull;
	Datum		options;
	ListCell   *lc;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for relation %u", relid);
	options = SysCacheGetAttr(RELOID, tuple, Anum_pg_class_reloptions, &isnull);
	initStringInfo(&sql);
	if (!isnull)
		foreach(lc, untransformRelOptions(options))
		{
			DefElem    *option = lfirst_node(DefElem, lc);

			appendStringInfo(&sql, "%s%s = %s", sql.len ? ", " : "WITH (",
							 quote_identifier(option->defname),
							 quote_literal_cstr(defGetString(option)));
		}
	if (sql.len)
		appendStringInfoString(&sql, ") ");
	ReleaseSysCache(tuple);
	return sql.data;
}

/* Make the online function; inlined, it must have no SET and not be STRICT. */
static void
make_online(FeathubView *view, const FeathubViewQuery *query, const FeathubViewNames *names)
{
	List	   *arguments;
	Query	   *online = FeathubViewOnline(query, names->function, &arguments);
	Oid			former = OidIsValid(view->relid) ? view->online : InvalidOid;
	/* views that it reads are made anew, and so must be the function */
	bool		same = OidIsValid(former) && view->owner_views == NIL && !view->owner_rights &&
		same_signature(former, arguments, online->targetList);
	List	   *grants = NIL;
	char	   *comment = NULL;
	Oid		   *types = (Oid *) palloc(sizeof(Oid) * (list_length(arguments) + 1));
	Oid			function;
	ListCell   *lc;

	if (OidIsValid(former) && !same)
	{
		grants = grants_of(former);
		comment = GetComment(former, ProcedureRelationId, 0);
		FeathubGroupRunCommand(psprintf("DROP FUNCTION %s", format_procedure_qualified(former)));
		foreach(lc, view->owner_views)
			FeathubGroupRunCommand(psprintf("DROP VIEW %s", FeathubQualifiedName(lfirst_oid(lc))));
	}
	view->owner_views = view->owner_rights ?
		FeathubViewShare(online, names->nspname, psprintf("%s_online", names->relname)) : NIL;
	FeathubGroupRunCommand(online_command(online, arguments, names, same));
	foreach(lc, arguments)
		types[foreach_current_index(lc)] = ((FeathubViewArgument *) lfirst(lc))->type;
	function = LookupFuncName(list_make2(makeString(names->function_nspname), makeString(names->function)),
							  list_length(arguments), types, false);
	foreach(lc, grants)
		FeathubGroupRunCommand(psprintf((const char *) lfirst(lc), format_procedure_qualified(function)));
	if (comment)
		CreateComments(function, ProcedureRelationId, 0, comment);
	view->online = function;
}

static char *
online_command(Query *online, List *arguments, const FeathubViewNames *names, bool replace)
{
	StringInfoData sql;
	ListCell   *lc;

	initStringInfo(&sql);
	appendStringInfo(&sql, "CREATE %sFUNCTION %s(", replace ? "OR REPLACE " : "",
					 quote_qualified_identifier(names->function_nspname, names->function));
	foreach(lc, arguments)
	{
		FeathubViewArgument *argument = (FeathubViewArgument *) lfirst(lc);

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
	return sql.data;
}

/* Has the function these arguments and result columns, by name and type? */
static bool
same_signature(Oid function, List *arguments, List *columns)
{
	HeapTuple	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
	Oid		   *types;
	char	  **names;
	char	   *modes;
	int			n;
	int			narguments = list_length(arguments);
	bool		same;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for function %u", function);
	n = get_func_arg_info(tuple, &types, &names, &modes);
	same = n == narguments + list_length(columns) && modes != NULL && names != NULL;
	for (int i = 0; i < n && same; i++)
	{
		if (i < narguments)
		{
			FeathubViewArgument *argument = (FeathubViewArgument *) list_nth(arguments, i);

			same = modes[i] == PROARGMODE_IN && types[i] == argument->type &&
				strcmp(names[i], argument->name) == 0;
		}
		else
		{
			TargetEntry *tle = list_nth_node(TargetEntry, columns, i - narguments);

			same = modes[i] == PROARGMODE_TABLE && types[i] == exprType((Node *) tle->expr) &&
				strcmp(names[i], tle->resname) == 0;
		}
	}
	ReleaseSysCache(tuple);
	return same;
}

/* Commands with %s for the function that give its rights to another; none if they are the default. */
static List *
grants_of(Oid function)
{
	static const char *sql =
		"SELECT CASE WHEN a.grantee = 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END, a.is_grantable "
		"FROM pg_proc AS p CROSS JOIN LATERAL aclexplode(p.proacl) AS a WHERE p.oid = $1 AND a.grantee <> p.proowner";
	MemoryContext caller = CurrentMemoryContext;
	HeapTuple	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
	Oid			types[] = {OIDOID};
	Datum		values[] = {ObjectIdGetDatum(function)};
	List	   *commands = NIL;
	bool		isnull;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for function %u", function);
	(void) SysCacheGetAttr(PROCOID, tuple, Anum_pg_proc_proacl, &isnull);
	ReleaseSysCache(tuple);
	if (isnull)
		return NIL;

	commands = lappend(commands, pstrdup("REVOKE ALL ON FUNCTION %s FROM PUBLIC"));
	SPI_connect();
	if (SPI_execute_with_args(sql, 1, types, values, NULL, true, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not read the grants of function %u", function);
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		const char *grantee = SPI_getvalue(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 1);
		bool		grantable = DatumGetBool(SPI_getbinval(SPI_tuptable->vals[i],
														   SPI_tuptable->tupdesc, 2, &isnull));
		MemoryContext old = MemoryContextSwitchTo(caller);
		StringInfoData command;

		/* a role's name may have a percent sign */
		initStringInfo(&command);
		appendStringInfoString(&command, "GRANT EXECUTE ON FUNCTION %s TO ");
		for (const char *c = grantee; *c; c++)
			appendStringInfo(&command, *c == '%' ? "%%%%" : "%c", *c);
		if (grantable)
			appendStringInfoString(&command, " WITH GRANT OPTION");
		commands = lappend(commands, command.data);
		MemoryContextSwitchTo(old);
	}
	SPI_finish();
	return commands;
}

static void
set_option(const char *name, const char *value)
{
	(void) set_config_option(name, value, PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
}
