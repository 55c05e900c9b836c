/*
 * view_grant.c
 *		Readers of feature views made with owner_rights.
 *
 * The online form of such a view reads views that its owner has for it.  Who
 * may read the feature view may read them, and nobody else: an event trigger on
 * GRANT and REVOKE keeps their rights the same.
 */
#include "postgres.h"

#include "catalog/pg_class.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_type.h"
#include "commands/event_trigger.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "core/catalog.h"
#include "core/compat.h"
#include "core/view_catalog.h"

/* A statement to be run as a role. */
typedef struct GrantCommand
{
	Oid			owner;
	char	   *sql;
} GrantCommand;

static bool any_shares(void);
static List *collect_commands(Oid relid);

PG_FUNCTION_INFO_V1(feathub_on_grant);

/*
 * Event trigger on GRANT and REVOKE, before and after.  PostgreSQL locks no table
 * for them, and the second of two that change the rights on one fails ("tuple
 * concurrently updated").  As ours touch tables that a statement does not name, a
 * restore in parallel would meet that: they wait for each other instead.
 */
Datum
feathub_on_grant(PG_FUNCTION_ARGS)
{
	EventTriggerData *trigger = (EventTriggerData *) fcinfo->context;
	Oid			extension = FeathubExtensionOid();

	if (!CALLED_AS_EVENT_TRIGGER(fcinfo) ||
		(strcmp(trigger->event, "ddl_command_start") != 0 &&
		 strcmp(trigger->event, "ddl_command_end") != 0))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_EVENT_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"%s\" was not called by its event trigger", "on_grant")));
	if (!OidIsValid(extension))
		PG_RETURN_NULL();
	if (strcmp(trigger->event, "ddl_command_end") == 0)
		FeathubViewShareGrants(InvalidOid);
	else if (any_shares())
		LockDatabaseObject(ExtensionRelationId, extension, 0, ShareUpdateExclusiveLock);
	PG_RETURN_NULL();
}

/* Is there a view whose readers need rights on others? */
static bool
any_shares(void)
{
	static FeathubStatement statement = {
		.sql = "SELECT FROM feathub.feature_view WHERE owner_views <> '{}' LIMIT 1"
	};
	FeathubRoleScope scope;
	bool		any;

	FeathubCatalogEnter(&scope);
	any = FeathubCatalogExecute(&statement, NULL, NULL) > 0;
	FeathubCatalogLeave(&scope);
	return any;
}

void
FeathubViewShareGrants(Oid relid)
{
	static bool active = false; /* our own GRANTs fire the trigger, too */
	List	   *commands;
	ListCell   *lc;

	if (active)
		return;
	commands = collect_commands(relid);
	if (commands == NIL)
		return;
	active = true;
	PG_TRY();
	{
		SPI_connect();
		foreach(lc, commands)
		{
			GrantCommand *command = (GrantCommand *) lfirst(lc);
			Oid			save_userid;
			int			save_sec_context;

			GetUserIdAndSecContext(&save_userid, &save_sec_context);
			SetUserIdAndSecContext(command->owner, save_sec_context | SECURITY_LOCAL_USERID_CHANGE);
			if (SPI_execute(command->sql, false, 0) < 0)
				elog(ERROR, "could not run \"%s\"", command->sql);
			SetUserIdAndSecContext(save_userid, save_sec_context);
		}
		SPI_finish();
	}
	PG_FINALLY();
	{
		active = false;
	}
	PG_END_TRY();
}

/* What makes the rights on the views equal to those on the feature view. */
static List *
collect_commands(Oid relid)
{
	static FeathubStatement statement = {
		.sql = "WITH shared AS (SELECT v.feature_view::oid AS whole, u.part::oid AS part "
		"FROM feathub.feature_view AS v CROSS JOIN LATERAL unnest(v.owner_views) AS u (part) "
		"WHERE $1 = 0 OR v.feature_view = $1), "
		"granted AS (SELECT DISTINCT c.oid, a.grantee FROM pg_class AS c "
		"CROSS JOIN LATERAL aclexplode(c.relacl) AS a "
		"WHERE a.privilege_type = 'SELECT' AND a.grantee <> c.relowner), "
		/* who was given the feature view alone cannot give away what its former owner may read */
		"wanted AS (SELECT s.part, g.grantee FROM shared AS s JOIN granted AS g ON g.oid = s.whole "
		"JOIN pg_class AS w ON w.oid = s.whole JOIN pg_class AS p ON p.oid = s.part WHERE w.relowner = p.relowner), "
		"present AS (SELECT s.part, g.grantee FROM shared AS s JOIN granted AS g ON g.oid = s.part) "
		"SELECT d.part, d.granting, CASE WHEN d.grantee = 0 THEN 'PUBLIC' "
		"ELSE quote_ident(pg_get_userbyid(d.grantee)) END, c.relowner, "
		"quote_ident(n.nspname) || '.' || quote_ident(c.relname) "
		"FROM (SELECT true AS granting, * FROM (TABLE wanted EXCEPT TABLE present) AS w "
		"UNION ALL SELECT false, * FROM (TABLE present EXCEPT TABLE wanted) AS p) AS d "
		"JOIN pg_class AS c ON c.oid = d.part JOIN pg_namespace AS n ON n.oid = c.relnamespace "
		"ORDER BY 1, 2, 3",
		.nargs = 1, .argtypes = {OIDOID}
	};
	MemoryContext caller = CurrentMemoryContext;
	FeathubRoleScope scope;
	Datum		values[1] = {ObjectIdGetDatum(relid)};
	List	   *volatile commands = NIL;
	MemoryContext old;
	bool		isnull;

	FeathubCatalogEnter(&scope);
	(void) FeathubCatalogExecute(&statement, values, NULL);
	old = MemoryContextSwitchTo(caller);
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		HeapTuple	tuple = SPI_tuptable->vals[i];
		TupleDesc	desc = SPI_tuptable->tupdesc;
		GrantCommand *command = (GrantCommand *) palloc(sizeof(GrantCommand));

		command->owner = DatumGetObjectId(SPI_getbinval(tuple, desc, 4, &isnull));
		command->sql = psprintf(DatumGetBool(SPI_getbinval(tuple, desc, 2, &isnull)) ?
								"GRANT SELECT ON %s TO %s" : "REVOKE SELECT ON %s FROM %s",
								SPI_getvalue(tuple, desc, 5), SPI_getvalue(tuple, desc, 3));
		commands = lappend(commands, command);
	}
	MemoryContextSwitchTo(old);
	FeathubCatalogLeave(&scope);
	return commands;
}
