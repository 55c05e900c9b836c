/*
 * transform.h
 *		A job's query: SQL over "batch", run once per batch.
 */
#ifndef FEATHUB_INGEST_TRANSFORM_H
#define FEATHUB_INGEST_TRANSFORM_H

#include "access/tupdesc.h"
#include "commands/explain.h"
#include "utils/tuplestore.h"

#include "core/compat.h"

typedef struct FeathubTransform FeathubTransform;

/* The column that carries the record's number through a query. */
#define FEATHUB_ARRIVAL_COLUMN "feathub_arrival"

/*
 * FeathubTransformBegin
 *		Prepare a query over a relation named "batch" with the given columns.
 *
 * The query must be one SELECT without data-modifying statements.  It is
 * analysed as the current user, in the current transaction; the result lives
 * in the current memory context and outlives transactions: the server analyses
 * and plans it again when an object it reads changes.  Errors: the server's
 * own, or SYNTAX_ERROR / FEATURE_NOT_SUPPORTED for what is not such a query.
 */
extern FeathubTransform *FeathubTransformBegin(const char *query, TupleDesc batch);

/* The columns that the query gives, without FEATHUB_ARRIVAL_COLUMN. */
extern TupleDesc FeathubTransformOutput(FeathubTransform *transform);

/* The columns of "batch" that Run expects: the given ones and the arrival. */
extern TupleDesc FeathubTransformInput(FeathubTransform *transform);

/*
 * True if each output row comes from one input row whose number it carries.
 * False for aggregates, DISTINCT, window functions and set operations: there
 * a failure cannot be pinned on a record.
 */
extern bool FeathubTransformIsRowWise(FeathubTransform *transform);

/*
 * FeathubTransformRun
 *		Run the query over batch, calling receive for each row it gives.
 *
 * arrival is the number of the input row, or -1 if the query is not row-wise.
 * values are valid during the call only.
 */
typedef void (*FeathubTransformReceiver) (void *arg, int64 arrival,
										  Datum *values, bool *isnull);
extern void FeathubTransformRun(FeathubTransform *transform, Tuplestorestate *batch,
								double nrows, FeathubTransformReceiver receive, void *arg);

/*
 * FeathubTransformExplain
 *		Append the plan of the query for batches of that many rows.
 */
extern void FeathubTransformExplain(FeathubTransform *transform, double nrows,
									ExplainState *es);

extern void FeathubTransformEnd(FeathubTransform *transform);

#endif							/* FEATHUB_INGEST_TRANSFORM_H */
