/*
 * feathub.c
 *		Module magic and _PG_init: one Init call per folder, nothing else.
 */
#include "postgres.h"

#include "fmgr.h"

#include "asof/asof.h"
#include "connectors/connector.h"
#include "core/guc.h"
#include "fdw/fdw_lookup.h"
#include "ingest/ingest.h"

PG_MODULE_MAGIC;

void		_PG_init(void);

void
_PG_init(void)
{
	FeathubGucInit();
	FeathubAsofInit();
	FeathubConnectorsInit();
	FeathubFdwLookupInit();
	FeathubIngestInit();
}
