/*
 * fdw_explain.c
 *		EXPLAIN of foreign scans and modifications.
 *
 * Without ANALYZE the connector's state is not there and nothing is asked of
 * the remote side.
 */
#include "postgres.h"

#include "fdw/fdw_explain.h"
#include "fdw/fdw_modify.h"
#include "fdw/fdw_scan.h"

void
FeathubFdwExplainForeignScan(ForeignScanState *node, ExplainState *es)
{
	FeathubScan *scan = FeathubFdwScanOf(node);

	if (scan->rel->connector->explain_scan)
		scan->rel->connector->explain_scan(scan, es);
	if (scan->limit >= 0)
		ExplainPropertyInteger("Foreign Limit", NULL, scan->limit, es);
}

void
FeathubFdwExplainForeignModify(ModifyTableState *mtstate, ResultRelInfo *rinfo,
							   List *fdw_private, int subplan_index, ExplainState *es)
{
	FeathubModify *modify = FeathubFdwModifyOf(rinfo);

	if (modify && modify->rel->connector->explain_modify)
		modify->rel->connector->explain_modify(modify, es);

	/* the connector has its say about the size when it begins */
	if (es->verbose && modify && modify->state && rinfo->ri_BatchSize > 0)
		ExplainPropertyInteger("Batch Size", NULL, rinfo->ri_BatchSize, es);
}
