/*
 * view_training.h
 *		The training form of a feature view.
 */
#ifndef FEATHUB_FEATURES_VIEW_TRAINING_H
#define FEATHUB_FEATURES_VIEW_TRAINING_H

#include "features/view_query.h"

/*
 * FeathubViewTraining
 *		The query whose rows are right at every point in time.
 *
 * Each group with an event time is a lateral subquery for its latest row at
 * the event time of the spine.  *view is left as it is.
 */
extern Query *FeathubViewTraining(const FeathubViewQuery *view);

#endif							/* FEATHUB_FEATURES_VIEW_TRAINING_H */
