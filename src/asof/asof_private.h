/*
 * asof_private.h
 *		What the files of this folder share.
 *
 * Words: the outer side is the join's left side (the spine); the inner side is
 * the lateral subquery's FROM and WHERE without LIMIT and without what refers
 * to the outer side, planned as a subquery of its own, the twin.
 */
#ifndef FEATHUB_ASOF_ASOF_PRIVATE_H
#define FEATHUB_ASOF_ASOF_PRIVATE_H

#include "executor/executor.h"
#include "nodes/execnodes.h"
#include "nodes/extensible.h"
#include "nodes/pathnodes.h"
#include "utils/sortsupport.h"
#include "utils/tuplestore.h"

#include "core/guc.h"

/*
 * A lateral subquery that takes the latest row, taken apart.  Expressions are
 * those of the query that the subquery stands in: Vars of the subquery's own
 * table have become columns of the twin.
 */
typedef struct FeathubAsofPattern
{
	Index		relid;			/* the subquery's range table entry */
	Query	   *twin;			/* without LIMIT, ORDER BY and correlated clauses */
	List	   *names;			/* of the twin's columns beyond the subquery's */
	List	   *keys;			/* OpExpr: twin's column = outer expression */
	OpExpr	   *upper;			/* OpExpr: twin's time < or <= outer expression */
	List	   *lowers;			/* OpExpr: twin's time > or >= outer expression */
	AttrNumber	time;			/* the twin's column with the event time */
	Oid			time_family;	/* btree operator family of ORDER BY and upper */
	List	   *tie_columns;	/* twin's columns that ORDER BY continues with */
	List	   *tie_operators;	/* OIDs of their sort operators */
	List	   *tie_collations;
	List	   *tie_nulls_first;	/* integers */
	List	   *expression_columns; /* columns of the subquery computed above the join */
	List	   *expressions;	/* and their expressions */
} FeathubAsofPattern;

/* What the executor needs beside expressions; travels in custom_private. */
typedef enum FeathubAsofPrivate
{
	ASOF_PRIVATE_NUMBERS,		/* strategy, left join?, outer columns, time column, counts ...: see asof_plan.c */
	ASOF_PRIVATE_KEY_COLUMNS,	/* the twin's */
	ASOF_PRIVATE_TIES,			/* columns */
	ASOF_PRIVATE_TIE_OPERATORS,
	ASOF_PRIVATE_TIE_COLLATIONS,
	ASOF_PRIVATE_TIE_NULLS,
	ASOF_PRIVATE_EXPRESSION_COLUMNS,
	ASOF_PRIVATE_OIDS			/* the event time's operator family */
} FeathubAsofPrivate;

typedef enum FeathubAsofNumber
{
	ASOF_NUMBER_STRATEGY,
	ASOF_NUMBER_LEFT,
	ASOF_NUMBER_OUTER_COLUMNS,
	ASOF_NUMBER_TIME_COLUMN,
	ASOF_NUMBER_KEYS,
	ASOF_NUMBER_LOWERS,
	ASOF_NUMBER_JOIN_QUALS,
	ASOF_NUMBER_EXPRESSIONS,
	ASOF_NUMBER_ANY_ORDER
} FeathubAsofNumber;

/* A path of the node. */
typedef struct FeathubAsofPath
{
	CustomPath	cpath;
	FeathubAsofStrategy strategy;
	FeathubAsofPattern *pattern;
	PlannerInfo *subroot;		/* of the twin */
	bool		left;
	List	   *join_quals;		/* decide whether the row found is a match */
	List	   *other_quals;	/* on what the join gives */
} FeathubAsofPath;

/* No group, no item. */
#define FEATHUB_ASOF_NONE PG_UINT32_MAX

/* How values of a key, or times, are compared. */
typedef enum FeathubAsofKind
{
	ASOF_KIND_INT,				/* as 64 bit integers */
	ASOF_KIND_TEXT,				/* by their bytes */
	ASOF_KIND_GENERIC			/* by the functions of their operator family */
} FeathubAsofKind;

