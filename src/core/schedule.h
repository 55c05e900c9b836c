/*
 * schedule.h
 *		What a scheduler reads of the jobs of its database.
 */
#ifndef FEATHUB_CORE_SCHEDULE_H
#define FEATHUB_CORE_SCHEDULE_H

#include "datatype/timestamp.h"
#include "nodes/pg_list.h"

typedef struct FeathubScheduledJob
{
	int64		job_id;
	char	   *name;
	Oid			owner;
	int			workers;
	int64		epoch;
} FeathubScheduledJob;

/*
 * FeathubScheduledJobs
 *		What should run here, palloc'd.
 *
 * Jobs of state 'running', started in this very database, not in one that it
 * was copied or restored from; and as jobs with a negative id, minus the OID of
 * the relation, external feature groups that are due to be refreshed, if they
 * were refreshed in this database before.  next_refresh is when the next of
 * the others will be due, DT_NOEND if none will.
 */
extern List *FeathubScheduledJobs(TimestampTz *next_refresh);

/* True if the job's row was written by this very transaction. */
extern bool FeathubJobIsUncommitted(int64 job_id);

#endif							/* FEATHUB_CORE_SCHEDULE_H */
