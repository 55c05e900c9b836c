/*
 * mysql_scan.c
 *		SELECT: plans and scans of one table.
 *
 * The plan holds what follows the table's name (WHERE, locking) as a template;
 * the columns are those that the executor needs.
 */
#include "postgres.h"

#include "access/sysattr.h"
#include "nodes/makefuncs.h"
#include "optimizer/cost.h"
#include "optimizer/optimizer.h"
#include "optimizer/prep.h"
#include "optimizer/restrictinfo.h"
#include "parser/parsetree.h"
#include "utils/lsyscache.h"
#include "utils/selfuncs.h"

#include "connectors/mysql/mysql_scan.h"

/* Rows of a table that was never analyzed. */
#define DEFAULT_TUPLES 10000

/* A scan that runs. */
typedef struct MysqlScanState
{
	MysqlConnection *conn;
	MysqlTemplate *template;
	MysqlDecoder *decoder;
	MysqlResult *result;		/* NULL: nothing asked yet */
	StringInfoData sql;
} MysqlScanState;

static List *split_clauses(MysqlDeparse *context, List *clauses, List **local);
static void write_statement(StringInfo sql, void *arg);
static void append_select(FeathubScan *scan, StringInfo sql);
static List *scan_columns(FeathubScan *scan);
static const char *locking_clause(PlannerInfo *root, RelOptInfo *baserel);
static bool remote_rows(FeathubRelation *rel, PlannerInfo *root, RelOptInfo *baserel,
						List *clauses, double *rows);

void
FeathubMysqlEstimate(FeathubRelation *rel, PlannerInfo *root, RelOptInfo *baserel,
					 FeathubEstimate *estimate)
{
	MysqlOptions *options = rel->options;
	List	   *clauses = extract_actual_clauses(baserel->baserestrictinfo, false);
	List	   *local = NIL;
	MysqlDeparse context;
	double		tuples = baserel->tuples;
	double		fetched;
	List	   *remote = clauses;

	if (tuples < 0)
		baserel->tuples = tuples = DEFAULT_TUPLES;
	if (options->pushdown)
	{
		FeathubMysqlDeparseInit(&context, root, bms_make_singleton(baserel->relid));
		context.rel = rel;
		context.varno = baserel->relid;
		remote = split_clauses(&context, clauses, &local);
	}
	else
		remote = NIL;

	fetched = tuples * clauselist_selectivity(root, remote, 0, JOIN_INNER, NULL);
	estimate->rows = tuples * clauselist_selectivity(root, baserel->baserestrictinfo, 0,
													 JOIN_INNER, NULL);
	if (options->use_remote_estimate &&
		remote_rows(rel, root, baserel, clauses, &fetched))
		estimate->rows = Min(estimate->rows, fetched);
	estimate->startup_cost = options->fdw_startup_cost + baserel->baserestrictcost.startup;
	estimate->total_cost = estimate->startup_cost +
		(options->fdw_tuple_cost + cpu_tuple_cost + baserel->baserestrictcost.per_tuple) * fetched +
		cpu_operator_cost * tuples * (remote != NIL ? 0.5 : 1);
}

void
FeathubMysqlPlanScan(FeathubRelation *rel, PlannerInfo *root, RelOptInfo *baserel,
					 List *clauses, FeathubScanPlan *plan)
{
	MysqlOptions *options = rel->options;
	MysqlDeparse context;

	FeathubMysqlDeparseInit(&context, root, bms_make_singleton(baserel->relid));
	context.rel = rel;
	context.varno = baserel->relid;
	if (options->pushdown)
		split_clauses(&context, clauses, &plan->local_clauses);
	else
		plan->local_clauses = clauses;
	plan->params = context.params;
	plan->private = list_make2(FeathubMysqlTemplateMake(&context),
							   makeString(pstrdup(locking_clause(root, baserel))));
}

