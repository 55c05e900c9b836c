/*
 * mysql_stream.c
 *		Following a table by an increasing column: the streaming callbacks, which
 *		hand tables that are followed by the binary log over to mysql_cdc.c.
 *
 * A table is one partition, "<table>-0".  It is read in pages, ordered by the
 * stream column and, for ties, the key:
 *
 *		WHERE (column, key) > (last row's) AND column < now - lag
 *		ORDER BY column, key LIMIT n
 *
 * The lag leaves alone the rows whose neighbours may not have committed yet: a
 * row is found if its transaction commits within the lag after the column got
 * its value.  The stream's connection is its own and each page a transaction of
 * its own: a job holds no snapshot there.  What follows the last row taken is
 * read again each time, so nothing is kept of a page but the rows handed out.
 *
 * Only what raises the column is seen; a deletion is not.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "storage/latch.h"
#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/fmgrprotos.h"
#include "utils/json.h"
#include "utils/jsonb.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "connectors/mysql/mysql_cdc.h"
#include "connectors/mysql/mysql_deparse.h"
#include "connectors/mysql/mysql_record.h"
#include "connectors/mysql/mysql_stream.h"
#include "core/clock.h"

/* How often the server is asked for more when there was nothing, in ms. */
#define ASK_INTERVAL 250

/* Rows of the first page, bounds of the later ones, and bytes they should have. */
#define FIRST_PAGE	100
#define MIN_PAGE	10
#define MAX_PAGE	10000
#define PAGE_BYTES	(4 * 1024 * 1024)

/* FeathubRecord.raw */
typedef struct StreamRow
{
	const MysqlFields *page;
	char	  **values;			/* the table's columns, then those of the order */
	unsigned long *lengths;
} StreamRow;

typedef struct StreamState
{
	MysqlConnection *conn;
	bool		ready;			/* connected, and the table was looked at */
	MysqlRecords *records;

	MysqlStreamTable table;
	char	   *current;		/* position behind the last row handed out */
	bool		at_end;			/* the last page had all there was */
	int			page;			/* rows to ask for */
	MemoryContext rows_context; /* of what was handed out */
	MemoryContext page_context;
} StreamState;

static void make_ready(FeathubStream *stream);
static void check_position(FeathubStream *stream, const char *text, MysqlPosition *position);
static void check_not_made_again(FeathubStream *stream, const MysqlPosition *position);
static void append_where(FeathubStream *stream, StringInfo sql, const MysqlPosition *position);
static void append_horizon(FeathubStream *stream, StringInfo sql);
static void append_order(StreamState *state, StringInfo sql, const char *direction);
static char *latest_position(FeathubStream *stream);
static char *position_of_time(FeathubStream *stream, const char *target);
static int	read_page(FeathubStream *stream, FeathubRecord *records, int max, Size max_bytes);
static Size take_row(FeathubStream *stream, const MysqlFields *page, char **values,
					 unsigned long *lengths, FeathubRecord *record);
static void row_position(StreamState *state, const StreamRow *row, MysqlPosition *position);

bool
FeathubMysqlFollows(FeathubRelation *rel)
{
	MysqlOptions *options = rel->options;

	return options->stream_column != NULL || options->stream_mode == MYSQL_STREAM_BINLOG;
}

bool
FeathubMysqlStreamsDeletions(FeathubRelation *rel)
{
	return ((MysqlOptions *) rel->options)->stream_mode == MYSQL_STREAM_BINLOG;
}

/* Is the table followed by the binary log?  Then mysql_cdc.c does it. */
static bool
by_binlog(FeathubStream *stream)
{
	return ((MysqlOptions *) stream->rel->options)->stream_mode == MYSQL_STREAM_BINLOG;
}

