/*
 * view_online.h
 *		The online form of a feature view.
 */
#ifndef FEATHUB_FEATURES_VIEW_ONLINE_H
#define FEATHUB_FEATURES_VIEW_ONLINE_H

#include "features/view_query.h"

/* An argument of the online function, numbered by its place in the list. */
typedef struct FeathubViewArgument
{
	char	   *name;
	Oid			type;
} FeathubViewArgument;

/*
 * FeathubViewOnline
 *		The query of the online function of that name.
 *
 * The spine is a row of the function's arguments (external parameters), each
 * group is its online table, labels are left out.  *view is left as it is.
 */
extern Query *FeathubViewOnline(const FeathubViewQuery *view, const char *function,
								List **arguments);

#endif							/* FEATHUB_FEATURES_VIEW_ONLINE_H */
