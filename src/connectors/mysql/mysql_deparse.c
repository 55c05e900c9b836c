/*
 * mysql_deparse.c
 *		Expressions in the server's SQL.
 *
 * Text is equal if its bytes are: columns are compared as binary strings of
 * UTF-8, which neither folds case nor pads.  Since such a comparison can use no
 * index, the plain comparison in the column's own collation stands beside it:
 * strings with the same bytes are equal in every collation, so it takes nothing
 * away.
 *
 * Whatever has no column of the server in it (parameters, columns of other
 * relations, now()) is evaluated here and written into a hole.
 */
#include "postgres.h"

#include "catalog/pg_collation.h"
#include "catalog/pg_type.h"
#include "mb/pg_wchar.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/clauses.h"
#include "optimizer/optimizer.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "connectors/mysql/mysql_deparse.h"

/* What deparsing has appended so far, to go back to. */
typedef struct Mark
{
	int			len;
	int			nparams;
	int			nholes;
	bool		lossy;
} Mark;

static Mark make_mark(MysqlDeparse *context);
static bool go_back(MysqlDeparse *context, Mark mark);
static bool condition(MysqlDeparse *context, Node *node);
static bool value(MysqlDeparse *context, Node *node);
static bool bytes(MysqlDeparse *context, Node *node);
static bool bool_expr(MysqlDeparse *context, BoolExpr *expr);
static bool null_test(MysqlDeparse *context, NullTest *test);
static bool boolean_test(MysqlDeparse *context, BooleanTest *test);
static bool comparison(MysqlDeparse *context, OpExpr *expr);
static bool distinct(MysqlDeparse *context, OpExpr *expr);
static bool array_comparison(MysqlDeparse *context, ScalarArrayOpExpr *expr);
static bool like(MysqlDeparse *context, OpExpr *expr, bool not);
static bool arithmetic(MysqlDeparse *context, OpExpr *expr);
static bool function(MysqlDeparse *context, FuncExpr *expr);
static bool cast(MysqlDeparse *context, FuncExpr *expr);
static bool case_expr(MysqlDeparse *context, CaseExpr *expr);
static bool coalesce(MysqlDeparse *context, CoalesceExpr *expr);
static void constant_bytes(MysqlDeparse *context, Const *constant, bool trim);
static bool column(MysqlDeparse *context, Var *var);
static bool is_column(MysqlDeparse *context, Node *node);
static bool is_text(MysqlClass class);
static void append(MysqlDeparse *context, const char *text);

void
FeathubMysqlDeparseInit(MysqlDeparse *context, PlannerInfo *root, Relids relids)
{
	memset(context, 0, sizeof(MysqlDeparse));
	context->root = root;
	context->relids = relids;
	initStringInfo(&context->sql);
}

bool
FeathubMysqlDeparseCondition(MysqlDeparse *context, Expr *expr)
{
	Mark		mark = make_mark(context);

	context->lossy = false;
	return condition(context, (Node *) expr) || go_back(context, mark);
}

bool
FeathubMysqlDeparseValue(MysqlDeparse *context, Expr *expr)
{
	Mark		mark = make_mark(context);

	context->lossy = false;
	return value(context, (Node *) expr) || go_back(context, mark);
}

bool
FeathubMysqlDeparseBytes(MysqlDeparse *context, Expr *expr)
{
	Mark		mark = make_mark(context);

	return bytes(context, (Node *) expr) || go_back(context, mark);
}

FeathubRelation *
FeathubMysqlPlannedRelation(MysqlDeparse *context, Index varno)
{
	RelOptInfo *rel;

	if (context->rel && context->varno == varno)
		return context->rel;
	rel = find_base_rel(context->root, varno);
	return ((FeathubPlanRel *) rel->fdw_private)->rel;
}

