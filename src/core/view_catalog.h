/*
 * view_catalog.h
 *		The metadata of feature views.
 *
 * A feature view is a view with a row in feathub.feature_view; its online
 * function depends on the view (pg_depend) and goes with it; an event trigger
 * refuses to drop it alone.
 */
#ifndef FEATHUB_CORE_VIEW_CATALOG_H
#define FEATHUB_CORE_VIEW_CATALOG_H

#include "nodes/pg_list.h"

/* A row of feathub.feature_view, palloc'd. */
typedef struct FeathubView
{
	Oid			relid;			/* the training form */
	Oid			online;			/* the online form; InvalidOid if it is lost */
	char	   *query;			/* as the user wrote it */
	char	   *event_time;		/* column of the spine, or NULL */
	List	   *labels;			/* of char *: columns of the view */
} FeathubView;

/* The feature view of that relation, or NULL. */
extern FeathubView *FeathubViewLoad(Oid relid);

/* Write a feature view's row; the dependency follows by a trigger. */
extern void FeathubViewInsert(const FeathubView *view);

/* Make the missing dependencies of a view, or with InvalidOid of all views. */
extern void FeathubViewDependenciesMake(Oid relid);

/* Remove the rows of views that no trigger saw go, telling so in the log. */
extern void FeathubViewsCheck(void);

#endif							/* FEATHUB_CORE_VIEW_CATALOG_H */
