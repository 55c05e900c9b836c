/*
 * mysql_deparse.h
 *		Expressions and statements in the server's SQL, with places for values.
 *
 * While a statement is planned its text grows in MysqlDeparse.sql; values known
 * only when it runs are holes in it.  A MysqlTemplate is the same thing as it
 * stands in a plan: lists that can be copied.
 */
#ifndef FEATHUB_CONNECTORS_MYSQL_MYSQL_DEPARSE_H
#define FEATHUB_CONNECTORS_MYSQL_MYSQL_DEPARSE_H

#include "lib/stringinfo.h"

#include "connectors/mysql/mysql_connector.h"

/* How a value is written. */
typedef enum MysqlHoleKind
{
	MYSQL_HOLE_VALUE,			/* a literal of its type */
	MYSQL_HOLE_BYTES,			/* text as a binary string of UTF-8 */
	MYSQL_HOLE_TRIMMED,			/* the same, without blanks at the end */
	MYSQL_HOLE_LIMIT,			/* of LIMIT: null is none */
	MYSQL_HOLE_OFFSET,
	MYSQL_HOLE_LIST,			/* (a, b, ...) of an array */
	MYSQL_HOLE_LIST_BYTES,
	MYSQL_HOLE_LIST_TRIMMED
} MysqlHoleKind;

typedef struct MysqlDeparse
{
	PlannerInfo *root;
	Relids		relids;			/* relations that the server has */
	FeathubRelation *rel;		/* of varno, if there is just one */
	Index		varno;
	bool		qualify;		/* columns are written r1.`a` */
	int			strict;			/* > 0: a superset of the rows will not do */
	bool		lossy;			/* set: the condition lets too many rows pass */
	StringInfoData sql;
	List	   *params;			/* expressions for the holes */
	List	   *holes;			/* of int: offset, kind, index into params */
} MysqlDeparse;

extern void FeathubMysqlDeparseInit(MysqlDeparse *context, PlannerInfo *root, Relids relids);

/*
 * Append an expression, as a condition or as a value; returns false, with
 * nothing appended, if the server would not give the same answer.
 */
extern bool FeathubMysqlDeparseCondition(MysqlDeparse *context, Expr *expr);
extern bool FeathubMysqlDeparseValue(MysqlDeparse *context, Expr *expr);

/* Text that FeathubMysqlDeparseCondition would compare, as bytes of UTF-8. */
extern bool FeathubMysqlDeparseBytes(MysqlDeparse *context, Expr *expr);
/* Can it be evaluated here, once for the statement? */
extern bool FeathubMysqlIsLocal(MysqlDeparse *context, Node *node);
/* A value that is known when the statement runs. */
extern void FeathubMysqlHole(MysqlDeparse *context, Node *node, MysqlHoleKind kind);
/* mysql_upper.c */
extern bool FeathubMysqlAggregate(MysqlDeparse *context, Aggref *agg);

/* Append a column; for output, as it has to be asked for. */
extern void FeathubMysqlDeparseColumn(MysqlDeparse *context, FeathubRelation *rel,
									  Index varno, AttrNumber attnum, bool output);
extern void FeathubMysqlDeparseTable(StringInfo sql, FeathubRelation *rel);
extern void FeathubMysqlOutputColumn(StringInfo sql, FeathubRelation *rel, AttrNumber attnum);

/* The relation behind a range table index of the query that is planned. */
extern FeathubRelation *FeathubMysqlPlannedRelation(MysqlDeparse *context, Index varno);

/* Whether the expression can stand in GROUP BY, ORDER BY (mysql_shippable.c). */
typedef enum MysqlClass
{
	MYSQL_CLASS_NONE,
	MYSQL_CLASS_INTEGER,
	MYSQL_CLASS_NUMERIC,
	MYSQL_CLASS_FLOAT,
	MYSQL_CLASS_BOOL,
	MYSQL_CLASS_TEXT,
	MYSQL_CLASS_BPCHAR,
	MYSQL_CLASS_ENUM,
	MYSQL_CLASS_BYTEA,
	MYSQL_CLASS_DATE,
	MYSQL_CLASS_TIMESTAMP,
	MYSQL_CLASS_TIMESTAMPTZ,
	MYSQL_CLASS_TIME
} MysqlClass;

extern MysqlClass FeathubMysqlTypeClass(Oid type);
/* The name of an operator of pg_catalog, else NULL. */
extern const char *FeathubMysqlOperatorName(Oid opno);
/* May the comparison "name" of the two classes be left to the server? */
extern bool FeathubMysqlComparable(const char *name, MysqlClass left, MysqlClass right,
								   Oid collation);
extern bool FeathubMysqlSameText(Oid collation);

/* Templates. */
typedef struct MysqlTemplate MysqlTemplate;

extern List *FeathubMysqlTemplateMake(MysqlDeparse *context);
extern MysqlTemplate *FeathubMysqlTemplateRead(List *template);
extern void FeathubMysqlTemplateFill(MysqlTemplate *template, StringInfo out,
									 Datum *values, bool *isnull);
/* For EXPLAIN: constants in their holes, $1 and so on in the others. */
extern void FeathubMysqlTemplateShow(MysqlTemplate *template, List *params, StringInfo out);

#endif							/* FEATHUB_CONNECTORS_MYSQL_MYSQL_DEPARSE_H */