/* A value of the outer row. */
typedef struct FeathubAsofOuter
{
	AttrNumber	column;			/* of the outer row, or 0 */
	ExprState  *expr;			/* if it is none of its columns */
	int16		len;			/* of its type */
	bool		byval;
} FeathubAsofOuter;

typedef struct FeathubAsofKey
{
	FeathubAsofKind kind;
	AttrNumber	column;			/* of the inner row */
	int16		len;			/* of its type */
	bool		byval;
	FeathubAsofOuter outer;
	Oid			collation;

	/* ASOF_KIND_GENERIC in hash tables */
	FmgrInfo	hash_inner;
	FmgrInfo	hash_outer;
	FmgrInfo	equal_inner;	/* inner = inner */
	FmgrInfo	equal_outer;	/* outer = outer */
	FmgrInfo	equal;			/* inner = outer */

	/* in the merge */
	FmgrInfo	compare;		/* inner with outer */
	FmgrInfo	compare_outer;	/* outer with outer */
} FeathubAsofKey;

typedef struct FeathubAsofTime
{
	FeathubAsofKind kind;		/* ASOF_KIND_INT or ASOF_KIND_GENERIC */
	AttrNumber	column;			/* of the inner row */
	int16		len;
	bool		byval;
	bool		strict;			/* the row at the outer time itself is not taken */
	FeathubAsofOuter outer;
	Oid			collation;
	FmgrInfo	compare;		/* inner with outer */
	FmgrInfo	compare_inner;	/* inner with inner */
	FmgrInfo	compare_outer;	/* outer with outer */
} FeathubAsofTime;

/* A lower bound of the event time. */
typedef struct FeathubAsofLower
{
	FmgrInfo	function;		/* of inner time and outer value */
	Oid			collation;
	FeathubAsofOuter outer;
} FeathubAsofLower;

/*
 * What is kept of an inner row: its time and the columns that the join gives
 * or that decide ties.  values, nulls and the data of values by reference
 * follow the struct.
 */
typedef struct FeathubAsofPayload
{
	Datum		time;
	uint32		capacity;		/* bytes for the data */
	bool		filled;			/* spine hash, flat: there is a row */
	Datum		values[FLEXIBLE_ARRAY_MEMBER];
} FeathubAsofPayload;

/* One time of a key: of an outer row, or of an inner one. */
typedef struct FeathubAsofItem
{
	Datum		time;
	union
	{
		FeathubAsofPayload *payload;
		uint64		row;		/* while outer rows are sorted */
	}			u;
} FeathubAsofItem;

typedef struct FeathubAsofGroup
{
	Datum		key;			/* the first one */
	FeathubAsofPayload *latest; /* of the time-ordered hash */
	uint32		first;			/* item */
	uint32		count;			/* of items */
	uint32		cursor;			/* item last used, relative to first */
	uint32		hash;
} FeathubAsofGroup;

/* An item before they are grouped. */
typedef struct FeathubAsofEntry
{
	FeathubAsofItem item;
	uint32		group;
} FeathubAsofEntry;

/* Memory for small things that are freed together. */
typedef struct FeathubAsofArena
{
	MemoryContext context;
	char	   *block;
	Size		free;			/* bytes of the block */
	Size		used;			/* bytes in all */
} FeathubAsofArena;

/* A hash table of keys, and memory for what belongs to them. */
typedef struct FeathubAsofSlot
{
	uint32		group;			/* its number + 1, or 0 */
	uint32		hash;
} FeathubAsofSlot;

typedef struct FeathubAsofTable
{
	MemoryContext context;		/* all of it */
	FeathubAsofSlot *slots;
	uint32		mask;
	FeathubAsofGroup *groups;
	uint32		ngroups;
	uint32		max_groups;
	Datum	   *more_keys;		/* nkeys - 1 per group */
	FeathubAsofEntry *entries;
	uint32		nentries;
	uint32		max_entries;
	FeathubAsofItem *items;		/* by group, then time */
	uint32		nitems;
	FeathubAsofArena copies;	/* of keys and times */
	FeathubAsofArena payloads;
	Size		used;			/* bytes of the arrays */
} FeathubAsofTable;

