/*
 * dependency.h
 *		What protects groups and jobs from the loss of their tables.
 *
 * A group's online and tombstone tables depend on its offline table internally
 * (pg_depend): they cannot be dropped alone and go with it.  Everything else is
 * watched by event triggers (drop_trigger.c).
 */
#ifndef FEATHUB_CORE_DEPENDENCY_H
#define FEATHUB_CORE_DEPENDENCY_H

#include "core/catalog.h"

/* Make the missing entries of a group, or with InvalidOid of all groups. */
extern void FeathubDependenciesMake(Oid relid);

/*
 * FeathubDependenciesRecord
 *		Record a dependency for each row of a statement: (object, relation).
 *
 * relid is the statement's one parameter; the objects are of class classid, and
 * depend on the relations by type (DependencyType).
 */
extern void FeathubDependenciesRecord(FeathubStatement *statement, Oid relid,
									  Oid classid, char type);

/* Remove them, so that the tables stand alone.  InvalidOid: there is none. */
extern void FeathubDependenciesRemove(Oid relid, Oid online, Oid tombstone);

/*
 * FeathubDependenciesCheck
 *		Put right what no trigger saw.
 *
 * Makes missing entries (pg_upgrade copies the metadata tables as files), and
 * removes groups and jobs whose tables are gone (dropped while event triggers
 * were off), telling so in the log.  Runs in: scheduler, at its start, in a
 * transaction with the extension locked.
 */
extern void FeathubDependenciesCheck(void);

#endif							/* FEATHUB_CORE_DEPENDENCY_H */
