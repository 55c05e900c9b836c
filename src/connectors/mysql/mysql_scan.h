/*
 * mysql_scan.h
 *		What scans share with look-ups, joins and modifications.
 */
#ifndef FEATHUB_CONNECTORS_MYSQL_MYSQL_SCAN_H
#define FEATHUB_CONNECTORS_MYSQL_MYSQL_SCAN_H

#include "connectors/mysql/mysql_deparse.h"

extern List *FeathubMysqlAppendWhere(MysqlDeparse *context, List *clauses, List **local,
									 const char *first);

/* The attnums of the columns in a set of those needed, in order. */
extern List *FeathubMysqlNeededColumns(FeathubRelation *rel, Bitmapset *needed);

#endif							/* FEATHUB_CONNECTORS_MYSQL_MYSQL_SCAN_H */
