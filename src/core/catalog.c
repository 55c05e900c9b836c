/*
 * catalog.c
 *		How the metadata tables of schema feathub are read and written.
 *
 * All statements here are constants with parameters.  They run as the owner of
 * the extension, because ordinary roles cannot write to feathub.*; whoever
 * calls has checked what the current user may do.  Plans are kept for the
 * session: the plan cache makes them again when the tables change, also when
 * the extension is dropped and made again.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/indexing.h"
#include "catalog/pg_extension.h"
#include "commands/extension.h"
#include "executor/spi.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/guc.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "core/catalog.h"
#include "core/compat.h"

static Oid	extension_owner(void);

/*
 * The extension
 */

Oid
FeathubExtensionOid(void)
{
	return get_extension_oid("feathub", true);
}

bool
FeathubExtensionLock(void)
{
	Oid			extension = FeathubExtensionOid();

	/* It may be dropped, and even made again, while we wait for the lock. */
	while (OidIsValid(extension))
	{
		Oid			again;

		LockDatabaseObject(ExtensionRelationId, extension, 0, AccessShareLock);
		again = FeathubExtensionOid();
		if (again == extension)
			return true;
		UnlockDatabaseObject(ExtensionRelationId, extension, 0, AccessShareLock);
		extension = again;
	}
	return false;
}

void
FeathubExtensionRequire(void)
{
	if (!FeathubExtensionLock())
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("extension \"%s\" does not exist", "feathub"),
				 errhint("Use CREATE EXTENSION feathub.")));
}

/* The owner of the extension and so of its tables. */
static Oid
extension_owner(void)
{
	Relation	rel;
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	Oid			owner = InvalidOid;

	rel = table_open(ExtensionRelationId, AccessShareLock);
	ScanKeyInit(&key, Anum_pg_extension_extname, BTEqualStrategyNumber,
				F_NAMEEQ, CStringGetDatum("feathub"));
	scan = systable_beginscan(rel, ExtensionNameIndexId, true, NULL, 1, &key);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
		owner = ((Form_pg_extension) GETSTRUCT(tuple))->extowner;
	systable_endscan(scan);
	table_close(rel, AccessShareLock);

	if (!OidIsValid(owner))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("extension \"%s\" does not exist", "feathub")));
	return owner;
}

/*
 * Fixed statements
 */

void
FeathubCatalogEnter(FeathubRoleScope *scope)
{
	FeathubRoleEnter(scope, extension_owner(), SECURITY_LOCAL_USERID_CHANGE,
					 FEATHUB_SAFE_SEARCH_PATH);
	/*
	 * Plans are kept, and made while the tables are empty.  Where a sequential
	 * scan is the only way, it looks so dear now that it would be compiled.
	 */
	(void) set_config_option("enable_seqscan", "off", PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
	(void) set_config_option("jit", "off", PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
	SPI_connect();
}

void
FeathubCatalogLeave(FeathubRoleScope *scope)
{
	SPI_finish();
	FeathubRoleLeave(scope);
}

int
FeathubCatalogExecute(FeathubStatement *statement, Datum *values, const char *nulls)
{
	int			rc;

	if (statement->plan == NULL)
	{
		SPIPlanPtr	plan = SPI_prepare(statement->sql, statement->nargs,
									   statement->argtypes);

		if (plan == NULL || SPI_keepplan(plan) != 0)
			elog(ERROR, "could not prepare a statement of feathub: %s",
				 SPI_result_code_string(SPI_result));
		statement->plan = plan;
	}

	if (statement->fresh)
		rc = SPI_execute_snapshot(statement->plan, values, nulls, GetLatestSnapshot(),
								  InvalidSnapshot, false, true, 0);
	else
		rc = SPI_execute_plan(statement->plan, values, nulls, false, 0);
	if (rc < 0)
		elog(ERROR, "could not run a statement of feathub: %s",
			 SPI_result_code_string(rc));
	return (int) SPI_processed;
}

/* Values of tuples */

Oid
FeathubTupleOid(HeapTuple tuple, TupleDesc desc, int column)
{
	bool		isnull;
	Datum		value = SPI_getbinval(tuple, desc, column, &isnull);

	return isnull ? InvalidOid : DatumGetObjectId(value);
}

char *
FeathubTupleString(HeapTuple tuple, TupleDesc desc, int column)
{
	bool		isnull;
	Datum		value = SPI_getbinval(tuple, desc, column, &isnull);

	return isnull ? NULL : TextDatumGetCString(value);
}

Interval *
FeathubTupleInterval(HeapTuple tuple, TupleDesc desc, int column)
{
	bool		isnull;
	Datum		value = SPI_getbinval(tuple, desc, column, &isnull);
	Interval   *copy;

	if (isnull)
		return NULL;
	copy = (Interval *) palloc(sizeof(Interval));
	*copy = *DatumGetIntervalP(value);
	return copy;
}
