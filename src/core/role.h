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

#endif							/* FEATHUB_CORE_ROLE_H */
