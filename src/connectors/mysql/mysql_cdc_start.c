/*
 * mysql_cdc_start.c
 *		Following a table by the server's binary log: where to begin.
 *
 *		position -> is it of this server? -> the log is asked for, by GTIDs or place
 *
 * By GTIDs, a job goes on at another server that has executed what the job has
 * applied: a replica that took over.  Without them a position is of one server.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "storage/latch.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "connectors/mysql/mysql_binlog_client.h"
#include "connectors/mysql/mysql_cdc.h"
#include "core/clock.h"

/* For how long what the server has sent may not be executed there; asked so often; in ms. */
#define EXECUTED_WAIT		5000
#define ASK_EXECUTED		20

/* In the place of a file that is to be found by GTIDs; before any other. */
#define NO_FILE				"none.0"

static void check_mark(FeathubStream *stream, const FeathubStreamPartition *ours,
					   const MysqlCdcPosition *position);
static bool is_other_server(MysqlCdcState *state, const char *mark);
static void begin_reading(FeathubStream *stream, MysqlCdcPosition *position, bool moved);
static char *first_log(FeathubStream *stream);

/* Connect, and see whether the table can be followed; once. */
void
FeathubMysqlCdcMakeReady(FeathubStream *stream)
{
	MysqlCdcState *state = stream->state;
	MemoryContext old;

	if (state->ready)
		return;
	FeathubMysqlPrivateOpen(state->query);
	if (!state->query->mariadb)
	{
		/* else information_schema may be that of yesterday */
		const char *sql = "SET SESSION information_schema_stats_expiry = 0";

		FeathubMysqlExecute(state->query, sql, strlen(sql));
	}
	old = MemoryContextSwitchTo(state->poll_context);
	FeathubMysqlPreflight(stream, state->query, state->table);
	MemoryContextSwitchTo(old);
	MemoryContextReset(state->poll_context);
	state->ready = true;
}

void
FeathubMysqlCdcStartStream(FeathubStream *stream)
{
	MemoryContext old = MemoryContextSwitchTo(stream->context);

	FeathubMysqlCdcMakeReady(stream);
	for (int i = 0; i < stream->npartitions; i++)
	{
		FeathubStreamPartition *ours = &stream->partitions[i];
		MysqlCdcPosition position;

		if (ours->position == NULL)
			ours->position = FeathubMysqlCdcSeekPosition(stream, ours->name,
														 stream->start ? stream->start : "earliest");
		if (!FeathubMysqlCdcPositionParse(ours->position, &position))
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("position \"%s\" of partition \"%s\" is none in a binary log",
							ours->position, ours->name),
					 errhint("The table was followed in another way. To follow it anew, call feathub.rewind_job and feathub.resume_job.")));
		check_mark(stream, ours, &position);
		if (!stream->read_metadata_only)
			begin_reading(stream, &position, is_other_server(stream->state, ours->mark));
	}
	MemoryContextSwitchTo(old);
}

/* The server's name and the key, which the position depends on. */
char *
FeathubMysqlCdcMark(const MysqlCdcState *state)
{
	return psprintf("%s %s", state->table->source ? state->table->source : "-", state->table->mark);
}

/* Is it the server that the position is of?  By GTIDs, another one will do. */
static void
check_mark(FeathubStream *stream, const FeathubStreamPartition *ours,
		   const MysqlCdcPosition *position)
{
	MysqlCdcState *state = stream->state;

	if (ours->mark == NULL || position->file == NULL ||
		strcmp(ours->mark, FeathubMysqlCdcMark(state)) == 0 ||
		(state->table->gtid && position->gtids && !position->snapshot))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("the position of partition \"%s\" is of another server or key", ours->name),
			 errdetail("It was reached on %s, and now the table is followed on %s.",
					   ours->mark, FeathubMysqlCdcMark(state)),
			 errhint("To read the table anew, call feathub.rewind_job with 'earliest' and feathub.resume_job.")));
}

/* A set of GTIDs from its text. */
static MysqlGtidSet *
parse_set(FeathubStream *stream, bool mariadb, const char *text)
{
	MysqlGtidSet *set = FeathubMysqlGtidSetMake(mariadb);
	char	   *error = NULL;

	if (!FeathubMysqlGtidSetParse(set, text, &error))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("position of foreign table \"%s\" has no valid set of GTIDs: %s",
						stream->rel->relname, error ? error : text)));
	return set;
}

/* Was the position reached on another server than the one at hand? */
static bool
is_other_server(MysqlCdcState *state, const char *mark)
{
	Size		len = mark ? strcspn(mark, " ") : 0;

	return mark && state->table->source && strcmp(mark, "-") != 0 &&
		(strlen(state->table->source) != len || strncmp(mark, state->table->source, len) != 0);
}

/* Forget what is of the server where a position was reached: places in its log. */
static void
leave_server(MysqlCdcPosition *position)
{
	List	   *places = NIL;
	ListCell   *lc;

	ereport(LOG,
			(errmsg("going on at another server, by GTIDs"),
			 errdetail("The position is %s:" UINT64_FORMAT " there.",
					   position->file, position->position)));
	position->file = pstrdup(NO_FILE);
	position->position = 4;

	/* they will be looked for here */
	foreach(lc, position->xa)
	{
		MysqlCdcXa *xa = lfirst(lc);

		if (xa->file == NULL)
			places = lappend(places, xa);
	}
	position->xa = places;
}

/*
 * The server must have all that was applied: a replica that was behind when it
 * took over has not, nor has one that lost its last transactions.  MariaDB sees to
 * it itself.
 */
