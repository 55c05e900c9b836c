/*
 * assignment.h
 *		Which partitions of its job's source a worker follows, and from where.
 */
#ifndef FEATHUB_INGEST_ASSIGNMENT_H
#define FEATHUB_INGEST_ASSIGNMENT_H

#include "ingest/apply.h"
#include "ingest/registry_shmem.h"

/*
 * FeathubAssignPartitions
 *		Find the source's partitions, give those without a position one, and
 *		follow the share of the worker that has this slot.
 *
 * Between two batches, outside of a transaction.  False if there is nothing in
 * its share.  The stream is only touched if the share has changed.
 */
extern bool FeathubAssignPartitions(FeathubPipeline *pipeline, const FeathubWorkerSlot *slot);

/* Forget what the source has not had for feathub.missing_file_retention. */
extern void FeathubAssignForget(FeathubPipeline *pipeline, const FeathubWorkerSlot *slot);

#endif							/* FEATHUB_INGEST_ASSIGNMENT_H */
