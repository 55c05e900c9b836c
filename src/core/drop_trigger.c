/*
 * drop_trigger.c
 *		Event triggers: what happens to groups and jobs when their tables go.
 *
 *	offline table   its group and the jobs that write to it go with it
 *	online store, a foreign table   refused while a group has it; CASCADE takes it
 *		from the group, which goes on without
 *	online or tombstone table   refused; pg_depend does that, this is the
 *		second line of defence
 *	source, or sink that is no group   refused while a job uses it; CASCADE
 *		drops the job and leaves a group's tables: history does not vanish
 *		because its source is gone
 *	one of a job's sinks   as above, but the job goes on with the others
 *	key column, event time column, key index   refused, and so is renaming
 *	feature view   its row goes with it, and by pg_depend its online function,
 *		which cannot be dropped alone
 *	training data   its row and its statistics go with it; it does without its view
 *
 * A pg_depend entry cannot say "cascade to the job but not to its tables",
 * since a job is no object of the server's.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_type.h"
#include "commands/event_trigger.h"
#include "fmgr.h"
#include "nodes/parsenodes.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "core/catalog.h"
#include "core/dependency.h"
#include "core/describe.h"
#include "core/training_catalog.h"
#include "core/view_catalog.h"

/* What a command dropped, as far as it may concern us. */
typedef struct DroppedObjects
{
	int			nrelations;
	Datum	   *relations;		/* oids */
	char	  **names;			/* "foreign table public.weather_stream" */
	List	   *index_schemas;	/* their names */
	int			ncolumns;
	Oid		   *column_relids;
	char	  **column_names;
} DroppedObjects;

static void load_dropped(DroppedObjects *dropped);
static bool drop_cascades(Node *parsetree);
static void drop_jobs(DroppedObjects *dropped, Datum relations, bool cascade);
static void drop_groups(DroppedObjects *dropped, Datum relations);
static void drop_stores(DroppedObjects *dropped, Datum relations, bool cascade);
static void drop_views(Datum relations);
static void drop_training_data(Datum relations);
static void check_functions(void);
static void check_columns(DroppedObjects *dropped);
static void check_keys(DroppedObjects *dropped, Node *parsetree);
static bool may_have_lost_key(DroppedObjects *dropped, Oid altered, Oid relid);
static bool is_group_column(const FeathubGroup *group, Oid relid, const char *name);
static const char *dropped_name(DroppedObjects *dropped, Oid relid);

PG_FUNCTION_INFO_V1(feathub_on_drop);
PG_FUNCTION_INFO_V1(feathub_on_rename);

/* Event trigger on sql_drop. */
Datum
feathub_on_drop(PG_FUNCTION_ARGS)
{
	EventTriggerData *trigger = (EventTriggerData *) fcinfo->context;
	DroppedObjects dropped = {0};

	if (!CALLED_AS_EVENT_TRIGGER(fcinfo) || strcmp(trigger->event, "sql_drop") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_EVENT_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"%s\" was not called by its event trigger", "on_drop")));
	if (!OidIsValid(FeathubExtensionOid()))
		PG_RETURN_NULL();

	load_dropped(&dropped);
	if (dropped.nrelations > 0)
	{
		Datum		relations = PointerGetDatum(construct_array(dropped.relations, dropped.nrelations,
																OIDOID, sizeof(Oid), true, TYPALIGN_INT));

		drop_jobs(&dropped, relations, drop_cascades(trigger->parsetree));
		drop_groups(&dropped, relations);
		drop_stores(&dropped, relations, drop_cascades(trigger->parsetree));
		drop_views(relations);
		drop_training_data(relations);
	}
	check_functions();
	if (dropped.ncolumns > 0)
		check_columns(&dropped);
	if (IsA(trigger->parsetree, AlterTableStmt) ||
		(IsA(trigger->parsetree, DropStmt) &&
		 ((DropStmt *) trigger->parsetree)->removeType == OBJECT_INDEX))
		check_keys(&dropped, trigger->parsetree);
	PG_RETURN_NULL();
}

