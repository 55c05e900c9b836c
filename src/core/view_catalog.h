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

#include "datatype/timestamp.h"
#include "nodes/pg_list.h"

/* A row of feathub.feature_view, palloc'd. */
typedef struct FeathubView
{
	Oid			relid;			/* the training form */
	Oid			online;			/* the online form; InvalidOid if it is lost */
	char	   *query;			/* as the user wrote it */
	char	   *event_time;		/* column of the spine, or NULL */
	List	   *labels;			/* of char *: columns of the view */
	List	   *training_helpers;	/* of char *: others that only training has */
	List	   *inference_helpers;	/* of char *: those that training data leaves out */
	char	   *max_age;		/* jsonb: alias or group to interval, or NULL */
	bool		event_times;	/* the online form tells event times and ages */
	bool		owner_rights;	/* the online form reads with the owner's rights */
	List	   *owner_views;	/* by these views (Oid) */
	char	   *search_path;	/* that the query was analysed with */
	TimestampTz created_at;		/* 0 in a new one: now */
	List	   *columns;		/* of char *: of the view as they are called now,
								 * if the query is to take them; not stored */
} FeathubView;

/* The feature view of that relation, or NULL. */
extern FeathubView *FeathubViewLoad(Oid relid);

/*
 * Write a feature view's row; the dependency follows by a trigger.  To change
 * one, delete it and write another: in between its function is nobody's.
 */
extern void FeathubViewInsert(const FeathubView *view);
extern void FeathubViewDelete(Oid relid);

/* Follow the renaming of a relation's column: a label or helper has another name then. */
extern void FeathubViewRenameLabel(Oid relid, const char *from, const char *to);

/*
 * Let those who may read a feature view, or with InvalidOid any, read the views
 * behind its online form, and nobody else.
 */
extern void FeathubViewShareGrants(Oid relid);

/* The feature views whose rules read a relation (Oid). */
extern List *FeathubViewsOfRelation(Oid relid);

/* Make the missing dependencies of a view, or with InvalidOid of all views. */
extern void FeathubViewDependenciesMake(Oid relid);

/* Remove the rows of views that no trigger saw go, telling so in the log. */
extern void FeathubViewsCheck(void);

#endif							/* FEATHUB_CORE_VIEW_CATALOG_H */
