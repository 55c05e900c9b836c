/*
 * maintenance.h
 *		The upkeep of a group's tables that its job's first worker does.
 */
#ifndef FEATHUB_INGEST_MAINTENANCE_H
#define FEATHUB_INGEST_MAINTENANCE_H

#include "ingest/apply.h"

/*
 * FeathubMaintenanceRun
 *		Make partitions ahead and expire old rows, if it is time again.
 *
 * In transactions of its own, between batches; a failure is logged and tried
 * again at the next time, it never stops the job.  Runs in: worker.
 */
extern void FeathubMaintenanceRun(FeathubPipeline *pipeline);

/*
 * FeathubMaintenanceRefresh
 *		Refresh the online table of an external feature group; raises errors.
 *
 * Runs in: a worker, which is connected as the owner of the group's relation.
 */
extern void FeathubMaintenanceRefresh(Oid group);

#endif							/* FEATHUB_INGEST_MAINTENANCE_H */
