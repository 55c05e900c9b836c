/*
 * mysql_cdc_queue.c
 *		Changes on their way from the binary log to records.
 *
 *		event -> items of mysql_binlog.h -> open transaction -> ready -> records
 *
 * A transaction's rows are ready at its end, as only then it is known which of
 * them never were (ROLLBACK, ROLLBACK TO SAVEPOINT).  Those of a large
 * transaction are made ready before, so that memory is bounded; should it not be
 * committed after all, the job stops.
 *
 * The log has an XA transaction's rows where it was prepared.  They are kept
 * until it is committed, as long as there are not too many; else, and after a
 * restart, they are read once more from there (mysql_cdc_xa.c).
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

/* XA transactions that may be prepared at a time, on the whole server. */
#define XA_MAX 1000

typedef struct Savepoint
{
	char	   *name;
	int64		nrows;			/* of the transaction before it */
} Savepoint;

static void begin_transaction(MysqlCdcReader *reader, const MysqlBinlogItem *item);
static void end_transaction(MysqlCdcReader *reader);
static void roll_back_rows(MysqlCdcReader *reader, int64 nrows);
static void roll_back_to(MysqlCdcReader *reader, const MysqlBinlogItem *item);
static void take_row(MysqlCdcReader *reader, const MysqlBinlogItem *item);
static void take_query(MysqlCdcReader *reader, const MysqlBinlogItem *item);
static void take_commit(MysqlCdcReader *reader);
static void take_prepare(MysqlCdcReader *reader, const MysqlBinlogItem *item);
static void take_xa_end(MysqlCdcReader *reader, const MysqlBinlogItem *item);
static void free_rows(MysqlCdcItem *item);
static void add_place(MysqlCdcReader *reader, const char *file, uint64 position,
					  const MysqlGtid *gtid, const char *gtids);

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
	reader->xa = FeathubMysqlCdcXaCopy(position->xa);
	reader->copying = position->snapshot;
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
	if (reader->end_due)
	{
		reader->end_due = false;
		end_transaction(reader);
	}
	while ((type = FeathubMysqlBinlogNext(reader->binlog, &item)) != MYSQL_BINLOG_END)
	{
		switch (type)
		{
			case MYSQL_BINLOG_ERROR:
				FeathubMysqlCdcReaderStopDamaged(reader, reader->binlog);
				break;
			case MYSQL_BINLOG_BEGIN:
				begin_transaction(reader, &item);
				break;
			case MYSQL_BINLOG_TABLE:
			case MYSQL_BINLOG_ROW:
			case MYSQL_BINLOG_SAVEPOINT:
			case MYSQL_BINLOG_ROLLBACK_TO:
				FeathubMysqlCdcReaderChange(reader, type, &item);
				break;
			case MYSQL_BINLOG_COMMIT:
				take_commit(reader);
				break;
			case MYSQL_BINLOG_ROLLBACK:
				roll_back_rows(reader, 0);
				end_transaction(reader);
				break;
			case MYSQL_BINLOG_PREPARE:
				take_prepare(reader, &item);
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
		if (reader->full || reader->again)
			return;
	}
	reader->in_event = false;
	at = FeathubMysqlBinlogAt(reader->binlog);
	if (reader->transaction == NULL && !at->in_transaction && at->file[0] != '\0' &&
		at->next_position > 0)
		add_place(reader, at->file, at->next_position, NULL, NULL);
}

