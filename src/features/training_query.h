/*
 * training_query.h
 *		The query whose rows become training data.
 */
#ifndef FEATHUB_FEATURES_TRAINING_QUERY_H
#define FEATHUB_FEATURES_TRAINING_QUERY_H

#include "datatype/timestamp.h"
#include "nodes/parsenodes.h"

#include "core/view_catalog.h"

#define FEATHUB_SPLIT_COLUMN "split"

/* What create_training_data was asked for. */
typedef struct FeathubTrainingRequest
{
	FeathubView *view;
	Datum		splits;			/* jsonb; 0: one split, "train" */
	int64		seed;
	List	   *split_by;		/* of char *; NIL: entity keys and event time */
	bool		has_start;
	TimestampTz start_time;
	bool		has_end;
	TimestampTz end_time;
	char	   *filter;			/* or NULL */
	char	   *spine;			/* a query, or NULL: the view's own */
	bool		has_as_of;
	TimestampTz as_of;
} FeathubTrainingRequest;

/* What is to be known of the view whose rows are split. */
typedef struct FeathubTrainingSource
{
	const char *alias;			/* of the view in the query */
	List	   *columns;		/* of char *: of the result, without split */
	List	   *types;			/* their types */
	char	   *event_time;		/* the column that is the spine's event time, or NULL */
	List	   *keys;			/* of char *: columns that are entity keys */
} FeathubTrainingSource;

/*
 * FeathubTrainingQuery
 *		The SELECT, as text, written in full: the view's columns and split.
 *
 * Reads the view with its owner's rights, as any query of it, or, with a
 * spine, what the view reads with the current user's.
 */
extern char *FeathubTrainingQuery(const FeathubTrainingRequest *request);

/*
 * FeathubTrainingSplit
 *		A raw expression for the name of a row's split.
 *
 * condition is set to one that leaves out rows that are in none, or NULL.
 */
extern Node *FeathubTrainingSplit(const FeathubTrainingRequest *request,
								  const FeathubTrainingSource *source, Node **condition);

#endif							/* FEATHUB_FEATURES_TRAINING_QUERY_H */
