/*
 * describe.h
 *		The columns of tables and of a job's query, and whether they fit.
 */
#ifndef FEATHUB_CORE_DESCRIBE_H
#define FEATHUB_CORE_DESCRIBE_H

#include "access/tupdesc.h"
#include "nodes/parsenodes.h"

#include "core/catalog.h"

/* The name of the relation that a job's query reads. */
#define FEATHUB_BATCH_NAME "batch"

/* The column of an offline table that marks deletions. */
#define FEATHUB_DELETED_COLUMN "feathub_deleted"

/*
 * FeathubQueryDescribe
 *		The columns that a job's query returns when "batch" has those of batch.
 *
 * Parses and analyses the query as the role, which is the job's owner, with the
 * settings of workers, as these do; no right is checked but to use schemas, and
 * nothing runs but what constants are read with, such as checks of domains.
 * Raises SYNTAX_ERROR, UNDEFINED_COLUMN and so on as the server does, and
 * FEATURE_NOT_SUPPORTED unless it is one plain SELECT.  The result is palloc'd.
 */
extern TupleDesc FeathubQueryDescribe(const char *query, TupleDesc batch, Oid role);

/*
 * FeathubSourceDescribe
 *		The columns of a source as a job sees them, palloc'd.
 *
 * Dropped columns are left out, and generated ones of a foreign table, which
 * no record fills.  The caller holds a lock on the table.
 */
extern TupleDesc FeathubSourceDescribe(Oid relid);

/* Does the server give the column its values, and lets nobody else write them? */
extern bool FeathubColumnIsGenerated(Form_pg_attribute att);

/* The attribute of that name, or NULL. */
extern Form_pg_attribute FeathubDescribeColumn(TupleDesc desc, const char *name);

/*
 * FeathubCheckColumnsFit
 *		Raise an error unless rows of input can be written to a table.
 *
 * Every column of input must be in the table with a type to which its own can
 * be assigned, those named in exact must be in both with the same type, and no
 * column that input lacks may need a value.
 */
extern void FeathubCheckColumnsFit(TupleDesc input, Oid relid, List *exact);

/*
 * FeathubHasUniqueKey
 *		Is there a unique index that INSERT ... ON CONFLICT (columns) can use?
 *
 * That is one on exactly these columns in any order, valid, immediate, without
 * predicate.  Takes no lock.
 */
extern bool FeathubHasUniqueKey(Oid relid, List *columns);

/* The columns of a group's offline key: primary key and event time. */
extern List *FeathubGroupHistoryKey(const FeathubGroup *group);

/* Is the name one of a list of char *? */
extern bool FeathubHasName(List *names, const char *name);

/* A relation's name with its schema, quoted. */
extern char *FeathubQualifiedName(Oid relid);

/*
 * For error context callbacks: let the error's position point into a query, not
 * the statement that gave it.
 */
extern void FeathubQueryErrorPosition(const char *query);

#endif							/* FEATHUB_CORE_DESCRIBE_H */
