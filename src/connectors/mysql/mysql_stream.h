/*
 * mysql_stream.h
 *		Positions of jobs that follow a table by an increasing column.
 */
#ifndef FEATHUB_CONNECTORS_MYSQL_MYSQL_STREAM_H
#define FEATHUB_CONNECTORS_MYSQL_MYSQL_STREAM_H

#include "connectors/mysql/mysql_connector.h"

/* The stream column and as many columns as an index may have. */
#define MYSQL_POSITION_VALUES 17

/* What kind of column a value is from: how it is written and compared. */
typedef enum MysqlOrderKind
{
	MYSQL_ORDER_NONE,			/* of no use */
	MYSQL_ORDER_INTEGER,
	MYSQL_ORDER_DECIMAL,
	MYSQL_ORDER_DATE,
	MYSQL_ORDER_DATETIME,
	MYSQL_ORDER_TIMESTAMP,
	MYSQL_ORDER_TEXT,
	MYSQL_ORDER_TEXT_CI,		/* a collation that ignores case */
	MYSQL_ORDER_BINARY
} MysqlOrderKind;

/* A value in a position: tag n: number, q: text, i: text of any case, x: hex. */
typedef struct MysqlPositionValue
{
	char		tag;
	char	   *text;
} MysqlPositionValue;

/*
 * A place in the table's order.  Fewer values than columns: before all rows
 * that begin with them.  No values: before all rows.
 */
typedef struct MysqlPosition
{
	int64		number;			/* rows taken up to here */
	bool		before;			/* just before the row, not behind it */
	int			nvalues;
	MysqlPositionValue values[MYSQL_POSITION_VALUES];
} MysqlPosition;

/* The table as statements name it, and the columns of the order: stream column, key. */
typedef struct MysqlStreamTable
{
	int			norder;
	char	  **order_names;	/* as the server has them */
	char	  **quoted;			/* for statements */
	MysqlOrderKind *kinds;
	int			precision;		/* of a time */
	bool		auto_increment;
	char	   *mark;			/* their names */

	char	   *select;			/* SELECT ... FROM ... */
	char	   *quoted_name;	/* database.table */
	char	   *schema_where;	/* for information_schema */
	char	   *partition;		/* its name */
} MysqlStreamTable;

/*
 * FeathubMysqlStreamDescribe, FeathubMysqlStreamCheck
 *		Fill table by the options of stream->rel, palloc'd; then by the server's
 *		catalog, with an error unless a job can follow it.
 */
extern void FeathubMysqlStreamDescribe(FeathubStream *stream, const struct MysqlRecords *records,
									   MysqlStreamTable *table);
extern void FeathubMysqlStreamCheck(FeathubStream *stream, MysqlConnection *conn,
									MysqlStreamTable *table);

/* Of a column, by its names in information_schema. */
extern MysqlOrderKind FeathubMysqlOrderKind(const char *type, const char *collation);

/* An error that says why the table cannot be followed; hint may be NULL. */
pg_noreturn extern void FeathubMysqlNotFollowable(FeathubStream *stream, const char *detail,
									  const char *hint);

/* False if the text is none. */
extern bool FeathubMysqlPositionParse(const char *text, MysqlPosition *position);
extern void FeathubMysqlPositionAppend(StringInfo out, const MysqlPosition *position);
/* A value as the server sent it, in UTF-8; palloc'd. */
extern void FeathubMysqlPositionValue(MysqlPositionValue *value, MysqlOrderKind kind,
									  const char *data, Size len);
/* Can a column of the kind have the value? */
extern bool FeathubMysqlPositionFits(const MysqlPositionValue *value, MysqlOrderKind kind);
/* By their values alone. */
extern int	FeathubMysqlComparePositionValues(const MysqlPosition *x, const MysqlPosition *y);
/* As a literal of the server's SQL. */
extern void FeathubMysqlPositionLiteral(StringInfo out, const MysqlPositionValue *value,
										MysqlOrderKind kind);

#endif							/* FEATHUB_CONNECTORS_MYSQL_MYSQL_STREAM_H */
