/*
 * training_progress.h
 *		What create_training_data is doing in all sessions, for a view.
 */
#ifndef FEATHUB_FEATURES_TRAINING_PROGRESS_H
#define FEATHUB_FEATURES_TRAINING_PROGRESS_H

#include "postgres_ext.h"

typedef enum FeathubTrainingPhase
{
	FEATHUB_TRAINING_WRITING,
	FEATHUB_TRAINING_HASHING,
	FEATHUB_TRAINING_STATISTICS,
	FEATHUB_TRAINING_EXPORTING
} FeathubTrainingPhase;

/* End is to be called on error and exit, too; it may be called twice. */
extern void FeathubTrainingProgressBegin(Oid relid, double rows_estimated);
extern void FeathubTrainingProgressEnd(void);

extern void FeathubTrainingProgressPhase(FeathubTrainingPhase phase);
extern void FeathubTrainingProgressRows(int64 rows);
extern void FeathubTrainingProgressFeatures(int done, int all);

#endif							/* FEATHUB_FEATURES_TRAINING_PROGRESS_H */