void
FeathubMysqlOpenStream(FeathubStream *stream)
{
	MemoryContext old = MemoryContextSwitchTo(stream->context);
	FeathubRelation *rel = stream->rel;
	MysqlOptions *options = rel->options;
	StreamState *state = palloc0(sizeof(StreamState));

	if (by_binlog(stream))
	{
		MemoryContextSwitchTo(old);
		FeathubMysqlCdcOpenStream(stream);
		return;
	}
	stream->state = state;
	state->records = FeathubMysqlRecordsMake(rel);
	FeathubMysqlStreamDescribe(stream, state->records, &state->table);
	state->page = FIRST_PAGE;
	state->rows_context = AllocSetContextCreate(stream->context, "feathub mysql stream rows",
												ALLOCSET_DEFAULT_SIZES);
	state->page_context = AllocSetContextCreate(stream->context, "feathub mysql stream page",
												ALLOCSET_DEFAULT_SIZES);
	state->conn = FeathubMysqlPrivateMake(rel->server, rel->user, options);
	MemoryContextSwitchTo(old);
}

List *
FeathubMysqlListPartitions(FeathubStream *stream)
{
	StreamState *state = stream->state;

	if (by_binlog(stream))
		return FeathubMysqlCdcListPartitions(stream);
	make_ready(stream);
	return list_make1(pstrdup(state->table.partition));
}

/* Looking at the table */

/* Connect, and see whether the table can be followed; once. */
static void
make_ready(FeathubStream *stream)
{
	StreamState *state = stream->state;
	MemoryContext old;

	if (state->ready)
		return;
	FeathubMysqlPrivateOpen(state->conn);
	if (!state->conn->mariadb)
	{
		/* else numbers of tables are those of yesterday */
		const char *sql = "SET SESSION information_schema_stats_expiry = 0";

		FeathubMysqlExecute(state->conn, sql, strlen(sql));
	}
	old = MemoryContextSwitchTo(state->page_context);
	FeathubMysqlStreamCheck(stream, state->conn, &state->table);
	MemoryContextSwitchTo(old);
	MemoryContextReset(state->page_context);
	state->ready = true;
}

/* Starting */

void
FeathubMysqlStartStream(FeathubStream *stream)
{
	StreamState *state = stream->state;
	MemoryContext old = MemoryContextSwitchTo(stream->context);

	if (by_binlog(stream))
	{
		MemoryContextSwitchTo(old);
		FeathubMysqlCdcStartStream(stream);
		return;
	}
	make_ready(stream);
	MemoryContextReset(state->rows_context);
	state->records->bound = NULL;
	state->at_end = false;
	for (int i = 0; i < stream->npartitions; i++)
	{
		FeathubStreamPartition *ours = &stream->partitions[i];
		MysqlPosition position;

		if (ours->position == NULL)
			ours->position = FeathubMysqlSeekPosition(stream, ours->name,
													  stream->start ? stream->start : "earliest");
		if (ours->mark && strcmp(ours->mark, state->table.mark) != 0)
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("the position of partition \"%s\" is of other columns", ours->name),
					 errdetail("It was reached by columns %s, and now the table is followed by %s.",
							   ours->mark, state->table.mark),
					 errhint("To follow it by these, call feathub.rewind_job and feathub.resume_job.")));
		check_position(stream, ours->position, &position);
		if (!stream->read_metadata_only)
			check_not_made_again(stream, &position);
		state->current = pstrdup(ours->position);
	}
	MemoryContextSwitchTo(old);
}

/* Parse a position, and see whether it is one of the order's columns. */
static void
check_position(FeathubStream *stream, const char *text, MysqlPosition *position)
{
	StreamState *state = stream->state;
	bool		fits = FeathubMysqlPositionParse(text, position) &&
		position->nvalues <= state->table.norder;

	for (int i = 0; fits && i < position->nvalues; i++)
		fits = FeathubMysqlPositionFits(&position->values[i], state->table.kinds[i]);
	if (!fits)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("position \"%s\" does not fit partition \"%s\"", text, state->table.partition),
				 errdetail("The table is followed by columns %s.", state->table.mark),
				 errhint("To follow it by these, call feathub.rewind_job and feathub.resume_job.")));
}

