/*
 * file_explain.c
 *		What EXPLAIN shows of scans of files and of new files.
 */
#include "postgres.h"

#include "connectors/filesystem/file_scan.h"
#include "core/compat.h"

/* FeathubConnector.explain_scan */
void
FeathubFileExplainScan(FeathubScan *scan, ExplainState *es)
{
	FileOptions *options = scan->rel->options;
	FileScanState *state = scan->state;
	const FileCounts *counts;
	int			nclauses;
	int			nbounds;

	ExplainPropertyText("Path", options->path, es);
	ExplainPropertyText("Format", scan->rel->format->name, es);
	FeathubFileRestrictCounts(list_nth(scan->private, FILE_SCAN_RESTRICT), &nclauses, &nbounds);
	if (nclauses > 0)
		ExplainPropertyInteger("Clauses on Paths", NULL, nclauses, es);
	if (nbounds > 0)
		ExplainPropertyInteger("Bounds on Units", NULL, nbounds, es);

	if (!es->analyze || state == NULL || state->never_rescanned)
		return;
	FeathubFileRowsClose(state->reader);
	counts = state->has_total ? &state->total : &state->reader->counts;
	ExplainPropertyInteger("Files Read", NULL, counts->files, es);
	if (state->skipped > 0 || nclauses > 0)
		ExplainPropertyInteger("Files and Folders Left Out", NULL, state->skipped, es);
	if (scan->rel->format->container)
	{
		ExplainPropertyInteger("Units Read", NULL, counts->units, es);
		ExplainPropertyInteger("Units Left Out", NULL, counts->units_skipped, es);
	}
	else
		ExplainPropertyInteger("Records Read", NULL, counts->records, es);
	ExplainPropertyInteger("Bytes Read", "B", counts->bytes, es);
	if (options->on_error != FILE_ON_ERROR_STOP)
		ExplainPropertyInteger("Bad Records", NULL, counts->rejected, es);
}
