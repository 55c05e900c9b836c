/*
 * kafka_restrict.h
 *		Restrictions on where a record is: topic, partition, offset, timestamp.
 *
 * The planner hands over a scan's clauses; what they say about those columns
 * becomes a tree of comparisons with numbered parameters.  At every (re)scan
 * the tree and the parameters' values give a set of boxes, and boxes and a
 * partition's watermarks give the offsets to read.  The set may hold more
 * records than the clauses accept, never fewer, and none twice: all clauses
 * are checked again on every row.
 */
#ifndef FEATHUB_CONNECTORS_KAFKA_KAFKA_RESTRICT_H
#define FEATHUB_CONNECTORS_KAFKA_KAFKA_RESTRICT_H

#include "nodes/pathnodes.h"

/* What a column says about where a record is. */
typedef enum KafkaPlace
{
	KAFKA_PLACE_NONE,
	KAFKA_PLACE_TOPIC,
	KAFKA_PLACE_PARTITION,
	KAFKA_PLACE_OFFSET,
	KAFKA_PLACE_TIMESTAMP
} KafkaPlace;

/* A conjunction: bounds are inclusive, times in milliseconds. */
typedef struct KafkaBox
{
	const char *topic;			/* NULL: any */
	int64		partition_min;
	int64		partition_max;
	int64		offset_min;
	int64		offset_max;
	int64		time_min;
	int64		time_max;
} KafkaBox;

typedef struct KafkaBoxes
{
	int			n;				/* 0: no record can match */
	KafkaBox   *boxes;
} KafkaBoxes;

/* Offsets from start up to, but not including, end. */
typedef struct KafkaRange
{
	int64		start;
	int64		end;
} KafkaRange;

/*
 * FeathubKafkaRestrictPlan
 *		What the clauses say about places, or NIL if nothing.
 *
 * places has a KafkaPlace for each column, by attnum - 1.  Expressions to be
 * evaluated at each rescan are appended to *params; the tree refers to them by
 * position.  The tree can be copied and sent to parallel workers.
 */
extern List *FeathubKafkaRestrictPlan(PlannerInfo *root, RelOptInfo *baserel,
									  const KafkaPlace *places, int natts,
									  List *clauses, List **params);

/* The tree as text for EXPLAIN; params as FeathubKafkaRestrictPlan made them. */
extern char *FeathubKafkaRestrictDescribe(List *tree, List *params);

/*
 * FeathubKafkaRestrictEvaluate
 *		The boxes for these values of the parameters.
 *
 * A NULL makes its comparison match nothing.  NIL gives the box of everything.
 */
extern KafkaBoxes *FeathubKafkaRestrictEvaluate(List *tree, Datum *values, bool *isnull);

/* Could a record of that partition be in one of the boxes? */
extern bool FeathubKafkaRestrictPartition(const KafkaBoxes *boxes, const char *topic,
										  int32 partition);

/*
 * FeathubKafkaRestrictRanges
 *		The offsets of one partition to read: sorted, disjoint, within [low, high).
 *
 * first_at, called with the lower bound of a box in milliseconds, returns the
 * first offset with a record at or after that time; NULL if that cannot be
 * asked.  An upper bound in time ends nothing: producers set timestamps, and
 * later offsets may be older.  Ranges that nearly touch are joined.
 */
extern int	FeathubKafkaRestrictRanges(const KafkaBoxes *boxes, const char *topic,
									   int32 partition, int64 low, int64 high,
									   int64 (*first_at) (void *arg, int64 time),
									   void *arg, KafkaRange **ranges);

#endif							/* FEATHUB_CONNECTORS_KAFKA_KAFKA_RESTRICT_H */
