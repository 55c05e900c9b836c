/*
 * parse_fragment.h
 *		Parts of queries that users give: select lists, conditions, whole queries.
 *
 * They are parsed as what they are said to be and put together as trees, so
 * that none can be more than that.
 */
#ifndef FEATHUB_FEATURES_PARSE_FRAGMENT_H
#define FEATHUB_FEATURES_PARSE_FRAGMENT_H

#include "nodes/parsenodes.h"

/* The select list (of ResTarget) that the text is; argument names it in errors. */
extern List *FeathubParseSelectList(const char *text, const char *argument);

/* The one expression that the text is. */
extern Node *FeathubParseExpression(const char *text, const char *argument);

/* The one SELECT that the text is, without INTO or locks. */
extern SelectStmt *FeathubParseSelect(const char *text, const char *argument);

/*
 * FeathubAnalyzeFragments
 *		Analyse a SELECT made of such parts, as the current user.
 *
 * Positions of errors are left out, because they belong to different texts.
 */
extern Query *FeathubAnalyzeFragments(SelectStmt *stmt, Oid *types, int ntypes);

/*
 * Settings under which values become the same text in every session (but for
 * TimeZone); to be ended by AtEOXact_GUC(false, result).
 */
extern int	FeathubTextBegin(void);

/*
 * The same, and settings under which the server's deparser writes names in full, and
 * constants so that they are read back as they are; to be ended by
 * AtEOXact_GUC(false, result).
 */
extern int	FeathubDeparseBegin(void);

/* Raw nodes */

extern Node *FeathubMakeColumnRef(const char *relation, const char *column);

/* left OPERATOR(name) right; name is a list of String */
extern Node *FeathubMakeOperator(List *name, Node *left, Node *right);

/* The same with an operator of pg_catalog. */
extern Node *FeathubMakeServerOperator(const char *name, Node *left, Node *right);

/* A literal of unknown type. */
extern Node *FeathubMakeLiteral(const char *text);

/* A relation by its OID, AS alias. */
extern RangeVar *FeathubMakeRangeVar(Oid relid, const char *alias);

#endif							/* FEATHUB_FEATURES_PARSE_FRAGMENT_H */
