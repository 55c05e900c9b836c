/*
 * partition.h
 *		Time partitions of offline tables, and retention.
 */
#ifndef FEATHUB_FEATURES_PARTITION_H
#define FEATHUB_FEATURES_PARTITION_H

#include "datatype/timestamp.h"

/* What a run of maintenance did. */
typedef struct FeathubMaintenance
{
	int64		partitions_created;
	int64		partitions_dropped;
	int64		rows_moved;		/* out of the default partition */
	int64		rows_expired;	/* deleted one by one */
} FeathubMaintenance;

/*
 * FeathubPartitionsMaintain
 *		Make a new group's default partition and its first partitions.
 *
 * The group's row must be there and visible (command counter incremented); the
 * current user must have the rights of the table's owner.  Does nothing for a
 * group without partition_interval.
 */
extern void FeathubPartitionsMaintain(Oid offline);

/*
 * FeathubMaintain
 *		Maintain a group's tables as of a time; partition.c tells how.
 *
 * since: make partitions from then on too; DT_NOEND: none.  Needs the rights
 * of the table's owner, and works as the owner.  Locks that others hold are
 * waited for two seconds; what needed them is left for the next call.
 */
extern void FeathubMaintain(Oid offline, TimestampTz as_of, TimestampTz since,
							FeathubMaintenance *result);

#endif							/* FEATHUB_FEATURES_PARTITION_H */
