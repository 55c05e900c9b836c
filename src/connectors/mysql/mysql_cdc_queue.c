/*
 * mysql_cdc_queue.c
 *		Changes on their way from the binary log to records.
 *
 *		event -> items of mysql_binlog.h -> open transaction -> ready -> records
 *
 * A transaction's rows are ready at its end, as only then it is known which of
 * them never were (ROLLBACK, ROLLBACK TO SAVEPOINT, XA PREPARE).  Those of a
 * large transaction are made ready before, so that memory is bounded; should it
 * not be committed after all, the job stops.
 *
 * What cannot be gone on with stops reading, and is raised by the caller once all
 * before it is applied: then the job's position is right before it.
 */
#include "postgres.h"

#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "connectors/mysql/mysql_cdc.h"

/* Rows of an open transaction are kept up to so many bytes. */
#define OPEN_BYTES (16 * 1024 * 1024)

typedef struct Savepoint
{
	char	   *name;
	int64		nrows;			/* of the transaction before it */
} Savepoint;

static void begin_transaction(MysqlCdcReader *reader, const MysqlBinlogItem *item);
static void end_transaction(MysqlCdcReader *reader, bool committed);
static void roll_back_rows(MysqlCdcReader *reader, int64 nrows);
static void roll_back_to(MysqlCdcReader *reader, const MysqlBinlogItem *item);
static void take_row(MysqlCdcReader *reader, const MysqlBinlogItem *item);
static void take_query(MysqlCdcReader *reader, const MysqlBinlogItem *item);
static void add_place(MysqlCdcReader *reader, const char *file, uint64 position,
					  const MysqlGtid *gtid, const char *gtids);
static void stop_reading(MysqlCdcReader *reader, char *message, char *hint);
static void stop_with_damage(MysqlCdcReader *reader);

MysqlCdcReader *
FeathubMysqlCdcReaderMake(FeathubStream *stream, MysqlCdcTable *table, MysqlRecords *records,
						  MysqlConnection *conn, MysqlSnapshot *snapshot)
{
	MysqlCdcReader *reader = palloc0(sizeof(MysqlCdcReader));

	reader->stream = stream;
	reader->table = table;
	reader->records = records;
	reader->snapshot = snapshot;
	reader->layouts = FeathubMysqlCdcLayoutsMake(stream, table, records, conn);
	reader->context = GenerationContextCreate(CurrentMemoryContext, "feathub mysql changes",
											  ALLOCSET_DEFAULT_SIZES);
	return reader;
}

void
FeathubMysqlCdcReaderStart(MysqlCdcReader *reader, const MysqlCdcPosition *position,
						   bool mariadb, bool checksums)
{
	MysqlBinlogOptions options = {
		.mariadb = mariadb, .checksum = checksums, .verify = true
	};
	MemoryContext old = MemoryContextSwitchTo(reader->stream->context);

	reader->binlog = FeathubMysqlBinlogMake(&options);
	reader->restart_rows = position->rows;
	reader->restart_position = position->position;
	strlcpy(reader->restart_file, position->file, sizeof(reader->restart_file));
	reader->restart_transaction = position->transaction ? pstrdup(position->transaction) : NULL;
	strlcpy(reader->file, position->file, sizeof(reader->file));
	reader->position = position->position;
	MemoryContextSwitchTo(old);
}

void
FeathubMysqlCdcReaderFeed(MysqlCdcReader *reader, const char *data, Size len)
{
	reader->bytes_read += len;
	FeathubMysqlBinlogFeed(reader->binlog, data, len);
	reader->in_event = true;
	FeathubMysqlCdcReaderContinue(reader);
}

