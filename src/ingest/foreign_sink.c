/*
 * foreign_sink.c
 *		Sinks outside of this database: what the writer asks of a foreign table.
 *
 * Rows are inserted by a statement, as into any table: the table's own
 * write_mode decides whether they are added or replace those of their key.
 * Deletions need no statement, which would have to find the rows first: they
 * go to the connector by key.
 *
 * The other system is written, and its transaction ended, before this database
 * commits the positions; after a crash between the two the batch is written
 * again.  That leaves the same rows where they replace others by key, and rows
 * twice where they are added (at least once).
 */
#include "postgres.h"

#include "catalog/pg_class.h"
#include "miscadmin.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#include "connectors/connector.h"
#include "ingest/foreign_sink.h"

void
FeathubForeignSinkCheck(Oid relid)
{
	const FeathubConnector *connector = FeathubConnectorOfTable(relid);
	FeathubRelation *rel;

	if (connector == NULL || connector->insert_rows == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("a job cannot write to foreign table \"%s\"", get_rel_name(relid)),
				 errdetail("The sink of a job is a feature group, a table, or a foreign table of feathub's that can be written.")));

	/* what is wrong with its options is better known now than by the worker */
	rel = FeathubRelationOpen(relid, GetUserId());
	if (rel->format && rel->format->begin_encode == NULL && rel->format->container == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("a job cannot write to foreign table \"%s\", because format \"%s\" cannot be written",
						rel->relname, rel->format->name)));
}

List *
FeathubForeignSinkKey(Oid relid, bool *deletes)
{
	FeathubRelation *rel;
	const FeathubConnector *connector = FeathubConnectorOfTable(relid);
	List	   *names = NIL;
	ListCell   *lc;

	*deletes = false;
	if (connector == NULL)
		return NIL;
	rel = FeathubRelationDescribe(relid);
	if (connector->upserts == NULL || !connector->upserts(rel))
		return NIL;
	foreach(lc, FeathubRelationKeyColumns(rel))
		names = lappend(names, pstrdup(NameStr(TupleDescAttr(rel->tupdesc,
															 lfirst_int(lc) - 1)->attname)));
	*deletes = names != NIL && connector->delete_row != NULL;
	return names;
}

void
FeathubForeignSinkDelete(Oid relid, FeathubWriterRow **rows, int n, const int *cols)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "feathub sink deletions",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	FeathubModify modify = {.operation = CMD_DELETE,.batch_size = 1};
	const FeathubConnector *connector;
	int			nkeys;
	Datum	   *key;
	bool	   *isnull;

	modify.rel = FeathubRelationOpen(relid, GetUserId());
	modify.key_attrs = FeathubRelationKeyColumns(modify.rel);
	modify.context = context;
	modify.row_context = AllocSetContextCreate(context, "feathub sink row", ALLOCSET_DEFAULT_SIZES);
	connector = modify.rel->connector;
	nkeys = list_length(modify.key_attrs);
	key = palloc(sizeof(Datum) * nkeys);
	isnull = palloc0(sizeof(bool) * nkeys);

	connector->begin_modify(&modify);
	for (int i = 0; i < n; i++)
	{
		CHECK_FOR_INTERRUPTS();
		for (int j = 0; j < nkeys; j++)
			key[j] = rows[i]->values[cols[j]];
		MemoryContextSwitchTo(modify.row_context);
		(void) connector->delete_row(&modify, key, isnull);
		MemoryContextSwitchTo(context);
		MemoryContextReset(modify.row_context);
	}
	connector->end_modify(&modify);
	MemoryContextSwitchTo(old);
	/* with it go the handles that reset callbacks free */
	MemoryContextDelete(context);
}
