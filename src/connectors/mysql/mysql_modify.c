/*
 * mysql_modify.c
 *		INSERT, COPY, UPDATE, DELETE and TRUNCATE.
 *
 * Rows are inserted many with one statement, as large as the server's packets
 * allow, in MariaDB's own protocol if that is possible (mysql_bulk.c).  UPDATE and DELETE name a row by its key, text by its bytes; a row that
 * is gone is reported, more than one row is an error.  TRUNCATE is DELETE: the
 * server's own TRUNCATE would commit.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "connectors/mysql/mysql_deparse.h"
#include "formats/convert.h"

/* A statement's size, if the server takes more. */
#define STATEMENT_BYTES (4 * 1024 * 1024)

typedef struct MysqlModifyState
{
	MysqlConnection *conn;
	MysqlWriter **writers;		/* by attnum - 1; NULL: not written */
	bool	   *wkt;			/* by attnum - 1 */
	StringInfoData prefix;		/* INSERT INTO ... VALUES */
	StringInfoData suffix;		/* ON DUPLICATE KEY ... */
	StringInfoData sql;
	Size		max_bytes;
	MysqlBulk  *bulk;			/* NULL: rows are sent as text */
	MysqlDecoder *decoder;		/* of rows that come back, or NULL */
} MysqlModifyState;

static MysqlBulk *make_bulk(FeathubModify *modify, MysqlModifyState *state);
static void insert_as_text(FeathubModify *modify, TupleTableSlot **slots, int nslots);
static void append_insert(FeathubModify *modify, StringInfo sql);
static void append_upsert(FeathubModify *modify, StringInfo sql);
static void append_names(FeathubModify *modify, StringInfo sql);
static void append_row(FeathubModify *modify, TupleTableSlot *slot);
static void append_value(FeathubModify *modify, AttrNumber attnum, Datum value, bool isnull);
static void append_key(FeathubModify *modify, Datum *key, bool *key_isnull);
static void send_rows(FeathubModify *modify);
static void insert_returning(FeathubModify *modify, TupleTableSlot *slot);
static bool insert_and_fetch(MysqlModifyState *state, Datum *values, bool *isnull);
static bool insert_and_number(FeathubModify *modify, Datum *values, bool *isnull);
static bool check_matched(FeathubModify *modify, uint64 matched);

void
FeathubMysqlBeginModify(FeathubModify *modify)
{
	MysqlModifyState *state = palloc0(sizeof(MysqlModifyState));
	FeathubRelation *rel = modify->rel;
	MysqlOptions *options = rel->options;
	List	   *attrs = list_union_int(modify->target_attrs, modify->key_attrs);
	ListCell   *lc;

	state->conn = FeathubMysqlConnect(rel->server, rel->user, options);
	state->writers = palloc0(sizeof(MysqlWriter *) * Max(rel->tupdesc->natts, 1));
	state->wkt = palloc0(sizeof(bool) * Max(rel->tupdesc->natts, 1));
	foreach(lc, attrs)
	{
		int			i = lfirst_int(lc) - 1;

		state->writers[i] = FeathubMysqlWriterMake(TupleDescAttr(rel->tupdesc, i)->atttypid);
		state->wkt[i] = FeathubMysqlColumnFlag(rel, i + 1, "wkt");
	}
	initStringInfo(&state->prefix);
	initStringInfo(&state->suffix);
	initStringInfo(&state->sql);
	state->max_bytes = STATEMENT_BYTES;
	if (state->conn->max_packet > 0)
		state->max_bytes = Min(state->max_bytes, state->conn->max_packet - 1024);
	if (modify->operation == CMD_INSERT)
	{
		append_insert(modify, &state->prefix);
		append_upsert(modify, &state->suffix);
		if (modify->returning && state->conn->mariadb)
		{
			appendStringInfoString(&state->suffix, " RETURNING ");
			foreach(lc, modify->target_attrs)
			{
				if (foreach_current_index(lc) > 0)
					appendStringInfoString(&state->suffix, ", ");
				FeathubMysqlOutputColumn(&state->suffix, rel, lfirst_int(lc));
			}
			state->decoder = FeathubMysqlDecoderMake(rel->tupdesc, modify->target_attrs,
													 rel->relname, options->zero_dates);
		}
		modify->batch_size = options->batch_size;
		if (!modify->returning && state->conn->bulk != MYSQL_BULK_REFUSED)
			state->bulk = make_bulk(modify, state);
	}
	modify->state = state;
}