void
FeathubMysqlDeparseTable(StringInfo sql, FeathubRelation *rel)
{
	MysqlOptions *options = rel->options;

	FeathubMysqlQuoteName(sql, options->database);
	appendStringInfoChar(sql, '.');
	FeathubMysqlQuoteName(sql, options->table_name);
}

void
FeathubMysqlDeparseColumn(MysqlDeparse *context, FeathubRelation *rel, Index varno,
						  AttrNumber attnum, bool output)
{
	StringInfo	sql = &context->sql;
	Oid			type = getBaseType(TupleDescAttr(rel->tupdesc, attnum - 1)->atttypid);
	bool		wkt = FeathubMysqlColumnFlag(rel, attnum, "wkt");

	if (output && wkt)
		appendStringInfoString(sql, "ST_AsText(");
	if (context->qualify)
		appendStringInfo(sql, "r%u.", varno);
	FeathubMysqlQuoteName(sql, FeathubMysqlColumnName(rel, attnum));
	if (output && wkt)
		appendStringInfoChar(sql, ')');

	/* FLOAT is sent with six digits, DOUBLE with all */
	if (output && (type == FLOAT4OID || type == FLOAT8OID))
		appendStringInfoString(sql, " + 0e0");
}

void
FeathubMysqlOutputColumn(StringInfo sql, FeathubRelation *rel, AttrNumber attnum)
{
	MysqlDeparse context = {.sql = *sql};

	FeathubMysqlDeparseColumn(&context, rel, 0, attnum, true);
	*sql = context.sql;
}

static Mark
make_mark(MysqlDeparse *context)
{
	Mark		mark = {context->sql.len, list_length(context->params),
	list_length(context->holes), context->lossy};

	return mark;
}

static bool
go_back(MysqlDeparse *context, Mark mark)
{
	context->sql.len = mark.len;
	context->sql.data[mark.len] = '\0';
	context->params = list_truncate(context->params, mark.nparams);
	context->holes = list_truncate(context->holes, mark.nholes);
	context->lossy = mark.lossy;
	return false;
}

static void
append(MysqlDeparse *context, const char *text)
{
	appendStringInfoString(&context->sql, text);
}

/* Something that is true, false or null. */
static bool
condition(MysqlDeparse *context, Node *node)
{
	check_stack_depth();
	if (FeathubMysqlIsLocal(context, node))
		return value(context, node);
	switch (nodeTag(node))
	{
		case T_Var:
			append(context, "(");
			if (!column(context, (Var *) node))
				return false;
			append(context, " <> 0)");
			return true;
		case T_BoolExpr:
			return bool_expr(context, (BoolExpr *) node);
		case T_NullTest:
			return null_test(context, (NullTest *) node);
		case T_BooleanTest:
			return boolean_test(context, (BooleanTest *) node);
		case T_OpExpr:
			return comparison(context, (OpExpr *) node);
		case T_DistinctExpr:
			return distinct(context, (OpExpr *) node);
		case T_ScalarArrayOpExpr:
			return array_comparison(context, (ScalarArrayOpExpr *) node);
		case T_CaseExpr:
			return case_expr(context, (CaseExpr *) node);
		default:
			return false;
	}
}

