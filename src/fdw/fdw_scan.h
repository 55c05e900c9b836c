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

/* The scan of a node, for EXPLAIN; its state is NULL unless it runs. */
extern FeathubScan *FeathubFdwScanOf(ForeignScanState *node);

#endif							/* FEATHUB_FDW_FDW_SCAN_H */
