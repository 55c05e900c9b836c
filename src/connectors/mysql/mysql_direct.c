/*
 * mysql_direct.c
 *		UPDATE and DELETE that the server carries out whole.
 *
 * In MySQL an assignment sees the ones before it: SET a = b, b = a does not
 * swap.  So no new value may refer to a column that is set before it.
 */
#include "postgres.h"

#include "access/sysattr.h"
#include "optimizer/optimizer.h"

#include "connectors/mysql/mysql_remote.h"

static void write_statement(StringInfo sql, void *arg);
static bool assign(MysqlDeparse *context, FeathubRelation *rel, Index rtindex,
				   AttrNumber attnum, Expr *value, Bitmapset *before);

bool
FeathubMysqlPlanDirect(FeathubRelation *rel, PlannerInfo *root, CmdType operation,
					   Index rtindex, List *clauses, List *attnums, List *values,
					   FeathubScanPlan *plan)
{
	MysqlOptions *options = rel->options;
	MysqlDeparse context;
	Bitmapset  *before = NULL;
	ListCell   *lc;
	ListCell   *lc2;

	if (!options->pushdown)
		return false;
	FeathubMysqlDeparseInit(&context, root, bms_make_singleton(rtindex));
	context.rel = rel;
	context.varno = rtindex;
	context.strict = 1;
	appendStringInfoString(&context.sql, operation == CMD_UPDATE ? "UPDATE " : "DELETE FROM ");
	FeathubMysqlDeparseTable(&context.sql, rel);
	forboth(lc, attnums, lc2, values)
	{
		AttrNumber	attnum = lfirst_int(lc);

		appendStringInfoString(&context.sql, foreach_current_index(lc) > 0 ? ", " : " SET ");
		if (!assign(&context, rel, rtindex, attnum, lfirst(lc2), before))
			return false;
		before = bms_add_member(before, attnum - FirstLowInvalidHeapAttributeNumber);
	}
	foreach(lc, clauses)
	{
		appendStringInfoString(&context.sql, foreach_current_index(lc) > 0 ? " AND " : " WHERE ");
		if (!FeathubMysqlDeparseCondition(&context, lfirst(lc)))
			return false;
	}
	plan->params = context.params;
	plan->private = list_make2(FeathubMysqlTemplateMake(&context), makeString(pstrdup("")));
	return true;
}

/* column = value; false if the server would not compute the same. */
static bool
assign(MysqlDeparse *context, FeathubRelation *rel, Index rtindex, AttrNumber attnum,
	   Expr *value, Bitmapset *before)
{
	Bitmapset  *used = NULL;

	pull_varattnos((Node *) value, rtindex, &used);
	if (bms_overlap(used, before) || FeathubMysqlColumnFlag(rel, attnum, "wkt"))
		return false;
	FeathubMysqlDeparseColumn(context, rel, rtindex, attnum, false);
	appendStringInfoString(&context->sql, " = ");

	/* what needs no column is computed here, whatever its type */
	if (FeathubMysqlIsLocal(context, (Node *) value))
	{
		FeathubMysqlHole(context, (Node *) value, MYSQL_HOLE_VALUE);
		return true;
	}
	return FeathubMysqlDeparseValue(context, value);
}

/* Carry it out; returns the number of rows found. */
uint64
FeathubMysqlRunDirect(FeathubScan *scan)
{
	MysqlConnection *conn = FeathubMysqlConnect(scan->rel->server, scan->rel->user,
												scan->rel->options);
	StringInfoData sql;

	initStringInfo(&sql);
	return FeathubMysqlExecuteBy(conn, &sql, write_statement, scan);
}

static void
write_statement(StringInfo sql, void *arg)
{
	FeathubScan *scan = arg;

	FeathubMysqlTemplateFill(FeathubMysqlTemplateRead(linitial(scan->private)), sql,
							 scan->param_values, scan->param_isnull);
}
