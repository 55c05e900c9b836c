/*
 * view_history.h
 *		Point-in-time joins with groups that cannot be looked up row by row.
 */
#ifndef FEATHUB_FEATURES_VIEW_HISTORY_H
#define FEATHUB_FEATURES_VIEW_HISTORY_H

#include "features/view_rewrite.h"

/*
 * FeathubViewReadsHistory
 *		Is a lateral subquery on the group the wrong thing for training?
 *
 * True for external groups with event time that are foreign tables or views:
 * each row of the spine would be a remote query, or the whole view.
 */
extern bool FeathubViewReadsHistory(const FeathubGroup *group);

/*
 * FeathubViewJoinHistory
 *		Replace such a group by its histories, one per key.
 *
 * The relation is read once per query.  Its versions, sorted by event time, are
 * joined by an equality that the planner may do as it likes; the function
 * feathub.version_at picks the latest one at event_time.  Otherwise as
 * FeathubViewJoinLatest.
 */
extern void FeathubViewJoinHistory(Query *query, const FeathubViewGroup *source,
								   const Var *event_time, FeathubColumnMaps maps);

#endif							/* FEATHUB_FEATURES_VIEW_HISTORY_H */