/* A counter that has gone back means that its table was emptied or made again. */
static void
check_not_made_again(FeathubStream *stream, const MysqlPosition *position)
{
	StreamState *state = stream->state;
	StringInfoData sql;
	MysqlResult *result;
	char	  **values;
	unsigned long *lengths;
	bool		again;

	if (!state->table.auto_increment || position->nvalues == 0)
		return;
	initStringInfo(&sql);
	appendStringInfoString(&sql, "SELECT auto_increment <= ");
	FeathubMysqlPositionLiteral(&sql, &position->values[0], state->table.kinds[0]);
	appendStringInfo(&sql, ", auto_increment FROM information_schema.tables%s", state->table.schema_where);
	result = FeathubMysqlQuery(state->conn, sql.data, sql.len);
	again = FeathubMysqlFetch(result, &values, &lengths) && values[0] &&
		strcmp(values[0], "1") == 0 && !position->before;
	if (again)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("table %s of foreign server \"%s\" is not the one that the job has followed",
						state->table.quoted_name, stream->rel->server->servername),
				 errdetail("Its next number is %s, and the job's position %s.",
						   values[1], position->values[0].text),
				 errhint("It may have been emptied or made again. To follow the new one, call feathub.rewind_job and feathub.resume_job.")));
	FeathubMysqlCloseResult(result);
}

/* Statements */

/* WHERE: what is behind the position, and old enough. */
static void
append_where(FeathubStream *stream, StringInfo sql, const MysqlPosition *position)
{
	StreamState *state = stream->state;
	int			n = position ? position->nvalues : 0;

	appendStringInfo(sql, " WHERE %s IS NOT NULL", state->table.quoted[0]);
	if (state->table.kinds[0] != MYSQL_ORDER_INTEGER)
		appendStringInfo(sql, " AND %s >= TIMESTAMP'0001-01-01 00:00:00'", state->table.quoted[0]);
	append_horizon(stream, sql);
	if (n == 0)
		return;

	/* a bound that any optimizer understands, then the rest */
	appendStringInfo(sql, " AND %s >= ", state->table.quoted[0]);
	FeathubMysqlPositionLiteral(sql, &position->values[0], state->table.kinds[0]);
	appendStringInfoString(sql, " AND ");
	for (int i = 0; i < n; i++)
	{
		bool		last = i == n - 1;
		bool		strict = !last || (n == state->table.norder && !position->before);

		appendStringInfo(sql, "%s%s %s ", last ? "" : "(", state->table.quoted[i], strict ? ">" : ">=");
		FeathubMysqlPositionLiteral(sql, &position->values[i], state->table.kinds[i]);
		if (last)
			break;
		appendStringInfo(sql, " OR (%s = ", state->table.quoted[i]);
		FeathubMysqlPositionLiteral(sql, &position->values[i], state->table.kinds[i]);
		appendStringInfoString(sql, " AND ");
	}
	for (int i = 0; i < n - 1; i++)
		appendStringInfoString(sql, "))");
}

/*
 * Leave the latest rows alone.  "Now" has the column's precision and is itself
 * left out: a second (of a column of seconds) is over before it is read.
 */