/* A value of one of the classes; text only as itself, not to be compared. */
static bool
value(MysqlDeparse *context, Node *node)
{
	MysqlClass	class = FeathubMysqlTypeClass(exprType(node));

	check_stack_depth();
	if (class == MYSQL_CLASS_NONE)
		return false;
	if (IsA(node, Const))
	{
		Const	   *constant = (Const *) node;

		if (constant->constisnull)
			append(context, "NULL");
		else if (!FeathubMysqlConstWritable(constant))
			return false;
		else if (is_text(class))
			FeathubMysqlHole(context, node, MYSQL_HOLE_VALUE);	/* may be written in two ways */
		else
			FeathubMysqlWriteLiteral(FeathubMysqlWriterMake(constant->consttype),
									 &context->sql, constant->constvalue);
		return true;
	}
	if (FeathubMysqlIsLocal(context, node))
	{
		FeathubMysqlHole(context, node, MYSQL_HOLE_VALUE);
		return true;
	}
	if (class == MYSQL_CLASS_BOOL)
		return condition(context, node);
	switch (nodeTag(node))
	{
		case T_Var:
			return column(context, (Var *) node);
		case T_RelabelType:
			if (FeathubMysqlTypeClass(exprType((Node *) ((RelabelType *) node)->arg)) != class)
				return false;
			return value(context, (Node *) ((RelabelType *) node)->arg);
		case T_OpExpr:
			return arithmetic(context, (OpExpr *) node);
		case T_FuncExpr:
			return function(context, (FuncExpr *) node);
		case T_CaseExpr:
			return case_expr(context, (CaseExpr *) node);
		case T_CoalesceExpr:
			return coalesce(context, (CoalesceExpr *) node);
		case T_Aggref:
			return FeathubMysqlAggregate(context, (Aggref *) node);
		default:
			return false;
	}
}

/* Text, an enum's label or bytes as a binary string of UTF-8. */
static bool
bytes(MysqlDeparse *context, Node *node)
{
	MysqlClass	class = FeathubMysqlTypeClass(exprType(node));

	while (IsA(node, RelabelType) &&
		   FeathubMysqlTypeClass(exprType((Node *) ((RelabelType *) node)->arg)) == class)
		node = (Node *) ((RelabelType *) node)->arg;

	if (class == MYSQL_CLASS_BYTEA)
		return value(context, node);
	if (IsA(node, Const) && ((Const *) node)->constisnull)
	{
		append(context, "NULL");
		return true;
	}
	if (IsA(node, Const))
	{
		constant_bytes(context, (Const *) node, class == MYSQL_CLASS_BPCHAR);
		return true;
	}
	if (FeathubMysqlIsLocal(context, node))
	{
		FeathubMysqlHole(context, node, class == MYSQL_CLASS_BPCHAR ? MYSQL_HOLE_TRIMMED : MYSQL_HOLE_BYTES);
		return true;
	}
	if (!IsA(node, Var))
		return false;
	append(context, class == MYSQL_CLASS_BPCHAR ?
		   "CAST(TRIM(TRAILING ' ' FROM CONVERT(" : "CAST(CONVERT(");
	if (!column(context, (Var *) node))
		return false;
	append(context, class == MYSQL_CLASS_BPCHAR ? " USING utf8mb4)) AS BINARY)" :
		   " USING utf8mb4) AS BINARY)");
	return true;
}

static void
constant_bytes(MysqlDeparse *context, Const *constant, bool trim)
{
	Oid			output;
	bool		varlena;
	char	   *text;
	Size		len;

	getTypeOutputInfo(constant->consttype, &output, &varlena);
	text = OidOutputFunctionCall(output, constant->constvalue);
	text = pg_server_to_any(text, strlen(text), PG_UTF8);
	for (len = strlen(text); trim && len > 0 && text[len - 1] == ' '; len--)
		;
	append(context, "_binary");
	FeathubMysqlQuoteString(&context->sql, text, len);
}

static bool
column(MysqlDeparse *context, Var *var)
{
	FeathubRelation *rel;
	MysqlOptions *options;
	MysqlClass	class;

	if (!is_column(context, (Node *) var))
		return false;
	rel = FeathubMysqlPlannedRelation(context, var->varno);
	options = rel->options;

	/* generated here, the server need not have it; geometry compares otherwise */
	if (var->varattno < 1 ||
		TupleDescAttr(rel->tupdesc, var->varattno - 1)->attgenerated ||
		FeathubMysqlColumnFlag(rel, var->varattno, "wkt"))
		return false;

	class = FeathubMysqlTypeClass(var->vartype);
	if (options->zero_dates == MYSQL_ZERO_DATES_NULL &&
		(class == MYSQL_CLASS_DATE || class == MYSQL_CLASS_TIMESTAMP ||
		 class == MYSQL_CLASS_TIMESTAMPTZ))
	{
		/* there a zero date is a value: rows with one may pass that do not here */
		if (context->strict > 0)
			return false;
		context->lossy = true;
	}
	FeathubMysqlDeparseColumn(context, rel, var->varno, var->varattno, false);
	return true;
}

