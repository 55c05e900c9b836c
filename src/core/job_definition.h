/*
 * job_definition.h
 *		Making a job: what create_feature_group and create_job share.
 */
#ifndef FEATHUB_CORE_JOB_DEFINITION_H
#define FEATHUB_CORE_JOB_DEFINITION_H

#include "fmgr.h"

#include "core/catalog.h"

/* How many arguments FeathubJobReadArguments reads. */
#define FEATHUB_JOB_ARGUMENTS 6

/* Workers that one job may ask for. */
#define FEATHUB_MAX_JOB_WORKERS 1024

/*
 * FeathubSourceLock
 *		Lock the source of a job or group for as long as the transaction lasts.
 *
 * Raises UNDEFINED_TABLE, or INSUFFICIENT_PRIVILEGE unless the user may SELECT.
 */
extern void FeathubSourceLock(Oid source);

/*
 * FeathubJobReadArguments
 *		Read and check workers, start, on_error, max_dead_letters, on_gap and
 *		synchronous_commit, in this order, from argument number "first" on.
 *
 * Raises NULL_VALUE_NOT_ALLOWED or INVALID_PARAMETER_VALUE.  A time in start
 * becomes absolute, in ISO 8601 with the offset of UTC.
 */
extern void FeathubJobReadArguments(FunctionCallInfo fcinfo, int first, FeathubJob *job);

/*
 * Each reads or checks one of them: INVALID_PARAMETER_VALUE for what it cannot
 * be.
 */
extern void FeathubJobCheckWorkers(int workers);
extern FeathubOnError FeathubJobReadOnError(const char *value);
extern void FeathubJobCheckMaxDeadLetters(int max_dead_letters);
extern void FeathubJobCheckOnGap(const char *value);

/*
 * FeathubJobCreate
 *		Check that the job could run, store it, and wake its scheduler.
 *
 * Warns if nothing can run it because feathub is not preloaded.  Returns the
 * job's id.
 */
extern int64 FeathubJobCreate(const FeathubJob *job);

#endif							/* FEATHUB_CORE_JOB_DEFINITION_H */