/* Event trigger on ddl_command_end of ALTER TABLE and its like. */
Datum
feathub_on_rename(PG_FUNCTION_ARGS)
{
	EventTriggerData *trigger = (EventTriggerData *) fcinfo->context;
	RenameStmt *stmt;
	Oid			relid;
	List	   *renamed;
	ListCell   *lc;
	ListCell   *lr;

	if (!CALLED_AS_EVENT_TRIGGER(fcinfo) || strcmp(trigger->event, "ddl_command_end") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_EVENT_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function \"%s\" was not called by its event trigger", "on_rename")));
	if (!IsA(trigger->parsetree, RenameStmt) || !OidIsValid(FeathubExtensionOid()))
		PG_RETURN_NULL();
	stmt = (RenameStmt *) trigger->parsetree;
	if (stmt->renameType != OBJECT_COLUMN || stmt->relation == NULL)
		PG_RETURN_NULL();
	relid = RangeVarGetRelid(stmt->relation, NoLock, true);
	if (!OidIsValid(relid))
		PG_RETURN_NULL();

	FeathubViewRenameLabel(relid, stmt->subname, stmt->newname);
	FeathubTrainingRenameFeature(relid, stmt->subname, stmt->newname);

	/* a child's column is renamed with its parent's */
	renamed = stmt->relation->inh ? find_all_inheritors(relid, NoLock, NULL) : list_make1_oid(relid);
	foreach(lc, FeathubGroupsAll())
	{
		FeathubGroup *group = (FeathubGroup *) lfirst(lc);

		foreach(lr, renamed)
			if (is_group_column(group, lfirst_oid(lr), stmt->subname))
				ereport(ERROR,
						(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						 errmsg("cannot rename column \"%s\" of table \"%s\"",
								stmt->subname, stmt->relation->relname),
						 errdetail("Feature group %s needs it.", FeathubQualifiedName(group->relid))));
	}
	PG_RETURN_NULL();
}

/* Ask the server what the command dropped: relations and columns. */
static void
load_dropped(DroppedObjects *dropped)
{
	static FeathubStatement statement = {
		.sql = "SELECT objid, objsubid, object_type || ' ' || object_identity, address_names[3], "
		"CASE object_type WHEN 'index' THEN schema_name END "
		"FROM pg_event_trigger_dropped_objects() "
		"WHERE classid = 'pg_class'::regclass AND NOT is_temporary"
	};
	MemoryContext caller = CurrentMemoryContext;
	FeathubRoleScope scope;
	MemoryContext old;
	int			count;

	FeathubCatalogEnter(&scope);
	count = FeathubCatalogExecute(&statement, NULL, NULL);
	old = MemoryContextSwitchTo(caller);
	dropped->relations = (Datum *) palloc(sizeof(Datum) * (count + 1));
	dropped->names = (char **) palloc(sizeof(char *) * (count + 1));
	dropped->column_relids = (Oid *) palloc(sizeof(Oid) * (count + 1));
	dropped->column_names = (char **) palloc(sizeof(char *) * (count + 1));
	for (int i = 0; i < count; i++)
	{
		HeapTuple	tuple = SPI_tuptable->vals[i];
		TupleDesc	desc = SPI_tuptable->tupdesc;
		bool		isnull;
		Oid			relid = DatumGetObjectId(SPI_getbinval(tuple, desc, 1, &isnull));

		if (SPI_getvalue(tuple, desc, 5) != NULL)
			dropped->index_schemas = lappend(dropped->index_schemas, SPI_getvalue(tuple, desc, 5));
		else if (DatumGetInt32(SPI_getbinval(tuple, desc, 2, &isnull)) == 0)
		{
			dropped->relations[dropped->nrelations] = ObjectIdGetDatum(relid);
			dropped->names[dropped->nrelations++] = SPI_getvalue(tuple, desc, 3);
		}
		else
		{
			char	   *name = SPI_getvalue(tuple, desc, 4);

			if (name == NULL)
				continue;
			dropped->column_relids[dropped->ncolumns] = relid;
			dropped->column_names[dropped->ncolumns++] = name;
		}
	}
	MemoryContextSwitchTo(old);
	FeathubCatalogLeave(&scope);
}

/* Did the user write CASCADE? */
static bool
drop_cascades(Node *parsetree)
{
	if (IsA(parsetree, DropStmt))
		return ((DropStmt *) parsetree)->behavior == DROP_CASCADE;
	if (IsA(parsetree, DropOwnedStmt))
		return ((DropOwnedStmt *) parsetree)->behavior == DROP_CASCADE;
	if (IsA(parsetree, AlterTableStmt))
	{
		ListCell   *lc;

		foreach(lc, ((AlterTableStmt *) parsetree)->cmds)
			if (lfirst_node(AlterTableCmd, lc)->behavior == DROP_CASCADE)
				return true;
	}
	return false;
}