static void
check_executed(FeathubStream *stream)
{
	MysqlCdcState *state = stream->state;
	TimestampTz deadline = TimestampTzPlusMilliseconds(FeathubClock(), EXECUTED_WAIT);
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfoString(&sql, "SELECT GTID_SUBTRACT('");
	FeathubMysqlGtidSetAppend(&sql, state->executed);
	appendStringInfoString(&sql, "', @@global.gtid_executed)");
	for (;;)
	{
		MysqlResult *result = FeathubMysqlQuery(state->query, sql.data, sql.len);
		char	   *missing = NULL;
		char	  **values;
		unsigned long *lengths;

		if (FeathubMysqlFetch(result, &values, &lengths) && values[0] && values[0][0] != '\0')
			missing = pstrdup(values[0]);
		FeathubMysqlCloseResult(result);
		if (missing == NULL)
			break;
		/* what it has sent it notes as executed a moment later */
		if (FeathubClock() >= deadline)
			FeathubMysqlLacksExecuted(stream->rel->server->servername, missing);
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, ASK_EXECUTED,
						 FEATHUB_WAIT_EVENT("FeathubMysql"));
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
	}
	pfree(sql.data);
}

static void
begin_reading(FeathubStream *stream, MysqlCdcPosition *position, bool moved)
{
	MysqlCdcState *state = stream->state;
	MysqlOptions *options = stream->rel->options;
	MysqlDumpRequest request = {0};
	MysqlCdcPosition end;
	bool		checksums;

	if (state->dump->mysql != NULL)
		elog(ERROR, "the binary log is being read already");
	FeathubMysqlLogEnd(stream, state->query, state->table, &end);
	if (position->file == NULL && position->gtids == NULL)
	{
		position->file = end.file;
		position->position = end.position;
		position->gtids = end.gtids;
	}
	else if (position->file == NULL)
	{
		/* by GTIDs alone: the server will tell where they are */
		position->file = pstrdup(NO_FILE);
		position->position = 4;
	}
	if (moved && position->gtids)
		leave_server(position);
	if (position->gtids == NULL && state->query->mariadb)
		position->gtids = FeathubMysqlGtidsAt(state->query, position->file, position->position);
	state->at = *position;
	state->copied = position->cursor.number;
	strlcpy(state->file, position->file, sizeof(state->file));
	state->at.file = state->file;
	state->executed = NULL;
	if (position->gtids && state->table->gtid)
		state->executed = parse_set(stream, state->query->mariadb, position->gtids);
	if (state->executed && !state->query->mariadb)
		check_executed(stream);

	request.server_id = state->server_id;
	request.heartbeat = options->heartbeat_interval;
	request.uuid = state->uuid;
	request.gtids = state->executed;
	request.file = position->file;
	request.position = position->position;
	FeathubMysqlPrivateOpen(state->dump);
	checksums = FeathubMysqlDumpStart(state->dump, &request);
	FeathubMysqlCdcReaderStart(state->reader, position, state->query->mariadb, checksums);
	state->note_at = state->last_note = FeathubClock();
	state->moved = moved;
}

/* Positions */

char *
FeathubMysqlCdcSeekPosition(FeathubStream *stream, const char *name, const char *target)
{
	MysqlCdcState *state = stream->state;
	MysqlOptions *options = stream->rel->options;
	MysqlCdcPosition position;
	StringInfoData text;
	char	   *error = NULL;

	FeathubMysqlCdcMakeReady(stream);
	memset(&position, 0, sizeof(position));
	initStringInfo(&text);
	if (FeathubMysqlCdcPositionParse(target, &position))
		return pstrdup(target);
	memset(&position, 0, sizeof(position));
	if (pg_strcasecmp(target, "earliest") == 0 &&
		options->snapshot_mode == MYSQL_SNAPSHOT_INITIAL)
		position.snapshot = true;
	else if (pg_strcasecmp(target, "earliest") == 0)
	{
		position.file = first_log(stream);
		position.position = 4;
	}
	else if (pg_strcasecmp(target, "latest") == 0)
	{
		char	   *gtids = state->query->mariadb ? FeathubMysqlGtidsNow(state->query) : NULL;

		FeathubMysqlLogEnd(stream, state->query, state->table, &position);
		if (gtids)
			position.gtids = gtids;
	}
	else if (!FeathubMysqlCdcPlaceParse(target, &position.file, &position.position))
	{
		position.file = NULL;
		/* a date would be a GTID of MariaDB: 2024-01-31 */
		if (!state->table->gtid || target[0] == '\0' ||
			(state->query->mariadb && strlen(target) == 10 && target[4] == '-' && target[7] == '-') ||
			!FeathubMysqlGtidSetParse(FeathubMysqlGtidSetMake(state->query->mariadb),
									  target, &error))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("invalid position: \"%s\"", target),
					 errhint("Valid positions are \"earliest\", \"latest\", a place in the server's binary log like \"mariadb-bin.000001:4\", and a set of GTIDs.")));
		position.gtids = pstrdup(target);
		for (char *p = position.gtids, *from = p;; from++)
		{
			if (*from != ' ' && *from != '\n')
				*p++ = *from;
			if (*from == '\0')
				break;
		}
	}
	FeathubMysqlCdcPositionAppend(&text, &position);
	return text.data;
}

/* The oldest file of the log that the server has. */
static char *
first_log(FeathubStream *stream)
{
	MysqlCdcState *state = stream->state;
	const char *sql = "SHOW BINARY LOGS";
	MysqlResult *result = FeathubMysqlQuery(state->query, sql, strlen(sql));
	char	  **values;
	unsigned long *lengths;
	char	   *file = NULL;

	if (FeathubMysqlFetch(result, &values, &lengths))
		file = pstrdup(values[0]);
	FeathubMysqlCloseResult(result);
	if (file == NULL)
		FeathubMysqlNotFollowable(stream, "The server has no binary log: log_bin is OFF.",
								  "Start the server with log_bin.");
	return file;
}
