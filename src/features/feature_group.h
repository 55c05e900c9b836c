/*
 * feature_group.h
 *		Making the tables of a feature group.
 */
#ifndef FEATHUB_FEATURES_FEATURE_GROUP_H
#define FEATHUB_FEATURES_FEATURE_GROUP_H

#include "access/tupdesc.h"
#include "fmgr.h"

#include "core/catalog.h"

/* A group being made. */
typedef struct FeathubGroupRequest
{
	char	   *nspname;		/* schema of its tables */
	char	   *relname;		/* its name */
	TupleDesc	columns;		/* of the source or its query; NULL: no source */
	bool		online;			/* with an online table */
	FeathubGroup *group;		/* what becomes its row; relid, online and
								 * tombstone are still to be filled */
} FeathubGroupRequest;

/*
 * FeathubGroupMakeTables
 *		Create the group's tables, or take over those that are there.
 *
 * Runs DDL as the current user.  Fills relid, online and tombstone of the
 * group.  Raises an error if an existing table does not fit, or if there is
 * neither a table nor a source to take columns from.
 */
extern void FeathubGroupMakeTables(FeathubGroupRequest *request);

/*
 * FeathubGroupMakeOnline
 *		Create an external group's online table, or take over the one there.
 *
 * As above, but the group's relation exists and need be no table.
 */
extern void FeathubGroupMakeOnline(FeathubGroupRequest *request);

/* Check key and event time against the request's columns. */
extern void FeathubGroupCheckColumns(FeathubGroupRequest *request);

/* Raise an error if the relation belongs to a feature group. */
extern void FeathubGroupCheckFree(Oid relid);

/*
 * Arguments of the functions that make groups.  Each raises an error for what
 * can be no such thing; an interval that needs an event time is read by
 * ReadInterval, which gives NULL for NULL.
 */
extern void FeathubGroupReadKey(FunctionCallInfo fcinfo, int key, int event_time,
								FeathubGroup *group);
extern Interval *FeathubGroupReadInterval(FunctionCallInfo fcinfo, int arg, const char *name,
										  const FeathubGroup *group);
extern void FeathubGroupCheckInterval(Interval *value, const char *name);
extern bool FeathubGroupReadBool(FunctionCallInfo fcinfo, int arg, const char *name);
extern char *FeathubGroupReadText(FunctionCallInfo fcinfo, int arg, const char *name);

/* The group of that name, or NULL; the current user must own its relation. */
extern FeathubGroup *FeathubGroupFind(text *name, bool missing_ok);

/* The equality that a key of that type uses, as OPERATOR(schema.name). */
extern char *FeathubGroupEqualityOperator(Oid type);

/* Run a command as the current user. */
extern void FeathubGroupRunCommand(const char *sql);

#endif							/* FEATHUB_FEATURES_FEATURE_GROUP_H */
