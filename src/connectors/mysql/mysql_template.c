/*
 * mysql_template.c
 *		Statements with holes, as they stand in plans.
 *
 * A template is a list of lists: the pieces of text (one more than holes), the
 * kinds of the holes, the parameters they take, and the parameters' types.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "mb/pg_wchar.h"
#include "nodes/nodeFuncs.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "connectors/mysql/mysql_deparse.h"

typedef struct Hole
{
	MysqlHoleKind kind;
	int			param;
	Oid			type;			/* of the parameter, without domains */
	MysqlWriter *writer;		/* of the value, or of the array's elements */
	FmgrInfo	output;			/* of those, for bytes */
	Oid			element;
	int16		elmlen;
	bool		elmbyval;
	char		elmalign;
} Hole;

struct MysqlTemplate
{
	int			nholes;
	Hole	   *holes;
	char	  **pieces;
};

static void fill(Hole *hole, StringInfo out, Datum value);
static void write_limit(Hole *hole, StringInfo out, Datum value, bool isnull);
static void write_bytes(Hole *hole, StringInfo out, Datum value, bool trim);

List *
FeathubMysqlTemplateMake(MysqlDeparse *context)
{
	List	   *pieces = NIL;
	List	   *kinds = NIL;
	List	   *params = NIL;
	List	   *types = NIL;
	int			offset = 0;
	ListCell   *lc;

	for (int i = 0; i < list_length(context->holes); i += 3)
	{
		int			next = list_nth_int(context->holes, i);

		pieces = lappend(pieces, makeString(pnstrdup(context->sql.data + offset, next - offset)));
		kinds = lappend_int(kinds, list_nth_int(context->holes, i + 1));
		params = lappend_int(params, list_nth_int(context->holes, i + 2));
		offset = next;
	}
	pieces = lappend(pieces, makeString(pstrdup(context->sql.data + offset)));
	foreach(lc, context->params)
		types = lappend_oid(types, exprType(lfirst(lc)));
	return list_make4(pieces, kinds, params, types);
}

MysqlTemplate *
FeathubMysqlTemplateRead(List *lists)
{
	MysqlTemplate *template = palloc0(sizeof(MysqlTemplate));
	List	   *pieces = linitial(lists);
	List	   *kinds = lsecond(lists);
	List	   *params = lthird(lists);
	List	   *types = lfourth(lists);
	ListCell   *lc;

	template->nholes = list_length(kinds);
	template->holes = palloc0(sizeof(Hole) * Max(template->nholes, 1));
	template->pieces = palloc(sizeof(char *) * (template->nholes + 1));
	foreach(lc, pieces)
		template->pieces[foreach_current_index(lc)] = strVal(lfirst(lc));
	for (int i = 0; i < template->nholes; i++)
	{
		Hole	   *hole = &template->holes[i];
		Oid			output;
		bool		varlena;
		Oid			type;

		hole->kind = list_nth_int(kinds, i);
		hole->param = list_nth_int(params, i);
		hole->type = type = getBaseType(list_nth_oid(types, hole->param));
		if (hole->kind >= MYSQL_HOLE_LIST)
		{
			hole->element = type = get_element_type(type);
			get_typlenbyvalalign(type, &hole->elmlen, &hole->elmbyval, &hole->elmalign);
		}
		hole->writer = FeathubMysqlWriterMake(type);
		getTypeOutputInfo(getBaseType(type), &output, &varlena);
		fmgr_info(output, &hole->output);
	}
	return template;
}

void
FeathubMysqlTemplateFill(MysqlTemplate *template, StringInfo out, Datum *values, bool *isnull)
{
	for (int i = 0; i < template->nholes; i++)
	{
		Hole	   *hole = &template->holes[i];

		appendStringInfoString(out, template->pieces[i]);
		if (hole->kind == MYSQL_HOLE_LIMIT || hole->kind == MYSQL_HOLE_OFFSET)
			write_limit(hole, out, values[hole->param], isnull[hole->param]);
		else if (!isnull[hole->param])
			fill(hole, out, values[hole->param]);
		else if (hole->kind >= MYSQL_HOLE_LIST)
			appendStringInfoString(out, "(NULL)");
		else
			appendStringInfoString(out, "NULL");
	}
	appendStringInfoString(out, template->pieces[template->nholes]);
}

void
FeathubMysqlTemplateShow(MysqlTemplate *template, List *params, StringInfo out)
{
	for (int i = 0; i < template->nholes; i++)
	{
		Hole	   *hole = &template->holes[i];
		Node	   *param = hole->param < list_length(params) ? list_nth(params, hole->param) : NULL;

		appendStringInfoString(out, template->pieces[i]);
		if (param && IsA(param, Const) && !((Const *) param)->constisnull &&
			hole->kind != MYSQL_HOLE_LIMIT && hole->kind != MYSQL_HOLE_OFFSET)
			fill(hole, out, ((Const *) param)->constvalue);
		else
			appendStringInfo(out, "$%d", hole->param + 1);
	}
	appendStringInfoString(out, template->pieces[template->nholes]);
}

static void
fill(Hole *hole, StringInfo out, Datum value)
{
	ArrayIterator iterator;
	Datum		element;
	bool		isnull;
	bool		first = true;

	switch (hole->kind)
	{
		case MYSQL_HOLE_VALUE:
			FeathubMysqlWriteLiteral(hole->writer, out, value);
			return;
		case MYSQL_HOLE_BYTES:
		case MYSQL_HOLE_TRIMMED:
			write_bytes(hole, out, value, hole->kind == MYSQL_HOLE_TRIMMED);
			return;
		default:
			break;
	}

	iterator = array_create_iterator(DatumGetArrayTypeP(value), 0, NULL);
	while (array_iterate(iterator, &element, &isnull))
	{
		appendStringInfoString(out, first ? "(" : ",");
		first = false;
		if (isnull)
			appendStringInfoString(out, "NULL");
		else if (hole->kind == MYSQL_HOLE_LIST)
			FeathubMysqlWriteLiteral(hole->writer, out, element);
		else
			write_bytes(hole, out, element, hole->kind == MYSQL_HOLE_LIST_TRIMMED);
	}
	array_free_iterator(iterator);

	/* a list cannot be empty, a subquery can */
	appendStringInfoString(out, first ? "(SELECT NULL FROM DUAL WHERE FALSE)" : ")");
}

/* The number of rows, with the errors that a limit has here. */
static void
write_limit(Hole *hole, StringInfo out, Datum value, bool isnull)
{
	bool		offset = hole->kind == MYSQL_HOLE_OFFSET;
	int64		number = isnull ? 0 : DatumGetInt64(value);

	if (number < 0)
		ereport(ERROR,
				(errcode(offset ? ERRCODE_INVALID_ROW_COUNT_IN_RESULT_OFFSET_CLAUSE :
						 ERRCODE_INVALID_ROW_COUNT_IN_LIMIT_CLAUSE),
				 errmsg("%s must not be negative", offset ? "OFFSET" : "LIMIT")));
	if (isnull && !offset)
		appendStringInfoString(out, "18446744073709551615");
	else
		appendStringInfo(out, INT64_FORMAT, number);
}

static void
write_bytes(Hole *hole, StringInfo out, Datum value, bool trim)
{
	char	   *text = OutputFunctionCall(&hole->output, value);
	char	   *utf8 = pg_server_to_any(text, strlen(text), PG_UTF8);
	Size		len = strlen(utf8);

	while (trim && len > 0 && utf8[len - 1] == ' ')
		len--;
	appendStringInfoString(out, "_binary");
	FeathubMysqlQuoteString(out, utf8, len);
	pfree(text);
}