static bool
is_dropped(DroppedObjects *dropped, Oid relid)
{
	for (int i = 0; i < dropped->nrelations; i++)
		if (DatumGetObjectId(dropped->relations[i]) == relid)
			return true;
	return false;
}

/* Refuse to drop what another object needs. */
static void
refuse_drop(DroppedObjects *dropped, Oid relid, const char *kind, const char *name)
{
	const char *object = dropped_name(dropped, relid);

	ereport(ERROR,
			(errcode(ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST),
			 errmsg("cannot drop %s because other objects depend on it", object),
			 errdetail("%s %s depends on %s", kind, name, object),
			 errhint("Use DROP ... CASCADE to drop the dependent objects too.")));
}

/*
 * Delete the jobs whose source or all sinks are gone, take sinks that are gone
 * out of the others, or refuse.  A job whose source and sinks go together needs
 * no CASCADE, as with the server's own objects.
 */
static void
drop_jobs(DroppedObjects *dropped, Datum relations, bool cascade)
{
	ListCell   *lc;
	ListCell   *ls;

	foreach(lc, FeathubJobsOfRelations(relations))
	{
		FeathubJob *job = (FeathubJob *) lfirst(lc);
		bool		source_dropped = is_dropped(dropped, job->source);
		Oid			in_the_way = source_dropped ? job->source : InvalidOid;
		List	   *gone = NIL;

		foreach(ls, job->sinks)
			if (is_dropped(dropped, lfirst_oid(ls)))
			{
				gone = lappend_oid(gone, lfirst_oid(ls));
				if (!source_dropped && FeathubGroupLoad(lfirst_oid(ls)) == NULL)
					in_the_way = lfirst_oid(ls);
			}
		if (source_dropped && list_length(gone) == list_length(job->sinks))
			in_the_way = InvalidOid;
		if (!cascade && OidIsValid(in_the_way))
			refuse_drop(dropped, in_the_way, "job", psprintf("\"%s\"", job->name));

		if (source_dropped || list_length(gone) == list_length(job->sinks))
		{
			ereport(NOTICE, (errmsg("drop cascades to job \"%s\"", job->name)));
			FeathubJobDelete(job->job_id);
			continue;
		}
		foreach(ls, gone)
		{
			ereport(NOTICE,
					(errmsg("job \"%s\" goes on without its sink %s", job->name,
							dropped_name(dropped, lfirst_oid(ls)))));
			FeathubJobForgetSink(job, lfirst_oid(ls));
		}
	}
}

/* Delete the groups whose table is gone; forget sources that are gone. */
static void
drop_groups(DroppedObjects *dropped, Datum relations)
{
	static FeathubStatement groups = {
		.sql = "DELETE FROM feathub.feature_group WHERE feature_group::oid = ANY ($1)",
		.nargs = 1, .argtypes = {OIDARRAYOID}
	};
	static FeathubStatement sources = {
		.sql = "UPDATE feathub.feature_group SET source = NULL WHERE source::oid = ANY ($1)",
		.nargs = 1, .argtypes = {OIDARRAYOID}
	};
	static FeathubStatement parts = {
		.sql = "SELECT feature_group::oid, CASE WHEN online::oid = ANY ($1) THEN online ELSE tombstone END::oid "
		"FROM feathub.feature_group WHERE online::oid = ANY ($1) OR tombstone::oid = ANY ($1)",
		.nargs = 1, .argtypes = {OIDARRAYOID}
	};
	FeathubRoleScope scope;

	FeathubCatalogEnter(&scope);
	(void) FeathubCatalogExecute(&groups, &relations, NULL);
	(void) FeathubCatalogExecute(&sources, &relations, NULL);
	if (FeathubCatalogExecute(&parts, &relations, NULL) > 0)
	{
		bool		isnull;
		Oid			group = DatumGetObjectId(SPI_getbinval(SPI_tuptable->vals[0],
														   SPI_tuptable->tupdesc, 1, &isnull));
		Oid			part = DatumGetObjectId(SPI_getbinval(SPI_tuptable->vals[0],
														  SPI_tuptable->tupdesc, 2, &isnull));

		ereport(ERROR,
				(errcode(ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST),
				 errmsg("cannot drop %s because table %s requires it",
						dropped_name(dropped, part), FeathubQualifiedName(group)),
				 errhint("You can drop table %s instead.", FeathubQualifiedName(group))));
	}
	FeathubCatalogLeave(&scope);
}