static bool
is_column(MysqlDeparse *context, Node *node)
{
	return IsA(node, Var) && ((Var *) node)->varlevelsup == 0 &&
		bms_is_member(((Var *) node)->varno, context->relids);
}

bool
FeathubMysqlIsLocal(MysqlDeparse *context, Node *node)
{
	if (IsA(node, Param))
		return true;
	if (IsA(node, Aggref))
		return false;
	return !bms_overlap(pull_varnos(context->root, node), context->relids) &&
		!contain_volatile_functions(node) && !contain_subplans(node) &&
		!contain_agg_clause(node) && !contain_window_function(node);
}

void
FeathubMysqlHole(MysqlDeparse *context, Node *node, MysqlHoleKind kind)
{
	context->params = lappend(context->params, node);
	context->holes = lappend_int(context->holes, context->sql.len);
	context->holes = lappend_int(context->holes, kind);
	context->holes = lappend_int(context->holes, list_length(context->params) - 1);
}

static bool
is_text(MysqlClass class)
{
	return class == MYSQL_CLASS_TEXT || class == MYSQL_CLASS_BPCHAR || class == MYSQL_CLASS_ENUM;
}

static bool
bool_expr(MysqlDeparse *context, BoolExpr *expr)
{
	ListCell   *lc;

	append(context, "(");
	if (expr->boolop == NOT_EXPR)
	{
		bool		done;

		append(context, "NOT ");
		context->strict++;
		done = condition(context, linitial(expr->args));
		context->strict--;
		if (!done)
			return false;
	}
	else
	{
		foreach(lc, expr->args)
		{
			if (foreach_current_index(lc) > 0)
				append(context, expr->boolop == AND_EXPR ? " AND " : " OR ");
			if (!condition(context, lfirst(lc)))
				return false;
		}
	}
	append(context, ")");
	return true;
}

static bool
null_test(MysqlDeparse *context, NullTest *test)
{
	bool		done;

	if (test->argisrow)
		return false;
	append(context, "(");
	context->strict += test->nulltesttype == IS_NULL;
	if (is_column(context, (Node *) test->arg))
		done = column(context, (Var *) test->arg);
	else
		done = value(context, (Node *) test->arg);
	context->strict -= test->nulltesttype == IS_NULL;
	if (!done)
		return false;
	append(context, test->nulltesttype == IS_NULL ? " IS NULL)" : " IS NOT NULL)");
	return true;
}

static bool
boolean_test(MysqlDeparse *context, BooleanTest *test)
{
	static const char *const texts[] = {
		[IS_TRUE] = " IS TRUE)",[IS_NOT_TRUE] = " IS NOT TRUE)",
		[IS_FALSE] = " IS FALSE)",[IS_NOT_FALSE] = " IS NOT FALSE)",
		[IS_UNKNOWN] = " IS UNKNOWN)",[IS_NOT_UNKNOWN] = " IS NOT UNKNOWN)"
	};
	bool		done;

	append(context, "(");
	context->strict++;
	done = condition(context, (Node *) test->arg);
	context->strict--;
	if (!done)
		return false;
	append(context, texts[test->booltesttype]);
	return true;
}

