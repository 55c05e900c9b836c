/*
 * view_window.h
 *		Windows over the history of feature groups, in subqueries of a feature view.
 */
#ifndef FEATHUB_FEATURES_VIEW_WINDOW_H
#define FEATHUB_FEATURES_VIEW_WINDOW_H

#include "features/view_query.h"

/*
 * FeathubViewExpandFunctions
 *		Replace functions that read groups by the queries that they are.
 *
 * Those are window functions (window_function.c) and any other set-returning
 * SQL function that the planner could inline.  Raises an error if a function
 * with a parsed body reads a group and cannot be replaced.  groups: all of the
 * database.
 */
extern void FeathubViewExpandFunctions(Query *query, List *groups);

/*
 * FeathubViewCheckWindows
 *		See to it that subqueries read no group past the spine's event time.
 *
 * Each group in a subquery must have a condition that bounds its event time
 * by the spine's, or by that of a group that is bounded so; raises an error
 * that tells what is missing.  Adds to the condition that deleted rows do not
 * count.
 */
extern void FeathubViewCheckWindows(FeathubViewQuery *view, List *groups);

/*
 * FeathubViewCheckHidden
 *		Raise an error if a feature comes from a view over a group with event
 *		time, or from one of its partitions.
 *
 * Such a relation is joined as it is, whatever the time.  The spine may be one.
 */
extern void FeathubViewCheckHidden(FeathubViewQuery *view, List *groups);

#endif							/* FEATHUB_FEATURES_VIEW_WINDOW_H */
