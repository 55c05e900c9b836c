/*
 * training_statistics.h
 *		Statistics and hash of training data.
 */
#ifndef FEATHUB_FEATURES_TRAINING_STATISTICS_H
#define FEATHUB_FEATURES_TRAINING_STATISTICS_H

#include "postgres_ext.h"

/* feathub.content_hash of a table's rows, read as the current user. */
extern char *FeathubTrainingHash(Oid relid);

/* {"split": rows, ...} of a table, as jsonb. */
extern Datum FeathubTrainingCounts(Oid relid);

/* Write the statistics of all columns of training data, for each split and all rows. */
extern void FeathubTrainingStatistics(Oid relid);

#endif							/* FEATHUB_FEATURES_TRAINING_STATISTICS_H */
