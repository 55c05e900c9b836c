/*
 * training_catalog.h
 *		The metadata of training data: where it is from, and its statistics.
 *
 * Training data is an ordinary table with a row in feathub.training_data; the
 * row goes with the table, by an event trigger.
 */
#ifndef FEATHUB_CORE_TRAINING_CATALOG_H
#define FEATHUB_CORE_TRAINING_CATALOG_H

#include "datatype/timestamp.h"
#include "postgres_ext.h"

/* A row of feathub.training_data, palloc'd. */
typedef struct FeathubTrainingData
{
	Oid			relid;			/* the table */
	Oid			view;			/* the feature view; InvalidOid if it is gone */
	char	   *definition;		/* of the view when the data was made */
	char	   *query;			/* what was run, in full */
	Datum		arguments;		/* jsonb: those of create_training_data */
	Datum		splits;			/* jsonb: rows of each split */
	int64		row_count;
	char	   *content_hash;
	TimestampTz snapshot_at;
} FeathubTrainingData;

/* Numbers of FeathubTrainingStatistic's quantiles, see feathub.training_statistic. */
#define FEATHUB_QUANTILES "0.01", "0.05", "0.25", "0.5", "0.75", "0.95", "0.99"
#define FEATHUB_QUANTILE_25	2
#define FEATHUB_QUANTILE_50	3
#define FEATHUB_QUANTILE_75	4

/* What scaling and encoding want to know of a feature; NULLs are NaN or NIL. */
typedef struct FeathubTrainingStatistic
{
	double		min;			/* NaN unless it is a number */
	double		max;
	double		mean;
	double		stddev;
	double		quantiles[7];
	Datum		categories;		/* text[], sorted in C collation; 0: too many, or none */
} FeathubTrainingStatistic;

/* The training data of that table, or NULL. */
extern FeathubTrainingData *FeathubTrainingDataLoad(Oid relid);

/* Write a row; the current user has just made the table. */
extern void FeathubTrainingDataInsert(const FeathubTrainingData *data);

/*
 * FeathubTrainingStatisticInsert
 *		Write the statistics of a feature of training data just made.
 *
 * values are the columns of feathub.training_statistic after the first two, with
 * nulls as in SPI.
 */
#define FEATHUB_STATISTIC_VALUES 11
extern void FeathubTrainingStatisticInsert(Oid relid, const char *feature, Datum *values,
										   const char *nulls);

/* Remove the rows of tables that no trigger saw go, telling so in the log. */
extern void FeathubTrainingDataCheck(void);

/* Follow the renaming of a column of training data. */
extern void FeathubTrainingRenameFeature(Oid relid, const char *from, const char *to);

/*
 * FeathubTrainingStatisticLoad
 *		The statistics of a feature, which the current user may read.
 *
 * split NULL: the split "train" if there is one, else all rows.  Raises
 * INSUFFICIENT_PRIVILEGE unless the user may read the column, UNDEFINED_OBJECT
 * or UNDEFINED_COLUMN if there are none.  categories is palloc'd.
 */
extern void FeathubTrainingStatisticLoad(Oid relid, const char *feature, const char *split,
										 FeathubTrainingStatistic *statistic);

#endif							/* FEATHUB_CORE_TRAINING_CATALOG_H */
