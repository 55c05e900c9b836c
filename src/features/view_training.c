/*
 * view_training.c
 *		The training form of a feature view.
 *
 * Joins are emitted as ON with what is left of their conditions, and the
 * equalities on the key as bound operators inside of the subquery: USING would
 * be parsed again, and might find another operator.
 */
#include "postgres.h"

#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "parser/parsetree.h"

#include "features/view_history.h"
#include "features/view_rewrite.h"
#include "features/view_training.h"

Query *
FeathubViewTraining(const FeathubViewQuery *view)
{
	Query	   *query = (Query *) copyObject(view->query);
	FeathubColumnMaps maps = FeathubViewMakeMaps(query);

	/* a deletion of the spine's is no event to learn from */
	if (view->spine_group != NULL && view->spine_group->deletes)
		query->jointree->quals = make_and_qual(query->jointree->quals,
											   FeathubViewNotDeleted(query, view->spine, view->spine_group));

	for (int i = list_length(view->groups) - 1; i >= 0; i--)
	{
		FeathubViewGroup *source = (FeathubViewGroup *) list_nth(view->groups, i);
		JoinExpr   *join = FeathubViewJoin(query, source->rtindex);

		if (FeathubViewReadsHistory(source->group))
			FeathubViewJoinHistory(query, source, view->event_time, maps);
		else if (source->group->event_time != NULL)
			FeathubViewJoinLatest(query, source, view->event_time, true, maps);
		else if (source->group->deletes)
			join->quals = make_and_qual(join->quals,
										FeathubViewNotDeleted(query, source->rtindex, source->group));
	}
	FeathubViewFinish(query, maps);
	return query;
}
