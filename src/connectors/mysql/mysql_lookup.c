/*
 * mysql_lookup.c
 *		Batched look-ups: rows for many keys with one statement.
 *
 * One key column becomes an IN list, several become equalities joined by OR,
 * for which both servers use a compound index (row constructors they do not all).
 * Text is asked for in the column's own collation, which can use an index and
 * may find too much: the join checks again.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "utils/lsyscache.h"

#include "connectors/mysql/mysql_scan.h"

/* A look-up that runs. */
typedef struct MysqlLookupState
{
	MysqlConnection *conn;
	MysqlTemplate *template;
	MysqlDecoder *decoder;
	MysqlWriter **writers;		/* of the key columns */
	Oid		   *types;
	MysqlResult *result;		/* NULL: nothing to fetch */
	Datum	   *keys;			/* of the batch */
	int			nrows;
	int			nkeys;			/* of them, those the server can have */
	StringInfoData sql;
} MysqlLookupState;

static void append_select(FeathubLookup *lookup, StringInfo sql);
static void write_statement(StringInfo sql, void *arg);
static bool is_writable(FeathubLookup *lookup, Datum *values);
static void append_key(FeathubLookup *lookup, Datum *values, StringInfo sql, bool first);
static void close_result(MysqlLookupState *state);

bool
FeathubMysqlPlanLookup(FeathubRelation *rel, PlannerInfo *root, RelOptInfo *baserel,
					   List *attnums, List *clauses, FeathubScanPlan *plan, int *max_keys)
{
	MysqlOptions *options = rel->options;
	MysqlDeparse context;
	List	   *local = NIL;
	ListCell   *lc;

	if (!options->pushdown)
		return false;
	foreach(lc, attnums)
	{
		Form_pg_attribute att = TupleDescAttr(rel->tupdesc, lfirst_int(lc) - 1);

		if (FeathubMysqlTypeClass(att->atttypid) == MYSQL_CLASS_NONE || att->attgenerated ||
			FeathubMysqlColumnFlag(rel, att->attnum, "wkt"))
			return false;
		/* equal there only if equal here, for all that it is declared */
		if (OidIsValid(att->attcollation) && !FeathubMysqlSameText(att->attcollation))
			return false;
	}

	FeathubMysqlDeparseInit(&context, root, bms_make_singleton(baserel->relid));
	context.rel = rel;
	context.varno = baserel->relid;
	(void) FeathubMysqlAppendWhere(&context, clauses, &local, " AND ");
	plan->local_clauses = local;
	plan->params = context.params;
	plan->private = FeathubMysqlTemplateMake(&context);
	*max_keys = options->lookup_size;
	return true;
}

void
FeathubMysqlBeginLookup(FeathubLookup *lookup)
{
	MysqlLookupState *state = palloc0(sizeof(MysqlLookupState));
	MysqlOptions *options = lookup->rel->options;

	state->template = FeathubMysqlTemplateRead(lookup->private);
	state->decoder = FeathubMysqlDecoderMake(lookup->rel->tupdesc,
											 FeathubMysqlNeededColumns(lookup->rel, lookup->needed),
											 lookup->rel->relname, options->zero_dates);
	state->writers = palloc(sizeof(MysqlWriter *) * lookup->nkeys);
	state->types = palloc(sizeof(Oid) * lookup->nkeys);
	for (int i = 0; i < lookup->nkeys; i++)
	{
		state->types[i] = TupleDescAttr(lookup->rel->tupdesc, lookup->key_attrs[i] - 1)->atttypid;
		state->writers[i] = FeathubMysqlWriterMake(state->types[i]);
	}
	state->conn = FeathubMysqlConnect(lookup->rel->server, lookup->rel->user, options);
	initStringInfo(&state->sql);
	lookup->state = state;
}

void
FeathubMysqlSendKeys(FeathubLookup *lookup, int nrows, Datum *values)
{
	MysqlLookupState *state = lookup->state;
	MemoryContext oldcontext;

	close_result(state);
	FeathubMysqlConnect(lookup->rel->server, lookup->rel->user, lookup->rel->options);
	state->keys = values;
	state->nkeys = 0;
	for (int i = 0; i < nrows; i++)
		state->nkeys += is_writable(lookup, values + (Size) i * lookup->nkeys);
	state->nrows = nrows;
	if (state->nkeys == 0)
		return;

	/* it is closed after the batch's memory was reset */
	oldcontext = MemoryContextSwitchTo(lookup->context);
	state->result = FeathubMysqlQueryBy(state->conn, &state->sql, write_statement, lookup);
	MemoryContextSwitchTo(oldcontext);
}

