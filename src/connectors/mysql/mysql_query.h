/*
 * mysql_query.h
 *		What statements (mysql_query.c) and their rows (mysql_result.c) share.
 */
#ifndef FEATHUB_CONNECTORS_MYSQL_MYSQL_QUERY_H
#define FEATHUB_CONNECTORS_MYSQL_MYSQL_QUERY_H

#include "connectors/mysql/mysql_connector.h"

/* mysql_query.c */

/* Run a statement; the caller looks at the library's error. */
extern void FeathubMysqlStartStatement(MysqlConnection *conn, const char *sql, Size len);
/* The same without a look at what the connection is doing; false as below. */
extern bool FeathubMysqlSendStatement(MysqlConnection *conn, const char *sql, Size len,
									  TimestampTz deadline, bool quiet);
/* Finish the pending call; false if the deadline (0: none) passed, only if quiet. */
extern bool FeathubMysqlFinishCall(MysqlConnection *conn, TimestampTz deadline, bool quiet);

/* mysql_result.c */

/* Take the result of the statement that was answered. */
extern MysqlResult *FeathubMysqlBeginResult(MysqlConnection *conn, const char *sql);
/*
 * The next row of the result on its way, or false at the end.  An error ends in
 * ereport, if quiet in false with the library's error set; the deadline's
 * passing in false with the call still pending.
 */
extern bool FeathubMysqlFetchLive(MysqlConnection *conn, char ***row, TimestampTz deadline,
								  bool quiet);
/* Free the result, all rows of which were read. */
extern void FeathubMysqlReleaseRows(MysqlConnection *conn);
/* Read the rest of the rows into the memory of who wants them. */
extern void FeathubMysqlPutAside(MysqlConnection *conn);

#endif							/* FEATHUB_CONNECTORS_MYSQL_MYSQL_QUERY_H */
