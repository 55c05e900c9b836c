/*
 * training_transform.h
 *		Scaling and encoding by the statistics of training data.
 */
#ifndef FEATHUB_FEATURES_TRAINING_TRANSFORM_H
#define FEATHUB_FEATURES_TRAINING_TRANSFORM_H

#include "nodes/parsenodes.h"

/*
 * FeathubViewApplyStatistics
 *		Replace calls that name training data by calls with its statistics.
 *
 * feathub.standard_scale(x, 'training data', 'feature') becomes
 * feathub.standard_scale(x, mean, stddev), and so on, so that the view serves
 * with what its model was trained on, whatever becomes of the training data.
 * The current user must be allowed to read the feature.  Changes *query.
 */
extern void FeathubViewApplyStatistics(Query *query);

#endif							/* FEATHUB_FEATURES_TRAINING_TRANSFORM_H */
