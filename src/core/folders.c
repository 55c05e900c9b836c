/*
 * folders.c
 *		Which folders of the server a role may use: setting
 *		feathub.allowed_folders.
 *
 * The setting is a list in double quotes or without, as search_path:
 * 		ALTER ROLE alice SET feathub.allowed_folders = '/data/in, "/data/my out"'
 * The role whose folders are asked for is a table's owner, which is often not
 * the role of the session; so its setting is read from pg_db_role_setting.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/indexing.h"
#include "catalog/pg_db_role_setting.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/guc.h"
#include "utils/rel.h"
#include "utils/varlena.h"

#include "core/compat.h"
#include "core/folders.h"

#define SETTING "feathub.allowed_folders"

char	   *feathub_allowed_folders = NULL;

/* What the configuration says, whatever the session has. */
static char *configured = NULL;

static bool find_role_setting(Relation relation, Oid database, Oid roleid, char **value);

List *
FeathubFoldersOf(Oid roleid)
{
	Relation	relation = table_open(DbRoleSettingRelationId, AccessShareLock);
	char	   *value = NULL;
	List	   *names = NIL;
	List	   *folders = NIL;
	ListCell   *lc;

	if (!find_role_setting(relation, MyDatabaseId, roleid, &value) &&
		!find_role_setting(relation, InvalidOid, roleid, &value) &&
		!find_role_setting(relation, MyDatabaseId, InvalidOid, &value) &&
		!find_role_setting(relation, InvalidOid, InvalidOid, &value) &&
		configured != NULL)
		value = pstrdup(configured);
	table_close(relation, AccessShareLock);

	if (value == NULL || !SplitDirectoriesString(value, ',', &names))
		return NIL;
	foreach(lc, names)
	{
		char	   *folder = lfirst(lc);

		if (is_absolute_path(folder))
			folders = lappend(folders, folder);
	}
	return folders;
}

const char *
FeathubFoldersFind(List *folders, const char *path)
{
	ListCell   *lc;

	foreach(lc, folders)
	{
		const char *folder = lfirst(lc);
		Size		len = strlen(folder);

		/* "/" is the only one that ends with a slash */
		if (strcmp(folder, "/") == 0)
			return folder;
		if (strncmp(path, folder, len) == 0 && (path[len] == '/' || path[len] == '\0'))
			return folder;
	}
	return NULL;
}

void
FeathubFoldersCheckPath(const char *path)
{
	for (const char *p = path; *p != '\0';)
	{
		Size		len = strcspn(p, "/");

		if (len == 2 && p[0] == '.' && p[1] == '.')
			ereport(ERROR,
					(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
					 errmsg("path \"%s\" must not contain \"..\"", path)));
		p += len;
		while (*p == '/')
			p++;
	}
}

bool
FeathubFoldersCheckSetting(char **newval, void **extra, int source)
{
	char	   *copy;
	List	   *names = NIL;
	ListCell   *lc;
	int		   *kept;

	if (*newval != NULL && **newval != '\0')
	{
		copy = pstrdup(*newval);
		if (!SplitDirectoriesString(copy, ',', &names))
		{
			GUC_check_errdetail("List syntax is invalid.");
			return false;
		}
		foreach(lc, names)
		{
			const char *folder = lfirst(lc);

			if (!is_absolute_path(folder))
			{
				GUC_check_errdetail("\"%s\" is not an absolute path.", folder);
				return false;
			}
		}
		list_free_deep(names);
		pfree(copy);
	}
	kept = feathub_guc_malloc(sizeof(int));
	if (kept == NULL)
		return false;
	*kept = source;
	*extra = kept;
	return true;
}

/* Keep what comes from files and the command line. */
void
FeathubFoldersAssignSetting(const char *newval, void *extra)
{
	if (extra != NULL && *(int *) extra <= PGC_S_GLOBAL)
	{
		char	   *copy = newval ? strdup(newval) : NULL;

		free(configured);
		configured = copy;
	}
}

/* The setting in one row of pg_db_role_setting; false if it has none. */
static bool
find_role_setting(Relation relation, Oid database, Oid roleid, char **value)
{
	ScanKeyData keys[2];
	SysScanDesc scan;
	HeapTuple	tuple;
	bool		found = false;

	ScanKeyInit(&keys[0], Anum_pg_db_role_setting_setdatabase, BTEqualStrategyNumber,
				F_OIDEQ, ObjectIdGetDatum(database));
	ScanKeyInit(&keys[1], Anum_pg_db_role_setting_setrole, BTEqualStrategyNumber,
				F_OIDEQ, ObjectIdGetDatum(roleid));
	scan = systable_beginscan(relation, DbRoleSettingDatidRolidIndexId, true, NULL, 2, keys);
	while ((tuple = systable_getnext(scan)) != NULL && !found)
	{
		bool		isnull;
		Datum		datum = heap_getattr(tuple, Anum_pg_db_role_setting_setconfig,
										 RelationGetDescr(relation), &isnull);
		Datum	   *elements;
		bool	   *nulls;
		int			n;

		if (isnull)
			continue;
		deconstruct_array(DatumGetArrayTypeP(datum), TEXTOID, -1, false, TYPALIGN_INT,
						  &elements, &nulls, &n);
		for (int i = 0; i < n; i++)
		{
			char	   *entry = nulls[i] ? "" : TextDatumGetCString(elements[i]);

			if (strncmp(entry, SETTING "=", strlen(SETTING) + 1) == 0)
			{
				*value = entry + strlen(SETTING) + 1;
				found = true;
			}
		}
	}
	systable_endscan(scan);
	return found;
}