/* Take online stores that are gone from their groups, or refuse. */
static void
drop_stores(DroppedObjects *dropped, Datum relations, bool cascade)
{
	static FeathubStatement statement = {
		.sql = "UPDATE feathub.feature_group AS g SET online_store = NULL "
		"FROM feathub.feature_group AS f WHERE f.feature_group = g.feature_group "
		"AND f.online_store::oid = ANY ($1) RETURNING g.feature_group::oid, f.online_store::oid",
		.nargs = 1, .argtypes = {OIDARRAYOID}
	};
	FeathubRoleScope scope;
	int			count;

	FeathubCatalogEnter(&scope);
	count = FeathubCatalogExecute(&statement, &relations, NULL);
	for (int i = 0; i < count; i++)
	{
		HeapTuple	tuple = SPI_tuptable->vals[i];
		bool		isnull;
		char	   *group = FeathubQualifiedName(DatumGetObjectId(SPI_getbinval(tuple, SPI_tuptable->tupdesc,
																				1, &isnull)));
		Oid			store = DatumGetObjectId(SPI_getbinval(tuple, SPI_tuptable->tupdesc, 2, &isnull));

		if (!cascade)
			refuse_drop(dropped, store, "feature group", group);
		ereport(NOTICE,
				(errmsg("feature group %s goes on without its online store %s", group,
						dropped_name(dropped, store))));
	}
	FeathubCatalogLeave(&scope);
}

/* Delete the rows of feature views that are gone. */
static void
drop_views(Datum relations)
{
	static FeathubStatement statement = {
		.sql = "DELETE FROM feathub.feature_view WHERE feature_view::oid = ANY ($1)",
		.nargs = 1, .argtypes = {OIDARRAYOID}
	};
	FeathubRoleScope scope;

	FeathubCatalogEnter(&scope);
	(void) FeathubCatalogExecute(&statement, &relations, NULL);
	FeathubCatalogLeave(&scope);
}

/* Delete the rows of training data that is gone; forget views that are gone. */
static void
drop_training_data(Datum relations)
{
	static FeathubStatement statistics = {
		.sql = "DELETE FROM feathub.training_statistic WHERE training_data::oid = ANY ($1)",
		.nargs = 1, .argtypes = {OIDARRAYOID}
	};
	static FeathubStatement data = {
		.sql = "DELETE FROM feathub.training_data WHERE training_data::oid = ANY ($1)",
		.nargs = 1, .argtypes = {OIDARRAYOID}
	};
	static FeathubStatement views = {
		.sql = "UPDATE feathub.training_data SET feature_view = NULL WHERE feature_view::oid = ANY ($1)",
		.nargs = 1, .argtypes = {OIDARRAYOID}
	};
	FeathubRoleScope scope;

	FeathubCatalogEnter(&scope);
	(void) FeathubCatalogExecute(&statistics, &relations, NULL);
	(void) FeathubCatalogExecute(&data, &relations, NULL);
	(void) FeathubCatalogExecute(&views, &relations, NULL);
	FeathubCatalogLeave(&scope);
}

/* Refuse to drop the online function of a feature view that stays. */
static void
check_functions(void)
{
	static FeathubStatement statement = {
		.sql = "SELECT v.feature_view::oid, v.online FROM feathub.feature_view AS v "
		"JOIN pg_event_trigger_dropped_objects() AS d "
		"ON d.classid = 'pg_proc'::regclass AND d.object_identity = v.online"
	};
	FeathubRoleScope scope;

	FeathubCatalogEnter(&scope);
	if (FeathubCatalogExecute(&statement, NULL, NULL) > 0)
	{
		bool		isnull;
		char	   *view = FeathubQualifiedName(DatumGetObjectId(SPI_getbinval(SPI_tuptable->vals[0],
																			   SPI_tuptable->tupdesc, 1,
																			   &isnull)));

		ereport(ERROR,
				(errcode(ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST),
				 errmsg("cannot drop function %s because feature view %s requires it",
						SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 2), view),
				 errhint("You can drop view %s instead.", view)));
	}
	FeathubCatalogLeave(&scope);
}