void
FeathubMysqlCdcReaderChange(MysqlCdcReader *reader, MysqlBinlogItemType type,
							const MysqlBinlogItem *item)
{
	if (type == MYSQL_BINLOG_TABLE)
	{
		char	   *problem = FeathubMysqlCdcLook(reader->layouts, item->table);

		if (problem)
			FeathubMysqlCdcReaderStop(reader, problem, strstr(problem, "binlog_row_metadata") ?
									  "On the server: SET GLOBAL binlog_row_metadata = 'FULL'. To read the table anew, call feathub.rewind_job with 'earliest' and feathub.resume_job." :
									  "Make the foreign table fit (ALTER FOREIGN TABLE), then call feathub.resume_job.");
	}
	else if (type == MYSQL_BINLOG_ROW)
	{
		if (item->table->followed)
			take_row(reader, item);
	}
	else if (type == MYSQL_BINLOG_SAVEPOINT)
	{
		MemoryContext old = MemoryContextSwitchTo(reader->stream->context);
		Savepoint  *savepoint = palloc(sizeof(Savepoint));

		savepoint->name = pnstrdup(item->name.data, item->name.len);
		savepoint->nrows = reader->nrows;
		reader->savepoints = lcons(savepoint, reader->savepoints);
		MemoryContextSwitchTo(old);
	}
	else
		roll_back_to(reader, item);
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
	reader->in_xa = item->xid.len > 0;
	reader->not_kept = false;
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
			FeathubMysqlCdcReaderStop(reader, psprintf("the transaction at position " UINT64_FORMAT ", part of which is applied, is not there",
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
end_transaction(MysqlCdcReader *reader)
{
	const MysqlBinlogPosition *at = FeathubMysqlBinlogAt(reader->binlog);
	MysqlCdcTransaction *transaction = reader->transaction;

	if (reader->stop.message)
		return;
	make_ready(reader);
	reader->transaction = NULL;
	list_free_deep(reader->savepoints);
	reader->savepoints = NIL;
	reader->in_xa = false;
	if (transaction == NULL)
		return;
	add_place(reader, transaction->file, Max(at->next_position, transaction->start),
			  &transaction->gtid, NULL);
	unref(transaction);
}

static void
take_commit(MysqlCdcReader *reader)
{
	MysqlCdcTransaction *transaction = reader->transaction;

	/* now that an XA transaction proves to be one of a single phase */
	if (reader->in_xa && reader->nrows > 0 && (reader->not_kept || reader->in_window))
	{
		roll_back_rows(reader, 0);
		list_free_deep(reader->savepoints);
		reader->savepoints = NIL;
		reader->in_xa = reader->not_kept = false;
		reader->end_due = true;
		FeathubMysqlCdcAgainStart(reader, "", transaction->file, transaction->start);
		return;
	}
	end_transaction(reader);
}

/* XA transactions */

static void
free_rows(MysqlCdcItem *item)
{
	while (item)
	{
		MysqlCdcItem *next = item->next;

		FeathubMysqlCdcItemFree(item);
		item = next;
	}
}

/* One is no longer prepared; "rows" of it are freed. */
static void
forget_xa(MysqlCdcReader *reader, MysqlCdcXa *xa)
{
	free_rows(xa->rows);
	reader->xa_bytes -= xa->bytes;
	reader->xa = list_delete_ptr(reader->xa, xa);
	FeathubMysqlCdcXaFree(xa);
}

/* The name of an XA transaction; the job stops if it is none. */
static char *
read_xid(MysqlCdcReader *reader, MysqlBinlogString text)
{
	char	   *xid = FeathubMysqlCdcXid(text);

	if (xid == NULL)
		FeathubMysqlCdcReaderStop(reader, psprintf("the log has an XA transaction of an unknown name: %.*s",
												   (int) text.len, text.data ? text.data : ""), NULL);
	return xid;
}

/*
 * The transaction that is open has been prepared.  Those without rows of the
 * table are noted too: the end of one that is not known is that of one which was
 * prepared before the job began.
 */
static void
take_prepare(MysqlCdcReader *reader, const MysqlBinlogItem *item)
{
	char	   *xid = read_xid(reader, item->xid);
	MysqlCdcTransaction *transaction = reader->transaction;
	MemoryContext old;
	MysqlCdcXa *xa;

	if (xid == NULL || transaction == NULL)
		return;
	/* what was not brought to an end here: the server has lost it */
	if ((xa = FeathubMysqlCdcXaFind(reader->xa, xid)) != NULL)
		forget_xa(reader, xa);
	if (list_length(reader->xa) >= XA_MAX)
	{
		FeathubMysqlCdcReaderStop(reader, psprintf("more than %d XA transactions are prepared", XA_MAX),
								  "On the server, end those that XA RECOVER shows and nobody needs. Then, to read the table anew, call feathub.rewind_job with 'earliest' and feathub.resume_job.");
		return;
	}
	old = MemoryContextSwitchTo(reader->stream->context);
	xa = FeathubMysqlCdcXaMake(xid, reader->nrows > 0 ? transaction->file : NULL,
							   transaction->start);
	reader->xa = lappend(reader->xa, xa);
	MemoryContextSwitchTo(old);
	if (reader->nrows > 0 && !reader->not_kept)
	{
		xa->rows = reader->open;
		xa->nrows = reader->nrows;
		xa->bytes = reader->open_bytes;
		reader->xa_bytes += xa->bytes;
		reader->open = reader->open_tail = NULL;
	}
	reader->xa_prepared = xa;
	end_transaction(reader);
	reader->xa_prepared = NULL;
	pfree(xid);
}

/* The rows that were kept are those of the transaction that is open. */
static void
hand_over(MysqlCdcReader *reader, MysqlCdcXa *xa)
{
	reader->open = xa->rows;
	reader->open_bytes = xa->bytes;
	reader->nrows = xa->nrows;
	for (MysqlCdcItem *item = xa->rows; item; item = item->next)
	{
		unref(item->transaction);
		item->transaction = reader->transaction;
		item->transaction->refs++;
		reader->open_tail = item;
	}
	xa->rows = NULL;
}

/* XA COMMIT or XA ROLLBACK. */
static void
take_xa_end(MysqlCdcReader *reader, const MysqlBinlogItem *item)
{
	char	   *xid = read_xid(reader, item->xid);
	bool		committed = item->query_type == MYSQL_BINLOG_QUERY_XA_COMMIT;
	MemoryContext old;
	MysqlCdcXa *xa;

	if (xid == NULL || reader->transaction == NULL)
		return;
	xa = FeathubMysqlCdcXaFind(reader->xa, xid);
	old = MemoryContextSwitchTo(reader->stream->context);
	reader->xa_ended = FeathubMysqlCdcXaMake(xid, NULL, 0);
	if (committed && (xa == NULL || xa->file))
	{
		const char *file;
		uint64		position;

		if (reader->copying && reader->layouts->conn->mariadb)
		{
			/* MariaDB logs it before its engine knows: a chunk may not have seen it */
			reader->in_window = FeathubMysqlSnapshotPending(reader->snapshot, &file, &position);
			reader->xa_invisible = lappend(reader->xa_invisible, pstrdup(xid));
		}
		if (xa && xa->nrows > 0 && !reader->in_window)
			hand_over(reader, xa);
		else
			FeathubMysqlCdcAgainStart(reader, xid, xa ? xa->file : NULL, xa ? xa->position : 0);
	}
	if (xa)
		forget_xa(reader, xa);
	MemoryContextSwitchTo(old);
	pfree(xid);
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
		FeathubMysqlCdcReaderStop(reader, "a large transaction, part of which is applied, was rolled back",
								  "To read the table anew, call feathub.rewind_job with 'earliest' and feathub.resume_job.");
		return;
	}
	while (*link && (*link)->index < nrows)
	{
		last = *link;
		link = &last->next;
	}
	free_rows(*link);
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
	FeathubMysqlCdcReaderStop(reader, psprintf("it was rolled back to savepoint \"%.*s\", which the log does not have",
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

	if (reader->not_kept)
		return;
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
	if (reader->in_xa && reader->open_bytes + reader->xa_bytes > OPEN_BYTES)
	{
		/* they may not be committed soon, or at all */
		free_rows(reader->open);
		reader->open = reader->open_tail = NULL;
		reader->open_bytes = 0;
		reader->not_kept = true;
	}
	else if (reader->open_bytes > OPEN_BYTES)
	{
		make_ready(reader);
		reader->early = true;
		reader->full = true;
	}
}

/* The key must be there in an image, or all that is wanted of it. */
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
		FeathubMysqlCdcReaderStop(reader, "a row was logged without all of its columns",
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
	bool		deleted;

	if ((before && !check_image(reader, layout, before, false)) ||
		(after && !check_image(reader, layout, after, true)))
		return;
	/* a query may look at more than the key of what is deleted */
	deleted = before && (after == NULL || !same_key(reader, layout, before, after));
	if (deleted && !check_image(reader, layout, before, true))
		return;
	/* what may be rolled back has not changed a row yet */
	if (reader->in_window && !reader->in_xa && before)
		drop_copy(reader, layout, before);
	if (reader->in_window && !reader->in_xa && after)
		drop_copy(reader, layout, after);
	if (deleted)
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
				FeathubMysqlCdcReaderStop(reader, "its columns were changed here, and rows before may have been taken for those of its columns now, as the log does not name them (binlog_row_metadata is not FULL)",
										  "On the server: SET GLOBAL binlog_row_metadata = 'FULL'. To read the table anew, call feathub.rewind_job with 'earliest' and feathub.resume_job.");
			if (end)
			{
				FeathubMysqlCdcReaderStop(reader, psprintf("it %s", end),
										  psprintf("To read the table anew, call feathub.rewind_job with 'earliest' and feathub.resume_job; to go on behind the statement as if nothing had happened, rewind to '%s:" UINT64_FORMAT "'.",
												   at->file, at->next_position));
			}
			break;
		case MYSQL_BINLOG_QUERY_DML:
			/* tables in memory lose their rows at a restart: logged so */
			if (!FeathubMysqlDdlIsForeignDelete(item->query.data, item->query.len, database,
												table->database, table->name, table->ignore_case))
				FeathubMysqlCdcReaderStop(reader, psprintf("the log has a statement instead of rows: %.*s",
														   (int) Min(item->query.len, 200), item->query.data),
										  "A session has set binlog_format to another value than ROW. To read the table anew, call feathub.rewind_job with 'earliest' and feathub.resume_job.");
			break;
		case MYSQL_BINLOG_QUERY_XA_COMMIT:
		case MYSQL_BINLOG_QUERY_XA_ROLLBACK:
			take_xa_end(reader, item);
			break;
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
	bool		merge = item && item->is_place && !item->has_gtid && item->gtids == NULL &&
		item->xa == NULL;
	bool		plain = gtids == NULL && reader->xa_prepared == NULL && reader->xa_ended == NULL;

	if (gtid && gtid->kind == MYSQL_GTID_NONE)
		gtid = NULL;
	/* a server that was asked by GTIDs begins with the head of a file */
	if (gtid == NULL && plain &&
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
	if (reader->xa_prepared || reader->xa_ended)
	{
		MysqlCdcXa *xa = reader->xa_prepared ? reader->xa_prepared : reader->xa_ended;
		MemoryContext old = MemoryContextSwitchTo(reader->context);

		item->xa = FeathubMysqlCdcXaMake(xa->xid, xa->file, xa->position);
		item->xa_ends = reader->xa_prepared == NULL;
		MemoryContextSwitchTo(old);
	}
	if (reader->xa_ended)
		FeathubMysqlCdcXaFree(reader->xa_ended);
	reader->xa_ended = NULL;
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
	if (item->xa)
		FeathubMysqlCdcXaFree(item->xa);
	pfree(item);
}

/* Stopping */

void
FeathubMysqlCdcReaderStop(MysqlCdcReader *reader, const char *message, const char *hint)
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

/* A decoder could not read an event. */
void
FeathubMysqlCdcReaderStopDamaged(MysqlCdcReader *reader, const MysqlBinlogReader *binlog)
{
	const char *hint = NULL;
	const char *message = FeathubMysqlBinlogError(binlog, &hint);
	MemoryContext old = MemoryContextSwitchTo(reader->stream->context);

	reader->stop.message = psprintf("binary log of foreign server \"%s\" cannot be read: %s",
									reader->stream->rel->server->servername, message);
	reader->stop.hint = pstrdup(hint ? hint :
								"If it stays so, read the table anew: call feathub.rewind_job with 'earliest' and feathub.resume_job.");
	reader->stop.damaged = !FeathubMysqlBinlogUnsupported(binlog);
	MemoryContextSwitchTo(old);
}
