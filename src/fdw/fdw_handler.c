/*
 * fdw_handler.c
 *		The FdwRoutine of all connectors.
 *
 * The server copies it by value, so nothing can hide behind it: callbacks find
 * the connector from the table's wrapper.
 */
#include "postgres.h"

#include "fmgr.h"
#include "foreign/fdwapi.h"

#include "fdw/fdw_analyze.h"
#include "fdw/fdw_direct.h"
#include "fdw/fdw_explain.h"
#include "fdw/fdw_import.h"
#include "fdw/fdw_modify.h"
#include "fdw/fdw_plan.h"
#include "fdw/fdw_remote.h"
#include "fdw/fdw_scan.h"

PG_FUNCTION_INFO_V1(feathub_fdw_handler);

Datum
feathub_fdw_handler(PG_FUNCTION_ARGS)
{
	FdwRoutine *routine = makeNode(FdwRoutine);

	routine->GetForeignRelSize = FeathubFdwGetForeignRelSize;
	routine->GetForeignPaths = FeathubFdwGetForeignPaths;
	routine->GetForeignPlan = FeathubFdwGetForeignPlan;
	routine->GetForeignJoinPaths = FeathubFdwGetForeignJoinPaths;
	routine->GetForeignUpperPaths = FeathubFdwGetForeignUpperPaths;
	routine->BeginForeignScan = FeathubFdwBeginForeignScan;
	routine->IterateForeignScan = FeathubFdwIterateForeignScan;
	routine->ReScanForeignScan = FeathubFdwReScanForeignScan;
	routine->EndForeignScan = FeathubFdwEndForeignScan;

	routine->IsForeignScanParallelSafe = FeathubFdwIsForeignScanParallelSafe;
	routine->EstimateDSMForeignScan = FeathubFdwEstimateDSMForeignScan;
	routine->InitializeDSMForeignScan = FeathubFdwInitializeDSMForeignScan;
	routine->ReInitializeDSMForeignScan = FeathubFdwReInitializeDSMForeignScan;
	routine->InitializeWorkerForeignScan = FeathubFdwInitializeWorkerForeignScan;
	routine->ShutdownForeignScan = FeathubFdwShutdownForeignScan;

	routine->AddForeignUpdateTargets = FeathubFdwAddForeignUpdateTargets;
	routine->IsForeignRelUpdatable = FeathubFdwIsForeignRelUpdatable;
	routine->PlanForeignModify = FeathubFdwPlanForeignModify;
	routine->BeginForeignModify = FeathubFdwBeginForeignModify;
	routine->ExecForeignInsert = FeathubFdwExecForeignInsert;
	routine->ExecForeignBatchInsert = FeathubFdwExecForeignBatchInsert;
	routine->GetForeignModifyBatchSize = FeathubFdwGetForeignModifyBatchSize;
	routine->ExecForeignUpdate = FeathubFdwExecForeignUpdate;
	routine->ExecForeignDelete = FeathubFdwExecForeignDelete;
	routine->ExecForeignTruncate = FeathubFdwExecForeignTruncate;
	routine->EndForeignModify = FeathubFdwEndForeignModify;
	routine->BeginForeignInsert = FeathubFdwBeginForeignInsert;
	routine->EndForeignInsert = FeathubFdwEndForeignModify;

	routine->PlanDirectModify = FeathubFdwPlanDirectModify;
	routine->BeginDirectModify = FeathubFdwBeginDirectModify;
	routine->IterateDirectModify = FeathubFdwIterateDirectModify;
	routine->EndDirectModify = FeathubFdwEndDirectModify;
	routine->ExplainDirectModify = FeathubFdwExplainDirectModify;

	routine->ExplainForeignScan = FeathubFdwExplainForeignScan;
	routine->ExplainForeignModify = FeathubFdwExplainForeignModify;
	routine->AnalyzeForeignTable = FeathubFdwAnalyzeForeignTable;
	routine->ImportForeignSchema = FeathubFdwImportForeignSchema;

	PG_RETURN_POINTER(routine);
}