/* The statement with a parameter for each column. */
static MysqlBulk *
make_bulk(FeathubModify *modify, MysqlModifyState *state)
{
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfo(&sql, "%s(", state->prefix.data);
	for (int i = 0; i < list_length(modify->target_attrs); i++)
		appendStringInfoString(&sql, i > 0 ? ", ?" : "?");
	appendStringInfo(&sql, ")%s", state->suffix.data);
	return FeathubMysqlBulkMake(modify->rel, modify->target_attrs, sql.data,
								modify->batch_size, state->max_bytes);
}

void
FeathubMysqlInsertRows(FeathubModify *modify, TupleTableSlot **slots, int nslots)
{
	MysqlModifyState *state = modify->state;
	int			sent = 0;

	FeathubMysqlConnect(modify->rel->server, modify->rel->user, modify->rel->options);
	if (state->bulk)
		sent = FeathubMysqlBulkInsert(state->bulk, state->conn, slots, nslots);
	if (sent < nslots)
		insert_as_text(modify, slots + sent, nslots - sent);
}

static void
insert_as_text(FeathubModify *modify, TupleTableSlot **slots, int nslots)
{
	MysqlModifyState *state = modify->state;

	resetStringInfo(&state->sql);
	for (int i = 0; i < nslots; i++)
	{
		int			before = state->sql.len;

		append_row(modify, slots[i]);
		if (modify->returning)
			insert_returning(modify, slots[i]);
		else if (state->sql.len + state->suffix.len >= state->max_bytes && before > 0)
		{
			/* without this row, which begins the next statement */
			char	   *row = pnstrdup(state->sql.data + before + 1, state->sql.len - before - 1);

			state->sql.len = before;
			state->sql.data[before] = '\0';
			send_rows(modify);
			appendStringInfoString(&state->sql, state->prefix.data);
			appendStringInfoString(&state->sql, row);
			pfree(row);
		}
	}
	send_rows(modify);
}

void
FeathubMysqlEndModify(FeathubModify *modify)
{
	MysqlModifyState *state = modify->state;

	if (state->conn->mysql)
		FeathubMysqlFinish(state->conn);
}

bool
FeathubMysqlUpdateRow(FeathubModify *modify, TupleTableSlot *slot, Datum *key, bool *key_isnull)
{
	MysqlModifyState *state = modify->state;
	StringInfo	sql = &state->sql;
	ListCell   *lc;

	FeathubMysqlConnect(modify->rel->server, modify->rel->user, modify->rel->options);
	resetStringInfo(sql);
	appendStringInfoString(sql, "UPDATE ");
	FeathubMysqlDeparseTable(sql, modify->rel);
	appendStringInfoString(sql, " SET ");
	foreach(lc, modify->target_attrs)
	{
		AttrNumber	attnum = lfirst_int(lc);

		if (foreach_current_index(lc) > 0)
			appendStringInfoString(sql, ", ");
		FeathubMysqlQuoteName(sql, FeathubMysqlColumnName(modify->rel, attnum));
		appendStringInfoString(sql, " = ");
		append_value(modify, attnum, slot->tts_values[attnum - 1], slot->tts_isnull[attnum - 1]);
	}
	append_key(modify, key, key_isnull);
	return check_matched(modify, FeathubMysqlExecute(state->conn, sql->data, sql->len));
}

