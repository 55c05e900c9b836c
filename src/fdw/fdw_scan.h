/*
 * fdw_scan.h
 *		Execution of foreign scans.
 */
#ifndef FEATHUB_FDW_FDW_SCAN_H
#define FEATHUB_FDW_FDW_SCAN_H

#include "access/parallel.h"
#include "foreign/fdwapi.h"

#include "connectors/connector.h"

extern void FeathubFdwBeginForeignScan(ForeignScanState *node, int eflags);
extern TupleTableSlot *FeathubFdwIterateForeignScan(ForeignScanState *node);
extern void FeathubFdwReScanForeignScan(ForeignScanState *node);
extern void FeathubFdwEndForeignScan(ForeignScanState *node);

extern Size FeathubFdwEstimateDSMForeignScan(ForeignScanState *node,
											 ParallelContext *pcxt);
extern void FeathubFdwInitializeDSMForeignScan(ForeignScanState *node,
											   ParallelContext *pcxt,
											   void *coordinate);
extern void FeathubFdwReInitializeDSMForeignScan(ForeignScanState *node,
												 ParallelContext *pcxt,
												 void *coordinate);
extern void FeathubFdwInitializeWorkerForeignScan(ForeignScanState *node,
												  shm_toc *toc,
												  void *coordinate);

/* Stored generated columns of a table that somebody needs. */
typedef struct FeathubFdwGenerated
{
	int			n;
	AttrNumber *attnums;
	ExprState **exprs;
	Oid			relid;
} FeathubFdwGenerated;

/*
 * FeathubFdwGeneratedInit
 *		The set of columns that a connector fills, of those that are needed.
 *
 * Numbers as in FeathubScan.needed.  Generated columns go to *generated; what
 * their expressions refer to is added.
 */
extern Bitmapset *FeathubFdwGeneratedInit(FeathubFdwGenerated *generated,
										  Relation relation, List *attnums,
										  EState *estate);

/* Fill them in a row; the row's memory context is current. */
extern void FeathubFdwGeneratedCompute(FeathubFdwGenerated *generated,
									   ExprContext *econtext, TupleTableSlot *slot);

extern void FeathubFdwShutdownForeignScan(ForeignScanState *node);

/* Evaluate the parameters of a scan's plan, into its param_values. */
extern void FeathubFdwEvaluateParams(ForeignScanState *node);

/* The scan of a node, for EXPLAIN; its state is NULL unless it runs. */
extern FeathubScan *FeathubFdwScanOf(ForeignScanState *node);

#endif							/* FEATHUB_FDW_FDW_SCAN_H */