void
FeathubMysqlCdcReaderContinue(MysqlCdcReader *reader)
{
	MysqlBinlogItem item;
	MysqlBinlogItemType type;
	const MysqlBinlogPosition *at;

	reader->full = false;
	while ((type = FeathubMysqlBinlogNext(reader->binlog, &item)) != MYSQL_BINLOG_END)
	{
		switch (type)
		{
			case MYSQL_BINLOG_ERROR:
				stop_with_damage(reader);
				break;
			case MYSQL_BINLOG_BEGIN:
				begin_transaction(reader, &item);
				break;
			case MYSQL_BINLOG_TABLE:
				{
					char	   *problem = FeathubMysqlCdcLook(reader->layouts, item.table);

					if (problem)
						stop_reading(reader, problem, strstr(problem, "binlog_row_metadata") ?
									 "On the server: SET GLOBAL binlog_row_metadata = 'FULL'. To read the table anew, call feathub.rewind_job with 'earliest' and feathub.resume_job." :
									 "Make the foreign table fit (ALTER FOREIGN TABLE), then call feathub.resume_job.");
					break;
				}
			case MYSQL_BINLOG_ROW:
				if (item.table->followed)
					take_row(reader, &item);
				break;
			case MYSQL_BINLOG_COMMIT:
				end_transaction(reader, true);
				break;
			case MYSQL_BINLOG_ROLLBACK:
				roll_back_rows(reader, 0);
				end_transaction(reader, false);
				break;
			case MYSQL_BINLOG_PREPARE:
				if (reader->nrows > 0)
					stop_reading(reader, pstrdup("an XA transaction changed it, whose end the log has elsewhere"),
								 "Jobs cannot follow tables that XA transactions write to. To go on, let it end, and call feathub.rewind_job with 'earliest' and feathub.resume_job.");
				end_transaction(reader, false);
				break;
			case MYSQL_BINLOG_SAVEPOINT:
				{
					MemoryContext old = MemoryContextSwitchTo(reader->stream->context);
					Savepoint  *savepoint = palloc(sizeof(Savepoint));

					savepoint->name = pnstrdup(item.name.data, item.name.len);
					savepoint->nrows = reader->nrows;
					reader->savepoints = lcons(savepoint, reader->savepoints);
					MemoryContextSwitchTo(old);
					break;
				}
			case MYSQL_BINLOG_ROLLBACK_TO:
				roll_back_to(reader, &item);
				break;
			case MYSQL_BINLOG_QUERY:
				take_query(reader, &item);
				break;
			case MYSQL_BINLOG_ROTATE:
				if (reader->transaction == NULL)
				{
					char	   *file = pnstrdup(item.file.data, item.file.len);

					add_place(reader, file, item.file_position, NULL, NULL);
					pfree(file);
				}
				break;
			case MYSQL_BINLOG_GTIDS:
				/* it is of the file's begin */
				if (!reader->layouts->conn->mariadb && reader->transaction == NULL &&
					(reader->restart_position <= 4 ||
					 strcmp(FeathubMysqlBinlogAt(reader->binlog)->file, reader->restart_file) != 0))
					add_place(reader, reader->file, reader->position, NULL, item.gtids);
				break;
			case MYSQL_BINLOG_HEARTBEAT:
				if (reader->transaction == NULL && item.file.len > 0 && item.file_position > 0)
				{
					char	   *file = pnstrdup(item.file.data, item.file.len);

					add_place(reader, file, item.file_position, NULL, NULL);
					pfree(file);
				}
				break;
			case MYSQL_BINLOG_FORMAT:
			case MYSQL_BINLOG_STATEMENT:
			case MYSQL_BINLOG_STOP:
			case MYSQL_BINLOG_END:
				break;
		}
		if (reader->stop.message)
		{
			reader->in_event = false;
			return;
		}
		/* a compressed transaction is one event, of any size */
		if (reader->full)
			return;
	}
	reader->in_event = false;
	at = FeathubMysqlBinlogAt(reader->binlog);
	if (reader->transaction == NULL && !at->in_transaction && at->file[0] != '\0' &&
		at->next_position > 0)
		add_place(reader, at->file, at->next_position, NULL, NULL);
}

/* Transactions */

