/*
 * fdw_direct.c
 *		UPDATE and DELETE that the remote side carries out whole.
 *
 * The plan is the scan that would have read the rows, made into the statement
 * that changes them: possible if the remote side checks all of its conditions
 * and computes all new values.  Core has made sure that no trigger, no WITH
 * CHECK OPTION and no generated column is concerned; RETURNING has to see the
 * rows, so it is not done for it.
 */
#include "postgres.h"

#include "access/sysattr.h"
#include "access/table.h"
#include "executor/executor.h"
#include "nodes/makefuncs.h"
#include "optimizer/appendinfo.h"
#include "optimizer/optimizer.h"
#include "optimizer/pathnode.h"
#include "utils/partcache.h"
#include "utils/rel.h"

#include "connectors/connector.h"
#include "core/compat.h"
#include "fdw/fdw_direct.h"
#include "fdw/fdw_plan.h"
#include "fdw/fdw_scan.h"

static bool may_leave_partition(Oid relid, List *attnums);
static ForeignScan *find_scan(ModifyTable *plan, Index rtindex, int subplan_index);

bool
FeathubFdwPlanDirectModify(PlannerInfo *root, ModifyTable *plan, Index resultRelation,
						   int subplan_index)
{
	CmdType		operation = plan->operation;
	ForeignScan *scan;
	FeathubRelation *rel;
	FeathubScanPlan direct = {0};
	List	   *values = NIL;
	List	   *attnums = NIL;

	if ((operation != CMD_UPDATE && operation != CMD_DELETE) || plan->returningLists != NIL)
		return false;
	scan = find_scan(plan, resultRelation, subplan_index);
	if (scan == NULL || scan->scan.plan.qual != NIL)
		return false;
	rel = FeathubFdwPlannedRelation(find_base_rel(root, resultRelation), NULL);
	if (rel->connector->plan_direct == NULL)
		return false;
	if (operation == CMD_UPDATE)
	{
		List	   *tlist;
		ListCell   *lc;

		get_translated_update_targetlist(root, resultRelation, &tlist, &attnums);
		foreach(lc, tlist)
		{
			TargetEntry *entry = lfirst_node(TargetEntry, lc);

			if (!entry->resjunk)
				values = lappend(values, entry->expr);
		}
		if (list_length(values) != list_length(attnums) ||
			may_leave_partition(rel->relid, attnums))
			return false;
	}
	/* all of the scan's conditions are the remote side's: they are these */
	if (!rel->connector->plan_direct(rel, root, operation, resultRelation,
									 scan->fdw_recheck_quals, attnums, values, &direct))
		return false;

	scan->operation = operation;
	scan->resultRelation = resultRelation;
	scan->fdw_exprs = direct.params;
	scan->fdw_private = list_make5(makeString(pstrdup(rel->connector->name)), direct.private,
								   NIL, makeInteger(-1), makeInteger(plan->canSetTag));
	return true;
}

void
FeathubFdwBeginDirectModify(ForeignScanState *node, int eflags)
{
	FeathubFdwBeginForeignScan(node, eflags);
}

TupleTableSlot *
FeathubFdwIterateDirectModify(ForeignScanState *node)
{
	FeathubScan *scan = FeathubFdwScanOf(node);
	ForeignScan *plan = (ForeignScan *) node->ss.ps.plan;
	Instrumentation *instr = node->ss.ps.instrument;
	MemoryContext oldcontext;
	uint64		rows;

	FeathubFdwEvaluateParams(node);
	oldcontext = MemoryContextSwitchTo(scan->context);
	rows = scan->rel->connector->run_direct(scan);
	MemoryContextSwitchTo(oldcontext);

	if (intVal(list_nth(plan->fdw_private, FEATHUB_FDW_SCAN_SET_TAG)))
		node->ss.ps.state->es_processed += rows;
	if (instr)
		instr->tuplecount += rows;
	return ExecClearTuple(node->ss.ss_ScanTupleSlot);
}

void
FeathubFdwEndDirectModify(ForeignScanState *node)
{
	FeathubFdwEndForeignScan(node);
}

void
FeathubFdwExplainDirectModify(ForeignScanState *node, ExplainState *es)
{
	FeathubScan *scan = FeathubFdwScanOf(node);

	if (scan->rel->connector->explain_scan)
		scan->rel->connector->explain_scan(scan, es);
}

/* Is one of the columns part of the bounds that hold for the table as a partition? */
static bool
may_leave_partition(Oid relid, List *attnums)
{
	Relation	relation = table_open(relid, NoLock);
	Bitmapset  *attrs = NULL;
	bool		found = false;
	ListCell   *lc;

	if (relation->rd_rel->relispartition)
		pull_varattnos((Node *) RelationGetPartitionQual(relation), 1, &attrs);
	foreach(lc, attnums)
		found |= bms_is_member(lfirst_int(lc) - FirstLowInvalidHeapAttributeNumber, attrs);
	table_close(relation, NoLock);
	return found;
}

/* The scan of the table that is changed, as postgres_fdw finds it, or NULL. */
static ForeignScan *
find_scan(ModifyTable *plan, Index rtindex, int subplan_index)
{
	Plan	   *subplan = outerPlan(plan);

	if (IsA(subplan, Result) && outerPlan(subplan) && IsA(outerPlan(subplan), Append))
		subplan = outerPlan(subplan);
	if (IsA(subplan, Append))
	{
		Append	   *append = (Append *) subplan;

		if (subplan_index >= list_length(append->appendplans))
			return NULL;
		subplan = list_nth(append->appendplans, subplan_index);
	}
	if (!IsA(subplan, ForeignScan) || ((ForeignScan *) subplan)->scan.scanrelid != rtindex)
		return NULL;
	return (ForeignScan *) subplan;
}
