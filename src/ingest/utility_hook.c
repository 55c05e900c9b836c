/*
 * utility_hook.c
 *		Keep out of the way of commands on whole databases.
 *
 * DROP DATABASE, its rename, a move of its tablespace and its use as a template
 * want nobody else in the database; the server waits five seconds and gives up.
 * So our processes leave first, and none starts before the command has ended.
 * Only a user who owns the database can have them leave.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_database.h"
#include "commands/dbcommands.h"
#include "commands/defrem.h"
#include "miscadmin.h"
#include "tcop/utility.h"
#include "utils/acl.h"

#include "core/catalog.h"
#include "core/compat.h"
#include "ingest/launcher.h"
#include "ingest/registry_shmem.h"

static ProcessUtility_hook_type prev_process_utility = NULL;
static bool jobs_changed = false;	/* in this transaction; set by the hook */

/* The database that a statement wants for itself, or InvalidOid. */
static Oid
database_wanted(Node *stmt)
{
	const char *name = NULL;
	Oid			database;
	ListCell   *lc;

	switch (nodeTag(stmt))
	{
		case T_DropdbStmt:
			name = ((DropdbStmt *) stmt)->dbname;
			break;
		case T_RenameStmt:
			if (((RenameStmt *) stmt)->renameType == OBJECT_DATABASE)
				name = ((RenameStmt *) stmt)->subname;
			break;
		case T_AlterDatabaseStmt:
			foreach(lc, ((AlterDatabaseStmt *) stmt)->options)
				if (strcmp(lfirst_node(DefElem, lc)->defname, "tablespace") == 0)
					name = ((AlterDatabaseStmt *) stmt)->dbname;
			break;
		case T_CreatedbStmt:
			foreach(lc, ((CreatedbStmt *) stmt)->options)
			{
				DefElem    *def = lfirst_node(DefElem, lc);

				if (strcmp(def->defname, "template") == 0 && def->arg)
					name = defGetString(def);
			}
			break;
		default:
			break;
	}
	if (name == NULL)
		return InvalidOid;
	database = get_database_oid(name, true);
	if (!OidIsValid(database) || database == MyDatabaseId ||
		!feathub_owns_database(database, GetUserId()))
		return InvalidOid;
	return database;
}

static void
process_utility(PlannedStmt *pstmt, const char *query, bool read_only_tree,
				ProcessUtilityContext context, ParamListInfo params,
				QueryEnvironment *env, DestReceiver *dest, QueryCompletion *qc)
{
	Oid			database = database_wanted(pstmt->utilityStmt);
	ProcessUtility_hook_type next = prev_process_utility ?
		prev_process_utility : standard_ProcessUtility;

	if (!OidIsValid(database))
	{
		next(pstmt, query, read_only_tree, context, params, env, dest, qc);
		if (IsA(pstmt->utilityStmt, DropStmt) &&
			((DropStmt *) pstmt->utilityStmt)->removeType == OBJECT_EXTENSION)
			FeathubJobsChanged();
		return;
	}
	PG_TRY();
	{
		FeathubDatabaseBlock(database);
		next(pstmt, query, read_only_tree, context, params, env, dest, qc);
	}
	PG_FINALLY();
	{
		FeathubDatabaseUnblock(database);
	}
	PG_END_TRY();
}

/* FeathubJobsChangedHook */
static void
note_jobs_changed(void)
{
	jobs_changed = true;
}

/* After the commit, so that whoever is woken sees it. */
static void
end_of_transaction(XactEvent event, void *arg)
{
	if (event == XACT_EVENT_COMMIT && jobs_changed)
		FeathubRegistryWake(MyDatabaseId);
	if (event == XACT_EVENT_COMMIT || event == XACT_EVENT_ABORT || event == XACT_EVENT_PREPARE)
		jobs_changed = false;
}

void
FeathubUtilityHookInit(void)
{
	prev_process_utility = ProcessUtility_hook;
	ProcessUtility_hook = process_utility;
	FeathubJobsChangedHook = note_jobs_changed;
	FeathubJobInterruptHook = FeathubJobInterrupt;
	RegisterXactCallback(end_of_transaction, NULL);
}