static void
begin_transaction(MysqlCdcReader *reader, const MysqlBinlogItem *item)
{
	const MysqlBinlogTransaction *from = item->transaction;
	const MysqlBinlogPosition *at = FeathubMysqlBinlogAt(reader->binlog);
	MysqlCdcTransaction *transaction = MemoryContextAlloc(reader->stream->context,
														  sizeof(MysqlCdcTransaction));

	transaction->refs = 1;
	strlcpy(transaction->file, at->file[0] ? at->file : reader->file, sizeof(transaction->file));
	transaction->start = from->start_position;
	transaction->gtid = from->gtid;
	transaction->time = from->commit_time -
		(POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * USECS_PER_DAY;
	reader->transaction = transaction;
	reader->nrows = 0;
	reader->early = false;
	reader->open_bytes = 0;
	reader->skip = 0;
	reader->in_window = FeathubMysqlSnapshotInWindow(reader->snapshot, &from->gtid);
	if (reader->restart_rows > 0)
	{
		bool		same;

		if (reader->restart_transaction)
		{
			StringInfoData text;

			initStringInfo(&text);
			FeathubMysqlGtidAppend(&text, &from->gtid);
			same = strcmp(text.data, reader->restart_transaction) == 0;
			pfree(text.data);
		}
		else
			same = from->start_position == reader->restart_position;
		if (same)
		{
			reader->skip = reader->restart_rows;
			reader->restart_rows = 0;
		}
		else if (reader->restart_transaction == NULL)
			stop_reading(reader, psprintf("the transaction at position " UINT64_FORMAT ", part of which is applied, is not there",
										  reader->restart_position),
						 "The log is another one. To read the table anew, call feathub.rewind_job with 'earliest' and feathub.resume_job.");
	}
}

static void
unref(MysqlCdcTransaction *transaction)
{
	if (--transaction->refs == 0)
		pfree(transaction);
}

/*
 * Move what is open to what is ready.  Rows that are applied are dropped only
 * here: until now, some could be rolled back, and be counted once more.
 */
static void
make_ready(MysqlCdcReader *reader)
{
	while (reader->open && reader->open->index < reader->skip)
	{
		MysqlCdcItem *item = reader->open;

		reader->open = item->next;
		FeathubMysqlCdcItemFree(item);
	}
	reader->open_bytes = 0;
	if (reader->open == NULL)
	{
		reader->open_tail = NULL;
		return;
	}
	if (reader->ready_tail)
		reader->ready_tail->next = reader->open;
	else
		reader->ready = reader->open;
	reader->ready_tail = reader->open_tail;
	reader->open = reader->open_tail = NULL;
}

static void
end_transaction(MysqlCdcReader *reader, bool committed)
{
	const MysqlBinlogPosition *at = FeathubMysqlBinlogAt(reader->binlog);
	MysqlCdcTransaction *transaction = reader->transaction;

	if (reader->stop.message)
		return;
	make_ready(reader);
	reader->transaction = NULL;
	list_free_deep(reader->savepoints);
	reader->savepoints = NIL;
	if (transaction == NULL)
		return;
	add_place(reader, transaction->file, Max(at->next_position, transaction->start),
			  &transaction->gtid, NULL);
	unref(transaction);
}

/* Rows from the nth on never were. */
static void
roll_back_rows(MysqlCdcReader *reader, int64 nrows)
{
	MysqlCdcItem **link = &reader->open;
	MysqlCdcItem *last = NULL;

	if (reader->nrows <= nrows)
		return;
	if (reader->early && (reader->open == NULL || reader->open->index > nrows))
	{
		stop_reading(reader, pstrdup("a large transaction, part of which is applied, was rolled back"),
					 "To read the table anew, call feathub.rewind_job with 'earliest' and feathub.resume_job.");
		return;
	}
	while (*link && (*link)->index < nrows)
	{
		last = *link;
		link = &last->next;
	}
	for (MysqlCdcItem *item = *link; item;)
	{
		MysqlCdcItem *next = item->next;

		FeathubMysqlCdcItemFree(item);
		item = next;
	}
	*link = NULL;
	reader->open_tail = last;
	reader->nrows = nrows;
}

static void
roll_back_to(MysqlCdcReader *reader, const MysqlBinlogItem *item)
{
	ListCell   *lc;

	foreach(lc, reader->savepoints)
	{
		Savepoint  *savepoint = lfirst(lc);

		/* names are compared without case there */
		if (strlen(savepoint->name) != item->name.len ||
			pg_strncasecmp(savepoint->name, item->name.data, item->name.len) != 0)
			continue;
		roll_back_rows(reader, savepoint->nrows);
		return;
	}
	stop_reading(reader, psprintf("it was rolled back to savepoint \"%.*s\", which the log does not have",
								  (int) item->name.len, item->name.data), NULL);
}

/* Rows */

/*
 * REPLACE may be logged as a deletion and the insertion of the same key.  It is
 * an update: a deletion's time, which is the commit's, would hide a new row that
 * has an earlier event time.
 */
static void
join_replacement(MysqlCdcReader *reader, const MysqlCdcLayout *layout, const MysqlCdcItem *item)
{
	MysqlCdcItem *last = reader->open_tail;

	if (last->change != FEATHUB_CHANGE_DELETE || last->transaction != item->transaction)
		return;
	for (int i = 0; i < reader->records->ncolumns; i++)
	{
		bool		in_key = false;

		for (int k = 0; k < reader->table->nkeys; k++)
			in_key |= layout->columns[i] == layout->keys[k];
		if (in_key && (last->values[i] == NULL || item->values[i] == NULL ||
					   last->lengths[i] != item->lengths[i] ||
					   memcmp(last->values[i], item->values[i], item->lengths[i]) != 0))
			return;
	}
	last->change = FEATHUB_CHANGE_NONE;
}

/* A row of the records' columns, from an image. */
static void
add_row(MysqlCdcReader *reader, const MysqlCdcLayout *layout, const MysqlBinlogImage *image,
		FeathubChange change)
{
	int			n = reader->records->ncolumns;
	Size		size = MAXALIGN(sizeof(MysqlCdcItem)) +
		(sizeof(char *) + sizeof(unsigned long)) * n;
	MysqlCdcItem *item;
	char	   *p;
	int64		index = reader->nrows++;

	for (int i = 0; i < n; i++)
	{
		int			column = layout->columns[i];

		if (column >= 0 && image->values[column])
			size += image->lengths[column] + 1;
	}
	item = MemoryContextAllocHuge(reader->context, size);
	memset(item, 0, sizeof(MysqlCdcItem));
	item->transaction = reader->transaction;
	item->transaction->refs++;
	item->fields = layout->fields;
	item->change = change;
	item->index = index;
	item->bytes = size;
	item->values = (char **) ((char *) item + MAXALIGN(sizeof(MysqlCdcItem)));
	item->lengths = (unsigned long *) (item->values + n);
	p = (char *) (item->lengths + n);
	for (int i = 0; i < n; i++)
	{
		int			column = layout->columns[i];

		if (column < 0 || image->values[column] == NULL)
		{
			item->values[i] = NULL;
			item->lengths[i] = 0;
			continue;
		}
		item->values[i] = p;
		item->lengths[i] = image->lengths[column];
		memcpy(p, image->values[column], image->lengths[column]);
		p += image->lengths[column];
		*p++ = '\0';
	}
	if (change == FEATHUB_CHANGE_UPSERT && reader->open_tail)
		join_replacement(reader, layout, item);
	if (reader->open_tail)
		reader->open_tail->next = item;
	else
		reader->open = item;
	reader->open_tail = item;
	reader->open_bytes += size;
	if (reader->open_bytes > OPEN_BYTES)
	{
		make_ready(reader);
		reader->early = true;
		reader->full = true;
	}
}

/* All that is wanted of an image must be there; of a deletion, the key. */
static bool
check_image(MysqlCdcReader *reader, const MysqlCdcLayout *layout, const MysqlBinlogImage *image,
			bool whole)
{
	bool		present = true;

	if (image->complete)
		return true;
	for (int i = 0; i < reader->table->nkeys; i++)
		present &= image->present[layout->keys[i]];
	for (int i = 0; whole && i < reader->records->ncolumns; i++)
		present &= layout->columns[i] < 0 || image->present[layout->columns[i]];
	if (!present)
		stop_reading(reader, pstrdup("a row was logged without all of its columns"),
					 "A session has set binlog_row_image to another value than FULL. To read the table anew, call feathub.rewind_job with 'earliest' and feathub.resume_job.");
	return present;
}

static bool
same_key(MysqlCdcReader *reader, const MysqlCdcLayout *layout, const MysqlBinlogImage *a,
		 const MysqlBinlogImage *b)
{
	for (int i = 0; i < reader->table->nkeys; i++)
	{
		int			k = layout->keys[i];

		if (a->lengths[k] != b->lengths[k] ||
			(a->values[k] == NULL) != (b->values[k] == NULL) ||
			(a->values[k] && memcmp(a->values[k], b->values[k], a->lengths[k]) != 0))
			return false;
	}
	return true;
}

/* What a chunk of the first copy has of the row is out of date. */
static void
drop_copy(MysqlCdcReader *reader, const MysqlCdcLayout *layout, const MysqlBinlogImage *image)
{
	char	   *values[MYSQL_POSITION_VALUES];
	unsigned long lengths[MYSQL_POSITION_VALUES];

	for (int i = 0; i < reader->table->nkeys; i++)
	{
		values[i] = image->values[layout->keys[i]];
		lengths[i] = image->lengths[layout->keys[i]];
	}
	FeathubMysqlSnapshotDrop(reader->snapshot, values, lengths);
}

static void
take_row(MysqlCdcReader *reader, const MysqlBinlogItem *item)
{
	const MysqlCdcLayout *layout = item->table->user;
	const MysqlBinlogImage *before = item->operation == MYSQL_BINLOG_INSERT ? NULL : item->before;
	const MysqlBinlogImage *after = item->operation == MYSQL_BINLOG_DELETE ? NULL : item->after;

	if ((before && !check_image(reader, layout, before, false)) ||
		(after && !check_image(reader, layout, after, true)))
		return;
	if (reader->in_window && before)
		drop_copy(reader, layout, before);
	if (reader->in_window && after)
		drop_copy(reader, layout, after);
	if (before && (after == NULL || !same_key(reader, layout, before, after)))
		add_row(reader, layout, before, FEATHUB_CHANGE_DELETE);
	if (after)
		add_row(reader, layout, after, FEATHUB_CHANGE_UPSERT);
}

/* Statements in the log: do they do something to the table without rows? */
static void
take_query(MysqlCdcReader *reader, const MysqlBinlogItem *item)
{
	MysqlCdcTable *table = reader->table;
	char	   *database = pnstrdup(item->database.data ? item->database.data : "",
									item->database.len);
	const MysqlBinlogPosition *at = FeathubMysqlBinlogAt(reader->binlog);
	const char *end;

	switch (item->query_type)
	{
		case MYSQL_BINLOG_QUERY_DDL:
			end = FeathubMysqlDdlEnds(item->query.data, item->query.len, database,
									  table->database, table->name, table->ignore_case);
			if (end == NULL &&
				FeathubMysqlDdlMovesColumns(item->query.data, item->query.len, database,
											table->database, table->name, table->ignore_case) &&
				!FeathubMysqlCdcColumnsMoved(reader->layouts, at->file, at->next_position))
				stop_reading(reader, pstrdup("its columns were changed here, and rows before may have been taken for those of its columns now, as the log does not name them (binlog_row_metadata is not FULL)"),
							 "On the server: SET GLOBAL binlog_row_metadata = 'FULL'. To read the table anew, call feathub.rewind_job with 'earliest' and feathub.resume_job.");
			if (end)
			{
				stop_reading(reader, psprintf("it %s", end),
							 psprintf("To read the table anew, call feathub.rewind_job with 'earliest' and feathub.resume_job; to go on behind the statement as if nothing had happened, rewind to '%s:" UINT64_FORMAT "'.",
									  at->file, at->next_position));
			}
			break;
		case MYSQL_BINLOG_QUERY_DML:
			/* tables in memory lose their rows at a restart: logged so */
			if (!FeathubMysqlDdlIsForeignDelete(item->query.data, item->query.len, database,
												table->database, table->name, table->ignore_case))
				stop_reading(reader, psprintf("the log has a statement instead of rows: %.*s",
											  (int) Min(item->query.len, 200), item->query.data),
							 "A session has set binlog_format to another value than ROW. To read the table anew, call feathub.rewind_job with 'earliest' and feathub.resume_job.");
			break;
		case MYSQL_BINLOG_QUERY_XA_COMMIT:
		case MYSQL_BINLOG_QUERY_XA_ROLLBACK:
		case MYSQL_BINLOG_QUERY_OTHER:
			break;
	}
	pfree(database);
}

/* Places */

/* All before this place was read. */
static void
add_place(MysqlCdcReader *reader, const char *file, uint64 position, const MysqlGtid *gtid,
		  const char *gtids)
{
	MysqlCdcItem *item = reader->ready_tail;
	bool		merge = item && item->is_place && !item->has_gtid && item->gtids == NULL;

	if (gtid && gtid->kind == MYSQL_GTID_NONE)
		gtid = NULL;
	/* a server that was asked by GTIDs begins with the head of a file */
	if (gtid == NULL && gtids == NULL &&
		FeathubMysqlCdcComparePlaces(file, position, reader->file, reader->position) <= 0)
		return;
	if (file != reader->file)
		strlcpy(reader->file, file, sizeof(reader->file));
	reader->position = position;
	if (!merge)
	{
		item = MemoryContextAllocZero(reader->context, sizeof(MysqlCdcItem));
		item->is_place = true;
		if (reader->ready_tail)
			reader->ready_tail->next = item;
		else
			reader->ready = item;
		reader->ready_tail = item;
	}
	else
		pfree(item->file);
	item->file = MemoryContextStrdup(reader->context, file);
	item->position = position;
	item->has_gtid = gtid != NULL;
	if (gtid)
		item->gtid = *gtid;
	item->gtids = gtids ? MemoryContextStrdup(reader->context, gtids) : NULL;
}

MysqlCdcItem *
FeathubMysqlCdcReaderTake(MysqlCdcReader *reader)
{
	MysqlCdcItem *item = reader->ready;

	if (item == NULL)
		return NULL;
	reader->ready = item->next;
	if (reader->ready == NULL)
		reader->ready_tail = NULL;
	item->next = NULL;
	return item;
}

void
FeathubMysqlCdcItemFree(MysqlCdcItem *item)
{
	if (item->transaction)
		unref(item->transaction);
	if (item->file)
		pfree(item->file);
	if (item->gtids)
		pfree(item->gtids);
	pfree(item);
}

/* Stopping */

static void
stop_reading(MysqlCdcReader *reader, char *message, char *hint)
{
	const MysqlBinlogPosition *at = FeathubMysqlBinlogAt(reader->binlog);
	MemoryContext old;

	if (reader->stop.message)
		return;
	old = MemoryContextSwitchTo(reader->stream->context);
	reader->stop.message = psprintf("table %s cannot be followed behind binary log \"%s\" position " UINT64_FORMAT ": %s",
									reader->table->quoted, at->file, at->event_position, message);
	reader->stop.hint = hint ? pstrdup(hint) : NULL;
	MemoryContextSwitchTo(old);
}

/* The decoder could not read an event. */
static void
stop_with_damage(MysqlCdcReader *reader)
{
	const char *hint = NULL;
	const char *message = FeathubMysqlBinlogError(reader->binlog, &hint);
	MemoryContext old = MemoryContextSwitchTo(reader->stream->context);

	reader->stop.message = psprintf("binary log of foreign server \"%s\" cannot be read: %s",
									reader->stream->rel->server->servername, message);
	reader->stop.hint = pstrdup(hint ? hint :
								"If it stays so, read the table anew: call feathub.rewind_job with 'earliest' and feathub.resume_job.");
	reader->stop.damaged = !FeathubMysqlBinlogUnsupported(reader->binlog);
	MemoryContextSwitchTo(old);
}