static void
append_horizon(FeathubStream *stream, StringInfo sql)
{
	StreamState *state = stream->state;
	MysqlOptions *options = stream->rel->options;

	if (state->table.kinds[0] == MYSQL_ORDER_INTEGER)
	{
		if (options->stream_lag > 0)
			appendStringInfo(sql, " AND %s <= (SELECT CAST(MAX(%s) AS DECIMAL(30)) FROM %s) - %d",
							 state->table.quoted[0], state->table.quoted[0], state->table.quoted_name, options->stream_lag);
		return;
	}
	appendStringInfo(sql, " AND %s < ", state->table.quoted[0]);
	if (state->table.kinds[0] == MYSQL_ORDER_TIMESTAMP)
		appendStringInfo(sql, "NOW(%d)", state->table.precision);	/* the session is in UTC */
	else
	{
		appendStringInfo(sql, "CONVERT_TZ(UTC_TIMESTAMP(%d), '+00:00', ", state->table.precision);
		if (options->stream_time_zone)
			FeathubMysqlQuoteString(sql, options->stream_time_zone, strlen(options->stream_time_zone));
		else
			appendStringInfoString(sql, "@@GLOBAL.time_zone");
		appendStringInfoChar(sql, ')');
	}
	appendStringInfo(sql, " - INTERVAL %d SECOND", options->stream_lag);
}

static void
append_order(StreamState *state, StringInfo sql, const char *direction)
{
	appendStringInfoString(sql, " ORDER BY ");
	for (int i = 0; i < state->table.norder; i++)
		appendStringInfo(sql, "%s%s%s", i ? ", " : "", state->table.quoted[i], direction);
}

/* Positions */

char *
FeathubMysqlSeekPosition(FeathubStream *stream, const char *name, const char *target)
{
	StreamState *state = stream->state;
	MysqlPosition position;
	Size		sign = target[0] == '-';
	Size		len = sign + strspn(target + sign, "0123456789");

	if (by_binlog(stream))
		return FeathubMysqlCdcSeekPosition(stream, name, target);
	make_ready(stream);
	if (pg_strcasecmp(target, "earliest") == 0)
		return pstrdup("0:");
	if (pg_strcasecmp(target, "latest") == 0)
		return latest_position(stream);
	if (FeathubMysqlPositionParse(target, &position))
	{
		check_position(stream, target, &position);
		return pstrdup(target);
	}
	if (state->table.kinds[0] == MYSQL_ORDER_INTEGER && len > sign && len < 21 && target[len] == '\0')
		return psprintf("0<%s", target);
	if (state->table.kinds[0] != MYSQL_ORDER_INTEGER && isdigit((unsigned char) target[0]))
		return position_of_time(stream, target);
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("invalid position: \"%s\"", target),
			 state->table.kinds[0] == MYSQL_ORDER_INTEGER ?
			 errhint("Valid positions are \"earliest\", \"latest\", and a value of column %s.",
					 state->table.quoted[0]) :
			 errhint("Valid positions are \"earliest\", \"latest\", and a time like \"2013-06-01 12:00:00+00\".")));
}

/* The last row that may be taken now. */
static char *
latest_position(FeathubStream *stream)
{
	StreamState *state = stream->state;
	MysqlPosition position = {0};
	StringInfoData sql;
	StringInfoData text;
	MysqlResult *result;
	char	  **values;
	unsigned long *lengths;

	initStringInfo(&sql);
	appendStringInfoString(&sql, "SELECT ");
	for (int i = 0; i < state->table.norder; i++)
		appendStringInfo(&sql, "%s%s", i ? ", " : "", state->table.quoted[i]);
	appendStringInfo(&sql, " FROM %s", state->table.quoted_name);
	append_where(stream, &sql, NULL);
	append_order(state, &sql, " DESC");
	appendStringInfoString(&sql, " LIMIT 1");
	result = FeathubMysqlQuery(state->conn, sql.data, sql.len);
	if (FeathubMysqlFetch(result, &values, &lengths))
	{
		position.nvalues = state->table.norder;
		for (int i = 0; i < state->table.norder; i++)
			FeathubMysqlPositionValue(&position.values[i], state->table.kinds[i], values[i], lengths[i]);
	}
	FeathubMysqlCloseResult(result);
	initStringInfo(&text);
	FeathubMysqlPositionAppend(&text, &position);
	return text.data;
}

