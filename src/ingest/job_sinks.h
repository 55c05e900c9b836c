/*
 * job_sinks.h
 *		What the definition of a job must be like: source, query and sinks.
 */
#ifndef FEATHUB_INGEST_JOB_SINKS_H
#define FEATHUB_INGEST_JOB_SINKS_H

#include "utils/array.h"

#include "core/catalog.h"

/*
 * FeathubJobCheckDefinition
 *		Raise an error unless the job's source can be followed, its sinks can be
 *		written and the columns go together: the current user may make the job,
 *		and its owner reach the systems.
 *
 * Locks them.  Each sink takes the columns that it has; one that none of them
 * has is an error.
 */
extern void FeathubJobCheckDefinition(const FeathubJob *job);

/*
 * FeathubJobAddSinks
 *		The list with the array's relations behind it; an error for NULL, or one
 *		that is in the list already.  argument is the array's name.
 */
extern List *FeathubJobAddSinks(List *sinks, ArrayType *array, const char *argument);

/* Its name for a message, whether or not there is such a relation. */
extern const char *FeathubJobSinkName(Oid sink);

#endif							/* FEATHUB_INGEST_JOB_SINKS_H */
