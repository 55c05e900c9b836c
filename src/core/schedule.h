/*
 * schedule.h
 *		What a scheduler reads of the jobs of its database.
 */
#ifndef FEATHUB_CORE_SCHEDULE_H
#define FEATHUB_CORE_SCHEDULE_H

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
 * The jobs that should run here: state 'running', and started in this very
 * database, not in one that it was copied or restored from.  palloc'd.
 */
extern List *FeathubScheduledJobs(void);

/* True if the job's row was written by this very transaction. */
extern bool FeathubJobIsUncommitted(int64 job_id);

#endif							/* FEATHUB_CORE_SCHEDULE_H */