/* Just before the first row of a time; a DATETIME's is in its own zone. */
static char *
position_of_time(FeathubStream *stream, const char *target)
{
	StreamState *state = stream->state;
	PGFunction	input = state->table.kinds[0] == MYSQL_ORDER_TIMESTAMP ? timestamptz_in : timestamp_in;
	Timestamp	time;
	struct pg_tm tm;
	fsec_t		fsec;
	char		text[MAXDATELEN + 1];

	time = DatumGetTimestamp(DirectFunctionCall3(input, CStringGetDatum(target),
												 ObjectIdGetDatum(InvalidOid),
												 Int32GetDatum(-1)));
	if (TIMESTAMP_NOT_FINITE(time) || timestamp2tm(time, NULL, &tm, &fsec, NULL, NULL) != 0 ||
		tm.tm_year < 1 || tm.tm_year > 9999)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid position: \"%s\"", target)));
	EncodeDateTime(&tm, fsec, false, 0, NULL, USE_ISO_DATES, text);
	return psprintf("0<'%s'", text);
}

char *
FeathubMysqlRecordPosition(FeathubStream *stream, const FeathubRecord *record)
{
	MysqlPosition position;
	StringInfoData text;

	if (by_binlog(stream))
		return FeathubMysqlCdcRecordPosition(stream, record);
	row_position(stream->state, record->raw, &position);
	position.before = true;
	position.number = record->sequence;
	initStringInfo(&text);
	FeathubMysqlPositionAppend(&text, &position);
	return text.data;
}

char *
FeathubMysqlRecordIdentity(FeathubStream *stream, const FeathubRecord *record)
{
	MysqlPosition position;
	StringInfoData text;

	if (by_binlog(stream))
		return FeathubMysqlCdcRecordIdentity(stream, record);
	/* its number depends on the rows before it, which may have moved */
	row_position(stream->state, record->raw, &position);
	initStringInfo(&text);
	FeathubMysqlPositionAppend(&text, &position);
	return text.data;
}

static void
row_position(StreamState *state, const StreamRow *row, MysqlPosition *position)
{
	memset(position, 0, sizeof(MysqlPosition));
	position->nvalues = state->table.norder;
	for (int i = 0; i < state->table.norder; i++)
		FeathubMysqlPositionValue(&position->values[i], state->table.kinds[i],
								  row->values[state->records->ncolumns + i],
								  row->lengths[state->records->ncolumns + i]);
}

/* Polling */

int
FeathubMysqlPoll(FeathubStream *stream, FeathubRecord *records, int max,
				 Size max_bytes, long timeout)
{
	TimestampTz deadline = TimestampTzPlusMilliseconds(FeathubClock(), Max(timeout, 0));

	if (by_binlog(stream))
		return FeathubMysqlCdcPoll(stream, records, max, max_bytes, timeout);
	for (;;)
	{
		int			n;
		long		wait;

		CHECK_FOR_INTERRUPTS();
		n = read_page(stream, records, max, max_bytes);
		if (n > 0)
			return n;
		wait = TimestampDifferenceMilliseconds(FeathubClock(), deadline);
		if (wait <= 0 ||
			(WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
					   Min(wait, ASK_INTERVAL),
					   FEATHUB_WAIT_EVENT("FeathubMysqlStream")) & WL_LATCH_SET))
			return 0;
	}
}

