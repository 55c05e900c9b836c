/*
 * mysql_cdc.c
 *		Following a table by the server's binary log: the streaming callbacks.
 *
 *		[ first copy: chunk by chunk, between events ] -> inserts, updates, deletes
 *
 * A table is one partition, "<table>-0".  The log comes by a connection of its
 * own (mysql_binlog_client.c), is decoded (mysql_binlog.c) and queued
 * (mysql_cdc_queue.c); another connection looks at the server and reads the
 * first copy (mysql_snapshot.c).  Where to begin is found in mysql_cdc_start.c.
 *
 * A position is the begin of a transaction with the number of its records that
 * are applied, so reading always restarts at a transaction: by GTIDs where the
 * server has them, else by file and position.
 */
#include "postgres.h"

#include "access/xlog.h"
#include "common/hashfn.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "storage/latch.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/json.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "connectors/mysql/mysql_binlog_client.h"
#include "connectors/mysql/mysql_cdc.h"
#include "core/clock.h"

/* Milliseconds until a place in the log without records is noted: at first, at most. */
#define NOTE_PLACE_FIRST	50
#define NOTE_PLACE_MAX		2000

/* How often the end of the log is asked for, in ms. */
#define ASK_END				1000

/* A chunk that the server is not ready for is asked for again after so many ms. */
#define ASK_CHUNK			20

static void make_identity(FeathubStream *stream, uint64 seed, uint32 *server_id, char *uuid);
static bool hand_out(FeathubStream *stream, FeathubRecord *record);
static void hand_out_row(FeathubStream *stream, MysqlCdcItem *item, FeathubRecord *record);
static void pass_place(FeathubStream *stream, const MysqlCdcItem *item);
static bool hand_out_copy(FeathubStream *stream, FeathubRecord *record);
static bool want_chunk(MysqlCdcState *state);
static bool chunk_is_due(MysqlCdcState *state);
static void note_position(FeathubStream *stream, int n);
static void raise_stop(FeathubStream *stream);
static void look_at_end(FeathubStream *stream);
static char *position_text(MysqlCdcState *state);

void
FeathubMysqlCdcOpenStream(FeathubStream *stream)
{
	MemoryContext old = MemoryContextSwitchTo(stream->context);
	MysqlOptions *options = stream->rel->options;
	MysqlCdcState *state = palloc0(sizeof(MysqlCdcState));

	stream->state = state;
	state->table = FeathubMysqlPreflightPrepare(stream);
	state->records = FeathubMysqlRecordsMake(stream->rel);
	state->partition = psprintf("%s-0", options->table_name);
	state->handed_context = AllocSetContextCreate(stream->context, "feathub mysql records",
												  ALLOCSET_DEFAULT_SIZES);
	state->poll_context = AllocSetContextCreate(stream->context, "feathub mysql poll",
												ALLOCSET_DEFAULT_SIZES);
	state->note_interval = NOTE_PLACE_FIRST;
	make_identity(stream, 0, &state->server_id, state->uuid);
	if (options->server_id)
		state->server_id = options->server_id;
	state->query = FeathubMysqlPrivateMake(stream->rel->server, stream->rel->user, options);
	state->dump = FeathubMysqlPrivateMake(stream->rel->server, stream->rel->user, options);
	state->snapshot = FeathubMysqlSnapshotMake(stream, state->table, state->records);
	state->reader = FeathubMysqlCdcReaderMake(stream, state->table, state->records,
											  state->query, state->snapshot);
	make_identity(stream, 2, &state->reader->again_id, state->reader->again_uuid);
	MemoryContextSwitchTo(old);
}

/* As whom the server knows the job: the same each time, and no other's. */
static void
make_identity(FeathubStream *stream, uint64 seed, uint32 *server_id, char *uuid)
{
	char	   *name = psprintf(UINT64_FORMAT "/%u/%s", GetSystemIdentifier(), MyDatabaseId,
								stream->job_name ? stream->job_name : "");
	uint64		high = hash_bytes_extended((unsigned char *) name, strlen(name), seed + 1);
	uint64		low = hash_bytes_extended((unsigned char *) name, strlen(name), seed + 2);

	snprintf(uuid, sizeof(((MysqlCdcState *) 0)->uuid), "%08x-%04x-%04x-%04x-%012llx",
			 (uint32) (high >> 32), (uint32) (high >> 16) & 0xffff, (uint32) high & 0xffff,
			 (uint32) (low >> 48), (unsigned long long) (low & UINT64CONST(0xffffffffffff)));
	/* not one of the small numbers that people give */
	*server_id = (uint32) low | UINT64CONST(0x80000000);
}

