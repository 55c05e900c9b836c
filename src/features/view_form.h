/*
 * view_form.h
 *		The two objects that a feature view is.
 */
#ifndef FEATHUB_FEATURES_VIEW_FORM_H
#define FEATHUB_FEATURES_VIEW_FORM_H

#include "core/view_catalog.h"
#include "features/view_query.h"

/* Names of a feature view's objects. */
typedef struct FeathubViewNames
{
	char	   *nspname;		/* of the view */
	char	   *relname;
	char	   *function_nspname;
	char	   *function;
} FeathubViewNames;

/*
 * FeathubViewMakeForms
 *		Make the view and the function of an analysed query, as the current user.
 *
 * If view->relid is valid they are replaced: the view keeps its grants, its
 * options and what reads it, or CREATE OR REPLACE VIEW raises an error.  The
 * function stays the same object if its arguments and columns do; else it is
 * dropped, which is an error if something reads it, and made again with the
 * same grants and comment.  It must not be known as a feature view's then.
 * Fills in relid, online and owner_views, the former ones of which are dropped.
 */
extern void FeathubViewMakeForms(FeathubView *view, const FeathubViewQuery *query,
								 const FeathubViewNames *names);

#endif							/* FEATHUB_FEATURES_VIEW_FORM_H */
