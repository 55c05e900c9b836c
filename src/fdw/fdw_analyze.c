/*
 * fdw_analyze.c
 *		ANALYZE of foreign tables, with the connector's sample of rows.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "rewrite/rewriteHandler.h"
#include "utils/rel.h"

#include "connectors/connector.h"
#include "fdw/fdw_analyze.h"

static int	acquire_sample_rows(Relation relation, int elevel, HeapTuple *rows,
								int targrows, double *totalrows,
								double *totaldeadrows);
static void fill_generated(Relation relation, HeapTuple *rows, int nrows);

bool
FeathubFdwAnalyzeForeignTable(Relation relation, AcquireSampleRowsFunc *func,
							  BlockNumber *totalpages)
{
	const FeathubConnector *connector = FeathubConnectorOfTable(RelationGetRelid(relation));

	if (connector == NULL || connector->sample_rows == NULL)
		return false;
	*func = acquire_sample_rows;

	/* other systems have no pages; rows are what the planner works with */
	*totalpages = 1;
	return true;
}

/* As the server's own: the table's owner reads, whoever analyzes. */
static int
acquire_sample_rows(Relation relation, int elevel, HeapTuple *rows, int targrows,
					double *totalrows, double *totaldeadrows)
{
	FeathubRelation *rel;
	int			nrows;

	*totalrows = 0;
	*totaldeadrows = 0;
	rel = FeathubRelationOpen(RelationGetRelid(relation), relation->rd_rel->relowner);
	nrows = rel->connector->sample_rows(rel, rows, targrows, totalrows, totaldeadrows);
	fill_generated(relation, rows, nrows);
	ereport(elevel,
			(errmsg("\"%s\": table contains %.0f rows; %d rows in sample",
					RelationGetRelationName(relation), *totalrows, nrows)));
	return nrows;
}

/* Compute the stored generated columns, which no other system knows. */
static void
fill_generated(Relation relation, HeapTuple *rows, int nrows)
{
	TupleDesc	tupdesc = RelationGetDescr(relation);
	EState	   *estate;
	ExprContext *econtext;
	ExprState **exprs;
	TupleTableSlot *slot;
	Datum	   *values;
	bool	   *isnull;
	bool	   *replace;

	if (tupdesc->constr == NULL || !tupdesc->constr->has_generated_stored)
		return;

	estate = CreateExecutorState();
	econtext = GetPerTupleExprContext(estate);
	slot = MakeSingleTupleTableSlot(tupdesc, &TTSOpsHeapTuple);
	exprs = palloc0(sizeof(ExprState *) * tupdesc->natts);
	values = palloc0(sizeof(Datum) * tupdesc->natts);
	isnull = palloc0(sizeof(bool) * tupdesc->natts);
	replace = palloc0(sizeof(bool) * tupdesc->natts);
	for (int i = 0; i < tupdesc->natts; i++)
	{
		if (TupleDescAttr(tupdesc, i)->attgenerated != ATTRIBUTE_GENERATED_STORED)
			continue;
		replace[i] = true;
		exprs[i] = ExecPrepareExpr((Expr *) build_column_default(relation, i + 1), estate);
	}

	for (int row = 0; row < nrows; row++)
	{
		HeapTuple	tuple = rows[row];

		CHECK_FOR_INTERRUPTS();
		ResetPerTupleExprContext(estate);
		ExecStoreHeapTuple(tuple, slot, false);
		slot->tts_tableOid = RelationGetRelid(relation);
		econtext->ecxt_scantuple = slot;
		for (int i = 0; i < tupdesc->natts; i++)
		{
			if (replace[i])
				values[i] = ExecEvalExprSwitchContext(exprs[i], econtext, &isnull[i]);
		}
		rows[row] = heap_modify_tuple(tuple, tupdesc, values, isnull, replace);
		ExecClearTuple(slot);
		heap_freetuple(tuple);
	}
	ExecDropSingleTupleTableSlot(slot);
	FreeExecutorState(estate);
}