/*
 * An inner row on its way into the table.  Several go together where values
 * need not be copied, so that the memory that one needs is fetched while others
 * are worked on.
 */
typedef struct FeathubAsofStaged
{
	Datum		time;
	uint32		hash;
	uint32		group;			/* its number, or FEATHUB_ASOF_NONE */
	FeathubAsofItem *item;
	Datum	   *keys;
	Datum	   *values;			/* of the payload */
	bool	   *nulls;
} FeathubAsofStaged;

/* Enough to hide the time that memory takes, few enough for the nearest cache. */
#define FEATHUB_ASOF_STAGED_ROWS 64

/* See asof_compact.c. */
typedef struct FeathubAsofCompact FeathubAsofCompact;

typedef enum FeathubAsofSource
{
	ASOF_SOURCE_OUTER,
	ASOF_SOURCE_PAYLOAD
} FeathubAsofSource;

/* Where a column of the join comes from. */
typedef struct FeathubAsofColumn
{
	FeathubAsofSource source;
	int			from;			/* index of the outer column or payload value */
	int			to;				/* index in the slot */
} FeathubAsofColumn;

typedef struct FeathubAsofState
{
	CustomScanState css;
	FeathubAsofStrategy strategy;	/* as planned */
	FeathubAsofStrategy current;	/* as run: what outgrows its memory becomes a spine hash */
	bool		left;
	PlanState  *outer;
	PlanState  *inner;
	int			nouter;			/* columns of the outer side, which come first */

	int			nkeys;
	FeathubAsofKey *keys;
	FeathubAsofTime time;
	int			nlowers;
	FeathubAsofLower *lowers;
	AttrNumber	last_key;		/* columns of the inner row with keys and time */
	AttrNumber	last_inner;		/* columns of the inner row in use */
	AttrNumber	last_outer;

	/* payload */
	int			npayload;
	AttrNumber *payload_columns;
	int16	   *payload_len;
	bool	   *payload_byval;
	bool		payload_flat;	/* no value by reference */
	Size		payload_size;	/* without data by reference */
	int			nties;
	int		   *tie_values;		/* payload values that decide ties */
	SortSupportData *ties;

	/* output */
	bool		simple;			/* no expressions, no clauses: columns below go to the result */
	int			ncolumns;
	FeathubAsofColumn *columns; /* of the result if simple, else of the scan slot */
	ExprState  *join_qual;
	int			nexpressions;
	int		   *expression_columns; /* index in the scan slot */
	ExprState **expressions;

	/* rows on their way */
	Datum	   *values;			/* keys of the outer row at hand */
	int			max_staged;
	int			nstaged;
	int			next_staged;	/* time-ordered hash: not used yet */
	FeathubAsofStaged *staged;

	/* running */
	bool		started;
	bool		outer_done;
	bool		inner_done;
	TupleTableSlot *pending;	/* outer row that a change of strategy left over */
	Size		limit;			/* bytes for the table */
	FeathubAsofTable table;

	MemoryContext inner_context;	/* of the staged rows */
	MemoryContext compare_context;	/* merge: reset for each comparison */

	/* spine hash: a batch of outer rows */
	Tuplestorestate *rows;
	List	   *carried;		/* stores with rows of batches that were cut short */
	TupleTableSlot *row_slot;
	TupleTableSlot *carried_slot;
	uint32	   *positions;		/* item of each row */
	char	   *places;			/* a flat payload for each item, then its outer time; or NULL */
	Size		place_size;
	uint32		stored_rows;
	uint32		nrows;			/* that this batch is for */
	uint32		next_row;
	bool		loaded;
	Size		payload_estimate;

	/* spine hash, compact */
	bool		is_compact;
	int			nwanted;		/* outer columns that are kept */
	int		   *wanted;			/* their indexes */
	TupleTableSlot *compact_slot;
	FeathubAsofCompact *compact;	/* in the table's memory */

	/* merge */
	FeathubAsofPayload *best;
	Datum	   *best_keys;		/* outer ones */
	bool		has_best;
	bool		has_best_keys;
	MemoryContext best_context; /* of those */

	/* for EXPLAIN */
	Size		peak;
	uint64		batches;
	uint64		inner_rows;
} FeathubAsofState;


