/*
 * role.c
 *		Running something as another role.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/guc.h"

#include "core/role.h"

void
FeathubRoleEnter(FeathubRoleScope *scope, Oid role, int sec_context, const char *search_path)
{
	GetUserIdAndSecContext(&scope->save_userid, &scope->save_sec_context);
	SetUserIdAndSecContext(role, scope->save_sec_context | sec_context);
	scope->save_nestlevel = NewGUCNestLevel();
	if (search_path != NULL)
		(void) set_config_option("search_path", search_path, PGC_USERSET, PGC_S_SESSION,
								 GUC_ACTION_SAVE, true, 0, false);
}

void
FeathubRoleLeave(FeathubRoleScope *scope)
{
	AtEOXact_GUC(false, scope->save_nestlevel);
	SetUserIdAndSecContext(scope->save_userid, scope->save_sec_context);
}