List *
FeathubMysqlCdcListPartitions(FeathubStream *stream)
{
	MysqlCdcState *state = stream->state;

	FeathubMysqlCdcMakeReady(stream);
	return list_make1(pstrdup(state->partition));
}

/* Positions */

/* Where we are, as text in the current context. */
static char *
position_text(MysqlCdcState *state)
{
	MysqlCdcPosition position = state->at;
	StringInfoData text;
	StringInfoData part;

	position.file = state->file;
	position.gtids = NULL;
	position.transaction = NULL;
	if (state->executed)
	{
		initStringInfo(&part);
		FeathubMysqlGtidSetAppend(&part, state->executed);
		position.gtids = part.data;
	}
	if (position.rows > 0 && state->transaction.kind != MYSQL_GTID_NONE)
	{
		initStringInfo(&part);
		FeathubMysqlGtidAppend(&part, &state->transaction);
		position.transaction = part.data;
	}
	initStringInfo(&text);
	FeathubMysqlCdcPositionAppend(&text, &position);
	return text.data;
}

char *
FeathubMysqlCdcRecordPosition(FeathubStream *stream, const FeathubRecord *record)
{
	MysqlCdcState *state = stream->state;
	const MysqlCdcItem *item = record->raw;
	MysqlCdcPosition position = {0};
	StringInfoData text;

	position.number = record->sequence;
	position.snapshot = state->at.snapshot || item->copied;
	position.file = state->file;
	if (item->copied)
	{
		FeathubMysqlSnapshotKey(state->snapshot, item->copied, &position.cursor);
		position.cursor.before = true;
	}
	else
	{
		position.file = item->transaction->file;
		position.position = item->transaction->start;
		position.rows = item->index;
		if (item->transaction->gtid.kind != MYSQL_GTID_NONE)
		{
			StringInfoData gtid;

			initStringInfo(&gtid);
			FeathubMysqlGtidAppend(&gtid, &item->transaction->gtid);
			position.transaction = gtid.data;
		}
	}
	initStringInfo(&text);
	FeathubMysqlCdcPositionAppend(&text, &position);
	return text.data;
}

char *
FeathubMysqlCdcRecordIdentity(FeathubStream *stream, const FeathubRecord *record)
{
	MysqlCdcState *state = stream->state;
	const MysqlCdcItem *item = record->raw;
	MysqlCdcPosition position = {0};
	StringInfoData text;

	/* the number and the log's end at a copied row may be others next time */
	position.snapshot = item->copied != NULL;
	if (item->copied)
		FeathubMysqlSnapshotKey(state->snapshot, item->copied, &position.cursor);
	else
	{
		position.file = item->transaction->file;
		position.position = item->transaction->start;
		position.rows = item->index;
	}
	initStringInfo(&text);
	FeathubMysqlCdcPositionAppend(&text, &position);
	return text.data;
}

/* Polling */

