/*
 * folders.h
 *		Which folders of the server a role may use for foreign tables.
 *
 * The predefined roles pg_read_server_files and pg_write_server_files open
 * every folder; setting feathub.allowed_folders opens some to one role
 * (ALTER ROLE ... SET), to a database or to all.
 */
#ifndef FEATHUB_CORE_FOLDERS_H
#define FEATHUB_CORE_FOLDERS_H

#include "nodes/pg_list.h"

/*
 * FeathubFoldersOf
 *		The folders (char *, absolute, without a slash at the end) that the
 *		setting gives to a role; palloc'd.
 *
 * What counts is the role's own setting, in this database or everywhere, else
 * that of the database, of all, or of the configuration: not what the session
 * that asks has, since it may be another role's.
 */
extern List *FeathubFoldersOf(Oid roleid);

/*
 * FeathubFoldersFind
 *		The allowed folder that holds a path, or NULL.
 *
 * path is absolute, in its simplest form.  This looks at names only: whoever
 * opens the file follows no symbolic link below the folder.
 */
extern const char *FeathubFoldersFind(List *folders, const char *path);

/* Raise an error unless the path is free of ".." and its like. */
extern void FeathubFoldersCheckPath(const char *path);

/* The setting; folders.c has its hooks, guc.c defines it. */
extern char *feathub_allowed_folders;
extern bool FeathubFoldersCheckSetting(char **newval, void **extra, int source);
extern void FeathubFoldersAssignSetting(const char *newval, void *extra);

#endif							/* FEATHUB_CORE_FOLDERS_H */