void
FeathubMysqlBeginScan(FeathubScan *scan)
{
	MysqlScanState *state = palloc0(sizeof(MysqlScanState));

	state->template = FeathubMysqlTemplateRead(linitial(scan->private));
	state->decoder = FeathubMysqlDecoderMake(scan->tupdesc, scan_columns(scan),
											 scan->rel->relname,
											 ((MysqlOptions *) scan->rel->options)->zero_dates);
	state->conn = FeathubMysqlConnect(scan->rel->server, scan->rel->user, scan->rel->options);
	initStringInfo(&state->sql);
	scan->state = state;
}

void
FeathubMysqlRescan(FeathubScan *scan)
{
	MysqlScanState *state = scan->state;

	if (state->result)
	{
		MysqlResult *result = state->result;

		state->result = NULL;
		FeathubMysqlCloseResult(result);
	}

	/* a subtransaction may have begun since */
	FeathubMysqlConnect(scan->rel->server, scan->rel->user, scan->rel->options);

	state->result = FeathubMysqlQueryBy(state->conn, &state->sql, write_statement, scan);
}

static void
write_statement(StringInfo sql, void *arg)
{
	FeathubScan *scan = arg;
	MysqlScanState *state = scan->state;

	append_select(scan, sql);
	FeathubMysqlTemplateFill(state->template, sql, scan->param_values, scan->param_isnull);
	if (scan->limit >= 0)
		appendStringInfo(sql, " LIMIT " INT64_FORMAT, scan->limit);
	appendStringInfoString(sql, strVal(lsecond(scan->private)));
}

bool
FeathubMysqlNextRow(FeathubScan *scan, TupleTableSlot *slot)
{
	MysqlScanState *state = scan->state;
	char	  **values;
	unsigned long *lengths;

	if (!FeathubMysqlFetch(state->result, &values, &lengths))
		return false;
	FeathubMysqlDecode(state->decoder, state->result, values, lengths,
					   slot->tts_values, slot->tts_isnull);
	return true;
}

void
FeathubMysqlEndScan(FeathubScan *scan)
{
	MysqlScanState *state = scan->state;

	if (state->result)
	{
		MysqlResult *result = state->result;

		state->result = NULL;
		FeathubMysqlCloseResult(result);
	}
}

void
FeathubMysqlExplainScan(FeathubScan *scan, ExplainState *es)
{
	StringInfoData sql;

	if (!es->verbose)
		return;
	initStringInfo(&sql);
	append_select(scan, &sql);
	FeathubMysqlTemplateShow(FeathubMysqlTemplateRead(linitial(scan->private)), scan->params, &sql);
	if (scan->limit >= 0)
		appendStringInfo(&sql, " LIMIT " INT64_FORMAT, scan->limit);
	appendStringInfoString(&sql, strVal(lsecond(scan->private)));
	ExplainPropertyText("Remote SQL", sql.data, es);
}

/*
 * FeathubMysqlAppendWhere
 *		Append conditions to a statement; returns those that are.
 *
 * *local gets the clauses that have to be checked here.
 */
List *
FeathubMysqlAppendWhere(MysqlDeparse *context, List *clauses, List **local, const char *first)
{
	List	   *remote = NIL;
	ListCell   *lc;

	foreach(lc, clauses)
	{
		Expr	   *clause = lfirst(lc);
		int			len = context->sql.len;

		appendStringInfoString(&context->sql, remote == NIL ? first : " AND ");
		if (!FeathubMysqlDeparseCondition(context, clause))
		{
			context->sql.len = len;
			context->sql.data[len] = '\0';
			*local = lappend(*local, clause);
			continue;
		}
		remote = lappend(remote, clause);
		if (context->lossy)
			*local = lappend(*local, clause);
	}
	return remote;
}

static List *
split_clauses(MysqlDeparse *context, List *clauses, List **local)
{
	return FeathubMysqlAppendWhere(context, clauses, local, " WHERE ");
}

/* SELECT columns FROM table */
static void
append_select(FeathubScan *scan, StringInfo sql)
{
	List	   *columns = scan_columns(scan);
	ListCell   *lc;

	/* the template has all of it */
	if (scan->remote)
		return;
	appendStringInfoString(sql, "SELECT ");
	foreach(lc, columns)
	{
		if (foreach_current_index(lc) > 0)
			appendStringInfoString(sql, ", ");
		FeathubMysqlOutputColumn(sql, scan->rel, lfirst_int(lc));
	}
	appendStringInfoString(sql, columns == NIL ? "NULL FROM " : " FROM ");
	FeathubMysqlDeparseTable(sql, scan->rel);
}

