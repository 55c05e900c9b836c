/*
 * role.c
 *		Running something as another role.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/guc.h"

#include "core/role.h"

const char *const FeathubJobSettings[][2] = {
	{"row_security", "on"},
	{"timezone", "UTC"},
	{"datestyle", "ISO, YMD"},
	{"intervalstyle", "postgres"},
	{"extra_float_digits", "1"},
	{"bytea_output", "hex"},
	{"standard_conforming_strings", "on"},
	{"transform_null_equals", "off"},
	{"array_nulls", "on"},
	{"exit_on_error", "off"},	/* else no bad record would be found */
	{"jit", "off"},
	{NULL, NULL}
};

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
FeathubRoleEnterJob(FeathubRoleScope *scope, Oid owner)
{
	FeathubRoleEnter(scope, owner, SECURITY_LOCAL_USERID_CHANGE | SECURITY_RESTRICTED_OPERATION, "");
	for (int i = 0; FeathubJobSettings[i][0]; i++)
		(void) set_config_option(FeathubJobSettings[i][0], FeathubJobSettings[i][1], PGC_USERSET,
								 PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
}

void
FeathubRoleLeave(FeathubRoleScope *scope)
{
	AtEOXact_GUC(false, scope->save_nestlevel);
	SetUserIdAndSecContext(scope->save_userid, scope->save_sec_context);
}
