/*
 * feature_group.h
 *		Making the tables of a feature group.
 */
#ifndef FEATHUB_FEATURES_FEATURE_GROUP_H
#define FEATHUB_FEATURES_FEATURE_GROUP_H

#include "access/tupdesc.h"

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

/* Run a command as the current user. */
extern void FeathubGroupRunCommand(const char *sql);

#endif							/* FEATHUB_FEATURES_FEATURE_GROUP_H */
