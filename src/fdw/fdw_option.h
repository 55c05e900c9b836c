/*
 * fdw_option.h
 *		Validation of options, shared by the wrappers' validators and IMPORT
 *		FOREIGN SCHEMA.
 */
#ifndef FEATHUB_FDW_FDW_OPTION_H
#define FEATHUB_FDW_FDW_OPTION_H

#include "connectors/connector.h"

/*
 * FeathubFdwCheckOptions
 *		Raise an error unless a connector takes these options at "where".
 *
 * Names, values and, at "where" itself, required options.  Options that make
 * the server read files need the current user's right to do so.
 */
extern void FeathubFdwCheckOptions(const FeathubConnector *connector,
								   uint32 where, List *deflist);

/* The same for the OPTIONS of IMPORT FOREIGN SCHEMA. */
extern void FeathubFdwCheckImportOptions(const FeathubConnector *connector,
										 List *deflist);

#endif							/* FEATHUB_FDW_FDW_OPTION_H */
