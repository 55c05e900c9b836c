/*
 * training_writer.h
 *		Writing the rows of a query to a table just made.
 */
#ifndef FEATHUB_FEATURES_TRAINING_WRITER_H
#define FEATHUB_FEATURES_TRAINING_WRITER_H

#include "postgres_ext.h"

/*
 * FeathubTrainingWrite
 *		Run a SELECT as the current user and insert its rows into a table.
 *
 * The table has exactly the query's columns, no indexes, constraints and
 * triggers.  Reports progress.  Returns the number of rows.
 */
extern int64 FeathubTrainingWrite(Oid relid, const char *sql);

#endif							/* FEATHUB_FEATURES_TRAINING_WRITER_H */
