/*
 * mysql_gtid.h
 *		Global transaction identifiers of MySQL (uuid[:tag]:number) and MariaDB
 *		(domain-server-number), and sets of them.
 *
 * Nothing here needs a server.  Memory is the current context's.  Functions that
 * read text return false for what is none and say why in *error (palloc'd).
 */
#ifndef FEATHUB_CONNECTORS_MYSQL_MYSQL_GTID_H
#define FEATHUB_CONNECTORS_MYSQL_MYSQL_GTID_H

#include "lib/stringinfo.h"

#define MYSQL_GTID_UUID_LEN 16
#define MYSQL_GTID_TAG_LEN	32

typedef enum MysqlGtidKind
{
	MYSQL_GTID_NONE,			/* none, or anonymous */
	MYSQL_GTID_MYSQL,
	MYSQL_GTID_MARIADB
} MysqlGtidKind;

typedef struct MysqlGtid
{
	MysqlGtidKind kind;
	uint8		uuid[MYSQL_GTID_UUID_LEN];	/* MySQL */
	char		tag[MYSQL_GTID_TAG_LEN + 1];	/* MySQL 8.3 and later; "" : none */
	uint32		domain;			/* MariaDB */
	uint32		server;			/* MariaDB */
	uint64		number;
} MysqlGtid;

/* Is it a tag as the server keeps it: a letter or "_", then digits too; lower case? */
extern bool FeathubMysqlGtidValidTag(const char *data, Size len);
extern void FeathubMysqlGtidAppend(StringInfo out, const MysqlGtid *gtid);

/*
 * What was executed.  Of MySQL intervals for each uuid and tag; of MariaDB the
 * last number of each domain (gtid_slave_pos), where a lower number is contained.
 */
typedef struct MysqlGtidSet MysqlGtidSet;

extern MysqlGtidSet *FeathubMysqlGtidSetMake(bool mariadb);
extern void FeathubMysqlGtidSetFree(MysqlGtidSet *set);
/* Text as the server writes it, blanks and newlines allowed; "" is the empty set. */
extern bool FeathubMysqlGtidSetParse(MysqlGtidSet *set, const char *text, char **error);
/* In the server's order, so that equal sets are equal texts. */
extern void FeathubMysqlGtidSetAppend(StringInfo out, const MysqlGtidSet *set);
extern bool FeathubMysqlGtidSetIsEmpty(const MysqlGtidSet *set);

/*
 * Add a transaction; false if it is there already.  MariaDB: takes its domain's
 * place even if the number is lower, as the server does without strict mode.
 */
extern bool FeathubMysqlGtidSetAdd(MysqlGtidSet *set, const MysqlGtid *gtid);
/* MySQL only: first to last of a uuid and tag. */
extern bool FeathubMysqlGtidSetAddRange(MysqlGtidSet *set, const uint8 *uuid, const char *tag,
										uint64 first, uint64 last);
extern bool FeathubMysqlGtidSetContains(const MysqlGtidSet *set, const MysqlGtid *gtid);
/* Is all of "part" in set?  (MySQL: gtid_purged in what we have executed.) */
extern bool FeathubMysqlGtidSetIncludes(const MysqlGtidSet *set, const MysqlGtidSet *part);
extern void FeathubMysqlGtidSetUnion(MysqlGtidSet *set, const MysqlGtidSet *other);

/*
 * The set as COM_BINLOG_DUMP_GTID sends it (MySQL): without tags as all servers
 * know it, with tags as 8.3 and later do.
 */
extern void FeathubMysqlGtidSetEncode(StringInfo out, const MysqlGtidSet *set);
/* The same, read: PREVIOUS_GTIDS has it. */
extern bool FeathubMysqlGtidSetDecode(MysqlGtidSet *set, const char *data, Size len, char **error);

#endif							/* FEATHUB_CONNECTORS_MYSQL_MYSQL_GTID_H */