static bool
comparison(MysqlDeparse *context, OpExpr *expr)
{
	const char *name = FeathubMysqlOperatorName(expr->opno);
	Node	   *left;
	Node	   *right;
	MysqlClass	left_class;
	MysqlClass	right_class;

	if (name == NULL || list_length(expr->args) != 2)
		return false;
	left = linitial(expr->args);
	right = lsecond(expr->args);
	left_class = FeathubMysqlTypeClass(exprType(left));
	right_class = FeathubMysqlTypeClass(exprType(right));
	if (strcmp(name, "~~") == 0 || strcmp(name, "!~~") == 0)
		return like(context, expr, name[0] == '!');
	if (!FeathubMysqlComparable(name, left_class, right_class, expr->inputcollid))
		return false;

	append(context, "(");
	if (is_text(left_class))
	{
		bool		two_columns = !FeathubMysqlIsLocal(context, left) && !FeathubMysqlIsLocal(context, right);

		/* a join without an index; and two collations may not go together */
		if (two_columns && left_class != MYSQL_CLASS_ENUM &&
			bms_membership(pull_varnos(context->root, (Node *) expr)) == BMS_MULTIPLE)
			return false;
		if (!two_columns && strcmp(name, "=") == 0)
		{
			/* so that the server can use an index */
			if (!value(context, left))
				return false;
			append(context, " = ");
			if (!value(context, right))
				return false;
			append(context, " AND ");
		}
		if (!bytes(context, left))
			return false;
		appendStringInfo(&context->sql, " %s ", name);
		if (!bytes(context, right))
			return false;
	}
	else
	{
		if (!value(context, left))
			return false;
		appendStringInfo(&context->sql, " %s ", name);
		if (!value(context, right))
			return false;
	}
	append(context, ")");
	return true;
}

static bool
distinct(MysqlDeparse *context, OpExpr *expr)
{
	const char *name = FeathubMysqlOperatorName(expr->opno);
	Node	   *left = linitial(expr->args);
	Node	   *right = lsecond(expr->args);
	MysqlClass	class = FeathubMysqlTypeClass(exprType(left));
	bool		done;

	if (name == NULL ||
		!FeathubMysqlComparable("=", class, FeathubMysqlTypeClass(exprType(right)),
								expr->inputcollid))
		return false;
	append(context, "(NOT ");
	context->strict++;
	done = is_text(class) ? bytes(context, left) : value(context, left);
	if (done)
	{
		append(context, " <=> ");
		done = is_text(class) ? bytes(context, right) : value(context, right);
	}
	context->strict--;
	append(context, ")");
	return done;
}

/* x = ANY (array), x <> ALL (array) */
static bool
array_comparison(MysqlDeparse *context, ScalarArrayOpExpr *expr)
{
	const char *name = FeathubMysqlOperatorName(expr->opno);
	Node	   *left = linitial(expr->args);
	Node	   *right = lsecond(expr->args);
	Oid			element = get_base_element_type(exprType(right));
	MysqlClass	class = FeathubMysqlTypeClass(exprType(left));
	bool		done;

	if (name == NULL || !OidIsValid(element) || !FeathubMysqlIsLocal(context, right) ||
		strcmp(name, expr->useOr ? "=" : "<>") != 0 ||
		!FeathubMysqlComparable("=", class, FeathubMysqlTypeClass(element), expr->inputcollid))
		return false;

	/* what cannot be written is known now of a constant, and would fail later */
	if (IsA(right, Const) && !((Const *) right)->constisnull && !is_text(class))
	{
		ArrayType  *array = DatumGetArrayTypeP(((Const *) right)->constvalue);
		ArrayIterator iterator = array_create_iterator(array, 0, NULL);
		Datum		datum;
		bool		isnull;

		while (array_iterate(iterator, &datum, &isnull))
		{
			Const	   *constant = makeNode(Const);

			constant->consttype = element;
			constant->constvalue = datum;
			constant->constisnull = isnull;
			if (!FeathubMysqlConstWritable(constant))
				return false;
		}
	}

	append(context, expr->useOr ? "(" : "(NOT (");
	context->strict += !expr->useOr;
	done = value(context, left);
	append(context, " IN ");
	FeathubMysqlHole(context, right, MYSQL_HOLE_LIST);
	if (is_text(class))
	{
		append(context, " AND ");
		done = done && bytes(context, left);
		append(context, " IN ");
		FeathubMysqlHole(context, right, class == MYSQL_CLASS_BPCHAR ?
						 MYSQL_HOLE_LIST_TRIMMED : MYSQL_HOLE_LIST_BYTES);
	}
	context->strict -= !expr->useOr;
	append(context, expr->useOr ? ")" : "))");
	return done;
}

