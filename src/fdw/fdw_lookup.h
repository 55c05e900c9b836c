/*
 * fdw_lookup.h
 *		Batched look-ups: a join that asks a foreign table for the rows of many
 *		outer keys at once.
 */
#ifndef FEATHUB_FDW_FDW_LOOKUP_H
#define FEATHUB_FDW_FDW_LOOKUP_H

#include "nodes/extensible.h"

/*
 * Items of the CustomScan's custom_private.  The scan tuple, which
 * custom_scan_tlist describes, has the columns of the outer plan, then the
 * columns of the foreign table in LOOKUP_INNER_ATTRS, then the placeholders
 * computed from these.
 */
enum FeathubFdwLookupPrivate
{
	LOOKUP_RELID,				/* List of Oid: the foreign table, its user or 0 */
	LOOKUP_RANK,				/* Integer: its place among custom_relids */
	LOOKUP_JOIN_TYPE,			/* Integer */
	LOOKUP_MAX_KEYS,			/* Integer */
	LOOKUP_PLAN,				/* List: FeathubScanPlan.private */
	LOOKUP_KEY_ATTRS,			/* List of int: attnums of the key's columns */
	LOOKUP_KEY_TYPES,			/* List of Oid: of the outer values */
	LOOKUP_KEY_COLLATIONS,		/* List of Oid: of the join's operators */
	LOOKUP_OUTER_COLUMNS,		/* Integer: number of the outer plan's columns */
	LOOKUP_INNER_ATTRS			/* List of int: attnums; 0: the whole row */
};

/* Items of its custom_exprs, each a List. */
enum FeathubFdwLookupExprs
{
	LOOKUP_KEY_EXPRS,			/* the key's values, from the outer columns */
	LOOKUP_JOIN_QUALS,			/* whether a found row is a match */
	LOOKUP_PLACEHOLDERS,		/* what is computed from the foreign columns */
	LOOKUP_PARAMS				/* FeathubScanPlan.params */
};

/* fdw_lookup_plan.c: adds the paths.  From _PG_init. */
extern void FeathubFdwLookupInit(void);

/* fdw_lookup.c: the executor's side. */
extern Node *FeathubFdwLookupCreateState(CustomScan *plan);

/*
 * Can an outer key of that type be compared as a value of the column's type,
 * with no other result than the join's operator has?
 */
extern bool FeathubFdwLookupConvertible(Oid from, Oid to);

extern const CustomScanMethods FeathubFdwLookupMethods;

#endif							/* FEATHUB_FDW_FDW_LOOKUP_H */
