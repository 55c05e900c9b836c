/*
 * file_scan.c
 *		SELECT on files.
 *
 * One process reads the files in the order of their names, each to the end that
 * it has when it is opened.  A file that is removed between being listed and
 * being opened is an error.  Several processes share the work as file_parallel.c
 * says.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "optimizer/optimizer.h"
#include "utils/memutils.h"
#include "utils/ruleutils.h"

#include "connectors/filesystem/file_scan.h"

static bool next_file(FileScanState *state);

/* FeathubConnector.plan_scan: all clauses stay to be checked again. */
void
FeathubFilePlanScan(FeathubRelation *rel, PlannerInfo *root, RelOptInfo *baserel,
					List *clauses, FeathubScanPlan *plan)
{
	List	   *params = NIL;
	List	   *restriction;
	ListCell   *lc;

	restriction = FeathubFileRestrictPlan(root, baserel, rel, clauses, false, &params);
	plan->private = list_make1(restriction);
	plan->params = params;
	foreach(lc, clauses)
	{
		Node	   *clause = lfirst(lc);

		if (IsA(clause, RestrictInfo))
			clause = (Node *) ((RestrictInfo *) clause)->clause;
		plan->local_clauses = lappend(plan->local_clauses, clause);
	}
}

/* FeathubConnector.lookup_columns: those that leave files out. */
Bitmapset *
FeathubFileLookupColumns(FeathubRelation *rel)
{
	FileColumns columns;
	Bitmapset  *result = NULL;

	FeathubFileColumnsOf(rel, NULL, &columns);
	for (int i = 0; i < columns.npartitions; i++)
		result = bms_add_member(result, columns.partitions[i].attnum);
	return result;
}

void
FeathubFileBeginScan(FeathubScan *scan)
{
	FileScanState *state = palloc0(sizeof(FileScanState));

	state->scan = scan;
	state->place = FeathubFilePlaceOf(scan->rel, false);
	state->restriction = FeathubFileRestrictBegin(scan->rel, state->place,
												  list_nth(scan->private, FILE_SCAN_RESTRICT));
	state->reader = FeathubFileRowsBegin(scan->rel, state->place, scan->needed);
	state->list_context = AllocSetContextCreate(scan->context, "feathub file list",
												ALLOCSET_DEFAULT_SIZES);
	state->never_rescanned = true;
	state->done = true;
	scan->state = state;
}

void
FeathubFileRescan(FeathubScan *scan)
{
	FileScanState *state = scan->state;

	FeathubFileRowsClose(state->reader);
	if (state->list)
		FeathubFileListEnd(state->list);
	state->list = NULL;
	MemoryContextReset(state->list_context);
	FeathubFileRestrictEvaluate(state->restriction, scan->nparams, scan->param_values,
								scan->param_isnull);
	state->reader->bounds = state->restriction->bounds;
	state->reader->nbounds = state->restriction->nbounds;
	state->reader->rejected = 0;
	state->in_file = false;
	state->file = 0;
	state->never_rescanned = false;
	state->done = state->restriction->nothing;
}

bool
FeathubFileNextRow(FeathubScan *scan, TupleTableSlot *slot)
{
	FileScanState *state = scan->state;

	while (!state->done)
	{
		if (state->in_file &&
			FeathubFileRowsNext(state->reader, slot->tts_values, slot->tts_isnull))
			return true;
		CHECK_FOR_INTERRUPTS();
		state->in_file = state->shared ? FeathubFileParallelNext(state) : next_file(state);
		if (!state->in_file)
		{
			state->done = true;
			FeathubFileRowsReport(state->reader);
		}
	}
	return false;
}

void
FeathubFileEndScan(FeathubScan *scan)
{
	FileScanState *state = scan->state;

	if (state == NULL)
		return;
	FeathubFileRowsClose(state->reader);
	if (state->list)
		FeathubFileListEnd(state->list);
	state->list = NULL;
	if (state->restriction->econtext)
		FreeExprContext(state->restriction->econtext, true);
	state->restriction->econtext = NULL;
	if (state->names)
		BufFileClose(state->names);
	state->names = NULL;
	state->done = true;
}

/* The next unit of the file, or the next file. */
static bool
next_file(FileScanState *state)
{
	FileReader *reader = state->reader;
	MemoryContext old;
	const char *name;

	if (state->list == NULL)
	{
		old = MemoryContextSwitchTo(state->list_context);
		state->list = FeathubFileListBegin(state->place, &state->restriction->hooks);
		MemoryContextSwitchTo(old);
	}
	for (;;)
	{
		CHECK_FOR_INTERRUPTS();
		if (reader->container != NULL)
		{
			int			nunits = FeathubFileRowsUnits(reader);

			while (state->unit < nunits)
			{
				CHECK_FOR_INTERRUPTS();
				if (FeathubFileRowsStartUnit(reader, state->unit++))
					return true;
			}
		}
		old = MemoryContextSwitchTo(state->list_context);
		name = FeathubFileListNext(state->list);
		state->skipped = FeathubFileListSkipped(state->list);
		MemoryContextSwitchTo(old);
		if (name == NULL)
		{
			FeathubFileRowsClose(reader);
			return false;
		}
		FeathubFileRowsOpen(reader, name);
		reader->counts.files++;
		state->unit = 0;
		if (reader->container == NULL)
		{
			FeathubFileRowsStart(reader);
			return true;
		}
	}
}