/*
 * LIKE with a constant pattern: both sides take % and _ for characters and
 * backslash for the escape.  A pattern that ends in it is an error here only,
 * and in a database of encoding SQL_ASCII our characters are bytes.
 */
static bool
like(MysqlDeparse *context, OpExpr *expr, bool not)
{
	Node	   *left = linitial(expr->args);
	Const	   *pattern = lsecond(expr->args);
	char	   *pattern_text;
	char	   *utf8;
	int			backslashes = 0;

	if (!IsA(pattern, Const) || pattern->constisnull || pattern->consttype != TEXTOID ||
		FeathubMysqlTypeClass(exprType(left)) != MYSQL_CLASS_TEXT ||
		GetDatabaseEncoding() == PG_SQL_ASCII || !FeathubMysqlSameText(expr->inputcollid))
		return false;
	while (IsA(left, RelabelType))
		left = (Node *) ((RelabelType *) left)->arg;
	if (!is_column(context, left))
		return false;
	pattern_text = TextDatumGetCString(pattern->constvalue);
	for (char *p = pattern_text + strlen(pattern_text); p > pattern_text && p[-1] == '\\'; p--)
		backslashes++;
	if (backslashes % 2 != 0)
		return false;

	append(context, "(CONVERT(");
	if (!column(context, (Var *) left))
		return false;
	append(context, " USING utf8mb4) COLLATE utf8mb4_bin");
	append(context, not ? " NOT LIKE " : " LIKE ");
	utf8 = pg_server_to_any(pattern_text, strlen(pattern_text), PG_UTF8);
	FeathubMysqlQuoteString(&context->sql, utf8, strlen(utf8));
	append(context, ")");
	return true;
}

/* Operators whose results, and whose errors, are the server's too. */
static bool
arithmetic(MysqlDeparse *context, OpExpr *expr)
{
	const char *name = FeathubMysqlOperatorName(expr->opno);
	Oid			type = expr->opresulttype;
	const char *sign;

	if (name == NULL || name[1] != '\0' || list_length(expr->args) != 2)
		return false;
	switch (name[0])
	{
		case '+':
		case '-':
		case '*':
			/* int2 and int4 do not overflow there */
			if (type != INT8OID && type != FLOAT8OID)
				return false;
			sign = name;
			break;
		case '%':
		case '/':
			{
				Const	   *divisor = lsecond(expr->args);

				/* what is divided by zero is null there; -1 may overflow */
				if (FeathubMysqlTypeClass(type) != MYSQL_CLASS_INTEGER ||
					!IsA(divisor, Const) || divisor->constisnull ||
					(divisor->consttype == INT8OID ? DatumGetInt64(divisor->constvalue) :
					 divisor->consttype == INT4OID ? DatumGetInt32(divisor->constvalue) :
					 DatumGetInt16(divisor->constvalue)) <= 0)
					return false;
				sign = name[0] == '/' ? "DIV" : "%";
				break;
			}
		default:
			return false;
	}
	append(context, "(");
	if (!value(context, linitial(expr->args)))
		return false;
	appendStringInfo(&context->sql, " %s ", sign);
	if (!value(context, lsecond(expr->args)))
		return false;
	append(context, ")");
	return true;
}

