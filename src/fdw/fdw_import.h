/*
 * fdw_import.h
 *		IMPORT FOREIGN SCHEMA.
 */
#ifndef FEATHUB_FDW_FDW_IMPORT_H
#define FEATHUB_FDW_FDW_IMPORT_H

#include "foreign/fdwapi.h"

extern List *FeathubFdwImportForeignSchema(ImportForeignSchemaStmt *stmt, Oid serverOid);

#endif							/* FEATHUB_FDW_FDW_IMPORT_H */
