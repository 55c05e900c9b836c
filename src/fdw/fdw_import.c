/*
 * fdw_import.c
 *		IMPORT FOREIGN SCHEMA.
 */
#include "postgres.h"

#include "foreign/foreign.h"
#include "miscadmin.h"

#include "connectors/connector.h"
#include "fdw/fdw_import.h"
#include "fdw/fdw_option.h"

/*
 * FeathubFdwImportForeignSchema
 *		The statements that make the tables.
 *
 * The server itself leaves out those that LIMIT TO and EXCEPT leave out.
 */
List *
FeathubFdwImportForeignSchema(ImportForeignSchemaStmt *stmt, Oid serverOid)
{
	ForeignServer *server = GetForeignServer(serverOid);
	ForeignDataWrapper *fdw = GetForeignDataWrapper(server->fdwid);
	const FeathubConnector *connector = FeathubConnectorByWrapper(fdw->fdwname);
	UserMapping *user;

	if (connector->import_schema == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("foreign-data wrapper \"%s\" does not support IMPORT FOREIGN SCHEMA",
						fdw->fdwname)));
	FeathubFdwCheckImportOptions(connector, stmt->options);

	if (connector->needs_user_mapping)
		user = GetUserMapping(GetUserId(), serverOid);
	else
		user = FeathubUserMapping(GetUserId(), serverOid);

	FeathubConnectorCheckServerFiles(connector, server, user);
	return connector->import_schema(server, user, stmt);
}