/* Refuse to drop a column that a group lives by. */
static void
check_columns(DroppedObjects *dropped)
{
	ListCell   *lc;

	foreach(lc, FeathubGroupsAll())
	{
		FeathubGroup *group = (FeathubGroup *) lfirst(lc);

		for (int i = 0; i < dropped->ncolumns; i++)
			if (is_group_column(group, dropped->column_relids[i], dropped->column_names[i]))
				ereport(ERROR,
						(errcode(ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST),
						 errmsg("cannot drop column \"%s\" of table %s", dropped->column_names[i],
								FeathubQualifiedName(dropped->column_relids[i])),
						 errdetail("Feature group %s needs it.", FeathubQualifiedName(group->relid)),
						 group->external ?
						 errhint("Drop the group first, with drop_external_feature_group.") :
						 dropped->column_relids[i] == group->store ?
						 errhint("Take the online store from the group first, with alter_feature_group(..., reset => '{online_store}').") :
						 errhint("Drop the group first, with drop_feature_group(..., keep_tables => true).")));
	}
}

/*
 * Refuse to leave a group's table without its key.  An ALTER TABLE concerns
 * one table; the server does not tell whose index a DROP INDEX dropped, but
 * its schema, which is the table's: nobody is to be bothered by a stranger's
 * group that has lost its key somehow.
 */
static void
check_keys(DroppedObjects *dropped, Node *parsetree)
{
	Oid			altered = InvalidOid;
	ListCell   *lc;

	if (IsA(parsetree, AlterTableStmt))
	{
		altered = RangeVarGetRelid(((AlterTableStmt *) parsetree)->relation, NoLock, true);
		if (!OidIsValid(altered))
			return;
	}

	foreach(lc, FeathubGroupsAll())
	{
		FeathubGroup *group = (FeathubGroup *) lfirst(lc);
		Oid			parts[] = {group->relid, group->online, group->tombstone};

		for (int i = 0; i < lengthof(parts); i++)
		{
			/* what an external group reads need have no key */
			if ((i == 0 && group->external) || !OidIsValid(parts[i]) || !may_have_lost_key(dropped, altered, parts[i]) ||
				FeathubHasUniqueKey(parts[i], i == 0 ? FeathubGroupHistoryKey(group) : group->primary_key))
				continue;
			ereport(ERROR,
					(errcode(ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST),
					 errmsg("cannot drop the key of table %s", FeathubQualifiedName(parts[i])),
					 errdetail("Feature group %s needs it.", FeathubQualifiedName(group->relid)),
					 errhint("Make another unique index on the same columns first.")));
		}
	}
}

/* Is it the altered table, or has an index of its schema been dropped? */
static bool
may_have_lost_key(DroppedObjects *dropped, Oid altered, Oid relid)
{
	char	   *schema;
	ListCell   *lc;

	if (OidIsValid(altered))
		return altered == relid;
	schema = get_namespace_name(get_rel_namespace(relid));
	foreach(lc, dropped->index_schemas)
		if (schema && strcmp(schema, (const char *) lfirst(lc)) == 0)
			return true;
	return false;
}

/* Is the column one that the group's statements name? */
static bool
is_group_column(const FeathubGroup *group, Oid relid, const char *name)
{
	ListCell   *lc;

	if (relid != group->relid && relid != group->online && relid != group->tombstone &&
		relid != group->store)
		return false;
	if (relid != group->store && group->event_time && strcmp(group->event_time, name) == 0)
		return true;
	if (group->deletes && relid == group->relid && strcmp(FEATHUB_DELETED_COLUMN, name) == 0)
		return true;
	if (relid == group->tombstone && strcmp("deleted_at", name) == 0)
		return true;
	foreach(lc, group->primary_key)
		if (strcmp((const char *) lfirst(lc), name) == 0)
			return true;
	return false;
}

static const char *
dropped_name(DroppedObjects *dropped, Oid relid)
{
	for (int i = 0; i < dropped->nrelations; i++)
		if (DatumGetObjectId(dropped->relations[i]) == relid)
			return dropped->names[i];
	return "table";
}
