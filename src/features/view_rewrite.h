/*
 * view_rewrite.h
 *		What both forms of a feature view do to its query tree.
 */
#ifndef FEATHUB_FEATURES_VIEW_REWRITE_H
#define FEATHUB_FEATURES_VIEW_REWRITE_H

#include "nodes/parsenodes.h"
#include "nodes/primnodes.h"

#include "features/view_query.h"

/* For each range table entry, from 1: NULL, or the new number of each column. */
typedef AttrNumber **FeathubColumnMaps;

/* The columns of a relation that the query uses, in order (AttrNumber in a list of int). */
extern List *FeathubViewUsedColumns(Query *query, Index rtindex);

/* Those that an expression uses. */
extern Bitmapset *FeathubViewColumnsIn(Node *node, Index rtindex);

/* The Var of a column of a relation in the query's range table. */
extern Var *FeathubViewColumn(Query *query, Index rtindex, AttrNumber attnum);

/* The join whose right side is that relation. */
extern JoinExpr *FeathubViewJoin(Query *query, Index rtindex);

/* Maps for a query that rewriting may add relations to. */
extern FeathubColumnMaps FeathubViewMakeMaps(const Query *query);

/* left OPERATOR(pg_catalog.name) right */
extern Node *FeathubViewOperator(const char *name, Node *left, Node *right);

/* The type that two event times are compared by: with time zone if one has it. */
extern Oid	FeathubViewComparisonType(Oid left, Oid right);

/* CAST (node AS type) */
extern Node *FeathubViewAsType(Node *node, Oid type);

/* A column, named as the relation has it, of relation 1 of a subquery being made. */
extern TargetEntry *FeathubViewTarget(Query *query, const RangeTblEntry *rte,
									  AttrNumber attnum, int resno);

/* A query that reads the group's relation and as yet gives nothing. */
extern Query *FeathubViewReadGroup(const RangeTblEntry *rte, const FeathubGroup *group);

/* NOT feathub_deleted, of a column that may be NULL; as a Var of the relation. */
extern Node *FeathubViewNotDeleted(Query *query, Index rtindex, const FeathubGroup *group);

/*
 * FeathubViewJoinLatest
 *		Replace a group by a lateral subquery for its latest row.
 *
 * That is the row of the join's key with the greatest event time that is not
 * later than event_time, a Var of the spine (if as_of; else it may be), nor
 * older than it by more than the group's ttl; deleted rows end in none.  Notes in maps what columns
 * become; FeathubViewFinish applies that.  To be called for the last join
 * first, because it asks which columns the rest of the query uses.
 */
extern void FeathubViewJoinLatest(Query *query, const FeathubViewGroup *source,
								  const Var *event_time, bool as_of, FeathubColumnMaps maps);

/* event_time minus the ttl of a group that has one. */
extern Node *FeathubViewOldest(const FeathubViewGroup *source, const Var *event_time);

/*
 * FeathubViewFinish
 *		Number the columns of replaced relations anew and rebuild the joins.
 */
extern void FeathubViewFinish(Query *query, FeathubColumnMaps maps);

#endif							/* FEATHUB_FEATURES_VIEW_REWRITE_H */