bool
FeathubMysqlDeleteRow(FeathubModify *modify, Datum *key, bool *key_isnull)
{
	MysqlModifyState *state = modify->state;
	StringInfo	sql = &state->sql;

	FeathubMysqlConnect(modify->rel->server, modify->rel->user, modify->rel->options);
	resetStringInfo(sql);
	appendStringInfoString(sql, "DELETE FROM ");
	FeathubMysqlDeparseTable(sql, modify->rel);
	append_key(modify, key, key_isnull);
	return check_matched(modify, FeathubMysqlExecute(state->conn, sql->data, sql->len));
}

void
FeathubMysqlTruncate(List *rels, DropBehavior behavior, bool restart_seqs)
{
	StringInfoData sql;
	ListCell   *lc;

	if (restart_seqs || behavior == DROP_CASCADE)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("TRUNCATE ... %s is not supported for foreign table \"%s\"",
						restart_seqs ? "RESTART IDENTITY" : "CASCADE",
						((FeathubRelation *) linitial(rels))->relname)));
	initStringInfo(&sql);
	foreach(lc, rels)
	{
		FeathubRelation *rel = lfirst(lc);
		MysqlConnection *conn = FeathubMysqlConnect(rel->server, rel->user, rel->options);

		resetStringInfo(&sql);
		appendStringInfoString(&sql, "DELETE FROM ");
		FeathubMysqlDeparseTable(&sql, rel);
		FeathubMysqlExecute(conn, sql.data, sql.len);
	}
}

bool
FeathubMysqlUpserts(FeathubRelation *rel)
{
	return ((MysqlOptions *) rel->options)->write_mode == MYSQL_WRITE_UPSERT;
}

void
FeathubMysqlExplainModify(FeathubModify *modify, ExplainState *es)
{
	FeathubRelation *rel = modify->rel;
	StringInfoData sql;
	ListCell   *lc;

	if (!es->verbose)
		return;
	initStringInfo(&sql);
	if (modify->operation == CMD_INSERT)
	{
		append_insert(modify, &sql);
		appendStringInfoString(&sql, "(...)");
		append_upsert(modify, &sql);
	}
	else
	{
		appendStringInfoString(&sql, modify->operation == CMD_UPDATE ? "UPDATE " : "DELETE FROM ");
		FeathubMysqlDeparseTable(&sql, rel);
		if (modify->operation == CMD_UPDATE)
		{
			foreach(lc, modify->target_attrs)
			{
				appendStringInfoString(&sql, foreach_current_index(lc) > 0 ? ", " : " SET ");
				FeathubMysqlQuoteName(&sql, FeathubMysqlColumnName(rel, lfirst_int(lc)));
				appendStringInfoString(&sql, " = ...");
			}
		}
		foreach(lc, modify->key_attrs)
		{
			appendStringInfoString(&sql, foreach_current_index(lc) > 0 ? " AND " : " WHERE ");
			FeathubMysqlQuoteName(&sql, FeathubMysqlColumnName(rel, lfirst_int(lc)));
			appendStringInfoString(&sql, " = ...");
		}
	}
	ExplainPropertyText("Remote SQL", sql.data, es);
}

static void
append_insert(FeathubModify *modify, StringInfo sql)
{
	appendStringInfoString(sql, "INSERT INTO ");
	FeathubMysqlDeparseTable(sql, modify->rel);
	appendStringInfoString(sql, " (");
	append_names(modify, sql);
	appendStringInfoString(sql, ") VALUES ");
}

static void
append_names(FeathubModify *modify, StringInfo sql)
{
	ListCell   *lc;

	foreach(lc, modify->target_attrs)
	{
		if (foreach_current_index(lc) > 0)
			appendStringInfoString(sql, ", ");
		FeathubMysqlQuoteName(sql, FeathubMysqlColumnName(modify->rel, lfirst_int(lc)));
	}
}

/*
 * What happens to a row whose key is there.  IGNORE would also swallow values
 * that do not fit, so a row is kept by an update that changes nothing.
 */