/* asof_pattern.c: NULL unless the subquery is of that kind. */
extern FeathubAsofPattern *FeathubAsofRecognize(PlannerInfo *root, RelOptInfo *rel);

/* asof_path.c: the planner's hook. */
extern void FeathubAsofPathInit(void);
extern bool FeathubAsofMergeFamily(Oid opno, Oid family);

/* asof_plan.c */
extern const CustomPathMethods FeathubAsofPathMethods;
extern const CustomScanMethods FeathubAsofScanMethods;
extern Node *FeathubAsofStripRelabel(Node *node);

/* asof_exec.c */
extern Node *FeathubAsofCreateState(CustomScan *scan);

/* asof_prepare.c: what the plan says, made ready to run. */
extern void FeathubAsofPrepare(FeathubAsofState *state, EState *estate);

/* asof_table.c */
extern void FeathubAsofTableReset(FeathubAsofState *state);
extern void *FeathubAsofAlloc(FeathubAsofArena *arena, Size size);
extern void FeathubAsofAskForHugePages(void *memory, Size size);
extern void FeathubAsofMakeArena(FeathubAsofState *state, FeathubAsofArena *arena);
extern bool FeathubAsofOuterKeys(FeathubAsofState *state, TupleTableSlot *slot);
extern FeathubAsofGroup *FeathubAsofOuterGroup(FeathubAsofState *state, bool make);
extern bool FeathubAsofStage(FeathubAsofState *state);
extern void FeathubAsofStageGroups(FeathubAsofState *state, bool make);
extern void FeathubAsofAddEntry(FeathubAsofState *state, uint32 group, FeathubAsofItem item);
extern void FeathubAsofSortItems(FeathubAsofState *state, bool of_outer);
extern Datum FeathubAsofCopyValue(FeathubAsofArena *arena, Datum value, bool byval, int16 len);

/* asof_payload.c */
extern FeathubAsofPayload *FeathubAsofStore(FeathubAsofState *state, FeathubAsofPayload *into,
											const FeathubAsofStaged *row);
extern FeathubAsofPayload *FeathubAsofMovePayload(FeathubAsofState *state, FeathubAsofArena *arena,
												  FeathubAsofPayload *payload);
extern bool FeathubAsofIsBetter(FeathubAsofState *state, const FeathubAsofStaged *row, const FeathubAsofPayload *than);
extern int	FeathubAsofCompareTies(FeathubAsofState *state, const FeathubAsofPayload *a, const FeathubAsofPayload *b);

/*
 * The strategies: the next outer row and what is known at its time, or NULL.
 * False at the end.
 */
extern bool FeathubAsofNextFeatureHash(FeathubAsofState *state, TupleTableSlot **outer, FeathubAsofPayload **found);
extern bool FeathubAsofNextSpineHash(FeathubAsofState *state, TupleTableSlot **outer, FeathubAsofPayload **found);
extern bool FeathubAsofNextCompact(FeathubAsofState *state, TupleTableSlot **outer, FeathubAsofPayload **found);
extern bool FeathubAsofNextTimeOrdered(FeathubAsofState *state, TupleTableSlot **outer, FeathubAsofPayload **found);
extern bool FeathubAsofNextMerge(FeathubAsofState *state, TupleTableSlot **outer, FeathubAsofPayload **found);

/* asof_hash.c: the next outer row of a batch, or NULL */
extern TupleTableSlot *FeathubAsofNextOuterRow(FeathubAsofState *state);

/* A value of the outer row, as it is compared. */
static inline Datum
feathub_asof_int(Datum value, int16 len)
{
	switch (len)
	{
		case 2:
			return Int64GetDatum((int64) DatumGetInt16(value));
		case 4:
			return Int64GetDatum((int64) DatumGetInt32(value));
		default:
			return value;
	}
}

