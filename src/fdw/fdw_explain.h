/*
 * fdw_explain.h
 *		EXPLAIN of foreign scans and modifications.
 */
#ifndef FEATHUB_FDW_FDW_EXPLAIN_H
#define FEATHUB_FDW_FDW_EXPLAIN_H

#include "core/compat.h"

extern void FeathubFdwExplainForeignScan(ForeignScanState *node, ExplainState *es);
extern void FeathubFdwExplainForeignModify(ModifyTableState *mtstate,
										   ResultRelInfo *rinfo, List *fdw_private,
										   int subplan_index, ExplainState *es);

#endif							/* FEATHUB_FDW_FDW_EXPLAIN_H */