static void
append_upsert(FeathubModify *modify, StringInfo sql)
{
	FeathubRelation *rel = modify->rel;
	MysqlOptions *options = rel->options;
	List	   *key = FeathubMysqlKeyColumns(rel);
	List	   *columns;
	ListCell   *lc;

	if (options->write_mode == MYSQL_WRITE_INSERT || modify->target_attrs == NIL)
		return;
	columns = list_difference_int(modify->target_attrs, key);
	if (columns == NIL || options->write_mode == MYSQL_WRITE_IGNORE)
		columns = list_make1_int(linitial_int(modify->target_attrs));
	appendStringInfoString(sql, " ON DUPLICATE KEY UPDATE ");
	foreach(lc, columns)
	{
		const char *name = FeathubMysqlColumnName(rel, lfirst_int(lc));

		if (foreach_current_index(lc) > 0)
			appendStringInfoString(sql, ", ");
		FeathubMysqlQuoteName(sql, name);
		if (options->write_mode == MYSQL_WRITE_IGNORE)
		{
			appendStringInfoString(sql, " = ");
			FeathubMysqlDeparseTable(sql, rel);
			appendStringInfoChar(sql, '.');
			FeathubMysqlQuoteName(sql, name);
			continue;
		}
		appendStringInfoString(sql, " = VALUES(");
		FeathubMysqlQuoteName(sql, name);
		appendStringInfoChar(sql, ')');
	}
}

/* A row's values; the statement's beginning before the first one. */
static void
append_row(FeathubModify *modify, TupleTableSlot *slot)
{
	MysqlModifyState *state = modify->state;
	ListCell   *lc;

	if (state->sql.len == 0)
		appendStringInfoString(&state->sql, state->prefix.data);
	else
		appendStringInfoChar(&state->sql, ',');
	appendStringInfoChar(&state->sql, '(');
	foreach(lc, modify->target_attrs)
	{
		AttrNumber	attnum = lfirst_int(lc);

		if (foreach_current_index(lc) > 0)
			appendStringInfoChar(&state->sql, ',');
		append_value(modify, attnum, slot->tts_values[attnum - 1], slot->tts_isnull[attnum - 1]);
	}
	appendStringInfoChar(&state->sql, ')');
}

static void
append_value(FeathubModify *modify, AttrNumber attnum, Datum value, bool isnull)
{
	MysqlModifyState *state = modify->state;

	if (isnull)
	{
		appendStringInfoString(&state->sql, "NULL");
		return;
	}
	if (state->wkt[attnum - 1])
		appendStringInfoString(&state->sql, "ST_GeomFromText(");
	FeathubMysqlWriteLiteral(state->writers[attnum - 1], &state->sql, value);
	if (state->wkt[attnum - 1])
		appendStringInfoChar(&state->sql, ')');
}

/* WHERE key = ...: text both as the server compares it and by its bytes. */
static void
append_key(FeathubModify *modify, Datum *key, bool *key_isnull)
{
	MysqlModifyState *state = modify->state;
	StringInfo	sql = &state->sql;
	ListCell   *lc;

	foreach(lc, modify->key_attrs)
	{
		AttrNumber	attnum = lfirst_int(lc);
		int			i = foreach_current_index(lc);
		const char *name = FeathubMysqlColumnName(modify->rel, attnum);
		MysqlClass	class;

		class = FeathubMysqlTypeClass(TupleDescAttr(modify->rel->tupdesc, attnum - 1)->atttypid);
		appendStringInfoString(sql, i > 0 ? " AND " : " WHERE ");
		FeathubMysqlQuoteName(sql, name);
		appendStringInfoString(sql, " <=> ");
		append_value(modify, attnum, key[i], key_isnull[i]);
		if (key_isnull[i] || (class != MYSQL_CLASS_TEXT && class != MYSQL_CLASS_ENUM))
			continue;
		appendStringInfoString(sql, " AND CAST(CONVERT(");
		FeathubMysqlQuoteName(sql, name);
		appendStringInfoString(sql, " USING utf8mb4) AS BINARY) = CAST(");
		append_value(modify, attnum, key[i], false);
		appendStringInfoString(sql, " AS BINARY)");
	}
}

