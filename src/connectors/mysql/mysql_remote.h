/*
 * mysql_remote.h
 *		A query of several tables, or with aggregates, order or limit, that the
 *		server evaluates whole.
 */
#ifndef FEATHUB_CONNECTORS_MYSQL_MYSQL_REMOTE_H
#define FEATHUB_CONNECTORS_MYSQL_MYSQL_REMOTE_H

#include "connectors/mysql/mysql_deparse.h"

/*
 * FeathubPlanRel.state.  Everything in it has been found to be evaluated there
 * as here; nothing is left to be checked.
 */
typedef struct MysqlRemote
{
	bool		possible;		/* of a table: all its clauses can be left there */
	List	   *conditions;		/* bare clauses in WHERE */

	/* A join; else a table */
	RelOptInfo *table;
	struct MysqlRemote *outer;
	struct MysqlRemote *inner;
	bool		left;			/* LEFT JOIN, else INNER */
	List	   *on;				/* bare clauses of a LEFT JOIN */

	/* Grouping */
	bool		grouped;
	List	   *group_by;		/* expressions */
	List	   *having;			/* bare clauses */
	List	   *tlist;			/* of TargetEntry: groups and aggregates */

	/* Order and limit */
	List	   *order_by;		/* MysqlOrder */
	Node	   *limit_count;
	Node	   *limit_offset;
} MysqlRemote;

typedef struct MysqlOrder
{
	Expr	   *expr;
	bool		descending;
	bool		nulls_first;
} MysqlOrder;

/* What the server would be asked for a relation, or NULL if it cannot be. */
extern MysqlRemote *FeathubMysqlRemoteOf(PlannerInfo *root, RelOptInfo *rel);
extern const FeathubEstimate *FeathubMysqlSetRemote(RelOptInfo *rel, RelOptInfo *input,
													MysqlRemote *remote, double rows,
													Cost startup_cost);

/* A context for expressions over the tables of a relation. */
extern void FeathubMysqlRemoteContext(MysqlDeparse *context, PlannerInfo *root, Relids relids);

/* Are all of the clauses evaluated there as here? */
extern bool FeathubMysqlAllShippable(MysqlDeparse *context, List *clauses);

/* Can the columns that the expressions need be asked for? */
extern bool FeathubMysqlOutputPossible(MysqlDeparse *context, List *exprs);

/* mysql_upper.c */
extern bool FeathubMysqlGroupValue(MysqlDeparse *context, Expr *expr);
extern void FeathubMysqlOrderBy(MysqlDeparse *context, List *order_by);

/* mysql_direct.c */
extern bool FeathubMysqlPlanDirect(FeathubRelation *rel, PlannerInfo *root, CmdType operation,
								   Index rtindex, List *clauses, List *attnums,
								   List *values, FeathubScanPlan *plan);
extern uint64 FeathubMysqlRunDirect(FeathubScan *scan);

extern void FeathubMysqlGetJoinPaths(PlannerInfo *root, RelOptInfo *joinrel,
									 RelOptInfo *outerrel, RelOptInfo *innerrel,
									 JoinType jointype, JoinPathExtraData *extra);
extern void FeathubMysqlGetUpperPaths(PlannerInfo *root, UpperRelationKind stage,
									  RelOptInfo *input_rel, RelOptInfo *output_rel, void *extra);
extern void FeathubMysqlPlanRemote(PlannerInfo *root, RelOptInfo *rel, ForeignPath *path,
								   FeathubScanPlan *plan);

#endif							/* FEATHUB_CONNECTORS_MYSQL_MYSQL_REMOTE_H */
