/*
 * parquet_types.h
 *		Columns of the Arrow C data interface as Datums.
 */
#ifndef FEATHUB_FORMATS_PARQUET_TYPES_H
#define FEATHUB_FORMATS_PARQUET_TYPES_H

#include "formats/parquet_arrow.h"
#include "formats/shape.h"

/* A field of Arrow's schema, and how its values become Datums. */
typedef struct FeathubArrowNode FeathubArrowNode;
typedef bool (*FeathubArrowFast) (const FeathubArrowNode *node, const struct ArrowArray *array,
								  int64 from, int64 n, Datum *values, const bool *nulls);

struct FeathubArrowNode
{
	FeathubShape *shape;
	char		code;			/* how the values lie: first letter of Arrow's format,
								 * or one of the ARROW_ codes of parquet_types.c */
	int			width;			/* bytes of values of fixed size; of a list: elements */
	int64		multiply;		/* to microseconds or days */
	int64		divide;
	int			nchildren;
	FeathubArrowNode **children;
	FeathubArrowNode *dictionary;	/* values are its indexes */

	/* FeathubArrowNodeBind */
	FeathubConverter *type;
	FeathubArrowFast fast;		/* a loop for this pair of types, or NULL */
	int		   *fields;			/* of a struct: child of each attribute, or -1 */
};

/*
 * A node for a field, palloc'd; raises FEATURE_NOT_SUPPORTED for types that we
 * do not know.  is_interval: 12 bytes are a parquet INTERVAL.
 */
extern FeathubArrowNode *FeathubArrowNodeMake(const struct ArrowSchema *schema,
											  bool is_interval);

/* Prepare for values of that type, into which the node's shape fits. */
extern void FeathubArrowNodeBind(FeathubArrowNode *node, FeathubConverter *type);

/*
 * FeathubArrowConvert
 *		Values from .. from + n - 1 of an array.
 *
 * Results are palloc'd or point into the array.  Returns false, with *error
 * filled, if one of them does not fit its type; which one is not told.
 */
extern bool FeathubArrowConvert(const FeathubArrowNode *node, const struct ArrowArray *array,
								int64 from, int64 n, Datum *values, bool *nulls,
								FeathubDecodeError *error);

/* Does the order of the file's values tell that of the Datums? */
extern bool FeathubArrowKeepsOrder(const FeathubArrowNode *node);

#endif							/* FEATHUB_FORMATS_PARQUET_TYPES_H */
