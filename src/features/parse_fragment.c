/*
 * parse_fragment.c
 *		Parts of queries that users give: select lists, conditions, whole queries.
 */
#include "postgres.h"

#include "nodes/makefuncs.h"
#include "parser/analyze.h"
#include "tcop/tcopprot.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/snapmgr.h"

#include "core/compat.h"
#include "features/parse_fragment.h"

static SelectStmt *parse_select(const char *text, const char *argument);
static SelectStmt *parse_list(const char *text, const char *argument);
static void argument_error_context(void *arg);
static void fragment_error_context(void *arg);

List *
FeathubParseSelectList(const char *text, const char *argument)
{
	return parse_list(text, argument)->targetList;
}

Node *
FeathubParseExpression(const char *text, const char *argument)
{
	List	   *targets = parse_list(text, argument)->targetList;
	ResTarget  *target = linitial_node(ResTarget, targets);

	if (list_length(targets) != 1 || target->name != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_SYNTAX_ERROR),
				 errmsg("argument \"%s\" must be one expression", argument)));
	return target->val;
}

SelectStmt *
FeathubParseSelect(const char *text, const char *argument)
{
	SelectStmt *select = parse_select(text, argument);

	if (select == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("argument \"%s\" must be one SELECT", argument)));
	return select;
}

/* The one SELECT that the text is, or NULL. */
static SelectStmt *
parse_select(const char *text, const char *argument)
{
	ErrorContextCallback context = {.callback = argument_error_context, .arg = unconstify(char *, argument)};
	List	   *statements;
	SelectStmt *select;

	context.previous = error_context_stack;
	error_context_stack = &context;
	statements = pg_parse_query(text);
	error_context_stack = context.previous;

	select = list_length(statements) == 1 ? (SelectStmt *) linitial_node(RawStmt, statements)->stmt : NULL;
	if (select == NULL || !IsA(select, SelectStmt) || select->intoClause != NULL ||
		select->lockingClause != NIL)
		return NULL;
	return select;
}

/* SELECT text, without any clause that the text might have added. */
static SelectStmt *
parse_list(const char *text, const char *argument)
{
	/* the line end ends a comment, lest it swallow nothing of ours */
	SelectStmt *select = parse_select(psprintf("SELECT %s\n", text), argument);

	if (select == NULL || select->targetList == NIL || select->distinctClause != NIL || select->fromClause != NIL ||
		select->whereClause != NULL || select->groupClause != NIL || select->havingClause != NULL ||
		select->windowClause != NIL || select->valuesLists != NIL || select->sortClause != NIL ||
		select->limitCount != NULL || select->limitOffset != NULL || select->withClause != NULL ||
		select->op != SETOP_NONE)
		ereport(ERROR,
				(errcode(ERRCODE_SYNTAX_ERROR),
				 errmsg("argument \"%s\" must be expressions only", argument)));
	return select;
}

Query *
FeathubAnalyzeFragments(SelectStmt *stmt, Oid *types, int ntypes)
{
	ErrorContextCallback context = {.callback = fragment_error_context};
	RawStmt    *raw = makeNode(RawStmt);
	Query	   *query;

	raw->stmt = (Node *) stmt;
	context.previous = error_context_stack;
	error_context_stack = &context;
	PushActiveSnapshot(GetTransactionSnapshot());
	query = parse_analyze_fixedparams(raw, "", types, ntypes, NULL);
	PopActiveSnapshot();
	error_context_stack = context.previous;
	return query;
}

static void
argument_error_context(void *arg)
{
	errposition(0);
	errcontext("argument \"%s\"", (const char *) arg);
}

static void
fragment_error_context(void *arg)
{
	errposition(0);
}

int
FeathubTextBegin(void)
{
	static const char *const settings[][2] = {
		{"DateStyle", "ISO"},
		{"IntervalStyle", "postgres"},
		{"extra_float_digits", "3"},
		{"bytea_output", "hex"},
	};
	int			nestlevel = NewGUCNestLevel();

	for (int i = 0; i < lengthof(settings); i++)
		(void) set_config_option(settings[i][0], settings[i][1], PGC_USERSET, PGC_S_SESSION,
								 GUC_ACTION_SAVE, true, 0, false);
	return nestlevel;
}

int
FeathubDeparseBegin(void)
{
	int			nestlevel = FeathubTextBegin();

	(void) set_config_option("search_path", "pg_catalog", PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
	return nestlevel;
}

Node *
FeathubMakeColumnRef(const char *relation, const char *column)
{
	ColumnRef  *ref = makeNode(ColumnRef);

	ref->fields = list_make1(makeString(pstrdup(column)));
	if (relation != NULL)
		ref->fields = lcons(makeString(pstrdup(relation)), ref->fields);
	ref->location = -1;
	return (Node *) ref;
}

Node *
FeathubMakeOperator(List *name, Node *left, Node *right)
{
	return (Node *) makeA_Expr(AEXPR_OP, name, left, right, -1);
}

Node *
FeathubMakeServerOperator(const char *name, Node *left, Node *right)
{
	return FeathubMakeOperator(list_make2(makeString("pg_catalog"), makeString(pstrdup(name))),
							   left, right);
}

Node *
FeathubMakeLiteral(const char *text)
{
	A_Const    *constant = makeNode(A_Const);

	constant->val.sval.type = T_String;
	constant->val.sval.sval = pstrdup(text);
	constant->location = -1;
	return (Node *) constant;
}

RangeVar *
FeathubMakeRangeVar(Oid relid, const char *alias)
{
	RangeVar   *range = makeRangeVar(get_namespace_name(get_rel_namespace(relid)), get_rel_name(relid), -1);

	range->alias = makeAlias(alias, NIL);
	return range;
}
