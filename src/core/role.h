/*
 * role.h
 *		Running something as another role.
 */
#ifndef FEATHUB_CORE_ROLE_H
#define FEATHUB_CORE_ROLE_H

#define FEATHUB_SAFE_SEARCH_PATH "pg_catalog, pg_temp"

typedef struct FeathubRoleScope
{
	Oid			save_userid;
	int			save_sec_context;
	int			save_nestlevel;
} FeathubRoleScope;

/*
 * FeathubRoleEnter, FeathubRoleLeave
 *		Be a role, with sec_context (SECURITY_*) added to what is in force, and
 *		with a search_path (NULL: as it is), until Leave.
 *
 * Settings that are made between the two by GUC_ACTION_SAVE end there too.  An
 * error in between is undone by the (sub)transaction's abort.
 */
extern void FeathubRoleEnter(FeathubRoleScope *scope, Oid role, int sec_context,
							 const char *search_path);
extern void FeathubRoleLeave(FeathubRoleScope *scope);

/*
 * Settings that say what values are read and written, and how errors are met, with
 * the values that jobs have them at.  Names and values, up to a NULL.
 */
extern const char *const FeathubJobSettings[][2];

/*
 * FeathubRoleEnterJob
 *		Be a job's owner, in a restricted operation and with the settings of its
 *		workers, until FeathubRoleLeave: what a session does for a job must give
 *		what they would.
 */
extern void FeathubRoleEnterJob(FeathubRoleScope *scope, Oid owner);

#endif							/* FEATHUB_CORE_ROLE_H */