/* Ask for the rows behind the current position, up to max and max_bytes. */
static int
read_page(FeathubStream *stream, FeathubRecord *records, int max, Size max_bytes)
{
	StreamState *state = stream->state;
	MemoryContext old = MemoryContextSwitchTo(state->page_context);
	int			limit = Min(max, state->page);
	MysqlPosition position;
	MysqlFields *page;
	StringInfoData sql;
	MysqlResult *result;
	char	  **values;
	unsigned long *lengths;
	Size		bytes = 0;
	int			n = 0;

	check_position(stream, state->current, &position);
	initStringInfo(&sql);
	appendStringInfoString(&sql, state->table.select);
	append_where(stream, &sql, &position);
	append_order(state, &sql, "");
	appendStringInfo(&sql, " LIMIT %d", limit);
	result = FeathubMysqlQuery(state->conn, sql.data, sql.len);

	MemoryContextSwitchTo(state->rows_context);
	page = FeathubMysqlFieldsMake(FeathubMysqlFieldCount(result));
	memcpy(page->fields, FeathubMysqlFields(result), sizeof(MysqlField) * page->nfields);
	while ((n == 0 || bytes < max_bytes) && FeathubMysqlFetch(result, &values, &lengths))
	{
		bytes += take_row(stream, page, values, lengths, &records[n]);
		records[n++].sequence = position.number++;
	}
	state->at_end = n < limit && bytes < max_bytes;
	if (n > 0)
	{
		StringInfoData text;
		MysqlPosition last;
		int64		number = position.number;

		row_position(state, records[n - 1].raw, &last);
		last.number = number;
		initStringInfo(&text);
		FeathubMysqlPositionAppend(&text, &last);
		pfree(state->current);
		state->current = MemoryContextStrdup(stream->context, text.data);
		stream->partitions[0].next_position = text.data;
		stream->partitions[0].next_mark = state->table.mark;
		state->page = Max(Min(PAGE_BYTES / (bytes / n + 1), MAX_PAGE), MIN_PAGE);
	}
	else
		pfree(page);
	MemoryContextSwitchTo(state->page_context);
	FeathubMysqlCloseResult(result);
	MemoryContextSwitchTo(old);
	MemoryContextReset(state->page_context);
	return n;
}

/* Keep a row, and make a record of it; its size. */
static Size
take_row(FeathubStream *stream, const MysqlFields *page, char **values,
		 unsigned long *lengths, FeathubRecord *record)
{
	StreamState *state = stream->state;
	StreamRow  *row = palloc(sizeof(StreamRow));
	Size		size = 0;
	char	   *p;

	for (int i = 0; i < page->nfields; i++)
		size += values[i] ? lengths[i] + 1 : 0;
	row->page = page;
	row->values = palloc(sizeof(char *) * page->nfields);
	row->lengths = palloc(sizeof(unsigned long) * page->nfields);
	p = MemoryContextAllocHuge(CurrentMemoryContext, size + 1);
	for (int i = 0; i < page->nfields; i++)
	{
		row->values[i] = NULL;
		row->lengths[i] = 0;
		if (values[i] == NULL)
			continue;
		memcpy(p, values[i], lengths[i]);
		p[lengths[i]] = '\0';
		row->values[i] = p;
		row->lengths[i] = lengths[i];
		p += lengths[i] + 1;
	}
	record->partition = 0;
	record->key = NULL;
	record->key_len = 0;
	record->value = "";			/* until FeathubMysqlRecordValue */
	record->value_len = 0;
	record->timestamp = DT_NOBEGIN;
	record->raw = row;
	if (state->table.kinds[0] == MYSQL_ORDER_TIMESTAMP)
	{
		char		text[64];

		snprintf(text, sizeof(text), "%s+00", row->values[state->records->ncolumns]);
		record->timestamp = DatumGetTimestampTz(DirectFunctionCall3(timestamptz_in,
																	CStringGetDatum(text),
																	ObjectIdGetDatum(InvalidOid),
																	Int32GetDatum(-1)));
	}
	return size;
}

void
FeathubMysqlReleaseRecords(FeathubStream *stream)
{
	StreamState *state = stream->state;

	if (by_binlog(stream))
	{
		FeathubMysqlCdcReleaseRecords(stream);
		return;
	}
	MemoryContextReset(state->rows_context);
	state->records->bound = NULL;
}

/* Records */

bool
FeathubMysqlDecodeRecord(FeathubStream *stream, FeathubRecord *record,
						 Datum *values, bool *isnull, FeathubDecodeError *error)
{
	StreamState *state = stream->state;
	const StreamRow *row = record->raw;

	if (by_binlog(stream))
		return FeathubMysqlCdcDecodeRecord(stream, record, values, isnull, error);
	FeathubMysqlRecordsDecode(state->records, row->page, row->values, row->lengths,
							  values, isnull);
	return true;
}

