/*
 * progress.h
 *		What long commands of all sessions are doing, for views.
 *
 * Each kind of command has a small array in shared memory, made by the first
 * one: it fits in the reserve that the server keeps, so it works without
 * shared_preload_libraries.
 */
#ifndef FEATHUB_CORE_PROGRESS_H
#define FEATHUB_CORE_PROGRESS_H

#include "datatype/timestamp.h"

#define FEATHUB_PROGRESS_SLOTS 64
#define FEATHUB_PROGRESS_COUNTERS 4

typedef struct FeathubProgressSlot
{
	int			pid;			/* 0: free */
	Oid			database;
	Oid			role;
	Oid			relid;			/* what is written */
	int			phase;
	double		rows_estimated;
	int64		counters[FEATHUB_PROGRESS_COUNTERS];
	TimestampTz started_at;
} FeathubProgressSlot;

/* A kind of command; a static variable with its name. */
typedef struct FeathubProgress
{
	const char *name;			/* of the shared memory */
	struct FeathubProgressArray *array; /* set by the first use */
	FeathubProgressSlot *mine;	/* set by Begin, or NULL */
} FeathubProgress;

/*
 * FeathubProgressBegin, FeathubProgressEnd
 *		Have a place in the view; when all are taken the view does without us.
 *
 * End is to be called on error and exit, too; it may be called twice.
 */
extern void FeathubProgressBegin(FeathubProgress *progress, Oid relid, double rows_estimated);
extern void FeathubProgressEnd(FeathubProgress *progress);

extern void FeathubProgressUpdate(FeathubProgress *progress, int phase, const int64 *counters,
								  int ncounters);

/*
 * FeathubProgressRead
 *		Copy the places of this database that the current user may see.
 *
 * Those are of roles whose rights he has, or all for pg_read_all_stats.  slots
 * has room for FEATHUB_PROGRESS_SLOTS; returns their number.
 */
extern int	FeathubProgressRead(FeathubProgress *progress, FeathubProgressSlot *slots);

#endif							/* FEATHUB_CORE_PROGRESS_H */