/* The attnums of the columns to ask for. */
static List *
scan_columns(FeathubScan *scan)
{
	List	   *columns = NIL;

	if (!scan->remote)
		return FeathubMysqlNeededColumns(scan->rel, scan->needed);
	for (int attnum = 1; attnum <= scan->tupdesc->natts; attnum++)
		columns = lappend_int(columns, attnum);
	return columns;
}

List *
FeathubMysqlNeededColumns(FeathubRelation *rel, Bitmapset *needed)
{
	List	   *columns = NIL;

	for (int attnum = 1; attnum <= rel->tupdesc->natts; attnum++)
	{
		if (bms_is_member(attnum - FirstLowInvalidHeapAttributeNumber, needed) &&
			!TupleDescAttr(rel->tupdesc, attnum - 1)->attisdropped)
			columns = lappend_int(columns, attnum);
	}
	return columns;
}

/*
 * Rows that are going to be changed are locked as they are read, in the state
 * that they have then, not in the snapshot's: else a change committed in between
 * would be overwritten.
 */
static const char *
locking_clause(PlannerInfo *root, RelOptInfo *baserel)
{
	PlanRowMark *mark;

	if (bms_is_member(baserel->relid, root->all_result_relids) &&
		(root->parse->commandType == CMD_UPDATE || root->parse->commandType == CMD_DELETE))
		return " FOR UPDATE";
	mark = get_plan_rowmark(root->rowMarks, baserel->relid);
	if (mark == NULL)
		return "";
	switch (mark->strength)
	{
		case LCS_FORKEYSHARE:
		case LCS_FORSHARE:
			return " LOCK IN SHARE MODE";
		case LCS_FORNOKEYUPDATE:
		case LCS_FORUPDATE:
			return " FOR UPDATE";
		default:
			return "";
	}
}

/* The rows that the server's EXPLAIN expects; false if it cannot be asked. */
static bool
remote_rows(FeathubRelation *rel, PlannerInfo *root, RelOptInfo *baserel, List *clauses,
			double *rows)
{
	MysqlConnection *conn;
	MysqlDeparse context;
	MysqlResult *result;
	List	   *local = NIL;
	char	  **values;
	unsigned long *lengths;
	bool		found = false;

	FeathubMysqlDeparseInit(&context, root, bms_make_singleton(baserel->relid));
	context.rel = rel;
	context.varno = baserel->relid;
	appendStringInfoString(&context.sql, "EXPLAIN EXTENDED SELECT 1 FROM ");
	FeathubMysqlDeparseTable(&context.sql, rel);
	split_clauses(&context, clauses, &local);
	if (context.holes != NIL)
		return false;			/* values are not known yet */
	conn = FeathubMysqlConnect(rel->server, rel->user, rel->options);
	if (!conn->mariadb)
	{
		/* MySQL shows the same without the word */
		memmove(context.sql.data + strlen("EXPLAIN "), context.sql.data + strlen("EXPLAIN EXTENDED "),
				context.sql.len - strlen("EXPLAIN EXTENDED ") + 1);
		context.sql.len -= strlen("EXTENDED ");
	}
	result = FeathubMysqlQuery(conn, context.sql.data, context.sql.len);
	while (FeathubMysqlFetch(result, &values, &lengths))
	{
		int			n = FeathubMysqlFieldCount(result);
		int			place = conn->mariadb ? 8 : 9;

		/* id, select_type, table, (partitions), type, possible_keys, key, key_len, ref, rows, filtered */
		if (found || n <= place + 1 || values[place] == NULL)
			continue;
		*rows = atof(values[place]) * (values[place + 1] ? atof(values[place + 1]) / 100 : 1);
		found = true;
	}
	FeathubMysqlCloseResult(result);
	return found;
}
