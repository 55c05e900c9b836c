/*
 * mysql_binlog_client.h
 *		The binary log of a server, as raw packets.
 */
#ifndef FEATHUB_CONNECTORS_MYSQL_MYSQL_BINLOG_CLIENT_H
#define FEATHUB_CONNECTORS_MYSQL_MYSQL_BINLOG_CLIENT_H

#include "connectors/mysql/mysql_connector.h"
#include "connectors/mysql/mysql_gtid.h"

/* From where and as whom the log is asked for. */
typedef struct MysqlDumpRequest
{
	uint32		server_id;
	int			heartbeat;		/* seconds */
	const char *uuid;			/* MySQL: by which it knows us again */
	const MysqlGtidSet *gtids;	/* behind these; NULL: by file and position */
	const char *file;
	uint64		position;
} MysqlDumpRequest;

/*
 * Ask for the log on an idle connection, which can do nothing else then.  Events
 * end with a checksum if the result says so, until the log tells.
 */
extern bool FeathubMysqlDumpStart(MysqlConnection *conn, const MysqlDumpRequest *request);

/*
 * The next event; it stays until the next call.  False if none came within the
 * time-out (in ms) or the process latch is set.  Errors: the server's, with
 * what to do where the log is purged, the right is missing or the number clashes
 * (OBJECT_NOT_IN_PREREQUISITE_STATE), and CONNECTION_FAILURE.
 */
extern bool FeathubMysqlDumpRead(MysqlConnection *conn, long timeout,
								 const char **data, Size *len);

/* An error: the server is behind what was read of it, or of the one before it. */
pg_noreturn extern void FeathubMysqlLacksExecuted(const char *server_name, const char *what);

#endif							/* FEATHUB_CONNECTORS_MYSQL_MYSQL_BINLOG_CLIENT_H */