static void
write_statement(StringInfo sql, void *arg)
{
	FeathubLookup *lookup = arg;
	MysqlLookupState *state = lookup->state;
	bool		first = true;

	append_select(lookup, sql);
	for (int i = 0; i < state->nrows; i++)
	{
		Datum	   *key = state->keys + (Size) i * lookup->nkeys;

		/* what the server has no value for matches nothing */
		if (state->nkeys < state->nrows && !is_writable(lookup, key))
			continue;
		append_key(lookup, key, sql, first);
		first = false;
	}
	appendStringInfoChar(sql, ')');
	FeathubMysqlTemplateFill(state->template, sql, lookup->param_values, lookup->param_isnull);
}

bool
FeathubMysqlNextFound(FeathubLookup *lookup, TupleTableSlot *slot)
{
	MysqlLookupState *state = lookup->state;
	char	  **values;
	unsigned long *lengths;

	if (state->result == NULL || !FeathubMysqlFetch(state->result, &values, &lengths))
		return false;
	FeathubMysqlDecode(state->decoder, state->result, values, lengths,
					   slot->tts_values, slot->tts_isnull);
	return true;
}

void
FeathubMysqlEndLookup(FeathubLookup *lookup)
{
	close_result(lookup->state);
}

void
FeathubMysqlExplainLookup(FeathubLookup *lookup, ExplainState *es)
{
	StringInfoData sql;

	if (!es->verbose)
		return;
	initStringInfo(&sql);
	append_select(lookup, &sql);
	if (lookup->nkeys > 1)
	{
		appendStringInfoChar(&sql, '(');
		for (int i = 0; i < lookup->nkeys; i++)
		{
			if (i > 0)
				appendStringInfoString(&sql, " AND ");
			FeathubMysqlQuoteName(&sql, FeathubMysqlColumnName(lookup->rel, lookup->key_attrs[i]));
			appendStringInfoString(&sql, " = ...");
		}
		appendStringInfoString(&sql, ") OR ...)");
	}
	else
		appendStringInfoString(&sql, "...)");
	FeathubMysqlTemplateShow(FeathubMysqlTemplateRead(lookup->private), NIL, &sql);
	ExplainPropertyText("Remote SQL", sql.data, es);
}

/* SELECT columns FROM table WHERE key IN (, or WHERE ( */
static void
append_select(FeathubLookup *lookup, StringInfo sql)
{
	ListCell   *lc;

	appendStringInfoString(sql, "SELECT ");
	foreach(lc, FeathubMysqlNeededColumns(lookup->rel, lookup->needed))
	{
		if (foreach_current_index(lc) > 0)
			appendStringInfoString(sql, ", ");
		FeathubMysqlOutputColumn(sql, lookup->rel, lfirst_int(lc));
	}
	appendStringInfoString(sql, " FROM ");
	FeathubMysqlDeparseTable(sql, lookup->rel);
	appendStringInfoString(sql, " WHERE ");
	if (lookup->nkeys == 1)
	{
		FeathubMysqlQuoteName(sql, FeathubMysqlColumnName(lookup->rel, lookup->key_attrs[0]));
		appendStringInfoString(sql, " IN ");
	}
	appendStringInfoChar(sql, '(');
}

static bool
is_writable(FeathubLookup *lookup, Datum *values)
{
	MysqlLookupState *state = lookup->state;

	for (int i = 0; i < lookup->nkeys; i++)
	{
		if (!FeathubMysqlValueWritable(state->types[i], values[i]))
			return false;
	}
	return true;
}

static void
append_key(FeathubLookup *lookup, Datum *values, StringInfo sql, bool first)
{
	MysqlLookupState *state = lookup->state;

	if (lookup->nkeys == 1)
	{
		if (!first)
			appendStringInfoChar(sql, ',');
		FeathubMysqlWriteLiteral(state->writers[0], sql, values[0]);
		return;
	}
	appendStringInfoString(sql, first ? "(" : " OR (");
	for (int i = 0; i < lookup->nkeys; i++)
	{
		if (i > 0)
			appendStringInfoString(sql, " AND ");
		FeathubMysqlQuoteName(sql, FeathubMysqlColumnName(lookup->rel, lookup->key_attrs[i]));
		appendStringInfoString(sql, " = ");
		FeathubMysqlWriteLiteral(state->writers[i], sql, values[i]);
	}
	appendStringInfoChar(sql, ')');
}

static void
close_result(MysqlLookupState *state)
{
	MysqlResult *result = state->result;

	state->result = NULL;
	if (result)
		FeathubMysqlCloseResult(result);
}