int
FeathubMysqlCdcPoll(FeathubStream *stream, FeathubRecord *records, int max, Size max_bytes,
					long timeout)
{
	MysqlCdcState *state = stream->state;
	MemoryContext old = MemoryContextSwitchTo(state->poll_context);
	TimestampTz deadline = TimestampTzPlusMilliseconds(FeathubClock(), Max(timeout, 0));
	Size		bytes = 0;
	int			n = 0;

	for (int turn = 1;; turn++)
	{
		const char *data;
		Size		len;
		long		wait = 0;

		while (n < max && (n == 0 || bytes < max_bytes) && hand_out(stream, &records[n]))
			bytes += ((const MysqlCdcItem *) records[n++].raw)->bytes;
		if (n == max || bytes >= max_bytes)
			break;
		if ((turn & 63) == 0)
			CHECK_FOR_INTERRUPTS();
		if (n == 0 && ((turn & 63) == 0 || state->reader->stop.message))
		{
			wait = TimestampDifferenceMilliseconds(FeathubClock(), deadline);
			if (wait <= 0)
				break;
		}
		if (state->reader->stop.message)
		{
			if (n > 0)
				break;
			raise_stop(stream);
			/* records of this batch are still to be applied */
			(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, wait,
							 FEATHUB_WAIT_EVENT("FeathubMysqlBinlog"));
			break;
		}
		if (want_chunk(state) && FeathubClock() >= state->next_chunk)
		{
			if (!FeathubMysqlCdcXaVisible(state->reader, state->query) ||
				!FeathubMysqlSnapshotRead(state->snapshot, state->query, &state->at.cursor,
										  state->reader->file, state->reader->position,
										  state->executed))
				state->next_chunk = TimestampTzPlusMilliseconds(FeathubClock(), ASK_CHUNK);
			MemoryContextReset(state->poll_context);
			continue;
		}
		if (n == 0)
		{
			wait = TimestampDifferenceMilliseconds(FeathubClock(), deadline);
			if (want_chunk(state))
				wait = Min(wait, ASK_CHUNK);
		}
		if (state->reader->again)
		{
			if (FeathubMysqlCdcAgainRead(state->reader, wait))
			{
				MemoryContextReset(state->poll_context);
				continue;
			}
		}
		else if (FeathubMysqlDumpRead(state->dump, wait, &data, &len))
		{
			FeathubMysqlCdcReaderFeed(state->reader, data, len);
			MemoryContextReset(state->poll_context);
			continue;
		}
		if (n > 0 || FeathubClock() >= deadline || MyLatch->is_set)
			break;
	}
	MemoryContextSwitchTo(old);
	note_position(stream, n);
	MemoryContextReset(state->poll_context);
	return n;
}

