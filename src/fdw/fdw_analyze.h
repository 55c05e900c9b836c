/*
 * fdw_analyze.h
 *		ANALYZE of foreign tables.
 */
#ifndef FEATHUB_FDW_FDW_ANALYZE_H
#define FEATHUB_FDW_FDW_ANALYZE_H

#include "foreign/fdwapi.h"

extern bool FeathubFdwAnalyzeForeignTable(Relation relation,
										  AcquireSampleRowsFunc *func,
										  BlockNumber *totalpages);

#endif							/* FEATHUB_FDW_FDW_ANALYZE_H */