static bool
function(MysqlDeparse *context, FuncExpr *expr)
{
	Node	   *arg;
	char	   *name;

	if (expr->funcid >= FirstGenbkiObjectId || expr->args == NIL)
		return false;
	if (cast(context, expr))
		return true;
	arg = linitial(expr->args);
	name = get_func_name(expr->funcid);
	if (list_length(expr->args) == 1 &&
		(strcmp(name, "length") == 0 || strcmp(name, "char_length") == 0) &&
		FeathubMysqlTypeClass(exprType(arg)) == MYSQL_CLASS_TEXT && GetDatabaseEncoding() != PG_SQL_ASCII)
	{
		append(context, "CHAR_LENGTH(");
		if (!value(context, arg))
			return false;
		append(context, ")");
		return true;
	}
	if (list_length(expr->args) == 2 && strcmp(name, "extract") == 0 && IsA(arg, Const) &&
		!((Const *) arg)->constisnull)
	{
		static const char *const fields[] = {"year", "month", "day", "hour", "minute", NULL};
		MysqlClass	class = FeathubMysqlTypeClass(exprType(lsecond(expr->args)));
		char	   *field = TextDatumGetCString(((Const *) arg)->constvalue);

		/* seconds have a fraction here; of a date there are no hours */
		for (int i = 0; fields[i]; i++)
		{
			if (strcmp(field, fields[i]) != 0 ||
				!(class == MYSQL_CLASS_TIMESTAMP || (class == MYSQL_CLASS_DATE && i < 3)))
				continue;
			appendStringInfo(&context->sql, "EXTRACT(%s FROM ", field);
			if (!value(context, lsecond(expr->args)))
				return false;
			append(context, ")");
			return true;
		}
	}
	return false;
}

/* Casts that change no value. */
static bool
cast(MysqlDeparse *context, FuncExpr *expr)
{
	Node	   *arg = linitial(expr->args);
	Oid			from = getBaseType(exprType(arg));
	Oid			to = expr->funcresulttype;
	Mark		mark = make_mark(context);

	if (list_length(expr->args) != 1 ||
		(expr->funcformat != COERCE_IMPLICIT_CAST && expr->funcformat != COERCE_EXPLICIT_CAST))
		return false;
	if ((from == INT2OID && (to == INT4OID || to == INT8OID)) ||
		(from == INT4OID && to == INT8OID) ||
		(from == FLOAT4OID && to == FLOAT8OID))
		return value(context, arg) || go_back(context, mark);
	/* a sum, because a bare integer column rounds what it is compared with */
	if (FeathubMysqlTypeClass(from) == MYSQL_CLASS_INTEGER &&
		(to == FLOAT8OID || to == NUMERICOID))
	{
		append(context, "(");
		if (!value(context, arg))
			return go_back(context, mark);
		append(context, to == FLOAT8OID ? " + 0e0)" : " + 0)");
		return true;
	}
	return false;
}

static bool
case_expr(MysqlDeparse *context, CaseExpr *expr)
{
	MysqlClass	class = FeathubMysqlTypeClass(expr->casetype);
	ListCell   *lc;
	bool		done = true;

	if (expr->arg || is_text(class) || class == MYSQL_CLASS_NONE)
		return false;
	append(context, "(CASE");
	context->strict++;
	foreach(lc, expr->args)
	{
		CaseWhen   *when = lfirst(lc);

		append(context, " WHEN ");
		done = done && condition(context, (Node *) when->expr);
		append(context, " THEN ");
		done = done && value(context, (Node *) when->result);
	}
	append(context, " ELSE ");
	if (expr->defresult)
		done = done && value(context, (Node *) expr->defresult);
	else
		append(context, "NULL");
	context->strict--;
	append(context, " END)");
	return done;
}

static bool
coalesce(MysqlDeparse *context, CoalesceExpr *expr)
{
	MysqlClass	class = FeathubMysqlTypeClass(expr->coalescetype);
	ListCell   *lc;
	bool		done = true;

	if (is_text(class))
		return false;
	append(context, "COALESCE(");
	context->strict++;
	foreach(lc, expr->args)
	{
		if (foreach_current_index(lc) > 0)
			append(context, ", ");
		done = done && value(context, lfirst(lc));
	}
	context->strict--;
	append(context, ")");
	return done;
}