void
FeathubMysqlRecordValue(FeathubStream *stream, FeathubRecord *record)
{
	StreamState *state = stream->state;
	const StreamRow *row = record->raw;
	StringInfoData json;

	if (by_binlog(stream))
	{
		FeathubMysqlCdcRecordValue(stream, record);
		return;
	}
	initStringInfo(&json);
	FeathubMysqlRecordsJson(state->records, &json, row->values, row->lengths);
	record->value = json.data;
	record->value_len = json.len;
}

/* What the columns are there, by which their text is read again. */
Datum
FeathubMysqlRecordHeaders(FeathubStream *stream, const FeathubRecord *record, bool *isnull)
{
	StreamState *state = stream->state;
	StringInfoData json;

	if (by_binlog(stream))
		return FeathubMysqlCdcRecordHeaders(stream, record, isnull);
	initStringInfo(&json);
	appendStringInfoChar(&json, '{');
	FeathubMysqlRecordsHeader(state->records, &json, ((const StreamRow *) record->raw)->page);
	appendStringInfoChar(&json, '}');
	*isnull = false;
	return DirectFunctionCall1(jsonb_in, CStringGetDatum(json.data));
}

bool
FeathubMysqlDecodeStored(FeathubStream *stream, const char *partition,
						 FeathubRecord *record, Datum headers, bool headers_isnull,
						 Datum *values, bool *isnull, FeathubDecodeError *error)
{
	StreamState *state = stream->state;

	if (by_binlog(stream))
		return FeathubMysqlCdcDecodeStored(stream, record, headers, headers_isnull, values,
									   isnull);
	FeathubMysqlRecordsDecodeStored(state->records, record, headers, headers_isnull,
									values, isnull);
	return true;
}

void
FeathubMysqlDescribeRecord(FeathubStream *stream, const FeathubRecord *record, StringInfo out)
{
	StreamState *state = stream->state;
	const StreamRow *row = record->raw;

	if (by_binlog(stream))
	{
		FeathubMysqlCdcDescribeRecord(stream, record, out);
		return;
	}
	appendStringInfo(out, "table %s row", state->table.quoted_name);
	for (int i = 0; i < state->table.norder; i++)
	{
		MysqlPositionValue value;

		FeathubMysqlPositionValue(&value, state->table.kinds[i], row->values[state->records->ncolumns + i],
								  row->lengths[state->records->ncolumns + i]);
		appendStringInfo(out, "%s %s = %s%s", i ? "," : "", state->table.quoted[i],
						 value.tag == 'x' ? "0x" : "", value.text);
	}
}

/* The server has no use for how far a job has come. */
void
FeathubMysqlCommitPositions(FeathubStream *stream)
{
}

/* How many rows are left is known only when it is none but those at hand. */
void
FeathubMysqlPartitionStatus(FeathubStream *stream)
{
	StreamState *state = stream->state;

	if (by_binlog(stream))
	{
		FeathubMysqlCdcPartitionStatus(stream);
		return;
	}
	for (int i = 0; i < stream->npartitions; i++)
	{
		FeathubStreamPartition *ours = &stream->partitions[i];

		ours->end_position = state->at_end ? state->current : NULL;
		ours->lag = -1;
		if (state->at_end && ours->position)
			ours->lag = Max(strtoll(state->current, NULL, 10) - strtoll(ours->position, NULL, 10), 0);
	}
}

void
FeathubMysqlCloseStream(FeathubStream *stream)
{
	StreamState *state = stream->state;

	if (by_binlog(stream))
	{
		FeathubMysqlCdcCloseStream(stream);
		return;
	}
	if (state == NULL)
		return;
	FeathubMysqlDisconnect(state->conn);
	stream->state = NULL;
}
