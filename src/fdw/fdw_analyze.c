/*
 * fdw_analyze.c
 *		ANALYZE of foreign tables, with the connector's sample of rows.
 */
#include "postgres.h"

#include "utils/rel.h"

#include "connectors/connector.h"
#include "fdw/fdw_analyze.h"

static int	acquire_sample_rows(Relation relation, int elevel, HeapTuple *rows,
								int targrows, double *totalrows,
								double *totaldeadrows);

bool
FeathubFdwAnalyzeForeignTable(Relation relation, AcquireSampleRowsFunc *func,
							  BlockNumber *totalpages)
{
	const FeathubConnector *connector = FeathubConnectorOfTable(RelationGetRelid(relation));

	if (connector == NULL || connector->sample_rows == NULL)
		return false;
	*func = acquire_sample_rows;

	/* other systems have no pages; rows are what the planner works with */
	*totalpages = 1;
	return true;
}

/* As the server's own: the table's owner reads, whoever analyzes. */
static int
acquire_sample_rows(Relation relation, int elevel, HeapTuple *rows, int targrows,
					double *totalrows, double *totaldeadrows)
{
	FeathubRelation *rel;
	int			nrows;

	*totalrows = 0;
	*totaldeadrows = 0;
	rel = FeathubRelationOpen(RelationGetRelid(relation), relation->rd_rel->relowner);
	nrows = rel->connector->sample_rows(rel, rows, targrows, totalrows, totaldeadrows);
	ereport(elevel,
			(errmsg("\"%s\": table contains %.0f rows; %d rows in sample",
					RelationGetRelationName(relation), *totalrows, nrows)));
	return nrows;
}