/* Say why the job stops, once all before it is applied. */
static void
raise_stop(FeathubStream *stream)
{
	MysqlCdcState *state = stream->state;

	if (state->nhanded > 0 || state->moved)
	{
		state->note_at = 0;		/* what was passed is to be noted now */
		return;
	}
	ereport(ERROR,
			(errcode(state->reader->stop.damaged ? ERRCODE_FDW_ERROR :
					 ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("%s", state->reader->stop.message),
			 state->reader->stop.hint ? errhint("%s", state->reader->stop.hint) : 0));
}

/* A chunk of the first copy should be read. */
static bool
want_chunk(MysqlCdcState *state)
{
	const char *file;
	uint64		position;

	return state->at.snapshot && state->reader->transaction == NULL &&
		!FeathubMysqlSnapshotPending(state->snapshot, &file, &position);
}

/* A chunk is at hand, and the log was read up to its place. */
static bool
chunk_is_due(MysqlCdcState *state)
{
	const char *file;
	uint64		position;

	return state->at.snapshot && state->reader->transaction == NULL &&
		FeathubMysqlSnapshotPending(state->snapshot, &file, &position) &&
		FeathubMysqlCdcComparePlaces(state->reader->file, state->reader->position,
									 file, position) >= 0;
}

/* The next record that is at hand; false if there is none. */
static bool
hand_out(FeathubStream *stream, FeathubRecord *record)
{
	MysqlCdcState *state = stream->state;
	MysqlCdcItem *item;

	for (;;)
	{
		item = FeathubMysqlCdcReaderTake(state->reader);
		if (item == NULL && state->reader->again)
		{
			if (!FeathubMysqlCdcAgainContinue(state->reader))
				break;
			continue;
		}
		if (item == NULL && state->reader->in_event)
		{
			CHECK_FOR_INTERRUPTS();
			FeathubMysqlCdcReaderContinue(state->reader);
			continue;
		}
		if (item == NULL)
			break;
		if (!item->is_place)
		{
			hand_out_row(stream, item, record);
			return true;
		}
		pass_place(stream, item);
		FeathubMysqlCdcItemFree(item);
	}
	return chunk_is_due(state) && hand_out_copy(stream, record);
}

/* All up to a place was handed out. */
static void
pass_place(FeathubStream *stream, const MysqlCdcItem *item)
{
	MysqlCdcState *state = stream->state;

	strlcpy(state->file, item->file, sizeof(state->file));
	state->at.position = item->position;
	state->at.rows = 0;
	if (item->gtids && state->executed == NULL && state->table->gtid)
	{
		MemoryContext old = MemoryContextSwitchTo(stream->context);
		MysqlGtidSet *set = FeathubMysqlGtidSetMake(false);
		char	   *error;

		MemoryContextSwitchTo(old);
		/* a file begins with what was executed before */
		if (FeathubMysqlGtidSetParse(set, item->gtids, &error))
			state->executed = set;
	}
	if (item->has_gtid && state->executed)
		(void) FeathubMysqlGtidSetAdd(state->executed, &item->gtid);
	if (item->xa)
	{
		MemoryContext old = MemoryContextSwitchTo(stream->context);

		state->at.xa = FeathubMysqlCdcXaRemove(state->at.xa, item->xa->xid);
		if (!item->xa_ends)
			state->at.xa = lappend(state->at.xa,
								   FeathubMysqlCdcXaMake(item->xa->xid, item->xa->file,
														 item->xa->position));
		MemoryContextSwitchTo(old);
	}
	state->moved = true;
}

/* The fields of a record that all kinds have. */
static void
fill_record(MysqlCdcState *state, FeathubRecord *record, MysqlCdcItem *item)
{
	item->next = state->handed;
	state->handed = item;
	state->nhanded++;
	state->records_read++;
	state->moved = true;
	record->partition = 0;
	record->sequence = state->at.number++;
	record->key = NULL;
	record->key_len = 0;
	record->value = "";			/* until FeathubMysqlCdcRecordValue */
	record->value_len = 0;
	record->raw = item;
}

static void
hand_out_row(FeathubStream *stream, MysqlCdcItem *item, FeathubRecord *record)
{
	MysqlCdcState *state = stream->state;
	MysqlCdcTransaction *transaction = item->transaction;

	fill_record(state, record, item);
	record->timestamp = transaction->time;
	strlcpy(state->file, transaction->file, sizeof(state->file));
	state->at.position = transaction->start;
	state->at.rows = item->index + 1;
	state->transaction = transaction->gtid;
	/* gtid_mode was changed: a set does not tell any more how far we are */
	if (transaction->gtid.kind == MYSQL_GTID_NONE)
		state->executed = NULL;
}

/* A row of the first copy, or false at the end of the chunk. */
static bool
hand_out_copy(FeathubStream *stream, FeathubRecord *record)
{
	MysqlCdcState *state = stream->state;
	const MysqlSnapshotRow *row = FeathubMysqlSnapshotNext(state->snapshot);
	MemoryContext old = MemoryContextSwitchTo(state->handed_context);
	MysqlCdcItem *item;

	if (row == NULL)
	{
		MysqlPosition cursor;

		/* the chunk's end is passed, with rows or without */
		MemoryContextSwitchTo(stream->context);
		FeathubMysqlSnapshotKey(state->snapshot, NULL, &cursor);
		if (FeathubMysqlSnapshotIsLast(state->snapshot))
			state->at.snapshot = state->reader->copying = false;
		else
			FeathubMysqlCdcCopyCursor(&state->at.cursor, &cursor);
		state->at.cursor.number = state->copied;
		state->moved = true;
		state->note_at = 0;
		state->last_copied = NULL;
		FeathubMysqlSnapshotReset(state->snapshot);
		MemoryContextSwitchTo(old);
		return false;
	}
	item = palloc0(sizeof(MysqlCdcItem));
	item->copied = row;
	item->fields = FeathubMysqlSnapshotFields(state->snapshot);
	item->values = row->values;
	item->lengths = row->lengths;
	for (int i = 0; i < state->records->ncolumns; i++)
		item->bytes += row->lengths[i];
	fill_record(state, record, item);
	record->timestamp = DT_NOBEGIN;
	state->last_copied = row;
	state->copied++;
	MemoryContextSwitchTo(old);
	return true;
}

/* What to store once the records handed out are applied. */
static void
note_position(FeathubStream *stream, int n)
{
	MysqlCdcState *state = stream->state;
	FeathubStreamPartition *ours = &stream->partitions[0];
	MemoryContext old;

	if (!state->moved || stream->npartitions == 0)
		return;
	if (n == 0 && state->nhanded == 0 && ours->next_position == NULL)
	{
		TimestampTz now = FeathubClock();

		/* nothing but places: not each is worth a transaction */
		if (now < state->note_at)
			return;
		state->note_interval = Min(state->note_interval * 2, NOTE_PLACE_MAX);
		state->note_at = TimestampTzPlusMilliseconds(now, state->note_interval);
	}
	else
	{
		state->note_interval = NOTE_PLACE_FIRST;
		state->note_at = TimestampTzPlusMilliseconds(FeathubClock(), NOTE_PLACE_FIRST);
	}
	old = MemoryContextSwitchTo(state->handed_context);
	if (state->last_copied)
	{
		MysqlPosition cursor;

		/* within a chunk, the last row handed out is the cursor */
		FeathubMysqlSnapshotKey(state->snapshot, state->last_copied, &cursor);
		MemoryContextSwitchTo(stream->context);
		FeathubMysqlCdcCopyCursor(&state->at.cursor, &cursor);
		MemoryContextSwitchTo(state->handed_context);
		state->at.cursor.number = state->copied;
	}
	ours->next_position = position_text(state);
	ours->next_mark = FeathubMysqlCdcMark(state);
	MemoryContextSwitchTo(old);
}

void
FeathubMysqlCdcReleaseRecords(FeathubStream *stream)
{
	MysqlCdcState *state = stream->state;

	while (state->handed)
	{
		MysqlCdcItem *item = state->handed;

		state->handed = item->next;
		if (item->copied == NULL)
			FeathubMysqlCdcItemFree(item);
	}
	state->nhanded = 0;
	if (stream->npartitions > 0 && stream->partitions[0].next_position)
		state->moved = false;
	MemoryContextReset(state->handed_context);
	FeathubMysqlSnapshotRelease(state->snapshot);
	state->records->bound = NULL;
}

/* Records */

bool
FeathubMysqlCdcDecodeRecord(FeathubStream *stream, FeathubRecord *record,
							Datum *values, bool *isnull, FeathubDecodeError *error)
{
	MysqlCdcState *state = stream->state;
	const MysqlCdcItem *item = record->raw;

	record->change = item->change;
	record->change_time = record->timestamp;
	FeathubMysqlRecordsDecode(state->records, item->fields, item->values, item->lengths,
							  values, isnull);
	return true;
}

void
FeathubMysqlCdcRecordValue(FeathubStream *stream, FeathubRecord *record)
{
	MysqlCdcState *state = stream->state;
	const MysqlCdcItem *item = record->raw;
	StringInfoData json;

	initStringInfo(&json);
	FeathubMysqlRecordsJson(state->records, &json, item->values, item->lengths);
	record->value = json.data;
	record->value_len = json.len;
}

Datum
FeathubMysqlCdcRecordHeaders(FeathubStream *stream, const FeathubRecord *record, bool *isnull)
{
	MysqlCdcState *state = stream->state;
	const MysqlCdcItem *item = record->raw;
	StringInfoData json;

	initStringInfo(&json);
	appendStringInfo(&json, "{\"op\": \"%s\", ",
					 item->change == FEATHUB_CHANGE_DELETE ? "delete" : "upsert");
	if (item->transaction)
	{
		StringInfoData gtid;

		initStringInfo(&gtid);
		FeathubMysqlGtidAppend(&gtid, &item->transaction->gtid);
		appendStringInfoString(&json, "\"file\": ");
		escape_json(&json, item->transaction->file);
		appendStringInfo(&json, ", \"position\": " UINT64_FORMAT ", \"gtid\": ",
						 item->transaction->start);
		escape_json(&json, gtid.data);
		appendStringInfoString(&json, ", ");
	}
	FeathubMysqlRecordsHeader(state->records, &json, item->fields);
	appendStringInfoChar(&json, '}');
	*isnull = false;
	return DirectFunctionCall1(jsonb_in, CStringGetDatum(json.data));
}

bool
FeathubMysqlCdcDecodeStored(FeathubStream *stream, FeathubRecord *record, Datum headers,
							bool headers_isnull, Datum *values, bool *isnull)
{
	MysqlCdcState *state = stream->state;
	char	   *op = FeathubMysqlHeaderString(headers, headers_isnull, "op");

	FeathubMysqlRecordsDecodeStored(state->records, record, headers, headers_isnull,
									values, isnull);
	record->change = op && strcmp(op, "delete") == 0 ? FEATHUB_CHANGE_DELETE :
		FEATHUB_CHANGE_UPSERT;
	record->change_time = record->timestamp;
	return true;
}

void
FeathubMysqlCdcDescribeRecord(FeathubStream *stream, const FeathubRecord *record, StringInfo out)
{
	MysqlCdcState *state = stream->state;
	const MysqlCdcItem *item = record->raw;

	if (item->copied)
	{
		MysqlPosition key;

		appendStringInfo(out, "row of table %s", state->table->quoted);
		FeathubMysqlSnapshotKey(state->snapshot, item->copied, &key);
		for (int i = 0; i < key.nvalues; i++)
			appendStringInfo(out, "%s %s = %s%s", i ? "," : "", state->table->key_quoted[i],
							 key.values[i].tag == 'x' ? "0x" : "", key.values[i].text);
		return;
	}
	appendStringInfo(out, "table %s, binary log %s position " UINT64_FORMAT,
					 state->table->quoted, item->transaction->file, item->transaction->start);
	if (item->transaction->gtid.kind != MYSQL_GTID_NONE)
	{
		appendStringInfoString(out, ", GTID ");
		FeathubMysqlGtidAppend(out, &item->transaction->gtid);
	}
	appendStringInfo(out, ", change " INT64_FORMAT, item->index + 1);
}

/* Status */

/* Where the log ends now; asked for seldom. */
static void
look_at_end(FeathubStream *stream)
{
	MysqlCdcState *state = stream->state;
	TimestampTz now = FeathubClock();
	MemoryContext old;

	if (state->end_text && now < TimestampTzPlusMilliseconds(state->end_seen, ASK_END))
		return;
	if (state->query->mysql == NULL)
		return;
	old = MemoryContextSwitchTo(state->poll_context);
	FeathubMysqlLogEnd(stream, state->query, state->table, &state->end);
	strlcpy(state->end_file, state->end.file, sizeof(state->end_file));
	MemoryContextSwitchTo(stream->context);
	if (state->end_text)
		pfree(state->end_text);
	state->end_text = psprintf("%s:" UINT64_FORMAT, state->end_file, state->end.position);
	MemoryContextSwitchTo(old);
	MemoryContextReset(state->poll_context);
	state->end_seen = now;
}

/*
 * Records behind: how many are in the rest of the log is a guess by what was in
 * the part that was read.
 */
void
FeathubMysqlCdcPartitionStatus(FeathubStream *stream)
{
	MysqlCdcState *state = stream->state;
	FeathubStreamPartition *ours = &stream->partitions[0];
	MysqlCdcPosition here;
	int			c;

	if (stream->npartitions == 0 || ours->position == NULL || state->reader->binlog == NULL)
		return;
	look_at_end(stream);
	if (state->end_text == NULL)
		return;
	ours->end_position = state->end_text;
	ours->lag = -1;
	if (!FeathubMysqlCdcPositionParse(ours->position, &here) || here.file == NULL || here.snapshot)
		return;
	c = FeathubMysqlCdcComparePlaces(here.file, here.position, state->end_file,
									 state->end.position);
	if (c >= 0)
		ours->lag = 0;
	else if (strcmp(here.file, state->end_file) == 0 && state->reader->bytes_read > 0)
		ours->lag = Max((int64) ((double) (state->end.position - here.position) *
								 state->records_read / state->reader->bytes_read), 1);
}

void
FeathubMysqlCdcCloseStream(FeathubStream *stream)
{
	MysqlCdcState *state = stream->state;

	if (state == NULL)
		return;
	FeathubMysqlDisconnect(state->dump);
	FeathubMysqlDisconnect(state->query);
	stream->state = NULL;
}
