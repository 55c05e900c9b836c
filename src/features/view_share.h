/*
 * view_share.h
 *		Views by which an online form reads with its owner's rights.
 */
#ifndef FEATHUB_FEATURES_VIEW_SHARE_H
#define FEATHUB_FEATURES_VIEW_SHARE_H

#include "nodes/parsenodes.h"

/*
 * FeathubViewShare
 *		Let a query read views of relations in place of the relations.
 *
 * Makes for each relation in its FROM, as the current user, a view of the
 * columns that the query uses, named prefix_alias.  Returns the views (Oid).
 * Raises an error for relations further down, in subqueries of the user's.
 */
extern List *FeathubViewShare(Query *query, const char *nspname, const char *prefix);

#endif							/* FEATHUB_FEATURES_VIEW_SHARE_H */