/* The nulls of a payload. */
static inline bool *
feathub_asof_nulls(const FeathubAsofState *state, const FeathubAsofPayload *payload)
{
	return (bool *) &payload->values[state->npayload];
}

/* Compare an inner with an outer time. */
static inline int
feathub_asof_compare(FeathubAsofState *state, Datum inner, Datum outer)
{
	if (state->time.kind == ASOF_KIND_INT)
	{
		int64		a = DatumGetInt64(inner);
		int64		b = DatumGetInt64(outer);

		return a < b ? -1 : a > b;
	}
	return DatumGetInt32(FunctionCall2Coll(&state->time.compare, state->time.collation, inner, outer));
}

/* May an outer row of that time see an inner row? */
static inline bool
feathub_asof_visible(FeathubAsofState *state, Datum inner, Datum outer)
{
	return feathub_asof_compare(state, inner, outer) < (state->time.strict ? 0 : 1);
}

/* The event time of an inner row; false if it is NULL. */
static inline bool
feathub_asof_inner_time(FeathubAsofState *state, TupleTableSlot *slot, Datum *time)
{
	if (slot->tts_isnull[state->time.column - 1])
		return false;
	*time = slot->tts_values[state->time.column - 1];
	if (state->time.kind == ASOF_KIND_INT)
		*time = feathub_asof_int(*time, state->time.len);
	return true;
}

/* A value of an outer row whose columns up to last_outer are there. */
static inline Datum
feathub_asof_outer_value(FeathubAsofState *state, FeathubAsofOuter *outer, TupleTableSlot *slot, bool *isnull)
{
	if (outer->column > 0)
	{
		*isnull = slot->tts_isnull[outer->column - 1];
		return slot->tts_values[outer->column - 1];
	}
	state->css.ss.ps.ps_ExprContext->ecxt_outertuple = slot;
	return ExecEvalExprSwitchContext(outer->expr, state->css.ss.ps.ps_ExprContext, isnull);
}

/* The time of an outer row; false if it is NULL. */
static inline bool
feathub_asof_outer_time(FeathubAsofState *state, TupleTableSlot *slot, Datum *time)
{
	bool		isnull;

	*time = feathub_asof_outer_value(state, &state->time.outer, slot, &isnull);
	if (!isnull && state->time.kind == ASOF_KIND_INT)
		*time = feathub_asof_int(*time, state->time.outer.len);
	return !isnull;
}

/* The place of an item's payload, if payloads are flat, and the outer time behind it. */
static inline FeathubAsofPayload *
feathub_asof_place(const FeathubAsofState *state, uint32 item)
{
	return (FeathubAsofPayload *) (state->places + (Size) item * state->place_size);
}

static inline Datum *
feathub_asof_place_time(const FeathubAsofState *state, FeathubAsofPayload *place)
{
	return (Datum *) ((char *) place + state->payload_size);
}

/* Compare two inner times. */
static inline int
feathub_asof_compare_inner(FeathubAsofState *state, Datum a, Datum b)
{
	if (state->time.kind == ASOF_KIND_INT)
		return DatumGetInt64(a) < DatumGetInt64(b) ? -1 : DatumGetInt64(a) > DatumGetInt64(b);
	return DatumGetInt32(FunctionCall2Coll(&state->time.compare_inner, state->time.collation, a, b));
}

/* Are two inner times the same? */
static inline bool
feathub_asof_same_time(FeathubAsofState *state, Datum a, Datum b)
{
	if (state->time.kind == ASOF_KIND_INT)
		return a == b;
	return DatumGetInt32(FunctionCall2Coll(&state->time.compare_inner, state->time.collation, a, b)) == 0;
}

/* Bytes in use by the table. */
static inline Size
feathub_asof_used(const FeathubAsofTable *table)
{
	return table->used + table->copies.used + table->payloads.used;
}

#endif							/* FEATHUB_ASOF_ASOF_PRIVATE_H */