static void
send_rows(FeathubModify *modify)
{
	MysqlModifyState *state = modify->state;

	if (state->sql.len == 0)
		return;
	appendStringInfoString(&state->sql, state->suffix.data);
	/* the next rows are written down while the server works on these */
	if (modify->returning)
		FeathubMysqlExecute(state->conn, state->sql.data, state->sql.len);
	else
		FeathubMysqlSend(state->conn, state->sql.data, state->sql.len);
	resetStringInfo(&state->sql);
}

/*
 * Insert a row that somebody looks at afterwards: with what the server made of
 * it, if it can say (MariaDB), or at least the number that it gave it.
 */
static void
insert_returning(FeathubModify *modify, TupleTableSlot *slot)
{
	MysqlModifyState *state = modify->state;
	TupleDesc	tupdesc = slot->tts_tupleDescriptor;
	Datum	   *values = palloc(sizeof(Datum) * tupdesc->natts);
	bool	   *isnull = palloc(sizeof(bool) * tupdesc->natts);
	bool		changed;

	memcpy(values, slot->tts_values, sizeof(Datum) * tupdesc->natts);
	memcpy(isnull, slot->tts_isnull, sizeof(bool) * tupdesc->natts);
	changed = state->decoder ? insert_and_fetch(state, values, isnull) :
		insert_and_number(modify, values, isnull);
	if (changed)
	{
		HeapTuple	tuple = heap_form_tuple(tupdesc, values, isnull);
		MemoryContext oldcontext = MemoryContextSwitchTo(slot->tts_mcxt);

		ExecForceStoreHeapTuple(heap_copytuple(tuple), slot, true);
		MemoryContextSwitchTo(oldcontext);
		slot_getallattrs(slot);
	}
}

/* INSERT ... RETURNING of the row in state->sql; false if no row came back. */
static bool
insert_and_fetch(MysqlModifyState *state, Datum *values, bool *isnull)
{
	MysqlResult *result;
	char	  **v;
	unsigned long *lengths;
	bool		found;

	appendStringInfoString(&state->sql, state->suffix.data);
	result = FeathubMysqlQuery(state->conn, state->sql.data, state->sql.len);
	found = FeathubMysqlFetch(result, &v, &lengths);
	if (found)
		FeathubMysqlDecode(state->decoder, result, v, lengths, values, isnull);
	FeathubMysqlCloseResult(result);
	resetStringInfo(&state->sql);
	return found;
}

/* INSERT, and the number that the row got for a key without a value; false if none. */
static bool
insert_and_number(FeathubModify *modify, Datum *values, bool *isnull)
{
	MysqlModifyState *state = modify->state;
	TupleDesc	tupdesc = modify->rel->tupdesc;
	bool		changed = false;
	ListCell   *lc;
	uint64		id;

	send_rows(modify);
	id = FeathubMysqlInsertId(state->conn);
	foreach(lc, FeathubMysqlKeyColumns(modify->rel))
	{
		AttrNumber	attnum = lfirst_int(lc);
		Oid			type = TupleDescAttr(tupdesc, attnum - 1)->atttypid;
		FeathubConvertSettings settings = {.scratch = CurrentMemoryContext};
		FeathubDecodeError error = {0};
		char	   *text = psprintf(UINT64_FORMAT, id);

		if (id == 0 || !isnull[attnum - 1] ||
			FeathubMysqlTypeClass(type) != MYSQL_CLASS_INTEGER)
			continue;
		if (FeathubConvertText(FeathubConverterMake(type, -1, &settings), text, strlen(text),
							   &values[attnum - 1], &error))
		{
			isnull[attnum - 1] = false;
			changed = true;
		}
	}
	return changed;
}

/* Was the one row found? */
static bool
check_matched(FeathubModify *modify, uint64 matched)
{
	if (matched > 1)
		ereport(ERROR,
				(errcode(ERRCODE_CARDINALITY_VIOLATION),
				 errmsg("key of foreign table \"%s\" does not name one row: " UINT64_FORMAT " rows have it",
						modify->rel->relname, matched),
				 errhint("Set column option \"key\" on all columns of the remote primary key.")));
	return matched == 1;
}
