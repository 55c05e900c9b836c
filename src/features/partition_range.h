/*
 * partition_range.h
 *		The arithmetic of time partitions: intervals, aligned ranges, bounds.
 *
 * All times here are instants in UTC, counted as a timestamp counts them; an
 * event time of type timestamp or date is taken for UTC.
 */
#ifndef FEATHUB_FEATURES_PARTITION_RANGE_H
#define FEATHUB_FEATURES_PARTITION_RANGE_H

#include "datatype/timestamp.h"
#include "nodes/pg_list.h"

/* Where fixed intervals begin to count, 0001-01-01: a Monday. */
#define FEATHUB_PARTITION_ORIGIN	(-INT64CONST(730119) * USECS_PER_DAY)

/* [lower, upper); DT_NOBEGIN and DT_NOEND stand for no bound. */
typedef struct FeathubPartitionRange
{
	Timestamp	lower;
	Timestamp	upper;
	Oid			relid;			/* InvalidOid: to be made */
} FeathubPartitionRange;

/*
 * FeathubPartitionIntervalCheck
 *		Raise INVALID_PARAMETER_VALUE unless tables can be partitioned by it.
 *
 * It is either months and years, up to 100 years, or days and a time, from one
 * minute to 36525 days and in whole minutes; whole days for an event time of
 * type date.
 */
extern void FeathubPartitionIntervalCheck(const Interval *interval, Oid event_time_type);

/*
 * FeathubPartitionAlign
 *		The lower bound of the range that holds an instant.
 *
 * Months count from the first of January of the year 0, so that '3 months'
 * are quarters; days and times from Monday, 0001-01-01 00:00 UTC, so that '7
 * days' are weeks.  The instant must be within the years 1 to 9999.
 */
extern Timestamp FeathubPartitionAlign(const Interval *interval, Timestamp at);

/* The aligned lower bound n ranges later (or, below zero, earlier). */
extern Timestamp FeathubPartitionStep(const Interval *interval, Timestamp lower, int64 n);

/* About how many microseconds an interval lasts. */
extern int64 FeathubPartitionLength(const Interval *interval);

/*
 * FeathubPartitionGaps
 *		Append to a list what [lower, upper) has that no range covers.
 *
 * existing is a list of FeathubPartitionRange * in ascending order; what is
 * appended has relid InvalidOid.
 */
extern List *FeathubPartitionGaps(List *gaps, List *existing, Timestamp lower,
								  Timestamp upper);

/* A bound as a quoted SQL literal; both infinities as MINVALUE and MAXVALUE. */
extern char *FeathubPartitionBound(Timestamp bound, Oid event_time_type);

/* What a partition's name ends in: p20130101, or p20130101t0930. */
extern char *FeathubPartitionLabel(Timestamp lower);

#endif							/* FEATHUB_FEATURES_PARTITION_RANGE_H */
