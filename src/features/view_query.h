/*
 * view_query.h
 *		The analysed query of a feature view.
 */
#ifndef FEATHUB_FEATURES_VIEW_QUERY_H
#define FEATHUB_FEATURES_VIEW_QUERY_H

#include "nodes/parsenodes.h"
#include "nodes/primnodes.h"

#include "core/catalog.h"
#include "core/view_catalog.h"

/* A feature group that the query joins: the right side of a join of its own. */
typedef struct FeathubViewGroup
{
	Index		rtindex;
	FeathubGroup *group;
	Interval   *ttl;			/* the group's, or the view's own; or NULL */
} FeathubViewGroup;

typedef struct FeathubViewQuery
{
	Query	   *query;			/* no Var of it refers to a join */
	Index		spine;			/* the first relation in FROM */
	FeathubGroup *spine_group;	/* if that is a group, else NULL */
	Var		   *event_time;		/* of the spine, or NULL */
	char	   *event_time_name;
	List	   *groups;			/* of FeathubViewGroup, as joined */
	List	   *training_only;	/* of char *: columns of the result, labels and helpers */
	bool		event_times;	/* the online form tells those of the groups */
} FeathubViewQuery;

/*
 * FeathubViewAnalyze
 *		Parse and analyse the query of a feature view as the current user.
 *
 * Read of the view: query; event_time, a column of the spine, or NULL: that of
 * the group that is the spine; labels, max_age and event_times.  Raises an
 * error, which names the relation concerned, for everything that has no
 * training and online form.  Locks the relations.
 */
extern FeathubViewQuery *FeathubViewAnalyze(const FeathubView *definition);

/*
 * FeathubViewSplitQuals
 *		Tell a join's conditions on the primary key of its group from others.
 *
 * Both results are lists of expressions to be ANDed, not copied.  Returns the
 * key columns that no condition covers (char *).
 */
extern List *FeathubViewSplitQuals(Node *quals, Index rtindex, const FeathubGroup *group,
								   List **key_quals, List **other_quals);

/* The terms of a condition, of ANDs within ANDs too: (a, b) = (c, d) is one. */
extern List *FeathubViewTerms(Node *quals);

#endif							/* FEATHUB_FEATURES_VIEW_QUERY_H */
