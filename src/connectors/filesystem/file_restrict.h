/*
 * file_restrict.h
 *		What the clauses of a query say of files and of units of a file.
 */
#ifndef FEATHUB_CONNECTORS_FILESYSTEM_FILE_RESTRICT_H
#define FEATHUB_CONNECTORS_FILESYSTEM_FILE_RESTRICT_H

#include "connectors/filesystem/filesystem.h"

/*
 * FeathubFileRestrictPlan
 *		Choose clauses that partition columns and the path decide, and bounds on
 *		other columns.
 *
 * Returns a list of copyable nodes; values that the executor computes are
 * appended to *params.  With constants_only, clauses that need such values are
 * left out: for planning, where they are not known.
 */
extern List *FeathubFileRestrictPlan(PlannerInfo *root, RelOptInfo *baserel,
									 FeathubRelation *rel, List *clauses,
									 bool constants_only, List **params);

/* For EXPLAIN: how many clauses decide on files, and bounds there are. */
extern void FeathubFileRestrictCounts(List *plan, int *nclauses, int *nbounds);

typedef struct FileRestrict
{
	FeathubRelation *rel;
	FileColumns *columns;		/* all of the table's */
	FilePlace  *place;			/* for the column path */
	FilePartitions *partitions;
	List	   *clauses;		/* of FileClause */
	struct ExprContext *econtext;
	struct ParamListInfoData *params;
	TupleTableSlot *slot;
	bool	   *found;
	List	   *bound_plan;
	List	   *param_types;
	int			nbounds;
	FeathubBound *bounds;
	bool		nothing;		/* no row can match */
	MemoryContext context;		/* of the bounds */
	FileListHooks hooks;		/* for FeathubFileListBegin */
} FileRestrict;

extern FileRestrict *FeathubFileRestrictBegin(FeathubRelation *rel, FilePlace *place,
											  List *plan);

/* Take the values of the params. */
extern void FeathubFileRestrictEvaluate(FileRestrict *restriction, int nparams,
										Datum *values, bool *isnull);

#endif							/* FEATHUB_CONNECTORS_FILESYSTEM_FILE_RESTRICT_H */
