/*
 * parquet_fast.h
 *		Loops over whole columns; parquet_types.c has the rest.
 */
#ifndef FEATHUB_FORMATS_PARQUET_FAST_H
#define FEATHUB_FORMATS_PARQUET_FAST_H

#include "formats/parquet_types.h"

/* Codes of nodes that one letter of Arrow's format does not tell apart. */
#define ARROW_DURATION			'D'
#define ARROW_MONTHS			'1'
#define ARROW_DAY_TIME			'2'
#define ARROW_MONTH_DAY_NANO	'3'
#define ARROW_PARQUET_INTERVAL	'4'
#define ARROW_VIEW				'v'
#define ARROW_LIST				'5'
#define ARROW_LARGE_LIST		'6'
#define ARROW_FIXED_LIST		'7'
#define ARROW_LIST_VIEW			'8'
#define ARROW_LARGE_LIST_VIEW	'9'
#define ARROW_STRUCT			'{'
#define ARROW_MAP				'm'

/* The loop for a node and a type that is no domain, or NULL. */
extern FeathubArrowFast FeathubArrowFastFor(const FeathubArrowNode *node,
											const FeathubConverter *type);

/* Which of the values are null. */
extern void FeathubArrowNulls(const struct ArrowArray *array, int64 from, int64 n, bool *nulls);

#endif							/* FEATHUB_FORMATS_PARQUET_FAST_H */
